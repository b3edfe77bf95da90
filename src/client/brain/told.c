/* SPDX-License-Identifier: Apache-2.0 */
#include "client/brain/told.h"

#include "core/rule.h"

bool ch_told_follow(uint64_t *told, uint64_t previous, uint64_t position) {
  if ((previous == 0 || previous > *told) && CH_RULE(V2)) return false;
  if (position > *told) *told = position;
  return true;
}

bool ch_told_is_behind(uint64_t told, uint64_t pos) {
  return pos == 0 || pos > told;
}
