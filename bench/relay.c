/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.c - what the machine costs: the least that a WebSocket server can do for a message, on a bare epoll.
 *
 *   relay relay      a message goes to the others of its room: in a room of two one read, one write
 *   relay relay_ack  and is acknowledged to its sender: one read, two writes
 *   relay relay_fan  a write to each of the others, of all that is pending for it
 *
 * All three are one loop: frames that one read brings are put where they belong, then each connection that has something is written once. A room is a path of the
 * upgrade. Listens on a free port of 127.0.0.1 and says so like chatd: "listening at port N".
 */
#define _GNU_SOURCE /* accept4 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/ws.h"

enum { CONNECTIONS_MAX = 20000, ROOM_MAX = 512, ROOMS_MAX = 20000, EVENTS_MAX = 512, READ_LEN = 1 << 18 };
static const size_t out_max = 64u << 20;
static const char ack_body[] = "accepted message";

typedef struct bench_connection {
  int fd;
  bool upgraded, dirty, blocked;
  struct bench_room *room;
  struct bench_connection *next_dirty;
  ch_buf in, out;
} bench_connection;

typedef struct bench_room {
  bench_connection *members[ROOM_MAX];
  size_t count;
} bench_room;

static bench_connection connections[CONNECTIONS_MAX];
static bench_room *rooms[ROOMS_MAX];
static bench_connection *dirty;
static int epoll;
static bool acknowledges;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void touch(bench_connection *connection) {
  if (connection->dirty) return;
  connection->dirty = true;
  connection->next_dirty = dirty;
  dirty = connection;
}

/* ------------------------------------------------------------------------------------------------ rooms */

static void enter_room(bench_connection *connection, size_t number) {
  if (number >= ROOMS_MAX) return;
  if (!rooms[number]) rooms[number] = calloc(1, sizeof(bench_room));
  bench_room *room = rooms[number];
  if (!room || room->count == ROOM_MAX) return;
  connection->room = room;
  room->members[room->count++] = connection;
}

static void leave_room(bench_connection *connection) {
  bench_room *room = connection->room;
  for (size_t i = 0; room && i < room->count; i++)
    if (room->members[i] == connection) room->members[i] = room->members[--room->count];
  connection->room = NULL;
}

static void relay(bench_connection *sender, ch_bytes body) {
  bench_room *room = sender->room;
  for (size_t i = 0; room && i < room->count; i++) {
    if (room->members[i] == sender) continue;
    ws_frame_put(&room->members[i]->out, WS_BINARY, body, NULL);
    touch(room->members[i]);
  }
  if (!acknowledges) return;
  ws_frame_put(&sender->out, WS_BINARY, ch_bytes_text(ack_body), NULL);
  touch(sender);
}

/* ------------------------------------------------------------------------------------------------ connections */

static void drop(bench_connection *connection) {
  leave_room(connection);
  close(connection->fd);
  ch_buf_fini(&connection->in);
  ch_buf_fini(&connection->out);
  connection->fd = -1;
}

static void accept_one(int listener) {
  int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  if (fd >= CONNECTIONS_MAX) {
    close(fd);
    return;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  bench_connection *connection = &connections[fd];
  bool was_dirty = connection->dirty; /* of the one that had this number before: it is still in the list */
  struct bench_connection *next = connection->next_dirty;
  *connection = (bench_connection){.fd = fd, .dirty = was_dirty, .next_dirty = next};
  ch_buf_init(&connection->in, NULL, out_max);
  ch_buf_init(&connection->out, NULL, out_max);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
}

static size_t upgrade(bench_connection *connection, ch_bytes bytes) {
  size_t len = ws_head_len(bytes);
  unsigned long number = 0;
  if (!len) return 0;
  if (sscanf((const char *)bytes.data, "GET /%lu", &number) != 1 || ws_answer_put(&connection->out, ch_bytes_of(bytes.data, len))) return 0;
  enter_room(connection, number);
  connection->upgraded = true;
  touch(connection);
  return len;
}

static size_t take_one(bench_connection *connection, uint8_t *bytes, size_t len) {
  if (!connection->upgraded) return upgrade(connection, ch_bytes_of(bytes, len));
  ws_frame frame;
  size_t used = ws_frame_read(bytes, len, &frame);
  if (used && frame.opcode == WS_BINARY) relay(connection, ch_bytes_of(frame.payload, frame.len));
  return used;
}

static size_t take(bench_connection *connection, uint8_t *bytes, size_t len) {
  size_t at = 0, used = 1;
  while (used && at < len) {
    used = take_one(connection, bytes + at, len - at);
    at += used;
  }
  return at;
}

static void take_with_rest(bench_connection *connection, const uint8_t *bytes, size_t len) {
  ch_buf_put(&connection->in, ch_bytes_of(bytes, len));
  size_t used = take(connection, connection->in.data, connection->in.len);
  memmove(connection->in.data, connection->in.data + used, connection->in.len - used);
  connection->in.len -= used;
}

static void readable(bench_connection *connection) {
  static uint8_t bytes[READ_LEN];
  ssize_t len = read(connection->fd, bytes, sizeof bytes);
  if (len < 0 && errno == EAGAIN) return;
  if (len <= 0) {
    drop(connection);
    return;
  }
  if (connection->in.len) {
    take_with_rest(connection, bytes, (size_t)len);
    return;
  }
  size_t used = take(connection, bytes, (size_t)len);
  if (used < (size_t)len) ch_buf_put(&connection->in, ch_bytes_of(bytes + used, (size_t)len - used));
}

static void await_room(bench_connection *connection, bool blocked) {
  if (connection->blocked == blocked) return;
  connection->blocked = blocked;
  struct epoll_event event = {.events = blocked ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = connection};
  epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

static void flush(bench_connection *connection) {
  if (connection->fd < 0 || !connection->out.len) return;
  ssize_t done = send(connection->fd, connection->out.data, connection->out.len, MSG_NOSIGNAL);
  if (done < 0 && errno != EAGAIN) return; /* its end is read */
  size_t written = done > 0 ? (size_t)done : 0;
  memmove(connection->out.data, connection->out.data + written, connection->out.len - written);
  connection->out.len -= written;
  await_room(connection, connection->out.len > 0);
}

/* ------------------------------------------------------------------------------------------------ the loop */

static int listen_anywhere(void) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) || listen(listener, 4096)) fail("listen");
  if (getsockname(listener, (struct sockaddr *)&address, &len)) fail("getsockname");
  printf("listening at port %d\n", ntohs(address.sin_port));
  fflush(stdout);
  return listener;
}

static void turn(int listener) {
  struct epoll_event events[EVENTS_MAX];
  int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
  for (int i = 0; i < count; i++) {
    bench_connection *connection = events[i].data.ptr;
    if (!connection) accept_one(listener);
    if (connection && events[i].events & EPOLLOUT) touch(connection);
    if (connection && connection->fd >= 0 && events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) readable(connection);
  }
  while (dirty) {
    bench_connection *connection = dirty;
    dirty = connection->next_dirty;
    connection->dirty = false;
    flush(connection);
  }
}

int main(int argc, char **argv) {
  if (argc != 2 || (strcmp(argv[1], "relay") && strcmp(argv[1], "relay_ack") && strcmp(argv[1], "relay_fan"))) {
    fprintf(stderr, "usage: relay relay|relay_ack|relay_fan\n");
    return 2;
  }
  acknowledges = !strcmp(argv[1], "relay_ack");
  epoll = epoll_create1(EPOLL_CLOEXEC);
  int listener = listen_anywhere();
  struct epoll_event event = {.events = EPOLLIN};
  if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event)) fail("epoll");
  for (;;)
    turn(listener);
}
