/* SPDX-License-Identifier: Apache-2.0 */
#include "core/arena.h"

#include <string.h>

#include "failing_allocator.h"
#include "run.h"

enum { CHUNK_LEN = 64, CAP_LEN = 256 };

static failing_allocator memory;
static ch_arena arena;

static void setup(size_t allocations) {
  failing_allocator_init(&memory, allocations);
  ch_arena_init(&arena, &memory.alloc, CHUNK_LEN, CAP_LEN);
}

START_TEST(pieces_are_aligned_and_apart) {
  setup(100);
  char *a = ch_arena_alloc(&arena, 1), *b = ch_arena_alloc(&arena, 17), *c = ch_arena_alloc(&arena, 0);
  memset(a, 1, 1);
  memset(b, 2, 17);
  ck_assert_uint_eq((uintptr_t)a % 16, 0);
  ck_assert_uint_eq((uintptr_t)b % 16, 0);
  ck_assert(b >= a + 1 && c >= b + 17);
  ck_assert_int_eq(*a, 1);
  ck_assert_uint_eq(memory.live, 1);
  ch_arena_fini(&arena);
  ck_assert_uint_eq(memory.live, 0);
}
END_TEST

START_TEST(it_grows_by_chunks) {
  setup(100);
  ck_assert_ptr_nonnull(ch_arena_alloc(&arena, 64));
  ck_assert_ptr_nonnull(ch_arena_alloc(&arena, 16));
  ck_assert_uint_eq(memory.live, 2);
  ck_assert_ptr_nonnull(ch_arena_alloc(&arena, 160)); /* larger than a chunk */
  ck_assert_uint_eq(memory.live, 3);
  ch_arena_fini(&arena);
  ck_assert_uint_eq(memory.live, 0);
}
END_TEST

/* Chunks are as large as what is in use, up to 64 KiB, so that their number grows slowly. */
START_TEST(chunks_grow) {
  failing_allocator_init(&memory, 1000);
  ch_arena_init(&arena, &memory.alloc, CHUNK_LEN, 1 << 20);
  for (size_t len = 0; len < 1 << 20; len += 16) ck_assert_ptr_nonnull(ch_arena_alloc(&arena, 16));
  ck_assert_uint_lt(memory.live, 40);
  ch_arena_fini(&arena);
  ck_assert_uint_eq(memory.live, 0);
}
END_TEST

START_TEST(a_lent_chunk_serves_first_and_is_not_freed) {
  _Alignas(16) uint8_t first[128];
  setup(100);
  ch_arena_lend(&arena, first, sizeof first);
  uint8_t *a = ch_arena_alloc(&arena, 16);
  ck_assert(a > first && a < first + sizeof first);
  ck_assert_uint_eq(memory.live, 0);
  ck_assert_ptr_nonnull(ch_arena_alloc(&arena, 160));
  ck_assert_uint_eq(memory.live, 1);
  ch_arena_reset(&arena);
  ck_assert_uint_eq(memory.live, 1);
  ch_arena_fini(&arena);
  ck_assert_uint_eq(memory.live, 0);
}
END_TEST

START_TEST(the_cap_holds_to_the_byte) {
  setup(100);
  ck_assert_ptr_null(ch_arena_alloc(&arena, CAP_LEN + 1));
  ck_assert_ptr_null(ch_arena_alloc(&arena, SIZE_MAX));
  ck_assert_ptr_null(ch_arena_alloc(&arena, SIZE_MAX - 3)); /* rounding up must not wrap */
  ck_assert_ptr_nonnull(ch_arena_alloc(&arena, CAP_LEN - 16));
  ck_assert_ptr_nonnull(ch_arena_alloc(&arena, 16));
  ck_assert_ptr_null(ch_arena_alloc(&arena, 1));
  ck_assert_ptr_null(ch_arena_alloc(&arena, 0));
  ch_arena_fini(&arena);
}
END_TEST

/* 250 bytes fit, but not when rounded up. */
START_TEST(the_cap_counts_rounded_pieces) {
  failing_allocator_init(&memory, 100);
  ch_arena_init(&arena, &memory.alloc, CHUNK_LEN, 250);
  ck_assert_ptr_null(ch_arena_alloc(&arena, 250));
  ck_assert_ptr_nonnull(ch_arena_alloc(&arena, 240));
  ch_arena_fini(&arena);
}
END_TEST

START_TEST(reset_gives_the_whole_cap_again) {
  setup(100);
  ch_arena_reset(&arena); /* of one that never allocated */
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < CAP_LEN / 16; i++)
      ck_assert_ptr_nonnull(ch_arena_alloc(&arena, 16));
    ck_assert_ptr_null(ch_arena_alloc(&arena, 1));
    ch_arena_reset(&arena);
    ck_assert_uint_eq(memory.live, 1);
  }
  ch_arena_fini(&arena);
}
END_TEST

START_TEST(calloc_clears_and_checks) {
  setup(100);
  memset(ch_arena_alloc(&arena, 64), 0xFF, 64);
  ch_arena_reset(&arena);
  uint8_t *zeros = ch_arena_calloc(&arena, 4, 16);
  for (int i = 0; i < 64; i++)
    ck_assert_uint_eq(zeros[i], 0);
  ck_assert_ptr_null(ch_arena_calloc(&arena, SIZE_MAX / 2, 3));
  ck_assert_ptr_null(ch_arena_calloc(&arena, CAP_LEN, 1));
  ck_assert_ptr_nonnull(ch_arena_calloc(&arena, 1, 0));
  ch_arena_fini(&arena);
}
END_TEST

START_TEST(dup_copies_and_ends) {
  setup(100);
  char *copy = ch_arena_dup(&arena, "hello", 4), *none = ch_arena_dup(&arena, NULL, 0);
  ck_assert_str_eq(copy, "hell");
  ck_assert_str_eq(none, "");
  ck_assert_ptr_null(ch_arena_dup(&arena, "x", SIZE_MAX));
  ck_assert_ptr_null(ch_arena_dup(&arena, copy, CAP_LEN));
  ch_arena_fini(&arena);
}
END_TEST

START_TEST(no_memory_is_null_and_harmless) {
  setup(1);
  ck_assert_ptr_nonnull(ch_arena_alloc(&arena, 48));
  ck_assert(!arena.is_short);
  ck_assert_ptr_null(ch_arena_alloc(&arena, 48));
  ck_assert(arena.is_short);
  ck_assert_ptr_nonnull(ch_arena_alloc(&arena, 16)); /* the first chunk still serves */
  ck_assert(arena.is_short); /* it does not forget */
  ch_arena_reset(&arena);
  ck_assert(!arena.is_short);
  ch_arena_fini(&arena);
  ck_assert_uint_eq(memory.live, 0);
}
END_TEST

END_TEST

int main(void) {
  const test_row rows[] = {
      {pieces_are_aligned_and_apart, 0},
      {it_grows_by_chunks, 0},
      {chunks_grow, 0},
      {a_lent_chunk_serves_first_and_is_not_freed, 0},
      {the_cap_holds_to_the_byte, 0},
      {the_cap_counts_rounded_pieces, 0},
      {reset_gives_the_whole_cap_again, 0},
      {calloc_clears_and_checks, 0},
      {dup_copies_and_ends, 0},
      {no_memory_is_null_and_harmless, 0},
  };
  return RUN_TESTS("arena", rows);
}
