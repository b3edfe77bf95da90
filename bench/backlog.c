/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backlog.c - a client that was away takes what it missed into its database; then the same rows go into a bare SQLite table.
 *
 *   backlog PORT USER PEER COUNT FOLDER
 *
 * The client is chat_client over its SQLite cache, a new device that wants everything. Bare is: a prepared INSERT in log order into a table with the cache's columns and a narrow
 * unique index, 200 rows (a page of the protocol) a transaction, WAL, synchronous NORMAL as the client has it. Prints a line of JSON.
 */
#include <chat/client.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "core/bytes.h"
#include "core/conversation_id.h"
#include "engine/load.h"

enum { ASK_EACH_MS = 10, GIVE_UP_S = 300, TAG_CURSOR = 1, COLUMNS = 12 };

typedef struct work_cost {
  double seconds, cpu_s;
} work_cost;

static double cpu_s(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static work_cost cost_now(void) {
  return (work_cost){(double)clock_now_ns() / 1e9, cpu_s()};
}

static work_cost cost_since(work_cost begin) {
  work_cost now = cost_now();
  return (work_cost){now.seconds - begin.seconds, now.cpu_s - begin.cpu_s};
}

/* ------------------------------------------------------------------------------------------------ the client */

static void set(chat_client *client, const char *name, const char *value) {
  int error = chat_client_set(client, name, value);
  if (error) load_fail("%s = %s: error %d", name, value, error);
}

static chat_client *open_client(const char *port, const char *user, const char *count, const char *database) {
  chat_client *client;
  char text[64];
  if (chat_client_new(CHAT_API_VERSION, NULL, &client)) load_fail("no client");
  snprintf(text, sizeof text, "ws://127.0.0.1:%s/", port);
  set(client, "url", text);
  snprintf(text, sizeof text, "dev:%s", user);
  set(client, "token", text);
  set(client, "prefetch", count);
  set(client, "database", database);
  return client;
}

/* How far the client says that it is; events are drained, as an application does. */
static uint64_t cursor_of(chat_client *client, const uint8_t conversation_id[16]) {
  const chat_event *event;
  uint64_t cursor = 0;
  chat_client_conversation(client, TAG_CURSOR, conversation_id);
  while ((event = chat_client_wait(client, ASK_EACH_MS)))
    if (event->type == CHAT_EVENT_REPLY && event->tag == TAG_CURSOR && event->conversation_count) cursor = event->conversations[0]->cursor;
  return cursor;
}

static work_cost take_backlog(chat_client *client, const uint8_t conversation_id[16], uint64_t count) {
  work_cost begin = cost_now();
  int error = chat_client_start(client);
  if (error) load_fail("the client does not start: error %d", error);
  while (cursor_of(client, conversation_id) < count)
    if (cost_since(begin).seconds > GIVE_UP_S)
      load_fail("the client did not take %llu messages in %d s", (unsigned long long)count, GIVE_UP_S);
  return cost_since(begin);
}

/* ------------------------------------------------------------------------------------------------ bare */

static void check(sqlite3 *database, int code) {
  if (code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE) load_fail("SQLite: %s", sqlite3_errmsg(database));
}

static sqlite3 *open_database(const char *path) {
  sqlite3 *database;
  if (sqlite3_open(path, &database)) load_fail("%s does not open", path);
  return database;
}

static void execute(sqlite3 *database, const char *sql) {
  check(database, sqlite3_exec(database, sql, NULL, NULL, NULL));
}

static sqlite3_stmt *prepare(sqlite3 *database, const char *sql) {
  sqlite3_stmt *statement;
  check(database, sqlite3_prepare_v2(database, sql, -1, &statement, NULL));
  return statement;
}

/* All rows of the client's database, in memory, so that reading them is not timed. */
static sqlite3_value **read_rows(const char *path, uint64_t count) {
  sqlite3_value **values = calloc(count * COLUMNS, sizeof *values);
  sqlite3 *database = open_database(path);
  sqlite3_stmt *select = prepare(database, "SELECT id, place, seq, msg_no, message_id, created_ms, client_seq, sender, device_id, "
                                           "client_id, type, payload FROM row ORDER BY id");
  uint64_t row = 0;
  if (!values) load_fail("no memory");
  for (; sqlite3_step(select) == SQLITE_ROW && row < count; row++)
    for (int column = 0; column < COLUMNS; column++)
      values[row * COLUMNS + (uint64_t)column] = sqlite3_value_dup(sqlite3_column_value(select, column));
  if (row != count) load_fail("the client has %llu rows of %llu", (unsigned long long)row, (unsigned long long)count);
  sqlite3_finalize(select);
  sqlite3_close(database);
  return values;
}

static void insert_rows(sqlite3 *database, sqlite3_value **values, uint64_t count) {
  sqlite3_stmt *insert = prepare(database, "INSERT INTO row VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  for (uint64_t row = 0; row < count; row++) {
    if (row % CHAT_PAGE_MAX == 0) execute(database, row ? "COMMIT; BEGIN" : "BEGIN");
    for (int column = 0; column < COLUMNS; column++)
      sqlite3_bind_value(insert, column + 1, values[row * COLUMNS + (uint64_t)column]);
    check(database, sqlite3_step(insert));
    sqlite3_reset(insert);
  }
  execute(database, "COMMIT");
  sqlite3_finalize(insert);
}

static work_cost insert_bare(const char *path, sqlite3_value **values, uint64_t count) {
  sqlite3 *database = open_database(path);
  execute(database, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                    "CREATE TABLE row (id INTEGER PRIMARY KEY, place, seq, msg_no, message_id, created_ms, client_seq, sender, device_id, "
                    "client_id, type, payload);"
                    "CREATE UNIQUE INDEX row_seq ON row (place, seq);");
  work_cost begin = cost_now();
  insert_rows(database, values, count);
  work_cost cost = cost_since(begin);
  sqlite3_close(database);
  return cost;
}

static void free_rows(sqlite3_value **values, uint64_t count) {
  for (uint64_t i = 0; i < count * COLUMNS; i++)
    sqlite3_value_free(values[i]);
  free(values);
}

/* ------------------------------------------------------------------------------------------------ both */

static long peak_kib(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: backlog PORT USER PEER COUNT FOLDER\n");
    return 2;
  }
  char database[4096], bare[4096];
  uint8_t conversation_id[16];
  uint64_t count = strtoull(argv[4], NULL, 10);
  snprintf(database, sizeof database, "%s/client", argv[5]);
  snprintf(bare, sizeof bare, "%s/bare", argv[5]);
  ch_conversation_id_direct(ch_bytes_text(argv[2]), ch_bytes_text(argv[3]), conversation_id);
  chat_client *client = open_client(argv[1], argv[2], argv[4], database);
  work_cost ours = take_backlog(client, conversation_id, count);
  chat_client_free(client);
  long peak = peak_kib();
  sqlite3_value **values = read_rows(database, count);
  work_cost base = insert_bare(bare, values, count);
  free_rows(values, count);
  printf("{\"count\": %llu, \"seconds\": %.3f, \"cpu_s\": %.3f, \"peak_kib\": %ld, \"bare_seconds\": %.3f, \"bare_cpu_s\": %.3f}\n",
         (unsigned long long)count, ours.seconds, ours.cpu_s, peak, base.seconds, base.cpu_s);
  return 0;
}
