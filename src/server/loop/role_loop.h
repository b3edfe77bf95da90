/* SPDX-License-Identifier: Apache-2.0 */
/*
 * role_loop.h - drives any role: what it puts out goes to the port that the op's kind names, what comes back goes to it, and it is ticked when it is due.
 */
#ifndef CH_SERVER_ROLE_LOOP_H
#define CH_SERVER_ROLE_LOOP_H

#include "core/op.h"
#include "server/loop/op_figures.h"
#include "server/loop/space.h"

/* In the order of the kinds: those of a backend lie within 16 of each other (chat/backend.h); hooks from 64 (core/op.h). */
typedef enum ch_backend_kind { CH_BACKEND_LOG, CH_BACKEND_STORE, CH_BACKEND_DIRECTORY, CH_BACKEND_LINK, CH_BACKEND_HOOKS, CH_BACKEND_KIND_COUNT } ch_backend_kind;

/* All backends of a server. */
typedef struct ch_backends {
  chat_backend of[CH_BACKEND_KIND_COUNT];
  /* Position of a partition of "messages" that the store would still have after a power loss: the log is told that no more is consumed. NULL: it is asked by STORE_POSITION. Any thread. */
  uint64_t (*synced_position)(const chat_backend *store, uint32_t partition);
  /* And no more than the hook "after it is stored" was told of. NULL: nobody keeps that. */
  const _Atomic uint64_t *told_position;
  ch_space *space; /* by kind: told of writes that find none. NULL: nobody asks */
} ch_backends;

typedef struct ch_role_loop {
  ch_role role;
  const ch_backends *backends;
  void *ports[CH_BACKEND_KIND_COUNT];
  ch_op_queue refused[CH_BACKEND_KIND_COUNT]; /* a port was at its bound: submitted again, in order, before anything newer */
  ch_op_figures figures;
  size_t under_way;                           /* ops that are at backends */
  bool is_canceled;
} ch_role_loop;

/* Opens a port at each backend. Errors of port_new. */
int ch_role_loop_init(ch_role_loop *loop, ch_role role, const ch_backends *backends, ch_metrics *metrics, chat_wake wake);
/* One turn; gives when the next is due at the latest. */
uint64_t ch_role_loop_turn(ch_role_loop *loop, ch_now now);
/* Nothing is submitted from now on and long polls end; turns are still to be taken until it is quiet. */
void ch_role_loop_cancel(ch_role_loop *loop, ch_now now);
bool ch_role_loop_is_quiet(const ch_role_loop *loop); /* no op is at a backend */
/* It is quiet, and the role still lives. */
void ch_role_loop_fini(ch_role_loop *loop);

#endif
