/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h - one partition's directory of segments: opened and repaired, appended to, read, cut (docs/decisions/0003).
 *
 * Appending and cutting are one thread's. Reading is another's: it takes a copy of a segment's description (under the journal's lock) and reads the file by a descriptor of
 * its own, so a file that is cut meanwhile is still read to its end.
 */
#ifndef CH_LOG_FILE_JOURNAL_H
#define CH_LOG_FILE_JOURNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "backend/log_file/log_file.h"
#include "backend/log_file/record.h"
#include "core/env.h"

enum { CH_JOURNAL_PATH_MAX = 3900 };

typedef struct ch_journal_segment {
  uint64_t first; /* number of its first record; it ends where the next one begins */
  uint32_t epoch;
} ch_journal_segment;

typedef struct ch_journal_config {
  const chat_allocator *alloc;
  const ch_log_file_io *io;
  chat_random random;
  uint32_t epoch;
  size_t segment_len, bytes_max;
} ch_journal_config;

typedef struct ch_journal {
  ch_journal_config config;
  char path[CH_JOURNAL_PATH_MAX + 1];
  uint8_t identity[16];

  pthread_mutex_t lock; /* the next three */
  ch_journal_segment *segments; /* oldest first */
  size_t segment_count, segment_room;
  uint64_t end; /* number of the newest durable record; 0: none ever */

  /* The appending thread's. */
  int fd; /* of the newest segment; -1: the journal must be opened again before anything is appended */
  size_t len, used_len; /* of that segment: what is written at all, zeros too; and with records */
  uint32_t seed;
  uint64_t last_ms;
  uint8_t *out; /* the commit that is being gathered: out_len bytes, out_count records */
  size_t out_len, out_room;
  uint32_t out_count;
} ch_journal;

/* Opens or makes. 0 or as ch_log_file_new; the journal must be closed whatever is returned. `*damaged`: number of the first damaged record (CHAT_E_CORRUPT). */
int ch_journal_open(ch_journal *journal, const ch_journal_config *config, const char *path, uint64_t *damaged);
void ch_journal_close(ch_journal *journal);

/* A commit: any number of adds, then one commit. An add of 1 gathered the record; 0: not now: commit what was added, and where nothing was, roll;
 * negative: never (CHAT_E_TOO_LARGE, CHAT_E_NOMEM). `*number`
 * is what it will be. Times below the last one are raised to it. */
int ch_journal_add(ch_journal *journal, chat_bytes data, uint64_t *time_ms, uint64_t *number);
/* Writes what was added and syncs it: 0, or CHAT_E_UNKNOWN: the journal has closed its file, what was added may be there or not (ch_journal_reopen). */
int ch_journal_commit(ch_journal *journal);
/* Begins the next segment. CHAT_E_FULL (no space, or bytes_max: nothing changed), CHAT_E_IO (the same). */
int ch_journal_roll(ch_journal *journal);
/* After CHAT_E_UNKNOWN. 0; CHAT_E_IO and others: not yet; CHAT_E_CORRUPT: what was durable is gone. */
int ch_journal_reopen(ch_journal *journal);

/* Removes segments whose records all have numbers up to `number`: oldest first, never the last two. */
void ch_journal_cut(ch_journal *journal, uint64_t number);

/* Any thread. Oldest number kept and newest; 0, 0: empty and new. */
void ch_journal_bounds(ch_journal *journal, uint64_t *first, uint64_t *end);
/* Position (epoch and number) of a number that is kept; of `after`, the number that follows it, or 0 where that was cut or `after` is of no time of this log; UINT64_MAX: it is of this epoch,
 * of which nothing is here yet. */
uint64_t ch_journal_position(ch_journal *journal, uint64_t number);
uint64_t ch_journal_after(ch_journal *journal, uint64_t after);

/* Where a reader is. Zeroed, with fd -1: nowhere. */
typedef struct ch_journal_cursor {
  int fd;
  uint64_t segment_first; /* of the segment that fd is of */
  uint64_t number;        /* of the record at `offset` */
  size_t offset;
} ch_journal_cursor;

/* Reads durable records from `number` on, one after the other, giving each to `take`, until that returns false or the end. CHAT_E_GONE, CHAT_E_IO, CHAT_E_CORRUPT, CHAT_E_NOMEM. */
int ch_journal_read(ch_journal *journal, ch_journal_cursor *cursor, uint64_t number, bool (*take)(void *arg, uint32_t epoch, const ch_logfile_record *record), void *arg);
void ch_journal_cursor_close(ch_journal_cursor *cursor);

#endif
