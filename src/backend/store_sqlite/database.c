/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_sqlite/database.h"

#include <stdarg.h>
#include <string.h>

#include "core/assert.h"

/* WAL readers wait only for a recovery or the very end of a checkpoint. */
enum { BUSY_MS = 5000 };

int ch_sqlstore_error(int code) {
  switch (code & 0xff) {
  case SQLITE_OK:
  case SQLITE_ROW:
  case SQLITE_DONE: return 0;
  case SQLITE_FULL: return CHAT_E_FULL;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB: return CHAT_E_CORRUPT;
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
  case SQLITE_INTERRUPT: return CHAT_E_AGAIN;
  case SQLITE_NOMEM: return CHAT_E_NOMEM;
  case SQLITE_TOOBIG: return CHAT_E_TOO_LARGE;
  default: return CHAT_E_IO;
  }
}

int ch_sqlstore_db_open(ch_sqlstore_db *db, const char *path, int mode, const char *const *sql) {
  memset(db, 0, sizeof *db);
  db->sql = sql;
  int flags = SQLITE_OPEN_NOMUTEX | (mode == CH_STORE_OPEN_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
  int code = sqlite3_open_v2(path, &db->handle, flags, NULL);
  if (code != SQLITE_OK) return ch_sqlstore_error(code);
  sqlite3_extended_result_codes(db->handle, 1);
  sqlite3_busy_timeout(db->handle, BUSY_MS);
  /* Text of users never becomes SQL, but a damaged or foreign file may carry schema that does things. */
  sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
  sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
  if (mode != CH_STORE_OPEN_WRITE) return 0;
  return ch_sqlstore_exec(db, "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
}

void ch_sqlstore_db_close(ch_sqlstore_db *db) {
  for (int i = 0; i < CH_STORE_STATEMENTS_MAX; i++)
    sqlite3_finalize(db->statements[i]);
  sqlite3_close(db->handle);
  memset(db, 0, sizeof *db);
}

int ch_sqlstore_exec(ch_sqlstore_db *db, const char *sql) {
  return ch_sqlstore_error(sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

static int prepared(ch_sqlstore_db *db, int number, sqlite3_stmt **out) {
  ch_assert(number >= 0 && number < CH_STORE_STATEMENTS_MAX);
  if (!db->statements[number]) {
    int code = sqlite3_prepare_v3(db->handle, db->sql[number], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[number], NULL);
    if (code != SQLITE_OK) return ch_sqlstore_error(code);
  }
  *out = db->statements[number];
  return 0;
}

/* Empty bytes are an empty blob, never NULL. */
static int bind_bytes(sqlite3_stmt *statement, int index, chat_bytes bytes) {
  if (bytes.len == 0) return sqlite3_bind_zeroblob(statement, index, 0);
  return sqlite3_bind_blob64(statement, index, bytes.data, bytes.len, SQLITE_STATIC);
}

static int bind(sqlite3_stmt *statement, const char *types, va_list arguments) {
  int code = SQLITE_OK;
  for (int i = 1; *types && code == SQLITE_OK; types++, i++) {
    switch (*types) {
    case 'u': code = sqlite3_bind_int64(statement, i, (sqlite3_int64)va_arg(arguments, uint64_t)); break;
    case 'b': code = bind_bytes(statement, i, va_arg(arguments, chat_bytes)); break;
    case 'k': code = sqlite3_bind_blob(statement, i, va_arg(arguments, const uint8_t *), 16, SQLITE_STATIC); break;
    default: ch_assert(!"a letter that is none");
    }
  }
  return ch_sqlstore_error(code);
}

static int query(ch_sqlstore_db *db, int number, sqlite3_stmt **out, const char *types, va_list arguments) {
  int error = prepared(db, number, out);
  if (!error) error = bind(*out, types, arguments);
  return error;
}

int ch_sqlstore_query(ch_sqlstore_db *db, int number, sqlite3_stmt **out, const char *types, ...) {
  va_list arguments;
  va_start(arguments, types);
  int error = query(db, number, out, types, arguments);
  va_end(arguments);
  return error;
}

int ch_sqlstore_step(sqlite3_stmt *statement) {
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW) return 1;
  ch_sqlstore_end(statement);
  return ch_sqlstore_error(code);
}

void ch_sqlstore_end(sqlite3_stmt *statement) {
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
}

static int run(sqlite3_stmt *statement) {
  int more;
  while ((more = ch_sqlstore_step(statement)) > 0) continue;
  return more;
}

int ch_sqlstore_do(ch_sqlstore_db *db, int number, const char *types, ...) {
  sqlite3_stmt *statement;
  va_list arguments;
  va_start(arguments, types);
  int error = query(db, number, &statement, types, arguments);
  va_end(arguments);
  return error ? error : run(statement);
}

int ch_sqlstore_number(ch_sqlstore_db *db, int number, uint64_t *out, const char *types, ...) {
  sqlite3_stmt *statement;
  va_list arguments;
  va_start(arguments, types);
  int error = query(db, number, &statement, types, arguments);
  va_end(arguments);
  *out = 0;
  if (error) return error;
  int more = ch_sqlstore_step(statement);
  if (more <= 0) return more;
  *out = ch_sqlstore_column_u64(statement, 0);
  ch_sqlstore_end(statement);
  return 0;
}

uint64_t ch_sqlstore_column_u64(sqlite3_stmt *statement, int column) {
  return (uint64_t)sqlite3_column_int64(statement, column);
}

uint32_t ch_sqlstore_column_u32(sqlite3_stmt *statement, int column) {
  return (uint32_t)sqlite3_column_int64(statement, column);
}

chat_bytes ch_sqlstore_column_bytes(sqlite3_stmt *statement, int column) {
  const void *data = sqlite3_column_blob(statement, column);
  return (chat_bytes){data, data ? (size_t)sqlite3_column_bytes(statement, column) : 0};
}

int ch_sqlstore_column_copy(sqlite3_stmt *statement, int column, chat_op *op, chat_bytes *out) {
  chat_bytes bytes = ch_sqlstore_column_bytes(statement, column);
  *out = chat_op_copy(op, bytes);
  return bytes.len > 0 && !out->data ? CHAT_E_NOMEM : 0;
}

int ch_sqlstore_column_key(sqlite3_stmt *statement, int column, uint8_t out[16]) {
  chat_bytes bytes = ch_sqlstore_column_bytes(statement, column);
  if (bytes.len != 16) return CHAT_E_CORRUPT;
  memcpy(out, bytes.data, 16);
  return 0;
}
