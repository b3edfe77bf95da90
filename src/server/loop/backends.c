/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/backends.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/directory_mem.h"
#include "backend/directory_redis/directory_redis.h"
#include "backend/link_mem.h"
#include "backend/log_file/log_file.h"
#include "backend/log_mem.h"
#include "backend/store_mem.h"
#include "backend/store_sqlite/store_sqlite.h"
#include "core/assert.h"
#include "platform/platform.h"
#include "server/loop/ask.h"

enum { PATH_LEN_MAX = CH_OPTION_TEXT_MAX + 32, LOG_MEM_BYTES_MAX = 256 * 1024 * 1024, STORE_READERS = 2, STORE_TAIL_ROWS = 32768, STORE_INDEX_MS = 500 };
enum { LINK_GATEWAYS_MAX = 256, LINK_DELIVERIES_MAX = 65536 };

static const char *const kind_names[CH_BACKEND_KIND_COUNT] = {"log", "store", "directory", "link", "hooks"};

const char *ch_backend_kind_name(ch_backend_kind kind) {
  return kind_names[kind];
}

/* ------------------------------------------------------------------------------------------------ one function for each version */

typedef int (*opener)(const ch_backends_config *config, chat_backend *backend, ch_buf *why);

static void path_in_data(const ch_backends_config *config, const char *name, char path[PATH_LEN_MAX]) {
  snprintf(path, PATH_LEN_MAX, "%s/%s", config->options->data, name);
}

/* Both stores derive heads: positions of one partition of "messages" are what users sync by. */
static int open_log_mem(const ch_backends_config *config, chat_backend *backend, ch_buf *why) {
  (void)why;
  ch_log_mem_config log = {.alloc = config->env->alloc, .clock = config->clock, .partitions = {1, 1}, .bytes_max = LOG_MEM_BYTES_MAX};
  config->env->random(config->env->random_arg, log.identity, sizeof log.identity);
  return ch_log_mem_new(&log, backend);
}

static int open_log_file(const ch_backends_config *config, chat_backend *backend, ch_buf *why) {
  char path[PATH_LEN_MAX];
  path_in_data(config, "log", path);
  ch_log_file_config log = {.alloc = config->env->alloc,
                            .clock = config->clock,
                            .random = {config->env->random, config->env->random_arg},
                            .path = path,
                            .partitions = {1, 1},
                            .epoch = (uint16_t)config->options->log_epoch,
                            .commit_ms = (uint32_t)config->options->log_commit_ms};
  uint64_t damaged = 0;
  int error = ch_log_file_new(&log, backend, &damaged);
  if (error == CHAT_E_INVALID) ch_buf_put_text(why, "log-epoch is below that of the log, ");
  if (error == CHAT_E_CORRUPT) ch_buf_printf(why, "damaged from position %" PRIu64 ", ", damaged);
  return error;
}

static int open_store_mem(const ch_backends_config *config, chat_backend *backend, ch_buf *why) {
  (void)why;
  return ch_store_mem_new(&(ch_store_mem_config){.alloc = config->env->alloc, .derives_heads = 1}, backend);
}

static int open_store_sqlite(const ch_backends_config *config, chat_backend *backend, ch_buf *why) {
  (void)why;
  char path[PATH_LEN_MAX];
  path_in_data(config, "store", path);
  ch_store_sqlite_config store = {.alloc = config->env->alloc,
                                  .path = path,
                                  .reader_threads = STORE_READERS,
                                  .sync = CH_STORE_SYNC_NORMAL,
                                  .tail_rows = STORE_TAIL_ROWS,
                                  .index_ms = STORE_INDEX_MS,
                                  .no_search = !config->options->search};
  return ch_store_sqlite_new(&store, backend);
}

static int open_directory_mem(const ch_backends_config *config, chat_backend *backend, ch_buf *why) {
  (void)why;
  ch_directory_mem_config directory = {.alloc = config->env->alloc, .clock = config->clock};
  config->env->random(config->env->random_arg, directory.seed, sizeof directory.seed);
  config->env->random(config->env->random_arg, &directory.epoch, sizeof directory.epoch);
  if (directory.epoch == 0) directory.epoch = 1;
  return ch_directory_mem_new(&directory, backend);
}

static int open_directory_redis(const ch_backends_config *config, chat_backend *backend, ch_buf *why) {
  ch_directory_redis_config directory = {.alloc = config->env->alloc, .random = {config->env->random, config->env->random_arg}, .url = config->options->directory};
  return ch_directory_redis_new(&directory, backend, why);
}

static int open_link_mem(const ch_backends_config *config, chat_backend *backend, ch_buf *why) {
  (void)why;
  return ch_link_mem_new(&(ch_link_mem_config){.alloc = config->env->alloc, .gateways_max = LINK_GATEWAYS_MAX, .deliveries_max = LINK_DELIVERIES_MAX}, backend);
}

/* ------------------------------------------------------------------------------------------------ by name */

typedef struct version {
  ch_backend_kind kind;
  const char *name;
  bool needs_data; /* the directory of the option "data" */
  opener open;
} version;

static const version versions[] = {
    {CH_BACKEND_LOG, "file", true, open_log_file},      {CH_BACKEND_LOG, "mem", false, open_log_mem},
    {CH_BACKEND_STORE, "sqlite", true, open_store_sqlite}, {CH_BACKEND_STORE, "mem", false, open_store_mem},
    {CH_BACKEND_DIRECTORY, "mem", false, open_directory_mem}, {CH_BACKEND_LINK, "mem", false, open_link_mem},
    {CH_BACKEND_DIRECTORY, "redis", false, open_directory_redis}, {CH_BACKEND_DIRECTORY, "redis-cluster", false, open_directory_redis},
    {CH_BACKEND_DIRECTORY, "rediss", false, open_directory_redis}, {CH_BACKEND_DIRECTORY, "rediss-cluster", false, open_directory_redis},
};

static const char *name_of(const ch_backends_config *config, ch_backend_kind kind) {
  switch (kind) {
    case CH_BACKEND_LOG: return config->options->log;
    case CH_BACKEND_STORE: return config->options->store;
    case CH_BACKEND_DIRECTORY: return config->options->directory;
    default: return "mem"; /* a link is of the process, until there are several */
  }
}

/* By the whole of it, or by the scheme of a url. */
static bool is_named(const version *v, const char *name) {
  size_t len = strlen(v->name);
  return strncmp(v->name, name, len) == 0 && (name[len] == '\0' || strncmp(name + len, "://", 3) == 0);
}

static const version *find_version(ch_backend_kind kind, const char *name) {
  for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
    if (versions[i].kind == kind && is_named(&versions[i], name)) return &versions[i];
  return NULL;
}

static int make_data(const char *path, ch_buf *why) {
  if (mkdir(path, 0700) == 0 || errno == EEXIST) return 0;
  char text[128];
  int error = errno;
  ch_buf_printf(why, "data: cannot make the directory %s: %s", path, strerror_r(error, text, sizeof text) == 0 ? text : "error");
  return ch_platform_file_error(error);
}

static int open_one(const ch_backends_config *config, ch_backend_kind kind, chat_backend *backend, ch_buf *why) {
  const char *name = name_of(config, kind);
  const version *chosen = find_version(kind, name);
  if (!chosen) {
    int len = (int)strcspn(name, ":"); /* what is behind may be secret */
    ch_buf_printf(why, "%s: this version has no backend for %.*s", kind_names[kind], len, name);
    return CHAT_E_UNSUPPORTED;
  }
  int error = chosen->needs_data ? make_data(config->options->data, why) : 0;
  if (error) return error;
  error = chosen->open(config, backend, why);
  if (error == CHAT_E_AGAIN) error = CHAT_E_BUSY; /* SQLite waited long for a lock: of somebody who is not a server, which would have been found before */
  if (error) ch_buf_printf(why, "%s %s: %s", kind_names[kind], chosen->name, chat_error_text(error));
  return error;
}

/* A log that loses what it took, in front of a store that remembers how far it read, would give positions anew that the store believes to have. */
static int check_pair(const ch_backends_config *config, ch_buf *why) {
  if (config->given[CH_BACKEND_LOG] || config->given[CH_BACKEND_STORE]) return 0;
  if (strcmp(config->options->log, "mem") != 0 || strcmp(config->options->store, "sqlite") != 0) return 0;
  ch_buf_put_text(why, "log mem goes with store mem only: a log that forgets would contradict a store that remembers its positions");
  return CHAT_E_INVALID;
}

static int ask_partitions(ch_backend_set *set, const ch_allocator *alloc, ch_buf *why) {
  for (uint32_t topic = 0; topic < CHAT_TOPIC_COUNT; topic++) {
    chat_log_info *info = ch_op_new(alloc, CHAT_OP_LOG_INFO, sizeof *info);
    if (!info) return CHAT_E_NOMEM;
    info->topic = topic;
    int error = ch_ask(&set->all.of[CH_BACKEND_LOG], &info->op);
    set->partitions[topic] = info->partition_count;
    ch_op_free(&info->op);
    if (error) {
      ch_buf_printf(why, "log: it does not say what it holds: %s", chat_error_text(error));
      return error;
    }
  }
  return 0;
}

/* Users sync by positions of one partition where heads are derived (chat/backend.h, APPLY). */
static int check_partitions(const ch_backend_set *set, ch_buf *why) {
  bool derives = set->all.of[CH_BACKEND_STORE].vtable->flags & CHAT_BACKEND_DERIVES_HEADS;
  if (!derives || set->partitions[CHAT_TOPIC_MESSAGES] == 1) return 0;
  ch_buf_put_text(why, "log: the topic of messages must have one partition in front of a store that derives heads");
  return CHAT_E_INVALID;
}

int ch_backends_open(const ch_backends_config *config, ch_backend_set *set, ch_buf *why) {
  memset(set, 0, sizeof *set);
  int error = check_pair(config, why);
  for (int kind = 0; !error && kind < CH_BACKEND_HOOKS; kind++) {
    if (config->given[kind]) {
      set->all.of[kind] = *config->given[kind];
      continue;
    }
    error = open_one(config, (ch_backend_kind)kind, &set->all.of[kind], why);
    set->is_owned[kind] = !error;
  }
  if (!error && set->is_owned[CH_BACKEND_STORE] && strcmp(config->options->store, "sqlite") == 0) set->all.synced_position = ch_store_sqlite_synced_position;
  if (!error) error = ask_partitions(set, config->env->alloc, why);
  if (!error) error = check_partitions(set, why);
  if (error) ch_backends_close(set);
  return error;
}

/* The log last: a store may still tell it something. */
void ch_backends_close(ch_backend_set *set) {
  for (int kind = CH_BACKEND_HOOKS - 1; kind >= 0; kind--) {
    chat_backend *backend = &set->all.of[kind];
    if (set->is_owned[kind]) backend->vtable->free(backend->self);
    set->is_owned[kind] = false;
  }
}

bool ch_backends_are_shared(const ch_backend_set *set) {
  for (int kind = 0; kind < CH_BACKEND_HOOKS; kind++)
    if (!(set->all.of[kind].vtable->flags & CHAT_BACKEND_SHARED)) return false;
  return true;
}
