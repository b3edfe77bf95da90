/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h - users whose presence is followed. One watched user is subscribed to once, however many ports follow. */
#ifndef CH_DIRECTORY_REDIS_WATCH_H
#define CH_DIRECTORY_REDIS_WATCH_H

#include "backend/directory_redis/directory.h"

enum { CH_REDIS_NOT_KNOWN = 2 }; /* chat_presence.online of a look that was not answered */

typedef struct ch_redis_watched {
  ch_list of_looks;
  uint64_t looked_ms;
  ch_list watchings;   /* ch_redis_watching.of_user; none: forgotten when it is looked at next */
  ch_list confirming;  /* ch_redis_step.of_conn: WATCHes that wait for the subscription */
  ch_redis_node *node; /* whose connection for changes has its subscription, or will */
  uint32_t messages;   /* that came so far: a look that was asked before one of them is older than it */
  bool is_known, online;
  uint64_t seen_ms;
  size_t id_len;
  uint8_t id[CHAT_USER_ID_MAX];
  uint16_t slot;
  size_t key_len;
  char key[CH_REDIS_KEY_MAX]; /* also the name of its channel */
} ch_redis_watched;

typedef struct ch_redis_watching {
  ch_list of_user, changed;
  ch_redis_watched *user;
  ch_redis_port *port;
} ch_redis_watching;

#endif
