/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a batch's effects, verdicts, what is written, what is read. The rules of judgement are in test_judge.c. */
#include <stdio.h>

#include "unit/server/sequencer_peer.h"

static void begin(uint64_t stored) {
  sequencer_begin();
  assign(stored);
}

static chat_store_apply *take_rows(size_t count) {
  chat_store_apply *op = take_op(CHAT_OP_STORE_APPLY);
  ck_assert_uint_eq(op->partition, partition);
  ck_assert_uint_eq(op->position, 0);
  ck_assert_uint_eq(op->row_count, count);
  ck_assert_uint_eq(op->state_count, 0);
  return op;
}

static chat_store_apply *take_states(uint64_t position, size_t count) {
  chat_store_apply *op = take_op(CHAT_OP_STORE_APPLY);
  ck_assert_uint_eq(op->partition, partition);
  ck_assert_uint_eq(op->position, position);
  ck_assert_uint_eq(op->row_count, 0);
  ck_assert_uint_eq(op->state_count, count);
  return op;
}

static const chat_member *member_in(const chat_state *state, const char *user) {
  for (size_t i = 0; i < state->member_count_here; i++) {
    if (ch_bytes_equal(state->members[i].user, ch_bytes_text(user))) return &state->members[i];
  }
  return NULL;
}

static void is_sender(const chat_sender *sender, const char *user, uint64_t last, uint64_t position) {
  ck_assert(ch_bytes_equal(sender->user, ch_bytes_text(user)));
  ck_assert_int_eq(sender->device_id[15], user[0]);
  ck_assert_uint_eq(sender->last, last);
  ck_assert_uint_eq(sender->position, position);
}

static void is_verdict(const ch_task *task, const char *user, ch_verdict_code code, uint64_t client_seq, uint64_t last, int32_t error) {
  ck_assert_int_eq(task->kind, CH_TASK_VERDICT);
  ck_assert_uint_eq(task->user_count, 1);
  ck_assert(ch_bytes_equal(task->users[0], ch_bytes_text(user)));
  ck_assert(task->has_device);
  ck_assert_int_eq(task->device_id[0], user[0]);
  ck_assert_int_eq(task->u.verdict.code, code);
  ck_assert_uint_eq(task->u.verdict.client_seq, client_seq);
  ck_assert_uint_eq(task->u.verdict.last, last);
  ck_assert_int_eq(task->u.verdict.error, error);
  ck_assert_mem_eq(task->u.verdict.client_id, group_client_id, 16);
}

/* --- the order of the steps --- */

/* Each step begins when the one before is acknowledged: rows, tasks, states with the position, verdicts (S1), consumed. */
START_TEST(effects_come_first_and_state_last) {
  log_create(CHAT_GROUP);
  log_message(group, "bob", 1, "hello");
  log_message(group, "bob", 1, "hello");
  begin(0);
  reads(3);
  does_not_exist(group);

  chat_store_apply *rows = take_rows(2);
  for (uint64_t i = 0; i < 2; i++) {
    ck_assert_uint_eq(rows->rows[i].seq, i + 1);
    ck_assert_uint_eq(rows->rows[i].msg_no, i);
    ck_assert_uint_eq(rows->rows[i].created_ms, logged[i].append_ms);
    ck_assert_uint_eq(rows->rows[i].message_id, ch_snowflake_compose(logged[i].append_ms, 0, 0));
  }
  rests();
  give(rows, 0);

  ck_assert_uint_gt(count_ops(CHAT_OP_LOG_APPEND), 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_APPLY), 0);
  size_t count;
  ch_task *tasks = take_tasks(&count, 0);
  for (size_t i = 0; i < count; i++)
    ck_assert_int_eq(tasks[i].kind, CH_TASK_EVENT);

  chat_store_apply *states = take_states(3, 1);
  ck_assert_mem_eq(states->states->conversation_id, group, 16);
  ck_assert_uint_eq(states->states->head, 2);
  ck_assert_uint_eq(states->states->position, 3);
  rests();
  give(states, 0);

  tasks = take_tasks(&count, 0);
  ck_assert_uint_eq(count, 1);
  is_verdict(tasks, "bob", CH_VERDICT_DUP, 1, 1, 0);
  ck_assert_uint_eq(tasks->u.verdict.head, 2);
  consumes(3);
  rests();

  const ch_sequencer_stats *stats = ch_sequencer_get_stats(sequencer);
  ck_assert_uint_eq(stats->committed, 2);
  ck_assert_uint_eq(stats->dup, 1);
  ck_assert_uint_eq(stats->batches, 1);
  ck_assert_uint_eq(stats->position, 3);
  ck_assert(ch_sequencer_idle(sequencer));
  sequencer_end();
}
END_TEST

/* The tasks of several partitions are appended beside each other; all of them are waited for. */
START_TEST(state_waits_for_every_partition_of_tasks) {
  config.delivery_partitions = 16;
  chat_bytes users[] = {ch_bytes_text("bob"), ch_bytes_text("carol"), ch_bytes_text("dave"), ch_bytes_text("eve")};
  log_content(group, "alice", 1, (ch_content){.type = CHAT_TYPE_CREATE, .conversation_kind = CHAT_GROUP, .users = users, .user_count = 4});
  begin(0);
  reads(1);
  does_not_exist(group);
  give(take_rows(1), 0);
  size_t appends = count_ops(CHAT_OP_LOG_APPEND);
  ck_assert_uint_gt(appends, 1);
  for (; appends > 0; appends--) {
    ck_assert_uint_eq(count_ops(CHAT_OP_STORE_APPLY), 0);
    give(take_op(CHAT_OP_LOG_APPEND), 0);
  }
  give(take_states(1, 1), 0);
  consumes(1);
  sequencer_end();
}
END_TEST

/* V7: rows, states and position in one; the tasks carry the position of the state that covers them. */
START_TEST(a_store_that_derives_heads_gets_everything_in_one) {
  config.store_derives_heads = 1;
  log_create(CHAT_GROUP);
  log_message(group, "bob", 2, "gap? no: prev is 0");
  log_message(group, "bob", 1, "late");
  begin(0);
  reads(3);
  does_not_exist(group);

  chat_store_apply *all = take_op(CHAT_OP_STORE_APPLY);
  ck_assert_uint_eq(all->position, 3);
  ck_assert_uint_eq(all->row_count, 2);
  ck_assert_uint_eq(all->state_count, 1);
  rests();
  give(all, 0);

  size_t count;
  ch_task *tasks = take_tasks(&count, 3);
  ck_assert_uint_gt(count, 2);
  for (size_t i = 0; i + 1 < count; i++) {
    ck_assert_int_eq(tasks[i].kind, CH_TASK_EVENT);
    ck_assert(!tasks[i].has_head);
  }
  is_verdict(&tasks[count - 1], "bob", CH_VERDICT_DUP, 1, 2, 0);
  consumes(3);
  rests();
  sequencer_end();
}
END_TEST

START_TEST(the_next_batch_is_read_meanwhile_and_folded_after) {
  log_create(CHAT_GROUP);
  log_message(group, "bob", 1, "one");
  begin(0);
  reads(1);
  does_not_exist(group);
  reads(1);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_READ), 0); /* one batch waits: no more are read */
  give(take_rows(1), 0);
  size_t count;
  take_tasks(&count, 0);
  chat_store_apply *states = take_states(1, 1);
  rests();
  give(states, 0);
  consumes(1);
  chat_store_apply *rows = take_rows(1); /* known by now: not asked for again */
  ck_assert_uint_eq(rows->rows->seq, 2);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_READ), 1);
  give(rows, 0);
  sequencer_end();
}
END_TEST

/* --- verdicts and cells --- */

START_TEST(each_verdict_goes_to_the_sending_device) {
  log_create(CHAT_GROUP);
  ch_content content = {.type = CHAT_TYPE_MESSAGE, .body = ch_bytes_text("x")};
  ch_record record = record_of(group, "bob", 3, &content);
  record.prev = 2;
  log_record(&record); /* GAP */
  record = record_of(group, "bob", 1, &content);
  record.is_void = 1;
  log_record(&record); /* REFUSED */
  log_record(&record); /* DUP */
  log_message(group, "eve", 1, "a stranger");
  record = record_of(group, "eve", 0, &content);
  record.system = 1;
  record.type = CHAT_TYPE_CREATE; /* refused, and nobody is told: the system has no device */
  log_record(&record);
  begin(0);
  reads(6);
  does_not_exist(group);
  give(take_rows(1), 0);
  size_t count;
  take_tasks(&count, 0);
  give(take_states(6, 1), 0);
  ch_task *tasks = take_tasks(&count, 0);
  ck_assert_uint_eq(count, 4);
  size_t stranger = ch_bytes_equal(tasks[0].users[0], ch_bytes_text("eve")) ? 0 : 3; /* by partition of the user */
  const ch_task *of_bob = stranger == 0 ? tasks + 1 : tasks;
  is_verdict(&of_bob[0], "bob", CH_VERDICT_GAP, 3, 0, 0);
  is_verdict(&of_bob[1], "bob", CH_VERDICT_REFUSED, 1, 1, CHAT_E_CANCELED);
  is_verdict(&of_bob[2], "bob", CH_VERDICT_DUP, 1, 1, 0);
  is_verdict(&tasks[stranger], "eve", CH_VERDICT_REFUSED, 1, 1, CHAT_E_NOT_FOUND);
  ck_assert_uint_eq(tasks[stranger].u.verdict.head, 0);
  const ch_sequencer_stats *stats = ch_sequencer_get_stats(sequencer);
  ck_assert_uint_eq(stats->gap, 1);
  ck_assert_uint_eq(stats->refused, 3);
  ck_assert_uint_eq(stats->dup, 1);
  sequencer_end();
}
END_TEST

/* S2: what was touched is written, also where the value is as before; what was not, is not. */
START_TEST(touched_cells_are_written) {
  log_create(CHAT_GROUP);
  log_message(group, "bob", 5, "five");
  log_message(group, "bob", 5, "five"); /* DUP: bob's number stays 5, its position moves */
  log_message(group, "alice", 2, "two");
  begin(0);
  reads(2);
  does_not_exist(group);
  give(take_rows(2), 0);
  size_t count;
  take_tasks(&count, 0);
  chat_store_apply *op = take_states(2, 1);
  ck_assert_uint_eq(op->states->member_count_here, 2);
  ck_assert_uint_eq(member_in(op->states, "bob")->position, 1);
  ck_assert_uint_eq(op->states->sender_count, 2);
  is_sender(&op->states->senders[0], "alice", 1, 1);
  is_sender(&op->states->senders[1], "bob", 5, 2);
  give(op, 0);
  consumes(2);

  reads(1);
  op = take_states(3, 1); /* no rows and no tasks: straight to the state */
  ck_assert_uint_eq(op->states->head, 2);
  ck_assert_uint_eq(op->states->position, 3);
  ck_assert_uint_eq(op->states->member_count_here, 0);
  ck_assert_uint_eq(op->states->sender_count, 1);
  is_sender(op->states->senders, "bob", 5, 3);
  give(op, 0);
  take_tasks(&count, 0);
  ck_assert_uint_eq(count, 1);
  consumes(3);

  reads(1);
  give(take_rows(1), 0);
  take_tasks(&count, 0);
  op = take_states(4, 1);
  ck_assert_uint_eq(op->states->sender_count, 1);
  is_sender(op->states->senders, "alice", 2, 4);
  give(op, 0);
  sequencer_end();
}
END_TEST

START_TEST(a_retired_device_is_written_and_refused_by_the_next_owner_too) {
  log_create(CHAT_GROUP);
  ch_content content = {.type = CHAT_TYPE_DEVICE_RETIRED};
  memset(content.device_id, 'b', 16);
  ch_record record = record_of(group, "bob", 1, &content);
  memset(record.device_id, 'B', 16);
  log_record(&record);
  log_message(group, "bob", 1, "from the old one");
  begin(0);
  reads(2);
  does_not_exist(group);
  give(take_rows(2), 0);
  size_t count;
  take_tasks(&count, 0);
  chat_store_apply *op = take_states(2, 1);
  ck_assert_uint_eq(op->states->sender_count, 3);
  const chat_sender *old = &op->states->senders[2];
  is_sender(old, "bob", 0, 2);
  ck_assert_uint_eq(old->retired, 1);
  chat_sender stored = {.user = ch_bytes_text("bob"), .position = 2, .retired = 1};
  memset(stored.device_id, 'b', 16);
  give(op, 0);
  ch_sequencer_revoke(sequencer, partition);
  cancel_ops();

  assign(2);
  reads(1);
  chat_store_state *state = take_state(group);
  state->state = (chat_state){.kind = CHAT_GROUP, .head = 2, .position = 2, .senders = &stored, .sender_count = 1};
  give(state, 0);
  op = take_states(3, 1);
  is_sender(op->states->senders, "bob", 1, 3);
  ck_assert_uint_eq(op->states->senders->retired, 1);
  give(op, 0);
  is_verdict(take_tasks(&count, 0), "bob", CH_VERDICT_REFUSED, 1, 1, CHAT_E_REVOKED);
  sequencer_end();
}
END_TEST

/* max(compose(append time, partition, 0), last + 1): a clock that falls back does not let ids fall back. */
START_TEST(message_ids_rise_though_the_clock_falls_back) {
  partition = CH_SNOWFLAKE_PARTITIONS + 5; /* modulo 1,024 */
  log_create(CHAT_GROUP);
  log_message(group, "bob", 1, "a");
  log_ms -= 5000;
  log_message(group, "bob", 2, "b");
  log_ms += 60000;
  log_message(group, "bob", 3, "c");
  begin(0);
  reads(4);
  does_not_exist(group);
  chat_store_apply *op = take_rows(4);
  uint64_t second = ch_snowflake_compose(logged[1].append_ms, 5, 0);
  ck_assert_uint_eq(op->rows[1].message_id, second);
  ck_assert_uint_eq(op->rows[2].message_id, second + 1);
  ck_assert_uint_eq(op->rows[2].created_ms, logged[2].append_ms);
  ck_assert_uint_eq(op->rows[3].message_id, ch_snowflake_compose(logged[3].append_ms, 5, 0));
  give(op, 0);
  sequencer_end();
}
END_TEST

/* --- where to begin, what is read from the store --- */

/* A conversation may be ahead of the partition's position: what it has is skipped, but for the position. */
START_TEST(what_a_conversation_has_is_not_folded_again) {
  log_create(CHAT_GROUP);
  log_message(group, "bob", 1, "a");
  log_message(group, "bob", 2, "b");
  begin(1);
  reads(2);
  chat_interval all = {0, UINT64_MAX};
  chat_member bob = {.user = ch_bytes_text("bob"), .role = CHAT_ROLE_MEMBER, .position = 1, .intervals = &all, .interval_count = 1};
  chat_sender number = {.user = ch_bytes_text("bob"), .last = 1, .position = 2};
  memset(number.device_id, 'b', 16);
  chat_store_state *state = take_state(group);
  state->state = (chat_state){.kind = CHAT_GROUP, .head = 2, .msg_no = 1, .position = 2, .message_id = 77, .member_count = 1};
  state->state.members = &bob;
  state->state.senders = &number;
  state->state.member_count_here = state->state.sender_count = 1;
  give(state, 0);
  chat_store_apply *op = take_rows(1);
  ck_assert_uint_eq(op->rows->seq, 3);
  ck_assert_uint_eq(op->rows->msg_no, 2);
  ck_assert_uint_eq(op->rows->client_seq, 2);
  give(op, 0);
  size_t count;
  take_tasks(&count, 0);
  give(take_states(3, 1), 0);
  consumes(3);
  ck_assert_uint_eq(ch_sequencer_get_stats(sequencer)->committed, 1);
  sequencer_end();
}
END_TEST

/* S3: a cell above its state's position was read from another state: forget, read again. */
START_TEST(a_torn_state_is_read_again) {
  log_message(group, "bob", 1, "a");
  begin(0);
  reads(1);
  chat_sender torn = {.user = ch_bytes_text("bob"), .last = 9, .position = 8};
  for (int i = 0; i < 3; i++) {
    chat_store_state *state = take_state(group);
    state->state = (chat_state){.kind = CHAT_GROUP, .head = 3, .position = 0, .senders = &torn, .sender_count = 1};
    give(state, 0);
    rests();
    pass_time(RETRY_MS << i);
  }
  does_not_exist(group);
  give(take_states(1, 1), 0); /* refused: there is no such group */
  size_t count;
  is_verdict(take_tasks(&count, 0), "bob", CH_VERDICT_REFUSED, 1, 1, CHAT_E_NOT_FOUND);
  sequencer_end();
}
END_TEST

static void message_in(const uint8_t id[16], uint64_t client_seq, bool is_asked_for) {
  log_message(id, "alice", client_seq, "x");
  reads(1);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE), is_asked_for);
  all_goes_well();
}

START_TEST(the_least_recently_used_states_are_forgotten) {
  uint8_t a[16], b[16], c[16];
  memset(a, 2, 16), memset(b, 2, 16), memset(c, 2, 16);
  a[1] = 'a', b[1] = 'b', c[1] = 'c';
  config.conversations_max = 2;
  begin(0);
  message_in(a, 1, true);
  message_in(b, 1, true);
  message_in(a, 2, false);
  message_in(c, 1, true); /* b goes */
  message_in(a, 3, false);
  message_in(b, 2, true); /* c goes */
  message_in(a, 4, false);
  message_in(c, 2, true);
  sequencer_end();
}
END_TEST

/* Of a channel only those members are read whom records name. */
START_TEST(a_channel_is_read_by_user) {
  log_message(group, "alice", 2, "a");
  log_message(group, "alice", 3, "b");
  log_user(group, "alice", 4, CHAT_TYPE_MEMBERS_ADD, "carol");
  begin(0);
  for (int i = 0; i < 3; i++) {
    reads(1);
    if (i == 1) {
      ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE), 0);
      all_goes_well();
      continue;
    }
    chat_store_state *state = take_state(group);
    ck_assert_uint_eq(state->user_count, 1);
    ck_assert(ch_bytes_equal(state->users[0], ch_bytes_text(i == 0 ? "alice" : "carol")));
    chat_interval all = {0, UINT64_MAX};
    chat_member alice = {.user = ch_bytes_text("alice"), .role = CHAT_ROLE_OWNER, .intervals = &all, .interval_count = 1};
    state->state = (chat_state){.kind = CHAT_CHANNEL, .head = i == 0 ? 1 : 3, .position = i == 0 ? 0 : 2, .member_count = 1};
    if (i == 0) state->state.members = &alice, state->state.member_count_here = 1;
    give(state, 0);
    chat_store_apply *op = take_rows(1);
    ck_assert_uint_eq(op->rows->seq, i + 2);
    give(op, 0);
    size_t count;
    ch_task *tasks = take_tasks(&count, 0);
    ck_assert_uint_eq(count, i == 0 ? 1 : 2); /* for the subscribers; carol besides, as a user */
    ck_assert(tasks[0].channel || tasks[1].channel);
    op = take_states((uint64_t)i + 1, 1);
    ck_assert_uint_eq(op->states->member_count_here, i == 0 ? 0 : 1);
    ck_assert_uint_eq(op->states->member_count, i == 0 ? 1 : 2);
    if (i == 2) ck_assert_uint_eq(member_in(op->states, "carol")->position, 3);
    give(op, 0);
  }
  sequencer_end();
}
END_TEST

static void log_newcomers(uint64_t client_seq, uint32_t count) {
  chat_bytes *users = ch_arena_calloc(&kept, count, sizeof *users);
  for (uint32_t i = 0; i < count; i++) {
    uint8_t *name = ch_arena_alloc(&kept, 8);
    users[i] = ch_bytes_of(name, (size_t)snprintf((char *)name, 8, "%u-%u", (unsigned)client_seq, (unsigned)i));
  }
  log_content(group, "alice", client_seq, (ch_content){.type = CHAT_TYPE_MEMBERS_ADD, .users = users, .user_count = count});
}

/* What is kept of one channel is bounded: above 4,096 cells it is forgotten when its batch is done. */
START_TEST(a_channel_with_many_cells_in_memory_is_forgotten) {
  enum { USERS_COUNT = 240, FULL_BATCHES = 4096 / USERS_COUNT };
  log_create(CHAT_CHANNEL);
  for (uint64_t i = 0; i <= FULL_BATCHES; i++)
    log_newcomers(i + 2, USERS_COUNT);
  begin(0);
  for (uint64_t i = 0; i <= FULL_BATCHES + 1; i++) {
    reads(1);
    chat_store_state *op = find_op(CHAT_OP_STORE_STATE); /* for the newcomers */
    if (op) op->state = (chat_state){.kind = i ? CHAT_CHANNEL : 0, .head = i, .member_count = i ? 2 + (i - 1) * USERS_COUNT : 0, .position = i};
    if (op) give(op, 0);
    all_goes_well();
  }
  ck_assert_uint_eq(ch_sequencer_get_stats(sequencer)->committed, FULL_BATCHES + 2);
  message_in(group, FULL_BATCHES + 3, true);
  sequencer_end();
}
END_TEST

START_TEST(each_partition_goes_its_own_way) {
  log_create(CHAT_GROUP);
  begin(0);
  partition = 1;
  assign(0);
  ck_assert_int_eq(ch_sequencer_assign(sequencer, 1, now), CHAT_E_EXISTS);
  partition = 0;
  reads(0); /* its wait_ms is over */
  chat_log_read *second = take_op(CHAT_OP_LOG_READ);
  ck_assert_uint_eq(second->partition, 1);
  fill_read(second, 1);
  give(second, 0);
  does_not_exist(group);
  partition = 1;
  give(take_rows(1), 0);
  ck_assert(!ch_sequencer_idle(sequencer));
  all_goes_well();
  ck_assert(ch_sequencer_idle(sequencer));
  sequencer_end();
}
END_TEST

/* A stop brings the batch to its end and begins none. */
START_TEST(a_stop_ends_after_the_batch) {
  log_create(CHAT_GROUP);
  log_message(group, "bob", 1, "a");
  begin(0);
  reads(1);
  ch_sequencer_stop(sequencer);
  ck_assert(!ch_sequencer_idle(sequencer));
  reads(1);
  all_goes_well();
  ck_assert(ch_sequencer_idle(sequencer));
  ck_assert_uint_eq(ch_sequencer_get_stats(sequencer)->position, 1);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_READ), 0);
  sequencer_end();
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {effects_come_first_and_state_last, 0},
      {state_waits_for_every_partition_of_tasks, 0},
      {a_store_that_derives_heads_gets_everything_in_one, 0},
      {the_next_batch_is_read_meanwhile_and_folded_after, 0},
      {each_verdict_goes_to_the_sending_device, 0},
      {touched_cells_are_written, 0},
      {a_retired_device_is_written_and_refused_by_the_next_owner_too, 0},
      {message_ids_rise_though_the_clock_falls_back, 0},
      {what_a_conversation_has_is_not_folded_again, 0},
      {a_torn_state_is_read_again, 0},
      {the_least_recently_used_states_are_forgotten, 0},
      {a_channel_is_read_by_user, 0},
      {a_channel_with_many_cells_in_memory_is_forgotten, 0},
      {each_partition_goes_its_own_way, 0},
      {a_stop_ends_after_the_batch, 0},
  };
  sequencer_config_default();
  return RUN_TESTS("sequencer", rows);
}
