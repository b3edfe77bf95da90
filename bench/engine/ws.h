/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws.h - WebSocket frames and the upgrade (RFC 6455), as both ends of a benchmark need them: no extensions, no check of what a peer under measure would not get wrong.
 */
#ifndef BENCH_WS_H
#define BENCH_WS_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/buf.h"

typedef enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 } ws_opcode;

typedef struct ws_frame {
  ws_opcode opcode;
  bool final;
  uint8_t *payload; /* inside what was read, unmasked there */
  size_t len;
} ws_frame;

/* The first frame of bytes[0..len): how long it is as a whole; 0: it is not all there. Call it once for each frame: a masked one is unmasked in place. */
size_t ws_frame_read(uint8_t *bytes, size_t len, ws_frame *frame);
/* Appends one, masked as a client must where `mask` is not NULL. */
int ws_frame_put(ch_buf *out, ws_opcode opcode, ch_bytes payload, const uint8_t mask[4]);
/* Appends the client's request. subprotocol may be NULL. */
int ws_request_put(ch_buf *out, const char *host, const char *path, const char *subprotocol);
/* Appends the server's answer to such a request (whole head of it); CHAT_E_PROTOCOL where it is none. */
int ws_answer_put(ch_buf *out, ch_bytes request);
/* Length of the HTTP head at the start of bytes, its empty line included; 0: it is not all there. */
size_t ws_head_len(ch_bytes bytes);

#endif
