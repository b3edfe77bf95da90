/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chaos-person URL USER DEVICE DATABASE DIARY PAUSE_MS [PEER...]
 *
 * Writes a message every PAUSE_MS or so, to a PEER or into a group that it is in, reads what comes, and does what stdin says, a line each:
 *
 *   quiet             writes nothing more                      (no answer)
 *   where             what it knows of each conversation:      at CONVERSATION KIND HEAD CURSOR PENDING … end INTENTS-OPEN
 *   read              all of it has been read                  (no answer)
 *   testify PATH      all that its database has, to a file     done STATUS
 *
 * Ends with stdin. May be killed at any moment: the next one over the same database and diary goes on.
 */
#include "person.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { TAG_SEND = 1, TAG_START, TAG_WHERE, TAG_READ, TAG_QUIET, AHEAD_MAX = 100, BODY_MAX = 400, RETRY_MS = 300, POLL_MS = 1000 };

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint32_t drawn(uint32_t below) {
  uint32_t number;
  if (getrandom(&number, sizeof number, 0) != sizeof number) abort();
  return number % below;
}

/* ------------------------------------------------------------------------------------------------ writing */

static place *find(person *p, const uint8_t conversation_id[16]) {
  for (int i = 0; i < p->place_count; i++)
    if (memcmp(p->places[i].conversation_id, conversation_id, 16) == 0) return &p->places[i];
  return NULL;
}

static place *add_place(person *p, const uint8_t conversation_id[16], const char *peer) {
  place *known = find(p, conversation_id);
  if (known || p->place_count == CONVERSATIONS_MAX) return known;
  known = &p->places[p->place_count++];
  memcpy(known->conversation_id, conversation_id, 16);
  known->peer = peer;
  return known;
}

/* A function of the intent, so that a later life says the same. */
static size_t body_of(const person *p, char body[BODY_MAX]) {
  size_t len = (size_t)snprintf(body, BODY_MAX, "%s:%" PRIu64 ":", p->device, p->diary.number);
  size_t more = p->diary.client_id[0];
  memset(body + len, 'a' + (int)(p->diary.number % 26), more);
  return len + more;
}

static void write_later(person *p, int64_t in_ms) {
  p->next_ms = now_ms() + in_ms;
}

static void pause_awhile(person *p) {
  write_later(p, 1 + drawn((uint32_t)(2 * p->pause_ms + 1)));
}

/* One at a time: the next is intended when this one is in the outbox, so numbers are the order of entering. */
static void try_intent(person *p) {
  char body[BODY_MAX];
  chat_draft draft = {.size = sizeof draft, .body = body, .body_len = body_of(p, body), .client_id = p->diary.client_id};
  const place *to = find(p, p->diary.conversation_id);
  if (!to) return write_later(p, RETRY_MS); /* a group that this life has not seen yet */
  int error = to->peer ? chat_client_send_direct(p->client, TAG_SEND, to->peer, strlen(to->peer), &draft)
                       : chat_client_send(p->client, TAG_SEND, to->conversation_id, &draft);
  if (error) return write_later(p, RETRY_MS);
  p->next_ms = INT64_MAX;
}

static void write_something(person *p) {
  uint8_t client_id[16];
  if (p->diary.is_open) return try_intent(p);
  if (p->is_quiet || p->place_count == 0 || p->ahead >= AHEAD_MAX) return write_later(p, RETRY_MS);
  if (getrandom(client_id, sizeof client_id, 0) != sizeof client_id) abort();
  diary_intend(&p->diary, p->places[drawn((uint32_t)p->place_count)].conversation_id, client_id);
  try_intent(p);
}

static void on_sent(person *p, const chat_event *reply) {
  if (reply->status == CHAT_E_CONFLICT) diary_say(&p->diary, "! conflict %d", reply->status);
  if (reply->status) return write_later(p, RETRY_MS); /* a full disk; never logged in */
  diary_entered(&p->diary);
  if (reply->seq > 0)
    diary_say(&p->diary, "C %s %" PRIu64, hex(reply->client_id), reply->seq);
  else
    p->ahead++;
  pause_awhile(p);
}

/* ------------------------------------------------------------------------------------------------ what happens */

static void on_outbox(person *p, const chat_message *message) {
  if (message->tick == CHAT_TICK_REFUSED) {
    diary_say(&p->diary, "R %s %d", hex(message->client_id), message->status);
  } else if (message->seq > 0) {
    diary_say(&p->diary, "C %s %" PRIu64, hex(message->client_id), message->seq);
    if (p->ahead > 0) p->ahead--;
  } else if (message->tick == CHAT_TICK_SENT) {
    diary_say(&p->diary, "A %s", hex(message->client_id));
  }
}

static void on_message(person *p, const chat_message *message) {
  diary_say(&p->diary, "S %s %" PRIu64 " %s %.*s", hex(message->conversation_id), message->seq, hex(message->client_id),
            (int)message->sender.len, (const char *)message->sender.data);
  if (drawn(4) == 0) chat_client_mark_read(p->client, TAG_QUIET, message->conversation_id, message->seq);
}

static void meet(person *p, const chat_conversation *conversation) {
  if (conversation->kind == CHAT_GROUP && conversation->role != CHAT_ROLE_NONE) add_place(p, conversation->conversation_id, NULL);
}

static void on_where(const person *p, const chat_event *reply) {
  for (size_t i = 0; i < reply->conversation_count; i++) {
    const chat_conversation *c = reply->conversations[i];
    printf("at %s %u %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", hex(c->conversation_id), (unsigned)c->kind, c->head, c->cursor, c->pending);
  }
  printf("end %d\n", p->diary.is_open);
  fflush(stdout);
}

static void on_read(person *p, const chat_event *reply) {
  for (size_t i = 0; i < reply->conversation_count; i++)
    if (reply->conversations[i]->cursor)
      chat_client_mark_read(p->client, TAG_QUIET, reply->conversations[i]->conversation_id, reply->conversations[i]->cursor);
}

static void on_reply(person *p, const chat_event *reply) {
  if (reply->tag == TAG_SEND) on_sent(p, reply);
  if (reply->tag == TAG_WHERE) on_where(p, reply);
  if (reply->tag == TAG_READ) on_read(p, reply);
  for (size_t i = 0; reply->tag == TAG_START && i < reply->conversation_count; i++)
    meet(p, reply->conversations[i]);
}

static void on_event(person *p, const chat_event *event) {
  switch (event->type) {
  case CHAT_EVENT_REPLY: on_reply(p, event); break;
  case CHAT_EVENT_OUTBOX: on_outbox(p, event->messages[0]); break;
  case CHAT_EVENT_MESSAGE: on_message(p, event->messages[0]); break;
  case CHAT_EVENT_CONVERSATION: meet(p, event->conversations[0]); break;
  case CHAT_EVENT_RESYNC: diary_say(&p->diary, "X"); break;
  case CHAT_EVENT_DRAFT: diary_say(&p->diary, "! given-back %d", event->status); break;
  case CHAT_EVENT_DATABASE:
    if (event->status == CHAT_E_CORRUPT) diary_say(&p->diary, "! damaged %d", event->status);
    break;
  case CHAT_EVENT_STATE:
    if (event->state == CHAT_STATE_SHUT_OUT) diary_say(&p->diary, "! shut-out %d", event->status);
    break;
  default: break;
  }
}

/* ------------------------------------------------------------------------------------------------ loop */

static int wait_ms(person *p) {
  int64_t ms = chat_client_next_deadline_ms(p->client), left = p->next_ms - now_ms();
  if (ms < 0 || ms > POLL_MS) ms = POLL_MS;
  if (left < ms) ms = left > 0 ? left : 0;
  return (int)ms;
}

/* Waits at most until something is due; true: stdin has something. */
static bool work(person *p) {
  struct pollfd fds[2] = {{STDIN_FILENO, POLLIN, 0}, {chat_client_io_fd(p->client), POLLIN, 0}};
  poll(fds, 2, wait_ms(p));
  chat_client_process(p->client);
  return fds[0].revents != 0;
}

const chat_event *person_await(person *p, uint64_t tag) {
  int64_t until_ms = now_ms() + ASK_MS;
  while (now_ms() < until_ms) {
    const chat_event *event;
    while ((event = chat_client_wait(p->client, 0))) {
      if (event->type == CHAT_EVENT_REPLY && event->tag == tag) return event;
      on_event(p, event);
    }
    struct pollfd fd = {chat_client_io_fd(p->client), POLLIN, 0};
    poll(&fd, 1, wait_ms(p));
    chat_client_process(p->client);
  }
  return NULL;
}

static void testify(person *p, const char *path) {
  printf("done %d\n", person_testify(p, path));
  fflush(stdout);
}

static void do_line(person *p, const char *line) {
  if (strcmp(line, "quiet") == 0) p->is_quiet = true;
  if (strcmp(line, "where") == 0) chat_client_conversations(p->client, TAG_WHERE, 0, CONVERSATIONS_MAX);
  if (strcmp(line, "read") == 0) chat_client_conversations(p->client, TAG_READ, 0, CONVERSATIONS_MAX);
  if (strncmp(line, "testify ", 8) == 0) testify(p, line + 8);
}

/* Read from the descriptor, so that no line hides in a buffer; each was written at once, so they come whole. */
static void take_lines(person *p) {
  char lines[4200], *rest = lines;
  ssize_t len = read(STDIN_FILENO, lines, sizeof lines - 1);
  if (len <= 0) {
    chat_client_free(p->client);
    exit(0);
  }
  lines[len] = 0;
  for (char *line; (line = strtok_r(rest, "\n", &rest));)
    do_line(p, line);
}

static void run(person *p) {
  for (;;) {
    const chat_event *event;
    bool told = work(p);
    while ((event = chat_client_wait(p->client, 0)))
      on_event(p, event);
    if (now_ms() >= p->next_ms) write_something(p);
    if (told) take_lines(p);
  }
}

/* ------------------------------------------------------------------------------------------------ start */

static int set_options(person *p, char **argv) {
  char token[128];
  snprintf(token, sizeof token, "dev:%s", argv[2]);
  const char *const options[][2] = {{"url", argv[1]},         {"token", token},          {"database", argv[4]},
                                    {"device-name", argv[3]}, {"caller-driven", "true"}, {"backoff-min", "20ms"},
                                    {"backoff-max", "700ms"}, {"prefetch", "1000000"},   {"resend", "3s"}};
  int error = 0;
  for (size_t i = 0; i < sizeof options / sizeof *options && !error; i++)
    error = chat_client_set(p->client, options[i][0], options[i][1]);
  return error;
}

static int start(person *p, char **argv) {
  int error = chat_client_new(CHAT_API_VERSION, NULL, &p->client);
  if (!error) error = set_options(p, argv);
  /* The one before may not be gone yet, and a disk that is full is full for a while. */
  for (int64_t until_ms = now_ms() + ASK_MS; !error;) {
    error = chat_client_start(p->client);
    if ((error != CHAT_E_BUSY && error != CHAT_E_FULL && error != CHAT_E_IO) || now_ms() > until_ms) return error;
    error = 0;
    poll(NULL, 0, RETRY_MS);
  }
  return error;
}

static int add_peer(person *p, const char *user, const char *peer) {
  uint8_t id[16];
  int error = chat_direct_id(user, strlen(user), peer, strlen(peer), id);
  if (!error) add_place(p, id, peer);
  return error;
}

int main(int argc, char **argv) {
  person p = {0};
  if (argc < 7) return fputs("usage: chaos-person URL USER DEVICE DATABASE DIARY PAUSE_MS [PEER...]\n", stderr), 2;
  p.device = argv[3];
  p.pause_ms = strtoll(argv[6], NULL, 10);
  p.is_quiet = p.pause_ms == 0;
  if (!diary_open(&p.diary, argv[5])) return 3;
  int error = start(&p, argv);
  for (int i = 7; i < argc && !error; i++)
    error = add_peer(&p, argv[2], argv[i]);
  if (!error) error = chat_client_conversations(p.client, TAG_START, 0, CONVERSATIONS_MAX);
  if (error) return fprintf(stderr, "chaos-person %s: %s\n", argv[3], chat_error_name(error)), 1;
  pause_awhile(&p);
  run(&p);
}
