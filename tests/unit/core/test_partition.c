/* SPDX-License-Identifier: Apache-2.0 */
#include "core/partition.h"

#include <signal.h>

#include "run.h"

/* Values that Kafka's own tests publish (UtilsTest.testMurmur2), signed as there. */
START_TEST(vectors_of_kafka) {
  static const struct {
    const char *key;
    int32_t hash;
  } vectors[] = {
      {"21", -973932308},
      {"foobar", -790332482},
      {"a-little-bit-long-string", -985981536},
      {"a-little-bit-longer-string", -1486304829},
      {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
      {"abc", 479470107},
  };
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
    ck_assert_int_eq((int32_t)ch_murmur2(ch_bytes_text(vectors[i].key)), vectors[i].hash);
}
END_TEST

/* By hand from the hashes above: & 0x7fffffff, then the remainder. */
START_TEST(partitions) {
  ck_assert_uint_eq(ch_partition_of(ch_bytes_text("abc"), 10), 7);
  ck_assert_uint_eq(ch_partition_of(ch_bytes_text("21"), 10), (2147483648u - 973932308u) % 10);
  ck_assert_uint_eq(ch_partition_of(ch_bytes_text("foobar"), 1000), (2147483648u - 790332482u) % 1000);
  ck_assert_uint_eq(ch_partition_of(ch_bytes_text("foobar"), 1), 0);
  ck_assert_uint_lt(ch_partition_of(ch_bytes_of(NULL, 0), 7), 7);
}
END_TEST

START_TEST(no_partition_at_all) {
  ch_partition_of(ch_bytes_text("abc"), 0);
}
END_TEST

int main(void) {
  const test_row rows[] = {{vectors_of_kafka, 0}, {partitions, 0}, {no_partition_at_all, SIGABRT}};
  return RUN_TESTS("partition", rows);
}
