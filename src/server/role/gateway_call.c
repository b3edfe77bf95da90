/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of the gateway and what follows them. One call belongs to one op and lives in its memory; exactly one `done` ends each. */
#include <string.h>

#include "core/arena.h"
#include "server/role/gateway_parts.h"

static ch_call *call_of(chat_op *op) {
  return op->owner;
}

void *ch_call_new(ch_gateway *gateway, uint32_t kind, size_t len, size_t call_len, ch_call_done *done) {
  ch_assert(call_len >= sizeof(ch_call));
  chat_op *op = ch_op_new(gateway->env.alloc, kind, len);
  if (!op) return NULL;
  ch_call *call = chat_op_alloc(op, call_len);
  if (!call) {
    ch_op_free(op);
    return NULL;
  }
  memset(call, 0, call_len);
  call->op = op;
  call->done = done;
  call->timer.kind = CH_TIMER_CALL;
  call->pause_ms = CH_GATEWAY_RETRY_MS;
  op->owner = call;
  gateway->calls.under_way++;
  return op;
}

void *ch_call_new_for(ch_gateway *gateway, ch_conn *conn, uint64_t tag, uint32_t kind, size_t len, size_t call_len, ch_call_done *done, ch_now now) {
  bool room = conn->calls < CH_GATEWAY_CALLS_MAX;
  chat_op *op = room ? ch_call_new(gateway, kind, len, call_len, done) : NULL;
  if (!op) {
    ch_conn_error(gateway, conn, tag, CHAT_E_AGAIN, CH_GATEWAY_RETRY_MS, now);
    return NULL;
  }
  ch_call *call = call_of(op);
  call->connection = conn->id;
  call->tag = tag;
  call->counted = true;
  conn->calls++;
  return op;
}

/* An op without a part of what it asks for means something else: that somebody without a name may not, say. */
static void hand_out(ch_gateway *gateway, ch_call *call) {
  call->attempts--;
  call->outside = true;
  ch_op_queue_push(call->is_short ? &gateway->calls.shorts : &gateway->calls.out, call->op);
}

void ch_call_submit(ch_gateway *gateway, void *op, uint32_t attempts) {
  ch_call *call = call_of(op);
  call->attempts = attempts;
  call->is_short = call->op->arena->is_short;
  hand_out(gateway, call);
}

bool ch_call_submit_later(ch_gateway *gateway, void *op, uint32_t pause_ms, ch_now now) {
  ch_call *call = call_of(op);
  if (ch_timer_heap_set(&gateway->timers, &call->timer, now.elapsed_ms + pause_ms)) return false;
  call->attempts = 1;
  call->is_short = call->op->arena->is_short;
  return true;
}

void ch_call_submit_hook(ch_gateway *gateway, void *op, ch_now now) {
  ch_call *call = call_of(op);
  /* Without memory for the timer the hook has no deadline of its own; the session's still ends a login. */
  (void)ch_timer_heap_set(&gateway->timers, &call->timer, now.elapsed_ms + gateway->config.hook_ms);
  ch_call_submit(gateway, op, 1);
}

void ch_call_discard(ch_gateway *gateway, void *op) {
  if (!op) return;
  ch_call *call = call_of(op);
  ch_timer_heap_clear(&gateway->timers, &call->timer);
  ch_conn *conn = call->counted ? ch_conn_find(gateway, call->connection) : NULL;
  if (conn) conn->calls--;
  if (!call->poll) gateway->calls.under_way--;
  ch_op_free(op);
}

/* A long poll is not waited for at the end, so it is not among those under way. */
void ch_call_is_poll(ch_gateway *gateway, void *op) {
  ch_call *call = call_of(op);
  call->poll = true;
  gateway->calls.under_way--;
}

static bool may_try_again(const ch_call *call, int status) {
  return call->attempts > 0 && (status == CHAT_E_AGAIN || status == CHAT_E_UNKNOWN);
}

static bool pause(ch_gateway *gateway, ch_call *call, ch_now now) {
  if (ch_timer_heap_set(&gateway->timers, &call->timer, now.elapsed_ms + call->pause_ms)) return false;
  call->pause_ms *= 2;
  return true;
}

static void end(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  call->done(gateway, call, status, now);
  if (!call->kept) ch_call_discard(gateway, call->op);
}

void ch_call_complete(ch_gateway *gateway, chat_op *op, ch_now now) {
  ch_call *call = call_of(op);
  call->outside = false;
  if (call->gave_up) {
    ch_call_discard(gateway, op);
    return;
  }
  ch_timer_heap_clear(&gateway->timers, &call->timer);
  if (may_try_again(call, op->status) && pause(gateway, call, now)) return;
  end(gateway, call, op->status, now);
}

void ch_calls_tick(ch_gateway *gateway, ch_now now) {
  for (chat_op *op = ch_op_queue_pop(&gateway->calls.shorts); op; op = ch_op_queue_pop(&gateway->calls.shorts)) {
    ch_call *call = call_of(op);
    call->attempts = 0;
    op->status = CHAT_E_AGAIN;
    ch_call_complete(gateway, op, now);
  }
}

void ch_call_timer(ch_gateway *gateway, ch_timer *timer, ch_now now) {
  ch_call *call = CH_LIST_ITEM(timer, ch_call, timer);
  if (!call->outside) {
    hand_out(gateway, call);
    return;
  }
  call->gave_up = true; /* the op is the embedder's until it answers, so nothing of it may be read or freed */
  call->done(gateway, call, CHAT_E_TIMEOUT, now);
}

void ch_calls_fini(ch_gateway *gateway) {
  for (chat_op *op = ch_op_queue_pop(&gateway->calls.shorts); op; op = ch_op_queue_pop(&gateway->calls.shorts)) ch_op_free(op);
  for (ch_timer *timer = ch_timer_heap_due(&gateway->timers, CH_NEVER_MS); timer; timer = ch_timer_heap_due(&gateway->timers, CH_NEVER_MS))
    if (timer->kind == CH_TIMER_CALL) ch_op_free(CH_LIST_ITEM(timer, ch_call, timer)->op);
}
