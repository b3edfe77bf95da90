/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle.h - what was promised (design, P1 to P12), held against what happens. It knows every message that a person entered, every row that a worker wrote, every record that the log
 * took, and reads the frames of both ways. It asks no machine for its opinion.
 */
#ifndef CH_SIM_ORACLE_H
#define CH_SIM_ORACLE_H

#include <chat/client.h>

#include "sim/sim.h"

/* A message that a person entered. */
typedef struct sim_intent {
  uint8_t client_id[16], conversation_id[16];
  sim_device *device;
  uint64_t entered_ms, refused_ms;
  uint32_t number;     /* its body is "message NUMBER" */
  bool is_entered;     /* the outbox has said that it has it, durably */
  bool is_accepted;    /* ACCEPTED went out for it */
  bool is_refused;     /* the client said so */
  bool is_discarded;   /* the person took it back */
  bool is_gone;        /* and it left the outbox at once */
  bool was_refused;    /* by the sequencer, under one of its numbers: it may come again under another, behind what was entered after it (C7) */
  bool is_forgotten;   /* the database that held it was lost or was restored from before it */
  bool is_draft;       /* given back to the person */
  uint64_t committed_seq;
} sim_intent;

void sim_oracle_new(sim *s);
void sim_oracle_free(sim *s);

/* ---- what servers do */
void sim_oracle_submitted(sim *s, const chat_op *op); /* reached a backend, whatever becomes of it */
void sim_oracle_done(sim *s, const chat_op *op);      /* was done by it: op->status */
void sim_oracle_frame_out(sim_device *device, chat_bytes frame);

/* ---- what clients do */
void sim_oracle_frame_in(sim_device *device, chat_bytes frame);
void sim_oracle_cursor(sim_device *device, const uint8_t conversation_id[16], uint64_t before, uint64_t after);
void sim_oracle_event(sim_device *device, const chat_event *event);
/* The device has a database of `of_ms` now, or none (0). */
void sim_oracle_restored(sim_device *device, uint64_t of_ms);

/* ---- what people do */
sim_intent *sim_oracle_intend(sim_device *device, const uint8_t conversation_id[16], const uint8_t client_id[16]);
sim_intent *sim_oracle_intent(sim *s, const uint8_t client_id[16]); /* NULL: not a message of a person */

/* A while after everything has healed: each device knows all that concerns it. */
void sim_oracle_nobody_lags(sim *s);
/* Everything has healed: nothing is lost, nothing waits, nobody lags. */
void sim_oracle_end(sim *s, struct sim_result *result);

#endif
