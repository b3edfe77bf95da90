/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn_loop.h - one thread that takes turns: a libuv loop which calls `turn` once in each of its rounds, before it waits.
 *
 * A round follows a wake (from any thread), the deadline that the last turn gave, or input at a descriptor of the loop. So all that came in during one
 * round is handled, and all that goes out is written, together.
 */
#ifndef CH_SERVER_TURN_LOOP_H
#define CH_SERVER_TURN_LOOP_H

#include <chat/backend.h>
#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "core/op.h"

typedef struct ch_turn_loop {
  uv_loop_t uv;
  uv_async_t wake;
  uv_timer_t timer;
  uv_prepare_t prepare;
  uint64_t timer_ms; /* deadline that the timer is set to; CH_NEVER_MS: not set */
  chat_clock clock;
  uint64_t (*turn)(void *arg, ch_now now); /* gives the elapsed time of the next one; CH_NEVER_MS: none */
  void *arg;
  pthread_t thread;
  const char *name;
  bool is_running;
  _Atomic pthread_t self; /* the thread as it calls itself; 0: it does not run yet */
} ch_turn_loop;

/* Makes the loop, without a thread. CHAT_E_NOMEM (also: no descriptors left). */
int ch_turn_loop_init(ch_turn_loop *loop, chat_clock clock, uint64_t (*turn)(void *arg, ch_now now), void *arg);
/* `name` (static) is what the system shows of the thread. CHAT_E_NOMEM: no thread. */
int ch_turn_loop_start(ch_turn_loop *loop, const char *name);
chat_wake ch_turn_loop_wake(ch_turn_loop *loop);
ch_now ch_turn_loop_now(const ch_turn_loop *loop);
/* Are all handles of others gone from the loop? The loop's thread. */
bool ch_turn_loop_is_alone(ch_turn_loop *loop);
/* From inside a turn: it was the last one; handles of others must be closed or closing. */
void ch_turn_loop_end(ch_turn_loop *loop);
/* Is the caller inside a turn? Any thread. */
bool ch_turn_loop_is_current(const ch_turn_loop *loop);
/* Waits for the thread, where it was started. */
void ch_turn_loop_join(ch_turn_loop *loop);
/* No thread runs, no wake may follow. Runs what closing handles still ask for, and frees the loop. */
void ch_turn_loop_fini(ch_turn_loop *loop);

#endif
