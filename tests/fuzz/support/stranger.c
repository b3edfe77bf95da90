/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/support/stranger.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/loop/listener.h"

enum { TURNS = 4 };

static uint64_t now_of(void *arg) {
  return ((fuzz_loop *)arg)->now_ms;
}

void fuzz_loop_init(fuzz_loop *loop, uint64_t (*turn)(void *arg, ch_now now), void *arg) {
  ch_address address;
  ch_buf why;
  *loop = (fuzz_loop){.now_ms = 1700000000000};
  ch_buf_init(&why, NULL, 1024);
  ch_assert(ch_address_parse("127.0.0.1:0", &address));
  ch_assert(ch_listen(&address, true, &loop->listen_fd, &why) == 0);
  ch_buf_fini(&why);
  loop->port = ch_address_port(&address);
  ch_assert(ch_turn_loop_init(&loop->turns, (chat_clock){now_of, now_of, loop}, turn, arg) == 0);
}

void fuzz_loop_run(fuzz_loop *loop) {
  for (int i = 0; i < TURNS; i++) uv_run(&loop->turns.uv, UV_RUN_NOWAIT);
}

void fuzz_stranger_come(fuzz_stranger *stranger, const fuzz_loop *loop) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)loop->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct linger at_once = {1, 0}; /* no socket stays behind in TIME_WAIT */
  stranger->is_cut = false;
  stranger->heard_len = 0;
  stranger->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ch_assert(stranger->fd >= 0 && connect(stranger->fd, (struct sockaddr *)&to, sizeof to) == 0);
  ch_assert(setsockopt(stranger->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
  ch_assert(fcntl(stranger->fd, F_SETFL, O_NONBLOCK) == 0);
}

void fuzz_stranger_say(fuzz_stranger *stranger, chat_bytes bytes) {
  if (bytes.len > 0 && send(stranger->fd, bytes.data, bytes.len, MSG_NOSIGNAL) < 0 && errno != EAGAIN) stranger->is_cut = true;
}

void fuzz_stranger_hear(fuzz_stranger *stranger) {
  while (!stranger->is_cut && stranger->heard_len < FUZZ_HEARD_MAX) {
    ssize_t len = recv(stranger->fd, stranger->heard + stranger->heard_len, FUZZ_HEARD_MAX - stranger->heard_len, 0);
    if (len < 0 && errno == EAGAIN) return;
    stranger->is_cut = len <= 0;
    if (len > 0) stranger->heard_len += (size_t)len;
  }
}

void fuzz_stranger_go(fuzz_stranger *stranger) {
  close(stranger->fd);
}
