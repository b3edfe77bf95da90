/* SPDX-License-Identifier: Apache-2.0 */
/* What a person asks of the outbox: send, retry, discard, create, change. The reply follows the durable commit (C1). */
#include <string.h>

#include "client/brain/outbox.h"
#include "client/brain/owner.h"
#include "core/conversation_id.h"
#include "core/rule.h"

enum { PAYLOAD_MAX = CHAT_BODY_MAX + CHAT_META_MAX + 65536 };

static void end_with_ids(ch_brain *brain, ch_client_event *reply, int error, const uint8_t conversation_id[16], const uint8_t client_id[16]) {
  memcpy(reply->event.conversation_id, conversation_id, 16);
  memcpy(reply->event.client_id, client_id, 16);
  ch_reply_end(brain, reply, error);
}

static int encode(ch_brain *brain, const ch_content *content, ch_buf *payload) {
  ch_buf_init(payload, brain->env.alloc, PAYLOAD_MAX);
  return ch_content_encode(content, payload);
}

/* A new row. Where the cache has no place for it, nothing happened. */
static int enter(ch_brain *brain, ch_conversation *conversation, const uint8_t client_id[16], uint32_t type, chat_bytes payload) {
  if (brain->outbox.by_client_id.count >= brain->config.outbox_max) return brain->database.in_transaction ? ch_abandon(brain, CHAT_E_LIMIT) : CHAT_E_LIMIT;
  if (!brain->database.in_transaction) ch_begin(brain);
  if (conversation) ch_outbox_add(brain, conversation, client_id, type, payload);
  return ch_end(brain, CH_RULE(C1));
}

/* ------------------------------------------------------------------------------------------------ send */

/* The same id again: the same message where the content is the same (client.h). *is_known is set where it is there, *seq where it is committed. */
static int find_same(ch_brain *brain, const ch_conversation *conversation, const uint8_t client_id[16], chat_bytes payload, bool *is_known, uint64_t *seq) {
  const ch_outbox_item *item = ch_outbox_find(brain, client_id);
  *is_known = item != NULL;
  if (item) return item->conversation == conversation && item->type == CHAT_TYPE_MESSAGE && ch_bytes_equal(item->payload, payload) ? 0 : CHAT_E_CONFLICT;
  ch_found found;
  uint64_t found_seq = 0;
  int error = ch_find_own(brain, conversation->kept.row.conversation_id, client_id, CHAT_TYPE_MESSAGE, payload, &found, &found_seq);
  *is_known = found != CH_FOUND_NOT;
  if (!error && found == CH_FOUND_SAME) *seq = found_seq;
  return error ? error : found == CH_FOUND_OTHER ? CHAT_E_CONFLICT : 0;
}

/* A direct conversation needs no creation: it is here as soon as somebody is written to. Begins a transaction where it is new. */
static int find_direct(ch_brain *brain, chat_bytes user, ch_conversation **conversation) {
  uint8_t id[16];
  if (brain->database.identity.user_len == 0) return CHAT_E_OFFLINE;
  if (!ch_user_id_valid(user)) return CHAT_E_INVALID;
  ch_conversation_id_direct(ch_own_user(brain), user, id);
  *conversation = ch_conversation_find(brain, id);
  if (*conversation && (*conversation)->kept.row.peer.len > 0) return 0;
  ch_begin(brain);
  if (!*conversation) *conversation = ch_conversation_add(brain, id);
  if (!*conversation) return 0;
  ch_kept *kept = ch_change(brain, *conversation);
  kept->row.kind = CHAT_DIRECT;
  if (kept->row.role == CHAT_ROLE_NONE) kept->row.role = CHAT_ROLE_MEMBER;
  ch_kept_set_peer(kept, user);
  chat_cache_member members[] = {{.user = ch_own_user(brain), .role = CHAT_ROLE_MEMBER}, {.user = user, .role = CHAT_ROLE_MEMBER}};
  ch_put_members(brain, id, members, ch_is_own(brain, user) ? 1 : 2);
  return 0;
}

static int find_target(ch_brain *brain, const ch_client_request *request, ch_conversation **conversation) {
  if (request->user.len > 0) return find_direct(brain, request->user, conversation);
  *conversation = ch_conversation_find(brain, request->conversation_id);
  if (!*conversation || (*conversation)->kept.row.role == CHAT_ROLE_NONE) return CHAT_E_NOT_FOUND;
  return (*conversation)->kept.row.kind == CHAT_DIRECT && (*conversation)->kept.row.peer.len == 0 ? CHAT_E_OFFLINE : 0;
}

static int send_payload(ch_brain *brain, const ch_client_request *request, chat_bytes payload, ch_client_event *reply, const uint8_t client_id[16]) {
  ch_conversation *conversation = NULL;
  bool is_known = false;
  int error = find_target(brain, request, &conversation);
  if (error) return error;
  if (conversation) memcpy(reply->event.conversation_id, conversation->kept.row.conversation_id, 16);
  if (request->has_client_id && conversation) error = find_same(brain, conversation, client_id, payload, &is_known, &reply->event.seq);
  if (!error && !is_known) return enter(brain, conversation, client_id, CHAT_TYPE_MESSAGE, payload);
  if (!brain->database.in_transaction) return error;
  return error ? ch_abandon(brain, error) : ch_end(brain, false);
}

void ch_request_send(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_content content = {.type = CHAT_TYPE_MESSAGE, .kind = request->message_kind, .body = request->body, .meta = request->meta};
  ch_buf payload;
  uint8_t client_id[16];
  if (request->has_client_id) memcpy(client_id, request->client_id, 16);
  else ch_client_id_new(brain, client_id);
  int error = encode(brain, &content, &payload);
  if (!error) error = send_payload(brain, request, ch_buf_bytes(&payload), reply, client_id);
  ch_buf_fini(&payload);
  memcpy(reply->event.client_id, client_id, 16);
  ch_reply_end(brain, reply, error);
}

/* ------------------------------------------------------------------------------------------------ conversations */

static int create(ch_brain *brain, const ch_client_request *request, const uint8_t id[16], const uint8_t client_id[16], chat_bytes payload) {
  ch_begin(brain);
  ch_conversation *conversation = ch_conversation_add(brain, id);
  if (conversation) {
    ch_kept *kept = ch_change(brain, conversation);
    kept->row.kind = (uint32_t)request->number;
    kept->row.role = CHAT_ROLE_OWNER;
    kept->row.members_stale = 1;
    kept->row.member_count = request->user_count + 1;
    kept->row.history_from_start = request->flag;
    kept->row.active_ms = brain->now.wall_ms;
    ch_kept_set_title(kept, request->text);
  }
  return enter(brain, conversation, client_id, CHAT_TYPE_CREATE, payload);
}

void ch_request_create(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_content content = {.type = CHAT_TYPE_CREATE, .conversation_kind = (uint32_t)request->number, .title = request->text, .users = request->users,
                        .user_count = request->user_count, .history_from_start = request->flag};
  uint8_t id[16] = {0}, client_id[16];
  ch_buf payload;
  ch_client_id_new(brain, client_id);
  int error = encode(brain, &content, &payload);
  if (brain->database.identity.user_len == 0) error = CHAT_E_OFFLINE;
  if (!error) {
    ch_conversation_id_group(ch_own_user(brain), client_id, id);
    error = create(brain, request, id, client_id, ch_buf_bytes(&payload));
  }
  ch_buf_fini(&payload);
  end_with_ids(brain, reply, error, id, client_id);
}

void ch_request_control(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_content content = {.type = request->type, .title = request->text, .users = request->users, .user_count = request->user_count,
                        .role = request->role, .history_from_start = request->flag};
  ch_conversation *conversation = ch_conversation_find(brain, request->conversation_id);
  uint8_t client_id[16];
  ch_buf payload;
  ch_client_id_new(brain, client_id);
  int error = encode(brain, &content, &payload);
  if (!conversation || conversation->kept.row.role == CHAT_ROLE_NONE) error = CHAT_E_NOT_FOUND;
  if (!error) error = enter(brain, conversation, client_id, request->type, ch_buf_bytes(&payload));
  ch_buf_fini(&payload);
  end_with_ids(brain, reply, error, request->conversation_id, client_id);
}

/* ------------------------------------------------------------------------------------------------ retry, discard */

/* A retirement is the client's own: parked rows wait for it, so no person takes it back. */
static ch_outbox_item *find_of_person(const ch_brain *brain, const uint8_t client_id[16]) {
  ch_outbox_item *item = ch_outbox_find(brain, client_id);
  return item && item->type != CHAT_TYPE_DEVICE_RETIRED ? item : NULL;
}

/* A refused row has ended; what is tried again is a new message with its content. */
static int enter_anew(ch_brain *brain, ch_outbox_item *item, uint8_t client_id[16]) {
  ch_client_id_new(brain, client_id);
  ch_begin(brain);
  ch_outbox_add(brain, item->conversation, client_id, item->type, item->payload);
  ch_outbox_remove(brain, item);
  return ch_end(brain, true);
}

void ch_request_retry(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_outbox_item *item = find_of_person(brain, request->client_id);
  uint8_t *client_id = reply->event.client_id;
  int error = item ? 0 : CHAT_E_NOT_FOUND;
  memcpy(client_id, request->client_id, 16);
  if (item) memcpy(reply->event.conversation_id, item->conversation->kept.row.conversation_id, 16);
  /* The id of what is created follows from the client id, so a creation cannot go on as another message. */
  if (item && item->facts.state == CH_ITEM_REFUSED && item->type == CHAT_TYPE_CREATE) error = CHAT_E_UNSUPPORTED;
  else if (item && item->facts.state == CH_ITEM_REFUSED) error = enter_anew(brain, item, client_id);
  else if (item && item->facts.state != CH_ITEM_ACCEPTED) item->facts.due_ms = 0; /* C5: one in flight is not sent again */
  brain->outbox.is_dirty = true;
  ch_reply_end(brain, reply, error);
}

/* C8: a row that nobody can have seen under its present number is dropped; any other is voided, and ends by its verdict. A refused one is only taken off the list. */
static int discard(ch_brain *brain, ch_outbox_item *item) {
  ch_begin(brain);
  if (ch_item_facts_may_drop(&item->facts) || item->facts.state == CH_ITEM_REFUSED) ch_outbox_remove(brain, item);
  else ch_item_facts_discard(ch_item_change(brain, item));
  return ch_end(brain, true);
}

void ch_request_discard(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_outbox_item *item = find_of_person(brain, request->client_id);
  memcpy(reply->event.client_id, request->client_id, 16);
  if (item) memcpy(reply->event.conversation_id, item->conversation->kept.row.conversation_id, 16);
  ch_reply_end(brain, reply, item ? discard(brain, item) : CHAT_E_NOT_FOUND);
}
