/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/space.h"

void ch_space_failed(ch_space *space, uint64_t elapsed_ms) {
  atomic_store(&space->failed_ms, elapsed_ms + 1);
}

/* Another thread's clock may have been read a little later than ours. */
static bool has_failed_lately(const ch_space *space, uint64_t elapsed_ms) {
  uint64_t failed_ms = atomic_load(&space->failed_ms);
  return failed_ms != 0 && elapsed_ms < failed_ms + CH_SPACE_QUIET_MS;
}

ch_space_change ch_space_check(ch_space *space, uint64_t elapsed_ms) {
  bool is_full = has_failed_lately(space, elapsed_ms);
  if (is_full == space->is_full) return CH_SPACE_SAME;
  space->is_full = is_full;
  if (!is_full) return CH_SPACE_FREE;
  space->began_ms = elapsed_ms;
  return CH_SPACE_FULL;
}
