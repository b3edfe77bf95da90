/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_parts.h - what the gateway's files share; nobody else includes it.
 *
 *   conn     one connection: its session, who it is, the lanes of its Sends
 *   user     a user with connections here: what a delivery is looked up by
 *   call     what goes on when an op comes back; lives in the op's memory and names its connection by number, never by pointer, because the
 *            connection may be gone by then
 *   lane     Sends of one connection into one conversation (G1, G3)
 *
 * Each family of messages keeps its own state in a struct by value in the gateway and has init, fini and handlers in a file of its own.
 */
#ifndef CH_SERVER_GATEWAY_PARTS_H
#define CH_SERVER_GATEWAY_PARTS_H

#include "core/arena.h"
#include "core/assert.h"
#include "core/hashmap.h"
#include "core/list.h"
#include "core/order_buffer.h"
#include "core/timer_heap.h"
#include "server/role/gateway.h"
#include "server/role/limits.h"
#include "server/role/turn.h"

enum {
  CH_GATEWAY_CALLS_MAX = 64,     /* requests of one connection under way, Sends apart */
  CH_GATEWAY_LANES_MAX = 64,     /* conversations of one connection whose numbers are remembered */
  CH_GATEWAY_WATCHES_MAX = 16,   /* docs/protocol.md, "Members, presence, typing, search, devices" */
  CH_GATEWAY_REQUESTS_MAX = 1024,
  CH_GATEWAY_RETRY_MS = 100,     /* first pause before an op that ended AGAIN is handed out again; doubles */
  CH_GATEWAY_ATTEMPTS = 4,       /* how often an op is handed out */
  CH_GATEWAY_POLL_MS = 30000,    /* life of a long poll */
  CH_GATEWAY_REPLY_MAX = 512 * 1024, /* bytes of events in one reply; the rest is asked for again */
  CH_GATEWAY_ADDRESS_MAX = CH_LIMITS_KEY_MAX
};

/* What a timer is embedded in. */
typedef enum ch_gateway_timer {
  CH_TIMER_CONN = 1, /* ch_conn: the session's deadline, the token's end, held Sends */
  CH_TIMER_CALL,     /* ch_call: a hook's deadline, or a pause before another attempt */
  CH_TIMER_ROUTES,   /* heartbeats are collected */
  CH_TIMER_RECEIPTS, /* receipts are coalesced */
  CH_TIMER_PATIENCE, /* an ACCEPTED has waited for company */
  CH_TIMER_CHANNELS, /* heads of channels are asked for */
  CH_TIMER_LANE,     /* ch_lane: its order buffer */
  CH_TIMER_KIND_COUNT
} ch_gateway_timer;

/* ------------------------------------------------------------------------------------------------ calls (gateway_call.c) */

typedef struct ch_call ch_call;
typedef struct ch_conn ch_conn;
/* `op` is not to be read where status is CHAT_E_TIMEOUT of a hook: it is still outside. */
typedef void ch_call_done(ch_gateway *gateway, ch_call *call, int status, ch_now now);

struct ch_call {
  chat_op *op;
  ch_call_done *done;
  uint64_t connection; /* whom it is for; 0: nobody */
  uint64_t tag;
  ch_timer timer;
  uint32_t attempts;   /* left */
  uint32_t pause_ms;
  bool counted;        /* among the connection's requests */
  bool poll;           /* a long poll: not waited for when draining */
  bool gave_up;        /* a hook that was too late: its answer is ignored */
  bool outside;
  bool kept;           /* done keeps the op and frees it itself */
  bool is_short;       /* what it asks for found no memory in the op: nobody is to see that */
};

typedef struct ch_calls {
  ch_op_queue out;     /* to be handed out */
  ch_op_queue shorts;  /* to be ended with CHAT_E_AGAIN instead, at the next tick */
  size_t under_way;    /* made and not freed, long polls apart */
} ch_calls;

/* Ends what found no memory. */
void ch_calls_tick(ch_gateway *gateway, ch_now now);
/* Frees the ops that pause before another attempt; those outside must have come back. */
void ch_calls_fini(ch_gateway *gateway);

/* An op of `len` bytes with a zeroed call of call_len in its memory (op->owner). NULL: no memory. */
void *ch_call_new(ch_gateway *gateway, uint32_t kind, size_t len, size_t call_len, ch_call_done *done);
/* As above, for a request of a connection: a failure or too many of them is answered with an error here, and NULL given. */
void *ch_call_new_for(ch_gateway *gateway, ch_conn *conn, uint64_t tag, uint32_t kind, size_t len, size_t call_len, ch_call_done *done, ch_now now);
/* Hands it out. Ops that end AGAIN or UNKNOWN are handed out up to `attempts` times in all. */
void ch_call_submit(ch_gateway *gateway, void *op, uint32_t attempts);
/* Likewise, once and after a pause; false: there is no memory for the timer, it was not submitted. */
bool ch_call_submit_later(ch_gateway *gateway, void *op, uint32_t pause_ms, ch_now now);
/* Likewise, once, for a hook of the embedder: no answer by hook_ms counts as CHAT_E_TIMEOUT. */
void ch_call_submit_hook(ch_gateway *gateway, void *op, ch_now now);
void ch_call_complete(ch_gateway *gateway, chat_op *op, ch_now now);
void ch_call_timer(ch_gateway *gateway, ch_timer *timer, ch_now now);
/* Says that an op is a long poll, before it is submitted. */
void ch_call_is_poll(ch_gateway *gateway, void *op);
/* Gives back an op that was made and not submitted, or was kept. */
void ch_call_discard(ch_gateway *gateway, void *op);
static inline void *ch_call_of(const void *op) {
  return ((const chat_op *)op)->owner;
}

/* ------------------------------------------------------------------------------------------------ connections and users (gateway_conn.c) */

typedef struct ch_user {
  ch_list sessions; /* ch_conn.of_user */
  ch_list subscriptions; /* ch_subscription.of_user */
  uint32_t subscription_count;
  uint32_t channels_known; /* CH_CHANNELS_* */
  size_t len;
  uint8_t id[];
} ch_user;

struct ch_conn {
  uint64_t id;
  ch_session session;
  ch_timer timer;
  ch_list dirty, of_user, renewing; /* nodes */
  ch_timer holding;          /* in gateway.holders */
  uint64_t patient_until_ms; /* `dirty` is in gateway.patient until then; 0: it is not */
  ch_list lanes, watches;
  ch_user *user; /* NULL until the login is done */
  uint8_t device_id[16];
  uint64_t device_session; /* number of this session */
  uint64_t expires_ms;     /* Unix time of the token's end; 0: never */
  uint64_t renewed_ms;     /* elapsed: route last renewed */
  uint64_t epoch;          /* of the directory, as this session has seen it (V6) */
  uint64_t resync_ms;      /* elapsed: pos 0 is said once more from here on; 0: no */
  uint64_t heartbeat_tag;  /* of Hello or Heartbeat, until its renewal is handed out; 0: nobody asked */
  size_t send_len;         /* bytes of Sends that are kept for this connection */
  size_t out_held_len;     /* of session.out, as counted in the gateway's total */
  uint32_t calls, lane_count, watch_count;
  uint32_t held;           /* Sends in order buffers */
  uint32_t unanswered;     /* Sends without an answer */
  uint32_t refusals;       /* since the time below */
  uint64_t refusals_since_ms;
  bool welcomed;           /* may get live events */
  bool login;              /* the renewal under way is that of the login */
  bool confirmed;
  bool closing;            /* close once all is written */
  bool pos_missing;        /* the directory had no pos:{user}: the next sync fills it (V2) */
  bool told_to_leave;      /* draining: Goodbye waits for the last answer */
  uint8_t address_len;
  uint8_t address[CH_GATEWAY_ADDRESS_MAX];
};

ch_conn *ch_conn_find(const ch_gateway *gateway, uint64_t id);
chat_bytes ch_conn_user(const ch_conn *conn);
bool ch_conn_is_live(const ch_conn *conn);
/* Puts the connection under its user; replaces older sessions of its device. CHAT_E_NOMEM; CHAT_E_REPLACED: a newer one is here already. */
int ch_conn_join(ch_gateway *gateway, ch_conn *conn, chat_bytes user, ch_now now);
ch_user *ch_user_find(const ch_gateway *gateway, chat_bytes user);

/* Queues a message; a reader that is too slow is cut off (P8). False: it did not go out. */
bool ch_conn_put(ch_gateway *gateway, ch_conn *conn, const ch_server_message *message, ch_now now);
/* Likewise, but where nothing else is to be written it waits for that, at most patience_ms (docs/protocol.md, "Framing"). */
void ch_conn_put_patiently(ch_gateway *gateway, ch_conn *conn, const ch_server_message *message, ch_now now);
void ch_conn_patience_timer(ch_gateway *gateway, ch_timer *timer, ch_now now);
/* Both for bytes that were encoded already; CHAT_E_TOO_LARGE does not cut it off. CHAT_E_CLOSED: it is closing. */
int ch_conn_put_raw(ch_gateway *gateway, ch_conn *conn, chat_bytes messages, ch_now now);
int ch_conn_put_raw_patiently(ch_gateway *gateway, ch_conn *conn, chat_bytes messages, ch_now now);
/* Is it one of those to whom the memory for all goes, when half of that is taken? */
bool ch_conn_holds_much(const ch_gateway *gateway, const ch_conn *conn);
void ch_conn_ok(ch_gateway *gateway, ch_conn *conn, uint64_t tag, ch_now now);
void ch_conn_error(ch_gateway *gateway, ch_conn *conn, uint64_t tag, int code, uint64_t retry_after_ms, ch_now now);
/* Says a missing pos in the next heartbeat's answer, which makes the client sync (V2), spread. */
void ch_conn_make_sync(ch_conn *conn, ch_now now);
/* Goodbye(code) and the end; ch_conn_close without a word. */
void ch_conn_goodbye(ch_gateway *gateway, ch_conn *conn, int code, ch_now now);
void ch_conn_close(ch_gateway *gateway, ch_conn *conn, ch_now now);
void ch_conn_cut_off(ch_gateway *gateway, ch_conn *conn, ch_now now);
/* Error(code) and the end: a login that failed. */
void ch_conn_refuse(ch_gateway *gateway, ch_conn *conn, uint64_t tag, int code, ch_now now);
/* Counts a request that cost the session nothing and was refused; too many of them end it. */
void ch_conn_refused(ch_gateway *gateway, ch_conn *conn, ch_now now);
void ch_conn_timer(ch_gateway *gateway, ch_timer *timer, ch_now now);
void ch_conn_arm(ch_gateway *gateway, ch_conn *conn, ch_now now);
void ch_conn_answered(ch_gateway *gateway, ch_conn *conn, ch_now now); /* one Send less is unanswered */
uint32_t ch_gateway_end_sessions(ch_gateway *gateway, chat_bytes user, const uint8_t *device_id, int code, ch_now now); /* device NULL: all; how many */

/* ------------------------------------------------------------------------------------------------ routes (gateway_route.c) */

typedef struct ch_routes {
  ch_list waiting; /* ch_conn.renewing */
  size_t waiting_count;
  bool urgent;     /* a login is among them: the next pull takes them */
  ch_timer timer;
  ch_buf leaving;  /* renewals to drop: user, device, session */
} ch_routes;

void ch_routes_init(ch_gateway *gateway);
void ch_routes_fini(ch_gateway *gateway);
void ch_routes_login(ch_gateway *gateway, ch_conn *conn);
void ch_routes_heard(ch_gateway *gateway, ch_conn *conn, ch_now now); /* a busy client sends no heartbeat: its route is renewed all the same */
void ch_routes_leave(ch_gateway *gateway, ch_conn *conn);
void ch_routes_pull(ch_gateway *gateway);
void ch_routes_timer(ch_gateway *gateway, ch_timer *timer, ch_now now);
/* A route under a number above that of every session of the device: the gateway that has one learns so at its next renewal. */
void ch_routes_outrank(ch_gateway *gateway, chat_bytes user, const uint8_t device_id[16], uint64_t session);
void ch_login_routed(ch_gateway *gateway, ch_conn *conn, uint64_t tag, ch_now now); /* gateway_auth.c: Welcome */

/* ------------------------------------------------------------------------------------------------ Sends (gateway_send.c, gateway_check.c, gateway_append.c) */

typedef enum ch_entry_state {
  CH_ENTRY_ARRIVED = 1, /* in the lane's `arrivals`, or in its order buffer */
  CH_ENTRY_CHECKING,    /* the lane's `checking`: an op is under way */
  CH_ENTRY_PASSED,      /* in the lane's `passing`, and in a partition's queue or in an append */
  CH_ENTRY_ACKED        /* durable, behind one that is not yet: ACCEPTED follows the order in the log (G3) */
} ch_entry_state;

/* One Send, or one of the embedder (lane NULL). Its payload and peer follow it in one block. */
typedef struct ch_entry {
  ch_list node;   /* arrivals or passing */
  ch_list queued; /* in a partition's queue */
  struct ch_lane *lane;
  struct ch_embedder_request *request;
  uint64_t serial;
  ch_entry_state state;
  int error;      /* of decoding: it will not pass */
  int void_error; /* 0: goes into the log as it is */
  uint32_t step;  /* of its checks */
  uint64_t arrived_ms;
  chat_bytes sender; /* lane NULL: borrowed from the request */
  size_t len;
  ch_send send;
  uint8_t bytes[];
} ch_entry;

typedef struct ch_lane {
  ch_list node; /* of the connection; least recently used first */
  ch_conn *conn;
  uint8_t conversation_id[16];
  ch_turn turn;
  uint64_t created_ms; /* elapsed, plus 1: this session passed a CREATE here; the store may not know yet */
  uint32_t count;    /* entries without an answer */
  uint8_t peer_len;  /* of a direct conversation's other user, once the id was computed from it; 0: not yet */
  uint8_t peer[CHAT_USER_ID_MAX];
  ch_list arrivals, passing;
  ch_entry *checking;
  ch_order_buffer early;
  ch_timer timer;
} ch_lane;

typedef struct ch_partition_queue {
  ch_list ready;  /* node: has entries and may append */
  ch_list queue;  /* ch_entry.queued */
  size_t queue_count;
  uint32_t under_way;
} ch_partition_queue;

typedef struct ch_sends {
  ch_partition_queue *partitions;
  ch_list ready;
  uint64_t serial;
  size_t len;     /* bytes of all entries */
  ch_hashmap members; /* (conversation, user) -> until when it is believed: gateway_check.c */
} ch_sends;

int ch_sends_init(ch_gateway *gateway);
void ch_sends_fini(ch_gateway *gateway);
void ch_send_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, int error, ch_now now);
void ch_send_answer_retry(ch_gateway *gateway, ch_conn *conn, const ch_send *send, uint64_t retry_after_ms, ch_now now);
void ch_lanes_end(ch_gateway *gateway, ch_conn *conn);
void ch_lane_timer(ch_gateway *gateway, ch_timer *timer, ch_now now);
ch_lane *ch_lane_find(ch_conn *conn, const uint8_t conversation_id[16]);
ch_entry *ch_entry_new(ch_gateway *gateway, const ch_send *send);
void ch_entry_free(ch_gateway *gateway, ch_entry *entry);
void ch_lane_settled(ch_gateway *gateway, ch_lane *lane, int outcome, uint64_t retry_after_ms, ch_now now); /* the checks of lane->checking are done */
void ch_lane_appended(ch_gateway *gateway, ch_lane *lane, uint64_t serial, int status, ch_now now);

enum { CH_CHECK_PASS = 0, CH_CHECK_WAIT = 1 }; /* else CHAT_E_*: AGAIN means RETRY, others refuse */
int ch_check_run(ch_gateway *gateway, ch_entry *entry, uint64_t *retry_after_ms, ch_now now);
/* A live event made the user a member: the store may say so later than the log. */
void ch_members_believe(ch_gateway *gateway, const uint8_t conversation_id[16], chat_bytes user, ch_now now);

void ch_members_fini(ch_gateway *gateway);

/* Could the sequencer read the record that this would become? What could not must not be queued. */
int ch_append_check(const ch_entry *entry);
void ch_append_queue(ch_gateway *gateway, ch_entry *entry);
void ch_append_forget(ch_gateway *gateway, ch_entry *entry);
void ch_append_pull(ch_gateway *gateway);

/* ------------------------------------------------------------------------------------------------ volatile tasks (gateway_tasks.c) */

typedef struct ch_task_record {
  ch_list node;
  uint32_t partition;
  size_t len;
  uint8_t data[];
} ch_task_record;

typedef struct ch_tasks_out {
  ch_list records;
  size_t len; /* bytes; above a bound new ones are dropped: they are hints */
} ch_tasks_out;

void ch_tasks_init(ch_gateway *gateway);
void ch_tasks_fini(ch_gateway *gateway);
/* To these users' partitions of DELIVERIES; `task` without its users. */
void ch_tasks_add(ch_gateway *gateway, const ch_task *task, const chat_bytes *users, size_t count);
void ch_tasks_pull(ch_gateway *gateway);

/* ------------------------------------------------------------------------------------------------ receipts (gateway_receipts.c) */

typedef struct ch_receipts_part {
  ch_hashmap pending; /* conversation -> batch */
  ch_timer timer;
  ch_list under_way;  /* batches whose ops are outside */
  ch_list gathers;    /* GetReceipts that are being answered */
  size_t count;       /* receipts without an answer */
} ch_receipts_part;

void ch_receipts_init(ch_gateway *gateway);
void ch_receipts_fini(ch_gateway *gateway);
void ch_receipts_timer(ch_gateway *gateway, ch_timer *timer, ch_now now);

/* ------------------------------------------------------------------------------------------------ presence (gateway_presence.c) */

typedef struct ch_presence_part {
  ch_hashmap watched; /* user -> watched_user */
  uint64_t serial;
  bool polling;
} ch_presence_part;

void ch_presence_init(ch_gateway *gateway);
void ch_presence_fini(ch_gateway *gateway);
void ch_watches_end(ch_gateway *gateway, ch_conn *conn);
/* Membership of a conversation changed: whoever watches it is asked anew whether he may. */
void ch_watches_refresh(ch_gateway *gateway, ch_conn *conn, const uint8_t conversation_id[16], ch_now now);
void ch_presence_pull(ch_gateway *gateway);

/* ------------------------------------------------------------------------------------------------ live deliveries (gateway_live.c), channels (gateway_channel.c) */

typedef struct ch_live_part {
  bool polling;
  ch_buf events, message; /* scratch */
  ch_buf said, typings;   /* of the delivery that is passed on: what is no event, encoded */
  int said_error;
} ch_live_part;

void ch_live_init(ch_gateway *gateway);
void ch_live_fini(ch_gateway *gateway);
void ch_live_pull(ch_gateway *gateway);
/* Events to one connection: bodies, or where these do not fit the heads alone, or the end of the connection. */
void ch_live_pass(ch_gateway *gateway, ch_conn *conn, const ch_live *live, chat_bytes encoded, ch_now now);

enum { CH_CHANNELS_UNKNOWN = 0, CH_CHANNELS_ASKED = 1, CH_CHANNELS_KNOWN = 2 };

typedef struct ch_channels {
  ch_hashmap channels; /* conversation -> channel */
  ch_timer timer;
  ch_buf subscribe; /* ids whose subscription is to be told to the directory at the next pull */
  size_t subscription_count;
} ch_channels;

void ch_channels_init(ch_gateway *gateway);
void ch_channels_fini(ch_gateway *gateway);
void ch_channels_timer(ch_gateway *gateway, ch_timer *timer, ch_now now);
void ch_channels_pull(ch_gateway *gateway);
void ch_channel_subscribe(ch_gateway *gateway, ch_user *user, const uint8_t conversation_id[16], uint64_t member_seq, ch_now now);
void ch_channels_leave(ch_gateway *gateway, ch_user *user); /* the user's last connection is gone */
void ch_channel_told(ch_gateway *gateway, const chat_row *row, ch_now now);
/* A delivery task of the user's own: does it change its membership of a channel? */
void ch_channel_user_event(ch_gateway *gateway, ch_user *user, const chat_row *row, ch_now now);
/* The heads of the user's channels, as known here, behind a sync answer (MAXH, SUBH). */
void ch_channels_tell(ch_gateway *gateway, ch_conn *conn, ch_now now);
void ch_channels_missed(ch_user *user, ch_now now);

/* ------------------------------------------------------------------------------------------------ requests of the embedder (gateway_request.c) */

typedef struct ch_embedder_request {
  ch_list node; /* under way, or answered */
  ch_request_reply reply;
  chat_op *op;  /* HISTORY: keeps the rows until the next reply is asked for */
  uint64_t serial;
  ch_entry *entry; /* SEND, while membership is read */
  uint8_t user[CHAT_USER_ID_MAX];
  size_t user_len;
} ch_embedder_request;

typedef struct ch_requests {
  ch_list under_way, answered;
  ch_embedder_request *given; /* the one whose reply was given last */
  size_t count;
} ch_requests;

void ch_requests_init(ch_gateway *gateway);
void ch_requests_fini(ch_gateway *gateway);
void ch_request_appended(ch_gateway *gateway, uint64_t serial, int status);
/* Shuts a device out: everywhere. done is called with the status; CHAT_E_NOT_FOUND: no such device. (gateway_devices.c) */
typedef void ch_revoked(ch_gateway *gateway, ch_call *call, int status, ch_now now);
int ch_device_revoke(ch_gateway *gateway, chat_bytes user, const uint8_t device_id[16], uint64_t connection, uint64_t tag, ch_revoked *done, ch_now now);

/* ------------------------------------------------------------------------------------------------ the gateway */

/* Is there enough to write for waiting to pay? */
typedef struct ch_pace {
  uint64_t since_ms, frames_out; /* when it was last looked at */
  bool is_busy;
} ch_pace;

struct ch_gateway {
  ch_env env;
  ch_gateway_config config;
  uint8_t name[64];
  ch_arena arena; /* of the message that is being read, or the delivery */
  ch_hashmap conns, users;
  ch_list dirty;   /* connections with something to write */
  ch_timer_heap holders; /* connections for which much waits, whoever holds most first */
  ch_list patient; /* those with nothing but what can wait for company (patience_ms), the first to become dirty first */
  ch_timer patience;
  ch_pace pace;
  ch_timer_heap timers;
  bool draining;
  uint32_t drain_spread_ms;
  ch_gateway_stats stats;
  ch_calls calls;
  ch_routes routes;
  ch_sends sends;
  ch_tasks_out tasks;
  ch_receipts_part receipts;
  ch_presence_part presence;
  ch_live_part live;
  ch_channels channels;
  ch_requests requests;
};

/* An op of a request that failed, as the client is told of it; and a copy of bytes in an op's memory: where there is none, the request is answered and the op given
 * back (gateway_sync.c). */
void ch_conn_failed(ch_gateway *gateway, ch_conn *conn, uint64_t tag, int status, ch_now now);
bool ch_call_keep(ch_gateway *gateway, void *op, chat_bytes from, chat_bytes *to, ch_now now);
/* A long poll that failed is asked again after a pause; false: it never is, because its port ends (gateway_live.c). */
bool ch_poll_again_later(ch_gateway *gateway, ch_call *call, int status, ch_now now);

/* Handlers of opcodes. */
typedef void ch_handler(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now);
ch_handler ch_hello_handle, ch_confirm_session_handle, ch_renew_token_handle, ch_heartbeat_handle, ch_sync_handle, ch_range_handle, ch_receipt_handle,
    ch_get_receipts_handle, ch_get_members_handle, ch_search_handle, ch_watch_handle, ch_set_typing_handle, ch_list_devices_handle, ch_revoke_device_handle;

/* V5, for a client and for the embedder: what of a range answer may be given. */
bool ch_range_is_allowed(const chat_store_range *range);
void ch_range_clip(const chat_store_range *range, const ch_range *asked, ch_range_reply *reply);

void ch_gateway_seed(ch_gateway *gateway, uint8_t seed[CH_HASHMAP_SEED_LEN]);
/* 0, or CHAT_E_AGAIN with the time after which it would pass. */
int ch_gateway_limit(ch_gateway *gateway, enum ch_limits_class class, chat_bytes key, uint64_t *retry_after_ms, ch_now now);

static inline chat_bytes ch_id_bytes(const uint8_t id[16]) {
  return (chat_bytes){.data = id, .len = 16};
}

#endif
