/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_server.h - a WebSocket server of one thread, written by hand so that it can also do what a good one does not. It serves one connection after the other.
 *
 * Every binary message comes back. Of these, something else comes:
 *   "!close N"  a close frame with that code        "!drop"  the connection is cut        "!text"  a text frame
 *   "!parts"    "abcdef" in three frames, a ping between        "!huge"  a message above CHAT_FRAME_MAX        "!flood N"  N messages of 1,000 bytes
 *   "!mute N"   nothing is read for N ms
 */
#ifndef CH_TEST_WS_SERVER_H
#define CH_TEST_WS_SERVER_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>

typedef enum ws_upgrade { WS_GOOD, WS_SILENT_SUBPROTOCOL, WS_OTHER_SUBPROTOCOL, WS_REFUSED } ws_upgrade;

typedef struct ws_server {
  int listener, port;
  ws_upgrade upgrade;
  SSL_CTX *tls; /* NULL: plain */
  pthread_t thread;
} ws_server;

void ws_server_start(ws_server *server, ws_upgrade upgrade, SSL_CTX *tls);
void ws_server_stop(ws_server *server);

/* A self-signed certificate for `host` (a name, or a numeric address), in memory; its key info's SHA-256 goes to pin (65 bytes), itself to a file where `ca_file` is not NULL. */
SSL_CTX *ws_server_tls(const char *host, char *pin, const char *ca_file);

#endif
