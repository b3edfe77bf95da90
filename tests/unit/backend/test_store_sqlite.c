/* SPDX-License-Identifier: Apache-2.0 */
/* What is the embedded store's own: files, reopening, power, damage, runs, retention, the index. What every store does is tests/contract. */
#define _DEFAULT_SOURCE
#include "backend/store_sqlite/store_sqlite.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../core/run.h"
#include "bench_port.h"
#include "core/buf.h"
#include "core/wire.h"

static char dir[64], path[96];
static bench_port bench;

static ch_store_sqlite_config config(void) {
  return (ch_store_sqlite_config){.path = path, .reader_threads = 2};
}

static void open_with(ch_store_sqlite_config wanted) {
  chat_backend store;
  ch_assert(ch_store_sqlite_new(&wanted, &store) == 0);
  bench_open(&bench, store);
}

static void open_store(void) {
  open_with(config());
}

static void reopen(void) {
  bench_close(&bench);
  open_store();
}

static void begin(void) {
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/store.db", dir);
  open_store();
}

static void end(void) {
  bench_close(&bench);
  bench_dir_remove(dir);
}

/* ------------------------------------------------------------------------------------------------ what is written */

enum { CONVERSATION_A = 0xa0, CONVERSATION_B = 0xb0 };

static uint8_t *id_of(uint8_t id[16], uint8_t name) {
  memset(id, name, 16);
  return id;
}

/* A message with this body, as the wire has it; lives as long as the op. */
static chat_bytes message(chat_op *op, const char *body) {
  ch_buf buf;
  ch_buf_init(&buf, NULL, 1 << 20);
  ch_content content = {.type = CHAT_TYPE_MESSAGE, .body = text(body)};
  ch_assert(ch_content_encode(&content, &buf) == 0);
  chat_bytes copy = chat_op_copy(op, ch_buf_bytes(&buf));
  ch_buf_fini(&buf);
  return copy;
}

static chat_row row_of(chat_op *op, uint8_t conversation, uint64_t seq, const char *body) {
  chat_row row = {.seq = seq, .msg_no = seq, .message_id = seq * 10, .created_ms = 1000 + seq, .client_seq = seq, .sender = text("alice"), .type = CHAT_TYPE_MESSAGE};
  id_of(row.conversation_id, conversation);
  memset(row.device_id, 0xd1, 16);
  memset(row.client_id, (int)seq, 16);
  row.payload = message(op, body);
  return row;
}

/* Rows first … last of a conversation, its head there, alice and bob in it from the start; position = last. */
static chat_store_apply *apply_of(uint8_t conversation, uint64_t first, uint64_t last) {
  chat_store_apply *apply = ch_op_new(NULL, CHAT_OP_STORE_APPLY, sizeof *apply);
  chat_op *op = &apply->op;
  apply->position = last;
  apply->row_count = (size_t)(last - first + 1);
  apply->rows = chat_op_alloc(op, apply->row_count * sizeof *apply->rows);
  for (uint64_t seq = first; seq <= last; seq++) {
    char body[64];
    snprintf(body, sizeof body, "message number%d of many", (int)seq);
    apply->rows[seq - first] = row_of(op, conversation, seq, body);
  }
  chat_state *state = apply->states = chat_op_alloc(op, sizeof *state);
  apply->state_count = 1;
  *state = (chat_state){.kind = CHAT_GROUP, .head = last, .msg_no = last, .message_id = last * 10, .position = last, .member_count = 2, .active_ms = 1000 + last,
                        .title = text("friends"), .member_count_here = 2, .sender_count = 1};
  id_of(state->conversation_id, conversation);
  state->members = chat_op_alloc(op, 2 * sizeof *state->members);
  for (int i = 0; i < 2; i++) {
    state->members[i] = (chat_member){.user = text(i ? "bob" : "alice"), .role = CHAT_ROLE_MEMBER, .position = 1, .interval_count = 1};
    state->members[i].intervals = chat_op_alloc(op, sizeof(chat_interval));
    state->members[i].intervals[0] = (chat_interval){0, UINT64_MAX};
  }
  state->senders = chat_op_alloc(op, sizeof *state->senders);
  state->senders[0] = (chat_sender){.user = text("alice"), .last = last, .position = last};
  memset(state->senders[0].device_id, 0xd1, 16);
  return apply;
}

static int apply_now(chat_store_apply *apply) {
  int status = bench_do(&bench, apply);
  ch_op_free(&apply->op);
  return status;
}

static void put(uint8_t conversation, uint64_t first, uint64_t last) {
  ck_assert_int_eq(apply_now(apply_of(conversation, first, last)), 0);
}

/* ------------------------------------------------------------------------------------------------ what is read */

static chat_store_range *range(uint8_t conversation, uint64_t low, uint64_t high, uint32_t limit, uint32_t newest_first) {
  chat_store_range *range = ch_op_new(NULL, CHAT_OP_STORE_RANGE, sizeof *range);
  id_of(range->conversation_id, conversation);
  range->user = text("alice");
  range->low = low;
  range->high = high;
  range->limit = limit;
  range->newest_first = newest_first;
  ck_assert_int_eq(bench_do(&bench, range), 0);
  return range;
}

static void expect_rows(uint8_t conversation, uint64_t low, uint64_t high, uint32_t limit, uint32_t newest_first, uint64_t first, size_t count) {
  chat_store_range *got = range(conversation, low, high, limit, newest_first);
  ck_assert_uint_eq(got->row_count, count);
  for (size_t i = 0; i < count; i++) {
    char body[64];
    snprintf(body, sizeof body, "message number%d of many", (int)(first + i));
    chat_row want = row_of(&got->op, conversation, first + i, body), *row = &got->rows[i];
    ck_assert_uint_eq(row->seq, want.seq);
    ck_assert_uint_eq(row->msg_no, want.msg_no);
    ck_assert_uint_eq(row->message_id, want.message_id);
    ck_assert_uint_eq(row->created_ms, want.created_ms);
    ck_assert_uint_eq(row->client_seq, want.client_seq);
    ck_assert_uint_eq(row->type, want.type);
    ck_assert_mem_eq(row->conversation_id, want.conversation_id, 16);
    ck_assert_mem_eq(row->device_id, want.device_id, 16);
    ck_assert_mem_eq(row->client_id, want.client_id, 16);
    ck_assert(ch_bytes_equal(row->sender, want.sender));
    ck_assert(ch_bytes_equal(row->payload, want.payload));
  }
  ch_op_free(&got->op);
}

static uint64_t position(uint64_t *synced) {
  chat_store_position *ask = ch_op_new(NULL, CHAT_OP_STORE_POSITION, sizeof *ask);
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  uint64_t stored = ask->position;
  if (synced) *synced = ask->synced;
  ch_op_free(&ask->op);
  return stored;
}

START_TEST(written_is_read_and_survives_reopening) {
  begin();
  put(CONVERSATION_A, 1, 150);
  for (int opened = 0; opened < 2; opened++) {
    expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 150);
    expect_rows(CONVERSATION_A, 0, 0, 50, 1, 101, 50);
    expect_rows(CONVERSATION_A, 63, 0, 50, 0, 64, 50);
    expect_rows(CONVERSATION_A, 60, 70, 50, 1, 61, 10);
    expect_rows(CONVERSATION_A, 64, 65, 50, 0, 65, 1);
    expect_rows(CONVERSATION_A, 150, 0, 50, 0, 0, 0);
    ck_assert_uint_eq(position(NULL), 150);
    reopen();
  }
  end();
}
END_TEST

START_TEST(state_is_whole) {
  begin();
  put(CONVERSATION_A, 1, 3);
  reopen();
  chat_store_state *ask = ch_op_new(NULL, CHAT_OP_STORE_STATE, sizeof *ask);
  id_of(ask->conversation_id, CONVERSATION_A);
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  chat_state *state = &ask->state;
  ck_assert_uint_eq(state->kind, CHAT_GROUP);
  ck_assert_uint_eq(state->head, 3);
  ck_assert_uint_eq(state->position, 3);
  ck_assert_uint_eq(state->member_count, 2);
  ck_assert(ch_bytes_equal(state->title, text("friends")));
  ck_assert_uint_eq(state->member_count_here, 2);
  ck_assert(ch_bytes_equal(state->members[0].user, text("alice")));
  ck_assert(ch_bytes_equal(state->members[1].user, text("bob")));
  ck_assert_uint_eq(state->members[1].interval_count, 1);
  ck_assert_uint_eq(state->members[1].intervals[0].left, UINT64_MAX);
  ck_assert_uint_eq(state->sender_count, 1);
  ck_assert_uint_eq(state->senders[0].last, 3);
  ck_assert(ch_bytes_equal(state->senders[0].user, text("alice")));
  ck_assert_uint_eq(state->senders[0].device_id[15], 0xd1);
  ch_op_free(&ask->op);
  end();
}
END_TEST


/* ------------------------------------------------------------------------------------------------ replays and late writers */

START_TEST(a_replay_changes_nothing) {
  begin();
  put(CONVERSATION_A, 1, 100);
  put(CONVERSATION_A, 1, 100);
  put(CONVERSATION_A, 40, 120); /* batches are cut elsewhere in a replay */
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 120);
  expect_rows(CONVERSATION_A, 0, 0, 200, 1, 1, 120);
  put(CONVERSATION_A, 1, 50); /* of a zombie: neither head nor position fall */
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 120);
  ck_assert_uint_eq(position(NULL), 120);
  end();
}
END_TEST

static chat_bytes payload_at(uint64_t seq, chat_store_range **got) {
  *got = range(CONVERSATION_A, seq - 1, seq, 1, 0);
  ck_assert_uint_eq((*got)->row_count, 1);
  return (*got)->rows[0].payload;
}

static void write_one(uint64_t seq, uint64_t message_id, const char *body) {
  chat_store_apply *apply = ch_op_new(NULL, CHAT_OP_STORE_APPLY, sizeof *apply);
  apply->rows = chat_op_alloc(&apply->op, sizeof *apply->rows);
  apply->row_count = 1;
  apply->rows[0] = row_of(&apply->op, CONVERSATION_A, seq, body);
  apply->rows[0].message_id = message_id;
  ck_assert_int_eq(apply_now(apply), 0);
}

START_TEST(of_two_rows_the_higher_message_id_stays) {
  chat_store_range *got;
  begin();
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
  end();
}
END_TEST

START_TEST(rows_above_the_head_are_not_given) {
  begin();
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
  end();
}
END_TEST

START_TEST(many_ops_at_once_and_one_that_fails) {
  enum { COUNT = 200 };
  begin();
  for (uint64_t i = 1; i <= COUNT; i++) {
    chat_store_apply *apply = apply_of(CONVERSATION_A, i, i);
    if (i == 100) apply->states[0].members[0].user = (chat_bytes){0}; /* invalid: undone alone, rows and all */
    apply->op.tag = i;
    bench_submit(&bench, apply);
  }
  for (int i = 1; i <= COUNT; i++) {
    chat_op *op = bench_next(&bench);
    ck_assert_int_eq(op->status, op->tag == 100 ? CHAT_E_INVALID : 0);
    ch_op_free(op);
  }
  expect_rows(CONVERSATION_A, 0, 0, 99, 0, 1, 99);
  expect_rows(CONVERSATION_A, 99, 0, 200, 0, 101, 100);
  put(CONVERSATION_A, 100, 100);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 200);
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ heads, watermarks */

static chat_store_heads *heads(const char *user, uint64_t above, uint32_t limit) {
  chat_store_heads *ask = ch_op_new(NULL, CHAT_OP_STORE_HEADS, sizeof *ask);
  ask->user = text(user);
  ask->above = above;
  ask->limit = limit;
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  return ask;
}

/* Conversations of names 1 … count, one event each; positions as given. */
static void put_at(uint8_t name, uint64_t at) {
  chat_store_apply *apply = apply_of(name, 1, 1);
  apply->position = apply->states[0].position = at;
  ck_assert_int_eq(apply_now(apply), 0);
}

START_TEST(heads_come_in_the_order_of_positions_and_together) {
  const uint64_t positions[] = {10, 20, 20, 30};
  begin();
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
  end();
}
END_TEST

/* bob is removed by event `left`, of position `left`. */
static void remove_bob(uint8_t conversation, uint64_t left) {
  chat_store_apply *apply = apply_of(conversation, left, left);
  chat_member *bob = &apply->states[0].members[1];
  bob->role = CHAT_ROLE_NONE;
  bob->position = left;
  bob->intervals[0] = (chat_interval){0, left};
  apply->states[0].member_count = 1;
  ck_assert_int_eq(apply_now(apply), 0);
}

START_TEST(a_former_member_s_head_stands_at_its_removal) {
  begin();
  put(CONVERSATION_A, 1, 4);
  remove_bob(CONVERSATION_A, 5);
  put(CONVERSATION_A, 6, 9);
  remove_bob(CONVERSATION_A, 5); /* put() says that bob is a member since position 1, which is older */
  for (int opened = 0; opened < 2; opened++) {
    chat_store_heads *got = heads("bob", 4, 10);
    ck_assert_uint_eq(got->head_count, 1);
    ck_assert_uint_eq(got->heads[0].role, CHAT_ROLE_NONE);
    ck_assert_uint_eq(got->heads[0].head, 5);
    ck_assert_uint_eq(got->heads[0].msg_no, 5);
    ck_assert_uint_eq(got->heads[0].active_ms, 1005);
    ck_assert_uint_eq(got->heads[0].position, 5);
    ck_assert_uint_eq(got->position, 9);
    ch_op_free(&got->op);
    got = heads("bob", 5, 10);
    ck_assert_uint_eq(got->head_count, 0);
    ch_op_free(&got->op);
    reopen();
  }
  end();
}
END_TEST

static chat_watermark raise_mark(const char *user, uint64_t delivered, uint64_t read) {
  chat_store_watermarks *marks = ch_op_new(NULL, CHAT_OP_STORE_WATERMARKS, sizeof *marks);
  chat_watermark mark = {.user = text(user), .delivered = delivered, .read = read};
  id_of(mark.conversation_id, CONVERSATION_A);
  marks->marks = &mark;
  marks->count = 1;
  ck_assert_int_eq(bench_do(&bench, marks), 0);
  ch_op_free(&marks->op);
  return mark;
}

START_TEST(watermarks_rise_only_and_apply_leaves_them) {
  begin();
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
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ channels, members */

START_TEST(of_a_channel_only_the_asked_are_given) {
  begin();
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
  end();
}
END_TEST

START_TEST(members_are_paged) {
  begin();
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
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ devices */

static int device_put(uint8_t name, uint64_t session, uint64_t expect, chat_device *stored) {
  chat_store_device *put_op = ch_op_new(NULL, CHAT_OP_STORE_DEVICE, sizeof *put_op);
  put_op->verb = CHAT_DEVICE_PUT;
  put_op->user = text("alice");
  put_op->device = (chat_device){.name = text("phone"), .session = session, .created_ms = 5, .seen_ms = 6};
  id_of(put_op->device.device_id, name);
  put_op->expect_session = expect;
  put_op->devices_max = 2;
  int status = bench_do(&bench, put_op);
  if (stored) *stored = put_op->device;
  ch_op_free(&put_op->op);
  return status;
}

START_TEST(a_device_is_written_where_it_is_as_expected) {
  chat_device stored;
  begin();
  ck_assert_int_eq(device_put(1, 1, 9, NULL), CHAT_E_CONFLICT); /* does not exist */
  ck_assert_int_eq(device_put(1, 1, 0, NULL), 0);
  ck_assert_int_eq(device_put(1, 2, 0, &stored), CHAT_E_CONFLICT);
  ck_assert_uint_eq(stored.session, 1);
  ck_assert_int_eq(device_put(1, 2, 1, NULL), 0);
  ck_assert_int_eq(device_put(1, 3, 1, &stored), CHAT_E_CONFLICT);
  ck_assert_uint_eq(stored.session, 2);
  ck_assert_int_eq(device_put(2, 1, 0, NULL), 0);
  ck_assert_int_eq(device_put(3, 1, 0, NULL), CHAT_E_LIMIT);
  reopen();
  chat_store_devices *list = ch_op_new(NULL, CHAT_OP_STORE_DEVICES, sizeof *list);
  list->user = text("alice");
  ck_assert_int_eq(bench_do(&bench, list), 0);
  ck_assert_uint_eq(list->count, 2);
  ck_assert_uint_eq(list->devices[0].session, 2);
  ck_assert(ch_bytes_equal(list->devices[0].name, text("phone")));
  ck_assert_uint_eq(list->devices[1].device_id[0], 2);
  ch_op_free(&list->op);
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ retention */

static uint64_t prune(uint64_t before_ms, uint32_t limit) {
  chat_store_prune *op = ch_op_new(NULL, CHAT_OP_STORE_PRUNE, sizeof *op);
  op->before_ms = before_ms;
  op->limit = limit;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  uint64_t pruned = op->pruned;
  ch_op_free(&op->op);
  return pruned;
}

static uint64_t horizon(uint8_t conversation) {
  chat_store_range *got = range(conversation, 0, 1, 1, 0);
  uint64_t at = got->horizon;
  ck_assert_uint_eq(got->row_count, at ? 0 : 1);
  ch_op_free(&got->op);
  return at;
}

START_TEST(pruning_splits_runs_and_moves_the_horizon) {
  begin();
  put(CONVERSATION_A, 1, 150);
  put(CONVERSATION_B, 1, 3);
  ck_assert_uint_eq(prune(1001, 1000), 0);
  ck_assert_uint_eq(prune(1101, 30), 30); /* row n is of 1000 + n; the limit cuts within the first run */
  ck_assert_uint_eq(horizon(CONVERSATION_A), 30);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 31, 120);
  ck_assert_uint_eq(prune(1101, 1000), 73);
  ck_assert_uint_eq(horizon(CONVERSATION_A), 100);
  ck_assert_uint_eq(horizon(CONVERSATION_B), 3);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 101, 50);
  expect_rows(CONVERSATION_A, 0, 0, 200, 1, 101, 50);
  put(CONVERSATION_A, 90, 150); /* a replay does not bring them back */
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 101, 50);
  reopen();
  ck_assert_uint_eq(horizon(CONVERSATION_A), 100);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 101, 50);
  ck_assert_uint_eq(prune(9999, 1000), 50);
  put(CONVERSATION_A, 151, 152);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 151, 2);
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ search */

static chat_store_search *search_op(const char *user, const char *query, uint32_t limit) {
  chat_store_search *ask = ch_op_new(NULL, CHAT_OP_STORE_SEARCH, sizeof *ask);
  ask->user = text(user);
  ask->query = text(query);
  ask->limit = limit;
  return ask;
}

/* The index runs behind: waits until it has reached `position`. */
static void wait_indexed(uint64_t wanted) {
  for (uint64_t reached = 0; reached < wanted;) {
    chat_store_search *ask = search_op("alice", "word", 1);
    ck_assert_int_eq(bench_do(&bench, ask), 0);
    reached = ask->indexed_position;
    ch_op_free(&ask->op);
  }
}

/* The seqs that a query finds, newest first, as text. */
static const char *found(const char *user, const char *query) {
  static char list[256];
  chat_store_search *ask = search_op(user, query, 20);
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  list[0] = 0;
  for (size_t i = 0; i < ask->row_count; i++)
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%d", i ? " " : "", (int)ask->rows[i].seq);
  ch_op_free(&ask->op);
  return list;
}

static void put_text(uint8_t conversation, uint64_t seq, const char *body) {
  chat_store_apply *apply = apply_of(conversation, seq, seq);
  apply->rows[0].payload = message(&apply->op, body);
  ck_assert_int_eq(apply_now(apply), 0);
}

START_TEST(words_are_found) {
  begin();
  put_text(CONVERSATION_A, 1, "The Café opens at nine");
  put_text(CONVERSATION_A, 2, "coffee, at the cafe? OR not NEAR it");
  put_text(CONVERSATION_A, 3, "quote \" and * and text:column");
  put_text(CONVERSATION_A, 4, "ЗДРАВСТВУЙ мир");
  wait_indexed(4);
  for (int opened = 0; opened < 2; opened++) {
    ck_assert_str_eq(found("alice", "café"), "2 1");
    ck_assert_str_eq(found("bob", "CAFE nine"), "1");
    ck_assert_str_eq(found("alice", "caf"), "");
    ck_assert_str_eq(found("alice", "caf*"), "2 1");
    ck_assert_str_eq(found("alice", "здравствуй"), "4");
    /* What is syntax to FTS5 is a word, or nothing, to a user. */
    ck_assert_str_eq(found("alice", "cafe OR nine"), "");
    ck_assert_str_eq(found("alice", "not near"), "2");
    ck_assert_str_eq(found("alice", "\"quote"), "3");
    ck_assert_str_eq(found("alice", "text:column"), "3");
    ck_assert_str_eq(found("alice", "conv:c1"), "");
    ck_assert_str_eq(found("alice", "c1"), "");
    ck_assert_str_eq(found("alice", "(cafe"), "2 1");
    ck_assert_str_eq(found("mallory", "cafe"), "");
    reopen();
  }
  const char *const none[] = {"*", "\"", "  ", "()-:*"};
  for (int i = 0; i < 4; i++) {
    chat_store_search *ask = search_op("alice", none[i], 10);
    ck_assert_int_eq(bench_do(&bench, ask), CHAT_E_INVALID);
    ch_op_free(&ask->op);
  }
  end();
}
END_TEST

START_TEST(a_removed_member_finds_what_it_could_read) {
  begin();
  for (uint64_t seq = 1; seq <= 4; seq++)
    put_text(CONVERSATION_A, seq, "apple");
  remove_bob(CONVERSATION_A, 5);
  for (uint64_t seq = 6; seq <= 8; seq++)
    put_text(CONVERSATION_A, seq, "apple");
  wait_indexed(8);
  ck_assert_str_eq(found("bob", "apple"), "4 3 2 1");
  ck_assert_str_eq(found("alice", "apple"), "8 7 6 4 3 2 1");
  end();
}
END_TEST

/* The two conversations share positions, so an indexed position says nothing of the second one's last row. */
static void wait_found(const char *word, size_t count) {
  for (int tries = 0; tries < 3000; tries++) {
    chat_store_search *ask = search_op("alice", word, 20);
    ck_assert_int_eq(bench_do(&bench, ask), 0);
    size_t rows = ask->row_count;
    ch_op_free(&ask->op);
    if (rows == count) return;
    usleep(10000);
  }
  ck_abort_msg("the index does not come to %zu rows", count);
}

START_TEST(pages_of_a_search_go_on_and_do_not_part_what_is_equal) {
  begin();
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
  end();
}
END_TEST

/* Numbers of documents and message_ids may be in different order where some share one: the answer is by message_id. */
START_TEST(the_newest_is_found_first_whatever_its_number) {
  begin();
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
  end();
}
END_TEST

static uint64_t rows_in(const char *tail, const char *sql) {
  char name[128];
  sqlite3 *db;
  sqlite3_stmt *statement;
  snprintf(name, sizeof name, "%s%s", path, tail);
  ck_assert_int_eq(sqlite3_open_v2(name, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
  uint64_t count = (uint64_t)sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return count;
}

/* What was pruned is not found, and its words leave the files as well. */
START_TEST(pruned_rows_leave_the_index) {
  begin();
  for (uint64_t seq = 1; seq <= 6; seq++)
    put_text(CONVERSATION_A, seq, seq < 4 ? "secret plum" : "plum");
  wait_indexed(6);
  ck_assert_uint_eq(prune(1004, 100), 3);
  ck_assert_str_eq(found("alice", "plum"), "6 5 4");
  while (rows_in("", "SELECT count(*) FROM erased") > 0) usleep(1000);
  ck_assert_uint_eq(rows_in("-search", "SELECT count(*) FROM doc"), 3);
  ck_assert_uint_eq(rows_in("-search", "SELECT count(*) FROM words WHERE words MATCH 'secret'"), 0);
  ck_assert_uint_eq(rows_in("-search", "SELECT count(*) FROM words WHERE words MATCH 'plum'"), 3);
  end();
}
END_TEST

START_TEST(a_lost_or_damaged_index_is_made_anew) {
  char name[128];
  begin();
  put_text(CONVERSATION_A, 1, "cherry");
  wait_indexed(1);
  bench_close(&bench);
  snprintf(name, sizeof name, "%s-search", path);
  ck_assert_int_eq(unlink(name), 0);
  open_store();
  wait_indexed(1);
  ck_assert_str_eq(found("alice", "cherry"), "1");
  bench_close(&bench);
  int fd = open(name, O_WRONLY | O_TRUNC);
  ck_assert_int_eq(write(fd, "this is no database, but long enough to be looked at as if it were one", 70), 70);
  close(fd);
  open_store();
  wait_indexed(1);
  ck_assert_str_eq(found("alice", "cherry"), "1");
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ power, space, damage, owners */

START_TEST(synced_follows_the_checkpoint) {
  uint64_t synced;
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/store.db", dir);
  ch_store_sqlite_config late = config();
  late.checkpoint_ms = 3600 * 1000;
  open_with(late);
  put(CONVERSATION_A, 1, 5);
  ck_assert_uint_eq(position(&synced), 5);
  ck_assert_uint_eq(synced, 0);
  ck_assert_uint_eq(ch_store_sqlite_synced_position(&bench.backend, 0), 0);
  bench_close(&bench);
  open_with(late); /* what is found at open is synced before it counts */
  ck_assert_uint_eq(position(&synced), 5);
  ck_assert_uint_eq(synced, 5);
  bench_close(&bench);
  late.checkpoint_pages = 1;
  open_with(late);
  /* A checkpoint that a reader holds up counts for nothing; with no time set the next commit tries again. */
  uint64_t seq = 6;
  put(CONVERSATION_A, seq, 7);
  ck_assert_uint_eq(position(&synced), 7);
  for (; synced < 7; seq++) put(CONVERSATION_A, seq + 2, seq + 2), position(&synced);
  bench_close(&bench);
  late.checkpoint_pages = 0;
  late.sync = CH_STORE_SYNC_FULL;
  open_with(late);
  put(CONVERSATION_A, seq + 2, seq + 2);
  do position(&synced);
  while (synced < seq + 2);
  end();
}
END_TEST

START_TEST(a_full_store_takes_nothing_and_keeps_what_it_has) {
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/store.db", dir);
  ch_store_sqlite_config small = config();
  small.pages_max = 60;
  open_with(small);
  uint64_t last = 0;
  int status;
  while ((status = apply_now(apply_of(CONVERSATION_A, last + 1, last + 50))) == 0) last += 50;
  ck_assert_int_eq(status, CHAT_E_FULL);
  ck_assert_uint_gt(last, 0);
  ck_assert_uint_eq(position(NULL), last);
  expect_rows(CONVERSATION_A, last - 50, 0, 200, 0, last - 49, 50);
  ck_assert_int_eq(apply_now(apply_of(CONVERSATION_A, last + 1, last + 50)), CHAT_E_FULL);
  reopen(); /* with space */
  put(CONVERSATION_A, last + 1, last + 50);
  expect_rows(CONVERSATION_A, last, 0, 200, 0, last + 1, 50);
  end();
}
END_TEST

START_TEST(one_owner_at_a_time) {
  begin();
  chat_backend second;
  ch_store_sqlite_config same = config();
  ck_assert_int_eq(ch_store_sqlite_new(&same, &second), CHAT_E_BUSY);
  end();
}
END_TEST

START_TEST(a_newer_schema_is_refused) {
  sqlite3 *db;
  begin();
  bench_close(&bench);
  sqlite3_open(path, &db);
  ck_assert_int_eq(sqlite3_exec(db, "PRAGMA user_version = 2", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
  chat_backend store;
  ch_store_sqlite_config same = config();
  ck_assert_int_eq(ch_store_sqlite_new(&same, &store), CHAT_E_VERSION);
  bench_dir_remove(dir);
}
END_TEST

START_TEST(damage_is_said) {
  chat_backend store;
  uint8_t noise[4096];
  begin();
  put(CONVERSATION_A, 1, 200);
  bench_close(&bench);
  memset(noise, 0x5a, sizeof noise);
  int fd = open(path, O_WRONLY);
  struct stat info;
  fstat(fd, &info);
  for (off_t page = 1; page < info.st_size / 4096; page++) /* all but the first, which opens */
    ck_assert_int_eq(pwrite(fd, noise, sizeof noise, page * 4096), (int)sizeof noise);
  ch_store_sqlite_config checked = config();
  checked.check = 1;
  ck_assert_int_eq(ch_store_sqlite_new(&checked, &store), CHAT_E_CORRUPT);
  ck_assert_int_eq(pwrite(fd, noise, sizeof noise, 0), (int)sizeof noise);
  close(fd);
  checked.check = 0;
  ck_assert_int_eq(ch_store_sqlite_new(&checked, &store), CHAT_E_CORRUPT);
  bench_dir_remove(dir);
}
END_TEST

START_TEST(what_is_no_op_of_a_store) {
  begin();
  chat_op *op = ch_op_new(NULL, CHAT_OP_STORE_WRITE_HEADS, sizeof(chat_store_write_heads));
  ck_assert_int_eq(bench_do(&bench, op), CHAT_E_UNSUPPORTED);
  ch_op_free(op);
  end();
}
END_TEST

/* Applies batches of two until it is killed; says each position that was acknowledged. */
static void apply_for_ever(int report, uint64_t from) {
  open_store();
  for (uint64_t first = from;; first += 2) {
    uint64_t last = first + 1;
    if (apply_now(apply_of(CONVERSATION_A, first, last)) != 0) _exit(1);
    if (write(report, &last, sizeof last) != sizeof last) _exit(2);
  }
}

/* The process dies, not the machine: everything acknowledged is there, rows and state and position of one moment. */
START_TEST(acknowledged_survives_kill_9) {
  begin();
  uint64_t acknowledged = 0;
  for (int kills = 0; kills < 20; kills++) {
    int report[2];
    uint64_t n, from = position(NULL) + 1;
    bench_close(&bench);
    ck_assert_int_eq(pipe(report), 0);
    pid_t child = fork();
    if (child == 0) apply_for_ever(report[1], from);
    close(report[1]);
    for (int reports = 0; reports < 3 + kills * 2 && read(report[0], &n, sizeof n) == sizeof n; reports++) acknowledged = n;
    kill(child, SIGKILL);
    while (read(report[0], &n, sizeof n) == sizeof n) acknowledged = n;
    int status;
    waitpid(child, &status, 0);
    ck_assert(WIFSIGNALED(status));
    close(report[0]);
    open_store();
    uint64_t stored = position(NULL);
    ck_assert_uint_ge(stored, acknowledged);
    ck_assert_uint_eq(stored % 2, 0);
    chat_store_range *got = range(CONVERSATION_A, 0, 0, 1, 1);
    ck_assert_uint_eq(got->state.head, stored);
    ck_assert_uint_eq(got->state.position, stored);
    ch_op_free(&got->op);
    for (uint64_t low = 0; low < stored; low += 200)
      expect_rows(CONVERSATION_A, low, 0, 200, 0, low + 1, stored - low < 200 ? (size_t)(stored - low) : 200);
  }
  wait_indexed(position(NULL));
  end();
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {written_is_read_and_survives_reopening, 0},
      {state_is_whole, 0},
      {a_replay_changes_nothing, 0},
      {of_two_rows_the_higher_message_id_stays, 0},
      {rows_above_the_head_are_not_given, 0},
      {many_ops_at_once_and_one_that_fails, 0},
      {heads_come_in_the_order_of_positions_and_together, 0},
      {a_former_member_s_head_stands_at_its_removal, 0},
      {watermarks_rise_only_and_apply_leaves_them, 0},
      {of_a_channel_only_the_asked_are_given, 0},
      {members_are_paged, 0},
      {a_device_is_written_where_it_is_as_expected, 0},
      {pruning_splits_runs_and_moves_the_horizon, 0},
      {words_are_found, 0},
      {a_removed_member_finds_what_it_could_read, 0},
      {pages_of_a_search_go_on_and_do_not_part_what_is_equal, 0},
      {the_newest_is_found_first_whatever_its_number, 0},
      {pruned_rows_leave_the_index, 0},
      {a_lost_or_damaged_index_is_made_anew, 0},
      {synced_follows_the_checkpoint, 0},
      {a_full_store_takes_nothing_and_keeps_what_it_has, 0},
      {one_owner_at_a_time, 0},
      {a_newer_schema_is_refused, 0},
      {damage_is_said, 0},
      {what_is_no_op_of_a_store, 0},
      {acknowledged_survives_kill_9, 0},
  };
  return RUN_TESTS("store_sqlite", rows);
}
