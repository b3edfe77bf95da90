/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a message before protobuf-c sees them. It has no bound on lists, and two bytes of input can cost it a whole struct, so
 * lists are counted here first (docs/protocol.md, "Limits"). The schema has no recursion, so neither is there a depth to bound.
 */
#include <stddef.h>

#include "chat.pb-c.h"
#include "core/assert.h"
#include "core/codec_parts.h"
#include "record.pb-c.h"

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

static int scan_value(ch_cursor *cursor, unsigned wire, ch_field *field) {
  chat_bytes skipped;
  uint64_t len;
  switch (wire) {
  case VARINT: return ch_cursor_varint(cursor, &field->value);
  case FIXED64: return ch_cursor_bytes(cursor, 8, &skipped);
  case FIXED32: return ch_cursor_bytes(cursor, 4, &skipped);
  case DELIMITED:
    if (ch_cursor_varint(cursor, &len) || len > cursor->left_len) return CHAT_E_PROTOCOL;
    return ch_cursor_bytes(cursor, (size_t)len, &field->bytes);
  default: return CHAT_E_PROTOCOL;
  }
}

int ch_scan_field(ch_cursor *cursor, ch_field *field) {
  uint64_t key;
  *field = (ch_field){0};
  if (ch_cursor_varint(cursor, &key) || key > KEY_MAX || key >> 3 == 0) return CHAT_E_PROTOCOL;
  field->number = (uint32_t)(key >> 3);
  return scan_value(cursor, key & 7, field);
}

/* The submessage, or one item of the list, that a field is; others need no look. */
static int scan_known(const ProtobufCFieldDescriptor *known, const ch_field *field) {
  return known->type == PROTOBUF_C_TYPE_MESSAGE ? ch_scan(known->descriptor, field->bytes) : CHAT_OK;
}

int ch_scan(const ch_descriptor *descriptor, chat_bytes bytes) {
  size_t counts[FIELDS_MAX] = {0};
  ch_cursor cursor = ch_cursor_of(bytes);
  ch_assert(descriptor->n_fields <= FIELDS_MAX);
  while (cursor.left_len > 0) {
    ch_field field;
    int error = ch_scan_field(&cursor, &field);
    if (error) return error;
    const ProtobufCFieldDescriptor *known = protobuf_c_message_descriptor_get_field(descriptor, field.number);
    if (!known) continue;
    size_t *count = &counts[known - descriptor->fields];
    if (known->label == PROTOBUF_C_LABEL_REPEATED && ++*count > count_max(descriptor, field.number)) return CHAT_E_TOO_LARGE;
    error = scan_known(known, &field);
    if (error) return error;
  }
  return CHAT_OK;
}

int ch_scan_envelope(const ch_descriptor *descriptor, chat_bytes bytes, uint64_t *tag, uint32_t *body) {
  ch_cursor cursor = ch_cursor_of(bytes);
  *tag = 0;
  *body = 0;
  while (cursor.left_len > 0) {
    ch_field field;
    int error = ch_scan_field(&cursor, &field);
    if (error) return error;
    if (field.number == 1) *tag = field.value;
    if (field.number > 1 && protobuf_c_message_descriptor_get_field(descriptor, field.number)) *body = field.number;
  }
  return CHAT_OK;
}
