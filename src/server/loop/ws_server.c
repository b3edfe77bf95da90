/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/ws_server.h"

#include <libwebsockets.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/list.h"
#include "server/loop/listener.h"
#include "server/loop/tls.h"

enum {
  RX_LEN = 256,          /* of libwebsockets, a connection: longer frames come in parts, and every session pays for it in memory */
  ADDRESS_MAX = 64,      /* text of an IPv6 address with its zone */
  HANDSHAKE_S = 10,      /* for TLS and the upgrade, together */
  HANDSHAKES_MAX = 2048, /* under way, about 50 KB each with TLS; then connections wait in the backlog */
  PATIENCE_S = 2,        /* how long one may take while others wait for its place */
  SMALL_LEN = 16 * 1024  /* a frame that is written without asking whether the socket takes it */
};

typedef struct connection {
  struct lws *wsi; /* NULL: the slot is free */
  uint64_t id;
  ch_buf message;      /* a WebSocket message that came in part; else without memory */
  bool waits_writable; /* libwebsockets was asked */
  bool is_violating;   /* what comes in is dropped */
} connection;

/* An accepted socket that is no WebSocket yet. libwebsockets' own time (timeout_secs) begins anew with every byte, so that a request which trickles in would never end. */
typedef struct handshake {
  ch_list node; /* oldest first; in none once it was told to end */
  struct lws *wsi;
  uint64_t begun_ms;
} handshake;

struct ch_ws_server {
  ch_ws_server_config config;
  ch_list handshakes;
  size_t handshake_count; /* also those that were told to end and are not gone yet */
  ch_listener listener;
  struct lws_context *context; /* NULL once it is gone */
  struct lws_vhost *vhost;
  SSL_CTX *tls; /* of the vhost */
  connection *slots;
  size_t slot_count;
  uint32_t *free_slots;
  size_t free_count;
  uint32_t generation;
  bool is_ending;
  uint8_t *scratch; /* LWS_PRE bytes in front of one frame */
};

/* What libwebsockets keeps for each WebSocket connection. */
typedef struct per_session {
  uint64_t id; /* 0: not, or no longer, the gateway's */
} per_session;

/* ------------------------------------------------------------------------------------------------ connections by number */

/* A number is its slot + 1, under a generation: numbers are not used again though slots are. */
static connection *find(ch_ws_server *server, uint64_t id) {
  uint32_t slot = (uint32_t)id;
  if (slot == 0 || slot > server->slot_count) return NULL;
  connection *found = &server->slots[slot - 1];
  return found->wsi && found->id == id ? found : NULL;
}

static bool grow(ch_ws_server *server) {
  size_t count = server->slot_count ? server->slot_count * 2 : 64;
  connection *slots = ch_realloc(server->config.alloc, server->slots, count, sizeof *slots);
  if (!slots) return false;
  server->slots = slots;
  uint32_t *free_slots = ch_realloc(server->config.alloc, server->free_slots, count, sizeof *free_slots);
  if (!free_slots) return false;
  server->free_slots = free_slots;
  memset(slots + server->slot_count, 0, (count - server->slot_count) * sizeof *slots);
  for (size_t i = count; i > server->slot_count; i--) free_slots[server->free_count++] = (uint32_t)(i - 1);
  server->slot_count = count;
  return true;
}

static connection *take_slot(ch_ws_server *server, struct lws *wsi) {
  if (server->free_count == 0 && !grow(server)) return NULL;
  uint32_t slot = server->free_slots[--server->free_count];
  connection *taken = &server->slots[slot];
  *taken = (connection){.wsi = wsi, .id = (uint64_t)++server->generation << 32 | (slot + 1)};
  ch_buf_init(&taken->message, server->config.alloc, CHAT_FRAME_MAX);
  return taken;
}

static void give_slot_back(ch_ws_server *server, connection *done) {
  ch_buf_fini(&done->message);
  done->wsi = NULL;
  server->free_slots[server->free_count++] = (uint32_t)(done - server->slots);
}

static ch_now now_of(const ch_ws_server *server) {
  return ch_turn_loop_now(server->config.loop);
}

static void tell_closed(ch_ws_server *server, per_session *session) {
  connection *closed = find(server, session->id);
  session->id = 0;
  if (!closed) return;
  uint64_t id = closed->id;
  give_slot_back(server, closed);
  ch_gateway_closed(server->config.gateway, id, now_of(server));
}

/* ------------------------------------------------------------------------------------------------ handshakes */

/* When libwebsockets looks at its timers, which under libuv it does once something happens, or its next old timer ends: that may be long. */
static void kill_soon(struct lws *wsi) {
  lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

/* Never inside a callback of libwebsockets: the connection is gone afterwards. */
static void kill_now(struct lws *wsi) {
  lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static void handshake_begin(ch_ws_server *server, struct lws *wsi) {
  handshake *begun = ch_alloc(server->config.alloc, sizeof *begun);
  if (!begun) {
    kill_soon(wsi);
    return;
  }
  begun->wsi = wsi;
  begun->begun_ms = now_of(server).elapsed_ms;
  ch_list_push_back(&server->handshakes, &begun->node);
  lws_set_opaque_user_data(wsi, begun);
  if (++server->handshake_count >= HANDSHAKES_MAX) ch_listener_pause(&server->listener);
}

/* Upgraded, or gone. */
static void handshake_end(ch_ws_server *server, struct lws *wsi) {
  handshake *ended = lws_get_opaque_user_data(wsi);
  if (!ended) return;
  lws_set_opaque_user_data(wsi, NULL);
  ch_list_remove(&ended->node);
  ch_free(server->config.alloc, ended);
  if (--server->handshake_count < HANDSHAKES_MAX) ch_listener_resume(&server->listener);
}

/* Ends what took too long; when the next one will have. Where all places are taken, whoever is slow makes room: silence from many addresses keeps others out for seconds at most. */
static uint64_t handshakes_turn(ch_ws_server *server, uint64_t now_ms) {
  uint64_t patience_ms = (server->handshake_count < HANDSHAKES_MAX ? HANDSHAKE_S : PATIENCE_S) * UINT64_C(1000);
  while (!ch_list_is_empty(&server->handshakes)) {
    handshake *oldest = CH_LIST_ITEM(server->handshakes.next, handshake, node);
    if (oldest->begun_ms + patience_ms > now_ms) return oldest->begun_ms + patience_ms;
    ch_list_remove(&oldest->node);
    kill_now(oldest->wsi);
  }
  return CH_NEVER_MS;
}

/* ------------------------------------------------------------------------------------------------ writing */

static void ask_writable(connection *wanting) {
  if (wanting->waits_writable) return;
  wanting->waits_writable = true;
  lws_callback_on_writable(wanting->wsi);
}

static bool write_frame(ch_ws_server *server, connection *to, chat_bytes frame) {
  uint8_t *start = server->scratch + LWS_PRE;
  memcpy(start, frame.data, frame.len);
  int written = lws_write(to->wsi, start, frame.len, LWS_WRITE_BINARY);
  if (written < (int)frame.len) return false;
  ch_gateway_taken(server->config.gateway, to->id, frame.len, now_of(server));
  return true;
}

/* libwebsockets keeps what a socket does not take of a frame. To ask before each costs a system call, so that it is asked for large ones alone: a peer that does not read has at most one small one
 * there. */
static bool takes(struct lws *wsi, size_t len) {
  return len <= SMALL_LEN ? !lws_partial_buffered(wsi) : !lws_send_pipe_choked(wsi);
}

typedef enum flush_result { FLUSHED, WAITS, TO_CLOSE, BROKEN } flush_result;

static flush_result write_all(ch_ws_server *server, connection *to) {
  for (;;) {
    bool close = false;
    chat_bytes frame = ch_gateway_peek(server->config.gateway, to->id, &close);
    if (frame.len == 0) return close ? TO_CLOSE : FLUSHED;
    ch_assert(frame.len <= CHAT_FRAME_MAX);
    if (!takes(to->wsi, frame.len)) return WAITS;
    if (!write_frame(server, to, frame)) return BROKEN;
  }
}

/* Outside a callback of libwebsockets a connection cannot be ended well, so TO_CLOSE waits for one. */
static void flush_one(ch_ws_server *server, connection *to) {
  switch (write_all(server, to)) {
    case FLUSHED: break;
    case WAITS:
    case TO_CLOSE: ask_writable(to); break;
    case BROKEN: kill_soon(to->wsi); break;
  }
}

size_t ch_ws_server_flush(ch_ws_server *server) {
  size_t count = 0;
  for (uint64_t id; (id = ch_gateway_next_dirty(server->config.gateway)) != 0; count++) {
    connection *dirty = find(server, id);
    if (dirty && !dirty->waits_writable) flush_one(server, dirty);
  }
  return count;
}

static int on_writable(ch_ws_server *server, struct lws *wsi, per_session *session) {
  connection *to = find(server, session->id);
  if (!to) return -1;
  to->waits_writable = false;
  switch (write_all(server, to)) {
    case FLUSHED: return 0;
    case WAITS: ask_writable(to); return 0;
    case TO_CLOSE: lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0); break;
    case BROKEN: break;
  }
  tell_closed(server, session);
  return -1;
}

/* ------------------------------------------------------------------------------------------------ reading */

/* The gateway answers with its reason and closes; until then whatever else comes is dropped. */
static int violate(ch_ws_server *server, connection *from, int error) {
  from->is_violating = true;
  ch_buf_fini(&from->message);
  ch_gateway_violated(server->config.gateway, from->id, error, now_of(server));
  return 0;
}

static int on_received(ch_ws_server *server, struct lws *wsi, per_session *session, chat_bytes part) {
  connection *from = find(server, session->id);
  if (!from) return -1;
  if (from->is_violating) return 0;
  if (!lws_frame_is_binary(wsi)) return violate(server, from, CHAT_E_PROTOCOL);
  bool is_last = lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;
  if (is_last && from->message.len == 0) { /* in one piece: no copy */
    ch_gateway_frame(server->config.gateway, session->id, part, now_of(server));
    return 0;
  }
  int error = part.len ? ch_buf_put(&from->message, part) : 0;
  if (error) return violate(server, from, error);
  if (!is_last) return 0;
  ch_gateway_frame(server->config.gateway, session->id, ch_buf_bytes(&from->message), now_of(server));
  ch_buf_fini(&from->message);
  return 0;
}

static int on_opened(ch_ws_server *server, struct lws *wsi, per_session *session) {
  char address[ADDRESS_MAX] = "";
  lws_get_peer_simple(wsi, address, sizeof address);
  session->id = 0;
  handshake_end(server, wsi);
  connection *opened = take_slot(server, wsi);
  if (!opened) return -1;
  if (ch_gateway_opened(server->config.gateway, opened->id, ch_bytes_text(address), now_of(server)) != 0) {
    give_slot_back(server, opened);
    lws_close_reason(wsi, (enum lws_close_status)1013 /* try again later (IANA registry of close codes) */, NULL, 0);
    return -1;
  }
  session->id = opened->id;
  return 0;
}

/* Before the upgrade: the path. The subprotocol has been chosen; without one the first row of `protocols` is asked, which refuses. */
static bool is_our_path(struct lws *wsi) {
  char path[8];
  int len = lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI);
  return len > 0 && (strcmp(path, "/") == 0 || strcmp(path, "/chat") == 0);
}

static ch_ws_server *server_of(struct lws *wsi) {
  return lws_context_user(lws_get_context(wsi));
}

static int on_chat(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
  switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: return is_our_path(wsi) ? 0 : 1;
    case LWS_CALLBACK_ESTABLISHED: return on_opened(server_of(wsi), wsi, user);
    case LWS_CALLBACK_RECEIVE: return on_received(server_of(wsi), wsi, user, ch_bytes_of(in, len));
    case LWS_CALLBACK_SERVER_WRITEABLE: return on_writable(server_of(wsi), wsi, user);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
    case LWS_CALLBACK_CLOSED: tell_closed(server_of(wsi), user); return 0;
    default: return 0;
  }
}

/* The certificate's context belongs to the vhost: kept to change certificates in it. */
static int on_tls_context(ch_ws_server *server, SSL_CTX *tls) {
  server->tls = tls;
  return ch_tls_harden(tls) ? 0 : 1;
}

/* Plain HTTP, and upgrades to no subprotocol of ours. */
static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
  (void)in;
  (void)len;
  switch (reason) {
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS: return on_tls_context(server_of(wsi), user);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: return 1;
    case LWS_CALLBACK_WSI_DESTROY: handshake_end(server_of(wsi), wsi); return 0;
    case LWS_CALLBACK_HTTP: lws_return_http_status(wsi, HTTP_STATUS_NOT_FOUND, NULL); return -1;
    default: return 0;
  }
}

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = on_http},
    /* Without tx_packet_size libwebsockets cuts what it writes to rx_buffer_size, and keeps and asks for the rest. */
    {.name = "chat.v1", .callback = on_chat, .per_session_data_size = sizeof(per_session), .rx_buffer_size = RX_LEN, .tx_packet_size = CHAT_FRAME_MAX},
    {.name = NULL},
};

/* ------------------------------------------------------------------------------------------------ life */

static const lws_retry_bo_t no_validity = {0};

/* See ch_ws_server_end. Never readable; libwebsockets closes it. */
static int open_last(ch_ws_server *server) {
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return CHAT_E_NOMEM;
  lws_sock_file_fd_type last = {.filefd = fd};
  if (lws_adopt_descriptor_vhost(server->vhost, LWS_ADOPT_RAW_FILE_DESC, last, protocols[0].name, NULL)) return 0;
  return CHAT_E_NOMEM;
}

static int make_context(ch_ws_server *server) {
  void *loops[] = {&server->config.loop->uv};
  struct lws_context_creation_info info = {
      .port = CONTEXT_PORT_NO_LISTEN_SERVER, /* we accept, libwebsockets adopts */
      .protocols = protocols,
      .gid = -1,
      .uid = -1,
      .user = server,
      .timeout_secs = HANDSHAKE_S,
      .max_http_header_pool = 0, /* upgrades under way: as many as descriptors; with fewer, connections that say nothing would keep others waiting */
      .retry_and_idle_policy = &no_validity,
      .foreign_loops = loops,
      .pcontext = &server->context,
      .server_string = "chatd",
      .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN,
  };
  if (server->config.cert) {
    info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.ssl_cert_filepath = server->config.cert;
    info.ssl_private_key_filepath = server->config.key;
  }
  server->context = lws_create_context(&info);
  if (!server->context) return CHAT_E_NOMEM;
  server->vhost = lws_create_vhost(server->context, &info);
  if (!server->vhost) return server->config.cert ? CHAT_E_TLS : CHAT_E_NOMEM;
  return open_last(server);
}

/* Before TLS or anything else is done for it. A close without a word is the cheapest answer, and means "later" (docs/protocol.md, "Transport"). */
static bool is_admitted(ch_ws_server *server, const ch_address *from) {
  uint8_t origin[CH_ORIGIN_MAX];
  size_t len = ch_address_origin(from, origin);
  return ch_gateway_admit(server->config.gateway, ch_bytes_of(origin, len), now_of(server)) == 0;
}

static void on_accepted(void *arg, int fd, const ch_address *from) {
  ch_ws_server *server = arg;
  if (!is_admitted(server, from)) {
    close(fd);
    return;
  }
  struct lws *wsi = lws_adopt_socket_vhost(server->vhost, fd); /* closes it where it fails */
  if (wsi) handshake_begin(server, wsi);
}

int ch_ws_server_new(const ch_ws_server_config *config, ch_ws_server **out) {
  *out = NULL;
  ch_ws_server *server = ch_calloc(config->alloc, 1, sizeof *server);
  if (!server) {
    close(config->listen_fd);
    return CHAT_E_NOMEM;
  }
  server->config = *config;
  ch_list_init(&server->handshakes);
  int error = ch_listener_open(&server->listener, &config->loop->uv, config->listen_fd, on_accepted, server);
  server->scratch = ch_alloc(config->alloc, LWS_PRE + CHAT_FRAME_MAX);
  if (!error) error = server->scratch ? make_context(server) : CHAT_E_NOMEM;
  if (error)
    ch_ws_server_free(server);
  else
    *out = server;
  return error;
}

uint64_t ch_ws_server_turn(ch_ws_server *server, ch_now now) {
  uint64_t listener_ms = ch_listener_turn(&server->listener, now.elapsed_ms), handshakes_ms = handshakes_turn(server, now.elapsed_ms);
  return listener_ms < handshakes_ms ? listener_ms : handshakes_ms;
}

void ch_ws_server_stop_listening(ch_ws_server *server) {
  ch_listener_close(&server->listener);
}

void ch_ws_server_reload(ch_ws_server *server) {
  if (server->tls) ch_tls_load(server->tls, server->config.cert, server->config.key);
}

/* What libwebsockets has not told by the time it destroys the context. */
static void cut_all(ch_ws_server *server) {
  for (size_t i = 0; i < server->slot_count; i++) {
    connection *left = &server->slots[i];
    if (!left->wsi) continue;
    uint64_t id = left->id;
    give_slot_back(server, left);
    ch_gateway_closed(server->config.gateway, id, now_of(server));
  }
}

/* In a foreign loop libwebsockets 4.1 ends in steps. The first call closes all connections; when the last of them is gone it closes its own handles, and there must be one, so we keep
 * an idle one (open_last). Only when those handles are gone too may it be called again to free the context: called earlier it would free handles that libuv still holds. */
bool ch_ws_server_end(ch_ws_server *server) {
  if (!server->is_ending) {
    server->is_ending = true;
    ch_listener_close(&server->listener);
    if (server->context) lws_context_destroy(server->context);
    cut_all(server);
  } else if (server->context && ch_turn_loop_is_alone(server->config.loop)) {
    lws_context_destroy(server->context);
  }
  return server->context == NULL;
}

void ch_ws_server_free(ch_ws_server *server) {
  if (!server) return;
  while (!ch_ws_server_end(server)) uv_run(&server->config.loop->uv, UV_RUN_NOWAIT);
  ch_free(server->config.alloc, server->slots);
  ch_free(server->config.alloc, server->free_slots);
  ch_free(server->config.alloc, server->scratch);
  ch_free(server->config.alloc, server);
}
