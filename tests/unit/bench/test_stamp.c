/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/stamp.h"

#include <string.h>

#include "unit/core/run.h"

START_TEST(there_and_back) {
  const bench_stamp stamp = {0x0123456789abcdef, 0xfedcba98, 7};
  char text[40];
  bench_stamp read;
  stamp_write(&stamp, text, sizeof text);
  ck_assert_mem_eq(text, "0123456789abcdeffedcba9800000007........", 40);
  ck_assert(stamp_read(text, sizeof text, &read));
  ck_assert_uint_eq(read.start_ns, stamp.start_ns);
  ck_assert_uint_eq(read.sender, stamp.sender);
  ck_assert_uint_eq(read.number, stamp.number);
}
END_TEST

START_TEST(what_is_none) {
  bench_stamp read;
  ck_assert(!stamp_read("0123456789abcdeffedcba980000000", STAMP_LEN - 1, &read));
  ck_assert(!stamp_read("0123456789abcdeffedcba980000000g", STAMP_LEN, &read));
}
END_TEST

int main(void) {
  const test_row rows[] = {{there_and_back, 0}, {what_is_none, 0}};
  return RUN_TESTS("stamp", rows);
}
