/* SPDX-License-Identifier: Apache-2.0 */
/* salvage.h - what can still be read of a damaged database, written into a new one. */
#ifndef CH_CACHE_SQLITE_SALVAGE_H
#define CH_CACHE_SQLITE_SALVAGE_H

#include "backend/cache_sqlite/cache.h"

/* Out of the damaged database at `path` into `to`, inside its transaction: outbox, identity values, the conversations' next numbers. Only errors of `to` are given. */
int ch_cache_salvage(const char *path, sqlite3 *to);

#endif
