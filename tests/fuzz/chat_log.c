/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IRC logs of any bytes for the reader of examples/replay. Every line is taken, skipped or named as bad; what is taken lies in the file, behind a "> ", to the end of its line; each
 * member is there once, with a nick that can be a user id.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/replay/chatlog.h"
#include "fuzz/fuzz.h"
#include "fuzz/support/damage.h"

static char folder[FUZZ_PATH_LEN], path[FUZZ_PATH_LEN + 8];
static FILE *nowhere;

static void remove_folder(void) {
  fclose(nowhere);
  fuzz_folder_remove(folder);
}

static void make_folder(void) {
  fuzz_folder_make(folder);
  snprintf(path, sizeof path, "%s/log", folder);
  nowhere = fopen("/dev/null", "w");
  ch_assert(nowhere != NULL);
  atexit(remove_folder);
}

static void write_log(const uint8_t *data, size_t len) {
  FILE *file = fopen(path, "wb");
  ch_assert(file != NULL && fwrite(data, 1, len, file) == len && fclose(file) == 0);
}

static int count_lines(const uint8_t *data, size_t len) {
  int count = 0;
  for (size_t i = 0; i < len; i++) count += data[i] != '\n' && (i + 1 == len || data[i + 1] == '\n');
  return count;
}

static void is_of_the_file(const chatlog *log, const line *l, const uint8_t *data, size_t len) {
  size_t from = (size_t)(l->said.data - log->bytes), to = from + l->said.len;
  ch_assert(from >= 2 && to <= len && memcmp(data + from - 2, "> ", 2) == 0);
  ch_assert(to == len || data[to] == '\n');
  ch_assert(l->said.len <= TEXT_MAX && utf8_valid(l->said));
}

static void check(const chatlog *log, const users *all, const uint8_t *data, size_t len) {
  ch_assert(log->line_count + log->skipped + log->bad == count_lines(data, len));
  for (int i = 0; i < log->line_count; i++) {
    is_of_the_file(log, &log->lines[i], data, len);
    ch_assert(log->lines[i].user >= 0 && log->lines[i].user < all->count);
  }
  for (int i = 0; i < all->count; i++) ch_assert(ch_user_id_valid(ch_bytes_of(all->names[i].data, all->names[i].len)));
  for (int i = 0; i < log->member_count; i++)
    for (int k = 0; k < i; k++) ch_assert(log->members[i] != log->members[k]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  chatlog log;
  users all = {NULL, 0};
  FILE *said = stderr;
  if (!nowhere) make_folder();
  write_log(data, len);
  stderr = nowhere; /* each bad line is named there */
  bool is_read = chatlog_read(&log, path, &all);
  stderr = said;
  ch_assert(is_read);
  check(&log, &all, data, len);
  free(log.bytes);
  free(log.lines);
  free(log.members);
  free(all.names);
  return 0;
}
