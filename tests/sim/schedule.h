/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule.h - what will happen, and when: steps of one thread, in order of their time, then of their making.
 */
#ifndef CH_SIM_SCHEDULE_H
#define CH_SIM_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void sim_step_fn(void *arg, uint64_t number);

typedef struct sim_step {
  uint64_t at_ms, order;
  sim_step_fn *fn;
  void *arg; /* lives to the end of the run */
  uint64_t number;
} sim_step;

typedef struct sim_schedule {
  sim_step *heap;
  size_t count, cap;
  uint64_t orders;
} sim_schedule;

void sim_schedule_at(sim_schedule *schedule, uint64_t at_ms, sim_step_fn *fn, void *arg, uint64_t number);
/* The next step, where it is due by then; false: none is. */
bool sim_schedule_take(sim_schedule *schedule, uint64_t until_ms, sim_step *step);
void sim_schedule_fini(sim_schedule *schedule);

#endif
