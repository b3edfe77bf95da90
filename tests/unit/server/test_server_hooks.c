/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks: answered at once, later from another thread, too late, never; and what is told after storing, at least once. */
#define _XOPEN_SOURCE 700

#include <limits.h>
#include <pthread.h>
#include <sys/wait.h>

#include "unit/core/run.h"
#include "unit/server/served.h"

/* ------------------------------------------------------------------------------------------------ a desk */

/* Where hooks put what they were asked, for the test to look at and to answer. */
typedef struct question {
  chat_ticket *ticket;
  uint32_t action; /* CHAT_MAY_* */
  uint64_t seq;
  uint32_t type;
  char user[CHAT_USER_ID_MAX + 1], other[CHAT_USER_ID_MAX + 1], text[64];
} question;

enum { QUESTIONS_MAX = 1024 };

typedef struct desk {
  pthread_mutex_t lock;
  question asked[QUESTIONS_MAX];
  size_t asked_count, taken_count;
  int answer_at_once; /* with this; 1: it is left to the test */
} desk;

static void desk_init(desk *of, int answer_at_once) {
  *of = (desk){.lock = PTHREAD_MUTEX_INITIALIZER, .answer_at_once = answer_at_once};
}

static void copy(char *to, size_t size, chat_bytes from) {
  snprintf(to, size, "%.*s", (int)from.len, from.len ? (const char *)from.data : "");
}

static void put(desk *of, question asked) {
  pthread_mutex_lock(&of->lock);
  ck_assert_uint_lt(of->asked_count, QUESTIONS_MAX);
  of->asked[of->asked_count++] = asked;
  pthread_mutex_unlock(&of->lock);
  if (of->answer_at_once <= 0) chat_ticket_answer(asked.ticket, of->answer_at_once);
}

/* The next question; none within the time: a question without a ticket. */
static question take(desk *of, int timeout_ms) {
  question next = {.ticket = NULL};
  for (uint64_t until_ms = served_now_ms() + (uint64_t)timeout_ms; !next.ticket && served_now_ms() <= until_ms;) {
    pthread_mutex_lock(&of->lock);
    if (of->taken_count < of->asked_count) next = of->asked[of->taken_count++];
    pthread_mutex_unlock(&of->lock);
    if (!next.ticket) served_pause();
  }
  return next;
}

static question await_question(desk *of) {
  question next = take(of, PATIENCE_MS);
  ck_assert_msg(next.ticket != NULL, "the hook was not called");
  return next;
}

static void on_login(void *arg, chat_ticket *ticket, const chat_login *login) {
  question asked = {.ticket = ticket};
  copy(asked.text, sizeof asked.text, login->token);
  copy(asked.other, sizeof asked.other, login->address);
  put(arg, asked);
}

static void on_incoming(void *arg, chat_ticket *ticket, const chat_incoming *incoming) {
  question asked = {.ticket = ticket, .type = incoming->type};
  copy(asked.user, sizeof asked.user, incoming->user);
  copy(asked.other, sizeof asked.other, incoming->peer);
  copy(asked.text, sizeof asked.text, incoming->body);
  put(arg, asked);
}

static void on_action(void *arg, chat_ticket *ticket, const chat_action *action) {
  question asked = {.ticket = ticket, .action = action->action};
  copy(asked.user, sizeof asked.user, action->user);
  copy(asked.other, sizeof asked.other, action->other);
  put(arg, asked);
}

static void on_stored(void *arg, chat_ticket *ticket, const chat_stored *stored) {
  question asked = {.ticket = ticket, .seq = stored->seq, .type = stored->type};
  copy(asked.user, sizeof asked.user, stored->sender);
  copy(asked.text, sizeof asked.text, stored->body);
  put(arg, asked);
}

static chat_hooks hooks_of(desk *of) {
  return (chat_hooks){.size = sizeof(chat_hooks), .arg = of};
}

static void allow_user(chat_ticket *ticket, const char *user) {
  ck_assert_int_eq(chat_ticket_answer_user(ticket, user, strlen(user), NULL, 0), 0);
}

/* ------------------------------------------------------------------------------------------------ authenticate */

START_TEST(whoever_the_hook_says_is_let_in_later_and_from_another_thread) {
  desk logins;
  desk_init(&logins, 1);
  chat_hooks hooks = hooks_of(&logins);
  hooks.authenticate = on_login;
  chat_server *server = served_start(served_new(&hooks));
  chat_client *client = peer_start(server, "a secret of ours");
  question asked = await_question(&logins);
  ck_assert_str_eq(asked.text, "a secret of ours");
  ck_assert_ptr_nonnull(strstr(asked.other, "127.0.0.1"));
  ck_assert_int_eq(chat_ticket_answer_user(asked.ticket, "", 0, NULL, 0), CHAT_E_INVALID);
  ck_assert_int_eq(chat_ticket_answer_user(asked.ticket, "a\nb", 3, NULL, 0), CHAT_E_INVALID);
  ck_assert_int_eq(chat_ticket_answer_user(NULL, "alice", 5, NULL, 0), CHAT_E_INVALID);
  allow_user(asked.ticket, "alice");
  peer_await_state(client, CHAT_STATE_LIVE);
  ck_assert_int_eq(chat_client_whoami(client, 9), 0);
  ck_assert(served_is(peer_await(client, CHAT_EVENT_REPLY)->user, "alice"));
  chat_client_free(client);
  served_end(server);
}
END_TEST

static int shut_out_by(int answer) {
  desk logins;
  desk_init(&logins, answer);
  chat_hooks hooks = hooks_of(&logins);
  hooks.authenticate = on_login;
  chat_server *server = served_start(served_new(&hooks));
  chat_client *client = peer_start(server, "x");
  int status = peer_await_state(client, CHAT_STATE_SHUT_OUT)->status;
  chat_client_free(client);
  served_end(server);
  return status;
}

START_TEST(a_hook_that_refuses_shuts_out) {
  ck_assert_int_eq(shut_out_by(CHAT_E_AUTH), CHAT_E_AUTH);
  ck_assert_int_eq(shut_out_by(CHAT_E_REVOKED), CHAT_E_REVOKED);
  /* Allowed, but as nobody: a mistake of the hook's, which must not let anybody in. */
  ck_assert_int_eq(shut_out_by(0), CHAT_E_AUTH);
}
END_TEST

/* No answer denies; the client comes back, and the late answer to the old question changes nothing. */
START_TEST(a_hook_that_does_not_answer_lets_nobody_in) {
  desk logins;
  desk_init(&logins, 1);
  chat_hooks hooks = hooks_of(&logins);
  hooks.authenticate = on_login;
  chat_server *server = served_new(&hooks);
  served_set(server, "hook-deadline", "200ms");
  served_start(server);
  chat_client *client = peer_start(server, "x");
  question first = await_question(&logins);
  question second = await_question(&logins); /* so the first was given up */
  allow_user(first.ticket, "mallory");
  allow_user(second.ticket, "alice");
  /* On a slow machine more than one may be overdue. */
  for (bool is_live = false; !is_live;) {
    question again = take(&logins, STEP_MS);
    if (again.ticket) allow_user(again.ticket, "alice");
    for (const chat_event *event; (event = chat_client_wait(client, 0));) is_live = is_live || (event->type == CHAT_EVENT_STATE && event->state == CHAT_STATE_LIVE);
  }
  ck_assert_int_eq(chat_client_whoami(client, 9), 0);
  ck_assert(served_is(peer_await(client, CHAT_EVENT_REPLY)->user, "alice"));
  chat_client_free(client);
  served_end(server);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ before_log */

START_TEST(what_the_hook_refuses_does_not_get_into_the_log) {
  desk incoming;
  desk_init(&incoming, 1);
  chat_hooks hooks = hooks_of(&incoming);
  hooks.before_log = on_incoming;
  chat_server *server = served_start(served_new(&hooks));
  chat_client *alice = peer_live(server, "dev:alice");
  /* What is no error, or one that no message can hold, is DENIED. */
  static const int answers[] = {CHAT_E_DENIED, CHAT_E_TOO_LARGE, 5, -70000, INT_MIN};
  for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
    peer_send(alice, "bob", "buy my spam");
    question asked = await_question(&incoming);
    ck_assert_uint_eq(asked.type, CHAT_TYPE_MESSAGE);
    ck_assert_str_eq(asked.user, "alice");
    ck_assert_str_eq(asked.other, "bob");
    ck_assert_str_eq(asked.text, "buy my spam");
    chat_ticket_answer(asked.ticket, answers[i]);
    ck_assert_int_eq(peer_await_outcome(alice), i < 2 ? answers[i] : CHAT_E_DENIED);
  }
  peer_send(alice, "bob", "hello");
  chat_ticket_answer(await_question(&incoming).ticket, 0);
  ck_assert_int_eq(peer_await_outcome(alice), 0);
  chat_client *bob = peer_start(server, "dev:bob");
  const chat_event *event = peer_await(bob, CHAT_EVENT_MESSAGE);
  ck_assert_uint_eq(event->messages[0]->seq, 1);
  ck_assert(served_is(event->messages[0]->body, "hello"));
  chat_client_free(alice);
  chat_client_free(bob);
  served_end(server);
}
END_TEST

START_TEST(a_message_that_nobody_judges_in_time_is_refused) {
  desk incoming;
  desk_init(&incoming, 1);
  chat_hooks hooks = hooks_of(&incoming);
  hooks.before_log = on_incoming;
  chat_server *server = served_new(&hooks);
  served_set(server, "hook-deadline", "50ms");
  served_start(server);
  chat_client *alice = peer_live(server, "dev:alice");
  peer_send(alice, "bob", "is anybody there?");
  question asked = await_question(&incoming);
  ck_assert_int_eq(peer_await_outcome(alice), CHAT_E_TIMEOUT);
  chat_ticket_answer(asked.ticket, 0); /* too late */
  incoming.answer_at_once = 0;
  peer_send(alice, "bob", "again");
  ck_assert_int_eq(peer_await_outcome(alice), 0);
  chat_client *bob = peer_start(server, "dev:bob");
  ck_assert(served_is(peer_await(bob, CHAT_EVENT_MESSAGE)->messages[0]->body, "again"));
  chat_client_free(alice);
  chat_client_free(bob);
  served_end(server);
}
END_TEST

/* The embedder's own requests are not his hook's to judge. */
START_TEST(what_the_embedder_sends_is_not_asked_about) {
  desk incoming;
  desk_init(&incoming, CHAT_E_DENIED);
  chat_hooks hooks = hooks_of(&incoming);
  hooks.before_log = on_incoming;
  chat_server *server = served_start(served_new(&hooks));
  chat_server_send send = served_direct("alice", "bob", "x");
  ck_assert_int_eq(chat_server_request_send(server, 1, &send), 0);
  ck_assert_int_eq(served_status(server, 1), 0);
  ck_assert_uint_eq(incoming.asked_count, 0);
  served_end(server);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ may */

static question await_action(desk *of, uint32_t action) {
  for (;;) {
    question asked = await_question(of);
    if (asked.action == action) return asked;
  }
}

START_TEST(each_action_is_asked_about_and_may_be_forbidden) {
  desk actions;
  desk_init(&actions, CHAT_E_DENIED);
  chat_hooks hooks = hooks_of(&actions);
  hooks.may = on_action;
  chat_server *server = served_start(served_new(&hooks));
  uint8_t id[16];
  served_group(server, "alice", "bob", id);
  served_history(server, id, 1);
  chat_client *alice = peer_live(server, "dev:alice");

  peer_send(alice, "bob", "x");
  ck_assert_int_eq(peer_await_outcome(alice), CHAT_E_DENIED);
  question asked = await_action(&actions, CHAT_MAY_SEND_DIRECT);
  ck_assert_str_eq(asked.user, "alice");
  ck_assert_str_eq(asked.other, "bob");

  ck_assert_int_eq(chat_client_create(alice, 2, CHAT_GROUP, "t", 1, NULL, 0, 0), 0);
  ck_assert_int_eq(peer_await_outcome(alice), CHAT_E_DENIED);
  await_action(&actions, CHAT_MAY_CREATE);

  chat_text carol = {"carol", 5};
  ck_assert_int_eq(chat_client_add_members(alice, 3, id, &carol, 1, CHAT_ROLE_MEMBER), 0);
  ck_assert_int_eq(peer_await_outcome(alice), CHAT_E_DENIED);
  ck_assert_str_eq(await_action(&actions, CHAT_MAY_ADD).other, "carol");

  ck_assert_int_eq(chat_client_search(alice, 4, "x", 1, NULL, 0, 10, 1), 0);
  const chat_event *event;
  do event = peer_await(alice, CHAT_EVENT_REPLY);
  while (event->tag != 4);
  ck_assert_int_eq(event->status, CHAT_E_DENIED);
  await_action(&actions, CHAT_MAY_SEARCH);

  ck_assert_int_eq(chat_client_open(alice, 5, id), 0);
  await_action(&actions, CHAT_MAY_WATCH);
  chat_client_free(alice);
  served_end(server);
}
END_TEST

START_TEST(an_action_that_is_allowed_happens) {
  desk actions;
  desk_init(&actions, 1);
  chat_hooks hooks = hooks_of(&actions);
  hooks.may = on_action;
  chat_server *server = served_start(served_new(&hooks));
  chat_client *alice = peer_live(server, "dev:alice");
  peer_send(alice, "bob", "x");
  chat_ticket_answer(await_action(&actions, CHAT_MAY_SEND_DIRECT).ticket, 0);
  ck_assert_int_eq(peer_await_outcome(alice), 0);
  chat_client_free(alice);
  served_end(server);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ after_store */

START_TEST(what_was_stored_is_told_until_it_is_taken) {
  desk stored;
  desk_init(&stored, 1);
  chat_hooks hooks = hooks_of(&stored);
  hooks.after_store = on_stored;
  chat_server *server = served_start(served_new(&hooks));
  chat_client *alice = peer_live(server, "dev:alice");
  peer_send(alice, "bob", "remember me");
  ck_assert_int_eq(peer_await_outcome(alice), 0);
  for (int i = 0; i < 3; i++) {
    question told = await_question(&stored);
    ck_assert_uint_eq(told.seq, 1);
    ck_assert_str_eq(told.user, "alice");
    ck_assert_str_eq(told.text, "remember me");
    chat_ticket_answer(told.ticket, i < 2 ? CHAT_E_IO : 0);
  }
  peer_send(alice, "bob", "the next");
  question told = await_question(&stored);
  ck_assert_uint_eq(told.seq, 2); /* and the first not a fourth time */
  chat_ticket_answer(told.ticket, 0);
  chat_client_free(alice);
  served_end(server);
}
END_TEST

/* What was not taken before a stop is told by the next server, and nothing in between is left out. */
START_TEST(what_was_stored_is_told_over_a_restart) {
  char folder[64];
  served_folder(folder);
  desk stored;
  desk_init(&stored, 1);
  chat_hooks hooks = hooks_of(&stored);
  hooks.after_store = on_stored;
  chat_server *server = served_new(&hooks);
  served_keep_in(server, folder);
  served_start(server);
  chat_server_send send = served_direct("alice", "bob", "first");
  ck_assert_int_eq(chat_server_request_send(server, 1, &send), 0);
  ck_assert_int_eq(served_status(server, 1), 0);
  question lost = await_question(&stored);
  send = served_direct("alice", "bob", "second");
  ck_assert_int_eq(chat_server_request_send(server, 2, &send), 0);
  ck_assert_int_eq(served_status(server, 2), 0);
  ck_assert_int_eq(chat_server_stop(server, 100), CHAT_E_TIMEOUT); /* it is still with the hook */
  chat_server_free(server);
  chat_ticket_answer(lost.ticket, 0); /* the server is gone: only the ticket's memory goes */

  desk_init(&stored, 0);
  server = served_new(&hooks);
  served_keep_in(server, folder);
  served_start(server);
  bool told[3] = {false};
  while (!told[1] || !told[2]) {
    question again = await_question(&stored);
    ck_assert_uint_le(again.seq, 2);
    ck_assert_str_eq(again.text, again.seq == 1 ? "first" : "second");
    told[again.seq] = true;
  }
  served_end(server);
  served_folder_remove(folder);
}
END_TEST

enum { STORED = 300, TAKEN = 120 };

/* Takes the first TAKEN and leaves the next one lying. */
static void take_some(void *arg, chat_ticket *ticket, const chat_stored *stored) {
  (void)arg;
  if (stored->seq <= TAKEN) chat_ticket_answer(ticket, 0);
}

static uint64_t running_ms(void *arg) {
  (void)arg;
  return served_now_ms();
}

static uint64_t standing_ms(void *arg) {
  (void)arg;
  return UINT64_C(1700000000000);
}

/* In a process of its own, which ends by kill -9 once all is stored. Some records are refused, and so have no row; the others are as alike as they can be, also in time. */
static void store_and_die(const char *folder) {
  chat_hooks hooks = {.size = sizeof hooks, .after_store = take_some};
  chat_clock clock = {running_ms, standing_ms, NULL};
  chat_server *server = served_new_at(&hooks, &clock);
  served_keep_in(server, folder);
  served_start(server);
  uint8_t id[16], same[16] = {4};
  served_group(server, "alice", "bob", id);
  for (uint64_t n = 2; n <= STORED; n++) {
    if (n % 10 == 0) ck_assert_int_eq(chat_server_request_remove(server, 2, id, "stranger", 8), 0);
    if (n % 10 == 0) ck_assert_int_eq(served_status(server, 2), 0);
    chat_server_send send = served_message("robot", id, "the same again");
    send.as_system = 1;
    if (n / 10 == 15) send.client_id = same; /* ten that only their places tell apart */
    ck_assert_int_eq(chat_server_request_send(server, 1, &send), 0);
    ck_assert_int_eq(served_status(server, 1), 0);
  }
  served_history(server, id, STORED);
  raise(SIGKILL);
}

/* Nothing that was not taken is left out; and what was taken is not told for ever. */
START_TEST(what_was_stored_is_told_over_a_kill) {
  char folder[64];
  served_folder(folder);
  pid_t child = fork();
  if (child == 0) store_and_die(folder);
  int status;
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

  static desk stored;
  desk_init(&stored, 0);
  chat_hooks hooks = hooks_of(&stored);
  hooks.after_store = on_stored;
  chat_server *server = served_new(&hooks);
  served_keep_in(server, folder);
  served_start(server);
  static bool told[STORED + 1];
  for (size_t left = STORED - TAKEN; left > 0;) {
    question again = await_question(&stored);
    ck_assert_uint_le(again.seq, STORED);
    if (again.seq > TAKEN && !told[again.seq]) left--;
    told[again.seq] = true;
  }
  served_end(server);

  desk_init(&stored, 0);
  server = served_new(&hooks);
  served_keep_in(server, folder);
  served_start(server);
  chat_server_send send = served_direct("alice", "bob", "new");
  ck_assert_int_eq(chat_server_request_send(server, 1, &send), 0);
  ck_assert_int_eq(served_status(server, 1), 0);
  ck_assert_str_eq(await_question(&stored).text, "new");
  served_end(server);
  served_folder_remove(folder);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ stop */

START_TEST(hooks_that_are_outstanding_do_not_hold_up_stop) {
  desk incoming;
  desk_init(&incoming, 1);
  chat_hooks hooks = hooks_of(&incoming);
  hooks.before_log = on_incoming;
  chat_server *server = served_new(&hooks);
  served_set(server, "hook-deadline", "60s");
  served_start(server);
  chat_client *alice = peer_live(server, "dev:alice");
  peer_send(alice, "bob", "x");
  question asked = await_question(&incoming);
  uint64_t began_ms = served_now_ms();
  int error = chat_server_stop(server, 500);
  ck_assert(error == 0 || error == CHAT_E_TIMEOUT);
  ck_assert_uint_lt(served_now_ms() - began_ms, 40 * 1000); /* far below the hook's deadline */
  chat_server_free(server);
  chat_ticket_answer(asked.ticket, 0);
  chat_ticket_answer(NULL, 0);
  chat_client_free(alice);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {whoever_the_hook_says_is_let_in_later_and_from_another_thread, 0},
      {a_hook_that_refuses_shuts_out, 0},
      {a_hook_that_does_not_answer_lets_nobody_in, 0},
      {what_the_hook_refuses_does_not_get_into_the_log, 0},
      {a_message_that_nobody_judges_in_time_is_refused, 0},
      {what_the_embedder_sends_is_not_asked_about, 0},
      {each_action_is_asked_about_and_may_be_forbidden, 0},
      {an_action_that_is_allowed_happens, 0},
      {what_was_stored_is_told_until_it_is_taken, 0},
      {what_was_stored_is_told_over_a_restart, 0},
      {what_was_stored_is_told_over_a_kill, 0},
      {hooks_that_are_outstanding_do_not_hold_up_stop, 0},
  };
  return RUN_TESTS("server_hooks", rows);
}
