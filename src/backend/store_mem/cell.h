/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cell.h - what lies under which key in the table of the store in memory.
 *
 *   c conversation                  ch_stored_head       m conversation user             ch_stored_member
 *   r conversation seq              chat_row           w conversation user             ch_stored_mark: watermarks, apart, since APPLY never touches them
 *   t created_ms conversation seq   (a byte)           s conversation user 0 device    ch_stored_sender
 *   z conversation                  ch_stored_number     f conversation user             ch_stored_removal
 *   p topic partition               ch_stored_position   u user 0 conversation           (a byte): has, or had, a member cell there
 *   d user 0 device                 chat_device        h user 0 conversation           chat_head: written by WRITE_HEADS
 *
 * Numbers are big endian, so that keys sort as numbers do; no user id has a byte 0, so that what follows one sorts behind it alone.
 * chat_row, chat_device and chat_head point into their own value.
 */
#ifndef CH_STORE_MEM_CELL_H
#define CH_STORE_MEM_CELL_H

#include <chat/backend.h>

#include "backend/store_mem/table.h"

typedef enum ch_cell_kind {
  CH_CELL_HEAD = 'c',
  CH_CELL_MEMBER = 'm',
  CH_CELL_ROW = 'r',
  CH_CELL_MARK = 'w',
  CH_CELL_TIME = 't',
  CH_CELL_SENDER = 's',
  CH_CELL_HORIZON = 'z',
  CH_CELL_REMOVAL = 'f',
  CH_CELL_POSITION = 'p',
  CH_CELL_USER = 'u',
  CH_CELL_DEVICE = 'd',
  CH_CELL_USER_HEAD = 'h'
} ch_cell_kind;

typedef struct ch_cell_key {
  uint8_t bytes[1 + 16 + CHAT_USER_ID_MAX + 1 + 16];
  size_t len;
} ch_cell_key;

typedef struct ch_stored_head {
  uint32_t kind, history_from_start;
  uint64_t head, msg_no, message_id, position, member_count, active_ms;
  size_t title_len;
  uint8_t title[];
} ch_stored_head;

typedef struct ch_stored_member {
  uint32_t role;
  uint64_t position;
  size_t interval_count;
  chat_interval intervals[CHAT_MEMBER_INTERVALS_MAX];
} ch_stored_member;

typedef struct ch_stored_mark {
  uint64_t delivered, read;
} ch_stored_mark;

typedef struct ch_stored_sender {
  uint64_t last, position;
  uint32_t retired;
} ch_stored_sender;

/* How the conversation was at the event that removed this user: the last that it may know. */
typedef struct ch_stored_removal {
  uint64_t seq, msg_no, active_ms;
  size_t title_len;
  uint8_t title[];
} ch_stored_removal;

typedef struct ch_stored_number {
  uint64_t value;
} ch_stored_number;

typedef struct ch_stored_position {
  uint64_t value;
  uint8_t log_identity[16];
} ch_stored_position;

/* ---- keys. The first two also serve as prefixes of what lies below them. */
ch_cell_key ch_cell_key_conversation(ch_cell_kind kind, const uint8_t conversation_id[16]);
ch_cell_key ch_cell_key_user(ch_cell_kind kind, chat_bytes user); /* u, d, h */
ch_cell_key ch_cell_key_row(const uint8_t conversation_id[16], uint64_t seq);
ch_cell_key ch_cell_key_member(ch_cell_kind kind, const uint8_t conversation_id[16], chat_bytes user); /* m, w, f */
ch_cell_key ch_cell_key_senders(const uint8_t conversation_id[16], chat_bytes user);                   /* prefix of all devices */
ch_cell_key ch_cell_key_sender(const uint8_t conversation_id[16], chat_bytes user, const uint8_t device_id[16]);
ch_cell_key ch_cell_key_under_user(ch_cell_kind kind, chat_bytes user, const uint8_t id[16]); /* u, d, h */
ch_cell_key ch_cell_key_time(uint64_t created_ms, const uint8_t conversation_id[16], uint64_t seq);
ch_cell_key ch_cell_key_position(uint32_t topic, uint32_t partition);

/* ---- getting and putting */
const void *ch_cell_get(const ch_store_table *table, ch_cell_key key);
uint64_t ch_cell_number(const ch_store_table *table, ch_cell_key key); /* 0: none */
uint64_t ch_cell_position(const ch_store_table *table, uint32_t topic, uint32_t partition); /* 0: none */
void *ch_cell_put(ch_store_table *table, ch_cell_key key, size_t len);
int ch_cell_put_number(ch_store_table *table, ch_cell_key key, uint64_t value);
/* A copy whose bytes lie behind it; `trailer` tells where the next bytes go. */
chat_bytes ch_cell_keep(uint8_t **trailer, chat_bytes bytes);

/* ---- walking over what has a prefix. `rest`: key without it. */
const ch_store_node *ch_cell_first(const ch_store_table *table, const ch_cell_key *prefix);
const ch_store_node *ch_cell_from(const ch_store_table *table, const ch_cell_key *from,
                                  const ch_cell_key *prefix); /* the first at or above `from` */
const ch_store_node *ch_cell_next(const ch_store_node *node, const ch_cell_key *prefix);
size_t ch_cell_count(const ch_store_table *table, const ch_cell_key *prefix);
chat_bytes ch_cell_rest(const ch_store_node *node, const ch_cell_key *prefix);

#endif
