/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/directory_redis/tls.h"

bool ch_redis_tls_is_there(void) {
  return false;
}

void *ch_redis_tls_begin(redisAsyncContext *redis, const char *host, bool *is_refused) {
  (void)redis, (void)host, (void)is_refused;
  return NULL;
}

bool ch_redis_tls_is_refused(const void *session) {
  (void)session;
  return false;
}
