/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_server.h - the WebSocket connections of one gateway (docs/protocol.md, "Transport"): subprotocol chat.v1 at / and /chat, whole binary messages.
 *
 * RFC 6455 of our own (docs/decisions/0011-websocket-server.md), in the thread's uv loop: one buffer to read into for all connections, no timer and no copy of what goes out for any of
 * them. Connections with something to write are written once a turn; only one whose socket is full waits for it.
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
/* Cuts every connection (the gateway is told); true once all handles are gone from the loop, to be asked each turn. */
bool ch_ws_server_end(ch_ws_server *server);
void ch_ws_server_free(ch_ws_server *server); /* NULL is a no-op; ended, or the loop never ran */

#endif
