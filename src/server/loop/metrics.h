/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - the figures of one server, and their Prometheus text (format 0.0.4; docs/operating.md, "Watch").
 *
 * What exists is fixed by the two tables below, and by what backends say of themselves (chat/backend.h): no name or label value ever comes from a peer, so the number of series is bounded. Several
 * servers in a process have a registry each; a label `server` tells them apart.
 *
 * Threads: after init any thread may add, set, observe and render; each figure is atomic by itself, a page of them is not one moment.
 */
#ifndef CH_SERVER_METRICS_H
#define CH_SERVER_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include <chat/backend.h>

#include "core/buf.h"

/* X(id, type, name, label, value, help): one row a series. Rows of one name stand together; type and help are of the first of them. label NULL: none. */
#define CH_METRICS_TABLE(X)                                                                                                                \
  X(SESSIONS, GAUGE, "chat_sessions", NULL, NULL, "Authenticated connections now.")                                                        \
  X(SESSIONS_TOTAL, COUNTER, "chat_sessions_total", NULL, NULL, "Sessions that were opened.")                                              \
  X(FRAMES_IN, COUNTER, "chat_frames_in_total", NULL, NULL, "WebSocket messages received.")                                                \
  X(FRAMES_OUT, COUNTER, "chat_frames_out_total", NULL, NULL, "WebSocket messages sent.")                                                  \
  X(BYTES_IN, COUNTER, "chat_bytes_in_total", NULL, NULL, "Payload bytes received in WebSocket messages.")                                 \
  X(BYTES_OUT, COUNTER, "chat_bytes_out_total", NULL, NULL, "Payload bytes sent in WebSocket messages.")                                   \
  X(SENDS_ACCEPTED, COUNTER, "chat_sends_total", "answer", "accepted", "SENDs by the gateway's answer.")                                   \
  X(SENDS_GAP, COUNTER, "chat_sends_total", "answer", "gap", NULL)                                                                         \
  X(SENDS_UNKNOWN, COUNTER, "chat_sends_total", "answer", "unknown", NULL)                                                                 \
  X(SENDS_RETRY, COUNTER, "chat_sends_total", "answer", "retry", NULL)                                                                     \
  X(SENDS_REFUSED, COUNTER, "chat_sends_total", "answer", "refused", NULL)                                                                 \
  X(EVENTS_COMMITTED, COUNTER, "chat_events_committed_total", NULL, NULL, "Events that got their seq and are stored.")                     \
  X(VERDICTS_COMMITTED, COUNTER, "chat_verdicts_total", "verdict", "committed", "Log records by the sequencer's verdict.")                 \
  X(VERDICTS_REFUSED, COUNTER, "chat_verdicts_total", "verdict", "refused", NULL)                                                          \
  X(VERDICTS_DUP, COUNTER, "chat_verdicts_total", "verdict", "dup", NULL)                                                                  \
  X(VERDICTS_GAP, COUNTER, "chat_verdicts_total", "verdict", "gap", NULL)                                                                  \
  X(DELIVERIES, COUNTER, "chat_deliveries_total", NULL, NULL, "Delivery tasks done, one for each recipient.")                              \
  X(LIVE_EVENTS, COUNTER, "chat_live_events_total", NULL, NULL, "Live events passed to sessions.")                                         \
  X(SYNCS, COUNTER, "chat_sync_total", NULL, NULL, "Sync requests answered.")                                                              \
  X(RANGES, COUNTER, "chat_range_total", NULL, NULL, "Range requests answered.")                                                           \
  X(AUTH_FAILURES, COUNTER, "chat_auth_failures_total", NULL, NULL, "Credentials that were not accepted.")                                 \
  X(LIMITED, COUNTER, "chat_limited_total", NULL, NULL, "Requests turned away by a rate limit.")                                           \
  X(SLOW_READERS, COUNTER, "chat_slow_readers_total", NULL, NULL, "Sessions cut off because they did not read.")                           \
  X(OUT_HELD, GAUGE, "chat_out_held_bytes", NULL, NULL, "Memory for what waits to be written to clients.")                                 \
  X(LOG_POSITION, GAUGE, "chat_log_position", NULL, NULL, "Number of the last message record that this server knows to be in the log.")    \
  X(STORE_POSITION, GAUGE, "chat_store_position", NULL, NULL, "Number of the record up to which the store is complete.")                   \
  X(FAULTS, GAUGE, "chat_faults", NULL, NULL, "Partitions that stand still until an operator acts.")                                       \
  X(PRUNED, COUNTER, "chat_pruned_total", NULL, NULL, "Messages erased because they were older than the option retention.")                \
  X(WAITING_LOG, GAUGE, "chat_ops_waiting", "backend", "log", "Operations that were given to a backend and have not come back.")           \
  X(WAITING_STORE, GAUGE, "chat_ops_waiting", "backend", "store", NULL)                                                                    \
  X(WAITING_DIRECTORY, GAUGE, "chat_ops_waiting", "backend", "directory", NULL)                                                            \
  X(WAITING_LINK, GAUGE, "chat_ops_waiting", "backend", "link", NULL)                                                                      \
  X(WAITING_HOOKS, GAUGE, "chat_ops_waiting", "backend", "hooks", NULL)

/* X(id, name, help): durations, in the buckets of metrics.c. */
#define CH_HISTOGRAMS_TABLE(X)                                                                                                             \
  X(LOG_APPEND, "chat_log_append_seconds", "From handing a batch of messages to the log to its being durable.")                                      \
  X(COMMIT, "chat_commit_seconds", "From a message's append to its event being stored, in whole milliseconds.")

typedef enum ch_metric {
#define X(id, type, name, label, value, help) CH_METRIC_##id,
  CH_METRICS_TABLE(X)
#undef X
      CH_METRIC_COUNT
} ch_metric;

typedef enum ch_histogram {
#define X(id, name, help) CH_HISTOGRAM_##id,
  CH_HISTOGRAMS_TABLE(X)
#undef X
      CH_HISTOGRAM_COUNT
} ch_histogram;

enum { CH_METRICS_FIGURES_MAX = 64, CH_HISTOGRAM_BUCKETS = 16, CH_METRICS_SERVER_MAX = 64, CH_METRICS_TEXT_MAX = 65536 };

typedef struct ch_metrics {
  char server[CH_METRICS_SERVER_MAX + 1];   /* empty: no such label */
  _Atomic uint64_t values[CH_METRIC_COUNT]; /* a gauge is an int64_t in two's complement */
  struct {
    _Atomic uint64_t counts[CH_HISTOGRAM_BUCKETS + 1]; /* each observation in one place; the last is what no bucket holds */
    _Atomic uint64_t sum_us;
  } histograms[CH_HISTOGRAM_COUNT];
} ch_metrics;

/* All figures 0. `server` (NULL or empty: no label) is copied, at most CH_METRICS_SERVER_MAX bytes of it and only as far as it is UTF-8. */
void ch_metrics_init(ch_metrics *metrics, const char *server);

/* For counters. */
void ch_metrics_add(ch_metrics *metrics, ch_metric counter, uint64_t n);
/* For gauges: to a value, or by a difference. */
void ch_metrics_set(ch_metrics *metrics, ch_metric gauge, int64_t value);
void ch_metrics_move(ch_metrics *metrics, ch_metric gauge, int64_t difference);
/* To a value, where it is not above that already. */
void ch_metrics_raise(ch_metrics *metrics, ch_metric gauge, int64_t value);
void ch_metrics_observe_us(ch_metrics *metrics, ch_histogram histogram, uint64_t duration_us);

/* Appends the page (below CH_METRICS_TEXT_MAX bytes; content type "text/plain; version=0.0.4"). buf's error: CHAT_E_NOMEM, CHAT_E_TOO_LARGE, where the page is in part there. */
int ch_metrics_render(const ch_metrics *metrics, ch_buf *buf);
/* And those of a backend. */
int ch_metrics_render_figures(const ch_metrics *metrics, const chat_figure *figures, size_t count, ch_buf *buf);

#endif
