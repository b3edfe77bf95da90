/* SPDX-License-Identifier: Apache-2.0 */
#include "client/brain/fact.h"

#include "client/brain/owner.h"

void ch_fact_tell(ch_brain *brain, ch_fact_kind kind, int status, uint64_t number) {
  ch_facts *facts = &brain->facts;
  facts->ring[(facts->first + facts->count) % CH_FACTS_MAX] = (ch_fact){kind, status, number};
  if (facts->count < CH_FACTS_MAX) facts->count++;
  else facts->first = (facts->first + 1) % CH_FACTS_MAX;
}

bool ch_brain_next_fact(ch_brain *brain, ch_fact *fact) {
  ch_facts *facts = &brain->facts;
  if (facts->count == 0) return false;
  *fact = facts->ring[facts->first];
  facts->first = (facts->first + 1) % CH_FACTS_MAX;
  facts->count--;
  return true;
}
