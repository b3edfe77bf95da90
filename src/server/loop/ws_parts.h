/* SPDX-License-Identifier: Apache-2.0 */
/* ws_parts.h - what a ws_server keeps for its connections: for ws_server.c and ws_conn.c alone. */
#ifndef CH_SERVER_WS_PARTS_H
#define CH_SERVER_WS_PARTS_H

#include "server/loop/listener.h"
#include "server/loop/ws_conn.h"

enum { CH_WS_READ_LEN = 64 * 1024 };

struct ch_ws_server {
  ch_ws_server_config config;
  ch_listener listener;
  ch_now now; /* of this turn, or this connection's: a clock costs as much as a small frame */
  SSL_CTX *tls; /* NULL: plaintext */
  ch_list shaking, lingering; /* oldest first */
  size_t shaking_count, lingering_count;
  bool is_down; /* all handles are gone */
  ch_ws_conn **slots; /* NULL: free. A number is its slot + 1, under a generation: numbers are not used again though slots are */
  size_t slot_count;
  uint32_t *free_slots;
  size_t free_count;
  uint32_t generation;
  uint8_t in[CH_WS_READ_LEN];       /* of whoever reads */
  uint8_t scratch[CH_WS_SCRATCH_LEN]; /* of whoever writes */
};

/* A number for it. false: no memory. */
bool ch_ws_server_number(ch_ws_server *server, ch_ws_conn *conn);
void ch_ws_server_forget(ch_ws_server *server, const ch_ws_conn *conn);
/* It was in `before` (0: it is new): it moves to the list of its state, or to none. */
void ch_ws_server_moved(ch_ws_server *server, ch_ws_conn *conn, ch_ws_state before);

#endif
