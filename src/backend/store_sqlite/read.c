/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_sqlite/read.h"

#include <string.h>

#include "backend/store_check.h"
#include "backend/store_sqlite/cells.h"
#include "core/bytes.h"

/* An array in the op's memory that grows; what it leaves behind is freed with the op. */
static void *grown(chat_op *op, void *items, size_t count, size_t *room, size_t item_len) {
  if (count < *room) return items;
  size_t more = *room ? *room * 2 : 8;
  void *larger = chat_op_alloc(op, more * item_len);
  if (!larger) return NULL;
  if (count > 0) memcpy(larger, items, count * item_len);
  *room = more;
  return larger;
}

/* ------------------------------------------------------------------------------------------------ state */

static int add_member(chat_state *state, size_t *room, sqlite3_stmt *statement, chat_op *op) {
  chat_member *members = grown(op, state->members, state->member_count_here, room, sizeof *members);
  if (!members) return CHAT_E_NOMEM;
  state->members = members;
  int error = ch_sqlstore_member_column(statement, op, &members[state->member_count_here]);
  if (!error) state->member_count_here++;
  return error;
}

static int sender_column(sqlite3_stmt *statement, chat_op *op, chat_sender *sender) {
  chat_bytes name = ch_sqlite_bytes(statement, 0);
  if (name.len < 17 || name.len != 17 + (size_t)name.data[0]) return CHAT_E_CORRUPT;
  *sender = (chat_sender){
      .last = ch_sqlite_u64(statement, 1),
      .position = ch_sqlite_u64(statement, 2),
      .retired = ch_sqlite_u32(statement, 3),
  };
  memcpy(sender->device_id, name.data + name.len - 16, 16);
  sender->user = chat_op_copy(op, ch_bytes_of(name.data + 1, name.data[0]));
  return name.data[0] > 0 && !sender->user.data ? CHAT_E_NOMEM : 0;
}

static int add_sender(chat_state *state, size_t *room, sqlite3_stmt *statement, chat_op *op) {
  chat_sender *senders = grown(op, state->senders, state->sender_count, room, sizeof *senders);
  if (!senders) return CHAT_E_NOMEM;
  state->senders = senders;
  int error = sender_column(statement, op, &senders[state->sender_count]);
  if (!error) state->sender_count++;
  return error;
}

typedef int (*add_fn)(chat_state *state, size_t *room, sqlite3_stmt *statement, chat_op *op);

static int add_all(chat_state *state, size_t *room, sqlite3_stmt *statement, chat_op *op, add_fn add) {
  int more;
  while ((more = ch_sqlite_step(statement)) > 0) {
    int error = add(state, room, statement, op);
    if (error) {
      ch_sqlite_end(statement);
      return error;
    }
  }
  return more;
}

static int whole_state(ch_sqlite_db *db, uint64_t conv, chat_state *state, chat_op *op) {
  sqlite3_stmt *statement;
  size_t members_room = 0, senders_room = 0;
  int error = ch_sqlite_query(db, SQL_MEMBERS_ALL, &statement, "u", conv);
  if (!error) error = add_all(state, &members_room, statement, op, add_member);
  if (!error) error = ch_sqlite_query(db, SQL_SENDERS_ALL, &statement, "u", conv);
  return error ? error : add_all(state, &senders_room, statement, op, add_sender);
}

static int senders_of(ch_sqlite_db *db, uint64_t conv, chat_bytes user, chat_state *state, size_t *room, chat_op *op) {
  static const uint8_t least[16];
  uint8_t most[16], from[CH_STORE_PARTY_LEN], to[CH_STORE_PARTY_LEN];
  memset(most, 0xff, sizeof most);
  size_t len = ch_sqlstore_party_encode(user, least, from);
  ch_sqlstore_party_encode(user, most, to);
  sqlite3_stmt *statement;
  /* Without its device a name sorts before each of its devices. */
  int error = ch_sqlite_query(db, SQL_SENDERS_OF_USER, &statement, "ubb", conv, ch_bytes_of(from, len - 16), ch_bytes_of(to, len));
  return error ? error : add_all(state, room, statement, op, add_sender);
}

static int some_users(const ch_sqlstore_reader *reader, ch_sqlite_db *db, uint64_t conv, chat_store_state *ask) {
  chat_state *state = &ask->state;
  size_t members_room = 0, senders_room = 0;
  for (size_t i = 0; i < ask->user_count; i++) {
    sqlite3_stmt *statement;
    int error = ch_sqlite_query(db, SQL_MEMBER, &statement, "ub", conv, ask->users[i]);
    if (!error) error = add_all(state, &members_room, statement, &ask->op, add_member);
    if (!error && !ask->only_users) error = senders_of(db, conv, ask->users[i], state, &senders_room, &ask->op);
    if (error) return error;
  }
  for (size_t i = 0; i < ask->user_count && !ask->only_users; i++)
    if (ch_overlay_senders(&reader->overlay, &ask->op, &ask->users[i], state)) return CHAT_E_NOMEM;
  return 0;
}

/* Head cells of one moment: the table's, under what tails have. */
static int head_cells(ch_sqlstore_reader *reader, const uint8_t conversation_id[16], chat_op *op, chat_state *state, uint64_t *conv, uint64_t *horizon) {
  int error = ch_sqlstore_head_cells(&reader->main, conversation_id, op, state, conv, horizon);
  if (!error) ch_overlay_head(&reader->overlay, state);
  return error;
}

/* Senders are kept of a conversation that does not exist, too: its numbers are used up by refusals. */
int ch_sqlstore_state(ch_sqlstore_reader *reader, chat_op *op) {
  chat_store_state *ask = (chat_store_state *)op;
  uint64_t conv, horizon;
  if (!ch_store_users_valid(ask->users, ask->user_count)) return CHAT_E_INVALID;
  int error = head_cells(reader, ask->conversation_id, op, &ask->state, &conv, &horizon);
  if (error) return error;
  if (ask->only_users || ask->state.kind == CHAT_CHANNEL) return some_users(reader, &reader->main, conv, ask);
  error = whole_state(&reader->main, conv, &ask->state, op);
  return error ? error : ch_overlay_senders(&reader->overlay, op, NULL, &ask->state);
}

/* ------------------------------------------------------------------------------------------------ range */

/* The runs of a conversation, walked in one direction. */
typedef struct run_walk {
  sqlite3_stmt *statement; /* NULL: at its end */
  bool down;
  bool is_decoded;
  ch_sqlstore_stored_run run; /* where it stands; count 0: nowhere yet */
  chat_row rows[CH_STORE_RUN_EVENTS_MAX];
} run_walk;

/* Rows with seq in (low, high] are wanted. */
static int walk_begin(run_walk *walk, ch_sqlite_db *db, uint64_t conv, const chat_store_range *range, uint64_t low, uint64_t high) {
  *walk = (run_walk){.down = range->newest_first};
  if (walk->down) return ch_sqlite_query(db, SQL_RUNS_DOWN, &walk->statement, "uu", conv, high);
  /* The run that holds low + 1 begins at most a run's length below it. */
  uint64_t from = low + 1 > CH_STORE_RUN_EVENTS_MAX ? low + 2 - CH_STORE_RUN_EVENTS_MAX : 1;
  return ch_sqlite_query(db, SQL_RUNS_UP, &walk->statement, "uuu", conv, from, high);
}

static int walk_on(run_walk *walk) {
  int more = ch_sqlite_step(walk->statement);
  walk->is_decoded = false;
  if (more <= 0) walk->statement = NULL;
  return more <= 0 ? more : ch_sqlstore_run_column(walk->statement, &walk->run);
}

static bool is_behind(const run_walk *walk, uint64_t seq) {
  if (walk->run.count == 0) return true;
  return walk->down ? seq < walk->run.first_seq : seq >= walk->run.first_seq + walk->run.count;
}

static int walk_decode(run_walk *walk, chat_store_range *range) {
  if (walk->is_decoded) return 0;
  size_t len = walk->run.body.len;
  walk->run.body = chat_op_copy(&range->op, walk->run.body);
  if (len > 0 && !walk->run.body.data) return CHAT_E_NOMEM;
  walk->is_decoded = true;
  return ch_sqlstore_run_decode(&walk->run, range->conversation_id, walk->rows);
}

/* The row with this seq; NULL where the tables do not have it. */
static int walk_to(run_walk *walk, chat_store_range *range, uint64_t seq, const chat_row **row) {
  int error = 0;
  *row = NULL;
  while (walk->statement && is_behind(walk, seq) && !error)
    error = walk_on(walk);
  if (error || !walk->statement || seq < walk->run.first_seq || seq >= walk->run.first_seq + walk->run.count) return error;
  error = walk_decode(walk, range);
  *row = &walk->rows[seq - walk->run.first_seq];
  return error;
}

static void walk_end(const run_walk *walk) {
  if (walk->statement) ch_sqlite_end(walk->statement);
}

/* From one end, until the page is full or a row is missing (V5). */
static int fill(ch_sqlstore_reader *reader, run_walk *walk, chat_store_range *range, uint64_t low, uint64_t high) {
  uint64_t wanted = high - low < range->limit ? high - low : range->limit;
  bool down = range->newest_first;
  for (uint64_t i = 0; i < wanted; i++) {
    uint64_t seq = down ? high - i : low + 1 + i;
    const chat_row *row;
    int error = walk_to(walk, range, seq, &row);
    if (error) return error;
    row = ch_overlay_row(&reader->overlay, seq, row);
    if (!row) return 0;
    range->rows[down ? range->limit - 1 - i : i] = *row;
    range->row_count++;
  }
  return 0;
}

static int read_page(ch_sqlstore_reader *reader, uint64_t conv, chat_store_range *range) {
  uint64_t low = range->low > range->horizon ? range->low : range->horizon, high = range->state.head;
  if (range->high && range->high < high) high = range->high;
  if (low >= high) return 0;
  range->rows = chat_op_alloc(&range->op, range->limit * sizeof *range->rows);
  if (!range->rows) return CHAT_E_NOMEM;
  run_walk walk;
  int error = walk_begin(&walk, &reader->main, conv, range, low, high);
  if (!error) error = fill(reader, &walk, range, low, high);
  walk_end(&walk);
  if (range->newest_first) range->rows += range->limit - range->row_count;
  return error;
}

int ch_sqlstore_range(ch_sqlstore_reader *reader, chat_op *op) {
  chat_store_range *range = (chat_store_range *)op;
  uint64_t conv;
  range->rows = NULL;
  range->row_count = 0;
  if (!ch_store_range_valid(range)) return CHAT_E_INVALID;
  int error = head_cells(reader, range->conversation_id, op, &range->state, &conv, &range->horizon);
  if (error || range->state.kind == 0) return error;
  range->state.members = chat_op_alloc(op, sizeof *range->state.members);
  if (!range->state.members) return CHAT_E_NOMEM;
  int found = ch_sqlstore_member(&reader->main, conv, range->user, op, range->state.members);
  if (found < 0) return found;
  range->state.member_count_here = (size_t)found;
  return read_page(reader, conv, range);
}

/* ------------------------------------------------------------------------------------------------ members */

static int member_page(ch_sqlite_db *db, uint64_t conv, chat_store_members *page) {
  sqlite3_stmt *statement;
  page->members = chat_op_alloc(&page->op, page->limit * sizeof *page->members);
  if (!page->members) return CHAT_E_NOMEM;
  int more = ch_sqlite_query(db, SQL_MEMBERS_PAGE, &statement, "ub", conv, page->after);
  if (more) return more;
  while ((more = ch_sqlite_step(statement)) > 0) {
    page->more = page->member_count == page->limit;
    int error = page->more ? 0 : ch_sqlstore_member_column(statement, &page->op, &page->members[page->member_count++]);
    if (error || page->more) {
      ch_sqlite_end(statement);
      return error;
    }
  }
  return more;
}

int ch_sqlstore_members(ch_sqlstore_reader *reader, chat_op *op) {
  chat_store_members *page = (chat_store_members *)op;
  uint64_t conv, horizon;
  page->member_count = 0;
  page->more = 0;
  page->self = (chat_member){0};
  if (!ch_store_members_valid(page)) return CHAT_E_INVALID;
  int error = head_cells(reader, page->conversation_id, op, &page->state, &conv, &horizon);
  if (error || page->state.kind == 0) return error;
  int found = ch_sqlstore_member(&reader->main, conv, page->user, op, &page->self);
  return found < 0 ? found : member_page(&reader->main, conv, page);
}

/* ------------------------------------------------------------------------------------------------ heads */

enum { HEAD_CHANGED, HEAD_ID, HEAD_KIND, HEAD_ROLE, HEAD_SEQ, HEAD_MSG_NO, HEAD_ACTIVE_MS, HEAD_TITLE, HEAD_INTERVALS, HEAD_DELIVERED, HEAD_READ, HEAD_CONV, HEAD_HORIZON };

/* The list of an answer while it grows. */
typedef struct head_list {
  chat_store_heads *heads;
  size_t room;
  size_t group; /* index of the first head of the last position: they stay together */
} head_list;

/* What a former member knows of the conversation ends with its removal, its title too. */
static int end_at_removal(ch_sqlite_db *db, sqlite3_stmt *of_head, chat_bytes user, chat_op *op, chat_head *head) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(db, SQL_REMOVAL, &statement, "ub", ch_sqlite_u64(of_head, HEAD_CONV), user);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more ? more : CHAT_E_CORRUPT;
  head->head = ch_sqlite_u64(statement, 0);
  head->msg_no = ch_sqlite_u64(statement, 1);
  head->active_ms = ch_sqlite_u64(statement, 2);
  int error = ch_sqlite_copy(statement, 3, op, &head->title);
  ch_sqlite_end(statement);
  return error;
}

/* The lowest seq above the horizon that lies in an interval. */
static uint64_t first_readable(const chat_interval *intervals, int count, uint64_t horizon) {
  for (int i = 0; i < count; i++) {
    if (intervals[i].left <= horizon) continue;
    return (intervals[i].joined > horizon ? intervals[i].joined : horizon) + 1;
  }
  return horizon + 1;
}

static int head_column(ch_sqlite_db *db, sqlite3_stmt *statement, chat_bytes user, chat_op *op, chat_head *head) {
  chat_interval intervals[CHAT_MEMBER_INTERVALS_MAX];
  *head = (chat_head){
      .kind = ch_sqlite_u32(statement, HEAD_KIND),
      .role = ch_sqlite_u32(statement, HEAD_ROLE),
      .head = ch_sqlite_u64(statement, HEAD_SEQ),
      .msg_no = ch_sqlite_u64(statement, HEAD_MSG_NO),
      .position = ch_sqlite_u64(statement, HEAD_CHANGED),
      .active_ms = ch_sqlite_u64(statement, HEAD_ACTIVE_MS),
      .delivered = ch_sqlite_u64(statement, HEAD_DELIVERED),
      .read = ch_sqlite_u64(statement, HEAD_READ),
  };
  int count = ch_sqlstore_intervals_decode(ch_sqlite_bytes(statement, HEAD_INTERVALS), intervals);
  if (count < 0) return count;
  head->first = first_readable(intervals, count, ch_sqlite_u64(statement, HEAD_HORIZON));
  int error = ch_sqlite_id(statement, HEAD_ID, head->conversation_id);
  if (error) return error;
  if (head->role == CHAT_ROLE_NONE) return end_at_removal(db, statement, user, op, head);
  return ch_sqlite_copy(statement, HEAD_TITLE, op, &head->title);
}

/* Does the head at this position still belong into the answer? Where not, `more` is set and a group that would be cut is left for the next one. */
static bool fits(head_list *list, uint64_t position) {
  chat_store_heads *heads = list->heads;
  bool same = heads->head_count > 0 && heads->heads[heads->head_count - 1].position == position;
  if (heads->head_count >= heads->limit && (!same || list->group > 0)) {
    if (same) heads->head_count = list->group;
    heads->more = 1;
    return false;
  }
  if (!same) list->group = heads->head_count;
  return true;
}

static int add_head(ch_sqlite_db *db, head_list *list, sqlite3_stmt *statement) {
  chat_store_heads *heads = list->heads;
  chat_head *grown_heads = grown(&heads->op, heads->heads, heads->head_count, &list->room, sizeof *heads->heads);
  if (!grown_heads) return CHAT_E_NOMEM;
  heads->heads = grown_heads;
  int error = head_column(db, statement, heads->user, &heads->op, &heads->heads[heads->head_count]);
  if (!error) heads->head_count++;
  return error;
}

static int list_heads(ch_sqlite_db *db, chat_store_heads *heads) {
  head_list list = {.heads = heads};
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(db, SQL_HEADS, &statement, "bu", heads->user, heads->above);
  if (more) return more;
  while ((more = ch_sqlite_step(statement)) > 0) {
    bool room = fits(&list, ch_sqlite_u64(statement, HEAD_CHANGED));
    int error = room ? add_head(db, &list, statement) : 0;
    if (error || !room) {
      ch_sqlite_end(statement);
      return error;
    }
  }
  return more;
}

/* V7: the consumed position and the heads are of one snapshot, so everything up to it is in the answer. */
int ch_sqlstore_heads(ch_sqlstore_reader *reader, chat_op *op) {
  chat_store_heads *heads = (chat_store_heads *)op;
  if (!ch_store_heads_valid(heads)) return CHAT_E_INVALID;
  heads->heads = NULL;
  heads->head_count = 0;
  heads->more = 0;
  int error = ch_sqlite_number(&reader->main, SQL_CONSUMED, &heads->position, "uu", (uint64_t)CHAT_TOPIC_MESSAGES, (uint64_t)0);
  if (!error) error = list_heads(&reader->main, heads);
  if (error) return error;
  uint64_t last = heads->head_count ? heads->heads[heads->head_count - 1].position : 0;
  if (heads->more || last > heads->position) heads->position = last;
  return 0;
}

static int stored_position(ch_sqlite_db *db, chat_store_position *ask) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(db, SQL_CONSUMED, &statement, "uu", (uint64_t)ask->topic, (uint64_t)ask->partition);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  ask->position = ch_sqlite_u64(statement, COLUMN_CONSUMED);
  int error = ch_sqlite_id(statement, COLUMN_LOG, ask->log_identity);
  ch_sqlite_end(statement);
  return error;
}

int ch_sqlstore_position(ch_sqlstore_reader *reader, chat_op *op) {
  chat_store_position *ask = (chat_store_position *)op;
  const ch_overlay *overlay = &reader->overlay;
  if (ask->topic >= CHAT_TOPIC_COUNT) return CHAT_E_INVALID;
  ask->position = 0;
  memset(ask->log_identity, 0, sizeof ask->log_identity);
  int error = stored_position(&reader->main, ask);
  bool is_tails = ask->topic == CHAT_TOPIC_MESSAGES && ask->partition == 0 && overlay->position > ask->position;
  if (error || !is_tails) return error;
  ask->position = overlay->position;
  memcpy(ask->log_identity, overlay->log_identity, sizeof ask->log_identity);
  return 0;
}
