/* SPDX-License-Identifier: Apache-2.0 */
/* tls.h - the server's side of TLS: what it agrees to (core/tls_policy.h), and its certificate. Any thread; a context is its owner's. */
#ifndef CH_SERVER_TLS_H
#define CH_SERVER_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>

/* For connections to come: modern settings, no renegotiation, no compression, no resumption; certificate chain and key from their files. NULL: they are no good, or no memory.
 * SSL_CTX_free gives it back. */
SSL_CTX *ch_tls_new(const char *cert, const char *key);
/* Certificate chain and key from their files, again, for connections to come; what was there stays where they are no good. */
bool ch_tls_load(SSL_CTX *tls, const char *cert, const char *key);
/* Are these a certificate chain and its key, and good enough? CHAT_E_TLS. */
int ch_tls_check_files(const char *cert, const char *key);

#endif
