/* SPDX-License-Identifier: Apache-2.0 */
#include "members.h"

#include <string.h>

#include "exit_code.h"
#include "show.h"

enum { PAGE = 256, PRESENCE_WAIT_MS = 1000 };

/* Counts users whose presence was told; all else goes to whoever listened before. */
typedef struct presence_count {
  uint64_t told;
  void (*on_event)(void *arg, const chat_event *event);
  void *arg;
} presence_count;

static void count_presence(void *arg, const chat_event *event) {
  presence_count *c = arg;
  if (event->type == CHAT_EVENT_PRESENCE) c->told++;
  else if (c->on_event) c->on_event(c->arg, event);
}

/* The server tells of all members, up to a page of them, at once. */
static int learn_presence(session *s, const target *t) {
  presence_count c = {0, s->on_event, s->on_event_arg};
  uint64_t wanted = 0;
  int status;
  s->on_event = count_presence;
  s->on_event_arg = &c;
  session_reply(s, chat_client_open(s->client, session_tag(s), t->id), &status);
  const chat_event *event = status ? NULL : session_reply(s, chat_client_members(s->client, session_tag(s), t->id, NULL, 0, PAGE), &status);
  if (event) wanted = event->member_count;
  int64_t until_ms = clock_ms() + PRESENCE_WAIT_MS;
  while (!s->options->offline && c.told < wanted && session_step(s, -1, until_ms) == STEP_EVENT) count_presence(&c, s->event);
  s->on_event = c.on_event;
  s->on_event_arg = c.arg;
  return status;
}

static int show_pages(session *s, const target *t) {
  char after[CHAT_USER_ID_MAX];
  size_t after_len = 0;
  int status;
  for (bool more = true; more;) {
    const chat_event *event = session_reply(s, chat_client_members(s->client, session_tag(s), t->id, after, after_len, PAGE), &status);
    if (status) return fail_error("members", status);
    for (size_t i = 0; i < event->member_count; i++) show_member(s->options, event->members[i]);
    more = event->more && event->member_count > 0;
    if (!more) continue;
    chat_bytes last = event->members[event->member_count - 1]->user;
    after_len = last.len < sizeof after ? last.len : sizeof after;
    memcpy(after, last.data, after_len);
  }
  return EXIT_DONE;
}

void members_refresh(session *s, const target *t) {
  int status;
  if (s->options->offline || !t->is_known || t->kind == CHAT_CHANNEL) return;
  session_reply(s, chat_client_members(s->client, session_tag(s), t->id, NULL, 0, PAGE), &status);
}

int members_show(session *s, const target *t) {
  int status = learn_presence(s, t);
  return status ? fail_error("members", status) : show_pages(s, t);
}
