/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens come from libjwt and from a small signer on OpenSSL that lets the test write any header; the signer is held to the printed
 * vector of RFC 7515, appendix A.1.
 */
#define _POSIX_C_SOURCE 200809L

#include <check.h>
#include <jwt.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/auth_jwt.h"

enum { NOW = 1700000000, TOKEN_MAX = 2 * CHAT_TOKEN_MAX };

#define SECRET      "an ASCII secret of more than 32 bytes"
#define HS_HEADER   "{\"alg\":\"HS256\",\"kid\":\"h\"}"
#define GOOD_CLAIMS "{\"sub\":\"alice\",\"exp\":1700000100}"

static char dir[] = "/tmp/test_auth_jwt.XXXXXX";
static char path_hs[64], path_rs[64], path_es[64];
static EVP_PKEY *rsa_key, *ec_key;
static char why[CH_AUTH_JWT_WHY_MAX];

/* --- files and keys --- */

static void file_write(const char *path, const void *bytes, size_t len) {
  FILE *f = fopen(path, "wb");
  if (!f || fwrite(bytes, 1, len, f) != len) abort(); /* also called before the first test, where check's asserts do not work */
  fclose(f);
}

static void pem_write(const char *path, EVP_PKEY *key) {
  FILE *f = fopen(path, "wb");
  if (!f || PEM_write_PUBKEY(f, key) != 1) abort();
  fclose(f);
}

static void path_in(char *out, const char *name) {
  snprintf(out, 64, "%s/%s", dir, name);
}

static void keys_make(void) {
  path_in(path_hs, "secret");
  path_in(path_rs, "rsa.pem");
  path_in(path_es, "ec.pem");
  rsa_key = EVP_RSA_gen(2048);
  ec_key = EVP_EC_gen("P-256");
  file_write(path_hs, SECRET, sizeof SECRET - 1);
  pem_write(path_rs, rsa_key);
  pem_write(path_es, ec_key);
}

/* --- a signer that signs whatever it is given --- */

static size_t b64(char *out, const void *bytes, size_t len) {
  sodium_bin2base64(out, sodium_base64_encoded_len(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING), bytes, len,
                    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  return strlen(out);
}

static void input_make(char *token, const char *header, const void *claims, size_t claims_len) {
  size_t len = b64(token, header, strlen(header));
  token[len++] = '.';
  b64(token + len, claims, claims_len);
}

static void signature_add(char *token, const unsigned char *sig, size_t len) {
  strcat(token, ".");
  b64(token + strlen(token), sig, len);
}

static void sign_hs(char *token, const char *header, const char *claims, const void *secret, size_t secret_len) {
  unsigned char mac[32];
  input_make(token, header, claims, strlen(claims));
  HMAC(EVP_sha256(), secret, (int)secret_len, (unsigned char *)token, strlen(token), mac, NULL);
  signature_add(token, mac, sizeof mac);
}

/* DER (two integers) to the 64 raw bytes that RFC 7518, section 3.4 asks for. */
static size_t ecdsa_raw(unsigned char *sig, size_t len) {
  const unsigned char *der = sig;
  ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
  BN_bn2binpad(ECDSA_SIG_get0_r(pair), sig, 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(pair), sig + 32, 32);
  ECDSA_SIG_free(pair);
  return 64;
}

static void sign_key(char *token, const char *header, const char *claims, EVP_PKEY *key) {
  unsigned char sig[1024];
  size_t len = sizeof sig;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  input_make(token, header, claims, strlen(claims));
  ck_assert_int_eq(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
  ck_assert_int_eq(EVP_DigestSign(ctx, sig, &len, (unsigned char *)token, strlen(token)), 1);
  EVP_MD_CTX_free(ctx);
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) len = ecdsa_raw(sig, len);
  signature_add(token, sig, len);
}

/* --- verifiers --- */

static ch_auth_jwt *auth_with(const char *const *keys, size_t count, const char *issuer, const char *audience, int64_t leeway_s) {
  ch_auth_jwt_options options = {.keys = keys, .key_count = count, .issuer = issuer, .audience = audience, .leeway_s = leeway_s};
  ch_auth_jwt *auth = NULL;
  ck_assert_msg(ch_auth_jwt_new(&options, &auth, why, sizeof why) == 0, "%s", why);
  ck_assert_str_eq(why, "");
  return auth;
}

static ch_auth_jwt *auth_one(const char *alg, const char *kid, const char *path) {
  char spec[256];
  const char *keys[] = {spec};
  snprintf(spec, sizeof spec, "%s:%s:%s", alg, kid, path);
  return auth_with(keys, 1, NULL, NULL, 0);
}

static ch_auth_jwt *auth_all(void) {
  char hs[128], rs[128], es[128];
  const char *keys[] = {hs, rs, es};
  snprintf(hs, sizeof hs, "hs256:h:%s", path_hs);
  snprintf(rs, sizeof rs, "rs256:r:%s", path_rs);
  snprintf(es, sizeof es, "es256:e:%s", path_es);
  return auth_with(keys, 3, NULL, NULL, 0);
}

static int verify_at(ch_auth_jwt *auth, const char *token, int64_t now_s, ch_auth_jwt_result *out) {
  size_t len = strlen(token);
  uint8_t *exact = malloc(len + 1); /* a block without spare room, so that the sanitizer sees a byte read too far */
  memcpy(exact, token, len);
  uint8_t *shrunk = realloc(exact, len ? len : 1);
  int error = ch_auth_jwt_verify(auth, shrunk, len, now_s, out);
  free(shrunk);
  return error;
}

static int verify(ch_auth_jwt *auth, const char *token) {
  ch_auth_jwt_result result;
  return verify_at(auth, token, NOW, &result);
}

static int verify_hs_claims(ch_auth_jwt *auth, const char *claims) {
  char token[TOKEN_MAX];
  sign_hs(token, HS_HEADER, claims, SECRET, sizeof SECRET - 1);
  return verify(auth, token);
}

/* --- RFC 7515, appendix A.1; it has no `sub`, so the signer is held to it, and then signs the same claims with one --- */

static const char rfc_a1_key[] = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
static const char rfc_a1_input[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
                                   "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
static const char rfc_a1_signature[] = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

static size_t rfc_a1_secret(unsigned char *out) {
  size_t len = 0;
  ck_assert_int_eq(sodium_base642bin(out, 64, rfc_a1_key, strlen(rfc_a1_key), NULL, &len, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                   0);
  return len;
}

/* The test's own signer must make the RFC's signature, or none of its tokens would mean anything. */
START_TEST(rfc7515_a1_signer) {
  unsigned char secret[64], mac[32];
  char text[TOKEN_MAX];
  size_t len = rfc_a1_secret(secret);
  HMAC(EVP_sha256(), secret, (int)len, (const unsigned char *)rfc_a1_input, strlen(rfc_a1_input), mac, NULL);
  b64(text, mac, sizeof mac);
  ck_assert_str_eq(text, rfc_a1_signature);
}
END_TEST

/* A.1's header (with its CR LF), key and claims, with a sub added: good in 2011, expired now. */
START_TEST(rfc7515_a1_adapted) {
  unsigned char secret[64];
  char path[64], token[TOKEN_MAX];
  ch_auth_jwt_result result;
  size_t len = rfc_a1_secret(secret);
  path_in(path, "rfc");
  file_write(path, secret, len);
  ch_auth_jwt *auth = auth_one("hs256", "any", path);
  snprintf(token, sizeof token, "%s.%s", rfc_a1_input, rfc_a1_signature);
  ck_assert_int_eq(verify_at(auth, token, 1300819379, &result), CHAT_E_AUTH); /* as printed: no sub */
  sign_hs(token, "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}",
          "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true,\"sub\":\"joe\"}", secret, len);
  ck_assert_int_eq(verify_at(auth, token, 1300819379, &result), 0);
  ck_assert_int_eq(verify_at(auth, token, 1300819380, &result), CHAT_E_EXPIRED);
  ck_assert_int_eq(verify_at(auth, token, NOW, &result), CHAT_E_EXPIRED);
  ck_assert_int_eq(result.exp_s, 1300819380); /* of the success: a failure writes nothing */
  ch_auth_jwt_free(auth);
}
END_TEST

/* --- what is accepted --- */

START_TEST(each_algorithm) {
  static const struct {
    const char *header;
    int key;
  } rows[] = {{HS_HEADER, 'h'}, {"{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"JWT\"}", 'r'}, {"{\"kid\":\"e\",\"alg\":\"ES256\"}", 'e'}};
  ch_auth_jwt *auth = auth_all();
  for (size_t i = 0; i < 3; i++) {
    char token[TOKEN_MAX];
    ch_auth_jwt_result result;
    if (rows[i].key == 'h')
      sign_hs(token, rows[i].header, GOOD_CLAIMS, SECRET, sizeof SECRET - 1);
    else
      sign_key(token, rows[i].header, GOOD_CLAIMS, rows[i].key == 'r' ? rsa_key : ec_key);
    ck_assert_int_eq(verify_at(auth, token, NOW, &result), 0);
    ck_assert_uint_eq(result.user_id_len, 5);
    ck_assert_mem_eq(result.user_id, "alice", 5);
    ck_assert(!result.has_device);
    ck_assert_int_eq(result.exp_s, 1700000100);
  }
  ch_auth_jwt_free(auth);
}
END_TEST

START_TEST(token_of_libjwt) {
  jwt_t *jwt = NULL;
  ch_auth_jwt *auth = auth_one("hs256", "h", path_hs);
  ck_assert_int_eq(jwt_new(&jwt), 0);
  jwt_add_grant(jwt, "sub", "bob");
  jwt_add_grant_int(jwt, "exp", NOW + 1);
  jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)SECRET, sizeof SECRET - 1);
  char *token = jwt_encode_str(jwt);
  ck_assert_int_eq(verify(auth, token), 0);
  free(token);
  jwt_free(jwt);
  ch_auth_jwt_free(auth);
}
END_TEST

START_TEST(device_claim) {
  ch_auth_jwt *auth = auth_one("hs256", "h", path_hs);
  char token[TOKEN_MAX];
  ch_auth_jwt_result result;
  sign_hs(token, HS_HEADER, "{\"sub\":\"a\",\"exp\":1700000100,\"device\":\"00112233445566778899aAbBcCdDeEfF\"}", SECRET,
          sizeof SECRET - 1);
  ck_assert_int_eq(verify_at(auth, token, NOW, &result), 0);
  ck_assert(result.has_device);
  for (int i = 0; i < CHAT_DEVICE_ID_LEN; i++)
    ck_assert_uint_eq(result.device_id[i], (unsigned)i * 0x11);
  static const char *const bad[] = {"\"\"",
                                    "\"0011\"",
                                    "\"00112233445566778899aabbccddeef\"",
                                    "\"00112233445566778899aabbccddeeff0\"",
                                    "\"0011223344556677-899aabbccddeeff\"",
                                    "\"g0112233445566778899aabbccddeeff\"",
                                    "7",
                                    "null"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char claims[256];
    snprintf(claims, sizeof claims, "{\"sub\":\"a\",\"exp\":1700000100,\"device\":%s}", bad[i]);
    ck_assert_msg(verify_hs_claims(auth, claims) == CHAT_E_AUTH, "device %s", bad[i]);
  }
  ch_auth_jwt_free(auth);
}
END_TEST

/* --- claims --- */

START_TEST(user_bounds) {
  ch_auth_jwt *auth = auth_one("hs256", "h", path_hs);
  char claims[512], name[CHAT_USER_ID_MAX + 2];
  for (size_t len = 0; len <= CHAT_USER_ID_MAX + 1; len++) {
    memset(name, 'u', len);
    name[len] = '\0';
    snprintf(claims, sizeof claims, "{\"sub\":\"%s\",\"exp\":1700000100}", name);
    ck_assert_int_eq(verify_hs_claims(auth, claims), len >= 1 && len <= CHAT_USER_ID_MAX ? 0 : CHAT_E_AUTH);
  }
  ck_assert_int_eq(verify_hs_claims(auth, "{\"sub\":\"\xc3\xa9\",\"exp\":1700000100}"), 0);
  ck_assert_int_eq(verify_hs_claims(auth, "{\"sub\":\"\xc3\",\"exp\":1700000100}"), CHAT_E_AUTH);
  ck_assert_int_eq(verify_hs_claims(auth, "{\"sub\":\"a\\u0000b\",\"exp\":1700000100}"), CHAT_E_AUTH);
  ck_assert_int_eq(verify_hs_claims(auth, "{\"sub\":\"a\\nb\",\"exp\":1700000100}"), CHAT_E_AUTH);
  ck_assert_int_eq(verify_hs_claims(auth, "{\"sub\":17,\"exp\":1700000100}"), CHAT_E_AUTH);
  ck_assert_int_eq(verify_hs_claims(auth, "{\"exp\":1700000100}"), CHAT_E_AUTH);
  ch_auth_jwt_free(auth);
}
END_TEST

START_TEST(malformed_claims) {
  static const char *const bad[] = {"",
                                    "x",
                                    "[]",
                                    "17",
                                    "{\"sub\":\"a\",\"exp\":1700000100",
                                    "{\"sub\":\"a\",\"exp\":1700000100}{}",
                                    "{\"sub\":\"a\",\"sub\":\"b\",\"exp\":1700000100}",
                                    "{\"sub\":\"a\"}",
                                    "{\"sub\":\"a\",\"exp\":\"1700000100\"}",
                                    "{\"sub\":\"a\",\"exp\":-1}",
                                    "{\"sub\":\"a\",\"exp\":1e300}",
                                    "{\"sub\":\"a\",\"exp\":9223372036854775807}",
                                    "{\"sub\":\"a\",\"exp\":99999999999999999999}",
                                    "{\"sub\":\"a\",\"exp\":null}",
                                    "{\"sub\":\"a\",\"exp\":1700000100,\"nbf\":\"0\"}",
                                    "{\"sub\":\"a\",\"exp\":1700000100,\"nbf\":-5}"};
  ch_auth_jwt *auth = auth_one("hs256", "h", path_hs);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(verify_hs_claims(auth, bad[i]) == CHAT_E_AUTH, "claims %s", bad[i]);
  ch_auth_jwt_free(auth);
}
END_TEST

static int verify_times(ch_auth_jwt *auth, const char *times, int64_t now_s) {
  char claims[256], token[TOKEN_MAX];
  ch_auth_jwt_result result;
  snprintf(claims, sizeof claims, "{\"sub\":\"a\",%s}", times);
  sign_hs(token, HS_HEADER, claims, SECRET, sizeof SECRET - 1);
  return verify_at(auth, token, now_s, &result);
}

START_TEST(time_without_leeway) {
  ch_auth_jwt *auth = auth_one("hs256", "h", path_hs);
  ck_assert_int_eq(verify_times(auth, "\"nbf\":1000,\"exp\":2000", 999), CHAT_E_EXPIRED);
  ck_assert_int_eq(verify_times(auth, "\"nbf\":1000,\"exp\":2000", 1000), 0);
  ck_assert_int_eq(verify_times(auth, "\"nbf\":1000,\"exp\":2000", 1999), 0);
  ck_assert_int_eq(verify_times(auth, "\"nbf\":1000,\"exp\":2000", 2000), CHAT_E_EXPIRED);
  ck_assert_int_eq(verify_times(auth, "\"nbf\":1000.5,\"exp\":2000.5", 1000), CHAT_E_EXPIRED);
  ck_assert_int_eq(verify_times(auth, "\"nbf\":1000.5,\"exp\":2000.5", 1001), 0);
  ck_assert_int_eq(verify_times(auth, "\"nbf\":1000,\"exp\":2000.5", 1000), 0); /* exp's fraction is not nbf's */
  ck_assert_int_eq(verify_times(auth, "\"nbf\":1000.5,\"exp\":2000.5", 2000), CHAT_E_EXPIRED);
  ck_assert_int_eq(verify_times(auth, "\"exp\":0", 0), CHAT_E_EXPIRED);
  ck_assert_int_eq(verify_times(auth, "\"exp\":9007199254740992", INT64_MIN + 400), 0);
  ck_assert_int_eq(verify_times(auth, "\"exp\":9007199254740992", INT64_MAX), CHAT_E_EXPIRED);
  ch_auth_jwt_free(auth);
}
END_TEST

START_TEST(time_with_leeway) {
  char spec[128];
  const char *keys[] = {spec};
  snprintf(spec, sizeof spec, "hs256:h:%s", path_hs);
  ch_auth_jwt *auth = auth_with(keys, 1, NULL, NULL, 30);
  ck_assert_int_eq(verify_times(auth, "\"nbf\":1000,\"exp\":2000", 969), CHAT_E_EXPIRED);
  ck_assert_int_eq(verify_times(auth, "\"nbf\":1000,\"exp\":2000", 970), 0);
  ck_assert_int_eq(verify_times(auth, "\"nbf\":1000,\"exp\":2000", 2029), 0);
  ck_assert_int_eq(verify_times(auth, "\"nbf\":1000,\"exp\":2000", 2030), CHAT_E_EXPIRED);
  ch_auth_jwt_free(auth);
}
END_TEST

START_TEST(issuer_and_audience) {
  static const struct {
    const char *claims;
    int error;
  } rows[] = {
      {"\"iss\":\"me\",\"aud\":\"chat\"", 0},
      {"\"iss\":\"me\",\"aud\":[\"mail\",\"chat\"]", 0},
      {"\"iss\":\"me\",\"aud\":[\"mail\"]", CHAT_E_AUTH},
      {"\"iss\":\"me\",\"aud\":[]", CHAT_E_AUTH},
      {"\"iss\":\"me\",\"aud\":[[\"chat\"],7]", CHAT_E_AUTH},
      {"\"iss\":\"me\",\"aud\":{\"chat\":true}", CHAT_E_AUTH},
      {"\"iss\":\"me\",\"aud\":\"chat2\"", CHAT_E_AUTH},
      {"\"iss\":\"me\"", CHAT_E_AUTH},
      {"\"iss\":\"Me\",\"aud\":\"chat\"", CHAT_E_AUTH},
      {"\"iss\":[\"me\"],\"aud\":\"chat\"", CHAT_E_AUTH},
      {"\"aud\":\"chat\"", CHAT_E_AUTH},
      {"\"iss\":\"you\",\"aud\":\"chat\",\"nbf\":1800000000", CHAT_E_AUTH}, /* AUTH before EXPIRED */
  };
  char spec[128], claims[256];
  const char *keys[] = {spec};
  snprintf(spec, sizeof spec, "hs256:h:%s", path_hs);
  ch_auth_jwt *auth = auth_with(keys, 1, "me", "chat", 0);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    snprintf(claims, sizeof claims, "{\"sub\":\"a\",\"exp\":1700000100,%s}", rows[i].claims);
    ck_assert_msg(verify_hs_claims(auth, claims) == rows[i].error, "%s", claims);
  }
  ch_auth_jwt_free(auth);
}
END_TEST

START_TEST(audience_of_somebody_else) {
  ch_auth_jwt *auth = auth_one("hs256", "h", path_hs);
  ck_assert_int_eq(verify_hs_claims(auth, "{\"sub\":\"a\",\"exp\":1700000100,\"iss\":\"anybody\"}"), 0);
  ck_assert_int_eq(verify_hs_claims(auth, "{\"sub\":\"a\",\"exp\":1700000100,\"aud\":\"mail\"}"), CHAT_E_AUTH);
  ch_auth_jwt_free(auth);
}
END_TEST

/* --- header, key choice --- */

START_TEST(header_rules) {
  static const struct {
    const char *header;
    int error;
  } rows[] = {
      {"{\"alg\":\"HS256\",\"kid\":\"h\"}", 0},
      {"{\"alg\":\"HS256\",\"kid\":\"h\",\"typ\":\"JWT\"}", 0},
      {"{\"alg\":\"HS256\",\"kid\":\"h\",\"typ\":\"JOSE\"}", CHAT_E_AUTH},
      {"{\"alg\":\"HS256\",\"kid\":\"h\",\"crit\":[\"b64\"],\"b64\":false}", CHAT_E_AUTH},
      {"{\"alg\":\"hs256\",\"kid\":\"h\"}", CHAT_E_AUTH},
      {"{\"alg\":\"HS384\",\"kid\":\"h\"}", CHAT_E_AUTH},
      {"{\"alg\":\"RS256\",\"kid\":\"h\"}", CHAT_E_AUTH},
      {"{\"alg\":\"none\",\"kid\":\"h\"}", CHAT_E_AUTH},
      {"{\"alg\":\"HS256\",\"alg\":\"HS256\",\"kid\":\"h\"}", CHAT_E_AUTH},
      {"{\"alg\":[\"HS256\"],\"kid\":\"h\"}", CHAT_E_AUTH},
      {"{\"kid\":\"h\"}", CHAT_E_AUTH},
      {"{\"alg\":\"HS256\",\"kid\":\"H\"}", CHAT_E_AUTH},
      {"{\"alg\":\"HS256\",\"kid\":\"\"}", CHAT_E_AUTH},
      {"{\"alg\":\"HS256\",\"kid\":7}", CHAT_E_AUTH},
      {"{\"alg\":\"HS256\",\"kid\":null}", CHAT_E_AUTH},
      {"{\"alg\":\"HS256\"}", CHAT_E_AUTH}, /* three keys: no guess */
      {"[]", CHAT_E_AUTH},
      {"\"HS256\"", CHAT_E_AUTH},
  };
  ch_auth_jwt *auth = auth_all();
  char token[TOKEN_MAX];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    sign_hs(token, rows[i].header, GOOD_CLAIMS, SECRET, sizeof SECRET - 1);
    ck_assert_msg(verify(auth, token) == rows[i].error, "%s", rows[i].header);
  }
  ch_auth_jwt_free(auth);
}
END_TEST

START_TEST(no_kid_with_one_key) {
  char token[TOKEN_MAX];
  ch_auth_jwt *auth = auth_one("es256", "e", path_es);
  sign_key(token, "{\"alg\":\"ES256\"}", GOOD_CLAIMS, ec_key);
  ck_assert_int_eq(verify(auth, token), 0);
  sign_key(token, "{\"alg\":\"ES256\",\"kid\":\"other\"}", GOOD_CLAIMS, ec_key);
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH);
  sign_key(token, "{\"alg\":\"ES256\",\"kid\":7}", GOOD_CLAIMS, ec_key);
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH);
  ch_auth_jwt_free(auth);
}
END_TEST

/* An HMAC whose secret is the text of the public key, which everybody has. */
START_TEST(public_key_as_secret) {
  char token[TOKEN_MAX], pem[4096];
  FILE *f = fopen(path_rs, "rb");
  size_t len = fread(pem, 1, sizeof pem, f);
  fclose(f);
  ch_auth_jwt *auth = auth_one("rs256", "r", path_rs);
  sign_hs(token, "{\"alg\":\"HS256\",\"kid\":\"r\"}", GOOD_CLAIMS, pem, len);
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH);
  sign_hs(token, "{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD_CLAIMS, pem, len);
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH);
  ch_auth_jwt_free(auth);
}
END_TEST

START_TEST(signatures_of_others) {
  char token[TOKEN_MAX];
  EVP_PKEY *stranger_rsa = EVP_RSA_gen(2048), *stranger_ec = EVP_EC_gen("P-256");
  ch_auth_jwt *auth = auth_all();
  sign_hs(token, HS_HEADER, GOOD_CLAIMS, "another secret of at least 32 bytes", 35);
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH);
  sign_key(token, "{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD_CLAIMS, stranger_rsa);
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH);
  sign_key(token, "{\"alg\":\"ES256\",\"kid\":\"e\"}", GOOD_CLAIMS, stranger_ec);
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH);
  sign_key(token, "{\"alg\":\"ES256\",\"kid\":\"e\"}", GOOD_CLAIMS, rsa_key);
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH);
  input_make(token, "{\"alg\":\"ES256\",\"kid\":\"e\"}", GOOD_CLAIMS, strlen(GOOD_CLAIMS));
  signature_add(token, (const unsigned char[64]){0}, 64); /* r = s = 0 (CVE-2022-21449) */
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH);
  EVP_PKEY_free(stranger_rsa);
  EVP_PKEY_free(stranger_ec);
  ch_auth_jwt_free(auth);
}
END_TEST

/* TLS runs on the same threads, and takes an error that somebody else left in OpenSSL's queue for its own. */
START_TEST(openssl_queue_is_left_empty) {
  char token[TOKEN_MAX];
  EVP_PKEY *stranger = EVP_RSA_gen(2048);
  ch_auth_jwt *auth = auth_all();
  sign_key(token, "{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD_CLAIMS, stranger);
  EVP_PKEY_free(stranger);
  ERR_clear_error();
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH);
  ck_assert_uint_eq(ERR_peek_error(), 0);
  char spec[128];
  const char *keys[] = {spec};
  ch_auth_jwt_options options = {.keys = keys, .key_count = 1};
  ch_auth_jwt *none = NULL;
  snprintf(spec, sizeof spec, "rs256:k:%s", path_hs);
  ck_assert_int_eq(ch_auth_jwt_new(&options, &none, why, sizeof why), CHAT_E_INVALID);
  ck_assert_uint_eq(ERR_peek_error(), 0);
  ch_auth_jwt_free(auth);
}
END_TEST

/* --- the token as bytes --- */

START_TEST(shapes) {
  static const char *const bad[] = {
      "", ".", "..", "...", "a", "a.b", "a.b.c", "e30.e30.", "e30..e30", ".e30.e30", "e30.e30.e30.e30", "e30=.e30.e30"};
  ch_auth_jwt *auth = auth_one("hs256", "h", path_hs);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(verify(auth, bad[i]) == CHAT_E_AUTH, "%s", bad[i]);
  char token[TOKEN_MAX];
  sign_hs(token, "{\"alg\":\"none\"}", GOOD_CLAIMS, SECRET, sizeof SECRET - 1);
  strrchr(token, '.')[1] = '\0'; /* unsecured, RFC 7515 A.5 */
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH);
  ch_auth_jwt_free(auth);
}
END_TEST

static void sized_token(char *token, size_t pad) {
  char claims[CHAT_TOKEN_MAX];
  snprintf(claims, sizeof claims, "{\"sub\":\"a\",\"exp\":1700000100,\"pad\":\"%0*d\"}", (int)pad, 0);
  sign_hs(token, HS_HEADER, claims, SECRET, sizeof SECRET - 1);
}

START_TEST(size_cap) {
  ch_auth_jwt *auth = auth_one("hs256", "h", path_hs);
  char token[TOKEN_MAX];
  size_t pad = 1;
  for (sized_token(token, pad); strlen(token) < CHAT_TOKEN_MAX - 1; sized_token(token, pad))
    pad++;
  ck_assert_uint_le(strlen(token), CHAT_TOKEN_MAX);
  ck_assert_int_eq(verify(auth, token), 0);
  do
    sized_token(token, ++pad);
  while (strlen(token) <= CHAT_TOKEN_MAX);
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH);
  ch_auth_jwt_free(auth);
}
END_TEST

/* At every position every `step`th other byte; a base64url letter whose unused bits differ would pass a lenient reader. */
static void tamper_all(ch_auth_jwt *auth, char *token, unsigned step) {
  ch_auth_jwt_result result;
  size_t len = strlen(token);
  ck_assert_int_eq(verify(auth, token), 0);
  for (size_t i = 0; i < len; i++) {
    char good = token[i];
    for (unsigned d = 1; d < 256; d += step) {
      token[i] = (char)((unsigned char)good ^ d);
      int error = ch_auth_jwt_verify(auth, (const uint8_t *)token, len, NOW, &result);
      ck_assert_msg(error == CHAT_E_AUTH, "byte %zu ^ %u gave %d", i, d, error);
    }
    token[i] = good;
  }
}

START_TEST(tampered_hs256) {
  char token[TOKEN_MAX];
  ch_auth_jwt *auth = auth_all();
  sign_hs(token, HS_HEADER, GOOD_CLAIMS, SECRET, sizeof SECRET - 1);
  tamper_all(auth, token, 3);
  ch_auth_jwt_free(auth);
}
END_TEST

START_TEST(tampered_public_keys) {
  char token[TOKEN_MAX];
  ch_auth_jwt *auth = auth_all();
  sign_key(token, "{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD_CLAIMS, rsa_key);
  tamper_all(auth, token, 29);
  sign_key(token, "{\"alg\":\"ES256\",\"kid\":\"e\"}", GOOD_CLAIMS, ec_key);
  tamper_all(auth, token, 29);
  ch_auth_jwt_free(auth);
}
END_TEST

/* The last letter of a 32-byte signature has two bits that carry nothing: its four spellings decode alike, one is right. */
START_TEST(one_spelling) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  char token[TOKEN_MAX];
  int accepted = 0;
  ch_auth_jwt *auth = auth_all();
  sign_key(token, "{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD_CLAIMS, rsa_key);
  char *last = token + strlen(token) - 1;
  for (const char *p = letters; *p; p++) {
    *last = *p;
    accepted += verify(auth, token) == 0;
  }
  ck_assert_int_eq(accepted, 1);
  sign_key(token, "{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD_CLAIMS, rsa_key);
  strcat(token, "==");
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH);
  ch_auth_jwt_free(auth);
}
END_TEST

START_TEST(truncated) {
  char token[TOKEN_MAX];
  ch_auth_jwt_result result;
  ch_auth_jwt *auth = auth_all();
  sign_key(token, "{\"alg\":\"ES256\",\"kid\":\"e\"}", GOOD_CLAIMS, ec_key);
  for (size_t len = 0; len < strlen(token); len++)
    ck_assert_int_eq(ch_auth_jwt_verify(auth, (const uint8_t *)token, len, NOW, &result), CHAT_E_AUTH);
  size_t len = strlen(token);
  ck_assert_int_eq(ch_auth_jwt_verify(auth, (const uint8_t *)token, len + 1, NOW, &result), CHAT_E_AUTH); /* with its NUL */
  ch_auth_jwt_free(auth);
}
END_TEST

/* --- loading --- */

static int load(const char *spec, const char *spec2) {
  const char *keys[] = {spec, spec2};
  ch_auth_jwt_options options = {.keys = keys, .key_count = spec2 ? 2 : spec ? 1 : 0};
  ch_auth_jwt *auth = NULL;
  int error = ch_auth_jwt_new(&options, &auth, why, sizeof why);
  ck_assert(error ? auth == NULL && why[0] != '\0' : why[0] == '\0');
  ch_auth_jwt_free(auth);
  return error;
}

static int load_file(const char *alg, const char *name, const void *bytes, size_t len) {
  char path[64], spec[128];
  path_in(path, name);
  file_write(path, bytes, len);
  snprintf(spec, sizeof spec, "%s:k:%s", alg, path);
  int error = load(spec, NULL);
  if (error) ck_assert_msg(strstr(why, path), "why does not name the file: %s", why);
  return error;
}

START_TEST(bad_specs) {
  static const char *const bad[] = {
      "", "hs256", "hs256:k", "hs512:k:/dev/null", "HS256:k:/dev/null", "none:k:/dev/null", "hs256::/dev/null", "hs256:k:/dev/null"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(load(bad[i], NULL) == CHAT_E_INVALID, "%s", bad[i]);
  ck_assert_int_eq(load(NULL, NULL), CHAT_E_INVALID);
  ck_assert_int_eq(load("hs256:k:/nonexistent/secret", NULL), CHAT_E_IO);
  ck_assert_str_eq(why, "/nonexistent/secret: not found");
  ck_assert_int_eq(load("hs256:k:/tmp", NULL), CHAT_E_IO);
  ck_assert_int_eq(load("dir:/nonexistent", NULL), CHAT_E_IO);
  ck_assert_int_eq(load("oops-the-secret-itself", NULL), CHAT_E_INVALID);
  ck_assert_ptr_null(strstr(why, "oops"));
}
END_TEST

START_TEST(bad_options) {
  ch_auth_jwt *auth = NULL;
  ch_auth_jwt_options options = {.leeway_s = CH_AUTH_JWT_LEEWAY_MAX_S + 1};
  ck_assert_int_eq(ch_auth_jwt_new(&options, &auth, why, sizeof why), CHAT_E_INVALID);
  options.leeway_s = -1;
  ck_assert_int_eq(ch_auth_jwt_new(&options, &auth, why, 4), CHAT_E_INVALID);
  ck_assert_str_eq(why, "the"); /* cut, not overrun */
  ck_assert_int_eq(ch_auth_jwt_new(&options, &auth, NULL, 0), CHAT_E_INVALID);
  ch_auth_jwt_free(NULL);
}
END_TEST

START_TEST(kid_bounds) {
  char kid[130], spec[256], twin[128];
  memset(kid, 'k', 129);
  kid[129] = '\0';
  snprintf(spec, sizeof spec, "hs256:%s:%s", kid, path_hs);
  ck_assert_int_eq(load(spec, NULL), CHAT_E_INVALID);
  snprintf(spec, sizeof spec, "hs256:%s:%s", kid + 1, path_hs);
  ck_assert_int_eq(load(spec, NULL), 0);
  snprintf(spec, sizeof spec, "hs256:k:%s", path_hs);
  snprintf(twin, sizeof twin, "rs256:k:%s", path_rs);
  ck_assert_int_eq(load(spec, twin), CHAT_E_INVALID);
  ck_assert_ptr_nonnull(strstr(why, path_rs));
}
END_TEST

START_TEST(secret_files) {
  unsigned char bytes[20000];
  memset(bytes, 'x', sizeof bytes);
  ck_assert_int_eq(load_file("hs256", "s31", bytes, 31), CHAT_E_INVALID);
  ck_assert_int_eq(load_file("hs256", "s32", bytes, 32), 0);
  ck_assert_int_eq(load_file("hs256", "s16k", bytes, 16384), 0);
  ck_assert_int_eq(load_file("hs256", "s16k1", bytes, 16385), CHAT_E_INVALID);
  bytes[31] = '\n';
  ck_assert_int_eq(load_file("hs256", "nl", bytes, 32), CHAT_E_INVALID); /* 31 and a newline */
  bytes[0] = 0x80;
  ck_assert_int_eq(load_file("hs256", "bin", bytes, 32), 0); /* binary: the newline counts */
  FILE *f = fopen(path_rs, "rb");
  size_t len = fread(bytes, 1, sizeof bytes, f);
  fclose(f);
  ck_assert_int_eq(load_file("hs256", "pem", bytes, len), CHAT_E_INVALID);
}
END_TEST

START_TEST(secret_newline) {
  char path[64];
  path_in(path, "line");
  file_write(path, SECRET "\n", sizeof SECRET);
  ch_auth_jwt *auth = auth_one("hs256", "h", path);
  ck_assert_int_eq(verify_hs_claims(auth, GOOD_CLAIMS), 0);
  ch_auth_jwt_free(auth);
}
END_TEST

static int load_key(const char *alg, const char *name, EVP_PKEY *key) {
  char path[64], spec[128];
  path_in(path, name);
  pem_write(path, key);
  EVP_PKEY_free(key);
  snprintf(spec, sizeof spec, "%s:k:%s", alg, path);
  return load(spec, NULL);
}

static EVP_PKEY *rsa_pss_gen(void) {
  EVP_PKEY *key = NULL;
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA_PSS, NULL);
  ck_assert(EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) == 1 && EVP_PKEY_keygen(ctx, &key) == 1);
  EVP_PKEY_CTX_free(ctx);
  return key;
}

START_TEST(public_key_files) {
  char path[64], spec[128];
  ck_assert_int_eq(load_key("rs256", "rpss", rsa_pss_gen()), CHAT_E_INVALID);
  ck_assert_int_eq(load_key("rs256", "r1024", EVP_RSA_gen(1024)), CHAT_E_INVALID);
  ck_assert_int_eq(load_key("rs256", "rec", EVP_EC_gen("P-256")), CHAT_E_INVALID);
  ck_assert_int_eq(load_key("es256", "e384", EVP_EC_gen("P-384")), CHAT_E_INVALID);
  ck_assert_int_eq(load_key("es256", "ek1", EVP_EC_gen("secp256k1")), CHAT_E_INVALID);
  ck_assert_int_eq(load_key("es256", "ersa", EVP_RSA_gen(2048)), CHAT_E_INVALID);
  ck_assert_int_eq(load_file("rs256", "junk", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 57), CHAT_E_INVALID);
  ck_assert_int_eq(load_file("es256", "empty", "", 0), CHAT_E_INVALID);
  path_in(path, "private");
  FILE *f = fopen(path, "wb");
  PEM_write_PrivateKey(f, rsa_key, NULL, NULL, 0, NULL, NULL);
  fclose(f);
  snprintf(spec, sizeof spec, "rs256:k:%s", path);
  ck_assert_int_eq(load(spec, NULL), CHAT_E_INVALID); /* the server has no business with it */
}
END_TEST

/* --- reload --- */

START_TEST(reload_swaps_all_or_nothing) {
  char path[64], spec[80], token[TOKEN_MAX], other[TOKEN_MAX];
  const char *keys[] = {spec};
  path_in(path, "folder");
  mkdir(path, 0700);
  snprintf(spec, sizeof spec, "dir:%s", path);
  path_in(path, "folder/a.b.hs256");
  file_write(path, SECRET, sizeof SECRET - 1);
  path_in(path, "folder/.ignored");
  file_write(path, "", 0);
  sign_hs(token, "{\"alg\":\"HS256\",\"kid\":\"a.b\"}", GOOD_CLAIMS, SECRET, sizeof SECRET - 1);
  sign_key(other, "{\"alg\":\"ES256\",\"kid\":\"new\"}", GOOD_CLAIMS, ec_key);
  ch_auth_jwt *auth = auth_with(keys, 1, NULL, NULL, 0);
  ck_assert_int_eq(verify(auth, token), 0);
  ck_assert_int_eq(verify(auth, other), CHAT_E_AUTH);

  path_in(path, "folder/new.es256");
  file_write(path, "not a key", 9);
  ck_assert_int_eq(ch_auth_jwt_reload(auth, why, sizeof why), CHAT_E_INVALID);
  ck_assert_msg(strstr(why, path) && strstr(why, "no PEM public key"), "%s", why);
  ck_assert_int_eq(verify(auth, token), 0); /* the old set still serves */
  ck_assert_int_eq(verify(auth, other), CHAT_E_AUTH);

  pem_write(path, ec_key);
  ck_assert_int_eq(ch_auth_jwt_reload(auth, why, sizeof why), 0);
  ck_assert_str_eq(why, "");
  ck_assert_int_eq(verify(auth, token), 0);
  ck_assert_int_eq(verify(auth, other), 0);

  path_in(path, "folder/a.b.hs256");
  unlink(path);
  ck_assert_int_eq(ch_auth_jwt_reload(auth, NULL, 0), 0);
  ck_assert_int_eq(verify(auth, token), CHAT_E_AUTH); /* a key that was taken away is gone */
  ck_assert_int_eq(verify(auth, other), 0);

  path_in(path, "folder/README");
  file_write(path, "", 0);
  ck_assert_int_eq(ch_auth_jwt_reload(auth, why, sizeof why), CHAT_E_INVALID);
  ch_auth_jwt_free(auth);
}
END_TEST

struct reader {
  ch_auth_jwt *auth;
  const char *token;
  int failures;
};

static void *read_often(void *arg) {
  struct reader *r = arg;
  ch_auth_jwt_result result;
  for (int i = 0; i < 500; i++)
    r->failures += ch_auth_jwt_verify(r->auth, (const uint8_t *)r->token, strlen(r->token), NOW, &result) != 0;
  return NULL;
}

/* The sanitizers are the judge: a set that is freed under a reader shows there. */
START_TEST(reload_beside_readers) {
  char token[TOKEN_MAX];
  pthread_t threads[3];
  struct reader readers[3];
  ch_auth_jwt *auth = auth_all();
  sign_hs(token, HS_HEADER, GOOD_CLAIMS, SECRET, sizeof SECRET - 1);
  for (int i = 0; i < 3; i++) {
    readers[i] = (struct reader){.auth = auth, .token = token};
    ck_assert_int_eq(pthread_create(&threads[i], NULL, read_often, &readers[i]), 0);
  }
  for (int i = 0; i < 50; i++)
    ck_assert_int_eq(ch_auth_jwt_reload(auth, why, sizeof why), 0);
  for (int i = 0; i < 3; i++) {
    pthread_join(threads[i], NULL);
    ck_assert_int_eq(readers[i].failures, 0);
  }
  ch_auth_jwt_free(auth);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("auth_jwt");
  TCase *t = tcase_create("all");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, rfc7515_a1_signer);
  tcase_add_test(t, rfc7515_a1_adapted);
  tcase_add_test(t, each_algorithm);
  tcase_add_test(t, token_of_libjwt);
  tcase_add_test(t, device_claim);
  tcase_add_test(t, user_bounds);
  tcase_add_test(t, malformed_claims);
  tcase_add_test(t, time_without_leeway);
  tcase_add_test(t, time_with_leeway);
  tcase_add_test(t, issuer_and_audience);
  tcase_add_test(t, audience_of_somebody_else);
  tcase_add_test(t, header_rules);
  tcase_add_test(t, no_kid_with_one_key);
  tcase_add_test(t, public_key_as_secret);
  tcase_add_test(t, signatures_of_others);
  tcase_add_test(t, openssl_queue_is_left_empty);
  tcase_add_test(t, shapes);
  tcase_add_test(t, size_cap);
  tcase_add_test(t, tampered_hs256);
  tcase_add_test(t, tampered_public_keys);
  tcase_add_test(t, one_spelling);
  tcase_add_test(t, truncated);
  tcase_add_test(t, bad_specs);
  tcase_add_test(t, bad_options);
  tcase_add_test(t, kid_bounds);
  tcase_add_test(t, secret_files);
  tcase_add_test(t, secret_newline);
  tcase_add_test(t, public_key_files);
  tcase_add_test(t, reload_swaps_all_or_nothing);
  tcase_add_test(t, reload_beside_readers);
  suite_add_tcase(s, t);
  return s;
}

static void dir_remove(void) {
  char command[80];
  snprintf(command, sizeof command, "rm -rf %s", dir);
  if (system(command) != 0) perror(command);
}

int main(void) {
  if (sodium_init() < 0 || !mkdtemp(dir)) return EXIT_FAILURE;
  keys_make();
  SRunner *runner = srunner_create(suite());
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  EVP_PKEY_free(rsa_key);
  EVP_PKEY_free(ec_key);
  dir_remove();
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
