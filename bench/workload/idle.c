/* SPDX-License-Identifier: Apache-2.0 */
#include "workload/list.h"

static uint32_t room_size(const bench_load *load) {
  (void)load;
  return 0;
}

const bench_workload workload_idle = {.name = "idle", .room_size = room_size};
