/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op.h - how machines make, queue and give back the ops of chat/backend.h.
 *
 * An op and its arena are one allocation's worth of lifetime: made with ch_op_new, handed out by the machine's next_op, come back in complete, freed there.
 */
#ifndef CH_CORE_OP_H
#define CH_CORE_OP_H

#include <chat/backend.h>
#include <stdbool.h>

#include "core/env.h"

/* What reads neither clock: both are arguments. elapsed_ms counts sleep and never goes back (deadlines); wall_ms is Unix time and may jump (display, tokens). */
typedef struct ch_now {
  uint64_t elapsed_ms;
  uint64_t wall_ms;
} ch_now;

/* A zeroed op struct of `len` bytes (its first member is a chat_op) with an arena; NULL when memory is out. */
void *ch_op_new(const ch_allocator *alloc, uint32_t kind, size_t len);
void ch_op_free(chat_op *op); /* NULL is a no-op */

/* First in, first out, linked through chat_op.next. Zero-initialised is empty. */
typedef struct ch_op_queue {
  chat_op *first, *last;
  size_t count;
} ch_op_queue;
void ch_op_queue_push(ch_op_queue *queue, chat_op *op);
chat_op *ch_op_queue_pop(ch_op_queue *queue); /* NULL: empty */
void ch_op_queue_free(ch_op_queue *queue);    /* frees every op in it */

/* Ops that are for the embedder of the server, not for a backend; same shape, same way back (chat/server.h, hooks). */
enum { CH_OP_AUTHENTICATE = 64, CH_OP_BEFORE_LOG = 65, CH_OP_MAY = 66, CH_OP_AFTER_STORE = 67 };

/* Every server role is driven the same way, by a loop or by the simulator:
 *   pull next_op until NULL, submit each to the backend that its kind names; give each finished op to complete; call tick when deadline_ms has come.
 * A role never calls back. `complete` frees the op. */
typedef struct ch_role {
  void *self;
  chat_op *(*next_op)(void *self);
  void (*complete)(void *self, chat_op *op, ch_now now);
  void (*tick)(void *self, ch_now now);
  uint64_t (*deadline_ms)(const void *self); /* elapsed; CH_NEVER_MS: none */
} ch_role;

#endif
