/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stamp.h - what a message of the load carries, as text so that every protocol can carry it: 16 hexadecimal digits of the time at which it was meant to start, 8 of
 * its sender, 8 of its number; then filling. So its receiver knows how long it took, and needs no table of what is under way.
 */
#ifndef BENCH_STAMP_H
#define BENCH_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STAMP_LEN = 32 };

typedef struct bench_stamp {
  uint64_t start_ns;
  uint32_t sender; /* index of the client */
  uint32_t number; /* whatever its workload counts */
} bench_stamp;

/* Fills text[0..len), len at least STAMP_LEN. */
void stamp_write(const bench_stamp *stamp, char *text, size_t len);
/* false: it is none. */
bool stamp_read(const char *text, size_t len, bench_stamp *stamp);

#endif
