/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend of one's own: a log, plugged into a server of one's own. It keeps its records in memory and counts them; take it as a frame for one that writes to a service.
 *
 *   custom_backend        sends two messages, prints what was stored and what the log saw, exits 0
 *
 * chat/backend.h says what each op owes; tests/contract/test_log.c holds this log to it, as it would hold yours.
 */
#define _DEFAULT_SOURCE
#include <chat/backend.h>
#include <chat/server.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PORT_OPS_MAX = 4096, RECORD_LEN_MAX = 256 * 1024, COUNT_MAX = 4096 };
static const size_t bytes_max = 64 * 1024 * 1024; /* of a topic; beyond it CHAT_E_AGAIN, until more is consumed */

/* ------------------------------------------------------------------------------------------------ the log */

typedef struct record {
  uint64_t append_ms;
  size_t len;
  uint8_t data[];
} record;

/* A topic has one partition here. Record n (1, 2, 3 …) has position n, since the epoch is 0; 1 … cut were consumed and are gone. */
typedef struct topic {
  record **records; /* record n is at n - 1 - cut */
  size_t cut, count, room;
  size_t bytes;
} topic;

typedef struct own_log {
  pthread_mutex_t lock; /* everything below, and every port */
  topic topics[CHAT_TOPIC_COUNT];
  struct port *ports;
  uint8_t identity[16];
  size_t appended; /* records of "messages" so far */
} own_log;

typedef struct port {
  struct port *next;
  chat_wake wake;
  chat_op *done, *waiting; /* finished, in order; long polls */
  size_t under_way;
  int canceled;
} port;

static void push(chat_op **queue, chat_op *op) {
  while (*queue) queue = &(*queue)->next;
  op->next = NULL;
  *queue = op;
}

static chat_op *pop(chat_op **queue) {
  chat_op *op = *queue;
  if (op) *queue = op->next;
  return op;
}

/* The wake may only wake, so it may be called with the lock held; and so none follows port_free. */
static void finish(port *p, chat_op *op, int status) {
  op->status = status;
  push(&p->done, op);
  p->wake.fn(p->wake.arg);
}

/* ------------------------------------------------------------------------------------------------ append */

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int append_check(const topic *t, const chat_log_append *append) {
  size_t bytes = t->bytes;
  if (append->partition != 0 || append->count == 0 || append->count > COUNT_MAX) return CHAT_E_INVALID;
  for (size_t i = 0; i < append->count; i++) {
    if (append->records[i].data.len > RECORD_LEN_MAX) return CHAT_E_TOO_LARGE;
    bytes += sizeof(record) + append->records[i].data.len;
  }
  return bytes <= bytes_max ? 0 : CHAT_E_AGAIN;
}

static int append_one(topic *t, chat_log_record *in, uint64_t append_ms) {
  if (t->count == t->room) {
    size_t room = t->room ? 2 * t->room : 64;
    record **records = realloc(t->records, room * sizeof *records);
    if (!records) return CHAT_E_NOMEM;
    t->records = records;
    t->room = room;
  }
  record *r = malloc(sizeof *r + in->data.len);
  if (!r) return CHAT_E_NOMEM;
  *r = (record){.append_ms = append_ms, .len = in->data.len};
  if (r->len > 0) memcpy(r->data, in->data.data, r->len);
  t->records[t->count++] = r;
  t->bytes += sizeof *r + r->len;
  in->position = t->cut + t->count;
  in->append_ms = append_ms;
  return 0;
}

/* A record that has a position is in, also where a later one failed: the caller is told by the positions. */
static int append(own_log *log, chat_log_append *op) {
  topic *t = &log->topics[op->topic];
  int error = append_check(t, op);
  uint64_t append_ms = now_ms();
  for (size_t i = 0; i < op->count; i++)
    op->records[i].position = 0;
  for (size_t i = 0; i < op->count && !error; i++) {
    error = append_one(t, &op->records[i], append_ms);
    log->appended += !error && op->topic == CHAT_TOPIC_MESSAGES;
  }
  return error;
}

/* ------------------------------------------------------------------------------------------------ read */

/* Results are copies in the op's memory: nothing in an op points into the backend. */
static int copy_out(const topic *t, chat_log_read *op, size_t from, size_t count) {
  op->records = chat_op_alloc(&op->op, count * sizeof *op->records);
  if (!op->records) return CHAT_E_NOMEM;
  for (size_t i = 0; i < count; i++) {
    const record *r = t->records[from + i];
    chat_bytes data = chat_op_copy(&op->op, (chat_bytes){r->data, r->len});
    if (r->len > 0 && !data.data) return CHAT_E_NOMEM;
    op->records[i] = (chat_log_record){.position = t->cut + from + i + 1, .append_ms = r->append_ms, .data = data};
  }
  op->count = count;
  return 0;
}

/* 1: answered, with *status; 0: there is nothing yet, it waits on. */
static int try_read(own_log *log, chat_log_read *op, int *status) {
  const topic *t = &log->topics[op->topic];
  size_t count = 0, bytes = 0;
  op->count = 0;
  *status = CHAT_E_GONE;
  if (op->after < t->cut || op->after > t->cut + t->count) return 1;
  size_t from = (size_t)op->after - t->cut;
  for (; from + count < t->count && count < op->count_max; count++) {
    bytes += t->records[from + count]->len;
    if (count > 0 && bytes > op->bytes_max) break; /* one is given all the same */
  }
  if (count == 0) return 0;
  *status = copy_out(t, op, from, count);
  return 1;
}

/* After an append: whoever waited for it is answered. */
static void serve_waiting(own_log *log) {
  for (port *p = log->ports; p; p = p->next) {
    chat_op *waiting = p->waiting;
    p->waiting = NULL;
    for (chat_op *op; (op = pop(&waiting));) {
      int status;
      if (try_read(log, (chat_log_read *)op, &status))
        finish(p, op, status);
      else
        push(&p->waiting, op);
    }
  }
}

/* ------------------------------------------------------------------------------------------------ info, consumed */

static int info(const own_log *log, chat_log_info *op) {
  const topic *t = &log->topics[op->topic];
  if (op->partition != 0) return CHAT_E_INVALID;
  op->partition_count = 1;
  op->first = t->count ? t->cut + 1 : 0;
  op->end = t->cut + t->count;
  memcpy(op->identity, log->identity, sizeof op->identity);
  return 0;
}

static int consumed(own_log *log, const chat_log_consumed *op) {
  topic *t = &log->topics[op->topic];
  if (op->partition != 0) return CHAT_E_INVALID;
  if (op->position <= t->cut || op->position > t->cut + t->count) return 0;
  size_t gone = (size_t)op->position - t->cut;
  for (size_t i = 0; i < gone; i++) {
    t->bytes -= sizeof(record) + t->records[i]->len;
    free(t->records[i]);
  }
  memmove(t->records, t->records + gone, (t->count - gone) * sizeof(record *));
  t->count -= gone;
  t->cut += gone;
  return 0;
}

/* ------------------------------------------------------------------------------------------------ the table of functions */

static int known(const chat_op *op) {
  switch (op->kind) {
  case CHAT_OP_LOG_INFO: return ((const chat_log_info *)op)->topic < CHAT_TOPIC_COUNT ? 0 : CHAT_E_INVALID;
  case CHAT_OP_LOG_APPEND: return ((const chat_log_append *)op)->topic < CHAT_TOPIC_COUNT ? 0 : CHAT_E_INVALID;
  case CHAT_OP_LOG_CONSUMED: return ((const chat_log_consumed *)op)->topic < CHAT_TOPIC_COUNT ? 0 : CHAT_E_INVALID;
  case CHAT_OP_LOG_READ: {
    const chat_log_read *read = (const chat_log_read *)op;
    return read->topic < CHAT_TOPIC_COUNT && read->partition == 0 && read->count_max > 0 && read->count_max <= COUNT_MAX ? 0 : CHAT_E_INVALID;
  }
  default: return CHAT_E_UNSUPPORTED;
  }
}

static void run(own_log *log, port *p, chat_op *op) {
  int status = known(op);
  if (status) {
    finish(p, op, status);
  } else if (op->kind == CHAT_OP_LOG_READ) {
    if (try_read(log, (chat_log_read *)op, &status))
      finish(p, op, status);
    else
      push(&p->waiting, op);
  } else if (op->kind == CHAT_OP_LOG_APPEND) {
    finish(p, op, append(log, (chat_log_append *)op));
    serve_waiting(log);
  } else {
    finish(p, op, op->kind == CHAT_OP_LOG_INFO ? info(log, (chat_log_info *)op) : consumed(log, (chat_log_consumed *)op));
  }
}

static int log_submit(void *self, void *at, chat_op *op) {
  own_log *log = self;
  port *p = at;
  pthread_mutex_lock(&log->lock);
  int error = p->canceled ? CHAT_E_CLOSED : p->under_way == PORT_OPS_MAX ? CHAT_E_BUSY : 0;
  if (!error) {
    p->under_way++;
    run(log, p, op);
  }
  pthread_mutex_unlock(&log->lock);
  return error;
}

static chat_op *log_poll(void *self, void *at) {
  own_log *log = self;
  port *p = at;
  pthread_mutex_lock(&log->lock);
  chat_op *op = pop(&p->done);
  if (op) p->under_way--;
  pthread_mutex_unlock(&log->lock);
  return op;
}

static int log_port_new(void *self, chat_wake wake, void **made) {
  own_log *log = self;
  port *p = calloc(1, sizeof *p);
  if (!p) return CHAT_E_NOMEM;
  p->wake = wake;
  pthread_mutex_lock(&log->lock);
  p->next = log->ports;
  log->ports = p;
  pthread_mutex_unlock(&log->lock);
  *made = p;
  return 0;
}

static void log_port_cancel(void *self, void *at) {
  own_log *log = self;
  port *p = at;
  pthread_mutex_lock(&log->lock);
  p->canceled = 1;
  for (chat_op *op; (op = pop(&p->waiting));)
    finish(p, op, CHAT_E_CANCELED);
  pthread_mutex_unlock(&log->lock);
}

static void log_port_free(void *self, void *at) {
  own_log *log = self;
  pthread_mutex_lock(&log->lock);
  port **place = &log->ports;
  while (*place != at) place = &(*place)->next;
  *place = (*place)->next;
  pthread_mutex_unlock(&log->lock);
  free(at);
}

static void log_free(void *self) {
  own_log *log = self;
  for (int i = 0; i < CHAT_TOPIC_COUNT; i++) {
    for (size_t n = 0; n < log->topics[i].count; n++)
      free(log->topics[i].records[n]);
    free(log->topics[i].records);
  }
  pthread_mutex_destroy(&log->lock);
  free(log);
}

static const chat_backend_vtable own_vtable = {
    .size = sizeof(chat_backend_vtable),
    .name = "own_log",
    .port_new = log_port_new,
    .port_cancel = log_port_cancel,
    .port_free = log_port_free,
    .submit = log_submit,
    .poll = log_poll,
    .free = log_free,
};

static int own_log_new(chat_backend *backend) {
  own_log *log = calloc(1, sizeof *log);
  if (!log) return CHAT_E_NOMEM;
  pthread_mutex_init(&log->lock, NULL);
  if (getentropy(log->identity, sizeof log->identity) != 0) {
    log_free(log);
    return CHAT_E_IO;
  }
  *backend = (chat_backend){&own_vtable, log};
  return 0;
}

/* ------------------------------------------------------------------------------------------------ the server */

/* The reply to the request of this tag; NULL: none came within ten seconds. */
static const chat_server_event *reply(chat_server *server, uint64_t tag) {
  const chat_server_event *event;
  do event = chat_server_wait(server, 10000);
  while (event && (event->type != CHAT_SERVER_REPLY || event->tag != tag));
  return event;
}

static int send(chat_server *server, const uint8_t conversation_id[16], const char *user, const char *body) {
  chat_server_send message = {.size = sizeof message, .user = user, .user_len = strlen(user), .conversation_id = conversation_id, .body = body, .body_len = strlen(body)};
  int error = chat_server_request_send(server, 2, &message);
  if (error) return error;
  const chat_server_event *event = reply(server, 2);
  return event ? event->status : CHAT_E_TIMEOUT;
}

static int create(chat_server *server, uint8_t conversation_id[16]) {
  const char *const members[] = {"bob"};
  const size_t lens[] = {3};
  int error = chat_server_request_create(server, 1, "ada", 3, CHAT_GROUP, "tea party", 9, members, lens, 1, 0);
  if (error) return error;
  const chat_server_event *event = reply(server, 1);
  if (!event) return CHAT_E_TIMEOUT;
  memcpy(conversation_id, event->conversation_id, 16);
  return event->status;
}

/* Durable comes first, stored a little later: asks until event `head` is there. NULL: it did not come. */
static const chat_server_event *stored(chat_server *server, const uint8_t conversation_id[16], uint64_t head) {
  const struct timespec pause = {.tv_nsec = 10000000};
  for (int tries = 0; tries < 1000; tries++) {
    const chat_server_event *event = chat_server_request_history(server, 3, conversation_id, 0, 0, 10) == 0 ? reply(server, 3) : NULL;
    if (!event || (event->status == 0 && event->head >= head)) return event;
    nanosleep(&pause, NULL);
  }
  return NULL;
}

static int print_history(chat_server *server, const uint8_t conversation_id[16], uint64_t head) {
  const chat_server_event *event = stored(server, conversation_id, head);
  if (!event) return CHAT_E_TIMEOUT;
  for (size_t i = 0; i < event->stored_count; i++) {
    const chat_stored *row = event->stored[i];
    if (row->type != CHAT_TYPE_MESSAGE) continue;
    printf("%llu %.*s: %.*s\n", (unsigned long long)row->seq, (int)row->sender.len, (const char *)row->sender.data, (int)row->body.len, (const char *)row->body.data);
  }
  return 0;
}

/* Only members may send, so the group must be there first. */
static int talk(chat_server *server) {
  uint8_t conversation_id[16];
  int error = create(server, conversation_id);
  if (!error && !stored(server, conversation_id, 1)) error = CHAT_E_TIMEOUT;
  if (!error) error = send(server, conversation_id, "ada", "Tea is served.");
  if (!error) error = send(server, conversation_id, "bob", "On my way!");
  return error ? error : print_history(server, conversation_id, 3);
}

static void refuse(void *arg, chat_ticket *ticket, const chat_login *login) {
  (void)arg, (void)login;
  chat_ticket_answer(ticket, CHAT_E_AUTH); /* nobody logs in to this server */
}

int main(void) {
  chat_backend log;
  int error = own_log_new(&log);
  if (error) return 1;
  chat_hooks hooks = {.size = sizeof hooks, .authenticate = refuse};
  chat_server_config config = {.size = sizeof config, .hooks = &hooks, .message_log = &log};
  chat_server *server = NULL;
  error = chat_server_new(CHAT_API_VERSION, &config, &server);
  if (!error) error = chat_server_set(server, "store", "mem");
  if (!error) error = chat_server_set(server, "listen", "127.0.0.1:0");
  if (!error) error = chat_server_set(server, "metrics", "");
  if (!error) error = chat_server_start(server);
  if (!error) error = talk(server);
  if (error) fprintf(stderr, "custom_backend: %s %s\n", chat_error_text(error), server ? chat_server_problem(server) : "");
  if (server) chat_server_stop(server, 5000);
  chat_server_free(server);
  printf("%zu records went through our log\n", ((own_log *)log.self)->appended);
  log.vtable->free(log.self); /* a backend that was handed in stays the embedder's */
  return error ? 1 : 0;
}
