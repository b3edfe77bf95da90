/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - a client's brain as targets have it: over a cache of theirs, with a transport that does what it wants, a server that welcomes it, and a clock of its own. */
#ifndef CH_TEST_FUZZ_CLIENT_H
#define CH_TEST_FUZZ_CLIENT_H

#include "client/brain/owner.h"
#include "fuzz/fuzz.h"

enum { FUZZ_CLIENT_EVENTS_MAX = 64 };

typedef struct fuzz_client {
  ch_brain *brain;
  ch_now now;
  bool is_open; /* the transport */
  uint8_t random;
  void (*hear)(void *arg, const ch_client_message *message); /* each that it says; NULL: nobody listens */
  void *arg;
} fuzz_client;

/* A new process over the cache, with a token: 0, or what start says, and there is none then. Bounds are small, so that they are met. */
int fuzz_client_start(fuzz_client *client, const ch_allocator *alloc, chat_cache *cache);
/* One thing that it wants: the transport opened or closed, or a frame taken, which must decode. False: it wants nothing. */
bool fuzz_client_turn(fuzz_client *client);
/* Frames that are too large for it do not come, nor any while it is closed. */
void fuzz_client_hears(fuzz_client *client, const ch_server_message *message);
/* As ann, with the device that it has, in the next session. */
void fuzz_client_is_welcome(fuzz_client *client, uint64_t tag);
void fuzz_client_is_cut(fuzz_client *client, int status);
void fuzz_client_waits(fuzz_client *client, uint64_t ms);

#endif
