/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_sqlite.h - the embedded store: one SQLite database (docs/decisions/0002), WAL, behind a durable log.
 *
 * Heads are derived from conversation states (CHAT_BACKEND_DERIVES_HEADS, V7): positions are compared across conversations, so the topic
 * "messages" in front of it has one partition, 0 (an APPLY of another gets CHAT_E_INVALID). One thread writes, ops that wait are committed together; one to four threads read, each from a snapshot of
 * its own; one thread keeps the full-text index (unless no_search), in a database of its own ("PATH-search") that is made anew where it is lost or damaged.
 *
 * Where tail_rows is set, what ordinary messages bring is acknowledged in memory and written to the tables later (docs/decisions/0008): only behind a log that has it, for whoever reads that from
 * the stored position on brings it again. Watermarks, devices and whatever changes members are in the tables before they are acknowledged, and all that was acknowledged before them too.
 *
 * With synchronous NORMAL the last commits may go with the power: STORE_POSITION says in `synced` how far the log may be cut.
 */
#ifndef CH_BACKEND_STORE_SQLITE_H
#define CH_BACKEND_STORE_SQLITE_H

#include <chat/backend.h>

enum { CH_STORE_SYNC_NORMAL = 0, CH_STORE_SYNC_FULL = 1 };

enum { CH_STORE_READERS_MAX = 4 };

typedef struct ch_store_sqlite_config {
  const chat_allocator *alloc;
  const char *path;         /* of the database; "PATH-lock" and "PATH-search" lie beside it. The directory must be there */
  uint32_t reader_threads;  /* 1 to CH_STORE_READERS_MAX */
  uint32_t sync;            /* CH_STORE_SYNC_* */
  uint32_t check;           /* 1: quick_check of the whole database at open */
  uint32_t pages_max;       /* bound of the database, in pages of 4 KiB; 0: none. What does not fit ends with CHAT_E_FULL */
  uint32_t checkpoint_pages;/* WAL pages after which it is checkpointed; 0: 1,000 */
  uint32_t checkpoint_ms;   /* what was committed is synced after at most this, also where little is written; 0: 5,000 */
  size_t tail_rows;         /* events that may wait in memory to be written to the tables; 0: none, every APPLY is committed before it is acknowledged */
  size_t tail_len;          /* and their bytes, about; 0: 16 MiB */
  uint32_t tail_ms;         /* and for how long; 0: 5,000 */
  uint32_t index_ms;        /* the index takes up what is in the tables at most so often; 0: at once */
  uint32_t no_search;       /* 1: no index is kept, one that is there is removed, and SEARCH ends with CHAT_E_UNSUPPORTED */
} ch_store_sqlite_config;

/* 0, CHAT_E_INVALID, CHAT_E_NOMEM, CHAT_E_BUSY (another process or store has it open), CHAT_E_VERSION (made by a newer version, by one before the first release, or by another program),
 * CHAT_E_CORRUPT, CHAT_E_FULL, CHAT_E_IO. */
int ch_store_sqlite_new(const ch_store_sqlite_config *config, chat_backend *store);

/* Consumed position of a partition of "messages" that would still be there after a power loss now; any thread. What STORE_POSITION gives in `synced`. */
uint64_t ch_store_sqlite_synced_position(const chat_backend *store, uint32_t partition);

#endif
