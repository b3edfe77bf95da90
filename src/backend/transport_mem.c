/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport in memory (chat/backend.h): two ends of one thing, under one lock, with a queue each way. What lies in a queue is bounded by 1 MiB of messages, and by the few
 * events of one connection: a new open empties both.
 */
#include <chat/backend.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/env.h"
#include "platform/condition.h"

enum { WAITING_LEN_MAX = 1024 * 1024 };

typedef struct item {
  struct item *next;
  chat_transport_event event;
  uint8_t data[];
} item;

typedef struct queue {
  item *first, **last;
  size_t len;  /* bytes of messages */
  item *given; /* what was taken last: lives until the next is */
} queue;

typedef enum state {
  CLOSED,  /* open → OPENING */
  OPENING, /* peer_accept → OPEN; peer_close, close → CLOSED */
  OPEN     /* peer_close, close → CLOSED */
} state;

struct chat_transport_peer {
  const chat_allocator *alloc;
  chat_transport transport; /* the client's end, whose self this is too */
  pthread_mutex_t lock;     /* everything below */
  pthread_cond_t to_peer_changed;
  queue to_client, to_peer;
  state state;
  int fd; /* eventfd: readable while there is something for the client, or an interrupt */
  bool fd_raised, interrupted;
  bool client_gone, peer_gone;
};

typedef chat_transport_peer pair;

/* ------------------------------------------------------------------------------------------------ queues */

static void queue_init(queue *q) {
  *q = (queue){.last = &q->first};
}

static item *queue_pop(queue *q) {
  item *taken = q->first;
  if (!taken) return NULL;
  q->first = taken->next;
  if (!q->first) q->last = &q->first;
  if (taken->event.type == CHAT_TRANSPORT_MESSAGE) q->len -= taken->event.message.len;
  return taken;
}

static void queue_clear(const pair *p, queue *q) {
  for (item *old; (old = queue_pop(q));)
    ch_free(p->alloc, old);
}

static void queue_fini(const pair *p, queue *q) {
  queue_clear(p, q);
  ch_free(p->alloc, q->given);
}

static int queue_push(const pair *p, queue *q, uint32_t type, int status, chat_bytes message) {
  item *made = ch_alloc(p->alloc, sizeof *made + message.len);
  if (!made) return CHAT_E_NOMEM;
  *made = (item){.event = {.type = type, .status = status, .message = {made->data, message.len}}};
  if (message.len > 0) memcpy(made->data, message.data, message.len);
  if (type == CHAT_TRANSPORT_MESSAGE) q->len += message.len;
  *q->last = made;
  q->last = &made->next;
  return 0;
}

static int queue_message(const pair *p, queue *q, chat_bytes message) {
  if (p->state != OPEN) return CHAT_E_CLOSED;
  if (message.len > CHAT_FRAME_MAX) return CHAT_E_TOO_LARGE;
  if (q->len >= WAITING_LEN_MAX) return CHAT_E_AGAIN;
  return queue_push(p, q, CHAT_TRANSPORT_MESSAGE, 0, message);
}

static void queue_take(const pair *p, queue *q, chat_transport_event *event) {
  ch_free(p->alloc, q->given);
  q->given = queue_pop(q);
  *event = q->given ? q->given->event : (chat_transport_event){.type = CHAT_TRANSPORT_NONE};
}

/* ------------------------------------------------------------------------------------------------ the lock, and who is told when it is given back */

static void pair_lock(pair *p) {
  pthread_mutex_lock(&p->lock);
}

static void show_on_fd(pair *p) {
  uint64_t count = 1;
  bool wanted = p->to_client.first || p->interrupted;
  if (wanted == p->fd_raised) return;
  ssize_t done = wanted ? write(p->fd, &count, sizeof count) : read(p->fd, &count, sizeof count);
  if (done == sizeof count) p->fd_raised = wanted;
}

static void pair_unlock(pair *p) {
  show_on_fd(p);
  if (p->to_peer.first) pthread_cond_signal(&p->to_peer_changed);
  pthread_mutex_unlock(&p->lock);
}

/* ------------------------------------------------------------------------------------------------ the client's end */

static bool url_valid(const char *url) {
  size_t scheme = strncmp(url, "ws://", 5) == 0 ? 5 : strncmp(url, "wss://", 6) == 0 ? 6 : 0;
  return scheme > 0 && url[scheme] != 0;
}

static int begin(pair *p, const char *url) {
  if (p->state != CLOSED) return CHAT_E_BUSY;
  queue_clear(p, &p->to_client);
  queue_clear(p, &p->to_peer);
  if (p->peer_gone) return queue_push(p, &p->to_client, CHAT_TRANSPORT_CLOSED, CHAT_E_IO, (chat_bytes){0});
  int error = queue_push(p, &p->to_peer, CHAT_TRANSPORT_OPEN, 0, ch_bytes_of(url, strlen(url)));
  if (!error) p->state = OPENING;
  return error;
}

static int mem_open(void *self, const chat_transport_target *target) {
  pair *p = self;
  if (!url_valid(target->url)) return CHAT_E_INVALID;
  pair_lock(p);
  int error = begin(p, target->url);
  pair_unlock(p);
  return error;
}

static int mem_send(void *self, chat_bytes message) {
  pair *p = self;
  pair_lock(p);
  int error = queue_message(p, &p->to_peer, message);
  pair_unlock(p);
  return error;
}

static int mem_poll(void *self, chat_transport_event *event) {
  pair *p = self;
  pair_lock(p);
  queue_take(p, &p->to_client, event);
  pair_unlock(p);
  return 0;
}

/* Without memory the other end is not told; it notices at its next call. */
static void mem_close(void *self) {
  pair *p = self;
  pair_lock(p);
  queue_clear(p, &p->to_client);
  if (p->state != CLOSED) (void)queue_push(p, &p->to_peer, CHAT_TRANSPORT_CLOSED, 0, (chat_bytes){0});
  p->state = CLOSED;
  pair_unlock(p);
}

static int mem_wait(void *self, int timeout_ms) {
  pair *p = self;
  poll(&(struct pollfd){.fd = p->fd, .events = POLLIN}, 1, timeout_ms);
  pair_lock(p);
  p->interrupted = false;
  pair_unlock(p);
  return 0;
}

static void mem_interrupt(void *self) {
  pair *p = self;
  pair_lock(p);
  p->interrupted = true;
  pair_unlock(p);
}

static int mem_fd(void *self) {
  return ((pair *)self)->fd;
}

/* ------------------------------------------------------------------------------------------------ life */

static void pair_free(pair *p) {
  queue_fini(p, &p->to_client);
  queue_fini(p, &p->to_peer);
  if (p->fd >= 0) close(p->fd);
  pthread_cond_destroy(&p->to_peer_changed);
  pthread_mutex_destroy(&p->lock);
  ch_free(p->alloc, p);
}

static void leave(pair *p, bool *gone) {
  pair_lock(p);
  *gone = true;
  bool last = p->client_gone && p->peer_gone;
  pair_unlock(p);
  if (last) pair_free(p);
}

static void mem_free(void *self) {
  if (!self) return;
  mem_close(self);
  leave(self, &((pair *)self)->client_gone);
}

static const chat_transport_vtable vtable = {
    .size = sizeof(chat_transport_vtable),
    .name = "mem",
    .open = mem_open,
    .send = mem_send,
    .poll = mem_poll,
    .close = mem_close,
    .wait = mem_wait,
    .interrupt = mem_interrupt,
    .fd = mem_fd,
    .free = mem_free,
};

static int pair_init(pair *p, const chat_allocator *alloc) {
  p->alloc = alloc;
  p->transport = (chat_transport){&vtable, p};
  queue_init(&p->to_client);
  queue_init(&p->to_peer);
  pthread_mutex_init(&p->lock, NULL);
  int error = ch_condition_init(&p->to_peer_changed);
  p->fd = error ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return error || p->fd >= 0 ? error : CHAT_E_IO;
}

int chat_transport_mem_new(const chat_allocator *alloc, chat_transport **transport, chat_transport_peer **peer) {
  pair *p = ch_calloc(alloc, 1, sizeof *p);
  if (!p) return CHAT_E_NOMEM;
  int error = pair_init(p, alloc);
  if (error) {
    pair_free(p);
    return error;
  }
  *transport = &p->transport;
  *peer = p;
  return 0;
}

/* ------------------------------------------------------------------------------------------------ the other end */

void chat_transport_peer_wait(chat_transport_peer *p, int timeout_ms, chat_transport_event *event) {
  struct timespec until = ch_condition_in_ms(timeout_ms);
  pair_lock(p);
  while (!p->to_peer.first && ch_condition_wait(&p->to_peer_changed, &p->lock, timeout_ms < 0 ? NULL : &until)) continue;
  queue_take(p, &p->to_peer, event);
  pair_unlock(p);
}

int chat_transport_peer_accept(chat_transport_peer *p) {
  pair_lock(p);
  int error = p->state == OPENING ? queue_push(p, &p->to_client, CHAT_TRANSPORT_OPEN, 0, (chat_bytes){0}) : CHAT_E_CLOSED;
  if (!error) p->state = OPEN;
  pair_unlock(p);
  return error;
}

int chat_transport_peer_send(chat_transport_peer *p, chat_bytes message) {
  pair_lock(p);
  int error = queue_message(p, &p->to_client, message);
  pair_unlock(p);
  return error;
}

int chat_transport_peer_close(chat_transport_peer *p, int status) {
  pair_lock(p);
  int error = p->state == CLOSED ? CHAT_E_CLOSED : queue_push(p, &p->to_client, CHAT_TRANSPORT_CLOSED, status, (chat_bytes){0});
  if (!error) p->state = CLOSED;
  pair_unlock(p);
  return error;
}

void chat_transport_peer_free(chat_transport_peer *p) {
  if (!p) return;
  (void)chat_transport_peer_close(p, CHAT_E_IO);
  leave(p, &p->peer_gone);
}
