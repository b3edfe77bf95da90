/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fleet.h - the backends, and which process answers for which partition. A partition whose owner died gets another after a while; one that moves while its owner still lives leaves a
 * zombie behind, which works on until it is told.
 */
#ifndef CH_SIM_FLEET_H
#define CH_SIM_FLEET_H

#include "sim/process.h"

void sim_fleet_start(sim *s);
/* Kills a process; another one takes its place after down_ms. */
void sim_fleet_crash(sim *s, sim_kind kind, uint32_t index, uint64_t down_ms);
/* A partition of "messages" or "deliveries" moves to another worker; the old owner learns of it after zombie_ms. */
void sim_fleet_move(sim *s, sim_kind kind, uint32_t partition, uint64_t zombie_ms);
/* The one process of a machine dies (embedded), and with it all that was in memory; of a power cut, also what the store had not synced. */
void sim_fleet_machine_dies(sim *s, bool power_cut, uint64_t down_ms);
/* Everything that is down comes up. */
void sim_fleet_heal(sim *s);
/* Every partition has a living owner that works. */
void sim_fleet_check(sim *s);
void sim_fleet_stop(sim *s);
void sim_fleet_free(sim *s);

/* An op that no process made, done at once; it stays the caller's. false: the place did not take it. */
bool sim_ghost_do(sim *s, sim_place place, chat_op *op);

/* What the store would have after a power cut: the log may be cut up to there. */
uint64_t sim_synced_position(sim *s);

#endif
