/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_sqlite/overlay.h"

#include <string.h>

#include "core/bytes.h"

void ch_overlay_begin(ch_overlay *overlay, const ch_sqlstore_tail *older, const ch_sqlstore_tail *newer) {
  const ch_sqlstore_tail *last = newer->position > older->position ? newer : older;
  *overlay = (ch_overlay){.position = last->position};
  memcpy(overlay->log_identity, last->log_identity, sizeof overlay->log_identity);
}

/* ------------------------------------------------------------------------------------------------ cells */

static int copy_bytes(chat_op *op, chat_bytes *bytes) {
  size_t len = bytes->len;
  *bytes = chat_op_copy(op, *bytes);
  return len > 0 && !bytes->data ? CHAT_E_NOMEM : 0;
}

/* Head cells; the senders come by themselves. */
static int take_head(ch_overlay *overlay, const ch_sqlstore_tail_entry *entry, chat_op *op) {
  if (entry->state.position < overlay->state.position) return 0;
  chat_sender *senders = overlay->state.senders;
  size_t sender_count = overlay->state.sender_count;
  overlay->state = entry->state;
  overlay->state.senders = senders;
  overlay->state.sender_count = sender_count;
  return copy_bytes(op, &overlay->state.title);
}

static chat_sender *find_sender(chat_state *state, const chat_sender *like) {
  for (size_t i = 0; i < state->sender_count; i++) {
    chat_sender *sender = &state->senders[i];
    if (memcmp(sender->device_id, like->device_id, 16) == 0 && ch_bytes_equal(sender->user, like->user)) return sender;
  }
  return NULL;
}

/* Lays these cells over those of the state, or adds them. Names stay where they are. */
static int merge_senders(chat_op *op, chat_state *state, const chat_sender *senders, size_t count, const chat_bytes *user) {
  chat_sender *merged = count > 0 ? chat_op_alloc(op, (state->sender_count + count) * sizeof *merged) : state->senders;
  if (count > 0 && !merged) return CHAT_E_NOMEM;
  if (count > 0 && state->sender_count > 0) memcpy(merged, state->senders, state->sender_count * sizeof *merged);
  state->senders = merged;
  for (size_t i = 0; i < count; i++) {
    if (user && !ch_bytes_equal(*user, senders[i].user)) continue;
    chat_sender *known = find_sender(state, &senders[i]);
    if (!known) state->senders[state->sender_count++] = senders[i];
    else if (senders[i].position >= known->position) *known = senders[i];
  }
  return 0;
}

static int take_senders(ch_overlay *overlay, const ch_sqlstore_tail_entry *entry, chat_op *op) {
  int error = merge_senders(op, &overlay->state, entry->state.senders, entry->state.sender_count, NULL);
  for (size_t i = 0; i < overlay->state.sender_count && !error; i++)
    error = copy_bytes(op, &overlay->state.senders[i].user);
  return error;
}

/* ------------------------------------------------------------------------------------------------ rows */

static uint64_t lesser(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* The part of (low, high] that the answer can need: at most its limit from the end that was asked for. */
static void window(const chat_store_range *range, const ch_sqlstore_tail_entry *entry, size_t *from, size_t *to) {
  uint64_t first = entry->rows[0].seq, last = first + entry->row_count - 1;
  uint64_t low = range->low + 1 > first ? range->low + 1 : first, high = range->high ? lesser(range->high, last) : last;
  *from = *to = 0;
  if (low > high) return;
  if (high - low >= range->limit) *(range->newest_first ? &low : &high) = range->newest_first ? high - range->limit + 1 : low + range->limit - 1;
  *from = (size_t)(low - first);
  *to = (size_t)(high - first) + 1;
}

static int take_rows(ch_overlay_rows *out, const ch_sqlstore_tail_entry *entry, const chat_store_range *range, chat_op *op) {
  size_t from, to;
  if (entry->row_count == 0) return 0;
  window(range, entry, &from, &to);
  out->rows = chat_op_alloc(op, (to - from + 1) * sizeof *out->rows);
  if (!out->rows) return CHAT_E_NOMEM;
  for (size_t i = from; i < to; i++) {
    chat_row *row = &out->rows[out->count++];
    *row = entry->rows[i];
    if (copy_bytes(op, &row->sender) || copy_bytes(op, &row->payload)) return CHAT_E_NOMEM;
  }
  return 0;
}

int ch_overlay_take(ch_overlay *overlay, const ch_sqlstore_tail *older, const ch_sqlstore_tail *newer, const uint8_t conversation_id[16], const chat_store_range *range, chat_op *op) {
  const ch_sqlstore_tail *const tails[CH_OVERLAY_TAILS] = {older, newer};
  for (int i = 0; i < CH_OVERLAY_TAILS; i++) {
    const ch_sqlstore_tail_entry *entry = ch_sqlstore_tail_find(tails[i], conversation_id);
    if (!entry || entry->state.position == 0) continue;
    int error = take_senders(overlay, entry, op);
    if (!error) error = take_head(overlay, entry, op);
    if (!error && range) error = take_rows(&overlay->rows[i], entry, range, op);
    if (error) return error;
  }
  return 0;
}

/* ------------------------------------------------------------------------------------------------ over the tables */

void ch_overlay_head(const ch_overlay *overlay, chat_state *state) {
  if (overlay->state.position == 0 || overlay->state.position < state->position) return;
  chat_state laid = overlay->state;
  laid.members = state->members;
  laid.member_count_here = state->member_count_here;
  laid.senders = state->senders;
  laid.sender_count = state->sender_count;
  *state = laid;
}

int ch_overlay_senders(const ch_overlay *overlay, chat_op *op, const chat_bytes *user, chat_state *state) {
  return merge_senders(op, state, overlay->state.senders, overlay->state.sender_count, user);
}

static const chat_row *row_at(const ch_overlay_rows *part, uint64_t seq) {
  if (part->count == 0 || seq < part->rows[0].seq || seq - part->rows[0].seq >= part->count) return NULL;
  return &part->rows[seq - part->rows[0].seq];
}

const chat_row *ch_overlay_row(const ch_overlay *overlay, uint64_t seq, const chat_row *row) {
  for (int i = 0; i < CH_OVERLAY_TAILS; i++) {
    const chat_row *here = row_at(&overlay->rows[i], seq);
    if (here && (!row || here->message_id > row->message_id)) row = here;
  }
  return row;
}
