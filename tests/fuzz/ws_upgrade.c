/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a request of any bytes: in whatever pieces it comes it is answered with the same, what is taken for a WebSocket has a whole head of at most 8 KiB and a key, and each
 * status has an answer.
 *
 * Input: pieces (fuzz.h).
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "server/loop/ws_upgrade.h"

enum { SAID_MAX = 64 * 1024, ANSWER_MAX = 1024 };

static void is_good(ch_bytes said, int status, const ch_ws_request *request) {
  ch_buf out;
  ch_assert(status != 101 || (request->head_len <= CH_WS_HEAD_MAX && memcmp(said.data + request->head_len - 4, "\r\n\r\n", 4) == 0));
  ch_assert(status != 101 || (memcmp(said.data, "GET ", 4) == 0 && memchr(said.data, ':', request->head_len)));
  ch_buf_init(&out, NULL, ANSWER_MAX);
  ch_assert(ch_ws_upgrade_answer(status, request, &out) == 0);
  ch_assert(out.len > 20 && memcmp(out.data, "HTTP/1.1 ", 9) == 0);
  ch_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static uint8_t said[SAID_MAX];
  fuzz_input input = {data, len};
  ch_ws_request in_pieces = {0}, whole = {0};
  size_t said_len = 0;
  int status = 0;
  while (input.len > 0 && status == 0) {
    chat_bytes piece = fuzz_piece(&input);
    if (piece.len > SAID_MAX - said_len) break;
    if (piece.len > 0) memcpy(said + said_len, piece.data, piece.len);
    said_len += piece.len;
    status = ch_ws_upgrade_read(ch_bytes_of(said, said_len), said_len - piece.len, &in_pieces);
  }
  ch_assert(ch_ws_upgrade_read(ch_bytes_of(said, said_len), 0, &whole) == status);
  ch_assert(whole.head_len == in_pieces.head_len && (status != 101 || memcmp(whole.key, in_pieces.key, CH_WS_KEY_LEN) == 0));
  if (status) is_good(ch_bytes_of(said, said_len), status, &whole);
  return 0;
}
