/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the embedder (chat/server.h): each ends in exactly one reply, pulled with ch_gateway_next_reply. */
#include <string.h>

#include "core/conversation_id.h"
#include "core/uuid7.h"
#include "server/role/gateway_parts.h"

typedef struct request_call {
  ch_call call;
  uint64_t serial;
} request_call;

void ch_requests_init(ch_gateway *gateway) {
  ch_list_init(&gateway->requests.under_way);
  ch_list_init(&gateway->requests.answered);
}

static void request_free(ch_gateway *gateway, ch_embedder_request *request) {
  if (!request) return;
  ch_call_discard(gateway, request->op);
  ch_entry_free(gateway, request->entry);
  ch_list_remove(&request->node);
  gateway->requests.count--;
  ch_free(gateway->env.alloc, request);
}

static void free_list(ch_gateway *gateway, ch_list *list) {
  while (!ch_list_is_empty(list)) request_free(gateway, CH_LIST_ITEM(list->next, ch_embedder_request, node));
}

void ch_requests_fini(ch_gateway *gateway) {
  free_list(gateway, &gateway->requests.under_way);
  free_list(gateway, &gateway->requests.answered);
  request_free(gateway, gateway->requests.given);
  gateway->requests.given = NULL;
}

static ch_embedder_request *find(ch_gateway *gateway, uint64_t serial) {
  CH_LIST_FOR_EACH(node, &gateway->requests.under_way) {
    ch_embedder_request *request = CH_LIST_ITEM(node, ch_embedder_request, node);
    if (request->serial == serial) return request;
  }
  return NULL;
}

static void finish(ch_gateway *gateway, ch_embedder_request *request, int status) {
  request->reply.status = status;
  ch_list_remove(&request->node);
  ch_list_push_back(&gateway->requests.answered, &request->node);
}

/* ------------------------------------------------------------------------------------------------ send */

void ch_request_appended(ch_gateway *gateway, uint64_t serial, int status) {
  ch_embedder_request *request = find(gateway, serial);
  if (request) finish(gateway, request, status);
}

/* An entry that cannot become a record stays the caller's. */
static int queue_entry(ch_gateway *gateway, ch_embedder_request *request, ch_entry *entry) {
  entry->sender = (chat_bytes){request->user, request->user_len};
  int error = ch_append_check(entry);
  if (!error) ch_append_queue(gateway, entry);
  return error;
}

/* Not as the system: the sender must be a member as the store knows it now; the record has no number all the same, so that the sequencer does not ask. */
static void membership_read(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  const chat_store_state *op = (const chat_store_state *)(const void *)call->op;
  ch_embedder_request *request = find(gateway, ((request_call *)call)->serial);
  (void)now;
  if (!request) return;
  ch_entry *entry = request->entry;
  request->entry = NULL;
  bool is_member = op->state.kind && op->state.member_count_here && op->state.members[0].role != CHAT_ROLE_NONE;
  if (!status) status = is_member ? queue_entry(gateway, request, entry) : CHAT_E_NOT_FOUND;
  if (!status) return;
  ch_entry_free(gateway, entry);
  finish(gateway, request, status);
}

static int ask_membership(ch_gateway *gateway, ch_embedder_request *request, ch_entry *entry) {
  chat_store_state *op = ch_call_new(gateway, CHAT_OP_STORE_STATE, sizeof *op, sizeof(request_call), membership_read);
  if (op) op->users = chat_op_alloc(&op->op, sizeof *op->users);
  if (op && op->users) op->users[0] = chat_op_copy(&op->op, ch_bytes_of(request->user, request->user_len));
  if (!op || !op->users || !op->users[0].data) {
    ch_call_discard(gateway, op);
    return CHAT_E_NOMEM;
  }
  request_call *call = ch_call_of(op);
  call->serial = request->serial;
  request->entry = entry;
  op->user_count = op->only_users = 1;
  memcpy(op->conversation_id, entry->send.conversation_id, 16);
  ch_call_submit(gateway, op, CH_GATEWAY_ATTEMPTS);
  return 0;
}

/* Where the peer is named, the two users are members by the id that was made of them, and the first message makes the conversation. */
static bool needs_membership(const ch_request *asked) {
  return !asked->system && asked->send.peer.len == 0;
}

static int begin_send(ch_gateway *gateway, ch_embedder_request *request, const ch_request *asked, ch_now now) {
  ch_send send = asked->send;
  uint8_t random[CH_UUID7_RANDOM_LEN];
  if (ch_id_is_zero(send.client_id)) {
    gateway->env.random(gateway->env.random_arg, random, sizeof random);
    ch_uuid7_make(send.client_id, now.wall_ms, random);
  }
  ch_entry *entry = ch_entry_new(gateway, &send);
  if (!entry) return CHAT_E_NOMEM;
  request->serial = entry->serial;
  memcpy(request->reply.client_id, send.client_id, 16);
  memcpy(request->reply.conversation_id, send.conversation_id, 16);
  int error = needs_membership(asked) ? ask_membership(gateway, request, entry) : queue_entry(gateway, request, entry);
  if (error) ch_entry_free(gateway, entry);
  return error;
}

/* ------------------------------------------------------------------------------------------------ history */

/* The rows are cut to what that user may read; the whole of it where there is none. */
static void clip_history(chat_store_range *range) {
  ch_range asked = {.low = range->low, .high = range->high, .limit = range->limit, .newest_first = range->newest_first};
  ch_range_reply clipped;
  memcpy(asked.conversation_id, range->conversation_id, 16);
  ch_range_clip(range, &asked, &clipped);
  range->rows = clipped.event_count ? range->rows + (clipped.events - range->rows) : NULL;
  range->row_count = clipped.event_count;
  range->state.head = clipped.head;
}

static void history_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  (void)now;
  ch_embedder_request *request = find(gateway, ((request_call *)call)->serial);
  if (!request) return;
  chat_store_range *range = (chat_store_range *)(void *)call->op;
  if (!status && !ch_range_is_allowed(range)) status = CHAT_E_NOT_FOUND;
  if (!status) clip_history(range);
  call->kept = true; /* the rows live until the next reply is asked for */
  request->op = call->op;
  request->reply.range = status ? NULL : range;
  finish(gateway, request, status);
}

static int begin_history(ch_gateway *gateway, ch_embedder_request *request, const ch_request *asked, ch_now now) {
  (void)now;
  chat_store_range *op = ch_call_new(gateway, CHAT_OP_STORE_RANGE, sizeof *op, sizeof(request_call), history_done);
  if (!op) return CHAT_E_NOMEM;
  request->serial = ++gateway->sends.serial;
  ((request_call *)ch_call_of(op))->serial = request->serial;
  memcpy(op->conversation_id, asked->range.conversation_id, 16);
  op->user = chat_op_copy(&op->op, asked->user);
  if (asked->user.len && !op->user.data) { /* without it the op would ask for everything */
    ch_call_discard(gateway, op);
    return CHAT_E_NOMEM;
  }
  op->low = asked->range.low;
  op->high = asked->range.high;
  op->limit = asked->range.limit;
  op->newest_first = asked->range.newest_first;
  ch_call_submit(gateway, op, CH_GATEWAY_ATTEMPTS);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ disconnect, revoke */

static int begin_disconnect(ch_gateway *gateway, ch_embedder_request *request, const ch_request *asked, ch_now now) {
  const uint8_t *device = ch_id_is_zero(asked->device_id) ? NULL : asked->device_id;
  request->reply.count = ch_gateway_end_sessions(gateway, asked->user, device, asked->error ? asked->error : CHAT_E_AGAIN, now);
  finish(gateway, request, 0);
  return 0;
}

static void revoked(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  (void)now;
  ch_embedder_request *request = find(gateway, call->tag);
  if (request) finish(gateway, request, status);
}

static int begin_revoke(ch_gateway *gateway, ch_embedder_request *request, const ch_request *asked, ch_now now) {
  request->serial = ++gateway->sends.serial;
  return ch_device_revoke(gateway, asked->user, asked->device_id, 0, request->serial, revoked, now);
}

typedef int begin_fn(ch_gateway *gateway, ch_embedder_request *request, const ch_request *asked, ch_now now);
static begin_fn *const beginners[] = {
    [CH_REQUEST_SEND] = begin_send,
    [CH_REQUEST_DISCONNECT] = begin_disconnect,
    [CH_REQUEST_HISTORY] = begin_history,
    [CH_REQUEST_REVOKE] = begin_revoke,
};

/* ------------------------------------------------------------------------------------------------ in and out */

static ch_embedder_request *request_new(ch_gateway *gateway, const ch_request *asked) {
  ch_embedder_request *request = ch_calloc(gateway->env.alloc, 1, sizeof *request);
  if (!request) return NULL;
  ch_list_init(&request->node);
  if (asked->user.len) memcpy(request->user, asked->user.data, asked->user.len);
  request->user_len = asked->user.len;
  request->reply.tag = asked->tag;
  ch_list_push_back(&gateway->requests.under_way, &request->node);
  gateway->requests.count++;
  return request;
}

int ch_gateway_request(ch_gateway *gateway, const ch_request *asked, ch_now now) {
  if (asked->kind < CH_REQUEST_SEND || asked->kind > CH_REQUEST_REVOKE || asked->user.len > CHAT_USER_ID_MAX) return CHAT_E_INVALID;
  if (gateway->requests.count >= CH_GATEWAY_REQUESTS_MAX) return CHAT_E_BUSY;
  ch_embedder_request *request = request_new(gateway, asked);
  if (!request) return CHAT_E_NOMEM;
  int error = beginners[asked->kind](gateway, request, asked, now);
  if (error) request_free(gateway, request);
  return error;
}

bool ch_gateway_next_reply(ch_gateway *gateway, ch_request_reply *reply) {
  request_free(gateway, gateway->requests.given);
  ch_list *node = ch_list_pop_front(&gateway->requests.answered);
  gateway->requests.given = node ? CH_LIST_ITEM(node, ch_embedder_request, node) : NULL;
  if (node) *reply = gateway->requests.given->reply;
  return node != NULL;
}
