/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries over the link, passed on to sessions. Everything here is a hint (V1, V2): what cannot be passed is found by sync. */
#include <string.h>

#include "server/role/gateway_parts.h"

enum { EVENTS_LEN_MAX = CHAT_FRAME_MAX - 64, SAID_LEN_MAX = 2 * CHAT_FRAME_MAX, POLL_PAUSE_MS = 1000 };

void ch_live_init(ch_gateway *gateway) {
  ch_buf_init(&gateway->live.events, gateway->env.alloc, EVENTS_LEN_MAX);
  ch_buf_init(&gateway->live.message, gateway->env.alloc, CHAT_FRAME_MAX);
  ch_buf_init(&gateway->live.said, gateway->env.alloc, SAID_LEN_MAX);
  ch_buf_init(&gateway->live.typings, gateway->env.alloc, SAID_LEN_MAX);
}

void ch_live_fini(ch_gateway *gateway) {
  ch_buf_fini(&gateway->live.events);
  ch_buf_fini(&gateway->live.message);
  ch_buf_fini(&gateway->live.said);
  ch_buf_fini(&gateway->live.typings);
}

/* --- to one session --- */

/* Has this device said all of it? Then it knows the content. */
static bool is_own(const ch_conn *conn, const ch_live *live) {
  for (size_t i = 0; i < live->event_count; i++)
    if (memcmp(live->events[i].device_id, conn->device_id, sizeof conn->device_id) != 0) return false;
  return true;
}

/* 0, CHAT_E_TOO_LARGE (the client reads slowly), or what else went wrong. */
static int put_bodies(ch_gateway *gateway, ch_conn *conn, const ch_live *live, chat_bytes encoded, ch_now now) {
  ch_buf *message = &gateway->live.message;
  ch_buf_clear(message);
  int error = ch_live_encode_shared(live->previous, live->position, encoded, message);
  if (error) return error;
  return is_own(conn, live) ? ch_conn_put_raw_patiently(gateway, conn, ch_buf_bytes(message), now) : ch_conn_put_raw(gateway, conn, ch_buf_bytes(message), now);
}

static int put_live(ch_gateway *gateway, ch_conn *conn, const ch_live *live, ch_now now) {
  ch_buf *message = &gateway->live.message;
  ch_buf_clear(message);
  int error = ch_server_message_encode(&(ch_server_message){.op = CH_LIVE, .u.live = *live}, message);
  return error ? error : ch_conn_put_raw(gateway, conn, ch_buf_bytes(message), now);
}

static int put_heads(ch_gateway *gateway, ch_conn *conn, const ch_live *live, ch_now now) {
  size_t count = live->head_count + live->event_count;
  if (live->event_count == 0) return put_live(gateway, conn, live, now);
  ch_head_hint *heads = ch_arena_calloc(&gateway->arena, count + 1, sizeof *heads);
  if (!heads) return CHAT_E_NOMEM;
  if (live->head_count) memcpy(heads, live->heads, live->head_count * sizeof *heads);
  for (size_t i = 0; i < live->event_count; i++) {
    ch_head_hint *hint = &heads[live->head_count + i];
    memcpy(hint->conversation_id, live->events[i].conversation_id, sizeof hint->conversation_id);
    hint->head = live->events[i].seq;
  }
  return put_live(gateway, conn, &(ch_live){.previous = live->previous, .position = live->position, .heads = heads, .head_count = count}, now);
}

/* P8: bodies, else heads, else the end: a client that misses an event in silence would believe its chain of positions whole. */
void ch_live_pass(ch_gateway *gateway, ch_conn *conn, const ch_live *live, chat_bytes encoded, ch_now now) {
  if (!conn->welcomed || conn->closing) return;
  bool has_bodies = live->event_count > 0 && live->head_count == 0 && encoded.len > 0 && !ch_conn_holds_much(gateway, conn);
  int error = has_bodies ? put_bodies(gateway, conn, live, encoded, now) : CHAT_E_TOO_LARGE;
  if (error) error = put_heads(gateway, conn, live, now);
  if (error)
    ch_conn_cut_off(gateway, conn, now);
  else
    gateway->stats.live_events += live->event_count;
}

static void encode_typings(const ch_delivered *delivered, ch_buf *out) {
  ch_buf_clear(out);
  for (size_t i = 0; i < delivered->typing_count; i++)
    if (ch_server_message_encode(&(ch_server_message){.op = CH_TYPING, .u.typing = delivered->typings[i]}, out)) return;
}

/* Encoded once for all who are told: in a group everybody hears of everybody's receipts. */
static int encode_volatile(ch_gateway *gateway, const ch_delivered *delivered) {
  ch_buf *out = &gateway->live.said;
  int error = 0;
  ch_buf_clear(out);
  encode_typings(delivered, &gateway->live.typings);
  for (size_t i = 0; i < delivered->verdict_count && !error; i++)
    error = ch_server_message_encode(&(ch_server_message){.op = CH_VERDICT, .u.verdict = delivered->verdicts[i]}, out);
  for (size_t i = 0; i < delivered->receipts_count && !error; i++)
    error = ch_server_message_encode(&(ch_server_message){.op = CH_RECEIPTS, .u.receipts = delivered->receipts[i]}, out);
  return error;
}

/* Typing ends by itself, so that it may get lost; nobody is cut off for it. */
static void pass_volatile(ch_gateway *gateway, ch_conn *conn, ch_now now) {
  int error = gateway->live.said_error;
  if (conn->closing) return;
  if (!error && gateway->live.said.len) error = ch_conn_put_raw_patiently(gateway, conn, ch_buf_bytes(&gateway->live.said), now);
  if (error) ch_conn_cut_off(gateway, conn, now);
  else if (gateway->live.typings.len) (void)ch_conn_put_raw(gateway, conn, ch_buf_bytes(&gateway->live.typings), now);
}

/* --- what an event changes here besides --- */

static bool changes_membership(const chat_row *row) {
  switch (row->type) {
  case CHAT_TYPE_CREATE:
  case CHAT_TYPE_MEMBERS_ADD:
  case CHAT_TYPE_MEMBER_REMOVE:
  case CHAT_TYPE_LEAVE:
  case CHAT_TYPE_TO_CHANNEL: return true;
  default: return row->seq == 1; /* the first message makes a direct conversation */
  }
}

/* Events go to present members, and to one that they remove: whoever gets one of these is a member by it. */
static bool makes_member(const chat_row *row) {
  return row->type == CHAT_TYPE_CREATE || row->type == CHAT_TYPE_MEMBERS_ADD || row->seq == 1;
}

static void apply_membership(ch_gateway *gateway, ch_user *user, const chat_row *row, ch_now now) {
  if (makes_member(row)) ch_members_believe(gateway, row->conversation_id, ch_bytes_of(user->id, user->len), now);
  CH_LIST_FOR_EACH(node, &user->sessions)
    ch_watches_refresh(gateway, CH_LIST_ITEM(node, ch_conn, of_user), row->conversation_id, now);
  ch_channel_user_event(gateway, user, row, now);
}

static void apply_events(ch_gateway *gateway, ch_user *user, const ch_delivered *delivered, ch_now now) {
  for (size_t i = 0; i < delivered->event_count; i++)
    if (changes_membership(&delivered->events[i])) apply_membership(gateway, user, &delivered->events[i], now);
}

/* --- a delivery --- */

static bool is_meant(const ch_conn *conn, const chat_target *target) {
  bool any = ch_id_is_zero(target->device_id) || memcmp(target->device_id, conn->device_id, sizeof conn->device_id) == 0;
  return any && conn->welcomed && !conn->closing;
}

static void pass_to(ch_gateway *gateway, const chat_target *target, const chat_delivery *delivery, const ch_delivered *delivered, ch_now now) {
  ch_user *user = ch_user_find(gateway, target->user);
  if (!user) return;
  ch_live live = {
      .previous = target->previous, .position = delivery->position, .events = delivered->events, .event_count = delivered->event_count};
  CH_LIST_FOR_EACH(node, &user->sessions) {
    ch_conn *conn = CH_LIST_ITEM(node, ch_conn, of_user);
    if (!is_meant(conn, target)) continue;
    bool is_live = live.event_count > 0 || live.position > 0; /* without events: it makes the client sync (V2) */
    if (is_live) ch_live_pass(gateway, conn, &live, ch_buf_bytes(&gateway->live.events), now);
    pass_volatile(gateway, conn, now);
  }
  apply_events(gateway, user, delivered, now);
}

/* Once for all, and not encoded anew; where that fails (more than a frame) heads alone go out. */
static void take_events(ch_gateway *gateway, const chat_delivery *delivery) {
  ch_buf *events = &gateway->live.events;
  ch_buf_clear(events);
  if (ch_events_of_delivered(delivery->payload, events)) ch_buf_clear(events);
}

static void pass_to_targets(ch_gateway *gateway, const chat_delivery *delivery, const ch_delivered *delivered, ch_now now) {
  take_events(gateway, delivery);
  gateway->live.said_error = encode_volatile(gateway, delivered);
  for (size_t i = 0; i < delivery->target_count; i++)
    pass_to(gateway, &delivery->targets[i], delivery, delivered, now);
}

static void pass(ch_gateway *gateway, const chat_delivery *delivery, ch_now now) {
  ch_delivered delivered;
  ch_arena_reset(&gateway->arena);
  if (ch_delivered_decode(delivery->payload, &gateway->arena, &delivered)) return;
  if (delivery->target_count > 0) {
    pass_to_targets(gateway, delivery, &delivered, now);
    return;
  }
  for (size_t i = 0; i < delivered.event_count; i++)
    ch_channel_told(gateway, &delivered.events[i], now);
}

/* What was dropped is not known, so everybody is made to sync (V2), by a missing pos in the next heartbeat's answer: that spreads it. */
static void tell_lost(ch_gateway *gateway, ch_now now) {
  for (ch_hashmap_entry *entry = ch_hashmap_first(&gateway->conns); entry; entry = ch_hashmap_next(&gateway->conns, entry)) {
    ch_conn_make_sync(entry->value, now);
  }
}

/* --- the long poll --- */

bool ch_poll_again_later(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  if (status == CHAT_E_CANCELED || status == CHAT_E_CLOSED) return false;
  if (ch_timer_heap_set(&gateway->timers, &call->timer, now.elapsed_ms + POLL_PAUSE_MS)) return true; /* no memory: the next pull makes another one */
  call->kept = true; /* the timer hands the same op out again */
  call->attempts = 1;
  return true;
}

static void receive_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  const chat_link_receive *receive = (chat_link_receive *)(void *)call->op;
  call->kept = false;
  if (status) {
    gateway->live.polling = !ch_poll_again_later(gateway, call, status, now) || call->kept;
    return;
  }
  gateway->live.polling = false;
  for (size_t i = 0; i < receive->count; i++)
    pass(gateway, &receive->deliveries[i], now);
  if (receive->lost) tell_lost(gateway, now);
}

void ch_live_pull(ch_gateway *gateway) {
  if (gateway->live.polling) return;
  chat_link_receive *receive = ch_call_new(gateway, CHAT_OP_LINK_RECEIVE, sizeof *receive, sizeof(ch_call), receive_done);
  if (!receive) return;
  receive->gateway = gateway->config.name;
  receive->wait_ms = CH_GATEWAY_POLL_MS;
  ch_call_is_poll(gateway, receive);
  ch_call_submit(gateway, receive, 1);
  gateway->live.polling = true;
}
