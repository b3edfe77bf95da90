/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom the directory could not be told about (rule V1: after a raise that was not answered the previous value counts as none for that user until one is, and the highest
 * is raised again). One position does for all of them: heads up to it are written, and a user that is raised above the own last task merely syncs once in vain.
 */
#include "core/assert.h"
#include "core/rule.h"
#include "server/role/deliverer_partition.h"

enum { OWED_MAX = 65536, RAISE_MAX = 4096, OF_DEBT = 1 };

void ch_delivery_debt_init(ch_delivery_debt *debt, const ch_env *env, uint32_t retry_ms) {
  ch_delivery_record_init(&debt->told, env);
  ch_hashmap_init(&debt->users, env->alloc, debt->told.seed);
  debt->retry = ch_retry_of(retry_ms);
}

void ch_delivery_debt_fini(ch_delivery_debt *debt) {
  ch_hashmap_fini(&debt->users);
  ch_delivery_record_fini(&debt->told);
}

void ch_delivery_directory_failed(ch_delivery_debt *debt, ch_now now) {
  debt->is_down = true;
  ch_retry_schedule(&debt->retry, now);
}

static bool is_raised(const ch_delivery_record *record, const ch_recipient *recipient) {
  return record->raise && record->raise->raises[recipient->index].status == 0;
}

static size_t count_not_raised(const ch_delivery_record *record) {
  size_t count = 0;
  for (const ch_recipient *at = record->raised.first; at; at = at->next)
    count += !is_raised(record, at);
  return count;
}

int ch_delivery_owe(ch_delivery_partition *partition) {
  ch_delivery_debt *debt = &partition->debt;
  const ch_delivery_record *record = &partition->record;
  size_t count = count_not_raised(record);
  if (count == 0) return 0;
  if (debt->users.count + count > OWED_MAX) return CHAT_E_FULL;
  if (debt->users.count == 0 || record->position > debt->position) debt->position = record->position;
  for (const ch_recipient *at = record->raised.first; at; at = at->next) {
    if (!is_raised(record, at) && ch_hashmap_insert(&debt->users, at->user, debt) == CHAT_E_NOMEM) return CHAT_E_NOMEM;
  }
  return 0;
}

void ch_delivery_settle(ch_delivery_debt *debt, chat_directory_raise *raise) {
  for (size_t i = 0; i < raise->count && debt->users.count > 0; i++) {
    chat_raise *raised = &raise->raises[i];
    if (CH_RULE(V1) && !raised->status && ch_hashmap_remove(&debt->users, raised->user)) raised->previous = 0;
  }
}

/* ------------------------------------------------------------------------------------------------ raising it again */

static const ch_hashmap_entry *entry_at(const ch_hashmap *users, size_t place) {
  const ch_hashmap_entry *entry = ch_hashmap_first(users);
  for (; place > 0; place--)
    entry = ch_hashmap_next(users, entry);
  return entry;
}

/* From debt.next on, around: those whose part of the directory stays away do not keep the others back. */
static int fill(chat_directory_raise *op, ch_delivery_debt *debt) {
  const ch_hashmap *users = &debt->users;
  size_t count = users->count < RAISE_MAX ? users->count : RAISE_MAX;
  op->raises = chat_op_alloc(&op->op, count * sizeof *op->raises);
  if (!op->raises) return CHAT_E_NOMEM;
  debt->next %= users->count;
  for (const ch_hashmap_entry *entry = entry_at(users, debt->next); op->count < count; entry = ch_hashmap_next(users, entry)) {
    if (!entry) entry = ch_hashmap_first(users);
    chat_bytes user = chat_op_copy(&op->op, ch_hashmap_key(entry)); /* it may be settled meanwhile */
    if (!user.data) return CHAT_E_NOMEM;
    op->raises[op->count++] = (chat_raise){.user = user};
  }
  return 0;
}

static chat_op *new_raise(ch_delivery_partition *partition) {
  chat_directory_raise *op = ch_delivery_op(partition, CHAT_OP_DIRECTORY_RAISE, sizeof *op);
  if (!op) return NULL;
  op->op.tag = OF_DEBT;
  op->position = partition->debt.position;
  if (!fill(op, &partition->debt)) return &op->op;
  ch_op_free(&op->op);
  return NULL;
}

bool ch_is_of_debt(const chat_op *op) {
  return op->kind == CHAT_OP_DIRECTORY_RAISE && op->tag == OF_DEBT;
}

chat_op *ch_delivery_debt_ask(ch_delivery_partition *partition, ch_now now) {
  ch_delivery_debt *debt = &partition->debt;
  if (debt->is_outside || ch_retry_is_waiting(&debt->retry)) return NULL;
  if (debt->users.count == 0) {
    debt->is_down = false; /* there is nothing to try it with but the next record */
    return NULL;
  }
  chat_op *op = new_raise(partition);
  if (op) debt->is_outside = true;
  else ch_retry_schedule(&debt->retry, now);
  return op;
}

/* What was there before is unknown, so their clients sync (V2). Takes the op. */
static void tell_to_sync(ch_delivery_partition *partition, chat_directory_raise *op) {
  ch_deliverer *deliverer = partition->deliverer;
  ch_op_queue links = {0};
  size_t count = op->count;
  for (size_t i = 0; i < count; i++)
    op->raises[i].previous = 0;
  if (ch_delivery_record_open_raise(&partition->debt.told, op)) {
    deliverer->stats.dropped += count;
    return;
  }
  ch_delivery_record_send(&partition->debt.told, &links, &deliverer->stats.dropped);
  ch_delivery_record_close(&partition->debt.told);
  ch_delivery_put_links(deliverer, &links);
}

size_t ch_delivery_count_failed(const chat_directory_raise *op) {
  size_t count = 0;
  for (size_t i = 0; i < op->count; i++)
    count += op->raises[i].status != 0;
  return count;
}

void ch_delivery_debt_took(ch_delivery_partition *partition, chat_directory_raise *op, ch_now now) {
  ch_delivery_debt *debt = &partition->debt;
  if (op->op.status) {
    ch_delivery_directory_failed(debt, now);
    ch_op_free(&op->op);
    return;
  }
  debt->is_down = false;
  size_t failed = ch_delivery_count_failed(op);
  debt->next += failed;
  partition->deliverer->stats.raises += op->count - failed;
  if (failed)
    ch_retry_schedule(&debt->retry, now);
  else
    debt->retry.wait_ms = partition->deliverer->config.retry_ms;
  if (op->position < debt->position) { /* some are owed more meanwhile: all again */
    ch_op_free(&op->op);
    return;
  }
  for (size_t i = 0; i < op->count; i++)
    if (!op->raises[i].status) (void)ch_hashmap_remove(&debt->users, op->raises[i].user);
  tell_to_sync(partition, op);
}
