/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol.h - how a kind of server is spoken to: one table for each (chat.c, raw.c, and those of the peers). The engine owns sockets, frames, time and what is counted; a
 * protocol turns "send this body into your room" into bytes and bytes into "this body came".
 *
 *   the engine calls       open → (bytes come: message) … client_ready → join → client_joined → send, message, turn … tick
 *   a protocol calls       client_put to write, client_ready, client_joined, client_received, client_accepted, client_paged, client_tick_at, and load_fail for what may not happen
 *
 * All calls are on one thread. Bodies are printable text of config.body_len bytes, so that they fit into JSON and XML as they are.
 */
#ifndef BENCH_PROTOCOL_H
#define BENCH_PROTOCOL_H

#include "engine/client.h"

typedef enum bench_framing { FRAMING_WS_BINARY, FRAMING_WS_TEXT, FRAMING_STREAM } bench_framing;

typedef struct bench_protocol {
  const char *name;
  bench_framing framing;
  const char *subprotocol; /* of WebSocket; NULL: none */
  size_t state_len;        /* of client->protocol_state: zeroed memory of each client, kept over its reconnects */

  /* The path of the WebSocket upgrade, written to path[0..len). NULL: "/". */
  void (*path)(const bench_client *client, char *path, size_t len);
  /* The transport is up: begin to log in. When that is done: client_ready. */
  void (*open)(bench_client *client);
  /* A whole WebSocket message. FRAMING_STREAM: what was read and not yet used; return how much of it is used now (else len). */
  size_t (*message)(bench_client *client, ch_bytes bytes);
  /* Every client is ready: enter client->room (make it, where that is the first member's part). When one may send and receives: client_joined. */
  void (*join)(bench_client *client);
  void (*send)(bench_client *client, ch_bytes body);
  /* Asks for a page of 50 at a random place of the room's history; client_paged when it is there. NULL: it cannot. */
  void (*page)(bench_client *client);
  /* The end of a turn in which this client was touched, before its bytes are written: for what is better said once a turn. May be NULL. */
  void (*turn)(bench_client *client);
  /* The time that client_tick_at asked for has come (heartbeats, receipts). May be NULL. */
  void (*tick)(bench_client *client);
  /* The connection is gone. May be NULL. */
  void (*closed)(bench_client *client);
} bench_protocol;

/* By name; NULL: there is none. protocol/list.c */
const bench_protocol *protocol_find(const char *name);

#endif
