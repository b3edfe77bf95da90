/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway.h - the role that clients are connected to. A pure machine: one for each event-loop thread of chatd.
 *
 * In: connections opening, their frames, their end; finished ops; time; requests of the embedder. Out: frames and closes (pulled), ops (pulled).
 * It authenticates, keeps the rules G1–G3 for every SEND, answers SYNC by V3 and RANGE by V5, renews routes and presence, coalesces receipts, and
 * passes live deliveries on. Its own checks are a courtesy; the sequencer judges.
 *
 * One file for each family: gateway.c (connections, dispatch table), gateway_auth.c, gateway_send.c (G1–G3), gateway_sync.c, gateway_receipts.c,
 * gateway_presence.c, gateway_live.c (deliveries), gateway_channel.c, gateway_devices.c, gateway_request.c (embedder).
 */
#ifndef CH_SERVER_GATEWAY_H
#define CH_SERVER_GATEWAY_H

#include "core/env.h"
#include "core/op.h"
#include "core/session.h"
#include "server/role/limits.h"

typedef struct ch_gateway ch_gateway;

typedef struct ch_gateway_config {
  chat_bytes name;            /* of this gateway in the directory; unique among all gateways */
  ch_session_times times;
  uint32_t message_partitions, delivery_partitions; /* of the log's topics */
  uint32_t store_derives_heads;
  uint32_t devices_max;       /* a user; 16 */
  uint32_t sessions_max;
  uint32_t in_flight_max;     /* SENDs of one session and conversation passed and not answered; 64 */
  uint32_t hold_ms, hold_max; /* G1's order buffer, each session: 300 ms, 64 items */
  uint32_t append_count_max;  /* records in one APPEND: 256; eight APPENDs of a partition may be under way */
  uint32_t receipt_ms;        /* receipts are coalesced for so long: 200 */
  uint32_t patience_ms;       /* an ACCEPTED, a session's own event, receipts wait for so long for what else it is told, to go in one frame with it: 10; 0: not at all */
  uint32_t patience_frames;   /* only while that many frames go out in patience_ms: 16; a gateway with little to do says all at once */
  uint32_t route_ms, presence_ms; /* 300,000 and 30,000 */
  size_t out_max;             /* bytes waiting for one client: 4 MiB; more: cut off */
  size_t out_total_max;       /* memory for what waits for all clients; more: whoever holds most is cut off */
  uint32_t hook_ms;           /* no answer of a hook by then denies: 5,000 */
  uint32_t has_before_log, has_may; /* the embedder has these hooks */
  ch_limiter limiter; /* outlives the gateway */
} ch_gateway_config;

int ch_gateway_new(const ch_env *env, const ch_gateway_config *config, ch_gateway **gateway);
void ch_gateway_free(ch_gateway *gateway); /* ops that are still outside must have come back */
ch_role ch_gateway_role(ch_gateway *gateway);

/* A socket was accepted, and not a byte of it read: may it become a connection? `origin` (1 to CH_LIMITS_KEY_MAX bytes) is whom the address limit counts it for. 0; CHAT_E_AGAIN
 * (address limit, draining), CHAT_E_LIMIT (sessions_max). */
int ch_gateway_admit(ch_gateway *gateway, chat_bytes origin, ch_now now);

/* Connections. `connection` is a number the loop chooses, never 0, not used again. opened: CHAT_E_LIMIT, CHAT_E_NOMEM, CHAT_E_AGAIN (draining). */
int ch_gateway_opened(ch_gateway *gateway, uint64_t connection, chat_bytes address, ch_now now);
void ch_gateway_frame(ch_gateway *gateway, uint64_t connection, chat_bytes frame, ch_now now);
/* The loop found what never becomes a frame: a text message (CHAT_E_PROTOCOL), one above CHAT_FRAME_MAX (CHAT_E_TOO_LARGE). */
void ch_gateway_violated(ch_gateway *gateway, uint64_t connection, int error, ch_now now);
void ch_gateway_closed(ch_gateway *gateway, uint64_t connection, ch_now now);

/* Connections with something to write or to close, each once; 0: none. Then peek and taken until len 0; where `close` is set and all is written: close it, then call closed. */
uint64_t ch_gateway_next_dirty(ch_gateway *gateway);
chat_bytes ch_gateway_peek(ch_gateway *gateway, uint64_t connection, bool *close);
void ch_gateway_taken(ch_gateway *gateway, uint64_t connection, size_t len, ch_now now);

/* Goodbye to everybody, no new connections; `drained` once none is left and nothing is under way. reconnects are spread over spread_ms. */
void ch_gateway_drain(ch_gateway *gateway, uint32_t spread_ms, ch_now now);
bool ch_gateway_drained(const ch_gateway *gateway);

/* ---- ops for the embedder's hooks (kinds CH_OP_*); status 0 allows, any CHAT_E_* denies with that reason */
typedef struct ch_op_authenticate { /* CH_OP_AUTHENTICATE: Hello or RenewToken */
  chat_op op;
  chat_bytes token, address, client;
  uint8_t device_id[16]; /* asked for; zeros: none */
  ch_now now;
  chat_bytes user;       /* result, in the op's memory */
  uint8_t device_id_claimed[16]; /* result: the token is bound to this device; zeros: any */
  uint64_t expires_ms;   /* result: Unix time; 0: never */
} ch_op_authenticate;

typedef struct ch_op_before_log { /* CH_OP_BEFORE_LOG: a SEND that would go into the log */
  chat_op op;
  chat_bytes user;
  uint8_t device_id[16];
  ch_send send;
} ch_op_before_log;

enum { CH_MAY_CREATE = 1, CH_MAY_ADD = 2, CH_MAY_SEND_DIRECT = 3, CH_MAY_WATCH = 4, CH_MAY_SEARCH = 5 };
typedef struct ch_op_may { /* CH_OP_MAY: may the user do this? */
  chat_op op;
  uint32_t action;
  chat_bytes user, other;
  uint8_t conversation_id[16];
} ch_op_may;

/* ---- requests of the embedder (chat/server.h), through whichever gateway */
typedef enum ch_request_kind {
  CH_REQUEST_SEND = 1,       /* send: as `user` (system 0: must be a member; 1: as the system, membership not asked) */
  CH_REQUEST_DISCONNECT = 2, /* user, or device of it: Goodbye(error) */
  CH_REQUEST_HISTORY = 3,    /* range, as the user `user`, or all where user is empty */
  CH_REQUEST_REVOKE = 4      /* device of user */
} ch_request_kind;

typedef struct ch_request {
  ch_request_kind kind;
  uint64_t tag;
  chat_bytes user;
  uint8_t device_id[16];
  uint32_t system;
  int32_t error;
  ch_send send;
  ch_range range;
} ch_request;

typedef struct ch_request_reply {
  uint64_t tag;
  int32_t status;
  uint64_t count;            /* DISCONNECT: sessions ended here */
  uint8_t conversation_id[16], client_id[16];
  const chat_store_range *range; /* HISTORY: lives until the next call of next_reply */
} ch_request_reply;

/* Copied. CHAT_E_BUSY: 1,024 are under way. */
int ch_gateway_request(ch_gateway *gateway, const ch_request *request, ch_now now);
bool ch_gateway_next_reply(ch_gateway *gateway, ch_request_reply *reply);

/* ---- figures, read by the loop for metrics */
typedef struct ch_gateway_stats {
  uint64_t sessions, live_sessions, sessions_total, frames_in, frames_out, bytes_in, bytes_out;
  uint64_t answers[6]; /* by ch_answer_code */
  uint64_t live_events, syncs, ranges, auth_failures, limited, slow_readers, protocol_errors;
  uint64_t out_held_len; /* now: memory for what waits to be written, of all connections */
} ch_gateway_stats;
const ch_gateway_stats *ch_gateway_get_stats(const ch_gateway *gateway);

#endif
