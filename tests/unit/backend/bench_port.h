/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_port.h - one port of a backend, used as if it were a function call: submit, sleep until the wake, poll. And a directory that is removed at the end.
 *
 * Nothing here speaks to check, so that a child process may use it until it is killed.
 */
#ifndef CH_TEST_BENCH_PORT_H
#define CH_TEST_BENCH_PORT_H

#include <chat/backend.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/op.h"

typedef struct bench_port {
  chat_backend backend;
  void *port;
  pthread_mutex_t lock;
  pthread_cond_t woken;
  unsigned wakes;
} bench_port;

static inline void bench_wake(void *arg) {
  bench_port *bench = arg;
  pthread_mutex_lock(&bench->lock);
  bench->wakes++;
  pthread_cond_signal(&bench->woken);
  pthread_mutex_unlock(&bench->lock);
}

static inline void bench_open(bench_port *bench, chat_backend backend) {
  *bench = (bench_port){.backend = backend, .lock = PTHREAD_MUTEX_INITIALIZER, .woken = PTHREAD_COND_INITIALIZER};
  ch_assert(backend.vtable->port_new(backend.self, (chat_wake){bench_wake, bench}, &bench->port) == 0);
}

static inline void bench_submit(bench_port *bench, void *op) {
  ch_assert(bench->backend.vtable->submit(bench->backend.self, bench->port, op) == 0);
}

/* The next finished op, or NULL where nothing is finished now. */
static inline chat_op *bench_poll(bench_port *bench) {
  return bench->backend.vtable->poll(bench->backend.self, bench->port);
}

static inline chat_op *bench_next(bench_port *bench) {
  for (;;) {
    chat_op *op = bench_poll(bench);
    if (op) return op;
    pthread_mutex_lock(&bench->lock);
    while (bench->wakes == 0)
      pthread_cond_wait(&bench->woken, &bench->lock);
    bench->wakes = 0;
    pthread_mutex_unlock(&bench->lock);
  }
}

/* Submits the only op and waits for it; its status. */
static inline int bench_do(bench_port *bench, void *op) {
  bench_submit(bench, op);
  ch_assert(bench_next(bench) == op);
  return ((chat_op *)op)->status;
}

static inline void bench_cancel(bench_port *bench) {
  bench->backend.vtable->port_cancel(bench->backend.self, bench->port);
}

/* Of a port whose ops are all back. */
static inline void bench_port_close(bench_port *bench) {
  bench_cancel(bench);
  bench->backend.vtable->port_free(bench->backend.self, bench->port);
}

/* The only port of a backend, and the backend. */
static inline void bench_close(bench_port *bench) {
  bench_port_close(bench);
  bench->backend.vtable->free(bench->backend.self);
}

static inline void bench_dir_make(char dir[64]) {
  strcpy(dir, "/tmp/chat-backend-XXXXXX");
  ch_assert(mkdtemp(dir) != NULL);
}

static inline void bench_dir_remove(const char *dir) {
  char command[128];
  snprintf(command, sizeof command, "rm -r '%s'", dir);
  ch_assert(system(command) == 0);
}

static inline chat_bytes text(const char *string) {
  return (chat_bytes){(const uint8_t *)string, strlen(string)};
}

#endif
