/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/judge.h"

#include <stdio.h>
#include <string.h>

#include "../core/run.h"
#include "core/conversation_id.h"
#include "core/snowflake.h"

/* One conversation and the log that is folded into it. */
typedef struct fixture {
  ch_arena arena;
  ch_conversation *conversation;
  uint8_t id[16];
  uint64_t position;
  uint64_t numbers[8]; /* by first letter of the user, from 'a' */
} fixture;

static const uint8_t group_client_id[16] = {7};

static void begin(fixture *f, const uint8_t id[16]) {
  memset(f, 0, sizeof *f);
  memcpy(f->id, id, 16);
  ch_arena_init(&f->arena, NULL, 4096, 1 << 26);
  f->conversation = ch_conversation_new(NULL, id);
  chat_state none = {0};
  ck_assert_int_eq(ch_conversation_load(f->conversation, &none, NULL, 0), 0);
}

static void end(fixture *f) {
  ch_conversation_free(f->conversation);
  ch_arena_fini(&f->arena);
}

static chat_bytes payload_of(fixture *f, const ch_content *content) {
  ch_buf buf;
  ch_buf_init(&buf, NULL, 1 << 20);
  ck_assert_int_eq(ch_content_encode(content, &buf), 0);
  chat_bytes bytes = {.data = ch_arena_dup(&f->arena, buf.data, buf.len), .len = buf.len};
  ch_buf_fini(&buf);
  return bytes;
}

static ch_record record_of(fixture *f, const char *user, const ch_content *content) {
  ch_record record = {.sender = ch_bytes_text(user), .device_id = {(uint8_t)user[0]}, .client_seq = ++f->numbers[user[0] - 'a'], .type = content->type};
  memcpy(record.conversation_id, f->id, 16);
  memcpy(record.client_id, group_client_id, 16);
  record.payload = payload_of(f, content);
  return record;
}

static ch_judgement judge(fixture *f, const ch_record *record) {
  ch_judgement out;
  f->position++;
  ch_judge_record in = {.record = record, .position = f->position, .append_ms = CH_SNOWFLAKE_EPOCH_MS + 5, .partition = 3};
  ck_assert_int_eq(ch_judge(f->conversation, &in, &f->arena, &out), 0);
  return out;
}

/* 0: committed; else the reason of the refusal. */
static int act(fixture *f, const char *user, ch_content content) {
  ch_record record = record_of(f, user, &content);
  ch_judgement out = judge(f, &record);
  ck_assert(out.code == CH_VERDICT_COMMITTED || out.code == CH_VERDICT_REFUSED);
  ck_assert_uint_eq(out.last, record.client_seq); /* used up, whatever the verdict */
  return out.error;
}

static ch_content on(uint32_t type, const char *user, uint32_t role) {
  static chat_bytes users[1];
  users[0] = ch_bytes_text(user);
  return (ch_content){.type = type, .users = users, .user_count = user ? 1 : 0, .role = role};
}

static ch_content says(const char *text) {
  return (ch_content){.type = CHAT_TYPE_MESSAGE, .body = ch_bytes_text(text)};
}

static uint32_t role_of(fixture *f, const char *user) {
  ch_member_cell *cell = ch_conversation_member(f->conversation, ch_bytes_text(user));
  return cell ? cell->role : CHAT_ROLE_NONE;
}

/* alice owner, bob and carol members. */
static void begin_group(fixture *f, uint32_t kind) {
  uint8_t id[16];
  ch_conversation_id_group(ch_bytes_text("alice"), group_client_id, id);
  begin(f, id);
  chat_bytes users[] = {ch_bytes_text("carol"), ch_bytes_text("bob"), ch_bytes_text("bob"), ch_bytes_text("alice")};
  ck_assert_int_eq(act(f, "alice", (ch_content){.type = CHAT_TYPE_CREATE, .conversation_kind = kind, .users = users, .user_count = 4}), 0);
  ck_assert_uint_eq(f->conversation->member_count, 3);
}

static void begin_direct(fixture *f) {
  uint8_t id[16];
  ch_conversation_id_direct(ch_bytes_text("alice"), ch_bytes_text("bob"), id);
  begin(f, id);
}

START_TEST(numbers) {
  fixture f;
  begin_group(&f, CHAT_GROUP);
  ch_content content = says("x");
  ch_record record = record_of(&f, "bob", &content);
  static const struct {
    uint64_t client_seq, prev;
    ch_verdict_code code;
    uint64_t last;
  } rows[] = {
      {2, 1, CH_VERDICT_GAP, 0}, {1, 0, CH_VERDICT_COMMITTED, 1}, {1, 0, CH_VERDICT_DUP, 1},
      {4, 1, CH_VERDICT_COMMITTED, 4}, {3, 1, CH_VERDICT_DUP, 4}, {0, 0, CH_VERDICT_DUP, 4},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    record.client_seq = rows[i].client_seq;
    record.prev = rows[i].prev;
    ch_judgement out = judge(&f, &record);
    ck_assert_int_eq(out.code, rows[i].code);
    ck_assert_uint_eq(out.last, rows[i].last);
    ck_assert_uint_eq(out.head, f.conversation->head);
    /* S2: touched, whatever the verdict */
    ck_assert_uint_eq(ch_conversation_sender(f.conversation, record.sender, record.device_id)->position, f.position);
  }
  ck_assert_uint_eq(f.conversation->head, 3);
  ck_assert_uint_eq(f.conversation->msg_no, 2);
  end(&f);
}
END_TEST

START_TEST(a_void_uses_its_number_up) {
  fixture f;
  begin_group(&f, CHAT_GROUP);
  ch_content content = says("x");
  ch_record record = record_of(&f, "bob", &content);
  record.is_void = 1;
  ck_assert_int_eq(judge(&f, &record).error, CHAT_E_CANCELED);
  ck_assert_int_eq(judge(&f, &record).code, CH_VERDICT_DUP);
  record.client_seq++;
  record.void_error = CHAT_E_DENIED;
  ck_assert_int_eq(judge(&f, &record).error, CHAT_E_DENIED);
  record.client_seq++;
  record.is_void = 0;
  record.type = 99;
  ck_assert_int_eq(judge(&f, &record).error, CHAT_E_UNSUPPORTED);
  ck_assert_uint_eq(f.conversation->head, 1);
  end(&f);
}
END_TEST

START_TEST(the_first_message_makes_a_direct_conversation) {
  fixture f;
  begin_direct(&f);
  ch_content content = says("x");
  ch_record record = record_of(&f, "bob", &content);
  record.peer = ch_bytes_text("carol");
  ck_assert_int_eq(judge(&f, &record).error, CHAT_E_INVALID);
  record.peer = ch_bytes_text("alice");
  record.client_seq = 2;
  ch_judgement out = judge(&f, &record);
  ck_assert_int_eq(out.code, CH_VERDICT_COMMITTED);
  ck_assert_uint_eq(out.row.seq, 1);
  ck_assert_uint_eq(out.row.message_id, ch_snowflake_compose(CH_SNOWFLAKE_EPOCH_MS + 5, 3, 0));
  ck_assert_uint_eq(f.conversation->kind, CHAT_DIRECT);
  ck_assert_uint_eq(role_of(&f, "alice"), CHAT_ROLE_MEMBER);
  record.client_seq = 3;
  ck_assert_uint_eq(judge(&f, &record).row.message_id, out.row.message_id + 1);
  record.client_seq = 4;
  record.type = CHAT_TYPE_TITLE;
  record.payload = (chat_bytes){0};
  ck_assert_int_eq(judge(&f, &record).error, CHAT_E_INVALID);
  end(&f);
}
END_TEST

/* Create twice, by another id, by a stranger. */
START_TEST(create) {
  fixture f;
  begin_group(&f, CHAT_GROUP);
  ch_content again = {.type = CHAT_TYPE_CREATE, .conversation_kind = CHAT_GROUP};
  ck_assert_int_eq(act(&f, "alice", again), CHAT_E_EXISTS);
  ck_assert_int_eq(act(&f, "bob", again), CHAT_E_INVALID);
  end(&f);
}
END_TEST

/* P9: the verdicts of a stranger on a conversation that is there and on one that is not are the same. */
START_TEST(a_stranger_learns_nothing) {
  fixture there, not_there;
  begin_group(&there, CHAT_GROUP);
  begin(&not_there, there.id);
  not_there.position = there.position;
  for (int i = 0; i < 4; i++) {
    ch_content content = i < 2 ? says("x") : on(CHAT_TYPE_MEMBERS_ADD, "dave", 0);
    ch_record record = record_of(&there, "eve", &content);
    if (i == 1) record.client_seq = 1; /* DUP */
    if (i == 3) record.prev = record.client_seq - 1;
    ch_judgement a = judge(&there, &record), b = judge(&not_there, &record);
    ck_assert_mem_eq(&a, &b, sizeof a);
    ck_assert_uint_eq(a.head, 0);
  }
  end(&there);
  end(&not_there);
}
END_TEST

START_TEST(roles) {
  static const struct {
    const char *user;
    uint32_t type;
    const char *target;
    uint32_t role;
    int error;
  } rows[] = {
      {"bob", CHAT_TYPE_MEMBERS_ADD, "dave", 0, CHAT_E_DENIED},
      {"bob", CHAT_TYPE_TITLE, NULL, 0, CHAT_E_DENIED},
      {"bob", CHAT_TYPE_SETTINGS, NULL, 0, CHAT_E_DENIED},
      {"alice", CHAT_TYPE_ROLE, "bob", CHAT_ROLE_ADMIN, 0},
      {"bob", CHAT_TYPE_MEMBERS_ADD, "carol", 0, CHAT_E_EXISTS},
      {"bob", CHAT_TYPE_MEMBERS_ADD, "dave", CHAT_ROLE_ADMIN, CHAT_E_DENIED},
      {"bob", CHAT_TYPE_MEMBERS_ADD, "dave", 0, 0},
      {"bob", CHAT_TYPE_TITLE, NULL, 0, 0},
      {"bob", CHAT_TYPE_ROLE, "dave", CHAT_ROLE_ADMIN, CHAT_E_DENIED},
      {"bob", CHAT_TYPE_TO_CHANNEL, NULL, 0, CHAT_E_DENIED},
      {"bob", CHAT_TYPE_OWNER, "bob", 0, CHAT_E_DENIED},
      {"bob", CHAT_TYPE_MEMBER_REMOVE, "alice", 0, CHAT_E_DENIED},
      {"alice", CHAT_TYPE_ROLE, "dave", CHAT_ROLE_ADMIN, 0},
      {"bob", CHAT_TYPE_MEMBER_REMOVE, "dave", 0, CHAT_E_DENIED},
      {"bob", CHAT_TYPE_MEMBER_REMOVE, "frank", 0, CHAT_E_NOT_FOUND},
      {"alice", CHAT_TYPE_MEMBER_REMOVE, "dave", 0, 0},
      {"dave", CHAT_TYPE_LEAVE, NULL, 0, CHAT_E_NOT_FOUND},
      {"alice", CHAT_TYPE_OWNER, "dave", 0, CHAT_E_NOT_FOUND},
      {"alice", CHAT_TYPE_OWNER, "alice", 0, CHAT_E_INVALID},
      {"alice", CHAT_TYPE_OWNER, "carol", 0, 0},
      {"alice", CHAT_TYPE_TO_CHANNEL, NULL, 0, CHAT_E_DENIED},
      {"carol", CHAT_TYPE_TO_CHANNEL, NULL, 0, 0},
      {"carol", CHAT_TYPE_TO_CHANNEL, NULL, 0, CHAT_E_EXISTS},
      {"carol", CHAT_TYPE_LEAVE, NULL, 0, CHAT_E_DENIED},
  };
  fixture f;
  begin_group(&f, CHAT_GROUP);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int error = act(&f, rows[i].user, on(rows[i].type, rows[i].target, rows[i].role));
    ck_assert_msg(error == rows[i].error, "row %zu: %d instead of %d", i, error, rows[i].error);
  }
  ck_assert_uint_eq(role_of(&f, "alice"), CHAT_ROLE_ADMIN);
  ck_assert_uint_eq(role_of(&f, "carol"), CHAT_ROLE_OWNER);
  end(&f);
}
END_TEST

START_TEST(the_owner_leaves) {
  fixture f;
  begin_group(&f, CHAT_GROUP);
  ck_assert_int_eq(act(&f, "alice", on(CHAT_TYPE_ROLE, "carol", CHAT_ROLE_ADMIN)), 0);
  ck_assert_int_eq(act(&f, "alice", on(CHAT_TYPE_LEAVE, NULL, 0)), 0);
  ck_assert_uint_eq(role_of(&f, "carol"), CHAT_ROLE_OWNER); /* the admin, though bob sorts first */
  ck_assert_int_eq(act(&f, "carol", on(CHAT_TYPE_LEAVE, NULL, 0)), 0);
  ck_assert_uint_eq(role_of(&f, "bob"), CHAT_ROLE_OWNER);
  ck_assert_int_eq(act(&f, "bob", on(CHAT_TYPE_LEAVE, NULL, 0)), 0);
  ck_assert_uint_eq(f.conversation->member_count, 0);
  ck_assert_int_eq(act(&f, "bob", says("x")), CHAT_E_NOT_FOUND);
  end(&f);
}
END_TEST

START_TEST(intervals) {
  fixture f;
  begin_group(&f, CHAT_GROUP);
  ck_assert_int_eq(act(&f, "alice", says("2")), 0);
  ck_assert_int_eq(act(&f, "alice", on(CHAT_TYPE_MEMBER_REMOVE, "bob", 0)), 0); /* 3 */
  ck_assert_int_eq(act(&f, "alice", says("4")), 0);
  const ch_member_cell *bob = ch_conversation_member(f.conversation, ch_bytes_text("bob"));
  ck_assert_uint_eq(ch_conversation_visible_head(f.conversation, ch_bytes_text("bob")), 3);
  ck_assert_int_eq(act(&f, "alice", on(CHAT_TYPE_MEMBERS_ADD, "bob", 0)), 0); /* 5 */
  static const bool readable[] = {false, true, true, true, false, true, true};
  for (uint64_t seq = 0; seq < 7; seq++)
    ck_assert(seq == 0 || ch_intervals_may_read(&bob->intervals, seq) == readable[seq]);
  end(&f);
}
END_TEST

START_TEST(a_retired_device_is_refused) {
  fixture f;
  begin_group(&f, CHAT_GROUP);
  ch_content old = says("x");
  ch_record record = record_of(&f, "bob", &old);
  ck_assert_int_eq(judge(&f, &record).code, CH_VERDICT_COMMITTED);
  ch_content retire = {.type = CHAT_TYPE_DEVICE_RETIRED, .device_id = {'b'}};
  ck_assert_int_eq(act(&f, "bob", retire), CHAT_E_INVALID); /* itself */
  ck_assert_int_eq(act(&f, "carol", retire), 0);            /* a device of carol's, not bob's */
  ch_record by_new = record_of(&f, "bob", &retire);
  by_new.device_id[0] = 'B';
  by_new.client_seq = 1;
  ck_assert_int_eq(judge(&f, &by_new).code, CH_VERDICT_COMMITTED);
  record.client_seq = 9;
  ch_judgement out = judge(&f, &record);
  ck_assert_int_eq(out.error, CHAT_E_REVOKED);
  ck_assert_uint_eq(out.last, 9);
  end(&f);
}
END_TEST

START_TEST(a_group_is_bounded) {
  fixture f;
  begin_group(&f, CHAT_GROUP);
  chat_bytes users[254];
  for (size_t i = 0; i < 254; i++) {
    char *name = ch_arena_calloc(&f.arena, 1, 16);
    users[i] = ch_bytes_of(name, (size_t)snprintf(name, 16, "user%zu", i));
  }
  ch_content add = {.type = CHAT_TYPE_MEMBERS_ADD, .users = users, .user_count = 254};
  ck_assert_int_eq(act(&f, "alice", add), CHAT_E_LIMIT);
  ck_assert_uint_eq(f.conversation->member_count, 3);
  add.user_count = 253;
  ck_assert_int_eq(act(&f, "alice", add), 0);
  ck_assert_uint_eq(f.conversation->member_count, 256);
  end(&f);
}
END_TEST

START_TEST(the_system_needs_no_membership_and_no_number) {
  fixture f;
  begin_group(&f, CHAT_GROUP);
  ch_content content = says("maintenance");
  ch_record record = record_of(&f, "eve", &content);
  record.system = 1;
  record.client_seq = 0;
  ck_assert_int_eq(judge(&f, &record).code, CH_VERDICT_COMMITTED);
  ck_assert_ptr_null(ch_conversation_sender(f.conversation, record.sender, record.device_id));
  end(&f);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {numbers, 0}, {a_void_uses_its_number_up, 0}, {the_first_message_makes_a_direct_conversation, 0}, {create, 0},
      {a_stranger_learns_nothing, 0}, {roles, 0}, {the_owner_leaves, 0}, {intervals, 0}, {a_retired_device_is_refused, 0},
      {a_group_is_bounded, 0}, {the_system_needs_no_membership_and_no_number, 0},
  };
  return RUN_TESTS("judge", rows);
}
