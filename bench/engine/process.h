/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.h - what processes with all their threads and descendants have used: CPU, memory. Of the server under measure, whatever it is made of.
 */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_ROOTS_MAX = 16 };

typedef struct process_usage {
  uint64_t cpu_ns;             /* user and kernel, of the processes that live now; to the nanosecond */
  uint64_t user_ns, system_ns; /* the same in two, to 10 ms each */
  uint64_t rss_bytes;
  size_t count; /* processes */
} process_usage;

/* Of `roots` and all their descendants. */
process_usage process_tree_usage(const pid_t *roots, size_t root_count);

#endif
