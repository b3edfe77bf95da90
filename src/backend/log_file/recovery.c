/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/log_file/recovery.h"

enum { REWRITE_LEN = 1024 * 1024 };

/* Is it the record that must follow? Anything else at its place is bad. */
static int next_record(const uint8_t *in, size_t len, uint32_t seed, const ch_logfile_scan *scan, ch_logfile_record *record) {
  int found = ch_logfile_record_decode(in, len, seed, record);
  if (found <= 0) return found;
  return record->number == scan->end + 1 && record->time_ms >= scan->last_ms ? 1 : CHAT_E_CORRUPT;
}

static void scan_good(const uint8_t *in, size_t len, uint32_t seed, ch_logfile_scan *scan) {
  ch_logfile_record record;
  while (next_record(in + scan->used_len, len - scan->used_len, seed, scan, &record) > 0) {
    scan->used_len += ch_logfile_record_len(record.data.len);
    scan->end = record.number;
    scan->last_ms = record.time_ms;
  }
}

static size_t find_tail(const uint8_t *in, uint32_t seed, size_t used_len) {
  size_t at = CH_LOGFILE_HEADER_LEN;
  ch_logfile_record record;
  while (at + REWRITE_LEN < used_len && ch_logfile_record_decode(in + at, used_len - at, seed, &record) > 0)
    at += ch_logfile_record_len(record.data.len);
  return at;
}

static bool is_zero(const uint8_t *in) {
  for (int i = 0; i < 8; i++)
    if (in[i]) return false;
  return true;
}

/* The blocks of the commit under way at a crash reach the disk in any order, so good records behind a bad one may be its. A record whose commit begins behind the bad one was
 * written after the bad one's commit had been synced. */
static bool synced_behind(const uint8_t *in, size_t len, uint32_t seed, const ch_logfile_scan *scan) {
  uint64_t bad = scan->end + 1;
  ch_logfile_record record;
  for (size_t at = scan->used_len; at + CH_LOGFILE_RECORD_LEN <= len;) {
    bool found = !is_zero(in + at) && ch_logfile_record_decode(in + at, len - at, seed, &record) > 0;
    if (found && record.number > bad && record.number - bad <= len && record.back < record.number - bad) return true;
    at += found ? ch_logfile_record_len(record.data.len) : 8;
  }
  return false;
}

int ch_logfile_recover(const uint8_t *in, size_t len, const ch_logfile_header *header, ch_logfile_scan *scan) {
  uint32_t seed = ch_logfile_seed(header);
  *scan = (ch_logfile_scan){.end = header->first - 1, .used_len = CH_LOGFILE_HEADER_LEN};
  scan_good(in, len, seed, scan);
  scan->tail_from = find_tail(in, seed, scan->used_len);
  return synced_behind(in, len, seed, scan) ? CHAT_E_CORRUPT : 0;
}
