/* SPDX-License-Identifier: Apache-2.0 */
#include "core/snowflake.h"

#include "core/assert.h"

enum { SEQUENCE_BITS = 12, PARTITION_BITS = 10, MS_BITS = 41 };

static uint64_t ms_since_epoch(uint64_t unix_ms) {
  const uint64_t last_ms = (UINT64_C(1) << MS_BITS) - 1;
  if (unix_ms < CH_SNOWFLAKE_EPOCH_MS) return 0;
  uint64_t ms = unix_ms - CH_SNOWFLAKE_EPOCH_MS;
  return ms < last_ms ? ms : last_ms;
}

uint64_t ch_snowflake_compose(uint64_t unix_ms, uint32_t partition, uint32_t sequence) {
  ch_assert(sequence < CH_SNOWFLAKE_SEQUENCES);
  uint64_t time_and_partition = ms_since_epoch(unix_ms) << PARTITION_BITS | partition % CH_SNOWFLAKE_PARTITIONS;
  return time_and_partition << SEQUENCE_BITS | sequence;
}

uint64_t ch_message_id_next(uint64_t last, uint64_t append_ms, uint32_t partition) {
  ch_assert(last < INT64_MAX);
  uint64_t by_time = ch_snowflake_compose(append_ms, partition, 0);
  return by_time > last ? by_time : last + 1;
}
