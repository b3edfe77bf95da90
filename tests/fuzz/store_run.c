/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of events as the store keeps them. Any bytes are refused or mean rows that can be written again and mean the same; and rows that are written are read back.
 *
 * Input: even first byte: the run's count and format, its first seq, and its bytes; odd: rows (support/make.h).
 */
#include <string.h>

#include "backend/store_sqlite/cells.h"
#include "backend/store_sqlite/run.h"
#include "fuzz/fuzz.h"
#include "fuzz/support/make.h"

static const uint8_t conversation[16] = {2};

static void is_same(const chat_row *a, const chat_row *b) {
  ch_assert(a->seq == b->seq && a->msg_no == b->msg_no && a->message_id == b->message_id && a->created_ms == b->created_ms &&
            a->client_seq == b->client_seq);
  ch_assert(a->type == b->type && memcmp(a->device_id, b->device_id, 16) == 0 && memcmp(a->client_id, b->client_id, 16) == 0);
  ch_assert(ch_bytes_equal(a->sender, b->sender) && ch_bytes_equal(a->payload, b->payload));
  ch_assert(memcmp(b->conversation_id, conversation, 16) == 0);
}

/* Written as they are, in one run, and read. What does not fit into a run is not asked for. */
static void come_back(const chat_row *rows, size_t count) {
  chat_row again[CH_STORE_RUN_EVENTS_MAX];
  ch_sqlstore_run run;
  size_t added = 0;
  ch_sqlstore_run_init(&run, NULL);
  while (added < count && ch_sqlstore_run_takes(&run, &rows[added]) && ch_sqlstore_run_add(&run, &rows[added]) == 0)
    added++;
  ch_sqlstore_stored_run stored = {
      .id = 1, .first_seq = run.first_seq, .count = run.count, .format = CH_STORE_RUN_FORMAT, .body = ch_buf_bytes(&run.body)};
  if (added > 0) {
    ch_assert(run.count == added && ch_sqlstore_run_decode(&stored, conversation, again) == 0);
    for (size_t i = 0; i < added; i++)
      is_same(&rows[i], &again[i]);
    ch_assert(added == 1 || run.body.len <= CH_STORE_RUN_LEN_MAX);
  }
  ch_sqlstore_run_fini(&run);
}

static void from_bytes(fuzz_input *input) {
  chat_row rows[CH_STORE_RUN_EVENTS_MAX];
  ch_sqlstore_stored_run stored = {.count = fuzz_byte(input) % (CH_STORE_RUN_EVENTS_MAX + 2),
                                   .format = CH_STORE_RUN_FORMAT + fuzz_byte(input) / 255};
  stored.first_seq = fuzz_number(input);
  stored.body = ch_bytes_of(input->data, input->len);
  int error = ch_sqlstore_run_decode(&stored, conversation, rows);
  ch_assert(error == 0 || error == CHAT_E_CORRUPT || error == CHAT_E_VERSION);
  if (!error) come_back(rows, (size_t)stored.count);
}

static void from_rows(fuzz_input *input) {
  chat_row rows[CH_STORE_RUN_EVENTS_MAX];
  size_t count = 1 + fuzz_byte(input) % CH_STORE_RUN_EVENTS_MAX;
  ch_arena arena;
  ch_arena_init(&arena, NULL, 4096, 32 << 20);
  uint64_t first = fuzz_number(input);
  for (size_t i = 0; i < count; i++) {
    fuzz_row(input, &arena, &rows[i]);
    rows[i].seq = first + i;
    memcpy(rows[i].conversation_id, conversation, 16);
  }
  come_back(rows, count);
  ch_arena_fini(&arena);
}

static void intervals(chat_bytes bytes) {
  chat_interval decoded[CHAT_MEMBER_INTERVALS_MAX];
  uint8_t again[CH_STORE_INTERVALS_LEN];
  int count = ch_sqlstore_intervals_decode(bytes, decoded);
  ch_assert(count == CHAT_E_CORRUPT || (count >= 0 && count <= CHAT_MEMBER_INTERVALS_MAX));
  if (count > 0) ch_assert(ch_bytes_equal(bytes, ch_bytes_of(again, ch_sqlstore_intervals_encode(decoded, (size_t)count, again))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input input = {data, len};
  intervals(ch_bytes_of(data, len));
  if (fuzz_byte(&input) % 2)
    from_rows(&input);
  else
    from_bytes(&input);
  return 0;
}
