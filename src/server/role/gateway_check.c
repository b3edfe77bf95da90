/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's own checks of a Send, in steps; each step decides or asks an op and goes on when that is back. They are a courtesy (design, "Verdict"): the sequencer judges.
 * So what may only be an old view of the store (a conversation that this session made a moment ago, a membership told by a live event) passes, and a refusal rests on a
 * state that was read after the Send came in.
 */
#include <string.h>

#include "core/conversation_id.h"
#include "server/role/gateway_parts.h"

enum {
  BELIEVED_MS = 5000,    /* a membership that was read, or told */
  CREATED_MS = 60000,    /* a conversation that this session made may be unknown to the store for so long */
  BELIEVED_MAX = 16384,  /* memberships remembered; the oldest are forgotten */
  KEY_MAX = 16 + CHAT_USER_ID_MAX
};

/* MEMBER before LIMITS: what a conversation may take is not for strangers to use up, and to them one that has used it up looks like none (P9). */
typedef enum step { STEP_LOCAL, STEP_MEMBER, STEP_LIMITS, STEP_MAY, STEP_BEFORE_LOG, STEP_COUNT } step;

typedef int step_fn(ch_gateway *gateway, ch_entry *entry, uint64_t *retry_after_ms, ch_now now);

typedef struct check_call { /* which entry: its connection, lane and serial */
  ch_call call;
  uint8_t conversation_id[16];
  uint64_t serial;
} check_call;

static chat_bytes sender_of(const ch_entry *entry) {
  return ch_conn_user(entry->lane->conn);
}

static bool is_direct(const ch_send *send) {
  return send->conversation_id[0] == CH_CONVERSATION_ID_DIRECT;
}

/* --- memberships that are believed --- */

typedef struct believed {
  uint64_t until_ms;
} believed;

static chat_bytes member_key(uint8_t key[KEY_MAX], const uint8_t conversation_id[16], chat_bytes user) {
  memcpy(key, conversation_id, 16);
  memcpy(key + 16, user.data, user.len);
  return ch_bytes_of(key, 16 + user.len);
}

static void forget_oldest(ch_gateway *gateway) {
  ch_hashmap *members = &gateway->sends.members;
  ch_free(gateway->env.alloc, ch_hashmap_remove(members, ch_hashmap_key(ch_hashmap_first(members))));
}

void ch_members_believe(ch_gateway *gateway, const uint8_t conversation_id[16], chat_bytes user, ch_now now) {
  uint8_t bytes[KEY_MAX];
  chat_bytes key = member_key(bytes, conversation_id, user);
  ch_hashmap *members = &gateway->sends.members;
  believed *known = ch_hashmap_remove(members, key); /* in again as the newest */
  if (!known && members->count >= BELIEVED_MAX) forget_oldest(gateway);
  if (!known) known = ch_alloc(gateway->env.alloc, sizeof *known);
  if (!known) return;
  known->until_ms = now.elapsed_ms + BELIEVED_MS;
  if (ch_hashmap_insert(members, key, known)) ch_free(gateway->env.alloc, known);
}

static bool is_believed(ch_gateway *gateway, const uint8_t conversation_id[16], chat_bytes user, ch_now now) {
  uint8_t bytes[KEY_MAX];
  const believed *known = ch_hashmap_find(&gateway->sends.members, member_key(bytes, conversation_id, user));
  return known && now.elapsed_ms < known->until_ms;
}

void ch_members_fini(ch_gateway *gateway) {
  while (gateway->sends.members.count)
    forget_oldest(gateway);
  ch_hashmap_fini(&gateway->sends.members);
}

/* --- going on --- */

static void resume(ch_gateway *gateway, ch_call *call, int outcome, ch_now now) {
  const check_call *check = (const check_call *)call;
  uint64_t retry_after_ms = CH_GATEWAY_RETRY_MS;
  ch_conn *conn = ch_conn_find(gateway, call->connection);
  ch_lane *lane = conn ? ch_lane_find(conn, check->conversation_id) : NULL;
  if (!lane || !lane->checking || lane->checking->serial != check->serial) return;
  if (outcome == CH_CHECK_PASS) outcome = ch_check_run(gateway, lane->checking, &retry_after_ms, now);
  if (outcome != CH_CHECK_WAIT) ch_lane_settled(gateway, lane, outcome, retry_after_ms, now);
}

static void *check_op(ch_gateway *gateway, const ch_entry *entry, uint32_t kind, size_t len, ch_call_done *done) {
  chat_op *op = ch_call_new(gateway, kind, len, sizeof(check_call), done);
  if (!op) return NULL;
  check_call *call = ch_call_of(op);
  call->call.connection = entry->lane->conn->id;
  call->serial = entry->serial;
  memcpy(call->conversation_id, entry->send.conversation_id, 16);
  return op;
}

/* --- step: what can be seen in the Send itself --- */

static bool is_known_peer(const ch_lane *lane, chat_bytes peer) {
  return lane && ch_bytes_equal(ch_bytes_of(lane->peer, lane->peer_len), peer);
}

/* A lane is of one sender and one conversation, so that its peer's name is computed with once. */
static int check_direct_id(const ch_entry *entry) {
  const ch_send *send = &entry->send;
  uint8_t expected[16];
  if (is_known_peer(entry->lane, send->peer)) return 0;
  ch_conversation_id_direct(sender_of(entry), send->peer, expected);
  if (memcmp(expected, send->conversation_id, 16) != 0) return CHAT_E_INVALID;
  if (!entry->lane) return 0;
  entry->lane->peer_len = (uint8_t)send->peer.len;
  memcpy(entry->lane->peer, send->peer.data, send->peer.len);
  return 0;
}

static int check_ids(const ch_entry *entry) {
  const ch_send *send = &entry->send;
  uint8_t expected[16];
  if (is_direct(send) != (send->peer.len > 0)) return CHAT_E_INVALID;
  if (is_direct(send)) return check_direct_id(entry);
  if (send->type == CHAT_TYPE_CREATE)
    ch_conversation_id_group(sender_of(entry), send->client_id, expected);
  else
    return 0;
  return memcmp(expected, send->conversation_id, 16) == 0 ? 0 : CHAT_E_INVALID;
}

/* Whoever creates or adds names the others; a content that the sequencer would not understand need not go there. */
static int check_content(ch_gateway *gateway, const ch_send *send, ch_content *content) {
  ch_arena_reset(&gateway->arena);
  int error = ch_content_decode(send->type, send->payload, &gateway->arena, content);
  return error == CHAT_E_NOMEM ? CHAT_E_AGAIN : error;
}

static int step_local(ch_gateway *gateway, ch_entry *entry, uint64_t *retry_after_ms, ch_now now) {
  ch_content content;
  (void)retry_after_ms;
  (void)now;
  int error = check_ids(entry);
  return error ? error : check_content(gateway, &entry->send, &content);
}

/* --- step: is the sender a member? --- */

static bool is_member(const chat_state *state) {
  return state->kind && state->member_count_here > 0 && state->members[0].role != CHAT_ROLE_NONE;
}

/* Not there and not for you: one op, one answer (P9). */
static void member_read(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  const chat_store_state *op = (const chat_store_state *)(const void *)call->op;
  if (!status && !is_member(&op->state)) status = CHAT_E_NOT_FOUND;
  if (!status) ch_members_believe(gateway, op->conversation_id, op->users[0], now);
  resume(gateway, call, status == 0 || status == CHAT_E_NOT_FOUND ? status : CHAT_E_AGAIN, now);
}

static bool just_made(const ch_lane *lane, ch_now now) {
  return lane->created_ms && now.elapsed_ms < lane->created_ms + CREATED_MS;
}

static int step_member(ch_gateway *gateway, ch_entry *entry, uint64_t *retry_after_ms, ch_now now) {
  const ch_send *send = &entry->send;
  (void)retry_after_ms;
  if (send->type == CHAT_TYPE_CREATE || is_direct(send) || just_made(entry->lane, now)) return CH_CHECK_PASS;
  if (is_believed(gateway, send->conversation_id, sender_of(entry), now)) return CH_CHECK_PASS;
  chat_store_state *op = check_op(gateway, entry, CHAT_OP_STORE_STATE, sizeof *op, member_read);
  if (!op) return CHAT_E_AGAIN;
  memcpy(op->conversation_id, send->conversation_id, 16);
  op->users = chat_op_alloc(&op->op, sizeof *op->users);
  if (!op->users) {
    ch_call_discard(gateway, op);
    return CHAT_E_AGAIN;
  }
  op->users[0] = chat_op_copy(&op->op, sender_of(entry));
  op->user_count = op->only_users = 1;
  ch_call_submit(gateway, op, CH_GATEWAY_ATTEMPTS);
  return CH_CHECK_WAIT;
}

static int step_limits(ch_gateway *gateway, ch_entry *entry, uint64_t *retry_after_ms, ch_now now) {
  return ch_gateway_limit(gateway, CH_LIMITS_CONVERSATION, ch_id_bytes(entry->send.conversation_id), retry_after_ms, now);
}

/* --- steps: the embedder's hooks --- */

static void hook_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  resume(gateway, call, status, now);
}

/* CH_MAY_*; 0: nobody is asked; CHAT_E_AGAIN: there is no memory to know it. */
static int action_of(ch_gateway *gateway, const ch_send *send, chat_bytes *other) {
  ch_content content;
  *other = send->peer;
  if (is_direct(send) && send->type == CHAT_TYPE_MESSAGE) return CH_MAY_SEND_DIRECT;
  if (send->type == CHAT_TYPE_CREATE) return CH_MAY_CREATE;
  if (send->type != CHAT_TYPE_MEMBERS_ADD) return 0;
  int error = check_content(gateway, send, &content);
  if (error) return error;
  if (content.user_count) *other = content.users[0];
  return CH_MAY_ADD;
}

static int step_may(ch_gateway *gateway, ch_entry *entry, uint64_t *retry_after_ms, ch_now now) {
  chat_bytes other;
  int action = gateway->config.has_may ? action_of(gateway, &entry->send, &other) : 0;
  (void)retry_after_ms;
  if (action <= 0) return action ? action : CH_CHECK_PASS;
  ch_op_may *op = check_op(gateway, entry, CH_OP_MAY, sizeof *op, hook_done);
  if (!op) return CHAT_E_AGAIN;
  op->action = (uint32_t)action;
  op->user = chat_op_copy(&op->op, sender_of(entry));
  op->other = chat_op_copy(&op->op, other);
  memcpy(op->conversation_id, entry->send.conversation_id, 16);
  ch_call_submit_hook(gateway, op, now);
  return CH_CHECK_WAIT;
}

static int step_before_log(ch_gateway *gateway, ch_entry *entry, uint64_t *retry_after_ms, ch_now now) {
  (void)retry_after_ms;
  if (!gateway->config.has_before_log) return CH_CHECK_PASS;
  ch_op_before_log *op = check_op(gateway, entry, CH_OP_BEFORE_LOG, sizeof *op, hook_done);
  if (!op) return CHAT_E_AGAIN;
  op->user = chat_op_copy(&op->op, sender_of(entry));
  memcpy(op->device_id, entry->lane->conn->device_id, 16);
  op->send = entry->send;
  op->send.payload = chat_op_copy(&op->op, entry->send.payload);
  op->send.peer = chat_op_copy(&op->op, entry->send.peer);
  ch_call_submit_hook(gateway, op, now);
  return CH_CHECK_WAIT;
}

static step_fn *const steps[STEP_COUNT] = {
    [STEP_LOCAL] = step_local, [STEP_MEMBER] = step_member,         [STEP_LIMITS] = step_limits,
    [STEP_MAY] = step_may,     [STEP_BEFORE_LOG] = step_before_log,
};

int ch_check_run(ch_gateway *gateway, ch_entry *entry, uint64_t *retry_after_ms, ch_now now) {
  while (entry->step < STEP_COUNT) {
    int outcome = steps[entry->step++](gateway, entry, retry_after_ms, now);
    if (outcome != CH_CHECK_PASS) return outcome;
  }
  return CH_CHECK_PASS;
}
