/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/support/contents.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/support/make.h"

enum { CHANGES_MAX = 8, ROWS_MAX = 64, NAME_LEN = 64 };

/* The first column of row number `at` of what `sql` gives, as text; empty: there is none. */
static void text_at(sqlite3 *db, const char *sql, unsigned at, char out[NAME_LEN]) {
  sqlite3_stmt *statement = NULL;
  out[0] = 0;
  if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK)
    for (unsigned i = 0; sqlite3_step(statement) == SQLITE_ROW; i++)
      if (i == at) sqlite3_snprintf(NAME_LEN, out, "%s", sqlite3_column_text(statement, 0));
  sqlite3_finalize(statement);
}

static unsigned count_of(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement = NULL;
  unsigned count = 0;
  if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK)
    while (sqlite3_step(statement) == SQLITE_ROW) count++;
  sqlite3_finalize(statement);
  return count;
}

static void pick(sqlite3 *db, fuzz_input *input, char *sql, char out[NAME_LEN]) {
  uint8_t choice = fuzz_byte(input);
  unsigned count = sql ? count_of(db, sql) : 0;
  out[0] = 0;
  if (count > 0) text_at(db, sql, choice % count, out);
  sqlite3_free(sql);
}

/* --- values --- */

static void bind_turned(sqlite3_stmt *statement, fuzz_input *input, sqlite3_value *value) {
  const uint8_t *old = sqlite3_value_blob(value);
  size_t len = (size_t)sqlite3_value_bytes(value), place = (size_t)fuzz_byte(input) | (size_t)fuzz_byte(input) << 8;
  uint8_t *turned = malloc(len + 1);
  ch_assert(turned != NULL);
  if (len > 0) memcpy(turned, old, len);
  if (len > 0) turned[place % len] = fuzz_byte(input);
  sqlite3_bind_blob(statement, 1, turned, (int)len, free);
}

static void bind_any(sqlite3_stmt *statement, fuzz_input *input, sqlite3_value *value) {
  chat_bytes piece;
  switch (fuzz_byte(input) % 8) {
  case 0:
  case 1: bind_turned(statement, input, value); break;
  case 2:
  case 3: sqlite3_bind_int64(statement, 1, (sqlite3_int64)fuzz_number(input)); break;
  case 4: sqlite3_bind_null(statement, 1); break;
  case 5: sqlite3_bind_double(statement, 1, -1e300); break;
  case 6:
    piece = fuzz_piece(input);
    sqlite3_bind_text(statement, 1, (const char *)piece.data, (int)piece.len, SQLITE_TRANSIENT);
    break;
  default:
    piece = fuzz_piece(input);
    sqlite3_bind_blob(statement, 1, piece.data, (int)piece.len, SQLITE_TRANSIENT);
  }
}

/* What it is refused for (a row of that key is there, the column is not null) changes nothing. Where it has a parameter it is given some value. */
static void run(sqlite3 *db, char *sql, fuzz_input *input, sqlite3_value *value) {
  sqlite3_stmt *statement = NULL;
  if (sql && sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK) {
    if (value) bind_any(statement, input, value);
    while (sqlite3_step(statement) == SQLITE_ROW) continue;
  }
  sqlite3_finalize(statement);
  sqlite3_free(sql);
}

/* --- changes --- */

static void change_value(sqlite3 *db, fuzz_input *input, const char *table, const char *column, unsigned row) {
  sqlite3_stmt *statement = NULL;
  char *sql = sqlite3_mprintf("SELECT \"%w\" FROM \"%w\" LIMIT 1 OFFSET %u", column, table, row);
  sqlite3_value *value = NULL;
  bool is_there = sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW;
  if (is_there) value = sqlite3_value_dup(sqlite3_column_value(statement, 0));
  sqlite3_finalize(statement);
  sqlite3_free(sql);
  if (!value) return;
  run(db,
      sqlite3_mprintf("UPDATE OR REPLACE \"%w\" SET \"%w\" = ?1 WHERE \"%w\" IS (SELECT \"%w\" FROM \"%w\" LIMIT 1 OFFSET %u)", table, column, column,
                      column, table, row),
      input, value);
  sqlite3_value_free(value);
}

static void copy_value(sqlite3 *db, fuzz_input *input, const char *table, const char *column, unsigned row) {
  unsigned other = fuzz_byte(input) % ROWS_MAX;
  run(db,
      sqlite3_mprintf("UPDATE OR REPLACE \"%w\" SET \"%w\" = (SELECT \"%w\" FROM \"%w\" LIMIT 1 OFFSET %u) WHERE \"%w\" IS (SELECT \"%w\" FROM \"%w\" LIMIT 1 OFFSET %u)",
                      table, column, column, table, other, column, column, table, row),
      NULL, NULL);
}

static void change_row(sqlite3 *db, fuzz_input *input, uint8_t how) {
  char table[NAME_LEN], column[NAME_LEN];
  pick(db, input, sqlite3_mprintf("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"), table);
  pick(db, input, sqlite3_mprintf("SELECT name FROM pragma_table_info(%Q)", table), column);
  unsigned row = fuzz_byte(input) % ROWS_MAX;
  if (!column[0]) return;
  if (how < 10)
    change_value(db, input, table, column, row);
  else if (how < 12)
    copy_value(db, input, table, column, row);
  else
    run(db, sqlite3_mprintf("DELETE FROM \"%w\" WHERE \"%w\" IS (SELECT \"%w\" FROM \"%w\" LIMIT 1 OFFSET %u)", table, column, column, table, row), NULL, NULL);
}

static void drop_something(sqlite3 *db, fuzz_input *input) {
  char name[NAME_LEN];
  pick(db, input, sqlite3_mprintf("SELECT name FROM sqlite_master ORDER BY name"), name);
  sqlite3_exec(db, "PRAGMA writable_schema = ON", NULL, NULL, NULL);
  run(db, sqlite3_mprintf("DELETE FROM sqlite_master WHERE name = %Q", name), NULL, NULL);
}

static void change(sqlite3 *db, fuzz_input *input) {
  uint8_t how = fuzz_byte(input) % 16;
  if (how == 15)
    drop_something(db, input);
  else if (how == 14)
    run(db, sqlite3_mprintf("PRAGMA user_version = %u", (unsigned)fuzz_byte(input) % 4), NULL, NULL);
  else
    change_row(db, input, how);
}

void fuzz_contents_change(const char *path, fuzz_input *input) {
  uint8_t count = fuzz_byte(input) % (CHANGES_MAX + 1);
  sqlite3 *db = NULL;
  if (count > 0 && sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
    sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    for (; count > 0; count--)
      change(db, input);
  }
  sqlite3_close(db);
}
