/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_watch.h - a device's database as the simulator sees it: the in-memory cache, with a process that can die inside any call, and an eye on what is durable.
 */
#ifndef CH_SIM_CACHE_WATCH_H
#define CH_SIM_CACHE_WATCH_H

#include <chat/backend.h>

#include "sim/sim.h"

typedef struct sim_cursor {
  uint8_t conversation_id[16];
  uint64_t start;                       /* where history began on this device */
  uint64_t written, committed, durable; /* as in the transaction, after it, and after a power cut */
  uint64_t durable_max;                 /* the highest that was ever durable in a database of this device */
} sim_cursor;

enum { SIM_CURSORS_MAX = 64 };

typedef struct sim_cache {
  chat_cache base; /* handed to the brain */
  chat_cache *inner;
  sim_device *device;
  uint64_t dies_in; /* calls until the process dies; 0: not */
  bool is_dead;     /* nothing works any more; the transaction that was open will not be there */
  sim_cursor cursors[SIM_CURSORS_MAX];
  uint32_t cursor_count;
} sim_cache;

void sim_cache_init(sim_cache *cache, sim_device *device);
void sim_cache_fini(sim_cache *cache);
/* The process is gone: what was committed stays; after a power cut what was durable. */
void sim_cache_died(sim_cache *cache, bool power_cut);
/* Puts a restored copy in its place, which it takes over. */
void sim_cache_replace(sim_cache *cache, chat_cache *inner);
/* The highest cursor of a conversation that a power cut would have left, at any time. */
uint64_t sim_cache_durable_max(const sim_cache *cache, const uint8_t conversation_id[16]);

#endif
