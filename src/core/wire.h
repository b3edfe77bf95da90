/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - the messages of proto/chat.proto and proto/record.proto as the machines see them: flat structs, sizes checked, borrowed bytes.
 *
 * Only codec.c knows the generated types. Decoding checks every bound of docs/protocol.md ("Limits") and every fixed length before anything is
 * allocated, so a machine never meets an id of a wrong length or a user that is not UTF-8. What a decoder gives lives in the arena handed in and
 * may point into the input bytes: both must outlive its use.
 */
#ifndef CH_WIRE_H
#define CH_WIRE_H

#include <chat/backend.h>
#include <chat/chat.h>

#include "core/arena.h"
#include "core/buf.h"

/* ------------------------------------------------------------------------------------------------ opcodes: the oneof numbers of chat.proto */

typedef enum ch_client_op {
  CH_CLIENT_NONE = 0, /* not known here: CHAT_E_UNSUPPORTED, the session lives on */
  CH_HELLO = 2,
  CH_CONFIRM_SESSION = 3,
  CH_RENEW_TOKEN = 4,
  CH_HEARTBEAT = 5,
  CH_SEND = 6,
  CH_SYNC = 7,
  CH_RANGE = 8,
  CH_RECEIPT = 9,
  CH_GET_RECEIPTS = 10,
  CH_GET_MEMBERS = 11,
  CH_SEARCH = 12,
  CH_WATCH = 13,
  CH_SET_TYPING = 14,
  CH_LIST_DEVICES = 15,
  CH_REVOKE_DEVICE = 16,
  CH_CLIENT_OP_COUNT = 17
} ch_client_op;

typedef enum ch_server_op {
  CH_SERVER_NONE = 0, /* not known here: ignored */
  CH_WELCOME = 2,
  CH_ERROR = 3,
  CH_OK = 4,
  CH_HEARTBEAT_REPLY = 5,
  CH_ANSWER = 6,
  CH_VERDICT = 7,
  CH_LIVE = 8,
  CH_SYNC_REPLY = 9,
  CH_RANGE_REPLY = 10,
  CH_RECEIPTS = 11,
  CH_MEMBERS_REPLY = 12,
  CH_SEARCH_REPLY = 13,
  CH_PRESENCE = 14,
  CH_TYPING = 15,
  CH_DEVICES_REPLY = 16,
  CH_GOODBYE = 17,
  CH_SERVER_OP_COUNT = 18
} ch_server_op;

enum { CH_ERROR_CODE_MAX = 65535 }; /* of an error on the wire and in the log; beyond it a message does not decode */

/* ------------------------------------------------------------------------------------------------ client to server */

typedef struct ch_hello {
  uint32_t version;
  uint64_t features;
  chat_bytes token;
  uint32_t has_device; /* device_id was given */
  uint8_t device_id[16];
  uint64_t device_session;
  chat_bytes client;
} ch_hello;

typedef struct ch_send {
  uint8_t conversation_id[16];
  uint8_t client_id[16];
  uint64_t client_seq, prev;
  uint32_t retry, discard;
  uint32_t type;
  chat_bytes payload;
  chat_bytes peer;
} ch_send;

typedef struct ch_range {
  uint8_t conversation_id[16];
  uint64_t low, high;
  uint32_t limit, newest_first;
} ch_range;

typedef struct ch_receipt {
  uint8_t conversation_id[16];
  uint64_t delivered, read;
} ch_receipt;

typedef struct ch_get_receipts {
  const uint8_t (*conversation_ids)[16];
  size_t count;
} ch_get_receipts;

typedef struct ch_get_members {
  uint8_t conversation_id[16];
  chat_bytes after;
  uint32_t limit;
} ch_get_members;

typedef struct ch_search {
  chat_bytes query;
  uint8_t conversation_id[16]; /* zeros: everywhere */
  uint64_t before_message_id;
  uint32_t limit;
} ch_search;

typedef struct ch_flagged { /* Watch (flag: stop), SetTyping (flag: typing) */
  uint8_t conversation_id[16];
  uint32_t flag;
} ch_flagged;

typedef struct ch_client_message {
  uint64_t tag;
  ch_client_op op;
  union {
    ch_hello hello;
    uint64_t device_session; /* ConfirmSession */
    chat_bytes token;        /* RenewToken */
    uint32_t idle;           /* Heartbeat */
    ch_send send;
    uint64_t position;       /* Sync */
    ch_range range;
    ch_receipt receipt;
    ch_get_receipts get_receipts;
    ch_get_members get_members;
    ch_search search;
    ch_flagged watch, typing;
    uint8_t device_id[16]; /* RevokeDevice */
  } u;
} ch_client_message;

/* ------------------------------------------------------------------------------------------------ server to client */

typedef struct ch_limits_info {
  uint32_t heartbeat_ms, frame_max, body_max, meta_max, page_max, group_members_max, in_flight_max;
} ch_limits_info;

typedef struct ch_welcome {
  uint32_t version;
  uint64_t features;
  chat_bytes user;
  uint8_t device_id[16];
  uint64_t device_session;
  uint64_t server_ms;
  uint64_t token_expires_ms;
  ch_limits_info limits;
} ch_welcome;

typedef struct ch_error {
  int32_t code; /* CHAT_E_*, negative here, without its sign on the wire; so in every struct of this file */
  uint32_t retry_after_ms;
  chat_bytes text;
} ch_error;

typedef enum ch_answer_code { CH_ACCEPTED = 1, CH_GAP = 2, CH_UNKNOWN = 3, CH_RETRY = 4, CH_REFUSED = 5 } ch_answer_code;
typedef struct ch_answer {
  ch_answer_code code;
  uint8_t conversation_id[16];
  uint8_t client_id[16];
  uint64_t client_seq;
  int32_t error;
  uint32_t retry_after_ms;
} ch_answer;

typedef enum ch_verdict_code { CH_VERDICT_COMMITTED = 0, CH_VERDICT_REFUSED = 1, CH_VERDICT_DUP = 2, CH_VERDICT_GAP = 3 } ch_verdict_code;
typedef struct ch_verdict { /* COMMITTED never goes over the wire: it is the event */
  ch_verdict_code code;
  uint8_t conversation_id[16];
  uint8_t client_id[16];
  uint64_t client_seq;
  uint64_t last, head;
  int32_t error;
} ch_verdict;

typedef struct ch_head_hint {
  uint8_t conversation_id[16];
  uint64_t head;
} ch_head_hint;

typedef struct ch_live {
  uint64_t previous, position;
  const chat_row *events;
  size_t event_count;
  const ch_head_hint *heads;
  size_t head_count;
} ch_live;

typedef struct ch_sync_reply {
  const chat_head *heads; /* `position` of a head is not on the wire */
  size_t head_count;
  uint64_t position;
  uint32_t more, reset;
} ch_sync_reply;

typedef enum ch_range_status { CH_RANGE_COMPLETE = 1, CH_RANGE_MORE = 2, CH_RANGE_RESET = 3 } ch_range_status;
typedef struct ch_range_reply {
  uint8_t conversation_id[16];
  ch_range_status status;
  uint64_t low, high, head, floor;
  const chat_row *events;
  size_t event_count;
} ch_range_reply;

typedef struct ch_receipts {
  const chat_watermark *marks;
  size_t count;
} ch_receipts;

typedef struct ch_member_info {
  chat_bytes user;
  uint32_t role;
  uint64_t delivered, read;
} ch_member_info;

typedef struct ch_members_reply {
  uint8_t conversation_id[16];
  uint32_t kind;
  chat_bytes title;
  uint32_t history_from_start;
  uint64_t head, member_count;
  const ch_member_info *members;
  size_t count;
  uint32_t more;
} ch_members_reply;

typedef struct ch_search_reply {
  const chat_row *events;
  size_t event_count;
  uint32_t more;
} ch_search_reply;

typedef struct ch_presence {
  const chat_presence *users;
  size_t count;
} ch_presence;

typedef struct ch_typing {
  uint8_t conversation_id[16];
  chat_bytes user;
  uint32_t typing;
} ch_typing;

typedef struct ch_device_info {
  uint8_t device_id[16];
  chat_bytes name;
  uint64_t created_ms, seen_ms;
  uint32_t revoked, current;
} ch_device_info;

typedef struct ch_devices_reply {
  const ch_device_info *devices;
  size_t count;
} ch_devices_reply;

typedef struct ch_goodbye {
  int32_t code;
  uint32_t reconnect_after_ms;
} ch_goodbye;

typedef struct ch_server_message {
  uint64_t tag;
  ch_server_op op;
  union {
    ch_welcome welcome;
    ch_error error;
    uint64_t pos; /* HeartbeatReply */
    ch_answer answer;
    ch_verdict verdict;
    ch_live live;
    ch_sync_reply sync_reply;
    ch_range_reply range_reply;
    ch_receipts receipts;
    ch_members_reply members_reply;
    ch_search_reply search_reply;
    ch_presence presence;
    ch_typing typing;
    ch_devices_reply devices_reply;
    ch_goodbye goodbye;
  } u;
} ch_server_message;

/* ------------------------------------------------------------------------------------------------ payloads of events */

/* One struct for all known types; fields that a type does not have are zero. */
typedef struct ch_content {
  uint32_t type;
  chat_bytes kind, body, meta;   /* MESSAGE */
  uint32_t conversation_kind;    /* CREATE */
  chat_bytes title;              /* CREATE, TITLE */
  const chat_bytes *users;       /* CREATE, MEMBERS_ADD; one: MEMBER_REMOVE, ROLE, OWNER */
  size_t user_count;
  uint32_t role;                 /* MEMBERS_ADD, ROLE */
  uint32_t history_from_start;   /* CREATE, SETTINGS */
  uint8_t device_id[16];         /* DEVICE_RETIRED */
} ch_content;

/* ------------------------------------------------------------------------------------------------ records and tasks (record.proto) */

typedef struct ch_record {
  uint8_t conversation_id[16];
  chat_bytes sender;
  uint8_t device_id[16];
  uint8_t client_id[16];
  uint64_t client_seq, prev;
  uint32_t type;
  chat_bytes payload;
  chat_bytes peer;
  uint32_t is_void;
  int32_t void_error;
  uint32_t system;
} ch_record;

typedef enum ch_task_kind { CH_TASK_EVENT = 1, CH_TASK_VERDICT = 2, CH_TASK_RECEIPTS = 3, CH_TASK_TYPING = 4 } ch_task_kind;

typedef struct ch_task {
  ch_task_kind kind;
  const chat_bytes *users;
  size_t user_count;
  uint32_t has_device, has_not_device;
  uint8_t device_id[16], not_device[16];
  uint32_t channel;
  union {
    chat_row event;
    ch_verdict verdict;
    ch_receipts receipts;
    ch_typing typing;
  } u;
  uint32_t has_head;
  chat_head head; /* events for stores that do not derive heads */
} ch_task;

typedef struct ch_tasks {
  uint64_t position;
  const ch_task *tasks;
  size_t count;
} ch_tasks;

typedef struct ch_delivered {
  const chat_row *events;
  size_t event_count;
  const ch_verdict *verdicts;
  size_t verdict_count;
  const ch_receipts *receipts;
  size_t receipts_count;
  const ch_typing *typings;
  size_t typing_count;
} ch_delivered;

/* ------------------------------------------------------------------------------------------------ codec */

/* The next length-prefixed message of a frame: advances *frame past it. 0; CHAT_E_PROTOCOL: the prefix is malformed or the message is cut;
 * CHAT_E_CLOSED: the frame is at its end. */
int ch_frame_next(chat_bytes *frame, chat_bytes *message);

/* The cap for an arena that `len` bytes are decoded into: every message within the bounds fits, however small its items, and bytes made to cost memory
 * meet it (CHAT_E_TOO_LARGE) at 16 times their length and 1 MiB. */
size_t ch_decode_cap(size_t len);

/* 0; CHAT_E_PROTOCOL: not a message, or a field of a wrong length; CHAT_E_TOO_LARGE: a field or list above its bound; CHAT_E_INVALID: a value out of its range or not UTF-8;
 * CHAT_E_NOMEM. `tag` and `op` are set as far as they could be read also where an error is returned, so that it can be answered; an unknown op is no error. */
int ch_client_message_decode(chat_bytes bytes, ch_arena *arena, ch_client_message *message);
int ch_server_message_decode(chat_bytes bytes, ch_arena *arena, ch_server_message *message);

/* Appends length prefix and message. 0, CHAT_E_TOO_LARGE (the buffer's bound; nothing is appended), CHAT_E_NOMEM. */
int ch_client_message_encode(const ch_client_message *message, ch_buf *out);
int ch_server_message_encode(const ch_server_message *message, ch_buf *out);
/* The same bytes as encoding a CH_LIVE message with these fields, from events that were encoded once with ch_events_encode (a fan-out's hot path). */
int ch_live_encode_shared(uint64_t previous, uint64_t position, chat_bytes encoded_events, ch_buf *out);
/* `repeated Event events` as field 3 of Live, without any prefix. */
int ch_events_encode(const chat_row *events, size_t count, ch_buf *out);
/* The same bytes, out of an encoded Delivered that was decoded without an error. CHAT_E_TOO_LARGE, CHAT_E_NOMEM: nothing is appended. */
int ch_events_of_delivered(chat_bytes delivered, ch_buf *out);
/* One event of a Delivered that holds events alone: those that were added one after the other are its encoding. */
int ch_delivered_add_event(const chat_row *event, ch_buf *out);

/* Content of an event. decode: CHAT_E_UNSUPPORTED where the type is not known. */
int ch_content_decode(uint32_t type, chat_bytes payload, ch_arena *arena, ch_content *content);
int ch_content_encode(const ch_content *content, ch_buf *out);

int ch_record_decode(chat_bytes bytes, ch_arena *arena, ch_record *record);
int ch_record_encode(const ch_record *record, ch_buf *out);
/* What decoding the encoded record would say, at a twentieth of the price (25 ns for 500, measured): whoever writes into the log asks before, since a
 * record that cannot be read stops its partition. */
int ch_record_check(const ch_record *record);
int ch_tasks_decode(chat_bytes bytes, ch_arena *arena, ch_tasks *tasks);
int ch_tasks_encode(const ch_tasks *tasks, ch_buf *out);
int ch_delivered_decode(chat_bytes bytes, ch_arena *arena, ch_delivered *delivered);
int ch_delivered_encode(const ch_delivered *delivered, ch_buf *out);
/* One event alone (rows of stores that keep them whole). */
int ch_row_decode(chat_bytes bytes, ch_arena *arena, chat_row *row);
int ch_row_encode(const chat_row *row, ch_buf *out);

#endif
