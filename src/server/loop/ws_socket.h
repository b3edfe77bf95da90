/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_socket.h - bytes of a socket that does not block: as they are, or through TLS.
 *
 * TLS shakes hands by itself with the first bytes that are read. Under it either direction may have to wait for the other, so whoever waits for anything tries both.
 * The thread must have SIGPIPE blocked or ignored: OpenSSL writes as it likes.
 */
#ifndef CH_SERVER_WS_SOCKET_H
#define CH_SERVER_WS_SOCKET_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/types.h>

#include "core/bytes.h"

enum {
  CH_WS_SOCKET_LATER = -1,  /* not now; to be tried again when the socket is ready */
  CH_WS_SOCKET_BROKEN = -2, /* for ever */
  CH_WS_SCRATCH_LEN = 16 * 1024 /* a record of TLS */
};

typedef struct ch_ws_socket {
  int fd;   /* -1: closed */
  SSL *tls; /* NULL: plain */
  bool is_stuck;  /* TLS cannot read before it has written */
  bool is_broken; /* TLS has failed */
} ch_ws_socket;

/* Takes the descriptor, also where it fails. tls NULL: plain. false: no memory. */
bool ch_ws_socket_init(ch_ws_socket *ws, int fd, SSL_CTX *tls);
/* Closes it. */
void ch_ws_socket_fini(ch_ws_socket *ws);

/* How many bytes came; 0: the peer will say no more; LATER, BROKEN. */
ssize_t ch_ws_socket_read(ch_ws_socket *ws, uint8_t *out, size_t len);
/* May there be more to read though this socket says nothing? `len` came for the `asked`. */
bool ch_ws_socket_has_more(const ch_ws_socket *ws, size_t len, size_t asked);
/* Reads what nobody wants any more, as it comes; result as of read. */
ssize_t ch_ws_socket_discard(ch_ws_socket *ws, uint8_t *out, size_t len);
/* Writes `head` and `rest` behind one another: how many bytes of both together were taken (above 0), LATER, BROKEN. After LATER the next write must begin with the same bytes.
 * scratch: CH_WS_SCRATCH_LEN bytes to be used meanwhile. */
ssize_t ch_ws_socket_write(ch_ws_socket *ws, ch_bytes head, ch_bytes rest, uint8_t *scratch);
/* Says that no more will be written. The other direction stays. */
void ch_ws_socket_end(ch_ws_socket *ws);

#endif
