/* SPDX-License-Identifier: Apache-2.0 */
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "backend/directory_redis/adapter.h"
#include "backend/directory_redis/directory.h"
#include "backend/directory_redis/tls.h"

static const char not_accepted[] = "its certificate is not accepted";

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 5000 };

uint64_t ch_redis_now_ms(const ch_redis *directory) {
  return uv_now(&directory->loop);
}

void ch_redis_conn_init(ch_redis_conn *conn, ch_redis_node *node, bool is_for_changes) {
  *conn = (ch_redis_conn){.node = node, .is_for_changes = is_for_changes, .backoff_ms = BACKOFF_MIN_MS};
  ch_list_init(&conn->sent);
  ch_list_init(&conn->waiting);
}

static uint64_t draw(ch_redis *directory) {
  uint64_t number = 0;
  directory->config.random.fill(directory->config.random.arg, &number, sizeof number);
  return number | 1; /* never 0 */
}

/* ------------------------------------------------------------------------------------------------ lost, and tried again */

/* Half of the time is drawn, so that not all processes come at once. */
static void try_later(ch_redis_conn *conn) {
  ch_redis *directory = conn->node->directory;
  conn->at_ms = ch_redis_now_ms(directory) + conn->backoff_ms / 2 + draw(directory) % (conn->backoff_ms / 2);
  conn->backoff_ms = conn->backoff_ms < BACKOFF_MAX_MS / 2 ? conn->backoff_ms * 2 : BACKOFF_MAX_MS;
}

void ch_redis_conn_lost(ch_redis_conn *conn) {
  ch_redis *directory = conn->node->directory;
  if (conn->state == CH_REDIS_DOWN) return;
  conn->state = CH_REDIS_DOWN;
  conn->redis = NULL;
  conn->is_doomed = false;
  conn->failures++;
  try_later(conn);
  directory->wants_map = directory->url.is_cluster; /* somebody else may have its slots now */
  if (conn->is_for_changes)
    ch_redis_watch_down(conn);
  else
    ch_redis_steps_down(conn);
  pthread_cond_broadcast(&directory->changed);
}

void ch_redis_conn_close(ch_redis_conn *conn) {
  redisAsyncContext *redis = conn->redis;
  ch_redis_conn_lost(conn);
  if (redis) redisAsyncFree(redis); /* what was sent comes back without a reply */
}

static void on_disconnected(const redisAsyncContext *redis, int status) {
  (void)status;
  ch_redis_conn *conn = redis->data;
  if (conn->redis != redis && !conn->tls) return;
  if (ch_redis_tls_is_refused(conn->tls)) conn->refusal = not_accepted;
  conn->tls = NULL;
  if (conn->redis == redis) ch_redis_conn_lost(conn);
}

/* ------------------------------------------------------------------------------------------------ greeted */

static void came_up(ch_redis_conn *conn) {
  ch_redis *directory = conn->node->directory;
  conn->state = CH_REDIS_UP;
  conn->backoff_ms = BACKOFF_MIN_MS;
  conn->failures = 0;
  conn->refusal = NULL;
  conn->epoch = draw(directory);
  ch_redis_count(&directory->figures.connected);
  if (conn->is_for_changes)
    ch_redis_watch_up(conn);
  else
    ch_redis_steps_up(conn);
  pthread_cond_broadcast(&directory->changed);
}

static void refuse(ch_redis_conn *conn, const char *refusal) {
  conn->refusal = refusal;
  conn->is_doomed = true;
}

static bool says(const char *info, const char *line) {
  return strstr(info, line) != NULL;
}

/* Design, rule V6: a Redis that forgets keys to have room would forget positions in silence; without a limit it never does. */
static const char *judge(const char *info, bool is_cluster) {
  bool evicts = !says(info, "maxmemory:0\r") && !says(info, "maxmemory_policy:noeviction");
  if (evicts) return "it evicts keys when its memory is full: set maxmemory-policy to noeviction";
  if (!is_cluster && says(info, "cluster_enabled:1")) return "it is part of a cluster: the url begins with redis-cluster://";
  if (is_cluster && says(info, "cluster_enabled:0")) return "it is no part of a cluster: the url begins with redis://";
  return NULL;
}

static ch_redis_conn *still(redisAsyncContext *redis, const redisReply *reply) {
  ch_redis_conn *conn = redis->data;
  if (conn->redis != redis || conn->is_doomed) return NULL;
  if (!reply) ch_redis_conn_lost(conn);
  return reply ? conn : NULL;
}

static void on_authenticated(redisAsyncContext *redis, void *reply, void *arg) {
  (void)arg;
  ch_redis_conn *conn = still(redis, reply);
  if (conn && ((redisReply *)reply)->type == REDIS_REPLY_ERROR) refuse(conn, "it does not accept the password of the url");
}

static void on_selected(redisAsyncContext *redis, void *reply, void *arg) {
  (void)arg;
  ch_redis_conn *conn = still(redis, reply);
  if (conn && ((redisReply *)reply)->type == REDIS_REPLY_ERROR) refuse(conn, "it wants a password, or has no database of that number");
}

static void on_described(redisAsyncContext *redis, void *reply, void *arg) {
  (void)arg;
  ch_redis_conn *conn = still(redis, reply);
  const redisReply *info = reply;
  if (!conn) return;
  bool is_error = info->type == REDIS_REPLY_ERROR;
  if (!is_error && info->type != REDIS_REPLY_STRING) {
    refuse(conn, "it does not say what it is");
    return;
  }
  if (is_error && strncmp(info->str, "NOPERM", 6) != 0) { /* who may not ask that goes on without */
    refuse(conn, "it wants a password");
    return;
  }
  const char *refusal = is_error ? NULL : judge(info->str, conn->node->directory->url.is_cluster);
  if (refusal)
    refuse(conn, refusal);
  else if (!is_error && says(info->str, "loading:1"))
    conn->is_doomed = true; /* later */
  else
    came_up(conn);
}

static void authenticate(const ch_redis_url *url, redisAsyncContext *redis) {
  if (url->user[0])
    redisAsyncCommand(redis, on_authenticated, NULL, "AUTH %s %s", url->user, url->password);
  else if (url->password[0])
    redisAsyncCommand(redis, on_authenticated, NULL, "AUTH %s", url->password);
}

static void on_connected(const redisAsyncContext *redis, int status) {
  ch_redis_conn *conn = redis->data;
  if (conn->redis != redis) return;
  if (status != REDIS_OK) {
    ch_redis_conn_lost(conn);
    return;
  }
  const ch_redis_url *url = &conn->node->directory->url;
  conn->state = CH_REDIS_GREETING;
  authenticate(url, conn->redis);
  if (url->database) redisAsyncCommand(conn->redis, on_selected, NULL, "SELECT %u", (unsigned)url->database);
  redisAsyncCommand(conn->redis, on_described, NULL, "INFO");
}

/* ------------------------------------------------------------------------------------------------ named, connected */

static bool secure(ch_redis_conn *conn, redisAsyncContext *redis) {
  bool is_refused = false;
  if (!conn->node->directory->url.has_tls) return true;
  conn->tls = ch_redis_tls_begin(redis, conn->node->address.host, &is_refused);
  if (is_refused) conn->refusal = not_accepted;
  return conn->tls != NULL;
}

static void connect_to(ch_redis_conn *conn, const char *numeric) {
  ch_redis *directory = conn->node->directory;
  redisAsyncContext *redis = redisAsyncConnect(numeric, conn->node->address.port);
  conn->tls = NULL;
  if (!redis || redis->err || !secure(conn, redis) || !ch_redis_adapter_attach(&directory->loop, redis, ch_redis_round, directory)) {
    conn->tls = NULL;
    if (redis) redisAsyncFree(redis);
    ch_redis_conn_lost(conn);
    return;
  }
  redis->data = conn;
  conn->redis = redis;
  conn->state = CH_REDIS_CONNECTING;
  redisAsyncSetConnectCallback(redis, on_connected);
  redisAsyncSetDisconnectCallback(redis, on_disconnected);
}

/* Another one at each try, of those that the name has. */
static const struct addrinfo *pick(const struct addrinfo *all, uint32_t number) {
  uint32_t count = 0;
  for (const struct addrinfo *at = all; at; at = at->ai_next)
    count++;
  for (number %= count; number > 0; number--)
    all = all->ai_next;
  return all;
}

static void on_named(uv_getaddrinfo_t *naming, int status, struct addrinfo *found) {
  ch_redis_conn *conn = naming->data;
  char numeric[NI_MAXHOST];
  ch_redis_round(conn->node->directory, true);
  conn->is_naming = false;
  if (conn->state == CH_REDIS_NAMING) {
    const struct addrinfo *one = status == 0 ? pick(found, conn->failures) : NULL;
    if (one && getnameinfo(one->ai_addr, one->ai_addrlen, numeric, sizeof numeric, NULL, 0, NI_NUMERICHOST) == 0)
      connect_to(conn, numeric);
    else
      ch_redis_conn_lost(conn);
  }
  ch_redis_round(conn->node->directory, false);
  uv_freeaddrinfo(found);
}

/* hiredis would ask the resolver on this thread, and hold up all other servers. */
static void begin(ch_redis_conn *conn, uint64_t now_ms) {
  ch_redis *directory = conn->node->directory;
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  conn->state = CH_REDIS_NAMING;
  conn->at_ms = now_ms + directory->config.timeout_ms;
  if (conn->is_naming) return; /* of the last try */
  conn->naming.data = conn;
  conn->is_naming = uv_getaddrinfo(&directory->loop, &conn->naming, on_named, conn->node->address.host, NULL, &hints) == 0;
  if (!conn->is_naming) ch_redis_conn_lost(conn);
}

void ch_redis_conn_want(ch_redis_conn *conn) {
  if (conn->is_wanted) return;
  conn->is_wanted = true;
  begin(conn, ch_redis_now_ms(conn->node->directory));
}

/* ------------------------------------------------------------------------------------------------ time */

/* Nothing was heard for the time-out, while something is asked. */
static bool is_dead(const ch_redis_conn *conn, uint64_t now_ms) {
  uint32_t timeout_ms = conn->node->directory->config.timeout_ms;
  if (conn->is_for_changes) return conn->asked > 0 && conn->asked_ms + timeout_ms <= now_ms;
  return !ch_list_is_empty(&conn->sent) && CH_LIST_ITEM(conn->sent.next, ch_redis_step, of_conn)->sent_ms + timeout_ms <= now_ms;
}

void ch_redis_conn_tick(ch_redis_conn *conn, uint64_t now_ms) {
  bool is_late = conn->state == CH_REDIS_UP ? is_dead(conn, now_ms) : conn->at_ms <= now_ms;
  if (!conn->is_wanted || !is_late) return;
  if (conn->state == CH_REDIS_DOWN) {
    begin(conn, now_ms);
    return;
  }
  ch_redis_count(&conn->node->directory->figures.timed_out);
  ch_redis_conn_close(conn);
}
