/* SPDX-License-Identifier: Apache-2.0 */
/* outbox: what waits, or was refused, in the outboxes of all slots that no other command has; discard takes one back. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "exit_code.h"
#include "names.h"
#include "session.h"
#include "show.h"
#include "target.h"

enum { PAGE = 1000 };

typedef struct row_hunt {
  uint8_t client_id[16];
  bool is_wanted;  /* only this one; else all are shown */
  bool is_done;    /* no other slot need be looked at */
  int slot;        /* where it is */
  uint64_t found;
} row_hunt;

/* ------------------------------------------------------------------------------------------------ one slot */

static void show_row(const options *o, const chat_message *m, const char *name) {
  char hex[33];
  hex_of(m->client_id, hex);
  if (!o->json) printf("%s", hex);
  show_message(o, m, name);
}

/* Rows of a conversation's outbox stand behind its history, without a seq. */
static int visit_conversation(session *s, row_hunt *h, const name_row *in) {
  int status;
  const chat_event *event = session_reply(s, chat_client_history(s->client, session_tag(s), in->id, 0, 0, 1, 1), &status);
  if (status) return fail_error("outbox", status);
  for (size_t i = 0; i < event->message_count; i++) {
    const chat_message *m = event->messages[i];
    if (m->seq || (h->is_wanted && memcmp(m->client_id, h->client_id, 16) != 0)) continue;
    h->found++;
    if (!h->is_wanted) show_row(s->options, m, in->name);
  }
  return EXIT_DONE;
}

static int learn(session *s, names *n) {
  int status = 0;
  uint64_t seen = 0;
  for (bool more = true; more;) {
    const chat_event *event = session_reply(s, chat_client_conversations(s->client, session_tag(s), seen, PAGE), &status);
    if (status) return fail_error("outbox", status);
    for (size_t i = 0; i < event->conversation_count; i++) names_learn(n, event->conversations[i]);
    seen += event->conversation_count;
    more = event->more && event->conversation_count > 0;
  }
  return EXIT_DONE;
}

static int visit_rows(session *s, row_hunt *h) {
  names n = {0};
  int code = learn(s, &n);
  for (size_t i = 0; i < n.count && !code; i++) code = visit_conversation(s, h, &n.rows[i]);
  names_fini(&n);
  return code;
}

/* ------------------------------------------------------------------------------------------------ all slots */

typedef int (*slot_work)(session *s, row_hunt *h);

static int one_slot(const options *o, const profile *p, int slot, row_hunt *h, slot_work work) {
  session s;
  char path[PROFILE_PATH_LEN];
  profile_slot_path(p, path, slot, "db");
  if (access(path, F_OK) != 0) return EXIT_DONE;
  int error = session_open(&s, o, p, slot);
  if (error == CHAT_E_BUSY) return fail_text(EXIT_DONE, "slot %d is in use by another command and was left out", slot);
  if (error) return fail_error("outbox", error);
  int code = work(&s, h);
  session_close(&s);
  return code;
}

static int each_slot(const options *o, const profile *p, row_hunt *h, slot_work work) {
  int code = EXIT_DONE;
  for (int slot = 0; slot < SLOT_COUNT && !code && !h->is_done; slot++) code = one_slot(o, p, slot, h, work);
  return code;
}

/* Without a connection: what is looked at does not go out meanwhile. */
static options offline(const options *o) {
  options quiet = *o;
  quiet.offline = true;
  quiet.timeout_s = 1;
  return quiet;
}

int command_outbox(const options *o, profile *p, int count, char **operands) {
  row_hunt h = {0};
  options quiet = offline(o);
  (void)count;
  (void)operands;
  int code = each_slot(&quiet, p, &h, visit_rows);
  return code ? code : show_end();
}

/* ------------------------------------------------------------------------------------------------ discard: first the wish is made durable, offline; then the server is asked */

static int wish(session *s, row_hunt *h) {
  int status;
  session_reply(s, chat_client_discard(s->client, session_tag(s), h->client_id), &status);
  if (status == CHAT_E_NOT_FOUND) return EXIT_DONE;
  if (status) return fail_error("outbox discard", status);
  h->is_done = true;
  h->slot = s->slot;
  return visit_rows(s, h);
}

/* Also of a row that may never have gone out: a database does not remember that for sure. */
static int await_end(session *s, row_hunt *h) {
  for (;;) {
    session_step_kind kind = session_step(s, -1, -1);
    if (kind != STEP_EVENT) return fail_text(EXIT_LATE, "the server has not given it back yet; the next command goes on with that");
    if (s->event->type != CHAT_EVENT_OUTBOX || memcmp(s->event->client_id, h->client_id, 16) != 0) continue;
    const chat_message *m = s->event->messages[0];
    if (m->tick == CHAT_TICK_REFUSED) return EXIT_DONE;
    if (m->seq) return fail_text(EXIT_FAILED, "too late: it was committed before");
  }
}

int command_discard(const options *o, profile *p, int count, char **operands) {
  row_hunt h = {.is_wanted = true};
  options quiet = offline(o);
  (void)count;
  if (!hex_read(operands[0], h.client_id)) return fail_text(EXIT_USAGE, "CLIENT_ID: 32 hexadecimal digits, see chat outbox");
  int code = each_slot(&quiet, p, &h, wish);
  if (code) return code;
  if (!h.is_done) return fail_text(EXIT_FAILED, "no such message waits here");
  if (h.found == 0 || o->offline) return EXIT_DONE;
  profile_set_unsent(p, h.slot, true);
  return one_slot(o, p, h.slot, &h, await_end);
}
