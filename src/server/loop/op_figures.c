/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/op_figures.h"

#include <uv.h>

#include "core/assert.h"

enum { US_PER_MS = 1000 };

static const ch_metric waiting_of[CH_FIGURES_KINDS_MAX] = {CH_METRIC_WAITING_LOG, CH_METRIC_WAITING_STORE, CH_METRIC_WAITING_DIRECTORY, CH_METRIC_WAITING_LINK,
                                                           CH_METRIC_WAITING_HOOKS};

/* Some are always there, waiting for what others do. */
static bool is_long_poll(const chat_op *op) {
  return op->kind == CHAT_OP_LOG_READ || op->kind == CHAT_OP_DIRECTORY_CHANGES || op->kind == CHAT_OP_LINK_RECEIVE;
}

static bool is_message_append(const chat_op *op) {
  return op->kind == CHAT_OP_LOG_APPEND && ((const chat_log_append *)(const void *)op)->topic == CHAT_TOPIC_MESSAGES;
}

/* A duration is no machine's business, so the embedder's clock, which has but milliseconds, is not asked. */
static uint64_t now_us(void) {
  return uv_hrtime() / 1000;
}

static size_t place_of(const ch_op_figures *figures, const chat_op *op) {
  size_t i = 0;
  while (i < CH_TIMED_APPENDS_MAX && figures->appends[i].op != op) i++;
  return i;
}

void ch_op_figures_out(ch_op_figures *figures, uint32_t kind, const chat_op *op) {
  ch_assert(kind < CH_FIGURES_KINDS_MAX);
  if (is_long_poll(op)) return;
  figures->waiting[kind]++;
  if (!is_message_append(op)) return;
  size_t place = place_of(figures, NULL);
  if (place == CH_TIMED_APPENDS_MAX) return;
  figures->appends[place].op = op;
  figures->appends[place].began_us = now_us();
}

static void raise_log_position(ch_op_figures *figures, uint64_t position) {
  ch_metrics_raise(figures->metrics, CH_METRIC_LOG_POSITION, ch_position_number(position));
}

static void took_append(ch_op_figures *figures, const chat_op *op) {
  const chat_log_append *append = (const chat_log_append *)(const void *)op;
  size_t place = place_of(figures, op);
  if (place < CH_TIMED_APPENDS_MAX) {
    if (!op->status) ch_metrics_observe_us(figures->metrics, CH_HISTOGRAM_LOG_APPEND, now_us() - figures->appends[place].began_us);
    figures->appends[place].op = NULL;
  }
  if (!op->status) raise_log_position(figures, append->records[append->count - 1].position);
}

/* A log's clock and ours may differ a little. */
static void took_apply(ch_op_figures *figures, const chat_op *op, uint64_t wall_ms) {
  const chat_store_apply *apply = (const chat_store_apply *)(const void *)op;
  for (size_t i = 0; !op->status && i < apply->row_count; i++) {
    uint64_t created_ms = apply->rows[i].created_ms;
    ch_metrics_observe_us(figures->metrics, CH_HISTOGRAM_COMMIT, wall_ms > created_ms ? (wall_ms - created_ms) * US_PER_MS : 0);
  }
}

static void took_info(ch_op_figures *figures, const chat_op *op) {
  const chat_log_info *info = (const chat_log_info *)(const void *)op;
  if (!op->status && info->topic == CHAT_TOPIC_MESSAGES) raise_log_position(figures, info->end);
}

void ch_op_figures_back(ch_op_figures *figures, uint32_t kind, const chat_op *op, uint64_t wall_ms) {
  if (is_long_poll(op)) return;
  figures->waiting[kind]--;
  if (is_message_append(op)) took_append(figures, op);
  if (op->kind == CHAT_OP_STORE_APPLY) took_apply(figures, op, wall_ms);
  if (op->kind == CHAT_OP_LOG_INFO) took_info(figures, op);
}

void ch_op_figures_tell(ch_op_figures *figures) {
  for (int kind = 0; kind < CH_FIGURES_KINDS_MAX; kind++) {
    int64_t difference = figures->waiting[kind] - figures->told[kind];
    if (difference) ch_metrics_move(figures->metrics, waiting_of[kind], difference);
    figures->told[kind] = figures->waiting[kind];
  }
}
