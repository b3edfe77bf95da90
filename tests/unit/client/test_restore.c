/* SPDX-License-Identifier: Apache-2.0 */
/* A database that was restored from a copy: a new device, the old one retired, each row of the outbox proven or given back (docs/protocol.md, "Restored databases"). */
#include "unit/client/script.h"
#include "unit/core/run.h"

/* Two messages are in the outbox of a copy. The first went out after the copy was made. */
static script *restored(const ch_client_message **first) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  ck_assert_int_eq(script_do(s, script_text("one")), 0);
  ck_assert_int_eq(script_do(s, script_text("two")), 0);
  *first = script_expect(s, CH_SEND);
  script_expect(s, CH_SEND);
  chat_cache *copy;
  ck_assert_int_eq(ch_cache_mem_clone(s->cache, &copy), 0);
  ch_brain_free(s->brain);
  s->cache->vtable->free(s->cache->self);
  script_attach(s, copy);
  script_start(s);
  return s;
}

static void become_b(script *s) {
  const ch_client_message *hello = script_expect(s, CH_HELLO);
  ck_assert_uint_eq(hello->u.hello.has_device, 0);
  ch_server_message welcome = script_welcome(device_b, 1);
  welcome.tag = hello->tag;
  script_say(s, welcome);
  script_sync(s, NULL, 0, 20);
}

START_TEST(restored_database_takes_a_new_device) {
  const ch_client_message *first;
  script *s = restored(&first);
  script_say(s, (ch_server_message){.tag = script_expect(s, CH_HELLO)->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_CONFLICT}});
  become_b(s);
  const ch_client_message *retire = script_last(s, CH_SEND);
  ck_assert_uint_eq(retire->u.send.type, CHAT_TYPE_DEVICE_RETIRED);
  ch_content content;
  ck_assert_int_eq(ch_content_decode(CHAT_TYPE_DEVICE_RETIRED, retire->u.send.payload, &s->arena, &content), 0);
  ck_assert_mem_eq(content.device_id, device_a, 16);
  /* The history up to the retirement has the first, not the second. */
  chat_row rows[] = {script_row_of(first, 2), script_row_of(retire, 3)};
  script_live(s, 20, 21, rows, 2);
  const ch_client_message *second = script_expect(s, CH_SEND);
  ck_assert_uint_gt(second->u.send.client_seq, retire->u.send.client_seq);
  ck_assert_uint_eq(second->u.send.prev, 0);
  script_expect_none(s, CH_SEND);
  ck_assert_uint_eq(script_bob_now(s).pending, 1);
  script_free(s);
}
END_TEST

START_TEST(dup_above_the_own_numbers_is_a_restored_database) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  ck_assert_int_eq(script_do(s, script_text("one")), 0);
  script_verdict(s, script_expect(s, CH_SEND), CH_VERDICT_DUP, 2, 9, 0);
  become_b(s);
  script_free(s);
}
END_TEST

START_TEST(unprovable_rows_become_drafts) {
  const ch_client_message *first;
  script *s = restored(&first);
  script_say(s, (ch_server_message){.tag = script_expect(s, CH_HELLO)->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_CONFLICT}});
  become_b(s);
  script_verdict(s, script_last(s, CH_SEND), CH_VERDICT_REFUSED, 1, 1, CHAT_E_DENIED);
  for (int i = 0; i < 2; i++)
    ch_client_event_free(script_event_expect(s, CHAT_EVENT_DRAFT));
  ck_assert_uint_eq(script_bob_now(s).pending, 0);
  script_free(s);
}
END_TEST

/* Parking is durable: the process may die while the retirement is on its way. */
START_TEST(restoring_survives_a_power_cut) {
  const ch_client_message *first;
  script *s = restored(&first);
  script_say(s, (ch_server_message){.tag = script_expect(s, CH_HELLO)->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_CONFLICT}});
  ch_brain_free(s->brain);
  ch_cache_mem_power_cut(s->cache);
  script_attach(s, s->cache);
  script_skip(s);
  script_start(s);
  become_b(s);
  ck_assert_uint_eq(script_last(s, CH_SEND)->u.send.type, CHAT_TYPE_DEVICE_RETIRED);
  ck_assert_uint_eq(script_bob_now(s).pending, 3);
  script_free(s);
}
END_TEST

static script *restored_and_told(const ch_client_message **first) {
  script *s = restored(first);
  script_say(s, (ch_server_message){.tag = script_expect(s, CH_HELLO)->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_CONFLICT}});
  return s;
}

static unsigned count_events(script *s, uint32_t type, int status) {
  unsigned count = 0;
  for (ch_client_event *event = script_event(s, type); event; event = script_event(s, type)) {
    count += event->event.status == status;
    ch_client_event_free(event);
  }
  return count;
}

START_TEST(empty_outbox_needs_no_retirement) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  script_lose(s);
  script_say(s, (ch_server_message){.tag = script_last(s, CH_HELLO)->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_CONFLICT}});
  become_b(s);
  script_wait(s, 20000);
  script_expect_none(s, CH_SEND);
  script_free(s);
}
END_TEST

/* The end of the retirement is found by a range as well as by a push. */
START_TEST(retirement_found_by_range) {
  const ch_client_message *first;
  script *s = restored_and_told(&first);
  become_b(s);
  const ch_client_message *retire = script_last(s, CH_SEND);
  chat_row rows[] = {script_row_of(first, 2), script_row_of(retire, 3)};
  ch_head_hint hint = {.head = 3};
  memcpy(hint.conversation_id, script_bob(), 16);
  script_say(s, (ch_server_message){.op = CH_LIVE, .u.live = {.previous = 20, .position = 21, .heads = &hint, .head_count = 1}});
  script_range(s, CH_RANGE_COMPLETE, 3, 3, rows, 2);
  ck_assert_uint_gt(script_expect(s, CH_SEND)->u.send.client_seq, retire->u.send.client_seq);
  ck_assert_uint_eq(script_bob_now(s).pending, 1);
  script_free(s);
}
END_TEST

/* Until then nothing of the old device is sent; a new message goes its way behind the retirement. */
START_TEST(parked_rows_wait_and_new_ones_do_not) {
  const ch_client_message *first;
  script *s = restored_and_told(&first);
  become_b(s);
  const ch_client_message *retire = script_last(s, CH_SEND);
  ck_assert_int_eq(script_do(s, script_text("three")), 0);
  const ch_client_message *third = script_expect(s, CH_SEND);
  ck_assert_uint_eq(third->u.send.prev, retire->u.send.client_seq);
  script_answer(s, retire, CH_ACCEPTED, 0);
  script_answer(s, third, CH_ACCEPTED, 0);
  script_expect_none(s, CH_SEND);
  ck_assert_uint_eq(script_bob_now(s).pending, 4);
  script_free(s);
}
END_TEST

START_TEST(other_content_under_the_id_is_a_conflict) {
  const ch_client_message *first;
  script *s = restored_and_told(&first);
  become_b(s);
  chat_row rows[] = {script_row_of(first, 2), script_row_of(script_last(s, CH_SEND), 3)};
  rows[0].payload = script_payload(s, "something else");
  script_live(s, 20, 21, rows, 2);
  ck_assert_uint_eq(count_events(s, CHAT_EVENT_OUTBOX, CHAT_E_CONFLICT), 1);
  script_free(s);
}
END_TEST

/* Found where nobody looked when it came: a page of history that was filled in. */
START_TEST(proven_by_a_row_that_is_in_the_cache) {
  for (int other = 0; other < 2; other++) {
    const ch_client_message *first;
    script *s = restored_and_told(&first);
    become_b(s);
    const ch_client_message *retire = script_last(s, CH_SEND);
    chat_row far = script_row_of(first, 50), row = script_row_of(retire, 2);
    if (other) far.payload = script_payload(s, "something else");
    const chat_cache_vtable *cache = s->cache->vtable;
    ck_assert_int_eq(cache->begin(s->cache->self), 0);
    ck_assert_int_eq(cache->row_put(s->cache->self, &far), 0);
    ck_assert_int_eq(cache->commit(s->cache->self, 0), 0);
    script_live(s, 20, 21, &row, 1);
    ck_assert_uint_eq(count_events(s, CHAT_EVENT_OUTBOX, other ? CHAT_E_CONFLICT : 0), other ? 1 : 2); /* that of the retirement too */
    ck_assert_uint_eq(script_bob_now(s).pending, 1);
    script_free(s);
  }
}
END_TEST

/* Taken back before the copy was used: not found means that it never was applied, and that is what the person wanted. */
START_TEST(discarded_row_ends_as_canceled) {
  const ch_client_message *first;
  script *s = restored_and_told(&first);
  ch_client_request discard = {.kind = CH_REQ_DISCARD, .has_client_id = 1};
  memcpy(discard.client_id, first->u.send.client_id, 16);
  ck_assert_int_eq(script_do(s, discard), 0);
  become_b(s);
  const ch_client_message *retire = script_last(s, CH_SEND);
  chat_row row = script_row_of(retire, 2);
  script_live(s, 20, 21, &row, 1);
  ck_assert_uint_eq(count_events(s, CHAT_EVENT_OUTBOX, CHAT_E_CANCELED), 1);
  const ch_client_message *second = script_expect(s, CH_SEND);
  ck_assert_uint_eq(second->u.send.discard, 0);
  ck_assert_uint_eq(script_bob_now(s).pending, 1);
  script_free(s);
}
END_TEST

/* What lies below the floor cannot be read any more, so it proves nothing: the person decides. */
START_TEST(floor_passed_gives_drafts) {
  const ch_client_message *first;
  script *s = restored_and_told(&first);
  become_b(s);
  const ch_client_message *retire = script_last(s, CH_SEND);
  ch_head_hint hint = {.head = 90};
  memcpy(hint.conversation_id, script_bob(), 16);
  script_say(s, (ch_server_message){.op = CH_LIVE, .u.live = {.previous = 20, .position = 21, .heads = &hint, .head_count = 1}});
  const ch_client_message *range = script_expect(s, CH_RANGE);
  chat_row row = script_row_of(retire, 90);
  ch_server_message reply = {.tag = range->tag, .op = CH_RANGE_REPLY,
                             .u.range_reply = {.status = CH_RANGE_COMPLETE, .low = 80, .high = 90, .head = 90, .floor = 89, .events = &row, .event_count = 1}};
  memcpy(reply.u.range_reply.conversation_id, script_bob(), 16);
  script_say(s, reply);
  ck_assert_uint_eq(count_events(s, CHAT_EVENT_DRAFT, 0), 2);
  ck_assert_uint_eq(script_bob_now(s).pending, 0);
  script_expect_none(s, CH_SEND);
  script_free(s);
}
END_TEST

/* The copy is restored again while the first retirement is on its way: that one is settled first. */
START_TEST(restored_twice) {
  static const uint8_t device_c[16] = {0xd3};
  const ch_client_message *first;
  script *s = restored_and_told(&first);
  become_b(s);
  const ch_client_message *retire_a = script_last(s, CH_SEND);
  script_lose(s);
  script_say(s, (ch_server_message){.tag = script_last(s, CH_HELLO)->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_CONFLICT}});
  ch_server_message welcome = script_welcome(device_c, 1);
  welcome.tag = script_expect(s, CH_HELLO)->tag;
  script_say(s, welcome);
  script_sync(s, NULL, 0, 20);
  const ch_client_message *retire_b = script_last(s, CH_SEND);
  ch_content content;
  ck_assert_int_eq(ch_content_decode(CHAT_TYPE_DEVICE_RETIRED, retire_b->u.send.payload, &s->arena, &content), 0);
  ck_assert_mem_eq(content.device_id, device_b, 16);
  chat_row rows[] = {script_row_of(first, 2), script_row_of(retire_b, 3)};
  script_live(s, 20, 21, rows, 2); /* the retirement of a was never applied: it is sent again, and what waits for it still waits */
  const ch_client_message *again = script_expect(s, CH_SEND);
  ck_assert_uint_eq(again->u.send.type, CHAT_TYPE_DEVICE_RETIRED);
  ck_assert_mem_eq(again->u.send.client_id, retire_a->u.send.client_id, 16);
  script_expect_none(s, CH_SEND);
  chat_row row = script_row_of(again, 4);
  script_live(s, 21, 22, &row, 1);
  const ch_client_message *second = script_expect(s, CH_SEND);
  ck_assert_uint_eq(second->u.send.type, CHAT_TYPE_MESSAGE);
  ck_assert_uint_eq(script_bob_now(s).pending, 1);
  script_free(s);
}
END_TEST

START_TEST(each_conversation_is_retired_in) {
  script *s = script_online();
  script_know_bob(s, 1, 20);
  ck_assert_int_eq(script_do(s, script_text("to bob")), 0);
  ch_client_request carol = script_text("to carol");
  carol.user = TEXT("carol");
  ck_assert_int_eq(script_do(s, carol), 0);
  script_lose(s);
  script_say(s, (ch_server_message){.tag = script_last(s, CH_HELLO)->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_CONFLICT}});
  become_b(s);
  unsigned retired = 0;
  for (const ch_client_message *send = script_next(s, CH_SEND); send; send = script_next(s, CH_SEND)) {
    ck_assert_uint_eq(send->u.send.type, CHAT_TYPE_DEVICE_RETIRED);
    retired++;
  }
  ck_assert_uint_eq(retired, 2);
  script_free(s);
}
END_TEST

/* Whichever call of the cache fails once: in the end the first is committed, the second is sent once under the new device, and nothing else is. */
START_TEST(cache_failure_at_each_call_of_restoring) {
  for (uint64_t nth = 1; nth < 40; nth++) {
    const ch_client_message *first;
    script *s = restored(&first);
    ch_cache_mem_fail(s->cache, nth, CHAT_E_IO);
    const ch_client_message *retire = NULL, *second = NULL;
    bool is_told = false;
    for (int turn = 0; turn < 40 && !second; turn++) {
      if (!s->is_open) script_reopen(s);
      const ch_client_message *hello = script_next(s, CH_HELLO);
      if (hello && hello->u.hello.has_device && memcmp(hello->u.hello.device_id, device_a, 16) == 0)
        script_say(s, (ch_server_message){.tag = hello->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_CONFLICT}});
      else if (hello) {
        ch_server_message welcome = script_welcome(device_b, (uint64_t)turn + 1);
        welcome.tag = hello->tag;
        script_say(s, welcome);
      }
      const ch_client_message *sync = script_next(s, CH_SYNC);
      if (sync) script_say(s, (ch_server_message){.tag = sync->tag, .op = CH_SYNC_REPLY, .u.sync_reply = {.position = 20}});
      const ch_client_message *send = script_next(s, CH_SEND);
      if (send && send->u.send.type == CHAT_TYPE_DEVICE_RETIRED) retire = send;
      else if (send) second = send;
      if (retire && !second) {
        chat_row rows[] = {script_row_of(first, 2), script_row_of(retire, 3)};
        script_live(s, is_told ? 0 : 20, 21, rows, 2);
        is_told = true;
      }
      if (!second) second = script_next(s, CH_SEND);
      if (second && second->u.send.type == CHAT_TYPE_DEVICE_RETIRED) retire = second, second = NULL;
      script_wait(s, 1000);
    }
    ck_assert_msg(second != NULL, "call %llu: the second was not sent", (unsigned long long)nth);
    ck_assert_mem_ne(second->u.send.client_id, first->u.send.client_id, 16);
    ck_assert_uint_gt(second->u.send.client_seq, retire->u.send.client_seq);
    ck_assert_uint_eq(script_bob_now(s).pending, 1);
    script_free(s);
  }
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {restored_database_takes_a_new_device, 0},
      {dup_above_the_own_numbers_is_a_restored_database, 0},
      {unprovable_rows_become_drafts, 0},
      {restoring_survives_a_power_cut, 0},
      {empty_outbox_needs_no_retirement, 0},
      {retirement_found_by_range, 0},
      {parked_rows_wait_and_new_ones_do_not, 0},
      {other_content_under_the_id_is_a_conflict, 0},
      {proven_by_a_row_that_is_in_the_cache, 0},
      {discarded_row_ends_as_canceled, 0},
      {floor_passed_gives_drafts, 0},
      {restored_twice, 0},
      {each_conversation_is_retired_in, 0},
      {cache_failure_at_each_call_of_restoring, 0},
  };
  return RUN_TESTS("restore", rows);
}
