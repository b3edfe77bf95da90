/* SPDX-License-Identifier: Apache-2.0 */
/* What a log owes (chat/backend.h, "log"), held against log_mem, log_file and the log of examples/custom_backend.c, on both topics. What only a file can show is tests/unit/backend/test_log_file.c. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "backend/log_file/log_file.h"
#include "backend/log_mem.h"
#include "contract/custom_log.h"
#include "contract/suite.h"
#include "core/bytes.h"
#include "core/op.h"
#include "unit/backend/bench_port.h"

enum { RECORD_MAX = 256 * 1024, COUNT_MAX = 4096, SEGMENT_LEN = 1024 * 1024, BYTES_MAX = 8 * 1024 * 1024 };

static chat_backend backend;
static bench_port bench; /* the port of most tests */
static uint32_t topic, partitions;
static char dir[64];
static uint64_t wall_now; /* 0: the log has a clock of its own */

static uint64_t wall(void *arg) {
  (void)arg;
  return wall_now;
}

static void fill(void *arg, void *bytes, size_t len) {
  (void)arg;
  memset(bytes, 0x5a, len);
}

/* ------------------------------------------------------------------------------------------------ versions */

static void open_mem(uint32_t wanted) {
  topic = wanted;
  wall_now = 1000;
  partitions = 2;
  ch_log_mem_config config = {.clock = {wall, wall, NULL}, .partitions = {partitions, partitions}, .bytes_max = BYTES_MAX, .identity = {7}};
  ch_assert(ch_log_mem_new(&config, &backend) == 0);
  bench_open(&bench, backend);
}

static void open_file(uint32_t wanted) {
  char path[96];
  topic = wanted;
  wall_now = 1000;
  partitions = 2;
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/log", dir);
  ch_log_file_config config = {.clock = {wall, wall, NULL}, .random = {fill, NULL}, .path = path, .partitions = {partitions, partitions}, .segment_len = SEGMENT_LEN};
  ch_assert(ch_log_file_new(&config, &backend, NULL) == 0);
  bench_open(&bench, backend);
}

static void open_custom(uint32_t wanted) {
  topic = wanted;
  partitions = 1;
  wall_now = 0;
  ch_assert(custom_log_new(&backend) == 0);
  bench_open(&bench, backend);
}

static void open_custom_messages(void) {
  open_custom(CHAT_TOPIC_MESSAGES);
}

static void open_custom_deliveries(void) {
  open_custom(CHAT_TOPIC_DELIVERIES);
}

static void open_mem_messages(void) {
  open_mem(CHAT_TOPIC_MESSAGES);
}

static void open_mem_deliveries(void) {
  open_mem(CHAT_TOPIC_DELIVERIES);
}

static void open_file_messages(void) {
  open_file(CHAT_TOPIC_MESSAGES);
}

static void open_file_deliveries(void) {
  open_file(CHAT_TOPIC_DELIVERIES);
}

static void close_mem(void) {
  bench_close(&bench);
}

static void close_file(void) {
  bench_close(&bench);
  bench_dir_remove(dir);
}

/* ------------------------------------------------------------------------------------------------ ops */

/* Record n: its digits, repeated to this length. */
static void body_write(uint8_t *out, uint64_t n, size_t len) {
  char digits[24];
  size_t count = (size_t)snprintf(digits, sizeof digits, "%llu.", (unsigned long long)n);
  for (size_t i = 0; i < len; i++)
    out[i] = (uint8_t)digits[i % count];
}

static chat_log_append *append_of(uint32_t partition, uint64_t first, size_t count, size_t len) {
  chat_log_append *append = ch_op_new(NULL, CHAT_OP_LOG_APPEND, sizeof *append);
  append->topic = topic;
  append->partition = partition;
  append->count = count;
  append->records = chat_op_alloc(&append->op, (count + 1) * sizeof *append->records);
  for (size_t i = 0; i < count; i++) {
    uint8_t *body = chat_op_alloc(&append->op, len + 1);
    body_write(body, first + i, len);
    append->records[i] = (chat_log_record){.position = UINT64_MAX, .data = {body, len}};
  }
  return append;
}

/* Appends records first … first + count - 1 of this length; the position of the last. */
static uint64_t append(uint32_t partition, uint64_t first, size_t count, size_t len) {
  chat_log_append *op = append_of(partition, first, count, len);
  ck_assert_int_eq(bench_do(&bench, op), 0);
  uint64_t last = op->records[count - 1].position;
  ch_op_free(&op->op);
  return last;
}

static chat_log_read *read_of(uint32_t partition, uint64_t after, uint32_t count_max, size_t bytes_max) {
  chat_log_read *read = ch_op_new(NULL, CHAT_OP_LOG_READ, sizeof *read);
  read->topic = topic;
  read->partition = partition;
  read->after = after;
  read->wait_ms = 60000;
  read->count_max = count_max;
  read->bytes_max = bytes_max;
  return read;
}

static int read_status(uint64_t after) {
  chat_log_read *read = read_of(0, after, 1, SIZE_MAX);
  int status = bench_do(&bench, read);
  ch_op_free(&read->op);
  return status;
}

static void expect_record(const chat_log_record *record, uint64_t n, size_t len) {
  uint8_t *wanted = malloc(len + 1);
  body_write(wanted, n, len);
  ck_assert_uint_eq(record->data.len, len);
  if (len > 0) ck_assert_mem_eq(record->data.data, wanted, len);
  free(wanted);
}

/* Reads one answer behind `after`, which must hold exactly records first … first + count - 1; the position of the last. */
static uint64_t expect_read(chat_log_read *read, uint64_t first, size_t count, size_t len) {
  ck_assert_int_eq(bench_do(&bench, read), 0);
  ck_assert_uint_eq(read->count, count);
  for (size_t i = 0; i < count; i++) {
    expect_record(&read->records[i], first + i, len);
    ck_assert_uint_gt(read->records[i].position, i > 0 ? read->records[i - 1].position : read->after);
  }
  uint64_t last = read->records[count - 1].position;
  ch_op_free(&read->op);
  return last;
}

static chat_log_info info_of(uint32_t partition) {
  chat_log_info *info = ch_op_new(NULL, CHAT_OP_LOG_INFO, sizeof *info);
  info->topic = topic;
  info->partition = partition;
  ck_assert_int_eq(bench_do(&bench, info), 0);
  chat_log_info copy = *info;
  ch_op_free(&info->op);
  return copy;
}

static int consumed_in(uint32_t of_topic, uint32_t partition, uint64_t position) {
  chat_log_consumed *op = ch_op_new(NULL, CHAT_OP_LOG_CONSUMED, sizeof *op);
  op->topic = of_topic;
  op->partition = partition;
  op->position = position;
  int status = bench_do(&bench, op);
  ch_op_free(&op->op);
  return status;
}

static void consumed(uint32_t partition, uint64_t position) {
  ck_assert_int_eq(consumed_in(topic, partition, position), 0);
}

static chat_op *quick(void) {
  chat_log_info *info = ch_op_new(NULL, CHAT_OP_LOG_INFO, sizeof *info);
  info->topic = topic;
  return &info->op;
}

static chat_op *long_poll(void) {
  return &read_of(0, 0, 1, SIZE_MAX)->op;
}

/* ------------------------------------------------------------------------------------------------ INFO */

START_TEST(a_new_log_is_empty) {
  chat_log_info info = info_of(0);
  ck_assert_uint_eq(info.partition_count, partitions);
  ck_assert_uint_eq(info.first, 0);
  ck_assert_uint_eq(info.end, 0);
}
END_TEST

START_TEST(info_says_the_bounds_of_its_partition) {
  uint32_t last = partitions - 1;
  chat_log_info before = info_of(last);
  chat_log_append *op = append_of(last, 1, 3, 10);
  ck_assert_int_eq(bench_do(&bench, op), 0);
  chat_log_info info = info_of(last);
  ck_assert_uint_eq(info.first, op->records[0].position);
  ck_assert_uint_eq(info.end, op->records[2].position);
  ck_assert_mem_eq(info.identity, before.identity, 16);
  ch_op_free(&op->op);
  if (last > 0) ck_assert_uint_eq(info_of(0).end, 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ APPEND */

START_TEST(positions_rise_and_begin_above_0) {
  chat_log_append *op = append_of(0, 1, 100, 10);
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ck_assert_uint_eq(op->records[0].position, 1); /* epoch 0, offset 0 */
  for (size_t i = 1; i < op->count; i++)
    ck_assert_uint_eq(op->records[i].position, op->records[i - 1].position + 1);
  ck_assert_uint_eq(append(0, 101, 1, 10), 101);
  ch_op_free(&op->op);
}
END_TEST

START_TEST(append_time_is_the_clock_s) {
  if (!wall_now) return;
  wall_now = 5000;
  chat_log_append *op = append_of(0, 1, 1, 10);
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ck_assert_uint_eq(op->records[0].append_ms, 5000);
  ch_op_free(&op->op);
  chat_log_read *read = read_of(0, 0, 10, SIZE_MAX);
  ck_assert_int_eq(bench_do(&bench, read), 0);
  ck_assert_uint_eq(read->records[0].append_ms, 5000);
  ch_op_free(&read->op);
}
END_TEST

START_TEST(appends_of_one_port_keep_their_order) {
  enum { APPENDS = 50, EACH = 20 };
  for (uint64_t i = 0; i < APPENDS; i++)
    bench_submit(&bench, append_of(0, i * EACH + 1, EACH, 100));
  for (int i = 0; i < APPENDS; i++) {
    chat_op *op = bench_next(&bench);
    ck_assert_int_eq(op->status, 0);
    ch_op_free(op);
  }
  expect_read(read_of(0, 0, COUNT_MAX, SIZE_MAX), 1, APPENDS * EACH, 100);
}
END_TEST

START_TEST(the_largest_append_and_the_largest_record) {
  uint64_t last = append(0, 1, COUNT_MAX, 1);
  append(0, 7, 1, RECORD_MAX);
  expect_read(read_of(0, 0, COUNT_MAX, SIZE_MAX), 1, COUNT_MAX, 1);
  expect_read(read_of(0, last, 1, SIZE_MAX), 7, 1, RECORD_MAX);
}
END_TEST

START_TEST(a_record_of_no_bytes_is_one) {
  append(0, 1, 2, 0);
  expect_read(read_of(0, 0, 10, SIZE_MAX), 1, 2, 0);
}
END_TEST

START_TEST(a_record_that_is_too_large_is_not_in) {
  chat_log_append *op = append_of(0, 1, 1, RECORD_MAX + 1);
  ck_assert_int_eq(bench_do(&bench, op), CHAT_E_TOO_LARGE);
  ck_assert_uint_eq(op->records[0].position, 0);
  ch_op_free(&op->op);
  ck_assert_uint_eq(info_of(0).end, 0);
}
END_TEST

static void expect_invalid(void *op) {
  ck_assert_int_eq(bench_do(&bench, op), CHAT_E_INVALID);
  ch_op_free(op);
}

START_TEST(what_is_outside_the_bounds_is_invalid) {
  expect_invalid(append_of(partitions, 1, 1, 10));
  expect_invalid(append_of(0, 1, 0, 10));
  expect_invalid(append_of(0, 1, COUNT_MAX + 1, 1));
  expect_invalid(read_of(partitions, 0, 1, SIZE_MAX));
  expect_invalid(read_of(0, 0, 0, SIZE_MAX));
  expect_invalid(read_of(0, 0, COUNT_MAX + 1, SIZE_MAX));
  ck_assert_int_eq(consumed_in(topic, partitions, 1), CHAT_E_INVALID);
  topic = CHAT_TOPIC_COUNT;
  expect_invalid(append_of(0, 1, 1, 10));
  expect_invalid(read_of(0, 0, 1, SIZE_MAX));
  expect_invalid(quick());
  ck_assert_int_eq(consumed_in(topic, 0, 1), CHAT_E_INVALID);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ READ */

START_TEST(a_read_goes_on_behind_a_position) {
  append(0, 1, 30, 50);
  uint64_t at = expect_read(read_of(0, 0, 10, SIZE_MAX), 1, 10, 50);
  at = expect_read(read_of(0, at, 10, SIZE_MAX), 11, 10, 50);
  expect_read(read_of(0, at, 100, SIZE_MAX), 21, 10, 50);
}
END_TEST

START_TEST(a_read_is_bounded_in_bytes_but_gives_one_record) {
  append(0, 1, 10, 100);
  expect_read(read_of(0, 0, 100, 350), 1, 3, 100);
  expect_read(read_of(0, 0, 100, 300), 1, 3, 100);
  uint64_t at = expect_read(read_of(0, 0, 100, 1), 1, 1, 100);
  expect_read(read_of(0, at, 100, 0), 2, 1, 100);
}
END_TEST

START_TEST(partitions_and_topics_are_apart) {
  append(0, 1, 2, 10);
  if (partitions > 1) append(1, 100, 3, 10);
  topic = !topic;
  append(0, 200, 4, 10);
  expect_read(read_of(0, 0, 100, SIZE_MAX), 200, 4, 10);
  topic = !topic;
  expect_read(read_of(0, 0, 100, SIZE_MAX), 1, 2, 10);
  if (partitions > 1) expect_read(read_of(1, 0, 100, SIZE_MAX), 100, 3, 10);
}
END_TEST

START_TEST(a_long_poll_waits_for_the_append) {
  bench_port writer;
  bench_open(&writer, backend);
  uint64_t at = append(0, 1, 2, 10);
  chat_log_read *read = read_of(0, at, 10, SIZE_MAX), *elsewhere = read_of(0, 0, 10, SIZE_MAX);
  elsewhere->topic = !topic;
  bench_submit(&bench, read);
  bench_submit(&bench, elsewhere);
  ck_assert_ptr_null(bench_poll(&bench));
  chat_log_append *op = append_of(0, 3, 2, 10);
  ck_assert_int_eq(bench_do(&writer, op), 0);
  ch_op_free(&op->op);
  ck_assert_ptr_eq(bench_next(&bench), &read->op);
  ck_assert_int_eq(read->op.status, 0);
  ck_assert_uint_ge(read->count, 1);
  expect_record(&read->records[0], 3, 10);
  ck_assert_ptr_null(bench_poll(&bench)); /* the other topic's poll waits on */
  ch_op_free(&read->op);
  bench_cancel(&bench);
  ck_assert_ptr_eq(bench_next(&bench), &elsewhere->op);
  ck_assert_int_eq(elsewhere->op.status, CHAT_E_CANCELED);
  ch_op_free(&elsewhere->op);
  bench_port_close(&writer);
}
END_TEST

START_TEST(every_waiting_reader_gets_the_record) {
  enum { READERS = 5 };
  bench_port ports[READERS];
  chat_log_read *reads[READERS];
  for (int i = 0; i < READERS; i++) {
    bench_open(&ports[i], backend);
    bench_submit(&ports[i], reads[i] = read_of(0, 0, 10, SIZE_MAX));
  }
  append(0, 1, 1, 10);
  for (int i = 0; i < READERS; i++) {
    ck_assert_ptr_eq(bench_next(&ports[i]), &reads[i]->op);
    ck_assert_uint_eq(reads[i]->count, 1);
    expect_record(&reads[i]->records[0], 1, 10);
    ch_op_free(&reads[i]->op);
    bench_port_close(&ports[i]);
  }
}
END_TEST

START_TEST(behind_the_end_of_the_log_is_nothing_to_wait_for) {
  append(0, 1, 2, 10);
  ck_assert_int_eq(read_status(3), CHAT_E_GONE);
  ck_assert_int_eq(read_status((uint64_t)1 << 48 | 1), CHAT_E_GONE); /* a later epoch: of another log */
}
END_TEST

/* ------------------------------------------------------------------------------------------------ CONSUMED */

START_TEST(what_is_not_consumed_stays) {
  uint64_t at = append(0, 1, 10, 10);
  append(0, 11, 10, 10);
  if (partitions > 1) append(1, 1, 1, 10);
  consumed(0, at);
  expect_read(read_of(0, at, 100, SIZE_MAX), 11, 10, 10);
  if (partitions > 1) expect_read(read_of(1, 0, 100, SIZE_MAX), 1, 1, 10);
  ck_assert_uint_eq(info_of(0).end, 20);
}
END_TEST

/* Enough to make any log cut something: what is cut is said, never skipped. */
START_TEST(what_was_cut_is_gone) {
  enum { BIG = 200 * 1024, COUNT = 30 };
  for (uint64_t n = 1; n <= COUNT; n++)
    append(0, n, 1, BIG);
  consumed(0, COUNT);
  uint64_t first;
  for (uint64_t n = COUNT + 1; (first = info_of(0).first) == 1; n++)
    append(0, n, 1, 10); /* a log may cut when it likes */
  ck_assert_int_eq(read_status(0), CHAT_E_GONE);
  if (first > 2) ck_assert_int_eq(read_status(first - 2), CHAT_E_GONE);
  ck_assert_uint_gt(info_of(0).end, COUNT - 1);
}
END_TEST

START_TEST(everything_consumed_keeps_the_end) {
  append(0, 1, 10, 10);
  consumed(0, 10);
  consumed(0, 10);
  consumed(0, 3); /* an older one moves nothing back */
  ck_assert_uint_eq(info_of(0).end, 10);
  ck_assert_uint_eq(append(0, 11, 1, 10), 11);
  expect_read(read_of(0, 10, 10, SIZE_MAX), 11, 1, 10);
}
END_TEST

START_TEST(a_position_of_another_log_cuts_nothing) {
  append(0, 1, 3, 10);
  consumed(0, 4);
  consumed(0, (uint64_t)3 << 48 | 1);
  ck_assert_uint_eq(info_of(0).first, 1);
  expect_read(read_of(0, 0, 10, SIZE_MAX), 1, 3, 10);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ memory */

START_TEST(results_live_as_long_as_the_op) {
  bench_port reader;
  bench_open(&reader, backend);
  append(0, 1, 3, 1000); /* its request is freed: the log has a copy */
  chat_log_read *read = read_of(0, 0, 10, SIZE_MAX);
  ck_assert_int_eq(bench_do(&reader, read), 0);
  consumed(0, 3);
  for (int i = 0; i < 40; i++)
    append(0, 9, 1, RECORD_MAX / 2), consumed(0, info_of(0).end);
  bench_port_close(&reader);
  for (size_t i = 0; i < 3; i++)
    expect_record(&read->records[i], i + 1, 1000);
  ch_op_free(&read->op);
}
END_TEST

int main(void) {
  const TTest *const tests[] = {
      a_new_log_is_empty,
      info_says_the_bounds_of_its_partition,
      positions_rise_and_begin_above_0,
      append_time_is_the_clock_s,
      appends_of_one_port_keep_their_order,
      the_largest_append_and_the_largest_record,
      a_record_of_no_bytes_is_one,
      a_record_that_is_too_large_is_not_in,
      what_is_outside_the_bounds_is_invalid,
      a_read_goes_on_behind_a_position,
      a_read_is_bounded_in_bytes_but_gives_one_record,
      partitions_and_topics_are_apart,
      a_long_poll_waits_for_the_append,
      every_waiting_reader_gets_the_record,
      behind_the_end_of_the_log_is_nothing_to_wait_for,
      what_is_not_consumed_stays,
      what_was_cut_is_gone,
      everything_consumed_keeps_the_end,
      a_position_of_another_log_cuts_nothing,
      results_live_as_long_as_the_op,
  };
  const contract_version versions[] = {
      {"mem, messages", open_mem_messages, close_mem},
      {"mem, deliveries", open_mem_deliveries, close_mem},
      {"file, messages", open_file_messages, close_file},
      {"file, deliveries", open_file_deliveries, close_file},
      {"the example, messages", open_custom_messages, close_mem},
      {"the example, deliveries", open_custom_deliveries, close_mem},
  };
  return contract_run(&(contract_suite){"log", CONTRACT_LIST(versions), CONTRACT_LIST(tests), {&backend, quick, 0, long_poll}});
}
