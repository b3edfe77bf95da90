/* SPDX-License-Identifier: Apache-2.0 */
/* What a client sends, by RFC 6455, section 5: each rule, and every input in every two pieces and byte by byte, with the same events. */
#include <stdio.h>
#include <string.h>

#include "server/loop/ws_frames.h"
#include "unit/core/failing_allocator.h"
#include "unit/core/run.h"

enum { FIN = 0x80, CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, IN_MAX = 4 << 20, STORY_MAX = 4096, SHORT = 300 };

/* --- a client --- */

static uint8_t said[IN_MAX];
static size_t said_len;
static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d}; /* section 5.7's */

static void put(const void *bytes, size_t len) {
  ck_assert_uint_le(len, IN_MAX - said_len);
  memcpy(said + said_len, bytes, len);
  said_len += len;
}

/* width: bytes of the length beyond the first: 0, 2 or 8. */
static void say_head(int first, uint64_t len, int width) {
  uint8_t head[10] = {(uint8_t)first, (uint8_t)(0x80 | (width == 0 ? len : width == 2 ? 126 : 127))};
  for (int i = 0; i < width; i++) head[2 + i] = (uint8_t)(len >> 8 * (width - 1 - i));
  put(head, 2 + (size_t)width);
  put(mask, sizeof mask);
}

static void say(int first, const void *payload, size_t len) {
  say_head(first, len, len < 126 ? 0 : len < 65536 ? 2 : 8);
  put(payload, len);
  for (size_t i = 0; i < len; i++) said[said_len - len + i] ^= mask[i % 4];
}

static void say_text(int first, const char *payload) {
  say(first, payload, strlen(payload));
}

/* --- what the machine makes of it, as one text --- */

static failing_allocator memory;
static ch_ws_frames frames;
static char story[STORY_MAX];

static void tell(const ch_ws_event *event) {
  static const char *const names[] = {"", "message", "empty part", "ping", "pong", "close", "text", "too large", "broken", "out of memory"};
  size_t len = strlen(story);
  len += (size_t)snprintf(story + len, STORY_MAX - len, "%s", names[event->kind]);
  if (event->code) len += (size_t)snprintf(story + len, STORY_MAX - len, " %u", event->code);
  if (event->payload.len > 0 && event->payload.len < 20)
    len += (size_t)snprintf(story + len, STORY_MAX - len, " %.*s", (int)event->payload.len, (const char *)event->payload.data);
  else if (event->payload.len > 0) {
    uint32_t sum = 0;
    for (size_t i = 0; i < event->payload.len; i++) sum = sum * 31 + event->payload.data[i];
    len += (size_t)snprintf(story + len, STORY_MAX - len, " %zu:%08x", event->payload.len, sum);
  }
  snprintf(story + len, STORY_MAX - len, ", ");
}

/* On a copy with nothing behind it, so that a sanitizer sees whoever reads on. */
static void feed(const uint8_t *data, size_t len) {
  uint8_t *copy = malloc(len + 1);
  memcpy(copy, data, len);
  ch_ws_input in = {copy, len};
  for (ch_ws_event event = ch_ws_frames_next(&frames, &in); event.kind; event = ch_ws_frames_next(&frames, &in)) tell(&event);
  ck_assert_uint_eq(in.len, 0);
  free(copy);
}

static void begin(void) {
  story[0] = '\0';
  failing_allocator_init(&memory, SIZE_MAX);
  ch_ws_frames_init(&frames, &memory.alloc);
}

static void end(void) {
  ch_ws_frames_fini(&frames);
  ck_assert_uint_eq(memory.live, 0);
}

static void is_told(size_t at, size_t piece, const char *expected) {
  ck_assert_msg(strcmp(story, expected) == 0, "in pieces from %zu of %zu: \"%s\", not \"%s\"", at, piece, story, expected);
}

static void in_two(size_t at, const char *expected) {
  begin();
  feed(said, at);
  feed(said + at, said_len - at);
  is_told(at, 0, expected);
  end();
}

static void in_pieces_of(size_t piece, const char *expected) {
  begin();
  for (size_t at = 0; at < said_len; at += piece) feed(said + at, piece < said_len - at ? piece : said_len - at);
  is_told(0, piece, expected);
  end();
}

/* All that was said, whole, in every two pieces, byte by byte; of what is long, in some pieces, its head in all of them. */
static void gives(const char *expected) {
  size_t step = said_len <= SHORT ? 1 : said_len / 30;
  for (size_t at = 0; at <= said_len; at += at < 20 ? 1 : step) in_two(at, expected);
  for (size_t piece = step; piece <= 13 * step; piece += step) in_pieces_of(piece, expected);
  said_len = 0;
}

/* --- messages --- */

START_TEST(the_rfcs_own_example) { /* section 5.7, but binary */
  static const uint8_t hello[] = {0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};
  put(hello, sizeof hello);
  gives("message Hello, ");
}
END_TEST

START_TEST(messages_one_behind_the_other) {
  say_text(FIN | BINARY, "one");
  say_text(FIN | BINARY, "");
  say_text(FIN | BINARY, "two");
  gives("message one, message, message two, ");
}
END_TEST

static void fill(uint8_t *bytes, size_t len) {
  for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)(i * 7 + i / 256);
}

static const char *message_text(const uint8_t *bytes, size_t len) {
  begin();
  tell(&(ch_ws_event){.kind = CH_WS_MESSAGE, .payload = ch_bytes_of(bytes, len)});
  end();
  static char text[STORY_MAX];
  return strcpy(text, story);
}

/* Where the length takes one byte, three, or nine: just below and above. */
START_TEST(every_width_of_length) {
  static const size_t lens[] = {1, 7, 8, 9, 125, 126, 127, 65535, 65536};
  static uint8_t bytes[65536];
  fill(bytes, sizeof bytes);
  for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
    const char *expected = message_text(bytes, lens[i]);
    say(FIN | BINARY, bytes, lens[i]);
    gives(expected);
  }
}
END_TEST

START_TEST(fragments) {
  say_text(BINARY, "ab");
  say_text(CONTINUATION, "cd");
  say_text(FIN | CONTINUATION, "ef");
  say_text(FIN | BINARY, "next");
  gives("message abcdef, message next, ");
}
END_TEST

START_TEST(control_frames_between_fragments) { /* section 5.4 */
  say_text(BINARY, "ab");
  say_text(FIN | PING, "are you there?");
  say_text(CONTINUATION, "cd");
  say_text(FIN | PONG, "yes");
  say_text(FIN | PING, "");
  say_text(FIN | CONTINUATION, "ef");
  gives("ping are you there?, pong yes, ping, message abcdef, ");
}
END_TEST

START_TEST(empty_fragments) {
  say_text(BINARY, "");
  say_text(CONTINUATION, "");
  say_text(CONTINUATION, "x");
  say_text(CONTINUATION, "");
  say_text(FIN | CONTINUATION, "");
  say_text(BINARY, "");
  say_text(FIN | CONTINUATION, "");
  gives("empty part, empty part, empty part, message x, empty part, message, ");
}
END_TEST

/* --- what breaks the rules --- */

static void is_broken(const char *before) {
  char expected[64];
  snprintf(expected, sizeof expected, "%sbroken 1002, ", before);
  say_text(FIN | BINARY, "nothing is read behind it");
  gives(expected);
}

START_TEST(reserved_bits) { /* section 5.2: no extension gave them a meaning */
  for (int bit = 0x10; bit <= 0x40; bit <<= 1) {
    say_text(FIN | bit | BINARY, "x");
    is_broken("");
    say_text(FIN | bit | PING, "x");
    is_broken("");
  }
}
END_TEST

START_TEST(reserved_opcodes) {
  for (int opcode = 3; opcode <= 15; opcode++) {
    if (opcode >= CLOSE && opcode <= PONG) continue;
    say_text(FIN | opcode, "x");
    is_broken("");
  }
}
END_TEST

START_TEST(frames_that_are_not_masked) { /* section 5.1 */
  static const uint8_t message[] = {0x82, 0x01, 'x'}, ping[] = {0x89, 0x00}, longer[] = {0x82, 126, 1, 0};
  put(message, sizeof message);
  is_broken("");
  put(ping, sizeof ping);
  is_broken("");
  put(longer, sizeof longer);
  is_broken("");
}
END_TEST

START_TEST(lengths_that_are_longer_than_needed) { /* section 5.2 */
  static const struct {
    uint64_t len;
    int width;
  } rows[] = {{0, 2}, {125, 2}, {0, 8}, {125, 8}, {126, 8}, {65535, 8}, {UINT64_C(1) << 63, 8}, {UINT64_MAX, 8}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    say_head(FIN | BINARY, rows[i].len, rows[i].width);
    is_broken("");
  }
}
END_TEST

START_TEST(control_frames_are_short_and_whole) { /* section 5.5 */
  static const char bytes[126] = {0};
  for (int opcode = CLOSE; opcode <= PONG; opcode++) {
    say_text(opcode, "");
    is_broken("");
    say(FIN | opcode, bytes, 126);
    is_broken("");
  }
  say(FIN | PING, bytes, 125);
  gives("ping 125:00000000, ");
}
END_TEST

START_TEST(fragments_have_a_begin_and_an_end) { /* section 5.4 */
  say_text(FIN | CONTINUATION, "x");
  is_broken("");
  say_text(CONTINUATION, "x");
  is_broken("");
  say_text(BINARY, "x");
  say_text(FIN | BINARY, "y");
  is_broken("");
  say_text(BINARY, "x");
  say_text(TEXT, "y");
  is_broken("");
  say_text(BINARY, "x");
  say_text(FIN | CONTINUATION, "y");
  say_text(FIN | CONTINUATION, "z");
  is_broken("message xy, ");
}
END_TEST

START_TEST(text) { /* docs/protocol.md, "Transport" */
  say_text(FIN | TEXT, "hello");
  gives("text, ");
  say_text(FIN | TEXT, "");
  gives("text, ");
  say_text(TEXT, "hel");
  say_text(FIN | CONTINUATION, "lo");
  gives("text, ");
}
END_TEST

/* --- close --- */

static void closes(int code, const char *reason, const char *expected) {
  char payload[125] = {(char)(code >> 8), (char)code};
  strcpy(payload + 2, reason);
  say(FIN | CLOSE, payload, 2 + strlen(reason));
  say_text(FIN | BINARY, "nothing is read behind it");
  gives(expected);
}

START_TEST(closes_and_their_codes) { /* section 7.4 */
  say_text(FIN | CLOSE, "");
  gives("close, ");
  say_text(FIN | CLOSE, "\x03");
  gives("broken 1002, ");
  for (int code = 0; code < 5100; code++) {
    char expected[64];
    bool is_good = (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code < 5000);
    snprintf(expected, sizeof expected, is_good ? "close %d, " : "broken 1002, ", code);
    if (code < 999 && code % 100 > 0) continue;
    if (code > 1016 && code % 500 > 0 && code % 500 < 499) continue;
    closes(code, "", expected);
  }
  closes(65535, "", "broken 1002, ");
}
END_TEST

START_TEST(reasons_are_utf_8) { /* section 5.5.1 */
  closes(1001, "bye \xc3\xa4", "close 1001, ");
  closes(1001, "\xff\xfe", "broken 1007, ");
  closes(1001, "\xc3", "broken 1007, ");
}
END_TEST

START_TEST(a_close_between_fragments) {
  say_text(BINARY, "ab");
  say_text(FIN | CLOSE, "\x03\xe8");
  say_text(FIN | CONTINUATION, "cd");
  gives("close 1000, ");
}
END_TEST

/* --- bounds --- */

START_TEST(a_message_has_1_mib_at_most) {
  static uint8_t bytes[CHAT_FRAME_MAX];
  fill(bytes, sizeof bytes);
  const char *expected = message_text(bytes, sizeof bytes);
  say(FIN | BINARY, bytes, sizeof bytes);
  begin();
  feed(said, said_len);
  is_told(said_len, 0, expected);
  end();
  begin();
  for (size_t at = 0; at < said_len; at += 65536) feed(said + at, said_len - at < 65536 ? said_len - at : 65536);
  is_told(0, 65536, expected);
  end();
  said_len = 0;
  say_head(FIN | BINARY, CHAT_FRAME_MAX + 1, 8);
  gives("too large, ");
  say_head(FIN | BINARY, INT64_MAX, 8);
  gives("too large, ");
}
END_TEST

START_TEST(fragments_have_1_mib_together) {
  static uint8_t bytes[CHAT_FRAME_MAX - 1];
  for (int beyond = 0; beyond <= 1; beyond++) {
    say(BINARY, bytes, sizeof bytes);
    say(FIN | CONTINUATION, bytes, 1 + (size_t)beyond);
    begin();
    feed(said, said_len);
    ck_assert(strncmp(story, beyond ? "too large, " : "message 1048576:", 16 - (beyond ? 5 : 0)) == 0);
    end();
    said_len = 0;
  }
}
END_TEST

/* What is announced costs nothing; what has come costs at most twice itself. */
START_TEST(memory_is_for_what_has_come) {
  static uint8_t bytes[1000];
  say_head(FIN | BINARY, CHAT_FRAME_MAX, 8);
  begin();
  feed(said, said_len);
  ck_assert_uint_eq(memory.live, 0);
  feed(bytes, sizeof bytes);
  ck_assert_uint_le(frames.part.cap_len, 2 * sizeof bytes);
  end();
  said_len = 0;
}
END_TEST

/* Nothing is kept of what is done with. */
START_TEST(nothing_is_kept_of_what_is_done) {
  say_text(FIN | BINARY, "hello");
  say_text(FIN | PING, "hello");
  for (size_t at = 0; at <= said_len; at++) {
    begin();
    feed(said, at);
    feed(said + at, said_len - at);
    ck_assert_uint_eq(memory.live, 0);
    end();
  }
  said_len = 0;
}
END_TEST

START_TEST(a_whole_message_is_handed_on_where_it_lies) {
  say_text(FIN | BINARY, "hello");
  begin();
  ch_ws_input in = {said, said_len};
  ch_ws_event event = ch_ws_frames_next(&frames, &in);
  ck_assert_int_eq(event.kind, CH_WS_MESSAGE);
  ck_assert_ptr_eq(event.payload.data, said + said_len - 5);
  ck_assert_uint_eq(memory.left, SIZE_MAX);
  end();
  said_len = 0;
}
END_TEST

/* In each place that takes memory: the end of it, and nothing kept. */
START_TEST(without_memory_it_ends) {
  static const char *const pieces[] = {"part of a message", "part of a fragment", "part of a ping"};
  for (int i = 0; i < 3; i++) {
    if (i == 1) say_text(BINARY, "a fragment");
    say_text(FIN | (i == 0 ? BINARY : i == 1 ? CONTINUATION : PING), pieces[i]);
    begin();
    failing_allocator_init(&memory, 0);
    feed(said, said_len - 1);
    is_told(said_len - 1, 0, "out of memory, ");
    feed(said + said_len - 1, 1);
    is_told(said_len - 1, 1, "out of memory, ");
    end();
    said_len = 0;
  }
}
END_TEST

/* --- frames that go out --- */

START_TEST(heads_of_frames_that_go_out) {
  static const struct {
    ch_ws_opcode opcode;
    size_t len, head_len;
    uint8_t head[10];
  } rows[] = {
      {CH_WS_OP_BINARY, 0, 2, {0x82, 0}},
      {CH_WS_OP_PONG, 125, 2, {0x8a, 125}},
      {CH_WS_OP_BINARY, 126, 4, {0x82, 126, 0, 126}},
      {CH_WS_OP_BINARY, 65535, 4, {0x82, 126, 0xff, 0xff}},
      {CH_WS_OP_BINARY, 65536, 10, {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
      {CH_WS_OP_CLOSE, 2, 2, {0x88, 2}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint8_t head[CH_WS_HEAD_LEN_MAX];
    ck_assert_uint_eq(ch_ws_frame_head(rows[i].opcode, rows[i].len, head), rows[i].head_len);
    ck_assert_mem_eq(head, rows[i].head, rows[i].head_len);
  }
}
END_TEST

int main(void) {
  const test_row tests[] = {
      {the_rfcs_own_example, 0},
      {messages_one_behind_the_other, 0},
      {every_width_of_length, 0},
      {fragments, 0},
      {control_frames_between_fragments, 0},
      {empty_fragments, 0},
      {reserved_bits, 0},
      {reserved_opcodes, 0},
      {frames_that_are_not_masked, 0},
      {lengths_that_are_longer_than_needed, 0},
      {control_frames_are_short_and_whole, 0},
      {fragments_have_a_begin_and_an_end, 0},
      {text, 0},
      {closes_and_their_codes, 0},
      {reasons_are_utf_8, 0},
      {a_close_between_fragments, 0},
      {a_message_has_1_mib_at_most, 0},
      {fragments_have_1_mib_together, 0},
      {memory_is_for_what_has_come, 0},
      {nothing_is_kept_of_what_is_done, 0},
      {a_whole_message_is_handed_on_where_it_lies, 0},
      {without_memory_it_ends, 0},
      {heads_of_frames_that_go_out, 0},
  };
  return RUN_TESTS("ws_frames", tests);
}
