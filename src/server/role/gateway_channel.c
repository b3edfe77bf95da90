/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels: fan-out on read. This gateway is told once of each event of a channel that has subscribers here, and asks for the heads once a heartbeat period. It passes on heads alone, never
 * bodies: the range that the client then asks for is judged (V5), so no membership needs to be known here to keep a body from who may not read it.
 */
#include <string.h>

#include "server/role/gateway_parts.h"

enum { SUBSCRIPTIONS_MAX = 65536, OF_USER_MAX = 4096, TELL_BUF_MAX = SUBSCRIPTIONS_MAX * 16, HINTS_MAX = 256, REREAD_TRIES = 5, REREAD_PAUSE_MS = 300 };

typedef struct channel {
  ch_list subscriptions; /* subscription.of_channel */
  uint64_t head;         /* highest that this gateway was told */
  uint8_t id[16];
} channel;

typedef struct ch_subscription {
  ch_list of_user, of_channel;
  channel *in;
  ch_user *user;
} subscription;

typedef struct state_call {
  ch_call call;
  uint64_t seq;    /* of the membership event that made us ask; 0: none */
  uint32_t tries;  /* left */
  size_t user_len;
  uint8_t user[CHAT_USER_ID_MAX];
} state_call;

/* ------------------------------------------------------------------------------------------------ life */

static void arm(ch_gateway *gateway, ch_now now) {
  ch_timer_heap_set(&gateway->timers, &gateway->channels.timer, now.elapsed_ms + gateway->config.times.heartbeat_ms);
}

void ch_channels_init(ch_gateway *gateway) {
  uint8_t seed[CH_HASHMAP_SEED_LEN];
  ch_gateway_seed(gateway, seed);
  ch_hashmap_init(&gateway->channels.channels, gateway->env.alloc, seed);
  ch_buf_init(&gateway->channels.subscribe, gateway->env.alloc, TELL_BUF_MAX);
  gateway->channels.timer.kind = CH_TIMER_CHANNELS;
}

void ch_channels_fini(ch_gateway *gateway) {
  ch_assert(gateway->channels.channels.count == 0); /* every user took its subscriptions along */
  ch_timer_heap_clear(&gateway->timers, &gateway->channels.timer);
  ch_hashmap_fini(&gateway->channels.channels);
  ch_buf_fini(&gateway->channels.subscribe);
}

static channel *find(const ch_gateway *gateway, const uint8_t id[16]) {
  return ch_hashmap_find(&gateway->channels.channels, ch_id_bytes(id));
}

static channel *channel_for(ch_gateway *gateway, const uint8_t id[16]) {
  channel *c = find(gateway, id);
  if (c) return c;
  c = ch_calloc(gateway->env.alloc, 1, sizeof *c);
  if (!c) return NULL;
  memcpy(c->id, id, 16);
  ch_list_init(&c->subscriptions);
  if (ch_hashmap_insert(&gateway->channels.channels, ch_id_bytes(id), c) == 0) return c;
  ch_free(gateway->env.alloc, c);
  return NULL;
}

static void subscription_free(ch_gateway *gateway, subscription *s) {
  channel *c = s->in;
  ch_list_remove(&s->of_user);
  ch_list_remove(&s->of_channel);
  s->user->subscription_count--;
  gateway->channels.subscription_count--;
  ch_free(gateway->env.alloc, s);
  if (!ch_list_is_empty(&c->subscriptions)) return; /* in the directory its subscription expires */
  ch_hashmap_remove(&gateway->channels.channels, ch_id_bytes(c->id));
  ch_free(gateway->env.alloc, c);
}

void ch_channels_leave(ch_gateway *gateway, ch_user *user) {
  while (!ch_list_is_empty(&user->subscriptions)) subscription_free(gateway, CH_LIST_ITEM(user->subscriptions.next, subscription, of_user));
}

static subscription *find_subscription(const ch_user *user, const uint8_t id[16]) {
  CH_LIST_FOR_EACH(node, &user->subscriptions) {
    subscription *s = CH_LIST_ITEM(node, subscription, of_user);
    if (memcmp(s->in->id, id, 16) == 0) return s;
  }
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ heads go out */

static void put_heads(ch_gateway *gateway, ch_conn *conn, const ch_head_hint *hints, size_t count, ch_now now) {
  ch_server_message message = {.op = CH_LIVE};
  message.u.live = (ch_live){.heads = hints, .head_count = count};
  ch_conn_put(gateway, conn, &message, now);
}

static ch_head_hint hint_of(const channel *c) {
  ch_head_hint hint = {.head = c->head};
  memcpy(hint.conversation_id, c->id, 16);
  return hint;
}

static void tell_user(ch_gateway *gateway, const ch_user *user, const channel *c, ch_now now) {
  ch_head_hint hint = hint_of(c);
  CH_LIST_FOR_EACH(node, &user->sessions) {
    ch_conn *conn = CH_LIST_ITEM(node, ch_conn, of_user);
    if (conn->welcomed && ch_conn_is_live(conn)) put_heads(gateway, conn, &hint, 1, now);
  }
}

/* LATEB: at or below the known head there is nothing to say. */
static void raise(ch_gateway *gateway, channel *c, uint64_t head, ch_now now) {
  if (head <= c->head) return;
  c->head = head;
  CH_LIST_FOR_EACH(node, &c->subscriptions)
    tell_user(gateway, CH_LIST_ITEM(node, subscription, of_channel)->user, c, now);
}

void ch_channel_told(ch_gateway *gateway, const chat_row *row, ch_now now) {
  channel *c = find(gateway, row->conversation_id);
  if (c) raise(gateway, c, row->seq, now);
}

/* Which channels a user is in is not known: what there was of them in between is found by a sync, which asks for all of them again. */
void ch_channels_missed(ch_user *user, ch_now now) {
  user->channels_known = CH_CHANNELS_UNKNOWN;
  CH_LIST_FOR_EACH(node, &user->sessions)
    ch_conn_make_sync(CH_LIST_ITEM(node, ch_conn, of_user), now);
}

void ch_channels_tell(ch_gateway *gateway, ch_conn *conn, ch_now now) {
  ch_head_hint hints[HINTS_MAX];
  size_t count = 0;
  if (!conn->user) return;
  CH_LIST_FOR_EACH(node, &conn->user->subscriptions) {
    const channel *c = CH_LIST_ITEM(node, subscription, of_user)->in;
    if (c->head) hints[count++] = hint_of(c);
    if (count < HINTS_MAX) continue;
    put_heads(gateway, conn, hints, count, now);
    count = 0;
  }
  if (count) put_heads(gateway, conn, hints, count, now);
}

/* ------------------------------------------------------------------------------------------------ subscriptions */

static void tell_directory(ch_gateway *gateway, const channel *c) {
  ch_buf_put(&gateway->channels.subscribe, ch_id_bytes(c->id)); /* no room or memory: at the next period */
}

void ch_channel_subscribe(ch_gateway *gateway, ch_user *user, const uint8_t conversation_id[16], uint64_t member_seq, ch_now now) {
  (void)member_seq; /* heads alone go out, so a membership need not be believed */
  if (find_subscription(user, conversation_id)) return;
  if (user->subscription_count >= OF_USER_MAX || gateway->channels.subscription_count >= SUBSCRIPTIONS_MAX) return; /* found by sync all the same */
  channel *c = channel_for(gateway, conversation_id);
  subscription *s = c ? ch_calloc(gateway->env.alloc, 1, sizeof *s) : NULL;
  if (!s) return;
  bool first = ch_list_is_empty(&c->subscriptions);
  s->in = c;
  s->user = user;
  ch_list_push_back(&user->subscriptions, &s->of_user);
  ch_list_push_back(&c->subscriptions, &s->of_channel);
  user->subscription_count++;
  gateway->channels.subscription_count++;
  if (first) tell_directory(gateway, c);
  if (gateway->channels.timer.place == 0) arm(gateway, now);
}

static void subscribe_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  (void)gateway, (void)call, (void)status, (void)now; /* renewed at the next period */
}

void ch_channels_pull(ch_gateway *gateway) {
  ch_buf *ids = &gateway->channels.subscribe;
  if (ids->len == 0) return;
  chat_directory_subscribe *op = ch_call_new(gateway, CHAT_OP_DIRECTORY_SUBSCRIBE, sizeof *op, sizeof(ch_call), subscribe_done);
  if (!op) return;
  chat_bytes copy = chat_op_copy(&op->op, ch_buf_bytes(ids));
  op->gateway = gateway->config.name;
  op->life_ms = 4 * gateway->config.times.heartbeat_ms;
  op->count = copy.data ? copy.len / 16 : 0;
  op->channels = op->count ? chat_op_alloc(&op->op, op->count * 16) : NULL;
  if (op->channels) memcpy(op->channels, copy.data, copy.len);
  ch_buf_fini(ids);
  if (op->channels)
    ch_call_submit(gateway, op, CH_GATEWAY_ATTEMPTS);
  else
    ch_call_discard(gateway, op);
}

/* ------------------------------------------------------------------------------------------------ reading states: heads once a period (POLL), membership after a change (REREAD) */

/* Who is subscribed later is told the head that the others were told before (docs/architecture.md, "Fan-out"). */
static void subscribe_and_tell(ch_gateway *gateway, ch_user *user, const chat_store_state *op, ch_now now) {
  ch_channel_subscribe(gateway, user, op->conversation_id, op->state.head, now);
  channel *c = find(gateway, op->conversation_id);
  if (!c) return;
  if (op->state.head > c->head)
    raise(gateway, c, op->state.head, now);
  else
    tell_user(gateway, user, c, now);
}

static void settle_membership(ch_gateway *gateway, const state_call *call, const chat_store_state *op, ch_now now) {
  ch_user *user = ch_user_find(gateway, (chat_bytes){call->user, call->user_len});
  if (!user) return;
  bool member = op->state.member_count_here && op->state.members[0].role != CHAT_ROLE_NONE;
  subscription *s = find_subscription(user, op->conversation_id);
  if (member && op->state.kind == CHAT_CHANNEL)
    subscribe_and_tell(gateway, user, op, now);
  else if (s)
    subscription_free(gateway, s);
}

static void read_state(ch_gateway *gateway, const uint8_t id[16], chat_bytes user, uint64_t seq, uint32_t tries, ch_now now);

/* A membership that could not be read for so long: its user syncs at the next heartbeat, and all his channels are asked for then. */
static void give_up(ch_gateway *gateway, const state_call *asked, ch_now now) {
  ch_user *user = ch_user_find(gateway, (chat_bytes){asked->user, asked->user_len});
  if (user) ch_channels_missed(user, now);
}

static void read_again(ch_gateway *gateway, const state_call *asked, const uint8_t id[16], ch_now now) {
  if (asked->tries)
    read_state(gateway, id, (chat_bytes){asked->user, asked->user_len}, asked->seq, asked->tries - 1, now);
  else
    give_up(gateway, asked, now);
}

static void state_read(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  const state_call *asked = (const state_call *)call;
  const chat_store_state *op = (const chat_store_state *)call->op;
  if (status || op->state.head < asked->seq) { /* MEMS: older than the event, so not believed */
    if (asked->user_len) read_again(gateway, asked, op->conversation_id, now); /* a head alone is asked for again at the next period */
    return;
  }
  if (asked->user_len) settle_membership(gateway, asked, op, now);
  channel *c = find(gateway, op->conversation_id);
  if (c) raise(gateway, c, op->state.head, now);
}

static void read_state(ch_gateway *gateway, const uint8_t id[16], chat_bytes user, uint64_t seq, uint32_t tries, ch_now now) {
  chat_store_state *op = ch_call_new(gateway, CHAT_OP_STORE_STATE, sizeof *op, sizeof(state_call), state_read);
  if (!op) return;
  state_call *call = ch_call_of(op);
  memcpy(op->conversation_id, id, 16);
  op->only_users = 1;
  call->seq = seq;
  call->tries = tries;
  call->user_len = user.len;
  if (user.len) {
    memcpy(call->user, user.data, user.len);
    op->users = chat_op_alloc(&op->op, sizeof *op->users);
    if (op->users) *op->users = (chat_bytes){call->user, user.len};
    op->user_count = op->users != NULL;
  }
  if (tries == REREAD_TRIES || !ch_call_submit_later(gateway, op, REREAD_PAUSE_MS, now)) ch_call_submit(gateway, op, 1);
}

void ch_channels_timer(ch_gateway *gateway, ch_timer *timer, ch_now now) {
  (void)timer;
  for (ch_hashmap_entry *entry = ch_hashmap_first(&gateway->channels.channels); entry; entry = ch_hashmap_next(&gateway->channels.channels, entry)) {
    const channel *c = entry->value;
    tell_directory(gateway, c);
    read_state(gateway, c->id, (chat_bytes){0}, 0, REREAD_TRIES, now);
  }
  if (gateway->channels.channels.count) arm(gateway, now);
}

static bool concerns_membership(uint32_t type) {
  return type == CHAT_TYPE_CREATE || type == CHAT_TYPE_MEMBERS_ADD || type == CHAT_TYPE_MEMBER_REMOVE || type == CHAT_TYPE_LEAVE || type == CHAT_TYPE_TO_CHANNEL;
}

void ch_channel_user_event(ch_gateway *gateway, ch_user *user, const chat_row *row, ch_now now) {
  if (concerns_membership(row->type)) read_state(gateway, row->conversation_id, (chat_bytes){user->id, user->len}, row->seq, REREAD_TRIES, now);
}
