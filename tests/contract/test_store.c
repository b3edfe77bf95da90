/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store owes (chat/backend.h, "store"), held against store_mem (with heads that are derived, and with heads that are written) and store_sqlite. What is the embedded store's own
 * is tests/unit/backend/test_store_sqlite.c; store_random.c compares whole histories.
 */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "backend/store_mem.h"
#include "backend/store_sqlite/store_sqlite.h"
#include "contract/store_random.h"
#include "contract/suite.h"
#include "core/partition.h"
#include "unit/backend/store_example.h"
#include "unit/core/failing_allocator.h"

enum { DELIVERY_PARTITIONS = 4 };

static char dir[64];

/* ------------------------------------------------------------------------------------------------ versions */

static void open_mem(ch_store_mem_config config) {
  chat_backend store;
  ch_assert(ch_store_mem_new(&config, &store) == 0);
  bench_open(&bench, store);
}

static void open_mem_derived(void) {
  open_mem((ch_store_mem_config){.derives_heads = 1});
}

static void open_mem_written(void) {
  open_mem((ch_store_mem_config){.delivery_partitions = DELIVERY_PARTITIONS});
}

static void open_sqlite_with(size_t tail_rows, uint32_t tail_ms) {
  char path[96];
  chat_backend store;
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/store.db", dir);
  ch_assert(ch_store_sqlite_new(&(ch_store_sqlite_config){.path = path, .reader_threads = 2, .tail_rows = tail_rows, .tail_ms = tail_ms}, &store) == 0);
  bench_open(&bench, store);
}

static void open_sqlite(void) {
  open_sqlite_with(0, 0);
}

/* What is written late stays in memory for as long as a test asks for it, or goes to the tables under its eyes. */
static void open_sqlite_late(void) {
  open_sqlite_with(100000, 100);
}

static void open_sqlite_late_often(void) {
  open_sqlite_with(2, 1);
}

static void close_mem(void) {
  bench_close(&bench);
}

static void close_sqlite(void) {
  bench_close(&bench);
  bench_dir_remove(dir);
}

/* ------------------------------------------------------------------------------------------------ ops */

static chat_op *quick(void) {
  return ch_op_new(NULL, CHAT_OP_STORE_POSITION, sizeof(chat_store_position));
}

static void expect_status(void *op, int wanted) {
  ck_assert_int_eq(bench_do(&bench, op), wanted);
  ch_op_free(op);
}

static chat_store_state *state_of(uint8_t conversation, chat_bytes *users, size_t count, uint32_t only_users) {
  chat_store_state *ask = ch_op_new(NULL, CHAT_OP_STORE_STATE, sizeof *ask);
  id_of(ask->conversation_id, conversation);
  ask->users = users;
  ask->user_count = count;
  ask->only_users = only_users;
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  return ask;
}

static chat_store_members *members_op(const char *user, const char *after, uint32_t limit) {
  chat_store_members *ask = ch_op_new(NULL, CHAT_OP_STORE_MEMBERS, sizeof *ask);
  id_of(ask->conversation_id, CONVERSATION_A);
  ask->user = text(user);
  ask->after = text(after);
  ask->limit = limit;
  return ask;
}

static void expect_user(chat_bytes user, const char *wanted) {
  ck_assert_uint_eq(user.len, strlen(wanted));
  ck_assert_mem_eq(user.data, wanted, user.len);
}

/* An APPLY of cells alone: no rows, no members, one sender; the next state of an `apply_of`. */
static chat_store_apply *cells_of(uint8_t conversation, uint64_t position, uint32_t kind) {
  chat_store_apply *apply = apply_of(conversation, 1, 1);
  apply->row_count = 0;
  apply->position = apply->states[0].position = position;
  apply->states[0].kind = kind;
  apply->states[0].senders[0].position = position;
  if (kind == 0) {
    apply->states[0].head = apply->states[0].member_count = 0;
    apply->states[0].member_count_here = 0;
  }
  return apply;
}

/* ------------------------------------------------------------------------------------------------ APPLY */

START_TEST(a_replay_changes_nothing) {
  put(CONVERSATION_A, 1, 100);
  put(CONVERSATION_A, 1, 100);
  put(CONVERSATION_A, 40, 120); /* batches are cut elsewhere in a replay */
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 120);
  expect_rows(CONVERSATION_A, 0, 0, 200, 1, 1, 120);
  put(CONVERSATION_A, 1, 50); /* of a zombie: neither head nor position fall */
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 120);
  ck_assert_uint_eq(position(NULL), 120);
}
END_TEST

START_TEST(of_two_rows_the_higher_message_id_stays) {
  chat_store_range *got;
  put(CONVERSATION_A, 1, 100);
  write_one(70, 699, "too late");
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 100);
  write_one(70, 5000, "rewritten");
  chat_bytes now = payload_at(70, &got);
  ck_assert(ch_bytes_equal(now, message(&got->op, "rewritten")));
  ch_op_free(&got->op);
  expect_rows(CONVERSATION_A, 0, 69, 200, 0, 1, 69);
  expect_rows(CONVERSATION_A, 70, 0, 200, 0, 71, 30);
  put(CONVERSATION_A, 1, 100);
  now = payload_at(70, &got);
  ck_assert(ch_bytes_equal(now, message(&got->op, "rewritten")));
  ch_op_free(&got->op);
}
END_TEST

START_TEST(of_two_cells_the_higher_position_stays) {
  put(CONVERSATION_A, 1, 9);
  chat_store_apply *late = apply_of(CONVERSATION_A, 1, 5);
  chat_state *state = &late->states[0];
  state->title = text("too late");
  state->members[1].role = CHAT_ROLE_OWNER; /* position 1, as it is stored */
  state->members[1].position = 0;
  state->senders[0].last = 5;
  ck_assert_int_eq(apply_now(late), 0);
  chat_store_state *got = state_of(CONVERSATION_A, NULL, 0, 0);
  ck_assert(ch_bytes_equal(got->state.title, text("friends")));
  ck_assert_uint_eq(got->state.head, 9);
  ck_assert_uint_eq(got->state.position, 9);
  ck_assert_uint_eq(got->state.members[1].role, CHAT_ROLE_MEMBER);
  ck_assert_uint_eq(got->state.senders[0].last, 9);
  ch_op_free(&got->op);
}
END_TEST

/* Each cell by its own cause: a member that did not change keeps its position while the head moves on. */
START_TEST(cells_are_written_one_by_one) {
  put(CONVERSATION_A, 1, 2);
  chat_store_apply *apply = apply_of(CONVERSATION_A, 3, 3);
  apply->states[0].member_count_here = 0;
  apply->states[0].senders[0].user = text("bob");
  apply->states[0].senders[0].retired = 1;
  ck_assert_int_eq(apply_now(apply), 0);
  chat_store_state *got = state_of(CONVERSATION_A, NULL, 0, 0);
  ck_assert_uint_eq(got->state.member_count_here, 2);
  ck_assert_uint_eq(got->state.members[0].position, 1);
  ck_assert_uint_eq(got->state.sender_count, 2);
  for (size_t i = 0; i < 2; i++) /* in whatever order */
    ck_assert_uint_eq(got->state.senders[i].retired, ch_bytes_equal(got->state.senders[i].user, text("bob")));
  ck_assert_uint_eq(got->state.head, 3);
  ch_op_free(&got->op);
}
END_TEST

START_TEST(an_apply_is_whole_or_nothing) {
  put(CONVERSATION_A, 1, 2);
  chat_store_apply *apply = apply_of(CONVERSATION_A, 3, 4);
  apply->states[0].senders[0].user = text("");
  ck_assert_int_eq(apply_now(apply), CHAT_E_INVALID);
  expect_rows(CONVERSATION_A, 0, 0, 10, 0, 1, 2);
  ck_assert_uint_eq(position(NULL), 2);
}
END_TEST

typedef void (*spoil_fn)(chat_store_apply *apply);

static void spoil_seq(chat_store_apply *apply) {
  apply->rows[0].seq = 0;
}

static void spoil_sender(chat_store_apply *apply) {
  apply->rows[0].sender = chat_op_copy(&apply->op, text("a name of more than sixty-four bytes, which is the most that a user id may have"));
}

static void spoil_member(chat_store_apply *apply) {
  apply->states[0].members[0].user = text("");
}

static void spoil_title(chat_store_apply *apply) {
  apply->states[0].title = (chat_bytes){chat_op_alloc(&apply->op, CHAT_TITLE_MAX + 1), CHAT_TITLE_MAX + 1};
  memset((uint8_t *)(uintptr_t)apply->states[0].title.data, 'x', CHAT_TITLE_MAX + 1);
}

static void spoil_intervals(chat_store_apply *apply) {
  chat_member *member = &apply->states[0].members[0];
  member->interval_count = CHAT_MEMBER_INTERVALS_MAX + 1;
  member->intervals = chat_op_alloc(&apply->op, member->interval_count * sizeof *member->intervals);
  for (size_t i = 0; i < member->interval_count; i++)
    member->intervals[i] = (chat_interval){2 * i, 2 * i + 1};
}

START_TEST(what_is_outside_the_bounds_is_not_applied) {
  const spoil_fn spoils[] = {spoil_seq, spoil_sender, spoil_member, spoil_title, spoil_intervals};
  for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++) {
    chat_store_apply *apply = apply_of(CONVERSATION_A, 1, 1);
    spoils[i](apply);
    ck_assert_int_eq(apply_now(apply), CHAT_E_INVALID);
  }
  expect_rows(CONVERSATION_A, 0, 0, 10, 0, 0, 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ STATE */

START_TEST(a_state_is_whole) {
  chat_store_apply *apply = apply_of(CONVERSATION_A, 1, 3);
  apply->states[0].history_from_start = 1;
  apply->states[0].members[0].role = CHAT_ROLE_OWNER;
  ck_assert_int_eq(apply_now(apply), 0);
  chat_store_state *ask = state_of(CONVERSATION_A, NULL, 0, 0);
  chat_state *state = &ask->state;
  ck_assert_uint_eq(state->conversation_id[0], CONVERSATION_A);
  ck_assert_uint_eq(state->kind, CHAT_GROUP);
  ck_assert_uint_eq(state->history_from_start, 1);
  ck_assert_uint_eq(state->head, 3);
  ck_assert_uint_eq(state->msg_no, 3);
  ck_assert_uint_eq(state->message_id, 30);
  ck_assert_uint_eq(state->position, 3);
  ck_assert_uint_eq(state->member_count, 2);
  ck_assert_uint_eq(state->active_ms, 1003);
  ck_assert(ch_bytes_equal(state->title, text("friends")));
  ck_assert_uint_eq(state->member_count_here, 2);
  expect_user(state->members[0].user, "alice");
  ck_assert_uint_eq(state->members[0].role, CHAT_ROLE_OWNER);
  expect_user(state->members[1].user, "bob");
  ck_assert_uint_eq(state->members[1].position, 1);
  ck_assert_uint_eq(state->members[1].interval_count, 1);
  ck_assert_uint_eq(state->members[1].intervals[0].joined, 0);
  ck_assert_uint_eq(state->members[1].intervals[0].left, UINT64_MAX);
  ck_assert_uint_eq(state->sender_count, 1);
  expect_user(state->senders[0].user, "alice");
  ck_assert_uint_eq(state->senders[0].device_id[15], 0xd1);
  ck_assert_uint_eq(state->senders[0].last, 3);
  ck_assert_uint_eq(state->senders[0].position, 3);
  ch_op_free(&ask->op);
}
END_TEST

START_TEST(a_conversation_that_does_not_exist_has_kind_0) {
  chat_store_state *ask = state_of(CONVERSATION_A, NULL, 0, 0);
  ck_assert_uint_eq(ask->state.kind, 0);
  ck_assert_uint_eq(ask->state.conversation_id[15], CONVERSATION_A);
  ck_assert_uint_eq(ask->state.member_count_here + ask->state.sender_count, 0);
  ch_op_free(&ask->op);
}
END_TEST

/* A refusal used number 1 up before there was anything: whoever owns the partition next must know (P2). */
START_TEST(senders_of_what_does_not_exist_are_kept) {
  ck_assert_int_eq(apply_now(cells_of(CONVERSATION_A, 7, 0)), 0);
  chat_store_state *ask = state_of(CONVERSATION_A, NULL, 0, 0);
  ck_assert_uint_eq(ask->state.kind, 0);
  ck_assert_uint_eq(ask->state.position, 7);
  ck_assert_uint_eq(ask->state.sender_count, 1);
  ck_assert_uint_eq(ask->state.senders[0].last, 1);
  ch_op_free(&ask->op);
}
END_TEST

START_TEST(of_a_channel_only_the_asked_are_given) {
  chat_store_apply *apply = apply_of(CONVERSATION_A, 1, 3);
  apply->states[0].kind = CHAT_CHANNEL;
  apply->states[0].senders[0].user = text("al"); /* whose name begins alice's */
  ck_assert_int_eq(apply_now(apply), 0);
  apply = apply_of(CONVERSATION_A, 3, 3);
  apply->states[0].kind = CHAT_CHANNEL;
  ck_assert_int_eq(apply_now(apply), 0);
  chat_store_state *ask = ch_op_new(NULL, CHAT_OP_STORE_STATE, sizeof *ask);
  chat_bytes users[] = {text("mallory"), text("alice")};
  id_of(ask->conversation_id, CONVERSATION_A);
  ask->users = users;
  ask->user_count = 2;
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  ck_assert_uint_eq(ask->state.member_count_here, 1);
  ck_assert(ch_bytes_equal(ask->state.members[0].user, text("alice")));
  ck_assert_uint_eq(ask->state.sender_count, 1);
  ck_assert(ch_bytes_equal(ask->state.senders[0].user, text("alice")));
  ch_op_free(&ask->op);
}
END_TEST

START_TEST(only_users_gives_these_members_and_no_sender) {
  chat_bytes users[] = {text("bob"), text("mallory")};
  put(CONVERSATION_A, 1, 3);
  chat_store_state *ask = state_of(CONVERSATION_A, users, 2, 1);
  ck_assert_uint_eq(ask->state.head, 3);
  ck_assert_uint_eq(ask->state.member_count_here, 1);
  expect_user(ask->state.members[0].user, "bob");
  ck_assert_uint_eq(ask->state.sender_count, 0);
  ch_op_free(&ask->op);
}
END_TEST

START_TEST(members_keep_all_their_intervals) {
  chat_store_apply *apply = apply_of(CONVERSATION_A, 1, 40);
  chat_member *bob = &apply->states[0].members[1];
  bob->interval_count = CHAT_MEMBER_INTERVALS_MAX;
  bob->intervals = chat_op_alloc(&apply->op, bob->interval_count * sizeof *bob->intervals);
  for (size_t i = 0; i < bob->interval_count; i++)
    bob->intervals[i] = (chat_interval){4 * i, 4 * i + 2};
  bob->intervals[CHAT_MEMBER_INTERVALS_MAX - 1].left = UINT64_MAX;
  ck_assert_int_eq(apply_now(apply), 0);
  chat_store_state *ask = state_of(CONVERSATION_A, NULL, 0, 0);
  ck_assert_uint_eq(ask->state.members[1].interval_count, CHAT_MEMBER_INTERVALS_MAX);
  for (size_t i = 0; i < CHAT_MEMBER_INTERVALS_MAX; i++)
    ck_assert_uint_eq(ask->state.members[1].intervals[i].joined, 4 * i);
  ck_assert_uint_eq(ask->state.members[1].intervals[CHAT_MEMBER_INTERVALS_MAX - 1].left, UINT64_MAX);
  ch_op_free(&ask->op);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ RANGE */

START_TEST(a_range_is_cut_from_the_end_that_was_asked_for) {
  put(CONVERSATION_A, 1, 150);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 150);
  expect_rows(CONVERSATION_A, 0, 0, 50, 0, 1, 50);
  expect_rows(CONVERSATION_A, 0, 0, 50, 1, 101, 50);
  expect_rows(CONVERSATION_A, 63, 0, 50, 0, 64, 50);
  expect_rows(CONVERSATION_A, 60, 70, 50, 0, 61, 10);
  expect_rows(CONVERSATION_A, 60, 70, 4, 0, 61, 4);
  expect_rows(CONVERSATION_A, 60, 70, 4, 1, 67, 4);
  expect_rows(CONVERSATION_A, 64, 65, 1, 0, 65, 1);
  expect_rows(CONVERSATION_A, 70, 70, 50, 0, 0, 0);
  expect_rows(CONVERSATION_A, 71, 70, 50, 1, 0, 0);
  expect_rows(CONVERSATION_A, 150, 0, 50, 0, 0, 0);
  expect_rows(CONVERSATION_A, 140, 999, 50, 1, 141, 10);
  expect_rows(CONVERSATION_B, 0, 0, 50, 0, 0, 0);
}
END_TEST

START_TEST(rows_above_the_head_are_not_given) {
  put(CONVERSATION_A, 1, 10);
  write_one(11, 110, "no state covers it");
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 10);
  expect_rows(CONVERSATION_A, 0, 11, 200, 1, 1, 10);
  put(CONVERSATION_A, 12, 12);
  put(CONVERSATION_A, 11, 11); /* a gap is filled; the row that was there first stays */
  chat_store_range *got = range(CONVERSATION_A, 9, 12, 10, 0);
  ck_assert_uint_eq(got->row_count, 3);
  ck_assert(ch_bytes_equal(got->rows[1].payload, message(&got->op, "no state covers it")));
  ch_op_free(&got->op);
}
END_TEST

START_TEST(before_a_row_that_is_missing_the_answer_ends) {
  put(CONVERSATION_A, 1, 10);
  put(CONVERSATION_A, 12, 20);
  expect_rows(CONVERSATION_A, 0, 0, 50, 0, 1, 10);
  expect_rows(CONVERSATION_A, 5, 0, 50, 0, 6, 5);
  expect_rows(CONVERSATION_A, 10, 0, 50, 0, 0, 0);
  expect_rows(CONVERSATION_A, 0, 0, 50, 1, 12, 9);
  expect_rows(CONVERSATION_A, 0, 11, 50, 1, 0, 0);
  expect_rows(CONVERSATION_A, 11, 0, 50, 0, 12, 9);
}
END_TEST

static chat_store_range *range_for(const char *user) {
  chat_store_range *ask = ch_op_new(NULL, CHAT_OP_STORE_RANGE, sizeof *ask);
  id_of(ask->conversation_id, CONVERSATION_A);
  ask->user = text(user);
  ask->limit = 10;
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  ck_assert_uint_eq(ask->row_count, 6);
  return ask;
}

/* Rows are given to whoever asks: what may be read is judged by the intervals that come with them. */
START_TEST(a_range_says_the_membership_of_its_user) {
  put(CONVERSATION_A, 1, 4);
  remove_bob(CONVERSATION_A, 5);
  chat_store_apply *apply = apply_of(CONVERSATION_A, 6, 6);
  apply->states[0].member_count_here = 0;
  ck_assert_int_eq(apply_now(apply), 0);
  chat_store_range *ask = range_for("bob");
  ck_assert_uint_eq(ask->state.head, 6);
  ck_assert_uint_eq(ask->horizon, 0);
  ck_assert_uint_eq(ask->state.member_count_here, 1);
  expect_user(ask->state.members[0].user, "bob");
  ck_assert_uint_eq(ask->state.members[0].role, CHAT_ROLE_NONE);
  ck_assert_uint_eq(ask->state.members[0].intervals[0].left, 5);
  ch_op_free(&ask->op);
  ask = range_for("mallory");
  ck_assert_uint_eq(ask->state.member_count_here, 0);
  ch_op_free(&ask->op);
  ask = range_for(""); /* nobody's */
  ck_assert_uint_eq(ask->state.member_count_here, 0);
  ck_assert_uint_eq(ask->state.head, 6);
  ch_op_free(&ask->op);
}
END_TEST

START_TEST(rows_live_as_long_as_the_op) {
  put(CONVERSATION_A, 1, 100);
  chat_store_range *got = range(CONVERSATION_A, 0, 0, 100, 0);
  write_one(50, 5000, "rewritten");
  ck_assert_uint_eq(prune(1050, 1000), 49);
  put(CONVERSATION_A, 101, 300);
  chat_row want = row_of(&got->op, CONVERSATION_A, 50, "message number50 of many");
  ck_assert(ch_bytes_equal(got->rows[49].payload, want.payload));
  ck_assert(ch_bytes_equal(got->rows[49].sender, want.sender));
  ch_op_free(&got->op);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ POSITION, WATERMARKS */

static uint64_t position_of(uint32_t of_topic, uint32_t partition) {
  chat_store_position *ask = ch_op_new(NULL, CHAT_OP_STORE_POSITION, sizeof *ask);
  ask->topic = of_topic;
  ask->partition = partition;
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  ck_assert_uint_le(ask->synced, ask->position);
  uint64_t stored = ask->position;
  ch_op_free(&ask->op);
  return stored;
}

START_TEST(the_consumed_position_rises_only) {
  ck_assert_uint_eq(position_of(CHAT_TOPIC_MESSAGES, 0), 0);
  put(CONVERSATION_A, 1, 5);
  ck_assert_uint_eq(position_of(CHAT_TOPIC_MESSAGES, 0), 5);
  put(CONVERSATION_B, 1, 3);
  ck_assert_uint_eq(position_of(CHAT_TOPIC_MESSAGES, 0), 5);
  chat_store_apply *apply = apply_of(CONVERSATION_B, 4, 9);
  apply->position = 0; /* rows without a position: none is stored */
  ck_assert_int_eq(apply_now(apply), 0);
  ck_assert_uint_eq(position_of(CHAT_TOPIC_MESSAGES, 0), 5);
  ck_assert_uint_eq(position_of(CHAT_TOPIC_DELIVERIES, 0), 0);
  chat_store_position *ask = ch_op_new(NULL, CHAT_OP_STORE_POSITION, sizeof *ask);
  ask->topic = CHAT_TOPIC_COUNT;
  expect_status(ask, CHAT_E_INVALID);
}
END_TEST

static void has_identity(uint32_t of_topic, uint32_t partition, uint8_t want) {
  chat_store_position *ask = ch_op_new(NULL, CHAT_OP_STORE_POSITION, sizeof *ask);
  ask->topic = of_topic;
  ask->partition = partition;
  memset(ask->log_identity, 0xff, sizeof ask->log_identity);
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  for (size_t i = 0; i < sizeof ask->log_identity; i++)
    ck_assert_uint_eq(ask->log_identity[i], want);
  ch_op_free(&ask->op);
}

/* That of the log whose position is stored, so a zombie, which may have another log, does not change it. */
START_TEST(the_log_s_identity_is_stored_with_the_position) {
  static const struct {
    uint64_t last, position;
    uint8_t identity, want;
  } rows[] = {{5, 5, 1, 1}, {6, 3, 2, 1}, {7, 5, 2, 1}, {8, 8, 2, 2}, {9, 0, 3, 2}, {10, 10, 1, 1}};
  has_identity(CHAT_TOPIC_MESSAGES, 0, 0);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    chat_store_apply *apply = apply_of(CONVERSATION_A, rows[i].last, rows[i].last);
    apply->position = rows[i].position;
    memset(apply->log_identity, rows[i].identity, sizeof apply->log_identity);
    ck_assert_int_eq(apply_now(apply), 0);
    has_identity(CHAT_TOPIC_MESSAGES, 0, rows[i].want);
  }
  chat_store_apply *refused = apply_of(CONVERSATION_A, 20, 20);
  memset(refused->log_identity, 4, sizeof refused->log_identity);
  spoil_sender(refused);
  ck_assert_int_eq(apply_now(refused), CHAT_E_INVALID);
  has_identity(CHAT_TOPIC_MESSAGES, 0, 1);
  has_identity(CHAT_TOPIC_DELIVERIES, 0, 0);
}
END_TEST

START_TEST(watermarks_rise_only) {
  put(CONVERSATION_A, 1, 9);
  chat_watermark mark = raise_mark("bob", 7, 3);
  ck_assert_uint_eq(mark.delivered, 7);
  ck_assert_uint_eq(mark.read, 3);
  mark = raise_mark("bob", 2, 5);
  ck_assert_uint_eq(mark.delivered, 7);
  ck_assert_uint_eq(mark.read, 5);
  put(CONVERSATION_A, 10, 12);
  remove_bob(CONVERSATION_A, 13);
  mark = raise_mark("bob", 9, 0); /* a former member has its own */
  ck_assert_uint_eq(mark.delivered, 9);
  chat_store_state *ask = state_of(CONVERSATION_A, NULL, 0, 0);
  ck_assert_uint_eq(ask->state.members[1].delivered, 9);
  ck_assert_uint_eq(ask->state.members[1].read, 5);
  ck_assert_uint_eq(ask->state.members[0].delivered, 0);
  ch_op_free(&ask->op);
}
END_TEST

START_TEST(who_was_never_a_member_has_no_watermark) {
  chat_watermark mark = raise_mark("alice", 3, 3); /* no such conversation */
  ck_assert_uint_eq(mark.delivered + mark.read, 0);
  put(CONVERSATION_A, 1, 9);
  mark = raise_mark("mallory", 3, 3);
  ck_assert_uint_eq(mark.delivered + mark.read, 0);
  mark = raise_mark("alice", 1, 1);
  ck_assert_uint_eq(mark.delivered, 1);
}
END_TEST

static chat_store_watermarks *marks_op(const char *user, size_t count) {
  chat_store_watermarks *op = ch_op_new(NULL, CHAT_OP_STORE_WATERMARKS, sizeof *op);
  op->count = count;
  op->marks = chat_op_alloc(&op->op, (count + 1) * sizeof *op->marks);
  for (size_t i = 0; i < count; i++)
    op->marks[i] = (chat_watermark){.user = text(user), .delivered = i + 1};
  return op;
}

START_TEST(watermarks_have_bounds) {
  expect_status(marks_op("alice", 0), CHAT_E_INVALID);
  expect_status(marks_op("alice", 4097), CHAT_E_INVALID);
  expect_status(marks_op("", 1), CHAT_E_INVALID);
  expect_status(marks_op("alice", 4096), 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ MEMBERS */

START_TEST(members_are_paged) {
  put(CONVERSATION_A, 1, 4);
  chat_store_members *page = ch_op_new(NULL, CHAT_OP_STORE_MEMBERS, sizeof *page);
  id_of(page->conversation_id, CONVERSATION_A);
  page->user = text("bob");
  page->limit = 1;
  ck_assert_int_eq(bench_do(&bench, page), 0);
  ck_assert_uint_eq(page->member_count, 1);
  ck_assert_uint_eq(page->more, 1);
  ck_assert(ch_bytes_equal(page->members[0].user, text("alice")));
  ck_assert_uint_eq(page->self.role, CHAT_ROLE_MEMBER);
  ck_assert_uint_eq(page->state.head, 4);
  page->after = text("alice");
  ck_assert_int_eq(bench_do(&bench, page), 0);
  ck_assert_uint_eq(page->member_count, 1);
  ck_assert_uint_eq(page->more, 0);
  ck_assert(ch_bytes_equal(page->members[0].user, text("bob")));
  ch_op_free(&page->op);
}
END_TEST

/* Bytewise: a name that begins another comes first, capitals before small letters, and what is beyond ASCII behind them. */
static const char *const crowd[] = {"Zoe", "ann", "anna", "anna-b", "z", "\xc3\xa9mile"};
enum { CROWD = sizeof crowd / sizeof *crowd };

static void put_crowd(uint32_t kind) {
  chat_store_apply *apply = apply_of(CONVERSATION_A, 1, 1);
  chat_state *state = &apply->states[0];
  state->kind = kind;
  state->member_count = CROWD - 1;
  state->member_count_here = CROWD;
  state->members = chat_op_alloc(&apply->op, CROWD * sizeof *state->members);
  for (size_t i = 0; i < CROWD; i++) {
    chat_interval *interval = chat_op_alloc(&apply->op, sizeof *interval);
    *interval = (chat_interval){0, i == 2 ? 1 : UINT64_MAX};
    state->members[CROWD - 1 - i] = (chat_member){.user = text(crowd[i]), .role = i == 2 ? CHAT_ROLE_NONE : CHAT_ROLE_MEMBER, .position = 1, .intervals = interval, .interval_count = 1};
  }
  ck_assert_int_eq(apply_now(apply), 0);
}

/* A page of at most two, asked for by anna, who has left. */
static void expect_page(const char *after, const char *first, const char *second, uint32_t more) {
  chat_store_members *page = members_op("anna", after, 2);
  ck_assert_int_eq(bench_do(&bench, page), 0);
  ck_assert_uint_eq(page->member_count, second ? 2 : 1);
  ck_assert_uint_eq(page->more, more);
  expect_user(page->members[0].user, first);
  if (second) expect_user(page->members[1].user, second);
  expect_user(page->self.user, "anna");
  ck_assert_uint_eq(page->self.role, CHAT_ROLE_NONE);
  ck_assert_uint_eq(page->self.interval_count, 1);
  ck_assert_uint_eq(page->state.member_count, CROWD - 1);
  ck_assert_uint_eq(page->state.member_count_here, 0);
  ch_op_free(&page->op);
}

static void expect_crowd(uint32_t kind) {
  put_crowd(kind);
  expect_page("", "Zoe", "ann", 1); /* anna left */
  expect_page("ann", "anna-b", "z", 1);
  expect_page("z", "\xc3\xa9mile", NULL, 0);
  expect_page("anna-", "anna-b", "z", 1); /* `after` need not be a member */
}

START_TEST(members_are_in_bytewise_order_and_present) {
  expect_crowd(CHAT_GROUP);
}
END_TEST

START_TEST(members_of_a_channel_are_as_those_of_a_group) {
  expect_crowd(CHAT_CHANNEL);
}
END_TEST

START_TEST(a_stranger_s_row_is_empty) {
  put(CONVERSATION_A, 1, 1);
  raise_mark("bob", 1, 1);
  chat_store_members *page = members_op("mallory", "alice", 10);
  ck_assert_int_eq(bench_do(&bench, page), 0);
  ck_assert_uint_eq(page->self.role, CHAT_ROLE_NONE);
  ck_assert_uint_eq(page->self.interval_count, 0);
  ck_assert_uint_eq(page->member_count, 1);
  ck_assert_uint_eq(page->members[0].read, 1);
  ch_op_free(&page->op);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ SEARCH */

static void put_words(void) {
  put_text(CONVERSATION_A, 1, "The coffee house opens at nine");
  put_text(CONVERSATION_A, 2, "Coffee, at the HOUSE? OR not NEAR it");
  put_text(CONVERSATION_A, 3, "quote \" and * and text:column");
  put_text(CONVERSATION_A, 4, "coffeehouse");
  wait_indexed(4);
}

START_TEST(all_words_of_a_query_must_occur) {
  put_words();
  ck_assert_str_eq(found("alice", "coffee"), "2 1");
  ck_assert_str_eq(found("bob", "COFFEE nine"), "1");
  ck_assert_str_eq(found("bob", "nine   coffee"), "1");
  ck_assert_str_eq(found("bob", "nine elsewhere"), "");
  ck_assert_str_eq(found("mallory", "coffee"), "");
}
END_TEST

START_TEST(the_last_word_may_be_a_prefix) {
  put_words();
  ck_assert_str_eq(found("alice", "cof"), "");
  ck_assert_str_eq(found("alice", "cof*"), "4 2 1");
  ck_assert_str_eq(found("alice", "nine cof*"), "1");
  ck_assert_str_eq(found("alice", "cof* nine"), ""); /* only the last */
}
END_TEST

START_TEST(nothing_in_a_query_is_syntax) {
  put_words();
  ck_assert_str_eq(found("alice", "coffee OR quote"), "");
  ck_assert_str_eq(found("alice", "not near"), "2");
  ck_assert_str_eq(found("alice", "\"quote"), "3");
  ck_assert_str_eq(found("alice", "text:column"), "3");
  ck_assert_str_eq(found("alice", "(coffee-house"), "2 1");
  const char *const none[] = {"", "*", "\"", "  ", "()-:*"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    expect_status(search_op("alice", none[i], 10), CHAT_E_INVALID);
}
END_TEST

START_TEST(only_messages_have_words) {
  chat_store_apply *apply = apply_of(CONVERSATION_A, 1, 2);
  apply->rows[0].payload = message(&apply->op, "fig");
  apply->rows[0].type = CHAT_TYPE_MESSAGE + 100; /* unknown: kept raw */
  apply->rows[1].payload = text("\xff\xff\xff fig"); /* no message at all */
  ck_assert_int_eq(apply_now(apply), 0);
  put_text(CONVERSATION_A, 3, "fig");
  wait_indexed(3);
  ck_assert_str_eq(found("alice", "fig"), "3");
}
END_TEST

START_TEST(a_removed_member_finds_what_it_could_read) {
  for (uint64_t seq = 1; seq <= 4; seq++)
    put_text(CONVERSATION_A, seq, "apple");
  remove_bob(CONVERSATION_A, 5);
  for (uint64_t seq = 6; seq <= 8; seq++)
    put_text(CONVERSATION_A, seq, "apple");
  wait_indexed(8);
  ck_assert_str_eq(found("bob", "apple"), "4 3 2 1");
  ck_assert_str_eq(found("alice", "apple"), "8 7 6 4 3 2 1");
}
END_TEST

START_TEST(pages_of_a_search_go_on_and_do_not_part_what_is_equal) {
  for (uint64_t seq = 1; seq <= 5; seq++) {
    put_text(CONVERSATION_B, seq, "pear"); /* the same message_ids as in A, and indexed earlier */
    put_text(CONVERSATION_A, seq, "pear");
  }
  wait_found("pear", 10);
  uint64_t before = 0, want = 5;
  for (int page = 0; page < 5; page++) {
    chat_store_search *ask = search_op("alice", "pear", 3);
    ask->before_message_id = before;
    ck_assert_int_eq(bench_do(&bench, ask), 0);
    ck_assert_uint_eq(ask->row_count, 2); /* of 3, the third would be parted from its like */
    ck_assert_uint_eq(ask->rows[0].seq, want);
    ck_assert_uint_eq(ask->rows[1].seq, want--);
    ck_assert_uint_eq(ask->more, page < 4);
    before = ask->rows[1].message_id;
    ch_op_free(&ask->op);
  }
  chat_store_search *ask = search_op("alice", "pear", 20);
  id_of(ask->conversation_id, CONVERSATION_B);
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  ck_assert_uint_eq(ask->row_count, 5);
  ck_assert_uint_eq(ask->rows[0].conversation_id[0], CONVERSATION_B);
  ch_op_free(&ask->op);
}
END_TEST

/* Numbers of documents and message_ids may be in different order where some share one: the answer is by message_id. */
START_TEST(the_newest_is_found_first_whatever_its_number) {
  for (uint8_t name = 1; name <= 4; name++) {
    chat_store_apply *apply = apply_of(name, 1, 1);
    apply->rows[0].payload = message(&apply->op, "quince");
    apply->rows[0].message_id = name == 1 ? 13 : 10;
    apply->position = apply->states[0].position = name;
    ck_assert_int_eq(apply_now(apply), 0);
    wait_indexed(name); /* one after the other */
  }
  chat_store_search *ask = search_op("alice", "quince", 1);
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  ck_assert_uint_eq(ask->row_count, 1);
  ck_assert_uint_eq(ask->rows[0].message_id, 13);
  ck_assert_uint_eq(ask->more, 1);
  ch_op_free(&ask->op);
  ask = search_op("alice", "quince", 20);
  ask->before_message_id = 13;
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  ck_assert_uint_eq(ask->row_count, 3);
  ch_op_free(&ask->op);
}
END_TEST

/* Rows of one APPLY, one text each. */
static void put_texts(const char *const *texts, uint64_t count) {
  chat_store_apply *apply = apply_of(CONVERSATION_A, 1, count);
  for (uint64_t i = 0; i < count; i++)
    apply->rows[i].payload = message(&apply->op, texts[i]);
  ck_assert_int_eq(apply_now(apply), 0);
  wait_indexed(count);
}

START_TEST(all_words_must_occur_in_one_message) {
  const char *const texts[] = {"apple pie", "pear", "a pear-apple", "apple, pear, and pear", "pineapple pears"};
  put_texts(texts, 5);
  ck_assert_str_eq(found("alice", "apple pear"), "4 3");
  ck_assert_str_eq(found("alice", "pie pear"), "");
  ck_assert_str_eq(found("alice", "apple pear*"), "4 3");
  ck_assert_str_eq(found("alice", "pear pine*"), "");
  ck_assert_str_eq(found("alice", "pears pine*"), "5");
}
END_TEST

/* So many rows of A and B in turns, each at its own message_id, `step` from one of a conversation to the next; all have the word. */
enum { TURNS = 50 };

static void put_turns(const char *word, uint64_t step) {
  for (uint8_t side = 0; side < 2; side++) {
    chat_store_apply *apply = apply_of(side ? CONVERSATION_B : CONVERSATION_A, 1, TURNS);
    for (uint64_t i = 0; i < TURNS; i++) {
      apply->rows[i].payload = message(&apply->op, word);
      apply->rows[i].message_id = 1000 + step * i + side;
    }
    ck_assert_int_eq(apply_now(apply), 0);
  }
  for (size_t rows = 0; rows < 2 * TURNS; usleep(1000)) {
    chat_store_search *ask = search_op("alice", word, 200);
    ck_assert_int_eq(bench_do(&bench, ask), 0);
    rows = ask->row_count;
    ch_op_free(&ask->op);
  }
}

static void expect_turns(const char *word, uint64_t step, uint32_t limit) {
  uint64_t before = 0, left = 2 * TURNS;
  while (left > 0) {
    chat_store_search *ask = search_op("alice", word, limit);
    ask->before_message_id = before;
    ck_assert_int_eq(bench_do(&bench, ask), 0);
    ck_assert_uint_eq(ask->row_count, left < limit ? left : limit);
    for (size_t i = 0; i < ask->row_count; i++, left--)
      ck_assert_uint_eq(ask->rows[i].message_id, 1000 + step * ((left - 1) / 2) + (left - 1) % 2);
    ck_assert_uint_eq(ask->more, left > 0);
    before = ask->rows[ask->row_count - 1].message_id;
    ch_op_free(&ask->op);
  }
}

START_TEST(pages_of_a_search_are_by_message_id_where_conversations_took_turns) {
  put_turns("melon", 10);
  expect_turns("melon", 10, 1);
  expect_turns("melon", 10, 7);
  expect_turns("melon", 10, 200);
}
END_TEST

/* An hour from one to the next: what one index entry may stand for ends somewhere. */
START_TEST(pages_of_a_search_go_back_through_quiet_conversations) {
  put_turns("lemon", (uint64_t)3600000 << 22);
  expect_turns("lemon", (uint64_t)3600000 << 22, 1);
  expect_turns("lemon", (uint64_t)3600000 << 22, 30);
}
END_TEST

START_TEST(a_row_that_gave_way_is_found_by_what_took_its_place) {
  const char *const texts[] = {"plum", "plum and damson", "plum"};
  put_texts(texts, 3);
  write_one(2, 25, "medlar");
  wait_found("medlar", 1);
  ck_assert_str_eq(found("alice", "medlar"), "2");
  ck_assert_str_eq(found("alice", "damson"), "");
  ck_assert_str_eq(found("alice", "plum"), "3 1");
}
END_TEST

START_TEST(what_was_pruned_or_is_above_the_head_is_not_found) {
  for (uint64_t seq = 1; seq <= 4; seq++)
    put_text(CONVERSATION_A, seq, "medlar");
  write_one(5, 50, "medlar");
  put(CONVERSATION_B, 1, 6);
  wait_indexed(6);
  ck_assert_uint_eq(prune(1003, 1000), 4); /* two of each */
  ck_assert_str_eq(found("alice", "medlar"), "4 3");
}
END_TEST

/* ------------------------------------------------------------------------------------------------ DEVICE, DEVICES */

static chat_store_device *device_op(uint32_t verb, const char *user, uint8_t name) {
  chat_store_device *op = ch_op_new(NULL, CHAT_OP_STORE_DEVICE, sizeof *op);
  op->verb = verb;
  op->user = text(user);
  op->devices_max = 2;
  op->device.name = text("phone");
  op->device.session_next = 1;
  id_of(op->device.device_id, name);
  return op;
}

START_TEST(a_device_is_written_where_it_is_as_expected) {
  chat_device stored;
  ck_assert_int_eq(device_put(1, 1, 9, &stored), CHAT_E_CONFLICT); /* does not exist */
  ck_assert_uint_eq(stored.device_id[0], 1);
  ck_assert_uint_eq(stored.session + stored.created_ms + stored.name.len, 0);
  ck_assert_int_eq(device_put(1, 1, 0, NULL), 0);
  ck_assert_int_eq(device_put(1, 2, 0, &stored), CHAT_E_CONFLICT);
  ck_assert_uint_eq(stored.session, 1);
  ck_assert_int_eq(device_put(1, 2, 1, NULL), 0);
  ck_assert_int_eq(device_put(1, 3, 1, &stored), CHAT_E_CONFLICT);
  ck_assert_uint_eq(stored.session, 2);
}
END_TEST

START_TEST(both_session_numbers_must_be_as_expected) {
  expect_status(device_op(CHAT_DEVICE_PUT, "alice", 1), 0); /* session 0, next 1 */
  chat_store_device *op = device_op(CHAT_DEVICE_PUT, "alice", 1);
  op->expect_session_next = 2;
  ck_assert_int_eq(bench_do(&bench, op), CHAT_E_CONFLICT);
  ck_assert_uint_eq(op->device.session_next, 1);
  ch_op_free(&op->op);
  op = device_op(CHAT_DEVICE_PUT, "alice", 1);
  op->expect_session_next = 1;
  op->device.session = 1;
  op->device.session_next = 0;
  op->device.revoked = 1;
  expect_status(op, 0);
  op = device_op(CHAT_DEVICE_GET, "alice", 1);
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ck_assert_uint_eq(op->device.session, 1);
  ck_assert_uint_eq(op->device.session_next, 0);
  ck_assert_uint_eq(op->device.revoked, 1);
  expect_user(op->device.name, "phone");
  ch_op_free(&op->op);
}
END_TEST

START_TEST(an_unknown_device_is_not_found) {
  expect_status(device_op(CHAT_DEVICE_GET, "alice", 1), CHAT_E_NOT_FOUND);
  expect_status(device_op(CHAT_DEVICE_PUT, "alice", 1), 0);
  expect_status(device_op(CHAT_DEVICE_GET, "bob", 1), CHAT_E_NOT_FOUND);
}
END_TEST

static chat_store_devices *devices_of(const char *user) {
  chat_store_devices *list = ch_op_new(NULL, CHAT_OP_STORE_DEVICES, sizeof *list);
  list->user = text(user);
  ck_assert_int_eq(bench_do(&bench, list), 0);
  return list;
}

START_TEST(a_user_has_devices_max_of_them_that_are_not_revoked) {
  ck_assert_int_eq(device_put(1, 1, 0, NULL), 0);
  ck_assert_int_eq(device_put(2, 1, 0, NULL), 0);
  ck_assert_int_eq(device_put(3, 1, 0, NULL), CHAT_E_LIMIT);
  ck_assert_int_eq(device_put(2, 2, 1, NULL), 0); /* not a new one */
  chat_store_device *revoke = device_op(CHAT_DEVICE_PUT, "alice", 1);
  revoke->expect_session = 1;
  revoke->device.revoked = 1;
  expect_status(revoke, 0);
  ck_assert_int_eq(device_put(3, 1, 0, NULL), 0);
  chat_store_devices *list = devices_of("alice");
  ck_assert_uint_eq(list->count, 3);
  uint8_t revoked = 0;
  for (size_t i = 0; i < list->count; i++)
    if (list->devices[i].revoked) revoked = list->devices[i].device_id[0];
  ck_assert_uint_eq(revoked, 1);
  ch_op_free(&list->op);
  list = devices_of("bob");
  ck_assert_uint_eq(list->count, 0);
  ch_op_free(&list->op);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ PRUNE */

START_TEST(old_rows_go_and_the_horizon_says_so) {
  put(CONVERSATION_A, 1, 150);
  put(CONVERSATION_B, 1, 3);
  ck_assert_uint_eq(prune(1001, 1000), 0);
  ck_assert_uint_eq(prune(1101, 1000), 103); /* row n is of 1000 + n */
  ck_assert_uint_eq(horizon(CONVERSATION_A), 100);
  ck_assert_uint_eq(horizon(CONVERSATION_B), 3);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 101, 50);
  expect_rows(CONVERSATION_A, 0, 0, 200, 1, 101, 50);
  put(CONVERSATION_A, 90, 150); /* a replay does not bring them back */
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 101, 50);
  chat_store_state *ask = state_of(CONVERSATION_A, NULL, 0, 0);
  ck_assert_uint_eq(ask->state.head, 150); /* never the state */
  ck_assert_uint_eq(ask->state.sender_count, 1);
  ch_op_free(&ask->op);
}
END_TEST

START_TEST(pruning_goes_on_where_the_limit_ended_it) {
  put(CONVERSATION_A, 1, 100);
  ck_assert_uint_eq(prune(1081, 30), 30);
  ck_assert_uint_eq(horizon(CONVERSATION_A), 30);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 31, 70);
  ck_assert_uint_eq(prune(1081, 50), 50);
  ck_assert_uint_eq(prune(1081, 50), 0);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 81, 20);
}
END_TEST

/* A row above the head belongs to no state yet: pruned, it would be missed for ever when the state comes. */
START_TEST(rows_above_the_head_are_not_pruned) {
  put(CONVERSATION_A, 1, 3);
  write_one(4, 40, "message number4 of many");
  ck_assert_uint_eq(prune(9999, 1000), 3);
  ck_assert_uint_eq(horizon(CONVERSATION_A), 3);
  put(CONVERSATION_A, 4, 5);
  expect_rows(CONVERSATION_A, 0, 0, 10, 0, 4, 2);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ bounds */

START_TEST(what_is_outside_the_bounds_is_invalid) {
  const char *const users[] = {"", "with\nnewline", "\xff\xfe", "a name of more than sixty-four bytes, which is the most that a user id may have"};
  for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
    chat_bytes user = text(users[i]);
    chat_store_state *state = ch_op_new(NULL, CHAT_OP_STORE_STATE, sizeof *state);
    state->users = &user;
    state->user_count = 1;
    expect_status(state, CHAT_E_INVALID);
    chat_store_range *rows = ch_op_new(NULL, CHAT_OP_STORE_RANGE, sizeof *rows);
    rows->user = user;
    rows->limit = 1;
    expect_status(rows, user.len ? CHAT_E_INVALID : 0);
    chat_store_heads *list = ch_op_new(NULL, CHAT_OP_STORE_HEADS, sizeof *list);
    list->user = user;
    list->limit = 1;
    expect_status(list, CHAT_E_INVALID);
    expect_status(members_op(users[i], "", 1), CHAT_E_INVALID);
    expect_status(search_op(users[i], "word", 1), CHAT_E_INVALID);
    expect_status(device_op(CHAT_DEVICE_GET, users[i], 1), CHAT_E_INVALID);
    chat_store_devices *devices = ch_op_new(NULL, CHAT_OP_STORE_DEVICES, sizeof *devices);
    devices->user = user;
    expect_status(devices, CHAT_E_INVALID);
  }
}
END_TEST

START_TEST(limits_have_bounds) {
  const uint32_t bad[] = {0, UINT32_MAX, 1001};
  for (int i = 0; i < 3; i++) {
    chat_store_range *rows = ch_op_new(NULL, CHAT_OP_STORE_RANGE, sizeof *rows);
    rows->limit = i == 2 ? CHAT_PAGE_MAX + 1 : bad[i];
    expect_status(rows, CHAT_E_INVALID);
    chat_store_heads *list = ch_op_new(NULL, CHAT_OP_STORE_HEADS, sizeof *list);
    list->user = text("alice");
    list->limit = bad[i];
    expect_status(list, CHAT_E_INVALID);
    expect_status(members_op("alice", "", bad[i]), CHAT_E_INVALID);
    expect_status(search_op("alice", "word", i == 2 ? CHAT_PAGE_MAX + 1 : bad[i]), CHAT_E_INVALID);
  }
  chat_store_prune *op = ch_op_new(NULL, CHAT_OP_STORE_PRUNE, sizeof *op);
  expect_status(op, CHAT_E_INVALID);
  expect_status(device_op(3, "alice", 1), CHAT_E_INVALID);
  chat_store_device *device = device_op(CHAT_DEVICE_PUT, "alice", 1);
  device->device.name = text("a name of more than sixty-four bytes, which is the most that a device may have");
  expect_status(device, CHAT_E_INVALID);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ heads that are derived */

START_TEST(heads_come_in_the_order_of_positions_and_together) {
  const uint64_t positions[] = {10, 20, 20, 30};
  for (uint8_t i = 4; i >= 1; i--)
    put_at(i, positions[i - 1]);
  chat_store_heads *got = heads("bob", 0, 2); /* the second and third stay together, so the answer ends before them */
  ck_assert_uint_eq(got->head_count, 1);
  ck_assert_uint_eq(got->more, 1);
  ck_assert_uint_eq(got->position, 10);
  ch_op_free(&got->op);
  got = heads("bob", 10, 1); /* they alone are more than the limit */
  ck_assert_uint_eq(got->head_count, 2);
  ck_assert_uint_eq(got->more, 1);
  ck_assert_uint_eq(got->position, 20);
  ch_op_free(&got->op);
  got = heads("bob", 10, 3);
  ck_assert_uint_eq(got->head_count, 3);
  ck_assert_uint_eq(got->more, 0);
  ck_assert_uint_eq(got->position, 30);
  ck_assert_uint_eq(got->heads[2].conversation_id[0], 4);
  ck_assert_uint_eq(got->heads[2].head, 1);
  ck_assert_uint_eq(got->heads[2].first, 1);
  ck_assert(ch_bytes_equal(got->heads[2].title, text("friends")));
  ch_op_free(&got->op);
  got = heads("bob", 30, 3);
  ck_assert_uint_eq(got->head_count, 0);
  ck_assert_uint_eq(got->position, 30);
  ch_op_free(&got->op);
  got = heads("mallory", 0, 3);
  ck_assert_uint_eq(got->head_count, 0);
  ch_op_free(&got->op);
}
END_TEST

START_TEST(a_former_member_s_head_stands_at_its_removal) {
  put(CONVERSATION_A, 1, 4);
  remove_bob(CONVERSATION_A, 5);
  chat_store_apply *later = apply_of(CONVERSATION_A, 6, 9);
  later->states[0].member_count_here = 1; /* alice */
  later->states[0].title = text("without bob");
  ck_assert_int_eq(apply_now(later), 0);
  remove_bob(CONVERSATION_A, 5); /* a replay */
  chat_store_heads *got = heads("bob", 4, 10);
  ck_assert_uint_eq(got->head_count, 1);
  ck_assert_uint_eq(got->heads[0].role, CHAT_ROLE_NONE);
  ck_assert_uint_eq(got->heads[0].head, 5);
  ck_assert_uint_eq(got->heads[0].msg_no, 5);
  ck_assert_uint_eq(got->heads[0].active_ms, 1005);
  ck_assert_uint_eq(got->heads[0].position, 5);
  ck_assert_uint_eq(got->position, 9);
  ck_assert(ch_bytes_equal(got->heads[0].title, text("friends"))); /* what it is called now is not for bob */
  ch_op_free(&got->op);
  got = heads("bob", 5, 10);
  ck_assert_uint_eq(got->head_count, 0);
  ch_op_free(&got->op);
  got = heads("alice", 5, 10);
  ck_assert_uint_eq(got->heads[0].head, 9);
  ck_assert(ch_bytes_equal(got->heads[0].title, text("without bob")));
  ch_op_free(&got->op);
}
END_TEST

/* Also after its row has gone. */
START_TEST(a_former_member_s_head_outlives_its_row) {
  put(CONVERSATION_A, 1, 4);
  remove_bob(CONVERSATION_A, 5);
  ck_assert_uint_eq(prune(9999, 1000), 5);
  chat_store_heads *got = heads("bob", 0, 10);
  ck_assert_uint_eq(got->heads[0].head, 5);
  ck_assert_uint_eq(got->heads[0].msg_no, 5);
  ck_assert_uint_eq(got->heads[0].active_ms, 1005);
  ch_op_free(&got->op);
}
END_TEST

/* bob is removed by event 3 and added by event 6, which he may read. */
static void put_two_stays(void) {
  put(CONVERSATION_A, 1, 2);
  remove_bob(CONVERSATION_A, 3);
  chat_store_apply *apply = apply_of(CONVERSATION_A, 4, 6);
  chat_member *bob = &apply->states[0].members[1];
  bob->position = 6;
  bob->interval_count = 2;
  bob->intervals = chat_op_alloc(&apply->op, 2 * sizeof *bob->intervals);
  bob->intervals[0] = (chat_interval){0, 3};
  bob->intervals[1] = (chat_interval){5, UINT64_MAX};
  ck_assert_int_eq(apply_now(apply), 0);
}

START_TEST(who_came_back_has_the_conversation_s_head) {
  put_two_stays();
  chat_store_heads *got = heads("bob", 0, 10);
  ck_assert_uint_eq(got->head_count, 1);
  ck_assert_uint_eq(got->heads[0].role, CHAT_ROLE_MEMBER);
  ck_assert_uint_eq(got->heads[0].head, 6);
  ck_assert_uint_eq(got->heads[0].first, 1);
  ch_op_free(&got->op);
}
END_TEST

START_TEST(the_first_readable_seq_is_above_the_horizon) {
  put_two_stays();
  const uint64_t first_after[] = {1, 2, 3, 6, 6, 6, 7}; /* rows 1 … n were pruned */
  for (uint64_t n = 0; n <= 6; n++) {
    ck_assert_uint_eq(prune(1001 + n, 1000), n ? 1 : 0);
    chat_store_heads *got = heads("bob", 0, 10);
    ck_assert_uint_eq(got->heads[0].first, first_after[n]);
    ch_op_free(&got->op);
  }
}
END_TEST

START_TEST(watermarks_rise_only_and_apply_leaves_them) {
  put(CONVERSATION_A, 1, 9);
  chat_watermark mark = raise_mark("bob", 7, 3);
  ck_assert_uint_eq(mark.delivered, 7);
  ck_assert_uint_eq(mark.read, 3);
  mark = raise_mark("bob", 2, 5);
  ck_assert_uint_eq(mark.delivered, 7);
  ck_assert_uint_eq(mark.read, 5);
  raise_mark("mallory", 9, 9); /* skipped */
  put(CONVERSATION_A, 10, 12);
  chat_store_heads *got = heads("bob", 0, 10);
  ck_assert_uint_eq(got->heads[0].delivered, 7);
  ck_assert_uint_eq(got->heads[0].read, 5);
  ch_op_free(&got->op);
  got = heads("mallory", 0, 10);
  ck_assert_uint_eq(got->head_count, 0);
  ch_op_free(&got->op);
}
END_TEST

START_TEST(a_channel_s_head_is_derived_as_any) {
  chat_store_apply *apply = apply_of(CONVERSATION_A, 1, 3);
  apply->states[0].kind = CHAT_CHANNEL;
  ck_assert_int_eq(apply_now(apply), 0);
  chat_store_heads *got = heads("bob", 0, 10);
  ck_assert_uint_eq(got->head_count, 1);
  ck_assert_uint_eq(got->heads[0].kind, CHAT_CHANNEL);
  ck_assert_uint_eq(got->heads[0].position, 3);
  ch_op_free(&got->op);
  got = heads("bob", 3, 10);
  ck_assert_uint_eq(got->head_count, 0);
  ch_op_free(&got->op);
}
END_TEST

START_TEST(what_does_not_exist_has_no_head) {
  chat_store_apply *apply = cells_of(CONVERSATION_A, 7, 0);
  apply->states[0].member_count_here = 2;
  ck_assert_int_eq(apply_now(apply), 0);
  chat_store_heads *got = heads("bob", 0, 10);
  ck_assert_uint_eq(got->head_count, 0);
  ck_assert_uint_eq(got->position, 7);
  ch_op_free(&got->op);
}
END_TEST

START_TEST(whoever_never_had_an_interval_has_no_head) {
  chat_store_apply *apply = apply_of(CONVERSATION_A, 1, 3);
  apply->states[0].members[1].role = CHAT_ROLE_NONE;
  apply->states[0].members[1].interval_count = 0;
  ck_assert_int_eq(apply_now(apply), 0);
  chat_store_heads *got = heads("bob", 0, 10);
  ck_assert_uint_eq(got->head_count, 0);
  ch_op_free(&got->op);
}
END_TEST

START_TEST(there_is_one_partition) {
  chat_store_apply *apply = apply_of(CONVERSATION_A, 1, 1);
  apply->partition = 1;
  ck_assert_int_eq(apply_now(apply), CHAT_E_INVALID);
}
END_TEST

START_TEST(heads_that_are_derived_are_not_written) {
  chat_op *op = ch_op_new(NULL, CHAT_OP_STORE_WRITE_HEADS, sizeof(chat_store_write_heads));
  ck_assert_int_eq(bench_do(&bench, op), CHAT_E_UNSUPPORTED);
  ch_op_free(op);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ heads that are written */

static chat_store_write_heads *write_op(const char *user, uint8_t conversation, uint64_t head, uint64_t at) {
  chat_store_write_heads *op = ch_op_new(NULL, CHAT_OP_STORE_WRITE_HEADS, sizeof *op);
  op->partition = ch_partition_of(text(user), DELIVERY_PARTITIONS);
  op->position = at;
  op->count = 1;
  op->heads = chat_op_alloc(&op->op, sizeof *op->heads);
  op->heads[0] = (chat_user_head){.user = text(user), .head = {.kind = CHAT_GROUP, .role = CHAT_ROLE_MEMBER, .head = head, .msg_no = head, .position = at, .active_ms = 1000 + head,
                                                               .first = 1, .delivered = 99, .read = 99, .title = text("friends")}};
  id_of(op->heads[0].head.conversation_id, conversation);
  return op;
}

static void write_head(uint8_t conversation, uint64_t head, uint64_t at) {
  expect_status(write_op("bob", conversation, head, at), 0);
}

static void expect_head(uint64_t above, uint8_t conversation, uint64_t head, uint64_t at) {
  chat_store_heads *got = heads("bob", above, 10);
  ck_assert_uint_eq(got->head_count, 1);
  ck_assert_uint_eq(got->heads[0].conversation_id[0], conversation);
  ck_assert_uint_eq(got->heads[0].head, head);
  ck_assert_uint_eq(got->heads[0].position, at);
  ck_assert_uint_eq(got->heads[0].delivered + got->heads[0].read, 0);
  ch_op_free(&got->op);
}

/* V1: the head by its seq, the position by itself. */
START_TEST(each_cell_of_a_written_head_keeps_the_highest) {
  write_head(CONVERSATION_A, 5, 10);
  expect_head(0, CONVERSATION_A, 5, 10);
  write_head(CONVERSATION_A, 4, 12); /* an older event, told later */
  expect_head(0, CONVERSATION_A, 5, 12);
  write_head(CONVERSATION_A, 7, 9); /* a zombie's newer event */
  expect_head(0, CONVERSATION_A, 7, 12);
  chat_store_heads *got = heads("bob", 12, 10);
  ck_assert_uint_eq(got->head_count, 0);
  ck_assert_uint_eq(got->position, 12);
  ch_op_free(&got->op);
}
END_TEST

START_TEST(the_deliveries_position_is_the_partition_s) {
  uint32_t mine = ch_partition_of(text("bob"), DELIVERY_PARTITIONS);
  write_head(CONVERSATION_A, 5, 10);
  for (uint32_t i = 0; i < DELIVERY_PARTITIONS; i++)
    ck_assert_uint_eq(position_of(CHAT_TOPIC_DELIVERIES, i), i == mine ? 10 : 0);
  write_head(CONVERSATION_A, 3, 4);
  ck_assert_uint_eq(position_of(CHAT_TOPIC_DELIVERIES, mine), 10);
  ck_assert_uint_eq(position_of(CHAT_TOPIC_MESSAGES, mine), 0);
  chat_store_write_heads *op = write_op("bob", CONVERSATION_A, 9, 20);
  op->partition = DELIVERY_PARTITIONS;
  expect_status(op, CHAT_E_INVALID);
  expect_head(0, CONVERSATION_A, 5, 10);
}
END_TEST

START_TEST(the_deliveries_log_s_identity_is_stored_with_the_position) {
  static const struct {
    uint64_t position;
    uint8_t identity, want;
  } rows[] = {{10, 1, 1}, {4, 2, 1}, {10, 2, 1}, {11, 2, 2}};
  uint32_t mine = ch_partition_of(text("bob"), DELIVERY_PARTITIONS);
  has_identity(CHAT_TOPIC_DELIVERIES, mine, 0);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    chat_store_write_heads *op = write_op("bob", CONVERSATION_A, i + 1, rows[i].position);
    memset(op->log_identity, rows[i].identity, sizeof op->log_identity);
    expect_status(op, 0);
    for (uint32_t p = 0; p < DELIVERY_PARTITIONS; p++)
      has_identity(CHAT_TOPIC_DELIVERIES, p, p == mine ? rows[i].want : 0);
  }
  has_identity(CHAT_TOPIC_MESSAGES, mine, 0);
}
END_TEST

START_TEST(written_heads_are_in_the_order_of_positions_and_together) {
  write_head(4, 1, 30);
  write_head(2, 1, 20);
  write_head(1, 1, 10);
  write_head(3, 1, 20);
  chat_store_heads *got = heads("bob", 0, 2);
  ck_assert_uint_eq(got->head_count, 1);
  ck_assert_uint_eq(got->more, 1);
  ck_assert_uint_eq(got->position, 10);
  ch_op_free(&got->op);
  got = heads("bob", 10, 1);
  ck_assert_uint_eq(got->head_count, 2);
  ck_assert_uint_eq(got->more, 1);
  ck_assert_uint_eq(got->position, 20);
  ch_op_free(&got->op);
  got = heads("bob", 20, 1);
  ck_assert_uint_eq(got->head_count, 1);
  ck_assert_uint_eq(got->more, 0);
  ck_assert_uint_eq(got->position, 30);
  ch_op_free(&got->op);
}
END_TEST

/* Fan-out on read: channels come with each last answer, in front, whatever was asked. */
START_TEST(channels_are_in_front_of_the_last_answer) {
  chat_store_apply *apply = apply_of(CONVERSATION_B, 1, 3);
  apply->states[0].kind = CHAT_CHANNEL;
  ck_assert_int_eq(apply_now(apply), 0);
  put(CONVERSATION_A, 1, 2); /* a group: its heads are written */
  write_head(1, 1, 10);
  write_head(2, 1, 20);
  chat_store_heads *got = heads("bob", 0, 1);
  ck_assert_uint_eq(got->head_count, 1);
  ck_assert_uint_eq(got->more, 1);
  ck_assert_uint_eq(got->heads[0].conversation_id[0], 1);
  ch_op_free(&got->op);
  got = heads("bob", 10, 1);
  ck_assert_uint_eq(got->more, 0);
  ck_assert_uint_eq(got->head_count, 2);
  ck_assert_uint_eq(got->heads[0].conversation_id[0], CONVERSATION_B);
  ck_assert_uint_eq(got->heads[0].position, 0);
  ck_assert_uint_eq(got->heads[0].head, 3);
  ck_assert_uint_eq(got->heads[1].conversation_id[0], 2);
  ck_assert_uint_eq(got->position, 20);
  ch_op_free(&got->op);
  got = heads("bob", 20, 1);
  ck_assert_uint_eq(got->head_count, 1);
  ck_assert_uint_eq(got->heads[0].conversation_id[0], CONVERSATION_B);
  ch_op_free(&got->op);
  got = heads("mallory", 0, 1);
  ck_assert_uint_eq(got->head_count, 0);
  ch_op_free(&got->op);
}
END_TEST

START_TEST(any_number_of_partitions_is_folded) {
  chat_store_apply *apply = apply_of(CONVERSATION_A, 1, 3);
  apply->partition = 77;
  ck_assert_int_eq(apply_now(apply), 0);
  ck_assert_uint_eq(position_of(CHAT_TOPIC_MESSAGES, 77), 3);
  ck_assert_uint_eq(position_of(CHAT_TOPIC_MESSAGES, 0), 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ of the one in memory */

/* At every allocation of an APPLY: what fails leaves nothing, and done again it succeeds. */
START_TEST(memory_may_run_out_in_the_middle) {
  failing_allocator memory;
  chat_backend store;
  size_t failures = 0;
  int status = CHAT_E_NOMEM;
  bench_close(&bench);
  failing_allocator_init(&memory, SIZE_MAX);
  ck_assert_int_eq(ch_store_mem_new(&(ch_store_mem_config){.alloc = &memory.alloc, .derives_heads = 1}, &store), 0);
  bench_open(&bench, store);
  for (; status == CHAT_E_NOMEM; failures++) {
    expect_rows(CONVERSATION_A, 0, 0, 10, 0, 0, 0);
    ck_assert_uint_eq(position(NULL), 0);
    chat_store_state *ask = state_of(CONVERSATION_A, NULL, 0, 0);
    ck_assert_uint_eq(ask->state.kind + ask->state.member_count_here + ask->state.sender_count, 0);
    ch_op_free(&ask->op);
    memory.left = failures;
    status = apply_now(apply_of(CONVERSATION_A, 1, 3));
    memory.left = SIZE_MAX;
  }
  ck_assert_int_eq(status, 0);
  ck_assert_uint_gt(failures, 5);
  expect_rows(CONVERSATION_A, 0, 0, 10, 0, 1, 3);
  bench_close(&bench);
  ck_assert_uint_eq(memory.live, 0);
  open_mem_derived(); /* for the fixture */
}
END_TEST

/* ------------------------------------------------------------------------------------------------ the suites */

int main(void) {
  const TTest *const all[] = {
      a_replay_changes_nothing,
      of_two_rows_the_higher_message_id_stays,
      of_two_cells_the_higher_position_stays,
      cells_are_written_one_by_one,
      an_apply_is_whole_or_nothing,
      what_is_outside_the_bounds_is_not_applied,
      a_state_is_whole,
      a_conversation_that_does_not_exist_has_kind_0,
      senders_of_what_does_not_exist_are_kept,
      of_a_channel_only_the_asked_are_given,
      only_users_gives_these_members_and_no_sender,
      members_keep_all_their_intervals,
      a_range_is_cut_from_the_end_that_was_asked_for,
      rows_above_the_head_are_not_given,
      before_a_row_that_is_missing_the_answer_ends,
      a_range_says_the_membership_of_its_user,
      rows_live_as_long_as_the_op,
      the_consumed_position_rises_only,
      the_log_s_identity_is_stored_with_the_position,
      watermarks_rise_only,
      who_was_never_a_member_has_no_watermark,
      watermarks_have_bounds,
      members_are_paged,
      members_are_in_bytewise_order_and_present,
      members_of_a_channel_are_as_those_of_a_group,
      a_stranger_s_row_is_empty,
      all_words_of_a_query_must_occur,
      the_last_word_may_be_a_prefix,
      nothing_in_a_query_is_syntax,
      only_messages_have_words,
      a_removed_member_finds_what_it_could_read,
      pages_of_a_search_go_on_and_do_not_part_what_is_equal,
      the_newest_is_found_first_whatever_its_number,
      all_words_must_occur_in_one_message,
      pages_of_a_search_are_by_message_id_where_conversations_took_turns,
      pages_of_a_search_go_back_through_quiet_conversations,
      a_row_that_gave_way_is_found_by_what_took_its_place,
      what_was_pruned_or_is_above_the_head_is_not_found,
      a_device_is_written_where_it_is_as_expected,
      both_session_numbers_must_be_as_expected,
      an_unknown_device_is_not_found,
      a_user_has_devices_max_of_them_that_are_not_revoked,
      old_rows_go_and_the_horizon_says_so,
      pruning_goes_on_where_the_limit_ended_it,
      rows_above_the_head_are_not_pruned,
      what_is_outside_the_bounds_is_invalid,
      limits_have_bounds,
  };
  const TTest *const derived[] = {
      heads_come_in_the_order_of_positions_and_together,
      a_former_member_s_head_stands_at_its_removal,
      a_former_member_s_head_outlives_its_row,
      who_came_back_has_the_conversation_s_head,
      the_first_readable_seq_is_above_the_horizon,
      watermarks_rise_only_and_apply_leaves_them,
      a_channel_s_head_is_derived_as_any,
      what_does_not_exist_has_no_head,
      whoever_never_had_an_interval_has_no_head,
      there_is_one_partition,
      heads_that_are_derived_are_not_written,
  };
  const TTest *const written[] = {
      each_cell_of_a_written_head_keeps_the_highest,
      the_deliveries_position_is_the_partition_s,
      the_deliveries_log_s_identity_is_stored_with_the_position,
      written_heads_are_in_the_order_of_positions_and_together,
      channels_are_in_front_of_the_last_answer,
      any_number_of_partitions_is_folded,
  };
  const TTest *const in_memory[] = {memory_may_run_out_in_the_middle};
  const contract_version versions[] = {
      {"mem, derives heads", open_mem_derived, close_mem},
      {"sqlite", open_sqlite, close_sqlite},
      {"sqlite, written late", open_sqlite_late, close_sqlite},
      {"sqlite, written late and often", open_sqlite_late_often, close_sqlite},
      {"mem", open_mem_written, close_mem},
  };
  int failed = contract_run(&(contract_suite){"store", CONTRACT_LIST(versions), CONTRACT_LIST(all), {&bench.backend, quick, 0, NULL}});
  failed |= contract_run(&(contract_suite){"store that derives heads", versions, 4, CONTRACT_LIST(derived), {0}});
  failed |= contract_run(&(contract_suite){"store that does not", versions + 4, 1, CONTRACT_LIST(written), {0}});
  failed |= contract_run(&(contract_suite){"store in memory", versions, 1, CONTRACT_LIST(in_memory), {0}});
  return failed | store_random_run();
}
