/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of src/backend/directory_redis where hiredis was not found. */
#include "backend/directory_redis/directory_redis.h"

int ch_directory_redis_new(const ch_directory_redis_config *config, chat_backend *directory, ch_buf *why) {
  (void)config, (void)directory;
  ch_buf_put_text(why, "this build has no hiredis, ");
  return CHAT_E_UNSUPPORTED;
}
