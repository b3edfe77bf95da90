/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ws.h"

#include <string.h>

#include "unit/core/run.h"

static ch_buf out;
static uint8_t payload[70000];

static void put(size_t len, const uint8_t *mask) {
  for (size_t i = 0; i < len; i++)
    payload[i] = (uint8_t)(i * 7);
  ch_buf_init(&out, NULL, 1 << 20);
  ck_assert_int_eq(ws_frame_put(&out, WS_BINARY, ch_bytes_of(payload, len), mask), 0);
}

/* RFC 6455, section 5.7. */
START_TEST(examples_of_the_standard) {
  const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
  ch_buf_init(&out, NULL, 64);
  ck_assert_int_eq(ws_frame_put(&out, WS_TEXT, ch_bytes_text("Hello"), NULL), 0);
  ck_assert_uint_eq(out.len, 7);
  ck_assert_mem_eq(out.data, "\x81\x05Hello", 7);
  ch_buf_clear(&out);
  ck_assert_int_eq(ws_frame_put(&out, WS_TEXT, ch_bytes_text("Hello"), mask), 0);
  ck_assert_uint_eq(out.len, 11);
  ck_assert_mem_eq(out.data, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
  ch_buf_fini(&out);
}
END_TEST

/* Each form of the length, masked and not; cut anywhere it is "not all there". */
static void check_there_and_back(size_t len, const uint8_t *mask) {
  put(len, mask);
  ws_frame frame;
  for (size_t cut = 0; cut < out.len; cut += cut < 20 ? 1 : 997)
    ck_assert_uint_eq(ws_frame_read(out.data, cut, &frame), 0);
  ck_assert_uint_eq(ws_frame_read(out.data, out.len, &frame), out.len);
  ck_assert_uint_eq(frame.len, len);
  ck_assert(frame.final && frame.opcode == WS_BINARY);
  ck_assert(!memcmp(frame.payload, payload, len));
  ch_buf_fini(&out);
}

START_TEST(there_and_back) {
  static const size_t lens[] = {0, 1, 125, 126, 127, 65535, 65536, 70000};
  const uint8_t mask[4] = {1, 0x80, 0xff, 0x42};
  for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
    check_there_and_back(lens[i], NULL);
    check_there_and_back(lens[i], mask);
  }
}
END_TEST

/* RFC 6455, section 1.3. */
START_TEST(the_servers_answer) {
  ch_buf_init(&out, NULL, 1024);
  ch_bytes request = ch_bytes_text("GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  ck_assert_uint_eq(ws_head_len(request), request.len);
  ck_assert_uint_eq(ws_head_len(ch_bytes_of(request.data, request.len - 1)), 0);
  ck_assert_int_eq(ws_answer_put(&out, request), 0);
  ch_buf_put_u8(&out, 0);
  ck_assert_ptr_nonnull(strstr((char *)out.data, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
  ck_assert_int_eq(ws_answer_put(&out, ch_bytes_text("GET / HTTP/1.1\r\n\r\n")), CHAT_E_PROTOCOL);
  ch_buf_fini(&out);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {examples_of_the_standard, 0},
      {there_and_back, 0},
      {the_servers_answer, 0},
  };
  return RUN_TESTS("ws", rows);
}
