/* SPDX-License-Identifier: Apache-2.0 */
/* backends.h - which backends a server has: those that the embedder handed in, else those that the options name. The only file of the server that names backends is backends.c. */
#ifndef CH_SERVER_BACKENDS_H
#define CH_SERVER_BACKENDS_H

#include "server/loop/options.h"
#include "server/loop/role_loop.h"

typedef struct ch_backends_config {
  const ch_env *env;
  chat_clock clock;
  const ch_server_options *options;
  const chat_backend *given[CH_BACKEND_HOOKS]; /* by kind; NULL: as the options say. The embedder's: not freed here */
} ch_backends_config;

typedef struct ch_backend_set {
  ch_backends all; /* hooks are added by the owner */
  bool is_owned[CH_BACKEND_HOOKS];
  uint32_t partitions[CHAT_TOPIC_COUNT]; /* as the log says */
} ch_backend_set;

/* Opens what is missing, and asks the log for its partitions: may block. `why` gets a sentence; also where all is well but a server of a backend is not there yet.
 * CHAT_E_UNSUPPORTED (a backend that is not there), errors of the backends. */
int ch_backends_open(const ch_backends_config *config, ch_backend_set *set, ch_buf *why);
void ch_backends_close(ch_backend_set *set);
const char *ch_backend_kind_name(ch_backend_kind kind); /* for logs and sentences */
/* May several processes share them all? */
bool ch_backends_are_shared(const ch_backend_set *set);

#endif
