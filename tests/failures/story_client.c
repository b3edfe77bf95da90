/* SPDX-License-Identifier: Apache-2.0 */
/* What people do with a client. */
#include <stdio.h>
#include <string.h>

#include "promised.h"
#include "story.h"
#include "story_parts.h"

/* ------------------------------------------------------------------------------------------------ asking */

static int ask_whoami(chat_client *client, uint64_t tag, void *arg) {
  (void)arg;
  return chat_client_whoami(client, tag);
}

static int ask_online(chat_client *client, uint64_t tag, void *arg) {
  return chat_client_set_online(client, tag, *(int *)arg);
}

static int ask_logout(chat_client *client, uint64_t tag, void *arg) {
  (void)arg;
  return chat_client_logout(client, tag);
}

static int ask_open(chat_client *client, uint64_t tag, void *arg) {
  return chat_client_open(client, tag, arg);
}

static int ask_close(chat_client *client, uint64_t tag, void *arg) {
  return chat_client_close(client, tag, arg);
}

static int ask_conversation(chat_client *client, uint64_t tag, void *arg) {
  return chat_client_conversation(client, tag, arg);
}

static int ask_members(chat_client *client, uint64_t tag, void *arg) {
  return chat_client_members(client, tag, arg, NULL, 0, 100);
}

static int ask_verify(chat_client *client, uint64_t tag, void *arg) {
  return chat_client_verify(client, tag, arg);
}

static int ask_devices(chat_client *client, uint64_t tag, void *arg) {
  (void)arg;
  return chat_client_devices(client, tag);
}

static int ask_revoke(chat_client *client, uint64_t tag, void *arg) {
  return chat_client_revoke_device(client, tag, arg);
}

static int ask_retry(chat_client *client, uint64_t tag, void *arg) {
  return chat_client_retry(client, tag, arg);
}

static int ask_discard(chat_client *client, uint64_t tag, void *arg) {
  return chat_client_discard(client, tag, arg);
}

typedef struct ch_reading {
  uint8_t *conversation_id;
  uint64_t seq;
} ch_reading;

static int ask_read(chat_client *client, uint64_t tag, void *arg) {
  const ch_reading *reading = arg;
  return chat_client_mark_read(client, tag, reading->conversation_id, reading->seq);
}

typedef struct ch_looking_for {
  const char *words;
  int on_server;
} ch_looking_for;

static int ask_search(chat_client *client, uint64_t tag, void *arg) {
  const ch_looking_for *what = arg;
  return chat_client_search(client, tag, what->words, strlen(what->words), NULL, 0, 50, what->on_server);
}

/* No reply event: an error that is promised is all there is to see. */
static void hint(ch_person *person, int what) {
  int error = FAILURE_BY(SIDE_CLIENT, chat_client_network_hint(person->client, what));
  if (!promised("chat_client_network_hint", false, error)) broken("chat_client_network_hint: %s", chat_error_name(error));
}

static void type(ch_person *person, const uint8_t *conversation_id, int typing) {
  int error = FAILURE_BY(SIDE_CLIENT, chat_client_typing(person->client, conversation_id, typing));
  if (!promised("chat_client_typing", false, error)) broken("chat_client_typing: %s", chat_error_name(error));
}

static void go_online(ch_person *person, int online) {
  person_ask(person, "chat_client_set_online", ask_online, &online, 0);
}

static void read_up_to(ch_person *person, const ch_said *said) {
  person_history(person, said->conversation_id, 0, 50, true);
  uint64_t seq = 0;
  for (size_t i = 0; i < person->reply.row_count; i++)
    if (person->reply.rows[i].seq > seq) seq = person->reply.rows[i].seq;
  uint8_t id[16];
  memcpy(id, said->conversation_id, 16);
  person_ask(person, "chat_client_mark_read", ask_read, &(ch_reading){id, seq}, 0);
}

const ch_said *last_said(const ch_stage *stage) {
  return &stage->said[stage->said_count - 1];
}

/* ------------------------------------------------------------------------------------------------ stories */

/* Login, every way to go and come back. */
void tell_life(ch_stage *stage) {
  char text[16 * 1024];
  stage_open_server(stage);
  stage_arm(stage);
  ch_person *ann = person_open(stage, "ann", "ann.db");
  person_live(ann);
  person_ask(ann, "chat_client_whoami", ask_whoami, NULL, CHAT_E_OFFLINE);
  chat_client_print_options(CHAT_PRINT_HELP, text, sizeof text);
  person_say(ann, NULL, "ben", "before");
  person_suspend(ann);
  person_resume(ann);
  person_live(ann);
  go_online(ann, 0);
  person_say(ann, NULL, "ben", "offline");
  go_online(ann, 1);
  hint(ann, CHAT_NETWORK_UP);
  person_live(ann);
  person_close(ann);
  person_start(ann);
  person_live(ann);
  person_say(ann, NULL, "ben", "after");
  stage_end(stage);
}

/* Two people, both ways, with ticks, while both are online. */
void tell_talk(ch_stage *stage) {
  stage_open_server(stage);
  ch_person *ann = person_open(stage, "ann", "ann.db"), *ben = person_open(stage, "ben", "ben.db");
  person_live(ann);
  person_live(ben);
  stage_arm(stage);
  person_say(ann, NULL, "ben", "one");
  const ch_said *first = last_said(stage);
  uint8_t id[16];
  memcpy(id, first->conversation_id, 16);
  person_until_there(ben, first);
  person_ask(ben, "chat_client_open", ask_open, id, 0);
  type(ben, id, 1);
  person_say(ben, id, NULL, "two");
  person_until_there(ann, last_said(stage));
  read_up_to(ben, first);
  person_until_tick(ann, first, CHAT_TICK_READ);
  person_ask(ben, "chat_client_close", ask_close, id, 0);
  person_ask(ann, "chat_client_conversation", ask_conversation, id, 0);
  person_ask(ann, "chat_client_retry", ask_retry, id, CHAT_E_NOT_FOUND);
  person_ask(ann, "chat_client_discard", ask_discard, id, CHAT_E_NOT_FOUND);
  person_say(ann, id, NULL, "three");
  person_until_there(ben, last_said(stage));
  stage_end(stage);
}

/* The index comes behind the store. */
static bool is_found(void *arg) {
  const ch_reply *reply = person_ask(arg, "chat_client_search", ask_search, &(ch_looking_for){"word 12", 1}, 0);
  if (reply->row_count > 1) broken("a search at the server finds %zu", reply->row_count);
  return reply->row_count == 1;
}

/* A device that is new, and what it fetches of what was there before. */
void tell_reading(ch_stage *stage) {
  char text[24];
  stage_open_server(stage);
  ch_person *ann = person_open(stage, "ann", "ann.db");
  person_live(ann);
  for (int i = 0; i < 60; i++) {
    snprintf(text, sizeof text, "word %d", i);
    person_say(ann, NULL, "ben", text);
  }
  ch_person *other = person_open(stage, "ben", "old.db");
  person_live(other);
  person_close(other);
  stage->person_count--;
  stage_arm(stage);
  ch_person *ben = person_open(stage, "ben", "ben.db");
  person_live(ben);
  person_until_there(ben, last_said(stage));
  uint8_t id[16];
  memcpy(id, last_said(stage)->conversation_id, 16);
  person_history(ben, id, 30, 20, false);
  if (ben->reply.row_count != 20 || ben->reply.rows[19].seq != 29) broken("a page of history is not whole: %zu rows", ben->reply.row_count);
  person_ask(ben, "chat_client_search", ask_search, &(ch_looking_for){"word", 0}, 0);
  stage_until(stage, is_found, ben, "a message that the server's index has");
  person_ask(ben, "chat_client_members", ask_members, id, 0);
  person_ask(ben, "chat_client_verify", ask_verify, id, 0);
  person_ask(ben, "chat_client_devices", ask_devices, NULL, 0); /* a login whose answer was lost has made one more */
  if (ben->reply.count < 2) broken("%llu devices", (unsigned long long)ben->reply.count);
  person_ask(ben, "chat_client_revoke_device", ask_revoke, ben->reply.other_device, 0);
  stage_end(stage);
}

/* A client with a thread of the library's. */
void tell_threads(ch_stage *stage) {
  stage_open_server(stage);
  ch_person *ann = &stage->people[0], *ben = &stage->people[1];
  ann->has_thread = ben->has_thread = true;
  stage_arm(stage);
  person_open(stage, "ann", "ann.db");
  person_open(stage, "ben", "ben.db");
  person_live(ann);
  person_say(ann, NULL, "ben", "one");
  person_until_there(ben, last_said(stage));
  person_suspend(ben);
  person_say(ann, NULL, "ben", "two");
  person_resume(ben);
  person_until_there(ben, last_said(stage));
  person_close(ben);
  person_say(ann, NULL, "ben", "three");
  person_start(ben);
  person_until_there(ben, last_said(stage));
  stage_end(stage);
}

/* The database is wiped; who logs in again has the history from the server. */
void tell_logout(ch_stage *stage) {
  stage_open_server(stage);
  ch_person *ann = person_open(stage, "ann", "ann.db"), *ben = person_open(stage, "ben", "ben.db");
  person_live(ann);
  person_say(ann, NULL, "ben", "one");
  person_until_there(ben, last_said(stage));
  stage_arm(stage);
  person_ask(ben, "chat_client_logout", ask_logout, NULL, CHAT_E_OFFLINE);
  person_close(ben);
  person_start(ben);
  person_until_there(ben, last_said(stage));
  stage_end(stage);
}
