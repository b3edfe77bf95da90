/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/directory_redis/tls.h"

#include <hiredis/hiredis_ssl.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "core/tls_policy.h"

bool ch_redis_tls_is_there(void) {
  return true;
}

/* hiredis's own context would not look at the certificate's name. The system's authorities; SSL_CERT_FILE names others. */
static SSL *new_session(const char *host) {
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  if (!context) return NULL;
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_security_level(context, CH_TLS_SECURITY_LEVEL);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  bool is_set = SSL_CTX_set_cipher_list(context, CH_TLS_CIPHERS) == 1 && SSL_CTX_set1_groups_list(context, CH_TLS_GROUPS) == 1 && SSL_CTX_set_default_verify_paths(context) == 1;
  SSL *session = is_set ? SSL_new(context) : NULL;
  SSL_CTX_free(context); /* the session has its share */
  if (!session) return NULL;
  bool is_numeric = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host) == 1;
  if (is_numeric || (SSL_set1_host(session, host) == 1 && SSL_set_tlsext_host_name(session, host) == 1)) return session;
  SSL_free(session);
  return NULL;
}

/* A server that is near answers while its connection is begun. */
void *ch_redis_tls_begin(redisAsyncContext *redis, const char *host, bool *is_refused) {
  SSL *session = new_session(host);
  if (!session) return NULL;
  if (redisInitiateSSL(&redis->c, session) == REDIS_OK) return session;
  *is_refused = ch_redis_tls_is_refused(session);
  SSL_free(session);
  return NULL;
}

bool ch_redis_tls_is_refused(const void *session) {
  return session && SSL_get_verify_result(session) != X509_V_OK;
}
