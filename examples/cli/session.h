/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - a client in a slot, for as long as a command runs: taken, connected, waited on, given back.
 *
 * All waiting is done in session_step: events, a signal that says to stop, one more descriptor (standard input), and a deadline. The deadline is one of
 * progress: it moves on whenever the command says that something was achieved.
 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <chat/client.h>

#include "options.h"
#include "profile.h"

typedef enum session_step_kind { STEP_EVENT, STEP_INPUT, STEP_LATE, STEP_STOP } session_step_kind;

typedef struct session {
  const options *options;
  const profile *profile;
  chat_client *client;
  int slot;
  int signals;             /* descriptor; -1: none */
  bool stopped;            /* a signal said so */
  uint64_t last_tag;
  uint32_t state;          /* CHAT_STATE_* as last told */
  int status;              /* why */
  uint64_t token_until_ms; /* Unix time, where the token ends soon; else 0 */
  int64_t deadline_ms, patience_ms;
  const chat_event *event; /* of the last STEP_EVENT */
  /* What happens besides the reply that is waited for; NULL: nobody wants it. */
  void (*on_event)(void *arg, const chat_event *event);
  void *on_event_arg;
} session;

int64_t clock_ms(void);

/* Blocks the signals that say to stop, before any thread is made. */
void session_block_signals(void);

/* Takes a slot (-1: any that is free) and starts its client. CHAT_E_BUSY: all are taken. */
int session_open(session *s, const options *o, const profile *p, int slot);
void session_close(session *s);

/* Until the client is connected and up to date; with --offline 0 at once. The reason why not: CHAT_E_OFFLINE where there is no better one. */
int session_connect(session *s);

/* session_open (slot -1: any) and session_connect. An exit code, said on stderr, and then there is nothing to close. */
int session_begin(session *s, const options *o, const profile *p, int slot);

/* Waits until `until_ms` (or the session's own deadline: until_ms < 0) for one thing. input: a descriptor, or -1. */
session_step_kind session_step(session *s, int input, int64_t until_ms);
void session_progress(session *s);

/* A tag for the next request. */
uint64_t session_tag(session *s);
/* The reply to the request that has just been made with session_tag and gave `error`. *status: of the request, or why there is no reply (then NULL). The event
 * lives until the next step. */
const chat_event *session_reply(session *s, int error, int *status);

/* Lets receipts go out: the library collects them for a moment. */
void session_settle(session *s);

#endif
