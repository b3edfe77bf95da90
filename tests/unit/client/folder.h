/* SPDX-License-Identifier: Apache-2.0 */
/* folder.h - a temporary folder for a test's databases, and what the kernel says of its files. */
#ifndef CH_TEST_FOLDER_H
#define CH_TEST_FOLDER_H

#include <check.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct folder {
  char path[64];
  char file[512]; /* what folder_path gave last */
} folder;

static inline folder folder_make(void) {
  folder dir = {.path = "/tmp/chat-client-XXXXXX"};
  ck_assert_ptr_nonnull(mkdtemp(dir.path));
  return dir;
}

/* Lives until the next call. */
static inline const char *folder_path(folder *dir, const char *name) {
  snprintf(dir->file, sizeof dir->file, "%s/%s", dir->path, name);
  return dir->file;
}

/* For each file: visit returns true to end, which is then the result. */
static inline bool folder_any(folder *dir, bool (*visit)(const char *path, void *arg), void *arg) {
  DIR *stream = opendir(dir->path);
  bool any = false;
  ck_assert_ptr_nonnull(stream);
  for (struct dirent *entry = readdir(stream); entry && !any; entry = readdir(stream))
    if (entry->d_name[0] != '.') any = visit(folder_path(dir, entry->d_name), arg);
  closedir(stream);
  return any;
}

static inline bool folder_unlink(const char *path, void *arg) {
  (void)arg;
  unlink(path);
  return false;
}

static inline void folder_remove(folder *dir) {
  folder_any(dir, folder_unlink, NULL);
  rmdir(dir->path);
}

/* /proc/locks names the inode of each file that somebody has locked, whatever the kind of lock. */
static inline bool folder_is_locked(const char *path, void *arg) {
  struct stat file;
  char line[256], wanted[64];
  bool is_locked = false;
  (void)arg;
  if (stat(path, &file)) return false;
  snprintf(wanted, sizeof wanted, ":%llu ", (unsigned long long)file.st_ino);
  FILE *locks = fopen("/proc/locks", "r");
  ck_assert_ptr_nonnull(locks);
  while (!is_locked && fgets(line, sizeof line, locks))
    is_locked = strstr(line, wanted) != NULL;
  fclose(locks);
  return is_locked;
}

static inline bool folder_has_locks(folder *dir) {
  return folder_any(dir, folder_is_locked, NULL);
}

typedef struct folder_needle {
  const void *bytes;
  size_t len;
} folder_needle;

static inline bool folder_file_holds(const char *path, void *arg) {
  const folder_needle *needle = arg;
  struct stat facts;
  FILE *file = fopen(path, "rb");
  ck_assert_ptr_nonnull(file);
  ck_assert_int_eq(fstat(fileno(file), &facts), 0);
  char *bytes = malloc((size_t)facts.st_size + 1);
  size_t len = fread(bytes, 1, (size_t)facts.st_size, file);
  bool holds = false;
  for (size_t at = 0; at + needle->len <= len && !holds; at++)
    holds = memcmp(bytes + at, needle->bytes, needle->len) == 0;
  free(bytes);
  fclose(file);
  return holds;
}

/* Do the bytes stand in any of the files? */
static inline bool folder_holds(folder *dir, const char *text) {
  folder_needle needle = {text, strlen(text)};
  return folder_any(dir, folder_file_holds, &needle);
}

#endif
