/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/turn_loop.h"

#include <signal.h>
#include <stdatomic.h>

#include "core/assert.h"
#include "platform/platform.h"

enum { OWN_HANDLES = 3 }; /* wake, timer, prepare */

ch_now ch_turn_loop_now(const ch_turn_loop *loop) {
  const chat_clock *clock = &loop->clock;
  return (ch_now){clock->elapsed_ms(clock->arg), clock->wall_ms(clock->arg)};
}

/* Only ends the wait: the turn itself is taken by on_prepare. */
static void on_wake(uv_async_t *async) {
  (void)async;
}

static void on_timer(uv_timer_t *timer) {
  ch_turn_loop *loop = timer->data;
  loop->timer_ms = CH_NEVER_MS;
}

static void set_timer(ch_turn_loop *loop, uint64_t deadline_ms, uint64_t now_ms) {
  if (deadline_ms == loop->timer_ms) return;
  loop->timer_ms = deadline_ms;
  if (deadline_ms == CH_NEVER_MS) {
    uv_timer_stop(&loop->timer);
    return;
  }
  uint64_t wait_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
  ch_assert(uv_timer_start(&loop->timer, on_timer, wait_ms, 0) == 0);
}

static void on_prepare(uv_prepare_t *prepare) {
  ch_turn_loop *loop = prepare->data;
  ch_now now = ch_turn_loop_now(loop);
  uint64_t deadline_ms = loop->turn(loop->arg, now);
  if (uv_is_closing((uv_handle_t *)prepare)) return;
  uv_update_time(&loop->uv);
  set_timer(loop, deadline_ms, now.elapsed_ms);
}

int ch_turn_loop_init(ch_turn_loop *loop, chat_clock clock, uint64_t (*turn)(void *arg, ch_now now), void *arg) {
  *loop = (ch_turn_loop){.clock = clock, .turn = turn, .arg = arg, .timer_ms = CH_NEVER_MS};
  if (uv_loop_init(&loop->uv) != 0) return CHAT_E_NOMEM;
  if (uv_async_init(&loop->uv, &loop->wake, on_wake) != 0) {
    ch_assert(uv_loop_close(&loop->uv) == 0);
    return CHAT_E_NOMEM;
  }
  uv_timer_init(&loop->uv, &loop->timer);
  uv_prepare_init(&loop->uv, &loop->prepare);
  loop->timer.data = loop->prepare.data = loop;
  uv_prepare_start(&loop->prepare, on_prepare);
  return 0;
}

/* A peer that has gone is an error of the write to it; the signal's handling is the process's own. */
static void block_sigpipe(void) {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, NULL);
}

static void *run(void *arg) {
  ch_turn_loop *loop = arg;
  block_sigpipe();
  ch_platform_name_thread(loop->name);
  atomic_store(&loop->self, pthread_self());
  uv_run(&loop->uv, UV_RUN_DEFAULT);
  return NULL;
}

int ch_turn_loop_start(ch_turn_loop *loop, const char *name) {
  loop->name = name;
  loop->is_running = pthread_create(&loop->thread, NULL, run, loop) == 0;
  return loop->is_running ? 0 : CHAT_E_NOMEM;
}

static void wake_loop(void *arg) {
  ch_turn_loop *loop = arg;
  uv_async_send(&loop->wake);
}

chat_wake ch_turn_loop_wake(ch_turn_loop *loop) {
  return (chat_wake){wake_loop, loop};
}

static void count_handle(uv_handle_t *handle, void *arg) {
  (void)handle;
  (*(int *)arg)++;
}

bool ch_turn_loop_is_alone(ch_turn_loop *loop) {
  int count = 0;
  uv_walk(&loop->uv, count_handle, &count);
  return count == OWN_HANDLES;
}

void ch_turn_loop_end(ch_turn_loop *loop) {
  if (uv_is_closing((uv_handle_t *)&loop->prepare)) return;
  uv_close((uv_handle_t *)&loop->prepare, NULL);
  uv_close((uv_handle_t *)&loop->timer, NULL);
  uv_close((uv_handle_t *)&loop->wake, NULL);
}

bool ch_turn_loop_is_current(const ch_turn_loop *loop) {
  return pthread_equal(atomic_load(&loop->self), pthread_self());
}

void ch_turn_loop_join(ch_turn_loop *loop) {
  if (!loop->is_running) return;
  pthread_join(loop->thread, NULL);
  loop->is_running = false;
}

void ch_turn_loop_fini(ch_turn_loop *loop) {
  ch_turn_loop_end(loop);
  uv_run(&loop->uv, UV_RUN_DEFAULT);
  ch_assert(uv_loop_close(&loop->uv) == 0);
}
