/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes to the generated structs, in one pass. protobuf-c's own unpacker walks the bytes twice, allocates for each field and keeps what it does not know; and it has no bound on lists,
 * where two bytes of input cost a whole struct, so that a third walk had to come before it (docs/performance.md). Here lists are counted before they are allocated (docs/protocol.md, "Limits"),
 * and bytes stay where they are: in the one copy of the message that ch_unpack_message makes. The schema has no recursion, so there is no depth to bound.
 */
#include <stddef.h>
#include <string.h>

#include "chat.pb-c.h"
#include "core/assert.h"
#include "core/codec_parts.h"
#include "record.pb-c.h"

typedef ProtobufCFieldDescriptor known_field;

enum { VARINT = 0, FIXED64 = 1, DELIMITED = 2, FIXED32 = 5 };
enum { FIELDS_MAX = 32, KEY_MAX = UINT32_MAX };

/* Most items of each list of the schema; one that is not here is a defect that a test finds. */
typedef struct list_bound {
  const ch_descriptor *descriptor;
  uint32_t number;
  size_t count_max;
} list_bound;

static const list_bound list_bounds[] = {
    {&ch__get_receipts__descriptor, 1, CHAT_PAGE_MAX},
    {&ch__create_content__descriptor, 3, CH_USERS_MAX},
    {&ch__members_add_content__descriptor, 1, CH_USERS_MAX},
    {&ch__live__descriptor, 3, CH_LIST_MAX},
    {&ch__live__descriptor, 4, CH_LIST_MAX},
    {&ch__sync_reply__descriptor, 1, CH_SYNC_HEADS_MAX},
    {&ch__range_reply__descriptor, 7, CHAT_PAGE_MAX},
    {&ch__receipts__descriptor, 1, CH_MARKS_MAX},
    {&ch__members_reply__descriptor, 7, CH_MEMBERS_PAGE_MAX},
    {&ch__search_reply__descriptor, 1, CHAT_PAGE_MAX},
    {&ch__presence__descriptor, 1, CH_LIST_MAX},
    {&ch__devices_reply__descriptor, 1, CH_LIST_MAX},
    {&ch__tasks__descriptor, 2, CH_LIST_MAX},
    {&ch__task__descriptor, 1, CH_LIST_MAX},
    {&ch__delivered__descriptor, 1, CH_LIST_MAX},
    {&ch__delivered__descriptor, 2, CH_LIST_MAX},
    {&ch__delivered__descriptor, 3, CH_LIST_MAX},
    {&ch__delivered__descriptor, 4, CH_LIST_MAX},
};

static size_t count_max(const ch_descriptor *descriptor, uint32_t number) {
  for (size_t i = 0; i < sizeof list_bounds / sizeof *list_bounds; i++) {
    if (list_bounds[i].descriptor == descriptor && list_bounds[i].number == number) return list_bounds[i].count_max;
  }
  return 0;
}

/* ------------------------------------------------------------------------------------------------ one field */

static uint64_t little_endian(chat_bytes bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.len; i > 0; i--)
    value = value << 8 | bytes.data[i - 1];
  return value;
}

static int read_fixed(ch_cursor *cursor, size_t len, ch_field *field) {
  chat_bytes bytes;
  int error = ch_cursor_bytes(cursor, len, &bytes);
  field->value = little_endian(bytes);
  return error;
}

static int read_value(ch_cursor *cursor, ch_field *field) {
  uint64_t len;
  switch (field->wire) {
  case VARINT: return ch_cursor_varint(cursor, &field->value);
  case FIXED64: return read_fixed(cursor, 8, field);
  case FIXED32: return read_fixed(cursor, 4, field);
  case DELIMITED:
    if (ch_cursor_varint(cursor, &len) || len > cursor->left_len) return CHAT_E_PROTOCOL;
    return ch_cursor_bytes(cursor, (size_t)len, &field->bytes);
  default: return CHAT_E_PROTOCOL;
  }
}

int ch_read_field(ch_cursor *cursor, ch_field *field) {
  uint64_t key;
  *field = (ch_field){0};
  if (ch_cursor_varint(cursor, &key) || key > KEY_MAX || key >> 3 == 0) return CHAT_E_PROTOCOL;
  field->number = (uint32_t)(key >> 3);
  field->wire = key & 7;
  return read_value(cursor, field);
}

/* Fields of this schema are numbered without gaps where it matters. */
static const known_field *find_known(const ch_descriptor *descriptor, uint32_t number) {
  uint32_t index = number - 1;
  if (index < descriptor->n_fields && descriptor->fields[index].id == number) return &descriptor->fields[index];
  return protobuf_c_message_descriptor_get_field(descriptor, number);
}

int ch_read_envelope(const ch_descriptor *descriptor, chat_bytes bytes, uint64_t *tag, uint32_t *body) {
  ch_cursor cursor = ch_cursor_of(bytes);
  *tag = 0;
  *body = 0;
  while (cursor.left_len > 0) {
    ch_field field;
    int error = ch_read_field(&cursor, &field);
    if (error) return error;
    if (field.number == 1) *tag = field.value;
    if (field.number > 1 && find_known(descriptor, field.number)) *body = field.number;
  }
  return CHAT_OK;
}

/* ------------------------------------------------------------------------------------------------ where values go */

static void *place(void *message, unsigned offset) {
  return (char *)message + offset;
}

/* proto3: what is not there is zero. */
static void clear(ProtobufCMessage *message, const ch_descriptor *descriptor) {
  memset(message, 0, descriptor->sizeof_message);
  message->descriptor = descriptor;
}

static void *new_message(ch_unpack *unpack, const ch_descriptor *descriptor) {
  ProtobufCMessage *message = ch_unpack_alloc(unpack, descriptor->sizeof_message);
  if (message) clear(message, descriptor);
  return message;
}

/* Given twice, it is one message of both, as protobuf has it. */
static void read_submessage(ch_unpack *unpack, const known_field *known, chat_bytes bytes, void **to) {
  if (!*to) *to = new_message(unpack, known->descriptor);
  if (*to) ch_read_message(unpack, known->descriptor, bytes, *to);
}

static unsigned wire_of(const known_field *known) {
  switch (known->type) {
  case PROTOBUF_C_TYPE_UINT32:
  case PROTOBUF_C_TYPE_UINT64:
  case PROTOBUF_C_TYPE_ENUM: return VARINT;
  case PROTOBUF_C_TYPE_FIXED64: return FIXED64;
  default: return DELIMITED; /* bytes and messages: the schema has no more types (unit/core/test_codec_read.c) */
  }
}

static void read_into(ch_unpack *unpack, const known_field *known, const ch_field *field, void *to) {
  switch (known->type) {
  case PROTOBUF_C_TYPE_MESSAGE: read_submessage(unpack, known, field->bytes, to); return;
  case PROTOBUF_C_TYPE_BYTES: *(ProtobufCBinaryData *)to = (ProtobufCBinaryData){field->bytes.len, (uint8_t *)field->bytes.data}; return;
  case PROTOBUF_C_TYPE_UINT32:
  case PROTOBUF_C_TYPE_ENUM: *(uint32_t *)to = (uint32_t)field->value; return;
  default: *(uint64_t *)to = field->value; return;
  }
}

/* All of a oneof are messages, at one place: the last one stands, as protobuf-c has it, also where it is of the same kind. */
static void choose(const known_field *known, void *message) {
  uint32_t *chosen = place(message, known->quantifier_offset);
  ProtobufCMessage **body = place(message, known->offset);
  if (*chosen != known->id) *body = NULL;
  if (*body) clear(*body, known->descriptor);
  *chosen = known->id;
}

/* ------------------------------------------------------------------------------------------------ lists */

static size_t item_len(const known_field *known) {
  return known->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *);
}

static size_t count_items(const known_field *known, ch_cursor rest) {
  size_t count = 1; /* the one in front of the rest */
  ch_field field;
  while (rest.left_len > 0 && !ch_read_field(&rest, &field)) count += field.number == known->id;
  return count;
}

/* Room for all items of it that this message still has, behind those that an earlier part of the same message brought. */
static void begin_list(ch_unpack *unpack, const ch_descriptor *descriptor, const known_field *known, ch_cursor rest, void *message) {
  size_t had = *(size_t *)place(message, known->quantifier_offset), more = count_items(known, rest), len = item_len(known);
  void **list = place(message, known->offset);
  if (had + more > count_max(descriptor, known->id)) ch_unpack_fail(unpack, CHAT_E_TOO_LARGE);
  char *items = ch_unpack_alloc(unpack, (had + more) * len);
  if (!items) return;
  if (had > 0) memcpy(items, *list, had * len);
  memset(items + had * len, 0, more * len);
  *list = items;
}

static void read_item(ch_unpack *unpack, const known_field *known, const ch_field *field, void *message) {
  size_t *count = place(message, known->quantifier_offset);
  char *items = *(void **)place(message, known->offset);
  read_into(unpack, known, field, items + (*count)++ * item_len(known));
}

/* ------------------------------------------------------------------------------------------------ messages */

void ch_read_message(ch_unpack *unpack, const ch_descriptor *descriptor, chat_bytes bytes, void *message) {
  ch_cursor cursor = ch_cursor_of(bytes);
  uint32_t begun = 0; /* bits of the lists that have room */
  ch_assert(descriptor->n_fields <= FIELDS_MAX);
  while (cursor.left_len > 0 && !unpack->error) {
    ch_field field;
    int error = ch_read_field(&cursor, &field);
    const known_field *known = error ? NULL : find_known(descriptor, field.number);
    if (error || (known && field.wire != wire_of(known))) {
      ch_unpack_fail(unpack, CHAT_E_PROTOCOL);
    } else if (known && known->label == PROTOBUF_C_LABEL_REPEATED) {
      uint32_t bit = UINT32_C(1) << (known - descriptor->fields);
      if (!(begun & bit)) begin_list(unpack, descriptor, known, cursor, message);
      begun |= bit;
      if (!unpack->error) read_item(unpack, known, &field, message);
    } else if (known) {
      if (known->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) choose(known, message);
      read_into(unpack, known, &field, place(message, known->offset));
    }
  }
}

void *ch_unpack_message(ch_unpack *unpack, const ch_descriptor *descriptor, chat_bytes bytes) {
  uint8_t *copy = ch_unpack_alloc(unpack, bytes.len);
  void *message = new_message(unpack, descriptor);
  if (!message) return NULL;
  if (bytes.len > 0) memcpy(copy, bytes.data, bytes.len);
  ch_read_message(unpack, descriptor, ch_bytes_of(copy, bytes.len), message);
  return unpack->error ? NULL : message;
}
