/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes.h - a borrowed run of bytes, and what may be asked of it. Nothing here allocates or keeps a pointer. Any
 * thread.
 */
#ifndef CH_CORE_BYTES_H
#define CH_CORE_BYTES_H

#include <chat/chat.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lives as long as what it points into. data may be NULL when len is 0. */
typedef chat_bytes ch_bytes;

static inline ch_bytes ch_bytes_of(const void *data, size_t len) {
  return (ch_bytes){.data = data, .len = len};
}
/* The bytes of a NUL-terminated string, without the NUL; of NULL, none. */
ch_bytes ch_bytes_text(const char *text);

bool ch_bytes_equal(ch_bytes a, ch_bytes b);
/* Negative, 0 or positive, as a sorts before, with or behind b: bytewise, a prefix before what it begins. */
int ch_bytes_compare(ch_bytes a, ch_bytes b);

/* Is it UTF-8 as of RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF? Empty text is. */
bool ch_utf8_valid(ch_bytes text);
/* Is it a user id: 1 to CHAT_USER_ID_MAX bytes of UTF-8 without U+0000..U+001F and U+007F? */
bool ch_user_id_valid(ch_bytes id);

/* Is an id of 16 bytes all zeros, which in the structs of wire.h means "none"? */
bool ch_id_is_zero(const uint8_t id[16]);

/* Writes 2 * bytes.len lower-case digits and a NUL to out. */
void ch_hex_encode(ch_bytes bytes, char *out);
/* Reads exactly 2 * out_len digits of either case. false, with out in part written, when text is anything else. */
bool ch_hex_decode(ch_bytes text, uint8_t *out, size_t out_len);

#endif
