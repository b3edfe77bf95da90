/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - token buckets for addresses, users and conversations (docs/protocol.md, "Limits").
 *
 * A bucket holds `burst` tokens and gains `rate_per_min` tokens a minute. A bucket that nobody has drawn from for long enough is full,
 * and a full bucket needs no memory; so only `buckets_max` keys that drew lately are remembered, each class by itself (a flood of
 * addresses cannot push out users). When a class is full, a full bucket among the least recently used is forgotten, which loses
 * nothing; where there is none, the least recently used one, whose owner then begins with a full bucket.
 *
 * Pure, one thread at a time. A gateway sees limits through a ch_limiter: those of its own here, or what several threads share (server/loop/shared_limits.h), so that a limit holds
 * for the process.
 */
#ifndef CH_SERVER_LIMITS_H
#define CH_SERVER_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"
#include "core/env.h"

enum ch_limits_class { CH_LIMITS_ADDRESS, CH_LIMITS_USER, CH_LIMITS_CONVERSATION, CH_LIMITS_CLASS_COUNT };

enum {
  CH_LIMITS_KEY_MAX = 64,         /* bytes: a user id, a conversation id, an address as text */
  CH_LIMITS_RATE_MAX = 60000000,  /* tokens a minute */
  CH_LIMITS_BURST_MAX = 1000000,  /* tokens */
  CH_LIMITS_BUCKETS_MAX = 1048576 /* keys in a class; about 200 bytes each */
};

typedef struct ch_limits_config {
  struct {
    uint32_t rate_per_min; /* 0: this class is not limited */
    uint32_t burst;        /* 1 to CH_LIMITS_BURST_MAX */
    uint32_t buckets_max;  /* 1 to CH_LIMITS_BUCKETS_MAX */
  } classes[CH_LIMITS_CLASS_COUNT];
} ch_limits_config;

typedef struct ch_limits ch_limits;

/* The env is borrowed until free. CHAT_E_INVALID (a value is out of its bounds), CHAT_E_NOMEM. */
int ch_limits_new(const ch_env *env, const ch_limits_config *config, ch_limits **out);
void ch_limits_free(ch_limits *limits);

/*
 * Takes `cost` tokens from the bucket of `key` (1 to CH_LIMITS_KEY_MAX bytes) at elapsed time `now_ms`. A cost above the burst counts as
 * the burst, so that it passes now and then instead of never; a cost of 0 passes. 0; or CHAT_E_AGAIN, where nothing was taken and *retry_after_ms (at least 1) says
 * when the same cost would pass if nobody draws before. A key for which there is no memory gets CHAT_E_AGAIN too.
 */
int ch_limits_take(ch_limits *limits, enum ch_limits_class class, ch_bytes key, uint32_t cost, uint64_t now_ms, uint64_t *retry_after_ms);

/* What a gateway draws from; ch_limits_take with `self` for the limits. take NULL: nothing is limited. */
typedef struct ch_limiter {
  int (*take)(void *self, enum ch_limits_class class, ch_bytes key, uint32_t cost, uint64_t now_ms, uint64_t *retry_after_ms);
  void *self;
} ch_limiter;

ch_limiter ch_limits_limiter(ch_limits *limits);

/* Keys remembered in a class now; never above its buckets_max. */
size_t ch_limits_count(const ch_limits *limits, enum ch_limits_class class);

#endif
