/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/ws_conn.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "core/assert.h"
#include "server/loop/ws_parts.h"
#include "server/loop/ws_upgrade.h"

enum {
  READS_A_ROUND_LEN = 4 * CH_WS_READ_LEN, /* bytes of one connection, then others get their turn */
  DROPPED_MAX = 8 << 20,                  /* more than lies in sockets on the way: who still pushes does not listen */
  OWN_MAX = 1024,                         /* bytes of `own`: pongs that do not fit are not sent, to a peer who does not read */
  NOISE_MAX = 1000, NOISE_MS = 10000      /* docs/protocol.md, "Limits" */
};

static ch_gateway *gateway_of(const ch_ws_conn *conn) {
  return conn->server->config.gateway;
}

/* ------------------------------------------------------------------------------------------------ states */

static void enter(ch_ws_conn *conn, ch_ws_state state) {
  ch_assert(state > conn->state);
  ch_ws_state before = conn->state;
  conn->state = state;
  conn->since_ms = conn->server->now.elapsed_ms;
  ch_ws_server_moved(conn->server, conn, before);
  if (before == CH_WS_OPEN) {
    ch_ws_server_forget(conn->server, conn);
    ch_gateway_closed(gateway_of(conn), conn->id, conn->server->now);
  }
}

static void on_closed(uv_handle_t *handle) {
  ch_ws_conn *conn = handle->data;
  ch_free(conn->server->config.alloc, conn);
}

void ch_ws_conn_drop(ch_ws_conn *conn) {
  enter(conn, CH_WS_GONE);
  ch_ws_frames_fini(&conn->frames);
  ch_buf_fini(&conn->own);
  uv_close((uv_handle_t *)&conn->poll, on_closed);
  ch_ws_socket_fini(&conn->socket);
}

static void on_ready(uv_poll_t *poll, int status, int events);

static void wait_writable(ch_ws_conn *conn, bool waits) {
  if (conn->waits_writable == waits) return;
  conn->waits_writable = waits;
  uv_poll_start(&conn->poll, waits ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_ready);
}

/* ------------------------------------------------------------------------------------------------ writing */

typedef enum written { WRITTEN, WAITS, BROKEN } written;

static written result_of(ssize_t taken) {
  return taken == CH_WS_SOCKET_LATER ? WAITS : BROKEN;
}

static written write_own(ch_ws_conn *conn) {
  while (conn->own.len > 0) {
    ssize_t taken = ch_ws_socket_write(&conn->socket, ch_buf_bytes(&conn->own), ch_bytes_of(NULL, 0), conn->server->scratch);
    if (taken < 0) return result_of(taken);
    conn->own.len -= (size_t)taken;
    memmove(conn->own.data, conn->own.data + taken, conn->own.len);
  }
  ch_buf_fini(&conn->own);
  return WRITTEN;
}

/* The rest of the frame that was begun, out of the gateway's buffer: it is taken from there when all of it is written, so what waits is counted where its bound is. */
static written write_frame(ch_ws_conn *conn, const uint8_t *data) {
  uint8_t bytes[CH_WS_HEAD_LEN_MAX];
  size_t head_len = ch_ws_frame_head(CH_WS_OP_BINARY, conn->frame_len, bytes), whole_len = head_len + conn->frame_len;
  while (conn->frame_taken_len < whole_len) {
    size_t at = conn->frame_taken_len, head_at = at < head_len ? at : head_len, data_at = at - head_at;
    ch_bytes head = ch_bytes_of(bytes + head_at, head_len - head_at), rest = ch_bytes_of(data + data_at, conn->frame_len - data_at);
    ssize_t taken = ch_ws_socket_write(&conn->socket, head, rest, conn->server->scratch);
    if (taken < 0) return result_of(taken);
    conn->frame_taken_len += (uint32_t)taken;
  }
  ch_gateway_taken(gateway_of(conn), conn->id, conn->frame_len, conn->server->now);
  conn->frame_len = 0;
  return WRITTEN;
}

/* The gateway cuts off who reads too slowly, and drops what waits: a frame that was begun cannot be ended then. */
static written write_frames(ch_ws_conn *conn, bool *close) {
  for (;;) {
    chat_bytes frame = ch_gateway_peek(gateway_of(conn), conn->id, close);
    if (frame.len < conn->frame_len) return BROKEN;
    if (conn->frame_len == 0) { /* between frames there is place for ours */
      written own = write_own(conn);
      if (own != WRITTEN || frame.len == 0) return own;
      ch_assert(frame.len <= CHAT_FRAME_MAX);
      conn->frame_len = (uint32_t)frame.len;
      conn->frame_taken_len = 0;
    }
    written result = write_frame(conn, frame.data);
    if (result != WRITTEN) return result;
  }
}

/* ------------------------------------------------------------------------------------------------ the end */

/* All that waits goes out, then no more. */
static void write_last(ch_ws_conn *conn) {
  written result = write_own(conn);
  if (result == BROKEN) {
    ch_ws_conn_drop(conn);
    return;
  }
  wait_writable(conn, result == WAITS);
  if (result == WRITTEN) ch_ws_socket_end(&conn->socket);
}

static void linger(ch_ws_conn *conn) {
  ch_ws_frames_fini(&conn->frames);
  enter(conn, CH_WS_LINGERING);
  write_last(conn);
}

static int put_control(ch_ws_conn *conn, ch_ws_opcode opcode, ch_bytes payload) {
  uint8_t head[CH_WS_HEAD_LEN_MAX];
  ch_buf_put(&conn->own, ch_bytes_of(head, ch_ws_frame_head(opcode, payload.len, head)));
  return ch_buf_put(&conn->own, payload);
}

/* Says Close, and nothing after it. What the gateway still has goes before, if the socket takes it. */
static void close_with(ch_ws_conn *conn, uint16_t code) {
  uint8_t bytes[] = {(uint8_t)(code >> 8), (uint8_t)code};
  bool close;
  written before = write_frames(conn, &close);
  if (before != BROKEN && conn->frame_len == 0 && put_control(conn, CH_WS_OP_CLOSE, ch_bytes_of(bytes, code ? sizeof bytes : 0)) == 0)
    linger(conn);
  else
    ch_ws_conn_drop(conn);
}

static void flush(ch_ws_conn *conn) {
  bool close = false;
  switch (write_frames(conn, &close)) {
    case WAITS: wait_writable(conn, true); break;
    case BROKEN: ch_ws_conn_drop(conn); break;
    case WRITTEN:
      wait_writable(conn, false);
      if (close) close_with(conn, conn->close_code);
      break;
  }
}

/* Has the gateway dropped what waits? Then the socket may never be writable again. */
static bool is_given_up(const ch_ws_conn *conn) {
  bool close = false;
  size_t len = ch_gateway_peek(gateway_of(conn), conn->id, &close).len;
  return close && (len == 0 || len < conn->frame_len);
}

void ch_ws_conn_flush(ch_ws_conn *conn) {
  if (!conn->waits_writable)
    flush(conn);
  else if (is_given_up(conn))
    ch_ws_conn_drop(conn);
}

/* ------------------------------------------------------------------------------------------------ events of a WebSocket */

/* The gateway says why, and closes. */
static void violate(ch_ws_conn *conn, int error, uint16_t code) {
  conn->close_code = code;
  ch_gateway_violated(gateway_of(conn), conn->id, error, conn->server->now);
}

/* Frames that bring nothing cost CPU all the same. */
static void count_noise(ch_ws_conn *conn) {
  uint64_t now_ms = conn->server->now.elapsed_ms;
  if (now_ms - conn->noise_since_ms >= NOISE_MS) {
    conn->noise_since_ms = now_ms;
    conn->noise = 0;
  }
  if (++conn->noise > NOISE_MAX) close_with(conn, CH_WS_CODE_UNWELCOME);
}

static bool has_room(const ch_ws_conn *conn, ch_bytes payload) {
  return conn->own.len + CH_WS_HEAD_LEN_MAX + payload.len <= OWN_MAX;
}

static void on_ping(ch_ws_conn *conn, ch_bytes payload) {
  if (!has_room(conn, payload)) flush(conn);
  if (conn->state == CH_WS_OPEN && has_room(conn, payload) && put_control(conn, CH_WS_OP_PONG, payload) != 0) ch_ws_conn_drop(conn);
  if (conn->state == CH_WS_OPEN) count_noise(conn);
}

static void on_message(ch_ws_conn *conn, ch_bytes payload) {
  if (payload.len == 0)
    count_noise(conn);
  else
    ch_gateway_frame(gateway_of(conn), conn->id, payload, conn->server->now);
}

static void on_event(ch_ws_conn *conn, const ch_ws_event *event) {
  switch (event->kind) {
    case CH_WS_MESSAGE: on_message(conn, event->payload); break;
    case CH_WS_PING: on_ping(conn, event->payload); break;
    case CH_WS_PONG:
    case CH_WS_EMPTY_PART: count_noise(conn); break;
    case CH_WS_CLOSE:
    case CH_WS_BROKEN: close_with(conn, event->code); break;
    case CH_WS_TEXT: violate(conn, CHAT_E_PROTOCOL, CH_WS_CODE_NOT_BINARY); break;
    case CH_WS_TOO_LARGE: violate(conn, CHAT_E_TOO_LARGE, CH_WS_CODE_TOO_LARGE); break;
    case CH_WS_OUT_OF_MEMORY: ch_ws_conn_drop(conn); break;
    case CH_WS_MORE: break;
  }
}

static void read_frames(ch_ws_conn *conn, uint8_t *data, size_t len) {
  ch_ws_input in = {data, len};
  ch_ws_event event;
  do {
    event = ch_ws_frames_next(&conn->frames, &in);
    on_event(conn, &event);
  } while (event.kind != CH_WS_MORE && conn->state == CH_WS_OPEN);
}

/* ------------------------------------------------------------------------------------------------ the request */

static size_t put_address(int fd, char *text, socklen_t room) {
  struct sockaddr_storage peer;
  socklen_t len = sizeof peer;
  if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0) return 0;
  const void *address = peer.ss_family == AF_INET6 ? (const void *)&((struct sockaddr_in6 *)&peer)->sin6_addr : (const void *)&((struct sockaddr_in *)&peer)->sin_addr;
  return inet_ntop(peer.ss_family, address, text, room) ? strlen(text) : 0;
}

static int tell_opened(ch_ws_conn *conn) {
  char address[INET6_ADDRSTRLEN];
  size_t len = put_address(conn->socket.fd, address, sizeof address);
  return ch_gateway_opened(gateway_of(conn), conn->id, ch_bytes_of(address, len), conn->server->now);
}

/* The answer stands in `own`. A gateway that has no room for it says so in the WebSocket's words: the answer was given already, to the request. */
static void open_up(ch_ws_conn *conn) {
  if (!ch_ws_server_number(conn->server, conn)) {
    ch_ws_conn_drop(conn);
    return;
  }
  if (tell_opened(conn) == 0) {
    enter(conn, CH_WS_OPEN);
    return;
  }
  static const uint8_t later[] = {CH_WS_CODE_LATER >> 8, CH_WS_CODE_LATER & 0xff};
  ch_ws_server_forget(conn->server, conn);
  if (put_control(conn, CH_WS_OP_CLOSE, ch_bytes_of(later, sizeof later)) == 0)
    linger(conn);
  else
    ch_ws_conn_drop(conn);
}

static void answer(ch_ws_conn *conn, int status, const ch_ws_request *request) {
  if (ch_ws_upgrade_answer(status, request, &conn->own) != 0)
    ch_ws_conn_drop(conn);
  else if (status == 101)
    open_up(conn);
  else
    linger(conn);
}

/* A request mostly lies whole in what was read, and nothing is kept of it. */
static void read_request(ch_ws_conn *conn, uint8_t *data, size_t len) {
  ch_buf *part = &conn->frames.part;
  ch_ws_request request;
  size_t seen_len = part->len, room = CH_WS_HEAD_MAX - seen_len;
  bool is_whole = seen_len == 0;
  if (!is_whole && ch_buf_put(part, ch_bytes_of(data, len < room ? len : room)) != 0) {
    ch_ws_conn_drop(conn);
    return;
  }
  int status = ch_ws_upgrade_read(is_whole ? ch_bytes_of(data, len) : ch_buf_bytes(part), seen_len, &request);
  if (status == 0) {
    if (is_whole && ch_buf_put(part, ch_bytes_of(data, len)) != 0) ch_ws_conn_drop(conn);
    return;
  }
  ch_buf_fini(part);
  answer(conn, status, &request);
  size_t used_len = request.head_len - seen_len;
  if (conn->state == CH_WS_OPEN && used_len < len) read_frames(conn, data + used_len, len - used_len);
}

/* ------------------------------------------------------------------------------------------------ reading */

static ssize_t read_some(ch_ws_conn *conn, uint8_t *in) {
  return conn->state == CH_WS_LINGERING ? ch_ws_socket_discard(&conn->socket, in, CH_WS_READ_LEN) : ch_ws_socket_read(&conn->socket, in, CH_WS_READ_LEN);
}

static void take(ch_ws_conn *conn, uint8_t *data, size_t len) {
  if (conn->state == CH_WS_SHAKING)
    read_request(conn, data, len);
  else if (conn->state == CH_WS_OPEN)
    read_frames(conn, data, len);
  else if ((conn->dropped_len += (uint32_t)len) > DROPPED_MAX)
    ch_ws_conn_drop(conn);
}

/* An error of TLS is told by an alert, which is worth reading. */
static void end_of_input(ch_ws_conn *conn, ssize_t why) {
  if (why == CH_WS_SOCKET_BROKEN && conn->state == CH_WS_SHAKING && conn->socket.tls)
    linger(conn);
  else
    ch_ws_conn_drop(conn);
}

static void read_all(ch_ws_conn *conn) {
  uint8_t *in = conn->server->in;
  size_t read_len = 0;
  ssize_t len;
  do {
    len = read_some(conn, in);
    if (len > 0) take(conn, in, (size_t)len);
    if (len > 0) read_len += (size_t)len;
  } while (len > 0 && conn->state != CH_WS_GONE && read_len < READS_A_ROUND_LEN && ch_ws_socket_has_more(&conn->socket, (size_t)len, CH_WS_READ_LEN));
  if (conn->state != CH_WS_GONE && (len == 0 || len == CH_WS_SOCKET_BROKEN)) end_of_input(conn, len);
}

/* Ours, the answer to the request and pongs, and what waited. What the gateway has to say since then comes with the turn. */
static void write_more(ch_ws_conn *conn, bool was_waiting) {
  if (conn->state == CH_WS_OPEN && (was_waiting || conn->own.len > 0)) flush(conn);
  if (conn->state == CH_WS_LINGERING && was_waiting) write_last(conn);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  ch_ws_conn *conn = poll->data;
  conn->server->now = ch_turn_loop_now(conn->server->config.loop);
  if (status < 0) { /* the peer has reset it */
    ch_ws_conn_drop(conn);
    return;
  }
  bool was_waiting = conn->waits_writable;
  if (events & UV_READABLE || conn->socket.is_stuck) read_all(conn);
  write_more(conn, was_waiting);
  if (conn->state == CH_WS_SHAKING || (conn->state == CH_WS_OPEN && conn->socket.is_stuck)) wait_writable(conn, conn->socket.is_stuck);
}

/* ------------------------------------------------------------------------------------------------ life */

bool ch_ws_conn_new(ch_ws_server *server, int fd) {
  ch_ws_conn *conn = ch_calloc(server->config.alloc, 1, sizeof *conn);
  ch_ws_socket socket;
  bool has_socket = ch_ws_socket_init(&socket, fd, server->tls);
  if (!conn || !has_socket || uv_poll_init(&server->config.loop->uv, &conn->poll, fd) != 0) {
    if (has_socket) ch_ws_socket_fini(&socket);
    ch_free(server->config.alloc, conn);
    return false;
  }
  conn->poll.data = conn;
  conn->server = server;
  conn->socket = socket;
  conn->close_code = CH_WS_CODE_NORMAL;
  ch_ws_frames_init(&conn->frames, server->config.alloc);
  ch_buf_init(&conn->own, server->config.alloc, OWN_MAX);
  ch_list_init(&conn->node);
  enter(conn, CH_WS_SHAKING);
  uv_poll_start(&conn->poll, UV_READABLE, on_ready);
  return true;
}
