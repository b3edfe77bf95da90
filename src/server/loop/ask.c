/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/ask.h"

#include <pthread.h>
#include <stdbool.h>

typedef struct bell {
  pthread_mutex_t lock;
  pthread_cond_t rung;
  bool is_rung;
} bell;

static void ring(void *arg) {
  bell *of = arg;
  pthread_mutex_lock(&of->lock);
  of->is_rung = true;
  pthread_cond_signal(&of->rung);
  pthread_mutex_unlock(&of->lock);
}

static void await(bell *of) {
  pthread_mutex_lock(&of->lock);
  while (!of->is_rung) pthread_cond_wait(&of->rung, &of->lock);
  of->is_rung = false;
  pthread_mutex_unlock(&of->lock);
}

static int ask_port(const chat_backend *backend, void *port, chat_op *op, bell *answered) {
  int error = backend->vtable->submit(backend->self, port, op);
  if (error) return error;
  while (!backend->vtable->poll(backend->self, port)) await(answered);
  return op->status;
}

int ch_ask(const chat_backend *backend, chat_op *op) {
  bell answered = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
  void *port;
  int error = backend->vtable->port_new(backend->self, (chat_wake){ring, &answered}, &port);
  if (error) return error;
  error = ask_port(backend, port, op, &answered);
  backend->vtable->port_cancel(backend->self, port);
  backend->vtable->port_free(backend->self, port);
  return error;
}
