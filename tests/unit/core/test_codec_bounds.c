/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every bound of docs/protocol.md ("Limits") at its value and one beyond. The encoder does not judge, so a message that breaks one
 * rule is made with it; ids of a wrong length, which wire.h cannot hold, are made with the generated types.
 */
#include <string.h>

#include "chat.pb-c.h"
#include "codec_example.h"
#include "core/codec_parts.h"
#include "record.pb-c.h"
#include "sim/random.h"
#include "run.h"

enum { OUT_MAX = 1 << 22, ARENA_MAX = 1 << 24 };

static ch_buf out;
static ch_arena arena;
static ch_client_message client_back;
static ch_server_message server_back;
static char text_bytes[CH_SEND_PAYLOAD_MAX + 1];
static const uint8_t id[16] = ID(7);

static void setup(void) {
  ch_buf_init(&out, NULL, OUT_MAX);
  ch_arena_init(&arena, NULL, 4096, ARENA_MAX);
  memset(text_bytes, 'x', sizeof text_bytes);
}

static void teardown(void) {
  ch_buf_fini(&out);
  ch_arena_fini(&arena);
}

static chat_bytes text(size_t len) {
  ck_assert_uint_le(len, sizeof text_bytes);
  return ch_bytes_of(text_bytes, len);
}

static chat_bytes first_message(void) {
  chat_bytes frame = ch_buf_bytes(&out), message;
  ck_assert_int_eq(ch_frame_next(&frame, &message), CHAT_OK);
  return message;
}

static int client(const ch_client_message *message) {
  ch_buf_clear(&out);
  ch_arena_reset(&arena);
  ck_assert_int_eq(ch_client_message_encode(message, &out), CHAT_OK);
  return ch_client_message_decode(first_message(), &arena, &client_back);
}

static int server(const ch_server_message *message) {
  ch_buf_clear(&out);
  ch_arena_reset(&arena);
  ck_assert_int_eq(ch_server_message_encode(message, &out), CHAT_OK);
  return ch_server_message_decode(first_message(), &arena, &server_back);
}

static int content(const ch_content *from) {
  ch_content back;
  ch_buf_clear(&out);
  ch_arena_reset(&arena);
  ck_assert_int_eq(ch_content_encode(from, &out), CHAT_OK);
  return ch_content_decode(from->type, ch_buf_bytes(&out), &arena, &back);
}

/* The example of that opcode, to be broken. */
static ch_client_message client_of(ch_client_op op) {
  return client_examples[op - 2];
}

static ch_server_message server_of(ch_server_op op) {
  return server_examples[op - 2];
}

/* A length: at most max, and what is the error beyond. */
#define AT_MOST(field, len_max, decode)                    \
  do {                                                     \
    (field) = text(len_max);                               \
    ck_assert_int_eq(decode, CHAT_OK);                     \
    (field) = text((len_max) + 1);                         \
    ck_assert_int_eq(decode, CHAT_E_TOO_LARGE);            \
    (field) = text(1);                                     \
  } while (0)

/* UTF-8: a whole sequence passes, a cut one does not. */
#define IS_TEXT(field, decode)                             \
  do {                                                     \
    (field) = ch_bytes_text("\xc3\xa9");                   \
    ck_assert_int_eq(decode, CHAT_OK);                     \
    (field) = ch_bytes_text("\xc3");                       \
    ck_assert_int_eq(decode, CHAT_E_INVALID);              \
    (field) = text(1);                                     \
  } while (0)

/* A user: 1 to 64 bytes of UTF-8 without control characters. */
#define IS_USER(field, empty, decode)                      \
  do {                                                     \
    AT_MOST(field, CHAT_USER_ID_MAX, decode);              \
    IS_TEXT(field, decode);                                \
    (field) = ch_bytes_text("a\nb");                       \
    ck_assert_int_eq(decode, CHAT_E_INVALID);              \
    (field) = text(0);                                     \
    ck_assert_int_eq(decode, empty);                       \
    (field) = text(1);                                     \
  } while (0)

#define IN_RANGE(field, min, max, decode)                  \
  do {                                                     \
    (field) = (min);                                       \
    ck_assert_int_eq(decode, CHAT_OK);                     \
    (field) = (max);                                       \
    ck_assert_int_eq(decode, CHAT_OK);                     \
    (field) = (min)-1;                                     \
    ck_assert_int_eq(decode, CHAT_E_INVALID);              \
    (field) = (max) + 1;                                   \
    ck_assert_int_eq(decode, CHAT_E_INVALID);              \
    (field) = (min);                                       \
  } while (0)

#define LIST_AT_MOST(count, count_max, decode)             \
  do {                                                     \
    (count) = (count_max);                                 \
    ck_assert_int_eq(decode, CHAT_OK);                     \
    (count) = (count_max) + 1;                             \
    ck_assert_int_eq(decode, CHAT_E_TOO_LARGE);            \
    (count) = 1;                                           \
  } while (0)

/* --- client to server --- */

START_TEST(hello_and_token) {
  ch_client_message hello = client_of(CH_HELLO), renew = client_of(CH_RENEW_TOKEN);
  setup();
  AT_MOST(hello.u.hello.token, CHAT_TOKEN_MAX, client(&hello));
  AT_MOST(hello.u.hello.client, 64, client(&hello));
  IS_TEXT(hello.u.hello.client, client(&hello));
  hello.u.hello.has_device = 0;
  ck_assert_int_eq(client(&hello), CHAT_OK);
  ck_assert_uint_eq(client_back.u.hello.has_device, 0);
  AT_MOST(renew.u.token, CHAT_TOKEN_MAX, client(&renew));
  teardown();
}
END_TEST

START_TEST(send_numbers) {
  ch_client_message send = client_of(CH_SEND);
  static const struct {
    uint64_t client_seq, prev;
    int error;
  } rows[] = {
      {0, 0, CHAT_E_INVALID},          {1, 0, CHAT_OK},
      {1, 1, CHAT_E_INVALID},          {2, 1, CHAT_OK},
      {1, 2, CHAT_E_INVALID},          {UINT64_MAX, UINT64_MAX - 1, CHAT_OK},
      {UINT64_MAX, UINT64_MAX, CHAT_E_INVALID},
  };
  setup();
  for (size_t i = 0; i < COUNT(rows); i++) {
    send.u.send.client_seq = rows[i].client_seq;
    send.u.send.prev = rows[i].prev;
    ck_assert_int_eq(client(&send), rows[i].error);
  }
  teardown();
}
END_TEST

/* Zeros are "none" in the log, where a record of a device without its client_id stops the partition as damaged. */
START_TEST(send_has_a_client_id) {
  ch_client_message send = client_of(CH_SEND);
  setup();
  memset(send.u.send.client_id, 0, 16);
  ck_assert_int_eq(client(&send), CHAT_E_INVALID);
  send.u.send.client_id[15] = 1;
  ck_assert_int_eq(client(&send), CHAT_OK);
  teardown();
}
END_TEST

START_TEST(send_sizes) {
  ch_client_message send = client_of(CH_SEND);
  setup();
  IS_USER(send.u.send.peer, CHAT_OK, client(&send));
  AT_MOST(send.u.send.payload, 65536 + 4096 + 64 + 64, client(&send));
  send.u.send.type = CHAT_TYPE_CREATE;
  AT_MOST(send.u.send.payload, 32768, client(&send));
  send.u.send.type = 4000000000; /* of a later version */
  AT_MOST(send.u.send.payload, 32768, client(&send));
  teardown();
}
END_TEST

START_TEST(flags_are_0_or_1_inside) {
  ch_client_message send = client_of(CH_SEND), watch = client_of(CH_WATCH);
  setup();
  send.u.send.retry = 2;
  send.u.send.discard = UINT32_MAX;
  ck_assert_int_eq(client(&send), CHAT_OK);
  ck_assert_uint_eq(client_back.u.send.retry, 1);
  ck_assert_uint_eq(client_back.u.send.discard, 1);
  watch.u.watch.flag = 0;
  ck_assert_int_eq(client(&watch), CHAT_OK);
  ck_assert_uint_eq(client_back.u.watch.flag, 0);
  teardown();
}
END_TEST

START_TEST(reads) {
  static const uint8_t ids[201][16];
  ch_client_message range = client_of(CH_RANGE), members = client_of(CH_GET_MEMBERS), search = client_of(CH_SEARCH);
  ch_client_message receipts = {.op = CH_GET_RECEIPTS, .u.get_receipts = {ids, 0}};
  setup();
  IN_RANGE(range.u.range.limit, 1, 200, client(&range));
  IN_RANGE(members.u.get_members.limit, 1, 256, client(&members));
  IS_USER(members.u.get_members.after, CHAT_OK, client(&members));
  IN_RANGE(search.u.search.limit, 1, 200, client(&search));
  AT_MOST(search.u.search.query, 256, client(&search));
  IS_TEXT(search.u.search.query, client(&search));
  search.u.search.query = text(0);
  ck_assert_int_eq(client(&search), CHAT_E_INVALID);
  ck_assert_int_eq(client(&receipts), CHAT_OK);
  LIST_AT_MOST(receipts.u.get_receipts.count, 200, client(&receipts));
  teardown();
}
END_TEST

/* Where an error is given, tag and opcode are there to answer it. */
START_TEST(errors_can_be_answered) {
  ch_client_message range = client_of(CH_RANGE);
  setup();
  range.u.range.limit = 0;
  ck_assert_int_eq(client(&range), CHAT_E_INVALID);
  ck_assert_uint_eq(client_back.tag, 6);
  ck_assert_uint_eq(client_back.op, CH_RANGE);
  teardown();
}
END_TEST

/* --- ids of a wrong length --- */

static int decode_client_body(Ch__ClientMessage *message) {
  ch_buf_clear(&out);
  ck_assert_int_eq(ch_pack_append(&message->base, &out), CHAT_OK);
  return ch_client_message_decode(ch_buf_bytes(&out), &arena, &client_back);
}

/* A message in which only this field is at fault. */
static void id_of(ProtobufCBinaryData *field, bool optional, Ch__ClientMessage *message) {
  static uint8_t seventeen[17] = {1};
  static const size_t lens[] = {0, 1, 15, 16, 17};
  for (size_t i = 0; i < COUNT(lens); i++) {
    *field = (ProtobufCBinaryData){lens[i], seventeen};
    bool good = lens[i] == 16 || (optional && lens[i] == 0);
    ck_assert_int_eq(decode_client_body(message), good ? CHAT_OK : CHAT_E_PROTOCOL);
  }
  field->len = 16;
}

START_TEST(ids_have_16_bytes) {
  ProtobufCBinaryData good = {16, (uint8_t *)id};
  Ch__ClientMessage message = CH__CLIENT_MESSAGE__INIT;
  setup();
#define BODY(name, NAME, type, ...)                        \
  Ch__##type name = CH__##NAME##__INIT;                    \
  message.name = &name;                                    \
  message.body_case = CH__CLIENT_MESSAGE__BODY_##NAME;
  BODY(hello, HELLO, Hello)
  id_of(&hello.device_id, true, &message);
  BODY(send, SEND, Send)
  send.client_seq = 1;
  send.conversation_id = send.client_id = good;
  id_of(&send.conversation_id, false, &message);
  id_of(&send.client_id, false, &message);
  BODY(range, RANGE, Range)
  range.limit = 1;
  id_of(&range.conversation_id, false, &message);
  BODY(receipt, RECEIPT, Receipt)
  id_of(&receipt.conversation_id, false, &message);
  BODY(get_receipts, GET_RECEIPTS, GetReceipts)
  ProtobufCBinaryData two[2] = {good, good};
  get_receipts.n_conversation_ids = 2;
  get_receipts.conversation_ids = two;
  id_of(&two[1], false, &message);
  BODY(get_members, GET_MEMBERS, GetMembers)
  get_members.limit = 1;
  id_of(&get_members.conversation_id, false, &message);
  BODY(search, SEARCH, Search)
  search.limit = 1;
  search.query = good;
  id_of(&search.conversation_id, true, &message);
  BODY(watch, WATCH, Watch)
  id_of(&watch.conversation_id, false, &message);
  BODY(set_typing, SET_TYPING, SetTyping)
  id_of(&set_typing.conversation_id, false, &message);
  BODY(revoke_device, REVOKE_DEVICE, RevokeDevice)
  id_of(&revoke_device.device_id, false, &message);
#undef BODY
  teardown();
}
END_TEST

/* --- server to client: judged as strictly --- */

START_TEST(what_a_server_says) {
  ch_server_message welcome = server_of(CH_WELCOME), error = server_of(CH_ERROR), answer = server_of(CH_ANSWER);
  ch_server_message verdict = server_of(CH_VERDICT), typing = server_of(CH_TYPING), reply = server_of(CH_RANGE_REPLY);
  setup();
  IS_USER(welcome.u.welcome.user, CHAT_E_INVALID, server(&welcome));
  AT_MOST(error.u.error.text, 1024, server(&error));
  IS_TEXT(error.u.error.text, server(&error));
  error.u.error.code = -65535; /* of a later version */
  ck_assert_int_eq(server(&error), CHAT_OK);
  ck_assert_int_eq(server_back.u.error.code, -65535);
  error.u.error.code = -65536;
  ck_assert_int_eq(server(&error), CHAT_E_INVALID);
  IN_RANGE(answer.u.answer.code, 1, 5, server(&answer));
  IN_RANGE(verdict.u.verdict.code, 1, 3, server(&verdict));
  IN_RANGE(reply.u.range_reply.status, 1, 3, server(&reply));
  IS_USER(typing.u.typing.user, CHAT_E_INVALID, server(&typing));
  teardown();
}
END_TEST

/* A field of proto3 that is not there has its default; a submessage likewise. */
START_TEST(a_welcome_without_limits) {
  Ch__ServerMessage message = CH__SERVER_MESSAGE__INIT;
  Ch__Welcome welcome = CH__WELCOME__INIT;
  setup();
  memset(&server_back, 0xff, sizeof server_back);
  welcome.user = (ProtobufCBinaryData){5, (uint8_t *)"alice"};
  welcome.device_id = (ProtobufCBinaryData){16, (uint8_t *)id};
  message.body_case = CH__SERVER_MESSAGE__BODY_WELCOME;
  message.welcome = &welcome;
  ck_assert_int_eq(ch_pack_append(&message.base, &out), CHAT_OK);
  ck_assert_int_eq(ch_server_message_decode(ch_buf_bytes(&out), &arena, &server_back), CHAT_OK);
  ck_assert_uint_eq(server_back.u.welcome.user.len, 5);
  ck_assert_mem_eq(&server_back.u.welcome.limits, &(ch_limits_info){0}, sizeof(ch_limits_info));
  teardown();
}
END_TEST

START_TEST(rows_of_a_server) {
  chat_row row = live_events[0];
  chat_head head = sync_heads[0];
  chat_watermark mark = server_marks[0];
  ch_member_info member = two_members[0];
  chat_presence presence = one_presence[0];
  ch_device_info device = one_device[0];
  ch_server_message live = {.op = CH_LIVE, .u.live = {.events = &row, .event_count = 1}};
  ch_server_message sync = {.op = CH_SYNC_REPLY, .u.sync_reply = {.heads = &head, .head_count = 1}};
  ch_server_message receipts = {.op = CH_RECEIPTS, .u.receipts = {&mark, 1}};
  ch_server_message members = server_of(CH_MEMBERS_REPLY);
  ch_server_message people = {.op = CH_PRESENCE, .u.presence = {&presence, 1}};
  ch_server_message devices = {.op = CH_DEVICES_REPLY, .u.devices_reply = {&device, 1}};
  setup();
  IS_USER(row.sender, CHAT_OK, server(&live)); /* none: the embedder's server */
  AT_MOST(row.payload, CH_SEND_PAYLOAD_MAX, server(&live));
  row.seq = 0;
  ck_assert_int_eq(server(&live), CHAT_E_INVALID);
  AT_MOST(head.title, 256, server(&sync));
  IS_TEXT(head.title, server(&sync));
  IN_RANGE(head.kind, 1, 3, server(&sync));
  head.role = 4;
  ck_assert_int_eq(server(&sync), CHAT_E_INVALID);
  IS_USER(mark.user, CHAT_E_INVALID, server(&receipts));
  members.u.members_reply.members = &member;
  members.u.members_reply.count = 1;
  IS_USER(member.user, CHAT_E_INVALID, server(&members));
  AT_MOST(members.u.members_reply.title, 256, server(&members));
  IN_RANGE(members.u.members_reply.kind, 1, 3, server(&members));
  member.role = 4;
  ck_assert_int_eq(server(&members), CHAT_E_INVALID);
  IS_USER(presence.user, CHAT_E_INVALID, server(&people));
  AT_MOST(device.name, 64, server(&devices));
  IS_TEXT(device.name, server(&devices));
  teardown();
}
END_TEST

static chat_row rows_4097[4097];
static chat_head heads_1001[1001];
static ch_head_hint hints_4097[4097];
static chat_watermark marks_51201[51201];
static ch_member_info members_257[257];
static chat_presence presences_4097[4097];
static ch_device_info devices_4097[4097];

static void fill_lists(void) {
  for (size_t i = 0; i < COUNT(rows_4097); i++)
    rows_4097[i] = (chat_row){.conversation_id = ID(1), .seq = 1};
  for (size_t i = 0; i < COUNT(heads_1001); i++)
    heads_1001[i] = (chat_head){.conversation_id = ID(1), .kind = CHAT_GROUP};
  for (size_t i = 0; i < COUNT(marks_51201); i++)
    marks_51201[i] = (chat_watermark){.conversation_id = ID(1), .user = TEXT("u")};
  for (size_t i = 0; i < COUNT(members_257); i++)
    members_257[i].user = ch_bytes_text("u");
  for (size_t i = 0; i < COUNT(presences_4097); i++)
    presences_4097[i].user = ch_bytes_text("u");
}

START_TEST(lists_of_a_server) {
  ch_server_message live = {.op = CH_LIVE, .u.live = {.events = rows_4097, .heads = hints_4097}};
  ch_server_message sync = {.op = CH_SYNC_REPLY, .u.sync_reply = {.heads = heads_1001}};
  ch_server_message range = {.op = CH_RANGE_REPLY, .u.range_reply = {.status = CH_RANGE_MORE, .events = rows_4097}};
  ch_server_message search = {.op = CH_SEARCH_REPLY, .u.search_reply = {.events = rows_4097}};
  ch_server_message receipts = {.op = CH_RECEIPTS, .u.receipts = {marks_51201, 0}};
  ch_server_message members = {.op = CH_MEMBERS_REPLY, .u.members_reply = {.kind = CHAT_GROUP, .members = members_257}};
  ch_server_message presence = {.op = CH_PRESENCE, .u.presence = {presences_4097, 0}};
  ch_server_message devices = {.op = CH_DEVICES_REPLY, .u.devices_reply = {devices_4097, 0}};
  setup();
  fill_lists();
  LIST_AT_MOST(live.u.live.event_count, 4096, server(&live));
  LIST_AT_MOST(live.u.live.head_count, 4096, server(&live));
  LIST_AT_MOST(sync.u.sync_reply.head_count, 1000, server(&sync));
  LIST_AT_MOST(range.u.range_reply.event_count, 200, server(&range));
  LIST_AT_MOST(search.u.search_reply.event_count, 200, server(&search));
  LIST_AT_MOST(receipts.u.receipts.count, 51200, server(&receipts));
  LIST_AT_MOST(members.u.members_reply.count, 256, server(&members));
  LIST_AT_MOST(presence.u.presence.count, 4096, server(&presence));
  LIST_AT_MOST(devices.u.devices_reply.count, 4096, server(&devices));
  teardown();
}
END_TEST

/* Full lists of the smallest items cost the most memory for a byte: they too fit the cap. */
START_TEST(full_lists_fit_the_cap) {
  ch_server_message full[] = {
      {.op = CH_LIVE, .u.live = {.events = rows_4097, .event_count = 4096}},
      {.op = CH_SYNC_REPLY, .u.sync_reply = {.heads = heads_1001, .head_count = 1000}},
      {.op = CH_RANGE_REPLY, .u.range_reply = {.status = CH_RANGE_MORE, .events = rows_4097, .event_count = 200}},
      {.op = CH_RECEIPTS, .u.receipts = {marks_51201, 51200}},
      {.op = CH_MEMBERS_REPLY, .u.members_reply = {.kind = CHAT_GROUP, .members = members_257, .count = 256}},
      {.op = CH_PRESENCE, .u.presence = {presences_4097, 4096}},
      {.op = CH_DEVICES_REPLY, .u.devices_reply = {devices_4097, 4096}},
  };
  setup();
  fill_lists();
  for (size_t i = 0; i < COUNT(full); i++) {
    ch_buf_clear(&out);
    ck_assert_int_eq(ch_server_message_encode(&full[i], &out), CHAT_OK);
    ch_arena_fini(&arena);
    ch_arena_init(&arena, NULL, 4096, ch_decode_cap(first_message().len));
    ck_assert_int_eq(ch_server_message_decode(first_message(), &arena, &server_back), CHAT_OK);
  }
  teardown();
}
END_TEST

/* --- contents --- */

START_TEST(content_of_a_message) {
  ch_content message = content_examples[CHAT_TYPE_MESSAGE - 1];
  setup();
  AT_MOST(message.kind, 64, content(&message));
  IS_TEXT(message.kind, content(&message));
  AT_MOST(message.body, 65536, content(&message));
  AT_MOST(message.meta, 4096, content(&message));
  message = (ch_content){.type = CHAT_TYPE_MESSAGE, .kind = text(64), .body = text(65536), .meta = text(4096)};
  ck_assert_int_eq(content(&message), CHAT_OK);
  ck_assert_uint_le(out.len, CH_SEND_PAYLOAD_MAX); /* so that a full message passes as a payload */
  teardown();
}
END_TEST

START_TEST(content_of_groups) {
  static chat_bytes users[256];
  ch_content create = content_examples[CHAT_TYPE_CREATE - 1], add = content_examples[CHAT_TYPE_MEMBERS_ADD - 1];
  ch_content role = content_examples[CHAT_TYPE_ROLE - 1], title = content_examples[CHAT_TYPE_TITLE - 1];
  setup();
  for (size_t i = 0; i < COUNT(users); i++)
    users[i] = text(CHAT_USER_ID_MAX);
  create.users = add.users = role.users = users;
  AT_MOST(create.title, 256, content(&create));
  IS_TEXT(create.title, content(&create));
  IN_RANGE(create.conversation_kind, CHAT_GROUP, CHAT_CHANNEL, content(&create));
  create.title = text(256);
  create.user_count = 255;
  ck_assert_int_eq(content(&create), CHAT_OK);
  ck_assert_uint_le(out.len, CH_CONTENT_MAX);
  LIST_AT_MOST(create.user_count, 255, content(&create));
  LIST_AT_MOST(add.user_count, 255, content(&add));
  IS_USER(users[0], CHAT_E_INVALID, content(&create));
  IS_USER(users[0], CHAT_E_INVALID, content(&add));
  IS_USER(users[0], CHAT_E_INVALID, content(&role));
  add.role = 3;
  ck_assert_int_eq(content(&add), CHAT_E_INVALID);
  add = (ch_content){.type = CHAT_TYPE_MEMBERS_ADD, .role = CHAT_ROLE_MEMBER};
  ck_assert_int_eq(content(&add), CHAT_E_INVALID); /* nobody */
  IN_RANGE(role.role, CHAT_ROLE_MEMBER, CHAT_ROLE_ADMIN, content(&role));
  AT_MOST(title.title, 256, content(&title));
  IS_TEXT(title.title, content(&title));
  teardown();
}
END_TEST

START_TEST(contents_without_their_only_user) {
  static const uint32_t types[] = {CHAT_TYPE_MEMBER_REMOVE, CHAT_TYPE_ROLE, CHAT_TYPE_OWNER};
  ch_content back;
  setup();
  for (size_t i = 0; i < COUNT(types); i++)
    ck_assert_int_eq(ch_content_decode(types[i], text(0), &arena, &back), CHAT_E_INVALID);
  ck_assert_int_eq(ch_content_decode(CHAT_TYPE_DEVICE_RETIRED, text(0), &arena, &back), CHAT_E_PROTOCOL);
  ck_assert_int_eq(ch_content_decode(CHAT_TYPE_LEAVE, text(0), &arena, &back), CHAT_OK);
  ck_assert_int_eq(ch_content_decode(CHAT_TYPE_MESSAGE, text(0), &arena, &back), CHAT_OK);
  teardown();
}
END_TEST

START_TEST(a_role_that_is_not_given_is_member) {
  static const uint8_t bob[] = {0x0A, 3, 'b', 'o', 'b'};
  ch_content back;
  setup();
  ck_assert_int_eq(ch_content_decode(CHAT_TYPE_MEMBERS_ADD, ch_bytes_of(bob, sizeof bob), &arena, &back), CHAT_OK);
  ck_assert_uint_eq(back.role, CHAT_ROLE_MEMBER);
  teardown();
}
END_TEST

START_TEST(types_not_known_here) {
  static const uint32_t types[] = {0, 12, 32, UINT32_MAX};
  ch_content back;
  setup();
  for (size_t i = 0; i < COUNT(types); i++) {
    ck_assert_int_eq(ch_content_decode(types[i], text(3), &arena, &back), CHAT_E_UNSUPPORTED);
    ck_assert_uint_eq(back.type, types[i]);
  }
  teardown();
}
END_TEST

/* --- records --- */

static int record_error(const ch_record *record) {
  ch_record back;
  ch_buf_clear(&out);
  ch_arena_reset(&arena);
  ck_assert_int_eq(ch_record_encode(record, &out), CHAT_OK);
  int error = ch_record_decode(ch_buf_bytes(&out), &arena, &back);
  ck_assert_int_eq(ch_record_check(record), error);
  return error;
}

START_TEST(records_of_devices_and_of_the_server) {
  ch_record record = record_example;
  setup();
  record.system = 0;
  IS_USER(record.sender, CHAT_E_INVALID, record_error(&record));
  IS_USER(record.peer, CHAT_OK, record_error(&record));
  AT_MOST(record.payload, CH_SEND_PAYLOAD_MAX, record_error(&record));
  record.prev = record.client_seq;
  ck_assert_int_eq(record_error(&record), CHAT_E_INVALID);
  record.prev = 0;
  memset(record.device_id, 0, 16);
  ck_assert_int_eq(record_error(&record), CHAT_E_PROTOCOL);
  record = (ch_record){.conversation_id = ID(1), .type = CHAT_TYPE_TITLE, .system = 1};
  ck_assert_int_eq(record_error(&record), CHAT_OK);
  teardown();
}
END_TEST

/* What a writer asks before is what a reader finds, for records that are wrong in any number of places (record_error compares). */
START_TEST(a_check_before_encoding_says_what_decoding_would) {
  static const chat_bytes users[] = {TEXT("ann"), TEXT("bob"), TEXT("a\nb"), TEXT("\xff"), {0}};
  static const uint32_t types[] = {CHAT_TYPE_MESSAGE, CHAT_TYPE_TITLE, 0, UINT32_MAX};
  static const size_t lens[] = {0, 1, CH_CONTENT_MAX, CH_CONTENT_MAX + 1, CH_SEND_PAYLOAD_MAX, CH_SEND_PAYLOAD_MAX + 1};
  static const int32_t errors[] = {0, CHAT_E_DENIED, -CH_ERROR_CODE_MAX, -CH_ERROR_CODE_MAX - 1, 1, INT32_MAX};
  sim_random random = {1};
  size_t good = 0, bad = 0;
  setup();
  for (int i = 0; i < 20000; i++) {
    ch_record record = {.conversation_id = ID(1), .client_seq = sim_pick(&random, 3), .prev = sim_pick(&random, 3), .type = types[sim_pick(&random, COUNT(types))]};
    record.sender = sim_chance(&random, 1, 8) ? text(CHAT_USER_ID_MAX + sim_pick(&random, 2)) : users[sim_pick(&random, COUNT(users))];
    record.peer = sim_chance(&random, 1, 8) ? text(CHAT_USER_ID_MAX + sim_pick(&random, 2)) : users[sim_pick(&random, COUNT(users))];
    record.device_id[0] = sim_chance(&random, 7, 8);
    record.client_id[15] = sim_chance(&random, 7, 8);
    record.payload = text(lens[sim_chance(&random, 1, 8) ? sim_pick(&random, COUNT(lens)) : sim_pick(&random, 2)]);
    record.is_void = sim_chance(&random, 1, 2);
    record.void_error = errors[sim_chance(&random, 1, 4) ? sim_pick(&random, COUNT(errors)) : 0];
    record.system = sim_chance(&random, 1, 4);
    *(record_error(&record) ? &bad : &good) += 1;
  }
  ck_assert_uint_gt(good, 2000);
  ck_assert_uint_gt(bad, 2000);
  ch_record worst = record_example;
  worst.void_error = INT32_MIN; /* has no positive form to be encoded in */
  ck_assert_int_eq(ch_record_check(&worst), CHAT_E_INVALID);
  teardown();
}
END_TEST

/* A task is exactly one thing. */
START_TEST(tasks_of_nothing_or_two_things) {
  Ch__Event event = CH__EVENT__INIT;
  Ch__Typing typing = CH__TYPING__INIT;
  Ch__Task task = CH__TASK__INIT, *list[] = {&task};
  Ch__Tasks tasks = CH__TASKS__INIT;
  ch_tasks back;
  setup();
  event.conversation_id = typing.conversation_id = (ProtobufCBinaryData){16, (uint8_t *)id};
  event.seq = 1;
  typing.user = (ProtobufCBinaryData){1, (uint8_t *)text_bytes};
  tasks.n_tasks = 1;
  tasks.tasks = list;
  for (int things = 0; things < 4; things++) {
    ch_buf_clear(&out);
    task.event = things & 1 ? &event : NULL;
    task.typing = things & 2 ? &typing : NULL;
    ck_assert_int_eq(ch_pack_append(&tasks.base, &out), CHAT_OK);
    ck_assert_int_eq(ch_tasks_decode(ch_buf_bytes(&out), &arena, &back), things % 3 == 0 ? CHAT_E_PROTOCOL : CHAT_OK);
  }
  teardown();
}
END_TEST

/* With an arena of its own, at the cap that every decoder uses. */
static int tasks_error(const ch_tasks *tasks) {
  ch_tasks back;
  ch_buf_clear(&out);
  ck_assert_int_eq(ch_tasks_encode(tasks, &out), CHAT_OK);
  ch_arena_init(&arena, NULL, 4096, ch_decode_cap(out.len));
  int error = ch_tasks_decode(ch_buf_bytes(&out), &arena, &back);
  ch_arena_fini(&arena);
  return error;
}

/* A list of the schema that were left out of the table of bounds would have its first item refused, and test_codec.c has lists of every
 * kind; here the lists that only servers make among themselves meet theirs. */
START_TEST(lists_of_tasks) {
  static chat_bytes users[4097];
  static ch_task task_list[4097];
  ch_task task = {.kind = CH_TASK_TYPING, .users = users, .u.typing = TYPING(1)};
  ch_tasks one = {0, &task, 1}, many = {0, task_list, 0};
  setup();
  ch_arena_fini(&arena);
  for (size_t i = 0; i < COUNT(users); i++)
    users[i] = text(1);
  for (size_t i = 0; i < COUNT(task_list); i++)
    task_list[i] = (ch_task){.kind = CH_TASK_TYPING, .u.typing = TYPING(1)};
  for (size_t count = 4096; count <= 4097; count++) {
    int expected = count == 4096 ? CHAT_OK : CHAT_E_TOO_LARGE;
    task.user_count = many.count = count;
    ck_assert_int_eq(tasks_error(&one), expected);
    ck_assert_int_eq(tasks_error(&many), expected);
  }
  ch_buf_fini(&out);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {hello_and_token, 0},
      {send_numbers, 0},
      {send_has_a_client_id, 0}, {send_sizes, 0},
      {flags_are_0_or_1_inside, 0},
      {reads, 0},
      {errors_can_be_answered, 0},
      {ids_have_16_bytes, 0},
      {what_a_server_says, 0},
      {a_welcome_without_limits, 0},
      {rows_of_a_server, 0},
      {lists_of_a_server, 0},
      {full_lists_fit_the_cap, 0},
      {content_of_a_message, 0},
      {content_of_groups, 0},
      {contents_without_their_only_user, 0},
      {a_role_that_is_not_given_is_member, 0},
      {types_not_known_here, 0},
      {records_of_devices_and_of_the_server, 0},
      {a_check_before_encoding_says_what_decoding_would, 0},
      {tasks_of_nothing_or_two_things, 0},
      {lists_of_tasks, 0},
  };
  return RUN_TESTS("codec_bounds", rows);
}
