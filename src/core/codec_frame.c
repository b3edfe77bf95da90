/* SPDX-License-Identifier: Apache-2.0 */
/* A frame is messages one behind the other, each after its length as a varint (docs/protocol.md, "Framing"). */
#include "core/buf.h"
#include "core/wire.h"

int ch_frame_next(chat_bytes *frame, chat_bytes *message) {
  ch_cursor cursor = ch_cursor_of(*frame);
  uint64_t len;
  *message = ch_bytes_of(NULL, 0);
  if (frame->len == 0) return CHAT_E_CLOSED;
  if (ch_cursor_varint(&cursor, &len) || len > cursor.left_len) return CHAT_E_PROTOCOL;
  *message = ch_bytes_of(cursor.data, (size_t)len);
  *frame = ch_bytes_of(cursor.data + len, cursor.left_len - (size_t)len);
  return CHAT_OK;
}
