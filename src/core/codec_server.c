/* SPDX-License-Identifier: Apache-2.0 */
/* ServerMessage (docs/protocol.md, "From server to client"). The client checks what a server says as strictly as the other way round. */
#include <string.h>

#include "chat.pb-c.h"
#include "core/assert.h"
#include "core/codec_parts.h"

/* --- session --- */

static void limits_pack(ch_pack *pack, const void *from, void *to) {
  const ch_limits_info *limits = from;
  Ch__Limits *message = to;
  (void)pack;
  message->heartbeat_ms = limits->heartbeat_ms;
  message->frame_max = limits->frame_max;
  message->body_max = limits->body_max;
  message->meta_max = limits->meta_max;
  message->page_max = limits->page_max;
  message->group_members_max = limits->group_members_max;
  message->in_flight_max = limits->in_flight_max;
}

static ch_limits_info limits_unpack(const Ch__Limits *message) {
  return (ch_limits_info){
      .heartbeat_ms = message->heartbeat_ms,
      .frame_max = message->frame_max,
      .body_max = message->body_max,
      .meta_max = message->meta_max,
      .page_max = message->page_max,
      .group_members_max = message->group_members_max,
      .in_flight_max = message->in_flight_max,
  };
}

static void welcome_pack(ch_pack *pack, const void *from, void *to) {
  const ch_welcome *welcome = from;
  Ch__Welcome *message = to;
  message->version = welcome->version;
  message->features = welcome->features;
  message->user = ch_pack_bytes(welcome->user);
  message->device_id = ch_pack_id(welcome->device_id);
  message->device_session = welcome->device_session;
  message->server_ms = welcome->server_ms;
  message->token_expires_ms = welcome->token_expires_ms;
  message->limits = ch_pack_message(pack, &ch__limits__descriptor, limits_pack, &welcome->limits);
}

static void welcome_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Welcome *message = from;
  ch_welcome *welcome = to;
  welcome->version = message->version;
  welcome->features = message->features;
  welcome->user = ch_unpack_user(unpack, message->user);
  ch_unpack_id(unpack, message->device_id, welcome->device_id);
  welcome->device_session = message->device_session;
  welcome->server_ms = message->server_ms;
  welcome->token_expires_ms = message->token_expires_ms;
  if (message->limits) welcome->limits = limits_unpack(message->limits);
}

static void error_pack(ch_pack *pack, const void *from, void *to) {
  const ch_error *error = from;
  Ch__Error *message = to;
  (void)pack;
  message->code = ch_pack_error(error->code);
  message->retry_after_ms = error->retry_after_ms;
  message->text = ch_pack_bytes(error->text);
}

static void error_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Error *message = from;
  ch_error *error = to;
  error->code = ch_unpack_error(unpack, message->code);
  error->retry_after_ms = message->retry_after_ms;
  error->text = ch_unpack_text(unpack, message->text, CH_ERROR_TEXT_MAX);
}

static void heartbeat_reply_pack(ch_pack *pack, const void *from, void *to) {
  Ch__HeartbeatReply *message = to;
  (void)pack;
  message->pos = *(const uint64_t *)from;
}

static void heartbeat_reply_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__HeartbeatReply *message = from;
  (void)unpack;
  *(uint64_t *)to = message->pos;
}

static void goodbye_pack(ch_pack *pack, const void *from, void *to) {
  const ch_goodbye *goodbye = from;
  Ch__Goodbye *message = to;
  (void)pack;
  message->code = ch_pack_error(goodbye->code);
  message->reconnect_after_ms = goodbye->reconnect_after_ms;
}

static void goodbye_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Goodbye *message = from;
  ch_goodbye *goodbye = to;
  goodbye->code = ch_unpack_error(unpack, message->code);
  goodbye->reconnect_after_ms = message->reconnect_after_ms;
}

/* --- sending --- */

static void answer_pack(ch_pack *pack, const void *from, void *to) {
  const ch_answer *answer = from;
  Ch__Answer *message = to;
  (void)pack;
  message->code = (Ch__AnswerCode)answer->code;
  message->conversation_id = ch_pack_id(answer->conversation_id);
  message->client_id = ch_pack_id(answer->client_id);
  message->client_seq = answer->client_seq;
  message->error = ch_pack_error(answer->error);
  message->retry_after_ms = answer->retry_after_ms;
}

static void answer_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Answer *message = from;
  ch_answer *answer = to;
  answer->code = (ch_answer_code)ch_unpack_choice(unpack, (uint32_t)message->code, CH_ACCEPTED, CH_REFUSED);
  ch_unpack_id(unpack, message->conversation_id, answer->conversation_id);
  ch_unpack_id(unpack, message->client_id, answer->client_id);
  answer->client_seq = message->client_seq;
  answer->error = ch_unpack_error(unpack, message->error);
  answer->retry_after_ms = message->retry_after_ms;
}

/* --- events --- */

static void head_hint_pack(ch_pack *pack, const void *from, void *to) {
  const ch_head_hint *hint = from;
  Ch__HeadHint *message = to;
  (void)pack;
  message->conversation_id = ch_pack_id(hint->conversation_id);
  message->head = hint->head;
}

static void head_hint_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__HeadHint *message = from;
  ch_head_hint *hint = to;
  ch_unpack_id(unpack, message->conversation_id, hint->conversation_id);
  hint->head = message->head;
}

static Ch__Event **events_pack(ch_pack *pack, const chat_row *events, size_t count) {
  return ch_pack_list(pack, events, count, sizeof *events, &ch__event__descriptor, ch_event_pack);
}

static const chat_row *events_unpack(ch_unpack *unpack, Ch__Event *const *events, size_t count) {
  return ch_unpack_list(unpack, events, count, sizeof(chat_row), ch_event_unpack);
}

static void live_pack(ch_pack *pack, const void *from, void *to) {
  const ch_live *live = from;
  Ch__Live *message = to;
  message->previous = live->previous;
  message->position = live->position;
  message->n_events = live->event_count;
  message->events = events_pack(pack, live->events, live->event_count);
  message->n_heads = live->head_count;
  message->heads = ch_pack_list(pack, live->heads, live->head_count, sizeof *live->heads, &ch__head_hint__descriptor, head_hint_pack);
}

static void live_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Live *message = from;
  ch_live *live = to;
  live->previous = message->previous;
  live->position = message->position;
  live->event_count = message->n_events;
  live->events = events_unpack(unpack, message->events, message->n_events);
  live->head_count = message->n_heads;
  live->heads = ch_unpack_list(unpack, message->heads, message->n_heads, sizeof *live->heads, head_hint_unpack);
}

static void sync_reply_pack(ch_pack *pack, const void *from, void *to) {
  const ch_sync_reply *reply = from;
  Ch__SyncReply *message = to;
  message->n_heads = reply->head_count;
  message->heads = ch_pack_list(pack, reply->heads, reply->head_count, sizeof *reply->heads, &ch__head__descriptor, ch_head_pack);
  message->position = reply->position;
  message->more = reply->more;
  message->reset = reply->reset;
}

static void sync_reply_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__SyncReply *message = from;
  ch_sync_reply *reply = to;
  reply->head_count = message->n_heads;
  reply->heads = ch_unpack_list(unpack, message->heads, message->n_heads, sizeof *reply->heads, ch_head_unpack);
  reply->position = message->position;
  reply->more = ch_unpack_flag(message->more);
  reply->reset = ch_unpack_flag(message->reset);
}

static void range_reply_pack(ch_pack *pack, const void *from, void *to) {
  const ch_range_reply *reply = from;
  Ch__RangeReply *message = to;
  message->conversation_id = ch_pack_id(reply->conversation_id);
  message->status = (Ch__RangeStatus)reply->status;
  message->low = reply->low;
  message->high = reply->high;
  message->head = reply->head;
  message->floor = reply->floor;
  message->n_events = reply->event_count;
  message->events = events_pack(pack, reply->events, reply->event_count);
}

static void range_reply_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__RangeReply *message = from;
  ch_range_reply *reply = to;
  ch_unpack_id(unpack, message->conversation_id, reply->conversation_id);
  reply->status = (ch_range_status)ch_unpack_choice(unpack, (uint32_t)message->status, CH_RANGE_COMPLETE, CH_RANGE_RESET);
  reply->low = message->low;
  reply->high = message->high;
  reply->head = message->head;
  reply->floor = message->floor;
  reply->event_count = message->n_events;
  reply->events = events_unpack(unpack, message->events, message->n_events);
}

static void search_reply_pack(ch_pack *pack, const void *from, void *to) {
  const ch_search_reply *reply = from;
  Ch__SearchReply *message = to;
  message->n_events = reply->event_count;
  message->events = events_pack(pack, reply->events, reply->event_count);
  message->more = reply->more;
}

static void search_reply_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__SearchReply *message = from;
  ch_search_reply *reply = to;
  reply->event_count = message->n_events;
  reply->events = events_unpack(unpack, message->events, message->n_events);
  reply->more = ch_unpack_flag(message->more);
}

/* --- people --- */

static void member_pack(ch_pack *pack, const void *from, void *to) {
  const ch_member_info *member = from;
  Ch__Member *message = to;
  (void)pack;
  message->user = ch_pack_bytes(member->user);
  message->role = member->role;
  message->delivered = member->delivered;
  message->read = member->read;
}

static void member_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Member *message = from;
  ch_member_info *member = to;
  member->user = ch_unpack_user(unpack, message->user);
  member->role = ch_unpack_choice(unpack, message->role, CHAT_ROLE_NONE, CHAT_ROLE_OWNER);
  member->delivered = message->delivered;
  member->read = message->read;
}

static void members_reply_pack(ch_pack *pack, const void *from, void *to) {
  const ch_members_reply *reply = from;
  Ch__MembersReply *message = to;
  message->conversation_id = ch_pack_id(reply->conversation_id);
  message->kind = reply->kind;
  message->title = ch_pack_bytes(reply->title);
  message->history_from_start = reply->history_from_start;
  message->head = reply->head;
  message->member_count = reply->member_count;
  message->n_members = reply->count;
  message->members = ch_pack_list(pack, reply->members, reply->count, sizeof *reply->members, &ch__member__descriptor, member_pack);
  message->more = reply->more;
}

static void members_reply_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__MembersReply *message = from;
  ch_members_reply *reply = to;
  ch_unpack_id(unpack, message->conversation_id, reply->conversation_id);
  reply->kind = ch_unpack_choice(unpack, message->kind, CHAT_DIRECT, CHAT_CHANNEL);
  reply->title = ch_unpack_text(unpack, message->title, CHAT_TITLE_MAX);
  reply->history_from_start = ch_unpack_flag(message->history_from_start);
  reply->head = message->head;
  reply->member_count = message->member_count;
  reply->count = message->n_members;
  reply->members = ch_unpack_list(unpack, message->members, message->n_members, sizeof *reply->members, member_unpack);
  reply->more = ch_unpack_flag(message->more);
}

static void user_presence_pack(ch_pack *pack, const void *from, void *to) {
  const chat_presence *presence = from;
  Ch__UserPresence *message = to;
  (void)pack;
  message->user = ch_pack_bytes(presence->user);
  message->online = presence->online;
  message->seen_ms = presence->seen_ms;
}

/* `online` is a number, not a flag: a later version may tell "away" from "here". */
static void user_presence_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__UserPresence *message = from;
  chat_presence *presence = to;
  presence->user = ch_unpack_user(unpack, message->user);
  presence->online = message->online;
  presence->seen_ms = message->seen_ms;
}

static void presence_pack(ch_pack *pack, const void *from, void *to) {
  const ch_presence *presence = from;
  Ch__Presence *message = to;
  message->n_users = presence->count;
  message->users =
      ch_pack_list(pack, presence->users, presence->count, sizeof *presence->users, &ch__user_presence__descriptor, user_presence_pack);
}

static void presence_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Presence *message = from;
  ch_presence *presence = to;
  presence->count = message->n_users;
  presence->users = ch_unpack_list(unpack, message->users, message->n_users, sizeof *presence->users, user_presence_unpack);
}

static void device_pack(ch_pack *pack, const void *from, void *to) {
  const ch_device_info *device = from;
  Ch__Device *message = to;
  (void)pack;
  message->device_id = ch_pack_id(device->device_id);
  message->name = ch_pack_bytes(device->name);
  message->created_ms = device->created_ms;
  message->seen_ms = device->seen_ms;
  message->revoked = device->revoked;
  message->current = device->current;
}

static void device_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Device *message = from;
  ch_device_info *device = to;
  ch_unpack_id(unpack, message->device_id, device->device_id);
  device->name = ch_unpack_text(unpack, message->name, CH_CLIENT_NAME_MAX);
  device->created_ms = message->created_ms;
  device->seen_ms = message->seen_ms;
  device->revoked = ch_unpack_flag(message->revoked);
  device->current = ch_unpack_flag(message->current);
}

static void devices_reply_pack(ch_pack *pack, const void *from, void *to) {
  const ch_devices_reply *reply = from;
  Ch__DevicesReply *message = to;
  message->n_devices = reply->count;
  message->devices = ch_pack_list(pack, reply->devices, reply->count, sizeof *reply->devices, &ch__device__descriptor, device_pack);
}

static void devices_reply_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__DevicesReply *message = from;
  ch_devices_reply *reply = to;
  reply->count = message->n_devices;
  reply->devices = ch_unpack_list(unpack, message->devices, message->n_devices, sizeof *reply->devices, device_unpack);
}

static const ch_codec_row rows[CH_SERVER_OP_COUNT] = {
    [CH_WELCOME] = {&ch__welcome__descriptor, welcome_pack, welcome_unpack},
    [CH_ERROR] = {&ch__error__descriptor, error_pack, error_unpack},
    [CH_OK] = {&ch__ok__descriptor, NULL, NULL},
    [CH_HEARTBEAT_REPLY] = {&ch__heartbeat_reply__descriptor, heartbeat_reply_pack, heartbeat_reply_unpack},
    [CH_ANSWER] = {&ch__answer__descriptor, answer_pack, answer_unpack},
    [CH_VERDICT] = {&ch__verdict__descriptor, ch_verdict_pack, ch_verdict_unpack},
    [CH_LIVE] = {&ch__live__descriptor, live_pack, live_unpack},
    [CH_SYNC_REPLY] = {&ch__sync_reply__descriptor, sync_reply_pack, sync_reply_unpack},
    [CH_RANGE_REPLY] = {&ch__range_reply__descriptor, range_reply_pack, range_reply_unpack},
    [CH_RECEIPTS] = {&ch__receipts__descriptor, ch_receipts_pack, ch_receipts_unpack},
    [CH_MEMBERS_REPLY] = {&ch__members_reply__descriptor, members_reply_pack, members_reply_unpack},
    [CH_SEARCH_REPLY] = {&ch__search_reply__descriptor, search_reply_pack, search_reply_unpack},
    [CH_PRESENCE] = {&ch__presence__descriptor, presence_pack, presence_unpack},
    [CH_TYPING] = {&ch__typing__descriptor, ch_typing_pack, ch_typing_unpack},
    [CH_DEVICES_REPLY] = {&ch__devices_reply__descriptor, devices_reply_pack, devices_reply_unpack},
    [CH_GOODBYE] = {&ch__goodbye__descriptor, goodbye_pack, goodbye_unpack},
};

_Static_assert((int)CH_WELCOME == CH__SERVER_MESSAGE__BODY_WELCOME && (int)CH_GOODBYE == CH__SERVER_MESSAGE__BODY_GOODBYE,
               "opcodes are the numbers of the oneof");

int ch_server_message_decode(chat_bytes bytes, ch_arena *arena, ch_server_message *message) {
  ch_unpack unpack = {.arena = arena};
  uint32_t body;
  memset(message, 0, sizeof *message);
  int error = ch_read_envelope(&ch__server_message__descriptor, bytes, &message->tag, &body);
  message->op = (ch_server_op)body;
  if (error || body == CH_SERVER_NONE) return error;
  const Ch__ServerMessage *from = ch_unpack_message(&unpack, &ch__server_message__descriptor, bytes);
  if (from && rows[body].unpack) rows[body].unpack(&unpack, from->welcome, &message->u);
  return unpack.error;
}

int ch_server_message_encode(const ch_server_message *message, ch_buf *out) {
  ch_pack pack;
  Ch__ServerMessage to = CH__SERVER_MESSAGE__INIT;
  ch_assert(message->op < CH_SERVER_OP_COUNT && rows[message->op].descriptor);
  const ch_codec_row *row = &rows[message->op];
  ch_pack_init(&pack, out->alloc);
  to.tag = message->tag;
  to.body_case = (Ch__ServerMessage__BodyCase)message->op;
  to.welcome = ch_pack_message(&pack, row->descriptor, row->pack, &message->u); /* all bodies are pointers at one place */
  int error = pack.error ? pack.error : ch_pack_append_prefixed(0, &to.base, out);
  ch_pack_fini(&pack);
  return error;
}
