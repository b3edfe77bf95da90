/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/metrics_http.h"

#include <string.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/list.h"
#include "server/loop/listener.h"

enum { CONNECTIONS_MAX = 32, REQUEST_MAX = 8192, DEADLINE_MS = 10 * 1000, ANSWER_MAX = CH_METRICS_TEXT_MAX + 1024 };

typedef struct scraper {
  uv_tcp_t tcp;
  uv_write_t write;
  ch_metrics_http *http;
  ch_list node;
  uint64_t deadline_ms;
  bool is_answered;
  size_t len;
  char request[REQUEST_MAX];
  ch_buf answer;
} scraper;

struct ch_metrics_http {
  ch_metrics_http_config config;
  ch_listener listener;
  ch_list scrapers; /* oldest first: all have the same time */
  size_t count;
};

static void on_closed(uv_handle_t *handle) {
  scraper *gone = handle->data;
  ch_metrics_http *http = gone->http;
  ch_list_remove(&gone->node);
  http->count--;
  ch_buf_fini(&gone->answer);
  ch_free(http->config.alloc, gone);
}

static void hang_up(scraper *from) {
  if (!uv_is_closing((uv_handle_t *)&from->tcp)) uv_close((uv_handle_t *)&from->tcp, on_closed);
}

/* ------------------------------------------------------------------------------------------------ answers */

static void put_head(ch_buf *out, const char *status, const char *type, size_t len) {
  ch_buf_printf(out, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\nCache-Control: no-store\r\n\r\n", status, type, len);
}

static void put_text(ch_buf *out, const char *status, const char *text) {
  put_head(out, status, "text/plain; charset=utf-8", strlen(text));
  ch_buf_put_text(out, text);
}

static bool has_figures(const chat_backend_vtable *vtable) {
  return vtable && vtable->size >= sizeof *vtable && vtable->figures;
}

static int render(const ch_metrics_http_config *config, ch_buf *page) {
  chat_figure figures[CH_METRICS_FIGURES_MAX];
  int error = ch_metrics_render(config->metrics, page);
  for (size_t i = 0; i < config->backend_count && !error; i++) {
    const chat_backend *backend = &config->backends[i];
    if (has_figures(backend->vtable)) error = ch_metrics_render_figures(config->metrics, figures, backend->vtable->figures(backend->self, figures, CH_METRICS_FIGURES_MAX), page);
  }
  return error;
}

static void put_metrics(ch_metrics_http *http, ch_buf *out) {
  ch_buf page;
  ch_buf_init(&page, http->config.alloc, CH_METRICS_TEXT_MAX);
  if (render(&http->config, &page) == 0) {
    put_head(out, "200 OK", "text/plain; version=0.0.4; charset=utf-8", page.len);
    ch_buf_put(out, ch_buf_bytes(&page));
  } else {
    put_text(out, "500 Internal Server Error", "out of memory\n");
  }
  ch_buf_fini(&page);
}

static void put_health(ch_metrics_http *http, ch_buf *out) {
  int error = http->config.health(http->config.arg);
  if (error)
    put_text(out, "503 Service Unavailable", chat_error_name(error));
  else
    put_text(out, "200 OK", "ok\n");
}

typedef struct page {
  const char *path;
  void (*put)(ch_metrics_http *http, ch_buf *out);
} page;
static const page pages[] = {{"/metrics", put_metrics}, {"/healthz", put_health}};

/* "GET /metrics?x HTTP/1.1": the target up to a '?' must be a page's path. */
static const page *page_of(const char *target) {
  size_t len = strcspn(target, " ?\r\n");
  for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
    if (strlen(pages[i].path) == len && memcmp(pages[i].path, target, len) == 0) return &pages[i];
  return NULL;
}

static void put_answer(scraper *to) {
  static const char get[] = "GET ";
  if (strncmp(to->request, get, sizeof get - 1) != 0) {
    put_text(&to->answer, "405 Method Not Allowed", "only GET\n");
    return;
  }
  const page *asked = page_of(to->request + sizeof get - 1);
  if (asked)
    asked->put(to->http, &to->answer);
  else
    put_text(&to->answer, "404 Not Found", "/metrics or /healthz\n");
}

/* ------------------------------------------------------------------------------------------------ connections */

static void on_written(uv_write_t *write, int status) {
  (void)status;
  hang_up(write->data);
}

static void answer(scraper *to) {
  to->is_answered = true;
  uv_read_stop((uv_stream_t *)&to->tcp);
  ch_buf_init(&to->answer, to->http->config.alloc, ANSWER_MAX);
  put_answer(to);
  uv_buf_t out = uv_buf_init((char *)to->answer.data, (unsigned)to->answer.len);
  to->write.data = to;
  if (to->answer.error || uv_write(&to->write, (uv_stream_t *)&to->tcp, &out, 1, on_written) != 0) hang_up(to);
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room) {
  scraper *from = handle->data;
  (void)wanted;
  *room = uv_buf_init(from->request + from->len, (unsigned)(REQUEST_MAX - 1 - from->len));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *room) {
  scraper *from = stream->data;
  (void)room;
  if (len < 0) { /* the end, an error, or no room is left */
    hang_up(from);
    return;
  }
  from->len += (size_t)len;
  from->request[from->len] = '\0';
  if (strstr(from->request, "\r\n\r\n")) answer(from);
}

static void on_accepted(void *arg, int fd, const ch_address *from) {
  (void)from;
  ch_metrics_http *http = arg;
  scraper *new = http->count < CONNECTIONS_MAX ? ch_calloc(http->config.alloc, 1, sizeof *new) : NULL;
  if (!new) {
    close(fd);
    return;
  }
  new->http = http;
  new->deadline_ms = ch_turn_loop_now(http->config.loop).elapsed_ms + DEADLINE_MS;
  new->tcp.data = new;
  uv_tcp_init(&http->config.loop->uv, &new->tcp);
  ch_list_push_back(&http->scrapers, &new->node);
  http->count++;
  if (uv_tcp_open(&new->tcp, fd) != 0) {
    close(fd);
    hang_up(new);
  } else if (uv_read_start((uv_stream_t *)&new->tcp, on_room, on_read) != 0) {
    hang_up(new);
  }
}

/* ------------------------------------------------------------------------------------------------ life */

int ch_metrics_http_new(const ch_metrics_http_config *config, ch_metrics_http **out) {
  *out = NULL;
  ch_metrics_http *http = ch_calloc(config->alloc, 1, sizeof *http);
  if (!http) {
    close(config->listen_fd);
    return CHAT_E_NOMEM;
  }
  http->config = *config;
  ch_list_init(&http->scrapers);
  int error = ch_listener_open(&http->listener, &config->loop->uv, config->listen_fd, on_accepted, http);
  if (error)
    ch_free(config->alloc, http);
  else
    *out = http;
  return error;
}

uint64_t ch_metrics_http_turn(ch_metrics_http *http, ch_now now) {
  uint64_t next_ms = ch_listener_turn(&http->listener, now.elapsed_ms);
  CH_LIST_FOR_EACH(node, &http->scrapers) {
    scraper *oldest = CH_LIST_ITEM(node, scraper, node);
    if (uv_is_closing((uv_handle_t *)&oldest->tcp)) continue;
    if (oldest->deadline_ms > now.elapsed_ms) return oldest->deadline_ms < next_ms ? oldest->deadline_ms : next_ms;
    hang_up(oldest);
  }
  return next_ms;
}

void ch_metrics_http_end(ch_metrics_http *http) {
  ch_listener_close(&http->listener);
  CH_LIST_FOR_EACH(node, &http->scrapers) hang_up(CH_LIST_ITEM(node, scraper, node));
}

void ch_metrics_http_free(ch_metrics_http *http) {
  if (!http) return;
  ch_assert(http->count == 0);
  ch_free(http->config.alloc, http);
}
