/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.h - tables of the store (docs/decisions/0002) and every statement that touches them.
 */
#ifndef CH_STORE_SQLITE_SCHEMA_H
#define CH_STORE_SQLITE_SCHEMA_H

#include "backend/sqlite_db.h"

enum { CH_STORE_OPEN_WRITE = 1, CH_STORE_OPEN_READ = 2 };

/* Opens, sets busy time-out, WAL (write) and page size. `db` can be closed whatever is returned. */
int ch_sqlstore_db_open(ch_sqlite_db *db, const char *path, int mode, const char *const *sql);
/* Makes the tables in an empty database. CHAT_E_VERSION: it has others, of a newer version, of one before the first release, or of another program. */
int ch_sqlstore_schema_prepare(ch_sqlite_db *db);

enum {
  SQL_BEGIN, SQL_BEGIN_WRITE, SQL_COMMIT, SQL_ROLLBACK, SQL_SAVEPOINT, SQL_RELEASE, SQL_UNDO,
  SQL_CONVERSATION, SQL_CONVERSATION_STUB, SQL_CONVERSATION_PUT, SQL_CONVERSATION_ID, SQL_HORIZON_PUT,
  SQL_RUN_TAIL, SQL_RUN_COVERING, SQL_RUN_INSERT, SQL_RUN_UPDATE, SQL_RUN_DELETE, SQL_RUN_LOWEST,
  SQL_RUNS_DOWN, SQL_RUNS_UP, SQL_RUNS_BY_ID, SQL_RUN_AGES, SQL_RUN_LAST_ID,
  SQL_MEMBER_PUT, SQL_REMOVAL_PUT, SQL_REMOVAL, SQL_MEMBERS_ALL, SQL_MEMBER, SQL_MEMBERS_PAGE, SQL_WATERMARK_RAISE, SQL_MEMBERSHIPS,
  SQL_PARTY, SQL_PARTY_INSERT, SQL_SENDER_PUT, SQL_SENDERS_ALL, SQL_SENDERS_OF_USER,
  SQL_CONSUMED, SQL_CONSUMED_PUT,
  SQL_HEADS,
  SQL_DEVICE, SQL_DEVICE_PUT, SQL_DEVICE_COUNT, SQL_DEVICES,
  SQL_STORE_ID, SQL_ERASED_PUT, SQL_ERASED, SQL_ERASED_OF, SQL_ERASED_DELETE,
  SQL_COUNT
};
_Static_assert((int)SQL_COUNT <= (int)CH_SQLITE_STATEMENTS_MAX, "room for every statement");

extern const char *const ch_sqlstore_sql[SQL_COUNT];

/* Columns of SQL_CONVERSATION. */
enum {
  COLUMN_CONV, COLUMN_KIND, COLUMN_FROM_START, COLUMN_TITLE, COLUMN_HEAD, COLUMN_MSG_NO, COLUMN_MESSAGE_ID, COLUMN_POSITION, COLUMN_MEMBER_COUNT, COLUMN_ACTIVE_MS,
  COLUMN_HORIZON
};
enum { COLUMN_CONSUMED, COLUMN_LOG }; /* of SQL_CONSUMED */
/* Columns of SQL_MEMBERS_ALL, SQL_MEMBER, SQL_MEMBERS_PAGE. */
enum { COLUMN_USER, COLUMN_ROLE, COLUMN_INTERVALS, COLUMN_DELIVERED, COLUMN_READ, COLUMN_MEMBER_POSITION };

#endif
