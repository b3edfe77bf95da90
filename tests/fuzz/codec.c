/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every decoder of wire.h. What decodes encodes again, and what that gives decodes to the same: a message means one thing. And a Send that passes the client's
 * decoder makes a record that passes the log's: one that does not would stop its partition.
 */
#include <string.h>

#include "core/wire.h"
#include "fuzz/fuzz.h"

enum { OUT_MAX = 4 << 20 };

/* Any struct of wire.h. */
typedef union decoded {
  ch_client_message client;
  ch_server_message server;
  ch_record record;
  ch_tasks tasks;
  ch_delivered delivered;
  chat_row row;
  ch_content content;
} decoded;

typedef int decode_fn(chat_bytes bytes, ch_arena *arena, decoded *to);
typedef int encode_fn(const decoded *from, ch_buf *out);

static int decode_client(chat_bytes bytes, ch_arena *arena, decoded *to) {
  int error = ch_client_message_decode(bytes, arena, &to->client);
  return error || to->client.op != CH_CLIENT_NONE ? error : CHAT_E_UNSUPPORTED;
}

static int encode_client(const decoded *from, ch_buf *out) {
  return ch_client_message_encode(&from->client, out);
}

static int decode_server(chat_bytes bytes, ch_arena *arena, decoded *to) {
  int error = ch_server_message_decode(bytes, arena, &to->server);
  return error || to->server.op != CH_SERVER_NONE ? error : CHAT_E_UNSUPPORTED;
}

static int encode_server(const decoded *from, ch_buf *out) {
  return ch_server_message_encode(&from->server, out);
}

static int decode_record(chat_bytes bytes, ch_arena *arena, decoded *to) {
  return ch_record_decode(bytes, arena, &to->record);
}

static int encode_record(const decoded *from, ch_buf *out) {
  return ch_record_encode(&from->record, out);
}

static int decode_tasks(chat_bytes bytes, ch_arena *arena, decoded *to) {
  return ch_tasks_decode(bytes, arena, &to->tasks);
}

static int encode_tasks(const decoded *from, ch_buf *out) {
  return ch_tasks_encode(&from->tasks, out);
}

static int decode_delivered(chat_bytes bytes, ch_arena *arena, decoded *to) {
  return ch_delivered_decode(bytes, arena, &to->delivered);
}

static int encode_delivered(const decoded *from, ch_buf *out) {
  return ch_delivered_encode(&from->delivered, out);
}

static int decode_row(chat_bytes bytes, ch_arena *arena, decoded *to) {
  return ch_row_decode(bytes, arena, &to->row);
}

static int encode_row(const decoded *from, ch_buf *out) {
  return ch_row_encode(&from->row, out);
}

/* The first byte of its bytes is the type. */
static int decode_content(chat_bytes bytes, ch_arena *arena, decoded *to) {
  fuzz_input input = {bytes.data, bytes.len};
  uint32_t type = fuzz_byte(&input);
  return ch_content_decode(type, ch_bytes_of(input.data, input.len), arena, &to->content);
}

static int encode_content(const decoded *from, ch_buf *out) {
  const uint8_t type = (uint8_t)from->content.type;
  int error = ch_buf_put(out, ch_bytes_of(&type, 1));
  return error ? error : ch_content_encode(&from->content, out);
}

static const struct {
  decode_fn *decode;
  encode_fn *encode;
  int is_prefixed; /* encode puts a length in front */
} codecs[] = {
    {decode_client, encode_client, 1}, {decode_server, encode_server, 1},       {decode_content, encode_content, 0}, {decode_record, encode_record, 0},
    {decode_tasks, encode_tasks, 0},   {decode_delivered, encode_delivered, 0}, {decode_row, encode_row, 0},
};

static chat_bytes without_prefix(size_t which, chat_bytes bytes) {
  chat_bytes message = bytes;
  if (codecs[which].is_prefixed) ch_assert(ch_frame_next(&bytes, &message) == 0);
  return message;
}

static void means_one_thing(size_t which, const decoded *first, ch_arena *arena) {
  ch_buf once, twice;
  decoded second;
  ch_buf_init(&once, NULL, OUT_MAX);
  ch_buf_init(&twice, NULL, OUT_MAX);
  int error = codecs[which].encode(first, &once);
  ch_assert(!error);
  chat_bytes message = without_prefix(which, ch_buf_bytes(&once));
  error = codecs[which].decode(message, arena, &second);
  ch_assert(!error);
  error = codecs[which].encode(&second, &twice);
  ch_assert(!error);
  ch_assert(ch_bytes_equal(ch_buf_bytes(&once), ch_buf_bytes(&twice)));
  ch_buf_fini(&once);
  ch_buf_fini(&twice);
}

/* As the gateway makes it (gateway_append.c). */
static void makes_a_record(const ch_send *send, ch_arena *arena) {
  ch_record back, record = {.client_seq = send->client_seq, .prev = send->prev, .type = send->type, .payload = send->payload, .peer = send->peer,
                            .sender = ch_bytes_text("ann"), .device_id = {1}};
  ch_buf out;
  memcpy(record.conversation_id, send->conversation_id, 16);
  memcpy(record.client_id, send->client_id, 16);
  ch_buf_init(&out, NULL, OUT_MAX);
  int error = ch_record_encode(&record, &out);
  ch_assert(!error);
  error = ch_record_decode(ch_buf_bytes(&out), arena, &back);
  ch_assert(!error);
  ch_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input input = {data, len};
  size_t which = fuzz_byte(&input) % (sizeof codecs / sizeof *codecs);
  decoded first;
  ch_arena arena, again;
  ch_arena_init(&arena, NULL, 1024, ch_decode_cap(input.len));
  ch_arena_init(&again, NULL, 1024, ch_decode_cap(4 * input.len + 4096));
  if (codecs[which].decode(ch_bytes_of(input.data, input.len), &arena, &first) == 0) {
    means_one_thing(which, &first, &again);
    if (which == 0 && first.client.op == CH_SEND) makes_a_record(&first.client.u.send, &again);
  }
  ch_arena_fini(&again);
  ch_arena_fini(&arena);
  return 0;
}
