/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_upgrade.h - the opening handshake of a WebSocket, server side (RFC 6455, section 4.2; docs/protocol.md, "Transport"): what a request's head is answered with.
 *
 * A function of bytes: no state, no socket. HTTP is taken as RFC 9112 has it and no laxer: lines end in CR LF, nothing is folded, no control characters.
 */
#ifndef CH_SERVER_WS_UPGRADE_H
#define CH_SERVER_WS_UPGRADE_H

#include "core/buf.h"

#define CH_WS_SUBPROTOCOL "chat.v1"

enum {
  CH_WS_HEAD_MAX = 8 * 1024, /* bytes of a request up to and with its empty line */
  CH_WS_KEY_LEN = 24         /* of Sec-WebSocket-Key: 16 bytes in Base64 */
};

typedef struct ch_ws_request {
  size_t head_len; /* where the head ends: what follows belongs to the WebSocket. 0: it is not whole */
  char key[CH_WS_KEY_LEN];
} ch_ws_request;

/*
 * Reads `bytes`, all that has come so far; the first seen_len of them were read before and were not whole. 0: they still are not. Else the status to answer with:
 * 101 (a WebSocket from here on); 400 malformed, or without Host, key or our subprotocol; 404 another path; 405 not GET; 426 no upgrade to version 13; 431 the head is too long.
 */
int ch_ws_upgrade_read(ch_bytes bytes, size_t seen_len, ch_ws_request *request);

/* Appends the answer with that status; the request is looked at for 101 alone. 0, CHAT_E_NOMEM. */
int ch_ws_upgrade_answer(int status, const ch_ws_request *request, ch_buf *out);

#endif
