/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "ws_server.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct peer {
  int fd;
  SSL *ssl;
} peer;

static bool put(peer *p, const void *data, size_t len) {
  const char *at = data;
  while (len > 0) {
    ssize_t n = p->ssl ? SSL_write(p->ssl, at, (int)(len > 16384 ? 16384 : len)) : send(p->fd, at, len, MSG_NOSIGNAL);
    if (n <= 0) return false;
    at += n;
    len -= (size_t)n;
  }
  return true;
}

static bool get(peer *p, void *data, size_t len) {
  char *at = data;
  while (len > 0) {
    ssize_t n = p->ssl ? SSL_read(p->ssl, at, (int)len) : recv(p->fd, at, len, 0);
    if (n <= 0) return false;
    at += n;
    len -= (size_t)n;
  }
  return true;
}

/* RFC 6455, 4.2.2: base64(SHA-1(key + GUID)). */
static void accept_key(const char *key, char *out) {
  char text[128];
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  int text_len = snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
  EVP_Digest(text, (size_t)text_len, digest, &len, EVP_sha1(), NULL);
  EVP_EncodeBlock((unsigned char *)out, digest, (int)len);
}

static bool shake_hands(peer *p, ws_upgrade upgrade) {
  static const char *const subprotocols[] = {[WS_GOOD] = "Sec-WebSocket-Protocol: chat.v1\r\n", [WS_SILENT_SUBPROTOCOL] = "",
                                             [WS_OTHER_SUBPROTOCOL] = "Sec-WebSocket-Protocol: chat.v2\r\n"};
  char request[4096] = "", answer[512], key[64];
  size_t len = 0;
  while (!strstr(request, "\r\n\r\n")) {
    if (len + 1 >= sizeof request || !get(p, request + len, 1)) return false;
    request[++len] = 0;
  }
  if (upgrade == WS_REFUSED) {
    static const char refusal[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    put(p, refusal, sizeof refusal - 1);
    return false;
  }
  const char *given = strcasestr(request, "sec-websocket-key: ");
  if (!given || !strcasestr(request, "sec-websocket-protocol: chat.v1\r\n") || strcasestr(request, "sec-websocket-extensions")) return false;
  accept_key(given + 19, key);
  int answer_len = snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
                            key, subprotocols[upgrade]);
  return put(p, answer, (size_t)answer_len);
}

static bool put_frame(peer *p, int first_byte, const void *data, size_t len) {
  uint8_t head[10] = {(uint8_t)first_byte};
  size_t head_len = 2;
  if (len < 126) head[1] = (uint8_t)len;
  else if (len < 65536) {
    head[1] = 126;
    head[2] = (uint8_t)(len >> 8);
    head[3] = (uint8_t)len;
    head_len = 4;
  } else {
    head[1] = 127;
    for (int i = 0; i < 8; i++)
      head[2 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
    head_len = 10;
  }
  return put(p, head, head_len) && put(p, data, len);
}

/* A whole frame, unmasked, in *data (to be freed). */
static bool get_frame(peer *p, int *first_byte, char **data, size_t *len) {
  uint8_t head[2], more[8], mask[4];
  if (!get(p, head, 2) || !(head[1] & 0x80)) return false;
  uint64_t n = head[1] & 0x7f;
  int more_len = n == 126 ? 2 : n == 127 ? 8 : 0;
  if (!get(p, more, (size_t)more_len) || !get(p, mask, 4)) return false;
  if (more_len) n = 0;
  for (int i = 0; i < more_len; i++)
    n = n << 8 | more[i];
  *data = calloc(1, n + 1);
  if (!get(p, *data, n)) return false;
  for (uint64_t i = 0; i < n; i++)
    (*data)[i] = (char)((*data)[i] ^ mask[i % 4]);
  *first_byte = head[0];
  *len = n;
  return true;
}

static bool flood(peer *p, int count) {
  char text[1000];
  memset(text, 'f', sizeof text);
  for (int i = 0; i < count; i++) {
    memcpy(text, &i, sizeof i);
    if (!put_frame(p, 0x82, text, sizeof text)) return false;
  }
  return true;
}

static bool obey(peer *p, const char *text, size_t len) {
  if (strncmp(text, "!close ", 7) == 0) {
    int code = atoi(text + 7);
    put_frame(p, 0x88, (uint8_t[]){(uint8_t)(code >> 8), (uint8_t)code}, 2);
    return false;
  }
  if (strcmp(text, "!drop") == 0) return false;
  if (strcmp(text, "!text") == 0) return put_frame(p, 0x81, "text", 4);
  if (strcmp(text, "!parts") == 0)
    return put_frame(p, 0x02, "ab", 2) && put_frame(p, 0x89, "hi", 2) && put_frame(p, 0x00, "cd", 2) && put_frame(p, 0x80, "ef", 2);
  if (strncmp(text, "!flood ", 7) == 0) return flood(p, atoi(text + 7));
  if (strncmp(text, "!mute ", 6) == 0) return poll(NULL, 0, atoi(text + 6)) == 0;
  if (strcmp(text, "!huge") != 0) return put_frame(p, 0x82, text, len);
  static char huge[(1 << 20) + 1];
  return put_frame(p, 0x82, huge, sizeof huge);
}

static void serve(ws_server *server, int fd) {
  peer p = {.fd = fd};
  if (server->tls) {
    p.ssl = SSL_new(server->tls);
    SSL_set_fd(p.ssl, fd);
  }
  bool go = (!p.ssl || SSL_accept(p.ssl) == 1) && shake_hands(&p, server->upgrade);
  while (go) {
    int first_byte = 0;
    char *data = NULL;
    size_t len = 0;
    go = get_frame(&p, &first_byte, &data, &len) && (first_byte & 0x0f) != 8;
    if (go && (first_byte & 0x0f) == 2) go = obey(&p, data, len);
    free(data);
  }
  SSL_free(p.ssl);
  close(fd);
}

static void *run(void *arg) {
  ws_server *server = arg;
  for (int fd = accept(server->listener, NULL, NULL); fd >= 0; fd = accept(server->listener, NULL, NULL))
    serve(server, fd);
  return NULL;
}

void ws_server_start(ws_server *server, ws_upgrade upgrade, SSL_CTX *tls) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  *server = (ws_server){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .upgrade = upgrade, .tls = tls};
  ck_assert_int_eq(bind(server->listener, (struct sockaddr *)&at, sizeof at), 0);
  ck_assert_int_eq(listen(server->listener, 8), 0);
  ck_assert_int_eq(getsockname(server->listener, (struct sockaddr *)&at, &len), 0);
  server->port = ntohs(at.sin_port);
  ck_assert_int_eq(pthread_create(&server->thread, NULL, run, server), 0);
}

void ws_server_stop(ws_server *server) {
  shutdown(server->listener, SHUT_RDWR);
  pthread_join(server->thread, NULL);
  close(server->listener);
  SSL_CTX_free(server->tls);
}

static X509 *make_certificate(EVP_PKEY *key, const char *host) {
  char alternative[128];
  struct in_addr numeric;
  X509 *certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  snprintf(alternative, sizeof alternative, "%s:%s", inet_pton(AF_INET, host, &numeric) == 1 ? "IP" : "DNS", host);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternative);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  ck_assert_int_gt(X509_sign(certificate, key, EVP_sha256()), 0);
  return certificate;
}

static void write_pin(EVP_PKEY *key, char *pin) {
  uint8_t *info = NULL, digest[EVP_MAX_MD_SIZE];
  unsigned digest_len = 0;
  int len = i2d_PUBKEY(key, &info);
  EVP_Digest(info, (size_t)len, digest, &digest_len, EVP_sha256(), NULL);
  OPENSSL_free(info);
  for (unsigned i = 0; i < digest_len; i++)
    sprintf(pin + 2 * i, "%02x", digest[i]);
}

SSL_CTX *ws_server_tls(const char *host, char *pin, const char *ca_file) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *certificate = make_certificate(key, host);
  SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
  ck_assert_int_eq(SSL_CTX_use_certificate(tls, certificate), 1);
  ck_assert_int_eq(SSL_CTX_use_PrivateKey(tls, key), 1);
  write_pin(key, pin);
  FILE *file = ca_file ? fopen(ca_file, "w") : NULL;
  if (file) {
    PEM_write_X509(file, certificate);
    fclose(file);
  }
  X509_free(certificate);
  EVP_PKEY_free(key);
  return tls;
}
