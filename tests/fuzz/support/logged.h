/* SPDX-License-Identifier: Apache-2.0 */
/* logged.h - one partition of a log with whatever an input says in it: record i has position i + 1. */
#ifndef CH_TEST_FUZZ_LOGGED_H
#define CH_TEST_FUZZ_LOGGED_H

#include <chat/backend.h>

#include "core/arena.h"
#include "fuzz/fuzz.h"

enum { FUZZ_LOGGED_MAX = 64 };

typedef struct fuzz_logged {
  chat_log_record records[FUZZ_LOGGED_MAX];
  size_t count;
} fuzz_logged;

/* The record is copied into the arena. False: there is no place for it. */
bool fuzz_logged_add(fuzz_logged *log, ch_arena *arena, chat_bytes record, uint64_t append_ms);

/* Answers of the backend: all records; those that were asked for, at most `count`. False: there are none. */
void fuzz_logged_info(const fuzz_logged *log, chat_log_info *op);
bool fuzz_logged_read(const fuzz_logged *log, chat_log_read *op, size_t count);

#endif
