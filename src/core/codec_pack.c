/* SPDX-License-Identifier: Apache-2.0 */
/* From the structs of wire.h to the generated ones, and from those to bytes. Nothing is copied on the way but the structs. */
#include <string.h>

#include "core/codec_parts.h"

enum { CHUNK_LEN = 1024, VARINT_LEN_MAX = 10, ID_LEN = 16 };

void ch_pack_init(ch_pack *pack, const ch_allocator *alloc) {
  pack->error = CHAT_OK;
  ch_arena_init(&pack->arena, alloc, CHUNK_LEN, SIZE_MAX / 2);
  ch_arena_lend(&pack->arena, pack->first, sizeof pack->first);
}

void ch_pack_fini(ch_pack *pack) {
  ch_arena_fini(&pack->arena);
}

void *ch_pack_alloc(ch_pack *pack, size_t count, size_t item_len) {
  void *memory = pack->error ? NULL : ch_arena_calloc(&pack->arena, count, item_len);
  if (!memory) pack->error = CHAT_E_NOMEM;
  return memory;
}

void *ch_pack_message(ch_pack *pack, const ch_descriptor *descriptor, ch_pack_fn *convert, const void *from) {
  void *message = ch_pack_alloc(pack, 1, descriptor->sizeof_message);
  if (!message) return NULL;
  protobuf_c_message_init(descriptor, message);
  if (convert) convert(pack, from, message);
  return message;
}

/* Room for len bytes. Where there is none the buffer stays as it was, without an error, so that the caller may send what it holds
 * and try again. */
static int extend(ch_buf *out, size_t len, uint8_t **to) {
  *to = NULL;
  if (out->error) return out->error;
  if (len > out->max_len - out->len) return CHAT_E_TOO_LARGE;
  if (len > 0) *to = ch_buf_extend(out, len);
  return out->error;
}

int ch_pack_append(const ProtobufCMessage *message, ch_buf *out) {
  uint8_t *to;
  int error = extend(out, protobuf_c_message_get_packed_size(message), &to);
  if (to) protobuf_c_message_pack(message, to);
  return error;
}

static size_t put_varint(uint8_t *to, uint64_t value) {
  size_t len = 0;
  for (; value >= 0x80; value >>= 7)
    to[len++] = (uint8_t)(value | 0x80);
  to[len++] = (uint8_t)value;
  return len;
}

int ch_pack_append_prefixed(uint8_t key, const ProtobufCMessage *message, ch_buf *out) {
  uint8_t prefix[1 + VARINT_LEN_MAX] = {key};
  size_t message_len = protobuf_c_message_get_packed_size(message);
  size_t key_len = key != 0;
  size_t prefix_len = key_len + put_varint(prefix + key_len, message_len);
  uint8_t *to;
  int error = extend(out, prefix_len + message_len, &to);
  if (!to) return error;
  memcpy(to, prefix, prefix_len);
  protobuf_c_message_pack(message, to + prefix_len);
  return CHAT_OK;
}

int ch_pack_whole(const ch_descriptor *descriptor, ch_pack_fn *convert, const void *from, ch_buf *out) {
  ch_pack pack;
  ch_pack_init(&pack, out->alloc);
  const ProtobufCMessage *message = ch_pack_message(&pack, descriptor, convert, from);
  int error = pack.error ? pack.error : ch_pack_append(message, out);
  ch_pack_fini(&pack);
  return error;
}

ProtobufCBinaryData ch_pack_bytes(chat_bytes bytes) {
  /* protobuf-c only reads it; its struct serves both directions. */
  return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)bytes.data};
}

ProtobufCBinaryData ch_pack_id(const uint8_t id[16]) {
  return ch_pack_bytes(ch_bytes_of(id, ID_LEN));
}

ProtobufCBinaryData ch_pack_id_or_none(const uint8_t id[16]) {
  return ch_id_is_zero(id) ? ch_pack_bytes(ch_bytes_of(NULL, 0)) : ch_pack_id(id);
}

uint32_t ch_pack_error(int32_t error) {
  return (uint32_t)-error;
}

void *ch_pack_list(ch_pack *pack, const void *items, size_t count, size_t item_len, const ch_descriptor *descriptor, ch_pack_fn *convert) {
  void **list = count > 0 ? ch_pack_alloc(pack, count, sizeof *list) : NULL;
  for (size_t i = 0; list && i < count; i++)
    list[i] = ch_pack_message(pack, descriptor, convert, (const char *)items + i * item_len);
  return list;
}

ProtobufCBinaryData *ch_pack_users(ch_pack *pack, const chat_bytes *users, size_t count) {
  ProtobufCBinaryData *list = count > 0 ? ch_pack_alloc(pack, count, sizeof *list) : NULL;
  for (size_t i = 0; list && i < count; i++)
    list[i] = ch_pack_bytes(users[i]);
  return list;
}
