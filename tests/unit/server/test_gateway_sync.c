/* SPDX-License-Identifier: Apache-2.0 */
/* What clients read: heads and positions (V2, V3), ranges (V5), members, search. */
#include "unit/server/gateway_peer.h"

static uint8_t group[16];
static const uint64_t epoch_2 = UINT64_C(2) << 48;

static void begin(void) {
  gateway_config_default();
  gateway_begin();
  group_id(group, 5);
  login(1, "ann", 1);
}

/* --- sync --- */

static void syncs(uint64_t position) {
  ch_client_message message = {.tag = 11, .op = CH_SYNC};
  message.u.position = position;
  say(1, &message);
}

static chat_store_heads *asked_heads(uint64_t above) {
  chat_store_heads *op = take_op(CHAT_OP_STORE_HEADS);
  ck_assert(ch_bytes_equal(op->user, ch_bytes_text("ann")));
  ck_assert_uint_eq(op->above, above);
  ck_assert_uint_le(op->limit, 1000);
  return op;
}

static void one_head(chat_store_heads *op, uint64_t head, uint64_t position) {
  op->heads = chat_op_alloc(&op->op, sizeof *op->heads);
  op->heads[0] = (chat_head){.kind = CHAT_GROUP, .role = CHAT_ROLE_MEMBER, .head = head, .msg_no = 3, .position = position, .first = 1};
  memcpy(op->heads[0].conversation_id, group, 16);
  op->head_count = 1;
}

static const ch_sync_reply *hears_heads(void) {
  const ch_server_message *message = hears(1, CH_SYNC_REPLY);
  ck_assert_uint_eq(message->tag, 11);
  return &message->u.sync_reply;
}

START_TEST(heads_above_a_position) {
  begin();
  syncs(40);
  chat_store_heads *op = asked_heads(40);
  one_head(op, 9, 50);
  op->position = 52;
  op->more = 1;
  give(op, 0);
  const ch_sync_reply *reply = hears_heads();
  ck_assert_uint_eq(reply->position, 52);
  ck_assert_uint_eq(reply->more, 1);
  ck_assert_uint_eq(reply->reset, 0);
  ck_assert_uint_eq(reply->head_count, 1);
  ck_assert_uint_eq(reply->heads[0].head, 9);
  ck_assert_mem_eq(reply->heads[0].conversation_id, group, 16);
  gateway_end();
}
END_TEST

START_TEST(a_lagging_replica_takes_no_position_back) {
  begin();
  syncs(40);
  chat_store_heads *op = asked_heads(40);
  op->position = 30;
  give(op, 0);
  ck_assert_uint_eq(hears_heads()->position, 40);
  gateway_end();
}
END_TEST

START_TEST(a_position_of_another_epoch_resets) {
  begin();
  syncs(40);
  chat_store_heads *op = asked_heads(40);
  op->position = epoch_2 + 3;
  give(op, 0);
  hears_nothing(1);
  op = asked_heads(0);
  one_head(op, 9, epoch_2 + 3);
  op->position = epoch_2 + 3;
  give(op, 0);
  const ch_sync_reply *reply = hears_heads();
  ck_assert_uint_eq(reply->reset, 1);
  ck_assert_uint_eq(reply->position, epoch_2 + 3);
  ck_assert_uint_eq(reply->head_count, 1);
  gateway_end();
}
END_TEST

START_TEST(a_sync_that_fails_is_later) {
  begin();
  syncs(40);
  give(asked_heads(40), CHAT_E_IO);
  hears_error(1, 11, CHAT_E_AGAIN);
  gateway_end();
}
END_TEST

/* V2: marker, heads, and the highest position in the marker's place. */
static void pos_is_missing(void) {
  say(1, &(ch_client_message){.tag = 4, .op = CH_HEARTBEAT});
  pass_time(50);
  route_is_written(7, 0);
  ck_assert_uint_eq(hears(1, CH_HEARTBEAT_REPLY)->u.pos, 0);
}

START_TEST(a_missing_pos_is_filled) {
  begin();
  pos_is_missing();
  syncs(40);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_HEADS), 0);
  chat_directory_mark *mark = take_op(CHAT_OP_DIRECTORY_MARK);
  ck_assert(ch_bytes_equal(mark->user, ch_bytes_text("ann")));
  uint64_t number = mark->mark;
  give(mark, 0);
  chat_store_heads *op = asked_heads(40);
  one_head(op, 9, 60); /* a cell above the stored position */
  op->position = 52;
  give(op, 0);
  ck_assert_uint_eq(hears_heads()->position, 52);
  chat_directory_fill *fill = take_op(CHAT_OP_DIRECTORY_FILL);
  ck_assert_uint_eq(fill->mark, number);
  ck_assert_uint_eq(fill->pos, 60);
  give(fill, 0);
  gateway_end();
}
END_TEST

START_TEST(pos_is_not_filled_from_a_part_of_the_heads) {
  begin();
  pos_is_missing();
  syncs(0);
  give(take_op(CHAT_OP_DIRECTORY_MARK), 0);
  chat_store_heads *op = asked_heads(0);
  one_head(op, 9, 60);
  op->position = 60;
  op->more = 1;
  give(op, 0);
  hears_heads();
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_FILL), 0);
  syncs(60);
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_MARK), 1);
  gateway_end();
}
END_TEST

START_TEST(without_a_marker_nothing_is_filled) {
  begin();
  pos_is_missing();
  syncs(0);
  give(take_op(CHAT_OP_DIRECTORY_MARK), CHAT_E_IO);
  chat_store_heads *op = asked_heads(0);
  op->position = 60;
  give(op, 0);
  hears_heads();
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_FILL), 0);
  gateway_end();
}
END_TEST

/* --- range --- */

typedef struct range_case {
  const char *what;
  uint64_t low, high;
  uint32_t limit, newest_first;
  uint64_t head, horizon;
  chat_interval intervals[2];
  uint64_t rows[8]; /* seqs that the store gives, ended by 0 */
  ch_range_status status;
  uint64_t said_low, said_high, said_head, said_floor;
  uint64_t said[8];
} range_case;

#define OPEN UINT64_MAX
static const range_case range_cases[] = {
    {"whole", 0, 0, 200, 0, 3, 0, {{0, OPEN}}, {1, 2, 3}, CH_RANGE_COMPLETE, 0, 3, 3, 0, {1, 2, 3}},
    {"up to high", 1, 2, 200, 0, 3, 0, {{0, OPEN}}, {2}, CH_RANGE_COMPLETE, 1, 2, 3, 0, {2}},
    {"cut at limit", 0, 0, 2, 0, 3, 0, {{0, OPEN}}, {1, 2}, CH_RANGE_MORE, 0, 2, 3, 0, {1, 2}},
    {"limit reaches the head", 0, 0, 3, 0, 3, 0, {{0, OPEN}}, {1, 2, 3}, CH_RANGE_COMPLETE, 0, 3, 3, 0, {1, 2, 3}},
    {"nothing above low", 3, 0, 200, 0, 3, 0, {{0, OPEN}}, {0}, CH_RANGE_COMPLETE, 3, 3, 3, 0, {0}},
    {"a missing row ends it", 0, 0, 200, 0, 4, 0, {{0, OPEN}}, {1, 2, 4}, CH_RANGE_MORE, 0, 2, 4, 0, {1, 2}},
    {"pruned is not missing", 0, 0, 200, 0, 4, 2, {{0, OPEN}}, {3, 4}, CH_RANGE_COMPLETE, 0, 4, 4, 2, {3, 4}},
    {"a row missing just above the horizon", 0, 0, 200, 0, 4, 2, {{0, OPEN}}, {4}, CH_RANGE_MORE, 0, 2, 4, 2, {0}},
    {"joined later", 0, 0, 200, 0, 4, 0, {{2, OPEN}}, {1, 2, 3, 4}, CH_RANGE_COMPLETE, 0, 4, 4, 2, {3, 4}},
    {"joined beyond the page", 0, 0, 2, 0, 9, 0, {{6, OPEN}}, {1, 2}, CH_RANGE_MORE, 0, 6, 9, 6, {0}},
    {"former member reads up to its removal", 0, 0, 200, 0, 5, 0, {{0, 3}}, {1, 2, 3, 4, 5}, CH_RANGE_COMPLETE, 0, 3, 3, 0, {1, 2, 3}},
    {"former member asks beyond it", 3, 5, 200, 0, 5, 0, {{0, 3}}, {4, 5}, CH_RANGE_COMPLETE, 3, 3, 3, 0, {0}},
    {"newest first, cut", 0, 0, 2, 1, 5, 0, {{0, OPEN}}, {4, 5}, CH_RANGE_MORE, 3, 5, 5, 0, {4, 5}},
    {"newest first, whole", 3, 0, 9, 1, 5, 0, {{0, OPEN}}, {4, 5}, CH_RANGE_COMPLETE, 3, 5, 5, 0, {4, 5}},
    {"newest first, a missing row ends it", 0, 0, 9, 1, 5, 0, {{0, OPEN}}, {1, 2, 4, 5}, CH_RANGE_MORE, 3, 5, 5, 0, {4, 5}},
    {"newest first down to the joining", 0, 0, 9, 1, 5, 0, {{3, OPEN}}, {1, 2, 3, 4, 5}, CH_RANGE_COMPLETE, 0, 5, 5, 3, {4, 5}},
    {"newest first down to the horizon", 0, 0, 9, 1, 5, 3, {{0, OPEN}}, {4, 5}, CH_RANGE_COMPLETE, 0, 5, 5, 3, {4, 5}},
};

static const ch_server_message *range_said(const range_case *c) {
  ch_client_message message = {.tag = 12, .op = CH_RANGE};
  message.u.range = (ch_range){.low = c->low, .high = c->high, .limit = c->limit, .newest_first = c->newest_first};
  memcpy(message.u.range.conversation_id, group, 16);
  say(1, &message);
  chat_store_range *op = take_op(CHAT_OP_STORE_RANGE);
  ck_assert(ch_bytes_equal(op->user, ch_bytes_text("ann")));
  ck_assert_uint_eq(op->low, c->low);
  ck_assert_uint_eq(op->high, c->high);
  ck_assert_uint_eq(op->limit, c->limit);
  op->state = (chat_state){.kind = CHAT_GROUP, .head = c->head};
  op->horizon = c->horizon;
  member_in_state(&op->op, &op->state, "ann", CHAT_ROLE_MEMBER, c->intervals[0].joined, c->intervals[0].left);
  op->rows = chat_op_alloc(&op->op, 8 * sizeof *op->rows);
  for (; op->row_count < 8 && c->rows[op->row_count]; op->row_count++)
    op->rows[op->row_count] = (chat_row){.seq = c->rows[op->row_count], .sender = ch_bytes_text("bob"), .type = 1};
  give(op, 0);
  return hears(1, CH_RANGE_REPLY);
}

START_TEST(ranges) {
  const range_case *c = &range_cases[_i];
  begin();
  const ch_server_message *message = range_said(c);
  const ch_range_reply *reply = &message->u.range_reply;
  ck_assert_uint_eq(message->tag, 12);
  ck_assert_msg(reply->status == c->status, "%s: status %d", c->what, (int)reply->status);
  ck_assert_msg(reply->low == c->said_low && reply->high == c->said_high, "%s: (%d, %d]", c->what, (int)reply->low, (int)reply->high);
  ck_assert_msg(reply->head == c->said_head && reply->floor == c->said_floor, "%s: head %d floor %d", c->what, (int)reply->head, (int)reply->floor);
  size_t count = 0;
  while (c->said[count])
    count++;
  ck_assert_msg(reply->event_count == count, "%s: %d events", c->what, (int)reply->event_count);
  for (size_t i = 0; i < count; i++)
    ck_assert_uint_eq(reply->events[i].seq, c->said[i]);
  gateway_end();
}
END_TEST

/* A member that was removed and added again: its two intervals, page by page. */
START_TEST(two_intervals) {
  static const chat_interval both[2] = {{0, 2}, {4, OPEN}};
  uint64_t low = 0, seen[8], count = 0;
  begin();
  for (int page = 0; page < 5 && low < 6; page++) {
    ch_client_message message = {.tag = 12, .op = CH_RANGE};
    message.u.range = (ch_range){.low = low, .limit = 200};
    memcpy(message.u.range.conversation_id, group, 16);
    say(1, &message);
    chat_store_range *op = take_op(CHAT_OP_STORE_RANGE);
    op->state = (chat_state){.kind = CHAT_GROUP, .head = 6};
    member_in_state(&op->op, &op->state, "ann", CHAT_ROLE_MEMBER, 0, 0);
    op->state.members[0].intervals = chat_op_alloc(&op->op, sizeof both);
    memcpy(op->state.members[0].intervals, both, sizeof both);
    op->state.members[0].interval_count = 2;
    op->rows = chat_op_alloc(&op->op, 8 * sizeof *op->rows);
    for (uint64_t seq = low + 1; seq <= 6; seq++)
      op->rows[op->row_count++] = (chat_row){.seq = seq, .sender = ch_bytes_text("bob"), .type = 1};
    give(op, 0);
    const ch_range_reply *reply = &hears(1, CH_RANGE_REPLY)->u.range_reply;
    ck_assert_uint_eq(reply->low, low);
    ck_assert_uint_gt(reply->high, low);
    for (size_t i = 0; i < reply->event_count; i++)
      seen[count++] = reply->events[i].seq;
    low = reply->high;
  }
  ck_assert_uint_eq(low, 6);
  ck_assert_uint_eq(count, 4);
  ck_assert(seen[0] == 1 && seen[1] == 2 && seen[2] == 5 && seen[3] == 6);
  gateway_end();
}
END_TEST

START_TEST(a_reply_is_cut_by_bytes) {
  enum { BODY_LEN = 60 * 1024, COUNT = 20 };
  begin();
  ch_client_message message = {.tag = 12, .op = CH_RANGE};
  message.u.range = (ch_range){.limit = 200};
  memcpy(message.u.range.conversation_id, group, 16);
  say(1, &message);
  chat_store_range *op = take_op(CHAT_OP_STORE_RANGE);
  op->state = (chat_state){.kind = CHAT_GROUP, .head = COUNT};
  member_in_state(&op->op, &op->state, "ann", CHAT_ROLE_MEMBER, 0, OPEN);
  op->rows = chat_op_alloc(&op->op, COUNT * sizeof *op->rows);
  uint8_t *body = chat_op_alloc(&op->op, BODY_LEN);
  memset(body, 0, BODY_LEN);
  for (; op->row_count < COUNT; op->row_count++)
    op->rows[op->row_count] = (chat_row){.seq = op->row_count + 1, .sender = ch_bytes_text("bob"), .type = 1, .payload = ch_bytes_of(body, BODY_LEN)};
  give(op, 0);
  const ch_range_reply *reply = &hears(1, CH_RANGE_REPLY)->u.range_reply;
  ck_assert_int_eq(reply->status, CH_RANGE_MORE);
  ck_assert_uint_ge(reply->event_count, 1);
  ck_assert_uint_lt(reply->event_count, COUNT);
  ck_assert_uint_eq(reply->high, reply->event_count);
  gateway_end();
}
END_TEST

static chat_bytes said_about_range(uint32_t kind, size_t *ops) {
  ch_client_message message = {.tag = 12, .op = CH_RANGE};
  message.u.range = (ch_range){.limit = 5};
  memcpy(message.u.range.conversation_id, group, 16);
  begin();
  say(1, &message);
  chat_store_range *op = take_op(CHAT_OP_STORE_RANGE);
  *ops = 1 + outside.count - count_ops(CHAT_OP_LINK_RECEIVE);
  op->state = (chat_state){.kind = kind, .head = kind ? 9 : 0};
  give(op, 0);
  write_all();
  uint8_t *copy = malloc(inbox[1].bytes.len);
  memcpy(copy, inbox[1].bytes.data, inbox[1].bytes.len);
  chat_bytes said = ch_bytes_of(copy, inbox[1].bytes.len);
  hears_error(1, 12, CHAT_E_NOT_FOUND);
  gateway_end();
  inbox[1] = (struct inbox){0};
  return said;
}

START_TEST(not_there_and_not_for_you_look_alike) {
  size_t ops[2];
  chat_bytes said[2] = {said_about_range(0, &ops[0]), said_about_range(CHAT_GROUP, &ops[1])};
  ck_assert(ch_bytes_equal(said[0], said[1]));
  ck_assert_uint_eq(ops[0], ops[1]);
  free((uint8_t *)said[0].data);
  free((uint8_t *)said[1].data);
}
END_TEST

/* --- members, search --- */

static chat_store_members *asks_members(void) {
  ch_client_message message = {.tag = 13, .op = CH_GET_MEMBERS};
  message.u.get_members = (ch_get_members){.after = ch_bytes_text("aaa"), .limit = 2};
  memcpy(message.u.get_members.conversation_id, group, 16);
  say(1, &message);
  chat_store_members *op = take_op(CHAT_OP_STORE_MEMBERS);
  ck_assert(ch_bytes_equal(op->user, ch_bytes_text("ann")));
  ck_assert(ch_bytes_equal(op->after, ch_bytes_text("aaa")));
  ck_assert_uint_eq(op->limit, 2);
  return op;
}

START_TEST(members) {
  begin();
  chat_store_members *op = asks_members();
  op->state = (chat_state){.kind = CHAT_GROUP, .head = 8, .member_count = 3, .title = ch_bytes_text("t")};
  op->self.role = CHAT_ROLE_MEMBER;
  op->members = chat_op_alloc(&op->op, sizeof *op->members);
  op->members[0] = (chat_member){.user = ch_bytes_text("ann"), .role = CHAT_ROLE_MEMBER, .delivered = 4, .read = 2};
  op->member_count = 1;
  op->more = 1;
  give(op, 0);
  const ch_members_reply *reply = &hears(1, CH_MEMBERS_REPLY)->u.members_reply;
  ck_assert_uint_eq(reply->head, 8);
  ck_assert_uint_eq(reply->more, 1);
  ck_assert_uint_eq(reply->member_count, 3);
  ck_assert_uint_eq(reply->members[0].delivered, 4);
  ck_assert_uint_eq(reply->members[0].read, 2);
  gateway_end();
}
END_TEST

START_TEST(members_are_for_members) {
  begin();
  chat_store_members *op = asks_members();
  op->state.kind = CHAT_GROUP;
  give(op, 0);
  hears_error(1, 13, CHAT_E_NOT_FOUND);
  give(asks_members(), 0);
  hears_error(1, 13, CHAT_E_NOT_FOUND);
  gateway_end();
}
END_TEST

START_TEST(search) {
  gateway_config_default();
  config.has_may = 1;
  gateway_begin();
  login(1, "ann", 1);
  ch_client_message message = {.tag = 14, .op = CH_SEARCH};
  message.u.search = (ch_search){.query = ch_bytes_text("word*"), .limit = 5, .before_message_id = 99};
  say(1, &message);
  ch_op_may *may = take_op(CH_OP_MAY);
  ck_assert_uint_eq(may->action, CH_MAY_SEARCH);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_SEARCH), 0);
  give(may, 0);
  chat_store_search *op = take_op(CHAT_OP_STORE_SEARCH);
  ck_assert(ch_bytes_equal(op->user, ch_bytes_text("ann")));
  ck_assert(ch_bytes_equal(op->query, ch_bytes_text("word*")));
  ck_assert_uint_eq(op->before_message_id, 99);
  op->rows = chat_op_alloc(&op->op, sizeof *op->rows);
  op->rows[0] = (chat_row){.seq = 4, .message_id = 8, .sender = ch_bytes_text("bob"), .type = 1};
  op->row_count = 1;
  op->more = 1;
  give(op, 0);
  const ch_search_reply *reply = &hears(1, CH_SEARCH_REPLY)->u.search_reply;
  ck_assert_uint_eq(reply->event_count, 1);
  ck_assert_uint_eq(reply->more, 1);
  say(1, &message);
  give(take_op(CH_OP_MAY), CHAT_E_DENIED);
  hears_error(1, 14, CHAT_E_DENIED);
  say(1, &message);
  may = take_op(CH_OP_MAY);
  pass_time(5000);
  hears_error(1, 14, CHAT_E_TIMEOUT);
  give(may, 0); /* too late: the request has its reply */
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_SEARCH), 0);
  hears_nothing(1);
  gateway_end();
}
END_TEST

START_TEST(requests_under_way_are_bounded) {
  begin();
  for (int i = 0; i < 64; i++)
    syncs(1);
  hears_nothing(1);
  syncs(1);
  hears_error(1, 11, CHAT_E_AGAIN);
  give(take_op(CHAT_OP_STORE_HEADS), CHAT_E_IO);
  hears_error(1, 11, CHAT_E_AGAIN);
  syncs(1);
  hears_nothing(1);
  gateway_end();
}
END_TEST

START_TEST(an_op_that_ended_again_is_handed_out_again_some_times) {
  begin();
  syncs(1);
  for (int i = 0; i < 3; i++) {
    give(take_op(CHAT_OP_STORE_HEADS), i ? CHAT_E_UNKNOWN : CHAT_E_AGAIN);
    hears_nothing(1);
    ck_assert_uint_eq(count_ops(CHAT_OP_STORE_HEADS), 0);
    pass_time(1000);
    say_raw(1, "", 0);
  }
  give(take_op(CHAT_OP_STORE_HEADS), CHAT_E_AGAIN);
  hears_error(1, 11, CHAT_E_AGAIN);
  gateway_end();
}
END_TEST

int main(void) {
  Suite *suite = suite_create("gateway_sync");
  TCase *cases = tcase_create("gateway_sync");
  const TTest *const tests[] = {heads_above_a_position, a_lagging_replica_takes_no_position_back, a_position_of_another_epoch_resets, a_sync_that_fails_is_later,
                                a_missing_pos_is_filled, pos_is_not_filled_from_a_part_of_the_heads, without_a_marker_nothing_is_filled, two_intervals,
                                a_reply_is_cut_by_bytes, not_there_and_not_for_you_look_alike, members, members_are_for_members, search,
                                requests_under_way_are_bounded, an_op_that_ended_again_is_handed_out_again_some_times};
  suite_add_tcase(suite, cases);
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
    tcase_add_test(cases, tests[i]);
  tcase_add_loop_test(cases, ranges, 0, sizeof range_cases / sizeof *range_cases);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
