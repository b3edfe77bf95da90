/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h - a client: its brain, its database, its deaths. A user has one or more; each has its own database, its own clock.
 */
#ifndef CH_SIM_DEVICE_H
#define CH_SIM_DEVICE_H

#include "client/brain/brain.h"
#include "core/uuid7.h"
#include "sim/cache_watch.h"
#include "sim/network.h"

struct sim_device {
  sim *sim;
  uint32_t index, user; /* "u0" … */
  ch_brain *brain;      /* NULL: the process does not run */
  sim_cache cache;
  chat_cache *backup; /* a copy that may be restored; NULL: none */
  uint64_t backup_ms;
  bool was_restored; /* once: numbers that it gave were given before, and take new ones (C7) */
  sim_connection *connection; /* NULL: none */
  bool is_connected;
  bool is_suspended;
  uint64_t tick_at_ms; /* of the step that is scheduled; CH_NEVER_MS: none */
  int64_t skew_ms;     /* of its wall clock, which jumps */
  uint64_t tags;
  ch_uuid7_generator uuids;
};

const char *sim_user_name(uint32_t user);

sim_device *sim_device_new(sim *s, uint32_t index, uint32_t user);
void sim_device_free(sim_device *device);

void sim_device_start(sim_device *device);
/* kill -9, or the power fails. It starts again by itself after a while. */
void sim_device_kill(sim_device *device, bool power_cut);
/* A copy of the database is kept; or takes the place of the database, the process being started anew. */
void sim_device_back_up(sim_device *device);
void sim_device_restore(sim_device *device);
void sim_device_suspend(sim_device *device, bool suspend);

/* 0, or why the brain did not take it; false where no process runs or it died of it. */
bool sim_device_request(sim_device *device, const ch_client_request *request);

/* The network's. */
void sim_device_connected(sim_device *device, sim_connection *connection);
void sim_device_frame(sim_device *device, chat_bytes frame);
void sim_device_disconnected(sim_device *device, const sim_connection *connection, int status);

ch_now sim_device_now(const sim_device *device);

#endif
