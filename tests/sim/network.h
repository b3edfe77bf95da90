/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network.h - connections of devices to gateways. A connection keeps the order of its frames, as TCP does; it stalls, and it breaks, at one end long before the other: then what was
 * on its way is lost, or arrives all the same where the other end has not noticed yet.
 */
#ifndef CH_SIM_NETWORK_H
#define CH_SIM_NETWORK_H

#include "sim/process.h"

struct sim_connection {
  sim *sim;
  sim_connection *next;
  uint64_t number;
  sim_device *device;
  sim_process *gateway;
  bool client_is_open, server_is_open;  /* each end's own view */
  bool is_cut;                          /* nothing passes any more */
  uint64_t to_server_ms, to_client_ms;  /* when the last frame of each way arrives */
};

/* The device wants a connection: it will hear of it. */
sim_connection *sim_network_connect(sim_device *device);
void sim_network_send(sim_connection *connection, chat_bytes frame);
/* The client is done with it; the gateway notices soon, or by its own deadline. */
void sim_network_hang_up(sim_connection *connection);
/* Both ends find out, each in its time. */
void sim_network_break(sim_connection *connection);
void sim_network_stall(sim_connection *connection, uint64_t ms);

/* What a gateway has to write, and what it closes. */
void sim_network_flush(sim_process *gateway);
void sim_network_gateway_died(sim_process *gateway);

void sim_network_free(sim *s);

#endif
