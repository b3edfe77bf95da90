/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fingerprints.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

enum { ROOM_FIRST = 1 << 16 };

static uint64_t *new_slots(uint64_t room) {
  uint64_t *slots = calloc(room, sizeof *slots);
  ch_assert(slots);
  return slots;
}

void fingerprints_init(fingerprints *set) {
  *set = (fingerprints){.slots = new_slots(ROOM_FIRST), .room = ROOM_FIRST};
}

void fingerprints_fini(fingerprints *set) {
  free(set->slots);
}

static uint64_t mix(uint64_t h) {
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdULL;
  h ^= h >> 29;
  h *= 0xc4ceb9fe1a85ec53ULL;
  return h ^ h >> 32;
}

static uint64_t hash(const void *state, size_t len) {
  uint64_t h = len, word;
  for (size_t at = 0; at < len; at += sizeof word) {
    word = 0;
    memcpy(&word, (const char *)state + at, len - at < sizeof word ? len - at : sizeof word);
    h = mix(h ^ word) + 0x9e3779b97f4a7c15ULL * (at + 1);
  }
  h = mix(h);
  return h ? h : 1;
}

static uint64_t *slot_of(uint64_t *slots, uint64_t room, uint64_t print) {
  uint64_t at = print & (room - 1);
  while (slots[at] && slots[at] != print)
    at = (at + 1) & (room - 1);
  return &slots[at];
}

static void grow(fingerprints *set) {
  uint64_t *slots = new_slots(set->room * 2);
  for (uint64_t i = 0; i < set->room; i++)
    if (set->slots[i]) *slot_of(slots, set->room * 2, set->slots[i]) = set->slots[i];
  free(set->slots);
  set->slots = slots;
  set->room *= 2;
}

bool fingerprints_add(fingerprints *set, const void *state, size_t len) {
  if (set->count * 10 >= set->room * 7) grow(set);
  uint64_t print = hash(state, len);
  uint64_t *slot = slot_of(set->slots, set->room, print);
  if (*slot) return false;
  *slot = print;
  set->count++;
  return true;
}
