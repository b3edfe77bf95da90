/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "power/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/assert.h"

enum { DEPTH_MAX = 4 }; /* of folders below the folder */

/* A write that is not synced, or a truncation. */
typedef struct change {
  struct change *next;
  off_t at; /* truncation: the length */
  bool truncates;
  size_t len;
  uint8_t data[];
} change;

typedef struct file {
  struct file *next;
  dev_t device;
  ino_t number; /* 0: nobody can come to it any more but by an open descriptor */
  bool is_folder;
  uint8_t *bytes; /* durable */
  size_t len;
  change *first, **last;
} file;

typedef struct name {
  struct name *next;
  char *path;
  file *file;
} name;

typedef enum change_of_name { MADE, RENAMED, REMOVED } change_of_name;

typedef struct naming {
  struct naming *next;
  change_of_name what;
  char *path, *to;
  file *file;
} naming;

static struct {
  pthread_mutex_t lock;
  char folder[PATH_MAX];
  uint32_t calls; /* until the cut; 0: never */
  uint64_t random;
  file *files;
  name *names; /* durable */
  naming *namings, **last_naming;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .last_naming = &disk.namings};

static uint64_t draw(uint64_t below) {
  uint64_t z = disk.random += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return (z ^ z >> 31) % below;
}

static void *must(void *memory) {
  ch_assert(memory);
  return memory;
}

/* ------------------------------------------------------------------------------------------------ files */

static file *add_file(const struct stat *info) {
  file *added = must(calloc(1, sizeof *added));
  *added = (file){.next = disk.files, .device = info->st_dev, .number = info->st_ino, .is_folder = S_ISDIR(info->st_mode)};
  added->last = &added->first;
  disk.files = added;
  return added;
}

static file *find_file(const struct stat *info) {
  for (file *f = disk.files; f; f = f->next)
    if (f->number == info->st_ino && f->device == info->st_dev) return f;
  return NULL;
}

static file *file_of(int fd) {
  struct stat info;
  return disk.folder[0] && fstat(fd, &info) == 0 ? find_file(&info) : NULL;
}

static void grow(file *f, size_t len) {
  if (len <= f->len) return;
  f->bytes = must(realloc(f->bytes, len));
  memset(f->bytes + f->len, 0, len - f->len);
  f->len = len;
}

static void put(file *f, const uint8_t *data, size_t len, size_t at) {
  grow(f, at + len);
  memcpy(f->bytes + at, data, len);
}

static void set_len(file *f, size_t len) {
  grow(f, len);
  f->len = len;
}

static void add_change(file *f, change *c) {
  c->next = NULL;
  *f->last = c;
  f->last = &c->next;
}

static void apply(file *f, const change *c) {
  if (c->truncates)
    set_len(f, (size_t)c->at);
  else
    put(f, c->data, c->len, (size_t)c->at);
}

static void sync_file(file *f) {
  for (change *c = f->first, *next; c; c = next) {
    next = c->next;
    apply(f, c);
    free(c);
  }
  f->first = NULL;
  f->last = &f->first;
}

/* ------------------------------------------------------------------------------------------------ names */

/* "/a/b/../c" is "/a/c"; here only a trailing "/.." comes. */
static char *plain(const char *path) {
  char *copy = must(strdup(path));
  size_t len = strlen(copy);
  if (len < 3 || strcmp(copy + len - 3, "/..") != 0) return copy;
  copy[len - 3] = 0;
  *strrchr(copy, '/') = 0;
  return copy;
}

static bool is_below(const char *path, const char *folder) {
  size_t len = strlen(folder);
  return len > 0 && strncmp(path, folder, len) == 0 && path[len] == '/';
}

static bool is_in(const char *path, const char *folder) {
  return is_below(path, folder) && !strchr(path + strlen(folder) + 1, '/');
}

/* Memory that SQLite's connections share has a name by accident. */
static bool counts(const char *path) {
  size_t len = strlen(path);
  return is_below(path, disk.folder) && (len < 4 || strcmp(path + len - 4, "-shm") != 0);
}

static name **find_name(const char *path) {
  name **at = &disk.names;
  while (*at && strcmp((*at)->path, path) != 0)
    at = &(*at)->next;
  return at;
}

static void drop_name(const char *path) {
  name **at = find_name(path), *gone = *at;
  if (!gone) return;
  *at = gone->next;
  free(gone->path);
  free(gone);
}

static void add_name(const char *path, file *f) {
  drop_name(path);
  name *added = must(malloc(sizeof *added));
  *added = (name){disk.names, must(strdup(path)), f};
  disk.names = added;
}

static void apply_naming(const naming *n) {
  if (n->what == MADE) add_name(n->path, n->file);
  if (n->what != MADE) drop_name(n->path);
  if (n->what == RENAMED) add_name(n->to, n->file);
}

/* The first `count` that wait for a folder's sync. */
static void apply_namings(const char *folder, size_t count) {
  for (naming **at = &disk.namings, *n; (n = *at) && count > 0;) {
    if (!is_in(n->path, folder)) {
      at = &n->next;
      continue;
    }
    apply_naming(n);
    *at = n->next;
    free(n->path);
    free(n->to);
    free(n);
    count--;
  }
  for (disk.last_naming = &disk.namings; *disk.last_naming;)
    disk.last_naming = &(*disk.last_naming)->next;
}

static size_t count_namings(const char *folder) {
  size_t count = 0;
  for (const naming *n = disk.namings; n; n = n->next)
    count += is_in(n->path, folder);
  return count;
}

static void add_naming(change_of_name what, const char *path, const char *to, file *f) {
  naming *n = must(malloc(sizeof *n));
  *n = (naming){NULL, what, must(strdup(path)), to ? must(strdup(to)) : NULL, f};
  *disk.last_naming = n;
  disk.last_naming = &n->next;
}

/* ------------------------------------------------------------------------------------------------ what survives */

/* A draw for the whole disk: nothing of what was not synced, all of it, some of it, or all up to a moment. */
typedef struct luck {
  uint32_t percent; /* of sectors that are there */
  bool in_order;    /* up to a moment, of each file its own; the write at that moment is torn */
} luck;

static luck draw_luck(void) {
  static const uint32_t percents[] = {0, 10, 50, 90, 100};
  return (luck){percents[draw(5)], draw(3) == 0};
}

static void keep_sectors(file *f, const change *c, uint32_t percent) {
  for (size_t done = 0; done < c->len;) {
    size_t at = (size_t)c->at + done, len = DISK_SECTOR - at % DISK_SECTOR;
    if (len > c->len - done) len = c->len - done;
    if (draw(100) < percent) put(f, c->data + done, len, at);
    done += len;
  }
}

static void keep_some(file *f, const change *c, uint32_t percent) {
  if (!c->truncates)
    keep_sectors(f, c, percent);
  else if (draw(100) < percent)
    apply(f, c);
}

static void keep_until(file *f, size_t count) {
  const change *c = f->first;
  for (; c && count > 0; c = c->next, count--)
    apply(f, c);
  if (c) keep_some(f, c, 50);
}

static void survive(file *f, luck drawn) {
  size_t count = 0;
  for (const change *c = f->first; c; c = c->next)
    count++;
  if (drawn.in_order) {
    keep_until(f, draw(count + 1));
    return;
  }
  for (const change *c = f->first; c; c = c->next)
    keep_some(f, c, drawn.percent);
}

static void survive_names(void) {
  for (const file *f = disk.files; f; f = f->next) {
    if (!f->is_folder) continue;
    for (const name *n = disk.names; n; n = n->next)
      if (n->file == f) {
        size_t count = count_namings(n->path);
        apply_namings(n->path, draw(count + 1));
        break;
      }
  }
  apply_namings(disk.folder, draw(count_namings(disk.folder) + 1));
}

/* ------------------------------------------------------------------------------------------------ the folder as the cut has left it */

static void remove_tree(const char *folder) {
  char path[PATH_MAX * 2];
  DIR *dir = opendir(folder);
  for (struct dirent *entry; dir && (entry = readdir(dir));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (entry->d_type == DT_DIR)
      remove_tree(path);
    else
      syscall(SYS_unlink, path);
  }
  if (dir) closedir(dir);
  rmdir(folder);
}

static void name_beside(char out[PATH_MAX * 2], const char *folder, const char *rest) {
  snprintf(out, PATH_MAX * 2, "%s.cut%s", folder, rest);
}

static void write_file(const char *path, const file *f) {
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (fd < 0) return; /* its folder was lost */
  ch_assert(f->len == 0 || syscall(SYS_pwrite64, fd, f->bytes, f->len, 0) == (ssize_t)f->len);
  close(fd);
}

static void write_names(bool folders) {
  char path[PATH_MAX * 2];
  for (const name *n = disk.names; n; n = n->next) {
    if (n->file->is_folder != folders) continue;
    name_beside(path, disk.folder, n->path + strlen(disk.folder));
    if (folders)
      syscall(SYS_mkdir, path, 0700);
    else
      write_file(path, n->file);
  }
}

/* Beside the folder, where other threads are still at work. */
static void write_all(void) {
  char path[PATH_MAX * 2];
  name_beside(path, disk.folder, "");
  syscall(SYS_mkdir, path, 0700);
  for (int depth = 0; depth < DEPTH_MAX; depth++)
    write_names(true);
  write_names(false);
}

static void cut(void) {
  luck drawn = draw_luck();
  survive_names();
  for (file *f = disk.files; f; f = f->next)
    survive(f, drawn);
  write_all();
  _exit(DISK_CUT);
}

void disk_after_cut(const char *folder) {
  char path[PATH_MAX * 2];
  name_beside(path, folder, "");
  remove_tree(folder);
  ch_assert(syscall(SYS_rename, path, folder) == 0);
}

/* Under the lock, which the process then ends with. */
static bool is_the_end(void) {
  return disk.calls > 0 && --disk.calls == 0;
}

/* ------------------------------------------------------------------------------------------------ beginning */

static void read_file(file *f, const char *path) {
  struct stat info;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
  ch_assert(fd >= 0 && fstat(fd, &info) == 0);
  grow(f, (size_t)info.st_size);
  ch_assert(pread(fd, f->bytes, f->len, 0) == (ssize_t)f->len);
  close(fd);
}

static void read_tree(const char *folder) {
  char path[PATH_MAX * 2];
  struct stat info;
  DIR *dir = must(opendir(folder));
  for (struct dirent *entry; (entry = readdir(dir));) {
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || !counts(path)) continue;
    ch_assert(lstat(path, &info) == 0);
    file *f = add_file(&info);
    add_name(path, f);
    if (f->is_folder)
      read_tree(path);
    else
      read_file(f, path);
  }
  closedir(dir);
}

void disk_begin(const char *folder, uint32_t calls, uint64_t seed) {
  snprintf(disk.folder, sizeof disk.folder, "%s", folder);
  disk.calls = calls;
  disk.random = seed;
  read_tree(folder);
}

/* ------------------------------------------------------------------------------------------------ calls */

static void changed(int fd, change *c) {
  pthread_mutex_lock(&disk.lock);
  file *f = file_of(fd);
  if (f) {
    add_change(f, c);
    if (is_the_end()) cut();
  } else {
    free(c);
  }
  pthread_mutex_unlock(&disk.lock);
}

void disk_write(int fd, const void *data, size_t len, off_t at) {
  change *c = must(malloc(sizeof *c + len));
  *c = (change){.at = at, .len = len};
  memcpy(c->data, data, len);
  changed(fd, c);
}

void disk_truncate(int fd, off_t len) {
  change *c = must(malloc(sizeof *c));
  *c = (change){.at = len, .truncates = true};
  changed(fd, c);
}

static void sync_folder(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, path, sizeof path - 1);
  ch_assert(len > 0);
  path[len] = 0;
  apply_namings(path, SIZE_MAX);
}

/* The power goes before it, or when it is done and nobody knows. */
void disk_sync(int fd) {
  struct stat info;
  pthread_mutex_lock(&disk.lock);
  bool is_folder = fstat(fd, &info) == 0 && S_ISDIR(info.st_mode), ends = is_the_end(), done = !ends || draw(2);
  file *f = file_of(fd);
  if (done && is_folder)
    sync_folder(fd);
  else if (done && f)
    sync_file(f);
  if (ends) cut();
  pthread_mutex_unlock(&disk.lock);
}

/* A number that a file had which is gone may be another's now. */
static void forget_number(const struct stat *info) {
  file *old = find_file(info);
  if (old) old->number = 0;
}

void disk_made(const char *given) {
  struct stat info;
  char *path = plain(given);
  pthread_mutex_lock(&disk.lock);
  if (counts(path) && lstat(path, &info) == 0) {
    forget_number(&info);
    add_naming(MADE, path, NULL, add_file(&info));
    if (is_the_end()) cut();
  }
  pthread_mutex_unlock(&disk.lock);
  free(path);
}

static void renamed(change_of_name what, const char *path, const char *to) {
  struct stat info;
  pthread_mutex_lock(&disk.lock);
  file *f = counts(path) && lstat(path, &info) == 0 ? find_file(&info) : NULL;
  if (f) {
    add_naming(what, path, to, f);
    if (is_the_end()) cut();
  }
  pthread_mutex_unlock(&disk.lock);
}

void disk_renamed(const char *from, const char *to) {
  renamed(RENAMED, from, to);
}

void disk_removed(const char *path) {
  renamed(REMOVED, path, NULL);
}
