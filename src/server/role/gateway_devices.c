/* SPDX-License-Identifier: Apache-2.0 */
/* A user's devices: listed, shut out. */
#include <string.h>

#include "server/role/gateway_parts.h"

enum { REVOKE_TRIES = 4 };

/* ------------------------------------------------------------------------------------------------ list */

static void put_devices(ch_gateway *gateway, ch_conn *conn, uint64_t tag, const chat_store_devices *op, ch_now now) {
  ch_device_info *infos = ch_arena_calloc(&gateway->arena, op->count + 1, sizeof *infos);
  if (!infos) {
    ch_conn_error(gateway, conn, tag, CHAT_E_AGAIN, CH_GATEWAY_RETRY_MS, now);
    return;
  }
  for (size_t i = 0; i < op->count; i++) {
    const chat_device *device = &op->devices[i];
    infos[i] = (ch_device_info){.name = device->name, .created_ms = device->created_ms, .seen_ms = device->seen_ms, .revoked = device->revoked};
    memcpy(infos[i].device_id, device->device_id, sizeof infos[i].device_id);
    infos[i].current = memcmp(device->device_id, conn->device_id, sizeof conn->device_id) == 0;
  }
  ch_server_message message = {.tag = tag, .op = CH_DEVICES_REPLY};
  message.u.devices_reply = (ch_devices_reply){infos, op->count};
  ch_conn_put(gateway, conn, &message, now);
}

static void list_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  ch_conn *conn = ch_conn_find(gateway, call->connection);
  if (!conn || conn->closing) return;
  ch_arena_reset(&gateway->arena);
  if (status)
    ch_conn_error(gateway, conn, call->tag, status == CHAT_E_UNKNOWN ? CHAT_E_AGAIN : status, CH_GATEWAY_RETRY_MS, now);
  else
    put_devices(gateway, conn, call->tag, (const chat_store_devices *)call->op, now);
}

void ch_list_devices_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  chat_store_devices *op = ch_call_new_for(gateway, conn, message->tag, CHAT_OP_STORE_DEVICES, sizeof *op, sizeof(ch_call), list_done, now);
  if (!op) return;
  op->user = chat_op_copy(&op->op, ch_conn_user(conn));
  if (op->user.data) {
    ch_call_submit(gateway, op, CH_GATEWAY_ATTEMPTS);
    return;
  }
  ch_call_discard(gateway, op);
  ch_conn_error(gateway, conn, message->tag, CHAT_E_AGAIN, CH_GATEWAY_RETRY_MS, now);
}

/* ------------------------------------------------------------------------------------------------ shut out: read, mark, write back; again where somebody came between */

typedef struct revoke_call {
  ch_call call;
  ch_revoked *then;
  uint32_t tries;
} revoke_call;

static void go_on(ch_gateway *gateway, ch_call *call, uint32_t verb) {
  ((chat_store_device *)call->op)->verb = verb;
  call->kept = true; /* the same op goes round */
  ch_call_submit(gateway, call->op, CH_GATEWAY_ATTEMPTS);
}

static void mark_revoked(chat_store_device *op) {
  op->expect_session = op->device.session;
  op->expect_session_next = op->device.session_next;
  op->device.revoked = 1;
  /* Moves on, so that a session that read the row before cannot write it back as it was. */
  op->device.session_next = (op->device.session_next > op->device.session ? op->device.session_next : op->device.session) + 1;
}

static void revoke_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  chat_store_device *op = (chat_store_device *)call->op;
  revoke_call *revoke = (revoke_call *)call;
  call->kept = false;
  if (status == CHAT_E_CONFLICT && op->verb == CHAT_DEVICE_PUT && revoke->tries-- > 0) {
    go_on(gateway, call, CHAT_DEVICE_GET);
    return;
  }
  if (status == 0 && op->verb == CHAT_DEVICE_GET) {
    mark_revoked(op);
    go_on(gateway, call, CHAT_DEVICE_PUT);
    return;
  }
  revoke->then(gateway, call, status, now); /* first: who asked may be of this very device, and is to hear the answer */
  if (status == 0) { /* elsewhere the session learns it at its next renewal, and cannot log in again */
    ch_gateway_end_sessions(gateway, op->user, op->device.device_id, CHAT_E_REVOKED, now);
    ch_routes_outrank(gateway, op->user, op->device.device_id, op->device.session_next);
  }
}

int ch_device_revoke(ch_gateway *gateway, chat_bytes user, const uint8_t device_id[16], uint64_t connection, uint64_t tag, ch_revoked *done, ch_now now) {
  (void)now;
  chat_store_device *op = ch_call_new(gateway, CHAT_OP_STORE_DEVICE, sizeof *op, sizeof(revoke_call), revoke_done);
  if (!op) return CHAT_E_NOMEM;
  revoke_call *call = ch_call_of(op);
  call->call.connection = connection;
  call->call.tag = tag;
  call->then = done;
  call->tries = REVOKE_TRIES;
  op->user = chat_op_copy(&op->op, user);
  op->devices_max = gateway->config.devices_max;
  memcpy(op->device.device_id, device_id, sizeof op->device.device_id);
  if (!op->user.data) {
    ch_call_discard(gateway, op);
    return CHAT_E_NOMEM;
  }
  go_on(gateway, &call->call, CHAT_DEVICE_GET);
  return 0;
}

static void revoke_answer(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  ch_conn *conn = ch_conn_find(gateway, call->connection);
  if (!conn || conn->closing) return;
  if (status)
    ch_conn_error(gateway, conn, call->tag, status == CHAT_E_UNKNOWN || status == CHAT_E_CONFLICT ? CHAT_E_AGAIN : status, CH_GATEWAY_RETRY_MS, now);
  else
    ch_conn_ok(gateway, conn, call->tag, now);
}

void ch_revoke_device_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  int error = ch_device_revoke(gateway, ch_conn_user(conn), message->u.device_id, conn->id, message->tag, revoke_answer, now);
  if (error) ch_conn_error(gateway, conn, message->tag, CHAT_E_AGAIN, CH_GATEWAY_RETRY_MS, now);
}
