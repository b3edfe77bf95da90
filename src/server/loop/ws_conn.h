/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_conn.h - one connection of a ws_server, from its accept to the end of its descriptor.
 *
 *   SHAKING    TLS and the request; deadline: HANDSHAKE_S, or PATIENCE_S   → OPEN, LINGERING (refused), GONE
 *   OPEN       a WebSocket, and the gateway's; deadlines are the gateway's → LINGERING (we closed), GONE
 *   LINGERING  our last bytes are on their way, what comes is dropped; deadline: LINGER_S, or after 8 MiB → GONE
 *   GONE       the descriptor is closed; the memory goes with libuv's handle
 *
 * A socket that is closed while bytes lie in it unread is reset, and a reset may overtake our last bytes: that is what lingering is for.
 */
#ifndef CH_SERVER_WS_CONN_H
#define CH_SERVER_WS_CONN_H

#include <uv.h>

#include "core/list.h"
#include "server/loop/ws_frames.h"
#include "server/loop/ws_server.h"
#include "server/loop/ws_socket.h"

typedef enum ch_ws_state { CH_WS_SHAKING = 1, CH_WS_OPEN = 2, CH_WS_LINGERING = 3, CH_WS_GONE = 4 } ch_ws_state;

typedef struct ch_ws_conn {
  uv_poll_t poll;
  ch_ws_server *server;
  ch_ws_socket socket;
  ch_ws_state state;
  uint16_t close_code;
  bool waits_writable;
  uint32_t noise;       /* frames that bring nothing, since then */
  uint32_t dropped_len; /* LINGERING: of what came */
  uint64_t noise_since_ms;
  ch_list node; /* SHAKING, LINGERING: in its server's list of these, oldest first */
  uint64_t since_ms;
  uint64_t id;              /* OPEN: its number at the gateway */
  ch_ws_frames frames;      /* its `part`, while SHAKING: what has come of the request */
  ch_buf own;               /* what waits to go out and is not the gateway's: answer, pongs, close */
  uint32_t frame_len;       /* of the gateway's bytes: payload of the frame that is being written; 0: none */
  uint32_t frame_taken_len; /* of it, its head included */
} ch_ws_conn;

/* Begins SHAKING; takes the descriptor, also where it fails. false: no memory. */
bool ch_ws_conn_new(ch_ws_server *server, int fd);
/* OPEN: writes what the gateway has for it, unless it waits for its socket. */
void ch_ws_conn_flush(ch_ws_conn *conn);
/* At once, without a word; the gateway is told. */
void ch_ws_conn_drop(ch_ws_conn *conn);

#endif
