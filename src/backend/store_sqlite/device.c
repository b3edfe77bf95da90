/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "backend/store_check.h"
#include "backend/store_sqlite/apply.h"
#include "backend/store_sqlite/read.h"
#include "backend/store_sqlite/schema.h"
#include "core/bytes.h"

static int device_column(sqlite3_stmt *statement, chat_op *op, chat_device *device) {
  *device = (chat_device){
      .session = ch_sqlite_u64(statement, 2),
      .session_next = ch_sqlite_u64(statement, 3),
      .created_ms = ch_sqlite_u64(statement, 4),
      .seen_ms = ch_sqlite_u64(statement, 5),
      .revoked = ch_sqlite_u32(statement, 6),
  };
  int error = ch_sqlite_id(statement, 0, device->device_id);
  return error ? error : ch_sqlite_copy(statement, 1, op, &device->name);
}

/* 1, 0 (there is none) or negative. */
static int stored_device(ch_sqlite_db *db, chat_store_device *ask, chat_device *device) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(db, SQL_DEVICE, &statement, "bk", ask->user, ask->device.device_id);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  int error = device_column(statement, &ask->op, device);
  ch_sqlite_end(statement);
  return error ? error : 1;
}

static int get(ch_sqlite_db *db, chat_store_device *ask) {
  chat_device stored;
  int found = stored_device(db, ask, &stored);
  if (found <= 0) return found < 0 ? found : CHAT_E_NOT_FOUND;
  ask->device = stored;
  return 0;
}

static int write_device(ch_sqlite_db *db, const chat_store_device *ask) {
  const chat_device *device = &ask->device;
  return ch_sqlite_run(db, SQL_DEVICE_PUT, "bkbuuuuu", ask->user, device->device_id, device->name, device->session, device->session_next, device->created_ms,
                        device->seen_ms, (uint64_t)device->revoked);
}

/* There is no row to give in a conflict: all but the id is 0. */
static int put_new(ch_sqlite_db *db, chat_store_device *ask) {
  if (ask->expect_session || ask->expect_session_next) {
    chat_device none = {0};
    memcpy(none.device_id, ask->device.device_id, sizeof none.device_id);
    ask->device = none;
    return CHAT_E_CONFLICT;
  }
  uint64_t count;
  int error = ch_sqlite_number(db, SQL_DEVICE_COUNT, &count, "b", ask->user);
  if (error) return error;
  return count >= ask->devices_max ? CHAT_E_LIMIT : write_device(db, ask);
}

static int put(ch_sqlite_db *db, chat_store_device *ask) {
  chat_device stored;
  int found = stored_device(db, ask, &stored);
  if (found < 0) return found;
  if (found == 0) return put_new(db, ask);
  bool is_new = ask->expect_session == 0 && ask->expect_session_next == 0;
  if (!is_new && stored.session == ask->expect_session && stored.session_next == ask->expect_session_next) return write_device(db, ask);
  ask->device = stored;
  return CHAT_E_CONFLICT;
}

int ch_sqlstore_device(ch_sqlstore_writer *writer, chat_op *op) {
  chat_store_device *ask = (chat_store_device *)op;
  if (!ch_store_device_valid(ask)) return CHAT_E_INVALID;
  return ask->verb == CHAT_DEVICE_PUT ? put(writer->db, ask) : get(writer->db, ask);
}

static int grow(chat_store_devices *devices, size_t *room) {
  if (devices->count < *room) return 0;
  size_t more = *room ? *room * 2 : 8;
  chat_device *grown = chat_op_alloc(&devices->op, more * sizeof *grown);
  if (!grown) return CHAT_E_NOMEM;
  if (devices->count > 0) memcpy(grown, devices->devices, devices->count * sizeof *grown);
  devices->devices = grown;
  *room = more;
  return 0;
}

int ch_sqlstore_devices(ch_sqlstore_reader *reader, chat_op *op) {
  chat_store_devices *devices = (chat_store_devices *)op;
  sqlite3_stmt *statement;
  size_t room = 0;
  if (!ch_user_id_valid(devices->user)) return CHAT_E_INVALID;
  devices->count = 0;
  int more = ch_sqlite_query(&reader->main, SQL_DEVICES, &statement, "b", devices->user);
  if (more) return more;
  while ((more = ch_sqlite_step(statement)) > 0) {
    int error = grow(devices, &room);
    if (!error) error = device_column(statement, op, &devices->devices[devices->count]);
    if (error) {
      ch_sqlite_end(statement);
      return error;
    }
    devices->count++;
  }
  return more;
}
