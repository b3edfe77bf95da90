/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/directory_redis/tls.h"

bool ch_redis_tls_is_there(void) {
  return false;
}

bool ch_redis_tls_begin(redisAsyncContext *redis, const char *host) {
  (void)redis, (void)host;
  return false;
}
