/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment of the log after trouble with the disk: records, some bytes of which were changed, and an end that was cut. What is read is what was written, record for
 * record, up to the first that was harmed; nothing is read beyond the end.
 *
 * Input: a count of changes and (place of two bytes, bits to turn) for each; bytes to cut off the end; then the records' payloads.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/log_file/record.h"
#include "fuzz/fuzz.h"

enum { SEGMENT_MAX = 64 * 1024, CHANGES_MAX = 8, RECORDS_MAX = 64, SEED = 7 };

typedef struct change {
  size_t place;
  uint8_t bits;
} change;

typedef struct segment {
  uint8_t bytes[SEGMENT_MAX];
  size_t len, ends[RECORDS_MAX], count; /* ends: without the padding, which no checksum covers */
  chat_bytes payloads[RECORDS_MAX];
} segment;

static void write_records(segment *s, fuzz_input *input) {
  while (input->len > 0 && s->count < RECORDS_MAX) {
    chat_bytes payload = fuzz_piece(input);
    size_t len = ch_logfile_record_len(payload.len);
    if (len > SEGMENT_MAX - s->len) return;
    ch_logfile_record record = {.number = s->count + 1, .time_ms = 1000 + s->count, .data = payload};
    ch_logfile_record_encode(&record, SEED, s->bytes + s->len);
    s->payloads[s->count] = payload;
    s->ends[s->count++] = s->len + CH_LOGFILE_RECORD_LEN + payload.len;
    s->len += len;
  }
}

/* How many records from the front are whole, by what was done to the bytes and not by what they say. */
static size_t untouched(const segment *s, const change *changes, size_t change_count, size_t len) {
  size_t count = 0, start = 0;
  for (; count < s->count && s->ends[count] <= len; count++) {
    for (size_t i = 0; i < change_count; i++)
      if (changes[i].bits && changes[i].place >= start && changes[i].place < s->ends[count]) return count;
    start = s->ends[count] + (8 - s->ends[count] % 8) % 8;
    if (start > len) return count; /* its padding was cut: it may be read or not */
  }
  return count;
}

/* How many are read; each is the one that was written there. In a block of exactly its size, so that the sanitizers see a read beyond it. */
static size_t read_records(const segment *s, size_t len) {
  uint8_t *bytes = malloc(len + 1);
  size_t count = 0;
  ch_assert(bytes != NULL);
  memcpy(bytes, s->bytes, len);
  bytes = realloc(bytes, len ? len : 1);
  for (size_t at = 0; at <= len && count < s->count; count++) {
    ch_logfile_record record;
    if (ch_logfile_record_decode(bytes + at, len - at, SEED, &record) != 1) break;
    ch_assert(record.number == count + 1 && ch_bytes_equal(record.data, s->payloads[count]));
    at += ch_logfile_record_len(record.data.len);
  }
  free(bytes);
  return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static segment s;
  fuzz_input input = {data, len};
  change changes[CHANGES_MAX];
  s.len = s.count = 0;
  memset(s.bytes, 0, sizeof s.bytes);
  size_t change_count = fuzz_byte(&input) % (CHANGES_MAX + 1);
  for (size_t i = 0; i < change_count; i++) {
    size_t low = fuzz_byte(&input), high = fuzz_byte(&input);
    changes[i] = (change){low | high << 8, fuzz_byte(&input)};
  }
  size_t cut = fuzz_byte(&input);
  write_records(&s, &input);
  /* A place that is changed twice may be as before. */
  for (size_t i = 0; i < change_count; i++)
    for (size_t j = i + 1; j < change_count; j++)
      if (changes[j].place == changes[i].place) changes[j].bits = 0;
  for (size_t i = 0; i < change_count; i++)
    if (changes[i].place < s.len) s.bytes[changes[i].place] ^= changes[i].bits;
  size_t left = cut < s.len ? s.len - cut : 0;
  size_t whole = untouched(&s, changes, change_count, left), read = read_records(&s, left);
  ch_assert(read >= whole);
  ch_assert(read <= whole + (left != s.len)); /* where only padding was cut it may be read */
  return 0;
}
