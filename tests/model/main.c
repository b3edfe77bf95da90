/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - chat-model: every model to its bounds with all rules kept, then each rule left out in turn.
 *
 *   chat-model                         what make test does: the short scopes, every rule
 *   chat-model --full                  every scope (make model)
 *   chat-model NAME [SCOPE] [--without RULE] [bound=value by index]   one, with the trace of what it finds
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/models.h"

static const model *const models[] = {&model_sending, &model_takeover, &model_tasks, &model_receiving, &model_channels, &model_devices, &model_epochs, &model_rows};
enum { MODEL_COUNT = sizeof models / sizeof *models };

static model_limits limits = {.states_max = 60 * 1000 * 1000, .seconds_max = 3600};
static bool is_full;

/* ------------------------------------------------------------------------------------------------ one */

static const model_scope *scope_of(const model *of, const char *name) {
  const model_scope *scope = of->scopes;
  while (scope->name && name && strcmp(scope->name, name) != 0)
    scope++;
  return scope->name ? scope : NULL;
}

static void print_result(const char *name, const char *scope, const char *without, const model_result *result) {
  static const char *const outcomes[] = {[MODEL_EXHAUSTED] = "exhausted", [MODEL_VIOLATION] = "refuted", [MODEL_LIMIT] = "not exhausted"};
  printf("note: %-10s %-11s %-22s %-13s %10llu states %11llu moves  depth %3u %6.1f s of CPU", name, scope, without ? without : "all rules", outcomes[result->outcome],
         (unsigned long long)result->states, (unsigned long long)result->moves, result->depth, result->seconds);
  if (result->outcome == MODEL_VIOLATION) printf("  %u steps: %s", result->steps, result->reason);
  printf("\n");
  fflush(stdout);
}

static bool keeps_all(const model *of, const model_scope *scope) {
  model_result result;
  model_search_run(of, scope, CH_RULE_NONE, &limits, true, &result);
  print_result(of->name, scope->name, NULL, &result);
  return result.outcome == MODEL_EXHAUSTED;
}

/* Where a rule is not refuted, docs/reliability.md says whether that was searched for or reasoned. */
static bool is_as_said(const model *of, const model_rule *rule) {
  char without[64];
  snprintf(without, sizeof without, "without %s", rule->name);
  if (!rule->scope) {
    printf("note: %-10s %-11s %-22s not refuted here: %s\n", of->name, "", without, rule->why);
    fflush(stdout);
    return true;
  }
  model_result result;
  model_search_run(of, scope_of(of, rule->scope), rule->rule, &limits, false, &result);
  print_result(of->name, rule->scope, without, &result);
  return result.outcome == MODEL_VIOLATION;
}

/* ------------------------------------------------------------------------------------------------ all */

static bool is_short(const model *of, const char *scope) {
  size_t len = strlen(scope);
  for (const char *at = of->short_scopes; at; at = strchr(at, ',')) {
    at += *at == ',';
    if (strncmp(at, scope, len) == 0 && (at[len] == 0 || at[len] == ',')) return true;
  }
  return false;
}

typedef struct job {
  const model *of;
  const model_scope *scope; /* NULL: the rule is left out */
  const model_rule *rule;
} job;

static size_t list_jobs(job *jobs, size_t max) {
  size_t count = 0;
  for (size_t i = 0; i < MODEL_COUNT; i++) {
    for (const model_scope *scope = models[i]->scopes; scope->name; scope++)
      if ((is_full || is_short(models[i], scope->name)) && count < max) jobs[count++] = (job){models[i], scope, NULL};
    for (const model_rule *rule = models[i]->rules; rule->name && count < max; rule++)
      jobs[count++] = (job){models[i], NULL, rule};
  }
  return count;
}

/* Each in a process of its own: memory goes with it, and an assert of the code is a failure of that one alone. */
static int run_all(size_t at_once) {
  static job jobs[512];
  size_t count = list_jobs(jobs, sizeof jobs / sizeof *jobs), running = 0;
  int failed = 0, status;
  for (size_t i = 0; i < count; i++) {
    if (running == at_once && wait(&status) > 0) {
      failed += status != 0;
      running--;
    }
    running++;
    if (fork() == 0) _exit(jobs[i].rule ? !is_as_said(jobs[i].of, jobs[i].rule) : !keeps_all(jobs[i].of, jobs[i].scope));
  }
  while (wait(&status) > 0)
    failed += status != 0;
  printf("%zu passed, %d failed, 0 skipped\n", count - (size_t)failed, failed);
  return failed > 0;
}

/* ------------------------------------------------------------------------------------------------ by hand */

static int rule_of(const model *of, const char *name) {
  for (const model_rule *rule = of->rules; rule->name; rule++)
    if (strcmp(rule->name, name) == 0) return rule->rule;
  fprintf(stderr, "%s has no rule %s\n", of->name, name);
  exit(2);
}

static void set_bound(model_scope *scope, const char *argument) {
  int index, value;
  if (sscanf(argument, "%d=%d", &index, &value) == 2 && index >= 0 && index < MODEL_BOUNDS_MAX) scope->bounds[index] = value;
}

static int run_one(const model *of, int count, char **arguments) {
  const model_scope *found = count > 0 ? scope_of(of, arguments[0]) : NULL;
  model_scope scope = found ? *found : of->scopes[0];
  const char *without = NULL;
  for (int i = 0; i < count; i++) {
    if (strcmp(arguments[i], "--without") == 0 && i + 1 < count) without = arguments[++i];
    else set_bound(&scope, arguments[i]);
  }
  model_result result;
  model_search_run(of, &scope, without ? rule_of(of, without) : CH_RULE_NONE, &limits, true, &result);
  print_result(of->name, scope.name, without, &result);
  printf("%llu states at which a bound kept something back\n", (unsigned long long)result.cut);
  return result.outcome != MODEL_EXHAUSTED;
}

int main(int argc, char **argv) {
  size_t at_once = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
  for (size_t i = 0; i < MODEL_COUNT && argc > 1; i++)
    if (strcmp(models[i]->name, argv[1]) == 0) return run_one(models[i], argc - 2, argv + 2);
  is_full = argc == 2 && strcmp(argv[1], "--full") == 0;
  if (argc > 1 && !is_full) {
    fprintf(stderr, "usage: chat-model [--full | NAME [SCOPE] [--without RULE] [INDEX=BOUND]...]\n");
    return 2;
  }
  return run_all(at_once);
}
