/* SPDX-License-Identifier: Apache-2.0 */
/*
 * brain.h - the client as a pure machine: connection, outbox, sync, timeline, receipts.
 *
 * In: requests, what the transport tells, time. Out: what the transport shall do, frames, events (all pulled). Its cache (chat/backend.h) is called
 * synchronously; every change of what is shown is committed there first.
 *
 * One file for each part, small machines by value in a thin owner:
 *   brain.c       owner: dispatch of requests and server messages by table, transactions
 *   connection.c  desired and present state, back-off with full jitter, token, heartbeat            (C3, V6's spread)
 *   outbox.c      rows, numbers, prev, answers, verdicts, DUP resolution, restored databases         (C1–C8)
 *   sync.c        position, told, heads, live chain, ranges under way, order buffer                  (V2, V4, V5)
 *   timeline.c    pages of history, gap markers, search, lists of conversations
 *   verify.c      the cache held against the server's history
 *   receipts.c    own watermarks (V8)
 *   marks.c       others', asking for them, ticks
 *   members.c     who is in a conversation
 *   people.c      presence, typing, devices
 *   event.c       events for the embedder: arena-held, from rows and contents
 *   fact.c        what is worth a line in the log
 */
#ifndef CH_CLIENT_BRAIN_H
#define CH_CLIENT_BRAIN_H

#include <chat/backend.h>
#include <chat/client.h>

#include "core/env.h"
#include "core/op.h"
#include "core/session.h"

typedef struct ch_brain ch_brain;

typedef struct ch_brain_config {
  chat_cache *cache;
  chat_bytes client_name;      /* sent in HELLO; up to 64 bytes */
  ch_session_times times;      /* heartbeat_ms is replaced by the server's */
  uint32_t backoff_min_ms, backoff_max_ms; /* full jitter: uniform in 0..min(max, min * 2^n): 500, 60,000 */
  uint32_t prefetch;           /* messages fetched of a conversation that is new on this device: 200 */
  uint32_t hold_ms, hold_max;  /* live events out of order: 300 ms, 256 of them */
  uint32_t resend_ms;          /* an accepted row without an end is sent again after: 10,000 (C3) */
  uint32_t sync_every_ms;      /* V6: every client syncs after: 300,000 */
  uint32_t ranges_max;         /* under way at once: 4 */
  uint32_t outbox_max;         /* rows: 10,000 */
  uint32_t in_flight_max;      /* SENDs without an answer in a conversation: 32, at most the server's */
  uint32_t requests_max;       /* requests without their reply: 1,024 */
  uint32_t events_max;         /* events not pulled: 4,096; then RESYNC */
  const uint32_t *types_hidden; /* tests only: types treated as unknown; 0-terminated; NULL: none */
} ch_brain_config;

int ch_brain_new(const ch_env *env, const ch_brain_config *config, ch_brain **brain);
void ch_brain_free(ch_brain *brain);

/* Opens the cache and loads what is kept in memory (identity, outbox, conversations). As chat_client_start. */
int ch_brain_start(ch_brain *brain, ch_now now);
/* Closes the cache, forgets the session; frames are dropped. resume opens again. While suspended every request is CHAT_E_SUSPENDED. */
void ch_brain_suspend(ch_brain *brain, ch_now now);
int ch_brain_resume(ch_brain *brain, ch_now now);

/* Copied; empty: none. CHAT_E_TOO_LARGE, CHAT_E_NOMEM: the one before stays, and an event says so too. */
int ch_brain_set_token(ch_brain *brain, chat_bytes token, ch_now now);
void ch_brain_url_changed(ch_brain *brain, ch_now now);                 /* connect anew */
void ch_brain_network_hint(ch_brain *brain, int hint, ch_now now);

/* ---- requests */
typedef enum ch_client_request_kind {
  CH_REQ_SET_ONLINE = 1, /* flag */
  CH_REQ_LOGOUT,
  CH_REQ_WHOAMI,
  CH_REQ_SEND,           /* conversation_id, or user (direct); kind, body, meta; client_id where has_client_id */
  CH_REQ_RETRY,          /* client_id */
  CH_REQ_DISCARD,        /* client_id */
  CH_REQ_CREATE,         /* number: kind of conversation; text: title; users; flag: history_from_start */
  CH_REQ_CONTROL,        /* conversation_id, type CHAT_TYPE_MEMBERS_ADD … TO_CHANNEL; users, role, text, flag as that type needs */
  CH_REQ_MARK_READ,      /* conversation_id, number: seq */
  CH_REQ_OPEN,
  CH_REQ_CLOSE,
  CH_REQ_TYPING,         /* flag; no reply */
  CH_REQ_CONVERSATIONS,  /* number: after_index; limit */
  CH_REQ_CONVERSATION,
  CH_REQ_HISTORY,        /* number: before_seq; number2: after_seq; limit; flag: local */
  CH_REQ_SEARCH,         /* text: query; conversation_id where has_conversation; number: before_message_id; limit; flag: on_server */
  CH_REQ_MEMBERS,        /* user: after; limit */
  CH_REQ_DEVICES,
  CH_REQ_REVOKE_DEVICE,  /* device_id */
  CH_REQ_VERIFY
} ch_client_request_kind;

typedef struct ch_client_request {
  ch_client_request_kind kind;
  uint64_t tag;
  uint32_t has_conversation, has_client_id;
  uint8_t conversation_id[16], client_id[16], device_id[16];
  chat_bytes user, text, message_kind, body, meta;
  const chat_bytes *users;
  size_t user_count;
  uint32_t type, role, limit, flag;
  uint64_t number, number2;
} ch_client_request;

/* Borrowed for the call. 0: exactly one REPLY follows (but TYPING). Else nothing happened: CHAT_E_INVALID, CHAT_E_BUSY, CHAT_E_SUSPENDED, CHAT_E_NOMEM. */
int ch_brain_request(ch_brain *brain, const ch_client_request *request, ch_now now);

/* ---- transport. The owner asks `wants` after every call in, and does it. */
typedef enum ch_brain_want { CH_WANT_NOTHING = 0, CH_WANT_OPEN = 1, CH_WANT_CLOSE = 2 } ch_brain_want;
ch_brain_want ch_brain_wants(ch_brain *brain); /* each want is given once */
void ch_brain_opened(ch_brain *brain, ch_now now);
void ch_brain_frame(ch_brain *brain, chat_bytes frame, ch_now now);
void ch_brain_closed(ch_brain *brain, int status, ch_now now);
chat_bytes ch_brain_peek(ch_brain *brain); /* next frame to send, len 0: none; lives until taken */
void ch_brain_taken(ch_brain *brain, ch_now now);

/* ---- events; the caller owns what it gets */
typedef struct ch_client_event {
  chat_event event; /* all that it points to is in the arena */
  struct ch_client_event *next;
  ch_arena arena;
} ch_client_event;
ch_client_event *ch_brain_next_event(ch_brain *brain); /* NULL: none */
bool ch_brain_has_event(const ch_brain *brain);
void ch_client_event_free(ch_client_event *event);

/* ---- time. tick does what is due and one slice (≤ 50 ms of work, counted in rows) of long work; deadline 0: more long work waits. */
void ch_brain_tick(ch_brain *brain, ch_now now);
uint64_t ch_brain_deadline_ms(const ch_brain *brain);

#endif
