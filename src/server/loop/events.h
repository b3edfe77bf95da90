/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.h - requests of the embedder and the events that he pulls (chat/server.h). A request and its reply are one *errand*, made when the request is: so the reply's place
 * is reserved, and the bound on calls bounds the queue. Any thread, unless said.
 */
#ifndef CH_SERVER_EVENTS_H
#define CH_SERVER_EVENTS_H

#include <chat/server.h>
#include <pthread.h>
#include <stdbool.h>

#include "core/arena.h"
#include "core/list.h"

enum { CH_CALLS_MAX = 1024, CH_FAULTS_MAX = 64 };

typedef struct ch_events {
  const ch_allocator *alloc;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  ch_list under_way; /* calls that were begun */
  ch_list ready;     /* calls that ended, and faults, oldest first */
  size_t call_count, fault_count;
  int fd; /* eventfd: not 0 exactly while `ready` is not empty */
  bool is_interrupted;
  struct ch_errand *shown; /* the one that the embedder looks at */
} ch_events;

typedef struct ch_errand {
  ch_list node;
  ch_events *events;
  ch_arena arena; /* of the request and of the reply; whoever works on the call */
  size_t awaited; /* answers that are still to come */
  chat_server_event event;
} ch_errand;

int ch_events_init(ch_events *events, const ch_allocator *alloc); /* CHAT_E_NOMEM */
/* Frees what was not pulled. No call is under way. */
void ch_events_fini(ch_events *events);

/* A call that awaits `awaited` answers; the caller's until it is begun, answered or dropped. CHAT_E_BUSY, CHAT_E_NOMEM. */
int ch_errand_new(ch_events *events, uint64_t tag, size_t awaited, ch_errand **call);
/* Others work on it from now on: ch_events_cancel ends it too. */
void ch_errand_begin(ch_errand *call);
/* The request came to nothing: no event. */
void ch_errand_drop(ch_errand *call);
/* One answer: counts are summed up, the first error stays. With the last one the reply is there, and the call no longer the caller's. */
void ch_errand_answer(ch_errand *call, int status, uint64_t count);

/* Nobody works on calls any more: those that still await an answer end with CHAT_E_CANCELED. */
void ch_events_cancel(ch_events *events);

/* Dropped where CH_FAULTS_MAX wait already, or there is no memory. `text` is copied. */
void ch_events_fault(ch_events *events, int status, const char *text);

/* As chat_server_wait, _interrupt. */
const chat_server_event *ch_events_wait(ch_events *events, int timeout_ms);
void ch_events_interrupt(ch_events *events);

#endif
