/* SPDX-License-Identifier: Apache-2.0 */
#include "core/buf.h"

#include <chat/chat.h>
#include <string.h>

#include "failing_allocator.h"
#include "run.h"

static failing_allocator memory;
static ch_buf buf;

static void setup(size_t allocations, size_t max_len) {
  failing_allocator_init(&memory, allocations);
  ch_buf_init(&buf, &memory.alloc, max_len);
}

static void content_is(const void *bytes, size_t len) {
  ck_assert(ch_bytes_equal(ch_buf_bytes(&buf), ch_bytes_of(bytes, len)));
}

START_TEST(numbers_are_big_endian) {
  setup(10, 100);
  ck_assert_int_eq(ch_buf_put_u8(&buf, 0x01), 0);
  ck_assert_int_eq(ch_buf_put_u64(&buf, UINT64_C(0x08090A0B0C0D0E0F)), 0);
  content_is("\x01\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F", 9);
  ch_buf_fini(&buf);
  ck_assert_uint_eq(memory.live, 0);
}
END_TEST

/* 300 is the example of the protobuf documentation ("Base 128 Varints"). */
START_TEST(varints_are_written) {
  setup(10, 100);
  ch_buf_put_varint(&buf, 0);
  ch_buf_put_varint(&buf, 127);
  ch_buf_put_varint(&buf, 128);
  ch_buf_put_varint(&buf, 300);
  content_is("\x00\x7F\x80\x01\xAC\x02", 6);
  ch_buf_clear(&buf);
  ch_buf_put_varint(&buf, UINT64_MAX);
  content_is("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 10);
  ch_buf_fini(&buf);
}
END_TEST

START_TEST(text_and_formats) {
  setup(10, 100);
  ck_assert_int_eq(ch_buf_put_text(&buf, "a"), 0);
  ck_assert_int_eq(ch_buf_printf(&buf, "-%d-%s", 42, "z"), 0);
  ck_assert_int_eq(ch_buf_printf(&buf, "%s", ""), 0);
  ck_assert_int_eq(ch_buf_put(&buf, ch_bytes_of(NULL, 0)), 0);
  content_is("a-42-z", 6);
  ch_buf_fini(&buf);
}
END_TEST

START_TEST(extend_gives_room) {
  setup(10, 8);
  uint8_t *room = ch_buf_extend(&buf, 8);
  memcpy(room, "12345678", 8);
  content_is("12345678", 8);
  ck_assert_ptr_null(ch_buf_extend(&buf, 1));
  ck_assert_int_eq(buf.error, CHAT_E_TOO_LARGE);
  ch_buf_fini(&buf);
}
END_TEST

START_TEST(extend_by_none_is_misuse) {
  setup(10, 8);
  ch_buf_extend(&buf, 0);
}
END_TEST

START_TEST(the_bound_holds_to_the_byte) {
  setup(100, 1000);
  for (int i = 0; i < 1000; i++)
    ck_assert_int_eq(ch_buf_put_u8(&buf, 'x'), 0);
  ck_assert_int_eq(ch_buf_put_u8(&buf, 'y'), CHAT_E_TOO_LARGE);
  ck_assert_uint_eq(buf.len, 1000);
  ch_buf_clear(&buf);
  ck_assert_int_eq(ch_buf_printf(&buf, "%1000d", 7), 0); /* the NUL does not count */
  ck_assert_uint_eq(buf.len, 1000);
  ck_assert_int_eq(ch_buf_printf(&buf, "x"), CHAT_E_TOO_LARGE);
  ch_buf_fini(&buf);
}
END_TEST

START_TEST(one_large_piece_fits_at_once) {
  static uint8_t piece[500];
  setup(1, 1000);
  ck_assert_int_eq(ch_buf_put(&buf, ch_bytes_of(piece, sizeof piece)), 0);
  ck_assert_uint_eq(buf.len, 500);
  ch_buf_fini(&buf);
}
END_TEST

START_TEST(the_first_error_stays) {
  setup(1, 200);
  ck_assert_int_eq(ch_buf_put_text(&buf, "kept"), 0);
  ck_assert_int_eq(ch_buf_printf(&buf, "%100d", 1), CHAT_E_NOMEM);
  ck_assert_int_eq(ch_buf_put_u8(&buf, 1), CHAT_E_NOMEM);
  content_is("kept", 4);
  ch_buf_clear(&buf);
  ck_assert_int_eq(ch_buf_put_u8(&buf, 1), 0);
  ch_buf_fini(&buf);
  ck_assert_uint_eq(memory.live, 0);
}
END_TEST

START_TEST(what_was_written_is_read) {
  uint8_t u8;
  uint64_t u64, varint;
  ch_bytes bytes;
  ch_cursor cursor = ch_cursor_of(ch_bytes_of("\xFE\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\xAC\x02xyz", 14));
  ck_assert_int_eq(ch_cursor_u8(&cursor, &u8), 0);
  ck_assert_int_eq(ch_cursor_u64(&cursor, &u64), 0);
  ck_assert_int_eq(ch_cursor_varint(&cursor, &varint), 0);
  ck_assert_int_eq(ch_cursor_bytes(&cursor, 0, &bytes), 0);
  ck_assert_int_eq(ch_cursor_bytes(&cursor, 3, &bytes), 0);
  ck_assert_int_eq(ch_cursor_end(&cursor), 0);
  ck_assert_uint_eq(u8, 0xFE);
  ck_assert_uint_eq(u64, UINT64_C(0x0708090A0B0C0D0E));
  ck_assert_uint_eq(varint, 300);
  ck_assert(ch_bytes_equal(bytes, ch_bytes_text("xyz")));
}
END_TEST

START_TEST(bytes_that_end_early) {
  uint64_t u64 = 7;
  uint8_t u8 = 7;
  ch_bytes bytes = ch_bytes_text("old");
  ch_cursor cursor = ch_cursor_of(ch_bytes_of("abc", 3));
  ck_assert_int_eq(ch_cursor_u64(&cursor, &u64), CHAT_E_PROTOCOL);
  ck_assert_uint_eq(u64, 0);
  ck_assert_int_eq(ch_cursor_u8(&cursor, &u8), CHAT_E_PROTOCOL); /* there are bytes, but the error stays */
  ck_assert_uint_eq(u8, 0);
  ck_assert_int_eq(ch_cursor_bytes(&cursor, 0, &bytes), CHAT_E_PROTOCOL);
  ck_assert_uint_eq(bytes.len, 0);
  ck_assert_int_eq(ch_cursor_end(&cursor), CHAT_E_PROTOCOL);
}
END_TEST

START_TEST(bytes_that_are_left) {
  ch_cursor cursor = ch_cursor_of(ch_bytes_of("abc", 3));
  ck_assert_int_eq(ch_cursor_end(&cursor), CHAT_E_PROTOCOL);
}
END_TEST

static int varint_of(const char *bytes, size_t len, uint64_t *out) {
  ch_cursor cursor = ch_cursor_of(ch_bytes_of(bytes, len));
  return ch_cursor_varint(&cursor, out);
}

START_TEST(varints_at_their_limits) {
  uint64_t value;
  ck_assert_int_eq(varint_of("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 10, &value), 0);
  ck_assert_uint_eq(value, UINT64_MAX);
  ck_assert_int_eq(varint_of("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", 10, &value), CHAT_E_PROTOCOL); /* the 65th bit */
  ck_assert_uint_eq(value, 0);
  ck_assert_int_eq(varint_of("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, &value), CHAT_E_PROTOCOL);
  ck_assert_int_eq(varint_of("\x80", 1, &value), CHAT_E_PROTOCOL);
  ck_assert_int_eq(varint_of("\x81\x00", 2, &value), 0); /* longer than needed, as protobuf allows */
  ck_assert_uint_eq(value, 1);
}
END_TEST

START_TEST(nothing_is_read_after_an_error) {
  ch_bytes bytes;
  uint64_t value;
  ch_cursor cursor = ch_cursor_of(ch_bytes_of("\xAC\x02\x01", 3));
  ck_assert_int_eq(ch_cursor_bytes(&cursor, 4, &bytes), CHAT_E_PROTOCOL);
  ck_assert_int_eq(ch_cursor_varint(&cursor, &value), CHAT_E_PROTOCOL);
  ck_assert_uint_eq(value, 0);
  ck_assert_uint_eq(cursor.left_len, 3);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {numbers_are_big_endian, 0},
      {varints_are_written, 0},
      {text_and_formats, 0},
      {extend_gives_room, 0},
      {extend_by_none_is_misuse, SIGABRT},
      {the_bound_holds_to_the_byte, 0},
      {one_large_piece_fits_at_once, 0},
      {the_first_error_stays, 0},
      {what_was_written_is_read, 0},
      {bytes_that_end_early, 0},
      {bytes_that_are_left, 0},
      {varints_at_their_limits, 0},
      {nothing_is_read_after_an_error, 0},
  };
  return RUN_TESTS("buf", rows);
}
