/* SPDX-License-Identifier: Apache-2.0 */
/* Each table is read from its front and from its end, up to the damage each time. */
#include "backend/cache_sqlite/salvage.h"

typedef struct part {
  const char *select, *key, *insert;
} part;

static const part parts[] = {
    {"SELECT client_id, conversation_id, client_seq, created_ms, type, state, discard, error, payload, peer FROM outbox", "rowid",
     "INSERT OR IGNORE INTO outbox (client_id, conversation_id, client_seq, created_ms, type, state, discard, error, payload, peer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
    {"SELECT name, data FROM value WHERE name IN ('user', 'device', 'session')", "name", "INSERT OR IGNORE INTO value (name, data) VALUES (?, ?)"},
    {"SELECT conversation_id, kind, role, next_client_seq, title, peer FROM conversation", "conversation_id",
     "INSERT OR IGNORE INTO conversation VALUES (?1, ?2, ?3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ?4, 0, 0, ?5, ?6)"},
};

static int copy_row(sqlite3_stmt *from, sqlite3_stmt *into, sqlite3 *to) {
  for (int i = 0; i < sqlite3_column_count(from); i++)
    sqlite3_bind_value(into, i + 1, sqlite3_column_value(from, i));
  int code = sqlite3_step(into);
  sqlite3_reset(into);
  sqlite3_clear_bindings(into);
  return (code & 0xff) == SQLITE_CONSTRAINT ? 0 : ch_sqlite_error(to, code); /* a column that is damaged to NULL: this row is lost */
}

static int copy_part(sqlite3 *from, sqlite3 *to, const part *p, const char *direction) {
  sqlite3_stmt *select = NULL, *insert = NULL;
  int error = 0;
  char *text = sqlite3_mprintf("%s ORDER BY %s %s", p->select, p->key, direction);
  if (!text) return CHAT_E_NOMEM;
  if (sqlite3_prepare_v2(from, text, -1, &select, NULL) == SQLITE_OK) {
    error = ch_sqlite_error(to, sqlite3_prepare_v2(to, p->insert, -1, &insert, NULL));
    while (!error && sqlite3_step(select) == SQLITE_ROW)
      error = copy_row(select, insert, to);
  }
  sqlite3_finalize(select);
  sqlite3_finalize(insert);
  sqlite3_free(text);
  return error;
}

int ch_cache_salvage(const char *path, sqlite3 *to) {
  sqlite3 *from = NULL;
  int error = 0;
  if (sqlite3_open_v2(path, &from, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
    sqlite3_exec(from, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL); /* no shared memory file */
    sqlite3_db_config(from, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);      /* the damaged stays as it is */
    for (size_t i = 0; !error && i < sizeof parts / sizeof *parts; i++) {
      error = copy_part(from, to, &parts[i], "ASC");
      if (!error) error = copy_part(from, to, &parts[i], "DESC");
    }
  }
  sqlite3_close(from);
  return error;
}
