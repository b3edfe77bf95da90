/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/support/logged.h"

#include <string.h>

#include "core/op.h"

bool fuzz_logged_add(fuzz_logged *log, ch_arena *arena, chat_bytes record, uint64_t append_ms) {
  if (log->count == FUZZ_LOGGED_MAX) return false;
  const uint8_t *copy = record.len > 0 ? ch_arena_dup(arena, record.data, record.len) : (const uint8_t *)"";
  ch_assert(copy != NULL);
  log->records[log->count] = (chat_log_record){.position = log->count + 1, .append_ms = append_ms, .data = {copy, record.len}};
  log->count++;
  return true;
}

void fuzz_logged_info(const fuzz_logged *log, chat_log_info *op) {
  op->partition_count = 1;
  op->first = log->count > 0;
  op->end = log->count;
  memset(op->identity, 1, sizeof op->identity);
}

bool fuzz_logged_read(const fuzz_logged *log, chat_log_read *op, size_t count) {
  if (count > op->count_max) count = op->count_max;
  op->records = chat_op_alloc(&op->op, (count + 1) * sizeof *op->records);
  ch_assert(op->records != NULL);
  for (size_t i = 0; i < log->count && op->count < count; i++) {
    if (log->records[i].position <= op->after) continue;
    chat_log_record *record = &op->records[op->count++];
    *record = log->records[i];
    record->data = chat_op_copy(&op->op, log->records[i].data);
  }
  return op->count > 0;
}
