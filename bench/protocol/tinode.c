/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tinode's client protocol (github.com/tinode/chat, docs/API.md): JSON in WebSocket text messages. Each client makes an account and is logged in with
 * it; a pair is a p2p topic, a group one that its first member makes. It answers each {pub} with {ctrl} when the message is in its
 * database. Receipts ({note}) are left out, which spares it their cost.
 */
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "engine/load.h"
#include "protocol/list.h"

enum { NAME_LEN = 32, TEXT_MAX = 1 << 17 };

typedef struct tinode_state {
  char user[NAME_LEN];  /* "usr…", given by the server */
  char topic[NAME_LEN]; /* that bodies are published to */
  uint64_t requests;
} tinode_state;

static tinode_state *state_of(const bench_client *client) {
  return client->protocol_state;
}

/* {"KIND":{"id":"KIND NUMBER",REST}}: ids say what was asked. */
static void put(bench_client *client, const char *kind, const char *rest, ...) __attribute__((format(printf, 3, 4)));
static void put(bench_client *client, const char *kind, const char *rest, ...) {
  static char text[TEXT_MAX];
  size_t len = (size_t)snprintf(text, sizeof text, "{\"%s\":{\"id\":\"%s %llu\",", kind, kind, (unsigned long long)++state_of(client)->requests);
  va_list values;
  va_start(values, rest);
  int rest_len = vsnprintf(text + len, sizeof text - len, rest, values);
  va_end(values);
  if (rest_len < 0 || len + (size_t)rest_len + 2 > sizeof text) load_fail("a request is too long");
  len += (size_t)rest_len;
  memcpy(text + len, "}}", 2);
  client_put(client, ch_bytes_of(text, len + 2));
}

static void open_session(bench_client *client) {
  put(client, "hi", "\"ver\":\"0.25\",\"ua\":\"bench\"");
}

static void make_account(bench_client *client) {
  char secret[NAME_LEN], encoded[2 * NAME_LEN];
  int len = snprintf(secret, sizeof secret, "u%u:bench-%u", client->user, client->user);
  EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)secret, len);
  put(client, "acc", "\"user\":\"new\",\"scheme\":\"basic\",\"secret\":\"%s\",\"login\":true,\"desc\":{\"public\":{\"fn\":\"bench\"}}", encoded);
}

static void subscribe(bench_client *client, const char *topic) {
  put(client, "sub", "\"topic\":\"%s\"", topic);
}

/* The topic of a pair is named by the other's user. Two who make one topic at once lock each other out, so the first member of any room goes first. */
static void join(bench_client *client) {
  if (client_member(client) != 0) return;
  if (!client->room->group)
    subscribe(client, state_of(client_partner(client))->user);
  else
    put(client, "sub", "\"topic\":\"newbench\",\"set\":{\"desc\":{\"defacs\":{\"auth\":\"JRWPS\",\"anon\":\"N\"}}}");
}

static void subscribed(bench_client *client, const char *topic) {
  snprintf(state_of(client)->topic, NAME_LEN, "%s", topic);
  client_joined(client);
  if (client_member(client) != 0) return;
  for (uint32_t i = 1; i < client->room->member_count; i++)
    subscribe(&client->room->members[i], client->room->group ? topic : state_of(client)->user);
}

static void send_body(bench_client *client, ch_bytes body) {
  put(client, "pub", "\"topic\":\"%s\",\"noecho\":true,\"content\":\"%.*s\"", state_of(client)->topic, (int)body.len, (const char *)body.data);
}

/* ------------------------------------------------------------------------------------------------ what comes in */

static const char *text_of(const json_t *object, const char *name) {
  const char *text = json_string_value(json_object_get(object, name));
  return text ? text : "";
}

static void account_made(bench_client *client, const json_t *ctrl) {
  snprintf(state_of(client)->user, NAME_LEN, "%s", text_of(json_object_get(ctrl, "params"), "user"));
  client_ready(client);
}

static void take_ctrl(bench_client *client, const json_t *ctrl) {
  json_int_t code = json_integer_value(json_object_get(ctrl, "code"));
  if (code >= 300) load_fail("client %u: %d %s, to request %s", client->index, (int)code, text_of(ctrl, "text"), text_of(ctrl, "id"));
  switch (text_of(ctrl, "id")[0]) {
    case 'h': make_account(client); break;
    case 'a': account_made(client, ctrl); break;
    case 's': subscribed(client, text_of(ctrl, "topic")); break;
    default: break;
  }
}

static size_t message(bench_client *client, ch_bytes bytes) {
  json_t *root = json_loadb((const char *)bytes.data, bytes.len, 0, NULL);
  if (!root) load_fail("client %u: no JSON came", client->index);
  const json_t *ctrl = json_object_get(root, "ctrl"), *data = json_object_get(root, "data");
  if (ctrl) take_ctrl(client, ctrl);
  if (data) client_received(client, ch_bytes_text(text_of(data, "content")));
  json_decref(root);
  return bytes.len;
}

static void path(const bench_client *client, char *path, size_t len) {
  if (!client->load->config.key) load_fail("tinode needs --key, its API key");
  snprintf(path, len, "/v0/channels?apikey=%s", client->load->config.key);
}

const bench_protocol protocol_tinode = {.name = "tinode",
                                        .framing = FRAMING_WS_TEXT,
                                        .state_len = sizeof(tinode_state),
                                        .path = path,
                                        .open = open_session,
                                        .message = message,
                                        .join = join,
                                        .send = send_body};
