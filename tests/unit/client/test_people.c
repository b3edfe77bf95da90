/* SPDX-License-Identifier: Apache-2.0 */
/* Members in the cache, others' watermarks and ticks, presence, typing, devices. */
#include "unit/client/script.h"
#include "unit/core/run.h"

enum { REFRESH_MS = 1000 };

static const uint8_t team[16] = {0x7e, 0xa3};

static chat_head head_of(const uint8_t id[16], uint32_t kind, uint64_t head) {
  chat_head out = {.kind = kind, .role = CHAT_ROLE_MEMBER, .head = head, .msg_no = head, .active_ms = 1700000000000, .first = 1, .title = TEXT("team")};
  memcpy(out.conversation_id, id, 16);
  return out;
}

/* Asked for within a second, and answered with a sync that names these heads. */
static void tell_heads(script *s, const chat_head *heads, size_t count, uint64_t position) {
  script_live(s, 0, position, NULL, 0);
  script_wait(s, 0);
  script_sync(s, heads, count, position);
}

static ch_member_info member(chat_bytes user, uint64_t delivered, uint64_t read) {
  return (ch_member_info){.user = user, .role = CHAT_ROLE_MEMBER, .delivered = delivered, .read = read};
}

static void answer_members(script *s, const ch_client_message *asked, uint32_t kind, uint64_t head, const ch_member_info *members, size_t count) {
  ch_server_message reply = {.tag = asked->tag, .op = CH_MEMBERS_REPLY,
                             .u.members_reply = {.kind = kind, .head = head, .member_count = count, .members = members, .count = count, .title = TEXT("team")}};
  memcpy(reply.u.members_reply.conversation_id, asked->u.get_members.conversation_id, 16);
  script_say(s, reply);
}

static void say_error(script *s, const ch_client_message *asked, int code) {
  script_say(s, (ch_server_message){.tag = asked->tag, .op = CH_ERROR, .u.error = {.code = code}});
}

/* A group of alice, bob and carol with two messages of bob's, its members answered. */
static script *in_team(void) {
  script *s = script_online();
  chat_head head = head_of(team, CHAT_GROUP, 2);
  tell_heads(s, &head, 1, 20);
  chat_row rows[] = {script_row_of_bob(s, 1), script_row_of_bob(s, 2)};
  memcpy(rows[0].conversation_id, team, 16);
  memcpy(rows[1].conversation_id, team, 16);
  script_range(s, CH_RANGE_COMPLETE, 2, 2, rows, 2);
  script_wait(s, REFRESH_MS);
  ch_member_info members[] = {member(TEXT("alice"), 0, 0), member(TEXT("bob"), 2, 2), member(TEXT("carol"), 0, 0)};
  s->sent_at = 0;
  const ch_client_message *asked = script_expect(s, CH_GET_MEMBERS);
  ck_assert_mem_eq(asked->u.get_members.conversation_id, team, 16);
  answer_members(s, asked, CHAT_GROUP, 2, members, 3);
  script_skip(s);
  return s;
}

/* alice writes, and it is committed at seq. */
static void write_to_team(script *s, uint64_t seq) {
  ch_client_request request = {.kind = CH_REQ_SEND, .body = TEXT("to all")};
  memcpy(request.conversation_id, team, 16);
  ck_assert_int_eq(script_do(s, request), 0);
  chat_row row = script_row_of(script_last(s, CH_SEND), seq);
  script_live(s, 0, 0, &row, 1);
}

static void say_mark(script *s, const uint8_t id[16], chat_bytes user, uint64_t delivered, uint64_t read) {
  chat_watermark mark = {.user = user, .delivered = delivered, .read = read};
  memcpy(mark.conversation_id, id, 16);
  script_say(s, (ch_server_message){.op = CH_RECEIPTS, .u.receipts = {.marks = &mark, .count = 1}});
}

static uint32_t tick_at(script *s, const uint8_t id[16], uint64_t seq) {
  ch_client_request request = {.kind = CH_REQ_HISTORY, .limit = 1, .number = seq + 1, .flag = 1};
  memcpy(request.conversation_id, id, 16);
  ch_client_event *reply = script_ask(s, request);
  ck_assert_uint_eq(reply->event.message_count, 1);
  ck_assert_uint_eq(reply->event.messages[0]->seq, seq);
  uint32_t tick = reply->event.messages[0]->tick;
  ch_client_event_free(reply);
  return tick;
}

static void expect_receipt(script *s, chat_bytes user, uint64_t delivered, uint64_t read) {
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_RECEIPT);
  ck_assert_uint_eq(event->event.user.len, user.len);
  ck_assert_mem_eq(event->event.user.data, user.data, user.len);
  ck_assert_uint_eq(event->event.delivered, delivered);
  ck_assert_uint_eq(event->event.read, read);
  ch_client_event_free(event);
}

/* ------------------------------------------------------------------------------------------------ ticks */

START_TEST(ticks_of_a_group_move_without_opening_it) {
  script *s = in_team();
  write_to_team(s, 3);
  ck_assert_uint_eq(tick_at(s, team, 3), CHAT_TICK_SENT);
  say_mark(s, team, TEXT("bob"), 3, 2);
  expect_receipt(s, TEXT("bob"), 3, 2);
  ck_assert_uint_eq(tick_at(s, team, 3), CHAT_TICK_SENT); /* carol has not got it */
  say_mark(s, team, TEXT("carol"), 3, 0);
  ck_assert_uint_eq(tick_at(s, team, 3), CHAT_TICK_DELIVERED);
  say_mark(s, team, TEXT("carol"), 3, 3);
  ck_assert_uint_eq(tick_at(s, team, 3), CHAT_TICK_DELIVERED); /* bob has not read it */
  say_mark(s, team, TEXT("bob"), 3, 3);
  ck_assert_uint_eq(tick_at(s, team, 3), CHAT_TICK_READ);
  script_free(s);
}
END_TEST

START_TEST(ticks_never_move_back) {
  script *s = in_team();
  write_to_team(s, 3);
  say_mark(s, team, TEXT("bob"), 3, 3);
  say_mark(s, team, TEXT("carol"), 3, 3);
  say_mark(s, team, TEXT("carol"), 1, 1); /* late */
  ck_assert_uint_eq(tick_at(s, team, 3), CHAT_TICK_READ);
  script_free(s);
}
END_TEST

/* Where the other has written first, its name is known from that, and still it must be in the cache as a member. */
START_TEST(ticks_of_a_direct_conversation_that_the_other_began) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  script_wait(s, REFRESH_MS);
  ch_member_info members[] = {member(TEXT("alice"), 0, 0), member(TEXT("bob"), 1, 1)};
  answer_members(s, script_last(s, CH_GET_MEMBERS), CHAT_DIRECT, 1, members, 2);
  ck_assert_int_eq(script_do(s, script_text("hello")), 0);
  chat_row row = script_row_of(script_last(s, CH_SEND), 2);
  script_live(s, 20, 21, &row, 1);
  say_mark(s, script_bob(), TEXT("bob"), 2, 0);
  ck_assert_uint_eq(tick_at(s, script_bob(), 2), CHAT_TICK_DELIVERED);
  script_free(s);
}
END_TEST

START_TEST(receipt_that_is_no_news_is_not_told) {
  script *s = in_team();
  say_mark(s, team, TEXT("carol"), 2, 1);
  expect_receipt(s, TEXT("carol"), 2, 1);
  say_mark(s, team, TEXT("carol"), 2, 1);
  say_mark(s, team, TEXT("carol"), 1, 0);
  say_mark(s, team, TEXT("stranger"), 2, 2);
  script_no_event(s, CHAT_EVENT_RECEIPT);
  say_mark(s, team, TEXT("carol"), 1, 2); /* each watermark for itself */
  expect_receipt(s, TEXT("carol"), 2, 2);
  script_free(s);
}
END_TEST

/* Many marks in one message, of several conversations in any order, the same user twice. */
START_TEST(receipts_come_in_heaps) {
  script *s = in_team();
  script_know_bob(s, 2, 21);
  script_wait(s, REFRESH_MS);
  ch_member_info members[] = {member(TEXT("alice"), 0, 0), member(TEXT("bob"), 0, 0)};
  answer_members(s, script_last(s, CH_GET_MEMBERS), CHAT_DIRECT, 2, members, 2);
  chat_watermark marks[] = {{.user = TEXT("carol"), .delivered = 1}, {.user = TEXT("bob"), .delivered = 1}, {.user = TEXT("carol"), .delivered = 2},
                            {.user = TEXT("bob"), .delivered = 2, .read = 1}, {.user = TEXT("carol"), .delivered = 2, .read = 2}};
  const uint8_t *ids[] = {team, script_bob(), team, script_bob(), team};
  for (size_t i = 0; i < 5; i++)
    memcpy(marks[i].conversation_id, ids[i], 16);
  script_say(s, (ch_server_message){.op = CH_RECEIPTS, .u.receipts = {.marks = marks, .count = 5}});
  for (size_t i = 0; i < 5; i++)
    expect_receipt(s, marks[i].user, marks[i].delivered, marks[i].read);
  script_free(s);
}
END_TEST

static unsigned count_events(script *s, uint32_t type) {
  unsigned count = 0;
  for (ch_client_event *event = script_event(s, type); event; event = script_event(s, type), count++)
    ch_client_event_free(event);
  return count;
}

/* All or none of a message's marks are in the cache, and what is told is there. */
START_TEST(receipts_are_stored_before_they_are_told) {
  for (uint64_t nth = 1; nth < 12; nth++) {
    script *s = in_team();
    write_to_team(s, 3);
    ck_assert_uint_eq(tick_at(s, team, 3), CHAT_TICK_SENT);
    chat_watermark marks[] = {{.user = TEXT("bob"), .delivered = 3}, {.user = TEXT("carol"), .delivered = 3}};
    memcpy(marks[0].conversation_id, team, 16);
    memcpy(marks[1].conversation_id, team, 16);
    ch_cache_mem_fail(s->cache, nth, CHAT_E_IO);
    script_say(s, (ch_server_message){.op = CH_RECEIPTS, .u.receipts = {.marks = marks, .count = 2}});
    ch_cache_mem_fail(s->cache, 0, 0);
    unsigned told = count_events(s, CHAT_EVENT_RECEIPT);
    ck_assert(told == 0 || told == 2);
    ck_assert_uint_eq(tick_at(s, team, 3), told ? CHAT_TICK_DELIVERED : CHAT_TICK_SENT);
    script_free(s);
  }
}
END_TEST

/* Own read from another device: it is one's own watermark here too. */
START_TEST(own_mark_of_another_device) {
  script *s = in_team();
  ch_client_request request = {.kind = CH_REQ_CONVERSATION};
  memcpy(request.conversation_id, team, 16);
  s->sent_at = 0;
  script_say(s, (ch_server_message){.tag = script_expect(s, CH_RECEIPT)->tag, .op = CH_OK}); /* of what was delivered */
  script_skip(s);
  say_mark(s, team, TEXT("alice"), 2, 2);
  ch_client_event *reply = script_ask(s, request);
  ck_assert_uint_eq(reply->event.conversations[0]->read, 2);
  ck_assert_uint_eq(reply->event.conversations[0]->unread, 0);
  ch_client_event_free(reply);
  script_wait(s, 5000);
  script_expect_none(s, CH_RECEIPT); /* what the server told need not be said to it */
  script_free(s);
}
END_TEST

/* The way out is full of messages when a receipt is due: it is said when there is room. */
START_TEST(receipt_waits_for_room) {
  static uint8_t body[60000];
  script *s = in_team();
  s->sent_at = 0;
  script_say(s, (ch_server_message){.tag = script_expect(s, CH_RECEIPT)->tag, .op = CH_OK});
  script_skip(s);
  ch_client_request request = {.kind = CH_REQ_SEND, .body = {body, sizeof body}};
  memcpy(request.conversation_id, team, 16);
  for (int i = 0; i < 12; i++)
    ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0); /* nothing is taken */
  request = (ch_client_request){.kind = CH_REQ_MARK_READ, .number = 2};
  memcpy(request.conversation_id, team, 16);
  ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0);
  s->now.elapsed_ms += 500;
  ch_brain_tick(s->brain, s->now);
  script_pump(s);
  script_wait(s, 500);
  ck_assert_uint_eq(script_expect(s, CH_RECEIPT)->u.receipt.read, 2);
  script_free(s);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ members: kept by events, asked for in turn */

static void live_to_team(script *s, ch_content content, uint64_t seq) {
  ch_buf payload;
  ch_buf_init(&payload, NULL, CHAT_FRAME_MAX);
  ck_assert_int_eq(ch_content_encode(&content, &payload), 0);
  chat_row row = script_row_of_bob(s, seq);
  memcpy(row.conversation_id, team, 16);
  row.type = content.type;
  row.payload = ch_buf_bytes(&payload);
  script_live(s, 0, 0, &row, 1);
  ch_buf_fini(&payload);
}

START_TEST(change_of_members_is_followed) {
  script *s = in_team();
  write_to_team(s, 3);
  say_mark(s, team, TEXT("bob"), 3, 3);
  say_mark(s, team, TEXT("carol"), 3, 3);
  ck_assert_uint_eq(tick_at(s, team, 3), CHAT_TICK_READ);
  script_skip(s);
  chat_bytes dave = TEXT("dave");
  live_to_team(s, (ch_content){.type = CHAT_TYPE_MEMBERS_ADD, .users = &dave, .user_count = 1, .role = CHAT_ROLE_MEMBER}, 4);
  script_wait(s, REFRESH_MS);
  ch_member_info members[] = {member(TEXT("alice"), 4, 4), member(TEXT("bob"), 4, 3), member(TEXT("carol"), 3, 3), member(dave, 0, 0)};
  answer_members(s, script_expect(s, CH_GET_MEMBERS), CHAT_GROUP, 4, members, 4);
  expect_receipt(s, TEXT("bob"), 4, 3); /* has moved meanwhile; the others have not */
  script_no_event(s, CHAT_EVENT_RECEIPT);
  ck_assert_uint_eq(tick_at(s, team, 3), CHAT_TICK_SENT); /* dave has not got it */
  say_mark(s, team, dave, 4, 4);
  ck_assert_uint_eq(tick_at(s, team, 3), CHAT_TICK_READ);
  script_wait(s, 30000);
  script_expect_none(s, CH_GET_MEMBERS); /* once for one change */
  script_free(s);
}
END_TEST

/* Nobody knows what it has changed: the answer brings the title too. */
START_TEST(an_event_of_an_unknown_type_makes_members_stale) {
  script *s = in_team();
  script_skip(s);
  chat_row row = script_row_of_bob(s, 3);
  memcpy(row.conversation_id, team, 16);
  row.type = 77;
  row.payload = TEXT("from later");
  script_live(s, 31, 32, &row, 1);
  script_wait(s, REFRESH_MS);
  script_expect(s, CH_GET_MEMBERS);
  script_free(s);
}
END_TEST

START_TEST(answer_of_an_older_state_is_asked_for_again) {
  script *s = in_team();
  chat_bytes dave = TEXT("dave");
  live_to_team(s, (ch_content){.type = CHAT_TYPE_MEMBERS_ADD, .users = &dave, .user_count = 1, .role = CHAT_ROLE_MEMBER}, 3);
  script_wait(s, REFRESH_MS);
  ch_member_info members[] = {member(TEXT("alice"), 2, 2), member(TEXT("bob"), 2, 2), member(TEXT("carol"), 2, 2), member(dave, 0, 0)};
  answer_members(s, script_expect(s, CH_GET_MEMBERS), CHAT_GROUP, 2, members, 3);
  script_expect_none(s, CH_GET_MEMBERS); /* not at once */
  script_wait(s, 6000);
  answer_members(s, script_expect(s, CH_GET_MEMBERS), CHAT_GROUP, 3, members, 4);
  script_wait(s, 30000);
  script_expect_none(s, CH_GET_MEMBERS);
  script_free(s);
}
END_TEST

START_TEST(refused_question_is_asked_again_only_where_that_may_help) {
  static const int codes[] = {CHAT_E_AGAIN, CHAT_E_NOT_FOUND, CHAT_E_INTERNAL};
  for (size_t i = 0; i < 3; i++) {
    script *s = script_online();
    chat_head head = head_of(team, CHAT_GROUP, 2);
    tell_heads(s, &head, 1, 20);
    script_wait(s, REFRESH_MS);
    say_error(s, script_expect(s, CH_GET_MEMBERS), codes[i]);
    script_expect_none(s, CH_GET_MEMBERS);
    script_wait(s, 30000);
    ck_assert_int_eq(script_next(s, CH_GET_MEMBERS) != NULL, codes[i] == CHAT_E_AGAIN);
    script_expect_none(s, CH_GET_MEMBERS); /* it waits for its answer */
    script_free(s);
  }
}
END_TEST

/* A new device in many groups: all are asked for, few at a time. */
START_TEST(many_groups_are_asked_for_in_turn) {
  enum { GROUPS = 50, AT_ONCE = 4 };
  script *s = script_online();
  chat_head heads[GROUPS];
  bool seen[GROUPS] = {false};
  for (unsigned i = 0; i < GROUPS; i++) {
    uint8_t id[16] = {0x60, (uint8_t)i};
    heads[i] = head_of(id, CHAT_GROUP, 2);
  }
  tell_heads(s, heads, GROUPS, 20);
  script_wait(s, REFRESH_MS);
  ch_member_info members[] = {member(TEXT("alice"), 0, 0), member(TEXT("bob"), 0, 0)};
  const ch_client_message *asked[AT_ONCE + 1];
  unsigned answered = 0;
  while (answered < GROUPS) {
    unsigned count = 0;
    while (count <= AT_ONCE && (asked[count] = script_next(s, CH_GET_MEMBERS))) count++;
    ck_assert_uint_ge(count, 1);
    ck_assert_uint_le(count, AT_ONCE);
    for (unsigned i = 0; i < count; i++) {
      seen[asked[i]->u.get_members.conversation_id[1]] = true;
      answer_members(s, asked[i], CHAT_GROUP, 2, members, 2);
      s->sent_at = (size_t)(asked[i] - s->sent) + 1;
      answered++;
    }
    /* each answer may have made the next question; those behind this round's are found by going on from here */
    s->sent_at = (size_t)(asked[count - 1] - s->sent) + 1;
  }
  for (unsigned i = 0; i < GROUPS; i++)
    ck_assert_msg(seen[i], "group %u was not asked for", i);
  script_free(s);
}
END_TEST

START_TEST(channels_are_asked_for_only_when_open) {
  script *s = script_online();
  chat_head head = head_of(team, CHAT_CHANNEL, 2);
  tell_heads(s, &head, 1, 20);
  script_wait(s, 30000);
  script_expect_none(s, CH_GET_MEMBERS);
  ch_client_request open = {.kind = CH_REQ_OPEN};
  memcpy(open.conversation_id, team, 16);
  ck_assert_int_eq(script_do(s, open), 0);
  script_expect(s, CH_GET_MEMBERS);
  script_free(s);
}
END_TEST

START_TEST(former_members_ask_nothing) {
  script *s = script_online();
  chat_head head = head_of(team, CHAT_GROUP, 2);
  head.role = CHAT_ROLE_NONE;
  tell_heads(s, &head, 1, 20);
  script_wait(s, 30000);
  script_expect_none(s, CH_GET_MEMBERS);
  script_free(s);
}
END_TEST

START_TEST(members_survive_a_restart) {
  script *s = in_team();
  write_to_team(s, 3);
  script_restart(s);
  script_connect(s, 2);
  say_mark(s, team, TEXT("bob"), 3, 3);
  say_mark(s, team, TEXT("carol"), 3, 3);
  ck_assert_uint_eq(tick_at(s, team, 3), CHAT_TICK_READ);
  script_wait(s, 10000);
  s->sent_at = 0;
  script_last(s, CH_HELLO);
  script_expect_none(s, CH_GET_MEMBERS);
  script_free(s);
}
END_TEST

/* What moved while one was away is asked for, of every conversation that lacks ticks. */
START_TEST(connect_asks_where_ticks_lack) {
  enum { GROUPS = 450 };
  script *s = script_online();
  static chat_head heads[GROUPS];
  for (unsigned i = 0; i < GROUPS; i++) {
    uint8_t id[16] = {0x60, (uint8_t)i, (uint8_t)(i >> 8)};
    heads[i] = head_of(id, CHAT_GROUP, 2);
  }
  tell_heads(s, heads, GROUPS, 20);
  ch_member_info members[] = {member(TEXT("alice"), 2, 2), member(TEXT("bob"), 0, 0)}, read[] = {member(TEXT("alice"), 2, 2), member(TEXT("bob"), 2, 2)};
  script_wait(s, REFRESH_MS);
  for (const ch_client_message *range = script_next(s, CH_RANGE); range; range = script_next(s, CH_RANGE)) {
    size_t at = s->sent_at;
    ch_server_message reply = {.tag = range->tag, .op = CH_RANGE_REPLY, .u.range_reply = {.status = CH_RANGE_COMPLETE, .high = 2, .head = 2}};
    memcpy(reply.u.range_reply.conversation_id, range->u.range.conversation_id, 16);
    script_say(s, reply);
    s->sent_at = at;
  }
  s->sent_at = 0;
  for (const ch_client_message *asked = script_next(s, CH_GET_MEMBERS); asked; asked = script_next(s, CH_GET_MEMBERS)) {
    size_t at = s->sent_at;
    bool is_read = asked->u.get_members.conversation_id[1] == 7; /* two of them: 7 and 263 */
    answer_members(s, asked, CHAT_GROUP, 2, is_read ? read : members, 2);
    s->sent_at = at;
  }
  script_skip(s);
  script_lose(s);
  script_connect(s, 2);
  size_t named = 0;
  s->sent_at = 0;
  script_last(s, CH_HELLO);
  for (const ch_client_message *asked = script_next(s, CH_GET_RECEIPTS); asked; asked = script_next(s, CH_GET_RECEIPTS)) {
    ck_assert_uint_le(asked->u.get_receipts.count, 200);
    named += asked->u.get_receipts.count;
  }
  ck_assert_uint_eq(named, GROUPS - 2);
  script_free(s);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ on the screen */

static ch_client_request about_team(ch_client_request_kind kind) {
  ch_client_request request = {.kind = kind, .limit = 10};
  memcpy(request.conversation_id, team, 16);
  return request;
}

START_TEST(open_follows_and_close_stops) {
  script *s = in_team();
  ck_assert_int_eq(script_do(s, about_team(CH_REQ_OPEN)), 0);
  ck_assert_uint_eq(script_expect(s, CH_WATCH)->u.watch.flag, 0);
  script_expect(s, CH_GET_RECEIPTS);
  chat_presence users[] = {{.user = TEXT("bob"), .online = 1}, {.user = TEXT("carol"), .seen_ms = 5}};
  script_say(s, (ch_server_message){.op = CH_PRESENCE, .u.presence = {.users = users, .count = 2}});
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_PRESENCE);
  ck_assert_uint_eq(event->event.online, 1);
  ch_client_event_free(event);
  s->is_open = false;
  ch_brain_closed(s->brain, CHAT_E_CLOSED, s->now);
  ch_client_event *reply = script_ask(s, about_team(CH_REQ_MEMBERS)); /* from the cache, and nobody is known to be online any more */
  ck_assert_uint_eq(reply->event.member_count, 3);
  ck_assert_uint_eq(reply->event.members[1]->online, 0);
  ch_client_event_free(reply);
  script_reopen(s);
  script_connect(s, 2);
  s->sent_at = 0;
  script_last(s, CH_CONFIRM_SESSION);
  script_expect(s, CH_WATCH); /* it is still on the screen */
  ck_assert_int_eq(script_do(s, about_team(CH_REQ_CLOSE)), 0);
  ck_assert_uint_eq(script_expect(s, CH_WATCH)->u.watch.flag, 1);
  script_free(s);
}
END_TEST

/* The embedder's screen knows nothing of a suspend. */
START_TEST(open_survives_suspend) {
  script *s = in_team();
  ck_assert_int_eq(script_do(s, about_team(CH_REQ_OPEN)), 0);
  ch_brain_suspend(s->brain, s->now);
  script_pump(s);
  ck_assert_int_eq(ch_brain_resume(s->brain, s->now), 0);
  script_pump(s);
  script_connect(s, 2);
  s->sent_at = 0;
  script_last(s, CH_CONFIRM_SESSION);
  ck_assert_mem_eq(script_expect(s, CH_WATCH)->u.watch.conversation_id, team, 16);
  script_free(s);
}
END_TEST

START_TEST(at_most_sixteen_are_open) {
  script *s = script_online();
  chat_head heads[17];
  for (unsigned i = 0; i < 17; i++) {
    uint8_t id[16] = {0x60, (uint8_t)i};
    heads[i] = head_of(id, CHAT_GROUP, 2);
  }
  tell_heads(s, heads, 17, 20);
  for (int round = 0; round < 2; round++) /* opening twice counts once */
    for (unsigned i = 0; i < 17; i++) {
      ch_client_request open = {.kind = CH_REQ_OPEN};
      memcpy(open.conversation_id, heads[i].conversation_id, 16);
      ck_assert_int_eq(script_do(s, open), i < 16 ? 0 : CHAT_E_LIMIT);
    }
  ch_client_request close = {.kind = CH_REQ_CLOSE}, open = {.kind = CH_REQ_OPEN};
  memcpy(close.conversation_id, heads[3].conversation_id, 16);
  memcpy(open.conversation_id, heads[16].conversation_id, 16);
  ck_assert_int_eq(script_do(s, close), 0);
  ck_assert_int_eq(script_do(s, close), 0); /* closing twice as well */
  ck_assert_int_eq(script_do(s, open), 0);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_OPEN}), CHAT_E_NOT_FOUND);
  script_free(s);
}
END_TEST

START_TEST(typing_is_sent_at_most_every_three_seconds) {
  script *s = in_team();
  ch_client_request typing = about_team(CH_REQ_TYPING);
  typing.flag = 1;
  for (int i = 0; i < 10; i++) {
    ck_assert_int_eq(ch_brain_request(s->brain, &typing, s->now), 0);
    script_wait(s, 290);
  }
  script_expect(s, CH_SET_TYPING);
  script_expect_none(s, CH_SET_TYPING);
  script_wait(s, 200);
  ck_assert_int_eq(ch_brain_request(s->brain, &typing, s->now), 0);
  script_pump(s);
  script_expect(s, CH_SET_TYPING);
  typing.flag = 0;
  ck_assert_int_eq(ch_brain_request(s->brain, &typing, s->now), 0);
  script_pump(s);
  ck_assert_uint_eq(script_expect(s, CH_SET_TYPING)->u.typing.flag, 0); /* a stop is told at once */
  script_no_event(s, CHAT_EVENT_REPLY);
  ch_server_message said = {.op = CH_TYPING, .u.typing = {.user = TEXT("bob"), .typing = 1}};
  memcpy(said.u.typing.conversation_id, team, 16);
  script_say(s, said);
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_TYPING);
  ck_assert_uint_eq(event->event.online, 1);
  ck_assert_mem_eq(event->event.conversation_id, team, 16);
  ch_client_event_free(event);
  script_free(s);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ devices */

START_TEST(devices_are_listed_and_revoked) {
  script *s = script_online();
  ck_assert_int_eq(ch_brain_request(s->brain, &(ch_client_request){.kind = CH_REQ_DEVICES, .tag = 5}, s->now), 0);
  script_pump(s);
  ch_device_info devices[] = {{.name = TEXT("phone"), .created_ms = 1, .current = 1}, {.name = TEXT("desk"), .revoked = 1}};
  memcpy(devices[0].device_id, device_a, 16);
  memcpy(devices[1].device_id, device_b, 16);
  script_say(s, (ch_server_message){.tag = script_expect(s, CH_LIST_DEVICES)->tag, .op = CH_DEVICES_REPLY, .u.devices_reply = {.devices = devices, .count = 2}});
  ch_client_event *reply = script_event_expect(s, CHAT_EVENT_REPLY);
  ck_assert_uint_eq(reply->event.device_count, 2);
  ck_assert_mem_eq(reply->event.devices[1]->device_id, device_b, 16);
  ck_assert_uint_eq(reply->event.devices[0]->current, 1);
  ck_assert_uint_eq(reply->event.devices[1]->revoked, 1);
  ch_client_event_free(reply);
  ch_client_request revoke = {.kind = CH_REQ_REVOKE_DEVICE, .tag = 6};
  memcpy(revoke.device_id, device_b, 16);
  ck_assert_int_eq(ch_brain_request(s->brain, &revoke, s->now), 0);
  script_pump(s);
  const ch_client_message *asked = script_expect(s, CH_REVOKE_DEVICE);
  ck_assert_mem_eq(asked->u.device_id, device_b, 16);
  say_error(s, asked, CHAT_E_NOT_FOUND);
  reply = script_event_expect(s, CHAT_EVENT_REPLY);
  ck_assert_int_eq(reply->event.status, CHAT_E_NOT_FOUND);
  ch_client_event_free(reply);
  s->is_open = false;
  ch_brain_closed(s->brain, CHAT_E_CLOSED, s->now);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_DEVICES}), CHAT_E_OFFLINE);
  script_free(s);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {ticks_of_a_group_move_without_opening_it, 0},
      {ticks_never_move_back, 0},
      {ticks_of_a_direct_conversation_that_the_other_began, 0},
      {receipt_that_is_no_news_is_not_told, 0},
      {receipts_come_in_heaps, 0},
      {receipts_are_stored_before_they_are_told, 0},
      {own_mark_of_another_device, 0},
      {receipt_waits_for_room, 0},
      {change_of_members_is_followed, 0},
      {an_event_of_an_unknown_type_makes_members_stale, 0},
      {answer_of_an_older_state_is_asked_for_again, 0},
      {refused_question_is_asked_again_only_where_that_may_help, 0},
      {many_groups_are_asked_for_in_turn, 0},
      {channels_are_asked_for_only_when_open, 0},
      {former_members_ask_nothing, 0},
      {members_survive_a_restart, 0},
      {connect_asks_where_ticks_lack, 0},
      {open_follows_and_close_stops, 0},
      {open_survives_suspend, 0},
      {at_most_sixteen_are_open, 0},
      {typing_is_sent_at_most_every_three_seconds, 0},
      {devices_are_listed_and_revoked, 0},
  };
  return RUN_TESTS("people", rows);
}
