/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of history and their gaps, filled from the server; verify and its repairs; search. */
#include <stdio.h>

#include "unit/client/script.h"
#include "unit/core/run.h"

enum { NEWEST = 100, HERE = 10 /* of them, 91 to 100, are in the cache */ };

static ch_client_request about_bob(ch_client_request request) {
  memcpy(request.conversation_id, script_bob(), 16);
  return request;
}

static void answer_range(script *s, const ch_client_message *asked, ch_range_status status, uint64_t low, uint64_t high) {
  chat_row rows[CHAT_PAGE_MAX];
  size_t count = 0;
  for (uint64_t seq = low + 1; seq <= high; seq++)
    rows[count++] = script_row_of_bob(s, seq);
  ch_server_message reply = {.tag = asked->tag, .op = CH_RANGE_REPLY,
                             .u.range_reply = {.status = status, .low = low, .high = high, .head = NEWEST, .events = rows, .event_count = count}};
  memcpy(reply.u.range_reply.conversation_id, script_bob(), 16);
  script_say(s, reply);
}

/* A conversation of a hundred messages, of which a new device has fetched the last ten. */
static script *with_tail(void) {
  script *s = script_new();
  s->config.prefetch = HERE;
  ch_brain_free(s->brain);
  script_attach(s, s->cache);
  script_start(s);
  script_connect(s, 1);
  chat_head head = script_head_of_bob(NEWEST);
  head.delivered = NEWEST;
  script_live(s, 0, 20, NULL, 0);
  script_wait(s, 0);
  script_sync(s, &head, 1, 20);
  answer_range(s, script_expect(s, CH_RANGE), CH_RANGE_COMPLETE, NEWEST - HERE, NEWEST);
  return s;
}

static void go_offline(script *s) {
  s->is_open = false;
  ch_brain_closed(s->brain, CHAT_E_CLOSED, s->now);
}

/* The seqs of a page and its gaps, as "98 99(3) 100": 3 are missing before 99. */
static const char *seqs_of(const ch_client_event *reply) {
  static char text[4096];
  size_t len = 0;
  text[0] = '\0';
  for (size_t i = 0; i < reply->event.message_count; i++) {
    const chat_message *message = reply->event.messages[i];
    len += (size_t)snprintf(text + len, sizeof text - len, i ? " %llu" : "%llu", (unsigned long long)message->seq);
    if (message->gap_before) len += (size_t)snprintf(text + len, sizeof text - len, "(%llu)", (unsigned long long)message->gap_before);
  }
  return text;
}

static void check_page(script *s, ch_client_request request, int status, const char *seqs, uint32_t more) {
  request.kind = CH_REQ_HISTORY;
  ch_client_event *reply = script_ask(s, about_bob(request));
  ck_assert_int_eq(reply->event.status, status);
  ck_assert_str_eq(seqs_of(reply), seqs);
  ck_assert_uint_eq(reply->event.more, more);
  ch_client_event_free(reply);
}

static void begin_page(script *s, ch_client_request request) {
  request.kind = CH_REQ_HISTORY;
  request = about_bob(request);
  request.tag = 55;
  ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0);
  script_pump(s);
}

static void end_page(script *s, int status, const char *seqs, uint32_t more) {
  ch_client_event *reply = script_event_expect(s, CHAT_EVENT_REPLY);
  ck_assert_uint_eq(reply->event.tag, 55);
  ck_assert_int_eq(reply->event.status, status);
  ck_assert_str_eq(seqs_of(reply), seqs);
  ck_assert_uint_eq(reply->event.more, more);
  ch_client_event_free(reply);
}

/* ------------------------------------------------------------------------------------------------ pages */

START_TEST(pages_from_the_cache) {
  script *s = with_tail();
  script_skip(s);
  check_page(s, (ch_client_request){.limit = 3}, 0, "98 99 100", 1);
  check_page(s, (ch_client_request){.limit = 3, .number = 98}, 0, "95 96 97", 1);
  check_page(s, (ch_client_request){.limit = 4, .number = 95}, 0, "91 92 93 94", 1);
  check_page(s, (ch_client_request){.limit = 3, .number2 = 91}, 0, "92 93 94", 1);
  check_page(s, (ch_client_request){.limit = 3, .number2 = 97}, 0, "98 99 100", 0);
  check_page(s, (ch_client_request){.limit = 3, .number2 = 100}, 0, "", 0);
  check_page(s, (ch_client_request){.limit = 2, .number = 5000}, 0, "99 100", 1);
  script_expect_none(s, CH_RANGE);
  script_free(s);
}
END_TEST

START_TEST(backwards_over_the_edge_asks_for_the_rest) {
  script *s = with_tail();
  begin_page(s, (ch_client_request){.limit = 4, .number = 93});
  const ch_client_message *asked = script_expect(s, CH_RANGE);
  ck_assert_uint_eq(asked->u.range.low, 0);
  ck_assert_uint_eq(asked->u.range.high, 90);
  ck_assert_uint_eq(asked->u.range.newest_first, 1);
  answer_range(s, asked, CH_RANGE_MORE, 86, 90);
  end_page(s, 0, "89 90 91 92", 1);
  check_page(s, (ch_client_request){.limit = 4, .number = 91}, 0, "87 88 89 90", 1); /* what came beyond it is here too */
  script_expect_none(s, CH_RANGE);
  script_free(s);
}
END_TEST

START_TEST(forwards_into_the_hole) {
  script *s = with_tail();
  begin_page(s, (ch_client_request){.limit = 3, .number2 = 40});
  const ch_client_message *asked = script_expect(s, CH_RANGE);
  ck_assert_uint_eq(asked->u.range.low, 40);
  ck_assert_uint_eq(asked->u.range.high, 90);
  ck_assert_uint_eq(asked->u.range.newest_first, 0);
  answer_range(s, asked, CH_RANGE_MORE, 40, 43);
  end_page(s, 0, "41 42 43", 1);
  script_free(s);
}
END_TEST

/* A server that gives less at a time than is asked for. */
START_TEST(page_is_filled_by_several_answers) {
  script *s = with_tail();
  begin_page(s, (ch_client_request){.limit = 5, .number = 91});
  answer_range(s, script_expect(s, CH_RANGE), CH_RANGE_MORE, 88, 90);
  const ch_client_message *asked = script_expect(s, CH_RANGE);
  ck_assert_uint_eq(asked->u.range.high, 88);
  answer_range(s, asked, CH_RANGE_MORE, 85, 88);
  end_page(s, 0, "86 87 88 89 90", 1);
  script_free(s);
}
END_TEST

START_TEST(gaps_are_marked) {
  script *s = with_tail();
  begin_page(s, (ch_client_request){.limit = 2, .number = 51});
  answer_range(s, script_expect(s, CH_RANGE), CH_RANGE_MORE, 48, 50);
  end_page(s, 0, "49 50", 1);
  begin_page(s, (ch_client_request){.limit = 2, .number = 21});
  answer_range(s, script_expect(s, CH_RANGE), CH_RANGE_MORE, 18, 20);
  end_page(s, 0, "19 20", 1);
  check_page(s, (ch_client_request){.limit = 15, .flag = 1}, 0, "19 20 49(28) 50 91(40) 92 93 94 95 96 97 98 99 100", 1);
  check_page(s, (ch_client_request){.limit = 3, .number2 = 10, .flag = 1}, 0, "19(8) 20 49(28)", 1);
  go_offline(s);
  check_page(s, (ch_client_request){.limit = 12}, CHAT_E_OFFLINE, "49 50 91(40) 92 93 94 95 96 97 98 99 100", 1);
  script_free(s);
}
END_TEST

/* The first that may be read: below it is nothing, now or ever. */
START_TEST(history_begins_at_the_floor) {
  script *s = with_tail();
  begin_page(s, (ch_client_request){.limit = 5, .number = 92});
  const ch_client_message *asked = script_expect(s, CH_RANGE);
  chat_row rows[] = {script_row_of_bob(s, 89), script_row_of_bob(s, 90)};
  ch_server_message reply = {.tag = asked->tag, .op = CH_RANGE_REPLY,
                             .u.range_reply = {.status = CH_RANGE_COMPLETE, .low = 88, .high = 90, .head = NEWEST, .floor = 88, .events = rows, .event_count = 2}};
  memcpy(reply.u.range_reply.conversation_id, script_bob(), 16);
  script_say(s, reply);
  end_page(s, 0, "89 90 91", 0);
  script_skip(s);
  check_page(s, (ch_client_request){.limit = 5, .number = 92}, 0, "89 90 91", 0);
  check_page(s, (ch_client_request){.limit = 5, .number = 80}, 0, "", 0);
  script_expect_none(s, CH_RANGE);
  script_free(s);
}
END_TEST

START_TEST(local_never_asks) {
  script *s = with_tail();
  script_skip(s);
  check_page(s, (ch_client_request){.limit = 4, .number = 92, .flag = 1}, 0, "91", 1);
  check_page(s, (ch_client_request){.limit = 4, .number = 50, .flag = 1}, 0, "", 0);
  script_expect_none(s, CH_RANGE);
  script_free(s);
}
END_TEST

/* The newest page goes on with what is in the outbox; pages before it do not. */
START_TEST(outbox_follows_the_newest) {
  script *s = with_tail();
  ck_assert_int_eq(script_do(s, script_text("one")), 0);
  ck_assert_int_eq(script_do(s, script_text("two")), 0);
  ch_client_event *reply = script_ask(s, about_bob((ch_client_request){.kind = CH_REQ_HISTORY, .limit = 2}));
  ck_assert_str_eq(seqs_of(reply), "99 100 0 0");
  ck_assert_uint_eq(reply->event.messages[2]->tick, CHAT_TICK_PENDING);
  ck_assert_uint_eq(reply->event.messages[2]->body.len, 3);
  ck_assert_mem_eq(reply->event.messages[3]->body.data, "two", 3);
  ch_client_event_free(reply);
  check_page(s, (ch_client_request){.limit = 2, .number = 99}, 0, "97 98", 1);
  script_free(s);
}
END_TEST

START_TEST(session_that_ends_answers_with_what_is_here) {
  script *s = with_tail();
  begin_page(s, (ch_client_request){.limit = 4, .number = 93});
  script_expect(s, CH_RANGE);
  go_offline(s);
  end_page(s, CHAT_E_OFFLINE, "91 92", 1);
  script_free(s);
}
END_TEST

START_TEST(unknown_conversation) {
  script *s = script_online();
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_HISTORY, .limit = 1}), CHAT_E_NOT_FOUND);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_VERIFY}), CHAT_E_NOT_FOUND);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_MARK_READ, .number = 1}), CHAT_E_NOT_FOUND);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_MEMBERS, .limit = 1}), CHAT_E_NOT_FOUND);
  script_free(s);
}
END_TEST

/* What is filled in is history: the cursor stays, and no MESSAGE is told. */
START_TEST(filling_is_not_news) {
  script *s = with_tail();
  ch_client_event *event;
  while ((event = script_event(s, CHAT_EVENT_MESSAGE))) ch_client_event_free(event);
  begin_page(s, (ch_client_request){.limit = 4, .number = 91});
  answer_range(s, script_expect(s, CH_RANGE), CH_RANGE_MORE, 86, 90);
  script_no_event(s, CHAT_EVENT_MESSAGE);
  chat_conversation now = script_bob_now(s);
  ck_assert_uint_eq(now.cursor, NEWEST);
  ck_assert_uint_eq(now.head, NEWEST);
  script_free(s);
}
END_TEST

/* Whichever call of the cache fails: the reply says so, or the page is right. */
START_TEST(cache_failure_is_said) {
  for (uint64_t nth = 1; nth < 16; nth++) {
    script *s = with_tail();
    begin_page(s, (ch_client_request){.limit = 4, .number = 93});
    const ch_client_message *asked = script_expect(s, CH_RANGE);
    ch_cache_mem_fail(s->cache, nth, CHAT_E_IO);
    answer_range(s, asked, CH_RANGE_MORE, 86, 90);
    ch_cache_mem_fail(s->cache, 0, 0);
    ch_client_event *reply = script_event_expect(s, CHAT_EVENT_REPLY);
    ck_assert(reply->event.status != 0 || strcmp(seqs_of(reply), "89 90 91 92") == 0);
    ch_client_event_free(reply);
    script_free(s);
  }
}
END_TEST

/* ------------------------------------------------------------------------------------------------ verify */

static void begin_verify(script *s) {
  ch_client_request request = about_bob((ch_client_request){.kind = CH_REQ_VERIFY, .tag = 55});
  ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0);
  script_pump(s);
}

static void end_verify(script *s, int status, uint64_t compared, uint64_t repaired) {
  ch_client_event *reply = script_event_expect(s, CHAT_EVENT_REPLY);
  ck_assert_int_eq(reply->event.status, status);
  ck_assert_uint_eq(reply->event.seq, compared);
  ck_assert_uint_eq(reply->event.head, repaired);
  ch_client_event_free(reply);
}

START_TEST(verify_finds_nothing_where_nothing_is) {
  script *s = with_tail();
  begin_verify(s);
  const ch_client_message *asked = script_expect(s, CH_RANGE);
  ck_assert_uint_eq(asked->u.range.low, 90);
  ck_assert_uint_eq(asked->u.range.high, 100);
  answer_range(s, asked, CH_RANGE_MORE, 90, 96);
  ch_client_event *progress = script_event_expect(s, CHAT_EVENT_PROGRESS);
  ck_assert_uint_eq(progress->event.seq, 96);
  ch_client_event_free(progress);
  asked = script_expect(s, CH_RANGE);
  ck_assert_uint_eq(asked->u.range.low, 96);
  answer_range(s, asked, CH_RANGE_COMPLETE, 96, 100);
  end_verify(s, 0, 10, 0);
  script_free(s);
}
END_TEST

static void tamper(script *s, const chat_row *put, uint64_t removed) {
  const chat_cache_vtable *cache = s->cache->vtable;
  ck_assert_int_eq(cache->begin(s->cache->self), 0);
  if (put) ck_assert_int_eq(cache->row_put(s->cache->self, put), 0);
  if (removed) ck_assert_int_eq(cache->row_remove(s->cache->self, script_bob(), removed), 0);
  ck_assert_int_eq(cache->commit(s->cache->self, 0), 0);
}

/* One row of other content, one that is missing, and then one that the server does not have. */
START_TEST(verify_repairs) {
  script *s = with_tail();
  chat_row row = script_row_of_bob(s, 95);
  row.payload = script_payload(s, "tampered with");
  tamper(s, &row, 97);
  begin_verify(s);
  answer_range(s, script_expect(s, CH_RANGE), CH_RANGE_COMPLETE, 90, 100);
  end_verify(s, 0, 10, 2);
  check_page(s, (ch_client_request){.limit = 10, .flag = 1}, 0, "91 92 93 94 95 96 97 98 99 100", 1);
  ch_client_event *reply = script_ask(s, about_bob((ch_client_request){.kind = CH_REQ_HISTORY, .limit = 1, .number = 96, .flag = 1}));
  ck_assert_mem_eq(reply->event.messages[0]->body.data, "hello from bob", 14);
  ch_client_event_free(reply);
  begin_verify(s);
  const ch_client_message *asked = script_expect(s, CH_RANGE);
  chat_row rows[9];
  for (uint64_t i = 0; i < 9; i++)
    rows[i] = script_row_of_bob(s, i < 3 ? 91 + i : 92 + i); /* without 94 */
  ch_server_message said = {.tag = asked->tag, .op = CH_RANGE_REPLY,
                            .u.range_reply = {.status = CH_RANGE_COMPLETE, .low = 90, .high = 100, .head = 100, .events = rows, .event_count = 9}};
  memcpy(said.u.range_reply.conversation_id, script_bob(), 16);
  script_say(s, said);
  end_verify(s, 0, 9, 1);
  check_page(s, (ch_client_request){.limit = 10, .flag = 1}, 0, "91 92 93 95 96 97 98 99 100", 1);
  script_free(s);
}
END_TEST

/* A repair that cannot be stored is not counted as one. */
START_TEST(verify_says_what_it_could_not_repair) {
  for (uint64_t nth = 1; nth < 5; nth++) {
    script *s = with_tail();
    tamper(s, NULL, 97);
    begin_verify(s);
    const ch_client_message *asked = script_expect(s, CH_RANGE);
    ch_cache_mem_fail(s->cache, nth, CHAT_E_FULL);
    answer_range(s, asked, CH_RANGE_COMPLETE, 90, 100);
    ch_cache_mem_fail(s->cache, 0, 0);
    ch_client_event *reply = script_event_expect(s, CHAT_EVENT_REPLY);
    bool is_whole = reply->event.status == 0 && reply->event.head == 1;
    ck_assert(is_whole || (reply->event.status == CHAT_E_FULL && reply->event.head == 0));
    ch_client_event_free(reply);
    check_page(s, (ch_client_request){.limit = 3, .number = 99, .flag = 1}, 0, is_whole ? "96 97 98" : "95 96 98", 1);
    script_free(s);
  }
}
END_TEST

START_TEST(verify_needs_the_server) {
  script *s = with_tail();
  begin_verify(s);
  script_expect(s, CH_RANGE);
  go_offline(s);
  end_verify(s, CHAT_E_OFFLINE, 0, 0);
  ck_assert_int_eq(script_do(s, about_bob((ch_client_request){.kind = CH_REQ_VERIFY})), CHAT_E_OFFLINE);
  script_free(s);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ search */

START_TEST(search_in_the_cache_pages) {
  script *s = with_tail();
  script_wait(s, 1000); /* it is indexed when nothing else is in hand */
  ch_client_event *reply = script_ask(s, (ch_client_request){.kind = CH_REQ_SEARCH, .text = TEXT("bob"), .limit = 4});
  ck_assert_str_eq(seqs_of(reply), "100 99 98 97"); /* newest first */
  ck_assert_uint_eq(reply->event.more, 1);
  uint64_t before = reply->event.messages[3]->message_id;
  ch_client_event_free(reply);
  reply = script_ask(s, (ch_client_request){.kind = CH_REQ_SEARCH, .text = TEXT("bob"), .limit = 6, .number = before});
  ck_assert_str_eq(seqs_of(reply), "96 95 94 93 92 91");
  ck_assert_uint_eq(reply->event.more, 0);
  ch_client_event_free(reply);
  ch_client_request elsewhere = {.kind = CH_REQ_SEARCH, .text = TEXT("bob"), .limit = 6, .has_conversation = 1};
  reply = script_ask(s, elsewhere);
  ck_assert_uint_eq(reply->event.message_count, 0);
  ch_client_event_free(reply);
  reply = script_ask(s, (ch_client_request){.kind = CH_REQ_SEARCH, .text = TEXT("bob nothing"), .limit = 6}); /* all words */
  ck_assert_uint_eq(reply->event.message_count, 0);
  ch_client_event_free(reply);
  script_free(s);
}
END_TEST

START_TEST(search_at_the_server) {
  script *s = with_tail();
  ch_client_request request = about_bob((ch_client_request){.kind = CH_REQ_SEARCH, .text = TEXT("wor*"), .limit = 2, .number = 777, .has_conversation = 1, .flag = 1, .tag = 55});
  ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0);
  script_pump(s);
  const ch_client_message *asked = script_expect(s, CH_SEARCH);
  ck_assert_uint_eq(asked->u.search.query.len, 4);
  ck_assert_uint_eq(asked->u.search.before_message_id, 777);
  ck_assert_mem_eq(asked->u.search.conversation_id, script_bob(), 16);
  chat_row rows[] = {script_row_of_bob(s, 7), script_row_of_bob(s, 5)};
  script_say(s, (ch_server_message){.tag = asked->tag, .op = CH_SEARCH_REPLY, .u.search_reply = {.events = rows, .event_count = 2, .more = 1}});
  ch_client_event *reply = script_event_expect(s, CHAT_EVENT_REPLY);
  ck_assert_int_eq(reply->event.status, 0);
  ck_assert_str_eq(seqs_of(reply), "7 5");
  ck_assert_uint_eq(reply->event.more, 1);
  ch_client_event_free(reply);
  check_page(s, (ch_client_request){.limit = 3, .number = 8, .flag = 1}, 0, "", 0); /* hits are shown, not kept: what lies between them is not known */
  ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0);
  script_pump(s);
  script_say(s, (ch_server_message){.tag = script_expect(s, CH_SEARCH)->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_UNSUPPORTED}});
  reply = script_event_expect(s, CHAT_EVENT_REPLY);
  ck_assert_int_eq(reply->event.status, CHAT_E_UNSUPPORTED);
  ch_client_event_free(reply);
  go_offline(s);
  ck_assert_int_eq(script_do(s, request), CHAT_E_OFFLINE);
  script_free(s);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {pages_from_the_cache, 0},
      {backwards_over_the_edge_asks_for_the_rest, 0},
      {forwards_into_the_hole, 0},
      {page_is_filled_by_several_answers, 0},
      {gaps_are_marked, 0},
      {history_begins_at_the_floor, 0},
      {local_never_asks, 0},
      {outbox_follows_the_newest, 0},
      {session_that_ends_answers_with_what_is_here, 0},
      {unknown_conversation, 0},
      {filling_is_not_news, 0},
      {cache_failure_is_said, 0},
      {verify_finds_nothing_where_nothing_is, 0},
      {verify_repairs, 0},
      {verify_says_what_it_could_not_repair, 0},
      {verify_needs_the_server, 0},
      {search_in_the_cache_pages, 0},
      {search_at_the_server, 0},
  };
  return RUN_TESTS("history", rows);
}
