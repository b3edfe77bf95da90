/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/shared_limits.h"

#include <pthread.h>
#include <sodium/crypto_shorthash.h>

enum { SHARDS = 16 };

/* A thread's time is that of the beginning of its turn, so threads are apart by as much as a turn takes. Buckets must not see time go back: each step back and forth would give some
 * of what was drawn. */
typedef struct shard {
  pthread_mutex_t lock;
  ch_limits *limits; /* NULL: not made */
  uint64_t latest_ms;
} shard;

struct ch_shared_limits {
  const ch_allocator *alloc;
  uint8_t seed[crypto_shorthash_KEYBYTES]; /* or somebody could choose addresses that push one another out of one shard */
  shard shards[SHARDS];
};

static ch_limits_config share_of(const ch_limits_config *config) {
  ch_limits_config share = *config;
  for (int class = 0; class < CH_LIMITS_CLASS_COUNT; class++) share.classes[class].buckets_max = (share.classes[class].buckets_max + SHARDS - 1) / SHARDS;
  return share;
}

static int shard_init(shard *made, const ch_env *env, const ch_limits_config *share) {
  int error = ch_limits_new(env, share, &made->limits);
  if (error) return error;
  if (pthread_mutex_init(&made->lock, NULL) == 0) return 0;
  ch_limits_free(made->limits);
  made->limits = NULL;
  return CHAT_E_NOMEM;
}

int ch_shared_limits_new(const ch_env *env, const ch_limits_config *config, ch_shared_limits **out) {
  *out = NULL;
  ch_shared_limits *shared = ch_calloc(env->alloc, 1, sizeof *shared);
  if (!shared) return CHAT_E_NOMEM;
  shared->alloc = env->alloc;
  env->random(env->random_arg, shared->seed, sizeof shared->seed);
  ch_limits_config share = share_of(config);
  int error = 0;
  for (int i = 0; i < SHARDS && !error; i++) error = shard_init(&shared->shards[i], env, &share);
  if (error)
    ch_shared_limits_free(shared);
  else
    *out = shared;
  return error;
}

void ch_shared_limits_free(ch_shared_limits *shared) {
  if (!shared) return;
  for (int i = 0; i < SHARDS && shared->shards[i].limits; i++) {
    ch_limits_free(shared->shards[i].limits);
    pthread_mutex_destroy(&shared->shards[i].lock);
  }
  ch_free(shared->alloc, shared);
}

static shard *shard_of(ch_shared_limits *shared, ch_bytes key) {
  uint8_t hash[crypto_shorthash_BYTES];
  crypto_shorthash(hash, key.data, key.len, shared->seed);
  return &shared->shards[hash[0] % SHARDS];
}

static int take(void *self, enum ch_limits_class class, ch_bytes key, uint32_t cost, uint64_t now_ms, uint64_t *retry_after_ms) {
  shard *of = shard_of(self, key);
  pthread_mutex_lock(&of->lock);
  if (now_ms > of->latest_ms) of->latest_ms = now_ms;
  int error = ch_limits_take(of->limits, class, key, cost, of->latest_ms, retry_after_ms);
  pthread_mutex_unlock(&of->lock);
  return error;
}

ch_limiter ch_shared_limits_limiter(ch_shared_limits *shared) {
  return (ch_limiter){.take = take, .self = shared};
}
