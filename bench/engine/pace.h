/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace.h - an open loop: when the next message is meant to start, whatever became of those before. Arrivals are Poisson, from a fixed seed. What is late is still stamped
 * with the time that was meant, so that a server which stops for a while pays for all who would have come (no coordinated omission).
 */
#ifndef BENCH_PACE_H
#define BENCH_PACE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct bench_pace {
  double mean_ns; /* between two starts; 0: no pace */
  double next_ns;
  uint64_t random; /* xorshift, never 0 */
} bench_pace;

/* rate: starts a second; 0: none ever. */
void pace_init(bench_pace *pace, double rate, uint64_t now_ns);
/* Is one due? Then *start_ns is the time that it was meant for, and the next one is drawn. */
bool pace_due(bench_pace *pace, uint64_t now_ns, uint64_t *start_ns);
/* When the next one is due; CLOCK_NEVER_NS: no pace. */
uint64_t pace_next_ns(const bench_pace *pace);

#endif
