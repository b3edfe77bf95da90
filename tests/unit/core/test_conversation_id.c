/* SPDX-License-Identifier: Apache-2.0 */
/* Expected ids were computed apart, with Python's hashlib over the bytes that conversation_id.h names. */
#include "core/conversation_id.h"

#include "run.h"

static void direct_is(ch_bytes a, ch_bytes b, const char *hex) {
  uint8_t id[CHAT_CONVERSATION_ID_LEN];
  char text[2 * CHAT_CONVERSATION_ID_LEN + 1];
  ch_conversation_id_direct(a, b, id);
  ch_hex_encode(ch_bytes_of(id, sizeof id), text);
  ck_assert_str_eq(text, hex);
}

static void group_is(const char *creator, const uint8_t *client_id, const char *hex) {
  uint8_t id[CHAT_CONVERSATION_ID_LEN];
  char text[2 * CHAT_CONVERSATION_ID_LEN + 1];
  ch_conversation_id_group(ch_bytes_text(creator), client_id, id);
  ch_hex_encode(ch_bytes_of(id, sizeof id), text);
  ck_assert_str_eq(text, hex);
}

START_TEST(direct_in_either_order) {
  direct_is(ch_bytes_text("alice"), ch_bytes_text("bob"), "01679cf7bb60aecc338464b15e87b820");
  direct_is(ch_bytes_text("bob"), ch_bytes_text("alice"), "01679cf7bb60aecc338464b15e87b820");
  direct_is(ch_bytes_text("abc"), ch_bytes_text("ab"), "0176d610f5f9e3f9815d5f25fde22ad9");
}
END_TEST

START_TEST(direct_with_oneself) {
  direct_is(ch_bytes_text("alice"), ch_bytes_text("alice"), "016867e3c1dcfaab99fa6bcd51dfbe92");
}
END_TEST

START_TEST(direct_with_the_longest_and_with_utf8) {
  ch_bytes longest = ch_bytes_text("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
  ck_assert_uint_eq(longest.len, CHAT_USER_ID_MAX);
  direct_is(ch_bytes_text("zo\xC3\xAB"), longest, "01689f34f6ba81f5795f946b0e42303a");
}
END_TEST

START_TEST(group_of_creator_and_client_id) {
  const uint8_t client_id[CHAT_CLIENT_ID_LEN] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  group_is("alice", client_id, "021c4c524ff044ee082a96bc608da13e");
  group_is("bob", client_id, "026afa049e3a6f0f52038267f7434385");
}
END_TEST

START_TEST(an_empty_user_is_misuse) {
  direct_is(ch_bytes_text("alice"), ch_bytes_text(""), "");
}
END_TEST

START_TEST(a_long_user_is_misuse) {
  const uint8_t client_id[CHAT_CLIENT_ID_LEN] = {0};
  group_is("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", client_id, "");
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {direct_in_either_order, 0},         {direct_with_oneself, 0},           {direct_with_the_longest_and_with_utf8, 0},
      {group_of_creator_and_client_id, 0}, {an_empty_user_is_misuse, SIGABRT}, {a_long_user_is_misuse, SIGABRT},
  };
  return RUN_TESTS("conversation_id", rows);
}
