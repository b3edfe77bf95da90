/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_sqlite/query.h"

#include <string.h>

#include "backend/sqlite_db.h"
#include "core/assert.h"
#include "core/bytes.h"

/* ------------------------------------------------------------------------------------------------ the tokenizer */

/* As SQLite's documentation of FTS5 has it ("Extending FTS5"). */
static fts5_api *api_of(sqlite3 *handle) {
  fts5_api *api = NULL;
  sqlite3_stmt *statement = NULL;
  if (sqlite3_prepare_v2(handle, "SELECT fts5(?1)", -1, &statement, NULL) == SQLITE_OK) {
    sqlite3_bind_pointer(statement, 1, (void *)&api, "fts5_api_ptr", NULL);
    sqlite3_step(statement);
  }
  sqlite3_finalize(statement);
  return api;
}

int ch_sqlstore_tokenizer_init(ch_sqlstore_tokenizer *tokenizer, sqlite3 *handle) {
  const char *options[] = {CH_STORE_TOKENIZER_OPTION, CH_STORE_TOKENIZER_VALUE};
  void *context = NULL;
  *tokenizer = (ch_sqlstore_tokenizer){.self = NULL};
  fts5_api *api = api_of(handle);
  if (!api) return sqlite3_errcode(handle) == SQLITE_NOMEM ? CHAT_E_NOMEM : CHAT_E_UNSUPPORTED;
  int code = api->xFindTokenizer(api, CH_STORE_TOKENIZER_NAME, &context, &tokenizer->calls);
  if (code == SQLITE_OK) code = tokenizer->calls.xCreate(context, options, 2, &tokenizer->self);
  if (code != SQLITE_OK) tokenizer->self = NULL;
  return ch_sqlite_error(NULL, code);
}

void ch_sqlstore_tokenizer_fini(ch_sqlstore_tokenizer *tokenizer) {
  if (tokenizer->self) tokenizer->calls.xDelete(tokenizer->self);
  tokenizer->self = NULL;
}

typedef int token_fn(void *arg, int flags, const char *token, int len, int start, int end);

static int tokenize(const ch_sqlstore_tokenizer *tokenizer, void *arg, int reason, chat_bytes text, token_fn *fn) {
  return tokenizer->calls.xTokenize(tokenizer->self, arg, reason, (const char *)text.data, (int)text.len, fn);
}

/* ------------------------------------------------------------------------------------------------ what is looked for */

/* A word of the query while the tokenizer parts it. */
typedef struct parting {
  ch_sqlstore_query *query;
  chat_bytes word;
  size_t first; /* index of its first token */
} parting;

static int take_token(void *arg, int flags, const char *token, int len, int start, int end) {
  (void)flags;
  parting *part = arg;
  ch_sqlstore_query *query = part->query;
  ch_assert(query->token_count < CH_STORE_QUERY_TOKENS_MAX && query->folded_len + (size_t)len <= sizeof query->folded);
  uint8_t *folded = query->folded + query->folded_len;
  memcpy(folded, token, (size_t)len);
  query->folded_len += (size_t)len;
  query->tokens[query->token_count] = (ch_sqlstore_token){.folded = ch_bytes_of(folded, (size_t)len),
                                                          .written = ch_bytes_of(part->word.data + start, (size_t)(end - start)),
                                                          .follows = query->token_count > part->first};
  query->token_count++;
  return SQLITE_OK;
}

static int take_word(ch_sqlstore_query *query, const ch_sqlstore_tokenizer *tokenizer, chat_bytes word, bool is_prefix) {
  parting part = {query, word, query->token_count};
  int code = tokenize(tokenizer, &part, FTS5_TOKENIZE_QUERY, word, take_token);
  if (code != SQLITE_OK) return ch_sqlite_error(NULL, code);
  query->finds_nothing = query->finds_nothing || query->token_count == part.first;
  if (query->token_count == part.first) return 0;
  ch_sqlstore_token *last = &query->tokens[query->token_count - 1];
  last->is_last = true;
  last->is_prefix = is_prefix;
  return 0;
}

/* As the tokenizer sees ASCII: letters and digits make words, all else parts them. What is beyond ASCII it judges itself, inside a word. */
static bool in_word(uint8_t byte) {
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

static size_t word_end(chat_bytes text, size_t at) {
  while (at < text.len && in_word(text.data[at]))
    at++;
  return at;
}

int ch_sqlstore_query_init(ch_sqlstore_query *query, const ch_sqlstore_tokenizer *tokenizer, chat_bytes text) {
  int error = 0;
  query->token_count = query->folded_len = 0;
  query->finds_nothing = false;
  if (text.len == 0 || text.len > CH_STORE_QUERY_LEN_MAX) return CHAT_E_INVALID;
  for (size_t at = 0; at < text.len && !error;) {
    size_t end = word_end(text, at);
    bool is_prefix = end + 1 == text.len && text.data[end] == '*';
    if (end > at) error = take_word(query, tokenizer, ch_bytes_of(text.data + at, end - at), is_prefix);
    at = end + 1;
  }
  return error || query->token_count > 0 || query->finds_nothing ? error : CHAT_E_INVALID;
}

/* What the user wrote, which the index's tokenizer makes into this one token again; in quotes, which no word has inside. */
void ch_sqlstore_query_put(const ch_sqlstore_query *query, ch_buf *out) {
  for (size_t i = 0; i < query->token_count; i++) {
    ch_buf_put_text(out, i > 0 ? " AND \"" : "\"");
    ch_buf_put(out, query->tokens[i].written);
    ch_buf_put_text(out, query->tokens[i].is_prefix ? "\"*" : "\"");
  }
}

/* ------------------------------------------------------------------------------------------------ held against a text */

static bool is_like(const ch_sqlstore_token *token, const char *text, size_t len) {
  size_t want = token->folded.len;
  return (token->is_prefix ? len >= want : len == want) && memcmp(token->folded.data, text, want) == 0;
}

static bool all_are_found(const ch_sqlstore_query *query) {
  for (size_t i = 0; i < query->token_count; i++)
    if (query->tokens[i].is_last && !query->tokens[i].is_found) return false;
  return true;
}

/* From the last token on, so that each sees how the one before it stood at the place before. */
static int see_token(void *arg, int flags, const char *text, int len, int start, int end) {
  (void)flags, (void)start, (void)end;
  ch_sqlstore_query *query = arg;
  bool is_news = false;
  for (size_t i = query->token_count; i-- > 0;) {
    ch_sqlstore_token *token = &query->tokens[i];
    token->is_here = (!token->follows || token[-1].is_here) && is_like(token, text, (size_t)len);
    is_news = is_news || (token->is_here && !token->is_found);
    token->is_found = token->is_found || token->is_here;
  }
  return is_news && all_are_found(query) ? SQLITE_DONE : SQLITE_OK; /* DONE: it need not go on, and gives OK */
}

int ch_sqlstore_query_finds(ch_sqlstore_query *query, const ch_sqlstore_tokenizer *tokenizer, chat_bytes text) {
  if (query->finds_nothing || text.len == 0) return 0;
  for (size_t i = 0; i < query->token_count; i++)
    query->tokens[i].is_here = query->tokens[i].is_found = false;
  int code = tokenize(tokenizer, query, FTS5_TOKENIZE_DOCUMENT, text, see_token);
  return code == SQLITE_OK ? all_are_found(query) : ch_sqlite_error(NULL, code);
}
