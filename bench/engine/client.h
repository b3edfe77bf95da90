/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - one connection of the load: socket, frames, and what its protocol keeps for it. Touch it through the functions below.
 *
 *   CLOSED      no socket                           → CONNECTING
 *   CONNECTING  TCP (and TLS) is being made         → UPGRADING, OPEN (stream)
 *   UPGRADING   the answer to GET is awaited        → OPEN
 *   OPEN        the protocol logs in                → READY
 *   READY       logged in                           → JOINED
 *   JOINED      in its room: may send               any of these → CLOSED
 */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/timer_heap.h"
#include "engine/channel.h"

typedef enum client_state { CLIENT_CLOSED, CLIENT_CONNECTING, CLIENT_UPGRADING, CLIENT_OPEN, CLIENT_READY, CLIENT_JOINED } client_state;

struct bench_load;
struct bench_client;

/* Who talks with whom. Its members are neighbours in load->clients. */
typedef struct bench_room {
  struct bench_load *load;
  uint32_t index;
  bool group; /* false: two people */
  struct bench_client *members;
  uint32_t member_count;
} bench_room;

typedef struct bench_client {
  struct bench_load *load;
  uint32_t index; /* in load->clients */
  uint32_t user;  /* number of its user: unique over all processes of a load */
  client_state state;
  bench_room *room;     /* NULL: none */
  void *protocol_state; /* protocol->state_len zeroed bytes */
  void *workload_state;
  uint64_t written_ms; /* elapsed ms of the last write */

  bench_channel channel;
  ch_buf in;      /* bytes that are no whole frame yet */
  ch_buf message; /* fragments of one message */
  ch_buf out;
  ch_timer timer;
  struct bench_client *next_dirty;
  bool dirty, awaits_room; /* is in load->dirty; the socket takes no more at the moment */
  bool deaf;               /* a slow reader: what comes is left in the socket */
} bench_client;

/* Place in its room: 0 is the one who makes it. */
uint32_t client_member(const bench_client *client);
/* The other one of a room of two. */
bench_client *client_partner(const bench_client *client);

/* --- for protocols */
/* Queues one WebSocket message (or bytes of a stream); written at the end of the turn. */
void client_put(bench_client *client, ch_bytes message);
/* Has the protocol's `turn` called before the turn ends. */
void client_touch(bench_client *client);
void client_ready(bench_client *client);
void client_joined(bench_client *client);
/* A body of the room came that another member sent. */
void client_received(bench_client *client, ch_bytes body);
/* A message of one's own is durable and in its place (where the protocol can tell). */
void client_accepted(bench_client *client);
/* The page that was asked for is there, with so many messages. */
void client_paged(bench_client *client, size_t count);
/* The server said no to something. Fails the load, unless its workload can lose clients: then it is counted. */
void client_fault(bench_client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Has `tick` called at this time (elapsed ms), replacing an earlier wish. */
void client_tick_at(bench_client *client, uint64_t elapsed_ms);

/* --- for the engine and workloads */
/* Begins to connect. */
void client_connect(bench_client *client);
/* Ends the connection now; reports nothing. */
void client_close(bench_client *client);
/* Of a slow reader: reads at most so much now, whatever more there is. */
void client_sip(bench_client *client, size_t len);
/* From now on it is a slow reader: what comes is left in the socket, but for client_sip. */
void client_turn_deaf(bench_client *client);
/* What epoll says of its socket. */
void client_event(bench_client *client, uint32_t events);
/* Writes what waits, as far as the socket takes it. */
void client_flush(bench_client *client);
/* Sends a body into its room, stamped with the time at which that was meant to start. */
void client_send(bench_client *client, uint64_t start_ns, uint32_t number);
void client_free(bench_client *client);

#endif
