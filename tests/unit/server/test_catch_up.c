/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/catch_up.h"

#include <pthread.h>
#include <time.h>

#include "../core/run.h"
#include "backend/log_mem.h"
#include "unit/backend/bench_port.h"

static ch_metrics metrics;
static ch_backends backends;

static uint64_t wall_ms(void *arg) {
  (void)arg;
  return 1000;
}

static void append(bench_port *bench, size_t count) {
  chat_log_append *op = ch_op_new(NULL, CHAT_OP_LOG_APPEND, sizeof *op);
  op->topic = CHAT_TOPIC_MESSAGES;
  op->count = count;
  op->records = chat_op_alloc(&op->op, count * sizeof *op->records);
  for (size_t i = 0; i < count; i++)
    op->records[i] = (chat_log_record){.data = text("record")};
  ck_assert_int_eq(bench_do(bench, op), 0);
  ch_op_free(&op->op);
}

/* A log with five records. */
static void begin(void) {
  bench_port bench;
  ch_log_mem_config config = {.clock = {.wall_ms = wall_ms}, .partitions = {1, 1}, .bytes_max = 1 << 20};
  ck_assert_int_eq(ch_log_mem_new(&config, &backends.of[CH_BACKEND_LOG]), 0);
  bench_open(&bench, backends.of[CH_BACKEND_LOG]);
  append(&bench, 5);
  bench_port_close(&bench);
  ch_metrics_init(&metrics, NULL);
}

static void end(void) {
  backends.of[CH_BACKEND_LOG].vtable->free(backends.of[CH_BACKEND_LOG].self);
}

/* A sequencer that needs its time. */
static void *store_slowly(void *arg) {
  const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
  for (int64_t position = 3; position <= 5; position++) {
    nanosleep(&step, NULL);
    ch_metrics_set(arg, CH_METRIC_STORE_POSITION, position);
  }
  return NULL;
}

START_TEST(it_waits_for_the_end_of_the_log) {
  pthread_t sequencer;
  begin();
  ck_assert_int_eq(pthread_create(&sequencer, NULL, store_slowly, &metrics), 0);
  ch_catch_up(NULL, &backends, &metrics);
  ck_assert_uint_eq(atomic_load(&metrics.values[CH_METRIC_STORE_POSITION]), 5);
  pthread_join(sequencer, NULL);
  end();
}
END_TEST

/* The test's own limit is below what it would wait. */
START_TEST(it_does_not_wait_for_a_partition_that_stands_still) {
  begin();
  ch_metrics_set(&metrics, CH_METRIC_FAULTS, 1);
  ch_catch_up(NULL, &backends, &metrics);
  end();
}
END_TEST

int main(void) {
  const test_row rows[] = {{it_waits_for_the_end_of_the_log, 0}, {it_does_not_wait_for_a_partition_that_stands_still, 0}};
  return RUN_TESTS("catch_up", rows);
}
