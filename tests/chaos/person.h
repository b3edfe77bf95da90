/* SPDX-License-Identifier: Apache-2.0 */
/* person.h - one person at one device, who writes to its conversations and keeps a diary. */
#ifndef CHAOS_PERSON_H
#define CHAOS_PERSON_H

#include <chat/client.h>

#include "diary.h"

enum { CONVERSATIONS_MAX = 64, ASK_MS = 60000 };

typedef struct place {
  uint8_t conversation_id[16];
  const char *peer; /* of a direct conversation */
} place;

typedef struct person {
  chat_client *client;
  diary diary;
  const char *device; /* its name: what it writes begins with it */
  place places[CONVERSATIONS_MAX];
  int place_count;
  int64_t pause_ms; /* between two messages, on average */
  int64_t next_ms;  /* when it writes again; INT64_MAX: an answer is awaited, or it is quiet */
  bool is_quiet;
  int ahead; /* entered and not committed in this life */
} person;

/* Works until the reply for `tag` is there; what else happens meanwhile is taken as ever. NULL: it did not come. */
const chat_event *person_await(person *p, uint64_t tag);

/* Writes to `path` what the database has, a line each:
 *   T conversation seq message_id client_id sender tick type body    an event
 *   O conversation client_id                                         a row of the outbox
 *   G conversation seq                                               events before this one are missing
 * 0 or CHAT_E_*. */
int person_testify(person *p, const char *path);

#endif
