/* SPDX-License-Identifier: Apache-2.0 */
/* cache.h - what the files of cache_sqlite share; tables.c, history.c and search.c hold one family of calls of chat_cache_vtable each. */
#ifndef CH_CACHE_SQLITE_CACHE_H
#define CH_CACHE_SQLITE_CACHE_H

#include <chat/backend.h>
#include <pthread.h>
#include <stdbool.h>

#include "backend/cache_sqlite/statement.h"
#include "core/buf.h"
#include "core/env.h"

typedef struct ch_cache_sqlite {
  chat_cache base;
  const ch_allocator *alloc;
  char *path;
  int lock_fd; /* -1: not the owner */
  ch_sqlite_db db;
  bool is_broken;          /* a sync failed: what is on the disk is not known until it is opened anew */
  pthread_mutex_t closing; /* interrupt against close */
  ch_buf scratch;
  uint8_t place_id[16]; /* the last conversation asked for */
  uint64_t place;       /* 0: none */
  uint64_t indexed;     /* rows with a higher id are not in the index, and are not named in `unindexed` */
} ch_cache_sqlite;

/* Small number of a conversation, in whose place the 16 bytes stand in no key. *place 0: it has none. find reads, make writes. */
int ch_cache_place_find(ch_cache_sqlite *self, const uint8_t id[16], uint64_t *place);
int ch_cache_place_make(ch_cache_sqlite *self, const uint8_t id[16], uint64_t *place);

int ch_cache_value_get(void *arg, const char *name, chat_bytes *value);
int ch_cache_value_put(void *arg, const char *name, chat_bytes value);
int ch_cache_outbox_put(void *arg, const chat_outbox_row *row);
int ch_cache_outbox_remove(void *arg, const uint8_t client_id[16]);
int ch_cache_outbox_list(void *arg, int (*visit)(void *visit_arg, const chat_outbox_row *row), void *visit_arg);
int ch_cache_conversation_put(void *arg, const chat_cache_conversation *conversation);
int ch_cache_conversation_list(void *arg, int (*visit)(void *visit_arg, const chat_cache_conversation *conversation), void *visit_arg);
int ch_cache_members_replace(void *arg, const uint8_t conversation_id[16], const chat_cache_member *members, size_t count);
int ch_cache_member_mark(void *arg, const uint8_t conversation_id[16], chat_bytes user, uint64_t delivered, uint64_t read);
int ch_cache_members_list(void *arg, const uint8_t conversation_id[16], int (*visit)(void *visit_arg, const chat_cache_member *member), void *visit_arg);

int ch_cache_row_put(void *arg, const chat_row *row);
int ch_cache_row_remove(void *arg, const uint8_t conversation_id[16], uint64_t seq);
int ch_cache_rows(void *arg, const uint8_t conversation_id[16], uint64_t low, uint64_t high, uint32_t limit, int newest_first,
                  int (*visit)(void *visit_arg, const chat_row *row), void *visit_arg);
int ch_cache_row_by_client_id(void *arg, const uint8_t conversation_id[16], const uint8_t client_id[16], int (*visit)(void *visit_arg, const chat_row *row), void *visit_arg);
int ch_cache_cover(void *arg, const uint8_t conversation_id[16], uint64_t low, uint64_t high);
int ch_cache_covered(void *arg, const uint8_t conversation_id[16], int (*visit)(void *visit_arg, uint64_t low, uint64_t high), void *visit_arg);
int ch_cache_history_forget(void *arg, const uint8_t conversation_id[16]);
/* Gives each row of the statement to visit, and ends it. *count: rows given. */
int ch_cache_visit_rows(sqlite3_stmt *statement, int (*visit)(void *arg, const chat_row *row), void *arg, size_t *count);

int ch_cache_search(void *arg, chat_bytes query, const uint8_t *conversation_id, uint64_t before_message_id, uint32_t limit,
                    int (*visit)(void *visit_arg, const chat_row *row), void *visit_arg);
int ch_cache_index(void *arg, uint32_t count_max);
/* Takes a row out of the index, which has no copy of the text: it has to be what was put. */
int ch_cache_unindex(ch_cache_sqlite *self, uint64_t row, uint32_t type, chat_bytes payload);

#endif
