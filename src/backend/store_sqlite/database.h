/* SPDX-License-Identifier: Apache-2.0 */
/*
 * database.h - one connection to SQLite with its prepared statements, and how they are run. A connection has one owner thread.
 *
 * A statement that is under way holds its snapshot and locks: every path out of a loop ends it, either by stepping until 0 or an error, or by
 * ch_sqlstore_end.
 */
#ifndef CH_STORE_SQLITE_DATABASE_H
#define CH_STORE_SQLITE_DATABASE_H

#include <chat/backend.h>
#include <sqlite3.h>
#include <stdbool.h>

enum { CH_STORE_STATEMENTS_MAX = 64 };

typedef struct ch_sqlstore_db {
  sqlite3 *handle;
  const char *const *sql; /* text of each statement, by its number */
  sqlite3_stmt *statements[CH_STORE_STATEMENTS_MAX];
} ch_sqlstore_db;

enum { CH_STORE_OPEN_WRITE = 1, CH_STORE_OPEN_READ = 2 };

/* CHAT_E_* of a result code of SQLite; what is unknown is CHAT_E_IO. */
int ch_sqlstore_error(int code);

/* Opens, sets busy time-out, WAL (write) and page size. `db` can be closed whatever is returned. */
int ch_sqlstore_db_open(ch_sqlstore_db *db, const char *path, int mode, const char *const *sql);
void ch_sqlstore_db_close(ch_sqlstore_db *db);
/* Runs statements that give no rows. */
int ch_sqlstore_exec(ch_sqlstore_db *db, const char *sql);

/* Binds arguments by a letter each: u uint64_t, b chat_bytes, k const uint8_t[16]. Bytes must stay until the statement has ended. */
int ch_sqlstore_query(ch_sqlstore_db *db, int statement, sqlite3_stmt **out, const char *types, ...);
/* 1: a row; 0: no more (ended); negative CHAT_E_* (ended). */
int ch_sqlstore_step(sqlite3_stmt *statement);
void ch_sqlstore_end(sqlite3_stmt *statement);
/* Binds, runs to its end and ignores rows. */
int ch_sqlstore_do(ch_sqlstore_db *db, int statement, const char *types, ...);
/* The first column of the first row, 0 where there is none. */
int ch_sqlstore_number(ch_sqlstore_db *db, int statement, uint64_t *out, const char *types, ...);

uint64_t ch_sqlstore_column_u64(sqlite3_stmt *statement, int column);
uint32_t ch_sqlstore_column_u32(sqlite3_stmt *statement, int column);
/* Valid until the next step. */
chat_bytes ch_sqlstore_column_bytes(sqlite3_stmt *statement, int column);
/* Into the op's memory; CHAT_E_NOMEM. */
int ch_sqlstore_column_copy(sqlite3_stmt *statement, int column, chat_op *op, chat_bytes *out);
/* Exactly 16 bytes; else CHAT_E_CORRUPT. */
int ch_sqlstore_column_key(sqlite3_stmt *statement, int column, uint8_t out[16]);

#endif
