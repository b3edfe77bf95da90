/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server says to a client's transport, from the first byte of its answer on: bytes, answers to the upgrade that are nearly right, in pieces, WebSocket frames of any form. Whatever it
 * is: the transport opens only for the answer that belongs to its key, gives messages only while it is open and none above the bound, ends once, and gives back all memory.
 *
 * Input: actions of one byte, each followed by what it needs (see `actions`).
 */
#define _GNU_SOURCE /* memmem, accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/transport_lws.h"
#include "fuzz/fuzz.h"
#include "fuzz/support/memory.h"

enum { MEMORY_MAX = 16 << 20, REQUEST_MAX = 4096, KEY_LEN = 24, SHA1_LEN = 20, ROUNDS = 4, TRIES = 200 };

typedef struct world {
  fuzz_input *input;
  chat_transport *transport;
  int fd; /* the server's end */
  bool is_open, has_ended, is_right; /* is_right: an answer that belongs to the key may be among what was said */
  char accept[64];                   /* what it has to be */
} world;

static int listen_fd = -1, port;
static fuzz_memory memory;

/* --- the server's end --- */

static void begin(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  ch_assert(listen_fd >= 0 && bind(listen_fd, (struct sockaddr *)&at, len) == 0 && listen(listen_fd, 4) == 0);
  ch_assert(getsockname(listen_fd, (struct sockaddr *)&at, &len) == 0);
  port = ntohs(at.sin_port);
}

/* RFC 6455, 4.2.2. */
static void find_accept(world *w, const char *request, size_t len) {
  static const char name[] = "Sec-WebSocket-Key: ", magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  char text[KEY_LEN + sizeof magic];
  unsigned char hash[SHA1_LEN];
  const char *key = memmem(request, len, name, sizeof name - 1);
  ch_assert(key != NULL && (size_t)(request + len - key) > sizeof name + KEY_LEN);
  memcpy(text, key + sizeof name - 1, KEY_LEN);
  memcpy(text + KEY_LEN, magic, sizeof magic);
  lws_SHA1((unsigned char *)text, KEY_LEN + sizeof magic - 1, hash);
  ch_assert(lws_b64_encode_string((char *)hash, SHA1_LEN, w->accept, sizeof w->accept) > 0);
}

static void say(world *w, chat_bytes bytes) {
  if (w->fd >= 0 && bytes.len > 0) (void)send(w->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void hang_up(world *w) {
  if (w->fd >= 0) close(w->fd);
  w->fd = -1;
}

/* --- the client's end --- */

static void poll_all(world *w) {
  chat_transport_event event;
  for (int round = 0; round < ROUNDS; round++) {
    int error = w->transport->vtable->wait(w->transport->self, 0);
    ch_assert(!error);
    while (w->transport->vtable->poll(w->transport->self, &event) == 0 && event.type != CHAT_TRANSPORT_NONE) {
      ch_assert(!w->has_ended);
      if (event.type == CHAT_TRANSPORT_OPEN) {
        ch_assert(!w->is_open && w->is_right);
        w->is_open = true;
      } else if (event.type == CHAT_TRANSPORT_MESSAGE) {
        ch_assert(w->is_open && event.message.len <= CHAT_FRAME_MAX);
      } else {
        ch_assert(event.type == CHAT_TRANSPORT_CLOSED && event.status < 0);
        w->has_ended = true;
      }
    }
  }
}

static void connect_both(world *w) {
  char url[64], request[REQUEST_MAX];
  size_t len = 0;
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/", port);
  chat_transport_target target = {.size = sizeof target, .url = url};
  int error = w->transport->vtable->open(w->transport->self, &target);
  ch_assert(!error);
  for (int tries = 0; tries < TRIES && !memmem(request, len, "\r\n\r\n", 4); tries++) {
    poll_all(w);
    if (w->fd < 0) w->fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    ssize_t got = w->fd < 0 ? 0 : recv(w->fd, request + len, sizeof request - len, MSG_DONTWAIT);
    if (got > 0) len += (size_t)got;
  }
  find_accept(w, request, len);
}

/* --- actions --- */

static void say_bytes(world *w) {
  say(w, fuzz_piece(w->input));
}

/* One that is right, with up to three lines that are others, twice there, or not there. */
static void answer(world *w) {
  char right[96];
  snprintf(right, sizeof right, "Sec-WebSocket-Accept: %s\r\n", w->accept);
  const char *const good[] = {
      "HTTP/1.1 101 Switching Protocols\r\n",
      "Upgrade: websocket\r\n",
      "Connection: Upgrade\r\n",
      right,
      "Sec-WebSocket-Protocol: chat.v1\r\n",
      "\r\n",
  };
  static const char *const other[] = {
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.0 101 Yes\r\n",
      "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n",
      "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n",
      "Upgrade: h2c\r\n",
      "Connection: close\r\n",
      "Sec-WebSocket-Accept: c3VjaCBhIHdyb25nIGhhc2ggMTIz\r\n",
      "Sec-WebSocket-Accept: \r\n",
      "Sec-WebSocket-Protocol: chat.v2\r\n",
      "Sec-WebSocket-Extensions: permessage-deflate\r\n",
      "Content-Length: 99999999999\r\n",
      "Transfer-Encoding: chunked\r\n",
      " folded: line\r\n",
      "no colon\r\n",
  };
  enum { LINES = sizeof good / sizeof *good };
  const char *lines[LINES];
  memcpy(lines, good, sizeof good);
  for (uint8_t changes = fuzz_byte(w->input) % 4; changes > 0; changes--) {
    uint8_t line = fuzz_byte(w->input) % LINES, choice = fuzz_byte(w->input);
    lines[line] = choice == 255 ? "" : choice < 32 ? good[choice % LINES] : other[choice % (sizeof other / sizeof *other)];
  }
  for (size_t i = 0; i < LINES; i++) {
    w->is_right = w->is_right || lines[i] == right;
    say(w, ch_bytes_text(lines[i]));
  }
}

static void say_frame(world *w) {
  uint8_t head[10] = {fuzz_byte(w->input), fuzz_byte(w->input)};
  chat_bytes body = fuzz_piece(w->input);
  size_t head_len = 2;
  if (head[0] % 4) head[0] = (uint8_t)(0x82 - 0x80 * (head[0] >> 7)); /* mostly good: whole, or to be continued */
  if (head[1] % 4) {
    head[1] = (uint8_t)(body.len < 126 ? body.len : 126);
    if (body.len >= 126) head[2] = (uint8_t)(body.len >> 8), head[3] = (uint8_t)body.len, head_len = 4;
  }
  say(w, ch_bytes_of(head, head_len));
  say(w, body);
}

static void send_something(world *w) {
  int error = w->transport->vtable->send(w->transport->self, fuzz_piece(w->input));
  ch_assert(error == 0 || error == CHAT_E_CLOSED || error == CHAT_E_AGAIN);
  ch_assert(error || w->is_open);
}

static void (*const actions[])(world *w) = {say_bytes, answer, say_frame, say_frame, send_something, hang_up, answer, say_frame};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input input = {data, len};
  world w = {.input = &input, .fd = -1};
  if (listen_fd < 0) begin();
  fuzz_memory_init(&memory, MEMORY_MAX);
  int error = ch_transport_lws_new(&memory.alloc, &w.transport);
  ch_assert(!error);
  connect_both(&w);
  while (input.len > 0 && !w.has_ended) {
    actions[fuzz_byte(&input) % (sizeof actions / sizeof *actions)](&w);
    poll_all(&w);
  }
  hang_up(&w);
  for (int tries = 0; tries < TRIES && !w.has_ended; tries++) poll_all(&w);
  ch_assert(w.has_ended);
  w.transport->vtable->free(w.transport->self);
  fuzz_memory_end(&memory);
  return 0;
}
