/* SPDX-License-Identifier: Apache-2.0 */
/* listen: what arrives, one line each, until a signal, --count or --timeout. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "exit_code.h"
#include "json.h"
#include "names.h"
#include "session.h"
#include "show.h"
#include "target.h"
#include "text.h"

enum { TARGETS_MAX = 16, PAGE = 1000 };

typedef struct listening {
  session *s;
  names names;
  target targets[TARGETS_MAX];
  int target_count; /* 0: everything */
  uint64_t heard;   /* messages of others */
  int error;
} listening;

static bool is_wanted(const listening *l, const uint8_t id[16]) {
  for (int i = 0; i < l->target_count; i++)
    if (memcmp(l->targets[i].id, id, 16) == 0) return true;
  return l->target_count == 0;
}

/* ------------------------------------------------------------------------------------------------ for people */

static void put_name(const listening *l, const uint8_t id[16]) {
  const char *name = names_find(&l->names, id);
  char hex[33];
  hex_of(id, hex);
  text_write(stdout, chat_bytes_of(name ? name : hex));
}

static void put_receipt(const listening *l, const chat_event *e) {
  fputs("        ✓✓ ", stdout);
  text_write(stdout, e->user);
  fputs(" in [", stdout);
  put_name(l, e->conversation_id);
  printf("]: delivered up to %" PRIu64 ", read up to %" PRIu64 "\n", e->delivered, e->read);
}

static void put_presence(const chat_event *e) {
  fputs("        * ", stdout);
  text_write(stdout, e->user);
  puts(e->online ? " is online" : " is offline");
}

static void put_database(const chat_event *e) {
  fprintf(stderr, "chat: the local database: %s", chat_error_text(e->status));
  if (e->text.len > 0) {
    fputs("; it was set aside as ", stderr);
    text_write(stderr, e->text);
  }
  fputc('\n', stderr);
}

static void put_event(const listening *l, const chat_event *e) {
  switch (e->type) {
    case CHAT_EVENT_MESSAGE:
    case CHAT_EVENT_OUTBOX:
    case CHAT_EVENT_DRAFT: show_message(l->s->options, e->messages[0], names_find(&l->names, e->messages[0]->conversation_id)); return;
    case CHAT_EVENT_RECEIPT: put_receipt(l, e); return;
    case CHAT_EVENT_PRESENCE: put_presence(e); return;
    case CHAT_EVENT_DATABASE: put_database(e); return;
    case CHAT_EVENT_RESYNC: fprintf(stderr, "chat: this was too much at once; what is missing here is in the history\n"); return;
    case CHAT_EVENT_TOKEN: fprintf(stderr, "chat: the token ends soon: chat login again\n"); return;
    default: return;
  }
}

/* ------------------------------------------------------------------------------------------------ events */

static bool concerns(const listening *l, const chat_event *e) {
  switch (e->type) {
    case CHAT_EVENT_MESSAGE:
    case CHAT_EVENT_OUTBOX:
    case CHAT_EVENT_RECEIPT:
    case CHAT_EVENT_CONVERSATION:
    case CHAT_EVENT_TYPING: return is_wanted(l, e->conversation_id);
    case CHAT_EVENT_REPLY: return false;
    default: return true;
  }
}

static void take_event(void *arg, const chat_event *e) {
  listening *l = arg;
  if (e->type == CHAT_EVENT_CONVERSATION) names_learn(&l->names, e->conversations[0]);
  if (e->type == CHAT_EVENT_STATE && e->state == CHAT_STATE_SHUT_OUT) l->error = e->status ? e->status : CHAT_E_AUTH;
  if (e->type == CHAT_EVENT_STATE && e->state == CHAT_STATE_OFFLINE && e->status) l->error = e->status;
  if (!concerns(l, e)) return;
  if (e->type == CHAT_EVENT_MESSAGE && !e->messages[0]->own && e->messages[0]->type == CHAT_TYPE_MESSAGE) l->heard++;
  if (l->s->options->json) json_print(json_event(e));
  else put_event(l, e);
  if (show_end()) l->s->stopped = true; /* nobody reads any more */
}

/* ------------------------------------------------------------------------------------------------ the command */

static int learn_names(listening *l) {
  session *s = l->s;
  int status = 0;
  uint64_t seen = 0;
  for (bool more = true; more && !status;) {
    const chat_event *event = session_reply(s, chat_client_conversations(s->client, session_tag(s), seen, PAGE), &status);
    if (status) break;
    for (size_t i = 0; i < event->conversation_count; i++) names_learn(&l->names, event->conversations[i]);
    seen += event->conversation_count;
    more = event->more && event->conversation_count > 0;
  }
  return status ? fail_error("conversations", status) : EXIT_DONE;
}

static int find_targets(listening *l, int count, char **operands) {
  int code = EXIT_DONE;
  for (int i = 0; i < count && !code; i++) code = target_find(l->s, operands[i], false, &l->targets[i]);
  l->target_count = count;
  return code;
}

/* Only what is open tells who is online; a user who was never written to cannot be opened yet. */
static int open_targets(listening *l) {
  session *s = l->s;
  int status = 0;
  for (int i = 0; i < l->target_count && !status; i++)
    if (l->targets[i].is_known) session_reply(s, chat_client_open(s->client, session_tag(s), l->targets[i].id), &status);
  return status ? fail_error("open", status) : EXIT_DONE;
}

static int listen_on(listening *l) {
  session *s = l->s;
  const options *o = s->options;
  int64_t until_ms = o->timeout_s ? clock_ms() + s->patience_ms : INT64_MAX / 2;
  session_step_kind kind = STEP_EVENT;
  while (!l->error && kind == STEP_EVENT && (o->count == 0 || l->heard < o->count)) {
    kind = session_step(s, -1, until_ms);
    if (kind == STEP_EVENT) take_event(l, s->event);
  }
  if (l->error) return fail_error("listen", l->error);
  if (kind == STEP_LATE && o->count) return fail_text(EXIT_LATE, "%" PRIu64 " of %" PRIu64 " messages came in this time", l->heard, o->count);
  return show_end();
}

/* From the first line on nothing is left out; what came before is in the history. That the token ends soon may have been said before. */
static void say_listening(listening *l) {
  session *s = l->s;
  if (!s->options->json && isatty(STDERR_FILENO)) fputs("chat: listening; ^C ends it\n", stderr);
  take_event(l, &(chat_event){.type = CHAT_EVENT_STATE, .state = CHAT_STATE_LIVE});
  if (s->token_until_ms) take_event(l, &(chat_event){.type = CHAT_EVENT_TOKEN, .until_ms = s->token_until_ms});
}

static int run(listening *l, int count, char **operands) {
  session *s = l->s;
  int code = find_targets(l, count, operands);
  if (!code) code = learn_names(l);
  if (code) return code;
  s->on_event = take_event;
  s->on_event_arg = l;
  say_listening(l);
  code = open_targets(l);
  if (!code) code = listen_on(l);
  if (!code) session_settle(s);
  return code;
}

int command_listen(const options *o, profile *p, int count, char **operands) {
  session s;
  listening l = {.s = &s};
  int code = session_begin(&s, o, p, -1);
  if (code) return code;
  code = run(&l, count, operands);
  session_close(&s);
  names_fini(&l.names);
  return code;
}
