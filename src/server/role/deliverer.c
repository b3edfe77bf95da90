/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/deliverer.h"

#include <string.h>

#include "core/assert.h"
#include "server/role/deliverer_partition.h"

enum { CONSUMED_COUNT = 256, CONSUMED_MS = 1000 };
enum { LINKS_MAX = 256 }; /* LINK_SENDs under way: what is above is dropped, because a gateway that is slow holds up nobody (P8) */

static ch_delivery_partition *partition_of_node(ch_list *node) {
  return CH_LIST_ITEM(node, ch_delivery_partition, node);
}

/* ------------------------------------------------------------------------------------------------ ops out */

void *ch_delivery_op(ch_delivery_partition *partition, uint32_t kind, size_t len) {
  chat_op *op = ch_op_new(partition->deliverer->env.alloc, kind, len);
  if (op) op->owner = partition;
  return op;
}

static void put(ch_delivery_partition *partition, chat_op *op) {
  partition->outside_count++;
  ch_op_queue_push(&partition->deliverer->out, op);
}

void ch_delivery_put(ch_delivery_partition *partition, chat_op *op) {
  partition->pending_count++;
  put(partition, op);
}

static void put_link(ch_deliverer *deliverer, chat_link_send *op) {
  bool has_room = deliverer->links_count < LINKS_MAX;
  *(has_room ? &deliverer->stats.deliveries : &deliverer->stats.dropped) += op->count;
  if (has_room) {
    deliverer->links_count++;
    ch_op_queue_push(&deliverer->out, &op->op);
  } else {
    ch_op_free(&op->op);
  }
}

void ch_delivery_put_links(ch_deliverer *deliverer, ch_op_queue *links) {
  for (chat_op *op; (op = ch_op_queue_pop(links));)
    put_link(deliverer, (chat_link_send *)(void *)op);
}

static void went_well(const ch_delivery_partition *partition, ch_retry *retry) {
  if (!ch_retry_is_waiting(retry)) retry->wait_ms = partition->deliverer->config.retry_ms;
}

/* ------------------------------------------------------------------------------------------------ consumed */

/* A hint for the log and for the next owner: if it is lost, the next one says more. */
static void say_consumed(ch_delivery_partition *partition) {
  chat_log_consumed *op = ch_op_new(partition->deliverer->env.alloc, CHAT_OP_LOG_CONSUMED, sizeof *op);
  if (!op) return;
  op->topic = CHAT_TOPIC_DELIVERIES;
  op->partition = partition->number;
  op->position = partition->done;
  ch_op_queue_push(&partition->deliverer->out, &op->op);
  partition->said = partition->done;
  partition->unsaid_count = 0;
}

static void say_when_due(ch_delivery_partition *partition, ch_now now) {
  if (partition->done == partition->said) return;
  bool is_due = partition->unsaid_count >= CONSUMED_COUNT || now.elapsed_ms >= partition->say_at_ms || partition->deliverer->is_stopping;
  if (is_due) say_consumed(partition);
}

static void finish_record(ch_delivery_partition *partition, uint64_t position, ch_now now) {
  if (partition->done == partition->said) partition->say_at_ms = now.elapsed_ms + CONSUMED_MS;
  partition->done = position;
  partition->unsaid_count++;
  partition->deliverer->stats.records++;
  partition->deliverer->stats.position = position;
}

/* ------------------------------------------------------------------------------------------------ the work */

static void end(ch_delivery_partition *partition, int fault) {
  partition->has_ended = true;
  partition->fault = fault;
  partition->retry.at_ms = partition->reader.retry.at_ms = partition->debt.retry.at_ms = CH_NEVER_MS;
}

/* The next records, from those at work or behind them. */
static const chat_log_record *next_record(ch_delivery_partition *partition) {
  if (partition->batch && partition->batch_next == partition->batch->count) {
    ch_op_free(&partition->batch->op);
    partition->batch = NULL;
  }
  if (!partition->batch) {
    partition->batch = partition->reader.next;
    partition->reader.next = NULL;
    partition->batch_next = 0;
    memcpy(partition->batch_identity, partition->reader.identity, sizeof partition->batch_identity);
  }
  return partition->batch ? &partition->batch->records[partition->batch_next] : NULL;
}

/* A record that is none stops nobody: sync finds what was in it. */
static void open_record(ch_delivery_partition *partition, const chat_log_record *in, ch_now now) {
  int error = ch_delivery_record_open(&partition->record, in);
  if (error == CHAT_E_NOMEM) {
    ch_retry_schedule(&partition->retry, now);
    return;
  }
  partition->batch_next++;
  partition->is_working = !error;
  partition->step = 0;
  if (error) {
    partition->deliverer->stats.undecodable++;
    finish_record(partition, in->position, now);
  }
}

static void close_record(ch_delivery_partition *partition, ch_now now) {
  uint64_t position = partition->record.own;
  ch_delivery_record_close(&partition->record);
  partition->is_working = false;
  finish_record(partition, position, now);
}

static void run_step(ch_delivery_partition *partition, ch_now now) {
  ch_delivery_step step = ch_delivery_step_at(partition->step);
  if (!step) close_record(partition, now);
  else if (step(partition)) ch_retry_schedule(&partition->retry, now);
  else if (partition->pending_count == 0) partition->step++;
}

/* false: there is nothing to do. */
static bool advance(ch_delivery_partition *partition, ch_now now) {
  if (partition->is_working) {
    run_step(partition, now);
    return true;
  }
  const chat_log_record *in = partition->deliverer->is_stopping ? NULL : next_record(partition);
  if (in) open_record(partition, in, now);
  return in != NULL;
}

/* The next records are read while those before them are still at work. */
static void read_on(ch_delivery_partition *partition, ch_now now) {
  ch_delivery_reader *reader = &partition->reader;
  if (reader->is_outside || reader->next || ch_retry_is_waiting(&reader->retry) || partition->deliverer->is_stopping) return;
  chat_op *op = ch_delivery_reader_ask(partition);
  if (!op) {
    ch_retry_schedule(&reader->retry, now);
    return;
  }
  reader->is_outside = true;
  put(partition, op);
}

static void pay_debt(ch_delivery_partition *partition, ch_now now) {
  chat_op *op = partition->deliverer->is_stopping ? NULL : ch_delivery_debt_ask(partition, now);
  if (op) put(partition, op);
}

/* As far as it goes without an op's coming back. */
static void proceed(ch_delivery_partition *partition, ch_now now) {
  if (partition->has_ended) return;
  pay_debt(partition, now);
  while (partition->pending_count == 0 && !ch_retry_is_waiting(&partition->retry) && advance(partition, now))
    ;
  say_when_due(partition, now);
  read_on(partition, now);
}

/* ------------------------------------------------------------------------------------------------ ops back */

/* Whatever the embedder says that is not 0 is said once more later. */
static bool is_passing(const chat_op *op) {
  return ch_status_is_passing(op->status) || op->kind == CH_OP_AFTER_STORE;
}

static void fail(ch_delivery_partition *partition, int status, bool again, ch_retry *retry, ch_now now) {
  if (again) ch_retry_schedule(retry, now);
  else end(partition, ch_status_fault(status));
}

static void reading_failed(ch_delivery_partition *partition, const chat_op *op, ch_now now) {
  bool again = ch_status_is_passing(op->status);
  if (again) ch_delivery_reader_failed(&partition->reader);
  fail(partition, op->status, again, &partition->reader.retry, now);
}

/* A cut log is asked what is left, but not at once: it might say GONE for ever. */
static void back_to_reader(ch_delivery_partition *partition, chat_op *op, ch_now now) {
  bool is_cut = op->status == CHAT_E_GONE && op->kind == CHAT_OP_LOG_READ;
  bool kept = false;
  if (op->status && !is_cut) {
    reading_failed(partition, op, now);
  } else {
    if (is_cut) ch_retry_schedule(&partition->reader.retry, now);
    int fault = ch_delivery_reader_took(partition, op, &kept);
    if (fault) end(partition, fault);
    went_well(partition, &partition->reader.retry);
  }
  if (!kept) ch_op_free(op);
}

static void back_to_work(ch_delivery_partition *partition, chat_op *op, ch_now now) {
  bool again = is_passing(op);
  int status = ch_delivery_took(partition, op, now);
  if (status) fail(partition, status, again, &partition->retry, now);
  else if (partition->pending_count == 0) went_well(partition, &partition->retry);
}

static bool is_of_reader(const chat_op *op) {
  return op->kind == CHAT_OP_LOG_INFO || op->kind == CHAT_OP_STORE_POSITION || op->kind == CHAT_OP_LOG_READ;
}

static void leave(ch_delivery_partition *partition, const chat_op *op) {
  partition->outside_count--;
  if (is_of_reader(op)) partition->reader.is_outside = false;
  else if (ch_is_of_debt(op)) partition->debt.is_outside = false;
  else partition->pending_count--;
}

static void forget(ch_delivery_partition *partition) {
  ch_list_remove(&partition->node);
  if (partition->reader.next) ch_op_free(&partition->reader.next->op);
  ch_delivery_record_fini(&partition->record);
  ch_delivery_debt_fini(&partition->debt);
  if (partition->batch) ch_op_free(&partition->batch->op);
  ch_free(partition->deliverer->env.alloc, partition);
}

static void drop(ch_delivery_partition *partition, chat_op *op) {
  leave(partition, op);
  ch_op_free(op);
  if (partition->revoked && partition->outside_count == 0) forget(partition);
}

/* Nobody waits for it; what the link did not take, sync heals. */
static void settle_unowned(ch_deliverer *deliverer, chat_op *op) {
  if (op->kind == CHAT_OP_LINK_SEND) {
    deliverer->links_count--;
    if (op->status) deliverer->stats.dropped += ((chat_link_send *)(void *)op)->count;
  }
  ch_op_free(op);
}

static void back(ch_delivery_partition *partition, chat_op *op, ch_now now) {
  leave(partition, op);
  if (op->status == CHAT_E_CANCELED) { /* the port is being freed */
    ch_op_free(op);
    end(partition, 0);
  } else if (is_of_reader(op)) {
    back_to_reader(partition, op, now);
  } else if (ch_is_of_debt(op)) {
    ch_delivery_debt_took(partition, (chat_directory_raise *)(void *)op, now);
  } else {
    back_to_work(partition, op, now);
  }
  proceed(partition, now);
}

static void complete(void *self, chat_op *op, ch_now now) {
  ch_delivery_partition *partition = op->owner;
  if (!partition) settle_unowned(self, op);
  else if (partition->revoked || partition->has_ended) drop(partition, op);
  else back(partition, op, now);
}

static chat_op *next_op(void *self) {
  ch_deliverer *deliverer = self;
  chat_op *op;
  while ((op = ch_op_queue_pop(&deliverer->out))) {
    ch_delivery_partition *partition = op->owner;
    if (!partition || !partition->revoked) return op;
    drop(partition, op);
  }
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ time */

static void tick(void *self, ch_now now) {
  ch_deliverer *deliverer = self;
  CH_LIST_FOR_EACH(node, &deliverer->partitions) {
    ch_delivery_partition *partition = partition_of_node(node);
    if (partition->revoked) continue;
    ch_retry_take_due(&partition->retry, now);
    ch_retry_take_due(&partition->reader.retry, now);
    ch_retry_take_due(&partition->debt.retry, now);
    proceed(partition, now);
  }
}

static uint64_t earlier(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static uint64_t partition_deadline_ms(const ch_delivery_partition *partition) {
  if (partition->revoked || partition->has_ended) return CH_NEVER_MS;
  uint64_t say_at_ms = partition->done == partition->said ? CH_NEVER_MS : partition->say_at_ms;
  return earlier(earlier(say_at_ms, partition->debt.retry.at_ms), earlier(partition->retry.at_ms, partition->reader.retry.at_ms));
}

static uint64_t deadline_ms(const void *self) {
  const ch_deliverer *deliverer = self;
  uint64_t deadline = CH_NEVER_MS;
  CH_LIST_FOR_EACH(node, &deliverer->partitions) {
    deadline = earlier(deadline, partition_deadline_ms(partition_of_node(node)));
  }
  return deadline;
}

ch_role ch_deliverer_role(ch_deliverer *deliverer) {
  return (ch_role){.self = deliverer, .next_op = next_op, .complete = complete, .tick = tick, .deadline_ms = deadline_ms};
}

/* ------------------------------------------------------------------------------------------------ life, ownership */

int ch_deliverer_new(const ch_env *env, const ch_deliverer_config *config, ch_deliverer **deliverer) {
  if (config->records_max == 0 || config->records_max > 4096 || config->retry_ms == 0) return CHAT_E_INVALID;
  *deliverer = ch_calloc(env->alloc, 1, sizeof **deliverer);
  if (!*deliverer) return CHAT_E_NOMEM;
  (*deliverer)->env = *env;
  (*deliverer)->config = *config;
  ch_list_init(&(*deliverer)->partitions);
  return 0;
}

/* Ops that are still outside must have come back. */
void ch_deliverer_free(ch_deliverer *deliverer) {
  if (!deliverer) return;
  CH_LIST_FOR_EACH(node, &deliverer->partitions) partition_of_node(node)->revoked = false;
  for (chat_op *op; (op = ch_op_queue_pop(&deliverer->out));) {
    if (op->owner) drop(op->owner, op);
    else settle_unowned(deliverer, op);
  }
  ch_assert(deliverer->links_count == 0);
  while (!ch_list_is_empty(&deliverer->partitions)) {
    ch_assert(partition_of_node(deliverer->partitions.next)->outside_count == 0);
    forget(partition_of_node(deliverer->partitions.next));
  }
  ch_free(deliverer->env.alloc, deliverer);
}

static ch_delivery_partition *find(const ch_deliverer *deliverer, uint32_t number) {
  CH_LIST_FOR_EACH(node, &deliverer->partitions) {
    ch_delivery_partition *partition = partition_of_node(node);
    if (partition->number == number && !partition->revoked) return partition;
  }
  return NULL;
}

int ch_deliverer_assign(ch_deliverer *deliverer, uint32_t number, ch_now now) {
  if (find(deliverer, number)) return CHAT_E_EXISTS;
  ch_delivery_partition *partition = ch_calloc(deliverer->env.alloc, 1, sizeof *partition);
  if (!partition) return CHAT_E_NOMEM;
  partition->deliverer = deliverer;
  partition->number = number;
  partition->retry = partition->reader.retry = ch_retry_of(deliverer->config.retry_ms);
  partition->reader.state = deliverer->config.store_derives_heads ? CH_READER_INFO : CH_READER_POSITION;
  ch_delivery_record_init(&partition->record, &deliverer->env);
  ch_delivery_debt_init(&partition->debt, &deliverer->env, deliverer->config.retry_ms);
  ch_list_push_back(&deliverer->partitions, &partition->node);
  proceed(partition, now);
  return 0;
}

void ch_deliverer_revoke(ch_deliverer *deliverer, uint32_t number) {
  ch_delivery_partition *partition = find(deliverer, number);
  if (!partition) return;
  partition->revoked = true;
  if (partition->outside_count == 0) forget(partition);
}

/* Records at work are brought to their end; what is done is said at once. */
void ch_deliverer_stop(ch_deliverer *deliverer) {
  deliverer->is_stopping = true;
  CH_LIST_FOR_EACH(node, &deliverer->partitions) {
    ch_delivery_partition *partition = partition_of_node(node);
    if (!partition->revoked && partition->done != partition->said) say_consumed(partition);
  }
}

bool ch_deliverer_idle(const ch_deliverer *deliverer) {
  CH_LIST_FOR_EACH(node, &deliverer->partitions) {
    const ch_delivery_partition *partition = partition_of_node(node);
    if (partition->pending_count > 0 || (partition->is_working && !partition->has_ended)) return false;
  }
  return true;
}

int ch_deliverer_fault(const ch_deliverer *deliverer, uint32_t number) {
  const ch_delivery_partition *partition = find(deliverer, number);
  return partition ? partition->fault : 0;
}

const ch_deliverer_stats *ch_deliverer_get_stats(const ch_deliverer *deliverer) {
  return &deliverer->stats;
}
