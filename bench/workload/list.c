/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "workload/list.h"

static const bench_workload *const all[] = {&workload_pairs,     &workload_group, &workload_idle, &workload_feed,
                                            &workload_reconnect, &workload_pages, &workload_slow, &workload_garbage};

const bench_workload *workload_find(const char *name) {
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (!strcmp(all[i]->name, name)) return all[i];
  return NULL;
}
