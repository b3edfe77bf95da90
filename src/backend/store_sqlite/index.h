/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.h - the full-text index: a database of its own, filled behind the store by a thread of its own, made anew where it is lost, damaged or of another store.
 *
 * A document is one message. Its number is its message_id, or the next free number above (several conversations share a message_id where their messages came in one
 * millisecond): so the index's own order, which FTS5 reads without sorting, is that of search results but for such neighbours.
 */
#ifndef CH_STORE_SQLITE_INDEX_H
#define CH_STORE_SQLITE_INDEX_H

#include "backend/sqlite_db.h"

enum {
  INDEX_CURSOR, INDEX_CURSOR_PUT, INDEX_FREE, INDEX_DOC_PUT, INDEX_TEXT_PUT, INDEX_DOC, INDEX_DOC_FIND, INDEX_DOC_DELETE, INDEX_TEXT_DELETE, INDEX_FIND, INDEX_COUNT
};
extern const char *const ch_sqlstore_index_sql[INDEX_COUNT];

/* Columns of INDEX_CURSOR. */
enum { CURSOR_STORE, CURSOR_RUN, CURSOR_ERASED, CURSOR_POSITION };

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
/* Indexes the next runs, in one transaction. 1: there may be more; 0: nothing was left; or an error. `*erased`: pruned texts up to this number are forgotten. */
int ch_sqlstore_indexer_step(ch_sqlstore_indexer *indexer, uint64_t *erased);

#endif
