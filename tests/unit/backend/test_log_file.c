/* SPDX-License-Identifier: Apache-2.0 */
/* What is the append file's own: recovery, segments, cutting, full and failing disks, kill -9. What every log does is tests/contract. */
#define _DEFAULT_SOURCE
#include "backend/log_file/log_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../core/run.h"
#include "backend/log_file/crc32c.h"
#include "backend/log_file/record.h"
#include "bench_port.h"

enum { SEGMENT_LEN = 4096 };

static char dir[64], path[96];
static bench_port bench;
static uint64_t wall_now = 1000;
static ch_log_file_io io; /* fn NULL: the system's */

static uint64_t wall(void *arg) {
  (void)arg;
  return wall_now;
}

static void fill(void *arg, void *bytes, size_t len) {
  static uint8_t next = 1;
  (void)arg;
  memset(bytes, next++, len);
}

static ch_log_file_config config(void) {
  return (ch_log_file_config){.clock = {wall, wall, NULL}, .random = {fill, NULL}, .path = path, .partitions = {1, 2}, .segment_len = SEGMENT_LEN, .io = io.pwrite ? &io : NULL};
}

static int try_open(ch_log_file_config wanted, uint64_t *damaged) {
  chat_backend log;
  int error = ch_log_file_new(&wanted, &log, damaged);
  if (!error) bench_open(&bench, log);
  return error;
}

static void open_log(void) {
  ch_assert(try_open(config(), NULL) == 0);
}

static void begin(void) {
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/log", dir);
  open_log();
}

static void end(void) {
  bench_close(&bench);
  bench_dir_remove(dir);
}

/* ------------------------------------------------------------------------------------------------ ops */

/* Record n is n's digits, repeated to some length. */
static chat_bytes body_of(chat_op *op, uint64_t n, size_t len) {
  char *bytes = chat_op_alloc(op, len + 24);
  size_t digits = (size_t)snprintf(bytes, 24, "%llu.", (unsigned long long)n);
  for (size_t i = digits; i < len; i++)
    bytes[i] = bytes[i % digits];
  return ch_bytes_of(bytes, len < digits ? digits : len);
}

static chat_log_append *append_of(uint64_t first, size_t count, size_t len) {
  chat_log_append *append = ch_op_new(NULL, CHAT_OP_LOG_APPEND, sizeof *append);
  append->count = count;
  append->records = chat_op_alloc(&append->op, count * sizeof *append->records);
  for (size_t i = 0; i < count; i++)
    append->records[i] = (chat_log_record){.data = body_of(&append->op, first + i, len)};
  return append;
}

static int append(uint64_t first, size_t count, size_t len) {
  chat_log_append *op = append_of(first, count, len);
  int status = bench_do(&bench, op);
  for (size_t i = 0; status == 0 && i < count; i++)
    ch_assert(op->records[i].position == first + i);
  ch_op_free(&op->op);
  return status;
}

static chat_log_read *read_of(uint64_t after, uint32_t count_max) {
  chat_log_read *read = ch_op_new(NULL, CHAT_OP_LOG_READ, sizeof *read);
  read->after = after;
  read->wait_ms = 1000;
  read->count_max = count_max;
  read->bytes_max = 1 << 20;
  return read;
}

/* Records first … last are there, with these bodies, and may be read one after the other. */
static void expect(uint64_t first, uint64_t last, size_t len) {
  for (uint64_t next = first; next <= last;) {
    chat_log_read *read = read_of(next - 1, 7);
    ck_assert_int_eq(bench_do(&bench, read), 0);
    ck_assert_uint_gt(read->count, 0);
    for (size_t i = 0; i < read->count; i++, next++) {
      ck_assert_uint_eq(read->records[i].position, next);
      ck_assert(ch_bytes_equal(read->records[i].data, body_of(&read->op, next, len)));
    }
    ch_op_free(&read->op);
  }
}

static chat_log_info info(void) {
  chat_log_info *ask = ch_op_new(NULL, CHAT_OP_LOG_INFO, sizeof *ask);
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  chat_log_info copy = *ask;
  ch_op_free(&ask->op);
  return copy;
}

static void consume(uint64_t position) {
  chat_log_consumed *op = ch_op_new(NULL, CHAT_OP_LOG_CONSUMED, sizeof *op);
  op->position = position;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ch_op_free(&op->op);
}

/* ------------------------------------------------------------------------------------------------ files */

static void newest_segment(char name[200]) {
  char folder[128], best[64] = "";
  snprintf(folder, sizeof folder, "%s/messages-0", path);
  DIR *open_dir = opendir(folder);
  for (struct dirent *entry; (entry = readdir(open_dir));)
    if (strstr(entry->d_name, ".log") && strcmp(entry->d_name, best) > 0) snprintf(best, sizeof best, "%.40s", entry->d_name);
  closedir(open_dir);
  snprintf(name, 200, "%s/%s", folder, best);
}

static size_t segment_count(void) {
  char folder[128];
  size_t count = 0;
  snprintf(folder, sizeof folder, "%s/messages-0", path);
  DIR *open_dir = opendir(folder);
  for (struct dirent *entry; (entry = readdir(open_dir));)
    count += strstr(entry->d_name, ".log") != NULL;
  closedir(open_dir);
  return count;
}

static void file_load(const char *name, uint8_t bytes[SEGMENT_LEN]) {
  int fd = open(name, O_RDONLY);
  ck_assert_int_eq(read(fd, bytes, SEGMENT_LEN), SEGMENT_LEN);
  close(fd);
}

static void file_save(const char *name, const uint8_t bytes[SEGMENT_LEN]) {
  int fd = open(name, O_WRONLY);
  ck_assert_int_eq(write(fd, bytes, SEGMENT_LEN), SEGMENT_LEN);
  close(fd);
}

/* ------------------------------------------------------------------------------------------------ tests */

/* RFC 3720, B.4. */
START_TEST(checksum_is_crc32c) {
  uint8_t bytes[32];
  uint32_t (*const ways[])(uint32_t, const void *, size_t) = {ch_crc32c, ch_crc32c_portable};
  for (int way = 0; way < 2; way++) {
    memset(bytes, 0, sizeof bytes);
    ck_assert_uint_eq(ways[way](0, bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, sizeof bytes);
    ck_assert_uint_eq(ways[way](0, bytes, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++)
      bytes[i] = (uint8_t)i;
    ck_assert_uint_eq(ways[way](0, bytes, 32), 0x46dd794eu);
    ck_assert_uint_eq(ways[way](ways[way](0, bytes, 13), bytes + 13, 19), 0x46dd794eu);
  }
}
END_TEST

START_TEST(appended_is_read_and_survives_reopening) {
  begin();
  ck_assert_int_eq(append(1, 300, 50), 0); /* several segments */
  chat_log_info before = info();
  for (int opened = 0; opened < 2; opened++) {
    expect(1, 300, 50);
    chat_log_info now = info();
    ck_assert_uint_eq(now.first, 1);
    ck_assert_uint_eq(now.end, 300);
    ck_assert_uint_eq(now.partition_count, 1);
    ck_assert_mem_eq(now.identity, before.identity, 16);
    bench_close(&bench);
    open_log();
  }
  ck_assert_int_eq(append(301, 1, 50), 0);
  expect(250, 301, 50);
  end();
}
END_TEST

START_TEST(a_long_poll_is_answered_by_the_append) {
  begin();
  chat_log_read *read = read_of(0, 10);
  bench_submit(&bench, read);
  chat_log_append *op = append_of(1, 2, 10);
  bench_submit(&bench, op);
  for (int i = 0; i < 2; i++) {
    chat_op *done = bench_next(&bench);
    ck_assert(done == &read->op || done == &op->op);
    ck_assert_int_eq(done->status, 0);
  }
  ck_assert_uint_eq(read->count, 2);
  ch_op_free(&op->op);
  ch_op_free(&read->op);
  read = read_of(2, 10);
  bench_submit(&bench, read);
  bench.backend.vtable->port_cancel(bench.backend.self, bench.port);
  ck_assert_ptr_eq(bench_next(&bench), &read->op);
  ck_assert_int_eq(read->op.status, CHAT_E_CANCELED);
  ch_op_free(&read->op);
  end();
}
END_TEST

/* Whichever byte of the last record did not reach the disk: what was before it is there, nothing of it is, and the log goes on. */
START_TEST(a_torn_tail_is_dropped_at_every_byte) {
  uint8_t good[SEGMENT_LEN], torn[SEGMENT_LEN];
  char name[200];
  begin();
  for (uint64_t n = 1; n <= 3; n++)
    ck_assert_int_eq(append(n, 1, 21), 0);
  bench_close(&bench);
  newest_segment(name);
  file_load(name, good);
  size_t record_len = ch_logfile_record_len(21), from = CH_LOGFILE_HEADER_LEN + 2 * record_len;
  for (size_t cut = 0; cut < CH_LOGFILE_RECORD_LEN + 21; cut++) {
    memcpy(torn, good, sizeof torn);
    memset(torn + from + cut, 0, SEGMENT_LEN - from - cut);
    if (memcmp(torn, good, sizeof torn) == 0) continue; /* the bytes cut off were zeros */
    file_save(name, torn);
    open_log();
    ck_assert_uint_eq(info().end, 2);
    expect(1, 2, 21);
    ck_assert_int_eq(append(3, 1, 9), 0);
    expect(3, 3, 9);
    bench_close(&bench);
  }
  open_log();
  end();
}
END_TEST

/* One flipped bit anywhere in a record behind which a later commit stands is damage: named, and nothing is changed. */
START_TEST(damage_before_a_synced_commit_stops_the_log) {
  uint8_t good[SEGMENT_LEN], bad[SEGMENT_LEN], after[SEGMENT_LEN];
  char name[200];
  begin();
  for (uint64_t n = 1; n <= 3; n++)
    ck_assert_int_eq(append(n, 1, 24), 0);
  bench_close(&bench);
  newest_segment(name);
  file_load(name, good);
  size_t record_len = ch_logfile_record_len(24), from = CH_LOGFILE_HEADER_LEN + record_len;
  for (size_t byte = 0; byte < record_len; byte++) {
    uint64_t damaged = 0;
    memcpy(bad, good, sizeof bad);
    bad[from + byte] ^= 0x10;
    file_save(name, bad);
    ck_assert_int_eq(try_open(config(), &damaged), CHAT_E_CORRUPT);
    ck_assert_uint_eq(damaged, 2);
    file_load(name, after);
    ck_assert_mem_eq(after, bad, sizeof bad);
  }
  file_save(name, good);
  open_log();
  expect(1, 3, 24);
  end();
}
END_TEST

/* Blocks of one commit reach the disk in any order: a hole in it with good records behind is torn, not damage. */
START_TEST(a_hole_in_the_last_commit_is_torn) {
  uint8_t bytes[SEGMENT_LEN];
  char name[200];
  begin();
  ck_assert_int_eq(append(1, 1, 24), 0);
  ck_assert_int_eq(append(2, 5, 24), 0);
  bench_close(&bench);
  newest_segment(name);
  file_load(name, bytes);
  size_t record_len = ch_logfile_record_len(24);
  memset(bytes + CH_LOGFILE_HEADER_LEN + 3 * record_len, 0, record_len); /* record 4 */
  file_save(name, bytes);
  open_log();
  ck_assert_uint_eq(info().end, 3);
  expect(1, 3, 24);
  bench_close(&bench);
  file_load(name, bytes);
  for (size_t i = CH_LOGFILE_HEADER_LEN + 3 * record_len; i < SEGMENT_LEN; i++)
    ck_assert_uint_eq(bytes[i], 0);
  open_log();
  end();
}
END_TEST

START_TEST(damage_in_an_old_segment_is_met_by_its_reader) {
  uint8_t bytes[SEGMENT_LEN];
  char name[200];
  begin();
  ck_assert_int_eq(append(1, 300, 50), 0);
  bench_close(&bench);
  snprintf(name, sizeof name, "%s/messages-0/%020d.log", path, 1);
  file_load(name, bytes);
  bytes[CH_LOGFILE_HEADER_LEN + ch_logfile_record_len(50) + 40] ^= 1; /* record 2 */
  file_save(name, bytes);
  open_log();
  expect(1, 1, 50);
  chat_log_read *read = read_of(1, 10);
  ck_assert_int_eq(bench_do(&bench, read), CHAT_E_CORRUPT);
  ch_op_free(&read->op);
  bytes[CH_LOGFILE_HEADER_LEN + ch_logfile_record_len(50) + 40] ^= 1;
  bench_close(&bench);
  bytes[20] ^= 1; /* its header: identity */
  file_save(name, bytes);
  ck_assert_int_eq(try_open(config(), NULL), CHAT_E_CORRUPT);
  bench_dir_remove(dir);
}
END_TEST

START_TEST(consumed_segments_are_cut_but_the_last_two) {
  begin();
  ck_assert_int_eq(append(1, 300, 50), 0);
  size_t segments = segment_count();
  ck_assert_uint_gt(segments, 4);
  consume(0);
  ck_assert_int_eq(append(301, 1, 50), 0); /* the writer has been there */
  ck_assert_uint_eq(segment_count(), segments);
  consume((uint64_t)1 << 48 | 300); /* of another log */
  ck_assert_int_eq(append(302, 1, 50), 0);
  ck_assert_uint_eq(segment_count(), segments);
  consume(60); /* in the middle of the second segment */
  ck_assert_int_eq(append(303, 1, 50), 0);
  ck_assert_uint_eq(segment_count(), segments - 1);
  uint64_t first = info().first;
  ck_assert_uint_gt(first, 1);
  ck_assert_uint_le(first, 61);
  chat_log_read *read = read_of(first - 2, 10);
  ck_assert_int_eq(bench_do(&bench, read), CHAT_E_GONE);
  ch_op_free(&read->op);
  expect(first, 303, 50);
  consume(303);
  ck_assert_int_eq(append(304, 1, 50), 0);
  ck_assert_uint_eq(segment_count(), 2);
  bench_close(&bench);
  open_log();
  expect(info().first, 304, 50);
  end();
}
END_TEST

START_TEST(full_is_full_until_more_is_consumed) {
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/log", dir);
  ch_log_file_config small = config();
  small.bytes_max = 3 * SEGMENT_LEN;
  ck_assert_int_eq(try_open(small, NULL), 0);
  uint64_t n = 1;
  int status;
  while ((status = append(n, 1, 1000)) == 0) n++;
  ck_assert_int_eq(status, CHAT_E_FULL);
  ck_assert_uint_gt(n, 6);
  ck_assert_uint_eq(info().end, n - 1);
  consume(n - 1);
  while ((status = append(n, 1, 1000)) == CHAT_E_FULL) continue; /* the cut is on its way */
  ck_assert_int_eq(status, 0);
  bench_close(&bench);
  ck_assert_int_eq(try_open(small, NULL), 0);
  expect(info().first, n, 1000);
  end();
}
END_TEST

START_TEST(some_records_of_an_append_may_be_in) {
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/log", dir);
  ch_log_file_config small = config();
  small.bytes_max = 2 * SEGMENT_LEN;
  ck_assert_int_eq(try_open(small, NULL), 0);
  chat_log_append *op = append_of(1, 20, 1000);
  op->records[19].data = text("would fit"); /* but is behind one that did not */
  ck_assert_int_eq(bench_do(&bench, op), CHAT_E_FULL);
  uint64_t in = 0;
  while (in < 20 && op->records[in].position) in++;
  ck_assert_uint_gt(in, 0);
  for (uint64_t i = in; i < 20; i++)
    ck_assert_uint_eq(op->records[i].position, 0);
  ck_assert_uint_eq(info().end, in);
  ch_op_free(&op->op);
  expect(1, in, 1000);
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ a disk that fails */

static atomic_int sync_errno, write_errno; /* of the next calls; 0: none */
static atomic_size_t write_len_max;        /* 0: none; else so much of a failing write is done before it fails */

static ssize_t failing_pwrite(int fd, const void *data, size_t len, off_t offset) {
  int code = atomic_load(&write_errno);
  if (!code) return pwrite(fd, data, len, offset);
  size_t part = atomic_exchange(&write_len_max, 0);
  if (part > 0 && part < len) return pwrite(fd, data, part, offset);
  errno = code;
  return -1;
}

static int failing_sync(int fd) {
  int code = atomic_load(&sync_errno);
  if (!code) return fdatasync(fd);
  errno = code;
  return -1;
}

static void begin_failing(void) {
  io = (ch_log_file_io){failing_pwrite, failing_sync};
  begin();
}

START_TEST(a_failed_sync_is_unknown_and_the_file_is_opened_anew) {
  begin_failing();
  ck_assert_int_eq(append(1, 2, 30), 0);
  atomic_store(&sync_errno, EIO);
  chat_log_append *op = append_of(3, 1, 30);
  ck_assert_int_eq(bench_do(&bench, op), CHAT_E_UNKNOWN);
  ck_assert_uint_eq(op->records[0].position, 0);
  ch_op_free(&op->op);
  ck_assert_int_eq(append(3, 1, 30), CHAT_E_IO); /* it cannot be opened: not tried */
  ck_assert_uint_eq(info().end, 2);
  atomic_store(&sync_errno, 0);
  /* The page cache still had the record: it is in, and made durable. */
  ck_assert_int_eq(append(4, 1, 30), 0);
  expect(1, 4, 30);
  end();
}
END_TEST

/* A disk that forgets what it said to have synced: the log stands still, it does not give a number twice. */
START_TEST(durable_records_that_are_gone_stop_the_log) {
  uint8_t bytes[SEGMENT_LEN];
  char name[200];
  begin_failing();
  ck_assert_int_eq(append(1, 2, 30), 0);
  newest_segment(name);
  file_load(name, bytes);
  atomic_store(&sync_errno, EIO);
  ck_assert_int_eq(append(3, 1, 30), CHAT_E_UNKNOWN);
  memset(bytes + CH_LOGFILE_HEADER_LEN + ch_logfile_record_len(30), 0, SEGMENT_LEN - CH_LOGFILE_HEADER_LEN - ch_logfile_record_len(30));
  file_save(name, bytes);
  atomic_store(&sync_errno, 0);
  ck_assert_int_eq(append(3, 1, 30), CHAT_E_CORRUPT);
  ck_assert_int_eq(append(3, 1, 30), CHAT_E_CORRUPT);
  ck_assert_uint_eq(info().end, 2);
  end();
}
END_TEST

START_TEST(a_write_that_fails_half_way_leaves_no_half) {
  begin_failing();
  ck_assert_int_eq(append(1, 2, 30), 0);
  atomic_store(&write_len_max, 40); /* of a record's 64 bytes */
  atomic_store(&write_errno, ENOSPC);
  ck_assert_int_eq(append(3, 1, 30), CHAT_E_UNKNOWN);
  atomic_store(&write_errno, 0);
  ck_assert_int_eq(append(3, 1, 30), 0);
  expect(1, 3, 30);
  bench_close(&bench);
  open_log();
  expect(1, 3, 30);
  end();
}
END_TEST

START_TEST(no_space_for_a_segment_is_full_and_heals) {
  begin_failing();
  uint64_t n = 1;
  while (segment_count() < 2) ck_assert_int_eq(append(n++, 1, 1000), 0);
  while (n % 3 != 1) ck_assert_int_eq(append(n++, 1, 1000), 0); /* three fit into a segment */
  atomic_store(&write_errno, ENOSPC);
  ck_assert_int_eq(append(n, 1, 1000), CHAT_E_FULL);
  ck_assert_int_eq(append(n, 1, 1000), CHAT_E_FULL);
  ck_assert_uint_eq(info().end, n - 1);
  ck_assert_uint_eq(segment_count(), 2);
  atomic_store(&write_errno, 0);
  ck_assert_int_eq(append(n, 1, 1000), 0);
  expect(1, n, 1000);
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ owners, epochs, bounds */

START_TEST(one_owner_at_a_time) {
  begin();
  chat_backend second;
  ch_log_file_config same = config();
  ck_assert_int_eq(ch_log_file_new(&same, &second, NULL), CHAT_E_BUSY);
  end();
}
END_TEST

START_TEST(the_number_of_partitions_stays) {
  begin();
  bench_close(&bench);
  ch_log_file_config two = config();
  two.partitions[CHAT_TOPIC_MESSAGES] = 2;
  ck_assert_int_eq(try_open(two, NULL), CHAT_E_INVALID);
  bench_dir_remove(dir);
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/log", dir);
  ck_assert_int_eq(try_open(two, NULL), 0);
  bench_close(&bench);
  ck_assert_int_eq(try_open(config(), NULL), CHAT_E_INVALID);
  ck_assert_int_eq(try_open(two, NULL), 0);
  end();
}
END_TEST

START_TEST(a_raised_epoch_goes_on_behind_the_old_one) {
  begin();
  ck_assert_int_eq(append(1, 3, 20), 0);
  bench_close(&bench);
  ch_log_file_config raised = config();
  raised.epoch = 2;
  ck_assert_int_eq(try_open(raised, NULL), 0);
  chat_log_append *op = append_of(4, 1, 20);
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ck_assert_uint_eq(op->records[0].position, (uint64_t)2 << 48 | 4);
  ch_op_free(&op->op);
  const uint64_t afters[] = {3, (uint64_t)1 << 48 | 77, (uint64_t)2 << 48}; /* all before the new record, behind the old ones */
  for (int i = 0; i < 3; i++) {
    chat_log_read *read = read_of(afters[i], 10);
    ck_assert_int_eq(bench_do(&bench, read), 0);
    ck_assert_uint_eq(read->count, 1);
    ck_assert_uint_eq(read->records[0].position, (uint64_t)2 << 48 | 4);
    ch_op_free(&read->op);
  }
  bench_close(&bench);
  ck_assert_int_eq(try_open(config(), NULL), CHAT_E_INVALID); /* lowered */
  ck_assert_int_eq(try_open(raised, NULL), 0);
  ck_assert_uint_eq(info().end, (uint64_t)2 << 48 | 4);
  ck_assert_uint_eq(info().first, 1);
  end();
}
END_TEST

/* One that is empty and too short for a record would never take it: found by a cut file, and the same where segments were made shorter before. */
START_TEST(an_empty_segment_that_is_too_short_is_made_anew) {
  begin();
  bench_close(&bench);
  ch_log_file_config longer = config();
  longer.segment_len = 4 * SEGMENT_LEN;
  ck_assert_int_eq(try_open(longer, NULL), 0);
  ck_assert_int_eq(append(1, 1, 2 * SEGMENT_LEN), 0);
  bench_close(&bench);
  ck_assert_int_eq(try_open(longer, NULL), 0);
  ck_assert_int_eq(append(2, 1, 10), 0);
  end();
}
END_TEST

START_TEST(what_cannot_be_appended) {
  begin();
  ck_assert_int_eq(append(1, 1, SEGMENT_LEN), CHAT_E_TOO_LARGE);
  chat_log_append *op = append_of(1, 1, 10);
  op->partition = 1;
  ck_assert_int_eq(bench_do(&bench, op), CHAT_E_INVALID);
  ch_op_free(&op->op);
  op = append_of(1, 1, 10);
  op->count = 0;
  ck_assert_int_eq(bench_do(&bench, op), CHAT_E_INVALID);
  ch_op_free(&op->op);
  chat_op *other = ch_op_new(NULL, CHAT_OP_STORE_APPLY, sizeof(chat_store_apply));
  ck_assert_int_eq(bench_do(&bench, other), CHAT_E_UNSUPPORTED);
  ch_op_free(other);
  ck_assert_int_eq(append(1, 1, 0), 0);
  end();
}
END_TEST

START_TEST(times_never_fall) {
  begin();
  ck_assert_int_eq(append(1, 1, 10), 0);
  wall_now = 10;
  bench_close(&bench);
  open_log();
  chat_log_append *op = append_of(2, 1, 10);
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ck_assert_uint_eq(op->records[0].append_ms, 1000);
  ch_op_free(&op->op);
  end();
}
END_TEST

START_TEST(deliveries_are_there_until_the_end_of_the_process) {
  begin();
  chat_log_append *op = append_of(1, 2, 10);
  op->topic = CHAT_TOPIC_DELIVERIES;
  op->partition = 1;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ch_op_free(&op->op);
  chat_log_read *read = read_of(0, 10);
  read->topic = CHAT_TOPIC_DELIVERIES;
  read->partition = 1;
  ck_assert_int_eq(bench_do(&bench, read), 0);
  ck_assert_uint_eq(read->count, 2);
  ch_op_free(&read->op);
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ kill -9 */

/* Appends until it is killed; says each number that was acknowledged. */
static void append_for_ever(int report, uint64_t from) {
  open_log();
  for (uint64_t n = from;; n++) {
    if (append(n, 1, 100) != 0) _exit(1);
    if (write(report, &n, sizeof n) != sizeof n) _exit(2);
  }
}

START_TEST(acknowledged_survives_kill_9) {
  begin();
  uint64_t acknowledged = 0;
  for (int kills = 0; kills < 20; kills++) {
    int report[2];
    uint64_t from = info().end + 1, n, reports = 0;
    bench_close(&bench);
    ck_assert_int_eq(pipe(report), 0);
    pid_t child = fork();
    if (child == 0) append_for_ever(report[1], from);
    close(report[1]);
    while (reports < (uint64_t)(3 + kills * 2) && read(report[0], &n, sizeof n) == sizeof n) acknowledged = n, reports++;
    kill(child, SIGKILL);
    while (read(report[0], &n, sizeof n) == sizeof n) acknowledged = n;
    int status;
    waitpid(child, &status, 0);
    ck_assert(WIFSIGNALED(status));
    close(report[0]);
    open_log();
    ck_assert_uint_ge(info().end, acknowledged);
    expect(1, info().end, 100);
  }
  end();
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {checksum_is_crc32c, 0},
      {appended_is_read_and_survives_reopening, 0},
      {a_long_poll_is_answered_by_the_append, 0},
      {a_torn_tail_is_dropped_at_every_byte, 0},
      {damage_before_a_synced_commit_stops_the_log, 0},
      {a_hole_in_the_last_commit_is_torn, 0},
      {damage_in_an_old_segment_is_met_by_its_reader, 0},
      {consumed_segments_are_cut_but_the_last_two, 0},
      {full_is_full_until_more_is_consumed, 0},
      {some_records_of_an_append_may_be_in, 0},
      {a_failed_sync_is_unknown_and_the_file_is_opened_anew, 0},
      {durable_records_that_are_gone_stop_the_log, 0},
      {a_write_that_fails_half_way_leaves_no_half, 0},
      {no_space_for_a_segment_is_full_and_heals, 0},
      {one_owner_at_a_time, 0},
      {the_number_of_partitions_stays, 0},
      {a_raised_epoch_goes_on_behind_the_old_one, 0},
      {an_empty_segment_that_is_too_short_is_made_anew, 0},
      {what_cannot_be_appended, 0},
      {times_never_fall, 0},
      {deliveries_are_there_until_the_end_of_the_process, 0},
      {acknowledged_survives_kill_9, 0},
  };
  return RUN_TESTS("log_file", rows);
}
