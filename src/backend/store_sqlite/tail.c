/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_sqlite/tail.h"

#include <string.h>

#include "core/assert.h"
#include "core/bytes.h"

enum {
  CHUNK_LEN = 256 * 1024,
  SENDERS_MAX = 1024 /* of a conversation: they are searched one by one */
};

void ch_sqlstore_tail_init(ch_sqlstore_tail *tail, const chat_allocator *alloc, size_t len_max, const uint8_t seed[CH_HASHMAP_SEED_LEN]) {
  *tail = (ch_sqlstore_tail){.row_count = 0};
  ch_arena_init(&tail->arena, alloc, CHUNK_LEN, len_max);
  ch_hashmap_init(&tail->entries, alloc, seed);
}

void ch_sqlstore_tail_fini(ch_sqlstore_tail *tail) {
  ch_hashmap_fini(&tail->entries);
  ch_arena_fini(&tail->arena);
}

void ch_sqlstore_tail_clear(ch_sqlstore_tail *tail) {
  uint8_t seed[CH_HASHMAP_SEED_LEN];
  memcpy(seed, tail->entries.seed, sizeof seed);
  ch_hashmap_fini(&tail->entries);
  ch_hashmap_init(&tail->entries, tail->arena.alloc, seed);
  ch_arena_reset(&tail->arena);
  tail->row_count = 0;
  tail->position = 0;
}

bool ch_sqlstore_tail_is_empty(const ch_sqlstore_tail *tail) {
  return tail->position == 0 && tail->entries.count == 0;
}

ch_sqlstore_tail_entry *ch_sqlstore_tail_find(const ch_sqlstore_tail *tail, const uint8_t conversation_id[16]) {
  return ch_hashmap_find(&tail->entries, ch_bytes_of(conversation_id, 16));
}

/* ------------------------------------------------------------------------------------------------ staging: everything that may fail */

/* The array with room for one more; what it leaves behind is freed with the arena. */
static void *with_room(ch_arena *arena, void *items, size_t count, size_t *room, size_t item_len) {
  if (count < *room) return items;
  size_t more = *room ? *room * 2 : 4;
  void *larger = ch_arena_alloc(arena, more * item_len);
  if (!larger) return NULL;
  if (count > 0) memcpy(larger, items, count * item_len);
  *room = more;
  return larger;
}

/* The APPLY while it is put. An entry that was made for one that then failed stays, with nothing in it. */
typedef struct putting {
  ch_sqlstore_tail *tail;
  const chat_store_apply *apply;
  ch_sqlstore_tail_entry **entries; /* of the states, in their order */
  chat_bytes *titles;
} putting;

static ch_sqlstore_tail_entry *entry_of(ch_sqlstore_tail *tail, const uint8_t id[16]) {
  ch_sqlstore_tail_entry *entry = ch_sqlstore_tail_find(tail, id);
  if (entry) return entry;
  entry = ch_arena_calloc(&tail->arena, 1, sizeof *entry);
  if (!entry || ch_hashmap_insert(&tail->entries, ch_bytes_of(id, 16), entry)) return NULL;
  memcpy(entry->state.conversation_id, id, 16);
  return entry;
}

static chat_sender *find_sender(const ch_sqlstore_tail_entry *entry, const chat_sender *like) {
  for (size_t i = 0; i < entry->state.sender_count + entry->staged_senders; i++) {
    chat_sender *sender = &entry->state.senders[i];
    if (memcmp(sender->device_id, like->device_id, 16) == 0 && ch_bytes_equal(sender->user, like->user)) return sender;
  }
  return NULL;
}

static int stage_sender(ch_sqlstore_tail *tail, ch_sqlstore_tail_entry *entry, const chat_sender *sender) {
  const chat_sender *known = find_sender(entry, sender);
  if (known) return sender->position >= known->position;
  if (entry->state.sender_count + entry->staged_senders == SENDERS_MAX) return 0;
  chat_sender *senders = with_room(&tail->arena, entry->state.senders, entry->state.sender_count + entry->staged_senders, &entry->sender_room, sizeof *senders);
  const void *user = ch_arena_dup(&tail->arena, sender->user.data, sender->user.len);
  if (!senders || !user) return CHAT_E_NOMEM;
  entry->state.senders = senders;
  chat_sender *added = &senders[entry->state.sender_count + entry->staged_senders++];
  *added = (chat_sender){.user = ch_bytes_of(user, sender->user.len)};
  memcpy(added->device_id, sender->device_id, 16);
  return 1;
}

static int stage_title(putting *put, size_t index) {
  chat_bytes title = put->apply->states[index].title, known = put->entries[index]->state.title;
  put->titles[index] = known;
  if (ch_bytes_equal(title, known)) return 1;
  const void *copy = ch_arena_dup(&put->tail->arena, title.data, title.len);
  put->titles[index] = ch_bytes_of(copy, title.len);
  return copy ? 1 : CHAT_E_NOMEM;
}

static int stage_state(putting *put, size_t index) {
  const chat_state *state = &put->apply->states[index];
  ch_sqlstore_tail_entry *entry = entry_of(put->tail, state->conversation_id);
  put->entries[index] = entry;
  if (!entry) return CHAT_E_NOMEM;
  if (state->member_count_here > 0 || entry->is_staged || state->position == 0 || state->position < entry->state.position) return 0;
  entry->is_staged = true;
  entry->staged_next = entry->row_count ? entry->rows[entry->row_count - 1].seq + 1 : 0;
  int more = stage_title(put, index);
  for (size_t i = 0; i < state->sender_count && more > 0; i++)
    more = stage_sender(put->tail, entry, &state->senders[i]);
  return more;
}

/* Most rows of a conversation have one sender or two in turn: its name is kept once for each change. */
static chat_bytes sender_name(ch_sqlstore_tail *tail, const ch_sqlstore_tail_entry *entry, chat_bytes name) {
  size_t count = entry->row_count + entry->staged_rows;
  if (count > 0 && ch_bytes_equal(entry->rows[count - 1].sender, name)) return entry->rows[count - 1].sender;
  return ch_bytes_of(ch_arena_dup(&tail->arena, name.data, name.len), name.len);
}

static int stage_row(ch_sqlstore_tail *tail, const chat_row *row) {
  ch_sqlstore_tail_entry *entry = ch_sqlstore_tail_find(tail, row->conversation_id);
  if (!entry || !entry->is_staged || (entry->staged_next && row->seq != entry->staged_next)) return 0;
  chat_row *rows = with_room(&tail->arena, entry->rows, entry->row_count + entry->staged_rows, &entry->row_room, sizeof *rows);
  if (!rows) return CHAT_E_NOMEM;
  entry->rows = rows;
  chat_row *added = &rows[entry->row_count + entry->staged_rows];
  *added = *row;
  added->sender = sender_name(tail, entry, row->sender);
  added->payload.data = ch_arena_dup(&tail->arena, row->payload.data, row->payload.len);
  if (!added->sender.data || !added->payload.data) return CHAT_E_NOMEM;
  entry->staged_rows++;
  entry->staged_next = row->seq + 1;
  return 1;
}

/* Rows above the head of their state are for the tables to hide. */
static bool rows_are_covered(const putting *put) {
  for (size_t i = 0; i < put->apply->state_count; i++) {
    const ch_sqlstore_tail_entry *entry = put->entries[i];
    if (entry->staged_rows > 0 && entry->staged_next > put->apply->states[i].head + 1) return false;
  }
  return true;
}

static int stage(putting *put) {
  int more = 1;
  for (size_t i = 0; i < put->apply->state_count && more > 0; i++)
    more = stage_state(put, i);
  for (size_t i = 0; i < put->apply->row_count && more > 0; i++)
    more = stage_row(put->tail, &put->apply->rows[i]);
  return more > 0 && !rows_are_covered(put) ? 0 : more;
}

/* ------------------------------------------------------------------------------------------------ nothing below fails */

static void commit_state(ch_sqlstore_tail_entry *entry, const chat_state *state, chat_bytes title) {
  chat_sender *senders = entry->state.senders;
  size_t sender_count = entry->state.sender_count + entry->staged_senders;
  for (size_t i = 0; i < state->sender_count; i++) {
    chat_sender *sender = find_sender(entry, &state->senders[i]);
    ch_assert(sender); /* staged, or there before */
    sender->last = state->senders[i].last;
    sender->position = state->senders[i].position;
    sender->retired = state->senders[i].retired;
  }
  entry->state = *state;
  entry->state.title = title;
  entry->state.members = NULL;
  entry->state.senders = senders;
  entry->state.sender_count = sender_count;
  entry->row_count += entry->staged_rows;
}

static void unstage(putting *put) {
  for (size_t i = 0; i < put->apply->state_count && put->entries[i]; i++) {
    ch_sqlstore_tail_entry *entry = put->entries[i];
    entry->staged_rows = entry->staged_senders = 0;
    entry->is_staged = false;
  }
}

static void commit(putting *put) {
  const chat_store_apply *apply = put->apply;
  for (size_t i = 0; i < apply->state_count; i++)
    commit_state(put->entries[i], &apply->states[i], put->titles[i]);
  put->tail->row_count += apply->row_count;
  if (apply->position <= put->tail->position) return;
  put->tail->position = apply->position;
  memcpy(put->tail->log_identity, apply->log_identity, sizeof apply->log_identity);
}

int ch_sqlstore_tail_put(ch_sqlstore_tail *tail, const chat_store_apply *apply, chat_op *scratch) {
  size_t count = apply->state_count + 1;
  putting put = {.tail = tail, .apply = apply};
  put.entries = chat_op_alloc(scratch, count * sizeof *put.entries);
  put.titles = chat_op_alloc(scratch, count * sizeof *put.titles);
  if (!put.entries || !put.titles) return CHAT_E_NOMEM;
  memset(put.entries, 0, count * sizeof(ch_sqlstore_tail_entry *));
  int more = stage(&put);
  if (more > 0) commit(&put);
  unstage(&put);
  return more;
}
