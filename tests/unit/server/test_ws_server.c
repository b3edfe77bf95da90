/* SPDX-License-Identifier: Apache-2.0 */
/* Connections on sockets of this machine, beside a real gateway: what a slow reader, a rude one and want of memory do to them. The loop is run by hand, on a clock of the test's own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/loop/ws_parts.h"
#include "server/role/gateway_parts.h"
#include "unit/core/failing_allocator.h"
#include "unit/core/run.h"

enum { ROUNDS = 8, TRIES = 2000, HEARD_MAX = 16 << 20, MESSAGE_LEN = 1000, OUT_MAX = 12 << 20, NOISE_MAX = 1000, HANDSHAKE_MS = 10000, LINGER_MS = 3000 };

#define UPGRADE                                                                                                                                                \
  "GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" \
  "Sec-WebSocket-Protocol: chat.v1\r\n\r\n"

/* --- the server --- */

static uint64_t now_ms;
static ch_turn_loop loop;
static ch_gateway *gateway;
static ch_ws_server *server;
static failing_allocator memory;
static int port;

static uint64_t clock_ms(void *arg) {
  (void)arg;
  return now_ms;
}

static void fill_random(void *arg, void *bytes, size_t len) {
  (void)arg;
  memset(bytes, 7, len);
}

static uint64_t turn(void *arg, ch_now now) {
  (void)arg;
  if (!server || server->is_down) return CH_NEVER_MS;
  ch_ws_server_flush(server);
  return ch_ws_server_turn(server, now);
}

static void make_gateway(uint32_t sessions_max) {
  static const ch_env env = {.random = fill_random};
  ch_gateway_config config = {
      .name = ch_bytes_text("g1"),
      .times = {.hello_ms = 600000, .auth_ms = 10000, .heartbeat_ms = 15000, .idle_ms = 45000, .drain_ms = 5000},
      .message_partitions = 1, .delivery_partitions = 1, .devices_max = 16, .sessions_max = sessions_max, .in_flight_max = 8, .hold_ms = 300, .hold_max = 3,
      .append_count_max = 16, .receipt_ms = 200, .route_ms = 300000, .presence_ms = 30000, .out_max = OUT_MAX, .out_total_max = 2 * OUT_MAX, .hook_ms = 5000,
  };
  ck_assert_int_eq(ch_gateway_new(&env, &config, &gateway), 0);
}

static int listen_somewhere(void) {
  ch_address address;
  ch_buf why;
  int fd;
  ch_buf_init(&why, NULL, 1024);
  ck_assert(ch_address_parse("127.0.0.1:0", &address));
  ck_assert_int_eq(ch_listen(&address, true, &fd, &why), 0);
  ch_buf_fini(&why);
  port = ch_address_port(&address);
  return fd;
}

static void begin_with(uint32_t sessions_max) {
  now_ms = 1000000;
  failing_allocator_init(&memory, SIZE_MAX);
  ck_assert_int_eq(ch_turn_loop_init(&loop, (chat_clock){clock_ms, clock_ms, NULL}, turn, NULL), 0);
  make_gateway(sessions_max);
  ch_ws_server_config config = {.alloc = &memory.alloc, .loop = &loop, .gateway = gateway, .listen_fd = listen_somewhere()};
  ck_assert_int_eq(ch_ws_server_new(&config, &server), 0);
}

static void begin(void) {
  begin_with(100);
}

static void end(void) {
  ch_ws_server_free(server);
  server = NULL;
  ch_gateway_free(gateway);
  ch_turn_loop_fini(&loop);
  ck_assert_uint_eq(memory.live, 0);
}

static void run(void) {
  for (int i = 0; i < ROUNDS; i++) uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static ch_ws_conn *only_conn(void) {
  ch_ws_conn *found = NULL;
  for (size_t i = 0; i < server->slot_count; i++)
    if (server->slots[i]) found = server->slots[i];
  return found;
}

static size_t waiting_len(void) {
  bool close;
  return only_conn() ? ch_gateway_peek(gateway, only_conn()->id, &close).len : 0;
}

/* Messages of 1,000 bytes, 1,000 of them at once. */
static void give(uint8_t value) {
  ch_buf messages;
  uint8_t message[MESSAGE_LEN];
  ch_buf_init(&messages, NULL, 2 << 20);
  memset(message, value, sizeof message);
  for (int i = 0; i < 1000; i++) {
    ch_buf_put_varint(&messages, sizeof message);
    ch_buf_put(&messages, ch_bytes_of(message, sizeof message));
  }
  ck_assert_int_eq(ch_conn_put_raw(gateway, ch_conn_find(gateway, only_conn()->id), ch_buf_bytes(&messages), (ch_now){now_ms, now_ms}), 0);
  ch_buf_fini(&messages);
}

/* --- somebody who connects --- */

typedef struct stranger {
  int fd;
  bool is_cut; /* by the server */
  size_t heard_len;
} stranger;

static uint8_t heard[HEARD_MAX]; /* of one alone */

static stranger come(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int small = 4096, at_once = 1;
  stranger new = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  ck_assert_int_eq(setsockopt(new.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
  ck_assert_int_eq(setsockopt(new.fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once), 0);
  ck_assert_int_eq(connect(new.fd, (struct sockaddr *)&to, sizeof to), 0);
  ck_assert_int_eq(fcntl(new.fd, F_SETFL, O_NONBLOCK), 0);
  run();
  return new;
}

static void go(stranger *who) {
  close(who->fd);
  run();
}

static void say(stranger *who, const void *bytes, size_t len) {
  for (size_t said = 0; said < len && !who->is_cut; run()) {
    ssize_t taken = send(who->fd, (const uint8_t *)bytes + said, len - said, MSG_NOSIGNAL);
    if (taken > 0) said += (size_t)taken;
    who->is_cut = taken < 0 && errno != EAGAIN;
  }
}

static void hear_some(stranger *who, size_t max) {
  while (!who->is_cut && max > 0) {
    size_t room = max < HEARD_MAX - who->heard_len ? max : HEARD_MAX - who->heard_len;
    ssize_t len = recv(who->fd, heard + who->heard_len, room, 0);
    if (len < 0 && errno == EAGAIN) return;
    who->is_cut = len <= 0;
    if (len > 0) who->heard_len += (size_t)len;
    if (len > 0) max -= (size_t)len;
  }
}

/* Until so much has come, or the end. */
static void hear(stranger *who, size_t len) {
  for (int i = 0; i < TRIES && who->heard_len < len && !who->is_cut; i++) {
    hear_some(who, SIZE_MAX);
    run();
  }
}

static void say_frame(stranger *who, int first, const void *payload, size_t len) {
  static const uint8_t mask[4] = {1, 2, 3, 4};
  uint8_t frame[6 + 125] = {(uint8_t)first, (uint8_t)(0x80 | len), 1, 2, 3, 4};
  ck_assert_uint_le(len, 125);
  for (size_t i = 0; i < len; i++) frame[6 + i] = ((const uint8_t *)payload)[i] ^ mask[i % 4];
  say(who, frame, 6 + len);
}

/* Behind the answer, which is dropped. */
static stranger come_in(void) {
  stranger new = come();
  say(&new, UPGRADE, strlen(UPGRADE));
  hear_some(&new, SIZE_MAX);
  ck_assert(new.heard_len > 4 && memcmp(heard, "HTTP/1.1 101 ", 13) == 0 && memcmp(heard + new.heard_len - 4, "\r\n\r\n", 4) == 0);
  new.heard_len = 0;
  return new;
}

/* --- frames heard --- */

/* The next at *at: its opcode, or -1 where there is none or a part of one. */
static int next_frame(const stranger *who, size_t *at, ch_bytes *payload) {
  size_t left = who->heard_len - *at, head_len = 2, len;
  const uint8_t *frame = heard + *at;
  if (left < 2) return -1;
  len = frame[1];
  if (len == 126) head_len = 4, len = (size_t)frame[2] << 8 | frame[3];
  else if (len == 127) head_len = 10, len = (size_t)frame[7] << 16 | (size_t)frame[8] << 8 | frame[9];
  if (left < head_len + len) return -1;
  *payload = ch_bytes_of(frame + head_len, len);
  *at += head_len + len;
  ck_assert_int_eq(frame[0] & 0xf0, 0x80);
  return frame[0] & 0x0f;
}

/* A Close with this code is the last that was said, and there is an end then. */
static void is_closed_with(stranger *who, int code) {
  ch_bytes payload;
  int opcode = -1;
  hear(who, HEARD_MAX);
  for (size_t at = 0; at < who->heard_len;) {
    opcode = next_frame(who, &at, &payload);
    ck_assert_int_ge(opcode, 0);
  }
  ck_assert_int_eq(opcode, CH_WS_OP_CLOSE);
  ck_assert_uint_eq(payload.len, code ? 2 : 0);
  if (code) ck_assert_int_eq(payload.data[0] << 8 | payload.data[1], code);
  ck_assert(who->is_cut);
}

/* --- slow readers --- */

/* Until the socket takes no more; how many. */
static int give_until_it_is_full(void) {
  int count = 0;
  while (waiting_len() == 0) {
    ck_assert_int_lt(count, 11);
    give((uint8_t)++count);
    run();
  }
  return count;
}

static void are_whole(const stranger *who, int count) {
  size_t at = 0;
  ch_bytes payload;
  for (int value = 1; value <= count;) {
    ck_assert_int_eq(next_frame(who, &at, &payload), CH_WS_OP_BINARY);
    for (size_t i = 0; i < payload.len; i += MESSAGE_LEN + 2, value += i % ((MESSAGE_LEN + 2) * 1000) == 0) ck_assert_uint_eq(payload.data[i + 2], (uint8_t)value);
  }
  ck_assert_uint_eq(at, who->heard_len);
}

START_TEST(what_a_socket_does_not_take_stays_in_the_gateways_count) {
  begin();
  stranger slow = come_in();
  int count = give_until_it_is_full();
  size_t held_len = ch_gateway_get_stats(gateway)->out_held_len, live = memory.live;
  ck_assert_uint_ge(held_len, 1000 * (MESSAGE_LEN + 2)); /* the frame is there until all of it is written */
  hear_some(&slow, 100000);
  run();
  ck_assert_uint_eq(memory.live, live);
  hear(&slow, (size_t)count * (1000 * (MESSAGE_LEN + 2) + 10));
  ck_assert_uint_eq(waiting_len(), 0);
  ck_assert_uint_eq(ch_gateway_get_stats(gateway)->out_held_len, 0);
  ck_assert_uint_eq(ch_gateway_get_stats(gateway)->frames_out, (uint64_t)count);
  are_whole(&slow, count);
  go(&slow);
  end();
}
END_TEST

START_TEST(a_pong_waits_for_the_end_of_a_frame) {
  begin();
  stranger slow = come_in();
  int count = give_until_it_is_full();
  size_t frames_len = (size_t)count * (1000 * (MESSAGE_LEN + 2) + 10);
  say_frame(&slow, 0x89, "there?", 6);
  hear(&slow, frames_len + 8);
  ck_assert_uint_eq(slow.heard_len, frames_len + 8);
  ck_assert_mem_eq(heard + frames_len, "\x8a\x06there?", 8);
  slow.heard_len = frames_len;
  are_whole(&slow, count);
  go(&slow);
  end();
}
END_TEST

/* A frame that was begun cannot be ended, so nothing more is said; and nobody waits for the socket, which may never take anything again. */
START_TEST(one_that_is_cut_off_in_the_middle_of_a_frame_is_gone_at_once) {
  begin();
  stranger slow = come_in();
  give_until_it_is_full();
  ch_conn_cut_off(gateway, ch_conn_find(gateway, only_conn()->id), (ch_now){now_ms, now_ms});
  run();
  ck_assert_ptr_null(only_conn());
  ck_assert_uint_eq(server->lingering_count, 0);
  ck_assert_uint_eq(ch_gateway_get_stats(gateway)->sessions, 0);
  go(&slow);
  end();
}
END_TEST

/* --- ends --- */

START_TEST(closes_are_answered_with_their_code) {
  static const struct {
    const char *payload;
    size_t len;
    int code;
  } rows[] = {{"\x03\xe8", 2, 1000}, {"\x0f\xa0" "bye", 5, 4000}, {"", 0, 0}, {"\x03", 1, 1002}, {"\x03\xed", 2, 1002}, {"\x03\xe8\xff", 3, 1007}};
  begin();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    stranger leaving = come_in();
    say_frame(&leaving, 0x88, rows[i].payload, rows[i].len);
    ck_assert_uint_eq(ch_gateway_get_stats(gateway)->sessions, 0);
    is_closed_with(&leaving, rows[i].code);
    go(&leaving);
  }
  end();
}
END_TEST

START_TEST(what_is_wrong_has_its_code) {
  static const struct {
    const char *bytes;
    size_t len;
    int code;
  } rows[] = {{"\x82\x01x", 3, 1002}, {"\x83\x80" "mask", 6, 1002}, {"\x81\x80" "mask", 6, 1003}, {"\x82\xff\0\0\0\0\0\x10\0\x01" "mask", 14, 1009}};
  begin();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    stranger rude = come_in();
    say(&rude, rows[i].bytes, rows[i].len);
    is_closed_with(&rude, rows[i].code);
    go(&rude);
  }
  end();
}
END_TEST

/* What comes behind is dropped, and not met with a reset that overtakes our last word. */
START_TEST(who_goes_on_talking_still_hears_why) {
  static uint8_t more[200000];
  begin();
  stranger rude = come_in();
  say_frame(&rude, 0x83, "", 0);
  say(&rude, more, sizeof more);
  ck_assert(!rude.is_cut);
  is_closed_with(&rude, 1002);
  ck_assert_uint_eq(server->lingering_count, 1);
  now_ms += LINGER_MS - 1;
  run();
  ck_assert_uint_eq(server->lingering_count, 1);
  now_ms++;
  run();
  ck_assert_uint_eq(server->lingering_count, 0);
  go(&rude);
  end();
}
END_TEST

START_TEST(who_never_stops_talking_is_not_listened_to) {
  static uint8_t more[1 << 20];
  begin();
  stranger rude = come_in();
  say_frame(&rude, 0x83, "", 0);
  for (int i = 0; i < 8; i++) say(&rude, more, sizeof more);
  ck_assert_uint_eq(server->lingering_count, 1);
  say(&rude, more, sizeof more);
  ck_assert_uint_eq(server->lingering_count, 0);
  go(&rude);
  end();
}
END_TEST

START_TEST(a_gateway_without_room_says_later) {
  begin_with(1);
  stranger first = come();
  stranger second = come(); /* both are admitted, as long as neither is in */
  say(&first, UPGRADE, strlen(UPGRADE));
  say(&second, UPGRADE, strlen(UPGRADE));
  hear(&second, HEARD_MAX);
  ck_assert_uint_gt(second.heard_len, 4);
  ck_assert_mem_eq(heard + second.heard_len - 4, "\x88\x02\x03\xf5", 4);
  ck_assert(second.is_cut);
  go(&second);
  go(&first);
  end();
}
END_TEST

/* --- noise --- */

static void say_noise(stranger *who, int count) {
  static const struct {
    int first;
    const char *payload;
  } rows[] = {{0x89, "ping"}, {0x8a, "pong"}, {0x82, ""}};
  for (int i = 0; i < count; i++) say_frame(who, rows[i % 3].first, rows[i % 3].payload, strlen(rows[i % 3].payload));
}

START_TEST(noise_has_a_bound_in_10_s) {
  begin();
  stranger noisy = come_in();
  say_noise(&noisy, NOISE_MAX);
  now_ms += 10000;
  say_noise(&noisy, NOISE_MAX);
  ck_assert_ptr_nonnull(only_conn());
  say_noise(&noisy, 1);
  ck_assert_ptr_null(only_conn());
  is_closed_with(&noisy, 1008);
  go(&noisy);
  end();
}
END_TEST

START_TEST(empty_fragments_are_noise) {
  begin();
  stranger noisy = come_in();
  say_frame(&noisy, 0x02, "", 0);
  for (int i = 0; i < NOISE_MAX; i++) say_frame(&noisy, 0x00, "", 0);
  is_closed_with(&noisy, 1008);
  go(&noisy);
  end();
}
END_TEST

/* Also those that come together, and have no room together in what waits to go out. */
START_TEST(pings_are_answered_each_and_in_order) {
  uint8_t pings[200 * 7];
  begin();
  stranger lively = come_in();
  for (size_t i = 0; i < sizeof pings / 7; i++) memcpy(pings + 7 * i, (uint8_t[]){0x89, 0x81, 0, 0, 0, 0, (uint8_t)i}, 7);
  say(&lively, pings, sizeof pings);
  hear(&lively, 200 * 3);
  ck_assert_uint_eq(lively.heard_len, 200 * 3);
  for (size_t i = 0; i < 200; i++) ck_assert_mem_eq(heard + 3 * i, ((uint8_t[]){0x8a, 1, (uint8_t)i}), 3);
  go(&lively);
  end();
}
END_TEST

/* --- handshakes --- */

START_TEST(a_request_in_pieces_with_a_frame_behind) {
  static const char bytes[] = UPGRADE "\x89\x80mask";
  begin();
  for (size_t at = 1; at < sizeof bytes - 1; at++) {
    stranger slow = come();
    say(&slow, bytes, at);
    say(&slow, bytes + at, sizeof bytes - 1 - at);
    hear_some(&slow, SIZE_MAX);
    ck_assert_uint_gt(slow.heard_len, 2);
    ck_assert_mem_eq(heard + slow.heard_len - 2, "\x8a\0", 2); /* the pong */
    go(&slow);
    ck_assert_ptr_null(only_conn());
  }
  end();
}
END_TEST

START_TEST(a_handshake_has_10_s_whatever_trickles_in) {
  begin();
  stranger slow = come();
  for (int i = 0; i < 10; i++) {
    say(&slow, UPGRADE + i, 1);
    now_ms += HANDSHAKE_MS / 10;
    ck_assert_uint_eq(server->shaking_count, 1);
  }
  run();
  ck_assert_uint_eq(server->shaking_count, 0);
  hear(&slow, 1);
  ck_assert(slow.is_cut && slow.heard_len == 0);
  go(&slow);
  end();
}
END_TEST

START_TEST(a_refusal_is_read_and_then_it_ends) {
  begin();
  stranger lost = come();
  static const char elsewhere[] = "GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n";
  say(&lost, elsewhere, sizeof elsewhere - 1);
  hear(&lost, HEARD_MAX);
  ck_assert(lost.is_cut && lost.heard_len > 13);
  ck_assert_mem_eq(heard, "HTTP/1.1 404 ", 13);
  go(&lost);
  ck_assert_uint_eq(server->lingering_count, 0);
  end();
}
END_TEST

/* --- memory --- */

static void live_once(void) {
  stranger who = come();
  say(&who, UPGRADE, 50);
  say(&who, UPGRADE + 50, strlen(UPGRADE) - 50);
  say_frame(&who, 0x89, "ping", 4);
  say_frame(&who, 0x02, "a part", 6);
  say_frame(&who, 0x89, "ping", 4);
  say_frame(&who, 0x88, "\x03\xe8", 2);
  hear_some(&who, SIZE_MAX);
  go(&who);
}

/* Whichever piece of memory is not there: that connection ends, and the next one is served. */
START_TEST(without_memory_a_connection_ends_and_nothing_else) {
  begin();
  live_once();
  size_t pieces = 0, before;
  do {
    before = memory.live;
    memory.left = pieces;
    live_once();
    ck_assert_uint_eq(memory.live, before);
    ck_assert_uint_eq(ch_gateway_get_stats(gateway)->sessions, 0);
    ck_assert_uint_eq(server->shaking_count + server->lingering_count, 0);
    bool was_enough = memory.left > 0;
    memory.left = SIZE_MAX;
    stranger next = come_in();
    go(&next);
    if (was_enough) break;
  } while (++pieces < 100);
  ck_assert_uint_ge(pieces, 4); /* the connection; the request, the answer, a pong, a message in part */
  ck_assert_uint_lt(pieces, 100);
  end();
}
END_TEST

int main(void) {
  const test_row tests[] = {
      {what_a_socket_does_not_take_stays_in_the_gateways_count, 0},
      {a_pong_waits_for_the_end_of_a_frame, 0},
      {one_that_is_cut_off_in_the_middle_of_a_frame_is_gone_at_once, 0},
      {closes_are_answered_with_their_code, 0},
      {what_is_wrong_has_its_code, 0},
      {who_goes_on_talking_still_hears_why, 0},
      {who_never_stops_talking_is_not_listened_to, 0},
      {a_gateway_without_room_says_later, 0},
      {noise_has_a_bound_in_10_s, 0},
      {empty_fragments_are_noise, 0},
      {pings_are_answered_each_and_in_order, 0},
      {a_request_in_pieces_with_a_frame_behind, 0},
      {a_handshake_has_10_s_whatever_trickles_in, 0},
      {a_refusal_is_read_and_then_it_ends, 0},
      {without_memory_a_connection_ends_and_nothing_else, 0},
  };
  return RUN_TESTS("ws_server", tests);
}
