/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* accept4 */
#include "server/loop/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, ACCEPTS_A_ROUND = 64, RESUME_MS = 200 };

static bool parse_port(const char *text, in_port_t *port) {
  char *end = NULL;
  if (text[0] < '0' || text[0] > '9') return false;
  unsigned long value = strtoul(text, &end, 10);
  if (*end || value > 65535) return false;
  *port = htons((uint16_t)value);
  return true;
}

static bool set_host(const char *host, bool is_v6, in_port_t port, ch_address *address) {
  memset(address, 0, sizeof *address);
  if (is_v6) {
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->storage;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = port;
    address->len = sizeof *v6;
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
  }
  struct sockaddr_in *v4 = (struct sockaddr_in *)&address->storage;
  v4->sin_family = AF_INET;
  v4->sin_port = port;
  address->len = sizeof *v4;
  return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &v4->sin_addr) == 1;
}

bool ch_address_parse(const char *text, ch_address *address) {
  char host[INET6_ADDRSTRLEN + 1];
  const char *colon = strrchr(text, ':');
  in_port_t port;
  if (!colon || !parse_port(colon + 1, &port)) return false;
  bool is_v6 = text[0] == '[';
  if (is_v6 && (colon - text < 2 || colon[-1] != ']')) return false;
  const char *begin = text + is_v6;
  size_t len = (size_t)(colon - begin) - is_v6;
  if (len >= sizeof host) return false;
  memcpy(host, begin, len);
  host[len] = '\0';
  return set_host(host, is_v6, port, address);
}

bool ch_address_is_loopback(const ch_address *address) {
  if (address->storage.ss_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&address->storage)->sin6_addr);
  return ntohl(((const struct sockaddr_in *)&address->storage)->sin_addr.s_addr) >> 24 == 127;
}

int ch_address_port(const ch_address *address) {
  if (address->storage.ss_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
  return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
}

static size_t put_origin(uint8_t key[CH_ORIGIN_MAX], const void *bytes, size_t len) {
  memcpy(key, bytes, len);
  return len;
}

size_t ch_address_origin(const ch_address *address, uint8_t key[CH_ORIGIN_MAX]) {
  if (address->storage.ss_family != AF_INET6) return put_origin(key, &((const struct sockaddr_in *)&address->storage)->sin_addr, 4);
  const struct in6_addr *v6 = &((const struct sockaddr_in6 *)&address->storage)->sin6_addr;
  return IN6_IS_ADDR_V4MAPPED(v6) ? put_origin(key, v6->s6_addr + 12, 4) : put_origin(key, v6, 8);
}

/* SO_REUSEADDR: a restarted server gets its port back while old connections linger. Another server that is alive is found by is_free. */
static int open_socket(const ch_address *address, bool share) {
  int one = 1;
  int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 && (!share || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0) &&
      (address->storage.ss_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0) &&
      bind(fd, (const struct sockaddr *)&address->storage, address->len) == 0 && listen(fd, BACKLOG) == 0)
    return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

/* Sharing a port also lets another process in that shares: a socket that does not is refused where anybody listens. */
static bool is_free(const ch_address *address) {
  int fd = open_socket(address, false);
  if (fd < 0) return false;
  close(fd);
  return true;
}

int ch_listen(ch_address *address, bool is_first, int *fd, ch_buf *why) {
  *fd = -1;
  if (!is_first || ch_address_port(address) == 0 || is_free(address)) *fd = open_socket(address, true);
  if (*fd >= 0 && getsockname(*fd, (struct sockaddr *)&address->storage, &address->len) == 0) return 0;
  char text[128];
  ch_buf_printf(why, "cannot listen at port %d: %s", ch_address_port(address), strerror_r(errno, text, sizeof text));
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return CHAT_E_IO;
}

static bool is_shortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  ch_listener *listener = poll->data;
  (void)events;
  if (status < 0) return;
  for (int i = 0; i < ACCEPTS_A_ROUND && !listener->is_paused; i++) {
    ch_address from = {.len = sizeof from.storage};
    int fd = accept4(listener->fd, (struct sockaddr *)&from.storage, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      listener->is_out = is_shortage(errno);
      return;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    listener->accepted(listener->arg, fd, &from);
  }
}

int ch_listener_open(ch_listener *listener, uv_loop_t *uv, int fd, void (*accepted)(void *arg, int fd, const ch_address *from), void *arg) {
  *listener = (ch_listener){.fd = fd, .accepted = accepted, .arg = arg, .resume_ms = CH_NEVER_MS};
  if (uv_poll_init(uv, &listener->poll, fd) != 0) {
    close(fd);
    listener->fd = -1;
    return CHAT_E_IO;
  }
  listener->poll.data = listener;
  uv_poll_start(&listener->poll, UV_READABLE, on_readable);
  return 0;
}

static void listen_again(ch_listener *listener) {
  if (!listener->is_paused && listener->resume_ms == CH_NEVER_MS) uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

/* Without a descriptor for it a connection stays in the backlog and the socket readable: asking again at once would spin. */
uint64_t ch_listener_turn(ch_listener *listener, uint64_t now_ms) {
  if (listener->fd < 0) return CH_NEVER_MS;
  if (listener->is_out) {
    listener->is_out = false;
    listener->resume_ms = now_ms + RESUME_MS;
    uv_poll_stop(&listener->poll);
  } else if (listener->resume_ms <= now_ms) {
    listener->resume_ms = CH_NEVER_MS;
    listen_again(listener);
  }
  return listener->resume_ms;
}

void ch_listener_pause(ch_listener *listener) {
  if (listener->fd < 0 || listener->is_paused) return;
  listener->is_paused = true;
  uv_poll_stop(&listener->poll);
}

void ch_listener_resume(ch_listener *listener) {
  if (listener->fd < 0 || !listener->is_paused) return;
  listener->is_paused = false;
  listen_again(listener);
}

void ch_listener_close(ch_listener *listener) {
  if (listener->fd < 0) return;
  uv_poll_stop(&listener->poll);
  uv_close((uv_handle_t *)&listener->poll, NULL);
  close(listener->fd);
  listener->fd = -1;
}
