/* SPDX-License-Identifier: Apache-2.0 */
#include "client/brain/conversation.h"

#include <string.h>

#include "client/brain/owner.h"
#include "core/assert.h"

enum { HELD_BYTES_MAX = 4 * 1024 * 1024 };

void ch_conversations_init(ch_brain *brain) {
  ch_hashmap_init(&brain->conversations.by_id, brain->env.alloc, brain->seed);
}

static void free_conversation(ch_brain *brain, ch_conversation *conversation) {
  ch_order_buffer_fini(&conversation->held);
  ch_free(brain->env.alloc, conversation->before);
  ch_free(brain->env.alloc, conversation);
}

void ch_conversations_fini(ch_brain *brain) {
  ch_hashmap_entry *at;
  for (ch_conversation *conversation = ch_conversation_first(brain, &at); conversation; conversation = ch_conversation_next(brain, &at))
    free_conversation(brain, conversation);
  ch_hashmap_fini(&brain->conversations.by_id);
}

ch_conversation *ch_conversation_find(const ch_brain *brain, const uint8_t id[16]) {
  return ch_hashmap_find(&brain->conversations.by_id, ch_bytes_of(id, 16));
}

/* A held row is one allocation, so that it needs no allocator of its own to be freed: it carries it. */
typedef struct held_row {
  const ch_allocator *alloc;
  chat_row row;
} held_row;

static void free_held(void *item) {
  held_row *held = item;
  ch_free(held->alloc, held);
}

static ch_conversation *new_conversation(ch_brain *brain, const uint8_t id[16]) {
  ch_conversation *conversation = ch_calloc(brain->env.alloc, 1, sizeof *conversation);
  if (!conversation) return NULL;
  memcpy(conversation->kept.row.conversation_id, id, 16);
  conversation->kept.row.next_client_seq = 1;
  conversation->is_open = ch_people_is_open(brain, id);
  ch_list *const nodes[] = {&conversation->changed, &conversation->to_fetch, &conversation->to_refresh, &conversation->to_tell, &conversation->holding, &conversation->rows,
                            &conversation->active};
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
    ch_list_init(nodes[i]);
  ch_order_buffer_limits limits = {brain->config.hold_max, HELD_BYTES_MAX, brain->config.hold_ms};
  ch_order_buffer_init(&conversation->held, brain->env.alloc, limits, free_held);
  if (!ch_hashmap_insert(&brain->conversations.by_id, ch_bytes_of(id, 16), conversation)) return conversation;
  free_conversation(brain, conversation);
  return NULL;
}

ch_conversation *ch_conversation_add(ch_brain *brain, const uint8_t id[16]) {
  ch_assert(brain->database.in_transaction);
  ch_conversation *conversation = new_conversation(brain, id);
  if (!conversation) {
    ch_fail(brain, CHAT_E_NOMEM);
    return NULL;
  }
  conversation->is_new = conversation->announce = true;
  ch_list_push_back(&brain->database.conversations, &conversation->changed);
  return conversation;
}

int ch_conversations_load(ch_brain *brain, const chat_cache_conversation *row) {
  ch_conversation *conversation = new_conversation(brain, row->conversation_id);
  if (!conversation) return CHAT_E_NOMEM;
  conversation->kept.row = *row;
  if (row->next_client_seq == 0) conversation->kept.row.next_client_seq = 1;
  ch_kept_set_title(&conversation->kept, row->title);
  ch_kept_set_peer(&conversation->kept, row->peer);
  conversation->known_head = row->head;
  return 0;
}

void ch_conversation_drop(ch_brain *brain, ch_conversation *conversation) {
  ch_hashmap_remove(&brain->conversations.by_id, ch_bytes_of(conversation->kept.row.conversation_id, 16));
  ch_list *const nodes[] = {&conversation->changed, &conversation->to_fetch, &conversation->to_refresh, &conversation->to_tell, &conversation->holding,
                            &conversation->active};
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
    ch_list_remove(nodes[i]);
  ch_assert(ch_list_is_empty(&conversation->rows));
  free_conversation(brain, conversation);
}

static ch_conversation *of_entry(const ch_hashmap_entry *entry) {
  return entry ? entry->value : NULL;
}

ch_conversation *ch_conversation_first(const ch_brain *brain, ch_hashmap_entry **at) {
  *at = ch_hashmap_first(&brain->conversations.by_id);
  return of_entry(*at);
}

ch_conversation *ch_conversation_next(const ch_brain *brain, ch_hashmap_entry **at) {
  *at = ch_hashmap_next(&brain->conversations.by_id, *at);
  return of_entry(*at);
}

/* ------------------------------------------------------------------------------------------------ what is kept */

chat_bytes ch_kept_title(const ch_kept *kept) {
  return ch_bytes_of(kept->title, kept->row.title.len);
}

chat_bytes ch_kept_peer(const ch_kept *kept) {
  return ch_bytes_of(kept->peer, kept->row.peer.len);
}

static size_t copy_bounded(uint8_t *to, size_t max_len, chat_bytes from) {
  size_t len = from.len < max_len ? from.len : max_len;
  if (len > 0) memcpy(to, from.data, len);
  return len;
}

void ch_kept_set_title(ch_kept *kept, chat_bytes title) {
  kept->row.title = (chat_bytes){NULL, copy_bounded(kept->title, sizeof kept->title, title)};
}

void ch_kept_set_peer(ch_kept *kept, chat_bytes peer) {
  kept->row.peer = (chat_bytes){NULL, copy_bounded(kept->peer, sizeof kept->peer, peer)};
}

chat_cache_conversation ch_kept_row(const ch_kept *kept) {
  chat_cache_conversation row = kept->row;
  row.title = ch_kept_title(kept);
  row.peer = ch_kept_peer(kept);
  return row;
}

/* ------------------------------------------------------------------------------------------------ what came too early */

int ch_conversation_hold(ch_brain *brain, ch_conversation *conversation, const chat_row *row) {
  size_t bytes_len = row->sender.len + row->payload.len;
  held_row *held = ch_alloc(brain->env.alloc, sizeof *held + bytes_len);
  if (!held) return CHAT_E_NOMEM;
  uint8_t *bytes = (uint8_t *)(held + 1);
  *held = (held_row){brain->env.alloc, *row};
  held->row.sender.data = bytes;
  held->row.payload.data = bytes + row->sender.len;
  if (row->sender.len > 0) memcpy(bytes, row->sender.data, row->sender.len);
  if (row->payload.len > 0) memcpy(bytes + row->sender.len, row->payload.data, row->payload.len);
  int error = ch_order_buffer_put(&conversation->held, row->seq, row->seq - 1, held, sizeof *held + bytes_len, ch_now_ms(brain));
  if (error) ch_free(brain->env.alloc, held);
  return error;
}

const chat_row *ch_conversation_next_held(ch_conversation *conversation, void **item) {
  ch_order_buffer_drop_through(&conversation->held, conversation->kept.row.cursor);
  *item = ch_order_buffer_pop_ready(&conversation->held, conversation->kept.row.cursor);
  return *item ? &((held_row *)*item)->row : NULL;
}

void ch_conversation_free_held(void *item) {
  free_held(item);
}
