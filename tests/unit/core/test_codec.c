/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec against bytes of another implementation (codec_vectors.py), every field of every message set to a value of its own.
 * What is encoded must be those bytes; what is decoded from them must encode to them again, and so holds the same values.
 */
#include <string.h>

#include "codec_example.h"
#include "codec_vectors.h"
#include "failing_allocator.h"
#include "run.h"

enum { OUT_MAX = 1 << 20, ARENA_MAX = 1 << 22, VECTOR_MAX = 4096 };

static ch_buf out;
static ch_arena arena;
static uint8_t vector_bytes[VECTOR_MAX];

static void setup(void) {
  ch_buf_init(&out, NULL, OUT_MAX);
  ch_arena_init(&arena, NULL, 1024, ARENA_MAX);
}

static void teardown(void) {
  ch_buf_fini(&out);
  ch_arena_fini(&arena);
}

static chat_bytes vector(const char *hex) {
  size_t len = strlen(hex) / 2;
  ck_assert_uint_le(len, VECTOR_MAX);
  ck_assert(ch_hex_decode(ch_bytes_text(hex), vector_bytes, len));
  return ch_bytes_of(vector_bytes, len);
}

/* What was encoded is the vector; forgets it. */
static void is_vector(const char *hex) {
  chat_bytes expected = vector(hex);
  ck_assert_uint_eq(out.len, expected.len);
  ck_assert_mem_eq(out.data, expected.data, expected.len);
  ch_buf_clear(&out);
}

/* The same behind a length prefix. */
static void is_prefixed_vector(const char *hex) {
  chat_bytes frame = ch_buf_bytes(&out), message;
  ck_assert_int_eq(ch_frame_next(&frame, &message), CHAT_OK);
  ck_assert_uint_eq(frame.len, 0);
  out.len = message.len;
  memmove(out.data, message.data, message.len);
  is_vector(hex);
}

START_TEST(client_messages) {
  ch_client_message back;
  setup();
  ck_assert_uint_eq(COUNT(client_examples), CH_CLIENT_OP_COUNT - 2);
  for (size_t i = 0; i < COUNT(client_examples); i++) {
    ck_assert_int_eq(ch_client_message_encode(&client_examples[i], &out), CHAT_OK);
    is_prefixed_vector(client_vectors[i]);
    ck_assert_int_eq(ch_client_message_decode(vector(client_vectors[i]), &arena, &back), CHAT_OK);
    ck_assert_uint_eq(back.tag, client_examples[i].tag);
    ck_assert_uint_eq(back.op, i + 2);
    ck_assert_int_eq(ch_client_message_encode(&back, &out), CHAT_OK);
    is_prefixed_vector(client_vectors[i]);
  }
  teardown();
}
END_TEST

START_TEST(server_messages) {
  ch_server_message back;
  setup();
  ck_assert_uint_eq(COUNT(server_examples), CH_SERVER_OP_COUNT - 2);
  for (size_t i = 0; i < COUNT(server_examples); i++) {
    ck_assert_int_eq(ch_server_message_encode(&server_examples[i], &out), CHAT_OK);
    is_prefixed_vector(server_vectors[i]);
    ck_assert_int_eq(ch_server_message_decode(vector(server_vectors[i]), &arena, &back), CHAT_OK);
    ck_assert_uint_eq(back.tag, server_examples[i].tag);
    ck_assert_uint_eq(back.op, i + 2);
    ck_assert_int_eq(ch_server_message_encode(&back, &out), CHAT_OK);
    is_prefixed_vector(server_vectors[i]);
  }
  teardown();
}
END_TEST

START_TEST(contents) {
  ch_content back;
  setup();
  ck_assert_uint_eq(COUNT(content_examples), CHAT_TYPE_DEVICE_RETIRED);
  for (size_t i = 0; i < COUNT(content_examples); i++) {
    ck_assert_int_eq(ch_content_encode(&content_examples[i], &out), CHAT_OK);
    is_vector(content_vectors[i]);
    ck_assert_int_eq(ch_content_decode((uint32_t)i + 1, vector(content_vectors[i]), &arena, &back), CHAT_OK);
    ck_assert_int_eq(ch_content_encode(&back, &out), CHAT_OK);
    is_vector(content_vectors[i]);
  }
  teardown();
}
END_TEST

START_TEST(records_tasks_and_deliveries) {
  ch_record record;
  ch_tasks tasks;
  ch_delivered delivered;
  setup();
  ck_assert_int_eq(ch_record_encode(&record_example, &out), CHAT_OK);
  is_vector(record_vectors[0]);
  ck_assert_int_eq(ch_record_decode(vector(record_vectors[0]), &arena, &record), CHAT_OK);
  ck_assert_int_eq(ch_record_encode(&record, &out), CHAT_OK);
  is_vector(record_vectors[0]);

  ck_assert_int_eq(ch_tasks_encode(&tasks_example, &out), CHAT_OK);
  is_vector(tasks_vectors[0]);
  ck_assert_int_eq(ch_tasks_decode(vector(tasks_vectors[0]), &arena, &tasks), CHAT_OK);
  for (size_t i = 0; i < COUNT(four_tasks); i++)
    ck_assert_int_eq(tasks.tasks[i].kind, four_tasks[i].kind);
  ck_assert_int_eq(ch_tasks_encode(&tasks, &out), CHAT_OK);
  is_vector(tasks_vectors[0]);

  ck_assert_int_eq(ch_delivered_encode(&delivered_example, &out), CHAT_OK);
  is_vector(delivered_vectors[0]);
  ck_assert_int_eq(ch_delivered_decode(vector(delivered_vectors[0]), &arena, &delivered), CHAT_OK);
  ck_assert_int_eq(ch_delivered_encode(&delivered, &out), CHAT_OK);
  is_vector(delivered_vectors[0]);
  teardown();
}
END_TEST

START_TEST(a_row_alone) {
  chat_row row;
  setup();
  ck_assert_int_eq(ch_row_encode(&live_events[1], &out), CHAT_OK);
  ck_assert_int_eq(ch_row_decode(ch_buf_bytes(&out), &arena, &row), CHAT_OK);
  ck_assert_mem_eq(row.conversation_id, live_events[1].conversation_id, 16);
  ck_assert_mem_eq(row.device_id, live_events[1].device_id, 16);
  ck_assert_mem_eq(row.client_id, live_events[1].client_id, 16);
  ck_assert_uint_eq(row.seq, 51);
  ck_assert_uint_eq(row.msg_no, 52);
  ck_assert_uint_eq(row.message_id, UINT64_C(0x0102030405060732));
  ck_assert_uint_eq(row.created_ms, UINT64_C(1700000000050));
  ck_assert_uint_eq(row.client_seq, 54);
  ck_assert(ch_bytes_equal(row.sender, ch_bytes_text("ann")));
  ck_assert(ch_bytes_equal(row.payload, ch_bytes_text("\x12\x02hi")));
  teardown();
}
END_TEST

/* Nothing set: ids of a system event stay away, and come back as zeros. */
START_TEST(a_system_event) {
  chat_row row = {.conversation_id = ID(1), .seq = 1, .type = CHAT_TYPE_TITLE}, back;
  static const uint8_t zeros[16];
  setup();
  ck_assert_int_eq(ch_row_encode(&row, &out), CHAT_OK);
  ck_assert_uint_eq(out.len, 2 + 16 + 2 + 2);
  ck_assert_int_eq(ch_row_decode(ch_buf_bytes(&out), &arena, &back), CHAT_OK);
  ck_assert_mem_eq(back.device_id, zeros, 16);
  ck_assert_mem_eq(back.client_id, zeros, 16);
  ck_assert_uint_eq(back.sender.len, 0);
  teardown();
}
END_TEST

static void shared_equals(uint64_t previous, uint64_t position, const chat_row *events, size_t count) {
  ch_server_message message = {.op = CH_LIVE, .u.live = {previous, position, events, count, NULL, 0}};
  ch_buf encoded_events;
  ch_buf_init(&encoded_events, NULL, OUT_MAX);
  ck_assert_int_eq(ch_events_encode(events, count, &encoded_events), CHAT_OK);
  /* What a delivery over the link holds is the same, event by event or at once. */
  ch_buf delivered, taken;
  ch_buf_init(&delivered, NULL, OUT_MAX);
  ch_buf_init(&taken, NULL, OUT_MAX);
  for (size_t i = 0; i < count; i++)
    ck_assert_int_eq(ch_delivered_add_event(&events[i], &delivered), CHAT_OK);
  ck_assert_int_eq(ch_delivered_encode(&(ch_delivered){.events = events, .event_count = count}, &taken), CHAT_OK);
  ck_assert(ch_bytes_equal(ch_buf_bytes(&delivered), ch_buf_bytes(&taken)));
  ch_buf_clear(&taken);
  ck_assert_int_eq(ch_events_of_delivered(ch_buf_bytes(&delivered), &taken), CHAT_OK);
  ck_assert(ch_bytes_equal(ch_buf_bytes(&encoded_events), ch_buf_bytes(&taken)));
  ch_buf_fini(&delivered);
  ch_buf_fini(&taken);
  ck_assert_int_eq(ch_server_message_encode(&message, &out), CHAT_OK);
  size_t whole_len = out.len;
  ck_assert_int_eq(ch_live_encode_shared(previous, position, ch_buf_bytes(&encoded_events), &out), CHAT_OK);
  ck_assert_uint_eq(out.len, 2 * whole_len);
  ck_assert_mem_eq(out.data, out.data + whole_len, whole_len);
  ch_buf_fini(&encoded_events);
  ch_buf_clear(&out);
}

START_TEST(live_from_shared_events) {
  static const uint64_t numbers[] = {0, 1, 127, 128, 16384, UINT64_C(1) << 48, UINT64_MAX};
  static uint8_t body[CHAT_BODY_MAX];
  chat_row large[] = {EVENT(1), EVENT(2)};
  large[0].payload = ch_bytes_of(body, sizeof body);
  setup();
  for (size_t i = 0; i < COUNT(numbers); i++) {
    for (size_t k = 0; k < COUNT(numbers); k++) {
      shared_equals(numbers[i], numbers[k], live_events, k % 3);
      shared_equals(numbers[i], numbers[k], large, k % 3);
    }
  }
  teardown();
}
END_TEST

/* Of a Delivered with everything in it only the events are taken; cut, or into a buffer that is full or broken, none of them. */
START_TEST(events_of_a_delivered_whole_or_not_at_all) {
  ch_buf events, tight;
  setup();
  ck_assert_int_eq(ch_delivered_encode(&delivered_example, &out), CHAT_OK);
  chat_bytes whole = ch_buf_bytes(&out);
  ch_buf_init(&events, NULL, OUT_MAX);
  ck_assert_int_eq(ch_events_encode(delivered_example.events, delivered_example.event_count, &events), CHAT_OK);
  ch_buf_init(&tight, NULL, 1 + events.len);
  ck_assert_int_eq(ch_buf_put_u8(&tight, 7), CHAT_OK);
  ck_assert_int_eq(ch_events_of_delivered(whole, &tight), CHAT_OK);
  ck_assert_uint_eq(tight.len, 1 + events.len);
  ck_assert_mem_eq(tight.data + 1, events.data, events.len);
  tight.len = 1;
  ck_assert_int_eq(ch_events_of_delivered(ch_bytes_of(whole.data, whole.len - 1), &tight), CHAT_E_PROTOCOL);
  ck_assert_uint_eq(tight.len, 1);
  tight.max_len = events.len; /* one byte too few */
  ck_assert_int_eq(ch_events_of_delivered(whole, &tight), CHAT_E_TOO_LARGE);
  ck_assert_uint_eq(tight.len, 1);
  tight.max_len = OUT_MAX; /* it stays broken */
  ck_assert_int_eq(ch_events_of_delivered(whole, &tight), CHAT_E_TOO_LARGE);
  ck_assert_uint_eq(tight.len, 1);
  ch_buf_fini(&tight);
  ch_buf_fini(&events);
  teardown();
}
END_TEST

/* --- no room, no memory --- */

START_TEST(a_full_buffer_stays_as_it_was) {
  ch_buf events;
  setup();
  ch_buf_init(&events, NULL, OUT_MAX);
  ck_assert_int_eq(ch_events_encode(live_events, 2, &events), CHAT_OK);
  ck_assert_int_eq(ch_server_message_encode(&server_examples[6], &out), CHAT_OK);
  size_t message_len = out.len;
  for (size_t room = 0; room < message_len; room++) {
    ch_buf tight;
    ch_buf_init(&tight, NULL, 1 + room);
    ck_assert_int_eq(ch_buf_put_u8(&tight, 7), CHAT_OK);
    ck_assert_int_eq(ch_server_message_encode(&server_examples[6], &tight), CHAT_E_TOO_LARGE);
    ck_assert_uint_eq(tight.len, 1);
    if (room < events.len) {
      ck_assert_int_eq(ch_live_encode_shared(0, 0, ch_buf_bytes(&events), &tight), CHAT_E_TOO_LARGE);
      ck_assert_int_eq(ch_events_encode(live_events, 2, &tight), CHAT_E_TOO_LARGE);
    }
    ck_assert_uint_eq(tight.len, 1);
    ck_assert_int_eq(tight.error, CHAT_OK); /* so that what it holds can be sent, and the message tried again */
    ch_buf_fini(&tight);
  }
  ch_buf_fini(&events);
  teardown();
}
END_TEST

/* At whichever allocation memory ends: an error, nothing appended, nothing left behind. */
START_TEST(encoding_without_memory) {
  failing_allocator memory;
  int error = CHAT_E_NOMEM;
  for (size_t left = 0; error; left++) {
    ch_buf short_of;
    failing_allocator_init(&memory, left);
    ch_buf_init(&short_of, &memory.alloc, OUT_MAX);
    error = ch_tasks_encode(&tasks_example, &short_of);
    ck_assert_int_eq(error, error ? CHAT_E_NOMEM : CHAT_OK);
    if (error) ck_assert_uint_eq(short_of.len, 0);
    ck_assert_uint_le(left, 100);
    ch_buf_fini(&short_of);
    ck_assert_uint_eq(memory.live, 0);
  }
}
END_TEST

/* The same for a message of each side, for one of each that needs more than the memory on the stack, and for events that were encoded before. */
START_TEST(encoding_messages_without_memory) {
  static uint8_t ids[100][16];
  static chat_watermark marks[100];
  ch_client_message long_question = {.op = CH_GET_RECEIPTS, .u.get_receipts = {.conversation_ids = (const uint8_t(*)[16])ids, .count = 100}};
  ch_server_message long_answer = {.op = CH_RECEIPTS, .u.receipts = {.marks = marks, .count = 100}};
  failing_allocator memory;
  ch_buf events;
  ch_buf_init(&events, NULL, OUT_MAX);
  ck_assert_int_eq(ch_events_encode(live_events, 2, &events), CHAT_OK);
  for (int which = 0; which < 5; which++) {
    int error = CHAT_E_NOMEM;
    for (size_t left = 0; error; left++) {
      ch_buf short_of;
      failing_allocator_init(&memory, left);
      ch_buf_init(&short_of, &memory.alloc, OUT_MAX);
      if (which == 0) error = ch_client_message_encode(&client_examples[0], &short_of);
      if (which == 1) error = ch_server_message_encode(&server_examples[0], &short_of);
      if (which == 2) error = ch_live_encode_shared(1, 2, ch_buf_bytes(&events), &short_of);
      if (which == 3) error = ch_client_message_encode(&long_question, &short_of);
      if (which == 4) error = ch_server_message_encode(&long_answer, &short_of);
      ck_assert_int_eq(error, error ? CHAT_E_NOMEM : CHAT_OK);
      if (error) ck_assert_uint_eq(short_of.len, 0);
      ck_assert_uint_le(left, 100);
      ch_buf_fini(&short_of);
      ck_assert_uint_eq(memory.live, 0);
    }
  }
  ch_buf_fini(&events);
}
END_TEST

/* What was lost before has left a hole: nothing is appended behind it, and the error stays the first one. */
START_TEST(a_broken_buffer_takes_nothing) {
  static const uint8_t bytes[] = {1, 2, 3};
  ch_buf broken;
  ch_buf_init(&broken, NULL, 2);
  ck_assert_int_eq(ch_buf_put(&broken, ch_bytes_of(bytes, 3)), CHAT_E_TOO_LARGE);
  broken.max_len = OUT_MAX;
  ck_assert_int_eq(ch_server_message_encode(&server_examples[0], &broken), CHAT_E_TOO_LARGE);
  ck_assert_int_eq(ch_live_encode_shared(1, 2, ch_bytes_of(bytes, 3), &broken), CHAT_E_TOO_LARGE);
  ck_assert_uint_eq(broken.len, 0);
  ch_buf_fini(&broken);
}
END_TEST

START_TEST(decoding_without_memory_or_room) {
  failing_allocator memory;
  ch_tasks tasks;
  chat_bytes bytes = vector(tasks_vectors[0]);
  int error = CHAT_E_NOMEM;
  for (size_t left = 0; error; left++) {
    failing_allocator_init(&memory, left);
    ch_arena_init(&arena, &memory.alloc, 64, ARENA_MAX);
    error = ch_tasks_decode(bytes, &arena, &tasks);
    ck_assert_int_eq(error, error ? CHAT_E_NOMEM : CHAT_OK);
    ck_assert_uint_le(left, 1000);
    ch_arena_fini(&arena);
    ck_assert_uint_eq(memory.live, 0);
  }
  error = CHAT_E_TOO_LARGE;
  for (size_t cap_len = 0; error; cap_len += 16) {
    ch_arena_init(&arena, NULL, 64, cap_len);
    error = ch_tasks_decode(bytes, &arena, &tasks);
    ck_assert_int_eq(error, error ? CHAT_E_TOO_LARGE : CHAT_OK);
    ck_assert_uint_le(cap_len, ch_decode_cap(bytes.len));
    ch_arena_fini(&arena);
  }
}
END_TEST

/* --- frames --- */

START_TEST(frames) {
  static const uint8_t bytes[] = {2, 'a', 'b', 0, 0x81, 0x00, 'c'}; /* the last prefix has a byte too many: protobuf allows it */
  chat_bytes frame = ch_bytes_of(bytes, sizeof bytes), message;
  ck_assert_int_eq(ch_frame_next(&frame, &message), CHAT_OK);
  ck_assert(ch_bytes_equal(message, ch_bytes_text("ab")));
  ck_assert_int_eq(ch_frame_next(&frame, &message), CHAT_OK);
  ck_assert_uint_eq(message.len, 0);
  ck_assert_int_eq(ch_frame_next(&frame, &message), CHAT_OK);
  ck_assert(ch_bytes_equal(message, ch_bytes_text("c")));
  ck_assert_int_eq(ch_frame_next(&frame, &message), CHAT_E_CLOSED);
}
END_TEST

START_TEST(frames_that_are_cut_or_lie) {
  static const struct {
    uint8_t bytes[12];
    size_t len;
  } bad[] = {
      {{1}, 1},
      {{3, 'a', 'b'}, 3},
      {{0x80}, 1},
      {{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}, 10}, /* 2^64 - 1 */
      {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02}, 10}, /* 65 bits */
      {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, 11},
  };
  for (size_t i = 0; i < COUNT(bad); i++) {
    chat_bytes frame = ch_bytes_of(bad[i].bytes, bad[i].len), message;
    ck_assert_int_eq(ch_frame_next(&frame, &message), CHAT_E_PROTOCOL);
    ck_assert_uint_eq(frame.len, bad[i].len);
    ck_assert_uint_eq(message.len, 0);
  }
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {client_messages, 0},
      {server_messages, 0},
      {contents, 0},
      {records_tasks_and_deliveries, 0},
      {a_row_alone, 0},
      {a_system_event, 0},
      {live_from_shared_events, 0},
      {a_full_buffer_stays_as_it_was, 0},
      {encoding_without_memory, 0},
      {events_of_a_delivered_whole_or_not_at_all, 0},
      {encoding_messages_without_memory, 0},
      {a_broken_buffer_takes_nothing, 0},
      {decoding_without_memory_or_room, 0},
      {frames, 0},
      {frames_that_are_cut_or_lie, 0},
  };
  return RUN_TESTS("codec", rows);
}
