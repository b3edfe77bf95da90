/* SPDX-License-Identifier: Apache-2.0 */
#include "core/conversation_id.h"

#include <sodium/crypto_hash_sha256.h>
#include <string.h>

#include "core/assert.h"

/* The name of the space, with its NUL: the 0x00 that ends it. */
static void begin(crypto_hash_sha256_state *hash, const char *space) {
  crypto_hash_sha256_init(hash);
  crypto_hash_sha256_update(hash, (const uint8_t *)space, strlen(space) + 1);
}

static void add_user(crypto_hash_sha256_state *hash, ch_bytes user_id) {
  ch_assert(user_id.len > 0 && user_id.len <= CHAT_USER_ID_MAX);
  uint8_t len = (uint8_t)user_id.len;
  crypto_hash_sha256_update(hash, &len, 1);
  crypto_hash_sha256_update(hash, user_id.data, user_id.len);
}

static void finish(crypto_hash_sha256_state *hash, uint8_t kind, uint8_t out[CHAT_CONVERSATION_ID_LEN]) {
  uint8_t digest[crypto_hash_sha256_BYTES];
  crypto_hash_sha256_final(hash, digest);
  out[0] = kind;
  memcpy(out + 1, digest, CHAT_CONVERSATION_ID_LEN - 1);
}

void ch_conversation_id_direct(ch_bytes a, ch_bytes b, uint8_t out[CHAT_CONVERSATION_ID_LEN]) {
  crypto_hash_sha256_state hash;
  bool a_first = ch_bytes_compare(a, b) < 0;
  begin(&hash, "chat.v1.direct");
  add_user(&hash, a_first ? a : b);
  add_user(&hash, a_first ? b : a);
  finish(&hash, CH_CONVERSATION_ID_DIRECT, out);
}

void ch_conversation_id_group(ch_bytes creator, const uint8_t client_id[CHAT_CLIENT_ID_LEN],
                              uint8_t out[CHAT_CONVERSATION_ID_LEN]) {
  crypto_hash_sha256_state hash;
  begin(&hash, "chat.v1.group");
  add_user(&hash, creator);
  crypto_hash_sha256_update(&hash, client_id, CHAT_CLIENT_ID_LEN);
  finish(&hash, CH_CONVERSATION_ID_GROUP, out);
}
