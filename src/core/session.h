/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - one authenticated connection, seen from either end: what state it is in, what its deadline is, what waits to be written.
 * (docs/protocol.md, "Session".) It knows no opcode but those of the handshake; the gateway and the client's brain give the rest its meaning.
 *
 *   NEW       hello is awaited (server) or to be sent (client); deadline: hello_ms       → AUTH, CLOSED
 *   AUTH      credentials are being checked; deadline: auth_ms                           → LIVE, CLOSED
 *   LIVE      requests pass; deadline: idle_ms without a frame (server), heartbeat (client) → DRAINING, CLOSED
 *   DRAINING  goodbye is queued or came; no new requests; deadline: drain_ms             → CLOSED
 *   CLOSED    final
 */
#ifndef CH_CORE_SESSION_H
#define CH_CORE_SESSION_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/op.h"
#include "core/wire.h"

typedef enum ch_session_state {
  CH_SESSION_NEW = 1,
  CH_SESSION_AUTH = 2,
  CH_SESSION_LIVE = 3,
  CH_SESSION_DRAINING = 4,
  CH_SESSION_CLOSED = 5
} ch_session_state;

typedef enum ch_side { CH_SERVER_SIDE = 1, CH_CLIENT_SIDE = 2 } ch_side;

typedef struct ch_session_times { /* all ms */
  uint32_t hello_ms;     /* 10,000 */
  uint32_t auth_ms;      /* 10,000 */
  uint32_t heartbeat_ms; /* 15,000: the client sends one when it has sent nothing else for so long */
  uint32_t idle_ms;      /* 45,000: silence after which either side gives up */
  uint32_t drain_ms;     /* 5,000 */
} ch_session_times;

typedef struct ch_session {
  ch_side side;
  ch_session_state state;
  ch_session_times times;
  uint64_t state_since_ms, last_in_ms, last_out_ms; /* elapsed */
  ch_buf out; /* whole length-prefixed messages, to be taken as one frame; bounded: a slow reader is cut off (P8) */
} ch_session;

void ch_session_init(ch_session *session, ch_side side, const ch_session_times *times, const ch_allocator *alloc, size_t out_max, uint64_t now_ms);
void ch_session_fini(ch_session *session);

/* The only place that changes the state; a move that the table above does not have is a broken invariant. */
void ch_session_enter(ch_session *session, ch_session_state state, uint64_t now_ms);

/* May this opcode come in now? 0, CHAT_E_PROTOCOL (hello twice, anything before hello: the session ends) or CHAT_E_AGAIN (draining). */
int ch_session_admit(const ch_session *session, ch_client_op op);

/* Note that a frame came in / append a message to what goes out. put: 0, CHAT_E_TOO_LARGE: the peer reads too slowly, end the session; CHAT_E_CLOSED, CHAT_E_NOMEM. */
void ch_session_heard(ch_session *session, uint64_t now_ms);
int ch_session_put_server(ch_session *session, const ch_server_message *message);
int ch_session_put_client(ch_session *session, const ch_client_message *message);
int ch_session_put_raw(ch_session *session, chat_bytes messages); /* already length-prefixed */

/* The waiting messages as one frame (at most CHAT_FRAME_MAX, whole messages), or len 0. Lives until the next put or take; `taken` ends its use. */
chat_bytes ch_session_peek(const ch_session *session);
void ch_session_taken(ch_session *session, size_t len, uint64_t now_ms);

/* What is due. deadline: elapsed ms of the next thing. due: NONE, HEARTBEAT (client: send one), EXPIRED (close with CHAT_E_TIMEOUT). */
typedef enum ch_session_due { CH_DUE_NONE = 0, CH_DUE_HEARTBEAT = 1, CH_DUE_EXPIRED = 2 } ch_session_due;
uint64_t ch_session_deadline_ms(const ch_session *session);
ch_session_due ch_session_check(const ch_session *session, uint64_t now_ms);

#endif
