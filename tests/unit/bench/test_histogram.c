/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/histogram.h"

#include <stdlib.h>

#include "unit/core/run.h"

enum { COUNT = 20000 };
static bench_histogram histogram;
static uint64_t values[COUNT];

static int by_size(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* Against the values themselves, sorted: never below, and at most one part in 64 above. */
START_TEST(percentiles_against_sorted_values) {
  uint64_t random = 88172645463325252u;
  for (size_t i = 0; i < COUNT; i++) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    values[i] = random >> (random % 60); /* of every size */
    histogram_record(&histogram, values[i]);
  }
  qsort(values, COUNT, sizeof *values, by_size);
  static const double shares[] = {0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
  for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
    uint64_t exact = values[(size_t)(shares[i] * COUNT) - 1], found = histogram_at(&histogram, shares[i]);
    ck_assert_uint_ge(found, exact);
    ck_assert_uint_le(found - exact, exact / 64);
  }
}
END_TEST

START_TEST(the_ends) {
  ck_assert_uint_eq(histogram_at(&histogram, 0.5), 0);
  histogram_record(&histogram, UINT64_MAX);
  ck_assert_uint_eq(histogram_at(&histogram, 0.5), UINT64_MAX);
  histogram_record(&histogram, 0);
  ck_assert_uint_eq(histogram_at(&histogram, 0.5), 0);
  ck_assert_uint_eq(histogram_at(&histogram, 0.51), UINT64_MAX);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {percentiles_against_sorted_values, 0},
      {the_ends, 0},
  };
  return RUN_TESTS("histogram", rows);
}
