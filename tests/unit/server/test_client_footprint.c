/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client takes of the process that embeds it, seen through the kernel while it does all it can do, over the real transport, with either cache: the one thread of
 * the library, or none where the caller drives it; and while it is suspended no lock, no file, no connection.
 */
#define _XOPEN_SOURCE 700
#include <poll.h>

#include "unit/client/footprint.h"
#include "unit/core/run.h"
#include "unit/server/served.h"

typedef struct bench {
  bool driven; /* by the caller */
  char folder[64];
  chat_server *server;
  footprint_threads before; /* the server's are among them */
  chat_client *client;
  uint8_t conversation_id[16];
} bench;

static void check_threads(bench *b) {
  ck_assert_uint_eq(footprint_new_threads(&b->before), b->driven ? 0 : 1);
}

static const chat_event *drive(chat_client *client) {
  int64_t until_ms = chat_client_next_deadline_ms(client);
  int timeout_ms = until_ms < 0 || until_ms > STEP_MS ? STEP_MS : (int)until_ms;
  const chat_event *event = chat_client_wait(client, 0);
  if (event) return event;
  poll(&(struct pollfd){chat_client_io_fd(client), POLLIN, 0}, 1, timeout_ms);
  ck_assert_int_eq(chat_client_process(client), 0);
  return chat_client_wait(client, 0);
}

static const chat_event *next_event(bench *b) {
  const chat_event *event = b->driven ? drive(b->client) : chat_client_wait(b->client, STEP_MS);
  check_threads(b);
  return event;
}

/* The next event of that type and tag (0: any); others are passed over. */
static const chat_event *await(bench *b, uint32_t type, uint64_t tag) {
  for (uint64_t until_ms = served_now_ms() + PATIENCE_MS; served_now_ms() < until_ms;) {
    const chat_event *event = next_event(b);
    if (event && event->type == type && (tag == 0 || event->tag == tag)) return event;
  }
  ck_abort_msg("no event of type %u came", (unsigned)type);
  return NULL;
}

static void await_live(bench *b) {
  while (await(b, CHAT_EVENT_STATE, 0)->state != CHAT_STATE_LIVE) continue;
}

static void await_committed(bench *b) {
  for (;;) {
    const chat_message *message = await(b, CHAT_EVENT_OUTBOX, 0)->messages[0];
    ck_assert_uint_ne(message->tick, CHAT_TICK_REFUSED);
    if (message->seq) return;
  }
}

/* ------------------------------------------------------------------------------------------------ the bench */

static bench bench_make(bool driven, bool on_disk) {
  bench b = {.driven = driven, .server = served_start(served_new(NULL))};
  char url[64], database[128];
  served_folder(b.folder);
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/", chat_server_port(b.server, "listen"));
  snprintf(database, sizeof database, "%s/db", b.folder);
  b.before = footprint_now();
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, NULL, &b.client), 0);
  ck_assert_int_eq(chat_client_set(b.client, "url", url), 0);
  ck_assert_int_eq(chat_client_set(b.client, "token", "dev:alice"), 0);
  ck_assert_int_eq(chat_client_set(b.client, "caller-driven", driven ? "on" : "off"), 0);
  if (on_disk) ck_assert_int_eq(chat_client_set(b.client, "database", database), 0);
  ck_assert_int_eq(chat_client_start(b.client), 0);
  check_threads(&b);
  return b;
}

static void bench_end(bench *b) {
  chat_client_free(b->client);
  ck_assert_uint_eq(footprint_new_threads(&b->before), 0);
  ck_assert_uint_eq(footprint_files(b->folder), 0);
  served_end(b->server);
  served_folder_remove(b->folder);
}

/* ------------------------------------------------------------------------------------------------ all that a client does */

static void create_and_send(bench *b) {
  chat_text bob = {"bob", 3};
  chat_draft draft = {.size = sizeof draft, .body = "hello there", .body_len = 11};
  ck_assert_int_eq(chat_client_create(b->client, 1, CHAT_GROUP, "group", 5, &bob, 1, 0), 0);
  const chat_event *reply = await(b, CHAT_EVENT_REPLY, 1);
  ck_assert_int_eq(reply->status, 0);
  memcpy(b->conversation_id, reply->conversation_id, 16);
  await_committed(b);
  ck_assert_int_eq(chat_client_send(b->client, 2, b->conversation_id, &draft), 0);
  await_committed(b);
}

static void receive(bench *b) {
  chat_server_send send = served_message("bob", b->conversation_id, "from bob");
  ck_assert_int_eq(chat_server_request_send(b->server, 1, &send), 0);
  ck_assert_int_eq(served_status(b->server, 1), 0);
  const chat_event *event = await(b, CHAT_EVENT_MESSAGE, 0);
  while (!served_is(event->messages[0]->body, "from bob"))
    event = await(b, CHAT_EVENT_MESSAGE, 0);
}

/* Requests of every family; each with its reply. */
static void ask(bench *b) {
  chat_client *client = b->client;
  const uint8_t *id = b->conversation_id;
  uint64_t tag = 100;
  const int asked[] = {
      chat_client_whoami(client, tag),
      chat_client_conversations(client, tag + 1, 0, 10),
      chat_client_conversation(client, tag + 2, id),
      chat_client_history(client, tag + 3, id, 0, 0, 50, 0),
      chat_client_search(client, tag + 4, "hello", 5, NULL, 0, 10, 0),
      chat_client_search(client, tag + 5, "hello", 5, NULL, 0, 10, 1),
      chat_client_members(client, tag + 6, id, NULL, 0, 100),
      chat_client_mark_read(client, tag + 7, id, 2),
      chat_client_open(client, tag + 8, id),
      chat_client_devices(client, tag + 9),
      chat_client_verify(client, tag + 10, id),
      chat_client_set_title(client, tag + 11, id, "new", 3),
      chat_client_close(client, tag + 12, id),
  };
  ck_assert_int_eq(chat_client_typing(client, id, 1), 0);
  for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
    ck_assert_int_eq(asked[i], 0);
  bool replied[sizeof asked / sizeof *asked] = {false};
  for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
    const chat_event *reply = await(b, CHAT_EVENT_REPLY, 0);
    ck_assert_uint_lt(reply->tag - tag, sizeof asked / sizeof *asked);
    ck_assert_msg(reply->status == 0 && !replied[reply->tag - tag], "reply %d: %s", (int)(reply->tag - tag), chat_error_name(reply->status));
    replied[reply->tag - tag] = true;
  }
}

static void reconnect(bench *b) {
  ck_assert_int_eq(chat_client_set_online(b->client, 3, 0), 0);
  ck_assert_int_eq(await(b, CHAT_EVENT_REPLY, 3)->status, 0);
  ck_assert_int_eq(chat_client_set_online(b->client, 4, 1), 0);
  await_live(b);
  ck_assert_int_eq(chat_client_network_hint(b->client, CHAT_NETWORK_CHANGED), 0);
  await_live(b);
}

static void suspend_and_resume(bench *b) {
  int port = chat_server_port(b->server, "listen");
  ck_assert_uint_eq(footprint_connections(port), 1); /* the test can see one */
  ck_assert_int_eq(chat_client_suspend(b->client, PATIENCE_MS), 0);
  ck_assert_uint_eq(footprint_locks(), 0); /* the server is in memory and has none */
  ck_assert_uint_eq(footprint_files(b->folder), 0);
  ck_assert_uint_eq(footprint_connections(port), 0);
  ck_assert_int_eq(chat_client_resume(b->client), 0);
  await_live(b);
}

static void live_a_life(bool driven, bool on_disk) {
  bench b = bench_make(driven, on_disk);
  await_live(&b);
  create_and_send(&b);
  receive(&b);
  ask(&b);
  reconnect(&b);
  ck_assert_int_eq(footprint_locks() > 0, on_disk); /* the test can see them */
  ck_assert_int_eq(footprint_files(b.folder) > 0, on_disk);
  suspend_and_resume(&b);
  receive(&b);
  ck_assert_int_eq(chat_client_logout(b.client, 5), 0);
  ck_assert_int_eq(await(&b, CHAT_EVENT_REPLY, 5)->status, 0);
  bench_end(&b);
}

START_TEST(one_thread_and_a_database) { live_a_life(false, true); }
END_TEST

START_TEST(one_thread_in_memory) { live_a_life(false, false); }
END_TEST

START_TEST(no_thread_and_a_database) { live_a_life(true, true); }
END_TEST

START_TEST(no_thread_in_memory) { live_a_life(true, false); }
END_TEST

int main(void) {
  const test_row rows[] = {
      {one_thread_and_a_database, 0},
      {one_thread_in_memory, 0},
      {no_thread_and_a_database, 0},
      {no_thread_in_memory, 0},
  };
  return RUN_TESTS("client footprint", rows);
}
