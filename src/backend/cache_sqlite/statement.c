/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cache_sqlite/statement.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "core/assert.h"

#define OUTBOX "client_id, conversation_id, client_seq, created_ms, type, state, discard, error, payload, peer"
#define CONVERSATION \
  "conversation_id, kind, role, history_from_start, members_stale, head, msg_no, cursor, start, floor, read_msg_no, delivered, \"read\", " \
  "delivered_sent, read_sent, next_client_seq, active_ms, member_count, title, peer"
#define ROW "r.id, p.id, r.seq, r.msg_no, r.message_id, r.created_ms, r.client_seq, r.sender, r.device_id, r.client_id, r.type, r.payload"

static const char *const texts[CH_SQL_COUNT] = {
    [CH_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [CH_SQL_COMMIT] = "COMMIT",
    [CH_SQL_ROLLBACK] = "ROLLBACK",
    [CH_SQL_CLEAN_GET] = "SELECT clean FROM state",
    [CH_SQL_CLEAN_SET] = "UPDATE state SET clean = ?",
    [CH_SQL_VALUE_GET] = "SELECT data FROM value WHERE name = ?",
    [CH_SQL_VALUE_PUT] = "INSERT OR REPLACE INTO value (name, data) VALUES (?, ?)",
    [CH_SQL_VALUE_REMOVE] = "DELETE FROM value WHERE name = ?",
    [CH_SQL_OUTBOX_PUT] = "INSERT OR REPLACE INTO outbox (" OUTBOX ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [CH_SQL_OUTBOX_REMOVE] = "DELETE FROM outbox WHERE client_id = ?",
    [CH_SQL_OUTBOX_LIST] = "SELECT " OUTBOX " FROM outbox ORDER BY conversation_id, client_seq, client_id",
    [CH_SQL_CONVERSATION_PUT] = "INSERT OR REPLACE INTO conversation (" CONVERSATION ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [CH_SQL_CONVERSATION_LIST] = "SELECT " CONVERSATION " FROM conversation ORDER BY conversation_id",
    [CH_SQL_PLACE_FIND] = "SELECT place FROM place WHERE id = ?",
    [CH_SQL_PLACE_MAKE] = "INSERT INTO place (id) VALUES (?)",
    [CH_SQL_MEMBERS_CLEAR] = "DELETE FROM member WHERE place = ?",
    [CH_SQL_MEMBER_PUT] = "INSERT OR REPLACE INTO member (place, user, role, delivered, \"read\") VALUES (?, ?, ?, ?, ?)",
    [CH_SQL_MEMBER_MARK] = "UPDATE member SET delivered = max(delivered, ?), \"read\" = max(\"read\", ?) WHERE place = ? AND user = ?",
    [CH_SQL_MEMBERS_LIST] = "SELECT user, role, delivered, \"read\" FROM member WHERE place = ? ORDER BY user",
    [CH_SQL_ROW_AT] = "SELECT " ROW ", (SELECT 1 FROM unindexed u WHERE u.row = r.id) FROM row r JOIN place p USING (place) WHERE r.place = ? AND r.seq = ?",
    [CH_SQL_ROW_PUT] = "INSERT INTO row (place, seq, msg_no, message_id, created_ms, client_seq, sender, device_id, client_id, type, payload) "
                       "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [CH_SQL_ROW_UPDATE] = "UPDATE row SET msg_no = ?, message_id = ?, created_ms = ?, client_seq = ?, sender = ?, device_id = ?, client_id = ?, type = ?, payload = ? "
                          "WHERE id = ?",
    [CH_SQL_ROW_REMOVE] = "DELETE FROM row WHERE id = ?",
    [CH_SQL_ROWS_OLDEST] = "SELECT " ROW " FROM row r JOIN place p USING (place) WHERE r.place = ? AND r.seq > ? AND r.seq <= ? ORDER BY r.seq LIMIT ?",
    [CH_SQL_ROWS_NEWEST] = "SELECT " ROW " FROM row r JOIN place p USING (place) WHERE r.place = ?1 AND r.seq >= "
                           "(SELECT min(seq) FROM (SELECT seq FROM row WHERE place = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq DESC LIMIT ?4)) AND r.seq <= ?3 "
                           "ORDER BY r.seq",
    [CH_SQL_ROW_BY_CLIENT_ID] = "SELECT " ROW " FROM row r JOIN place p USING (place) WHERE r.place = ? AND r.client_id = ? ORDER BY r.seq DESC LIMIT 1",
    [CH_SQL_COVER_TOUCHING] = "SELECT low, high FROM cover WHERE place = ? AND low <= ? AND high >= ? ORDER BY low LIMIT 1",
    [CH_SQL_COVER_REMOVE] = "DELETE FROM cover WHERE place = ? AND low = ?",
    [CH_SQL_COVER_PUT] = "INSERT INTO cover (place, low, high) VALUES (?, ?, ?)",
    [CH_SQL_COVERED] = "SELECT low, high FROM cover WHERE place = ? ORDER BY low",
    [CH_SQL_COVER_CLEAR] = "DELETE FROM cover WHERE place = ?",
    [CH_SQL_UNINDEXED_PUT] = "INSERT OR IGNORE INTO unindexed (row) VALUES (?)",
    [CH_SQL_UNINDEXED_REMOVE] = "DELETE FROM unindexed WHERE row = ?",
    [CH_SQL_UNINDEXED_LIST] = "SELECT u.row, r.type, r.payload FROM unindexed u LEFT JOIN row r ON r.id = u.row ORDER BY u.row LIMIT 1",
    [CH_SQL_SEARCH_PUT] = "INSERT INTO search (rowid, body) VALUES (?, ?)",
    [CH_SQL_SEARCH_REMOVE] = "INSERT INTO search (search, rowid, body) VALUES ('delete', ?, ?)",
    [CH_SQL_SEARCH] = "SELECT " ROW " FROM row r JOIN place p USING (place) WHERE r.id IN (SELECT rowid FROM search WHERE search MATCH ?) "
                      "AND (? = 0 OR r.place = ?) AND r.message_id < ? ORDER BY r.message_id DESC, r.id DESC LIMIT ?",
};

int ch_cachedb_error(sqlite3 *sql, int code) {
  switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW: return 0;
    case SQLITE_FULL: return CHAT_E_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return CHAT_E_CORRUPT;
    case SQLITE_INTERRUPT: return CHAT_E_CANCELED;
    case SQLITE_NOMEM: return CHAT_E_NOMEM;
    default: return sql && sqlite3_system_errno(sql) == ENOSPC ? CHAT_E_FULL : CHAT_E_IO;
  }
}

int ch_cachedb_exec(sqlite3 *sql, const char *text) {
  return ch_cachedb_error(sql, sqlite3_exec(sql, text, NULL, NULL, NULL));
}

static int bind_bytes(sqlite3_stmt *statement, int at, const void *data, size_t len) {
  return len > 0 ? sqlite3_bind_blob64(statement, at, data, len, SQLITE_STATIC) : sqlite3_bind_zeroblob(statement, at, 0);
}

static int bind(sqlite3_stmt *statement, const char *format, va_list args) {
  int code = SQLITE_OK;
  for (int at = 1; *format && code == SQLITE_OK; at++, format++) {
    if (*format == 'i') code = sqlite3_bind_int64(statement, at, (sqlite3_int64)va_arg(args, uint64_t));
    else if (*format == 'd') code = bind_bytes(statement, at, va_arg(args, const uint8_t *), 16);
    else if (*format == 't') code = sqlite3_bind_text(statement, at, va_arg(args, const char *), -1, SQLITE_STATIC);
    else {
      ch_assert(*format == 'b');
      chat_bytes bytes = va_arg(args, chat_bytes);
      code = bind_bytes(statement, at, bytes.data, bytes.len);
    }
  }
  return code;
}

static int query(ch_cachedb *db, ch_cachedb_sql sql, sqlite3_stmt **statement, const char *format, va_list args) {
  int code = SQLITE_OK;
  if (!db->statements[sql]) code = sqlite3_prepare_v3(db->sql, texts[sql], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[sql], NULL);
  *statement = db->statements[sql];
  if (code == SQLITE_OK) code = bind(*statement, format, args);
  return ch_cachedb_error(db->sql, code);
}

int ch_cachedb_query(ch_cachedb *db, ch_cachedb_sql sql, sqlite3_stmt **statement, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int error = query(db, sql, statement, format, args);
  va_end(args);
  return error;
}

int ch_cachedb_run(ch_cachedb *db, ch_cachedb_sql sql, const char *format, ...) {
  sqlite3_stmt *statement;
  va_list args;
  va_start(args, format);
  int error = query(db, sql, &statement, format, args);
  va_end(args);
  if (!error) error = ch_cachedb_step(db, statement);
  if (error > 0) ch_cachedb_end(statement);
  return error < 0 ? error : 0;
}

int ch_cachedb_step(ch_cachedb *db, sqlite3_stmt *statement) {
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW) return 1;
  int error = ch_cachedb_error(db->sql, code);
  ch_cachedb_end(statement);
  return error;
}

void ch_cachedb_end(sqlite3_stmt *statement) {
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement); /* they are borrowed */
}

void ch_cachedb_close(ch_cachedb *db) {
  for (int i = 0; i < CH_SQL_COUNT; i++) {
    sqlite3_finalize(db->statements[i]);
    db->statements[i] = NULL;
  }
  sqlite3_close(db->sql);
  db->sql = NULL;
}

chat_bytes ch_cachedb_bytes(sqlite3_stmt *statement, int column) {
  const void *data = sqlite3_column_blob(statement, column);
  return (chat_bytes){data, (size_t)sqlite3_column_bytes(statement, column)};
}

uint64_t ch_cachedb_u64(sqlite3_stmt *statement, int column) {
  return (uint64_t)sqlite3_column_int64(statement, column);
}

int ch_cachedb_id(sqlite3_stmt *statement, int column, uint8_t id[16]) {
  chat_bytes bytes = ch_cachedb_bytes(statement, column);
  if (bytes.len != 16) return CHAT_E_CORRUPT;
  memcpy(id, bytes.data, 16);
  return 0;
}
