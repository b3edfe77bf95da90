/* SPDX-License-Identifier: Apache-2.0 */
/*
 * served.h - for tests of the embedded server: one that listens on a free port of the loopback, replies by tag, and clients of the library that talk to it.
 * Whatever is waited for has a deadline, which only ends what hangs.
 */
#ifndef CH_TEST_SERVED_H
#define CH_TEST_SERVED_H

#include <chat/client.h>
#include <chat/server.h>
#include <check.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 60 * 1000, STEP_MS = 100, STOP_MS = 30 * 1000 };

static inline uint64_t served_now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void served_pause(void) {
  nanosleep(&(struct timespec){.tv_nsec = 5 * 1000 * 1000}, NULL);
}

static inline bool served_is(chat_bytes bytes, const char *text) {
  return bytes.len == strlen(text) && (bytes.len == 0 || memcmp(bytes.data, text, bytes.len) == 0);
}

/* ------------------------------------------------------------------------------------------------ a folder */

static inline void served_folder(char path[64]) {
  snprintf(path, 64, "/tmp/chat-server-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(path));
}

static inline int served_remove_one(const char *path, const struct stat *about, int type, struct FTW *place) {
  (void)about, (void)type, (void)place;
  return remove(path);
}

static inline void served_folder_remove(const char *path) {
  ck_assert_int_eq(nftw(path, served_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* ------------------------------------------------------------------------------------------------ a server */

static inline void served_set(chat_server *server, const char *name, const char *value) {
  ck_assert_msg(chat_server_set(server, name, value) == 0, "%s: %s", name, chat_server_problem(server));
}

/* In memory, in development mode, on any free port; not started. hooks and clock may be NULL. */
static inline chat_server *served_new_at(const chat_hooks *hooks, const chat_clock *clock) {
  chat_server_config config = {.size = sizeof config, .hooks = hooks, .clock = clock};
  chat_server *server;
  ck_assert_int_eq(chat_server_new(CHAT_API_VERSION, &config, &server), 0);
  served_set(server, "listen", "127.0.0.1:0");
  served_set(server, "metrics", "");
  if (!hooks || !hooks->authenticate) served_set(server, "dev-mode", "true");
  served_set(server, "log", "mem");
  served_set(server, "store", "mem");
  served_set(server, "drain", "0s");
  served_set(server, "log-level", "error");
  return server;
}

static inline chat_server *served_new(const chat_hooks *hooks) {
  return served_new_at(hooks, NULL);
}

/* With its files in `folder` instead. */
static inline void served_keep_in(chat_server *server, const char *folder) {
  served_set(server, "log", "file");
  served_set(server, "store", "sqlite");
  served_set(server, "data", folder);
}

static inline chat_server *served_start(chat_server *server) {
  ck_assert_msg(chat_server_start(server) == 0, "%s", chat_server_problem(server));
  return server;
}

static inline void served_end(chat_server *server) {
  ck_assert_int_eq(chat_server_stop(server, STOP_MS), 0);
  chat_server_free(server);
}

/* The reply to `tag`, which must be the next event. */
static inline const chat_server_event *served_reply(chat_server *server, uint64_t tag) {
  const chat_server_event *event = chat_server_wait(server, PATIENCE_MS);
  ck_assert_ptr_nonnull(event);
  ck_assert_uint_eq(event->type, CHAT_SERVER_REPLY);
  ck_assert_uint_eq(event->tag, tag);
  return event;
}

static inline int served_status(chat_server *server, uint64_t tag) {
  return served_reply(server, tag)->status;
}

/* A message of `user` into a conversation. */
static inline chat_server_send served_message(const char *user, const uint8_t *conversation_id, const char *body) {
  return (chat_server_send){.size = sizeof(chat_server_send), .user = user, .user_len = strlen(user), .conversation_id = conversation_id, .body = body, .body_len = strlen(body)};
}

static inline chat_server_send served_direct(const char *user, const char *peer, const char *body) {
  chat_server_send send = served_message(user, NULL, body);
  send.peer = peer;
  send.peer_len = strlen(peer);
  return send;
}

/* A group of owner and member, durable when this returns. */
static inline void served_group(chat_server *server, const char *owner, const char *member, uint8_t conversation_id[16]) {
  size_t len = strlen(member);
  ck_assert_int_eq(chat_server_request_create(server, 77, owner, strlen(owner), CHAT_GROUP, "group", 5, &member, &len, 1, 0), 0);
  const chat_server_event *event = served_reply(server, 77);
  ck_assert_int_eq(event->status, 0);
  memcpy(conversation_id, event->conversation_id, 16);
}

/* The history of the conversation once its head is `head`: what is durable in the log is in the store a little later. */
static inline const chat_server_event *served_history(chat_server *server, const uint8_t conversation_id[16], uint64_t head) {
  for (uint64_t until_ms = served_now_ms() + PATIENCE_MS; served_now_ms() < until_ms;) {
    ck_assert_int_eq(chat_server_request_history(server, 78, conversation_id, 0, UINT64_MAX, CHAT_PAGE_MAX), 0);
    const chat_server_event *event = served_reply(server, 78);
    if (event->status == 0 && event->head >= head) return event;
    served_pause();
  }
  ck_abort_msg("the history does not get to its head");
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ a client */

static inline chat_client *peer_start(const chat_server *server, const char *token) {
  char url[64];
  chat_client *client;
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/", chat_server_port(server, "listen"));
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, NULL, &client), 0);
  ck_assert_int_eq(chat_client_set(client, "url", url), 0);
  ck_assert_int_eq(chat_client_set(client, "token", token), 0);
  ck_assert_int_eq(chat_client_start(client), 0);
  return client;
}

/* The next event of that type; others are passed over. */
static inline const chat_event *peer_await(chat_client *client, uint32_t type) {
  for (uint64_t until_ms = served_now_ms() + PATIENCE_MS; served_now_ms() < until_ms;) {
    const chat_event *event = chat_client_wait(client, STEP_MS);
    if (event && event->type == type) return event;
  }
  ck_abort_msg("no event of type %u came", (unsigned)type);
  return NULL;
}

static inline const chat_event *peer_await_state(chat_client *client, uint32_t state) {
  for (;;) {
    const chat_event *event = peer_await(client, CHAT_EVENT_STATE);
    if (event->state == state) return event;
  }
}

static inline chat_client *peer_live(const chat_server *server, const char *token) {
  chat_client *client = peer_start(server, token);
  peer_await_state(client, CHAT_STATE_LIVE);
  return client;
}

static inline void peer_send(chat_client *client, const char *to, const char *body) {
  chat_draft draft = {.size = sizeof draft, .body = body, .body_len = strlen(body)};
  ck_assert_int_eq(chat_client_send_direct(client, 1, to, strlen(to), &draft), 0);
}

/* The end of what was sent: committed (0), or why it was refused. */
static inline int peer_await_outcome(chat_client *client) {
  for (;;) {
    const chat_event *event = peer_await(client, CHAT_EVENT_OUTBOX);
    const chat_message *message = event->messages[0];
    if (message->tick == CHAT_TICK_REFUSED) return message->status;
    if (message->tick >= CHAT_TICK_SENT && message->seq) return 0;
  }
}

#endif
