/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TAG_HISTORY = 100, TAG_SEARCH, TAG_MEMBERS, TAG_OPEN, AWAIT_MS = 30000, EXCERPT = 8 };

/* ------------------------------------------------------------------------------------------------ await */

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void work(chat_client *client, int64_t at_most_ms) {
  int64_t ms = chat_client_next_deadline_ms(client);
  if (ms < 0 || ms > at_most_ms) ms = at_most_ms;
  struct pollfd fd = {chat_client_io_fd(client), POLLIN, 0};
  poll(&fd, 1, (int)ms);
  chat_client_process(client);
}

/* The reply of a request; other events are passed over. NULL: it did not come in time. */
static const chat_event *await_reply(chat_client *client, uint64_t tag) {
  int64_t until_ms = now_ms() + AWAIT_MS;
  while (now_ms() < until_ms) {
    const chat_event *event;
    while ((event = chat_client_wait(client, 0)))
      if (event->type == CHAT_EVENT_REPLY && event->tag == tag) return event;
    work(client, 1000);
  }
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ the whole history, newest page first */

typedef struct said {
  uint64_t seq;
  char *sender, *body;
  size_t sender_len, body_len;
} said;

typedef struct history {
  said *items; /* newest first */
  size_t count, size;
} history;

static char *copy(chat_bytes bytes) {
  char *copied = malloc(bytes.len + 1);
  if (copied && bytes.len) memcpy(copied, bytes.data, bytes.len);
  return copied;
}

static bool keep(history *h, const chat_message *message) {
  if (h->count == h->size) {
    size_t size = h->size ? h->size * 2 : 1024;
    said *items = realloc(h->items, size * sizeof *items);
    if (!items) return false;
    h->items = items;
    h->size = size;
  }
  said s = {message->seq, copy(message->sender), copy(message->body), message->sender.len, message->body.len};
  h->items[h->count++] = s;
  return s.sender && s.body;
}

static void history_free(history *h) {
  for (size_t i = 0; i < h->count; i++) {
    free(h->items[i].sender);
    free(h->items[i].body);
  }
  free(h->items);
}

/* One page before `before`; 0 in *before: that was the last. */
static int read_page(chat_client *client, const uint8_t conversation[16], history *h, uint64_t *before) {
  int error = chat_client_history(client, TAG_HISTORY, conversation, *before, 0, CHAT_PAGE_MAX, 1);
  if (error) return error;
  const chat_event *event = await_reply(client, TAG_HISTORY);
  if (!event) return CHAT_E_TIMEOUT;
  if (event->status) return event->status;
  *before = event->message_count && event->more ? event->messages[0]->seq : 0;
  for (size_t i = event->message_count; i-- > 0;) {
    const chat_message *message = event->messages[i];
    if (message->gap_before) return CHAT_E_NOT_FOUND;
    if (message->type == CHAT_TYPE_MESSAGE && message->seq && !keep(h, message)) return CHAT_E_NOMEM;
  }
  return 0;
}

static int read_all(chat_client *client, const uint8_t conversation[16], history *h) {
  uint64_t before = 0;
  do {
    int error = read_page(client, conversation, h, &before);
    if (error) return error;
  } while (before > 1);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ compare */

static bool equal(const char *a, size_t a_len, text b) {
  return a_len == b.len && memcmp(a, b.data, a_len) == 0;
}

static int compare(const world *w, const chatlog *log, const history *h, char *why, size_t why_len) {
  size_t count = (size_t)log->line_count, least = h->count < count ? h->count : count;
  for (size_t i = 0; i < least; i++) {
    const said *s = &h->items[h->count - 1 - i];
    const line *wanted = &log->lines[i];
    bool right = equal(s->sender, s->sender_len, w->all.names[wanted->user]) && equal(s->body, s->body_len, wanted->said);
    if (right && (i == 0 || s->seq > h->items[h->count - i].seq)) continue;
    snprintf(why, why_len, "message %zu of %s is not its line: <%.*s> %.80s", i + 1, log->name, (int)s->sender_len, s->sender, s->body_len ? s->body : "");
    return CHAT_E_CORRUPT;
  }
  if (h->count == count) return 0;
  snprintf(why, why_len, "%zu messages of %zu: %s is %s", h->count, count, h->count < count ? "message" : "one more than message", h->count < count ? "the next one missing" : "the last");
  return CHAT_E_CORRUPT;
}

/* ------------------------------------------------------------------------------------------------ write */

static void write_json(FILE *file, const char *s, size_t len) {
  fputc('"', file);
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)s[i];
    if (c == '"' || c == '\\')
      fprintf(file, "\\%c", c);
    else if (c < 0x20 || c == 0x7f)
      fprintf(file, "\\u%04x", c);
    else
      fputc(c, file);
  }
  fputc('"', file);
}

static int write_history(const world *w, const chatlog *log, int user, const history *h, int number) {
  char path[4200];
  snprintf(path, sizeof path, "%s/%d.jsonl", w->histories, number);
  FILE *file = fopen(path, "w");
  if (!file) return CHAT_E_IO;
  fputs("{\"log\": ", file);
  write_json(file, log->name, strlen(log->name));
  fputs(", \"client\": ", file);
  write_json(file, w->all.names[user].data, w->all.names[user].len);
  fputs("}\n", file);
  for (size_t i = h->count; i-- > 0;) {
    fprintf(file, "{\"seq\": %llu, \"sender\": ", (unsigned long long)h->items[i].seq);
    write_json(file, h->items[i].sender, h->items[i].sender_len);
    fputs(", \"text\": ", file);
    write_json(file, h->items[i].body, h->items[i].body_len);
    fputs("}\n", file);
  }
  bool bad = ferror(file);
  return fclose(file) != 0 || bad ? CHAT_E_IO : 0;
}

int history_prove(const world *w, int log_number, int user, chat_client *client, const uint8_t conversation[16], int number, char *why, size_t why_len) {
  const chatlog *log = &w->logs[log_number];
  history h = {0};
  int error = read_all(client, conversation, &h);
  if (error) snprintf(why, why_len, "the history cannot be read: %s", chat_error_name(error));
  if (!error) error = compare(w, log, &h, why, why_len);
  if (!error && w->histories) {
    error = write_history(w, log, user, &h, number);
    if (error) snprintf(why, why_len, "%s/%d.jsonl cannot be written", w->histories, number);
  }
  history_free(&h);
  return error;
}

/* ------------------------------------------------------------------------------------------------ show */

static const char *tick_of(const chat_message *message) {
  static const char *const ticks[] = {"…", "✓", "✓✓", "✓✓ read", "refused"};
  return message->own && message->tick <= CHAT_TICK_REFUSED ? ticks[message->tick] : "";
}

static void print_message(const chat_message *message) {
  time_t seconds = (time_t)(message->created_ms / 1000);
  struct tm at;
  char clock[16];
  strftime(clock, sizeof clock, "%H:%M:%S", gmtime_r(&seconds, &at));
  printf("    %6llu  %s  <%.*s> %.*s  %s\n", (unsigned long long)message->seq, clock, (int)message->sender.len, (const char *)message->sender.data,
         (int)(message->body.len > 100 ? 100 : message->body.len), (const char *)message->body.data, tick_of(message));
}

static void show_messages(const chat_event *event) {
  for (size_t i = 0; event && i < event->message_count; i++)
    if (event->messages[i]->type == CHAT_TYPE_MESSAGE) print_message(event->messages[i]);
}

/* The longest plain word of the log's first lines is likely to be found once or twice. */
static text word_of(const chatlog *log) {
  text best = {"", 0};
  for (int i = 0; i < log->line_count && i < 50; i++) {
    text t = log->lines[i].said;
    for (size_t at = 0, begin = 0; at <= t.len; at++) {
      char c = at < t.len ? t.data[at] : ' ';
      if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) continue;
      if (at - begin > best.len && at - begin <= 20) best = (text){t.data + begin, at - begin};
      begin = at + 1;
    }
  }
  return best;
}

static void show_search(const chatlog *log, chat_client *client, const uint8_t conversation[16]) {
  text word = word_of(log);
  if (word.len == 0 || chat_client_search(client, TAG_SEARCH, word.data, word.len, conversation, 0, 3, 0) != 0) return;
  printf("  search for \"%.*s\":\n", (int)word.len, word.data);
  show_messages(await_reply(client, TAG_SEARCH));
}

static void show_presence(chat_client *client, const uint8_t conversation[16]) {
  chat_client_open(client, TAG_OPEN, conversation);
  await_reply(client, TAG_OPEN);
  for (int64_t until_ms = now_ms() + 500; now_ms() < until_ms;) work(client, 100); /* presence comes with the answer of the server */
  if (chat_client_members(client, TAG_MEMBERS, conversation, NULL, 0, 256) != 0) return;
  const chat_event *event = await_reply(client, TAG_MEMBERS);
  size_t online = 0;
  for (size_t i = 0; event && i < event->member_count; i++) online += event->members[i]->online;
  printf("  present: %zu of %zu online:", online, event ? event->member_count : 0);
  for (size_t i = 0, shown = 0; event && i < event->member_count && shown < 12; i++) {
    if (!event->members[i]->online) continue;
    printf(" %.*s", (int)event->members[i]->user.len, (const char *)event->members[i]->user.data);
    shown++;
  }
  printf("%s\n", online > 12 ? " …" : "");
}

void history_show(const world *w, int log, chat_client *client, const uint8_t conversation[16]) {
  printf("\n  %s, as one of its members has it:\n", w->logs[log].name);
  if (chat_client_history(client, TAG_HISTORY, conversation, 0, 0, EXCERPT, 1) == 0) show_messages(await_reply(client, TAG_HISTORY));
  show_search(&w->logs[log], client, conversation);
  show_presence(client, conversation);
  fflush(stdout);
}
