/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn.h - the numbers of one session's Sends in one conversation at the gateway, and what they decide (rules G1, G2, G3): plain values, so that a model can try every
 * interleaving of the very same decisions (tests/model).
 */
#ifndef CH_SERVER_TURN_H
#define CH_SERVER_TURN_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ch_turn {
  uint64_t passed;   /* G1: highest number passed in this session; 0: none */
  uint64_t accepted; /* highest number ACCEPTED in this session */
} ch_turn;

typedef enum ch_turn_decision {
  CH_TURN_EARLY = 1, /* waits, or gets GAP */
  CH_TURN_RETRY = 2,
  CH_TURN_REFUSE = 3, /* finally */
  CH_TURN_PASS = 4,
  CH_TURN_VOID = 5 /* passes as a void, which uses its number up */
} ch_turn_decision;

/* G1: is it the turn of a Send behind `prev`? */
bool ch_turn_has_come(const ch_turn *turn, uint64_t prev);
/* A Send was checked, with this outcome: 0, CHAT_E_AGAIN or CHAT_E_UNKNOWN (cannot be told now), or why it will not pass. G2: only a first try is refused finally. */
ch_turn_decision ch_turn_decide(const ch_turn *turn, uint64_t prev, bool is_retry, bool is_discard, int outcome);
void ch_turn_pass(ch_turn *turn, uint64_t client_seq);
void ch_turn_accept(ch_turn *turn, uint64_t client_seq);

/* G3: the append of `failed`, behind `prev`, is not known to be in. What had passed falls back to before it, or to what is still under way before it: call _keep for each of those. */
void ch_turn_fall_back(ch_turn *turn, uint64_t prev);
void ch_turn_keep(ch_turn *turn, uint64_t client_seq);

#endif
