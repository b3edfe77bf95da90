/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries over the link to sessions (V1, V2, P8), and channels (fan-out on read). */
#include "unit/server/gateway_peer.h"

static uint8_t group[16];

static void begin(void) {
  gateway_config_default();
  gateway_begin();
  group_id(group, 5);
}

/* --- what a deliverer sends --- */

static chat_row event(uint64_t seq, uint32_t type, chat_bytes payload) {
  chat_row row = {.seq = seq, .msg_no = seq, .message_id = seq, .sender = ch_bytes_text("bob"), .client_seq = seq, .type = type, .payload = payload};
  memcpy(row.conversation_id, group, 16);
  return row;
}

static void deliver(uint64_t position, const chat_target *targets, size_t target_count, const ch_delivered *delivered) {
  ch_buf buf;
  ch_buf_init(&buf, NULL, 8 * 1024 * 1024);
  ck_assert_int_eq(ch_delivered_encode(delivered, &buf), 0);
  chat_link_receive *op = take_op(CHAT_OP_LINK_RECEIVE);
  ck_assert(ch_bytes_equal(op->gateway, ch_bytes_text("g1")));
  op->deliveries = chat_op_alloc(&op->op, sizeof *op->deliveries);
  op->deliveries[0] = (chat_delivery){.position = position, .target_count = target_count, .payload = chat_op_copy(&op->op, ch_buf_bytes(&buf))};
  op->deliveries[0].targets = chat_op_alloc(&op->op, (target_count + 1) * sizeof *targets);
  if (target_count) memcpy(op->deliveries[0].targets, targets, target_count * sizeof *targets);
  op->count = 1;
  give(op, 0);
  ch_buf_fini(&buf);
}

static void deliver_event(const char *user, uint64_t previous, uint64_t position, const chat_row *row) {
  chat_target target = {.user = ch_bytes_text(user), .previous = previous};
  deliver(position, &target, 1, &(ch_delivered){.events = row, .event_count = 1});
}

static const ch_live *hears_live(uint64_t conn) {
  return &hears(conn, CH_LIVE)->u.live;
}

START_TEST(an_event_reaches_every_device_of_its_user_and_nobody_else) {
  begin();
  login(1, "ann", 1);
  login(2, "ann", 2);
  login(3, "cid", 3);
  chat_row row = event(4, CHAT_TYPE_MESSAGE, ch_bytes_text("x"));
  deliver_event("ann", 30, 31, &row);
  for (uint64_t conn = 1; conn <= 2; conn++) {
    const ch_live *live = hears_live(conn);
    ck_assert_uint_eq(live->previous, 30);
    ck_assert_uint_eq(live->position, 31);
    ck_assert_uint_eq(live->event_count, 1);
    ck_assert_uint_eq(live->events[0].seq, 4);
    ck_assert(ch_bytes_equal(live->events[0].sender, ch_bytes_text("bob")));
  }
  hears_nothing(3);
  gateway_end();
}
END_TEST

static void patience_passes(void) {
  now.elapsed_ms += config.patience_ms;
  role.tick(role.self, now);
}

/* What a device has said itself, and how far others have read, waits for company; all else goes at once and takes it along. */
START_TEST(own_events_and_receipts_wait_for_company) {
  chat_watermark mark = {.user = ch_bytes_text("bob"), .delivered = 4};
  ch_receipts receipts = {.marks = &mark, .count = 1};
  chat_target target = {.user = ch_bytes_text("ann")};
  chat_row own = event(4, CHAT_TYPE_MESSAGE, ch_bytes_text("x")), other = event(5, CHAT_TYPE_MESSAGE, ch_bytes_text("y"));
  gateway_config_default();
  config.patience_ms = 5;
  gateway_begin();
  group_id(group, 5);
  login(1, "ann", 1);
  login(2, "ann", 2);
  memset(own.device_id, 1, 16);
  deliver_event("ann", 30, 31, &own);
  hears_nothing(1);
  ck_assert_uint_eq(hears_live(2)->events[0].seq, 4); /* another device of the same person */
  patience_passes();
  ck_assert_uint_eq(hears_live(1)->events[0].seq, 4);
  deliver(0, &target, 1, &(ch_delivered){.receipts = &receipts, .receipts_count = 1});
  hears_nothing(1);
  deliver_event("ann", 31, 32, &other);
  hears(1, CH_RECEIPTS);
  ck_assert_uint_eq(hears_live(1)->events[0].seq, 5);
  gateway_end();
}
END_TEST

/* Of a deliverer that could not raise the position for a while: a live event without events, whose previous is unknown, makes the client sync (V2). */
START_TEST(a_delivery_without_events_is_passed_on_for_its_position) {
  chat_target target = {.user = ch_bytes_text("ann")};
  begin();
  login(1, "ann", 1);
  deliver(31, &target, 1, &(ch_delivered){0});
  const ch_live *live = hears_live(1);
  ck_assert_uint_eq(live->previous, 0);
  ck_assert_uint_eq(live->position, 31);
  ck_assert_uint_eq(live->event_count + live->head_count, 0);
  deliver(0, &target, 1, &(ch_delivered){0});
  hears_nothing(1);
  gateway_end();
}
END_TEST

START_TEST(each_target_has_its_own_previous) {
  chat_target targets[] = {{.user = ch_bytes_text("ann"), .previous = 30}, {.user = ch_bytes_text("cid")}, {.user = ch_bytes_text("not here"), .previous = 1}};
  begin();
  login(1, "ann", 1);
  login(2, "cid", 2);
  chat_row row = event(4, CHAT_TYPE_MESSAGE, ch_bytes_text("x"));
  deliver(31, targets, 3, &(ch_delivered){.events = &row, .event_count = 1});
  ck_assert_uint_eq(hears_live(1)->previous, 30);
  ck_assert_uint_eq(hears_live(2)->previous, 0);
  gateway_end();
}
END_TEST

START_TEST(a_verdict_goes_to_its_device) {
  chat_target target = {.user = ch_bytes_text("ann")};
  memset(target.device_id, 2, 16);
  ch_verdict verdict = {.code = CH_VERDICT_REFUSED, .client_seq = 3, .last = 3, .head = 9, .error = CHAT_E_DENIED};
  begin();
  login(1, "ann", 1);
  login(2, "ann", 2);
  deliver(0, &target, 1, &(ch_delivered){.verdicts = &verdict, .verdict_count = 1});
  const ch_verdict *heard = &hears(2, CH_VERDICT)->u.verdict;
  ck_assert_int_eq(heard->code, CH_VERDICT_REFUSED);
  ck_assert_int_eq(heard->error, CHAT_E_DENIED);
  ck_assert_uint_eq(heard->last, 3);
  hears_nothing(1);
  gateway_end();
}
END_TEST

START_TEST(nothing_before_welcome) {
  begin();
  opens(1);
  hello(1, NULL, 0);
  is_user("ann", 0);
  give(take_op(CHAT_OP_STORE_DEVICE), 0);
  pull();
  chat_row row = event(4, CHAT_TYPE_MESSAGE, ch_bytes_text("x"));
  deliver_event("ann", 30, 31, &row);
  hears_nothing(1);
  chat_target target = {.user = ch_bytes_text("ann")};
  ch_verdict verdict = {.code = CH_VERDICT_GAP, .client_seq = 3};
  deliver(0, &target, 1, &(ch_delivered){.verdicts = &verdict, .verdict_count = 1});
  hears_nothing(1);
  gateway_end();
}
END_TEST

/* --- P8 --- */

START_TEST(a_body_that_does_not_fit_is_told_as_a_head) {
  uint8_t *body = calloc(1, 60000);
  gateway_config_default();
  config.out_max = 16384;
  gateway_begin();
  group_id(group, 5);
  login(1, "ann", 1);
  chat_row row = event(4, CHAT_TYPE_MESSAGE, ch_bytes_of(body, 60000));
  deliver_event("ann", 30, 31, &row);
  const ch_live *live = hears_live(1);
  ck_assert_uint_eq(live->event_count, 0);
  ck_assert_uint_eq(live->head_count, 1);
  ck_assert_uint_eq(live->heads[0].head, 4);
  ck_assert_uint_eq(live->position, 31);
  ck_assert_uint_eq(live->previous, 30);
  free(body);
  gateway_end();
}
END_TEST

START_TEST(a_slow_reader_is_cut_off_and_harms_nobody) {
  gateway_config_default();
  config.out_max = 4096;
  gateway_begin();
  group_id(group, 5);
  login(1, "ann", 1);
  login(2, "cid", 2);
  chat_target targets[] = {{.user = ch_bytes_text("ann"), .previous = 30}, {.user = ch_bytes_text("cid"), .previous = 30}};
  chat_row row = event(4, CHAT_TYPE_MESSAGE, ch_bytes_text("x"));
  for (uint64_t n = 0; n < 200 && !is_closing(1); n++) {
    deliver(31 + n, targets, 2, &(ch_delivered){.events = &row, .event_count = 1});
    bool close = false;
    chat_bytes some = ch_gateway_peek(gateway, 2, &close); /* only cid reads */
    ck_assert(!close);
    ck_assert_uint_gt(some.len, 0);
    ch_gateway_taken(gateway, 2, some.len, now);
    ch_gateway_peek(gateway, 1, &inbox[1].close);
    if (inbox[1].close) break;
    while (ch_gateway_next_dirty(gateway)) {}
  }
  bool close = false;
  ck_assert_uint_eq(ch_gateway_peek(gateway, 1, &close).len, 0);
  ck_assert(close);
  ck_assert_uint_eq(ch_gateway_get_stats(gateway)->slow_readers, 1);
  gateway_end();
}
END_TEST

/* --- P8, for all sessions together --- */

enum { SLOW_COUNT = 4, READER = 5 };

/* Slow readers on connections 1 to 4, and one who reads all on 5. */
static void many_begin(size_t total_max) {
  static const char *const users[] = {"ann", "cid", "dan", "eve", "fay"};
  gateway_config_default();
  config.out_total_max = total_max;
  gateway_begin();
  group_id(group, 5);
  for (uint64_t conn = 1; conn <= READER; conn++)
    login(conn, users[conn - 1], (uint8_t)conn);
}

static uint64_t held_len(void) {
  return ch_gateway_get_stats(gateway)->out_held_len;
}

/* An event of 1,000 bytes for all; whoever is slow takes nothing. */
static void deliver_to_all(uint64_t n) {
  static const uint8_t body[1000];
  chat_target targets[] = {{.user = ch_bytes_text("ann"), .previous = 30 + n},
                           {.user = ch_bytes_text("cid"), .previous = 30 + n},
                           {.user = ch_bytes_text("dan"), .previous = 30 + n},
                           {.user = ch_bytes_text("eve"), .previous = 30 + n},
                           {.user = ch_bytes_text("fay"), .previous = 30 + n}};
  chat_row row = event(4 + n, CHAT_TYPE_MESSAGE, ch_bytes_of(body, sizeof body));
  deliver(31 + n, targets, 5, &(ch_delivered){.events = &row, .event_count = 1});
}

/* All that waits for a connection, decoded, and whether it ends. Returns how many. */
static size_t take_all(uint64_t conn, ch_server_message *messages, size_t max, bool *close) {
  size_t count = 0;
  for (chat_bytes some = ch_gateway_peek(gateway, conn, close); some.len; some = ch_gateway_peek(gateway, conn, close)) {
    uint8_t *kept = ch_arena_alloc(&heard_arena, some.len);
    memcpy(kept, some.data, some.len);
    chat_bytes rest = ch_bytes_of(kept, some.len), bytes;
    for (; ch_frame_next(&rest, &bytes) == 0; count++) {
      ck_assert_uint_lt(count, max);
      ck_assert_int_eq(ch_server_message_decode(bytes, &heard_arena, &messages[count]), 0);
    }
    ch_gateway_taken(gateway, conn, some.len, now);
  }
  return count;
}

START_TEST(what_slow_readers_hold_is_bounded_for_all_and_who_reads_gets_all) {
  enum { TOTAL_MAX = 16384 };
  ch_server_message messages[2];
  many_begin(TOTAL_MAX);
  for (uint64_t n = 0; n < 1000; n++) {
    bool close = false;
    deliver_to_all(n);
    ck_assert_uint_le(held_len(), TOTAL_MAX);
    ck_assert_uint_eq(take_all(READER, messages, 2, &close), 1);
    ck_assert(!close);
    ck_assert_uint_eq(messages[0].u.live.event_count, 1);
    ck_assert_uint_eq(messages[0].u.live.events[0].payload.len, 1000);
    while (ch_gateway_next_dirty(gateway)) {}
  }
  ck_assert_uint_gt(ch_gateway_get_stats(gateway)->slow_readers, 0);
  for (uint64_t conn = 1; conn <= SLOW_COUNT; conn++)
    leaves(conn);
  ck_assert_uint_eq(held_len(), 0);
  gateway_end();
}
END_TEST

/* A chain of positions without a hole, bodies first and heads behind them: nothing is missed in silence (V2). */
START_TEST(above_half_of_it_whoever_holds_much_is_told_heads) {
  enum { EVENTS = 12 };
  ch_server_message messages[EVENTS];
  size_t heads = 0;
  bool close = false;
  many_begin(65536);
  for (uint64_t n = 0; n < EVENTS; n++)
    deliver_to_all(n);
  ck_assert_uint_eq(ch_gateway_get_stats(gateway)->slow_readers, 0);
  ck_assert_uint_eq(take_all(1, messages, EVENTS, &close), EVENTS);
  for (uint64_t n = 0; n < EVENTS; n++) {
    const ch_live *live = &messages[n].u.live;
    ck_assert_uint_eq(live->previous, 30 + n);
    ck_assert_uint_eq(live->position, 31 + n);
    ck_assert_uint_eq(live->event_count + live->head_count, 1);
    ck_assert_uint_eq(live->head_count ? live->heads[0].head : live->events[0].seq, 4 + n);
    heads += live->head_count;
  }
  ck_assert(!close);
  ck_assert_uint_gt(heads, 0);
  ck_assert_uint_lt(heads, EVENTS);
  gateway_end();
}
END_TEST

/* The one who holds most, whoever is being told at that moment; also one who was sent away and does not read the last words. */
START_TEST(whoever_holds_most_makes_room) {
  ch_server_message messages[1];
  static const uint8_t body[6000];
  bool close = false;
  many_begin(32768);
  chat_row large = event(4, CHAT_TYPE_MESSAGE, ch_bytes_of(body, sizeof body));
  deliver_event("ann", 30, 31, &large);
  deliver_event("cid", 30, 31, &large);
  ch_request away = {.kind = CH_REQUEST_DISCONNECT, .tag = 1, .user = ch_bytes_text("ann"), .error = CHAT_E_DENIED};
  ck_assert_int_eq(ch_gateway_request(gateway, &away, now), 0);
  ck_assert_uint_gt(held_len(), 12000);
  deliver_event("dan", 30, 31, &large);
  deliver_event("eve", 30, 31, &large);
  deliver_event("fay", 30, 31, &large);
  ck_assert_uint_le(held_len(), 32768);
  ck_assert_uint_eq(take_all(1, messages, 0, &close), 0);
  ck_assert(close);
  for (uint64_t conn = 2; conn <= READER; conn++) {
    ck_assert_uint_eq(take_all(conn, messages, 1, &close), 1);
    ck_assert(!close);
  }
  gateway_end();
}
END_TEST

/* --- the poll --- */

START_TEST(what_was_lost_makes_everybody_sync_at_the_next_heartbeat) {
  begin();
  login(1, "ann", 1);
  chat_link_receive *op = take_op(CHAT_OP_LINK_RECEIVE);
  op->lost = 1;
  give(op, 0);
  say(1, &(ch_client_message){.tag = 4, .op = CH_HEARTBEAT});
  pass_time(50);
  route_is_written(7, 66);
  ck_assert_uint_eq(hears(1, CH_HEARTBEAT_REPLY)->u.pos, 0);
  say(1, &(ch_client_message){.tag = 4, .op = CH_HEARTBEAT});
  pass_time(50);
  route_is_written(7, 66);
  ck_assert_uint_eq(hears(1, CH_HEARTBEAT_REPLY)->u.pos, 66);
  gateway_end();
}
END_TEST

START_TEST(a_poll_is_always_under_way) {
  begin();
  ck_assert_uint_eq(count_ops(CHAT_OP_LINK_RECEIVE), 1);
  give(take_op(CHAT_OP_LINK_RECEIVE), 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LINK_RECEIVE), 1);
  give(take_op(CHAT_OP_LINK_RECEIVE), CHAT_E_IO); /* after a pause */
  ck_assert_uint_eq(count_ops(CHAT_OP_LINK_RECEIVE), 0);
  pass_time(1000);
  ck_assert_uint_eq(count_ops(CHAT_OP_LINK_RECEIVE), 1);
  give(take_op(CHAT_OP_LINK_RECEIVE), CHAT_E_CANCELED); /* its port ends */
  pass_time(60000);
  ck_assert_uint_eq(count_ops(CHAT_OP_LINK_RECEIVE), 0);
  gateway_end();
}
END_TEST

START_TEST(a_delivery_that_is_none_is_dropped) {
  begin();
  login(1, "ann", 1);
  chat_link_receive *op = take_op(CHAT_OP_LINK_RECEIVE);
  chat_target target = {.user = ch_bytes_text("ann")};
  chat_delivery delivery = {.position = 4, .targets = &target, .target_count = 1, .payload = ch_bytes_text("\xff\xff\xff")};
  op->deliveries = &delivery;
  op->count = 1;
  give(op, 0);
  hears_nothing(1);
  ck_assert(!is_closing(1));
  gateway_end();
}
END_TEST

/* --- channels --- */

static void syncs_with_channel(uint64_t conn, uint64_t head) {
  ch_client_message message = {.tag = 11, .op = CH_SYNC};
  say(conn, &message);
  chat_store_heads *op = take_op(CHAT_OP_STORE_HEADS);
  op->heads = chat_op_alloc(&op->op, sizeof *op->heads);
  op->heads[0] = (chat_head){.kind = CHAT_CHANNEL, .role = CHAT_ROLE_MEMBER, .head = head, .first = 1};
  memcpy(op->heads[0].conversation_id, group, 16);
  op->head_count = 1;
  op->position = 5;
  give(op, 0);
  hears(conn, CH_SYNC_REPLY);
}

static void is_told(uint64_t seq) {
  chat_row row = event(seq, CHAT_TYPE_MESSAGE, ch_bytes_text("secret"));
  deliver(0, NULL, 0, &(ch_delivered){.events = &row, .event_count = 1});
}

static void hears_head(uint64_t conn, uint64_t head) {
  const ch_live *live = hears_live(conn);
  ck_assert_uint_eq(live->position, 0);
  ck_assert_uint_eq(live->event_count, 0);
  ck_assert_uint_eq(live->head_count, 1);
  ck_assert_uint_eq(live->heads[0].head, head);
  ck_assert_mem_eq(live->heads[0].conversation_id, group, 16);
}

START_TEST(a_sync_subscribes_to_its_channels) {
  begin();
  login(1, "ann", 1);
  login(2, "cid", 2);
  syncs_with_channel(1, 3);
  chat_directory_subscribe *op = take_op(CHAT_OP_DIRECTORY_SUBSCRIBE);
  ck_assert(ch_bytes_equal(op->gateway, ch_bytes_text("g1")));
  ck_assert_uint_gt(op->life_ms, 15000); /* outlives a period */
  ck_assert_uint_eq(op->count, 1);
  ck_assert_mem_eq(op->channels[0], group, 16);
  give(op, 0);
  is_told(4);
  hears_head(1, 4);
  hears_nothing(2);
  gateway_end();
}
END_TEST

START_TEST(lateb_what_is_not_above_the_known_head_is_not_said) {
  begin();
  login(1, "ann", 1);
  syncs_with_channel(1, 3);
  is_told(5);
  hears_head(1, 5);
  is_told(5);
  is_told(4);
  hears_nothing(1);
  gateway_end();
}
END_TEST

/* MAXH, SUBH: the store that answers a sync may lag behind what this gateway was told. */
START_TEST(maxh_a_later_sync_is_told_the_known_head) {
  begin();
  login(1, "ann", 1);
  login(2, "cid", 2);
  syncs_with_channel(1, 3);
  is_told(6);
  hears_head(1, 6);
  syncs_with_channel(2, 3);
  hears_head(2, 6);
  gateway_end();
}
END_TEST

START_TEST(poll_asks_for_the_head_each_period) {
  begin();
  login(1, "ann", 1);
  syncs_with_channel(1, 3);
  give(take_op(CHAT_OP_DIRECTORY_SUBSCRIBE), 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE), 0);
  pass_time(15000);
  give(take_op(CHAT_OP_DIRECTORY_SUBSCRIBE), 0); /* renewed */
  chat_store_state *op = take_op(CHAT_OP_STORE_STATE);
  ck_assert_mem_eq(op->conversation_id, group, 16);
  op->state = (chat_state){.kind = CHAT_CHANNEL, .head = 8};
  give(op, 0);
  hears_head(1, 8); /* its event was lost on the way */
  pass_time(15000);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE), 1);
  gateway_end();
}
END_TEST

START_TEST(nobody_left_nothing_asked) {
  begin();
  login(1, "ann", 1);
  syncs_with_channel(1, 3);
  leaves(1);
  pass_time(15000);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE), 0);
  gateway_end();
}
END_TEST

static void state_says(uint32_t member_role, uint64_t head) {
  chat_store_state *op = take_op(CHAT_OP_STORE_STATE);
  op->state = (chat_state){.kind = CHAT_CHANNEL, .head = head};
  member_in_state(&op->op, &op->state, "ann", member_role, 0, UINT64_MAX);
  give(op, 0);
}

static void own_event(uint64_t seq, uint32_t type) {
  chat_row row = event(seq, type, (chat_bytes){0});
  deliver_event("ann", 30, 31, &row);
  ck_assert_uint_eq(hears_live(1)->events[0].seq, seq); /* a delivery task: the event itself */
}

START_TEST(an_own_removal_ends_the_subscription) {
  begin();
  login(1, "ann", 1);
  syncs_with_channel(1, 3);
  own_event(4, CHAT_TYPE_MEMBER_REMOVE);
  state_says(CHAT_ROLE_NONE, 4);
  is_told(5);
  hears_nothing(1);
  gateway_end();
}
END_TEST

START_TEST(an_own_adding_subscribes) {
  begin();
  login(1, "ann", 1);
  own_event(4, CHAT_TYPE_MEMBERS_ADD);
  is_told(5);
  hears_nothing(1);
  state_says(CHAT_ROLE_MEMBER, 6);
  hears_head(1, 6);
  is_told(7);
  hears_head(1, 7);
  gateway_end();
}
END_TEST

START_TEST(mems_a_state_older_than_the_event_is_not_believed) {
  begin();
  login(1, "ann", 1);
  own_event(4, CHAT_TYPE_MEMBERS_ADD);
  state_says(CHAT_ROLE_NONE, 3);
  pass_time(1000);
  state_says(CHAT_ROLE_MEMBER, 4);
  hears_head(1, 4);
  gateway_end();
}
END_TEST

/* A store that derives heads gives only what is above the position: its channels are asked for once. */
START_TEST(all_channels_of_a_user_are_subscribed_where_heads_are_derived) {
  gateway_config_default();
  config.store_derives_heads = 1;
  gateway_begin();
  group_id(group, 5);
  login(1, "ann", 1);
  say(1, &(ch_client_message){.tag = 11, .op = CH_SYNC, .u.position = 40});
  chat_store_heads *op = take_op(CHAT_OP_STORE_HEADS);
  ck_assert_uint_eq(op->above, 40);
  op->position = 41;
  give(op, 0);
  hears(1, CH_SYNC_REPLY);
  op = take_op(CHAT_OP_STORE_HEADS);
  ck_assert_uint_eq(op->above, 0);
  op->heads = chat_op_alloc(&op->op, sizeof *op->heads);
  op->heads[0] = (chat_head){.kind = CHAT_CHANNEL, .role = CHAT_ROLE_MEMBER, .head = 3, .position = 20};
  memcpy(op->heads[0].conversation_id, group, 16);
  op->head_count = 1;
  give(op, 0);
  is_told(4);
  hears_head(1, 4);
  say(1, &(ch_client_message){.tag = 12, .op = CH_SYNC, .u.position = 41});
  give(take_op(CHAT_OP_STORE_HEADS), 0);
  ck_assert_uint_eq(hears(1, CH_SYNC_REPLY)->tag, 12);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_HEADS), 0);
  gateway_end();
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {an_event_reaches_every_device_of_its_user_and_nobody_else, 0},
      {own_events_and_receipts_wait_for_company, 0},
      {a_delivery_without_events_is_passed_on_for_its_position, 0}, {each_target_has_its_own_previous, 0},
      {a_verdict_goes_to_its_device, 0},
      {nothing_before_welcome, 0},
      {a_body_that_does_not_fit_is_told_as_a_head, 0},
      {a_slow_reader_is_cut_off_and_harms_nobody, 0},
      {what_slow_readers_hold_is_bounded_for_all_and_who_reads_gets_all, 0},
      {above_half_of_it_whoever_holds_much_is_told_heads, 0},
      {whoever_holds_most_makes_room, 0},
      {what_was_lost_makes_everybody_sync_at_the_next_heartbeat, 0},
      {a_poll_is_always_under_way, 0},
      {a_delivery_that_is_none_is_dropped, 0},
      {a_sync_subscribes_to_its_channels, 0},
      {lateb_what_is_not_above_the_known_head_is_not_said, 0},
      {maxh_a_later_sync_is_told_the_known_head, 0},
      {poll_asks_for_the_head_each_period, 0},
      {nobody_left_nothing_asked, 0},
      {an_own_removal_ends_the_subscription, 0},
      {an_own_adding_subscribes, 0},
      {mems_a_state_older_than_the_event_is_not_believed, 0},
      {all_channels_of_a_user_are_subscribed_where_heads_are_derived, 0},
  };
  return RUN_TESTS("gateway_live", rows);
}
