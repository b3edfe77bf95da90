/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/log_mem.h"

#include <pthread.h>
#include <string.h>

#include "backend/port_mem.h"
#include "core/assert.h"
#include "core/env.h"

typedef struct entry {
  uint64_t append_ms;
  size_t len;
  uint8_t data[];
} entry;

typedef struct reader reader;

/* Records with offsets first_offset … first_offset + count - 1, in a ring. */
typedef struct partition {
  entry **ring;
  size_t ring_size, start, count;
  uint64_t first_offset;
  uint64_t last_ms;
  size_t bytes;
  reader *readers; /* long polls that wait */
} partition;

struct reader {
  reader *next;
  ch_port *port;
  chat_log_read *read;
};

typedef struct log_mem {
  ch_log_mem_config config;
  pthread_mutex_t lock; /* everything below */
  partition *topics[CHAT_TOPIC_COUNT];
} log_mem;

/* ------------------------------------------------------------------------------------------------ positions */

static uint64_t position_of(const log_mem *log, uint64_t offset) { return (uint64_t)log->config.epoch << 48 | (offset + 1); }

enum { RECORD_MAX = 256 * 1024, COUNT_MAX = 4096 };

/* Offset of the record after `position`; a position of another epoch is before or behind everything. */
static uint64_t offset_after(const log_mem *log, uint64_t position) {
  uint64_t epoch = position >> 48;
  if (epoch < log->config.epoch) return 0;
  if (epoch > log->config.epoch) return UINT64_MAX;
  return position & 0xffffffffffffu;
}

static uint64_t end_offset(const partition *p) { return p->first_offset + p->count; }

static entry *entry_at(const partition *p, uint64_t offset) {
  return p->ring[(p->start + (size_t)(offset - p->first_offset)) % p->ring_size];
}

static partition *find(log_mem *log, uint32_t topic, uint32_t number) {
  if (topic >= CHAT_TOPIC_COUNT || number >= log->config.partitions[topic]) return NULL;
  return &log->topics[topic][number];
}

/* ------------------------------------------------------------------------------------------------ records */

/* Of the partition's bytes: an empty record is not free. */
static size_t cost_of(size_t len) {
  return sizeof(entry) + len;
}

static void drop_first(log_mem *log, partition *p) {
  entry *oldest = p->ring[p->start];
  p->bytes -= cost_of(oldest->len);
  ch_free(log->config.alloc, oldest);
  p->start = (p->start + 1) % p->ring_size;
  p->count--;
  p->first_offset++;
}

static int ring_grow(log_mem *log, partition *p, size_t count) {
  size_t size = p->ring_size ? p->ring_size : 64;
  while (size < p->count + count) size *= 2;
  if (size == p->ring_size) return 0;
  entry **ring = ch_calloc(log->config.alloc, size, sizeof *ring);
  if (!ring) return CHAT_E_NOMEM;
  for (size_t i = 0; i < p->count; i++) ring[i] = entry_at(p, p->first_offset + i);
  ch_free(log->config.alloc, p->ring);
  p->ring = ring;
  p->ring_size = size;
  p->start = 0;
  return 0;
}

static int make_room(log_mem *log, partition *p, uint32_t topic, size_t bytes) {
  if (p->bytes + bytes <= log->config.bytes_max) return 0;
  if (topic == CHAT_TOPIC_MESSAGES) return CHAT_E_AGAIN;
  while (p->count && p->bytes + bytes > log->config.bytes_max) drop_first(log, p);
  return 0;
}

static entry *entry_new(log_mem *log, chat_bytes data, uint64_t now_ms) {
  entry *e = ch_alloc(log->config.alloc, sizeof *e + data.len);
  if (!e) return NULL;
  e->append_ms = now_ms;
  e->len = data.len;
  if (data.len) memcpy(e->data, data.data, data.len);
  return e;
}

/* All records of an APPEND or none: entries are made first, then linked in. */
static int entries_make(log_mem *log, const chat_log_append *append, entry **entries, uint64_t now_ms) {
  for (size_t i = 0; i < append->count; i++) {
    entries[i] = entry_new(log, append->records[i].data, now_ms);
    if (entries[i]) continue;
    while (i--) ch_free(log->config.alloc, entries[i]);
    return CHAT_E_NOMEM;
  }
  return 0;
}

static size_t append_bytes(const chat_log_append *append) {
  size_t bytes = 0;
  for (size_t i = 0; i < append->count; i++)
    bytes += cost_of(append->records[i].data.len);
  return bytes;
}

static int check(const log_mem *log, const partition *p, const chat_log_append *append) {
  if (!p || append->count == 0 || append->count > COUNT_MAX) return CHAT_E_INVALID;
  for (size_t i = 0; i < append->count; i++)
    if (append->records[i].data.len > RECORD_MAX) return CHAT_E_TOO_LARGE;
  return append_bytes(append) <= log->config.bytes_max ? 0 : CHAT_E_TOO_LARGE;
}

static int append_to(log_mem *log, partition *p, chat_log_append *append, uint64_t now_ms) {
  size_t bytes = append_bytes(append);
  int error = make_room(log, p, append->topic, bytes);
  if (!error) error = ring_grow(log, p, append->count);
  if (error) return error;
  entry **entries = chat_op_alloc(&append->op, append->count * sizeof(entry *));
  if (!entries) return CHAT_E_NOMEM;
  if (now_ms < p->last_ms) now_ms = p->last_ms;
  error = entries_make(log, append, entries, now_ms);
  if (error) return error;
  p->last_ms = now_ms;
  p->bytes += bytes;
  for (size_t i = 0; i < append->count; i++) {
    append->records[i].position = position_of(log, end_offset(p));
    append->records[i].append_ms = now_ms;
    p->ring[(p->start + p->count) % p->ring_size] = entries[i];
    p->count++;
  }
  return 0;
}

/* ------------------------------------------------------------------------------------------------ reading */

static size_t readable(const partition *p, uint64_t from, const chat_log_read *read) {
  size_t count = 0, bytes = 0;
  for (uint64_t o = from; o < end_offset(p) && count < read->count_max; o++, count++) {
    bytes += entry_at(p, o)->len;
    if (count && bytes > read->bytes_max) break;
  }
  return count;
}

static int copy_out(log_mem *log, const partition *p, uint64_t from, size_t count, chat_log_read *read) {
  read->records = chat_op_alloc(&read->op, count * sizeof *read->records);
  if (!read->records) return CHAT_E_NOMEM;
  for (size_t i = 0; i < count; i++) {
    const entry *e = entry_at(p, from + i);
    chat_log_record *record = &read->records[i];
    record->position = position_of(log, from + i);
    record->append_ms = e->append_ms;
    record->data = chat_op_copy(&read->op, (chat_bytes){e->data, e->len});
    if (e->len && !record->data.data) return CHAT_E_NOMEM;
  }
  read->count = count;
  return 0;
}

/* Answers a read; false: there is nothing yet. What lies behind the end is of another log, or of this one's future: it does not come back either. */
static bool try_read(log_mem *log, partition *p, chat_log_read *read, int *status) {
  uint64_t from = offset_after(log, read->after);
  *status = CHAT_E_GONE;
  if (from < p->first_offset || from > end_offset(p)) return true;
  size_t count = readable(p, from, read);
  if (count == 0) return false;
  *status = copy_out(log, p, from, count, read);
  return true;
}

static void serve_readers(log_mem *log, partition *p) {
  for (reader **at = &p->readers; *at;) {
    reader *r = *at;
    int status;
    if (!try_read(log, p, r->read, &status)) {
      at = &r->next;
      continue;
    }
    *at = r->next;
    ch_port_finish(r->port, &r->read->op, status);
  }
}

/* ------------------------------------------------------------------------------------------------ ops */

typedef bool op_fn(log_mem *log, ch_port *port, chat_op *op, uint64_t now_ms, int *status); /* false: comes back later */

static bool do_info(log_mem *log, ch_port *port, chat_op *op, uint64_t now_ms, int *status) {
  (void)now_ms;
  (void)port;
  chat_log_info *info = (chat_log_info *)op;
  partition *p = find(log, info->topic, info->partition);
  *status = p ? 0 : CHAT_E_INVALID;
  if (!p) return true;
  info->partition_count = log->config.partitions[info->topic];
  info->first = p->count ? position_of(log, p->first_offset) : 0;
  info->end = end_offset(p) ? position_of(log, end_offset(p) - 1) : (uint64_t)log->config.epoch << 48;
  memcpy(info->identity, log->config.identity, sizeof info->identity);
  return true;
}

static bool do_append(log_mem *log, ch_port *port, chat_op *op, uint64_t now_ms, int *status) {
  (void)port;
  chat_log_append *append = (chat_log_append *)op;
  partition *p = find(log, append->topic, append->partition);
  int error = check(log, p, append);
  for (size_t i = 0; i < append->count; i++)
    append->records[i].position = 0; /* not in, unless said below */
  if (!error) error = append_to(log, p, append, now_ms);
  if (!error) serve_readers(log, p);
  *status = error;
  return true;
}

static bool do_read(log_mem *log, ch_port *port, chat_op *op, uint64_t now_ms, int *status) {
  (void)now_ms;
  chat_log_read *read = (chat_log_read *)op;
  partition *p = find(log, read->topic, read->partition);
  *status = CHAT_E_INVALID;
  if (!p || read->count_max == 0 || read->count_max > COUNT_MAX) return true;
  read->count = 0;
  if (try_read(log, p, read, status)) return true;
  reader *r = chat_op_alloc(op, sizeof *r);
  *status = CHAT_E_NOMEM;
  if (!r) return true;
  *r = (reader){p->readers, port, read};
  p->readers = r;
  return false;
}

static bool do_consumed(log_mem *log, ch_port *port, chat_op *op, uint64_t now_ms, int *status) {
  (void)now_ms;
  (void)port;
  chat_log_consumed *consumed = (chat_log_consumed *)op;
  partition *p = find(log, consumed->topic, consumed->partition);
  *status = p ? 0 : CHAT_E_INVALID;
  if (!p) return true;
  uint64_t offset = offset_after(log, consumed->position);
  if (offset > end_offset(p)) return true; /* a position of another log */
  while (p->count && p->first_offset < offset) drop_first(log, p);
  return true;
}

static op_fn *const handlers[] = {
    [CHAT_OP_LOG_INFO] = do_info,
    [CHAT_OP_LOG_APPEND] = do_append,
    [CHAT_OP_LOG_READ] = do_read,
    [CHAT_OP_LOG_CONSUMED] = do_consumed,
};

static int log_submit(void *self, void *port, chat_op *op) {
  log_mem *log = self;
  int error = ch_port_accept(port);
  if (error) return error;
  if (op->kind >= sizeof handlers / sizeof handlers[0] || !handlers[op->kind]) {
    ch_port_finish(port, op, CHAT_E_UNSUPPORTED);
    return 0;
  }
  int status;
  uint64_t now_ms = log->config.clock.wall_ms(log->config.clock.arg); /* never with a lock held (chat/chat.h) */
  pthread_mutex_lock(&log->lock);
  if (handlers[op->kind](log, port, op, now_ms, &status)) ch_port_finish(port, op, status);
  pthread_mutex_unlock(&log->lock);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ ports and life */

static int log_port_new(void *self, chat_wake wake, void **port) {
  return ch_port_new(((log_mem *)self)->config.alloc, wake, port);
}

static void cancel_readers(partition *p, const ch_port *port) {
  for (reader **at = &p->readers; *at;) {
    reader *r = *at;
    if (r->port != port) {
      at = &r->next;
      continue;
    }
    *at = r->next;
    ch_port_finish(r->port, &r->read->op, CHAT_E_CANCELED);
  }
}

static void log_port_cancel(void *self, void *port) {
  log_mem *log = self;
  ch_port_cancel(port);
  pthread_mutex_lock(&log->lock);
  for (int t = 0; t < CHAT_TOPIC_COUNT; t++)
    for (uint32_t i = 0; i < log->config.partitions[t]; i++) cancel_readers(&log->topics[t][i], port);
  pthread_mutex_unlock(&log->lock);
}

static void log_port_free(void *self, void *port) {
  ch_port_free(((log_mem *)self)->config.alloc, port);
}

static void partition_fini(log_mem *log, partition *p) {
  ch_assert(!p->readers);
  while (p->count) drop_first(log, p);
  ch_free(log->config.alloc, p->ring);
}

static void log_free(void *self) {
  log_mem *log = self;
  for (int t = 0; t < CHAT_TOPIC_COUNT; t++) {
    for (uint32_t i = 0; log->topics[t] && i < log->config.partitions[t]; i++) partition_fini(log, &log->topics[t][i]);
    ch_free(log->config.alloc, log->topics[t]);
  }
  pthread_mutex_destroy(&log->lock);
  ch_free(log->config.alloc, log);
}

static const chat_backend_vtable vtable = {
    .size = sizeof(chat_backend_vtable),
    .name = "log_mem",
    .port_new = log_port_new,
    .port_cancel = log_port_cancel,
    .port_free = log_port_free,
    .submit = log_submit,
    .poll = ch_port_poll_alone,
    .free = log_free,
};

static bool config_valid(const ch_log_mem_config *config) {
  for (int t = 0; t < CHAT_TOPIC_COUNT; t++)
    if (config->partitions[t] == 0 || config->partitions[t] > 1024) return false;
  return config->epoch <= 16383 && config->clock.wall_ms;
}

int ch_log_mem_new(const ch_log_mem_config *config, chat_backend *log) {
  if (!config_valid(config)) return CHAT_E_INVALID;
  log_mem *made = ch_calloc(config->alloc, 1, sizeof *made);
  if (!made) return CHAT_E_NOMEM;
  made->config = *config;
  if (pthread_mutex_init(&made->lock, NULL)) {
    ch_free(config->alloc, made);
    return CHAT_E_NOMEM;
  }
  for (int t = 0; t < CHAT_TOPIC_COUNT; t++) {
    made->topics[t] = ch_calloc(config->alloc, config->partitions[t], sizeof(partition));
    if (!made->topics[t]) {
      log_free(made);
      return CHAT_E_NOMEM;
    }
  }
  *log = (chat_backend){&vtable, made};
  return 0;
}
