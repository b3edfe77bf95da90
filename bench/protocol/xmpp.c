/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XMPP over TCP as far as a load needs it: SASL PLAIN (RFC 6120, section 6), binding of a resource (section 7), chat messages (RFC 6121), rooms by Multi-User Chat (XEP-0045). The server takes any
 * password (bench/peers/ejabberd.py).
 */
#include <expat.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/load.h"
#include "protocol/list.h"

enum { NAME_LEN = 48, STANZA_MAX = 1 << 17 };
static const char domain[] = "localhost", resource[] = "bench";

typedef struct xmpp_state {
  XML_Parser parser;
  int depth;             /* 1: in the stream, 2: in a stanza */
  bool authenticated, restarts, groupchat, in_body, is_error, own_presence;
  char id[NAME_LEN];     /* of the stanza that comes in */
  char stanza[NAME_LEN]; /* its name */
  ch_buf body;
} xmpp_state;

static xmpp_state *state_of(const bench_client *client) {
  return client->protocol_state;
}

static void put(bench_client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(bench_client *client, const char *format, ...) {
  char stanza[1024];
  va_list values;
  va_start(values, format);
  int len = vsnprintf(stanza, sizeof stanza, format, values);
  va_end(values);
  if (len < 0 || (size_t)len >= sizeof stanza) load_fail("a stanza is too long");
  client_put(client, ch_bytes_of(stanza, (size_t)len));
}

static void name_room(const bench_client *client, char name[NAME_LEN]) {
  snprintf(name, NAME_LEN, "room%u@rooms.%s", client->room->index, domain);
}

/* ------------------------------------------------------------------------------------------------ logging in */

static void put_stream(bench_client *client) {
  put(client, "<stream:stream to='%s' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>", domain);
}

static void authenticate(bench_client *client) {
  char plain[NAME_LEN], encoded[2 * NAME_LEN];
  int len = snprintf(plain, sizeof plain, "%cu%u%cbench", 0, client->user, 0);
  EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)plain, len);
  put(client, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>", encoded);
}

static void bind_resource(bench_client *client) {
  put(client, "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>%s</resource></bind></iq>", resource);
}

static void bound(bench_client *client) {
  put(client, "<presence/>");
  client_ready(client);
}

/* ------------------------------------------------------------------------------------------------ rooms */

static void enter_room(bench_client *client) {
  char room[NAME_LEN];
  name_room(client, room);
  put(client, "<presence to='%s/u%u'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>", room, client->user);
}

/* Its first member makes a room, unlocks it, and then the others enter. */
static void join(bench_client *client) {
  if (!client->room->group)
    client_joined(client);
  else if (client_member(client) == 0)
    enter_room(client);
}

static void entered(bench_client *client) {
  char room[NAME_LEN];
  if (client_member(client) != 0) {
    client_joined(client);
    return;
  }
  name_room(client, room);
  put(client, "<iq type='set' to='%s' id='unlock'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>", room);
}

static void unlocked(bench_client *client) {
  client_joined(client);
  for (uint32_t i = 1; i < client->room->member_count; i++)
    enter_room(&client->room->members[i]);
}

static void send_body(bench_client *client, ch_bytes body) {
  static ch_buf stanza;
  char to[NAME_LEN];
  if (!stanza.max_len) ch_buf_init(&stanza, NULL, STANZA_MAX);
  ch_buf_clear(&stanza);
  if (client->room->group)
    name_room(client, to);
  else
    snprintf(to, sizeof to, "u%u@%s/%s", client_partner(client)->user, domain, resource);
  ch_buf_printf(&stanza, "<message to='%s' type='%s'><body>", to, client->room->group ? "groupchat" : "chat");
  ch_buf_put(&stanza, body);
  if (ch_buf_put_text(&stanza, "</body></message>")) load_fail("a body is too long");
  client_put(client, ch_buf_bytes(&stanza));
}

/* ------------------------------------------------------------------------------------------------ what comes in */

static void take_body(bench_client *client) {
  ch_bytes body = ch_buf_bytes(&state_of(client)->body);
  bench_stamp stamp;
  if (stamp_read((const char *)body.data, body.len, &stamp) && stamp.sender != client->index) client_received(client, body);
}

static bool is(const char *name, const char *other) {
  return !strcmp(name, other);
}

static void take_features(bench_client *client) {
  if (state_of(client)->authenticated)
    bind_resource(client);
  else
    authenticate(client);
}

/* The stream begins anew behind <success/>; the parser must see that from its first byte on. */
static void authenticated(bench_client *client) {
  state_of(client)->authenticated = state_of(client)->restarts = true;
  put_stream(client);
}

static void take_result(bench_client *client, const char *id) {
  if (is(id, "bind")) bound(client);
  if (is(id, "unlock")) unlocked(client);
}

static void take_stanza(bench_client *client) {
  xmpp_state *state = state_of(client);
  if (state->is_error) load_fail("client %u: an error as <%s>", client->index, state->stanza);
  if (is(state->stanza, "stream:features")) take_features(client);
  if (is(state->stanza, "success")) authenticated(client);
  if (is(state->stanza, "iq")) take_result(client, state->id);
  if (is(state->stanza, "presence") && state->own_presence) entered(client);
  if (is(state->stanza, "message") && state->body.len) take_body(client);
}

static const char *attribute(const char **attributes, const char *name) {
  for (; *attributes; attributes += 2)
    if (is(*attributes, name)) return attributes[1];
  return "";
}

static void begin_stanza(xmpp_state *state, const char *name, const char **attributes) {
  snprintf(state->stanza, sizeof state->stanza, "%s", name);
  snprintf(state->id, sizeof state->id, "%s", attribute(attributes, "id"));
  state->is_error = is(attribute(attributes, "type"), "error") || is(name, "failure") || is(name, "stream:error");
  state->own_presence = false;
  ch_buf_clear(&state->body);
}

static void on_begin(void *arg, const char *name, const char **attributes) {
  xmpp_state *state = state_of(arg);
  state->depth++;
  if (state->depth == 2) begin_stanza(state, name, attributes);
  if (state->depth == 3) state->in_body = is(name, "body");
  if (is(name, "status") && is(attribute(attributes, "code"), "110")) state->own_presence = true; /* XEP-0045, section 7.2.2 */
}

static void on_end(void *arg, const char *name) {
  (void)name;
  bench_client *client = arg;
  xmpp_state *state = state_of(client);
  state->in_body = false;
  if (state->depth-- != 2) return;
  take_stanza(client);
  if (state->restarts) XML_StopParser(state->parser, XML_FALSE);
}

static void on_text(void *arg, const char *text, int len) {
  xmpp_state *state = state_of(arg);
  if (state->in_body) ch_buf_put(&state->body, ch_bytes_of(text, (size_t)len));
}

static void begin_parser(bench_client *client) {
  xmpp_state *state = state_of(client);
  if (state->parser)
    XML_ParserReset(state->parser, NULL);
  else
    state->parser = XML_ParserCreate("UTF-8");
  if (!state->parser) load_fail("no memory");
  XML_SetUserData(state->parser, client);
  XML_SetElementHandler(state->parser, on_begin, on_end);
  XML_SetCharacterDataHandler(state->parser, on_text);
  state->depth = 0;
  state->restarts = false;
}

/* What comes behind <success/> answers a stream that was not asked for before it: nothing lies behind it. */
static size_t message(bench_client *client, ch_bytes bytes) {
  xmpp_state *state = state_of(client);
  bool went_on = XML_Parse(state->parser, (const char *)bytes.data, (int)bytes.len, XML_FALSE) == XML_STATUS_OK;
  if (state->restarts)
    begin_parser(client);
  else if (!went_on)
    load_fail("client %u: no XML came: %s", client->index, XML_ErrorString(XML_GetErrorCode(state->parser)));
  return bytes.len;
}

static void open_session(bench_client *client) {
  xmpp_state *state = state_of(client);
  if (!state->body.max_len) ch_buf_init(&state->body, NULL, STANZA_MAX);
  state->authenticated = false;
  begin_parser(client);
  put_stream(client);
}

static void closed(bench_client *client) {
  xmpp_state *state = state_of(client);
  ch_buf_fini(&state->body);
  XML_ParserFree(state->parser);
  state->parser = NULL;
}

const bench_protocol protocol_xmpp = {.name = "xmpp",
                                      .framing = FRAMING_STREAM,
                                      .state_len = sizeof(xmpp_state),
                                      .open = open_session,
                                      .message = message,
                                      .join = join,
                                      .send = send_body,
                                      .closed = closed};
