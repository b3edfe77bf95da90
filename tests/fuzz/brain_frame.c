/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of any bytes from a server to a client that has messages in its outbox. Whatever comes: what the client says decodes, its database stays one that it can start
 * from again, and all memory comes back.
 */
#include "backend/cache_mem.h"
#include "fuzz/support/client.h"

enum { STEP_MS = 500, TURNS_MAX = 200 };

typedef struct world {
  chat_cache *cache;
  fuzz_client client;
  fuzz_input *input;
} world;

/* --- the client's side --- */

static void pull_events(world *w) {
  for (ch_client_event *event = ch_brain_next_event(w->client.brain); event; event = ch_brain_next_event(w->client.brain))
    ch_client_event_free(event);
}

/* Does what the brain wants, at most so many turns: one that wants for ever is found by its time. */
static void pump(world *w) {
  for (int turn = 0; turn < TURNS_MAX && fuzz_client_turn(&w->client); turn++)
    continue;
  pull_events(w);
}

static void ask(world *w, ch_client_request request) {
  static uint64_t tag = 0;
  request.tag = ++tag;
  ch_brain_request(w->client.brain, &request, w->client.now);
  pump(w);
}

/* --- actions --- */

static void some_frame(world *w) {
  if (w->client.is_open) ch_brain_frame(w->client.brain, fuzz_piece(w->input), w->client.now);
}

static void some_message(world *w) {
  chat_bytes message = fuzz_piece(w->input);
  ch_buf out;
  ch_buf_init(&out, NULL, CHAT_FRAME_MAX);
  int error = ch_buf_put_varint(&out, message.len);
  if (!error) error = ch_buf_put(&out, message);
  if (!error && w->client.is_open) ch_brain_frame(w->client.brain, ch_buf_bytes(&out), w->client.now);
  ch_buf_fini(&out);
}

static void pass_time(world *w) {
  fuzz_client_waits(&w->client, STEP_MS * (uint64_t)fuzz_byte(w->input));
}

static void lose_connection(world *w) {
  fuzz_client_is_cut(&w->client, CHAT_E_IO);
}

static void send_one(world *w) {
  ask(w, (ch_client_request){.kind = CH_REQ_SEND, .user = ch_bytes_text("bob"), .body = ch_bytes_text("hi")});
}

static void start(world *w) {
  int error = fuzz_client_start(&w->client, NULL, w->cache);
  ch_assert(!error);
  pump(w);
}

/* The process ends, at any moment, and starts again on its database. */
static void restart(world *w) {
  ch_brain_free(w->client.brain);
  start(w);
}

static void welcome(world *w) {
  fuzz_client_is_welcome(&w->client, 1);
}

static void (*const actions[])(world *w) = {some_frame, some_message, welcome, pass_time, lose_connection, send_one, restart};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input input = {data, len};
  world w = {.input = &input, .client.now = {1000, 1700000000000}};
  int error = chat_cache_mem_new(NULL, &w.cache);
  ch_assert(!error);
  start(&w);
  send_one(&w);
  welcome(&w);
  while (input.len > 0) {
    pump(&w);
    actions[fuzz_byte(&input) % (sizeof actions / sizeof *actions)](&w);
  }
  pump(&w);
  ch_brain_free(w.client.brain);
  w.cache->vtable->free(w.cache->self);
  return 0;
}
