/* SPDX-License-Identifier: Apache-2.0 */
#include "core/bytes.h"

#include <chat/chat.h>
#include <string.h>

ch_bytes ch_bytes_text(const char *text) {
  return ch_bytes_of(text, text ? strlen(text) : 0);
}

bool ch_bytes_equal(ch_bytes a, ch_bytes b) {
  return a.len == b.len && ch_bytes_compare(a, b) == 0;
}

int ch_bytes_compare(ch_bytes a, ch_bytes b) {
  size_t common = a.len < b.len ? a.len : b.len;
  int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
  if (order != 0) return order;
  return (a.len > b.len) - (a.len < b.len);
}

/* One row of RFC 3629, section 4: a range of first bytes, the range of the second byte, and the length of the
 * sequence. What makes a form overlong, a surrogate or too high shows in the second byte alone. */
typedef struct utf8_row {
  uint8_t first_min, first_max, second_min, second_max, len;
} utf8_row;

static const utf8_row utf8_rows[] = {
    {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3},
    {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
};

static const utf8_row *utf8_row_of(uint8_t first) {
  for (size_t i = 0; i < sizeof utf8_rows / sizeof *utf8_rows; i++) {
    if (first >= utf8_rows[i].first_min && first <= utf8_rows[i].first_max) return &utf8_rows[i];
  }
  return NULL;
}

/* Length of the valid sequence at the head of left bytes, 0 if there is none. */
static size_t utf8_sequence(const uint8_t *bytes, size_t left) {
  if (bytes[0] < 0x80) return 1;
  const utf8_row *row = utf8_row_of(bytes[0]);
  if (!row || row->len > left || bytes[1] < row->second_min || bytes[1] > row->second_max) return 0;
  for (size_t i = 2; i < row->len; i++) {
    if ((bytes[i] & 0xC0) != 0x80) return 0;
  }
  return row->len;
}

bool ch_utf8_valid(ch_bytes text) {
  size_t at = 0;
  while (at < text.len) {
    size_t len = utf8_sequence(text.data + at, text.len - at);
    if (len == 0) return false;
    at += len;
  }
  return true;
}

bool ch_user_id_valid(ch_bytes id) {
  if (id.len == 0 || id.len > CHAT_USER_ID_MAX) return false;
  for (size_t i = 0; i < id.len; i++) {
    if (id.data[i] < 0x20 || id.data[i] == 0x7F) return false;
  }
  return ch_utf8_valid(id);
}

bool ch_id_is_zero(const uint8_t id[16]) {
  static const uint8_t zeros[16];
  return memcmp(id, zeros, sizeof zeros) == 0;
}

void ch_hex_encode(ch_bytes bytes, char *out) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < bytes.len; i++) {
    out[2 * i] = digits[bytes.data[i] >> 4];
    out[2 * i + 1] = digits[bytes.data[i] & 15];
  }
  out[2 * bytes.len] = '\0';
}

static int hex_digit(uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  uint8_t lower = byte | 0x20;
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool ch_hex_decode(ch_bytes text, uint8_t *out, size_t out_len) {
  if (text.len % 2 != 0 || text.len / 2 != out_len) return false;
  for (size_t i = 0; i < out_len; i++) {
    int high = hex_digit(text.data[2 * i]);
    int low = hex_digit(text.data[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = (uint8_t)(high << 4 | low);
  }
  return true;
}
