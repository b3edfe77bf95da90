/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.h - the full-text index: a database of its own, filled behind the store by a thread of its own, made anew where it is lost, damaged, of another version or of another store.
 *
 * A document is what one run has, or a part of it: messages of one conversation that follow each other, within a span of time (docs/decisions/0010). The index says in which documents
 * all words occur; in which of their messages is for whoever reads them (search.c). A document's number is the highest message_id in it, or the next free number above (several conversations
 * share a message_id where their messages came in one millisecond): so the index's own order, which FTS5 reads without sorting, is about that of search results.
 */
#ifndef CH_STORE_SQLITE_INDEX_H
#define CH_STORE_SQLITE_INDEX_H

#include "backend/sqlite_db.h"

enum {
  INDEX_CURSOR, INDEX_CURSOR_PUT, INDEX_FREE, INDEX_DOC_PUT, INDEX_TEXT_PUT, INDEX_DOC, INDEX_DOC_FIND, INDEX_DOC_DELETE, INDEX_TEXT_DELETE, INDEX_FIND, INDEX_COUNT
};
_Static_assert((int)INDEX_COUNT <= (int)CH_SQLITE_STATEMENTS_MAX, "room for every statement");
extern const char *const ch_sqlstore_index_sql[INDEX_COUNT];

/* Columns of INDEX_CURSOR. */
enum { CURSOR_STORE, CURSOR_RUN, CURSOR_ERASED, CURSOR_POSITION };
/* And of INDEX_DOC_FIND; INDEX_DOC has them by its number. */
enum { DOC_ID, DOC_CONV, DOC_FIRST_SEQ, DOC_COUNT };

/* A message is in no document with a number at or above its message_id plus this: message_ids of a document are at most 8 s apart, and as many of them are shared as a millisecond has. */
#define CH_STORE_INDEX_SPAN ((uint64_t)8000 << 22)
#define CH_STORE_INDEX_REACH (CH_STORE_INDEX_SPAN + 8192)

/* The word that says of which conversation a document is: what a user writes may have it too, so it narrows and proves nothing. */
#define CH_STORE_INDEX_CONVERSATION "\xee\x80\x80%llu" /* U+E000, private use: a letter to the tokenizer */

typedef struct ch_sqlstore_indexer {
  const chat_allocator *alloc;
  ch_sqlite_db main;  /* read only */
  ch_sqlite_db index; /* written here alone */
} ch_sqlstore_indexer;

/* Opens both; makes the index anew where it must be. `main` must have its schema. The indexer can be closed whatever is returned. */
int ch_sqlstore_indexer_open(ch_sqlstore_indexer *indexer, const chat_allocator *alloc, const char *path);
/* Removes the files of the index of this store. */
void ch_sqlstore_index_remove(const char *path);
void ch_sqlstore_indexer_close(ch_sqlstore_indexer *indexer);
/* Forgets what was erased, then indexes the next runs, in one transaction. 1: there may be more; 0: nothing was left; or an error. `*erased`: erased texts up to this number are forgotten. */
int ch_sqlstore_indexer_step(ch_sqlstore_indexer *indexer, uint64_t *erased);

#endif
