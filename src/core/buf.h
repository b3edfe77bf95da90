/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - bytes being written (ch_buf) and bytes being read (ch_cursor). No code touches wire bytes but through these
 * two.
 *
 * Both remember their first error and do nothing from then on, so that a run of calls needs one check at its end.
 * Numbers are big endian; a varint is protobuf's (LEB128, up to 10 bytes). One thread at a time.
 */
#ifndef CH_CORE_BUF_H
#define CH_CORE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"
#include "core/env.h"

typedef struct ch_buf {
  const ch_allocator *alloc;
  uint8_t *data; /* len bytes written; moves when the buffer grows */
  size_t len;
  size_t cap_len; /* bytes allocated */
  size_t max_len; /* len never passes this */
  int error;      /* 0, or the first error: CHAT_E_TOO_LARGE (past max_len) or CHAT_E_NOMEM */
} ch_buf;

/* An empty buffer for up to max_len bytes; allocates nothing yet. */
void ch_buf_init(ch_buf *buf, const ch_allocator *alloc, size_t max_len);
/* Gives the memory back; the buffer is then empty and may be used again. */
void ch_buf_fini(ch_buf *buf);
/* Forgets content and error, keeps the memory. */
void ch_buf_clear(ch_buf *buf);
/* The content; valid until the next call that writes, clears or ends the buffer. */
ch_bytes ch_buf_bytes(const ch_buf *buf);

/* Adds len (above 0) bytes for the caller to fill and gives the first; valid until the next write. NULL on error. */
uint8_t *ch_buf_extend(ch_buf *buf, size_t len);
/* Each appends, and gives buf->error: 0, CHAT_E_TOO_LARGE or CHAT_E_NOMEM, where nothing is written by this call. */
int ch_buf_put(ch_buf *buf, ch_bytes bytes);
int ch_buf_put_text(ch_buf *buf, const char *text);
int ch_buf_put_u8(ch_buf *buf, uint8_t value);
int ch_buf_put_u64(ch_buf *buf, uint64_t value);
int ch_buf_put_varint(ch_buf *buf, uint64_t value);
/* As printf; the NUL is not part of the content. */
int ch_buf_printf(ch_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

typedef struct ch_cursor {
  const uint8_t *data; /* the next byte to read */
  size_t left_len;     /* bytes from there to the end */
  int error;           /* 0, or CHAT_E_PROTOCOL: it ended too early, or a varint is too long */
} ch_cursor;

/* A cursor at the first of bytes, which it borrows. */
ch_cursor ch_cursor_of(ch_bytes bytes);
/* Each reads one value and gives cursor->error: 0, or CHAT_E_PROTOCOL, where *out is 0 (or no bytes). */
int ch_cursor_u8(ch_cursor *cursor, uint8_t *out);
int ch_cursor_u64(ch_cursor *cursor, uint64_t *out);
int ch_cursor_varint(ch_cursor *cursor, uint64_t *out);
/* The next len bytes, borrowed from what the cursor reads. */
int ch_cursor_bytes(ch_cursor *cursor, size_t len, ch_bytes *out);
/* 0 if all was read without an error, else CHAT_E_PROTOCOL: bytes are left, or an earlier read failed. */
int ch_cursor_end(ch_cursor *cursor);

#endif
