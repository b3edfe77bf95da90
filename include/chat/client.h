/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - one user on one device: connects, keeps history in a local database, survives being offline, killed, suspended.
 *
 * LIFE. chat_client_new makes a client, chat_client_set sets its options, chat_client_start opens the database and (unless the option
 * `caller-driven` is on) starts the one thread of the library. From then on the client wants to be online and reconnects by itself whenever
 * it has a token. chat_client_free ends it at any moment; nothing is lost by that, nor by kill -9.
 *
 * REQUESTS AND EVENTS. Requests return at once: 0, or a negative CHAT_E_* and then nothing happened and no event follows
 * (CHAT_E_INVALID: arguments; CHAT_E_BUSY: 1,024 requests whose replies were not pulled yet; CHAT_E_SUSPENDED; CHAT_E_CLOSED: not started; CHAT_E_NOMEM). Each carries a
 * 64-bit tag of the caller's choice; exactly one CHAT_EVENT_REPLY with that tag ends each. All else that happens is told by events, which the caller pulls with
 * chat_client_wait. The reply's place in the queue is reserved when the request is made, so it cannot get lost; other events
 * may: when the queue is full they become one CHAT_EVENT_RESYNC. The database is the truth, the queue is a hint: after a RESYNC read again what you show.
 * Where memory or the database fails, any reply may say so, and the same request may be made again. CHAT_E_NOMEM, CHAT_E_FULL: nothing was done. CHAT_E_IO: nothing, or, where the
 * disk failed to sync what it had taken, all of it; which of the two shows when the client has opened its database anew, which it does by itself within seconds. So whoever sends again
 * gives the same client_id (chat_draft), and creates and changes again only behind a look at what is there. chat_client_logout says itself what it had done by then.
 *
 * The user's messages go through the outbox: chat_client_send's reply says that the message is durable in the local database,
 * whether or not there is a connection; CHAT_EVENT_OUTBOX tells each later step, the last one being CHAT_TICK_SENT with a seq (committed) or
 * CHAT_TICK_REFUSED. It will be sent until one of the two is certain, also after a restart.
 *
 * THREADS. Requests, chat_client_interrupt, chat_client_suspend and chat_client_resume: any thread. chat_client_wait: one thread at a time. chat_client_free: no
 * other call may be under way or follow. The only callback is the wakeup, which may only wake.
 *
 * MEMORY. A const chat_event * and all it points to live until the next chat_client_wait, or chat_client_free. Arguments are copied.
 *
 * COMPATIBILITY. Structs grow at their end, lists are arrays of pointers; skip an event type that you do not know.
 */
#ifndef CHAT_CLIENT_H
#define CHAT_CLIENT_H

#include <chat/chat.h>

#if defined(__cplusplus) && !defined(CHAT_FFI)
extern "C" {
#endif

typedef struct chat_client chat_client;

/* ------------------------------------------------------------------------------------------------ life */

/* What is handed in; NULL members mean the default. Everything pointed to must outlive the client. */
typedef struct chat_client_config {
  uint32_t size; /* sizeof(chat_client_config) */
  const chat_allocator *allocator;
  const chat_clock *clock;
  const chat_random *random;
  const chat_log_sink *log;
  chat_transport *transport; /* default: libwebsockets */
  chat_cache *cache;         /* default: SQLite at the option `database` */
} chat_client_config;

/* config may be NULL. CHAT_E_VERSION, CHAT_E_INVALID, CHAT_E_NOMEM; CHAT_E_LIMIT: no descriptors left. Pass CHAT_API_VERSION. */
CHAT_API int chat_client_new(uint32_t api_version, const chat_client_config *config, chat_client **client);

/* One option by name (docs/options.md, "Client"): "url", "token", "database", "device-name", "ca-file", "pin-sha256", "caller-driven" … Before
 * chat_client_start; "token" and "url" also later, from any thread. CHAT_E_UNSUPPORTED: no such option; CHAT_E_INVALID: not a value of it, or too late for it; CHAT_E_NOMEM;
 * CHAT_E_BUSY: 2,048 requests, hints and values wait for the client's next turn. */
CHAT_API int chat_client_set(chat_client *client, const char *name, const char *value);

/* The options as text, in a form CHAT_PRINT_* (chat.h): written to `out` (cut to len, NUL-terminated); returns the length of the whole. */
CHAT_API size_t chat_client_print_options(int form, char *out, size_t len);

/* Opens the database, checks it, and begins. CHAT_E_BUSY: another client has this database open; CHAT_E_VERSION: the database is newer than the library;
 * CHAT_E_FULL, CHAT_E_IO, CHAT_E_NOMEM; CHAT_E_INVALID: was started before. A damaged database is set aside (CHAT_EVENT_DATABASE) and does not fail the start. */
CHAT_API int chat_client_start(chat_client *client);

/* Waits for the library's thread. Nothing that a reply said was done is lost; requests without a reply may have been done or not. */
CHAT_API void chat_client_free(chat_client *client);

/* ------------------------------------------------------------------------------------------------ events */

enum {
  CHAT_EVENT_NONE = 0,
  CHAT_EVENT_REPLY = 1,        /* ends the request `tag`: status, and what the request says that it gives */
  CHAT_EVENT_RESYNC = 2,       /* events were dropped, or the server has begun a conversation anew: read again what you show; `state` as it is now */
  CHAT_EVENT_STATE = 3,        /* `state` is now this CHAT_STATE_*; status: why; also where the reason alone is another (CONNECTING: the last attempt failed by status) */
  CHAT_EVENT_MESSAGE = 4,      /* messages[0] was stored: a new event of a conversation, one's own too; rising seq within a conversation but for history that is filled in */
  CHAT_EVENT_OUTBOX = 5,       /* messages[0], one's own, has a new tick; refused: status says why */
  CHAT_EVENT_RECEIPT = 6,      /* user's watermarks in conversation_id are now delivered, read */
  CHAT_EVENT_CONVERSATION = 7, /* conversations[0] is new or changed (title, members, role, head, unread) */
  CHAT_EVENT_PRESENCE = 8,     /* user is now online or not, in conversations opened with chat_client_open */
  CHAT_EVENT_TYPING = 9,       /* user types in conversation_id (online 1), or stopped (0) */
  CHAT_EVENT_TOKEN = 10,       /* the token ends at until_ms, or was not accepted (status): chat_client_set "token" */
  CHAT_EVENT_DATABASE = 11,    /* status CHAT_E_CORRUPT: the database was damaged and set aside as `text`; history is pulled again. CHAT_E_FULL, CHAT_E_IO: it cannot be written now */
  CHAT_EVENT_DRAFT = 12,       /* an outbox row whose fate cannot be proven was given back: messages[0] (restored database) */
  CHAT_EVENT_PROGRESS = 13     /* long work: seq of `head` done */
};

enum {
  CHAT_STATE_OFFLINE = 1,    /* no token, told to be offline, or no database (status: CHAT_E_IO, CHAT_E_FULL …: it is opened again by itself) */
  CHAT_STATE_CONNECTING = 2,
  CHAT_STATE_SYNCING = 3,    /* connected; what was missed is being fetched */
  CHAT_STATE_LIVE = 4,       /* connected and up to date as far as told */
  CHAT_STATE_SUSPENDED = 5,
  CHAT_STATE_SHUT_OUT = 6    /* status: CHAT_E_REPLACED, CHAT_E_REVOKED, CHAT_E_AUTH, CHAT_E_VERSION, CHAT_E_LIMIT (too many devices), CHAT_E_CONFLICT (the database is another
                                user's, or another device's); no reconnect until the token or the url is set anew */
};

/* One event of a conversation: a message, or a change of its members or title. */
typedef struct chat_message {
  uint8_t conversation_id[16];
  uint8_t client_id[16];
  uint8_t device_id[16];
  uint64_t seq;        /* 0: still in the outbox */
  uint64_t msg_no;
  uint64_t message_id;
  uint64_t created_ms; /* Unix time at the log; in the outbox: of entering it */
  uint64_t client_seq;
  uint32_t type;       /* CHAT_TYPE_* */
  uint32_t tick;       /* CHAT_TICK_*, of one's own; else 0 */
  uint32_t own;        /* 1: sent by this user, from any device */
  int32_t status;      /* refused: why */
  chat_bytes sender;
  chat_bytes kind;     /* CHAT_TYPE_MESSAGE */
  chat_bytes body;
  chat_bytes meta;
  const chat_bytes *const *users; /* CREATE, MEMBERS_ADD: users; REMOVE, ROLE, OWNER: one */
  size_t user_count;
  uint32_t role;       /* MEMBERS_ADD, ROLE */
  uint32_t history_from_start; /* CREATE, SETTINGS */
  chat_bytes title;    /* CREATE, TITLE */
  chat_bytes payload;  /* raw, of any type: for types that the library does not know */
  uint64_t gap_before; /* history: this many events before this one are not in the cache yet (a gap marker); 0: none */
} chat_message;

typedef struct chat_conversation {
  uint8_t conversation_id[16];
  uint32_t kind;      /* CHAT_DIRECT … */
  uint32_t role;      /* CHAT_ROLE_NONE: former member */
  uint64_t head;      /* last seq known of */
  uint64_t cursor;    /* everything up to here is in the cache, as far as wanted */
  uint64_t unread;    /* messages after `read` */
  uint64_t delivered, read; /* one's own watermarks */
  uint64_t active_ms;
  uint64_t pending;   /* rows in the outbox */
  uint64_t member_count;
  chat_bytes title;
  chat_bytes peer;    /* direct: the other user */
} chat_conversation;

typedef struct chat_member_info {
  chat_bytes user;
  uint32_t role;
  uint32_t online;    /* as far as known */
  uint64_t seen_ms;
  uint64_t delivered, read;
} chat_member_info;

typedef struct chat_device_info {
  uint8_t device_id[16];
  chat_bytes name;
  uint64_t created_ms, seen_ms;
  uint32_t revoked, current;
} chat_device_info;

typedef struct chat_event {
  uint32_t type;
  int32_t status;
  uint64_t tag;
  uint32_t state;
  uint32_t online;
  uint64_t seq, head;
  uint64_t delivered, read;
  uint64_t until_ms, seen_ms;
  uint8_t conversation_id[16];
  uint8_t client_id[16];
  uint8_t device_id[16];
  chat_bytes user;
  chat_bytes text;
  const chat_message *const *messages;
  size_t message_count;
  const chat_conversation *const *conversations;
  size_t conversation_count;
  const chat_member_info *const *members;
  size_t member_count;
  const chat_device_info *const *devices;
  size_t device_count;
  uint32_t more;       /* a list goes on */
} chat_event;

/* The next event, or NULL after timeout_ms (0: at once, -1: no limit), after an interrupt, or (caller-driven mode) when there is none.
 * With the library's thread only; in caller-driven mode timeout_ms must be 0. */
CHAT_API const chat_event *chat_client_wait(chat_client *client, int timeout_ms);
/* Ends one wait, the present or the next one. */
CHAT_API void chat_client_interrupt(chat_client *client);
/* fn(arg) is called when the queue is no longer empty (one that has events already does not call: pull first); from the library's thread, in caller-driven mode from inside process,
 * wait, suspend or resume; no lock is held; it may only wake. Never after free returned. NULL: none; the old one may be under way once more when this returns. */
CHAT_API void chat_client_set_wakeup(chat_client *client, void (*fn)(void *arg), void *arg);
/* A descriptor that is readable exactly while chat_client_wait(client, 0) would return an event. The client's: do not read or close it. */
CHAT_API int chat_client_fd(chat_client *client);

/* Caller-driven mode (option "caller-driven", before start): no thread of the library. chat_client_process does what can be done now, without
 * blocking, in at most some 50 ms, and is due when chat_client_next_deadline_ms has come or chat_client_io_fd is readable (an epoll descriptor).
 * 0 or CHAT_E_INVALID (not in this mode). */
CHAT_API int chat_client_process(chat_client *client);
CHAT_API int64_t chat_client_next_deadline_ms(chat_client *client); /* from now; 0: at once; -1: none */
CHAT_API int chat_client_io_fd(chat_client *client);

/* ------------------------------------------------------------------------------------------------ connection */

/* 1: be online whenever possible (so after start); 0: stay offline. Reply: done. */
CHAT_API int chat_client_set_online(chat_client *client, uint64_t tag, int online);
/* A hint from the system; ends a back-off at once (up, changed) or the connection (down, changed). No reply event. CHAT_E_INVALID (also: no such hint), CHAT_E_NOMEM,
 * CHAT_E_CLOSED: not started; CHAT_E_BUSY: as for chat_client_set. */
enum { CHAT_NETWORK_DOWN = 0, CHAT_NETWORK_UP = 1, CHAT_NETWORK_CHANGED = 2 };
CHAT_API int chat_client_network_hint(chat_client *client, int hint);
/* Interrupts statements, rolls back, closes the database and sockets; returns when no file lock is held, at latest after deadline_ms. What was accepted before is still done, as
 * far as the deadline allows. Requests meanwhile get CHAT_E_SUSPENDED; that is also the reply to those which wait for the server, were interrupted, or were not begun in time:
 * of these nothing is done. CHAT_E_TIMEOUT: not yet; it still will. CHAT_E_CLOSED: not started. In caller-driven mode by the thread that calls chat_client_process. */
CHAT_API int chat_client_suspend(chat_client *client, uint32_t deadline_ms);
/* Opens the database again and goes on; `token` and `url` may have been set meanwhile. CHAT_E_BUSY: another client has the database now; CHAT_E_FULL, CHAT_E_IO, CHAT_E_VERSION:
 * as for start; it stays suspended then. CHAT_E_INVALID: is not suspended. */
CHAT_API int chat_client_resume(chat_client *client);
/* Tells the server to revoke this device (where online), wipes the local database, forgets the token; the state is OFFLINE then. Reply: wiped; CHAT_E_OFFLINE: wiped, but the server could
 * not be told. CHAT_E_IO, CHAT_E_FULL, CHAT_E_NOMEM: not wiped, all else is done, and the device may be revoked: ask again, as often as it takes. */
CHAT_API int chat_client_logout(chat_client *client, uint64_t tag);
/* Who one is. Reply: user, device_id. CHAT_E_OFFLINE: never logged in with this database. */
CHAT_API int chat_client_whoami(chat_client *client, uint64_t tag);

/* ------------------------------------------------------------------------------------------------ sending */

typedef struct chat_draft {
  uint32_t size;    /* sizeof(chat_draft) */
  const char *body;
  size_t body_len;  /* 0 to CHAT_BODY_MAX */
  const char *kind; /* NULL: plain text */
  size_t kind_len;  /* UTF-8, up to CHAT_KIND_MAX */
  const char *meta; /* NULL: none; of any form */
  size_t meta_len;  /* up to CHAT_META_MAX */
  const uint8_t *client_id; /* NULL: one is made; else 16 bytes, the caller's identity of this message: the same id with the same
                               content again gives the same message, with other content CHAT_E_CONFLICT in the reply */
} chat_draft;

/* Into the outbox. Reply (all of this section): durable, with conversation_id and client_id, and with seq where the same client_id was committed before (no OUTBOX event
 * follows then); or CHAT_E_NOT_FOUND (no such conversation here), CHAT_E_FULL,
 * CHAT_E_IO, CHAT_E_CONFLICT, CHAT_E_LIMIT (outbox of 10,000 rows full). What the server says comes as CHAT_EVENT_OUTBOX. */
CHAT_API int chat_client_send(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], const chat_draft *draft);
/* To a user, in the direct conversation, which needs no creation. CHAT_E_OFFLINE: never logged in with this database. */
CHAT_API int chat_client_send_direct(chat_client *client, uint64_t tag, const char *user, size_t user_len, const chat_draft *draft);
/* Sends an unanswered row again at once, instead of later; refused ones enter the outbox anew as a new message. CHAT_E_NOT_FOUND: no such row; CHAT_E_UNSUPPORTED: a refused
 * creation, which is asked for anew by chat_client_create. */
CHAT_API int chat_client_retry(chat_client *client, uint64_t tag, const uint8_t client_id[16]);
/* Takes a row back. Never sent, or refused: gone at once (reply 0). Sent: a void is asked for, and the row ends as committed or refused (C8). CHAT_E_NOT_FOUND: no such row. */
CHAT_API int chat_client_discard(chat_client *client, uint64_t tag, const uint8_t client_id[16]);

typedef struct chat_text {
  const char *data;
  size_t len;
} chat_text;

/* Changes go through the outbox like messages: the reply says durable here, and whether the change happened is told by CHAT_EVENT_OUTBOX, then by the event itself. Who may do what:
 * docs/protocol.md, "Types of events and who may send them". CHAT_E_NOT_FOUND in the reply: one is no member of such a conversation, as far as known here.
 *
 * kind CHAT_GROUP or CHAT_CHANNEL; title 0 to CHAT_TITLE_MAX bytes; members without oneself, at most 255; history_from_start 1: who is added later may read from the start.
 * Reply: conversation_id, client_id. CHAT_E_OFFLINE: never logged in with this database. */
CHAT_API int chat_client_create(chat_client *client, uint64_t tag, uint32_t kind, const char *title, size_t title_len,
                                const chat_text *members, size_t member_count, int history_from_start);
/* 1 to 255 users; role CHAT_ROLE_MEMBER or CHAT_ROLE_ADMIN, here and in chat_client_set_role. */
CHAT_API int chat_client_add_members(chat_client *client, uint64_t tag, const uint8_t conversation_id[16],
                                     const chat_text *users, size_t user_count, uint32_t role);
CHAT_API int chat_client_remove_member(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], const char *user, size_t user_len);
CHAT_API int chat_client_leave(chat_client *client, uint64_t tag, const uint8_t conversation_id[16]);
CHAT_API int chat_client_set_role(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], const char *user, size_t user_len, uint32_t role);
CHAT_API int chat_client_set_owner(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], const char *user, size_t user_len);
CHAT_API int chat_client_set_title(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], const char *title, size_t title_len);
CHAT_API int chat_client_set_history_from_start(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], int from_start);
/* A group becomes a channel, never back. */
CHAT_API int chat_client_make_channel(chat_client *client, uint64_t tag, const uint8_t conversation_id[16]);

/* ------------------------------------------------------------------------------------------------ receipts, presence, typing */

/* CHAT_E_NOT_FOUND in the replies of this section: no such conversation here.
 *
 * Everything up to seq was shown to the person; forward only; the other devices learn it. Reply: stored; sent now or when there is a connection. */
CHAT_API int chat_client_mark_read(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], uint64_t seq);
/* The conversation is on the screen: its members' receipts and presence are asked for and followed. Reply: done (also while offline: it counts when online). CHAT_E_LIMIT:
 * 16 are open. */
CHAT_API int chat_client_open(chat_client *client, uint64_t tag, const uint8_t conversation_id[16]);
CHAT_API int chat_client_close(chat_client *client, uint64_t tag, const uint8_t conversation_id[16]);
/* Best effort, at most one in 3 s is sent; no reply event. CHAT_E_BUSY: as for chat_client_set. */
CHAT_API int chat_client_typing(chat_client *client, const uint8_t conversation_id[16], int typing);

/* ------------------------------------------------------------------------------------------------ reading */

/* From the cache, most recently active first; `after_index` skips that many. Reply: conversations, more. limit 1 to 1,000. */
CHAT_API int chat_client_conversations(chat_client *client, uint64_t tag, uint64_t after_index, uint32_t limit);
/* Reply: that one. CHAT_E_NOT_FOUND: not here. */
CHAT_API int chat_client_conversation(chat_client *client, uint64_t tag, const uint8_t conversation_id[16]);

/* A page of history in rising seq: the `limit` events (1 to CHAT_PAGE_MAX) before `before_seq` (0: the newest, then the outbox rows after them),
 * or with after_seq > 0 those after it (not both: CHAT_E_INVALID). From the cache; what is missing there is fetched from the server where online. Reply: messages, more; where
 * something is missing, with what is here (gap_before marks where): CHAT_E_OFFLINE (no connection), CHAT_E_AGAIN (the server did not give it now), CHAT_E_GONE (the
 * conversation has begun anew there: it is fetched again). local != 0: never asks the server. */
CHAT_API int chat_client_history(chat_client *client, uint64_t tag, const uint8_t conversation_id[16],
                                 uint64_t before_seq, uint64_t after_seq, uint32_t limit, int local);
/* Words, 1 to 256 bytes of UTF-8, all must occur; the last may end with '*'. limit 1 to CHAT_PAGE_MAX; before_message_id 0: from the newest. conversation_id NULL: everywhere. on_server 0: in the
 * cache; 1: at the server. Reply: messages, newest first, more. CHAT_E_INVALID: there is no word in it; CHAT_E_OFFLINE (on_server). */
CHAT_API int chat_client_search(chat_client *client, uint64_t tag, const char *query, size_t query_len, const uint8_t *conversation_id,
                                uint64_t before_message_id, uint32_t limit, int on_server);
/* Present members with roles, watermarks and what is known of presence, from the server where online, else from the cache. Reply: members, more; go on with `after`. limit 1 to 256. */
CHAT_API int chat_client_members(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], const char *after, size_t after_len, uint32_t limit);
/* One's own, the revoked ones too, from the server. Reply: devices. CHAT_E_OFFLINE. */
CHAT_API int chat_client_devices(chat_client *client, uint64_t tag);
/* Shuts out a device of one's own, for good; also this one. Reply: done. CHAT_E_NOT_FOUND: no such device; CHAT_E_OFFLINE. */
CHAT_API int chat_client_revoke_device(chat_client *client, uint64_t tag, const uint8_t device_id[16]);
/* Compares the cached history of a conversation with the server's, page by page, and repairs what differs. Reply: seq = events compared, head = events repaired;
 * CHAT_EVENT_PROGRESS meanwhile. CHAT_E_OFFLINE; CHAT_E_AGAIN: the server did not give all of it; CHAT_E_GONE: it has begun anew there, which is followed. */
CHAT_API int chat_client_verify(chat_client *client, uint64_t tag, const uint8_t conversation_id[16]);

#if defined(__cplusplus) && !defined(CHAT_FFI)
}
#endif

#endif
