/* SPDX-License-Identifier: Apache-2.0 */
/* channel.h - a connection's bytes: a socket that never blocks, with TLS or plain. */
#ifndef BENCH_CHANNEL_H
#define BENCH_CHANNEL_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct bench_channel {
  int fd;   /* -1: closed */
  SSL *tls; /* NULL: plain */
} bench_channel;

/* What is no count of bytes. */
enum { CHANNEL_AGAIN = -1, CHANNEL_FAILED = -2 };

/* Begins to connect. source: the address to come from (loopback has 2^24, each with its own ports); 0: any. narrow: with little room and small segments, as over a slow
 * network. false: errno. */
bool channel_open(bench_channel *channel, const struct sockaddr_in *peer, in_addr_t source, SSL_CTX *tls, bool narrow);
void channel_close(bench_channel *channel);
/* 0 where a TCP connection is there, else the errno that ended it. */
int channel_error(const bench_channel *channel);
/* Above 0: bytes; 0: the peer has ended (read); CHANNEL_AGAIN: not now; CHANNEL_FAILED. */
ssize_t channel_read(bench_channel *channel, void *bytes, size_t len);
ssize_t channel_write(bench_channel *channel, const void *bytes, size_t len);

#endif
