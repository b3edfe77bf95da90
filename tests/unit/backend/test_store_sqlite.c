/* SPDX-License-Identifier: Apache-2.0 */
/* What is the embedded store's own: files, reopening, power, damage, runs, retention, the index. What every store does is tests/contract. */
#define _DEFAULT_SOURCE
#include "backend/store_sqlite/store_sqlite.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../core/run.h"
#include "store_example.h"

static char dir[64], path[96];

static ch_store_sqlite_config config(void) {
  return (ch_store_sqlite_config){.path = path, .reader_threads = 2};
}

static void open_with(ch_store_sqlite_config wanted) {
  chat_backend store;
  ch_assert(ch_store_sqlite_new(&wanted, &store) == 0);
  bench_open(&bench, store);
}

static void open_store(void) {
  open_with(config());
}

static void reopen(void) {
  bench_close(&bench);
  open_store();
}

static void begin(void) {
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/store.db", dir);
  open_store();
}

static void end(void) {
  bench_close(&bench);
  bench_dir_remove(dir);
}

START_TEST(written_is_read_and_survives_reopening) {
  begin();
  put(CONVERSATION_A, 1, 150);
  for (int opened = 0; opened < 2; opened++) {
    expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 150);
    expect_rows(CONVERSATION_A, 0, 0, 50, 1, 101, 50);
    expect_rows(CONVERSATION_A, 63, 0, 50, 0, 64, 50);
    expect_rows(CONVERSATION_A, 60, 70, 50, 1, 61, 10);
    expect_rows(CONVERSATION_A, 64, 65, 50, 0, 65, 1);
    expect_rows(CONVERSATION_A, 150, 0, 50, 0, 0, 0);
    ck_assert_uint_eq(position(NULL), 150);
    reopen();
  }
  end();
}
END_TEST

START_TEST(state_is_whole) {
  begin();
  put(CONVERSATION_A, 1, 3);
  reopen();
  chat_store_state *ask = ch_op_new(NULL, CHAT_OP_STORE_STATE, sizeof *ask);
  id_of(ask->conversation_id, CONVERSATION_A);
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  chat_state *state = &ask->state;
  ck_assert_uint_eq(state->kind, CHAT_GROUP);
  ck_assert_uint_eq(state->head, 3);
  ck_assert_uint_eq(state->position, 3);
  ck_assert_uint_eq(state->member_count, 2);
  ck_assert(ch_bytes_equal(state->title, text("friends")));
  ck_assert_uint_eq(state->member_count_here, 2);
  ck_assert(ch_bytes_equal(state->members[0].user, text("alice")));
  ck_assert(ch_bytes_equal(state->members[1].user, text("bob")));
  ck_assert_uint_eq(state->members[1].interval_count, 1);
  ck_assert_uint_eq(state->members[1].intervals[0].left, UINT64_MAX);
  ck_assert_uint_eq(state->sender_count, 1);
  ck_assert_uint_eq(state->senders[0].last, 3);
  ck_assert(ch_bytes_equal(state->senders[0].user, text("alice")));
  ck_assert_uint_eq(state->senders[0].device_id[15], 0xd1);
  ch_op_free(&ask->op);
  end();
}
END_TEST


/* ------------------------------------------------------------------------------------------------ replays and late writers */

START_TEST(many_ops_at_once_and_one_that_fails) {
  enum { COUNT = 200 };
  begin();
  for (uint64_t i = 1; i <= COUNT; i++) {
    chat_store_apply *apply = apply_of(CONVERSATION_A, i, i);
    if (i == 100) apply->states[0].members[0].user = (chat_bytes){0}; /* invalid: undone alone, rows and all */
    apply->op.tag = i;
    bench_submit(&bench, apply);
  }
  for (int i = 1; i <= COUNT; i++) {
    chat_op *op = bench_next(&bench);
    ck_assert_int_eq(op->status, op->tag == 100 ? CHAT_E_INVALID : 0);
    ch_op_free(op);
  }
  expect_rows(CONVERSATION_A, 0, 0, 99, 0, 1, 99);
  expect_rows(CONVERSATION_A, 99, 0, 200, 0, 0, 0); /* an answer has no hole */
  expect_rows(CONVERSATION_A, 0, 0, 200, 1, 101, 100);
  put(CONVERSATION_A, 100, 100);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 200);
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ heads, watermarks */

START_TEST(a_former_member_s_head_stands_at_its_removal) {
  begin();
  put(CONVERSATION_A, 1, 4);
  remove_bob(CONVERSATION_A, 5);
  put(CONVERSATION_A, 6, 9);
  remove_bob(CONVERSATION_A, 5); /* put() says that bob is a member since position 1, which is older */
  for (int opened = 0; opened < 2; opened++) {
    chat_store_heads *got = heads("bob", 4, 10);
    ck_assert_uint_eq(got->head_count, 1);
    ck_assert_uint_eq(got->heads[0].role, CHAT_ROLE_NONE);
    ck_assert_uint_eq(got->heads[0].head, 5);
    ck_assert_uint_eq(got->heads[0].msg_no, 5);
    ck_assert_uint_eq(got->heads[0].active_ms, 1005);
    ck_assert_uint_eq(got->heads[0].position, 5);
    ck_assert_uint_eq(got->position, 9);
    ch_op_free(&got->op);
    got = heads("bob", 5, 10);
    ck_assert_uint_eq(got->head_count, 0);
    ch_op_free(&got->op);
    reopen();
  }
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ devices */

START_TEST(a_device_is_written_where_it_is_as_expected) {
  chat_device stored;
  begin();
  ck_assert_int_eq(device_put(1, 1, 9, NULL), CHAT_E_CONFLICT); /* does not exist */
  ck_assert_int_eq(device_put(1, 1, 0, NULL), 0);
  ck_assert_int_eq(device_put(1, 2, 0, &stored), CHAT_E_CONFLICT);
  ck_assert_uint_eq(stored.session, 1);
  ck_assert_int_eq(device_put(1, 2, 1, NULL), 0);
  ck_assert_int_eq(device_put(1, 3, 1, &stored), CHAT_E_CONFLICT);
  ck_assert_uint_eq(stored.session, 2);
  ck_assert_int_eq(device_put(2, 1, 0, NULL), 0);
  ck_assert_int_eq(device_put(3, 1, 0, NULL), CHAT_E_LIMIT);
  reopen();
  chat_store_devices *list = ch_op_new(NULL, CHAT_OP_STORE_DEVICES, sizeof *list);
  list->user = text("alice");
  ck_assert_int_eq(bench_do(&bench, list), 0);
  ck_assert_uint_eq(list->count, 2);
  ck_assert_uint_eq(list->devices[0].session, 2);
  ck_assert(ch_bytes_equal(list->devices[0].name, text("phone")));
  ck_assert_uint_eq(list->devices[1].device_id[0], 2);
  ch_op_free(&list->op);
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ retention */

START_TEST(pruning_splits_runs_and_moves_the_horizon) {
  begin();
  put(CONVERSATION_A, 1, 150);
  put(CONVERSATION_B, 1, 3);
  ck_assert_uint_eq(prune(1001, 1000), 0);
  ck_assert_uint_eq(prune(1101, 30), 30); /* row n is of 1000 + n; the limit cuts within the first run */
  ck_assert_uint_eq(horizon(CONVERSATION_A), 30);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 31, 120);
  ck_assert_uint_eq(prune(1101, 1000), 73);
  ck_assert_uint_eq(horizon(CONVERSATION_A), 100);
  ck_assert_uint_eq(horizon(CONVERSATION_B), 3);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 101, 50);
  expect_rows(CONVERSATION_A, 0, 0, 200, 1, 101, 50);
  put(CONVERSATION_A, 90, 150); /* a replay does not bring them back */
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 101, 50);
  reopen();
  ck_assert_uint_eq(horizon(CONVERSATION_A), 100);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 101, 50);
  ck_assert_uint_eq(prune(9999, 1000), 50);
  put(CONVERSATION_A, 151, 152);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 151, 2);
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ search */

START_TEST(words_are_found) {
  begin();
  put_text(CONVERSATION_A, 1, "The Café opens at nine");
  put_text(CONVERSATION_A, 2, "coffee, at the cafe? OR not NEAR it");
  put_text(CONVERSATION_A, 3, "quote \" and * and text:column");
  put_text(CONVERSATION_A, 4, "ЗДРАВСТВУЙ мир");
  wait_indexed(4);
  for (int opened = 0; opened < 2; opened++) {
    ck_assert_str_eq(found("alice", "café"), "2 1");
    ck_assert_str_eq(found("bob", "CAFE nine"), "1");
    ck_assert_str_eq(found("alice", "caf"), "");
    ck_assert_str_eq(found("alice", "caf*"), "2 1");
    ck_assert_str_eq(found("alice", "здравствуй"), "4");
    /* What is syntax to FTS5 is a word, or nothing, to a user. */
    ck_assert_str_eq(found("alice", "cafe OR nine"), "");
    ck_assert_str_eq(found("alice", "not near"), "2");
    ck_assert_str_eq(found("alice", "\"quote"), "3");
    ck_assert_str_eq(found("alice", "text:column"), "3");
    ck_assert_str_eq(found("alice", "conv:c1"), "");
    ck_assert_str_eq(found("alice", "c1"), "");
    ck_assert_str_eq(found("alice", "(cafe"), "2 1");
    ck_assert_str_eq(found("mallory", "cafe"), "");
    reopen();
  }
  const char *const none[] = {"*", "\"", "  ", "()-:*"};
  for (int i = 0; i < 4; i++) {
    chat_store_search *ask = search_op("alice", none[i], 10);
    ck_assert_int_eq(bench_do(&bench, ask), CHAT_E_INVALID);
    ch_op_free(&ask->op);
  }
  end();
}
END_TEST

static uint64_t rows_in(const char *tail, const char *sql) {
  char name[128];
  sqlite3 *db;
  sqlite3_stmt *statement;
  snprintf(name, sizeof name, "%s%s", path, tail);
  ck_assert_int_eq(sqlite3_open_v2(name, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
  uint64_t count = (uint64_t)sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return count;
}

/* What was pruned is not found, and its words leave the files as well. */
START_TEST(pruned_rows_leave_the_index) {
  begin();
  for (uint64_t seq = 1; seq <= 6; seq++)
    put_text(CONVERSATION_A, seq, seq < 4 ? "secret plum" : "plum");
  wait_indexed(6);
  ck_assert_uint_eq(prune(1004, 100), 3);
  ck_assert_str_eq(found("alice", "plum"), "6 5 4");
  while (rows_in("", "SELECT count(*) FROM erased") > 0) usleep(1000);
  ck_assert_uint_eq(rows_in("-search", "SELECT count(*) FROM doc"), 3);
  ck_assert_uint_eq(rows_in("-search", "SELECT count(*) FROM words WHERE words MATCH 'secret'"), 0);
  ck_assert_uint_eq(rows_in("-search", "SELECT count(*) FROM words WHERE words MATCH 'plum'"), 3);
  end();
}
END_TEST

START_TEST(a_lost_or_damaged_index_is_made_anew) {
  char name[128];
  begin();
  put_text(CONVERSATION_A, 1, "cherry");
  wait_indexed(1);
  bench_close(&bench);
  snprintf(name, sizeof name, "%s-search", path);
  ck_assert_int_eq(unlink(name), 0);
  open_store();
  wait_indexed(1);
  ck_assert_str_eq(found("alice", "cherry"), "1");
  bench_close(&bench);
  int fd = open(name, O_WRONLY | O_TRUNC);
  ck_assert_int_eq(write(fd, "this is no database, but long enough to be looked at as if it were one", 70), 70);
  close(fd);
  open_store();
  wait_indexed(1);
  ck_assert_str_eq(found("alice", "cherry"), "1");
  end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ power, space, damage, owners */

START_TEST(synced_follows_the_checkpoint) {
  uint64_t synced;
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/store.db", dir);
  ch_store_sqlite_config late = config();
  late.checkpoint_ms = 3600 * 1000;
  open_with(late);
  put(CONVERSATION_A, 1, 5);
  ck_assert_uint_eq(position(&synced), 5);
  ck_assert_uint_eq(synced, 0);
  ck_assert_uint_eq(ch_store_sqlite_synced_position(&bench.backend, 0), 0);
  bench_close(&bench);
  open_with(late); /* what is found at open is synced before it counts */
  ck_assert_uint_eq(position(&synced), 5);
  ck_assert_uint_eq(synced, 5);
  bench_close(&bench);
  late.checkpoint_pages = 1;
  open_with(late);
  /* A checkpoint that a reader holds up counts for nothing; with no time set the next commit tries again. */
  uint64_t seq = 6;
  put(CONVERSATION_A, seq, 7);
  ck_assert_uint_eq(position(&synced), 7);
  for (; synced < 7; seq++) put(CONVERSATION_A, seq + 2, seq + 2), position(&synced);
  bench_close(&bench);
  late.checkpoint_pages = 0;
  late.sync = CH_STORE_SYNC_FULL;
  open_with(late);
  put(CONVERSATION_A, seq + 2, seq + 2);
  do position(&synced);
  while (synced < seq + 2);
  end();
}
END_TEST

START_TEST(a_full_store_takes_nothing_and_keeps_what_it_has) {
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/store.db", dir);
  ch_store_sqlite_config small = config();
  small.pages_max = 60;
  open_with(small);
  uint64_t last = 0;
  int status;
  while ((status = apply_now(apply_of(CONVERSATION_A, last + 1, last + 50))) == 0) last += 50;
  ck_assert_int_eq(status, CHAT_E_FULL);
  ck_assert_uint_gt(last, 0);
  ck_assert_uint_eq(position(NULL), last);
  expect_rows(CONVERSATION_A, last - 50, 0, 200, 0, last - 49, 50);
  ck_assert_int_eq(apply_now(apply_of(CONVERSATION_A, last + 1, last + 50)), CHAT_E_FULL);
  reopen(); /* with space */
  put(CONVERSATION_A, last + 1, last + 50);
  expect_rows(CONVERSATION_A, last, 0, 200, 0, last + 1, 50);
  end();
}
END_TEST

START_TEST(one_owner_at_a_time) {
  begin();
  chat_backend second;
  ch_store_sqlite_config same = config();
  ck_assert_int_eq(ch_store_sqlite_new(&same, &second), CHAT_E_BUSY);
  end();
}
END_TEST

static void run_sql(const char *sql) {
  sqlite3 *db;
  ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
  ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

static void is_refused(int error) {
  chat_backend store;
  ch_store_sqlite_config same = config();
  ck_assert_int_eq(ch_store_sqlite_new(&same, &store), error);
}

START_TEST(another_version_is_refused) {
  static const char *const changes[] = {"PRAGMA user_version = 3", "PRAGMA user_version = 1", "PRAGMA user_version = 0", "PRAGMA application_id = 1", "PRAGMA application_id = 0"};
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    begin();
    put(CONVERSATION_A, 1, 5);
    bench_close(&bench);
    run_sql(changes[i]);
    is_refused(CHAT_E_VERSION);
    run_sql("PRAGMA user_version = 2; PRAGMA application_id = 0x63687374"); /* nothing was done to what is in it */
    open_store();
    expect_rows(CONVERSATION_A, 0, 0, 10, 0, 1, 5);
    end();
  }
}
END_TEST

START_TEST(another_program_s_database_is_refused) {
  begin();
  bench_close(&bench);
  ck_assert_int_eq(unlink(path), 0);
  run_sql("CREATE TABLE note (text)");
  is_refused(CHAT_E_VERSION);
  run_sql("INSERT INTO note VALUES ('still here')");
  bench_dir_remove(dir);
}
END_TEST

START_TEST(the_log_s_identity_survives_reopening) {
  begin();
  chat_store_apply *apply = apply_of(CONVERSATION_A, 1, 5);
  memset(apply->log_identity, 7, sizeof apply->log_identity);
  ck_assert_int_eq(apply_now(apply), 0);
  reopen();
  chat_store_position *ask = ch_op_new(NULL, CHAT_OP_STORE_POSITION, sizeof *ask);
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  ck_assert_uint_eq(ask->position, 5);
  for (size_t i = 0; i < sizeof ask->log_identity; i++)
    ck_assert_uint_eq(ask->log_identity[i], 7);
  ch_op_free(&ask->op);
  end();
}
END_TEST

START_TEST(damage_is_said) {
  chat_backend store;
  uint8_t noise[4096];
  begin();
  put(CONVERSATION_A, 1, 200);
  bench_close(&bench);
  memset(noise, 0x5a, sizeof noise);
  int fd = open(path, O_WRONLY);
  struct stat info;
  fstat(fd, &info);
  for (off_t page = 1; page < info.st_size / 4096; page++) /* all but the first, which opens */
    ck_assert_int_eq(pwrite(fd, noise, sizeof noise, page * 4096), (int)sizeof noise);
  ch_store_sqlite_config checked = config();
  checked.check = 1;
  ck_assert_int_eq(ch_store_sqlite_new(&checked, &store), CHAT_E_CORRUPT);
  ck_assert_int_eq(pwrite(fd, noise, sizeof noise, 0), (int)sizeof noise);
  close(fd);
  checked.check = 0;
  ck_assert_int_eq(ch_store_sqlite_new(&checked, &store), CHAT_E_CORRUPT);
  bench_dir_remove(dir);
}
END_TEST

/* Applies batches of two until it is killed; says each position that was acknowledged. */
static void apply_for_ever(int report, uint64_t from) {
  open_store();
  for (uint64_t first = from;; first += 2) {
    uint64_t last = first + 1;
    if (apply_now(apply_of(CONVERSATION_A, first, last)) != 0) _exit(1);
    if (write(report, &last, sizeof last) != sizeof last) _exit(2);
  }
}

/* The process dies, not the machine: everything acknowledged is there, rows and state and position of one moment. */
START_TEST(acknowledged_survives_kill_9) {
  begin();
  uint64_t acknowledged = 0;
  for (int kills = 0; kills < 20; kills++) {
    int report[2];
    uint64_t n, from = position(NULL) + 1;
    bench_close(&bench);
    ck_assert_int_eq(pipe(report), 0);
    pid_t child = fork();
    if (child == 0) apply_for_ever(report[1], from);
    close(report[1]);
    for (int reports = 0; reports < 3 + kills * 2 && read(report[0], &n, sizeof n) == sizeof n; reports++) acknowledged = n;
    kill(child, SIGKILL);
    while (read(report[0], &n, sizeof n) == sizeof n) acknowledged = n;
    int status;
    waitpid(child, &status, 0);
    ck_assert(WIFSIGNALED(status));
    close(report[0]);
    open_store();
    uint64_t stored = position(NULL);
    ck_assert_uint_ge(stored, acknowledged);
    ck_assert_uint_eq(stored % 2, 0);
    chat_store_range *got = range(CONVERSATION_A, 0, 0, 1, 1);
    ck_assert_uint_eq(got->state.head, stored);
    ck_assert_uint_eq(got->state.position, stored);
    ch_op_free(&got->op);
    for (uint64_t low = 0; low < stored; low += 200)
      expect_rows(CONVERSATION_A, low, 0, 200, 0, low + 1, stored - low < 200 ? (size_t)(stored - low) : 200);
  }
  wait_indexed(position(NULL));
  end();
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {written_is_read_and_survives_reopening, 0},
      {state_is_whole, 0},
      {many_ops_at_once_and_one_that_fails, 0},
      {a_former_member_s_head_stands_at_its_removal, 0},
      {a_device_is_written_where_it_is_as_expected, 0},
      {pruning_splits_runs_and_moves_the_horizon, 0},
      {words_are_found, 0},
      {pruned_rows_leave_the_index, 0},
      {a_lost_or_damaged_index_is_made_anew, 0},
      {synced_follows_the_checkpoint, 0},
      {a_full_store_takes_nothing_and_keeps_what_it_has, 0},
      {one_owner_at_a_time, 0},
      {another_version_is_refused, 0},
      {another_program_s_database_is_refused, 0},
      {the_log_s_identity_survives_reopening, 0},
      {damage_is_said, 0},
      {acknowledged_survives_kill_9, 0},
  };
  return RUN_TESTS("store_sqlite", rows);
}
