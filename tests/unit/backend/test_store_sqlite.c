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
  put_text(CONVERSATION_A, 5, "straw\xe2\x80\x94" "berry, \xe2\x80\x94, berry\xe2\x80\x94" "straw and berry");
  wait_indexed(5);
  for (int opened = 0; opened < 2; opened++) {
    ck_assert_str_eq(found("alice", "café"), "2 1");
    ck_assert_str_eq(found("bob", "CAFE nine"), "1");
    ck_assert_str_eq(found("alice", "caf"), "");
    ck_assert_str_eq(found("alice", "caf*"), "2 1");
    ck_assert_str_eq(found("alice", "здравствуй"), "4");
    /* What parts words beyond ASCII parts those of a query, too: they have to follow each other. */
    ck_assert_str_eq(found("alice", "straw\xe2\x80\x94" "berry"), "5");
    ck_assert_str_eq(found("alice", "straw\xe2\x80\x94" "ber*"), "5");
    ck_assert_str_eq(found("alice", "straw\xe2\x80\x94" "ber"), "");
    ck_assert_str_eq(found("alice", "berry\xe2\x80\x94" "berry"), "5");
    ck_assert_str_eq(found("alice", "straw\xe2\x80\x94" "straw"), "");
    ck_assert_str_eq(found("alice", "berry \xe2\x80\x94"), "");
    /* The word that stands for a conversation in the index is nobody's to find. */
    ck_assert_str_eq(found("alice", "\xee\x80\x80" "1"), "");
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

static uint64_t documents_with(const char *word) {
  char sql[128];
  snprintf(sql, sizeof sql, "SELECT count(*) FROM words WHERE words MATCH '%s'", word);
  return rows_in("-search", sql);
}

static void wait_forgotten(void) {
  while (rows_in("", "SELECT count(*) FROM erased") > 0) usleep(1000);
}

static void put_run(const char *const *texts, uint64_t count) {
  chat_store_apply *apply = apply_of(CONVERSATION_A, 1, count);
  for (uint64_t i = 0; i < count; i++)
    apply->rows[i].payload = message(&apply->op, texts[i]);
  ck_assert_int_eq(apply_now(apply), 0);
  wait_indexed(count);
}

/* A document stands for many messages: what is left of them stays in the index. */
START_TEST(a_document_of_which_a_part_was_pruned_is_made_anew) {
  const char *const texts[] = {"secret plum", "plum", "hidden plum", "plum tree", "plum"};
  begin();
  put_run(texts, 5);
  ck_assert_uint_eq(rows_in("-search", "SELECT count(*) FROM doc"), 1);
  ck_assert_uint_eq(prune(1002, 100), 1);
  ck_assert_uint_eq(prune(1004, 100), 2); /* again, perhaps before the index knows of the first */
  wait_forgotten();
  ck_assert_uint_eq(documents_with("secret") + documents_with("hidden"), 0);
  ck_assert_uint_eq(documents_with("tree"), 1);
  ck_assert_uint_eq(rows_in("-search", "SELECT first_seq FROM doc"), 4);
  ck_assert_str_eq(found("alice", "plum"), "5 4");
  ck_assert_uint_eq(prune(1009, 100), 2);
  wait_forgotten();
  ck_assert_uint_eq(documents_with("plum"), 0);
  ck_assert_uint_eq(rows_in("-search", "SELECT count(*) FROM doc"), 0);
  end();
}
END_TEST

START_TEST(a_text_that_gave_way_leaves_the_index) {
  const char *const texts[] = {"plum", "secret plum", "plum"};
  begin();
  put_run(texts, 3);
  write_one(2, 25, "open apple"); /* by a late writer's higher number */
  write_one(2, 26, "open pear");
  wait_found("pear", 1);
  wait_forgotten();
  ck_assert_uint_eq(documents_with("secret") + documents_with("apple"), 0);
  ck_assert_uint_eq(documents_with("pear"), 1);
  ck_assert_uint_eq(rows_in("-search", "SELECT count(*) FROM doc"), 1);
  ck_assert_str_eq(found("alice", "plum"), "3 1");
  end();
}
END_TEST

START_TEST(an_index_of_another_version_is_made_anew) {
  char name[128];
  sqlite3 *db;
  begin();
  put_text(CONVERSATION_A, 1, "cherry");
  wait_indexed(1);
  uint64_t version = rows_in("-search", "SELECT user_version FROM pragma_user_version");
  bench_close(&bench);
  snprintf(name, sizeof name, "%s-search", path);
  ck_assert_int_eq(sqlite3_open(name, &db), SQLITE_OK);
  ck_assert_int_eq(sqlite3_exec(db, "PRAGMA user_version = 1; DROP TABLE words; DROP TABLE doc", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
  open_store();
  wait_indexed(1);
  ck_assert_str_eq(found("alice", "cherry"), "1");
  ck_assert_uint_eq(rows_in("-search", "SELECT user_version FROM pragma_user_version"), version);
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

/* The number that the tables have, as another program reads them. */
static uint64_t in_tables(const char *sql) {
  sqlite3 *db;
  sqlite3_stmt *statement;
  ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  uint64_t number = sqlite3_step(statement) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return number;
}

static int search_status(void) {
  chat_store_search *ask = ch_op_new(NULL, CHAT_OP_STORE_SEARCH, sizeof *ask);
  *ask = (chat_store_search){.op = ask->op, .user = text("alice"), .query = text("message"), .limit = 10};
  int status = bench_do(&bench, ask);
  ch_op_free(&ask->op);
  return status;
}

/* No text outlives its row, also not for an index that is made later. */
START_TEST(without_search_nothing_is_indexed_and_nothing_kept) {
  char name[128];
  begin();
  put(CONVERSATION_A, 1, 5);
  wait_indexed(5);
  bench_close(&bench);
  ch_store_sqlite_config unsearched = config();
  unsearched.no_search = 1;
  open_with(unsearched);
  snprintf(name, sizeof name, "%s-search", path);
  ck_assert_int_ne(access(name, F_OK), 0);
  ck_assert_int_eq(search_status(), CHAT_E_UNSUPPORTED);
  chat_store_prune *prune = ch_op_new(NULL, CHAT_OP_STORE_PRUNE, sizeof *prune);
  prune->before_ms = 1004;
  prune->limit = 100;
  ck_assert_int_eq(bench_do(&bench, prune), 0);
  ck_assert_uint_eq(prune->pruned, 3);
  ch_op_free(&prune->op);
  ck_assert_uint_eq(in_tables("SELECT count(*) FROM erased"), 0);
  bench_close(&bench);
  open_store();
  wait_indexed(5);
  ck_assert_int_eq(search_status(), 0);
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

/* ------------------------------------------------------------------------------------------------ what is written late (docs/decisions/0008) */

static ch_store_sqlite_config late_config(size_t tail_rows, uint32_t tail_ms) {
  ch_store_sqlite_config late = config();
  late.tail_rows = tail_rows;
  late.tail_ms = tail_ms;
  return late;
}

static void begin_late(size_t tail_rows, uint32_t tail_ms) {
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/store.db", dir);
  open_with(late_config(tail_rows, tail_ms));
}

/* What ordinary messages bring: no member is touched. */
static chat_store_apply *plain_of(uint8_t conversation, uint64_t first, uint64_t last) {
  chat_store_apply *apply = apply_of(conversation, first, last);
  apply->states[0].members = NULL;
  apply->states[0].member_count_here = 0;
  return apply;
}

static void put_plain(uint8_t conversation, uint64_t first, uint64_t last) {
  ck_assert_int_eq(apply_now(plain_of(conversation, first, last)), 0);
}

static uint64_t rows_in_tables(void) {
  return in_tables("SELECT coalesce(sum(count), 0) FROM run");
}

static uint64_t consumed_in_tables(void) {
  return in_tables("SELECT position FROM consumed");
}

START_TEST(late_is_read_before_it_is_in_the_tables) {
  begin_late(1000, 3600 * 1000);
  put(CONVERSATION_A, 1, 10);
  put_plain(CONVERSATION_A, 11, 30);
  put_plain(CONVERSATION_A, 31, 31);
  ck_assert_uint_eq(rows_in_tables(), 10);
  ck_assert_uint_eq(position(NULL), 31);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 31);
  expect_rows(CONVERSATION_A, 0, 0, 25, 1, 7, 25);
  expect_rows(CONVERSATION_A, 5, 0, 10, 0, 6, 10);
  expect_rows(CONVERSATION_A, 8, 13, 200, 0, 9, 5);
  expect_rows(CONVERSATION_A, 12, 28, 4, 1, 25, 4);
  chat_store_range *got = range(CONVERSATION_A, 30, 0, 1, 0);
  ck_assert_uint_eq(got->state.head, 31);
  ck_assert_uint_eq(got->state.position, 31);
  ch_op_free(&got->op);
  reopen(); /* the end writes everything */
  ck_assert_uint_eq(rows_in_tables(), 31);
  ck_assert_uint_eq(consumed_in_tables(), 31);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 31);
  end();
}
END_TEST

START_TEST(late_goes_to_the_tables_when_it_is_time_or_many) {
  begin_late(1000, 20);
  put(CONVERSATION_A, 1, 1);
  put_plain(CONVERSATION_A, 2, 4);
  while (rows_in_tables() < 4) usleep(1000); /* by time; the test's own limit ends it */
  bench_close(&bench);
  open_with(late_config(10, 3600 * 1000));
  for (uint64_t seq = 5; seq <= 13; seq++) put_plain(CONVERSATION_A, seq, seq);
  ck_assert_uint_eq(rows_in_tables(), 4);
  put_plain(CONVERSATION_A, 14, 14);
  while (rows_in_tables() < 14) usleep(1000); /* by number */
  ck_assert_uint_eq(consumed_in_tables(), 14);
  ck_assert_uint_eq(in_tables("SELECT count(*) FROM run"), 3); /* runs, not rows */
  end();
}
END_TEST

/* Who asks by user, and who changes members, finds everything in the tables. */
START_TEST(heads_and_members_find_what_is_late) {
  begin_late(1000, 3600 * 1000);
  put(CONVERSATION_A, 1, 3);
  put(CONVERSATION_B, 1, 2);
  put_plain(CONVERSATION_A, 4, 9);
  chat_store_heads *got = heads("bob", 3, 10);
  ck_assert_uint_eq(got->head_count, 1);
  ck_assert_uint_eq(got->heads[0].head, 9);
  ck_assert_uint_eq(got->position, 9);
  ch_op_free(&got->op);
  put_plain(CONVERSATION_A, 10, 12);
  ck_assert_uint_eq(rows_in_tables(), 11);
  remove_bob(CONVERSATION_A, 13);
  ck_assert_uint_eq(rows_in_tables(), 15);
  expect_rows(CONVERSATION_A, 0, 12, 200, 0, 1, 12);
  end();
}
END_TEST

/* Of a row and a cell that are there twice the higher cause wins, wherever they are. */
START_TEST(an_older_writer_changes_nothing_that_is_late) {
  begin_late(1000, 3600 * 1000);
  put(CONVERSATION_A, 1, 5);
  put_plain(CONVERSATION_A, 6, 9);
  put_plain(CONVERSATION_A, 6, 7); /* a replay */
  put_plain(CONVERSATION_A, 4, 5);
  chat_store_range *got = range(CONVERSATION_A, 0, 0, 200, 0);
  ck_assert_uint_eq(got->row_count, 9);
  ck_assert_uint_eq(got->state.head, 9);
  ck_assert_uint_eq(got->state.position, 9);
  ch_op_free(&got->op);
  ck_assert_uint_eq(position(NULL), 9);
  chat_store_apply *other = plain_of(CONVERSATION_A, 10, 10);
  other->rows[0].message_id = 5; /* lower than what comes */
  ck_assert_int_eq(apply_now(other), 0);
  put_plain(CONVERSATION_A, 10, 10);
  expect_rows(CONVERSATION_A, 0, 0, 200, 0, 1, 10);
  end();
}
END_TEST

/* What the tables could not take is still read, who writes hears of it, and it is there once there is space. */
START_TEST(a_full_store_loses_nothing_that_is_late) {
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/store.db", dir);
  ch_store_sqlite_config small = late_config(100, 3600 * 1000);
  small.pages_max = 60;
  open_with(small);
  put(CONVERSATION_A, 1, 1);
  uint64_t last = 1;
  int status;
  while ((status = apply_now(plain_of(CONVERSATION_A, last + 1, last + 50))) == 0) last += 50;
  ck_assert_int_eq(status, CHAT_E_FULL);
  ck_assert_int_eq(apply_now(plain_of(CONVERSATION_A, last + 1, last + 50)), CHAT_E_FULL);
  ck_assert_uint_gt(last, rows_in_tables());
  ck_assert_uint_eq(position(NULL), last);
  expect_rows(CONVERSATION_A, last - 150, 0, 200, 0, last - 149, 150);
  bench_close(&bench); /* what did not fit goes with the process: the log has it */
  open_store();
  uint64_t stored = position(NULL);
  ck_assert_uint_eq(stored, rows_in_tables());
  ck_assert_uint_lt(stored, last);
  put_plain(CONVERSATION_A, stored + 1, last + 50);
  expect_rows(CONVERSATION_A, last - 100, 0, 200, 0, last - 99, 150);
  end();
}
END_TEST

/* Two conversations in turn, as a sequencer does that begins where the store is. */
static void apply_late_for_ever(int report, uint64_t from) {
  open_with(late_config(40, 3));
  for (uint64_t position = from;; position++) {
    uint64_t seq = (position + 1) / 2;
    chat_store_apply *apply = plain_of(position % 2 ? CONVERSATION_A : CONVERSATION_B, seq, seq);
    apply->position = apply->states[0].position = apply->states[0].senders[0].position = position;
    if (apply_now(apply) != 0) _exit(1);
    if (write(report, &position, sizeof position) != sizeof position) _exit(2);
  }
}

static void expect_upto(uint8_t conversation, uint64_t position, uint64_t parity) {
  chat_store_range *got = range(conversation, 0, 0, 1, 1);
  uint64_t head = (position + parity) / 2;
  ck_assert_uint_eq(got->state.head, head);
  ch_op_free(&got->op);
  for (uint64_t low = 0; low < head; low += 200)
    expect_rows(conversation, low, 0, 200, 0, low + 1, head - low < 200 ? (size_t)(head - low) : 200);
}

/* The process dies with a tail in it: rows, states and position in the tables are of one moment, and who goes on from there has everything again. */
START_TEST(late_is_brought_again_after_kill_9) {
  begin_late(40, 3);
  uint64_t acknowledged = 0, lost = 0;
  for (int kills = 0; kills < 10; kills++) {
    int report[2];
    uint64_t n, from = position(NULL) + 1;
    bench_close(&bench);
    ck_assert_int_eq(pipe(report), 0);
    pid_t child = fork();
    if (child == 0) apply_late_for_ever(report[1], from);
    close(report[1]);
    for (int reports = 0; reports < 30 + kills * 20 && read(report[0], &n, sizeof n) == sizeof n; reports++) acknowledged = n;
    kill(child, SIGKILL);
    while (read(report[0], &n, sizeof n) == sizeof n) acknowledged = n;
    int status;
    waitpid(child, &status, 0);
    ck_assert(WIFSIGNALED(status));
    close(report[0]);
    open_store();
    uint64_t stored = position(NULL);
    ck_assert_uint_le(stored, acknowledged + 1);
    ck_assert_uint_ge(stored + 1, from);
    lost += acknowledged > stored ? acknowledged - stored : 0;
    expect_upto(CONVERSATION_A, stored, 1);
    expect_upto(CONVERSATION_B, stored, 0);
  }
  ck_assert_uint_gt(lost, 0); /* else nothing was late */
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
      {a_document_of_which_a_part_was_pruned_is_made_anew, 0},
      {a_text_that_gave_way_leaves_the_index, 0},
      {an_index_of_another_version_is_made_anew, 0},
      {a_lost_or_damaged_index_is_made_anew, 0},
      {without_search_nothing_is_indexed_and_nothing_kept, 0},
      {synced_follows_the_checkpoint, 0},
      {a_full_store_takes_nothing_and_keeps_what_it_has, 0},
      {one_owner_at_a_time, 0},
      {another_version_is_refused, 0},
      {another_program_s_database_is_refused, 0},
      {the_log_s_identity_survives_reopening, 0},
      {damage_is_said, 0},
      {acknowledged_survives_kill_9, 0},
      {late_is_read_before_it_is_in_the_tables, 0},
      {late_goes_to_the_tables_when_it_is_time_or_many, 0},
      {heads_and_members_find_what_is_late, 0},
      {an_older_writer_changes_nothing_that_is_late, 0},
      {a_full_store_loses_nothing_that_is_late, 0},
      {late_is_brought_again_after_kill_9, 0},
  };
  return RUN_TESTS("store_sqlite", rows);
}
