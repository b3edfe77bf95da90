/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "backend/directory_redis/directory.h"
#include "backend/directory_redis/reply.h"

enum { KEEP_MS = 2 * 24 * 60 * 60 * 1000, ROUTES_MAX = 64 };

static const char *const of_renew[] = {"presence", "conn", "pos", NULL}, *const of_drop[] = {"presence", "conn", NULL}, *const of_raise[] = {"pos", "conn", NULL},
                  *const of_pos[] = {"pos", NULL};

static void init(ch_redis_command *command, ch_redis_script script, chat_bytes user, const char *const *prefixes) {
  ch_redis_tag tag = ch_redis_tag_of_user(user);
  ch_redis_command_init(command, script, &tag, prefixes);
}

static int take_nothing(chat_op *op, size_t item, const redisReply *reply) {
  (void)op, (void)item, (void)reply;
  return 0;
}

static size_t count_one(const chat_op *op) {
  (void)op;
  return 1;
}

/* ------------------------------------------------------------------------------------------------ RENEW, DROP */

static bool renewals_valid(chat_bytes gateway, const chat_renewal *renewals, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!ch_user_id_valid(renewals[i].user)) return false;
  return ch_redis_gateway_valid(gateway);
}

static bool renew_valid(const chat_op *op) {
  const chat_directory_renew *renew = (const chat_directory_renew *)(const void *)op;
  return renewals_valid(renew->gateway, renew->renewals, renew->count) && renew->route_ms && renew->presence_ms;
}

static size_t renew_count(const chat_op *op) {
  return ((const chat_directory_renew *)(const void *)op)->count;
}

static void renew_build(const chat_op *op, size_t item, ch_redis_command *command) {
  const chat_directory_renew *renew = (const chat_directory_renew *)(const void *)op;
  const chat_renewal *renewal = &renew->renewals[item];
  init(command, CH_REDIS_RENEW, renewal->user, of_renew);
  ch_redis_command_device(command, renewal->device_id);
  ch_redis_command_number(command, renewal->session);
  ch_redis_command_bytes(command, renew->gateway);
  ch_redis_command_number(command, renew->route_ms);
  ch_redis_command_number(command, renew->presence_ms);
  ch_redis_command_number(command, KEEP_MS);
  ch_redis_command_number(command, ROUTES_MAX);
}

static int renew_take(chat_op *op, size_t item, const redisReply *reply) {
  chat_renewal *renewal = &((chat_directory_renew *)(void *)op)->renewals[item];
  if (!ch_redis_is_array(reply, 2)) return CHAT_E_CORRUPT;
  renewal->pos = ch_redis_number(reply->element[0]);
  renewal->newest_session = ch_redis_number(reply->element[1]);
  return 0;
}

static void renew_fate(chat_op *op, size_t item, int status, uint64_t epoch) {
  chat_renewal *renewal = &((chat_directory_renew *)(void *)op)->renewals[item];
  renewal->status = status;
  renewal->epoch = epoch;
}

static bool drop_valid(const chat_op *op) {
  const chat_directory_drop *drop = (const chat_directory_drop *)(const void *)op;
  return renewals_valid(drop->gateway, drop->renewals, drop->count);
}

static size_t drop_count(const chat_op *op) {
  return ((const chat_directory_drop *)(const void *)op)->count;
}

static void drop_build(const chat_op *op, size_t item, ch_redis_command *command) {
  const chat_directory_drop *drop = (const chat_directory_drop *)(const void *)op;
  const chat_renewal *renewal = &drop->renewals[item];
  init(command, CH_REDIS_DROP, renewal->user, of_drop);
  ch_redis_command_device(command, renewal->device_id);
  ch_redis_command_number(command, renewal->session);
  ch_redis_command_bytes(command, drop->gateway);
}

const ch_redis_kind ch_redis_renew = {renew_valid, renew_count, renew_build, renew_take, renew_fate, true};
const ch_redis_kind ch_redis_drop = {drop_valid, drop_count, drop_build, take_nothing, NULL, false};

/* ------------------------------------------------------------------------------------------------ RAISE, ROUTES */

static bool raises_valid(const chat_raise *raises, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!ch_user_id_valid(raises[i].user)) return false;
  return true;
}

/* "session deadline gateway" of a device. false: it has expired, or is none. */
static bool read_route(const redisReply *device, const redisReply *value, uint64_t now_ms, chat_route *route, chat_bytes *gateway) {
  char *end;
  if (!ch_redis_is_text(device) || !ch_redis_is_text(value)) return false;
  if (!ch_hex_decode(ch_redis_text(device), route->device_id, sizeof route->device_id)) return false;
  strtoull(value->str, &end, 10);
  uint64_t deadline_ms = strtoull(end, &end, 10);
  if (*end != ' ' || deadline_ms <= now_ms) return false;
  *gateway = ch_bytes_of(end + 1, (size_t)(value->str + value->len - (end + 1)));
  return true;
}

/* {now, previous or nil, {device, route …}} */
static int take_routes(chat_op *op, chat_raise *raise, const redisReply *reply) {
  if (!ch_redis_is_array(reply, 3) || reply->element[2]->type != REDIS_REPLY_ARRAY) return CHAT_E_CORRUPT;
  const redisReply *flat = reply->element[2];
  uint64_t now_ms = ch_redis_number(reply->element[0]);
  raise->previous = ch_redis_number(reply->element[1]);
  raise->route_count = 0;
  raise->routes = chat_op_alloc(op, (flat->elements / 2 + 1) * sizeof *raise->routes);
  if (!raise->routes) return CHAT_E_NOMEM;
  for (size_t i = 0; i + 1 < flat->elements; i += 2) {
    chat_route *route = &raise->routes[raise->route_count];
    chat_bytes gateway;
    if (!read_route(flat->element[i], flat->element[i + 1], now_ms, route, &gateway)) continue;
    route->gateway = chat_op_copy(op, gateway);
    if (!route->gateway.data) return CHAT_E_NOMEM;
    raise->route_count++;
  }
  return 0;
}

/* Nothing is known of whoever was not raised. */
static void note_fate(chat_raise *raise, int status) {
  raise->status = status;
  if (!status) return;
  raise->previous = 0;
  raise->route_count = 0;
}

static bool raise_valid(const chat_op *op) {
  const chat_directory_raise *raise = (const chat_directory_raise *)(const void *)op;
  return raise->position != 0 && raises_valid(raise->raises, raise->count);
}

static size_t raise_count(const chat_op *op) {
  return ((const chat_directory_raise *)(const void *)op)->count;
}

static void raise_build(const chat_op *op, size_t item, ch_redis_command *command) {
  const chat_directory_raise *raise = (const chat_directory_raise *)(const void *)op;
  init(command, CH_REDIS_RAISE, raise->raises[item].user, of_raise);
  ch_redis_command_number(command, raise->position);
  ch_redis_command_number(command, KEEP_MS);
}

static int raise_take(chat_op *op, size_t item, const redisReply *reply) {
  return take_routes(op, &((chat_directory_raise *)(void *)op)->raises[item], reply);
}

static void raise_fate(chat_op *op, size_t item, int status, uint64_t epoch) {
  (void)epoch;
  note_fate(&((chat_directory_raise *)(void *)op)->raises[item], status);
}

static bool routes_valid(const chat_op *op) {
  const chat_directory_routes *ask = (const chat_directory_routes *)(const void *)op;
  return raises_valid(ask->raises, ask->count);
}

static size_t routes_count(const chat_op *op) {
  return ((const chat_directory_routes *)(const void *)op)->count;
}

static void routes_build(const chat_op *op, size_t item, ch_redis_command *command) {
  init(command, CH_REDIS_RAISE, ((const chat_directory_routes *)(const void *)op)->raises[item].user, of_raise);
  ch_redis_command_bytes(command, (chat_bytes){NULL, 0});
}

static int routes_take(chat_op *op, size_t item, const redisReply *reply) {
  return take_routes(op, &((chat_directory_routes *)(void *)op)->raises[item], reply);
}

static void routes_fate(chat_op *op, size_t item, int status, uint64_t epoch) {
  (void)epoch;
  note_fate(&((chat_directory_routes *)(void *)op)->raises[item], status);
}

const ch_redis_kind ch_redis_raise = {raise_valid, raise_count, raise_build, raise_take, raise_fate, true};
const ch_redis_kind ch_redis_routes = {routes_valid, routes_count, routes_build, routes_take, routes_fate, true};

/* ------------------------------------------------------------------------------------------------ MARK, FILL */

static bool mark_valid(const chat_op *op) {
  const chat_directory_mark *mark = (const chat_directory_mark *)(const void *)op;
  return mark->mark != 0 && ch_user_id_valid(mark->user);
}

static void mark_build(const chat_op *op, size_t item, ch_redis_command *command) {
  (void)item;
  const chat_directory_mark *mark = (const chat_directory_mark *)(const void *)op;
  init(command, CH_REDIS_MARK, mark->user, of_pos);
  ch_redis_command_number(command, mark->mark);
  ch_redis_command_number(command, KEEP_MS);
}

static bool fill_valid(const chat_op *op) {
  const chat_directory_fill *fill = (const chat_directory_fill *)(const void *)op;
  return fill->mark != 0 && ch_user_id_valid(fill->user);
}

static void fill_build(const chat_op *op, size_t item, ch_redis_command *command) {
  (void)item;
  const chat_directory_fill *fill = (const chat_directory_fill *)(const void *)op;
  init(command, CH_REDIS_FILL, fill->user, of_pos);
  ch_redis_command_number(command, fill->mark);
  ch_redis_command_number(command, fill->pos);
  ch_redis_command_number(command, KEEP_MS);
}

const ch_redis_kind ch_redis_mark = {mark_valid, count_one, mark_build, take_nothing, NULL, false};
const ch_redis_kind ch_redis_fill = {fill_valid, count_one, fill_build, take_nothing, NULL, false};
