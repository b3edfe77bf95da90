/* SPDX-License-Identifier: Apache-2.0 */
#include "core/bytes.h"

#include <string.h>

#include "run.h"

static ch_bytes text(const char *string) {
  return ch_bytes_text(string);
}

START_TEST(equality) {
  ck_assert(ch_bytes_equal(text("abc"), ch_bytes_of("abcd", 3)));
  ck_assert(!ch_bytes_equal(text("abc"), text("abd")));
  ck_assert(!ch_bytes_equal(text("abc"), text("abcd")));
  ck_assert(ch_bytes_equal(text(NULL), text("")));
  ck_assert_uint_eq(text(NULL).len, 0);
}
END_TEST

START_TEST(order_is_bytewise) {
  ck_assert_int_lt(ch_bytes_compare(text("a"), text("b")), 0);
  ck_assert_int_gt(ch_bytes_compare(text("b"), text("abc")), 0);
  ck_assert_int_lt(ch_bytes_compare(text("ab"), text("abc")), 0);
  ck_assert_int_gt(ch_bytes_compare(text("abc"), text("ab")), 0);
  ck_assert_int_eq(ch_bytes_compare(text("ab"), text("ab")), 0);
  ck_assert_int_gt(ch_bytes_compare(text("\xC3"), text("z")), 0); /* unsigned */
  ck_assert_int_lt(ch_bytes_compare(text(NULL), text("a")), 0);
}
END_TEST

/* First and last of each length, and both sides of the surrogates (RFC 3629, section 4). */
START_TEST(utf8_that_is_valid) {
  const char *const good[] = {"",
                              "a",
                              "\x7F",
                              "\xC2\x80",
                              "\xDF\xBF",
                              "\xE0\xA0\x80",
                              "\xED\x9F\xBF",
                              "\xEE\x80\x80",
                              "\xEF\xBF\xBF",
                              "\xF0\x90\x80\x80",
                              "\xF1\x80\x80\x80",
                              "\xF3\xBF\xBF\xBF",
                              "\xF4\x8F\xBF\xBF",
                              "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x99\x82z"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    ck_assert_msg(ch_utf8_valid(text(good[i])), "row %zu", i);
  ck_assert(ch_utf8_valid(ch_bytes_of("\0", 1)));
}
END_TEST

START_TEST(utf8_that_is_not) {
  const char *const bad[] = {
      "\x80",
      "\xBF",
      "\xC0\x80",
      "\xC1\xBF", /* lone, overlong */
      "\xC2",
      "\xC2\x7F",
      "\xC2\xC0", /* cut, wrong second */
      "\xE0\x9F\xBF",
      "\xE0\x80\x80",
      "\xE1\x80",
      "\xE1\x80\x7F",
      "\xE1\x80\xC0", /* overlong, cut, wrong third */
      "\xED\xA0\x80",
      "\xED\xBF\xBF", /* surrogates */
      "\xF0\x8F\xBF\xBF",
      "\xF0\x90\x80",
      "\xF0\x90\x80\x7F", /* overlong, cut, wrong fourth */
      "\xF4\x90\x80\x80",
      "\xF5\x80\x80\x80",
      "\xFE",
      "\xFF", /* above U+10FFFF */
      "fine until \xE2\x82",
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(!ch_utf8_valid(text(bad[i])), "row %zu", i);
}
END_TEST

START_TEST(user_ids) {
  char longest[66];
  memset(longest, 'x', sizeof longest);
  ck_assert(ch_user_id_valid(text("a")));
  ck_assert(ch_user_id_valid(text("zo\xC3\xAB with blanks")));
  ck_assert(ch_user_id_valid(ch_bytes_of(longest, 64)));
  ck_assert(!ch_user_id_valid(ch_bytes_of(longest, 65)));
  ck_assert(!ch_user_id_valid(text("")));
  ck_assert(!ch_user_id_valid(ch_bytes_of("a\0", 2)));
  ck_assert(!ch_user_id_valid(text("a\x1F")));
  ck_assert(ch_user_id_valid(text("a ")));
  ck_assert(!ch_user_id_valid(text("a\x7F")));
  ck_assert(!ch_user_id_valid(text("\xC3")));
}
END_TEST

START_TEST(hex_is_written) {
  char out[9];
  ch_hex_encode(ch_bytes_of("\x00\x1f\xa0\xff", 4), out);
  ck_assert_str_eq(out, "001fa0ff");
  ch_hex_encode(text(NULL), out);
  ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(hex_is_read) {
  uint8_t out[4];
  ck_assert(ch_hex_decode(text("001fA0Ff"), out, 4));
  ck_assert_mem_eq(out, "\x00\x1f\xa0\xff", 4);
  ck_assert(ch_hex_decode(text(""), out, 0));
  ck_assert(!ch_hex_decode(text("001fa0"), out, 4));
  ck_assert(!ch_hex_decode(text("001fa0ff1"), out, 4));
}
END_TEST

/* The neighbours of each range of digits, in either place. */
START_TEST(hex_that_is_not) {
  const char *const bad[] = {"0/",
                             "0:",
                             "0@",
                             "0G",
                             "0`",
                             "0g",
                             "/0",
                             ":0",
                             "@0",
                             "G0",
                             "`0",
                             "g0",
                             " 0",
                             "\xFF"
                             "0"};
  uint8_t out[1];
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(!ch_hex_decode(text(bad[i]), out, 1), "row %zu", i);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {equality, 0}, {order_is_bytewise, 0}, {utf8_that_is_valid, 0}, {utf8_that_is_not, 0},
      {user_ids, 0}, {hex_is_written, 0},    {hex_is_read, 0},        {hex_that_is_not, 0},
  };
  return RUN_TESTS("bytes", rows);
}
