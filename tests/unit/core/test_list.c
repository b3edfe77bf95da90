/* SPDX-License-Identifier: Apache-2.0 */
#include "core/list.h"

#include "run.h"

typedef struct thing {
  int number;
  ch_list node;
} thing;

static ch_list list;
static thing things[4];

static void setup(void) {
  ch_list_init(&list);
  for (int i = 0; i < 4; i++) {
    things[i].number = i;
    ch_list_init(&things[i].node);
  }
}

/* The numbers of the listed things, as digits of one number; 9 in front keeps zeros. */
static int listed(void) {
  int digits = 9;
  CH_LIST_FOR_EACH(node, &list)
  digits = digits * 10 + CH_LIST_ITEM(node, thing, node)->number;
  return digits;
}

START_TEST(both_ends_and_the_middle) {
  setup();
  ck_assert(ch_list_is_empty(&list));
  ck_assert_int_eq(listed(), 9);
  ch_list_push_back(&list, &things[1].node);
  ch_list_push_back(&list, &things[2].node);
  ch_list_insert_before(&things[1].node, &things[0].node);
  ch_list_insert_before(&things[2].node, &things[3].node);
  ck_assert(!ch_list_is_empty(&list));
  ck_assert_int_eq(listed(), 90132);
}
END_TEST

START_TEST(removing) {
  setup();
  for (int i = 0; i < 3; i++)
    ch_list_push_back(&list, &things[i].node);
  ch_list_remove(&things[1].node);
  ch_list_remove(&things[1].node); /* in no list: no effect */
  ck_assert_int_eq(listed(), 902);
  ch_list_push_back(&list, &things[1].node);
  ck_assert_int_eq(listed(), 9021);
}
END_TEST

START_TEST(popping) {
  setup();
  ch_list_push_back(&list, &things[2].node);
  ch_list_push_back(&list, &things[1].node);
  ck_assert_ptr_eq(ch_list_pop_front(&list), &things[2].node);
  ck_assert(ch_list_is_empty(&things[2].node));
  ck_assert_ptr_eq(ch_list_pop_front(&list), &things[1].node);
  ck_assert_ptr_null(ch_list_pop_front(&list));
}
END_TEST

int main(void) {
  const test_row rows[] = {{both_ends_and_the_middle, 0}, {removing, 0}, {popping, 0}};
  return RUN_TESTS("list", rows);
}
