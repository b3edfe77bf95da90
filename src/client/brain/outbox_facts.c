/* SPDX-License-Identifier: Apache-2.0 */
#include "client/brain/outbox_facts.h"

#include <chat/backend.h>

#include "core/env.h"
#include "core/rule.h"

void ch_item_facts_number(ch_item_facts *facts, uint64_t client_seq, uint64_t session) {
  *facts = (ch_item_facts){.client_seq = client_seq, .state = CH_ITEM_QUEUED, .discard = facts->discard, .is_fresh = true, .session = session};
}

static ch_item_state loaded_state(uint32_t state) {
  if (state == CHAT_OUTBOX_REFUSED) return CH_ITEM_REFUSED;
  return state == CHAT_OUTBOX_PARKED ? CH_ITEM_PARKED : CH_ITEM_UNSURE; /* it may have been sent */
}

void ch_item_facts_load(ch_item_facts *facts, uint64_t client_seq, uint32_t state, uint32_t discard, int32_t error) {
  *facts = (ch_item_facts){.client_seq = client_seq, .state = loaded_state(state), .discard = discard, .error = error};
}

bool ch_item_facts_are_open(const ch_item_facts *facts) {
  return facts->state != CH_ITEM_REFUSED && facts->state != CH_ITEM_PARKED;
}

bool ch_item_facts_are_named(const ch_item_facts *facts, uint64_t client_seq) {
  return !CH_RULE(C6) || facts->client_seq == client_seq;
}

bool ch_item_facts_are_first_try(const ch_item_facts *facts, uint64_t session) {
  return !CH_RULE(C4) || (facts->sends == 0 && facts->session == session && facts->is_fresh);
}

bool ch_item_facts_may_drop(const ch_item_facts *facts) {
  return (facts->is_fresh && facts->sends == 0 && facts->state == CH_ITEM_QUEUED) || !CH_RULE(C8);
}

void ch_item_facts_sent(ch_item_facts *facts, bool is_first_try) {
  facts->sends++;
  if (facts->state != CH_ITEM_ACCEPTED) facts->state = is_first_try ? CH_ITEM_SENT : CH_ITEM_UNSURE;
}

void ch_item_facts_accepted(ch_item_facts *facts, uint64_t again_ms) {
  facts->state = CH_ITEM_ACCEPTED;
  facts->due_ms = CH_RULE(C3) ? again_ms : CH_NEVER_MS;
}

void ch_item_facts_again(ch_item_facts *facts, uint64_t due_ms) {
  facts->state = CH_ITEM_UNSURE;
  facts->due_ms = due_ms;
}

void ch_item_facts_refused(ch_item_facts *facts, int32_t error) {
  facts->state = CH_ITEM_REFUSED;
  facts->error = error;
}

void ch_item_facts_discard(ch_item_facts *facts) {
  facts->discard = 1;
  if (facts->state == CH_ITEM_UNSURE) facts->due_ms = 0;
}

void ch_item_facts_session_begun(ch_item_facts *facts) {
  if (CH_RULE(C3) || facts->state != CH_ITEM_ACCEPTED) facts->due_ms = 0;
}

void ch_item_facts_session_ended(ch_item_facts *facts) {
  if (facts->state == CH_ITEM_SENT || facts->state == CH_ITEM_DUP) facts->state = CH_ITEM_UNSURE;
}
