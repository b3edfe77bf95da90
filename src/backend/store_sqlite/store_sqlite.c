/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's threads: one writes, some read, one indexes. Ops wait in two bounded queues (the ports' bound) and go back through their ports.
 *
 * Locks: `lock` guards queues and flags only; it is never held during SQLite's work. That of the tails is held while a reader opens its snapshot, and for what is copied.
 */
#include "backend/store_sqlite/store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "backend/port_mem.h"
#include "backend/store_check.h"
#include "backend/store_sqlite/apply.h"
#include "backend/store_sqlite/index.h"
#include "backend/store_sqlite/read.h"
#include "backend/store_sqlite/schema.h"
#include "backend/store_sqlite/tails.h"
#include "core/assert.h"
#include "platform/condition.h"
#include "platform/platform.h"

enum { GROUP_MAX = 64, PATH_LEN_MAX = 4000, FLUSH_AGAIN_MS = 1000, INDEX_RETRY_MS = 1000 };

/* An op that waits. In the op's memory. */
typedef struct pending {
  struct pending *next;
  chat_op *op;
  ch_port *port;
  void *result;
  int status;
} pending;

typedef struct op_fifo {
  pending *first, **last;
} op_fifo;

typedef struct sqlite_store sqlite_store;

typedef struct reading_thread {
  sqlite_store *store;
  pthread_t thread;
  ch_sqlstore_reader reader;
} reading_thread;

struct sqlite_store {
  ch_store_sqlite_config config;
  char path[PATH_LEN_MAX + 1];
  int lock_fd;

  pthread_mutex_t lock;
  pthread_cond_t write_wanted, read_wanted, index_wanted;
  op_fifo writes, reads;
  bool stopping;
  bool index_stale;    /* something was committed that the index has not seen */
  uint64_t forgotten;  /* pruned texts up to this number are out of the index */
  bool tail_begun, tail_full; /* there is something to flush: at tail_due, now */
  struct timespec tail_due;

  struct timespec index_due; /* the indexer's alone */

  pthread_t write_thread, index_thread;
  uint32_t readers_started;
  bool writer_started, indexer_started;
  ch_sqlite_db main; /* the writer's */
  reading_thread readers[CH_STORE_READERS_MAX];
  ch_sqlstore_indexer indexer;
  ch_sqlstore_tails tails;
  bool has_tails;

  /* The writer's alone. */
  uint64_t forgotten_done;
  bool unsynced;
  bool wal_long; /* it has reached checkpoint_pages */
  struct timespec sync_due;
  uint64_t committed; /* consumed position that was committed */
  _Atomic uint64_t synced; /* and the one that would survive a power loss */
};

/* ------------------------------------------------------------------------------------------------ queues */

static void queue_init(op_fifo *queue) {
  queue->first = NULL;
  queue->last = &queue->first;
}

static void queue_push(op_fifo *queue, pending *item) {
  item->next = NULL;
  *queue->last = item;
  queue->last = &item->next;
}

static pending *queue_pop(op_fifo *queue) {
  pending *item = queue->first;
  if (!item) return NULL;
  queue->first = item->next;
  if (!queue->first) queue->last = &queue->first;
  return item;
}

/* ------------------------------------------------------------------------------------------------ writing */

typedef int write_fn(ch_sqlstore_writer *writer, chat_op *op);

typedef struct write_row {
  write_fn *write;
  void (*give)(chat_op *op, const void *result);
} write_row;

static const write_row writes[] = {
    [CHAT_OP_STORE_APPLY] = {ch_sqlstore_apply, NULL},
    [CHAT_OP_STORE_WATERMARKS] = {ch_sqlstore_watermarks, ch_sqlstore_watermarks_give},
    [CHAT_OP_STORE_DEVICE] = {ch_sqlstore_device, NULL},
    [CHAT_OP_STORE_PRUNE] = {ch_sqlstore_prune, NULL},
};

static bool is_due(const struct timespec *at) {
  struct timespec now = ch_condition_in_ms(0);
  return now.tv_sec != at->tv_sec ? now.tv_sec > at->tv_sec : now.tv_nsec >= at->tv_nsec;
}

static bool is_write(uint32_t kind) {
  return kind < sizeof writes / sizeof *writes && writes[kind].write;
}

/* Up to GROUP_MAX ops that wait are committed together. */
typedef struct op_group {
  pending *items[GROUP_MAX];
  size_t count;
  op_fifo reads; /* that waited for the tables to have everything */
  bool flush;    /* the tails, before it */
} op_group;

/* Watermarks and devices are in no tail. */
static bool wants_flush(uint32_t kind) {
  return kind != CHAT_OP_STORE_WATERMARKS && kind != CHAT_OP_STORE_DEVICE;
}

static void take_group(sqlite_store *store, op_group *group) {
  group->count = 0;
  queue_init(&group->reads);
  group->flush = store->tail_full || store->stopping || (store->tail_begun && is_due(&store->tail_due));
  for (pending *item; group->count < GROUP_MAX && (item = queue_pop(&store->writes));) {
    group->flush = group->flush || wants_flush(item->op->kind);
    if (is_write(item->op->kind)) group->items[group->count++] = item;
    else queue_push(&group->reads, item);
  }
}

/* One op of a group: what fails leaves the others' effects. A full disk may have rolled back the whole transaction: then nobody's are left. */
static bool write_one(sqlite_store *store, pending *item) {
  ch_sqlstore_writer writer = {.alloc = store->config.alloc, .db = &store->main, .no_index = store->config.no_search};
  int error = ch_sqlite_run(&store->main, SQL_SAVEPOINT, "");
  if (!error) {
    item->status = writes[item->op->kind].write(&writer, item->op);
    item->result = writer.result;
    if (sqlite3_get_autocommit(store->main.handle)) return false;
    if (item->status) error = ch_sqlite_run(&store->main, SQL_UNDO, "");
  }
  if (!error) error = ch_sqlite_run(&store->main, SQL_RELEASE, "");
  if (error) item->status = error;
  return error == 0;
}

static int write_group(sqlite_store *store, pending **group, size_t count) {
  int error = ch_sqlite_settle(store->main.handle);
  if (!error) error = ch_sqlite_run(&store->main, SQL_BEGIN_WRITE, "");
  for (size_t i = 0; i < count && !error; i++)
    if (!write_one(store, group[i])) error = group[i]->status ? group[i]->status : CHAT_E_IO;
  if (!error) error = ch_sqlite_run(&store->main, SQL_COMMIT, "");
  if (error && !sqlite3_get_autocommit(store->main.handle)) ch_sqlite_run(&store->main, SQL_ROLLBACK, "");
  return error;
}

static void note_consumed(sqlite_store *store, const pending *item) {
  const chat_store_apply *apply = (const chat_store_apply *)item->op;
  if (item->status || item->op->kind != CHAT_OP_STORE_APPLY) return;
  if (apply->position > store->committed) store->committed = apply->position;
}

static void wake_indexer(sqlite_store *store) {
  pthread_mutex_lock(&store->lock);
  store->index_stale = true;
  pthread_cond_signal(&store->index_wanted);
  pthread_mutex_unlock(&store->lock);
}

static bool is_device_put(const pending *item) {
  return item->status == 0 && item->op->kind == CHAT_OP_STORE_DEVICE && ((const chat_store_device *)item->op)->verb == CHAT_DEVICE_PUT;
}

/* A session's number, and that a device is shut out, come back from no log. */
static void sync_devices(sqlite_store *store, pending **group, size_t count) {
  bool any = false;
  for (size_t i = 0; i < count; i++)
    any = any || is_device_put(group[i]);
  int error = any ? ch_sqlite_sync_log(store->main.handle) : 0;
  for (size_t i = 0; error && i < count; i++)
    if (is_device_put(group[i])) group[i]->status = error;
}

static void finish_group(sqlite_store *store, pending **group, size_t count, int error) {
  if (!error) sync_devices(store, group, count);
  for (size_t i = 0; i < count; i++) {
    pending *item = group[i];
    if (error) item->status = error;
    if (!error) note_consumed(store, item);
    const write_row *row = &writes[item->op->kind];
    if (item->status == 0 && row->give) row->give(item->op, item->result);
    ch_port_finish(item->port, item->op, item->status);
  }
}

static void note_written(sqlite_store *store) {
  if (!store->unsynced) store->sync_due = ch_condition_in_ms(store->config.checkpoint_ms);
  store->unsynced = true;
  wake_indexer(store);
}

static void write_waiting(sqlite_store *store, op_group *group) {
  int error = write_group(store, group->items, group->count);
  finish_group(store, group->items, group->count, error);
  if (!error) note_written(store);
}

/* What came into the tails meanwhile is due anew. After a failure: again soon, also if nobody writes. */
static void tails_flushed(sqlite_store *store, int error) {
  pthread_mutex_lock(&store->lock);
  store->tail_full = false;
  store->tail_begun = !ch_sqlstore_tails_are_empty(&store->tails);
  store->tail_due = ch_condition_in_ms(error ? FLUSH_AGAIN_MS : (int64_t)store->config.tail_ms);
  pthread_mutex_unlock(&store->lock);
}

static int flush_tails(sqlite_store *store) {
  if (ch_sqlstore_tails_are_empty(&store->tails)) return 0;
  int error = ch_sqlstore_tails_flush(&store->tails, &store->main, &store->committed);
  tails_flushed(store, error);
  if (!error) note_written(store);
  return error;
}

/* Ops that need the tables to have everything fail with what kept it out of them; watermarks and devices do not. */
static void fail_group(op_group *group, int error) {
  size_t kept = 0;
  for (size_t i = 0; i < group->count; i++) {
    pending *item = group->items[i];
    if (wants_flush(item->op->kind)) ch_port_finish(item->port, item->op, error);
    else group->items[kept++] = item;
  }
  group->count = kept;
}

/* Where the flush failed they see the tables as they are: of one moment, but an older one. */
static void pass_reads(sqlite_store *store, op_group *group) {
  if (!group->reads.first) return;
  pthread_mutex_lock(&store->lock);
  for (pending *item; (item = queue_pop(&group->reads));) queue_push(&store->reads, item);
  pthread_cond_broadcast(&store->read_wanted);
  pthread_mutex_unlock(&store->lock);
}

static void do_group(sqlite_store *store, op_group *group) {
  int error = group->flush ? flush_tails(store) : 0;
  if (error) fail_group(group, error);
  if (group->count > 0) write_waiting(store, group);
  pass_reads(store, group);
}

/* With synchronous=NORMAL a commit is safe from a power loss when a checkpoint has synced the WAL and the database behind it. A checkpoint counts only where it took every frame
 * over, so nothing hangs on how far readers let it go. With FULL each commit is safe at once. */
static void checkpoint(sqlite_store *store) {
  int frames = 0, done = 0;
  store->wal_long = false;
  int code = sqlite3_wal_checkpoint_v2(store->main.handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &done);
  store->sync_due = ch_condition_in_ms(store->config.checkpoint_ms);
  if (code != SQLITE_OK || frames != done) return;
  store->unsynced = false;
  atomic_store(&store->synced, store->committed);
}

static int wal_pages(void *arg, sqlite3 *handle, const char *name, int pages) {
  (void)handle, (void)name;
  sqlite_store *store = arg;
  if (pages >= (int)store->config.checkpoint_pages) store->wal_long = true;
  return SQLITE_OK;
}

static void sync_if_due(sqlite_store *store) {
  if (store->config.sync == CH_STORE_SYNC_FULL) atomic_store(&store->synced, store->committed);
  if (store->wal_long || (store->unsynced && is_due(&store->sync_due))) checkpoint(store);
}

/* The index has forgotten pruned texts: they can go. */
static void drop_forgotten(sqlite_store *store, uint64_t forgotten) {
  if (forgotten <= store->forgotten_done) return;
  if (ch_sqlite_run(&store->main, SQL_ERASED_DELETE, "u", forgotten) == 0) store->forgotten_done = forgotten;
}

static bool has_work(const sqlite_store *store) {
  return store->writes.first || store->stopping || store->tail_full || store->forgotten != store->forgotten_done;
}

static const struct timespec *earlier(const struct timespec *a, const struct timespec *b) {
  if (!a || !b) return a ? a : b;
  return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec) ? a : b;
}

/* Waits until there is something to write, to flush, to sync or to drop, or the end. */
static void wait_for_writes(sqlite_store *store, op_group *group, uint64_t *forgotten, bool *stop) {
  pthread_mutex_lock(&store->lock);
  while (!has_work(store)) {
    const struct timespec *until = earlier(store->unsynced ? &store->sync_due : NULL, store->tail_begun ? &store->tail_due : NULL);
    if (!ch_condition_wait(&store->write_wanted, &store->lock, until)) break;
  }
  take_group(store, group);
  *forgotten = store->forgotten;
  *stop = store->stopping && group->count == 0;
  pthread_mutex_unlock(&store->lock);
}

static void *writer_main(void *arg) {
  sqlite_store *store = arg;
  op_group group;
  uint64_t forgotten;
  ch_platform_name_thread("chat-store");
  for (bool stop = false; !stop;) {
    wait_for_writes(store, &group, &forgotten, &stop);
    do_group(store, &group);
    drop_forgotten(store, forgotten);
    sync_if_due(store);
  }
  checkpoint(store);
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ reading */

typedef int read_fn(ch_sqlstore_reader *reader, chat_op *op);

static read_fn *const reads[] = {
    [CHAT_OP_STORE_STATE] = ch_sqlstore_state,     [CHAT_OP_STORE_RANGE] = ch_sqlstore_range,       [CHAT_OP_STORE_HEADS] = ch_sqlstore_heads,
    [CHAT_OP_STORE_POSITION] = ch_sqlstore_position, [CHAT_OP_STORE_MEMBERS] = ch_sqlstore_members, [CHAT_OP_STORE_SEARCH] = ch_sqlstore_search,
    [CHAT_OP_STORE_DEVICES] = ch_sqlstore_devices,
};

static bool is_read(uint32_t kind) {
  return kind < sizeof reads / sizeof *reads && reads[kind];
}

static int open_index(reading_thread *thread) {
  char name[PATH_LEN_MAX + 16];
  if (thread->reader.index.handle) return 0;
  snprintf(name, sizeof name, "%s-search", thread->store->path);
  int error = ch_sqlstore_db_open(&thread->reader.index, name, CH_STORE_OPEN_READ, ch_sqlstore_index_sql);
  if (!error) error = ch_sqlstore_tokenizer_init(&thread->reader.tokenizer, thread->reader.index.handle);
  if (error) ch_sqlite_close(&thread->reader.index);
  return error;
}

static void add_synced(sqlite_store *store, chat_op *op) {
  chat_store_position *ask = (chat_store_position *)op;
  ask->synced = ask->topic == CHAT_TOPIC_MESSAGES && ask->partition == 0 ? atomic_load(&store->synced) : 0;
}

/* Of which conversation the answer needs what is in tails; NULL: of none. */
static const uint8_t *conversation_of(const chat_op *op) {
  switch (op->kind) {
  case CHAT_OP_STORE_STATE: return ((const chat_store_state *)op)->conversation_id;
  case CHAT_OP_STORE_RANGE: return ((const chat_store_range *)op)->conversation_id;
  case CHAT_OP_STORE_MEMBERS: return ((const chat_store_members *)op)->conversation_id;
  default: return NULL;
  }
}

static int take_overlay(ch_overlay *overlay, const ch_sqlstore_tail *older, const ch_sqlstore_tail *newer, chat_op *op) {
  const uint8_t *conversation_id = conversation_of(op);
  ch_overlay_begin(overlay, older, newer);
  if (!conversation_id) return 0;
  const chat_store_range *range = op->kind == CHAT_OP_STORE_RANGE ? (const chat_store_range *)op : NULL;
  return ch_overlay_take(overlay, older, newer, conversation_id, range, op);
}

/* The snapshot of the tables is taken while nothing can leave the tails: SQLite takes it at the first reading. Where the tails are empty, any later one has everything. */
static int open_snapshot(reading_thread *thread, chat_op *op) {
  ch_sqlstore_tails *tails = &thread->store->tails;
  uint64_t position;
  int error = ch_sqlite_settle(thread->reader.main.handle);
  if (!error) error = ch_sqlite_run(&thread->reader.main, SQL_BEGIN, "");
  thread->reader.overlay = (ch_overlay){.position = 0};
  if (error || ch_sqlstore_tails_are_empty(tails)) return error;
  pthread_mutex_lock(&tails->lock);
  error = ch_sqlite_number(&thread->reader.main, SQL_CONSUMED, &position, "uu", (uint64_t)CHAT_TOPIC_MESSAGES, (uint64_t)0);
  if (!error) error = take_overlay(&thread->reader.overlay, &tails->tails[1 - tails->filling], &tails->tails[tails->filling], op);
  pthread_mutex_unlock(&tails->lock);
  return error;
}

static int answer(reading_thread *thread, chat_op *op) {
  if (op->kind == CHAT_OP_STORE_SEARCH && thread->store->config.no_search) return CHAT_E_UNSUPPORTED;
  if (op->kind == CHAT_OP_STORE_SEARCH) {
    int error = open_index(thread);
    if (error) return error;
  }
  int error = open_snapshot(thread, op);
  if (!error) error = reads[op->kind](&thread->reader, op);
  if (!sqlite3_get_autocommit(thread->reader.main.handle)) ch_sqlite_run(&thread->reader.main, SQL_COMMIT, "");
  if (!error && op->kind == CHAT_OP_STORE_POSITION) add_synced(thread->store, op);
  return error;
}

static pending *wait_for_read(sqlite_store *store) {
  pthread_mutex_lock(&store->lock);
  while (!store->reads.first && !store->stopping)
    pthread_cond_wait(&store->read_wanted, &store->lock);
  pending *item = queue_pop(&store->reads);
  pthread_mutex_unlock(&store->lock);
  return item;
}

static void *reader_main(void *arg) {
  reading_thread *thread = arg;
  pending *item;
  ch_platform_name_thread("chat-read");
  while ((item = wait_for_read(thread->store)))
    ch_port_finish(item->port, item->op, answer(thread, item->op));
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ indexing */

/* Small steps cost more than one with all that came meanwhile: the next begins some time after the one before began. */
static bool wait_for_index(sqlite_store *store) {
  pthread_mutex_lock(&store->lock);
  while (!store->stopping && !is_due(&store->index_due))
    ch_condition_wait(&store->index_wanted, &store->lock, &store->index_due);
  while (!store->index_stale && !store->stopping)
    pthread_cond_wait(&store->index_wanted, &store->lock);
  store->index_due = ch_condition_in_ms(store->config.index_ms);
  store->index_stale = false;
  bool go_on = !store->stopping;
  pthread_mutex_unlock(&store->lock);
  return go_on;
}

static void tell_forgotten(sqlite_store *store, uint64_t forgotten) {
  pthread_mutex_lock(&store->lock);
  if (forgotten > store->forgotten) {
    store->forgotten = forgotten;
    pthread_cond_signal(&store->write_wanted);
  }
  pthread_mutex_unlock(&store->lock);
}

static bool is_stopping(sqlite_store *store) {
  pthread_mutex_lock(&store->lock);
  bool stopping = store->stopping;
  pthread_mutex_unlock(&store->lock);
  return stopping;
}

/* Whatever was wrong (a full disk, no memory) may be over before anything is committed again. */
static void try_index_later(sqlite_store *store) {
  pthread_mutex_lock(&store->lock);
  store->index_stale = true;
  store->index_due = ch_condition_in_ms(INDEX_RETRY_MS);
  pthread_mutex_unlock(&store->lock);
}

/* An error leaves the index behind for a while. */
static void *indexer_main(void *arg) {
  sqlite_store *store = arg;
  ch_platform_name_thread("chat-index");
  while (wait_for_index(store)) {
    uint64_t erased;
    int more;
    while ((more = ch_sqlstore_indexer_step(&store->indexer, &erased)) > 0 && !is_stopping(store))
      tell_forgotten(store, erased);
    tell_forgotten(store, erased);
    if (more < 0) try_index_later(store);
    sqlite3_wal_checkpoint_v2(store->indexer.index.handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  }
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ ports */

static void wake_writer(sqlite_store *store, bool is_full) {
  pthread_mutex_lock(&store->lock);
  if (!store->tail_begun) store->tail_due = ch_condition_in_ms(store->config.tail_ms);
  store->tail_begun = true;
  store->tail_full = store->tail_full || is_full;
  pthread_cond_signal(&store->write_wanted);
  pthread_mutex_unlock(&store->lock);
}

/* false: it is for the tables. */
static bool put_in_tail(sqlite_store *store, chat_op *op) {
  const chat_store_apply *apply = (const chat_store_apply *)op;
  if (op->kind != CHAT_OP_STORE_APPLY || !ch_store_apply_valid(apply) || apply->partition != 0) return false;
  ch_sqlstore_tails_taken taken = ch_sqlstore_tails_put(&store->tails, apply, op);
  if (taken > CH_TAILS_TAKEN) wake_writer(store, taken == CH_TAILS_FULL);
  return taken != CH_TAILS_NOT;
}

/* Heads are looked for by user: there only the tables can. */
static bool waits_for_flush(sqlite_store *store, uint32_t kind) {
  return kind == CHAT_OP_STORE_HEADS && !ch_sqlstore_tails_are_empty(&store->tails);
}

static void enqueue(sqlite_store *store, pending *item) {
  bool read = is_read(item->op->kind) && !waits_for_flush(store, item->op->kind);
  pthread_mutex_lock(&store->lock);
  queue_push(read ? &store->reads : &store->writes, item);
  pthread_cond_signal(read ? &store->read_wanted : &store->write_wanted);
  pthread_mutex_unlock(&store->lock);
}

static int store_submit(void *self, void *port, chat_op *op) {
  sqlite_store *store = self;
  int error = ch_port_accept(port);
  if (error) return error;
  if (put_in_tail(store, op)) {
    ch_port_finish(port, op, 0);
    return 0;
  }
  bool known = is_read(op->kind) || is_write(op->kind);
  pending *item = known ? chat_op_alloc(op, sizeof *item) : NULL;
  if (!item) {
    ch_port_finish(port, op, known ? CHAT_E_NOMEM : CHAT_E_UNSUPPORTED);
    return 0;
  }
  *item = (pending){.op = op, .port = port};
  enqueue(store, item);
  return 0;
}

static int store_port_new(void *self, chat_wake wake, void **port) {
  return ch_port_new(((sqlite_store *)self)->config.alloc, wake, port);
}

static void store_port_cancel(void *self, void *port) {
  (void)self;
  ch_port_cancel(port);
}

static void store_port_free(void *self, void *port) {
  ch_port_free(((sqlite_store *)self)->config.alloc, port);
}

/* ------------------------------------------------------------------------------------------------ life */

static void stop_threads(sqlite_store *store) {
  pthread_mutex_lock(&store->lock);
  store->stopping = true;
  pthread_cond_broadcast(&store->write_wanted);
  pthread_cond_broadcast(&store->read_wanted);
  pthread_cond_broadcast(&store->index_wanted);
  pthread_mutex_unlock(&store->lock);
  if (store->indexer_started) pthread_join(store->index_thread, NULL);
  for (uint32_t i = 0; i < store->readers_started; i++)
    pthread_join(store->readers[i].thread, NULL);
  if (store->writer_started) pthread_join(store->write_thread, NULL);
}

static void close_files(sqlite_store *store) {
  ch_sqlstore_indexer_close(&store->indexer);
  for (uint32_t i = 0; i < CH_STORE_READERS_MAX; i++) {
    ch_sqlstore_tokenizer_fini(&store->readers[i].reader.tokenizer);
    ch_sqlite_close(&store->readers[i].reader.index);
    ch_sqlite_close(&store->readers[i].reader.main);
  }
  ch_sqlite_close(&store->main);
  if (store->lock_fd >= 0) close(store->lock_fd);
}

static void store_free(void *self) {
  sqlite_store *store = self;
  if (!store) return;
  stop_threads(store);
  close_files(store);
  if (store->has_tails) ch_sqlstore_tails_fini(&store->tails);
  pthread_cond_destroy(&store->write_wanted);
  pthread_cond_destroy(&store->read_wanted);
  pthread_cond_destroy(&store->index_wanted);
  pthread_mutex_destroy(&store->lock);
  ch_free(store->config.alloc, store);
}

static const chat_backend_vtable vtable = {
    .size = sizeof(chat_backend_vtable),
    .name = "store_sqlite",
    .flags = CHAT_BACKEND_DERIVES_HEADS,
    .port_new = store_port_new,
    .port_cancel = store_port_cancel,
    .port_free = store_port_free,
    .submit = store_submit,
    .poll = ch_port_poll_alone,
    .free = store_free,
};

/* Goes with the process, however that ends; a lock of SQLite's own would have to be dropped to let readers in. */
static int take_lock(sqlite_store *store) {
  char name[PATH_LEN_MAX + 16];
  snprintf(name, sizeof name, "%s-lock", store->path);
  store->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (store->lock_fd < 0) return ch_platform_file_error(errno);
  return flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0 ? 0 : CHAT_E_BUSY;
}

static int open_main(sqlite_store *store) {
  char pragmas[128];
  int error = ch_sqlstore_db_open(&store->main, store->path, CH_STORE_OPEN_WRITE, ch_sqlstore_sql);
  if (error) return error;
  snprintf(pragmas, sizeof pragmas, "PRAGMA synchronous = %s; PRAGMA cache_size = -65536", store->config.sync == CH_STORE_SYNC_FULL ? "FULL" : "NORMAL");
  error = ch_sqlite_exec(store->main.handle, pragmas);
  if (!error && store->config.check) error = ch_sqlite_check(store->main.handle);
  if (!error) error = ch_sqlstore_schema_prepare(&store->main);
  if (!error) error = ch_sqlite_number(&store->main, SQL_CONSUMED, &store->committed, "uu", (uint64_t)CHAT_TOPIC_MESSAGES, (uint64_t)0);
  if (error) return error;
  if (store->config.pages_max) {
    snprintf(pragmas, sizeof pragmas, "PRAGMA max_page_count = %u", (unsigned)store->config.pages_max);
    error = ch_sqlite_exec(store->main.handle, pragmas);
  }
  sqlite3_wal_hook(store->main.handle, wal_pages, store);
  /* What the last owner committed may never have been synced: counted only after this. */
  checkpoint(store);
  return error;
}

static int start_readers(sqlite_store *store) {
  for (uint32_t i = 0; i < store->config.reader_threads; i++) {
    reading_thread *thread = &store->readers[i];
    thread->store = store;
    thread->reader.alloc = store->config.alloc;
    int error = ch_sqlstore_db_open(&thread->reader.main, store->path, CH_STORE_OPEN_READ, ch_sqlstore_sql);
    if (error) return error;
    if (pthread_create(&thread->thread, NULL, reader_main, thread)) return CHAT_E_NOMEM;
    store->readers_started++;
  }
  return 0;
}

/* Without an index: what would be told to one goes, too, because it keeps text. */
static int open_search(sqlite_store *store) {
  if (!store->config.no_search) return ch_sqlstore_indexer_open(&store->indexer, store->config.alloc, store->path);
  ch_sqlstore_index_remove(store->path);
  return ch_sqlite_run(&store->main, SQL_ERASED_DELETE, "u", (uint64_t)INT64_MAX);
}

static int start_indexer(sqlite_store *store) {
  if (store->config.no_search) return 0;
  store->index_stale = true;
  store->indexer_started = pthread_create(&store->index_thread, NULL, indexer_main, store) == 0;
  return store->indexer_started ? 0 : CHAT_E_NOMEM;
}

static int start(sqlite_store *store) {
  int error = ch_sqlstore_tails_init(&store->tails, store->config.alloc, store->config.tail_rows, store->config.tail_len);
  store->has_tails = error == 0;
  store->tails.no_index = store->config.no_search;
  if (!error) error = take_lock(store);
  if (!error) error = open_main(store);
  if (!error) error = open_search(store);
  if (!error) error = start_readers(store);
  if (error) return error;
  store->writer_started = pthread_create(&store->write_thread, NULL, writer_main, store) == 0;
  return store->writer_started ? start_indexer(store) : CHAT_E_NOMEM;
}

static void init_locks(sqlite_store *store) {
  pthread_mutex_init(&store->lock, NULL);
  (void)ch_condition_init(&store->write_wanted); /* cannot fail on Linux, like the ones below */
  pthread_cond_init(&store->read_wanted, NULL);
  (void)ch_condition_init(&store->index_wanted);
}

static bool config_valid(const ch_store_sqlite_config *config) {
  return config->path && strlen(config->path) <= PATH_LEN_MAX && config->reader_threads >= 1 && config->reader_threads <= CH_STORE_READERS_MAX &&
         config->sync <= CH_STORE_SYNC_FULL;
}

static sqlite_store *store_make(const ch_store_sqlite_config *config) {
  sqlite_store *store = ch_calloc(config->alloc, 1, sizeof *store);
  if (!store) return NULL;
  store->config = *config;
  if (!config->checkpoint_pages) store->config.checkpoint_pages = 1000;
  if (!config->checkpoint_ms) store->config.checkpoint_ms = 5000;
  if (!config->tail_len) store->config.tail_len = (size_t)16 * 1024 * 1024;
  if (!config->tail_ms) store->config.tail_ms = 5000;
  strcpy(store->path, config->path);
  store->config.path = store->path;
  store->lock_fd = -1;
  queue_init(&store->writes);
  queue_init(&store->reads);
  init_locks(store);
  return store;
}

int ch_store_sqlite_new(const ch_store_sqlite_config *config, chat_backend *backend) {
  if (!config_valid(config)) return CHAT_E_INVALID;
  sqlite_store *store = store_make(config);
  if (!store) return CHAT_E_NOMEM;
  int error = start(store);
  if (error) {
    store_free(store);
    return error;
  }
  *backend = (chat_backend){&vtable, store};
  return 0;
}

uint64_t ch_store_sqlite_synced_position(const chat_backend *backend, uint32_t partition) {
  const sqlite_store *store = backend->self;
  return partition == 0 ? atomic_load(&store->synced) : 0;
}
