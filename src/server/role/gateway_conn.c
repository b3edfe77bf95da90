/* SPDX-License-Identifier: Apache-2.0 */
/* Connections and the users they belong to: what goes out, how one ends (docs/protocol.md, "Session"). */
#include <string.h>

#include "server/role/gateway_parts.h"

enum {
  REFUSALS_MAX = 1000, REFUSALS_MS = 10000 /* docs/protocol.md, "Limits" */
};

static chat_bytes id_key(const uint64_t *id) {
  return ch_bytes_of(id, sizeof *id);
}

ch_conn *ch_conn_find(const ch_gateway *gateway, uint64_t id) {
  return ch_hashmap_find(&gateway->conns, id_key(&id));
}

chat_bytes ch_conn_user(const ch_conn *conn) {
  return conn->user ? ch_bytes_of(conn->user->id, conn->user->len) : (chat_bytes){0};
}

bool ch_conn_is_live(const ch_conn *conn) {
  return conn->session.state == CH_SESSION_LIVE && !conn->closing;
}

/* --- begin --- */

static void conn_init(ch_gateway *gateway, ch_conn *conn, uint64_t id, chat_bytes address, ch_now now) {
  conn->id = id;
  conn->timer.kind = CH_TIMER_CONN;
  conn->address_len = (uint8_t)(address.len < sizeof conn->address ? address.len : sizeof conn->address);
  if (conn->address_len) memcpy(conn->address, address.data, conn->address_len);
  ch_session_init(&conn->session, CH_SERVER_SIDE, &gateway->config.times, gateway->env.alloc, gateway->config.out_max, now.elapsed_ms);
  ch_list_init(&conn->dirty);
  ch_list_init(&conn->of_user);
  ch_list_init(&conn->renewing);
  ch_list_init(&conn->lanes);
  ch_list_init(&conn->watches);
}

static int has_room(const ch_gateway *gateway) {
  if (gateway->draining) return CHAT_E_AGAIN;
  return gateway->conns.count < gateway->config.sessions_max ? 0 : CHAT_E_LIMIT;
}

int ch_gateway_admit(ch_gateway *gateway, chat_bytes origin, ch_now now) {
  uint64_t retry_after_ms;
  int error = has_room(gateway);
  return error ? error : ch_gateway_limit(gateway, CH_LIMITS_ADDRESS, origin, &retry_after_ms, now);
}

int ch_gateway_opened(ch_gateway *gateway, uint64_t connection, chat_bytes address, ch_now now) {
  int error = has_room(gateway);
  if (error) return error;
  ch_conn *conn = ch_calloc(gateway->env.alloc, 1, sizeof *conn);
  if (!conn) return CHAT_E_NOMEM;
  conn_init(gateway, conn, connection, address, now);
  error = ch_timer_heap_set(&gateway->timers, &conn->timer, ch_session_deadline_ms(&conn->session));
  if (!error) error = ch_hashmap_insert(&gateway->conns, id_key(&connection), conn);
  if (error) {
    ch_timer_heap_clear(&gateway->timers, &conn->timer);
    ch_free(gateway->env.alloc, conn);
    return CHAT_E_NOMEM;
  }
  gateway->stats.sessions = gateway->conns.count;
  gateway->stats.sessions_total++;
  return 0;
}

/* --- users --- */

ch_user *ch_user_find(const ch_gateway *gateway, chat_bytes user) {
  return ch_hashmap_find(&gateway->users, user);
}

static ch_user *user_add(ch_gateway *gateway, chat_bytes id) {
  ch_user *user = ch_calloc(gateway->env.alloc, 1, sizeof *user + id.len);
  if (!user) return NULL;
  ch_list_init(&user->sessions);
  ch_list_init(&user->subscriptions);
  user->len = id.len;
  memcpy(user->id, id.data, id.len);
  if (ch_hashmap_insert(&gateway->users, id, user) == 0) return user;
  ch_free(gateway->env.alloc, user);
  return NULL;
}

static void user_leave(ch_gateway *gateway, ch_conn *conn) {
  ch_user *user = conn->user;
  if (!user) return;
  ch_list_remove(&conn->of_user);
  conn->user = NULL;
  if (!ch_list_is_empty(&user->sessions)) return;
  ch_channels_leave(gateway, user);
  ch_hashmap_remove(&gateway->users, ch_bytes_of(user->id, user->len));
  ch_free(gateway->env.alloc, user);
}

static bool same_device(const ch_conn *a, const ch_conn *b) {
  return memcmp(a->device_id, b->device_id, sizeof a->device_id) == 0;
}

/* A device has one session: the newer one wins. */
static bool replace_older(ch_gateway *gateway, ch_user *user, const ch_conn *conn, ch_now now) {
  bool newest = true;
  CH_LIST_FOR_EACH(node, &user->sessions) {
    ch_conn *other = CH_LIST_ITEM(node, ch_conn, of_user);
    if (other->closing || !same_device(other, conn)) continue;
    if (other->device_session > conn->device_session)
      newest = false;
    else
      ch_conn_goodbye(gateway, other, CHAT_E_REPLACED, now);
  }
  return newest;
}

int ch_conn_join(ch_gateway *gateway, ch_conn *conn, chat_bytes id, ch_now now) {
  ch_user *user = ch_user_find(gateway, id);
  if (user && !replace_older(gateway, user, conn, now)) return CHAT_E_REPLACED;
  if (!user) user = user_add(gateway, id);
  if (!user) return CHAT_E_NOMEM;
  conn->user = user;
  ch_list_push_back(&user->sessions, &conn->of_user);
  return 0;
}

uint32_t ch_gateway_end_sessions(ch_gateway *gateway, chat_bytes id, const uint8_t *device_id, int code, ch_now now) {
  ch_user *user = ch_user_find(gateway, id);
  uint32_t count = 0;
  if (!user) return 0;
  CH_LIST_FOR_EACH(node, &user->sessions) {
    ch_conn *conn = CH_LIST_ITEM(node, ch_conn, of_user);
    if (conn->closing || (device_id && memcmp(conn->device_id, device_id, sizeof conn->device_id) != 0)) continue;
    ch_conn_goodbye(gateway, conn, code, now);
    count++;
  }
  return count;
}

/* --- what goes out --- */

static void mark_dirty(ch_gateway *gateway, ch_conn *conn) {
  if (conn->patient_until_ms) ch_list_remove(&conn->dirty);
  conn->patient_until_ms = 0;
  if (ch_list_is_empty(&conn->dirty)) ch_list_push_back(&gateway->dirty, &conn->dirty);
}

/* Memory, not bytes that wait: it is what the server can run out of. */
static void count_out(ch_gateway *gateway, ch_conn *conn) {
  size_t held_len = conn->session.out.cap_len;
  if (held_len == conn->out_held_len) return;
  gateway->stats.out_held_len += held_len;
  gateway->stats.out_held_len -= conn->out_held_len;
  conn->out_held_len = held_len;
  /* In the heap of deadlines what is more is earlier. Whoever holds most of what is too much holds at least the mean of it, so that others need not be there. */
  bool may_be_most = held_len > 0 && held_len >= gateway->config.out_total_max / gateway->config.sessions_max;
  (void)ch_timer_heap_set(&gateway->holders, &conn->holding, may_be_most ? CH_NEVER_MS - 1 - held_len : CH_NEVER_MS);
}

static void drop_out(ch_gateway *gateway, ch_conn *conn) {
  ch_buf_fini(&conn->session.out);
  count_out(gateway, conn);
}

/* Taken out of the heap: it is to hold nothing. Where memory was out when it was to be put there, `grown` stands for it. */
static ch_conn *take_holder_of_most(ch_gateway *gateway, ch_conn *grown) {
  ch_timer *holding = ch_timer_heap_due(&gateway->holders, CH_NEVER_MS - 1);
  return holding ? CH_LIST_ITEM(holding, ch_conn, holding) : grown;
}

/* P8, for all together. What he misses, he finds by sync. */
static void keep_total(ch_gateway *gateway, ch_conn *grown, ch_now now) {
  count_out(gateway, grown);
  while (gateway->stats.out_held_len > gateway->config.out_total_max) {
    ch_conn *most = take_holder_of_most(gateway, grown);
    if (most->out_held_len == 0) return;
    if (!most->closing) {
      ch_conn_cut_off(gateway, most, now);
      continue;
    }
    drop_out(gateway, most); /* its last words are not read either */
    mark_dirty(gateway, most);
  }
}

bool ch_conn_holds_much(const ch_gateway *gateway, const ch_conn *conn) {
  size_t half = gateway->config.out_total_max / 2;
  return gateway->stats.out_held_len > half && conn->out_held_len > half / gateway->conns.count;
}

static bool put(ch_gateway *gateway, ch_conn *conn, const ch_server_message *message, ch_now now) {
  if (conn->closing) return false;
  int error = ch_session_put_server(&conn->session, message);
  if (error)
    ch_conn_cut_off(gateway, conn, now);
  else
    keep_total(gateway, conn, now);
  return !conn->closing;
}

bool ch_conn_put(ch_gateway *gateway, ch_conn *conn, const ch_server_message *message, ch_now now) {
  bool is_put = put(gateway, conn, message, now);
  if (is_put) mark_dirty(gateway, conn);
  return is_put;
}

static bool is_busy(ch_gateway *gateway, ch_now now) {
  ch_pace *pace = &gateway->pace;
  if (now.elapsed_ms - pace->since_ms < gateway->config.patience_ms) return pace->is_busy;
  pace->is_busy = gateway->stats.frames_out - pace->frames_out >= gateway->config.patience_frames;
  pace->since_ms = now.elapsed_ms;
  pace->frames_out = gateway->stats.frames_out;
  return pace->is_busy;
}

/* Something is to be written, but nobody waits for it. */
static void mark_patient(ch_gateway *gateway, ch_conn *conn, ch_now now) {
  if (!ch_list_is_empty(&conn->dirty)) return;
  uint64_t until_ms = now.elapsed_ms + gateway->config.patience_ms;
  bool waits = gateway->config.patience_ms > 0 && is_busy(gateway, now);
  if (!waits || ch_timer_heap_set_earlier(&gateway->timers, &gateway->patience, until_ms)) {
    mark_dirty(gateway, conn);
    return;
  }
  conn->patient_until_ms = until_ms;
  ch_list_push_back(&gateway->patient, &conn->dirty);
}

void ch_conn_put_patiently(ch_gateway *gateway, ch_conn *conn, const ch_server_message *message, ch_now now) {
  if (put(gateway, conn, message, now)) mark_patient(gateway, conn, now);
}

void ch_conn_patience_timer(ch_gateway *gateway, ch_timer *timer, ch_now now) {
  while (!ch_list_is_empty(&gateway->patient)) {
    ch_conn *conn = CH_LIST_ITEM(gateway->patient.next, ch_conn, dirty);
    bool is_due = conn->patient_until_ms <= now.elapsed_ms || ch_timer_heap_set(&gateway->timers, timer, conn->patient_until_ms);
    if (!is_due) return;
    mark_dirty(gateway, conn);
  }
}

static int put_raw(ch_gateway *gateway, ch_conn *conn, chat_bytes messages, ch_now now) {
  if (conn->closing) return CHAT_E_CLOSED;
  int error = ch_session_put_raw(&conn->session, messages);
  if (error) return error;
  keep_total(gateway, conn, now);
  return conn->closing ? CHAT_E_CLOSED : 0;
}

int ch_conn_put_raw(ch_gateway *gateway, ch_conn *conn, chat_bytes messages, ch_now now) {
  int error = put_raw(gateway, conn, messages, now);
  if (!error) mark_dirty(gateway, conn);
  return error;
}

int ch_conn_put_raw_patiently(ch_gateway *gateway, ch_conn *conn, chat_bytes messages, ch_now now) {
  int error = put_raw(gateway, conn, messages, now);
  if (!error) mark_patient(gateway, conn, now);
  return error;
}

void ch_conn_ok(ch_gateway *gateway, ch_conn *conn, uint64_t tag, ch_now now) {
  if (tag) ch_conn_put(gateway, conn, &(ch_server_message){.tag = tag, .op = CH_OK}, now);
}

void ch_conn_error(ch_gateway *gateway, ch_conn *conn, uint64_t tag, int code, uint64_t retry_after_ms, ch_now now) {
  ch_server_message message = {.tag = tag, .op = CH_ERROR};
  message.u.error.code = code;
  if (code == CHAT_E_AGAIN) {
    message.u.error.retry_after_ms = retry_after_ms < UINT32_MAX ? (uint32_t)retry_after_ms : UINT32_MAX;
    gateway->stats.limited++;
  }
  ch_conn_put(gateway, conn, &message, now);
}

/* --- the end --- */

static void leave(ch_gateway *gateway, ch_conn *conn) {
  if (conn->welcomed) {
    ch_routes_leave(gateway, conn);
    gateway->stats.live_sessions--;
  }
  conn->welcomed = false;
  ch_list_remove(&conn->renewing);
}

/* Nothing goes out behind this; what waits still may, for drain_ms. */
void ch_conn_close(ch_gateway *gateway, ch_conn *conn, ch_now now) {
  if (conn->closing) return;
  conn->closing = true;
  leave(gateway, conn);
  if (conn->session.state != CH_SESSION_CLOSED) ch_session_enter(&conn->session, CH_SESSION_CLOSED, now.elapsed_ms);
  mark_dirty(gateway, conn);
  ch_timer_heap_set(&gateway->timers, &conn->timer, now.elapsed_ms + gateway->config.times.drain_ms);
}

void ch_conn_cut_off(ch_gateway *gateway, ch_conn *conn, ch_now now) {
  if (conn->closing) return;
  gateway->stats.slow_readers++;
  drop_out(gateway, conn);
  ch_conn_close(gateway, conn, now);
}

static ch_server_message goodbye_of(const ch_gateway *gateway, int code) {
  ch_server_message message = {.op = CH_GOODBYE};
  message.u.goodbye.code = code;
  if (code == CHAT_E_AGAIN) message.u.goodbye.reconnect_after_ms = gateway->draining ? gateway->drain_spread_ms : REFUSALS_MS;
  return message;
}

void ch_conn_goodbye(ch_gateway *gateway, ch_conn *conn, int code, ch_now now) {
  ch_server_message message = goodbye_of(gateway, code);
  if (code == CHAT_E_PROTOCOL || code == CHAT_E_TOO_LARGE) gateway->stats.protocol_errors++;
  if (ch_conn_put(gateway, conn, &message, now)) ch_conn_close(gateway, conn, now);
}

void ch_conn_refuse(ch_gateway *gateway, ch_conn *conn, uint64_t tag, int code, ch_now now) {
  gateway->stats.auth_failures++;
  ch_conn_error(gateway, conn, tag, code, code == CHAT_E_AGAIN ? CH_GATEWAY_RETRY_MS : 0, now);
  ch_conn_close(gateway, conn, now);
}

/* A refusal costs the server as much as a small request, and a limit that is only said bounds nobody: whoever does not listen leaves, and comes back at its address's rate. */
void ch_conn_refused(ch_gateway *gateway, ch_conn *conn, ch_now now) {
  if (now.elapsed_ms - conn->refusals_since_ms >= REFUSALS_MS) {
    conn->refusals_since_ms = now.elapsed_ms;
    conn->refusals = 0;
  }
  if (++conn->refusals > REFUSALS_MAX) ch_conn_goodbye(gateway, conn, CHAT_E_AGAIN, now);
}

void ch_gateway_closed(ch_gateway *gateway, uint64_t connection, ch_now now) {
  ch_conn *conn = ch_hashmap_remove(&gateway->conns, id_key(&connection));
  (void)now;
  if (!conn) return;
  leave(gateway, conn);
  ch_lanes_end(gateway, conn);
  ch_watches_end(gateway, conn);
  user_leave(gateway, conn);
  ch_timer_heap_clear(&gateway->timers, &conn->timer);
  ch_list_remove(&conn->dirty);
  drop_out(gateway, conn);
  ch_timer_heap_clear(&gateway->holders, &conn->holding);
  ch_session_fini(&conn->session);
  ch_free(gateway->env.alloc, conn);
  gateway->stats.sessions = gateway->conns.count;
}

/* --- time --- */

static uint64_t expiry_ms(const ch_conn *conn, ch_now now) {
  if (!conn->expires_ms) return CH_NEVER_MS;
  if (conn->expires_ms <= now.wall_ms) return now.elapsed_ms;
  uint64_t left_ms = conn->expires_ms - now.wall_ms;
  return left_ms < CH_NEVER_MS - now.elapsed_ms ? now.elapsed_ms + left_ms : CH_NEVER_MS;
}

/* Called where a deadline may have come nearer. One that moved away is found out when the timer fires: a frame costs no work in the heap. */
void ch_conn_arm(ch_gateway *gateway, ch_conn *conn, ch_now now) {
  if (conn->closing) return;
  ch_timer_heap_set_earlier(&gateway->timers, &conn->timer, ch_session_deadline_ms(&conn->session));
  ch_timer_heap_set_earlier(&gateway->timers, &conn->timer, expiry_ms(conn, now));
}

static void give_up(ch_gateway *gateway, ch_conn *conn, ch_now now) {
  int code = conn->session.state == CH_SESSION_DRAINING ? CHAT_E_AGAIN : CHAT_E_TIMEOUT;
  ch_conn_goodbye(gateway, conn, code, now);
}

void ch_conn_timer(ch_gateway *gateway, ch_timer *timer, ch_now now) {
  ch_conn *conn = CH_LIST_ITEM(timer, ch_conn, timer);
  if (conn->closing) { /* the peer does not read: what waits is lost, and the loop is told to close */
    drop_out(gateway, conn);
    mark_dirty(gateway, conn);
    return;
  }
  if (ch_session_check(&conn->session, now.elapsed_ms) == CH_DUE_EXPIRED)
    give_up(gateway, conn, now);
  else if (expiry_ms(conn, now) <= now.elapsed_ms)
    ch_conn_goodbye(gateway, conn, CHAT_E_EXPIRED, now);
  else
    ch_conn_arm(gateway, conn, now);
}

/* --- drain: what was sent before is still answered, for at most drain_ms --- */

static void drain_conn(ch_gateway *gateway, ch_conn *conn, ch_now now) {
  if (conn->closing) return;
  if (conn->session.state != CH_SESSION_LIVE || conn->unanswered == 0) {
    ch_conn_goodbye(gateway, conn, CHAT_E_AGAIN, now);
    return;
  }
  conn->told_to_leave = true;
  ch_session_enter(&conn->session, CH_SESSION_DRAINING, now.elapsed_ms);
  ch_conn_arm(gateway, conn, now);
}

void ch_conn_answered(ch_gateway *gateway, ch_conn *conn, ch_now now) {
  ch_assert(conn->unanswered > 0);
  conn->unanswered--;
  if (conn->told_to_leave && conn->unanswered == 0) ch_conn_goodbye(gateway, conn, CHAT_E_AGAIN, now);
}

void ch_gateway_drain(ch_gateway *gateway, uint32_t spread_ms, ch_now now) {
  gateway->draining = true;
  gateway->drain_spread_ms = spread_ms;
  for (ch_hashmap_entry *entry = ch_hashmap_first(&gateway->conns); entry; entry = ch_hashmap_next(&gateway->conns, entry))
    drain_conn(gateway, entry->value, now);
}

bool ch_gateway_drained(const ch_gateway *gateway) {
  bool all_out = gateway->routes.leaving.len == 0 && ch_list_is_empty(&gateway->tasks.records); /* what becomes ops at the next pull */
  return gateway->draining && all_out && gateway->conns.count == 0 && gateway->calls.under_way == 0;
}

/* --- the loop's side --- */

uint64_t ch_gateway_next_dirty(ch_gateway *gateway) {
  ch_list *node = ch_list_pop_front(&gateway->dirty);
  return node ? CH_LIST_ITEM(node, ch_conn, dirty)->id : 0;
}

chat_bytes ch_gateway_peek(ch_gateway *gateway, uint64_t connection, bool *close) {
  ch_conn *conn = ch_conn_find(gateway, connection);
  *close = conn && conn->closing;
  return conn ? ch_session_peek(&conn->session) : (chat_bytes){0};
}

void ch_gateway_taken(ch_gateway *gateway, uint64_t connection, size_t len, ch_now now) {
  ch_conn *conn = ch_conn_find(gateway, connection);
  if (!conn || len == 0) return;
  ch_session_taken(&conn->session, len, now.elapsed_ms);
  count_out(gateway, conn);
  gateway->stats.frames_out++;
  gateway->stats.bytes_out += len;
}
