/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter.h - hiredis's connections in a libuv loop. Of what is written in one round of the loop it makes one write, and it asks the kernel only about what changed
 * (hiredis's own adapter does for each command).
 */
#ifndef CH_DIRECTORY_REDIS_ADAPTER_H
#define CH_DIRECTORY_REDIS_ADAPTER_H

#include <hiredis/async.h>
#include <stdbool.h>
#include <uv.h>

typedef struct ch_redis_adapter {
  uv_poll_t poll;
  redisAsyncContext *redis; /* NULL: hiredis has given it up; the handle is closing */
  int wanted, armed;        /* UV_READABLE, UV_WRITABLE */
  bool is_connected;
  void (*round)(void *arg, bool begins); /* around what hiredis does when something comes in */
  void *arg;
} ch_redis_adapter;

/* hiredis owns it from now on: it goes with the connection. false: no memory, or a descriptor that cannot be polled. */
bool ch_redis_adapter_attach(uv_loop_t *loop, redisAsyncContext *redis, void (*round)(void *arg, bool begins), void *arg);
/* Writes what was said since, and has the loop tell what hiredis waits for. May end the connection. */
void ch_redis_adapter_flush(redisAsyncContext *redis);

#endif
