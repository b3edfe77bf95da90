/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of any form for a set of keys of all three algorithms, of which only the secret's signatures can be made here. Whatever comes: a token that is taken, or is refused only
 * for its time, bears the secret's MAC over the very bytes that were looked at, and what is given back is within its bounds.
 *
 * Input: what to do (a byte: 0 the rest is the token; 1 header and claims in JSON, to be signed; 2 the same, and the token's bytes are changed afterwards), then its pieces.
 */
#define _POSIX_C_SOURCE 200809L

#include <openssl/hmac.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/auth_jwt.h"
#include "fuzz/fuzz.h"

enum { NOW_S = 1700000000, LEEWAY_S = 30, TOKEN_ROOM = 4 * CHAT_TOKEN_MAX, MAC_LEN = 32 };

#define SECRET "an ASCII secret of more than 32 bytes"

/* Of pairs made for this; the private halves are gone. */
static const char ec_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                             "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAECEAk5VPfhZUDtPjcqpKJeVUV5/M+\n"
                             "kjopFicNAG240NiTWPOvDtCgcjb/KRIR+13kFWmiFl+xqN/MFj7R46C2sQ==\n"
                             "-----END PUBLIC KEY-----\n";
static const char rsa_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                              "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwBJcKT6jrGKDIX/3DptU\n"
                              "BdZr6XAlGO3M2XAOlWMyeHpVRdvgLldbsKwHVuRGbCeVfDbhKLa9+QR0uR3L3l89\n"
                              "jxtIwSWvjbkRattcddNNMfwPzdPKCgbD4g8isjqYmDiYVZp8RwkH5YBM7+FRG1oi\n"
                              "w5Tt5QYfufq0jwJTVl34E7VnIKSpt5I3C0OFTXtzY4fv8OUfj/fK9TCDZQhOY6jB\n"
                              "Lg89ZwA+bYbCUY7MA/qr3FaZiGkXcYVg3FouP7RR269KGDL1ozn5I6yTKgTkHHxr\n"
                              "J+NebLtY6pM+nOtCUfwK0KFs60+52CDE1Cr4cAuknMFPpFRh84BBwL5jsgl+TwsD\n"
                              "DwIDAQAB\n"
                              "-----END PUBLIC KEY-----\n";

static ch_auth_jwt *plain, *strict;

/* --- keys --- */

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "wb");
  ch_assert(file != NULL);
  ch_assert(fputs(text, file) >= 0);
  ch_assert(fclose(file) == 0);
}

static ch_auth_jwt *load(const char *folder, const char *issuer, const char *audience) {
  char dir[64], why[CH_AUTH_JWT_WHY_MAX];
  snprintf(dir, sizeof dir, "dir:%s", folder);
  const char *const keys[] = {dir};
  ch_auth_jwt *auth;
  ch_auth_jwt_options options = {.keys = keys, .key_count = 1, .issuer = issuer, .audience = audience, .leeway_s = LEEWAY_S};
  ch_assert(ch_auth_jwt_new(&options, &auth, why, sizeof why) == 0);
  return auth;
}

static void forget(void) {
  ch_auth_jwt_free(plain);
  ch_auth_jwt_free(strict);
}

static void load_keys(void) {
  char folder[] = "/tmp/fuzz_jwt.XXXXXX", secret[64], ec[64], rsa[64];
  ch_assert(mkdtemp(folder) != NULL);
  snprintf(secret, sizeof secret, "%s/h.hs256", folder);
  snprintf(ec, sizeof ec, "%s/e.es256", folder);
  write_file(secret, SECRET);
  snprintf(rsa, sizeof rsa, "%s/r.rs256", folder);
  write_file(ec, ec_pem);
  write_file(rsa, rsa_pem);
  plain = load(folder, NULL, NULL);
  strict = load(folder, "https://issuer.example", "chat");
  unlink(secret);
  unlink(ec);
  unlink(rsa);
  rmdir(folder);
  atexit(forget);
}

/* --- tokens --- */

static size_t put_part(char *out, chat_bytes bytes) {
  sodium_bin2base64(out, sodium_base64_encoded_len(bytes.len, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                    bytes.data ? bytes.data : (const uint8_t *)"", bytes.len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  return strlen(out);
}

static void mac_of(const char *signed_part, size_t len, uint8_t mac[MAC_LEN]) {
  ch_assert(HMAC(EVP_sha256(), SECRET, sizeof SECRET - 1, (const uint8_t *)signed_part, len, mac, NULL) != NULL);
}

/* One that would be good, with what the input says instead of some of its members. */
static chat_bytes json_piece(fuzz_input *input, char *room, size_t room_len, const char *good) {
  static const char *const members[] = {",\"nbf\":1700000000",
                                        ",\"iss\":\"https://issuer.example\"",
                                        ",\"aud\":\"chat\"",
                                        ",\"aud\":[\"x\",\"chat\"]",
                                        ",\"device\":\"000102030405060708090a0b0c0d0e0f\"",
                                        ",\"crit\":[\"b64\"]",
                                        ",\"kid\":\"h\"",
                                        ",\"kid\":\"e\"",
                                        ",\"kid\":\"r\",\"alg\":\"RS256\"",
                                        ",\"typ\":\"JWT\"",
                                        ",\"exp\":1.5e9",
                                        ",\"sub\":\"\"",
                                        ",\"alg\":\"none\""};
  uint8_t choice = fuzz_byte(input);
  if (choice % 4 == 3) return fuzz_piece(input);
  int len = snprintf(room, room_len, "%s", good);
  for (; choice >= 4 && (size_t)len + 80 < room_len; choice /= 4)
    len += snprintf(room + len, room_len - (size_t)len, "%s", members[(choice + fuzz_byte(input)) % (sizeof members / sizeof *members)]);
  chat_bytes more = choice % 4 == 2 ? fuzz_piece(input) : (chat_bytes){0};
  if (more.len > room_len - (size_t)len - 1) more.len = room_len - (size_t)len - 1;
  if (more.len > 0) memcpy(room + len, more.data, more.len);
  room[(size_t)len + more.len] = '}';
  return ch_bytes_of(room, (size_t)len + more.len + 1);
}

static size_t sign(fuzz_input *input, char *token) {
  char header[1024], claims[1024];
  uint8_t mac[MAC_LEN];
  chat_bytes part = json_piece(input, header, sizeof header, "{\"alg\":\"HS256\",\"kid\":\"h\"");
  if (part.len > CHAT_TOKEN_MAX) part.len = CHAT_TOKEN_MAX;
  size_t len = put_part(token, part);
  token[len++] = '.';
  part = json_piece(input, claims, sizeof claims, "{\"sub\":\"ann\",\"exp\":1700000100");
  if (part.len > CHAT_TOKEN_MAX) part.len = CHAT_TOKEN_MAX;
  len += put_part(token + len, part);
  mac_of(token, len, mac);
  token[len++] = '.';
  return len + put_part(token + len, ch_bytes_of(mac, sizeof mac));
}

static void change(fuzz_input *input, char *token, size_t *len) {
  for (uint8_t count = fuzz_byte(input) % 4; count > 0; count--) {
    size_t place = fuzz_byte(input);
    place = (place | (size_t)fuzz_byte(input) << 8) % *len;
    token[place] ^= (char)fuzz_byte(input);
  }
  if (fuzz_byte(input) % 8 == 7) *len = fuzz_byte(input) % *len;
}

/* --- what must hold --- */

static void bears_the_mac(const char *token, size_t len) {
  uint8_t wanted[MAC_LEN], got[MAC_LEN];
  size_t got_len = 0, dots = 0, last = 0;
  for (size_t i = 0; i < len; i++)
    if (token[i] == '.') dots++, last = i;
  ch_assert(dots == 2);
  mac_of(token, last, wanted);
  ch_assert(sodium_base642bin(got, sizeof got, token + last + 1, len - last - 1, NULL, &got_len, NULL,
                              sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0);
  ch_assert(got_len == MAC_LEN && memcmp(got, wanted, MAC_LEN) == 0);
}

/* In a block of exactly its size, so that the sanitizers see a read beyond it. */
static void judge(ch_auth_jwt *auth, const char *token, size_t len) {
  ch_auth_jwt_result result;
  uint8_t *exact = malloc(len ? len : 1);
  ch_assert(exact != NULL);
  memcpy(exact, token, len);
  int error = ch_auth_jwt_verify(auth, exact, len, NOW_S, &result);
  free(exact);
  ch_assert(error == 0 || error == CHAT_E_AUTH || error == CHAT_E_EXPIRED);
  if (error == CHAT_E_AUTH) return;
  bears_the_mac(token, len);
  if (error) return;
  ch_assert(ch_user_id_valid(ch_bytes_of(result.user_id, result.user_id_len)));
  ch_assert(result.exp_s + LEEWAY_S > NOW_S);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static char token[TOKEN_ROOM];
  fuzz_input input = {data, len};
  if (!plain) load_keys();
  uint8_t what = fuzz_byte(&input) % 3;
  size_t token_len = input.len < TOKEN_ROOM ? input.len : TOKEN_ROOM;
  if (what == 0 && token_len > 0) memcpy(token, input.data, token_len);
  if (what > 0) token_len = sign(&input, token);
  if (what > 1) change(&input, token, &token_len);
  judge(plain, token, token_len);
  judge(strict, token, token_len);
  return 0;
}
