/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends of a session, a lane for each conversation (docs/protocol.md, "Sending"):
 *
 *   arrivals → (G1: in its turn? else `early`) → checking → passing → its record in the log → answer, in the log's order (G3)
 *
 * One entry of a lane is checked at a time, so what is passed keeps the order in which it came.
 */
#include <string.h>

#include "server/role/gateway_parts.h"
#include "core/rule.h"

enum {
  SEND_BYTES_MAX = 4 * 1024 * 1024,  /* kept for one connection */
  ALL_BYTES_MAX = 256 * 1024 * 1024  /* kept for all of them */
};

/* ------------------------------------------------------------------------------------------------ entries */

ch_entry *ch_entry_new(ch_gateway *gateway, const ch_send *send) {
  size_t len = send->payload.len + send->peer.len;
  ch_entry *entry = ch_alloc(gateway->env.alloc, sizeof *entry + len);
  if (!entry) return NULL;
  memset(entry, 0, sizeof *entry);
  ch_list_init(&entry->node);
  ch_list_init(&entry->queued);
  entry->serial = ++gateway->sends.serial;
  entry->state = CH_ENTRY_ARRIVED;
  entry->len = len;
  entry->send = *send;
  if (send->payload.len) memcpy(entry->bytes, send->payload.data, send->payload.len);
  if (send->peer.len) memcpy(entry->bytes + send->payload.len, send->peer.data, send->peer.len);
  entry->send.payload.data = entry->bytes;
  entry->send.peer.data = entry->bytes + send->payload.len;
  gateway->sends.len += len;
  return entry;
}

void ch_entry_free(ch_gateway *gateway, ch_entry *entry) {
  if (!entry) return;
  ch_append_forget(gateway, entry);
  ch_list_remove(&entry->node);
  gateway->sends.len -= entry->len;
  if (entry->lane) {
    entry->lane->conn->send_len -= entry->len;
    entry->lane->count--;
  }
  ch_free(gateway->env.alloc, entry);
}

/* ------------------------------------------------------------------------------------------------ answers */

static void put_answer(ch_gateway *gateway, ch_conn *conn, const ch_send *send, ch_answer_code code, int error, uint64_t retry_after_ms, ch_now now) {
  ch_server_message message = {.op = CH_ANSWER};
  ch_answer *answer = &message.u.answer;
  answer->code = code;
  answer->client_seq = send->client_seq;
  answer->error = error;
  answer->retry_after_ms = retry_after_ms < UINT32_MAX ? (uint32_t)retry_after_ms : UINT32_MAX;
  memcpy(answer->conversation_id, send->conversation_id, 16);
  memcpy(answer->client_id, send->client_id, 16);
  gateway->stats.answers[code]++;
  if (code == CH_ACCEPTED) ch_conn_put_patiently(gateway, conn, &message, now);
  else ch_conn_put(gateway, conn, &message, now);
}

void ch_send_answer_retry(ch_gateway *gateway, ch_conn *conn, const ch_send *send, uint64_t retry_after_ms, ch_now now) {
  put_answer(gateway, conn, send, CH_RETRY, 0, retry_after_ms, now);
}

/* The entry is gone afterwards. A void is answered by the sequencer alone (G2). */
static void answer(ch_gateway *gateway, ch_entry *entry, ch_answer_code code, int error, uint64_t retry_after_ms, ch_now now) {
  ch_conn *conn = entry->lane->conn;
  ch_send send = entry->send;
  bool silent = code == CH_ACCEPTED && entry->void_error;
  ch_entry_free(gateway, entry);
  if (!silent) put_answer(gateway, conn, &send, code, error, retry_after_ms, now);
  ch_conn_answered(gateway, conn, now);
}

/* ------------------------------------------------------------------------------------------------ lanes */

ch_lane *ch_lane_find(ch_conn *conn, const uint8_t conversation_id[16]) {
  CH_LIST_FOR_EACH(node, &conn->lanes) {
    ch_lane *lane = CH_LIST_ITEM(node, ch_lane, node);
    if (memcmp(lane->conversation_id, conversation_id, 16) == 0) return lane;
  }
  return NULL;
}

static void lane_free(ch_gateway *gateway, ch_lane *lane) {
  ch_entry *entry;
  while ((entry = ch_order_buffer_expire(&lane->early, CH_NEVER_MS))) {
    lane->conn->held--;
    ch_entry_free(gateway, entry);
  }
  ch_entry_free(gateway, lane->checking);
  while (!ch_list_is_empty(&lane->arrivals)) ch_entry_free(gateway, CH_LIST_ITEM(lane->arrivals.next, ch_entry, node));
  while (!ch_list_is_empty(&lane->passing)) ch_entry_free(gateway, CH_LIST_ITEM(lane->passing.next, ch_entry, node));
  ch_order_buffer_fini(&lane->early);
  ch_timer_heap_clear(&gateway->timers, &lane->timer);
  ch_list_remove(&lane->node);
  lane->conn->lane_count--;
  ch_free(gateway->env.alloc, lane);
}

void ch_lanes_end(ch_gateway *gateway, ch_conn *conn) {
  while (!ch_list_is_empty(&conn->lanes)) lane_free(gateway, CH_LIST_ITEM(conn->lanes.next, ch_lane, node));
}

/* The least recently used lane with nothing in it makes room. What is forgotten of it (its highest number passed) costs a GAP at worst. */
static bool make_room(ch_gateway *gateway, ch_conn *conn) {
  if (conn->lane_count < CH_GATEWAY_LANES_MAX) return true;
  CH_LIST_FOR_EACH(node, &conn->lanes) {
    ch_lane *lane = CH_LIST_ITEM(node, ch_lane, node);
    if (lane->count) continue;
    lane_free(gateway, lane);
    return true;
  }
  return false;
}

static ch_lane *lane_new(ch_gateway *gateway, ch_conn *conn, const uint8_t conversation_id[16]) {
  ch_lane *lane = make_room(gateway, conn) ? ch_calloc(gateway->env.alloc, 1, sizeof *lane) : NULL;
  if (!lane) return NULL;
  lane->conn = conn;
  lane->timer.kind = CH_TIMER_LANE;
  memcpy(lane->conversation_id, conversation_id, 16);
  ch_list_init(&lane->node);
  ch_list_init(&lane->arrivals);
  ch_list_init(&lane->passing);
  ch_order_buffer_limits limits = {gateway->config.hold_max, SEND_BYTES_MAX, gateway->config.hold_ms};
  ch_order_buffer_init(&lane->early, gateway->env.alloc, limits, NULL);
  conn->lane_count++;
  return lane;
}

static ch_lane *lane_for(ch_gateway *gateway, ch_conn *conn, const uint8_t conversation_id[16]) {
  ch_lane *lane = ch_lane_find(conn, conversation_id);
  if (!lane) lane = lane_new(gateway, conn, conversation_id);
  if (!lane) return NULL;
  ch_list_remove(&lane->node);
  ch_list_push_back(&conn->lanes, &lane->node);
  return lane;
}

/* ------------------------------------------------------------------------------------------------ G1: its turn, or early */

static int hold(ch_gateway *gateway, ch_lane *lane, ch_entry *entry, ch_now now) {
  if (lane->conn->held >= gateway->config.hold_max) return CHAT_E_BUSY;
  int error = ch_order_buffer_put(&lane->early, entry->send.client_seq, entry->send.prev, entry, entry->len, now.elapsed_ms);
  if (!error) lane->conn->held++;
  return error;
}

static void hold_or_gap(ch_gateway *gateway, ch_lane *lane, ch_entry *entry, ch_now now) {
  if (hold(gateway, lane, entry, now))
    answer(gateway, entry, CH_GAP, 0, 0, now);
  else if (ch_timer_heap_set_earlier(&gateway->timers, &lane->timer, ch_order_buffer_next_deadline_ms(&lane->early)))
    ch_lane_timer(gateway, &lane->timer, (ch_now){CH_NEVER_MS - 1, now.wall_ms}); /* no memory for a timer: nothing may wait */
}

void ch_lane_timer(ch_gateway *gateway, ch_timer *timer, ch_now now) {
  ch_lane *lane = CH_LIST_ITEM(timer, ch_lane, timer);
  ch_entry *entry;
  while ((entry = ch_order_buffer_expire(&lane->early, now.elapsed_ms))) {
    lane->conn->held--;
    answer(gateway, entry, CH_GAP, 0, 0, now);
  }
  ch_timer_heap_set(&gateway->timers, &lane->timer, ch_order_buffer_next_deadline_ms(&lane->early));
}

/* The next one that is in its turn, taken out of where it waited; early ones are put aside on the way. */
static ch_entry *next_in_turn(ch_gateway *gateway, ch_lane *lane, ch_now now) {
  ch_entry *entry = ch_order_buffer_pop_ready(&lane->early, lane->turn.passed);
  if (entry) {
    lane->conn->held--;
    return entry;
  }
  for (ch_list *node = ch_list_pop_front(&lane->arrivals); node; node = ch_list_pop_front(&lane->arrivals)) {
    entry = CH_LIST_ITEM(node, ch_entry, node);
    if (ch_turn_has_come(&lane->turn, entry->send.prev)) return entry;
    hold_or_gap(gateway, lane, entry, now);
  }
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ checks and their outcome */

static void pass(ch_gateway *gateway, ch_lane *lane, ch_entry *entry, ch_now now) {
  ch_turn_pass(&lane->turn, entry->send.client_seq);
  if (!entry->void_error && (entry->send.type == CHAT_TYPE_CREATE || entry->send.peer.len)) lane->created_ms = now.elapsed_ms + 1;
  entry->state = CH_ENTRY_PASSED;
  ch_list_push_back(&lane->passing, &entry->node);
  ch_append_queue(gateway, entry);
  if (!CH_RULE(APPEND_BEFORE_ACK)) ch_lane_appended(gateway, lane, entry->serial, 0, now);
}

static void settle(ch_gateway *gateway, ch_lane *lane, ch_entry *entry, int outcome, uint64_t retry_after_ms, ch_now now) {
  if (outcome == CH_CHECK_PASS && ch_append_check(entry)) outcome = CHAT_E_INTERNAL;
  switch (ch_turn_decide(&lane->turn, entry->send.prev, entry->send.retry, entry->send.discard, outcome)) {
  case CH_TURN_EARLY:
    entry->step = 0;
    hold_or_gap(gateway, lane, entry, now);
    break;
  case CH_TURN_RETRY:
    answer(gateway, entry, CH_RETRY, 0, retry_after_ms ? retry_after_ms : CH_GATEWAY_RETRY_MS, now);
    break;
  case CH_TURN_REFUSE:
    answer(gateway, entry, CH_REFUSED, outcome, 0, now);
    break;
  case CH_TURN_PASS:
  case CH_TURN_VOID:
    entry->void_error = outcome;
    if (outcome && ch_append_check(entry)) /* not even its number can be said in the log */
      answer(gateway, entry, CH_RETRY, 0, CH_GATEWAY_RETRY_MS, now);
    else
      pass(gateway, lane, entry, now);
  }
}

static int check(ch_gateway *gateway, ch_entry *entry, uint64_t *retry_after_ms, ch_now now) {
  if (entry->send.discard) return CHAT_E_CANCELED; /* C8 */
  if (entry->error) return entry->error;
  return ch_check_run(gateway, entry, retry_after_ms, now);
}

static void lane_run(ch_gateway *gateway, ch_lane *lane, ch_now now) {
  ch_entry *entry;
  while (!lane->checking && (entry = next_in_turn(gateway, lane, now))) {
    uint64_t retry_after_ms = 0;
    entry->state = CH_ENTRY_CHECKING;
    lane->checking = entry;
    int outcome = check(gateway, entry, &retry_after_ms, now);
    if (outcome == CH_CHECK_WAIT) return;
    lane->checking = NULL;
    settle(gateway, lane, entry, outcome, retry_after_ms, now);
  }
}

void ch_lane_settled(ch_gateway *gateway, ch_lane *lane, int outcome, uint64_t retry_after_ms, ch_now now) {
  ch_entry *entry = lane->checking;
  ch_assert(entry);
  lane->checking = NULL;
  settle(gateway, lane, entry, outcome, retry_after_ms, now);
  lane_run(gateway, lane, now);
}

/* ------------------------------------------------------------------------------------------------ what became of its record (G3) */

static ch_entry *find_passed(ch_lane *lane, uint64_t serial) {
  CH_LIST_FOR_EACH(node, &lane->passing) {
    ch_entry *entry = CH_LIST_ITEM(node, ch_entry, node);
    if (entry->serial == serial) return entry;
  }
  return NULL;
}

static void accept_in_order(ch_gateway *gateway, ch_lane *lane, ch_now now) {
  while (!ch_list_is_empty(&lane->passing)) {
    ch_entry *entry = CH_LIST_ITEM(lane->passing.next, ch_entry, node);
    if (entry->state != CH_ENTRY_ACKED) return;
    ch_turn_accept(&lane->turn, entry->send.client_seq);
    answer(gateway, entry, CH_ACCEPTED, 0, 0, now);
  }
}

/* It and every later number not yet ACCEPTED is unknown, also where its own acknowledgement came; passed falls back to before it. */
static void unknown_from(ch_gateway *gateway, ch_lane *lane, ch_entry *failed, ch_now now) {
  uint64_t number = failed->send.client_seq;
  bool behind = false;
  ch_turn_fall_back(&lane->turn, failed->send.prev);
  for (ch_list *node = lane->passing.next, *next; node != &lane->passing; node = next) {
    next = node->next;
    ch_entry *entry = CH_LIST_ITEM(node, ch_entry, node);
    behind = behind || entry == failed;
    if (behind || entry->send.client_seq >= number)
      answer(gateway, entry, CH_UNKNOWN, 0, 0, now);
    else
      ch_turn_keep(&lane->turn, entry->send.client_seq);
  }
}

void ch_lane_appended(ch_gateway *gateway, ch_lane *lane, uint64_t serial, int status, ch_now now) {
  ch_entry *entry = find_passed(lane, serial);
  if (!entry) return; /* unknown already, by one before it */
  if (!CH_RULE(G3)) {
    answer(gateway, entry, status ? CH_UNKNOWN : CH_ACCEPTED, 0, 0, now);
    return;
  }
  if (status) {
    unknown_from(gateway, lane, entry, now);
    lane_run(gateway, lane, now);
    return;
  }
  entry->state = CH_ENTRY_ACKED;
  accept_in_order(gateway, lane, now);
}

/* ------------------------------------------------------------------------------------------------ a Send comes in */

static bool can_be_named(const ch_send *send) {
  return send->client_seq && !ch_id_is_zero(send->client_id) && !ch_id_is_zero(send->conversation_id);
}

static ch_entry *take_in(ch_gateway *gateway, ch_conn *conn, const ch_send *send, int error, ch_now now) {
  ch_lane *lane = lane_for(gateway, conn, send->conversation_id);
  if (!lane || lane->count >= gateway->config.in_flight_max || conn->send_len > SEND_BYTES_MAX || gateway->sends.len > ALL_BYTES_MAX) return NULL;
  ch_send kept = *send;
  if (error) kept.payload = kept.peer = (chat_bytes){0}; /* only its number matters */
  if (error && kept.prev >= kept.client_seq) kept.prev = 0; /* no number is before itself: nothing would let it pass */
  ch_entry *entry = ch_entry_new(gateway, &kept);
  if (!entry) return NULL;
  entry->lane = lane;
  entry->error = error;
  entry->arrived_ms = now.elapsed_ms;
  lane->count++;
  conn->send_len += entry->len;
  conn->unanswered++;
  ch_list_push_back(&lane->arrivals, &entry->node);
  return entry;
}

void ch_send_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, int error, ch_now now) {
  const ch_send *send = &message->u.send;
  if (error && !can_be_named(send)) {
    ch_conn_error(gateway, conn, message->tag, error, 0, now);
    return;
  }
  /* Our own lack of memory is no fault of the message, which must not end by it. */
  ch_entry *entry = error == CHAT_E_NOMEM ? NULL : take_in(gateway, conn, send, error, now);
  if (entry)
    lane_run(gateway, entry->lane, now);
  else
    ch_send_answer_retry(gateway, conn, send, CH_GATEWAY_RETRY_MS, now);
}
