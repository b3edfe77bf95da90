/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/auth.h"

#include <string.h>

#include "backend/auth_jwt.h"

enum { KEY_SPECS_MAX = 64 };

struct ch_auth {
  const chat_allocator *alloc;
  ch_auth_jwt *jwt; /* NULL: development mode */
  uint64_t leeway_ms;
};

typedef struct key_specs {
  char text[CH_OPTION_KEYS_MAX];
  const char *specs[KEY_SPECS_MAX];
  size_t count;
} key_specs;

/* false: too many. Empty ones between commas are skipped. */
static bool split_keys(key_specs *keys, const char *option) {
  memcpy(keys->text, option, strlen(option) + 1);
  char *rest = NULL;
  for (char *spec = strtok_r(keys->text, ",", &rest); spec; spec = strtok_r(NULL, ",", &rest)) {
    if (keys->count == KEY_SPECS_MAX) return false;
    keys->specs[keys->count++] = spec;
  }
  return true;
}

static const char *or_null(const char *option) {
  return option[0] ? option : NULL;
}

static int open_jwt(ch_auth *auth, const ch_server_options *options, ch_buf *why) {
  key_specs keys = {.count = 0};
  if (!split_keys(&keys, options->jwt_key)) {
    ch_buf_printf(why, "jwt-key names more than %d keys", KEY_SPECS_MAX);
    return CHAT_E_INVALID;
  }
  ch_auth_jwt_options jwt = {.keys = keys.specs, .key_count = keys.count, .issuer = or_null(options->jwt_issuer),
                             .audience = or_null(options->jwt_audience), .leeway_s = (int64_t)(options->jwt_leeway_ms / 1000)};
  char text[CH_AUTH_JWT_WHY_MAX];
  int error = ch_auth_jwt_new(&jwt, &auth->jwt, text, sizeof text);
  if (error) ch_buf_printf(why, "jwt-key: %s", text);
  return error;
}

int ch_auth_new(const chat_allocator *alloc, const ch_server_options *options, ch_auth **out, ch_buf *why) {
  *out = NULL;
  if (options->dev_mode && options->jwt_key[0]) {
    ch_buf_put_text(why, "dev-mode and jwt-key exclude each other: with dev-mode no token would be checked");
    return CHAT_E_INVALID;
  }
  if (!options->dev_mode && !options->jwt_key[0]) {
    ch_buf_put_text(why, "nothing says who may come in: set jwt-key, or dev-mode for development, or give the hook `authenticate`");
    return CHAT_E_INVALID;
  }
  ch_auth *auth = ch_calloc(alloc, 1, sizeof *auth);
  if (!auth) return CHAT_E_NOMEM;
  auth->alloc = alloc;
  auth->leeway_ms = options->jwt_leeway_ms / 1000 * 1000;
  int error = options->dev_mode ? 0 : open_jwt(auth, options, why);
  if (error)
    ch_free(alloc, auth);
  else
    *out = auth;
  return error;
}

void ch_auth_free(ch_auth *auth) {
  if (!auth) return;
  if (auth->jwt) ch_auth_jwt_free(auth->jwt);
  ch_free(auth->alloc, auth);
}

static int set_user(ch_op_authenticate *op, ch_bytes user) {
  op->user = chat_op_copy(&op->op, user);
  return op->user.data ? 0 : CHAT_E_NOMEM;
}

/* The token of development mode: dev:NAME. */
static int check_dev(ch_op_authenticate *op) {
  static const char prefix[] = "dev:";
  size_t prefix_len = sizeof prefix - 1;
  if (op->token.len < prefix_len || memcmp(op->token.data, prefix, prefix_len) != 0) return CHAT_E_AUTH;
  ch_bytes user = ch_bytes_of(op->token.data + prefix_len, op->token.len - prefix_len);
  return ch_user_id_valid(user) ? set_user(op, user) : CHAT_E_AUTH;
}

/* A session ends when its token would no longer be accepted, so with the leeway: else one that was let in by it would end at once. */
static int check_jwt(const ch_auth *auth, ch_op_authenticate *op) {
  ch_auth_jwt_result result;
  int error = ch_auth_jwt_verify(auth->jwt, op->token.data, op->token.len, (int64_t)(op->now.wall_ms / 1000), &result);
  if (error) return error;
  ch_bytes user = ch_bytes_of(result.user_id, result.user_id_len);
  if (!ch_user_id_valid(user)) return CHAT_E_AUTH; /* control characters */
  if (result.has_device) memcpy(op->device_id_claimed, result.device_id, sizeof op->device_id_claimed);
  op->expires_ms = (uint64_t)result.exp_s * 1000 + auth->leeway_ms;
  return set_user(op, user);
}

int ch_auth_check(ch_auth *auth, ch_op_authenticate *op) {
  return auth->jwt ? check_jwt(auth, op) : check_dev(op);
}

int ch_auth_reload(ch_auth *auth, ch_buf *why) {
  if (!auth->jwt) return 0;
  char text[CH_AUTH_JWT_WHY_MAX];
  int error = ch_auth_jwt_reload(auth->jwt, text, sizeof text);
  if (error) ch_buf_printf(why, "jwt-key: %s", text);
  return error;
}
