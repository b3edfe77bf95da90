/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/gateway_loop.h"

#include <stddef.h>
#include <unistd.h>

#include "core/assert.h"

enum { LETTERS_MAX = 4096 };

typedef enum loop_state { NEW, RUNNING, DRAINING, ENDING, ENDED } loop_state;

struct ch_gateway_loop {
  ch_gateway_loop_config config;
  ch_turn_loop turns;
  ch_gateway *gateway;
  ch_role_loop role;
  ch_ws_server *sockets;
  ch_mailbox mailbox;
  loop_state state;
  _Atomic int wanted; /* loop_state: RUNNING, DRAINING or ENDING */
  _Atomic uint32_t spread_ms;
  _Atomic bool wants_reload, is_drained;
  bool has_role, has_mailbox;
  ch_gateway_stats told; /* what the metrics have */
};

/* ------------------------------------------------------------------------------------------------ figures */

typedef struct figure {
  ch_metric metric;
  size_t offset; /* of its uint64_t in ch_gateway_stats */
} figure;

#define FIGURE(metric, field) {CH_METRIC_##metric, offsetof(ch_gateway_stats, field)}
static const figure counters[] = {
    FIGURE(SESSIONS_TOTAL, sessions_total),
    FIGURE(FRAMES_IN, frames_in),
    FIGURE(FRAMES_OUT, frames_out),
    FIGURE(BYTES_IN, bytes_in),
    FIGURE(BYTES_OUT, bytes_out),
    FIGURE(SENDS_ACCEPTED, answers[CH_ACCEPTED]),
    FIGURE(SENDS_GAP, answers[CH_GAP]),
    FIGURE(SENDS_UNKNOWN, answers[CH_UNKNOWN]),
    FIGURE(SENDS_RETRY, answers[CH_RETRY]),
    FIGURE(SENDS_REFUSED, answers[CH_REFUSED]),
    FIGURE(LIVE_EVENTS, live_events),
    FIGURE(SYNCS, syncs),
    FIGURE(RANGES, ranges),
    FIGURE(AUTH_FAILURES, auth_failures),
    FIGURE(LIMITED, limited),
    FIGURE(SLOW_READERS, slow_readers),
};

static uint64_t stat_at(const ch_gateway_stats *stats, size_t offset) {
  return *(const uint64_t *)(const void *)((const char *)stats + offset);
}

static void tell_metrics(ch_gateway_loop *loop) {
  const ch_gateway_stats *now = ch_gateway_get_stats(loop->gateway);
  for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
    uint64_t more = stat_at(now, counters[i].offset) - stat_at(&loop->told, counters[i].offset);
    if (more) ch_metrics_add(loop->config.metrics, counters[i].metric, more);
  }
  int64_t sessions = (int64_t)(now->live_sessions - loop->told.live_sessions);
  if (sessions) ch_metrics_move(loop->config.metrics, CH_METRIC_SESSIONS, sessions);
  int64_t held_len = (int64_t)(now->out_held_len - loop->told.out_held_len);
  if (held_len) ch_metrics_move(loop->config.metrics, CH_METRIC_OUT_HELD, held_len);
  loop->told = *now;
}

/* ------------------------------------------------------------------------------------------------ turns */

static void take_requests(ch_gateway_loop *loop, ch_now now) {
  for (ch_letter *letter; (letter = ch_mailbox_take(&loop->mailbox));) {
    const ch_request *request = &((ch_request_letter *)(void *)letter)->request;
    int error = loop->state < ENDING ? ch_gateway_request(loop->gateway, request, now) : CHAT_E_CLOSED;
    if (error) loop->config.replied(loop->config.arg, &(ch_request_reply){.tag = request->tag, .status = error});
  }
}

static void give_replies(ch_gateway_loop *loop) {
  ch_request_reply reply;
  while (ch_gateway_next_reply(loop->gateway, &reply)) loop->config.replied(loop->config.arg, &reply);
}

static void enter(ch_gateway_loop *loop, loop_state state, ch_now now) {
  ch_assert(state > loop->state);
  loop->state = state;
  switch (state) {
    case DRAINING:
      ch_ws_server_stop_listening(loop->sockets);
      ch_gateway_drain(loop->gateway, atomic_load(&loop->spread_ms), now);
      break;
    case ENDING:
      ch_mailbox_close(&loop->mailbox);
      ch_ws_server_end(loop->sockets);
      ch_role_loop_cancel(&loop->role, now);
      break;
    case ENDED: ch_turn_loop_end(&loop->turns); break;
    default: break;
  }
}

static void follow_wishes(ch_gateway_loop *loop, ch_now now) {
  loop_state wanted = (loop_state)atomic_load(&loop->wanted);
  if (wanted > loop->state) enter(loop, wanted, now);
  if (atomic_exchange(&loop->wants_reload, false)) ch_ws_server_reload(loop->sockets);
}

static void tell_drained(ch_gateway_loop *loop) {
  if (loop->state != DRAINING || atomic_load(&loop->is_drained) || !ch_gateway_drained(loop->gateway)) return;
  atomic_store(&loop->is_drained, true);
  loop->config.changed(loop->config.arg);
}

static uint64_t end_turn(ch_gateway_loop *loop, ch_now now) {
  uint64_t deadline_ms = ch_role_loop_turn(&loop->role, now);
  while (ch_gateway_next_dirty(loop->gateway)) continue; /* nobody is there to write to */
  give_replies(loop);
  bool is_down = ch_ws_server_end(loop->sockets);
  if (is_down && ch_role_loop_is_quiet(&loop->role)) enter(loop, ENDED, now);
  return is_down ? deadline_ms : now.elapsed_ms; /* nothing wakes us when libuv has given the last handle back */
}

static uint64_t sooner(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static uint64_t turn(void *arg, ch_now now) {
  ch_gateway_loop *loop = arg;
  if (loop->state == NEW || loop->state == ENDED) return CH_NEVER_MS;
  follow_wishes(loop, now);
  take_requests(loop, now);
  if (loop->state == ENDING) return end_turn(loop, now);
  uint64_t deadline_ms = ch_role_loop_turn(&loop->role, now);
  give_replies(loop);
  /* What was written or closed may make the gateway put out ops. */
  if (ch_ws_server_flush(loop->sockets) > 0) deadline_ms = ch_role_loop_turn(&loop->role, now);
  tell_metrics(loop);
  tell_drained(loop);
  return sooner(deadline_ms, ch_ws_server_turn(loop->sockets, now));
}

/* ------------------------------------------------------------------------------------------------ life */

static int open_parts(ch_gateway_loop *loop) {
  const ch_gateway_loop_config *config = &loop->config;
  int error = ch_mailbox_init(&loop->mailbox, LETTERS_MAX, ch_turn_loop_wake(&loop->turns));
  if (error) return error;
  loop->has_mailbox = true;
  error = ch_gateway_new(config->env, &config->gateway, &loop->gateway);
  if (error) return error;
  error = ch_role_loop_init(&loop->role, ch_gateway_role(loop->gateway), config->backends, config->metrics, ch_turn_loop_wake(&loop->turns));
  if (error) return error;
  loop->has_role = true;
  ch_ws_server_config sockets = {.alloc = config->env->alloc,
                                 .loop = &loop->turns,
                                 .gateway = loop->gateway,
                                 .listen_fd = config->listen_fd,
                                 .cert = config->cert,
                                 .key = config->key};
  loop->config.listen_fd = -1;
  return ch_ws_server_new(&sockets, &loop->sockets);
}

int ch_gateway_loop_new(const ch_gateway_loop_config *config, ch_gateway_loop **out) {
  *out = NULL;
  ch_gateway_loop *loop = ch_calloc(config->env->alloc, 1, sizeof *loop);
  int error = loop ? ch_turn_loop_init(&loop->turns, config->clock, turn, loop) : CHAT_E_NOMEM;
  if (error) {
    ch_free(config->env->alloc, loop);
    close(config->listen_fd);
    return error;
  }
  loop->config = *config;
  loop->state = NEW;
  error = open_parts(loop);
  if (error)
    ch_gateway_loop_free(loop);
  else
    *out = loop;
  return error;
}

int ch_gateway_loop_start(ch_gateway_loop *loop) {
  loop->state = RUNNING;
  atomic_store(&loop->wanted, RUNNING);
  int error = ch_turn_loop_start(&loop->turns, "chat-gateway");
  if (error) loop->state = NEW;
  return error;
}

static void want(ch_gateway_loop *loop, loop_state state) {
  atomic_store(&loop->wanted, state);
  chat_wake wake = ch_turn_loop_wake(&loop->turns);
  wake.fn(wake.arg);
}

int ch_gateway_loop_request(ch_gateway_loop *loop, ch_request_letter *letter) {
  return ch_mailbox_put(&loop->mailbox, &letter->letter);
}

void ch_gateway_loop_reload(ch_gateway_loop *loop) {
  atomic_store(&loop->wants_reload, true);
  chat_wake wake = ch_turn_loop_wake(&loop->turns);
  wake.fn(wake.arg);
}

void ch_gateway_loop_drain(ch_gateway_loop *loop, uint32_t spread_ms) {
  atomic_store(&loop->spread_ms, spread_ms);
  want(loop, DRAINING);
}

bool ch_gateway_loop_drained(const ch_gateway_loop *loop) {
  return atomic_load(&loop->is_drained);
}

void ch_gateway_loop_end(ch_gateway_loop *loop) {
  want(loop, ENDING);
}

bool ch_gateway_loop_is_current(const ch_gateway_loop *loop) {
  return ch_turn_loop_is_current(&loop->turns);
}

/* A thread that ran has left everything quiet; where none ran nothing was ever submitted. */
void ch_gateway_loop_free(ch_gateway_loop *loop) {
  if (!loop) return;
  ch_turn_loop_join(&loop->turns);
  ch_ws_server_free(loop->sockets);
  if (loop->has_role) ch_role_loop_fini(&loop->role);
  if (loop->gateway) ch_gateway_free(loop->gateway);
  if (loop->has_mailbox) ch_mailbox_fini(&loop->mailbox);
  ch_turn_loop_fini(&loop->turns);
  if (loop->config.listen_fd >= 0) close(loop->config.listen_fd);
  ch_free(loop->config.env->alloc, loop);
}
