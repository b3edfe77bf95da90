/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Centrifugo's client protocol in protobuf (github.com/centrifugal/protocol, definitions/client.proto): a WebSocket message holds Commands or Replies,
 * each behind its length as a varint; an empty one is a ping, and its answer. A person has a channel of its own (what Centrifugo calls an inbox), a
 * group
 * has one that all are subscribed to.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "engine/load.h"
#include "protocol/list.h"

enum { MESSAGE_MAX = 1 << 17, CHANNEL_LEN = 32, JWT_PART_LEN = 128 };

/* Field numbers of client.proto. */
enum { COMMAND_ID = 1, COMMAND_CONNECT = 4, COMMAND_SUBSCRIBE = 5, COMMAND_PUBLISH = 7 };
enum { CONNECT_TOKEN = 1, SUBSCRIBE_CHANNEL = 1, PUBLISH_CHANNEL = 1, PUBLISH_DATA = 2 };
enum { REPLY_ERROR = 2, REPLY_PUSH = 4, REPLY_CONNECT = 5, REPLY_SUBSCRIBE = 6 };
enum { PUSH_PUB = 4, PUBLICATION_DATA = 4 };
enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

typedef struct centrifugo_state {
  char channel[CHANNEL_LEN]; /* that bodies are published to */
  uint32_t commands;
} centrifugo_state;

static centrifugo_state *state_of(const bench_client *client) {
  return client->protocol_state;
}

/* ------------------------------------------------------------------------------------------------ commands */

static ch_buf *empty_buf(ch_buf *buf) {
  if (!buf->max_len) ch_buf_init(buf, NULL, MESSAGE_MAX);
  ch_buf_clear(buf);
  return buf;
}

static void put_number(ch_buf *buf, uint32_t field, uint64_t value) {
  ch_buf_put_varint(buf, field << 3 | WIRE_VARINT);
  ch_buf_put_varint(buf, value);
}

static void put_bytes(ch_buf *buf, uint32_t field, ch_bytes bytes) {
  ch_buf_put_varint(buf, field << 3 | WIRE_BYTES);
  ch_buf_put_varint(buf, bytes.len);
  ch_buf_put(buf, bytes);
}

static void put_command(bench_client *client, uint32_t field, ch_bytes request) {
  static ch_buf command, message;
  empty_buf(&command);
  put_number(&command, COMMAND_ID, ++state_of(client)->commands);
  put_bytes(&command, field, request);
  empty_buf(&message);
  ch_buf_put_varint(&message, command.len);
  ch_buf_put(&message, ch_buf_bytes(&command));
  if (command.error || message.error) load_fail("a command is too long");
  client_put(client, ch_buf_bytes(&message));
}

static ch_buf *request(void) {
  static ch_buf buf;
  return empty_buf(&buf);
}

static void subscribe(bench_client *client, const char *channel) {
  ch_buf *buf = request();
  put_bytes(buf, SUBSCRIBE_CHANNEL, ch_bytes_text(channel));
  put_command(client, COMMAND_SUBSCRIBE, ch_buf_bytes(buf));
}

/* ------------------------------------------------------------------------------------------------ logging in */

/* URL-safe, without padding (RFC 7515, appendix C). */
static void base64url(const uint8_t *bytes, size_t len, char *text) {
  int end = EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
  while (end > 0 && text[end - 1] == '=')
    text[--end] = '\0';
  for (char *c = text; *c; c++)
    *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
}

static void make_token(const bench_client *client, char *token, size_t len) {
  static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
  char claims[JWT_PART_LEN / 2], encoded_header[JWT_PART_LEN], encoded_claims[JWT_PART_LEN], signature[JWT_PART_LEN];
  const char *key = client->load->config.key;
  int claims_len = snprintf(claims, sizeof claims, "{\"sub\":\"u%u\"}", client->user);
  base64url((const uint8_t *)header, sizeof header - 1, encoded_header);
  base64url((const uint8_t *)claims, (size_t)claims_len, encoded_claims);
  int signed_len = snprintf(token, len, "%s.%s", encoded_header, encoded_claims);
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned digest_len = 0;
  HMAC(EVP_sha256(), key, (int)strlen(key), (const uint8_t *)token, (size_t)signed_len, digest, &digest_len);
  base64url(digest, digest_len, signature);
  snprintf(token + signed_len, len - (size_t)signed_len, ".%s", signature);
}

static void open_session(bench_client *client) {
  char token[4 * JWT_PART_LEN];
  if (!client->load->config.key) load_fail("centrifugo needs --key, the secret that tokens are signed with");
  make_token(client, token, sizeof token);
  ch_buf *buf = request();
  put_bytes(buf, CONNECT_TOKEN, ch_bytes_text(token));
  put_command(client, COMMAND_CONNECT, ch_buf_bytes(buf));
}

static void join(bench_client *client) {
  char own[CHANNEL_LEN];
  if (client->room->group) {
    snprintf(own, sizeof own, "chat:room%u", client->room->index);
    memcpy(state_of(client)->channel, own, sizeof own);
  } else {
    snprintf(own, sizeof own, "chat:inbox%u", client->user);
    snprintf(state_of(client)->channel, CHANNEL_LEN, "chat:inbox%u", client_partner(client)->user);
  }
  subscribe(client, own);
}

static void send_body(bench_client *client, ch_bytes body) {
  ch_buf *buf = request();
  put_bytes(buf, PUBLISH_CHANNEL, ch_bytes_text(state_of(client)->channel));
  put_bytes(buf, PUBLISH_DATA, body);
  put_command(client, COMMAND_PUBLISH, ch_buf_bytes(buf));
}

/* ------------------------------------------------------------------------------------------------ replies */

typedef struct field {
  uint32_t number;
  ch_bytes bytes; /* of WIRE_BYTES; else empty */
} field;

static bool next_field(ch_cursor *rest, field *out) {
  uint64_t key = 0, value = 0;
  *out = (field){0};
  if (!rest->left_len) return false;
  ch_cursor_varint(rest, &key);
  ch_cursor_varint(rest, &value);
  out->number = (uint32_t)(key >> 3);
  if ((key & 7) == WIRE_BYTES) ch_cursor_bytes(rest, value, &out->bytes);
  if (rest->error || ((key & 7) != WIRE_BYTES && (key & 7) != WIRE_VARINT)) load_fail("a reply does not decode");
  return true;
}

/* The field of this number, the last where there are several; none: empty. */
static ch_bytes bytes_in(ch_bytes message, uint32_t number) {
  ch_bytes found = {0};
  ch_cursor rest = ch_cursor_of(message);
  for (field each; next_field(&rest, &each);)
    if (each.number == number) found = each.bytes;
  return found;
}

/* One's own body comes back in a group. */
static void take_body(bench_client *client, ch_bytes body) {
  bench_stamp stamp;
  if (stamp_read((const char *)body.data, body.len, &stamp) && stamp.sender != client->index) client_received(client, body);
}

static void take_reply(bench_client *client, ch_bytes reply) {
  if (!reply.len) client_put(client, ch_bytes_of("", 1)); /* a ping: an empty Command behind its length, 0 */
  ch_cursor rest = ch_cursor_of(reply);
  for (field each; next_field(&rest, &each);) {
    switch (each.number) {
      case REPLY_ERROR: load_fail("client %u: error %.*s", client->index, (int)each.bytes.len, (const char *)each.bytes.data);
      case REPLY_CONNECT: client_ready(client); break;
      case REPLY_SUBSCRIBE: client_joined(client); break;
      case REPLY_PUSH: take_body(client, bytes_in(bytes_in(each.bytes, PUSH_PUB), PUBLICATION_DATA)); break;
      default: break;
    }
  }
}

static size_t message(bench_client *client, ch_bytes bytes) {
  ch_cursor cursor = ch_cursor_of(bytes);
  while (cursor.left_len && client->state != CLIENT_CLOSED) {
    uint64_t len;
    ch_bytes reply;
    ch_cursor_varint(&cursor, &len);
    if (ch_cursor_bytes(&cursor, len, &reply)) load_fail("client %u: a reply is cut off", client->index);
    take_reply(client, reply);
  }
  return bytes.len;
}

static void path(const bench_client *client, char *path, size_t len) {
  (void)client;
  snprintf(path, len, "/connection/websocket?format=protobuf");
}

const bench_protocol protocol_centrifugo = {.name = "centrifugo",
                                            .framing = FRAMING_WS_BINARY,
                                            .state_len = sizeof(centrifugo_state),
                                            .path = path,
                                            .open = open_session,
                                            .message = message,
                                            .join = join,
                                            .send = send_body};
