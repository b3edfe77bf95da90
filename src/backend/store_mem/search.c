/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "backend/store_check.h"
#include "backend/store_mem/store.h"
#include "core/arena.h"
#include "core/bytes.h"
#include "core/wire.h"

enum { WORDS_MAX = CH_STORE_QUERY_MAX / 2, ARENA_CHUNK = 4096, ARENA_CAP = 1024 * 1024 };

typedef struct query {
  chat_bytes words[WORDS_MAX];
  size_t count;
  bool last_is_prefix;
} query;

/* The newest matches of each conversation, one more than the limit of them, so that the answer knows whether there are more. */
typedef struct matches {
  const ch_allocator *alloc;
  const chat_row **rows;
  size_t count, room;
  ch_arena arena; /* decodes one payload at a time */
} matches;

/* ------------------------------------------------------------------------------------------------ words */

static uint8_t fold(uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

/* Letters and digits of ASCII, and everything above it bytewise: no word of any script is ever split inside a character. */
static bool in_word(uint8_t byte) {
  byte = fold(byte);
  return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte >= 0x80;
}

/* The next word of *text, which moves behind it; none: len 0. */
static chat_bytes next_word(chat_bytes *text) {
  while (text->len > 0 && !in_word(*text->data))
    *text = (chat_bytes){text->data + 1, text->len - 1};
  chat_bytes word = {text->data, 0};
  while (word.len < text->len && in_word(word.data[word.len]))
    word.len++;
  *text = (chat_bytes){word.len ? text->data + word.len : text->data, text->len - word.len};
  return word;
}

static bool begins_with(chat_bytes word, chat_bytes prefix) {
  if (word.len < prefix.len) return false;
  for (size_t i = 0; i < prefix.len; i++) {
    if (fold(word.data[i]) != fold(prefix.data[i])) return false;
  }
  return true;
}

static bool has_word(chat_bytes text, chat_bytes wanted, bool is_prefix) {
  for (chat_bytes word = next_word(&text); word.len > 0; word = next_word(&text)) {
    if ((is_prefix || word.len == wanted.len) && begins_with(word, wanted)) return true;
  }
  return false;
}

static void parse(chat_bytes text, query *out) {
  bool ends_in_star = text.len > 1 && text.data[text.len - 1] == '*' && in_word(text.data[text.len - 2]);
  out->count = 0;
  for (chat_bytes word = next_word(&text); word.len > 0; word = next_word(&text))
    out->words[out->count++] = word;
  out->last_is_prefix = ends_in_star;
}

/* ------------------------------------------------------------------------------------------------ matching */

static bool matches_query(matches *found, const chat_row *row, const query *wanted) {
  if (row->type != CHAT_TYPE_MESSAGE) return false;
  ch_content content;
  ch_arena_reset(&found->arena);
  if (ch_content_decode(row->type, row->payload, &found->arena, &content)) return false;
  for (size_t i = 0; i < wanted->count; i++) {
    if (!has_word(content.body, wanted->words[i], wanted->last_is_prefix && i + 1 == wanted->count)) return false;
  }
  return true;
}

static int add(matches *found, const chat_row *row) {
  if (found->count == found->room) {
    size_t room = found->room ? found->room * 2 : 64;
    const chat_row **rows = ch_realloc(found->alloc, found->rows, room, sizeof *rows);
    if (!rows) return CHAT_E_NOMEM;
    found->rows = rows;
    found->room = room;
  }
  found->rows[found->count++] = row;
  return 0;
}

static int search_conversation(const ch_store_mem *store, const chat_store_search *ask, const uint8_t conversation_id[16],
                               const query *wanted, matches *found) {
  const ch_stored_head *cell = ch_cell_get(&store->table, ch_cell_key_conversation(CH_CELL_HEAD, conversation_id));
  const ch_stored_member *member = ch_cell_get(&store->table, ch_cell_key_member(CH_CELL_MEMBER, conversation_id, ask->user));
  if (!cell || !member) return 0;
  uint64_t horizon = ch_store_horizon(store, conversation_id);
  size_t enough = found->count + ask->limit + 1;
  for (uint64_t seq = cell->head; seq > horizon && found->count < enough; seq--) {
    if (!ch_store_may_read(member->intervals, member->interval_count, seq)) continue;
    const chat_row *row = ch_cell_get(&store->table, ch_cell_key_row(conversation_id, seq));
    if (!row || (ask->before_message_id && row->message_id >= ask->before_message_id)) continue;
    if (matches_query(found, row, wanted) && add(found, row)) return CHAT_E_NOMEM;
  }
  return 0;
}

static int search_all(const ch_store_mem *store, const chat_store_search *ask, const query *wanted, matches *found) {
  ch_cell_key prefix = ch_cell_key_user(CH_CELL_USER, ask->user);
  for (const ch_store_node *node = ch_cell_first(&store->table, &prefix); node; node = ch_cell_next(node, &prefix)) {
    int error = search_conversation(store, ask, ch_cell_rest(node, &prefix).data, wanted, found);
    if (error) return error;
  }
  return 0;
}

static int search(const ch_store_mem *store, const chat_store_search *ask, const query *wanted, matches *found) {
  static const uint8_t everywhere[16];
  if (memcmp(ask->conversation_id, everywhere, sizeof everywhere) == 0) return search_all(store, ask, wanted, found);
  return search_conversation(store, ask, ask->conversation_id, wanted, found);
}

/* ------------------------------------------------------------------------------------------------ the answer */

static int newest_first(const void *a, const void *b) {
  const chat_row *x = *(const chat_row *const *)a, *y = *(const chat_row *const *)b;
  if (x->message_id != y->message_id) return x->message_id > y->message_id ? -1 : 1;
  return memcmp(x->conversation_id, y->conversation_id, sizeof x->conversation_id);
}

/* Paging goes by message_id, which conversations may share: the answer ends between two of them, unless one fills it. */
static size_t cut(const matches *found, uint32_t limit) {
  if (found->count <= limit) return found->count;
  size_t count = limit;
  while (count > 0 && found->rows[count - 1]->message_id == found->rows[count]->message_id)
    count--;
  return count > 0 ? count : limit;
}

static int answer(chat_store_search *ask, matches *found) {
  if (found->count > 0) qsort(found->rows, found->count, sizeof *found->rows, newest_first);
  size_t count = cut(found, ask->limit);
  ask->more = count < found->count;
  ask->rows = ch_store_out_array(&ask->op, count, sizeof *ask->rows);
  if (!ask->rows) return CHAT_E_NOMEM;
  for (size_t i = 0; i < count; i++) {
    int error = ch_store_out_row(&ask->op, found->rows[i], &ask->rows[i]);
    if (error) return error;
  }
  ask->row_count = count;
  return 0;
}

int ch_store_do_search(ch_store_mem *store, chat_op *op) {
  chat_store_search *ask = (chat_store_search *)op;
  if (!ch_store_search_valid(ask)) return CHAT_E_INVALID;
  query wanted;
  parse(ask->query, &wanted);
  if (wanted.count == 0) return CHAT_E_INVALID;
  ask->row_count = 0;
  ask->indexed_position = ch_cell_position(&store->table, CHAT_TOPIC_MESSAGES, 0);
  matches found = {.alloc = store->config.alloc};
  ch_arena_init(&found.arena, store->config.alloc, ARENA_CHUNK, ARENA_CAP);
  int error = search(store, ask, &wanted, &found);
  if (!error) error = answer(ask, &found);
  ch_arena_fini(&found.arena);
  ch_free(found.alloc, found.rows);
  return error;
}
