/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

int ch_bait_thread(pthread_t *thread, void *(*run)(void *));

int ch_bait_thread(pthread_t *thread, void *(*run)(void *)) {
  return pthread_create(thread, NULL, run, NULL);
}
