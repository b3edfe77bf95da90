/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port_mem.h - the port of a backend that lives in this process: a bounded, locked queue of finished ops and a wake.
 *
 * submit (owner's thread) takes a place with ch_port_accept; whoever finishes the op, on whatever thread, calls ch_port_finish; the owner's poll takes it
 * out. A wake is given when the queue was empty.
 */
#ifndef CH_BACKEND_PORT_MEM_H
#define CH_BACKEND_PORT_MEM_H

#include <chat/backend.h>
#include <pthread.h>
#include <stdbool.h>

#include "core/op.h"

enum { CH_PORT_OPS_MAX = 65536 };

typedef struct ch_port {
  pthread_mutex_t lock;
  chat_wake wake;
  ch_op_queue done;
  size_t under_way; /* accepted, not yet taken out by poll */
  bool canceled;
} ch_port;

/* A port by itself, for a backend that needs no more of one: what its port_new and port_free do. CHAT_E_NOMEM. */
int ch_port_new(const chat_allocator *alloc, chat_wake wake, void **port);
void ch_port_free(const chat_allocator *alloc, void *port);
/* The poll of such a backend. */
chat_op *ch_port_poll_alone(void *self, void *port);

/* A port inside a larger one. */
int ch_port_init(ch_port *port, chat_wake wake);
/* Every op must have been taken out. */
void ch_port_fini(ch_port *port);
/* A place for one op: 0, CHAT_E_BUSY (the bound) or CHAT_E_CLOSED (canceled). */
int ch_port_accept(ch_port *port);
void ch_port_finish(ch_port *port, chat_op *op, int status);
chat_op *ch_port_poll(ch_port *port);
/* No op is accepted from now on. */
void ch_port_cancel(ch_port *port);
bool ch_port_is_canceled(ch_port *port);

#endif
