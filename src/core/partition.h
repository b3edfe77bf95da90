/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition.h - which partition of a topic a key belongs to.
 *
 * As Kafka's default partitioner says it, so that any tool that writes to or reads from the log with a key finds the same one
 * (docs/architecture.md, "Records"). Pure functions, any thread.
 */
#ifndef CH_CORE_PARTITION_H
#define CH_CORE_PARTITION_H

#include <stdint.h>

#include "core/bytes.h"

/* 0 to count - 1; count is at least 1. */
uint32_t ch_partition_of(chat_bytes key, uint32_t count);

/* MurmurHash2 (32 bits) with Kafka's seed. */
uint32_t ch_murmur2(chat_bytes key);

#endif
