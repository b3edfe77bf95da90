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
  ck_assert_int_eq(ch_store_sqlite_new(&wanted, &store), 0);
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
  ck_assert_int_eq(ch_content_encode(&content, &buf), 0);
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

START_TEST(test_written_is_read_and_survives_reopening) {
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

START_TEST(test_state_is_whole) {
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

int main(void) {
  const test_row rows[] = {
      {test_written_is_read_and_survives_reopening, 0},
      {test_state_is_whole, 0},
  };
  return RUN_TESTS("store_sqlite", rows);
}
