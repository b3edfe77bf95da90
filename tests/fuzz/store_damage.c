/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store's database and its index after damage to their files, or with other contents. Whatever it is: opening and each op end, with an error that is promised or with an answer within
 * what was asked: rows of one conversation, dense and rising, no more than the limit; an index that is damaged is made anew.
 *
 * Input: see support/damage.h, then support/contents.h for each of the two; then words to search for.
 */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/store_sqlite/store_sqlite.h"
#include "fuzz/fuzz.h"
#include "fuzz/support/contents.h"
#include "fuzz/support/damage.h"
#include "unit/backend/store_example.h"

enum { ROWS = 30, LIMIT = 20, TRIES = 200 };

static fuzz_files files;

static int open_store(void) {
  char path[FUZZ_PATH_LEN + 16];
  chat_backend store;
  snprintf(path, sizeof path, "%s/store", files.folder);
  ch_store_sqlite_config config = {.path = path, .reader_threads = 1, .sync = CH_STORE_SYNC_NORMAL, .check = 0};
  int error = ch_store_sqlite_new(&config, &store);
  if (!error) bench_open(&bench, store);
  return error;
}

static void is_promised(int error) {
  ch_assert(error == 0 || error == CHAT_E_CORRUPT || error == CHAT_E_NOT_FOUND || error == CHAT_E_INVALID || error == CHAT_E_IO ||
            error == CHAT_E_FULL || error == CHAT_E_TOO_LARGE || error == CHAT_E_CONFLICT || error == CHAT_E_VERSION ||
            error == CHAT_E_AGAIN);
}

/* --- each op --- */

static size_t touched; /* so that a read is not left out */

static void touch(chat_bytes bytes) {
  for (size_t i = 0; i < bytes.len; i++)
    touched += bytes.data[i];
}

static void do_state(uint8_t conversation) {
  chat_store_state *op = ch_op_new(NULL, CHAT_OP_STORE_STATE, sizeof *op);
  id_of(op->conversation_id, conversation);
  int status = bench_do(&bench, op);
  is_promised(status);
  for (size_t i = 0; status == 0 && i < op->state.member_count_here; i++) {
    touch(op->state.members[i].user);
    ch_assert(op->state.members[i].interval_count <= CHAT_MEMBER_INTERVALS_MAX);
  }
  ch_op_free(&op->op);
}

static void do_range(uint8_t conversation, uint64_t low, uint32_t newest_first) {
  chat_store_range *op = ch_op_new(NULL, CHAT_OP_STORE_RANGE, sizeof *op);
  id_of(op->conversation_id, conversation);
  op->user = text("bob");
  op->low = low;
  op->limit = LIMIT;
  op->newest_first = newest_first;
  int status = bench_do(&bench, op);
  is_promised(status);
  ch_assert(status || op->row_count <= LIMIT);
  for (size_t i = 0; status == 0 && i < op->row_count; i++) {
    const chat_row *row = &op->rows[i];
    ch_assert(memcmp(row->conversation_id, op->conversation_id, 16) == 0);
    ch_assert(row->seq > low && row->seq <= op->state.head && (i == 0 || row->seq == row[-1].seq + 1));
    touch(row->sender);
    touch(row->payload);
  }
  ch_op_free(&op->op);
}

static void do_heads(void) {
  chat_store_heads *op = ch_op_new(NULL, CHAT_OP_STORE_HEADS, sizeof *op);
  op->user = text("bob");
  op->limit = LIMIT;
  int status = bench_do(&bench, op);
  is_promised(status);
  for (size_t i = 0; status == 0 && i < op->head_count; i++)
    touch(op->heads[i].title);
  ch_op_free(&op->op);
}

static void do_members(uint8_t conversation) {
  chat_store_members *op = ch_op_new(NULL, CHAT_OP_STORE_MEMBERS, sizeof *op);
  id_of(op->conversation_id, conversation);
  op->user = text("bob");
  op->limit = LIMIT;
  int status = bench_do(&bench, op);
  is_promised(status);
  ch_assert(status || op->member_count <= LIMIT);
  for (size_t i = 0; status == 0 && i < op->member_count; i++)
    touch(op->members[i].user);
  ch_op_free(&op->op);
}

static uint64_t do_search(chat_bytes query) {
  chat_store_search *op = ch_op_new(NULL, CHAT_OP_STORE_SEARCH, sizeof *op);
  op->user = text("bob");
  op->query = chat_op_copy(&op->op, query);
  op->limit = LIMIT;
  int status = bench_do(&bench, op);
  is_promised(status);
  for (size_t i = 0; status == 0 && i < op->row_count; i++) {
    touch(op->rows[i].payload);
    ch_assert(i == 0 || op->rows[i].message_id <= op->rows[i - 1].message_id);
  }
  uint64_t position = status ? 0 : op->indexed_position;
  ch_op_free(&op->op);
  return position;
}

static void do_device(uint32_t verb) {
  chat_store_device *op = ch_op_new(NULL, CHAT_OP_STORE_DEVICE, sizeof *op);
  op->verb = verb;
  op->user = text("bob");
  op->device.name = text("phone");
  op->devices_max = 4;
  memset(op->device.device_id, 0xd2, 16);
  op->device.session_next = 1;
  is_promised(bench_do(&bench, op));
  ch_op_free(&op->op);
}

static void do_position(void) {
  chat_store_position *op = ch_op_new(NULL, CHAT_OP_STORE_POSITION, sizeof *op);
  is_promised(bench_do(&bench, op));
  ch_op_free(&op->op);
}

static void do_marks(void) {
  chat_store_watermarks *op = ch_op_new(NULL, CHAT_OP_STORE_WATERMARKS, sizeof *op);
  chat_watermark mark = {.user = text("bob"), .delivered = 3, .read = 2};
  id_of(mark.conversation_id, CONVERSATION_A);
  op->marks = &mark;
  op->count = 1;
  is_promised(bench_do(&bench, op));
  ch_op_free(&op->op);
}

static void do_prune(void) {
  chat_store_prune *op = ch_op_new(NULL, CHAT_OP_STORE_PRUNE, sizeof *op);
  op->before_ms = 1010;
  op->limit = 100;
  is_promised(bench_do(&bench, op));
  ch_op_free(&op->op);
}

static void do_everything(chat_bytes query) {
  do_position();
  for (int i = 0; i < 2; i++) {
    uint8_t conversation = i ? CONVERSATION_B : CONVERSATION_A;
    do_state(conversation);
    do_range(conversation, 0, 0);
    do_range(conversation, 5, 1);
    do_members(conversation);
  }
  do_heads();
  do_device(CHAT_DEVICE_GET);
  do_device(CHAT_DEVICE_PUT);
  do_marks();
  if (query.len > 0) do_search(query);
  do_search(text("message number3*"));
  is_promised(apply_now(apply_of(CONVERSATION_A, ROWS + 1, ROWS + 3)));
  do_range(CONVERSATION_A, ROWS - 2, 0);
  do_prune();
  do_range(CONVERSATION_A, 0, 0);
}

/* --- life --- */

static void remove_folder(void) {
  fuzz_files_damage(&files, &(fuzz_input){NULL, 0});
  fuzz_folder_remove(files.folder);
}

/* As it is while it is used: with logs beside the databases, and the index full. */
static void make_files(void) {
  char folder[FUZZ_PATH_LEN];
  fuzz_folder_make(files.folder);
  ch_assert(open_store() == 0);
  ch_assert(apply_now(apply_of(CONVERSATION_A, 1, ROWS)) == 0);
  bench_close(&bench);
  ch_assert(open_store() == 0);
  ch_assert(apply_now(apply_of(CONVERSATION_B, ROWS + 1, 2 * ROWS)) == 0);
  do_device(CHAT_DEVICE_PUT);
  for (int tries = 0; do_search(text("message")) < 2 * ROWS && tries < TRIES; tries++)
    usleep(10000);
  memcpy(folder, files.folder, sizeof folder);
  fuzz_files_read(&files, folder);
  bench_close(&bench);
  atexit(remove_folder);
}

static void change_contents(const char *name, fuzz_input *input) {
  char path[FUZZ_PATH_LEN + 16];
  snprintf(path, sizeof path, "%s/%s", files.folder, name);
  fuzz_contents_change(path, input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input input = {data, len};
  if (files.count == 0) make_files();
  fuzz_files_damage(&files, &input);
  change_contents("store", &input);
  change_contents("store-search", &input);
  int error = open_store();
  ch_assert(error == 0 || error == CHAT_E_CORRUPT || error == CHAT_E_VERSION || error == CHAT_E_IO);
  if (error) return 0;
  do_everything(ch_bytes_of(input.data, input.len <= 256 ? input.len : 256));
  bench_close(&bench);
  return 0;
}
