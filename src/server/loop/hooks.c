/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/hooks.h"

#include <stdatomic.h>
#include <string.h>

#include "backend/port_mem.h"
#include "core/assert.h"
#include "core/list.h"
#include "core/wire.h"
#include "server/role/deliverer.h"

enum { TICKET_CHUNK_LEN = 1024, TICKET_MEMORY_MAX = 1024 * 1024 };

typedef struct hooks {
  ch_hooks_config config;
} hooks;

typedef struct hooks_port {
  hooks *hooks;
  ch_port port;
  pthread_mutex_t lock; /* of asked, and of each ticket's place in it */
  ch_list asked;        /* tickets; the deadline is the same for all, so the oldest is first */
} hooks_port;

typedef enum ticket_state {
  TICKET_ASKED = 1, /* → ENDED by the answer, → OVERDUE by the deadline or a stop */
  TICKET_ENDED = 2,
  TICKET_OVERDUE = 3 /* the op is gone; the ticket waits for its answer to be freed */
} ticket_state;

struct chat_ticket {
  chat_allocator alloc; /* by value: the ticket may outlive the server */
  bool has_alloc;
  ch_arena arena;
  _Atomic int state;
  ch_list node;
  hooks_port *port; /* while ASKED */
  chat_op *op;      /* while ASKED */
  uint64_t deadline_ms;
  size_t user_len; /* authenticate: what the answer said */
  uint8_t user[CHAT_USER_ID_MAX], device_id[CHAT_DEVICE_ID_LEN];
  uint64_t expires_ms;
  union {
    chat_login login;
    chat_incoming incoming;
    chat_action action;
    chat_stored stored;
  } shown;
};

/* ------------------------------------------------------------------------------------------------ tickets */

static chat_ticket *ticket_new(hooks_port *port, chat_op *op) {
  const chat_allocator *alloc = port->hooks->config.alloc;
  chat_ticket *ticket = ch_calloc(alloc, 1, sizeof *ticket);
  if (!ticket) return NULL;
  if (alloc) ticket->alloc = *alloc;
  ticket->has_alloc = alloc != NULL;
  ch_arena_init(&ticket->arena, ticket->has_alloc ? &ticket->alloc : NULL, TICKET_CHUNK_LEN, TICKET_MEMORY_MAX);
  ticket->port = port;
  ticket->op = op;
  ch_list_init(&ticket->node);
  atomic_init(&ticket->state, TICKET_ASKED);
  return ticket;
}

static void ticket_free(chat_ticket *ticket) {
  chat_allocator alloc = ticket->alloc;
  bool has_alloc = ticket->has_alloc;
  ch_arena_fini(&ticket->arena);
  ch_free(has_alloc ? &alloc : NULL, ticket);
}

/* false: somebody else has ended it. */
static bool ticket_enter(chat_ticket *ticket, ticket_state state) {
  int asked = TICKET_ASKED;
  return atomic_compare_exchange_strong(&ticket->state, &asked, state);
}

/* false: no memory. */
static bool keep(chat_ticket *ticket, chat_bytes bytes, chat_bytes *copy) {
  void *data = ch_arena_dup(&ticket->arena, bytes.data, bytes.len);
  *copy = ch_bytes_of(data, bytes.len);
  return data != NULL;
}

static int fill_results(chat_ticket *ticket, ch_op_authenticate *op) {
  op->user = chat_op_copy(&op->op, ch_bytes_of(ticket->user, ticket->user_len));
  memcpy(op->device_id_claimed, ticket->device_id, sizeof ticket->device_id);
  op->expires_ms = ticket->expires_ms;
  return op->user.data ? 0 : CHAT_E_NOMEM;
}

/* An authenticate ticket that is allowed without a user is a mistake of the hook: it denies. */
static int outcome(chat_ticket *ticket, int error) {
  if (error > 0 || error < -CH_ERROR_CODE_MAX) error = CHAT_E_DENIED; /* it may go into the log, as a void's reason */
  if (error || ticket->op->kind != CH_OP_AUTHENTICATE) return error;
  if (ticket->user_len == 0) return CHAT_E_AUTH;
  return fill_results(ticket, (ch_op_authenticate *)(void *)ticket->op);
}

static void unlink_ticket(chat_ticket *ticket) {
  pthread_mutex_lock(&ticket->port->lock);
  ch_list_remove(&ticket->node);
  pthread_mutex_unlock(&ticket->port->lock);
}

/* The port lives until the op is finished, and so it must be the last thing. */
void chat_ticket_answer(chat_ticket *ticket, int error) {
  if (!ticket) return;
  if (ticket_enter(ticket, TICKET_ENDED)) {
    unlink_ticket(ticket);
    ch_port_finish(&ticket->port->port, ticket->op, outcome(ticket, error));
  }
  ticket_free(ticket);
}

int chat_ticket_answer_user(chat_ticket *ticket, const char *user, size_t user_len, const uint8_t *device_id, uint64_t expires_ms) {
  if (!ticket || !ch_user_id_valid(ch_bytes_of(user, user_len))) return CHAT_E_INVALID;
  memcpy(ticket->user, user, user_len);
  ticket->user_len = user_len;
  if (device_id) memcpy(ticket->device_id, device_id, sizeof ticket->device_id);
  ticket->expires_ms = expires_ms;
  chat_ticket_answer(ticket, 0);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ what a hook is shown */

static bool show_login(chat_ticket *ticket, const ch_op_authenticate *op) {
  chat_login *login = &ticket->shown.login;
  memcpy(login->device_id, op->device_id, sizeof login->device_id);
  return keep(ticket, op->token, &login->token) && keep(ticket, op->address, &login->address) && keep(ticket, op->client, &login->client);
}

/* The views into the payload are made from the copy. A payload of another type, or none that we know, shows its bytes alone. */
static void show_message(chat_ticket *ticket, uint32_t type, chat_bytes payload, chat_bytes *kind, chat_bytes *body, chat_bytes *meta) {
  ch_content content;
  if (type != CHAT_TYPE_MESSAGE || ch_content_decode(type, payload, &ticket->arena, &content)) return;
  *kind = content.kind;
  *body = content.body;
  *meta = content.meta;
}

static bool show_incoming(chat_ticket *ticket, const ch_op_before_log *op) {
  chat_incoming *incoming = &ticket->shown.incoming;
  memcpy(incoming->conversation_id, op->send.conversation_id, sizeof incoming->conversation_id);
  memcpy(incoming->client_id, op->send.client_id, sizeof incoming->client_id);
  memcpy(incoming->device_id, op->device_id, sizeof incoming->device_id);
  incoming->type = op->send.type;
  if (!keep(ticket, op->user, &incoming->user) || !keep(ticket, op->send.peer, &incoming->peer)) return false;
  if (!keep(ticket, op->send.payload, &incoming->payload)) return false;
  show_message(ticket, incoming->type, incoming->payload, &incoming->kind, &incoming->body, &incoming->meta);
  return true;
}

static bool show_action(chat_ticket *ticket, const ch_op_may *op) {
  chat_action *action = &ticket->shown.action;
  action->action = op->action;
  memcpy(action->conversation_id, op->conversation_id, sizeof action->conversation_id);
  return keep(ticket, op->user, &action->user) && keep(ticket, op->other, &action->other);
}

void ch_stored_fill(const chat_row *row, chat_stored *stored) {
  memcpy(stored->conversation_id, row->conversation_id, sizeof stored->conversation_id);
  memcpy(stored->client_id, row->client_id, sizeof stored->client_id);
  stored->seq = row->seq;
  stored->msg_no = row->msg_no;
  stored->message_id = row->message_id;
  stored->created_ms = row->created_ms;
  stored->type = row->type;
}

static bool show_stored(chat_ticket *ticket, const chat_row *row) {
  chat_stored *stored = &ticket->shown.stored;
  ch_stored_fill(row, stored);
  if (!keep(ticket, row->sender, &stored->sender) || !keep(ticket, row->payload, &stored->payload)) return false;
  show_message(ticket, stored->type, stored->payload, &stored->kind, &stored->body, &stored->meta);
  return true;
}

static bool show(chat_ticket *ticket, const void *op) {
  switch (ticket->op->kind) {
    case CH_OP_AUTHENTICATE: return show_login(ticket, op);
    case CH_OP_BEFORE_LOG: return show_incoming(ticket, op);
    case CH_OP_MAY: return show_action(ticket, op);
    case CH_OP_AFTER_STORE: return show_stored(ticket, &((const ch_op_after_store *)op)->row);
    default: ch_assert(!"a hook"); return false;
  }
}

/* `kind` is handed in: the ticket may be answered, and the op gone, while the hook still runs. */
static void call_hook(const chat_hooks *of, uint32_t kind, chat_ticket *ticket) {
  switch (kind) {
    case CH_OP_AUTHENTICATE: of->authenticate(of->arg, ticket, &ticket->shown.login); break;
    case CH_OP_BEFORE_LOG: of->before_log(of->arg, ticket, &ticket->shown.incoming); break;
    case CH_OP_MAY: of->may(of->arg, ticket, &ticket->shown.action); break;
    default: of->after_store(of->arg, ticket, &ticket->shown.stored); break;
  }
}

static bool has_hook(const chat_hooks *of, uint32_t kind) {
  switch (kind) {
    case CH_OP_AUTHENTICATE: return of->authenticate != NULL;
    case CH_OP_BEFORE_LOG: return of->before_log != NULL;
    case CH_OP_MAY: return of->may != NULL;
    default: return of->after_store != NULL;
  }
}

/* ------------------------------------------------------------------------------------------------ the backend */

static int port_new(void *self, chat_wake wake, void **out) {
  hooks *all = self;
  hooks_port *port = ch_calloc(all->config.alloc, 1, sizeof *port);
  if (!port) return CHAT_E_NOMEM;
  port->hooks = all;
  ch_list_init(&port->asked);
  int error = ch_port_init(&port->port, wake);
  if (!error && pthread_mutex_init(&port->lock, NULL) != 0) {
    ch_port_fini(&port->port);
    error = CHAT_E_NOMEM;
  }
  if (error)
    ch_free(all->config.alloc, port);
  else
    *out = port;
  return error;
}

/* Ends, without an answer, the tickets that are due by now_ms. One that is being answered at this moment is left to its answer. */
static void give_up(hooks_port *port, uint64_t now_ms, int status) {
  pthread_mutex_lock(&port->lock);
  ch_list *next;
  for (ch_list *node = port->asked.next; node != &port->asked; node = next) {
    chat_ticket *ticket = CH_LIST_ITEM(node, chat_ticket, node);
    next = node->next;
    if (ticket->deadline_ms > now_ms) break;
    chat_op *op = ticket->op;
    ch_list *place = node->prev;
    ch_list_remove(node);
    if (ticket_enter(ticket, TICKET_OVERDUE))
      ch_port_finish(&port->port, op, status);
    else
      ch_list_insert_before(place->next, node);
  }
  pthread_mutex_unlock(&port->lock);
}

static void port_cancel(void *self, void *handle) {
  (void)self;
  hooks_port *port = handle;
  ch_port_cancel(&port->port);
  give_up(port, UINT64_MAX, CHAT_E_CANCELED);
}

static void port_free(void *self, void *handle) {
  hooks *all = self;
  hooks_port *port = handle;
  ch_assert(ch_list_is_empty(&port->asked));
  pthread_mutex_destroy(&port->lock);
  ch_port_fini(&port->port);
  ch_free(all->config.alloc, port);
}

static void ask(hooks_port *port, chat_op *op) {
  const ch_hooks_config *config = &port->hooks->config;
  uint32_t kind = op->kind;
  chat_ticket *ticket = ticket_new(port, op);
  if (!ticket || !show(ticket, op)) {
    if (ticket) ticket_free(ticket);
    ch_port_finish(&port->port, op, CHAT_E_AGAIN); /* our own lack of memory is no answer of the embedder's */
    return;
  }
  ticket->deadline_ms = config->clock.elapsed_ms(config->clock.arg) + config->deadline_ms;
  pthread_mutex_lock(&port->lock);
  ch_list_push_back(&port->asked, &ticket->node);
  pthread_mutex_unlock(&port->lock);
  call_hook(&config->hooks, kind, ticket);
}

static int submit(void *self, void *handle, chat_op *op) {
  hooks *all = self;
  hooks_port *port = handle;
  int error = ch_port_accept(&port->port);
  if (error) return error;
  if (has_hook(&all->config.hooks, op->kind))
    ask(port, op);
  else if (op->kind == CH_OP_AUTHENTICATE)
    ch_port_finish(&port->port, op, ch_auth_check(all->config.auth, (ch_op_authenticate *)(void *)op));
  else
    ch_port_finish(&port->port, op, 0);
  return 0;
}

static chat_op *poll_port(void *self, void *handle) {
  (void)self;
  hooks_port *port = handle;
  return ch_port_poll(&port->port);
}

static void free_hooks(void *self) {
  hooks *all = self;
  ch_free(all->config.alloc, all);
}

static const chat_backend_vtable hooks_vtable = {sizeof(chat_backend_vtable), "hooks", CHAT_BACKEND_SHARED, port_new, port_cancel, port_free, submit, poll_port, free_hooks, NULL};

int ch_hooks_new(const ch_hooks_config *config, chat_backend *backend) {
  hooks *all = ch_calloc(config->alloc, 1, sizeof *all);
  if (!all) return CHAT_E_NOMEM;
  all->config = *config;
  *backend = (chat_backend){&hooks_vtable, all};
  return 0;
}

uint64_t ch_hooks_expire(void *handle, uint64_t now_ms) {
  hooks_port *port = handle;
  give_up(port, now_ms, CHAT_E_TIMEOUT);
  pthread_mutex_lock(&port->lock);
  uint64_t next_ms = ch_list_is_empty(&port->asked) ? CH_NEVER_MS : CH_LIST_ITEM(port->asked.next, chat_ticket, node)->deadline_ms;
  pthread_mutex_unlock(&port->lock);
  return next_ms;
}
