/* SPDX-License-Identifier: Apache-2.0 */
/* reply.h - what a server said, looked at before it is believed; and what it is asked with. */
#ifndef CH_DIRECTORY_REDIS_REPLY_H
#define CH_DIRECTORY_REDIS_REPLY_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/bytes.h"

enum { CH_REDIS_GATEWAY_MAX = 64 };

static inline bool ch_redis_is_array(const redisReply *reply, size_t count) {
  return reply->type == REDIS_REPLY_ARRAY && reply->elements == count;
}

static inline bool ch_redis_is_text(const redisReply *reply) {
  return reply->type == REDIS_REPLY_STRING;
}

static inline chat_bytes ch_redis_text(const redisReply *reply) {
  return ch_bytes_of(reply->str, (size_t)reply->len);
}

/* Of decimal text; 0: none. */
static inline uint64_t ch_redis_number(const redisReply *reply) {
  return ch_redis_is_text(reply) ? strtoull(reply->str, NULL, 10) : 0;
}

static inline bool ch_redis_gateway_valid(chat_bytes name) {
  return name.len > 0 && name.len <= CH_REDIS_GATEWAY_MAX;
}

#endif
