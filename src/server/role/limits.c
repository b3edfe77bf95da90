/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket is one number: the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371, seen from its other
 * end). Drawing a token moves that time by the period of one token; it may lie at most `burst` periods ahead. So there is
 * nothing to refill, and "full" is a comparison. Times are nanoseconds because the period of a fast bucket is far below a millisecond.
 */
#include "server/role/limits.h"

#include <chat/chat.h>
#include <string.h>

#include "core/assert.h"
#include "core/hashmap.h"
#include "core/list.h"

#define NS_PER_MS  UINT64_C(1000000)
#define NS_PER_MIN (60000 * NS_PER_MS)
#define NOW_MAX_MS (UINT64_MAX / NS_PER_MS / 2) /* 292 years */

enum {
  SCAN_COUNT = 16, /* least recently used buckets that are looked at for a full one */
  NO_MEMORY_RETRY_MS = 1000
};

typedef struct bucket {
  ch_list recency;
  uint64_t full_at_ns;
  size_t key_len;
  uint8_t key[];
} bucket;

struct table {
  uint64_t period_ns; /* of one token; 0: not limited */
  uint64_t window_ns; /* of the whole burst */
  uint32_t burst;
  size_t buckets_max;
  ch_hashmap buckets;
  ch_list recency; /* least recently used first */
};

struct ch_limits {
  const ch_allocator *alloc;
  struct table tables[CH_LIMITS_CLASS_COUNT];
};

static bucket *bucket_of(ch_list *node) {
  return CH_LIST_ITEM(node, bucket, recency);
}

/* --- life --- */

static bool config_valid(const ch_limits_config *config) {
  for (int c = 0; c < CH_LIMITS_CLASS_COUNT; c++) {
    uint32_t rate = config->classes[c].rate_per_min, burst = config->classes[c].burst, max = config->classes[c].buckets_max;
    if (rate == 0) continue;
    if (rate > CH_LIMITS_RATE_MAX || burst == 0 || burst > CH_LIMITS_BURST_MAX || max == 0 || max > CH_LIMITS_BUCKETS_MAX) return false;
  }
  return true;
}

static void table_init(struct table *t, const ch_env *env, uint32_t rate_per_min, uint32_t burst, uint32_t buckets_max) {
  uint8_t seed[CH_HASHMAP_SEED_LEN];
  env->random(env->random_arg, seed, sizeof seed);
  t->period_ns = rate_per_min ? NS_PER_MIN / rate_per_min : 0;
  t->window_ns = t->period_ns * burst;
  t->burst = burst;
  t->buckets_max = buckets_max;
  ch_hashmap_init(&t->buckets, env->alloc, seed);
  ch_list_init(&t->recency);
}

int ch_limits_new(const ch_env *env, const ch_limits_config *config, ch_limits **out) {
  if (!config_valid(config)) return CHAT_E_INVALID;
  ch_limits *limits = ch_calloc(env->alloc, 1, sizeof *limits);
  if (!limits) return CHAT_E_NOMEM;
  limits->alloc = env->alloc;
  for (int c = 0; c < CH_LIMITS_CLASS_COUNT; c++)
    table_init(&limits->tables[c], env, config->classes[c].rate_per_min, config->classes[c].burst, config->classes[c].buckets_max);
  *out = limits;
  return 0;
}

static void table_fini(struct table *t, const ch_allocator *alloc) {
  ch_list *node;
  ch_hashmap_fini(&t->buckets);
  while ((node = ch_list_pop_front(&t->recency)))
    ch_free(alloc, bucket_of(node));
}

void ch_limits_free(ch_limits *limits) {
  if (!limits) return;
  for (int c = 0; c < CH_LIMITS_CLASS_COUNT; c++)
    table_fini(&limits->tables[c], limits->alloc);
  ch_free(limits->alloc, limits);
}

size_t ch_limits_count(const ch_limits *limits, enum ch_limits_class class) {
  return limits->tables[class].buckets.count;
}

/* --- the bounded table --- */

static bucket *bucket_to_forget(struct table *t, uint64_t now_ns) {
  int looked = 0;
  CH_LIST_FOR_EACH(node, &t->recency) {
    if (bucket_of(node)->full_at_ns <= now_ns) return bucket_of(node);
    if (++looked == SCAN_COUNT) break;
  }
  return bucket_of(t->recency.next);
}

static void bucket_forget(ch_limits *limits, struct table *t, bucket *b) {
  ch_hashmap_remove(&t->buckets, ch_bytes_of(b->key, b->key_len));
  ch_list_remove(&b->recency);
  ch_free(limits->alloc, b);
}

static bucket *bucket_add(ch_limits *limits, struct table *t, ch_bytes key, uint64_t now_ns) {
  if (t->buckets.count == t->buckets_max) bucket_forget(limits, t, bucket_to_forget(t, now_ns));
  bucket *b = ch_alloc(limits->alloc, sizeof *b + key.len);
  if (!b) return NULL;
  b->full_at_ns = now_ns;
  b->key_len = key.len;
  memcpy(b->key, key.data, key.len);
  if (ch_hashmap_insert(&t->buckets, key, b)) {
    ch_free(limits->alloc, b);
    return NULL;
  }
  ch_list_push_back(&t->recency, &b->recency);
  return b;
}

/* A refused draw counts as use as well: whoever keeps knocking stays remembered. */
static bucket *bucket_use(ch_limits *limits, struct table *t, ch_bytes key, uint64_t now_ns) {
  bucket *b = ch_hashmap_find(&t->buckets, key);
  if (!b) return bucket_add(limits, t, key, now_ns);
  ch_list_remove(&b->recency);
  ch_list_push_back(&t->recency, &b->recency);
  return b;
}

/* --- drawing --- */

/* What is missing from the bucket, as time. Never more than the whole of it: should the clock fall back, the owner waits for one window, not
 * until the old time comes again. */
static uint64_t missing_ns(const struct table *t, bucket *b, uint64_t now_ns) {
  if (b->full_at_ns > now_ns + t->window_ns) b->full_at_ns = now_ns + t->window_ns;
  return b->full_at_ns > now_ns ? b->full_at_ns - now_ns : 0;
}

static int refuse(uint64_t wait_ms, uint64_t *retry_after_ms) {
  *retry_after_ms = wait_ms;
  return CHAT_E_AGAIN;
}

static int take(void *self, enum ch_limits_class class, ch_bytes key, uint32_t cost, uint64_t now_ms, uint64_t *retry_after_ms) {
  return ch_limits_take(self, class, key, cost, now_ms, retry_after_ms);
}

ch_limiter ch_limits_limiter(ch_limits *limits) {
  return (ch_limiter){.take = take, .self = limits};
}

int ch_limits_take(ch_limits *limits, enum ch_limits_class class, ch_bytes key, uint32_t cost, uint64_t now_ms, uint64_t *retry_after_ms) {
  struct table *t = &limits->tables[class];
  ch_assert(class < CH_LIMITS_CLASS_COUNT && key.len > 0 && key.len <= CH_LIMITS_KEY_MAX && now_ms <= NOW_MAX_MS);
  if (t->period_ns == 0 || cost == 0) return 0;
  uint64_t now_ns = now_ms * NS_PER_MS;
  bucket *b = bucket_use(limits, t, key, now_ns);
  if (!b) return refuse(NO_MEMORY_RETRY_MS, retry_after_ms);
  uint64_t after_ns = missing_ns(t, b, now_ns) + (cost < t->burst ? cost : t->burst) * t->period_ns;
  if (after_ns > t->window_ns) return refuse((after_ns - t->window_ns + NS_PER_MS - 1) / NS_PER_MS, retry_after_ms);
  b->full_at_ns = now_ns + after_ns;
  return 0;
}
