/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox_facts.h - what is known of an outbox row, and how it moves (rules C3, C4, C6, C8): plain values, so that a model can try every interleaving of the very same moves (tests/model).
 */
#ifndef CH_CLIENT_OUTBOX_FACTS_H
#define CH_CLIENT_OUTBOX_FACTS_H

#include <stdbool.h>
#include <stdint.h>

/* A row's state. Of these, the cache knows REFUSED, PARKED, and QUEUED for all others.
 *   QUEUED    not sent under its number in this process                 SEND → SENT or UNSURE
 *   SENT      first try, no answer yet                                   → ACCEPTED, REFUSED, UNSURE
 *   UNSURE    may be in the log                                          → ACCEPTED, DUP
 *   ACCEPTED  durable at the server; shown as sent                       → UNSURE (GAP), DUP
 *   DUP       its number was used: the history is read up to dup_head    → ended, QUEUED under a new number
 *   PARKED    of a device that was retired, until its fate is known      → ended, QUEUED under a new number
 *   REFUSED   ended; kept to be shown                                    */
typedef enum ch_item_state {
  CH_ITEM_QUEUED = 1,
  CH_ITEM_SENT = 2,
  CH_ITEM_UNSURE = 3,
  CH_ITEM_ACCEPTED = 4,
  CH_ITEM_DUP = 5,
  CH_ITEM_PARKED = 6,
  CH_ITEM_REFUSED = 7
} ch_item_state;

/* What a transaction may change. */
typedef struct ch_item_facts {
  uint64_t client_seq;
  ch_item_state state;
  uint32_t discard;
  int32_t error;
  uint32_t sends; /* of this process, under this number */
  bool is_fresh;  /* got its number in this process */
  uint64_t session; /* that it got its number in; 0: none (C4) */
  uint64_t due_ms;
} ch_item_facts;

/* Entered under a number, or under a new one; session 0: there is none. What was taken back stays so. */
void ch_item_facts_number(ch_item_facts *facts, uint64_t client_seq, uint64_t session);
/* As it is found when a database is opened; state: of the cache, CHAT_OUTBOX_*. */
void ch_item_facts_load(ch_item_facts *facts, uint64_t client_seq, uint32_t state, uint32_t discard, int32_t error);

/* Will be sent, or is: has not ended and is not parked. */
bool ch_item_facts_are_open(const ch_item_facts *facts);
/* C6: an answer or verdict for a number that the row no longer has is ignored. */
bool ch_item_facts_are_named(const ch_item_facts *facts, uint64_t client_seq);
/* C4: only the first SEND of a row that got its number in this session is no retry. */
bool ch_item_facts_are_first_try(const ch_item_facts *facts, uint64_t session);
/* C8: nobody can have seen it under its present number, so it may be dropped. */
bool ch_item_facts_may_drop(const ch_item_facts *facts);

void ch_item_facts_sent(ch_item_facts *facts, bool is_first_try);
/* C3: sent again at again_ms, where no end has come until then. */
void ch_item_facts_accepted(ch_item_facts *facts, uint64_t again_ms);
void ch_item_facts_again(ch_item_facts *facts, uint64_t due_ms);
void ch_item_facts_refused(ch_item_facts *facts, int32_t error);
/* C8: taken back by a void. */
void ch_item_facts_discard(ch_item_facts *facts);

/* C3: a new session sends every row that has not ended, the accepted ones too. */
void ch_item_facts_session_begun(ch_item_facts *facts);
void ch_item_facts_session_ended(ch_item_facts *facts);

#endif
