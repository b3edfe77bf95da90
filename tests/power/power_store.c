/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store, by its ports: after every cut it is as behind one of the batches, not before what it had said to be synced (so that the log may be cut up to there), and what comes again from the log
 * makes it the same as if there had been no cut. The session number of a device is there once its PUT was acknowledged. The index finds what is stored, and nothing else.
 */
#define _DEFAULT_SOURCE
#include "backend/store_sqlite/store_sqlite.h"
#include "power/life.h"
#include "unit/backend/store_example.h"

enum { CONVERSATIONS = 3, ROWS_MAX = 6 };

typedef struct promised {
  uint64_t synced, tried; /* positions, one for each batch */
  uint64_t session, session_tried;
} promised;

static promised *known;

/* ------------------------------------------------------------------------------------------------ batch n, a function of n as of the log */

static uint64_t mixed(uint64_t n) {
  return (n * 0x9e3779b97f4a7c15u) >> 33;
}

static uint8_t conversation_of(uint64_t n) {
  return (uint8_t)(1 + mixed(n) % CONVERSATIONS);
}

static uint64_t rows_of(uint64_t n) {
  return 1 + mixed(n + 1000003) % ROWS_MAX;
}

/* Its head behind batch n. */
static uint64_t head_of(uint8_t conversation, uint64_t n) {
  uint64_t head = 0;
  for (uint64_t i = 1; i <= n; i++)
    if (conversation_of(i) == conversation) head += rows_of(i);
  return head;
}

static chat_store_apply *batch(uint64_t n) {
  uint8_t conversation = conversation_of(n);
  uint64_t head = head_of(conversation, n);
  chat_store_apply *apply = apply_of(conversation, head - rows_of(n) + 1, head);
  apply->position = apply->states[0].position = n;
  return apply;
}

/* ------------------------------------------------------------------------------------------------ after a cut */

static chat_store_position stored_position(void) {
  chat_store_position *ask = ch_op_new(NULL, CHAT_OP_STORE_POSITION, sizeof *ask);
  life_do(bench_do(&bench, ask));
  chat_store_position copy = *ask;
  ch_op_free(&ask->op);
  return copy;
}

static void check_row(const chat_row *row, uint64_t seq) {
  char body[64];
  chat_op *op = ch_op_new(NULL, CHAT_OP_STORE_RANGE, sizeof(chat_store_range));
  snprintf(body, sizeof body, "message number%d of many", (int)seq);
  chat_row want = row_of(op, row->conversation_id[0], seq, body);
  life_check(row->seq == seq && row->msg_no == seq && row->message_id == want.message_id && row->created_ms == want.created_ms &&
             row->client_seq == seq);
  life_check(memcmp(row->client_id, want.client_id, 16) == 0 && ch_bytes_equal(row->sender, want.sender) &&
             ch_bytes_equal(row->payload, want.payload));
  ch_op_free(op);
}

static chat_store_range *rows_above(uint8_t conversation, uint64_t low) {
  chat_store_range *range = ch_op_new(NULL, CHAT_OP_STORE_RANGE, sizeof *range);
  id_of(range->conversation_id, conversation);
  range->user = text("alice");
  range->low = low;
  range->limit = 200;
  int error = bench_do(&bench, range);
  life_check(error == 0 || error == CHAT_E_NOT_FOUND);
  return range;
}

/* Rows 1 to head, and nothing behind. */
static void check_conversation(uint8_t conversation, uint64_t head) {
  for (uint64_t seq = 0, before = 1; before != seq;) {
    before = seq;
    chat_store_range *got = rows_above(conversation, seq);
    life_check(head == 0 ? got->state.kind == 0 : got->state.head == head && got->state.msg_no == head);
    for (size_t i = 0; i < got->row_count; i++)
      check_row(&got->rows[i], ++seq);
    life_check(got->row_count > 0 || seq == head);
    ch_op_free(&got->op);
  }
}

static void check_device(void) {
  chat_store_device *get = ch_op_new(NULL, CHAT_OP_STORE_DEVICE, sizeof *get);
  get->verb = CHAT_DEVICE_GET;
  get->user = text("alice");
  id_of(get->device.device_id, 1);
  int error = bench_do(&bench, get);
  life_check(error == 0 || (error == CHAT_E_NOT_FOUND && known->session == 0));
  uint64_t session = error ? 0 : get->device.session;
  life_check(session >= known->session && session <= known->session_tried);
  known->session = known->session_tried = session;
  ch_op_free(&get->op);
}

static uint64_t indexed_position(void) {
  chat_store_search *ask = search_op("alice", "message", 1);
  life_do(bench_do(&bench, ask));
  uint64_t at = ask->indexed_position;
  ch_op_free(&ask->op);
  return at;
}

/* Each conversation has the message with this number, or has not come to it. */
static void check_index(uint64_t n) {
  while (indexed_position() < n)
    usleep(1000);
  char query[32];
  uint64_t seq = 1 + life_draw(head_of(1, n) + 2);
  size_t wanted = 0;
  snprintf(query, sizeof query, "number%d", (int)seq);
  for (uint8_t conversation = 1; conversation <= CONVERSATIONS; conversation++)
    wanted += head_of(conversation, n) >= seq;
  chat_store_search *ask = search_op("alice", query, 20);
  life_check(bench_do(&bench, ask) == 0 && ask->row_count == wanted);
  for (size_t i = 0; i < ask->row_count; i++)
    check_row(&ask->rows[i], seq);
  ch_op_free(&ask->op);
}

static uint64_t check(void) {
  uint64_t n = stored_position().position;
  life_check(n >= known->synced && n <= known->tried);
  for (uint8_t conversation = 1; conversation <= CONVERSATIONS; conversation++)
    check_conversation(conversation, head_of(conversation, n));
  check_device();
  if (n > 0 && life_chance(50)) check_index(n);
  return n;
}

/* ------------------------------------------------------------------------------------------------ life */

static void put_device(void) {
  chat_store_device *put = ch_op_new(NULL, CHAT_OP_STORE_DEVICE, sizeof *put);
  put->verb = CHAT_DEVICE_PUT;
  put->user = text("alice");
  put->expect_session = known->session;
  put->device = (chat_device){.name = text("phone"), .session = known->session + 1, .created_ms = 5, .seen_ms = 6};
  id_of(put->device.device_id, 1);
  put->devices_max = 2;
  known->session_tried = known->session + 1;
  life_do(bench_do(&bench, put));
  known->session = known->session_tried;
  ch_op_free(&put->op);
}

/* Some batches at once, as a sequencer that is ahead would not do, so that they are committed in groups. */
static uint64_t apply_some(uint64_t n) {
  uint64_t count = 1 + life_draw(4);
  known->tried = n + count;
  for (uint64_t i = 1; i <= count; i++)
    bench_submit(&bench, batch(n + i));
  for (uint64_t i = 1; i <= count; i++) {
    chat_op *op = bench_next(&bench);
    life_do(op->status);
    ch_op_free(op);
  }
  return n + count;
}

static void live(const char *folder, void *promises) {
  char path[128];
  chat_backend store;
  known = promises;
  snprintf(path, sizeof path, "%s/store.db", folder);
  ch_store_sqlite_config config = {.path = path,
                                   .reader_threads = 1,
                                   .check = 1,
                                   .checkpoint_pages = 20,
                                   .checkpoint_ms = 5,
                                   .sync = life_chance(10) ? CH_STORE_SYNC_FULL : CH_STORE_SYNC_NORMAL};
  life_do(ch_store_sqlite_new(&config, &store));
  bench_open(&bench, store);
  uint64_t n = check();
  while (!life_chance(2)) {
    n = apply_some(n);
    if (life_chance(10)) put_device();
    if (life_chance(30)) known->synced = stored_position().synced;
    if (life_chance(5)) check();
  }
  bench_close(&bench);
}

int main(int argc, char **argv) {
  return life_main(argc, argv, &(life_subject){.name = "store", .calls_max = 400, .promised_len = sizeof(promised), .live = live});
}
