/* SPDX-License-Identifier: Apache-2.0 */
/* A client and its SQLite database: one owner, versions, damage, a full disk, logout. */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include "unit/client/folder.h"
#include "unit/client/puppet.h"
#include "unit/core/run.h"

/* A database with bob's message "hello from bob" and an outbox row "to be sent". */
static void make_history(folder *dir) {
  script *s = script_new(); /* only for its arena */
  puppet *p = puppet_new();
  chat_client *client = client_online(p, folder_path(dir, "db"));
  chat_row row = script_row_of_bob(s, 1);
  chat_head head = script_head_of_bob(1);
  puppet_say(p, (ch_server_message){.op = CH_LIVE, .u.live = {.position = 20}});
  puppet_say(p, (ch_server_message){.tag = puppet_expect(p, CH_SYNC)->tag, .op = CH_SYNC_REPLY, .u.sync_reply = {.heads = &head, .head_count = 1, .position = 20}});
  const ch_client_message *range = puppet_expect(p, CH_RANGE);
  ch_server_message reply = {.tag = range->tag, .op = CH_RANGE_REPLY, .u.range_reply = {.status = CH_RANGE_COMPLETE, .high = 1, .head = 1, .events = &row, .event_count = 1}};
  memcpy(reply.u.range_reply.conversation_id, script_bob(), 16);
  puppet_say(p, reply);
  client_expect(client, CHAT_EVENT_MESSAGE);
  ck_assert_int_eq(client_send(client, 1, "to be sent"), 0);
  ck_assert_int_eq(client_expect_reply(client, 1)->status, 0);
  chat_client_free(client);
  puppet_free(p);
  script_free(s);
}

START_TEST(second_opener_is_busy) {
  folder dir = folder_make();
  puppet *p = puppet_new(), *q = puppet_new();
  chat_client *client = client_online(p, folder_path(&dir, "db")), *second = client_over(q, folder_path(&dir, "db"));
  ck_assert_int_eq(chat_client_start(second), CHAT_E_BUSY);
  ck_assert_int_eq(chat_client_whoami(second, 1), CHAT_E_CLOSED);
  chat_client_free(client);
  ck_assert_int_eq(chat_client_start(second), 0); /* a start that failed may be tried again */
  puppet_connect(q, 2);
  client_expect_state(second, CHAT_STATE_LIVE);
  chat_client_free(second);
  puppet_free(p);
  puppet_free(q);
  folder_remove(&dir);
}
END_TEST

static void run_sql(folder *dir, const char *text) {
  sqlite3 *sql;
  ck_assert_int_eq(sqlite3_open(folder_path(dir, "db"), &sql), SQLITE_OK);
  ck_assert_int_eq(sqlite3_exec(sql, text, NULL, NULL, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_close(sql), SQLITE_OK);
}

START_TEST(newer_schema_is_refused_and_left_alone) {
  folder dir = folder_make();
  make_history(&dir);
  run_sql(&dir, "PRAGMA user_version = 99");
  puppet *p = puppet_new();
  chat_client *client = client_over(p, folder_path(&dir, "db"));
  ck_assert_int_eq(chat_client_start(client), CHAT_E_VERSION);
  chat_client_free(client);
  ck_assert(folder_holds(&dir, "hello from bob"));
  run_sql(&dir, "PRAGMA user_version = 2");
  client = client_online(p, folder_path(&dir, "db"));
  ck_assert_int_eq(chat_client_whoami(client, 1), 0);
  ck_assert_uint_eq(client_expect_reply(client, 1)->user.len, 5);
  chat_client_free(client);
  puppet_free(p);
  folder_remove(&dir);
}
END_TEST

static void overwrite(folder *dir, long at, const void *bytes, size_t len) {
  FILE *file = fopen(folder_path(dir, "db"), "r+b");
  ck_assert_ptr_nonnull(file);
  fseek(file, at, SEEK_SET);
  ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
  fclose(file);
}

/* The header is gone: nothing can be read, the database is set aside, and a client begins anew. */
START_TEST(database_that_is_none_is_set_aside) {
  folder dir = folder_make();
  make_history(&dir);
  overwrite(&dir, 0, "this is no database at all, is it", 33);
  puppet *p = puppet_new();
  chat_client *client = client_over(p, folder_path(&dir, "db"));
  ck_assert_int_eq(chat_client_start(client), 0);
  const chat_event *event = client_expect(client, CHAT_EVENT_DATABASE);
  ck_assert_int_eq(event->status, CHAT_E_CORRUPT);
  char name[512] = "";
  memcpy(name, event->text.data, event->text.len);
  ck_assert_int_eq(access(name, F_OK), 0); /* it lies where the event says */
  puppet_connect(p, 1);
  client_expect_state(client, CHAT_STATE_LIVE);
  chat_client_free(client);
  puppet_free(p);
  folder_remove(&dir);
}
END_TEST

/* Where the table of rows begins, by SQLite's own word. */
static long root_page_of(folder *dir, const char *table) {
  sqlite3 *sql;
  sqlite3_stmt *statement;
  ck_assert_int_eq(sqlite3_open(folder_path(dir, "db"), &sql), SQLITE_OK);
  ck_assert_int_eq(sqlite3_prepare_v2(sql, "SELECT (SELECT rootpage FROM sqlite_master WHERE name = ?1) - 1, page_size FROM pragma_page_size", -1, &statement, NULL), SQLITE_OK);
  sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
  ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
  long at = (long)(sqlite3_column_int64(statement, 0) * sqlite3_column_int64(statement, 1));
  sqlite3_finalize(statement);
  sqlite3_close(sql);
  return at;
}

/* A page of the history is damaged: the outbox is saved, its row goes out under the number that it had, and history is pulled again. */
START_TEST(outbox_is_salvaged) {
  folder dir = folder_make();
  make_history(&dir);
  run_sql(&dir, "PRAGMA wal_checkpoint(TRUNCATE); UPDATE state SET clean = 0");
  uint8_t garbage[64];
  memset(garbage, 0xff, sizeof garbage);
  overwrite(&dir, root_page_of(&dir, "row"), garbage, sizeof garbage);
  puppet *p = puppet_new();
  chat_client *client = client_over(p, folder_path(&dir, "db"));
  ck_assert_int_eq(chat_client_start(client), 0);
  ck_assert_int_eq(client_expect(client, CHAT_EVENT_DATABASE)->status, CHAT_E_CORRUPT);
  const ch_client_message *hello = puppet_expect(p, CH_HELLO);
  ck_assert_mem_eq(hello->u.hello.device_id, device_a, 16); /* the same device */
  ch_server_message welcome = script_welcome(device_a, 2);
  welcome.tag = hello->tag;
  puppet_say(p, welcome);
  const ch_client_message *sync = puppet_expect(p, CH_SYNC);
  ck_assert_uint_eq(sync->u.position, 0); /* from the beginning */
  chat_head head = script_head_of_bob(1);
  puppet_say(p, (ch_server_message){.tag = sync->tag, .op = CH_SYNC_REPLY, .u.sync_reply = {.heads = &head, .head_count = 1, .position = 20}});
  const ch_client_message *send = puppet_expect(p, CH_SEND);
  ck_assert_uint_eq(send->u.send.client_seq, 1);
  ck_assert_uint_eq(send->u.send.retry, 1);
  chat_client_free(client);
  puppet_free(p);
  folder_remove(&dir);
}
END_TEST

/* The file may not grow any more: what cannot be stored says so, and is not there; with space again it goes on. */
START_TEST(full_disk) {
  folder dir = folder_make();
  puppet *p = puppet_new();
  signal(SIGXFSZ, SIG_IGN); /* the kernel's word for a file at its limit, beside EFBIG */
  chat_client *client = client_online(p, folder_path(&dir, "db"));
  client_expect_state(client, CHAT_STATE_LIVE);
  ck_assert_int_eq(client_send(client, 1, "first"), 0);
  ck_assert_int_eq(client_expect_reply(client, 1)->status, 0);
  struct rlimit all;
  getrlimit(RLIMIT_FSIZE, &all);
  setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, all.rlim_max});
  ck_assert_int_eq(client_send(client, 2, "second"), 0);
  int status = client_expect(client, CHAT_EVENT_DATABASE)->status;
  ck_assert(status == CHAT_E_FULL || status == CHAT_E_IO);
  status = client_expect_reply(client, 2)->status;
  setrlimit(RLIMIT_FSIZE, &all);
  ck_assert(status == CHAT_E_FULL || status == CHAT_E_IO);
  for (uint64_t tag = 3; status && tag < 1000; tag++) {
    ck_assert_int_eq(client_send(client, tag, "third"), 0);
    status = client_expect_reply(client, tag)->status;
    if (status) pause_ms(100);
  }
  ck_assert_int_eq(status, 0);
  chat_client_free(client);
  client = client_over(p, folder_path(&dir, "db"));
  ck_assert_int_eq(chat_client_start(client), 0);
  ck_assert_int_eq(chat_client_conversations(client, 5, 0, 1), 0);
  ck_assert_uint_eq(client_expect_reply(client, 5)->conversations[0]->pending, 2); /* first and third */
  chat_client_free(client);
  puppet_free(p);
  folder_remove(&dir);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ logout */

static void check_wiped(folder *dir) {
  ck_assert(!folder_holds(dir, "hello from bob"));
  ck_assert(!folder_holds(dir, "to be sent"));
  ck_assert(!folder_holds(dir, "alice"));
}

START_TEST(logout_leaves_nothing_readable) {
  folder dir = folder_make();
  make_history(&dir);
  ck_assert(folder_holds(&dir, "hello from bob")); /* the test would see it */
  ck_assert(folder_holds(&dir, "to be sent"));
  puppet *p = puppet_new();
  chat_client *client = client_over(p, folder_path(&dir, "db"));
  ck_assert_int_eq(chat_client_start(client), 0);
  puppet_connect(p, 2);
  client_expect_state(client, CHAT_STATE_LIVE);
  ck_assert_int_eq(chat_client_logout(client, 1), 0);
  const ch_client_message *revoke = puppet_expect(p, CH_REVOKE_DEVICE);
  ck_assert_mem_eq(revoke->u.device_id, device_a, 16);
  puppet_say(p, (ch_server_message){.tag = revoke->tag, .op = CH_OK});
  ck_assert_int_eq(client_expect_reply(client, 1)->status, 0);
  check_wiped(&dir); /* while it is open, too */
  ck_assert_int_eq(chat_client_whoami(client, 2), 0);
  ck_assert_int_eq(client_expect_reply(client, 2)->status, CHAT_E_OFFLINE);
  ck_assert_int_eq(chat_client_conversations(client, 3, 0, 10), 0);
  ck_assert_uint_eq(client_expect_reply(client, 3)->conversation_count, 0);
  ck_assert(!p->is_open);
  ck_assert_int_eq(chat_client_set(client, "token", "of carol"), 0); /* another user may log in */
  ck_assert_uint_eq(puppet_expect(p, CH_HELLO)->u.hello.has_device, 0);
  chat_client_free(client);
  check_wiped(&dir);
  puppet_free(p);
  folder_remove(&dir);
}
END_TEST

START_TEST(logout_offline_wipes_and_says_so) {
  folder dir = folder_make();
  make_history(&dir);
  puppet *p = puppet_new();
  p->open_error = CHAT_E_IO;
  chat_client *client = client_over(p, folder_path(&dir, "db"));
  ck_assert_int_eq(chat_client_start(client), 0);
  ck_assert_int_eq(chat_client_logout(client, 1), 0);
  ck_assert_int_eq(client_expect_reply(client, 1)->status, CHAT_E_OFFLINE);
  check_wiped(&dir);
  chat_client_free(client);
  puppet_free(p);
  folder_remove(&dir);
}
END_TEST

/* The person has asked for it: a suspend does not put it off, and nothing of it is left. */
START_TEST(logout_is_finished_by_suspend) {
  folder dir = folder_make();
  make_history(&dir);
  puppet *p = puppet_new();
  chat_client *client = client_over(p, folder_path(&dir, "db"));
  ck_assert_int_eq(chat_client_start(client), 0);
  puppet_connect(p, 2);
  client_expect_state(client, CHAT_STATE_LIVE);
  ck_assert_int_eq(chat_client_logout(client, 1), 0);
  puppet_expect(p, CH_REVOKE_DEVICE); /* never answered */
  ck_assert_int_eq(chat_client_suspend(client, PUPPET_PATIENCE_MS), 0);
  ck_assert_int_eq(client_expect_reply(client, 1)->status, CHAT_E_OFFLINE);
  check_wiped(&dir);
  ck_assert(!folder_has_locks(&dir));
  chat_client_free(client);
  puppet_free(p);
  folder_remove(&dir);
}
END_TEST

/* What was set aside after damage holds messages as well. */
START_TEST(logout_wipes_what_was_set_aside) {
  folder dir = folder_make();
  make_history(&dir);
  overwrite(&dir, 0, "this is no database at all, is it", 33);
  puppet *p = puppet_new();
  chat_client *client = client_online(p, folder_path(&dir, "db"));
  client_expect(client, CHAT_EVENT_DATABASE);
  ck_assert(folder_holds(&dir, "hello from bob"));
  ck_assert_int_eq(chat_client_logout(client, 1), 0);
  puppet_say(p, (ch_server_message){.tag = puppet_expect(p, CH_REVOKE_DEVICE)->tag, .op = CH_OK});
  ck_assert_int_eq(client_expect_reply(client, 1)->status, 0);
  check_wiped(&dir);
  chat_client_free(client);
  puppet_free(p);
  folder_remove(&dir);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {second_opener_is_busy, 0},
      {newer_schema_is_refused_and_left_alone, 0},
      {database_that_is_none_is_set_aside, 0},
      {outbox_is_salvaged, 0},
      {full_disk, 0},
      {logout_leaves_nothing_readable, 0},
      {logout_offline_wipes_and_says_so, 0},
      {logout_is_finished_by_suspend, 0},
      {logout_wipes_what_was_set_aside, 0},
  };
  return RUN_TESTS("client database", rows);
}
