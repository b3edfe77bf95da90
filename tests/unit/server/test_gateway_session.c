/* SPDX-License-Identifier: Apache-2.0 */
/* docs/protocol.md, "Session" and "Bad input": logins, numbers of sessions, ends, heartbeats, devices. */
#include "unit/server/gateway_peer.h"

static const uint8_t device_a[16] = {0xaa, 1};
static const uint8_t device_b[16] = {0xbb, 1};

static void begin(void) {
  gateway_config_default();
  gateway_begin();
}

static void beats(uint64_t conn, uint64_t tag) {
  say(conn, &(ch_client_message){.tag = tag, .op = CH_HEARTBEAT});
}

/* --- login --- */

START_TEST(a_new_device_is_registered_then_routed_then_welcomed) {
  begin();
  opens(1);
  hello(1, NULL, 0);
  ch_op_authenticate *auth = take_op(CH_OP_AUTHENTICATE);
  ck_assert(ch_bytes_equal(auth->token, ch_bytes_text("t")));
  ck_assert(ch_bytes_equal(auth->address, ch_bytes_text("192.0.2.1")));
  auth->user = chat_op_copy(&auth->op, ch_bytes_text("ann"));
  auth->expires_ms = WALL_MS + 60000;
  give(auth, 0);
  chat_store_device *put = take_op(CHAT_OP_STORE_DEVICE);
  uint8_t id[16];
  memcpy(id, put->device.device_id, 16);
  ck_assert_uint_eq(put->verb, CHAT_DEVICE_PUT);
  ck_assert(ch_bytes_equal(put->user, ch_bytes_text("ann")));
  ck_assert(ch_bytes_equal(put->device.name, ch_bytes_text("test")));
  ck_assert_uint_eq(put->device.session_next, 1);
  ck_assert_uint_eq(put->expect_session + put->expect_session_next, 0);
  ck_assert_uint_eq(put->devices_max, 16);
  give(put, 0);
  chat_directory_renew *renew = take_op(CHAT_OP_DIRECTORY_RENEW);
  ck_assert_uint_eq(renew->count, 1);
  ck_assert_uint_eq(renew->renewals[0].session, 1);
  ck_assert_uint_eq(renew->route_ms, 300000);
  ck_assert_uint_eq(renew->presence_ms, 30000);
  ck_assert_mem_eq(renew->renewals[0].device_id, id, 16);
  hears_nothing(1);
  give(renew, 0);
  const ch_server_message *welcome = hears(1, CH_WELCOME);
  ck_assert_uint_eq(welcome->tag, 9);
  ck_assert(ch_bytes_equal(welcome->u.welcome.user, ch_bytes_text("ann")));
  ck_assert_mem_eq(welcome->u.welcome.device_id, id, 16);
  ck_assert_uint_eq(welcome->u.welcome.device_session, 1);
  ck_assert_uint_eq(welcome->u.welcome.token_expires_ms, WALL_MS + 60000);
  ck_assert_uint_eq(welcome->u.welcome.limits.in_flight_max, 8);
  ck_assert_uint_eq(welcome->u.welcome.limits.heartbeat_ms, 15000);
  gateway_end();
}
END_TEST

/* Stored (session, session_next) and what Hello names: the number given, or 0 and CONFLICT. */
START_TEST(numbers_of_sessions) {
  static const struct {
    uint64_t session, next, named, given;
  } rows[] = {{3, 0, 3, 4}, {3, 4, 3, 5}, {3, 4, 4, 5}, {3, 4, 2, 0}, {3, 0, 0, 0}, {3, 0, 4, 0}, {0, 1, 0, 2}, {0, 1, 1, 2}, {0, 1, 2, 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    begin();
    opens(1);
    hello(1, device_a, rows[i].named);
    is_user("ann", 0);
    chat_store_device *op = take_op(CHAT_OP_STORE_DEVICE);
    ck_assert_mem_eq(op->device.device_id, device_a, 16);
    op->device.session = rows[i].session;
    op->device.session_next = rows[i].next;
    give(op, 0);
    if (rows[i].given) {
      op = take_op(CHAT_OP_STORE_DEVICE);
      ck_assert_uint_eq(op->device.session, rows[i].named);
      ck_assert_uint_eq(op->device.session_next, rows[i].given);
      ck_assert_uint_eq(op->expect_session, rows[i].session);
      ck_assert_uint_eq(op->expect_session_next, rows[i].next);
    } else {
      hears_error(1, 9, CHAT_E_CONFLICT);
      ck_assert(is_closing(1));
    }
    if (rows[i].given) give(op, CHAT_E_IO);
    gateway_end();
    inbox[1] = (struct inbox){0};
  }
}
END_TEST

START_TEST(two_hellos_at_once_read_again) {
  begin();
  opens(1);
  hello(1, device_a, 3);
  is_user("ann", 0);
  chat_store_device *op = take_op(CHAT_OP_STORE_DEVICE);
  op->device.session = 3;
  give(op, 0);
  give(take_op(CHAT_OP_STORE_DEVICE), CHAT_E_CONFLICT);
  op = take_op(CHAT_OP_STORE_DEVICE);
  ck_assert_uint_eq(op->verb, CHAT_DEVICE_GET);
  op->device.session = 3;
  op->device.session_next = 4;
  give(op, 0);
  op = take_op(CHAT_OP_STORE_DEVICE);
  ck_assert_uint_eq(op->device.session_next, 5);
  give(op, 0);
  route_is_written(1, 1);
  ck_assert_uint_eq(hears(1, CH_WELCOME)->u.welcome.device_session, 5);
  gateway_end();
}
END_TEST

static void refused(int code) {
  hears_error(1, 9, code);
  hears_nothing(1);
  ck_assert(is_closing(1));
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_RENEW), 0);
  gateway_end();
  inbox[1] = (struct inbox){0};
}

START_TEST(a_login_that_fails_says_why_and_closes) {
  static const int codes[] = {CHAT_E_AUTH, CHAT_E_EXPIRED, CHAT_E_REVOKED};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    begin();
    opens(1);
    hello(1, NULL, 0);
    give(take_op(CH_OP_AUTHENTICATE), codes[i]);
    refused(codes[i]);
  }
}
END_TEST

START_TEST(an_unknown_device_looks_like_a_bad_token) {
  begin();
  opens(1);
  hello(1, device_a, 1);
  is_user("ann", 0);
  give(take_op(CHAT_OP_STORE_DEVICE), CHAT_E_NOT_FOUND);
  refused(CHAT_E_AUTH);
}
END_TEST

START_TEST(a_revoked_device_stays_out) {
  begin();
  opens(1);
  hello(1, device_a, 1);
  is_user("ann", 0);
  chat_store_device *op = take_op(CHAT_OP_STORE_DEVICE);
  op->device = (chat_device){.session = 1, .revoked = 1};
  give(op, 0);
  refused(CHAT_E_REVOKED);
}
END_TEST

START_TEST(too_many_devices) {
  begin();
  opens(1);
  hello(1, NULL, 0);
  is_user("ann", 0);
  give(take_op(CHAT_OP_STORE_DEVICE), CHAT_E_LIMIT);
  refused(CHAT_E_LIMIT);
}
END_TEST

START_TEST(a_store_that_is_away_is_later) {
  begin();
  opens(1);
  hello(1, device_a, 1);
  is_user("ann", 0);
  give(take_op(CHAT_OP_STORE_DEVICE), CHAT_E_IO);
  refused(CHAT_E_AGAIN);
}
END_TEST

START_TEST(version_and_token_are_looked_at_before_anybody_is_asked) {
  ch_client_message message = {.tag = 9, .op = CH_HELLO};
  message.u.hello = (ch_hello){.version = 2, .token = ch_bytes_text("t")};
  begin();
  opens(1);
  say(1, &message);
  ck_assert_uint_eq(count_ops(CH_OP_AUTHENTICATE), 0);
  refused(CHAT_E_VERSION);
  begin();
  opens(1);
  message.u.hello = (ch_hello){.version = 1};
  say(1, &message);
  ck_assert_uint_eq(count_ops(CH_OP_AUTHENTICATE), 0);
  refused(CHAT_E_AUTH);
}
END_TEST

START_TEST(a_token_of_another_device) {
  begin();
  opens(1);
  hello(1, device_a, 1);
  ch_op_authenticate *op = take_op(CH_OP_AUTHENTICATE);
  op->user = chat_op_copy(&op->op, ch_bytes_text("ann"));
  memcpy(op->device_id_claimed, device_b, 16);
  give(op, 0);
  refused(CHAT_E_AUTH);
}
END_TEST

START_TEST(a_hook_that_is_late_denies_and_is_then_ignored) {
  begin();
  opens(1);
  hello(1, NULL, 0);
  ch_op_authenticate *op = take_op(CH_OP_AUTHENTICATE);
  pass_time(4999);
  hears_nothing(1);
  pass_time(1);
  hears_error(1, 9, CHAT_E_TIMEOUT);
  op->user = chat_op_copy(&op->op, ch_bytes_text("ann"));
  give(op, 0);
  hears_nothing(1);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_DEVICE), 0);
  gateway_end();
}
END_TEST

START_TEST(a_login_without_the_directory_is_welcomed) {
  begin();
  opens(1);
  hello(1, NULL, 0);
  is_user("ann", 0);
  give(take_op(CHAT_OP_STORE_DEVICE), 0);
  give(take_op(CHAT_OP_DIRECTORY_RENEW), CHAT_E_IO);
  hears(1, CH_WELCOME);
  beats(1, 4);
  pass_time(100);
  route_is_written(3, 88);
  ck_assert_uint_eq(hears(1, CH_HEARTBEAT_REPLY)->u.pos, 0); /* V6: an epoch it has not seen */
  gateway_end();
}
END_TEST

/* --- ConfirmSession --- */

static void confirms(uint64_t number) {
  ch_client_message message = {.tag = 20, .op = CH_CONFIRM_SESSION};
  message.u.device_session = number;
  say(1, &message);
}

START_TEST(confirmed_only_when_stored) {
  begin();
  login(1, "ann", 1);
  confirms(1);
  chat_store_device *op = take_op(CHAT_OP_STORE_DEVICE);
  op->device.session_next = 1;
  give(op, 0);
  op = take_op(CHAT_OP_STORE_DEVICE);
  ck_assert_uint_eq(op->verb, CHAT_DEVICE_PUT);
  ck_assert_uint_eq(op->device.session, 1);
  ck_assert_uint_eq(op->device.session_next, 0);
  ck_assert_uint_eq(op->expect_session, 0);
  ck_assert_uint_eq(op->expect_session_next, 1);
  hears_nothing(1);
  give(op, 0);
  hears_ok(1, 20);
  gateway_end();
}
END_TEST

START_TEST(another_number_is_not_confirmed) {
  begin();
  login(1, "ann", 1);
  confirms(2);
  hears_error(1, 20, CHAT_E_INVALID);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_DEVICE), 0);
  gateway_end();
}
END_TEST

/* Read, then revoked by another, then written: the write meets the other numbers. */
START_TEST(a_confirmation_does_not_undo_a_revocation) {
  begin();
  login(1, "ann", 1);
  confirms(1);
  chat_store_device *op = take_op(CHAT_OP_STORE_DEVICE);
  op->device.session_next = 1;
  give(op, 0);
  op = take_op(CHAT_OP_STORE_DEVICE);
  op->device = (chat_device){.session_next = 2, .revoked = 1};
  give(op, CHAT_E_CONFLICT);
  hears_goodbye(1, CHAT_E_REVOKED);
  gateway_end();
}
END_TEST

/* --- one session a device --- */

static void login_again(uint64_t conn, uint8_t device, uint64_t stored_next) {
  uint8_t id[16];
  memset(id, device, sizeof id);
  opens(conn);
  hello(conn, id, 0);
  is_user("ann", 0);
  chat_store_device *op = take_op(CHAT_OP_STORE_DEVICE);
  op->device.session_next = stored_next;
  give(op, 0);
  give(take_op(CHAT_OP_STORE_DEVICE), 0);
}

START_TEST(a_newer_session_here_replaces_the_older) {
  begin();
  login(1, "ann", 1);
  login_again(2, 1, 1);
  hears_goodbye(1, CHAT_E_REPLACED);
  chat_directory_drop *drop = take_op(CHAT_OP_DIRECTORY_DROP);
  ck_assert_uint_eq(drop->renewals[0].session, 1);
  give(drop, 0);
  route_is_written(7, 5);
  hears(2, CH_WELCOME);
  ck_assert(!is_closing(2));
  gateway_end();
}
END_TEST

START_TEST(another_device_of_the_user_replaces_nobody) {
  begin();
  login(1, "ann", 1);
  login(2, "ann", 2);
  ck_assert(!is_closing(1));
  gateway_end();
}
END_TEST

START_TEST(a_newer_session_elsewhere_is_learnt_at_renewal) {
  begin();
  login(1, "ann", 1);
  beats(1, 4);
  pass_time(100);
  chat_directory_renew *op = take_op(CHAT_OP_DIRECTORY_RENEW);
  op->renewals[0].epoch = 7;
  op->renewals[0].newest_session = 2;
  give(op, 0);
  hears_goodbye(1, CHAT_E_REPLACED);
  gateway_end();
}
END_TEST

/* --- bad input that ends a session, or does not --- */

START_TEST(before_hello_nothing_passes) {
  begin();
  opens(1);
  beats(1, 1);
  hears_goodbye(1, CHAT_E_PROTOCOL);
  gateway_end();
}
END_TEST

START_TEST(a_second_hello) {
  begin();
  login(1, "ann", 1);
  hello(1, NULL, 0);
  hears_goodbye(1, CHAT_E_PROTOCOL);
  gateway_end();
}
END_TEST

START_TEST(bytes_that_are_no_message) {
  static const uint8_t cut[] = {5, 8, 7}, rubbish[] = {3, 0xff, 0xff, 0xff};
  begin();
  login(1, "ann", 1);
  login(2, "bob", 2);
  say_raw(1, cut, sizeof cut);
  hears_goodbye(1, CHAT_E_PROTOCOL);
  say_raw(2, rubbish, sizeof rubbish);
  hears_goodbye(2, CHAT_E_PROTOCOL);
  gateway_end();
}
END_TEST

START_TEST(a_text_message) {
  begin();
  login(1, "ann", 1);
  ch_gateway_violated(gateway, 1, CHAT_E_PROTOCOL, now);
  hears_goodbye(1, CHAT_E_PROTOCOL);
  gateway_end();
}
END_TEST

START_TEST(a_frame_above_the_limit) {
  begin();
  login(1, "ann", 1);
  uint8_t *frame = calloc(1, CHAT_FRAME_MAX + 1);
  say_raw(1, frame, CHAT_FRAME_MAX + 1);
  free(frame);
  hears_goodbye(1, CHAT_E_TOO_LARGE);
  gateway_end();
}
END_TEST

START_TEST(an_empty_frame_means_i_am_here) {
  begin();
  login(1, "ann", 1);
  pass_time(44999);
  say_raw(1, "", 0);
  pass_time(44999);
  ck_assert(!is_closing(1));
  gateway_end();
}
END_TEST

START_TEST(an_unknown_request_leaves_the_session_alive) {
  static const uint8_t unknown[] = {5, 0x08, 0x07, 0xa2, 0x06, 0x00}; /* tag 7, field 100 */
  begin();
  login(1, "ann", 1);
  say_raw(1, unknown, sizeof unknown);
  hears_error(1, 7, CHAT_E_UNSUPPORTED);
  ck_assert(!is_closing(1));
  gateway_end();
}
END_TEST

START_TEST(an_id_of_a_wrong_length) {
  static const uint8_t range[] = {11, 0x08, 0x07, 0x42, 0x07, 0x0a, 0x03, 1, 2, 3, 0x20, 0x01}; /* tag 7, Range{conversation_id: 3 bytes, limit: 1} */
  begin();
  login(1, "ann", 1);
  say_raw(1, range, sizeof range);
  hears_error(1, 7, CHAT_E_PROTOCOL);
  ck_assert(!is_closing(1));
  gateway_end();
}
END_TEST

START_TEST(a_value_out_of_its_range) {
  ch_client_message message = {.tag = 3, .op = CH_RANGE};
  message.u.range.conversation_id[0] = 2;
  message.u.range.limit = CHAT_PAGE_MAX + 1;
  begin();
  login(1, "ann", 1);
  say(1, &message);
  hears_error(1, 3, CHAT_E_INVALID);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_RANGE), 0);
  gateway_end();
}
END_TEST

/* --- silence, tokens --- */

START_TEST(silence_ends_a_session_in_every_state) {
  begin();
  opens(1);
  login(2, "ann", 1);
  pass_time(9999);
  ck_assert(!is_closing(1));
  pass_time(1);
  hears_goodbye(1, CHAT_E_TIMEOUT);
  pass_time(34999);
  ck_assert(!is_closing(2));
  pass_time(1);
  hears_goodbye(2, CHAT_E_TIMEOUT);
  gateway_end();
}
END_TEST

static void renews(uint64_t tag) {
  ch_client_message message = {.tag = tag, .op = CH_RENEW_TOKEN};
  message.u.token = ch_bytes_text("new");
  say(1, &message);
}

static void login_until(uint64_t expires_ms) {
  opens(1);
  hello(1, NULL, 0);
  is_user("ann", expires_ms);
  give(take_op(CHAT_OP_STORE_DEVICE), 0);
  route_is_written(7, 5);
  hears(1, CH_WELCOME);
}

START_TEST(a_token_ends) {
  begin();
  login_until(WALL_MS + 20000);
  pass_time(19999);
  ck_assert(!is_closing(1));
  pass_time(1);
  hears_goodbye(1, CHAT_E_EXPIRED);
  gateway_end();
}
END_TEST

START_TEST(a_new_token_in_place) {
  begin();
  login_until(WALL_MS + 20000);
  renews(31);
  is_user("ann", WALL_MS + 40000);
  hears_ok(1, 31);
  pass_time(20000);
  ck_assert(!is_closing(1));
  say_raw(1, "", 0);
  pass_time(20000);
  hears_goodbye(1, CHAT_E_EXPIRED);
  gateway_end();
}
END_TEST

START_TEST(a_token_of_another_user) {
  begin();
  login_until(WALL_MS + 20000);
  renews(31);
  is_user("bob", WALL_MS + 90000);
  hears_error(1, 31, CHAT_E_AUTH);
  ck_assert(!is_closing(1));
  pass_time(20000);
  hears_goodbye(1, CHAT_E_EXPIRED);
  gateway_end();
}
END_TEST

/* --- heartbeats --- */

START_TEST(a_heartbeat_renews_and_carries_pos) {
  begin();
  login(1, "ann", 1);
  login(2, "bob", 2);
  beats(1, 4);
  beats(2, 5);
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_RENEW), 0);
  pass_time(50);
  hears_nothing(1);
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_RENEW), 1);
  route_is_written(7, 66);
  const ch_server_message *reply = hears(1, CH_HEARTBEAT_REPLY);
  ck_assert_uint_eq(reply->tag, 4);
  ck_assert_uint_eq(reply->u.pos, 66);
  ck_assert_uint_eq(hears(2, CH_HEARTBEAT_REPLY)->tag, 5);
  gateway_end();
}
END_TEST

static uint64_t pos_said(uint64_t epoch, int status) {
  beats(1, 4);
  pass_time(50);
  chat_directory_renew *op = take_op(CHAT_OP_DIRECTORY_RENEW);
  op->renewals[0].epoch = epoch;
  op->renewals[0].pos = 66;
  give(op, status);
  return hears(1, CH_HEARTBEAT_REPLY)->u.pos;
}

START_TEST(another_epoch_makes_it_sync_and_once_more_after_30_s) {
  begin();
  login(1, "ann", 1);
  ck_assert_uint_eq(pos_said(7, 0), 66);
  ck_assert_uint_eq(pos_said(8, 0), 0);
  ck_assert_uint_eq(pos_said(8, 0), 66);
  pass_time(15000);
  ck_assert_uint_eq(pos_said(8, 0), 66);
  pass_time(15000);
  ck_assert_uint_eq(pos_said(8, 0), 0);
  ck_assert_uint_eq(pos_said(8, 0), 66);
  gateway_end();
}
END_TEST

START_TEST(a_directory_that_is_away_makes_it_sync_and_once_more) {
  begin();
  login(1, "ann", 1);
  ck_assert_uint_eq(pos_said(7, CHAT_E_IO), 0);
  ck_assert_uint_eq(pos_said(7, 0), 66);
  pass_time(30000);
  ck_assert_uint_eq(pos_said(7, 0), 0);
  ck_assert_uint_eq(pos_said(7, 0), 66);
  gateway_end();
}
END_TEST

START_TEST(whose_part_of_the_directory_is_away_syncs_alone) {
  begin();
  login(1, "ann", 1);
  login(2, "bob", 2);
  beats(1, 4);
  beats(2, 5);
  pass_time(50);
  chat_directory_renew *op = take_op(CHAT_OP_DIRECTORY_RENEW);
  op->renewals[0] = (chat_renewal){.user = op->renewals[0].user, .status = CHAT_E_AGAIN};
  op->renewals[1].epoch = 7;
  op->renewals[1].pos = 66;
  give(op, 0);
  ck_assert_uint_eq(hears(1, CH_HEARTBEAT_REPLY)->u.pos, 0);
  ck_assert_uint_eq(hears(2, CH_HEARTBEAT_REPLY)->u.pos, 66);
  pass_time(30000);
  ck_assert_uint_eq(pos_said(7, 0), 0); /* once more */
  ck_assert_uint_eq(pos_said(7, 0), 66);
  gateway_end();
}
END_TEST

START_TEST(a_busy_client_is_renewed_and_told_all_the_same) {
  begin();
  login(1, "ann", 1);
  for (int i = 0; i < 3; i++) {
    pass_time(5000);
    say_raw(1, "", 0);
  }
  pass_time(50);
  route_is_written(7, 66);
  const ch_server_message *reply = hears(1, CH_HEARTBEAT_REPLY);
  ck_assert_uint_eq(reply->tag, 0);
  ck_assert_uint_eq(reply->u.pos, 66);
  gateway_end();
}
END_TEST

START_TEST(each_heartbeat_has_its_own_reply) {
  begin();
  login(1, "ann", 1);
  beats(1, 4);
  pass_time(50);
  chat_directory_renew *first = take_op(CHAT_OP_DIRECTORY_RENEW);
  beats(1, 5);
  pass_time(50);
  chat_directory_renew *second = take_op(CHAT_OP_DIRECTORY_RENEW);
  first->renewals[0].epoch = second->renewals[0].epoch = 7;
  give(first, 0);
  ck_assert_uint_eq(hears(1, CH_HEARTBEAT_REPLY)->tag, 4);
  give(second, 0);
  ck_assert_uint_eq(hears(1, CH_HEARTBEAT_REPLY)->tag, 5);
  gateway_end();
}
END_TEST

/* --- how many, and the end --- */

START_TEST(bounds_of_connections) {
  gateway_config_default();
  limited_to((ch_limits_config){.classes = {[CH_LIMITS_ADDRESS] = {.rate_per_min = 60, .burst = 2, .buckets_max = 8}}});
  config.sessions_max = 3;
  gateway_begin();
  ck_assert_int_eq(ch_gateway_admit(gateway, ch_bytes_text("a"), now), 0);
  ck_assert_int_eq(ch_gateway_admit(gateway, ch_bytes_text("a"), now), 0);
  ck_assert_int_eq(ch_gateway_admit(gateway, ch_bytes_text("a"), now), CHAT_E_AGAIN);
  ck_assert_uint_eq(ch_gateway_get_stats(gateway)->limited, 1);
  for (uint64_t conn = 1; conn <= 3; conn++) opens(conn); /* those that were admitted are not counted again */
  ck_assert_int_eq(ch_gateway_admit(gateway, ch_bytes_text("b"), now), CHAT_E_LIMIT);
  ck_assert_int_eq(ch_gateway_opened(gateway, 4, ch_bytes_text("192.0.2.1"), now), CHAT_E_LIMIT); /* admitted before the others were here */
  leaves(1);
  ck_assert_int_eq(ch_gateway_admit(gateway, ch_bytes_text("b"), now), 0);
  ch_gateway_drain(gateway, 0, now);
  ck_assert_int_eq(ch_gateway_admit(gateway, ch_bytes_text("c"), now), CHAT_E_AGAIN);
  gateway_end();
}
END_TEST

START_TEST(requests_of_a_user_are_limited) {
  gateway_config_default();
  limited_to((ch_limits_config){.classes = {[CH_LIMITS_USER] = {.rate_per_min = 60, .burst = 1, .buckets_max = 8}}});
  gateway_begin();
  login(1, "ann", 1);
  say(1, &(ch_client_message){.tag = 1, .op = CH_LIST_DEVICES});
  say(1, &(ch_client_message){.tag = 2, .op = CH_LIST_DEVICES});
  const ch_server_message *error = hears(1, CH_ERROR);
  ck_assert_uint_eq(error->tag, 2);
  ck_assert_int_eq(error->u.error.code, CHAT_E_AGAIN);
  ck_assert_uint_eq(error->u.error.retry_after_ms, 1000);
  beats(1, 3); /* a heartbeat costs nothing */
  hears_nothing(1);
  gateway_end();
}
END_TEST

static size_t hears_until_goodbye(uint64_t conn, int code) {
  size_t count = 0;
  for (;; count++) {
    const ch_server_message *message = hear(conn);
    ck_assert(message != NULL);
    if (message->op != CH_GOODBYE) continue;
    ck_assert_int_eq(message->u.goodbye.code, code);
    hears_nothing(conn);
    return count;
  }
}

static void says_nobody_knows(uint64_t conn, int count) {
  static const uint8_t unknown[] = {3, 0xfa, 0x06, 0x00};
  for (int i = 0; i < count; i++) say_raw(conn, unknown, sizeof unknown);
}

/* docs/protocol.md, "Limits": 1,000 in 10 s. */
START_TEST(whoever_goes_on_being_refused_is_sent_away) {
  const ch_client_message kinds[] = {{.tag = 1, .op = CH_HEARTBEAT}, {.tag = 1, .op = CH_CONFIRM_SESSION}, {.tag = 1, .op = CH_LIST_DEVICES}};
  gateway_config_default();
  limited_to((ch_limits_config){.classes = {[CH_LIMITS_USER] = {.rate_per_min = 1, .burst = 1, .buckets_max = 8}}});
  gateway_begin();
  for (uint64_t conn = 1; conn <= 3; conn++) {
    login(conn, "ann", (uint8_t)conn);
    for (int i = 0; i < 1010; i++) say(conn, &kinds[conn - 1]); /* the first heartbeat and the first request are not refused */
    ck_assert_uint_eq(hears_until_goodbye(conn, CHAT_E_AGAIN), 1001);
    ck_assert(is_closing(conn));
  }
  login(4, "bob", 4);
  says_nobody_knows(4, 1000);
  for (int i = 0; i < 1000; i++) ck_assert_int_eq(hears(4, CH_ERROR)->u.error.code, CHAT_E_UNSUPPORTED);
  pass_time(10000); /* then a new count begins */
  says_nobody_knows(4, 1000);
  for (int i = 0; i < 1000; i++) hears(4, CH_ERROR);
  hears_nothing(4);
  says_nobody_knows(4, 2); /* the second is not looked at any more */
  hears(4, CH_ERROR);
  const ch_server_message *goodbye = hears(4, CH_GOODBYE);
  ck_assert_int_eq(goodbye->u.goodbye.code, CHAT_E_AGAIN);
  ck_assert_uint_eq(goodbye->u.goodbye.reconnect_after_ms, 10000);
  hears_nothing(4);
  gateway_end();
}
END_TEST

START_TEST(a_route_is_dropped_with_its_connection) {
  begin();
  login(1, "ann", 1);
  leaves(1);
  chat_directory_drop *drop = take_op(CHAT_OP_DIRECTORY_DROP);
  ck_assert_uint_eq(drop->count, 1);
  ck_assert(ch_bytes_equal(drop->renewals[0].user, ch_bytes_text("ann")));
  ck_assert_uint_eq(drop->renewals[0].session, 1);
  give(drop, 0);
  gateway_end();
}
END_TEST

START_TEST(drain_says_goodbye_and_is_done_when_all_left) {
  begin();
  login(1, "ann", 1);
  opens(2);
  ch_gateway_drain(gateway, 8000, now);
  const ch_server_message *goodbye = hears(1, CH_GOODBYE);
  ck_assert_int_eq(goodbye->u.goodbye.code, CHAT_E_AGAIN);
  ck_assert_uint_eq(goodbye->u.goodbye.reconnect_after_ms, 8000);
  hears_goodbye(2, CHAT_E_AGAIN);
  ck_assert_int_eq(ch_gateway_opened(gateway, 3, ch_bytes_text("a"), now), CHAT_E_AGAIN);
  leaves(1);
  leaves(2);
  ck_assert(!ch_gateway_drained(gateway));
  give(take_op(CHAT_OP_DIRECTORY_DROP), 0);
  ck_assert(ch_gateway_drained(gateway));
  gateway_end();
}
END_TEST

START_TEST(a_peer_that_does_not_read_its_goodbye_is_closed) {
  begin();
  opens(1);
  pass_time(10000);
  bool close = false;
  ck_assert_uint_eq(ch_gateway_next_dirty(gateway), 1);
  ck_assert_uint_gt(ch_gateway_peek(gateway, 1, &close).len, 0);
  pass_time(5000);
  ck_assert_uint_eq(ch_gateway_next_dirty(gateway), 1);
  ck_assert_uint_eq(ch_gateway_peek(gateway, 1, &close).len, 0);
  ck_assert(close);
  gateway_end();
}
END_TEST

/* --- devices --- */

START_TEST(devices_are_listed) {
  begin();
  login(1, "ann", 1);
  say(1, &(ch_client_message){.tag = 6, .op = CH_LIST_DEVICES});
  chat_store_devices *op = take_op(CHAT_OP_STORE_DEVICES);
  ck_assert(ch_bytes_equal(op->user, ch_bytes_text("ann")));
  op->devices = chat_op_alloc(&op->op, 2 * sizeof *op->devices);
  op->devices[0] = (chat_device){.name = ch_bytes_text("phone"), .created_ms = 3, .revoked = 1};
  op->devices[1] = (chat_device){.name = ch_bytes_text("desk")};
  memset(op->devices[1].device_id, 1, 16);
  op->count = 2;
  give(op, 0);
  const ch_server_message *reply = hears(1, CH_DEVICES_REPLY);
  ck_assert_uint_eq(reply->tag, 6);
  ck_assert_uint_eq(reply->u.devices_reply.count, 2);
  ck_assert_uint_eq(reply->u.devices_reply.devices[0].revoked, 1);
  ck_assert_uint_eq(reply->u.devices_reply.devices[0].current, 0);
  ck_assert_uint_eq(reply->u.devices_reply.devices[1].current, 1);
  gateway_end();
}
END_TEST

START_TEST(a_device_is_shut_out_here_and_elsewhere) {
  begin();
  login(1, "ann", 1);
  login(2, "ann", 2);
  ch_client_message message = {.tag = 6, .op = CH_REVOKE_DEVICE};
  memset(message.u.device_id, 2, 16);
  say(1, &message);
  chat_store_device *op = take_op(CHAT_OP_STORE_DEVICE);
  ck_assert(ch_bytes_equal(op->user, ch_bytes_text("ann")));
  op->device.session = 1;
  op->device.session_next = 2;
  give(op, 0);
  op = take_op(CHAT_OP_STORE_DEVICE);
  ck_assert_uint_eq(op->device.revoked, 1);
  ck_assert_uint_eq(op->expect_session, 1);
  ck_assert_uint_eq(op->expect_session_next, 2);
  ck_assert_uint_ne(op->device.session_next, 2); /* a session that read the row before cannot write it back */
  hears_nothing(1);
  give(op, 0);
  hears_ok(1, 6);
  hears_goodbye(2, CHAT_E_REVOKED);
  chat_directory_renew *renew = take_op(CHAT_OP_DIRECTORY_RENEW);
  ck_assert_uint_gt(renew->renewals[0].session, 2);
  ck_assert_mem_eq(renew->renewals[0].device_id, message.u.device_id, 16);
  give(renew, 0);
  gateway_end();
}
END_TEST

/* As a client does that logs out: its answer comes before the end of its session. */
START_TEST(a_device_shuts_itself_out) {
  begin();
  login(1, "ann", 1);
  ch_client_message message = {.tag = 6, .op = CH_REVOKE_DEVICE};
  memset(message.u.device_id, 1, 16);
  say(1, &message);
  give(take_op(CHAT_OP_STORE_DEVICE), 0);
  give(take_op(CHAT_OP_STORE_DEVICE), 0);
  hears_ok(1, 6);
  hears_goodbye(1, CHAT_E_REVOKED);
  give(take_op(CHAT_OP_DIRECTORY_RENEW), 0);
  gateway_end();
}
END_TEST

START_TEST(a_device_that_is_not_there) {
  begin();
  login(1, "ann", 1);
  ch_client_message message = {.tag = 6, .op = CH_REVOKE_DEVICE};
  memset(message.u.device_id, 2, 16);
  say(1, &message);
  give(take_op(CHAT_OP_STORE_DEVICE), CHAT_E_NOT_FOUND);
  hears_error(1, 6, CHAT_E_NOT_FOUND);
  gateway_end();
}
END_TEST

/* Out of memory at every step of a login: an error or silence until the deadline, never a crash, and nothing leaks. */
START_TEST(out_of_memory_at_each_allocation) {
  for (size_t left = 0; left < 60; left++) {
    gateway_config_default();
    gateway_begin();
    memory.left = left;
    if (ch_gateway_opened(gateway, 1, ch_bytes_text("a"), now) == 0) {
      hello(1, NULL, 0);
      ch_op_authenticate *op = find_op(CH_OP_AUTHENTICATE);
      if (op) {
        op->user = chat_op_copy(&op->op, ch_bytes_text("ann"));
        give(op, op->user.data ? 0 : CHAT_E_NOMEM);
      }
      void *device = find_op(CHAT_OP_STORE_DEVICE);
      if (device) give(device, 0);
      void *renew = find_op(CHAT_OP_DIRECTORY_RENEW);
      if (renew) give(renew, 0);
    }
    memory.left = SIZE_MAX;
    gateway_end();
    inbox[1] = (struct inbox){0};
  }
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {a_new_device_is_registered_then_routed_then_welcomed, 0},
      {numbers_of_sessions, 0},
      {two_hellos_at_once_read_again, 0},
      {a_login_that_fails_says_why_and_closes, 0},
      {an_unknown_device_looks_like_a_bad_token, 0},
      {a_revoked_device_stays_out, 0},
      {too_many_devices, 0},
      {a_store_that_is_away_is_later, 0},
      {version_and_token_are_looked_at_before_anybody_is_asked, 0},
      {a_token_of_another_device, 0},
      {a_hook_that_is_late_denies_and_is_then_ignored, 0},
      {a_login_without_the_directory_is_welcomed, 0},
      {confirmed_only_when_stored, 0},
      {another_number_is_not_confirmed, 0},
      {a_confirmation_does_not_undo_a_revocation, 0},
      {a_newer_session_here_replaces_the_older, 0},
      {another_device_of_the_user_replaces_nobody, 0},
      {a_newer_session_elsewhere_is_learnt_at_renewal, 0},
      {before_hello_nothing_passes, 0},
      {a_second_hello, 0},
      {bytes_that_are_no_message, 0},
      {a_text_message, 0},
      {a_frame_above_the_limit, 0},
      {an_empty_frame_means_i_am_here, 0},
      {an_unknown_request_leaves_the_session_alive, 0},
      {an_id_of_a_wrong_length, 0},
      {a_value_out_of_its_range, 0},
      {silence_ends_a_session_in_every_state, 0},
      {a_token_ends, 0},
      {a_new_token_in_place, 0},
      {a_token_of_another_user, 0},
      {a_heartbeat_renews_and_carries_pos, 0},
      {another_epoch_makes_it_sync_and_once_more_after_30_s, 0},
      {whose_part_of_the_directory_is_away_syncs_alone, 0},
      {a_directory_that_is_away_makes_it_sync_and_once_more, 0},
      {a_busy_client_is_renewed_and_told_all_the_same, 0},
      {each_heartbeat_has_its_own_reply, 0},
      {bounds_of_connections, 0},
      {requests_of_a_user_are_limited, 0},
      {whoever_goes_on_being_refused_is_sent_away, 0},
      {a_route_is_dropped_with_its_connection, 0},
      {drain_says_goodbye_and_is_done_when_all_left, 0},
      {a_peer_that_does_not_read_its_goodbye_is_closed, 0},
      {devices_are_listed, 0},
      {a_device_is_shut_out_here_and_elsewhere, 0},
      {a_device_shuts_itself_out, 0},
      {a_device_that_is_not_there, 0},
      {out_of_memory_at_each_allocation, 0},
  };
  return RUN_TESTS("gateway_session", rows);
}
