/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "backend/directory_mem/directory.h"

/* ------------------------------------------------------------------------------------------------ gateways' names */

bool ch_gateway_name_valid(chat_bytes name) {
  return name.len > 0 && name.len <= CH_GATEWAY_NAME_MAX;
}

ch_gateway_name ch_gateway_name_of(chat_bytes name) {
  ch_gateway_name made = {.len = (uint8_t)name.len};
  memcpy(made.bytes, name.data, name.len);
  return made;
}

chat_bytes ch_gateway_name_bytes(const ch_gateway_name *name) {
  return (chat_bytes){name->bytes, name->len};
}

/* ------------------------------------------------------------------------------------------------ routes of a user */

static ch_directory_route *route_of(ch_list *node) {
  return CH_LIST_ITEM(node, ch_directory_route, of_user);
}

static ch_directory_route *find_route(ch_directory_user *user, const uint8_t device_id[CHAT_DEVICE_ID_LEN]) {
  CH_LIST_FOR_EACH(node, &user->routes) {
    if (memcmp(route_of(node)->device_id, device_id, CHAT_DEVICE_ID_LEN) == 0) return route_of(node);
  }
  return NULL;
}

static void unlink_route(ch_directory_mem *directory, ch_directory_route *route) {
  ch_timer_heap_clear(&directory->timers, &route->timer);
  ch_list_remove(&route->of_user);
  ch_free(directory->config.alloc, route);
}

void ch_directory_route_remove(ch_directory_mem *directory, ch_directory_route *route) {
  ch_directory_user *user = route->user;
  unlink_route(directory, route);
  if (ch_list_is_empty(&user->routes)) ch_directory_user_set_offline(directory, user);
}

static void keep_within_bound(ch_directory_mem *directory, ch_directory_user *user) {
  size_t count = 0;
  ch_directory_route *next_to_expire = NULL;
  CH_LIST_FOR_EACH(node, &user->routes) {
    count++;
    if (!next_to_expire || route_of(node)->timer.deadline_ms < next_to_expire->timer.deadline_ms) next_to_expire = route_of(node);
  }
  if (count >= CH_ROUTES_MAX) unlink_route(directory, next_to_expire);
}

static int make_route(ch_directory_mem *directory, ch_directory_user *user, const uint8_t device_id[CHAT_DEVICE_ID_LEN],
                      uint64_t deadline_ms, ch_directory_route **made) {
  ch_directory_route *route = ch_calloc(directory->config.alloc, 1, sizeof *route);
  if (!route) return CHAT_E_NOMEM;
  route->user = user;
  route->timer.kind = CH_TIMER_ROUTE;
  memcpy(route->device_id, device_id, CHAT_DEVICE_ID_LEN);
  int error = ch_timer_heap_set(&directory->timers, &route->timer, deadline_ms);
  if (error) {
    ch_free(directory->config.alloc, route);
    return error;
  }
  keep_within_bound(directory, user);
  ch_list_push_back(&user->routes, &route->of_user);
  *made = route;
  return 0;
}

/* ------------------------------------------------------------------------------------------------ RENEW, DROP */

static bool renewals_valid(chat_bytes gateway, const chat_renewal *renewals, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!ch_user_id_valid(renewals[i].user)) return false;
  }
  return ch_gateway_name_valid(gateway);
}

/* The device's newest session has the route; one that has expired is nobody's. */
static int renew_route(ch_directory_mem *directory, ch_directory_user *user, const chat_directory_renew *renew, chat_renewal *renewal,
                       uint64_t now_ms) {
  uint64_t deadline_ms = now_ms + renew->route_ms;
  ch_directory_route *route = find_route(user, renewal->device_id);
  int error = 0;
  if (route && route->timer.deadline_ms > now_ms && route->session > renewal->session) {
    renewal->newest_session = route->session;
    return 0;
  }
  if (route)
    error = ch_timer_heap_set(&directory->timers, &route->timer, deadline_ms);
  else
    error = make_route(directory, user, renewal->device_id, deadline_ms, &route);
  if (error) return error;
  route->gateway = ch_gateway_name_of(renew->gateway);
  route->session = renewal->newest_session = renewal->session;
  return 0;
}

static int renew_one(ch_directory_mem *directory, const chat_directory_renew *renew, chat_renewal *renewal, ch_directory_now now) {
  ch_directory_user *user;
  int error = ch_directory_user_hold(directory, renewal->user, &user);
  if (error) return error;
  renewal->epoch = directory->epoch;
  renewal->status = 0;
  error = renew_route(directory, user, renew, renewal, now.elapsed_ms);
  if (!error) error = ch_directory_user_set_online(directory, user, renew->presence_ms, now);
  renewal->pos = user->pos;
  ch_directory_user_settle(directory, user, now.elapsed_ms);
  return error;
}

bool ch_directory_do_renew(ch_directory_mem *directory, ch_directory_port *port, chat_op *op, ch_directory_now now, int *status) {
  (void)port;
  chat_directory_renew *renew = (chat_directory_renew *)op;
  *status = CHAT_E_INVALID;
  if (!renewals_valid(renew->gateway, renew->renewals, renew->count) || !renew->route_ms || !renew->presence_ms) return true;
  *status = 0;
  for (size_t i = 0; i < renew->count && !*status; i++)
    *status = renew_one(directory, renew, &renew->renewals[i], now);
  return true;
}

static void drop_one(ch_directory_mem *directory, chat_bytes gateway, const chat_renewal *renewal, uint64_t now_ms) {
  ch_directory_user *user = ch_directory_user_find(directory, renewal->user);
  ch_directory_route *route = user ? find_route(user, renewal->device_id) : NULL;
  if (!route || route->session != renewal->session || !ch_bytes_equal(ch_gateway_name_bytes(&route->gateway), gateway)) return;
  ch_directory_route_remove(directory, route);
  ch_directory_user_settle(directory, user, now_ms);
}

bool ch_directory_do_drop(ch_directory_mem *directory, ch_directory_port *port, chat_op *op, ch_directory_now now, int *status) {
  (void)port;
  chat_directory_drop *drop = (chat_directory_drop *)op;
  *status = renewals_valid(drop->gateway, drop->renewals, drop->count) ? 0 : CHAT_E_INVALID;
  for (size_t i = 0; i < drop->count && !*status; i++)
    drop_one(directory, drop->gateway, &drop->renewals[i], now.elapsed_ms);
  return true;
}

/* ------------------------------------------------------------------------------------------------ RAISE, ROUTES */

static size_t count_routes(const ch_directory_user *user) {
  size_t count = 0;
  CH_LIST_FOR_EACH(node, &user->routes)
  count++;
  return count;
}

static int out_routes(chat_op *op, ch_directory_user *user, uint64_t now_ms, chat_raise *out) {
  out->status = 0;
  out->previous = 0;
  out->route_count = 0;
  out->routes = NULL;
  size_t count = user ? count_routes(user) : 0;
  if (count == 0) return 0;
  out->routes = chat_op_alloc(op, count * sizeof *out->routes);
  if (!out->routes) return CHAT_E_NOMEM;
  CH_LIST_FOR_EACH(node, &user->routes) {
    const ch_directory_route *route = route_of(node);
    if (route->timer.deadline_ms <= now_ms) continue;
    chat_route *to = &out->routes[out->route_count++];
    memcpy(to->device_id, route->device_id, sizeof to->device_id);
    to->gateway = chat_op_copy(op, ch_gateway_name_bytes(&route->gateway));
    if (!to->gateway.data) return CHAT_E_NOMEM;
  }
  return 0;
}

static bool raises_valid(const chat_raise *raises, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!ch_user_id_valid(raises[i].user)) return false;
  }
  return true;
}

/* Everything that can fail, before anything is raised: an op that failed did not happen. The users are held. */
static int prepare_raises(ch_directory_mem *directory, chat_directory_raise *raise, uint64_t now_ms, ch_directory_user **users,
                          size_t *held) {
  for (size_t i = 0; i < raise->count; i++) {
    int error = ch_directory_user_hold(directory, raise->raises[i].user, &users[i]);
    if (error) return error;
    *held = i + 1;
    error = out_routes(&raise->op, users[i], now_ms, &raise->raises[i]);
    if (error) return error;
  }
  return 0;
}

static void raise_pos(ch_directory_user *user, uint64_t position, chat_raise *out) {
  out->previous = user->pos;
  user->mark = 0;
  if (user->pos < position) user->pos = position;
}

bool ch_directory_do_raise(ch_directory_mem *directory, ch_directory_port *port, chat_op *op, ch_directory_now now, int *status) {
  (void)port;
  chat_directory_raise *raise = (chat_directory_raise *)op;
  *status = CHAT_E_INVALID;
  if (raise->position == 0 || !raises_valid(raise->raises, raise->count)) return true;
  ch_directory_user **users = chat_op_alloc(op, (raise->count + 1) * sizeof(ch_directory_user *));
  *status = CHAT_E_NOMEM;
  if (!users) return true;
  size_t held = 0;
  *status = prepare_raises(directory, raise, now.elapsed_ms, users, &held);
  for (size_t i = 0; i < raise->count && !*status; i++)
    raise_pos(users[i], raise->position, &raise->raises[i]);
  for (size_t i = 0; i < held; i++)
    ch_directory_user_settle(directory, users[i], now.elapsed_ms);
  return true;
}

bool ch_directory_do_routes(ch_directory_mem *directory, ch_directory_port *port, chat_op *op, ch_directory_now now, int *status) {
  (void)port;
  chat_directory_routes *ask = (chat_directory_routes *)op;
  *status = raises_valid(ask->raises, ask->count) ? 0 : CHAT_E_INVALID;
  for (size_t i = 0; i < ask->count && !*status; i++)
    *status = out_routes(op, ch_directory_user_find(directory, ask->raises[i].user), now.elapsed_ms, &ask->raises[i]);
  return true;
}

/* ------------------------------------------------------------------------------------------------ MARK, FILL (rule V2) */

/* Where another marker stands the newer one replaces it: whoever set the older reads the heads in vain, once. */
bool ch_directory_do_mark(ch_directory_mem *directory, ch_directory_port *port, chat_op *op, ch_directory_now now, int *status) {
  (void)port;
  const chat_directory_mark *mark = (chat_directory_mark *)op;
  ch_directory_user *user;
  *status = CHAT_E_INVALID;
  if (mark->mark == 0 || !ch_user_id_valid(mark->user)) return true;
  *status = ch_directory_user_hold(directory, mark->user, &user);
  if (*status) return true;
  if (user->pos == 0) user->mark = mark->mark;
  ch_directory_user_settle(directory, user, now.elapsed_ms);
  return true;
}

bool ch_directory_do_fill(ch_directory_mem *directory, ch_directory_port *port, chat_op *op, ch_directory_now now, int *status) {
  (void)port;
  (void)now;
  const chat_directory_fill *fill = (chat_directory_fill *)op;
  *status = fill->mark != 0 && ch_user_id_valid(fill->user) ? 0 : CHAT_E_INVALID;
  ch_directory_user *user = *status ? NULL : ch_directory_user_find(directory, fill->user);
  if (!user || user->mark != fill->mark) return true;
  user->pos = fill->pos;
  user->mark = 0;
  return true;
}
