/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c - the embedded store without a server, through its port.
 *
 *   store fill DATA MESSAGES CONVERSATIONS          writes history (store/history.h) for a chatd with --data=DATA
 *   store pages DATA MESSAGES CONVERSATIONS COUNT   reads COUNT pages of 50 at random places of it
 *   store index DATA                                makes the full-text index of a stopped server's data anew
 *
 * Prints a line of JSON with what it took.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/store_sqlite/index.h"
#include "core/op.h"
#include "engine/load.h"
#include "store/history.h"

enum { PAGE = 50 };

static uint64_t number(const char *text) {
  char *end;
  uint64_t value = strtoull(text, &end, 10);
  if (!*text || *end || !value) load_fail("not a number above 0: %s", text);
  return value;
}

static uint64_t draw(uint64_t below) {
  static uint64_t random = 88172645463325252ull;
  random ^= random << 13;
  random ^= random >> 7;
  random ^= random << 17;
  return random % below;
}

static void read_page(store_port *port, const store_history *history, bench_histogram *times) {
  char user[16];
  uint64_t head = history->messages / history->conversations;
  chat_store_range *range = ch_op_new(NULL, CHAT_OP_STORE_RANGE, sizeof *range);
  if (!range) load_fail("no memory");
  store_history_conversation(draw(history->conversations), range->conversation_id, user);
  range->user = ch_bytes_text(user);
  range->low = draw(head - PAGE);
  range->limit = PAGE;
  uint64_t began_ns = clock_now_ns();
  int status = store_port_do(port, &range->op);
  histogram_record(times, clock_now_ns() - began_ns);
  if (status || range->row_count != PAGE) load_fail("a page of %zu rows, error %d", range->row_count, status);
  ch_op_free(&range->op);
}

static void pages(store_port *port, const store_history *history, uint64_t count) {
  static bench_histogram warming, times;
  for (uint64_t i = 0; i < count / 4; i++)
    read_page(port, history, &warming);
  for (uint64_t i = 0; i < count; i++)
    read_page(port, history, &times);
  printf("{\"pages\": %llu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f}\n", (unsigned long long)count,
         (double)histogram_at(&times, 0.5) / 1e3, (double)histogram_at(&times, 0.99) / 1e3, (double)histogram_at(&times, 0.999) / 1e3);
}

static void fill(store_port *port, const store_history *history) {
  uint64_t began_ns = clock_now_ns();
  store_history_fill(port, history);
  printf("{\"messages\": %llu, \"seconds\": %.3f}\n", (unsigned long long)history->messages, (double)(clock_now_ns() - began_ns) / 1e9);
}

static double cpu_now_s(void) {
  struct timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static uint64_t events_in(ch_sqlite_db *db) {
  sqlite3_stmt *statement;
  uint64_t count = 0;
  if (sqlite3_prepare_v2(db->handle, "SELECT sum(count) FROM run", -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
    count = (uint64_t)sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return count;
}

/* By the store's own indexer, as its thread runs it when it is far behind. */
static void make_index(const char *data) {
  ch_sqlstore_indexer indexer;
  char path[4096];
  uint64_t erased;
  int more;
  snprintf(path, sizeof path, "%s/store", data);
  ch_sqlstore_index_remove(path);
  if (ch_sqlstore_indexer_open(&indexer, NULL, path)) load_fail("%s has no store", data);
  uint64_t count = events_in(&indexer.main);
  double begin_s = cpu_now_s();
  while ((more = ch_sqlstore_indexer_step(&indexer, &erased)) > 0)
    sqlite3_wal_checkpoint_v2(indexer.index.handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  double used_s = cpu_now_s() - begin_s;
  if (more < 0) load_fail("the index is not made: error %d", more);
  ch_sqlstore_indexer_close(&indexer);
  printf("{\"messages\": %llu, \"cpu_us_a_message\": %.2f}\n", (unsigned long long)count, used_s / (double)count * 1e6);
}

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "index")) {
    make_index(argv[2]);
    return 0;
  }
  bool fills = argc == 5 && !strcmp(argv[1], "fill"), reads = argc == 6 && !strcmp(argv[1], "pages");
  if (!fills && !reads) {
    fprintf(stderr, "usage: store fill DATA MESSAGES CONVERSATIONS | store pages DATA MESSAGES CONVERSATIONS COUNT | store index DATA\n");
    return 2;
  }
  store_history history = {.messages = number(argv[3]), .conversations = number(argv[4])};
  store_port port;
  store_port_open(&port, argv[2]);
  if (fills)
    fill(&port, &history);
  else
    pages(&port, &history, number(argv[5]));
  store_port_close(&port);
  return 0;
}
