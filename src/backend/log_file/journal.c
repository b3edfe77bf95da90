/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/log_file/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/log_file/directory.h"
#include "backend/log_file/recovery.h"
#include "core/assert.h"
#include "platform/platform.h"

enum { STEP_LEN = 1024 * 1024 }; /* so much of a segment is written with zeros at a time */
/* A commit is gathered in memory up to this, or one record. */
enum { OUT_LEN = 1024 * 1024 + CH_LOGFILE_DATA_MAX + CH_LOGFILE_RECORD_LEN };

/* ------------------------------------------------------------------------------------------------ list of segments */

static int list_add(ch_journal *journal, ch_journal_segment segment) {
  int error = 0;
  pthread_mutex_lock(&journal->lock);
  if (journal->segment_count == journal->segment_room) {
    size_t room = journal->segment_room ? journal->segment_room * 2 : 8;
    ch_journal_segment *segments = ch_realloc(journal->config.alloc, journal->segments, room, sizeof *segments);
    if (segments) journal->segments = segments, journal->segment_room = room;
    else error = CHAT_E_NOMEM;
  }
  if (!error) journal->segments[journal->segment_count++] = segment;
  pthread_mutex_unlock(&journal->lock);
  return error;
}

static ch_journal_segment *newest(const ch_journal *journal) {
  return &journal->segments[journal->segment_count - 1];
}

static void set_end(ch_journal *journal, uint64_t end) {
  pthread_mutex_lock(&journal->lock);
  journal->end = end;
  pthread_mutex_unlock(&journal->lock);
}

static ch_logfile_header header_of(const ch_journal *journal, ch_journal_segment segment) {
  ch_logfile_header header = {.epoch = segment.epoch, .first = segment.first};
  memcpy(header.identity, journal->identity, sizeof header.identity);
  return header;
}

/* ------------------------------------------------------------------------------------------------ files */

static int write_all(const ch_journal *journal, int fd, const uint8_t *data, size_t len, size_t at) {
  while (len > 0) {
    ssize_t done = journal->config.io->pwrite(fd, data, len, (off_t)at);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return done < 0 ? ch_platform_file_error(errno) : CHAT_E_IO;
    data += done;
    at += (size_t)done;
    len -= (size_t)done;
  }
  return 0;
}

static int sync_file(const ch_journal *journal, int fd) {
  return journal->config.io->fdatasync(fd) == 0 ? 0 : ch_platform_file_error(errno);
}

static int write_zeros(const ch_journal *journal, int fd, size_t from, size_t to) {
  static const uint8_t zeros[64 * 1024];
  int error = 0;
  for (size_t len; from < to && !error; from += len) {
    len = to - from < sizeof zeros ? to - from : sizeof zeros;
    error = write_all(journal, fd, zeros, len, from);
  }
  return error;
}

static int read_all(int fd, uint8_t *out, size_t len, size_t at) {
  while (len > 0) {
    ssize_t done = pread(fd, out, len, (off_t)at);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return CHAT_E_IO;
    if (done == 0) return CHAT_E_CORRUPT;
    out += done;
    at += (size_t)done;
    len -= (size_t)done;
  }
  return 0;
}

/* ------------------------------------------------------------------------------------------------ the next segment */

/* Where the step that begins at `from` ends. */
static size_t step_end(const ch_journal *journal, size_t from) {
  size_t left_len = journal->config.segment_len - from;
  return from + (left_len < STEP_LEN ? left_len : STEP_LEN);
}

/* Room for all of it, so that a disk that is full meanwhile stops nobody; and the first step written with zeros: a commit then changes no size and no extents, which halves what it costs
 * (docs/decisions/0003). */
static int make_file(const ch_journal *journal, const char *name, ch_logfile_header header, int *out) {
  uint8_t bytes[CH_LOGFILE_HEADER_LEN];
  ch_logfile_header_encode(&header, bytes);
  *out = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (*out < 0) return ch_platform_file_error(errno);
  int code = posix_fallocate(*out, 0, (off_t)journal->config.segment_len);
  int error = code ? ch_platform_file_error(code) : write_zeros(journal, *out, 0, step_end(journal, 0));
  if (!error) error = write_all(journal, *out, bytes, sizeof bytes, 0);
  if (!error) error = sync_file(journal, *out);
  return error;
}

/* Made under another name: whatever bears a segment's name is whole. */
static int make_segment(const ch_journal *journal, ch_journal_segment segment, int *fd) {
  char making[CH_DIRECTORY_NAME_MAX], name[CH_DIRECTORY_NAME_MAX];
  snprintf(making, sizeof making, "%s/next", journal->path);
  ch_directory_segment(journal->path, segment.first, name);
  int error = make_file(journal, making, header_of(journal, segment), fd);
  if (!error && rename(making, name) != 0) error = ch_platform_file_error(errno);
  if (!error) error = ch_directory_sync(journal->path);
  if (!error) return 0;
  if (*fd >= 0) close(*fd);
  unlink(making);
  return error;
}

static void close_newest(ch_journal *journal) {
  if (journal->fd >= 0) close(journal->fd);
  journal->fd = -1;
}

static void use_segment(ch_journal *journal, int fd, size_t len, size_t used_len) {
  ch_logfile_header header = header_of(journal, *newest(journal));
  journal->fd = fd;
  journal->len = len;
  journal->used_len = used_len;
  journal->seed = ch_logfile_seed(&header);
}

/* An empty segment of an earlier epoch, or that ends where no record fits any more: a new one takes its name. Until that is known to be durable nothing is open,
 * so that nothing is written to a file without a name. */
static int remake(ch_journal *journal) {
  ch_journal_segment segment = {newest(journal)->first, journal->config.epoch};
  close_newest(journal);
  int fd, error = make_segment(journal, segment, &fd);
  if (error) return error;
  pthread_mutex_lock(&journal->lock);
  newest(journal)->epoch = segment.epoch;
  pthread_mutex_unlock(&journal->lock);
  use_segment(journal, fd, step_end(journal, 0), CH_LOGFILE_HEADER_LEN);
  return 0;
}

/* A step further: zeros for a whole segment at once would keep all commits waiting for a tenth of a second. */
static int extend(ch_journal *journal) {
  size_t len = step_end(journal, journal->len);
  int error = write_zeros(journal, journal->fd, journal->len, len);
  if (error) return error;
  error = sync_file(journal, journal->fd);
  if (error) close_newest(journal);
  else journal->len = len;
  return error;
}

int ch_journal_roll(ch_journal *journal) {
  ch_assert(journal->fd >= 0 && journal->out_count == 0);
  ch_journal_segment segment = {.first = journal->end + 1, .epoch = journal->config.epoch};
  if (journal->len < journal->config.segment_len && newest(journal)->epoch == segment.epoch) return extend(journal);
  if (newest(journal)->first == segment.first) return remake(journal);
  size_t bytes = (journal->segment_count + 1) * journal->config.segment_len;
  if (journal->config.bytes_max && bytes > journal->config.bytes_max) return CHAT_E_FULL;
  int fd, error = make_segment(journal, segment, &fd);
  if (error) return error;
  error = list_add(journal, segment);
  if (error) {
    close(fd);
    return error;
  }
  close(journal->fd);
  use_segment(journal, fd, step_end(journal, 0), CH_LOGFILE_HEADER_LEN);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ append */

static int out_reserve(ch_journal *journal, size_t len) {
  if (journal->out_len + len <= journal->out_room) return 0;
  size_t room = journal->out_room ? journal->out_room * 2 : 64 * 1024;
  while (room < journal->out_len + len) room *= 2;
  uint8_t *out = ch_realloc(journal->config.alloc, journal->out, room, 1);
  if (!out) return CHAT_E_NOMEM;
  journal->out = out;
  journal->out_room = room;
  return 0;
}

int ch_journal_add(ch_journal *journal, chat_bytes data, uint64_t *time_ms, uint64_t *number) {
  ch_assert(journal->fd >= 0);
  size_t len = ch_logfile_record_len(data.len);
  if (data.len > CH_LOGFILE_DATA_MAX || len > journal->config.segment_len - CH_LOGFILE_HEADER_LEN) return CHAT_E_TOO_LARGE;
  bool stale = newest(journal)->epoch != journal->config.epoch;
  if (stale || journal->used_len + journal->out_len + len > journal->len || journal->out_len + len > OUT_LEN) return 0;
  int error = out_reserve(journal, len);
  if (error) return error;
  if (*time_ms < journal->last_ms) *time_ms = journal->last_ms;
  ch_logfile_record record = {.number = journal->end + 1 + journal->out_count, .time_ms = *time_ms, .back = journal->out_count, .data = data};
  ch_logfile_record_encode(&record, journal->seed, journal->out + journal->out_len);
  journal->last_ms = record.time_ms;
  journal->out_len += len;
  journal->out_count++;
  *number = record.number;
  return 1;
}

/* A failed write or sync is final for this file: pages may count as clean that the disk does not have, so it is never synced again in the hope that it helps. */
int ch_journal_commit(ch_journal *journal) {
  if (journal->out_count == 0) return 0;
  int error = write_all(journal, journal->fd, journal->out, journal->out_len, journal->used_len);
  if (!error) error = sync_file(journal, journal->fd);
  if (error) close_newest(journal);
  else {
    journal->used_len += journal->out_len;
    set_end(journal, journal->end + journal->out_count);
  }
  journal->out_len = 0;
  journal->out_count = 0;
  return error ? CHAT_E_UNKNOWN : 0;
}

/* ------------------------------------------------------------------------------------------------ open */

/* What is good is made durable, and nothing else is left behind it. */
static int repair(const ch_journal *journal, int fd, const uint8_t *in, size_t len, const ch_logfile_scan *scan) {
  int error = write_all(journal, fd, in + scan->tail_from, scan->used_len - scan->tail_from, scan->tail_from);
  if (!error) error = write_zeros(journal, fd, scan->used_len, len);
  if (!error) error = sync_file(journal, fd);
  return error ? error : ch_directory_sync(journal->path);
}

static int recover_bytes(ch_journal *journal, int fd, uint8_t *in, size_t len, uint64_t *damaged) {
  ch_logfile_header header = header_of(journal, *newest(journal));
  ch_logfile_scan scan = {.end = header.first - 1};
  int error = read_all(fd, in, len, 0);
  if (!error) error = ch_logfile_recover(in, len, &header, &scan);
  if (error == CHAT_E_CORRUPT) *damaged = scan.end + 1;
  /* What was acknowledged is in the file, or the disk has lost it. */
  if (!error && scan.end < journal->end) {
    *damaged = scan.end + 1;
    error = CHAT_E_CORRUPT;
  }
  if (!error) error = repair(journal, fd, in, len, &scan);
  if (error) return error;
  set_end(journal, scan.end);
  if (scan.last_ms > journal->last_ms) journal->last_ms = scan.last_ms;
  use_segment(journal, fd, len, scan.used_len);
  return 0;
}

static int recover_newest(ch_journal *journal, uint64_t *damaged) {
  char name[CH_DIRECTORY_NAME_MAX];
  struct stat info;
  ch_directory_segment(journal->path, newest(journal)->first, name);
  int fd = open(name, O_RDWR | O_CLOEXEC);
  if (fd < 0) return CHAT_E_IO;
  int error = fstat(fd, &info) == 0 ? 0 : CHAT_E_IO;
  if (!error && info.st_size < CH_LOGFILE_HEADER_LEN) error = CHAT_E_CORRUPT;
  uint8_t *in = error ? NULL : ch_alloc(journal->config.alloc, (size_t)info.st_size);
  if (!error) error = in ? recover_bytes(journal, fd, in, (size_t)info.st_size, damaged) : CHAT_E_NOMEM;
  ch_free(journal->config.alloc, in);
  if (error) close(fd);
  return error;
}

static int read_header(const ch_journal *journal, uint64_t first, ch_logfile_header *header) {
  char name[CH_DIRECTORY_NAME_MAX];
  uint8_t bytes[CH_LOGFILE_HEADER_LEN];
  ch_directory_segment(journal->path, first, name);
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return CHAT_E_IO;
  int error = read_all(fd, bytes, sizeof bytes, 0);
  close(fd);
  if (!error) error = ch_logfile_header_decode(bytes, header);
  return !error && header->first != first ? CHAT_E_CORRUPT : error;
}

/* Segments follow each other in number and epoch and are of one log. A record that is missing between two is found by whoever reads there. */
static int check_header(ch_journal *journal, uint64_t first) {
  ch_logfile_header header;
  int error = read_header(journal, first, &header);
  if (error) return error;
  if (journal->segment_count == 0) memcpy(journal->identity, header.identity, 16);
  else if (memcmp(journal->identity, header.identity, 16) != 0 || header.epoch < newest(journal)->epoch) return CHAT_E_CORRUPT;
  return list_add(journal, (ch_journal_segment){.first = first, .epoch = header.epoch});
}

static int list_segments(ch_journal *journal, uint64_t *damaged) {
  uint64_t *firsts;
  size_t count;
  int error = ch_directory_segments(journal->path, journal->config.alloc, &firsts, &count);
  if (error) return error;
  for (size_t i = 0; i < count && !error; i++) {
    error = check_header(journal, firsts[i]);
    if (error == CHAT_E_CORRUPT) *damaged = firsts[i];
  }
  ch_free(journal->config.alloc, firsts);
  return error;
}

static int make_first(ch_journal *journal) {
  int fd;
  ch_journal_segment segment = {.first = 1, .epoch = journal->config.epoch};
  journal->config.random.fill(journal->config.random.arg, journal->identity, sizeof journal->identity);
  int error = make_segment(journal, segment, &fd);
  if (error) return error;
  error = list_add(journal, segment);
  if (error) close(fd);
  else use_segment(journal, fd, step_end(journal, 0), CH_LOGFILE_HEADER_LEN);
  return error;
}

int ch_journal_open(ch_journal *journal, const ch_journal_config *config, const char *path, uint64_t *damaged) {
  memset(journal, 0, sizeof *journal);
  journal->config = *config;
  journal->fd = -1;
  pthread_mutex_init(&journal->lock, NULL);
  ch_assert(strlen(path) <= CH_JOURNAL_PATH_MAX);
  strcpy(journal->path, path);
  int error = ch_directory_make(path);
  if (!error) error = list_segments(journal, damaged);
  if (error) return error;
  if (journal->segment_count == 0) return make_first(journal);
  if (newest(journal)->epoch > config->epoch) return CHAT_E_INVALID;
  return recover_newest(journal, damaged);
}

int ch_journal_reopen(ch_journal *journal) {
  uint64_t damaged = 0;
  ch_assert(journal->fd < 0);
  return recover_newest(journal, &damaged);
}

void ch_journal_close(ch_journal *journal) {
  close_newest(journal);
  ch_free(journal->config.alloc, journal->segments);
  ch_free(journal->config.alloc, journal->out);
  pthread_mutex_destroy(&journal->lock);
}

/* ------------------------------------------------------------------------------------------------ cut */

enum { KEPT_SEGMENTS = 2 };

void ch_journal_cut(ch_journal *journal, uint64_t number) {
  char name[CH_DIRECTORY_NAME_MAX];
  while (journal->segment_count > KEPT_SEGMENTS && journal->segments[1].first <= number + 1) {
    ch_directory_segment(journal->path, journal->segments[0].first, name);
    if (unlink(name) != 0 && errno != ENOENT) return;
    pthread_mutex_lock(&journal->lock);
    journal->segment_count--;
    memmove(journal->segments, journal->segments + 1, journal->segment_count * sizeof *journal->segments);
    pthread_mutex_unlock(&journal->lock);
  }
}

/* ------------------------------------------------------------------------------------------------ positions */

void ch_journal_bounds(ch_journal *journal, uint64_t *first, uint64_t *end) {
  pthread_mutex_lock(&journal->lock);
  *end = journal->end;
  *first = journal->segments[0].first <= journal->end ? journal->segments[0].first : 0;
  pthread_mutex_unlock(&journal->lock);
}

static size_t segment_of(const ch_journal *journal, uint64_t number) {
  size_t at = journal->segment_count - 1;
  while (at > 0 && journal->segments[at].first > number) at--;
  return at;
}

uint64_t ch_journal_position(ch_journal *journal, uint64_t number) {
  pthread_mutex_lock(&journal->lock);
  uint64_t epoch = journal->segments[segment_of(journal, number)].epoch;
  pthread_mutex_unlock(&journal->lock);
  return number ? epoch << 48 | number : 0;
}

/* Number of the first record kept whose epoch is at least, or above, this one. */
static uint64_t first_of_epoch(const ch_journal *journal, uint64_t epoch) {
  for (size_t i = 0; i < journal->segment_count; i++)
    if (journal->segments[i].epoch >= epoch) return journal->segments[i].first;
  return journal->end + 1;
}

static uint64_t number_after(const ch_journal *journal, uint64_t epoch, uint64_t number) {
  uint64_t next = number + 1;
  if (epoch > journal->config.epoch) return 0;
  if (epoch > newest(journal)->epoch) return UINT64_MAX;
  if (next < journal->segments[0].first && epoch <= journal->segments[0].epoch) return 0;
  uint64_t low = first_of_epoch(journal, epoch), high = first_of_epoch(journal, epoch + 1);
  if (epoch == newest(journal)->epoch && next > journal->end + 1) return epoch == journal->config.epoch ? 0 : journal->end + 1; /* what contradicts us was settled by raising the epoch */
  return next < low ? low : next > high ? high : next;
}

uint64_t ch_journal_after(ch_journal *journal, uint64_t after) {
  pthread_mutex_lock(&journal->lock);
  uint64_t number = number_after(journal, after >> 48, after & 0xffffffffffffu);
  pthread_mutex_unlock(&journal->lock);
  return number;
}

/* ------------------------------------------------------------------------------------------------ read */

/* Two of the largest records. */
enum { READ_LEN = 2 * (CH_LOGFILE_DATA_MAX + CH_LOGFILE_RECORD_LEN) };

typedef struct segment_view {
  ch_journal_segment segment;
  uint64_t last; /* number of its last durable record */
} segment_view;

static int view_of(ch_journal *journal, uint64_t number, segment_view *view) {
  pthread_mutex_lock(&journal->lock);
  size_t at = segment_of(journal, number);
  view->segment = journal->segments[at];
  view->last = at + 1 < journal->segment_count ? journal->segments[at + 1].first - 1 : journal->end;
  pthread_mutex_unlock(&journal->lock);
  return number >= view->segment.first ? 0 : CHAT_E_GONE;
}

void ch_journal_cursor_close(ch_journal_cursor *cursor) {
  if (cursor->fd >= 0) close(cursor->fd);
  *cursor = (ch_journal_cursor){.fd = -1};
}

/* Goes on where the cursor is, if it is at or before `number` in this segment; else begins at the segment's first record. */
static int cursor_place(const ch_journal *journal, ch_journal_cursor *cursor, ch_journal_segment segment, uint64_t number) {
  char name[CH_DIRECTORY_NAME_MAX];
  if (cursor->fd >= 0 && cursor->segment_first == segment.first && cursor->number <= number) return 0;
  ch_journal_cursor_close(cursor);
  ch_directory_segment(journal->path, segment.first, name);
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? CHAT_E_GONE : CHAT_E_IO;
  *cursor = (ch_journal_cursor){.fd = fd, .segment_first = segment.first, .number = segment.first, .offset = CH_LOGFILE_HEADER_LEN};
  return 0;
}

typedef struct file_reading {
  ch_journal *journal;
  ch_journal_cursor *cursor;
  uint8_t *buffer;
  uint64_t number; /* first that is wanted */
  bool (*take)(void *arg, uint32_t epoch, const ch_logfile_record *record);
  void *arg;
} file_reading;

/* Decodes what stands in the buffer. 1: go on; 0: enough; or CHAT_E_CORRUPT. */
static int take_buffer(file_reading *reading, const segment_view *view, uint32_t seed, size_t len) {
  ch_journal_cursor *cursor = reading->cursor;
  ch_logfile_record record;
  for (size_t at = 0; cursor->number <= view->last;) {
    int found = ch_logfile_record_decode(reading->buffer + at, len - at, seed, &record);
    bool cut = found <= 0 && at > 0; /* by the end of the buffer, perhaps: it is read again from here */
    if (cut) return 1;
    if (found <= 0 || record.number != cursor->number) return CHAT_E_CORRUPT;
    if (record.number >= reading->number && !reading->take(reading->arg, view->segment.epoch, &record)) return 0;
    at += ch_logfile_record_len(record.data.len);
    cursor->offset += ch_logfile_record_len(record.data.len);
    cursor->number++;
  }
  return 1;
}

static int fill_buffer(file_reading *reading, size_t *len) {
  ssize_t done = pread(reading->cursor->fd, reading->buffer, READ_LEN, (off_t)reading->cursor->offset);
  if (done < 0) return CHAT_E_IO;
  *len = (size_t)done;
  return done > 0 ? 0 : CHAT_E_CORRUPT;
}

/* 1: this segment is read to its end; 0: enough; or negative. */
static int read_segment(file_reading *reading, const segment_view *view) {
  ch_logfile_header header = header_of(reading->journal, view->segment);
  uint32_t seed = ch_logfile_seed(&header);
  int more = 1;
  while (more > 0 && reading->cursor->number <= view->last) {
    size_t len;
    int error = fill_buffer(reading, &len);
    more = error ? error : take_buffer(reading, view, seed, len);
  }
  return more;
}

static int read_on(file_reading *reading) {
  for (;;) {
    segment_view view;
    uint64_t number = reading->cursor->number > reading->number ? reading->cursor->number : reading->number;
    int error = view_of(reading->journal, number, &view);
    if (!error && number > view.last) return 0;
    if (!error) error = cursor_place(reading->journal, reading->cursor, view.segment, number);
    int more = error ? error : read_segment(reading, &view);
    if (more <= 0) return more;
  }
}

int ch_journal_read(ch_journal *journal, ch_journal_cursor *cursor, uint64_t number, bool (*take)(void *arg, uint32_t epoch, const ch_logfile_record *record), void *arg) {
  file_reading reading = {.journal = journal, .cursor = cursor, .number = number, .take = take, .arg = arg};
  reading.buffer = ch_alloc(journal->config.alloc, READ_LEN);
  if (!reading.buffer) return CHAT_E_NOMEM;
  if (cursor->number > number) ch_journal_cursor_close(cursor);
  int error = read_on(&reading);
  ch_free(journal->config.alloc, reading.buffer);
  return error;
}
