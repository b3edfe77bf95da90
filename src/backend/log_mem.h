/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_mem.h - the log in memory: the reference of its kind, the simulator's log, and where the store derives heads the topic "deliveries" of the embedded default.
 *
 * Not durable beyond the process. Bounded: what is consumed is cut; where a partition holds bytes_max of records that nobody consumed, "messages" answers CHAT_E_AGAIN
 * and "deliveries" drops its oldest records (hints; their reader gets CHAT_E_GONE).
 */
#ifndef CH_BACKEND_LOG_MEM_H
#define CH_BACKEND_LOG_MEM_H

#include <chat/backend.h>

typedef struct ch_log_mem_config {
  const chat_allocator *alloc;
  chat_clock clock; /* wall_ms: append times */
  uint32_t partitions[CHAT_TOPIC_COUNT]; /* 1 to 1,024 */
  uint16_t epoch;   /* 0 to 16,383 */
  size_t bytes_max; /* a partition */
  uint8_t identity[16];
} ch_log_mem_config;

/* 0, CHAT_E_INVALID, CHAT_E_NOMEM. */
int ch_log_mem_new(const ch_log_mem_config *config, chat_backend *log);

#endif
