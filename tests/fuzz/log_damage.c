/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of a log after damage to its files. Whatever it is: opening says one of the errors that it promises, or what is read is what was appended under that number;
 * an append that had been acknowledged is not lost in silence, unless the damage is in the last one of all (which looks like a commit that a crash tore); and a log that opens takes
 * new records and gives them back.
 *
 * Input: see support/damage.h.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/log_file/log_file.h"
#include "backend/log_file/record.h"
#include "fuzz/fuzz.h"
#include "fuzz/support/damage.h"
#include "unit/backend/bench_port.h"

enum { SEGMENT_LEN = 4096, RECORDS = 40, RECORD_LEN_MAX = 400, READ_MAX = 4096, NEW_RECORD = 9999 };

static char folder[FUZZ_PATH_LEN];
static fuzz_files files;
static size_t last_from; /* where the last record begins in the newest segment */

static uint64_t wall(void *arg) {
  (void)arg;
  return 1000;
}

static void fill(void *arg, void *bytes, size_t len) {
  (void)arg;
  memset(bytes, 7, len);
}

static int open_log(bench_port *bench) {
  chat_backend log;
  uint64_t damaged = 0;
  ch_log_file_config config = {
      .clock = {wall, wall, NULL}, .random = {fill, NULL}, .path = folder, .partitions = {1, 1}, .segment_len = SEGMENT_LEN};
  int error = ch_log_file_new(&config, &log, &damaged);
  if (!error) bench_open(bench, log);
  return error;
}

/* Record n is n over and over, in a length of its own. */
static size_t record_of(uint64_t n, uint8_t out[RECORD_LEN_MAX]) {
  size_t len = (size_t)(n * 37) % RECORD_LEN_MAX;
  for (size_t i = 0; i < len; i++)
    out[i] = (uint8_t)(n + i);
  return len;
}

static int append(bench_port *bench, uint64_t n, uint64_t *position) {
  uint8_t bytes[RECORD_LEN_MAX];
  chat_log_record record = {.data = {bytes, record_of(n, bytes)}};
  chat_log_append *op = ch_op_new(NULL, CHAT_OP_LOG_APPEND, sizeof *op);
  op->records = &record;
  op->count = 1;
  int status = bench_do(bench, op);
  ch_op_free(&op->op);
  *position = record.position;
  return status;
}

/* One answer to a read; the last position in it. 0: an error or nothing. */
static uint64_t read_some(bench_port *bench, uint64_t after, uint64_t fresh) {
  chat_log_read *op = ch_op_new(NULL, CHAT_OP_LOG_READ, sizeof *op);
  op->after = after;
  op->count_max = 16;
  op->bytes_max = READ_MAX;
  int status = bench_do(bench, op);
  ch_assert(status == 0 || status == CHAT_E_CORRUPT || status == CHAT_E_GONE || status == CHAT_E_IO || status == CHAT_E_VERSION);
  for (size_t i = 0; status == 0 && i < op->count; i++) {
    uint8_t wanted[RECORD_LEN_MAX];
    uint64_t position = op->records[i].position;
    ch_assert(position > after);
    after = position;
    ch_assert(ch_bytes_equal(op->records[i].data, ch_bytes_of(wanted, record_of(position == fresh ? NEW_RECORD : position, wanted))));
  }
  uint64_t last = status == 0 && op->count > 0 ? after : 0;
  ch_op_free(&op->op);
  return last;
}

static void info(bench_port *bench, uint64_t *first, uint64_t *end) {
  chat_log_info *op = ch_op_new(NULL, CHAT_OP_LOG_INFO, sizeof *op);
  int status = bench_do(bench, op);
  ch_assert(status == 0);
  *first = op->first;
  *end = op->end;
  ch_op_free(&op->op);
}

static bool is_untouched(void) {
  for (size_t i = 0; i < files.count; i++)
    if (files.files[i].is_gone || files.files[i].changed_from != files.files[i].changed_to) return false;
  return true;
}

static const fuzz_file *newest(void) {
  return &files.files[files.count - 1];
}

static void is_as_promised(bench_port *bench) {
  uint64_t first, end, fresh, at;
  info(bench, &first, &end);
  const fuzz_file *file = newest();
  bool torn = file->is_gone || (file->changed_from != file->changed_to && file->changed_to > last_from);
  ch_assert(torn || end == RECORDS);
  ch_assert(end <= RECORDS);
  int error = append(bench, NEW_RECORD, &fresh);
  ch_assert(!error && fresh == end + 1);
  for (at = first > 0 ? first - 1 : end; at < fresh;) {
    uint64_t last = read_some(bench, at, fresh);
    if (last == 0) break;
    at = last;
  }
  ch_assert(at == fresh || !is_untouched());
}

/* --- the log as it was --- */

static void find_last(void) {
  const fuzz_file *file = newest();
  ch_logfile_header header;
  ch_logfile_record record;
  ch_assert(ch_logfile_header_decode(file->bytes, &header) == 0);
  for (size_t at = CH_LOGFILE_HEADER_LEN;
       ch_logfile_record_decode(file->bytes + at, file->len - at, ch_logfile_seed(&header), &record) == 1;) {
    last_from = at;
    at += ch_logfile_record_len(record.data.len);
    ch_assert(record.number <= RECORDS);
  }
}

static void remove_folder(void) {
  fuzz_files_damage(&files, &(fuzz_input){NULL, 0});
  fuzz_folder_remove(files.folder);
  fuzz_folder_remove(folder); /* its lock */
}

static void make_log(void) {
  bench_port bench;
  char partition[FUZZ_PATH_LEN + 16];
  fuzz_folder_make(folder);
  ch_assert(open_log(&bench) == 0);
  for (uint64_t n = 1; n <= RECORDS; n++) {
    uint64_t position;
    ch_assert(append(&bench, n, &position) == 0 && position == n);
  }
  bench_close(&bench);
  snprintf(partition, sizeof partition, "%s/messages-0", folder);
  fuzz_files_read(&files, partition);
  find_last();
  atexit(remove_folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input input = {data, len};
  bench_port bench;
  if (files.count == 0) make_log();
  fuzz_files_damage(&files, &input);
  int error = open_log(&bench);
  ch_assert(error == 0 || error == CHAT_E_CORRUPT || error == CHAT_E_VERSION || error == CHAT_E_INVALID || error == CHAT_E_IO);
  ch_assert(error == 0 || !is_untouched());
  if (error) return 0;
  is_as_promised(&bench);
  bench_close(&bench);
  return 0;
}
