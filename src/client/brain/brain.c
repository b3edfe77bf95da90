/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The owner: life, dispatch of requests and server messages by table, and what follows from a call (settle).
 */
#include "client/brain/brain.h"

#include <string.h>

#include "client/brain/owner.h"
#include "core/assert.h"

enum { FRAME_CHUNK_LEN = 16384, SCRATCH_LEN = 1024 * 1024 /* of handlers, beside what is decoded */, INDEX_ROWS = 256, NAME_MAX_LEN = 512, LOGOUT_WAIT_MS = 5000, MEND_RETRY_MS = 5000 };
enum { INDEX_RETRY_MS = 1000 };

void ch_client_id_new(ch_brain *brain, uint8_t client_id[16]) {
  uint8_t random[CH_UUID7_RANDOM_LEN];
  brain->env.random(brain->env.random_arg, random, sizeof random);
  ch_uuid7_next(&brain->uuids, brain->now.wall_ms, random, client_id);
}

/* ------------------------------------------------------------------------------------------------ memory of what is in the cache */

static void init_memory(ch_brain *brain) {
  ch_conversations_init(brain);
  ch_outbox_init(brain);
  ch_sync_init(brain);
  ch_receipts_reset(brain);
  ch_people_init(brain);
}

static void fini_memory(ch_brain *brain) {
  ch_outbox_fini(brain);
  ch_conversations_fini(brain);
  ch_people_fini(brain);
}

static void forget_memory(ch_brain *brain) {
  fini_memory(brain);
  init_memory(brain);
  memset(&brain->database.identity, 0, sizeof brain->database.identity);
}

static int get_value(ch_brain *brain, const char *name, chat_bytes *value) {
  const chat_cache *cache = brain->config.cache;
  *value = (chat_bytes){0};
  int error = cache->vtable->value_get(cache->self, name, value);
  return error == CHAT_E_NOT_FOUND ? 0 : error;
}

static int get_u64(ch_brain *brain, const char *name, uint64_t *number) {
  chat_bytes value;
  int error = get_value(brain, name, &value);
  *number = 0;
  for (size_t i = 0; !error && value.len == 8 && i < 8; i++)
    *number = *number << 8 | value.data[i];
  return error;
}

static int load_identity(ch_brain *brain) {
  ch_identity *identity = &brain->database.identity;
  chat_bytes value;
  int error = get_value(brain, "user", &value);
  if (!error && value.len <= sizeof identity->user) {
    identity->user_len = value.len;
    if (value.len > 0) memcpy(identity->user, value.data, value.len);
  }
  if (!error) error = get_value(brain, "device", &value);
  if (!error && value.len == 16) {
    identity->has_device = 1;
    memcpy(identity->device_id, value.data, 16);
  }
  if (!error) error = get_u64(brain, "session", &identity->session);
  return error ? error : get_u64(brain, "position", &identity->position);
}

typedef struct cache_loading {
  ch_brain *brain;
  int error;
} cache_loading;

static int visit_conversation(void *arg, const chat_cache_conversation *row) {
  cache_loading *loading = arg;
  return loading->error = ch_conversations_load(loading->brain, row);
}

static int visit_outbox(void *arg, const chat_outbox_row *row) {
  cache_loading *loading = arg;
  return loading->error = ch_outbox_load(loading->brain, row);
}

static int load(ch_brain *brain) {
  const chat_cache *cache = brain->config.cache;
  cache_loading loading = {brain, 0};
  int error = load_identity(brain);
  if (!error) error = cache->vtable->conversation_list(cache->self, visit_conversation, &loading);
  if (!error && !loading.error) error = cache->vtable->outbox_list(cache->self, visit_outbox, &loading);
  brain->has_unindexed = true;
  return error ? error : loading.error;
}

/* ------------------------------------------------------------------------------------------------ open, close, damage */

/* Also where it is not open: a set_aside that failed may have left the lock. One that somebody else has open is left alone. */
static void close_database(ch_brain *brain) {
  const chat_cache *cache = brain->config.cache;
  if (brain->database.has_lock) cache->vtable->close(cache->self);
  brain->database.is_open = brain->database.has_lock = false;
}

/* What it has on the disk is not known, so nothing of it is in memory either. */
static int shut_database(ch_brain *brain, int error) {
  close_database(brain);
  forget_memory(brain);
  return error;
}

/* The database is moved away and what could be saved of it is loaded; history is pulled again, since position is 0. Where that fails it is shut. */
static int set_aside(ch_brain *brain) {
  const chat_cache *cache = brain->config.cache;
  char name[NAME_MAX_LEN] = "";
  forget_memory(brain);
  brain->database.has_lock = true;
  int error = cache->vtable->set_aside(cache->self, name, sizeof name);
  if (error) return shut_database(brain, error);
  brain->database.is_open = true;
  brain->database.is_corrupt = false;
  ch_tell_status(brain, CHAT_EVENT_DATABASE, CHAT_E_CORRUPT, ch_bytes_text(name));
  error = load(brain);
  return error ? shut_database(brain, error) : 0;
}

/* Where that fails it is shut. */
static int open_database(ch_brain *brain) {
  const chat_cache *cache = brain->config.cache;
  int error = cache->vtable->open(cache->self);
  brain->database.is_open = error == 0;
  brain->database.has_lock = brain->database.has_lock || error == 0 || error == CHAT_E_CORRUPT;
  brain->database.is_corrupt = brain->database.is_lost = false;
  if (!error) error = load(brain);
  if (error == CHAT_E_CORRUPT) return set_aside(brain);
  return error ? shut_database(brain, error) : 0;
}

/* Opening it is tried again. */
static void lose_database(ch_brain *brain, int error) {
  ch_database_trouble(brain, error);
  brain->database.is_lost = true;
  brain->database.retry_ms = ch_now_ms(brain) + MEND_RETRY_MS;
  brain->connection.status = error;
}

static int open_anew(ch_brain *brain) {
  shut_database(brain, 0);
  return open_database(brain);
}

/* A disk that is full, or another process that has the lock, may be the reason why it cannot be set aside: that is tried again. */
static void mend(ch_brain *brain) {
  ch_database *database = &brain->database;
  if (!database->is_corrupt && !database->is_lost) return;
  if (brain->connection.link != CH_LINK_DOWN) ch_connection_drop(brain, database->is_corrupt ? CHAT_E_CORRUPT : CHAT_E_IO, 0);
  if (database->is_lost && ch_now_ms(brain) < database->retry_ms) return;
  int error = database->is_corrupt ? set_aside(brain) : open_anew(brain);
  database->is_lost = false;
  database->retry_ms = ch_now_ms(brain) + MEND_RETRY_MS; /* of the next time, where it does not last */
  if (error) lose_database(brain, error);
}

/* ------------------------------------------------------------------------------------------------ logout */

/* The server has said its word, or will not. The first word counts. */
static void end_logout(ch_brain *brain, int status) {
  if (!brain->logout || brain->logout_is_due) return;
  brain->logout->event.status = status;
  brain->logout_is_due = true;
}

/* Wiped whatever the server said: the person wants nothing left here. Done at the end of the call in hand, since it changes everything. */
static void wipe(ch_brain *brain) {
  const chat_cache *cache = brain->config.cache;
  ch_client_event *reply = brain->logout;
  if (!reply || !brain->logout_is_due) return;
  brain->logout = NULL;
  brain->logout_is_due = false;
  ch_connection_drop(brain, 0, 0);
  ch_connection_fini(brain);
  ch_people_close_all(brain);
  forget_memory(brain);
  int error = cache->vtable->wipe(cache->self);
  if (error) close_database(brain);
  else if (!brain->database.is_open) error = open_database(brain);
  if (error) lose_database(brain, error);
  ch_reply_end(brain, reply, error ? error : reply->event.status);
}

/* ------------------------------------------------------------------------------------------------ life */

static bool is_complete(const ch_brain_config *config) {
  return config->cache && config->client_name.len <= 64 && config->ranges_max > 0 && config->in_flight_max > 0 && config->requests_max > 0 &&
         config->events_max > 0;
}

int ch_brain_new(const ch_env *env, const ch_brain_config *config, ch_brain **brain) {
  if (!env->random || !is_complete(config)) return CHAT_E_INVALID;
  ch_brain *self = ch_calloc(env->alloc, 1, sizeof *self);
  if (!self) return CHAT_E_NOMEM;
  self->env = *env;
  self->config = *config;
  if (config->client_name.len > 0) memcpy(self->client_name, config->client_name.data, config->client_name.len);
  self->config.client_name.data = self->client_name;
  env->random(env->random_arg, self->seed, sizeof self->seed);
  ch_arena_init(&self->arena, env->alloc, FRAME_CHUNK_LEN, ch_decode_cap(CHAT_FRAME_MAX) + SCRATCH_LEN);
  ch_database_init(self);
  init_memory(self);
  ch_connection_init(self);
  int error = ch_events_init(self);
  if (error) ch_free(env->alloc, self);
  else *brain = self;
  return error;
}

void ch_brain_free(ch_brain *brain) {
  if (!brain) return;
  ch_connection_fini(brain);
  fini_memory(brain);
  close_database(brain);
  ch_client_event_free(brain->logout);
  ch_events_fini(brain);
  ch_arena_fini(&brain->arena);
  ch_free(brain->env.alloc, brain);
}

int ch_brain_start(ch_brain *brain, ch_now now) {
  brain->now = now;
  int error = open_database(brain);
  if (error) return error;
  brain->connection.retry_ms = now.elapsed_ms;
  ch_brain_settle(brain);
  return 0;
}

/* What waits for the server ends as suspended. A logout does not wait for it any longer: nothing is to be left here meanwhile. */
void ch_brain_suspend(ch_brain *brain, ch_now now) {
  brain->now = now;
  if (brain->is_suspended) return;
  end_logout(brain, CHAT_E_OFFLINE);
  wipe(brain);
  brain->is_suspended = true;
  ch_connection_drop(brain, 0, 0);
  close_database(brain);
  ch_connection_settle(brain);
}

/* Another process may have had the database meanwhile, so all is loaded again. */
int ch_brain_resume(ch_brain *brain, ch_now now) {
  brain->now = now;
  if (!brain->is_suspended) return 0;
  forget_memory(brain);
  int error = open_database(brain);
  if (error) return error;
  brain->is_suspended = false;
  brain->connection.retry_ms = now.elapsed_ms;
  ch_brain_settle(brain);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ requests about the client itself */

static void request_set_online(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  brain->connection.is_wanted = request->flag;
  if (request->flag) brain->connection.retry_ms = ch_now_ms(brain);
  else ch_connection_drop(brain, 0, 0);
  ch_reply_end(brain, reply, 0);
}

static void request_whoami(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  int error = 0;
  (void)request;
  reply->event.user = ch_event_copy(reply, ch_own_user(brain), &error);
  memcpy(reply->event.device_id, brain->database.identity.device_id, 16);
  ch_reply_end(brain, reply, brain->database.identity.user_len > 0 ? error : CHAT_E_OFFLINE);
}

static void logged_out(ch_brain *brain, ch_call *call, const ch_server_message *reply) {
  (void)call;
  end_logout(brain, ch_call_status(brain, reply) ? CHAT_E_OFFLINE : 0);
}

static void request_logout(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_client_message message = {.op = CH_REVOKE_DEVICE};
  (void)request;
  if (brain->logout) {
    ch_reply_end(brain, reply, CHAT_E_BUSY);
    return;
  }
  memcpy(message.u.device_id, brain->database.identity.device_id, 16);
  brain->logout = reply;
  brain->logout_ms = ch_now_ms(brain) + LOGOUT_WAIT_MS;
  if (ch_call_put(brain, &message, &(ch_call){.done = logged_out, .wanted = CH_OK})) end_logout(brain, CHAT_E_OFFLINE);
}

/* ------------------------------------------------------------------------------------------------ requests */

typedef void (*request_handler)(ch_brain *, const ch_client_request *, ch_client_event *);

static const request_handler request_handlers[] = {
    [CH_REQ_SET_ONLINE] = request_set_online,
    [CH_REQ_LOGOUT] = request_logout,
    [CH_REQ_WHOAMI] = request_whoami,
    [CH_REQ_SEND] = ch_request_send,
    [CH_REQ_RETRY] = ch_request_retry,
    [CH_REQ_DISCARD] = ch_request_discard,
    [CH_REQ_CREATE] = ch_request_create,
    [CH_REQ_CONTROL] = ch_request_control,
    [CH_REQ_MARK_READ] = ch_request_mark_read,
    [CH_REQ_OPEN] = ch_request_open,
    [CH_REQ_CLOSE] = ch_request_close,
    [CH_REQ_CONVERSATIONS] = ch_request_conversations,
    [CH_REQ_CONVERSATION] = ch_request_conversation,
    [CH_REQ_HISTORY] = ch_request_history,
    [CH_REQ_SEARCH] = ch_request_search,
    [CH_REQ_MEMBERS] = ch_request_members,
    [CH_REQ_DEVICES] = ch_request_devices,
    [CH_REQ_REVOKE_DEVICE] = ch_request_revoke_device,
    [CH_REQ_VERIFY] = ch_request_verify,
};

static bool limit_fits(const ch_client_request *request) {
  switch (request->kind) {
  case CH_REQ_CONVERSATIONS: return request->limit >= 1 && request->limit <= 1000;
  case CH_REQ_HISTORY: return request->limit >= 1 && request->limit <= CHAT_PAGE_MAX && !(request->number > 0 && request->number2 > 0);
  case CH_REQ_SEARCH:
    return request->limit >= 1 && request->limit <= CHAT_PAGE_MAX && request->text.len >= 1 && request->text.len <= 256 && ch_utf8_valid(request->text);
  case CH_REQ_MEMBERS:
    return request->limit >= 1 && request->limit <= CHAT_GROUP_MEMBERS_MAX && (request->user.len == 0 || ch_user_id_valid(request->user));
  default: return true;
  }
}

static bool users_fit(const ch_client_request *request) {
  bool is_of_one = request->kind == CH_REQ_CONTROL &&
                   (request->type == CHAT_TYPE_MEMBER_REMOVE || request->type == CHAT_TYPE_ROLE || request->type == CHAT_TYPE_OWNER);
  for (size_t i = 0; i < request->user_count; i++)
    if (!ch_user_id_valid(request->users[i])) return false;
  return is_of_one ? request->user_count == 1 : request->user_count < CHAT_GROUP_MEMBERS_MAX;
}

static bool content_fits(const ch_client_request *request) {
  if (request->kind == CH_REQ_SEND)
    return request->body.len <= CHAT_BODY_MAX && request->meta.len <= CHAT_META_MAX && request->message_kind.len <= CHAT_KIND_MAX &&
           ch_utf8_valid(request->message_kind) && (request->user.len == 0 || ch_user_id_valid(request->user));
  if (request->kind != CH_REQ_CREATE && request->kind != CH_REQ_CONTROL) return true;
  bool is_kind = request->kind == CH_REQ_CREATE ? request->number == CHAT_GROUP || request->number == CHAT_CHANNEL
                                                : request->type >= CHAT_TYPE_MEMBERS_ADD && request->type <= CHAT_TYPE_TO_CHANNEL;
  return is_kind && users_fit(request) && request->text.len <= CHAT_TITLE_MAX && ch_utf8_valid(request->text);
}

static bool is_request(const ch_client_request *request) {
  size_t kind = request->kind;
  bool is_known = kind == CH_REQ_TYPING || (kind < sizeof request_handlers / sizeof *request_handlers && request_handlers[kind]);
  return is_known && limit_fits(request) && content_fits(request);
}

int ch_brain_request(ch_brain *brain, const ch_client_request *request, ch_now now) {
  brain->now = now;
  if (!is_request(request)) return CHAT_E_INVALID;
  if (brain->is_suspended) return CHAT_E_SUSPENDED;
  if (request->kind == CH_REQ_TYPING) return ch_people_typing(brain, request);
  if (brain->events.requests >= brain->config.requests_max) return CHAT_E_BUSY;
  ch_client_event *reply = ch_reply_new(brain, request->tag);
  if (!reply) return CHAT_E_NOMEM;
  if (brain->database.is_open || request->kind == CH_REQ_LOGOUT) request_handlers[request->kind](brain, request, reply);
  else ch_reply_end(brain, reply, CHAT_E_IO);
  ch_brain_settle(brain);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ what the server says */

typedef void (*message_handler)(ch_brain *, const ch_server_message *);

/* Replies to calls find their call first; of the others, what has no row here is skipped. */
static const message_handler message_handlers[CH_SERVER_OP_COUNT] = {
    [CH_WELCOME] = ch_on_welcome,
    [CH_ERROR] = ch_on_error,
    [CH_HEARTBEAT_REPLY] = ch_on_heartbeat_reply,
    [CH_ANSWER] = ch_on_answer,
    [CH_VERDICT] = ch_on_verdict,
    [CH_LIVE] = ch_on_live,
    [CH_RECEIPTS] = ch_on_receipts,
    [CH_PRESENCE] = ch_on_presence,
    [CH_TYPING] = ch_on_typing,
    [CH_GOODBYE] = ch_on_goodbye,
};

static bool may_come(const ch_brain *brain, ch_server_op op) {
  return ch_is_up(brain) || op == CH_WELCOME || op == CH_ERROR || op == CH_GOODBYE;
}

static void take_message(ch_brain *brain, const ch_server_message *message) {
  if (message->op != CH_LIVE) ch_live_end(brain);
  if (!may_come(brain, message->op)) ch_connection_lose(brain, CHAT_E_PROTOCOL);
  else if (!ch_call_take(brain, message) && message_handlers[message->op]) message_handlers[message->op](brain, message);
}

static int take_frame(ch_brain *brain, chat_bytes frame) {
  chat_bytes bytes;
  int error = 0;
  uint64_t number = brain->connection.number;
  while (brain->connection.has_session && brain->connection.number <= number + 1) {
    ch_server_message message;
    error = ch_frame_next(&frame, &bytes);
    if (error == CHAT_E_CLOSED) return 0;
    if (!error) error = ch_server_message_decode(bytes, &brain->arena, &message);
    if (error) return error;
    take_message(brain, &message);
  }
  return 0;
}

void ch_brain_frame(ch_brain *brain, chat_bytes frame, ch_now now) {
  brain->now = now;
  if (!brain->connection.has_session) return;
  ch_session_heard(&brain->connection.session, now.elapsed_ms);
  int error = frame.len <= CHAT_FRAME_MAX ? take_frame(brain, frame) : CHAT_E_TOO_LARGE;
  ch_live_end(brain);
  if (error && brain->connection.has_session) ch_connection_lose(brain, error);
  ch_brain_settle(brain);
  ch_arena_reset(&brain->arena);
}

/* ------------------------------------------------------------------------------------------------ time */

void ch_brain_settle(ch_brain *brain) {
  ch_assert(!brain->database.in_transaction);
  if (brain->is_suspended) return;
  if (ch_now_ms(brain) >= brain->logout_ms) end_logout(brain, CHAT_E_OFFLINE);
  wipe(brain);
  mend(brain);
  ch_sync_settle(brain);
  ch_people_settle(brain);
  ch_receipts_settle(brain);
  ch_outbox_settle(brain);
  ch_connection_settle(brain);
}

static uint64_t index_due_ms(const ch_brain *brain) {
  return brain->has_unindexed && brain->database.is_open ? ch_later(brain->database.retry_ms, brain->index_ms) : CH_NEVER_MS;
}

/* Off the way of messages: a slice of rows becomes findable when nothing else is in hand. */
static void index_slice(ch_brain *brain) {
  const chat_cache *cache = brain->config.cache;
  if (ch_now_ms(brain) < index_due_ms(brain)) return;
  int count = cache->vtable->index(cache->self, INDEX_ROWS);
  if (count < 0) ch_database_trouble(brain, count);
  if (count == CHAT_E_NOMEM) brain->database.retry_ms = ch_now_ms(brain) + INDEX_RETRY_MS; /* else it would be tried at once, for ever */
  brain->has_unindexed = count != 0;
}

void ch_brain_tick(ch_brain *brain, ch_now now) {
  brain->now = now;
  if (brain->is_suspended) return;
  index_slice(brain);
  ch_brain_settle(brain);
}

uint64_t ch_brain_deadline_ms(const ch_brain *brain) {
  if (brain->is_suspended) return CH_NEVER_MS;
  uint64_t deadline_ms = ch_connection_deadline_ms(brain);
  if (ch_is_up(brain)) deadline_ms = ch_sooner(deadline_ms, ch_sooner(ch_sync_deadline_ms(brain), brain->outbox.deadline_ms));
  deadline_ms = ch_sooner(deadline_ms, ch_receipts_deadline_ms(brain));
  deadline_ms = ch_sooner(deadline_ms, ch_people_deadline_ms(brain));
  if (brain->logout) deadline_ms = ch_sooner(deadline_ms, brain->logout_ms);
  if (brain->database.is_lost) deadline_ms = ch_sooner(deadline_ms, brain->database.retry_ms);
  return ch_sooner(deadline_ms, index_due_ms(brain));
}
