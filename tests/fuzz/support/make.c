/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/support/make.h"

#include <string.h>

#include "core/conversation_id.h"

enum { LIST_MAX = 4, ERRORS = 29, TEXT_ROOM = 128 * 1024 };

/* --- numbers, names, ids --- */

uint64_t fuzz_number(fuzz_input *input) {
  static const uint64_t edges[] = {255,
                                   256,
                                   65535,
                                   65536,
                                   INT32_MAX,
                                   UINT32_MAX,
                                   UINT64_C(1) << 32,
                                   UINT64_C(1) << 48,
                                   UINT64_C(1) << 53,
                                   INT64_MAX - 1,
                                   INT64_MAX,
                                   UINT64_C(1) << 63,
                                   UINT64_MAX - 1,
                                   UINT64_MAX,
                                   1000,
                                   1700000000000};
  uint8_t choice = fuzz_byte(input);
  if (choice < 224) return choice % 32;
  if (choice < 240) return edges[choice % 16];
  uint64_t number = 0;
  for (int i = 0; i < 8; i++)
    number = number << 8 | fuzz_byte(input);
  return number;
}

chat_bytes fuzz_user(fuzz_input *input) {
  static const char *const names[] = {"ann", "bob", "cat", "dan", "0123456789012345678901234567890123456789012345678901234567890123", ""};
  uint8_t choice = fuzz_byte(input) % 32;
  if (choice == 31) return fuzz_piece(input);
  if (choice >= 29) return ch_bytes_text(names[choice - 25]);
  return ch_bytes_text(names[choice % 4]);
}

static void any_id(fuzz_input *input, uint8_t id[16]) {
  for (int i = 0; i < 16; i++)
    id[i] = fuzz_byte(input);
}

void fuzz_conversation(fuzz_input *input, uint8_t id[16]) {
  uint8_t choice = fuzz_byte(input) % 32;
  memset(id, 1 + choice % 2, 16);
  if (choice == 31)
    any_id(input, id);
  else if (choice == 30)
    memset(id, 0, 16);
  else if (choice % 3 == 0)
    ch_conversation_id_direct(ch_bytes_text("ann"), ch_bytes_text("bob"), id);
  else
    id[0] = CH_CONVERSATION_ID_GROUP;
}

void fuzz_id(fuzz_input *input, uint8_t id[16]) {
  uint8_t choice = fuzz_byte(input) % 32;
  if (choice == 31)
    any_id(input, id);
  else
    memset(id, choice == 30 ? 0 : 1 + choice % 8, 16);
}

static int32_t any_error(fuzz_input *input) {
  uint8_t choice = fuzz_byte(input);
  return choice < 250 ? -(int32_t)(choice % (ERRORS + 1)) : -(int32_t)(fuzz_number(input) % (CH_ERROR_CODE_MAX + 1));
}

static chat_bytes any_text(fuzz_input *input) {
  static const char *const texts[] = {"", "hi", "a word or two", "\xc3\xa9t\xc3\xa9"};
  uint8_t choice = fuzz_byte(input) % 8;
  return choice < 4 ? ch_bytes_text(texts[choice]) : fuzz_piece(input);
}

static size_t any_count(fuzz_input *input) {
  return fuzz_byte(input) % (LIST_MAX + 1);
}

static void *list_of(ch_arena *arena, size_t count, size_t len) {
  void *list = ch_arena_calloc(arena, count ? count : 1, len);
  ch_assert(list != NULL);
  return list;
}

/* --- events --- */

static chat_bytes *any_users(fuzz_input *input, ch_arena *arena, size_t *count) {
  *count = any_count(input);
  chat_bytes *users = list_of(arena, *count, sizeof *users);
  for (size_t i = 0; i < *count; i++)
    users[i] = fuzz_user(input);
  return users;
}

static void any_content(fuzz_input *input, ch_arena *arena, uint32_t type, ch_content *content) {
  *content = (ch_content){.type = type};
  switch (type) {
  case CHAT_TYPE_MESSAGE:
    content->kind = any_text(input);
    content->body = any_text(input);
    content->meta = any_text(input);
    break;
  case CHAT_TYPE_CREATE:
    content->conversation_kind = fuzz_byte(input) % 5;
    content->title = any_text(input);
    content->history_from_start = fuzz_byte(input) & 1;
    content->users = any_users(input, arena, &content->user_count);
    break;
  case CHAT_TYPE_TITLE: content->title = any_text(input); break;
  case CHAT_TYPE_SETTINGS: content->history_from_start = fuzz_byte(input) & 1; break;
  case CHAT_TYPE_MEMBERS_ADD:
    content->users = any_users(input, arena, &content->user_count);
    content->role = fuzz_byte(input) % 5;
    break;
  case CHAT_TYPE_DEVICE_RETIRED: fuzz_id(input, content->device_id); break;
  default: {
    chat_bytes *one = list_of(arena, 1, sizeof *one);
    *one = fuzz_user(input);
    content->users = one;
    content->user_count = 1;
    content->role = fuzz_byte(input) % 5;
  }
  }
}

chat_bytes fuzz_payload(fuzz_input *input, ch_arena *arena, uint32_t type) {
  ch_content content;
  ch_buf out;
  if (fuzz_byte(input) % 16 == 15 || type == 0 || type > CHAT_TYPE_DEVICE_RETIRED)
    return fuzz_piece(input); /* an unknown type has no content */
  any_content(input, arena, type, &content);
  ch_buf_init(&out, NULL, TEXT_ROOM);
  int error = ch_content_encode(&content, &out);
  ch_assert(!error);
  chat_bytes payload = {ch_arena_dup(arena, out.data, out.len), out.len};
  ch_buf_fini(&out);
  ch_assert(payload.data != NULL);
  return payload;
}

static uint32_t any_type(fuzz_input *input) {
  uint32_t choice = fuzz_byte(input);
  return choice < 128 ? CHAT_TYPE_MESSAGE : choice < 250 ? 1 + choice % CHAT_TYPE_DEVICE_RETIRED : (uint32_t)fuzz_number(input);
}

void fuzz_row(fuzz_input *input, ch_arena *arena, chat_row *row) {
  *row = (chat_row){.seq = fuzz_number(input),
                    .msg_no = fuzz_number(input),
                    .message_id = fuzz_number(input),
                    .created_ms = fuzz_number(input),
                    .client_seq = fuzz_number(input),
                    .sender = fuzz_user(input),
                    .type = any_type(input)};
  fuzz_conversation(input, row->conversation_id);
  fuzz_id(input, row->device_id);
  fuzz_id(input, row->client_id);
  row->payload = fuzz_payload(input, arena, row->type);
}

chat_row *fuzz_rows(fuzz_input *input, ch_arena *arena, size_t *count) {
  *count = any_count(input);
  chat_row *rows = list_of(arena, *count, sizeof *rows);
  for (size_t i = 0; i < *count; i++)
    fuzz_row(input, arena, &rows[i]);
  return rows;
}

void fuzz_receipts(fuzz_input *input, ch_arena *arena, ch_receipts *receipts) {
  receipts->count = any_count(input);
  chat_watermark *marks = list_of(arena, receipts->count, sizeof *marks);
  for (size_t i = 0; i < receipts->count; i++) {
    fuzz_conversation(input, marks[i].conversation_id);
    marks[i].user = fuzz_user(input);
    marks[i].delivered = fuzz_number(input);
    marks[i].read = fuzz_number(input);
  }
  receipts->marks = marks;
}

/* --- client to server --- */

static void make_hello(fuzz_input *input, ch_hello *hello) {
  uint8_t choice = fuzz_byte(input);
  hello->version = choice % 8 == 7 ? (uint32_t)fuzz_number(input) : 1;
  hello->features = fuzz_number(input);
  hello->token = fuzz_user(input);
  hello->has_device = choice >> 3 & 1;
  if (hello->has_device) fuzz_id(input, hello->device_id);
  hello->device_session = fuzz_number(input);
  hello->client = any_text(input);
}

static void make_send(fuzz_input *input, ch_arena *arena, ch_send *send) {
  uint8_t flags = fuzz_byte(input);
  fuzz_conversation(input, send->conversation_id);
  fuzz_id(input, send->client_id);
  send->client_seq = fuzz_number(input);
  send->prev = flags & 4 ? fuzz_number(input) : send->client_seq - 1;
  send->retry = flags & 1;
  send->discard = flags >> 1 & 1;
  send->type = any_type(input);
  send->payload = fuzz_payload(input, arena, send->type);
  if (flags & 8) send->peer = fuzz_user(input);
  /* A conversation that is one: its id follows from who makes it. */
  if (flags & 16)
    ch_conversation_id_direct(ch_bytes_text("ann"), ch_bytes_text("bob"), send->conversation_id);
  else if (send->type == CHAT_TYPE_CREATE && flags & 32)
    ch_conversation_id_group(ch_bytes_text("ann"), send->client_id, send->conversation_id);
}

static void make_get_receipts(fuzz_input *input, ch_arena *arena, ch_get_receipts *get) {
  get->count = any_count(input);
  uint8_t(*ids)[16] = list_of(arena, get->count, sizeof *ids);
  for (size_t i = 0; i < get->count; i++)
    fuzz_conversation(input, ids[i]);
  get->conversation_ids = (const uint8_t(*)[16])ids;
}

static void make_range(fuzz_input *input, ch_range *range) {
  fuzz_conversation(input, range->conversation_id);
  range->low = fuzz_number(input);
  range->high = fuzz_number(input);
  range->limit = (uint32_t)fuzz_number(input);
  range->newest_first = fuzz_byte(input) & 1;
}

static void make_search(fuzz_input *input, ch_search *search) {
  search->query = any_text(input);
  if (fuzz_byte(input) & 1) fuzz_conversation(input, search->conversation_id);
  search->before_message_id = fuzz_number(input);
  search->limit = (uint32_t)fuzz_number(input);
}

void fuzz_client_message(fuzz_input *input, ch_arena *arena, ch_client_op op, ch_client_message *message) {
  *message = (ch_client_message){.op = op};
  switch (op) {
  case CH_HELLO: make_hello(input, &message->u.hello); break;
  case CH_CONFIRM_SESSION: message->u.device_session = fuzz_number(input); break;
  case CH_RENEW_TOKEN: message->u.token = fuzz_user(input); break;
  case CH_HEARTBEAT: message->u.idle = fuzz_byte(input) & 1; break;
  case CH_SEND: make_send(input, arena, &message->u.send); break;
  case CH_SYNC: message->u.position = fuzz_number(input); break;
  case CH_RANGE: make_range(input, &message->u.range); break;
  case CH_RECEIPT:
    fuzz_conversation(input, message->u.receipt.conversation_id);
    message->u.receipt.delivered = fuzz_number(input);
    message->u.receipt.read = fuzz_number(input);
    break;
  case CH_GET_RECEIPTS: make_get_receipts(input, arena, &message->u.get_receipts); break;
  case CH_GET_MEMBERS:
    fuzz_conversation(input, message->u.get_members.conversation_id);
    message->u.get_members.after = fuzz_user(input);
    message->u.get_members.limit = (uint32_t)fuzz_number(input);
    break;
  case CH_SEARCH: make_search(input, &message->u.search); break;
  case CH_WATCH:
  case CH_SET_TYPING:
    fuzz_conversation(input, message->u.watch.conversation_id);
    message->u.watch.flag = fuzz_byte(input) & 1;
    break;
  case CH_REVOKE_DEVICE: fuzz_id(input, message->u.device_id); break;
  default: message->op = CH_LIST_DEVICES; break;
  }
}

/* --- server to client --- */

static void make_welcome(fuzz_input *input, ch_welcome *welcome) {
  uint8_t choice = fuzz_byte(input);
  *welcome = (ch_welcome){.version = choice % 16 == 15 ? (uint32_t)fuzz_number(input) : 1,
                          .user = choice & 16 ? fuzz_user(input) : ch_bytes_text("ann"),
                          .device_session = fuzz_number(input),
                          .server_ms = fuzz_number(input),
                          .token_expires_ms = fuzz_number(input),
                          .limits = {15000, CHAT_FRAME_MAX, CHAT_BODY_MAX, CHAT_META_MAX, CHAT_PAGE_MAX, CHAT_GROUP_MEMBERS_MAX, 64}};
  fuzz_id(input, welcome->device_id);
  if (choice & 32) welcome->limits.heartbeat_ms = (uint32_t)fuzz_number(input);
  if (choice & 64) welcome->limits.in_flight_max = (uint32_t)fuzz_number(input);
  if (choice & 128) welcome->limits.page_max = (uint32_t)fuzz_number(input);
}

static void make_answer(fuzz_input *input, ch_answer *answer) {
  *answer = (ch_answer){.code = CH_ACCEPTED + fuzz_byte(input) % 5,
                        .client_seq = fuzz_number(input),
                        .error = any_error(input),
                        .retry_after_ms = (uint32_t)fuzz_number(input)};
  fuzz_conversation(input, answer->conversation_id);
  fuzz_id(input, answer->client_id);
}

void fuzz_verdict(fuzz_input *input, ch_verdict *verdict) {
  *verdict = (ch_verdict){.code = CH_VERDICT_REFUSED + fuzz_byte(input) % 3,
                          .client_seq = fuzz_number(input),
                          .last = fuzz_number(input),
                          .head = fuzz_number(input),
                          .error = any_error(input)};
  fuzz_conversation(input, verdict->conversation_id);
  fuzz_id(input, verdict->client_id);
}

static void make_live(fuzz_input *input, ch_arena *arena, ch_live *live) {
  live->previous = fuzz_number(input);
  live->position = fuzz_number(input);
  live->events = fuzz_rows(input, arena, &live->event_count);
  live->head_count = any_count(input);
  ch_head_hint *heads = list_of(arena, live->head_count, sizeof *heads);
  for (size_t i = 0; i < live->head_count; i++) {
    fuzz_conversation(input, heads[i].conversation_id);
    heads[i].head = fuzz_number(input);
  }
  live->heads = heads;
}

static void make_sync_reply(fuzz_input *input, ch_arena *arena, ch_sync_reply *reply) {
  uint8_t flags = fuzz_byte(input);
  reply->head_count = any_count(input);
  chat_head *heads = list_of(arena, reply->head_count, sizeof *heads);
  for (size_t i = 0; i < reply->head_count; i++) {
    heads[i] = (chat_head){.kind = fuzz_byte(input) % 5,
                           .role = fuzz_byte(input) % 5,
                           .head = fuzz_number(input),
                           .msg_no = fuzz_number(input),
                           .active_ms = fuzz_number(input),
                           .first = fuzz_number(input),
                           .delivered = fuzz_number(input),
                           .read = fuzz_number(input),
                           .title = any_text(input)};
    fuzz_conversation(input, heads[i].conversation_id);
  }
  reply->heads = heads;
  reply->position = fuzz_number(input);
  reply->more = flags & 1;
  reply->reset = flags % 16 == 15;
}

static void make_range_reply(fuzz_input *input, ch_arena *arena, ch_range_reply *reply) {
  fuzz_conversation(input, reply->conversation_id);
  reply->status = CH_RANGE_COMPLETE + fuzz_byte(input) % 3;
  reply->low = fuzz_number(input);
  reply->high = fuzz_number(input);
  reply->head = fuzz_number(input);
  reply->floor = fuzz_number(input);
  chat_row *rows = fuzz_rows(input, arena, &reply->event_count);
  /* As an honest one would be, but for what was drawn to be otherwise. */
  for (size_t i = 0; i < reply->event_count && reply->head % 8; i++) {
    memcpy(rows[i].conversation_id, reply->conversation_id, 16);
    rows[i].seq = reply->low + 1 + i;
  }
  reply->events = rows;
}

static void make_members_reply(fuzz_input *input, ch_arena *arena, ch_members_reply *reply) {
  fuzz_conversation(input, reply->conversation_id);
  reply->kind = fuzz_byte(input) % 5;
  reply->title = any_text(input);
  reply->history_from_start = fuzz_byte(input) & 1;
  reply->head = fuzz_number(input);
  reply->member_count = fuzz_number(input);
  reply->count = any_count(input);
  ch_member_info *members = list_of(arena, reply->count, sizeof *members);
  for (size_t i = 0; i < reply->count; i++)
    members[i] = (ch_member_info){fuzz_user(input), fuzz_byte(input) % 5, fuzz_number(input), fuzz_number(input)};
  reply->members = members;
  reply->more = fuzz_byte(input) & 1;
}

static void make_presence(fuzz_input *input, ch_arena *arena, ch_presence *presence) {
  presence->count = any_count(input);
  chat_presence *users = list_of(arena, presence->count, sizeof *users);
  for (size_t i = 0; i < presence->count; i++)
    users[i] = (chat_presence){fuzz_user(input), fuzz_byte(input) & 1, fuzz_number(input)};
  presence->users = users;
}

static void make_devices_reply(fuzz_input *input, ch_arena *arena, ch_devices_reply *reply) {
  reply->count = any_count(input);
  ch_device_info *devices = list_of(arena, reply->count, sizeof *devices);
  for (size_t i = 0; i < reply->count; i++) {
    devices[i] = (ch_device_info){.name = any_text(input),
                                  .created_ms = fuzz_number(input),
                                  .seen_ms = fuzz_number(input),
                                  .revoked = fuzz_byte(input) & 1,
                                  .current = fuzz_byte(input) & 1};
    fuzz_id(input, devices[i].device_id);
  }
  reply->devices = devices;
}

void fuzz_server_message(fuzz_input *input, ch_arena *arena, ch_server_op op, ch_server_message *message) {
  *message = (ch_server_message){.op = op};
  switch (op) {
  case CH_WELCOME: make_welcome(input, &message->u.welcome); break;
  case CH_ERROR: message->u.error = (ch_error){any_error(input), (uint32_t)fuzz_number(input), any_text(input)}; break;
  case CH_HEARTBEAT_REPLY: message->u.pos = fuzz_number(input); break;
  case CH_ANSWER: make_answer(input, &message->u.answer); break;
  case CH_VERDICT: fuzz_verdict(input, &message->u.verdict); break;
  case CH_LIVE: make_live(input, arena, &message->u.live); break;
  case CH_SYNC_REPLY: make_sync_reply(input, arena, &message->u.sync_reply); break;
  case CH_RANGE_REPLY: make_range_reply(input, arena, &message->u.range_reply); break;
  case CH_RECEIPTS: fuzz_receipts(input, arena, &message->u.receipts); break;
  case CH_MEMBERS_REPLY: make_members_reply(input, arena, &message->u.members_reply); break;
  case CH_SEARCH_REPLY:
    message->u.search_reply.events = fuzz_rows(input, arena, &message->u.search_reply.event_count);
    message->u.search_reply.more = fuzz_byte(input) & 1;
    break;
  case CH_PRESENCE: make_presence(input, arena, &message->u.presence); break;
  case CH_TYPING:
    fuzz_conversation(input, message->u.typing.conversation_id);
    message->u.typing.user = fuzz_user(input);
    message->u.typing.typing = fuzz_byte(input) & 1;
    break;
  case CH_DEVICES_REPLY: make_devices_reply(input, arena, &message->u.devices_reply); break;
  case CH_GOODBYE: message->u.goodbye = (ch_goodbye){any_error(input), (uint32_t)fuzz_number(input)}; break;
  default: message->op = CH_OK; break;
  }
}
