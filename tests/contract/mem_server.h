/* SPDX-License-Identifier: Apache-2.0 */
/* mem_server.h - the other end of a transport in memory, as a thread that does what ws_server.h says, as far as there are no frames. */
#ifndef CH_TEST_MEM_SERVER_H
#define CH_TEST_MEM_SERVER_H

#include <chat/backend.h>
#include <pthread.h>
#include <stdatomic.h>

#include "ws_server.h"

typedef struct mem_server {
  chat_transport_peer *peer; /* ended by stop */
  ws_upgrade upgrade;
  atomic_bool stopping;
  pthread_t thread;
} mem_server;

void mem_server_start(mem_server *server, chat_transport_peer *peer, ws_upgrade upgrade);
void mem_server_stop(mem_server *server);

#endif
