/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snowflake.h - the message id: 63 bits, 41 of time in ms since 2024-01-01T00:00:00Z, 10 of log partition (modulo
 * 1,024) and 12 of sequence. Given by the sequencer, strictly rising within a conversation and unique only there; a
 * function of the log, so that a replay gives the same ids (P6). The time lasts until 2093. Pure functions, any
 * thread.
 */
#ifndef CH_CORE_SNOWFLAKE_H
#define CH_CORE_SNOWFLAKE_H

#include <stdint.h>

#define CH_SNOWFLAKE_EPOCH_MS UINT64_C(1704067200000)

enum { CH_SNOWFLAKE_PARTITIONS = 1024, CH_SNOWFLAKE_SEQUENCES = 4096 };

/* A time before the epoch counts as the epoch, one past 41 bits as the last; sequence is below
 * CH_SNOWFLAKE_SEQUENCES. */
uint64_t ch_snowflake_compose(uint64_t unix_ms, uint32_t partition, uint32_t sequence);

/* The id of the next message of a conversation whose highest is last (0: none), at unix time append_ms of the log:
 * max(compose(append_ms, partition, 0), last + 1). last is below INT64_MAX. */
uint64_t ch_message_id_next(uint64_t last, uint64_t append_ms, uint32_t partition);

#endif
