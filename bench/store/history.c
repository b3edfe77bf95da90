/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sync */
#include "store/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/conversation_id.h"
#include "core/op.h"
#include "core/wire.h"
#include "engine/load.h"

enum { VISITS_MAX = 128, USER_LEN = 9, BODY_LEN = 128, INDEX_WAIT_MS = 20 };
static const char last_word[] = "zzendoffilling";

static void name_user(uint64_t conversation, int side, char *name) {
  snprintf(name, USER_LEN + 1, "f%08" PRIu64, 2 * conversation + (uint64_t)side);
}

void store_history_conversation(uint64_t number, uint8_t id[16], char *user) {
  char other[USER_LEN + 1];
  name_user(number, 0, user);
  name_user(number, 1, other);
  ch_conversation_id_direct(ch_bytes_text(user), ch_bytes_text(other), id);
}

/* ------------------------------------------------------------------------------------------------ one apply */

static void *need(void *memory) {
  if (!memory) load_fail("no memory");
  return memory;
}

static chat_bytes payload_of(chat_op *op, const char *word, uint64_t seq) {
  static ch_buf payload;
  char body[BODY_LEN];
  if (!payload.max_len) ch_buf_init(&payload, NULL, 4096);
  ch_buf_clear(&payload);
  memset(body, '.', sizeof body);
  int len = snprintf(body, sizeof body, "%s %" PRIu64 " ", word, seq);
  body[len] = '.';
  ch_content content = {.type = CHAT_TYPE_MESSAGE, .body = ch_bytes_of(body, sizeof body)};
  if (ch_content_encode(&content, &payload)) load_fail("a message does not encode");
  return chat_op_copy(op, ch_buf_bytes(&payload));
}

static chat_row row_of(chat_op *op, const chat_state *state, uint64_t seq, const char *word) {
  chat_row row = {.seq = seq,
                  .msg_no = seq,
                  .message_id = state->message_id - (state->head - seq),
                  .created_ms = state->active_ms,
                  .client_seq = seq,
                  .sender = state->members[0].user,
                  .type = CHAT_TYPE_MESSAGE};
  memcpy(row.conversation_id, state->conversation_id, 16);
  memset(row.device_id, 0xd1, 16);
  memcpy(row.client_id, state->conversation_id, 8);
  memcpy(row.client_id + 8, &seq, 8);
  row.payload = payload_of(op, word, seq);
  return row;
}

static void put_member(chat_op *op, chat_member *member, uint64_t conversation, int side) {
  char name[USER_LEN + 1];
  name_user(conversation, side, name);
  member->user = chat_op_copy(op, ch_bytes_text(name));
  member->role = CHAT_ROLE_MEMBER;
  member->intervals = need(chat_op_alloc(op, sizeof *member->intervals));
  member->intervals[0] = (chat_interval){0, UINT64_MAX};
  member->interval_count = 1;
}

/* Its members are there at its first visit; after that only the sender's cell is touched. */
static void put_state(chat_op *op, chat_state *state, uint64_t conversation, uint64_t head, uint64_t message_id) {
  char user[USER_LEN + 1];
  *state = (chat_state){.kind = CHAT_DIRECT,
                        .head = head,
                        .msg_no = head,
                        .message_id = message_id,
                        .member_count = 2,
                        .active_ms = 1700000000000 + message_id,
                        .member_count_here = head == HISTORY_STREAK ? 2 : 0,
                        .sender_count = 1};
  store_history_conversation(conversation, state->conversation_id, user);
  state->members = need(chat_op_alloc(op, 2 * sizeof *state->members));
  memset(state->members, 0, 2 * sizeof *state->members);
  put_member(op, &state->members[0], conversation, 0);
  put_member(op, &state->members[1], conversation, 1);
  state->senders = need(chat_op_alloc(op, sizeof *state->senders));
  state->senders[0] = (chat_sender){.user = state->members[0].user, .last = head};
  memset(state->senders[0].device_id, 0xd1, 16);
}

/* In which order conversations have their turns: a fixed walk through all of them that jumps about. */
static uint64_t conversation_at(const store_history *history, uint64_t visit) {
  static const uint64_t stride = 1000003; /* prime, and no divisor of a round number */
  return visit % history->conversations * stride % history->conversations;
}

static void apply_visits(store_port *port, const store_history *history, uint64_t first, size_t count) {
  uint64_t visits = history->messages / HISTORY_STREAK;
  chat_store_apply *apply = need(ch_op_new(NULL, CHAT_OP_STORE_APPLY, sizeof *apply));
  apply->states = need(chat_op_alloc(&apply->op, count * sizeof *apply->states));
  apply->rows = need(chat_op_alloc(&apply->op, count * HISTORY_STREAK * sizeof *apply->rows));
  apply->state_count = count;
  for (size_t i = 0; i < count; i++) {
    uint64_t visit = first + i, head = (visit / history->conversations + 1) * HISTORY_STREAK;
    const char *word = visit == visits - 1 ? last_word : "stored message number";
    put_state(&apply->op, &apply->states[i], conversation_at(history, visit), head, (visit + 1) * HISTORY_STREAK);
    for (uint64_t seq = head - HISTORY_STREAK + 1; seq <= head; seq++)
      apply->rows[apply->row_count++] = row_of(&apply->op, &apply->states[i], seq, word);
  }
  int status = store_port_do(port, &apply->op);
  if (status) load_fail("history is not written: error %d", status);
  ch_op_free(&apply->op);
}

/* ------------------------------------------------------------------------------------------------ all of it */

static bool is_found(store_port *port, const store_history *history) {
  char user[USER_LEN + 1];
  uint8_t id[16];
  store_history_conversation(conversation_at(history, history->messages / HISTORY_STREAK - 1), id, user);
  chat_store_search *search = need(ch_op_new(NULL, CHAT_OP_STORE_SEARCH, sizeof *search));
  search->user = ch_bytes_text(user);
  search->query = ch_bytes_text(last_word);
  search->limit = 1;
  if (store_port_do(port, &search->op)) load_fail("no search");
  bool found = search->row_count > 0;
  ch_op_free(&search->op);
  return found;
}

void store_history_fill(store_port *port, const store_history *history) {
  uint64_t visits = history->messages / HISTORY_STREAK;
  if (visits % history->conversations || !visits) load_fail("messages are a multiple of %d for each conversation", HISTORY_STREAK);
  for (uint64_t visit = 0; visit < visits; visit += VISITS_MAX)
    apply_visits(port, history, visit, visits - visit < VISITS_MAX ? (size_t)(visits - visit) : VISITS_MAX);
  while (!is_found(port, history))
    nanosleep(&(struct timespec){.tv_nsec = INDEX_WAIT_MS * 1000000}, NULL);
  sync();
}
