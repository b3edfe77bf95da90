/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libjwt checks the signature and nothing else. It wants the key before it has read the header, takes `alg` without regard to
 * case, skips what it cannot decode in base64, ignores `crit` and knows no time; so header and claims are read here, strictly, from
 * the very bytes that are signed (RFC 7515 section 5.2, RFC 7519 section 7.2, RFC 8725 sections 3.1 and 3.2).
 */
#define _POSIX_C_SOURCE 200809L

#include "backend/auth_jwt.h"

#include <errno.h>
#include <jansson.h>
#include <jwt.h>
#include <openssl/err.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "backend/auth_jwt_keys.h"
#include "core/bytes.h"

enum { PART_LEN_MAX = CHAT_TOKEN_MAX / 4 * 3 }; /* a base64url part, decoded */

#define NUMERIC_DATE_MAX 9007199254740992.0 /* 2^53: a double counts whole seconds up to here */

struct ch_auth_jwt {
  pthread_mutex_t mutex; /* guards `keys` and every set's `refs` */
  ch_jwt_keys *keys;
  const char **specs; /* owned, with its strings */
  size_t spec_count;
  char *issuer, *audience; /* owned; NULL: not set */
  int64_t leeway_s;
};

/* The three parts of a compact token, each base64url (RFC 7515, section 7.1). */
struct parts {
  const char *header, *claims, *signature;
  size_t header_len, claims_len, signature_len;
};

/* --- life --- */

static char *copy_or_null(const char *text, int *error) {
  char *copy = text ? strdup(text) : NULL;
  if (text && !copy) *error = CHAT_E_NOMEM;
  return copy;
}

static int options_copy(ch_auth_jwt *auth, const ch_auth_jwt_options *options) {
  int error = 0;
  auth->leeway_s = options->leeway_s;
  auth->issuer = copy_or_null(options->issuer, &error);
  auth->audience = copy_or_null(options->audience, &error);
  auth->specs = calloc(options->key_count + 1, sizeof *auth->specs);
  if (!auth->specs) return CHAT_E_NOMEM;
  for (; auth->spec_count < options->key_count; auth->spec_count++)
    auth->specs[auth->spec_count] = copy_or_null(options->keys[auth->spec_count], &error);
  return error;
}

static void why_set(char *why, size_t why_max, const char *text) {
  if (!why || why_max == 0) return;
  size_t len = strlen(text) < why_max ? strlen(text) : why_max - 1;
  memcpy(why, text, len);
  why[len] = '\0';
}

int ch_auth_jwt_new(const ch_auth_jwt_options *options, ch_auth_jwt **out, char *why, size_t why_max) {
  if (options->leeway_s < 0 || options->leeway_s > CH_AUTH_JWT_LEEWAY_MAX_S) {
    why_set(why, why_max, "the leeway is out of its bounds");
    return CHAT_E_INVALID;
  }
  ch_auth_jwt *auth = calloc(1, sizeof *auth);
  if (!auth) return CHAT_E_NOMEM;
  pthread_mutex_init(&auth->mutex, NULL);
  int error = options_copy(auth, options);
  if (error)
    why_set(why, why_max, "out of memory");
  else
    error = ch_jwt_keys_load(auth->specs, auth->spec_count, &auth->keys, why, why_max);
  if (error) {
    ch_auth_jwt_free(auth);
    return error;
  }
  *out = auth;
  return 0;
}

void ch_auth_jwt_free(ch_auth_jwt *auth) {
  if (!auth) return;
  ch_jwt_keys_free(auth->keys);
  for (size_t i = 0; i < auth->spec_count; i++)
    free((void *)auth->specs[i]);
  free(auth->specs);
  free(auth->issuer);
  free(auth->audience);
  pthread_mutex_destroy(&auth->mutex);
  free(auth);
}

/* --- the shared set of keys --- */

static ch_jwt_keys *keys_acquire(ch_auth_jwt *auth) {
  pthread_mutex_lock(&auth->mutex);
  ch_jwt_keys *keys = auth->keys;
  keys->refs++;
  pthread_mutex_unlock(&auth->mutex);
  return keys;
}

static void keys_release(ch_auth_jwt *auth, ch_jwt_keys *keys) {
  pthread_mutex_lock(&auth->mutex);
  bool last = --keys->refs == 0;
  pthread_mutex_unlock(&auth->mutex);
  if (last) ch_jwt_keys_free(keys);
}

int ch_auth_jwt_reload(ch_auth_jwt *auth, char *why, size_t why_max) {
  ch_jwt_keys *fresh = NULL;
  int error = ch_jwt_keys_load(auth->specs, auth->spec_count, &fresh, why, why_max);
  if (error) return error;
  pthread_mutex_lock(&auth->mutex);
  ch_jwt_keys *old = auth->keys;
  auth->keys = fresh;
  pthread_mutex_unlock(&auth->mutex);
  keys_release(auth, old);
  return 0;
}

/* --- reading: base64url, JSON --- */

static bool parts_split(const char *token, size_t token_len, struct parts *p) {
  const char *end = token + token_len;
  const char *first = memchr(token, '.', token_len);
  if (!first) return false;
  const char *second = memchr(first + 1, '.', (size_t)(end - first - 1));
  if (!second) return false;
  *p = (struct parts){.header = token, .header_len = (size_t)(first - token)};
  p->claims = first + 1;
  p->claims_len = (size_t)(second - p->claims);
  p->signature = second + 1;
  p->signature_len = (size_t)(end - p->signature);
  return p->header_len > 0 && p->claims_len > 0 && p->signature_len > 0;
}

/* Strict: no padding, no other characters, no bits left over, so that each byte string has exactly one spelling. */
static bool base64url_decode(const char *text, size_t text_len, unsigned char *out, size_t *len) {
  return sodium_base642bin(out, PART_LEN_MAX, text, text_len, NULL, len, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0;
}

/* A part as a JSON object, to be json_decref'ed. Duplicate members are refused: two readers could take different ones. */
static int object_decode(const char *text, size_t text_len, json_t **out) {
  unsigned char bytes[PART_LEN_MAX];
  size_t len = 0;
  json_error_t reason;
  if (!base64url_decode(text, text_len, bytes, &len)) return CHAT_E_AUTH;
  json_t *json = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, &reason);
  sodium_memzero(bytes, len);
  if (!json) return json_error_code(&reason) == json_error_out_of_memory ? CHAT_E_NOMEM : CHAT_E_AUTH;
  if (!json_is_object(json)) {
    json_decref(json);
    return CHAT_E_AUTH;
  }
  *out = json;
  return 0;
}

/* --- header and signature --- */

static const ch_jwt_key *key_choose(const ch_jwt_keys *keys, const json_t *header) {
  const json_t *kid = json_object_get(header, "kid");
  const char *alg = json_string_value(json_object_get(header, "alg"));
  if (!alg || json_object_get(header, "crit") || (kid && !json_is_string(kid))) return NULL;
  const ch_jwt_key *key = ch_jwt_keys_find(keys, json_string_value(kid));
  return key && strcmp(alg, ch_jwt_alg_name(key->alg)) == 0 ? key : NULL;
}

static int signature_check(const char *token, const ch_jwt_key *key) {
  static const jwt_alg_t alg[CH_JWT_ALG_COUNT] = {
      [CH_JWT_HS256] = JWT_ALG_HS256, [CH_JWT_RS256] = JWT_ALG_RS256, [CH_JWT_ES256] = JWT_ALG_ES256};
  jwt_t *jwt = NULL;
  int failed = jwt_decode(&jwt, token, key->bytes, (int)key->len);
  ERR_clear_error(); /* TLS on this thread would take a failed signature's entry in the queue for its own */
  if (failed) return failed == ENOMEM ? CHAT_E_NOMEM : CHAT_E_AUTH;
  bool pinned = jwt_get_alg(jwt) == alg[key->alg];
  jwt_free(jwt);
  return pinned ? 0 : CHAT_E_AUTH;
}

static bool signature_is_canonical(const struct parts *p) {
  unsigned char bytes[PART_LEN_MAX];
  size_t len;
  return base64url_decode(p->signature, p->signature_len, bytes, &len);
}

static int header_check(const ch_jwt_keys *keys, const char *token, const struct parts *p) {
  json_t *header = NULL;
  if (!signature_is_canonical(p)) return CHAT_E_AUTH;
  int error = object_decode(p->header, p->header_len, &header);
  if (error) return error;
  const ch_jwt_key *key = key_choose(keys, header);
  json_decref(header);
  return key ? signature_check(token, key) : CHAT_E_AUTH;
}

/* --- claims --- */

static bool text_equals(const json_t *value, const char *text) {
  return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static bool audience_matches(const json_t *aud, const char *audience) {
  if (!audience) return aud == NULL;
  if (!json_is_array(aud)) return text_equals(aud, audience);
  for (size_t i = 0; i < json_array_size(aud); i++)
    if (text_equals(json_array_get(aud, i), audience)) return true;
  return false;
}

/* NumericDate (RFC 7519, section 2): whole seconds rounded down, and whether a fraction was cut off. */
static bool date_parse(const json_t *value, int64_t *seconds, bool *fraction) {
  if (!json_is_number(value)) return false;
  double date = json_number_value(value);
  if (!(date >= 0 && date <= NUMERIC_DATE_MAX)) return false;
  *seconds = (int64_t)date;
  *fraction = (double)*seconds < date;
  return true;
}

static int time_check(const ch_auth_jwt *auth, const json_t *claims, int64_t now_s, int64_t *exp_s) {
  const json_t *nbf = json_object_get(claims, "nbf");
  int64_t nbf_s = 0;
  bool fraction = false;
  if (!date_parse(json_object_get(claims, "exp"), exp_s, &fraction)) return CHAT_E_AUTH;
  if (nbf && !date_parse(nbf, &nbf_s, &fraction)) return CHAT_E_AUTH;
  if (nbf && fraction) nbf_s++; /* a moment within a second has not come when the second begins */
  if (nbf && now_s < nbf_s - auth->leeway_s) return CHAT_E_EXPIRED;
  return now_s < *exp_s + auth->leeway_s ? 0 : CHAT_E_EXPIRED;
}

static bool user_parse(const json_t *sub, ch_auth_jwt_result *out) {
  if (!json_is_string(sub)) return false;
  ch_bytes id = ch_bytes_of(json_string_value(sub), json_string_length(sub));
  if (!ch_user_id_valid(id)) return false;
  memcpy(out->user_id, id.data, id.len);
  out->user_id_len = id.len;
  return true;
}

static bool device_parse(const json_t *device, ch_auth_jwt_result *out) {
  out->has_device = device != NULL;
  if (!device) return true;
  return json_is_string(device) &&
         ch_hex_decode(ch_bytes_of(json_string_value(device), json_string_length(device)), out->device_id, CHAT_DEVICE_ID_LEN);
}

/* Time comes last: EXPIRED tells a client to fetch a new token, which helps only if all else is right. */
static int claims_check(const ch_auth_jwt *auth, const json_t *claims, int64_t now_s, ch_auth_jwt_result *out) {
  if (auth->issuer && !text_equals(json_object_get(claims, "iss"), auth->issuer)) return CHAT_E_AUTH;
  if (!audience_matches(json_object_get(claims, "aud"), auth->audience)) return CHAT_E_AUTH;
  if (!user_parse(json_object_get(claims, "sub"), out)) return CHAT_E_AUTH;
  if (!device_parse(json_object_get(claims, "device"), out)) return CHAT_E_AUTH;
  return time_check(auth, claims, now_s, &out->exp_s);
}

static int token_check(const ch_auth_jwt *auth, const ch_jwt_keys *keys, const char *token, size_t token_len, int64_t now_s,
                       ch_auth_jwt_result *out) {
  struct parts p;
  json_t *claims = NULL;
  if (!parts_split(token, token_len, &p)) return CHAT_E_AUTH;
  int error = header_check(keys, token, &p);
  if (error) return error;
  error = object_decode(p.claims, p.claims_len, &claims);
  if (error) return error;
  error = claims_check(auth, claims, now_s, out);
  json_decref(claims);
  return error;
}

int ch_auth_jwt_verify(ch_auth_jwt *auth, const uint8_t *token, size_t token_len, int64_t now_s, ch_auth_jwt_result *out) {
  char text[CHAT_TOKEN_MAX + 1]; /* libjwt wants a C string; a NUL within is refused by the strict base64url */
  ch_auth_jwt_result result = {0};
  if (token_len == 0 || token_len > CHAT_TOKEN_MAX) return CHAT_E_AUTH;
  memcpy(text, token, token_len);
  text[token_len] = '\0';
  ch_jwt_keys *keys = keys_acquire(auth);
  int error = token_check(auth, keys, text, token_len, now_s, &result);
  keys_release(auth, keys);
  sodium_memzero(text, token_len);
  if (!error) *out = result;
  return error;
}
