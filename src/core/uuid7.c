/* SPDX-License-Identifier: Apache-2.0 */
#include "core/uuid7.h"

#include <string.h>

enum { COUNTER_MAX = 0xFFF, COUNTER_SEED_MAX = 0x7FF };

static const uint64_t last_ms_max = UINT64_C(1) << 47;

static void put_version_and_variant(uint8_t uuid[CH_UUID_LEN]) {
  uuid[6] = (uint8_t)(0x70 | (uuid[6] & 0x0F));
  uuid[8] = (uint8_t)(0x80 | (uuid[8] & 0x3F));
}

void ch_uuid7_make(uint8_t out[CH_UUID_LEN], uint64_t unix_ms, const uint8_t random[CH_UUID7_RANDOM_LEN]) {
  for (int i = 0; i < 6; i++)
    out[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
  memcpy(out + 6, random, CH_UUID7_RANDOM_LEN);
  put_version_and_variant(out);
}

uint64_t ch_uuid7_ms(const uint8_t uuid[CH_UUID_LEN]) {
  uint64_t unix_ms = 0;
  for (int i = 0; i < 6; i++)
    unix_ms = unix_ms << 8 | uuid[i];
  return unix_ms;
}

/* The counter starts at random, but in the lower half, so that at least 2,048 more fit into the same ms. */
static void start_ms(ch_uuid7_generator *generator, uint64_t unix_ms, const uint8_t *random) {
  generator->last_ms = unix_ms;
  generator->counter = (uint16_t)((random[0] << 8 | random[1]) & COUNTER_SEED_MAX);
}

void ch_uuid7_next(ch_uuid7_generator *generator, uint64_t unix_ms, const uint8_t random[CH_UUID7_RANDOM_LEN],
                   uint8_t out[CH_UUID_LEN]) {
  if (unix_ms > last_ms_max) unix_ms = last_ms_max;
  if (unix_ms > generator->last_ms)
    start_ms(generator, unix_ms, random);
  else if (generator->counter == COUNTER_MAX)
    start_ms(generator, generator->last_ms + 1, random);
  else
    generator->counter++;
  ch_uuid7_make(out, generator->last_ms, random);
  out[6] = (uint8_t)(0x70 | generator->counter >> 8);
  out[7] = (uint8_t)generator->counter;
}
