/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random.h - the one source of chance: everything in a run follows from its seed. splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
 */
#ifndef CH_SIM_RANDOM_H
#define CH_SIM_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sim_random {
  uint64_t state;
} sim_random;

static inline uint64_t sim_random_next(sim_random *random) {
  uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* 0 to count - 1; count is at least 1. */
static inline uint64_t sim_pick(sim_random *random, uint64_t count) {
  return sim_random_next(random) % count;
}

/* low to high, both included. */
static inline uint64_t sim_between(sim_random *random, uint64_t low, uint64_t high) {
  return low + sim_pick(random, high - low + 1);
}

/* Once in `in` times `times`: true with chance times / in. */
static inline bool sim_chance(sim_random *random, uint32_t times, uint32_t in) {
  return sim_pick(random, in) < times;
}

static inline void sim_fill(sim_random *random, void *bytes, size_t len) {
  uint8_t *to = bytes;
  for (size_t i = 0; i < len; i++)
    to[i] = (uint8_t)(sim_random_next(random) >> 32);
}

#endif
