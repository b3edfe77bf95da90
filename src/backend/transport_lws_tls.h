/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_lws_tls.h - whom the client trusts: an OpenSSL context for one server, checked inside the handshake.
 *
 * libwebsockets is handed a finished SSL_CTX and told to check nothing itself: its own check finds its connection through a process-wide index that changes whenever
 * somebody else in the process makes a context with TLS.
 */
#ifndef CH_TRANSPORT_LWS_TLS_H
#define CH_TRANSPORT_LWS_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ch_tls_trust {
  bool has_pin, pin_alone;
  uint8_t pin[32]; /* SHA-256 of the SubjectPublicKeyInfo */
  bool is_shaking; /* a handshake began and has not ended */
} ch_tls_trust;

/* Reads ca_file and pin_sha256 of chat_transport_target. 0, or CHAT_E_INVALID: not 64 hexadecimal digits, or "none" without a pin. */
int ch_tls_trust_init(ch_tls_trust *trust, const char *ca_file, const char *pin_sha256);
/* For a server called `host` (name or numeric address). 0, CHAT_E_TLS (the file cannot be used) or CHAT_E_NOMEM. `trust` must outlive it; end it with SSL_CTX_free. */
int ch_tls_context_new(ch_tls_trust *trust, const char *ca_file, const char *host, SSL_CTX **context);

#endif
