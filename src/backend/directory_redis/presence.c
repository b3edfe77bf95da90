/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/directory_redis/directory.h"
#include "backend/directory_redis/reply.h"
#include "backend/directory_redis/watch.h"

static const char *const of_user[] = {"presence", "pos", NULL};

static bool is_valid(const chat_op *op) {
  const chat_directory_presence *ask = (const chat_directory_presence *)(const void *)op;
  for (size_t i = 0; i < ask->count; i++)
    if (!ch_user_id_valid(ask->users[i].user)) return false;
  return true;
}

static size_t count(const chat_op *op) {
  return ((const chat_directory_presence *)(const void *)op)->count;
}

static void build(const chat_op *op, size_t item, ch_redis_command *command) {
  ch_redis_tag tag = ch_redis_tag_of_user(((const chat_directory_presence *)(const void *)op)->users[item].user);
  ch_redis_command_init(command, CH_REDIS_PRESENCE, &tag, of_user);
}

/* {1 or 0, seen or nil} */
static int take(chat_op *op, size_t item, const redisReply *reply) {
  chat_presence *user = &((chat_directory_presence *)(void *)op)->users[item];
  if (!ch_redis_is_array(reply, 2) || reply->element[0]->type != REDIS_REPLY_INTEGER) return CHAT_E_CORRUPT;
  user->online = reply->element[0]->integer != 0;
  user->seen_ms = ch_redis_number(reply->element[1]);
  return 0;
}

/* P7: of whom nothing is known, he is not known to be online. */
static void fate(chat_op *op, size_t item, int status, uint64_t epoch) {
  (void)epoch;
  if (status) ((chat_directory_presence *)(void *)op)->users[item] = (chat_presence){.user = ((chat_directory_presence *)(void *)op)->users[item].user};
}

static void look_fate(chat_op *op, size_t item, int status, uint64_t epoch) {
  (void)epoch;
  if (status) ((chat_directory_presence *)(void *)op)->users[item].online = CH_REDIS_NOT_KNOWN;
}

const ch_redis_kind ch_redis_presence = {is_valid, count, build, take, fate, false};
const ch_redis_kind ch_redis_look = {is_valid, count, build, take, look_fate, false};
