/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/histogram.h"

#include <stddef.h>

enum { SUB_COUNT = 1 << HISTOGRAM_SUB_BITS };

/* Below SUB_COUNT each value has a bucket of its own; above, its highest bits say which. */
static size_t bucket_of(uint64_t ns) {
  if (ns < SUB_COUNT) return ns;
  unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_SUB_BITS;
  return ((size_t)(shift + 1) << HISTOGRAM_SUB_BITS) + (size_t)((ns >> shift) - SUB_COUNT);
}

static uint64_t bucket_end(size_t bucket) {
  if (bucket < SUB_COUNT) return bucket;
  unsigned shift = (unsigned)(bucket >> HISTOGRAM_SUB_BITS) - 1;
  uint64_t first = ((uint64_t)SUB_COUNT + (bucket & (SUB_COUNT - 1))) << shift;
  return first + ((1ull << shift) - 1);
}

void histogram_record(bench_histogram *histogram, uint64_t ns) {
  histogram->count++;
  histogram->buckets[bucket_of(ns)]++;
  if (ns > histogram->max_ns) histogram->max_ns = ns;
}

uint64_t histogram_at(const bench_histogram *histogram, double share) {
  if (!histogram->count) return 0;
  double wanted = share * (double)histogram->count;
  uint64_t seen = 0;
  size_t bucket = 0;
  while (bucket < HISTOGRAM_BUCKETS - 1 && (double)(seen += histogram->buckets[bucket]) < wanted)
    bucket++;
  uint64_t end = bucket_end(bucket);
  return end < histogram->max_ns ? end : histogram->max_ns;
}
