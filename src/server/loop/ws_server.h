/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_server.h - the WebSocket connections of one gateway (docs/protocol.md, "Transport"): subprotocol chat.v1 at / and /chat, whole binary messages.
 *
 * libwebsockets, one context for each thread, in the thread's uv loop. What it must be spared of was measured: no timers of its own for each connection, no
 * request for a writable callback for each message. So connections with something to write are flushed once a turn; only one whose socket is full waits for a callback.
 */
#ifndef CH_SERVER_WS_SERVER_H
#define CH_SERVER_WS_SERVER_H

#include "server/loop/turn_loop.h"
#include "server/role/gateway.h"

typedef struct ch_ws_server ch_ws_server;

typedef struct ch_ws_server_config {
  const chat_allocator *alloc;
  ch_turn_loop *loop;
  ch_gateway *gateway;
  int listen_fd;           /* taken over, also on an error */
  const char *cert, *key;  /* files; NULL: plaintext */
} ch_ws_server_config;

/* CHAT_E_NOMEM, CHAT_E_TLS (certificate or key), CHAT_E_IO. Before the loop runs. */
int ch_ws_server_new(const ch_ws_server_config *config, ch_ws_server **server);
/* All below: the loop's thread. */
uint64_t ch_ws_server_turn(ch_ws_server *server, ch_now now);
/* Writes and closes what the gateway wants; how many connections were touched. */
size_t ch_ws_server_flush(ch_ws_server *server);
void ch_ws_server_stop_listening(ch_ws_server *server);
/* Reads certificate and key again; new connections get them. They were checked by whoever asks. */
void ch_ws_server_reload(ch_ws_server *server);
/* Cuts every connection (the gateway is told) and begins to take the context down; true once that is done, to be asked each turn. */
bool ch_ws_server_end(ch_ws_server *server);
void ch_ws_server_free(ch_ws_server *server); /* NULL is a no-op; ended, or the loop never ran */

#endif
