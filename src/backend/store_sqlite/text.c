/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_sqlite/text.h"

#include "backend/store_sqlite/schema.h"
#include "core/bytes.h"
#include "core/wire.h"

chat_bytes ch_sqlstore_text(const chat_row *row, ch_arena *arena) {
  ch_content content;
  if (row->type != CHAT_TYPE_MESSAGE) return (chat_bytes){0};
  if (ch_content_decode(row->type, row->payload, arena, &content)) return (chat_bytes){0};
  return ch_utf8_valid(content.body) ? content.body : (chat_bytes){0};
}

int ch_sqlstore_text_erase(ch_sqlite_db *db, const chat_allocator *alloc, uint64_t conv, uint64_t run, const chat_row *row) {
  ch_arena arena;
  ch_arena_init(&arena, alloc, 4096, CH_STORE_TEXT_ARENA_LEN);
  chat_bytes text = ch_sqlstore_text(row, &arena);
  int error = text.len > 0 ? ch_sqlite_run(db, SQL_ERASED_PUT, "uuuub", conv, row->seq, row->message_id, run, text) : 0;
  ch_arena_fini(&arena);
  return error;
}
