/* SPDX-License-Identifier: Apache-2.0 */
/* Our reader beside protobuf-c's, field by field, for each message of the schema: bytes that are right, and the same bytes damaged. */
#include <stdlib.h>
#include <string.h>

#include "chat.pb-c.h"
#include "core/buf.h"
#include "core/codec_parts.h"
#include "record.pb-c.h"
#include "run.h"
#include "sim/random.h"

enum { ROUNDS = 4000, BYTES_MAX = 4096, ITEMS_MAX = 3, CAP_LEN = 16 << 20 };

static const ch_descriptor *const descriptors[] = {
    &ch__client_message__descriptor, &ch__server_message__descriptor, &ch__create_content__descriptor, &ch__members_add_content__descriptor,
    &ch__record__descriptor, &ch__tasks__descriptor, &ch__delivered__descriptor, &ch__event__descriptor,
};

/* --- bytes of a message: each field known or not, often more than once --- */

static void put_random_message(sim_random *random, const ch_descriptor *descriptor, ch_buf *out);

static uint64_t random_number(sim_random *random) {
  uint64_t bits = sim_pick(random, 65);
  return bits == 0 ? 0 : sim_pick(random, UINT64_MAX) >> (64 - bits);
}

static void put_delimited(sim_random *random, const ProtobufCFieldDescriptor *field, ch_buf *out) {
  ch_buf body;
  ch_buf_init(&body, NULL, BYTES_MAX);
  if (field && field->type == PROTOBUF_C_TYPE_MESSAGE)
    put_random_message(random, field->descriptor, &body);
  else
    for (uint64_t len = sim_pick(random, 20); len > 0; len--) ch_buf_put_u8(&body, (uint8_t)sim_pick(random, 256));
  ch_buf_put_varint(out, body.len);
  ch_buf_put(out, ch_buf_bytes(&body));
  ch_buf_fini(&body);
}

static void put_value(sim_random *random, const ProtobufCFieldDescriptor *field, unsigned wire, ch_buf *out) {
  if (wire == 0) ch_buf_put_varint(out, random_number(random));
  else if (wire == 1) ch_buf_put_u64(out, random_number(random));
  else if (wire == 2) put_delimited(random, field, out);
  else for (int i = 0; i < 4; i++) ch_buf_put_u8(out, (uint8_t)sim_pick(random, 256));
}

static unsigned wire_of(const ProtobufCFieldDescriptor *field) {
  bool is_delimited = field->type == PROTOBUF_C_TYPE_BYTES || field->type == PROTOBUF_C_TYPE_MESSAGE;
  return is_delimited ? 2 : field->type == PROTOBUF_C_TYPE_FIXED64;
}

/* Number 40 is in no message. */
static void put_unknown(sim_random *random, ch_buf *out) {
  static const unsigned wires[] = {0, 1, 2, 5};
  unsigned wire = wires[sim_pick(random, 4)];
  ch_buf_put_varint(out, 40 << 3 | wire);
  put_value(random, NULL, wire, out);
}

/* Two submessages at one place are left to their own test: protobuf-c merges them by values, not by what was said. */
static uint64_t pick_times(sim_random *random, const ProtobufCFieldDescriptor *field) {
  bool is_one = field->type == PROTOBUF_C_TYPE_MESSAGE && field->label != PROTOBUF_C_LABEL_REPEATED;
  return sim_pick(random, is_one && !(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ? 2 : ITEMS_MAX);
}

static void put_random_message(sim_random *random, const ch_descriptor *descriptor, ch_buf *out) {
  for (unsigned i = 0; i < descriptor->n_fields; i++) {
    const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
    for (uint64_t times = pick_times(random, field); times > 0; times--) {
      unsigned wire = sim_chance(random, 1, 500) ? (unsigned)sim_pick(random, 6) : wire_of(field);
      ch_buf_put_varint(out, field->id << 3 | wire);
      put_value(random, field, wire, out);
      if (sim_chance(random, 1, 8)) put_unknown(random, out);
    }
  }
}

/* --- two structs: are they the same? --- */

static void compare(const ProtobufCMessage *ours, const ProtobufCMessage *theirs);

static void compare_value(const ProtobufCFieldDescriptor *field, const void *ours, const void *theirs) {
  const ProtobufCBinaryData *our_bytes = ours, *their_bytes = theirs;
  switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE: compare(*(ProtobufCMessage *const *)ours, *(ProtobufCMessage *const *)theirs); return;
    case PROTOBUF_C_TYPE_BYTES:
      ck_assert_uint_eq(our_bytes->len, their_bytes->len);
      if (our_bytes->len > 0) ck_assert_mem_eq(our_bytes->data, their_bytes->data, our_bytes->len);
      return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM: ck_assert_uint_eq(*(const uint32_t *)ours, *(const uint32_t *)theirs); return;
    default: ck_assert_uint_eq(*(const uint64_t *)ours, *(const uint64_t *)theirs);
  }
}

static void compare_list(const ProtobufCFieldDescriptor *field, const char *ours, const char *theirs) {
  size_t count = *(const size_t *)(const void *)(ours + field->quantifier_offset);
  size_t len = field->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *);
  ck_assert_uint_eq(count, *(const size_t *)(const void *)(theirs + field->quantifier_offset));
  const char *our_items = *(char *const *)(const void *)(ours + field->offset), *their_items = *(char *const *)(const void *)(theirs + field->offset);
  for (size_t i = 0; i < count; i++) compare_value(field, our_items + i * len, their_items + i * len);
}

static void compare(const ProtobufCMessage *ours, const ProtobufCMessage *theirs) {
  ck_assert_int_eq(ours == NULL, theirs == NULL);
  if (!ours) return;
  ck_assert_ptr_eq(ours->descriptor, theirs->descriptor);
  for (unsigned i = 0; i < ours->descriptor->n_fields; i++) {
    const ProtobufCFieldDescriptor *field = &ours->descriptor->fields[i];
    const char *a = (const char *)ours, *b = (const char *)theirs;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
      compare_list(field, a, b);
      continue;
    }
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
      uint32_t chosen = *(const uint32_t *)(const void *)(a + field->quantifier_offset);
      ck_assert_uint_eq(chosen, *(const uint32_t *)(const void *)(b + field->quantifier_offset));
      if (chosen != field->id) continue;
    }
    compare_value(field, a + field->offset, b + field->offset);
  }
}

/* Could both read it? protobuf-c takes some bytes that we do not: it looks at no more than 5 bytes of a key. */
static bool read_by_both(const ch_descriptor *descriptor, chat_bytes bytes) {
  ch_arena arena;
  ch_arena_init(&arena, NULL, 4096, CAP_LEN);
  ch_unpack unpack = {.arena = &arena};
  const ProtobufCMessage *ours = ch_unpack_message(&unpack, descriptor, bytes);
  ProtobufCMessage *theirs = protobuf_c_message_unpack(descriptor, NULL, bytes.len, bytes.data);
  ck_assert_int_eq(ours == NULL, unpack.error != 0);
  if (!theirs) ck_assert_int_eq(unpack.error, CHAT_E_PROTOCOL);
  if (ours) compare(ours, theirs);
  bool is_read = ours && theirs;
  if (theirs) protobuf_c_message_free_unpacked(theirs, NULL);
  ch_arena_fini(&arena);
  return is_read;
}

static void random_message(sim_random *random, ch_buf *out, const ch_descriptor **descriptor) {
  *descriptor = descriptors[sim_pick(random, sizeof descriptors / sizeof *descriptors)];
  ch_buf_clear(out);
  put_random_message(random, *descriptor, out);
}

START_TEST(reads_what_protobuf_c_reads) {
  sim_random random = {1};
  ch_buf bytes;
  size_t read = 0;
  ch_buf_init(&bytes, NULL, 1 << 20);
  for (int i = 0; i < ROUNDS; i++) {
    const ch_descriptor *descriptor;
    random_message(&random, &bytes, &descriptor);
    read += read_by_both(descriptor, ch_buf_bytes(&bytes));
  }
  ck_assert_uint_gt(read, ROUNDS / 2);
  ck_assert_uint_lt(read, ROUNDS);
  ch_buf_fini(&bytes);
}
END_TEST

/* In a block of just their size, so that the sanitizers see any read beyond it. */
static bool damaged_is_read(sim_random *random, const ch_descriptor *descriptor, chat_bytes bytes) {
  size_t len = sim_chance(random, 1, 2) ? (size_t)sim_pick(random, bytes.len) : bytes.len;
  uint8_t *exact = malloc(len + 1);
  memcpy(exact + 1, bytes.data, len);
  for (uint64_t times = sim_pick(random, 3); times > 0 && len > 0; times--) exact[1 + sim_pick(random, len)] = (uint8_t)sim_pick(random, 256);
  bool is_read = read_by_both(descriptor, ch_bytes_of(exact + 1, len));
  free(exact);
  return is_read;
}

START_TEST(refuses_what_protobuf_c_refuses) {
  sim_random random = {2};
  ch_buf bytes;
  size_t refused = 0;
  ch_buf_init(&bytes, NULL, 1 << 20);
  for (int i = 0; i < ROUNDS; i++) {
    const ch_descriptor *descriptor;
    random_message(&random, &bytes, &descriptor);
    if (bytes.len > 0) refused += !damaged_is_read(&random, descriptor, ch_buf_bytes(&bytes));
  }
  ck_assert_uint_gt(refused, ROUNDS / 4);
  ck_assert_uint_lt(refused, ROUNDS);
  ch_buf_fini(&bytes);
}
END_TEST

/* A submessage said twice is one of both: the last of each value, all items of each list. */
START_TEST(two_parts_of_a_submessage_are_one) {
  static const uint8_t user[] = {'a'};
  Ch__Mark first = CH__MARK__INIT, second = CH__MARK__INIT, third = CH__MARK__INIT, *one[] = {&first}, *two[] = {&second, &third};
  Ch__Receipts left = CH__RECEIPTS__INIT, right = CH__RECEIPTS__INIT;
  Ch__Typing typing = CH__TYPING__INIT, later = CH__TYPING__INIT;
  Ch__Task parts[2] = {CH__TASK__INIT, CH__TASK__INIT};
  ch_buf bytes;
  ch_arena arena;
  first.read = 1, second.read = 2, third.read = 3;
  left.n_marks = 1, left.marks = one, right.n_marks = 2, right.marks = two;
  typing.user = (ProtobufCBinaryData){1, (uint8_t *)user}, typing.typing = 1, later.typing = 7;
  parts[0].receipts = &left, parts[1].receipts = &right, parts[0].typing = &typing, parts[1].typing = &later;
  ch_buf_init(&bytes, NULL, BYTES_MAX);
  for (int i = 0; i < 2; i++) ck_assert_int_eq(ch_pack_append(&parts[i].base, &bytes), CHAT_OK);
  ch_arena_init(&arena, NULL, 4096, CAP_LEN);
  ch_unpack unpack = {.arena = &arena};
  const Ch__Task *back = ch_unpack_message(&unpack, &ch__task__descriptor, ch_buf_bytes(&bytes));
  ck_assert_ptr_nonnull(back);
  ck_assert_uint_eq(back->typing->typing, 7);
  ck_assert_uint_eq(back->typing->user.len, 1);
  ck_assert_uint_eq(back->receipts->n_marks, 3);
  for (size_t i = 0; i < 3; i++) ck_assert_uint_eq(back->receipts->marks[i]->read, i + 1);
  ch_arena_fini(&arena);
  ch_buf_fini(&bytes);
}
END_TEST

static int read_error(const ch_descriptor *descriptor, chat_bytes bytes) {
  ch_arena arena;
  ch_arena_init(&arena, NULL, 4096, CAP_LEN);
  ch_unpack unpack = {.arena = &arena};
  ch_unpack_message(&unpack, descriptor, bytes);
  ch_arena_fini(&arena);
  return unpack.error;
}

/* A list that the table of bounds does not know may not have one item: whoever adds one to the schema states its bound. */
START_TEST(a_list_without_a_bound_takes_nothing) {
  ProtobufCFieldDescriptor field = ch__heartbeat__descriptor.fields[0];
  ProtobufCMessageDescriptor list = ch__heartbeat__descriptor;
  static const uint8_t one_item[] = {0x08, 0x01};
  ck_assert_uint_eq(field.id, 1);
  ck_assert_int_eq(read_error(&list, ch_bytes_of(one_item, 2)), CHAT_OK); /* while it is no list */
  field.label = PROTOBUF_C_LABEL_REPEATED;
  list.n_fields = 1;
  list.fields = &field;
  ck_assert_int_eq(read_error(&list, ch_bytes_of(one_item, 2)), CHAT_E_TOO_LARGE);
  ck_assert_int_eq(read_error(&list, ch_bytes_of(one_item, 0)), CHAT_OK);
}
END_TEST

/* With less and less memory down to none each reading ends with an error, wherever it is that memory is short. */
START_TEST(too_little_memory_is_an_error_everywhere) {
  sim_random random = {3};
  ch_buf bytes;
  size_t failed = 0, read = 0;
  ch_buf_init(&bytes, NULL, 1 << 20);
  while (bytes.len < 1000) put_random_message(&random, &ch__tasks__descriptor, &bytes);
  for (size_t cap_len = 0; read == 0; cap_len += 16) {
    ch_arena arena;
    ch_arena_init(&arena, NULL, 64, cap_len);
    ch_unpack unpack = {.arena = &arena};
    bool is_read = ch_unpack_message(&unpack, &ch__tasks__descriptor, ch_buf_bytes(&bytes)) != NULL;
    *(is_read ? &read : &failed) += 1;
    ck_assert_int_eq(unpack.error, is_read ? CHAT_OK : CHAT_E_TOO_LARGE);
    ch_arena_fini(&arena);
  }
  ck_assert_uint_gt(failed, 20);
  ch_buf_fini(&bytes);
}
END_TEST

/* No message of the schema has a gap in its numbers yet. */
START_TEST(numbers_may_have_gaps) {
  static const uint8_t given[] = {1 << 3, 7, 3 << 3, 9};
  static const ProtobufCIntRange ranges[] = {{3, 0}, {0, 1}};
  ProtobufCFieldDescriptor field = ch__heartbeat__descriptor.fields[0];
  ProtobufCMessageDescriptor third = ch__heartbeat__descriptor;
  ch_arena arena;
  field.id = 3;
  third.fields = &field;
  third.field_ranges = ranges;
  ch_arena_init(&arena, NULL, 4096, CAP_LEN);
  ch_unpack unpack = {.arena = &arena};
  const Ch__Heartbeat *back = ch_unpack_message(&unpack, &third, ch_bytes_of(given, sizeof given));
  ck_assert_ptr_nonnull(back);
  ck_assert_uint_eq(back->idle, 9);
  ch_arena_fini(&arena);
}
END_TEST

static uint8_t types_seen[32];

static void note_types(const ch_descriptor *descriptor) {
  for (unsigned i = 0; i < descriptor->n_fields; i++) {
    types_seen[descriptor->fields[i].type] = 1;
    if (descriptor->fields[i].type == PROTOBUF_C_TYPE_MESSAGE) note_types(descriptor->fields[i].descriptor);
  }
}

/* The reader knows six types of fields; whoever adds another one to the schema teaches it. */
START_TEST(the_schema_has_six_types_of_fields) {
  static const uint8_t known[] = {PROTOBUF_C_TYPE_UINT32, PROTOBUF_C_TYPE_UINT64, PROTOBUF_C_TYPE_FIXED64, PROTOBUF_C_TYPE_ENUM, PROTOBUF_C_TYPE_BYTES, PROTOBUF_C_TYPE_MESSAGE};
  for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++) note_types(descriptors[i]);
  for (size_t i = 0; i < sizeof known; i++) {
    ck_assert_uint_eq(types_seen[known[i]], 1);
    types_seen[known[i]] = 0;
  }
  for (size_t i = 0; i < sizeof types_seen; i++) ck_assert_uint_eq(types_seen[i], 0);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {reads_what_protobuf_c_reads, 0},
      {refuses_what_protobuf_c_refuses, 0},
      {two_parts_of_a_submessage_are_one, 0},
      {a_list_without_a_bound_takes_nothing, 0},
      {too_little_memory_is_an_error_everywhere, 0},
      {numbers_may_have_gaps, 0},
      {the_schema_has_six_types_of_fields, 0},
  };
  return RUN_TESTS("codec_read", rows);
}
