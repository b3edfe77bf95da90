/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_sqlite/schema.h"

#include <string.h>

#include "core/bytes.h"

/* Of another shape is another version: 2 keeps the log's identity beside each consumed position. */
#define SCHEMA_VERSION 2
#define APPLICATION_ID 0x63687374 /* "chst" */
#define TEXT_OF(number) TEXT(number)
#define TEXT(number) #number

/* consumed.log: identity of the log that the position is of.
 * member is keyed by the user's name, not by a party's number: pages of members are in bytewise order of it (STORE_MEMBERS), also in a channel of any size.
 * party names a sending device: length of the user id (one byte), user id, device id, so that the devices of one user are neighbours.
 * erased keeps the text of rows that were pruned, or gave way to others, until the index has forgotten it as well: a contentless index can only be told what to forget. */
static const char schema[] =
    "CREATE TABLE conversation ("
    " conv INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, kind INTEGER NOT NULL, history_from_start INTEGER NOT NULL, title BLOB NOT NULL,"
    " head_seq INTEGER NOT NULL, head_msg_no INTEGER NOT NULL, head_message_id INTEGER NOT NULL, position INTEGER NOT NULL,"
    " member_count INTEGER NOT NULL, active_ms INTEGER NOT NULL, horizon_seq INTEGER NOT NULL);"
    "CREATE TABLE run ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, conv INTEGER NOT NULL, first_seq INTEGER NOT NULL, count INTEGER NOT NULL,"
    " first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, format INTEGER NOT NULL, body BLOB NOT NULL);"
    "CREATE UNIQUE INDEX run_by_seq ON run (conv, first_seq);"
    "CREATE TABLE party (party INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE);"
    "CREATE TABLE sender (conv INTEGER, party INTEGER, last INTEGER NOT NULL, position INTEGER NOT NULL, retired INTEGER NOT NULL,"
    " PRIMARY KEY (conv, party)) WITHOUT ROWID;"
    "CREATE TABLE member (conv INTEGER, user BLOB, role INTEGER NOT NULL, intervals BLOB NOT NULL, delivered_seq INTEGER NOT NULL,"
    " read_seq INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (conv, user)) WITHOUT ROWID;"
    "CREATE TABLE removal (conv INTEGER, user BLOB, seq INTEGER NOT NULL, msg_no INTEGER NOT NULL, active_ms INTEGER NOT NULL, title BLOB NOT NULL,"
    " PRIMARY KEY (conv, user)) WITHOUT ROWID;"
    "CREATE INDEX member_by_user ON member (user, conv);"
    "CREATE TABLE device (user BLOB, device BLOB, name BLOB NOT NULL, session INTEGER NOT NULL, session_next INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL, revoked INTEGER NOT NULL, PRIMARY KEY (user, device)) WITHOUT ROWID;"
    "CREATE TABLE consumed (topic INTEGER, partition INTEGER, position INTEGER NOT NULL, log BLOB NOT NULL, PRIMARY KEY (topic, partition)) WITHOUT ROWID;"
    "CREATE TABLE erased (id INTEGER PRIMARY KEY AUTOINCREMENT, conv INTEGER NOT NULL, seq INTEGER NOT NULL, message_id INTEGER NOT NULL,"
    " run INTEGER NOT NULL, text BLOB NOT NULL);"
    "CREATE TABLE store (id BLOB NOT NULL);"
    "INSERT INTO store VALUES (randomblob(16));"
    "PRAGMA application_id = " TEXT_OF(APPLICATION_ID) ";"
    "PRAGMA user_version = " TEXT_OF(SCHEMA_VERSION) ";";

#define CONVERSATION "conv, kind, history_from_start, title, head_seq, head_msg_no, head_message_id, position, member_count, active_ms, horizon_seq"
#define MEMBER "user, role, intervals, delivered_seq, read_seq, position"

const char *const ch_sqlstore_sql[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN",
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_SAVEPOINT] = "SAVEPOINT op",
    [SQL_RELEASE] = "RELEASE op",
    [SQL_UNDO] = "ROLLBACK TO op",

    [SQL_CONVERSATION] = "SELECT " CONVERSATION " FROM conversation WHERE id = ?",
    [SQL_CONVERSATION_STUB] = "INSERT INTO conversation VALUES (NULL, ?, 0, 0, x'', 0, 0, 0, 0, 0, 0, 0)",
    /* A late writer never moves a state back: the higher position wins. */
    [SQL_CONVERSATION_PUT] = "INSERT INTO conversation VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0) ON CONFLICT (id) DO UPDATE SET"
                             " kind = ?2, history_from_start = ?3, title = ?4, head_seq = ?5, head_msg_no = ?6, head_message_id = ?7,"
                             " position = ?8, member_count = ?9, active_ms = ?10 WHERE position <= ?8",
    [SQL_CONVERSATION_ID] = "SELECT id, head_seq FROM conversation WHERE conv = ?",
    [SQL_HORIZON_PUT] = "UPDATE conversation SET horizon_seq = max(horizon_seq, ?2) WHERE conv = ?1",

    [SQL_RUN_TAIL] = "SELECT first_seq + count - 1 FROM run WHERE conv = ? ORDER BY first_seq DESC LIMIT 1",
    [SQL_RUN_COVERING] = "SELECT id, first_seq, count, format, body FROM run WHERE conv = ? AND first_seq <= ? ORDER BY first_seq DESC LIMIT 1",
    [SQL_RUN_INSERT] = "INSERT INTO run VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_RUN_UPDATE] = "UPDATE run SET first_seq = ?2, count = ?3, first_ms = ?4, last_ms = ?5, format = ?6, body = ?7 WHERE id = ?1",
    [SQL_RUN_DELETE] = "DELETE FROM run WHERE id = ?",
    [SQL_RUN_LOWEST] = "SELECT run.id, first_seq, count, format, body, head_seq FROM run JOIN conversation USING (conv) WHERE conv = ? ORDER BY first_seq LIMIT 1",
    [SQL_RUNS_DOWN] = "SELECT id, first_seq, count, format, body FROM run WHERE conv = ? AND first_seq <= ? ORDER BY first_seq DESC",
    [SQL_RUNS_UP] = "SELECT id, first_seq, count, format, body FROM run WHERE conv = ? AND first_seq >= ? AND first_seq <= ? ORDER BY first_seq",
    [SQL_RUNS_BY_ID] = "SELECT id, first_seq, count, format, body, conv FROM run WHERE id > ? ORDER BY id LIMIT ?",
    [SQL_RUN_AGES] = "SELECT id, conv, first_seq, first_ms FROM run WHERE id > ? ORDER BY id LIMIT 256",
    [SQL_RUN_LAST_ID] = "SELECT max(id) FROM run",

    /* Watermarks are not touched, and begin at 0. */
    [SQL_MEMBER_PUT] = "INSERT INTO member VALUES (?1, ?2, ?3, ?4, 0, 0, ?5) ON CONFLICT (conv, user) DO UPDATE SET"
                       " role = ?3, intervals = ?4, position = ?5 WHERE position <= ?5",
    [SQL_REMOVAL_PUT] = "INSERT INTO removal VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (conv, user) DO UPDATE SET"
                        " seq = ?3, msg_no = ?4, active_ms = ?5, title = ?6 WHERE seq < ?3",
    [SQL_REMOVAL] = "SELECT seq, msg_no, active_ms, title FROM removal WHERE conv = ? AND user = ?",
    [SQL_MEMBERS_ALL] = "SELECT " MEMBER " FROM member WHERE conv = ? ORDER BY user",
    [SQL_MEMBER] = "SELECT " MEMBER " FROM member WHERE conv = ? AND user = ?",
    [SQL_MEMBERS_PAGE] = "SELECT " MEMBER " FROM member WHERE conv = ? AND user > ? AND role <> 0 ORDER BY user",
    [SQL_WATERMARK_RAISE] = "UPDATE member SET delivered_seq = max(delivered_seq, ?3), read_seq = max(read_seq, ?4)"
                            " WHERE conv = (SELECT conv FROM conversation WHERE id = ?1) AND user = ?2 RETURNING delivered_seq, read_seq",
    [SQL_MEMBERSHIPS] = "SELECT conv FROM member WHERE user = ? LIMIT ?",

    [SQL_PARTY] = "SELECT party FROM party WHERE name = ?",
    [SQL_PARTY_INSERT] = "INSERT INTO party VALUES (NULL, ?)",
    [SQL_SENDER_PUT] = "INSERT INTO sender VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (conv, party) DO UPDATE SET"
                       " last = ?3, position = ?4, retired = ?5 WHERE position <= ?4",
    [SQL_SENDERS_ALL] = "SELECT name, last, position, retired FROM sender JOIN party USING (party) WHERE conv = ? ORDER BY name",
    [SQL_SENDERS_OF_USER] = "SELECT name, last, position, retired FROM party CROSS JOIN sender USING (party)"
                            " WHERE name > ?2 AND name <= ?3 AND conv = ?1 ORDER BY name",

    [SQL_CONSUMED] = "SELECT position, log FROM consumed WHERE topic = ? AND partition = ?",
    [SQL_CONSUMED_PUT] = "INSERT INTO consumed VALUES (?1, ?2, ?3, ?4) ON CONFLICT (topic, partition) DO UPDATE SET position = ?3, log = ?4 WHERE position < ?3",

    /* A member's head moves with the conversation, a former member's stands at its removal. */
    [SQL_HEADS] = "SELECT CASE WHEN m.role <> 0 THEN c.position ELSE m.position END AS changed, c.id, c.kind, m.role, c.head_seq, c.head_msg_no,"
                  " c.active_ms, c.title, m.intervals, m.delivered_seq, m.read_seq, c.conv, c.horizon_seq"
                  " FROM member m CROSS JOIN conversation c USING (conv) WHERE m.user = ?1 AND c.kind <> 0 AND m.intervals <> x'' AND changed > ?2 ORDER BY changed, c.id",

    [SQL_DEVICE] = "SELECT device, name, session, session_next, created_ms, seen_ms, revoked FROM device WHERE user = ? AND device = ?",
    [SQL_DEVICE_PUT] = "REPLACE INTO device VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_DEVICE_COUNT] = "SELECT count(*) FROM device WHERE user = ? AND revoked = 0",
    [SQL_DEVICES] = "SELECT device, name, session, session_next, created_ms, seen_ms, revoked FROM device WHERE user = ? ORDER BY device",

    [SQL_STORE_ID] = "SELECT id FROM store",
    [SQL_ERASED_PUT] = "INSERT INTO erased VALUES (NULL, ?, ?, ?, ?, ?)",
    [SQL_ERASED] = "SELECT id, conv, seq, message_id, run, text FROM erased WHERE id > ? ORDER BY id LIMIT ?",
    [SQL_ERASED_OF] = "SELECT seq, text FROM erased WHERE id > ?1 AND conv = ?2 AND seq >= ?3 AND seq < ?4 ORDER BY id",
    [SQL_ERASED_DELETE] = "DELETE FROM erased WHERE id <= ?",
};

/* WAL readers wait only for a recovery or the very end of a checkpoint. */
enum { BUSY_MS = 5000 };

int ch_sqlstore_db_open(ch_sqlite_db *db, const char *path, int mode, const char *const *sql) {
  memset(db, 0, sizeof *db);
  db->sql = sql;
  int flags = SQLITE_OPEN_NOMUTEX | (mode == CH_STORE_OPEN_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
  int error = ch_sqlite_open(db, path, flags);
  if (error) return error;
  sqlite3_extended_result_codes(db->handle, 1);
  sqlite3_busy_timeout(db->handle, BUSY_MS);
  /* Text of users never becomes SQL, but a damaged or foreign file may carry schema that does things. */
  sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
  sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
  if (mode != CH_STORE_OPEN_WRITE) return 0;
  return ch_sqlite_exec(db->handle, "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
}

typedef struct shape {
  int application, version, parts; /* parts: tables and all else that is in it */
} shape;

static int shape_of(ch_sqlite_db *db, shape *found) {
  static const char ask[] = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id, pragma_user_version";
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(db->handle, ask, -1, &statement, NULL);
  if (code != SQLITE_OK) return ch_sqlite_error(db->handle, code);
  code = sqlite3_step(statement);
  if (code == SQLITE_ROW) *found = (shape){sqlite3_column_int(statement, 0), sqlite3_column_int(statement, 1), sqlite3_column_int(statement, 2)};
  sqlite3_finalize(statement);
  return ch_sqlite_error(db->handle, code);
}

int ch_sqlstore_schema_prepare(ch_sqlite_db *db) {
  shape found = {0};
  int error = shape_of(db, &found);
  if (error) return error;
  if (found.application == APPLICATION_ID && found.version == SCHEMA_VERSION) return 0;
  if (found.application != 0 || found.version != 0 || found.parts != 0) return CHAT_E_VERSION;
  error = ch_sqlite_exec(db->handle, "BEGIN IMMEDIATE");
  if (!error) error = ch_sqlite_exec(db->handle, schema);
  if (!error) error = ch_sqlite_exec(db->handle, "COMMIT");
  if (error) ch_sqlite_exec(db->handle, "ROLLBACK");
  return error;
}
