/* SPDX-License-Identifier: Apache-2.0 */
#include "core/watermark.h"

#include <string.h>

#include "failing_allocator.h"
#include "run.h"

enum { BOTH = CH_WATERMARK_DELIVERED | CH_WATERMARK_READ };

static const uint8_t seed[CH_HASHMAP_SEED_LEN] = {7};
static const uint8_t here[CHAT_CONVERSATION_ID_LEN] = {1}, there[CHAT_CONVERSATION_ID_LEN] = {2};

static void merge_is(ch_watermark before, ch_watermark news, unsigned moved, ch_watermark after) {
  ck_assert_uint_eq(ch_watermark_merge(&before, news), moved);
  ck_assert_uint_eq(before.delivered, after.delivered);
  ck_assert_uint_eq(before.read, after.read);
}

START_TEST(marks_only_rise) {
  merge_is((ch_watermark){5, 3}, (ch_watermark){7, 4}, BOTH, (ch_watermark){7, 4});
  merge_is((ch_watermark){5, 3}, (ch_watermark){6, 0}, CH_WATERMARK_DELIVERED, (ch_watermark){6, 3});
  merge_is((ch_watermark){5, 3}, (ch_watermark){0, 4}, CH_WATERMARK_READ, (ch_watermark){5, 4});
  merge_is((ch_watermark){5, 3}, (ch_watermark){5, 3}, 0, (ch_watermark){5, 3});
  merge_is((ch_watermark){5, 3}, (ch_watermark){4, 2}, 0, (ch_watermark){5, 3});
}
END_TEST

START_TEST(read_raises_delivered) {
  merge_is((ch_watermark){5, 3}, (ch_watermark){0, 9}, BOTH, (ch_watermark){9, 9});
  merge_is((ch_watermark){5, 3}, (ch_watermark){7, 9}, BOTH, (ch_watermark){9, 9});
  merge_is((ch_watermark){5, 3}, (ch_watermark){0, 5}, CH_WATERMARK_READ, (ch_watermark){5, 5});
}
END_TEST

START_TEST(marks_end_at_the_head) {
  ch_watermark mark = ch_watermark_clip((ch_watermark){9, 3}, 5);
  ck_assert_uint_eq(mark.delivered, 5);
  ck_assert_uint_eq(mark.read, 3);
  mark = ch_watermark_clip((ch_watermark){9, 8}, 5);
  ck_assert_uint_eq(mark.read, 5);
}
END_TEST

START_TEST(who_has_it) {
  const ch_watermark marks[] = {{9, 9}, {9, 4}, {4, 4}, {5, 5}};
  size_t who[4];
  ck_assert_uint_eq(ch_watermark_who(marks, 4, CH_WATERMARK_READ, 5, who), 2);
  ck_assert(who[0] == 0 && who[1] == 3);
  ck_assert_uint_eq(ch_watermark_who(marks, 4, CH_WATERMARK_DELIVERED, 5, who), 3);
  ck_assert(who[0] == 0 && who[1] == 1 && who[2] == 3);
  ck_assert_uint_eq(ch_watermark_who(marks, 4, CH_WATERMARK_READ, 10, NULL), 0);
  ck_assert_uint_eq(ch_watermark_who(marks, 4, CH_WATERMARK_DELIVERED, 1, NULL), 4);
}
END_TEST

static failing_allocator memory;
static ch_receipt_set set;

static void setup(size_t allocations, size_t max_count) {
  failing_allocator_init(&memory, allocations);
  ch_receipt_set_init(&set, &memory.alloc, max_count, seed);
}

static void teardown(void) {
  ch_receipt_set_fini(&set);
  ck_assert_uint_eq(memory.live, 0);
}

static int put(const uint8_t *conversation_id, const char *user, ch_watermark mark) {
  return ch_receipt_set_put(&set, conversation_id, ch_bytes_text(user), mark);
}

static void receipt_is(const ch_receipt *receipt, const uint8_t *conversation_id, const char *user, ch_watermark mark) {
  ck_assert_mem_eq(receipt->conversation_id, conversation_id, CHAT_CONVERSATION_ID_LEN);
  ck_assert(ch_bytes_equal(ch_bytes_of(receipt->user_id, receipt->user_id_len), ch_bytes_text(user)));
  ck_assert_uint_eq(receipt->mark.delivered, mark.delivered);
  ck_assert_uint_eq(receipt->mark.read, mark.read);
}

START_TEST(changes_are_coalesced) {
  ch_receipt out[4];
  setup(100, 4);
  ck_assert_int_eq(put(here, "alice", (ch_watermark){3, 0}), 0);
  ck_assert_int_eq(put(there, "alice", (ch_watermark){1, 0}), 0);
  ck_assert_int_eq(put(here, "alice", (ch_watermark){2, 1}), 0);
  ck_assert_int_eq(put(here, "bob", (ch_watermark){0, 2}), 0);
  ck_assert_uint_eq(ch_receipt_set_count(&set), 3);
  ck_assert_uint_eq(ch_receipt_set_take(&set, out, 4), 3);
  receipt_is(&out[0], here, "alice", (ch_watermark){3, 1});
  receipt_is(&out[1], there, "alice", (ch_watermark){1, 0});
  receipt_is(&out[2], here, "bob", (ch_watermark){2, 2});
  ck_assert_uint_eq(ch_receipt_set_take(&set, out, 4), 0);
  teardown();
}
END_TEST

START_TEST(taking_in_parts) {
  ch_receipt out[2];
  setup(100, 4);
  put(here, "a", (ch_watermark){1, 0});
  put(here, "b", (ch_watermark){1, 0});
  put(here, "c", (ch_watermark){1, 0});
  ck_assert_uint_eq(ch_receipt_set_take(&set, out, 2), 2);
  ck_assert_uint_eq(ch_receipt_set_take(&set, out, 2), 1);
  receipt_is(&out[0], here, "c", (ch_watermark){1, 0});
  teardown();
}
END_TEST

START_TEST(the_set_is_bounded) {
  setup(100, 1);
  ck_assert_int_eq(put(here, "alice", (ch_watermark){3, 0}), 0);
  ck_assert_int_eq(put(here, "bob", (ch_watermark){3, 0}), CHAT_E_BUSY);
  ck_assert_int_eq(put(here, "alice", (ch_watermark){4, 0}), 0); /* merging needs no room */
  teardown();
}
END_TEST

START_TEST(no_memory_changes_nothing) {
  for (size_t allocations = 0; allocations < 3; allocations++) {
    setup(allocations, 4);
    ck_assert_int_eq(put(here, "alice", (ch_watermark){3, 0}), CHAT_E_NOMEM);
    ck_assert_uint_eq(ch_receipt_set_count(&set), 0);
    teardown();
  }
}
END_TEST

START_TEST(an_empty_user_is_misuse) {
  setup(100, 4);
  put(here, "", (ch_watermark){3, 0});
}
END_TEST

START_TEST(a_long_user_is_misuse) {
  setup(100, 4);
  put(here, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", (ch_watermark){3, 0});
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {marks_only_rise, 0},
      {read_raises_delivered, 0},
      {marks_end_at_the_head, 0},
      {who_has_it, 0},
      {changes_are_coalesced, 0},
      {taking_in_parts, 0},
      {the_set_is_bounded, 0},
      {no_memory_changes_nothing, 0},
      {an_empty_user_is_misuse, SIGABRT},
      {a_long_user_is_misuse, SIGABRT},
  };
  return RUN_TESTS("watermark", rows);
}
