/* SPDX-License-Identifier: Apache-2.0 */
/* A server that answers and gives nothing, always the same, or something of another epoch: the client neither spins nor loses anything. */
#include "unit/client/script.h"
#include "unit/core/run.h"

enum { MINUTE_MS = 60000, FEW = 40 /* questions in a minute: some for each heartbeat, not one for each answer */ };

typedef enum stubbornness { MORE_OF_NOTHING, COMPLETE_OF_NOTHING, RESETS, ERRORS, OTHER_CONVERSATION, MORE_BELOW, STUBBORNNESS_COUNT } stubbornness;

static ch_server_message stubborn_range(stubbornness how, const ch_client_message *asked) {
  static const ch_range_status statuses[] = {[MORE_OF_NOTHING] = CH_RANGE_MORE, [COMPLETE_OF_NOTHING] = CH_RANGE_COMPLETE, [RESETS] = CH_RANGE_RESET,
                                             [OTHER_CONVERSATION] = CH_RANGE_MORE, [MORE_BELOW] = CH_RANGE_MORE};
  const ch_range *range = &asked->u.range;
  if (how == ERRORS) return (ch_server_message){.tag = asked->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_AGAIN}};
  ch_server_message reply = {.tag = asked->tag, .op = CH_RANGE_REPLY, .u.range_reply = {.status = statuses[how], .low = range->low, .high = range->low, .head = 9}};
  if (range->newest_first) reply.u.range_reply.low = reply.u.range_reply.high = range->high;
  if (how == MORE_BELOW) reply.u.range_reply.low = 0, reply.u.range_reply.high = 1;
  if (how != OTHER_CONVERSATION) memcpy(reply.u.range_reply.conversation_id, range->conversation_id, 16);
  return reply;
}

/* Answers all that is asked for `ms`; gives the number of RANGEs. Ends at once where it is more than a client may ask. */
static unsigned answer_for(script *s, stubbornness how, uint64_t ms) {
  unsigned ranges = 0;
  for (uint64_t end_ms = s->now.elapsed_ms + ms; s->now.elapsed_ms < end_ms && ranges < 1000; script_wait(s, 50)) {
    for (size_t i = s->sent_at; i < s->sent_count && ranges < 1000; i = s->sent_at) {
      const ch_client_message *asked = &s->sent[i];
      s->sent_at = i + 1;
      chat_head head = script_head_of_bob(9);
      if (asked->op == CH_SYNC)
        script_say(s, (ch_server_message){.tag = asked->tag, .op = CH_SYNC_REPLY, .u.sync_reply = {.heads = &head, .head_count = 1, .position = 20}});
      if (asked->op == CH_HEARTBEAT) script_say(s, (ch_server_message){.tag = asked->tag, .op = CH_HEARTBEAT_REPLY, .u.pos = 20});
      if (asked->op != CH_RANGE) continue;
      ranges++;
      script_say(s, stubborn_range(how, asked));
    }
  }
  return ranges;
}

static script *behind_bob(void) {
  script *s = script_online();
  script_know_bob(s, 3, 20);
  ch_head_hint hint = {.head = 9};
  memcpy(hint.conversation_id, script_bob(), 16);
  script_skip(s);
  script_say(s, (ch_server_message){.op = CH_LIVE, .u.live = {.previous = 20, .position = 20, .heads = &hint, .head_count = 1}});
  return s;
}

START_TEST(sync_does_not_spin) {
  for (stubbornness how = 0; how < STUBBORNNESS_COUNT; how++) {
    script *s = behind_bob();
    unsigned ranges = answer_for(s, how, MINUTE_MS);
    ck_assert_msg(ranges >= 2 && ranges <= FEW, "%u ranges were asked, kind %d", ranges, (int)how);
    script_free(s);
  }
}
END_TEST

/* When the server comes to its senses, all is there (but what a RESET is for, see below). */
START_TEST(sync_goes_on_afterwards) {
  for (stubbornness how = 0; how < STUBBORNNESS_COUNT; how++) {
    if (how == RESETS) continue;
    script *s = behind_bob();
    answer_for(s, how, 20000);
    script_skip(s);
    script_wait(s, HEARTBEAT_MS);
    chat_row rows[6];
    for (uint64_t i = 0; i < 6; i++)
      rows[i] = script_row_of_bob(s, 4 + i);
    script_range(s, CH_RANGE_COMPLETE, 9, 9, rows, 6);
    ck_assert_uint_eq(script_bob_now(s).cursor, 9);
    script_free(s);
  }
}
END_TEST

START_TEST(more_syncs_without_progress_do_not_spin) {
  script *s = script_online();
  script_live(s, 0, 20, NULL, 0);
  unsigned syncs = 0;
  for (uint64_t end_ms = s->now.elapsed_ms + MINUTE_MS; s->now.elapsed_ms < end_ms && syncs < 1000;) {
    const ch_client_message *asked = script_next(s, CH_SYNC);
    if (!asked) {
      script_wait(s, 50);
      continue;
    }
    syncs++;
    script_say(s, (ch_server_message){.tag = asked->tag, .op = CH_SYNC_REPLY, .u.sync_reply = {.position = 10, .more = 1}});
  }
  ck_assert_uint_le(syncs, FEW);
  script_free(s);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ history, verify */

static ch_client_request about_bob(ch_client_request request) {
  memcpy(request.conversation_id, script_bob(), 16);
  return request;
}

START_TEST(history_is_answered_and_says_what_is_missing) {
  for (stubbornness how = 0; how < STUBBORNNESS_COUNT; how++) {
    script *s = script_online();
    chat_head head = script_head_of_bob(1000);
    head.delivered = 999;
    script_live(s, 0, 20, NULL, 0);
    script_wait(s, 0);
    script_sync(s, &head, 1, 20);
    script_range(s, CH_RANGE_COMPLETE, 1000, 1000, NULL, 0);
    ch_client_request request = about_bob((ch_client_request){.kind = CH_REQ_HISTORY, .limit = 10, .number = 700, .tag = 77});
    ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0);
    script_pump(s);
    unsigned ranges = answer_for(s, how, 5000);
    ck_assert_uint_le(ranges, 8);
    ch_client_event *reply = script_event_expect(s, CHAT_EVENT_REPLY);
    ck_assert_uint_eq(reply->event.tag, 77);
    ck_assert_int_eq(reply->event.status, how == RESETS ? CHAT_E_GONE : how == OTHER_CONVERSATION ? CHAT_E_PROTOCOL : CHAT_E_AGAIN);
    ck_assert_uint_eq(reply->event.message_count, 0);
    ck_assert_uint_eq(reply->event.more, 1); /* there is more, but not here */
    ch_client_event_free(reply);
    script_free(s);
  }
}
END_TEST

START_TEST(verify_does_not_call_it_verified) {
  for (stubbornness how = 0; how < MORE_BELOW; how++) { /* that one is an answer here */
    script *s = script_online();
    script_know_bob(s, 3, 20);
    script_skip(s);
    ch_client_request request = about_bob((ch_client_request){.kind = CH_REQ_VERIFY, .tag = 77});
    ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0);
    script_pump(s);
    unsigned ranges = answer_for(s, how, 5000);
    ck_assert_uint_le(ranges, 8);
    ch_client_event *reply = script_event_expect(s, CHAT_EVENT_REPLY);
    ck_assert_int_eq(reply->event.status, how == RESETS ? CHAT_E_GONE : how == OTHER_CONVERSATION ? CHAT_E_PROTOCOL : CHAT_E_AGAIN);
    ch_client_event_free(reply);
    if (how == RESETS) {
      script_free(s);
      continue;
    }
    ck_assert_uint_eq(script_bob_now(s).cursor, 3); /* and nothing was taken away */
    request = about_bob((ch_client_request){.kind = CH_REQ_HISTORY, .limit = 10, .flag = 1});
    reply = script_ask(s, request);
    ck_assert_uint_eq(reply->event.message_count, 3);
    ch_client_event_free(reply);
    script_free(s);
  }
}
END_TEST

/* ------------------------------------------------------------------------------------------------ RESET */

static uint64_t count_rows(script *s) {
  ch_client_event *reply = script_ask(s, about_bob((ch_client_request){.kind = CH_REQ_HISTORY, .limit = 100, .flag = 1}));
  uint64_t count = reply->event.message_count;
  ch_client_event_free(reply);
  return count;
}

/* Nothing of the old numbering is left, and what the numbers mean now is fetched from where a new device would begin, up to a head below the old cursor. */
START_TEST(reset_takes_a_new_snapshot) {
  script *s = behind_bob();
  ch_client_request read = about_bob((ch_client_request){.kind = CH_REQ_MARK_READ, .number = 3});
  ck_assert_int_eq(script_do(s, read), 0);
  const ch_client_message *range = script_expect(s, CH_RANGE);
  script_say(s, stubborn_range(RESETS, range));
  ch_client_event_free(script_event_expect(s, CHAT_EVENT_RESYNC));
  ck_assert_uint_eq(count_rows(s), 0);
  ck_assert_uint_eq(script_bob_now(s).cursor, 0);
  ck_assert_uint_eq(script_bob_now(s).read, 0);
  script_wait(s, 1000);
  ch_client_event *found = script_ask(s, (ch_client_request){.kind = CH_REQ_SEARCH, .text = TEXT("hello"), .limit = 10});
  ck_assert_uint_eq(found->event.message_count, 0);
  ch_client_event_free(found);
  const ch_client_message *sync = script_expect(s, CH_SYNC);
  ck_assert_uint_eq(sync->u.position, 0);
  chat_head head = script_head_of_bob(2);
  script_say(s, (ch_server_message){.tag = sync->tag, .op = CH_SYNC_REPLY, .u.sync_reply = {.heads = &head, .head_count = 1, .position = 5}});
  chat_row rows[] = {script_row_of_bob(s, 1), script_row_of_bob(s, 2)};
  rows[0].payload = rows[1].payload = script_payload(s, "of the new epoch");
  script_range(s, CH_RANGE_COMPLETE, 2, 2, rows, 2);
  ck_assert_uint_eq(script_bob_now(s).cursor, 2);
  ck_assert_uint_eq(script_bob_now(s).unread, 2);
  script_wait(s, HEARTBEAT_MS);
  script_expect_none(s, CH_RANGE); /* the head of the old epoch is not waited for */
  ch_client_event *reply = script_ask(s, about_bob((ch_client_request){.kind = CH_REQ_HISTORY, .limit = 100, .flag = 1}));
  ck_assert_uint_eq(reply->event.message_count, 2);
  ck_assert_uint_eq(reply->event.messages[0]->body.len, strlen("of the new epoch"));
  ch_client_event_free(reply);
  chat_row next = script_row_of_bob(s, 3); /* one whose number the old epoch had had */
  script_live(s, 5, 6, &next, 1);
  ck_assert_uint_eq(script_bob_now(s).cursor, 3);
  script_free(s);
}
END_TEST

/* Whichever call of the cache fails: all is as it was or all is forgotten, and it comes again. */
START_TEST(reset_is_whole_or_not) {
  for (uint64_t nth = 1; nth < 8; nth++) {
    script *s = behind_bob();
    const ch_client_message *range = script_expect(s, CH_RANGE);
    ch_cache_mem_fail(s->cache, nth, CHAT_E_FULL);
    script_say(s, stubborn_range(RESETS, range));
    ch_cache_mem_fail(s->cache, 0, 0);
    uint64_t cursor = script_bob_now(s).cursor;
    ck_assert(cursor == 3 || cursor == 0);
    ck_assert_uint_eq(count_rows(s), cursor);
    script_wait(s, HEARTBEAT_MS);
    if (cursor == 3) script_say(s, stubborn_range(RESETS, script_expect(s, CH_RANGE)));
    ck_assert_uint_eq(count_rows(s), 0);
    script_free(s);
  }
}
END_TEST

/* One that waits for its end: what was sent under the old epoch can no longer be proven, so it goes back to the person when the server calls it a duplicate. */
START_TEST(reset_leaves_the_outbox) {
  script *s = behind_bob();
  ck_assert_int_eq(script_do(s, script_text("on its way")), 0);
  s->sent_at = 0;
  const ch_client_message *send = script_last(s, CH_SEND), *range = script_last(s, CH_RANGE);
  script_say(s, stubborn_range(RESETS, range));
  ck_assert_uint_eq(script_bob_now(s).pending, 1);
  script_wait(s, 1000);
  chat_head head = script_head_of_bob(1);
  script_sync(s, &head, 1, 5);
  chat_row row = script_row_of_bob(s, 1);
  script_range(s, CH_RANGE_COMPLETE, 1, 1, &row, 1);
  script_verdict(s, send, CH_VERDICT_DUP, 1, 1, 0);
  ch_client_event_free(script_event_expect(s, CHAT_EVENT_DRAFT));
  ck_assert_uint_eq(script_bob_now(s).pending, 0);
  script_free(s);
}
END_TEST

/* A sync that begins anew with a head below what is here: that conversation has lost its end at the server, and what comes next takes those numbers. */
START_TEST(sync_reset_with_a_lower_head_forgets) {
  script *s = script_online();
  script_know_bob(s, 3, 20);
  script_live(s, 0, 21, NULL, 0);
  script_wait(s, 0);
  chat_head head = script_head_of_bob(1);
  ch_server_message reply = {.tag = script_expect(s, CH_SYNC)->tag, .op = CH_SYNC_REPLY, .u.sync_reply = {.heads = &head, .head_count = 1, .position = 7, .reset = 1}};
  script_say(s, reply);
  chat_row row = script_row_of_bob(s, 1);
  script_range(s, CH_RANGE_COMPLETE, 1, 1, &row, 1);
  ck_assert_uint_eq(script_bob_now(s).cursor, 1);
  ck_assert_uint_eq(count_rows(s), 1);
  script_free(s);
}
END_TEST

/* One whose head is where it was keeps what it has. */
START_TEST(sync_reset_keeps_what_is_still_there) {
  script *s = script_online();
  script_know_bob(s, 3, 20);
  script_live(s, 0, 21, NULL, 0);
  script_wait(s, 0);
  script_skip(s);
  s->sent_at = 0;
  chat_head head = script_head_of_bob(3);
  const ch_client_message *sync = script_last(s, CH_SYNC);
  script_say(s, (ch_server_message){.tag = sync->tag, .op = CH_SYNC_REPLY, .u.sync_reply = {.heads = &head, .head_count = 1, .position = 7, .reset = 1}});
  script_expect_none(s, CH_RANGE);
  ck_assert_uint_eq(count_rows(s), 3);
  script_free(s);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {sync_does_not_spin, 0},
      {sync_goes_on_afterwards, 0},
      {more_syncs_without_progress_do_not_spin, 0},
      {history_is_answered_and_says_what_is_missing, 0},
      {verify_does_not_call_it_verified, 0},
      {reset_takes_a_new_snapshot, 0},
      {reset_is_whole_or_not, 0},
      {reset_leaves_the_outbox, 0},
      {sync_reset_with_a_lower_head_forgets, 0},
      {sync_reset_keeps_what_is_still_there, 0},
  };
  return RUN_TESTS("stubborn", rows);
}
