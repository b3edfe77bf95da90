/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chat-sim: the simulator (tests/sim/sim.h). Seeds are shared out among processes; the same seed gives the same run on any machine.
 *
 *   chat-sim --seeds N [--from M] [--jobs J]   N seeds; each is reported that fails; exit 1 where one did
 *   chat-sim --seed N [--trace]                one, with every step
 *   chat-sim-rules --table N [--only C2]       leaves out each rule in turn: after how many of N seeds is it missed?
 */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/sim.h"

typedef struct totals {
  uint64_t seeds, failed, messages, faults, power_cuts, committed, refused, simulated_ms, steps;
} totals;

static void add(totals *t, const sim_result *result) {
  t->seeds++;
  t->failed += result->failure[0] != 0;
  t->messages += result->messages;
  t->faults += result->faults;
  t->power_cuts += result->power_cuts;
  t->committed += result->committed;
  t->refused += result->refused;
  t->simulated_ms += result->simulated_ms;
  t->steps += result->steps;
}

static void merge(totals *t, const totals *part) {
  uint64_t *to = (uint64_t *)t;
  const uint64_t *from = (const uint64_t *)part;
  for (size_t i = 0; i < sizeof *t / sizeof *to; i++)
    to[i] += from[i];
}

/* An assert of a machine ends the process: say which seed it was. */
static uint64_t running_seed;

static void say_seed(int signal_number) {
  char line[64];
  int len = snprintf(line, sizeof line, "seed %llu failed: signal %d\n", (unsigned long long)running_seed, signal_number);
  if (write(STDOUT_FILENO, line, (size_t)len) < 0) _exit(3);
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

static void run_one(uint64_t seed, const sim_options *options, totals *t) {
  sim_result result;
  running_seed = seed;
  sim_run(seed, options, &result);
  if (result.failure[0]) {
    printf("seed %llu failed %s\n", (unsigned long long)seed, result.failure);
    fflush(stdout);
  }
  add(t, &result);
}

/* Every 50th seed is run twice: the same seed must give the same trace. */
static void run_twice(uint64_t seed, const sim_options *options, totals *t) {
  sim_result first, second;
  sim_run(seed, options, &first);
  sim_run(seed, options, &second);
  if (first.trace_hash == second.trace_hash) return;
  printf("seed %llu failed: two runs of it differ\n", (unsigned long long)seed);
  t->failed++;
}

static void run_share(uint64_t from, uint64_t count, uint64_t job, uint64_t jobs, const sim_options *options, totals *t) {
  for (uint64_t i = job; i < count; i += jobs) {
    run_one(from + i, options, t);
    if (i % 50 == 0) run_twice(from + i, options, t);
  }
}

/* A process for each job; each writes its totals into a pipe. A job that dies has failed. */
static totals run_jobs(uint64_t from, uint64_t count, uint64_t jobs, const sim_options *options) {
  totals all = {0};
  int pipes[2];
  if (pipe(pipes)) exit(2);
  for (uint64_t job = 0; job < jobs; job++) {
    if (fork() != 0) continue;
    totals t = {0};
    run_share(from, count, job, jobs, options, &t);
    if (write(pipes[1], &t, sizeof t) != sizeof t) _exit(2);
    exit(0);
  }
  close(pipes[1]);
  for (totals t; read(pipes[0], &t, sizeof t) == sizeof t;)
    merge(&all, &t);
  for (int status; wait(&status) > 0;)
    if (status != 0) all.failed++;
  return all;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run_many(uint64_t from, uint64_t count, uint64_t jobs) {
  sim_options options = {0};
  double began = seconds();
  totals t = run_jobs(from, count, jobs, &options);
  double took = seconds() - began;
  if (t.seeds < count) printf("%llu seeds did not come to their end\n", (unsigned long long)(count - t.seeds));
  printf("note: %llu seeds from %llu, %.1f simulated hours, %llu messages, %llu committed, %llu refused, %llu faults, %llu of them power cuts\n", (unsigned long long)t.seeds, (unsigned long long)from,
         (double)t.simulated_ms / 3600e3, (unsigned long long)t.messages, (unsigned long long)t.committed, (unsigned long long)t.refused, (unsigned long long)t.faults,
         (unsigned long long)t.power_cuts);
  printf("note: %.0f times the simulated time, on %llu processes\n", (double)t.simulated_ms / 1e3 / took, (unsigned long long)jobs);
  uint64_t failed = t.failed > 0 || t.seeds < count ? (t.failed ? t.failed : 1) : 0;
  printf("%llu passed, %llu failed, 0 skipped\n", (unsigned long long)(t.seeds - (failed < t.seeds ? failed : t.seeds)), (unsigned long long)failed);
  return failed ? 1 : 0;
}

static int run_traced(uint64_t seed, bool trace) {
  sim_options options = {.trace = trace};
  totals t = {0};
  sim_result result;
  sim_run(seed, &options, &result);
  add(&t, &result);
  printf("seed %llu: %s; %llu ms, %llu steps, %u messages, %u committed, %u refused, %u faults, trace %016llx\n", (unsigned long long)seed,
         result.failure[0] ? result.failure : "all promises kept", (unsigned long long)result.simulated_ms, (unsigned long long)result.steps, result.messages, result.committed,
         result.refused, result.faults, (unsigned long long)result.trace_hash);
  return t.failed ? 1 : 0;
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"seeds", required_argument, NULL, 'n'}, {"from", required_argument, NULL, 'f'}, {"jobs", required_argument, NULL, 'j'},
                                          {"seed", required_argument, NULL, 's'},  {"trace", no_argument, NULL, 't'},
                                          {"table", required_argument, NULL, 'r'}, {"only", required_argument, NULL, 'o'},         {NULL, 0, NULL, 0}};
  uint64_t count = 0, from = 1, seed = 0, table = 0, jobs = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
  bool trace = false;
  const char *only = NULL;
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (c == 'n') count = strtoull(optarg, NULL, 10);
    if (c == 'f') from = strtoull(optarg, NULL, 10);
    if (c == 'j') jobs = strtoull(optarg, NULL, 10);
    if (c == 's') seed = strtoull(optarg, NULL, 10);
    if (c == 'r') table = strtoull(optarg, NULL, 10);
    if (c == 'o') only = optarg;
    if (c == 't') trace = true;
    if (c == '?') return 2;
  }
  if (table > 0 && jobs > 0) return sim_rules_table(table, jobs, only);
  signal(SIGABRT, say_seed);
  signal(SIGSEGV, say_seed);
  if (seed) return run_traced(seed, trace);
  if (count > 0 && jobs > 0) return run_many(from, count, jobs);
  fprintf(stderr, "usage: chat-sim --seeds N [--from M] [--jobs J] | --seed N [--trace]\n");
  return 2;
}
