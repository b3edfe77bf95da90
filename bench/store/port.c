/* SPDX-License-Identifier: Apache-2.0 */
#include "store/port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/store_sqlite/store_sqlite.h"
#include "engine/load.h"

static void wake(void *arg) {
  store_port *port = arg;
  pthread_mutex_lock(&port->lock);
  port->wakes++;
  pthread_cond_signal(&port->woken);
  pthread_mutex_unlock(&port->lock);
}

void store_port_open(store_port *port, const char *data) {
  char path[4096];
  if (mkdir(data, 0700) && errno != EEXIST) load_fail("%s: %s", data, strerror(errno));
  snprintf(path, sizeof path, "%s/store", data);
  ch_store_sqlite_config config = {.path = path, .reader_threads = 2, .sync = CH_STORE_SYNC_NORMAL};
  int error = ch_store_sqlite_new(&config, &port->store);
  if (error) load_fail("%s does not open: error %d", path, error);
  port->wakes = 0;
  pthread_mutex_init(&port->lock, NULL);
  pthread_cond_init(&port->woken, NULL);
  if (port->store.vtable->port_new(port->store.self, (chat_wake){wake, port}, &port->port)) load_fail("no port");
}

static void sleep_until_woken(store_port *port) {
  pthread_mutex_lock(&port->lock);
  while (!port->wakes)
    pthread_cond_wait(&port->woken, &port->lock);
  port->wakes = 0;
  pthread_mutex_unlock(&port->lock);
}

int store_port_do(store_port *port, chat_op *op) {
  const chat_backend_vtable *vtable = port->store.vtable;
  int error = vtable->submit(port->store.self, port->port, op);
  if (error) load_fail("an op was not taken: error %d", error);
  while (!vtable->poll(port->store.self, port->port))
    sleep_until_woken(port);
  return op->status;
}

void store_port_close(store_port *port) {
  port->store.vtable->port_cancel(port->store.self, port->port);
  port->store.vtable->port_free(port->store.self, port->port);
  port->store.vtable->free(port->store.self);
  pthread_cond_destroy(&port->woken);
  pthread_mutex_destroy(&port->lock);
}
