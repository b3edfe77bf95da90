/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem */
#include "engine/ws.h"

#include <openssl/evp.h>
#include <string.h>

/* Eight bytes at a time: the baseline is to be bare, not naive. */
static void mask_bytes(uint8_t *bytes, size_t len, const uint8_t mask[4]) {
  uint64_t wide;
  memcpy(&wide, mask, 4);
  memcpy((uint8_t *)&wide + 4, mask, 4);
  size_t at = 0;
  for (; at + 8 <= len; at += 8) {
    uint64_t word;
    memcpy(&word, bytes + at, 8);
    word ^= wide;
    memcpy(bytes + at, &word, 8);
  }
  for (; at < len; at++)
    bytes[at] ^= mask[at & 3];
}

static uint64_t big_endian(const uint8_t *bytes, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; i++)
    value = value << 8 | bytes[i];
  return value;
}

size_t ws_frame_read(uint8_t *bytes, size_t len, ws_frame *frame) {
  if (len < 2) return 0;
  uint64_t payload_len = bytes[1] & 127;
  size_t more_len = payload_len == 126 ? 2 : payload_len == 127 ? 8 : 0;
  size_t mask_len = bytes[1] & 128 ? 4 : 0;
  size_t head_len = 2 + more_len + mask_len;
  if (len < head_len) return 0;
  if (more_len) payload_len = big_endian(bytes + 2, more_len);
  if (len - head_len < payload_len) return 0;
  *frame = (ws_frame){.opcode = bytes[0] & 15, .final = bytes[0] & 128, .payload = bytes + head_len, .len = payload_len};
  if (mask_len) mask_bytes(frame->payload, frame->len, frame->payload - 4);
  return head_len + payload_len;
}

static size_t write_head(uint8_t *head, ws_opcode opcode, size_t len, bool masked) {
  uint8_t mask_bit = masked ? 128 : 0;
  head[0] = 128 | (uint8_t)opcode;
  if (len < 126) {
    head[1] = mask_bit | (uint8_t)len;
    return 2;
  }
  size_t count = len < 65536 ? 2 : 8;
  head[1] = mask_bit | (count == 2 ? 126 : 127);
  for (size_t i = 0; i < count; i++)
    head[2 + i] = (uint8_t)(len >> 8 * (count - 1 - i));
  return 2 + count;
}

int ws_frame_put(ch_buf *out, ws_opcode opcode, ch_bytes payload, const uint8_t mask[4]) {
  uint8_t head[14];
  size_t head_len = write_head(head, opcode, payload.len, mask != NULL);
  if (mask) {
    memcpy(head + head_len, mask, 4);
    head_len += 4;
  }
  uint8_t *frame = ch_buf_extend(out, head_len + payload.len);
  if (!frame) return out->error;
  memcpy(frame, head, head_len);
  if (payload.len) memcpy(frame + head_len, payload.data, payload.len);
  if (mask) mask_bytes(frame + head_len, payload.len, mask);
  return 0;
}

int ws_request_put(ch_buf *out, const char *host, const char *path, const char *subprotocol) {
  ch_buf_printf(out, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", path, host);
  ch_buf_put_text(out, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bGliY2hhdC1iZW5jaC0uLg==\r\n");
  if (subprotocol) ch_buf_printf(out, "Sec-WebSocket-Protocol: %s\r\n", subprotocol);
  return ch_buf_put_text(out, "\r\n");
}

/* base64(SHA-1(key and the number of RFC 6455, section 1.3)); accept has 29 bytes. */
static void accept_key(ch_bytes key, char *accept) {
  static const char number[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  uint8_t hash[EVP_MAX_MD_SIZE];
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  EVP_DigestInit_ex(context, EVP_sha1(), NULL);
  EVP_DigestUpdate(context, key.data, key.len);
  EVP_DigestUpdate(context, number, sizeof number - 1);
  EVP_DigestFinal_ex(context, hash, NULL);
  EVP_MD_CTX_free(context);
  EVP_EncodeBlock((unsigned char *)accept, hash, 20);
}

int ws_answer_put(ch_buf *out, ch_bytes request) {
  static const char name[] = "Sec-WebSocket-Key: ";
  const uint8_t *key = memmem(request.data, request.len, name, sizeof name - 1);
  if (!key) return CHAT_E_PROTOCOL;
  key += sizeof name - 1;
  const uint8_t *end = memchr(key, '\r', (size_t)(request.data + request.len - key));
  if (!end) return CHAT_E_PROTOCOL;
  char accept[32];
  accept_key(ch_bytes_of(key, (size_t)(end - key)), accept);
  return ch_buf_printf(
      out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
}

size_t ws_head_len(ch_bytes bytes) {
  const uint8_t *end = bytes.len ? memmem(bytes.data, bytes.len, "\r\n\r\n", 4) : NULL;
  return end ? (size_t)(end - bytes.data) + 4 : 0;
}
