/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* syscall */
#include "stage.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "promised.h"

enum { HEAL_AFTER_MS = 400, HEAL_AFTER_COUNT = 6, PATIENCE_MS = 15 * 1000, PAUSE_MS = 2 };

uint64_t stage_now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The system's own write: the one of this program may be the one that fails. */
static void write_line(void *arg, int level, const char *line, size_t len) {
  (void)arg, (void)level;
  syscall(SYS_write, STDERR_FILENO, line, len);
  syscall(SYS_write, STDERR_FILENO, "\n", 1);
}

const chat_log_sink stage_log = {write_line, NULL};

void stage_arm(ch_stage *stage) {
  failure_begin(stage->plan, stage->record);
}

void stage_heal(ch_stage *stage) {
  (void)stage;
  failure_heal();
}

/* ------------------------------------------------------------------------------------------------ events */

static void copy_text(char out[TEXT_MAX], chat_bytes text) {
  size_t len = text.len < TEXT_MAX - 1 ? text.len : TEXT_MAX - 1;
  if (len) memcpy(out, text.data, len);
  out[len] = 0;
}

static void copy_message(event_row *row, const chat_message *message) {
  row->seq = message->seq;
  row->type = message->type;
  row->tick = message->tick;
  memcpy(row->client_id, message->client_id, 16);
  copy_text(row->body, message->body);
}

static void copy_talk(talk_row *row, const chat_conversation *talk) {
  memcpy(row->id, talk->conversation_id, 16);
  row->kind = talk->kind;
  row->role = talk->role;
  row->head = talk->head;
  row->cursor = talk->cursor;
  row->pending = talk->pending;
}

static void copy_reply(ch_reply *reply, const chat_event *event) {
  reply->status = event->status;
  memcpy(reply->conversation_id, event->conversation_id, 16);
  memcpy(reply->client_id, event->client_id, 16);
  memcpy(reply->device_id, event->device_id, 16);
  reply->seq = event->seq;
  reply->head = event->head;
  reply->more = event->more;
  reply->row_count = event->message_count;
  for (size_t i = 0; i < event->message_count; i++)
    copy_message(&reply->rows[i], event->messages[i]);
  reply->talk_count = event->conversation_count < CONVERSATIONS_MAX ? event->conversation_count : CONVERSATIONS_MAX;
  for (size_t i = 0; i < reply->talk_count; i++)
    copy_talk(&reply->talks[i], event->conversations[i]);
  reply->count = event->member_count + event->device_count;
  for (size_t i = 0; i < event->device_count; i++)
    if (!event->devices[i]->revoked && !event->devices[i]->current) memcpy(reply->other_device, event->devices[i]->device_id, 16);
}

/* What no failure of memory or I/O may bring about is a broken promise, whenever it comes. */
static void take_event(ch_person *person, const chat_event *event) {
  switch (event->type) {
  case CHAT_EVENT_REPLY:
    if (!person->waiting || event->tag != person->waiting)
      broken("%s: a reply to %llu, which nobody waits for", person->name, (unsigned long long)event->tag);
    person->waiting = 0;
    copy_reply(&person->reply, event);
    break;
  case CHAT_EVENT_RESYNC: person->state = event->state; break;
  case CHAT_EVENT_STATE:
    person->state = event->state;
    if (event->state == CHAT_STATE_SHUT_OUT && event->status) broken("%s is shut out: %s", person->name, chat_error_name(event->status));
    break;
  case CHAT_EVENT_DATABASE:
    if (event->status == CHAT_E_CORRUPT) broken("%s: a database that was not damaged was set aside", person->name);
    break;
  case CHAT_EVENT_OUTBOX:
    if (event->messages[0]->tick == CHAT_TICK_REFUSED) broken("%s: refused: %s", person->name, chat_error_name(event->messages[0]->status));
    break;
  case CHAT_EVENT_TOKEN: person->wants_token = true; break;
  case CHAT_EVENT_DRAFT: broken("%s: a message was given back as a draft", person->name);
  default: break;
  }
}

/* At the next turn again, where it cannot be taken now. */
static void give_token(ch_person *person) {
  char token[64];
  snprintf(token, sizeof token, "dev:%s", person->name);
  int error = FAILURE_BY(SIDE_CLIENT, chat_client_set(person->client, "token", token));
  if (!promised("chat_client_set", false, error)) broken("chat_client_set: %s", chat_error_name(error));
  person->wants_token = error != 0;
}

static void person_turn(ch_person *person) {
  const chat_event *event;
  if (!person->client) return;
  if (!person->has_thread && !person->is_suspended) FAILURE_BY(SIDE_CLIENT, chat_client_process(person->client));
  while ((event = FAILURE_BY_FOR(SIDE_CLIENT, chat_client_wait(person->client, 0))))
    take_event(person, event);
  if (person->wants_token && !person->is_suspended) give_token(person);
}

static void take_server_event(ch_stage *stage, const chat_server_event *event) {
  if (event->type == CHAT_SERVER_FAULT)
    broken("the server has a fault: %s: %.*s", chat_error_name(event->status), (int)event->text.len, (const char *)event->text.data);
  if (!stage->waiting || event->tag != stage->waiting)
    broken("server: a reply to %llu, which nobody waits for", (unsigned long long)event->tag);
  ch_reply *reply = &stage->reply;
  stage->waiting = 0;
  reply->status = event->status;
  memcpy(reply->conversation_id, event->conversation_id, 16);
  memcpy(reply->client_id, event->client_id, 16);
  reply->head = event->head;
  reply->count = event->count;
  reply->row_count = event->stored_count;
  for (size_t i = 0; i < event->stored_count; i++) {
    const chat_stored *stored = event->stored[i];
    reply->rows[i] = (event_row){.seq = stored->seq, .type = stored->type};
    memcpy(reply->rows[i].client_id, stored->client_id, 16);
    copy_text(reply->rows[i].body, stored->body);
  }
}

static void server_turn(ch_stage *stage) {
  const chat_server_event *event;
  if (!stage->server) return;
  while ((event = FAILURE_BY_FOR(SIDE_SERVER, chat_server_wait(stage->server, 0))))
    take_server_event(stage, event);
}

void stage_turn(ch_stage *stage) {
  for (int i = 0; i < stage->person_count; i++)
    person_turn(&stage->people[i]);
  server_turn(stage);
}

/* ------------------------------------------------------------------------------------------------ waiting */

/* Until somebody has something to do. */
static void pause_a_little(ch_stage *stage) {
  struct pollfd fds[PEOPLE_MAX * 2 + 1];
  nfds_t count = 0;
  for (int i = 0; i < stage->person_count; i++) {
    ch_person *person = &stage->people[i];
    if (!person->client || person->is_suspended) continue;
    if (!person->has_thread) fds[count++] = (struct pollfd){chat_client_io_fd(person->client), POLLIN, 0};
    fds[count++] = (struct pollfd){chat_client_fd(person->client), POLLIN, 0};
  }
  if (stage->server) fds[count++] = (struct pollfd){chat_server_fd(stage->server), POLLIN, 0};
  poll(fds, count, PAUSE_MS);
}

/* What the server says of itself, into what is printed of a case that is broken. */
static void dump_statistics(ch_stage *stage) {
  if (!stage->server || stage->waiting || chat_server_request_statistics(stage->server, ++stage->tag)) return;
  const chat_server_event *event = chat_server_wait(stage->server, 1000);
  if (!event || event->tag != stage->tag) return;
  for (size_t at = 0, end; at < event->text.len; at = end + 1) {
    const char *line = (const char *)event->text.data + at;
    for (end = at; end < event->text.len && event->text.data[end] != '\n'; end++)
      continue;
    if (line[0] != '#' && strncmp(line + (end - at) - 2, " 0", 2) != 0) fprintf(stderr, "%.*s\n", (int)(end - at), line);
  }
}

void stage_until(ch_stage *stage, bool (*done)(void *arg), void *arg, const char *what) {
  uint64_t from_ms = stage_now_ms();
  for (;;) {
    stage_turn(stage);
    if (done(arg)) return;
    uint64_t waited_ms = stage_now_ms() - from_ms;
    if (waited_ms > HEAL_AFTER_MS && stage->plan->run == FAILURE_FOREVER) stage_heal(stage);
    if (waited_ms > PATIENCE_MS) {
      stage_heal(stage);
      dump_statistics(stage);
      broken("it does not come: %s", what);
    }
    pause_a_little(stage);
  }
}

void stage_again(ch_stage *stage, ch_attempts *attempts, const char *function, bool is_reply, int error) {
  if (!promised(function, is_reply, error))
    broken("%s %s %s, which is not promised", function, is_reply ? "is replied to with" : "returned", chat_error_name(error));
  if (attempts->count++ == 0) attempts->since_ms = stage_now_ms();
  if (attempts->count > HEAL_AFTER_COUNT && stage->plan->run == FAILURE_FOREVER) stage_heal(stage);
  if (stage_now_ms() - attempts->since_ms > PATIENCE_MS) broken("%s goes on failing: %s", function, chat_error_name(error));
  stage_turn(stage);
  pause_a_little(stage);
}
