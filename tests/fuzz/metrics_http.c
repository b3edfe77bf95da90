/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What strangers say to the port of the metrics, in pieces and with pauses. Whatever it is: who is answered gets one whole answer with a status that is meant, a whole request without
 * a NUL is answered, and nothing is kept of anybody who is gone.
 *
 * Input: pieces (fuzz.h), each followed by seconds to wait.
 */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/support/memory.h"
#include "fuzz/support/stranger.h"
#include "server/loop/metrics_http.h"

enum { MEMORY_MAX = 4 << 20, REQUEST_MAX = 8000, DEADLINE_S = 10, TRIES = 50 };

static fuzz_loop loop;
static fuzz_memory memory;
static ch_metrics metrics;
static ch_metrics_http *http;
static size_t nobody_len; /* held while nobody is there */
static int health;

static uint64_t turn(void *arg, ch_now now) {
  (void)arg;
  return http ? ch_metrics_http_turn(http, now) : CH_NEVER_MS;
}

static int get_health(void *arg) {
  return *(int *)arg;
}

static void end(void) {
  ch_metrics_http_end(http);
  fuzz_loop_run(&loop);
  ch_metrics_http_free(http);
  http = NULL;
  ch_turn_loop_fini(&loop.turns);
  fuzz_memory_end(&memory);
}

static void begin(void) {
  fuzz_loop_init(&loop, turn, NULL);
  fuzz_memory_init(&memory, MEMORY_MAX);
  ch_metrics_init(&metrics, "fuzz");
  ch_metrics_http_config config = {.alloc = &memory.alloc, .loop = &loop.turns, .metrics = &metrics, .listen_fd = loop.listen_fd, .health = get_health, .arg = &health};
  ch_assert(ch_metrics_http_new(&config, &http) == 0);
  fuzz_loop_run(&loop);
  nobody_len = memory.held_len;
  atexit(end);
}

static void is_an_answer(const uint8_t *heard, size_t len) {
  static const char *const statuses[] = {"HTTP/1.1 200 OK\r\n", "HTTP/1.1 404 Not Found\r\n", "HTTP/1.1 405 Method Not Allowed\r\n", "HTTP/1.1 503 Service Unavailable\r\n"};
  static const char name[] = "Content-Length: ";
  bool is_known = false;
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
    is_known = is_known || (len > strlen(statuses[i]) && memcmp(heard, statuses[i], strlen(statuses[i])) == 0);
  ch_assert(is_known);
  const uint8_t *body = memmem(heard, len, "\r\n\r\n", 4), *length = memmem(heard, len, name, sizeof name - 1);
  ch_assert(body && length && length < body);
  ch_assert((size_t)strtoul((const char *)length + sizeof name - 1, NULL, 10) == len - (size_t)(body + 4 - heard));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static fuzz_stranger stranger;
  static uint8_t said[REQUEST_MAX];
  fuzz_input input = {data, len};
  size_t said_len = 0, waited_s = 0;
  if (!http) begin();
  health = fuzz_byte(&input) & 1 ? CHAT_E_FULL : 0;
  fuzz_stranger_come(&stranger, &loop);
  fuzz_loop_run(&loop);
  while (input.len > 0 && !stranger.is_cut) {
    chat_bytes piece = fuzz_piece(&input);
    size_t wait_s = fuzz_byte(&input) / 64;
    if (piece.len > sizeof said - said_len) break;
    if (piece.len > 0) memcpy(said + said_len, piece.data, piece.len);
    said_len += piece.len;
    fuzz_stranger_say(&stranger, piece);
    fuzz_loop_run(&loop);
    fuzz_stranger_hear(&stranger);
    loop.now_ms += 1000 * wait_s;
    waited_s += wait_s;
    fuzz_loop_run(&loop);
  }
  bool is_whole = said_len > 0 && memmem(said, said_len, "\r\n\r\n", 4) && !memchr(said, 0, said_len) && waited_s < DEADLINE_S;
  for (int tries = 0; tries < TRIES && is_whole && !stranger.is_cut; tries++) {
    fuzz_loop_run(&loop);
    fuzz_stranger_hear(&stranger);
  }
  ch_assert(!is_whole || stranger.heard_len > 0);
  if (stranger.heard_len > 0 && stranger.is_cut) is_an_answer(stranger.heard, stranger.heard_len);
  fuzz_stranger_go(&stranger);
  for (int tries = 0; tries < TRIES && memory.held_len > nobody_len; tries++) fuzz_loop_run(&loop);
  ch_assert(memory.held_len == nobody_len);
  return 0;
}
