/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the directory on Redis does when its servers do not do as they should (docs/decisions/0012). Run by with_redis.py, which starts a server again that is killed here. What every
 * directory owes is in contract/test_directory.c, and run on the same servers.
 */
#define _DEFAULT_SOURCE
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "backend/directory_redis/command.h"
#include "backend/directory_redis/directory_redis.h"
#include "backend/directory_redis/slot.h"
#include "backend/directory_redis/tls.h"
#include "contract/redis_version.h"
#include "core/bytes.h"
#include "core/op.h"
#include "platform/platform.h"
#include "unit/backend/bench_port.h"

enum { ROUTE_MS = 300000, PRESENCE_MS = 30000, TIMEOUT_MS = 400, PATIENCE_MS = 60000, SLOTS = CH_REDIS_SLOTS };

static bench_port bench;
static uint32_t look_ms = 20;

/* ------------------------------------------------------------------------------------------------ the directory */

static int try_open(const char *url, uint32_t timeout_ms, chat_backend *directory, ch_buf *why) {
  ch_directory_redis_config config = {.url = url, .timeout_ms = timeout_ms, .look_ms = look_ms};
  ck_assert_int_eq(ch_platform_random(&config.random), 0);
  ch_buf_init(why, NULL, 1000);
  int error = ch_directory_redis_new(&config, directory, why);
  ch_buf_put_u8(why, 0);
  return error;
}

static void open_url(const char *url) {
  chat_backend directory;
  ch_buf why;
  int error = try_open(url, TIMEOUT_MS, &directory, &why);
  ck_assert_msg(!error && why.len == 1, "%s: %s", url, (const char *)why.data);
  ch_buf_fini(&why);
  bench_open(&bench, directory);
}

static void open_all(void) {
  for (int i = 0; i < redis_version_count(); i++)
    ck_assert_str_eq(redis_version_say(i, "FLUSHALL"), "+OK");
  open_url(getenv("REDIS_URL"));
}

static void expect_refused(const char *url, int error, const char *sentence) {
  chat_backend directory;
  ch_buf why;
  int found = try_open(url, PATIENCE_MS, &directory, &why);
  ck_assert_msg(found == error, "%s: %s, %s", url, chat_error_name(found), (const char *)why.data);
  ck_assert_msg(strstr((const char *)why.data, sentence) != NULL, "%s: %s", url, (const char *)why.data);
  ck_assert_ptr_null(strstr((const char *)why.data, "secret"));
  ch_buf_fini(&why);
}

static int64_t figure(const char *name, const char *label_value) {
  chat_figure figures[32];
  size_t count = bench.backend.vtable->figures(bench.backend.self, figures, 32);
  for (size_t i = 0; i < count; i++)
    if (strcmp(figures[i].name, name) == 0 && (!label_value || strcmp(figures[i].label_value, label_value) == 0)) return figures[i].value;
  ck_abort_msg("no figure %s", name);
  return 0;
}

static int renew(const char *user, chat_renewal *renewal) {
  chat_directory_renew *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_RENEW, sizeof *op);
  *renewal = (chat_renewal){.user = text(user), .device_id = {1}, .session = 1, .pos = 99};
  op->gateway = text("g1");
  op->route_ms = ROUTE_MS;
  op->presence_ms = PRESENCE_MS;
  op->renewals = renewal;
  op->count = 1;
  int status = bench_do(&bench, op);
  ch_op_free(&op->op);
  return status ? status : renewal->status;
}

static int raise_to(const char *user, uint64_t position, uint64_t *previous) {
  chat_raise raise = {.user = text(user)};
  chat_directory_raise *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_RAISE, sizeof *op);
  op->position = position;
  op->raises = &raise;
  op->count = 1;
  int status = bench_do(&bench, op);
  *previous = raise.previous;
  ch_op_free(&op->op);
  return status ? status : raise.status;
}

static int mark(const char *user, uint64_t number) {
  chat_directory_mark *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_MARK, sizeof *op);
  op->user = text(user);
  op->mark = number;
  int status = bench_do(&bench, op);
  ch_op_free(&op->op);
  return status;
}

static int fill(const char *user, uint64_t number, uint64_t pos) {
  chat_directory_fill *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_FILL, sizeof *op);
  op->user = text(user);
  op->mark = number;
  op->pos = pos;
  int status = bench_do(&bench, op);
  ch_op_free(&op->op);
  return status;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* As heartbeats do, again and again. */
static chat_renewal renew_in_the_end(const char *user) {
  chat_renewal renewal;
  int64_t until = now_ms() + PATIENCE_MS;
  int status;
  while ((status = renew(user, &renewal)) != 0) {
    ck_assert(status == CHAT_E_AGAIN || status == CHAT_E_UNKNOWN);
    ck_assert_msg(now_ms() < until, "%s is not renewed", user);
    usleep(20000);
  }
  return renewal;
}

static void expect_heals(const char *user, uint64_t epoch_before) {
  chat_renewal renewal = renew_in_the_end(user);
  ck_assert_uint_ne(renewal.epoch, epoch_before); /* V6: its sessions sync */
  ck_assert_uint_eq(renewal.newest_session, 1);
}

/* ------------------------------------------------------------------------------------------------ servers */

static int pid_of(int server) {
  char command[200];
  int pid = 0;
  snprintf(command, sizeof command, "redis-cli -p %d INFO server | sed -n 's/^process_id:\\([0-9]*\\).*/\\1/p'", redis_version_port(server));
  FILE *out = popen(command, "r");
  ck_assert(out && fscanf(out, "%d", &pid) == 1 && pid > 1);
  pclose(out);
  return pid;
}

static void say(int server, const char *command, const char *answer) {
  ck_assert_str_eq(redis_version_say(server, command), answer);
}

static int shard_of(const char *user) {
  return ch_redis_slot_of(text(user)) * redis_version_count() / SLOTS;
}

/* Of the first server. */
static const char *url_of(const char *scheme, const char *who, const char *behind) {
  static char url[300];
  snprintf(url, sizeof url, "%s://%slocalhost:%d%s", scheme, who, redis_version_port(0), behind);
  return url;
}

/* ------------------------------------------------------------------------------------------------ lost, and healed */

START_TEST(a_restart_is_healed_by_the_next_heartbeat) {
  chat_renewal renewal;
  uint64_t previous;
  open_all();
  ck_assert_int_eq(renew("ada", &renewal), 0);
  ck_assert_int_eq(raise_to("ada", 7, &previous), 0);
  uint64_t epoch = renewal.epoch;
  kill(pid_of(shard_of("ada")), SIGKILL);
  expect_heals("ada", epoch);
  ck_assert_int_eq(raise_to("ada", 8, &previous), 0);
  ck_assert_uint_eq(previous, 0); /* unknown: whoever hears of it syncs */
  ck_assert_int_ge(figure("chat_directory_connects_total", NULL), 2);
  bench_close(&bench);
}
END_TEST

START_TEST(a_flush_is_healed_by_the_next_heartbeat) {
  chat_renewal renewal;
  uint64_t previous;
  open_all();
  ck_assert_int_eq(renew("ada", &renewal), 0);
  ck_assert_int_eq(raise_to("ada", 7, &previous), 0);
  say(0, "FLUSHALL", "+OK");
  ck_assert_int_eq(renew("ada", &renewal), 0);
  ck_assert_uint_eq(renewal.pos, 0); /* missing: it syncs (V2), and fills it in */
  ck_assert_int_eq(mark("ada", 3), 0);
  ck_assert_int_eq(fill("ada", 3, 7), 0);
  ck_assert_int_eq(raise_to("ada", 8, &previous), 0);
  ck_assert_uint_eq(previous, 7);
  bench_close(&bench);
}
END_TEST

START_TEST(scripts_that_were_forgotten_are_loaded_again) {
  chat_renewal renewal;
  open_all();
  ck_assert_int_eq(renew("ada", &renewal), 0);
  int64_t before = figure("chat_directory_redirects_total", NULL);
  say(0, "SCRIPT FLUSH", "+OK");
  ck_assert_int_eq(renew("ada", &renewal), 0);
  ck_assert_int_eq(renew("ada", &renewal), 0);
  ck_assert_int_eq(figure("chat_directory_redirects_total", NULL), before + 1); /* once */
  bench_close(&bench);
}
END_TEST

/* The first op finds out within the time-out, later ones do not wait for that again. */
START_TEST(a_server_that_stands_still_costs_one_time_out) {
  chat_renewal renewal;
  open_all();
  ck_assert_int_eq(renew("ada", &renewal), 0);
  uint64_t epoch = renewal.epoch;
  int pid = pid_of(0);
  kill(pid, SIGSTOP);
  int64_t began_ms = now_ms();
  ck_assert_int_eq(renew("ada", &renewal), CHAT_E_UNKNOWN); /* it is in the server's socket */
  ck_assert_int_ge(now_ms() - began_ms, TIMEOUT_MS);
  int64_t failed_ms = now_ms(), slowest_ms = 0;
  for (int i = 0; i < 1000 || now_ms() - failed_ms < 3 * TIMEOUT_MS; i++) {
    began_ms = now_ms();
    ck_assert_int_eq(renew("ada", &renewal), CHAT_E_AGAIN);
    if (now_ms() - began_ms > slowest_ms) slowest_ms = now_ms() - began_ms;
  }
  ck_assert_int_lt(slowest_ms, TIMEOUT_MS);
  ck_assert_int_eq(figure("chat_directory_servers", "connected"), 0);
  kill(pid, SIGCONT);
  expect_heals("ada", epoch);
  ck_assert_int_ge(figure("chat_directory_timeouts_total", NULL), 1);
  bench_close(&bench);
}
END_TEST

static chat_directory_changes *wait_changes(void) {
  chat_directory_changes *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_CHANGES, sizeof *op);
  op->wait_ms = 60000;
  bench_submit(&bench, op);
  return op;
}

static void watch(const char *user) {
  chat_bytes added = text(user);
  chat_directory_watch *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_WATCH, sizeof *op);
  op->add = &added;
  op->add_count = 1;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ch_op_free(&op->op);
}

START_TEST(a_subscription_that_was_cut_off_is_made_again_and_changes_count_as_lost) {
  bench_port other;
  chat_renewal renewal;
  open_all();
  watch("ada");
  chat_directory_changes *op = wait_changes();
  ck_assert_str_eq(redis_version_say(0, "CLIENT KILL TYPE pubsub"), ":1");
  ck_assert_ptr_eq(bench_next(&bench), &op->op);
  ck_assert_uint_eq(op->lost, 1);
  ck_assert_uint_eq(op->count, 0);
  ch_op_free(&op->op);
  op = wait_changes();
  bench_port first = bench;
  bench_open(&other, bench.backend);
  bench = other;
  ck_assert_int_eq(renew("ada", &renewal), 0);
  bench_port_close(&bench);
  bench = first;
  ck_assert_ptr_eq(bench_next(&bench), &op->op);
  ck_assert_uint_eq(op->count, 1);
  ck_assert_uint_eq(op->users[0].online, 1);
  ch_op_free(&op->op);
  bench_close(&bench);
}
END_TEST

static void expect_change(const char *user, uint32_t online) {
  chat_directory_changes *op = wait_changes();
  ck_assert_ptr_eq(bench_next(&bench), &op->op);
  ck_assert_uint_eq(op->lost, 0);
  ck_assert_uint_eq(op->count, 1);
  ck_assert(ch_bytes_equal(op->users[0].user, text(user)));
  ck_assert_uint_eq(op->users[0].online, online);
  ch_op_free(&op->op);
}

static void drop(const char *user) {
  chat_renewal renewal = {.user = text(user), .device_id = {1}, .session = 1};
  chat_directory_drop *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_DROP, sizeof *op);
  op->gateway = text("g1");
  op->renewals = &renewal;
  op->count = 1;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ch_op_free(&op->op);
}

/* Nobody looks here before the test is over. Of a cluster: whichever node a user is at. */
START_TEST(who_comes_and_goes_is_published) {
  chat_renewal renewal;
  look_ms = 2 * PATIENCE_MS;
  open_all();
  for (int i = 0; i < 12; i++) {
    char user[16];
    snprintf(user, sizeof user, "user%d", i);
    watch(user);
    ck_assert_int_eq(renew(user, &renewal), 0);
    expect_change(user, 1);
    drop(user);
    expect_change(user, 0);
  }
  bench_close(&bench);
}
END_TEST

/* A message that was lost, or a user whose end nobody tells: found by looking. */
START_TEST(a_change_that_nobody_published_is_found) {
  chat_renewal renewal;
  open_all();
  ck_assert_int_eq(renew("ada", &renewal), 0);
  watch("ada");
  chat_directory_changes *op = wait_changes();
  say(0, "DEL presence:{ada}", ":1");
  ck_assert_ptr_eq(bench_next(&bench), &op->op);
  ck_assert_uint_eq(op->count, 1);
  ck_assert_uint_eq(op->users[0].online, 0);
  ch_op_free(&op->op);
  bench_close(&bench);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ servers that refuse */

START_TEST(a_server_without_room_is_full) {
  chat_renewal renewal;
  open_all();
  say(0, "CONFIG SET maxmemory 1", "+OK");
  ck_assert_int_eq(renew("ada", &renewal), CHAT_E_FULL);
  say(0, "CONFIG SET maxmemory 0", "+OK");
  ck_assert_int_eq(renew("ada", &renewal), 0);
  bench_close(&bench);
}
END_TEST

START_TEST(a_server_that_became_a_replica_is_left) {
  chat_renewal renewal;
  open_all();
  ck_assert_int_eq(renew("ada", &renewal), 0);
  uint64_t epoch = renewal.epoch;
  say(0, "REPLICAOF 127.0.0.1 1", "+OK");
  ck_assert_int_eq(renew("ada", &renewal), CHAT_E_AGAIN);
  say(0, "REPLICAOF NO ONE", "+OK");
  expect_heals("ada", epoch);
  bench_close(&bench);
}
END_TEST

START_TEST(keys_of_others_are_errors_not_accidents) {
  chat_renewal renewal;
  open_all();
  say(0, "SET conn:{ada} x", "+OK");
  ck_assert_int_eq(renew("ada", &renewal), CHAT_E_IO);
  ck_assert_int_eq(renew("bob", &renewal), 0);
  say(0, "HSET pos:{bob} pos x", ":1"); /* V2: unreadable is missing */
  ck_assert_int_eq(renew("bob", &renewal), 0);
  ck_assert_uint_eq(renewal.pos, 0);
  bench_close(&bench);
}
END_TEST

START_TEST(passwords) {
  open_all();
  say(0, "ACL SETUSER gate on >p@ss:word/secret ~* &* +@all", "+OK");
  say(0, "CONFIG SET requirepass right", "+OK");
  expect_refused(url_of("redis", "", ""), CHAT_E_INVALID, "it wants a password");
  expect_refused(url_of("redis", "", "/2"), CHAT_E_INVALID, "it wants a password");
  expect_refused(url_of("redis", ":wrong-secret@", ""), CHAT_E_INVALID, "does not accept the password");
  expect_refused(url_of("redis", "nobody:right@", ""), CHAT_E_INVALID, "does not accept the password");
  bench_close(&bench);
  chat_renewal renewal;
  open_url(url_of("redis", ":right@", ""));
  ck_assert_int_eq(renew("ada", &renewal), 0);
  bench_close(&bench);
  open_url(url_of("redis", "gate:p%40ss%3Aword%2Fsecret@", ""));
  ck_assert_int_eq(renew("ada", &renewal), 0);
  watch("ada"); /* the other connection comes in as well */
  bench_close(&bench);
  ck_assert_int_eq(system("redis-cli -p ${REDIS_PORTS} -a right --no-auth-warning CONFIG SET requirepass '' >/dev/null"), 0);
  say(0, "ACL DELUSER gate", ":1");
}
END_TEST

START_TEST(a_server_that_evicts_is_refused) {
  open_all();
  say(0, "CONFIG SET maxmemory 1gb maxmemory-policy allkeys-lru", "+OK");
  expect_refused(getenv("REDIS_URL"), CHAT_E_INVALID, "set maxmemory-policy to noeviction");
  say(0, "CONFIG SET maxmemory-policy noeviction", "+OK");
  bench_close(&bench);
  open_url(getenv("REDIS_URL"));
  bench_close(&bench);
  say(0, "CONFIG SET maxmemory 0", "+OK");
}
END_TEST

START_TEST(urls_that_are_not_for_these_servers) {
  expect_refused(url_of("redis-cluster", "", ""), CHAT_E_INVALID, "it is no part of a cluster");
  expect_refused(url_of("http", "", ""), CHAT_E_INVALID, "the url begins with");
  if (!ch_redis_tls_is_there()) expect_refused(url_of("rediss", "", ""), CHAT_E_UNSUPPORTED, "has no TLS");
}
END_TEST

START_TEST(a_database_of_its_own) {
  chat_renewal renewal;
  open_all();
  bench_close(&bench);
  open_url(url_of("redis", "", "/3"));
  ck_assert_int_eq(renew("ada", &renewal), 0);
  bench_close(&bench);
  say(0, "EXISTS conn:{ada}", ":0");
  ck_assert_int_eq(system("test $(redis-cli -p ${REDIS_PORTS} -n 3 EXISTS conn:{ada} pos:{ada} presence:{ada}) = 3"), 0);
}
END_TEST

/* P7: it begins all the same, and says which are not there. */
START_TEST(nobody_there) {
  chat_backend directory;
  ch_buf why;
  chat_renewal renewal;
  ck_assert_int_eq(try_open("redis://127.0.0.1:1,no-such-host.invalid", TIMEOUT_MS, &directory, &why), 0);
  ck_assert_str_eq((const char *)why.data, "not reached yet: 127.0.0.1:1, no-such-host.invalid:6379");
  ch_buf_fini(&why);
  bench_open(&bench, directory);
  int64_t began_ms = now_ms();
  for (int i = 0; i < 100; i++)
    ck_assert_int_eq(renew(i % 2 ? "ada" : "bob", &renewal), CHAT_E_AGAIN);
  ck_assert_int_lt(now_ms() - began_ms, 100 * TIMEOUT_MS);
  watch("ada"); /* is kept for when somebody comes */
  bench_close(&bench);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ shards */

/* A user of each. */
static const char *user_of_shard(int shard) {
  static char names[3][16];
  for (int i = 0;; i++) {
    snprintf(names[shard], sizeof names[shard], "user%d", i);
    if (shard_of(names[shard]) == shard) return names[shard];
  }
}

START_TEST(each_user_is_at_one_shard) {
  chat_renewal renewal;
  char command[64];
  open_all();
  for (int shard = 0; shard < 3; shard++)
    ck_assert_int_eq(renew(user_of_shard(shard), &renewal), 0);
  for (int server = 0; server < 3; server++) {
    say(server, "DBSIZE", ":3");
    snprintf(command, sizeof command, "EXISTS conn:{%s}", user_of_shard(server));
    say(server, command, ":1");
  }
  bench_close(&bench);
}
END_TEST

START_TEST(a_shard_that_is_away_takes_its_own_users_along_alone) {
  chat_raise raises[3];
  chat_renewal renewal;
  uint64_t epochs[3], previous;
  open_all();
  for (int i = 0; i < 3; i++) {
    ck_assert_int_eq(renew(user_of_shard(i), &renewal), 0);
    epochs[i] = renewal.epoch;
    raises[i] = (chat_raise){.user = text(user_of_shard(i))};
  }
  int pid = pid_of(1);
  kill(pid, SIGSTOP);
  chat_directory_raise *op = ch_op_new(NULL, CHAT_OP_DIRECTORY_RAISE, sizeof *op);
  *op = (chat_directory_raise){.op = op->op, .position = 4, .raises = raises, .count = 3};
  ck_assert_int_eq(bench_do(&bench, op), 0);
  ck_assert_int_eq(raises[0].status, 0);
  ck_assert_int_eq(raises[1].status, CHAT_E_UNKNOWN);
  ck_assert_int_eq(raises[2].status, 0);
  ck_assert_uint_eq(raises[0].route_count, 1);
  ck_assert_uint_eq(raises[1].route_count, 0);
  ck_assert_int_eq(raise_to(user_of_shard(1), 4, &previous), CHAT_E_AGAIN);
  ck_assert_int_eq(figure("chat_directory_servers", "connected"), 2);
  ch_op_free(&op->op);
  kill(pid, SIGCONT);
  expect_heals(user_of_shard(1), epochs[1]);
  ck_assert_int_eq(renew(user_of_shard(2), &renewal), 0);
  ck_assert_uint_eq(renewal.epoch, epochs[2]); /* nothing of theirs was forgotten */
  bench_close(&bench);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ a cluster */

static void id_of(int server, char id[41]) {
  char command[200];
  snprintf(command, sizeof command, "redis-cli -p %d CLUSTER MYID", redis_version_port(server));
  FILE *out = popen(command, "r");
  ck_assert(out && fscanf(out, "%40s", id) == 1);
  pclose(out);
}

static int owner_of(int slot) {
  char id[41], command[400];
  int first = 0, last = 0;
  for (int server = 0; server < 3; server++) {
    id_of(server, id);
    snprintf(command, sizeof command, "redis-cli -p %d CLUSTER NODES | grep myself | tr ' ' '\\n' | grep -E '^[0-9]+(-[0-9]+)?$' | tail -n +3", redis_version_port(server));
    FILE *out = popen(command, "r");
    char run[64];
    bool is_owner = false;
    while (out && fscanf(out, "%63s", run) == 1) {
      int count = sscanf(run, "%d-%d", &first, &last);
      if (count == 1) last = first;
      if (count > 0 && first <= slot && slot <= last) is_owner = true;
    }
    pclose(out);
    if (is_owner) return server;
  }
  ck_abort_msg("nobody has slot %d", slot);
  return -1;
}

static void set_slot(int server, int slot, const char *what, int of) {
  char id[41], command[200];
  id_of(of, id);
  snprintf(command, sizeof command, "CLUSTER SETSLOT %d %s %s", slot, what, id);
  say(server, command, "+OK");
}

static void move_key(int from, int to, const char *key) {
  char command[200];
  snprintf(command, sizeof command, "MIGRATE 127.0.0.1 %d %s 0 10000", redis_version_port(to), key);
  say(from, command, "+OK");
}

static void finish_move(int slot, int from, int to) {
  set_slot(to, slot, "NODE", to);
  set_slot(from, slot, "NODE", to);
  set_slot(3 - from - to, slot, "NODE", to);
}

START_TEST(a_slot_that_moved_is_followed) {
  chat_renewal renewal;
  uint64_t previous;
  open_all();
  int slot = ch_redis_slot_of(text("ada")), from = owner_of(slot), to = (from + 1) % 3;
  ck_assert_int_eq(renew("ada", &renewal), 0);
  ck_assert_int_eq(raise_to("ada", 7, &previous), 0);
  uint64_t epoch = renewal.epoch;
  set_slot(to, slot, "IMPORTING", from);
  set_slot(from, slot, "MIGRATING", to);
  move_key(from, to, "pos:{ada}");
  ck_assert_int_eq(raise_to("ada", 8, &previous), CHAT_E_AGAIN); /* some here, some there: TRYAGAIN */
  move_key(from, to, "conn:{ada}");
  move_key(from, to, "presence:{ada}");
  ck_assert_int_eq(raise_to("ada", 8, &previous), 0); /* ASK: all are there */
  ck_assert_uint_eq(previous, 7);
  ck_assert_int_eq(figure("chat_directory_redirects_total", NULL) > 0, 1);
  finish_move(slot, from, to);
  ck_assert_int_eq(raise_to("ada", 9, &previous), 0); /* MOVED */
  ck_assert_uint_eq(previous, 8);
  ck_assert_int_eq(renew("ada", &renewal), 0);
  ck_assert_uint_ne(renewal.epoch, epoch);
  int64_t redirects = figure("chat_directory_redirects_total", NULL);
  ck_assert_int_eq(raise_to("ada", 10, &previous), 0);
  ck_assert_int_eq(figure("chat_directory_redirects_total", NULL), redirects); /* it is known now where it is */
  bench_close(&bench);
}
END_TEST

START_TEST(what_is_not_there_yet_is_made_where_the_slot_goes) {
  chat_renewal renewal;
  open_all();
  int slot = ch_redis_slot_of(text("bob")), from = owner_of(slot), to = (from + 1) % 3;
  set_slot(to, slot, "IMPORTING", from);
  set_slot(from, slot, "MIGRATING", to);
  ck_assert_int_eq(mark("bob", 3), 0); /* ASK */
  ck_assert_int_eq(fill("bob", 3, 50), 0);
  finish_move(slot, from, to);
  say(to, "EXISTS pos:{bob}", ":1");
  ck_assert_int_eq(renew("bob", &renewal), 0);
  ck_assert_uint_eq(renewal.pos, 50);
  bench_close(&bench);
}
END_TEST

START_TEST(one_name_is_enough) {
  chat_renewal renewal;
  open_all();
  bench_close(&bench);
  open_url(url_of("redis-cluster", "", ""));
  for (int i = 0; i < 30; i++) {
    char user[16];
    snprintf(user, sizeof user, "user%d", i);
    ck_assert_int_eq(renew(user, &renewal), 0);
  }
  ck_assert_int_eq(figure("chat_directory_servers", "known"), 4); /* localhost is another name to it */
  ck_assert_int_eq(figure("chat_directory_servers", "connected"), 4);
  bench_close(&bench);
  expect_refused(url_of("redis", "", ""), CHAT_E_INVALID, "it is part of a cluster");
}
END_TEST

/* ------------------------------------------------------------------------------------------------ TLS */

START_TEST(a_certificate_of_another_name_is_refused) {
  char url[100];
  const char *port = strrchr(getenv("REDIS_URL"), ':');
  open_all();
  bench_close(&bench);
  snprintf(url, sizeof url, "rediss://127.0.0.1%s", port); /* it is localhost's */
  expect_refused(url, CHAT_E_INVALID, "its certificate is not accepted");
  setenv("SSL_CERT_FILE", "/dev/null", 1);
  expect_refused(getenv("REDIS_URL"), CHAT_E_INVALID, "its certificate is not accepted");
}
END_TEST

/* ------------------------------------------------------------------------------------------------ which tests for which servers */

typedef struct form {
  const char *name;
  const TTest *tests[20];
} form;

int main(void) {
  const form forms[] = {
      {"single",
       {a_restart_is_healed_by_the_next_heartbeat, a_flush_is_healed_by_the_next_heartbeat, scripts_that_were_forgotten_are_loaded_again, a_server_that_stands_still_costs_one_time_out,
        a_subscription_that_was_cut_off_is_made_again_and_changes_count_as_lost, who_comes_and_goes_is_published, a_change_that_nobody_published_is_found, a_server_without_room_is_full,
        a_server_that_became_a_replica_is_left, keys_of_others_are_errors_not_accidents, passwords, a_server_that_evicts_is_refused, urls_that_are_not_for_these_servers,
        a_database_of_its_own, nobody_there}},
      {"shards", {each_user_is_at_one_shard, who_comes_and_goes_is_published, a_shard_that_is_away_takes_its_own_users_along_alone, a_restart_is_healed_by_the_next_heartbeat}},
      {"cluster", {a_slot_that_moved_is_followed, what_is_not_there_yet_is_made_where_the_slot_goes, who_comes_and_goes_is_published, one_name_is_enough}},
      {"tls", {a_certificate_of_another_name_is_refused, a_restart_is_healed_by_the_next_heartbeat, a_server_that_stands_still_costs_one_time_out}},
  };
  if (redis_version_is_missing()) return 77;
  Suite *suite = suite_create("directory on Redis");
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    if (strcmp(forms[i].name, getenv("REDIS_FORM")) != 0) continue;
    TCase *tcase = tcase_create(forms[i].name);
    for (const TTest *const *test = forms[i].tests; *test; test++)
      tcase_add_test(tcase, *test);
    suite_add_tcase(suite, tcase);
  }
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
