/* SPDX-License-Identifier: Apache-2.0 */
/*
 * send: messages go into the outbox, at most WINDOW of them without their end, and the command ends when each has come as far as --wait asks.
 *
 * A message that has not is not lost: it stays in the outbox of its slot, which is marked, and goes out with the next command.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "exit_code.h"
#include "input_id.h"
#include "json.h"
#include "line_reader.h"
#include "session.h"
#include "show.h"
#include "target.h"
#include "text.h"

enum { WINDOW = 256, LOOK_MS = 500, PROGRESS_EVERY_MS = 200 };

/* How far a message has come; --wait names one. With --offline it is enough that it is in the outbox. */
typedef enum stage { STAGE_QUEUED, STAGE_SENT, STAGE_COMMITTED, STAGE_DELIVERED, STAGE_READ } stage;

static const char *const stage_names[] = {"queued", "sent", "committed", "delivered", "read"};

typedef struct outgoing {
  char *text; /* NULL: the place is free */
  size_t len;
  uint64_t line, tag;
  stage stage;
  bool has_client_id, is_asked; /* asked: the reply is still to come */
  uint8_t client_id[16];
} outgoing;

typedef struct sending {
  session *s;
  target to;
  stage wanted;
  input_id *id; /* NULL: none */
  outgoing rows[WINDOW];
  int count;
  uint64_t sent, refused, last_seq;
  int error; /* the first that was not a refusal; ends the command */
  int64_t shown_ms;
} sending;

/* ------------------------------------------------------------------------------------------------ rows */

static outgoing *find_tag(sending *g, uint64_t tag) {
  for (int i = 0; i < WINDOW; i++)
    if (g->rows[i].text && g->rows[i].is_asked && g->rows[i].tag == tag) return &g->rows[i];
  return NULL;
}

static outgoing *find_client_id(sending *g, const uint8_t client_id[16]) {
  for (int i = 0; i < WINDOW; i++)
    if (g->rows[i].text && g->rows[i].has_client_id && memcmp(g->rows[i].client_id, client_id, 16) == 0) return &g->rows[i];
  return NULL;
}

static void drop_row(sending *g, outgoing *row) {
  free(row->text);
  *row = (outgoing){0};
  g->count--;
}

/* --json: how each message ended. */
static void tell_end(const sending *g, const outgoing *row, const char *stage_name, uint64_t seq, int status) {
  if (!g->s->options->json) return;
  json_t *to = json_object_named("sent");
  json_put_u64(to, "line", row->line);
  json_put_id(to, "conversation", g->to.id);
  if (row->has_client_id) json_put_id(to, "client_id", row->client_id);
  if (seq) json_put_u64(to, "seq", seq);
  json_object_set_new(to, "stage", json_string(stage_name));
  if (status) json_object_set_new(to, "error", json_string(chat_error_name(status)));
  json_print(to);
  fflush(stdout); /* whoever reads it wants to know what is certain */
}

static void refuse(sending *g, outgoing *row, int status) {
  fprintf(stderr, "chat: line %" PRIu64 ": %s (%s)\n", row->line, chat_error_text(status), chat_error_name(status));
  tell_end(g, row, "refused", 0, status);
  g->refused++;
  drop_row(g, row);
}

/* Delivered and read are looked for when all have their place: then the last one's ticks are those of all. */
static void reach(sending *g, outgoing *row, stage now, uint64_t seq) {
  stage enough = g->wanted < STAGE_COMMITTED ? g->wanted : STAGE_COMMITTED;
  session_progress(g->s);
  if (seq > g->last_seq) g->last_seq = seq;
  if (now > row->stage) row->stage = now;
  if (row->stage < enough) return;
  g->sent++;
  tell_end(g, row, stage_names[row->stage], seq, 0);
  drop_row(g, row);
}

/* ------------------------------------------------------------------------------------------------ asking */

static int ask(sending *g, outgoing *row) {
  session *s = g->s;
  const char *kind = s->options->kind;
  chat_draft draft = {.size = sizeof draft, .body = row->text, .body_len = row->len, .kind = kind, .kind_len = kind ? strlen(kind) : 0,
                      .client_id = row->has_client_id ? row->client_id : NULL};
  row->tag = session_tag(s);
  int error = g->to.is_known ? chat_client_send(s->client, row->tag, g->to.id, &draft)
                             : chat_client_send_direct(s->client, row->tag, g->to.user, strlen(g->to.user), &draft);
  row->is_asked = error == 0;
  return error;
}

static int add(sending *g, const char *text, size_t len, uint64_t line) {
  outgoing *row = g->rows;
  while (row->text) row++;
  *row = (outgoing){.text = malloc(len + 1), .len = len, .line = line, .has_client_id = g->id != NULL};
  if (!row->text) return CHAT_E_NOMEM;
  memcpy(row->text, text, len);
  if (g->id) input_id_of_line(g->id, line, row->client_id);
  g->count++;
  return ask(g, row);
}

/* Events were dropped. The same id with the same content is the same message: asking again says where it stands. */
static void ask_again(sending *g) {
  for (int i = 0; i < WINDOW && !g->error; i++)
    if (g->rows[i].text && !g->rows[i].is_asked) g->error = ask(g, &g->rows[i]);
}

/* ------------------------------------------------------------------------------------------------ what comes */

static void take_reply(sending *g, const chat_event *event) {
  outgoing *row = find_tag(g, event->tag);
  if (!row) return;
  row->is_asked = false;
  row->has_client_id = true;
  memcpy(row->client_id, event->client_id, 16);
  if (event->status) refuse(g, row, event->status);
  else reach(g, row, event->seq ? STAGE_COMMITTED : STAGE_QUEUED, event->seq);
}

static void take_outbox(sending *g, const chat_event *event) {
  const chat_message *m = event->messages[0];
  outgoing *row = find_client_id(g, m->client_id);
  if (!row) return;
  if (m->tick == CHAT_TICK_REFUSED) refuse(g, row, m->status);
  else if (m->tick >= CHAT_TICK_SENT) reach(g, row, m->seq ? STAGE_COMMITTED : STAGE_SENT, m->seq);
}

static void take_event(void *arg, const chat_event *event) {
  sending *g = arg;
  switch (event->type) {
    case CHAT_EVENT_REPLY: take_reply(g, event); return;
    case CHAT_EVENT_OUTBOX: take_outbox(g, event); return;
    case CHAT_EVENT_RESYNC: ask_again(g); return;
    case CHAT_EVENT_STATE:
      if (event->state == CHAT_STATE_SHUT_OUT) g->error = event->status ? event->status : CHAT_E_AUTH;
      if (event->state == CHAT_STATE_OFFLINE && event->status) g->error = event->status;
      return;
    default: return;
  }
}

static void tell_progress(sending *g) {
  if (clock_ms() < g->shown_ms + PROGRESS_EVERY_MS) return;
  g->shown_ms = clock_ms();
  show_progress("%" PRIu64 " sent, %d on their way", g->sent, g->count);
}

/* One step; the time being up is an error of the whole. */
static session_step_kind step(sending *g, int input) {
  session_step_kind kind = session_step(g->s, input, input < 0 || g->count > 0 ? -1 : INT64_MAX / 2);
  if (kind == STEP_EVENT) take_event(g, g->s->event);
  if (kind == STEP_STOP) g->error = CHAT_E_CANCELED;
  if (kind == STEP_LATE) g->error = g->s->state == CHAT_STATE_LIVE ? CHAT_E_TIMEOUT : CHAT_E_OFFLINE;
  tell_progress(g);
  return kind;
}

/* ------------------------------------------------------------------------------------------------ lines */

static void too_long(sending *g, uint64_t line) {
  fprintf(stderr, "chat: line %" PRIu64 " is longer than %d bytes\n", line, CHAT_BODY_MAX);
  g->refused++;
}

/* Lines that are here go out while there is room. LINE_HERE: the window is full. Empty lines are no messages. */
static line_kind send_lines(sending *g, line_reader *r) {
  const char *text;
  size_t len;
  line_kind kind = LINE_HERE;
  while (g->count < WINDOW && !g->error) {
    kind = line_reader_next(r, &text, &len);
    if (kind == LINE_NONE || kind == LINE_END) return kind;
    if (kind == LINE_TOO_LONG) too_long(g, r->number);
    else if (g->id && r->number > UINT32_MAX) g->error = CHAT_E_LIMIT;
    else if (len > 0) g->error = add(g, text, len, r->number);
  }
  return LINE_HERE;
}

static void send_input(sending *g, line_reader *r) {
  for (line_kind kind = LINE_HERE; !g->error && kind != LINE_END;) {
    kind = send_lines(g, r);
    if (g->error || kind == LINE_END) return;
    session_step_kind what = step(g, kind == LINE_NONE ? STDIN_FILENO : -1);
    if (what == STEP_INPUT) {
      line_reader_fill(r, STDIN_FILENO);
      session_progress(g->s);
    }
  }
}

static int send_stdin(sending *g) {
  line_reader *r = calloc(1, sizeof *r);
  if (!r) return CHAT_E_NOMEM;
  r->whole = g->s->options->whole;
  send_input(g, r);
  free(r);
  return g->error;
}

/* ------------------------------------------------------------------------------------------------ ticks */

static uint32_t tick_of_last(sending *g, int *status) {
  session *s = g->s;
  const chat_event *event = session_reply(s, chat_client_history(s->client, session_tag(s), g->to.id, g->last_seq + 1, 0, 1, 1), status);
  return event && event->message_count ? event->messages[0]->tick : CHAT_TICK_SENT;
}

static void await_tick(sending *g) {
  session *s = g->s;
  uint32_t wanted = g->wanted == STAGE_READ ? CHAT_TICK_READ : CHAT_TICK_DELIVERED;
  session_reply(s, chat_client_open(s->client, session_tag(s), g->to.id), &g->error);
  session_progress(s);
  while (!g->error && tick_of_last(g, &g->error) < wanted) {
    /* A receipt of this conversation, or a look now and then: events may be dropped. */
    int64_t look_ms = clock_ms() + LOOK_MS;
    session_step_kind kind;
    do kind = session_step(s, -1, look_ms < s->deadline_ms ? look_ms : s->deadline_ms);
    while (kind == STEP_EVENT && s->event->type != CHAT_EVENT_RECEIPT);
    if (kind == STEP_STOP) g->error = CHAT_E_CANCELED;
    else if (clock_ms() >= s->deadline_ms) g->error = CHAT_E_TIMEOUT;
    show_progress("%" PRIu64 " sent, waiting until %s", g->sent, stage_names[g->wanted]);
  }
}

/* ------------------------------------------------------------------------------------------------ the command */

static int find_stage(const char *name, stage *out) {
  *out = STAGE_SENT;
  if (!name) return EXIT_DONE;
  for (int i = STAGE_SENT; i <= STAGE_READ; i++) {
    *out = (stage)i;
    if (strcmp(stage_names[i], name) == 0) return EXIT_DONE;
  }
  return fail_text(EXIT_USAGE, "--wait: sent, committed, delivered or read");
}

static const char *tick_of_stage(stage wanted) {
  static const uint32_t ticks[] = {CHAT_TICK_PENDING, CHAT_TICK_SENT, CHAT_TICK_SENT, CHAT_TICK_DELIVERED, CHAT_TICK_READ};
  return text_tick(ticks[wanted]);
}

/* What was not achieved may still be: say so. */
static void tell_rest(const sending *g) {
  if (g->error != CHAT_E_OFFLINE && g->error != CHAT_E_TIMEOUT && g->error != CHAT_E_CANCELED) return;
  if (g->count > 0) fprintf(stderr, "chat: %d on their way: they stay in the outbox and go out with the next command\n", g->count);
  else if (g->error == CHAT_E_TIMEOUT) fprintf(stderr, "chat: sent, but not %s in this time\n", stage_names[g->wanted]);
}

static int finish(sending *g) {
  show_progress_end();
  tell_rest(g);
  if (g->error == CHAT_E_CANCELED) return EXIT_FAILED;
  if (g->error) return fail_error("send", g->error);
  if (!g->s->options->json && isatty(STDOUT_FILENO)) printf("%s %" PRIu64 "\n", tick_of_stage(g->wanted), g->sent);
  return g->refused ? EXIT_FAILED : show_end();
}

static int send_all(sending *g, const char *text) {
  bool is_input = strcmp(text, "-") == 0;
  size_t len = strlen(text);
  if (!is_input && len > CHAT_BODY_MAX) return fail_text(EXIT_FAILED, "longer than %d bytes", CHAT_BODY_MAX);
  g->error = profile_set_unsent(g->s->profile, g->s->slot, true);
  if (!g->error) g->error = is_input ? send_stdin(g) : add(g, text, len, 1);
  while (!g->error && g->count > 0) step(g, -1);
  if (!g->error && g->wanted > STAGE_COMMITTED && g->last_seq) await_tick(g);
  return finish(g);
}

static int use_id(sending *g) {
  if (!g->id) return EXIT_DONE;
  if (!g->id->is_known) return input_id_save(g->id, g->s->profile, g->s->slot, g->to.id);
  if (memcmp(g->id->conversation, g->to.id, 16) == 0) return EXIT_DONE;
  return fail_text(EXIT_USAGE, "--id %s was used for another conversation", g->id->name);
}

static int send_in(session *s, input_id *id, stage wanted, char **operands) {
  sending *g = calloc(1, sizeof *g);
  if (!g) return fail_error("send", CHAT_E_NOMEM);
  g->s = s;
  g->id = id;
  g->wanted = wanted;
  s->on_event = take_event;
  s->on_event_arg = g;
  int code = target_find(s, operands[0], false, &g->to);
  if (!code) code = use_id(g);
  if (!code) code = send_all(g, operands[1]);
  s->on_event = NULL;
  for (int i = 0; i < WINDOW; i++) free(g->rows[i].text);
  free(g);
  return code;
}

int command_send(const options *o, profile *p, int count, char **operands) {
  session s;
  stage wanted;
  input_id id = {.slot = -1};
  (void)count;
  int code = find_stage(o->wait, &wanted);
  if (!code && o->id) code = input_id_find(&id, p, o->id);
  if (!code) code = session_begin(&s, o, p, id.is_known ? id.slot : -1);
  if (code) return code;
  if (o->offline) wanted = STAGE_QUEUED;
  code = send_in(&s, o->id ? &id : NULL, wanted, operands);
  session_close(&s);
  return code;
}
