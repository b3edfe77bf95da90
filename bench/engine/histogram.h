/* SPDX-License-Identifier: Apache-2.0 */
/*
 * histogram.h - durations in log-linear buckets: 64 for each power of two, so a percentile is at most 1.6 % too high. Recording is one increment.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_SUB_BITS = 6, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS };

/* Zero-initialised is empty. */
typedef struct bench_histogram {
  uint64_t count, max_ns;
  uint64_t buckets[HISTOGRAM_BUCKETS];
} bench_histogram;

void histogram_record(bench_histogram *histogram, uint64_t ns);
/* The upper end of the bucket that holds the given share (0 to 1) of what was recorded, never above the maximum; 0: empty. */
uint64_t histogram_at(const bench_histogram *histogram, double share);

#endif
