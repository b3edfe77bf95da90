/* SPDX-License-Identifier: Apache-2.0 */
/* schema.h - the tables and how an older database is brought up to them (docs/client-database.md). */
#ifndef CH_CACHE_SQLITE_SCHEMA_H
#define CH_CACHE_SQLITE_SCHEMA_H

#include <sqlite3.h>
#include <stddef.h>

/* Step i leads from version i (PRAGMA user_version; 0: an empty file) to i + 1. Only ever appended to. */
extern const char *const ch_cache_schema_steps[];
extern const size_t ch_cache_schema_step_count;

/* Runs the steps that are missing, each in a transaction of its own. 0, CHAT_E_VERSION (newer than all steps), or what SQLite said. */
int ch_cache_schema_migrate(sqlite3 *sql, const char *const *steps, size_t count);

#endif
