/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cache_sqlite/schema.h"

#include <stdio.h>

#include "backend/sqlite_db.h"

const char *const ch_cache_schema_steps[] = {
    "CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), clean INTEGER NOT NULL);"
    "INSERT INTO state VALUES (1, 0);"
    "CREATE TABLE value (name TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE outbox (client_id BLOB PRIMARY KEY, conversation_id BLOB NOT NULL, client_seq INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    " type INTEGER NOT NULL, state INTEGER NOT NULL, discard INTEGER NOT NULL, error INTEGER NOT NULL, payload BLOB NOT NULL, peer BLOB NOT NULL);"
    "CREATE INDEX outbox_order ON outbox (conversation_id, client_seq);"
    "CREATE TABLE conversation (conversation_id BLOB PRIMARY KEY, kind INTEGER NOT NULL, role INTEGER NOT NULL, history_from_start INTEGER NOT NULL,"
    " members_stale INTEGER NOT NULL, head INTEGER NOT NULL, msg_no INTEGER NOT NULL, cursor INTEGER NOT NULL, start INTEGER NOT NULL, floor INTEGER NOT NULL,"
    " read_msg_no INTEGER NOT NULL, delivered INTEGER NOT NULL, \"read\" INTEGER NOT NULL, delivered_sent INTEGER NOT NULL, read_sent INTEGER NOT NULL,"
    " next_client_seq INTEGER NOT NULL, active_ms INTEGER NOT NULL, member_count INTEGER NOT NULL, title BLOB NOT NULL, peer BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE place (place INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE);"
    "CREATE TABLE member (place INTEGER NOT NULL, user BLOB NOT NULL, role INTEGER NOT NULL, delivered INTEGER NOT NULL, \"read\" INTEGER NOT NULL,"
    " PRIMARY KEY (place, user)) WITHOUT ROWID;"
    "CREATE TABLE row (id INTEGER PRIMARY KEY, place INTEGER NOT NULL, seq INTEGER NOT NULL, msg_no INTEGER NOT NULL, message_id INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, client_seq INTEGER NOT NULL, sender BLOB NOT NULL, device_id BLOB NOT NULL, client_id BLOB NOT NULL, type INTEGER NOT NULL,"
    " payload BLOB NOT NULL);"
    "CREATE UNIQUE INDEX row_seq ON row (place, seq);"
    "CREATE INDEX row_client_id ON row (place, client_id);"
    "CREATE TABLE cover (place INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, PRIMARY KEY (place, low)) WITHOUT ROWID;"
    "CREATE TABLE unindexed (row INTEGER PRIMARY KEY);"
    "CREATE VIRTUAL TABLE search USING fts5 (body, content = '', tokenize = 'unicode61 remove_diacritics 2');",
    /* Rows above `indexed` are not in the index, nor those that `unindexed` names: new rows cost no entry there. */
    "ALTER TABLE state ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;"
    "UPDATE state SET indexed = (SELECT coalesce(max(id), 0) FROM row);",
};
const size_t ch_cache_schema_step_count = sizeof ch_cache_schema_steps / sizeof *ch_cache_schema_steps;

static int run_step(sqlite3 *sql, const char *step, uint64_t version) {
  char set_version[64];
  snprintf(set_version, sizeof set_version, "PRAGMA user_version = %u", (unsigned)version);
  int error = ch_sqlite_exec(sql, "BEGIN IMMEDIATE");
  if (!error) error = ch_sqlite_exec(sql, step);
  if (!error) error = ch_sqlite_exec(sql, set_version);
  if (!error) error = ch_sqlite_exec(sql, "COMMIT");
  if (error && !sqlite3_get_autocommit(sql)) ch_sqlite_exec(sql, "ROLLBACK");
  return error;
}

int ch_cache_schema_migrate(sqlite3 *sql, const char *const *steps, size_t count) {
  uint64_t version;
  int error = ch_sqlite_version(sql, &version);
  if (!error && version > count) return CHAT_E_VERSION;
  for (; !error && version < count; version++)
    error = run_step(sql, steps[version], version + 1);
  return error;
}
