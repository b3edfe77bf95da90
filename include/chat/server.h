/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - gateways, sequencer and deliverer inside your own program; chatd is a small program over this header.
 *
 * LIFE. chat_server_new makes a server, chat_server_set sets options (docs/options.md, "Server"), chat_server_start opens the backends, replays what the
 * log holds behind the store, listens, and starts the threads (option "threads" for connections, one for the workers, those of the backends).
 * chat_server_stop drains: clients are told to reconnect elsewhere, what is under way is finished. kill -9 instead loses nothing that was accepted.
 *
 * HOOKS. Functions of the embedder that the server asks: who is this, may this message go into the log, may X do Y, and one that is told
 * what was stored. Each is called with a ticket, on a thread of the server, and must not block: answer with chat_ticket_answer at once or later, from any
 * thread, exactly once. No answer within the option "hook-deadline" denies (CHAT_E_TIMEOUT); a later one is ignored. Views in a hook's arguments live until the answer.
 *
 * REQUESTS. From any thread, tagged; exactly one CHAT_SERVER_REPLY ends each request that returned 0. Events are pulled with chat_server_wait, as in client.h.
 *
 * Several servers may live in one process: there are no globals, no signal handlers, no environment, nothing on stderr.
 */
#ifndef CHAT_SERVER_H
#define CHAT_SERVER_H

#include <chat/chat.h>

#if defined(__cplusplus) && !defined(CHAT_FFI)
extern "C" {
#endif

typedef struct chat_server chat_server;
typedef struct chat_ticket chat_ticket;

/* ------------------------------------------------------------------------------------------------ hooks */

typedef struct chat_login {
  chat_bytes token;
  chat_bytes address;   /* of the peer, as text */
  chat_bytes client;    /* as the client calls itself */
  uint8_t device_id[16];/* asked for; zeros: a new device */
} chat_login;

typedef struct chat_incoming { /* a message that would go into the log */
  uint8_t conversation_id[16];
  uint8_t client_id[16];
  uint32_t type;        /* CHAT_TYPE_* */
  chat_bytes user;      /* sender */
  uint8_t device_id[16];
  chat_bytes kind, body, meta; /* CHAT_TYPE_MESSAGE */
  chat_bytes payload;   /* of any type */
  chat_bytes peer;      /* direct: the other user */
} chat_incoming;

enum { CHAT_MAY_CREATE = 1, CHAT_MAY_ADD = 2, CHAT_MAY_SEND_DIRECT = 3, CHAT_MAY_WATCH = 4, CHAT_MAY_SEARCH = 5 };
typedef struct chat_action { /* may `user` do this to, with or in …? */
  uint32_t action;      /* CHAT_MAY_* */
  chat_bytes user;
  chat_bytes other;     /* SEND_DIRECT: the peer; ADD: the first added user */
  uint8_t conversation_id[16];
} chat_action;

typedef struct chat_stored { /* an event that is in the store: at least once each, key (conversation, seq) */
  uint8_t conversation_id[16];
  uint64_t seq, msg_no, message_id, created_ms;
  uint32_t type;
  chat_bytes sender;
  uint8_t client_id[16];
  chat_bytes kind, body, meta;
  chat_bytes payload;
} chat_stored;

typedef struct chat_hooks {
  uint32_t size; /* sizeof(chat_hooks) */
  void *arg;
  /* Who is this? Answer with chat_ticket_answer_user, or a CHAT_E_* (CHAT_E_AUTH, CHAT_E_EXPIRED, CHAT_E_REVOKED). NULL: JWT by the options "jwt-key" …, or development mode. */
  void (*authenticate)(void *arg, chat_ticket *ticket, const chat_login *login);
  /* May this go into the log? 0 or a CHAT_E_*, which the sender gets as the reason of the refusal. NULL: yes. */
  void (*before_log)(void *arg, chat_ticket *ticket, const chat_incoming *incoming);
  /* NULL: yes. */
  void (*may)(void *arg, chat_ticket *ticket, const chat_action *action);
  /* Told by the deliverer; answer 0 when done; anything else, and it is told again later. Holds up the partition's deliveries until answered. NULL: nobody is told.
   * Where the store is the option's SQLite, or the log keeps deliveries, also over a kill: then what may not have been told comes beside what is new. */
  void (*after_store)(void *arg, chat_ticket *ticket, const chat_stored *stored);
} chat_hooks;

/* Ends a ticket: 0 allows. Any thread; the ticket is gone afterwards. */
CHAT_API void chat_ticket_answer(chat_ticket *ticket, int error);
/* Ends an authenticate ticket: this is `user` (copied). device_id: NULL, or the only device that the credentials are good for. expires_ms: Unix time, 0: never.
 * CHAT_E_INVALID: not a user id; the ticket still is to be answered. */
CHAT_API int chat_ticket_answer_user(chat_ticket *ticket, const char *user, size_t user_len, const uint8_t *device_id, uint64_t expires_ms);

/* ------------------------------------------------------------------------------------------------ life */

typedef struct chat_server_config {
  uint32_t size; /* sizeof(chat_server_config) */
  const chat_allocator *allocator;
  const chat_clock *clock;
  const chat_random *random;
  const chat_log_sink *log;
  const chat_hooks *hooks;
  chat_backend *message_log, *store, *directory, *link; /* NULL: as the options "log", "store", "directory" say. Given ones (chat/backend.h) stay the caller's: freed after chat_server_free */
} chat_server_config;

/* config may be NULL. CHAT_E_VERSION, CHAT_E_INVALID, CHAT_E_NOMEM. Pass CHAT_API_VERSION. */
CHAT_API int chat_server_new(uint32_t api_version, const chat_server_config *config, chat_server **server);
/* One option by name, before start. CHAT_E_UNSUPPORTED: no such option; CHAT_E_INVALID: not a value of it, or too late. */
CHAT_API int chat_server_set(chat_server *server, const char *name, const char *value);
/* Reads a file of lines `name = value`, up to 1 MiB. CHAT_E_IO, CHAT_E_NOMEM, or as chat_server_set. `line` (may be NULL) gets the number of the bad line. */
CHAT_API int chat_server_set_file(chat_server *server, const char *path, uint32_t *line);
/* Takes options `--name value`, `--name=value`, and `--name` for those that are true or false, from the head of `args` (without the program's name), until one does not begin
 * with "--", or behind "--". `used` (may be NULL) gets how many were taken. As chat_server_set; CHAT_E_INVALID also where a value is missing. */
CHAT_API int chat_server_set_args(chat_server *server, int count, const char *const *args, int *used);
/* Takes NAME=value strings, ended by NULL, that begin with `prefix`: with "CHATD_", CHATD_LOG_LEVEL sets log-level. Names that no option has are skipped. As chat_server_set. */
CHAT_API int chat_server_set_environment(chat_server *server, const char *prefix, const char *const *environment);
/* Why the last set, set_… or start of this handle failed, as a sentence; NUL-terminated; lives until the next of them. Same thread as those. */
CHAT_API const char *chat_server_problem(const chat_server *server);
/* CHAT_E_INVALID: options that do not go together (development mode on an address that is not loopback, --roles over backends that processes cannot share, no way to authenticate);
 * CHAT_E_IO (listen, files), CHAT_E_BUSY (another server has these files), CHAT_E_VERSION, CHAT_E_CORRUPT, CHAT_E_TLS, CHAT_E_FULL. */
CHAT_API int chat_server_start(chat_server *server);
/* Ports that were chosen, where an option gave port 0. `what`: "listen" or "metrics"; 0: not listening. */
CHAT_API int chat_server_port(const chat_server *server, const char *what);
/* Reads keys and certificates again. Any thread. CHAT_E_INVALID: the new ones are not good, the old ones stay; CHAT_E_CLOSED: does not run. */
CHAT_API int chat_server_reload(chat_server *server);
/* Drains for at most deadline_ms and ends, which takes a second more at worst. CHAT_E_TIMEOUT: clients or work were cut off, or a backend of the embedder still holds an op.
 * CHAT_E_CLOSED: does not run. CHAT_E_INVALID: called inside a hook, whose thread cannot wait for its own end. Any other thread, once. */
CHAT_API int chat_server_stop(chat_server *server, uint32_t deadline_ms);
/* Stops at once where it still runs. Waits for a backend that still holds an op. Not inside a hook, and no other call may be under way or follow. */
CHAT_API void chat_server_free(chat_server *server);

/* The options as text, in a form CHAT_PRINT_* (chat.h): written to `out` (cut to len, NUL-terminated); returns the length of the whole. */
CHAT_API size_t chat_server_print_options(int form, char *out, size_t len);

/* ------------------------------------------------------------------------------------------------ requests and events */

enum { CHAT_SERVER_REPLY = 1, CHAT_SERVER_FAULT = 2 };
typedef struct chat_server_event {
  uint32_t type;      /* REPLY; FAULT: a part of the server stands still until an operator acts: status, text */
  int32_t status;
  uint64_t tag;
  uint64_t count;     /* disconnect: sessions ended; statistics: see text */
  uint8_t conversation_id[16], client_id[16];
  const chat_stored *const *stored; /* history, in rising seq */
  size_t stored_count;
  uint64_t head;      /* history: of the conversation */
  chat_bytes text;    /* statistics: as at /metrics; FAULT: what is wrong */
} chat_server_event;

/* As chat_client_wait, _interrupt, _fd. */
CHAT_API const chat_server_event *chat_server_wait(chat_server *server, int timeout_ms);
CHAT_API void chat_server_interrupt(chat_server *server);
CHAT_API int chat_server_fd(chat_server *server);

/* All: CHAT_E_INVALID: arguments; CHAT_E_BUSY: 1,024 requests are under way, or their replies not pulled; CHAT_E_CLOSED: not started, or stopping; CHAT_E_NOMEM: then no event follows. A reply
 * of CHAT_E_CANCELED: the server stopped before; CHAT_E_AGAIN, CHAT_E_NOMEM, CHAT_E_IO, CHAT_E_FULL: memory
 * or a backend failed, nothing was done, ask again; CHAT_E_UNKNOWN: it may have been done. Arguments are copied. */

typedef struct chat_server_send {
  uint32_t size; /* sizeof(chat_server_send) */
  uint32_t as_system; /* 1: the sender need not be a member, and no rule of roles applies */
  const char *user;   /* sender */
  size_t user_len;
  const uint8_t *conversation_id; /* 16 bytes, or NULL: direct, to `peer` */
  const char *peer;
  size_t peer_len;
  const uint8_t *client_id;       /* 16 bytes, or NULL: one is made */
  const char *kind, *body, *meta; /* each may be NULL where its len is 0; up to CHAT_KIND_MAX, CHAT_BODY_MAX, CHAT_META_MAX */
  size_t kind_len, body_len, meta_len;
} chat_server_send;

/* Reply: durable in the log, with conversation_id and client_id; whether it was applied is seen in the history. No dedup: sent twice, it is there twice. CHAT_E_NOT_FOUND: there is no such
 * conversation, or the sender is no member; also for a moment after a creation or an addition was replied to, until that is applied. */
CHAT_API int chat_server_request_send(chat_server *server, uint64_t tag, const chat_server_send *send);
/* kind CHAT_GROUP or CHAT_CHANNEL; title 0 to CHAT_TITLE_MAX bytes; members without the owner, at most 255. Reply: durable; conversation_id. */
CHAT_API int chat_server_request_create(chat_server *server, uint64_t tag, const char *owner, size_t owner_len, uint32_t kind, const char *title, size_t title_len,
                                        const char *const *members, const size_t *member_lens, size_t member_count, int history_from_start);
/* As the system, which may what an owner may; the event's sender is empty. role CHAT_ROLE_MEMBER or CHAT_ROLE_ADMIN. Reply: durable; whether it was applied is seen in the history. */
CHAT_API int chat_server_request_add(chat_server *server, uint64_t tag, const uint8_t conversation_id[16], const char *user, size_t user_len, uint32_t role);
CHAT_API int chat_server_request_remove(chat_server *server, uint64_t tag, const uint8_t conversation_id[16], const char *user, size_t user_len);
/* Rows with seq in (low, high], newest first picked, at most limit (1 to CHAT_PAGE_MAX); high 0: the head. Reply: stored, head. CHAT_E_NOT_FOUND: no such conversation. */
CHAT_API int chat_server_request_history(chat_server *server, uint64_t tag, const uint8_t conversation_id[16], uint64_t low, uint64_t high, uint32_t limit);
/* device_id NULL: all of the user. The clients may come back. Reply: count. */
CHAT_API int chat_server_request_disconnect(chat_server *server, uint64_t tag, const char *user, size_t user_len, const uint8_t *device_id);
/* Shuts that device out for good and ends its sessions. Reply: done. CHAT_E_NOT_FOUND: no such device. */
CHAT_API int chat_server_request_revoke(chat_server *server, uint64_t tag, const char *user, size_t user_len, const uint8_t device_id[16]);
/* Reply: text, as at /metrics. */
CHAT_API int chat_server_request_statistics(chat_server *server, uint64_t tag);

#if defined(__cplusplus) && !defined(CHAT_FFI)
}
#endif

#endif
