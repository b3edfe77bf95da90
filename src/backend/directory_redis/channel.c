/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/directory_redis/directory.h"
#include "backend/directory_redis/reply.h"

static const char *const of_channel[] = {"subs", NULL};

static void init(ch_redis_command *command, ch_redis_script script, const uint8_t id[16]) {
  ch_redis_tag tag = ch_redis_tag_of_id(id);
  ch_redis_command_init(command, script, &tag, of_channel);
}

static bool subscribe_valid(const chat_op *op) {
  return ch_redis_gateway_valid(((const chat_directory_subscribe *)(const void *)op)->gateway);
}

static size_t subscribe_count(const chat_op *op) {
  return ((const chat_directory_subscribe *)(const void *)op)->count;
}

static void subscribe_build(const chat_op *op, size_t item, ch_redis_command *command) {
  const chat_directory_subscribe *ask = (const chat_directory_subscribe *)(const void *)op;
  init(command, CH_REDIS_SUBSCRIBE, ask->channels[item]);
  ch_redis_command_bytes(command, ask->gateway);
  ch_redis_command_number(command, ask->life_ms);
}

static int subscribe_take(chat_op *op, size_t item, const redisReply *reply) {
  (void)op, (void)item, (void)reply;
  return 0;
}

static bool subscribers_valid(const chat_op *op) {
  (void)op;
  return true;
}

static size_t subscribers_count(const chat_op *op) {
  (void)op;
  return 1;
}

static void subscribers_build(const chat_op *op, size_t item, ch_redis_command *command) {
  (void)item;
  init(command, CH_REDIS_SUBSCRIBERS, ((const chat_directory_subscribers *)(const void *)op)->conversation_id);
}

/* {now, {gateway, deadline …}} */
static int subscribers_take(chat_op *op, size_t item, const redisReply *reply) {
  (void)item;
  chat_directory_subscribers *ask = (chat_directory_subscribers *)(void *)op;
  if (!ch_redis_is_array(reply, 2) || reply->element[1]->type != REDIS_REPLY_ARRAY) return CHAT_E_CORRUPT;
  const redisReply *flat = reply->element[1];
  uint64_t now_ms = ch_redis_number(reply->element[0]);
  ask->count = 0;
  ask->gateways = chat_op_alloc(op, (flat->elements / 2 + 1) * sizeof *ask->gateways);
  if (!ask->gateways) return CHAT_E_NOMEM;
  for (size_t i = 0; i + 1 < flat->elements; i += 2) {
    if (!ch_redis_is_text(flat->element[i]) || ch_redis_number(flat->element[i + 1]) <= now_ms) continue;
    chat_bytes gateway = chat_op_copy(op, ch_redis_text(flat->element[i]));
    if (!gateway.data) return CHAT_E_NOMEM;
    ask->gateways[ask->count++] = gateway;
  }
  return 0;
}

const ch_redis_kind ch_redis_subscribe = {subscribe_valid, subscribe_count, subscribe_build, subscribe_take, NULL, false};
const ch_redis_kind ch_redis_subscribers = {subscribers_valid, subscribers_count, subscribers_build, subscribers_take, NULL, false};
