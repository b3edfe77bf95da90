/* SPDX-License-Identifier: Apache-2.0 */
/* What a cache owes (chat/backend.h), held against cache_mem and cache_sqlite; at the end what only files can show. */
#define _GNU_SOURCE
#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/cache_mem.h"
#include "backend/cache_sqlite/cache.h"
#include "backend/cache_sqlite/cache_sqlite.h"
#include "backend/cache_sqlite/schema.h"
#include "core/buf.h"
#include "core/wire.h"

static bool on_files;
static char folder[] = "/tmp/chat-test-cache-XXXXXX", path[64], command[128];
static chat_cache *cache;
/* C(open), C(commit, 1): the self of the vtable's call. */
#define C(...) C_PICK(__VA_ARGS__, CN, CN, CN, CN, CN, CN, CN, CN, C1, )(__VA_ARGS__)
#define C_PICK(a, b, c, d, e, f, g, h, i, picked, ...) picked
#define C1(call) cache->vtable->call(cache->self)
#define CN(call, ...) cache->vtable->call(cache->self, __VA_ARGS__)
#define GOOD(expr) ck_assert_int_eq((expr), 0)

static void make(void) {
  if (on_files) GOOD(ch_cache_sqlite_new(NULL, path, &cache));
  else GOOD(chat_cache_mem_new(NULL, &cache));
}

static void setup(void) {
  strcpy(folder + strlen(folder) - 6, "XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/db", folder);
  make();
  GOOD(C(open));
}

static void setup_mem(void) {
  on_files = false;
  setup();
}

static void setup_sqlite(void) {
  on_files = true;
  setup();
}

static void teardown(void) {
  C(free);
  snprintf(command, sizeof command, "rm -r %s", folder);
  GOOD(system(command));
}

/* The database as the next start finds it. */
static void reopen(void) {
  C(close);
  GOOD(C(open));
}

static chat_bytes text(const char *s) {
  return (chat_bytes){(const uint8_t *)s, strlen(s)};
}

static void check_text(chat_bytes bytes, const char *s) {
  ck_assert_uint_eq(bytes.len, strlen(s));
  ck_assert_mem_eq(bytes.data, s, bytes.len);
}

static const uint8_t A[16] = {1, 2, 3}, B[16] = {9};

static void id_of(uint8_t id[16], uint64_t number) {
  memset(id, 0, 16);
  memcpy(id, &number, sizeof number);
}

/* ------------------------------------------------------------------------------------------------ values, outbox, conversations, members */

START_TEST(values) {
  chat_bytes value;
  ck_assert_int_eq(C(value_get, "user", &value), CHAT_E_NOT_FOUND);
  GOOD(C(begin));
  GOOD(C(value_put, "user", text("ada")));
  GOOD(C(value_put, "gone", text("x")));
  GOOD(C(value_put, "gone", text("")));
  GOOD(C(commit, 1));
  reopen();
  GOOD(C(value_get, "user", &value));
  check_text(value, "ada");
  ck_assert_int_eq(C(value_get, "gone", &value), CHAT_E_NOT_FOUND);
}
END_TEST

START_TEST(a_rollback_leaves_nothing) {
  chat_bytes value;
  GOOD(C(begin));
  GOOD(C(value_put, "user", text("ada")));
  GOOD(C(cover, A, 0, 5)); /* makes the conversation's place too */
  C(rollback);
  ck_assert_int_eq(C(value_get, "user", &value), CHAT_E_NOT_FOUND);
  GOOD(C(begin));
  GOOD(C(value_put, "user", text("bob")));
  C(close); /* rolls back as well */
  GOOD(C(open));
  ck_assert_int_eq(C(value_get, "user", &value), CHAT_E_NOT_FOUND);
}
END_TEST

static char listed[512];

static int list_outbox(void *arg, const chat_outbox_row *row) {
  sprintf(listed + strlen(listed), "%02x/%llu/%d/%.*s ", row->conversation_id[0], (unsigned long long)row->client_seq, row->error, (int)row->payload.len,
          (const char *)row->payload.data);
  return arg != NULL;
}

static void put_outbox(const uint8_t conversation_id[16], uint64_t number, uint64_t client_seq, const char *payload) {
  chat_outbox_row row = {.client_seq = client_seq, .type = CHAT_TYPE_MESSAGE, .state = CHAT_OUTBOX_REFUSED, .error = CHAT_E_DENIED, .payload = text(payload)};
  memcpy(row.conversation_id, conversation_id, 16);
  id_of(row.client_id, number);
  GOOD(C(outbox_put, &row));
}

static void check_outbox(const char *wanted) {
  listed[0] = 0;
  GOOD(C(outbox_list, list_outbox, NULL));
  ck_assert_str_eq(listed, wanted);
}

START_TEST(outbox) {
  uint8_t id[16];
  GOOD(C(begin));
  put_outbox(B, 1, 1, "b1");
  put_outbox(A, 2, 2, "a2");
  put_outbox(A, 3, 1, "a1");
  GOOD(C(commit, 1));
  reopen();
  check_outbox("01/1/-26/a1 01/2/-26/a2 09/1/-26/b1 ");
  GOOD(C(begin));
  put_outbox(A, 3, 7, "a7"); /* the same id: replaced, and moved */
  id_of(id, 1);
  GOOD(C(outbox_remove, id));
  GOOD(C(outbox_remove, id));
  GOOD(C(commit, 0));
  check_outbox("01/2/-26/a2 01/7/-26/a7 ");
  listed[0] = 0;
  GOOD(C(outbox_list, list_outbox, listed)); /* ended by the first */
  ck_assert_str_eq(listed, "01/2/-26/a2 ");
}
END_TEST

static chat_cache_conversation kept;
static char kept_title[16];

static int keep_conversation(void *arg, const chat_cache_conversation *c) {
  ++*(int *)arg;
  kept = *c;
  snprintf(kept_title, sizeof kept_title, "%.*s", (int)c->title.len, (const char *)c->title.data);
  return 0;
}

START_TEST(conversations) {
  int count = 0;
  chat_cache_conversation c = {.kind = 1, .role = 2, .history_from_start = 3, .members_stale = 4, .head = 5, .msg_no = 6, .cursor = 7, .start = 8, .floor = UINT64_MAX,
                               .read_msg_no = 10, .delivered = 11, .read = 12, .delivered_sent = 13, .read_sent = 14, .next_client_seq = 15, .active_ms = 16,
                               .member_count = 17, .title = text("old")};
  memcpy(c.conversation_id, A, 16);
  GOOD(C(begin));
  GOOD(C(conversation_put, &c));
  c.title = text("new");
  GOOD(C(conversation_put, &c));
  GOOD(C(commit, 1));
  reopen();
  GOOD(C(conversation_list, keep_conversation, &count));
  ck_assert_int_eq(count, 1);
  ck_assert_str_eq(kept_title, "new");
  kept.title = c.title;
  kept.peer = c.peer;
  ck_assert_mem_eq(&kept, &c, sizeof c);
}
END_TEST

static int list_member(void *arg, const chat_cache_member *m) {
  (void)arg;
  sprintf(listed + strlen(listed), "%.*s:%u:%llu:%llu ", (int)m->user.len, (const char *)m->user.data, m->role, (unsigned long long)m->delivered, (unsigned long long)m->read);
  return 0;
}

static void check_members(const uint8_t id[16], const char *wanted) {
  listed[0] = 0;
  GOOD(C(members_list, id, list_member, NULL));
  ck_assert_str_eq(listed, wanted);
}

START_TEST(members) {
  const chat_cache_member first[] = {{text("bob"), 1, 5, 4}, {text("ada"), 3, 0, 0}, {text("\xc3\xa4"), 1, 0, 0}}, second[] = {{text("eve"), 2, 1, 1}};
  GOOD(C(begin));
  GOOD(C(members_replace, A, first, 3));
  GOOD(C(members_replace, B, second, 1));
  GOOD(C(member_mark, A, text("bob"), 3, 9));
  ck_assert_int_eq(C(member_mark, A, text("eve"), 3, 9), CHAT_E_NOT_FOUND);
  GOOD(C(commit, 0));
  check_members(A, "ada:3:0:0 bob:1:5:9 \xc3\xa4:1:0:0 ");
  GOOD(C(begin));
  GOOD(C(members_replace, A, second, 1));
  GOOD(C(commit, 0));
  check_members(A, "eve:2:1:1 ");
  check_members(B, "eve:2:1:1 ");
}
END_TEST

/* ------------------------------------------------------------------------------------------------ rows */

static ch_buf payload;

static chat_row row_of(const uint8_t id[16], uint64_t seq, const char *body) {
  ch_content content = {.type = CHAT_TYPE_MESSAGE, .body = text(body)};
  ch_buf_fini(&payload);
  ch_buf_init(&payload, NULL, CHAT_FRAME_MAX);
  GOOD(ch_content_encode(&content, &payload));
  chat_row row = {.seq = seq, .msg_no = seq, .message_id = 1000 + seq, .created_ms = 5, .client_seq = seq, .sender = text("ada"), .type = CHAT_TYPE_MESSAGE,
                  .payload = ch_buf_bytes(&payload)};
  memcpy(row.conversation_id, id, 16);
  id_of(row.client_id, seq);
  return row;
}

static void put_row(const uint8_t id[16], uint64_t seq, const char *body) {
  chat_row row = row_of(id, seq, body);
  GOOD(C(row_put, &row));
}

static int list_row(void *arg, const chat_row *row) {
  (void)arg;
  check_text(row->sender, "ada");
  sprintf(listed + strlen(listed), "%02x%llu ", row->conversation_id[0], (unsigned long long)row->seq);
  return 0;
}

static void check_rows(uint64_t low, uint64_t high, uint32_t limit, int newest_first, const char *wanted) {
  listed[0] = 0;
  GOOD(C(rows, A, low, high, limit, newest_first, list_row, NULL));
  ck_assert_str_eq(listed, wanted);
}

START_TEST(rows_by_seq_and_client_id) {
  uint8_t id[16];
  GOOD(C(begin));
  for (uint64_t seq = 9; seq < 10; seq -= 2) put_row(A, seq, "odd");
  for (uint64_t seq = 2; seq < 9; seq += 2) put_row(A, seq, "even");
  put_row(B, 4, "other");
  put_row(A, 4, "even");
  GOOD(C(row_remove, A, 6));
  GOOD(C(row_remove, A, 60));
  GOOD(C(commit, 0));
  check_rows(0, UINT64_MAX, 100, 0, "011 012 013 014 015 017 018 019 ");
  check_rows(2, 7, 2, 0, "013 014 ");
  check_rows(2, 8, 3, 1, "015 017 018 ");
  check_rows(9, 20, 3, 1, "");
  check_rows(5, 5, 3, 0, "");
  listed[0] = 0;
  id_of(id, 8);
  GOOD(C(row_by_client_id, A, id, list_row, NULL));
  ck_assert_str_eq(listed, "018 ");
  id_of(id, 6);
  ck_assert_int_eq(C(row_by_client_id, A, id, list_row, NULL), CHAT_E_NOT_FOUND);
}
END_TEST

static int list_cover(void *arg, uint64_t low, uint64_t high) {
  (void)arg;
  sprintf(listed + strlen(listed), "%llu-%llu ", (unsigned long long)low, (unsigned long long)high);
  return 0;
}

static void check_cover(const char *wanted) {
  listed[0] = 0;
  GOOD(C(covered, A, list_cover, NULL));
  ck_assert_str_eq(listed, wanted);
}

START_TEST(cover_merges) {
  GOOD(C(begin));
  GOOD(C(cover, A, 10, 20));
  GOOD(C(cover, A, 30, 40));
  GOOD(C(cover, A, 0, 5));
  GOOD(C(cover, B, 0, 100));
  GOOD(C(cover, A, 7, 7));
  check_cover("0-5 10-20 30-40 ");
  GOOD(C(cover, A, 20, 25)); /* touches */
  GOOD(C(cover, A, 12, 15)); /* is inside */
  check_cover("0-5 10-25 30-40 ");
  GOOD(C(cover, A, 4, 30));
  check_cover("0-40 ");
  GOOD(C(commit, 0));
}
END_TEST

static void check_search(const char *query, const uint8_t *id, uint64_t before, uint32_t limit, const char *wanted) {
  listed[0] = 0;
  GOOD(C(search, text(query), id, before, limit, list_row, NULL));
  ck_assert_str_eq(listed, wanted);
}

START_TEST(history_is_forgotten) {
  uint8_t id[16];
  GOOD(C(begin));
  for (uint64_t seq = 1; seq <= 600; seq++) put_row(A, seq, "gone");
  put_row(B, 1, "stays");
  GOOD(C(cover, A, 0, 300));
  GOOD(C(cover, A, 400, 600));
  GOOD(C(cover, B, 0, 1));
  GOOD(C(commit, 0));
  while (C(index, 1000) > 0) continue;
  GOOD(C(begin));
  put_row(A, 700, "gone as well"); /* not indexed yet */
  GOOD(C(history_forget, A));
  check_cover("");
  check_rows(0, UINT64_MAX, 1000, 0, "");
  C(rollback);
  check_cover("0-300 400-600 ");
  GOOD(C(begin));
  GOOD(C(history_forget, A));
  GOOD(C(history_forget, A)); /* nothing is there */
  GOOD(C(commit, 0));
  check_cover("");
  check_rows(0, UINT64_MAX, 1000, 0, "");
  id_of(id, 5);
  ck_assert_int_eq(C(row_by_client_id, A, id, list_row, NULL), CHAT_E_NOT_FOUND);
  while (C(index, 1000) > 0) continue;
  check_search("gone", NULL, 0, 10, "");
  check_search("stays", NULL, 0, 10, "091 ");
  GOOD(C(begin));
  put_row(A, 2, "new"); /* and can be used again */
  GOOD(C(cover, A, 1, 2));
  GOOD(C(commit, 0));
  while (C(index, 1000) > 0) continue;
  check_cover("1-2 ");
  check_search("new", A, 0, 10, "012 ");
}
END_TEST

START_TEST(search_finds_what_is_indexed) {
  GOOD(C(begin));
  put_row(A, 1, "the quick brown fox");
  put_row(A, 2, "a quick hedgehog");
  put_row(B, 3, "quickly: NEAR \"fox\"");
  GOOD(C(commit, 0));
  check_search("quick", NULL, 0, 10, "");
  ck_assert_int_eq(C(index, 2), 2);
  ck_assert_int_eq(C(index, 2), 1);
  ck_assert_int_eq(C(index, 2), 0);
  check_search("quick", NULL, 0, 10, "012 011 ");
  check_search("QUICK*", NULL, 0, 10, "093 012 011 ");
  check_search("quick*", A, 1002, 10, "011 ");
  check_search("quick*", NULL, 0, 2, "093 012 ");
  check_search("fox quick", NULL, 0, 10, "011 ");
  check_search("NEAR fox", NULL, 0, 10, "093 ");
  check_search("quick OR hedgehog", NULL, 0, 10, "");
  check_search("body:fox -quick", NULL, 0, 10, ""); /* no operators: all three are words */
  ck_assert_int_eq(C(search, text("\"* -"), NULL, 0, 10, list_row, NULL), CHAT_E_INVALID);
}
END_TEST

START_TEST(search_follows_changes) {
  GOOD(C(begin));
  put_row(A, 1, "first secret");
  put_row(A, 2, "second secret");
  GOOD(C(commit, 0));
  ck_assert_int_eq(C(index, 10), 2);
  GOOD(C(begin));
  put_row(A, 1, "edited");
  GOOD(C(row_remove, A, 2));
  GOOD(C(commit, 0));
  C(index, 10);
  check_search("secret", NULL, 0, 10, "");
  check_search("edited", NULL, 0, 10, "011 ");
  GOOD(C(begin));
  put_row(A, 3, "third secret"); /* in the place of the removed one */
  put_row(A, 4, "fourth secret");
  put_row(A, 4, "fourth, edited"); /* before it was indexed */
  GOOD(C(commit, 0));
  while (C(index, 1) > 0) continue;
  check_search("secret", NULL, 0, 10, "013 ");
  check_search("edited", NULL, 0, 10, "014 011 ");
}
END_TEST

START_TEST(wipe_empties) {
  chat_bytes value;
  int count = 0;
  GOOD(C(begin));
  GOOD(C(value_put, "user", text("ada")));
  put_row(A, 1, "zanzibarish");
  GOOD(C(commit, 1));
  C(index, 10);
  GOOD(C(wipe));
  ck_assert_int_eq(C(value_get, "user", &value), CHAT_E_NOT_FOUND);
  check_rows(0, 10, 10, 0, "");
  check_outbox("");
  GOOD(C(conversation_list, keep_conversation, &count));
  ck_assert_int_eq(count, 0);
  GOOD(C(begin));
  GOOD(C(value_put, "user", text("bob")));
  GOOD(C(commit, 1));
  C(close);
  GOOD(C(wipe)); /* closed: stays so */
  GOOD(C(open));
  ck_assert_int_eq(C(value_get, "user", &value), CHAT_E_NOT_FOUND);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ files */

START_TEST(one_owner) {
  chat_cache *other;
  GOOD(ch_cache_sqlite_new(NULL, path, &other));
  ck_assert_int_eq(other->vtable->open(other->self), CHAT_E_BUSY);
  ck_assert_int_eq(other->vtable->wipe(other->self), CHAT_E_BUSY);
  ck_assert_int_eq(C(open), CHAT_E_BUSY);
  C(close);
  GOOD(other->vtable->open(other->self));
  ck_assert_int_eq(C(open), CHAT_E_BUSY);
  other->vtable->free(other->self);
  GOOD(C(open));
}
END_TEST

static int own_locks(void) {
  char line[256], wanted[32];
  int count = 0;
  FILE *file = fopen("/proc/locks", "r");
  ck_assert_ptr_nonnull(file);
  snprintf(wanted, sizeof wanted, " %d ", (int)getpid());
  while (fgets(line, sizeof line, file)) count += strstr(line, wanted) != NULL;
  fclose(file);
  return count;
}

START_TEST(no_lock_after_close) {
  ck_assert_int_gt(own_locks(), 0);
  GOOD(C(begin));
  GOOD(C(value_put, "user", text("ada")));
  C(close);
  ck_assert_int_eq(own_locks(), 0);
  GOOD(C(open));
}
END_TEST

static void sql(const char *text_) {
  sqlite3 *db;
  C(close);
  GOOD(sqlite3_open(path, &db));
  GOOD(sqlite3_exec(db, text_, NULL, NULL, NULL));
  sqlite3_close(db);
}

/* Which named each row that search does not know. */
START_TEST(the_index_of_version_1_goes_on) {
  GOOD(C(begin));
  put_row(A, 1, "old apple");
  put_row(A, 2, "old pear");
  GOOD(C(commit, 0));
  ck_assert_int_eq(C(index, 1), 1);
  sql("INSERT INTO unindexed VALUES (2); ALTER TABLE state DROP COLUMN indexed; PRAGMA user_version = 1");
  GOOD(C(open));
  GOOD(C(begin));
  put_row(A, 3, "new apple");
  GOOD(C(commit, 0));
  ck_assert_int_eq(C(index, 10), 2);
  check_search("apple", NULL, 0, 10, "013 011 ");
  check_search("pear", NULL, 0, 10, "012 ");
  GOOD(C(begin));
  put_row(A, 1, "changed");
  GOOD(C(commit, 0));
  ck_assert_int_eq(C(index, 10), 1);
  check_search("apple", NULL, 0, 10, "013 ");
}
END_TEST

START_TEST(a_newer_version_is_refused) {
  sql("PRAGMA user_version = 99");
  ck_assert_int_eq(C(open), CHAT_E_VERSION);
  sql("PRAGMA user_version = 2"); /* nothing was touched, and no lock kept */
  GOOD(C(open));
}
END_TEST

START_TEST(an_older_version_is_brought_up) {
  static const char *const steps[] = {"CREATE TABLE first (a)", "ALTER TABLE first ADD COLUMN b DEFAULT 7"};
  static const char *const broken[] = {"CREATE TABLE first (a)", "ALTER TABLE first ADD COLUMN b DEFAULT 7", "CREATE TABLE third (a); nonsense"};
  sqlite3 *db;
  GOOD(sqlite3_open(":memory:", &db));
  GOOD(ch_cache_schema_migrate(db, steps, 1));
  GOOD(sqlite3_exec(db, "INSERT INTO first VALUES (1)", NULL, NULL, NULL));
  GOOD(ch_cache_schema_migrate(db, steps, 2));
  GOOD(ch_cache_schema_migrate(db, steps, 2));
  GOOD(sqlite3_exec(db, "SELECT a, b FROM first", NULL, NULL, NULL));
  ck_assert_int_eq(ch_cache_schema_migrate(db, broken, 3), CHAT_E_IO);
  ck_assert_int_ne(sqlite3_exec(db, "SELECT * FROM third", NULL, NULL, NULL), SQLITE_OK); /* a step is whole or not at all */
  GOOD(ch_cache_schema_migrate(db, steps, 2));
  ck_assert_int_eq(ch_cache_schema_migrate(db, steps, 1), CHAT_E_VERSION);
  sqlite3_close(db);
}
END_TEST

static void fill_for_damage(void) {
  char body[400];
  chat_cache_conversation c = {.kind = CHAT_GROUP, .role = CHAT_ROLE_OWNER, .head = 9, .cursor = 9, .next_client_seq = 42, .title = text("team")};
  memcpy(c.conversation_id, A, 16);
  memset(body, 'x', sizeof body - 1);
  body[sizeof body - 1] = 0;
  GOOD(C(begin));
  GOOD(C(value_put, "user", text("ada")));
  GOOD(C(value_put, "position", text("123")));
  put_outbox(A, 1, 41, "unsent");
  GOOD(C(conversation_put, &c));
  for (uint64_t seq = 1; seq <= 2000; seq++) put_row(A, seq, body);
  GOOD(C(commit, 1));
}

/* Garbage from that part of the file to its end. */
static void damage(double from) {
  struct stat info;
  C(close);
  GOOD(stat(path, &info));
  FILE *file = fopen(path, "r+");
  GOOD(fseek(file, (long)((double)info.st_size * from) / 4096 * 4096, SEEK_SET));
  for (long at = ftell(file); at < info.st_size; at++) fputc(at * 31 % 251, file);
  fclose(file);
}

START_TEST(damage_is_set_aside_and_the_outbox_saved) {
  char name[128];
  int count = 0;
  chat_bytes value;
  fill_for_damage();
  damage(0.5);
  sql("UPDATE state SET clean = 0");
  ck_assert_int_eq(C(open), CHAT_E_CORRUPT);
  GOOD(C(set_aside, name, sizeof name));
  ck_assert_int_eq(access(name, F_OK), 0);
  check_outbox("01/41/-26/unsent ");
  GOOD(C(value_get, "user", &value));
  check_text(value, "ada");
  ck_assert_int_eq(C(value_get, "position", &value), CHAT_E_NOT_FOUND);
  GOOD(C(conversation_list, keep_conversation, &count));
  ck_assert_int_eq(count, 1);
  ck_assert_uint_eq(kept.next_client_seq, 42);
  ck_assert_uint_eq(kept.cursor, 0);
  ck_assert_uint_eq(kept.members_stale, 1);
  check_rows(0, 10, 10, 0, "");
  reopen();
  check_outbox("01/41/-26/unsent ");
}
END_TEST

START_TEST(no_database_at_all_is_set_aside) {
  char name[128];
  fill_for_damage();
  damage(0);
  ck_assert_int_eq(C(open), CHAT_E_CORRUPT);
  GOOD(C(set_aside, name, sizeof name));
  check_outbox("");
}
END_TEST

START_TEST(an_interrupted_set_aside_is_finished) {
  char other[80];
  put_outbox(A, 1, 1, "kept"), C(close); /* outside a transaction: committed by itself */
  snprintf(other, sizeof other, "%s-new", path);
  GOOD(rename(path, other));
  GOOD(C(open));
  check_outbox("01/1/-26/kept ");
}
END_TEST

START_TEST(wipe_leaves_no_plaintext) {
  GOOD(C(begin));
  put_row(A, 1, "zanzibarish");
  put_outbox(A, 1, 1, "zanzibarish");
  GOOD(C(commit, 1));
  C(index, 10);
  C(close);
  snprintf(command, sizeof command, "grep -rq zanzibarish %s", folder);
  GOOD(system(command)); /* the test can see it */
  GOOD(C(open));
  GOOD(C(wipe));
  C(close);
  ck_assert_int_ne(system(command), 0);
  GOOD(C(open));
}
END_TEST

START_TEST(killed_in_the_middle) {
  for (int round = 0; round < 5; round++) {
    int ends[2];
    uint64_t said = 0, number;
    chat_bytes value;
    C(close);
    GOOD(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
      if (C(open)) _exit(1);
      for (number = 1;; number++) {
        if (C(begin) || C(value_put, "number", (chat_bytes){(uint8_t *)&number, sizeof number})) _exit(1);
        put_row(A, number, "written and killed");
        if (C(commit, 1) || write(ends[1], &number, sizeof number) != sizeof number) _exit(1);
      }
    }
    close(ends[1]);
    while (read(ends[0], &number, sizeof number) == sizeof number) {
      said = number;
      if (said == (uint64_t)(20 + 7 * round)) kill(child, SIGKILL);
    }
    close(ends[0]);
    waitpid(child, NULL, 0);
    ck_assert_uint_ge(said, 20);
    GOOD(C(open));
    GOOD(C(value_get, "number", &value));
    memcpy(&number, value.data, sizeof number);
    ck_assert_uint_ge(number, said);
    listed[0] = 0;
    GOOD(C(rows, A, number - 1, number + 1, 2, 0, list_row, NULL)); /* the row of that number, and none above it */
    ck_assert_int_eq(atoi(listed + 2), (int)number);
    GOOD(C(wipe));
  }
}
END_TEST

static int count_rows(void *arg, const chat_row *row) {
  (void)row;
  ++*(uint64_t *)arg;
  return 0;
}

/* A bound on the database's pages gives the error of a full disk. Nothing half stays, and later it goes on. */
START_TEST(no_space) {
  uint64_t before = 0, after = 0;
  fill_for_damage();
  GOOD(C(rows, A, 0, UINT64_MAX, 10000, 0, count_rows, &before));
  sqlite3 *db = ((ch_cache_sqlite *)cache->self)->db.handle;
  GOOD(sqlite3_exec(db, "PRAGMA max_page_count = 1", NULL, NULL, NULL)); /* never below what there is */
  GOOD(C(begin));
  int error = 0;
  for (uint64_t seq = 3000; !error && seq < 9000; seq++) {
    chat_row row = row_of(A, seq, "more than there is room for");
    error = C(row_put, &row);
  }
  ck_assert_int_eq(error, CHAT_E_FULL);
  C(rollback);
  GOOD(C(rows, A, 0, UINT64_MAX, 10000, 0, count_rows, &after));
  ck_assert_uint_eq(after, before);
  GOOD(sqlite3_exec(db, "PRAGMA max_page_count = 1000000", NULL, NULL, NULL));
  GOOD(C(begin));
  put_row(A, 3000, "room again");
  GOOD(C(commit, 1));
}
END_TEST

static void add_contract(TCase *tcase) {
  tcase_add_test(tcase, values);
  tcase_add_test(tcase, a_rollback_leaves_nothing);
  tcase_add_test(tcase, outbox);
  tcase_add_test(tcase, conversations);
  tcase_add_test(tcase, members);
  tcase_add_test(tcase, rows_by_seq_and_client_id);
  tcase_add_test(tcase, cover_merges);
  tcase_add_test(tcase, search_finds_what_is_indexed);
  tcase_add_test(tcase, search_follows_changes);
  tcase_add_test(tcase, history_is_forgotten);
  tcase_add_test(tcase, wipe_empties);
}

int main(void) {
  Suite *suite = suite_create("cache");
  TCase *mem = tcase_create("mem"), *sqlite = tcase_create("sqlite"), *files = tcase_create("files of sqlite");
  tcase_add_checked_fixture(mem, setup_mem, teardown);
  tcase_add_checked_fixture(sqlite, setup_sqlite, teardown);
  tcase_add_checked_fixture(files, setup_sqlite, teardown);
  tcase_set_timeout(files, 60);
  add_contract(mem);
  add_contract(sqlite);
  tcase_add_test(files, one_owner);
  tcase_add_test(files, no_lock_after_close);
  tcase_add_test(files, the_index_of_version_1_goes_on);
  tcase_add_test(files, a_newer_version_is_refused);
  tcase_add_test(files, an_older_version_is_brought_up);
  tcase_add_test(files, damage_is_set_aside_and_the_outbox_saved);
  tcase_add_test(files, no_database_at_all_is_set_aside);
  tcase_add_test(files, an_interrupted_set_aside_is_finished);
  tcase_add_test(files, wipe_leaves_no_plaintext);
  tcase_add_test(files, killed_in_the_middle);
  tcase_add_test(files, no_space);
  suite_add_tcase(suite, mem);
  suite_add_tcase(suite, sqlite);
  suite_add_tcase(suite, files);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
