/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_loop.h - one thread with one gateway: its connections, its ports, its letters.
 *
 *   RUNNING   → DRAINING  drain was asked: no new connections, clients are sent away
 *   DRAINING  → ENDING    end was asked
 *   RUNNING   → ENDING    end was asked
 *   ENDING                connections are cut, ports canceled; waits for its ops and for libuv's handles → ENDED, the thread returns
 *
 * What is wanted is set from other threads; what is, changes in a turn.
 */
#ifndef CH_SERVER_GATEWAY_LOOP_H
#define CH_SERVER_GATEWAY_LOOP_H

#include <stdatomic.h>

#include "core/logline.h"
#include "server/loop/mailbox.h"
#include "server/loop/metrics.h"
#include "server/loop/role_loop.h"
#include "server/loop/ws_server.h"

typedef struct ch_gateway_loop ch_gateway_loop;

typedef struct ch_gateway_loop_config {
  const ch_env *env;
  chat_clock clock;
  const ch_log *log;
  ch_metrics *metrics;
  const ch_backends *backends;
  ch_gateway_config gateway; /* what it points to is borrowed for new */
  int listen_fd;             /* taken over, also on an error */
  const char *cert, *key;
  /* On the loop's thread: the end of a request; and a change of `drained`. */
  void (*replied)(void *arg, const ch_request_reply *reply);
  void (*changed)(void *arg);
  void *arg;
} ch_gateway_loop_config;

/* A request on its way; the sender's memory, the loop's until replied was called with its tag. */
typedef struct ch_request_letter {
  ch_letter letter;
  ch_request request;
} ch_request_letter;

/* CHAT_E_NOMEM, CHAT_E_TLS, CHAT_E_IO, errors of port_new. */
int ch_gateway_loop_new(const ch_gateway_loop_config *config, ch_gateway_loop **loop);
int ch_gateway_loop_start(ch_gateway_loop *loop);
/* Any thread. CHAT_E_BUSY, CHAT_E_CLOSED. */
int ch_gateway_loop_request(ch_gateway_loop *loop, ch_request_letter *letter);
void ch_gateway_loop_reload(ch_gateway_loop *loop);
/* Clients are told to come back spread over spread_ms. */
void ch_gateway_loop_drain(ch_gateway_loop *loop, uint32_t spread_ms);
bool ch_gateway_loop_drained(const ch_gateway_loop *loop);
void ch_gateway_loop_end(ch_gateway_loop *loop);
/* Is the caller inside a turn of it? */
bool ch_gateway_loop_is_current(const ch_gateway_loop *loop);
/* Waits for the thread. NULL is a no-op; end was asked, or it never started. */
void ch_gateway_loop_free(ch_gateway_loop *loop);

#endif
