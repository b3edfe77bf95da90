/* SPDX-License-Identifier: Apache-2.0 */
/*
 * statement.h - one connection and its prepared statements. Every path out of a loop over rows ends its statement: by stepping until it is not 1, or by ch_cachedb_end.
 */
#ifndef CH_CACHE_SQLITE_STATEMENT_H
#define CH_CACHE_SQLITE_STATEMENT_H

#include <chat/chat.h>
#include <sqlite3.h>

typedef enum ch_cachedb_sql {
  CH_SQL_BEGIN, CH_SQL_COMMIT, CH_SQL_ROLLBACK, CH_SQL_CLEAN_GET, CH_SQL_CLEAN_SET,
  CH_SQL_VALUE_GET, CH_SQL_VALUE_PUT, CH_SQL_VALUE_REMOVE,
  CH_SQL_OUTBOX_PUT, CH_SQL_OUTBOX_REMOVE, CH_SQL_OUTBOX_LIST,
  CH_SQL_CONVERSATION_PUT, CH_SQL_CONVERSATION_LIST,
  CH_SQL_PLACE_FIND, CH_SQL_PLACE_MAKE,
  CH_SQL_MEMBERS_CLEAR, CH_SQL_MEMBER_PUT, CH_SQL_MEMBER_MARK, CH_SQL_MEMBERS_LIST,
  CH_SQL_ROW_AT, CH_SQL_ROW_PUT, CH_SQL_ROW_UPDATE, CH_SQL_ROW_REMOVE, CH_SQL_ROWS_OLDEST, CH_SQL_ROWS_NEWEST, CH_SQL_ROW_BY_CLIENT_ID,
  CH_SQL_COVER_TOUCHING, CH_SQL_COVER_REMOVE, CH_SQL_COVER_PUT, CH_SQL_COVERED, CH_SQL_COVER_CLEAR,
  CH_SQL_UNINDEXED_PUT, CH_SQL_UNINDEXED_REMOVE, CH_SQL_UNINDEXED_LIST, CH_SQL_SEARCH_PUT, CH_SQL_SEARCH_REMOVE, CH_SQL_SEARCH,
  CH_SQL_COUNT
} ch_cachedb_sql;

typedef struct ch_cachedb {
  sqlite3 *sql;
  sqlite3_stmt *statements[CH_SQL_COUNT];
} ch_cachedb;

/* CHAT_E_* of what SQLite said last. */
int ch_cachedb_error(sqlite3 *sql, int code);
/* Without arguments or results. */
int ch_cachedb_exec(sqlite3 *sql, const char *text);
/* Prepares (once) and binds. format: one letter an argument: 'b' chat_bytes, 'i' uint64_t, 'd' const uint8_t * of 16 bytes, 't' const char *. */
int ch_cachedb_query(ch_cachedb *db, ch_cachedb_sql sql, sqlite3_stmt **statement, const char *format, ...);
/* The same, and runs to the end. */
int ch_cachedb_run(ch_cachedb *db, ch_cachedb_sql sql, const char *format, ...);
/* 1: a row; 0: ended; or negative: ended. */
int ch_cachedb_step(ch_cachedb *db, sqlite3_stmt *statement);
void ch_cachedb_end(sqlite3_stmt *statement);
void ch_cachedb_close(ch_cachedb *db); /* also where it was never opened */

chat_bytes ch_cachedb_bytes(sqlite3_stmt *statement, int column); /* valid until the next step */
uint64_t ch_cachedb_u64(sqlite3_stmt *statement, int column);
/* Exactly 16 bytes, or CHAT_E_CORRUPT. */
int ch_cachedb_id(sqlite3_stmt *statement, int column, uint8_t id[16]);

#endif
