/* SPDX-License-Identifier: Apache-2.0 */
#include "core/op.h"

#include <string.h>

#include "core/arena.h"
#include "core/assert.h"

/* Most ops carry little, so their first chunk is small; a page of history takes chunks of its own size. */
enum { CHUNK_LEN = 512, CAP_LEN = 64 * 1024 * 1024 };

/* What ch_op_new allocates: the op's struct follows, at the alignment of malloc. */
typedef struct op_block {
  _Alignas(16) ch_arena arena;
} op_block;

_Static_assert(sizeof(op_block) % 16 == 0, "the op behind it must be aligned");

void *ch_op_new(const ch_allocator *alloc, uint32_t kind, size_t len) {
  ch_assert(len >= sizeof(chat_op));
  op_block *block = ch_calloc(alloc, 1, sizeof *block + len);
  if (!block) return NULL;
  ch_arena_init(&block->arena, alloc, CHUNK_LEN, CAP_LEN);
  chat_op *op = (chat_op *)(void *)(block + 1);
  op->kind = kind;
  op->arena = &block->arena;
  return op;
}

void ch_op_free(chat_op *op) {
  if (!op) return;
  op_block *block = (op_block *)(void *)op - 1;
  const ch_allocator *alloc = block->arena.alloc;
  ch_assert(op->arena == &block->arena);
  ch_arena_fini(&block->arena);
  ch_free(alloc, block);
}

void *chat_op_alloc(chat_op *op, size_t size) {
  return ch_arena_alloc(op->arena, size);
}

chat_bytes chat_op_copy(chat_op *op, chat_bytes bytes) {
  void *copy = bytes.len > 0 ? ch_arena_alloc(op->arena, bytes.len) : NULL;
  if (!copy) return (chat_bytes){0};
  memcpy(copy, bytes.data, bytes.len);
  return (chat_bytes){.data = copy, .len = bytes.len};
}

void ch_op_queue_push(ch_op_queue *queue, chat_op *op) {
  op->next = NULL;
  if (queue->last) queue->last->next = op;
  else queue->first = op;
  queue->last = op;
  queue->count++;
}

chat_op *ch_op_queue_pop(ch_op_queue *queue) {
  chat_op *op = queue->first;
  if (!op) return NULL;
  queue->first = op->next;
  if (!queue->first) queue->last = NULL;
  queue->count--;
  op->next = NULL;
  return op;
}

void ch_op_queue_free(ch_op_queue *queue) {
  for (chat_op *op = ch_op_queue_pop(queue); op; op = ch_op_queue_pop(queue))
    ch_op_free(op);
}
