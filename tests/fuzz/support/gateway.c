/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/support/gateway.h"

#include "core/wire.h"

ch_gateway_config fuzz_gateway_config(void) {
  return (ch_gateway_config){
      .name = ch_bytes_text("g1"),
      .times = {.hello_ms = 10000, .auth_ms = 10000, .heartbeat_ms = 15000, .idle_ms = 45000, .drain_ms = 5000},
      .message_partitions = 2,
      .delivery_partitions = 2,
      .devices_max = 4,
      .sessions_max = 3,
      .in_flight_max = 4,
      .hold_ms = 300,
      .hold_max = 3,
      .append_count_max = 4,
      .receipt_ms = 200,
      .route_ms = 300000,
      .presence_ms = 30000,
      .out_max = FUZZ_GATEWAY_OUT_MAX,
      .out_total_max = 4 * FUZZ_GATEWAY_OUT_MAX,
      .hook_ms = 5000,
  };
}

bool fuzz_gateway_is_poll(const chat_op *op) {
  return op->kind == CHAT_OP_LINK_RECEIVE || op->kind == CHAT_OP_DIRECTORY_CHANGES;
}

static void decodes(chat_bytes data) {
  ch_arena arena;
  ch_record record;
  ch_arena_init(&arena, NULL, 1024, ch_decode_cap(data.len));
  int error = ch_record_decode(data, &arena, &record);
  ch_assert(!error);
  ch_arena_fini(&arena);
}

void fuzz_gateway_writes(const chat_log_append *op) {
  for (size_t i = 0; i < op->count && op->topic == CHAT_TOPIC_MESSAGES; i++)
    decodes(op->records[i].data);
}

size_t fuzz_gateway_says(chat_bytes frame) {
  ch_arena arena;
  ch_server_message message;
  chat_bytes bytes;
  size_t answers = 0;
  int error;
  ch_arena_init(&arena, NULL, 4096, 16 << 20);
  while (!(error = ch_frame_next(&frame, &bytes))) {
    error = ch_server_message_decode(bytes, &arena, &message);
    ch_assert(!error && message.op != CH_SERVER_NONE);
    answers += message.op == CH_ANSWER;
  }
  ch_assert(error == CHAT_E_CLOSED);
  ch_arena_fini(&arena);
  return answers;
}

static void give_back(ch_role role, chat_op *op, ch_now now) {
  op->status = CHAT_E_CANCELED;
  role.complete(role.self, op, now);
}

void fuzz_gateway_cancel(ch_role role, ch_op_queue *late, ch_now now) {
  for (chat_op *op = late ? ch_op_queue_pop(late) : NULL; op; op = ch_op_queue_pop(late))
    give_back(role, op, now);
  for (chat_op *op = role.next_op(role.self); op; op = role.next_op(role.self))
    give_back(role, op, now);
}
