/* SPDX-License-Identifier: Apache-2.0 */
#include "core/uuid7.h"

#include <string.h>

#include "run.h"

static const uint8_t zeros[CH_UUID7_RANDOM_LEN];
static const uint8_t ones[CH_UUID7_RANDOM_LEN] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

/* The example of RFC 9562, appendix A.6; where version and variant go, the random bytes hold other bits. */
START_TEST(the_example_of_the_rfc) {
  const uint8_t random[CH_UUID7_RANDOM_LEN] = {0xFC, 0xC3, 0x58, 0xC4, 0xDC, 0x0C, 0x0C, 0x07, 0x39, 0x8F};
  const uint8_t example[CH_UUID_LEN] = {0x01, 0x7F, 0x22, 0xE2, 0x79, 0xB0, 0x7C, 0xC3, 0x98, 0xC4, 0xDC, 0x0C, 0x0C, 0x07, 0x39, 0x8F};
  uint8_t uuid[CH_UUID_LEN];
  ch_uuid7_make(uuid, UINT64_C(0x017F22E279B0), random);
  ck_assert_mem_eq(uuid, example, CH_UUID_LEN);
  ck_assert_uint_eq(ch_uuid7_ms(uuid), UINT64_C(1645557742000));
}
END_TEST

END_TEST

END_TEST

END_TEST

/* Makes count ids at unix_ms, each of which must be a UUIDv7 above *last. */
static void make_rising(ch_uuid7_generator *generator, uint64_t unix_ms, const uint8_t *random, int count, uint8_t last[CH_UUID_LEN]) {
  for (int i = 0; i < count; i++) {
    uint8_t uuid[CH_UUID_LEN];
    ch_uuid7_next(generator, unix_ms, random, uuid);
    ck_assert(uuid[6] >> 4 == 7 && uuid[8] >> 6 == 2); /* version and variant */
    ck_assert_int_gt(memcmp(uuid, last, CH_UUID_LEN), 0);
    memcpy(last, uuid, CH_UUID_LEN);
  }
}

START_TEST(ids_rise_whatever_the_clock_does) {
  ch_uuid7_generator generator = {0};
  uint8_t last[CH_UUID_LEN] = {0};
  make_rising(&generator, 5000, ones, 10, last);
  make_rising(&generator, 5001, zeros, 10, last);
  make_rising(&generator, 10, ones, 10, last); /* the clock goes back */
  ck_assert_uint_eq(ch_uuid7_ms(last), 5001);
  make_rising(&generator, 6000, zeros, 1, last);
  ck_assert_uint_eq(ch_uuid7_ms(last), 6000);
}
END_TEST

/* From 0, 4,096 fit into one ms; the next borrows from the ms to come. */
START_TEST(a_full_ms_flows_into_the_next) {
  ch_uuid7_generator generator = {0};
  uint8_t last[CH_UUID_LEN] = {0};
  make_rising(&generator, 5000, zeros, 4096, last);
  ck_assert_uint_eq(ch_uuid7_ms(last), 5000);
  make_rising(&generator, 5000, ones, 1, last);
  ck_assert_uint_eq(ch_uuid7_ms(last), 5001);
  make_rising(&generator, 5000, ones, 2048, last); /* a random start leaves half of a ms */
  ck_assert_uint_eq(ch_uuid7_ms(last), 5001);
}
END_TEST

START_TEST(an_absurd_clock_leaves_room) {
  ch_uuid7_generator generator = {0};
  uint8_t last[CH_UUID_LEN] = {0};
  make_rising(&generator, UINT64_MAX, zeros, 5000, last);
  ck_assert_uint_eq(ch_uuid7_ms(last), (UINT64_C(1) << 47) + 1);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {the_example_of_the_rfc, 0},
      {ids_rise_whatever_the_clock_does, 0},
      {a_full_ms_flows_into_the_next, 0},
      {an_absurd_clock_leaves_room, 0},
  };
  return RUN_TESTS("uuid7", rows);
}
