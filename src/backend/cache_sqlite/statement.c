/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cache_sqlite/statement.h"

#define OUTBOX "client_id, conversation_id, client_seq, created_ms, type, state, discard, error, payload, peer"
#define CONVERSATION \
  "conversation_id, kind, role, history_from_start, members_stale, head, msg_no, cursor, start, floor, read_msg_no, delivered, \"read\", " \
  "delivered_sent, read_sent, next_client_seq, active_ms, member_count, title, peer"
#define ROW "r.id, p.id, r.seq, r.msg_no, r.message_id, r.created_ms, r.client_seq, r.sender, r.device_id, r.client_id, r.type, r.payload"

const char *const ch_cache_sql[CH_SQL_COUNT] = {
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
    [CH_SQL_ROW_AT] = "SELECT " ROW ", r.id > (SELECT indexed FROM state) OR EXISTS (SELECT 1 FROM unindexed u WHERE u.row = r.id) "
                      "FROM row r JOIN place p USING (place) WHERE r.place = ? AND r.seq = ?",
    [CH_SQL_ROW_PUT] = "INSERT INTO row (place, seq, msg_no, message_id, created_ms, client_seq, sender, device_id, client_id, type, payload) "
                       "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (place, seq) DO NOTHING",
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
    [CH_SQL_INDEXED_GET] = "SELECT indexed FROM state",
    [CH_SQL_INDEXED_SET] = "UPDATE state SET indexed = ?",
    [CH_SQL_ROWS_NEW] = "SELECT id, type, payload FROM row WHERE id > ? ORDER BY id LIMIT ?",
    [CH_SQL_SEARCH_PUT] = "INSERT INTO search (rowid, body) VALUES (?, ?)",
    [CH_SQL_SEARCH_REMOVE] = "INSERT INTO search (search, rowid, body) VALUES ('delete', ?, ?)",
    [CH_SQL_SEARCH] = "SELECT " ROW " FROM row r JOIN place p USING (place) WHERE r.id IN (SELECT rowid FROM search WHERE search MATCH ?) "
                      "AND (? = 0 OR r.place = ?) AND r.message_id < ? ORDER BY r.message_id DESC, r.id DESC LIMIT ?",
};
