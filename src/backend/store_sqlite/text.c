/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_sqlite/text.h"

#include "core/bytes.h"
#include "core/wire.h"

enum { QUERY_LEN_MAX = 256 };

chat_bytes ch_sqlstore_text(const chat_row *row, ch_arena *arena) {
  ch_content content;
  if (row->type != CHAT_TYPE_MESSAGE) return (chat_bytes){0};
  if (ch_content_decode(row->type, row->payload, arena, &content)) return (chat_bytes){0};
  return ch_utf8_valid(content.body) ? content.body : (chat_bytes){0};
}

/* As the tokenizer (unicode61) sees ASCII: letters and digits make words, all else parts them. What is beyond ASCII it judges itself, inside the quotes. */
static bool in_word(uint8_t byte) {
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

static size_t word_end(chat_bytes query, size_t at) {
  while (at < query.len && in_word(query.data[at]))
    at++;
  return at;
}

static void put_word(ch_buf *out, chat_bytes word, bool is_prefix) {
  if (out->len > 0) ch_buf_put_text(out, " AND ");
  ch_buf_put_text(out, "text:\"");
  ch_buf_put(out, word);
  ch_buf_put_text(out, is_prefix ? "\"*" : "\"");
}

int ch_sqlstore_match(chat_bytes query, ch_buf *out) {
  if (query.len == 0 || query.len > QUERY_LEN_MAX) return CHAT_E_INVALID;
  for (size_t at = 0; at < query.len;) {
    size_t end = word_end(query, at);
    bool is_prefix = end + 1 == query.len && query.data[end] == '*';
    if (end > at) put_word(out, ch_bytes_of(query.data + at, end - at), is_prefix);
    at = end + 1;
  }
  if (out->error) return CHAT_E_NOMEM;
  return out->len > 0 ? 0 : CHAT_E_INVALID;
}
