/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login, session numbers, tokens (docs/protocol.md, "Session"):
 *
 *   Hello → AUTHENTICATE → DEVICE GET → DEVICE PUT (gives the next number) → route → Welcome
 *                        └ no device: DEVICE PUT of a new one ┘
 *   ConfirmSession → DEVICE PUT (the number counts, the one before no longer)
 *
 * Every PUT expects the two numbers that were read, so of two sessions that say Hello at once one reads again.
 */
#include <string.h>

#include "server/role/gateway_parts.h"

enum { LOGIN_ATTEMPTS = 3, PROTOCOL_VERSION = 1 };

typedef struct login { /* what Hello said and the token proved; copied from call to call */
  ch_call call;
  chat_bytes user, client;
  uint8_t device_id[16];
  bool has_device;
  bool bound;        /* the token names the device: it may be registered under that id */
  bool renewing;     /* RenewToken, not Hello */
  uint64_t device_session, expires_ms;
  uint32_t attempts; /* at writing the device's row */
} login;

static void device_got(ch_gateway *gateway, ch_call *call, int status, ch_now now);
static void device_put(ch_gateway *gateway, ch_call *call, int status, ch_now now);

static ch_conn *conn_of(ch_gateway *gateway, const ch_call *call) {
  ch_conn *conn = ch_conn_find(gateway, call->connection);
  return conn && !conn->closing ? conn : NULL;
}

/* The login goes on in another op, whose memory holds all that is known so far. */
static chat_store_device *device_op(ch_gateway *gateway, const login *from, uint32_t verb, ch_call_done *done) {
  chat_store_device *op = ch_call_new(gateway, CHAT_OP_STORE_DEVICE, sizeof *op, sizeof(login), done);
  if (!op) return NULL;
  login *to = ch_call_of(op);
  ch_call head = to->call;
  *to = *from;
  to->call = head;
  to->call.connection = from->call.connection;
  to->call.tag = from->call.tag;
  to->user = chat_op_copy(&op->op, from->user);
  to->client = chat_op_copy(&op->op, from->client);
  op->verb = verb;
  op->user = to->user;
  op->devices_max = gateway->config.devices_max;
  memcpy(op->device.device_id, from->device_id, 16);
  if (to->user.data && (to->client.data || !from->client.len)) return op;
  ch_call_discard(gateway, op);
  return NULL;
}

/* What a client can do something about is said; the rest (a store that is away) is "later". */
static int said(int code) {
  switch (code) {
  case CHAT_E_AUTH:
  case CHAT_E_CONFLICT:
  case CHAT_E_LIMIT:
  case CHAT_E_REPLACED:
  case CHAT_E_REVOKED: return code;
  default: return CHAT_E_AGAIN;
  }
}

static void fail(ch_gateway *gateway, const login *l, int code, ch_now now) {
  ch_conn *conn = conn_of(gateway, &l->call);
  if (conn) ch_conn_refuse(gateway, conn, l->call.tag, said(code), now);
}

/* --- the device's row --- */

static void submit_or_fail(ch_gateway *gateway, const login *l, chat_store_device *op, ch_now now) {
  if (op)
    ch_call_submit(gateway, op, CH_GATEWAY_ATTEMPTS);
  else
    fail(gateway, l, CHAT_E_AGAIN, now);
}

static void register_device(ch_gateway *gateway, login *l, ch_now now) {
  if (!l->bound) gateway->env.random(gateway->env.random_arg, l->device_id, 16);
  l->device_session = 0;
  chat_store_device *op = device_op(gateway, l, CHAT_DEVICE_PUT, device_put);
  if (op) {
    op->device.session_next = 1;
    op->device.created_ms = op->device.seen_ms = now.wall_ms;
    op->device.name = ((login *)ch_call_of(op))->client;
  }
  submit_or_fail(gateway, l, op, now);
}

/* The number that Hello names is the confirmed one or the one given after it; an older one is a database restored from a copy. */
static int judge_device(const login *l, const chat_device *device) {
  if (device->revoked) return CHAT_E_REVOKED;
  if (l->device_session == device->session) return 0;
  return device->session_next && l->device_session == device->session_next ? 0 : CHAT_E_CONFLICT;
}

static uint64_t next_session(const chat_device *device) {
  return (device->session_next > device->session ? device->session_next : device->session) + 1;
}

static void give_session(ch_gateway *gateway, login *l, const chat_device *device, ch_now now) {
  chat_store_device *op = device_op(gateway, l, CHAT_DEVICE_PUT, device_put);
  if (op) {
    op->device = *device;
    op->device.name = chat_op_copy(&op->op, l->client.len ? l->client : device->name);
    op->device.session = l->device_session;
    op->device.session_next = next_session(device);
    op->device.seen_ms = now.wall_ms;
    op->expect_session = device->session;
    op->expect_session_next = device->session_next;
  }
  submit_or_fail(gateway, l, op, now);
}

static void read_device(ch_gateway *gateway, const login *l, ch_now now) {
  submit_or_fail(gateway, l, device_op(gateway, l, CHAT_DEVICE_GET, device_got), now);
}

static void device_got(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  login *l = (login *)call;
  const chat_store_device *op = (const chat_store_device *)(const void *)call->op;
  if (!conn_of(gateway, call)) return;
  if (status == CHAT_E_NOT_FOUND && l->bound) {
    register_device(gateway, l, now);
    return;
  }
  if (status == CHAT_E_NOT_FOUND) status = CHAT_E_AUTH; /* somebody else's device looks like none */
  if (!status) status = judge_device(l, &op->device);
  if (!status)
    give_session(gateway, l, &op->device, now);
  else
    fail(gateway, l, status, now);
}

static void device_put(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  login *l = (login *)call;
  const chat_store_device *op = (const chat_store_device *)(const void *)call->op;
  ch_conn *conn = conn_of(gateway, call);
  if (!conn) return;
  if (status == CHAT_E_CONFLICT && ++l->attempts < LOGIN_ATTEMPTS) {
    l->bound = l->bound || !l->has_device;
    read_device(gateway, l, now);
    return;
  }
  if (!status) {
    memcpy(conn->device_id, op->device.device_id, 16);
    conn->device_session = op->device.session_next;
    conn->expires_ms = l->expires_ms;
    conn->heartbeat_tag = l->call.tag; /* of Hello: Welcome is its reply */
    status = ch_conn_join(gateway, conn, l->user, now);
  }
  if (status)
    fail(gateway, l, status == CHAT_E_CONFLICT ? CHAT_E_AGAIN : status, now);
  else
    ch_routes_login(gateway, conn);
}

/* --- credentials --- */

/* A token that is bound to a device is good for no other. */
static int bind_device(login *l, const uint8_t claimed[16]) {
  if (ch_id_is_zero(claimed)) return 0;
  if (l->has_device && memcmp(l->device_id, claimed, 16) != 0) return CHAT_E_AUTH;
  memcpy(l->device_id, claimed, 16);
  l->has_device = l->bound = true;
  return 0;
}

static int token_result(login *l, const ch_op_authenticate *op, int status, ch_now now) {
  if (status) return status;
  if (!ch_user_id_valid(op->user)) return CHAT_E_AUTH;
  if (op->expires_ms && op->expires_ms <= now.wall_ms) return CHAT_E_EXPIRED;
  l->user = op->user;
  l->expires_ms = op->expires_ms;
  return bind_device(l, op->device_id_claimed);
}

static void renewed(ch_gateway *gateway, ch_conn *conn, const login *l, int status, ch_now now) {
  if (!status && !ch_bytes_equal(l->user, ch_conn_user(conn))) status = CHAT_E_AUTH;
  if (status) {
    ch_conn_error(gateway, conn, l->call.tag, status, CH_GATEWAY_RETRY_MS, now);
    return;
  }
  conn->expires_ms = l->expires_ms;
  ch_conn_ok(gateway, conn, l->call.tag, now);
  ch_conn_arm(gateway, conn, now);
}

static void authenticated(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  login *l = (login *)call;
  ch_conn *conn = conn_of(gateway, call);
  if (!conn) return;
  if (status != CHAT_E_TIMEOUT) status = token_result(l, (const ch_op_authenticate *)(const void *)call->op, status, now);
  if (l->renewing)
    renewed(gateway, conn, l, status, now);
  else if (status)
    ch_conn_refuse(gateway, conn, call->tag, status, now);
  else if (l->has_device)
    read_device(gateway, l, now);
  else
    register_device(gateway, l, now);
}

static ch_op_authenticate *authenticate_op(ch_gateway *gateway, ch_conn *conn, uint64_t tag, chat_bytes token, chat_bytes client, ch_now now) {
  ch_op_authenticate *op = ch_call_new_for(gateway, conn, tag, CH_OP_AUTHENTICATE, sizeof *op, sizeof(login), authenticated, now);
  if (!op) return NULL;
  login *l = ch_call_of(op);
  op->token = chat_op_copy(&op->op, token);
  op->client = l->client = chat_op_copy(&op->op, client);
  op->address = chat_op_copy(&op->op, ch_bytes_of(conn->address, conn->address_len));
  op->now = now;
  return op;
}

static int hello_error(const ch_hello *hello) {
  if (hello->version != PROTOCOL_VERSION) return CHAT_E_VERSION;
  return hello->token.len ? 0 : CHAT_E_AUTH;
}

void ch_hello_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  const ch_hello *hello = &message->u.hello;
  int error = hello_error(hello);
  ch_op_authenticate *op = error ? NULL : authenticate_op(gateway, conn, message->tag, hello->token, hello->client, now);
  if (!op) {
    ch_conn_refuse(gateway, conn, message->tag, error ? error : CHAT_E_AGAIN, now);
    return;
  }
  login *l = ch_call_of(op);
  l->has_device = hello->has_device;
  l->device_session = hello->device_session;
  memcpy(l->device_id, hello->device_id, 16);
  memcpy(op->device_id, hello->device_id, 16);
  ch_session_enter(&conn->session, CH_SESSION_AUTH, now.elapsed_ms);
  ch_conn_arm(gateway, conn, now);
  ch_call_submit_hook(gateway, op, now);
}

void ch_renew_token_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  ch_op_authenticate *op = authenticate_op(gateway, conn, message->tag, message->u.token, (chat_bytes){0}, now);
  if (!op) return;
  login *l = ch_call_of(op);
  l->renewing = l->has_device = true;
  memcpy(l->device_id, conn->device_id, 16);
  memcpy(op->device_id, conn->device_id, 16);
  ch_call_submit_hook(gateway, op, now);
}

/* --- Welcome: the route was written, or the directory is away, which costs latency and no message (P7) --- */

void ch_login_routed(ch_gateway *gateway, ch_conn *conn, uint64_t tag, ch_now now) {
  ch_server_message message = {.tag = tag, .op = CH_WELCOME};
  const ch_gateway_config *config = &gateway->config;
  ch_session_enter(&conn->session, CH_SESSION_LIVE, now.elapsed_ms);
  message.u.welcome = (ch_welcome){.version = PROTOCOL_VERSION,
                                   .user = ch_conn_user(conn),
                                   .device_session = conn->device_session,
                                   .server_ms = now.wall_ms,
                                   .token_expires_ms = conn->expires_ms,
                                   .limits = {.heartbeat_ms = config->times.heartbeat_ms,
                                              .frame_max = CHAT_FRAME_MAX,
                                              .body_max = CHAT_BODY_MAX,
                                              .meta_max = CHAT_META_MAX,
                                              .page_max = CHAT_PAGE_MAX,
                                              .group_members_max = CHAT_GROUP_MEMBERS_MAX,
                                              .in_flight_max = config->in_flight_max}};
  memcpy(message.u.welcome.device_id, conn->device_id, 16);
  conn->welcomed = true;
  gateway->stats.live_sessions++;
  ch_conn_put(gateway, conn, &message, now);
  ch_conn_arm(gateway, conn, now);
}

/* --- ConfirmSession --- */

static void confirm_end(ch_gateway *gateway, ch_conn *conn, const ch_call *call, int status, ch_now now) {
  if (status) {
    ch_conn_error(gateway, conn, call->tag, CHAT_E_AGAIN, CH_GATEWAY_RETRY_MS, now);
    return;
  }
  conn->confirmed = true;
  ch_conn_ok(gateway, conn, call->tag, now);
}

/* The row is not as this session knew it: it was confirmed already, the device was revoked, or a newer session was given its number. */
static void confirm_conflict(ch_gateway *gateway, ch_conn *conn, const ch_call *call, const chat_device *stored, ch_now now) {
  if (stored->revoked)
    ch_conn_goodbye(gateway, conn, CHAT_E_REVOKED, now);
  else if (stored->session == conn->device_session)
    confirm_end(gateway, conn, call, 0, now);
  else
    ch_conn_goodbye(gateway, conn, CHAT_E_REPLACED, now);
}

static void confirm_put(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  ch_conn *conn = conn_of(gateway, call);
  if (!conn) return;
  if (status == CHAT_E_CONFLICT)
    confirm_conflict(gateway, conn, call, &((const chat_store_device *)(const void *)call->op)->device, now);
  else
    confirm_end(gateway, conn, call, status, now);
}

static void confirm_got(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  const chat_store_device *got = (const chat_store_device *)(const void *)call->op;
  ch_conn *conn = conn_of(gateway, call);
  if (!conn) return;
  if (status || got->device.revoked || got->device.session_next != conn->device_session) {
    if (status)
      confirm_end(gateway, conn, call, status, now);
    else
      confirm_conflict(gateway, conn, call, &got->device, now);
    return;
  }
  chat_store_device *op = ch_call_new_for(gateway, conn, call->tag, CHAT_OP_STORE_DEVICE, sizeof *op, sizeof(ch_call), confirm_put, now);
  if (!op) return;
  op->verb = CHAT_DEVICE_PUT;
  op->user = chat_op_copy(&op->op, ch_conn_user(conn));
  op->device = got->device;
  op->device.name = chat_op_copy(&op->op, got->device.name);
  op->device.session = conn->device_session;
  op->device.session_next = 0;
  op->device.seen_ms = now.wall_ms;
  op->expect_session = got->device.session;
  op->expect_session_next = got->device.session_next;
  op->devices_max = gateway->config.devices_max;
  ch_call_submit(gateway, op, CH_GATEWAY_ATTEMPTS);
}

void ch_confirm_session_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  if (message->u.device_session != conn->device_session) {
    ch_conn_error(gateway, conn, message->tag, CHAT_E_INVALID, 0, now);
    ch_conn_refused(gateway, conn, now);
    return;
  }
  if (conn->confirmed) {
    ch_conn_ok(gateway, conn, message->tag, now);
    ch_conn_refused(gateway, conn, now); /* nothing was left to do */
    return;
  }
  chat_store_device *op = ch_call_new_for(gateway, conn, message->tag, CHAT_OP_STORE_DEVICE, sizeof *op, sizeof(ch_call), confirm_got, now);
  if (!op) return;
  op->verb = CHAT_DEVICE_GET;
  op->user = chat_op_copy(&op->op, ch_conn_user(conn));
  memcpy(op->device.device_id, conn->device_id, 16);
  ch_call_submit(gateway, op, CH_GATEWAY_ATTEMPTS);
}
