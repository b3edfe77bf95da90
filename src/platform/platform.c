/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* CLOCK_BOOTTIME */
#include "platform/platform.h"

#include <errno.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <time.h>

static uint64_t read_ms(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t elapsed_ms(void *arg) {
  (void)arg;
  return read_ms(CLOCK_BOOTTIME);
}

static uint64_t wall_ms(void *arg) {
  (void)arg;
  return read_ms(CLOCK_REALTIME);
}

chat_clock ch_platform_clock(void) {
  return (chat_clock){elapsed_ms, wall_ms, NULL};
}

static void fill(void *arg, void *bytes, size_t len) {
  (void)arg;
  randombytes_buf(bytes, len);
}

int ch_platform_random(chat_random *random) {
  if (sodium_init() < 0) return CHAT_E_INTERNAL;
  *random = (chat_random){fill, NULL};
  return 0;
}

int ch_platform_file_error(int code) {
  return code == ENOSPC || code == EDQUOT || code == EFBIG ? CHAT_E_FULL : CHAT_E_IO;
}

void ch_platform_name_thread(const char *name) {
  (void)prctl(PR_SET_NAME, name);
}
