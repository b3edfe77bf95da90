/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads key files. What a key is good for is fixed here, once: a secret never becomes a PEM key or the reverse, and the public key
 * that was checked is the one that is kept (it is written out again, so a second block in the file is never seen by anybody).
 */
#define _POSIX_C_SOURCE 200809L

#include "backend/auth_jwt_keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chat/chat.h"

enum { SECRET_LEN_MIN = 32, RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192 }; /* RFC 7518, sections 3.2 and 3.3 */

/* A set that is being filled, and where to say why it cannot be. */
struct loader {
  ch_jwt_keys *keys;
  char *why;
  size_t why_max;
};

/* Where one key comes from. */
struct source {
  enum ch_jwt_alg alg;
  const char *kid;
  size_t kid_len;
  const char *path;
};

static const struct {
  const char *prefix, *name;
} algs[CH_JWT_ALG_COUNT] = {
    [CH_JWT_HS256] = {"hs256", "HS256"},
    [CH_JWT_RS256] = {"rs256", "RS256"},
    [CH_JWT_ES256] = {"es256", "ES256"},
};

const char *ch_jwt_alg_name(enum ch_jwt_alg alg) {
  return algs[alg].name;
}

__attribute__((format(printf, 3, 4))) static int fail(struct loader *l, int error, const char *format, ...) {
  if (l->why && l->why_max) {
    va_list args;
    va_start(args, format);
    vsnprintf(l->why, l->why_max, format, args);
    va_end(args);
  }
  return error;
}

static int fail_errno(struct loader *l, const char *path) {
  switch (errno) {
  case ENOMEM: return fail(l, CHAT_E_NOMEM, "out of memory");
  case ENOENT: return fail(l, CHAT_E_IO, "%s: not found", path);
  case EACCES: return fail(l, CHAT_E_IO, "%s: permission denied", path);
  default: return fail(l, CHAT_E_IO, "%s: cannot be read (errno %d)", path, errno);
  }
}

static bool alg_parse(const char *text, size_t len, enum ch_jwt_alg *out) {
  for (int alg = 0; alg < CH_JWT_ALG_COUNT; alg++) {
    if (strlen(algs[alg].prefix) == len && memcmp(algs[alg].prefix, text, len) == 0) {
      *out = (enum ch_jwt_alg)alg;
      return true;
    }
  }
  return false;
}

/* --- files --- */

/* Up to `max` bytes of a file into `buf`; the count, or -1 with errno. A file that fills `buf` may be longer. */
static ssize_t read_all(int fd, unsigned char *buf, size_t max) {
  size_t len = 0;
  while (len < max) {
    ssize_t n = read(fd, buf + len, max - len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    len += (size_t)n;
  }
  return (ssize_t)len;
}

/* The stdio buffers are avoided because they would keep a copy of the secret. */
static int file_read(struct loader *l, const char *path, unsigned char *buf, size_t *len) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno(l, path);
  ssize_t n = read_all(fd, buf, CH_JWT_KEY_FILE_MAX + 1);
  int error = n < 0 ? fail_errno(l, path) : 0;
  close(fd);
  if (error) return error;
  if (n > CH_JWT_KEY_FILE_MAX) return fail(l, CHAT_E_INVALID, "%s: larger than %d bytes", path, CH_JWT_KEY_FILE_MAX);
  *len = (size_t)n;
  return 0;
}

/* --- keys --- */

static bool is_printable(const unsigned char *bytes, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (bytes[i] < 0x20 || bytes[i] > 0x7e) return false;
  return true;
}

/* Text editors and `openssl rand -hex 32 > file` end a line; the token's maker, who pasted the text, does not know of it. */
static size_t secret_len(const unsigned char *bytes, size_t len) {
  return len > 0 && bytes[len - 1] == '\n' && is_printable(bytes, len - 1) ? len - 1 : len;
}

static int secret_parse(struct loader *l, const char *path, const unsigned char *file, size_t file_len, ch_jwt_key *key) {
  static const char armor[] = "-----BEGIN";
  size_t len = secret_len(file, file_len);
  if (len < SECRET_LEN_MIN) return fail(l, CHAT_E_INVALID, "%s: a secret needs at least %d bytes", path, SECRET_LEN_MIN);
  /* A public key used as a secret is the classic confusion; anybody could then sign. */
  if (memcmp(file, armor, sizeof armor - 1) == 0) return fail(l, CHAT_E_INVALID, "%s: a PEM file is not a secret", path);
  key->bytes = malloc(len);
  if (!key->bytes) return fail(l, CHAT_E_NOMEM, "out of memory");
  memcpy(key->bytes, file, len);
  key->len = len;
  return 0;
}

static const char *rsa_objection(const EVP_PKEY *pkey) {
  if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA) return "not an RSA key";
  int bits = EVP_PKEY_get_bits(pkey);
  return bits < RSA_BITS_MIN || bits > RSA_BITS_MAX ? "an RSA key must have 2048 to 8192 bits" : NULL;
}

static const char *ec_objection(const EVP_PKEY *pkey) {
  char curve[32] = "";
  if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC) return "not an elliptic curve key";
  if (EVP_PKEY_get_group_name(pkey, curve, sizeof curve, NULL) != 1) return "a key without a named curve";
  return strcmp(curve, "prime256v1") ? "the curve must be P-256" : NULL;
}

static int pem_write(struct loader *l, EVP_PKEY *pkey, ch_jwt_key *key) {
  BIO *bio = BIO_new(BIO_s_mem());
  char *text = NULL;
  int error = CHAT_E_NOMEM;
  if (bio && PEM_write_bio_PUBKEY(bio, pkey) == 1) {
    key->len = (size_t)BIO_get_mem_data(bio, &text);
    key->bytes = malloc(key->len);
    if (key->bytes) {
      memcpy(key->bytes, text, key->len);
      error = 0;
    }
  }
  BIO_free(bio);
  return error ? fail(l, error, "out of memory") : 0;
}

static int pem_parse(struct loader *l, const char *path, const unsigned char *file, size_t file_len, ch_jwt_key *key) {
  BIO *bio = BIO_new_mem_buf(file, (int)file_len);
  if (!bio) return fail(l, CHAT_E_NOMEM, "out of memory");
  EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
  BIO_free(bio);
  ERR_clear_error(); /* as in auth_jwt.c: TLS on this thread must not find what this leaves */
  if (!pkey) return fail(l, CHAT_E_INVALID, "%s: no PEM public key in it", path);
  const char *objection = key->alg == CH_JWT_RS256 ? rsa_objection(pkey) : ec_objection(pkey);
  int error = objection ? fail(l, CHAT_E_INVALID, "%s: %s", path, objection) : pem_write(l, pkey, key);
  EVP_PKEY_free(pkey);
  return error;
}

static int key_read(struct loader *l, const char *path, ch_jwt_key *key) {
  unsigned char file[CH_JWT_KEY_FILE_MAX + 1];
  size_t len = 0;
  int error = file_read(l, path, file, &len);
  if (!error && key->alg == CH_JWT_HS256)
    error = secret_parse(l, path, file, len, key);
  else if (!error)
    error = pem_parse(l, path, file, len, key);
  sodium_memzero(file, sizeof file);
  return error;
}

static int key_add(struct loader *l, const struct source *s) {
  if (s->kid_len == 0 || s->kid_len > CH_JWT_KID_MAX)
    return fail(l, CHAT_E_INVALID, "%s: a key id has 1 to %d bytes", s->path, CH_JWT_KID_MAX);
  if (l->keys->count == CH_JWT_KEYS_MAX) return fail(l, CHAT_E_INVALID, "%s: more than %d keys", s->path, CH_JWT_KEYS_MAX);
  ch_jwt_key *key = &l->keys->keys[l->keys->count];
  key->alg = s->alg;
  memcpy(key->kid, s->kid, s->kid_len);
  key->kid[s->kid_len] = '\0';
  if (l->keys->count > 0 && ch_jwt_keys_find(l->keys, key->kid))
    return fail(l, CHAT_E_INVALID, "%s: the key id %s is there twice", s->path, key->kid);
  int error = key_read(l, s->path, key);
  if (!error) l->keys->count++;
  return error;
}

/* --- where keys are: "alg:KID:FILE" and "dir:PATH" --- */

static int dir_entry_add(struct loader *l, const char *dir, const char *name) {
  char path[4096];
  struct source s = {.kid = name, .path = path};
  if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) return fail(l, CHAT_E_INVALID, "%s: the path is too long", dir);
  const char *dot = strrchr(name, '.');
  if (!dot || !alg_parse(dot + 1, strlen(dot + 1), &s.alg))
    return fail(l, CHAT_E_INVALID, "%s: its name must end in .hs256, .rs256 or .es256", path);
  s.kid_len = (size_t)(dot - name);
  return key_add(l, &s);
}

/* Names with a dot in front are the bookkeeping of mounted secrets, and editors' leavings. */
static int dir_add(struct loader *l, const char *path) {
  DIR *dir = opendir(path);
  if (!dir) return fail_errno(l, path);
  int error = 0;
  struct dirent *entry;
  while (!error && (errno = 0, entry = readdir(dir)) != NULL)
    if (entry->d_name[0] != '.') error = dir_entry_add(l, path, entry->d_name);
  if (!error && errno) error = fail_errno(l, path);
  closedir(dir);
  return error;
}

/* The text of a malformed spec is not repeated: somebody may have put the secret itself there. */
static int spec_add(struct loader *l, const char *spec, size_t index) {
  struct source s;
  if (strncmp(spec, "dir:", 4) == 0) return dir_add(l, spec + 4);
  const char *kid = strchr(spec, ':');
  const char *path = kid ? strchr(kid + 1, ':') : NULL;
  if (!path || !alg_parse(spec, (size_t)(kid - spec), &s.alg))
    return fail(l, CHAT_E_INVALID, "key %zu: must be hs256:KID:FILE, rs256:KID:FILE, es256:KID:FILE or dir:PATH", index + 1);
  s.kid = kid + 1;
  s.kid_len = (size_t)(path - s.kid);
  s.path = path + 1;
  return key_add(l, &s);
}

static int specs_add(struct loader *l, const char *const *specs, size_t spec_count) {
  for (size_t i = 0; i < spec_count; i++) {
    int error = spec_add(l, specs[i], i);
    if (error) return error;
  }
  return l->keys->count ? 0 : fail(l, CHAT_E_INVALID, "no keys");
}

int ch_jwt_keys_load(const char *const *specs, size_t spec_count, ch_jwt_keys **out, char *why, size_t why_max) {
  struct loader l = {.keys = calloc(1, sizeof *l.keys), .why = why, .why_max = why_max};
  fail(&l, 0, "%s", "");
  if (!l.keys) return fail(&l, CHAT_E_NOMEM, "out of memory");
  int error = specs_add(&l, specs, spec_count);
  if (error) {
    ch_jwt_keys_free(l.keys);
    return error;
  }
  l.keys->refs = 1;
  *out = l.keys;
  return 0;
}

void ch_jwt_keys_free(ch_jwt_keys *keys) {
  if (!keys) return;
  for (size_t i = 0; i < keys->count; i++) {
    sodium_memzero(keys->keys[i].bytes, keys->keys[i].len);
    free(keys->keys[i].bytes);
  }
  free(keys);
}

const ch_jwt_key *ch_jwt_keys_find(const ch_jwt_keys *keys, const char *kid) {
  if (!kid) return keys->count == 1 ? &keys->keys[0] : NULL;
  for (size_t i = 0; i < keys->count; i++)
    if (strcmp(keys->keys[i].kid, kid) == 0) return &keys->keys[i];
  return NULL;
}
