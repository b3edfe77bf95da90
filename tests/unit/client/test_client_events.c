/* SPDX-License-Identifier: Apache-2.0 */
/* Pulling events: wait, interrupt, wakeup, the descriptor, and the queue at its bounds. */
#include "unit/client/puppet.h"
#include "unit/core/run.h"

static bool is_readable(int fd) {
  return poll(&(struct pollfd){fd, POLLIN, 0}, 1, 0) == 1;
}

static void until_readable(int fd) {
  ck_assert_int_eq(poll(&(struct pollfd){fd, POLLIN, 0}, 1, PUPPET_PATIENCE_MS), 1);
}

static void drain(chat_client *client) {
  while (chat_client_wait(client, 0)) continue;
}

/* ------------------------------------------------------------------------------------------------ wait, interrupt */

START_TEST(wait_ends_at_its_time) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  ck_assert_ptr_null(chat_client_wait(client, 0));
  ck_assert_ptr_null(chat_client_wait(client, 20));
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

typedef struct interrupter {
  chat_client *client;
  puppet *p;
} interrupter;

static void *interrupt_soon(void *arg) {
  chat_client *client = ((interrupter *)arg)->client;
  pause_ms(20); /* either before or while it waits: both end it */
  chat_client_interrupt(client);
  return NULL;
}

START_TEST(interrupt_ends_one_wait_from_another_thread) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  interrupter arg = {client, p};
  pthread_t thread;
  ck_assert_int_eq(pthread_create(&thread, NULL, interrupt_soon, &arg), 0);
  ck_assert_ptr_null(chat_client_wait(client, -1)); /* would last for ever */
  pthread_join(thread, NULL);
  ck_assert_int_eq(chat_client_whoami(client, 7), 0);
  client_expect_reply(client, 7); /* the interrupt was for one wait */
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(interrupt_before_the_wait_ends_the_next_one) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  chat_client_interrupt(client);
  chat_client_interrupt(client); /* two are one */
  ck_assert_ptr_null(chat_client_wait(client, -1));
  ck_assert_int_eq(chat_client_whoami(client, 7), 0);
  client_expect_reply(client, 7);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ descriptor */

START_TEST(descriptor_is_readable_exactly_while_there_is_an_event) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  int fd = chat_client_fd(client);
  client_expect_state(client, CHAT_STATE_LIVE);
  for (uint64_t round = 0; round < 50; round++) {
    ck_assert(!is_readable(fd));
    ck_assert_ptr_null(chat_client_wait(client, 0));
    ck_assert_int_eq(chat_client_whoami(client, round), 0);
    until_readable(fd);
    ck_assert(is_readable(fd)); /* looking does not take it */
    const chat_event *reply = chat_client_wait(client, 0);
    ck_assert_ptr_nonnull(reply);
    ck_assert_uint_eq(reply->tag, round);
  }
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(descriptor_stays_readable_until_the_last_event) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  int fd = chat_client_fd(client);
  client_expect_state(client, CHAT_STATE_LIVE);
  for (uint64_t tag = 0; tag < 300; tag++)
    ck_assert_int_eq(chat_client_whoami(client, tag), 0);
  for (uint64_t tag = 0; tag < 300; tag++) {
    until_readable(fd);
    const chat_event *reply = chat_client_wait(client, 0);
    ck_assert_ptr_nonnull(reply);
    ck_assert_uint_eq(reply->tag, tag); /* in order, also across the two queues */
  }
  ck_assert(!is_readable(fd));
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ wakeup */

typedef struct waker {
  pthread_mutex_t lock;
  chat_client *client;
  unsigned count;
  bool is_freed, woke_when_freed, found_nothing;
} waker;

/* Looks at what it may rely on: the descriptor is readable already, and no lock is held (a request can be made). */
static void wake(void *arg) {
  waker *w = arg;
  pthread_mutex_lock(&w->lock);
  w->count++;
  w->woke_when_freed = w->woke_when_freed || w->is_freed;
  if (!w->is_freed && !is_readable(chat_client_fd(w->client))) w->found_nothing = true;
  if (!w->is_freed) chat_client_interrupt(w->client);
  pthread_mutex_unlock(&w->lock);
}

static unsigned wakes(waker *w) {
  pthread_mutex_lock(&w->lock);
  unsigned count = w->count;
  pthread_mutex_unlock(&w->lock);
  return count;
}

START_TEST(wakeup_comes_when_the_queue_is_no_longer_empty) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  drain(client);
  waker w = {PTHREAD_MUTEX_INITIALIZER, client, 0, false, false, false};
  chat_client_set_wakeup(client, wake, &w);
  for (uint64_t tag = 1; tag <= 20; tag++) {
    unsigned before = wakes(&w);
    ck_assert_int_eq(chat_client_whoami(client, tag), 0);
    until_readable(chat_client_fd(client));
    for (int i = 0; i < PUPPET_PATIENCE_MS && wakes(&w) == before; i++)
      pause_ms(1);
    ck_assert_uint_eq(wakes(&w), before + 1);
    ck_assert_uint_eq(client_expect_reply(client, tag)->tag, tag);
  }
  ck_assert(!w.found_nothing);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(no_wakeup_while_there_is_something_to_pull) {
  puppet *p = puppet_new();
  chat_client *client = client_over(p, NULL);
  waker w = {PTHREAD_MUTEX_INITIALIZER, client, 0, false, false, false};
  ck_assert_int_eq(chat_client_set(client, "caller-driven", "on"), 0);
  ck_assert_int_eq(chat_client_start(client), 0);
  ck_assert_int_eq(chat_client_process(client), 0);
  drain(client);
  chat_client_set_wakeup(client, wake, &w);
  ck_assert_int_eq(chat_client_process(client), 0);
  ck_assert_uint_eq(w.count, 0); /* nothing came */
  for (uint64_t tag = 1; tag <= 3; tag++) {
    ck_assert_int_eq(chat_client_whoami(client, tag), 0);
    ck_assert_int_eq(chat_client_process(client), 0);
  }
  ck_assert_uint_eq(w.count, 1);
  drain(client);
  ck_assert_int_eq(chat_client_whoami(client, 4), 0);
  ck_assert_int_eq(chat_client_process(client), 0);
  ck_assert_uint_eq(w.count, 2);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(no_wakeup_after_free) {
  for (int round = 0; round < 30; round++) {
    puppet *p = puppet_new();
    chat_client *client = client_over(p, NULL);
    waker w = {PTHREAD_MUTEX_INITIALIZER, client, 0, false, false, false};
    chat_client_set_wakeup(client, wake, &w);
    ck_assert_int_eq(chat_client_start(client), 0);
    for (uint64_t tag = 0; tag < 20; tag++)
      ck_assert_int_eq(chat_client_whoami(client, tag), 0);
    chat_client_free(client);
    pthread_mutex_lock(&w.lock);
    w.is_freed = true;
    pthread_mutex_unlock(&w.lock);
    pause_ms(1);
    ck_assert(!w.woke_when_freed);
    puppet_free(p);
  }
}
END_TEST

/* ------------------------------------------------------------------------------------------------ bounds */

static void say_typing(puppet *p, size_t count) {
  ch_server_message message = {.op = CH_TYPING, .u.typing = {.user = TEXT("bob"), .typing = 1}};
  for (size_t i = 0; i < count; i++)
    puppet_say(p, message);
}

START_TEST(events_beyond_the_bound_become_one_resync) {
  enum { EVENTS_MAX = 4096, SAID = 6000 };
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  say_typing(p, SAID);
  puppet_say(p, (ch_server_message){.op = CH_GOODBYE, .u.goodbye = {.code = CHAT_E_REPLACED}});
  pthread_mutex_lock(&p->lock); /* the session has ended: all was taken */
  while (p->is_open) pthread_cond_wait(&p->changed, &p->lock);
  pthread_mutex_unlock(&p->lock);
  ck_assert_int_eq(chat_client_whoami(client, 5), 0);
  unsigned resyncs = 0, typing = 0, replies = 0;
  for (const chat_event *event = chat_client_wait(client, PUPPET_PATIENCE_MS); event && replies == 0; event = chat_client_wait(client, PUPPET_PATIENCE_MS)) {
    resyncs += event->type == CHAT_EVENT_RESYNC;
    typing += event->type == CHAT_EVENT_TYPING;
    replies += event->type == CHAT_EVENT_REPLY && event->tag == 5;
    if (replies > 0) break;
  }
  ck_assert_uint_eq(resyncs, 1);
  ck_assert_uint_eq(replies, 1);
  ck_assert_uint_ge(typing, EVENTS_MAX);
  ck_assert_uint_le(typing, EVENTS_MAX + 64); /* those that were taken ahead */
  ck_assert_ptr_null(chat_client_wait(client, 0));
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(requests_are_bounded_and_each_gets_its_reply) {
  enum { REQUESTS_MAX = 1024 };
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  for (uint64_t tag = 1; tag <= REQUESTS_MAX; tag++)
    ck_assert_int_eq(chat_client_whoami(client, tag), 0);
  for (int i = 0; i < 100; i++)
    ck_assert_int_eq(chat_client_whoami(client, 9999), CHAT_E_BUSY);
  say_typing(p, 5000); /* what else happens takes no reply's place */
  for (uint64_t tag = 1; tag <= REQUESTS_MAX; tag++)
    client_expect_reply(client, tag);
  ck_assert_int_eq(chat_client_whoami(client, 8888), 0);
  client_expect_reply(client, 8888); /* and 9999 has none */
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(one_reply_pulled_is_one_place) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  for (uint64_t tag = 1; tag <= 1024; tag++)
    ck_assert_int_eq(chat_client_whoami(client, tag), 0);
  client_expect_reply(client, 1);
  ck_assert_int_eq(chat_client_whoami(client, 1025), 0);
  ck_assert_int_eq(chat_client_whoami(client, 1026), CHAT_E_BUSY);
  chat_client_free(client); /* with a thousand replies not pulled */
  puppet_free(p);
}
END_TEST

/* An event lives until the next wait, whatever comes meanwhile. */
START_TEST(event_lives_until_the_next_wait) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  ck_assert_int_eq(chat_client_whoami(client, 1), 0);
  const chat_event *event = client_expect_reply(client, 1);
  for (uint64_t tag = 2; tag < 200; tag++)
    ck_assert_int_eq(chat_client_whoami(client, tag), 0);
  until_readable(chat_client_fd(client));
  ck_assert_uint_eq(event->tag, 1);
  ck_assert_uint_eq(event->user.len, 5);
  ck_assert_mem_eq(event->user.data, "alice", 5);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {wait_ends_at_its_time, 0},
      {interrupt_ends_one_wait_from_another_thread, 0},
      {interrupt_before_the_wait_ends_the_next_one, 0},
      {descriptor_is_readable_exactly_while_there_is_an_event, 0},
      {descriptor_stays_readable_until_the_last_event, 0},
      {wakeup_comes_when_the_queue_is_no_longer_empty, 0},
      {no_wakeup_while_there_is_something_to_pull, 0},
      {no_wakeup_after_free, 0},
      {events_beyond_the_bound_become_one_resync, 0},
      {requests_are_bounded_and_each_gets_its_reply, 0},
      {one_reply_pulled_is_one_place, 0},
      {event_lives_until_the_next_wait, 0},
  };
  return RUN_TESTS("client events", rows);
}
