/* SPDX-License-Identifier: Apache-2.0 */
/* Routes and heartbeats: where a device is reached, and what the directory knows of its user's position (V2, V6). */
#include <string.h>

#include "core/rule.h"
#include "server/role/gateway_parts.h"

enum { RENEWALS_MAX = 1024, COLLECT_MS = 20, RESYNC_MS = 30000, LEAVING_MAX = 256 * 1024 };

typedef struct renewed {
  uint64_t connection;
  uint64_t tag; /* of the heartbeat; 0: nobody asked */
} renewed;

typedef struct renew_call {
  ch_call call;
  renewed *who;
} renew_call;

void ch_routes_init(ch_gateway *gateway) {
  ch_list_init(&gateway->routes.waiting);
  gateway->routes.timer.kind = CH_TIMER_ROUTES;
  ch_buf_init(&gateway->routes.leaving, gateway->env.alloc, LEAVING_MAX);
}

void ch_routes_fini(ch_gateway *gateway) {
  ch_timer_heap_clear(&gateway->timers, &gateway->routes.timer);
  ch_buf_fini(&gateway->routes.leaving);
}

/* ------------------------------------------------------------------------------------------------ what is to be renewed */

static void wait_for_renewal(ch_gateway *gateway, ch_conn *conn) {
  if (!ch_list_is_empty(&conn->renewing)) return;
  ch_list_push_back(&gateway->routes.waiting, &conn->renewing);
  gateway->routes.waiting_count++;
}

void ch_routes_login(ch_gateway *gateway, ch_conn *conn) {
  conn->login = true;
  wait_for_renewal(gateway, conn);
  gateway->routes.urgent = true;
}

static void collect(ch_gateway *gateway, ch_conn *conn, ch_now now) {
  wait_for_renewal(gateway, conn);
  conn->renewed_ms = now.elapsed_ms;
  /* Without memory for the timer the next pull takes them at once. */
  if (ch_timer_heap_set_earlier(&gateway->timers, &gateway->routes.timer, now.elapsed_ms + COLLECT_MS)) gateway->routes.urgent = true;
}

/* One renewal answers one heartbeat; where one waits already that nobody asked for, it is this one's. */
void ch_heartbeat_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  if (!ch_list_is_empty(&conn->renewing) && conn->heartbeat_tag) {
    ch_conn_error(gateway, conn, message->tag, CHAT_E_AGAIN, COLLECT_MS, now);
    ch_conn_refused(gateway, conn, now);
    return;
  }
  conn->heartbeat_tag = message->tag;
  collect(gateway, conn, now);
}

void ch_routes_heard(ch_gateway *gateway, ch_conn *conn, ch_now now) {
  if (conn->welcomed && now.elapsed_ms - conn->renewed_ms >= gateway->config.times.heartbeat_ms) collect(gateway, conn, now);
}

void ch_routes_timer(ch_gateway *gateway, ch_timer *timer, ch_now now) {
  (void)timer;
  (void)now;
  gateway->routes.urgent = true;
}

/* ------------------------------------------------------------------------------------------------ renewed */

static void put_pos(ch_gateway *gateway, ch_conn *conn, uint64_t tag, uint64_t pos, ch_now now) {
  ch_server_message message = {.tag = tag, .op = CH_HEARTBEAT_REPLY};
  message.u.pos = pos;
  ch_conn_put(gateway, conn, &message, now);
}

void ch_conn_make_sync(ch_conn *conn, ch_now now) {
  conn->resync_ms = now.elapsed_ms ? now.elapsed_ms : 1; /* 0: no */
}

/* V6: another epoch makes the session sync, and once more 30 s later. */
static uint64_t pos_to_say(ch_conn *conn, uint64_t pos, uint64_t epoch, ch_now now) {
  if (epoch != conn->epoch && CH_RULE(V6)) {
    conn->epoch = epoch;
    conn->resync_ms = now.elapsed_ms + RESYNC_MS;
    return 0;
  }
  if (conn->resync_ms && now.elapsed_ms >= conn->resync_ms) {
    conn->resync_ms = 0;
    return 0;
  }
  return pos;
}

static void log_in(ch_gateway *gateway, ch_conn *conn, uint64_t tag, uint64_t epoch, ch_now now) {
  conn->login = false;
  conn->epoch = epoch;
  conn->renewed_ms = now.elapsed_ms;
  if (conn->session.state == CH_SESSION_AUTH) ch_login_routed(gateway, conn, tag, now);
}

static void was_renewed(ch_gateway *gateway, ch_conn *conn, uint64_t tag, const chat_renewal *renewal, ch_now now) {
  if (renewal->newest_session > conn->device_session) {
    ch_conn_goodbye(gateway, conn, CHAT_E_REPLACED, now);
    return;
  }
  conn->pos_missing = renewal->pos == 0;
  if (conn->login)
    log_in(gateway, conn, tag, renewal->epoch, now);
  else
    put_pos(gateway, conn, tag, pos_to_say(conn, renewal->pos, renewal->epoch, now), now);
}

/* P7: without its part of the directory a session goes on, blind to live events: it is told to sync, and once more 30 s later (V6). */
static void was_not_renewed(ch_gateway *gateway, ch_conn *conn, uint64_t tag, ch_now now) {
  if (!conn->resync_ms) conn->resync_ms = now.elapsed_ms + RESYNC_MS;
  if (conn->login)
    log_in(gateway, conn, tag, 0, now);
  else
    put_pos(gateway, conn, tag, 0, now);
}

static void renew_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  const chat_directory_renew *op = (const chat_directory_renew *)call->op;
  const renew_call *renew = (const renew_call *)call;
  for (size_t i = 0; i < op->count; i++) {
    ch_conn *conn = ch_conn_find(gateway, renew->who[i].connection);
    if (!conn || conn->closing) continue;
    if (status == 0 && op->renewals[i].status == 0)
      was_renewed(gateway, conn, renew->who[i].tag, &op->renewals[i], now);
    else
      was_not_renewed(gateway, conn, renew->who[i].tag, now);
  }
}

/* ------------------------------------------------------------------------------------------------ renew */

static chat_directory_renew *new_renew(ch_gateway *gateway, size_t count, ch_call_done *done) {
  chat_directory_renew *op = ch_call_new(gateway, CHAT_OP_DIRECTORY_RENEW, sizeof *op, sizeof(renew_call), done);
  if (!op) return NULL;
  renew_call *call = ch_call_of(op);
  op->gateway = gateway->config.name;
  op->route_ms = gateway->config.route_ms;
  op->presence_ms = gateway->config.presence_ms;
  op->renewals = chat_op_alloc(&op->op, count * sizeof *op->renewals);
  call->who = chat_op_alloc(&op->op, count * sizeof *call->who);
  if (op->renewals && call->who) return op;
  ch_call_discard(gateway, op);
  return NULL;
}

static void add_renewal(chat_directory_renew *op, ch_conn *conn) {
  chat_renewal *renewal = &op->renewals[op->count];
  *renewal = (chat_renewal){.user = chat_op_copy(&op->op, ch_conn_user(conn)), .session = conn->device_session};
  if (!renewal->user.data) return; /* no memory: the session's deadline ends what waits for it */
  memcpy(renewal->device_id, conn->device_id, sizeof renewal->device_id);
  ((renew_call *)ch_call_of(op))->who[op->count++] = (renewed){.connection = conn->id, .tag = conn->heartbeat_tag};
  conn->heartbeat_tag = 0;
}

static void pull_renewals(ch_gateway *gateway) {
  ch_routes *routes = &gateway->routes;
  size_t count = routes->waiting_count < RENEWALS_MAX ? routes->waiting_count : RENEWALS_MAX;
  if (count == 0) count = 1;
  chat_directory_renew *op = new_renew(gateway, count, renew_done);
  if (!op) return;
  for (ch_list *node = ch_list_pop_front(&routes->waiting); node; node = op->count < count ? ch_list_pop_front(&routes->waiting) : NULL) {
    ch_conn *conn = CH_LIST_ITEM(node, ch_conn, renewing);
    if (!conn->closing && conn->user) add_renewal(op, conn);
  }
  if (ch_list_is_empty(&routes->waiting)) routes->waiting_count = 0;
  routes->urgent = !ch_list_is_empty(&routes->waiting);
  if (op->count)
    ch_call_submit(gateway, op, 1);
  else
    ch_call_discard(gateway, op);
}

static void outrank_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  (void)gateway, (void)call, (void)status, (void)now; /* a hint: at its next login the device is refused anyway */
}

void ch_routes_outrank(ch_gateway *gateway, chat_bytes user, const uint8_t device_id[16], uint64_t session) {
  chat_directory_renew *op = new_renew(gateway, 1, outrank_done);
  if (!op) return;
  op->renewals[0] = (chat_renewal){.user = chat_op_copy(&op->op, user), .session = session};
  memcpy(op->renewals[0].device_id, device_id, 16);
  op->count = 1;
  if (op->renewals[0].user.data)
    ch_call_submit(gateway, op, CH_GATEWAY_ATTEMPTS);
  else
    ch_call_discard(gateway, op);
}

/* ------------------------------------------------------------------------------------------------ leave */

/* Kept as bytes until the next pull: device, session, length of the user, user. Beyond the bound routes simply expire. */
void ch_routes_leave(ch_gateway *gateway, ch_conn *conn) {
  ch_buf *leaving = &gateway->routes.leaving;
  chat_bytes user = ch_conn_user(conn);
  if (!ch_list_is_empty(&conn->renewing)) gateway->routes.waiting_count--;
  if (!user.len || leaving->len + 25 + user.len > LEAVING_MAX) return;
  ch_buf_put(leaving, ch_id_bytes(conn->device_id));
  ch_buf_put_u64(leaving, conn->device_session);
  ch_buf_put_u8(leaving, (uint8_t)user.len);
  ch_buf_put(leaving, user);
}

static void drop_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  (void)gateway, (void)call, (void)status, (void)now; /* a hint: the route expires */
}

static void fill_drop(chat_directory_drop *op, chat_bytes leaving) {
  ch_cursor cursor = ch_cursor_of(leaving);
  while (cursor.left_len > 0 && !cursor.error) {
    chat_renewal *renewal = &op->renewals[op->count];
    chat_bytes device, user;
    uint8_t len = 0;
    *renewal = (chat_renewal){0};
    ch_cursor_bytes(&cursor, 16, &device);
    ch_cursor_u64(&cursor, &renewal->session);
    ch_cursor_u8(&cursor, &len);
    if (ch_cursor_bytes(&cursor, len, &user)) return;
    memcpy(renewal->device_id, device.data, 16);
    renewal->user = user;
    op->count++;
  }
}

static void pull_leaving(ch_gateway *gateway) {
  ch_buf *leaving = &gateway->routes.leaving;
  chat_directory_drop *op = ch_call_new(gateway, CHAT_OP_DIRECTORY_DROP, sizeof *op, sizeof(ch_call), drop_done);
  if (!op) return;
  chat_bytes bytes = chat_op_copy(&op->op, ch_buf_bytes(leaving));
  op->gateway = gateway->config.name;
  op->renewals = bytes.data ? chat_op_alloc(&op->op, (bytes.len / 26 + 1) * sizeof *op->renewals) : NULL;
  ch_buf_fini(leaving);
  if (!op->renewals) {
    ch_call_discard(gateway, op);
    return;
  }
  fill_drop(op, bytes);
  ch_call_submit(gateway, op, 1);
}

void ch_routes_pull(ch_gateway *gateway) {
  if (gateway->routes.leaving.len) pull_leaving(gateway);
  if (gateway->routes.urgent && !ch_list_is_empty(&gateway->routes.waiting)) pull_renewals(gateway);
}
