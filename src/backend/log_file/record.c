/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/log_file/record.h"

#include <string.h>

#include "backend/log_file/crc32c.h"

static const uint8_t magic[8] = {'c', 'h', 'l', 'o', 'g', 0, 0, 1};

/* ------------------------------------------------------------------------------------------------ numbers */

static void save_u32(uint8_t *to, uint32_t value) {
  for (int i = 0; i < 4; i++)
    to[i] = (uint8_t)(value >> (8 * i));
}

static void save_u64(uint8_t *to, uint64_t value) {
  for (int i = 0; i < 8; i++)
    to[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t load_u32(const uint8_t *from) {
  return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static uint64_t load_u64(const uint8_t *from) {
  return (uint64_t)load_u32(from) | (uint64_t)load_u32(from + 4) << 32;
}

/* ------------------------------------------------------------------------------------------------ header */

enum { HEADER_FORMAT = 8, HEADER_EPOCH = 12, HEADER_IDENTITY = 16, HEADER_FIRST = 32, HEADER_CRC = 60 };

void ch_logfile_header_encode(const ch_logfile_header *header, uint8_t out[CH_LOGFILE_HEADER_LEN]) {
  memset(out, 0, CH_LOGFILE_HEADER_LEN);
  memcpy(out, magic, sizeof magic);
  save_u32(out + HEADER_FORMAT, CH_LOGFILE_FORMAT);
  save_u32(out + HEADER_EPOCH, header->epoch);
  memcpy(out + HEADER_IDENTITY, header->identity, 16);
  save_u64(out + HEADER_FIRST, header->first);
  save_u32(out + HEADER_CRC, ch_crc32c(0, out, HEADER_CRC));
}

int ch_logfile_header_decode(const uint8_t in[CH_LOGFILE_HEADER_LEN], ch_logfile_header *header) {
  if (memcmp(in, magic, sizeof magic) != 0 || load_u32(in + HEADER_CRC) != ch_crc32c(0, in, HEADER_CRC)) return CHAT_E_CORRUPT;
  if (load_u32(in + HEADER_FORMAT) != CH_LOGFILE_FORMAT) return CHAT_E_VERSION;
  header->epoch = load_u32(in + HEADER_EPOCH);
  memcpy(header->identity, in + HEADER_IDENTITY, 16);
  header->first = load_u64(in + HEADER_FIRST);
  return header->first > 0 && header->epoch <= 16383 ? 0 : CHAT_E_CORRUPT;
}

uint32_t ch_logfile_seed(const ch_logfile_header *header) {
  uint8_t epoch[4];
  save_u32(epoch, header->epoch);
  return ch_crc32c(ch_crc32c(0, header->identity, 16), epoch, 4);
}

/* ------------------------------------------------------------------------------------------------ record */

enum { RECORD_CRC = 0, RECORD_DATA_LEN = 4, RECORD_NUMBER = 8, RECORD_TIME = 16, RECORD_BACK = 24, RECORD_FLAGS = 28 };

size_t ch_logfile_record_len(size_t data_len) {
  return CH_LOGFILE_RECORD_LEN + (data_len + 7) / 8 * 8;
}

void ch_logfile_record_encode(const ch_logfile_record *record, uint32_t seed, uint8_t *out) {
  size_t len = record->data.len;
  memset(out, 0, CH_LOGFILE_RECORD_LEN);
  save_u32(out + RECORD_DATA_LEN, (uint32_t)len);
  save_u64(out + RECORD_NUMBER, record->number);
  save_u64(out + RECORD_TIME, record->time_ms);
  save_u32(out + RECORD_BACK, record->back);
  if (len > 0) memcpy(out + CH_LOGFILE_RECORD_LEN, record->data.data, len);
  memset(out + CH_LOGFILE_RECORD_LEN + len, 0, ch_logfile_record_len(len) - CH_LOGFILE_RECORD_LEN - len);
  save_u32(out + RECORD_CRC, ch_crc32c(seed, out + RECORD_DATA_LEN, CH_LOGFILE_RECORD_LEN - RECORD_DATA_LEN + len));
}

int ch_logfile_record_decode(const uint8_t *in, size_t len, uint32_t seed, ch_logfile_record *record) {
  static const uint8_t zeros[CH_LOGFILE_RECORD_LEN];
  if (len < CH_LOGFILE_RECORD_LEN || memcmp(in, zeros, sizeof zeros) == 0) return 0;
  size_t data_len = load_u32(in + RECORD_DATA_LEN);
  if (data_len > CH_LOGFILE_DATA_MAX || ch_logfile_record_len(data_len) > len) return CHAT_E_CORRUPT;
  if (load_u32(in + RECORD_CRC) != ch_crc32c(seed, in + RECORD_DATA_LEN, CH_LOGFILE_RECORD_LEN - RECORD_DATA_LEN + data_len)) return CHAT_E_CORRUPT;
  *record = (ch_logfile_record){
      .number = load_u64(in + RECORD_NUMBER),
      .time_ms = load_u64(in + RECORD_TIME),
      .back = load_u32(in + RECORD_BACK),
      .data = ch_bytes_of(in + CH_LOGFILE_RECORD_LEN, data_len),
  };
  return record->number > 0 ? 1 : CHAT_E_CORRUPT;
}
