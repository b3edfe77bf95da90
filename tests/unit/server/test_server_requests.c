/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the embedder (chat/server.h), each with its reply and each error that the header names. */
#define _XOPEN_SOURCE 700

#include "unit/core/run.h"
#include "unit/server/served.h"

static const uint8_t nowhere[16] = {2, 1, 2, 3};

/* ------------------------------------------------------------------------------------------------ send */

START_TEST(a_message_of_a_user_is_durable_and_in_the_history) {
  chat_server *server = served_start(served_new(NULL));
  uint8_t id[16];
  served_group(server, "alice", "bob", id);
  chat_server_send send = served_message("bob", id, "hello");
  served_history(server, id, 1); /* or bob is not a member yet */
  ck_assert_int_eq(chat_server_request_send(server, 5, &send), 0);
  const chat_server_event *reply = served_reply(server, 5);
  ck_assert_int_eq(reply->status, 0);
  ck_assert_mem_eq(reply->conversation_id, id, 16);
  uint8_t client_id[16];
  memcpy(client_id, reply->client_id, 16);
  const chat_server_event *history = served_history(server, id, 2);
  ck_assert_uint_eq(history->stored_count, 2);
  const chat_stored *row = history->stored[1];
  ck_assert_uint_eq(row->seq, 2);
  ck_assert_uint_eq(row->msg_no, 1);
  ck_assert_uint_eq(row->type, CHAT_TYPE_MESSAGE);
  ck_assert(served_is(row->sender, "bob") && served_is(row->body, "hello"));
  ck_assert_mem_eq(row->client_id, client_id, 16);
  served_end(server);
}
END_TEST

START_TEST(a_stranger_is_answered_like_one_who_asks_for_nothing) {
  chat_server *server = served_start(served_new(NULL));
  uint8_t id[16];
  served_group(server, "alice", "bob", id);
  served_history(server, id, 1);
  chat_server_send send = served_message("mallory", id, "let me in");
  ck_assert_int_eq(chat_server_request_send(server, 1, &send), 0);
  ck_assert_int_eq(served_status(server, 1), CHAT_E_NOT_FOUND);
  send = served_message("mallory", nowhere, "is anybody there");
  ck_assert_int_eq(chat_server_request_send(server, 2, &send), 0);
  ck_assert_int_eq(served_status(server, 2), CHAT_E_NOT_FOUND);
  ck_assert_uint_eq(served_history(server, id, 1)->head, 1);
  served_end(server);
}
END_TEST

START_TEST(the_system_needs_no_membership) {
  chat_server *server = served_start(served_new(NULL));
  uint8_t id[16];
  served_group(server, "alice", "bob", id);
  chat_server_send send = served_message("robot", id, "the build is broken");
  send.as_system = 1;
  send.kind = "notice", send.kind_len = 6;
  send.meta = "{}", send.meta_len = 2;
  ck_assert_int_eq(chat_server_request_send(server, 1, &send), 0);
  ck_assert_int_eq(served_status(server, 1), 0);
  const chat_stored *row = served_history(server, id, 2)->stored[1];
  ck_assert(served_is(row->sender, "robot") && served_is(row->kind, "notice") && served_is(row->meta, "{}"));
  served_end(server);
}
END_TEST

START_TEST(a_direct_conversation_is_of_its_two_users_alone) {
  chat_server *server = served_start(served_new(NULL));
  uint8_t id[16], client_id[16] = {9};
  chat_server_send send = served_direct("alice", "bob", "psst");
  send.client_id = client_id;
  ck_assert_int_eq(chat_server_request_send(server, 1, &send), 0);
  const chat_server_event *reply = served_reply(server, 1);
  ck_assert_int_eq(reply->status, 0);
  ck_assert_mem_eq(reply->client_id, client_id, 16);
  memcpy(id, reply->conversation_id, 16);
  ck_assert(served_is(served_history(server, id, 1)->stored[0]->body, "psst"));

  send = served_message("mallory", id, "I guessed the id");
  ck_assert_int_eq(chat_server_request_send(server, 2, &send), 0);
  ck_assert_int_eq(served_status(server, 2), CHAT_E_NOT_FOUND);
  send = served_message("bob", id, "by its id");
  ck_assert_int_eq(chat_server_request_send(server, 3, &send), 0);
  ck_assert_int_eq(served_status(server, 3), 0);
  const chat_server_event *history = served_history(server, id, 2);
  ck_assert_uint_eq(history->head, 2);
  ck_assert(served_is(history->stored[1]->sender, "bob"));
  served_end(server);
}
END_TEST

/* "No dedup": as the header says, so that nobody relies on it. */
START_TEST(sent_twice_it_is_there_twice) {
  chat_server *server = served_start(served_new(NULL));
  uint8_t client_id[16] = {7};
  chat_server_send send = served_direct("alice", "bob", "again");
  send.client_id = client_id;
  uint8_t id[16];
  for (uint64_t tag = 1; tag <= 2; tag++) {
    ck_assert_int_eq(chat_server_request_send(server, tag, &send), 0);
    memcpy(id, served_reply(server, tag)->conversation_id, 16);
  }
  ck_assert_uint_eq(served_history(server, id, 2)->stored_count, 2);
  served_end(server);
}
END_TEST

START_TEST(a_send_that_cannot_be_is_refused_at_once) {
  chat_server *server = served_start(served_new(NULL));
  static char large[CHAT_BODY_MAX + 1];
  chat_server_send good = served_direct("alice", "bob", "x"), bad;
  ck_assert_int_eq(chat_server_request_send(NULL, 1, &good), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_send(server, 1, NULL), CHAT_E_INVALID);
  bad = good, bad.size = 8;
  ck_assert_int_eq(chat_server_request_send(server, 1, &bad), CHAT_E_INVALID);
  bad = good, bad.user_len = 0;
  ck_assert_int_eq(chat_server_request_send(server, 1, &bad), CHAT_E_INVALID);
  bad = good, bad.user = "a\x01", bad.user_len = 2;
  ck_assert_int_eq(chat_server_request_send(server, 1, &bad), CHAT_E_INVALID);
  bad = good, bad.peer_len = 0;
  ck_assert_int_eq(chat_server_request_send(server, 1, &bad), CHAT_E_INVALID);
  bad = good, bad.body = large, bad.body_len = sizeof large;
  ck_assert_int_eq(chat_server_request_send(server, 1, &bad), CHAT_E_INVALID);
  bad = good, bad.meta = large, bad.meta_len = CHAT_META_MAX + 1;
  ck_assert_int_eq(chat_server_request_send(server, 1, &bad), CHAT_E_INVALID);
  bad = good, bad.kind = large, bad.kind_len = CHAT_KIND_MAX + 1;
  ck_assert_int_eq(chat_server_request_send(server, 1, &bad), CHAT_E_INVALID);
  bad = good, bad.kind = "\xff", bad.kind_len = 1;
  ck_assert_int_eq(chat_server_request_send(server, 1, &bad), CHAT_E_INVALID);
  ck_assert_ptr_null(chat_server_wait(server, 0)); /* and no event follows */
  good.body = large, good.body_len = CHAT_BODY_MAX;
  good.meta = large, good.meta_len = CHAT_META_MAX;
  ck_assert_int_eq(chat_server_request_send(server, 2, &good), 0);
  ck_assert_int_eq(served_status(server, 2), 0);
  served_end(server);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ create, add, remove */

START_TEST(a_group_is_made_for_its_owner) {
  chat_server *server = served_start(served_new(NULL));
  uint8_t id[16];
  served_group(server, "alice", "bob", id);
  const chat_stored *row = served_history(server, id, 1)->stored[0];
  ck_assert_uint_eq(row->type, CHAT_TYPE_CREATE);
  ck_assert(served_is(row->sender, "alice"));
  chat_client *bob = peer_start(server, "dev:bob");
  const chat_event *event;
  do event = peer_await(bob, CHAT_EVENT_CONVERSATION);
  while (event->conversations[0]->role == CHAT_ROLE_NONE);
  ck_assert_mem_eq(event->conversations[0]->conversation_id, id, 16);
  ck_assert(served_is(event->conversations[0]->title, "group"));
  ck_assert_uint_eq(event->conversations[0]->role, CHAT_ROLE_MEMBER);
  chat_client_free(bob);
  served_end(server);
}
END_TEST

START_TEST(a_creation_that_cannot_be_is_refused_at_once) {
  chat_server *server = served_start(served_new(NULL));
  static char title[CHAT_TITLE_MAX + 1];
  const char *bob = "bob", *nobody = "";
  size_t three = 3, none = 0;
  memset(title, 't', sizeof title);
  ck_assert_int_eq(chat_server_request_create(server, 1, "", 0, CHAT_GROUP, "t", 1, NULL, NULL, 0, 0), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_create(server, 1, "alice", 5, CHAT_DIRECT, "t", 1, NULL, NULL, 0, 0), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_create(server, 1, "alice", 5, CHAT_GROUP, title, sizeof title, NULL, NULL, 0, 0), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_create(server, 1, "alice", 5, CHAT_GROUP, "\xc3", 1, NULL, NULL, 0, 0), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_create(server, 1, "alice", 5, CHAT_GROUP, "t", 1, NULL, NULL, 1, 0), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_create(server, 1, "alice", 5, CHAT_GROUP, "t", 1, &nobody, &none, 1, 0), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_create(server, 1, "alice", 5, CHAT_GROUP, "t", 1, &bob, &three, CHAT_GROUP_MEMBERS_MAX, 0), CHAT_E_INVALID);
  ck_assert_ptr_null(chat_server_wait(server, 0));
  served_end(server);
}
END_TEST

/* As the system: the event has no sender, and every member sees it. */
START_TEST(a_member_is_added_and_removed_by_the_system) {
  chat_server *server = served_start(served_new(NULL));
  uint8_t id[16];
  served_group(server, "alice", "bob", id);
  chat_client *alice = peer_live(server, "dev:alice");
  ck_assert_int_eq(chat_server_request_add(server, 1, id, "carol", 5, CHAT_ROLE_ADMIN), 0);
  ck_assert_int_eq(served_status(server, 1), 0);
  ck_assert_int_eq(chat_server_request_remove(server, 2, id, "bob", 3), 0);
  ck_assert_int_eq(served_status(server, 2), 0);
  const chat_server_event *history = served_history(server, id, 3);
  ck_assert_uint_eq(history->stored[1]->type, CHAT_TYPE_MEMBERS_ADD);
  ck_assert_uint_eq(history->stored[1]->sender.len, 0);
  ck_assert_uint_eq(history->stored[2]->type, CHAT_TYPE_MEMBER_REMOVE);

  chat_server_send send = served_message("bob", id, "am I still here?");
  ck_assert_int_eq(chat_server_request_send(server, 3, &send), 0);
  ck_assert_int_eq(served_status(server, 3), CHAT_E_NOT_FOUND);
  send = served_message("carol", id, "I am");
  ck_assert_int_eq(chat_server_request_send(server, 4, &send), 0);
  ck_assert_int_eq(served_status(server, 4), 0);

  const chat_event *event;
  do event = peer_await(alice, CHAT_EVENT_MESSAGE);
  while (event->messages[0]->seq < 3);
  ck_assert_uint_eq(event->messages[0]->type, CHAT_TYPE_MEMBER_REMOVE);
  ck_assert_uint_eq(event->messages[0]->sender.len, 0);
  ck_assert(served_is(*event->messages[0]->users[0], "bob"));
  chat_client_free(alice);
  served_end(server);
}
END_TEST

/* Durable, and refused where it is judged: nothing is seen in the history. */
START_TEST(a_change_that_the_rules_forbid_leaves_no_trace) {
  chat_server *server = served_start(served_new(NULL));
  uint8_t id[16];
  served_group(server, "alice", "bob", id);
  ck_assert_int_eq(chat_server_request_add(server, 1, nowhere, "carol", 5, CHAT_ROLE_MEMBER), 0);
  ck_assert_int_eq(served_status(server, 1), 0);
  ck_assert_int_eq(chat_server_request_remove(server, 2, id, "nobody", 6), 0);
  ck_assert_int_eq(served_status(server, 2), 0);
  chat_server_send send = served_message("alice", id, "still the second");
  served_history(server, id, 1);
  ck_assert_int_eq(chat_server_request_send(server, 3, &send), 0);
  ck_assert_int_eq(served_status(server, 3), 0);
  ck_assert(served_is(served_history(server, id, 2)->stored[1]->body, "still the second"));
  ck_assert_int_eq(chat_server_request_history(server, 4, nowhere, 0, UINT64_MAX, 1), 0);
  ck_assert_int_eq(served_status(server, 4), CHAT_E_NOT_FOUND);
  served_end(server);
}
END_TEST

START_TEST(a_change_of_members_that_cannot_be_is_refused_at_once) {
  chat_server *server = served_start(served_new(NULL));
  ck_assert_int_eq(chat_server_request_add(server, 1, NULL, "bob", 3, CHAT_ROLE_MEMBER), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_add(server, 1, nowhere, "", 0, CHAT_ROLE_MEMBER), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_add(server, 1, nowhere, "bob", 3, CHAT_ROLE_OWNER), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_add(server, 1, nowhere, "bob", 3, 99), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_add(NULL, 1, nowhere, "bob", 3, CHAT_ROLE_MEMBER), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_remove(server, 1, NULL, "bob", 3), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_remove(server, 1, nowhere, "\xff", 1), CHAT_E_INVALID);
  ck_assert_ptr_null(chat_server_wait(server, 0));
  served_end(server);
}
END_TEST

/* The sequencer asks a channel's members one by one, and the system is none of them. */
START_TEST(the_system_changes_a_channel_too) {
  chat_server *server = served_start(served_new(NULL));
  ck_assert_int_eq(chat_server_request_create(server, 1, "alice", 5, CHAT_CHANNEL, "news", 4, NULL, NULL, 0, 1), 0);
  uint8_t id[16];
  memcpy(id, served_reply(server, 1)->conversation_id, 16);
  ck_assert_int_eq(chat_server_request_add(server, 2, id, "bob", 3, CHAT_ROLE_MEMBER), 0);
  ck_assert_int_eq(served_status(server, 2), 0);
  ck_assert_uint_eq(served_history(server, id, 2)->stored[1]->type, CHAT_TYPE_MEMBERS_ADD);
  ck_assert_int_eq(chat_server_request_remove(server, 3, id, "bob", 3), 0);
  ck_assert_int_eq(served_status(server, 3), 0);
  ck_assert_uint_eq(served_history(server, id, 3)->stored[2]->type, CHAT_TYPE_MEMBER_REMOVE);
  served_end(server);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ history */

START_TEST(a_page_is_the_newest_of_its_range_in_rising_order) {
  chat_server *server = served_start(served_new(NULL));
  uint8_t id[16];
  for (uint64_t tag = 1; tag <= 5; tag++) {
    char body[2] = {(char)('0' + tag), 0};
    chat_server_send send = served_direct("alice", "bob", body);
    ck_assert_int_eq(chat_server_request_send(server, tag, &send), 0);
    memcpy(id, served_reply(server, tag)->conversation_id, 16);
  }
  served_history(server, id, 5);
  ck_assert_int_eq(chat_server_request_history(server, 9, id, 1, 4, 2), 0);
  const chat_server_event *page = served_reply(server, 9);
  ck_assert_uint_eq(page->stored_count, 2);
  ck_assert_uint_eq(page->head, 5);
  ck_assert(served_is(page->stored[0]->body, "3") && served_is(page->stored[1]->body, "4"));
  ck_assert_int_eq(chat_server_request_history(server, 1, NULL, 0, 1, 1), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_history(server, 1, id, 0, 1, 0), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_history(server, 1, id, 0, 1, CHAT_PAGE_MAX + 1), CHAT_E_INVALID);
  served_end(server);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ disconnect, revoke, statistics */

static void whoami(chat_client *client, uint8_t device_id[16]) {
  ck_assert_int_eq(chat_client_whoami(client, 3), 0);
  const chat_event *event = peer_await(client, CHAT_EVENT_REPLY);
  ck_assert_int_eq(event->status, 0);
  memcpy(device_id, event->device_id, 16);
}

START_TEST(who_is_disconnected_may_come_back) {
  chat_server *server = served_new(NULL);
  served_set(server, "threads", "3");
  served_start(server);
  chat_client *one = peer_live(server, "dev:alice"), *two = peer_live(server, "dev:alice"), *bob = peer_live(server, "dev:bob");
  uint8_t device_id[16];
  whoami(one, device_id);
  ck_assert_int_eq(chat_server_request_disconnect(server, 1, "alice", 5, device_id), 0);
  const chat_server_event *reply = served_reply(server, 1);
  ck_assert_int_eq(reply->status, 0);
  ck_assert_uint_eq(reply->count, 1);
  peer_await_state(one, CHAT_STATE_CONNECTING);
  peer_await_state(one, CHAT_STATE_LIVE);
  ck_assert_int_eq(chat_server_request_disconnect(server, 2, "alice", 5, NULL), 0);
  ck_assert_uint_eq(served_reply(server, 2)->count, 2);
  peer_await_state(two, CHAT_STATE_LIVE);
  ck_assert_int_eq(chat_server_request_disconnect(server, 3, "nobody", 6, NULL), 0);
  ck_assert_uint_eq(served_reply(server, 3)->count, 0);
  ck_assert_int_eq(chat_server_request_disconnect(server, 4, "", 0, NULL), CHAT_E_INVALID);
  for (const chat_event *event; (event = chat_client_wait(bob, 0));)
    ck_assert(event->type != CHAT_EVENT_STATE || event->state == CHAT_STATE_LIVE);
  chat_client_free(one);
  chat_client_free(two);
  chat_client_free(bob);
  served_end(server);
}
END_TEST

START_TEST(a_revoked_device_stays_out) {
  chat_server *server = served_new(NULL);
  served_set(server, "threads", "2");
  served_start(server);
  chat_client *lost = peer_live(server, "dev:alice"), *kept = peer_live(server, "dev:alice");
  uint8_t device_id[16];
  whoami(lost, device_id);
  ck_assert_int_eq(chat_server_request_revoke(server, 1, "alice", 5, device_id), 0);
  ck_assert_int_eq(served_status(server, 1), 0);
  ck_assert_int_eq(peer_await_state(lost, CHAT_STATE_SHUT_OUT)->status, CHAT_E_REVOKED);
  peer_send(kept, "bob", "from the other one");
  ck_assert_int_eq(peer_await_outcome(kept), 0);
  uint8_t unknown[16] = {1};
  ck_assert_int_eq(chat_server_request_revoke(server, 2, "alice", 5, unknown), 0);
  ck_assert_int_eq(served_status(server, 2), CHAT_E_NOT_FOUND);
  ck_assert_int_eq(chat_server_request_revoke(server, 3, "alice", 5, NULL), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_request_revoke(server, 3, "", 0, device_id), CHAT_E_INVALID);
  chat_client_free(lost);
  chat_client_free(kept);
  served_end(server);
}
END_TEST

static bool says(chat_bytes page, const char *line) {
  char *text = strndup((const char *)page.data, page.len);
  bool found = strstr(text, line) != NULL;
  free(text);
  return found;
}

START_TEST(statistics_are_the_page_of_metrics) {
  chat_server *server = served_start(served_new(NULL));
  chat_client *alice = peer_live(server, "dev:alice");
  bool found = false;
  for (uint64_t until_ms = served_now_ms() + PATIENCE_MS; !found && served_now_ms() < until_ms;) {
    ck_assert_int_eq(chat_server_request_statistics(server, 1), 0);
    const chat_server_event *reply = served_reply(server, 1);
    ck_assert_int_eq(reply->status, 0);
    ck_assert(says(reply->text, "# TYPE chat_sessions gauge\n"));
    found = says(reply->text, "\nchat_sessions 1\n");
  }
  ck_assert(found);
  ck_assert_int_eq(chat_server_request_statistics(NULL, 1), CHAT_E_INVALID);
  chat_client_free(alice);
  served_end(server);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ bounds and life */

START_TEST(nothing_is_taken_before_start_and_after_stop) {
  chat_server *server = served_new(NULL);
  chat_server_send send = served_direct("alice", "bob", "x");
  ck_assert_int_eq(chat_server_request_send(server, 1, &send), CHAT_E_CLOSED);
  ck_assert_int_eq(chat_server_request_statistics(server, 1), CHAT_E_CLOSED);
  served_start(server);
  ck_assert_int_eq(chat_server_stop(server, STOP_MS), 0);
  ck_assert_int_eq(chat_server_request_send(server, 1, &send), CHAT_E_CLOSED);
  ck_assert_int_eq(chat_server_request_disconnect(server, 1, "alice", 5, NULL), CHAT_E_CLOSED);
  ck_assert_int_eq(chat_server_request_history(server, 1, nowhere, 0, 1, 1), CHAT_E_CLOSED);
  ck_assert_ptr_null(chat_server_wait(server, 0));
  chat_server_free(server);
}
END_TEST

START_TEST(the_bound_on_requests_is_kept_and_no_reply_is_lost) {
  enum { BOUND = 1024 };
  chat_server *server = served_start(served_new(NULL));
  for (uint64_t tag = 0; tag < BOUND; tag++) ck_assert_int_eq(chat_server_request_statistics(server, tag), 0);
  ck_assert_int_eq(chat_server_request_statistics(server, BOUND), CHAT_E_BUSY);
  for (uint64_t tag = 0; tag < BOUND; tag++) ck_assert_int_eq(served_status(server, tag), 0);
  ck_assert_ptr_null(chat_server_wait(server, 0));
  ck_assert_int_eq(chat_server_request_statistics(server, BOUND), 0);
  ck_assert_int_eq(served_status(server, BOUND), 0);
  served_end(server);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {a_message_of_a_user_is_durable_and_in_the_history, 0},
      {a_stranger_is_answered_like_one_who_asks_for_nothing, 0},
      {the_system_needs_no_membership, 0},
      {a_direct_conversation_is_of_its_two_users_alone, 0},
      {sent_twice_it_is_there_twice, 0},
      {a_send_that_cannot_be_is_refused_at_once, 0},
      {a_group_is_made_for_its_owner, 0},
      {a_creation_that_cannot_be_is_refused_at_once, 0},
      {a_member_is_added_and_removed_by_the_system, 0},
      {a_change_that_the_rules_forbid_leaves_no_trace, 0},
      {the_system_changes_a_channel_too, 0},
    {a_change_of_members_that_cannot_be_is_refused_at_once, 0},
      {a_page_is_the_newest_of_its_range_in_rising_order, 0},
      {who_is_disconnected_may_come_back, 0},
      {a_revoked_device_stays_out, 0},
      {statistics_are_the_page_of_metrics, 0},
      {nothing_is_taken_before_start_and_after_stop, 0},
      {the_bound_on_requests_is_kept_and_no_reply_is_lost, 0},
  };
  return RUN_TESTS("server_requests", rows);
}
