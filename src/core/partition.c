/* SPDX-License-Identifier: Apache-2.0 */
/* MurmurHash2 by Austin Appleby (public domain) with the seed of Kafka; its words are little endian. */
#include "core/partition.h"

#include "core/assert.h"

#define SEED UINT32_C(0x9747b28c)
#define MULTIPLIER UINT32_C(0x5bd1e995)

static uint32_t word_of(const uint8_t *bytes, size_t len) {
  uint32_t word = 0;
  for (size_t i = 0; i < len; i++)
    word |= (uint32_t)bytes[i] << 8 * i;
  return word;
}

static uint32_t scrambled(uint32_t word) {
  word *= MULTIPLIER;
  word ^= word >> 24;
  return word * MULTIPLIER;
}

/* Spreads the last bytes over all bits. */
static uint32_t finished(uint32_t hash) {
  hash ^= hash >> 13;
  hash *= MULTIPLIER;
  return hash ^ hash >> 15;
}

uint32_t ch_murmur2(chat_bytes key) {
  uint32_t hash = SEED ^ (uint32_t)key.len;
  size_t at = 0;
  for (; key.len - at >= 4; at += 4)
    hash = hash * MULTIPLIER ^ scrambled(word_of(key.data + at, 4));
  if (at < key.len) hash = (hash ^ word_of(key.data + at, key.len - at)) * MULTIPLIER;
  return finished(hash);
}

/* Kafka's hash is signed: its partitioner takes the sign off before it divides. */
uint32_t ch_partition_of(chat_bytes key, uint32_t count) {
  ch_assert(count > 0);
  return (ch_murmur2(key) & INT32_MAX) % count;
}
