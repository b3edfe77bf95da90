/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query.h - what a user looks for: as an expression that finds documents in the index, and held against the text of one message. Both see words as the index's own tokenizer does.
 */
#ifndef CH_STORE_SQLITE_QUERY_H
#define CH_STORE_SQLITE_QUERY_H

#include <chat/backend.h>
#include <sqlite3.h>
#include <stdbool.h>

#include "core/buf.h"

/* Of the index (schema in index.c) and of what is held against a text. */
#define CH_STORE_TOKENIZER_NAME "unicode61"
#define CH_STORE_TOKENIZER_OPTION "remove_diacritics"
#define CH_STORE_TOKENIZER_VALUE "2"

typedef struct ch_sqlstore_tokenizer {
  fts5_tokenizer calls;
  Fts5Tokenizer *self; /* NULL: there is none */
} ch_sqlstore_tokenizer;

/* handle: any connection. CHAT_E_NOMEM, CHAT_E_UNSUPPORTED (SQLite was built without FTS5). */
int ch_sqlstore_tokenizer_init(ch_sqlstore_tokenizer *tokenizer, sqlite3 *handle);
void ch_sqlstore_tokenizer_fini(ch_sqlstore_tokenizer *tokenizer); /* also where init failed, or of zeros */

/* A token has a byte and what parts it from the next one another; folding makes no byte into more than four. */
enum { CH_STORE_QUERY_LEN_MAX = 256, CH_STORE_QUERY_TOKENS_MAX = CH_STORE_QUERY_LEN_MAX / 2, CH_STORE_QUERY_FOLDED_MAX = 4 * CH_STORE_QUERY_LEN_MAX };

typedef struct ch_sqlstore_token {
  chat_bytes folded;  /* in `folded` of the query */
  chat_bytes written; /* in what the user wrote */
  bool follows;       /* in a text it comes right behind the one before: the tokenizer has parted what the user wrote as one word */
  bool is_prefix;
  bool is_last;       /* of its word */
  bool is_here;       /* while a text is gone through: it, and those that it follows, end at this place */
  bool is_found;
} ch_sqlstore_token;

typedef struct ch_sqlstore_query {
  ch_sqlstore_token tokens[CH_STORE_QUERY_TOKENS_MAX];
  size_t token_count;
  bool finds_nothing; /* it has a word of which the tokenizer leaves nothing */
  uint8_t folded[CH_STORE_QUERY_FOLDED_MAX];
  size_t folded_len;
} ch_sqlstore_query;

/* Each word must occur, a last word before '*' is a prefix. Nothing that a user writes is syntax. `text` is borrowed.
 * CHAT_E_INVALID: no word, or more than CH_STORE_QUERY_LEN_MAX bytes; CHAT_E_NOMEM. */
int ch_sqlstore_query_init(ch_sqlstore_query *query, const ch_sqlstore_tokenizer *tokenizer, chat_bytes text);
/* Appends the FTS5 expression for documents in which all tokens occur, in whatever message and order. */
void ch_sqlstore_query_put(const ch_sqlstore_query *query, ch_buf *out);
/* 1: all words occur in the text; 0: not; CHAT_E_NOMEM. */
int ch_sqlstore_query_finds(ch_sqlstore_query *query, const ch_sqlstore_tokenizer *tokenizer, chat_bytes text);

#endif
