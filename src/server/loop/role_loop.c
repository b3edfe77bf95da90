/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/role_loop.h"

#include "core/assert.h"
#include "server/loop/hooks.h"

/* Ops that a turn passes each way before others get theirs: a backend in this process may answer faster than a turn ends. */
enum { TURN_OPS_MAX = 4096 };

static ch_backend_kind backend_of(uint32_t op_kind) {
  uint32_t kind = op_kind / 16;
  ch_assert(kind < CH_BACKEND_KIND_COUNT);
  return (ch_backend_kind)kind;
}

static void close_ports(ch_role_loop *loop) {
  for (int kind = 0; kind < CH_BACKEND_KIND_COUNT; kind++) {
    const chat_backend *backend = &loop->backends->of[kind];
    if (!loop->ports[kind]) continue;
    backend->vtable->port_cancel(backend->self, loop->ports[kind]);
    backend->vtable->port_free(backend->self, loop->ports[kind]);
    loop->ports[kind] = NULL;
  }
}

int ch_role_loop_init(ch_role_loop *loop, ch_role role, const ch_backends *backends, ch_metrics *metrics, chat_wake wake) {
  *loop = (ch_role_loop){.role = role, .backends = backends, .figures = {.metrics = metrics}};
  for (int kind = 0; kind < CH_BACKEND_KIND_COUNT; kind++) {
    const chat_backend *backend = &backends->of[kind];
    int error = backend->vtable->port_new(backend->self, wake, &loop->ports[kind]);
    if (error) {
      close_ports(loop);
      return error;
    }
  }
  return 0;
}

static void complete(ch_role_loop *loop, chat_op *op, ch_now now) {
  ch_space *space = loop->backends->space;
  op->next = NULL;
  if (space && op->status == CHAT_E_FULL) ch_space_failed(&space[backend_of(op->kind)], now.elapsed_ms);
  ch_op_figures_back(&loop->figures, backend_of(op->kind), op, now.wall_ms);
  loop->role.complete(loop->role.self, op, now);
}

/* false: the port is at its bound. */
static bool pass_on(ch_role_loop *loop, ch_backend_kind kind, chat_op *op, ch_now now) {
  const chat_backend *backend = &loop->backends->of[kind];
  int error = backend->vtable->submit(backend->self, loop->ports[kind], op);
  if (error == CHAT_E_BUSY) return false;
  if (error) {
    op->status = error == CHAT_E_CLOSED ? CHAT_E_CANCELED : error;
    complete(loop, op, now);
  } else {
    loop->under_way++;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------ how far the log may be cut */

static void lower_to(uint64_t *position, uint64_t bound) {
  if (bound < *position) *position = bound;
}

static chat_log_consumed *consumed_of(chat_op *op) {
  chat_log_consumed *consumed = (chat_log_consumed *)(void *)op;
  return op->kind == CHAT_OP_LOG_CONSUMED && consumed->topic == CHAT_TOPIC_MESSAGES ? consumed : NULL;
}

/* The log is cut only below the position that the store has synced (docs/decisions/0002), and what was not told yet is kept. */
static void lower_consumed(const ch_role_loop *loop, chat_log_consumed *consumed) {
  const ch_backends *backends = loop->backends;
  if (backends->synced_position) lower_to(&consumed->position, backends->synced_position(&backends->of[CH_BACKEND_STORE], consumed->partition));
  if (backends->told_position) lower_to(&consumed->position, atomic_load(backends->told_position));
}

static void forget_consumed(ch_role_loop *loop, chat_log_consumed *consumed, int why, ch_now now) {
  consumed->op.status = why;
  complete(loop, &consumed->op, now);
}

/* A store that says it nowhere else is asked; until it answers the log waits, and where it does not, a later batch asks again. */
static void ask_synced(ch_role_loop *loop, chat_log_consumed *consumed, ch_now now) {
  const chat_backend *store = &loop->backends->of[CH_BACKEND_STORE];
  chat_store_position *ask = ch_op_new(NULL, CHAT_OP_STORE_POSITION, sizeof *ask);
  if (ask) {
    ask->op.owner = loop;
    ask->op.tag = (uint64_t)(uintptr_t)consumed;
    ask->topic = consumed->topic;
    ask->partition = consumed->partition;
  }
  int error = ask ? store->vtable->submit(store->self, loop->ports[CH_BACKEND_STORE], &ask->op) : CHAT_E_NOMEM;
  if (!error) {
    loop->under_way++;
    return;
  }
  if (ask) ch_op_free(&ask->op);
  forget_consumed(loop, consumed, error, now);
}

static bool is_ask(const ch_role_loop *loop, const chat_op *op) {
  return op->kind == CHAT_OP_STORE_POSITION && op->owner == loop;
}

static void take_synced(ch_role_loop *loop, chat_store_position *ask, ch_now now) {
  chat_log_consumed *consumed = (chat_log_consumed *)(uintptr_t)ask->op.tag;
  int error = loop->is_canceled ? CHAT_E_CANCELED : ask->op.status;
  lower_to(&consumed->position, ask->synced);
  ch_op_free(&ask->op);
  if (error) forget_consumed(loop, consumed, error, now);
  else if (!pass_on(loop, CH_BACKEND_LOG, &consumed->op, now)) forget_consumed(loop, consumed, CHAT_E_BUSY, now);
}

/* ------------------------------------------------------------------------------------------------ a turn */

/* false: the port is at its bound. */
static bool submit(ch_role_loop *loop, ch_backend_kind kind, chat_op *op, ch_now now) {
  chat_log_consumed *consumed = consumed_of(op);
  if (consumed) lower_consumed(loop, consumed);
  if (!consumed || loop->backends->synced_position) return pass_on(loop, kind, op, now);
  ask_synced(loop, consumed, now);
  return true;
}

static void take(ch_role_loop *loop, chat_op *op, ch_now now) {
  if (is_ask(loop, op)) take_synced(loop, (chat_store_position *)(void *)op, now);
  else complete(loop, op, now);
}

static size_t take_finished(ch_role_loop *loop, ch_now now) {
  size_t taken = 0;
  for (int kind = 0; kind < CH_BACKEND_KIND_COUNT; kind++) {
    const chat_backend *backend = &loop->backends->of[kind];
    for (; taken < TURN_OPS_MAX; taken++) {
      chat_op *op = backend->vtable->poll(backend->self, loop->ports[kind]);
      if (!op) break;
      loop->under_way--;
      take(loop, op, now);
    }
  }
  return taken;
}

static void submit_refused(ch_role_loop *loop, ch_now now) {
  for (int kind = 0; kind < CH_BACKEND_KIND_COUNT; kind++) {
    ch_op_queue *refused = &loop->refused[kind];
    while (refused->first) {
      chat_op *op = refused->first;
      chat_op *rest = op->next;
      if (!submit(loop, (ch_backend_kind)kind, op, now)) break;
      refused->first = rest;
      if (!rest) refused->last = NULL;
      refused->count--;
    }
  }
}

static size_t submit_new(ch_role_loop *loop, ch_now now) {
  size_t count = 0;
  for (; count < TURN_OPS_MAX; count++) {
    chat_op *op = loop->role.next_op(loop->role.self);
    if (!op) break;
    ch_backend_kind kind = backend_of(op->kind);
    ch_op_figures_out(&loop->figures, kind, op);
    ch_op_queue *refused = &loop->refused[kind];
    if (refused->count > 0 || !submit(loop, kind, op, now)) ch_op_queue_push(refused, op);
  }
  return count;
}

uint64_t ch_role_loop_turn(ch_role_loop *loop, ch_now now) {
  uint64_t hooks_ms = ch_hooks_expire(loop->ports[CH_BACKEND_HOOKS], now.elapsed_ms);
  size_t taken = take_finished(loop, now);
  if (loop->is_canceled) ch_op_figures_tell(&loop->figures);
  if (loop->is_canceled) return taken == TURN_OPS_MAX ? now.elapsed_ms : CH_NEVER_MS;
  if (loop->role.deadline_ms(loop->role.self) <= now.elapsed_ms) loop->role.tick(loop->role.self, now);
  submit_refused(loop, now);
  size_t submitted = submit_new(loop, now);
  ch_op_figures_tell(&loop->figures);
  if (taken == TURN_OPS_MAX || submitted == TURN_OPS_MAX) return now.elapsed_ms;
  uint64_t role_ms = loop->role.deadline_ms(loop->role.self);
  return role_ms < hooks_ms ? role_ms : hooks_ms;
}

void ch_role_loop_cancel(ch_role_loop *loop, ch_now now) {
  if (loop->is_canceled) return;
  loop->is_canceled = true;
  for (int kind = 0; kind < CH_BACKEND_KIND_COUNT; kind++) {
    const chat_backend *backend = &loop->backends->of[kind];
    backend->vtable->port_cancel(backend->self, loop->ports[kind]);
    for (chat_op *op; (op = ch_op_queue_pop(&loop->refused[kind]));) {
      op->status = CHAT_E_CANCELED;
      complete(loop, op, now);
    }
  }
}

bool ch_role_loop_is_quiet(const ch_role_loop *loop) {
  return loop->under_way == 0;
}

void ch_role_loop_fini(ch_role_loop *loop) {
  ch_assert(loop->under_way == 0);
  close_ports(loop);
}
