/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole server over a log and a store that lose their power together: what it said to be durable is in the history once it has come back, once, in the order of sending; what anybody has
 * read of the history stays as it was read. Cut in between, the store is behind the log, and the log is cut only below what the store has synced, or else something would be missing.
 */
#define _DEFAULT_SOURCE
#include <chat/server.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend/log_file/log_file.h"
#include "backend/store_sqlite/store_sqlite.h"
#include "platform/platform.h"
#include "power/life.h"

enum { SEGMENT_LEN = 16384, MESSAGES_MAX = 20000, IN_FLIGHT = 12, PAGE = 100, PATIENCE_MS = 30000, TAG_HISTORY = MESSAGES_MAX + 1 };

typedef struct seen {
  uint32_t message; /* 0: nobody has read this seq */
  uint64_t message_id;
} seen;

typedef struct promised {
  uint32_t sent;                        /* messages 1 … sent were handed to the server */
  uint8_t is_durable[MESSAGES_MAX + 1]; /* by message: the reply said so */
  seen at[MESSAGES_MAX + 1];            /* by seq */
} promised;

static promised *known;
static chat_server *server;
static chat_backend message_log, store;
static uint8_t conversation[16];

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------------------------------------ sending */

static void send_one(void) {
  char body[700];
  uint32_t message = ++known->sent;
  int len = snprintf(body, sizeof body, "%u:%*s", (unsigned)message, (int)(message * 2654435761u % 600), "");
  chat_server_send send = {
      .size = sizeof send, .user = "ann", .user_len = 3, .peer = "ben", .peer_len = 3, .body = body, .body_len = (size_t)len};
  life_do(chat_server_request_send(server, message, &send));
}

static const chat_server_event *reply(void) {
  const chat_server_event *event = chat_server_wait(server, PATIENCE_MS);
  life_check(event && event->type == CHAT_SERVER_REPLY);
  life_do(event->status);
  return event;
}

static void send_some(void) {
  uint32_t count = 1 + (uint32_t)life_draw(IN_FLIGHT);
  for (uint32_t i = 0; i < count; i++)
    send_one();
  for (uint32_t i = 0; i < count; i++)
    known->is_durable[reply()->tag] = 1;
}

/* ------------------------------------------------------------------------------------------------ reading */

static void see(const chat_stored *row) {
  char *colon;
  uint32_t message = (uint32_t)strtoul((const char *)row->body.data, &colon, 10);
  life_check(row->seq <= MESSAGES_MAX && message >= 1 && message <= known->sent && *colon == ':');
  seen *at = &known->at[row->seq];
  life_check(at->message == 0 || (at->message == message && at->message_id == row->message_id));
  *at = (seen){message, row->message_id};
}

/* A page above `low`; the head. */
static uint64_t read_page(uint64_t *low) {
  life_do(chat_server_request_history(server, TAG_HISTORY, conversation, *low, *low + PAGE, PAGE));
  const chat_server_event *event = chat_server_wait(server, PATIENCE_MS);
  life_check(event && (event->type != CHAT_SERVER_FAULT || printf("%.*s\n", (int)event->text.len, (const char *)event->text.data) < 0));
  life_check(event->tag == TAG_HISTORY);
  if (event->status != CHAT_E_NOT_FOUND) life_do(event->status);
  for (size_t i = 0; i < event->stored_count; i++) {
    life_check(event->stored[i]->seq == *low + 1);
    see(event->stored[i]);
    ++*low;
  }
  return event->status ? 0 : event->head;
}

static uint64_t read_all(void) {
  uint64_t low = 0, head;
  do
    head = read_page(&low);
  while (low < head);
  return head;
}

/* Every durable message once, and all in the order of sending. */
static bool all_durable_are_there(uint64_t head) {
  uint32_t next = 1;
  for (uint64_t seq = 1; seq <= head; seq++) {
    life_check(known->at[seq].message >= next);
    for (; next < known->at[seq].message; next++)
      if (known->is_durable[next]) return false;
    next++;
  }
  for (; next <= known->sent; next++)
    if (known->is_durable[next]) return false;
  return true;
}

static uint64_t highest_seen(void) {
  uint64_t seq = 0;
  while (seq < MESSAGES_MAX && known->at[seq + 1].message)
    seq++;
  return seq;
}

/* What the store has not is read from the log in the background. */
static void check(void) {
  uint64_t until_ms = now_ms() + PATIENCE_MS, before = highest_seen();
  for (;;) {
    uint64_t head = read_all();
    if (head >= before && all_durable_are_there(head)) return;
    life_check(now_ms() < until_ms);
    usleep(2000);
  }
}

/* ------------------------------------------------------------------------------------------------ life */

static void open_backends(const char *folder) {
  char log_path[128], store_path[128];
  chat_random random;
  snprintf(log_path, sizeof log_path, "%s/log", folder);
  snprintf(store_path, sizeof store_path, "%s/store", folder);
  life_do(ch_platform_random(&random));
  ch_log_file_config log_config = {
      .clock = ch_platform_clock(), .random = random, .path = log_path, .partitions = {1, 1}, .segment_len = SEGMENT_LEN};
  ch_store_sqlite_config store_config = {.path = store_path, .reader_threads = 1, .checkpoint_pages = 30, .checkpoint_ms = 20};
  life_do(ch_log_file_new(&log_config, &message_log, NULL));
  life_do(ch_store_sqlite_new(&store_config, &store));
}

static void start(const char *folder) {
  chat_server_config config = {.size = sizeof config, .message_log = &message_log, .store = &store};
  char data[128];
  snprintf(data, sizeof data, "%s/data", folder);
  mkdir(data, 0700);
  life_do(chat_server_new(CHAT_API_VERSION, &config, &server));
  const char *const options[][2] = {
      {"listen", "127.0.0.1:0"},       {"metrics", ""}, {"dev-mode", "true"}, {"data", data}, {"drain", "0ms"}, {"limit-user-rate", "0"},
      {"limit-conversation-rate", "0"}};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    life_do(chat_server_set(server, options[i][0], options[i][1]));
  life_do(chat_server_start(server));
}

static void stop(void) {
  chat_server_stop(server, PATIENCE_MS);
  chat_server_free(server);
  store.vtable->free(store.self);
  message_log.vtable->free(message_log.self);
}

static void live(const char *folder, void *promises) {
  known = promises;
  life_do(chat_direct_id("ann", 3, "ben", 3, conversation));
  open_backends(folder);
  start(folder);
  check();
  while (!life_chance(3) && known->sent < MESSAGES_MAX - IN_FLIGHT) {
    send_some();
    if (life_chance(20)) check();
  }
  stop();
}

int main(int argc, char **argv) {
  return life_main(argc, argv, &(life_subject){.name = "server", .calls_max = 300, .promised_len = sizeof(promised), .live = live});
}
