/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.h - consecutive events of one conversation as one blob (docs/decisions/0002).
 *
 * Format 1: for each event, in order: msg_no varint · message_id u64 · created_ms varint · client_seq varint · sender length u8 and bytes · device_id 16 · client_id 16 ·
 * type varint · payload length varint and bytes. Its seq follows from the run's first one, the conversation is the run's. Numbers as in core/buf.h.
 */
#ifndef CH_STORE_SQLITE_RUN_H
#define CH_STORE_SQLITE_RUN_H

#include <chat/backend.h>

#include "core/buf.h"

enum { CH_STORE_RUN_EVENTS_MAX = 64, CH_STORE_RUN_LEN_MAX = 16384, CH_STORE_RUN_FORMAT = 1 };

/* A run as read; body is borrowed. */
typedef struct ch_sqlstore_stored_run {
  uint64_t id, first_seq;
  uint64_t count;
  uint32_t format;
  chat_bytes body;
} ch_sqlstore_stored_run;

/* A run being made. Takes rows of rising, dense seq. */
typedef struct ch_sqlstore_run {
  ch_buf body;
  uint64_t first_seq, count;
  uint64_t first_ms, last_ms; /* lowest and highest created_ms */
} ch_sqlstore_run;

void ch_sqlstore_run_init(ch_sqlstore_run *run, const chat_allocator *alloc);
void ch_sqlstore_run_fini(ch_sqlstore_run *run);
void ch_sqlstore_run_clear(ch_sqlstore_run *run);
/* Is this row the next one, and is there room for it? An empty run takes any. */
int ch_sqlstore_run_takes(const ch_sqlstore_run *run, const chat_row *row);
/* 0, CHAT_E_NOMEM, CHAT_E_INVALID (a sender of more than CHAT_USER_ID_MAX bytes), CHAT_E_TOO_LARGE. */
int ch_sqlstore_run_add(ch_sqlstore_run *run, const chat_row *row);

/* Decodes all events of a run into rows[CH_STORE_RUN_EVENTS_MAX]; they borrow from the body. CHAT_E_CORRUPT; CHAT_E_VERSION: a format of a newer version. */
int ch_sqlstore_run_decode(const ch_sqlstore_stored_run *run, const uint8_t conversation_id[16], chat_row *rows);

#endif
