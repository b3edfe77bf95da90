/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chat.h - the vocabulary that client, server and backends share.
 *
 * Everything promised to users of the library begins with chat_ or CHAT_. The headers are plain C11 (C99 and C++ can
 * include them), hold no bit-fields, unions, varargs or inline functions, and with -DCHAT_FFI defined hold declarations only,
 * so that a foreign function interface can read them after the preprocessor.
 *
 * Conventions, here and in client.h, server.h and backend.h:
 *   - A function that can fail returns 0 or a negative CHAT_E_* of the one list below. There is no errno, no "last error".
 *   - `len` is bytes, `count` is things, `_ms` is milliseconds. Text is UTF-8 with a length; it is not NUL-terminated unless said.
 *   - Arguments are borrowed for the call and copied where they are kept. A returned const pointer says until when it lives.
 *   - free(NULL) is a no-op. Structs grow only at their end; structs that are passed in begin with their size.
 */
#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#ifndef CHAT_FFI
#include <stddef.h>
#include <stdint.h>
#endif

#ifndef CHAT_API
#if defined(__GNUC__) && !defined(CHAT_FFI)
#define CHAT_API __attribute__((visibility("default")))
#else
#define CHAT_API
#endif
#endif

#if defined(__cplusplus) && !defined(CHAT_FFI)
extern "C" {
#endif

/* The version of this header: major * 65536 + minor * 256 + patch. chat_*_new take it and refuse (CHAT_E_VERSION) a library
 * that is older than the header or of another major version. */
enum { CHAT_VERSION_MAJOR = 0, CHAT_VERSION_MINOR = 1, CHAT_VERSION_PATCH = 0 };
enum { CHAT_API_VERSION = CHAT_VERSION_MAJOR * 65536 + CHAT_VERSION_MINOR * 256 + CHAT_VERSION_PATCH };

/* Bounds of the protocol, in bytes unless the name says otherwise (docs/protocol.md, "Limits"). */
enum {
  CHAT_USER_ID_MAX = 64,          /* user id: 1 to 64 bytes of UTF-8, compared bytewise */
  CHAT_DEVICE_ID_LEN = 16,        /* device id: 16 bytes, given by the server at first login */
  CHAT_CLIENT_ID_LEN = 16,        /* UUIDv7 of a message, given by the client */
  CHAT_CONVERSATION_ID_LEN = 16,  /* conversation id: 16 bytes, shown as 32 hexadecimal digits */
  CHAT_BODY_MAX = 65536,          /* body of a message */
  CHAT_META_MAX = 4096,           /* app-defined metadata of a message */
  CHAT_KIND_MAX = 64,             /* app-defined kind of a message, UTF-8 */
  CHAT_TITLE_MAX = 256,           /* title of a conversation, UTF-8 */
  CHAT_TOKEN_MAX = 8192,          /* credentials in HELLO */
  CHAT_GROUP_MEMBERS_MAX = 256,   /* members of a direct conversation or group; a channel has no bound of its own */
  CHAT_PAGE_MAX = 200,            /* events in one page of history */
  CHAT_FRAME_MAX = 1048576        /* one WebSocket message, either way */
};

/* Errors. One list for everything: functions, replies, refusals, the wire (there without the sign). Numbers never change meaning. */
enum {
  CHAT_OK = 0,
  CHAT_E_INVALID = -1,      /* the caller broke a rule of the API, or an argument is out of its bounds */
  CHAT_E_NOMEM = -2,        /* an allocation failed; nothing was changed */
  CHAT_E_BUSY = -3,         /* a bounded queue is full, or somebody else owns the database */
  CHAT_E_AGAIN = -4,        /* not now (rate limit, drain, overload): the same request may succeed later */
  CHAT_E_TIMEOUT = -5,      /* the deadline passed */
  CHAT_E_CANCELED = -6,     /* the request was given up because its owner stopped */
  CHAT_E_CLOSED = -7,       /* the handle or connection is closed */
  CHAT_E_OFFLINE = -8,      /* the request needs a live session and there is none */
  CHAT_E_SUSPENDED = -9,    /* the client is suspended */
  CHAT_E_IO = -10,          /* a file or socket failed */
  CHAT_E_FULL = -11,        /* no space left on the device */
  CHAT_E_CORRUPT = -12,     /* stored data is damaged */
  CHAT_E_VERSION = -13,     /* made by, or meant for, another version than this one can serve */
  CHAT_E_UNSUPPORTED = -14, /* a request, kind or option that this side does not know */
  CHAT_E_PROTOCOL = -15,    /* the peer sent bytes that the protocol does not allow */
  CHAT_E_TOO_LARGE = -16,   /* larger than its limit */
  CHAT_E_AUTH = -17,        /* credentials missing or not accepted */
  CHAT_E_EXPIRED = -18,     /* credentials expired, or not yet valid */
  CHAT_E_NOT_FOUND = -19,   /* not there, or not for you: the two look alike */
  CHAT_E_CONFLICT = -20,    /* the same id was used before with other content */
  CHAT_E_EXISTS = -21,      /* already there */
  CHAT_E_LIMIT = -22,       /* a stated limit of count is reached (members, conversations, devices) */
  CHAT_E_REPLACED = -23,    /* the same device opened a newer session */
  CHAT_E_REVOKED = -24,     /* the device or user was shut out */
  CHAT_E_UNKNOWN = -25,     /* the outcome is not known; keep the id and try again */
  CHAT_E_DENIED = -26,      /* a member may not do this (role, or a hook of the server said no) */
  CHAT_E_GONE = -27,        /* pruned, or of an earlier epoch: it will not come back */
  CHAT_E_TLS = -28,         /* the peer's certificate was not accepted, or TLS could not be set up */
  CHAT_E_INTERNAL = -29     /* a defect of the library; please report it */
};

/* Name of an error, such as "CHAT_E_NOT_FOUND"; "CHAT_E_?" for a number that is not in the list. Static, any thread. */
CHAT_API const char *chat_error_name(int error);
/* One English sentence about an error, for logs and command lines. Static, any thread. */
CHAT_API const char *chat_error_text(int error);

/* ------------------------------------------------------------------------------------------------ vocabulary */

/* Borrowed bytes; `data` may be NULL where `len` is 0. */
typedef struct chat_bytes {
  const uint8_t *data;
  size_t len;
} chat_bytes;

/* Kinds of conversation. */
enum {
  CHAT_DIRECT = 1, /* two users (or one with itself); made by the first message, its id follows from the two user ids */
  CHAT_GROUP = 2,  /* up to CHAT_GROUP_MEMBERS_MAX members, fanned out on write */
  CHAT_CHANNEL = 3 /* any number of members, fanned out on read */
};

/* Roles of a member. CHAT_ROLE_NONE: not (or no longer) a member. */
enum { CHAT_ROLE_NONE = 0, CHAT_ROLE_MEMBER = 1, CHAT_ROLE_ADMIN = 2, CHAT_ROLE_OWNER = 3 };

/* Types of a conversation's events. A type that a program does not know is to be shown as "unsupported", never dropped: it has
 * its place in the order like any other. 32 and above are free for later versions. */
enum {
  CHAT_TYPE_MESSAGE = 1,       /* counted in msg_no */
  CHAT_TYPE_CREATE = 2,        /* the conversation begins: kind, title, members, setting */
  CHAT_TYPE_MEMBERS_ADD = 3,   /* users join with a role */
  CHAT_TYPE_MEMBER_REMOVE = 4, /* a user is removed */
  CHAT_TYPE_LEAVE = 5,         /* the sender leaves */
  CHAT_TYPE_ROLE = 6,          /* a user's role changes between member and admin */
  CHAT_TYPE_OWNER = 7,         /* the owner hands over; becomes admin */
  CHAT_TYPE_TITLE = 8,         /* renamed */
  CHAT_TYPE_SETTINGS = 9,      /* history_from_start */
  CHAT_TYPE_TO_CHANNEL = 10,   /* a group becomes a channel, never back */
  CHAT_TYPE_DEVICE_RETIRED = 11 /* later records of this device are refused (docs/protocol.md, "Restored databases") */
};

/* How far a message of one's own has come; of a group, the least of all other members. */
enum {
  CHAT_TICK_PENDING = 0,   /* in the outbox */
  CHAT_TICK_SENT = 1,      /* durable at the server (ACCEPTED, or committed) */
  CHAT_TICK_DELIVERED = 2, /* stored by a device of every recipient */
  CHAT_TICK_READ = 3,      /* read by every recipient */
  CHAT_TICK_REFUSED = 4    /* refused finally, with a reason */
};

/* ------------------------------------------------------------------------------------------------ seams */

/* What may be plugged in: chat/backend.h. */
typedef struct chat_transport chat_transport;
typedef struct chat_cache chat_cache;
typedef struct chat_backend chat_backend;

/* Memory. resize(arg, NULL, len) allocates, aligned as malloc does; (arg, old, 0) frees and gives NULL; else it resizes, keeping old where it gives NULL.
 * Called from any thread of the library. */
typedef struct chat_allocator {
  void *(*resize)(void *arg, void *old, size_t len);
  void *arg;
} chat_allocator;

/* Clocks, called from the loops only, never with a lock held. elapsed_ms counts sleep (CLOCK_BOOTTIME) and never goes back: deadlines.
 * wall_ms is Unix time: display, tokens and ids; it may jump. */
typedef struct chat_clock {
  uint64_t (*elapsed_ms)(void *arg);
  uint64_t (*wall_ms)(void *arg);
  void *arg;
} chat_clock;

/* Randomness of cryptographic quality; fills `len` bytes; any thread. */
typedef struct chat_random {
  void (*fill)(void *arg, void *bytes, size_t len);
  void *arg;
} chat_random;

/* Log lines: one JSON object without its newline, at most 4,096 bytes, never with a body, token or key; any thread. */
enum { CHAT_LOG_ERROR = 1, CHAT_LOG_WARN = 2, CHAT_LOG_INFO = 3, CHAT_LOG_DEBUG = 4 };
typedef struct chat_log_sink {
  void (*write)(void *arg, int level, const char *line, size_t len);
  void *arg;
} chat_log_sink;

/* ------------------------------------------------------------------------------------------------ small helpers */

/* Forms in which a library prints its options: the text of --help, a sample configuration file, the table of docs/options.md. */
enum { CHAT_PRINT_HELP = 1, CHAT_PRINT_SAMPLE = 2, CHAT_PRINT_MARKDOWN = 3 };

/* Version of the library that runs, in the form of CHAT_API_VERSION. */
CHAT_API uint32_t chat_version(void);

/* Id of the direct conversation of two users (docs/protocol.md, "Ids and numbers"); the order of the two does not matter.
 * CHAT_E_INVALID where a user id is not 1 to 64 bytes of UTF-8 without control characters. */
CHAT_API int chat_direct_id(const char *user_a, size_t a_len, const char *user_b, size_t b_len, uint8_t id[16]);

#if defined(__cplusplus) && !defined(CHAT_FFI)
}
#endif

#endif
