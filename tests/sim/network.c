/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/network.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "sim/device.h"
#include "sim/oracle.h"

typedef struct frame {
  sim_connection *connection;
  size_t len;
  uint8_t bytes[];
} frame;

static uint64_t way_ms(sim *s) {
  return sim_chance(&s->random, 1, 50) ? sim_between(&s->random, 50, 900) : sim_between(&s->random, 1, 30);
}

/* In order: no earlier than what was sent before. */
static uint64_t arrival_ms(sim *s, uint64_t *last_ms) {
  uint64_t at_ms = s->now_ms + way_ms(s);
  if (at_ms < *last_ms) at_ms = *last_ms;
  return *last_ms = at_ms;
}

static frame *frame_new(sim_connection *connection, chat_bytes bytes) {
  frame *f = malloc(sizeof *f + bytes.len);
  ch_assert(f);
  f->connection = connection;
  f->len = bytes.len;
  memcpy(f->bytes, bytes.data, bytes.len);
  return f;
}

/* ------------------------------------------------------------------------------------------------ to the gateway */

static bool reaches_gateway(const sim_connection *connection) {
  return connection->server_is_open && connection->gateway->is_alive && !connection->is_cut;
}

static void frame_to_gateway(void *arg, uint64_t unused) {
  (void)unused;
  frame *f = arg;
  sim_connection *c = f->connection;
  if (reaches_gateway(c)) {
    ch_gateway_frame(c->gateway->gateway, c->number, (chat_bytes){f->bytes, f->len}, sim_server_now(c->sim));
    sim_process_run(c->gateway);
  }
  free(f);
}

void sim_network_send(sim_connection *connection, chat_bytes bytes) {
  sim *s = connection->sim;
  sim_trace(s, bytes.len);
  sim_schedule_at(&s->schedule, arrival_ms(s, &connection->to_server_ms), frame_to_gateway, frame_new(connection, bytes), 0);
}

static void end_at_gateway(void *arg, uint64_t unused) {
  (void)unused;
  sim_connection *c = arg;
  if (!c->server_is_open) return;
  c->server_is_open = false;
  if (!c->gateway->is_alive) return;
  ch_gateway_closed(c->gateway->gateway, c->number, sim_server_now(c->sim));
  sim_process_run(c->gateway);
}

/* ------------------------------------------------------------------------------------------------ to the client */

static void frame_to_client(void *arg, uint64_t unused) {
  (void)unused;
  frame *f = arg;
  sim_connection *c = f->connection;
  if (c->client_is_open && !c->is_cut) sim_device_frame(c->device, (chat_bytes){f->bytes, f->len});
  free(f);
}

static void end_at_client(void *arg, uint64_t status) {
  sim_connection *c = arg;
  if (!c->client_is_open) return;
  c->client_is_open = false;
  sim_device_disconnected(c->device, c, -(int)status);
}

static void closed_by_gateway(sim_connection *c) {
  sim *s = c->sim;
  c->server_is_open = false;
  ch_gateway_closed(c->gateway->gateway, c->number, sim_server_now(s));
  sim_schedule_at(&s->schedule, arrival_ms(s, &c->to_client_ms), end_at_client, c, (uint64_t)-CHAT_E_CLOSED);
}

static sim_connection *find(sim *s, uint64_t number) {
  for (sim_connection *c = s->connections; c; c = c->next)
    if (c->number == number) return c;
  return NULL;
}

static void flush(sim_connection *c) {
  sim *s = c->sim;
  bool close = false;
  for (chat_bytes bytes; (bytes = ch_gateway_peek(c->gateway->gateway, c->number, &close)).len > 0;) {
    sim_trace(s, bytes.len);
    sim_oracle_frame_out(c->device, bytes);
    sim_schedule_at(&s->schedule, arrival_ms(s, &c->to_client_ms), frame_to_client, frame_new(c, bytes), 0);
    ch_gateway_taken(c->gateway->gateway, c->number, bytes.len, sim_server_now(s));
  }
  if (close) closed_by_gateway(c);
}

void sim_network_flush(sim_process *gateway) {
  for (uint64_t number; (number = ch_gateway_next_dirty(gateway->gateway));) {
    sim_connection *c = find(gateway->sim, number);
    if (c->server_is_open) flush(c);
  }
}

/* ------------------------------------------------------------------------------------------------ connecting */

static void connected(void *arg, uint64_t unused) {
  (void)unused;
  sim_connection *c = arg;
  if (c->client_is_open && !c->is_cut) sim_device_connected(c->device, c);
}

static void knock(void *arg, uint64_t unused) {
  (void)unused;
  sim_connection *c = arg;
  sim *s = c->sim;
  int error = CHAT_E_IO;
  if (c->gateway->is_alive && !c->is_cut) error = ch_gateway_opened(c->gateway->gateway, c->number, ch_bytes_text("192.0.2.1"), sim_server_now(s));
  if (error) {
    sim_schedule_at(&s->schedule, arrival_ms(s, &c->to_client_ms), end_at_client, c, (uint64_t)-CHAT_E_IO);
    return;
  }
  c->server_is_open = true;
  sim_schedule_at(&s->schedule, arrival_ms(s, &c->to_client_ms), connected, c, 0);
  sim_process_run(c->gateway);
}

static sim_process *any_gateway(sim *s) {
  uint64_t first = sim_pick(&s->random, SIM_GATEWAYS);
  for (uint64_t i = 0; i < SIM_GATEWAYS; i++)
    if (s->gateways[(first + i) % SIM_GATEWAYS]) return s->gateways[(first + i) % SIM_GATEWAYS];
  return NULL;
}

static void nobody_there(void *arg, uint64_t unused) {
  (void)unused;
  sim_device_disconnected(arg, NULL, CHAT_E_IO);
}

sim_connection *sim_network_connect(sim_device *device) {
  sim *s = device->sim;
  sim_process *gateway = any_gateway(s);
  if (!gateway) {
    sim_after(s, way_ms(s), nobody_there, device, 0);
    return NULL;
  }
  sim_connection *c = calloc(1, sizeof *c);
  ch_assert(c);
  *c = (sim_connection){.sim = s, .next = s->connections, .number = ++s->connection_count, .device = device, .gateway = gateway, .client_is_open = true};
  s->connections = c;
  sim_schedule_at(&s->schedule, arrival_ms(s, &c->to_server_ms), knock, c, 0);
  return c;
}

/* ------------------------------------------------------------------------------------------------ trouble */

void sim_network_hang_up(sim_connection *c) {
  sim *s = c->sim;
  c->client_is_open = false;
  uint64_t ms = !s->healing && sim_chance(&s->random, 1, 4) ? sim_between(&s->random, 100, 40000) : 0;
  sim_schedule_at(&s->schedule, arrival_ms(s, &c->to_server_ms) + ms, end_at_gateway, c, 0);
}

void sim_network_break(sim_connection *c) {
  sim *s = c->sim;
  /* Half of the time what is on its way still arrives. */
  if (sim_chance(&s->random, 1, 2)) c->is_cut = true;
  sim_after(s, sim_between(&s->random, 0, 3000), end_at_client, c, (uint64_t)-CHAT_E_IO);
  sim_after(s, sim_between(&s->random, 0, 30000), end_at_gateway, c, 0);
}

void sim_network_stall(sim_connection *c, uint64_t ms) {
  c->to_server_ms = c->sim->now_ms + ms;
  c->to_client_ms = c->sim->now_ms + ms;
}

void sim_network_gateway_died(sim_process *gateway) {
  sim *s = gateway->sim;
  for (sim_connection *c = s->connections; c; c = c->next) {
    if (c->gateway != gateway || !c->server_is_open) continue;
    c->server_is_open = false;
    sim_after(s, sim_between(&s->random, 0, 2000), end_at_client, c, (uint64_t)-CHAT_E_IO);
  }
}

void sim_network_free(sim *s) {
  while (s->connections) {
    sim_connection *c = s->connections;
    s->connections = c->next;
    free(c);
  }
}
