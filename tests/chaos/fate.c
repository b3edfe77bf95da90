/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into chatd and into people: their wall clock stands where the campaign says, and they die of SIGKILL in the middle of a commit. Nothing of the machine's clock moves, and what waits for
 * time to pass does not notice.
 */
#define _GNU_SOURCE
#include "fate.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static fate none, *mine = &none;

__attribute__((constructor)) static void map_fate(void) {
  const char *path = getenv("CHAOS_FATE");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *page = mmap(NULL, sizeof *mine, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (page != MAP_FAILED) mine = page;
}

/* ------------------------------------------------------------------------------------------------ death */

static int is_the_end(int place) {
  return mine->place == place && atomic_fetch_sub(&mine->countdown, 1) == 1;
}

static void die(int place) {
  mine->died = place;
  kill(getpid(), SIGKILL);
  for (;;)
    pause();
}

static void maybe_die(int place) {
  if (is_the_end(place)) die(place);
}

static ssize_t write_at(int fd, const void *data, size_t len, off64_t at) {
  maybe_die(DIES_BEFORE_WRITE);
  if (is_the_end(DIES_IN_WRITE)) {
    syscall(SYS_pwrite64, fd, data, len / 2, at);
    die(DIES_IN_WRITE);
  }
  return syscall(SYS_pwrite64, fd, data, len, at);
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t len, off_t at) {
  return write_at(fd, data, len, at);
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at) {
  return write_at(fd, data, len, at);
}

static int sync_by(long call, int fd) {
  maybe_die(DIES_BEFORE_SYNC);
  int result = (int)syscall(call, fd);
  maybe_die(DIES_AFTER_SYNC);
  return result;
}

EXPORTED int fsync(int fd) {
  return sync_by(SYS_fsync, fd);
}

EXPORTED int fdatasync(int fd) {
  return sync_by(SYS_fdatasync, fd);
}

EXPORTED int rename(const char *from, const char *to) {
  maybe_die(DIES_BEFORE_NAME);
  int result = (int)syscall(SYS_rename, from, to);
  maybe_die(DIES_AFTER_NAME);
  return result;
}

EXPORTED int unlink(const char *path) {
  maybe_die(DIES_BEFORE_NAME);
  int result = (int)syscall(SYS_unlink, path);
  maybe_die(DIES_AFTER_NAME);
  return result;
}

/* ------------------------------------------------------------------------------------------------ time */

/* By the kernel's own call: this runs before libraries have found each other. */
static int64_t wall_ns(void) {
  struct timespec now;
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + mine->wall_ms * 1000000;
}

EXPORTED int clock_gettime(clockid_t clock, struct timespec *out) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return (int)syscall(SYS_clock_gettime, clock, out);
  int64_t now = wall_ns();
  *out = (struct timespec){now / 1000000000, now % 1000000000};
  return 0;
}

EXPORTED int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  (void)zone;
  int64_t now = wall_ns();
  *out = (struct timeval){now / 1000000000, now % 1000000000 / 1000};
  return 0;
}

EXPORTED time_t time(time_t *out) {
  time_t now = wall_ns() / 1000000000;
  if (out) *out = now;
  return now;
}
