/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <chat/client.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "history.h"

enum { TAG_ORDER = 1, TAG_ASK = 2, TAG_QUIET = 3, CATCH_UP_MS = 100 };

typedef struct person {
  chat_client *client;
  int user;
  int caught_up;
  int asked;
} person;

typedef struct worker {
  const world *w;
  int number, fd;
  person *people;
  int count;
  order now;      /* the order under way; what 0: none */
  int waiting;    /* people who are not done with it */
  uint64_t ask_ms;
} worker;

static void tell(worker *me, report r) {
  r.what = me->now.what;
  me->now.what = 0;
  if (write(me->fd, &r, sizeof r) != (ssize_t)sizeof r) _exit(0); /* the replay is gone */
}

static void fail(worker *me, int user, int status, const char *what) {
  report r = {.status = status ? status : CHAT_E_INTERNAL, .user = user};
  snprintf(r.text, sizeof r.text, "%s: %s", what, chat_error_name(status));
  tell(me, r);
}

static person *find(worker *me, int user) {
  for (int i = 0; i < me->count; i++)
    if (me->people[i].user == user) return &me->people[i];
  return NULL;
}

static text name_of(const worker *me, int user) {
  return me->w->all.names[user];
}

/* ------------------------------------------------------------------------------------------------ people come and go */

static int set_options(worker *me, person *p) {
  char path[4000], token[NICK_MAX + 8];
  text name = name_of(me, p->user);
  snprintf(path, sizeof path, "%s/%d.db", me->w->folder, p->user);
  snprintf(token, sizeof token, "dev:%.*s", (int)name.len, name.data);
  int error = chat_client_set(p->client, "url", me->w->url);
  if (!error) error = chat_client_set(p->client, "database", path);
  if (!error) error = chat_client_set(p->client, "token", token);
  if (!error) error = chat_client_set(p->client, "caller-driven", "true");
  if (!error) error = chat_client_set(p->client, "backoff-max", "2s");
  return error;
}

static int start(worker *me, person *p) {
  int error = chat_client_new(CHAT_API_VERSION, NULL, &p->client);
  if (!error) error = set_options(me, p);
  if (!error) error = chat_client_start(p->client);
  return error;
}

static void begin(worker *me) {
  const chatlog *log = &me->w->logs[me->now.log];
  me->people = calloc((size_t)log->member_count, sizeof *me->people);
  for (int i = 0; i < log->member_count && me->people; i++) {
    if (log->members[i] % me->w->worker_count != me->number) continue;
    person *p = &me->people[me->count++];
    p->user = log->members[i];
    int error = start(me, p);
    if (error) {
      fail(me, p->user, error, "the client does not start");
      return;
    }
  }
  me->waiting = me->count; /* the report follows when all are live */
  if (me->count == 0) tell(me, (report){0});
}

static void end(worker *me) {
  for (int i = 0; i < me->count; i++) chat_client_free(me->people[i].client);
  free(me->people);
  me->people = NULL;
  me->count = 0;
  tell(me, (report){0});
}

static void quit(worker *me) {
  (void)me;
  exit(0); /* not _exit: leak checkers and coverage want their say */
}

/* ------------------------------------------------------------------------------------------------ orders for one person */

static person *the_person(worker *me) {
  person *p = find(me, me->now.user);
  if (!p) fail(me, me->now.user, CHAT_E_NOT_FOUND, "no such person here");
  return p;
}

static void check_request(worker *me, int error) {
  if (error) fail(me, me->now.user, error, "the request was not taken");
}

static int list_members(worker *me, chat_text *out, int from, int max) {
  const chatlog *log = &me->w->logs[me->now.log];
  int count = 0;
  for (int i = from; i < log->member_count && count < max; i++) {
    text name = name_of(me, log->members[i]);
    out[count++] = (chat_text){name.data, name.len};
  }
  return count;
}

static void create(worker *me) {
  const chatlog *log = &me->w->logs[me->now.log];
  person *p = the_person(me);
  if (!p) return;
  chat_text members[255];
  int count = list_members(me, members, 1, 255);
  uint32_t kind = log->member_count <= CHAT_GROUP_MEMBERS_MAX ? CHAT_GROUP : CHAT_CHANNEL;
  check_request(me, chat_client_create(p->client, TAG_ORDER, kind, log->name, strlen(log->name), members, (size_t)count, 1));
}

static void add(worker *me) {
  person *p = the_person(me);
  if (!p) return;
  chat_text members[255];
  int count = list_members(me, members, me->now.line, 255);
  check_request(me, chat_client_add_members(p->client, TAG_ORDER, me->now.conversation, members, (size_t)count, CHAT_ROLE_MEMBER));
}

static void say(worker *me) {
  person *p = the_person(me);
  if (!p) return;
  text said = me->w->logs[me->now.log].lines[me->now.line].said;
  chat_draft draft = {.size = sizeof draft, .body = said.data, .body_len = said.len, .client_id = me->now.client_id};
  check_request(me, chat_client_send(p->client, TAG_ORDER, me->now.conversation, &draft));
}

static void go(worker *me) {
  person *p = the_person(me);
  if (!p) return;
  int error = chat_client_set_online(p->client, TAG_QUIET, me->now.what == DO_ONLINE);
  if (error)
    check_request(me, error);
  else
    tell(me, (report){.user = p->user});
}

/* ------------------------------------------------------------------------------------------------ orders for all */

static void catch_up(worker *me) {
  me->waiting = me->count;
  for (int i = 0; i < me->count; i++) {
    me->people[i].caught_up = me->people[i].asked = 0;
    chat_client_set_online(me->people[i].client, TAG_QUIET, 1);
  }
  if (me->waiting == 0) tell(me, (report){0});
}

static void ask_cursors(worker *me) {
  for (int i = 0; i < me->count; i++) {
    person *p = &me->people[i];
    if (p->caught_up || p->asked) continue;
    p->asked = chat_client_conversation(p->client, TAG_ASK, me->now.conversation) == 0;
  }
}

static void on_cursor(worker *me, person *p, const chat_event *event) {
  p->asked = 0;
  if (me->now.what != DO_CATCH_UP || p->caught_up || event->status != 0 || event->conversation_count == 0) return;
  if (event->conversations[0]->cursor < me->now.head) return;
  p->caught_up = 1;
  /* The person has read all of it, so that the ticks of the excerpt have something to tell. */
  chat_client_mark_read(p->client, TAG_QUIET, me->now.conversation, me->now.head);
  if (--me->waiting == 0) tell(me, (report){0});
}

static void prove(worker *me) {
  report r = {0};
  for (int i = 0; i < me->count && r.status == 0; i++) {
    person *p = &me->people[i];
    r.user = p->user;
    r.status = history_prove(me->w, me->now.log, p->user, p->client, me->now.conversation, me->now.line + i, r.text, sizeof r.text);
    if (r.status == 0) r.count += (uint64_t)me->w->logs[me->now.log].line_count;
  }
  tell(me, r);
}

static void show(worker *me) {
  person *p = the_person(me);
  if (!p) return;
  history_show(me->w, me->now.log, p->client, me->now.conversation);
  tell(me, (report){0});
}

static void (*const doers[])(worker *me) = {
    [DO_BEGIN] = begin, [DO_CREATE] = create, [DO_ADD] = add, [DO_SEND] = say, [DO_ONLINE] = go, [DO_OFFLINE] = go,
    [DO_CATCH_UP] = catch_up, [DO_PROVE] = prove, [DO_SHOW] = show, [DO_END] = end, [DO_QUIT] = quit};

/* ------------------------------------------------------------------------------------------------ events */

static int under_way(const worker *me, const person *p) {
  return me->now.user == p->user && (me->now.what == DO_CREATE || me->now.what == DO_ADD || me->now.what == DO_SEND);
}

/* The message is in the outbox; one that was committed before (told again after a kill) says so at once. */
static void on_reply(worker *me, person *p, const chat_event *event) {
  if (event->tag == TAG_ASK) on_cursor(me, p, event);
  if (event->tag != TAG_ORDER || !under_way(me, p)) return;
  if (event->status != 0) {
    fail(me, p->user, event->status, "the message was not taken");
    return;
  }
  memcpy(me->now.client_id, event->client_id, 16);
  memcpy(me->now.conversation, event->conversation_id, 16);
  if (event->seq > 0) tell(me, (report){.user = p->user, .line = me->now.line, .seq = event->seq});
}

static void on_outbox(worker *me, person *p, const chat_event *event) {
  const chat_message *message = event->messages[0];
  if (!under_way(me, p) || memcmp(message->client_id, me->now.client_id, 16) != 0) return;
  if (message->tick == CHAT_TICK_REFUSED) {
    fail(me, p->user, message->status, "refused");
  } else if (message->seq > 0) {
    report r = {.user = p->user, .line = me->now.line, .seq = message->seq};
    memcpy(r.conversation, message->conversation_id, 16);
    tell(me, r);
  }
}

static void on_state(worker *me, person *p, const chat_event *event) {
  if (event->state == CHAT_STATE_LIVE && me->now.what == DO_BEGIN && !p->caught_up) {
    p->caught_up = 1;
    if (--me->waiting == 0) tell(me, (report){0});
  }
  if (event->state == CHAT_STATE_SHUT_OUT && me->now.what) fail(me, p->user, event->status, "shut out");
}

static void take_events(worker *me, person *p) {
  const chat_event *event;
  while ((event = chat_client_wait(p->client, 0))) {
    switch (event->type) {
      case CHAT_EVENT_REPLY: on_reply(me, p, event); break;
      case CHAT_EVENT_OUTBOX: on_outbox(me, p, event); break;
      case CHAT_EVENT_STATE: on_state(me, p, event); break;
      default: break;
    }
  }
}

/* ------------------------------------------------------------------------------------------------ loop */

static int timeout_of(worker *me) {
  int64_t least = me->now.what == DO_CATCH_UP ? CATCH_UP_MS : 60000;
  for (int i = 0; i < me->count; i++) {
    int64_t ms = chat_client_next_deadline_ms(me->people[i].client);
    if (ms >= 0 && ms < least) least = ms;
  }
  return (int)least;
}

static void take_order(worker *me) {
  ssize_t n = read(me->fd, &me->now, sizeof me->now);
  if (n == 0) _exit(0);
  if (n != (ssize_t)sizeof me->now) return;
  doers[me->now.what](me);
}

static void turn(worker *me, struct pollfd *fds) {
  for (int i = 0; i < me->count; i++) fds[i + 1] = (struct pollfd){chat_client_io_fd(me->people[i].client), POLLIN, 0};
  fds[0] = (struct pollfd){me->fd, POLLIN, 0};
  if (poll(fds, (nfds_t)me->count + 1, timeout_of(me)) < 0 && errno != EINTR) _exit(1);
  int count = me->count;
  for (int i = 0; i < count; i++) {
    if (fds[i + 1].revents || chat_client_next_deadline_ms(me->people[i].client) == 0) chat_client_process(me->people[i].client);
    take_events(me, &me->people[i]);
  }
  if (me->now.what == DO_CATCH_UP) ask_cursors(me);
  if (fds[0].revents) take_order(me);
}

void worker_run(const world *w, int number, int fd) {
  worker me = {.w = w, .number = number, .fd = fd};
  struct pollfd *fds = calloc((size_t)w->all.count + 1, sizeof *fds);
  if (!fds) _exit(1);
  for (;;) turn(&me, fds);
}
