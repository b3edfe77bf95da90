/* SPDX-License-Identifier: Apache-2.0 */
/* The role that tells again: its ops by hand. (With a server around it: test_server_hooks.c.) */
#include "server/role/retell.h"

#include "core/wire.h"
#include "server/role/deliverer.h"
#include "unit/server/role_peer.h"

enum { RETRY_MS = 100, TOLD = 10 };

static ch_retell *retell;

static void begin_with(size_t allocations) {
  env_default();
  memory.left = allocations;
  ck_assert_int_eq(ch_retell_new(&env, &(ch_retell_config){.told = TOLD, .retry_ms = RETRY_MS}, &retell), 0);
  role = ch_retell_role(retell);
}

static void begin(void) {
  begin_with(SIZE_MAX);
}

static void end(void) {
  cancel_ops();
  ch_retell_free(retell);
  ck_assert_uint_eq(memory.live, 0);
}

static void store_is_at(uint64_t position) {
  chat_store_position *op = take_op(CHAT_OP_STORE_POSITION);
  ck_assert_uint_eq(op->topic, CHAT_TOPIC_MESSAGES);
  op->position = position;
  give(op, 0);
}

/* A record is known by a number, of which its client id and time are made. */
static void put_record(chat_log_read *op, uint64_t position, uint8_t number, bool is_void) {
  ch_record record = {.client_id = {number}, .conversation_id = {2}, .device_id = {7}, .sender = ch_bytes_text("alice"), .client_seq = number, .type = CHAT_TYPE_MESSAGE, .is_void = is_void};
  ch_buf buf;
  ch_buf_init(&buf, NULL, 65536);
  ck_assert_int_eq(ch_record_encode(&record, &buf), 0);
  if (!op->records) op->records = chat_op_alloc(&op->op, 8 * sizeof *op->records);
  op->records[op->count++] = (chat_log_record){.position = position, .append_ms = WALL_MS + number, .data = chat_op_copy(&op->op, ch_buf_bytes(&buf))};
  ch_buf_fini(&buf);
}

static void put_row(chat_store_range *op, uint64_t seq, uint8_t number) {
  if (!op->rows) op->rows = chat_op_alloc(&op->op, CHAT_PAGE_MAX * sizeof *op->rows);
  chat_row row = {.conversation_id = {2}, .device_id = {7}, .client_id = {number}, .seq = seq, .sender = ch_bytes_text("alice")};
  row.client_seq = number;
  row.created_ms = WALL_MS + number;
  op->rows[op->row_count++] = row;
}

static chat_log_read *take_read(uint64_t after) {
  chat_log_read *op = take_op(CHAT_OP_LOG_READ);
  ck_assert_uint_eq(op->after, after);
  return op;
}

static chat_store_range *take_page(uint64_t high) {
  chat_store_range *op = take_op(CHAT_OP_STORE_RANGE);
  ck_assert_uint_eq(op->high, high);
  ck_assert_uint_eq(op->user.len, 0);
  ck_assert_uint_eq(op->conversation_id[0], 2);
  return op;
}

static ch_op_after_store *take_told(uint64_t seq) {
  ch_op_after_store *op = take_op(CH_OP_AFTER_STORE);
  ck_assert_uint_eq(op->row.seq, seq);
  return op;
}

static void check_done(uint64_t told) {
  ck_assert(ch_retell_is_done(retell));
  ck_assert_uint_eq(ch_retell_told(retell), told);
  pull();
  ck_assert_ptr_null(outside.first);
}

START_TEST(where_nothing_was_left_nothing_is_asked) {
  begin();
  store_is_at(TOLD);
  check_done(TOLD);
  end();
}
END_TEST

/* The store after a power loss: it forgot what the hook was told of, and the sequencer brings it again. */
START_TEST(a_store_that_is_behind_has_nothing_to_tell) {
  begin();
  store_is_at(TOLD - 5);
  check_done(TOLD);
  end();
}
END_TEST

START_TEST(each_row_is_told_and_what_has_none_is_passed_over) {
  begin();
  store_is_at(TOLD + 4);
  chat_log_read *read = take_read(TOLD);
  put_record(read, TOLD + 1, 1, false);
  put_record(read, TOLD + 2, 2, true); /* a void */
  put_record(read, TOLD + 3, 3, false); /* was refused */
  give(read, 0);
  chat_store_range *page = take_page(0);
  put_row(page, 3, 1), put_row(page, 4, 9), put_row(page, 5, 1), put_row(page, 6, 7);
  page->rows[0].device_id[0] = 8; /* another device's, as like as it may be */
  give(page, 0);
  give(take_told(5), 0);
  ck_assert_uint_eq(ch_retell_told(retell), TOLD + 2);
  page = take_page(0);
  put_row(page, 1, 9);
  give(page, 0);
  ck_assert_uint_eq(ch_retell_told(retell), TOLD + 3);
  read = take_read(TOLD + 3);
  put_record(read, TOLD + 4, 4, false);
  put_record(read, TOLD + 5, 5, false); /* not stored at the start: the deliverer tells it */
  give(read, 0);
  page = take_page(0);
  put_row(page, 7, 4);
  give(page, 0);
  give(take_told(7), 0);
  check_done(TOLD + 4);
  end();
}
END_TEST

START_TEST(older_pages_are_looked_at_as_long_as_they_may_have_it) {
  begin();
  store_is_at(TOLD + 1);
  chat_log_read *read = take_read(TOLD);
  put_record(read, TOLD + 1, 1, false);
  give(read, 0);
  chat_store_range *page = take_page(0);
  put_row(page, 301, 8), put_row(page, 302, 9);
  give(page, 0);
  page = take_page(300);
  put_row(page, 200, 1);
  give(page, 0);
  give(take_told(200), 0);
  check_done(TOLD + 1);
  end();
}
END_TEST

START_TEST(pages_that_are_too_old_are_the_end_of_the_search) {
  begin();
  store_is_at(TOLD + 1);
  chat_log_read *read = take_read(TOLD);
  put_record(read, TOLD + 1, 1, false);
  give(read, 0);
  chat_store_range *page = take_page(0);
  put_row(page, 301, 8);
  page->rows[0].created_ms = 1;
  give(page, 0);
  check_done(TOLD + 1);
  end();
}
END_TEST

START_TEST(rows_that_nothing_tells_apart_are_all_told) {
  begin();
  store_is_at(TOLD + 1);
  chat_log_read *read = take_read(TOLD);
  put_record(read, TOLD + 1, 1, false);
  give(read, 0);
  chat_store_range *page = take_page(0);
  put_row(page, 5, 1), put_row(page, 6, 2), put_row(page, 7, 1);
  give(page, 0);
  give(take_told(5), 0);
  give(take_told(7), 0);
  check_done(TOLD + 1);
  end();
}
END_TEST

/* A hook that says no, or not yet, is asked about the same row until it says yes; no other op is put out before it is due. */
START_TEST(what_failed_is_asked_again_after_a_while) {
  begin();
  give(take_op(CHAT_OP_STORE_POSITION), CHAT_E_IO);
  ck_assert_ptr_null(find_op_but(0));
  pass_time(RETRY_MS);
  store_is_at(TOLD + 1);
  give(take_read(TOLD), CHAT_E_UNKNOWN);
  pass_time(RETRY_MS);
  chat_log_read *read = take_read(TOLD);
  put_record(read, TOLD + 1, 1, false);
  give(read, 0);
  give(take_page(0), CHAT_E_AGAIN);
  pass_time(RETRY_MS);
  chat_store_range *page = take_page(0);
  put_row(page, 5, 1);
  give(page, 0);
  for (int i = 0; i < 3; i++) {
    give(take_told(5), i % 2 ? CHAT_E_TIMEOUT : CHAT_E_DENIED);
    ck_assert_uint_eq(role.deadline_ms(role.self), now.elapsed_ms + RETRY_MS);
    pass_time(RETRY_MS - 1);
    ck_assert_ptr_null(find_op_but(0));
    pass_time(1);
    ck_assert_uint_eq(ch_retell_told(retell), TOLD);
  }
  give(take_told(5), 0);
  check_done(TOLD + 1);
  end();
}
END_TEST

START_TEST(a_log_that_was_cut_has_nothing_more_to_tell) {
  begin();
  store_is_at(TOLD + 9);
  give(take_read(TOLD), CHAT_E_GONE);
  check_done(TOLD + 9);
  end();
  begin();
  store_is_at(TOLD + 9);
  give(take_read(TOLD), 0); /* it ends before */
  check_done(TOLD + 9);
  end();
}
END_TEST

/* Wherever memory runs out: nothing is lost, nothing leaks, and with memory again it goes on. */
START_TEST(memory_that_runs_out_comes_back) {
  env_default();
  memory.left = 0;
  ck_assert_int_eq(ch_retell_new(&env, &(ch_retell_config){.told = TOLD}, &retell), CHAT_E_NOMEM);
  begin_with(1);
  ck_assert_ptr_null(find_op_but(0));
  memory.left = SIZE_MAX;
  store_is_at(TOLD + 1);
  memory.left = 0;
  ck_assert_ptr_null(find_op_but(0));
  memory.left = SIZE_MAX;
  chat_log_read *read = take_read(TOLD);
  put_record(read, TOLD + 1, 1, false);
  memory.left = 0;
  give(read, 0);
  memory.left = SIZE_MAX;
  pass_time(RETRY_MS);
  chat_store_range *page = find_op(CHAT_OP_STORE_RANGE);
  if (!page) { /* the record could not be read: it is read again */
    read = take_read(TOLD);
    put_record(read, TOLD + 1, 1, false);
    give(read, 0);
    page = take_page(0);
  }
  put_row(page, 5, 1);
  give(page, 0);
  give(take_told(5), 0);
  check_done(TOLD + 1);
  end();
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {where_nothing_was_left_nothing_is_asked, 0},
      {a_store_that_is_behind_has_nothing_to_tell, 0},
      {each_row_is_told_and_what_has_none_is_passed_over, 0},
      {older_pages_are_looked_at_as_long_as_they_may_have_it, 0},
      {pages_that_are_too_old_are_the_end_of_the_search, 0},
      {rows_that_nothing_tells_apart_are_all_told, 0},
      {what_failed_is_asked_again_after_a_while, 0},
      {a_log_that_was_cut_has_nothing_more_to_tell, 0},
      {memory_that_runs_out_comes_back, 0},
  };
  return RUN_TESTS("retell", rows);
}
