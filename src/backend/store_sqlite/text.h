/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - what of a row is searched.
 */
#ifndef CH_STORE_SQLITE_TEXT_H
#define CH_STORE_SQLITE_TEXT_H

#include <chat/backend.h>

#include "backend/sqlite_db.h"
#include "core/arena.h"

enum { CH_STORE_TEXT_ARENA_LEN = 1024 * 1024 };

/* Body of a message, where it is UTF-8; else nothing. Borrows from the row and the arena. */
chat_bytes ch_sqlstore_text(const chat_row *row, ch_arena *arena);

/* Keeps the text of a row that goes from its run, until the index has forgotten it as well. */
int ch_sqlstore_text_erase(ch_sqlite_db *db, const chat_allocator *alloc, uint64_t conv, uint64_t run, const chat_row *row);

#endif
