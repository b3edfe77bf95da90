/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep.c - every failure: each story is told once to count its calls, then again and again with the n-th of them failing, alone, with the two after it, or with all until it is healed.
 *
 *     chat-failures [--seconds N] [--seed N] [--jobs N] [--full] [--story NAME] [--side client|server|both] [--mode NAME|but-memory] [--first N --run N|healed]
 *
 * Calls that are reached in the same way (by the same functions) are of one path. In the time that it has it takes from each path one call, in an order drawn from the seed, each with one
 * length of run (--seconds, 60); --full takes every call with every length, and has no end but its own where no --seconds are given. With --first it is that one case, with all that it says.
 */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "promised.h"

enum { SECONDS = 60, JOBS_MAX = 16, SETS_MAX = 256, RUN_KINDS = 3, FAILED_SHOWN_MAX = 10 };

static const uint32_t runs[RUN_KINDS] = {1, 3, FAILURE_FOREVER};

typedef struct ch_settings {
  uint64_t seconds, seed; /* seconds 0: to the end */
  int jobs;
  bool is_full;
  const char *story, *side, *mode;
  uint32_t first, run;
} ch_settings;

/* One story, with one side and mode. */
typedef struct ch_set {
  const ch_story *story;
  failure_side side;
  failure_mode mode;
  uint32_t calls, paths;
  uint32_t done, hit; /* cases; of those, how many in which something failed */
} ch_set;

typedef struct planned {
  uint16_t set;
  uint8_t run; /* of runs */
  uint32_t first;
} planned;

static ch_settings options = {.seed = 1, .jobs = 2};
static ch_set sets[SETS_MAX];
static size_t set_count;
static planned *plans;
static size_t plan_count, plan_room;
static unsigned failed_count;

/* ------------------------------------------------------------------------------------------------ what there is to do */

static void plan_add(planned plan) {
  if (plan_count == plan_room) plans = realloc(plans, (plan_room = plan_room ? plan_room * 2 : 4096) * sizeof *plans);
  if (!plans) abort();
  plans[plan_count++] = plan;
}

static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* Is the path of call number i that of an earlier one? */
static bool add_path(void **tree, const uint64_t *path) {
  const uint64_t **found = tsearch(path, tree, compare);
  if (!found) abort();
  return *found == path;
}

static void add_calls(uint16_t index, const uint64_t *paths) {
  void *tree = NULL;
  ch_set *set = &sets[index];
  uint32_t known = set->calls < FAILURE_PATHS_MAX ? set->calls : FAILURE_PATHS_MAX;
  for (uint32_t i = 0; i < known; i++) {
    bool is_new = add_path(&tree, &paths[i]);
    set->paths += is_new;
    if (options.is_full)
      for (uint8_t run = 0; run < RUN_KINDS; run++)
        plan_add((planned){index, run, i + 1});
    else if (is_new)
      plan_add((planned){index, (uint8_t)(mix(options.seed + i) % RUN_KINDS), i + 1});
  }
  while (tree)
    tdelete(*(const uint64_t **)tree, &tree, compare);
}

static int wait_for(pid_t pid) {
  int status;
  if (waitpid(pid, &status, 0) != pid) abort();
  return status;
}

/* The story without a failure, which must go well; its sets follow each other. */
static void count_story(uint16_t first, uint16_t end) {
  static case_result *result;
  if (!result) {
    result = case_shared(sizeof *result);
    for (int mode = 0; mode < FAILURE_MODE_COUNT; mode++)
      result->record.paths[mode] = case_shared(FAILURE_PATHS_MAX * sizeof(uint64_t));
  }
  test_case one = {.story = sets[first].story, .plan = {FAILURE_MEMORY, sets[first].side, 0, 0}, .result = result};
  case_start(&one);
  if (!case_judge(&one, wait_for(one.pid))) exit(1);
  for (uint16_t index = first; index < end; index++) {
    sets[index].calls = result->record.calls[sets[index].mode];
    add_calls(index, result->record.paths[sets[index].mode]);
  }
}

static void count_stories(void) {
  for (size_t first = 0, end; first < set_count; first = end) {
    for (end = first; end < set_count && sets[end].story == sets[first].story && sets[end].side == sets[first].side;)
      end++;
    count_story((uint16_t)first, (uint16_t)end);
  }
}

static bool wanted(const char *filter, const char *name) {
  return !filter || strcmp(filter, name) == 0;
}

static bool wanted_mode(failure_mode mode) {
  if (options.mode && strcmp(options.mode, "but-memory") == 0) return mode != FAILURE_MEMORY;
  return wanted(options.mode, failure_mode_name(mode));
}

static const char *side_name(failure_side side) {
  return side == SIDE_CLIENT ? "client" : side == SIDE_SERVER ? "server" : "both";
}

static void add_set(const ch_story *story, failure_side side) {
  if (!wanted(options.side, side_name(side))) return;
  for (int mode = 0; mode < FAILURE_MODE_COUNT; mode++)
    if (wanted_mode((failure_mode)mode)) sets[set_count++] = (ch_set){.story = story, .side = side, .mode = (failure_mode)mode};
}

static void add_sets(void) {
  for (int i = 0; i < story_count; i++) {
    if (!wanted(options.story, stories[i].name)) continue;
    if (stories[i].sides & SIDE_CLIENT) add_set(&stories[i], SIDE_CLIENT);
    if (stories[i].sides & SIDE_SERVER) add_set(&stories[i], SIDE_SERVER);
    if (!stories[i].sides) add_set(&stories[i], SIDE_BOTH);
  }
}

static void shuffle(void) {
  for (size_t i = plan_count; i > 1; i--) {
    size_t other = mix(options.seed * 1000003 + i) % i;
    planned plan = plans[i - 1];
    plans[i - 1] = plans[other];
    plans[other] = plan;
  }
}

/* ------------------------------------------------------------------------------------------------ doing it */

static test_case running[JOBS_MAX];
static uint16_t running_set[JOBS_MAX];

static void start(int job, const planned *plan) {
  const ch_set *set = &sets[plan->set];
  test_case *one = &running[job];
  if (!one->result) one->result = case_shared(sizeof *one->result);
  one->story = set->story;
  one->plan = (failure_plan){set->mode, set->side, plan->first, runs[plan->run]};
  running_set[job] = plan->set;
  case_start(one);
}

static int job_of(pid_t pid) {
  for (int job = 0; job < options.jobs; job++)
    if (running[job].pid == pid) return job;
  return -1;
}

/* The job that is free now. */
static int finish_one(void) {
  int status;
  pid_t pid = wait(&status);
  int job = job_of(pid);
  if (job < 0) abort();
  running[job].pid = 0;
  sets[running_set[job]].done++;
  sets[running_set[job]].hit += running[job].result->record.failed > 0;
  failed_count += !case_judge(&running[job], status);
  return job;
}

static void sweep(void) {
  uint64_t until_ms = stage_now_ms() + options.seconds * 1000;
  int busy = 0;
  for (size_t i = 0; i < plan_count && failed_count < FAILED_SHOWN_MAX; i++) {
    if (options.seconds && stage_now_ms() > until_ms) break;
    int job = busy < options.jobs ? busy++ : finish_one();
    start(job, &plans[i]);
  }
  while (busy-- > 0)
    finish_one();
}

/* ------------------------------------------------------------------------------------------------ what was done */

static void print_table(void) {
  printf("%-10s %-7s %-12s %8s %8s %8s %8s\n", "story", "side", "mode", "calls", "paths", "cases", "failed");
  for (size_t i = 0; i < set_count; i++) {
    const ch_set *set = &sets[i];
    printf("%-10s %-7s %-12s %8u %8u %8u %8u\n", set->story->name, side_name(set->side), failure_mode_name(set->mode), set->calls,
           set->paths, set->done, set->hit);
  }
}

static void print_sum(uint64_t ms) {
  uint64_t calls = 0, paths = 0, done = 0, hit = 0;
  for (size_t i = 0; i < set_count; i++)
    calls += sets[i].calls, paths += sets[i].paths, done += sets[i].done, hit += sets[i].hit;
  printf("note: seed %llu: %llu calls on %llu paths; %llu cases in %llu s, %llu of them met their failure%s\n",
         (unsigned long long)options.seed, (unsigned long long)calls, (unsigned long long)paths, (unsigned long long)done,
         (unsigned long long)ms / 1000, (unsigned long long)hit, done == plan_count ? ": all there are" : "");
  printf("%llu passed, %u failed, 0 skipped\n", (unsigned long long)done - failed_count, failed_count);
}

/* ------------------------------------------------------------------------------------------------ one case */

static int run_one(void) {
  test_case one = {
      .story = sets[0].story, .plan = {sets[0].mode, sets[0].side, options.first, options.run}, .result = case_shared(sizeof *one.result)};
  case_start(&one);
  bool is_good = case_judge(&one, wait_for(one.pid));
  if (is_good) printf("well; calls: %u, failed: %u\n", one.result->record.calls[sets[0].mode], one.result->record.failed);
  return is_good ? 0 : 1;
}

/* ------------------------------------------------------------------------------------------------ main */

static uint32_t run_given(const char *text) {
  return strcmp(text, "healed") == 0 ? FAILURE_FOREVER : (uint32_t)strtoul(text, NULL, 10);
}

static void take_option(const char *name, const char *value) {
  if (strcmp(name, "--seconds") == 0)
    options.seconds = strtoull(value, NULL, 10);
  else if (strcmp(name, "--seed") == 0)
    options.seed = strtoull(value, NULL, 10);
  else if (strcmp(name, "--jobs") == 0)
    options.jobs = atoi(value);
  else if (strcmp(name, "--story") == 0)
    options.story = value;
  else if (strcmp(name, "--side") == 0)
    options.side = value;
  else if (strcmp(name, "--mode") == 0)
    options.mode = value;
  else if (strcmp(name, "--first") == 0)
    options.first = (uint32_t)strtoul(value, NULL, 10);
  else if (strcmp(name, "--run") == 0)
    options.run = run_given(value);
  else {
    fprintf(stderr, "chat-failures: what is %s?\n", name);
    exit(2);
  }
}

static void take_options(int count, char **args) {
  for (int i = 1; i < count; i++) {
    if (strcmp(args[i], "--full") == 0)
      options.is_full = true;
    else
      take_option(args[i], i + 1 < count ? args[i + 1] : ""), i++;
  }
  if (!options.is_full && !options.seconds) options.seconds = SECONDS;
  if (options.jobs < 1 || options.jobs > JOBS_MAX) options.jobs = 1;
}

static void check_table(void) {
  const char *source = getenv("CHAT_SOURCE");
  char folder[512];
  snprintf(folder, sizeof folder, "%s/include", source ? source : ".");
  const char *problem = promised_but_not_documented(folder);
  if (!problem) return;
  printf("FAILED: %s\n0 passed, 1 failed, 0 skipped\n", problem);
  exit(1);
}

int main(int count, char **args) {
  take_options(count, args);
  check_table();
  case_prepare();
  atexit(case_cleanup);
  add_sets();
  if (set_count == 0) return 2;
  if (options.first) return run_one();
  count_stories();
  shuffle();
  uint64_t from_ms = stage_now_ms();
  sweep();
  print_table();
  print_sum(stage_now_ms() - from_ms);
  return failed_count ? 1 : 0;
}
