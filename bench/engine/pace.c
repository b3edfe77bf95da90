/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pace.h"

#include <math.h>

#include "engine/clock.h"

static double draw_gap(bench_pace *pace) {
  pace->random ^= pace->random << 13;
  pace->random ^= pace->random >> 7;
  pace->random ^= pace->random << 17;
  double unit = ((double)(pace->random >> 11) + 1) / 9007199254740993.0; /* in (0, 1) */
  return -log(unit) * pace->mean_ns;
}

void pace_init(bench_pace *pace, double rate, uint64_t now_ns) {
  pace->random = 88172645463325252ull;
  pace->mean_ns = rate > 0 ? (double)CLOCK_SECOND_NS / rate : 0;
  pace->next_ns = (double)now_ns + draw_gap(pace);
}

bool pace_due(bench_pace *pace, uint64_t now_ns, uint64_t *start_ns) {
  if (pace_next_ns(pace) > now_ns) return false;
  *start_ns = (uint64_t)pace->next_ns;
  pace->next_ns += draw_gap(pace);
  return true;
}

uint64_t pace_next_ns(const bench_pace *pace) {
  return pace->mean_ns > 0 ? (uint64_t)pace->next_ns : CLOCK_NEVER_NS;
}
