/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/worker_loop.h"

#include <stdatomic.h>
#include <unistd.h>

#include "core/assert.h"
#include "server/loop/metrics_http.h"

typedef enum loop_state { NEW, RUNNING, DRAINING, ENDING, ENDED } loop_state;

enum { SEQUENCER, DELIVERER, RETENTION, RETELL, WORKER_COUNT, FAULTY_COUNT = RETENTION };
enum { CHECK_MS = 1000 };

struct ch_worker_loop {
  ch_worker_loop_config config;
  ch_turn_loop turns;
  ch_sequencer *sequencer; /* NULL where the role is not run here; so deliverer */
  ch_deliverer *deliverer;
  ch_retention *retention;
  ch_retell *retell;
  ch_role_loop workers[WORKER_COUNT];
  bool has_worker[WORKER_COUNT];
  ch_metrics_http *http;
  loop_state state;
  _Atomic int wanted;
  _Atomic bool is_drained, is_leaving;
  int fault;             /* the first one found: no longer healthy */
  bool is_full;          /* a backend has no space: not healthy meanwhile */
  bool *told_faults[FAULTY_COUNT]; /* by role and partition */
  uint64_t check_ms; /* when faults and space are looked at next */
  ch_sequencer_stats told_sequencer; /* what the metrics have */
  ch_deliverer_stats told_deliverer;
  uint64_t told_pruned;
};

/* ------------------------------------------------------------------------------------------------ figures and faults */

static void tell_sequencer(ch_worker_loop *loop) {
  const ch_sequencer_stats *now = ch_sequencer_get_stats(loop->sequencer);
  const ch_sequencer_stats *told = &loop->told_sequencer;
  ch_metrics *metrics = loop->config.metrics;
  ch_metrics_add(metrics, CH_METRIC_EVENTS_COMMITTED, now->committed - told->committed);
  ch_metrics_add(metrics, CH_METRIC_VERDICTS_COMMITTED, now->committed - told->committed);
  ch_metrics_add(metrics, CH_METRIC_VERDICTS_REFUSED, now->refused - told->refused);
  ch_metrics_add(metrics, CH_METRIC_VERDICTS_DUP, now->dup - told->dup);
  ch_metrics_add(metrics, CH_METRIC_VERDICTS_GAP, now->gap - told->gap);
  ch_metrics_set(metrics, CH_METRIC_STORE_POSITION, ch_position_number(now->position));
  loop->told_sequencer = *now;
}

static void tell_deliverer(ch_worker_loop *loop) {
  const ch_deliverer_stats *now = ch_deliverer_get_stats(loop->deliverer);
  ch_metrics_add(loop->config.metrics, CH_METRIC_DELIVERIES, now->deliveries - loop->told_deliverer.deliveries);
  loop->told_deliverer = *now;
}

static void tell_retention(ch_worker_loop *loop) {
  uint64_t pruned = ch_retention_pruned(loop->retention);
  ch_metrics_add(loop->config.metrics, CH_METRIC_PRUNED, pruned - loop->told_pruned);
  loop->told_pruned = pruned;
}

static void tell_metrics(ch_worker_loop *loop) {
  if (loop->sequencer) tell_sequencer(loop);
  if (loop->deliverer) tell_deliverer(loop);
  if (loop->retention) tell_retention(loop);
}

static void tell_fault(ch_worker_loop *loop, int role, uint32_t partition, int error) {
  static const char *const names[] = {[SEQUENCER] = "sequencer", [DELIVERER] = "deliverer"};
  if (!error || loop->told_faults[role][partition]) return;
  loop->told_faults[role][partition] = true;
  loop->fault = error;
  ch_metrics_move(loop->config.metrics, CH_METRIC_FAULTS, 1);
  loop->config.faulted(loop->config.arg, names[role], partition, error);
}

static void check_faults(ch_worker_loop *loop) {
  const ch_worker_loop_config *config = &loop->config;
  for (uint32_t i = 0; loop->sequencer && i < config->message_partitions; i++) tell_fault(loop, SEQUENCER, i, ch_sequencer_fault(loop->sequencer, i));
  for (uint32_t i = 0; loop->deliverer && i < config->delivery_partitions; i++) tell_fault(loop, DELIVERER, i, ch_deliverer_fault(loop->deliverer, i));
}

static void check_space(ch_worker_loop *loop, ch_now now) {
  const ch_worker_loop_config *config = &loop->config;
  loop->is_full = false;
  for (int kind = 0; config->backends->space && kind < CH_BACKEND_KIND_COUNT; kind++) {
    ch_space *space = &config->backends->space[kind];
    if (ch_space_check(space, now.elapsed_ms) != CH_SPACE_SAME) config->space_changed(config->arg, (ch_backend_kind)kind, space->is_full, now.elapsed_ms - space->began_ms);
    loop->is_full = loop->is_full || space->is_full;
  }
}

static uint64_t check(ch_worker_loop *loop, ch_now now) {
  if (loop->check_ms > now.elapsed_ms) return loop->check_ms;
  check_faults(loop);
  check_space(loop, now);
  return loop->check_ms = now.elapsed_ms + CHECK_MS;
}

static int health(void *arg) {
  const ch_worker_loop *loop = arg;
  if (loop->state != RUNNING || atomic_load(&loop->is_leaving)) return CHAT_E_CLOSED;
  return loop->fault ? loop->fault : loop->is_full ? CHAT_E_FULL : 0;
}

/* ------------------------------------------------------------------------------------------------ turns */

static bool is_idle(const ch_worker_loop *loop) {
  return (!loop->sequencer || ch_sequencer_idle(loop->sequencer)) && (!loop->deliverer || ch_deliverer_idle(loop->deliverer));
}

static void enter(ch_worker_loop *loop, loop_state state, ch_now now) {
  ch_assert(state > loop->state);
  loop->state = state;
  switch (state) {
    case DRAINING:
      if (loop->sequencer) ch_sequencer_stop(loop->sequencer);
      if (loop->deliverer) ch_deliverer_stop(loop->deliverer);
      break;
    case ENDING:
      for (int i = 0; i < WORKER_COUNT; i++)
        if (loop->has_worker[i]) ch_role_loop_cancel(&loop->workers[i], now);
      if (loop->http) ch_metrics_http_end(loop->http);
      break;
    case ENDED: ch_turn_loop_end(&loop->turns); break;
    default: break;
  }
}

static void tell_drained(ch_worker_loop *loop) {
  if (loop->state != DRAINING || atomic_load(&loop->is_drained) || !is_idle(loop)) return;
  atomic_store(&loop->is_drained, true);
  loop->config.changed(loop->config.arg);
}

static uint64_t sooner(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static uint64_t turn_workers(ch_worker_loop *loop, ch_now now, bool *is_quiet) {
  uint64_t deadline_ms = CH_NEVER_MS;
  *is_quiet = true;
  for (int i = 0; i < WORKER_COUNT; i++) {
    if (!loop->has_worker[i]) continue;
    deadline_ms = sooner(deadline_ms, ch_role_loop_turn(&loop->workers[i], now));
    *is_quiet = *is_quiet && ch_role_loop_is_quiet(&loop->workers[i]);
  }
  return deadline_ms;
}

static uint64_t turn_told(ch_worker_loop *loop, ch_now now) {
  if (!loop->retell) return CH_NEVER_MS;
  return ch_told_turn(loop->config.told, loop->retell, ch_sequencer_get_stats(loop->sequencer), ch_deliverer_get_stats(loop->deliverer), now);
}

static uint64_t turn(void *arg, ch_now now) {
  ch_worker_loop *loop = arg;
  if (loop->state == NEW || loop->state == ENDED) return CH_NEVER_MS;
  loop_state wanted = (loop_state)atomic_load(&loop->wanted);
  if (wanted > loop->state) enter(loop, wanted, now);
  bool is_quiet;
  uint64_t deadline_ms = turn_workers(loop, now, &is_quiet);
  tell_metrics(loop);
  tell_drained(loop);
  if (loop->state == ENDING) {
    if (is_quiet) enter(loop, ENDED, now);
    return deadline_ms;
  }
  deadline_ms = sooner(deadline_ms, check(loop, now));
  deadline_ms = sooner(deadline_ms, turn_told(loop, now));
  return loop->http ? sooner(deadline_ms, ch_metrics_http_turn(loop->http, now)) : deadline_ms;
}

/* ------------------------------------------------------------------------------------------------ life */

static int open_worker(ch_worker_loop *loop, int which, ch_role role) {
  int error = ch_role_loop_init(&loop->workers[which], role, loop->config.backends, loop->config.metrics, ch_turn_loop_wake(&loop->turns));
  loop->has_worker[which] = error == 0;
  return error;
}

static int make_faults(ch_worker_loop *loop, int role, uint32_t partitions) {
  loop->told_faults[role] = ch_calloc(loop->config.env->alloc, partitions, sizeof *loop->told_faults[role]);
  return loop->told_faults[role] ? 0 : CHAT_E_NOMEM;
}

static int open_sequencer(ch_worker_loop *loop, ch_now now) {
  const ch_worker_loop_config *config = &loop->config;
  int error = make_faults(loop, SEQUENCER, config->message_partitions);
  if (!error) error = ch_sequencer_new(config->env, &config->sequencer, &loop->sequencer);
  if (!error) error = open_worker(loop, SEQUENCER, ch_sequencer_role(loop->sequencer));
  for (uint32_t partition = 0; !error && partition < config->message_partitions; partition++) error = ch_sequencer_assign(loop->sequencer, partition, now);
  return error;
}

static int open_deliverer(ch_worker_loop *loop, ch_now now) {
  const ch_worker_loop_config *config = &loop->config;
  int error = make_faults(loop, DELIVERER, config->delivery_partitions);
  if (!error) error = ch_deliverer_new(config->env, &config->deliverer, &loop->deliverer);
  if (!error) error = open_worker(loop, DELIVERER, ch_deliverer_role(loop->deliverer));
  for (uint32_t partition = 0; !error && partition < config->delivery_partitions; partition++) error = ch_deliverer_assign(loop->deliverer, partition, now);
  return error;
}

static int open_retention(ch_worker_loop *loop, ch_now now) {
  int error = ch_retention_new(&loop->config.retention, now, &loop->retention);
  return error ? error : open_worker(loop, RETENTION, ch_retention_role(loop->retention));
}

static int open_retell(ch_worker_loop *loop) {
  const ch_worker_loop_config *config = &loop->config;
  ch_retell_config retell = {.told = atomic_load(&config->told->position), .retry_ms = config->deliverer.retry_ms};
  int error = ch_retell_new(config->env, &retell, &loop->retell);
  return error ? error : open_worker(loop, RETELL, ch_retell_role(loop->retell));
}

static int open_http(ch_worker_loop *loop) {
  if (loop->config.metrics_fd < 0) return 0;
  ch_metrics_http_config http = {.alloc = loop->config.env->alloc,
                                 .loop = &loop->turns,
                                 .metrics = loop->config.metrics,
                                 .backends = loop->config.backends->of,
                                 .backend_count = CH_BACKEND_HOOKS,
                                 .listen_fd = loop->config.metrics_fd,
                                 .health = health,
                                 .arg = loop};
  loop->config.metrics_fd = -1;
  return ch_metrics_http_new(&http, &loop->http);
}

static int open_parts(ch_worker_loop *loop) {
  ch_now now = ch_turn_loop_now(&loop->turns);
  int error = loop->config.runs_sequencer ? open_sequencer(loop, now) : 0;
  if (!error && loop->config.runs_deliverer) error = open_deliverer(loop, now);
  if (!error && loop->config.runs_sequencer) error = open_retention(loop, now);
  if (!error && loop->config.told) error = open_retell(loop);
  return error ? error : open_http(loop);
}

int ch_worker_loop_new(const ch_worker_loop_config *config, ch_worker_loop **out) {
  *out = NULL;
  ch_worker_loop *loop = ch_calloc(config->env->alloc, 1, sizeof *loop);
  int error = loop ? ch_turn_loop_init(&loop->turns, config->clock, turn, loop) : CHAT_E_NOMEM;
  if (error) {
    ch_free(config->env->alloc, loop);
    if (config->metrics_fd >= 0) close(config->metrics_fd);
    return error;
  }
  loop->config = *config;
  loop->state = NEW;
  error = open_parts(loop);
  if (error)
    ch_worker_loop_free(loop);
  else
    *out = loop;
  return error;
}

int ch_worker_loop_start(ch_worker_loop *loop) {
  loop->state = RUNNING;
  atomic_store(&loop->wanted, RUNNING);
  int error = ch_turn_loop_start(&loop->turns, "chat-worker");
  if (error) loop->state = NEW;
  return error;
}

static void want(ch_worker_loop *loop, loop_state state) {
  atomic_store(&loop->wanted, state);
  chat_wake wake = ch_turn_loop_wake(&loop->turns);
  wake.fn(wake.arg);
}

void ch_worker_loop_leave(ch_worker_loop *loop) {
  atomic_store(&loop->is_leaving, true);
}

void ch_worker_loop_drain(ch_worker_loop *loop) {
  want(loop, DRAINING);
}

bool ch_worker_loop_drained(const ch_worker_loop *loop) {
  return atomic_load(&loop->is_drained);
}

void ch_worker_loop_end(ch_worker_loop *loop) {
  want(loop, ENDING);
}

bool ch_worker_loop_is_current(const ch_worker_loop *loop) {
  return ch_turn_loop_is_current(&loop->turns);
}

void ch_worker_loop_free(ch_worker_loop *loop) {
  if (!loop) return;
  const ch_allocator *alloc = loop->config.env->alloc;
  ch_turn_loop_join(&loop->turns);
  if (loop->http) ch_metrics_http_end(loop->http);
  for (int i = 0; i < WORKER_COUNT; i++)
    if (loop->has_worker[i]) ch_role_loop_fini(&loop->workers[i]);
  if (loop->sequencer) ch_sequencer_free(loop->sequencer);
  if (loop->deliverer) ch_deliverer_free(loop->deliverer);
  ch_retention_free(loop->retention);
  ch_retell_free(loop->retell);
  if (loop->config.told) ch_told_save(loop->config.told);
  ch_turn_loop_fini(&loop->turns);
  ch_metrics_http_free(loop->http);
  for (int role = 0; role < FAULTY_COUNT; role++) ch_free(alloc, loop->told_faults[role]);
  if (loop->config.metrics_fd >= 0) close(loop->config.metrics_fd);
  ch_free(alloc, loop);
}
