/* SPDX-License-Identifier: Apache-2.0 */
/* The opening handshake: each point of RFC 6455, section 4.2.1, and of RFC 9112 as far as a request line and fields go. */
#include <stdio.h>
#include <string.h>

#include "server/loop/ws_upgrade.h"
#include "unit/core/failing_allocator.h"
#include "unit/core/run.h"

enum { TEXT_MAX = 2 * CH_WS_HEAD_MAX };

/* Section 1.3's key, and what must come back. */
#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define LINE     "GET /chat HTTP/1.1\r\n"
#define HOST     "Host: server.example.com\r\n"
#define UPGRADE  "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION  "Sec-WebSocket-Version: 13\r\n"
#define KEYED    "Sec-WebSocket-Key: " KEY "\r\n"
#define PROTOCOL "Sec-WebSocket-Protocol: chat.v1\r\n"
#define END      "\r\n"
#define GOOD     LINE HOST UPGRADE KEYED VERSION PROTOCOL END

static int status_of_bytes(const char *data, size_t len) {
  ch_ws_request request;
  return ch_ws_upgrade_read(ch_bytes_of(data, len), 0, &request);
}

static int status_of(const char *text) {
  return status_of_bytes(text, strlen(text));
}

static void is_answered(const char *text, int status) {
  ck_assert_msg(status_of(text) == status, "%s: %d, not %d", text, status_of(text), status);
}

START_TEST(a_good_request_is_switched) {
  ch_ws_request request;
  ck_assert_int_eq(ch_ws_upgrade_read(ch_bytes_text(GOOD "\x82\x80"), 0, &request), 101);
  ck_assert_uint_eq(request.head_len, strlen(GOOD));
  ck_assert_mem_eq(request.key, KEY, CH_WS_KEY_LEN);
}
END_TEST

/* As it may come: all pieces of two, and byte by byte. */
START_TEST(a_head_may_come_in_any_pieces) {
  ch_ws_request request;
  size_t len = strlen(GOOD);
  for (size_t at = 1; at < len; at++) {
    ck_assert_int_eq(ch_ws_upgrade_read(ch_bytes_of(GOOD, at), 0, &request), 0);
    ck_assert_uint_eq(request.head_len, 0);
    ck_assert_int_eq(ch_ws_upgrade_read(ch_bytes_of(GOOD, at), at - 1, &request), 0);
    ck_assert_int_eq(ch_ws_upgrade_read(ch_bytes_of(GOOD, len), at, &request), 101);
  }
}
END_TEST

START_TEST(names_and_tokens_have_no_case_and_lists_have_several) {
  is_answered(LINE "hOST:x\r\nUPGRADE:\t h2c , WebSocket \r\nconnection: keep-alive, uPGRADE\r\n" KEYED VERSION "sec-websocket-protocol: a, chat.v1,b\r\n" END, 101);
  is_answered(LINE HOST "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: close\r\nConnection: Upgrade\r\n" KEYED VERSION "Sec-WebSocket-Protocol: a\r\n" PROTOCOL END, 101);
  is_answered(LINE HOST UPGRADE KEYED VERSION PROTOCOL "X-Other: \xc3\xa4\r\nX-Empty:\r\nX-Colon: a:b\r\n" END, 101);
}
END_TEST

START_TEST(paths) {
  static const struct {
    const char *target;
    int status;
  } rows[] = {{"/", 101},       {"/chat", 101},          {"/chat?a=b", 101},    {"/?", 101},           {"http://x/chat", 101}, {"HTTPS://x:1/chat?y", 101}, {"http://x", 101},
              {"/chat/", 404},  {"/Chat", 404},          {"/elsewhere", 404},   {"*", 404},            {"http://x/other", 404}, {"/../chat", 404},          {"/%63hat", 404},
              {"chat", 404},    {"ftp://x/chat", 404},   {"", 400},             {"/ch at", 400},       {"/ch\x01t", 400},       {"/\xff", 400},             {"/ ", 400}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[1024];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST UPGRADE KEYED VERSION PROTOCOL END, rows[i].target);
    is_answered(text, rows[i].status);
  }
}
END_TEST

START_TEST(only_get_of_http_1_1) {
  static const char *const rest = HOST UPGRADE KEYED VERSION PROTOCOL END;
  static const struct {
    const char *line;
    int status;
  } rows[] = {{"POST / HTTP/1.1\r\n", 405}, {"HEAD / HTTP/1.1\r\n", 405}, {"get / HTTP/1.1\r\n", 405},  {"CONNECT / HTTP/1.1\r\n", 405}, {"GET / HTTP/1.0\r\n", 400},  {"GET / HTTP/2.0\r\n", 400},
              {"GET / http/1.1\r\n", 400},  {"GET / HTTP/1.1 \r\n", 400}, {"GET /\r\n", 400},           {"GET\r\n", 400},                {"GET  / HTTP/1.1\r\n", 400}, {"G\tET / HTTP/1.1\r\n", 400},
              {"GET / HTTP/1.1\n", 400}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[1024];
    snprintf(text, sizeof text, "%s%s", rows[i].line, rest);
    is_answered(text, rows[i].status);
  }
}
END_TEST

/* Each field left out, doubled where it may be there once, or wrong. */
START_TEST(what_must_be_there) {
  is_answered(LINE UPGRADE KEYED VERSION PROTOCOL END, 400);
  is_answered(LINE HOST HOST UPGRADE KEYED VERSION PROTOCOL END, 400);
  is_answered(LINE HOST KEYED VERSION PROTOCOL END, 426);
  is_answered(LINE HOST "Upgrade: websocket\r\n" KEYED VERSION PROTOCOL END, 426);
  is_answered(LINE HOST "Connection: Upgrade\r\n" KEYED VERSION PROTOCOL END, 426);
  is_answered(LINE HOST "Upgrade: websockets\r\nConnection: Upgrade\r\n" KEYED VERSION PROTOCOL END, 426);
  is_answered(LINE HOST "Upgrade: websocket\r\nConnection: Upgrade2\r\n" KEYED VERSION PROTOCOL END, 426);
  is_answered(LINE HOST UPGRADE KEYED PROTOCOL END, 426);
  is_answered(LINE HOST UPGRADE KEYED "Sec-WebSocket-Version: 8\r\n" PROTOCOL END, 426);
  is_answered(LINE HOST UPGRADE KEYED "Sec-WebSocket-Version: 13, 8\r\n" PROTOCOL END, 426);
  is_answered(LINE HOST UPGRADE KEYED VERSION VERSION PROTOCOL END, 426);
  is_answered(LINE HOST UPGRADE VERSION PROTOCOL END, 400);
  is_answered(LINE HOST UPGRADE KEYED KEYED VERSION PROTOCOL END, 400);
  is_answered(LINE HOST UPGRADE KEYED VERSION END, 400);
  is_answered(LINE HOST UPGRADE KEYED VERSION "Sec-WebSocket-Protocol: chat.v2, Chat.V1, chat.v11\r\n" END, 400);
}
END_TEST

/* 16 bytes in Base64, and no more bits than they have. */
START_TEST(keys) {
  static const char *const bad[] = {"", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25j====",
                                    "dGhlIHNhbXBsZSBub25jZWE=", "dGhlIHNhbXBs ZSBub25jQ==", "dGhlIHNhbXBsZSBub25j-Q==", "dGhlIHNhbXBsZSBub25jZQ=A"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char text[1024];
    snprintf(text, sizeof text, LINE HOST UPGRADE VERSION PROTOCOL "Sec-WebSocket-Key: %s\r\n" END, bad[i]);
    is_answered(text, 400);
  }
  is_answered(LINE HOST UPGRADE VERSION PROTOCOL "Sec-WebSocket-Key:   AAAAAAAAAAAAAAAAAAAAAA==\t\r\n" END, 101);
}
END_TEST

START_TEST(lines_that_are_none) {
  is_answered(LINE HOST " folded: x\r\n" UPGRADE KEYED VERSION PROTOCOL END, 400);
  is_answered(LINE HOST "no colon\r\n" UPGRADE KEYED VERSION PROTOCOL END, 400);
  is_answered(LINE HOST ": no name\r\n" UPGRADE KEYED VERSION PROTOCOL END, 400);
  is_answered(LINE HOST "Sp ace: x\r\n" UPGRADE KEYED VERSION PROTOCOL END, 400);
  is_answered(LINE HOST "Before : x\r\n" UPGRADE KEYED VERSION PROTOCOL END, 400);
  is_answered(LINE HOST "Control: a\x01\r\n" UPGRADE KEYED VERSION PROTOCOL END, 400);
  is_answered(LINE HOST "Delete: a\x7f\r\n" UPGRADE KEYED VERSION PROTOCOL END, 400);
  is_answered(LINE HOST "Bare: a\nX: b\r\n" UPGRADE KEYED VERSION PROTOCOL END, 400);
  is_answered(LINE HOST "Bare: a\rX: b\r\n" UPGRADE KEYED VERSION PROTOCOL END, 400);
  is_answered("POST /elsewhere HTTP/1.1\r\nno colon\r\n" END, 400); /* whatever else it is */
}
END_TEST

START_TEST(a_nul_is_no_character) {
  static const char bytes[] = LINE HOST "X: a\0b\r\n" UPGRADE KEYED VERSION PROTOCOL END;
  ck_assert_int_eq(status_of_bytes(bytes, sizeof bytes - 1), 400);
}
END_TEST

/* TLS at a plain port, or what is nothing: told at its first byte, and not after the handshake's deadline. */
START_TEST(what_cannot_become_a_request_is_told_at_once) {
  ck_assert_int_eq(status_of_bytes("\x16", 1), 400);
  ck_assert_int_eq(status_of_bytes("\0", 1), 400);
  ck_assert_int_eq(status_of("\r\n\r\n"), 400);
  ck_assert_int_eq(status_of("G"), 0);
  ck_assert_int_eq(status_of(""), 0);
}
END_TEST

static size_t long_head(char *text, size_t len) {
  size_t begun = (size_t)sprintf(text, LINE HOST UPGRADE KEYED VERSION PROTOCOL "X: ");
  memset(text + begun, 'x', len - begun - 4);
  memcpy(text + len - 4, "\r\n\r\n", 4);
  return len;
}

START_TEST(a_head_has_8_kib_at_most) {
  static char text[TEXT_MAX];
  ch_ws_request request;
  ck_assert_int_eq(status_of_bytes(text, long_head(text, CH_WS_HEAD_MAX)), 101);
  ck_assert_int_eq(status_of_bytes(text, long_head(text, CH_WS_HEAD_MAX + 1)), 431);
  ck_assert_int_eq(status_of_bytes(text, CH_WS_HEAD_MAX - 1), 0);
  ck_assert_int_eq(status_of_bytes(text, CH_WS_HEAD_MAX), 431);
  ck_assert_int_eq(ch_ws_upgrade_read(ch_bytes_of(text, TEXT_MAX), CH_WS_HEAD_MAX - 1, &request), 431);
}
END_TEST

/* --- answers --- */

static void answer_of(int status, const ch_ws_request *request, ch_buf *out) {
  ch_buf_init(out, NULL, 1024);
  ck_assert_int_eq(ch_ws_upgrade_answer(status, request, out), 0);
  ck_assert_int_eq(ch_buf_put_u8(out, 0), 0);
}

START_TEST(the_answer_has_the_keys_digest) {
  ch_ws_request request;
  ch_buf out;
  ck_assert_int_eq(ch_ws_upgrade_read(ch_bytes_text(GOOD), 0, &request), 101);
  answer_of(101, &request, &out);
  ck_assert_str_eq((const char *)out.data, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT
                                           "\r\nSec-WebSocket-Protocol: chat.v1\r\n\r\n");
  ch_buf_fini(&out);
}
END_TEST

/* A whole answer of HTTP: its length is right, and the connection ends with it. */
static void is_refusal(int status, const char *field) {
  char line[32];
  ch_buf out;
  answer_of(status, NULL, &out);
  const char *text = (const char *)out.data, *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
  snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
  ck_assert(strncmp(text, line, strlen(line)) == 0 && body && length && length < body);
  ck_assert_uint_eq(strtoul(length + 16, NULL, 10), strlen(body + 4));
  const char *connection = strstr(text, "\r\nConnection: ");
  ck_assert(connection && strstr(connection, "close\r\n") && strstr(text, field));
  ch_buf_fini(&out);
}

START_TEST(refusals_say_why) {
  is_refusal(400, "Bad Request");
  is_refusal(404, "Not Found");
  is_refusal(405, "\r\nAllow: GET\r\n");                 /* RFC 9110, section 15.5.6 */
  is_refusal(426, "\r\nUpgrade: websocket\r\n");         /* section 15.5.22 */
  is_refusal(426, "\r\nSec-WebSocket-Version: 13\r\n");  /* RFC 6455, section 4.4 */
  is_refusal(431, "Too Large");
}
END_TEST

START_TEST(without_memory_there_is_no_answer) {
  failing_allocator memory;
  ch_ws_request request;
  ch_buf out;
  ck_assert_int_eq(ch_ws_upgrade_read(ch_bytes_text(GOOD), 0, &request), 101);
  static const int statuses[] = {101, 404};
  for (size_t i = 0; i < 2; i++) {
    failing_allocator_init(&memory, 0);
    ch_buf_init(&out, &memory.alloc, 1024);
    ck_assert_int_eq(ch_ws_upgrade_answer(statuses[i], &request, &out), CHAT_E_NOMEM);
    ck_assert_uint_eq(out.len, 0);
  }
}
END_TEST

int main(void) {
  const test_row tests[] = {
      {a_good_request_is_switched, 0},
      {a_head_may_come_in_any_pieces, 0},
      {names_and_tokens_have_no_case_and_lists_have_several, 0},
      {paths, 0},
      {only_get_of_http_1_1, 0},
      {what_must_be_there, 0},
      {keys, 0},
      {lines_that_are_none, 0},
      {a_nul_is_no_character, 0},
      {what_cannot_become_a_request_is_told_at_once, 0},
      {a_head_has_8_kib_at_most, 0},
      {the_answer_has_the_keys_digest, 0},
      {refusals_say_why, 0},
      {without_memory_there_is_no_answer, 0},
  };
  return RUN_TESTS("ws_upgrade", tests);
}
