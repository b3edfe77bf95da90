/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hashmap.h"

#include <chat/chat.h>
#include <stdio.h>

#include "failing_allocator.h"
#include "run.h"

enum { MANY = 1000 };

static int values[MANY];
static failing_allocator memory;
static ch_hashmap map;

static void setup(size_t allocations, uint8_t seed_byte) {
  const uint8_t seed[CH_HASHMAP_SEED_LEN] = {seed_byte};
  failing_allocator_init(&memory, allocations);
  ch_hashmap_init(&map, &memory.alloc, seed);
}

static void teardown(void) {
  ch_hashmap_fini(&map);
  ck_assert_uint_eq(memory.live, 0);
}

static ch_bytes key_of(int number) {
  static char text[16];
  snprintf(text, sizeof text, "key %d", number);
  return ch_bytes_text(text);
}

static void fill(int count) {
  for (int i = 0; i < count; i++)
    ck_assert_int_eq(ch_hashmap_insert(&map, key_of(i), &values[i]), 0);
}

START_TEST(an_empty_map) {
  setup(100, 0);
  ck_assert_ptr_null(ch_hashmap_find(&map, key_of(1)));
  ck_assert_ptr_null(ch_hashmap_remove(&map, key_of(1)));
  ck_assert_ptr_null(ch_hashmap_first(&map));
  teardown();
}
END_TEST

START_TEST(many_keys_are_found) {
  setup(SIZE_MAX, 0);
  fill(MANY);
  ck_assert_uint_eq(map.count, MANY);
  ck_assert_uint_ge(map.buckets_count, MANY); /* chains stay short */
  for (int i = 0; i < MANY; i++)
    ck_assert_ptr_eq(ch_hashmap_find(&map, key_of(i)), &values[i]);
  ck_assert_ptr_null(ch_hashmap_find(&map, key_of(MANY)));
  teardown();
}
END_TEST

START_TEST(keys_are_bytes) {
  setup(100, 0);
  ck_assert_int_eq(ch_hashmap_insert(&map, ch_bytes_of(NULL, 0), &values[0]), 0);
  ck_assert_int_eq(ch_hashmap_insert(&map, ch_bytes_of("\0", 1), &values[1]), 0);
  ck_assert_int_eq(ch_hashmap_insert(&map, ch_bytes_of("\0\0", 2), &values[2]), 0);
  ck_assert_ptr_eq(ch_hashmap_find(&map, ch_bytes_text("")), &values[0]);
  ck_assert_ptr_eq(ch_hashmap_find(&map, ch_bytes_of("\0", 1)), &values[1]);
  ck_assert_ptr_eq(ch_hashmap_find(&map, ch_bytes_of("\0\0", 2)), &values[2]);
  teardown();
}
END_TEST

START_TEST(a_second_insert_is_refused) {
  setup(100, 0);
  fill(1);
  ck_assert_int_eq(ch_hashmap_insert(&map, key_of(0), &values[1]), CHAT_E_EXISTS);
  ck_assert_ptr_eq(ch_hashmap_find(&map, key_of(0)), &values[0]);
  ck_assert_uint_eq(map.count, 1);
  teardown();
}
END_TEST

START_TEST(removing) {
  setup(SIZE_MAX, 0);
  fill(MANY);
  for (int i = 0; i < MANY; i += 2)
    ck_assert_ptr_eq(ch_hashmap_remove(&map, key_of(i)), &values[i]);
  ck_assert_ptr_null(ch_hashmap_remove(&map, key_of(0)));
  ck_assert_uint_eq(map.count, MANY / 2);
  for (int i = 0; i < MANY; i++)
    ck_assert_ptr_eq(ch_hashmap_find(&map, key_of(i)), i % 2 ? &values[i] : NULL);
  ck_assert_int_eq(ch_hashmap_insert(&map, key_of(0), &values[0]), 0);
  teardown();
}
END_TEST

/* The seed decides the buckets, never the order. */
START_TEST(iteration_is_in_order_of_insertion) {
  for (int seed = 0; seed < 3; seed++) {
    setup(SIZE_MAX, (uint8_t)seed);
    fill(100);
    ch_hashmap_remove(&map, key_of(0));
    ch_hashmap_insert(&map, key_of(0), &values[0]);
    int expected = 1;
    for (ch_hashmap_entry *entry = ch_hashmap_first(&map); entry; entry = ch_hashmap_next(&map, entry)) {
      ck_assert_ptr_eq(entry->value, &values[expected % 100]);
      ck_assert(ch_bytes_equal(ch_hashmap_key(entry), key_of(expected % 100)));
      expected++;
    }
    ck_assert_int_eq(expected, 101);
    teardown();
  }
}
END_TEST

/* Index of the bucket that a key of its own gets among eight. */
static uint64_t bucket_under(uint8_t seed_byte, int number) {
  setup(100, seed_byte);
  ch_hashmap_insert(&map, key_of(number), &values[0]);
  uint64_t bucket = ch_hashmap_first(&map)->hash % 8;
  teardown();
  return bucket;
}

START_TEST(the_seed_moves_keys) {
  int moved = 0;
  for (int i = 0; i < 64; i++)
    moved += bucket_under(1, i) != bucket_under(2, i);
  ck_assert_int_gt(moved, 32);
}
END_TEST

START_TEST(no_memory_changes_nothing) {
  for (size_t allocations = 0; allocations < 2; allocations++) {
    setup(allocations, 0);
    ck_assert_int_eq(ch_hashmap_insert(&map, key_of(0), &values[0]), CHAT_E_NOMEM);
    ck_assert_uint_eq(map.count, 0);
    ck_assert_ptr_null(ch_hashmap_find(&map, key_of(0)));
    teardown();
  }
}
END_TEST

START_TEST(null_is_no_value) {
  setup(100, 0);
  ch_hashmap_insert(&map, key_of(0), NULL);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {an_empty_map, 0},
      {many_keys_are_found, 0},
      {keys_are_bytes, 0},
      {a_second_insert_is_refused, 0},
      {removing, 0},
      {iteration_is_in_order_of_insertion, 0},
      {the_seed_moves_keys, 0},
      {no_memory_changes_nothing, 0},
      {null_is_no_value, SIGABRT},
  };
  return RUN_TESTS("hashmap", rows);
}
