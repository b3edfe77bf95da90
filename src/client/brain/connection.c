/* SPDX-License-Identifier: Apache-2.0 */
#include "client/brain/connection.h"

#include <sodium.h>
#include <string.h>

#include "client/brain/owner.h"
#include "core/assert.h"

enum {
  PROTOCOL_VERSION = 1,
  OUT_MAX = 4 * 1024 * 1024,
  OUT_CALM = 512 * 1024, /* SENDs and calls wait while more than this has not been taken */
  TOKEN_EARLY_MS = 60000
};

void ch_connection_init(ch_brain *brain) {
  brain->connection = (ch_connection){.link = CH_LINK_DOWN, .is_wanted = true};
  ch_list_init(&brain->connection.calls);
}

/* ------------------------------------------------------------------------------------------------ calls */

bool ch_is_up(const ch_brain *brain) {
  return brain->connection.link == CH_LINK_UP;
}

uint64_t ch_random_below(ch_brain *brain, uint64_t bound) {
  uint64_t number;
  if (bound == 0) return 0;
  brain->env.random(brain->env.random_arg, &number, sizeof number);
  return number % bound;
}

int ch_put(ch_brain *brain, ch_client_message *message) {
  ch_connection *connection = &brain->connection;
  if (!ch_is_up(brain)) return CHAT_E_OFFLINE;
  if (connection->session.out.len > OUT_CALM) return CHAT_E_BUSY;
  return ch_session_put_client(&connection->session, message);
}

int ch_call_put(ch_brain *brain, ch_client_message *message, const ch_call *call) {
  ch_call *kept = ch_alloc(brain->env.alloc, sizeof *kept);
  if (!kept) return CHAT_E_NOMEM;
  *kept = *call;
  kept->wire_tag = message->tag = ++brain->connection.last_tag;
  int error = ch_put(brain, message);
  if (error) {
    ch_free(brain->env.alloc, kept);
    return error;
  }
  ch_list_push_back(&brain->connection.calls, &kept->place);
  return 0;
}

int ch_no_session(const ch_brain *brain) {
  return brain->is_suspended ? CHAT_E_SUSPENDED : CHAT_E_OFFLINE;
}

int ch_call_status(const ch_brain *brain, const ch_server_message *reply) {
  if (!reply) return ch_no_session(brain);
  if (reply->op != CH_ERROR) return 0;
  return reply->u.error.code < 0 ? reply->u.error.code : CHAT_E_PROTOCOL;
}

static void finish_call(ch_brain *brain, ch_call *call, const ch_server_message *reply) {
  static const ch_server_message odd = {.op = CH_ERROR, .u.error.code = CHAT_E_PROTOCOL};
  if (reply && reply->op != CH_ERROR && reply->op != call->wanted) reply = &odd;
  ch_list_remove(&call->place);
  call->done(brain, call, reply);
  ch_free(brain->env.alloc, call);
}

bool ch_call_take(ch_brain *brain, const ch_server_message *reply) {
  if (reply->tag == 0) return false;
  CH_LIST_FOR_EACH(node, &brain->connection.calls) {
    ch_call *call = CH_LIST_ITEM(node, ch_call, place);
    if (call->wire_tag != reply->tag) continue;
    finish_call(brain, call, reply);
    return true;
  }
  return false;
}

static void end_calls(ch_brain *brain) {
  while (!ch_list_is_empty(&brain->connection.calls))
    finish_call(brain, CH_LIST_ITEM(brain->connection.calls.next, ch_call, place), NULL);
}

/* ------------------------------------------------------------------------------------------------ down */

static void end_session(ch_brain *brain) {
  ch_connection *connection = &brain->connection;
  bool was_up = ch_is_up(brain);
  if (connection->has_session) ch_session_fini(&connection->session);
  connection->has_session = connection->is_live = false;
  connection->link = CH_LINK_DOWN;
  connection->peeked_len = 0;
  end_calls(brain);
  if (!was_up) return;
  ch_outbox_session_ended(brain);
  ch_sync_session_ended(brain);
  ch_people_session_ended(brain);
}

void ch_connection_drop(ch_brain *brain, int status, uint64_t delay_ms) {
  ch_connection *connection = &brain->connection;
  if (connection->link != CH_LINK_DOWN) connection->want_close = true;
  if (connection->link != CH_LINK_DOWN && status) ch_fact_tell(brain, CH_FACT_LOST, status, delay_ms);
  connection->want_open = false;
  connection->status = status;
  connection->retry_ms = ch_now_ms(brain) + delay_ms;
  end_session(brain);
}

/* Full jitter: uniform in 0..min(max, min * 2^n). */
static uint64_t backoff_ms(ch_brain *brain) {
  uint32_t shift = brain->connection.attempts < 16 ? brain->connection.attempts++ : 16;
  uint64_t bound = ch_sooner(brain->config.backoff_max_ms, (uint64_t)brain->config.backoff_min_ms << shift);
  return ch_random_below(brain, bound + 1);
}

void ch_connection_lose(ch_brain *brain, int status) {
  ch_connection_drop(brain, status, backoff_ms(brain));
}

void ch_connection_shut_out(ch_brain *brain, int status) {
  brain->connection.is_shut_out = true;
  ch_connection_drop(brain, status, 0);
}

/* Who was shut out, or whose token was spent, is not here any longer. */
static void forget_token(ch_connection *connection, const ch_allocator *alloc) {
  if (connection->token) sodium_memzero(connection->token, connection->token_len);
  ch_free(alloc, connection->token);
  connection->token = NULL;
  connection->token_len = 0;
  connection->is_shut_out = connection->token_spent = connection->token_told = false;
}

void ch_connection_fini(ch_brain *brain) {
  end_session(brain);
  forget_token(&brain->connection, brain->env.alloc);
}

static bool is_desired(const ch_brain *brain) {
  const ch_connection *connection = &brain->connection;
  return connection->is_wanted && connection->token_len > 0 && !connection->token_spent && !connection->is_shut_out && !brain->is_suspended &&
         brain->database.is_open && !brain->database.is_lost;
}

/* ------------------------------------------------------------------------------------------------ up */

void ch_brain_opened(ch_brain *brain, ch_now now) {
  ch_connection *connection = &brain->connection;
  brain->now = now;
  if (connection->link != CH_LINK_OPENING) return;
  ch_session_init(&connection->session, CH_CLIENT_SIDE, &brain->config.times, brain->env.alloc, OUT_MAX, now.elapsed_ms);
  connection->has_session = true;
  const ch_identity *identity = &brain->database.identity;
  ch_client_message hello = {.op = CH_HELLO, .tag = ++connection->last_tag};
  hello.u.hello = (ch_hello){.version = PROTOCOL_VERSION, .token = {connection->token, connection->token_len}, .has_device = identity->has_device,
                             .device_session = identity->has_device ? identity->session : 0, .client = brain->config.client_name};
  memcpy(hello.u.hello.device_id, identity->device_id, 16);
  connection->link = CH_LINK_HELLO;
  if (ch_session_put_client(&connection->session, &hello)) {
    ch_connection_lose(brain, CHAT_E_NOMEM);
    return;
  }
  ch_session_enter(&connection->session, CH_SESSION_AUTH, now.elapsed_ms);
  ch_connection_settle(brain);
}

static int admit_identity(const ch_brain *brain, const ch_welcome *welcome) {
  const ch_identity *identity = &brain->database.identity;
  if (identity->user_len > 0 && !ch_is_own(brain, welcome->user)) return CHAT_E_CONFLICT; /* a database belongs to one user */
  if (identity->has_device && memcmp(identity->device_id, welcome->device_id, 16) != 0) return CHAT_E_CONFLICT;
  return welcome->user.len == 0 || welcome->user.len > CHAT_USER_ID_MAX ? CHAT_E_PROTOCOL : 0;
}

/* The session's number counts from its confirmation on, so it is durable before that (docs/protocol.md, "Session"). */
static int commit_identity(ch_brain *brain, const ch_welcome *welcome) {
  ch_begin(brain);
  ch_identity *identity = ch_change_identity(brain);
  memcpy(identity->user, welcome->user.data, welcome->user.len);
  identity->user_len = welcome->user.len;
  memcpy(identity->device_id, welcome->device_id, 16);
  identity->has_device = 1;
  identity->session = welcome->device_session;
  return ch_end(brain, true);
}

static void begin_session(ch_brain *brain, const ch_welcome *welcome) {
  ch_connection *connection = &brain->connection;
  connection->limits = welcome->limits;
  if (welcome->limits.heartbeat_ms > 0) connection->session.times.heartbeat_ms = welcome->limits.heartbeat_ms;
  connection->token_expires_ms = welcome->token_expires_ms;
  connection->token_told = false;
  connection->status = 0;
  connection->number++;
  connection->link = CH_LINK_UP;
  ch_session_enter(&connection->session, CH_SESSION_LIVE, ch_now_ms(brain));
  ch_client_message confirm = {.op = CH_CONFIRM_SESSION, .u.device_session = welcome->device_session};
  ch_put(brain, &confirm);
  ch_sync_session_begun(brain);
  ch_outbox_session_begun(brain);
  ch_receipts_session_begun(brain);
  ch_people_session_begun(brain);
}

void ch_on_welcome(ch_brain *brain, const ch_server_message *message) {
  const ch_welcome *welcome = &message->u.welcome;
  if (brain->connection.link != CH_LINK_HELLO) {
    ch_connection_lose(brain, CHAT_E_PROTOCOL);
    return;
  }
  int error = admit_identity(brain, welcome);
  if (error) {
    ch_connection_shut_out(brain, error);
    return;
  }
  error = commit_identity(brain, welcome);
  if (error) ch_connection_lose(brain, error);
  else begin_session(brain, welcome);
}

static void spend_token(ch_brain *brain, int status) {
  brain->connection.token_spent = true;
  ch_connection_drop(brain, status, 0);
  ch_tell_status(brain, CHAT_EVENT_TOKEN, status, (chat_bytes){0});
}

static void refused_hello(ch_brain *brain, const ch_error *error) {
  switch (error->code) {
  case CHAT_E_CONFLICT:
    if (brain->database.identity.has_device) ch_restore_begin(brain);
    else ch_connection_lose(brain, CHAT_E_PROTOCOL); /* there is no device that could be a copy */
    break;
  case CHAT_E_EXPIRED: spend_token(brain, CHAT_E_EXPIRED); break;
  case CHAT_E_AUTH:
    ch_connection_shut_out(brain, CHAT_E_AUTH);
    ch_tell_status(brain, CHAT_EVENT_TOKEN, CHAT_E_AUTH, (chat_bytes){0});
    break;
  case CHAT_E_AGAIN: ch_connection_drop(brain, CHAT_E_AGAIN, error->retry_after_ms + backoff_ms(brain)); break;
  case CHAT_E_REVOKED:
  case CHAT_E_VERSION:
  case CHAT_E_LIMIT: ch_connection_shut_out(brain, error->code); break;
  default: ch_connection_lose(brain, error->code);
  }
}

/* One that answers no call: of HELLO, of a SEND that could not be read, or of a request that wanted no reply. */
void ch_on_error(ch_brain *brain, const ch_server_message *message) {
  if (brain->connection.link == CH_LINK_HELLO) refused_hello(brain, &message->u.error);
  else ch_outbox_take_error(brain, message);
}

void ch_on_goodbye(ch_brain *brain, const ch_server_message *message) {
  const ch_goodbye *goodbye = &message->u.goodbye;
  switch (goodbye->code) {
  case CHAT_E_AGAIN: ch_connection_drop(brain, CHAT_E_AGAIN, ch_later(ch_random_below(brain, (uint64_t)goodbye->reconnect_after_ms + 1), backoff_ms(brain))); break;
  case CHAT_E_REPLACED:
  case CHAT_E_REVOKED:
  case CHAT_E_AUTH: ch_connection_shut_out(brain, goodbye->code); break;
  case CHAT_E_EXPIRED: spend_token(brain, CHAT_E_EXPIRED); break;
  default: ch_connection_lose(brain, goodbye->code);
  }
}

void ch_brain_closed(ch_brain *brain, int status, ch_now now) {
  brain->now = now;
  if (brain->connection.link == CH_LINK_DOWN) return;
  ch_connection_lose(brain, status ? status : CHAT_E_CLOSED);
  brain->connection.want_close = false; /* it is closed */
  ch_brain_settle(brain);
}

/* ------------------------------------------------------------------------------------------------ what the embedder says */

static void renewed(ch_brain *brain, ch_call *call, const ch_server_message *reply) {
  int status = ch_call_status(brain, reply);
  (void)call;
  if (!reply) return;
  brain->connection.token_expires_ms = 0; /* of the new one it is told at the next Welcome */
  if (status) ch_tell_status(brain, CHAT_EVENT_TOKEN, status, (chat_bytes){0});
}

static void renew_in_place(ch_brain *brain) {
  ch_client_message message = {.op = CH_RENEW_TOKEN, .u.token = {brain->connection.token, brain->connection.token_len}};
  if (ch_call_put(brain, &message, &(ch_call){.done = renewed, .wanted = CH_OK})) ch_connection_drop(brain, 0, 0);
}

static int keep_token(ch_brain *brain, chat_bytes token) {
  ch_connection *connection = &brain->connection;
  uint8_t *copy = token.len > 0 ? ch_alloc(brain->env.alloc, token.len) : NULL;
  if (token.len > 0 && !copy) return CHAT_E_NOMEM;
  if (copy) memcpy(copy, token.data, token.len);
  forget_token(connection, brain->env.alloc);
  connection->token = copy;
  connection->token_len = token.len;
  return 0;
}

int ch_brain_set_token(ch_brain *brain, chat_bytes token, ch_now now) {
  ch_connection *connection = &brain->connection;
  brain->now = now;
  int error = token.len > CHAT_TOKEN_MAX ? CHAT_E_TOO_LARGE : keep_token(brain, token);
  if (error) {
    ch_tell_status(brain, CHAT_EVENT_TOKEN, error, (chat_bytes){0});
    return error;
  }
  if (token.len == 0) ch_connection_drop(brain, 0, 0);
  else if (ch_is_up(brain)) renew_in_place(brain);
  else if (connection->link == CH_LINK_DOWN) connection->retry_ms = now.elapsed_ms;
  ch_brain_settle(brain);
  return 0;
}

void ch_brain_url_changed(ch_brain *brain, ch_now now) {
  brain->now = now;
  brain->connection.is_shut_out = false;
  brain->connection.attempts = 0;
  ch_connection_drop(brain, 0, 0);
  ch_brain_settle(brain);
}

void ch_brain_network_hint(ch_brain *brain, int hint, ch_now now) {
  ch_connection *connection = &brain->connection;
  brain->now = now;
  if (hint != CHAT_NETWORK_DOWN) {
    connection->attempts = 0;
    connection->retry_ms = now.elapsed_ms;
  }
  if (hint != CHAT_NETWORK_UP && connection->link != CH_LINK_DOWN) ch_connection_drop(brain, CHAT_E_CLOSED, hint == CHAT_NETWORK_DOWN ? brain->config.backoff_min_ms : 0);
  ch_brain_settle(brain);
}

/* ------------------------------------------------------------------------------------------------ transport */

ch_brain_want ch_brain_wants(ch_brain *brain) {
  ch_connection *connection = &brain->connection;
  ch_brain_want want = connection->want_close ? CH_WANT_CLOSE : connection->want_open ? CH_WANT_OPEN : CH_WANT_NOTHING;
  if (want == CH_WANT_OPEN) connection->want_open = false;
  connection->want_close = false;
  return want;
}

chat_bytes ch_brain_peek(ch_brain *brain) {
  ch_connection *connection = &brain->connection;
  if (!connection->has_session) return (chat_bytes){0};
  chat_bytes frame = ch_session_peek(&connection->session);
  connection->peeked_len = frame.len;
  return frame;
}

void ch_brain_taken(ch_brain *brain, ch_now now) {
  ch_connection *connection = &brain->connection;
  brain->now = now;
  if (!connection->has_session) return;
  ch_session_taken(&connection->session, connection->peeked_len, now.elapsed_ms);
  connection->peeked_len = 0;
  brain->outbox.is_dirty = true;
  ch_brain_settle(brain);
}

/* ------------------------------------------------------------------------------------------------ time */

static void heartbeat(ch_brain *brain) {
  ch_client_message message = {.op = CH_HEARTBEAT, .tag = ++brain->connection.last_tag};
  ch_put(brain, &message);
}

/* What was to be said and found no memory is a hole, behind which a session says nothing any more (core/session.h): the next one says it all. */
static void check_session(ch_brain *brain) {
  if (brain->connection.session.out.error) {
    ch_connection_lose(brain, CHAT_E_NOMEM);
    return;
  }
  ch_session_due due = ch_session_check(&brain->connection.session, ch_now_ms(brain));
  if (due == CH_DUE_EXPIRED) ch_connection_lose(brain, CHAT_E_TIMEOUT);
  else if (due == CH_DUE_HEARTBEAT) heartbeat(brain);
}

static void check_token(ch_brain *brain) {
  ch_connection *connection = &brain->connection;
  if (connection->token_told || connection->token_expires_ms == 0 || brain->now.wall_ms + TOKEN_EARLY_MS < connection->token_expires_ms) return;
  connection->token_told = true;
  ch_client_event *event = ch_event_new(brain, CHAT_EVENT_TOKEN);
  if (event) event->event.until_ms = connection->token_expires_ms;
  ch_event_put(brain, event);
}

/* Without a device the server registers one. It is one of devices-max whether or not its id could be committed here, so nobody asks for it whose database takes nothing. */
static int prove_database(ch_brain *brain) {
  if (brain->database.identity.has_device) return 0;
  ch_begin(brain);
  ch_put_proof(brain);
  return ch_end(brain, true);
}

static void check_down(ch_brain *brain) {
  ch_connection *connection = &brain->connection;
  if (!is_desired(brain) || ch_now_ms(brain) < connection->retry_ms) return;
  int error = prove_database(brain);
  if (error) {
    ch_connection_lose(brain, error);
    return;
  }
  connection->link = CH_LINK_OPENING;
  connection->opening_ms = ch_now_ms(brain);
  connection->want_open = true;
}

static uint32_t present_state(const ch_brain *brain) {
  const ch_connection *connection = &brain->connection;
  if (brain->is_suspended) return CHAT_STATE_SUSPENDED;
  if (connection->is_shut_out) return CHAT_STATE_SHUT_OUT;
  if (!is_desired(brain)) return CHAT_STATE_OFFLINE;
  if (!ch_is_up(brain)) return CHAT_STATE_CONNECTING;
  return connection->is_live ? CHAT_STATE_LIVE : CHAT_STATE_SYNCING;
}

static void tell_state(ch_brain *brain) {
  ch_connection *connection = &brain->connection;
  uint32_t state = present_state(brain);
  /* Another reason is news too: whoever waits for a connection is told why there is none. */
  if (state == connection->state_told && connection->status == connection->status_told) return;
  connection->state_told = state;
  ch_fact_tell(brain, CH_FACT_STATE, connection->status, state);
  connection->status_told = connection->status;
  ch_client_event *event = ch_event_new(brain, CHAT_EVENT_STATE);
  if (event) {
    event->event.state = state;
    event->event.status = connection->status;
  }
  ch_event_put(brain, event);
}

/* Up to date as far as told, once: what comes later is news. */
static void check_live(ch_brain *brain) {
  if (brain->connection.is_live || !brain->sync.is_done || ch_sync_is_behind(brain)) return;
  brain->connection.is_live = true;
  brain->connection.attempts = 0;
  ch_receipts_ask_all(brain);
}

void ch_connection_settle(ch_brain *brain) {
  ch_connection *connection = &brain->connection;
  if (connection->link != CH_LINK_DOWN && !is_desired(brain)) ch_connection_drop(brain, connection->status, 0);
  switch (connection->link) {
  case CH_LINK_DOWN: check_down(brain); break;
  case CH_LINK_OPENING:
    if (ch_now_ms(brain) >= connection->opening_ms + brain->config.times.hello_ms) ch_connection_lose(brain, CHAT_E_TIMEOUT);
    break;
  case CH_LINK_HELLO: check_session(brain); break;
  case CH_LINK_UP:
    check_live(brain);
    check_token(brain);
    check_session(brain);
  }
  tell_state(brain);
}

uint64_t ch_connection_deadline_ms(const ch_brain *brain) {
  const ch_connection *connection = &brain->connection;
  switch (connection->link) {
  case CH_LINK_DOWN: return is_desired(brain) ? connection->retry_ms : CH_NEVER_MS;
  case CH_LINK_OPENING: return connection->opening_ms + brain->config.times.hello_ms;
  case CH_LINK_HELLO: break;
  case CH_LINK_UP: {
    if (connection->token_told || connection->token_expires_ms == 0) break;
    uint64_t due_wall_ms = connection->token_expires_ms - ch_sooner(TOKEN_EARLY_MS, connection->token_expires_ms);
    uint64_t wait_ms = due_wall_ms > brain->now.wall_ms ? due_wall_ms - brain->now.wall_ms : 0;
    return ch_sooner(ch_session_deadline_ms(&connection->session), ch_now_ms(brain) + wait_ms);
  }
  }
  return ch_session_deadline_ms(&connection->session);
}
