/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/sqlite_file.h"

#include <stdio.h>

/* The system has a table of methods for each way of locking: databases lock, their logs do not. */
enum { TABLES_MAX = 4 };
typedef struct table {
  sqlite3_io_methods methods; /* first: what a file points to */
  const sqlite3_io_methods *system;
} table;

/* Of the process, behind SQLite's own lock for that. */
static sqlite3_vfs vfs;
static table tables[TABLES_MAX];
static char name[32];
static unsigned users;

static sqlite3_mutex *lock(void) {
  sqlite3_mutex *mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP1);
  sqlite3_mutex_enter(mutex);
  return mutex;
}

static int read_file(sqlite3_file *file, void *out, int len, sqlite3_int64 at) {
  const table *of = (const table *)(const void *)file->pMethods;
  int code = of->system->xRead(file, out, len, at);
  return code == SQLITE_IOERR_CORRUPTFS ? SQLITE_IOERR_READ : code;
}

/* The system's own where there are more than are known of any system. */
static const sqlite3_io_methods *methods_for(const sqlite3_io_methods *system) {
  const sqlite3_io_methods *found = system;
  sqlite3_mutex *mutex = lock();
  for (int i = 0; i < TABLES_MAX && found == system; i++) {
    if (!tables[i].system) {
      tables[i] = (table){*system, system};
      tables[i].methods.xRead = read_file;
    }
    if (tables[i].system == system) found = &tables[i].methods;
  }
  sqlite3_mutex_leave(mutex);
  return found;
}

static int open_file(sqlite3_vfs *self, const char *path, sqlite3_file *file, int flags, int *out_flags) {
  sqlite3_vfs *system = sqlite3_vfs_find(NULL);
  (void)self;
  int code = system->xOpen(system, path, file, flags, out_flags);
  if (code == SQLITE_OK && file->pMethods) file->pMethods = methods_for(file->pMethods);
  return code;
}

static int begin_use(void) {
  sqlite3_vfs *system = sqlite3_vfs_find(NULL);
  int code = system ? SQLITE_OK : SQLITE_ERROR;
  sqlite3_mutex *mutex = lock();
  if (!code && users == 0) {
    snprintf(name, sizeof name, "libchat-%p", (void *)&vfs);
    vfs = *system;
    vfs.zName = name;
    vfs.pNext = NULL;
    vfs.xOpen = open_file;
    code = sqlite3_vfs_register(&vfs, 0);
  }
  users += code == SQLITE_OK;
  sqlite3_mutex_leave(mutex);
  return code;
}

static void end_use(void) {
  sqlite3_mutex *mutex = lock();
  if (--users == 0) sqlite3_vfs_unregister(&vfs);
  sqlite3_mutex_leave(mutex);
}

int ch_sqlite_file_open(const char *path, sqlite3 **handle, int flags) {
  *handle = NULL;
  int code = begin_use();
  if (code) return code;
  code = sqlite3_open_v2(path, handle, flags, name);
  if (!*handle) end_use(); /* no memory for it */
  return code;
}

void ch_sqlite_file_close(sqlite3 *handle) {
  if (!handle) return;
  sqlite3_close(handle);
  end_use();
}
