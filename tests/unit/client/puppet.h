/* SPDX-License-Identifier: Apache-2.0 */
/*
 * puppet.h - a whole chat_client over a transport whose other end is the test: it sees what the client sends and says what the server says.
 *
 * The test's thread is the server. Every wait has a deadline that only a client which hangs reaches.
 */
#ifndef CH_TEST_PUPPET_H
#define CH_TEST_PUPPET_H

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "platform/condition.h"
#include "unit/client/script.h"

enum { PUPPET_PATIENCE_MS = 60000, PUPPET_EVENTS_MAX = 8192 };

typedef struct puppet_event {
  uint32_t type;
  int32_t status;
  uint8_t *data;
  size_t len;
} puppet_event;

typedef struct puppet {
  chat_transport transport;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int fd;
  bool is_open, is_full; /* is_full: send says CHAT_E_AGAIN */
  uint32_t opens, closes;
  int open_error;        /* what open says; 0: OPEN follows */
  char url[256];         /* of the last open */
  puppet_event events[PUPPET_EVENTS_MAX];
  size_t event_count, event_at;
  uint8_t *given; /* what poll gave last */
  ch_arena arena; /* what the client sent lives to the end of the test */
  ch_client_message sent[SENT_MAX];
  size_t sent_count, sent_at;
} puppet;

static inline void pause_ms(long ms) {
  nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* ------------------------------------------------------------------------------------------------ the client's end */

static inline void puppet_wake(void *self) {
  uint64_t one = 1;
  ck_assert_int_eq(write(((puppet *)self)->fd, &one, sizeof one), sizeof one);
}

/* With the lock held. */
static inline void puppet_queue(puppet *p, uint32_t type, int status, chat_bytes bytes) {
  ck_assert_uint_lt(p->event_count, PUPPET_EVENTS_MAX);
  puppet_event *event = &p->events[p->event_count++];
  *event = (puppet_event){type, status, bytes.len > 0 ? malloc(bytes.len) : NULL, bytes.len};
  if (bytes.len > 0) memcpy(event->data, bytes.data, bytes.len);
  puppet_wake(p);
}

static inline void puppet_drop_events(puppet *p) {
  while (p->event_at < p->event_count)
    free(p->events[p->event_at++].data);
}

static inline int puppet_open(void *self, const chat_transport_target *target) {
  puppet *p = self;
  pthread_mutex_lock(&p->lock);
  int error = p->open_error;
  strncpy(p->url, target->url, sizeof p->url - 1);
  p->opens++;
  p->is_open = error == 0;
  if (!error) puppet_queue(p, CHAT_TRANSPORT_OPEN, 0, (chat_bytes){0});
  pthread_cond_broadcast(&p->changed);
  pthread_mutex_unlock(&p->lock);
  return error;
}

static inline void puppet_decode(puppet *p, chat_bytes frame) {
  chat_bytes rest = {ch_arena_dup(&p->arena, frame.data, frame.len), frame.len}, bytes;
  while (ch_frame_next(&rest, &bytes) == 0) {
    ck_assert_uint_lt(p->sent_count, SENT_MAX);
    ck_assert_int_eq(ch_client_message_decode(bytes, &p->arena, &p->sent[p->sent_count++]), 0);
  }
}

static inline int puppet_send(void *self, chat_bytes frame) {
  puppet *p = self;
  pthread_mutex_lock(&p->lock);
  int error = !p->is_open ? CHAT_E_CLOSED : p->is_full ? CHAT_E_AGAIN : 0;
  if (!error) puppet_decode(p, frame);
  pthread_cond_broadcast(&p->changed);
  pthread_mutex_unlock(&p->lock);
  return error;
}

static inline int puppet_poll(void *self, chat_transport_event *event) {
  puppet *p = self;
  pthread_mutex_lock(&p->lock);
  free(p->given);
  p->given = NULL;
  *event = (chat_transport_event){.type = CHAT_TRANSPORT_NONE};
  if (p->event_at < p->event_count) {
    puppet_event *next = &p->events[p->event_at++];
    p->given = next->data;
    *event = (chat_transport_event){next->type, next->status, {next->data, next->len}};
  }
  if (p->event_at < p->event_count) puppet_wake(p); /* there is more for the next wait */
  pthread_mutex_unlock(&p->lock);
  return 0;
}

static inline void puppet_close(void *self) {
  puppet *p = self;
  pthread_mutex_lock(&p->lock);
  p->closes += p->is_open;
  p->is_open = false;
  puppet_drop_events(p);
  pthread_cond_broadcast(&p->changed);
  pthread_mutex_unlock(&p->lock);
}

static inline int puppet_wait(void *self, int timeout_ms) {
  puppet *p = self;
  uint64_t count;
  poll(&(struct pollfd){p->fd, POLLIN, 0}, 1, timeout_ms);
  while (read(p->fd, &count, sizeof count) > 0) continue;
  return 0;
}

static inline int puppet_fd(void *self) {
  return ((puppet *)self)->fd;
}

static inline void puppet_no_free(void *self) {
  (void)self;
}

static inline puppet *puppet_new(void) {
  static const chat_transport_vtable vtable = {sizeof vtable,   "puppet",    puppet_open, puppet_send, puppet_poll,
                                               puppet_close, puppet_wait, puppet_wake, puppet_fd,   puppet_no_free};
  puppet *p = calloc(1, sizeof *p);
  p->transport = (chat_transport){&vtable, p};
  ck_assert_int_eq(pthread_mutex_init(&p->lock, NULL), 0);
  ck_assert_int_eq(ch_condition_init(&p->changed), 0);
  p->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  ch_arena_init(&p->arena, NULL, 65536, 256 * 1024 * 1024);
  return p;
}

static inline void puppet_free(puppet *p) {
  puppet_drop_events(p);
  free(p->given);
  close(p->fd);
  ch_arena_fini(&p->arena);
  pthread_cond_destroy(&p->changed);
  pthread_mutex_destroy(&p->lock);
  free(p);
}

/* ------------------------------------------------------------------------------------------------ the server's end */

static inline void puppet_say(puppet *p, ch_server_message message) {
  ch_buf frame;
  ch_buf_init(&frame, NULL, CHAT_FRAME_MAX);
  ck_assert_int_eq(ch_server_message_encode(&message, &frame), 0);
  pthread_mutex_lock(&p->lock);
  puppet_queue(p, CHAT_TRANSPORT_MESSAGE, 0, ch_buf_bytes(&frame));
  pthread_mutex_unlock(&p->lock);
  ch_buf_fini(&frame);
}

static inline void puppet_lose(puppet *p, int status) {
  pthread_mutex_lock(&p->lock);
  p->is_open = false;
  puppet_drop_events(p);
  puppet_queue(p, CHAT_TRANSPORT_CLOSED, status, (chat_bytes){0});
  pthread_mutex_unlock(&p->lock);
}

static inline void puppet_set_full(puppet *p, bool is_full) {
  pthread_mutex_lock(&p->lock);
  p->is_full = is_full;
  pthread_mutex_unlock(&p->lock);
  puppet_wake(p);
}

/* With the lock held. */
static inline const ch_client_message *puppet_find(puppet *p, ch_client_op op) {
  for (size_t i = p->sent_at; i < p->sent_count; i++) {
    if (p->sent[i].op != op) continue;
    p->sent_at = i + 1;
    return &p->sent[i];
  }
  return NULL;
}

/* The next message of that kind that the client sends, or has sent; those before it are passed over. */
static inline const ch_client_message *puppet_expect(puppet *p, ch_client_op op) {
  struct timespec until = ch_condition_in_ms(PUPPET_PATIENCE_MS);
  pthread_mutex_lock(&p->lock);
  const ch_client_message *message = puppet_find(p, op);
  while (!message && ch_condition_wait(&p->changed, &p->lock, &until))
    message = puppet_find(p, op);
  pthread_mutex_unlock(&p->lock);
  ck_assert_msg(message != NULL, "the client did not send %d", (int)op);
  return message;
}

/* What was sent so far is of no interest; where the client that sent it is gone or suspended, nothing of it comes later. */
static inline void puppet_skip(puppet *p) {
  pthread_mutex_lock(&p->lock);
  p->sent_at = p->sent_count;
  pthread_mutex_unlock(&p->lock);
}

static inline bool puppet_sent(puppet *p, ch_client_op op) {
  pthread_mutex_lock(&p->lock);
  bool is_there = puppet_find(p, op) != NULL;
  pthread_mutex_unlock(&p->lock);
  return is_there;
}

/* HELLO … WELCOME … an empty sync. */
static inline void puppet_connect(puppet *p, uint64_t session) {
  ch_server_message welcome = script_welcome(device_a, session);
  welcome.tag = puppet_expect(p, CH_HELLO)->tag;
  puppet_say(p, welcome);
  puppet_say(p, (ch_server_message){.tag = puppet_expect(p, CH_SYNC)->tag, .op = CH_SYNC_REPLY, .u.sync_reply = {.position = 10}});
}

/* ------------------------------------------------------------------------------------------------ the client */

static inline chat_client *client_over(puppet *p, const char *database) {
  chat_client_config config = {.size = sizeof config, .transport = &p->transport};
  chat_client *client;
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, &config, &client), 0);
  ck_assert_int_eq(chat_client_set(client, "token", "token"), 0);
  ck_assert_int_eq(chat_client_set(client, "backoff-max", "1ms"), 0);
  if (database) ck_assert_int_eq(chat_client_set(client, "database", database), 0);
  return client;
}

/* Started, logged in, in step. */
static inline chat_client *client_online(puppet *p, const char *database) {
  chat_client *client = client_over(p, database);
  ck_assert_int_eq(chat_client_start(client), 0);
  puppet_connect(p, 1);
  return client;
}

/* The next event of that type; those before it are dropped. */
static inline const chat_event *client_expect(chat_client *client, uint32_t type) {
  const chat_event *event = chat_client_wait(client, PUPPET_PATIENCE_MS);
  while (event && event->type != type)
    event = chat_client_wait(client, PUPPET_PATIENCE_MS);
  ck_assert_msg(event != NULL, "no event %u", type);
  return event;
}

static inline const chat_event *client_expect_reply(chat_client *client, uint64_t tag) {
  const chat_event *reply = client_expect(client, CHAT_EVENT_REPLY);
  ck_assert_uint_eq(reply->tag, tag);
  return reply;
}

static inline void client_expect_state(chat_client *client, uint32_t state) {
  const chat_event *event = client_expect(client, CHAT_EVENT_STATE);
  while (event->state != state)
    event = client_expect(client, CHAT_EVENT_STATE);
}

static inline chat_draft draft_of(const char *body) {
  return (chat_draft){.size = sizeof(chat_draft), .body = body, .body_len = strlen(body)};
}

static inline int client_send(chat_client *client, uint64_t tag, const char *body) {
  chat_draft draft = draft_of(body);
  return chat_client_send_direct(client, tag, "bob", 3, &draft);
}

#endif
