/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_mem/cell.h"

#include <string.h>

#include "core/assert.h"

/* ------------------------------------------------------------------------------------------------ keys */

static void add(ch_cell_key *key, const void *bytes, size_t len) {
  ch_assert(len <= sizeof key->bytes - key->len);
  if (len > 0) memcpy(key->bytes + key->len, bytes, len);
  key->len += len;
}

static void add_u64(ch_cell_key *key, uint64_t value) {
  uint8_t bytes[8];
  for (int i = 0; i < 8; i++)
    bytes[i] = (uint8_t)(value >> (56 - 8 * i));
  add(key, bytes, sizeof bytes);
}

static ch_cell_key key_of(ch_cell_kind kind) {
  return (ch_cell_key){.bytes = {(uint8_t)kind}, .len = 1};
}

ch_cell_key ch_cell_key_conversation(ch_cell_kind kind, const uint8_t conversation_id[16]) {
  ch_cell_key key = key_of(kind);
  add(&key, conversation_id, 16);
  return key;
}

ch_cell_key ch_cell_key_user(ch_cell_kind kind, chat_bytes user) {
  ch_cell_key key = key_of(kind);
  add(&key, user.data, user.len);
  add(&key, "", 1);
  return key;
}

ch_cell_key ch_cell_key_row(const uint8_t conversation_id[16], uint64_t seq) {
  ch_cell_key key = ch_cell_key_conversation(CH_CELL_ROW, conversation_id);
  add_u64(&key, seq);
  return key;
}

ch_cell_key ch_cell_key_member(ch_cell_kind kind, const uint8_t conversation_id[16], chat_bytes user) {
  ch_cell_key key = ch_cell_key_conversation(kind, conversation_id);
  add(&key, user.data, user.len);
  return key;
}

ch_cell_key ch_cell_key_senders(const uint8_t conversation_id[16], chat_bytes user) {
  ch_cell_key key = ch_cell_key_member(CH_CELL_SENDER, conversation_id, user);
  add(&key, "", 1);
  return key;
}

ch_cell_key ch_cell_key_sender(const uint8_t conversation_id[16], chat_bytes user, const uint8_t device_id[16]) {
  ch_cell_key key = ch_cell_key_senders(conversation_id, user);
  add(&key, device_id, 16);
  return key;
}

ch_cell_key ch_cell_key_under_user(ch_cell_kind kind, chat_bytes user, const uint8_t id[16]) {
  ch_cell_key key = ch_cell_key_user(kind, user);
  add(&key, id, 16);
  return key;
}

ch_cell_key ch_cell_key_time(uint64_t created_ms, const uint8_t conversation_id[16], uint64_t seq) {
  ch_cell_key key = key_of(CH_CELL_TIME);
  add_u64(&key, created_ms);
  add(&key, conversation_id, 16);
  add_u64(&key, seq);
  return key;
}

ch_cell_key ch_cell_key_position(uint32_t topic, uint32_t partition) {
  ch_cell_key key = key_of(CH_CELL_POSITION);
  add_u64(&key, topic);
  add_u64(&key, partition);
  return key;
}

/* ------------------------------------------------------------------------------------------------ getting and putting */

static chat_bytes bytes_of(const ch_cell_key *key) {
  return (chat_bytes){key->bytes, key->len};
}

const void *ch_cell_get(const ch_store_table *table, ch_cell_key key) {
  return ch_store_table_get(table, bytes_of(&key));
}

uint64_t ch_cell_number(const ch_store_table *table, ch_cell_key key) {
  const ch_stored_number *cell = ch_cell_get(table, key);
  return cell ? cell->value : 0;
}

uint64_t ch_cell_position(const ch_store_table *table, uint32_t topic, uint32_t partition) {
  const ch_stored_position *cell = ch_cell_get(table, ch_cell_key_position(topic, partition));
  return cell ? cell->value : 0;
}

void *ch_cell_put(ch_store_table *table, ch_cell_key key, size_t len) {
  return ch_store_table_put(table, bytes_of(&key), len);
}

int ch_cell_put_number(ch_store_table *table, ch_cell_key key, uint64_t value) {
  ch_stored_number *cell = ch_cell_put(table, key, sizeof *cell);
  if (!cell) return CHAT_E_NOMEM;
  cell->value = value;
  return 0;
}

chat_bytes ch_cell_keep(uint8_t **trailer, chat_bytes bytes) {
  chat_bytes kept = {*trailer, bytes.len};
  if (bytes.len > 0) memcpy(*trailer, bytes.data, bytes.len);
  *trailer += bytes.len;
  return kept;
}

/* ------------------------------------------------------------------------------------------------ walking */

static const ch_store_node *with_prefix(const ch_store_node *node, const ch_cell_key *prefix) {
  if (!node) return NULL;
  chat_bytes key = ch_store_node_key(node);
  return key.len >= prefix->len && memcmp(key.data, prefix->bytes, prefix->len) == 0 ? node : NULL;
}

const ch_store_node *ch_cell_from(const ch_store_table *table, const ch_cell_key *from, const ch_cell_key *prefix) {
  return with_prefix(ch_store_table_seek(table, bytes_of(from)), prefix);
}

const ch_store_node *ch_cell_first(const ch_store_table *table, const ch_cell_key *prefix) {
  return ch_cell_from(table, prefix, prefix);
}

const ch_store_node *ch_cell_next(const ch_store_node *node, const ch_cell_key *prefix) {
  return with_prefix(ch_store_node_next(node), prefix);
}

size_t ch_cell_count(const ch_store_table *table, const ch_cell_key *prefix) {
  size_t count = 0;
  for (const ch_store_node *node = ch_cell_first(table, prefix); node; node = ch_cell_next(node, prefix))
    count++;
  return count;
}

chat_bytes ch_cell_rest(const ch_store_node *node, const ch_cell_key *prefix) {
  chat_bytes key = ch_store_node_key(node);
  return (chat_bytes){key.data + prefix->len, key.len - prefix->len};
}
