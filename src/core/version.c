/* SPDX-License-Identifier: Apache-2.0 */
/* The small helpers of chat.h. */
#include <chat/chat.h>

#include "core/bytes.h"
#include "core/conversation_id.h"

uint32_t chat_version(void) {
  return CHAT_API_VERSION;
}

int chat_direct_id(const char *user_a, size_t a_len, const char *user_b, size_t b_len, uint8_t id[16]) {
  if (!user_a || !user_b || !id) return CHAT_E_INVALID;
  chat_bytes a = ch_bytes_of(user_a, a_len), b = ch_bytes_of(user_b, b_len);
  if (!ch_user_id_valid(a) || !ch_user_id_valid(b)) return CHAT_E_INVALID;
  ch_conversation_id_direct(a, b, id);
  return CHAT_OK;
}
