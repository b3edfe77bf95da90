/* SPDX-License-Identifier: Apache-2.0 */
/* Retention prunes for real, by the time that a server has run; the clock is the test's, the server is whole. */
#define _XOPEN_SOURCE 700

#include <stdatomic.h>

#include "unit/core/run.h"
#include "unit/server/served.h"

#define DAY_MS (UINT64_C(24) * 3600 * 1000)

/* Runs as the machine's does, and jumps where the test says. */
typedef struct own_clock {
  _Atomic uint64_t elapsed_ahead_ms, wall_ahead_ms;
} own_clock;

static uint64_t elapsed_ms(void *arg) {
  return served_now_ms() + ((own_clock *)arg)->elapsed_ahead_ms;
}

static uint64_t wall_ms(void *arg) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + ((own_clock *)arg)->wall_ahead_ms;
}

static chat_server *start_at(own_clock *at, const char *folder, const char *age) {
  chat_clock clock = {elapsed_ms, wall_ms, at};
  chat_server_config config = {.size = sizeof config, .clock = &clock};
  chat_server *server;
  ck_assert_int_eq(chat_server_new(CHAT_API_VERSION, &config, &server), 0);
  served_set(server, "listen", "127.0.0.1:0");
  served_set(server, "metrics", "");
  served_set(server, "dev-mode", "true");
  served_set(server, "retention", age);
  served_set(server, "drain", "0s");
  if (folder)
    served_keep_in(server, folder);
  else
    served_set(server, "log", "mem"), served_set(server, "store", "mem");
  return served_start(server);
}

static void say(chat_server *server, const char *body, uint8_t id[16]) {
  chat_server_send send = served_direct("alice", "bob", body);
  ck_assert_int_eq(chat_server_request_send(server, 1, &send), 0);
  const chat_server_event *reply = served_reply(server, 1);
  ck_assert_int_eq(reply->status, 0);
  memcpy(id, reply->conversation_id, 16);
}

/* How many of the `head` events can still be read, once that is `wanted`; after the time as many as there are. */
static size_t await_left(chat_server *server, const uint8_t id[16], uint64_t head, size_t wanted, int patience_ms) {
  size_t left = SIZE_MAX;
  for (uint64_t until_ms = served_now_ms() + (uint64_t)patience_ms; left != wanted && served_now_ms() < until_ms; served_pause()) {
    const chat_server_event *history = served_history(server, id, head);
    ck_assert_uint_eq(history->head, head); /* which stays */
    left = history->stored_count;
  }
  return left;
}

static void check_prunes(const char *folder) {
  own_clock at = {0, 0};
  uint8_t id[16];
  chat_server *server = start_at(&at, folder, "30d");
  say(server, "old", id);
  say(server, "old too", id);
  served_history(server, id, 2);
  at.elapsed_ahead_ms = at.wall_ahead_ms = 20 * DAY_MS;
  say(server, "younger", id);
  ck_assert_uint_eq(await_left(server, id, 3, 1, 3000), 3); /* 20 days are not 30 */
  at.elapsed_ahead_ms = at.wall_ahead_ms = 31 * DAY_MS;
  ck_assert_uint_eq(await_left(server, id, 3, 1, PATIENCE_MS), 1);
  ck_assert(served_is(served_history(server, id, 3)->stored[0]->body, "younger"));
  served_end(server);
}

START_TEST(what_is_older_is_erased_from_a_database) {
  char folder[64];
  served_folder(folder);
  check_prunes(folder);
  served_folder_remove(folder);
}
END_TEST

START_TEST(what_is_older_is_erased_from_memory) {
  check_prunes(NULL);
}
END_TEST

/* A clock that jumps ahead is not time that has passed: nothing that is young is erased, at once or at the next start. */
START_TEST(a_clock_that_jumps_erases_nothing) {
  char folder[64];
  served_folder(folder);
  own_clock at = {0, 0};
  uint8_t id[16];
  chat_server *server = start_at(&at, folder, "30d");
  say(server, "young", id);
  served_history(server, id, 1);
  at.elapsed_ahead_ms = 5 * 60 * 1000; /* the first round is due */
  at.wall_ahead_ms = 3650 * DAY_MS;
  ck_assert_uint_eq(await_left(server, id, 1, 0, 3000), 1);
  served_end(server);
  server = start_at(&at, folder, "30d");
  at.elapsed_ahead_ms += 5 * 60 * 1000;
  ck_assert_uint_eq(await_left(server, id, 1, 0, 3000), 1);
  served_end(server);
  served_folder_remove(folder);
}
END_TEST

START_TEST(without_an_age_nothing_is_erased) {
  own_clock at = {0, 0};
  uint8_t id[16];
  chat_server *server = start_at(&at, NULL, "0ms");
  say(server, "kept", id);
  served_history(server, id, 1);
  at.elapsed_ahead_ms = at.wall_ahead_ms = 36500 * DAY_MS;
  ck_assert_uint_eq(await_left(server, id, 1, 0, 3000), 1);
  served_end(server);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {what_is_older_is_erased_from_a_database, 0},
      {what_is_older_is_erased_from_memory, 0},
      {a_clock_that_jumps_erases_nothing, 0},
      {without_an_age_nothing_is_erased, 0},
  };
  return RUN_TESTS("server_retention", rows);
}
