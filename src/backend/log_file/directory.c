/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/log_file/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/platform.h"

enum { DIGITS = 20 };

int ch_directory_sync(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ch_platform_file_error(errno);
  int error = fsync(fd) ? ch_platform_file_error(errno) : 0;
  close(fd);
  return error;
}

int ch_directory_make(const char *path) {
  char above[CH_DIRECTORY_NAME_MAX];
  if (mkdir(path, 0700) != 0) return errno == EEXIST ? 0 : ch_platform_file_error(errno);
  snprintf(above, sizeof above, "%s/..", path);
  return ch_directory_sync(above);
}

void ch_directory_segment(const char *path, uint64_t first, char name[CH_DIRECTORY_NAME_MAX]) {
  snprintf(name, CH_DIRECTORY_NAME_MAX, "%s/%0*llu.log", path, DIGITS, (unsigned long long)first);
}

static bool segment_name(const char *name, uint64_t *first) {
  if (strlen(name) != DIGITS + 4 || strcmp(name + DIGITS, ".log") != 0) return false;
  char *end;
  errno = 0;
  *first = strtoull(name, &end, 10);
  return errno == 0 && end == name + DIGITS && *first > 0;
}

static int rising(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return a < b ? -1 : a > b;
}

static int read_names(DIR *dir, const chat_allocator *alloc, uint64_t **firsts, size_t *count) {
  size_t room = 0;
  for (struct dirent *entry; (entry = readdir(dir));) {
    uint64_t first;
    if (!segment_name(entry->d_name, &first)) continue;
    if (*count == room) {
      room = room ? room * 2 : 16;
      uint64_t *grown = ch_realloc(alloc, *firsts, room, sizeof **firsts);
      if (!grown) return CHAT_E_NOMEM;
      *firsts = grown;
    }
    (*firsts)[(*count)++] = first;
  }
  return 0;
}

int ch_directory_segments(const char *path, const chat_allocator *alloc, uint64_t **firsts, size_t *count) {
  *firsts = NULL;
  *count = 0;
  DIR *dir = opendir(path);
  if (!dir) return CHAT_E_IO;
  int error = read_names(dir, alloc, firsts, count);
  closedir(dir);
  if (error) {
    ch_free(alloc, *firsts);
    *firsts = NULL;
    return error;
  }
  if (*count > 0) qsort(*firsts, *count, sizeof **firsts, rising);
  return 0;
}
