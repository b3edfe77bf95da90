/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fold.h - what the sequencer makes of a short log: every record judged by ch_judge itself (src/server/role/judge.h), remembered by the log's content.
 *
 * The log is that of one group. User "a", who is a member at first, writes from the devices 1 to 3; the owner "o" from device 4.
 */
#ifndef MODEL_FOLD_H
#define MODEL_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/role/judge.h"

enum { FOLD_RECORDS_MAX = 8 };

typedef enum fold_kind {
  FOLD_MESSAGE = 1,
  FOLD_VOID = 2,
  FOLD_REMOVE = 3, /* a is removed, by the system */
  FOLD_ADD = 4,
  FOLD_RETIRE = 5  /* `target` is retired by `device` */
} fold_kind;

/* Plain bytes, so that a log is its own key. message: 1 to 7 names a client id, content and all; 0: none. */
typedef struct fold_record {
  uint8_t kind, device, number, prev, message, target;
} fold_record;

typedef struct fold_verdict {
  uint8_t code; /* ch_verdict_code */
  uint8_t last, head;
  uint8_t seq; /* COMMITTED: that it took; the system's records too */
} fold_verdict;

/* Verdicts on each of `count` records; good until the next 100,000 logs were asked for. */
const fold_verdict *fold_of(const fold_record *log, size_t count);
/* For models that fold step by step: a group as it begins, and one record. */
ch_conversation *fold_group_new(void);
fold_verdict fold_judge(ch_conversation *group, const fold_record *of, uint64_t position, ch_arena *arena, ch_judgement *out);

/* "m2#3 (prev 1)" and the like, for traces; good until the eighth call after. */
const char *fold_name(const fold_record *record);

#endif
