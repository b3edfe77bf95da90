/* SPDX-License-Identifier: Apache-2.0 */
/* oracle_parts.h - what the oracle remembers; shared by its files alone. */
#ifndef CH_SIM_ORACLE_PARTS_H
#define CH_SIM_ORACLE_PARTS_H

#include "core/arena.h"
#include "core/wire.h"
#include "sim/oracle.h"

/* A row as the first worker wrote it; every other write of it must be the same (P6). */
typedef struct sim_row {
  uint64_t hash, message_id, msg_no, client_seq;
  uint8_t client_id[16], device_id[16];
  uint32_t type;
  int user; /* of the sender; -1: none of ours */
} sim_row;

/* (joined, left] of one user, as the rows tell it. */
typedef struct sim_span {
  int user;
  uint64_t joined, left;
} sim_span;

enum { SIM_SPANS_MAX = 256 };

typedef struct sim_truth { /* of a conversation */
  uint8_t id[16];
  sim_row *rows; /* by seq - 1 */
  size_t count, cap;
  sim_span spans[SIM_SPANS_MAX];
  uint32_t span_count;
  bool history_from_start;
} sim_truth;

struct sim_oracle {
  ch_hashmap truths;   /* conversation id → sim_truth */
  ch_hashmap intents;  /* client id → sim_intent */
  ch_hashmap logged;   /* client id → anything: a record of it is in the log */
  ch_hashmap newest;    /* device and conversation id → sim_intent, the last one entered of those that are committed */
  ch_hashmap committed; /* conversation id and client id → anything */
  uint32_t intent_count;
  ch_arena arena; /* of the frame or row that is looked at */
};

sim_truth *sim_truth_of(sim *s, const uint8_t conversation_id[16]); /* NULL: no row yet */
bool sim_truth_readable(const sim_truth *truth, int user, uint64_t seq);
uint64_t sim_truth_readable_count(const sim_truth *truth, int user, uint64_t low, uint64_t high); /* in (low, high] */
uint64_t sim_truth_last(const sim_truth *truth, int user);                                       /* the last seq that concerns the user; 0: never a member */
/* Takes in a row that a worker wrote. */
void sim_truth_row(sim *s, const chat_row *row);
uint64_t sim_row_hash(const chat_row *row);
int sim_user_number(chat_bytes user); /* -1: none of ours */

#endif
