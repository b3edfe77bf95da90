/* SPDX-License-Identifier: Apache-2.0 */
/* group …: a change goes through the outbox like a message, and the command ends with its verdict. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "exit_code.h"
#include "json.h"
#include "members.h"
#include "session.h"
#include "show.h"
#include "target.h"

enum { ADD_MAX = 255 };

/* ------------------------------------------------------------------------------------------------ the verdict */

/* What ended the row, where its event came before the reply was looked at. */
typedef struct verdict {
  session *s;
  uint8_t client_id[16];
  bool is_asked; /* client_id is known */
  bool is_done;
  int status;
} verdict;

static void take_event(void *arg, const chat_event *event) {
  verdict *v = arg;
  if (event->type == CHAT_EVENT_RESYNC) v->status = CHAT_E_UNKNOWN;
  if (event->type != CHAT_EVENT_OUTBOX || !v->is_asked || memcmp(event->client_id, v->client_id, 16) != 0) return;
  session_progress(v->s);
  const chat_message *m = event->messages[0];
  if (m->tick != CHAT_TICK_REFUSED && m->seq == 0) return; /* accepted: durable, not judged yet */
  v->is_done = true;
  v->status = m->tick == CHAT_TICK_REFUSED ? m->status : 0;
}

/* Of the request that was just made. The reply comes before all that happens to its row. `id`: of the conversation. */
static int await_verdict(session *s, int error, uint8_t id[16]) {
  verdict v = {.s = s};
  int status;
  if (!error) error = profile_set_unsent(s->profile, s->slot, true);
  const chat_event *reply = session_reply(s, error, &status);
  if (status) return status;
  memcpy(v.client_id, reply->client_id, 16);
  memcpy(id, reply->conversation_id, 16);
  v.is_asked = true;
  while (!v.is_done && !v.status) {
    session_step_kind kind = session_step(s, -1, -1);
    if (kind == STEP_EVENT) take_event(&v, s->event);
    else v.status = kind == STEP_STOP ? CHAT_E_CANCELED : s->state == CHAT_STATE_LIVE ? CHAT_E_TIMEOUT : CHAT_E_OFFLINE;
  }
  return v.status;
}

static int end(session *s, const char *what, int error) {
  uint8_t id[16];
  int status = await_verdict(s, error, id);
  return status ? fail_error(what, status) : EXIT_DONE;
}

/* ------------------------------------------------------------------------------------------------ with a group */

typedef int (*group_work)(session *s, const target *t, int count, char **operands);

static int with_group(const options *o, profile *p, int count, char **operands, group_work work) {
  session s;
  target t;
  if (o->offline) return fail_text(EXIT_USAGE, "this needs the server");
  int code = session_begin(&s, o, p, -1);
  if (code) return code;
  code = target_find(&s, operands[0], true, &t);
  if (!code && t.kind == CHAT_DIRECT) code = fail_text(EXIT_FAILED, "that is no group");
  if (!code) code = work(&s, &t, count - 1, operands + 1);
  session_close(&s);
  return code ? code : show_end();
}

static int read_role(const char *name, uint32_t *role) {
  *role = strcmp(name, "admin") == 0 ? CHAT_ROLE_ADMIN : CHAT_ROLE_MEMBER;
  return *role == CHAT_ROLE_ADMIN || strcmp(name, "member") == 0 ? EXIT_DONE : fail_text(EXIT_USAGE, "a role is member or admin");
}

/* ------------------------------------------------------------------------------------------------ create */

static void show_created(const options *o, uint32_t kind, const uint8_t id[16]) {
  char hex[33];
  hex_of(id, hex);
  if (!o->json) {
    puts(hex);
    return;
  }
  json_t *to = json_object_named("created");
  json_put_id(to, "conversation", id);
  json_object_set_new(to, "kind", json_string(kind == CHAT_CHANNEL ? "channel" : "group"));
  json_print(to);
}

static int create(session *s, int count, char **operands) {
  const options *o = s->options;
  chat_text users[ADD_MAX];
  uint8_t id[16];
  uint32_t kind = o->channel ? CHAT_CHANNEL : CHAT_GROUP;
  for (int i = 1; i < count; i++) users[i - 1] = (chat_text){operands[i], strlen(operands[i])};
  int error = chat_client_create(s->client, session_tag(s), kind, operands[0], strlen(operands[0]), users, (size_t)count - 1, o->from_start);
  int status = await_verdict(s, error, id);
  if (status) return fail_error("group create", status);
  show_created(o, kind, id);
  return EXIT_DONE;
}

int command_group_create(const options *o, profile *p, int count, char **operands) {
  session s;
  if (o->offline) return fail_text(EXIT_USAGE, "this needs the server");
  int code = session_begin(&s, o, p, -1);
  if (code) return code;
  code = create(&s, count, operands);
  session_close(&s);
  return code ? code : show_end();
}

/* ------------------------------------------------------------------------------------------------ members */

/* Some at a time; `more` of a channel's members than one event holds are several. */
static int add(session *s, const target *t, int count, char **operands) {
  chat_text users[ADD_MAX];
  uint32_t role;
  int code = read_role(s->options->role ? s->options->role : "member", &role);
  for (int done = 0; done < count && !code;) {
    size_t some = 0;
    for (; done < count && some < ADD_MAX; done++, some++) users[some] = (chat_text){operands[done], strlen(operands[done])};
    code = end(s, "group add", chat_client_add_members(s->client, session_tag(s), t->id, users, some, role));
  }
  return code;
}

int command_group_add(const options *o, profile *p, int count, char **operands) {
  return with_group(o, p, count, operands, add);
}

static int remove_member(session *s, const target *t, int count, char **operands) {
  (void)count;
  return end(s, "group remove", chat_client_remove_member(s->client, session_tag(s), t->id, operands[0], strlen(operands[0])));
}

int command_group_remove(const options *o, profile *p, int count, char **operands) {
  return with_group(o, p, count, operands, remove_member);
}

static int leave(session *s, const target *t, int count, char **operands) {
  (void)count;
  (void)operands;
  return end(s, "group leave", chat_client_leave(s->client, session_tag(s), t->id));
}

int command_group_leave(const options *o, profile *p, int count, char **operands) {
  return with_group(o, p, count, operands, leave);
}

static int set_role(session *s, const target *t, int count, char **operands) {
  uint32_t role;
  (void)count;
  int code = read_role(operands[1], &role);
  if (code) return code;
  return end(s, "group role", chat_client_set_role(s->client, session_tag(s), t->id, operands[0], strlen(operands[0]), role));
}

int command_group_role(const options *o, profile *p, int count, char **operands) {
  return with_group(o, p, count, operands, set_role);
}

static int set_owner(session *s, const target *t, int count, char **operands) {
  (void)count;
  return end(s, "group owner", chat_client_set_owner(s->client, session_tag(s), t->id, operands[0], strlen(operands[0])));
}

int command_group_owner(const options *o, profile *p, int count, char **operands) {
  return with_group(o, p, count, operands, set_owner);
}

/* ------------------------------------------------------------------------------------------------ the group itself */

static int set_title(session *s, const target *t, int count, char **operands) {
  (void)count;
  return end(s, "group rename", chat_client_set_title(s->client, session_tag(s), t->id, operands[0], strlen(operands[0])));
}

int command_group_rename(const options *o, profile *p, int count, char **operands) {
  return with_group(o, p, count, operands, set_title);
}

static int make_channel(session *s, const target *t, int count, char **operands) {
  (void)count;
  (void)operands;
  return end(s, "group channel", chat_client_make_channel(s->client, session_tag(s), t->id));
}

int command_group_channel(const options *o, profile *p, int count, char **operands) {
  return with_group(o, p, count, operands, make_channel);
}

static int set_from_start(session *s, const target *t, int count, char **operands) {
  bool on = strcmp(operands[0], "on") == 0;
  (void)count;
  if (!on && strcmp(operands[0], "off") != 0) return fail_text(EXIT_USAGE, "on or off");
  return end(s, "group from-start", chat_client_set_history_from_start(s->client, session_tag(s), t->id, on));
}

int command_group_from_start(const options *o, profile *p, int count, char **operands) {
  return with_group(o, p, count, operands, set_from_start);
}

static int info(session *s, const target *t, int count, char **operands) {
  int status;
  (void)count;
  (void)operands;
  const chat_event *event = session_reply(s, chat_client_conversation(s->client, session_tag(s), t->id), &status);
  if (status) return fail_error("group info", status);
  show_conversation(s->options, event->conversations[0]);
  return members_show(s, t);
}

int command_group_info(const options *o, profile *p, int count, char **operands) {
  return with_group(o, p, count, operands, info);
}
