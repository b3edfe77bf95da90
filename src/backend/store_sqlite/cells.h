/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cells.h - state of a conversation out of the tables: head cells, members, senders. Every function runs inside the caller's transaction.
 */
#ifndef CH_STORE_SQLITE_CELLS_H
#define CH_STORE_SQLITE_CELLS_H

#include "backend/store_sqlite/run.h"
#include "backend/store_sqlite/schema.h"
#include "core/intervals.h"

enum { CH_STORE_INTERVALS_LEN = 16 * CHAT_MEMBER_INTERVALS_MAX, CH_STORE_PARTY_LEN = 1 + CHAT_USER_ID_MAX + CHAT_DEVICE_ID_LEN };

/* Head cells. conv 0 where the conversation is not there (kind 0); a conversation that only has rows has a conv and kind 0. */
int ch_sqlstore_head_cells(ch_sqlite_db *db, const uint8_t conversation_id[16], chat_op *op, chat_state *state, uint64_t *conv, uint64_t *horizon);
/* The member in columns COLUMN_USER ... of a row; copied into the op. */
int ch_sqlstore_member_column(sqlite3_stmt *statement, chat_op *op, chat_member *member);
/* One member: 1, 0 (never a member; zeroed), or negative. */
int ch_sqlstore_member(ch_sqlite_db *db, uint64_t conv, chat_bytes user, chat_op *op, chat_member *member);
int ch_sqlstore_run_column(sqlite3_stmt *statement, ch_sqlstore_stored_run *run);

/* Intervals as stored: pairs of u64. encode: at most CHAT_MEMBER_INTERVALS_MAX, the newest. decode: count, or CHAT_E_CORRUPT. */
size_t ch_sqlstore_intervals_encode(const chat_interval *intervals, size_t count, uint8_t out[CH_STORE_INTERVALS_LEN]);
int ch_sqlstore_intervals_decode(chat_bytes bytes, chat_interval out[CHAT_MEMBER_INTERVALS_MAX]);
/* Name of a party: a device of a user. Its length. */
size_t ch_sqlstore_party_encode(chat_bytes user, const uint8_t device_id[16], uint8_t out[CH_STORE_PARTY_LEN]);

#endif
