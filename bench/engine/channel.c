/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* SOCK_NONBLOCK, IP_BIND_ADDRESS_NO_PORT */
#include "engine/channel.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static bool bind_source(int fd, in_addr_t source) {
  int on = 1; /* the port is chosen at connect, where only the pair of addresses counts */
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = source};
  return bind(fd, (struct sockaddr *)&from, sizeof from) == 0;
}

/* On loopback a segment has 64 KiB, and ten of them (1.3 MB) wait in the kernel for each one who does not read. */
static void make_narrow(int fd) {
  int room_len = 4096, segment_len = 1460;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room_len, sizeof room_len);
  setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment_len, sizeof segment_len);
}

static bool start_tls(bench_channel *channel, SSL_CTX *context) {
  channel->tls = SSL_new(context);
  if (!channel->tls || !SSL_set_fd(channel->tls, channel->fd)) return false;
  SSL_set_connect_state(channel->tls);
  return true;
}

bool channel_open(bench_channel *channel, const struct sockaddr_in *peer, in_addr_t source, SSL_CTX *tls, bool narrow) {
  int on = 1;
  channel->tls = NULL;
  channel->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (channel->fd < 0) return false;
  setsockopt(channel->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (narrow) make_narrow(channel->fd);
  if (source && !bind_source(channel->fd, source)) return false;
  if (connect(channel->fd, (const struct sockaddr *)peer, sizeof *peer) && errno != EINPROGRESS) return false;
  return !tls || start_tls(channel, tls);
}

void channel_close(bench_channel *channel) {
  SSL_free(channel->tls);
  if (channel->fd >= 0) close(channel->fd);
  *channel = (bench_channel){.fd = -1};
}

int channel_error(const bench_channel *channel) {
  int error = 0;
  socklen_t len = sizeof error;
  return getsockopt(channel->fd, SOL_SOCKET, SO_ERROR, &error, &len) ? errno : error;
}

static ssize_t tls_outcome(const bench_channel *channel, int done) {
  if (done > 0) return done;
  int error = SSL_get_error(channel->tls, done);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return CHANNEL_AGAIN;
  return error == SSL_ERROR_ZERO_RETURN ? 0 : CHANNEL_FAILED;
}

static ssize_t outcome(ssize_t done) {
  if (done >= 0) return done;
  return errno == EAGAIN || errno == EINTR ? CHANNEL_AGAIN : CHANNEL_FAILED;
}

ssize_t channel_read(bench_channel *channel, void *bytes, size_t len) {
  if (channel->tls) return tls_outcome(channel, SSL_read(channel->tls, bytes, (int)len));
  return outcome(read(channel->fd, bytes, len));
}

ssize_t channel_write(bench_channel *channel, const void *bytes, size_t len) {
  if (channel->tls) return tls_outcome(channel, SSL_write(channel->tls, bytes, (int)len));
  return outcome(send(channel->fd, bytes, len, MSG_NOSIGNAL));
}
