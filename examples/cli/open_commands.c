/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open, or no command at all: a person chats. Lines go to the open conversation; those that begin with / are commands (//: a message that begins with /).
 * What comes from elsewhere is shown with the name of its conversation.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "exit_code.h"
#include "members.h"
#include "names.h"
#include "session.h"
#include "show.h"
#include "target.h"
#include "terminal.h"
#include "text.h"

enum { NEWEST = 20, CONVERSATIONS = 20, FOUND = 20 };

typedef struct room {
  session *s;
  options options; /* of what is shown here */
  names names;
  target open;
  bool is_open, leave;
  bool in_line;          /* a line is being carried out: the prompt comes back behind that */
  uint64_t shown_seq;    /* of the open conversation */
  uint64_t told_read;    /* the highest seq of ours that was told to be read */
  uint64_t own_seq;      /* the highest of ours */
  uint64_t under_way;    /* sent from here, without an end yet */
  int error;
} room;

/* ------------------------------------------------------------------------------------------------ what is shown */

/* From here on the line that is being typed is out of the way, until the end of the event. */
static void show_line(const room *r, const chat_message *m, const char *name) {
  terminal_hide();
  show_message(&r->options, m, name);
}

static void show_error(const char *what, int status) {
  terminal_hide();
  printf("! %s: %s\n", what, chat_error_text(status));
}

static bool is_here(const room *r, const uint8_t id[16]) {
  return r->is_open && memcmp(r->open.id, id, 16) == 0;
}

/* It is on the screen, so it was read. The reply says nothing that anybody waits for. */
static void mark_read(room *r, uint64_t seq) {
  if (seq <= r->shown_seq) return;
  r->shown_seq = seq;
  if (!r->options.offline) chat_client_mark_read(r->s->client, session_tag(r->s), r->open.id, seq);
}

static void take_message(room *r, const chat_message *m) {
  bool here = is_here(r, m->conversation_id);
  const char *name = names_find(&r->names, m->conversation_id);
  show_line(r, m, here ? NULL : name ? name : "?");
  if (here && m->own) r->own_seq = m->seq;
  if (here) mark_read(r, m->seq);
}

static void take_outbox(room *r, const chat_message *m) {
  if (m->seq || m->tick == CHAT_TICK_REFUSED) r->under_way -= r->under_way > 0;
  if (m->tick == CHAT_TICK_REFUSED) show_line(r, m, NULL);
}

/* Told once for what was written since the last time. Of a group it is said who. */
static void take_receipt(room *r, const chat_event *e) {
  if (!is_here(r, e->conversation_id) || e->read < r->own_seq || r->own_seq <= r->told_read) return;
  if (r->open.kind == CHAT_DIRECT) r->told_read = r->own_seq;
  terminal_hide();
  fputs("        ✓✓ read by ", stdout);
  text_write(stdout, e->user);
  printf(" up to %" PRIu64 "\n", e->read);
}

static void take_user(const chat_event *e, const char *yes, const char *no) {
  terminal_hide();
  fputs("        * ", stdout);
  text_write(stdout, e->user);
  printf(" %s\n", e->online ? yes : no);
}

static void take_state(room *r, const chat_event *e) {
  static const char *const words[] = {[CHAT_STATE_OFFLINE] = "offline", [CHAT_STATE_CONNECTING] = "no connection: what you write waits for it", [CHAT_STATE_LIVE] = "connected"};
  if (e->state == CHAT_STATE_SHUT_OUT || (e->state == CHAT_STATE_OFFLINE && e->status)) r->error = e->status ? e->status : CHAT_E_AUTH;
  if (e->state >= sizeof words / sizeof *words || !words[e->state]) return;
  terminal_hide();
  printf("        * %s\n", words[e->state]);
}

static void show_event(room *r, const chat_event *e) {
  switch (e->type) {
    case CHAT_EVENT_MESSAGE: take_message(r, e->messages[0]); return;
    case CHAT_EVENT_OUTBOX: take_outbox(r, e->messages[0]); return;
    case CHAT_EVENT_RECEIPT: take_receipt(r, e); return;
    case CHAT_EVENT_PRESENCE: take_user(e, "is online", "is offline"); return;
    case CHAT_EVENT_TYPING: if (is_here(r, e->conversation_id) && e->online) take_user(e, "types …", ""); return;
    case CHAT_EVENT_STATE: take_state(r, e); return;
    case CHAT_EVENT_CONVERSATION: names_learn(&r->names, e->conversations[0]); return;
    case CHAT_EVENT_RESYNC: terminal_hide(), puts("        * too much at once: /history shows what is missing"); return;
    default: return;
  }
}

static void take_event(void *arg, const chat_event *e) {
  room *r = arg;
  show_event(r, e);
  if (!r->in_line) terminal_show();
}

/* ------------------------------------------------------------------------------------------------ opening */

static void set_prompt(const room *r) {
  char *prompt = NULL;
  size_t len;
  FILE *file = open_memstream(&prompt, &len);
  if (!file) return;
  if (r->is_open) text_write(file, chat_bytes_of(r->open.name));
  fputs("> ", file);
  if (fclose(file) == 0) terminal_set_prompt(prompt);
  free(prompt);
}

static void show_history(room *r, uint32_t limit) {
  session *s = r->s;
  int status;
  const chat_event *event = session_reply(s, chat_client_history(s->client, session_tag(s), r->open.id, 0, 0, limit, r->options.offline), &status);
  for (size_t i = 0; event && i < event->message_count; i++) take_message(r, event->messages[i]);
  if (status) show_error("history", status);
}

/* A user who was never written to has no conversation to follow before the first message. */
static void follow(room *r) {
  session *s = r->s;
  int status;
  session_reply(s, chat_client_open(s->client, session_tag(s), r->open.id), &status);
  if (status) show_error("open", status);
  members_refresh(s, &r->open);
  show_history(r, NEWEST);
}

static int open_conversation(room *r, const char *name) {
  session *s = r->s;
  int status;
  target t;
  int code = target_find(s, name, false, &t);
  if (code) return code;
  if (r->is_open && r->open.is_known) session_reply(s, chat_client_close(s->client, session_tag(s), r->open.id), &status);
  r->open = t;
  r->is_open = true;
  r->shown_seq = r->told_read = r->own_seq = 0;
  if (t.is_known) follow(r);
  set_prompt(r);
  return EXIT_DONE;
}

/* ------------------------------------------------------------------------------------------------ lines that are commands */

static void do_help(room *r, const char *rest) {
  (void)r;
  (void)rest;
  puts("/open NAME   another conversation       /list          conversations\n"
       "/history [N] the newest N               /search WORDS  messages with all these words\n"
       "/who         members, who is online     /quit          or ^D\n"
       "//TEXT       a message that begins with /");
}

static void do_list(room *r, const char *rest) {
  session *s = r->s;
  int status;
  (void)rest;
  const chat_event *event = session_reply(s, chat_client_conversations(s->client, session_tag(s), 0, CONVERSATIONS), &status);
  for (size_t i = 0; event && i < event->conversation_count; i++) show_conversation(&r->options, event->conversations[i]);
  if (status) show_error("list", status);
}

static void do_open(room *r, const char *rest) {
  open_conversation(r, rest);
}

static bool needs_room(const room *r) {
  if (!r->is_open) puts("! /open NAME first");
  return !r->is_open;
}

static void do_history(room *r, const char *rest) {
  unsigned long limit = strtoul(rest, NULL, 10);
  if (needs_room(r)) return;
  show_history(r, limit == 0 ? NEWEST : limit > CHAT_PAGE_MAX ? CHAT_PAGE_MAX : (uint32_t)limit);
}

static void do_search(room *r, const char *rest) {
  session *s = r->s;
  int status;
  const chat_event *event = session_reply(s, chat_client_search(s->client, session_tag(s), rest, strlen(rest), NULL, 0, FOUND, 0), &status);
  for (size_t i = 0; event && i < event->message_count; i++)
    show_message(&r->options, event->messages[i], names_find(&r->names, event->messages[i]->conversation_id));
  if (status) show_error("search", status);
}

static void do_who(room *r, const char *rest) {
  (void)rest;
  if (needs_room(r)) return;
  members_show(r->s, &r->open);
}

static void do_quit(room *r, const char *rest) {
  (void)rest;
  r->leave = true;
}

static const struct {
  const char *name;
  void (*run)(room *r, const char *rest);
} slash_commands[] = {{"/help", do_help}, {"/list", do_list}, {"/open", do_open}, {"/history", do_history}, {"/search", do_search}, {"/who", do_who}, {"/quit", do_quit}};

static void run_command(room *r, const char *line) {
  size_t len = strcspn(line, " ");
  const char *rest = line + len + strspn(line + len, " ");
  for (size_t i = 0; i < sizeof slash_commands / sizeof *slash_commands; i++) {
    if (strlen(slash_commands[i].name) != len || strncmp(line, slash_commands[i].name, len) != 0) continue;
    slash_commands[i].run(r, rest);
    return;
  }
  puts("! no such command; /help");
}

/* ------------------------------------------------------------------------------------------------ messages */

static void send_line(room *r, const char *text) {
  session *s = r->s;
  int status;
  chat_draft draft = {.size = sizeof draft, .body = text, .body_len = strlen(text)};
  if (needs_room(r)) return;
  uint64_t tag = session_tag(s);
  int error = profile_set_unsent(s->profile, s->slot, true);
  if (!error && r->open.is_known) error = chat_client_send(s->client, tag, r->open.id, &draft);
  else if (!error) error = chat_client_send_direct(s->client, tag, r->open.user, strlen(r->open.user), &draft);
  r->under_way++;
  session_reply(s, error, &status);
  if (status) {
    r->under_way--;
    show_error("send", status);
  } else if (!r->open.is_known) {
    r->open.is_known = true;
    follow(r);
  }
}

static void take_line(room *r, const char *line) {
  session_progress(r->s);
  if (!line[0]) return;
  if (line[0] == '/' && line[1] != '/') run_command(r, line);
  else send_line(r, line + (line[0] == '/'));
}

/* ------------------------------------------------------------------------------------------------ the loop */

static void read_lines(room *r) {
  for (char *line = terminal_read(); line; line = terminal_read_more()) {
    terminal_hide();
    r->in_line = true;
    take_line(r, line);
    r->in_line = false;
    free(line);
    terminal_show();
  }
  r->leave = r->leave || terminal_has_ended();
}

static void chat(room *r) {
  session *s = r->s;
  while (!r->leave && !r->error) {
    session_step_kind kind = session_step(s, STDIN_FILENO, INT64_MAX / 2);
    if (kind == STEP_EVENT) take_event(r, s->event);
    else if (kind == STEP_INPUT) read_lines(r);
    else return;
  }
}

/* What was typed last may still be on its way. */
static void await_rest(room *r) {
  session *s = r->s;
  session_progress(s);
  while (!r->error && r->under_way > 0 && s->state == CHAT_STATE_LIVE && session_step(s, -1, -1) == STEP_EVENT) take_event(r, s->event);
  session_settle(s);
}

static void learn_names(room *r) {
  session *s = r->s;
  int status;
  const chat_event *event = session_reply(s, chat_client_conversations(s->client, session_tag(s), 0, 1000), &status);
  for (size_t i = 0; event && i < event->conversation_count; i++) names_learn(&r->names, event->conversations[i]);
}

static int run(room *r, const char *name) {
  int code = EXIT_DONE;
  learn_names(r);
  r->s->on_event = take_event;
  r->s->on_event_arg = r;
  set_prompt(r);
  if (name) code = open_conversation(r, name);
  else do_list(r, "");
  terminal_start();
  if (!code) chat(r);
  if (!code) await_rest(r);
  terminal_stop();
  if (!code && r->error) code = fail_error("chat", r->error);
  return code;
}

int command_open(const options *o, profile *p, int count, char **operands) {
  session s;
  room r = {.s = &s, .options = *o};
  int code = session_begin(&s, o, p, -1);
  if (code) return code;
  code = run(&r, count > 0 ? operands[0] : NULL);
  session_close(&s);
  names_fini(&r.names);
  return code ? code : show_end();
}
