/* SPDX-License-Identifier: Apache-2.0 */
/* The server: its life, what an embedder asks it, what it asks an embedder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "promised.h"
#include "story.h"
#include "story_parts.h"

static int ask_statistics(chat_server *server, uint64_t tag, void *arg) {
  (void)arg;
  return chat_server_request_statistics(server, tag);
}

/* ------------------------------------------------------------------------------------------------ life */

static void write_config(const ch_stage *stage, char path[256]) {
  snprintf(path, 256, "%s/config", stage->folder);
  FILE *file = fopen(path, "w");
  if (!file || fputs("log-commit = 1ms\nthreads = 2\n", file) < 0 || fclose(file)) broken("no configuration could be written");
}

/* Every source of options, on a server that is thrown away again. */
static void set_options(ch_stage *stage, const char *path) {
  static const char *const args[] = {"--log-level=error", "--drain", "0s"};
  static const char *const environment[] = {"CHATD_HOLD=20ms", NULL};
  chat_server *server;
  ch_attempts attempts = {0};
  chat_server_config config = {.size = sizeof config, .allocator = &failure_allocator};
  for (int error; (error = FAILURE_BY(SIDE_SERVER, chat_server_new(CHAT_API_VERSION, &config, &server)));)
    stage_again(stage, &attempts, "chat_server_new", false, error);
  for (int error; (error = FAILURE_BY(SIDE_SERVER, chat_server_set_file(server, path, NULL)));)
    stage_again(stage, &attempts, "chat_server_set_file", false, error);
  for (int error; (error = FAILURE_BY(SIDE_SERVER, chat_server_set_args(server, 3, args, NULL)));)
    stage_again(stage, &attempts, "chat_server_set", false, error);
  for (int error; (error = FAILURE_BY(SIDE_SERVER, chat_server_set_environment(server, "CHATD_", environment)));)
    stage_again(stage, &attempts, "chat_server_set", false, error);
  failure_enter(SIDE_SERVER);
  chat_server_free(server);
  failure_enter(SIDE_NONE);
}

/* Made, started, used, stopped and started again, with the log that the option gives. */
void tell_serving(ch_stage *stage) {
  char path[256];
  stage->log_by_option = true;
  write_config(stage, path);
  stage_arm(stage);
  set_options(stage, path);
  stage_open_server(stage);
  ch_person *ann = person_open(stage, "ann", "ann.db");
  person_say(ann, NULL, "ben", "one");
  person_live(ann);
  int error = FAILURE_BY(SIDE_SERVER, chat_server_reload(stage->server));
  if (!promised("chat_server_reload", false, error)) broken("chat_server_reload: %s", chat_error_name(error));
  stage_ask(stage, "chat_server_request_statistics", ask_statistics, NULL, 0);
  person_close(ann);
  stage_close_server(stage);
  stage_open_server(stage);
  person_start(ann);
  person_say(ann, NULL, "ben", "two");
  stage_end(stage);
}

/* ------------------------------------------------------------------------------------------------ requests */

typedef struct ch_wish {
  const char *user, *text;
  uint8_t id[16];
  uint8_t device_id[16];
} ch_wish;

static int ask_create(chat_server *server, uint64_t tag, void *arg) {
  static const char *const members[] = {"ben"};
  static const size_t lens[] = {3};
  (void)arg;
  return chat_server_request_create(server, tag, "ann", 3, CHAT_GROUP, "group", 5, members, lens, 1, 1);
}

static int ask_send(chat_server *server, uint64_t tag, void *arg) {
  const ch_wish *wish = arg;
  chat_server_send send = {.size = sizeof send,
                           .user = wish->user,
                           .user_len = strlen(wish->user),
                           .conversation_id = wish->id,
                           .body = wish->text,
                           .body_len = strlen(wish->text)};
  return chat_server_request_send(server, tag, &send);
}

static int ask_add(chat_server *server, uint64_t tag, void *arg) {
  const ch_wish *wish = arg;
  return chat_server_request_add(server, tag, wish->id, "cara", 4, CHAT_ROLE_MEMBER);
}

static int ask_remove(chat_server *server, uint64_t tag, void *arg) {
  const ch_wish *wish = arg;
  return chat_server_request_remove(server, tag, wish->id, "cara", 4);
}

static int ask_history(chat_server *server, uint64_t tag, void *arg) {
  return chat_server_request_history(server, tag, ((ch_wish *)arg)->id, 0, UINT64_MAX, CHAT_PAGE_MAX);
}

static int ask_disconnect(chat_server *server, uint64_t tag, void *arg) {
  (void)arg;
  return chat_server_request_disconnect(server, tag, "ann", 3, NULL);
}

static int ask_revoke(chat_server *server, uint64_t tag, void *arg) {
  return chat_server_request_revoke(server, tag, "ann", 3, ((ch_wish *)arg)->device_id);
}

/* Accepted is what was replied to with 0; what was replied to otherwise may be there too, since the server dedups nothing here. */
static void send_as_server(ch_stage *stage, ch_wish *wish, const char *text) {
  ch_said *said = &stage->said[stage->said_count];
  wish->text = text;
  const ch_reply *reply = stage_ask(stage, "chat_server_request_send", ask_send, wish, 0);
  said->by = "server";
  memcpy(said->conversation_id, wish->id, 16);
  memcpy(said->client_id, reply->client_id, 16);
  snprintf(said->body, sizeof said->body, "%s", text);
  stage->said_count++;
}

void tell_requests(ch_stage *stage) {
  ch_wish wish = {.user = "ann"};
  stage_open_server(stage);
  ch_person *ann = person_open(stage, "ann", "ann.db");
  person_live(ann);
  stage_arm(stage);
  memcpy(wish.id, stage_ask(stage, "chat_server_request_create", ask_create, NULL, 0)->conversation_id, 16);
  send_as_server(stage, &wish, "one");
  stage_ask(stage, "chat_server_request_add", ask_add, &wish, 0);
  send_as_server(stage, &wish, "two");
  stage_ask(stage, "chat_server_request_remove", ask_remove, &wish, 0);
  stage_ask(stage, "chat_server_request_history", ask_history, &wish, CHAT_E_NOT_FOUND);
  stage_ask(stage, "chat_server_request_disconnect", ask_disconnect, NULL, 0);
  stage_ask(stage, "chat_server_request_revoke", ask_revoke, &wish, CHAT_E_NOT_FOUND);
  stage_ask(stage, "chat_server_request_statistics", ask_statistics, NULL, 0);
  person_until_there(ann, last_said(stage));
  stage_end(stage);
}

/* ------------------------------------------------------------------------------------------------ hooks */

static void on_login(void *arg, chat_ticket *ticket, const chat_login *login) {
  char user[16] = "";
  (void)arg;
  size_t len = login->token.len > 4 && login->token.len < 20 ? login->token.len - 4 : 0;
  if (len) memcpy(user, login->token.data + 4, len);
  int error = chat_ticket_answer_user(ticket, user, len, NULL, 0);
  if (error) chat_ticket_answer(ticket, CHAT_E_AGAIN);
}

static void on_incoming(void *arg, chat_ticket *ticket, const chat_incoming *incoming) {
  (void)arg, (void)incoming;
  chat_ticket_answer(ticket, 0);
}

static void on_action(void *arg, chat_ticket *ticket, const chat_action *action) {
  (void)arg, (void)action;
  chat_ticket_answer(ticket, 0);
}

static uint32_t told[SAID_MAX]; /* by the number that a text begins with */

static void on_stored(void *arg, chat_ticket *ticket, const chat_stored *stored) {
  (void)arg;
  unsigned number = stored->body.len ? (unsigned)stored->body.data[0] - '0' : 0;
  if (number < SAID_MAX) __atomic_fetch_add(&told[number], 1, __ATOMIC_SEQ_CST);
  chat_ticket_answer(ticket, 0);
}

static bool all_told(void *arg) {
  const ch_stage *stage = arg;
  for (size_t i = 0; i < stage->said_count; i++)
    if (!__atomic_load_n(&told[i + 1], __ATOMIC_SEQ_CST)) return false;
  return true;
}

/* Each hook is asked; what was stored is told at least once. */
void tell_hooks(ch_stage *stage) {
  static const chat_hooks hooks = {
      .size = sizeof hooks, .authenticate = on_login, .before_log = on_incoming, .may = on_action, .after_store = on_stored};
  stage->hooks = &hooks;
  stage_arm(stage);
  stage_open_server(stage);
  ch_person *ann = person_open(stage, "ann", "ann.db");
  person_live(ann);
  person_say(ann, NULL, "ben", "1");
  person_say(ann, NULL, "ben", "2");
  stage_until(stage, all_told, stage, "the hook after storing");
  person_close(ann);
  stage_close_server(stage);
  stage_open_server(stage);
  person_start(ann);
  person_say(ann, NULL, "ben", "3");
  stage_until(stage, all_told, stage, "the hook after storing, after a restart");
  stage_end(stage);
}
