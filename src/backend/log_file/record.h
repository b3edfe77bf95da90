/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - bytes of the log's files (docs/decisions/0003): header of a segment and its records, little endian.
 *
 * header, 64 bytes:  magic 8 · format u32 · epoch u32 · identity 16 · first number u64 · zeros · crc u32 of all before it
 * record:            crc u32 · len u32 · number u64 · time_ms u64 · back u32 · flags u32 · payload · zeros to a multiple of 8
 *
 * A record's number is the lower 48 bits of its position: dense, from 1, also across epochs. Its crc covers all behind itself but the padding and is seeded with identity and epoch,
 * so blocks of another log never pass. Number 0 is the end of what was written.
 */
#ifndef CH_LOG_FILE_RECORD_H
#define CH_LOG_FILE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"

enum { CH_LOGFILE_HEADER_LEN = 64, CH_LOGFILE_RECORD_LEN = 32, CH_LOGFILE_DATA_MAX = 256 * 1024, CH_LOGFILE_FORMAT = 1 };

typedef struct ch_logfile_header {
  uint8_t identity[16];
  uint32_t epoch;
  uint64_t first; /* number of the first record */
} ch_logfile_header;

void ch_logfile_header_encode(const ch_logfile_header *header, uint8_t out[CH_LOGFILE_HEADER_LEN]);
/* 0, CHAT_E_CORRUPT, CHAT_E_VERSION. */
int ch_logfile_header_decode(const uint8_t in[CH_LOGFILE_HEADER_LEN], ch_logfile_header *header);
/* Seed of the records' checksums. */
uint32_t ch_logfile_seed(const ch_logfile_header *header);

typedef struct ch_logfile_record {
  uint64_t number, time_ms;
  uint32_t back; /* records since the first of the same commit */
  chat_bytes data;
} ch_logfile_record;

/* Bytes that a record takes in a segment. */
size_t ch_logfile_record_len(size_t data_len);
void ch_logfile_record_encode(const ch_logfile_record *record, uint32_t seed, uint8_t *out);
/* 1: a record, borrowed from `in`; 0: the end (number 0), or no room for a record; CHAT_E_CORRUPT: neither. */
int ch_logfile_record_decode(const uint8_t *in, size_t len, uint32_t seed, ch_logfile_record *record);

#endif
