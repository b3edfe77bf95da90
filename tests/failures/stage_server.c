/* SPDX-License-Identifier: Apache-2.0 */
/* The server of a stage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/log_file/log_file.h"
#include "platform/platform.h"
#include "promised.h"
#include "stage.h"

enum { SEGMENT_LEN = 16 * 1024, STOP_MS = 10 * 1000 };

/* ------------------------------------------------------------------------------------------------ a log with small segments, so that new ones are made */

static int log_new(ch_stage *stage) {
  char path[256];
  snprintf(path, sizeof path, "%s/small-log", stage->folder);
  ch_log_file_config config = {
      .alloc = &failure_allocator, .clock = ch_platform_clock(), .path = path, .partitions = {1, 1}, .segment_len = SEGMENT_LEN};
  if (ch_platform_random(&config.random)) broken("no randomness");
  return FAILURE_BY(SIDE_SERVER, ch_log_file_new(&config, &stage->log, NULL));
}

/* As chat_server_start, which would open it. */
static void open_log(ch_stage *stage) {
  ch_attempts attempts = {0};
  if (stage->log_by_option) return;
  for (int error; (error = log_new(stage));)
    stage_again(stage, &attempts, "chat_server_start", false, error);
}

static void close_log(ch_stage *stage) {
  if (!stage->log.self) return;
  failure_enter(SIDE_SERVER);
  stage->log.vtable->free(stage->log.self);
  failure_enter(SIDE_NONE);
  stage->log = (chat_backend){NULL, NULL};
}

/* ------------------------------------------------------------------------------------------------ life */

static void server_free(ch_stage *stage) {
  failure_enter(SIDE_SERVER);
  chat_server_free(stage->server);
  failure_enter(SIDE_NONE);
  stage->server = NULL;
}

static int server_set(ch_stage *stage, const char *name, const char *value) {
  ch_attempts attempts = {0};
  for (int error; (error = FAILURE_BY(SIDE_SERVER, chat_server_set(stage->server, name, value)));)
    stage_again(stage, &attempts, "chat_server_set", false, error);
  return 0;
}

static void server_options(ch_stage *stage) {
  server_set(stage, "listen", "127.0.0.1:0");
  server_set(stage, "metrics", "127.0.0.1:0");
  if (!stage->hooks || !stage->hooks->authenticate) server_set(stage, "dev-mode", "true");
  server_set(stage, "data", stage->folder);
  server_set(stage, "drain", "0s");
  server_set(stage, "hold", "10ms");
  server_set(stage, "receipt-interval", "5ms");
  server_set(stage, "heartbeat", "5s");
  server_set(stage, "hook-deadline", "1s");
  server_set(stage, "limit-address-rate", "0");
  server_set(stage, "limit-user-rate", "0");
}

static int server_new(ch_stage *stage) {
  chat_server_config config = {.size = sizeof config, .allocator = &failure_allocator, .hooks = stage->hooks, .log = &stage_log};
  if (!stage->log_by_option) config.message_log = &stage->log;
  return FAILURE_BY(SIDE_SERVER, chat_server_new(CHAT_API_VERSION, &config, &stage->server));
}

void stage_open_server(ch_stage *stage) {
  ch_attempts attempts = {0};
  open_log(stage);
  for (int error; (error = server_new(stage));)
    stage_again(stage, &attempts, "chat_server_new", false, error);
  server_options(stage);
  for (int error; (error = FAILURE_BY(SIDE_SERVER, chat_server_start(stage->server)));)
    stage_again(stage, &attempts, "chat_server_start", false, error);
  stage->port = chat_server_port(stage->server, "listen");
}

/* What was cut off by a deadline is allowed only while something may fail. */
void stage_close_server(ch_stage *stage) {
  if (!stage->server) return;
  bool healed = failure_is_over();
  int error = FAILURE_BY(SIDE_SERVER, chat_server_stop(stage->server, STOP_MS));
  if (healed ? error != 0 : !promised("chat_server_stop", false, error)) broken("chat_server_stop: %s", chat_error_name(error));
  server_free(stage);
  close_log(stage);
  stage->waiting = 0;
}

/* ------------------------------------------------------------------------------------------------ requests */

static bool is_replied(void *arg) {
  return ((ch_stage *)arg)->waiting == 0;
}

static int ask_once(ch_stage *stage, server_asking ask, void *arg, bool *is_reply) {
  uint64_t tag = ++stage->tag;
  stage->waiting = tag;
  int error = FAILURE_BY(SIDE_SERVER, ask(stage->server, tag, arg));
  *is_reply = !error;
  if (error) stage->waiting = 0;
  if (error) return error;
  stage_until(stage, is_replied, stage, "the reply of a request to the server");
  return stage->reply.status;
}

const ch_reply *stage_ask(ch_stage *stage, const char *function, server_asking ask, void *arg, int accepted) {
  ch_attempts attempts = {0};
  bool is_reply;
  for (int error; (error = ask_once(stage, ask, arg, &is_reply)) && !(is_reply && error == accepted);)
    stage_again(stage, &attempts, function, is_reply, error);
  return &stage->reply;
}
