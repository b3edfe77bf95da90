/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h - for those who plug a third party into libchat: a log, a store, a directory, a gateway link.
 * (The client's two kinds, transport and cache, are at the end.)
 *
 * SHAPE. Every server backend has one shape. Work is an *op*: a struct that carries the request, then the result, and the memory of both.
 *
 *   backend = chat_backend {vtable, self}        one for each process, shared by its loops
 *   port    = backend.port_new(self, wake)       one for each loop; all calls on a port come from that loop's thread
 *   submit(port, op)                             the op now belongs to the backend; request memory stays valid until it comes back
 *   poll(port) -> op                             a finished op goes back to the machine that made it, with `status` and results
 *   wake.fn(wake.arg)                            from any thread: "poll me"; may only wake, is never called after port_free returned
 *
 * A backend never blocks the calling thread in submit or poll; what blocks has a thread of its own inside the backend.
 * submit returns 0, or CHAT_E_BUSY where the port's bound (backend option) is reached: then the op stays the caller's.
 * Each op comes back exactly once. Its status is 0, or
 *   CHAT_E_UNKNOWN    it may or may not have happened (a time-out, a lost connection): the caller does it again, all writes are idempotent
 *   CHAT_E_AGAIN      it did not happen and may later
 *   CHAT_E_FULL / CHAT_E_IO / CHAT_E_CORRUPT / CHAT_E_NOMEM   it did not happen, for that reason
 *   CHAT_E_CANCELED   the port is being freed (long polls end so)
 * Stopping: port_cancel refuses new ops (CHAT_E_CLOSED) and ends long polls at once with CHAT_E_CANCELED; other ops finish as they would. The owner polls until all of
 * its ops are back, then calls port_free.
 *
 * Long polls (LOG_READ, DIRECTORY_CHANGES, LINK_RECEIVE) come back empty after about wait_ms; a backend inside this process may wait longer, until there is something.
 *
 * Results are allocated from the op's arena with chat_op_alloc and live as long as the op. Nothing in an op points into the backend.
 *
 * POSITION. A u64 that orders the records of one partition of one topic: the log's epoch (0 to 16,383) in the upper bits, offset + 1 in the lower 48.
 * 0: before the first record. The begin of an epoch (lower 48 bits 0) is a position too: before whatever that epoch and the later ones have.
 *
 * The contract suites (tests/contract) run against every version of a kind; a new backend is done when its suite passes.
 */
#ifndef CHAT_BACKEND_H
#define CHAT_BACKEND_H

#include <chat/chat.h>

#if defined(__cplusplus) && !defined(CHAT_FFI)
extern "C" {
#endif

typedef struct chat_op chat_op;

/* Head of every op: the first member of each op struct below. */
struct chat_op {
  uint32_t kind;    /* CHAT_OP_*: says which struct this is */
  int32_t status;   /* set by the backend before it hands the op back */
  uint64_t tag;     /* the submitter's own */
  void *owner;      /* the submitter's own */
  chat_op *next;    /* for whoever holds the op at the moment: queues without allocation */
  struct ch_arena *arena; /* memory of the op; freed with it */
};

/* Memory that lives as long as the op; aligned for any type; NULL when memory is out or the op would hold more than its cap of 64 MiB. */
CHAT_API void *chat_op_alloc(chat_op *op, size_t size);
/* A copy of bytes in the op's memory; data NULL when memory is out (len > 0). */
CHAT_API chat_bytes chat_op_copy(chat_op *op, chat_bytes bytes);

typedef struct chat_wake {
  void (*fn)(void *arg);
  void *arg;
} chat_wake;

/* A figure of a backend's own, for /metrics (Prometheus). Its words are static text of the backend, never what comes from outside. Figures of one name stand together; type and help are those
 * of the first of them. */
enum { CHAT_FIGURE_GAUGE = 1, CHAT_FIGURE_COUNTER = 2 };

typedef struct chat_figure {
  uint32_t type;                   /* CHAT_FIGURE_* */
  const char *name, *help;         /* "chat_directory_steps_total" */
  const char *label, *label_value; /* NULL: none */
  int64_t value;
} chat_figure;

typedef struct chat_backend_vtable {
  uint32_t size;       /* sizeof(chat_backend_vtable) */
  const char *name;    /* "log_mem" */
  uint32_t flags;      /* CHAT_BACKEND_* */
  int (*port_new)(void *self, chat_wake wake, void **port);
  void (*port_cancel)(void *self, void *port);
  void (*port_free)(void *self, void *port);
  int (*submit)(void *self, void *port, chat_op *op);
  chat_op *(*poll)(void *self, void *port);
  void (*free)(void *self); /* after the last port_free */
  size_t (*figures)(void *self, chat_figure *figures, size_t max); /* fills in at most max (32 and up), gives how many; any thread, before free. NULL, or a vtable that ends before: none */
} chat_backend_vtable;

enum {
  CHAT_BACKEND_SHARED = 1,       /* may be shared by several processes; without it, --roles other than all three is refused */
  CHAT_BACKEND_DERIVES_HEADS = 2 /* store: heads are derived from conversation state in one snapshot (rule V7); no WRITE_HEADS */
};

struct chat_backend {
  const chat_backend_vtable *vtable;
  void *self;
};

enum {
  CHAT_OP_LOG_INFO = 1,
  CHAT_OP_LOG_APPEND = 2,
  CHAT_OP_LOG_READ = 3,
  CHAT_OP_LOG_CONSUMED = 4,

  CHAT_OP_STORE_APPLY = 16,
  CHAT_OP_STORE_STATE = 17,
  CHAT_OP_STORE_RANGE = 18,
  CHAT_OP_STORE_HEADS = 19,
  CHAT_OP_STORE_POSITION = 20,
  CHAT_OP_STORE_WATERMARKS = 21,
  CHAT_OP_STORE_MEMBERS = 22,
  CHAT_OP_STORE_SEARCH = 23,
  CHAT_OP_STORE_DEVICE = 24,
  CHAT_OP_STORE_DEVICES = 25,
  CHAT_OP_STORE_WRITE_HEADS = 26,
  CHAT_OP_STORE_PRUNE = 27,

  CHAT_OP_DIRECTORY_RENEW = 32,
  CHAT_OP_DIRECTORY_DROP = 33,
  CHAT_OP_DIRECTORY_RAISE = 34,
  CHAT_OP_DIRECTORY_ROUTES = 35,
  CHAT_OP_DIRECTORY_MARK = 36,
  CHAT_OP_DIRECTORY_FILL = 37,
  CHAT_OP_DIRECTORY_PRESENCE = 38,
  CHAT_OP_DIRECTORY_WATCH = 39,
  CHAT_OP_DIRECTORY_CHANGES = 40,
  CHAT_OP_DIRECTORY_SUBSCRIBE = 41,
  CHAT_OP_DIRECTORY_SUBSCRIBERS = 42,

  CHAT_OP_LINK_SEND = 48,
  CHAT_OP_LINK_RECEIVE = 49
};

/* ------------------------------------------------------------------------------------------------ log
 *
 * Two topics. MESSAGES is durable: an APPEND that returned 0 survives power loss. DELIVERIES carries delivery tasks; where the
 * store derives heads it need not be durable (a lost task is found by sync), else it must be.
 * Order: appends of one port to one partition keep their order among themselves. A record is opaque bytes (proto/record.proto).
 */
enum { CHAT_TOPIC_MESSAGES = 0, CHAT_TOPIC_DELIVERIES = 1, CHAT_TOPIC_COUNT = 2 };

typedef struct chat_log_record {
  uint64_t position;  /* result of APPEND and READ */
  uint64_t append_ms; /* result: Unix time at which the log took it; may repeat, and (Kafka, another leader) fall back a little */
  chat_bytes data;    /* at most 256 KiB */
} chat_log_record;

typedef struct chat_log_info { /* CHAT_OP_LOG_INFO: what is in the log of one partition */
  chat_op op;
  uint32_t topic, partition;
  uint32_t partition_count;      /* result: of the topic; fixed for the life of the log's epoch */
  uint64_t first, end;           /* result: position of the oldest record kept, and of the newest (0, 0: empty and new); end is the begin of an epoch (lower 48 bits 0)
                                  where nothing came since that was raised */
  uint8_t identity[16];          /* result: drawn when the log was made; another one means another log */
} chat_log_info;

/* CHAT_OP_LOG_APPEND: all of one partition; durable when status is 0. Else each record has its own fate: one with a position is in; the others are not known to be
 * (CHAT_E_UNKNOWN), or are not (any other status). */
typedef struct chat_log_append {
  chat_op op;
  uint32_t topic, partition;
  chat_log_record *records; /* positions and times are filled in */
  size_t count;             /* 1 to 4,096 */
} chat_log_append;

typedef struct chat_log_read { /* CHAT_OP_LOG_READ: a long poll; comes back with at least one record, or none after wait_ms */
  chat_op op;
  uint32_t topic, partition;
  uint64_t after; /* position; CHAT_E_GONE where records after it were cut, or where it is above the end (it is of another log, then) */
  uint32_t wait_ms;
  uint32_t count_max;     /* 1 to 4,096 */
  size_t bytes_max;       /* at least one record is given all the same */
  chat_log_record *records;
  size_t count;
} chat_log_read;

typedef struct chat_log_consumed { /* CHAT_OP_LOG_CONSUMED: everything up to `position` is stored: may be cut, a new owner starts there. One above the end cuts nothing */
  chat_op op;
  uint32_t topic, partition;
  uint64_t position;
} chat_log_consumed;

/* ------------------------------------------------------------------------------------------------ store
 *
 * What is outside the bounds that are given here (a limit, a user id, a title, too many intervals, a partition that the store does not have) gets CHAT_E_INVALID, and nothing of the op is done.
 */

/* One event of a conversation, as stored: what a row, a page and a live event are made of. */
typedef struct chat_row {
  uint8_t conversation_id[16];
  uint64_t seq;        /* dense: 1, 2, 3 … */
  uint64_t msg_no;     /* messages up to and with this event */
  uint64_t message_id; /* Snowflake, rising within the conversation */
  uint64_t created_ms; /* append time of the log */
  uint64_t client_seq; /* sender's number */
  chat_bytes sender;   /* user id */
  uint8_t device_id[16];
  uint8_t client_id[16];
  uint32_t type;       /* CHAT_TYPE_* or unknown */
  chat_bytes payload;  /* opaque; proto/chat.proto, *Content */
} chat_row;

/* (joined, left]: what a member may read. left == UINT64_MAX: still a member. The removing event itself is readable. */
typedef struct chat_interval {
  uint64_t joined; /* first readable seq - 1 */
  uint64_t left;   /* last readable seq */
} chat_interval;

enum { CHAT_MEMBER_INTERVALS_MAX = 8 }; /* whoever was added more often: the sequencer has forgotten the oldest, and what they covered is no longer readable */

typedef struct chat_member {
  chat_bytes user;
  uint32_t role; /* CHAT_ROLE_NONE: former member, kept for its intervals */
  uint64_t position; /* log position that last changed this row */
  uint64_t delivered, read; /* watermarks; written by WATERMARKS only, APPLY never touches them */
  chat_interval *intervals;
  size_t interval_count;
} chat_member;

/* Dedup state of one (conversation, user, device): rule "Sender numbers". */
typedef struct chat_sender {
  chat_bytes user;
  uint8_t device_id[16];
  uint64_t last;
  uint64_t position;
  uint32_t retired; /* 1: records of this device are refused */
} chat_sender;

/* One conversation's state, or the touched cells of it. */
typedef struct chat_state {
  uint8_t conversation_id[16];
  uint32_t kind;              /* 0: does not exist */
  uint32_t history_from_start;
  uint64_t head;              /* seq of the newest event */
  uint64_t msg_no;
  uint64_t message_id;        /* of the newest event */
  uint64_t position;          /* log position up to which this state is folded */
  uint64_t member_count;      /* present members */
  uint64_t active_ms;         /* created_ms of the newest event */
  chat_bytes title;
  chat_member *members;       /* whole for direct and group; the asked or touched ones for a channel */
  size_t member_count_here;
  chat_sender *senders;
  size_t sender_count;
} chat_state;

/* CHAT_OP_STORE_APPLY: effects of a batch of one partition. Idempotent: written again with the same content by replays and zombies.
 * A row of the store wins over a written one where its cause (rows: message_id; state cells: position) is higher.
 * A store that derives heads does all in one transaction, states and consumed position visible together (V7). Others get two ops from
 * the sequencer: rows first, states when the rows and the tasks are acknowledged ("effects first, state last").
 * A row at or below the horizon (PRUNE) does not come back. A store that derives heads compares positions across conversations, so it has partition 0 alone. */
typedef struct chat_store_apply {
  chat_op op;
  uint32_t partition;
  uint64_t position; /* consumed position, stored with the states; 0: none */
  uint8_t log_identity[16]; /* of the log that the position is of (LOG_INFO); stored with it, in the same transaction and only where the position is */
  chat_row *rows;
  size_t row_count;
  chat_state *states; /* touched cells: the head cells always, members and senders that a record touched (S2) */
  size_t state_count;
} chat_store_apply;

/* CHAT_OP_STORE_STATE: state of one conversation, whole (S3), from one consistent read. For a channel only the members in `users`
 * and their senders. A conversation that does not exist gives kind 0 and status 0 (its senders' cells are given all the same: refusals use numbers up). */
typedef struct chat_store_state {
  chat_op op;
  uint8_t conversation_id[16];
  chat_bytes *users;
  size_t user_count;
  uint32_t only_users; /* 1: only these members (and no senders), whatever the kind: a gateway's courtesy check */
  chat_state state;
} chat_store_state;

/* CHAT_OP_STORE_RANGE: rows with seq in (low, high], at most `limit` of them from the low end (newest_first 0) or the high end (1),
 * always given in rising seq. The state is read before the rows (V5): rows above its head are not given, even where they are there.
 * The answer has no hole: seen from the end that was asked for it ends before a row that is missing above the horizon. */
typedef struct chat_store_range {
  chat_op op;
  uint8_t conversation_id[16];
  chat_bytes user;   /* whose membership is wanted; its intervals come back in state.members[0]; empty: nobody's, for the system reads what there is */
  uint64_t low, high; /* high 0: the head */
  uint32_t limit;     /* 1 to CHAT_PAGE_MAX */
  uint32_t newest_first;
  chat_state state;   /* head cells and that one member (none: never a member) */
  uint64_t horizon;   /* rows with seq <= horizon were pruned */
  chat_row *rows;
  size_t row_count;
} chat_store_range;

typedef struct chat_head {
  uint8_t conversation_id[16];
  uint32_t kind;
  uint32_t role; /* caller's; CHAT_ROLE_NONE: former member */
  uint64_t head; /* the last seq that concerns the user: the conversation's head, or the event of its removal */
  uint64_t msg_no; /* at that head */
  uint64_t position; /* that changed it */
  uint64_t active_ms;
  uint64_t first; /* first seq the user may read */
  uint64_t delivered, read; /* the user's own watermarks */
  chat_bytes title; /* a former member's: as it was at its removal */
} chat_head;

/* CHAT_OP_STORE_HEADS: heads of the user's conversations changed above `above`, in rising position, at most `limit`.
 * `position` is one up to which everything is in the answer (or was at or below `above`): where `more`, that of the last head given. Heads of one position
 * are never parted: the answer ends before them, or has more than `limit` where they alone are. A store that does not derive heads adds all the channels that the user
 * is in, whatever `above` and `limit`, with position 0, in front of the heads of the last answer (more 0): channels are fanned out on read. */
typedef struct chat_store_heads {
  chat_op op;
  chat_bytes user;
  uint64_t above;
  uint32_t limit; /* 1 to 1,000 */
  chat_head *heads;
  size_t head_count;
  uint64_t position;
  uint32_t more;
} chat_store_heads;

typedef struct chat_store_position { /* CHAT_OP_STORE_POSITION: consumed position of a partition, as stored by APPLY (MESSAGES) or WRITE_HEADS (DELIVERIES); 0: none */
  chat_op op;
  uint32_t topic, partition;
  uint64_t position;
  uint8_t log_identity[16]; /* result: as it was written with that position; zeros: none is stored */
  uint64_t synced; /* result: what it would be after a power loss now: the log may be cut up to here, and only up to here; 0: never */
} chat_store_position;

typedef struct chat_watermark {
  uint8_t conversation_id[16];
  chat_bytes user;
  uint64_t delivered, read; /* request: raise to these; result: as now stored */
} chat_watermark;

/* CHAT_OP_STORE_WATERMARKS: raises (never lowers) watermarks of members; entries of users that were never a member are skipped: their result is 0. */
typedef struct chat_store_watermarks {
  chat_op op;
  chat_watermark *marks;
  size_t count; /* 1 to 4,096 */
} chat_store_watermarks;

/* CHAT_OP_STORE_MEMBERS: present members of a conversation in bytewise order of user id, after `after`, with watermarks. */
typedef struct chat_store_members {
  chat_op op;
  uint8_t conversation_id[16];
  chat_bytes user;  /* the asker; its own row comes back in `self` (role NONE and no intervals: never a member) */
  chat_bytes after; /* user id; empty: from the start */
  uint32_t limit;   /* 1 to 1,000 */
  chat_state state; /* head cells, no members */
  chat_member self;
  chat_member *members;
  size_t member_count;
  uint32_t more;
} chat_store_members;

/* CHAT_OP_STORE_SEARCH: full-text search over what the user may read; newest first by message_id. Index may lag behind the store
 * (off the critical path); `indexed_position` says how far it is. CHAT_E_INVALID: the query has no word.
 * Only events of CHAT_TYPE_MESSAGE have text. Letters and digits make words, and so does what is beyond ASCII; all else parts them and is no syntax. Letters of ASCII are compared without
 * case; a store may fold more (SQLite: case and diacritics of all scripts). */
typedef struct chat_store_search {
  chat_op op;
  chat_bytes user;
  chat_bytes query;            /* words; all must occur; the last may be a prefix when it ends with '*'; 1 to 256 bytes */
  uint8_t conversation_id[16]; /* all zero: all conversations */
  uint64_t before_message_id;  /* 0: from the newest */
  uint32_t limit;              /* 1 to CHAT_PAGE_MAX */
  chat_row *rows;
  size_t row_count;
  uint64_t indexed_position;
  uint32_t more; /* result 1: there are older ones; rows of one message_id (of several conversations) are not parted where that can be helped */
} chat_store_search;

typedef struct chat_device {
  uint8_t device_id[16];
  chat_bytes name;      /* as the client calls itself, up to 64 bytes */
  uint64_t session;     /* session number confirmed by the client */
  uint64_t session_next;/* given, not yet confirmed; 0: none */
  uint64_t created_ms, seen_ms;
  uint32_t revoked;
} chat_device;

enum { CHAT_DEVICE_GET = 1, CHAT_DEVICE_PUT = 2 };
/* CHAT_OP_STORE_DEVICE: reads or writes one device of a user. GET of an unknown one: CHAT_E_NOT_FOUND. PUT replaces the whole row where the
 * stored `session` and `session_next` equal expect_session and expect_session_next (both 0: must not exist), else CHAT_E_CONFLICT and
 * the row as stored (where there is none: all 0 but device_id). PUT of a new device where the user has `devices_max` unrevoked ones: CHAT_E_LIMIT.
 * A PUT whose status is 0 survives power loss: a session's number, and that a device is shut out, come back from no log. */
typedef struct chat_store_device {
  chat_op op;
  uint32_t verb;
  chat_bytes user;
  chat_device device;
  uint64_t expect_session, expect_session_next;
  uint32_t devices_max;
} chat_store_device;

typedef struct chat_store_devices { /* CHAT_OP_STORE_DEVICES: all devices of a user, revoked ones too */
  chat_op op;
  chat_bytes user;
  chat_device *devices;
  size_t count;
} chat_store_devices;

typedef struct chat_user_head {
  chat_bytes user;
  chat_head head; /* delivered and read are not written */
} chat_user_head;

/* CHAT_OP_STORE_WRITE_HEADS (stores that do not derive heads): rule V1; each cell keeps the highest: head by its seq, position by itself. */
typedef struct chat_store_write_heads {
  chat_op op;
  uint32_t partition; /* of topic DELIVERIES */
  uint64_t position;
  uint8_t log_identity[16]; /* as that of APPLY */
  chat_user_head *heads;
  size_t count;
} chat_store_write_heads;

/* CHAT_OP_STORE_PRUNE: erases rows with created_ms < before_ms, oldest first, at most `limit`; moves each conversation's horizon first. */
typedef struct chat_store_prune {
  chat_op op;
  uint64_t before_ms;
  uint32_t limit;
  uint64_t pruned; /* result: rows erased; less than limit: none older is left */
} chat_store_prune;

/* ------------------------------------------------------------------------------------------------ directory
 *
 * Hints (P7): may be lost at any time; `epoch` changes whenever the part of the directory that has a user may have forgotten something. A gateway is named by up to 64 bytes.
 *
 * A directory may have parts, each with some of the users, and one of them may be away. So what an op does for several users has an outcome for each: where the op's status is 0 a renewal or
 * raise whose own status is not 0 went as that says, and nothing else of it is a result; where it is not 0, that is what happened to all of them. A status of the op itself says that the
 * directory as a whole is away: a directory of parts gives each item its own, also where all of them failed.
 */
typedef struct chat_route {
  chat_bytes gateway;
  uint8_t device_id[16];
} chat_route;

/* CHAT_OP_DIRECTORY_RENEW: at connect and at each heartbeat, one atomic step for each user: the device's route is set until deadline_ms from now,
 * presence is renewed, and pos:{user} is read. */
typedef struct chat_renewal {
  chat_bytes user;
  uint8_t device_id[16];
  uint64_t session;       /* device session number: a lower one never replaces a higher one's route */
  uint64_t pos;           /* result: 0 missing */
  uint64_t newest_session;/* result: of the device's route as it now stands; above `session`: the device has a newer session elsewhere */
  uint64_t epoch;         /* result: of the part that has this user */
  int32_t status;         /* result of RENEW: 0, or what an op's status may be */
} chat_renewal;
typedef struct chat_directory_renew {
  chat_op op;
  chat_bytes gateway;
  uint32_t route_ms, presence_ms; /* life: 300,000 and 30,000 */
  chat_renewal *renewals;
  size_t count;
} chat_directory_renew;

typedef struct chat_directory_drop { /* CHAT_OP_DIRECTORY_DROP: the device left; dropped only where the route is this gateway's and session's. A user without routes is offline */
  chat_op op;
  chat_bytes gateway;
  chat_renewal *renewals; /* pos is not read */
  size_t count;
} chat_directory_drop;

typedef struct chat_raise {
  chat_bytes user;
  uint64_t previous; /* result: pos:{user} before; 0: there was none */
  chat_route *routes; /* result */
  size_t route_count;
  int32_t status; /* result: 0, or what an op's status may be: then previous and route_count are 0 */
} chat_raise;
typedef struct chat_directory_raise { /* CHAT_OP_DIRECTORY_RAISE (V1): one atomic step a user: raise pos:{user} to position (never lower it), read routes */
  chat_op op;
  uint64_t position;
  chat_raise *raises;
  size_t count;
} chat_directory_raise;

typedef struct chat_directory_routes { /* CHAT_OP_DIRECTORY_ROUTES: routes alone, for receipts, typing and verdicts */
  chat_op op;
  chat_raise *raises; /* previous stays 0 */
  size_t count;
} chat_directory_routes;

typedef struct chat_directory_mark { /* CHAT_OP_DIRECTORY_MARK (V2): puts a marker where pos:{user} is missing; any RAISE removes it */
  chat_op op;
  chat_bytes user;
  uint64_t mark; /* a number drawn by the caller */
} chat_directory_mark;

typedef struct chat_directory_fill { /* CHAT_OP_DIRECTORY_FILL (V2): sets pos:{user} where that marker still stands; else nothing */
  chat_op op;
  chat_bytes user;
  uint64_t mark, pos;
} chat_directory_fill;

typedef struct chat_presence {
  chat_bytes user;
  uint32_t online;
  uint64_t seen_ms; /* Unix time of the last renewal; 0: not known */
} chat_presence;
typedef struct chat_directory_presence { /* CHAT_OP_DIRECTORY_PRESENCE */
  chat_op op;
  chat_presence *users;
  size_t count;
} chat_directory_presence;

typedef struct chat_directory_watch { /* CHAT_OP_DIRECTORY_WATCH: this port wants, or no longer wants, changes of these users; at most 65,536 a port */
  chat_op op;
  chat_bytes *add, *remove;
  size_t add_count, remove_count;
} chat_directory_watch;

typedef struct chat_directory_changes { /* CHAT_OP_DIRECTORY_CHANGES: a long poll for changes of watched users */
  chat_op op;
  uint32_t wait_ms;
  chat_presence *users;
  size_t count;
  uint32_t lost; /* result 1: changes were dropped at a bound: ask again with PRESENCE */
} chat_directory_changes;

typedef struct chat_directory_subscribe { /* CHAT_OP_DIRECTORY_SUBSCRIBE: this gateway has sessions in these channels, for life_ms */
  chat_op op;
  chat_bytes gateway;
  uint32_t life_ms; /* 0: no longer */
  uint8_t (*channels)[16];
  size_t count;
} chat_directory_subscribe;

typedef struct chat_directory_subscribers { /* CHAT_OP_DIRECTORY_SUBSCRIBERS: the gateways that have */
  chat_op op;
  uint8_t conversation_id[16];
  chat_bytes *gateways;
  size_t count;
} chat_directory_subscribers;

/* ------------------------------------------------------------------------------------------------ link: deliverer to gateway */

typedef struct chat_target {
  chat_bytes user;
  uint64_t previous; /* V1: pos:{user} before; 0: none */
  uint8_t device_id[16]; /* all zero: every device of the user */
} chat_target;

/* One delivery for a gateway: `payload` (proto/record.proto, Delivered) is the same for all targets. */
typedef struct chat_delivery {
  uint64_t position;    /* V1; 0: a volatile delivery (receipt, typing, verdict) */
  chat_target *targets; /* none: a channel's event, for the gateway's own subscribers */
  size_t target_count;
  chat_bytes payload;
} chat_delivery;

/* CHAT_OP_LINK_SEND: hands deliveries to a gateway. 0 once they are in its queue, CHAT_E_NOT_FOUND where no such gateway is,
 * CHAT_E_AGAIN where its queue is full. A hint: never sent twice by the backend, may get lost all the same. */
typedef struct chat_link_send {
  chat_op op;
  chat_bytes gateway;
  chat_delivery *deliveries;
  size_t count;
} chat_link_send;

typedef struct chat_link_receive { /* CHAT_OP_LINK_RECEIVE: a long poll by the gateway that calls itself `gateway` */
  chat_op op;
  chat_bytes gateway;
  uint32_t wait_ms;
  chat_delivery *deliveries;
  size_t count;
  uint32_t lost; /* result 1: the queue overflowed since the last one: every session is told to sync */
} chat_link_receive;

/* ------------------------------------------------------------------------------------------------ client: transport
 *
 * One connection at a time that carries whole binary WebSocket messages of subprotocol "chat.v1". All calls come from the thread that
 * drives the client (its own, or the caller of chat_client_process), but interrupt, which comes from any. No call blocks but `wait`.
 */
enum { CHAT_TRANSPORT_NONE = 0, CHAT_TRANSPORT_OPEN = 1, CHAT_TRANSPORT_MESSAGE = 2, CHAT_TRANSPORT_CLOSED = 3 };

typedef struct chat_transport_event {
  uint32_t type;
  int32_t status;     /* CLOSED: CHAT_E_IO, CHAT_E_TLS, CHAT_E_TIMEOUT, CHAT_E_PROTOCOL, CHAT_E_TOO_LARGE or CHAT_E_CLOSED */
  chat_bytes message; /* MESSAGE: lives until the next call */
} chat_transport_event;

typedef struct chat_transport_target {
  uint32_t size;
  const char *url;     /* ws:// or wss://, NUL-terminated */
  const char *ca_file; /* NULL: the system's authorities */
  const char *pin_sha256; /* NULL, or the hexadecimal SHA-256 of the server certificate's public key info */
  const char *address; /* NULL, or the numeric address to use instead of asking a resolver (caller-driven mode needs it, or a numeric url) */
} chat_transport_target;

typedef struct chat_transport_vtable {
  uint32_t size;
  const char *name;
  int (*open)(void *self, const chat_transport_target *target); /* begins; OPEN or CLOSED follows. CHAT_E_INVALID: url; CHAT_E_BUSY: is open */
  int (*send)(void *self, chat_bytes message); /* copied; CHAT_E_AGAIN: 1 MiB is waiting already: later; CHAT_E_CLOSED; CHAT_E_TOO_LARGE: above CHAT_FRAME_MAX */
  int (*poll)(void *self, chat_transport_event *event); /* next event, or type NONE */
  void (*close)(void *self); /* at once; no CLOSED event follows. A close frame need not be sent: the server sees the connection end, and the session's state does not depend on it */
  int (*wait)(void *self, int timeout_ms); /* until there may be an event, an interrupt, or the time; 0 works without waiting */
  void (*interrupt)(void *self);
  int (*fd)(void *self); /* readable when wait(0) has work to do; -1: none */
  void (*free)(void *self);
} chat_transport_vtable;

struct chat_transport {
  const chat_transport_vtable *vtable;
  void *self;
};

/* A transport in memory (in libchat-client), for tests of the program that embeds the client: no socket, no server; the test is the other end. It sees what the client does, lets it in or not,
 * says what a server would say (docs/protocol.md), and cuts it off whenever it likes. The two ends may be in two threads. Each is ended on its own, in whatever order: the
 * client's with vtable->free, when the client that it was handed to is freed, the other with chat_transport_peer_free. */
typedef struct chat_transport_peer chat_transport_peer;

CHAT_API int chat_transport_mem_new(const chat_allocator *allocator, chat_transport **transport, chat_transport_peer **peer); /* CHAT_E_NOMEM, CHAT_E_IO (no descriptor) */
/* What the client does: OPEN (it wants to connect; `message` is the url), MESSAGE, CLOSED (it closed); NONE: nothing within timeout_ms (below 0: no limit). What the client did before
 * its newest open is not told any more. `message` lives until the next call. */
CHAT_API void chat_transport_peer_wait(chat_transport_peer *peer, int timeout_ms, chat_transport_event *event);
CHAT_API int chat_transport_peer_accept(chat_transport_peer *peer); /* lets it in. CHAT_E_CLOSED: it does not ask; CHAT_E_NOMEM */
CHAT_API int chat_transport_peer_send(chat_transport_peer *peer, chat_bytes message); /* as the transport's send, and CHAT_E_NOMEM */
/* Refuses it, or cuts it off: it gets CLOSED with that status, behind what was sent. CHAT_E_CLOSED: it is not there; CHAT_E_NOMEM. */
CHAT_API int chat_transport_peer_close(chat_transport_peer *peer, int status);
CHAT_API void chat_transport_peer_free(chat_transport_peer *peer); /* a client that is connected gets CHAT_E_IO */

/* ------------------------------------------------------------------------------------------------ client: cache
 *
 * The client's database. All calls come from the thread that drives the client, one at a time, and are synchronous. Every call but open, close,
 * wipe and the reads is made between begin and commit. On an error of any write the caller rolls back: nothing of the transaction is there then.
 * Results point into memory of the cache until the next call. "Durable" means: survives power loss.
 */

/* The life of an outbox row (docs/architecture.md, "Outbox"). SENT, UNSURE and ACCEPTED are of the present session and never stored: a stored row is QUEUED (it may have been sent),
 * REFUSED or PARKED; a committed one is gone from here. */
enum {
  CHAT_OUTBOX_QUEUED = 1,
  CHAT_OUTBOX_REFUSED = 2,
  CHAT_OUTBOX_PARKED = 3 /* restored database: of a device that was retired, until its fate is known */
};

typedef struct chat_outbox_row {
  uint8_t conversation_id[16];
  uint8_t client_id[16];
  uint64_t client_seq;
  uint64_t created_ms;
  uint32_t type;
  uint32_t state;
  uint32_t discard; /* the person took it back: SEND as void */
  int32_t error;    /* REFUSED: why */
  chat_bytes payload;
  chat_bytes peer;  /* direct */
} chat_outbox_row;

typedef struct chat_cache_conversation {
  uint8_t conversation_id[16];
  uint32_t kind, role;
  uint32_t history_from_start;
  uint32_t members_stale; /* 1: members are to be fetched again */
  uint64_t head, msg_no;  /* as told by sync, or by events that were stored */
  uint64_t cursor;        /* rows up to here are in the cache, from `start` on, as far as the user may read them */
  uint64_t start;         /* where the cursor began on this device; below it history is filled on demand */
  uint64_t floor;         /* nothing for this user at or below this seq */
  uint64_t read_msg_no;   /* msg_no at `read` */
  uint64_t delivered, read;           /* own watermarks, as known here */
  uint64_t delivered_sent, read_sent; /* as the server has confirmed */
  uint64_t next_client_seq;           /* for this device; rising for ever */
  uint64_t active_ms;
  uint64_t member_count;
  chat_bytes title;
  chat_bytes peer;
} chat_cache_conversation;

typedef struct chat_cache_member {
  chat_bytes user;
  uint32_t role;
  uint64_t delivered, read;
} chat_cache_member;

typedef struct chat_cache_vtable {
  uint32_t size;
  const char *name;

  /* Takes the lock and opens. CHAT_E_BUSY: somebody has it; CHAT_E_VERSION: newer schema; CHAT_E_CORRUPT: damaged (checked at open); CHAT_E_FULL, CHAT_E_IO. */
  int (*open)(void *self);
  void (*close)(void *self); /* gives up every file lock; open may follow */
  /* After CHAT_E_CORRUPT, from open or a later call: moves the damaged database away, makes a new one, and saves into it what can be read of the outbox, the identity
   * values and the conversations' next_client_seq. Where it now lies is written to `name` (NUL-terminated, cut to len). The cache is open afterwards. */
  int (*set_aside)(void *self, char *name, size_t len);
  int (*wipe)(void *self); /* empties everything, open or not; nothing readable stays in the files */

  int (*begin)(void *self);
  int (*commit)(void *self, int durable); /* durable 0: committed and ordered before later commits, but may be lost by power loss */
  void (*rollback)(void *self);
  void (*interrupt)(void *self); /* any thread: the call under way ends with CHAT_E_CANCELED */

  /* Small values by name ("user", "device", "session", "position" …), up to 64 KiB; get of one that is not there: CHAT_E_NOT_FOUND. len 0 removes. */
  int (*value_get)(void *self, const char *name, chat_bytes *value);
  int (*value_put)(void *self, const char *name, chat_bytes value);

  /* Outbox: key client_id; put replaces. list: by (conversation, client_seq), all rows (at most 10,000); visit returns non-zero to end. */
  int (*outbox_put)(void *self, const chat_outbox_row *row);
  int (*outbox_remove)(void *self, const uint8_t client_id[16]);
  int (*outbox_list)(void *self, int (*visit)(void *arg, const chat_outbox_row *row), void *arg);

  int (*conversation_put)(void *self, const chat_cache_conversation *conversation);
  int (*conversation_list)(void *self, int (*visit)(void *arg, const chat_cache_conversation *conversation), void *arg);

  /* Members: replace removes all of the conversation's and puts these; mark raises watermarks of one (CHAT_E_NOT_FOUND: not a member here). list in bytewise order. */
  int (*members_replace)(void *self, const uint8_t conversation_id[16], const chat_cache_member *members, size_t count);
  int (*member_mark)(void *self, const uint8_t conversation_id[16], chat_bytes user, uint64_t delivered, uint64_t read);
  int (*members_list)(void *self, const uint8_t conversation_id[16], int (*visit)(void *arg, const chat_cache_member *member), void *arg);

  /* Rows: key (conversation, seq). put of the same row again changes nothing; a row with other content replaces it (verify). */
  int (*row_put)(void *self, const chat_row *row);
  int (*row_remove)(void *self, const uint8_t conversation_id[16], uint64_t seq);
  /* Rows with seq in (low, high], in rising seq, at most limit from the low end, or from the high end where newest_first. */
  int (*rows)(void *self, const uint8_t conversation_id[16], uint64_t low, uint64_t high, uint32_t limit, int newest_first,
              int (*visit)(void *arg, const chat_row *row), void *arg);
  int (*row_by_client_id)(void *self, const uint8_t conversation_id[16], const uint8_t client_id[16], int (*visit)(void *arg, const chat_row *row), void *arg);
  /* What of a conversation's history is here: a set of intervals (low, high], merged where they touch. cover adds one; covered visits in rising order. */
  int (*cover)(void *self, const uint8_t conversation_id[16], uint64_t low, uint64_t high);
  int (*covered)(void *self, const uint8_t conversation_id[16], int (*visit)(void *arg, uint64_t low, uint64_t high), void *arg);
  /* All rows of a conversation go, out of the index too, and nothing of it is covered. */
  int (*history_forget)(void *self, const uint8_t conversation_id[16]);
  /* Full text, newest first by message_id; rules as for CHAT_OP_STORE_SEARCH. Rows become findable when `index` was called outside a transaction: it indexes at most `count_max`
   * rows and returns how many, 0 when nothing is left, or an error. */
  int (*search)(void *self, chat_bytes query, const uint8_t *conversation_id, uint64_t before_message_id, uint32_t limit,
                int (*visit)(void *arg, const chat_row *row), void *arg);
  int (*index)(void *self, uint32_t count_max);

  void (*free)(void *self);
} chat_cache_vtable;

struct chat_cache {
  const chat_cache_vtable *vtable;
  void *self;
};

#if defined(__cplusplus) && !defined(CHAT_FFI)
}
#endif

#endif
