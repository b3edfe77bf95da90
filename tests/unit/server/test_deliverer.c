/* SPDX-License-Identifier: Apache-2.0 */
/* Rule V1 for records of every kind: heads, raises, live events, the embedder's hook, consumed. */
#include "unit/server/deliverer_peer.h"

static void begin(void) {
  deliverer_begin();
  assign(0);
}

/* --- events --- */

/* Each step begins when the one before is acknowledged; consumed is said within a second. */
START_TEST(heads_then_raise_then_one_live_event_a_gateway) {
  ch_task task = event_task("ab", 1, 9);
  log_tasks(&task, 1);
  begin();
  reads(1);
  chat_store_write_heads *heads = take_op(CHAT_OP_STORE_WRITE_HEADS);
  ck_assert_uint_eq(heads->partition, 0);
  ck_assert_uint_eq(heads->position, 1);
  ck_assert_uint_eq(heads->count, 2);
  for (size_t i = 0; i < 2; i++) {
    ck_assert(ch_bytes_equal(heads->heads[i].user, ch_bytes_of(&"ab"[i], 1)));
    ck_assert_uint_eq(heads->heads[i].head.head, 9);
    ck_assert_uint_eq(heads->heads[i].head.position, 1); /* the record's own */
    ck_assert_uint_eq(heads->heads[i].head.first, 1);
  }
  rests();
  give(heads, 0);

  chat_directory_raise *raise = take_raise("ab", 1);
  rests();
  raise->raises[0].previous = 70;
  add_routes(&raise->op, &raise->raises[0], "a1A1"); /* two devices at one gateway */
  add_routes(&raise->op, &raise->raises[1], "b1B2");
  give(raise, 0);

  ch_delivered delivered;
  chat_link_send *link = take_link("1");
  ck_assert_uint_eq(link->count, 1);
  ck_assert_uint_eq(link->deliveries->position, 1);
  ck_assert_uint_eq(link->deliveries->target_count, 2);
  const chat_target *targets = link->deliveries->targets;
  ck_assert(ch_bytes_equal(targets[0].user, ch_bytes_text("a")) && targets[0].previous == 70);
  ck_assert(ch_bytes_equal(targets[1].user, ch_bytes_text("b")) && targets[1].previous == 0);
  ck_assert_mem_eq(targets[0].device_id, (uint8_t[16]){0}, 16);
  delivered_of(link->deliveries, &delivered);
  ck_assert_uint_eq(delivered.event_count, 1);
  ck_assert_uint_eq(delivered.events->seq, 9);
  give(link, 0);
  link = take_link("2");
  ck_assert_uint_eq(link->deliveries->target_count, 1);
  give(link, 0);
  rests();
  pass_time(1000);
  consumes(1);
  rests();
  const ch_deliverer_stats *stats = ch_deliverer_get_stats(deliverer);
  ck_assert_uint_eq(stats->records, 1);
  ck_assert_uint_eq(stats->raises, 2);
  ck_assert_uint_eq(stats->deliveries, 2);
  ck_assert_uint_eq(stats->dropped, 0);
  ck_assert_uint_eq(stats->position, 1);
  deliverer_end();
}
END_TEST

/* One raise and one live event for each (record, user), naming every head. */
START_TEST(several_events_for_a_user_are_one_live_event) {
  ch_task tasks[] = {event_task("ab", 1, 5), event_task("bc", 2, 6), event_task("ab", 1, 7)};
  log_tasks(tasks, 3);
  begin();
  reads(1);
  chat_store_write_heads *heads = take_op(CHAT_OP_STORE_WRITE_HEADS);
  ck_assert_uint_eq(heads->count, 6);
  give(heads, 0);
  raises("abc", 1, 40);
  chat_link_send *link = take_link("1");
  ck_assert_uint_eq(link->count, 3);
  for (size_t i = 0; i < 3; i++) {
    ch_delivered delivered;
    const chat_delivery *delivery = &link->deliveries[i];
    ck_assert_uint_eq(delivery->target_count, 1);
    delivered_of(delivery, &delivered);
    switch (*(const char *)delivery->targets->user.data) {
    case 'a': ck_assert(delivered.event_count == 2 && delivered.events[0].seq == 5 && delivered.events[1].seq == 7); break;
    case 'b': ck_assert(delivered.event_count == 3 && delivered.events[0].seq == 5 && delivered.events[1].seq == 6 && delivered.events[2].seq == 7); break;
    default: ck_assert(delivered.event_count == 1 && delivered.events[0].seq == 6); break;
    }
  }
  give(link, 0);
  deliverer_end();
}
END_TEST

START_TEST(records_are_done_one_after_another) {
  log_event("a");
  log_event("a");
  begin();
  reads(2);
  for (uint64_t i = 1; i <= 2; i++) {
    heads_are_written(i);
    ck_assert_uint_eq(count_ops(CHAT_OP_STORE_WRITE_HEADS), 0);
    raises("a", i, i - 1);
    sends_event("a", i, i, i - 1);
  }
  deliverer_end();
}
END_TEST

/* V7: no heads to write; the position is that of the state that covers the task. All there is in the log is hints, but none is passed over: who has synced before it would miss it. */
START_TEST(where_heads_are_derived_it_begins_with_what_there_is) {
  config.store_derives_heads = 1;
  ch_task task = event_task("a", 1, 1);
  log_tasks_at(55, &task, 1);
  begin();
  log_tasks_at(56, &task, 1);
  chat_log_read *read = take_op(CHAT_OP_LOG_READ);
  ck_assert_uint_eq(read->after, 0);
  fill_read(read, 2);
  give(read, 0);
  raises("a", 55, 54);
  sends_event("a", 1, 55, 54);
  raises("a", 56, 55);
  sends_event("a", 1, 56, 55);
  deliverer_end();
}
END_TEST

/* --- volatile tasks, channels --- */

/* The letters of the devices that are addressed. */
static void names_of(const chat_link_send *link, char *names) {
  for (size_t i = 0; i < link->count; i++) {
    for (size_t j = 0; j < link->deliveries[i].target_count; j++)
      *names++ = (char)link->deliveries[i].targets[j].device_id[0];
  }
  *names = 0;
}

/* To one device, to all but one, to all: routes alone, no raise, position 0. */
START_TEST(volatile_tasks_take_routes_alone) {
  static const struct {
    const char *has, *has_not, *at_1, *at_2;
  } rows[] = {{"A", NULL, "A", ""}, {NULL, "A", "a", "x"}, {"q", NULL, "", ""}};
  for (size_t i = 0; i < 3; i++) {
    ch_task task = {.kind = i == 1 ? CH_TASK_RECEIPTS : CH_TASK_VERDICT, .users = users_of("a"), .user_count = 1};
    task.has_device = rows[i].has != NULL;
    task.has_not_device = rows[i].has_not != NULL;
    if (rows[i].has) memset(task.device_id, rows[i].has[0], 16);
    if (rows[i].has_not) memset(task.not_device, rows[i].has_not[0], 16);
    if (i != 1) task.u.verdict = (ch_verdict){.code = CH_VERDICT_DUP, .client_seq = 3};
    if (i == 1) task.u.receipts = (ch_receipts){.count = 0};
    log_tasks(&task, 1);
    begin();
    reads(1);
    chat_directory_routes *routes = take_op(CHAT_OP_DIRECTORY_ROUTES);
    ck_assert_uint_eq(routes->count, 1);
    add_routes(&routes->op, &routes->raises[0], "a1A1x2");
    give(routes, 0);
    char names[8];
    for (int j = 0; j < 2; j++) {
      const char *expected = j ? rows[i].at_2 : rows[i].at_1;
      if (!*expected) continue;
      chat_link_send *link = take_link(j ? "2" : "1");
      ck_assert_uint_eq(link->deliveries->position, 0);
      names_of(link, names);
      ck_assert_str_eq(names, expected);
      give(link, 0);
    }
    rests();
    ck_assert_uint_eq(ch_deliverer_get_stats(deliverer)->records, 1);
    deliverer_end();
    deliverer_config_default();
  }
}
END_TEST

START_TEST(a_channel_s_event_goes_to_gateways_with_subscribers) {
  ch_task tasks[] = {channel_task(1, 5), channel_task(2, 8), channel_task(1, 6)};
  log_tasks(tasks, 3);
  begin();
  reads(1);
  for (uint8_t i = 1; i <= 2; i++) { /* each channel is asked for once */
    chat_directory_subscribers *op = take_op(CHAT_OP_DIRECTORY_SUBSCRIBERS);
    ck_assert_uint_eq(op->conversation_id[0], i);
    op->gateways = chat_op_alloc(&op->op, 2 * sizeof *op->gateways);
    op->gateways[op->count++] = ch_bytes_text("1");
    if (i == 1) op->gateways[op->count++] = ch_bytes_text("2");
    give(op, 0);
  }
  static const uint64_t expected[2][3] = {{5, 8, 6}, {5, 6}};
  for (int i = 0; i < 2; i++) {
    chat_link_send *link = take_link(i ? "2" : "1");
    ck_assert_uint_eq(link->count, i ? 2 : 3);
    for (size_t j = 0; j < link->count; j++) {
      ch_delivered delivered;
      ck_assert_uint_eq(link->deliveries[j].target_count, 0);
      ck_assert_uint_eq(link->deliveries[j].position, 0);
      delivered_of(&link->deliveries[j], &delivered);
      ck_assert_uint_eq(delivered.events->seq, expected[i][j]);
    }
    give(link, 0);
  }
  rests();
  deliverer_end();
}
END_TEST

/* --- links, records that are none --- */

/* P8: 256 LINK_SENDs may be under way; what is above is dropped, and nothing waits. */
START_TEST(a_slow_gateway_holds_up_nobody) {
  enum { LINKS_MAX = 256, EVENTS_COUNT = LINKS_MAX + 3 };
  for (int i = 0; i < EVENTS_COUNT; i++)
    log_event("a");
  begin();
  for (uint64_t i = 1; i <= EVENTS_COUNT; i++) {
    if (count_ops(CHAT_OP_LOG_READ)) reads(32);
    heads_are_written(i);
    raises("a", i, 0);
  }
  const ch_deliverer_stats *stats = ch_deliverer_get_stats(deliverer);
  ck_assert_uint_eq(stats->records, EVENTS_COUNT);
  ck_assert_uint_eq(count_ops(CHAT_OP_LINK_SEND), LINKS_MAX);
  ck_assert_uint_eq(stats->deliveries, LINKS_MAX);
  ck_assert_uint_eq(stats->dropped, 3);
  give(take_op(CHAT_OP_LINK_SEND), CHAT_E_NOT_FOUND);
  give(take_op(CHAT_OP_LINK_SEND), CHAT_E_AGAIN);
  ck_assert_uint_eq(stats->dropped, 5);
  log_event("a");
  reads(1);
  heads_are_written(EVENTS_COUNT + 1);
  raises("a", EVENTS_COUNT + 1, 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LINK_SEND), LINKS_MAX - 1); /* there is room again */
  deliverer_end();
}
END_TEST

START_TEST(a_user_without_routes_is_told_nothing) {
  log_event("a");
  begin();
  reads(1);
  heads_are_written(1);
  give(take_raise("a", 1), 0);
  rests();
  ck_assert_uint_eq(ch_deliverer_get_stats(deliverer)->records, 1);
  deliverer_end();
}
END_TEST

START_TEST(a_record_that_is_none_is_skipped) {
  log_bytes(ch_bytes_text("\xff none"));
  log_event("a");
  log_bytes(ch_bytes_text("\xff none"));
  begin();
  reads(3);
  heads_are_written(2);
  raises("a", 2, 0);
  sends_event("a", 2, 2, 0);
  const ch_deliverer_stats *stats = ch_deliverer_get_stats(deliverer);
  ck_assert_uint_eq(stats->undecodable, 2);
  ck_assert_uint_eq(stats->position, 3);
  ck_assert_int_eq(ch_deliverer_fault(deliverer, 0), 0);
  pass_time(1000);
  consumes(3);
  deliverer_end();
}
END_TEST

/* --- the hook, consumed, stop --- */

/* For each event, behind its live event and before consumed; again until the embedder says 0, but not what it has taken. */
START_TEST(the_hook_is_called_until_it_takes_each_event) {
  config.has_after_store = 1;
  ch_task tasks[] = {event_task("ab", 1, 5), channel_task(2, 6)};
  log_tasks(tasks, 2);
  begin();
  reads(1);
  heads_are_written(1);
  raises("ab", 1, 0);
  give(take_op(CHAT_OP_DIRECTORY_SUBSCRIBERS), 0);
  give(take_link("1"), 0);
  ch_op_after_store *op = take_op(CH_OP_AFTER_STORE);
  ck_assert_uint_eq(op->row.seq, 5);
  ck_assert_uint_eq(op->user_count, 2);
  ck_assert(ch_bytes_equal(op->users[1], ch_bytes_text("b")));
  give(op, 0);
  op = take_op(CH_OP_AFTER_STORE);
  ck_assert_uint_eq(op->row.seq, 6);
  give(op, CHAT_E_DENIED);
  for (uint64_t i = 0; i < 3; i++) {
    rests();
    pass_time(RETRY_MS << i);
    ck_assert_uint_eq(count_ops(CH_OP_AFTER_STORE), 1);
    op = take_op(CH_OP_AFTER_STORE);
    ck_assert_uint_eq(op->row.seq, 6);
    give(op, i == 2 ? 0 : CHAT_E_IO);
  }
  ck_assert_uint_eq(ch_deliverer_get_stats(deliverer)->records, 1);
  pass_time(1000);
  consumes(1);
  rests();
  deliverer_end();
}
END_TEST

START_TEST(consumed_is_said_after_256_records_or_a_second) {
  for (int i = 0; i < 300; i++)
    log_bytes(ch_bytes_text("\xff none"));
  config.records_max = 300;
  begin();
  reads(255);
  rests();
  ck_assert_uint_eq(role.deadline_ms(role.self), now.elapsed_ms + 1000);
  reads(1);
  consumes(256);
  ck_assert_uint_eq(role.deadline_ms(role.self), CH_NEVER_MS);
  reads(1);
  pass_time(999);
  rests();
  pass_time(1);
  consumes(257);
  reads(1);
  ch_deliverer_stop(deliverer);
  consumes(258);
  rests();
  deliverer_end();
}
END_TEST

START_TEST(a_stop_ends_after_the_record) {
  log_event("a");
  log_event("a");
  begin();
  reads(2);
  ch_deliverer_stop(deliverer);
  ck_assert(!ch_deliverer_idle(deliverer));
  heads_are_written(1);
  raises("a", 1, 0);
  ck_assert(ch_deliverer_idle(deliverer));
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_WRITE_HEADS), 0);
  consumes(1);
  deliverer_end();
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {heads_then_raise_then_one_live_event_a_gateway, 0},
      {several_events_for_a_user_are_one_live_event, 0},
      {records_are_done_one_after_another, 0},
      {where_heads_are_derived_it_begins_with_what_there_is, 0},
      {volatile_tasks_take_routes_alone, 0},
      {a_channel_s_event_goes_to_gateways_with_subscribers, 0},
      {a_slow_gateway_holds_up_nobody, 0},
      {a_user_without_routes_is_told_nothing, 0},
      {a_record_that_is_none_is_skipped, 0},
      {the_hook_is_called_until_it_takes_each_event, 0},
      {consumed_is_said_after_256_records_or_a_second, 0},
      {a_stop_ends_after_the_record, 0},
  };
  deliverer_config_default();
  return RUN_TESTS("deliverer", rows);
}
