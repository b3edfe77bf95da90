/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/sqlite_db.h"

#include <stdarg.h>
#include <string.h>

#include "backend/sqlite_file.h"
#include "core/assert.h"
#include "platform/platform.h"

int ch_sqlite_error(sqlite3 *handle, int code) {
  switch (code & 0xff) {
  case SQLITE_OK:
  case SQLITE_ROW:
  case SQLITE_DONE: return 0;
  case SQLITE_FULL: return CHAT_E_FULL;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB: return CHAT_E_CORRUPT;
  case SQLITE_BUSY:
  case SQLITE_LOCKED: return CHAT_E_AGAIN;
  case SQLITE_INTERRUPT: return CHAT_E_CANCELED;
  case SQLITE_NOMEM: return CHAT_E_NOMEM;
  case SQLITE_TOOBIG: return CHAT_E_TOO_LARGE;
  case SQLITE_IOERR:
    if (handle && sqlite3_extended_errcode(handle) == SQLITE_IOERR_NOMEM) return CHAT_E_NOMEM;
    /* fall through */
  case SQLITE_CANTOPEN: return handle ? ch_platform_file_error(sqlite3_system_errno(handle)) : CHAT_E_IO;
  default: return CHAT_E_IO;
  }
}

int ch_sqlite_open(ch_sqlite_db *db, const char *path, int flags) {
  int code = ch_sqlite_file_open(path, &db->handle, flags);
  return ch_sqlite_error(db->handle, code);
}

void ch_sqlite_close(ch_sqlite_db *db) {
  for (int i = 0; i < CH_SQLITE_STATEMENTS_MAX; i++)
    sqlite3_finalize(db->statements[i]);
  ch_sqlite_file_close(db->handle);
  *db = (ch_sqlite_db){.sql = db->sql};
}

int ch_sqlite_exec(sqlite3 *handle, const char *sql) {
  return ch_sqlite_error(handle, sqlite3_exec(handle, sql, NULL, NULL, NULL));
}

int ch_sqlite_settle(sqlite3 *handle) {
  return sqlite3_get_autocommit(handle) ? 0 : ch_sqlite_exec(handle, "ROLLBACK");
}

int ch_sqlite_check(sqlite3 *handle) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(handle, "PRAGMA quick_check(1)", -1, &statement, NULL);
  if (code == SQLITE_OK) code = sqlite3_step(statement);
  const char *verdict = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
  int error = verdict ? (strcmp(verdict, "ok") == 0 ? 0 : CHAT_E_CORRUPT) : code == SQLITE_ROW ? CHAT_E_NOMEM : ch_sqlite_error(handle, code);
  sqlite3_finalize(statement);
  return error;
}

int ch_sqlite_sync_log(sqlite3 *handle) {
  sqlite3_file *log = NULL;
  int code = sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  if (code == SQLITE_OK && log && log->pMethods) code = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
  return code == SQLITE_OK ? 0 : CHAT_E_IO;
}

int ch_sqlite_version(sqlite3 *handle, uint64_t *version) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(handle, "PRAGMA user_version", -1, &statement, NULL);
  if (code == SQLITE_OK) code = sqlite3_step(statement);
  *version = code == SQLITE_ROW ? ch_sqlite_u64(statement, 0) : 0;
  sqlite3_finalize(statement);
  return ch_sqlite_error(handle, code);
}

static int prepared(ch_sqlite_db *db, int number, sqlite3_stmt **out) {
  ch_assert(number >= 0 && number < CH_SQLITE_STATEMENTS_MAX);
  if (!db->statements[number]) {
    int code = sqlite3_prepare_v3(db->handle, db->sql[number], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[number], NULL);
    if (code != SQLITE_OK) return ch_sqlite_error(db->handle, code);
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
    case 't': code = sqlite3_bind_text(statement, i, va_arg(arguments, const char *), -1, SQLITE_STATIC); break;
    case 'b': code = bind_bytes(statement, i, va_arg(arguments, chat_bytes)); break;
    case 'k': code = sqlite3_bind_blob(statement, i, va_arg(arguments, const uint8_t *), 16, SQLITE_STATIC); break;
    default: ch_assert(!"a letter that is none");
    }
  }
  return ch_sqlite_error(sqlite3_db_handle(statement), code);
}

static int query(ch_sqlite_db *db, int number, sqlite3_stmt **out, const char *types, va_list arguments) {
  int error = prepared(db, number, out);
  if (!error) error = bind(*out, types, arguments);
  return error;
}

int ch_sqlite_query(ch_sqlite_db *db, int number, sqlite3_stmt **out, const char *types, ...) {
  va_list arguments;
  va_start(arguments, types);
  int error = query(db, number, out, types, arguments);
  va_end(arguments);
  return error;
}

int ch_sqlite_step(sqlite3_stmt *statement) {
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW) return 1;
  int error = ch_sqlite_error(sqlite3_db_handle(statement), code);
  ch_sqlite_end(statement);
  return error;
}

void ch_sqlite_end(sqlite3_stmt *statement) {
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement); /* they are borrowed */
}

static int run(sqlite3_stmt *statement) {
  int more;
  while ((more = ch_sqlite_step(statement)) > 0) continue;
  return more;
}

int ch_sqlite_run(ch_sqlite_db *db, int number, const char *types, ...) {
  sqlite3_stmt *statement;
  va_list arguments;
  va_start(arguments, types);
  int error = query(db, number, &statement, types, arguments);
  va_end(arguments);
  return error ? error : run(statement);
}

int ch_sqlite_number(ch_sqlite_db *db, int number, uint64_t *out, const char *types, ...) {
  sqlite3_stmt *statement;
  va_list arguments;
  va_start(arguments, types);
  int error = query(db, number, &statement, types, arguments);
  va_end(arguments);
  *out = 0;
  if (error) return error;
  int more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  *out = ch_sqlite_u64(statement, 0);
  ch_sqlite_end(statement);
  return 0;
}

uint64_t ch_sqlite_u64(sqlite3_stmt *statement, int column) {
  return (uint64_t)sqlite3_column_int64(statement, column);
}

uint32_t ch_sqlite_u32(sqlite3_stmt *statement, int column) {
  return (uint32_t)sqlite3_column_int64(statement, column);
}

chat_bytes ch_sqlite_bytes(sqlite3_stmt *statement, int column) {
  const void *data = sqlite3_column_blob(statement, column);
  return (chat_bytes){data, data ? (size_t)sqlite3_column_bytes(statement, column) : 0};
}

int ch_sqlite_copy(sqlite3_stmt *statement, int column, chat_op *op, chat_bytes *out) {
  chat_bytes bytes = ch_sqlite_bytes(statement, column);
  *out = chat_op_copy(op, bytes);
  return bytes.len > 0 && !out->data ? CHAT_E_NOMEM : 0;
}

int ch_sqlite_id(sqlite3_stmt *statement, int column, uint8_t out[16]) {
  chat_bytes bytes = ch_sqlite_bytes(statement, column);
  if (bytes.len != 16) return CHAT_E_CORRUPT;
  memcpy(out, bytes.data, 16);
  return 0;
}
