/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conversation.h - the state of one conversation while the sequencer folds records into it.
 *
 * Cells (members, senders) are allocated one by one, so the address of a cell and of the user id in it stays until the conversation is
 * forgotten: effects of a batch borrow from them. Arrays are sorted bytewise, for finding and for determinism (P6).
 *
 * A direct conversation or group is *whole*: who has no cell was never a member. Of a channel only the users that records named are here (S3);
 * one of them that was never a member has a cell without intervals, which is never written.
 * A cell's `position` is that of the record that touched it last, so what a batch touched is what lies above where the batch began (S2).
 */
#ifndef CH_SERVER_ROLE_CONVERSATION_H
#define CH_SERVER_ROLE_CONVERSATION_H

#include <chat/backend.h>
#include <stdbool.h>

#include "core/arena.h"
#include "core/bytes.h"
#include "core/intervals.h"
#include "core/list.h"

typedef struct ch_user_id {
  uint8_t len;
  uint8_t bytes[CHAT_USER_ID_MAX];
} ch_user_id;

typedef struct ch_member_cell {
  ch_user_id user;
  uint32_t role; /* CHAT_ROLE_NONE: former member, or known to be none */
  uint64_t position;
  ch_intervals intervals;
} ch_member_cell;

typedef struct ch_sender_cell {
  ch_user_id user;
  uint8_t device_id[CHAT_DEVICE_ID_LEN];
  uint64_t last;
  uint64_t position;
  uint32_t retired;
} ch_sender_cell;

typedef struct ch_cells { /* pointers to cells, sorted */
  void **items;
  size_t count, room_count;
} ch_cells;

typedef struct ch_conversation {
  const ch_allocator *alloc;
  uint8_t id[CHAT_CONVERSATION_ID_LEN];
  bool loaded;
  bool whole;
  uint32_t kind; /* 0: does not exist */
  uint32_t history_from_start;
  uint64_t head, msg_no, message_id;
  uint64_t position; /* of the last record folded in */
  uint64_t member_count, active_ms;
  uint64_t membership; /* counts changes of who is a member, and how: what was made from the members before is stale */
  size_t title_len;
  uint8_t title[CHAT_TITLE_MAX];
  ch_cells members; /* ch_member_cell by user */
  ch_cells senders; /* ch_sender_cell by (user, device) */
  ch_list recent;   /* conversation_map.h */
  size_t batch_slot; /* sequencer_batch.h: index + 1 in the batch under way, 0: not in it */
} ch_conversation;

/* Knows nothing yet; NULL when there is no memory. */
ch_conversation *ch_conversation_new(const ch_allocator *alloc, const uint8_t id[CHAT_CONVERSATION_ID_LEN]);
void ch_conversation_free(ch_conversation *conversation);
/* Back to knowing nothing. */
void ch_conversation_forget(ch_conversation *conversation);

/* Takes in what the store gave for `users` (all that were asked for; of a whole conversation they do not matter). Into a loaded channel it merges those users.
 * CHAT_E_AGAIN: a row is above the position of the state, or the state is not at the position of what is here (S3): forget, read again. CHAT_E_NOMEM: forget too. */
int ch_conversation_load(ch_conversation *conversation, const chat_state *state, const chat_bytes *users, size_t user_count);
/* Is what records of this user ask about here? */
bool ch_conversation_knows(const ch_conversation *conversation, chat_bytes user);

/* NULL: no cell. */
ch_member_cell *ch_conversation_member(const ch_conversation *conversation, chat_bytes user);
ch_sender_cell *ch_conversation_sender(const ch_conversation *conversation, chat_bytes user, const uint8_t device_id[CHAT_DEVICE_ID_LEN]);
/* The cell, made where there is none; NULL when there is no memory. */
ch_member_cell *ch_conversation_member_put(ch_conversation *conversation, chat_bytes user);
ch_sender_cell *ch_conversation_sender_put(ch_conversation *conversation, chat_bytes user, const uint8_t device_id[CHAT_DEVICE_ID_LEN]);

/* By index, in bytewise order of user. */
ch_member_cell *ch_conversation_member_at(const ch_conversation *conversation, size_t index);
/* Head cells, and every cell with a position above `since` (S2), as APPLY takes them; borrows from the conversation. CHAT_E_NOMEM. */
int ch_conversation_touched(const ch_conversation *conversation, uint64_t since, ch_arena *arena, chat_state *state);

chat_bytes ch_user_id_bytes(const ch_user_id *user);

/* The highest seq that this user may know of: the head for a member, its removal for a former one, 0 for anybody else (P9). */
uint64_t ch_conversation_visible_head(const ch_conversation *conversation, chat_bytes user);

#endif
