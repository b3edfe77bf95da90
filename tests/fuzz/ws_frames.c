/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client sends after the upgrade, of any bytes: in whatever pieces it comes the events are the same, a message has at most 1 MiB, nothing comes after the last event, memory is
 * taken only for what has come, and all of it comes back.
 *
 * Input: pieces (fuzz.h).
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "fuzz/support/memory.h"
#include "server/loop/ws_frames.h"

enum { SAID_MAX = 1 << 20, MEMORY_MAX = 4 << 20, SLACK = 1024 };

typedef struct listener {
  ch_ws_frames frames;
  uint64_t heard; /* a digest of all events */
  bool is_over;
} listener;

static uint64_t digest(uint64_t of, const void *data, size_t len) {
  for (size_t i = 0; i < len; i++) of = (of ^ ((const uint8_t *)data)[i]) * 1099511628211u;
  return of;
}

static void hear(listener *by, const ch_ws_event *event) {
  uint32_t numbers[] = {(uint32_t)event->kind, event->code, (uint32_t)event->payload.len};
  ch_assert(!by->is_over && event->payload.len <= (event->kind == CH_WS_MESSAGE ? CHAT_FRAME_MAX : CH_WS_CONTROL_MAX));
  ch_assert(event->kind != CH_WS_OUT_OF_MEMORY);
  by->is_over = event->kind >= CH_WS_CLOSE;
  by->heard = digest(digest(by->heard, numbers, sizeof numbers), event->payload.data, event->payload.len);
}

/* A copy: the machine unmasks where the bytes lie. */
static void feed(listener *to, chat_bytes piece) {
  static uint8_t copy[SAID_MAX];
  if (piece.len > 0) memcpy(copy, piece.data, piece.len);
  ch_ws_input in = {copy, piece.len};
  for (ch_ws_event event = ch_ws_frames_next(&to->frames, &in); event.kind; event = ch_ws_frames_next(&to->frames, &in)) hear(to, &event);
  ch_assert(in.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static uint8_t said[SAID_MAX];
  fuzz_input input = {data, len};
  fuzz_memory memory;
  listener in_pieces = {.heard = 1}, whole = {.heard = 1};
  size_t said_len = 0;
  fuzz_memory_init(&memory, MEMORY_MAX);
  ch_ws_frames_init(&in_pieces.frames, &memory.alloc);
  ch_ws_frames_init(&whole.frames, &memory.alloc);
  while (input.len > 0) {
    chat_bytes piece = fuzz_piece(&input);
    if (piece.len > SAID_MAX - said_len) break;
    if (piece.len > 0) memcpy(said + said_len, piece.data, piece.len);
    said_len += piece.len;
    feed(&in_pieces, piece);
    ch_assert(memory.held_len <= 2 * said_len + SLACK);
  }
  feed(&whole, ch_bytes_of(said, said_len));
  ch_assert(whole.heard == in_pieces.heard && whole.is_over == in_pieces.is_over);
  ch_ws_frames_fini(&in_pieces.frames);
  ch_ws_frames_fini(&whole.frames);
  fuzz_memory_end(&memory);
  return 0;
}
