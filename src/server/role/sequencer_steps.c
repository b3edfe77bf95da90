/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a partition: effects first, state last (docs/architecture.md, "The way of a message"). */
#include <string.h>

#include "core/assert.h"
#include "core/rule.h"
#include "server/role/sequencer_partition.h"

/* ------------------------------------------------------------------------------------------------ opening */

static int ask_where(ch_partition *partition) {
  chat_store_position *op = ch_partition_op(partition, CHAT_OP_STORE_POSITION, sizeof *op);
  if (!op) return CHAT_E_NOMEM;
  op->topic = CHAT_TOPIC_MESSAGES;
  op->partition = partition->number;
  ch_partition_put(partition, &op->op, true);
  return 0;
}

/* The log is asked afterwards: what it says of its end covers whatever an owner before this one has stored meanwhile. */
static int begin_there(ch_partition *partition) {
  partition->reader.after = partition->sequencer->stats.position = partition->position;
  ch_partition_rest(partition);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ load, fold */

static int load_one(ch_partition *partition, size_t index) {
  const ch_batch_conversation *entry = &partition->batch.conversations[index];
  chat_store_state *op = ch_partition_op(partition, CHAT_OP_STORE_STATE, sizeof *op);
  if (!op) return CHAT_E_NOMEM;
  op->op.tag = index;
  memcpy(op->conversation_id, entry->conversation->id, sizeof op->conversation_id);
  op->users = entry->wanted;
  op->user_count = entry->wanted_count;
  ch_partition_put(partition, &op->op, true);
  return 0;
}

static int load(ch_partition *partition) {
  for (size_t i = 0; i < partition->batch.conversation_count; i++) {
    if (partition->batch.conversations[i].is_wanted && load_one(partition, i)) return CHAT_E_NOMEM;
  }
  return 0;
}

/* S3: where the rows contradict each other, or what is in memory, that conversation is forgotten and read again. */
int ch_partition_took_state(ch_partition *partition, const chat_store_state *op) {
  const ch_batch_conversation *entry = &partition->batch.conversations[op->op.tag];
  int error = ch_conversation_load(entry->conversation, &op->state, op->users, op->user_count);
  if (error) ch_conversation_forget(entry->conversation);
  return error;
}

static int fold(ch_partition *partition) {
  return ch_batch_fold(&partition->batch);
}

/* ------------------------------------------------------------------------------------------------ effects */

static chat_store_apply *new_apply(ch_partition *partition) {
  chat_store_apply *op = ch_partition_op(partition, CHAT_OP_STORE_APPLY, sizeof *op);
  if (op) op->partition = partition->number;
  return op;
}

static void add_rows(const ch_partition *partition, chat_store_apply *op) {
  op->rows = partition->batch.rows;
  op->row_count = partition->batch.row_count;
}

static int add_states(ch_partition *partition, chat_store_apply *op) {
  op->position = partition->batch.position;
  memcpy(op->log_identity, partition->batch_identity, sizeof op->log_identity);
  return ch_batch_states(&partition->batch, &op->states, &op->state_count);
}

static int put_or_free(ch_partition *partition, chat_op *op, int error) {
  if (error) ch_op_free(op);
  else ch_partition_put(partition, op, true);
  return error;
}

static int write_rows(ch_partition *partition) {
  if (partition->batch.row_count == 0) return 0;
  chat_store_apply *op = new_apply(partition);
  if (!op) return CHAT_E_NOMEM;
  add_rows(partition, op);
  return put_or_free(partition, &op->op, 0);
}

static int write_states(ch_partition *partition) {
  chat_store_apply *op = new_apply(partition);
  if (!op) return CHAT_E_NOMEM;
  return put_or_free(partition, &op->op, add_states(partition, op));
}

/* V7: rows, states and position become visible together. */
static int write_all(ch_partition *partition) {
  chat_store_apply *op = new_apply(partition);
  if (!op) return CHAT_E_NOMEM;
  add_rows(partition, op);
  return put_or_free(partition, &op->op, add_states(partition, op));
}

static int append(ch_partition *partition, const ch_fanout *fanout, uint32_t delivery_partition, uint64_t position) {
  chat_log_record *records;
  size_t count;
  int error = ch_fanout_records(fanout, delivery_partition, position, &records, &count);
  if (error || count == 0) return error;
  chat_log_append *op = ch_partition_op(partition, CHAT_OP_LOG_APPEND, sizeof *op);
  if (!op) return CHAT_E_NOMEM;
  op->topic = CHAT_TOPIC_DELIVERIES;
  op->partition = delivery_partition;
  op->records = records;
  op->count = count;
  ch_partition_put(partition, &op->op, true);
  return 0;
}

static int append_all(ch_partition *partition, const ch_fanout *fanout) {
  uint64_t position = partition->batch_config.derives_heads ? partition->batch.position : 0;
  int error = 0;
  for (uint32_t i = 0; i < partition->batch_config.delivery_partitions && !error; i++)
    error = append(partition, fanout, i, position);
  return error;
}

static int send_tasks(ch_partition *partition) {
  return append_all(partition, &partition->batch.tasks);
}

/* S1: behind the state that covers them. */
static int send_verdicts(ch_partition *partition) {
  return append_all(partition, &partition->batch.verdicts);
}

/* Where the state is written already, a batch that is begun anew has nothing to send: who is told by tasks alone, such as the hook after storing, would not be told. */
bool ch_step_can_be_repeated(ch_step step) {
  return step == send_tasks || step == send_verdicts;
}

/* ------------------------------------------------------------------------------------------------ done */

static void count(ch_partition *partition) {
  ch_sequencer_stats *stats = &partition->sequencer->stats;
  const ch_batch_counts *counts = &partition->batch.counts;
  stats->committed += counts->committed;
  stats->refused += counts->refused;
  stats->dup += counts->dup;
  stats->gap += counts->gap;
  stats->batches++;
  stats->position = partition->position;
}

/* A hint for the log and for the next owner: if it is lost, the next batch says it again. */
static void say_consumed(ch_partition *partition) {
  chat_log_consumed *op = ch_partition_op(partition, CHAT_OP_LOG_CONSUMED, sizeof *op);
  if (!op) return;
  op->topic = CHAT_TOPIC_MESSAGES;
  op->partition = partition->number;
  op->position = partition->position;
  ch_partition_put(partition, &op->op, false);
}

/* A batch that ends before a record that is none is the last one. */
static int finish(ch_partition *partition) {
  ch_batch *batch = &partition->batch;
  int error = batch->is_cut ? CHAT_E_CORRUPT : 0;
  partition->position = batch->position;
  count(partition);
  say_consumed(partition);
  for (size_t i = 0; i < batch->conversation_count; i++)
    batch->conversations[i].conversation->batch_slot = 0;
  for (size_t i = 0; i < batch->conversation_count; i++)
    ch_conversation_map_release(&partition->map, batch->conversations[i].conversation);
  batch->conversation_count = 0; /* some are gone */
  ch_batch_close(batch);
  ch_conversation_map_trim(&partition->map);
  ch_partition_rest(partition);
  return error;
}

const ch_step ch_steps_opening[] = {ask_where, begin_there, NULL};

static const ch_step steps_apart[] = {load, fold, write_rows, send_tasks, write_states, send_verdicts, finish, NULL};
static const ch_step steps_derived[] = {load, fold, write_all, send_tasks, send_verdicts, finish, NULL};

static const ch_step steps_without_s1[] = {load, fold, write_rows, send_tasks, send_verdicts, write_states, finish, NULL};
static const ch_step steps_derived_without_s1[] = {load, fold, send_verdicts, write_all, send_tasks, finish, NULL};
static const ch_step steps_without_v7[] = {load, fold, send_tasks, write_all, send_verdicts, finish, NULL};
static const ch_step steps_state_first[] = {load, fold, write_states, write_rows, send_tasks, send_verdicts, finish, NULL};

const ch_step *ch_steps_of_batch(bool derives_heads) {
  if (!CH_RULE(V7) && derives_heads) return steps_without_v7;
  if (!CH_RULE(S1)) return derives_heads ? steps_derived_without_s1 : steps_without_s1;
  if (!CH_RULE(EFFECTS_FIRST)) return steps_state_first;
  return derives_heads ? steps_derived : steps_apart;
}
