/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/link_mem.h"

#include <string.h>

#include "backend/port_mem.h"
#include "core/assert.h"
#include "core/bytes.h"
#include "core/env.h"

enum { BYTES_MAX = 64 * 1024 * 1024 };

/* SENDs wait whole, as their ops' copies: a SEND is answered at once, so what waits is a copy made in the memory of a mail. */
typedef struct mail {
  struct mail *next;
  chat_op *memory; /* an op that nobody submitted: its arena holds the copy */
  chat_delivery *deliveries;
  size_t count, len;
} mail;

typedef struct mailbox {
  struct mailbox *next;
  ch_port *port;
  chat_link_receive *waiting; /* the long poll */
  mail *first, *last;
  size_t count, len; /* deliveries in all mails, and their bytes */
  uint32_t lost;
  size_t name_len;
  uint8_t name[64];
} mailbox;

typedef struct link_mem {
  ch_link_mem_config config;
  pthread_mutex_t lock; /* everything below */
  mailbox *boxes;
  uint32_t box_count;
} link_mem;

/* ------------------------------------------------------------------------------------------------ copies */

static bool copy_targets(chat_op *to, chat_delivery *copy, const chat_delivery *from) {
  copy->targets = chat_op_alloc(to, from->target_count * sizeof *copy->targets);
  if (!copy->targets && from->target_count) return false;
  for (size_t i = 0; i < from->target_count; i++) {
    copy->targets[i] = from->targets[i];
    copy->targets[i].user = chat_op_copy(to, from->targets[i].user);
    if (!copy->targets[i].user.data) return false;
  }
  return true;
}

/* The deliveries in the memory of `to`; NULL: no memory. */
static chat_delivery *copy_deliveries(chat_op *to, const chat_delivery *from, size_t count) {
  chat_delivery *copies = chat_op_alloc(to, count * sizeof *copies);
  for (size_t i = 0; copies && i < count; i++) {
    copies[i] = from[i];
    copies[i].payload = chat_op_copy(to, from[i].payload);
    if ((from[i].payload.len && !copies[i].payload.data) || !copy_targets(to, &copies[i], &from[i])) return NULL;
  }
  return copies;
}

static void mail_free(mail *m) {
  ch_op_free(m->memory); /* the mail is in it */
}

/* What a SEND takes of a mailbox's bytes. */
static size_t bytes_of(const chat_link_send *send) {
  size_t len = 0;
  for (size_t i = 0; i < send->count; i++) {
    const chat_delivery *delivery = &send->deliveries[i];
    len += sizeof *delivery + delivery->payload.len + delivery->target_count * sizeof *delivery->targets;
  }
  return len;
}

static mail *mail_new(link_mem *link, const chat_link_send *send) {
  chat_op *memory = ch_op_new(link->config.alloc, CHAT_OP_LINK_SEND, sizeof(chat_op));
  if (!memory) return NULL;
  mail *m = chat_op_alloc(memory, sizeof *m);
  if (m) *m = (mail){.memory = memory, .count = send->count, .len = bytes_of(send), .deliveries = copy_deliveries(memory, send->deliveries, send->count)};
  if (m && m->deliveries) return m;
  ch_op_free(memory);
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ mailboxes */

static mailbox *find(link_mem *link, chat_bytes name) {
  for (mailbox *box = link->boxes; box; box = box->next)
    if (ch_bytes_equal(name, ch_bytes_of(box->name, box->name_len))) return box;
  return NULL;
}

static int box_new(link_mem *link, chat_bytes name, mailbox **made) {
  if (link->box_count == link->config.gateways_max) return CHAT_E_LIMIT;
  mailbox *box = ch_calloc(link->config.alloc, 1, sizeof *box);
  if (!box) return CHAT_E_NOMEM;
  memcpy(box->name, name.data, name.len);
  box->name_len = name.len;
  box->next = link->boxes;
  link->boxes = box;
  link->box_count++;
  *made = box;
  return 0;
}

static void box_free(link_mem *link, mailbox *box) {
  ch_assert(!box->waiting);
  while (box->first) {
    mail *m = box->first;
    box->first = m->next;
    mail_free(m);
  }
  ch_free(link->config.alloc, box);
}

static mail *take_mail(mailbox *box) {
  mail *m = box->first;
  box->first = m->next;
  if (!box->first) box->last = NULL;
  box->count -= m->count;
  box->len -= m->len;
  return m;
}

/* Answers the long poll with the oldest mail, or with `lost` alone. */
static void serve(mailbox *box) {
  chat_link_receive *receive = box->waiting;
  if (!receive || (!box->first && !box->lost)) return;
  box->waiting = NULL;
  receive->lost = box->lost;
  box->lost = 0;
  int status = 0;
  if (box->first) {
    mail *m = take_mail(box);
    receive->deliveries = copy_deliveries(&receive->op, m->deliveries, m->count);
    receive->count = receive->deliveries ? m->count : 0;
    if (!receive->deliveries) receive->lost = 1; /* no memory for a hint: its sessions sync */
    mail_free(m);
  }
  ch_port_finish(box->port, &receive->op, status);
}

/* ------------------------------------------------------------------------------------------------ ops */

static int put_mail(link_mem *link, mailbox *box, const chat_link_send *send) {
  if (box->count + send->count > link->config.deliveries_max || box->len + bytes_of(send) > link->config.bytes_max) {
    box->lost = 1;
    return CHAT_E_AGAIN;
  }
  mail *m = mail_new(link, send);
  if (!m) return CHAT_E_NOMEM;
  if (box->last)
    box->last->next = m;
  else
    box->first = m;
  box->last = m;
  box->count += m->count;
  box->len += m->len;
  return 0;
}

static bool name_valid(chat_bytes name) {
  return name.len > 0 && name.len <= sizeof((mailbox *)0)->name;
}

static bool send_valid(const chat_link_send *send) {
  for (size_t i = 0; i < send->count; i++) {
    for (size_t j = 0; j < send->deliveries[i].target_count; j++)
      if (!ch_user_id_valid(send->deliveries[i].targets[j].user)) return false;
  }
  return send->count > 0 && name_valid(send->gateway);
}

static void do_send(link_mem *link, ch_port *port, chat_op *op) {
  const chat_link_send *send = (const chat_link_send *)op;
  if (!send_valid(send)) {
    ch_port_finish(port, op, CHAT_E_INVALID);
    return;
  }
  mailbox *box = find(link, send->gateway);
  int status = box ? put_mail(link, box, send) : CHAT_E_NOT_FOUND;
  if (box) serve(box);
  ch_port_finish(port, op, status);
}

static void do_receive(link_mem *link, ch_port *port, chat_op *op) {
  chat_link_receive *receive = (chat_link_receive *)op;
  receive->count = 0;
  receive->lost = 0;
  mailbox *box = find(link, receive->gateway);
  int error = name_valid(receive->gateway) ? 0 : CHAT_E_INVALID;
  if (!error && !box) error = box_new(link, receive->gateway, &box);
  if (!error && box->waiting) error = CHAT_E_BUSY; /* one long poll at a time */
  if (error) {
    ch_port_finish(port, op, error);
    return;
  }
  box->port = port;
  box->waiting = receive;
  serve(box);
}

static int link_submit(void *self, void *port, chat_op *op) {
  link_mem *link = self;
  int error = ch_port_accept(port);
  if (error) return error;
  pthread_mutex_lock(&link->lock);
  if (op->kind == CHAT_OP_LINK_SEND)
    do_send(link, port, op);
  else if (op->kind == CHAT_OP_LINK_RECEIVE)
    do_receive(link, port, op);
  else
    ch_port_finish(port, op, CHAT_E_UNSUPPORTED);
  pthread_mutex_unlock(&link->lock);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ ports and life */

static int link_port_new(void *self, chat_wake wake, void **port) {
  return ch_port_new(((link_mem *)self)->config.alloc, wake, port);
}

static void link_port_cancel(void *self, void *port) {
  link_mem *link = self;
  ch_port_cancel(port);
  pthread_mutex_lock(&link->lock);
  for (mailbox **at = &link->boxes; *at;) {
    mailbox *box = *at;
    if (box->port != port) {
      at = &box->next;
      continue;
    }
    *at = box->next;
    link->box_count--;
    if (box->waiting) ch_port_finish(port, &box->waiting->op, CHAT_E_CANCELED);
    box->waiting = NULL;
    box_free(link, box);
  }
  pthread_mutex_unlock(&link->lock);
}

static void link_port_free(void *self, void *port) {
  ch_port_free(((link_mem *)self)->config.alloc, port);
}

static void link_free(void *self) {
  link_mem *link = self;
  ch_assert(!link->boxes); /* each port took its own along */
  pthread_mutex_destroy(&link->lock);
  ch_free(link->config.alloc, link);
}

static const chat_backend_vtable vtable = {
    .size = sizeof(chat_backend_vtable),
    .name = "link_mem",
    .port_new = link_port_new,
    .port_cancel = link_port_cancel,
    .port_free = link_port_free,
    .submit = link_submit,
    .poll = ch_port_poll_alone,
    .free = link_free,
};

int ch_link_mem_new(const ch_link_mem_config *config, chat_backend *link) {
  if (config->gateways_max == 0 || config->gateways_max > 4096 || config->deliveries_max == 0) return CHAT_E_INVALID;
  link_mem *made = ch_calloc(config->alloc, 1, sizeof *made);
  if (!made) return CHAT_E_NOMEM;
  made->config = *config;
  if (!made->config.bytes_max) made->config.bytes_max = BYTES_MAX;
  if (pthread_mutex_init(&made->lock, NULL)) {
    ch_free(config->alloc, made);
    return CHAT_E_NOMEM;
  }
  *link = (chat_backend){&vtable, made};
  return 0;
}
