/* SPDX-License-Identifier: Apache-2.0 */
/* Files, and what may be a file or a socket. What is neither (eventfd, epoll, pipe) does not fail like this in any kernel, and is left alone. */
#define _GNU_SOURCE /* RTLD_NEXT, the names that end in 64 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "calls.h"

typedef enum ch_sort { SORT_OTHER, SORT_FILE, SORT_SOCKET } ch_sort;

static ch_sort sort_of(int fd) {
  struct stat about;
  int before = errno;
  int error = fstat(fd, &about);
  errno = before;
  if (error) return SORT_OTHER;
  return S_ISREG(about.st_mode) || S_ISDIR(about.st_mode) ? SORT_FILE : S_ISSOCK(about.st_mode) ? SORT_SOCKET : SORT_OTHER;
}

/* As failure_next, for a transfer on fd. */
static int ask(int fd, failure_call of_file, failure_call of_socket, const char *name, const void *caller) {
  ch_sort what = sort_of(fd);
  return what == SORT_OTHER ? 0 : failure_next(what == SORT_FILE ? of_file : of_socket, name, caller);
}

/* A transfer of len bytes: all of it, half of it (of one byte: all), or none with an error. */
#define TRANSFER(verdict, len, whole, half)                                                                                                \
  do {                                                                                                                                     \
    int verdict_ = verdict;                                                                                                                \
    if (verdict_ == -1 && (len) > 1) return half;                                                                                          \
    if (verdict_ <= 0) return whole;                                                                                                       \
    errno = verdict_;                                                                                                                      \
    return -1;                                                                                                                             \
  } while (0)

#define CALLER __builtin_return_address(0)

ssize_t read(int fd, void *out, size_t len) {
  NEXT(read);
  TRANSFER(ask(fd, CALL_READ, CALL_RECEIVE, "read", CALLER), len, next(fd, out, len), next(fd, out, len / 2));
}

ssize_t write(int fd, const void *data, size_t len) {
  NEXT(write);
  TRANSFER(ask(fd, CALL_WRITE, CALL_SEND, "write", CALLER), len, next(fd, data, len), next(fd, data, len / 2));
}

ssize_t pread(int fd, void *out, size_t len, off_t at) {
  NEXT(pread);
  TRANSFER(ASK(CALL_READ, "pread"), len, next(fd, out, len, at), next(fd, out, len / 2, at));
}

ssize_t pread64(int fd, void *out, size_t len, off64_t at) {
  NEXT(pread64);
  TRANSFER(ASK(CALL_READ, "pread64"), len, next(fd, out, len, at), next(fd, out, len / 2, at));
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at) {
  NEXT(pwrite);
  TRANSFER(ASK(CALL_WRITE, "pwrite"), len, next(fd, data, len, at), next(fd, data, len / 2, at));
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at) {
  NEXT(pwrite64);
  TRANSFER(ASK(CALL_WRITE, "pwrite64"), len, next(fd, data, len, at), next(fd, data, len / 2, at));
}

ssize_t readv(int fd, const struct iovec *parts, int count) {
  NEXT(readv);
  TRANSFER(ask(fd, CALL_READ, CALL_RECEIVE, "readv", CALLER), count, next(fd, parts, count), next(fd, parts, count / 2));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  NEXT(writev);
  TRANSFER(ask(fd, CALL_WRITE, CALL_SEND, "writev", CALLER), count, next(fd, parts, count), next(fd, parts, count / 2));
}

int fsync(int fd) {
  NEXT(fsync);
  FAIL_IF(CALL_SYNC, "fsync");
  return next(fd);
}

int fdatasync(int fd) {
  NEXT(fdatasync);
  FAIL_IF(CALL_SYNC, "fdatasync");
  return next(fd);
}

static int mode_given(int flags, va_list rest) {
  return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0;
}

static failure_call opening(int flags) {
  return flags & O_CREAT ? CALL_CREATE : CALL_OPEN;
}

#define OPEN(name)                                                                                                                         \
  int name(const char *path, int flags, ...) {                                                                                             \
    NEXT(name);                                                                                                                            \
    va_list rest;                                                                                                                          \
    va_start(rest, flags);                                                                                                                 \
    int mode = mode_given(flags, rest);                                                                                                    \
    va_end(rest);                                                                                                                          \
    FAIL_IF(opening(flags), #name);                                                                                                        \
    return next(path, flags, mode);                                                                                                        \
  }
OPEN(open)
OPEN(open64)

/* What open() is called when it is compiled with _FORTIFY_SOURCE and without a mode. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);

int __open_2(const char *path, int flags) {
  NEXT(__open_2);
  FAIL_IF(opening(flags), "open");
  return next(path, flags);
}

int __open64_2(const char *path, int flags) {
  NEXT(__open64_2);
  FAIL_IF(opening(flags), "open64");
  return next(path, flags);
}

FILE *fopen(const char *path, const char *mode) {
  NEXT(fopen);
  int error = ASK(mode[0] == 'r' ? CALL_OPEN : CALL_CREATE, "fopen");
  if (error) errno = error;
  return error ? NULL : next(path, mode);
}

int rename(const char *old, const char *new) {
  NEXT(rename);
  FAIL_IF(CALL_RENAME, "rename");
  return next(old, new);
}

int mkdir(const char *path, mode_t mode) {
  NEXT(mkdir);
  FAIL_IF(CALL_RENAME, "mkdir");
  return next(path, mode);
}

int unlink(const char *path) {
  NEXT(unlink);
  FAIL_IF(CALL_UNLINK, "unlink");
  return next(path);
}

int ftruncate(int fd, off_t len) {
  NEXT(ftruncate);
  FAIL_IF(CALL_SIZE, "ftruncate");
  return next(fd, len);
}

int ftruncate64(int fd, off64_t len) {
  NEXT(ftruncate64);
  FAIL_IF(CALL_SIZE, "ftruncate64");
  return next(fd, len);
}

int flock(int fd, int operation) {
  NEXT(flock);
  if (!(operation & LOCK_UN)) FAIL_IF(CALL_LOCK, "flock");
  return next(fd, operation);
}

/* Giving a lock back does not fail. */
static int takes_lock(int command, const void *arg) {
  int sets = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
  return sets && ((const struct flock *)arg)->l_type != F_UNLCK;
}

#define FCNTL(name)                                                                                                                        \
  int name(int fd, int command, ...) {                                                                                                     \
    NEXT(name);                                                                                                                            \
    va_list rest;                                                                                                                          \
    va_start(rest, command);                                                                                                               \
    void *arg = va_arg(rest, void *);                                                                                                      \
    va_end(rest);                                                                                                                          \
    if (takes_lock(command, arg)) FAIL_IF(CALL_LOCK, #name);                                                                               \
    return next(fd, command, arg);                                                                                                         \
  }
FCNTL(fcntl)
FCNTL(fcntl64)

static int map_fails(int fd, const char *name, const void *caller) {
  int error = fd >= 0 ? failure_next(CALL_MAP, name, caller) : 0;
  if (error) errno = error;
  return error;
}

void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset) {
  NEXT(mmap);
  return map_fails(fd, "mmap", CALLER) ? MAP_FAILED : next(at, len, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t len, int protection, int flags, int fd, off64_t offset) {
  NEXT(mmap64);
  return map_fails(fd, "mmap64", CALLER) ? MAP_FAILED : next(at, len, protection, flags, fd, offset);
}
