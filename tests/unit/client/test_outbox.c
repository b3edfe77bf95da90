/* SPDX-License-Identifier: Apache-2.0 */
/* Rules C1-C8: each with what it forbids. */
#include "unit/core/run.h"
#include "unit/client/script.h"

/* C1: the number is durable before the first byte, and the reply follows the commit. */
START_TEST(c1_number_is_durable_first) {
  script *s = script_online();
  uint64_t durable = ch_cache_mem_durable_commits(s->cache);
  ck_assert_int_eq(script_do(s, script_text("one")), 0);
  ck_assert_uint_eq(ch_cache_mem_durable_commits(s->cache), durable + 1);
  uint64_t number = script_expect(s, CH_SEND)->u.send.client_seq;
  ch_brain_free(s->brain);
  ch_cache_mem_power_cut(s->cache);
  script_attach(s, s->cache);
  script_start(s);
  script_skip(s);
  ch_server_message welcome = script_welcome(device_a, 2);
  script_say(s, welcome);
  script_sync(s, NULL, 0, 10);
  ck_assert_uint_eq(s->sent[s->sent_at].op, CH_SEND);
  ck_assert_uint_eq(script_expect(s, CH_SEND)->u.send.client_seq, number);
  ck_assert_int_eq(script_do(s, script_text("two")), 0);
  ck_assert_uint_eq(script_expect(s, CH_SEND)->u.send.client_seq, number + 1);
  script_free(s);
}
END_TEST

/* C1: where the commit fails nothing is sent and nothing is there. */
START_TEST(c1_nothing_is_sent_without_its_commit) {
  for (uint64_t nth = 1; nth < 20; nth++) {
    script *s = script_online();
    ch_cache_mem_fail(s->cache, nth, CHAT_E_FULL);
    int status = script_do(s, script_text("one"));
    ck_assert(status == 0 || status == CHAT_E_FULL);
    if (status) script_expect_none(s, CH_SEND);
    else script_expect(s, CH_SEND);
    ch_cache_mem_fail(s->cache, 0, 0);
    ck_assert_int_eq(script_do(s, script_text("two")), 0);
    ck_assert_uint_eq(script_expect(s, CH_SEND)->u.send.client_seq, status ? 1 : 2);
    script_free(s);
  }
}
END_TEST

START_TEST(c2_prev_is_the_highest_lower_that_has_not_ended) {
  script *s = script_online();
  for (int i = 0; i < 3; i++)
    ck_assert_int_eq(script_do(s, script_text("text")), 0);
  const ch_client_message *first = script_expect(s, CH_SEND), *second = script_expect(s, CH_SEND), *third = script_expect(s, CH_SEND);
  ck_assert_uint_eq(first->u.send.prev, 0);
  ck_assert_uint_eq(second->u.send.prev, 1);
  ck_assert_uint_eq(third->u.send.prev, 2);
  script_answer(s, second, CH_REFUSED, CHAT_E_DENIED);
  script_answer(s, third, CH_UNKNOWN, 0);
  script_wait(s, 1000);
  ck_assert_uint_eq(script_expect(s, CH_SEND)->u.send.prev, 1);
  script_free(s);
}
END_TEST

START_TEST(c3_new_session_sends_all_that_has_not_ended) {
  script *s = script_online();
  for (int i = 0; i < 3; i++)
    ck_assert_int_eq(script_do(s, script_text("text")), 0);
  const ch_client_message *first = script_expect(s, CH_SEND), *second = script_expect(s, CH_SEND);
  script_answer(s, first, CH_ACCEPTED, 0);
  script_answer(s, second, CH_REFUSED, CHAT_E_DENIED);
  script_lose(s);
  script_connect(s, 2);
  ck_assert_uint_eq(s->sent[s->sent_at].op, CH_SEND);
  const ch_client_message *again = script_expect(s, CH_SEND);
  ck_assert_uint_eq(again->u.send.client_seq, 1);
  ck_assert_uint_eq(again->u.send.retry, 1);
  again = script_expect(s, CH_SEND);
  ck_assert_uint_eq(again->u.send.client_seq, 3);
  ck_assert_uint_eq(again->u.send.prev, 1);
  script_expect_none(s, CH_SEND);
  script_free(s);
}
END_TEST

START_TEST(c3_accepted_without_an_end_is_sent_again) {
  script *s = script_online();
  ck_assert_int_eq(script_do(s, script_text("text")), 0);
  script_answer(s, script_expect(s, CH_SEND), CH_ACCEPTED, 0);
  script_wait(s, RESEND_MS - 1);
  script_expect_none(s, CH_SEND);
  script_wait(s, 1);
  ck_assert_uint_eq(script_expect(s, CH_SEND)->u.send.retry, 1);
  script_free(s);
}
END_TEST

START_TEST(c3_window_is_kept) {
  script *s = script_online();
  for (int i = 0; i < 40; i++)
    ck_assert_int_eq(script_do(s, script_text("text")), 0);
  const ch_client_message *first = script_expect(s, CH_SEND);
  for (int i = 1; i < 32; i++)
    script_expect(s, CH_SEND);
  script_expect_none(s, CH_SEND);
  script_answer(s, first, CH_ACCEPTED, 0);
  ck_assert_uint_eq(script_expect(s, CH_SEND)->u.send.client_seq, 33);
  script_expect_none(s, CH_SEND);
  script_free(s);
}
END_TEST

START_TEST(c4_first_try_is_of_this_session_and_once) {
  script *s = script_online();
  ck_assert_int_eq(script_do(s, script_text("online")), 0);
  const ch_client_message *send = script_expect(s, CH_SEND);
  ck_assert_uint_eq(send->u.send.retry, 0);
  script_answer(s, send, CH_RETRY, 0);
  script_wait(s, 1000);
  ck_assert_uint_eq(script_expect(s, CH_SEND)->u.send.retry, 1);
  s->is_open = false;
  ch_brain_closed(s->brain, CHAT_E_CLOSED, s->now);
  ck_assert_int_eq(script_do(s, script_text("offline")), 0);
  script_reopen(s);
  script_connect(s, 2);
  ck_assert_uint_eq(script_expect(s, CH_SEND)->u.send.retry, 1);
  ck_assert_uint_eq(script_expect(s, CH_SEND)->u.send.retry, 1);
  script_free(s);
}
END_TEST

START_TEST(c5_silence_makes_a_new_session_not_a_send) {
  script *s = script_online();
  ck_assert_int_eq(script_do(s, script_text("text")), 0);
  script_expect(s, CH_SEND);
  /* The server lives, but never answers the SEND. */
  for (int i = 0; i < 8 && s->sessions == 1; i++) {
    script_wait(s, HEARTBEAT_MS / 2);
    if (s->is_open && s->sessions == 1) script_say(s, (ch_server_message){.op = CH_HEARTBEAT_REPLY, .u.pos = 10});
    if (s->sessions == 1) script_expect_none(s, CH_SEND);
  }
  script_wait(s, 1000);
  ck_assert_uint_eq(s->sessions, 2);
  script_free(s);
}
END_TEST

START_TEST(c5_retry_request_does_not_repeat_what_is_in_flight) {
  script *s = script_online();
  ch_client_event *reply = script_ask(s, script_text("text"));
  ch_client_request retry = {.kind = CH_REQ_RETRY};
  memcpy(retry.client_id, reply->event.client_id, 16);
  ch_client_event_free(reply);
  const ch_client_message *send = script_expect(s, CH_SEND);
  ck_assert_int_eq(script_do(s, retry), 0);
  script_expect_none(s, CH_SEND);
  ch_server_message later = {.op = CH_ANSWER, .u.answer = {.code = CH_RETRY, .client_seq = 1, .retry_after_ms = 30000}};
  memcpy(later.u.answer.conversation_id, send->u.send.conversation_id, 16);
  memcpy(later.u.answer.client_id, send->u.send.client_id, 16);
  script_say(s, later);
  script_wait(s, 5000);
  script_expect_none(s, CH_SEND);
  ck_assert_int_eq(script_do(s, retry), 0);
  script_expect(s, CH_SEND);
  script_free(s);
}
END_TEST

/* C6: what is for another number is ignored; COMMITTED counts for any. */
START_TEST(c6_only_the_present_number_is_answered) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  ck_assert_int_eq(script_do(s, script_text("text")), 0);
  ch_client_message old = *script_expect(s, CH_SEND);
  script_verdict(s, &old, CH_VERDICT_DUP, 1, 1, 0); /* used up by another: not in the history */
  const ch_client_message *anew = script_expect(s, CH_SEND);
  ck_assert_uint_eq(anew->u.send.client_seq, 2);
  script_verdict(s, &old, CH_VERDICT_REFUSED, 1, 1, CHAT_E_DENIED);
  script_no_event(s, 99);
  ck_assert_uint_eq(script_bob_now(s).pending, 1);
  chat_row row = script_row_of(&old, 2);
  script_live(s, 20, 21, &row, 1);
  ck_assert_uint_eq(script_bob_now(s).pending, 0);
  script_free(s);
}
END_TEST

START_TEST(committed_ends_the_row_and_tells_it) {
  script *s = script_online();
  ck_assert_int_eq(script_do(s, script_text("text")), 0);
  const ch_client_message *send = script_expect(s, CH_SEND);
  script_answer(s, send, CH_ACCEPTED, 0);
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_OUTBOX);
  ck_assert_uint_eq(event->event.messages[0]->tick, CHAT_TICK_SENT);
  ck_assert_uint_eq(event->event.messages[0]->seq, 0);
  ch_client_event_free(event);
  chat_row row = script_row_of(send, 1);
  script_live(s, 10, 11, &row, 1);
  event = script_event_expect(s, CHAT_EVENT_OUTBOX);
  ck_assert_uint_eq(event->event.messages[0]->seq, 1);
  ch_client_event_free(event);
  event = script_event_expect(s, CHAT_EVENT_MESSAGE);
  ck_assert_uint_eq(event->event.messages[0]->own, 1);
  ck_assert_mem_eq(event->event.messages[0]->body.data, "text", 4);
  ch_client_event_free(event);
  ck_assert_uint_eq(script_bob_now(s).pending, 0);
  ck_assert_uint_eq(script_bob_now(s).unread, 0);
  script_free(s);
}
END_TEST

/* C7: the client fetches until an answer's own head is at or above the verdict's; an older state proves nothing. */
START_TEST(c7_dup_waits_for_the_head) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  ck_assert_int_eq(script_do(s, script_text("text")), 0);
  ch_client_message send = *script_expect(s, CH_SEND);
  script_verdict(s, &send, CH_VERDICT_DUP, 1, 3, 0);
  chat_row second = script_row_of_bob(s, 2), third = script_row_of(&send, 3);
  script_range(s, CH_RANGE_COMPLETE, 2, 2, &second, 1);
  script_expect_none(s, CH_SEND);
  script_range(s, CH_RANGE_COMPLETE, 3, 3, &third, 1);
  script_expect_none(s, CH_SEND);
  ck_assert_uint_eq(script_bob_now(s).pending, 0);
  script_free(s);
}
END_TEST

static void answer_range(script *s, uint64_t tag, ch_range_status status, uint64_t low, uint64_t high, const chat_row *rows, size_t count) {
  ch_server_message reply = {.tag = tag, .op = CH_RANGE_REPLY,
                             .u.range_reply = {.status = status, .low = low, .high = high, .head = 601, .events = rows, .event_count = count}};
  memcpy(reply.u.range_reply.conversation_id, script_bob(), 16);
  script_say(s, reply);
}

/* A page that was asked for ahead says "complete, up to this head", but what lies before it is not here yet: it proves nothing. */
START_TEST(c7_a_page_that_does_not_fit_proves_nothing) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  ck_assert_int_eq(script_do(s, script_text("text")), 0);
  ch_client_message send = *script_expect(s, CH_SEND);
  ch_head_hint hint = {.head = 601};
  memcpy(hint.conversation_id, script_bob(), 16);
  script_say(s, (ch_server_message){.op = CH_LIVE, .u.live = {.previous = 20, .position = 21, .heads = &hint, .head_count = 1}});
  script_verdict(s, &send, CH_VERDICT_DUP, 1, 601, 0);
  answer_range(s, script_expect(s, CH_RANGE)->tag, CH_RANGE_MORE, 1, 201, NULL, 0);
  uint64_t next = script_expect(s, CH_RANGE)->tag, ahead = script_expect(s, CH_RANGE)->tag;
  answer_range(s, ahead, CH_RANGE_COMPLETE, 401, 601, NULL, 0);
  script_expect_none(s, CH_SEND);
  chat_row own = script_row_of(&send, 300);
  answer_range(s, next, CH_RANGE_MORE, 201, 401, &own, 1);
  script_expect_none(s, CH_SEND);
  ck_assert_uint_eq(script_bob_now(s).pending, 0);
  script_free(s);
}
END_TEST

START_TEST(c7_not_found_takes_a_new_number) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  ck_assert_int_eq(script_do(s, script_text("text")), 0);
  ch_client_message send = *script_expect(s, CH_SEND);
  script_verdict(s, &send, CH_VERDICT_DUP, 1, 2, 0);
  chat_row second = script_row_of_bob(s, 2);
  uint64_t durable = ch_cache_mem_durable_commits(s->cache);
  script_range(s, CH_RANGE_COMPLETE, 2, 2, &second, 1);
  const ch_client_message *anew = script_expect(s, CH_SEND);
  ck_assert_uint_ge(ch_cache_mem_durable_commits(s->cache), durable + 1);
  ck_assert_uint_eq(anew->u.send.client_seq, 2);
  ck_assert_uint_eq(anew->u.send.prev, 0);
  ck_assert_mem_eq(anew->u.send.client_id, send.u.send.client_id, 16);
  script_free(s);
}
END_TEST

START_TEST(c7_other_content_is_a_conflict) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  ck_assert_int_eq(script_do(s, script_text("text")), 0);
  ch_client_message send = *script_expect(s, CH_SEND);
  chat_row row = script_row_of(&send, 2);
  row.payload = script_payload(s, "something else");
  script_live(s, 20, 21, &row, 1);
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_OUTBOX);
  ck_assert_int_eq(event->event.status, CHAT_E_CONFLICT);
  ck_assert_uint_eq(event->event.messages[0]->tick, CHAT_TICK_REFUSED);
  ch_client_event_free(event);
  script_free(s);
}
END_TEST

static ch_client_request discard_of(const ch_client_event *reply) {
  ch_client_request request = {.kind = CH_REQ_DISCARD};
  memcpy(request.client_id, reply->event.client_id, 16);
  return request;
}

START_TEST(c8_never_sent_is_dropped) {
  script *s = script_online();
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_SET_ONLINE, .flag = 0}), 0);
  ch_client_event *reply = script_ask(s, script_text("text"));
  ck_assert_int_eq(script_do(s, discard_of(reply)), 0);
  ch_client_event_free(reply);
  ck_assert_uint_eq(script_bob_now(s).pending, 0);
  script_free(s);
}
END_TEST

/* A row of an earlier process may have been sent: it is voided, though this process never sent it. */
START_TEST(c8_what_may_have_been_sent_is_voided) {
  script *s = script_online();
  ch_client_event *reply = script_ask(s, script_text("text"));
  script_expect(s, CH_SEND);
  script_restart(s);
  ck_assert_int_eq(script_do(s, discard_of(reply)), 0);
  ch_client_event_free(reply);
  ck_assert_uint_eq(script_bob_now(s).pending, 1);
  script_connect(s, 2);
  const ch_client_message *send = script_expect(s, CH_SEND);
  ck_assert_uint_eq(send->u.send.discard, 1);
  ck_assert_uint_eq(send->u.send.client_seq, 1);
  script_verdict(s, send, CH_VERDICT_REFUSED, 1, 0, CHAT_E_CANCELED);
  ck_assert_uint_eq(script_bob_now(s).pending, 0);
  script_free(s);
}
END_TEST

START_TEST(refusal_is_durable_before_it_is_shown) {
  script *s = script_online();
  ck_assert_int_eq(script_do(s, script_text("text")), 0);
  const ch_client_message *send = script_expect(s, CH_SEND);
  ch_cache_mem_fail(s->cache, 3, CHAT_E_IO); /* begin, put, commit */
  script_answer(s, send, CH_REFUSED, CHAT_E_DENIED);
  script_no_event(s, CHAT_EVENT_OUTBOX);
  script_wait(s, 6000);
  const ch_client_message *again = script_expect(s, CH_SEND);
  ck_assert_uint_eq(again->u.send.retry, 1);
  script_verdict(s, again, CH_VERDICT_REFUSED, 1, 0, CHAT_E_DENIED);
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_OUTBOX);
  ck_assert_int_eq(event->event.status, CHAT_E_DENIED);
  ch_client_event_free(event);
  script_free(s);
}
END_TEST

START_TEST(same_client_id_again) {
  script *s = script_online();
  ch_client_request request = script_text("text");
  request.has_client_id = 1;
  request.client_id[0] = 9;
  ck_assert_int_eq(script_do(s, request), 0);
  ck_assert_int_eq(script_do(s, request), 0);
  script_expect(s, CH_SEND);
  script_expect_none(s, CH_SEND);
  request.body = TEXT("other");
  ck_assert_int_eq(script_do(s, request), CHAT_E_CONFLICT);
  script_free(s);
}
END_TEST

/* Whoever was killed between the commit and hearing of it says the same again: no OUTBOX event follows, so the reply must say that it is done. */
START_TEST(same_client_id_after_its_commit) {
  script *s = script_online();
  ch_client_request request = script_text("text");
  request.has_client_id = 1;
  request.client_id[0] = 9;
  ch_client_event *reply = script_ask(s, request);
  ck_assert_uint_eq(reply->event.seq, 0);
  ch_client_event_free(reply);
  chat_row row = script_row_of(script_expect(s, CH_SEND), 1);
  script_live(s, 10, 11, &row, 1);
  reply = script_ask(s, request);
  ck_assert_int_eq(reply->event.status, 0);
  ck_assert_uint_eq(reply->event.seq, 1);
  ch_client_event_free(reply);
  script_expect_none(s, CH_SEND);
  request.body = TEXT("other");
  reply = script_ask(s, request);
  ck_assert_int_eq(reply->event.status, CHAT_E_CONFLICT);
  ck_assert_uint_eq(reply->event.seq, 0);
  ch_client_event_free(reply);
  script_free(s);
}
END_TEST

START_TEST(outbox_is_bounded) {
  script *s = script_new();
  s->config.outbox_max = 2;
  ch_brain_free(s->brain);
  script_attach(s, s->cache);
  script_start(s);
  script_connect(s, 1);
  ck_assert_int_eq(script_do(s, script_text("1")), 0);
  ck_assert_int_eq(script_do(s, script_text("2")), 0);
  ck_assert_int_eq(script_do(s, script_text("3")), CHAT_E_LIMIT);
  script_free(s);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {c1_number_is_durable_first, 0},
      {c1_nothing_is_sent_without_its_commit, 0},
      {c2_prev_is_the_highest_lower_that_has_not_ended, 0},
      {c3_new_session_sends_all_that_has_not_ended, 0},
      {c3_accepted_without_an_end_is_sent_again, 0},
      {c3_window_is_kept, 0},
      {c4_first_try_is_of_this_session_and_once, 0},
      {c5_silence_makes_a_new_session_not_a_send, 0},
      {c5_retry_request_does_not_repeat_what_is_in_flight, 0},
      {c6_only_the_present_number_is_answered, 0},
      {committed_ends_the_row_and_tells_it, 0},
      {c7_dup_waits_for_the_head, 0},
      {c7_a_page_that_does_not_fit_proves_nothing, 0},
      {c7_not_found_takes_a_new_number, 0},
      {c7_other_content_is_a_conflict, 0},
      {c8_never_sent_is_dropped, 0},
      {c8_what_may_have_been_sent_is_voided, 0},
      {refusal_is_durable_before_it_is_shown, 0},
      {same_client_id_again, 0},
      {same_client_id_after_its_commit, 0},
      {outbox_is_bounded, 0},
  };
  return RUN_TESTS("outbox", rows);
}
