/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "backend/store_check.h"
#include "backend/store_mem/store.h"
#include "core/bytes.h"

static int out_device(chat_op *op, const chat_device *device, chat_device *out) {
  *out = *device;
  return ch_store_out_bytes(op, device->name, &out->name);
}

/* ------------------------------------------------------------------------------------------------ DEVICE */

static uint32_t count_unrevoked(const ch_store_mem *store, chat_bytes user) {
  uint32_t count = 0;
  ch_cell_key prefix = ch_cell_key_user(CH_CELL_DEVICE, user);
  for (const ch_store_node *node = ch_cell_first(&store->table, &prefix); node; node = ch_cell_next(node, &prefix))
    count += !((const chat_device *)ch_store_node_value(node))->revoked;
  return count;
}

static int keep_device(ch_store_mem *store, const chat_store_device *put, ch_cell_key key) {
  chat_device *cell = ch_cell_put(&store->table, key, sizeof *cell + put->device.name.len);
  if (!cell) return CHAT_E_NOMEM;
  uint8_t *trailer = (uint8_t *)(cell + 1);
  *cell = put->device;
  cell->name = ch_cell_keep(&trailer, put->device.name);
  return 0;
}

static int conflict(chat_store_device *put, const chat_device *stored) {
  chat_device none = {0};
  memcpy(none.device_id, put->device.device_id, sizeof none.device_id);
  int error = out_device(&put->op, stored ? stored : &none, &put->device);
  return error ? error : CHAT_E_CONFLICT;
}

static int put_device(ch_store_mem *store, chat_store_device *put, ch_cell_key key, const chat_device *stored) {
  bool is_new = put->expect_session == 0 && put->expect_session_next == 0;
  if (is_new != !stored) return conflict(put, stored);
  if (stored && (stored->session != put->expect_session || stored->session_next != put->expect_session_next)) return conflict(put, stored);
  if (is_new && count_unrevoked(store, put->user) >= put->devices_max) return CHAT_E_LIMIT;
  return keep_device(store, put, key);
}

int ch_store_do_device(ch_store_mem *store, chat_op *op) {
  chat_store_device *ask = (chat_store_device *)op;
  if (!ch_store_device_valid(ask)) return CHAT_E_INVALID;
  ch_cell_key key = ch_cell_key_under_user(CH_CELL_DEVICE, ask->user, ask->device.device_id);
  const chat_device *stored = ch_cell_get(&store->table, key);
  if (ask->verb == CHAT_DEVICE_PUT) return put_device(store, ask, key, stored);
  return stored ? out_device(op, stored, &ask->device) : CHAT_E_NOT_FOUND;
}

/* ------------------------------------------------------------------------------------------------ DEVICES */

int ch_store_do_devices(ch_store_mem *store, chat_op *op) {
  chat_store_devices *ask = (chat_store_devices *)op;
  if (!ch_user_id_valid(ask->user)) return CHAT_E_INVALID;
  ch_cell_key prefix = ch_cell_key_user(CH_CELL_DEVICE, ask->user);
  ask->count = 0;
  ask->devices = ch_store_out_array(op, ch_cell_count(&store->table, &prefix), sizeof *ask->devices);
  if (!ask->devices) return CHAT_E_NOMEM;
  for (const ch_store_node *node = ch_cell_first(&store->table, &prefix); node; node = ch_cell_next(node, &prefix)) {
    int error = out_device(op, ch_store_node_value(node), &ask->devices[ask->count]);
    if (error) return error;
    ask->count++;
  }
  return 0;
}
