/* SPDX-License-Identifier: Apache-2.0 */
/*
 * role_peer.h - a role whose ops a test completes by hand. Each test file has one of its own, all of it static.
 *
 * Ops that the role hands out wait in `outside` until a test takes the first of a kind, fills its result in and gives it back. Whatever is left at the end comes back
 * CANCELED; then every byte that the role took must have been given back.
 */
#ifndef CH_TEST_ROLE_PEER_H
#define CH_TEST_ROLE_PEER_H

#include <string.h>

#include "core/op.h"
#include "unit/core/failing_allocator.h"
#include "unit/core/run.h"

#define UNUSED __attribute__((unused))

enum { START_MS = 100000, WALL_MS = 1000000 };

static failing_allocator memory;
static ch_env env;
static ch_role role;
static ch_now now;
static ch_op_queue outside;
static uint8_t next_random;

static void test_random(void *arg, void *buf, size_t len) {
  (void)arg;
  memset(buf, ++next_random, len);
}

static UNUSED void env_default(void) {
  failing_allocator_init(&memory, SIZE_MAX);
  env = (ch_env){.alloc = &memory.alloc, .random = test_random};
  now = (ch_now){START_MS, WALL_MS};
}

static void pull(void) {
  for (chat_op *op = role.next_op(role.self); op; op = role.next_op(role.self))
    ch_op_queue_push(&outside, op);
}

static UNUSED bool is_of_kind(const chat_op *op, uint32_t kind) {
  return op->kind == kind;
}

static UNUSED bool is_of_other_kind(const chat_op *op, uint32_t kind) {
  return op->kind != kind;
}

static void *find_first(bool (*is_wanted)(const chat_op *op, uint32_t kind), uint32_t kind) {
  ch_op_queue kept_ops = {0};
  chat_op *found = NULL;
  pull();
  for (chat_op *op = ch_op_queue_pop(&outside); op; op = ch_op_queue_pop(&outside)) {
    if (!found && is_wanted(op, kind))
      found = op;
    else
      ch_op_queue_push(&kept_ops, op);
  }
  outside = kept_ops;
  return found;
}

/* The first op of a kind (with the same verb, topic … as the caller checks); NULL: none. */
static UNUSED void *find_op(uint32_t kind) {
  return find_first(is_of_kind, kind);
}

/* The first op that is not of this kind (a long poll, say); NULL: none. */
static UNUSED void *find_op_but(uint32_t kind) {
  return find_first(is_of_other_kind, kind);
}

static UNUSED void *take_op(uint32_t kind) {
  void *op = find_op(kind);
  ck_assert_msg(op != NULL, "no op of kind %u", kind);
  return op;
}

static UNUSED size_t count_ops(uint32_t kind) {
  size_t count = 0;
  pull();
  for (const chat_op *op = outside.first; op; op = op->next)
    count += op->kind == kind;
  return count;
}

static void give(void *op, int status) {
  ((chat_op *)op)->status = status;
  role.complete(role.self, op, now);
}

static UNUSED void pass_time(uint64_t ms) {
  now.elapsed_ms += ms;
  now.wall_ms += ms;
  role.tick(role.self, now);
}

/* As when the ports are being freed. */
static UNUSED void cancel_ops(void) {
  pull();
  for (chat_op *op = ch_op_queue_pop(&outside); op; op = ch_op_queue_pop(&outside)) {
    give(op, CHAT_E_CANCELED);
    pull();
  }
}

#endif
