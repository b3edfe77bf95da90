/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem */
#include "server/loop/ws_upgrade.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

#include "core/assert.h"

enum { SWITCHING = 101, MALFORMED = 400, NOT_FOUND = 404, NOT_GET = 405, NO_UPGRADE = 426, TOO_LONG = 431 };

/* ------------------------------------------------------------------------------------------------ characters */

static bool is_letter_or_digit(uint8_t c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* RFC 9110, section 5.6.2: of methods and the names of fields. */
static bool is_token_char(uint8_t c) {
  return is_letter_or_digit(c) || (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(ch_bytes text) {
  for (size_t i = 0; i < text.len; i++)
    if (!is_token_char(text.data[i])) return false;
  return text.len > 0;
}

/* RFC 9110, section 5.5. */
static bool is_value(ch_bytes text) {
  for (size_t i = 0; i < text.len; i++)
    if ((text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 0x7f) return false;
  return true;
}

static bool is_text(ch_bytes text, const char *other) {
  return text.len == strlen(other) && memcmp(text.data, other, text.len) == 0;
}

static bool is_text_of_any_case(ch_bytes text, const char *other) {
  return text.len == strlen(other) && strncasecmp((const char *)text.data, other, text.len) == 0;
}

static ch_bytes trimmed(ch_bytes text) {
  while (text.len > 0 && (*text.data == ' ' || *text.data == '\t')) text = ch_bytes_of(text.data + 1, text.len - 1);
  while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) text.len--;
  return text;
}

/* What stands before the first `end` of *rest, which is left with what stands behind it; without an `end`, all. */
static ch_bytes take_until(ch_bytes *rest, char end) {
  const uint8_t *found = rest->len > 0 ? memchr(rest->data, end, rest->len) : NULL;
  size_t len = found ? (size_t)(found - rest->data) : rest->len, skip = found ? len + 1 : len;
  ch_bytes taken = ch_bytes_of(rest->data, len);
  *rest = ch_bytes_of(rest->data + skip, rest->len - skip);
  return taken;
}

/* ------------------------------------------------------------------------------------------------ the fields that count */

/* Is it one of a comma-separated list? */
static bool has_token(ch_bytes list, const char *token, bool (*is_equal)(ch_bytes text, const char *other)) {
  while (list.len > 0)
    if (is_equal(trimmed(take_until(&list, ',')), token)) return true;
  return false;
}

/* What a head says, of what is asked of it (RFC 6455, section 4.2.1). */
typedef struct head {
  unsigned hosts, keys, versions;
  bool is_upgrade, is_connection, is_version, is_key, is_subprotocol;
  char *key;
} head;

static void on_host(head *of, ch_bytes value) {
  (void)value;
  of->hosts++;
}

static void on_upgrade(head *of, ch_bytes value) {
  of->is_upgrade = of->is_upgrade || has_token(value, "websocket", is_text_of_any_case);
}

static void on_connection(head *of, ch_bytes value) {
  of->is_connection = of->is_connection || has_token(value, "upgrade", is_text_of_any_case);
}

static void on_version(head *of, ch_bytes value) {
  of->versions++;
  of->is_version = is_text(value, "13");
}

/* The last character of 16 bytes in Base64 stands for two bits; four of the 64 have nothing in the other four. */
static bool is_key(ch_bytes value) {
  if (value.len != CH_WS_KEY_LEN || memcmp(value.data + 22, "==", 2) != 0 || !strchr("AQgw", value.data[21])) return false;
  for (size_t i = 0; i < 22; i++)
    if (!is_letter_or_digit(value.data[i]) && value.data[i] != '+' && value.data[i] != '/') return false;
  return true;
}

static void on_key(head *of, ch_bytes value) {
  of->keys++;
  of->is_key = is_key(value);
  if (of->is_key) memcpy(of->key, value.data, CH_WS_KEY_LEN);
}

static void on_subprotocol(head *of, ch_bytes value) {
  of->is_subprotocol = of->is_subprotocol || has_token(value, CH_WS_SUBPROTOCOL, is_text);
}

static const struct {
  const char *name;
  void (*read)(head *of, ch_bytes value);
} fields[] = {
    {"Host", on_host},
    {"Upgrade", on_upgrade},
    {"Connection", on_connection},
    {"Sec-WebSocket-Version", on_version},
    {"Sec-WebSocket-Key", on_key},
    {"Sec-WebSocket-Protocol", on_subprotocol},
};

/* ------------------------------------------------------------------------------------------------ lines */

static bool read_field(head *of, ch_bytes line) {
  const uint8_t *colon = memchr(line.data, ':', line.len);
  if (!colon) return false;
  ch_bytes name = take_until(&line, ':');
  if (!is_token(name) || !is_value(line)) return false;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (is_text_of_any_case(name, fields[i].name)) fields[i].read(of, trimmed(line));
  return true;
}

/* Of a target as browsers send it, or with scheme and authority (RFC 9112, section 3.2.2). */
static ch_bytes path_of(ch_bytes target) {
  static const char *const schemes[] = {"http://", "https://"};
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
    size_t len = strlen(schemes[i]);
    if (target.len < len || !is_text_of_any_case(ch_bytes_of(target.data, len), schemes[i])) continue;
    ch_bytes rest = ch_bytes_of(target.data + len, target.len - len);
    const uint8_t *slash = rest.len > 0 ? memchr(rest.data, '/', rest.len) : NULL;
    target = slash ? ch_bytes_of(slash, rest.len - (size_t)(slash - rest.data)) : ch_bytes_text("/");
  }
  return take_until(&target, '?');
}

static bool is_target(ch_bytes target) {
  for (size_t i = 0; i < target.len; i++)
    if (target.data[i] <= ' ' || target.data[i] >= 0x7f) return false;
  return target.len > 0;
}

/* "GET /chat HTTP/1.1". 0, or the status that says why not. */
static int judge_request_line(ch_bytes line) {
  ch_bytes method = take_until(&line, ' '), target = take_until(&line, ' ');
  if (!is_token(method) || !is_target(target) || !is_text(line, "HTTP/1.1")) return MALFORMED;
  if (!is_text(method, "GET")) return NOT_GET;
  ch_bytes path = path_of(target);
  return is_text(path, "/") || is_text(path, "/chat") ? 0 : NOT_FOUND;
}

static int judge(const head *of) {
  if (of->hosts != 1) return MALFORMED;
  if (!of->is_upgrade || !of->is_connection || of->versions != 1 || !of->is_version) return NO_UPGRADE;
  return of->keys == 1 && of->is_key && of->is_subprotocol ? SWITCHING : MALFORMED;
}

/* The next line without its CR LF; with another CR or LF in it, or none at its end, it is no line. */
static bool next_line(ch_bytes *rest, ch_bytes *line) {
  *line = take_until(rest, '\r');
  if (rest->len == 0 || *rest->data != '\n') return false;
  *rest = ch_bytes_of(rest->data + 1, rest->len - 1);
  return line->len == 0 || !memchr(line->data, '\n', line->len);
}

/* A whole head, with the empty line at its end. What is malformed anywhere is answered as that, whatever else it is. */
static int judge_head(ch_bytes bytes, char *key) {
  head of = {.key = key};
  ch_bytes line;
  if (!next_line(&bytes, &line)) return MALFORMED;
  int status = judge_request_line(line);
  for (;;) {
    if (!next_line(&bytes, &line)) return MALFORMED;
    if (line.len == 0) return status ? status : judge(&of);
    if (!read_field(&of, line)) return MALFORMED;
  }
}

int ch_ws_upgrade_read(ch_bytes bytes, size_t seen_len, ch_ws_request *request) {
  static const char end[] = "\r\n\r\n";
  enum { END_LEN = sizeof end - 1 };
  size_t len = bytes.len < CH_WS_HEAD_MAX ? bytes.len : CH_WS_HEAD_MAX, from = seen_len > END_LEN ? seen_len - END_LEN : 0;
  ch_assert(seen_len <= bytes.len);
  request->head_len = 0;
  if (bytes.len == 0) return 0;
  if (!is_token_char(bytes.data[0])) return MALFORMED; /* TLS, or nothing at all: no request will come of it */
  const uint8_t *found = from < len ? memmem(bytes.data + from, len - from, end, END_LEN) : NULL;
  if (!found) return len < CH_WS_HEAD_MAX ? 0 : TOO_LONG;
  request->head_len = (size_t)(found - bytes.data) + END_LEN;
  return judge_head(ch_bytes_of(bytes.data, request->head_len), request->key);
}

/* ------------------------------------------------------------------------------------------------ the answer */

/* RFC 6455, section 4.2.2, point 5.4. */
static bool accept_of(const char *key, char accept[32]) {
  static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  uint8_t text[CH_WS_KEY_LEN + sizeof guid - 1], digest[SHA_DIGEST_LENGTH];
  memcpy(text, key, CH_WS_KEY_LEN);
  memcpy(text + CH_WS_KEY_LEN, guid, sizeof guid - 1);
  if (EVP_Digest(text, sizeof text, digest, NULL, EVP_sha1(), NULL) != 1) return false;
  EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
  return true;
}

static int put_welcome(const ch_ws_request *request, ch_buf *out) {
  char accept[32];
  if (!accept_of(request->key, accept)) return CHAT_E_NOMEM;
  return ch_buf_printf(out,
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
                       "Sec-WebSocket-Protocol: " CH_WS_SUBPROTOCOL "\r\n\r\n",
                       accept);
}

typedef struct refusal {
  int status;
  const char *reason, *more, *text;
} refusal;

static const refusal refusals[] = {
    {MALFORMED, "Bad Request", "", "no WebSocket handshake for the subprotocol " CH_WS_SUBPROTOCOL "\n"},
    {NOT_FOUND, "Not Found", "", "/ or /chat\n"},
    {NOT_GET, "Method Not Allowed", "Allow: GET\r\n", "only GET\n"},
    {NO_UPGRADE, "Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", "here is a WebSocket, version 13, subprotocol " CH_WS_SUBPROTOCOL "\n"},
    {TOO_LONG, "Request Header Fields Too Large", "", "more than 8 KiB\n"},
};

static const refusal *refusal_of(int status) {
  size_t i = 0;
  while (refusals[i].status != status) ch_assert(++i < sizeof refusals / sizeof *refusals);
  return &refusals[i];
}

int ch_ws_upgrade_answer(int status, const ch_ws_request *request, ch_buf *out) {
  if (status == SWITCHING) return put_welcome(request, out);
  const refusal *of = refusal_of(status);
  return ch_buf_printf(out, "HTTP/1.1 %d %s\r\n%sConnection: %sclose\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n\r\n%s", status, of->reason, of->more,
                       status == NO_UPGRADE ? "Upgrade, " : "", strlen(of->text), of->text);
}
