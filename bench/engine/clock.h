/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - elapsed time in nanoseconds, the same for all processes of one machine. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_SECOND_NS 1000000000ull
#define CLOCK_NEVER_NS  UINT64_MAX

static inline uint64_t clock_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * CLOCK_SECOND_NS + (uint64_t)now.tv_nsec;
}

#endif
