/* SPDX-License-Identifier: Apache-2.0 */
/* new, set, start, stop, free: what goes together, what is undone, and what a deadline is worth. */
#define _XOPEN_SOURCE 700

#include <chat/backend.h>
#include <pthread.h>
#include <stdatomic.h>

#include "backend/log_mem.h"
#include "unit/core/failing_allocator.h"
#include "unit/core/run.h"
#include "unit/server/served.h"

/* ------------------------------------------------------------------------------------------------ new */

START_TEST(another_version_is_refused) {
  chat_server *server;
  chat_server_config small = {.size = 2};
  chat_hooks none = {.size = 0};
  chat_server_config hooked = {.size = sizeof hooked, .hooks = &none};
  ck_assert_int_eq(chat_server_new(CHAT_API_VERSION + (1u << 16), NULL, &server), CHAT_E_VERSION);
  ck_assert_ptr_null(server);
  ck_assert_int_eq(chat_server_new(CHAT_API_VERSION + 1, NULL, &server), CHAT_E_VERSION);
  ck_assert_int_eq(chat_server_new(CHAT_API_VERSION, NULL, NULL), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_new(CHAT_API_VERSION, &small, &server), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_new(CHAT_API_VERSION, &hooked, &server), CHAT_E_INVALID);
  chat_server_free(NULL);
}
END_TEST

/* A program that was compiled with an older, shorter header. */
START_TEST(a_shorter_config_is_one_whose_rest_is_not_set) {
  chat_server_config config = {.size = sizeof config.size, .hooks = (const chat_hooks *)8, .store = (chat_backend *)8};
  chat_server *server;
  ck_assert_int_eq(chat_server_new(CHAT_API_VERSION, &config, &server), 0);
  chat_server_free(server);
}
END_TEST

START_TEST(memory_that_runs_out_is_reported_and_given_back) {
  failing_allocator memory;
  chat_server *server = NULL;
  size_t left = 0;
  for (;; left++) {
    failing_allocator_init(&memory, left);
    chat_server_config config = {.size = sizeof config, .allocator = &memory.alloc};
    int error = chat_server_new(CHAT_API_VERSION, &config, &server);
    if (!error) break;
    ck_assert_int_eq(error, CHAT_E_NOMEM);
    ck_assert_uint_eq(memory.live, 0);
  }
  ck_assert_uint_gt(left, 0);
  chat_server_free(server);
  ck_assert_uint_eq(memory.live, 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ options */

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fputs(text, file);
  fclose(file);
}

START_TEST(a_wrong_option_is_named) {
  chat_server *server = served_new(NULL);
  ck_assert_int_eq(chat_server_set(server, "no-such-option", "1"), CHAT_E_UNSUPPORTED);
  ck_assert_ptr_nonnull(strstr(chat_server_problem(server), "no-such-option"));
  ck_assert_int_eq(chat_server_set(server, "threads", "many"), CHAT_E_INVALID);
  ck_assert_ptr_nonnull(strstr(chat_server_problem(server), "threads"));
  ck_assert_int_eq(chat_server_set(server, "threads", "2"), 0);
  ck_assert_str_eq(chat_server_problem(server), "");
  ck_assert_int_eq(chat_server_set(server, NULL, "2"), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_set(NULL, "threads", "2"), CHAT_E_INVALID);
  served_start(server);
  ck_assert_int_eq(chat_server_set(server, "threads", "3"), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_start(server), CHAT_E_INVALID);
  served_end(server);
}
END_TEST

START_TEST(a_file_of_options_says_which_line_is_wrong) {
  char folder[64], path[96];
  uint32_t line;
  served_folder(folder);
  snprintf(path, sizeof path, "%s/options", folder);
  chat_server *server = served_new(NULL);
  write_file(path, "# a comment\n\nthreads = 2\nheartbeat = never\n");
  ck_assert_int_eq(chat_server_set_file(server, path, &line), CHAT_E_INVALID);
  ck_assert_uint_eq(line, 4);
  write_file(path, "colour = red\n");
  ck_assert_int_eq(chat_server_set_file(server, path, &line), CHAT_E_UNSUPPORTED);
  ck_assert_uint_eq(line, 1);
  write_file(path, "threads = 2");
  ck_assert_int_eq(chat_server_set_file(server, path, &line), 0);
  ck_assert_uint_eq(line, 0);
  remove(path);
  ck_assert_int_eq(chat_server_set_file(server, path, NULL), CHAT_E_IO);
  ck_assert_int_eq(chat_server_set_file(server, NULL, NULL), CHAT_E_INVALID);
  chat_server_free(server);
  served_folder_remove(folder);
}
END_TEST

/* Each row: one option set to what does not go with the others, the error, and a word of the sentence. */
START_TEST(options_that_do_not_go_together_are_refused) {
  static const struct {
    const char *name, *value;
    int error;
    const char *word;
  } rows[] = {
      {"listen", "0.0.0.0:0", CHAT_E_INVALID, "dev-mode"},
      {"listen", "example.com:0", CHAT_E_INVALID, "listen"},
      {"listen", "127.0.0.1", CHAT_E_INVALID, "listen"},
      {"metrics", "nowhere", CHAT_E_INVALID, "metrics"},
      {"tls-cert", "/dev/null", CHAT_E_INVALID, "tls-key"},
      {"dev-mode", "false", CHAT_E_INVALID, "jwt-key"},
      {"jwt-key", "hs256:k:/dev/null", CHAT_E_INVALID, "dev-mode"},
      {"idle", "15s", CHAT_E_INVALID, "heartbeat"},
      {"roles", "gateway,cook", CHAT_E_INVALID, "roles"},
      {"roles", ",", CHAT_E_INVALID, "roles"},
      {"roles", "gateway", CHAT_E_INVALID, "roles"},
      {"roles", "sequencer,deliverer", CHAT_E_INVALID, "one process"},
      {"store", "sqlite", CHAT_E_INVALID, "log mem"},
      {"store", "cassandra", CHAT_E_UNSUPPORTED, "cassandra"},
      {"log", "kafka", CHAT_E_UNSUPPORTED, "kafka"},
      {"directory", "etcd://secret", CHAT_E_UNSUPPORTED, "no backend for etcd"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    chat_server *server = served_new(NULL);
    served_set(server, rows[i].name, rows[i].value);
    int error = chat_server_start(server);
    ck_assert_msg(error == rows[i].error, "%s %s: %s: %s", rows[i].name, rows[i].value, chat_error_name(error), chat_server_problem(server));
    ck_assert_msg(strstr(chat_server_problem(server), rows[i].word), "%s %s: %s", rows[i].name, rows[i].value, chat_server_problem(server));
    ck_assert_int_eq(chat_server_port(server, "listen"), 0);
    chat_server_free(server);
  }
}
END_TEST

START_TEST(what_stops_a_start_may_be_put_right) {
  chat_server *server = served_new(NULL);
  served_set(server, "roles", "gateway");
  ck_assert_int_eq(chat_server_start(server), CHAT_E_INVALID);
  served_set(server, "roles", "deliverer, gateway,sequencer");
  served_start(server);
  ck_assert_int_gt(chat_server_port(server, "listen"), 0);
  ck_assert_int_eq(chat_server_port(server, "metrics"), 0);
  ck_assert_int_eq(chat_server_port(server, "else"), 0);
  served_end(server);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ several */

START_TEST(several_servers_live_in_one_process) {
  chat_server *one = served_start(served_new(NULL)), *two = served_start(served_new(NULL));
  ck_assert_int_ne(chat_server_port(one, "listen"), chat_server_port(two, "listen"));
  chat_client *alice = peer_live(one, "dev:alice"), *alice_too = peer_live(two, "dev:alice");
  peer_send(alice, "bob", "in the first");
  ck_assert_int_eq(peer_await_outcome(alice), 0);
  served_end(one);
  peer_send(alice_too, "bob", "in the second, which goes on");
  ck_assert_int_eq(peer_await_outcome(alice_too), 0);
  chat_client_free(alice);
  chat_client_free(alice_too);
  served_end(two);
}
END_TEST

START_TEST(two_servers_do_not_share_their_files) {
  char folder[64];
  served_folder(folder);
  chat_server *one = served_new(NULL), *two = served_new(NULL);
  served_keep_in(one, folder);
  served_keep_in(two, folder);
  served_start(one);
  ck_assert_int_eq(chat_server_start(two), CHAT_E_BUSY);
  ck_assert_str_ne(chat_server_problem(two), "");
  served_end(one);
  served_start(two); /* the lock went with its owner */
  served_end(two);
  served_folder_remove(folder);
}
END_TEST

START_TEST(a_port_that_is_taken_is_said_so) {
  chat_server *one = served_start(served_new(NULL)), *two = served_new(NULL);
  char listen[64], sentence[64];
  snprintf(listen, sizeof listen, "127.0.0.1:%d", chat_server_port(one, "listen"));
  snprintf(sentence, sizeof sentence, "cannot listen at port %d", chat_server_port(one, "listen"));
  served_set(two, "listen", listen);
  ck_assert_int_eq(chat_server_start(two), CHAT_E_IO);
  ck_assert_ptr_nonnull(strstr(chat_server_problem(two), sentence));
  chat_server_free(two);
  served_end(one);
}
END_TEST

/* Sessions of every thread, and what one sends reaches another. */
START_TEST(threads_share_the_port) {
  enum { CLIENTS = 12 };
  chat_server *server = served_new(NULL);
  served_set(server, "threads", "4");
  served_start(server);
  chat_client *clients[CLIENTS];
  for (int i = 0; i < CLIENTS; i++) {
    char token[32];
    snprintf(token, sizeof token, "dev:user%d", i);
    clients[i] = peer_live(server, token);
  }
  for (int i = 0; i < CLIENTS; i++) {
    char next[32];
    snprintf(next, sizeof next, "user%d", (i + 1) % CLIENTS);
    peer_send(clients[i], next, "pass it on");
  }
  for (int i = 0; i < CLIENTS; i++) {
    const chat_event *event;
    do event = peer_await(clients[i], CHAT_EVENT_MESSAGE);
    while (event->messages[0]->own);
  }
  for (int i = 0; i < CLIENTS; i++) chat_client_free(clients[i]);
  served_end(server);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ stop */

START_TEST(clients_are_sent_away_and_nothing_is_lost) {
  char folder[64], listen[64];
  served_folder(folder);
  chat_server *server = served_new(NULL);
  served_keep_in(server, folder);
  served_start(server);
  snprintf(listen, sizeof listen, "127.0.0.1:%d", chat_server_port(server, "listen"));
  chat_client *alice = peer_live(server, "dev:alice"), *bob = peer_live(server, "dev:bob");
  for (int i = 0; i < 20; i++) peer_send(alice, "bob", "on the way");
  served_end(server);
  for (int i = 0; i < 20; i++) peer_send(alice, "bob", "to nobody yet");

  server = served_new(NULL);
  served_keep_in(server, folder);
  served_set(server, "listen", listen);
  served_start(server);
  uint64_t seen = 0;
  while (seen < 40) {
    const chat_event *event = peer_await(bob, CHAT_EVENT_MESSAGE);
    ck_assert_uint_eq(event->messages[0]->seq, seen + 1); /* in order, none twice */
    seen++;
  }
  chat_client_free(alice);
  chat_client_free(bob);
  served_end(server);
  served_folder_remove(folder);
}
END_TEST

START_TEST(stop_is_once) {
  chat_server *server = served_new(NULL);
  ck_assert_int_eq(chat_server_stop(server, 0), CHAT_E_CLOSED);
  served_start(server);
  ck_assert_int_eq(chat_server_stop(server, STOP_MS), 0);
  ck_assert_int_eq(chat_server_stop(server, STOP_MS), CHAT_E_CLOSED);
  ck_assert_int_eq(chat_server_start(server), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_reload(server), CHAT_E_CLOSED);
  chat_server_free(server);
  ck_assert_int_eq(chat_server_stop(NULL, 0), CHAT_E_INVALID);
}
END_TEST

START_TEST(free_ends_one_that_runs) {
  chat_server *server = served_start(served_new(NULL));
  chat_client *alice = peer_live(server, "dev:alice");
  chat_server_free(server);
  chat_client_free(alice);
}
END_TEST

static void stop_inside(void *arg, chat_ticket *ticket, const chat_login *login) {
  (void)login;
  _Atomic int *answer = ((void **)arg)[1];
  atomic_store(answer, chat_server_stop(((void **)arg)[0], 1000));
  chat_ticket_answer_user(ticket, "alice", 5, NULL, 0);
}

static void stop_inside_after_store(void *arg, chat_ticket *ticket, const chat_stored *stored) {
  (void)stored;
  _Atomic int *answer = ((void **)arg)[2];
  atomic_store(answer, chat_server_stop(((void **)arg)[0], 1000));
  chat_ticket_answer(ticket, 0);
}

/* It would wait for its own thread. */
START_TEST(stop_inside_a_hook_is_an_error_and_not_a_deadlock) {
  _Atomic int at_gateway = 1, at_deliverer = 1;
  void *shared[] = {NULL, &at_gateway, &at_deliverer};
  chat_hooks hooks = {.size = sizeof hooks, .arg = shared, .authenticate = stop_inside, .after_store = stop_inside_after_store};
  chat_server *server = served_new(&hooks);
  shared[0] = server;
  served_start(server);
  chat_client *alice = peer_live(server, "whatever");
  ck_assert_int_eq(atomic_load(&at_gateway), CHAT_E_INVALID);
  peer_send(alice, "bob", "x");
  ck_assert_int_eq(peer_await_outcome(alice), 0);
  for (uint64_t until_ms = served_now_ms() + PATIENCE_MS; atomic_load(&at_deliverer) == 1 && served_now_ms() < until_ms;) served_pause();
  ck_assert_int_eq(atomic_load(&at_deliverer), CHAT_E_INVALID);
  chat_client_free(alice);
  served_end(server);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ a backend that holds on */

/* A log that keeps every append until it is told to let go. */
typedef struct stuck_log {
  pthread_mutex_t lock;
  _Atomic bool saw_append;
} stuck_log;

typedef struct stuck_port {
  chat_wake wake;
  chat_op *done;
  bool is_canceled;
} stuck_port;

static int stuck_port_new(void *self, chat_wake wake, void **port) {
  (void)self;
  stuck_port *made = calloc(1, sizeof *made);
  made->wake = wake;
  *port = made;
  return 0;
}

static void finish(stuck_port *port, chat_op *op, int status) {
  op->status = status;
  op->next = port->done;
  port->done = op;
  port->wake.fn(port->wake.arg);
}

/* What is held, with whose it is: an op's own fields are its submitter's. */
typedef struct held {
  chat_op *op;
  stuck_port *port;
} held;

enum { HELD_MAX = 64 };
static held all_held[HELD_MAX];
static size_t held_count;

static void stuck_port_cancel(void *self, void *handle) {
  stuck_log *log = self;
  stuck_port *port = handle;
  pthread_mutex_lock(&log->lock);
  port->is_canceled = true;
  for (size_t i = 0; i < held_count; i++) {
    if (!all_held[i].op || all_held[i].port != port || all_held[i].op->kind != CHAT_OP_LOG_READ) continue;
    finish(port, all_held[i].op, CHAT_E_CANCELED);
    all_held[i].op = NULL;
  }
  pthread_mutex_unlock(&log->lock);
}

static void stuck_port_free(void *self, void *port) {
  (void)self;
  free(port);
}

static int stuck_submit(void *self, void *handle, chat_op *op) {
  stuck_log *log = self;
  stuck_port *port = handle;
  int error = 0;
  pthread_mutex_lock(&log->lock);
  if (port->is_canceled) {
    error = CHAT_E_CLOSED;
  } else if (op->kind == CHAT_OP_LOG_INFO) {
    ((chat_log_info *)(void *)op)->partition_count = 1;
    finish(port, op, 0);
  } else if (op->kind == CHAT_OP_LOG_READ || op->kind == CHAT_OP_LOG_APPEND) {
    ck_assert_uint_lt(held_count, HELD_MAX);
    all_held[held_count++] = (held){op, port};
    if (op->kind == CHAT_OP_LOG_APPEND) atomic_store(&log->saw_append, true);
  } else {
    finish(port, op, 0);
  }
  pthread_mutex_unlock(&log->lock);
  return error;
}

static chat_op *stuck_poll(void *self, void *handle) {
  stuck_log *log = self;
  stuck_port *port = handle;
  pthread_mutex_lock(&log->lock);
  chat_op *op = port->done;
  if (op) port->done = op->next;
  pthread_mutex_unlock(&log->lock);
  return op;
}

static void stuck_let_go(stuck_log *log) {
  pthread_mutex_lock(&log->lock);
  for (size_t i = 0; i < held_count; i++) {
    if (all_held[i].op) finish(all_held[i].port, all_held[i].op, CHAT_E_UNKNOWN);
    all_held[i].op = NULL;
  }
  pthread_mutex_unlock(&log->lock);
}

static void stuck_free(void *self) {
  (void)self;
}

static void *let_go_later(void *arg) {
  nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
  stuck_let_go(arg);
  return NULL;
}

/* Stop comes back at its deadline; free waits, since the op's memory is the backend's still. */
START_TEST(a_backend_that_holds_on_does_not_hold_up_stop) {
  static const chat_backend_vtable vtable = {sizeof vtable, "stuck", 0, stuck_port_new, stuck_port_cancel, stuck_port_free, stuck_submit, stuck_poll, stuck_free, NULL};
  stuck_log log = {.lock = PTHREAD_MUTEX_INITIALIZER};
  chat_backend backend = {&vtable, &log};
  chat_server_config config = {.size = sizeof config, .message_log = &backend};
  chat_server *server;
  ck_assert_int_eq(chat_server_new(CHAT_API_VERSION, &config, &server), 0);
  served_set(server, "listen", "127.0.0.1:0");
  served_set(server, "metrics", "");
  served_set(server, "dev-mode", "true");
  served_set(server, "store", "mem");
  served_start(server);
  chat_server_send send = served_direct("alice", "bob", "never durable");
  ck_assert_int_eq(chat_server_request_send(server, 1, &send), 0);
  for (uint64_t until_ms = served_now_ms() + PATIENCE_MS; !atomic_load(&log.saw_append) && served_now_ms() < until_ms;) served_pause();
  ck_assert(atomic_load(&log.saw_append));
  ck_assert_int_eq(chat_server_stop(server, 200), CHAT_E_TIMEOUT);
  ck_assert_int_eq(chat_server_stop(server, 200), CHAT_E_CLOSED);
  pthread_t helper;
  ck_assert_int_eq(pthread_create(&helper, NULL, let_go_later, &log), 0);
  chat_server_free(server);
  pthread_join(helper, NULL);
}
END_TEST

static uint64_t wall_clock(void *arg) {
  (void)arg;
  return 1;
}

/* Where heads are derived, users sync by the positions of one partition (chat/backend.h). */
START_TEST(a_log_of_several_partitions_is_refused_by_a_store_that_derives_heads) {
  chat_backend backend;
  ch_log_mem_config log = {.clock = {wall_clock, wall_clock, NULL}, .partitions = {2, 1}, .bytes_max = 1024};
  ck_assert_int_eq(ch_log_mem_new(&log, &backend), 0);
  chat_server_config config = {.size = sizeof config, .message_log = &backend};
  chat_server *server;
  ck_assert_int_eq(chat_server_new(CHAT_API_VERSION, &config, &server), 0);
  served_set(server, "listen", "127.0.0.1:0");
  served_set(server, "metrics", "");
  served_set(server, "dev-mode", "true");
  served_set(server, "store", "mem");
  ck_assert_int_eq(chat_server_start(server), CHAT_E_INVALID);
  ck_assert_ptr_nonnull(strstr(chat_server_problem(server), "partition"));
  chat_server_free(server);
  backend.vtable->free(backend.self);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {another_version_is_refused, 0},
      {a_shorter_config_is_one_whose_rest_is_not_set, 0},
      {memory_that_runs_out_is_reported_and_given_back, 0},
      {a_wrong_option_is_named, 0},
      {a_file_of_options_says_which_line_is_wrong, 0},
      {options_that_do_not_go_together_are_refused, 0},
      {what_stops_a_start_may_be_put_right, 0},
      {several_servers_live_in_one_process, 0},
      {two_servers_do_not_share_their_files, 0},
      {a_port_that_is_taken_is_said_so, 0},
      {threads_share_the_port, 0},
      {clients_are_sent_away_and_nothing_is_lost, 0},
      {stop_is_once, 0},
      {free_ends_one_that_runs, 0},
      {stop_inside_a_hook_is_an_error_and_not_a_deadlock, 0},
      {a_backend_that_holds_on_does_not_hold_up_stop, 0},
      {a_log_of_several_partitions_is_refused_by_a_store_that_derives_heads, 0},
  };
  return RUN_TESTS("server_life", rows);
}
