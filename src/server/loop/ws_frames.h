/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_frames.h - the frames that a client sends (RFC 6455, section 5): a machine over bytes, one for each WebSocket.
 *
 * Bytes go in as they come, are unmasked where they lie, and events are pulled until MORE. A whole message that lies in the bytes handed in is handed on there; what came in part
 * is kept in a buffer that exists only until the rest of it has come. Nothing is allocated for what is announced, only for what has come.
 */
#ifndef CH_SERVER_WS_FRAMES_H
#define CH_SERVER_WS_FRAMES_H

#include "core/buf.h"

/* Codes of a Close (RFC 6455, section 7.4.1, and IANA's registry). */
enum {
  CH_WS_CODE_NONE = 0, /* a Close without one */
  CH_WS_CODE_NORMAL = 1000,
  CH_WS_CODE_BROKEN = 1002,
  CH_WS_CODE_NOT_BINARY = 1003,
  CH_WS_CODE_NOT_TEXT = 1007,
  CH_WS_CODE_UNWELCOME = 1008,
  CH_WS_CODE_TOO_LARGE = 1009,
  CH_WS_CODE_LATER = 1013
};

enum { CH_WS_CONTROL_MAX = 125, CH_WS_HEAD_LEN_MAX = 10 }; /* bytes: payload of a control frame; head of a frame that is not masked */

/* From CLOSE on they are the last event: whatever follows is swallowed. */
typedef enum ch_ws_kind {
  CH_WS_MORE = 0,     /* all bytes are used up */
  CH_WS_MESSAGE,      /* a whole binary message */
  CH_WS_EMPTY_PART,   /* a fragment without a byte, and not the last: nothing came, but it was work */
  CH_WS_PING,
  CH_WS_PONG,
  CH_WS_CLOSE,        /* with the peer's code, or CODE_NONE */
  CH_WS_TEXT,         /* a text message begins */
  CH_WS_TOO_LARGE,    /* a message is, or will be, above CHAT_FRAME_MAX */
  CH_WS_BROKEN,       /* against the RFC; code: what to close with */
  CH_WS_OUT_OF_MEMORY
} ch_ws_kind;

typedef struct ch_ws_event {
  ch_ws_kind kind;
  uint16_t code;
  ch_bytes payload; /* of MESSAGE, PING, PONG; lives until the next call */
} ch_ws_event;

typedef struct ch_ws_frames {
  ch_buf part;        /* what has come of a message, then of a control frame between its fragments; else without memory */
  size_t message_len; /* of `part`: the message's */
  size_t left_len;    /* of the payload of the frame that is being read */
  uint8_t head[14];
  uint8_t head_len; /* bytes of the head that have come */
  bool is_in_payload, is_in_message, is_over;
  bool is_handed_on; /* what is in `part` was an event's payload, and is done with */
} ch_ws_frames;

/* What comes next, to be read and unmasked; not const. */
typedef struct ch_ws_input {
  uint8_t *data;
  size_t len;
} ch_ws_input;

void ch_ws_frames_init(ch_ws_frames *frames, const ch_allocator *alloc);
void ch_ws_frames_fini(ch_ws_frames *frames);
/* The next event of *in, which moves on. */
ch_ws_event ch_ws_frames_next(ch_ws_frames *frames, ch_ws_input *in);

/* The head of a frame from the server, whole and in one piece, in front of len bytes of payload; its length. */
typedef enum ch_ws_opcode { CH_WS_OP_CONTINUATION = 0, CH_WS_OP_TEXT = 1, CH_WS_OP_BINARY = 2, CH_WS_OP_CLOSE = 8, CH_WS_OP_PING = 9, CH_WS_OP_PONG = 10 } ch_ws_opcode;
size_t ch_ws_frame_head(ch_ws_opcode opcode, size_t len, uint8_t head[CH_WS_HEAD_LEN_MAX]);

#endif
