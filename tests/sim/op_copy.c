/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/op_copy.h"

#include <string.h>

#include "core/assert.h"
#include "core/op.h"

static void *made(uint32_t kind, size_t len) {
  void *op = ch_op_new(NULL, kind, len);
  ch_assert(op);
  return op;
}

/* `count` items of `len` bytes in the op's memory, copied. */
static void *items(chat_op *op, const void *from, size_t count, size_t len) {
  if (count == 0) return NULL;
  void *to = chat_op_alloc(op, count * len);
  ch_assert(to);
  memcpy(to, from, count * len);
  return to;
}

static chat_op *copy_append(const chat_log_append *from) {
  chat_log_append *to = made(CHAT_OP_LOG_APPEND, sizeof *to);
  to->topic = from->topic;
  to->partition = from->partition;
  to->count = from->count;
  to->records = items(&to->op, from->records, from->count, sizeof *from->records);
  for (size_t i = 0; i < to->count; i++)
    to->records[i].data = chat_op_copy(&to->op, from->records[i].data);
  return &to->op;
}

static void own_state(chat_op *op, chat_state *state) {
  state->title = chat_op_copy(op, state->title);
  state->members = items(op, state->members, state->member_count_here, sizeof *state->members);
  for (size_t i = 0; i < state->member_count_here; i++) {
    chat_member *member = &state->members[i];
    member->user = chat_op_copy(op, member->user);
    member->intervals = items(op, member->intervals, member->interval_count, sizeof *member->intervals);
  }
  state->senders = items(op, state->senders, state->sender_count, sizeof *state->senders);
  for (size_t i = 0; i < state->sender_count; i++)
    state->senders[i].user = chat_op_copy(op, state->senders[i].user);
}

static chat_op *copy_apply(const chat_store_apply *from) {
  chat_store_apply *to = made(CHAT_OP_STORE_APPLY, sizeof *to);
  to->partition = from->partition;
  to->position = from->position;
  memcpy(to->log_identity, from->log_identity, sizeof to->log_identity);
  to->row_count = from->row_count;
  to->rows = items(&to->op, from->rows, from->row_count, sizeof *from->rows);
  for (size_t i = 0; i < to->row_count; i++) {
    to->rows[i].sender = chat_op_copy(&to->op, from->rows[i].sender);
    to->rows[i].payload = chat_op_copy(&to->op, from->rows[i].payload);
  }
  to->state_count = from->state_count;
  to->states = items(&to->op, from->states, from->state_count, sizeof *from->states);
  for (size_t i = 0; i < to->state_count; i++)
    own_state(&to->op, &to->states[i]);
  return &to->op;
}

static chat_op *copy_heads(const chat_store_write_heads *from) {
  chat_store_write_heads *to = made(CHAT_OP_STORE_WRITE_HEADS, sizeof *to);
  to->partition = from->partition;
  to->position = from->position;
  memcpy(to->log_identity, from->log_identity, sizeof to->log_identity);
  to->count = from->count;
  to->heads = items(&to->op, from->heads, from->count, sizeof *from->heads);
  for (size_t i = 0; i < to->count; i++) {
    to->heads[i].user = chat_op_copy(&to->op, from->heads[i].user);
    to->heads[i].head.title = chat_op_copy(&to->op, from->heads[i].head.title);
  }
  return &to->op;
}

static chat_op *copy_link(const chat_link_send *from) {
  chat_link_send *to = made(CHAT_OP_LINK_SEND, sizeof *to);
  to->gateway = chat_op_copy(&to->op, from->gateway);
  to->count = from->count;
  to->deliveries = items(&to->op, from->deliveries, from->count, sizeof *from->deliveries);
  for (size_t i = 0; i < to->count; i++) {
    chat_delivery *delivery = &to->deliveries[i];
    delivery->payload = chat_op_copy(&to->op, delivery->payload);
    delivery->targets = items(&to->op, delivery->targets, delivery->target_count, sizeof *delivery->targets);
    for (size_t t = 0; t < delivery->target_count; t++)
      delivery->targets[t].user = chat_op_copy(&to->op, delivery->targets[t].user);
  }
  return &to->op;
}

chat_op *sim_op_copy(const chat_op *op) {
  switch (op->kind) {
    case CHAT_OP_LOG_APPEND: return copy_append((const chat_log_append *)(const void *)op);
    case CHAT_OP_STORE_APPLY: return copy_apply((const chat_store_apply *)(const void *)op);
    case CHAT_OP_STORE_WRITE_HEADS: return copy_heads((const chat_store_write_heads *)(const void *)op);
    case CHAT_OP_LINK_SEND: return copy_link((const chat_link_send *)(const void *)op);
    default: return NULL;
  }
}
