/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's frame: life, the table of opcodes, the table of timers, the role's four functions. */
#include "server/role/gateway.h"

#include <string.h>

#include "server/role/gateway_parts.h"

enum { ARENA_CHUNK_LEN = 16 * 1024, ARENA_CAP_LEN = 16 * 1024 * 1024 };

/* --- opcodes: deny by default. What a session may say when is ch_session_admit's; what it costs is here --- */

typedef struct opcode {
  ch_handler *handle;
  bool limited; /* takes a token of the user's bucket */
} opcode;

static const opcode opcodes[CH_CLIENT_OP_COUNT] = {
    [CH_HELLO] = {ch_hello_handle, false},
    [CH_CONFIRM_SESSION] = {ch_confirm_session_handle, false},
    [CH_RENEW_TOKEN] = {ch_renew_token_handle, true},
    [CH_HEARTBEAT] = {ch_heartbeat_handle, false},
    [CH_SEND] = {NULL, true}, /* ch_send_handle, also for what could not be decoded */
    [CH_SYNC] = {ch_sync_handle, true},
    [CH_RANGE] = {ch_range_handle, true},
    [CH_RECEIPT] = {ch_receipt_handle, true},
    [CH_GET_RECEIPTS] = {ch_get_receipts_handle, true},
    [CH_GET_MEMBERS] = {ch_get_members_handle, true},
    [CH_SEARCH] = {ch_search_handle, true},
    [CH_WATCH] = {ch_watch_handle, true},
    [CH_SET_TYPING] = {ch_set_typing_handle, true},
    [CH_LIST_DEVICES] = {ch_list_devices_handle, true},
    [CH_REVOKE_DEVICE] = {ch_revoke_device_handle, true},
};

int ch_gateway_limit(ch_gateway *gateway, enum ch_limits_class class, chat_bytes key, uint64_t *retry_after_ms, ch_now now) {
  const ch_limiter *limiter = &gateway->config.limiter;
  if (!limiter->take) return 0;
  int error = limiter->take(limiter->self, class, key, 1, now.elapsed_ms, retry_after_ms);
  if (error) gateway->stats.limited++;
  return error;
}

static int take_token(ch_gateway *gateway, ch_conn *conn, ch_client_op op, uint64_t *retry_after_ms, ch_now now) {
  if (!opcodes[op].limited) return 0;
  return ch_gateway_limit(gateway, CH_LIMITS_USER, ch_conn_user(conn), retry_after_ms, now);
}

/* What is refused before its handler has seen it. */
static void not_now(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, uint64_t retry_after_ms, ch_now now) {
  if (message->op == CH_SEND && !ch_id_is_zero(message->u.send.client_id))
    ch_send_answer_retry(gateway, conn, &message->u.send, retry_after_ms, now);
  else
    ch_conn_error(gateway, conn, message->tag, CHAT_E_AGAIN, retry_after_ms, now);
}

/* docs/protocol.md, "Bad input": what is not even a message ends the session, a bad request does not. */
static void bad_message(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, int error, ch_now now) {
  if (message->op == CH_CLIENT_NONE)
    ch_conn_goodbye(gateway, conn, error == CHAT_E_NOMEM ? CHAT_E_AGAIN : CHAT_E_PROTOCOL, now);
  else if (message->op == CH_HELLO)
    ch_conn_refuse(gateway, conn, message->tag, error, now);
  else
    ch_conn_error(gateway, conn, message->tag, error, 0, now);
}

/* false: neither refused nor handled yet. */
static bool refuse(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, int error, ch_now now) {
  uint64_t retry_after_ms = CH_GATEWAY_RETRY_MS;
  bool is_early = ch_session_admit(&conn->session, message->op) != 0;
  if (message->op == CH_CLIENT_NONE && !error)
    ch_conn_error(gateway, conn, message->tag, CHAT_E_UNSUPPORTED, 0, now);
  else if (is_early || take_token(gateway, conn, message->op, &retry_after_ms, now))
    not_now(gateway, conn, message, retry_after_ms, now);
  else if (error && message->op != CH_SEND)
    bad_message(gateway, conn, message, error, now);
  else
    return false;
  ch_conn_refused(gateway, conn, now);
  return true;
}

static void dispatch(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, int error, ch_now now) {
  int admitted = ch_session_admit(&conn->session, message->op);
  if (admitted && admitted != CHAT_E_AGAIN)
    ch_conn_goodbye(gateway, conn, CHAT_E_PROTOCOL, now);
  else if (refuse(gateway, conn, message, error, now))
    return;
  else if (message->op == CH_SEND)
    ch_send_handle(gateway, conn, message, error, now);
  else
    opcodes[message->op].handle(gateway, conn, message, now);
}

static void read_message(ch_gateway *gateway, ch_conn *conn, chat_bytes bytes, ch_now now) {
  ch_client_message message;
  ch_arena_reset(&gateway->arena);
  int error = ch_client_message_decode(bytes, &gateway->arena, &message);
  dispatch(gateway, conn, &message, error, now);
}

void ch_gateway_frame(ch_gateway *gateway, uint64_t connection, chat_bytes frame, ch_now now) {
  ch_conn *conn = ch_conn_find(gateway, connection);
  chat_bytes bytes;
  int error = 0;
  if (!conn || conn->closing) return;
  gateway->stats.frames_in++;
  gateway->stats.bytes_in += frame.len;
  ch_session_heard(&conn->session, now.elapsed_ms);
  if (frame.len > CHAT_FRAME_MAX) {
    ch_conn_goodbye(gateway, conn, CHAT_E_TOO_LARGE, now);
    return;
  }
  while (!conn->closing && !(error = ch_frame_next(&frame, &bytes)))
    read_message(gateway, conn, bytes, now);
  if (!conn->closing && error != CHAT_E_CLOSED) ch_conn_goodbye(gateway, conn, CHAT_E_PROTOCOL, now);
  if (ch_conn_is_live(conn)) ch_routes_heard(gateway, conn, now);
}

void ch_gateway_violated(ch_gateway *gateway, uint64_t connection, int error, ch_now now) {
  ch_conn *conn = ch_conn_find(gateway, connection);
  if (conn && !conn->closing) ch_conn_goodbye(gateway, conn, error, now);
}

/* --- timers --- */

typedef void timer_handler(ch_gateway *gateway, ch_timer *timer, ch_now now);

static timer_handler *const timer_handlers[CH_TIMER_KIND_COUNT] = {
    [CH_TIMER_CONN] = ch_conn_timer,         [CH_TIMER_CALL] = ch_call_timer,         [CH_TIMER_ROUTES] = ch_routes_timer,
    [CH_TIMER_RECEIPTS] = ch_receipts_timer, [CH_TIMER_CHANNELS] = ch_channels_timer, [CH_TIMER_LANE] = ch_lane_timer,
    [CH_TIMER_PATIENCE] = ch_conn_patience_timer,
};

/* --- the role --- */

static void role_tick(void *self, ch_now now) {
  ch_gateway *gateway = self;
  ch_calls_tick(gateway, now);
  for (ch_timer *timer = ch_timer_heap_due(&gateway->timers, now.elapsed_ms); timer; timer = ch_timer_heap_due(&gateway->timers, now.elapsed_ms))
    timer_handlers[timer->kind](gateway, timer, now);
}

/* What was collected since the last pull becomes ops only now: a turn of the loop is what batches are made of. */
static chat_op *role_next_op(void *self) {
  ch_gateway *gateway = self;
  ch_routes_pull(gateway);
  ch_append_pull(gateway);
  ch_tasks_pull(gateway);
  ch_live_pull(gateway);
  ch_presence_pull(gateway);
  ch_channels_pull(gateway);
  return ch_op_queue_pop(&gateway->calls.out);
}

static void role_complete(void *self, chat_op *op, ch_now now) {
  ch_call_complete(self, op, now);
}

static uint64_t role_deadline_ms(const void *self) {
  const ch_gateway *gateway = self;
  return gateway->calls.shorts.first ? 0 : ch_timer_heap_next_ms(&gateway->timers);
}

ch_role ch_gateway_role(ch_gateway *gateway) {
  return (ch_role){.self = gateway, .next_op = role_next_op, .complete = role_complete, .tick = role_tick, .deadline_ms = role_deadline_ms};
}

const ch_gateway_stats *ch_gateway_get_stats(const ch_gateway *gateway) {
  return &gateway->stats;
}

/* --- life --- */

void ch_gateway_seed(ch_gateway *gateway, uint8_t seed[CH_HASHMAP_SEED_LEN]) {
  gateway->env.random(gateway->env.random_arg, seed, CH_HASHMAP_SEED_LEN);
}

static void map_init(ch_gateway *gateway, ch_hashmap *map) {
  uint8_t seed[CH_HASHMAP_SEED_LEN];
  ch_gateway_seed(gateway, seed);
  ch_hashmap_init(map, gateway->env.alloc, seed);
}

static bool config_is_valid(const ch_gateway_config *config) {
  return config->name.len >= 1 && config->name.len <= 64 && config->message_partitions && config->delivery_partitions && config->sessions_max &&
         config->in_flight_max && config->append_count_max && config->append_count_max <= 4096 && config->out_max &&
         config->out_total_max;
}

static void parts_init(ch_gateway *gateway) {
  ch_routes_init(gateway);
  ch_tasks_init(gateway);
  ch_receipts_init(gateway);
  ch_presence_init(gateway);
  ch_live_init(gateway);
  ch_channels_init(gateway);
  ch_requests_init(gateway);
}

int ch_gateway_new(const ch_env *env, const ch_gateway_config *config, ch_gateway **out) {
  if (!config_is_valid(config)) return CHAT_E_INVALID;
  ch_gateway *gateway = ch_calloc(env->alloc, 1, sizeof *gateway);
  if (!gateway) return CHAT_E_NOMEM;
  gateway->env = *env;
  gateway->config = *config;
  memcpy(gateway->name, config->name.data, config->name.len);
  gateway->config.name.data = gateway->name;
  ch_arena_init(&gateway->arena, env->alloc, ARENA_CHUNK_LEN, ARENA_CAP_LEN);
  map_init(gateway, &gateway->conns);
  map_init(gateway, &gateway->users);
  ch_list_init(&gateway->dirty);
  ch_list_init(&gateway->patient);
  gateway->patience.kind = CH_TIMER_PATIENCE;
  ch_timer_heap_init(&gateway->timers, env->alloc);
  ch_timer_heap_init(&gateway->holders, env->alloc);
  parts_init(gateway);
  int error = ch_sends_init(gateway);
  if (error) {
    ch_gateway_free(gateway);
    return error;
  }
  *out = gateway;
  return 0;
}

static void close_all(ch_gateway *gateway) {
  for (ch_hashmap_entry *entry = ch_hashmap_first(&gateway->conns); entry; entry = ch_hashmap_first(&gateway->conns))
    ch_gateway_closed(gateway, ((ch_conn *)entry->value)->id, (ch_now){0});
}

void ch_gateway_free(ch_gateway *gateway) {
  if (!gateway) return;
  close_all(gateway);
  ch_requests_fini(gateway);
  ch_receipts_fini(gateway);
  ch_presence_fini(gateway);
  ch_channels_fini(gateway);
  ch_live_fini(gateway);
  ch_tasks_fini(gateway);
  ch_sends_fini(gateway);
  ch_routes_fini(gateway);
  ch_op_queue_free(&gateway->calls.out);
  ch_calls_fini(gateway);
  ch_timer_heap_clear(&gateway->timers, &gateway->patience);
  ch_timer_heap_fini(&gateway->timers);
  ch_timer_heap_fini(&gateway->holders);
  ch_hashmap_fini(&gateway->conns);
  ch_hashmap_fini(&gateway->users);
  ch_arena_fini(&gateway->arena);
  ch_free(gateway->env.alloc, gateway);
}
