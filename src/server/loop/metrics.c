/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding must cost next to nothing, so it is one relaxed atomic operation; what needs work (cumulative buckets, seconds) is done
 * when the page is written. A histogram's total is the sum of the buckets that were just read, never a counter of its own, so that
 * `_count` and the `+Inf` bucket agree while others observe.
 */
#define _POSIX_C_SOURCE 200809L

#include "server/loop/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "core/assert.h"
#include "core/bytes.h"

enum metric_type { COUNTER, GAUGE };

static const struct {
  enum metric_type type;
  const char *name, *label, *value, *help;
} rows[CH_METRIC_COUNT] = {
#define X(id, type, name, label, value, help) [CH_METRIC_##id] = {type, name, label, value, help},
    CH_METRICS_TABLE(X)
#undef X
};

static const struct {
  const char *name, *help;
} histogram_rows[CH_HISTOGRAM_COUNT] = {
#define X(id, name, help) [CH_HISTOGRAM_##id] = {name, help},
    CH_HISTOGRAMS_TABLE(X)
#undef X
};

/* Upper bounds, inclusive: from a write to a fast disk to what nobody should wait for. */
static const struct {
  uint64_t max_us;
  const char *le; /* the same in seconds */
} buckets[CH_HISTOGRAM_BUCKETS] = {
    {100, "0.0001"}, {250, "0.00025"}, {500, "0.0005"}, {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},
    {10000, "0.01"}, {25000, "0.025"}, {50000, "0.05"}, {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1"},  {2500000, "2.5"}, {5000000, "5"},  {10000000, "10"},
};

void ch_metrics_init(ch_metrics *metrics, const char *server) {
  size_t len = server ? strnlen(server, CH_METRICS_SERVER_MAX) : 0;
  while (!ch_utf8_valid(ch_bytes_of(server, len))) /* one broken label makes Prometheus drop the whole page */
    len--;
  memset(metrics->server, 0, sizeof metrics->server);
  if (len) memcpy(metrics->server, server, len);
  for (int m = 0; m < CH_METRIC_COUNT; m++)
    atomic_init(&metrics->values[m], 0);
  for (int h = 0; h < CH_HISTOGRAM_COUNT; h++) {
    atomic_init(&metrics->histograms[h].sum_us, 0);
    for (int b = 0; b <= CH_HISTOGRAM_BUCKETS; b++)
      atomic_init(&metrics->histograms[h].counts[b], 0);
  }
}

void ch_metrics_add(ch_metrics *metrics, ch_metric counter, uint64_t n) {
  ch_assert(counter < CH_METRIC_COUNT && rows[counter].type == COUNTER);
  atomic_fetch_add_explicit(&metrics->values[counter], n, memory_order_relaxed);
}

void ch_metrics_set(ch_metrics *metrics, ch_metric gauge, int64_t value) {
  ch_assert(gauge < CH_METRIC_COUNT && rows[gauge].type == GAUGE);
  atomic_store_explicit(&metrics->values[gauge], (uint64_t)value, memory_order_relaxed);
}

void ch_metrics_move(ch_metrics *metrics, ch_metric gauge, int64_t difference) {
  ch_assert(gauge < CH_METRIC_COUNT && rows[gauge].type == GAUGE);
  atomic_fetch_add_explicit(&metrics->values[gauge], (uint64_t)difference, memory_order_relaxed);
}

void ch_metrics_raise(ch_metrics *metrics, ch_metric gauge, int64_t value) {
  ch_assert(gauge < CH_METRIC_COUNT && rows[gauge].type == GAUGE);
  uint64_t now = atomic_load_explicit(&metrics->values[gauge], memory_order_relaxed);
  while ((int64_t)now < value && !atomic_compare_exchange_weak_explicit(&metrics->values[gauge], &now, (uint64_t)value, memory_order_relaxed, memory_order_relaxed)) continue;
}

void ch_metrics_observe_us(ch_metrics *metrics, ch_histogram histogram, uint64_t duration_us) {
  int b = 0;
  ch_assert(histogram < CH_HISTOGRAM_COUNT);
  while (b < CH_HISTOGRAM_BUCKETS && duration_us > buckets[b].max_us)
    b++;
  atomic_fetch_add_explicit(&metrics->histograms[histogram].counts[b], 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&metrics->histograms[histogram].sum_us, duration_us, memory_order_relaxed);
}

/* --- the page --- */

/* Label values escape backslash, quote and newline (text format 0.0.4). The help texts of the tables need no escaping. */
static void put_escaped(ch_buf *buf, const char *text) {
  for (; *text; text++) {
    if (*text == '\n') {
      ch_buf_put_text(buf, "\\n");
      continue;
    }
    if (*text == '\\' || *text == '"') ch_buf_put_u8(buf, '\\');
    ch_buf_put_u8(buf, (uint8_t)*text);
  }
}

/* One label; `count` is how many this series has so far. */
static void put_label(ch_buf *buf, int *count, const char *label, const char *value) {
  ch_buf_put_text(buf, (*count)++ ? "," : "{");
  ch_buf_printf(buf, "%s=\"", label);
  put_escaped(buf, value);
  ch_buf_put_u8(buf, '"');
}

/* name{server="…",label="value"} and the space behind it. */
static void put_series(const ch_metrics *metrics, ch_buf *buf, const char *name, const char *suffix, const char *label, const char *value) {
  int count = 0;
  ch_buf_printf(buf, "%s%s", name, suffix);
  if (metrics->server[0]) put_label(buf, &count, "server", metrics->server);
  if (label) put_label(buf, &count, label, value);
  ch_buf_put_text(buf, count ? "} " : " ");
}

static void put_header(ch_buf *buf, const char *name, const char *type, const char *help) {
  ch_buf_printf(buf, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_metric(const ch_metrics *metrics, ch_buf *buf, int m) {
  uint64_t value = atomic_load_explicit(&metrics->values[m], memory_order_relaxed);
  if (rows[m].help) put_header(buf, rows[m].name, rows[m].type == COUNTER ? "counter" : "gauge", rows[m].help);
  put_series(metrics, buf, rows[m].name, "", rows[m].label, rows[m].value);
  if (rows[m].type == COUNTER)
    ch_buf_printf(buf, "%" PRIu64 "\n", value);
  else
    ch_buf_printf(buf, "%" PRId64 "\n", (int64_t)value);
}

static void put_histogram(const ch_metrics *metrics, ch_buf *buf, int h) {
  const char *name = histogram_rows[h].name;
  uint64_t sum_us = atomic_load_explicit(&metrics->histograms[h].sum_us, memory_order_relaxed);
  uint64_t total = 0;
  put_header(buf, name, "histogram", histogram_rows[h].help);
  for (int b = 0; b <= CH_HISTOGRAM_BUCKETS; b++) {
    total += atomic_load_explicit(&metrics->histograms[h].counts[b], memory_order_relaxed);
    put_series(metrics, buf, name, "_bucket", "le", b < CH_HISTOGRAM_BUCKETS ? buckets[b].le : "+Inf");
    ch_buf_printf(buf, "%" PRIu64 "\n", total);
  }
  put_series(metrics, buf, name, "_sum", NULL, NULL);
  ch_buf_printf(buf, "%" PRIu64 ".%06" PRIu64 "\n", sum_us / 1000000, sum_us % 1000000);
  put_series(metrics, buf, name, "_count", NULL, NULL);
  ch_buf_printf(buf, "%" PRIu64 "\n", total);
}

int ch_metrics_render_figures(const ch_metrics *metrics, const chat_figure *figures, size_t count, ch_buf *buf) {
  for (size_t i = 0; i < count; i++) {
    const chat_figure *figure = &figures[i];
    bool is_first = i == 0 || strcmp(figures[i - 1].name, figure->name) != 0;
    if (is_first) put_header(buf, figure->name, figure->type == CHAT_FIGURE_COUNTER ? "counter" : "gauge", figure->help);
    put_series(metrics, buf, figure->name, "", figure->label, figure->label_value);
    ch_buf_printf(buf, "%" PRId64 "\n", figure->value);
  }
  return buf->error;
}

int ch_metrics_render(const ch_metrics *metrics, ch_buf *buf) {
  for (int m = 0; m < CH_METRIC_COUNT; m++)
    put_metric(metrics, buf, m);
  for (int h = 0; h < CH_HISTOGRAM_COUNT; h++)
    put_histogram(metrics, buf, h);
  return buf->error;
}
