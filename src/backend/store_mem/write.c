/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "backend/store_check.h"
#include "backend/store_mem/store.h"
#include "core/bytes.h"

static uint64_t highest(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

static int raise_number(ch_store_mem *store, ch_cell_key key, uint64_t value) {
  if (value <= ch_cell_number(&store->table, key)) return 0;
  return ch_cell_put_number(&store->table, key, value);
}

/* Never lowered: a zombie's is below, and of another log, maybe. */
static int raise_position(ch_store_mem *store, uint32_t topic, uint32_t partition, uint64_t position, const uint8_t log_identity[16]) {
  if (position <= ch_cell_position(&store->table, topic, partition)) return 0;
  ch_stored_position *cell = ch_cell_put(&store->table, ch_cell_key_position(topic, partition), sizeof *cell);
  if (!cell) return CHAT_E_NOMEM;
  cell->value = position;
  memcpy(cell->log_identity, log_identity, sizeof cell->log_identity);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ APPLY: rows */

static int put_time(ch_store_mem *store, const chat_row *row) {
  return ch_cell_put(&store->table, ch_cell_key_time(row->created_ms, row->conversation_id, row->seq), 1) ? 0 : CHAT_E_NOMEM;
}

static int erase_time(ch_store_mem *store, const chat_row *row) {
  ch_cell_key key = ch_cell_key_time(row->created_ms, row->conversation_id, row->seq);
  return ch_store_table_erase(&store->table, (chat_bytes){key.bytes, key.len});
}

static int put_row(ch_store_mem *store, const chat_row *row) {
  size_t len = sizeof *row + row->sender.len + row->payload.len;
  chat_row *kept = ch_cell_put(&store->table, ch_cell_key_row(row->conversation_id, row->seq), len);
  if (!kept) return CHAT_E_NOMEM;
  uint8_t *trailer = (uint8_t *)(kept + 1);
  *kept = *row;
  kept->sender = ch_cell_keep(&trailer, row->sender);
  kept->payload = ch_cell_keep(&trailer, row->payload);
  return put_time(store, row);
}

/* The higher cause wins; what was pruned does not come back. */
static int apply_row(ch_store_mem *store, const chat_row *row) {
  if (row->seq <= ch_store_horizon(store, row->conversation_id)) return 0;
  const chat_row *stored = ch_cell_get(&store->table, ch_cell_key_row(row->conversation_id, row->seq));
  if (stored && stored->message_id >= row->message_id) return 0;
  int error = stored ? erase_time(store, stored) : 0;
  return error ? error : put_row(store, row);
}

/* ------------------------------------------------------------------------------------------------ APPLY: states */

static int apply_head(ch_store_mem *store, const chat_state *state) {
  ch_cell_key key = ch_cell_key_conversation(CH_CELL_HEAD, state->conversation_id);
  const ch_stored_head *stored = ch_cell_get(&store->table, key);
  if (stored && stored->position >= state->position) return 0;
  ch_stored_head *cell = ch_cell_put(&store->table, key, sizeof *cell + state->title.len);
  if (!cell) return CHAT_E_NOMEM;
  cell->kind = state->kind;
  cell->history_from_start = state->history_from_start;
  cell->head = state->head;
  cell->msg_no = state->msg_no;
  cell->message_id = state->message_id;
  cell->position = state->position;
  cell->member_count = state->member_count;
  cell->active_ms = state->active_ms;
  cell->title_len = state->title.len;
  if (state->title.len > 0) memcpy(cell->title, state->title.data, state->title.len);
  return 0;
}

/* What a former member's head says for ever. The row of the removal is in this APPLY, or in one before. */
static int keep_removal(ch_store_mem *store, const chat_state *state, const chat_member *member) {
  uint64_t seq = member->intervals[member->interval_count - 1].left;
  const chat_row *row = ch_cell_get(&store->table, ch_cell_key_row(state->conversation_id, seq));
  ch_stored_removal *cell = ch_cell_put(&store->table, ch_cell_key_member(CH_CELL_REMOVAL, state->conversation_id, member->user),
                                        sizeof *cell + state->title.len);
  if (!cell) return CHAT_E_NOMEM;
  cell->seq = seq;
  cell->msg_no = row ? row->msg_no : state->msg_no;
  cell->active_ms = row ? row->created_ms : state->active_ms;
  cell->title_len = state->title.len;
  if (state->title.len > 0) memcpy(cell->title, state->title.data, state->title.len);
  return 0;
}

static int apply_member(ch_store_mem *store, const chat_state *state, const chat_member *member) {
  ch_cell_key key = ch_cell_key_member(CH_CELL_MEMBER, state->conversation_id, member->user);
  const ch_stored_member *stored = ch_cell_get(&store->table, key);
  if (stored && stored->position >= member->position) return 0;
  ch_stored_member *cell = ch_cell_put(&store->table, key, sizeof *cell);
  if (!cell) return CHAT_E_NOMEM;
  cell->role = member->role;
  cell->position = member->position;
  cell->interval_count = member->interval_count;
  if (member->interval_count > 0) memcpy(cell->intervals, member->intervals, member->interval_count * sizeof *cell->intervals);
  if (!stored && !ch_cell_put(&store->table, ch_cell_key_under_user(CH_CELL_USER, member->user, state->conversation_id), 1))
    return CHAT_E_NOMEM;
  return member->role == CHAT_ROLE_NONE && member->interval_count > 0 ? keep_removal(store, state, member) : 0;
}

static int apply_sender(ch_store_mem *store, const chat_state *state, const chat_sender *sender) {
  ch_cell_key key = ch_cell_key_sender(state->conversation_id, sender->user, sender->device_id);
  const ch_stored_sender *stored = ch_cell_get(&store->table, key);
  if (stored && stored->position >= sender->position) return 0;
  ch_stored_sender *cell = ch_cell_put(&store->table, key, sizeof *cell);
  if (!cell) return CHAT_E_NOMEM;
  *cell = (ch_stored_sender){sender->last, sender->position, sender->retired};
  return 0;
}

static int apply_state(ch_store_mem *store, const chat_state *state) {
  int error = apply_head(store, state);
  for (size_t i = 0; !error && i < state->member_count_here; i++)
    error = apply_member(store, state, &state->members[i]);
  for (size_t i = 0; !error && i < state->sender_count; i++)
    error = apply_sender(store, state, &state->senders[i]);
  return error;
}

/* ------------------------------------------------------------------------------------------------ APPLY */

/* Rows before states, since a removal is described by its row. */
int ch_store_do_apply(ch_store_mem *store, chat_op *op) {
  const chat_store_apply *apply = (chat_store_apply *)op;
  if (!ch_store_apply_valid(apply) || (store->config.derives_heads && apply->partition != 0)) return CHAT_E_INVALID;
  int error = 0;
  for (size_t i = 0; !error && i < apply->row_count; i++)
    error = apply_row(store, &apply->rows[i]);
  for (size_t i = 0; !error && i < apply->state_count; i++)
    error = apply_state(store, &apply->states[i]);
  return error ? error : raise_position(store, CHAT_TOPIC_MESSAGES, apply->partition, apply->position, apply->log_identity);
}

/* ------------------------------------------------------------------------------------------------ WATERMARKS */

static int raise_mark(ch_store_mem *store, chat_watermark *mark) {
  ch_cell_key key = ch_cell_key_member(CH_CELL_MARK, mark->conversation_id, mark->user);
  const ch_stored_mark *stored = ch_cell_get(&store->table, key);
  ch_stored_mark now = stored ? *stored : (ch_stored_mark){0};
  bool is_higher = mark->delivered > now.delivered || mark->read > now.read;
  mark->delivered = now.delivered = highest(now.delivered, mark->delivered);
  mark->read = now.read = highest(now.read, mark->read);
  if (!is_higher) return 0;
  ch_stored_mark *cell = ch_cell_put(&store->table, key, sizeof *cell);
  if (!cell) return CHAT_E_NOMEM;
  *cell = now;
  return 0;
}

/* Of a user that was never a member nothing is stored, and so the result is nothing. */
static int raise_mark_of_member(ch_store_mem *store, chat_watermark *mark) {
  if (ch_cell_get(&store->table, ch_cell_key_member(CH_CELL_MEMBER, mark->conversation_id, mark->user))) return raise_mark(store, mark);
  mark->delivered = mark->read = 0;
  return 0;
}

int ch_store_do_watermarks(ch_store_mem *store, chat_op *op) {
  chat_store_watermarks *raise = (chat_store_watermarks *)op;
  if (!ch_store_marks_valid(raise)) return CHAT_E_INVALID;
  int error = 0;
  for (size_t i = 0; !error && i < raise->count; i++)
    error = raise_mark_of_member(store, &raise->marks[i]);
  return error;
}

/* ------------------------------------------------------------------------------------------------ WRITE_HEADS */

/* Each cell by its own cause (V1): everything but the position by the head's seq, the position by itself. */
static int write_head(ch_store_mem *store, const chat_user_head *written) {
  ch_cell_key key = ch_cell_key_under_user(CH_CELL_USER_HEAD, written->user, written->head.conversation_id);
  const chat_head *stored = ch_cell_get(&store->table, key);
  const chat_head *winner = stored && stored->head >= written->head.head ? stored : &written->head;
  uint64_t position = stored ? highest(stored->position, written->head.position) : written->head.position;
  if (winner == stored && position == stored->position) return 0;
  chat_head *cell = ch_cell_put(&store->table, key, sizeof *cell + winner->title.len);
  if (!cell) return CHAT_E_NOMEM;
  uint8_t *trailer = (uint8_t *)(cell + 1);
  *cell = *winner;
  cell->position = position;
  cell->delivered = cell->read = 0;
  cell->title = ch_cell_keep(&trailer, winner->title);
  return 0;
}

int ch_store_do_write_heads(ch_store_mem *store, chat_op *op) {
  const chat_store_write_heads *write = (chat_store_write_heads *)op;
  if (store->config.derives_heads) return CHAT_E_UNSUPPORTED;
  if (write->partition >= store->config.delivery_partitions) return CHAT_E_INVALID;
  for (size_t i = 0; i < write->count; i++) {
    if (!ch_user_id_valid(write->heads[i].user) || write->heads[i].head.title.len > CHAT_TITLE_MAX) return CHAT_E_INVALID;
  }
  int error = 0;
  for (size_t i = 0; !error && i < write->count; i++)
    error = write_head(store, &write->heads[i]);
  return error ? error : raise_position(store, CHAT_TOPIC_DELIVERIES, write->partition, write->position, write->log_identity);
}

/* ------------------------------------------------------------------------------------------------ PRUNE */

static uint64_t read_u64(const uint8_t *bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++)
    value = value << 8 | bytes[i];
  return value;
}

static int prune_row(ch_store_mem *store, const uint8_t conversation_id[16], uint64_t seq, chat_bytes time_key) {
  int error = raise_number(store, ch_cell_key_conversation(CH_CELL_HORIZON, conversation_id), seq);
  ch_cell_key key = ch_cell_key_row(conversation_id, seq);
  if (!error) error = ch_store_table_erase(&store->table, (chat_bytes){key.bytes, key.len});
  return error ? error : ch_store_table_erase(&store->table, time_key);
}

/* A row above the head is not part of its conversation yet: a horizon there would cut off what is still to come. */
static bool is_below_head(const ch_store_mem *store, const uint8_t conversation_id[16], uint64_t seq) {
  const ch_stored_head *cell = ch_cell_get(&store->table, ch_cell_key_conversation(CH_CELL_HEAD, conversation_id));
  return cell && seq <= cell->head;
}

int ch_store_do_prune(ch_store_mem *store, chat_op *op) {
  chat_store_prune *prune = (chat_store_prune *)op;
  if (prune->limit == 0) return CHAT_E_INVALID;
  prune->pruned = 0;
  ch_cell_key all = {.bytes = {CH_CELL_TIME}, .len = 1};
  for (const ch_store_node *node = ch_cell_first(&store->table, &all); node && prune->pruned < prune->limit;
       node = ch_cell_next(node, &all)) {
    const uint8_t *rest = ch_cell_rest(node, &all).data; /* created_ms, conversation, seq */
    if (read_u64(rest) >= prune->before_ms) break;
    uint64_t seq = read_u64(rest + 24);
    if (!is_below_head(store, rest + 8, seq)) continue;
    int error = prune_row(store, rest + 8, seq, ch_store_node_key(node));
    if (error) return error;
    prune->pruned++;
  }
  return 0;
}
