/* SPDX-License-Identifier: Apache-2.0 */
/* server_requests.c - what the embedder asks for (chat/server.h): each becomes an errand, and letters to one gateway or to all. */
#include <string.h>

#include "core/assert.h"
#include "core/conversation_id.h"
#include "core/uuid7.h"
#include "server/loop/hooks.h"
#include "server/loop/server_parts.h"

enum { TO_ALL = 0, TO_ONE = 1, PAYLOAD_MAX = 128 * 1024 };

/* ------------------------------------------------------------------------------------------------ calls and letters */

/* `to`: TO_ONE gateway, TO_ALL. */
static int open_call(chat_server *server, uint64_t tag, size_t to, ch_errand **call) {
  pthread_mutex_lock(&server->lock);
  bool is_running = server->state == CH_SERVER_RUNNING && server->gateway_count > 0;
  size_t awaited = to == TO_ALL ? server->gateway_count : to;
  pthread_mutex_unlock(&server->lock);
  *call = NULL;
  return is_running ? ch_errand_new(&server->events, tag, awaited, call) : CHAT_E_CLOSED;
}

static int keep(ch_errand *call, const void *data, size_t len, chat_bytes *copy) {
  void *kept = len ? ch_arena_dup(&call->arena, data, len) : NULL;
  *copy = ch_bytes_of(kept, len);
  return len && !kept ? CHAT_E_NOMEM : 0;
}

/* The letter's tag is the call: letters of one call go to different gateways. */
static int post(chat_server *server, ch_errand *call, size_t gateway, const ch_request *request) {
  ch_request_letter *letter = ch_arena_calloc(&call->arena, 1, sizeof *letter);
  if (!letter) return CHAT_E_NOMEM;
  letter->request = *request;
  letter->request.tag = (uint64_t)(uintptr_t)call;
  return ch_gateway_loop_request(server->gateways[gateway], letter);
}

/* To the first `count` gateways. Once one letter is away the call is not ours to drop: what cannot be posted is answered here. The lock keeps the gateways. */
static int post_all(chat_server *server, ch_errand *call, size_t count, const ch_request *request) {
  pthread_mutex_lock(&server->lock);
  int error = server->state == CH_SERVER_RUNNING ? 0 : CHAT_E_CLOSED;
  bool is_posted = false;
  if (!error) ch_errand_begin(call);
  for (size_t i = 0; !error && i < count; i++) {
    int posted = post(server, call, i, request);
    if (posted && !is_posted) error = posted;
    if (posted && is_posted) ch_errand_answer(call, posted, 0);
    is_posted = is_posted || !posted;
  }
  pthread_mutex_unlock(&server->lock);
  if (error) ch_errand_drop(call);
  return error;
}

static int copy_row(ch_errand *call, const chat_row *row, const chat_stored **copy) {
  chat_stored *stored = ch_arena_calloc(&call->arena, 1, sizeof *stored);
  if (!stored) return CHAT_E_NOMEM;
  *copy = stored;
  ch_stored_fill(row, stored);
  if (keep(call, row->sender.data, row->sender.len, &stored->sender) || keep(call, row->payload.data, row->payload.len, &stored->payload)) return CHAT_E_NOMEM;
  ch_content content;
  if (row->type != CHAT_TYPE_MESSAGE || ch_content_decode(row->type, stored->payload, &call->arena, &content)) return 0;
  stored->kind = content.kind;
  stored->body = content.body;
  stored->meta = content.meta;
  return 0;
}

static int copy_rows(ch_errand *call, const chat_store_range *range) {
  const chat_stored **stored = ch_arena_calloc(&call->arena, range->row_count + 1, sizeof *stored);
  if (!stored) return CHAT_E_NOMEM;
  for (size_t i = 0; i < range->row_count; i++)
    if (copy_row(call, &range->rows[i], &stored[i])) return CHAT_E_NOMEM;
  call->event.stored = stored;
  call->event.stored_count = range->row_count;
  call->event.head = range->state.head;
  return 0;
}

/* On a gateway's thread. Ids are the same in every gateway's reply, and only one gateway is asked for rows. */
void ch_server_replied(void *arg, const ch_request_reply *reply) {
  (void)arg;
  ch_errand *call = (ch_errand *)(uintptr_t)reply->tag;
  int status = reply->status;
  if (!status && reply->range) status = copy_rows(call, reply->range);
  ch_errand_answer(call, status, reply->count);
}

/* ------------------------------------------------------------------------------------------------ into the log */

static void make_client_id(chat_server *server, const uint8_t *given, uint8_t client_id[CHAT_CLIENT_ID_LEN]) {
  uint8_t random[CH_UUID7_RANDOM_LEN];
  if (given) {
    memcpy(client_id, given, CHAT_CLIENT_ID_LEN);
    return;
  }
  server->env.random(server->env.random_arg, random, sizeof random);
  ch_uuid7_make(client_id, server->seams.clock.wall_ms(server->seams.clock.arg), random);
}

static int keep_content(ch_errand *call, const ch_content *content, ch_send *send) {
  ch_buf payload;
  ch_buf_init(&payload, call->events->alloc, PAYLOAD_MAX);
  int error = ch_content_encode(content, &payload);
  if (!error) error = keep(call, payload.data, payload.len, &send->payload);
  ch_buf_fini(&payload);
  send->type = content->type;
  return error == CHAT_E_TOO_LARGE ? CHAT_E_INVALID : error;
}

/* Content, ids and sender are copied into the call; the reply names the ids. `request` ends the call where it fails. */
static int send_content(chat_server *server, ch_errand *call, ch_request *request, const ch_content *content) {
  chat_bytes user = request->user, peer = request->send.peer;
  int error = keep_content(call, content, &request->send);
  if (!error) error = keep(call, user.data, user.len, &request->user);
  if (!error) error = keep(call, peer.data, peer.len, &request->send.peer);
  if (error) {
    ch_errand_drop(call);
    return error;
  }
  memcpy(call->event.conversation_id, request->send.conversation_id, sizeof call->event.conversation_id);
  memcpy(call->event.client_id, request->send.client_id, sizeof call->event.client_id);
  return post_all(server, call, TO_ONE, request);
}

static bool is_sendable(const chat_server_send *send) {
  if (!send || send->size < sizeof *send || !ch_user_id_valid(ch_bytes_of(send->user, send->user_len))) return false;
  if (!send->conversation_id && !ch_user_id_valid(ch_bytes_of(send->peer, send->peer_len))) return false;
  return send->kind_len <= CHAT_KIND_MAX && send->body_len <= CHAT_BODY_MAX && send->meta_len <= CHAT_META_MAX && ch_utf8_valid(ch_bytes_of(send->kind, send->kind_len));
}

int chat_server_request_send(chat_server *server, uint64_t tag, const chat_server_send *send) {
  if (!server || !is_sendable(send)) return CHAT_E_INVALID;
  ch_errand *call;
  int error = open_call(server, tag, TO_ONE, &call);
  if (error) return error;
  ch_request request = {.kind = CH_REQUEST_SEND, .user = ch_bytes_of(send->user, send->user_len), .system = send->as_system != 0};
  if (send->conversation_id) {
    memcpy(request.send.conversation_id, send->conversation_id, CHAT_CONVERSATION_ID_LEN);
  } else {
    request.send.peer = ch_bytes_of(send->peer, send->peer_len);
    ch_conversation_id_direct(request.user, request.send.peer, request.send.conversation_id);
  }
  make_client_id(server, send->client_id, request.send.client_id);
  ch_content content = {.type = CHAT_TYPE_MESSAGE,
                        .kind = ch_bytes_of(send->kind, send->kind_len),
                        .body = ch_bytes_of(send->body, send->body_len),
                        .meta = ch_bytes_of(send->meta, send->meta_len)};
  return send_content(server, call, &request, &content);
}

static int keep_members(ch_errand *call, const char *const *members, const size_t *lens, size_t count, const chat_bytes **out) {
  chat_bytes *users = ch_arena_calloc(&call->arena, count + 1, sizeof *users);
  *out = users;
  if (!users) return CHAT_E_NOMEM;
  for (size_t i = 0; i < count; i++) {
    users[i] = ch_bytes_of(members[i], lens[i]);
    if (!ch_user_id_valid(users[i])) return CHAT_E_INVALID;
  }
  return 0;
}

static bool is_creatable(const char *owner, size_t owner_len, uint32_t kind, const char *title, size_t title_len, const char *const *members, const size_t *member_lens,
                         size_t member_count) {
  return ch_user_id_valid(ch_bytes_of(owner, owner_len)) && (kind == CHAT_GROUP || kind == CHAT_CHANNEL) && title_len <= CHAT_TITLE_MAX &&
         ch_utf8_valid(ch_bytes_of(title, title_len)) && member_count < CHAT_GROUP_MEMBERS_MAX && (member_count == 0 || (members && member_lens));
}

int chat_server_request_create(chat_server *server, uint64_t tag, const char *owner, size_t owner_len, uint32_t kind, const char *title, size_t title_len,
                               const char *const *members, const size_t *member_lens, size_t member_count, int history_from_start) {
  if (!server || !is_creatable(owner, owner_len, kind, title, title_len, members, member_lens, member_count)) return CHAT_E_INVALID;
  ch_errand *call;
  int error = open_call(server, tag, TO_ONE, &call);
  if (error) return error;
  ch_content content = {.type = CHAT_TYPE_CREATE,
                        .conversation_kind = kind,
                        .title = ch_bytes_of(title, title_len),
                        .user_count = member_count,
                        .history_from_start = history_from_start != 0};
  error = keep_members(call, members, member_lens, member_count, &content.users);
  if (error) {
    ch_errand_drop(call);
    return error;
  }
  ch_request request = {.kind = CH_REQUEST_SEND, .user = ch_bytes_of(owner, owner_len), .system = 1};
  make_client_id(server, NULL, request.send.client_id);
  ch_conversation_id_group(request.user, request.send.client_id, request.send.conversation_id);
  return send_content(server, call, &request, &content);
}

/* A change of membership, made by the system. */
static int change_member(chat_server *server, uint64_t tag, const uint8_t *conversation_id, chat_bytes user, ch_content content) {
  if (!server || !conversation_id || !ch_user_id_valid(user)) return CHAT_E_INVALID;
  ch_errand *call;
  int error = open_call(server, tag, TO_ONE, &call);
  if (error) return error;
  content.users = &user;
  content.user_count = 1;
  ch_request request = {.kind = CH_REQUEST_SEND, .system = 1};
  memcpy(request.send.conversation_id, conversation_id, CHAT_CONVERSATION_ID_LEN);
  make_client_id(server, NULL, request.send.client_id);
  return send_content(server, call, &request, &content);
}

int chat_server_request_add(chat_server *server, uint64_t tag, const uint8_t conversation_id[16], const char *user, size_t user_len, uint32_t role) {
  if (role != CHAT_ROLE_MEMBER && role != CHAT_ROLE_ADMIN) return CHAT_E_INVALID;
  return change_member(server, tag, conversation_id, ch_bytes_of(user, user_len), (ch_content){.type = CHAT_TYPE_MEMBERS_ADD, .role = role});
}

int chat_server_request_remove(chat_server *server, uint64_t tag, const uint8_t conversation_id[16], const char *user, size_t user_len) {
  return change_member(server, tag, conversation_id, ch_bytes_of(user, user_len), (ch_content){.type = CHAT_TYPE_MEMBER_REMOVE});
}

/* ------------------------------------------------------------------------------------------------ others */

int chat_server_request_history(chat_server *server, uint64_t tag, const uint8_t conversation_id[16], uint64_t low, uint64_t high, uint32_t limit) {
  if (!server || !conversation_id || limit == 0 || limit > CHAT_PAGE_MAX) return CHAT_E_INVALID;
  ch_errand *call;
  int error = open_call(server, tag, TO_ONE, &call);
  if (error) return error;
  ch_request request = {.kind = CH_REQUEST_HISTORY, .range = {.low = low, .high = high, .limit = limit, .newest_first = 1}};
  memcpy(request.range.conversation_id, conversation_id, CHAT_CONVERSATION_ID_LEN);
  return post_all(server, call, TO_ONE, &request);
}

/* Sessions of the user may be at any gateway. */
static int shut_out(chat_server *server, uint64_t tag, ch_request *request, chat_bytes user, const uint8_t *device_id) {
  if (!server || !ch_user_id_valid(user)) return CHAT_E_INVALID;
  ch_errand *call;
  int error = open_call(server, tag, TO_ALL, &call);
  if (error) return error;
  if (device_id) memcpy(request->device_id, device_id, sizeof request->device_id);
  error = keep(call, user.data, user.len, &request->user);
  if (error) {
    ch_errand_drop(call);
    return error;
  }
  return post_all(server, call, call->awaited, request);
}

int chat_server_request_disconnect(chat_server *server, uint64_t tag, const char *user, size_t user_len, const uint8_t *device_id) {
  ch_request request = {.kind = CH_REQUEST_DISCONNECT, .error = CHAT_E_CLOSED};
  return shut_out(server, tag, &request, ch_bytes_of(user, user_len), device_id);
}

int chat_server_request_revoke(chat_server *server, uint64_t tag, const char *user, size_t user_len, const uint8_t device_id[16]) {
  if (!device_id) return CHAT_E_INVALID;
  ch_request request = {.kind = CH_REQUEST_REVOKE, .error = CHAT_E_REVOKED};
  return shut_out(server, tag, &request, ch_bytes_of(user, user_len), device_id);
}

int chat_server_request_statistics(chat_server *server, uint64_t tag) {
  if (!server) return CHAT_E_INVALID;
  ch_errand *call;
  int error = open_call(server, tag, TO_ONE, &call);
  if (error) return error;
  ch_buf page;
  ch_buf_init(&page, server->env.alloc, CH_METRICS_TEXT_MAX);
  error = ch_metrics_render(&server->metrics, &page);
  if (!error) error = keep(call, page.data, page.len, &call->event.text);
  ch_buf_fini(&page);
  if (error) {
    ch_errand_drop(call);
    return error;
  }
  ch_errand_answer(call, 0, 0);
  return 0;
}
