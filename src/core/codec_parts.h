/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec_parts.h - what the files of the codec share; for codec_*.c alone.
 *
 *   codec_read.c    bytes → generated struct
 *   codec_unpack.c  generated struct → struct of wire.h, checked
 *   codec_pack.c    struct of wire.h → generated struct → bytes
 *   codec_frame.c   length prefixes
 *   codec_event.c   messages that several families are made of: Event, Verdict, Receipts, Typing, Head
 *   codec_client.c codec_server.c codec_content.c codec_record.c   one family each
 *
 * A converter is one of the two function types below: straight lines, no error handling. The first error of a run is kept in
 * ch_pack or ch_unpack; what a converter makes after it is thrown away.
 */
#ifndef CH_CORE_CODEC_PARTS_H
#define CH_CORE_CODEC_PARTS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/wire.h"

typedef ProtobufCMessageDescriptor ch_descriptor;

/* Bounds that no public header states (docs/protocol.md, "Limits"). */
enum {
  CH_SEND_PAYLOAD_MAX = CHAT_BODY_MAX + CHAT_META_MAX + CHAT_KIND_MAX + 64, /* a MessageContent whose fields are all full */
  CH_CONTENT_MAX = 32768, /* any other content */
  CH_CLIENT_NAME_MAX = 64,
  CH_ERROR_TEXT_MAX = 1024,
  CH_QUERY_MAX = 256,
  CH_MEMBERS_PAGE_MAX = 256,
  CH_SYNC_HEADS_MAX = 1000,
  CH_MARKS_MAX = CHAT_PAGE_MAX * CHAT_GROUP_MEMBERS_MAX, /* the whole answer to one GetReceipts */
  CH_USERS_MAX = CHAT_GROUP_MEMBERS_MAX - 1, /* in an event: the sender is not listed */
  CH_LIST_MAX = 4096 /* lists that only servers make */
};

/* ------------------------------------------------------------------------------------------------ unpack */

typedef struct ch_unpack {
  ch_arena *arena;
  int error; /* the first */
} ch_unpack;

/* `from` is a generated struct, `to` a cleared struct (or member of a union) of wire.h. */
typedef void ch_unpack_fn(ch_unpack *unpack, const void *from, void *to);

void ch_unpack_fail(ch_unpack *unpack, int error);
/* Memory of the arena; NULL after an error: CHAT_E_TOO_LARGE where its cap is reached, CHAT_E_NOMEM. */
void *ch_unpack_alloc(ch_unpack *unpack, size_t len);
/* The generated struct of a message of that type, with a copy of the bytes, in the arena; NULL after an error: CHAT_E_PROTOCOL (not fields from end to end, a known field of another wire type),
 * CHAT_E_TOO_LARGE (a list above its bound). Its time is linear in the bytes. */
void *ch_unpack_message(ch_unpack *unpack, const ch_descriptor *descriptor, chat_bytes bytes);
/* Both steps for a struct of its own: clears `to`, then converts. Returns the error. */
int ch_unpack_whole(ch_arena *arena, const ch_descriptor *descriptor, chat_bytes bytes, ch_unpack_fn *convert, void *to, size_t to_len);

/* ------------------------------------------------------------------------------------------------ codec_read.c */

/* One field of a message, as it stands in the bytes. */
typedef struct ch_field {
  uint32_t number;
  uint8_t wire;     /* type on the wire */
  uint64_t value;   /* of a number; else 0 */
  chat_bytes bytes; /* of a length-delimited field; else none */
} ch_field;

/* The field at the cursor. 0, or CHAT_E_PROTOCOL: cut, a group, number 0, a varint above 64 bits. */
int ch_read_field(ch_cursor *cursor, ch_field *field);
/* Tag (field 1) and body number (last field known to `descriptor`, above 1) of a ClientMessage or ServerMessage, as far as it can be read. */
int ch_read_envelope(const ch_descriptor *descriptor, chat_bytes bytes, uint64_t *tag, uint32_t *body);
/* Adds what the bytes say to a generated struct, which borrows them. */
void ch_read_message(ch_unpack *unpack, const ch_descriptor *descriptor, chat_bytes bytes, void *message);

/* ------------------------------------------------------------------------------------------------ values */

/* Single values. Each gives an error where its name's rule is broken: a wrong length is CHAT_E_PROTOCOL, one above its bound
 * CHAT_E_TOO_LARGE, anything else CHAT_E_INVALID. */
void ch_unpack_id(ch_unpack *unpack, ProtobufCBinaryData from, uint8_t to[16]);
bool ch_unpack_id_or_none(ch_unpack *unpack, ProtobufCBinaryData from, uint8_t to[16]); /* was one given? */
chat_bytes ch_unpack_blob(ch_unpack *unpack, ProtobufCBinaryData from, size_t len_max);
chat_bytes ch_unpack_text(ch_unpack *unpack, ProtobufCBinaryData from, size_t len_max); /* UTF-8 */
chat_bytes ch_unpack_user(ch_unpack *unpack, ProtobufCBinaryData from);
chat_bytes ch_unpack_user_or_none(ch_unpack *unpack, ProtobufCBinaryData from);
size_t ch_payload_max(uint32_t type);
chat_bytes ch_unpack_payload(ch_unpack *unpack, uint32_t type, ProtobufCBinaryData from);
uint32_t ch_unpack_choice(ch_unpack *unpack, uint32_t value, uint32_t min, uint32_t max);
int32_t ch_unpack_error(ch_unpack *unpack, uint32_t code); /* CHAT_E_* with its sign */
uint32_t ch_unpack_flag(uint32_t value);                   /* 0 or 1 */

/* Lists, in the arena; NULL where count is 0 or after an error. `items` is the generated array of pointers. */
void *ch_unpack_list(ch_unpack *unpack, const void *items, size_t count, size_t to_len, ch_unpack_fn *convert);
const chat_bytes *ch_unpack_users(ch_unpack *unpack, const ProtobufCBinaryData *users, size_t count);

/* ------------------------------------------------------------------------------------------------ pack */

typedef struct ch_pack {
  _Alignas(16) uint8_t first[1024]; /* most encodings need no more, and so no allocation */
  ch_arena arena;                   /* of the generated structs; lives for one encoding */
  int error;
} ch_pack;

/* `from` is a struct (or member of a union) of wire.h, `to` an initialised generated struct. */
typedef void ch_pack_fn(ch_pack *pack, const void *from, void *to);

void ch_pack_init(ch_pack *pack, const ch_allocator *alloc);
void ch_pack_fini(ch_pack *pack);
/* Zeroed; NULL after an error. */
void *ch_pack_alloc(ch_pack *pack, size_t count, size_t item_len);
/* An initialised struct of that type, filled by convert (NULL: nothing to fill); NULL after an error. */
void *ch_pack_message(ch_pack *pack, const ch_descriptor *descriptor, ch_pack_fn *convert, const void *from);
/* Appends a message, alone or behind its length (where key is not 0, behind that key of a field). All of it or nothing. */
int ch_pack_append(const ProtobufCMessage *message, ch_buf *out);
int ch_pack_append_prefixed(uint8_t key, const ProtobufCMessage *message, ch_buf *out);
/* Both steps for a struct of its own, without a prefix. */
int ch_pack_whole(const ch_descriptor *descriptor, ch_pack_fn *convert, const void *from, ch_buf *out);

ProtobufCBinaryData ch_pack_bytes(chat_bytes bytes);
ProtobufCBinaryData ch_pack_id(const uint8_t id[16]);
ProtobufCBinaryData ch_pack_id_or_none(const uint8_t id[16]); /* none where it is all zero */
uint32_t ch_pack_error(int32_t error);
void *ch_pack_list(ch_pack *pack, const void *items, size_t count, size_t item_len, const ch_descriptor *descriptor, ch_pack_fn *convert);
ProtobufCBinaryData *ch_pack_users(ch_pack *pack, const chat_bytes *users, size_t count);

/* A row of a family's table: how the message of one opcode or type is converted. */
typedef struct ch_codec_row {
  const ch_descriptor *descriptor; /* NULL: no such message */
  ch_pack_fn *pack;                /* NULL: it has no fields */
  ch_unpack_fn *unpack;
} ch_codec_row;

/* ------------------------------------------------------------------------------------------------ codec_event.c */

ch_pack_fn ch_event_pack, ch_verdict_pack, ch_receipts_pack, ch_typing_pack, ch_head_pack;
ch_unpack_fn ch_event_unpack, ch_verdict_unpack, ch_receipts_unpack, ch_typing_unpack, ch_head_unpack;

#endif
