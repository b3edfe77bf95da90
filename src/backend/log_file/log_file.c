/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log's two threads and its ports. `lock` guards queues, tails and flags; the disk is never touched under it, and the clock is read in submit, by the loop that
 * owns it.
 */
#include "backend/log_file/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend/log_file/directory.h"
#include "backend/log_file/partition.h"
#include "backend/log_mem.h"
#include "core/assert.h"
#include "platform/condition.h"
#include "platform/platform.h"

enum { PARTITIONS_MAX = 64, PATH_LEN_MAX = 3800, SEGMENT_LEN_MIN = 4096, COUNT_MAX = 4096 };
static const size_t mib = 1024 * 1024;

typedef struct file_log {
  ch_log_file_config config;
  char path[PATH_LEN_MAX + 1];
  int lock_fd;
  chat_backend deliveries;
  bool opened; /* deliveries is there */

  ch_log_partition *partitions;
  uint32_t partition_count; /* of those that were opened, in whatever way */

  pthread_mutex_t lock;
  pthread_cond_t write_wanted, read_wanted;
  ch_log_fifo appends[PARTITIONS_MAX]; /* what waits for the disk */
  size_t append_records, append_bytes;
  ch_log_fifo file_reads;
  bool cut_wanted, stopping;
  bool is_gathering; /* the writer waits for company, until commit_due or until the commit is full */
  struct timespec commit_due;

  pthread_t write_thread, read_thread;
  bool writer_started, reader_started;
} file_log;

/* A port is two: of this log, and of the one in memory behind it. */
typedef struct file_port {
  ch_port own;
  void *deliveries;
} file_port;

static ch_log_partition *find(file_log *log, uint32_t topic, uint32_t number) {
  return topic == CHAT_TOPIC_MESSAGES && number < log->partition_count ? &log->partitions[number] : NULL;
}

/* ------------------------------------------------------------------------------------------------ reading */

/* Under the lock. false: it waits on. */
static bool serve(file_log *log, ch_log_partition *partition, ch_log_wait *wait) {
  int status;
  switch (ch_log_partition_read(partition, (chat_log_read *)wait->op, &status)) {
  case CH_LOG_NOTHING: return false;
  case CH_LOG_ANSWERED: ch_port_finish(wait->port, wait->op, status); return true;
  case CH_LOG_IN_FILE: break;
  }
  ch_log_fifo_push(&log->file_reads, wait);
  pthread_cond_signal(&log->read_wanted);
  return true;
}

static void serve_readers(file_log *log, ch_log_partition *partition) {
  ch_log_fifo waiting = partition->readers;
  if (!waiting.first) return;
  ch_log_fifo_init(&partition->readers);
  for (ch_log_wait *wait; (wait = ch_log_fifo_pop(&waiting));)
    if (!serve(log, partition, wait)) ch_log_fifo_push(&partition->readers, wait);
}

static ch_log_wait *wait_for_file_read(file_log *log) {
  pthread_mutex_lock(&log->lock);
  while (!log->file_reads.first && !log->stopping)
    pthread_cond_wait(&log->read_wanted, &log->lock);
  ch_log_wait *wait = ch_log_fifo_pop(&log->file_reads);
  pthread_mutex_unlock(&log->lock);
  return wait;
}

static void *reader_main(void *arg) {
  file_log *log = arg;
  ch_platform_name_thread("chat-log-read");
  for (ch_log_wait *wait; (wait = wait_for_file_read(log));) {
    chat_log_read *read = (chat_log_read *)wait->op;
    ch_port_finish(wait->port, wait->op, ch_log_partition_read_file(&log->partitions[read->partition], read));
  }
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ writing */

static bool work_waits(const file_log *log) {
  return log->append_records > 0 || log->cut_wanted || log->stopping;
}

static bool commit_full(const file_log *log) {
  return log->append_records >= CH_LOG_COMMIT_RECORDS || log->append_bytes >= CH_LOG_COMMIT_BYTES;
}

/* Commits that are not full begin at least commit_ms apart: what comes alone waits for nobody, what comes in numbers goes together. */
static void wait_for_company(file_log *log) {
  log->is_gathering = true;
  while (!commit_full(log) && !log->stopping)
    if (!ch_condition_wait(&log->write_wanted, &log->lock, &log->commit_due)) break;
  log->is_gathering = false;
  log->commit_due = ch_condition_in_ms(log->config.commit_ms);
}

/* Under the lock. A thread that is woken for each of its company pays more for waiting than it saves. */
static void wake_writer(file_log *log) {
  if (!log->is_gathering || commit_full(log)) pthread_cond_signal(&log->write_wanted);
}

/* What waits for one partition, up to the bounds of a commit; an append that is larger goes alone. */
static void take_batch(file_log *log, uint32_t number, ch_log_fifo *batch) {
  size_t records = 0, bytes = 0;
  ch_log_fifo_init(batch);
  for (ch_log_wait *wait; (wait = log->appends[number].first);) {
    records += ((chat_log_append *)wait->op)->count;
    bytes += wait->bytes;
    if (batch->first && (records > CH_LOG_COMMIT_RECORDS || bytes > CH_LOG_COMMIT_BYTES)) return;
    ch_log_fifo_push(batch, ch_log_fifo_pop(&log->appends[number]));
    log->append_records -= ((chat_log_append *)wait->op)->count;
    log->append_bytes -= wait->bytes;
  }
}

static void commit_partition(file_log *log, uint32_t number) {
  ch_log_fifo batch;
  pthread_mutex_lock(&log->lock);
  take_batch(log, number, &batch);
  pthread_mutex_unlock(&log->lock);
  if (!batch.first) return;
  ch_log_partition *partition = &log->partitions[number];
  ch_log_partition_append(partition, &batch, &log->lock);
  for (ch_log_wait *wait; (wait = ch_log_fifo_pop(&batch));)
    ch_port_finish(wait->port, wait->op, wait->status);
  pthread_mutex_lock(&log->lock);
  serve_readers(log, partition);
  pthread_mutex_unlock(&log->lock);
}

static void cut_partition(file_log *log, uint32_t number) {
  pthread_mutex_lock(&log->lock);
  uint64_t consumed = log->partitions[number].consumed;
  pthread_mutex_unlock(&log->lock);
  ch_journal_cut(&log->partitions[number].journal, consumed);
}

static void *writer_main(void *arg) {
  file_log *log = arg;
  ch_platform_name_thread("chat-log");
  for (;;) {
    pthread_mutex_lock(&log->lock);
    while (!work_waits(log))
      pthread_cond_wait(&log->write_wanted, &log->lock);
    if (log->config.commit_ms > 0 && log->append_records > 0) wait_for_company(log);
    bool cut = log->cut_wanted, stop = log->stopping && log->append_records == 0;
    log->cut_wanted = false;
    pthread_mutex_unlock(&log->lock);
    for (uint32_t i = 0; i < log->partition_count; i++) {
      if (cut) cut_partition(log, i);
      commit_partition(log, i);
    }
    if (stop) return NULL;
  }
}

/* ------------------------------------------------------------------------------------------------ ops */

typedef int op_fn(file_log *log, ch_port *port, chat_op *op); /* 0: it comes back through the port, or has; else it did not begin, for that reason */

static int do_info(file_log *log, ch_port *port, chat_op *op) {
  chat_log_info *info = (chat_log_info *)op;
  ch_log_partition *partition = find(log, info->topic, info->partition);
  if (!partition) return CHAT_E_INVALID;
  uint64_t first, end;
  ch_journal_bounds(&partition->journal, &first, &end);
  info->partition_count = log->partition_count;
  info->first = ch_journal_position(&partition->journal, first);
  info->end = ch_journal_position(&partition->journal, end);
  uint64_t epoch_begin = (uint64_t)log->config.epoch << 48;
  if (info->end < epoch_begin) info->end = epoch_begin; /* raised since, and nothing came yet */
  memcpy(info->identity, partition->journal.identity, sizeof info->identity);
  ch_port_finish(port, op, 0);
  return 0;
}

static ch_log_wait *wait_new(ch_port *port, chat_op *op) {
  ch_log_wait *wait = chat_op_alloc(op, sizeof *wait);
  if (wait) *wait = (ch_log_wait){.op = op, .port = port};
  return wait;
}

static size_t records_prepare(chat_log_append *append) {
  size_t bytes = 0;
  for (size_t i = 0; i < append->count; i++) {
    append->records[i].position = 0;
    bytes += ch_logfile_record_len(append->records[i].data.len);
  }
  return bytes;
}

static int do_append(file_log *log, ch_port *port, chat_op *op) {
  chat_log_append *append = (chat_log_append *)op;
  if (!find(log, append->topic, append->partition) || append->count == 0 || append->count > COUNT_MAX) return CHAT_E_INVALID;
  ch_log_wait *wait = wait_new(port, op);
  if (!wait) return CHAT_E_NOMEM;
  wait->bytes = records_prepare(append);
  wait->now_ms = log->config.clock.wall_ms(log->config.clock.arg);
  pthread_mutex_lock(&log->lock);
  bool full = log->append_records > 0 && log->append_bytes + wait->bytes > log->config.waiting_len;
  if (!full) {
    ch_log_fifo_push(&log->appends[append->partition], wait);
    log->append_records += append->count;
    log->append_bytes += wait->bytes;
    wake_writer(log);
  }
  pthread_mutex_unlock(&log->lock);
  return full ? CHAT_E_AGAIN : 0;
}

static int do_read(file_log *log, ch_port *port, chat_op *op) {
  chat_log_read *read = (chat_log_read *)op;
  ch_log_partition *partition = find(log, read->topic, read->partition);
  if (!partition || read->count_max == 0 || read->count_max > COUNT_MAX) return CHAT_E_INVALID;
  ch_log_wait *wait = wait_new(port, op);
  if (!wait) return CHAT_E_NOMEM;
  pthread_mutex_lock(&log->lock);
  if (!serve(log, partition, wait)) ch_log_fifo_push(&partition->readers, wait);
  pthread_mutex_unlock(&log->lock);
  return 0;
}

/* Positions of another log (an epoch that is not here, an end that is not reached) cut nothing. */
static int do_consumed(file_log *log, ch_port *port, chat_op *op) {
  chat_log_consumed *consumed = (chat_log_consumed *)op;
  ch_log_partition *partition = find(log, consumed->topic, consumed->partition);
  if (!partition) return CHAT_E_INVALID;
  uint64_t next = ch_journal_after(&partition->journal, consumed->position);
  pthread_mutex_lock(&log->lock);
  if (next != UINT64_MAX && next > partition->consumed + 1) {
    partition->consumed = next - 1;
    log->cut_wanted = true;
    wake_writer(log);
  }
  pthread_mutex_unlock(&log->lock);
  ch_port_finish(port, op, 0);
  return 0;
}

static op_fn *const handlers[] = {
    [CHAT_OP_LOG_INFO] = do_info,
    [CHAT_OP_LOG_APPEND] = do_append,
    [CHAT_OP_LOG_READ] = do_read,
    [CHAT_OP_LOG_CONSUMED] = do_consumed,
};

static uint32_t topic_of(const chat_op *op) {
  switch (op->kind) {
  case CHAT_OP_LOG_INFO: return ((const chat_log_info *)op)->topic;
  case CHAT_OP_LOG_APPEND: return ((const chat_log_append *)op)->topic;
  case CHAT_OP_LOG_READ: return ((const chat_log_read *)op)->topic;
  case CHAT_OP_LOG_CONSUMED: return ((const chat_log_consumed *)op)->topic;
  default: return CHAT_TOPIC_MESSAGES;
  }
}

static int log_submit(void *self, void *port, chat_op *op) {
  file_log *log = self;
  file_port *both = port;
  if (topic_of(op) == CHAT_TOPIC_DELIVERIES) return log->deliveries.vtable->submit(log->deliveries.self, both->deliveries, op);
  int error = ch_port_accept(&both->own);
  if (error) return error;
  bool known = op->kind < sizeof handlers / sizeof *handlers && handlers[op->kind];
  error = known ? handlers[op->kind](log, &both->own, op) : CHAT_E_UNSUPPORTED;
  if (error) ch_port_finish(&both->own, op, error);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ ports */

static int log_port_new(void *self, chat_wake wake, void **port) {
  file_log *log = self;
  file_port *made = ch_alloc(log->config.alloc, sizeof *made);
  *port = made;
  if (!made) return CHAT_E_NOMEM;
  int error = ch_port_init(&made->own, wake);
  if (!error) {
    error = log->deliveries.vtable->port_new(log->deliveries.self, wake, &made->deliveries);
    if (error) ch_port_fini(&made->own);
  }
  if (!error) return 0;
  ch_free(log->config.alloc, made);
  *port = NULL;
  return error;
}

static void cancel_readers(ch_log_partition *partition, const ch_port *port) {
  ch_log_fifo waiting = partition->readers;
  if (!waiting.first) return;
  ch_log_fifo_init(&partition->readers);
  for (ch_log_wait *wait; (wait = ch_log_fifo_pop(&waiting));) {
    if (wait->port == port) ch_port_finish(wait->port, wait->op, CHAT_E_CANCELED);
    else ch_log_fifo_push(&partition->readers, wait);
  }
}

static void log_port_cancel(void *self, void *port) {
  file_log *log = self;
  file_port *both = port;
  ch_port_cancel(&both->own);
  log->deliveries.vtable->port_cancel(log->deliveries.self, both->deliveries);
  pthread_mutex_lock(&log->lock);
  for (uint32_t i = 0; i < log->partition_count; i++)
    cancel_readers(&log->partitions[i], &both->own);
  pthread_mutex_unlock(&log->lock);
}

static void log_port_free(void *self, void *port) {
  file_log *log = self;
  file_port *both = port;
  log->deliveries.vtable->port_free(log->deliveries.self, both->deliveries);
  ch_port_fini(&both->own);
  ch_free(log->config.alloc, both);
}

static chat_op *log_poll(void *self, void *port) {
  file_log *log = self;
  file_port *both = port;
  chat_op *op = ch_port_poll(&both->own);
  return op ? op : log->deliveries.vtable->poll(log->deliveries.self, both->deliveries);
}

/* ------------------------------------------------------------------------------------------------ life */

static void stop_threads(file_log *log) {
  pthread_mutex_lock(&log->lock);
  log->stopping = true;
  pthread_cond_broadcast(&log->write_wanted);
  pthread_cond_broadcast(&log->read_wanted);
  pthread_mutex_unlock(&log->lock);
  if (log->writer_started) pthread_join(log->write_thread, NULL);
  if (log->reader_started) pthread_join(log->read_thread, NULL);
}

static void partition_fini(ch_log_partition *partition) {
  ch_assert(!partition->readers.first);
  ch_tail_fini(&partition->tail);
  ch_journal_cursor_close(&partition->cursor);
  ch_journal_close(&partition->journal);
}

static void log_free(void *self) {
  file_log *log = self;
  if (!log) return;
  stop_threads(log);
  for (uint32_t i = 0; i < log->partition_count; i++)
    partition_fini(&log->partitions[i]);
  ch_free(log->config.alloc, log->partitions);
  if (log->opened) log->deliveries.vtable->free(log->deliveries.self);
  if (log->lock_fd >= 0) close(log->lock_fd);
  pthread_cond_destroy(&log->write_wanted);
  pthread_cond_destroy(&log->read_wanted);
  pthread_mutex_destroy(&log->lock);
  ch_free(log->config.alloc, log);
}

static const chat_backend_vtable vtable = {
    .size = sizeof(chat_backend_vtable),
    .name = "log_file",
    .port_new = log_port_new,
    .port_cancel = log_port_cancel,
    .port_free = log_port_free,
    .submit = log_submit,
    .poll = log_poll,
    .free = log_free,
};

static int take_lock(file_log *log) {
  char name[PATH_LEN_MAX + 16];
  snprintf(name, sizeof name, "%s/lock", log->path);
  log->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (log->lock_fd < 0) return ch_platform_file_error(errno);
  return flock(log->lock_fd, LOCK_EX | LOCK_NB) == 0 ? 0 : CHAT_E_BUSY;
}

static int open_partition(file_log *log, uint32_t number, uint64_t *damaged) {
  const ch_log_file_config *config = &log->config;
  ch_log_partition *partition = &log->partitions[number];
  ch_journal_config journal = {.alloc = config->alloc,
                               .io = config->io,
                               .random = config->random,
                               .epoch = config->epoch,
                               .segment_len = config->segment_len,
                               .bytes_max = config->bytes_max};
  char name[PATH_LEN_MAX + 32];
  snprintf(name, sizeof name, "%s/messages-%u", log->path, (unsigned)number);
  ch_tail_init(&partition->tail, config->alloc, config->tail_len);
  ch_log_fifo_init(&partition->readers);
  partition->cursor.fd = -1;
  log->partition_count = number + 1;
  return ch_journal_open(&partition->journal, &journal, name, damaged);
}

static bool exists(const file_log *log, uint32_t number) {
  char name[PATH_LEN_MAX + 32];
  struct stat info;
  snprintf(name, sizeof name, "%s/messages-%u", log->path, (unsigned)number);
  return stat(name, &info) == 0;
}

/* A log keeps the number of partitions that it was made with. Their directories are made from the last to the first: once the first is there, all are. */
static int make_directories(const file_log *log) {
  uint32_t count = log->config.partitions[CHAT_TOPIC_MESSAGES];
  char name[PATH_LEN_MAX + 32];
  if (exists(log, count) || (exists(log, 0) && !exists(log, count - 1))) return CHAT_E_INVALID;
  int error = 0;
  for (uint32_t i = count; i-- > 0 && !error;) {
    snprintf(name, sizeof name, "%s/messages-%u", log->path, (unsigned)i);
    error = ch_directory_make(name);
  }
  return error;
}

static int open_partitions(file_log *log, uint64_t *damaged) {
  uint32_t count = log->config.partitions[CHAT_TOPIC_MESSAGES];
  log->partitions = ch_calloc(log->config.alloc, count, sizeof *log->partitions);
  int error = log->partitions ? make_directories(log) : CHAT_E_NOMEM;
  for (uint32_t i = 0; i < count && !error; i++) {
    uint64_t number = 0;
    error = open_partition(log, i, &number);
    if (error == CHAT_E_CORRUPT && damaged) *damaged = number;
  }
  return error;
}

static int open_deliveries(file_log *log) {
  ch_log_mem_config config = {.alloc = log->config.alloc, .clock = log->config.clock, .epoch = log->config.epoch, .bytes_max = log->config.deliveries_len};
  config.partitions[CHAT_TOPIC_MESSAGES] = 1;
  config.partitions[CHAT_TOPIC_DELIVERIES] = log->config.partitions[CHAT_TOPIC_DELIVERIES];
  log->config.random.fill(log->config.random.arg, config.identity, sizeof config.identity);
  int error = ch_log_mem_new(&config, &log->deliveries);
  log->opened = error == 0;
  return error;
}

static int start(file_log *log, uint64_t *damaged) {
  int error = ch_directory_make(log->path);
  if (!error) error = take_lock(log);
  if (!error) error = open_partitions(log, damaged);
  if (!error) error = open_deliveries(log);
  if (error) return error;
  log->writer_started = pthread_create(&log->write_thread, NULL, writer_main, log) == 0;
  log->reader_started = pthread_create(&log->read_thread, NULL, reader_main, log) == 0;
  return log->writer_started && log->reader_started ? 0 : CHAT_E_NOMEM;
}

static bool config_valid(const ch_log_file_config *config) {
  uint32_t partitions = config->partitions[CHAT_TOPIC_MESSAGES];
  return config->path && strlen(config->path) <= PATH_LEN_MAX && partitions >= 1 && partitions <= PARTITIONS_MAX && config->epoch <= 16383 && config->commit_ms <= 5 &&
         config->clock.wall_ms && config->random.fill && (config->segment_len == 0 || config->segment_len >= SEGMENT_LEN_MIN);
}

static void or_default(size_t *value, size_t usual) {
  if (*value == 0) *value = usual;
}

static const ch_log_file_io system_io = {pwrite, fdatasync};

static file_log *log_make(const ch_log_file_config *config) {
  file_log *log = ch_calloc(config->alloc, 1, sizeof *log);
  if (!log) return NULL;
  log->config = *config;
  or_default(&log->config.segment_len, 64 * mib);
  or_default(&log->config.tail_len, 8 * mib);
  or_default(&log->config.waiting_len, 64 * mib);
  or_default(&log->config.deliveries_len, 16 * mib);
  if (!config->io) log->config.io = &system_io;
  strcpy(log->path, config->path);
  log->lock_fd = -1;
  for (int i = 0; i < PARTITIONS_MAX; i++)
    ch_log_fifo_init(&log->appends[i]);
  ch_log_fifo_init(&log->file_reads);
  pthread_mutex_init(&log->lock, NULL);
  (void)ch_condition_init(&log->write_wanted); /* cannot fail on Linux, like the one below */
  pthread_cond_init(&log->read_wanted, NULL);
  return log;
}

int ch_log_file_new(const ch_log_file_config *config, chat_backend *backend, uint64_t *damaged) {
  if (damaged) *damaged = 0;
  if (!config_valid(config)) return CHAT_E_INVALID;
  file_log *log = log_make(config);
  if (!log) return CHAT_E_NOMEM;
  int error = start(log, damaged);
  if (error) {
    log_free(log);
    return error;
  }
  *backend = (chat_backend){&vtable, log};
  return 0;
}
