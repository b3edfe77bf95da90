/* SPDX-License-Identifier: Apache-2.0 */
/* gateway_peer.h - a gateway between scripted clients and hand-completed ops (role_peer.h). Each test file has one of its own, all of it static. */
#ifndef CH_TEST_GATEWAY_PEER_H
#define CH_TEST_GATEWAY_PEER_H

#include <string.h>

#include "core/conversation_id.h"
#include "core/partition.h"
#include "server/role/gateway.h"
#include "server/role/limits.h"
#include "unit/server/role_peer.h"

enum { CONNS_MAX = 16 };

static ch_gateway_config config;
static ch_gateway *gateway;
static ch_limits *limits; /* NULL: none */
static ch_arena heard_arena;

/* What a client has been sent and not looked at. */
static struct inbox {
  chat_bytes bytes; /* in heard_arena */
  bool close;
} inbox[CONNS_MAX];

static UNUSED void gateway_config_default(void) {
  env_default();
  config = (ch_gateway_config){
      .name = ch_bytes_text("g1"),
      .times = {.hello_ms = 10000, .auth_ms = 10000, .heartbeat_ms = 15000, .idle_ms = 45000, .drain_ms = 5000},
      .message_partitions = 4,
      .delivery_partitions = 2,
      .store_derives_heads = 0,
      .devices_max = 16,
      .sessions_max = 8,
      .in_flight_max = 8,
      .hold_ms = 300,
      .hold_max = 3,
      .append_count_max = 16,
      .receipt_ms = 200,
      .route_ms = 300000,
      .presence_ms = 30000,
      .out_max = 1024 * 1024,
      .out_total_max = 16 * 1024 * 1024,
      .hook_ms = 5000,
  };
}

static UNUSED void gateway_begin(void) {
  ch_arena_init(&heard_arena, NULL, 4096, 64 * 1024 * 1024);
  ck_assert_int_eq(ch_gateway_new(&env, &config, &gateway), 0);
  role = ch_gateway_role(gateway);
}

/* Between gateway_config_default and gateway_begin. */
static UNUSED void limited_to(ch_limits_config of) {
  ck_assert_int_eq(ch_limits_new(&env, &of, &limits), 0);
  config.limiter = ch_limits_limiter(limits);
}

static UNUSED void gateway_end(void) {
  cancel_ops();
  ch_gateway_free(gateway);
  ch_limits_free(limits);
  limits = NULL;
  ch_arena_fini(&heard_arena);
  ck_assert_uint_eq(memory.live, 0);
}

/* --- a client --- */

static UNUSED void opens(uint64_t conn) {
  ck_assert_int_eq(ch_gateway_opened(gateway, conn, ch_bytes_text("192.0.2.1"), now), 0);
}

static UNUSED void say_raw(uint64_t conn, const void *bytes, size_t len) {
  ch_gateway_frame(gateway, conn, ch_bytes_of(bytes, len), now);
}

static UNUSED void say(uint64_t conn, const ch_client_message *message) {
  ch_buf out;
  ch_buf_init(&out, NULL, CHAT_FRAME_MAX);
  ck_assert_int_eq(ch_client_message_encode(message, &out), 0);
  ch_gateway_frame(gateway, conn, ch_buf_bytes(&out), now);
  ch_buf_fini(&out);
}

/* Takes over what waits for each connection that says so. */
static void write_all(void) {
  for (uint64_t conn = ch_gateway_next_dirty(gateway); conn; conn = ch_gateway_next_dirty(gateway)) {
    struct inbox *in = &inbox[conn];
    for (chat_bytes some = ch_gateway_peek(gateway, conn, &in->close); some.len; some = ch_gateway_peek(gateway, conn, &in->close)) {
      uint8_t *all = ch_arena_alloc(&heard_arena, in->bytes.len + some.len);
      if (in->bytes.len) memcpy(all, in->bytes.data, in->bytes.len);
      memcpy(all + in->bytes.len, some.data, some.len);
      in->bytes = ch_bytes_of(all, in->bytes.len + some.len);
      ch_gateway_taken(gateway, conn, some.len, now);
    }
  }
}

/* The next message to the client, NULL: none. */
static const ch_server_message *hear(uint64_t conn) {
  chat_bytes bytes;
  write_all();
  if (ch_frame_next(&inbox[conn].bytes, &bytes)) return NULL;
  ch_server_message *message = ch_arena_calloc(&heard_arena, 1, sizeof *message);
  ck_assert_int_eq(ch_server_message_decode(bytes, &heard_arena, message), 0);
  return message;
}

static UNUSED const ch_server_message *hears(uint64_t conn, ch_server_op op) {
  const ch_server_message *message = hear(conn);
  ck_assert_msg(message != NULL, "connection %d heard nothing", (int)conn);
  ck_assert_int_eq(message->op, op);
  return message;
}

static UNUSED void hears_nothing(uint64_t conn) {
  const ch_server_message *message = hear(conn);
  ck_assert_msg(message == NULL, "connection %d heard %d", (int)conn, message ? (int)message->op : 0);
}

static UNUSED void hears_error(uint64_t conn, uint64_t tag, int code) {
  const ch_server_message *message = hears(conn, CH_ERROR);
  ck_assert_uint_eq(message->tag, tag);
  ck_assert_int_eq(message->u.error.code, code);
  ck_assert_uint_eq(message->u.error.text.len, 0);
}

static UNUSED void hears_ok(uint64_t conn, uint64_t tag) {
  ck_assert_uint_eq(hears(conn, CH_OK)->tag, tag);
}

static UNUSED void hears_goodbye(uint64_t conn, int code) {
  ck_assert_int_eq(hears(conn, CH_GOODBYE)->u.goodbye.code, code);
  hears_nothing(conn);
  ck_assert(inbox[conn].close);
}

static UNUSED bool is_closing(uint64_t conn) {
  write_all();
  return inbox[conn].close;
}

static UNUSED void leaves(uint64_t conn) {
  ch_gateway_closed(gateway, conn, now);
  inbox[conn] = (struct inbox){0};
}

/* --- login --- */

static UNUSED void hello(uint64_t conn, const uint8_t *device, uint64_t session) {
  ch_client_message message = {.tag = 9, .op = CH_HELLO};
  message.u.hello = (ch_hello){.version = 1, .token = ch_bytes_text("t"), .device_session = session, .client = ch_bytes_text("test")};
  message.u.hello.has_device = device != NULL;
  if (device) memcpy(message.u.hello.device_id, device, 16);
  say(conn, &message);
}

static UNUSED void is_user(const char *user, uint64_t expires_ms) {
  ch_op_authenticate *op = take_op(CH_OP_AUTHENTICATE);
  op->user = chat_op_copy(&op->op, ch_bytes_text(user));
  op->expires_ms = expires_ms;
  give(op, 0);
}

static UNUSED void route_is_written(uint64_t epoch, uint64_t pos) {
  chat_directory_renew *op = take_op(CHAT_OP_DIRECTORY_RENEW);
  for (size_t i = 0; i < op->count; i++) {
    op->renewals[i].pos = pos;
    op->renewals[i].epoch = epoch;
  }
  give(op, 0);
}

/* A live session on a device that is all `device` bytes, with session number 1. */
static UNUSED void login(uint64_t conn, const char *user, uint8_t device) {
  uint8_t id[16];
  memset(id, device, sizeof id);
  opens(conn);
  hello(conn, id, 0);
  is_user(user, 0);
  chat_store_device *op = take_op(CHAT_OP_STORE_DEVICE);
  ck_assert_uint_eq(op->verb, CHAT_DEVICE_GET);
  op->device = (chat_device){.created_ms = 1};
  memcpy(op->device.device_id, id, 16);
  give(op, 0);
  op = take_op(CHAT_OP_STORE_DEVICE);
  ck_assert_uint_eq(op->verb, CHAT_DEVICE_PUT);
  give(op, 0);
  route_is_written(7, 5);
  ck_assert_uint_eq(hears(conn, CH_WELCOME)->u.welcome.device_session, 1);
}

/* --- conversations --- */

static UNUSED void group_id(uint8_t id[16], uint8_t number) {
  memset(id, number, 16);
  id[0] = CH_CONVERSATION_ID_GROUP;
}

/* A state in the op's memory, with one member or none. */
static UNUSED void member_in_state(chat_op *op, chat_state *state, const char *user, uint32_t role_of, uint64_t joined, uint64_t left) {
  state->members = chat_op_alloc(op, sizeof *state->members);
  *state->members = (chat_member){.user = chat_op_copy(op, ch_bytes_text(user)), .role = role_of, .interval_count = 1};
  state->members->intervals = chat_op_alloc(op, sizeof(chat_interval));
  *state->members->intervals = (chat_interval){joined, left};
  state->member_count_here = 1;
}

#endif
