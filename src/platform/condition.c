/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/condition.h"

#include <chat/chat.h>
#include <errno.h>

int ch_condition_init(pthread_cond_t *condition) {
  pthread_condattr_t attributes;
  if (pthread_condattr_init(&attributes) != 0) return CHAT_E_NOMEM;
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  int error = pthread_cond_init(condition, &attributes) == 0 ? 0 : CHAT_E_NOMEM;
  pthread_condattr_destroy(&attributes);
  return error;
}

struct timespec ch_condition_in_ms(int64_t timeout_ms) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  if (timeout_ms < 0) timeout_ms = 0;
  at.tv_sec += timeout_ms / 1000;
  at.tv_nsec += timeout_ms % 1000 * 1000000;
  if (at.tv_nsec < 1000000000) return at;
  at.tv_sec++;
  at.tv_nsec -= 1000000000;
  return at;
}

bool ch_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until) {
  if (!until) return pthread_cond_wait(condition, lock) == 0;
  return pthread_cond_timedwait(condition, lock, until) != ETIMEDOUT;
}
