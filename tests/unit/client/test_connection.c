/* SPDX-License-Identifier: Apache-2.0 */
/* The connection: back-off, refusals of HELLO, farewells, the token's life, silence. */
#include "client/brain/owner.h"
#include "unit/client/script.h"
#include "unit/core/run.h"

enum { MINUTE_MS = 60000, TOKEN_EARLY_MS = 60000 };

static ch_client_event *last_state(script *s) {
  ch_client_event *last = NULL;
  for (ch_client_event *event = script_event(s, CHAT_EVENT_STATE); event; event = script_event(s, CHAT_EVENT_STATE)) {
    ch_client_event_free(last);
    last = event;
  }
  ck_assert_ptr_nonnull(last);
  return last;
}

static void check_state(script *s, uint32_t state, int status) {
  ch_client_event *event = last_state(s);
  ck_assert_uint_eq(event->event.state, state);
  ck_assert_int_eq(event->event.status, status);
  ch_client_event_free(event);
}

static void refuse_hello(script *s, int code, uint32_t retry_after_ms) {
  script_say(s, (ch_server_message){.tag = script_last(s, CH_HELLO)->tag, .op = CH_ERROR, .u.error = {.code = code, .retry_after_ms = retry_after_ms}});
}

static void say_goodbye(script *s, int code, uint32_t after_ms) {
  script_say(s, (ch_server_message){.op = CH_GOODBYE, .u.goodbye = {.code = code, .reconnect_after_ms = after_ms}});
}

static void lose(script *s, int status) {
  s->is_open = false;
  ch_brain_closed(s->brain, status, s->now);
  script_pump(s);
}

/* How long it takes until the next attempt, at most ms. */
static uint64_t until_open(script *s, uint64_t ms) {
  uint64_t begun_ms = s->now.elapsed_ms;
  while (!s->is_open && s->now.elapsed_ms < begun_ms + ms)
    script_wait(s, 1);
  return s->now.elapsed_ms - begun_ms;
}

/* ------------------------------------------------------------------------------------------------ back-off */

/* Uniform in 0..min(max, min * 2^n): never above the bound, not always near it, and growing. */
START_TEST(back_off_is_jittered_and_bounded) {
  uint64_t sums[12] = {0};
  for (uint64_t seed = 1; seed <= 40; seed++) {
    script *s = script_new();
    s->random = seed;
    script_start(s);
    for (unsigned n = 0; n < 12; n++) {
      lose(s, CHAT_E_IO);
      uint64_t bound_ms = n < 7 ? 500u << n : 60000, waited_ms = until_open(s, 61000);
      ck_assert(s->is_open);
      ck_assert_uint_le(waited_ms, bound_ms + 1);
      sums[n] += waited_ms;
    }
    script_free(s);
  }
  for (unsigned n = 0; n < 12; n++) { /* the mean of forty lies near the middle */
    uint64_t mean_ms = sums[n] / 40, bound_ms = n < 7 ? 500u << n : 60000;
    ck_assert_uint_gt(mean_ms, bound_ms / 4);
    ck_assert_uint_lt(mean_ms, bound_ms * 3 / 4);
  }
}
END_TEST

START_TEST(back_off_begins_anew_after_being_live) {
  script *s = script_new();
  script_start(s);
  for (int i = 0; i < 10; i++) {
    lose(s, CHAT_E_IO);
    until_open(s, 61000);
  }
  script_say(s, script_welcome(device_a, 1));
  script_sync(s, NULL, 0, 10);
  lose(s, CHAT_E_IO);
  ck_assert_uint_le(until_open(s, 61000), 501);
  script_free(s);
}
END_TEST

START_TEST(hint_ends_the_back_off) {
  script *s = script_new();
  script_start(s);
  for (int i = 0; i < 10; i++) {
    lose(s, CHAT_E_IO);
    until_open(s, 61000);
  }
  lose(s, CHAT_E_IO);
  ck_assert(!s->is_open);
  ch_brain_network_hint(s->brain, CHAT_NETWORK_UP, s->now);
  script_pump(s);
  ck_assert(s->is_open);
  script_free(s);
}
END_TEST

/* A server that never answers HELLO, or a transport that never opens. */
START_TEST(silence_at_the_door) {
  script *s = script_new();
  script_start(s);
  script_wait(s, 10001);
  ck_assert_uint_eq(s->sessions, 1); /* or the next one after its back-off */
  until_open(s, 1000);
  ck_assert_uint_eq(s->sessions, 2);
  script_free(s);
}
END_TEST

START_TEST(heartbeat_unanswered_ends_the_session) {
  script *s = script_online();
  script_wait(s, HEARTBEAT_MS);
  script_expect(s, CH_HEARTBEAT);
  script_wait(s, IDLE_MS);
  check_state(s, CHAT_STATE_CONNECTING, CHAT_E_TIMEOUT);
  script_free(s);
}
END_TEST

/* One moment without memory does not make it mute for as long as the server believes in it. */
START_TEST(what_could_not_be_said_makes_a_new_session) {
  script *s = script_online();
  s->brain->connection.session.out.error = CHAT_E_NOMEM;
  script_wait(s, 0);
  check_state(s, CHAT_STATE_CONNECTING, CHAT_E_NOMEM);
  script_reopen(s);
  script_connect(s, 2);
  script_free(s);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ refusals, farewells */

START_TEST(shut_out_until_something_is_set_anew) {
  static const int codes[] = {CHAT_E_AUTH, CHAT_E_REVOKED, CHAT_E_VERSION, CHAT_E_LIMIT};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    script *s = script_new();
    script_start(s);
    refuse_hello(s, codes[i], 0);
    check_state(s, CHAT_STATE_SHUT_OUT, codes[i]);
    script_wait(s, 10 * MINUTE_MS);
    ch_brain_network_hint(s->brain, CHAT_NETWORK_CHANGED, s->now);
    script_pump(s);
    ck_assert_uint_eq(s->sessions, 1);
    if (i % 2) ch_brain_url_changed(s->brain, s->now);
    else ch_brain_set_token(s->brain, TEXT("another"), s->now);
    script_pump(s);
    ck_assert_uint_eq(s->sessions, 2);
    script_free(s);
  }
}
END_TEST

START_TEST(farewells) {
  static const struct {
    int code;
    uint32_t state;
  } rows[] = {{CHAT_E_REPLACED, CHAT_STATE_SHUT_OUT}, {CHAT_E_REVOKED, CHAT_STATE_SHUT_OUT}, {CHAT_E_AUTH, CHAT_STATE_SHUT_OUT}, {CHAT_E_EXPIRED, CHAT_STATE_OFFLINE},
              {CHAT_E_AGAIN, CHAT_STATE_CONNECTING}, {CHAT_E_PROTOCOL, CHAT_STATE_CONNECTING}, {CHAT_E_TIMEOUT, CHAT_STATE_CONNECTING}, {CHAT_E_TOO_LARGE, CHAT_STATE_CONNECTING}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    script *s = script_online();
    s->config.backoff_min_ms = 500;
    say_goodbye(s, rows[i].code, 5000);
    check_state(s, rows[i].state, rows[i].code);
    script_wait(s, 10000);
    ck_assert_int_eq(s->sessions > 1, rows[i].state == CHAT_STATE_CONNECTING);
    script_free(s);
  }
}
END_TEST

/* Reconnects are spread over what the server says; one that says 0 for ever is not hammered. */
START_TEST(drain_is_followed) {
  uint64_t most_ms = 0;
  for (uint64_t seed = 1; seed <= 30; seed++) {
    script *s = script_online();
    s->random = seed;
    say_goodbye(s, CHAT_E_AGAIN, 20000);
    uint64_t waited_ms = until_open(s, MINUTE_MS);
    ck_assert_uint_le(waited_ms, 20001);
    most_ms = waited_ms > most_ms ? waited_ms : most_ms;
    script_free(s);
  }
  ck_assert_uint_gt(most_ms, 10000);
  script *s = script_new();
  script_start(s);
  for (uint64_t end_ms = s->now.elapsed_ms + MINUTE_MS; s->now.elapsed_ms < end_ms && s->sessions < 1000; script_wait(s, 1))
    if (s->is_open) say_goodbye(s, CHAT_E_AGAIN, 0);
  ck_assert_uint_le(s->sessions, 40);
  script_free(s);
}
END_TEST

START_TEST(hello_again_later) {
  script *s = script_new();
  script_start(s);
  refuse_hello(s, CHAT_E_AGAIN, 7000);
  uint64_t waited_ms = until_open(s, MINUTE_MS);
  ck_assert_uint_ge(waited_ms, 7000);
  ck_assert_uint_le(waited_ms, 7502);
  script_free(s);
}
END_TEST

/* CONFLICT means a restored database; of a client that has no device yet it means nothing, and must not go round and round. */
START_TEST(conflict_without_a_device_is_an_error) {
  script *s = script_new();
  script_start(s);
  for (uint64_t end_ms = s->now.elapsed_ms + MINUTE_MS; s->now.elapsed_ms < end_ms && s->sessions < 1000; script_wait(s, 1))
    if (s->is_open) refuse_hello(s, CHAT_E_CONFLICT, 0);
  ck_assert_uint_le(s->sessions, 40);
  script_free(s);
}
END_TEST

START_TEST(nonsense_ends_the_session) {
  static const uint8_t garbage[] = {0x03, 0xff, 0xff, 0xff};
  script *s = script_online();
  ch_brain_frame(s->brain, (chat_bytes){garbage, sizeof garbage}, s->now);
  script_pump(s);
  check_state(s, CHAT_STATE_CONNECTING, CHAT_E_PROTOCOL);
  script_free(s);
  s = script_online();
  uint8_t *large = calloc(1, CHAT_FRAME_MAX + 1);
  ch_brain_frame(s->brain, (chat_bytes){large, CHAT_FRAME_MAX + 1}, s->now);
  script_pump(s);
  check_state(s, CHAT_STATE_CONNECTING, CHAT_E_TOO_LARGE);
  free(large);
  script_free(s);
  s = script_online();
  script_say(s, script_welcome(device_a, 5)); /* a second one */
  check_state(s, CHAT_STATE_CONNECTING, CHAT_E_PROTOCOL);
  script_free(s);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ token */

static script *with_token_until(uint64_t ms_from_now) {
  script *s = script_new();
  script_start(s);
  ch_server_message welcome = script_welcome(device_a, 1);
  welcome.u.welcome.token_expires_ms = s->now.wall_ms + ms_from_now;
  script_say(s, welcome);
  script_sync(s, NULL, 0, 10);
  return s;
}

START_TEST(end_of_the_token_is_told_once_and_early) {
  script *s = with_token_until(TOKEN_EARLY_MS + 20000);
  script_wait(s, 19999);
  script_no_event(s, CHAT_EVENT_TOKEN);
  script_wait(s, 1);
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_TOKEN);
  ck_assert_uint_eq(event->event.until_ms, s->now.wall_ms + TOKEN_EARLY_MS);
  ck_assert_int_eq(event->event.status, 0);
  ch_client_event_free(event);
  script_wait(s, 10000);
  script_no_event(s, CHAT_EVENT_TOKEN);
  ch_brain_set_token(s->brain, TEXT("the next"), s->now);
  script_pump(s);
  const ch_client_message *renew = script_expect(s, CH_RENEW_TOKEN);
  ck_assert_mem_eq(renew->u.token.data, "the next", 8);
  script_say(s, (ch_server_message){.tag = renew->tag, .op = CH_OK});
  ck_assert_uint_eq(s->sessions, 1); /* in place */
  script_free(s);
}
END_TEST

START_TEST(new_token_that_is_refused_is_told) {
  script *s = script_online();
  ch_brain_set_token(s->brain, TEXT("bad"), s->now);
  script_pump(s);
  script_say(s, (ch_server_message){.tag = script_expect(s, CH_RENEW_TOKEN)->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_AUTH}});
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_TOKEN);
  ck_assert_int_eq(event->event.status, CHAT_E_AUTH);
  ch_client_event_free(event);
  ck_assert(s->is_open); /* the session lives on with the old one */
  script_free(s);
}
END_TEST

START_TEST(expired_token_waits_for_another) {
  script *s = script_new();
  script_start(s);
  refuse_hello(s, CHAT_E_EXPIRED, 0);
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_TOKEN);
  ck_assert_int_eq(event->event.status, CHAT_E_EXPIRED);
  ch_client_event_free(event);
  check_state(s, CHAT_STATE_OFFLINE, CHAT_E_EXPIRED);
  script_wait(s, 10 * MINUTE_MS);
  ck_assert_uint_eq(s->sessions, 1);
  ch_brain_set_token(s->brain, TEXT("another"), s->now);
  script_pump(s);
  ck_assert_uint_eq(s->sessions, 2);
  script_free(s);
}
END_TEST

/* One that is too long never goes out. */
START_TEST(token_has_its_bound) {
  static uint8_t large[CHAT_TOKEN_MAX + 1];
  script *s = script_online();
  memset(large, 'x', sizeof large);
  ch_brain_set_token(s->brain, (chat_bytes){large, sizeof large}, s->now);
  script_pump(s);
  script_expect_none(s, CH_RENEW_TOKEN);
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_TOKEN);
  ck_assert_int_eq(event->event.status, CHAT_E_TOO_LARGE);
  ch_client_event_free(event);
  ch_brain_set_token(s->brain, (chat_bytes){large, CHAT_TOKEN_MAX}, s->now);
  script_pump(s);
  script_expect(s, CH_RENEW_TOKEN);
  script_free(s);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {back_off_is_jittered_and_bounded, 0},
      {back_off_begins_anew_after_being_live, 0},
      {hint_ends_the_back_off, 0},
      {silence_at_the_door, 0},
      {heartbeat_unanswered_ends_the_session, 0},
      {what_could_not_be_said_makes_a_new_session, 0},
      {shut_out_until_something_is_set_anew, 0},
      {farewells, 0},
      {drain_is_followed, 0},
      {hello_again_later, 0},
      {conflict_without_a_device_is_an_error, 0},
      {nonsense_ends_the_session, 0},
      {end_of_the_token_is_told_once_and_early, 0},
      {new_token_that_is_refused_is_told, 0},
      {expired_token_waits_for_another, 0},
      {token_has_its_bound, 0},
  };
  return RUN_TESTS("connection", rows);
}
