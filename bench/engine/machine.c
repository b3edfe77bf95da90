/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/machine.h"

#include <stdio.h>
#include <unistd.h>

static uint64_t busy_ns(void) {
  unsigned long long user = 0, nice = 0, system = 0, irq = 0, softirq = 0, steal = 0;
  FILE *file = fopen("/proc/stat", "r");
  if (!file) return 0;
  int count = fscanf(file, "cpu %llu %llu %llu %*u %*u %llu %llu %llu", &user, &nice, &system, &irq, &softirq, &steal);
  fclose(file);
  return count == 6 ? (user + nice + system + irq + softirq + steal) * (1000000000ull / (unsigned long long)sysconf(_SC_CLK_TCK)) : 0;
}

static uint64_t stalled_ns(void) {
  unsigned long long total_us = 0;
  FILE *file = fopen("/proc/pressure/cpu", "r");
  if (!file) return 0;
  int count = fscanf(file, "some avg10=%*f avg60=%*f avg300=%*f total=%llu", &total_us);
  fclose(file);
  return count == 1 ? total_us * 1000 : 0;
}

machine_usage machine_usage_now(void) {
  return (machine_usage){busy_ns(), stalled_ns()};
}
