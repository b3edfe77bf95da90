/* SPDX-License-Identifier: Apache-2.0 */
/* ClientMessage (docs/protocol.md, "From client to server"): a pair of converters for each body, found by the number of its oneof. */
#include <string.h>

#include "chat.pb-c.h"
#include "core/assert.h"
#include "core/codec_parts.h"

static void hello_pack(ch_pack *pack, const void *from, void *to) {
  const ch_hello *hello = from;
  Ch__Hello *message = to;
  (void)pack;
  message->version = hello->version;
  message->features = hello->features;
  message->token = ch_pack_bytes(hello->token);
  if (hello->has_device) message->device_id = ch_pack_id(hello->device_id);
  message->device_session = hello->device_session;
  message->client = ch_pack_bytes(hello->client);
}

static void hello_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Hello *message = from;
  ch_hello *hello = to;
  hello->version = message->version;
  hello->features = message->features;
  hello->token = ch_unpack_blob(unpack, message->token, CHAT_TOKEN_MAX);
  hello->has_device = ch_unpack_id_or_none(unpack, message->device_id, hello->device_id);
  hello->device_session = message->device_session;
  hello->client = ch_unpack_text(unpack, message->client, CH_CLIENT_NAME_MAX);
}

static void confirm_session_pack(ch_pack *pack, const void *from, void *to) {
  Ch__ConfirmSession *message = to;
  (void)pack;
  message->device_session = *(const uint64_t *)from;
}

static void confirm_session_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__ConfirmSession *message = from;
  (void)unpack;
  *(uint64_t *)to = message->device_session;
}

static void renew_token_pack(ch_pack *pack, const void *from, void *to) {
  Ch__RenewToken *message = to;
  (void)pack;
  message->token = ch_pack_bytes(*(const chat_bytes *)from);
}

static void renew_token_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__RenewToken *message = from;
  *(chat_bytes *)to = ch_unpack_blob(unpack, message->token, CHAT_TOKEN_MAX);
}

static void heartbeat_pack(ch_pack *pack, const void *from, void *to) {
  Ch__Heartbeat *message = to;
  (void)pack;
  message->idle = *(const uint32_t *)from;
}

static void heartbeat_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Heartbeat *message = from;
  (void)unpack;
  *(uint32_t *)to = ch_unpack_flag(message->idle);
}

static void send_pack(ch_pack *pack, const void *from, void *to) {
  const ch_send *send = from;
  Ch__Send *message = to;
  (void)pack;
  message->conversation_id = ch_pack_id(send->conversation_id);
  message->client_id = ch_pack_id(send->client_id);
  message->client_seq = send->client_seq;
  message->prev = send->prev;
  message->retry = send->retry;
  message->discard = send->discard;
  message->type = send->type;
  message->payload = ch_pack_bytes(send->payload);
  message->peer = ch_pack_bytes(send->peer);
}

static void send_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Send *message = from;
  ch_send *send = to;
  ch_unpack_id(unpack, message->conversation_id, send->conversation_id);
  ch_unpack_id(unpack, message->client_id, send->client_id);
  if (ch_id_is_zero(send->client_id)) ch_unpack_fail(unpack, CHAT_E_INVALID); /* in the log that would be no id, and a record of a device without one is damage */
  /* Numbers begin at 1, and C2 names a lower one; so neither needs a bound of its own. */
  if (message->prev >= message->client_seq) ch_unpack_fail(unpack, CHAT_E_INVALID);
  send->client_seq = message->client_seq;
  send->prev = message->prev;
  send->retry = ch_unpack_flag(message->retry);
  send->discard = ch_unpack_flag(message->discard);
  send->type = message->type;
  send->payload = ch_unpack_payload(unpack, message->type, message->payload);
  send->peer = ch_unpack_user_or_none(unpack, message->peer);
}

static void sync_pack(ch_pack *pack, const void *from, void *to) {
  Ch__Sync *message = to;
  (void)pack;
  message->position = *(const uint64_t *)from;
}

static void sync_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Sync *message = from;
  (void)unpack;
  *(uint64_t *)to = message->position;
}

static void range_pack(ch_pack *pack, const void *from, void *to) {
  const ch_range *range = from;
  Ch__Range *message = to;
  (void)pack;
  message->conversation_id = ch_pack_id(range->conversation_id);
  message->low = range->low;
  message->high = range->high;
  message->limit = range->limit;
  message->newest_first = range->newest_first;
}

static void range_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Range *message = from;
  ch_range *range = to;
  ch_unpack_id(unpack, message->conversation_id, range->conversation_id);
  range->low = message->low;
  range->high = message->high;
  range->limit = ch_unpack_choice(unpack, message->limit, 1, CHAT_PAGE_MAX);
  range->newest_first = ch_unpack_flag(message->newest_first);
}

static void receipt_pack(ch_pack *pack, const void *from, void *to) {
  const ch_receipt *receipt = from;
  Ch__Receipt *message = to;
  (void)pack;
  message->conversation_id = ch_pack_id(receipt->conversation_id);
  message->delivered = receipt->delivered;
  message->read = receipt->read;
}

static void receipt_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Receipt *message = from;
  ch_receipt *receipt = to;
  ch_unpack_id(unpack, message->conversation_id, receipt->conversation_id);
  receipt->delivered = message->delivered;
  receipt->read = message->read;
}

static void get_receipts_pack(ch_pack *pack, const void *from, void *to) {
  const ch_get_receipts *request = from;
  Ch__GetReceipts *message = to;
  ProtobufCBinaryData *ids = request->count > 0 ? ch_pack_alloc(pack, request->count, sizeof *ids) : NULL;
  for (size_t i = 0; ids && i < request->count; i++)
    ids[i] = ch_pack_id(request->conversation_ids[i]);
  message->conversation_ids = ids;
  message->n_conversation_ids = request->count;
}

static void get_receipts_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__GetReceipts *message = from;
  ch_get_receipts *request = to;
  size_t count = message->n_conversation_ids;
  uint8_t(*ids)[16] = count > 0 ? ch_unpack_alloc(unpack, count * sizeof *ids) : NULL;
  for (size_t i = 0; ids && i < count; i++)
    ch_unpack_id(unpack, message->conversation_ids[i], ids[i]);
  request->conversation_ids = (const uint8_t(*)[16])ids;
  request->count = count;
}

static void get_members_pack(ch_pack *pack, const void *from, void *to) {
  const ch_get_members *request = from;
  Ch__GetMembers *message = to;
  (void)pack;
  message->conversation_id = ch_pack_id(request->conversation_id);
  message->after = ch_pack_bytes(request->after);
  message->limit = request->limit;
}

static void get_members_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__GetMembers *message = from;
  ch_get_members *request = to;
  ch_unpack_id(unpack, message->conversation_id, request->conversation_id);
  request->after = ch_unpack_user_or_none(unpack, message->after);
  request->limit = ch_unpack_choice(unpack, message->limit, 1, CH_MEMBERS_PAGE_MAX);
}

static void search_pack(ch_pack *pack, const void *from, void *to) {
  const ch_search *search = from;
  Ch__Search *message = to;
  (void)pack;
  message->query = ch_pack_bytes(search->query);
  message->conversation_id = ch_pack_id_or_none(search->conversation_id);
  message->before_message_id = search->before_message_id;
  message->limit = search->limit;
}

static void search_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Search *message = from;
  ch_search *search = to;
  search->query = ch_unpack_text(unpack, message->query, CH_QUERY_MAX);
  if (search->query.len == 0) ch_unpack_fail(unpack, CHAT_E_INVALID);
  ch_unpack_id_or_none(unpack, message->conversation_id, search->conversation_id);
  search->before_message_id = message->before_message_id;
  search->limit = ch_unpack_choice(unpack, message->limit, 1, CHAT_PAGE_MAX);
}

static void watch_pack(ch_pack *pack, const void *from, void *to) {
  const ch_flagged *watch = from;
  Ch__Watch *message = to;
  (void)pack;
  message->conversation_id = ch_pack_id(watch->conversation_id);
  message->stop = watch->flag;
}

static void watch_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Watch *message = from;
  ch_flagged *watch = to;
  ch_unpack_id(unpack, message->conversation_id, watch->conversation_id);
  watch->flag = ch_unpack_flag(message->stop);
}

static void set_typing_pack(ch_pack *pack, const void *from, void *to) {
  const ch_flagged *typing = from;
  Ch__SetTyping *message = to;
  (void)pack;
  message->conversation_id = ch_pack_id(typing->conversation_id);
  message->typing = typing->flag;
}

static void set_typing_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__SetTyping *message = from;
  ch_flagged *typing = to;
  ch_unpack_id(unpack, message->conversation_id, typing->conversation_id);
  typing->flag = ch_unpack_flag(message->typing);
}

static void revoke_device_pack(ch_pack *pack, const void *from, void *to) {
  Ch__RevokeDevice *message = to;
  (void)pack;
  message->device_id = ch_pack_id(from);
}

static void revoke_device_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__RevokeDevice *message = from;
  ch_unpack_id(unpack, message->device_id, to);
}

static const ch_codec_row rows[CH_CLIENT_OP_COUNT] = {
    [CH_HELLO] = {&ch__hello__descriptor, hello_pack, hello_unpack},
    [CH_CONFIRM_SESSION] = {&ch__confirm_session__descriptor, confirm_session_pack, confirm_session_unpack},
    [CH_RENEW_TOKEN] = {&ch__renew_token__descriptor, renew_token_pack, renew_token_unpack},
    [CH_HEARTBEAT] = {&ch__heartbeat__descriptor, heartbeat_pack, heartbeat_unpack},
    [CH_SEND] = {&ch__send__descriptor, send_pack, send_unpack},
    [CH_SYNC] = {&ch__sync__descriptor, sync_pack, sync_unpack},
    [CH_RANGE] = {&ch__range__descriptor, range_pack, range_unpack},
    [CH_RECEIPT] = {&ch__receipt__descriptor, receipt_pack, receipt_unpack},
    [CH_GET_RECEIPTS] = {&ch__get_receipts__descriptor, get_receipts_pack, get_receipts_unpack},
    [CH_GET_MEMBERS] = {&ch__get_members__descriptor, get_members_pack, get_members_unpack},
    [CH_SEARCH] = {&ch__search__descriptor, search_pack, search_unpack},
    [CH_WATCH] = {&ch__watch__descriptor, watch_pack, watch_unpack},
    [CH_SET_TYPING] = {&ch__set_typing__descriptor, set_typing_pack, set_typing_unpack},
    [CH_LIST_DEVICES] = {&ch__list_devices__descriptor, NULL, NULL},
    [CH_REVOKE_DEVICE] = {&ch__revoke_device__descriptor, revoke_device_pack, revoke_device_unpack},
};

_Static_assert((int)CH_HELLO == CH__CLIENT_MESSAGE__BODY_HELLO && (int)CH_REVOKE_DEVICE == CH__CLIENT_MESSAGE__BODY_REVOKE_DEVICE,
               "opcodes are the numbers of the oneof");

int ch_client_message_decode(chat_bytes bytes, ch_arena *arena, ch_client_message *message) {
  ch_unpack unpack = {.arena = arena};
  uint32_t body;
  memset(message, 0, sizeof *message);
  int error = ch_read_envelope(&ch__client_message__descriptor, bytes, &message->tag, &body);
  message->op = (ch_client_op)body;
  if (error || body == CH_CLIENT_NONE) return error;
  const Ch__ClientMessage *from = ch_unpack_message(&unpack, &ch__client_message__descriptor, bytes);
  if (from && rows[body].unpack) rows[body].unpack(&unpack, from->hello, &message->u);
  return unpack.error;
}

int ch_client_message_encode(const ch_client_message *message, ch_buf *out) {
  ch_pack pack;
  Ch__ClientMessage to = CH__CLIENT_MESSAGE__INIT;
  ch_assert(message->op < CH_CLIENT_OP_COUNT && rows[message->op].descriptor);
  const ch_codec_row *row = &rows[message->op];
  ch_pack_init(&pack, out->alloc);
  to.tag = message->tag;
  to.body_case = (Ch__ClientMessage__BodyCase)message->op;
  to.hello = ch_pack_message(&pack, row->descriptor, row->pack, &message->u); /* all bodies are pointers at one place */
  int error = pack.error ? pack.error : ch_pack_append_prefixed(0, &to.base, out);
  ch_pack_fini(&pack);
  return error;
}
