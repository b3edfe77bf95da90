/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A deliverer and a log of tasks with whatever: events, heads, verdicts, receipts, typing for any users, channels, and bytes that are none; a store, a directory and links that answer, fail,
 * or do it without an answer; owners that end. Whatever the log holds: a position is raised only behind the heads of its record (V1), what goes to a gateway decodes and
 * names a gateway that was routed to or subscribed, consumed positions rise and stay within the log, bytes that are none are skipped, the end is reached when all goes well again, and
 * all memory comes back.
 *
 * Input: configuration of one byte, a piece of fates, then records of one byte, each followed by what it needs.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "fuzz/support/logged.h"
#include "fuzz/support/make.h"
#include "fuzz/support/memory.h"
#include "server/role/deliverer.h"

enum { BATCH_MAX = 8, RECORD_ROOM = 512 * 1024, MEMORY_MAX = 64 << 20, OPS_MAX = 100000, TROUBLES_MAX = 200, OWNERS_MAX = 8, TASKS_MAX = 4, USERS_MAX = 3, ROUTES_MAX = 3, GATEWAYS = 3 };

typedef struct world {
  fuzz_memory memory;
  ch_env env;
  ch_deliverer_config config;
  ch_deliverer *deliverer;
  ch_role role;
  ch_now now;
  fuzz_logged log;
  bool has_heads[FUZZ_LOGGED_MAX], is_written[FUZZ_LOGGED_MAX]; /* by record */
  fuzz_input fates;
  unsigned troubles;
  bool is_healed;
  ch_op_queue polls;
  uint64_t stored, consumed;
} world;

/* --- the log --- */

static void make_task(fuzz_input *input, ch_arena *arena, ch_task *task) {
  uint8_t choice = fuzz_byte(input);
  *task = (ch_task){.kind = CH_TASK_EVENT + choice % 4, .has_device = choice >> 2 & 1, .has_not_device = choice >> 3 & 1, .channel = choice >> 4 & 1};
  task->user_count = fuzz_byte(input) % (USERS_MAX + 1);
  chat_bytes *users = ch_arena_calloc(arena, USERS_MAX, sizeof *users);
  ch_assert(users != NULL);
  for (size_t i = 0; i < task->user_count; i++)
    users[i] = fuzz_user(input);
  task->users = users;
  if (task->has_device) fuzz_id(input, task->device_id);
  if (task->has_not_device) fuzz_id(input, task->not_device);
  switch (task->kind) {
  case CH_TASK_EVENT: fuzz_row(input, arena, &task->u.event); break;
  case CH_TASK_VERDICT: fuzz_verdict(input, &task->u.verdict); break;
  case CH_TASK_RECEIPTS: fuzz_receipts(input, arena, &task->u.receipts); break;
  case CH_TASK_TYPING:
    task->u.typing = (ch_typing){.user = fuzz_user(input), .typing = choice >> 5 & 1};
    fuzz_conversation(input, task->u.typing.conversation_id);
  }
  task->has_head = choice >> 6 & 1;
  if (!task->has_head) return;
  task->head = (chat_head){.kind = CHAT_GROUP, .role = CHAT_ROLE_MEMBER, .head = fuzz_number(input), .first = 1};
  memcpy(task->head.conversation_id, task->u.event.conversation_id, 16);
}

static chat_bytes make_tasks(const world *w, fuzz_input *input, ch_arena *arena) {
  static ch_task tasks[TASKS_MAX];
  ch_tasks record = {.tasks = tasks, .count = fuzz_byte(input) % (TASKS_MAX + 1)};
  if (w->config.store_derives_heads) record.position = fuzz_number(input); /* else a record's own is meant */
  for (size_t i = 0; i < record.count; i++)
    make_task(input, arena, &tasks[i]);
  ch_buf out;
  ch_buf_init(&out, NULL, RECORD_ROOM);
  int error = ch_tasks_encode(&record, &out);
  chat_bytes bytes = {error ? NULL : ch_arena_dup(arena, out.data, out.len), error ? 0 : out.len};
  ch_buf_fini(&out);
  return bytes;
}

/* As whoever reads it would see it. */
static bool has_heads(chat_bytes data) {
  ch_arena arena;
  ch_tasks tasks;
  bool any = false;
  ch_arena_init(&arena, NULL, 1024, ch_decode_cap(data.len));
  if (ch_tasks_decode(data, &arena, &tasks) == 0)
    for (size_t i = 0; i < tasks.count; i++)
      any |= tasks.tasks[i].kind == CH_TASK_EVENT && !tasks.tasks[i].channel && tasks.tasks[i].user_count > 0 && tasks.tasks[i].has_head;
  ch_arena_fini(&arena);
  return any;
}

static void make_log(world *w, fuzz_input *input, ch_arena *arena) {
  uint64_t append_ms = 1700000000000;
  while (input->len > 0) {
    uint8_t choice = fuzz_byte(input);
    append_ms += (uint64_t)(choice % 4) * 1000;
    if (!fuzz_logged_add(&w->log, arena, choice >= 250 ? fuzz_piece(input) : make_tasks(w, input, arena), append_ms)) return;
    w->has_heads[w->log.count - 1] = has_heads(w->log.records[w->log.count - 1].data);
  }
}

/* --- the backends --- */

static uint8_t choice_of(world *w) {
  return w->is_healed ? 0 : fuzz_byte(&w->fates);
}

static chat_bytes gateway(chat_op *op, uint8_t choice) {
  static const char *const names[GATEWAYS] = {"g1", "g2", "g3"};
  return chat_op_copy(op, ch_bytes_text(names[choice % GATEWAYS]));
}

static void route(world *w, chat_op *op, chat_raise *raises, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint8_t choice = choice_of(w);
    raises[i].status = !w->is_healed && choice % 16 == 13 ? CHAT_E_AGAIN : 0; /* a shard that is away */
    raises[i].route_count = choice % (ROUTES_MAX + 1);
    if (raises[i].status) raises[i].route_count = 0;
    raises[i].routes = chat_op_alloc(op, (raises[i].route_count + 1) * sizeof *raises[i].routes);
    for (size_t k = 0; k < raises[i].route_count; k++) {
      raises[i].routes[k].gateway = gateway(op, (uint8_t)(choice >> 2) + (uint8_t)k);
      memset(raises[i].routes[k].device_id, 1 + (choice >> 4), 16);
    }
    if (op->kind == CHAT_OP_DIRECTORY_RAISE && !raises[i].status) raises[i].previous = choice >> 6 ? choice : 0;
  }
}

static void raise_all(world *w, chat_directory_raise *op) {
  ch_assert(op->count > 0);
  bool is_ours = !w->config.store_derives_heads && op->position >= 1 && op->position <= w->log.count;
  ch_assert(w->config.store_derives_heads || is_ours);
  if (is_ours) ch_assert(!w->has_heads[op->position - 1] || w->is_written[op->position - 1]);
  route(w, &op->op, op->raises, op->count);
}

static void subscribers(world *w, chat_directory_subscribers *op) {
  uint8_t choice = choice_of(w);
  op->count = choice % (GATEWAYS + 1);
  op->gateways = chat_op_alloc(&op->op, (op->count + 1) * sizeof *op->gateways);
  for (size_t i = 0; i < op->count; i++)
    op->gateways[i] = gateway(&op->op, (uint8_t)i);
}

static void write_heads(world *w, const chat_store_write_heads *op) {
  ch_assert(!w->config.store_derives_heads && op->count > 0 && op->position >= 1 && op->position <= w->log.count);
  for (size_t i = 0; i < op->count; i++)
    ch_assert(op->heads[i].head.position == op->position);
  w->is_written[op->position - 1] = true;
  if (op->position > w->stored) w->stored = op->position;
}

static void is_understood(const chat_link_send *op) {
  ch_assert(op->gateway.len == 2 && op->gateway.data[0] == 'g' && op->count > 0);
  for (size_t i = 0; i < op->count; i++) {
    ch_arena arena;
    ch_delivered delivered;
    ch_arena_init(&arena, NULL, 1024, ch_decode_cap(op->deliveries[i].payload.len));
    int error = ch_delivered_decode(op->deliveries[i].payload, &arena, &delivered);
    ch_assert(!error);
    ch_arena_fini(&arena);
  }
}

static void consume(world *w, const chat_log_consumed *op) {
  ch_assert(op->position <= w->log.count && op->position >= w->consumed);
  w->consumed = op->position;
}

static void perform(world *w, chat_op *op) {
  void *whole = op;
  switch (op->kind) {
  case CHAT_OP_LOG_INFO: fuzz_logged_info(&w->log, whole); break;
  case CHAT_OP_STORE_POSITION: {
    chat_store_position *position = whole;
    position->position = w->stored;
    memset(position->log_identity, w->stored > 0, sizeof position->log_identity);
    break;
  }
  case CHAT_OP_STORE_WRITE_HEADS: write_heads(w, whole); break;
  case CHAT_OP_DIRECTORY_RAISE: raise_all(w, whole); break;
  case CHAT_OP_DIRECTORY_ROUTES: route(w, op, ((chat_directory_routes *)whole)->raises, ((chat_directory_routes *)whole)->count); break;
  case CHAT_OP_DIRECTORY_SUBSCRIBERS: subscribers(w, whole); break;
  case CHAT_OP_LINK_SEND: is_understood(whole); break;
  case CHAT_OP_LOG_CONSUMED: consume(w, whole); break;
  case CH_OP_AFTER_STORE: ch_assert(w->config.has_after_store); break;
  default: ch_assert(!"an op that a deliverer has no business with");
  }
}

static void give(world *w, chat_op *op, int status) {
  op->status = status;
  w->role.complete(w->role.self, op, w->now);
}

/* --- owners --- */

static void fill_random(void *arg, void *bytes, size_t len) {
  (void)arg;
  memset(bytes, 7, len);
}

static void begin_owner(world *w) {
  int error = ch_deliverer_new(&w->env, &w->config, &w->deliverer);
  ch_assert(!error);
  w->role = ch_deliverer_role(w->deliverer);
  w->consumed = 0;
  error = ch_deliverer_assign(w->deliverer, 0, w->now);
  ch_assert(!error);
}

static void end_owner(world *w) {
  for (chat_op *op = ch_op_queue_pop(&w->polls); op; op = ch_op_queue_pop(&w->polls))
    give(w, op, CHAT_E_CANCELED);
  for (chat_op *op = w->role.next_op(w->role.self); op; op = w->role.next_op(w->role.self))
    give(w, op, CHAT_E_CANCELED);
  ch_deliverer_free(w->deliverer);
}

/* 0, or an error that may come; done: the backend has done it all the same. CANCELED: the owner ends. */
static int fate_of(world *w, bool *done) {
  static const int errors[] = {CHAT_E_AGAIN, CHAT_E_UNKNOWN, CHAT_E_IO, CHAT_E_FULL, CHAT_E_NOT_FOUND};
  if (w->fates.len == 0 || w->troubles == TROUBLES_MAX) w->is_healed = true;
  uint8_t choice = choice_of(w);
  *done = choice < 160 || choice & 1;
  if (choice < 160) return 0;
  w->troubles++;
  return choice >= 252 ? CHAT_E_CANCELED : errors[choice % (sizeof errors / sizeof *errors)];
}

/* False: this owner is no more. */
static bool do_one(world *w, chat_op *op) {
  bool done;
  if (op->kind == CHAT_OP_LOG_READ) {
    if (fuzz_logged_read(&w->log, (chat_log_read *)(void *)op, 1 + choice_of(w) % BATCH_MAX))
      give(w, op, 0);
    else
      ch_op_queue_push(&w->polls, op);
    return true;
  }
  int status = fate_of(w, &done);
  if (status == CHAT_E_NOT_FOUND && op->kind != CHAT_OP_LINK_SEND) status = CHAT_E_AGAIN;
  if (done) perform(w, op);
  give(w, op, status);
  return status != CHAT_E_CANCELED;
}

static bool work(world *w) {
  for (int count = 0;; count++) {
    ch_assert(count < OPS_MAX);
    chat_op *op = w->role.next_op(w->role.self);
    if (op && !do_one(w, op)) return false;
    if (op) continue;
    uint64_t due_ms = w->role.deadline_ms(w->role.self);
    if (due_ms == CH_NEVER_MS) return true;
    if (due_ms > w->now.elapsed_ms) w->now.elapsed_ms = due_ms;
    w->role.tick(w->role.self, w->now);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static world w;
  fuzz_input input = {data, len};
  ch_arena arena;
  memset(&w, 0, sizeof w);
  uint8_t choice = fuzz_byte(&input);
  chat_bytes fates = fuzz_piece(&input);
  w.fates = (fuzz_input){fates.data, fates.len};
  w.now = (ch_now){1000, 1700000100000};
  w.config = (ch_deliverer_config){.store_derives_heads = choice & 1,
                                   .records_max = 1 + (choice >> 1) % BATCH_MAX,
                                   .rewind_ms = choice & 16 ? 3000 : 0,
                                   .retry_ms = 100,
                                   .has_after_store = choice >> 5 & 1};
  ch_arena_init(&arena, NULL, 4096, 64 << 20);
  make_log(&w, &input, &arena);
  fuzz_memory_init(&w.memory, MEMORY_MAX);
  w.env = (ch_env){.alloc = &w.memory.alloc, .random = fill_random};
  begin_owner(&w);
  for (int owners = 1; !work(&w); owners++) {
    end_owner(&w);
    w.is_healed = w.is_healed || owners == OWNERS_MAX;
    begin_owner(&w);
  }
  ch_assert(ch_deliverer_fault(w.deliverer, 0) == 0);
  uint64_t position = ch_deliverer_get_stats(w.deliverer)->position;
  ch_assert(position == w.log.count || (position == 0 && w.stored == w.log.count)); /* the last owner may have found nothing to do */
  end_owner(&w);
  fuzz_memory_end(&w.memory);
  ch_arena_fini(&arena);
  return 0;
}
