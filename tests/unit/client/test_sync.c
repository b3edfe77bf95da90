/* SPDX-License-Identifier: Apache-2.0 */
/* V2, V4, V5, V8; what the cache does to them when it fails; events and requests at their bounds. */
#include "unit/core/run.h"
#include "unit/client/script.h"

static uint64_t cursor_of_bob(script *s) {
  return script_bob_now(s).cursor;
}

static uint64_t position(script *s) {
  script_lose(s);
  script_say(s, script_welcome(device_a, 2));
  return script_expect(s, CH_SYNC)->u.position;
}

/* ------------------------------------------------------------------------------------------------ V2 */

START_TEST(v2_position_moves_by_sync_alone) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  chat_row row = script_row_of_bob(s, 2);
  script_live(s, 20, 30, &row, 1);
  ck_assert_uint_eq(cursor_of_bob(s), 2);
  script_skip(s);
  ck_assert_uint_eq(position(s), 20);
  script_free(s);
}
END_TEST

START_TEST(v2_broken_chain_syncs_and_whole_one_does_not) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  script_live(s, 20, 30, NULL, 0);
  script_live(s, 30, 40, NULL, 0);
  script_live(s, 0, 0, NULL, 0); /* a channel's: outside the stream */
  script_wait(s, 2000);
  script_expect_none(s, CH_SYNC);
  script_live(s, 41, 50, NULL, 0);
  script_wait(s, 1000);
  script_expect(s, CH_SYNC);
  script_free(s);
}
END_TEST

START_TEST(v2_heartbeat_reply_above_told_or_missing_syncs) {
  const struct {
    uint64_t pos;
    bool syncs;
  } rows[] = {{10, false}, {9, false}, {11, true}, {0, true}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    script *s = script_online();
    script_wait(s, HEARTBEAT_MS);
    script_say(s, (ch_server_message){.tag = script_expect(s, CH_HEARTBEAT)->tag, .op = CH_HEARTBEAT_REPLY, .u.pos = rows[i].pos});
    script_wait(s, 1000);
    ck_assert((script_next(s, CH_SYNC) != NULL) == rows[i].syncs);
    script_free(s);
  }
}
END_TEST

START_TEST(v2_asked_during_a_sync_makes_another) {
  script *s = script_online();
  script_live(s, 0, 20, NULL, 0);
  script_wait(s, 0);
  script_live(s, 0, 21, NULL, 0); /* while that one is under way */
  script_sync(s, NULL, 0, 20);
  script_wait(s, 0);
  ck_assert_uint_eq(script_expect(s, CH_SYNC)->u.position, 20);
  script_free(s);
}
END_TEST

START_TEST(v2_heads_and_position_commit_together) {
  for (uint64_t nth = 1; nth < 12; nth++) {
    script *s = script_online();
    chat_head head = script_head_of_bob(3);
    script_live(s, 0, 20, NULL, 0);
    script_wait(s, 0);
    ch_cache_mem_fail(s->cache, nth, CHAT_E_IO);
    script_sync(s, &head, 1, 20);
    ch_cache_mem_fail(s->cache, 0, 0);
    ch_client_event *reply = script_ask(s, (ch_client_request){.kind = CH_REQ_CONVERSATIONS, .limit = 10});
    bool is_known = reply->event.conversation_count == 1;
    ch_client_event_free(reply);
    script_skip(s);
    ck_assert_uint_eq(position(s), is_known ? 20 : 10);
    script_free(s);
  }
}
END_TEST

/* ------------------------------------------------------------------------------------------------ V4, V5, P4 */

START_TEST(live_out_of_order_is_held_then_fetched) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  chat_row rows[] = {script_row_of_bob(s, 2), script_row_of_bob(s, 3), script_row_of_bob(s, 4)};
  script_live(s, 20, 21, &rows[1], 1);
  ck_assert_uint_eq(cursor_of_bob(s), 1);
  script_live(s, 21, 22, &rows[0], 1);
  ck_assert_uint_eq(cursor_of_bob(s), 3);
  chat_row late = script_row_of_bob(s, 5);
  script_live(s, 22, 23, &late, 1);
  script_wait(s, HOLD_MS - 1);
  script_expect_none(s, CH_RANGE);
  script_wait(s, 1);
  script_range(s, CH_RANGE_COMPLETE, 5, 5, (chat_row[]){rows[2], late}, 2);
  ck_assert_uint_eq(cursor_of_bob(s), 5);
  script_free(s);
}
END_TEST

START_TEST(v4_fetched_at_every_heartbeat_until_it_is_there) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  ch_head_hint hint = {.head = 2};
  memcpy(hint.conversation_id, script_bob(), 16);
  script_say(s, (ch_server_message){.op = CH_LIVE, .u.live = {.previous = 20, .position = 21, .heads = &hint, .head_count = 1}});
  script_say(s, (ch_server_message){.tag = script_expect(s, CH_RANGE)->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_AGAIN}});
  ck_assert_uint_eq(cursor_of_bob(s), 1); /* an error never moves it */
  script_wait(s, HEARTBEAT_MS);
  chat_row row = script_row_of_bob(s, 2);
  script_range(s, CH_RANGE_COMPLETE, 1, 1, NULL, 0); /* an older state: complete, but not for us */
  script_expect_none(s, CH_RANGE);
  script_wait(s, HEARTBEAT_MS);
  script_range(s, CH_RANGE_COMPLETE, 2, 2, &row, 1);
  ck_assert_uint_eq(cursor_of_bob(s), 2);
  script_wait(s, HEARTBEAT_MS);
  script_expect_none(s, CH_RANGE);
  script_free(s);
}
END_TEST

START_TEST(v5_floor_passes_what_is_nothing_for_us) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  ch_head_hint hint = {.head = 9};
  memcpy(hint.conversation_id, script_bob(), 16);
  script_say(s, (ch_server_message){.op = CH_LIVE, .u.live = {.previous = 20, .position = 21, .heads = &hint, .head_count = 1}});
  const ch_client_message *range = script_expect(s, CH_RANGE);
  ch_server_message reply = {.tag = range->tag, .op = CH_RANGE_REPLY, .u.range_reply = {.status = CH_RANGE_MORE, .low = 8, .high = 8, .head = 9, .floor = 8}};
  memcpy(reply.u.range_reply.conversation_id, script_bob(), 16);
  script_say(s, reply);
  ck_assert_uint_eq(cursor_of_bob(s), 8);
  chat_row row = script_row_of_bob(s, 9);
  script_range(s, CH_RANGE_COMPLETE, 9, 9, &row, 1);
  ck_assert_uint_eq(cursor_of_bob(s), 9);
  script_free(s);
}
END_TEST

START_TEST(new_conversation_begins_at_the_prefetch) {
  script *s = script_online();
  chat_head head = script_head_of_bob(1000);
  head.delivered = 900;
  script_live(s, 0, 20, NULL, 0);
  script_wait(s, 0);
  script_sync(s, &head, 1, 20);
  ck_assert_uint_eq(script_expect(s, CH_RANGE)->u.range.low, 800);
  script_free(s);
}
END_TEST

typedef struct asked_page {
  uint64_t tag, low;
} asked_page;

static asked_page expect_page(script *s, uint64_t low) {
  const ch_client_message *range = script_expect(s, CH_RANGE);
  asked_page page = {range->tag, range->u.range.low};
  ck_assert_uint_eq(page.low, low);
  return page;
}

static void answer_page(script *s, asked_page page, uint64_t high) {
  chat_row rows[CHAT_PAGE_MAX];
  ch_server_message reply = {.tag = page.tag, .op = CH_RANGE_REPLY,
                             .u.range_reply = {.status = high < 1000 ? CH_RANGE_MORE : CH_RANGE_COMPLETE, .low = page.low, .high = high, .head = 1000, .events = rows}};
  for (uint64_t seq = page.low + 1; seq <= high; seq++)
    rows[reply.u.range_reply.event_count++] = script_row_of_bob(s, seq);
  memcpy(reply.u.range_reply.conversation_id, script_bob(), 16);
  script_say(s, reply);
}

/* Two pages are under way; one that was asked for ahead and does not fit (the one before it came later, or was cut short) is asked for again. */
START_TEST(a_long_history_is_asked_for_ahead) {
  script *s = script_online();
  chat_head head = script_head_of_bob(1000);
  script_live(s, 0, 20, NULL, 0);
  script_wait(s, 0);
  script_sync(s, &head, 1, 20);
  answer_page(s, expect_page(s, 0), 200);
  asked_page next = expect_page(s, 200), ahead = expect_page(s, 400);
  script_expect_none(s, CH_RANGE);
  answer_page(s, ahead, 600);
  ck_assert_uint_eq(cursor_of_bob(s), 200);
  script_expect_none(s, CH_RANGE);
  answer_page(s, next, 300);
  ck_assert_uint_eq(cursor_of_bob(s), 300);
  answer_page(s, expect_page(s, 300), 500);
  next = expect_page(s, 500);
  ahead = expect_page(s, 700);
  answer_page(s, next, 600);
  script_expect_none(s, CH_RANGE);
  answer_page(s, ahead, 900);
  ck_assert_uint_eq(cursor_of_bob(s), 600);
  answer_page(s, expect_page(s, 600), 800);
  answer_page(s, expect_page(s, 800), 1000);
  ck_assert_uint_eq(cursor_of_bob(s), 1000);
  script_expect_none(s, CH_RANGE);
  script_free(s);
}
END_TEST

START_TEST(unknown_type_is_stored_and_moves_the_cursor) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  chat_row row = script_row_of_bob(s, 2);
  row.type = 77;
  row.payload = TEXT("from later");
  script_live(s, 20, 21, &row, 1);
  ck_assert_uint_eq(cursor_of_bob(s), 2);
  ch_client_request request = {.kind = CH_REQ_HISTORY, .limit = 1};
  memcpy(request.conversation_id, script_bob(), 16);
  ch_client_event *reply = script_ask(s, request);
  ck_assert_uint_eq(reply->event.messages[0]->type, 77);
  ck_assert_uint_eq(reply->event.messages[0]->payload.len, 10);
  ch_client_event_free(reply);
  script_free(s);
}
END_TEST

/* P4: whatever call fails, rows and cursor are together, and what was missed comes again. */
START_TEST(cache_failure_at_each_call_loses_nothing) {
  for (uint64_t nth = 1; nth < 24; nth++) {
    script *s = script_online();
    script_know_bob(s, 1, 20);
    chat_row rows[] = {script_row_of_bob(s, 2), script_row_of_bob(s, 3)};
    script_skip(s);
    ch_cache_mem_fail(s->cache, nth, CHAT_E_FULL);
    script_live(s, 20, 21, rows, 2);
    script_wait(s, 6000);
    ch_cache_mem_fail(s->cache, 0, 0);
    uint64_t cursor = cursor_of_bob(s);
    ck_assert(cursor == 1 || cursor == 3);
    script_wait(s, HEARTBEAT_MS);
    if (cursor == 1) script_range(s, CH_RANGE_COMPLETE, 3, 3, rows, 2);
    ck_assert_uint_eq(cursor_of_bob(s), 3);
    ch_client_request request = {.kind = CH_REQ_HISTORY, .limit = 10};
    memcpy(request.conversation_id, script_bob(), 16);
    ch_client_event *reply = script_ask(s, request);
    ck_assert_uint_eq(reply->event.message_count, 3);
    ch_client_event_free(reply);
    script_free(s);
  }
}
END_TEST

/* ------------------------------------------------------------------------------------------------ V8, P5 */

START_TEST(v8_delivered_is_durable) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  script_wait(s, 1000);
  script_skip(s);
  chat_row row = script_row_of_bob(s, 2);
  script_live(s, 20, 21, &row, 1);
  script_wait(s, 1000);
  const ch_client_message *receipt = script_last(s, CH_RECEIPT);
  uint64_t said = receipt->u.receipt.delivered;
  ck_assert_uint_ge(said, 1);
  ch_brain_free(s->brain);
  ch_cache_mem_power_cut(s->cache);
  script_attach(s, s->cache);
  script_start(s);
  ck_assert_uint_ge(cursor_of_bob(s), said);
  script_free(s);
}
END_TEST

START_TEST(v8_nothing_is_said_without_the_commit) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  script_wait(s, 1000);
  script_say(s, (ch_server_message){.tag = script_expect(s, CH_RECEIPT)->tag, .op = CH_OK});
  script_wait(s, 1000);
  script_skip(s);
  chat_row row = script_row_of_bob(s, 2);
  ch_server_message live = {.op = CH_LIVE, .u.live = {.previous = 20, .position = 21, .events = &row, .event_count = 1}};
  /* begin, row, cover, conversation, commit of the row; then begin, conversation, commit of the flush. */
  ch_cache_mem_fail(s->cache, 8, CHAT_E_IO);
  script_say(s, live);
  script_wait(s, 1000);
  script_expect_none(s, CH_RECEIPT);
  ck_assert_uint_eq(cursor_of_bob(s), 2);
  script_wait(s, 5000);
  ck_assert_uint_eq(script_expect(s, CH_RECEIPT)->u.receipt.delivered, 2);
  script_free(s);
}
END_TEST

START_TEST(read_raises_delivered_and_is_sent) {
  script *s = script_online();
  script_know_bob(s, 3, 20);
  ch_client_request request = {.kind = CH_REQ_MARK_READ, .number = 99};
  memcpy(request.conversation_id, script_bob(), 16);
  ck_assert_uint_eq(script_bob_now(s).unread, 3);
  ck_assert_int_eq(script_do(s, request), 0);
  ck_assert_uint_eq(script_bob_now(s).read, 3);
  ck_assert_uint_eq(script_bob_now(s).unread, 0);
  for (int i = 0; i < 3; i++) {
    script_wait(s, 1000);
    const ch_client_message *receipt = script_next(s, CH_RECEIPT);
    if (!receipt) break;
    script_say(s, (ch_server_message){.tag = receipt->tag, .op = CH_OK});
  }
  ck_assert_uint_eq(script_last(s, CH_RECEIPT)->u.receipt.read, 3);
  script_free(s);
}
END_TEST

/* What another of one's devices sent is not unread here, whether its event comes first or its head; what somebody else's still is, stays so. */
START_TEST(own_message_from_another_device_is_read) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  ch_client_request request = {.kind = CH_REQ_MARK_READ, .number = 1};
  memcpy(request.conversation_id, script_bob(), 16);
  ck_assert_int_eq(script_do(s, request), 0);
  chat_head head = script_head_of_bob(2);
  chat_row row = script_row_of_bob(s, 2);
  row.sender = TEXT("alice");
  script_live(s, 0, 21, NULL, 0);
  script_wait(s, 0);
  script_sync(s, &head, 1, 21);
  script_range(s, CH_RANGE_COMPLETE, 2, 2, &row, 1);
  ck_assert_uint_eq(script_bob_now(s).unread, 0);
  ck_assert_uint_eq(script_bob_now(s).read, 2);
  chat_row rows[] = {script_row_of_bob(s, 3), script_row_of_bob(s, 4)};
  rows[1].sender = TEXT("alice");
  script_live(s, 21, 22, rows, 2);
  ck_assert_uint_eq(script_bob_now(s).unread, 2);
  ck_assert_uint_eq(script_bob_now(s).read, 2);
  script_free(s);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ connection */

static uint32_t last_state(script *s) {
  uint32_t state = 0;
  for (ch_client_event *event = script_event(s, CHAT_EVENT_STATE); event; event = script_event(s, CHAT_EVENT_STATE)) {
    state = event->event.state;
    ch_client_event_free(event);
  }
  return state;
}

START_TEST(states_are_told) {
  script *s = script_new();
  script_start(s);
  ck_assert_uint_eq(last_state(s), CHAT_STATE_CONNECTING);
  script_say(s, script_welcome(device_a, 1));
  ck_assert_uint_eq(last_state(s), CHAT_STATE_SYNCING);
  script_sync(s, NULL, 0, 10);
  ck_assert_uint_eq(last_state(s), CHAT_STATE_LIVE);
  script_say(s, (ch_server_message){.op = CH_GOODBYE, .u.goodbye = {.code = CHAT_E_REPLACED}});
  ck_assert_uint_eq(last_state(s), CHAT_STATE_SHUT_OUT);
  script_wait(s, 600000);
  ck_assert_uint_eq(s->sessions, 1);
  ch_brain_set_token(s->brain, TEXT("new"), s->now);
  script_pump(s);
  ck_assert_uint_eq(s->sessions, 2);
  script_free(s);
}
END_TEST

/* Whoever waits for a connection is told why there is none: once for each reason, not at each attempt. */
START_TEST(a_failed_attempt_is_told_with_its_reason) {
  script *s = script_new();
  script_start(s);
  ck_assert_uint_eq(last_state(s), CHAT_STATE_CONNECTING);
  ch_brain_closed(s->brain, CHAT_E_IO, s->now);
  script_pump(s);
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_STATE);
  ck_assert_uint_eq(event->event.state, CHAT_STATE_CONNECTING);
  ck_assert_int_eq(event->event.status, CHAT_E_IO);
  ch_client_event_free(event);
  script_wait(s, 500); /* the next attempt */
  ch_brain_closed(s->brain, CHAT_E_IO, s->now);
  script_pump(s);
  script_no_event(s, CHAT_EVENT_STATE);
  script_wait(s, 1000);
  ch_brain_closed(s->brain, CHAT_E_TLS, s->now);
  script_pump(s);
  event = script_event_expect(s, CHAT_EVENT_STATE);
  ck_assert_int_eq(event->event.status, CHAT_E_TLS);
  ch_client_event_free(event);
  script_free(s);
}
END_TEST

START_TEST(session_is_confirmed_only_when_durable) {
  script *s = script_new();
  script_start(s);
  uint64_t durable = ch_cache_mem_durable_commits(s->cache);
  ch_cache_mem_fail(s->cache, 1, CHAT_E_FULL);
  script_say(s, script_welcome(device_a, 1));
  script_expect_none(s, CH_CONFIRM_SESSION);
  ck_assert_uint_eq(ch_cache_mem_durable_commits(s->cache), durable);
  script_reopen(s);
  durable = ch_cache_mem_durable_commits(s->cache); /* one more: who has no device proves that he could keep one */
  script_say(s, script_welcome(device_a, 2));
  script_expect(s, CH_CONFIRM_SESSION);
  ck_assert_uint_eq(ch_cache_mem_durable_commits(s->cache), durable + 1);
  script_free(s);
}
END_TEST

START_TEST(database_belongs_to_one_user) {
  script *s = script_online();
  script_lose(s);
  ch_server_message welcome = script_welcome(device_a, 2);
  welcome.u.welcome.user = TEXT("mallory");
  script_say(s, welcome);
  ck_assert_uint_eq(last_state(s), CHAT_STATE_SHUT_OUT);
  script_expect_none(s, CH_CONFIRM_SESSION);
  script_free(s);
}
END_TEST

START_TEST(suspend_and_resume) {
  script *s = script_online();
  ck_assert_int_eq(script_do(s, script_text("text")), 0);
  script_expect(s, CH_SEND);
  ch_brain_suspend(s->brain, s->now);
  script_pump(s);
  ck_assert(!s->is_open);
  ck_assert_uint_eq(last_state(s), CHAT_STATE_SUSPENDED);
  ch_client_request request = script_text("more");
  ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), CHAT_E_SUSPENDED);
  ck_assert_uint_eq(ch_brain_deadline_ms(s->brain), CH_NEVER_MS);
  ck_assert_int_eq(s->cache->vtable->open(s->cache->self), 0); /* nobody holds it */
  s->cache->vtable->close(s->cache->self);
  ck_assert_int_eq(ch_brain_resume(s->brain, s->now), 0);
  script_pump(s);
  script_connect(s, 2);
  ck_assert_uint_eq(script_expect(s, CH_SEND)->u.send.client_seq, 1);
  script_free(s);
}
END_TEST

START_TEST(damaged_database_is_set_aside) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  ck_assert_int_eq(script_do(s, script_text("text")), 0);
  script_skip(s);
  ch_cache_mem_fail(s->cache, 1, CHAT_E_CORRUPT);
  chat_row row = script_row_of_bob(s, 2);
  script_live(s, 20, 21, &row, 1);
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_DATABASE);
  ck_assert_int_eq(event->event.status, CHAT_E_CORRUPT);
  ch_client_event_free(event);
  if (!s->is_open) script_reopen(s);
  script_say(s, script_welcome(device_a, 2));
  ck_assert_uint_eq(script_expect(s, CH_SYNC)->u.position, 0);
  chat_head head = script_head_of_bob(2);
  s->sent_at--; /* the SYNC is answered here */
  while (s->sent[s->sent_at].op != CH_SYNC)
    s->sent_at--;
  script_sync(s, &head, 1, 21);
  const ch_client_message *send = script_last(s, CH_SEND);
  ck_assert_uint_eq(send->u.send.client_seq, 1);
  ck_assert_uint_eq(send->u.send.retry, 1);
  ck_assert_int_eq(script_do(s, script_text("next")), 0);
  ck_assert_uint_eq(script_last(s, CH_SEND)->u.send.client_seq, 2);
  script_free(s);
}
END_TEST

/* A suspend interrupts statements: the request that it hits says so, and nothing of it is done. */
START_TEST(interrupted_statement_is_a_suspended_request) {
  for (uint64_t nth = 1; nth <= 4; nth++) {
    script *s = script_online();
    ck_assert_int_eq(script_do(s, script_text("first")), 0);
    ch_cache_mem_fail(s->cache, nth, CHAT_E_CANCELED);
    int status = script_do(s, script_text("second"));
    ch_cache_mem_fail(s->cache, 0, 0);
    ck_assert(status == 0 || status == CHAT_E_SUSPENDED);
    ck_assert_uint_eq(script_bob_now(s).pending, status ? 1 : 2);
    script_no_event(s, CHAT_EVENT_DATABASE); /* it is no trouble of the database */
    script_free(s);
  }
}
END_TEST

static int asides_to_fail;
static const chat_cache_vtable *sound;

static int failing_set_aside(void *self, char *name, size_t len) {
  return asides_to_fail-- > 0 ? CHAT_E_FULL : sound->set_aside(self, name, len);
}

/* The disk is full when it happens: nothing is lost by waiting, and the client comes back by itself. */
START_TEST(set_aside_that_fails_is_tried_again) {
  script *s = script_online();
  chat_cache_vtable broken = *s->cache->vtable;
  sound = s->cache->vtable;
  broken.set_aside = failing_set_aside;
  asides_to_fail = 2;
  ck_assert_int_eq(script_do(s, script_text("text")), 0);
  s->cache->vtable = &broken;
  ch_cache_mem_fail(s->cache, 1, CHAT_E_CORRUPT);
  ck_assert_int_eq(script_do(s, script_text("more")), CHAT_E_CORRUPT);
  ck_assert(!s->is_open);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_WHOAMI}), CHAT_E_IO);
  ck_assert_uint_lt(s->now.elapsed_ms, ch_brain_deadline_ms(s->brain)); /* not in a hurry */
  script_wait(s, 6000);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_WHOAMI}), CHAT_E_IO);
  script_wait(s, 6000);
  script_reopen(s);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_WHOAMI}), 0);
  script_skip(s);
  s->sent_at = 0;
  script_last(s, CH_HELLO);
  script_say(s, script_welcome(device_a, 2));
  script_sync(s, NULL, 0, 20);
  ck_assert_uint_eq(script_last(s, CH_SEND)->u.send.client_seq, 1); /* saved */
  s->cache->vtable = sound;
  script_free(s);
}
END_TEST

START_TEST(logout_wipes_what_cannot_be_set_aside) {
  script *s = script_online();
  chat_cache_vtable broken = *s->cache->vtable;
  sound = s->cache->vtable;
  broken.set_aside = failing_set_aside;
  asides_to_fail = 1000;
  s->cache->vtable = &broken;
  ch_cache_mem_fail(s->cache, 1, CHAT_E_CORRUPT);
  ck_assert_int_eq(script_do(s, script_text("text")), CHAT_E_CORRUPT);
  ch_cache_mem_fail(s->cache, 0, 0);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_LOGOUT}), CHAT_E_OFFLINE); /* wiped; the server was not told */
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_WHOAMI}), CHAT_E_OFFLINE); /* it works again, and knows nobody */
  s->cache->vtable = sound;
  script_free(s);
}
END_TEST

static int wipes_to_fail;
static int failing_wipe(void *self) {
  return wipes_to_fail-- > 0 ? CHAT_E_IO : sound->wipe(self);
}

/* What a wipe that failed has left is not known: it is opened anew, and a later logout wipes it. */
START_TEST(a_logout_that_cannot_wipe_says_so_and_can_be_tried_again) {
  script *s = script_online();
  chat_cache_vtable broken = *s->cache->vtable;
  sound = s->cache->vtable;
  broken.wipe = failing_wipe;
  wipes_to_fail = 1;
  s->cache->vtable = &broken;
  script_lose(s);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_LOGOUT}), CHAT_E_IO);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_WHOAMI}), CHAT_E_IO); /* nothing is opened yet, nothing is known */
  script_wait(s, 60000);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_WHOAMI}), 0); /* it is all still there */
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_LOGOUT}), CHAT_E_OFFLINE);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_WHOAMI}), CHAT_E_OFFLINE);
  s->cache->vtable = sound;
  script_free(s);
}
END_TEST

/* Two over one cache: the second does not close it for the first. */
START_TEST(busy_cache_is_left_alone) {
  script *s = script_online();
  ch_env env = {.alloc = NULL, .random = script_random, .random_arg = s};
  ch_brain *second;
  ck_assert_int_eq(ch_brain_new(&env, &s->config, &second), 0);
  ck_assert_int_eq(ch_brain_start(second, s->now), CHAT_E_BUSY);
  ch_brain_free(second);
  ck_assert_int_eq(script_do(s, script_text("text")), 0);
  script_free(s);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ bounds */

START_TEST(queue_overflow_becomes_one_resync) {
  script *s = script_new();
  s->config.events_max = 4;
  ch_brain_free(s->brain);
  script_attach(s, s->cache);
  script_start(s);
  script_connect(s, 1);
  script_know_bob(s, 30, 20);
  int resyncs = 0, others = 0;
  ck_assert_int_eq(ch_brain_request(s->brain, &(ch_client_request){.kind = CH_REQ_WHOAMI, .tag = 5}, s->now), 0);
  bool replied = false;
  for (ch_client_event *event = ch_brain_next_event(s->brain); event; event = ch_brain_next_event(s->brain)) {
    resyncs += event->event.type == CHAT_EVENT_RESYNC;
    if (event->event.type == CHAT_EVENT_RESYNC) ck_assert_uint_eq(event->event.state, CHAT_STATE_LIVE); /* its own event was dropped */
    replied = replied || (event->event.type == CHAT_EVENT_REPLY && event->event.tag == 5);
    others += event->event.type != CHAT_EVENT_RESYNC && event->event.type != CHAT_EVENT_REPLY;
    ch_client_event_free(event);
  }
  ck_assert_int_eq(resyncs, 1);
  ck_assert_int_eq(others, 4);
  ck_assert(replied); /* its place was kept */
  script_free(s);
}
END_TEST

START_TEST(requests_are_bounded_by_replies_not_pulled) {
  script *s = script_online();
  ch_client_request request = {.kind = CH_REQ_WHOAMI};
  for (uint32_t i = 0; i < s->config.requests_max; i++)
    ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0);
  ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), CHAT_E_BUSY);
  ch_client_event_free(script_event_expect(s, CHAT_EVENT_REPLY));
  ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0);
  script_free(s);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ history */

START_TEST(history_fills_its_hole_from_the_server) {
  script *s = script_online();
  chat_head head = script_head_of_bob(1000);
  head.delivered = 999;
  script_live(s, 0, 20, NULL, 0);
  script_wait(s, 0);
  script_sync(s, &head, 1, 20);
  script_range(s, CH_RANGE_COMPLETE, 1000, 1000, NULL, 0);
  ch_client_request request = {.kind = CH_REQ_HISTORY, .limit = 2, .number = 801, .tag = 9};
  memcpy(request.conversation_id, script_bob(), 16);
  ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0);
  script_pump(s);
  const ch_client_message *range = script_expect(s, CH_RANGE);
  ck_assert_uint_eq(range->u.range.high, 800);
  ck_assert_uint_eq(range->u.range.newest_first, 1);
  chat_row rows[] = {script_row_of_bob(s, 799), script_row_of_bob(s, 800)};
  ch_server_message reply = {.tag = range->tag, .op = CH_RANGE_REPLY,
                             .u.range_reply = {.status = CH_RANGE_MORE, .low = 798, .high = 800, .head = 1000, .events = rows, .event_count = 2}};
  memcpy(reply.u.range_reply.conversation_id, script_bob(), 16);
  script_say(s, reply);
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_REPLY);
  ck_assert_int_eq(event->event.status, 0);
  ck_assert_uint_eq(event->event.message_count, 2);
  ck_assert_uint_eq(event->event.messages[0]->seq, 799);
  ck_assert_uint_eq(event->event.more, 1);
  ch_client_event_free(event);
  script_expect_none(s, CH_RANGE);
  /* Once there, it is there offline; what is below it is not. */
  s->is_open = false;
  ch_brain_closed(s->brain, CHAT_E_CLOSED, s->now);
  ck_assert_int_eq(script_do(s, request), 0);
  request.limit = 3;
  ck_assert_int_eq(script_do(s, request), CHAT_E_OFFLINE);
  script_free(s);
}
END_TEST

START_TEST(search_finds_what_was_indexed) {
  script *s = script_online();
  script_know_bob(s, 2, 20);
  script_wait(s, 100);
  ch_client_event *reply = script_ask(s, (ch_client_request){.kind = CH_REQ_SEARCH, .text = TEXT("HELLO b*"), .limit = 1});
  ck_assert_int_eq(reply->event.status, 0);
  ck_assert_uint_eq(reply->event.message_count, 1);
  ck_assert_uint_eq(reply->event.messages[0]->seq, 2);
  ck_assert_uint_eq(reply->event.more, 1);
  ch_client_event_free(reply);
  script_free(s);
}
END_TEST

START_TEST(logout_wipes) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  ch_client_request request = {.kind = CH_REQ_LOGOUT, .tag = 3};
  ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0);
  script_pump(s);
  script_say(s, (ch_server_message){.tag = script_expect(s, CH_REVOKE_DEVICE)->tag, .op = CH_OK});
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_REPLY);
  ck_assert_int_eq(event->event.status, 0);
  ch_client_event_free(event);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_WHOAMI}), CHAT_E_OFFLINE);
  ck_assert(!s->is_open);
  script_free(s);
}
END_TEST

/* Says what a willing server says, until the client has what it wants. */
static void serve(script *s, uint64_t *session) {
  for (int i = 0; i < 8; i++) {
    if (!s->is_open) script_reopen(s);
    if (script_next(s, CH_HELLO)) script_say(s, script_welcome(device_a, ++*session));
    const ch_client_message *sync = script_next(s, CH_SYNC);
    if (sync) script_say(s, (ch_server_message){.tag = sync->tag, .op = CH_SYNC_REPLY, .u.sync_reply = {.position = 10}});
    script_wait(s, 1000);
  }
}

/* Whichever call of logging in and sending fails once: the client comes up again, and what it said is durable is sent. */
START_TEST(every_call_may_fail_once) {
  for (uint64_t nth = 8; nth < 40; nth++) { /* the first seven are those of start, which says so itself */
    script *s = script_new();
    uint64_t session = 0;
    ch_cache_mem_fail(s->cache, nth, CHAT_E_IO);
    script_start(s);
    serve(s, &session);
    int first = script_do(s, script_text("first")), second = script_do(s, script_text("second"));
    ck_assert_int_eq(second == 0 || first == 0, 1);
    serve(s, &session);
    uint64_t expected = (first == 0) + (second == 0);
    ck_assert_uint_eq(script_last(s, CH_SEND)->u.send.client_seq, expected);
    ck_assert_uint_eq(script_bob_now(s).pending, expected);
    script_free(s);
  }
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {v2_position_moves_by_sync_alone, 0},
      {v2_broken_chain_syncs_and_whole_one_does_not, 0},
      {v2_heartbeat_reply_above_told_or_missing_syncs, 0},
      {v2_asked_during_a_sync_makes_another, 0},
      {v2_heads_and_position_commit_together, 0},
      {live_out_of_order_is_held_then_fetched, 0},
      {v4_fetched_at_every_heartbeat_until_it_is_there, 0},
      {v5_floor_passes_what_is_nothing_for_us, 0},
      {new_conversation_begins_at_the_prefetch, 0},
      {a_long_history_is_asked_for_ahead, 0},
      {unknown_type_is_stored_and_moves_the_cursor, 0},
      {cache_failure_at_each_call_loses_nothing, 0},
      {v8_delivered_is_durable, 0},
      {v8_nothing_is_said_without_the_commit, 0},
      {read_raises_delivered_and_is_sent, 0},
      {own_message_from_another_device_is_read, 0},
      {states_are_told, 0},
      {a_failed_attempt_is_told_with_its_reason, 0},
      {session_is_confirmed_only_when_durable, 0},
      {database_belongs_to_one_user, 0},
      {suspend_and_resume, 0},
      {interrupted_statement_is_a_suspended_request, 0},
      {damaged_database_is_set_aside, 0},
      {set_aside_that_fails_is_tried_again, 0},
      {logout_wipes_what_cannot_be_set_aside, 0},
      {a_logout_that_cannot_wipe_says_so_and_can_be_tried_again, 0},
      {busy_cache_is_left_alone, 0},
      {queue_overflow_becomes_one_resync, 0},
      {requests_are_bounded_by_replies_not_pulled, 0},
      {history_fills_its_hole_from_the_server, 0},
      {search_finds_what_was_indexed, 0},
      {logout_wipes, 0},
      {every_call_may_fail_once, 0},
  };
  return RUN_TESTS("sync", rows);
}
