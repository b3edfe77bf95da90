/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of chat/client.h: each is ended by exactly one reply with its tag, whatever happens; what is no request makes none. */
#include <chat/client.h>

#include "unit/client/puppet.h"
#include "unit/core/run.h"

static const uint8_t id[16] = {0x7e};

typedef int (*request_fn)(chat_client *client, uint64_t tag);

static int set_online(chat_client *c, uint64_t tag) { return chat_client_set_online(c, tag, 1); }
static int send_here(chat_client *c, uint64_t tag) { chat_draft draft = draft_of("text"); return chat_client_send(c, tag, id, &draft); }
static int send_direct(chat_client *c, uint64_t tag) { return client_send(c, tag, "text"); }
static int retry(chat_client *c, uint64_t tag) { return chat_client_retry(c, tag, id); }
static int discard(chat_client *c, uint64_t tag) { return chat_client_discard(c, tag, id); }
static int create(chat_client *c, uint64_t tag) { chat_text bob = {"bob", 3}; return chat_client_create(c, tag, CHAT_GROUP, "team", 4, &bob, 1, 0); }
static int add_members(chat_client *c, uint64_t tag) { chat_text bob = {"bob", 3}; return chat_client_add_members(c, tag, id, &bob, 1, CHAT_ROLE_MEMBER); }
static int remove_member(chat_client *c, uint64_t tag) { return chat_client_remove_member(c, tag, id, "bob", 3); }
static int leave(chat_client *c, uint64_t tag) { return chat_client_leave(c, tag, id); }
static int set_role(chat_client *c, uint64_t tag) { return chat_client_set_role(c, tag, id, "bob", 3, CHAT_ROLE_ADMIN); }
static int set_owner(chat_client *c, uint64_t tag) { return chat_client_set_owner(c, tag, id, "bob", 3); }
static int set_title(chat_client *c, uint64_t tag) { return chat_client_set_title(c, tag, id, "title", 5); }
static int set_history(chat_client *c, uint64_t tag) { return chat_client_set_history_from_start(c, tag, id, 1); }
static int make_channel(chat_client *c, uint64_t tag) { return chat_client_make_channel(c, tag, id); }
static int mark_read(chat_client *c, uint64_t tag) { return chat_client_mark_read(c, tag, id, 1); }
static int open_it(chat_client *c, uint64_t tag) { return chat_client_open(c, tag, id); }
static int close_it(chat_client *c, uint64_t tag) { return chat_client_close(c, tag, id); }
static int conversations(chat_client *c, uint64_t tag) { return chat_client_conversations(c, tag, 0, 10); }
static int conversation(chat_client *c, uint64_t tag) { return chat_client_conversation(c, tag, id); }
static int history(chat_client *c, uint64_t tag) { return chat_client_history(c, tag, id, 0, 0, 10, 0); }
static int search(chat_client *c, uint64_t tag) { return chat_client_search(c, tag, "word", 4, NULL, 0, 10, 0); }
static int search_server(chat_client *c, uint64_t tag) { return chat_client_search(c, tag, "word", 4, NULL, 0, 10, 1); }
static int members(chat_client *c, uint64_t tag) { return chat_client_members(c, tag, id, NULL, 0, 10); }
static int revoke(chat_client *c, uint64_t tag) { return chat_client_revoke_device(c, tag, id); }
static int verify(chat_client *c, uint64_t tag) { return chat_client_verify(c, tag, id); }

static const request_fn requests[] = {
    chat_client_whoami, set_online, send_here, send_direct, retry,    discard,   create,  add_members, remove_member, leave,         set_role, set_owner,           set_title,
    set_history,        make_channel, mark_read, open_it,   close_it, conversations, conversation, history, search, search_server, members,  chat_client_devices, revoke, verify,
    chat_client_logout, /* the last: it forgets everything */
};
enum { REQUEST_COUNT = sizeof requests / sizeof *requests };

/* Pulls until each of the tags 1 to `count` has its one reply. */
static void expect_replies(chat_client *client, uint64_t count) {
  bool replied[256] = {false};
  for (uint64_t i = 0; i < count; i++) {
    const chat_event *reply = client_expect(client, CHAT_EVENT_REPLY);
    ck_assert_msg(reply->tag >= 1 && reply->tag <= count && !replied[reply->tag], "a reply with tag %llu", (unsigned long long)reply->tag);
    replied[reply->tag] = true;
  }
  ck_assert_int_eq(chat_client_conversations(client, 1000, 0, 1), 0);
  client_expect_reply(client, 1000); /* and none in between */
}

static void make_all(chat_client *client) {
  for (uint64_t i = 0; i < REQUEST_COUNT; i++)
    ck_assert_int_eq(requests[i](client, i + 1), 0);
}

START_TEST(each_has_one_reply_offline) {
  puppet *p = puppet_new();
  p->open_error = CHAT_E_IO;
  chat_client *client = client_over(p, NULL);
  ck_assert_int_eq(chat_client_start(client), 0);
  make_all(client);
  expect_replies(client, REQUEST_COUNT);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

/* The server answers nothing, and then the connection ends. */
START_TEST(each_has_one_reply_when_the_session_ends) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  make_all(client);
  puppet_expect(p, CH_REVOKE_DEVICE);
  puppet_expect(p, CH_REVOKE_DEVICE); /* that of the logout */
  puppet_lose(p, CHAT_E_IO);
  expect_replies(client, REQUEST_COUNT);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(each_has_one_reply_when_the_server_refuses) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  make_all(client);
  static const ch_client_op asked[] = {CH_SEARCH, CH_LIST_DEVICES, CH_REVOKE_DEVICE, CH_REVOKE_DEVICE};
  for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
    puppet_say(p, (ch_server_message){.tag = puppet_expect(p, asked[i])->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_UNSUPPORTED}});
  expect_replies(client, REQUEST_COUNT);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

/* A reply of another kind than was asked for is the server's mistake, and still an end. */
START_TEST(odd_reply_ends_it) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  ck_assert_int_eq(chat_client_devices(client, 1), 0);
  uint64_t tag = puppet_expect(p, CH_LIST_DEVICES)->tag;
  puppet_say(p, (ch_server_message){.tag = tag, .op = CH_OK});
  ck_assert_int_eq(client_expect_reply(client, 1)->status, CHAT_E_PROTOCOL);
  puppet_say(p, (ch_server_message){.tag = tag, .op = CH_OK}); /* once more: nobody waits for it */
  ck_assert_int_eq(chat_client_whoami(client, 2), 0);
  client_expect_reply(client, 2);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(the_same_tag_twice_is_the_callers_affair) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  ck_assert_int_eq(chat_client_whoami(client, 7), 0);
  ck_assert_int_eq(chat_client_whoami(client, 7), 0);
  client_expect_reply(client, 7);
  client_expect_reply(client, 7);
  ck_assert_int_eq(chat_client_whoami(client, UINT64_MAX), 0);
  client_expect_reply(client, UINT64_MAX);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(suspended_takes_none) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  ck_assert_int_eq(chat_client_suspend(client, PUPPET_PATIENCE_MS), 0);
  for (uint64_t i = 0; i < REQUEST_COUNT; i++)
    ck_assert_int_eq(requests[i](client, i + 1), CHAT_E_SUSPENDED);
  ck_assert_int_eq(chat_client_typing(client, id, 1), CHAT_E_SUSPENDED);
  ck_assert_int_eq(chat_client_resume(client), 0);
  expect_replies(client, 0);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

/* Typing and network hints have no reply, however many there are; they take no request's place. */
START_TEST(no_reply_where_none_is_promised) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  for (int i = 0; i < 1000; i++) {
    ck_assert_int_eq(chat_client_typing(client, id, i & 1), 0);
    ck_assert_int_eq(chat_client_network_hint(client, CHAT_NETWORK_UP), 0);
  }
  expect_replies(client, 0);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

/* What has no reply waits for the client's turn as well, up to a bound; whose turn it is is the caller's affair here. */
START_TEST(what_waits_for_the_turn_is_bounded) {
  enum { NOTES_MAX = 2048 };
  puppet *p = puppet_new();
  chat_client *client = client_over(p, NULL);
  ck_assert_int_eq(chat_client_set(client, "caller-driven", "on"), 0);
  ck_assert_int_eq(chat_client_start(client), 0);
  for (int i = 0; i < NOTES_MAX; i++)
    ck_assert_int_eq(chat_client_network_hint(client, CHAT_NETWORK_UP), 0);
  ck_assert_int_eq(chat_client_network_hint(client, CHAT_NETWORK_UP), CHAT_E_BUSY);
  ck_assert_int_eq(chat_client_typing(client, id, 1), CHAT_E_BUSY);
  ck_assert_int_eq(chat_client_set(client, "token", "another"), CHAT_E_BUSY);
  ck_assert_int_eq(chat_client_whoami(client, 1), CHAT_E_BUSY);
  ck_assert_int_eq(chat_client_process(client), 0);
  ck_assert_int_eq(chat_client_network_hint(client, CHAT_NETWORK_UP), 0);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(network_hints_act) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  ck_assert_int_eq(chat_client_network_hint(client, CHAT_NETWORK_CHANGED), 0);
  puppet_connect(p, 2); /* anew, over the other network */
  client_expect_state(client, CHAT_STATE_LIVE);
  ck_assert_int_eq(chat_client_network_hint(client, CHAT_NETWORK_UP), 0); /* what lives is left alone */
  ck_assert_int_eq(chat_client_whoami(client, 1), 0);
  client_expect_reply(client, 1);
  ck_assert(p->is_open);
  ck_assert_uint_eq(p->opens, 2);
  ck_assert_int_eq(chat_client_network_hint(client, 3), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_network_hint(client, -1), CHAT_E_INVALID);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(offline_by_request_stays_offline) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  ck_assert_int_eq(chat_client_set_online(client, 1, 0), 0);
  client_expect_state(client, CHAT_STATE_OFFLINE);
  ck_assert_int_eq(chat_client_network_hint(client, CHAT_NETWORK_CHANGED), 0);
  ck_assert_int_eq(chat_client_set(client, "token", "another"), 0);
  ck_assert_int_eq(chat_client_whoami(client, 2), 0);
  client_expect_reply(client, 2);
  ck_assert_uint_eq(p->opens, 1);
  ck_assert_int_eq(chat_client_set_online(client, 3, 1), 0);
  puppet_connect(p, 2);
  client_expect_state(client, CHAT_STATE_LIVE);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ arguments */

START_TEST(bad_arguments_are_refused_at_once) {
  static const char not_utf8[] = "\xff\xfe";
  static char large[CHAT_BODY_MAX + 2];
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  chat_draft draft = draft_of("text"), bad;
  memset(large, 'x', sizeof large - 1);
#define BAD(call) ck_assert_int_eq(call, CHAT_E_INVALID)
  BAD(chat_client_send(client, 1, NULL, &draft));
  BAD(chat_client_send(client, 1, id, NULL));
  bad = draft, bad.body_len = CHAT_BODY_MAX + 1, bad.body = large;
  BAD(chat_client_send(client, 1, id, &bad));
  bad = draft, bad.body = NULL;
  BAD(chat_client_send(client, 1, id, &bad));
  bad = draft, bad.kind = not_utf8, bad.kind_len = 2;
  BAD(chat_client_send(client, 1, id, &bad));
  bad = draft, bad.kind = large, bad.kind_len = CHAT_KIND_MAX + 1;
  BAD(chat_client_send(client, 1, id, &bad));
  bad = draft, bad.meta = large, bad.meta_len = CHAT_META_MAX + 1;
  BAD(chat_client_send(client, 1, id, &bad));
  BAD(chat_client_send_direct(client, 1, "", 0, &draft));
  BAD(chat_client_send_direct(client, 1, NULL, 3, &draft));
  BAD(chat_client_send_direct(client, 1, large, CHAT_USER_ID_MAX + 1, &draft));
  BAD(chat_client_send_direct(client, 1, not_utf8, 2, &draft));
  BAD(chat_client_send_direct(client, 1, "a\nb", 3, &draft));
  BAD(chat_client_retry(client, 1, NULL));
  BAD(chat_client_discard(client, 1, NULL));
  chat_text users[256];
  for (size_t i = 0; i < 256; i++)
    users[i] = (chat_text){"bob", 3};
  BAD(chat_client_create(client, 1, CHAT_DIRECT, "t", 1, users, 1, 0));
  BAD(chat_client_create(client, 1, CHAT_GROUP, "t", 1, users, 256, 0));
  BAD(chat_client_create(client, 1, CHAT_GROUP, "t", 1, NULL, 1, 0));
  BAD(chat_client_create(client, 1, CHAT_GROUP, large, CHAT_TITLE_MAX + 1, users, 1, 0));
  BAD(chat_client_create(client, 1, CHAT_GROUP, not_utf8, 2, users, 1, 0));
  BAD(chat_client_add_members(client, 1, id, users, 0, CHAT_ROLE_MEMBER));
  BAD(chat_client_add_members(client, 1, id, users, 1, CHAT_ROLE_OWNER));
  BAD(chat_client_add_members(client, 1, id, users, 1, CHAT_ROLE_NONE));
  BAD(chat_client_remove_member(client, 1, id, NULL, 0));
  BAD(chat_client_set_role(client, 1, id, "bob", 3, CHAT_ROLE_OWNER));
  BAD(chat_client_set_owner(client, 1, NULL, "bob", 3));
  BAD(chat_client_set_title(client, 1, id, large, CHAT_TITLE_MAX + 1));
  BAD(chat_client_conversations(client, 1, 0, 0));
  BAD(chat_client_conversations(client, 1, 0, 1001));
  BAD(chat_client_history(client, 1, id, 0, 0, 0, 0));
  BAD(chat_client_history(client, 1, id, 0, 0, CHAT_PAGE_MAX + 1, 0));
  BAD(chat_client_history(client, 1, id, 5, 5, 10, 0));
  BAD(chat_client_history(client, 1, NULL, 0, 0, 10, 0));
  BAD(chat_client_search(client, 1, "", 0, NULL, 0, 10, 0));
  BAD(chat_client_search(client, 1, large, 257, NULL, 0, 10, 0));
  BAD(chat_client_search(client, 1, not_utf8, 2, NULL, 0, 10, 0));
  BAD(chat_client_search(client, 1, "word", 4, NULL, 0, CHAT_PAGE_MAX + 1, 0));
  BAD(chat_client_members(client, 1, id, NULL, 0, 0));
  BAD(chat_client_members(client, 1, id, NULL, 0, 257));
  BAD(chat_client_revoke_device(client, 1, NULL));
  BAD(chat_client_verify(client, 1, NULL));
#undef BAD
  expect_replies(client, 0);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

/* The largest of each passes. */
START_TEST(arguments_at_their_bounds) {
  static char large[CHAT_BODY_MAX + 1];
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  memset(large, 'x', sizeof large);
  chat_draft draft = {.size = sizeof draft, .body = large, .body_len = CHAT_BODY_MAX, .kind = large, .kind_len = CHAT_KIND_MAX, .meta = large, .meta_len = CHAT_META_MAX};
  ck_assert_int_eq(chat_client_send_direct(client, 1, large, CHAT_USER_ID_MAX, &draft), 0);
  ck_assert_int_eq(client_expect_reply(client, 1)->status, 0);
  draft = (chat_draft){.size = sizeof draft};
  ck_assert_int_eq(chat_client_send_direct(client, 2, "b", 1, &draft), 0); /* an empty body is one */
  ck_assert_int_eq(client_expect_reply(client, 2)->status, 0);
  char names[255][64];
  chat_text users[255];
  for (int i = 0; i < 255; i++) {
    memset(names[i], 'u', sizeof names[i]);
    names[i][0] = (char)('A' + i / 26);
    names[i][1] = (char)('A' + i % 26);
    users[i] = (chat_text){names[i], sizeof names[i]};
  }
  ck_assert_int_eq(chat_client_create(client, 3, CHAT_CHANNEL, large, CHAT_TITLE_MAX, users, 255, 1), 0);
  ck_assert_int_eq(client_expect_reply(client, 3)->status, 0);
  const ch_client_message *send = puppet_expect(p, CH_SEND);
  ck_assert_uint_eq(send->u.send.type, CHAT_TYPE_MESSAGE);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {each_has_one_reply_offline, 0},      {each_has_one_reply_when_the_session_ends, 0},
      {each_has_one_reply_when_the_server_refuses, 0}, {odd_reply_ends_it, 0},
      {the_same_tag_twice_is_the_callers_affair, 0},   {suspended_takes_none, 0},
      {no_reply_where_none_is_promised, 0}, {what_waits_for_the_turn_is_bounded, 0}, {network_hints_act, 0},
      {offline_by_request_stays_offline, 0}, {bad_arguments_are_refused_at_once, 0},
      {arguments_at_their_bounds, 0},
  };
  return RUN_TESTS("client requests", rows);
}
