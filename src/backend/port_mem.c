/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/port_mem.h"

#include <string.h>

#include "core/assert.h"
#include "core/env.h"

int ch_port_init(ch_port *port, chat_wake wake) {
  memset(port, 0, sizeof *port);
  port->wake = wake;
  if (pthread_mutex_init(&port->lock, NULL) != 0) return CHAT_E_NOMEM;
  return 0;
}

void ch_port_fini(ch_port *port) {
  ch_assert(port->under_way == 0);
  pthread_mutex_destroy(&port->lock);
}

int ch_port_new(const chat_allocator *alloc, chat_wake wake, void **port) {
  ch_port *made = ch_alloc(alloc, sizeof *made);
  *port = NULL;
  if (!made) return CHAT_E_NOMEM;
  int error = ch_port_init(made, wake);
  if (error)
    ch_free(alloc, made);
  else
    *port = made;
  return error;
}

void ch_port_free(const chat_allocator *alloc, void *port) {
  ch_port_fini(port);
  ch_free(alloc, port);
}

chat_op *ch_port_poll_alone(void *self, void *port) {
  (void)self;
  return ch_port_poll(port);
}

int ch_port_accept(ch_port *port) {
  int error = 0;
  pthread_mutex_lock(&port->lock);
  if (port->canceled)
    error = CHAT_E_CLOSED;
  else if (port->under_way == CH_PORT_OPS_MAX)
    error = CHAT_E_BUSY;
  else
    port->under_way++;
  pthread_mutex_unlock(&port->lock);
  return error;
}

/* The wake is given under the lock: once port_free has taken it for the last time, no wake can follow (chat/backend.h). It may only wake, so this cannot deadlock. */
void ch_port_finish(ch_port *port, chat_op *op, int status) {
  op->status = status;
  pthread_mutex_lock(&port->lock);
  bool was_empty = port->done.count == 0;
  ch_op_queue_push(&port->done, op);
  if (was_empty && port->wake.fn) port->wake.fn(port->wake.arg);
  pthread_mutex_unlock(&port->lock);
}

chat_op *ch_port_poll(ch_port *port) {
  pthread_mutex_lock(&port->lock);
  chat_op *op = ch_op_queue_pop(&port->done);
  if (op) port->under_way--;
  pthread_mutex_unlock(&port->lock);
  return op;
}

bool ch_port_is_canceled(ch_port *port) {
  pthread_mutex_lock(&port->lock);
  bool canceled = port->canceled;
  pthread_mutex_unlock(&port->lock);
  return canceled;
}

void ch_port_cancel(ch_port *port) {
  pthread_mutex_lock(&port->lock);
  port->canceled = true;
  pthread_mutex_unlock(&port->lock);
}
