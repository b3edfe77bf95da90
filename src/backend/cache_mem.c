/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every table is a range of keys of one ordered map: a letter, then the key's parts, numbers big endian, so that bytewise order is the order wanted.
 * A value is a struct, its borrowed bytes behind it.
 */
#include "backend/cache_mem.h"

#include <stdio.h>
#include <string.h>

#include "backend/cache_mem_map.h"
#include "core/arena.h"
#include "core/assert.h"
#include "core/buf.h"
#include "core/wire.h"

enum {
  TABLE_CONVERSATION = 'c', /* conversation → chat_cache_conversation */
  TABLE_CLIENT_ID = 'i',    /* conversation, client id → seq */
  TABLE_MEMBER = 'm',       /* conversation, user → chat_cache_member */
  TABLE_OUTBOX = 'o',       /* conversation, client_seq, client id → chat_outbox_row */
  TABLE_OUTBOX_ID = 'p',    /* client id → key of the outbox row */
  TABLE_UNINDEXED = 'q',    /* conversation, seq → nothing: search does not see the row yet */
  TABLE_ROW = 'r',          /* conversation, seq → chat_row */
  TABLE_COVER = 's',        /* conversation, low → high */
  TABLE_VALUE = 'v'         /* name → bytes */
};

typedef struct cache_mem {
  chat_cache base;
  const ch_allocator *alloc;
  ch_mem_map map;
  size_t mark; /* length of the undo log when the transaction began */
  bool is_open, in_transaction, is_corrupt;
  uint64_t calls, durable_commits;
  uint64_t fail_at; /* value of calls; 0: never */
  int fail_error;
  ch_buf scratch; /* what is being written, or what a read gives */
} cache_mem;

/* Every call that can fail passes here. */
static int count_call(cache_mem *self) {
  self->calls++;
  if (self->is_corrupt) return CHAT_E_CORRUPT;
  if (self->calls != self->fail_at) return 0;
  self->is_corrupt = self->fail_error == CHAT_E_CORRUPT;
  return self->fail_error;
}

static int count_write(cache_mem *self) {
  ch_assert(self->is_open && self->in_transaction);
  return count_call(self);
}

/* ------------------------------------------------------------------------------------------------ keys */

typedef struct key {
  uint8_t data[CH_MEM_KEY_MAX];
  size_t len;
} key;

static key key_begin(uint8_t table) {
  return (key){.data = {table}, .len = 1};
}

static void key_put(key *k, const void *data, size_t len) {
  ch_assert(len <= CH_MEM_KEY_MAX - k->len);
  if (len > 0) memcpy(k->data + k->len, data, len);
  k->len += len;
}

static void key_put_u64(key *k, uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8)
    k->data[k->len++] = (uint8_t)(number >> shift);
}

static key key_of(uint8_t table, const uint8_t id[16]) {
  key k = key_begin(table);
  key_put(&k, id, 16);
  return k;
}

static key key_seq(uint8_t table, const uint8_t id[16], uint64_t seq) {
  key k = key_of(table, id);
  key_put_u64(&k, seq);
  return k;
}

static ch_bytes key_bytes(const key *k) {
  return ch_bytes_of(k->data, k->len);
}

static uint64_t read_u64(const uint8_t *data) {
  uint64_t number = 0;
  for (int i = 0; i < 8; i++)
    number = number << 8 | data[i];
  return number;
}

/* ------------------------------------------------------------------------------------------------ values */

/* Puts a struct and, behind it, the bytes that it borrows. */
static int put_packed(cache_mem *self, const key *k, const void *head, size_t head_len, ch_bytes first, ch_bytes second) {
  ch_buf_clear(&self->scratch);
  ch_buf_put(&self->scratch, ch_bytes_of(head, head_len));
  if (first.len > 0) ch_buf_put(&self->scratch, first);
  if (second.len > 0) ch_buf_put(&self->scratch, second);
  if (self->scratch.error) return self->scratch.error;
  return ch_mem_map_put(&self->map, key_bytes(k), ch_buf_bytes(&self->scratch));
}

/* The struct of a node, its two runs of bytes pointing behind it. */
static void unpack(const ch_mem_node *node, void *head, size_t head_len, chat_bytes *first, chat_bytes *second) {
  memcpy(head, node->value, head_len);
  first->data = node->value + head_len;
  if (second) second->data = node->value + head_len + first->len;
}

static chat_row unpack_row(const ch_mem_node *node) {
  chat_row row;
  unpack(node, &row, sizeof row, &row.sender, &row.payload);
  return row;
}

/* ------------------------------------------------------------------------------------------------ life */

static int cache_open(void *arg) {
  cache_mem *self = arg;
  if (self->is_open) return CHAT_E_BUSY;
  int error = count_call(self);
  if (error) return error;
  self->is_open = true;
  return 0;
}

static void cache_rollback(void *arg) {
  cache_mem *self = arg;
  if (!self->in_transaction) return;
  ch_mem_map_undo(&self->map, self->mark);
  self->in_transaction = false;
}

static void cache_close(void *arg) {
  cache_mem *self = arg;
  cache_rollback(self);
  self->is_open = false;
}

static int cache_wipe(void *arg) {
  cache_mem *self = arg;
  self->is_corrupt = false; /* what is damaged goes */
  int error = count_call(self);
  if (error) return error;
  self->in_transaction = false;
  ch_mem_map_fini(&self->map);
  return 0;
}

static int cache_begin(void *arg) {
  cache_mem *self = arg;
  ch_assert(self->is_open && !self->in_transaction);
  int error = count_call(self);
  if (error) return error;
  self->in_transaction = true;
  self->mark = self->map.undo_count;
  return 0;
}

static int cache_commit(void *arg, int durable) {
  cache_mem *self = arg;
  int error = count_write(self);
  if (error) return error;
  self->in_transaction = false;
  if (durable) {
    ch_mem_map_forget(&self->map);
    self->durable_commits++;
  }
  return 0;
}

static void cache_interrupt(void *arg) {
  (void)arg; /* no call takes long enough */
}

static void cache_free(void *arg) {
  cache_mem *self = arg;
  ch_mem_map_fini(&self->map);
  ch_buf_fini(&self->scratch);
  ch_free(self->alloc, self);
}

/* ------------------------------------------------------------------------------------------------ values */

static key value_key(const char *name) {
  key k = key_begin(TABLE_VALUE);
  key_put(&k, name, strlen(name));
  return k;
}

static int value_get(void *arg, const char *name, chat_bytes *value) {
  cache_mem *self = arg;
  int error = count_call(self);
  if (error) return error;
  key k = value_key(name);
  const ch_mem_node *node = ch_mem_map_find(&self->map, key_bytes(&k));
  if (!node) return CHAT_E_NOT_FOUND;
  *value = ch_bytes_of(node->value, node->value_len);
  return 0;
}

static int value_put(void *arg, const char *name, chat_bytes value) {
  cache_mem *self = arg;
  int error = count_write(self);
  if (error) return error;
  key k = value_key(name);
  return value.len > 0 ? ch_mem_map_put(&self->map, key_bytes(&k), value) : ch_mem_map_remove(&self->map, key_bytes(&k));
}

/* ------------------------------------------------------------------------------------------------ outbox */

static int outbox_remove_row(cache_mem *self, const uint8_t client_id[16]) {
  key by_id = key_of(TABLE_OUTBOX_ID, client_id);
  const ch_mem_node *node = ch_mem_map_find(&self->map, key_bytes(&by_id));
  if (!node) return 0;
  int error = ch_mem_map_remove(&self->map, ch_bytes_of(node->value, node->value_len));
  return error ? error : ch_mem_map_remove(&self->map, key_bytes(&by_id));
}

static int outbox_put(void *arg, const chat_outbox_row *row) {
  cache_mem *self = arg;
  int error = count_write(self);
  if (!error) error = outbox_remove_row(self, row->client_id);
  if (error) return error;
  key k = key_seq(TABLE_OUTBOX, row->conversation_id, row->client_seq), by_id = key_of(TABLE_OUTBOX_ID, row->client_id);
  key_put(&k, row->client_id, 16);
  error = put_packed(self, &k, row, sizeof *row, row->payload, row->peer);
  return error ? error : ch_mem_map_put(&self->map, key_bytes(&by_id), key_bytes(&k));
}

static int outbox_remove(void *arg, const uint8_t client_id[16]) {
  cache_mem *self = arg;
  int error = count_write(self);
  return error ? error : outbox_remove_row(self, client_id);
}

static int outbox_list(void *arg, int (*visit)(void *visit_arg, const chat_outbox_row *row), void *visit_arg) {
  cache_mem *self = arg;
  int error = count_call(self);
  if (error) return error;
  key prefix = key_begin(TABLE_OUTBOX);
  for (const ch_mem_node *node = ch_mem_map_seek(&self->map, key_bytes(&prefix)); node && ch_mem_node_begins(node, key_bytes(&prefix));
       node = node->next[0]) {
    chat_outbox_row row;
    unpack(node, &row, sizeof row, &row.payload, &row.peer);
    if (visit(visit_arg, &row)) break;
  }
  return 0;
}

/* ------------------------------------------------------------------------------------------------ conversations, members */

static int conversation_put(void *arg, const chat_cache_conversation *conversation) {
  cache_mem *self = arg;
  int error = count_write(self);
  if (error) return error;
  key k = key_of(TABLE_CONVERSATION, conversation->conversation_id);
  return put_packed(self, &k, conversation, sizeof *conversation, conversation->title, conversation->peer);
}

static int conversation_list(void *arg, int (*visit)(void *visit_arg, const chat_cache_conversation *conversation), void *visit_arg) {
  cache_mem *self = arg;
  int error = count_call(self);
  if (error) return error;
  key prefix = key_begin(TABLE_CONVERSATION);
  for (const ch_mem_node *node = ch_mem_map_seek(&self->map, key_bytes(&prefix)); node && ch_mem_node_begins(node, key_bytes(&prefix));
       node = node->next[0]) {
    chat_cache_conversation conversation;
    unpack(node, &conversation, sizeof conversation, &conversation.title, &conversation.peer);
    if (visit(visit_arg, &conversation)) break;
  }
  return 0;
}

static int put_member(cache_mem *self, const uint8_t id[16], const chat_cache_member *member) {
  key k = key_of(TABLE_MEMBER, id);
  key_put(&k, member->user.data, member->user.len);
  return put_packed(self, &k, member, sizeof *member, member->user, (ch_bytes){0});
}

static int remove_all(cache_mem *self, const key *prefix) {
  for (;;) {
    ch_mem_node *node = ch_mem_map_seek(&self->map, key_bytes(prefix));
    if (!node || !ch_mem_node_begins(node, key_bytes(prefix))) return 0;
    int error = ch_mem_map_remove(&self->map, ch_bytes_of(node->key, node->key_len));
    if (error) return error;
  }
}

static int members_replace(void *arg, const uint8_t id[16], const chat_cache_member *members, size_t count) {
  cache_mem *self = arg;
  int error = count_write(self);
  if (error) return error;
  key prefix = key_of(TABLE_MEMBER, id);
  error = remove_all(self, &prefix);
  for (size_t i = 0; i < count && !error; i++)
    error = put_member(self, id, &members[i]);
  return error;
}

static uint64_t higher(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

static int member_mark(void *arg, const uint8_t id[16], chat_bytes user, uint64_t delivered, uint64_t read) {
  cache_mem *self = arg;
  int error = count_write(self);
  if (error) return error;
  key k = key_of(TABLE_MEMBER, id);
  key_put(&k, user.data, user.len);
  const ch_mem_node *node = ch_mem_map_find(&self->map, key_bytes(&k));
  if (!node) return CHAT_E_NOT_FOUND;
  chat_cache_member member;
  unpack(node, &member, sizeof member, &member.user, NULL);
  member.delivered = higher(member.delivered, delivered);
  member.read = higher(member.read, read);
  member.user = user;
  return put_member(self, id, &member);
}

static int members_list(void *arg, const uint8_t id[16], int (*visit)(void *visit_arg, const chat_cache_member *member), void *visit_arg) {
  cache_mem *self = arg;
  int error = count_call(self);
  if (error) return error;
  key prefix = key_of(TABLE_MEMBER, id);
  for (const ch_mem_node *node = ch_mem_map_seek(&self->map, key_bytes(&prefix)); node && ch_mem_node_begins(node, key_bytes(&prefix));
       node = node->next[0]) {
    chat_cache_member member;
    unpack(node, &member, sizeof member, &member.user, NULL);
    if (visit(visit_arg, &member)) break;
  }
  return 0;
}

/* ------------------------------------------------------------------------------------------------ rows */

static int row_put(void *arg, const chat_row *row) {
  cache_mem *self = arg;
  int error = count_write(self);
  if (error) return error;
  key k = key_seq(TABLE_ROW, row->conversation_id, row->seq), by_id = key_of(TABLE_CLIENT_ID, row->conversation_id);
  key unindexed = key_seq(TABLE_UNINDEXED, row->conversation_id, row->seq);
  key_put(&by_id, row->client_id, 16);
  uint64_t seq = row->seq;
  error = put_packed(self, &k, row, sizeof *row, row->sender, row->payload);
  if (!error) error = ch_mem_map_put(&self->map, key_bytes(&by_id), ch_bytes_of(&seq, sizeof seq));
  return error ? error : ch_mem_map_put(&self->map, key_bytes(&unindexed), (ch_bytes){0});
}

static int row_remove(void *arg, const uint8_t id[16], uint64_t seq) {
  cache_mem *self = arg;
  int error = count_write(self);
  if (error) return error;
  key k = key_seq(TABLE_ROW, id, seq);
  const ch_mem_node *node = ch_mem_map_find(&self->map, key_bytes(&k));
  if (!node) return 0;
  key by_id = key_of(TABLE_CLIENT_ID, id);
  key_put(&by_id, unpack_row(node).client_id, 16);
  error = ch_mem_map_remove(&self->map, key_bytes(&by_id));
  return error ? error : ch_mem_map_remove(&self->map, key_bytes(&k));
}

/* The first of the `limit` nodes from the high end. */
static const ch_mem_node *first_of_newest(const cache_mem *self, const key *low, const key *behind, uint32_t limit) {
  const ch_mem_node *node = ch_mem_map_before(&self->map, key_bytes(behind)), *first = NULL;
  for (; node && limit > 0 && ch_bytes_compare(ch_bytes_of(node->key, node->key_len), key_bytes(low)) >= 0; limit--) {
    first = node;
    node = node->before;
  }
  return first;
}

static int rows(void *arg, const uint8_t id[16], uint64_t low, uint64_t high, uint32_t limit, int newest_first,
                int (*visit)(void *visit_arg, const chat_row *row), void *visit_arg) {
  cache_mem *self = arg;
  int error = count_call(self);
  if (error) return error;
  if (low >= high) return 0;
  key from = key_seq(TABLE_ROW, id, low + 1), behind = key_seq(TABLE_ROW, id, high);
  key_put(&behind, "", 1); /* just behind `high` */
  const ch_mem_node *node = newest_first ? first_of_newest(self, &from, &behind, limit) : ch_mem_map_seek(&self->map, key_bytes(&from));
  for (; node && limit > 0 && ch_bytes_compare(ch_bytes_of(node->key, node->key_len), key_bytes(&behind)) < 0; limit--) {
    chat_row row = unpack_row(node);
    if (visit(visit_arg, &row)) break;
    node = node->next[0];
  }
  return 0;
}

static int row_by_client_id(void *arg, const uint8_t id[16], const uint8_t client_id[16], int (*visit)(void *visit_arg, const chat_row *row),
                            void *visit_arg) {
  cache_mem *self = arg;
  int error = count_call(self);
  if (error) return error;
  key by_id = key_of(TABLE_CLIENT_ID, id);
  key_put(&by_id, client_id, 16);
  const ch_mem_node *node = ch_mem_map_find(&self->map, key_bytes(&by_id));
  if (!node) return CHAT_E_NOT_FOUND;
  uint64_t seq;
  memcpy(&seq, node->value, sizeof seq);
  key k = key_seq(TABLE_ROW, id, seq);
  node = ch_mem_map_find(&self->map, key_bytes(&k));
  if (!node) return CHAT_E_NOT_FOUND;
  chat_row row = unpack_row(node);
  visit(visit_arg, &row);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ what is covered */

static uint64_t cover_low(const ch_mem_node *node) {
  return read_u64(node->key + 17);
}

static uint64_t cover_high(const ch_mem_node *node) {
  return read_u64(node->value);
}

/* The last interval that begins at or below `high`; NULL: none. */
static const ch_mem_node *cover_at(cache_mem *self, const uint8_t id[16], uint64_t high) {
  key prefix = key_of(TABLE_COVER, id), behind = key_seq(TABLE_COVER, id, high);
  key_put(&behind, "", 1);
  const ch_mem_node *node = ch_mem_map_before(&self->map, key_bytes(&behind));
  return node && ch_mem_node_begins(node, key_bytes(&prefix)) ? node : NULL;
}

static int cover(void *arg, const uint8_t id[16], uint64_t low, uint64_t high) {
  cache_mem *self = arg;
  int error = count_write(self);
  if (error || low >= high) return error;
  for (const ch_mem_node *node = cover_at(self, id, high); node && cover_high(node) >= low; node = cover_at(self, id, high)) {
    if (cover_low(node) < low) low = cover_low(node);
    high = higher(high, cover_high(node));
    error = ch_mem_map_remove(&self->map, ch_bytes_of(node->key, node->key_len));
    if (error) return error;
  }
  key k = key_seq(TABLE_COVER, id, low), value = {.len = 0};
  key_put_u64(&value, high);
  return ch_mem_map_put(&self->map, key_bytes(&k), key_bytes(&value));
}

static int covered(void *arg, const uint8_t id[16], int (*visit)(void *visit_arg, uint64_t low, uint64_t high), void *visit_arg) {
  cache_mem *self = arg;
  int error = count_call(self);
  if (error) return error;
  key prefix = key_of(TABLE_COVER, id);
  for (const ch_mem_node *node = ch_mem_map_seek(&self->map, key_bytes(&prefix)); node && ch_mem_node_begins(node, key_bytes(&prefix));
       node = node->next[0])
    if (visit(visit_arg, cover_low(node), cover_high(node))) break;
  return 0;
}

static int history_forget(void *arg, const uint8_t id[16]) {
  static const uint8_t tables[] = {TABLE_ROW, TABLE_CLIENT_ID, TABLE_COVER};
  cache_mem *self = arg;
  int error = count_write(self);
  for (size_t i = 0; i < sizeof tables && !error; i++) {
    key prefix = key_of(tables[i], id);
    error = remove_all(self, &prefix);
  }
  return error;
}

/* ------------------------------------------------------------------------------------------------ search: every row is looked at; words fold ASCII only */

static bool is_word_byte(uint8_t byte) {
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static uint8_t fold(uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

/* The next word of *text, which advances past it; len 0: none. */
static ch_bytes next_word(ch_bytes *text) {
  size_t begin = 0, end;
  while (begin < text->len && !is_word_byte(text->data[begin]))
    begin++;
  for (end = begin; end < text->len && is_word_byte(text->data[end]); end++)
    ;
  ch_bytes word = {text->data ? text->data + begin : NULL, end - begin};
  *text = (ch_bytes){text->data ? text->data + end : NULL, text->len - end};
  return word;
}

static bool has_word(ch_bytes text, ch_bytes wanted, bool prefix) {
  for (ch_bytes word = next_word(&text); word.len > 0; word = next_word(&text)) {
    if (word.len < wanted.len || (!prefix && word.len > wanted.len)) continue;
    size_t same = 0;
    while (same < wanted.len && fold(word.data[same]) == fold(wanted.data[same]))
      same++;
    if (same == wanted.len) return true;
  }
  return false;
}

static bool has_all_words(ch_bytes text, ch_bytes query) {
  for (ch_bytes word = next_word(&query); word.len > 0; word = next_word(&query))
    if (!has_word(text, word, query.len > 0 && query.data[0] == '*')) return false;
  return true;
}

static bool row_matches(cache_mem *self, const chat_row *row, ch_bytes query) {
  if (row->type != CHAT_TYPE_MESSAGE) return false;
  key unindexed = key_seq(TABLE_UNINDEXED, row->conversation_id, row->seq);
  if (ch_mem_map_find(&self->map, key_bytes(&unindexed))) return false;
  ch_arena arena;
  ch_content content;
  ch_arena_init(&arena, self->alloc, 4096, CHAT_FRAME_MAX);
  bool matches = !ch_content_decode(row->type, row->payload, &arena, &content) && has_all_words(content.body, query);
  ch_arena_fini(&arena);
  return matches;
}

/* The match with the highest message_id below `before`. */
static const ch_mem_node *best_match(cache_mem *self, ch_bytes query, const key *prefix, uint64_t before) {
  const ch_mem_node *best = NULL;
  for (const ch_mem_node *node = ch_mem_map_seek(&self->map, key_bytes(prefix)); node && ch_mem_node_begins(node, key_bytes(prefix));
       node = node->next[0]) {
    chat_row row = unpack_row(node);
    if (row.message_id >= before || (best && row.message_id <= unpack_row(best).message_id)) continue;
    if (row_matches(self, &row, query)) best = node;
  }
  return best;
}

static int search(void *arg, chat_bytes query, const uint8_t *id, uint64_t before, uint32_t limit,
                  int (*visit)(void *visit_arg, const chat_row *row), void *visit_arg) {
  cache_mem *self = arg;
  int error = count_call(self);
  if (error) return error;
  ch_bytes words = query;
  if (next_word(&words).len == 0) return CHAT_E_INVALID;
  key prefix = id ? key_of(TABLE_ROW, id) : key_begin(TABLE_ROW);
  for (uint64_t below = before > 0 ? before : UINT64_MAX; limit > 0; limit--) {
    const ch_mem_node *node = best_match(self, query, &prefix, below);
    if (!node) break;
    chat_row row = unpack_row(node);
    below = row.message_id;
    if (visit(visit_arg, &row)) break;
  }
  return 0;
}

static int index_rows(void *arg, uint32_t count_max) {
  cache_mem *self = arg;
  int error = count_call(self);
  if (error) return error;
  key prefix = key_begin(TABLE_UNINDEXED);
  for (uint32_t count = 0; count < count_max; count++) {
    ch_mem_node *node = ch_mem_map_seek(&self->map, key_bytes(&prefix));
    if (!node || !ch_mem_node_begins(node, key_bytes(&prefix))) return (int)count;
    error = ch_mem_map_remove(&self->map, ch_bytes_of(node->key, node->key_len));
    if (error) return error;
  }
  return (int)count_max;
}

/* ------------------------------------------------------------------------------------------------ damage */

static bool is_salvaged(const ch_mem_node *node) {
  static const char *const names[] = {"vuser", "vdevice", "vsession"};
  if (node->key[0] != TABLE_VALUE) return node->key[0] == TABLE_OUTBOX || node->key[0] == TABLE_OUTBOX_ID || node->key[0] == TABLE_CONVERSATION;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (ch_bytes_equal(ch_bytes_of(node->key, node->key_len), ch_bytes_text(names[i]))) return true;
  return false;
}

/* What a conversation is, and its next number; all that history says of it is gone. */
static void salvage_conversation(ch_mem_node *node) {
  chat_cache_conversation all;
  memcpy(&all, node->value, sizeof all);
  chat_cache_conversation kept = {.kind = all.kind, .role = all.role, .next_client_seq = all.next_client_seq, .members_stale = 1,
                                  .title = {NULL, all.title.len}, .peer = {NULL, all.peer.len}};
  memcpy(kept.conversation_id, all.conversation_id, 16);
  memcpy(node->value, &kept, sizeof kept);
}

static int set_aside(void *arg, char *name, size_t len) {
  cache_mem *self = arg;
  cache_rollback(self);
  self->is_corrupt = false;
  for (ch_mem_node *node = self->map.heads[0], *next; node; node = next) {
    next = node->next[0];
    if (!is_salvaged(node)) ch_mem_map_remove(&self->map, ch_bytes_of(node->key, node->key_len));
    else if (node->key[0] == TABLE_CONVERSATION) salvage_conversation(node);
  }
  ch_mem_map_forget(&self->map);
  self->is_open = true;
  if (len > 0) snprintf(name, len, "memory");
  return 0;
}

/* ------------------------------------------------------------------------------------------------ */

static const chat_cache_vtable vtable = {
    .size = sizeof vtable,
    .name = "cache_mem",
    .open = cache_open,
    .close = cache_close,
    .set_aside = set_aside,
    .wipe = cache_wipe,
    .begin = cache_begin,
    .commit = cache_commit,
    .rollback = cache_rollback,
    .interrupt = cache_interrupt,
    .value_get = value_get,
    .value_put = value_put,
    .outbox_put = outbox_put,
    .outbox_remove = outbox_remove,
    .outbox_list = outbox_list,
    .conversation_put = conversation_put,
    .conversation_list = conversation_list,
    .members_replace = members_replace,
    .member_mark = member_mark,
    .members_list = members_list,
    .row_put = row_put,
    .row_remove = row_remove,
    .rows = rows,
    .row_by_client_id = row_by_client_id,
    .cover = cover,
    .covered = covered,
    .history_forget = history_forget,
    .search = search,
    .index = index_rows,
    .free = cache_free,
};

int chat_cache_mem_new(const chat_allocator *alloc, chat_cache **cache) {
  cache_mem *self = ch_calloc(alloc, 1, sizeof *self);
  if (!self) return CHAT_E_NOMEM;
  self->base = (chat_cache){.vtable = &vtable, .self = self};
  self->alloc = alloc;
  ch_mem_map_init(&self->map, alloc);
  ch_buf_init(&self->scratch, alloc, CHAT_FRAME_MAX);
  *cache = &self->base;
  return 0;
}

void ch_cache_mem_power_cut(chat_cache *cache) {
  cache_mem *self = cache->self;
  ch_mem_map_undo(&self->map, 0);
  self->in_transaction = false;
  self->is_open = false;
}

void ch_cache_mem_fail(chat_cache *cache, uint64_t nth_call, int error) {
  cache_mem *self = cache->self;
  self->fail_at = nth_call > 0 ? self->calls + nth_call : 0;
  self->fail_error = error;
}

uint64_t ch_cache_mem_durable_commits(const chat_cache *cache) {
  return ((const cache_mem *)cache->self)->durable_commits;
}

int ch_cache_mem_clone(const chat_cache *cache, chat_cache **copy) {
  const cache_mem *from = cache->self;
  ch_assert(!from->in_transaction);
  int error = chat_cache_mem_new(from->alloc, copy);
  if (error) return error;
  cache_mem *to = (*copy)->self;
  for (const ch_mem_node *node = from->map.heads[0]; node && !error; node = node->next[0])
    error = ch_mem_map_put(&to->map, ch_bytes_of(node->key, node->key_len), ch_bytes_of(node->value, node->value_len));
  ch_mem_map_forget(&to->map);
  if (error) cache_free(to);
  return error;
}
