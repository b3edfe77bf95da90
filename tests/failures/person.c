/* SPDX-License-Identifier: Apache-2.0 */
/* People of a stage. */
#define _GNU_SOURCE /* CLOCK_BOOTTIME */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "promised.h"
#include "stage.h"

enum { CLOCK_FACTOR = 20, SUSPEND_MS = 5000 };

/* ------------------------------------------------------------------------------------------------ a fast clock */

static uint64_t fast_ms(void *arg) {
  struct timespec now;
  (void)arg;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return ((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000) * CLOCK_FACTOR / 1000;
}

static uint64_t real_ms(void *arg) {
  struct timespec now;
  (void)arg;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t wall_ms(void *arg) {
  struct timespec now;
  (void)arg;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static const chat_clock fast_clock = {fast_ms, wall_ms, NULL};
/* A thread of the library sleeps until its deadline by the system's clock. */
static const chat_clock real_clock = {real_ms, wall_ms, NULL};

/* ------------------------------------------------------------------------------------------------ life */

static void set(ch_person *person, const char *name, const char *value) {
  ch_attempts attempts = {0};
  for (int error; (error = FAILURE_BY(SIDE_CLIENT, chat_client_set(person->client, name, value)));)
    stage_again(person->stage, &attempts, "chat_client_set", false, error);
}

static void set_options(ch_person *person) {
  char url[64], token[64], path[256];
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/", person->stage->port);
  snprintf(token, sizeof token, "dev:%s", person->name);
  snprintf(path, sizeof path, "%s/%s", person->stage->folder, person->database);
  set(person, "url", url);
  set(person, "token", token);
  set(person, "database", path);
  set(person, "backoff-min", person->has_thread ? "5ms" : "100ms");
  set(person, "backoff-max", person->has_thread ? "20ms" : "400ms");
  set(person, "sync-every", person->has_thread ? "1s" : "10s");
  set(person, "resend", person->has_thread ? "500ms" : "5s");
  set(person, "prefetch", "20");
  if (!person->has_thread) set(person, "caller-driven", "true");
}

static int new_client(ch_person *person) {
  chat_client_config config = {
      .size = sizeof config, .allocator = &failure_allocator, .clock = person->has_thread ? &real_clock : &fast_clock, .log = &stage_log};
  return FAILURE_BY(SIDE_CLIENT, chat_client_new(CHAT_API_VERSION, &config, &person->client));
}

void person_start(ch_person *person) {
  ch_attempts attempts = {0};
  for (int error; (error = new_client(person));)
    stage_again(person->stage, &attempts, "chat_client_new", false, error);
  set_options(person);
  for (int error; (error = FAILURE_BY(SIDE_CLIENT, chat_client_start(person->client)));)
    stage_again(person->stage, &attempts, "chat_client_start", false, error);
}

ch_person *person_open(ch_stage *stage, const char *name, const char *database) {
  ch_person *person = &stage->people[stage->person_count++];
  person->stage = stage;
  person->name = name;
  person->database = database;
  person_start(person);
  return person;
}

void person_close(ch_person *person) {
  failure_enter(SIDE_CLIENT);
  chat_client_free(person->client);
  failure_enter(SIDE_NONE);
  person->client = NULL;
  person->is_suspended = false;
  person->state = 0;
  person->waiting = 0;
}

static bool is_live(void *arg) {
  return ((ch_person *)arg)->state == CHAT_STATE_LIVE;
}

void person_live(ch_person *person) {
  stage_until(person->stage, is_live, person, "a live connection");
}

void person_suspend(ch_person *person) {
  int error = FAILURE_BY(SIDE_CLIENT, chat_client_suspend(person->client, SUSPEND_MS));
  if (error) broken("chat_client_suspend: %s", chat_error_name(error));
  person->is_suspended = true;
}

void person_resume(ch_person *person) {
  ch_attempts attempts = {0};
  person->state = 0;
  for (int error; (error = FAILURE_BY(SIDE_CLIENT, chat_client_resume(person->client)));)
    stage_again(person->stage, &attempts, "chat_client_resume", false, error);
  person->is_suspended = false;
}

/* ------------------------------------------------------------------------------------------------ requests */

static bool is_replied(void *arg) {
  return ((ch_person *)arg)->waiting == 0;
}

static int ask_once(ch_person *person, asking ask, void *arg, bool *is_reply) {
  uint64_t tag = ++person->tag;
  person->waiting = tag;
  int error = FAILURE_BY(SIDE_CLIENT, ask(person->client, tag, arg));
  *is_reply = !error;
  if (error) person->waiting = 0;
  if (error) return error;
  stage_until(person->stage, is_replied, person, "the reply of a request");
  return person->reply.status;
}

const ch_reply *person_ask(ch_person *person, const char *function, asking ask, void *arg, int accepted) {
  ch_attempts attempts = {0};
  bool is_reply;
  for (int error; (error = ask_once(person, ask, arg, &is_reply)) && !(is_reply && error == accepted);)
    stage_again(person->stage, &attempts, function, is_reply, error);
  return &person->reply;
}

/* ------------------------------------------------------------------------------------------------ saying */

typedef struct ch_saying {
  const uint8_t *conversation_id;
  const char *to;
  chat_draft draft;
} ch_saying;

static int ask_send(chat_client *client, uint64_t tag, void *arg) {
  const ch_saying *what = arg;
  if (what->to) return chat_client_send_direct(client, tag, what->to, strlen(what->to), &what->draft);
  return chat_client_send(client, tag, what->conversation_id, &what->draft);
}

/* With an id of the caller's own, the same at each try: however often it was tried, it is one message. */
static void make_id(const ch_said *said, size_t number, uint8_t id[16]) {
  memset(id, 0, 16);
  snprintf((char *)id, 16, "%zu", number);
  id[6] = 0x70;
  id[8] = 0x80;
  id[15] = (uint8_t)said->by[0];
}

void person_say(ch_person *person, const uint8_t *conversation_id, const char *to, const char *body) {
  ch_stage *stage = person->stage;
  if (stage->said_count == SAID_MAX) broken("too much is said");
  ch_said *said = &stage->said[stage->said_count];
  said->by = person->name;
  snprintf(said->body, sizeof said->body, "%s", body);
  make_id(said, stage->said_count++, said->client_id);
  ch_saying what = {
      conversation_id, to, {.size = sizeof what.draft, .body = said->body, .body_len = strlen(said->body), .client_id = said->client_id}};
  const ch_reply *reply = person_ask(person, to ? "chat_client_send_direct" : "chat_client_send", ask_send, &what, 0);
  if (memcmp(reply->client_id, said->client_id, 16) != 0) broken("%s: the reply of a send has another client_id", person->name);
  memcpy(said->conversation_id, reply->conversation_id, 16);
}

/* ------------------------------------------------------------------------------------------------ reading */

typedef struct ch_page {
  const uint8_t *conversation_id;
  uint64_t before_seq;
  uint32_t limit;
  int local;
} ch_page;

static int ask_history(chat_client *client, uint64_t tag, void *arg) {
  const ch_page *page = arg;
  return chat_client_history(client, tag, page->conversation_id, page->before_seq, 0, page->limit, page->local);
}

void person_history(ch_person *person, const uint8_t conversation_id[16], uint64_t before_seq, uint32_t limit, bool local) {
  ch_page page = {conversation_id, before_seq, limit, local};
  person_ask(person, "chat_client_history", ask_history, &page, 0);
}

static int ask_talks(chat_client *client, uint64_t tag, void *arg) {
  (void)arg;
  return chat_client_conversations(client, tag, 0, 100);
}

void person_talks(ch_person *person) {
  person_ask(person, "chat_client_conversations", ask_talks, NULL, 0);
}

typedef struct ch_looking {
  ch_person *person;
  const ch_said *said;
  uint32_t tick;
} ch_looking;

/* The history is read again and again: what the events said may have been lost in a RESYNC. */
static bool is_there(void *arg) {
  const ch_looking *looking = arg;
  ch_page page = {looking->said->conversation_id, 0, CHAT_PAGE_MAX, true};
  const ch_reply *reply = person_ask(looking->person, "chat_client_history", ask_history, &page, CHAT_E_NOT_FOUND);
  for (size_t i = 0; reply->status == 0 && i < reply->row_count; i++) {
    const event_row *row = &reply->rows[i];
    if (row->seq && memcmp(row->client_id, looking->said->client_id, 16) == 0) return row->tick >= looking->tick;
  }
  return false;
}

void person_until_tick(ch_person *person, const ch_said *said, uint32_t tick) {
  ch_looking looking = {person, said, tick};
  stage_until(person->stage, is_there, &looking, "the tick of a message");
}

void person_until_there(ch_person *person, const ch_said *said) {
  ch_looking looking = {person, said, 0};
  stage_until(person->stage, is_there, &looking, "a message, at somebody who shall have it");
}
