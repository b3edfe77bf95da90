/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P6: what is written is a function of the log's prefix. One log is worked off by one owner, then again and again by two, with the cut between them after each op; then
 * with memory running out at each allocation. The store is the one in memory. Everything that is written becomes a line of text, so that the runs can be compared.
 */
#include <inttypes.h>
#include <stdio.h>

#include "backend/store_mem.h"
#include "server/role/retry.h"
#include "unit/server/sequencer_peer.h"

enum { BATCH_COUNT = 4, LINES_MAX = 1024 };

typedef enum cut { NOT_DONE, DONE_AND_NOT_ACKNOWLEDGED, STATES_WITHOUT_POSITION } cut;

typedef struct lines {
  char *items[LINES_MAX];
  size_t count;
} lines;

static chat_backend store;
static void *port;
static lines written;
static size_t tasks_count;

/* --- text --- */

static void add_line(lines *to, char *text) {
  ck_assert_uint_lt(to->count, LINES_MAX);
  to->items[to->count++] = text;
}

static bool has_line(const lines *in, const char *text) {
  for (size_t i = 0; i < in->count; i++) {
    if (strcmp(in->items[i], text) == 0) return true;
  }
  return false;
}

static void free_lines(lines *of) {
  for (size_t i = 0; i < of->count; i++)
    free(of->items[i]);
  of->count = 0;
}

static void put_hex(FILE *out, const void *data, size_t len) {
  for (size_t i = 0; i < len; i++)
    fprintf(out, "%02x", ((const uint8_t *)data)[i]);
  fputc(' ', out);
}

static void put_numbers(FILE *out, const uint64_t *numbers, size_t count) {
  for (size_t i = 0; i < count; i++)
    fprintf(out, "%" PRIu64 " ", numbers[i]);
}

#define PUT_NUMBERS(out, ...) put_numbers(out, (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void put_row(FILE *out, const chat_row *row) {
  fputs("row ", out);
  put_hex(out, row->conversation_id, 16);
  PUT_NUMBERS(out, row->seq, row->msg_no, row->message_id, row->created_ms, row->client_seq, row->type);
  put_hex(out, row->sender.data, row->sender.len);
  put_hex(out, row->device_id, 16);
  put_hex(out, row->client_id, 16);
  put_hex(out, row->payload.data, row->payload.len);
}

static void put_member(FILE *out, const chat_member *member) {
  fputs(" member ", out);
  put_hex(out, member->user.data, member->user.len);
  PUT_NUMBERS(out, member->role, member->position);
  for (size_t i = 0; i < member->interval_count; i++)
    PUT_NUMBERS(out, member->intervals[i].joined, member->intervals[i].left);
}

static void put_sender(FILE *out, const chat_sender *sender) {
  fputs(" sender ", out);
  put_hex(out, sender->user.data, sender->user.len);
  put_hex(out, sender->device_id, 16);
  PUT_NUMBERS(out, sender->last, sender->position, sender->retired);
}

static void put_state(FILE *out, const chat_state *state) {
  fputs("state ", out);
  put_hex(out, state->conversation_id, 16);
  PUT_NUMBERS(out, state->kind, state->history_from_start, state->head, state->msg_no, state->message_id, state->position, state->member_count, state->active_ms);
  put_hex(out, state->title.data, state->title.len);
  for (size_t i = 0; i < state->member_count_here; i++)
    put_member(out, &state->members[i]);
  for (size_t i = 0; i < state->sender_count; i++)
    put_sender(out, &state->senders[i]);
}

static FILE *begin_line(char **text) {
  static size_t len;
  FILE *out = open_memstream(text, &len);
  ck_assert_ptr_nonnull(out);
  return out;
}

#define LINE(to, put, of) \
  do { \
    char *text; \
    FILE *out = begin_line(&text); \
    put(out, of); \
    fclose(out); \
    add_line(to, text); \
  } while (0)

static void put_task(FILE *out, const ch_tasks *alone) {
  ch_buf buf;
  ch_buf_init(&buf, NULL, 1 << 20);
  ck_assert_int_eq(ch_tasks_encode(alone, &buf), 0);
  fputs(alone->tasks->kind == CH_TASK_VERDICT ? "verdict " : "task ", out);
  put_hex(out, buf.data, buf.len);
  ch_buf_fini(&buf);
}

/* One by one: a record has the tasks of all conversations of a batch, and one of them may have been ahead. */
static void put_tasks(const chat_log_record *record) {
  ch_tasks tasks;
  ck_assert_int_eq(ch_tasks_decode(record->data, &kept, &tasks), 0);
  for (size_t i = 0; i < tasks.count; i++) {
    ch_tasks alone = {.position = tasks.position, .tasks = &tasks.tasks[i], .count = 1};
    LINE(&written, put_task, &alone);
  }
}

static void write_down(const chat_op *op) {
  const chat_store_apply *apply = (const chat_store_apply *)(const void *)op;
  const chat_log_append *append = (const chat_log_append *)(const void *)op;
  for (size_t i = 0; op->kind == CHAT_OP_STORE_APPLY && i < apply->row_count; i++)
    LINE(&written, put_row, &apply->rows[i]);
  for (size_t i = 0; op->kind == CHAT_OP_STORE_APPLY && i < apply->state_count; i++)
    LINE(&written, put_state, &apply->states[i]);
  for (size_t i = 0; op->kind == CHAT_OP_LOG_APPEND && i < append->count; i++)
    put_tasks(&append->records[i]);
}

static int put_stored_row(void *arg, const chat_row *row) {
  LINE((lines *)arg, put_row, row);
  return 0;
}

static int put_stored_conversation(void *arg, const uint8_t id[16]) {
  memcpy((uint8_t *)arg + 16 * (*((uint8_t *)arg))++ + 16, id, 16);
  return 0;
}

static void put_stored_states(lines *to) {
  uint8_t ids[17][16] = {{0}}; /* the first byte counts */
  ch_store_mem_each_conversation(store, put_stored_conversation, ids);
  for (uint8_t i = 0; i < ids[0][0]; i++) {
    chat_store_state *op = ch_op_new(NULL, CHAT_OP_STORE_STATE, sizeof *op);
    ck_assert_int_eq(ch_store_mem_state(store, ids[i + 1], &op->op, &op->state), 0);
    LINE(to, put_state, &op->state);
    ch_op_free(&op->op);
  }
}

static void put_stored(lines *to) {
  ch_store_mem_each_row(store, put_stored_row, to);
  put_stored_states(to);
}

/* --- the backends --- */

static bool reads_nothing(const chat_op *op) {
  return op->kind == CHAT_OP_LOG_READ && ((const chat_log_read *)(const void *)op)->after == logged_count;
}

static bool has_answer(const chat_op *op, uint32_t kind) {
  (void)kind;
  return !reads_nothing(op);
}

/* Batches end at the same places, wherever one begins. */
static void read_batch(chat_log_read *op) {
  fill_read(op, op->count_max - op->after % op->count_max);
}

static void do_append(chat_log_append *op) {
  for (size_t i = 0; i < op->count; i++)
    op->records[i].position = ++tasks_count;
}

static void do_store(chat_op *op) {
  ck_assert_int_eq(store.vtable->submit(store.self, port, op), 0);
  ck_assert_ptr_eq(store.vtable->poll(store.self, port), op);
  ck_assert_int_eq(op->status, 0);
}

/* What backends take of an op's memory is not what runs out here. */
static void perform(chat_op *op) {
  size_t left = memory.left;
  memory.left = SIZE_MAX;
  switch (op->kind) {
  case CHAT_OP_LOG_INFO: fill_info((void *)op); break;
  case CHAT_OP_LOG_READ: read_batch((void *)op); break;
  case CHAT_OP_LOG_APPEND: do_append((void *)op); break;
  case CHAT_OP_LOG_CONSUMED: break;
  default: do_store(op); break;
  }
  memory.left = left;
  write_down(op);
}

/* Until there is nothing to do, or `ops` are done. false: there was nothing left to do. */
static bool work(size_t ops) {
  for (; ops > 0; ops--) {
    chat_op *op = find_first(has_answer, 0);
    if (!op) return false;
    perform(op);
    give(op, 0);
  }
  return true;
}

/* The process ends in the middle of its next op. */
static void is_killed(cut how) {
  chat_op *op = find_first(has_answer, 0);
  if (op && how == STATES_WITHOUT_POSITION && op->kind == CHAT_OP_STORE_APPLY) ((chat_store_apply *)(void *)op)->position = 0;
  if (op && how != NOT_DONE) perform(op);
  if (op) give(op, CHAT_E_CANCELED);
  cancel_ops();
  ch_sequencer_free(sequencer);
}

static void starts(void) {
  sequencer_begin();
  ck_assert_int_eq(ch_sequencer_assign(sequencer, partition, now), 0);
}

static void ends_at_the_end_of_the_log(void) {
  ck_assert_int_eq(ch_sequencer_fault(sequencer, partition), 0);
  ck_assert_uint_eq(ch_sequencer_get_stats(sequencer)->position, logged_count);
  is_killed(NOT_DONE);
}

static void open_store(void) {
  chat_wake wake = {0};
  ch_store_mem_config options = {.derives_heads = config.store_derives_heads, .delivery_partitions = config.delivery_partitions};
  ck_assert_int_eq(ch_store_mem_new(&options, &store), 0);
  ck_assert_int_eq(store.vtable->port_new(store.self, wake, &port), 0);
}

static void close_store(void) {
  store.vtable->port_cancel(store.self, port);
  store.vtable->port_free(store.self, port);
  store.vtable->free(store.self);
}

/* --- the log --- */

static void log_direct(const char *user, const char *peer, uint64_t client_seq) {
  uint8_t id[16];
  ch_content content = {.type = CHAT_TYPE_MESSAGE, .body = ch_bytes_text("hi")};
  ch_conversation_id_direct(ch_bytes_text(user), ch_bytes_text(peer), id);
  ch_record record = record_of(id, user, client_seq, &content);
  record.peer = ch_bytes_text(peer);
  log_record(&record);
}

static void log_odd(bool is_void, uint64_t client_seq, uint64_t prev) {
  ch_content content = {.type = CHAT_TYPE_MESSAGE, .body = ch_bytes_text("x")};
  ch_record record = record_of(group, "bob", client_seq, &content);
  record.is_void = is_void;
  record.prev = prev;
  log_record(&record);
}

static void log_retired(void) {
  ch_content content = {.type = CHAT_TYPE_DEVICE_RETIRED};
  memset(content.device_id, 'b', 16);
  ch_record record = record_of(group, "bob", 1, &content);
  memset(record.device_id, 'B', 16);
  log_record(&record);
}

static void log_channel(void) {
  uint8_t id[16];
  chat_bytes users[] = {ch_bytes_text("alice"), ch_bytes_text("carol")};
  ch_conversation_id_group(ch_bytes_text("bob"), group_client_id, id);
  log_content(id, "bob", 1, (ch_content){.type = CHAT_TYPE_CREATE, .conversation_kind = CHAT_CHANNEL, .title = ch_bytes_text("news"), .users = users, .user_count = 2});
  log_message(id, "alice", 1, "in the channel");
  log_user(id, "bob", 2, CHAT_TYPE_MEMBER_REMOVE, "carol");
  log_message(id, "carol", 1, "refused");
}

/* Something of everything; conversations mixed. */
static void write_log(void) {
  log_create(CHAT_GROUP);
  log_message(group, "bob", 1, "one");
  log_direct("alice", "bob", 1);
  log_message(group, "bob", 1, "one"); /* DUP */
  log_odd(false, 5, 3);                /* GAP */
  log_odd(true, 2, 0);
  log_channel();
  log_user(group, "alice", 2, CHAT_TYPE_MEMBERS_ADD, "carol");
  log_ms -= 3000; /* another leader of the log */
  log_content(group, "alice", 3, (ch_content){.type = CHAT_TYPE_TITLE, .title = ch_bytes_text("a title")});
  log_direct("bob", "alice", 1);
  log_direct("bob", "alice", 1);
  log_message(group, "eve", 1, "a stranger");
  log_user(group, "alice", 4, CHAT_TYPE_MEMBER_REMOVE, "carol");
  log_message(group, "carol", 1, "too late");
  log_retired();
  log_message(group, "bob", 3, "from a retired device");
  log_content(group, "alice", 5, (ch_content){.type = CHAT_TYPE_TO_CHANNEL});
  log_message(group, "alice", 6, "in what is a channel now");
  log_user(group, "alice", 7, CHAT_TYPE_OWNER, "bob");
}

/* --- one owner --- */

typedef struct reference {
  lines written, stored;
  size_t ops_count;
} reference;

static void begin_world(uint32_t derives_heads) {
  sequencer_config_default();
  config.store_derives_heads = derives_heads;
  config.batch_count_max = BATCH_COUNT;
  open_store();
  write_log();
}

static void end_world(void) {
  ck_assert_uint_eq(memory.live, 0);
  free_lines(&written);
  close_store();
  log_end();
}

static void run_reference(reference *of, uint32_t derives_heads) {
  begin_world(derives_heads);
  starts();
  while (work(1))
    of->ops_count++;
  const ch_sequencer_stats *stats = ch_sequencer_get_stats(sequencer);
  ck_assert_uint_eq(stats->committed, 14);
  ck_assert_uint_eq(stats->refused, 5);
  ck_assert_uint_eq(stats->dup, 2);
  ck_assert_uint_eq(stats->gap, 1);
  ends_at_the_end_of_the_log();
  put_stored(&of->stored);
  of->written = written;
  written.count = 0;
  end_world();
}

static void free_reference(reference *of) {
  free_lines(&of->written);
  free_lines(&of->stored);
}

/* --- two owners --- */

static void is_stored_as_in(const reference *of) {
  lines stored = {.count = 0};
  put_stored(&stored);
  ck_assert_uint_eq(stored.count, of->stored.count);
  for (size_t i = 0; i < stored.count; i++)
    ck_assert_str_eq(stored.items[i], of->stored.items[i]);
  free_lines(&stored);
}

/* Nothing else was written, by either owner. */
static void is_written_as_in(const reference *of, const char *beginning) {
  for (size_t i = 0; i < written.count; i++) {
    if (strncmp(written.items[i], beginning, strlen(beginning)) != 0) continue;
    ck_assert_msg(has_line(&of->written, written.items[i]), "%s", written.items[i]);
  }
}

/* A verdict may be lost between its state and itself (a number that is sent again brings it again), and where heads are derived so may a task. */
static void lacks_nothing_of(const reference *of) {
  for (size_t i = 0; i < of->written.count; i++) {
    const char *line = of->written.items[i];
    bool may_be_lost = strncmp(line, "verdict", 7) == 0 || (config.store_derives_heads && strncmp(line, "task", 4) == 0);
    ck_assert_msg(may_be_lost || has_line(&written, line), "%s", line);
  }
}

static void run_cut(const reference *of, uint32_t derives_heads, size_t after_ops, cut how, uint32_t batch_count) {
  begin_world(derives_heads);
  starts();
  work(after_ops);
  is_killed(how);
  config.batch_count_max = batch_count;
  starts();
  work(SIZE_MAX);
  ends_at_the_end_of_the_log();
  is_stored_as_in(of);
  is_written_as_in(of, batch_count == BATCH_COUNT ? "" : "row");
  if (batch_count == BATCH_COUNT) lacks_nothing_of(of);
  end_world();
}

static void cut_everywhere(uint32_t derives_heads, cut how, uint32_t batch_count) {
  reference of = {.ops_count = 0};
  run_reference(&of, derives_heads);
  for (size_t i = 0; i <= of.ops_count; i++)
    run_cut(&of, derives_heads, i, how, batch_count);
  free_reference(&of);
}

START_TEST(a_new_owner_writes_the_same) {
  for (uint32_t derives_heads = 0; derives_heads < 2; derives_heads++) {
    cut_everywhere(derives_heads, NOT_DONE, BATCH_COUNT);
    cut_everywhere(derives_heads, DONE_AND_NOT_ACKNOWLEDGED, BATCH_COUNT);
  }
}
END_TEST

/* Where state and position are not one write, a conversation may be ahead of the position: that of the batch that was under way. */
START_TEST(a_conversation_that_is_ahead_is_not_changed) {
  cut_everywhere(0, STATES_WITHOUT_POSITION, BATCH_COUNT);
}
END_TEST

START_TEST(batches_of_another_size_give_the_same_rows_and_state) {
  for (uint32_t derives_heads = 0; derives_heads < 2; derives_heads++) {
    cut_everywhere(derives_heads, DONE_AND_NOT_ACKNOWLEDGED, 1);
    cut_everywhere(derives_heads, DONE_AND_NOT_ACKNOWLEDGED, 7);
  }
}
END_TEST

/* Another owner, in a process of its own. */
typedef struct other {
  ch_sequencer *sequencer;
  ch_role role;
  ch_op_queue outside;
} other;

static void swap_with(other *zombie) {
  pull();
  other mine = {sequencer, role, outside};
  sequencer = zombie->sequencer;
  role = zombie->role;
  outside = zombie->outside;
  *zombie = mine;
}

static void take_turns(other *zombie) {
  for (bool is_busy = true; is_busy;) {
    is_busy = work(1);
    swap_with(zombie);
    is_busy |= work(1);
    swap_with(zombie);
  }
}

/* A zombie goes on writing beside the new owner, op by op in turn: nothing of it moves anything back. What an owner reads and did not expect makes it read again (S3). */
static void run_with_zombie(const reference *of, uint32_t derives_heads, size_t head_start) {
  other zombie = {0};
  begin_world(derives_heads);
  starts();
  work(head_start);
  pull();
  zombie = (other){sequencer, role, outside};
  outside = (ch_op_queue){0};
  starts();
  for (int i = 0; i < 5; i++, pass_time(CH_RETRY_MAX_MS))
    take_turns(&zombie);
  ends_at_the_end_of_the_log();
  sequencer = zombie.sequencer, role = zombie.role, outside = zombie.outside;
  is_killed(NOT_DONE);
  is_stored_as_in(of);
  is_written_as_in(of, "");
  end_world();
}

START_TEST(a_zombie_writes_the_same) {
  for (uint32_t derives_heads = 0; derives_heads < 2; derives_heads++) {
    reference of = {.ops_count = 0};
    run_reference(&of, derives_heads);
    for (size_t i = 0; i <= of.ops_count; i++)
      run_with_zombie(&of, derives_heads, i);
    free_reference(&of);
  }
}
END_TEST

/* --- memory --- */

static void start_with_little_memory(size_t allocations) {
  memory.left = allocations;
  if (ch_sequencer_new(&env, &config, &sequencer)) {
    memory.left = SIZE_MAX;
    sequencer_begin();
  }
  role = ch_sequencer_role(sequencer);
  if (ch_sequencer_assign(sequencer, partition, now)) {
    memory.left = SIZE_MAX;
    ck_assert_int_eq(ch_sequencer_assign(sequencer, partition, now), 0);
  }
}

/* Memory is out once `allocations` were made, for a second and all that is tried in it; then it is there again. true: it was never out. */
static bool run_with_little_memory(const reference *of, uint32_t derives_heads, size_t allocations) {
  begin_world(derives_heads);
  start_with_little_memory(allocations);
  for (int i = 0; i < 10; i++) {
    work(SIZE_MAX);
    pass_time(RETRY_MS);
  }
  bool was_enough = memory.left > 0 && memory.left <= allocations;
  memory.left = SIZE_MAX;
  for (int i = 0; i < 3; i++) {
    pass_time(CH_RETRY_MAX_MS);
    work(SIZE_MAX);
  }
  ends_at_the_end_of_the_log();
  is_stored_as_in(of);
  is_written_as_in(of, "");
  lacks_nothing_of(of);
  end_world();
  return was_enough;
}

START_TEST(memory_that_runs_out_costs_time_alone) {
  for (uint32_t derives_heads = 0; derives_heads < 2; derives_heads++) {
    reference of = {.ops_count = 0};
    run_reference(&of, derives_heads);
    size_t allocations = 0;
    while (!run_with_little_memory(&of, derives_heads, allocations))
      allocations++;
    ck_assert_uint_gt(allocations, 100);
    free_reference(&of);
  }
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {a_new_owner_writes_the_same, 0},
      {a_conversation_that_is_ahead_is_not_changed, 0},
      {batches_of_another_size_give_the_same_rows_and_state, 0},
      {a_zombie_writes_the_same, 0},
      {memory_that_runs_out_costs_time_alone, 0},
  };
  return RUN_TESTS("sequencer_replay", rows);
}
