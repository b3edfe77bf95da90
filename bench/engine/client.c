/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "engine/load.h"
#include "engine/ws.h"
#include "protocol/protocol.h"
#include "workload/workload.h"

enum {
  READ_LEN = 1 << 18,
  KEPT_LEN = 4096, /* of an empty buffer: many thousand clients share this process */
};

static const bench_protocol *protocol_of(const bench_client *client) {
  return client->load->config.protocol;
}

uint32_t client_member(const bench_client *client) {
  return (uint32_t)(client - client->room->members);
}

bench_client *client_partner(const bench_client *client) {
  return &client->room->members[1 - client_member(client)];
}

static void empty(ch_buf *buf) {
  if (buf->cap_len > KEPT_LEN) ch_buf_fini(buf);
  ch_buf_clear(buf);
}

/* ------------------------------------------------------------------------------------------------ connecting */

static in_addr_t source_of(const bench_client *client) {
  uint32_t sources = client->load->config.sources;
  return sources ? htonl(INADDR_LOOPBACK + 1 + client->index % sources) : 0;
}

static void watch(bench_client *client, int operation) {
  struct epoll_event event = {.events = client->deaf ? 0 : EPOLLIN, .data.ptr = client};
  if (client->state == CLIENT_CONNECTING || client->awaits_room) event.events |= EPOLLOUT;
  if (epoll_ctl(client->load->epoll, operation, client->channel.fd, &event)) load_fail("epoll_ctl: %s", strerror(errno));
}

void client_connect(bench_client *client) {
  bench_load *load = client->load;
  if (!channel_open(&client->channel, &load->config.peer, source_of(client), load->config.tls, load->config.narrow))
    load_fail("client %u: no connection: %s", client->index, strerror(errno));
  client->state = CLIENT_CONNECTING;
  load->connecting_count++;
  watch(client, EPOLL_CTL_ADD);
}

void client_close(bench_client *client) {
  bench_load *load = client->load;
  if (client->state == CLIENT_CLOSED) return;
  if (client->state < CLIENT_READY) load->connecting_count--;
  if (client->state >= CLIENT_READY) load->ready_count--;
  if (client->state >= CLIENT_JOINED) load->joined_count--;
  client->state = CLIENT_CLOSED;
  client->awaits_room = client->deaf = false;
  channel_close(&client->channel);
  ch_timer_heap_clear(&load->timers, &client->timer);
  ch_buf_fini(&client->in);
  ch_buf_fini(&client->message);
  ch_buf_fini(&client->out);
  if (protocol_of(client)->closed) protocol_of(client)->closed(client);
}

static void lost(bench_client *client, const char *why) {
  const bench_workload *workload = client->load->config.workload;
  if (!workload->lost || client->load->phase < LOAD_WARM) load_fail("client %u (state %d): %s", client->index, (int)client->state, why);
  client_close(client);
  workload->lost(client);
}

static void request_upgrade(bench_client *client) {
  char path[256] = "/";
  if (protocol_of(client)->path) protocol_of(client)->path(client, path, sizeof path);
  ws_request_put(&client->out, "127.0.0.1", path, protocol_of(client)->subprotocol);
  client->state = CLIENT_UPGRADING;
  client_touch(client);
}

static void enter_open(bench_client *client) {
  client->state = CLIENT_OPEN;
  protocol_of(client)->open(client);
}

static void connected(bench_client *client) {
  int error = channel_error(&client->channel);
  if (error) {
    lost(client, strerror(error));
    return;
  }
  if (protocol_of(client)->framing == FRAMING_STREAM)
    enter_open(client);
  else
    request_upgrade(client);
  watch(client, EPOLL_CTL_MOD);
}

/* ------------------------------------------------------------------------------------------------ what comes in */

/* All but the last fragment are kept; a message in one piece is given as it lies. */
static void data_frame(bench_client *client, const ws_frame *frame) {
  ch_bytes piece = ch_bytes_of(frame->payload, frame->len);
  if (frame->final && !client->message.len) {
    protocol_of(client)->message(client, piece);
    return;
  }
  ch_buf_put(&client->message, piece);
  if (!frame->final) return;
  protocol_of(client)->message(client, ch_buf_bytes(&client->message));
  empty(&client->message);
}

static void put_frame(bench_client *client, ws_opcode opcode, ch_bytes payload) {
  static const uint8_t mask[4] = {0x5a, 0xc3, 0x1e, 0x87}; /* a mask is against proxies; there are none here */
  if (ws_frame_put(&client->out, opcode, payload, mask)) load_fail("client %u: too much waits to be written", client->index);
  client_touch(client);
}

static void any_frame(bench_client *client, const ws_frame *frame) {
  switch (frame->opcode) {
  case WS_PING: put_frame(client, WS_PONG, ch_bytes_of(frame->payload, frame->len)); break;
  case WS_CLOSE: lost(client, "the server closed the WebSocket"); break;
  case WS_PONG: break;
  default: data_frame(client, frame); break;
  }
}

static size_t take_upgrade(bench_client *client, ch_bytes bytes) {
  size_t len = ws_head_len(bytes);
  if (!len) return 0;
  if (memcmp(bytes.data, "HTTP/1.1 101", 12)) {
    lost(client, "the server refused the upgrade");
    return bytes.len;
  }
  enter_open(client);
  return len;
}

static size_t take_one(bench_client *client, uint8_t *bytes, size_t len) {
  if (client->state == CLIENT_UPGRADING) return take_upgrade(client, ch_bytes_of(bytes, len));
  if (protocol_of(client)->framing == FRAMING_STREAM) return protocol_of(client)->message(client, ch_bytes_of(bytes, len));
  ws_frame frame;
  size_t frame_len = ws_frame_read(bytes, len, &frame);
  if (frame_len) any_frame(client, &frame);
  return frame_len;
}

/* How much of the bytes was used. */
static size_t take(bench_client *client, uint8_t *bytes, size_t len) {
  size_t at = 0, used = 1;
  while (used && at < len && client->state != CLIENT_CLOSED) {
    used = take_one(client, bytes + at, len - at);
    at += used;
  }
  return at;
}

static void take_with_rest(bench_client *client, const uint8_t *bytes, size_t len) {
  ch_buf_put(&client->in, ch_bytes_of(bytes, len));
  size_t used = take(client, client->in.data, client->in.len);
  if (client->state == CLIENT_CLOSED) return;
  memmove(client->in.data, client->in.data + used, client->in.len - used);
  client->in.len -= used;
  if (!client->in.len) empty(&client->in);
}

static void read_some(bench_client *client, size_t len_max) {
  static uint8_t bytes[READ_LEN]; /* one thread, one read at a time */
  ssize_t len = channel_read(&client->channel, bytes, len_max);
  if (client->channel.tls && client->out.len) client_touch(client); /* the handshake may have gone on */
  if (len == CHANNEL_AGAIN) return;
  if (len <= 0) {
    lost(client, len ? "the connection broke" : "the server ended the connection");
    return;
  }
  client->load->now_ns = client->load->heard_ns = clock_now_ns();
  if (client->in.len) {
    take_with_rest(client, bytes, (size_t)len);
    return;
  }
  size_t used = take(client, bytes, (size_t)len);
  if (client->state != CLIENT_CLOSED && used < (size_t)len) ch_buf_put(&client->in, ch_bytes_of(bytes + used, (size_t)len - used));
}

void client_sip(bench_client *client, size_t len) {
  if (client->state >= CLIENT_OPEN) read_some(client, len < READ_LEN ? len : READ_LEN);
}

void client_turn_deaf(bench_client *client) {
  client->deaf = true;
  watch(client, EPOLL_CTL_MOD);
}

void client_event(bench_client *client, uint32_t events) {
  if (client->state == CLIENT_CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
    connected(client);
    return;
  }
  if (client->state != CLIENT_CLOSED && events & EPOLLOUT) client_touch(client);
  if (client->state != CLIENT_CLOSED && events & (EPOLLIN | EPOLLERR | EPOLLHUP)) read_some(client, READ_LEN);
}

/* ------------------------------------------------------------------------------------------------ what goes out */

void client_touch(bench_client *client) {
  if (client->dirty) return;
  client->dirty = true;
  client->next_dirty = client->load->dirty;
  client->load->dirty = client;
}

void client_put(bench_client *client, ch_bytes message) {
  bench_framing framing = protocol_of(client)->framing;
  if (framing != FRAMING_STREAM) {
    put_frame(client, framing == FRAMING_WS_TEXT ? WS_TEXT : WS_BINARY, message);
    return;
  }
  if (ch_buf_put(&client->out, message)) load_fail("client %u: too much waits to be written", client->index);
  client_touch(client);
}

static void await_room(bench_client *client, bool awaits) {
  if (client->awaits_room == awaits) return;
  client->awaits_room = awaits;
  watch(client, EPOLL_CTL_MOD);
}

void client_flush(bench_client *client) {
  if (client->state < CLIENT_UPGRADING) return;
  if (client->state >= CLIENT_OPEN && protocol_of(client)->turn) protocol_of(client)->turn(client);
  if (!client->out.len) return;
  ssize_t done = channel_write(&client->channel, client->out.data, client->out.len);
  if (done == CHANNEL_FAILED) {
    lost(client, "the connection broke while writing");
    return;
  }
  client->written_ms = load_now_ms(client->load);
  size_t written = done > 0 ? (size_t)done : 0;
  memmove(client->out.data, client->out.data + written, client->out.len - written);
  client->out.len -= written;
  await_room(client, client->out.len > 0 && !client->channel.tls);
  if (!client->out.len) empty(&client->out);
}

/* ------------------------------------------------------------------------------------------------ what protocols and workloads say */

void client_ready(bench_client *client) {
  client->state = CLIENT_READY;
  client->load->connecting_count--;
  client->load->ready_count++;
}

void client_joined(bench_client *client) {
  if (client->state == CLIENT_JOINED) return;
  client->state = CLIENT_JOINED;
  client->load->joined_count++;
}

void client_send(bench_client *client, uint64_t start_ns, uint32_t number) {
  bench_load *load = client->load;
  char body[65536];
  stamp_write(&(bench_stamp){start_ns, client->index, number}, body, load->config.body_len);
  protocol_of(client)->send(client, ch_bytes_of(body, load->config.body_len));
  if (load->phase == LOAD_STEADY) load->figures.sent++;
  client_touch(client);
}

void client_received(bench_client *client, ch_bytes body) {
  bench_load *load = client->load;
  bench_stamp stamp;
  if (!stamp_read((const char *)body.data, body.len, &stamp) || stamp.sender >= load->config.client_count)
    load_fail("client %u: a body came that this load did not send", client->index);
  if (load->phase == LOAD_STEADY) {
    load->figures.received++;
    if (stamp.start_ns >= load->figures.begin_ns) histogram_record(&load->figures.latency, load->now_ns - stamp.start_ns);
  }
  if (load->config.workload->received) load->config.workload->received(client, &stamp);
}

void client_accepted(bench_client *client) {
  const bench_workload *workload = client->load->config.workload;
  if (workload->accepted) workload->accepted(client);
}

void client_paged(bench_client *client, size_t count) {
  const bench_workload *workload = client->load->config.workload;
  if (workload->paged) workload->paged(client, count);
}

void client_fault(bench_client *client, const char *format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (!client->load->config.workload->lost) load_fail("client %u: %s", client->index, text);
  client->load->figures.fault_count++;
}

void client_tick_at(bench_client *client, uint64_t elapsed_ms) {
  if (ch_timer_heap_set(&client->load->timers, &client->timer, elapsed_ms)) load_fail("no memory for a timer");
}

void client_free(bench_client *client) {
  client_close(client);
  free(client->protocol_state);
  free(client->workload_state);
}
