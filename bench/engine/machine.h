/* SPDX-License-Identifier: Apache-2.0 */
/* machine.h - what all processes of the machine do, so that a figure shows how much of the noise was others'. Zeros where /proc does not say. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdint.h>

typedef struct machine_usage {
  uint64_t busy_ns;    /* CPU time of all cores that was not idle, stolen time included */
  uint64_t stalled_ns; /* time in which somebody waited for a CPU (/proc/pressure/cpu, "some") */
} machine_usage;

machine_usage machine_usage_now(void);

#endif
