/* SPDX-License-Identifier: Apache-2.0 */
/* footprint.h - what the kernel says that this process has: threads, file locks, descriptors of files and of connections. */
#ifndef CH_TEST_FOOTPRINT_H
#define CH_TEST_FOOTPRINT_H

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FOOTPRINT_THREADS_MAX = 256 };

/* Threads by their ids: one that ends while another begins is seen, as a count would not show. */
typedef struct footprint_threads {
  int ids[FOOTPRINT_THREADS_MAX];
  size_t count;
} footprint_threads;

/* visit for the name of each entry of a folder of /proc that is a number; how many it counted. */
static inline size_t footprint_each(const char *path, bool (*visit)(int number, void *arg), void *arg) {
  DIR *stream = opendir(path);
  size_t count = 0;
  ck_assert_ptr_nonnull(stream);
  for (struct dirent *entry = readdir(stream); entry; entry = readdir(stream))
    if (entry->d_name[0] != '.') count += visit(atoi(entry->d_name), arg);
  closedir(stream);
  return count;
}

static inline bool footprint_add_thread(int id, void *arg) {
  footprint_threads *threads = arg;
  ck_assert_uint_lt(threads->count, FOOTPRINT_THREADS_MAX);
  threads->ids[threads->count++] = id;
  return true;
}

static inline footprint_threads footprint_now(void) {
  footprint_threads threads = {.count = 0};
  footprint_each("/proc/self/task", footprint_add_thread, &threads);
  return threads;
}

static inline bool footprint_is_new(int id, void *arg) {
  const footprint_threads *before = arg;
  for (size_t i = 0; i < before->count; i++)
    if (before->ids[i] == id) return false;
  return true;
}

/* How many threads there are that were not there before. */
static inline size_t footprint_new_threads(footprint_threads *before) {
  return footprint_each("/proc/self/task", footprint_is_new, before);
}

/* Locks of this process on any file, of either kind that SQLite and libchat take (POSIX, FLOCK). */
static inline size_t footprint_locks(void) {
  FILE *locks = fopen("/proc/locks", "r");
  char line[256];
  size_t count = 0;
  ck_assert_ptr_nonnull(locks);
  while (fgets(line, sizeof line, locks)) {
    int pid = 0;
    count += sscanf(line, "%*d: %*s %*s %*s %d", &pid) == 1 && pid == getpid();
  }
  fclose(locks);
  return count;
}

static inline bool footprint_is_in_folder(int fd, void *arg) {
  char link[64], target[512] = "";
  const char *path = arg;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  return readlink(link, target, sizeof target - 1) > 0 && strncmp(target, path, strlen(path)) == 0;
}

/* Descriptors of files of the folder, deleted ones too. */
static inline size_t footprint_files(const char *path) {
  return footprint_each("/proc/self/fd", footprint_is_in_folder, (void *)path);
}

static inline bool footprint_goes_to_port(int fd, void *arg) {
  struct sockaddr_in peer;
  socklen_t len = sizeof peer;
  return getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET && ntohs(peer.sin_port) == *(const int *)arg;
}

/* Connections to that port of the loopback. */
static inline size_t footprint_connections(int port) {
  return footprint_each("/proc/self/fd", footprint_goes_to_port, &port);
}

#endif
