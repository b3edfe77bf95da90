/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/catch_up.h"

#include <time.h>

#include "server/loop/ask.h"
#include "server/loop/op_figures.h"

enum { STEP_MS = 2, STEPS_MAX = 5000 / STEP_MS };

/* Number of the last record of "messages"; 0: none, or it is not known. */
static int64_t log_end(const ch_allocator *alloc, const chat_backend *log) {
  chat_log_info *info = ch_op_new(alloc, CHAT_OP_LOG_INFO, sizeof *info);
  if (!info) return 0;
  info->topic = CHAT_TOPIC_MESSAGES;
  int64_t end = ch_ask(log, &info->op) == 0 ? ch_position_number(info->end) : 0;
  ch_op_free(&info->op);
  return end;
}

static int64_t value_of(const ch_metrics *metrics, ch_metric metric) {
  return (int64_t)atomic_load(&metrics->values[metric]);
}

void ch_catch_up(const ch_allocator *alloc, const ch_backends *backends, const ch_metrics *metrics) {
  const struct timespec step = {.tv_nsec = STEP_MS * 1000000};
  int64_t end = log_end(alloc, &backends->of[CH_BACKEND_LOG]);
  for (int i = 0; i < STEPS_MAX && value_of(metrics, CH_METRIC_STORE_POSITION) < end && value_of(metrics, CH_METRIC_FAULTS) == 0; i++)
    nanosleep(&step, NULL);
}
