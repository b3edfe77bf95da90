/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sequencer and a log with whatever: records of few users and conversations with any content, and bytes that are none. One owner works it off in one go; then several do, with ops that
 * fail, are done without an answer, or are cut by the owner's end, other batches, and room for few conversations. Whatever the log holds: both leave the same rows and states (P6), both
 * stand still at the first record that is none and nowhere else, each conversation's events are dense (P3), every task decodes, and all memory comes back.
 *
 * Input: pieces of the troubled owners' fates, then records of one byte, each followed by what it needs.
 */
#include <string.h>

#include "backend/store_mem.h"
#include "core/conversation_id.h"
#include "core/snowflake.h"
#include "fuzz/fuzz.h"
#include "fuzz/support/logged.h"
#include "fuzz/support/make.h"
#include "fuzz/support/memory.h"
#include "server/role/sequencer.h"

enum { BATCH_MAX = 16, RECORD_ROOM = 256 * 1024, MEMORY_MAX = 64 << 20, OPS_MAX = 100000, TROUBLES_MAX = 200, OWNERS_MAX = 8, FEW_CONVERSATIONS = 2, CONVERSATIONS_SEEN_MAX = FUZZ_LOGGED_MAX };

typedef struct conversation {
  uint8_t id[16];
  uint64_t head, row_count, row_sum; /* of the rows' seq */
} conversation;

/* What is there in the end. */
typedef struct ending {
  int fault;
  uint64_t position, hash;
  conversation seen[CONVERSATIONS_SEEN_MAX];
  size_t seen_count;
} ending;

typedef struct world {
  fuzz_memory memory;
  ch_env env;
  ch_sequencer_config config;
  ch_sequencer *sequencer;
  ch_role role;
  ch_now now;
  const fuzz_logged *log;
  fuzz_input *fates; /* NULL: all goes well */
  unsigned troubles;
  chat_backend store;
  void *port;
  ch_op_queue polls;
  uint64_t tasks_count;
} world;

static void no_wake(void *arg) {
  (void)arg;
}

/* --- what is there in the end --- */

static uint64_t mix(uint64_t hash, const void *data, size_t len) {
  for (size_t i = 0; i < len; i++)
    hash = (hash ^ ((const uint8_t *)data)[i]) * UINT64_C(1099511628211);
  return hash;
}

static uint64_t mix_bytes(uint64_t hash, chat_bytes bytes) {
  return mix(mix(hash, &bytes.len, sizeof bytes.len), bytes.data, bytes.len);
}

#define MIX(hash, field) mix(hash, &(field), sizeof(field))

static conversation *conversation_of(ending *e, const uint8_t id[16]) {
  for (size_t i = 0; i < e->seen_count; i++)
    if (memcmp(e->seen[i].id, id, 16) == 0) return &e->seen[i];
  ch_assert(e->seen_count < CONVERSATIONS_SEEN_MAX); /* a record touches one */
  conversation *added = &e->seen[e->seen_count++];
  *added = (conversation){.head = 0};
  memcpy(added->id, id, 16);
  return added;
}

static int see_row(void *arg, const chat_row *row) {
  ending *e = arg;
  conversation *of = conversation_of(e, row->conversation_id);
  uint64_t hash = MIX(e->hash, row->conversation_id);
  hash = MIX(MIX(MIX(MIX(hash, row->seq), row->msg_no), row->message_id), row->created_ms);
  hash = MIX(MIX(MIX(MIX(hash, row->client_seq), row->type), row->device_id), row->client_id);
  e->hash = mix_bytes(mix_bytes(hash, row->sender), row->payload);
  of->row_count++;
  of->row_sum += row->seq;
  return 0;
}

static uint64_t mix_member(uint64_t hash, const chat_member *member) {
  hash = MIX(MIX(mix_bytes(hash, member->user), member->role), member->position);
  for (size_t i = 0; i < member->interval_count; i++)
    hash = MIX(MIX(hash, member->intervals[i].joined), member->intervals[i].left);
  return hash;
}

static uint64_t mix_state(uint64_t hash, const chat_state *state) {
  hash = MIX(MIX(MIX(MIX(hash, state->kind), state->head), state->msg_no), state->message_id);
  hash = MIX(MIX(MIX(hash, state->position), state->member_count), state->history_from_start);
  hash = mix_bytes(MIX(hash, state->active_ms), state->title);
  for (size_t i = 0; i < state->member_count_here; i++)
    hash = mix_member(hash, &state->members[i]);
  for (size_t i = 0; i < state->sender_count; i++) {
    const chat_sender *sender = &state->senders[i];
    hash = MIX(MIX(MIX(MIX(mix_bytes(hash, sender->user), sender->device_id), sender->last), sender->position), sender->retired);
  }
  return hash;
}

static int see_conversation(void *arg, const uint8_t id[16]) {
  conversation_of(arg, id);
  return 0;
}

static void see_state(world *w, ending *e, conversation *of) {
  chat_store_state *op = ch_op_new(NULL, CHAT_OP_STORE_STATE, sizeof *op);
  ch_assert(op && ch_store_mem_state(w->store, of->id, &op->op, &op->state) == 0);
  e->hash = mix_state(e->hash, &op->state);
  of->head = op->state.head;
  ch_op_free(&op->op);
}

static void see_all(world *w, ending *e) {
  ch_store_mem_each_row(w->store, see_row, e);
  ch_store_mem_each_conversation(w->store, see_conversation, e);
  for (size_t i = 0; i < e->seen_count; i++) {
    conversation *of = &e->seen[i];
    see_state(w, e, of);
    ch_assert(of->row_count == of->head && of->row_sum == of->head * (of->head + 1) / 2); /* 1, 2, 3 … head */
  }
}

/* --- the backends --- */

static void task_decodes(chat_bytes data) {
  ch_arena arena;
  ch_tasks tasks;
  ch_arena_init(&arena, NULL, 1024, ch_decode_cap(data.len));
  int error = ch_tasks_decode(data, &arena, &tasks);
  ch_assert(!error && tasks.count > 0);
  ch_arena_fini(&arena);
}

static void append(world *w, chat_log_append *op) {
  for (size_t i = 0; i < op->count; i++) {
    task_decodes(op->records[i].data);
    op->records[i].position = ++w->tasks_count;
  }
}

static void ask_store(world *w, chat_op *op) {
  int error = w->store.vtable->submit(w->store.self, w->port, op);
  ch_assert(!error);
  chat_op *done = w->store.vtable->poll(w->store.self, w->port);
  ch_assert(done == op && op->status == 0);
}

static void perform(world *w, chat_op *op) {
  void *whole = op;
  switch (op->kind) {
  case CHAT_OP_LOG_INFO: fuzz_logged_info(w->log, whole); break;
  case CHAT_OP_LOG_APPEND: append(w, whole); break;
  case CHAT_OP_LOG_CONSUMED: ch_assert(((chat_log_consumed *)whole)->position <= w->log->count); break;
  default: ask_store(w, op); break;
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
  int error = ch_sequencer_new(&w->env, &w->config, &w->sequencer);
  ch_assert(!error);
  w->role = ch_sequencer_role(w->sequencer);
  error = ch_sequencer_assign(w->sequencer, 0, w->now);
  ch_assert(!error);
}

static void cancel_all(world *w) {
  for (chat_op *op = ch_op_queue_pop(&w->polls); op; op = ch_op_queue_pop(&w->polls))
    give(w, op, CHAT_E_CANCELED);
  for (chat_op *op = w->role.next_op(w->role.self); op; op = w->role.next_op(w->role.self))
    give(w, op, CHAT_E_CANCELED);
}

static void end_owner(world *w) {
  cancel_all(w);
  ch_sequencer_free(w->sequencer);
}

typedef enum fate { DONE, NOT_DONE, DONE_WITHOUT_AN_ANSWER, OWNER_ENDS, OWNER_ENDS_BEHIND_IT } fate;

static fate fate_of(world *w) {
  if (!w->fates || w->fates->len == 0 || w->troubles == TROUBLES_MAX) return DONE;
  uint8_t choice = fuzz_byte(w->fates);
  if (choice < 160) return DONE;
  w->troubles++;
  return choice < 200 ? NOT_DONE : choice < 240 ? DONE_WITHOUT_AN_ANSWER : choice < 248 ? OWNER_ENDS : OWNER_ENDS_BEHIND_IT;
}

static size_t records_a_read(world *w) {
  return w->fates && w->fates->len > 0 ? 1 + fuzz_byte(w->fates) % BATCH_MAX : BATCH_MAX;
}

/* False: this owner is no more. */
static bool meet_fate(world *w, chat_op *op) {
  fate how = fate_of(w);
  if (how != NOT_DONE && how != OWNER_ENDS) perform(w, op);
  if (how == OWNER_ENDS || how == OWNER_ENDS_BEHIND_IT) {
    give(w, op, CHAT_E_CANCELED);
    return false;
  }
  bool is_read = op->kind == CHAT_OP_STORE_STATE || op->kind == CHAT_OP_STORE_POSITION || op->kind == CHAT_OP_LOG_INFO;
  bool is_told = how == DONE || op->kind == CHAT_OP_LOG_CONSUMED;
  if (how == DONE_WITHOUT_AN_ANSWER && op->kind == CHAT_OP_LOG_APPEND)
    for (size_t i = 0; i < ((chat_log_append *)(void *)op)->count; i++) ((chat_log_append *)(void *)op)->records[i].position = 0;
  give(w, op, is_told || (is_read && how == DONE_WITHOUT_AN_ANSWER) ? 0 : how == NOT_DONE ? CHAT_E_AGAIN : CHAT_E_UNKNOWN);
  return true;
}

static bool do_one(world *w, chat_op *op) {
  if (op->kind != CHAT_OP_LOG_READ) return meet_fate(w, op);
  if (fuzz_logged_read(w->log, (chat_log_read *)(void *)op, records_a_read(w)))
    give(w, op, 0);
  else
    ch_op_queue_push(&w->polls, op);
  return true;
}

/* Until there is nothing left to do: what waits for its time is given it. False: this owner is no more. */
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

static void run(const fuzz_logged *log, ch_sequencer_config config, fuzz_input *fates, ending *e) {
  world w = {.config = config, .log = log, .fates = fates, .now = {1000, 1700000000000}};
  ch_store_mem_config options = {.derives_heads = config.store_derives_heads, .delivery_partitions = config.delivery_partitions};
  fuzz_memory_init(&w.memory, MEMORY_MAX);
  w.env = (ch_env){.alloc = &w.memory.alloc, .random = fill_random};
  int error = ch_store_mem_new(&options, &w.store);
  ch_assert(!error && w.store.vtable->port_new(w.store.self, (chat_wake){no_wake, NULL}, &w.port) == 0);
  begin_owner(&w);
  for (int owners = 1; !work(&w); owners++) {
    end_owner(&w);
    if (owners == OWNERS_MAX) w.fates = NULL;
    begin_owner(&w);
  }
  *e = (ending){.fault = ch_sequencer_fault(w.sequencer, 0), .position = ch_sequencer_get_stats(w.sequencer)->position};
  end_owner(&w);
  see_all(&w, e);
  w.store.vtable->port_cancel(w.store.self, w.port);
  w.store.vtable->port_free(w.store.self, w.port);
  w.store.vtable->free(w.store.self);
  fuzz_memory_end(&w.memory);
}

/* --- the log --- */

static chat_bytes make_record(fuzz_input *input, ch_arena *arena) {
  uint8_t choice = fuzz_byte(input);
  ch_record record = {.sender = fuzz_user(input), .client_seq = fuzz_number(input)};
  record.prev = choice & 1 ? fuzz_number(input) : record.client_seq ? record.client_seq - 1 : 0;
  fuzz_conversation(input, record.conversation_id);
  fuzz_id(input, record.device_id);
  fuzz_id(input, record.client_id);
  record.type = choice & 2 ? 1 + fuzz_byte(input) % CHAT_TYPE_DEVICE_RETIRED : CHAT_TYPE_MESSAGE;
  record.payload = fuzz_payload(input, arena, record.type);
  if (choice & 4) record.peer = fuzz_user(input);
  record.is_void = choice % 32 == 31;
  record.void_error = record.is_void ? CHAT_E_DENIED : 0;
  record.system = choice % 64 == 62;
  if (record.type == CHAT_TYPE_CREATE && choice & 8 && ch_user_id_valid(record.sender)) ch_conversation_id_group(record.sender, record.client_id, record.conversation_id);
  ch_buf out;
  ch_buf_init(&out, NULL, RECORD_ROOM);
  int error = ch_record_encode(&record, &out);
  chat_bytes bytes = {error ? NULL : ch_arena_dup(arena, out.data, out.len), error ? 0 : out.len};
  ch_buf_fini(&out);
  return bytes;
}

/* A record that is none is where everything stands still, so there are few. */
static void make_log(fuzz_input *input, ch_arena *arena, fuzz_logged *log) {
  uint64_t append_ms = CH_SNOWFLAKE_EPOCH_MS + 1000;
  while (input->len > 0) {
    uint8_t choice = fuzz_byte(input);
    append_ms = choice % 32 == 30 ? append_ms - append_ms / 1000 : append_ms + choice % 4; /* another leader of the log */
    chat_bytes record = choice == 255 ? fuzz_piece(input) : make_record(input, arena);
    if (!fuzz_logged_add(log, arena, record, append_ms)) return;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static fuzz_logged log;
  static ending whole, troubled;
  fuzz_input input = {data, len};
  ch_arena arena;
  uint8_t choice = fuzz_byte(&input);
  chat_bytes said = fuzz_piece(&input);
  fuzz_input fates = {said.data, said.len};
  ch_sequencer_config config = {.store_derives_heads = choice & 1,
                                .delivery_partitions = 1 + (choice >> 1 & 1),
                                .batch_count_max = BATCH_MAX,
                                .batch_bytes_max = 1 << 20,
                                .conversations_max = 100,
                                .retry_ms = 100};
  ch_arena_init(&arena, NULL, 4096, 64 << 20);
  log.count = 0;
  make_log(&input, &arena, &log);
  run(&log, config, NULL, &whole);
  config.batch_count_max = 1 + (choice >> 2) % BATCH_MAX;
  config.conversations_max = FEW_CONVERSATIONS;
  run(&log, config, &fates, &troubled);
  ch_assert(whole.fault == 0 || whole.fault == CHAT_E_CORRUPT);
  ch_assert(whole.fault == troubled.fault && whole.position == troubled.position);
  ch_assert(whole.fault || whole.position == log.count);
  ch_assert(whole.hash == troubled.hash);
  ch_arena_fini(&arena);
  return 0;
}
