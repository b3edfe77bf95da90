/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/tls.h"

#include <chat/chat.h>
#include <openssl/err.h>

#include "core/tls_policy.h"

/* A ticket's key would live as long as the process and open whatever it resumed: a session that is resumed has no forward secrecy against who takes that key. So each connection
 * makes a whole handshake. */
static void forbid_resumption(SSL_CTX *tls) {
  SSL_CTX_set_options(tls, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(tls, 0);
  SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
}

static bool harden(SSL_CTX *tls) {
  forbid_resumption(tls);
  SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_security_level(tls, CH_TLS_SECURITY_LEVEL);
  return SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) == 1 && SSL_CTX_set_cipher_list(tls, CH_TLS_CIPHERS) == 1 &&
         SSL_CTX_set1_groups_list(tls, CH_TLS_GROUPS) == 1;
}

static bool load(SSL_CTX *tls, const char *cert, const char *key) {
  return SSL_CTX_use_certificate_chain_file(tls, cert) == 1 && SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(tls) == 1;
}

/* What is left in the thread's queue of errors would be taken for an error of the next call on some connection. */
bool ch_tls_load(SSL_CTX *tls, const char *cert, const char *key) {
  bool good = load(tls, cert, key);
  ERR_clear_error();
  return good;
}

SSL_CTX *ch_tls_new(const char *cert, const char *key) {
  SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
  bool good = tls && harden(tls) && load(tls, cert, key);
  ERR_clear_error();
  if (good) return tls;
  SSL_CTX_free(tls);
  return NULL;
}

int ch_tls_check_files(const char *cert, const char *key) {
  SSL_CTX *tls = ch_tls_new(cert, key);
  SSL_CTX_free(tls);
  return tls ? 0 : CHAT_E_TLS;
}
