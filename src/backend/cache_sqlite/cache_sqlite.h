/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_sqlite.h - the client's database in SQLite (chat/backend.h, "client: cache"; tables: docs/client-database.md).
 *
 * Files: PATH, PATH-wal while it is open, PATH-lock (empty; locked from open to close), PATH.damaged-N where one was set aside, PATH-new while one is.
 * No shared memory file: the one owner keeps the index of the log in its own memory, so a full disk cannot end the process by SIGBUS.
 */
#ifndef CH_CACHE_SQLITE_H
#define CH_CACHE_SQLITE_H

#include <chat/backend.h>

int ch_cache_sqlite_new(const chat_allocator *alloc, const char *path, chat_cache **cache); /* 0, CHAT_E_INVALID (empty path), CHAT_E_NOMEM; end it with vtable->free */

#endif
