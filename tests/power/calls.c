/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system's calls that change files, in front of those of the C library, for everything in the program: libraries too. Nothing is really synced: disk.c knows what would be.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "power/disk.h"

#define EXPORTED __attribute__((visibility("default")))

static ssize_t write_at(int fd, const void *data, size_t len, off_t at) {
  disk_write(fd, data, len, at);
  return syscall(SYS_pwrite64, fd, data, len, at);
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t len, off_t at) {
  return write_at(fd, data, len, at);
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at) {
  return write_at(fd, data, len, at);
}

static int truncate_to(int fd, off_t len) {
  disk_truncate(fd, len);
  return (int)syscall(SYS_ftruncate, fd, len);
}

EXPORTED int ftruncate(int fd, off_t len) {
  return truncate_to(fd, len);
}

EXPORTED int ftruncate64(int fd, off64_t len) {
  return truncate_to(fd, len);
}

EXPORTED int fsync(int fd) {
  disk_sync(fd);
  return 0;
}

EXPORTED int fdatasync(int fd) {
  disk_sync(fd);
  return 0;
}

static bool is_there(const char *path) {
  struct stat info;
  return lstat(path, &info) == 0;
}

static int open_file(const char *path, int flags, mode_t mode) {
  bool is_new = (flags & O_CREAT) && !is_there(path);
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags & ~O_TRUNC, mode);
  if (fd < 0) return fd;
  if (is_new) disk_made(path);
  if ((flags & O_TRUNC) && !is_new) truncate_to(fd, 0);
  return fd;
}

EXPORTED int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_file(path, flags, mode);
}

EXPORTED int open64(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_file(path, flags, mode);
}

EXPORTED int mkdir(const char *path, mode_t mode) {
  int result = (int)syscall(SYS_mkdir, path, mode);
  if (result == 0) disk_made(path);
  return result;
}

EXPORTED int rename(const char *from, const char *to) {
  if (is_there(from)) disk_renamed(from, to);
  return (int)syscall(SYS_rename, from, to);
}

EXPORTED int unlink(const char *path) {
  if (is_there(path)) disk_removed(path);
  return (int)syscall(SYS_unlink, path);
}
