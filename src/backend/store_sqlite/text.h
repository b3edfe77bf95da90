/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - what of a row is searched, and what a query means.
 */
#ifndef CH_STORE_SQLITE_TEXT_H
#define CH_STORE_SQLITE_TEXT_H

#include <chat/backend.h>

#include "core/arena.h"
#include "core/buf.h"

enum { CH_STORE_TEXT_ARENA_LEN = 1024 * 1024 };

/* Body of a message, where it is UTF-8; else nothing. Borrows from the row and the arena. */
chat_bytes ch_sqlstore_text(const chat_row *row, ch_arena *arena);

/* Appends the FTS5 expression for a user's query: each word quoted, all must occur, a last word before '*' is a prefix. Nothing that a user writes is syntax.
 * CHAT_E_INVALID: no word, or more than 256 bytes; CHAT_E_NOMEM. */
int ch_sqlstore_match(chat_bytes query, ch_buf *out);

#endif
