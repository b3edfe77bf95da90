/* SPDX-License-Identifier: Apache-2.0 */
/* Sends: G1, G2, G3 (docs/protocol.md, "Sending"), the courtesy checks, bounds. */
#include "unit/server/gateway_peer.h"

static uint8_t group[16];

static void begin_with_hooks(uint32_t has_before_log, uint32_t has_may) {
  gateway_config_default();
  config.has_before_log = has_before_log;
  config.has_may = has_may;
  gateway_begin();
  group_id(group, 5);
  login(1, "ann", 1);
}

static void begin(void) {
  begin_with_hooks(0, 0);
}

/* --- what a client says --- */

static uint8_t content_bytes[256];

static chat_bytes content(const ch_content *of) {
  ch_buf buf;
  ch_buf_init(&buf, NULL, sizeof content_bytes);
  ck_assert_int_eq(ch_content_encode(of, &buf), 0);
  memcpy(content_bytes, buf.data, buf.len);
  chat_bytes bytes = ch_bytes_of(content_bytes, buf.len);
  ch_buf_fini(&buf);
  return bytes;
}

static ch_client_message message_of(const uint8_t conversation[16], uint64_t number, uint64_t prev, uint32_t retry) {
  ch_client_message message = {.op = CH_SEND};
  ch_send *send = &message.u.send;
  memcpy(send->conversation_id, conversation, 16);
  memset(send->client_id, 0x70, 16);
  send->client_id[15] = (uint8_t)number;
  send->client_seq = number;
  send->prev = prev;
  send->retry = retry;
  send->type = CHAT_TYPE_MESSAGE;
  send->payload = content(&(ch_content){.type = CHAT_TYPE_MESSAGE, .body = ch_bytes_text("hi")});
  return message;
}

static void sends(uint64_t number, uint64_t prev, uint32_t retry) {
  ch_client_message message = message_of(group, number, prev, retry);
  say(1, &message);
}

/* --- what the store and the log say --- */

static void ann_is(uint32_t member_role) {
  chat_store_state *op = take_op(CHAT_OP_STORE_STATE);
  ck_assert_mem_eq(op->conversation_id, group, 16);
  ck_assert_uint_eq(op->only_users, 1);
  ck_assert_uint_eq(op->user_count, 1);
  ck_assert(ch_bytes_equal(op->users[0], ch_bytes_text("ann")));
  op->state.kind = CHAT_GROUP;
  member_in_state(&op->op, &op->state, "ann", member_role, 0, UINT64_MAX);
  give(op, 0);
}

static void ann_is_member(void) {
  sends(100, 0, 1); /* any Send has the membership read; it is believed for some seconds */
  ann_is(CHAT_ROLE_MEMBER);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  op->records[0].position = 1;
  give(op, 0);
  hears(1, CH_ANSWER);
}

static void is_in_log(chat_log_append *op) {
  for (size_t i = 0; i < op->count; i++)
    op->records[i].position = 10 + i;
  give(op, 0);
}

static ch_record record_at(const chat_log_append *op, size_t i) {
  ch_record record;
  ck_assert_uint_lt(i, op->count);
  ck_assert_int_eq(ch_record_decode(op->records[i].data, &heard_arena, &record), 0);
  return record;
}

static const ch_answer *hears_answer(uint64_t number, ch_answer_code code) {
  const ch_server_message *message = hears(1, CH_ANSWER);
  ck_assert_uint_eq(message->u.answer.client_seq, number);
  ck_assert_int_eq(message->u.answer.code, code);
  ck_assert_uint_eq(message->u.answer.client_id[15], (uint8_t)number);
  return &message->u.answer;
}

static void hears_refused(uint64_t number, int error) {
  ck_assert_int_eq(hears_answer(number, CH_REFUSED)->error, error);
}

/* --- the way of a Send --- */

START_TEST(accepted_when_durable_and_not_before) {
  begin();
  sends(1, 0, 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 0);
  ann_is(CHAT_ROLE_MEMBER);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  ck_assert_uint_eq(op->topic, CHAT_TOPIC_MESSAGES);
  ck_assert_uint_eq(op->partition, ch_partition_of(ch_bytes_of(group, 16), 4));
  ck_assert_uint_eq(op->count, 1);
  hears_nothing(1);
  is_in_log(op);
  hears_answer(1, CH_ACCEPTED);
  gateway_end();
}
END_TEST

/* A gateway with little to do lets nothing wait. */
START_TEST(accepted_waits_only_while_much_goes_out) {
  gateway_config_default();
  config.patience_ms = 5;
  config.patience_frames = 2;
  gateway_begin();
  group_id(group, 5);
  login(1, "ann", 1);
  now.elapsed_ms += 5; /* what the login said goes by */
  sends(100, 0, 1);
  ann_is(CHAT_ROLE_MEMBER);
  is_in_log(take_op(CHAT_OP_LOG_APPEND));
  hears_answer(100, CH_ACCEPTED);
  now.elapsed_ms += 5;
  sends(101, 100, 0);
  is_in_log(take_op(CHAT_OP_LOG_APPEND)); /* one frame went out in the last 5 ms */
  hears_answer(101, CH_ACCEPTED);
  for (int i = 0; i < 2; i++) { /* two */
    say_raw(1, "\x02\x08\x07", 3);
    hears_error(1, 7, CHAT_E_UNSUPPORTED);
  }
  now.elapsed_ms += 5;
  sends(102, 101, 0);
  is_in_log(take_op(CHAT_OP_LOG_APPEND));
  hears_nothing(1);
  now.elapsed_ms += 5;
  role.tick(role.self, now);
  hears_answer(102, CH_ACCEPTED);
  gateway_end();
}
END_TEST

/* With patience_ms it waits for what else there is to say: for at most so long. */
START_TEST(accepted_goes_with_what_comes_next) {
  gateway_config_default();
  config.patience_ms = 5;
  gateway_begin();
  group_id(group, 5);
  login(1, "ann", 1);
  sends(100, 0, 1);
  ann_is(CHAT_ROLE_MEMBER);
  is_in_log(take_op(CHAT_OP_LOG_APPEND));
  now.elapsed_ms += 5;
  role.tick(role.self, now);
  hears_answer(100, CH_ACCEPTED);
  sends(101, 100, 0);
  is_in_log(take_op(CHAT_OP_LOG_APPEND));
  hears_nothing(1);
  say_raw(1, "\x02\x08\x07", 3); /* tag 7 and no body */
  hears_answer(101, CH_ACCEPTED);
  hears_error(1, 7, CHAT_E_UNSUPPORTED);
  sends(102, 101, 0);
  is_in_log(take_op(CHAT_OP_LOG_APPEND));
  now.elapsed_ms += 3;
  sends(103, 102, 0);
  is_in_log(take_op(CHAT_OP_LOG_APPEND));
  hears_nothing(1);
  ck_assert_uint_le(role.deadline_ms(role.self), now.elapsed_ms + 2); /* the first of them has waited 3 */
  now.elapsed_ms += 2;
  role.tick(role.self, now);
  hears_answer(102, CH_ACCEPTED);
  hears_answer(103, CH_ACCEPTED);
  hears_nothing(1);
  gateway_end();
}
END_TEST

/* P9: the frame has no say in who sends; nor has it in whether it is the system. */
START_TEST(sender_and_device_are_the_sessions) {
  uint8_t device[16];
  memset(device, 1, 16);
  begin();
  ann_is_member();
  sends(1, 0, 0);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  ch_record record = record_at(op, 0);
  ck_assert(ch_bytes_equal(record.sender, ch_bytes_text("ann")));
  ck_assert_mem_eq(record.device_id, device, 16);
  ck_assert_uint_eq(record.system, 0);
  ck_assert_uint_eq(record.is_void, 0);
  ck_assert_uint_eq(record.client_seq, 1);
  give(op, CHAT_E_IO);
  gateway_end();
}
END_TEST

START_TEST(sends_of_one_turn_share_an_append) {
  begin();
  ann_is_member();
  sends(1, 0, 0);
  sends(2, 1, 0);
  sends(3, 2, 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 1);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  ck_assert_uint_eq(op->count, 3);
  for (size_t i = 0; i < 3; i++)
    ck_assert_uint_eq(record_at(op, i).client_seq, i + 1);
  is_in_log(op);
  for (uint64_t n = 1; n <= 3; n++)
    hears_answer(n, CH_ACCEPTED);
  gateway_end();
}
END_TEST

START_TEST(at_most_eight_appends_of_a_partition_are_under_way) {
  gateway_config_default();
  config.in_flight_max = 9;
  gateway_begin();
  group_id(group, 5);
  login(1, "ann", 1);
  ann_is_member();
  for (uint64_t n = 1; n <= 9; n++) {
    sends(n, n - 1, 0);
    pull();
  }
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 8);
  is_in_log(take_op(CHAT_OP_LOG_APPEND));
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 8);
  gateway_end();
}
END_TEST

/* --- G1 --- */

START_TEST(g1_early_ones_wait_for_their_turn) {
  begin();
  ann_is_member();
  sends(1, 0, 0);
  is_in_log(take_op(CHAT_OP_LOG_APPEND));
  hears_answer(1, CH_ACCEPTED);
  /* 100 was passed in this session, so a prev above that is what is early here. */
  sends(103, 102, 0);
  sends(102, 101, 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 0);
  sends(101, 100, 0);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  ck_assert_uint_eq(op->count, 3);
  for (size_t i = 0; i < 3; i++)
    ck_assert_uint_eq(record_at(op, i).client_seq, 101 + i);
  is_in_log(op);
  gateway_end();
}
END_TEST

START_TEST(g1_what_waited_300_ms_gets_gap_and_is_not_passed) {
  begin();
  ann_is_member();
  sends(102, 101, 0);
  pass_time(299);
  hears_nothing(1);
  pass_time(1);
  hears_answer(102, CH_GAP);
  sends(103, 102, 0); /* its prev was not passed */
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 0);
  pass_time(300);
  hears_answer(103, CH_GAP);
  gateway_end();
}
END_TEST

START_TEST(g1_the_order_buffer_is_bounded_for_the_session) {
  uint8_t other[16];
  begin();
  group_id(other, 6);
  for (uint64_t n = 2; n <= 3; n++)
    sends(n, n - 1, 0);
  ch_client_message message = message_of(other, 2, 1, 0);
  say(1, &message);
  hears_nothing(1);
  sends(4, 3, 0);
  hears_answer(4, CH_GAP);
  gateway_end();
}
END_TEST

START_TEST(g1_a_refused_number_is_not_passed) {
  begin();
  sends(1, 0, 0);
  sends(2, 1, 0);
  ann_is(CHAT_ROLE_NONE);
  hears_refused(1, CHAT_E_NOT_FOUND);
  pass_time(300);
  hears_answer(2, CH_GAP);
  gateway_end();
}
END_TEST

/* --- G2 --- */

START_TEST(g2_a_retry_that_will_not_pass_becomes_a_void_without_an_answer) {
  begin();
  sends(1, 0, 1);
  ann_is(CHAT_ROLE_NONE);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  ch_record record = record_at(op, 0);
  ck_assert_uint_eq(record.is_void, 1);
  ck_assert_int_eq(record.void_error, CHAT_E_NOT_FOUND);
  ck_assert_uint_eq(record.client_seq, 1);
  ck_assert_uint_eq(record.payload.len, 0);
  is_in_log(op);
  hears_nothing(1);
  sends(2, 1, 1); /* the void was passed */
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE), 1);
  gateway_end();
}
END_TEST

START_TEST(g2_a_discarded_row_is_a_void) {
  begin();
  ch_client_message message = message_of(group, 1, 0, 1);
  message.u.send.discard = 1;
  say(1, &message);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE), 0);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  ck_assert_uint_eq(record_at(op, 0).is_void, 1);
  ck_assert_int_eq(record_at(op, 0).void_error, CHAT_E_CANCELED);
  is_in_log(op);
  hears_nothing(1);
  gateway_end();
}
END_TEST

START_TEST(g2_a_bad_retry_is_a_void_too) {
  begin();
  ch_client_message message = message_of(group, 1, 0, 1);
  uint8_t *large = calloc(1, CHAT_BODY_MAX + 1024 * 16);
  message.u.send.payload = ch_bytes_of(large, CHAT_BODY_MAX + 1024 * 16);
  say(1, &message);
  message.u.send.retry = 0;
  message.u.send.client_seq = 2;
  message.u.send.client_id[15] = 2;
  say(1, &message);
  free(large);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  ck_assert_uint_eq(op->count, 1);
  ck_assert_int_eq(record_at(op, 0).void_error, CHAT_E_TOO_LARGE);
  give(op, CHAT_E_IO);
  hears_refused(2, CHAT_E_TOO_LARGE);
  gateway_end();
}
END_TEST

/* --- G3 --- */

START_TEST(g3_what_follows_a_failed_append_is_unknown_also_where_it_was_acknowledged) {
  begin();
  ann_is_member();
  sends(101, 100, 0);
  pull();
  sends(102, 101, 0);
  pull();
  chat_log_append *first = take_op(CHAT_OP_LOG_APPEND), *second = take_op(CHAT_OP_LOG_APPEND);
  is_in_log(second);
  hears_nothing(1); /* ACCEPTED follows the order in the log */
  give(first, CHAT_E_UNKNOWN);
  hears_answer(101, CH_UNKNOWN);
  hears_answer(102, CH_UNKNOWN);
  hears_nothing(1);
  sends(103, 102, 0); /* passed only behind it */
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 0);
  sends(101, 100, 1);
  sends(102, 101, 1);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  ck_assert_uint_eq(op->count, 3);
  is_in_log(op);
  for (uint64_t n = 101; n <= 103; n++)
    hears_answer(n, CH_ACCEPTED);
  gateway_end();
}
END_TEST

START_TEST(g3_accepted_comes_in_the_order_of_the_log) {
  begin();
  ann_is_member();
  sends(101, 100, 0);
  pull();
  sends(102, 101, 0);
  pull();
  chat_log_append *first = take_op(CHAT_OP_LOG_APPEND), *second = take_op(CHAT_OP_LOG_APPEND);
  is_in_log(second);
  is_in_log(first);
  hears_answer(101, CH_ACCEPTED);
  hears_answer(102, CH_ACCEPTED);
  gateway_end();
}
END_TEST

START_TEST(g3_each_record_of_an_append_has_its_own_fate) {
  begin();
  ann_is_member();
  sends(101, 100, 0);
  sends(102, 101, 0);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  op->records[0].position = 77;
  give(op, CHAT_E_UNKNOWN);
  hears_answer(101, CH_ACCEPTED);
  hears_answer(102, CH_UNKNOWN);
  gateway_end();
}
END_TEST

START_TEST(g3_another_conversation_goes_on) {
  uint8_t other[16];
  begin();
  group_id(other, 6);
  ann_is_member();
  sends(101, 100, 0);
  pull();
  ch_client_message message = message_of(other, 1, 0, 0);
  say(1, &message);
  chat_store_state *state = take_op(CHAT_OP_STORE_STATE);
  state->state.kind = CHAT_GROUP;
  member_in_state(&state->op, &state->state, "ann", CHAT_ROLE_MEMBER, 0, UINT64_MAX);
  give(state, 0);
  pull();
  give(take_op(CHAT_OP_LOG_APPEND), CHAT_E_UNKNOWN);
  hears_answer(101, CH_UNKNOWN);
  is_in_log(take_op(CHAT_OP_LOG_APPEND));
  hears_answer(1, CH_ACCEPTED);
  gateway_end();
}
END_TEST

/* An append fails while the next Send is with the embedder: it may not be passed on the old ground. */
START_TEST(g3_the_turn_is_asked_for_again_after_the_checks) {
  begin_with_hooks(1, 0);
  sends(1, 0, 1);
  ann_is(CHAT_ROLE_MEMBER);
  give(take_op(CH_OP_BEFORE_LOG), 0);
  chat_log_append *append = take_op(CHAT_OP_LOG_APPEND);
  sends(2, 1, 1);
  void *hook = take_op(CH_OP_BEFORE_LOG);
  give(append, CHAT_E_UNKNOWN);
  hears_answer(1, CH_UNKNOWN);
  give(hook, 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 0);
  pass_time(300);
  hears_answer(2, CH_GAP);
  gateway_end();
}
END_TEST

/* --- courtesy checks --- */

START_TEST(not_there_and_not_for_you_look_alike) {
  size_t ops[2];
  chat_bytes bytes[2];
  for (int exists = 0; exists < 2; exists++) {
    begin();
    sends(1, 0, 0);
    ops[exists] = count_ops(CHAT_OP_STORE_STATE);
    chat_store_state *op = take_op(CHAT_OP_STORE_STATE);
    op->state.kind = exists ? CHAT_GROUP : 0;
    give(op, 0);
    write_all();
    bytes[exists].data = malloc(inbox[1].bytes.len);
    bytes[exists].len = inbox[1].bytes.len;
    memcpy((uint8_t *)bytes[exists].data, inbox[1].bytes.data, inbox[1].bytes.len);
    hears_refused(1, CHAT_E_NOT_FOUND);
    gateway_end();
  }
  ck_assert_uint_eq(ops[0], ops[1]);
  ck_assert(ch_bytes_equal(bytes[0], bytes[1]));
  free((uint8_t *)bytes[0].data);
  free((uint8_t *)bytes[1].data);
}
END_TEST

START_TEST(a_membership_is_believed_for_a_while_a_refusal_never) {
  begin();
  ann_is_member();
  sends(1, 0, 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE), 0);
  pass_time(5000);
  sends(2, 1, 0);
  ann_is(CHAT_ROLE_NONE);
  hears_refused(2, CHAT_E_NOT_FOUND);
  sends(3, 1, 0);
  ann_is(CHAT_ROLE_NONE); /* read again */
  hears_refused(3, CHAT_E_NOT_FOUND);
  gateway_end();
}
END_TEST

START_TEST(a_store_that_is_away_is_retry_not_refused) {
  begin();
  sends(1, 0, 0);
  give(take_op(CHAT_OP_STORE_STATE), CHAT_E_IO);
  ck_assert_uint_gt(hears_answer(1, CH_RETRY)->retry_after_ms, 0);
  gateway_end();
}
END_TEST

static ch_client_message create_of(const char *creator) {
  ch_client_message message = message_of(group, 1, 0, 0);
  ch_conversation_id_group(ch_bytes_text(creator), message.u.send.client_id, message.u.send.conversation_id);
  message.u.send.type = CHAT_TYPE_CREATE;
  message.u.send.payload = content(&(ch_content){.type = CHAT_TYPE_CREATE, .conversation_kind = CHAT_GROUP, .title = ch_bytes_text("t")});
  return message;
}

START_TEST(what_this_session_made_a_moment_ago_is_not_asked_of_the_store) {
  begin();
  ch_client_message create = create_of("ann");
  say(1, &create);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE), 0);
  is_in_log(take_op(CHAT_OP_LOG_APPEND));
  hears_answer(1, CH_ACCEPTED);
  ch_client_message message = message_of(create.u.send.conversation_id, 2, 1, 0);
  say(1, &message);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE), 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 1);
  gateway_end();
}
END_TEST

START_TEST(ids_must_be_the_computed_ones) {
  begin();
  ch_client_message message = create_of("bob");
  say(1, &message);
  hears_refused(1, CHAT_E_INVALID);
  message = message_of(group, 1, 0, 0);
  message.u.send.peer = ch_bytes_text("bob");
  say(1, &message); /* a peer, but no direct conversation */
  hears_refused(1, CHAT_E_INVALID);
  ch_conversation_id_direct(ch_bytes_text("bob"), ch_bytes_text("cid"), message.u.send.conversation_id);
  say(1, &message); /* of two others */
  hears_refused(1, CHAT_E_INVALID);
  message.u.send.peer = (chat_bytes){0};
  say(1, &message);
  hears_refused(1, CHAT_E_INVALID);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE) + count_ops(CHAT_OP_LOG_APPEND), 0);
  gateway_end();
}
END_TEST

START_TEST(a_direct_message_needs_no_state) {
  begin();
  ch_client_message message = message_of(group, 1, 0, 0);
  message.u.send.peer = ch_bytes_text("bob");
  ch_conversation_id_direct(ch_bytes_text("ann"), ch_bytes_text("bob"), message.u.send.conversation_id);
  say(1, &message);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE), 0);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  ck_assert(ch_bytes_equal(record_at(op, 0).peer, ch_bytes_text("bob")));
  give(op, CHAT_E_IO);
  gateway_end();
}
END_TEST

START_TEST(a_number_that_breaks_c2_is_invalid) {
  begin();
  sends(2, 2, 0);
  hears_refused(2, CHAT_E_INVALID);
  gateway_end();
}
END_TEST

START_TEST(a_type_that_nobody_knows) {
  begin();
  ch_client_message message = message_of(group, 1, 0, 0);
  message.u.send.type = 77;
  say(1, &message);
  hears_refused(1, CHAT_E_UNSUPPORTED);
  gateway_end();
}
END_TEST

/* A Send without a name cannot be answered as one. */
START_TEST(a_send_that_cannot_be_named) {
  static const uint8_t send[] = {9, 0x08, 0x07, 0x32, 0x05, 0x0a, 0x03, 1, 2, 3}; /* tag 7, Send{conversation_id: 3 bytes} */
  begin();
  say_raw(1, send, sizeof send);
  hears_error(1, 7, CHAT_E_PROTOCOL);
  ck_assert(!is_closing(1));
  gateway_end();
}
END_TEST

/* --- the embedder's hooks --- */

START_TEST(the_hook_before_the_log_decides) {
  begin_with_hooks(1, 0);
  sends(1, 0, 0);
  ann_is(CHAT_ROLE_MEMBER);
  ch_op_before_log *op = take_op(CH_OP_BEFORE_LOG);
  ck_assert(ch_bytes_equal(op->user, ch_bytes_text("ann")));
  ck_assert_uint_eq(op->send.client_seq, 1);
  ck_assert_uint_gt(op->send.payload.len, 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 0);
  give(op, CHAT_E_DENIED);
  hears_refused(1, CHAT_E_DENIED);
  sends(2, 0, 0);
  give(take_op(CH_OP_BEFORE_LOG), 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 1);
  gateway_end();
}
END_TEST

START_TEST(a_hook_that_is_late_denies) {
  begin_with_hooks(1, 0);
  sends(1, 0, 0);
  ann_is(CHAT_ROLE_MEMBER);
  void *op = take_op(CH_OP_BEFORE_LOG);
  pass_time(5000);
  hears_refused(1, CHAT_E_TIMEOUT);
  give(op, 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 0);
  gateway_end();
}
END_TEST

START_TEST(those_behind_a_slow_check_keep_their_order) {
  begin_with_hooks(1, 0);
  sends(1, 0, 0);
  sends(2, 1, 0);
  ann_is(CHAT_ROLE_MEMBER);
  void *op = take_op(CH_OP_BEFORE_LOG);
  ck_assert_uint_eq(count_ops(CH_OP_BEFORE_LOG), 0); /* one at a time */
  pass_time(2000);
  hears_nothing(1);
  give(op, 0);
  give(take_op(CH_OP_BEFORE_LOG), 0);
  chat_log_append *append = take_op(CHAT_OP_LOG_APPEND);
  ck_assert_uint_eq(record_at(append, 0).client_seq, 1);
  is_in_log(append);
  hears_answer(1, CH_ACCEPTED);
  gateway_end();
}
END_TEST

START_TEST(may_it) {
  begin_with_hooks(0, 1);
  ch_client_message message = create_of("ann");
  say(1, &message);
  ch_op_may *op = take_op(CH_OP_MAY);
  ck_assert_uint_eq(op->action, CH_MAY_CREATE);
  give(op, CHAT_E_DENIED);
  hears_refused(1, CHAT_E_DENIED);
  message = message_of(group, 1, 0, 0);
  message.u.send.peer = ch_bytes_text("bob");
  ch_conversation_id_direct(ch_bytes_text("ann"), ch_bytes_text("bob"), message.u.send.conversation_id);
  say(1, &message);
  op = take_op(CH_OP_MAY);
  ck_assert_uint_eq(op->action, CH_MAY_SEND_DIRECT);
  ck_assert(ch_bytes_equal(op->other, ch_bytes_text("bob")));
  give(op, 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 1);
  gateway_end();
}
END_TEST

/* --- bounds --- */

START_TEST(sends_without_an_answer_are_bounded) {
  begin();
  ann_is_member();
  for (uint64_t n = 1; n <= 8; n++)
    sends(n, n - 1, 0);
  hears_nothing(1);
  sends(9, 8, 0);
  hears_answer(9, CH_RETRY);
  is_in_log(take_op(CHAT_OP_LOG_APPEND));
  for (uint64_t n = 1; n <= 8; n++)
    hears_answer(n, CH_ACCEPTED);
  sends(9, 8, 1);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 1);
  gateway_end();
}
END_TEST

START_TEST(limits_give_retry) {
  gateway_config_default();
  limited_to((ch_limits_config){.classes = {[CH_LIMITS_USER] = {.rate_per_min = 60, .burst = 2, .buckets_max = 8},
                                            [CH_LIMITS_CONVERSATION] = {.rate_per_min = 60, .burst = 1, .buckets_max = 8}}});
  gateway_begin();
  group_id(group, 5);
  login(1, "ann", 1);
  sends(1, 0, 0);
  ann_is(CHAT_ROLE_MEMBER);
  sends(2, 1, 0);
  ck_assert_uint_eq(hears_answer(2, CH_RETRY)->retry_after_ms, 1000); /* the conversation's */
  sends(3, 1, 0);
  ck_assert_uint_eq(hears_answer(3, CH_RETRY)->retry_after_ms, 1000); /* the user's */
  gateway_end();
}
END_TEST

/* A record that the sequencer cannot read would stop its partition for everybody. Here a store (of somebody's own making, say) gives a device no id. */
START_TEST(what_the_sequencer_could_not_read_is_not_written) {
  gateway_config_default();
  gateway_begin();
  group_id(group, 5);
  opens(1);
  hello(1, (const uint8_t[16]){1}, 0);
  is_user("ann", 0);
  chat_store_device *op = take_op(CHAT_OP_STORE_DEVICE);
  op->device = (chat_device){.created_ms = 1};
  give(op, 0);
  op = take_op(CHAT_OP_STORE_DEVICE);
  give(op, 0);
  route_is_written(7, 5);
  hears(1, CH_WELCOME);
  sends(1, 0, 0);
  ann_is(CHAT_ROLE_MEMBER);
  hears_refused(1, CHAT_E_INTERNAL);
  sends(2, 0, 1); /* a retry becomes a void, which says no more than who and which: that cannot be read either */
  hears_answer(2, CH_RETRY);
  ck_assert_ptr_null(find_op(CHAT_OP_LOG_APPEND));
  gateway_end();
}
END_TEST

/* A hook's reason goes into the log as that of a void. */
START_TEST(a_reason_that_the_log_cannot_hold_is_not_written) {
  begin_with_hooks(1, 0);
  sends(1, 0, 1);
  ann_is(CHAT_ROLE_MEMBER);
  give(take_op(CH_OP_BEFORE_LOG), -CH_ERROR_CODE_MAX - 1);
  hears_answer(1, CH_RETRY);
  ck_assert_ptr_null(find_op(CHAT_OP_LOG_APPEND));
  gateway_end();
}
END_TEST

/* A conversation in that partition. */
static void group_in(uint8_t id[16], uint32_t partition) {
  uint8_t number = 1;
  do
    group_id(id, number++);
  while (ch_partition_of(ch_bytes_of(id, 16), 4) != partition);
}

static void discards_in(uint64_t conn, uint32_t partition) {
  uint8_t id[16];
  group_in(id, partition);
  ch_client_message message = message_of(id, 1, 0, 1);
  message.u.send.discard = 1; /* is asked nothing, goes straight to its partition */
  say(conn, &message);
}

/* What connections leave unsent holds up nobody's partition. */
START_TEST(connections_that_go_take_their_queues_along) {
  begin();
  login(2, "bob", 2);
  login(3, "cid", 3);
  pull();
  for (uint32_t i = 0; i < 3; i++)
    discards_in(i + 1, i);
  leaves(1);
  leaves(2);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  ck_assert_uint_eq(op->partition, 2);
  ck_assert(ch_bytes_equal(record_at(op, 0).sender, ch_bytes_text("cid")));
  give(op, CHAT_E_IO);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 0);
  gateway_end();
}
END_TEST

START_TEST(an_append_outlives_its_connection) {
  begin();
  ann_is_member();
  sends(1, 0, 0);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  leaves(1);
  is_in_log(op);
  gateway_end();
}
END_TEST

START_TEST(drain_answers_first) {
  begin();
  ann_is_member();
  sends(1, 0, 0);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  ch_gateway_drain(gateway, 1000, now);
  hears_nothing(1);
  sends(2, 1, 0);
  hears_answer(2, CH_RETRY);
  is_in_log(op);
  hears_answer(1, CH_ACCEPTED);
  hears_goodbye(1, CHAT_E_AGAIN);
  gateway_end();
}
END_TEST

START_TEST(drain_does_not_wait_for_ever) {
  begin();
  ann_is_member();
  sends(1, 0, 0);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  ch_gateway_drain(gateway, 1000, now);
  pass_time(5000);
  hears_goodbye(1, CHAT_E_AGAIN);
  give(op, CHAT_E_IO);
  gateway_end();
}
END_TEST

/* Whoever is asked sees all of it, or is not asked. */
static void is_asked_well(chat_op *op) {
  void *whole = op;
  chat_store_state *state = whole;
  ch_op_may *may = whole;
  ch_op_before_log *before = whole;
  if (op->kind == CHAT_OP_STORE_STATE) {
    ck_assert(ch_bytes_equal(state->users[0], ch_bytes_text("ann")));
    state->state.kind = CHAT_GROUP;
    member_in_state(op, &state->state, "ann", CHAT_ROLE_OWNER, 0, UINT64_MAX);
  } else if (op->kind == CH_OP_MAY) {
    ck_assert(ch_bytes_equal(may->user, ch_bytes_text("ann")));
    ck_assert(ch_bytes_equal(may->other, ch_bytes_text("bob")));
  } else {
    ck_assert(ch_bytes_equal(before->user, ch_bytes_text("ann")));
    ck_assert_uint_gt(before->send.payload.len, 0);
  }
}

static chat_op *next_question(void) {
  chat_op *op = find_op(CHAT_OP_STORE_STATE);
  if (!op) op = find_op(CH_OP_MAY);
  return op ? op : find_op(CH_OP_BEFORE_LOG);
}

/* Adds bob to the group, which is asked of the store and of both hooks. How many were asked. */
static unsigned run_with_memory_for(size_t allocations) {
  chat_bytes users[] = {ch_bytes_text("bob")};
  ch_client_message message = message_of(group, 1, 0, 0);
  unsigned asked = 0;
  message.u.send.type = CHAT_TYPE_MEMBERS_ADD;
  message.u.send.payload = content(&(ch_content){.type = CHAT_TYPE_MEMBERS_ADD, .users = users, .user_count = 1, .role = CHAT_ROLE_MEMBER});
  memory.left = allocations;
  say(1, &message);
  for (chat_op *op = next_question(); op; op = next_question(), asked++) {
    size_t left = memory.left;
    memory.left = SIZE_MAX;
    is_asked_well(op);
    memory.left = left;
    give(op, 0);
  }
  pull();
  memory.left = SIZE_MAX;
  pass_time(0);
  return asked;
}

START_TEST(out_of_memory_refuses_nothing_finally) {
  unsigned asked = 0;
  for (size_t allocations = 0; allocations < 60; allocations++) {
    begin_with_hooks(1, 1);
    asked = run_with_memory_for(allocations);
    const ch_server_message *message = hear(1);
    if (message && message->op == CH_ANSWER) ck_assert_int_eq(message->u.answer.code, CH_RETRY);
    gateway_end();
    inbox[1] = (struct inbox){0};
  }
  ck_assert_uint_eq(asked, 3); /* it was enough in the end */
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {accepted_when_durable_and_not_before, 0},
      {accepted_goes_with_what_comes_next, 0},
      {sender_and_device_are_the_sessions, 0},
      {sends_of_one_turn_share_an_append, 0},
      {accepted_waits_only_while_much_goes_out, 0},
      {at_most_eight_appends_of_a_partition_are_under_way, 0},
      {g1_early_ones_wait_for_their_turn, 0},
      {g1_what_waited_300_ms_gets_gap_and_is_not_passed, 0},
      {g1_the_order_buffer_is_bounded_for_the_session, 0},
      {g1_a_refused_number_is_not_passed, 0},
      {g2_a_retry_that_will_not_pass_becomes_a_void_without_an_answer, 0},
      {g2_a_discarded_row_is_a_void, 0},
      {g2_a_bad_retry_is_a_void_too, 0},
      {g3_what_follows_a_failed_append_is_unknown_also_where_it_was_acknowledged, 0},
      {g3_accepted_comes_in_the_order_of_the_log, 0},
      {g3_each_record_of_an_append_has_its_own_fate, 0},
      {g3_another_conversation_goes_on, 0},
      {g3_the_turn_is_asked_for_again_after_the_checks, 0},
      {not_there_and_not_for_you_look_alike, 0},
      {a_membership_is_believed_for_a_while_a_refusal_never, 0},
      {a_store_that_is_away_is_retry_not_refused, 0},
      {what_this_session_made_a_moment_ago_is_not_asked_of_the_store, 0},
      {ids_must_be_the_computed_ones, 0},
      {a_direct_message_needs_no_state, 0},
      {a_number_that_breaks_c2_is_invalid, 0},
      {a_type_that_nobody_knows, 0},
      {a_send_that_cannot_be_named, 0},
      {the_hook_before_the_log_decides, 0},
      {a_hook_that_is_late_denies, 0},
      {those_behind_a_slow_check_keep_their_order, 0},
      {may_it, 0},
      {sends_without_an_answer_are_bounded, 0},
      {limits_give_retry, 0},
      {what_the_sequencer_could_not_read_is_not_written, 0},
      {a_reason_that_the_log_cannot_hold_is_not_written, 0},
      {connections_that_go_take_their_queues_along, 0},
      {an_append_outlives_its_connection, 0},
      {drain_answers_first, 0},
      {drain_does_not_wait_for_ever, 0},
      {out_of_memory_refuses_nothing_finally, 0},
  };
  return RUN_TESTS("gateway_send", rows);
}
