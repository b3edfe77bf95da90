/* SPDX-License-Identifier: Apache-2.0 */
/* port.h - the embedded store through its port (chat/backend.h), one op at a time: what a loop of the server sees of it. */
#ifndef BENCH_STORE_PORT_H
#define BENCH_STORE_PORT_H

#include <chat/backend.h>
#include <pthread.h>

typedef struct store_port {
  chat_backend store;
  void *port;
  pthread_mutex_t lock;
  pthread_cond_t woken;
  int wakes;
} store_port;

/* Opens (or makes) the store of a chatd whose --data is `data`. Ends the process where that cannot be. */
void store_port_open(store_port *port, const char *data);
/* Submits the op and waits for it; its status. */
int store_port_do(store_port *port, chat_op *op);
/* Everything is in the database file. */
void store_port_close(store_port *port);

#endif
