/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conversation.h - what the brain holds in memory of each conversation: the row of the cache, and what is of this process or session only.
 */
#ifndef CH_CLIENT_CONVERSATION_H
#define CH_CLIENT_CONVERSATION_H

#include <chat/backend.h>

#include "core/hashmap.h"
#include "core/list.h"
#include "core/order_buffer.h"

typedef struct ch_brain ch_brain;

/* The row of the cache with its bytes. title.data and peer.data of `row` are set when it is handed out, never read. */
typedef struct ch_kept {
  chat_cache_conversation row;
  uint8_t title[CHAT_TITLE_MAX];
  uint8_t peer[CHAT_USER_ID_MAX];
} ch_kept;

typedef struct ch_conversation {
  ch_kept kept;    /* as committed, or as the transaction under way has it */
  ch_kept *before; /* in a transaction that changed it: as it was; else NULL */
  ch_list changed; /* in database.conversations, while changed or new */
  bool is_new;     /* made by the transaction under way */
  bool announce;   /* CONVERSATION event at the commit */

  /* receiving (sync.c) */
  uint64_t known_head; /* highest told by anybody; volatile (V4) */
  uint32_t asked_count; /* RANGEs by cursor that are under way: the second is asked for ahead */
  uint64_t asked_to;    /* where the last of them ends, if it is a full page */
  bool is_long;         /* the last page was full: the one behind the next is asked for ahead */
  bool is_forgotten;      /* by the transaction under way */
  uint64_t reset_session; /* in which its history was last forgotten (RESET) */
  ch_list to_fetch;
  ch_order_buffer held; /* live events that came too early */
  ch_list holding;      /* in sync.holding, while something is held */

  /* sending (outbox.c) */
  ch_list rows;     /* rising client_seq */
  ch_list active;   /* in outbox.active, while there are rows */
  uint32_t in_flight;
  uint64_t heard_ms; /* of the last answer, or of the SEND that waits for one */
  bool has_jumped;    /* the cursor passed over what can no longer be read, while there were rows: nothing is proven by what is here */
  uint32_t dup_count; /* rows that wait for a range answer (C7) */

  /* people, receipts */
  bool is_open;           /* on the screen */
  bool members_asked;     /* GET_MEMBERS is under way */
  ch_list to_refresh;     /* in a list of people.c, while its members are to be asked for */
  uint64_t typing_ms;     /* last SET_TYPING sent */
  bool receipt_under_way; /* a RECEIPT without its Ok */
  ch_list to_tell;        /* in receipts.to_tell, while the server does not know where one is */
  bool ticks_known;       /* ticks_* are of the members in the cache */
  uint64_t ticks_delivered, ticks_read; /* least of all other members */
} ch_conversation;

typedef struct ch_conversations {
  ch_hashmap by_id;
} ch_conversations;

void ch_conversations_init(ch_brain *brain);
void ch_conversations_fini(ch_brain *brain);

ch_conversation *ch_conversation_find(const ch_brain *brain, const uint8_t id[16]);
/* One that is not there yet; in a transaction only. NULL: no memory (the transaction has its error). */
ch_conversation *ch_conversation_add(ch_brain *brain, const uint8_t id[16]);
/* From the cache, outside a transaction. 0 or CHAT_E_NOMEM. */
int ch_conversations_load(ch_brain *brain, const chat_cache_conversation *row);
void ch_conversation_drop(ch_brain *brain, ch_conversation *conversation);

ch_conversation *ch_conversation_first(const ch_brain *brain, ch_hashmap_entry **at);
ch_conversation *ch_conversation_next(const ch_brain *brain, ch_hashmap_entry **at);

/* Live events that came too early: hold copies the row (CHAT_E_EXISTS, CHAT_E_BUSY, CHAT_E_NOMEM: it is not held); next_held gives the one that follows the cursor, to be
 * freed with free_held; NULL: none. */
int ch_conversation_hold(ch_brain *brain, ch_conversation *conversation, const chat_row *row);
const chat_row *ch_conversation_next_held(ch_conversation *conversation, void **item);
void ch_conversation_free_held(void *item);

chat_bytes ch_kept_title(const ch_kept *kept);
chat_bytes ch_kept_peer(const ch_kept *kept);
void ch_kept_set_title(ch_kept *kept, chat_bytes title);
void ch_kept_set_peer(ch_kept *kept, chat_bytes peer);
/* The row with its bytes, valid while kept stays as it is. */
chat_cache_conversation ch_kept_row(const ch_kept *kept);

#endif
