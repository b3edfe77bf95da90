/* SPDX-License-Identifier: Apache-2.0 */
/* Where to begin, and reading on (rule V1: a new owner begins some 30 s of records before the stored position). */
#include <string.h>

#include "core/assert.h"
#include "server/role/deliverer_partition.h"
#include "server/role/log_check.h"

enum { READ_WAIT_MS = 10000, READ_BYTES_MAX = 1024 * 1024, SEEK_STEP = 64 };

static void enter(ch_delivery_reader *reader, ch_reader_state state) {
  static const uint8_t moves[] = { /* bits of where one may go from here */
      [CH_READER_POSITION] = 1 << CH_READER_INFO,
      [CH_READER_INFO] = 1 << CH_READER_SEEK | 1 << CH_READER_READ,
      [CH_READER_SEEK] = 1 << CH_READER_READ | 1 << CH_READER_INFO,
      [CH_READER_READ] = 1 << CH_READER_INFO,
  };
  ch_assert(moves[reader->state] >> state & 1);
  reader->state = state;
  if (state == CH_READER_READ) reader->is_open = true;
}

/* ------------------------------------------------------------------------------------------------ asking */

static chat_op *ask_info(ch_delivery_partition *partition) {
  chat_log_info *op = ch_delivery_op(partition, CHAT_OP_LOG_INFO, sizeof *op);
  if (!op) return NULL;
  op->topic = CHAT_TOPIC_DELIVERIES;
  op->partition = partition->number;
  return &op->op;
}

static chat_op *ask_position(ch_delivery_partition *partition) {
  chat_store_position *op = ch_delivery_op(partition, CHAT_OP_STORE_POSITION, sizeof *op);
  if (!op) return NULL;
  op->topic = CHAT_TOPIC_DELIVERIES;
  op->partition = partition->number;
  return &op->op;
}

static chat_op *ask_records(ch_delivery_partition *partition) {
  chat_log_read *op = ch_delivery_op(partition, CHAT_OP_LOG_READ, sizeof *op);
  if (!op) return NULL;
  bool is_seeking = partition->reader.state == CH_READER_SEEK;
  op->topic = CHAT_TOPIC_DELIVERIES;
  op->partition = partition->number;
  op->after = partition->reader.after;
  op->wait_ms = READ_WAIT_MS;
  op->count_max = is_seeking ? 1 : partition->deliverer->config.records_max;
  op->bytes_max = READ_BYTES_MAX;
  return &op->op;
}

chat_op *ch_delivery_reader_ask(ch_delivery_partition *partition) {
  switch (partition->reader.state) {
  case CH_READER_INFO: return ask_info(partition);
  case CH_READER_POSITION: return ask_position(partition);
  default: return ask_records(partition);
  }
}

/* ------------------------------------------------------------------------------------------------ where to begin */

/* A READ after it gives the oldest record that is kept. */
static uint64_t before_first(const ch_delivery_reader *reader) {
  return reader->first > 0 ? reader->first - 1 : 0;
}

/* In another log, with positions below the stored ones, they would be seen by nobody. In a raised epoch of another one there is nothing to begin before. */
static int begin_before_stored(ch_delivery_partition *partition, const chat_log_info *op) {
  ch_delivery_reader *reader = &partition->reader;
  uint64_t begin = reader->stored;
  int fault = ch_log_check(op, reader->identity, &begin);
  if (fault) return fault;
  memcpy(reader->identity, op->identity, sizeof reader->identity);
  bool is_cut = begin <= before_first(reader);
  reader->after = is_cut ? before_first(reader) : begin;
  if (is_cut || begin > reader->stored || partition->deliverer->config.rewind_ms == 0) {
    enter(reader, CH_READER_READ);
    return 0;
  }
  reader->after = reader->stored - 1;
  reader->seek_step = SEEK_STEP;
  reader->stored_ms = 0;
  enter(reader, CH_READER_SEEK);
  return 0;
}

/* Behind a cut one goes on with what is left. Where heads are derived there are only hints in the log, so another one does as well. */
static int go_on(ch_delivery_reader *reader, const chat_log_info *op, bool derives) {
  int fault = ch_log_check(op, reader->identity, &reader->after);
  if (fault && !derives) return fault;
  if (fault) reader->after = op->end;
  else if (reader->after < before_first(reader)) reader->after = before_first(reader);
  memcpy(reader->identity, op->identity, sizeof reader->identity);
  enter(reader, CH_READER_READ);
  return 0;
}

static int took_info(ch_delivery_partition *partition, const chat_log_info *op) {
  ch_delivery_reader *reader = &partition->reader;
  bool derives = partition->deliverer->config.store_derives_heads;
  reader->first = op->first;
  if (reader->is_open) return go_on(reader, op, derives);
  if (!derives) return begin_before_stored(partition, op);
  memcpy(reader->identity, op->identity, sizeof reader->identity);
  reader->after = before_first(reader); /* all of it is hints; but one that is passed over is missed by whoever has synced before it and hears of the next */
  enter(reader, CH_READER_READ);
  return 0;
}

static int took_position(ch_delivery_reader *reader, const chat_store_position *op) {
  reader->stored = op->position;
  memcpy(reader->identity, op->log_identity, sizeof reader->identity);
  enter(reader, CH_READER_INFO);
  return 0;
}

/* Twice as far with each step: at most twice the records that are needed are done again. */
static void step_back(ch_delivery_reader *reader) {
  uint64_t left = reader->after - before_first(reader);
  reader->after -= left < reader->seek_step ? left : reader->seek_step;
  reader->seek_step *= 2;
}

static void took_sample(ch_delivery_partition *partition, const chat_log_record *record) {
  ch_delivery_reader *reader = &partition->reader;
  if (reader->stored_ms == 0) reader->stored_ms = record->append_ms;
  bool is_far = record->append_ms + partition->deliverer->config.rewind_ms <= reader->stored_ms;
  if (is_far || reader->after <= before_first(reader)) enter(reader, CH_READER_READ);
  else step_back(reader);
}

/* ------------------------------------------------------------------------------------------------ records */

static int took_records(ch_delivery_partition *partition, chat_log_read *op, bool *kept) {
  ch_delivery_reader *reader = &partition->reader;
  if (op->op.status == CHAT_E_GONE) {
    enter(reader, CH_READER_INFO);
    return 0;
  }
  if (op->count == 0) return 0;
  if (reader->state == CH_READER_SEEK) {
    took_sample(partition, &op->records[0]);
    return 0;
  }
  ch_assert(!reader->next && op->records[0].position > reader->after);
  reader->next = op;
  reader->after = op->records[op->count - 1].position;
  *kept = true;
  return 0;
}

void ch_delivery_reader_failed(ch_delivery_reader *reader) {
  if (reader->state == CH_READER_READ) enter(reader, CH_READER_INFO);
}

int ch_delivery_reader_took(ch_delivery_partition *partition, chat_op *op, bool *kept) {
  switch (op->kind) {
  case CHAT_OP_LOG_INFO: return took_info(partition, (chat_log_info *)(void *)op);
  case CHAT_OP_STORE_POSITION: return took_position(&partition->reader, (chat_store_position *)(void *)op);
  default: return took_records(partition, (chat_log_read *)(void *)op, kept);
  }
}
