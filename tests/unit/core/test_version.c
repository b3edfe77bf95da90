/* SPDX-License-Identifier: Apache-2.0 */
#include <chat/chat.h>
#include <string.h>

#include "core/bytes.h"
#include "core/conversation_id.h"
#include "run.h"

START_TEST(the_version_is_that_of_the_header) {
  ck_assert_uint_eq(chat_version(), CHAT_VERSION_MAJOR * 65536 + CHAT_VERSION_MINOR * 256 + CHAT_VERSION_PATCH);
}
END_TEST

START_TEST(a_direct_id_needs_two_users) {
  uint8_t id[16], other[16];
  char longest[CHAT_USER_ID_MAX + 1];
  memset(longest, 'x', sizeof longest);
  ck_assert_int_eq(chat_direct_id("ann", 3, "bob", 3, id), CHAT_OK);
  ck_assert_int_eq(chat_direct_id("bob", 3, "ann", 3, other), CHAT_OK);
  ck_assert_mem_eq(id, other, 16);
  ch_conversation_id_direct(ch_bytes_text("ann"), ch_bytes_text("bob"), other);
  ck_assert_mem_eq(id, other, 16);
  ck_assert_int_eq(chat_direct_id("ann", 3, longest, CHAT_USER_ID_MAX, id), CHAT_OK);
  ck_assert_int_eq(chat_direct_id("ann", 3, longest, CHAT_USER_ID_MAX + 1, id), CHAT_E_INVALID);
  ck_assert_int_eq(chat_direct_id("", 0, "bob", 3, id), CHAT_E_INVALID);
  ck_assert_int_eq(chat_direct_id("a\n", 2, "bob", 3, id), CHAT_E_INVALID);
  ck_assert_int_eq(chat_direct_id("ann", 3, "\xff", 1, id), CHAT_E_INVALID);
  ck_assert_int_eq(chat_direct_id(NULL, 0, "bob", 3, id), CHAT_E_INVALID);
  ck_assert_int_eq(chat_direct_id("ann", 3, NULL, 0, id), CHAT_E_INVALID);
  ck_assert_int_eq(chat_direct_id("ann", 3, "bob", 3, NULL), CHAT_E_INVALID);
}
END_TEST

int main(void) {
  const test_row rows[] = {{the_version_is_that_of_the_header, 0}, {a_direct_id_needs_two_users, 0}};
  return RUN_TESTS("version", rows);
}
