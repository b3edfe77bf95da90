/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a directory owes (chat/backend.h, "directory"), held against directory_mem; at the end what only the one in memory promises. Where tests/services/with_redis.py has started servers it is held
 * against the directory on Redis instead. The clock is the test's, also that of the servers (tests/services/clock.c).
 */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "backend/directory_mem.h"
#include "contract/redis_version.h"
#include "contract/suite.h"
#include "core/bytes.h"
#include "core/op.h"
#include "unit/backend/bench_port.h"

enum { ROUTE_MS = 300000, PRESENCE_MS = 30000, USERS_MAX = 100, KEEP_MS = 3600000 };

static bench_port bench;
static uint64_t now_ms; /* elapsed */
static uint64_t wall_ahead_ms;

static uint64_t elapsed(void *arg) {
  (void)arg;
  return now_ms;
}

static uint64_t wall(void *arg) {
  (void)arg;
  return wall_ahead_ms + now_ms;
}

static void pass(uint64_t ms) {
  now_ms += ms;
  redis_version_set_clock(wall(NULL));
}

/* Whose clock is that of another process ends something a millisecond later. */
static void pass_a_moment(void) {
  pass(2);
}

/* ------------------------------------------------------------------------------------------------ versions */

static void open_mem(void) {
  chat_backend directory;
  now_ms = 1000;
  wall_ahead_ms = 1000000;
  ch_directory_mem_config config = {.clock = {elapsed, wall, NULL}, .seed = {3}, .epoch = 77, .users_max = USERS_MAX, .keep_ms = KEEP_MS};
  ch_assert(ch_directory_mem_new(&config, &directory) == 0);
  bench_open(&bench, directory);
}

static void open_redis(void) {
  now_ms = 1000;
  wall_ahead_ms = redis_version_wall_ms();
  pass(0);
  bench_open(&bench, redis_version_open());
}

static void close_one(void) {
  bench_close(&bench);
}

/* ------------------------------------------------------------------------------------------------ ops */

static chat_directory_renew *renew_op(const char *gateway, const char *user, uint8_t device, uint64_t session) {
  chat_directory_renew *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_RENEW, sizeof *op);
  op->gateway = chat_op_copy(&op->op, text(gateway));
  op->route_ms = ROUTE_MS;
  op->presence_ms = PRESENCE_MS;
  op->renewals = chat_op_alloc(&op->op, sizeof *op->renewals);
  op->renewals[0] = (chat_renewal){.user = chat_op_copy(&op->op, text(user)), .device_id = {device}, .session = session, .pos = 99, .newest_session = 99, .status = 99};
  op->count = 1;
  return op;
}

static chat_renewal renew(const char *gateway, const char *user, uint8_t device, uint64_t session) {
  chat_directory_renew *op = renew_op(gateway, user, device, session);
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ck_assert_int_eq(op->renewals[0].status, 0);
  ck_assert_uint_ne(op->renewals[0].epoch, 0);
  chat_renewal result = op->renewals[0];
  ch_op_free(&op->op);
  return result;
}

static void drop(const char *gateway, const char *user, uint8_t device, uint64_t session) {
  chat_directory_renew *like = renew_op(gateway, user, device, session);
  chat_directory_drop *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_DROP, sizeof *op);
  op->gateway = like->gateway;
  op->renewals = like->renewals;
  op->count = 1;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ch_op_free(&op->op);
  ch_op_free(&like->op);
}

static int compare_routes(const void *a, const void *b) {
  return memcmp(((const chat_route *)a)->device_id, ((const chat_route *)b)->device_id, CHAT_DEVICE_ID_LEN);
}

static const char *routes_text(const chat_raise *raise) {
  static char list[4096];
  list[0] = 0;
  if (raise->route_count) qsort(raise->routes, raise->route_count, sizeof *raise->routes, compare_routes);
  for (size_t i = 0; i < raise->route_count; i++)
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%u@%.*s", i ? " " : "", raise->routes[i].device_id[0], (int)raise->routes[i].gateway.len,
             (const char *)raise->routes[i].gateway.data);
  return list;
}

/* "1@g1 2@g2": devices and gateways, by device. */
static void expect_routes(const char *user, const char *wanted) {
  chat_raise raise = {.user = text(user), .previous = 0, .status = 99};
  chat_directory_routes *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_ROUTES, sizeof *op);
  op->raises = &raise;
  op->count = 1;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ck_assert_str_eq(routes_text(&raise), wanted);
  ck_assert_uint_eq(raise.previous, 0);
  ck_assert_int_eq(raise.status, 0);
  ch_op_free(&op->op);
}

/* Raises to position; what it was before. routes NULL: whatever they are. */
static uint64_t raise_to(const char *user, uint64_t position, const char *routes) {
  chat_raise raise = {.user = text(user), .previous = 99, .status = 99};
  chat_directory_raise *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_RAISE, sizeof *op);
  op->position = position;
  op->raises = &raise;
  op->count = 1;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  if (routes) ck_assert_str_eq(routes_text(&raise), routes);
  ck_assert_int_eq(raise.status, 0);
  ch_op_free(&op->op);
  return raise.previous;
}

static int mark_status(const char *user, uint64_t mark) {
  chat_directory_mark *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_MARK, sizeof *op);
  op->user = text(user);
  op->mark = mark;
  int status = bench_do(&bench, op);
  ch_op_free(&op->op);
  return status;
}

static void mark(const char *user, uint64_t number) {
  ck_assert_int_eq(mark_status(user, number), 0);
}

static int fill_status(const char *user, uint64_t mark, uint64_t pos) {
  chat_directory_fill *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_FILL, sizeof *op);
  op->user = text(user);
  op->mark = mark;
  op->pos = pos;
  int status = bench_do(&bench, op);
  ch_op_free(&op->op);
  return status;
}

static void fill(const char *user, uint64_t number, uint64_t pos) {
  ck_assert_int_eq(fill_status(user, number, pos), 0);
}

static uint64_t pos_of(const char *user) {
  return renew("g1", user, 1, 1).pos;
}

static void expect_presence(const char *user, uint32_t online, uint64_t seen_ms) {
  chat_presence presence = {.user = text(user), .online = 9, .seen_ms = 9};
  chat_directory_presence *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_PRESENCE, sizeof *op);
  op->users = &presence;
  op->count = 1;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ck_assert_uint_eq(presence.online, online);
  ck_assert_uint_eq(presence.seen_ms, seen_ms);
  ch_op_free(&op->op);
}

static int watch_status(bench_port *port, const char *add, const char *remove) {
  chat_bytes added = text(add ? add : ""), removed = text(remove ? remove : "");
  chat_directory_watch *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_WATCH, sizeof *op);
  op->add = &added;
  op->add_count = add != NULL;
  op->remove = &removed;
  op->remove_count = remove != NULL;
  int status = bench_do(port, op);
  ch_op_free(&op->op);
  return status;
}

static void watch(bench_port *port, const char *add, const char *remove) {
  ck_assert_int_eq(watch_status(port, add, remove), 0);
}

static chat_directory_changes *changes_op(void) {
  chat_directory_changes *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_CHANGES, sizeof *op);
  op->wait_ms = 60000;
  return op;
}

static chat_directory_changes *wait_changes(bench_port *port) {
  chat_directory_changes *op = changes_op();
  bench_submit(port, op);
  ck_assert_ptr_null(bench_poll(port));
  return op;
}

static void expect_change(bench_port *port, chat_directory_changes *op, const char *user, uint32_t online) {
  ck_assert_ptr_eq(bench_next(port), &op->op);
  ck_assert_int_eq(op->op.status, 0);
  ck_assert_uint_eq(op->lost, 0);
  ck_assert_uint_eq(op->count, 1);
  ck_assert(ch_bytes_equal(op->users[0].user, text(user)));
  ck_assert_uint_eq(op->users[0].online, online);
  ch_op_free(&op->op);
}

/* Whoever watches again has been told of all that was before. */
static void catch_up(bench_port *port, const char *user, const chat_directory_changes *waiting) {
  chat_bytes added = text(user);
  chat_directory_watch *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_WATCH, sizeof *op);
  op->add = &added;
  op->add_count = 1;
  bench_submit(port, op);
  chat_op *next = bench_next(port);
  ck_assert(!waiting || next != &waiting->op);
  ck_assert_ptr_eq(next, &op->op);
  ck_assert_int_eq(op->op.status, 0);
  ch_op_free(&op->op);
}

static chat_op *quick(void) {
  chat_directory_presence *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_PRESENCE, sizeof *op);
  op->users = chat_op_alloc(&op->op, sizeof *op->users);
  op->users[0] = (chat_presence){.user = text("ada")};
  op->count = 1;
  return &op->op;
}

static chat_op *long_poll(void) {
  return &changes_op()->op;
}

static const char *user_name(int number) {
  static char name[16];
  snprintf(name, sizeof name, "user%d", number);
  return name;
}

/* ------------------------------------------------------------------------------------------------ RENEW, DROP, ROUTES */

START_TEST(a_renewal_sets_the_route_until_its_deadline) {
  expect_routes("ada", "");
  chat_renewal renewal = renew("g1", "ada", 1, 5);
  ck_assert_uint_eq(renewal.pos, 0);
  ck_assert_uint_eq(renewal.newest_session, 5);
  renew("g2", "ada", 2, 1);
  expect_routes("ada", "1@g1 2@g2");
  pass(ROUTE_MS - 1);
  expect_routes("ada", "1@g1 2@g2");
  renew("g1", "ada", 1, 5); /* again from now on */
  pass_a_moment();
  expect_routes("ada", "1@g1");
  pass(ROUTE_MS);
  expect_routes("ada", "");
}
END_TEST

START_TEST(a_lower_session_never_replaces_a_higher_one) {
  renew("g1", "ada", 1, 5);
  chat_renewal renewal = renew("g2", "ada", 1, 4);
  ck_assert_uint_eq(renewal.newest_session, 5);
  expect_routes("ada", "1@g1");
  renewal = renew("g2", "ada", 1, 6);
  ck_assert_uint_eq(renewal.newest_session, 6);
  expect_routes("ada", "1@g2");
  ck_assert_uint_eq(renew("g1", "ada", 2, 10).newest_session, 10); /* numbers, not texts */
  ck_assert_uint_eq(renew("g2", "ada", 2, 9).newest_session, 10);
  ck_assert_uint_eq(renew("g2", "ada", 2, 100).newest_session, 100);
  drop("g2", "ada", 2, 100);
  renewal = renew("g1", "ada", 1, 5); /* its heartbeat: it is told, and changes nothing */
  ck_assert_uint_eq(renewal.newest_session, 6);
  expect_routes("ada", "1@g2");
}
END_TEST

START_TEST(a_route_that_has_expired_is_nobody_s) {
  renew("g1", "ada", 1, 5);
  pass(ROUTE_MS);
  ck_assert_uint_eq(renew("g2", "ada", 1, 4).newest_session, 4);
  expect_routes("ada", "1@g2");
}
END_TEST

START_TEST(only_its_own_gateway_and_session_drops_a_route) {
  renew("g1", "ada", 1, 5);
  drop("g2", "ada", 1, 5);
  drop("g1", "ada", 1, 4);
  drop("g1", "ada", 2, 5);
  drop("g1", "bob", 1, 5);
  expect_routes("ada", "1@g1");
  expect_presence("ada", 1, wall(NULL));
  drop("g1", "ada", 1, 5);
  expect_routes("ada", "");
  drop("g1", "ada", 1, 5);
}
END_TEST

START_TEST(the_renewals_of_an_op_are_one_by_one) {
  chat_directory_renew *op = renew_op("g1", "ada", 1, 5);
  chat_renewal both[] = {op->renewals[0], {.user = text("bob"), .device_id = {7}, .session = 2}};
  op->renewals = both;
  op->count = 2;
  raise_to("bob", 40, "");
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ck_assert_uint_eq(both[0].pos, 0);
  ck_assert_uint_eq(both[1].pos, 40);
  expect_routes("bob", "7@g1");
  ch_op_free(&op->op);
}
END_TEST

START_TEST(the_epoch_stays_while_nothing_is_forgotten) {
  uint64_t ada = renew("g1", "ada", 1, 5).epoch, bob = renew("g1", "bob", 1, 5).epoch;
  pass(ROUTE_MS);
  raise_to("ada", 3, "");
  ck_assert_uint_eq(renew("g2", "ada", 2, 5).epoch, ada);
  ck_assert_uint_eq(renew("g2", "bob", 2, 5).epoch, bob);
}
END_TEST

START_TEST(any_user_id_and_gateway_name_will_do) {
  static const char *const users[] = {"}", "{}", "a}b", "%7D", "%", "{a}{b}", "two words", "\xc3\xa4\xe2\x82\xac", "0123456789012345678901234567890123456789012345678901234567890123"};
  static const char *const gateways[] = {"g 1", "1 2 3", "a\r\nb", " ", "}", "%s", "\xff", "g", "0123456789012345678901234567890123456789012345678901234567890123"};
  for (int i = 0; i < 9; i++) {
    renew(gateways[i], users[i], (uint8_t)(i + 1), UINT64_MAX - (uint64_t)i);
    raise_to(users[i], UINT64_MAX - (uint64_t)i, NULL);
  }
  for (int i = 0; i < 9; i++) { /* each is a user of its own */
    char routes[80];
    snprintf(routes, sizeof routes, "%d@%s", i + 1, gateways[i]);
    expect_routes(users[i], routes);
    chat_renewal renewal = renew(gateways[i], users[i], (uint8_t)(i + 1), 1);
    ck_assert_uint_eq(renewal.pos, UINT64_MAX - (uint64_t)i);
    ck_assert_uint_eq(renewal.newest_session, UINT64_MAX - (uint64_t)i);
  }
}
END_TEST

START_TEST(many_users_in_one_op) {
  enum { COUNT = 1024 };
  chat_directory_raise *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_RAISE, sizeof *op);
  op->raises = chat_op_alloc(&op->op, COUNT * sizeof *op->raises);
  op->count = COUNT;
  for (int i = 0; i < COUNT; i++)
    op->raises[i] = (chat_raise){.user = chat_op_copy(&op->op, text(user_name(i % USERS_MAX)))};
  op->position = 7;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  for (int i = 0; i < COUNT; i++) {
    ck_assert_int_eq(op->raises[i].status, 0);
    ck_assert_uint_eq(op->raises[i].previous, i < USERS_MAX ? 0 : 7);
  }
  ch_op_free(&op->op);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ RAISE, MARK, FILL */

START_TEST(a_raise_says_what_was_before_and_never_lowers) {
  renew("g1", "ada", 1, 5);
  ck_assert_uint_eq(raise_to("ada", 10, "1@g1"), 0);
  ck_assert_uint_eq(raise_to("ada", 30, "1@g1"), 10);
  ck_assert_uint_eq(raise_to("ada", 20, "1@g1"), 30);
  ck_assert_uint_eq(raise_to("ada", 31, "1@g1"), 30);
  ck_assert_uint_eq(pos_of("ada"), 31);
  ck_assert_uint_eq(raise_to("ada", 9, "1@g1"), 31); /* numbers, not texts */
  ck_assert_uint_eq(raise_to("ada", 100, "1@g1"), 31);
  ck_assert_uint_eq(pos_of("ada"), 100);
  ck_assert_uint_eq(raise_to("bob", 5, ""), 0); /* who is not online has a position, too */
  ck_assert_uint_eq(raise_to("bob", 6, ""), 5);
}
END_TEST

START_TEST(one_raise_of_several_users) {
  chat_raise raises[] = {{.user = text("ada")}, {.user = text("bob")}};
  renew("g1", "bob", 3, 1);
  raise_to("ada", 5, "");
  chat_directory_raise *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_RAISE, sizeof *op);
  op->position = 9;
  op->raises = raises;
  op->count = 2;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ck_assert_uint_eq(raises[0].previous, 5);
  ck_assert_uint_eq(raises[0].route_count, 0);
  ck_assert_uint_eq(raises[1].previous, 0);
  ck_assert_str_eq(routes_text(&raises[1]), "3@g1");
  ch_op_free(&op->op);
}
END_TEST

START_TEST(a_missing_position_is_filled_in_the_marker_s_place) {
  mark("ada", 111);
  ck_assert_uint_eq(pos_of("ada"), 0); /* a marker is not a position */
  fill("ada", 111, 50);
  ck_assert_uint_eq(pos_of("ada"), 50);
}
END_TEST

START_TEST(a_fill_without_its_marker_does_nothing) {
  fill("ada", 111, 50);
  ck_assert_uint_eq(pos_of("ada"), 0);
  mark("ada", 111);
  fill("ada", 112, 50);
  ck_assert_uint_eq(pos_of("ada"), 0);
  fill("ada", 111, 60);
  fill("ada", 111, 70); /* the marker is gone */
  ck_assert_uint_eq(pos_of("ada"), 60);
}
END_TEST

/* V2: what was read before a raise may be older than it. */
START_TEST(any_raise_removes_the_marker) {
  mark("ada", 111);
  ck_assert_uint_eq(raise_to("ada", 40, ""), 0);
  fill("ada", 111, 20);
  ck_assert_uint_eq(pos_of("ada"), 40);
  fill("ada", 111, 70);
  ck_assert_uint_eq(pos_of("ada"), 40);
}
END_TEST

START_TEST(a_marker_does_not_replace_a_position) {
  raise_to("ada", 40, "");
  mark("ada", 111);
  ck_assert_uint_eq(pos_of("ada"), 40);
  fill("ada", 111, 20);
  ck_assert_uint_eq(raise_to("ada", 41, "1@g1"), 40);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ presence */

START_TEST(who_renews_is_online_until_presence_ends) {
  expect_presence("ada", 0, 0);
  renew("g1", "ada", 1, 5);
  uint64_t seen = wall(NULL);
  expect_presence("ada", 1, seen);
  pass(PRESENCE_MS - 1);
  expect_presence("ada", 1, seen);
  pass_a_moment();
  expect_presence("ada", 0, seen);
  expect_routes("ada", "1@g1"); /* a route lives longer */
  renew("g1", "ada", 1, 5);
  expect_presence("ada", 1, wall(NULL));
}
END_TEST

START_TEST(who_has_no_route_is_offline) {
  renew("g1", "ada", 1, 5);
  renew("g1", "ada", 2, 5);
  drop("g1", "ada", 1, 5);
  expect_presence("ada", 1, wall(NULL));
  drop("g1", "ada", 2, 5);
  expect_presence("ada", 0, wall(NULL));
}
END_TEST

START_TEST(a_watcher_is_told_of_changes) {
  watch(&bench, "ada", NULL);
  chat_directory_changes *op = wait_changes(&bench);
  renew("g1", "bob", 1, 1); /* nobody watches him */
  chat_directory_renew *renewal = renew_op("g1", "ada", 1, 5);
  bench_submit(&bench, renewal);
  for (int i = 0; i < 2; i++) { /* in whatever order */
    chat_op *next = bench_next(&bench);
    ck_assert_int_eq(next->status, 0);
    if (next == &op->op) ck_assert_uint_eq(op->count, 1);
  }
  ck_assert(ch_bytes_equal(op->users[0].user, text("ada")));
  ck_assert_uint_eq(op->users[0].online, 1);
  ck_assert_uint_eq(op->users[0].seen_ms, wall(NULL));
  ch_op_free(&renewal->op);
  ch_op_free(&op->op);
}
END_TEST

START_TEST(each_watcher_is_told_on_its_own_port) {
  bench_port other;
  bench_open(&other, bench.backend);
  watch(&other, "ada", NULL);
  chat_directory_changes *op = wait_changes(&other);
  renew("g1", "ada", 1, 5);
  expect_change(&other, op, "ada", 1);
  op = wait_changes(&other);
  renew("g1", "ada", 1, 5); /* a heartbeat is no change */
  catch_up(&other, "ada", op);
  ck_assert_ptr_null(bench_poll(&other));
  drop("g1", "ada", 1, 5);
  expect_change(&other, op, "ada", 0);
  bench_port_close(&other);
}
END_TEST

START_TEST(an_expiry_is_a_change) {
  bench_port other;
  bench_open(&other, bench.backend);
  renew("g1", "ada", 1, 5);
  watch(&other, "ada", NULL);
  chat_directory_changes *op = wait_changes(&other);
  pass(PRESENCE_MS);
  pass_a_moment();
  expect_routes("bob", ""); /* any op makes it noticed */
  expect_change(&other, op, "ada", 0);
  bench_port_close(&other);
}
END_TEST

START_TEST(changes_that_nobody_waits_for_are_kept_and_coalesced) {
  bench_port other;
  bench_open(&other, bench.backend);
  watch(&other, "ada", NULL);
  renew("g1", "ada", 1, 5);
  drop("g1", "ada", 1, 5);
  catch_up(&other, "ada", NULL);
  chat_directory_changes *op = changes_op();
  bench_submit(&other, op);
  expect_change(&other, op, "ada", 0); /* as it is now, once */
  op = wait_changes(&other);
  bench_cancel(&other);
  ck_assert_ptr_eq(bench_next(&other), &op->op);
  ch_op_free(&op->op);
  bench_port_close(&other);
}
END_TEST

START_TEST(who_no_longer_watches_is_not_told) {
  bench_port other;
  bench_open(&other, bench.backend);
  watch(&other, "ada", NULL);
  watch(&other, "ada", NULL); /* twice is once */
  watch(&other, "bob", "ada");
  watch(&other, NULL, "carol"); /* was not watched */
  chat_directory_changes *op = wait_changes(&other);
  renew("g1", "ada", 1, 5);
  catch_up(&other, "bob", op);
  ck_assert_ptr_null(bench_poll(&other));
  renew("g1", "bob", 1, 5);
  expect_change(&other, op, "bob", 1);
  bench_port_close(&other);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ channels */

static void subscribe(const char *gateway, uint32_t life_ms, uint8_t first, size_t count) {
  uint8_t channels[4][16] = {{0}};
  chat_directory_subscribe *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_SUBSCRIBE, sizeof *op);
  for (size_t i = 0; i < count; i++)
    channels[i][0] = (uint8_t)(first + i);
  op->gateway = text(gateway);
  op->life_ms = life_ms;
  op->channels = channels;
  op->count = count;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ch_op_free(&op->op);
}

static int compare_gateways(const void *a, const void *b) {
  return ch_bytes_compare(*(const chat_bytes *)a, *(const chat_bytes *)b);
}

static void expect_subscribers(uint8_t channel, const char *wanted) {
  char list[256] = "";
  chat_directory_subscribers *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_SUBSCRIBERS, sizeof *op);
  op->conversation_id[0] = channel;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  if (op->count) qsort(op->gateways, op->count, sizeof *op->gateways, compare_gateways);
  for (size_t i = 0; i < op->count; i++)
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%.*s", i ? " " : "", (int)op->gateways[i].len, (const char *)op->gateways[i].data);
  ck_assert_str_eq(list, wanted);
  ch_op_free(&op->op);
}

START_TEST(a_subscription_lives_as_long_as_it_says) {
  expect_subscribers(1, "");
  subscribe("g1", 1000, 1, 2);
  subscribe("g2", 5000, 1, 1);
  expect_subscribers(1, "g1 g2");
  expect_subscribers(2, "g1");
  expect_subscribers(3, "");
  pass(999);
  subscribe("g1", 1000, 2, 1); /* again from now on */
  pass_a_moment();
  expect_subscribers(1, "g2");
  expect_subscribers(2, "g1");
}
END_TEST

START_TEST(a_subscription_ends_at_once_with_life_0) {
  subscribe("g1", 1000, 1, 2);
  subscribe("g2", 1000, 1, 1);
  subscribe("g1", 0, 1, 1);
  subscribe("g1", 0, 3, 1); /* was none */
  expect_subscribers(1, "g2");
  expect_subscribers(2, "g1");
}
END_TEST

/* ------------------------------------------------------------------------------------------------ bounds */

static void expect_invalid(void *op) {
  ck_assert_int_eq(bench_do(&bench, op), CHAT_E_INVALID);
  ch_op_free(op);
}

START_TEST(names_have_bounds) {
  static const char long_name[] = "a name of more than sixty-four bytes, which is the most that a gateway or user may have";
  const char *const users[] = {"", "with\nnewline", "\xff", long_name};
  for (int i = 0; i < 4; i++) {
    chat_raise raise = {.user = text(users[i])};
    chat_presence presence = {.user = text(users[i])};
    chat_directory_raise *raise_op = ch_op_new(NULL, CHAT_OP_DIRECTORY_RAISE, sizeof *raise_op);
    *raise_op = (chat_directory_raise){.op = raise_op->op, .position = 1, .raises = &raise, .count = 1};
    expect_invalid(raise_op);
    chat_directory_routes *routes_op = ch_op_new(NULL, CHAT_OP_DIRECTORY_ROUTES, sizeof *routes_op);
    *routes_op = (chat_directory_routes){.op = routes_op->op, .raises = &raise, .count = 1};
    expect_invalid(routes_op);
    chat_directory_presence *presence_op = ch_op_new(NULL, CHAT_OP_DIRECTORY_PRESENCE, sizeof *presence_op);
    *presence_op = (chat_directory_presence){.op = presence_op->op, .users = &presence, .count = 1};
    expect_invalid(presence_op);
    expect_invalid(renew_op("g1", users[i], 1, 1));
    ck_assert_int_eq(mark_status(users[i], 1), CHAT_E_INVALID);
    ck_assert_int_eq(fill_status(users[i], 1, 1), CHAT_E_INVALID);
    ck_assert_int_eq(watch_status(&bench, users[i], NULL), CHAT_E_INVALID);
  }
  expect_invalid(renew_op("", "ada", 1, 1));
  expect_invalid(renew_op(long_name, "ada", 1, 1));
  ck_assert_int_eq(mark_status("ada", 0), CHAT_E_INVALID);
  ck_assert_int_eq(fill_status("ada", 0, 1), CHAT_E_INVALID);
  expect_presence("ada", 0, 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ of the one in memory */

START_TEST(the_user_that_was_offline_longest_is_forgotten_for_another) {
  for (int i = 0; i < USERS_MAX; i++)
    raise_to(user_name(i), 10, "");
  raise_to(user_name(0), 11, ""); /* touched last */
  ck_assert_uint_eq(raise_to("one more", 10, ""), 0);
  ck_assert_uint_eq(ch_directory_mem_user_count(bench.backend), USERS_MAX);
  ck_assert_uint_eq(raise_to(user_name(0), 12, ""), 11);
  ck_assert_uint_eq(raise_to(user_name(1), 12, ""), 0); /* missing: rule V2 */
}
END_TEST

START_TEST(where_nobody_is_offline_there_is_no_room) {
  for (int i = 0; i < USERS_MAX; i++)
    renew("g1", user_name(i), 1, 1);
  chat_directory_renew *op = renew_op("g1", "one more", 1, 1);
  ck_assert_int_eq(bench_do(&bench, op), CHAT_E_AGAIN);
  drop("g1", user_name(3), 1, 1);
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ch_op_free(&op->op);
}
END_TEST

START_TEST(an_offline_position_is_kept_for_a_time) {
  raise_to("ada", 10, "");
  pass(KEEP_MS - 1);
  ck_assert_uint_eq(raise_to("ada", 11, ""), 10);
  pass(KEEP_MS);
  ck_assert_uint_eq(raise_to("ada", 12, ""), 0);
}
END_TEST

START_TEST(of_too_many_routes_the_next_to_expire_gives_way) {
  for (int i = 0; i < 64; i++) {
    pass(1);
    renew("g1", "ada", (uint8_t)(i + 1), 1);
  }
  pass(1);
  renew("g1", "ada", 1, 1);
  renew("g2", "ada", 100, 1);
  chat_raise raise = {.user = text("ada")};
  chat_directory_routes *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_ROUTES, sizeof *op);
  op->raises = &raise;
  op->count = 1;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ck_assert_uint_eq(raise.route_count, 64);
  for (size_t i = 0; i < 64; i++)
    ck_assert_uint_ne(raise.routes[i].device_id[0], 2);
  ch_op_free(&op->op);
}
END_TEST

START_TEST(a_flush_has_a_new_epoch_and_tells_watchers) {
  bench_port other;
  bench_open(&other, bench.backend);
  watch(&other, "ada", NULL);
  raise_to("ada", 10, "");
  subscribe("g1", 1000, 1, 1);
  chat_directory_changes *op = wait_changes(&other);
  ch_directory_mem_flush(bench.backend);
  ck_assert_ptr_eq(bench_next(&other), &op->op);
  ck_assert_uint_eq(op->lost, 1);
  ck_assert_uint_eq(op->count, 0);
  ch_op_free(&op->op);
  expect_subscribers(1, "");
  chat_directory_renew *renewal = renew_op("g1", "ada", 1, 1);
  ck_assert_int_eq(bench_do(&bench, renewal), 0);
  ck_assert_uint_ne(renewal->renewals[0].epoch, 77);
  ck_assert_uint_eq(renewal->renewals[0].pos, 0);
  ch_op_free(&renewal->op);
  op = changes_op();
  bench_submit(&other, op);
  expect_change(&other, op, "ada", 1); /* watches stay, and the loss was told once */
  bench_port_close(&other);
}
END_TEST

START_TEST(watches_of_a_port_are_bounded) {
  enum { WATCHES_MAX = 65536 };
  chat_backend directory;
  bench_port port;
  ch_directory_mem_config config = {.clock = {elapsed, wall, NULL}, .epoch = 1};
  ck_assert_int_eq(ch_directory_mem_new(&config, &directory), 0);
  bench_open(&port, directory);
  chat_directory_watch *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_WATCH, sizeof *op);
  op->add = chat_op_alloc(&op->op, WATCHES_MAX * sizeof *op->add);
  op->add_count = WATCHES_MAX;
  for (int i = 0; i < WATCHES_MAX; i++)
    op->add[i] = chat_op_copy(&op->op, text(user_name(i)));
  ck_assert_int_eq(bench_do(&port, op), 0);
  ch_op_free(&op->op);
  ck_assert_int_eq(watch_status(&port, "one more", NULL), CHAT_E_LIMIT);
  ck_assert_int_eq(watch_status(&port, "one more", user_name(0)), 0); /* removes come first */
  bench_close(&port);
}
END_TEST

int main(void) {
  const TTest *const tests[] = {
      a_renewal_sets_the_route_until_its_deadline,
      a_lower_session_never_replaces_a_higher_one,
      a_route_that_has_expired_is_nobody_s,
      only_its_own_gateway_and_session_drops_a_route,
      the_renewals_of_an_op_are_one_by_one,
      the_epoch_stays_while_nothing_is_forgotten,
      any_user_id_and_gateway_name_will_do,
      many_users_in_one_op,
      a_raise_says_what_was_before_and_never_lowers,
      one_raise_of_several_users,
      a_missing_position_is_filled_in_the_marker_s_place,
      a_fill_without_its_marker_does_nothing,
      any_raise_removes_the_marker,
      a_marker_does_not_replace_a_position,
      who_renews_is_online_until_presence_ends,
      who_has_no_route_is_offline,
      a_watcher_is_told_of_changes,
      each_watcher_is_told_on_its_own_port,
      an_expiry_is_a_change,
      changes_that_nobody_waits_for_are_kept_and_coalesced,
      who_no_longer_watches_is_not_told,
      a_subscription_lives_as_long_as_it_says,
      a_subscription_ends_at_once_with_life_0,
      names_have_bounds,
  };
  const TTest *const in_memory[] = {
      the_user_that_was_offline_longest_is_forgotten_for_another,
      where_nobody_is_offline_there_is_no_room,
      an_offline_position_is_kept_for_a_time,
      of_too_many_routes_the_next_to_expire_gives_way,
      a_flush_has_a_new_epoch_and_tells_watchers,
      watches_of_a_port_are_bounded,
  };
  const contract_version versions[] = {{"mem", open_mem, close_one}}, on_redis[] = {{"redis", open_redis, close_one}};
  const port_subject port = {&bench.backend, quick, 0, long_poll};
  if (redis_version_is_there() && redis_version_is_missing()) return 77;
  if (redis_version_is_there()) return contract_run(&(contract_suite){"directory on Redis", CONTRACT_LIST(on_redis), CONTRACT_LIST(tests), port});
  int failed = contract_run(&(contract_suite){"directory", CONTRACT_LIST(versions), CONTRACT_LIST(tests), port});
  return failed | contract_run(&(contract_suite){"directory in memory", CONTRACT_LIST(versions), CONTRACT_LIST(in_memory), {0}});
}
