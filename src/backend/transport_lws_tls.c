/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/transport_lws_tls.h"

#include <chat/chat.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "core/bytes.h"
#include "core/tls_policy.h"

int ch_tls_trust_init(ch_tls_trust *trust, const char *ca_file, const char *pin_sha256) {
  *trust = (ch_tls_trust){.has_pin = pin_sha256 != NULL, .pin_alone = ca_file && strcmp(ca_file, "none") == 0};
  if (trust->pin_alone && !trust->has_pin) return CHAT_E_INVALID;
  if (trust->has_pin && !ch_hex_decode(ch_bytes_text(pin_sha256), trust->pin, sizeof trust->pin)) return CHAT_E_INVALID;
  return 0;
}

static bool pin_holds(const ch_tls_trust *trust, X509 *certificate) {
  uint8_t digest[EVP_MAX_MD_SIZE], *info = NULL;
  unsigned digest_len = 0;
  int len = certificate ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &info) : -1;
  if (len < 0) return false;
  int done = EVP_Digest(info, (size_t)len, digest, &digest_len, EVP_sha256(), NULL);
  OPENSSL_free(info);
  return done && digest_len == sizeof trust->pin && CRYPTO_memcmp(digest, trust->pin, sizeof trust->pin) == 0;
}

/* Instead of OpenSSL's own verification, which it calls. */
static int verify(X509_STORE_CTX *store, void *arg) {
  const ch_tls_trust *trust = arg;
  if (!trust->pin_alone && X509_verify_cert(store) != 1) return 0;
  if (trust->has_pin && !pin_holds(trust, X509_STORE_CTX_get0_cert(store))) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
  }
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

static void follow_handshake(const SSL *ssl, int where, int value) {
  (void)value;
  ch_tls_trust *trust = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  if (where & SSL_CB_HANDSHAKE_START) trust->is_shaking = true;
  if (where & SSL_CB_HANDSHAKE_DONE) trust->is_shaking = false;
}

static bool set_authorities(SSL_CTX *context, const ch_tls_trust *trust, const char *ca_file) {
  if (trust->pin_alone) return true;
  return ca_file ? SSL_CTX_load_verify_locations(context, ca_file, NULL) == 1 : SSL_CTX_set_default_verify_paths(context) == 1;
}

static bool set_host(SSL_CTX *context, const char *host) {
  X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1 || X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
}

/* Without tickets two connections of a client cannot be told to be one's by who looks on. */
static bool harden(SSL_CTX *context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_security_level(context, CH_TLS_SECURITY_LEVEL);
  return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 && SSL_CTX_set_cipher_list(context, CH_TLS_CIPHERS) == 1 &&
         SSL_CTX_set1_groups_list(context, CH_TLS_GROUPS) == 1;
}

int ch_tls_context_new(ch_tls_trust *trust, const char *ca_file, const char *host, SSL_CTX **context) {
  *context = SSL_CTX_new(TLS_client_method());
  if (!*context) return CHAT_E_NOMEM;
  bool is_set = harden(*context);
  SSL_CTX_set_app_data(*context, trust);
  SSL_CTX_set_info_callback(*context, follow_handshake);
  SSL_CTX_set_verify(*context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_cert_verify_callback(*context, verify, trust);
  is_set = is_set && set_authorities(*context, trust, ca_file) && set_host(*context, host);
  ERR_clear_error(); /* what is left here would be taken for an error of the next call on some connection */
  if (is_set) return 0;
  SSL_CTX_free(*context);
  *context = NULL;
  return CHAT_E_TLS;
}
