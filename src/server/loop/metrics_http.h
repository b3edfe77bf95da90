/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_http.h - /metrics and /healthz on a listener of their own: just enough of HTTP/1.1 (RFC 9112) for a scraper. One request a connection, a bound on connections, bytes
 * and time. It lives in the workers' loop: where that stands still, so does the answer, which is what a health check is for.
 */
#ifndef CH_SERVER_METRICS_HTTP_H
#define CH_SERVER_METRICS_HTTP_H

#include "server/loop/metrics.h"
#include "server/loop/turn_loop.h"

typedef struct ch_metrics_http ch_metrics_http;

typedef struct ch_metrics_http_config {
  const chat_allocator *alloc;
  ch_turn_loop *loop;
  const ch_metrics *metrics;
  const chat_backend *backends; /* whose figures are told as well; backend_count of them */
  size_t backend_count;
  int listen_fd; /* taken over, also on an error */
  /* 0: healthy; else why not (/healthz then answers 503). On the loop's thread. */
  int (*health)(void *arg);
  void *arg;
} ch_metrics_http_config;

int ch_metrics_http_new(const ch_metrics_http_config *config, ch_metrics_http **http); /* CHAT_E_NOMEM, CHAT_E_IO */
uint64_t ch_metrics_http_turn(ch_metrics_http *http, ch_now now);
/* Closes everything; the loop must run until its handles are closed, then free. */
void ch_metrics_http_end(ch_metrics_http *http);
void ch_metrics_http_free(ch_metrics_http *http); /* NULL is a no-op */

#endif
