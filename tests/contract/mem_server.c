/* SPDX-License-Identifier: Apache-2.0 */
#include "mem_server.h"

#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* What comes in its place, as the client's status: there are no close codes here. */
static const struct {
  const char *text;
  int status;
} ends[] = {{"!close 1000", CHAT_E_CLOSED}, {"!close 1001", CHAT_E_CLOSED}, {"!close 1002", CHAT_E_PROTOCOL}, {"!close 1009", CHAT_E_TOO_LARGE},
            {"!drop", CHAT_E_IO},           {"!text", CHAT_E_PROTOCOL},     {"!huge", CHAT_E_TOO_LARGE}};

/* Waits for room, as a socket would; the client may leave meanwhile. */
static void put(mem_server *server, const void *data, size_t len) {
  while (chat_transport_peer_send(server->peer, (chat_bytes){data, len}) == CHAT_E_AGAIN && !atomic_load(&server->stopping)) poll(NULL, 0, 1);
}

static void flood(mem_server *server, int count) {
  char text[1000];
  memset(text, 'f', sizeof text);
  for (int i = 0; i < count; i++) {
    memcpy(text, &i, sizeof i);
    put(server, text, sizeof text);
  }
}

static void obey(mem_server *server, const char *text, size_t len) {
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    if (strcmp(text, ends[i].text) == 0) {
      chat_transport_peer_close(server->peer, ends[i].status);
      return;
    }
  if (strcmp(text, "!parts") == 0) put(server, "abcdef", 6);
  else if (strncmp(text, "!flood ", 7) == 0) flood(server, atoi(text + 7));
  else if (strncmp(text, "!mute ", 6) == 0) poll(NULL, 0, atoi(text + 6));
  else put(server, text, len);
}

static void *run(void *arg) {
  mem_server *server = arg;
  while (!atomic_load(&server->stopping)) {
    chat_transport_event event;
    chat_transport_peer_wait(server->peer, 20, &event);
    if (event.type == CHAT_TRANSPORT_OPEN) {
      if (server->upgrade == WS_GOOD) chat_transport_peer_accept(server->peer);
      else chat_transport_peer_close(server->peer, server->upgrade == WS_REFUSED ? CHAT_E_CLOSED : CHAT_E_PROTOCOL);
    }
    if (event.type != CHAT_TRANSPORT_MESSAGE) continue;
    char *text = calloc(1, event.message.len + 1);
    memcpy(text, event.message.data, event.message.len);
    obey(server, text, event.message.len);
    free(text);
  }
  return NULL;
}

void mem_server_start(mem_server *server, chat_transport_peer *peer, ws_upgrade upgrade) {
  server->peer = peer;
  server->upgrade = upgrade;
  atomic_init(&server->stopping, false);
  ck_assert_int_eq(pthread_create(&server->thread, NULL, run, server), 0);
}

void mem_server_stop(mem_server *server) {
  atomic_store(&server->stopping, true);
  pthread_join(server->thread, NULL);
  chat_transport_peer_free(server->peer);
}
