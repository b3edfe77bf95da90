/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/conversation_map.h"

void ch_conversation_map_init(ch_conversation_map *map, const ch_allocator *alloc, size_t max_count, const uint8_t seed[CH_HASHMAP_SEED_LEN]) {
  map->alloc = alloc;
  map->max_count = max_count;
  ch_hashmap_init(&map->by_id, alloc, seed);
  ch_list_init(&map->recent);
}

static chat_bytes key_of(const uint8_t id[CHAT_CONVERSATION_ID_LEN]) {
  return ch_bytes_of(id, CHAT_CONVERSATION_ID_LEN);
}

static void drop(ch_conversation_map *map, ch_conversation *conversation) {
  ch_hashmap_remove(&map->by_id, key_of(conversation->id));
  ch_list_remove(&conversation->recent);
  ch_conversation_free(conversation);
}

static ch_conversation *of_node(ch_list *node) {
  return CH_LIST_ITEM(node, ch_conversation, recent);
}

void ch_conversation_map_clear(ch_conversation_map *map) {
  while (!ch_list_is_empty(&map->recent))
    drop(map, of_node(map->recent.next));
}

void ch_conversation_map_fini(ch_conversation_map *map) {
  ch_conversation_map_clear(map);
  ch_hashmap_fini(&map->by_id);
}

static ch_conversation *make(ch_conversation_map *map, const uint8_t id[CHAT_CONVERSATION_ID_LEN]) {
  ch_conversation *conversation = ch_conversation_new(map->alloc, id);
  if (!conversation) return NULL;
  if (ch_hashmap_insert(&map->by_id, key_of(id), conversation)) {
    ch_conversation_free(conversation);
    return NULL;
  }
  return conversation;
}

ch_conversation *ch_conversation_map_use(ch_conversation_map *map, const uint8_t id[CHAT_CONVERSATION_ID_LEN]) {
  ch_conversation *conversation = ch_hashmap_find(&map->by_id, key_of(id));
  if (!conversation) conversation = make(map, id);
  if (!conversation) return NULL;
  ch_list_remove(&conversation->recent);
  ch_list_push_back(&map->recent, &conversation->recent);
  return conversation;
}

void ch_conversation_map_release(ch_conversation_map *map, ch_conversation *conversation) {
  size_t cells_count = conversation->members.count + conversation->senders.count;
  if (conversation->kind == CHAT_CHANNEL && cells_count > CH_CHANNEL_CELLS_MAX) drop(map, conversation);
}

void ch_conversation_map_trim(ch_conversation_map *map) {
  while (map->by_id.count > map->max_count)
    drop(map, of_node(map->recent.next));
}
