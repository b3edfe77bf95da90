/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/directory_redis/adapter.h"

#include <stdlib.h>

static void on_ready(uv_poll_t *poll, int status, int events) {
  ch_redis_adapter *adapter = poll->data;
  void (*round)(void *arg, bool begins) = adapter->round;
  void *arg = adapter->arg;
  if (status < 0) events = UV_READABLE | UV_WRITABLE; /* hiredis finds out what it is */
  round(arg, true);
  adapter->is_connected = true; /* or it failed: hiredis sees which */
  if (events & UV_WRITABLE && adapter->redis) redisAsyncHandleWrite(adapter->redis);
  if (events & UV_READABLE && adapter->redis) redisAsyncHandleRead(adapter->redis);
  round(arg, false); /* flushes, which also arms anew */
}

static void want(ch_redis_adapter *adapter, int events) {
  adapter->wanted |= events;
}

static void add_read(void *data) {
  want(data, UV_READABLE);
}

static void add_write(void *data) {
  want(data, UV_WRITABLE);
}

static void del_read(void *data) {
  ((ch_redis_adapter *)data)->wanted &= ~UV_READABLE;
}

static void del_write(void *data) {
  ((ch_redis_adapter *)data)->wanted &= ~UV_WRITABLE;
}

static void on_closed(uv_handle_t *handle) {
  free(handle->data);
}

static void cleanup(void *data) {
  ch_redis_adapter *adapter = data;
  adapter->redis = NULL;
  uv_close((uv_handle_t *)&adapter->poll, on_closed);
}

bool ch_redis_adapter_attach(uv_loop_t *loop, redisAsyncContext *redis, void (*round)(void *arg, bool begins), void *arg) {
  ch_redis_adapter *adapter = calloc(1, sizeof *adapter);
  if (!adapter || uv_poll_init(loop, &adapter->poll, redis->c.fd)) {
    free(adapter);
    return false;
  }
  adapter->poll.data = adapter;
  adapter->redis = redis;
  adapter->round = round;
  adapter->arg = arg;
  redis->ev.data = adapter;
  redis->ev.addRead = add_read;
  redis->ev.delRead = del_read;
  redis->ev.addWrite = add_write;
  redis->ev.delWrite = del_write;
  redis->ev.cleanup = cleanup;
  return true;
}

void ch_redis_adapter_flush(redisAsyncContext *redis) {
  ch_redis_adapter *adapter = redis->ev.data;
  if (adapter->is_connected && adapter->wanted & UV_WRITABLE) redisAsyncHandleWrite(redis);
  if (!adapter->redis || adapter->wanted == adapter->armed) return;
  adapter->armed = adapter->wanted;
  uv_poll_start(&adapter->poll, adapter->armed, on_ready);
}
