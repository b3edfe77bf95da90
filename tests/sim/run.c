/* SPDX-License-Identifier: Apache-2.0 */
/* One seed: plan, a time of trouble, a time of healing, the end. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sim/device.h"
#include "sim/fleet.h"
#include "sim/oracle.h"
#include "sim/people.h"
#include "sim/trouble.h"

/* ------------------------------------------------------------------------------------------------ small things */

ch_now sim_server_now(const sim *s) {
  return (ch_now){s->now_ms, (uint64_t)((int64_t)(SIM_EPOCH_MS + s->now_ms) + s->server_skew_ms)};
}

void sim_after(sim *s, uint64_t ms, sim_step_fn *fn, void *arg, uint64_t number) {
  sim_schedule_at(&s->schedule, s->now_ms + ms, fn, arg, number);
}

void sim_trace(sim *s, uint64_t what) {
  s->trace_hash = (s->trace_hash ^ (what + s->now_ms * UINT64_C(0x9e3779b97f4a7c15))) * UINT64_C(0x100000001b3);
  s->trace_hash ^= s->trace_hash >> 31;
}

static void print_line(const sim *s, const char *format, va_list args) {
  printf("%8llu  ", (unsigned long long)s->now_ms);
  vprintf(format, args);
  printf("\n");
}

void sim_note(sim *s, const char *format, ...) {
  if (!s->options->trace) return;
  va_list args;
  va_start(args, format);
  print_line(s, format, args);
  va_end(args);
}

void sim_fail(sim *s, const char *format, ...) {
  if (sim_failed(s)) return;
  va_list args;
  va_start(args, format);
  int len = snprintf(s->failure, sizeof s->failure, "at %llu ms: ", (unsigned long long)s->now_ms);
  vsnprintf(s->failure + len, sizeof s->failure - (size_t)len, format, args);
  va_end(args);
  sim_note(s, "FAILED %s", s->failure);
}

/* ------------------------------------------------------------------------------------------------ plan */

/* Ten minutes and more of trouble, 200 messages and more, 20 faults and more; one seed in three is a machine alone. */
static void draw_plan(sim *s) {
  sim_random *random = &s->random;
  sim_plan *plan = &s->plan;
  plan->embedded = sim_chance(random, 1, 3);
  plan->users = (uint32_t)sim_between(random, 3, SIM_USERS_MAX);
  plan->devices = (uint32_t)sim_between(random, plan->users, SIM_DEVICES_MAX);
  plan->workers = plan->embedded ? 1 : (uint32_t)sim_between(random, 2, SIM_WORKERS_MAX);
  plan->message_partitions = plan->embedded ? 1 : (uint32_t)sim_between(random, 1, SIM_PARTITIONS_MAX);
  plan->delivery_partitions = plan->embedded ? 1 : (uint32_t)sim_between(random, 1, SIM_PARTITIONS_MAX);
  plan->trouble_ms = 600000;
  plan->catch_up_ms = 150000; /* before the sync that every client makes anyway can have hidden what is missing */
  plan->heal_ms = 600000;
  plan->messages = 360;
  plan->faults = (uint32_t)sim_between(random, 30, 60);
}

/* ------------------------------------------------------------------------------------------------ a run */

static void run_until(sim *s, uint64_t until_ms) {
  for (sim_step step; !sim_failed(s) && sim_schedule_take(&s->schedule, until_ms, &step);) {
    s->now_ms = step.at_ms;
    s->steps++;
    step.fn(step.arg, step.number);
  }
  if (!sim_failed(s)) s->now_ms = until_ms;
}

static void begin(sim *s) {
  sim_oracle_new(s);
  sim_fleet_start(s);
  for (uint32_t i = 0; i < s->plan.devices; i++) {
    s->devices[i] = sim_device_new(s, i, i % s->plan.users);
    sim_device_start(s->devices[i]);
  }
  sim_people_begin(s);
  sim_trouble_begin(s);
}

/* Everything dies; what is on its way arrives nowhere. */
static void end(sim *s) {
  s->is_ending = true;
  s->healing = true;
  for (uint32_t i = 0; i < s->plan.devices; i++)
    if (s->devices[i]->brain) sim_device_kill(s->devices[i], false);
  sim_fleet_stop(s);
  for (sim_step step; sim_schedule_take(&s->schedule, UINT64_MAX, &step);) {
    s->now_ms = step.at_ms;
    step.fn(step.arg, step.number);
  }
  for (uint32_t i = 0; i < s->plan.devices; i++)
    sim_device_free(s->devices[i]);
  sim_fleet_free(s);
  sim_network_free(s);
  sim_oracle_free(s);
  sim_schedule_fini(&s->schedule);
}

void sim_run(uint64_t seed, const sim_options *options, sim_result *result) {
  sim *s = calloc(1, sizeof *s);
  if (!s) abort();
  s->options = options;
  s->random.state = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
  draw_plan(s);
  begin(s);
  run_until(s, s->plan.trouble_ms);
  *result = (sim_result){.messages = s->sent, .faults = s->faults, .power_cuts = s->power_cuts};
  if (!sim_failed(s)) sim_trouble_end(s);
  run_until(s, s->plan.trouble_ms + s->plan.catch_up_ms);
  if (!sim_failed(s)) sim_oracle_nobody_lags(s);
  run_until(s, s->plan.trouble_ms + s->plan.heal_ms);
  if (!sim_failed(s)) sim_oracle_end(s, result);
  result->simulated_ms = s->now_ms;
  result->steps = s->steps;
  result->trace_hash = s->trace_hash;
  memcpy(result->failure, s->failure, sizeof result->failure);
  end(s);
  free(s);
}
