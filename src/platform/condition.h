/* SPDX-License-Identifier: Apache-2.0 */
/* condition.h - condition variables that wait by a clock that nobody sets (CLOCK_MONOTONIC). */
#ifndef CH_PLATFORM_CONDITION_H
#define CH_PLATFORM_CONDITION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

int ch_condition_init(pthread_cond_t *condition); /* 0, CHAT_E_NOMEM */
/* The moment that lies timeout_ms ahead; below 0 counts as 0. */
struct timespec ch_condition_in_ms(int64_t timeout_ms);
/* Under the lock; may return early, as conditions do. until NULL: no limit. false: the moment has come. */
bool ch_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until);

#endif
