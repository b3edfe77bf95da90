/* SPDX-License-Identifier: Apache-2.0 */
/* list.h - every workload. */
#ifndef BENCH_WORKLOAD_LIST_H
#define BENCH_WORKLOAD_LIST_H

#include "workload/workload.h"

/* Rooms of two. Closed loop: config.window balls in each, whoever has one plays it back. Open loop: one of the two sends, at the load's rate over all pairs. */
extern const bench_workload workload_pairs;
/* Rooms of config.room_size; config.talkers of its members send, each with config.window messages in flight until all others have them. */
extern const bench_workload workload_group;

#endif
