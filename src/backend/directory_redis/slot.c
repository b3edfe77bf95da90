/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/directory_redis/slot.h"

enum { POLYNOMIAL = 0x1021 }; /* CRC-16/XMODEM, from 0, not reflected */

static uint16_t crc_add(uint16_t crc, uint8_t byte) {
  crc = (uint16_t)(crc ^ byte << 8);
  for (int bit = 0; bit < 8; bit++)
    crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ POLYNOMIAL : crc << 1);
  return crc;
}

uint16_t ch_redis_slot_of(chat_bytes tag) {
  uint16_t crc = 0;
  for (size_t i = 0; i < tag.len; i++)
    crc = crc_add(crc, tag.data[i]);
  return crc % CH_REDIS_SLOTS;
}
