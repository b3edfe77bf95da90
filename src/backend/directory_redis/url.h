/* SPDX-License-Identifier: Apache-2.0 */
/* url.h - which servers, and how one comes in: redis://[[user]:password@]host[:port][,host[:port]…][/database] and its kin. Pure. */
#ifndef CH_DIRECTORY_REDIS_URL_H
#define CH_DIRECTORY_REDIS_URL_H

#include <stdbool.h>

#include "core/buf.h"

enum { CH_REDIS_HOST_MAX = 255, CH_REDIS_SECRET_MAX = 255, CH_REDIS_SEEDS_MAX = 128, CH_REDIS_PORT = 6379 };

typedef struct ch_redis_address {
  char host[CH_REDIS_HOST_MAX + 1]; /* a name or a numeric address, without brackets */
  uint16_t port;
} ch_redis_address;

typedef struct ch_redis_url {
  bool is_cluster, has_tls;
  char user[CH_REDIS_SECRET_MAX + 1], password[CH_REDIS_SECRET_MAX + 1]; /* empty: none */
  uint32_t database;
  size_t count; /* 1 and up */
  ch_redis_address addresses[CH_REDIS_SEEDS_MAX];
} ch_redis_url;

/* CHAT_E_INVALID, with a sentence that tells nothing secret. */
int ch_redis_url_parse(const char *text, ch_redis_url *url, ch_buf *why);

#endif
