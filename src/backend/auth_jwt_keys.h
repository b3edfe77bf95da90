/* SPDX-License-Identifier: Apache-2.0 */
/* auth_jwt_keys.h - the keys of auth_jwt: one immutable set, read whole from files. Private to the JWT backend. */
#ifndef CH_BACKEND_AUTH_JWT_KEYS_H
#define CH_BACKEND_AUTH_JWT_KEYS_H

#include <stddef.h>

enum {
  CH_JWT_KID_MAX = 128,       /* bytes */
  CH_JWT_KEYS_MAX = 64,       /* keys in a set */
  CH_JWT_KEY_FILE_MAX = 16384 /* bytes of a key file */
};

enum ch_jwt_alg { CH_JWT_HS256, CH_JWT_RS256, CH_JWT_ES256, CH_JWT_ALG_COUNT };

typedef struct ch_jwt_key {
  enum ch_jwt_alg alg;
  char kid[CH_JWT_KID_MAX + 1];
  unsigned char *bytes; /* the secret, or a PEM public key written anew from the parsed one */
  size_t len;
} ch_jwt_key;

typedef struct ch_jwt_keys {
  size_t refs; /* guarded by whoever shares the set; the loader hands out one */
  size_t count;
  ch_jwt_key keys[CH_JWT_KEYS_MAX];
} ch_jwt_keys;

/* The `alg` of RFC 7518, section 3.1, such as "HS256". */
const char *ch_jwt_alg_name(enum ch_jwt_alg alg);

/* All or nothing; specs and `why` as in auth_jwt.h. CHAT_E_INVALID, CHAT_E_IO, CHAT_E_NOMEM. */
int ch_jwt_keys_load(const char *const *specs, size_t spec_count, ch_jwt_keys **out, char *why, size_t why_max);

/* Wipes and frees, whatever `refs` says. */
void ch_jwt_keys_free(ch_jwt_keys *keys);

/* The key named `kid`; with NULL the only key there is. NULL where there is none, or where the choice would be a guess. */
const ch_jwt_key *ch_jwt_keys_find(const ch_jwt_keys *keys, const char *kid);

#endif
