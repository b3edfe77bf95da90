/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the options of a server: one row each in options.c, one struct of values. docs/options.md is printed from the rows. */
#ifndef CH_SERVER_OPTIONS_H
#define CH_SERVER_OPTIONS_H

#include "core/option.h"
#include "core/session.h"
#include "server/role/limits.h"

enum { CH_OPTION_TEXT_MAX = 512, CH_OPTION_KEYS_MAX = 4096 };

typedef struct ch_limit_options {
  int64_t rate_per_min, burst;
} ch_limit_options;

typedef struct ch_server_options {
  char listen[CH_OPTION_TEXT_MAX], metrics[CH_OPTION_TEXT_MAX], name[CHAT_USER_ID_MAX / 2 + 1];
  int64_t threads;
  bool plaintext, dev_mode;
  char tls_cert[CH_OPTION_TEXT_MAX], tls_key[CH_OPTION_TEXT_MAX];
  char jwt_key[CH_OPTION_KEYS_MAX], jwt_issuer[CH_OPTION_TEXT_MAX], jwt_audience[CH_OPTION_TEXT_MAX];
  uint64_t jwt_leeway_ms;
  char data[CH_OPTION_TEXT_MAX], log[CH_OPTION_TEXT_MAX], store[CH_OPTION_TEXT_MAX], directory[CH_OPTION_KEYS_MAX], roles[CH_OPTION_TEXT_MAX];
  uint64_t log_commit_ms;
  int64_t log_epoch;
  uint64_t retention_ms;
  bool search;
  uint64_t heartbeat_ms, idle_ms, hello_ms, hold_ms, receipt_ms, hook_ms, drain_ms;
  int64_t devices_max, sessions_max, in_flight_max;
  uint64_t out_max, out_total_max;
  ch_limit_options limits[CH_LIMITS_CLASS_COUNT];
  int64_t limit_keys_max;
  int log_level; /* index of its choice: CHAT_LOG_ERROR - 1 and up */
} ch_server_options;

extern const ch_option_table ch_server_option_table;

#endif
