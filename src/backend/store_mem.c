/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_mem.h"

#include <string.h>

#include "backend/port_mem.h"
#include "backend/store_mem/store.h"
#include "core/env.h"

/* ------------------------------------------------------------------------------------------------ ops */

typedef enum writes { READS = 0, WRITES = 1, WRITES_AND_SYNCS = 2 } writes;

typedef struct handler {
  int (*fn)(ch_store_mem *store, chat_op *op);
  writes writes;
} handler;

/* A device's session number is told to its client as committed, so it is never lost. */
static const handler handlers[] = {
    [CHAT_OP_STORE_APPLY] = {ch_store_do_apply, WRITES},
    [CHAT_OP_STORE_STATE] = {ch_store_do_state, READS},
    [CHAT_OP_STORE_RANGE] = {ch_store_do_range, READS},
    [CHAT_OP_STORE_HEADS] = {ch_store_do_heads, READS},
    [CHAT_OP_STORE_POSITION] = {ch_store_do_position, READS},
    [CHAT_OP_STORE_WATERMARKS] = {ch_store_do_watermarks, WRITES},
    [CHAT_OP_STORE_MEMBERS] = {ch_store_do_members, READS},
    [CHAT_OP_STORE_SEARCH] = {ch_store_do_search, READS},
    [CHAT_OP_STORE_DEVICE] = {ch_store_do_device, WRITES_AND_SYNCS},
    [CHAT_OP_STORE_DEVICES] = {ch_store_do_devices, READS},
    [CHAT_OP_STORE_WRITE_HEADS] = {ch_store_do_write_heads, WRITES},
    [CHAT_OP_STORE_PRUNE] = {ch_store_do_prune, WRITES},
};

static const handler *find_handler(uint32_t kind) {
  if (kind >= sizeof handlers / sizeof *handlers || !handlers[kind].fn) return NULL;
  return &handlers[kind];
}

static void sync_all(ch_store_mem *store) {
  ch_store_table_sync(&store->table);
  store->unsynced = 0;
}

static void commit(ch_store_mem *store, writes kind) {
  if (kind == READS) return;
  if (++store->unsynced >= store->config.sync_every || kind == WRITES_AND_SYNCS) sync_all(store);
}

static int run(ch_store_mem *store, const handler *h, chat_op *op) {
  size_t mark = ch_store_table_mark(&store->table);
  int status = h->fn(store, op);
  if (status)
    ch_store_table_rollback(&store->table, mark);
  else
    commit(store, h->writes);
  return status;
}

static int store_submit(void *self, void *port, chat_op *op) {
  ch_store_mem *store = self;
  int error = ch_port_accept(port);
  if (error) return error;
  const handler *h = find_handler(op->kind);
  int status = CHAT_E_UNSUPPORTED;
  if (h) {
    pthread_mutex_lock(&store->lock);
    status = run(store, h, op);
    pthread_mutex_unlock(&store->lock);
  }
  ch_port_finish(port, op, status);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ ports and life */

static int store_port_new(void *self, chat_wake wake, void **port) {
  return ch_port_new(((ch_store_mem *)self)->config.alloc, wake, port);
}

/* No op of a store waits. */
static void store_port_cancel(void *self, void *port) {
  (void)self;
  ch_port_cancel(port);
}

static void store_port_free(void *self, void *port) {
  ch_port_free(((ch_store_mem *)self)->config.alloc, port);
}

static void store_free(void *self) {
  ch_store_mem *store = self;
  ch_store_table_fini(&store->table);
  pthread_mutex_destroy(&store->lock);
  ch_free(store->config.alloc, store);
}

static const chat_backend_vtable vtable = {
    .size = sizeof(chat_backend_vtable),
    .name = "store_mem",
    .port_new = store_port_new,
    .port_cancel = store_port_cancel,
    .port_free = store_port_free,
    .submit = store_submit,
    .poll = ch_port_poll_alone,
    .free = store_free,
};

int ch_store_mem_new(const ch_store_mem_config *config, chat_backend *store) {
  if (!config->derives_heads && (config->delivery_partitions == 0 || config->delivery_partitions > 1024)) return CHAT_E_INVALID;
  ch_store_mem *made = ch_calloc(config->alloc, 1, sizeof *made);
  if (!made) return CHAT_E_NOMEM;
  made->config = *config;
  made->vtable = vtable;
  made->vtable.flags = config->derives_heads ? CHAT_BACKEND_DERIVES_HEADS : 0;
  int error = ch_store_table_init(&made->table, config->alloc);
  if (!error && pthread_mutex_init(&made->lock, NULL)) {
    ch_store_table_fini(&made->table);
    error = CHAT_E_NOMEM;
  }
  if (error)
    ch_free(config->alloc, made);
  else
    *store = (chat_backend){&made->vtable, made};
  return error;
}

/* ------------------------------------------------------------------------------------------------ for tests */

void ch_store_mem_power_cut(chat_backend store) {
  ch_store_mem *self = store.self;
  pthread_mutex_lock(&self->lock);
  ch_store_table_rollback(&self->table, 0);
  self->unsynced = 0;
  pthread_mutex_unlock(&self->lock);
}

void ch_store_mem_each_row(chat_backend store, int (*visit)(void *arg, const chat_row *row), void *arg) {
  ch_store_mem *self = store.self;
  ch_cell_key all = {.bytes = {CH_CELL_ROW}, .len = 1};
  pthread_mutex_lock(&self->lock);
  const ch_store_node *node = ch_cell_first(&self->table, &all);
  while (node && !visit(arg, ch_store_node_value(node)))
    node = ch_cell_next(node, &all);
  pthread_mutex_unlock(&self->lock);
}

void ch_store_mem_each_conversation(chat_backend store, int (*visit)(void *arg, const uint8_t conversation_id[16]), void *arg) {
  ch_store_mem *self = store.self;
  ch_cell_key all = {.bytes = {CH_CELL_HEAD}, .len = 1};
  pthread_mutex_lock(&self->lock);
  const ch_store_node *node = ch_cell_first(&self->table, &all);
  while (node && !visit(arg, ch_cell_rest(node, &all).data))
    node = ch_cell_next(node, &all);
  pthread_mutex_unlock(&self->lock);
}

int ch_store_mem_state(chat_backend store, const uint8_t conversation_id[16], chat_op *op, chat_state *state) {
  ch_store_mem *self = store.self;
  pthread_mutex_lock(&self->lock);
  const ch_stored_head *cell = ch_cell_get(&self->table, ch_cell_key_conversation(CH_CELL_HEAD, conversation_id));
  int error = ch_store_out_head(op, cell, conversation_id, state);
  if (!error) error = ch_store_out_whole(self, op, state);
  pthread_mutex_unlock(&self->lock);
  return error;
}
