/* SPDX-License-Identifier: Apache-2.0 */
/* From the generated structs to those of wire.h: one helper for each kind of field, and the kind's rule is checked nowhere else. */
#include <string.h>

#include "core/assert.h"
#include "core/bytes.h"
#include "core/codec_parts.h"

enum { ID_LEN = 16, CAP_FACTOR = 16, CAP_SPARE_LEN = 1024 * 1024 };

size_t ch_decode_cap(size_t len) {
  ch_assert(len <= (SIZE_MAX - CAP_SPARE_LEN) / CAP_FACTOR);
  return CAP_FACTOR * len + CAP_SPARE_LEN;
}

void ch_unpack_fail(ch_unpack *unpack, int error) {
  if (!unpack->error) unpack->error = error;
}

/* The arena says only NULL. What it has left tells its cap, which the bytes are to blame for, from memory that ran out. */
void *ch_unpack_alloc(ch_unpack *unpack, size_t len) {
  if (unpack->error) return NULL;
  ch_arena *arena = unpack->arena;
  void *memory = ch_arena_alloc(arena, len);
  if (!memory) ch_unpack_fail(unpack, len + ID_LEN > arena->cap_len - arena->used_len ? CHAT_E_TOO_LARGE : CHAT_E_NOMEM);
  return memory;
}

int ch_unpack_whole(ch_arena *arena, const ch_descriptor *descriptor, chat_bytes bytes, ch_unpack_fn *convert, void *to, size_t to_len) {
  ch_unpack unpack = {.arena = arena};
  memset(to, 0, to_len);
  const void *from = ch_unpack_message(&unpack, descriptor, bytes);
  if (from) convert(&unpack, from, to);
  return unpack.error;
}

void ch_unpack_id(ch_unpack *unpack, ProtobufCBinaryData from, uint8_t to[16]) {
  if (from.len != ID_LEN) {
    ch_unpack_fail(unpack, CHAT_E_PROTOCOL);
    return;
  }
  memcpy(to, from.data, ID_LEN);
}

bool ch_unpack_id_or_none(ch_unpack *unpack, ProtobufCBinaryData from, uint8_t to[16]) {
  if (from.len > 0) ch_unpack_id(unpack, from, to);
  return from.len > 0;
}

chat_bytes ch_unpack_blob(ch_unpack *unpack, ProtobufCBinaryData from, size_t len_max) {
  if (from.len > len_max) ch_unpack_fail(unpack, CHAT_E_TOO_LARGE);
  return ch_bytes_of(from.data, from.len);
}

chat_bytes ch_unpack_text(ch_unpack *unpack, ProtobufCBinaryData from, size_t len_max) {
  chat_bytes text = ch_unpack_blob(unpack, from, len_max);
  if (!unpack->error && !ch_utf8_valid(text)) ch_unpack_fail(unpack, CHAT_E_INVALID);
  return text;
}

chat_bytes ch_unpack_user(ch_unpack *unpack, ProtobufCBinaryData from) {
  chat_bytes user = ch_unpack_blob(unpack, from, CHAT_USER_ID_MAX);
  if (!unpack->error && !ch_user_id_valid(user)) ch_unpack_fail(unpack, CHAT_E_INVALID);
  return user;
}

chat_bytes ch_unpack_user_or_none(ch_unpack *unpack, ProtobufCBinaryData from) {
  return from.len > 0 ? ch_unpack_user(unpack, from) : ch_bytes_of(NULL, 0);
}

size_t ch_payload_max(uint32_t type) {
  return type == CHAT_TYPE_MESSAGE ? CH_SEND_PAYLOAD_MAX : CH_CONTENT_MAX;
}

chat_bytes ch_unpack_payload(ch_unpack *unpack, uint32_t type, ProtobufCBinaryData from) {
  return ch_unpack_blob(unpack, from, ch_payload_max(type));
}

uint32_t ch_unpack_choice(ch_unpack *unpack, uint32_t value, uint32_t min, uint32_t max) {
  if (value < min || value > max) ch_unpack_fail(unpack, CHAT_E_INVALID);
  return value;
}

/* Errors of later versions pass: the list grows. */
int32_t ch_unpack_error(ch_unpack *unpack, uint32_t code) {
  return -(int32_t)(ch_unpack_choice(unpack, code, 0, CH_ERROR_CODE_MAX) & CH_ERROR_CODE_MAX);
}

uint32_t ch_unpack_flag(uint32_t value) {
  return value != 0;
}

void *ch_unpack_list(ch_unpack *unpack, const void *items, size_t count, size_t to_len, ch_unpack_fn *convert) {
  void *const *from = items;
  char *list = count > 0 ? ch_unpack_alloc(unpack, count * to_len) : NULL;
  if (!list) return NULL;
  memset(list, 0, count * to_len);
  for (size_t i = 0; i < count && !unpack->error; i++)
    convert(unpack, from[i], list + i * to_len);
  return list;
}

const chat_bytes *ch_unpack_users(ch_unpack *unpack, const ProtobufCBinaryData *users, size_t count) {
  chat_bytes *list = count > 0 ? ch_unpack_alloc(unpack, count * sizeof *list) : NULL;
  if (!list) return NULL;
  for (size_t i = 0; i < count; i++)
    list[i] = ch_unpack_user(unpack, users[i]);
  return list;
}
