/* SPDX-License-Identifier: Apache-2.0 */
/*
 * judge.h - the fold: (state, record) → (state', verdict, row). The same prefix of the log gives the same verdicts, numbers and ids (P6),
 * so nothing but the record, its place in the log and the state is asked: no option, no clock, no op.
 *
 * In this order (docs/protocol.md, "Sending"):
 *   device retired       → REFUSED(REVOKED), the number is used up
 *   client_seq ≤ last    → DUP, not applied
 *   prev > last          → GAP, not applied
 *   last = client_seq, whatever follows:
 *   void                 → REFUSED(its reason, or CANCELED)
 *   payload              → REFUSED(UNSUPPORTED, or what is wrong with it)
 *   conversation, membership, role, the rules of the type → REFUSED, or COMMITTED: the event takes its seq
 * A record of the system has no number: its sender need not be a member and has no role to be asked for.
 *
 * A verdict tells nobody what he may not know (P9): NOT_FOUND, DUP and GAP for a stranger name head 0, for a former member the event of his removal.
 */
#ifndef CH_SERVER_ROLE_JUDGE_H
#define CH_SERVER_ROLE_JUDGE_H

#include "core/wire.h"
#include "server/role/conversation.h"

typedef struct ch_judge_record {
  const ch_record *record;
  uint64_t position;  /* of the record in the log; above the conversation's */
  uint64_t append_ms; /* Unix time at which the log took it */
  uint32_t partition; /* of the log */
} ch_judge_record;

typedef struct ch_judgement {
  ch_verdict_code code;
  int32_t error; /* REFUSED */
  uint64_t last; /* of the sending device, after this record; 0 for the system */
  uint64_t head; /* as far as the sender may know it */
  chat_row row;  /* COMMITTED; borrows from the record */
  /* COMMITTED: users whose own membership or role this event changes, in the arena or the conversation. */
  const chat_bytes *affected;
  size_t affected_count;
} ch_judgement;

/* Folds one record into the conversation, which knows every user of ch_judge_users. 0; CHAT_E_NOMEM: the conversation is to be forgotten and read again. */
int ch_judge(ch_conversation *conversation, const ch_judge_record *in, ch_arena *arena, ch_judgement *out);

/* The users whose membership the verdict on this record depends on. 0, CHAT_E_NOMEM. */
int ch_judge_users(const ch_record *record, ch_arena *arena, const chat_bytes **users, size_t *user_count);

#endif
