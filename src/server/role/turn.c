/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/turn.h"

#include <chat/chat.h>

#include "core/rule.h"

static void raise(uint64_t *number, uint64_t to) {
  if (to > *number) *number = to;
}

bool ch_turn_has_come(const ch_turn *turn, uint64_t prev) {
  return prev <= turn->passed || !CH_RULE(G1);
}

/* While it was checked an append may have failed (G3), so that its turn is asked for again. */
ch_turn_decision ch_turn_decide(const ch_turn *turn, uint64_t prev, bool is_retry, bool is_discard, int outcome) {
  if (!ch_turn_has_come(turn, prev)) return CH_TURN_EARLY;
  if (outcome == CHAT_E_AGAIN || outcome == CHAT_E_UNKNOWN) return CH_TURN_RETRY;
  if (outcome && (!is_retry || !CH_RULE(G2)) && !is_discard) return CH_TURN_REFUSE;
  return outcome ? CH_TURN_VOID : CH_TURN_PASS;
}

void ch_turn_pass(ch_turn *turn, uint64_t client_seq) {
  raise(&turn->passed, client_seq);
}

void ch_turn_accept(ch_turn *turn, uint64_t client_seq) {
  raise(&turn->accepted, client_seq);
}

void ch_turn_fall_back(ch_turn *turn, uint64_t prev) {
  turn->passed = turn->accepted;
  raise(&turn->passed, prev);
}

void ch_turn_keep(ch_turn *turn, uint64_t client_seq) {
  raise(&turn->passed, client_seq);
}
