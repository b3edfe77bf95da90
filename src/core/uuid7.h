/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uuid7.h - UUIDv7 (RFC 9562, section 5.7): the client id of a message. 16 bytes: 48 bits of unix time in ms, big
 * endian, the version 7, 12 bits rand_a, the variant 10, 62 bits rand_b. Clock and randomness are arguments.
 */
#ifndef CH_CORE_UUID7_H
#define CH_CORE_UUID7_H

#include <stdint.h>

enum { CH_UUID_LEN = 16, CH_UUID7_RANDOM_LEN = 10 };

/* One UUIDv7. Of unix_ms the lower 48 bits count, of random 74 bits. */
void ch_uuid7_make(uint8_t out[CH_UUID_LEN], uint64_t unix_ms, const uint8_t random[CH_UUID7_RANDOM_LEN]);
/* The unix time inside, in ms. */
uint64_t ch_uuid7_ms(const uint8_t uuid[CH_UUID_LEN]);

/* Makes UUIDs that rise bytewise, also where the clock stands still or goes back. Begin with {0}; one thread at a
 * time. */
typedef struct ch_uuid7_generator {
  uint64_t last_ms;
  uint16_t counter; /* of last_ms, in rand_a (RFC 9562, section 6.2, method 1) */
} ch_uuid7_generator;

/* unix_ms above 2^47 (the year 6429) is taken as 2^47, so that the generator can always count on. */
void ch_uuid7_next(ch_uuid7_generator *generator, uint64_t unix_ms, const uint8_t random[CH_UUID7_RANDOM_LEN],
                   uint8_t out[CH_UUID_LEN]);

#endif
