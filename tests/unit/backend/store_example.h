/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_example.h - conversations of alice and bob that tests put into a store and look for again, through the port `bench`.
 *
 * Event n of a conversation has number n, message_id 10 n, time 1000 + n and position n, where a test says nothing else.
 */
#ifndef CH_TEST_STORE_EXAMPLE_H
#define CH_TEST_STORE_EXAMPLE_H

#include <check.h>
#include <unistd.h>

#include "bench_port.h"
#include "core/buf.h"
#include "core/bytes.h"
#include "core/op.h"
#include "core/wire.h"

static bench_port bench;

enum { CONVERSATION_A = 0xa0, CONVERSATION_B = 0xb0 };

static inline uint8_t *id_of(uint8_t id[16], uint8_t name) {
  memset(id, name, 16);
  return id;
}

/* A message with this body, as the wire has it; lives as long as the op. */
static inline chat_bytes message(chat_op *op, const char *body) {
  ch_buf buf;
  ch_buf_init(&buf, NULL, 1 << 20);
  ch_content content = {.type = CHAT_TYPE_MESSAGE, .body = text(body)};
  ch_assert(ch_content_encode(&content, &buf) == 0);
  chat_bytes copy = chat_op_copy(op, ch_buf_bytes(&buf));
  ch_buf_fini(&buf);
  return copy;
}

static inline chat_row row_of(chat_op *op, uint8_t conversation, uint64_t seq, const char *body) {
  chat_row row = {.seq = seq, .msg_no = seq, .message_id = seq * 10, .created_ms = 1000 + seq, .client_seq = seq, .sender = text("alice"), .type = CHAT_TYPE_MESSAGE};
  id_of(row.conversation_id, conversation);
  memset(row.device_id, 0xd1, 16);
  memset(row.client_id, (int)seq, 16);
  row.payload = message(op, body);
  return row;
}

/* Rows first … last of a conversation, its head there, alice and bob in it from the start; position = last. */
static inline chat_store_apply *apply_of(uint8_t conversation, uint64_t first, uint64_t last) {
  chat_store_apply *apply = ch_op_new(NULL, CHAT_OP_STORE_APPLY, sizeof *apply);
  chat_op *op = &apply->op;
  apply->position = last;
  apply->row_count = (size_t)(last - first + 1);
  apply->rows = chat_op_alloc(op, apply->row_count * sizeof *apply->rows);
  for (uint64_t seq = first; seq <= last; seq++) {
    char body[64];
    snprintf(body, sizeof body, "message number%d of many", (int)seq);
    apply->rows[seq - first] = row_of(op, conversation, seq, body);
  }
  chat_state *state = apply->states = chat_op_alloc(op, sizeof *state);
  apply->state_count = 1;
  *state = (chat_state){.kind = CHAT_GROUP, .head = last, .msg_no = last, .message_id = last * 10, .position = last, .member_count = 2, .active_ms = 1000 + last,
                        .title = text("friends"), .member_count_here = 2, .sender_count = 1};
  id_of(state->conversation_id, conversation);
  state->members = chat_op_alloc(op, 2 * sizeof *state->members);
  for (int i = 0; i < 2; i++) {
    state->members[i] = (chat_member){.user = text(i ? "bob" : "alice"), .role = CHAT_ROLE_MEMBER, .position = 1, .interval_count = 1};
    state->members[i].intervals = chat_op_alloc(op, sizeof(chat_interval));
    state->members[i].intervals[0] = (chat_interval){0, UINT64_MAX};
  }
  state->senders = chat_op_alloc(op, sizeof *state->senders);
  state->senders[0] = (chat_sender){.user = text("alice"), .last = last, .position = last};
  memset(state->senders[0].device_id, 0xd1, 16);
  return apply;
}

static inline int apply_now(chat_store_apply *apply) {
  int status = bench_do(&bench, apply);
  ch_op_free(&apply->op);
  return status;
}

static inline void put(uint8_t conversation, uint64_t first, uint64_t last) {
  ck_assert_int_eq(apply_now(apply_of(conversation, first, last)), 0);
}

static inline chat_store_range *range(uint8_t conversation, uint64_t low, uint64_t high, uint32_t limit, uint32_t newest_first) {
  chat_store_range *range = ch_op_new(NULL, CHAT_OP_STORE_RANGE, sizeof *range);
  id_of(range->conversation_id, conversation);
  range->user = text("alice");
  range->low = low;
  range->high = high;
  range->limit = limit;
  range->newest_first = newest_first;
  ck_assert_int_eq(bench_do(&bench, range), 0);
  return range;
}

static inline void expect_rows(uint8_t conversation, uint64_t low, uint64_t high, uint32_t limit, uint32_t newest_first, uint64_t first, size_t count) {
  chat_store_range *got = range(conversation, low, high, limit, newest_first);
  ck_assert_uint_eq(got->row_count, count);
  for (size_t i = 0; i < count; i++) {
    char body[64];
    snprintf(body, sizeof body, "message number%d of many", (int)(first + i));
    chat_row want = row_of(&got->op, conversation, first + i, body), *row = &got->rows[i];
    ck_assert_uint_eq(row->seq, want.seq);
    ck_assert_uint_eq(row->msg_no, want.msg_no);
    ck_assert_uint_eq(row->message_id, want.message_id);
    ck_assert_uint_eq(row->created_ms, want.created_ms);
    ck_assert_uint_eq(row->client_seq, want.client_seq);
    ck_assert_uint_eq(row->type, want.type);
    ck_assert_mem_eq(row->conversation_id, want.conversation_id, 16);
    ck_assert_mem_eq(row->device_id, want.device_id, 16);
    ck_assert_mem_eq(row->client_id, want.client_id, 16);
    ck_assert(ch_bytes_equal(row->sender, want.sender));
    ck_assert(ch_bytes_equal(row->payload, want.payload));
  }
  ch_op_free(&got->op);
}

static inline uint64_t position(uint64_t *synced) {
  chat_store_position *ask = ch_op_new(NULL, CHAT_OP_STORE_POSITION, sizeof *ask);
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  uint64_t stored = ask->position;
  if (synced) *synced = ask->synced;
  ch_op_free(&ask->op);
  return stored;
}

static inline chat_bytes payload_at(uint64_t seq, chat_store_range **got) {
  *got = range(CONVERSATION_A, seq - 1, seq, 1, 0);
  ck_assert_uint_eq((*got)->row_count, 1);
  return (*got)->rows[0].payload;
}

static inline void write_one(uint64_t seq, uint64_t message_id, const char *body) {
  chat_store_apply *apply = ch_op_new(NULL, CHAT_OP_STORE_APPLY, sizeof *apply);
  apply->rows = chat_op_alloc(&apply->op, sizeof *apply->rows);
  apply->row_count = 1;
  apply->rows[0] = row_of(&apply->op, CONVERSATION_A, seq, body);
  apply->rows[0].message_id = message_id;
  ck_assert_int_eq(apply_now(apply), 0);
}

static inline chat_store_heads *heads(const char *user, uint64_t above, uint32_t limit) {
  chat_store_heads *ask = ch_op_new(NULL, CHAT_OP_STORE_HEADS, sizeof *ask);
  ask->user = text(user);
  ask->above = above;
  ask->limit = limit;
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  return ask;
}

/* Conversations of names 1 … count, one event each; positions as given. */
static inline void put_at(uint8_t name, uint64_t at) {
  chat_store_apply *apply = apply_of(name, 1, 1);
  apply->position = apply->states[0].position = at;
  ck_assert_int_eq(apply_now(apply), 0);
}

/* bob is removed by event `left`, of position `left`. */
static inline void remove_bob(uint8_t conversation, uint64_t left) {
  chat_store_apply *apply = apply_of(conversation, left, left);
  chat_member *bob = &apply->states[0].members[1];
  bob->role = CHAT_ROLE_NONE;
  bob->position = left;
  bob->intervals[0] = (chat_interval){0, left};
  apply->states[0].member_count = 1;
  ck_assert_int_eq(apply_now(apply), 0);
}

static inline chat_watermark raise_mark(const char *user, uint64_t delivered, uint64_t read) {
  chat_store_watermarks *marks = ch_op_new(NULL, CHAT_OP_STORE_WATERMARKS, sizeof *marks);
  chat_watermark mark = {.user = text(user), .delivered = delivered, .read = read};
  id_of(mark.conversation_id, CONVERSATION_A);
  marks->marks = &mark;
  marks->count = 1;
  ck_assert_int_eq(bench_do(&bench, marks), 0);
  ch_op_free(&marks->op);
  return mark;
}

static inline int device_put(uint8_t name, uint64_t session, uint64_t expect, chat_device *stored) {
  chat_store_device *put_op = ch_op_new(NULL, CHAT_OP_STORE_DEVICE, sizeof *put_op);
  put_op->verb = CHAT_DEVICE_PUT;
  put_op->user = text("alice");
  put_op->device = (chat_device){.name = text("phone"), .session = session, .created_ms = 5, .seen_ms = 6};
  id_of(put_op->device.device_id, name);
  put_op->expect_session = expect;
  put_op->devices_max = 2;
  int status = bench_do(&bench, put_op);
  if (stored) *stored = put_op->device;
  ch_op_free(&put_op->op);
  return status;
}

static inline uint64_t prune(uint64_t before_ms, uint32_t limit) {
  chat_store_prune *op = ch_op_new(NULL, CHAT_OP_STORE_PRUNE, sizeof *op);
  op->before_ms = before_ms;
  op->limit = limit;
  ck_assert_int_eq(bench_do(&bench, op), 0);
  uint64_t pruned = op->pruned;
  ch_op_free(&op->op);
  return pruned;
}

static inline uint64_t horizon(uint8_t conversation) {
  chat_store_range *got = range(conversation, 0, 1, 1, 0);
  uint64_t at = got->horizon;
  ck_assert_uint_eq(got->row_count, at ? 0 : 1);
  ch_op_free(&got->op);
  return at;
}

static inline chat_store_search *search_op(const char *user, const char *query, uint32_t limit) {
  chat_store_search *ask = ch_op_new(NULL, CHAT_OP_STORE_SEARCH, sizeof *ask);
  ask->user = text(user);
  ask->query = text(query);
  ask->limit = limit;
  return ask;
}

/* The index runs behind: waits until it has reached `position`. */
static inline void wait_indexed(uint64_t wanted) {
  for (uint64_t reached = 0; reached < wanted;) {
    chat_store_search *ask = search_op("alice", "word", 1);
    ck_assert_int_eq(bench_do(&bench, ask), 0);
    reached = ask->indexed_position;
    ch_op_free(&ask->op);
  }
}

/* The seqs that a query finds, newest first, as text. */
static inline const char *found(const char *user, const char *query) {
  static char list[256];
  chat_store_search *ask = search_op(user, query, 20);
  ck_assert_int_eq(bench_do(&bench, ask), 0);
  list[0] = 0;
  for (size_t i = 0; i < ask->row_count; i++)
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%d", i ? " " : "", (int)ask->rows[i].seq);
  ch_op_free(&ask->op);
  return list;
}

static inline void put_text(uint8_t conversation, uint64_t seq, const char *body) {
  chat_store_apply *apply = apply_of(conversation, seq, seq);
  apply->rows[0].payload = message(&apply->op, body);
  ck_assert_int_eq(apply_now(apply), 0);
}

/* The two conversations share positions, so an indexed position says nothing of the second one's last row. */
static inline void wait_found(const char *word, size_t count) {
  for (int tries = 0; tries < 3000; tries++) {
    chat_store_search *ask = search_op("alice", word, 20);
    ck_assert_int_eq(bench_do(&bench, ask), 0);
    size_t rows = ask->row_count;
    ch_op_free(&ask->op);
    if (rows == count) return;
    usleep(10000);
  }
  ck_abort_msg("the index does not come to %zu rows", count);
}

#endif
