/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/sequencer.h"

#include <string.h>

#include "core/assert.h"
#include "server/role/sequencer_partition.h"

enum { READ_WAIT_MS = 10000, BACKOFF_MAX_MS = 5000 };

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

static bool is_waited_for(const chat_op *op) {
  return op->kind != CHAT_OP_LOG_READ && op->kind != CHAT_OP_LOG_CONSUMED;
}

static void schedule(ch_partition *partition, ch_now now) {
  if (partition->retry_at_ms != CH_NEVER_MS) return;
  partition->retry_at_ms = now.elapsed_ms + partition->backoff_ms;
  partition->backoff_ms = partition->backoff_ms < BACKOFF_MAX_MS / 2 ? partition->backoff_ms * 2 : BACKOFF_MAX_MS;
  partition->sequencer->stats.retries++;
}

/* The next records are read while the batch before them is still under way, but not folded before its state is acknowledged. */
static void read_on(ch_partition *partition, ch_now now) {
  if (partition->is_reading || partition->next || partition->sequencer->is_stopping) return;
  chat_log_read *op = ch_partition_op(partition, CHAT_OP_LOG_READ, sizeof *op);
  if (!op) {
    schedule(partition, now);
    return;
  }
  const ch_sequencer_config *config = &partition->sequencer->config;
  op->topic = CHAT_TOPIC_MESSAGES;
  op->partition = partition->number;
  op->after = partition->read_position;
  op->wait_ms = READ_WAIT_MS;
  op->count_max = config->batch_count_max;
  op->bytes_max = config->batch_bytes_max;
  partition->is_reading = true;
  ch_partition_put(partition, &op->op, false);
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

static void drop(ch_partition *partition, chat_op *op) {
  partition->outside_count--;
  partition->pending_count -= is_waited_for(op);
  if (op->kind == CHAT_OP_LOG_READ) partition->is_reading = false;
  ch_op_free(op);
}

/* Parked ops are given up: all of them, or those of the present step. */
static void drop_parked(ch_partition *partition, bool reads_too) {
  ch_op_queue kept = {0};
  for (chat_op *op; (op = ch_op_queue_pop(&partition->parked));) {
    if (is_waited_for(op) || reads_too) drop(partition, op);
    else ch_op_queue_push(&kept, op);
  }
  partition->parked = kept;
}

static void end(ch_partition *partition, int fault) {
  if (partition->state == CH_PARTITION_ENDED) return;
  enter(partition, CH_PARTITION_ENDED);
  partition->fault = fault;
  partition->retry_at_ms = CH_NEVER_MS;
  drop_parked(partition, true);
}

/* The steps cannot go on: memory is out, or S3 said so. What is outside still borrows from the batch, so nothing goes before it is back. */
static void pause(ch_partition *partition, int error, ch_now now) {
  if (partition->state != CH_PARTITION_PAUSED) enter(partition, CH_PARTITION_PAUSED);
  partition->forget_all |= error == CHAT_E_NOMEM;
  drop_parked(partition, false);
  schedule(partition, now);
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
  chat_log_read *read = partition->next;
  partition->next = NULL;
  work(partition, partition->batch_config.derives_heads ? ch_steps_derived : ch_steps_apart);
  int error = ch_batch_open(&partition->batch, read, &partition->map);
  if (error) interrupt(partition, error, now);
}

void ch_partition_rest(ch_partition *partition) {
  enter(partition, CH_PARTITION_WAITING);
}

/* As far as it goes without an op's coming back. */
static void proceed(ch_partition *partition, ch_now now) {
  for (;;) {
    if (partition->state == CH_PARTITION_WAITING && partition->next && !partition->sequencer->is_stopping) begin_batch(partition, now);
    if (partition->state != CH_PARTITION_WORKING || partition->pending_count > 0) break;
    int error = partition->steps[partition->step++](partition);
    if (error) interrupt(partition, error, now);
  }
  bool is_open = partition->steps != ch_steps_opening || partition->state == CH_PARTITION_WAITING;
  if (is_open && partition->state != CH_PARTITION_ENDED) read_on(partition, now);
}

/* From the store again. */
static void resume(ch_partition *partition, ch_now now) {
  if (partition->state != CH_PARTITION_PAUSED || partition->pending_count > 0 || partition->retry_at_ms != CH_NEVER_MS) return;
  chat_log_read *read = partition->batch.read ? ch_batch_reset(&partition->batch) : NULL;
  if (partition->forget_all) ch_conversation_map_clear(&partition->map);
  partition->forget_all = false;
  work(partition, partition->steps);
  int error = read ? ch_batch_open(&partition->batch, read, &partition->map) : 0;
  if (error) interrupt(partition, error, now);
}

/* ------------------------------------------------------------------------------------------------ ops back */

static bool is_worth_another_try(int status) {
  switch (status) {
  case CHAT_E_AGAIN:
  case CHAT_E_UNKNOWN:
  case CHAT_E_FULL:
  case CHAT_E_IO:
  case CHAT_E_NOMEM:
  case CHAT_E_BUSY:
  case CHAT_E_TIMEOUT: return true;
  default: return false;
  }
}

/* Of an APPEND that failed, the records that have a position are in the log. */
static size_t keep_unwritten(chat_log_append *op) {
  size_t kept = 0;
  for (size_t i = 0; i < op->count; i++) {
    if (op->records[i].position == 0) op->records[kept++] = op->records[i];
  }
  return op->count = kept;
}

/* Is there anything of it to be done again? */
static bool has_left(chat_op *op) {
  return op->kind != CHAT_OP_LOG_APPEND || keep_unwritten((chat_log_append *)(void *)op) > 0;
}

static void park(ch_partition *partition, chat_op *op, ch_now now) {
  if (op->kind == CHAT_OP_STORE_STATE) ((chat_store_state *)(void *)op)->state = (chat_state){0};
  if (op->kind == CHAT_OP_LOG_READ) ((chat_log_read *)(void *)op)->count = 0;
  op->status = 0;
  ch_op_queue_push(&partition->parked, op);
  schedule(partition, now);
}

/* A READ that brought records is kept; true: not to be freed. */
static bool took_read(ch_partition *partition, chat_log_read *op) {
  if (op->count == 0 || partition->sequencer->is_stopping) return false;
  ch_assert(!partition->next && op->records[0].position > partition->read_position);
  partition->next = op;
  partition->read_position = op->records[op->count - 1].position;
  return true;
}

static int took(ch_partition *partition, chat_op *op) {
  switch (op->kind) {
  case CHAT_OP_LOG_INFO: partition->log_end = ((chat_log_info *)(void *)op)->end; return 0;
  case CHAT_OP_STORE_POSITION: partition->position = ((chat_store_position *)(void *)op)->position; return 0;
  case CHAT_OP_STORE_STATE: return ch_partition_took_state(partition, (chat_store_state *)(void *)op);
  default: return 0;
  }
}

static int fault_of(int status) {
  if (status == CHAT_E_CANCELED) return 0; /* the port is being freed */
  return status == CHAT_E_GONE || status == CHAT_E_CORRUPT ? status : CHAT_E_INTERNAL;
}

static void settle_read(ch_partition *partition, chat_log_read *op) {
  partition->outside_count--;
  partition->is_reading = false;
  if (!took_read(partition, op)) ch_op_free(&op->op);
}

static void settle(ch_partition *partition, chat_op *op, ch_now now) {
  int error = partition->state == CH_PARTITION_WORKING ? took(partition, op) : 0;
  drop(partition, op);
  if (error) interrupt(partition, error, now);
  else if (partition->pending_count == 0 && partition->parked.count == 0) partition->backoff_ms = partition->sequencer->config.retry_ms;
}

static void back(ch_partition *partition, chat_op *op, ch_now now) {
  bool is_lost = op->kind == CHAT_OP_LOG_CONSUMED || (is_waited_for(op) && partition->state != CH_PARTITION_WORKING);
  if (is_lost || partition->state == CH_PARTITION_ENDED) {
    drop(partition, op);
  } else if (is_worth_another_try(op->status) && has_left(op)) {
    park(partition, op, now);
  } else if (op->status && !is_worth_another_try(op->status)) {
    int fault = fault_of(op->status);
    drop(partition, op);
    end(partition, fault);
  } else if (op->kind == CHAT_OP_LOG_READ) {
    settle_read(partition, (chat_log_read *)(void *)op);
  } else {
    settle(partition, op, now);
  }
}

static void forget(ch_partition *partition) {
  ch_list_remove(&partition->node);
  if (partition->next) ch_op_free(&partition->next->op);
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
  partition->retry_at_ms = CH_NEVER_MS;
  for (chat_op *op; (op = ch_op_queue_pop(&partition->parked));)
    ch_op_queue_push(&partition->sequencer->out, op);
  resume(partition, now);
  proceed(partition, now);
}

static void tick(void *self, ch_now now) {
  ch_sequencer *sequencer = self;
  CH_LIST_FOR_EACH(node, &sequencer->partitions) {
    if (partition_of_node(node)->retry_at_ms <= now.elapsed_ms) try_again(partition_of_node(node), now);
  }
}

static uint64_t deadline_ms(const void *self) {
  const ch_sequencer *sequencer = self;
  uint64_t deadline = CH_NEVER_MS;
  CH_LIST_FOR_EACH(node, &sequencer->partitions) {
    uint64_t at = partition_of_node(node)->retry_at_ms;
    if (at < deadline) deadline = at;
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
    drop_parked(partition, true);
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
  partition->backoff_ms = sequencer->config.retry_ms;
  partition->retry_at_ms = CH_NEVER_MS;
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
  drop_parked(partition, true);
  partition->retry_at_ms = CH_NEVER_MS;
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
