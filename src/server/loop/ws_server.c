/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/ws_server.h"

#include <string.h>
#include <unistd.h>

#include "core/assert.h"
#include "server/loop/tls.h"
#include "server/loop/ws_parts.h"

enum {
  HANDSHAKE_S = 10,      /* for TLS and the upgrade, together */
  HANDSHAKES_MAX = 2048, /* under way, about 50 KB each with TLS; then connections wait in the backlog */
  PATIENCE_S = 2,        /* how long one may take while others wait for its place */
  LINGER_S = 3,          /* for a peer to read our last bytes */
  LINGERING_MAX = 2048
};

/* ------------------------------------------------------------------------------------------------ connections by number */

static ch_ws_conn *find(const ch_ws_server *server, uint64_t id) {
  uint32_t slot = (uint32_t)id;
  if (slot == 0 || slot > server->slot_count) return NULL;
  ch_ws_conn *found = server->slots[slot - 1];
  return found && found->id == id ? found : NULL;
}

static bool grow(ch_ws_server *server) {
  size_t count = server->slot_count ? server->slot_count * 2 : 64;
  ch_ws_conn **slots = ch_realloc(server->config.alloc, server->slots, count, sizeof(ch_ws_conn *));
  if (!slots) return false;
  server->slots = slots;
  uint32_t *free_slots = ch_realloc(server->config.alloc, server->free_slots, count, sizeof *free_slots);
  if (!free_slots) return false;
  server->free_slots = free_slots;
  for (size_t i = count; i > server->slot_count; i--) {
    slots[i - 1] = NULL;
    free_slots[server->free_count++] = (uint32_t)(i - 1);
  }
  server->slot_count = count;
  return true;
}

bool ch_ws_server_number(ch_ws_server *server, ch_ws_conn *conn) {
  if (server->free_count == 0 && !grow(server)) return false;
  uint32_t slot = server->free_slots[--server->free_count];
  conn->id = (uint64_t)++server->generation << 32 | (slot + 1);
  server->slots[slot] = conn;
  return true;
}

void ch_ws_server_forget(ch_ws_server *server, const ch_ws_conn *conn) {
  uint32_t slot = (uint32_t)conn->id - 1;
  ch_assert(server->slots[slot] == conn);
  server->slots[slot] = NULL;
  server->free_slots[server->free_count++] = slot;
}

/* ------------------------------------------------------------------------------------------------ connections that have a deadline */

static ch_ws_conn *oldest(ch_list *list) {
  return CH_LIST_ITEM(list->next, ch_ws_conn, node);
}

static void shaking_begin(ch_ws_server *server, ch_ws_conn *conn) {
  ch_list_push_back(&server->shaking, &conn->node);
  if (++server->shaking_count >= HANDSHAKES_MAX) ch_listener_pause(&server->listener);
}

static void shaking_end(ch_ws_server *server) {
  if (--server->shaking_count < HANDSHAKES_MAX) ch_listener_resume(&server->listener);
}

/* Who lingers longest makes room. */
static void lingering_begin(ch_ws_server *server, ch_ws_conn *conn) {
  if (server->lingering_count == LINGERING_MAX) ch_ws_conn_drop(oldest(&server->lingering));
  ch_list_push_back(&server->lingering, &conn->node);
  server->lingering_count++;
}

void ch_ws_server_moved(ch_ws_server *server, ch_ws_conn *conn, ch_ws_state before) {
  ch_list_remove(&conn->node);
  if (before == CH_WS_SHAKING) shaking_end(server);
  if (before == CH_WS_LINGERING) server->lingering_count--;
  if (conn->state == CH_WS_SHAKING) shaking_begin(server, conn);
  if (conn->state == CH_WS_LINGERING) lingering_begin(server, conn);
}

/* Ends what took too long; when the next one will have. */
static uint64_t drop_old(ch_list *list, uint64_t time_ms, uint64_t now_ms) {
  while (!ch_list_is_empty(list)) {
    uint64_t deadline_ms = oldest(list)->since_ms + time_ms;
    if (deadline_ms > now_ms) return deadline_ms;
    ch_ws_conn_drop(oldest(list));
  }
  return CH_NEVER_MS;
}

/* Where all places are taken, whoever is slow makes room: silence from many addresses keeps others out for seconds at most. */
static uint64_t patience_ms(const ch_ws_server *server) {
  return (server->shaking_count < HANDSHAKES_MAX ? HANDSHAKE_S : PATIENCE_S) * UINT64_C(1000);
}

static uint64_t sooner(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

uint64_t ch_ws_server_turn(ch_ws_server *server, ch_now now) {
  server->now = now;
  uint64_t next_ms = ch_listener_turn(&server->listener, now.elapsed_ms);
  next_ms = sooner(next_ms, drop_old(&server->shaking, patience_ms(server), now.elapsed_ms));
  return sooner(next_ms, drop_old(&server->lingering, LINGER_S * UINT64_C(1000), now.elapsed_ms));
}

/* ------------------------------------------------------------------------------------------------ in and out */

/* Before TLS or anything else is done for it. A close without a word is the cheapest answer, and means "later" (docs/protocol.md, "Transport"). */
static bool is_admitted(ch_ws_server *server, const ch_address *from) {
  uint8_t origin[CH_ORIGIN_MAX];
  size_t len = ch_address_origin(from, origin);
  return ch_gateway_admit(server->config.gateway, ch_bytes_of(origin, len), server->now) == 0;
}

static void on_accepted(void *arg, int fd, const ch_address *from) {
  ch_ws_server *server = arg;
  server->now = ch_turn_loop_now(server->config.loop);
  if (is_admitted(server, from))
    ch_ws_conn_new(server, fd);
  else
    close(fd);
}

size_t ch_ws_server_flush(ch_ws_server *server) {
  size_t count = 0;
  server->now = ch_turn_loop_now(server->config.loop);
  for (uint64_t id; (id = ch_gateway_next_dirty(server->config.gateway)) != 0; count++) {
    ch_ws_conn *dirty = find(server, id);
    if (dirty) ch_ws_conn_flush(dirty);
  }
  return count;
}

/* ------------------------------------------------------------------------------------------------ life */

int ch_ws_server_new(const ch_ws_server_config *config, ch_ws_server **out) {
  *out = NULL;
  ch_ws_server *server = ch_calloc(config->alloc, 1, sizeof *server);
  if (!server) {
    close(config->listen_fd);
    return CHAT_E_NOMEM;
  }
  server->config = *config;
  server->now = ch_turn_loop_now(config->loop);
  ch_list_init(&server->shaking);
  ch_list_init(&server->lingering);
  int error = ch_listener_open(&server->listener, &config->loop->uv, config->listen_fd, on_accepted, server);
  if (!error && config->cert && !(server->tls = ch_tls_new(config->cert, config->key))) error = CHAT_E_TLS;
  if (error)
    ch_ws_server_free(server);
  else
    *out = server;
  return error;
}

void ch_ws_server_stop_listening(ch_ws_server *server) {
  ch_listener_close(&server->listener);
}

void ch_ws_server_reload(ch_ws_server *server) {
  if (server->tls) ch_tls_load(server->tls, server->config.cert, server->config.key);
}

static void drop_all(ch_ws_server *server) {
  server->now = ch_turn_loop_now(server->config.loop);
  for (size_t i = 0; i < server->slot_count; i++)
    if (server->slots[i]) ch_ws_conn_drop(server->slots[i]);
  drop_old(&server->shaking, 0, CH_NEVER_MS);
  drop_old(&server->lingering, 0, CH_NEVER_MS);
}

/* libuv gives a handle back only in the loop's next round. */
bool ch_ws_server_end(ch_ws_server *server) {
  if (server->is_down) return true; /* the loop may have ended since, and has no handle then */
  ch_listener_close(&server->listener);
  drop_all(server);
  server->is_down = ch_turn_loop_is_alone(server->config.loop);
  return server->is_down;
}

void ch_ws_server_free(ch_ws_server *server) {
  if (!server) return;
  while (!ch_ws_server_end(server)) uv_run(&server->config.loop->uv, UV_RUN_NOWAIT);
  SSL_CTX_free(server->tls);
  ch_free(server->config.alloc, server->slots);
  ch_free(server->config.alloc, server->free_slots);
  ch_free(server->config.alloc, server);
}
