/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checker.h - tries every interleaving of a small model: breadth first over explicit states, so the trace of a violation is a shortest one.
 *
 * A state is a flat struct without padding that matters (states begin as zeros and are copied whole). A model's `moves` emits each successor: what would happen in good time is a MOVE, what
 * need never happen (a crash, a loss) is a FAULT. Three things can be wrong:
 *   - `broken` says that a state breaks a promise;
 *   - a move itself breaks one (model_violate);
 *   - nothing is left that would happen, and `unfinished` says what is missing then: a message that nobody will ever judge, an event that a client will never hear of.
 * Where a MOVE does not fit the model's bounds it says so (model_cut): such a state is not asked whether it is finished.
 *
 * States are told apart by a hash of 64 bits: among n of them two are taken for one with a chance of n^2 / 2^65, 1 in 90,000 at 20 million.
 */
#ifndef MODEL_CHECKER_H
#define MODEL_CHECKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MODEL_BOUNDS_MAX = 16, MODEL_REASON_LEN = 200, MODEL_LABEL_LEN = 200 };

typedef struct model_search model_search;

typedef struct model_scope { /* what is tried: the bounds, in the order of the model's own enum */
  const char *name;
  int bounds[MODEL_BOUNDS_MAX];
} model_scope;

typedef struct model_rule { /* left out, it must be refuted in that scope; scope NULL: it is not, and `why` says what else stands in for it */
  int rule;                 /* ch_rule, or a model's own from CH_RULE_COUNT on */
  const char *name;
  const char *scope;
  const char *why;
} model_rule;

typedef struct model {
  const char *name;
  const model_scope *scopes;      /* exhausted by make model; ends with name NULL */
  const char *short_scopes;       /* names of those that make test exhausts, separated by commas */
  const model_rule *rules;        /* ends with name NULL */
  size_t state_len;
  void (*begin)(const model_scope *scope, void *state);
  void (*moves)(model_search *search, const void *state);
  const char *(*broken)(const void *state);
  const char *(*unfinished)(const void *state);
} model;

/* --- for models --- */

/* The label is made only where a trace is printed. */
void model_emit(model_search *search, const void *next, bool is_fault, const char *format, ...) __attribute__((format(printf, 4, 5)));
#define MOVE(search, next, ...)  model_emit(search, next, false, __VA_ARGS__)
#define FAULT(search, next, ...) model_emit(search, next, true, __VA_ARGS__)
void model_cut(model_search *search);
/* The next emission breaks a promise. */
void model_violate(model_search *search, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Is this rule kept in this run? */
bool model_keeps(int rule);

/* --- for main.c --- */

typedef enum model_outcome { MODEL_EXHAUSTED = 1, MODEL_VIOLATION = 2, MODEL_LIMIT = 3 } model_outcome;

typedef struct model_result {
  model_outcome outcome;
  uint64_t states, moves, cut; /* cut: states at which a bound kept something back */
  uint32_t depth;
  double seconds; /* of CPU */
  char reason[MODEL_REASON_LEN]; /* VIOLATION */
  uint32_t steps;
} model_result;

typedef struct model_limits {
  uint64_t states_max;
  double seconds_max; /* of CPU */
} model_limits;

/* rule: left out; 0: all are kept. prints_trace: of a violation. */
void model_search_run(const model *of, const model_scope *scope, int rule, const model_limits *limits, bool prints_trace, model_result *result);

#endif
