/* SPDX-License-Identifier: Apache-2.0 */
/* script.h - the atomic steps, in Lua. Each is for one user or channel, so its keys are in one slot; each may be done again. docs/decisions/0012 has keys and values. */
#ifndef CH_DIRECTORY_REDIS_SCRIPT_H
#define CH_DIRECTORY_REDIS_SCRIPT_H

typedef enum ch_redis_script {
  CH_REDIS_RENEW,      /* presence, conn, pos; device, session, gateway, route_ms, presence_ms, keep_ms, most routes -> {pos or nil, newest session} */
  CH_REDIS_DROP,       /* presence, conn; device, session, gateway */
  CH_REDIS_RAISE,      /* pos, conn; position or nothing, keep_ms -> {now, previous or nil, {device, route …}} */
  CH_REDIS_MARK,       /* pos; mark, keep_ms */
  CH_REDIS_FILL,       /* pos; mark, position, keep_ms */
  CH_REDIS_PRESENCE,   /* presence, pos -> {1 or 0, seen or nil} */
  CH_REDIS_SUBSCRIBE,  /* subs; gateway, life_ms */
  CH_REDIS_SUBSCRIBERS, /* subs -> {now, {gateway, deadline …}} */
  CH_REDIS_SCRIPT_COUNT
} ch_redis_script;

enum { CH_REDIS_SHA_LEN = 40 };

typedef struct ch_redis_scripts {
  char sha[CH_REDIS_SCRIPT_COUNT][CH_REDIS_SHA_LEN + 1];
} ch_redis_scripts;

const char *ch_redis_script_text(ch_redis_script script);
/* By what name EVALSHA calls each. CHAT_E_NOMEM: there is no SHA-1. */
int ch_redis_scripts_init(ch_redis_scripts *scripts);

#endif
