/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Effects of a batch. Rows come in the order of the log and are stored by conversation, as runs. Whatever is written twice, by a replay or a zombie, ends as it was:
 * a row that is there gives way to a higher message_id only, a cell to a position that is not lower.
 */
#include "backend/store_sqlite/apply.h"

#include <stdlib.h>
#include <string.h>

#include "backend/store_check.h"
#include "backend/store_sqlite/cells.h"
#include "backend/store_sqlite/text.h"
#include "core/bytes.h"

/* ------------------------------------------------------------------------------------------------ rows */

/* By conversation, then seq, then message_id: of two rows with one seq the higher comes last. */
static int row_order(const void *left, const void *right) {
  const chat_row *a = *(const chat_row *const *)left, *b = *(const chat_row *const *)right;
  int order = memcmp(a->conversation_id, b->conversation_id, sizeof a->conversation_id);
  if (order) return order;
  if (a->seq != b->seq) return a->seq < b->seq ? -1 : 1;
  if (a->message_id != b->message_id) return a->message_id < b->message_id ? -1 : 1;
  return 0;
}

static const chat_row **sorted_rows(const chat_store_apply *apply, chat_op *op) {
  const chat_row **rows = chat_op_alloc(op, (apply->row_count + 1) * sizeof *rows);
  if (!rows) return NULL;
  for (size_t i = 0; i < apply->row_count; i++)
    rows[i] = &apply->rows[i];
  qsort(rows, apply->row_count, sizeof *rows, row_order);
  return rows;
}

/* Local number of a conversation, made where there is none. */
static int conversation_number(ch_sqlite_db *db, const uint8_t id[16], uint64_t *conv, uint64_t *horizon) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(db, SQL_CONVERSATION, &statement, "k", id);
  if (!more) more = ch_sqlite_step(statement);
  if (more < 0) return more;
  if (more) {
    *conv = ch_sqlite_u64(statement, COLUMN_CONV);
    *horizon = ch_sqlite_u64(statement, COLUMN_HORIZON);
    ch_sqlite_end(statement);
    return 0;
  }
  int error = ch_sqlite_run(db, SQL_CONVERSATION_STUB, "k", id);
  *conv = (uint64_t)sqlite3_last_insert_rowid(db->handle);
  *horizon = 0;
  return error;
}

/* The writing of one conversation's rows. `open` is the run that is not in the table yet. */
typedef struct row_writer {
  ch_sqlite_db *db;
  const chat_allocator *alloc;
  bool no_index;
  uint64_t conv, horizon;
  uint64_t tail; /* highest seq that is in the table */
  ch_sqlstore_run open;
} row_writer;

static int flush(row_writer *writer) {
  ch_sqlstore_run *run = &writer->open;
  if (run->count == 0) return 0;
  int error = ch_sqlite_run(writer->db, SQL_RUN_INSERT, "uuuuuub", writer->conv, run->first_seq, run->count, run->first_ms, run->last_ms,
                             (uint64_t)CH_STORE_RUN_FORMAT, ch_buf_bytes(&run->body));
  uint64_t last = run->first_seq + run->count - 1;
  if (last > writer->tail) writer->tail = last;
  ch_sqlstore_run_clear(run);
  return error;
}

static int append(row_writer *writer, const chat_row *row) {
  int error = ch_sqlstore_run_takes(&writer->open, row) ? 0 : flush(writer);
  return error ? error : ch_sqlstore_run_add(&writer->open, row);
}

static int rewrite(row_writer *writer, uint64_t id, const chat_row *rows, uint64_t count) {
  ch_sqlstore_run *run = &writer->open;
  ch_sqlstore_run_clear(run);
  int error = 0;
  for (uint64_t i = 0; i < count && !error; i++)
    error = ch_sqlstore_run_add(run, &rows[i]);
  if (!error) {
    error = ch_sqlite_run(writer->db, SQL_RUN_UPDATE, "uuuuuub", id, run->first_seq, run->count, run->first_ms, run->last_ms,
                           (uint64_t)CH_STORE_RUN_FORMAT, ch_buf_bytes(&run->body));
  }
  ch_sqlstore_run_clear(run);
  return error;
}

/* The run that covers seq: 1, 0 (none) or negative. It stays open: ch_sqlite_end. */
static int covering(ch_sqlite_db *db, uint64_t conv, uint64_t seq, sqlite3_stmt **statement, ch_sqlstore_stored_run *run) {
  int more = ch_sqlite_query(db, SQL_RUN_COVERING, statement, "uu", conv, seq);
  if (!more) more = ch_sqlite_step(*statement);
  if (more <= 0) return more;
  int error = ch_sqlstore_run_column(*statement, run);
  if (!error && seq < run->first_seq + run->count) return 1;
  ch_sqlite_end(*statement);
  return error;
}

/* A row at or below the tail: a replay, an edit, or one that fills a gap. */
static int replace(row_writer *writer, const chat_row *row) {
  int error = flush(writer);
  if (error) return error;
  sqlite3_stmt *statement;
  ch_sqlstore_stored_run run;
  int found = covering(writer->db, writer->conv, row->seq, &statement, &run);
  if (found < 0) return found;
  if (found == 0) {
    error = append(writer, row);
    return error ? error : flush(writer);
  }
  chat_row rows[CH_STORE_RUN_EVENTS_MAX];
  error = ch_sqlstore_run_decode(&run, row->conversation_id, rows);
  chat_row *old = &rows[row->seq - run.first_seq];
  if (!error && row->message_id > old->message_id) {
    if (!writer->no_index) error = ch_sqlstore_text_erase(writer->db, writer->alloc, writer->conv, run.id, old);
    *old = *row;
    if (!error) error = rewrite(writer, run.id, rows, run.count);
  }
  ch_sqlite_end(statement);
  return error;
}

static int put_row(row_writer *writer, const chat_row *row) {
  uint64_t open_last = writer->open.count ? writer->open.first_seq + writer->open.count - 1 : 0;
  if (row->seq <= writer->horizon) return 0; /* pruned: it does not come back */
  if (row->seq <= writer->tail || row->seq <= open_last) return replace(writer, row);
  return append(writer, row);
}

static int row_writer_begin(row_writer *writer, const uint8_t id[16]) {
  int error = conversation_number(writer->db, id, &writer->conv, &writer->horizon);
  return error ? error : ch_sqlite_number(writer->db, SQL_RUN_TAIL, &writer->tail, "u", writer->conv);
}

static int put_rows(row_writer *writer, const chat_row **rows, size_t count) {
  int error = 0;
  const uint8_t *at = NULL;
  for (size_t i = 0; i < count && !error; i++) {
    if (!at || memcmp(at, rows[i]->conversation_id, 16) != 0) {
      error = flush(writer);
      at = rows[i]->conversation_id;
      if (!error) error = row_writer_begin(writer, at);
    }
    if (!error) error = put_row(writer, rows[i]);
  }
  return error ? error : flush(writer);
}

static int apply_rows(ch_sqlstore_writer *writer, const chat_store_apply *apply, chat_op *op) {
  if (apply->row_count == 0) return 0;
  const chat_row **rows = sorted_rows(apply, op);
  if (!rows) return CHAT_E_NOMEM;
  row_writer out = {.db = writer->db, .alloc = writer->alloc, .no_index = writer->no_index};
  ch_sqlstore_run_init(&out.open, writer->alloc);
  int error = put_rows(&out, rows, apply->row_count);
  ch_sqlstore_run_fini(&out.open);
  return error;
}

/* ------------------------------------------------------------------------------------------------ states */

static int put_head(ch_sqlite_db *db, const chat_state *state) {
  return ch_sqlite_run(db, SQL_CONVERSATION_PUT, "kuubuuuuuu", state->conversation_id, (uint64_t)state->kind, (uint64_t)state->history_from_start, state->title,
                        state->head, state->msg_no, state->message_id, state->position, state->member_count, state->active_ms);
}

/* Number and time of an event that is stored: 1; 0 where it is not; or negative. */
static int find_row(ch_sqlite_db *db, uint64_t conv, uint64_t seq, uint64_t *msg_no, uint64_t *created_ms) {
  static const uint8_t no_id[16];
  sqlite3_stmt *statement;
  ch_sqlstore_stored_run run;
  chat_row rows[CH_STORE_RUN_EVENTS_MAX];
  int found = covering(db, conv, seq, &statement, &run);
  if (found <= 0) return found;
  int error = ch_sqlstore_run_decode(&run, no_id, rows);
  ch_sqlite_end(statement);
  if (error) return error;
  *msg_no = rows[seq - run.first_seq].msg_no;
  *created_ms = rows[seq - run.first_seq].created_ms;
  return 1;
}

/* What a former member's head says for ever: how the conversation was when it went. The row of the removal is in this APPLY, or in one before. */
static int keep_removal(ch_sqlite_db *db, uint64_t conv, const chat_state *state, const chat_member *member) {
  uint64_t seq = member->intervals[member->interval_count - 1].left, msg_no = state->msg_no, active_ms = state->active_ms;
  int found = find_row(db, conv, seq, &msg_no, &active_ms);
  if (found < 0) return found;
  return ch_sqlite_run(db, SQL_REMOVAL_PUT, "ubuuub", conv, member->user, seq, msg_no, active_ms, state->title);
}

static int put_member(ch_sqlite_db *db, uint64_t conv, const chat_state *state, const chat_member *member) {
  uint8_t intervals[CH_STORE_INTERVALS_LEN];
  size_t len = ch_sqlstore_intervals_encode(member->intervals, member->interval_count, intervals);
  int error = ch_sqlite_run(db, SQL_MEMBER_PUT, "ububu", conv, member->user, (uint64_t)member->role, ch_bytes_of(intervals, len), member->position);
  bool is_gone = member->role == CHAT_ROLE_NONE && member->interval_count > 0;
  return error || !is_gone ? error : keep_removal(db, conv, state, member);
}

static int party_number(ch_sqlite_db *db, chat_bytes name, uint64_t *party) {
  int error = ch_sqlite_number(db, SQL_PARTY, party, "b", name);
  if (error || *party) return error;
  error = ch_sqlite_run(db, SQL_PARTY_INSERT, "b", name);
  *party = (uint64_t)sqlite3_last_insert_rowid(db->handle);
  return error;
}

static int put_sender(ch_sqlite_db *db, uint64_t conv, const chat_sender *sender) {
  uint8_t name[CH_STORE_PARTY_LEN];
  size_t len = ch_sqlstore_party_encode(sender->user, sender->device_id, name);
  uint64_t party;
  int error = party_number(db, ch_bytes_of(name, len), &party);
  if (error) return error;
  return ch_sqlite_run(db, SQL_SENDER_PUT, "uuuuu", conv, party, sender->last, sender->position, (uint64_t)sender->retired);
}

static int put_state(ch_sqlite_db *db, const chat_state *state) {
  int error = put_head(db, state);
  if (error || state->member_count_here + state->sender_count == 0) return error;
  uint64_t conv, horizon;
  error = conversation_number(db, state->conversation_id, &conv, &horizon);
  for (size_t i = 0; i < state->member_count_here && !error; i++)
    error = put_member(db, conv, state, &state->members[i]);
  for (size_t i = 0; i < state->sender_count && !error; i++)
    error = put_sender(db, conv, &state->senders[i]);
  return error;
}

int ch_sqlstore_apply_position(ch_sqlstore_writer *writer, uint64_t position, const uint8_t log_identity[16]) {
  return ch_sqlite_run(writer->db, SQL_CONSUMED_PUT, "uuuk", (uint64_t)CHAT_TOPIC_MESSAGES, (uint64_t)0, position, log_identity);
}

int ch_sqlstore_apply(ch_sqlstore_writer *writer, chat_op *op) {
  const chat_store_apply *apply = (const chat_store_apply *)op;
  if (!ch_store_apply_valid(apply) || apply->partition != 0) return CHAT_E_INVALID;
  int error = apply_rows(writer, apply, op);
  for (size_t i = 0; i < apply->state_count && !error; i++)
    error = put_state(writer->db, &apply->states[i]);
  return error || apply->position == 0 ? error : ch_sqlstore_apply_position(writer, apply->position, apply->log_identity);
}

static int put_entry_rows(row_writer *out, const ch_sqlstore_tail_entry *entry) {
  int error = row_writer_begin(out, entry->state.conversation_id);
  for (size_t i = 0; i < entry->row_count && !error; i++)
    error = put_row(out, &entry->rows[i]);
  return error ? error : flush(out);
}

int ch_sqlstore_apply_entry(ch_sqlstore_writer *writer, const ch_sqlstore_tail_entry *entry) {
  row_writer out = {.db = writer->db, .alloc = writer->alloc, .no_index = writer->no_index};
  ch_sqlstore_run_init(&out.open, writer->alloc);
  int error = entry->row_count > 0 ? put_entry_rows(&out, entry) : 0;
  ch_sqlstore_run_fini(&out.open);
  return error ? error : put_state(writer->db, &entry->state);
}

/* ------------------------------------------------------------------------------------------------ watermarks */

static int raise(ch_sqlite_db *db, const chat_watermark *asked, chat_watermark *stored) {
  sqlite3_stmt *statement;
  *stored = *asked;
  stored->delivered = stored->read = 0;
  int more = ch_sqlite_query(db, SQL_WATERMARK_RAISE, &statement, "kbuu", asked->conversation_id, asked->user, asked->delivered, asked->read);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  stored->delivered = ch_sqlite_u64(statement, 0);
  stored->read = ch_sqlite_u64(statement, 1);
  do more = ch_sqlite_step(statement);
  while (more > 0);
  return more;
}

int ch_sqlstore_watermarks(ch_sqlstore_writer *writer, chat_op *op) {
  chat_store_watermarks *marks = (chat_store_watermarks *)op;
  if (!ch_store_marks_valid(marks)) return CHAT_E_INVALID;
  chat_watermark *stored = chat_op_alloc(op, marks->count * sizeof *stored);
  if (!stored) return CHAT_E_NOMEM;
  int error = 0;
  for (size_t i = 0; i < marks->count && !error; i++)
    error = raise(writer->db, &marks->marks[i], &stored[i]);
  writer->result = stored;
  return error;
}

void ch_sqlstore_watermarks_give(chat_op *op, const void *result) {
  chat_store_watermarks *marks = (chat_store_watermarks *)op;
  memcpy(marks->marks, result, marks->count * sizeof *marks->marks);
}
