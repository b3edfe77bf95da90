/* SPDX-License-Identifier: Apache-2.0 */
/* listener.h - a listening socket and its place in a uv loop. Sockets of several threads share one port (SO_REUSEPORT): the kernel spreads connections over them. */
#ifndef CH_SERVER_LISTENER_H
#define CH_SERVER_LISTENER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <uv.h>

#include "core/buf.h"

typedef struct ch_address {
  struct sockaddr_storage storage;
  socklen_t len;
} ch_address;

/* "127.0.0.1:8300", "[::1]:8300", "localhost:8300" (which is 127.0.0.1): numeric, nothing is resolved. false: not an address and port. */
bool ch_address_parse(const char *text, ch_address *address);
bool ch_address_is_loopback(const ch_address *address);
int ch_address_port(const ch_address *address);

/* Whom a connection counts for where addresses are limited: an IPv4 address (also one that comes as IPv6), or the /64 that an IPv6 address is in, since whoever has one address of it
 * has all. Written to `key`; its length. */
enum { CH_ORIGIN_MAX = 8 };
size_t ch_address_origin(const ch_address *address, uint8_t key[CH_ORIGIN_MAX]);

/* A socket that listens, not blocking; where the address has port 0 it gets the port that was chosen. is_first: no other of this server listens there yet, so that anybody who
 * does is a stranger. `why` gets a sentence. CHAT_E_IO. */
int ch_listen(ch_address *address, bool is_first, int *fd, ch_buf *why);

typedef struct ch_listener {
  uv_poll_t poll;
  int fd; /* -1: none */
  uint64_t resume_ms; /* out of descriptors: listens again at this elapsed time; CH_NEVER_MS: is listening */
  bool is_out;        /* accept failed for want of descriptors since the last turn */
  bool is_paused;     /* by its owner */
  void (*accepted)(void *arg, int fd, const ch_address *from); /* the descriptor is the callee's */
  void *arg;
} ch_listener;

/* Takes the descriptor over. The loop's thread, or before it runs. CHAT_E_IO. */
int ch_listener_open(ch_listener *listener, uv_loop_t *uv, int fd, void (*accepted)(void *arg, int fd, const ch_address *from), void *arg);
/* While paused, connections wait in the backlog. The loop's thread, also inside `accepted`. */
void ch_listener_pause(ch_listener *listener);
void ch_listener_resume(ch_listener *listener);
/* To be called each turn; gives its deadline. */
uint64_t ch_listener_turn(ch_listener *listener, uint64_t now_ms);
/* No connection is accepted any more; twice is once. The loop must run once more to free the handle. */
void ch_listener_close(ch_listener *listener);

#endif
