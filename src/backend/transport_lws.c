/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debian's libwebsockets 4.1 polls by itself and shows nobody its descriptors, so there are two layers of waiting: an epoll set of our own holds the connection's socket, a
 * wake descriptor and a timer, and is what `wait` sleeps on and `fd` gives; once it is readable, lws_service(context, -1) does what there is to do without waiting.
 */
#define _GNU_SOURCE /* EPOLL_CLOEXEC, TFD_CLOEXEC with -std=c11 */
#include "backend/transport_lws.h"

#include <errno.h>
#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backend/transport_lws_tls.h"
#include "core/assert.h"
#include "core/buf.h"
#include "core/env.h"

enum {
  CONNECT_S = 20,           /* from the first wait to OPEN */
  LWS_STEP_S = 60,          /* libwebsockets' own limits, later than ours */
  SEND_QUEUE_MAX = 1 << 20, /* chat/backend.h */
  RX_PAUSE_LEN = 1 << 18,   /* messages of so many bytes wait to be polled: the socket is left alone */
  RX_BUFFER_LEN = 4096,
  ROUNDS = 6 /* of lws_service a wake: connect, handshake, request each take a round that finds the socket writable */
};

static const char SUBPROTOCOL[] = "chat.v1";

typedef enum phase {
  CLOSED,     /* nothing; open → WANTED */
  WANTED,     /* open was called; wait → CONNECTING */
  CONNECTING, /* TCP, TLS, upgrade; → LIVE, or ENDED within CONNECT_S */
  LIVE,       /* messages flow; → ENDED */
  ENDED       /* CLOSED is to be polled, then → CLOSED */
} phase;

typedef struct message {
  struct message *next;
  size_t len;
  uint8_t data[]; /* outgoing: LWS_PRE bytes in front */
} message;

typedef struct queue {
  message *first, *last;
  size_t len; /* bytes of all */
} queue;

typedef struct address { /* the target, kept from open to the wait that connects */
  bool tls;
  int port;
  char *host;    /* without brackets */
  char *path;    /* begins with '/' */
  char *ca_file; /* or NULL */
  char *numeric; /* or NULL */
} address;

typedef struct transport_lws {
  chat_transport base;
  const ch_allocator *alloc;
  phase phase;
  int ended_status;
  bool opened; /* OPEN is to be polled */
  address to;
  ch_tls_trust trust;
  SSL_CTX *tls;
  struct lws_context *context;
  struct lws *wsi; /* NULL: gone */
  int epoll, wake, timer;
  atomic_bool woken;  /* the wake descriptor is readable */
  uint32_t interest;  /* epoll events of the socket; 0: not in the set */
  bool paused;        /* rx flow control is on */
  queue out, in;
  message *polled; /* lent by the last poll */
  ch_buf assembly; /* fragments of the message that comes in */
} transport_lws;

/* ------------------------------------------------------------------------------------------------ queues */

static message *message_new(const ch_allocator *alloc, size_t front_len, chat_bytes bytes) {
  message *m = ch_alloc(alloc, sizeof *m + front_len + bytes.len);
  if (!m) return NULL;
  m->next = NULL;
  m->len = bytes.len;
  if (bytes.len > 0) memcpy(m->data + front_len, bytes.data, bytes.len);
  return m;
}

static void queue_push(queue *q, message *m) {
  if (q->last) q->last->next = m;
  else q->first = m;
  q->last = m;
  q->len += m->len;
}

static message *queue_pop(queue *q) {
  message *m = q->first;
  if (!m) return NULL;
  q->first = m->next;
  if (!q->first) q->last = NULL;
  q->len -= m->len;
  return m;
}

static void queue_clear(const ch_allocator *alloc, queue *q) {
  for (message *m = queue_pop(q); m; m = queue_pop(q))
    ch_free(alloc, m);
}

/* ------------------------------------------------------------------------------------------------ the target */

static char *copy_text(const ch_allocator *alloc, const char *text, size_t len) {
  char *copy = ch_alloc(alloc, len + 1);
  if (!copy) return NULL;
  if (len > 0) memcpy(copy, text, len);
  copy[len] = 0;
  return copy;
}

static void address_fini(const ch_allocator *alloc, address *to) {
  ch_free(alloc, to->host);
  ch_free(alloc, to->path);
  ch_free(alloc, to->ca_file);
  ch_free(alloc, to->numeric);
  *to = (address){0};
}

typedef struct url {
  bool tls;
  int port;
  const char *host, *path;
  size_t host_len;
} url;

/* ":port" or nothing, up to the path. */
static bool read_port(const char *text, size_t len, url *u) {
  if (len == 0) return true;
  if (text[0] != ':' || len < 2 || len > 6) return false;
  u->port = 0;
  for (size_t i = 1; i < len; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    u->port = u->port * 10 + (text[i] - '0');
  }
  return u->port > 0 && u->port <= 65535;
}

/* ws://host[:port][/path], wss:// likewise; an IPv6 address stands in brackets. No user, no fragment, nothing that could break out of a header. */
static bool read_url(const char *text, url *u) {
  for (const char *c = text; *c; c++)
    if (*c <= ' ' || *c == 0x7f || *c == '@' || *c == '#') return false;
  if (strncmp(text, "ws://", 5) == 0) *u = (url){.port = 80, .host = text + 5};
  else if (strncmp(text, "wss://", 6) == 0) *u = (url){.port = 443, .host = text + 6, .tls = true};
  else return false;
  u->path = u->host + strcspn(u->host, "/?");
  size_t authority_len = (size_t)(u->path - u->host);
  if (u->host[0] != '[') {
    u->host_len = strcspn(u->host, ":/?");
    return u->host_len > 0 && read_port(u->host + u->host_len, authority_len - u->host_len, u);
  }
  u->host_len = strcspn(u->host, "]/?");
  const char *behind = u->host + u->host_len + 1;
  if (u->host[u->host_len] != ']' || u->host_len < 2) return false;
  u->host++;
  u->host_len--;
  return read_port(behind, (size_t)(u->path - behind), u);
}

static bool set_address(const ch_allocator *alloc, address *to, const url *u, const chat_transport_target *target) {
  to->tls = u->tls;
  to->port = u->port;
  to->host = copy_text(alloc, u->host, u->host_len);
  size_t path_len = strlen(u->path), skip = u->path[0] != '/';
  to->path = ch_alloc(alloc, path_len + 2);
  if (target->ca_file) to->ca_file = copy_text(alloc, target->ca_file, strlen(target->ca_file));
  if (target->address) to->numeric = copy_text(alloc, target->address, strlen(target->address));
  if (!to->host || !to->path || (target->ca_file && !to->ca_file) || (target->address && !to->numeric)) return false;
  to->path[0] = '/';
  memcpy(to->path + skip, u->path, path_len + 1);
  if (path_len == 0) to->path[1] = 0;
  return true;
}

/* ------------------------------------------------------------------------------------------------ phases */

static void wake(transport_lws *self) {
  uint64_t one = 1;
  if (atomic_exchange(&self->woken, true)) return;
  if (write(self->wake, &one, sizeof one) < 0) return; /* full: it is readable already */
}

/* The first cause stands; libwebsockets reports what follows from it too. Its context is destroyed in `reap`, never inside one of its callbacks. */
static void end(transport_lws *self, int status) {
  if (self->phase != CONNECTING && self->phase != LIVE) return;
  self->phase = ENDED;
  self->ended_status = status;
}

static void set_timer(transport_lws *self, int seconds) {
  struct itimerspec at = {.it_value = {.tv_sec = seconds}};
  timerfd_settime(self->timer, 0, &at, NULL);
}

/* Everything of the connection but what waits to be polled. */
static void reap(transport_lws *self) {
  set_timer(self, 0);
  if (self->context) lws_context_destroy(self->context); /* closes the socket, which leaves the epoll set by that */
  SSL_CTX_free(self->tls);
  self->context = NULL;
  self->wsi = NULL;
  self->tls = NULL;
  self->interest = 0;
  self->paused = false;
  queue_clear(self->alloc, &self->out);
  ch_buf_fini(&self->assembly);
  address_fini(self->alloc, &self->to);
}

/* ------------------------------------------------------------------------------------------------ what libwebsockets tells */

static void on_error(transport_lws *self, struct lws *wsi) {
  unsigned answer = lws_http_client_http_response(wsi);
  if (self->trust.is_shaking) end(self, CHAT_E_TLS);
  else if (answer >= 400) end(self, CHAT_E_CLOSED); /* refused with an orderly answer, such as 503 while draining */
  else if (answer > 0) end(self, CHAT_E_PROTOCOL);
  else end(self, CHAT_E_IO);
  self->wsi = NULL;
}

/* docs/protocol.md: the server has to confirm the subprotocol; libwebsockets lets silence pass. */
static int on_upgrade(transport_lws *self, struct lws *wsi) {
  char name[sizeof SUBPROTOCOL + 1];
  int len = lws_hdr_copy(wsi, name, sizeof name, WSI_TOKEN_PROTOCOL);
  if (len == (int)sizeof SUBPROTOCOL - 1 && memcmp(name, SUBPROTOCOL, sizeof SUBPROTOCOL - 1) == 0) return 0;
  end(self, CHAT_E_PROTOCOL);
  return -1;
}

static void on_established(transport_lws *self) {
  if (self->phase != CONNECTING) return;
  self->phase = LIVE;
  self->opened = true;
  set_timer(self, 0);
}

static int fail(transport_lws *self, int status) {
  end(self, status);
  return -1;
}

static int on_receive(transport_lws *self, struct lws *wsi, const void *data, size_t len) {
  if (self->phase != LIVE || !lws_frame_is_binary(wsi)) return fail(self, CHAT_E_PROTOCOL);
  if (len > 0 && ch_buf_put(&self->assembly, (chat_bytes){data, len})) return fail(self, self->assembly.error == CHAT_E_NOMEM ? CHAT_E_IO : CHAT_E_TOO_LARGE);
  if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) > 0) return 0;
  message *m = message_new(self->alloc, 0, ch_buf_bytes(&self->assembly));
  if (!m) return fail(self, CHAT_E_IO);
  ch_buf_clear(&self->assembly);
  queue_push(&self->in, m);
  if (self->in.len >= RX_PAUSE_LEN && !self->paused) {
    self->paused = true;
    lws_rx_flow_control(wsi, 0);
  }
  return 0;
}

static int on_writable(transport_lws *self, struct lws *wsi) {
  while (self->phase == LIVE && !lws_partial_buffered(wsi)) {
    message *m = queue_pop(&self->out);
    if (!m) break;
    int written = lws_write(wsi, m->data + LWS_PRE, m->len, LWS_WRITE_BINARY);
    bool is_written = written >= (int)m->len;
    ch_free(self->alloc, m);
    if (!is_written) return fail(self, CHAT_E_IO);
    if (lws_send_pipe_choked(wsi)) break;
  }
  if (self->out.first) lws_callback_on_writable(wsi);
  return 0;
}

/* RFC 6455, 7.4.1. */
static int on_peer_close(transport_lws *self, const uint8_t *data, size_t len) {
  unsigned code = len >= 2 ? (unsigned)data[0] << 8 | data[1] : 1000;
  end(self, code == 1002 || code == 1003 || code == 1007 ? CHAT_E_PROTOCOL : code == 1009 ? CHAT_E_TOO_LARGE : CHAT_E_CLOSED);
  return 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
  (void)user;
  transport_lws *self = wsi ? lws_context_user(lws_get_context(wsi)) : NULL;
  if (!self) return 0;
  switch (reason) {
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR: on_error(self, wsi); return 0;
    case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH: return on_upgrade(self, wsi);
    case LWS_CALLBACK_CLIENT_ESTABLISHED: on_established(self); return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE: return on_receive(self, wsi, in, len);
    case LWS_CALLBACK_CLIENT_WRITEABLE: return on_writable(self, wsi);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: return on_peer_close(self, in, len);
    case LWS_CALLBACK_CLIENT_CLOSED:
      end(self, CHAT_E_IO);
      self->wsi = NULL;
      return 0;
    default: return 0;
  }
}

/* ------------------------------------------------------------------------------------------------ connecting */

static const struct lws_protocols protocols[] = {{.name = SUBPROTOCOL, .callback = callback, .rx_buffer_size = RX_BUFFER_LEN}, {0}};
static const struct lws_extension no_extensions[] = {{0}};
static const lws_retry_bo_t no_validity_checks = {0}; /* its default puts each connection on a timer; heartbeats are the session's */

/* The context is made without TLS and its one vhost with: so nothing is initialised for the process, whose TLS may be in use by others (transport_lws_tls.h). */
static struct lws_vhost *make_context(transport_lws *self) {
  struct lws_context_creation_info info = {
      .port = CONTEXT_PORT_NO_LISTEN,
      .protocols = protocols,
      .extensions = no_extensions,
      .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
      .gid = (gid_t)-1,
      .uid = (uid_t)-1,
      .fd_limit_per_thread = 8,
      .timeout_secs = LWS_STEP_S,
      .connect_timeout_secs = LWS_STEP_S,
      .retry_and_idle_policy = &no_validity_checks,
      .user = self,
  };
  self->context = lws_create_context(&info);
  if (!self->context) return NULL;
  info.provided_client_ssl_ctx = self->tls;
  if (self->tls) info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
  return lws_create_vhost(self->context, &info);
}

/* As a Host header wants it. */
static void host_header(const address *to, char *text, size_t len) {
  bool is_v6 = strchr(to->host, ':') != NULL;
  snprintf(text, len, "%s%s%s:%d", is_v6 ? "[" : "", to->host, is_v6 ? "]" : "", to->port);
}

static int start(transport_lws *self) {
  const address *to = &self->to;
  char host[300];
  host_header(to, host, sizeof host);
  struct lws_vhost *vhost = make_context(self);
  if (!vhost) return CHAT_E_IO;
  struct lws_client_connect_info info = {
      .context = self->context,
      .vhost = vhost,
      .address = to->numeric ? to->numeric : to->host,
      .port = to->port,
      .path = to->path,
      .host = host,
      .origin = NULL,
      .protocol = SUBPROTOCOL,
      .local_protocol_name = SUBPROTOCOL,
      .ietf_version_or_minus_one = -1,
      .alpn = "http/1.1",
      .ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT | (to->tls ? LCCSCF_USE_SSL | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK : 0),
      .retry_and_idle_policy = &no_validity_checks,
      .pwsi = &self->wsi,
  };
  return lws_client_connect_via_info(&info) ? 0 : CHAT_E_IO;
}

static void connect_now(transport_lws *self) {
  self->phase = CONNECTING;
  set_timer(self, CONNECT_S);
  int error = self->to.tls ? ch_tls_context_new(&self->trust, self->to.ca_file, self->to.host, &self->tls) : 0;
  if (!error) error = start(self);
  if (error) end(self, error == CHAT_E_NOMEM ? CHAT_E_IO : error);
}

/* ------------------------------------------------------------------------------------------------ waiting */

/* While connecting, libwebsockets does not tell what it waits for: any edge is reported. Live, it waits to read, and to write exactly while something is queued. */
static uint32_t wanted_interest(const transport_lws *self) {
  if (self->phase == CONNECTING) return EPOLLIN | EPOLLOUT | EPOLLET;
  uint32_t interest = EPOLLRDHUP;
  if (!self->paused) interest |= EPOLLIN;
  if (self->out.first || lws_partial_buffered(self->wsi)) interest |= EPOLLOUT;
  return self->paused ? interest & ~(uint32_t)EPOLLRDHUP : interest;
}

static void follow_socket(transport_lws *self) {
  if (!self->wsi || (self->phase != CONNECTING && self->phase != LIVE)) return;
  int fd = lws_get_socket_fd(self->wsi);
  uint32_t interest = wanted_interest(self);
  struct epoll_event event = {.events = interest, .data.fd = fd};
  if (fd < 0) return;
  if (self->phase == CONNECTING) { /* each address that is tried has a socket of its own, maybe of the same number */
    if (epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST) self->interest = interest;
    return;
  }
  if (interest == self->interest) return;
  if (epoll_ctl(self->epoll, EPOLL_CTL_MOD, fd, &event) == 0 || epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0) self->interest = interest;
}

static bool has_event(const transport_lws *self) {
  return self->opened || self->in.first || self->phase == ENDED;
}

static bool must_serve(const transport_lws *self) {
  return self->context && lws_service_adjust_timeout(self->context, 1, 0) == 0;
}

static void serve(transport_lws *self) {
  for (int i = 0; i < ROUNDS && (self->phase == CONNECTING || self->phase == LIVE); i++) {
    if (lws_service(self->context, -1) < 0) end(self, CHAT_E_IO);
    if (self->phase == LIVE && i > 0 && !must_serve(self)) break; /* the second round sends what the first has queued: a pong */
  }
  if (self->phase != ENDED) follow_socket(self);
  if ((self->phase == CONNECTING || self->phase == LIVE) && must_serve(self)) wake(self);
}

static void drain(int fd) {
  uint64_t count;
  if (read(fd, &count, sizeof count) < 0) return; /* it was not readable */
}

static int transport_wait(void *arg, int timeout_ms) {
  transport_lws *self = arg;
  struct epoll_event events[3];
  if (self->phase == WANTED) connect_now(self);
  else if (has_event(self)) timeout_ms = 0;
  follow_socket(self);
  int count = epoll_wait(self->epoll, events, 3, timeout_ms);
  for (int i = 0; i < count; i++) {
    if (events[i].data.fd == self->timer) end(self, CHAT_E_TIMEOUT);
    if (events[i].data.fd != self->wake) continue;
    drain(self->wake);
    atomic_store(&self->woken, false); /* after the read: whoever comes between the two is heard too, since this wait returns now */
  }
  serve(self);
  if (self->phase == ENDED) reap(self);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ the other calls */

static int transport_open(void *arg, const chat_transport_target *target) {
  transport_lws *self = arg;
  url u;
  if (self->phase != CLOSED) return CHAT_E_BUSY;
  if (target->size < sizeof *target || !target->url || strlen(target->url) > 2048 || !read_url(target->url, &u) || u.host_len > 255) return CHAT_E_INVALID;
  int error = ch_tls_trust_init(&self->trust, target->ca_file, target->pin_sha256);
  if (error) return error;
  if (!set_address(self->alloc, &self->to, &u, target)) {
    address_fini(self->alloc, &self->to);
    return CHAT_E_NOMEM;
  }
  self->phase = WANTED;
  wake(self);
  return 0;
}

static int transport_send(void *arg, chat_bytes bytes) {
  transport_lws *self = arg;
  if (self->phase != LIVE) return CHAT_E_CLOSED;
  if (bytes.len > CHAT_FRAME_MAX) return CHAT_E_TOO_LARGE;
  if (self->out.first && self->out.len + bytes.len > SEND_QUEUE_MAX) return CHAT_E_AGAIN;
  message *m = message_new(self->alloc, LWS_PRE, bytes);
  if (!m) return CHAT_E_AGAIN;
  queue_push(&self->out, m);
  lws_callback_on_writable(self->wsi);
  follow_socket(self);
  return 0;
}

static void lend(transport_lws *self, chat_transport_event *event) {
  self->polled = queue_pop(&self->in);
  ch_assert(self->polled);
  *event = (chat_transport_event){.type = CHAT_TRANSPORT_MESSAGE, .message = {self->polled->data, self->polled->len}};
  if (!self->paused || self->in.first || self->phase != LIVE) return;
  self->paused = false;
  lws_rx_flow_control(self->wsi, 1);
  wake(self); /* libwebsockets may hold bytes already, of which no socket tells */
}

static int transport_poll(void *arg, chat_transport_event *event) {
  transport_lws *self = arg;
  *event = (chat_transport_event){.type = CHAT_TRANSPORT_NONE};
  ch_free(self->alloc, self->polled);
  self->polled = NULL;
  if (self->opened) {
    self->opened = false;
    event->type = CHAT_TRANSPORT_OPEN;
  } else if (self->in.first) {
    lend(self, event);
  } else if (self->phase == ENDED) {
    if (self->context) reap(self);
    self->phase = CLOSED;
    *event = (chat_transport_event){.type = CHAT_TRANSPORT_CLOSED, .status = self->ended_status};
  }
  if (event->type != CHAT_TRANSPORT_NONE && has_event(self)) wake(self);
  return 0;
}

static void transport_close(void *arg) {
  transport_lws *self = arg;
  self->phase = CLOSED; /* what libwebsockets tells from here on is ignored */
  self->opened = false;
  reap(self);
  queue_clear(self->alloc, &self->in);
}

static void transport_interrupt(void *arg) {
  wake(arg);
}

static int transport_fd(void *arg) {
  const transport_lws *self = arg;
  return self->epoll;
}

static void transport_free(void *arg) {
  transport_lws *self = arg;
  if (!self) return;
  transport_close(self);
  ch_free(self->alloc, self->polled);
  if (self->timer >= 0) close(self->timer);
  if (self->wake >= 0) close(self->wake);
  if (self->epoll >= 0) close(self->epoll);
  ch_free(self->alloc, self);
}

/* ------------------------------------------------------------------------------------------------ */

static const chat_transport_vtable vtable = {
    .size = sizeof vtable,
    .name = "transport_lws",
    .open = transport_open,
    .send = transport_send,
    .poll = transport_poll,
    .close = transport_close,
    .wait = transport_wait,
    .interrupt = transport_interrupt,
    .fd = transport_fd,
    .free = transport_free,
};

static void silence(void) {
  lws_set_log_level(0, NULL);
}

static bool watch(transport_lws *self, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  return fd >= 0 && epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

int ch_transport_lws_new(const chat_allocator *alloc, chat_transport **transport) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, silence);
  transport_lws *self = ch_calloc(alloc, 1, sizeof *self);
  if (!self) return CHAT_E_NOMEM;
  self->base = (chat_transport){.vtable = &vtable, .self = self};
  self->alloc = alloc;
  ch_buf_init(&self->assembly, alloc, CHAT_FRAME_MAX);
  self->epoll = epoll_create1(EPOLL_CLOEXEC);
  self->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  self->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  if (self->epoll < 0 || !watch(self, self->wake) || !watch(self, self->timer)) {
    transport_free(self);
    return CHAT_E_IO;
  }
  *transport = &self->base;
  return 0;
}
