/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading on. Before its first READ, and after one that failed, the reader asks whether this is the log whose records were stored (log_check.h).
 */
#include <string.h>

#include "core/assert.h"
#include "server/role/log_check.h"
#include "server/role/sequencer_partition.h"

enum { READ_WAIT_MS = 10000 };

static chat_op *ask_info(ch_partition *partition) {
  chat_log_info *op = ch_partition_op(partition, CHAT_OP_LOG_INFO, sizeof *op);
  if (!op) return NULL;
  op->topic = CHAT_TOPIC_MESSAGES;
  op->partition = partition->number;
  return &op->op;
}

static chat_op *ask_records(ch_partition *partition) {
  const ch_sequencer_config *config = &partition->sequencer->config;
  chat_log_read *op = ch_partition_op(partition, CHAT_OP_LOG_READ, sizeof *op);
  if (!op) return NULL;
  op->topic = CHAT_TOPIC_MESSAGES;
  op->partition = partition->number;
  op->after = partition->reader.after;
  op->wait_ms = READ_WAIT_MS;
  op->count_max = config->batch_count_max;
  op->bytes_max = config->batch_bytes_max;
  return &op->op;
}

chat_op *ch_reader_ask(ch_partition *partition) {
  return partition->reader.is_sure ? ask_records(partition) : ask_info(partition);
}

static int took_info(ch_log_reader *reader, const chat_log_info *op) {
  int fault = ch_log_check(op, reader->identity, &reader->after);
  if (fault) return fault;
  memcpy(reader->identity, op->identity, sizeof reader->identity);
  reader->is_sure = true;
  return 0;
}

static void took_records(ch_log_reader *reader, chat_log_read *op) {
  if (op->count == 0) {
    ch_op_free(&op->op);
    return;
  }
  ch_assert(!reader->next && op->records[0].position > reader->after);
  reader->next = op;
  reader->after = op->records[op->count - 1].position;
}

int ch_reader_took(ch_partition *partition, chat_op *op) {
  if (op->kind == CHAT_OP_LOG_READ) {
    took_records(&partition->reader, (chat_log_read *)(void *)op);
    return 0;
  }
  int fault = took_info(&partition->reader, (chat_log_info *)(void *)op);
  ch_op_free(op);
  return fault;
}
