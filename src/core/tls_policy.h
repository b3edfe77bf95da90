/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_policy.h - which TLS both sides speak (docs/security.md, "Transport"). Only words: OpenSSL is where connections are.
 *
 * TLS 1.2 with forward secrecy and authenticated encryption alone; the suites of TLS 1.3 are all of that kind.
 */
#ifndef CH_TLS_POLICY_H
#define CH_TLS_POLICY_H

#define CH_TLS_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define CH_TLS_GROUPS  "X25519:P-256:P-384"

enum { CH_TLS_SECURITY_LEVEL = 2 }; /* of OpenSSL: keys and hashes of 112 bits, so RSA from 2048 bits on and no SHA-1 */

#endif
