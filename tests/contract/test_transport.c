/* SPDX-License-Identifier: Apache-2.0 */
/* What a transport owes (chat/backend.h): transport_lws against a server of sockets, plain and TLS; transport_mem against a thread that is its other end. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/transport_lws.h"
#include "mem_server.h"
#include "unit/core/failing_allocator.h"
#include "ws_server.h"

static ws_server server;
static mem_server mem;
static bool in_memory;
static chat_transport *transport;
static char pin[65], ca_file[] = "/tmp/chat-test-ca-XXXXXX";
static bool has_ca_file;

static void begin(ws_upgrade upgrade, SSL_CTX *tls) {
  if (in_memory) {
    chat_transport_peer *peer;
    ck_assert_int_eq(chat_transport_mem_new(NULL, &transport, &peer), 0);
    mem_server_start(&mem, peer, upgrade);
    return;
  }
  ws_server_start(&server, upgrade, tls);
  ck_assert_int_eq(ch_transport_lws_new(NULL, &transport), 0);
}

static void begin_tls(const char *host) {
  close(mkstemp(ca_file));
  has_ca_file = true;
  begin(WS_GOOD, ws_server_tls(host, pin, ca_file));
}

static void choose_memory(void) {
  in_memory = true;
}

static void teardown(void) {
  transport->vtable->free(transport->self);
  if (in_memory) {
    mem_server_stop(&mem);
    return;
  }
  ws_server_stop(&server);
  if (has_ca_file) unlink(ca_file);
}

/* "%d" stands for the port. */
static int open_url(const char *text, const char *ca, const char *wanted_pin, const char *address) {
  char url[128];
  const char *port = strstr(text, "%d");
  if (port) snprintf(url, sizeof url, "%.*s%d%s", (int)(port - text), text, server.port, port + 2);
  else snprintf(url, sizeof url, "%s", text);
  chat_transport_target target = {sizeof target, url, ca, wanted_pin, address};
  return transport->vtable->open(transport->self, &target);
}

static void open_plain(void) {
  ck_assert_int_eq(open_url("ws://127.0.0.1:%d/chat", NULL, NULL, NULL), 0);
}

/* The next event, however long it takes (ctest ends what never comes). */
static chat_transport_event next_event(void) {
  chat_transport_event event;
  for (;;) {
    transport->vtable->poll(transport->self, &event);
    if (event.type != CHAT_TRANSPORT_NONE) return event;
    ck_assert_int_eq(transport->vtable->wait(transport->self, 30000), 0);
  }
}

static void expect_open(void) {
  chat_transport_event event = next_event();
  ck_assert_uint_eq(event.type, CHAT_TRANSPORT_OPEN);
}

static void expect_message(const void *data, size_t len) {
  chat_transport_event event = next_event();
  ck_assert_uint_eq(event.type, CHAT_TRANSPORT_MESSAGE);
  ck_assert_uint_eq(event.message.len, len);
  ck_assert_mem_eq(event.message.data, data, len);
}

static void expect_closed(int status) {
  chat_transport_event event = next_event();
  ck_assert_uint_eq(event.type, CHAT_TRANSPORT_CLOSED);
  ck_assert_int_eq(event.status, status);
}

static int send_text(const char *text) {
  return transport->vtable->send(transport->self, (chat_bytes){(const uint8_t *)text, strlen(text)});
}

static void say(const char *text) {
  ck_assert_int_eq(send_text(text), 0);
}

START_TEST(opens_and_carries) {
  begin(WS_GOOD, NULL);
  ck_assert_int_eq(send_text("early"), CHAT_E_CLOSED);
  open_plain();
  ck_assert_int_eq(open_url("ws://127.0.0.1:%d", NULL, NULL, NULL), CHAT_E_BUSY);
  expect_open();
  say("one");
  say("two");
  expect_message("one", 3);
  expect_message("two", 3);
}
END_TEST

START_TEST(carries_every_size) {
  static const size_t lens[] = {1, 125, 126, 4095, 4096, 4097, 65535, 65536, CHAT_FRAME_MAX};
  begin(WS_GOOD, NULL);
  open_plain();
  expect_open();
  uint8_t *data = malloc(CHAT_FRAME_MAX + 1);
  for (size_t i = 0; i <= CHAT_FRAME_MAX; i++)
    data[i] = (uint8_t)(i * 7 + i / 256);
  for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
    ck_assert_int_eq(transport->vtable->send(transport->self, (chat_bytes){data, lens[i]}), 0);
    expect_message(data, lens[i]);
  }
  ck_assert_int_eq(transport->vtable->send(transport->self, (chat_bytes){data, CHAT_FRAME_MAX + 1}), CHAT_E_TOO_LARGE);
  free(data);
}
END_TEST

START_TEST(fragments_are_one_message) {
  begin(WS_GOOD, NULL);
  open_plain();
  expect_open();
  say("!parts");
  expect_message("abcdef", 6);
  say("after");
  expect_message("after", 5);
}
END_TEST

static const struct {
  const char *text;
  int status;
} ends[] = {{"!close 1000", CHAT_E_CLOSED}, {"!close 1001", CHAT_E_CLOSED}, {"!close 1002", CHAT_E_PROTOCOL}, {"!close 1009", CHAT_E_TOO_LARGE},
            {"!drop", CHAT_E_IO},           {"!text", CHAT_E_PROTOCOL},     {"!huge", CHAT_E_TOO_LARGE}};

START_TEST(an_end_has_its_status) {
  begin(WS_GOOD, NULL);
  open_plain();
  expect_open();
  say(ends[_i].text);
  expect_closed(ends[_i].status);
  ck_assert_int_eq(send_text("late"), CHAT_E_CLOSED);
  open_plain(); /* and it may begin again */
  expect_open();
  say("again");
  expect_message("again", 5);
}
END_TEST

static const struct {
  ws_upgrade upgrade;
  int status;
} upgrades[] = {{WS_SILENT_SUBPROTOCOL, CHAT_E_PROTOCOL}, {WS_OTHER_SUBPROTOCOL, CHAT_E_PROTOCOL}, {WS_REFUSED, CHAT_E_CLOSED}};

START_TEST(a_bad_upgrade_has_its_status) {
  begin(upgrades[_i].upgrade, NULL);
  open_plain();
  expect_closed(upgrades[_i].status);
}
END_TEST

START_TEST(nobody_listens) {
  begin(WS_GOOD, NULL);
  ck_assert_int_eq(open_url("ws://127.0.0.1:1", NULL, NULL, NULL), 0);
  expect_closed(CHAT_E_IO);
}
END_TEST

static void expect_invalid(const char *const *urls, size_t count) {
  begin(WS_GOOD, NULL);
  for (size_t i = 0; i < count; i++) {
    chat_transport_target target = {sizeof target, urls[i], NULL, NULL, NULL};
    ck_assert_int_eq(transport->vtable->open(transport->self, &target), CHAT_E_INVALID);
  }
}

START_TEST(bad_urls_are_invalid) {
  static const char *const urls[] = {"", "http://a", "ws:/a", "ws://", "wss://"};
  expect_invalid(urls, sizeof urls / sizeof *urls);
  open_plain(); /* and it is not open yet */
  expect_open();
}
END_TEST

START_TEST(urls_that_no_connection_can_be_made_to_are_invalid) {
  static const char *const urls[] = {"ws://:80", "ws://a:0", "ws://a:65536", "ws://a:x", "ws://[::1", "ws://[]", "ws://a b", "ws://u@a", "ws://a/\r\nX: y"};
  expect_invalid(urls, sizeof urls / sizeof *urls);
  ck_assert_int_eq(open_url("wss://a:%d", "none", NULL, NULL), CHAT_E_INVALID);
  ck_assert_int_eq(open_url("wss://a:%d", NULL, "12", NULL), CHAT_E_INVALID);
}
END_TEST

START_TEST(the_send_queue_is_bounded) {
  begin(WS_GOOD, NULL);
  open_plain();
  expect_open();
  say("!mute 200");
  char *text = malloc(1 << 18);
  memset(text, 'x', 1 << 18);
  int sent = 0;
  while (transport->vtable->send(transport->self, (chat_bytes){(uint8_t *)text, 1 << 18}) == 0) {
    ck_assert_int_lt(++sent, 5);
  }
  ck_assert_int_eq(send_text("x"), sent == 4 ? CHAT_E_AGAIN : 0); /* 4 x 256 KiB, and the request before them */
  for (int i = 0; i < sent; i++)
    expect_message(text, 1 << 18);
  free(text);
}
END_TEST

START_TEST(a_flood_waits_and_keeps_its_order) {
  begin(WS_GOOD, NULL);
  open_plain();
  expect_open();
  say("!flood 5000");
  for (int i = 0; i < 5000; i++) {
    int number;
    chat_transport_event event = next_event();
    ck_assert_uint_eq(event.type, CHAT_TRANSPORT_MESSAGE);
    memcpy(&number, event.message.data, sizeof number);
    ck_assert_int_eq(number, i);
  }
}
END_TEST

START_TEST(close_is_at_once_and_silent) {
  chat_transport_event event;
  begin(WS_GOOD, NULL);
  open_plain();
  expect_open();
  say("lost");
  transport->vtable->close(transport->self);
  transport->vtable->wait(transport->self, 0);
  transport->vtable->poll(transport->self, &event);
  ck_assert_uint_eq(event.type, CHAT_TRANSPORT_NONE);
  open_plain();
  transport->vtable->close(transport->self); /* never connected */
  open_plain();
  expect_open();
}
END_TEST

START_TEST(the_descriptor_tells) {
  chat_transport_event event = {0};
  begin(WS_GOOD, NULL);
  struct pollfd fd = {.fd = transport->vtable->fd(transport->self), .events = POLLIN};
  ck_assert_int_eq(poll(&fd, 1, 0), 0);
  open_plain();
  int messages = 0;
  bool is_open = false;
  while (messages < 3) { /* what a caller-driven loop does */
    ck_assert_int_eq(poll(&fd, 1, 30000), 1);
    transport->vtable->wait(transport->self, 0);
    transport->vtable->poll(transport->self, &event);
    if (event.type == CHAT_TRANSPORT_OPEN) is_open = true;
    if (event.type == CHAT_TRANSPORT_OPEN)
      for (int i = 0; i < 3; i++) say("hello");
    if (event.type == CHAT_TRANSPORT_MESSAGE) messages++;
  }
  ck_assert(is_open);
  for (int i = 0; i < 4; i++) transport->vtable->wait(transport->self, 0);
  ck_assert_int_eq(poll(&fd, 1, 0), 0);
}
END_TEST

static void *interrupt_it(void *arg) {
  (void)arg;
  poll(NULL, 0, 20);
  transport->vtable->interrupt(transport->self);
  return NULL;
}

START_TEST(interrupt_ends_a_wait) {
  pthread_t thread;
  begin(WS_GOOD, NULL);
  for (int i = 0; i < 3; i++) {
    pthread_create(&thread, NULL, interrupt_it, NULL);
    ck_assert_int_eq(transport->vtable->wait(transport->self, -1), 0);
    pthread_join(thread, NULL);
    transport->vtable->wait(transport->self, 0);
    ck_assert_int_eq(poll(&(struct pollfd){.fd = transport->vtable->fd(transport->self), .events = POLLIN}, 1, 0), 0); /* once is once */
  }
}
END_TEST

START_TEST(tls_with_ca_and_pin) {
  begin_tls("127.0.0.1");
  ck_assert_int_eq(open_url("wss://127.0.0.1:%d/chat", ca_file, pin, NULL), 0);
  expect_open();
  say("sealed");
  expect_message("sealed", 6);
  say("!flood 2000");
  for (int i = 0; i < 2000; i++) ck_assert_uint_eq(next_event().type, CHAT_TRANSPORT_MESSAGE);
}
END_TEST

START_TEST(tls_by_name_at_an_address) {
  begin_tls("chat.example");
  ck_assert_int_eq(open_url("wss://chat.example:%d", ca_file, NULL, "127.0.0.1"), 0);
  expect_open();
}
END_TEST

START_TEST(tls_by_pin_alone) {
  begin_tls("other.example");
  ck_assert_int_eq(open_url("wss://127.0.0.1:%d", "none", pin, NULL), 0);
  expect_open();
}
END_TEST

START_TEST(tls_refuses) {
  static const char wrong_pin[] = "0000000000000000000000000000000000000000000000000000000000000000";
  const struct {
    const char *url, *ca, *pin;
  } cases[] = {
      {"wss://127.0.0.1:%d", NULL, NULL},                 /* authority not known */
      {"wss://127.0.0.1:%d", NULL, pin},                  /* the pin holds, the chain does not */
      {"wss://127.0.0.1:%d", ca_file, wrong_pin},         /* the other way round */
      {"wss://127.0.0.1:%d", "none", wrong_pin},
      {"wss://localhost:%d", ca_file, pin},               /* another name than the certificate's */
      {"wss://127.0.0.1:%d", "/nowhere/ca.pem", NULL},
  };
  begin_tls("127.0.0.1");
  ck_assert_int_eq(open_url(cases[_i].url, cases[_i].ca, cases[_i].pin, "127.0.0.1"), 0);
  expect_closed(CHAT_E_TLS);
}
END_TEST

static void *chat_alone(void *arg) {
  (void)arg;
  chat_transport *own;
  chat_transport_event event = {0};
  char url[64];
  snprintf(url, sizeof url, "wss://127.0.0.1:%d", server.port);
  chat_transport_target target = {sizeof target, url, ca_file, pin, NULL};
  bool good = ch_transport_lws_new(NULL, &own) == 0 && own->vtable->open(own->self, &target) == 0;
  while (good && event.type == CHAT_TRANSPORT_NONE) {
    own->vtable->wait(own->self, 30000);
    own->vtable->poll(own->self, &event);
  }
  good = good && event.type == CHAT_TRANSPORT_OPEN;
  own->vtable->free(own->self);
  return good ? arg : NULL;
}

START_TEST(several_in_one_process) {
  pthread_t threads[4];
  begin_tls("127.0.0.1");
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, chat_alone, &server);
  for (int i = 0; i < 4; i++) {
    void *good;
    pthread_join(threads[i], &good);
    ck_assert_ptr_nonnull(good);
  }
}
END_TEST

/* ------------------------------------------------------------------------------------------------ the other end of a transport in memory */

static chat_transport_peer *peer;

static void setup_pair(void) {
  in_memory = true;
  ck_assert_int_eq(chat_transport_mem_new(NULL, &transport, &peer), 0);
}

static void teardown_pair(void) {
  if (transport) transport->vtable->free(transport->self);
  chat_transport_peer_free(peer);
}

static void expect_peer(uint32_t type, const char *message) {
  chat_transport_event event;
  chat_transport_peer_wait(peer, type == CHAT_TRANSPORT_NONE ? 0 : 30000, &event);
  ck_assert_uint_eq(event.type, type);
  ck_assert_uint_eq(event.message.len, strlen(message));
  if (event.message.len > 0) ck_assert_mem_eq(event.message.data, message, event.message.len);
}

static int peer_send(const char *text) {
  return chat_transport_peer_send(peer, (chat_bytes){(const uint8_t *)text, strlen(text)});
}

START_TEST(the_peer_sees_what_the_client_does) {
  expect_peer(CHAT_TRANSPORT_NONE, "");
  ck_assert_int_eq(chat_transport_peer_accept(peer), CHAT_E_CLOSED);
  ck_assert_int_eq(chat_transport_peer_close(peer, CHAT_E_IO), CHAT_E_CLOSED);
  ck_assert_int_eq(open_url("ws://somewhere/chat", NULL, NULL, NULL), 0);
  expect_peer(CHAT_TRANSPORT_OPEN, "ws://somewhere/chat");
  ck_assert_int_eq(peer_send("early"), CHAT_E_CLOSED);
  ck_assert_int_eq(send_text("early"), CHAT_E_CLOSED);
  ck_assert_int_eq(chat_transport_peer_accept(peer), 0);
  expect_open();
  say("hello");
  say("again");
  transport->vtable->close(transport->self);
  expect_peer(CHAT_TRANSPORT_MESSAGE, "hello");
  expect_peer(CHAT_TRANSPORT_MESSAGE, "again");
  expect_peer(CHAT_TRANSPORT_CLOSED, "");
  ck_assert_int_eq(peer_send("late"), CHAT_E_CLOSED);
  expect_peer(CHAT_TRANSPORT_NONE, "");
}
END_TEST

START_TEST(what_was_sent_before_the_end_arrives_before_it) {
  open_plain();
  ck_assert_int_eq(chat_transport_peer_accept(peer), 0);
  ck_assert_int_eq(peer_send("last words"), 0);
  ck_assert_int_eq(chat_transport_peer_close(peer, CHAT_E_TIMEOUT), 0);
  expect_open();
  expect_message("last words", 10);
  expect_closed(CHAT_E_TIMEOUT);
}
END_TEST

START_TEST(a_new_open_is_a_new_connection) {
  open_plain();
  ck_assert_int_eq(chat_transport_peer_accept(peer), 0);
  say("of the old one");
  ck_assert_int_eq(peer_send("too"), 0);
  transport->vtable->close(transport->self);
  ck_assert_int_eq(open_url("ws://b", NULL, NULL, NULL), 0);
  expect_peer(CHAT_TRANSPORT_OPEN, "ws://b");
  ck_assert_int_eq(chat_transport_peer_accept(peer), 0);
  expect_open();
  ck_assert_int_eq(peer_send("new"), 0);
  expect_message("new", 3);
}
END_TEST

START_TEST(the_peer_s_queue_is_bounded) {
  static const uint8_t text[1 << 18];
  open_plain();
  ck_assert_int_eq(chat_transport_peer_accept(peer), 0);
  for (int i = 0; i < 4; i++)
    ck_assert_int_eq(chat_transport_peer_send(peer, (chat_bytes){text, sizeof text}), 0);
  ck_assert_int_eq(peer_send("x"), CHAT_E_AGAIN);
  expect_open();
  expect_message(text, sizeof text);
  ck_assert_int_eq(peer_send("x"), 0);
}
END_TEST

START_TEST(without_the_peer_it_is_as_without_a_server) {
  open_plain();
  ck_assert_int_eq(chat_transport_peer_accept(peer), 0);
  chat_transport_peer_free(peer);
  peer = NULL;
  expect_open();
  expect_closed(CHAT_E_IO);
  open_plain();
  expect_closed(CHAT_E_IO);
}
END_TEST

START_TEST(the_client_s_end_may_go_first) {
  open_plain();
  ck_assert_int_eq(chat_transport_peer_accept(peer), 0);
  say("bye");
  transport->vtable->free(transport->self);
  transport = NULL;
  expect_peer(CHAT_TRANSPORT_OPEN, "ws://127.0.0.1:0/chat");
  expect_peer(CHAT_TRANSPORT_MESSAGE, "bye");
  expect_peer(CHAT_TRANSPORT_CLOSED, "");
  ck_assert_int_eq(peer_send("x"), CHAT_E_CLOSED);
}
END_TEST

/* Each step fails alone, is repeated, and leaves nothing behind. */
START_TEST(memory_may_run_out) {
  failing_allocator memory;
  chat_transport *client;
  chat_transport_peer *other;
  chat_transport_target target = {.size = sizeof target, .url = "ws://a"};
  chat_transport_event event;
  failing_allocator_init(&memory, 0);
  ck_assert_int_eq(chat_transport_mem_new(&memory.alloc, &client, &other), CHAT_E_NOMEM);
  memory.left = 1;
  ck_assert_int_eq(chat_transport_mem_new(&memory.alloc, &client, &other), 0);
  ck_assert_int_eq(client->vtable->open(client->self, &target), CHAT_E_NOMEM);
  memory.left = 1;
  ck_assert_int_eq(client->vtable->open(client->self, &target), 0);
  ck_assert_int_eq(chat_transport_peer_accept(other), CHAT_E_NOMEM);
  memory.left = 1;
  ck_assert_int_eq(chat_transport_peer_accept(other), 0);
  ck_assert_int_eq(client->vtable->send(client->self, (chat_bytes){(const uint8_t *)"x", 1}), CHAT_E_NOMEM);
  ck_assert_int_eq(chat_transport_peer_send(other, (chat_bytes){(const uint8_t *)"x", 1}), CHAT_E_NOMEM);
  ck_assert_int_eq(chat_transport_peer_close(other, CHAT_E_IO), CHAT_E_NOMEM);
  client->vtable->poll(client->self, &event);
  ck_assert_uint_eq(event.type, CHAT_TRANSPORT_OPEN);
  client->vtable->poll(client->self, &event);
  ck_assert_uint_eq(event.type, CHAT_TRANSPORT_NONE);
  client->vtable->free(client->self);
  chat_transport_peer_free(other);
  ck_assert_uint_eq(memory.live, 0);
}
END_TEST

static void add_contract(TCase *tcase) {
  tcase_add_test(tcase, opens_and_carries);
  tcase_add_test(tcase, carries_every_size);
  tcase_add_test(tcase, fragments_are_one_message);
  tcase_add_loop_test(tcase, an_end_has_its_status, 0, sizeof ends / sizeof *ends);
  tcase_add_loop_test(tcase, a_bad_upgrade_has_its_status, 0, sizeof upgrades / sizeof *upgrades);
  tcase_add_test(tcase, bad_urls_are_invalid);
  tcase_add_test(tcase, the_send_queue_is_bounded);
  tcase_add_test(tcase, a_flood_waits_and_keeps_its_order);
  tcase_add_test(tcase, close_is_at_once_and_silent);
  tcase_add_test(tcase, the_descriptor_tells);
  tcase_add_test(tcase, interrupt_ends_a_wait);
}

int main(void) {
  Suite *suite = suite_create("transport");
  TCase *lws = tcase_create("lws"), *tls = tcase_create("lws with TLS"), *memory = tcase_create("mem"), *pair = tcase_create("mem, the other end");
  tcase_add_checked_fixture(memory, choose_memory, teardown);
  tcase_add_checked_fixture(pair, setup_pair, teardown_pair);
  tcase_add_checked_fixture(lws, NULL, teardown);
  tcase_add_checked_fixture(tls, NULL, teardown);
  tcase_set_timeout(lws, 60);
  tcase_set_timeout(tls, 60);
  add_contract(lws);
  add_contract(memory);
  tcase_add_test(lws, nobody_listens);
  tcase_add_test(lws, urls_that_no_connection_can_be_made_to_are_invalid);
  tcase_add_test(pair, the_peer_sees_what_the_client_does);
  tcase_add_test(pair, what_was_sent_before_the_end_arrives_before_it);
  tcase_add_test(pair, a_new_open_is_a_new_connection);
  tcase_add_test(pair, the_peer_s_queue_is_bounded);
  tcase_add_test(pair, without_the_peer_it_is_as_without_a_server);
  tcase_add_test(pair, the_client_s_end_may_go_first);
  tcase_add_test(pair, memory_may_run_out);
  tcase_add_test(tls, tls_with_ca_and_pin);
  tcase_add_test(tls, tls_by_name_at_an_address);
  tcase_add_test(tls, tls_by_pin_alone);
  tcase_add_loop_test(tls, tls_refuses, 0, 6);
  tcase_add_test(tls, several_in_one_process);
  suite_add_tcase(suite, lws);
  suite_add_tcase(suite, tls);
  suite_add_tcase(suite, memory);
  suite_add_tcase(suite, pair);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
