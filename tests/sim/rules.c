/* SPDX-License-Identifier: Apache-2.0 */
/* What breaks when a rule is left out: each in turn, seed by seed, in a process of its own, since some end in an assert. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/rule.h"
#include "sim/sim.h"

#ifndef CH_RULES_CAN_BE_LEFT_OUT

int sim_rules_table(uint64_t seeds_max, uint64_t jobs, const char *only) {
  (void)only;
  (void)seeds_max;
  (void)jobs;
  fprintf(stderr, "this build keeps all rules: use chat-sim-rules\n");
  return 2;
}

#else

ch_rule ch_rule_left_out;

typedef struct row {
  ch_rule rule;
  const char *name;
  bool is_shown; /* within 600 seeds: that it is not any more is a failure. Where it is not, other rules cover what these troubles can do; the models of the design need it */
} row;

static const row rows[] = {
    {CH_RULE_C1, "C1 the outbox is durable", true},
    {CH_RULE_C2, "C2 prev", true},
    {CH_RULE_C3, "C3 accepted rows are sent again", true},
    {CH_RULE_C4, "C4 a retry says so", true},
    {CH_RULE_C5, "C5 not again without an answer", false},
    {CH_RULE_C6, "C6 answers name the number", false},
    {CH_RULE_C7, "C7 what DUP means is looked up", true},
    {CH_RULE_C8, "C8 what was sent is taken back by a void", true},
    {CH_RULE_G1, "G1 in order of numbers", false},
    {CH_RULE_G2, "G2 a retry is never refused finally", true},
    {CH_RULE_G3, "G3 behind an unknown all is unknown", false},
    {CH_RULE_S1, "S1 verdicts behind the state", false},
    {CH_RULE_S2, "S2 every touched cell", false},
    {CH_RULE_S3, "S3 state is read whole", false},
    {CH_RULE_V1, "V1 heads, raise, live", true},
    {CH_RULE_V2, "V2 the chain of positions", true},
    {CH_RULE_V3, "V3 the position before the heads", true},
    {CH_RULE_V4, "V4 what is behind is fetched", true},
    {CH_RULE_V5, "V5 absence says nothing", true},
    {CH_RULE_V6, "V6 another epoch syncs", true},
    {CH_RULE_V7, "V7 tasks behind the state", true},
    {CH_RULE_V8, "V8 DELIVERED is durable", true},
    {CH_RULE_APPEND_BEFORE_ACK, "broken: ack before append", true},
    {CH_RULE_ID_AT_COMMIT, "broken: id given at the gateway", true},
    {CH_RULE_DEDUP, "broken: no dedup", true},
    {CH_RULE_NUMBERS_STORED, "broken: numbers lost at a takeover", true},
    {CH_RULE_EFFECTS_FIRST, "broken: state before effects", true},
    {CH_RULE_CURSOR_WITH_ROWS, "broken: cursor before commit", true},
    {CH_RULE_CURSOR_WITHOUT_GAP, "broken: cursor is the highest id", true},
    {CH_RULE_STORED_BEFORE_SAID, "broken: delivered before stored", true},
};
enum { ROW_COUNT = sizeof rows / sizeof *rows, FAILURE_LEN = 160 };

/* The first seed that fails, with why; 0: none does. In a child, which an assert may end: then the seed that it was at. */
typedef struct finding {
  uint64_t seed;
  char failure[FAILURE_LEN];
} finding;

static void seek(const row *of, uint64_t seeds_max, int to) {
  sim_options options = {0};
  ch_rule_left_out = of->rule;
  for (uint64_t seed = 1; seed <= seeds_max; seed++) {
    finding found = {.seed = seed, .failure = "an invariant of a machine"};
    sim_result result;
    if (write(to, &found, sizeof found) != sizeof found) _exit(2);
    sim_run(seed, &options, &result);
    if (!result.failure[0]) continue;
    snprintf(found.failure, sizeof found.failure, "%.*s", FAILURE_LEN - 1, result.failure);
    if (write(to, &found, sizeof found) != sizeof found) _exit(2);
    _exit(1);
  }
  _exit(0);
}

static finding first_refutation(const row *of, uint64_t seeds_max) {
  finding found = {0};
  int pipes[2];
  if (pipe(pipes)) _exit(2);
  pid_t child = fork();
  if (child == 0) {
    dup2(STDERR_FILENO, STDOUT_FILENO);
    seek(of, seeds_max, pipes[1]);
  }
  close(pipes[1]);
  for (finding next; read(pipes[0], &next, sizeof next) == sizeof next;)
    found = next;
  close(pipes[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return status == 0 ? (finding){0} : found;
}

static int check(const row *of, uint64_t seeds_max) {
  finding found = first_refutation(of, seeds_max);
  if (found.seed)
    printf("note: without %-42s seed %4llu  %s\n", of->name, (unsigned long long)found.seed, found.failure);
  else
    printf("note: without %-42s not shown by %llu seeds\n", of->name, (unsigned long long)seeds_max);
  fflush(stdout);
  return of->is_shown && !found.seed;
}

static int check_share(uint64_t seeds_max, uint64_t job, uint64_t jobs, const char *only) {
  int failed = 0;
  for (uint64_t i = job; i < ROW_COUNT; i += jobs)
    if (!only || strncmp(rows[i].name, only, strlen(only)) == 0) failed += check(&rows[i], seeds_max);
  return failed;
}

int sim_rules_table(uint64_t seeds_max, uint64_t jobs, const char *only) {
  int failed = 0;
  for (uint64_t job = 0; job < jobs; job++)
    if (fork() == 0) _exit(check_share(seeds_max, job, jobs, only));
  for (int status; wait(&status) > 0;)
    failed += WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  printf("%d passed, %d failed, 0 skipped\n", ROW_COUNT - failed, failed);
  return failed > 0;
}

#endif
