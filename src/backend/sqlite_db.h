/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite_db.h - what every backend over SQLite shares: one connection with its prepared statements, and how they are run. A connection has one owner thread.
 *
 * A statement that is under way holds its snapshot and locks: every path out of a loop ends it, either by stepping until 0 or an error, or by
 * ch_sqlite_end.
 */
#ifndef CH_BACKEND_SQLITE_DB_H
#define CH_BACKEND_SQLITE_DB_H

#include <chat/backend.h>
#include <sqlite3.h>
#include <stdbool.h>

enum { CH_SQLITE_STATEMENTS_MAX = 64 };

typedef struct ch_sqlite_db {
  sqlite3 *handle;
  const char *const *sql; /* text of each statement, by its number */
  sqlite3_stmt *statements[CH_SQLITE_STATEMENTS_MAX];
} ch_sqlite_db;

/* CHAT_E_* of what SQLite said last; BUSY and LOCKED are CHAT_E_AGAIN, an interrupt CHAT_E_CANCELED, what is unknown CHAT_E_IO. handle NULL: there is none. */
int ch_sqlite_error(sqlite3 *handle, int code);

/* flags as of sqlite3_open_v2. Also after an error it is to be closed. */
int ch_sqlite_open(ch_sqlite_db *db, const char *path, int flags);
/* Also where it was never opened. `sql` stays. */
void ch_sqlite_close(ch_sqlite_db *db);
/* Runs statements that give no rows. */
int ch_sqlite_exec(sqlite3 *handle, const char *sql);
/* In front of each BEGIN: a transaction that could not be ended before, because there was no memory for that, is rolled back now. */
int ch_sqlite_settle(sqlite3 *handle);
/* PRAGMA quick_check: 0, CHAT_E_CORRUPT, or why it could not be done. */
int ch_sqlite_check(sqlite3 *handle);
/* Everything that was committed survives a power loss: with synchronous=NORMAL in WAL, where a commit alone is only written. CHAT_E_IO. */
int ch_sqlite_sync_log(sqlite3 *handle);
/* PRAGMA user_version. */
int ch_sqlite_version(sqlite3 *handle, uint64_t *version);

/* Prepares (once) and binds arguments by a letter each: u uint64_t, b chat_bytes, k const uint8_t[16], t const char *. What is borrowed must stay until the statement has ended. */
int ch_sqlite_query(ch_sqlite_db *db, int statement, sqlite3_stmt **out, const char *types, ...);
/* 1: a row; 0: no more (ended); negative CHAT_E_* (ended). */
int ch_sqlite_step(sqlite3_stmt *statement);
void ch_sqlite_end(sqlite3_stmt *statement);
/* Binds, runs to its end and ignores rows. */
int ch_sqlite_run(ch_sqlite_db *db, int statement, const char *types, ...);
/* The first column of the first row, 0 where there is none. */
int ch_sqlite_number(ch_sqlite_db *db, int statement, uint64_t *out, const char *types, ...);

uint64_t ch_sqlite_u64(sqlite3_stmt *statement, int column);
uint32_t ch_sqlite_u32(sqlite3_stmt *statement, int column);
/* Valid until the next step. */
chat_bytes ch_sqlite_bytes(sqlite3_stmt *statement, int column);
/* Into the op's memory; CHAT_E_NOMEM. */
int ch_sqlite_copy(sqlite3_stmt *statement, int column, chat_op *op, chat_bytes *out);
/* Exactly 16 bytes; else CHAT_E_CORRUPT. */
int ch_sqlite_id(sqlite3_stmt *statement, int column, uint8_t out[16]);

#endif
