/* SPDX-License-Identifier: Apache-2.0 */
/* judge_rules.h - private to judge*.c: what each type of event asks for, and what it does to the state. */
#ifndef CH_SERVER_ROLE_JUDGE_RULES_H
#define CH_SERVER_ROLE_JUDGE_RULES_H

#include "server/role/judge.h"

typedef struct ch_judging { /* one record on its way through the judge */
  ch_conversation *conversation;
  const ch_judge_record *in;
  ch_content content;
  ch_member_cell *sender; /* NULL: not a member (a creator, the first writer, the system) */
  uint64_t seq;           /* that the event takes if nothing refuses it */
  ch_arena *arena;
  ch_judgement *out;
} ch_judging;

/* 0: applied to the state; CHAT_E_NOMEM: the state is in pieces; any other: refused for that reason, nothing was changed. */
int ch_judge_rules(ch_judging *judging);

#endif
