/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/retention.h"

#include "core/assert.h"

enum {
  FIRST_MS = 60 * 1000,       /* after the start, when the rush is over */
  ROUND_MS = 60 * 60 * 1000,  /* from one round to the next */
  PAUSE_MS = 200,             /* between two slices, for others */
  SLICE_COUNT_MAX = 1000,
  RETRY_MS = 60 * 1000
};

struct ch_retention {
  ch_retention_config config;
  uint64_t horizon_ms;
  uint64_t moved_ms; /* elapsed time at which the horizon was last moved */
  uint64_t due_ms;   /* elapsed time of the next slice; CH_NEVER_MS while one is under way */
  bool in_round;     /* the horizon stays where it is until nothing below it is left */
  bool is_due;       /* next_op has an op to give */
  uint64_t pruned;
};

static uint64_t target_ms(const ch_retention *retention, ch_now now) {
  return now.wall_ms > retention->config.age_ms ? now.wall_ms - retention->config.age_ms : 0;
}

int ch_retention_new(const ch_retention_config *config, ch_now now, ch_retention **out) {
  ch_retention *retention = ch_calloc(config->alloc, 1, sizeof *retention);
  *out = retention;
  if (!retention) return CHAT_E_NOMEM;
  retention->config = *config;
  retention->horizon_ms = config->horizon_ms ? config->horizon_ms : target_ms(retention, now);
  retention->moved_ms = now.elapsed_ms;
  retention->due_ms = config->age_ms ? now.elapsed_ms + FIRST_MS : CH_NEVER_MS;
  return 0;
}

void ch_retention_free(ch_retention *retention) {
  if (retention) ch_free(retention->config.alloc, retention);
}

/* At most as far as time has passed here, and never past what the option says; a longer retention than before takes effect at once, for it moves nothing. */
static void move_horizon(ch_retention *retention, ch_now now) {
  uint64_t passed_ms = now.elapsed_ms - retention->moved_ms;
  uint64_t target = target_ms(retention, now);
  uint64_t horizon = retention->horizon_ms + passed_ms;
  if (horizon > target) horizon = target > retention->horizon_ms ? target : retention->horizon_ms;
  retention->moved_ms = now.elapsed_ms;
  if (horizon == retention->horizon_ms) return;
  retention->horizon_ms = horizon;
  if (retention->config.moved) retention->config.moved(retention->config.arg, horizon);
}

/* A retention that was made longer after rows were erased by a shorter one: the kept horizon is above the target, and nothing is to be erased. */
static bool has_work(const ch_retention *retention, ch_now now) {
  return retention->horizon_ms <= target_ms(retention, now);
}

static void tick(void *self, ch_now now) {
  ch_retention *retention = self;
  if (retention->due_ms > now.elapsed_ms) return;
  if (!retention->in_round) move_horizon(retention, now);
  retention->in_round = true;
  retention->is_due = has_work(retention, now);
  retention->due_ms = retention->is_due ? CH_NEVER_MS : now.elapsed_ms + ROUND_MS;
  if (!retention->is_due) retention->in_round = false;
}

static chat_op *next_op(void *self) {
  ch_retention *retention = self;
  if (!retention->is_due) return NULL;
  chat_store_prune *op = ch_op_new(retention->config.alloc, CHAT_OP_STORE_PRUNE, sizeof *op);
  if (!op) return NULL; /* asked for again at the next turn */
  retention->is_due = false;
  op->before_ms = retention->horizon_ms;
  op->limit = SLICE_COUNT_MAX;
  return &op->op;
}

static void complete(void *self, chat_op *op, ch_now now) {
  ch_retention *retention = self;
  ch_assert(op->kind == CHAT_OP_STORE_PRUNE);
  const chat_store_prune *prune = (const chat_store_prune *)(const void *)op;
  bool more = op->status == 0 && prune->pruned == SLICE_COUNT_MAX;
  if (op->status == 0) retention->pruned += prune->pruned;
  if (op->status)
    retention->due_ms = now.elapsed_ms + RETRY_MS;
  else
    retention->due_ms = now.elapsed_ms + (more ? PAUSE_MS : ROUND_MS);
  retention->in_round = more || op->status != 0;
  ch_op_free(op);
}

static uint64_t deadline_ms(const void *self) {
  return ((const ch_retention *)self)->due_ms;
}

ch_role ch_retention_role(ch_retention *retention) {
  return (ch_role){retention, next_op, complete, tick, deadline_ms};
}

uint64_t ch_retention_pruned(const ch_retention *retention) {
  return retention->pruned;
}
