/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of any bytes from a server to a client that has messages in its outbox. Whatever comes: what the client says decodes, its database stays one that it can start
 * from again, and all memory comes back.
 */
#include <string.h>

#include "backend/cache_mem.h"
#include "client/brain/brain.h"
#include "core/wire.h"
#include "fuzz/fuzz.h"

enum { STEP_MS = 500, TURNS_MAX = 200 };

typedef struct world {
  chat_cache *cache;
  ch_brain *brain;
  ch_now now;
  fuzz_input *input;
  bool is_open;
  uint8_t random;
} world;

static void fill_random(void *arg, void *bytes, size_t len) {
  memset(bytes, ++((world *)arg)->random, len);
}

/* --- the client's side --- */

static void is_understood(chat_bytes frame) {
  ch_arena arena;
  ch_client_message message;
  chat_bytes bytes;
  int error;
  ch_arena_init(&arena, NULL, 4096, 16 << 20);
  while (!(error = ch_frame_next(&frame, &bytes))) {
    error = ch_client_message_decode(bytes, &arena, &message);
    ch_assert(!error && message.op != CH_CLIENT_NONE);
  }
  ch_assert(error == CHAT_E_CLOSED);
  ch_arena_fini(&arena);
}

static void pull_events(world *w) {
  for (ch_client_event *event = ch_brain_next_event(w->brain); event; event = ch_brain_next_event(w->brain))
    ch_client_event_free(event);
}

/* Does what the brain wants, at most so many turns: one that wants for ever is found by its time. */
static void pump(world *w) {
  for (int turn = 0; turn < TURNS_MAX; turn++) {
    ch_brain_want want = ch_brain_wants(w->brain);
    chat_bytes frame = ch_brain_peek(w->brain);
    if (want == CH_WANT_NOTHING && (!w->is_open || frame.len == 0)) break;
    if (want != CH_WANT_NOTHING) w->is_open = want == CH_WANT_OPEN;
    if (want == CH_WANT_OPEN) ch_brain_opened(w->brain, w->now);
    if (want != CH_WANT_NOTHING) continue;
    is_understood(frame);
    ch_brain_taken(w->brain, w->now);
  }
  pull_events(w);
}

static void ask(world *w, ch_client_request request) {
  static uint64_t tag = 0;
  request.tag = ++tag;
  ch_brain_request(w->brain, &request, w->now);
  pump(w);
}

/* --- the server's side --- */

static void say(world *w, const ch_server_message *message) {
  ch_buf out;
  ch_buf_init(&out, NULL, CHAT_FRAME_MAX);
  int error = ch_server_message_encode(message, &out);
  ch_assert(!error);
  ch_brain_frame(w->brain, ch_buf_bytes(&out), w->now);
  ch_buf_fini(&out);
}

static void welcome(world *w) {
  ch_server_message message = {.tag = 1, .op = CH_WELCOME};
  message.u.welcome = (ch_welcome){.version = 1, .user = ch_bytes_text("ann"), .device_id = {0xd1}, .device_session = 1, .server_ms = 1700000000000,
                                   .limits = {15000, CHAT_FRAME_MAX, CHAT_BODY_MAX, CHAT_META_MAX, CHAT_PAGE_MAX, CHAT_GROUP_MEMBERS_MAX, 64}};
  if (w->is_open) say(w, &message);
}

/* --- actions --- */

static void some_frame(world *w) {
  if (w->is_open) ch_brain_frame(w->brain, fuzz_piece(w->input), w->now);
}

static void some_message(world *w) {
  chat_bytes message = fuzz_piece(w->input);
  ch_buf out;
  ch_buf_init(&out, NULL, CHAT_FRAME_MAX);
  int error = ch_buf_put_varint(&out, message.len);
  if (!error) error = ch_buf_put(&out, message);
  if (!error && w->is_open) ch_brain_frame(w->brain, ch_buf_bytes(&out), w->now);
  ch_buf_fini(&out);
}

static void pass_time(world *w) {
  uint64_t ms = STEP_MS * (uint64_t)fuzz_byte(w->input);
  w->now.elapsed_ms += ms;
  w->now.wall_ms += ms;
  ch_brain_tick(w->brain, w->now);
}

static void lose_connection(world *w) {
  if (w->is_open) ch_brain_closed(w->brain, CHAT_E_IO, w->now);
  w->is_open = false;
}

static void send_one(world *w) {
  ask(w, (ch_client_request){.kind = CH_REQ_SEND, .user = ch_bytes_text("bob"), .body = ch_bytes_text("hi")});
}

static void start(world *w) {
  ch_env env = {.random = fill_random, .random_arg = w};
  ch_brain_config config = {.cache = w->cache, .client_name = ch_bytes_text("fuzz"), .times = {10000, 10000, 15000, 45000, 5000}, .backoff_min_ms = 500,
                            .backoff_max_ms = 60000, .prefetch = 200, .hold_ms = 300, .hold_max = 16, .resend_ms = 10000, .sync_every_ms = 300000,
                            .ranges_max = 4, .outbox_max = 100, .in_flight_max = 32, .requests_max = 64, .events_max = 256};
  int error = ch_brain_new(&env, &config, &w->brain);
  ch_assert(!error);
  error = ch_brain_start(w->brain, w->now);
  ch_assert(!error);
  ch_brain_set_token(w->brain, ch_bytes_text("token"), w->now);
  pump(w);
}

/* The process ends, at any moment, and starts again on its database. */
static void restart(world *w) {
  ch_brain_free(w->brain);
  w->is_open = false;
  start(w);
}

static void (*const actions[])(world *w) = {some_frame, some_message, welcome, pass_time, lose_connection, send_one, restart};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input input = {data, len};
  world w = {.input = &input, .now = {1000, 1700000000000}};
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
  ch_brain_free(w.brain);
  w.cache->vtable->free(w.cache->self);
  return 0;
}
