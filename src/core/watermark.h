/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watermark.h - receipts as two watermarks for each (conversation, member), delivered and read, as seq. They only
 * rise, and who has read something has had it delivered: read is never above delivered. State is O(members), whatever
 * the number of messages.
 */
#ifndef CH_CORE_WATERMARK_H
#define CH_CORE_WATERMARK_H

#include <chat/chat.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"
#include "core/env.h"
#include "core/hashmap.h"

/* All seqs up to and including these; 0: none. */
typedef struct ch_watermark {
  uint64_t delivered, read;
} ch_watermark;

enum { CH_WATERMARK_DELIVERED = 1, CH_WATERMARK_READ = 2 };

/* Raises *mark to news, and delivered to at least read. What is lower in news has no effect. Gives what moved: 0 or a
 * sum of CH_WATERMARK_*. */
unsigned ch_watermark_merge(ch_watermark *mark, ch_watermark news);
/* mark, with both at most at head: a peer may not have received what does not exist. */
ch_watermark ch_watermark_clip(ch_watermark mark, uint64_t head);

/* Which of the count members have seq delivered (CH_WATERMARK_DELIVERED) or read (CH_WATERMARK_READ). Their indexes
 * go to who, in rising order (NULL: only count; else room for count). Gives how many. */
size_t ch_watermark_who(const ch_watermark *marks, size_t count, unsigned which, uint64_t seq, size_t *who);

/* One change that waits to be sent or written. */
typedef struct ch_receipt {
  uint8_t conversation_id[CHAT_CONVERSATION_ID_LEN];
  uint8_t user_id[CHAT_USER_ID_MAX];
  uint8_t user_id_len;
  ch_watermark mark;
} ch_receipt;

/* Changes that wait, at most one for each (conversation, user): later ones are merged into it. The caller owns the
 * struct, which may not be moved. One thread at a time. */
typedef struct ch_receipt_set {
  const ch_allocator *alloc;
  size_t max_count;
  ch_hashmap receipts; /* (conversation id, user id) -> ch_receipt */
} ch_receipt_set;

/* An empty set for up to max_count changes; allocates nothing yet. seed as for ch_hashmap_init. */
void ch_receipt_set_init(ch_receipt_set *set, const ch_allocator *alloc, size_t max_count,
                         const uint8_t seed[CH_HASHMAP_SEED_LEN]);
void ch_receipt_set_fini(ch_receipt_set *set);
/* How many changes wait. */
size_t ch_receipt_set_count(const ch_receipt_set *set);
/* Adds or merges a change. user_id has 1 to CHAT_USER_ID_MAX bytes. CHAT_E_BUSY (a new one, and the set is full:
 * take, then put again), CHAT_E_NOMEM; in both cases nothing changed. */
int ch_receipt_set_put(ch_receipt_set *set, const uint8_t conversation_id[CHAT_CONVERSATION_ID_LEN], ch_bytes user_id,
                       ch_watermark mark);
/* Moves up to out_max changes, the oldest first, to out and gives how many. With out_max of max_count this takes all. */
size_t ch_receipt_set_take(ch_receipt_set *set, ch_receipt *out, size_t out_max);

#endif
