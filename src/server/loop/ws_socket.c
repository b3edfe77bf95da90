/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/ws_socket.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/assert.h"

bool ch_ws_socket_init(ch_ws_socket *ws, int fd, SSL_CTX *tls) {
  *ws = (ch_ws_socket){.fd = fd};
  if (!tls) return true;
  ws->tls = SSL_new(tls);
  bool good = ws->tls && SSL_set_fd(ws->tls, fd) == 1;
  ERR_clear_error();
  if (!good) {
    ch_ws_socket_fini(ws);
    return false;
  }
  SSL_set_mode(ws->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_set_accept_state(ws->tls);
  return true;
}

void ch_ws_socket_fini(ch_ws_socket *ws) {
  SSL_free(ws->tls);
  ws->tls = NULL;
  if (ws->fd >= 0) close(ws->fd);
  ws->fd = -1;
}

/* ------------------------------------------------------------------------------------------------ plain */

static ssize_t plain_result(ssize_t result) {
  if (result >= 0) return result;
  return errno == EAGAIN || errno == EINTR ? CH_WS_SOCKET_LATER : CH_WS_SOCKET_BROKEN;
}

static ssize_t plain_write(ch_ws_socket *ws, ch_bytes head, ch_bytes rest) {
  struct iovec parts[] = {{(void *)(uintptr_t)head.data, head.len}, {(void *)(uintptr_t)rest.data, rest.len}};
  bool has_head = head.len > 0, has_rest = rest.len > 0;
  struct msghdr message = {.msg_iov = parts + !has_head, .msg_iovlen = (size_t)has_head + has_rest};
  return plain_result(sendmsg(ws->fd, &message, MSG_NOSIGNAL));
}

/* ------------------------------------------------------------------------------------------------ TLS */

/* What is left in the thread's queue of errors would be taken for an error of the next call, on any connection. */
static int tls_error(ch_ws_socket *ws, int result) {
  int error = SSL_get_error(ws->tls, result);
  ERR_clear_error();
  ws->is_broken = error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL;
  return error;
}

static ssize_t tls_read(ch_ws_socket *ws, uint8_t *out, size_t len) {
  size_t got = 0;
  int result = SSL_read_ex(ws->tls, out, len, &got), error = result == 1 ? SSL_ERROR_NONE : tls_error(ws, result);
  ws->is_stuck = error == SSL_ERROR_WANT_WRITE;
  switch (error) {
    case SSL_ERROR_NONE: return (ssize_t)got;
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return CH_WS_SOCKET_LATER;
    default: return CH_WS_SOCKET_BROKEN;
  }
}

/* One record: gathered, since a small one for the head alone would cost the peer as much as the whole. Made anew from the same bytes it is the same after LATER. */
static ssize_t tls_write(ch_ws_socket *ws, ch_bytes head, ch_bytes rest, uint8_t *scratch) {
  size_t room = CH_WS_SCRATCH_LEN - head.len, len = rest.len < room ? rest.len : room, taken = 0;
  if (head.len > 0) memcpy(scratch, head.data, head.len);
  if (len > 0) memcpy(scratch + head.len, rest.data, len);
  int result = SSL_write_ex(ws->tls, scratch, head.len + len, &taken);
  if (result == 1) return (ssize_t)taken;
  return tls_error(ws, result) == SSL_ERROR_WANT_WRITE ? CH_WS_SOCKET_LATER : CH_WS_SOCKET_BROKEN; /* it needs to read only to shake hands again, which it may not */
}

/* ------------------------------------------------------------------------------------------------ either */

ssize_t ch_ws_socket_read(ch_ws_socket *ws, uint8_t *out, size_t len) {
  return ws->tls ? tls_read(ws, out, len) : plain_result(recv(ws->fd, out, len, 0));
}

ssize_t ch_ws_socket_discard(ch_ws_socket *ws, uint8_t *out, size_t len) {
  return plain_result(recv(ws->fd, out, len, 0));
}

/* A plain socket that gave less than it was asked for is empty. TLS gives one record at a time, until it says that there is none. */
bool ch_ws_socket_has_more(const ch_ws_socket *ws, size_t len, size_t asked) {
  return ws->tls || len == asked;
}

ssize_t ch_ws_socket_write(ch_ws_socket *ws, ch_bytes head, ch_bytes rest, uint8_t *scratch) {
  ch_assert(head.len + rest.len > 0 && head.len < CH_WS_SCRATCH_LEN);
  return ws->tls ? tls_write(ws, head, rest, scratch) : plain_write(ws, head, rest);
}

void ch_ws_socket_end(ch_ws_socket *ws) {
  if (ws->tls && !ws->is_broken && SSL_is_init_finished(ws->tls)) {
    SSL_shutdown(ws->tls);
    ERR_clear_error();
  }
  shutdown(ws->fd, SHUT_WR);
}
