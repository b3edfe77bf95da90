/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/support/client.h"

#include <string.h>

enum { FRAME_ROOM = 2 * CHAT_FRAME_MAX };

static void fill_random(void *arg, void *bytes, size_t len) {
  memset(bytes, ++((fuzz_client *)arg)->random, len);
}

int fuzz_client_start(fuzz_client *client, const ch_allocator *alloc, chat_cache *cache) {
  ch_env env = {.alloc = alloc, .random = fill_random, .random_arg = client};
  ch_brain_config config = {.cache = cache,
                            .client_name = ch_bytes_text("fuzz"),
                            .times = {10000, 10000, 15000, 45000, 5000},
                            .backoff_min_ms = 500,
                            .backoff_max_ms = 60000,
                            .prefetch = 5,
                            .hold_ms = 300,
                            .hold_max = 4,
                            .resend_ms = 10000,
                            .sync_every_ms = 300000,
                            .ranges_max = 2,
                            .outbox_max = 16,
                            .in_flight_max = 4,
                            .requests_max = 8,
                            .events_max = FUZZ_CLIENT_EVENTS_MAX};
  client->is_open = false;
  int error = ch_brain_new(&env, &config, &client->brain);
  ch_assert(!error);
  error = ch_brain_start(client->brain, client->now);
  if (!error) error = ch_brain_set_token(client->brain, ch_bytes_text("token"), client->now);
  if (!error) return 0;
  ch_brain_free(client->brain);
  client->brain = NULL;
  return error;
}

static void is_understood(const fuzz_client *client, chat_bytes frame) {
  ch_arena arena;
  ch_client_message message;
  chat_bytes bytes;
  int error;
  ch_arena_init(&arena, NULL, 4096, 16 << 20);
  while (!(error = ch_frame_next(&frame, &bytes))) {
    error = ch_client_message_decode(bytes, &arena, &message);
    ch_assert(!error && message.op != CH_CLIENT_NONE);
    if (client->hear) client->hear(client->arg, &message);
  }
  ch_assert(error == CHAT_E_CLOSED);
  ch_arena_fini(&arena);
}

bool fuzz_client_turn(fuzz_client *client) {
  ch_brain_want want = ch_brain_wants(client->brain);
  if (want != CH_WANT_NOTHING) {
    client->is_open = want == CH_WANT_OPEN;
    if (client->is_open) ch_brain_opened(client->brain, client->now);
    return true;
  }
  chat_bytes frame = ch_brain_peek(client->brain);
  if (!client->is_open || frame.len == 0) return false;
  is_understood(client, frame);
  ch_brain_taken(client->brain, client->now);
  return true;
}

void fuzz_client_hears(fuzz_client *client, const ch_server_message *message) {
  ch_buf out;
  ch_buf_init(&out, NULL, FRAME_ROOM);
  int error = ch_server_message_encode(message, &out);
  ch_assert(!error);
  if (client->is_open && out.len <= CHAT_FRAME_MAX) ch_brain_frame(client->brain, ch_buf_bytes(&out), client->now);
  ch_buf_fini(&out);
}

void fuzz_client_is_welcome(fuzz_client *client, uint64_t tag) {
  const ch_identity *identity = &client->brain->database.identity;
  ch_server_message message = {.tag = tag, .op = CH_WELCOME};
  message.u.welcome = (ch_welcome){.version = 1,
                                   .user = ch_bytes_text("ann"),
                                   .device_session = identity->session + 1,
                                   .server_ms = client->now.wall_ms,
                                   .limits = {15000, CHAT_FRAME_MAX, CHAT_BODY_MAX, CHAT_META_MAX, CHAT_PAGE_MAX, CHAT_GROUP_MEMBERS_MAX, 64}};
  memset(message.u.welcome.device_id, 0xd1, 16);
  if (identity->has_device) memcpy(message.u.welcome.device_id, identity->device_id, 16);
  fuzz_client_hears(client, &message);
}

void fuzz_client_is_cut(fuzz_client *client, int status) {
  if (client->is_open) ch_brain_closed(client->brain, status, client->now);
  client->is_open = false;
}

void fuzz_client_waits(fuzz_client *client, uint64_t ms) {
  client->now.elapsed_ms += ms;
  client->now.wall_ms += ms;
  ch_brain_tick(client->brain, client->now);
}
