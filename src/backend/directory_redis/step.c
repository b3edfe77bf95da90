/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "backend/directory_redis/directory.h"
#include "core/assert.h"

enum { HOPS_MAX = 5 };

/* ------------------------------------------------------------------------------------------------ an op's end */

/* What may have happened outweighs what did not. */
static void note_status(ch_redis_work *work, int status) {
  if (!work->status || status == CHAT_E_UNKNOWN) work->status = status;
}

static void end_work(ch_redis *directory, ch_redis_work *work) {
  bool is_said = work->kind && work->steps && work->kind->fate && (work->kind->is_of_parts || work->failed < work->count);
  int status = is_said ? 0 : work->status;
  if (work->port)
    ch_port_finish(&work->port->port, work->op, status);
  else
    ch_redis_looked(directory, work, status);
}

void ch_redis_work_done(ch_redis *directory, ch_redis_work *work, size_t steps, int status) {
  ch_assert(steps <= work->left);
  work->left -= steps;
  if (status) {
    work->failed += steps;
    note_status(work, status);
  }
  if (work->left == 0) end_work(directory, work);
}

static void end_step(ch_redis *directory, ch_redis_step *step, int status) {
  ch_redis_work *work = step->work;
  uint64_t epoch = step->conn ? step->conn->epoch : 0;
  ch_list_remove(&step->of_conn);
  directory->steps_under_way--;
  ch_redis_count(status ? &directory->figures.failed : &directory->figures.steps);
  if (work->kind->fate) work->kind->fate(work->op, step->item, status, epoch);
  ch_redis_work_done(directory, work, 1, status);
}

/* ------------------------------------------------------------------------------------------------ answers */

static bool begins(const char *text, const char *word) {
  return strncmp(text, word, strlen(word)) == 0;
}

/* Whatever else a server says (LOADING, CLUSTERDOWN, MASTERDOWN, NOREPLICAS, BUSY, TRYAGAIN, NOAUTH …), it has not begun. A script that stopped on its way is done again, too. */
static int status_of(const char *error) {
  if (begins(error, "OOM")) return CHAT_E_FULL;
  if (begins(error, "ERR") || begins(error, "WRONGTYPE")) return CHAT_E_IO;
  return CHAT_E_AGAIN;
}

static void go(ch_redis *directory, ch_redis_node *node, ch_redis_step *step);

/* true: it is on its way again. */
static bool is_redirected(ch_redis *directory, ch_redis_step *step, const char *error) {
  ch_redis_node *node = step->conn->node;
  bool moved = begins(error, "MOVED "), asks = begins(error, "ASK "), is_unknown = begins(error, "NOSCRIPT");
  if (!moved && !asks && !is_unknown) return false;
  if (!is_unknown) node = ch_redis_node_redirected(directory, node, error, moved);
  if (!node || ++step->hops > HOPS_MAX) return false;
  step->is_eval |= is_unknown;
  step->is_asking = asks || (is_unknown && step->is_asking);
  ch_list_remove(&step->of_conn);
  ch_redis_count(&directory->figures.redirected);
  go(directory, node, step);
  return true;
}

static void take_error(ch_redis *directory, ch_redis_step *step, const char *error) {
  if (is_redirected(directory, step, error)) return;
  if (begins(error, "READONLY")) step->conn->is_doomed = true; /* it is a replica now: the name may mean another server */
  end_step(directory, step, status_of(error));
}

static void on_reply(redisAsyncContext *redis, void *data, void *arg) {
  (void)redis;
  const redisReply *reply = data;
  ch_redis_step *step = arg;
  ch_redis *directory = step->conn->node->directory;
  if (!reply) {
    ch_redis_conn_lost(step->conn);
    end_step(directory, step, CHAT_E_UNKNOWN);
  } else if (reply->type == REDIS_REPLY_ERROR) {
    take_error(directory, step, reply->str);
  } else {
    end_step(directory, step, step->work->kind->take(step->work->op, step->item, reply));
  }
}

/* ------------------------------------------------------------------------------------------------ sending */

enum { WORDS_MAX = 3 + CH_REDIS_KEYS + CH_REDIS_ARGS };

typedef struct words {
  int count;
  const char *text[WORDS_MAX];
  size_t len[WORDS_MAX];
} words;

static void add_word(words *w, const void *text, size_t len) {
  w->text[w->count] = len ? text : "";
  w->len[w->count++] = len;
}

static void add_name(words *w, const ch_redis *directory, const ch_redis_step *step, ch_redis_script script) {
  const char *name = step->is_eval ? ch_redis_script_text(script) : directory->scripts.sha[script];
  const char *verb = step->is_eval ? "EVAL" : "EVALSHA";
  add_word(w, verb, strlen(verb));
  add_word(w, name, strlen(name));
}

static bool send_step(ch_redis_conn *conn, ch_redis_step *step, const ch_redis_command *command) {
  words w = {0};
  char key_count = (char)('0' + command->key_count);
  add_name(&w, conn->node->directory, step, command->script);
  add_word(&w, &key_count, 1);
  for (int i = 0; i < command->key_count; i++)
    add_word(&w, command->keys[i].text, command->keys[i].len);
  for (int i = 0; i < command->arg_count; i++)
    add_word(&w, command->args[i].data, command->args[i].len);
  if (step->is_asking && redisAsyncCommand(conn->redis, NULL, NULL, "ASKING")) return false;
  return redisAsyncCommandArgv(conn->redis, on_reply, step, w.count, w.text, w.len) == REDIS_OK;
}

static void go_with(ch_redis *directory, ch_redis_conn *conn, ch_redis_step *step, const ch_redis_command *command) {
  step->conn = conn;
  if (conn->state == CH_REDIS_UP && !conn->is_doomed) {
    step->sent_ms = ch_redis_now_ms(directory);
    if (send_step(conn, step, command)) {
      ch_list_push_back(&conn->sent, &step->of_conn);
      return;
    }
  } else if (conn->state != CH_REDIS_DOWN && conn->state != CH_REDIS_UP && conn->failures == 0) { /* else it would be waited for again and again */
    ch_list_push_back(&conn->waiting, &step->of_conn);
    return;
  }
  end_step(directory, step, CHAT_E_AGAIN);
}

static void go(ch_redis *directory, ch_redis_node *node, ch_redis_step *step) {
  ch_redis_command command;
  step->work->kind->build(step->work->op, step->item, &command);
  go_with(directory, &node->steps, step, &command);
}

void ch_redis_steps_up(ch_redis_conn *conn) {
  ch_redis *directory = conn->node->directory;
  for (ch_list *node; (node = ch_list_pop_front(&conn->waiting));)
    go(directory, conn->node, CH_LIST_ITEM(node, ch_redis_step, of_conn));
}

void ch_redis_steps_down(ch_redis_conn *conn) {
  for (ch_list *node; (node = ch_list_pop_front(&conn->waiting));)
    end_step(conn->node->directory, CH_LIST_ITEM(node, ch_redis_step, of_conn), CHAT_E_AGAIN);
}

/* ------------------------------------------------------------------------------------------------ an op's beginning */

static const ch_redis_kind *const kinds[] = {
    [CHAT_OP_DIRECTORY_RENEW] = &ch_redis_renew,         [CHAT_OP_DIRECTORY_DROP] = &ch_redis_drop,
    [CHAT_OP_DIRECTORY_RAISE] = &ch_redis_raise,         [CHAT_OP_DIRECTORY_ROUTES] = &ch_redis_routes,
    [CHAT_OP_DIRECTORY_MARK] = &ch_redis_mark,           [CHAT_OP_DIRECTORY_FILL] = &ch_redis_fill,
    [CHAT_OP_DIRECTORY_PRESENCE] = &ch_redis_presence,   [CHAT_OP_DIRECTORY_SUBSCRIBE] = &ch_redis_subscribe,
    [CHAT_OP_DIRECTORY_SUBSCRIBERS] = &ch_redis_subscribers,
};

static const ch_redis_kind *kind_of(uint32_t op_kind) {
  return op_kind < sizeof kinds / sizeof *kinds ? kinds[op_kind] : NULL;
}

static void take_steps(ch_redis *directory, ch_redis_work *work) {
  const ch_redis_kind *kind = kind_of(work->op->kind);
  int status = !kind ? CHAT_E_UNSUPPORTED : kind->is_valid(work->op) ? 0 : CHAT_E_INVALID;
  if (status || kind->count(work->op) == 0)
    ch_port_finish(&work->port->port, work->op, status);
  else
    ch_redis_work_wait(directory, work, kind);
}

void ch_redis_take(ch_redis *directory, ch_redis_work *work) {
  work->began_ms = ch_redis_now_ms(directory);
  switch (work->op->kind) {
  case CHAT_OP_DIRECTORY_CHANGES: ch_redis_changes(work->port, work->op); break;
  case CHAT_OP_DIRECTORY_WATCH: ch_redis_watch(directory, work); break;
  default: take_steps(directory, work);
  }
}

void ch_redis_work_wait(ch_redis *directory, ch_redis_work *work, const ch_redis_kind *kind) {
  work->kind = kind;
  work->count = work->left = kind->count(work->op);
  ch_list_push_back(&directory->waiting, &work->of_directory);
}

static void begin(ch_redis *directory, ch_redis_work *work) {
  size_t count = work->count;
  work->steps = chat_op_alloc(work->op, count * sizeof *work->steps);
  if (!work->steps) {
    ch_redis_work_done(directory, work, count, CHAT_E_NOMEM);
    return;
  }
  directory->steps_under_way += count;
  for (size_t i = 0; i < count; i++) { /* the last one may end it */
    ch_redis_step *step = &work->steps[i];
    ch_redis_command command;
    *step = (ch_redis_step){.work = work, .item = i};
    ch_list_init(&step->of_conn);
    work->kind->build(work->op, i, &command);
    go_with(directory, &ch_redis_node_of(directory, command.slot)->steps, step, &command);
  }
}

void ch_redis_steps_go(ch_redis *directory) {
  while (!ch_list_is_empty(&directory->waiting)) {
    ch_redis_work *work = CH_LIST_ITEM(directory->waiting.next, ch_redis_work, of_directory);
    if (directory->steps_under_way > 0 && directory->steps_under_way + work->count > CH_REDIS_STEPS_MAX) return;
    ch_list_remove(&work->of_directory);
    begin(directory, work);
  }
}

void ch_redis_steps_expire(ch_redis *directory, uint64_t now_ms) {
  while (!ch_list_is_empty(&directory->waiting)) {
    ch_redis_work *work = CH_LIST_ITEM(directory->waiting.next, ch_redis_work, of_directory);
    if (work->began_ms + directory->config.timeout_ms > now_ms) return;
    ch_list_remove(&work->of_directory);
    ch_redis_work_done(directory, work, work->count, CHAT_E_AGAIN);
  }
}
