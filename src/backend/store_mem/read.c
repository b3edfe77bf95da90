/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "backend/store_check.h"
#include "backend/store_mem/store.h"
#include "core/bytes.h"

/* ------------------------------------------------------------------------------------------------ into the op's memory */

int ch_store_out_bytes(chat_op *op, chat_bytes bytes, chat_bytes *out) {
  *out = chat_op_copy(op, bytes);
  return bytes.len > 0 && !out->data ? CHAT_E_NOMEM : 0;
}

void *ch_store_out_array(chat_op *op, size_t count, size_t item_len) {
  size_t len = (count > 0 ? count : 1) * item_len;
  void *array = chat_op_alloc(op, len);
  if (array) memset(array, 0, len);
  return array;
}

int ch_store_out_row(chat_op *op, const chat_row *row, chat_row *out) {
  *out = *row;
  int error = ch_store_out_bytes(op, row->sender, &out->sender);
  return error ? error : ch_store_out_bytes(op, row->payload, &out->payload);
}

int ch_store_out_head(chat_op *op, const ch_stored_head *cell, const uint8_t conversation_id[16], chat_state *out) {
  *out = (chat_state){0};
  memcpy(out->conversation_id, conversation_id, 16);
  if (!cell) return 0;
  out->kind = cell->kind;
  out->history_from_start = cell->history_from_start;
  out->head = cell->head;
  out->msg_no = cell->msg_no;
  out->message_id = cell->message_id;
  out->position = cell->position;
  out->member_count = cell->member_count;
  out->active_ms = cell->active_ms;
  return ch_store_out_bytes(op, (chat_bytes){cell->title, cell->title_len}, &out->title);
}

static int out_member(const ch_store_mem *store, chat_op *op, const uint8_t conversation_id[16], chat_bytes user,
                      const ch_stored_member *cell, chat_member *out) {
  const ch_stored_mark *mark = ch_cell_get(&store->table, ch_cell_key_member(CH_CELL_MARK, conversation_id, user));
  *out = (chat_member){.role = cell->role, .position = cell->position, .interval_count = cell->interval_count};
  if (mark) {
    out->delivered = mark->delivered;
    out->read = mark->read;
  }
  out->intervals = ch_store_out_array(op, cell->interval_count, sizeof *out->intervals);
  if (!out->intervals) return CHAT_E_NOMEM;
  memcpy(out->intervals, cell->intervals, cell->interval_count * sizeof *out->intervals);
  return ch_store_out_bytes(op, user, &out->user);
}

/* The members of `users`, those that are or were one, as state->members. */
static int out_members_of(const ch_store_mem *store, chat_op *op, const chat_bytes *users, size_t count, chat_state *state) {
  state->members = ch_store_out_array(op, count, sizeof *state->members);
  if (!state->members) return CHAT_E_NOMEM;
  for (size_t i = 0; i < count; i++) {
    const ch_stored_member *cell = ch_cell_get(&store->table, ch_cell_key_member(CH_CELL_MEMBER, state->conversation_id, users[i]));
    if (!cell) continue;
    int error = out_member(store, op, state->conversation_id, users[i], cell, &state->members[state->member_count_here]);
    if (error) return error;
    state->member_count_here++;
  }
  return 0;
}

/* `rest` of a sender's key behind the conversation: user, 0, device. */
static int out_sender(chat_op *op, chat_bytes rest, const ch_stored_sender *cell, chat_sender *out) {
  *out = (chat_sender){.last = cell->last, .position = cell->position, .retired = cell->retired};
  memcpy(out->device_id, rest.data + rest.len - 16, 16);
  return ch_store_out_bytes(op, (chat_bytes){rest.data, rest.len - 17}, &out->user);
}

static int out_senders_below(const ch_store_mem *store, chat_op *op, const ch_cell_key *prefix, chat_state *state) {
  ch_cell_key all = ch_cell_key_conversation(CH_CELL_SENDER, state->conversation_id);
  for (const ch_store_node *node = ch_cell_first(&store->table, prefix); node; node = ch_cell_next(node, prefix)) {
    int error = out_sender(op, ch_cell_rest(node, &all), ch_store_node_value(node), &state->senders[state->sender_count]);
    if (error) return error;
    state->sender_count++;
  }
  return 0;
}

int ch_store_out_whole(const ch_store_mem *store, chat_op *op, chat_state *state) {
  ch_cell_key members = ch_cell_key_conversation(CH_CELL_MEMBER, state->conversation_id);
  ch_cell_key senders = ch_cell_key_conversation(CH_CELL_SENDER, state->conversation_id);
  state->members = ch_store_out_array(op, ch_cell_count(&store->table, &members), sizeof *state->members);
  state->senders = ch_store_out_array(op, ch_cell_count(&store->table, &senders), sizeof *state->senders);
  if (!state->members || !state->senders) return CHAT_E_NOMEM;
  for (const ch_store_node *node = ch_cell_first(&store->table, &members); node; node = ch_cell_next(node, &members)) {
    chat_member *out = &state->members[state->member_count_here];
    int error = out_member(store, op, state->conversation_id, ch_cell_rest(node, &members), ch_store_node_value(node), out);
    if (error) return error;
    state->member_count_here++;
  }
  return out_senders_below(store, op, &senders, state);
}

/* ------------------------------------------------------------------------------------------------ STATE */

static int out_senders_of(const ch_store_mem *store, chat_op *op, const chat_bytes *users, size_t count, chat_state *state) {
  size_t total = 0;
  for (size_t i = 0; i < count; i++) {
    ch_cell_key prefix = ch_cell_key_senders(state->conversation_id, users[i]);
    total += ch_cell_count(&store->table, &prefix);
  }
  state->senders = ch_store_out_array(op, total, sizeof *state->senders);
  if (!state->senders) return CHAT_E_NOMEM;
  for (size_t i = 0; i < count; i++) {
    ch_cell_key prefix = ch_cell_key_senders(state->conversation_id, users[i]);
    int error = out_senders_below(store, op, &prefix, state);
    if (error) return error;
  }
  return 0;
}

/* Senders are kept of a conversation that does not exist, too: its numbers are used up by refusals. */
int ch_store_do_state(ch_store_mem *store, chat_op *op) {
  chat_store_state *ask = (chat_store_state *)op;
  if (!ch_store_users_valid(ask->users, ask->user_count)) return CHAT_E_INVALID;
  const ch_stored_head *cell = ch_cell_get(&store->table, ch_cell_key_conversation(CH_CELL_HEAD, ask->conversation_id));
  int error = ch_store_out_head(op, cell, ask->conversation_id, &ask->state);
  if (error) return error;
  if (!ask->only_users && ask->state.kind != CHAT_CHANNEL) return ch_store_out_whole(store, op, &ask->state);
  error = out_members_of(store, op, ask->users, ask->user_count, &ask->state);
  if (error || ask->only_users) return error;
  return out_senders_of(store, op, ask->users, ask->user_count, &ask->state);
}

/* ------------------------------------------------------------------------------------------------ RANGE */

uint64_t ch_store_horizon(const ch_store_mem *store, const uint8_t conversation_id[16]) {
  return ch_cell_number(&store->table, ch_cell_key_conversation(CH_CELL_HORIZON, conversation_id));
}

static const chat_row *row_at(const ch_store_mem *store, const chat_store_range *range, uint64_t seq) {
  return ch_cell_get(&store->table, ch_cell_key_row(range->conversation_id, seq));
}

/* (low, high] becomes what is given: at most `limit` rows from the asked end, up to where one is missing (V5). */
static void cut(const ch_store_mem *store, const chat_store_range *range, uint64_t *low, uint64_t *high) {
  uint64_t count = 0;
  if (range->newest_first) {
    while (*high - count > *low && count < range->limit && row_at(store, range, *high - count)) count++;
    *low = *high - count;
  } else {
    while (*low + count < *high && count < range->limit && row_at(store, range, *low + count + 1)) count++;
    *high = *low + count;
  }
}

static int out_rows(const ch_store_mem *store, chat_store_range *range, uint64_t low, uint64_t high) {
  if (high <= low) return 0;
  cut(store, range, &low, &high);
  range->rows = ch_store_out_array(&range->op, (size_t)(high - low), sizeof *range->rows);
  if (!range->rows) return CHAT_E_NOMEM;
  for (uint64_t seq = low + 1; seq <= high; seq++) {
    int error = ch_store_out_row(&range->op, row_at(store, range, seq), &range->rows[range->row_count]);
    if (error) return error;
    range->row_count++;
  }
  return 0;
}

int ch_store_do_range(ch_store_mem *store, chat_op *op) {
  chat_store_range *range = (chat_store_range *)op;
  if (!ch_store_range_valid(range)) return CHAT_E_INVALID;
  const ch_stored_head *cell = ch_cell_get(&store->table, ch_cell_key_conversation(CH_CELL_HEAD, range->conversation_id));
  int error = ch_store_out_head(op, cell, range->conversation_id, &range->state);
  if (!error) error = out_members_of(store, op, &range->user, range->user.len != 0, &range->state);
  if (error) return error;
  range->rows = NULL;
  range->row_count = 0;
  range->horizon = ch_store_horizon(store, range->conversation_id);
  uint64_t low = range->low > range->horizon ? range->low : range->horizon;
  uint64_t high = range->high && range->high < range->state.head ? range->high : range->state.head;
  return out_rows(store, range, low, high);
}

/* ------------------------------------------------------------------------------------------------ POSITION, MEMBERS */

int ch_store_do_position(ch_store_mem *store, chat_op *op) {
  chat_store_position *ask = (chat_store_position *)op;
  if (ask->topic >= CHAT_TOPIC_COUNT) return CHAT_E_INVALID;
  ch_cell_key key = ch_cell_key_position(ask->topic, ask->partition);
  const ch_stored_position none = {0}, *cell = ch_cell_get(&store->table, key);
  const ch_stored_position *synced = ch_store_table_get_synced(&store->table, (chat_bytes){key.bytes, key.len});
  if (!cell) cell = &none;
  ask->position = cell->value;
  memcpy(ask->log_identity, cell->log_identity, sizeof ask->log_identity);
  ask->synced = synced ? synced->value : 0;
  return 0;
}

static int out_self(const ch_store_mem *store, chat_store_members *ask) {
  const ch_stored_member *cell = ch_cell_get(&store->table, ch_cell_key_member(CH_CELL_MEMBER, ask->conversation_id, ask->user));
  ask->self = (chat_member){0};
  return cell ? out_member(store, &ask->op, ask->conversation_id, ask->user, cell, &ask->self) : 0;
}

static int out_present(const ch_store_mem *store, chat_store_members *ask) {
  ch_cell_key all = ch_cell_key_conversation(CH_CELL_MEMBER, ask->conversation_id);
  ch_cell_key after = ch_cell_key_member(CH_CELL_MEMBER, ask->conversation_id, ask->after);
  for (const ch_store_node *node = ch_cell_from(&store->table, &after, &all); node; node = ch_cell_next(node, &all)) {
    const ch_stored_member *cell = ch_store_node_value(node);
    chat_bytes user = ch_cell_rest(node, &all);
    if (cell->role == CHAT_ROLE_NONE || ch_bytes_equal(user, ask->after)) continue;
    ask->more = ask->member_count == ask->limit;
    if (ask->more) return 0;
    int error = out_member(store, &ask->op, ask->conversation_id, user, cell, &ask->members[ask->member_count]);
    if (error) return error;
    ask->member_count++;
  }
  return 0;
}

int ch_store_do_members(ch_store_mem *store, chat_op *op) {
  chat_store_members *ask = (chat_store_members *)op;
  if (!ch_store_members_valid(ask)) return CHAT_E_INVALID;
  const ch_stored_head *cell = ch_cell_get(&store->table, ch_cell_key_conversation(CH_CELL_HEAD, ask->conversation_id));
  int error = ch_store_out_head(op, cell, ask->conversation_id, &ask->state);
  if (!error) error = out_self(store, ask);
  if (error) return error;
  ask->member_count = 0;
  ask->more = 0;
  ask->members = ch_store_out_array(op, ask->limit, sizeof *ask->members);
  return ask->members ? out_present(store, ask) : CHAT_E_NOMEM;
}
