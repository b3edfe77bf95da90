/* SPDX-License-Identifier: Apache-2.0 */
/* list.h - every workload. */
#ifndef BENCH_WORKLOAD_LIST_H
#define BENCH_WORKLOAD_LIST_H

#include "workload/workload.h"

/* Rooms of two. Closed loop: config.window balls in each, whoever has one plays it back. Open loop: one of the two sends, at the load's rate over all pairs. */
extern const bench_workload workload_pairs;
/* Rooms of config.room_size; config.talkers of its members send, each with config.window messages in flight until all others have them. */
extern const bench_workload workload_group;
/* Nobody says anything: sessions, and their heartbeats. */
extern const bench_workload workload_idle;
/* Rooms of two; config.count messages by each first member, config.window at a time until they are durable. Ends when all are. */
extern const bench_workload workload_feed;
/* Rooms of two, who go offline when they have been there once. In the steady window all come back at once; ends when each has received config.count. */
extern const bench_workload workload_reconnect;
/* Rooms of two with history; one client after the other asks for a page of it, one at a time. */
extern const bench_workload workload_pages;
/* Rooms of config.room_size; the first of each sends, at the load's rate over all rooms, the others read far more slowly than that. */
extern const bench_workload workload_slow;
/* Clients that send what no client may, at the load's rate; each comes back when it was thrown out. */
extern const bench_workload workload_garbage;

#endif
