/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/directory_redis/watch.h"

#include <stdio.h>
#include <string.h>

#include "backend/directory_redis/reply.h"
#include "core/assert.h"
#include "core/env.h"

enum { CHANGES_MAX = 1024, LOOKS_MAX = 1024 };

static const char alive[] = "chat:alive"; /* always subscribed: a connection without any is no longer one for changes, to hiredis; and a question that must be answered */
static const char *const of_presence[] = {"presence", NULL};

static chat_bytes key_of(const ch_redis_watched *user) {
  return ch_bytes_of(user->key, user->key_len);
}

/* ------------------------------------------------------------------------------------------------ CHANGES */

static ch_redis_watching *changed_of(ch_list *node) {
  return CH_LIST_ITEM(node, ch_redis_watching, changed);
}

static size_t count_changed(const ch_redis_port *port) {
  size_t count = 0;
  for (const ch_list *node = port->changed.next; node != &port->changed && count < CHANGES_MAX; node = node->next)
    count++;
  return count;
}

/* Copies first and takes out after, so that an answer without memory loses nothing. */
static int answer(ch_redis_port *port, chat_directory_changes *changes) {
  size_t count = count_changed(port);
  changes->users = chat_op_alloc(&changes->op, (count + 1) * sizeof *changes->users);
  if (!changes->users) return CHAT_E_NOMEM;
  ch_list *node = port->changed.next;
  for (size_t i = 0; i < count; i++, node = node->next) {
    const ch_redis_watched *user = changed_of(node)->user;
    changes->users[i] = (chat_presence){.online = user->online, .seen_ms = user->seen_ms};
    changes->users[i].user = chat_op_copy(&changes->op, ch_bytes_of(user->id, user->id_len));
    if (!changes->users[i].user.data) return CHAT_E_NOMEM;
  }
  for (size_t i = 0; i < count; i++)
    ch_list_pop_front(&port->changed);
  changes->count = count;
  changes->lost = port->lost;
  port->lost = false;
  return 0;
}

static void serve(ch_redis_port *port) {
  while (port->waiting.count > 0 && (port->lost || !ch_list_is_empty(&port->changed))) {
    chat_op *op = ch_op_queue_pop(&port->waiting);
    ch_port_finish(&port->port, op, answer(port, (chat_directory_changes *)(void *)op));
  }
}

void ch_redis_changes(ch_redis_port *port, chat_op *op) {
  chat_directory_changes *changes = (chat_directory_changes *)(void *)op;
  changes->count = 0;
  changes->lost = 0;
  if (ch_port_is_canceled(&port->port)) { /* after it was taken, before it came here */
    ch_port_finish(&port->port, op, CHAT_E_CANCELED);
    return;
  }
  ch_op_queue_push(&port->waiting, op);
  serve(port);
}

static void tell_watchers(ch_redis *directory, const ch_redis_watched *user) {
  ch_redis_count(&directory->figures.changes);
  CH_LIST_FOR_EACH(node, &user->watchings) {
    ch_redis_watching *watching = CH_LIST_ITEM(node, ch_redis_watching, of_user);
    if (ch_list_is_empty(&watching->changed)) ch_list_push_back(&watching->port->changed, &watching->changed);
    serve(watching->port);
  }
}

static void tell_lost(ch_redis *directory) {
  ch_redis_count(&directory->figures.lost);
  CH_LIST_FOR_EACH(node, &directory->ports) {
    ch_redis_port *port = CH_LIST_ITEM(node, ch_redis_port, of_directory);
    port->lost = port->watches.count > 0;
    serve(port);
  }
}

/* ------------------------------------------------------------------------------------------------ what is heard of a user */

static void hear(ch_redis *directory, ch_redis_watched *user, bool online, uint64_t seen_ms, bool is_told) {
  bool is_change = user->is_known ? user->online != online : is_told;
  user->is_known = true;
  user->online = online;
  user->seen_ms = seen_ms;
  if (is_change) tell_watchers(directory, user);
}

typedef struct look {
  chat_directory_presence op;
  uint32_t *messages; /* of each user, when it was asked */
} look;

void ch_redis_looked(ch_redis *directory, ch_redis_work *work, int status) {
  look *looked = (look *)(void *)work->op;
  ch_redis_work *waiter = work->waiter;
  for (size_t i = 0; i < looked->op.count && !status; i++) {
    const chat_presence *presence = &looked->op.users[i];
    ch_redis_tag tag = ch_redis_tag_of_user(presence->user);
    ch_redis_command command;
    ch_redis_command_init(&command, CH_REDIS_PRESENCE, &tag, of_presence);
    ch_redis_watched *user = ch_hashmap_find(&directory->watched, ch_bytes_of(command.keys[0].text, command.keys[0].len));
    if (user && user->messages == looked->messages[i] && presence->online != CH_REDIS_NOT_KNOWN) hear(directory, user, presence->online, presence->seen_ms, false);
  }
  ch_op_free(work->op);
  if (waiter) ch_redis_work_done(directory, waiter, 1, 0);
}

static look *new_look(ch_redis *directory, size_t count_max, ch_redis_work **work) {
  look *made = ch_op_new(directory->config.alloc, CHAT_OP_DIRECTORY_PRESENCE, sizeof *made);
  if (!made) return NULL;
  made->op.users = chat_op_alloc(&made->op.op, count_max * sizeof *made->op.users);
  made->messages = chat_op_alloc(&made->op.op, count_max * sizeof *made->messages);
  *work = chat_op_alloc(&made->op.op, sizeof **work);
  if (made->op.users && made->messages && *work) return made;
  ch_op_free(&made->op.op);
  return NULL;
}

static void add_look(ch_redis *directory, look *made, ch_redis_watched *user, uint64_t now_ms) {
  chat_bytes id = chat_op_copy(&made->op.op, ch_bytes_of(user->id, user->id_len));
  user->looked_ms = now_ms;
  ch_list_remove(&user->of_looks);
  ch_list_push_back(&directory->looks, &user->of_looks);
  if (!id.data) return; /* next time */
  made->messages[made->op.count] = user->messages;
  made->op.users[made->op.count++] = (chat_presence){.user = id};
}

static void begin_look(ch_redis *directory, look *made, ch_redis_work *work, ch_redis_work *waiter) {
  if (made->op.count == 0) {
    ch_op_free(&made->op.op);
    return;
  }
  *work = (ch_redis_work){.op = &made->op.op, .waiter = waiter, .began_ms = ch_redis_now_ms(directory)};
  ch_list_init(&work->of_directory);
  if (waiter) waiter->count++, waiter->left++;
  ch_redis_work_wait(directory, work, &ch_redis_look);
}

/* ------------------------------------------------------------------------------------------------ subscriptions */

static void confirm(ch_redis *directory, ch_redis_watched *user) {
  for (ch_list *node; (node = ch_list_pop_front(&user->confirming));)
    ch_redis_work_done(directory, CH_LIST_ITEM(node, ch_redis_step, of_conn)->work, 1, 0);
}

static void heard_of_subscription(ch_redis_conn *conn, ch_redis_watched *user) {
  ch_redis *directory = conn->node->directory;
  if (conn->asked > 0) conn->asked--;
  conn->asked_ms = ch_redis_now_ms(directory);
  if (user) confirm(directory, user);
}

static void heard_message(ch_redis *directory, ch_redis_watched *user, const redisReply *payload) {
  if (!user || !ch_redis_is_text(payload) || payload->len < 3) return;
  user->messages++;
  hear(directory, user, payload->str[0] == '1', strtoull(payload->str + 2, NULL, 10), true);
}

/* {"subscribe" or "message", channel, number or text} */
static void on_changes(redisAsyncContext *redis, void *data, void *arg) {
  (void)arg;
  ch_redis_conn *conn = redis->data;
  const redisReply *reply = data;
  if (conn->redis != redis) return;
  if (!reply) {
    ch_redis_conn_lost(conn);
    return;
  }
  if (!ch_redis_is_array(reply, 3) || !ch_redis_is_text(reply->element[0]) || !ch_redis_is_text(reply->element[1])) return;
  ch_redis *directory = conn->node->directory;
  ch_redis_watched *user = ch_hashmap_find(&directory->watched, ch_redis_text(reply->element[1]));
  if (strcmp(reply->element[0]->str, "subscribe") == 0)
    heard_of_subscription(conn, user);
  else if (strcmp(reply->element[0]->str, "message") == 0)
    heard_message(directory, user, reply->element[2]);
}

static void say(ch_redis_conn *conn, const char *verb, chat_bytes channel) {
  const char *words[] = {verb, (const char *)channel.data};
  const size_t lens[] = {strlen(verb), channel.len};
  redisAsyncCommandArgv(conn->redis, on_changes, NULL, 2, words, lens);
}

static void ask(ch_redis_conn *conn, chat_bytes channel) {
  if (conn->asked++ == 0) conn->asked_ms = ch_redis_now_ms(conn->node->directory);
  say(conn, "SUBSCRIBE", channel);
}

static bool is_up(const ch_redis_conn *conn) {
  return conn->state == CH_REDIS_UP && !conn->is_doomed;
}

/* A slot that moved: the new owner's messages come by the old one as well, as long as that is of the cluster. */
static void subscribe(ch_redis *directory, ch_redis_watched *user) {
  ch_redis_node *node = ch_redis_node_of(directory, user->slot);
  if (user->node && user->node != node && is_up(&user->node->changes)) say(&user->node->changes, "UNSUBSCRIBE", key_of(user));
  user->node = node;
  ch_redis_conn_want(&node->changes);
  if (is_up(&node->changes)) ask(&node->changes, key_of(user));
}

static void wait_for_confirmation(ch_redis_watched *user, ch_redis_step *step, ch_redis_work *work) {
  *step = (ch_redis_step){.work = work};
  ch_list_init(&step->of_conn);
  ch_redis_conn *conn = &user->node->changes;
  if (conn->state == CH_REDIS_DOWN || conn->is_doomed) return; /* when it is back its changes count as lost */
  work->count++;
  work->left++;
  ch_list_push_back(&user->confirming, &step->of_conn);
}

void ch_redis_watch_up(ch_redis_conn *conn) {
  ch_redis *directory = conn->node->directory;
  conn->asked = 0;
  ask(conn, ch_bytes_text(alive));
  ch_redis_work *work;
  look *made = new_look(directory, directory->watched.count + 1, &work);
  for (ch_hashmap_entry *entry = ch_hashmap_first(&directory->watched); entry; entry = ch_hashmap_next(&directory->watched, entry)) {
    ch_redis_watched *user = entry->value;
    if (user->node != conn->node) continue;
    ask(conn, key_of(user));
    if (made) add_look(directory, made, user, ch_redis_now_ms(directory));
  }
  if (made) begin_look(directory, made, work, NULL);
  if (conn->has_lost) tell_lost(directory);
  conn->has_lost = false;
}

void ch_redis_watch_down(ch_redis_conn *conn) {
  ch_redis *directory = conn->node->directory;
  conn->has_lost = true;
  conn->asked = 0;
  for (ch_hashmap_entry *entry = ch_hashmap_first(&directory->watched); entry; entry = ch_hashmap_next(&directory->watched, entry)) {
    ch_redis_watched *user = entry->value;
    if (user->node == conn->node) confirm(directory, user);
  }
}

/* ------------------------------------------------------------------------------------------------ WATCH */

static void forget(ch_redis *directory, ch_redis_watched *user) {
  if (user->node && is_up(&user->node->changes)) say(&user->node->changes, "UNSUBSCRIBE", key_of(user));
  ch_list_remove(&user->of_looks);
  ch_hashmap_remove(&directory->watched, key_of(user));
  ch_free(directory->config.alloc, user);
}

static ch_redis_watched *make_user(ch_redis *directory, chat_bytes id, const ch_redis_command *key) {
  ch_redis_watched *user = ch_calloc(directory->config.alloc, 1, sizeof *user);
  if (!user) return NULL;
  user->id_len = id.len;
  memcpy(user->id, id.data, id.len);
  user->slot = key->slot;
  user->key_len = key->keys[0].len;
  memcpy(user->key, key->keys[0].text, user->key_len);
  ch_list_init(&user->of_looks);
  ch_list_init(&user->watchings);
  ch_list_init(&user->confirming);
  if (!ch_hashmap_insert(&directory->watched, key_of(user), user)) return user;
  ch_free(directory->config.alloc, user);
  return NULL;
}

static ch_redis_watched *find_or_make_user(ch_redis *directory, chat_bytes id, const ch_redis_command *key) {
  ch_redis_watched *user = ch_hashmap_find(&directory->watched, ch_bytes_of(key->keys[0].text, key->keys[0].len));
  return user ? user : make_user(directory, id, key);
}

static int link_watching(ch_redis *directory, ch_redis_port *port, ch_redis_watched *user) {
  if (ch_hashmap_find(&port->watches, key_of(user))) return 0;
  if (port->watches.count == CH_REDIS_WATCHES_MAX) return CHAT_E_LIMIT;
  ch_redis_watching *watching = ch_calloc(directory->config.alloc, 1, sizeof *watching);
  if (!watching) return CHAT_E_NOMEM;
  *watching = (ch_redis_watching){.user = user, .port = port};
  ch_list_init(&watching->changed);
  int error = ch_hashmap_insert(&port->watches, key_of(user), watching);
  if (error)
    ch_free(directory->config.alloc, watching);
  else
    ch_list_push_back(&user->watchings, &watching->of_user);
  return error;
}

static void unlink_watching(ch_redis *directory, ch_redis_watching *watching) {
  ch_hashmap_remove(&watching->port->watches, key_of(watching->user));
  ch_list_remove(&watching->of_user);
  ch_list_remove(&watching->changed);
  ch_free(directory->config.alloc, watching);
}

void ch_redis_unwatch_all(ch_redis *directory, ch_redis_port *port) {
  for (ch_hashmap_entry *entry; (entry = ch_hashmap_first(&port->watches));)
    unlink_watching(directory, entry->value);
}

static void key_for(chat_bytes id, ch_redis_command *key) {
  ch_redis_tag tag = ch_redis_tag_of_user(id);
  ch_redis_command_init(key, CH_REDIS_PRESENCE, &tag, of_presence);
}

static void unwatch_one(ch_redis *directory, ch_redis_port *port, chat_bytes id) {
  ch_redis_command key;
  key_for(id, &key);
  ch_redis_watching *watching = ch_hashmap_find(&port->watches, ch_bytes_of(key.keys[0].text, key.keys[0].len));
  if (watching) unlink_watching(directory, watching);
}

/* Subscribed also where it is already: whoever watches again knows, once it is confirmed, what was published before. */
static int watch_one(ch_redis *directory, ch_redis_work *work, look *made, ch_redis_step *step, chat_bytes id) {
  ch_redis_command key;
  key_for(id, &key);
  ch_redis_watched *user = find_or_make_user(directory, id, &key);
  if (!user) return CHAT_E_NOMEM;
  int error = link_watching(directory, work->port, user);
  add_look(directory, made, user, ch_redis_now_ms(directory)); /* also of one that nobody watches after all: the next look forgets it */
  if (error) return error;
  subscribe(directory, user);
  wait_for_confirmation(user, step, work);
  return 0;
}

static int watch_all(ch_redis *directory, ch_redis_work *work, const chat_directory_watch *watch) {
  for (size_t i = 0; i < watch->remove_count; i++)
    unwatch_one(directory, work->port, watch->remove[i]);
  if (watch->add_count == 0) return 0;
  ch_redis_work *of_look;
  work->steps = chat_op_alloc(work->op, watch->add_count * sizeof *work->steps);
  look *made = work->steps ? new_look(directory, watch->add_count, &of_look) : NULL;
  int error = made ? 0 : CHAT_E_NOMEM;
  for (size_t i = 0; i < watch->add_count && !error; i++)
    error = watch_one(directory, work, made, &work->steps[i], watch->add[i]);
  if (made) begin_look(directory, made, of_look, work);
  return error;
}

static bool ids_valid(const chat_bytes *ids, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!ch_user_id_valid(ids[i])) return false;
  return true;
}

void ch_redis_watch(ch_redis *directory, ch_redis_work *work) {
  const chat_directory_watch *watch = (const chat_directory_watch *)(const void *)work->op;
  bool is_valid = ids_valid(watch->add, watch->add_count) && ids_valid(watch->remove, watch->remove_count);
  work->count = work->left = 1;
  int error = is_valid ? watch_all(directory, work, watch) : CHAT_E_INVALID;
  ch_redis_work_done(directory, work, 1, error);
}

/* ------------------------------------------------------------------------------------------------ looks */

static bool is_due(const ch_redis *directory, uint64_t now_ms) {
  if (ch_list_is_empty(&directory->looks)) return false;
  return CH_LIST_ITEM(directory->looks.next, ch_redis_watched, of_looks)->looked_ms + directory->config.look_ms <= now_ms;
}

static void look_at_one(ch_redis *directory, look *made, uint64_t now_ms) {
  ch_redis_watched *user = CH_LIST_ITEM(directory->looks.next, ch_redis_watched, of_looks);
  if (ch_list_is_empty(&user->watchings) && ch_list_is_empty(&user->confirming)) {
    forget(directory, user);
    return;
  }
  if (user->node != ch_redis_node_of(directory, user->slot)) subscribe(directory, user);
  add_look(directory, made, user, now_ms);
}

/* A connection that says nothing may be cut off without a word. */
static void ask_whether_alive(ch_redis *directory, uint64_t now_ms) {
  for (size_t i = 0; i < directory->node_count; i++) {
    ch_redis_conn *conn = &directory->nodes[i]->changes;
    if (is_up(conn) && conn->asked == 0 && conn->asked_ms + directory->config.look_ms <= now_ms) ask(conn, ch_bytes_text(alive));
  }
}

void ch_redis_watch_tick(ch_redis *directory, uint64_t now_ms) {
  ask_whether_alive(directory, now_ms);
  if (!is_due(directory, now_ms)) return;
  ch_redis_work *work;
  look *made = new_look(directory, LOOKS_MAX, &work);
  for (int left = LOOKS_MAX; made && left > 0 && is_due(directory, now_ms); left--)
    look_at_one(directory, made, now_ms);
  if (made) begin_look(directory, made, work, NULL);
}

void ch_redis_watch_fini(ch_redis *directory) {
  for (ch_hashmap_entry *entry; (entry = ch_hashmap_first(&directory->watched));)
    forget(directory, entry->value);
}
