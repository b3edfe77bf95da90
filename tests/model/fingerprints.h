/* SPDX-License-Identifier: Apache-2.0 */
/* fingerprints.h - the set of states seen, as hashes of 64 bits. */
#ifndef MODEL_FINGERPRINTS_H
#define MODEL_FINGERPRINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fingerprints {
  uint64_t *slots; /* 0: free */
  uint64_t count, room; /* room: a power of two */
} fingerprints;

void fingerprints_init(fingerprints *set);
void fingerprints_fini(fingerprints *set);
/* false: it was there. */
bool fingerprints_add(fingerprints *set, const void *state, size_t len);

#endif
