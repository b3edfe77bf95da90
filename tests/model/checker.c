/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "model/checker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/assert.h"
#include "core/rule.h"
#include "model/fingerprints.h"

ch_rule ch_rule_left_out;

typedef struct step { /* how a state was reached first */
  uint32_t from;
  uint16_t move;
} step;

typedef struct level { /* states that were found at one depth */
  uint8_t *states;
  uint32_t *ids;
  size_t count, room;
} level;

struct model_search {
  const model *of;
  const model_limits *limits;
  model_result *result;
  fingerprints seen;
  step *steps; /* by id, in order of discovery */
  size_t step_count, step_room;
  level here, next;
  double began;
  /* the state whose moves are emitted */
  uint32_t id;
  uint16_t move;
  bool has_moves, is_cut;
  char violation[MODEL_REASON_LEN]; /* of the emission that comes next */
  uint32_t bad;                     /* id that breaks a promise; UINT32_MAX: none */
  /* when a trace is printed: the one move that is wanted */
  bool is_tracing;
  uint16_t wanted;
  uint8_t *found;
  char label[MODEL_LABEL_LEN];
};

bool model_keeps(int rule) {
  return (int)ch_rule_left_out != rule;
}

/* Of this process alone: machines are shared. */
static double cpu_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ------------------------------------------------------------------------------------------------ what is kept */

static void *grown(void *memory, size_t *room, size_t item_len) {
  *room = *room ? *room * 2 : 1024;
  memory = realloc(memory, *room * item_len);
  ch_assert(memory);
  return memory;
}

static void level_add(level *to, const void *state, size_t len, uint32_t id) {
  if (to->count == to->room) {
    size_t room = to->room;
    to->states = grown(to->states, &room, len);
    to->ids = grown(to->ids, &to->room, sizeof *to->ids);
  }
  memcpy(to->states + to->count * len, state, len);
  to->ids[to->count++] = id;
}

static uint32_t add_step(model_search *search) {
  if (search->step_count == search->step_room) search->steps = grown(search->steps, &search->step_room, sizeof *search->steps);
  search->steps[search->step_count] = (step){search->id, (uint16_t)(search->move - 1)};
  return (uint32_t)search->step_count++;
}

/* ------------------------------------------------------------------------------------------------ emissions */

static void found_bad(model_search *search, uint32_t id, const char *reason) {
  if (search->bad != UINT32_MAX) return;
  search->bad = id;
  snprintf(search->result->reason, sizeof search->result->reason, "%s", reason);
}

static void take(model_search *search, const void *next) {
  search->result->moves++;
  bool is_violation = search->violation[0];
  if (search->bad != UINT32_MAX || (!fingerprints_add(&search->seen, next, search->of->state_len) && !is_violation)) return;
  uint32_t id = add_step(search);
  const char *reason = is_violation ? search->violation : search->of->broken ? search->of->broken(next) : NULL;
  if (reason) found_bad(search, id, reason);
  else level_add(&search->next, next, search->of->state_len, id);
}

void model_emit(model_search *search, const void *next, bool is_fault, const char *format, ...) {
  uint16_t move = search->move++;
  ch_assert(search->move);
  search->has_moves |= !is_fault;
  if (!search->is_tracing) {
    take(search, next);
  } else if (move == search->wanted) {
    memcpy(search->found, next, search->of->state_len);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(search->label, sizeof search->label, format, arguments);
    va_end(arguments);
  }
  search->violation[0] = 0;
}

void model_cut(model_search *search) {
  search->is_cut = true;
}

void model_violate(model_search *search, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(search->violation, sizeof search->violation, format, arguments);
  va_end(arguments);
}

/* ------------------------------------------------------------------------------------------------ the search */

static void expand(model_search *search, size_t index) {
  const void *state = search->here.states + index * search->of->state_len;
  search->id = search->here.ids[index];
  search->move = 0;
  search->has_moves = search->is_cut = false;
  search->of->moves(search, state);
  search->result->cut += search->is_cut;
  if (search->has_moves || search->is_cut || !search->of->unfinished) return;
  const char *reason = search->of->unfinished(state);
  if (reason) found_bad(search, search->id, reason);
}

static bool is_over(const model_search *search) {
  const model_limits *limits = search->limits;
  return search->seen.count > limits->states_max || cpu_s() - search->began > limits->seconds_max;
}

/* false: a limit was reached. */
static bool expand_level(model_search *search) {
  for (size_t i = 0; i < search->here.count && search->bad == UINT32_MAX; i++) {
    expand(search, i);
    if (i % 1024 == 1023 && is_over(search)) return false;
  }
  return !is_over(search);
}

static model_outcome search_all(model_search *search) {
  while (search->here.count > 0) {
    bool is_whole = expand_level(search);
    if (search->bad != UINT32_MAX) return MODEL_VIOLATION;
    if (!is_whole) return MODEL_LIMIT;
    level old = search->here;
    search->here = search->next;
    search->next = old;
    search->next.count = 0;
    search->result->depth++;
  }
  return MODEL_EXHAUSTED;
}

/* ------------------------------------------------------------------------------------------------ the trace */

static uint32_t length_of(const model_search *search, uint32_t id) {
  uint32_t length = 0;
  for (; id; id = search->steps[id].from)
    length++;
  return length;
}

static void print_trace(model_search *search, const void *first) {
  uint32_t length = search->result->steps, id = search->bad;
  uint16_t *moves = malloc((length + 1) * sizeof *moves);
  uint8_t *state = malloc(search->of->state_len);
  ch_assert(moves && state);
  for (uint32_t at = length; at > 0; at--, id = search->steps[id].from)
    moves[at - 1] = search->steps[id].move;
  memcpy(state, first, search->of->state_len);
  search->is_tracing = true;
  for (uint32_t at = 0; at < length; at++) {
    search->wanted = moves[at];
    search->move = 0;
    search->of->moves(search, state);
    memcpy(state, search->found, search->of->state_len);
    printf("  %3u  %s\n", at + 1, search->label);
  }
  printf("       %s\n", search->result->reason);
  free(moves);
  free(state);
}

/* ------------------------------------------------------------------------------------------------ from the beginning */

static void start(model_search *search, const void *first) {
  fingerprints_init(&search->seen);
  fingerprints_add(&search->seen, first, search->of->state_len);
  search->move = 1;
  level_add(&search->here, first, search->of->state_len, add_step(search));
}

static void stop(model_search *search) {
  fingerprints_fini(&search->seen);
  free(search->steps);
  free(search->here.states);
  free(search->here.ids);
  free(search->next.states);
  free(search->next.ids);
  free(search->found);
}

void model_search_run(const model *of, const model_scope *scope, int rule, const model_limits *limits, bool prints_trace, model_result *result) {
  *result = (model_result){0};
  ch_rule_left_out = (ch_rule)rule;
  model_search search = {.of = of, .limits = limits, .result = result, .began = cpu_s(), .bad = UINT32_MAX, .found = calloc(1, of->state_len)};
  uint8_t *first = calloc(1, of->state_len);
  ch_assert(search.found && first);
  of->begin(scope, first);
  start(&search, first);
  result->outcome = search_all(&search);
  result->states = search.seen.count;
  result->seconds = cpu_s() - search.began;
  if (result->outcome == MODEL_VIOLATION) {
    result->steps = length_of(&search, search.bad);
    if (prints_trace) print_trace(&search, first);
  }
  free(first);
  stop(&search);
}
