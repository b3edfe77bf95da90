/* SPDX-License-Identifier: Apache-2.0 */
#include "core/op.h"

#include <string.h>

#include "failing_allocator.h"
#include "run.h"

static failing_allocator memory;

START_TEST(an_op_is_zero_and_carries_its_memory) {
  failing_allocator_init(&memory, 100);
  chat_store_range *range = ch_op_new(&memory.alloc, CHAT_OP_STORE_RANGE, sizeof *range);
  ck_assert_uint_eq((uintptr_t)range % 16, 0);
  ck_assert_uint_eq(range->op.kind, CHAT_OP_STORE_RANGE);
  ck_assert_int_eq(range->op.status, 0);
  ck_assert_ptr_null(range->op.next);
  ck_assert_ptr_null(range->rows);
  ck_assert_uint_eq(memory.live, 1); /* one that carries nothing more is one allocation */
  range->rows = chat_op_alloc(&range->op, 200 * sizeof *range->rows);
  memset(range->rows, 1, 200 * sizeof *range->rows);
  ck_assert_uint_eq((uintptr_t)range->rows % 16, 0);
  ck_assert_uint_eq(memory.live, 2);
  ch_op_free(&range->op);
  ck_assert_uint_eq(memory.live, 0);
  ch_op_free(NULL);
}
END_TEST

START_TEST(copies) {
  failing_allocator_init(&memory, 2);
  chat_log_info *info = ch_op_new(&memory.alloc, CHAT_OP_LOG_INFO, sizeof *info);
  char text[] = "hello";
  chat_bytes copy = chat_op_copy(&info->op, (chat_bytes){(const uint8_t *)text, 5});
  text[0] = 'j';
  ck_assert_uint_eq(copy.len, 5);
  ck_assert_mem_eq(copy.data, "hello", 5);
  ck_assert_uint_eq(chat_op_copy(&info->op, (chat_bytes){0}).len, 0);
  static const uint8_t large[4096];
  copy = chat_op_copy(&info->op, (chat_bytes){large, sizeof large}); /* no memory for another chunk */
  ck_assert_ptr_null(copy.data);
  ck_assert_uint_eq(copy.len, 0);
  ck_assert_ptr_null(chat_op_alloc(&info->op, 4096));
  ch_op_free(&info->op);
  ck_assert_uint_eq(memory.live, 0);
}
END_TEST

/* The cap of chat/backend.h: 64 MiB, to the byte, in pieces or in one. */
START_TEST(the_cap) {
  enum { MIB = 1024 * 1024 };
  chat_op *op = ch_op_new(NULL, 1, sizeof *op);
  ck_assert_ptr_null(chat_op_alloc(op, (size_t)64 * MIB + 1));
  ck_assert_ptr_null(chat_op_alloc(op, SIZE_MAX));
  for (int i = 0; i < 63; i++)
    ck_assert_ptr_nonnull(chat_op_alloc(op, MIB));
  ck_assert_ptr_null(chat_op_alloc(op, MIB + 1));
  ck_assert_ptr_nonnull(chat_op_alloc(op, MIB));
  ck_assert_ptr_null(chat_op_alloc(op, 1));
  ch_op_free(op);
}
END_TEST

START_TEST(no_memory_for_an_op) {
  failing_allocator_init(&memory, 0);
  ck_assert_ptr_null(ch_op_new(&memory.alloc, 1, sizeof(chat_op)));
}
END_TEST

START_TEST(a_queue_keeps_the_order) {
  ch_op_queue queue = {0};
  ck_assert_ptr_null(ch_op_queue_pop(&queue));
  for (int round = 0; round < 2; round++) { /* emptied, it works again */
    chat_op *ops[3];
    for (uint32_t i = 0; i < 3; i++) {
      ops[i] = ch_op_new(NULL, i + 1, sizeof(chat_op));
      ch_op_queue_push(&queue, ops[i]);
    }
    ck_assert_uint_eq(queue.count, 3);
    for (int i = 0; i < 3; i++) {
      ck_assert_ptr_eq(ch_op_queue_pop(&queue), ops[i]);
      ck_assert_ptr_null(ops[i]->next);
      ch_op_free(ops[i]);
    }
    ck_assert_ptr_null(ch_op_queue_pop(&queue));
    ck_assert_uint_eq(queue.count, 0);
  }
}
END_TEST

START_TEST(a_queue_frees_what_it_holds) {
  ch_op_queue queue = {0};
  failing_allocator_init(&memory, 100);
  for (uint32_t i = 0; i < 5; i++)
    ch_op_queue_push(&queue, ch_op_new(&memory.alloc, i, sizeof(chat_op)));
  ck_assert_uint_eq(memory.live, 5);
  ch_op_queue_free(&queue);
  ck_assert_uint_eq(memory.live, 0);
  ck_assert_uint_eq(queue.count, 0);
  ck_assert_ptr_null(ch_op_queue_pop(&queue));
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {an_op_is_zero_and_carries_its_memory, 0}, {copies, 0}, {the_cap, 0}, {no_memory_for_an_op, 0}, {a_queue_keeps_the_order, 0},
      {a_queue_frees_what_it_holds, 0},
  };
  return RUN_TESTS("op", rows);
}
