/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the database: lock, open, check, transactions, damage, wipe.
 *
 * Durability. PRAGMA synchronous cannot change inside a transaction, and FULL would sync every commit. So it is NORMAL, where a commit is only written to the log (WAL: in order,
 * each frame with a checksum, so that a torn end is no part of it), and a durable commit then syncs the log's file itself: with it everything that was committed before.
 */
#define _GNU_SOURCE /* flock, O_CLOEXEC */
#include "backend/cache_sqlite/cache_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/cache_sqlite/cache.h"
#include "backend/cache_sqlite/salvage.h"
#include "backend/cache_sqlite/schema.h"
#include "core/assert.h"
#include "platform/platform.h"

/* ------------------------------------------------------------------------------------------------ files */

enum { SUFFIX_MAX = 32, DAMAGED_MAX = 10000 };

static char *name_with(const ch_cache_sqlite *self, const char *suffix) {
  size_t len = strlen(self->path) + strlen(suffix) + SUFFIX_MAX;
  char *name = ch_alloc(self->alloc, len);
  if (name) snprintf(name, len, "%s%s", self->path, suffix);
  return name;
}

static bool exists(const char *name) {
  struct stat info;
  return stat(name, &info) == 0;
}

static int remove_file(const ch_cache_sqlite *self, const char *suffix) {
  char *name = name_with(self, suffix);
  if (!name) return CHAT_E_NOMEM;
  int error = unlink(name) == 0 || errno == ENOENT ? 0 : ch_platform_file_error(errno);
  ch_free(self->alloc, name);
  return error;
}

static int move_file(const ch_cache_sqlite *self, const char *from_suffix, const char *to_suffix) {
  char *from = name_with(self, from_suffix), *to = name_with(self, to_suffix);
  int error = !from || !to ? CHAT_E_NOMEM : rename(from, to) == 0 || errno == ENOENT ? 0 : ch_platform_file_error(errno);
  ch_free(self->alloc, from);
  ch_free(self->alloc, to);
  return error;
}

/* Names are durable with their folder. */
static int sync_folder(const ch_cache_sqlite *self) {
  char *name = name_with(self, "");
  if (!name) return CHAT_E_NOMEM;
  char *slash = strrchr(name, '/');
  if (slash) slash[slash == name] = 0;
  int fd = open(slash ? name : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int error = fd >= 0 && fsync(fd) == 0 ? 0 : ch_platform_file_error(errno);
  if (fd >= 0) close(fd);
  ch_free(self->alloc, name);
  return error;
}

/* A file of its own: closing any descriptor of the database file would drop SQLite's locks on it. */
static int take_lock(ch_cache_sqlite *self) {
  if (self->lock_fd >= 0) return 0;
  char *name = name_with(self, "-lock");
  if (!name) return CHAT_E_NOMEM;
  int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ch_free(self->alloc, name);
  if (fd < 0) return ch_platform_file_error(errno);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
    self->lock_fd = fd;
    return 0;
  }
  int error = errno == EWOULDBLOCK ? CHAT_E_BUSY : CHAT_E_IO;
  close(fd);
  return error;
}

static void drop_lock(ch_cache_sqlite *self) {
  if (self->lock_fd >= 0) close(self->lock_fd);
  self->lock_fd = -1;
}

/* Only its owner may read it. */
static int make_private(const char *name) {
  int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ch_platform_file_error(errno);
  close(fd);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ opening */

static int open_file(const char *name, ch_sqlite_db *db) {
  int error = make_private(name);
  if (error) return error;
  error = ch_sqlite_open(db, name, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX);
  if (error) return error;
  sqlite3_extended_result_codes(db->handle, 1);
  sqlite3_busy_timeout(db->handle, 2000); /* somebody looks into it with another program */
  error = ch_sqlite_exec(db->handle, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = FAST; PRAGMA trusted_schema = OFF;");
  if (!error) error = ch_sqlite_exec(db->handle, "PRAGMA journal_mode = WAL");
  if (!error) error = ch_cache_schema_migrate(db->handle, ch_cache_schema_steps, ch_cache_schema_step_count);
  return error == CHAT_E_AGAIN ? CHAT_E_IO : error; /* it still looks */
}

static int check_unless_clean(ch_sqlite_db *db) {
  sqlite3_stmt *statement;
  int error = ch_sqlite_query(db, CH_SQL_CLEAN_GET, &statement, "");
  if (!error) error = ch_sqlite_step(statement);
  if (error <= 0) return error ? error : CHAT_E_CORRUPT;
  bool is_clean = sqlite3_column_int(statement, 0) == 1;
  ch_sqlite_end(statement);
  if (!is_clean) error = ch_sqlite_check(db->handle);
  else error = ch_sqlite_run(db, CH_SQL_CLEAN_SET, "u", (uint64_t)0);
  return error < 0 ? error : ch_sqlite_sync_log(db->handle);
}

static void close_db(ch_cache_sqlite *self) {
  pthread_mutex_lock(&self->closing);
  ch_sqlite_close(&self->db);
  pthread_mutex_unlock(&self->closing);
  self->place = 0;
  self->is_broken = false;
}

/* A set_aside that ended between its two renames has left a complete database under the other name. */
static int finish_set_aside(ch_cache_sqlite *self) {
  return exists(self->path) ? 0 : move_file(self, "-new", "");
}

static int open_all(ch_cache_sqlite *self) {
  ch_sqlite_db db = {.sql = ch_cache_sql};
  uint64_t indexed;
  int error = finish_set_aside(self);
  if (!error) error = open_file(self->path, &db);
  if (!error) error = sync_folder(self);
  if (!error) error = check_unless_clean(&db);
  if (!error) error = ch_sqlite_number(&db, CH_SQL_INDEXED_GET, &indexed, "");
  if (!error) error = ch_sqlite_query(&db, CH_SQL_ROLLBACK, &(sqlite3_stmt *){NULL}, ""); /* now, so that memory for it is there when it is out */
  if (error) {
    ch_sqlite_close(&db);
    return error;
  }
  pthread_mutex_lock(&self->closing);
  self->db = db;
  pthread_mutex_unlock(&self->closing);
  self->indexed = indexed;
  return 0;
}

static int cache_open(void *arg) {
  ch_cache_sqlite *self = arg;
  if (self->db.handle) return CHAT_E_BUSY;
  int error = take_lock(self);
  if (error) return error;
  error = open_all(self);
  if (error && error != CHAT_E_CORRUPT) drop_lock(self); /* what is damaged stays ours until set_aside or close */
  return error;
}

static void cache_rollback(void *arg) {
  ch_cache_sqlite *self = arg;
  self->place = 0; /* it may have been made in this transaction */
  if (self->db.handle && !sqlite3_get_autocommit(self->db.handle)) ch_sqlite_run(&self->db, CH_SQL_ROLLBACK, "");
}

static void cache_close(void *arg) {
  ch_cache_sqlite *self = arg;
  cache_rollback(self);
  if (self->db.handle && !self->is_broken) ch_sqlite_run(&self->db, CH_SQL_CLEAN_SET, "u", (uint64_t)1);
  close_db(self);
  drop_lock(self);
}

/* ------------------------------------------------------------------------------------------------ transactions */

static int cache_begin(void *arg) {
  ch_cache_sqlite *self = arg;
  ch_assert(self->db.handle);
  if (self->is_broken) return CHAT_E_IO;
  int error = ch_sqlite_settle(self->db.handle);
  return error ? error : ch_sqlite_run(&self->db, CH_SQL_BEGIN, "");
}

static int cache_commit(void *arg, int durable) {
  ch_cache_sqlite *self = arg;
  int error = ch_sqlite_run(&self->db, CH_SQL_COMMIT, "");
  if (error || !durable) return error;
  error = ch_sqlite_sync_log(self->db.handle);
  self->is_broken = error != 0;
  return error;
}

static void cache_interrupt(void *arg) {
  ch_cache_sqlite *self = arg;
  pthread_mutex_lock(&self->closing);
  if (self->db.handle) sqlite3_interrupt(self->db.handle);
  pthread_mutex_unlock(&self->closing);
}

/* ------------------------------------------------------------------------------------------------ damage, wipe */

/* A whole new database beside the damaged one, in one file. */
static int build_new(ch_cache_sqlite *self) {
  ch_sqlite_db db = {.sql = ch_cache_sql};
  char *name = name_with(self, "-new");
  if (!name) return CHAT_E_NOMEM;
  int error = remove_file(self, "-new");
  if (!error) error = remove_file(self, "-new-wal");
  if (!error) error = open_file(name, &db);
  if (!error) error = ch_sqlite_run(&db, CH_SQL_BEGIN, "");
  if (!error) error = ch_cache_salvage(self->path, db.handle);
  if (!error) error = ch_sqlite_run(&db, CH_SQL_COMMIT, "");
  if (!error) error = ch_sqlite_exec(db.handle, "PRAGMA wal_checkpoint(TRUNCATE)"); /* syncs */
  ch_sqlite_close(&db);
  ch_free(self->alloc, name);
  return error;
}

static int free_damaged_name(const ch_cache_sqlite *self, char suffix[SUFFIX_MAX]) {
  for (int n = 1; n < DAMAGED_MAX; n++) {
    snprintf(suffix, SUFFIX_MAX, ".damaged-%d", n);
    char *name = name_with(self, suffix);
    if (!name) return CHAT_E_NOMEM;
    bool is_free = !exists(name);
    ch_free(self->alloc, name);
    if (is_free) return 0;
  }
  return CHAT_E_IO;
}

/* The log first: without its database it is not looked at, and the database without it is only older. */
static int swap_files(ch_cache_sqlite *self, const char *suffix) {
  char wal_suffix[SUFFIX_MAX + 8];
  snprintf(wal_suffix, sizeof wal_suffix, "%s-wal", suffix);
  int error = move_file(self, "-wal", wal_suffix);
  if (!error) error = move_file(self, "", suffix);
  if (!error) error = move_file(self, "-new", "");
  return error ? error : sync_folder(self);
}

static int set_aside(void *arg, char *name, size_t len) {
  ch_cache_sqlite *self = arg;
  char suffix[SUFFIX_MAX];
  if (self->db.handle) sqlite3_db_config(self->db.handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  cache_rollback(self);
  close_db(self);
  int error = take_lock(self);
  if (!error) error = free_damaged_name(self, suffix);
  if (!error) error = build_new(self);
  if (!error) error = swap_files(self, suffix);
  if (error) return error;
  if (len > 0) snprintf(name, len, "%s%s", self->path, suffix);
  return open_all(self);
}

static int remove_damaged(const ch_cache_sqlite *self) {
  char suffix[SUFFIX_MAX + 8];
  int error = 0;
  for (int n = 1; !error && n < DAMAGED_MAX; n++) {
    snprintf(suffix, sizeof suffix, ".damaged-%d", n);
    char *name = name_with(self, suffix);
    if (!name) return CHAT_E_NOMEM;
    bool is_there = exists(name);
    ch_free(self->alloc, name);
    if (!is_there) break;
    error = remove_file(self, suffix);
    snprintf(suffix, sizeof suffix, ".damaged-%d-wal", n);
    if (!error) error = remove_file(self, suffix);
  }
  return error;
}

static int remove_all(const ch_cache_sqlite *self) {
  static const char *const suffixes[] = {"", "-wal", "-new", "-new-wal"};
  int error = 0;
  for (size_t i = 0; !error && i < sizeof suffixes / sizeof *suffixes; i++)
    error = remove_file(self, suffixes[i]);
  if (!error) error = remove_damaged(self);
  return error ? error : sync_folder(self);
}

static int cache_wipe(void *arg) {
  ch_cache_sqlite *self = arg;
  bool was_open = self->db.handle != NULL;
  int error = take_lock(self);
  if (error) return error;
  cache_rollback(self);
  close_db(self);
  error = remove_all(self);
  if (!error) error = open_all(self);
  if (!was_open && self->db.handle) cache_close(self);
  if (!self->db.handle) drop_lock(self);
  return error;
}

static void cache_free(void *arg) {
  ch_cache_sqlite *self = arg;
  if (!self) return;
  cache_close(self);
  ch_buf_fini(&self->scratch);
  pthread_mutex_destroy(&self->closing);
  ch_free(self->alloc, self->path);
  ch_free(self->alloc, self);
}

/* ------------------------------------------------------------------------------------------------ */

static const chat_cache_vtable vtable = {
    .size = sizeof vtable,
    .name = "cache_sqlite",
    .open = cache_open,
    .close = cache_close,
    .set_aside = set_aside,
    .wipe = cache_wipe,
    .begin = cache_begin,
    .commit = cache_commit,
    .rollback = cache_rollback,
    .interrupt = cache_interrupt,
    .value_get = ch_cache_value_get,
    .value_put = ch_cache_value_put,
    .outbox_put = ch_cache_outbox_put,
    .outbox_remove = ch_cache_outbox_remove,
    .outbox_list = ch_cache_outbox_list,
    .conversation_put = ch_cache_conversation_put,
    .conversation_list = ch_cache_conversation_list,
    .members_replace = ch_cache_members_replace,
    .member_mark = ch_cache_member_mark,
    .members_list = ch_cache_members_list,
    .row_put = ch_cache_row_put,
    .row_remove = ch_cache_row_remove,
    .rows = ch_cache_rows,
    .row_by_client_id = ch_cache_row_by_client_id,
    .cover = ch_cache_cover,
    .covered = ch_cache_covered,
    .history_forget = ch_cache_history_forget,
    .search = ch_cache_search,
    .index = ch_cache_index,
    .free = cache_free,
};

int ch_cache_sqlite_new(const chat_allocator *alloc, const char *path, chat_cache **cache) {
  if (!path || !path[0]) return CHAT_E_INVALID;
  ch_cache_sqlite *self = ch_calloc(alloc, 1, sizeof *self);
  if (!self) return CHAT_E_NOMEM;
  size_t len = strlen(path) + 1;
  self->path = ch_alloc(alloc, len);
  if (!self->path) {
    ch_free(alloc, self);
    return CHAT_E_NOMEM;
  }
  memcpy(self->path, path, len);
  self->base = (chat_cache){.vtable = &vtable, .self = self};
  self->alloc = alloc;
  self->lock_fd = -1;
  pthread_mutex_init(&self->closing, NULL);
  ch_buf_init(&self->scratch, alloc, CHAT_FRAME_MAX);
  *cache = &self->base;
  return 0;
}
