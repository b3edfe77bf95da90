/* SPDX-License-Identifier: Apache-2.0 */
#include "core/buf.h"

#include <chat/chat.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/assert.h"

enum { FIRST_CAP_LEN = 64, VARINT_LEN_MAX = 10 };

void ch_buf_init(ch_buf *buf, const ch_allocator *alloc, size_t max_len) {
  *buf = (ch_buf){.alloc = alloc, .max_len = max_len};
}

void ch_buf_fini(ch_buf *buf) {
  ch_free(buf->alloc, buf->data);
  ch_buf_init(buf, buf->alloc, buf->max_len);
}

void ch_buf_clear(ch_buf *buf) {
  buf->len = 0;
  buf->error = CHAT_OK;
}

ch_bytes ch_buf_bytes(const ch_buf *buf) {
  return ch_bytes_of(buf->data, buf->len);
}

/* Twice as much each time, but neither less than what is needed nor more than the bound. */
static size_t grown_cap(const ch_buf *buf, size_t need_len) {
  size_t cap_len = buf->cap_len > 0 ? buf->cap_len * 2 : FIRST_CAP_LEN;
  if (cap_len > buf->max_len) cap_len = buf->max_len;
  return cap_len > need_len ? cap_len : need_len;
}

/* One byte more than cap_len is allocated: the place of the NUL that vsnprintf insists on. */
static int reserve(ch_buf *buf, size_t len) {
  if (buf->error) return buf->error;
  if (len > buf->max_len - buf->len) return buf->error = CHAT_E_TOO_LARGE;
  if (len <= buf->cap_len - buf->len) return CHAT_OK;
  size_t cap_len = grown_cap(buf, buf->len + len);
  uint8_t *data = ch_realloc(buf->alloc, buf->data, cap_len + 1, 1);
  if (!data) return buf->error = CHAT_E_NOMEM;
  buf->data = data;
  buf->cap_len = cap_len;
  return CHAT_OK;
}

uint8_t *ch_buf_extend(ch_buf *buf, size_t len) {
  ch_assert(len > 0);
  if (reserve(buf, len)) return NULL;
  buf->len += len;
  return buf->data + buf->len - len;
}

int ch_buf_put(ch_buf *buf, ch_bytes bytes) {
  if (bytes.len > 0 && !reserve(buf, bytes.len)) {
    memcpy(buf->data + buf->len, bytes.data, bytes.len);
    buf->len += bytes.len;
  }
  return buf->error;
}

int ch_buf_put_text(ch_buf *buf, const char *text) {
  return ch_buf_put(buf, ch_bytes_text(text));
}

static int put_big_endian(ch_buf *buf, uint64_t value, size_t len) {
  uint8_t bytes[8];
  for (size_t i = 0; i < len; i++)
    bytes[i] = (uint8_t)(value >> 8 * (len - 1 - i));
  return ch_buf_put(buf, ch_bytes_of(bytes, len));
}

int ch_buf_put_u8(ch_buf *buf, uint8_t value) {
  return put_big_endian(buf, value, 1);
}

int ch_buf_put_u64(ch_buf *buf, uint64_t value) {
  return put_big_endian(buf, value, 8);
}

int ch_buf_put_varint(ch_buf *buf, uint64_t value) {
  uint8_t bytes[VARINT_LEN_MAX];
  size_t len = 0;
  for (; value >= 0x80; value >>= 7)
    bytes[len++] = (uint8_t)(value | 0x80);
  bytes[len++] = (uint8_t)value;
  return ch_buf_put(buf, ch_bytes_of(bytes, len));
}

int ch_buf_printf(ch_buf *buf, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int len = vsnprintf(NULL, 0, format, args);
  va_end(args);
  ch_assert(len >= 0);
  if (len > 0 && !reserve(buf, (size_t)len)) {
    vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, again);
    buf->len += (size_t)len;
  }
  va_end(again);
  return buf->error;
}

ch_cursor ch_cursor_of(ch_bytes bytes) {
  return (ch_cursor){.data = bytes.data, .left_len = bytes.len};
}

int ch_cursor_bytes(ch_cursor *cursor, size_t len, ch_bytes *out) {
  *out = ch_bytes_of(NULL, 0);
  if (len > cursor->left_len) cursor->error = CHAT_E_PROTOCOL;
  if (cursor->error || len == 0) return cursor->error;
  *out = ch_bytes_of(cursor->data, len);
  cursor->data += len;
  cursor->left_len -= len;
  return CHAT_OK;
}

static uint64_t big_endian(ch_cursor *cursor, size_t len) {
  ch_bytes bytes;
  uint64_t value = 0;
  ch_cursor_bytes(cursor, len, &bytes);
  for (size_t i = 0; i < bytes.len; i++)
    value = value << 8 | bytes.data[i];
  return value;
}

int ch_cursor_u8(ch_cursor *cursor, uint8_t *out) {
  *out = (uint8_t)big_endian(cursor, 1);
  return cursor->error;
}

int ch_cursor_u64(ch_cursor *cursor, uint64_t *out) {
  *out = big_endian(cursor, 8);
  return cursor->error;
}

/* Most are one byte. */
static bool take_short_varint(ch_cursor *cursor, uint64_t *out) {
  if (cursor->error || cursor->left_len == 0 || cursor->data[0] >= 0x80) return false;
  *out = *cursor->data++;
  cursor->left_len--;
  return true;
}

int ch_cursor_varint(ch_cursor *cursor, uint64_t *out) {
  uint64_t value = 0;
  if (take_short_varint(cursor, out)) return CHAT_OK;
  *out = 0;
  for (size_t i = 0; i < cursor->left_len && !cursor->error; i++) {
    uint8_t byte = cursor->data[i];
    /* The tenth byte holds the 64th bit and nothing else. */
    if (i == VARINT_LEN_MAX - 1 && byte > 1) break;
    value |= (uint64_t)(byte & 0x7F) << 7 * i;
    if (byte >= 0x80) continue;
    cursor->data += i + 1;
    cursor->left_len -= i + 1;
    *out = value;
    return CHAT_OK;
  }
  return cursor->error = CHAT_E_PROTOCOL;
}

int ch_cursor_end(ch_cursor *cursor) {
  if (cursor->left_len > 0) cursor->error = CHAT_E_PROTOCOL;
  return cursor->error;
}
