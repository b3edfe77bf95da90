/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_code.h"
#include "text.h"

enum { PAGE = 1000, SAID_MAX = 10 };

void hex_of(const uint8_t id[16], char text[33]) {
  for (int i = 0; i < 16; i++) snprintf(text + 2 * i, 3, "%02x", id[i]);
}

bool hex_read(const char *text, uint8_t id[16]) {
  if (strlen(text) != 32) return false;
  for (int i = 0; i < 16; i++) {
    char pair[] = {text[2 * i], text[2 * i + 1], '\0'};
    if (!isxdigit((unsigned char)pair[0]) || !isxdigit((unsigned char)pair[1])) return false;
    id[i] = (uint8_t)strtoul(pair, NULL, 16);
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------ what matches */

typedef struct hunt {
  const char *name; /* as it was given, without its mark */
  bool users, titles, is_id;
  uint8_t id[16];
  target found, former; /* former: one that was left. It counts where nothing else is called so */
  int count, former_count;
} hunt;

static hunt read_name(const char *text) {
  hunt h = {.name = text, .users = text[0] != '#', .titles = text[0] != '@'};
  h.name += text[0] == '#' || text[0] == '@';
  h.is_id = hex_read(text, h.id);
  return h;
}

static bool is_text(chat_bytes bytes, const char *text) {
  return bytes.len > 0 && bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static bool matches(const hunt *h, const chat_conversation *c) {
  if (h->is_id && memcmp(c->conversation_id, h->id, 16) == 0) return true;
  return c->kind == CHAT_DIRECT ? h->users && is_text(c->peer, h->name) : h->titles && is_text(c->title, h->name);
}

static void keep_text(char *to, size_t size, chat_bytes from) {
  size_t len = from.len < size ? from.len : size - 1;
  if (len > 0) memcpy(to, from.data, len);
  to[len] = '\0';
}

static void keep(target *out, const chat_conversation *c) {
  *out = (target){.is_known = true, .kind = c->kind, .head = c->head, .member_count = c->member_count};
  memcpy(out->id, c->conversation_id, 16);
  keep_text(out->name, sizeof out->name, c->kind == CHAT_DIRECT ? c->peer : c->title);
  if (c->kind == CHAT_DIRECT) keep_text(out->user, sizeof out->user, c->peer);
}

static void say_one(const target *t) {
  char hex[33];
  hex_of(t->id, hex);
  fprintf(stderr, "chat:   %s  %s ", hex, t->kind == CHAT_DIRECT ? "user" : t->kind == CHAT_GROUP ? "group" : "channel");
  text_write(stderr, chat_bytes_of(t->name));
  fputc('\n', stderr);
}

static void take(hunt *h, const chat_conversation *c) {
  target t;
  keep(&t, c);
  if (c->role == CHAT_ROLE_NONE && c->kind != CHAT_DIRECT && !h->is_id) {
    h->former = t;
    h->former_count++;
    return;
  }
  h->count++;
  if (h->count == 2) {
    fail_text(EXIT_FAILED, "more than one conversation is called so; say which by its id, or @ for a user, # for a group:");
    say_one(&h->found);
  }
  if (h->count > 1 && h->count <= SAID_MAX) say_one(&t);
  h->found = t;
}

static int look(session *s, hunt *h) {
  int status;
  uint64_t seen = 0;
  for (bool more = true; more;) {
    const chat_event *event = session_reply(s, chat_client_conversations(s->client, session_tag(s), seen, PAGE), &status);
    if (status) return fail_error("conversations", status);
    for (size_t i = 0; i < event->conversation_count; i++)
      if (matches(h, event->conversations[i])) take(h, event->conversations[i]);
    seen += event->conversation_count;
    more = event->more && event->conversation_count > 0;
  }
  return EXIT_DONE;
}

/* Nothing present is called so. A group that one has left must not be taken for a user who happens to be called like it. */
static bool take_former(hunt *h) {
  if (h->former_count != 1) return false;
  h->found = h->former;
  return true;
}

/* ------------------------------------------------------------------------------------------------ a user who was never written to */

static int new_user(session *s, const hunt *h, target *out) {
  int status;
  size_t len = strlen(h->name);
  const chat_event *event = session_reply(s, chat_client_whoami(s->client, session_tag(s)), &status);
  if (status) return fail_error("who am I", status);
  *out = (target){.kind = CHAT_DIRECT, .member_count = 2};
  if (len > CHAT_USER_ID_MAX || chat_direct_id((const char *)event->user.data, event->user.len, h->name, len, out->id))
    return fail_text(EXIT_USAGE, "neither a conversation here nor a user's name");
  memcpy(out->name, h->name, len + 1);
  memcpy(out->user, h->name, len + 1);
  return EXIT_DONE;
}

int target_find(session *s, const char *text, bool must_exist, target *out) {
  hunt h = read_name(text);
  int code = look(s, &h);
  if (code) return code;
  if (h.count > 1) return EXIT_FAILED;
  bool is_found = h.count == 1 || take_former(&h);
  *out = h.found;
  if (is_found) return EXIT_DONE;
  if (h.former_count > 1) return fail_text(EXIT_FAILED, "several groups that you have left are called so; say which by its id");
  if (must_exist || !h.users || h.is_id) {
    fputs("chat: no such conversation here: ", stderr);
    text_write(stderr, chat_bytes_of(text));
    fputc('\n', stderr);
    return EXIT_FAILED;
  }
  return new_user(s, &h, out);
}
