/* SPDX-License-Identifier: Apache-2.0 */
/* log_peer.h - one partition of a log, which a test writes and whose ops it answers by hand (role_peer.h): record i has position i + 1. All of it static. */
#ifndef CH_TEST_LOG_PEER_H
#define CH_TEST_LOG_PEER_H

#include "core/snowflake.h"
#include "unit/server/role_peer.h"

enum { RECORDS_MAX = 1024 };

static uint32_t partition;
static ch_arena kept; /* for what a test makes; until log_end */
static chat_log_record logged[RECORDS_MAX];
static size_t logged_count;
static uint64_t log_ms;
static uint8_t log_identity[16];

static UNUSED void log_begin(void) {
  partition = 0;
  logged_count = 0;
  log_ms = CH_SNOWFLAKE_EPOCH_MS + 1000;
  memset(log_identity, 1, sizeof log_identity);
  ch_arena_init(&kept, NULL, 4096, 64 * 1024 * 1024);
}

static UNUSED void log_end(void) {
  ch_arena_fini(&kept);
}

static UNUSED void log_bytes(chat_bytes bytes) {
  ck_assert_uint_lt(logged_count, RECORDS_MAX);
  logged[logged_count] = (chat_log_record){
      .position = logged_count + 1, .append_ms = log_ms, .data = ch_bytes_of(ch_arena_dup(&kept, bytes.data, bytes.len), bytes.len)};
  logged_count++;
  log_ms += 10;
}

static UNUSED void fill_info(chat_log_info *op) {
  op->partition_count = 1;
  op->first = logged_count > 0;
  op->end = logged_count;
  memcpy(op->identity, log_identity, sizeof log_identity);
}

/* At most `count` of the records that were asked for. */
static UNUSED void fill_read(chat_log_read *op, size_t count) {
  op->records = chat_op_alloc(&op->op, (count + 1) * sizeof *op->records);
  ck_assert_ptr_nonnull(op->records);
  for (size_t i = 0; i < logged_count && op->count < count; i++) {
    if (logged[i].position <= op->after) continue;
    chat_log_record *record = &op->records[op->count++];
    *record = logged[i];
    record->data = chat_op_copy(&op->op, logged[i].data);
    ck_assert_ptr_nonnull(record->data.data);
  }
}

#endif
