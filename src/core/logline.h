/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logline.h - one structured log line: {"ts":…,"level":…,"msg":…, fields}, for the chat_log_sink that the embedder handed in.
 *
 * What may be logged is the table below and nothing else: there is no field for a body, a title, a token or a key, and msg is a literal of
 * the code. Whoever wants to log something new adds a row, where a reviewer sees it.
 *
 *   ch_logline line;
 *   ch_logline_begin(&line, &log, CHAT_LOG_INFO, wall_ms, "session opened");
 *   ch_logline_text(&line, CH_LOG_USER, user);
 *   ch_logline_end(&line);
 *
 * A line that is not wanted (level, no sink) costs a comparison a call. A line is one thread's; a ch_log may be shared.
 */
#ifndef CH_CORE_LOGLINE_H
#define CH_CORE_LOGLINE_H

#include <chat/chat.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"

/*
 * X(id, name, kind)
 *   TEXT    a string; what is not UTF-8 in it is shown as U+FFFD
 *   NUMBER  a JSON number
 *   BIG     64 bits as a string, because many readers of JSON keep only 53 of a number
 *   HEX     bytes of an id as hexadecimal digits
 *   ERROR   a CHAT_E_* by its name
 */
#define CH_LOG_FIELDS(X)                                                                                                                   \
  X(ADDRESS, "address", TEXT) /* of a peer */                                                                                              \
  X(USER, "user", TEXT)                                                                                                                    \
  X(DEVICE, "device", HEX)                                                                                                                 \
  X(CONVERSATION, "conversation", HEX)                                                                                                     \
  X(CLIENT_ID, "client_id", HEX)                                                                                                           \
  X(CLIENT_SEQ, "client_seq", BIG)                                                                                                         \
  X(CONNECTION, "connection", BIG)                                                                                                         \
  X(SEQ, "seq", BIG)                                                                                                                       \
  X(PARTITION, "partition", NUMBER)                                                                                                        \
  X(POSITION, "position", BIG)                                                                                                             \
  X(COUNT, "count", NUMBER)                                                                                                                \
  X(SIZE, "size", NUMBER) /* in bytes */                                                                                                   \
  X(DURATION_MS, "duration_ms", NUMBER)                                                                                                    \
  X(RETRY_MS, "retry_ms", NUMBER)                                                                                                          \
  X(ERROR, "error", ERROR)                                                                                                                 \
  X(SYS_ERRNO, "errno", NUMBER)                                                                                                            \
  X(REASON, "reason", TEXT) /* a sentence of the code or of a third party about what went wrong */                                         \
  X(OPTION, "option", TEXT) /* the key, not its value */                                                                                   \
  X(PATH, "path", TEXT)                                                                                                                    \
  X(PORT, "port", NUMBER)                                                                                                                  \
  X(ROLE, "role", TEXT)                                                                                                                    \
  X(BACKEND, "backend", TEXT)                                                                                                              \
  X(GATEWAY, "gateway", TEXT)                                                                                                              \
  X(VERSION, "version", TEXT)

typedef enum ch_log_field {
#define X(id, name, kind) CH_LOG_##id,
  CH_LOG_FIELDS(X)
#undef X
      CH_LOG_FIELD_COUNT
} ch_log_field;

enum {
  CH_LOGLINE_MAX = 4096,   /* bytes of a line: chat_log_sink's promise */
  CH_LOGLINE_MSG_MAX = 256 /* bytes of msg */
};

typedef struct ch_log {
  const chat_log_sink *sink; /* NULL: nothing is logged */
  int level;                 /* lines above this CHAT_LOG_* are not wanted */
} ch_log;

typedef struct ch_logline {
  const chat_log_sink *sink; /* NULL: not wanted, and nothing else here means anything */
  int level;
  size_t len;
  bool overflow;  /* the field being written does not fit */
  bool truncated; /* a field was left out */
  uint32_t fields_seen;
  char text[CH_LOGLINE_MAX + 1];
} ch_logline;

/* `level` is a CHAT_LOG_*; `msg` a literal of at most CH_LOGLINE_MSG_MAX bytes; `wall_ms` Unix time. */
void ch_logline_begin(ch_logline *line, const ch_log *log, int level, uint64_t wall_ms, const char *msg);

/* Each field at most once, by the call of its kind. One that does not fit is left out whole, and the line says "truncated":true. */
void ch_logline_text(ch_logline *line, ch_log_field field, ch_bytes text);
void ch_logline_number(ch_logline *line, ch_log_field field, int64_t value);
void ch_logline_big(ch_logline *line, ch_log_field field, uint64_t value);
void ch_logline_hex(ch_logline *line, ch_log_field field, ch_bytes id);
void ch_logline_error(ch_logline *line, ch_log_field field, int error);

/* Hands the line (NUL behind it) to the sink. */
void ch_logline_end(ch_logline *line);

#endif
