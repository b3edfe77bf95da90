/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth_jwt.h - credentials in HELLO as JSON Web Tokens (RFC 7519, RFC 7515 compact form).
 *
 * Accepted: HS256, RS256, ES256. The algorithm belongs to the key (its `alg` comes from the configuration); a token only says
 * which key it wants (`kid`) and must then name that key's algorithm, so neither `none` nor an HMAC made with a public key
 * can pass. Tokens with `crit`, with duplicate members, with base64url that is not canonical, or with a `typ` other than
 * "JWT" are refused.
 *
 * Claims: `sub` is the user id (1 to CHAT_USER_ID_MAX bytes of UTF-8), `exp` is required, `nbf` is obeyed, `device` may pin a
 * device (32 hexadecimal digits). `iss` must equal the configured issuer, if there is one. `aud` (a string or an array) must hold the
 * configured audience; with none configured, a token that names an audience is meant for somebody else and refused
 * (RFC 7519, section 4.1.3).
 *
 * Memory comes from malloc, as it does in libjwt, jansson and OpenSSL.
 * Threads: verify and reload may be called from any thread at once; a verify that runs during a reload uses the keys it began with.
 */
#ifndef CH_BACKEND_AUTH_JWT_H
#define CH_BACKEND_AUTH_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/chat.h"

enum {
  CH_AUTH_JWT_LEEWAY_MAX_S = 300, /* clocks that are further apart are to be repaired, not tolerated */
  CH_AUTH_JWT_WHY_MAX = 512       /* bytes that hold every reason text, with its NUL */
};

typedef struct ch_auth_jwt ch_auth_jwt;

typedef struct ch_auth_jwt_options {
  /*
   * Where the keys are, one string each, read at creation and at every reload:
   *   hs256:KID:FILE  a shared secret, at least 32 bytes. The file's bytes are the secret; in a file of printable ASCII one newline
   *                   at the end does not belong to it.
   *   rs256:KID:FILE  a public key in PEM ("BEGIN PUBLIC KEY"), RSA of 2048 to 8192 bits
   *   es256:KID:FILE  a public key in PEM, on the curve P-256
   *   dir:PATH        a folder with one file a key, named KID.hs256, KID.rs256 or KID.es256; names that begin with a dot are skipped
   * KID: 1 to 128 bytes without a colon, no two alike. At most 64 keys.
   */
  const char *const *keys;
  size_t key_count;
  const char *issuer;   /* NULL: any */
  const char *audience; /* NULL: none, see above */
  int64_t leeway_s;     /* 0 to CH_AUTH_JWT_LEEWAY_MAX_S, for exp and nbf */
} ch_auth_jwt_options;

typedef struct ch_auth_jwt_result {
  char user_id[CHAT_USER_ID_MAX];
  size_t user_id_len;
  bool has_device;
  uint8_t device_id[CHAT_DEVICE_ID_LEN];
  int64_t exp_s; /* Unix time at which the session needs a new token (without leeway) */
} ch_auth_jwt_result;

/*
 * Loads all keys. `why` (may be NULL) gets a sentence that names the file and what is wrong with it, never its content; empty on success.
 * CHAT_E_INVALID (a bad option or key), CHAT_E_IO (a file cannot be read), CHAT_E_NOMEM.
 */
int ch_auth_jwt_new(const ch_auth_jwt_options *options, ch_auth_jwt **out, char *why, size_t why_max);

/* Wipes the keys. No call on it may be running. */
void ch_auth_jwt_free(ch_auth_jwt *auth);

/* Reads all keys again and swaps them in only if every one is good; else the old ones stay. Errors and `why` as for new. Reads files: may block. */
int ch_auth_jwt_reload(ch_auth_jwt *auth, char *why, size_t why_max);

/*
 * Checks one token (`token_len` bytes, no NUL needed) against Unix time `now_s`. `out` is written only on success.
 * CHAT_E_AUTH (for every reason alike), CHAT_E_EXPIRED (good, but expired or not yet valid), CHAT_E_NOMEM.
 */
int ch_auth_jwt_verify(ch_auth_jwt *auth, const uint8_t *token, size_t token_len, int64_t now_s, ch_auth_jwt_result *out);

#endif
