/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts, presence, typing, and requests of the embedder. */
#include "unit/server/gateway_peer.h"

static uint8_t group[16];

static void begin(void) {
  gateway_config_default();
  gateway_begin();
  group_id(group, 5);
  login(1, "ann", 1);
}

/* --- receipts --- */

static void receipts(uint64_t conn, uint64_t tag, uint64_t delivered, uint64_t read) {
  ch_client_message message = {.tag = tag, .op = CH_RECEIPT};
  message.u.receipt = (ch_receipt){.delivered = delivered, .read = read};
  memcpy(message.u.receipt.conversation_id, group, 16);
  say(conn, &message);
}

/* Members ann, bob and cid, and zoe who left at 6; head 9. */
static chat_store_state *group_state(uint32_t kind) {
  static const char *const users[] = {"ann", "bob", "cid", "zoe"};
  chat_store_state *op = take_op(CHAT_OP_STORE_STATE);
  ck_assert_mem_eq(op->conversation_id, group, 16);
  op->state = (chat_state){.kind = kind, .head = 9, .member_count = 3, .member_count_here = kind ? 4 : 0};
  op->state.members = chat_op_alloc(&op->op, 4 * sizeof *op->state.members);
  for (size_t i = 0; i < 4; i++) {
    chat_member *member = &op->state.members[i];
    *member = (chat_member){.user = ch_bytes_text(users[i]), .role = i < 3 ? CHAT_ROLE_MEMBER : CHAT_ROLE_NONE, .delivered = 2, .read = 1, .interval_count = 1};
    member->intervals = chat_op_alloc(&op->op, sizeof(chat_interval));
    *member->intervals = (chat_interval){0, i < 3 ? UINT64_MAX : 6};
  }
  return op;
}

static void task_at(const chat_log_append *op, size_t i, ch_task *task) {
  ch_tasks tasks;
  ck_assert_uint_eq(op->topic, CHAT_TOPIC_DELIVERIES);
  ck_assert_int_eq(ch_tasks_decode(op->records[i].data, &heard_arena, &tasks), 0);
  ck_assert_uint_eq(tasks.count, 1);
  *task = tasks.tasks[0];
}

/* Users of all tasks that wait for the log, each under the right partition; `own` is filled with a task for ann. */
static size_t told_users(char *users, ch_task_kind kind, ch_task *own) {
  size_t count = 0;
  users[0] = 0;
  pull();
  while (count_ops(CHAT_OP_LOG_APPEND)) {
    chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
    for (size_t i = 0; i < op->count; i++) {
      ch_task task;
      task_at(op, i, &task);
      ck_assert_int_eq(task.kind, kind);
      for (size_t u = 0; u < task.user_count; u++, count++) {
        ck_assert_uint_eq(ch_partition_of(task.users[u], 2), op->partition);
        strncat(users, (const char *)task.users[u].data, task.users[u].len);
        if (own && ch_bytes_equal(task.users[u], ch_bytes_text("ann"))) *own = task;
      }
    }
    give(op, 0);
  }
  return count;
}

START_TEST(receipts_are_coalesced_stored_then_confirmed_then_told) {
  char users[64];
  ch_task own = {0};
  begin();
  receipts(1, 41, 3, 2);
  receipts(1, 42, 5, 4);
  pass_time(199);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE), 0);
  pass_time(1);
  give(group_state(CHAT_GROUP), 0);
  chat_store_watermarks *op = take_op(CHAT_OP_STORE_WATERMARKS);
  ck_assert_uint_eq(op->count, 1);
  ck_assert(ch_bytes_equal(op->marks[0].user, ch_bytes_text("ann")));
  ck_assert_uint_eq(op->marks[0].delivered, 5);
  ck_assert_uint_eq(op->marks[0].read, 4);
  hears_nothing(1);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 0);
  give(op, 0);
  hears_ok(1, 41);
  hears_ok(1, 42);
  ck_assert_uint_eq(told_users(users, CH_TASK_RECEIPTS, &own), 3);
  ck_assert(strstr(users, "ann") && strstr(users, "bob") && strstr(users, "cid") && !strstr(users, "zoe"));
  ck_assert_uint_eq(own.has_not_device, 1);
  ck_assert_uint_eq(own.not_device[0], 1);
  ck_assert_uint_eq(own.u.receipts.marks[0].delivered, 5);
  gateway_end();
}
END_TEST

START_TEST(nobody_has_received_what_does_not_exist) {
  begin();
  receipts(1, 41, 500, 2);
  pass_time(200);
  give(group_state(CHAT_GROUP), 0);
  chat_store_watermarks *op = take_op(CHAT_OP_STORE_WATERMARKS);
  ck_assert_uint_eq(op->marks[0].delivered, 9);
  give(op, 0);
  gateway_end();
}
END_TEST

START_TEST(a_former_member_up_to_its_removal_and_others_are_not_told) {
  char users[64];
  begin();
  login(2, "zoe", 2);
  receipts(2, 41, 9, 0);
  pass_time(200);
  give(group_state(CHAT_GROUP), 0);
  chat_store_watermarks *op = take_op(CHAT_OP_STORE_WATERMARKS);
  ck_assert_uint_eq(op->marks[0].delivered, 6);
  give(op, 0);
  hears_ok(2, 41);
  told_users(users, CH_TASK_RECEIPTS, NULL);
  ck_assert(!strstr(users, "bob"));
  gateway_end();
}
END_TEST

START_TEST(receipts_of_strangers_and_of_nothing_look_alike) {
  begin();
  login(2, "eve", 2);
  receipts(2, 41, 3, 3);
  pass_time(200);
  give(group_state(CHAT_GROUP), 0);
  hears_error(2, 41, CHAT_E_NOT_FOUND);
  receipts(2, 41, 3, 3);
  pass_time(200);
  give(group_state(0), 0);
  hears_error(2, 41, CHAT_E_NOT_FOUND);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_WATERMARKS), 0);
  gateway_end();
}
END_TEST

START_TEST(what_was_not_stored_is_not_confirmed) {
  char users[64];
  begin();
  receipts(1, 41, 3, 3);
  pass_time(200);
  give(group_state(CHAT_GROUP), 0);
  give(take_op(CHAT_OP_STORE_WATERMARKS), CHAT_E_IO);
  hears_error(1, 41, CHAT_E_AGAIN);
  ck_assert_uint_eq(told_users(users, CH_TASK_RECEIPTS, NULL), 0);
  gateway_end();
}
END_TEST

START_TEST(of_a_channel_only_the_own_devices_are_told) {
  char users[64];
  begin();
  receipts(1, 41, 3, 3);
  pass_time(200);
  give(group_state(CHAT_CHANNEL), 0);
  give(take_op(CHAT_OP_STORE_WATERMARKS), 0);
  hears_ok(1, 41);
  ck_assert_uint_eq(told_users(users, CH_TASK_RECEIPTS, NULL), 1);
  ck_assert_str_eq(users, "ann");
  gateway_end();
}
END_TEST

START_TEST(receipts_of_others_are_given_on_request) {
  uint8_t ids[2][16];
  memcpy(ids[0], group, 16);
  begin();
  memcpy(ids[0], group, 16);
  group_id(ids[1], 6);
  ch_client_message message = {.tag = 43, .op = CH_GET_RECEIPTS};
  message.u.get_receipts = (ch_get_receipts){.conversation_ids = (const uint8_t(*)[16])ids, .count = 2};
  say(1, &message);
  give(group_state(CHAT_GROUP), 0);
  give(take_op(CHAT_OP_STORE_STATE), 0); /* the second is not there */
  const ch_server_message *reply = hears(1, CH_RECEIPTS);
  ck_assert_uint_eq(reply->tag, 43);
  ck_assert_uint_eq(reply->u.receipts.count, 3);
  ck_assert_uint_eq(reply->u.receipts.marks[1].delivered, 2);
  hears_nothing(1);
  gateway_end();
}
END_TEST

/* --- presence --- */

static void watches(uint64_t tag, uint32_t stop) {
  ch_client_message message = {.tag = tag, .op = CH_WATCH};
  message.u.watch.flag = stop;
  memcpy(message.u.watch.conversation_id, group, 16);
  say(1, &message);
}

static void two_members(bool is_member) {
  chat_store_members *op = take_op(CHAT_OP_STORE_MEMBERS);
  ck_assert(ch_bytes_equal(op->user, ch_bytes_text("ann")));
  op->state.kind = CHAT_GROUP;
  op->self.role = is_member ? CHAT_ROLE_MEMBER : CHAT_ROLE_NONE;
  op->members = chat_op_alloc(&op->op, 2 * sizeof *op->members);
  op->members[0] = (chat_member){.user = ch_bytes_text("ann"), .role = CHAT_ROLE_MEMBER};
  op->members[1] = (chat_member){.user = ch_bytes_text("bob"), .role = CHAT_ROLE_MEMBER};
  op->member_count = 2;
  give(op, 0);
}

static void bob_is(uint32_t online) {
  chat_directory_changes *op = take_op(CHAT_OP_DIRECTORY_CHANGES);
  op->users = chat_op_alloc(&op->op, sizeof *op->users);
  op->users[0] = (chat_presence){.user = ch_bytes_text("bob"), .online = online, .seen_ms = 77};
  op->count = 1;
  give(op, 0);
}

static void watch_members(void) {
  watches(51, 0);
  two_members(true);
  chat_directory_presence *op = take_op(CHAT_OP_DIRECTORY_PRESENCE);
  ck_assert_uint_eq(op->count, 2);
  op->users[1].online = 1;
  give(op, 0);
  const ch_server_message *reply = hears(1, CH_PRESENCE);
  ck_assert_uint_eq(reply->tag, 51);
  ck_assert_uint_eq(reply->u.presence.count, 2);
  ck_assert_uint_eq(reply->u.presence.users[1].online, 1);
}

START_TEST(presence_now_and_at_each_change_until_it_is_stopped) {
  begin();
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_CHANGES), 0);
  watch_members();
  ck_assert_uint_ge(count_ops(CHAT_OP_DIRECTORY_WATCH), 1);
  bob_is(0);
  const ch_server_message *change = hears(1, CH_PRESENCE);
  ck_assert_uint_eq(change->tag, 0);
  ck_assert_uint_eq(change->u.presence.users[0].online, 0);
  ck_assert_uint_eq(change->u.presence.users[0].seen_ms, 77);
  pull(); /* the next poll goes out while somebody is watched */
  watches(52, 1);
  hears_ok(1, 52);
  bob_is(1);
  hears_nothing(1);
  gateway_end();
}
END_TEST

START_TEST(presence_is_for_members) {
  begin();
  watches(51, 0);
  two_members(false);
  hears_error(1, 51, CHAT_E_NOT_FOUND);
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_PRESENCE) + count_ops(CHAT_OP_DIRECTORY_WATCH), 0);
  gateway_end();
}
END_TEST

START_TEST(the_hook_is_asked_before_presence_is) {
  gateway_config_default();
  config.has_may = 1;
  gateway_begin();
  group_id(group, 5);
  login(1, "ann", 1);
  watches(51, 0);
  ch_op_may *may = take_op(CH_OP_MAY);
  ck_assert_uint_eq(may->action, CH_MAY_WATCH);
  ck_assert_mem_eq(may->conversation_id, group, 16);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_MEMBERS), 0);
  give(may, CHAT_E_DENIED);
  hears_error(1, 51, CHAT_E_DENIED);
  watches(52, 0);
  give(take_op(CH_OP_MAY), 0);
  two_members(true);
  give(take_op(CHAT_OP_DIRECTORY_PRESENCE), 0);
  ck_assert_uint_eq(hears(1, CH_PRESENCE)->tag, 52);
  gateway_end();
}
END_TEST

START_TEST(watches_of_a_session_are_bounded) {
  begin();
  for (uint8_t i = 0; i < 16; i++) {
    group_id(group, (uint8_t)(30 + i));
    watches(51, 0);
    two_members(true);
    give(take_op(CHAT_OP_DIRECTORY_PRESENCE), 0);
    hears(1, CH_PRESENCE);
  }
  group_id(group, 60);
  watches(52, 0);
  two_members(true);
  hears_error(1, 52, CHAT_E_LIMIT);
  gateway_end();
}
END_TEST

START_TEST(a_directory_that_fails_is_not_asked_without_a_pause) {
  begin();
  watch_members();
  give(take_op(CHAT_OP_DIRECTORY_CHANGES), CHAT_E_IO);
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_CHANGES), 0);
  pass_time(1000);
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_CHANGES), 1);
  gateway_end();
}
END_TEST

START_TEST(changes_that_were_lost_are_asked_for_again) {
  begin();
  watch_members();
  chat_directory_changes *op = take_op(CHAT_OP_DIRECTORY_CHANGES);
  op->lost = 1;
  give(op, 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_PRESENCE), 1);
  gateway_end();
}
END_TEST

/* --- typing --- */

static void types(void) {
  ch_client_message message = {.tag = 61, .op = CH_SET_TYPING};
  message.u.typing.flag = 1;
  memcpy(message.u.typing.conversation_id, group, 16);
  say(1, &message);
}

START_TEST(typing_reaches_the_other_members) {
  char users[64];
  begin();
  types();
  two_members(true);
  hears_ok(1, 61);
  ck_assert_uint_eq(told_users(users, CH_TASK_TYPING, NULL), 1);
  ck_assert_str_eq(users, "bob");
  gateway_end();
}
END_TEST

START_TEST(typing_of_strangers) {
  char users[64];
  begin();
  types();
  two_members(false);
  hears_error(1, 61, CHAT_E_NOT_FOUND);
  ck_assert_uint_eq(told_users(users, CH_TASK_TYPING, NULL), 0);
  gateway_end();
}
END_TEST

/* --- requests of the embedder --- */

static ch_request send_request(uint32_t system) {
  ch_request request = {.kind = CH_REQUEST_SEND, .tag = 71, .user = ch_bytes_text("ann"), .system = system};
  memcpy(request.send.conversation_id, group, 16);
  memset(request.send.client_id, 8, 16);
  request.send.type = CHAT_TYPE_MESSAGE;
  request.send.payload = ch_bytes_text("x");
  return request;
}

static ch_request_reply reply_of(uint64_t tag, int status) {
  ch_request_reply reply;
  ck_assert(ch_gateway_next_reply(gateway, &reply));
  ck_assert_uint_eq(reply.tag, tag);
  ck_assert_int_eq(reply.status, status);
  return reply;
}

START_TEST(the_embedder_sends_as_the_system) {
  ch_request_reply reply;
  ch_record record;
  begin();
  ch_request request = send_request(1);
  ck_assert_int_eq(ch_gateway_request(gateway, &request, now), 0);
  chat_log_append *op = take_op(CHAT_OP_LOG_APPEND);
  ck_assert_int_eq(ch_record_decode(op->records[0].data, &heard_arena, &record), 0);
  ck_assert_uint_eq(record.system, 1);
  ck_assert(ch_bytes_equal(record.sender, ch_bytes_text("ann")));
  ck_assert(!ch_gateway_next_reply(gateway, &reply));
  op->records[0].position = 4;
  give(op, 0);
  reply = reply_of(71, 0);
  ck_assert_mem_eq(reply.client_id, request.send.client_id, 16);
  ck_assert_mem_eq(reply.conversation_id, group, 16);
  ck_assert(!ch_gateway_next_reply(gateway, &reply));
  gateway_end();
}
END_TEST

START_TEST(the_embedder_sends_as_a_user_who_must_be_a_member) {
  begin();
  ch_request request = send_request(0);
  ck_assert_int_eq(ch_gateway_request(gateway, &request, now), 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 0);
  chat_store_state *op = take_op(CHAT_OP_STORE_STATE);
  op->state.kind = CHAT_GROUP;
  give(op, 0);
  reply_of(71, CHAT_E_NOT_FOUND);
  ck_assert_int_eq(ch_gateway_request(gateway, &request, now), 0);
  op = take_op(CHAT_OP_STORE_STATE);
  op->state.kind = CHAT_GROUP;
  member_in_state(&op->op, &op->state, "ann", CHAT_ROLE_MEMBER, 0, UINT64_MAX);
  give(op, 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 1);
  gateway_end();
}
END_TEST

static const chat_store_range *history_for(const char *user) {
  ch_request request = {.kind = CH_REQUEST_HISTORY, .tag = 72, .user = ch_bytes_text(user)};
  memcpy(request.range.conversation_id, group, 16);
  request.range.limit = 10;
  ck_assert_int_eq(ch_gateway_request(gateway, &request, now), 0);
  chat_store_range *op = take_op(CHAT_OP_STORE_RANGE);
  op->state = (chat_state){.kind = CHAT_GROUP, .head = 4};
  if (op->user.len) member_in_state(&op->op, &op->state, user, CHAT_ROLE_MEMBER, 2, UINT64_MAX);
  op->rows = chat_op_alloc(&op->op, 4 * sizeof *op->rows);
  for (; op->row_count < 4; op->row_count++)
    op->rows[op->row_count] = (chat_row){.seq = op->row_count + 1, .sender = ch_bytes_text("bob"), .type = 1};
  give(op, 0);
  return reply_of(72, 0).range;
}

START_TEST(history_of_all_and_of_a_user) {
  begin();
  ck_assert_uint_eq(history_for("")->row_count, 4);
  const chat_store_range *range = history_for("ann");
  ck_assert_uint_eq(range->row_count, 2);
  ck_assert_uint_eq(range->rows[0].seq, 3);
  gateway_end();
}
END_TEST

START_TEST(the_embedder_disconnects) {
  ch_request request = {.kind = CH_REQUEST_DISCONNECT, .tag = 73, .user = ch_bytes_text("ann"), .error = CHAT_E_CLOSED};
  begin();
  login(2, "ann", 2);
  login(3, "bob", 3);
  memset(request.device_id, 2, 16);
  ck_assert_int_eq(ch_gateway_request(gateway, &request, now), 0);
  ck_assert_uint_eq(reply_of(73, 0).count, 1);
  hears_goodbye(2, CHAT_E_CLOSED);
  ck_assert(!is_closing(1));
  memset(request.device_id, 0, 16);
  ck_assert_int_eq(ch_gateway_request(gateway, &request, now), 0);
  ck_assert_uint_eq(reply_of(73, 0).count, 1);
  hears_goodbye(1, CHAT_E_CLOSED);
  ck_assert(!is_closing(3));
  gateway_end();
}
END_TEST

START_TEST(the_embedder_revokes) {
  ch_request request = {.kind = CH_REQUEST_REVOKE, .tag = 74, .user = ch_bytes_text("ann")};
  memset(request.device_id, 1, 16);
  begin();
  ck_assert_int_eq(ch_gateway_request(gateway, &request, now), 0);
  chat_store_device *op = take_op(CHAT_OP_STORE_DEVICE);
  op->device.session = 1;
  give(op, 0);
  op = take_op(CHAT_OP_STORE_DEVICE);
  ck_assert_uint_eq(op->device.revoked, 1);
  give(op, 0);
  hears_goodbye(1, CHAT_E_REVOKED);
  reply_of(74, 0);
  gateway_end();
}
END_TEST

START_TEST(requests_are_bounded) {
  begin();
  ch_request request = send_request(1);
  for (int i = 0; i < 1024; i++)
    ck_assert_int_eq(ch_gateway_request(gateway, &request, now), 0);
  ck_assert_int_eq(ch_gateway_request(gateway, &request, now), CHAT_E_BUSY);
  gateway_end();
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {receipts_are_coalesced_stored_then_confirmed_then_told, 0},
      {nobody_has_received_what_does_not_exist, 0},
      {a_former_member_up_to_its_removal_and_others_are_not_told, 0},
      {receipts_of_strangers_and_of_nothing_look_alike, 0},
      {what_was_not_stored_is_not_confirmed, 0},
      {of_a_channel_only_the_own_devices_are_told, 0},
      {receipts_of_others_are_given_on_request, 0},
      {presence_now_and_at_each_change_until_it_is_stopped, 0},
      {presence_is_for_members, 0},
      {the_hook_is_asked_before_presence_is, 0},
      {watches_of_a_session_are_bounded, 0},
      {a_directory_that_fails_is_not_asked_without_a_pause, 0},
      {changes_that_were_lost_are_asked_for_again, 0},
      {typing_reaches_the_other_members, 0},
      {typing_of_strangers, 0},
      {the_embedder_sends_as_the_system, 0},
      {the_embedder_sends_as_a_user_who_must_be_a_member, 0},
      {history_of_all_and_of_a_user, 0},
      {the_embedder_disconnects, 0},
      {the_embedder_revokes, 0},
      {requests_are_bounded, 0},
  };
  return RUN_TESTS("gateway_people", rows);
}
