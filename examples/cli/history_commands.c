/* SPDX-License-Identifier: Apache-2.0 */
/* history, search, conversations, read, verify. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "exit_code.h"
#include "json.h"
#include "members.h"
#include "names.h"
#include "session.h"
#include "show.h"
#include "target.h"

enum { LIMIT_DEFAULT = 20, CONVERSATIONS_PAGE = 1000 };

/* One command of one conversation. */
typedef int (*conversation_work)(session *s, const target *t, int count, char **operands);

static int with_conversation(const options *o, profile *p, int count, char **operands, conversation_work work) {
  session s;
  target t;
  int code = session_begin(&s, o, p, -1);
  if (code) return code;
  code = target_find(&s, operands[0], true, &t);
  if (!code) code = work(&s, &t, count - 1, operands + 1);
  session_close(&s);
  show_progress_end();
  return code ? code : show_end();
}

/* ------------------------------------------------------------------------------------------------ history */

static void show_page(const session *s, const chat_event *event, size_t count) {
  for (size_t i = 0; i < count; i++) show_message(s->options, event->messages[i], NULL);
}

static uint32_t page_of(uint64_t left) {
  return left < CHAT_PAGE_MAX ? (uint32_t)left : CHAT_PAGE_MAX;
}

/* What is missing here and cannot be had now is an error, but what is here is shown. */
static const chat_event *ask_page(session *s, const target *t, uint64_t before, uint64_t after, uint32_t limit, int *status) {
  const options *o = s->options;
  const chat_event *event = session_reply(s, chat_client_history(s->client, session_tag(s), t->id, before, after, limit, o->offline), status);
  session_progress(s);
  return event;
}

/* Messages with a place of their own in [0, count); the outbox follows. */
static size_t committed_count(const chat_event *event) {
  size_t count = event->message_count;
  while (count > 0 && event->messages[count - 1]->seq == 0) count--;
  return count;
}

/* Forwards from `after`, page by page. From the very start the first page is that before the one that follows it: 0 would mean the newest. */
static const chat_event *ask_next(session *s, const target *t, uint64_t after, uint32_t limit, int *status) {
  return after > 0 ? ask_page(s, t, 0, after, limit, status) : ask_page(s, t, (uint64_t)limit + 1, 0, limit, status);
}

static int show_forwards(session *s, const target *t, uint64_t after, uint64_t left) {
  int status;
  while (left > 0) {
    const chat_event *event = ask_next(s, t, after, page_of(left), &status);
    size_t count = event ? committed_count(event) : 0;
    if (event) show_page(s, event, count);
    if (status) return fail_error("history", status);
    left -= count;
    if (count == 0 || (after > 0 && !event->more)) return EXIT_DONE;
    after = event->messages[count - 1]->seq;
    if (s->options->all) show_progress("%" PRIu64 " of %" PRIu64, after, t->head);
  }
  return EXIT_DONE;
}

/* Where the `left` newest ones before `before` begin: pages backwards, of which only the first seq is kept. They come back out of the cache. */
static int find_start(session *s, const target *t, uint64_t before, uint64_t left, uint64_t *first) {
  int status;
  *first = before;
  while (left > 0) {
    const chat_event *event = ask_page(s, t, *first, 0, page_of(left), &status);
    size_t count = event ? committed_count(event) : 0;
    if (!event || (status && status != CHAT_E_OFFLINE)) return fail_error("history", status);
    if (count == 0) return EXIT_DONE;
    left -= count < left ? count : left;
    *first = event->messages[0]->seq;
    if (!event->more) return EXIT_DONE;
    show_progress("back to %" PRIu64, *first);
  }
  return EXIT_DONE;
}

/* The rest of the page that ends the history: what the outbox holds has no seq, and stands only there. */
static int show_outbox(session *s, const target *t) {
  int status;
  const chat_event *event = session_reply(s, chat_client_history(s->client, session_tag(s), t->id, 0, 0, 1, 1), &status);
  if (!event || status) return fail_error("history", status);
  for (size_t i = committed_count(event); i < event->message_count; i++) show_message(s->options, event->messages[i], NULL);
  return EXIT_DONE;
}

static int show_one_page(session *s, const target *t, uint64_t before, uint64_t limit) {
  int status;
  const chat_event *event = ask_page(s, t, before, 0, (uint32_t)limit, &status);
  if (event) show_page(s, event, event->message_count);
  return status ? fail_error("history", status) : EXIT_DONE;
}

static int show_many(session *s, const target *t, uint64_t before, uint64_t limit) {
  uint64_t first;
  int code = find_start(s, t, before, limit, &first);
  if (!code && first > 0) code = show_forwards(s, t, first > 1 ? first - 1 : 0, limit);
  if (!code && before == 0) code = show_outbox(s, t);
  return code;
}

static int show_history(session *s, const target *t, int count, char **operands) {
  const options *o = s->options;
  uint64_t limit = o->all ? UINT64_MAX : o->limit ? o->limit : LIMIT_DEFAULT;
  (void)count;
  (void)operands;
  members_refresh(s, t);
  if (o->after) return show_forwards(s, t, o->after, limit);
  return limit <= CHAT_PAGE_MAX ? show_one_page(s, t, o->before, limit) : show_many(s, t, o->before, limit);
}

int command_history(const options *o, profile *p, int count, char **operands) {
  if (o->before && o->after) return fail_text(EXIT_USAGE, "--before or --after, not both");
  return with_conversation(o, p, count, operands, show_history);
}

/* ------------------------------------------------------------------------------------------------ conversations */

/* One page at a time, most recently active first; `each` until `left` of them were given. */
static int each_conversation(session *s, uint64_t left, void (*each)(void *arg, const chat_conversation *c), void *arg) {
  int status;
  uint64_t seen = 0;
  for (bool more = true; more && left > 0;) {
    uint32_t limit = left < CONVERSATIONS_PAGE ? (uint32_t)left : CONVERSATIONS_PAGE;
    const chat_event *event = session_reply(s, chat_client_conversations(s->client, session_tag(s), seen, limit), &status);
    if (status) return fail_error("conversations", status);
    for (size_t i = 0; i < event->conversation_count; i++) each(arg, event->conversations[i]);
    seen += event->conversation_count;
    left -= event->conversation_count;
    more = event->more && event->conversation_count > 0;
  }
  return EXIT_DONE;
}

static void show_one(void *arg, const chat_conversation *c) {
  show_conversation(arg, c);
}

int command_conversations(const options *o, profile *p, int count, char **operands) {
  session s;
  (void)count;
  (void)operands;
  int code = session_begin(&s, o, p, -1);
  if (code) return code;
  code = each_conversation(&s, o->limit ? o->limit : UINT64_MAX, show_one, (void *)(uintptr_t)o);
  session_close(&s);
  return code ? code : show_end();
}

/* ------------------------------------------------------------------------------------------------ search */

static void learn_one(void *arg, const chat_conversation *c) {
  names_learn(arg, c);
}

/* Newest first, page by page by message id. */
static int show_hits(session *s, const names *n, const char *words, const uint8_t *in, uint64_t left) {
  const options *o = s->options;
  uint64_t before = 0;
  int status;
  for (bool more = true; more && left > 0;) {
    const chat_event *event = session_reply(s, chat_client_search(s->client, session_tag(s), words, strlen(words), in, before, page_of(left), o->server), &status);
    if (status) return fail_error("search", status);
    for (size_t i = 0; i < event->message_count; i++) show_message(o, event->messages[i], names_find(n, event->messages[i]->conversation_id));
    left -= event->message_count;
    more = event->more && event->message_count > 0;
    if (more) before = event->messages[event->message_count - 1]->message_id;
  }
  return EXIT_DONE;
}

static int search(session *s, names *n, const char *words) {
  const options *o = s->options;
  target in;
  int code = each_conversation(s, UINT64_MAX, learn_one, n);
  if (!code && o->in) code = target_find(s, o->in, true, &in);
  return code ? code : show_hits(s, n, words, o->in ? in.id : NULL, o->limit ? o->limit : LIMIT_DEFAULT);
}

int command_search(const options *o, profile *p, int count, char **operands) {
  session s;
  names n = {0};
  (void)count;
  if (!operands[0][0]) return fail_text(EXIT_USAGE, "search for what?");
  int code = session_begin(&s, o, p, -1);
  if (code) return code;
  code = search(&s, &n, operands[0]);
  session_close(&s);
  names_fini(&n);
  return code ? code : show_end();
}

/* ------------------------------------------------------------------------------------------------ read */

static int mark_read(session *s, const target *t, int count, char **operands) {
  uint64_t seq = t->head;
  char *end = NULL;
  int status;
  if (count > 0) seq = strtoull(operands[0], &end, 10);
  if (end && (*end || operands[0][0] < '0' || operands[0][0] > '9')) return fail_text(EXIT_USAGE, "SEQ is a number");
  session_reply(s, chat_client_mark_read(s->client, session_tag(s), t->id, seq), &status);
  if (status) return fail_error("read", status);
  session_settle(s);
  return EXIT_DONE;
}

int command_read(const options *o, profile *p, int count, char **operands) {
  return with_conversation(o, p, count, operands, mark_read);
}

/* ------------------------------------------------------------------------------------------------ verify */

static void show_verified(void *arg, const chat_event *event) {
  if (event->type != CHAT_EVENT_PROGRESS) return;
  session_progress(arg);
  show_progress("%" PRIu64 " of %" PRIu64, event->seq, event->head);
}

static int verify(session *s, const target *t, int count, char **operands) {
  int status;
  (void)count;
  (void)operands;
  s->on_event = show_verified;
  s->on_event_arg = s;
  const chat_event *event = session_reply(s, chat_client_verify(s->client, session_tag(s), t->id), &status);
  s->on_event = NULL;
  show_progress_end();
  if (status) return fail_error("verify", status);
  if (s->options->json) {
    json_t *to = json_object_named("verified");
    json_put_id(to, "conversation", t->id);
    json_put_u64(to, "compared", event->seq);
    json_put_u64(to, "repaired", event->head);
    json_print(to);
  } else {
    printf("%" PRIu64 " compared, %" PRIu64 " repaired\n", event->seq, event->head);
  }
  return EXIT_DONE;
}

int command_verify(const options *o, profile *p, int count, char **operands) {
  return with_conversation(o, p, count, operands, verify);
}
