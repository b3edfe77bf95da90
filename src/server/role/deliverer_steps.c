/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a record, in the order of rule V1: heads, positions, live events; then the embedder's hook. */
#include <string.h>

#include "core/assert.h"
#include "core/rule.h"
#include "server/role/deliverer_partition.h"

/* ------------------------------------------------------------------------------------------------ heads */

static size_t count_heads(const ch_tasks *tasks) {
  size_t count = 0;
  for (size_t i = 0; i < tasks->count; i++) {
    if (ch_task_is_for_users(&tasks->tasks[i]) && tasks->tasks[i].has_head) count += tasks->tasks[i].user_count;
  }
  return count;
}

static void add_heads(chat_store_write_heads *op, const ch_task *task, uint64_t position) {
  if (!ch_task_is_for_users(task) || !task->has_head) return;
  for (size_t i = 0; i < task->user_count; i++) {
    chat_user_head *head = &op->heads[op->count++];
    *head = (chat_user_head){.user = task->users[i], .head = task->head};
    head->head.position = position;
  }
}

static int write_heads(ch_delivery_partition *partition) {
  const ch_delivery_record *record = &partition->record;
  size_t count = partition->deliverer->config.store_derives_heads ? 0 : count_heads(&record->tasks);
  if (record->written || count == 0) return 0;
  chat_store_write_heads *op = ch_delivery_op(partition, CHAT_OP_STORE_WRITE_HEADS, sizeof *op);
  if (!op) return CHAT_E_NOMEM;
  op->heads = chat_op_alloc(&op->op, count * sizeof *op->heads);
  if (!op->heads) {
    ch_op_free(&op->op);
    return CHAT_E_NOMEM;
  }
  op->partition = partition->number;
  op->position = record->own;
  memcpy(op->log_identity, partition->batch_identity, sizeof op->log_identity);
  for (size_t i = 0; i < record->tasks.count; i++)
    add_heads(op, &record->tasks.tasks[i], record->own);
  ch_delivery_put(partition, &op->op);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ the directory */

static chat_raise *users_of(chat_op *op, const ch_recipients *recipients) {
  chat_raise *raises = chat_op_alloc(op, recipients->count * sizeof *raises);
  if (!raises) return NULL;
  for (const ch_recipient *at = recipients->first; at; at = at->next)
    raises[at->index] = (chat_raise){.user = at->user};
  return raises;
}

static int put_with(ch_delivery_partition *partition, chat_op *op, const void *users) {
  if (users) ch_delivery_put(partition, op);
  else ch_op_free(op);
  return users ? 0 : CHAT_E_NOMEM;
}

static int raise_all(ch_delivery_partition *partition) {
  const ch_delivery_record *record = &partition->record;
  if (record->raise || record->raised.count == 0) return 0;
  chat_directory_raise *op = ch_delivery_op(partition, CHAT_OP_DIRECTORY_RAISE, sizeof *op);
  if (!op) return CHAT_E_NOMEM;
  op->position = record->position;
  op->raises = users_of(&op->op, &record->raised);
  op->count = record->raised.count;
  return put_with(partition, &op->op, op->raises);
}

static int find_routes(ch_delivery_partition *partition) {
  const ch_delivery_record *record = &partition->record;
  if (record->routes || record->routed.count == 0) return 0;
  chat_directory_routes *op = ch_delivery_op(partition, CHAT_OP_DIRECTORY_ROUTES, sizeof *op);
  if (!op) return CHAT_E_NOMEM;
  op->raises = users_of(&op->op, &record->routed);
  op->count = record->routed.count;
  return put_with(partition, &op->op, op->raises);
}

static int find_subscribers_of(ch_delivery_partition *partition, size_t task) {
  chat_directory_subscribers *op = ch_delivery_op(partition, CHAT_OP_DIRECTORY_SUBSCRIBERS, sizeof *op);
  if (!op) return CHAT_E_NOMEM;
  op->op.tag = task;
  memcpy(op->conversation_id, partition->record.tasks.tasks[task].u.event.conversation_id, sizeof op->conversation_id);
  ch_delivery_put(partition, &op->op);
  return 0;
}

static int find_subscribers(ch_delivery_partition *partition) {
  const ch_delivery_record *record = &partition->record;
  int error = 0;
  for (size_t i = 0; i < record->tasks.count && !error; i++) {
    bool is_asked = ch_task_is_for_channel(&record->tasks.tasks[i]) && ch_delivery_record_channel(record, i) == i;
    if (is_asked && !record->subscribers[i]) error = find_subscribers_of(partition, i);
  }
  return error;
}

/* Once. A directory that is down is not asked: it would hold up the heads of later records. */
static int ask_directory(ch_delivery_partition *partition) {
  ch_delivery_record *record = &partition->record;
  if (record->is_asked || partition->debt.is_down) return 0;
  int error = raise_all(partition);
  if (!error) error = find_routes(partition);
  if (!error) error = find_subscribers(partition);
  record->is_asked = !error;
  return error;
}

/* ------------------------------------------------------------------------------------------------ links, hook */

static int send_all(ch_delivery_partition *partition) {
  ch_op_queue links = {0};
  ch_delivery_record_send(&partition->record, &links, &partition->deliverer->stats.dropped);
  ch_delivery_put_links(partition->deliverer, &links);
  return 0;
}

static int tell_one(ch_delivery_partition *partition, size_t task) {
  ch_op_after_store *op = ch_delivery_op(partition, CH_OP_AFTER_STORE, sizeof *op);
  if (!op) return CHAT_E_NOMEM;
  const ch_task *of = &partition->record.tasks.tasks[task];
  op->op.tag = task;
  op->row = of->u.event;
  op->user_count = of->user_count;
  if (of->user_count > 0) op->users = chat_op_alloc(&op->op, of->user_count * sizeof *op->users);
  if (op->users) memcpy(op->users, of->users, of->user_count * sizeof *op->users);
  return put_with(partition, &op->op, of->user_count > 0 ? (void *)op->users : (void *)op);
}

static int tell_stored(ch_delivery_partition *partition) {
  const ch_delivery_record *record = &partition->record;
  if (!partition->deliverer->config.has_after_store) return 0;
  int error = 0;
  for (size_t i = 0; i < record->tasks.count && !error; i++) {
    if (record->tasks.tasks[i].kind == CH_TASK_EVENT && !record->told[i]) error = tell_one(partition, i);
  }
  return error;
}

static const ch_delivery_step steps[] = {write_heads, ask_directory, ch_delivery_owe, send_all, tell_stored, NULL};
static const ch_delivery_step steps_without_v1[] = {ask_directory, ch_delivery_owe, send_all, write_heads, tell_stored, NULL};

ch_delivery_step ch_delivery_step_at(size_t step) {
  return CH_RULE(V1) ? steps[step] : steps_without_v1[step];
}

/* ------------------------------------------------------------------------------------------------ answers */

static bool is_for_directory(const chat_op *op) {
  return op->kind == CHAT_OP_DIRECTORY_RAISE || op->kind == CHAT_OP_DIRECTORY_ROUTES || op->kind == CHAT_OP_DIRECTORY_SUBSCRIBERS;
}

/* Who was not raised is owed it (ch_delivery_owe), and tried again after a while. */
static void took_raise(ch_delivery_partition *partition, chat_directory_raise *op, ch_now now) {
  size_t failed = ch_delivery_count_failed(op);
  ch_delivery_settle(&partition->debt, op);
  partition->record.raise = op;
  partition->deliverer->stats.raises += op->count - failed;
  if (failed) ch_retry_schedule(&partition->debt.retry, now);
}

static void took_answer(ch_delivery_partition *partition, chat_op *op, ch_now now) {
  ch_delivery_record *record = &partition->record;
  switch (op->kind) {
  case CHAT_OP_STORE_WRITE_HEADS: record->written = true; break;
  case CH_OP_AFTER_STORE: record->told[op->tag] = true; break;
  case CHAT_OP_DIRECTORY_RAISE: took_raise(partition, (chat_directory_raise *)(void *)op, now); break;
  case CHAT_OP_DIRECTORY_ROUTES: record->routes = (chat_directory_routes *)(void *)op; break;
  case CHAT_OP_DIRECTORY_SUBSCRIBERS: record->subscribers[op->tag] = (chat_directory_subscribers *)(void *)op; break;
  default: ch_assert(!"an op of a step");
  }
}

int ch_delivery_took(ch_delivery_partition *partition, chat_op *op, ch_now now) {
  int status = op->status;
  bool of_directory = is_for_directory(op);
  if (!status) took_answer(partition, op, now);
  if (status || !of_directory) ch_op_free(op);
  if (!of_directory) return status;
  if (status) ch_delivery_directory_failed(&partition->debt, now);
  return 0;
}
