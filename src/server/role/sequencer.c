/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/sequencer.h"

#include <string.h>

#include "core/assert.h"
#include "core/bytes.h"
#include "server/role/sequencer_partition.h"

static ch_partition *partition_of_node(ch_list *node) {
  return CH_LIST_ITEM(node, ch_partition, node);
}

/* ------------------------------------------------------------------------------------------------ ops out */

void *ch_partition_op(ch_partition *partition, uint32_t kind, size_t len) {
  chat_op *op = ch_op_new(partition->sequencer->env.alloc, kind, len);
  if (op) op->owner = partition;
  return op;
}

void ch_partition_put(ch_partition *partition, chat_op *op, bool waited) {
  partition->outside_count++;
  partition->pending_count += waited;
  ch_op_queue_push(&partition->sequencer->out, op);
}

static bool is_of_reader(const chat_op *op) {
  return op->kind == CHAT_OP_LOG_READ || op->kind == CHAT_OP_LOG_INFO;
}

static bool is_waited_for(const chat_op *op) {
  return !is_of_reader(op) && op->kind != CHAT_OP_LOG_CONSUMED;
}

static void schedule(const ch_partition *partition, ch_retry *retry, ch_now now) {
  partition->sequencer->stats.retries += ch_retry_schedule(retry, now);
}

/* The next records are read while the batch before them is still under way, but not folded before its state is acknowledged. */
static void read_on(ch_partition *partition, ch_now now) {
  ch_log_reader *reader = &partition->reader;
  if (reader->is_outside || reader->next || reader->is_cut || ch_retry_is_waiting(&reader->retry) || partition->sequencer->is_stopping) return;
  chat_op *op = ch_reader_ask(partition);
  if (!op) {
    schedule(partition, &reader->retry, now);
    return;
  }
  reader->is_outside = true;
  ch_partition_put(partition, op, false);
}

/* ------------------------------------------------------------------------------------------------ states */

static bool may_enter(ch_partition_state from, ch_partition_state to) {
  static const uint8_t moves[] = { /* bits of where one may go from here */
      [CH_PARTITION_WORKING] = 1 << CH_PARTITION_WAITING | 1 << CH_PARTITION_PAUSED | 1 << CH_PARTITION_ENDED,
      [CH_PARTITION_WAITING] = 1 << CH_PARTITION_WORKING | 1 << CH_PARTITION_ENDED,
      [CH_PARTITION_PAUSED] = 1 << CH_PARTITION_WORKING | 1 << CH_PARTITION_ENDED,
      [CH_PARTITION_ENDED] = 0,
  };
  return moves[from] >> to & 1;
}

static void enter(ch_partition *partition, ch_partition_state state) {
  ch_assert(may_enter(partition->state, state));
  partition->state = state;
}

static void leave(ch_partition *partition, const chat_op *op) {
  partition->outside_count--;
  partition->pending_count -= is_waited_for(op);
  if (is_of_reader(op)) partition->reader.is_outside = false;
}

static void drop(ch_partition *partition, chat_op *op) {
  leave(partition, op);
  ch_op_free(op);
}

static void drop_parked(ch_partition *partition) {
  for (chat_op *op; (op = ch_op_queue_pop(&partition->parked));)
    drop(partition, op);
}

/* Nothing is done again. */
static void give_up(ch_partition *partition) {
  partition->retry.at_ms = partition->reader.retry.at_ms = CH_NEVER_MS;
  drop_parked(partition);
}

static void end(ch_partition *partition, int fault) {
  if (partition->state == CH_PARTITION_ENDED) return;
  enter(partition, CH_PARTITION_ENDED);
  partition->fault = fault;
  give_up(partition);
}

/* The steps cannot go on: memory is out, or S3 said so. What is outside still borrows from the batch, so nothing goes before it is back. */
static void pause(ch_partition *partition, int error, ch_now now) {
  if (partition->state != CH_PARTITION_PAUSED) enter(partition, CH_PARTITION_PAUSED);
  partition->forget_all |= error == CHAT_E_NOMEM && !partition->is_step_left;
  drop_parked(partition);
  schedule(partition, &partition->retry, now);
}

static void interrupt(ch_partition *partition, int error, ch_now now) {
  if (error == CHAT_E_NOMEM || error == CHAT_E_AGAIN) pause(partition, error, now);
  else end(partition, error);
}

static void work(ch_partition *partition, const ch_step *steps) {
  enter(partition, CH_PARTITION_WORKING);
  partition->steps = steps;
  partition->step = 0;
}

/* Takes the records that were read as the next batch. */
static void begin_batch(ch_partition *partition, ch_now now) {
  chat_log_read *read = partition->reader.next;
  partition->reader.next = NULL;
  memcpy(partition->batch_identity, partition->reader.identity, sizeof partition->batch_identity);
  work(partition, ch_steps_of_batch(partition->batch_config.derives_heads));
  int error = ch_batch_open(&partition->batch, read, &partition->map);
  if (error) interrupt(partition, error, now);
}

void ch_partition_rest(ch_partition *partition) {
  enter(partition, CH_PARTITION_WAITING);
}

/* What another owner has stored is not what is in memory here. */
static void open_anew(ch_partition *partition) {
  partition->reader.is_cut = partition->reader.is_sure = false;
  ch_conversation_map_clear(&partition->map);
  work(partition, ch_steps_opening);
}

static void begin_next(ch_partition *partition, ch_now now) {
  if (partition->reader.next) begin_batch(partition, now);
  else if (partition->reader.is_cut) open_anew(partition);
}

/* As far as it goes without an op's coming back. */
static void proceed(ch_partition *partition, ch_now now) {
  for (;;) {
    if (partition->state == CH_PARTITION_WAITING && !partition->sequencer->is_stopping) begin_next(partition, now);
    if (partition->state != CH_PARTITION_WORKING || partition->pending_count > 0) break;
    ch_step step = partition->steps[partition->step++];
    int error = step(partition);
    partition->is_step_left = error == CHAT_E_NOMEM && ch_step_can_be_repeated(step);
    if (error) interrupt(partition, error, now);
  }
  bool is_open = partition->steps != ch_steps_opening || partition->state == CH_PARTITION_WAITING;
  if (is_open && partition->state != CH_PARTITION_ENDED) read_on(partition, now);
}

/* What the batch came to is still here. */
static void repeat_step(ch_partition *partition) {
  partition->is_step_left = false;
  partition->step--;
  enter(partition, CH_PARTITION_WORKING);
}

/* From the store again, but for a step that can be done by itself. */
static void resume(ch_partition *partition, ch_now now) {
  if (partition->state != CH_PARTITION_PAUSED || partition->pending_count > 0 || ch_retry_is_waiting(&partition->retry)) return;
  if (partition->is_step_left) {
    repeat_step(partition);
    return;
  }
  chat_log_read *read = partition->batch.read ? ch_batch_reset(&partition->batch) : NULL;
  if (partition->forget_all) ch_conversation_map_clear(&partition->map);
  partition->forget_all = false;
  work(partition, partition->steps);
  int error = read ? ch_batch_open(&partition->batch, read, &partition->map) : 0;
  if (error) interrupt(partition, error, now);
}

/* ------------------------------------------------------------------------------------------------ ops back */

/* Of an APPEND that failed, the records that have a position are in the log. */
static size_t keep_unwritten(chat_log_append *op) {
  size_t kept = 0;
  for (size_t i = 0; i < op->count; i++) {
    if (op->records[i].position == 0) op->records[kept++] = op->records[i];
  }
  return op->count = kept;
}

static void note_tasks(ch_partition *partition, const chat_log_append *op) {
  uint64_t *last = &partition->sequencer->stats.tasks_position;
  for (size_t i = 0; i < op->count; i++)
    if (op->records[i].position > *last) *last = op->records[i].position;
}

/* Is there anything of it to be done again? */
static bool has_left(chat_op *op) {
  return op->kind != CHAT_OP_LOG_APPEND || keep_unwritten((chat_log_append *)(void *)op) > 0;
}

static void park(ch_partition *partition, chat_op *op, ch_now now) {
  if (op->kind == CHAT_OP_STORE_STATE) ((chat_store_state *)(void *)op)->state = (chat_state){0};
  op->status = 0;
  ch_op_queue_push(&partition->parked, op);
  schedule(partition, &partition->retry, now);
}

/* The store knows more of the log than this owner where another one has gone on in a raised epoch. */
static void took_position(ch_partition *partition, const chat_store_position *op) {
  partition->position = op->position;
  if (!ch_id_is_zero(op->log_identity)) memcpy(partition->reader.identity, op->log_identity, sizeof op->log_identity);
}

static int took(ch_partition *partition, chat_op *op) {
  switch (op->kind) {
  case CHAT_OP_STORE_POSITION: took_position(partition, (const chat_store_position *)(const void *)op); return 0;
  case CHAT_OP_STORE_STATE: return ch_partition_took_state(partition, (chat_store_state *)(void *)op);
  default: return 0;
  }
}

static void settle(ch_partition *partition, chat_op *op, ch_now now) {
  int error = took(partition, op);
  drop(partition, op);
  if (error) interrupt(partition, error, now);
  else if (partition->pending_count == 0) partition->retry.wait_ms = partition->sequencer->config.retry_ms;
}

static void fail(ch_partition *partition, chat_op *op) {
  int status = op->status;
  drop(partition, op);
  end(partition, ch_status_fault(status));
}

static void back_to_steps(ch_partition *partition, chat_op *op, ch_now now) {
  bool is_passing = ch_status_is_passing(op->status);
  if (op->kind == CHAT_OP_LOG_APPEND) note_tasks(partition, (const chat_log_append *)(const void *)op);
  if (op->kind == CHAT_OP_LOG_CONSUMED || partition->state != CH_PARTITION_WORKING) drop(partition, op);
  else if (is_passing && has_left(op)) park(partition, op, now);
  else if (op->status && !is_passing) fail(partition, op);
  else settle(partition, op, now);
}

/* A log that was not there for a while may have come back as another one. */
static void reading_failed(ch_partition *partition, chat_op *op, ch_now now) {
  partition->reader.is_sure = false;
  drop(partition, op);
  schedule(partition, &partition->reader.retry, now);
}

/* A stored position whose followers are cut, and which is still the stored one when it is read again, contradicts the log. */
static void found_cut(ch_partition *partition, chat_op *op) {
  ch_log_reader *reader = &partition->reader;
  if (reader->cut_after == reader->after) {
    fail(partition, op);
    return;
  }
  drop(partition, op);
  reader->cut_after = reader->after;
  reader->is_cut = true;
}

static void back_to_reader(ch_partition *partition, chat_op *op, ch_now now) {
  if (partition->sequencer->is_stopping) {
    drop(partition, op);
  } else if (op->status == CHAT_E_GONE && op->kind == CHAT_OP_LOG_READ) {
    found_cut(partition, op);
  } else if (op->status) {
    if (ch_status_is_passing(op->status)) reading_failed(partition, op, now);
    else fail(partition, op);
  } else {
    leave(partition, op);
    partition->reader.retry.wait_ms = partition->sequencer->config.retry_ms;
    int fault = ch_reader_took(partition, op);
    if (fault) end(partition, fault);
  }
}

static void back(ch_partition *partition, chat_op *op, ch_now now) {
  if (partition->state == CH_PARTITION_ENDED) drop(partition, op);
  else if (is_of_reader(op)) back_to_reader(partition, op, now);
  else back_to_steps(partition, op, now);
}

static void forget(ch_partition *partition) {
  ch_list_remove(&partition->node);
  if (partition->reader.next) ch_op_free(&partition->reader.next->op);
  ch_batch_fini(&partition->batch);
  ch_conversation_map_fini(&partition->map);
  ch_free(partition->sequencer->env.alloc, partition);
}

static void complete(void *self, chat_op *op, ch_now now) {
  (void)self;
  ch_partition *partition = op->owner;
  if (partition->revoked) {
    drop(partition, op);
    if (partition->outside_count == 0) forget(partition);
    return;
  }
  back(partition, op, now);
  resume(partition, now);
  proceed(partition, now);
}

static chat_op *next_op(void *self) {
  ch_sequencer *sequencer = self;
  chat_op *op;
  while ((op = ch_op_queue_pop(&sequencer->out))) {
    ch_partition *partition = op->owner;
    if (!partition->revoked) return op;
    drop(partition, op);
    if (partition->outside_count == 0) forget(partition);
  }
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ time */

static void try_again(ch_partition *partition, ch_now now) {
  for (chat_op *op; (op = ch_op_queue_pop(&partition->parked));)
    ch_op_queue_push(&partition->sequencer->out, op);
  resume(partition, now);
  proceed(partition, now);
}

static void tick(void *self, ch_now now) {
  ch_sequencer *sequencer = self;
  CH_LIST_FOR_EACH(node, &sequencer->partitions) {
    ch_partition *partition = partition_of_node(node);
    if (ch_retry_take_due(&partition->reader.retry, now)) proceed(partition, now);
    if (ch_retry_take_due(&partition->retry, now)) try_again(partition, now);
  }
}

static uint64_t earlier(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static uint64_t deadline_ms(const void *self) {
  const ch_sequencer *sequencer = self;
  uint64_t deadline = CH_NEVER_MS;
  CH_LIST_FOR_EACH(node, &sequencer->partitions) {
    const ch_partition *partition = partition_of_node(node);
    deadline = earlier(deadline, earlier(partition->retry.at_ms, partition->reader.retry.at_ms));
  }
  return deadline;
}

ch_role ch_sequencer_role(ch_sequencer *sequencer) {
  return (ch_role){.self = sequencer, .next_op = next_op, .complete = complete, .tick = tick, .deadline_ms = deadline_ms};
}

/* ------------------------------------------------------------------------------------------------ life, ownership */

int ch_sequencer_new(const ch_env *env, const ch_sequencer_config *config, ch_sequencer **sequencer) {
  if (config->delivery_partitions == 0 || config->batch_count_max == 0 || config->retry_ms == 0) return CHAT_E_INVALID;
  *sequencer = ch_calloc(env->alloc, 1, sizeof **sequencer);
  if (!*sequencer) return CHAT_E_NOMEM;
  (*sequencer)->env = *env;
  (*sequencer)->config = *config;
  ch_list_init(&(*sequencer)->partitions);
  return 0;
}

/* Ops that are still outside must have come back. */
void ch_sequencer_free(ch_sequencer *sequencer) {
  if (!sequencer) return;
  for (chat_op *op; (op = ch_op_queue_pop(&sequencer->out));)
    drop(op->owner, op);
  while (!ch_list_is_empty(&sequencer->partitions)) {
    ch_partition *partition = partition_of_node(sequencer->partitions.next);
    drop_parked(partition);
    ch_assert(partition->outside_count == 0);
    forget(partition);
  }
  ch_free(sequencer->env.alloc, sequencer);
}

static ch_partition *find(const ch_sequencer *sequencer, uint32_t number) {
  CH_LIST_FOR_EACH(node, &sequencer->partitions) {
    ch_partition *partition = partition_of_node(node);
    if (partition->number == number && !partition->revoked) return partition;
  }
  return NULL;
}

static void configure_batch(ch_partition *partition) {
  const ch_sequencer *sequencer = partition->sequencer;
  ch_batch_config *config = &partition->batch_config;
  config->alloc = sequencer->env.alloc;
  config->partition = partition->number;
  config->delivery_partitions = sequencer->config.delivery_partitions;
  config->derives_heads = sequencer->config.store_derives_heads;
  sequencer->env.random(sequencer->env.random_arg, config->seed, sizeof config->seed);
}

int ch_sequencer_assign(ch_sequencer *sequencer, uint32_t number, ch_now now) {
  if (find(sequencer, number)) return CHAT_E_EXISTS;
  ch_partition *partition = ch_calloc(sequencer->env.alloc, 1, sizeof *partition);
  if (!partition) return CHAT_E_NOMEM;
  partition->sequencer = sequencer;
  partition->number = number;
  partition->reader.cut_after = UINT64_MAX;
  partition->retry = partition->reader.retry = ch_retry_of(sequencer->config.retry_ms);
  configure_batch(partition);
  ch_conversation_map_init(&partition->map, sequencer->env.alloc, sequencer->config.conversations_max, partition->batch_config.seed);
  ch_batch_init(&partition->batch, &partition->batch_config);
  ch_list_push_back(&sequencer->partitions, &partition->node);
  partition->state = CH_PARTITION_WORKING;
  partition->steps = ch_steps_opening;
  proceed(partition, now);
  return 0;
}

void ch_sequencer_revoke(ch_sequencer *sequencer, uint32_t number) {
  ch_partition *partition = find(sequencer, number);
  if (!partition) return;
  give_up(partition);
  partition->revoked = true;
  if (partition->outside_count == 0) forget(partition);
}

void ch_sequencer_stop(ch_sequencer *sequencer) {
  sequencer->is_stopping = true;
}

static bool has_work(const ch_partition *partition) {
  return partition->state == CH_PARTITION_WORKING || partition->state == CH_PARTITION_PAUSED || partition->pending_count > 0;
}

bool ch_sequencer_idle(const ch_sequencer *sequencer) {
  CH_LIST_FOR_EACH(node, &sequencer->partitions) {
    if (has_work(partition_of_node(node))) return false;
  }
  return true;
}

int ch_sequencer_fault(const ch_sequencer *sequencer, uint32_t number) {
  const ch_partition *partition = find(sequencer, number);
  return partition ? partition->fault : 0;
}

const ch_sequencer_stats *ch_sequencer_get_stats(const ch_sequencer *sequencer) {
  return &sequencer->stats;
}
