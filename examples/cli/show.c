/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "exit_code.h"
#include "json.h"
#include "target.h"
#include "text.h"

static void put(chat_bytes text) {
  text_write(stdout, text);
}

static void put_id(const uint8_t id[16]) {
  char hex[33];
  hex_of(id, hex);
  fputs(hex, stdout);
}

/* ------------------------------------------------------------------------------------------------ colours */

bool show_has_colour(void) {
  return isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
}

static void colour(const char *code) {
  if (show_has_colour()) printf("\x1b[%sm", code);
}

static void put_tick(const chat_message *m) {
  static const char *const codes[] = {"2", "2", "2", "36", "31"}; /* grey until it is read: then cyan; red: refused */
  if (!m->own || m->tick > CHAT_TICK_REFUSED) return;
  fputs("  ", stdout);
  colour(codes[m->tick]);
  fputs(text_tick(m->tick), stdout);
  if (m->tick == CHAT_TICK_REFUSED) printf(": %s", chat_error_text(m->status));
  colour("0");
}

/* ------------------------------------------------------------------------------------------------ messages */

static void put_users(const chat_message *m) {
  for (size_t i = 0; i < m->user_count; i++) {
    if (i > 0) fputs(", ", stdout);
    put(*m->users[i]);
  }
}

static void put_create(const chat_message *m) {
  fputs("created \"", stdout);
  put(m->title);
  fputs(m->user_count ? "\" with " : "\"", stdout);
  put_users(m);
}

static void put_title(const chat_message *m) {
  fputs("renamed it \"", stdout);
  put(m->title);
  putchar('"');
}

static void put_with_users(const chat_message *m, const char *what) {
  fputs(what, stdout);
  put_users(m);
}

static void put_change(const chat_message *m) {
  switch (m->type) {
    case CHAT_TYPE_CREATE: put_create(m); return;
    case CHAT_TYPE_MEMBERS_ADD: put_with_users(m, m->role == CHAT_ROLE_ADMIN ? "added as admin: " : "added "); return;
    case CHAT_TYPE_MEMBER_REMOVE: put_with_users(m, "removed "); return;
    case CHAT_TYPE_LEAVE: fputs("left", stdout); return;
    case CHAT_TYPE_ROLE: put_with_users(m, m->role == CHAT_ROLE_ADMIN ? "made an admin of " : "made a member of "); return;
    case CHAT_TYPE_OWNER: put_with_users(m, "handed over to "); return;
    case CHAT_TYPE_TITLE: put_title(m); return;
    case CHAT_TYPE_SETTINGS: fputs(m->history_from_start ? "lets new members read from the start" : "lets new members read from joining", stdout); return;
    case CHAT_TYPE_TO_CHANNEL: fputs("made it a channel", stdout); return;
    case CHAT_TYPE_DEVICE_RETIRED: fputs("retired a device", stdout); return;
    default: printf("unsupported (type %" PRIu32 ")", m->type);
  }
}

static void put_body(const chat_message *m) {
  if (m->kind.len > 0) {
    putchar('(');
    put(m->kind);
    fputs(") ", stdout);
  }
  put(m->body);
}

static void put_message(const chat_message *m, const char *name) {
  bool is_said = m->type == CHAT_TYPE_MESSAGE;
  if (m->gap_before) printf("       … %" PRIu64 " are not on this machine\n", m->gap_before);
  if (m->seq) printf("%6" PRIu64 "  ", m->seq);
  else fputs("     -  ", stdout);
  text_time(stdout, m->created_ms);
  if (name) {
    fputs("  [", stdout);
    put(chat_bytes_of(name));
    putchar(']');
  }
  fputs(is_said ? "  <" : "  * ", stdout);
  colour(m->own ? "1" : "1;34");
  put(m->sender);
  colour("0");
  fputs(is_said ? "> " : " ", stdout);
  if (is_said) put_body(m);
  else put_change(m);
  put_tick(m);
  putchar('\n');
}

void show_message(const options *o, const chat_message *m, const char *name) {
  if (o->json) json_print(json_message(m));
  else put_message(m, name);
}

/* ------------------------------------------------------------------------------------------------ lists */

static void put_conversation(const chat_conversation *c) {
  put_id(c->conversation_id);
  printf("  %-7s  %6" PRIu64 " unread  ", text_kind(c->kind), c->unread);
  if (c->active_ms) text_time(stdout, c->active_ms);
  fputs("  ", stdout);
  put(c->kind == CHAT_DIRECT ? c->peer : c->title);
  if (c->kind != CHAT_DIRECT) printf("  (%s)", c->role == CHAT_ROLE_NONE ? "left" : text_role(c->role));
  if (c->pending) printf("  %" PRIu64 " to send", c->pending);
  putchar('\n');
}

void show_conversation(const options *o, const chat_conversation *c) {
  if (o->json) json_print(json_conversation(c));
  else put_conversation(c);
}

static void put_member(const chat_member_info *m) {
  printf("%-7s  %-7s  delivered %" PRIu64 ", read %" PRIu64 "  ", m->online ? "online" : "offline", text_role(m->role), m->delivered, m->read);
  put(m->user);
  if (!m->online && m->seen_ms) {
    fputs("  last seen ", stdout);
    text_time(stdout, m->seen_ms);
  }
  putchar('\n');
}

void show_member(const options *o, const chat_member_info *m) {
  if (o->json) json_print(json_member(m));
  else put_member(m);
}

static void put_device(const chat_device_info *d) {
  put_id(d->device_id);
  fputs("  seen ", stdout);
  text_time(stdout, d->seen_ms);
  fputs("  ", stdout);
  put(d->name);
  puts(d->revoked ? "  (revoked)" : d->current ? "  (this one)" : "");
}

void show_device(const options *o, const chat_device_info *d) {
  if (o->json) json_print(json_device(d));
  else put_device(d);
}

int show_end(void) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return EXIT_DONE;
  if (errno != EPIPE) perror("chat: standard output"); /* head has seen enough */
  return EXIT_FAILED;
}

/* ------------------------------------------------------------------------------------------------ progress */

void show_progress(const char *format, ...) {
  va_list args;
  if (!isatty(STDERR_FILENO)) return;
  fputs("\r\x1b[K", stderr);
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fflush(stderr);
}

void show_progress_end(void) {
  if (isatty(STDERR_FILENO)) fputs("\r\x1b[K", stderr);
}
