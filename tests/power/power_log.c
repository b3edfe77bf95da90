/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded log: what was acknowledged, and what anybody has read, is there under its position after every cut, and what was not is there or not, once and in its order. */
#define _DEFAULT_SOURCE
#include <inttypes.h>

#include "backend/log_file/log_file.h"
#include "power/life.h"
#include "unit/backend/bench_port.h"

enum { SEGMENT_LEN = 8192, NUMBERS_MAX = 40000, APPENDS_MAX = 8, RECORDS_MAX = 5, LEN_MAX = 700 };

typedef struct promised {
  uint64_t attempts; /* records 1 … attempts were handed to the log, in this order */
  uint64_t consumed; /* position: what is up to there may be gone */
  uint64_t end;      /* highest number that somebody knows of */
  uint16_t epoch;
  uint32_t attempt_at[NUMBERS_MAX]; /* by number; 0: nobody knows what is there */
  uint64_t position_at[NUMBERS_MAX];
} promised;

static bench_port bench;
static promised *known;

static uint64_t wall(void *arg) {
  (void)arg;
  return 1000 + known->attempts;
}

static void fill(void *arg, void *bytes, size_t len) {
  (void)arg;
  for (size_t i = 0; i < len; i++)
    ((uint8_t *)bytes)[i] = (uint8_t)life_draw(256);
}

static uint64_t number_of(uint64_t position) {
  return position & (((uint64_t)1 << 48) - 1);
}

/* ------------------------------------------------------------------------------------------------ records */

static size_t len_of(uint64_t attempt) {
  return 8 + attempt * 2654435761u % LEN_MAX;
}

static chat_bytes record_of(chat_op *op, uint64_t attempt) {
  size_t len = len_of(attempt);
  uint8_t *bytes = chat_op_alloc(op, len);
  memset(bytes, (int)(attempt % 251), len);
  memcpy(bytes, &attempt, sizeof attempt);
  return (chat_bytes){bytes, len};
}

static uint64_t attempt_of(chat_bytes record) {
  uint64_t attempt;
  life_check(record.len >= sizeof attempt);
  memcpy(&attempt, record.data, sizeof attempt);
  life_check(attempt >= 1 && attempt <= known->attempts && record.len == len_of(attempt));
  for (size_t i = sizeof attempt; i < record.len; i++)
    life_check(record.data[i] == attempt % 251);
  return attempt;
}

static void know(uint64_t position, uint64_t attempt) {
  uint64_t number = number_of(position);
  life_check(number < NUMBERS_MAX && attempt < UINT32_MAX);
  life_check(known->attempt_at[number] == 0 || known->attempt_at[number] == attempt);
  known->attempt_at[number] = (uint32_t)attempt;
  known->position_at[number] = position;
  if (number > known->end) known->end = number;
}

/* ------------------------------------------------------------------------------------------------ after a cut */

static chat_log_info info(void) {
  chat_log_info *ask = ch_op_new(NULL, CHAT_OP_LOG_INFO, sizeof *ask);
  life_do(bench_do(&bench, ask));
  chat_log_info copy = *ask;
  ch_op_free(&ask->op);
  return copy;
}

/* What is read is promised from then on. The position of the last one. */
static uint64_t know_all(const chat_log_read *read, uint64_t after, uint64_t *attempt_before) {
  for (size_t i = 0; i < read->count; i++) {
    uint64_t attempt = attempt_of(read->records[i].data);
    life_check(number_of(read->records[i].position) == number_of(after) + 1 && attempt > *attempt_before);
    know(read->records[i].position, attempt);
    after = read->records[i].position;
    *attempt_before = attempt;
  }
  return after;
}

static void read_from(uint64_t after, uint64_t end) {
  uint64_t attempt_before = 0;
  while (number_of(after) < end) {
    chat_log_read *read = ch_op_new(NULL, CHAT_OP_LOG_READ, sizeof *read);
    *read = (chat_log_read){.op = read->op, .after = after, .count_max = 50, .bytes_max = 1 << 20};
    life_check(bench_do(&bench, read) == 0 && read->count > 0);
    after = know_all(read, after, &attempt_before);
    ch_op_free(&read->op);
  }
}

static void append_many(void);

static void check(void) {
  chat_log_info has = info();
  /* In a new epoch it says where that begins, not what was the last before. */
  if (has.first && number_of(has.end) == 0) append_many(), has = info();
  life_check(number_of(has.end) >= known->end && number_of(has.first) <= number_of(known->consumed) + 1);
  read_from(known->consumed, number_of(has.end));
}

/* ------------------------------------------------------------------------------------------------ life */

static chat_log_append *append_some(void) {
  chat_log_append *append = ch_op_new(NULL, CHAT_OP_LOG_APPEND, sizeof *append);
  append->count = 1 + life_draw(RECORDS_MAX);
  append->records = chat_op_alloc(&append->op, append->count * sizeof *append->records);
  for (size_t i = 0; i < append->count; i++)
    append->records[i] = (chat_log_record){.data = record_of(&append->op, ++known->attempts)};
  append->op.tag = known->attempts - append->count + 1;
  bench_submit(&bench, append);
  return append;
}

static void acknowledged(const chat_log_append *append) {
  life_do(append->op.status);
  for (size_t i = 0; i < append->count; i++)
    know(append->records[i].position, append->op.tag + i);
}

static void append_many(void) {
  uint64_t count = 1 + life_draw(APPENDS_MAX);
  for (uint64_t i = 0; i < count; i++)
    append_some();
  for (uint64_t i = 0; i < count; i++) {
    chat_op *op = bench_next(&bench);
    acknowledged((chat_log_append *)op);
    ch_op_free(op);
  }
}

static void consume_some(void) {
  if (known->end <= number_of(known->consumed) + 20) return;
  known->consumed = known->position_at[known->end - 10];
  chat_log_consumed *op = ch_op_new(NULL, CHAT_OP_LOG_CONSUMED, sizeof *op);
  op->position = known->consumed;
  life_do(bench_do(&bench, op));
  ch_op_free(&op->op);
}

static void live(const char *folder, void *promises) {
  char path[128];
  chat_backend log;
  known = promises;
  snprintf(path, sizeof path, "%s/log", folder);
  if (life_chance(5)) known->epoch++;
  ch_log_file_config config = {.clock = {wall, wall, NULL},
                               .random = {fill, NULL},
                               .path = path,
                               .partitions = {1, 1},
                               .segment_len = SEGMENT_LEN,
                               .epoch = known->epoch,
                               .tail_len = life_chance(50) ? 2000 : 0};
  life_do(ch_log_file_new(&config, &log, NULL));
  bench_open(&bench, log);
  check();
  while (!life_chance(1) && known->end < NUMBERS_MAX - 100) {
    append_many();
    if (life_chance(20)) consume_some();
    if (life_chance(10)) check();
  }
  bench_close(&bench);
}

int main(int argc, char **argv) {
  return life_main(argc, argv, &(life_subject){.name = "log", .calls_max = 300, .promised_len = sizeof(promised), .live = live});
}
