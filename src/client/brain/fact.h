/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fact.h - what is worth a line in the log, for the owner of the brain to pull. It tells nothing that the embedder's events do not; those wait until they are pulled and may be dropped.
 */
#ifndef CH_CLIENT_FACT_H
#define CH_CLIENT_FACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ch_brain ch_brain;

typedef enum ch_fact_kind {
  CH_FACT_STATE = 1,    /* number: the CHAT_STATE_* that it is in now; status: why */
  CH_FACT_LOST = 2,     /* a connection ended; number: ms until the next one may be tried */
  CH_FACT_TOKEN = 3,    /* not accepted, or near its end (status 0) */
  CH_FACT_DATABASE = 4, /* CHAT_E_CORRUPT: set aside; else it cannot be read or written now */
  CH_FACT_KIND_COUNT
} ch_fact_kind;

typedef struct ch_fact {
  ch_fact_kind kind;
  int status;
  uint64_t number;
} ch_fact;

enum { CH_FACTS_MAX = 32 };

/* One more drops the oldest: a log is to say how it is now. */
typedef struct ch_facts {
  ch_fact ring[CH_FACTS_MAX];
  size_t first, count;
} ch_facts;

void ch_fact_tell(ch_brain *brain, ch_fact_kind kind, int status, uint64_t number);
bool ch_brain_next_fact(ch_brain *brain, ch_fact *fact); /* false: none */

#endif
