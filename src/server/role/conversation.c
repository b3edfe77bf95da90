/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/conversation.h"

#include <string.h>

#include "core/assert.h"
#include "core/rule.h"

/* ------------------------------------------------------------------------------------------------ cells */

chat_bytes ch_user_id_bytes(const ch_user_id *user) {
  return ch_bytes_of(user->bytes, user->len);
}

static ch_user_id user_id_of(chat_bytes bytes) {
  ch_assert(bytes.len <= CHAT_USER_ID_MAX);
  ch_user_id user = {.len = (uint8_t)bytes.len};
  if (bytes.len > 0) memcpy(user.bytes, bytes.data, bytes.len);
  return user;
}

static int member_order(const void *cell, chat_bytes user, const uint8_t *device_id) {
  (void)device_id;
  return ch_bytes_compare(ch_user_id_bytes(&((const ch_member_cell *)cell)->user), user);
}

static int sender_order(const void *item, chat_bytes user, const uint8_t *device_id) {
  const ch_sender_cell *cell = item;
  int order = ch_bytes_compare(ch_user_id_bytes(&cell->user), user);
  return order ? order : memcmp(cell->device_id, device_id, CHAT_DEVICE_ID_LEN);
}

typedef int (*cell_order)(const void *cell, chat_bytes user, const uint8_t *device_id);

/* The index of the first cell that is not before the key. */
static size_t place_of(const ch_cells *cells, cell_order order, chat_bytes user, const uint8_t *device_id) {
  size_t low = 0, high = cells->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (order(cells->items[middle], user, device_id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

static void *find(const ch_cells *cells, cell_order order, chat_bytes user, const uint8_t *device_id) {
  size_t place = place_of(cells, order, user, device_id);
  if (place == cells->count || order(cells->items[place], user, device_id) != 0) return NULL;
  return cells->items[place];
}

static int make_room(ch_cells *cells, const ch_allocator *alloc) {
  if (cells->count < cells->room_count) return 0;
  size_t room_count = cells->room_count ? cells->room_count * 2 : 2;
  void **items = ch_realloc(alloc, cells->items, room_count, sizeof *items);
  if (!items) return CHAT_E_NOMEM;
  cells->items = items;
  cells->room_count = room_count;
  return 0;
}

/* A zeroed cell at its place; there is none under this key. NULL when there is no memory. */
static void *insert(ch_cells *cells, const ch_allocator *alloc, size_t cell_len, cell_order order, chat_bytes user, const uint8_t *device_id) {
  if (make_room(cells, alloc)) return NULL;
  void *cell = ch_calloc(alloc, 1, cell_len);
  if (!cell) return NULL;
  size_t place = place_of(cells, order, user, device_id);
  memmove(cells->items + place + 1, cells->items + place, (cells->count - place) * sizeof *cells->items);
  cells->items[place] = cell;
  cells->count++;
  return cell;
}

static void clear(ch_cells *cells, const ch_allocator *alloc) {
  for (size_t i = 0; i < cells->count; i++)
    ch_free(alloc, cells->items[i]);
  ch_free(alloc, cells->items);
  *cells = (ch_cells){0};
}

/* ------------------------------------------------------------------------------------------------ conversation */

ch_conversation *ch_conversation_new(const ch_allocator *alloc, const uint8_t id[CHAT_CONVERSATION_ID_LEN]) {
  ch_conversation *conversation = ch_calloc(alloc, 1, sizeof *conversation);
  if (!conversation) return NULL;
  conversation->alloc = alloc;
  memcpy(conversation->id, id, CHAT_CONVERSATION_ID_LEN);
  ch_list_init(&conversation->recent);
  return conversation;
}

void ch_conversation_forget(ch_conversation *conversation) {
  ch_conversation empty = {
      .alloc = conversation->alloc,
      .recent = conversation->recent,
      .batch_slot = conversation->batch_slot,
      .membership = conversation->membership + 1,
  };
  memcpy(empty.id, conversation->id, sizeof empty.id);
  clear(&conversation->members, conversation->alloc);
  clear(&conversation->senders, conversation->alloc);
  /* The list's neighbours point at this very node, so it is copied back unchanged. */
  *conversation = empty;
}

void ch_conversation_free(ch_conversation *conversation) {
  if (!conversation) return;
  clear(&conversation->members, conversation->alloc);
  clear(&conversation->senders, conversation->alloc);
  ch_free(conversation->alloc, conversation);
}

ch_member_cell *ch_conversation_member(const ch_conversation *conversation, chat_bytes user) {
  return find(&conversation->members, member_order, user, NULL);
}

ch_sender_cell *ch_conversation_sender(const ch_conversation *conversation, chat_bytes user, const uint8_t device_id[CHAT_DEVICE_ID_LEN]) {
  return find(&conversation->senders, sender_order, user, device_id);
}

ch_member_cell *ch_conversation_member_put(ch_conversation *conversation, chat_bytes user) {
  ch_member_cell *cell = ch_conversation_member(conversation, user);
  if (cell) return cell;
  cell = insert(&conversation->members, conversation->alloc, sizeof *cell, member_order, user, NULL);
  if (cell) cell->user = user_id_of(user);
  return cell;
}

ch_sender_cell *ch_conversation_sender_put(ch_conversation *conversation, chat_bytes user, const uint8_t device_id[CHAT_DEVICE_ID_LEN]) {
  ch_sender_cell *cell = ch_conversation_sender(conversation, user, device_id);
  if (cell) return cell;
  cell = insert(&conversation->senders, conversation->alloc, sizeof *cell, sender_order, user, device_id);
  if (!cell) return NULL;
  cell->user = user_id_of(user);
  memcpy(cell->device_id, device_id, CHAT_DEVICE_ID_LEN);
  return cell;
}

ch_member_cell *ch_conversation_member_at(const ch_conversation *conversation, size_t index) {
  return conversation->members.items[index];
}

bool ch_conversation_knows(const ch_conversation *conversation, chat_bytes user) {
  return conversation->loaded && (conversation->whole || ch_conversation_member(conversation, user));
}

uint64_t ch_conversation_visible_head(const ch_conversation *conversation, chat_bytes user) {
  const ch_member_cell *cell = ch_conversation_member(conversation, user);
  return cell ? ch_intervals_prev(&cell->intervals, conversation->head) : 0;
}

/* ------------------------------------------------------------------------------------------------ from and to the store */

/* S3: is everything read from one state, and is it the state that is here? */
static bool contradicts(const ch_conversation *conversation, const chat_state *state) {
  if (conversation->loaded && state->position != conversation->position) return true;
  for (size_t i = 0; i < state->member_count_here; i++) {
    if (state->members[i].position > state->position) return true;
  }
  for (size_t i = 0; i < state->sender_count; i++) {
    if (state->senders[i].position > state->position) return true;
  }
  return false;
}

static void load_head(ch_conversation *conversation, const chat_state *state) {
  ch_assert(state->title.len <= CHAT_TITLE_MAX);
  conversation->kind = state->kind;
  conversation->history_from_start = state->history_from_start;
  conversation->head = state->head;
  conversation->msg_no = state->msg_no;
  conversation->message_id = state->message_id;
  conversation->position = state->position;
  conversation->member_count = state->member_count;
  conversation->active_ms = state->active_ms;
  conversation->title_len = state->title.len;
  if (state->title.len > 0) memcpy(conversation->title, state->title.data, state->title.len);
  conversation->whole = state->kind != CHAT_CHANNEL;
  conversation->loaded = true;
}

/* The newest CHAT_MEMBER_INTERVALS_MAX of them: nobody but the sequencer writes them, so there are no more. */
static void load_intervals(ch_intervals *intervals, const chat_member *member) {
  size_t skip = member->interval_count > CHAT_MEMBER_INTERVALS_MAX ? member->interval_count - CHAT_MEMBER_INTERVALS_MAX : 0;
  intervals->count = (uint32_t)(member->interval_count - skip);
  for (uint32_t i = 0; i < intervals->count; i++)
    intervals->items[i] = (ch_interval){.joined_seq = member->intervals[skip + i].joined, .left_seq = member->intervals[skip + i].left};
}

static int load_member(ch_conversation *conversation, const chat_member *member) {
  ch_member_cell *cell = ch_conversation_member_put(conversation, member->user);
  if (!cell) return CHAT_E_NOMEM;
  cell->role = member->role;
  cell->position = member->position;
  load_intervals(&cell->intervals, member);
  return 0;
}

static int load_sender(ch_conversation *conversation, const chat_sender *sender) {
  ch_sender_cell *cell = ch_conversation_sender_put(conversation, sender->user, sender->device_id);
  if (!cell) return CHAT_E_NOMEM;
  cell->last = sender->last;
  cell->position = sender->position;
  cell->retired = sender->retired;
  return 0;
}

/* Of a channel also the knowledge that somebody was never a member. */
static int load_strangers(ch_conversation *conversation, const chat_bytes *users, size_t user_count) {
  if (conversation->whole) return 0;
  for (size_t i = 0; i < user_count; i++) {
    if (!ch_conversation_member_put(conversation, users[i])) return CHAT_E_NOMEM;
  }
  return 0;
}

int ch_conversation_load(ch_conversation *conversation, const chat_state *state, const chat_bytes *users, size_t user_count) {
  if (contradicts(conversation, state)) return CHAT_E_AGAIN;
  conversation->membership++;
  load_head(conversation, state);
  for (size_t i = 0; i < state->member_count_here; i++) {
    if (load_member(conversation, &state->members[i])) return CHAT_E_NOMEM;
  }
  for (size_t i = 0; i < state->sender_count && CH_RULE(NUMBERS_STORED); i++) {
    if (load_sender(conversation, &state->senders[i])) return CHAT_E_NOMEM;
  }
  return load_strangers(conversation, users, user_count);
}

static int store_member(const ch_member_cell *cell, ch_arena *arena, chat_member *member) {
  chat_interval *intervals = ch_arena_calloc(arena, cell->intervals.count, sizeof *intervals);
  if (!intervals) return CHAT_E_NOMEM;
  for (uint32_t i = 0; i < cell->intervals.count; i++)
    intervals[i] = (chat_interval){.joined = cell->intervals.items[i].joined_seq, .left = cell->intervals.items[i].left_seq};
  *member = (chat_member){
      .user = ch_user_id_bytes(&cell->user),
      .role = cell->role,
      .position = cell->position,
      .intervals = intervals,
      .interval_count = cell->intervals.count,
  };
  return 0;
}

static int touched_members(const ch_conversation *conversation, uint64_t since, ch_arena *arena, chat_state *state) {
  state->members = ch_arena_calloc(arena, conversation->members.count, sizeof *state->members);
  if (!state->members) return CHAT_E_NOMEM;
  for (size_t i = 0; i < conversation->members.count; i++) {
    const ch_member_cell *cell = conversation->members.items[i];
    if (cell->position <= since) continue;
    if (store_member(cell, arena, &state->members[state->member_count_here++])) return CHAT_E_NOMEM;
  }
  return 0;
}

static int touched_senders(const ch_conversation *conversation, uint64_t since, ch_arena *arena, chat_state *state) {
  state->senders = ch_arena_calloc(arena, conversation->senders.count, sizeof *state->senders);
  if (!state->senders) return CHAT_E_NOMEM;
  for (size_t i = 0; i < conversation->senders.count; i++) {
    const ch_sender_cell *cell = conversation->senders.items[i];
    if (cell->position <= since) continue;
    chat_sender *sender = &state->senders[state->sender_count++];
    *sender = (chat_sender){.user = ch_user_id_bytes(&cell->user), .last = cell->last, .position = cell->position, .retired = cell->retired};
    memcpy(sender->device_id, cell->device_id, sizeof sender->device_id);
  }
  return 0;
}

int ch_conversation_touched(const ch_conversation *conversation, uint64_t since, ch_arena *arena, chat_state *state) {
  *state = (chat_state){
      .kind = conversation->kind,
      .history_from_start = conversation->history_from_start,
      .head = conversation->head,
      .msg_no = conversation->msg_no,
      .message_id = conversation->message_id,
      .position = conversation->position,
      .member_count = conversation->member_count,
      .active_ms = conversation->active_ms,
      .title = ch_bytes_of(conversation->title, conversation->title_len),
  };
  memcpy(state->conversation_id, conversation->id, sizeof state->conversation_id);
  if (touched_members(conversation, since, arena, state)) return CHAT_E_NOMEM;
  return touched_senders(conversation, since, arena, state);
}
