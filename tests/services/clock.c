/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a server of a test: where SERVICES_CLOCK names a file whose first 8 bytes are not 0, its wall clock stands at that many milliseconds of Unix time. So what lives for 300 s may be
 * seen to end at once, and no load of the machine makes it end early. What waits for time to pass (CLOCK_MONOTONIC) does not notice.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static const uint64_t runs = 0;
static const volatile uint64_t *stands_ms = &runs;

__attribute__((constructor)) static void map_clock(void) {
  const char *path = getenv("SERVICES_CLOCK");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *page = mmap(NULL, sizeof *stands_ms, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (page != MAP_FAILED) stands_ms = page;
}

EXPORTED int clock_gettime(clockid_t clock, struct timespec *out) {
  uint64_t ms = *stands_ms;
  if (ms == 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return (int)syscall(SYS_clock_gettime, clock, out);
  *out = (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
  return 0;
}

EXPORTED int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  *out = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return 0;
}

EXPORTED time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
