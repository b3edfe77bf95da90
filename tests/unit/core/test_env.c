/* SPDX-License-Identifier: Apache-2.0 */
#include "core/env.h"

#include <string.h>

#include "failing_allocator.h"
#include "run.h"

START_TEST(malloc_is_the_default) {
  char *memory = ch_alloc(NULL, 3);
  ck_assert_ptr_nonnull(memory);
  memcpy(memory, "ab", 3);
  memory = ch_realloc(NULL, memory, 100, 10);
  ck_assert_str_eq(memory, "ab");
  ch_free(NULL, memory);
  ch_free(NULL, NULL);
}
END_TEST

START_TEST(calloc_clears) {
  uint64_t *numbers = ch_calloc(NULL, 50, sizeof *numbers);
  for (int i = 0; i < 50; i++)
    ck_assert_uint_eq(numbers[i], 0);
  ch_free(NULL, numbers);
}
END_TEST

START_TEST(products_that_overflow_fail) {
  char *memory = ch_alloc(NULL, 1);
  ck_assert_ptr_null(ch_calloc(NULL, SIZE_MAX / 2, 3));
  ck_assert_ptr_null(ch_realloc(NULL, memory, SIZE_MAX / 2, 3));
  ch_free(NULL, memory);
}
END_TEST

START_TEST(none_is_still_a_pointer) {
  void *a = ch_alloc(NULL, 0), *b = ch_calloc(NULL, 0, 8), *c = ch_calloc(NULL, 8, 0);
  ck_assert(a && b && c);
  ch_free(NULL, a);
  ch_free(NULL, b);
  ch_free(NULL, c);
}
END_TEST

START_TEST(an_allocator_is_asked) {
  failing_allocator failing;
  failing_allocator_init(&failing, 2);
  void *memory = ch_alloc(&failing.alloc, 8);
  memory = ch_realloc(&failing.alloc, memory, 2, 8);
  ck_assert_uint_eq(failing.live, 1);
  ck_assert_ptr_null(ch_realloc(&failing.alloc, memory, 4, 8));
  ck_assert_ptr_null(ch_alloc(&failing.alloc, 1));
  ck_assert_ptr_null(ch_calloc(&failing.alloc, 1, 1));
  ch_free(&failing.alloc, memory);
  ch_free(&failing.alloc, NULL);
  ck_assert_uint_eq(failing.live, 0);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {malloc_is_the_default, 0},   {calloc_clears, 0},         {products_that_overflow_fail, 0},
      {none_is_still_a_pointer, 0}, {an_allocator_is_asked, 0},
  };
  return RUN_TESTS("env", rows);
}
