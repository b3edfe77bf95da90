/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/stamp.h"

#include <string.h>

static void put_hex(char *text, uint64_t value, size_t digits) {
  while (digits--) {
    text[digits] = "0123456789abcdef"[value & 15];
    value >>= 4;
  }
}

static bool get_hex(const char *text, size_t digits, uint64_t *value) {
  *value = 0;
  for (size_t i = 0; i < digits; i++) {
    char c = text[i];
    uint64_t digit = c >= '0' && c <= '9' ? (uint64_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint64_t)(c - 'a' + 10) : 16;
    if (digit > 15) return false;
    *value = *value << 4 | digit;
  }
  return true;
}

void stamp_write(const bench_stamp *stamp, char *text, size_t len) {
  put_hex(text, stamp->start_ns, 16);
  put_hex(text + 16, stamp->sender, 8);
  put_hex(text + 24, stamp->number, 8);
  memset(text + STAMP_LEN, '.', len - STAMP_LEN);
}

bool stamp_read(const char *text, size_t len, bench_stamp *stamp) {
  uint64_t sender, number;
  if (len < STAMP_LEN || !get_hex(text, 16, &stamp->start_ns) || !get_hex(text + 16, 8, &sender) || !get_hex(text + 24, 8, &number))
    return false;
  stamp->sender = (uint32_t)sender;
  stamp->number = (uint32_t)number;
  return true;
}
