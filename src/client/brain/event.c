/* SPDX-License-Identifier: Apache-2.0 */
#include "client/brain/event.h"

#include <string.h>

#include "client/brain/owner.h"
#include "core/assert.h"

enum { EVENT_CHUNK_LEN = 512, EVENT_CAP_LEN = 64 * 1024 * 1024 };

/* ------------------------------------------------------------------------------------------------ queue */

ch_client_event *ch_event_new(ch_brain *brain, uint32_t type) {
  ch_client_event *event = ch_calloc(brain->env.alloc, 1, sizeof *event);
  if (!event) return NULL;
  event->event.type = type;
  ch_arena_init(&event->arena, brain->env.alloc, EVENT_CHUNK_LEN, EVENT_CAP_LEN);
  return event;
}

void ch_client_event_free(ch_client_event *event) {
  if (!event) return;
  const ch_allocator *alloc = event->arena.alloc;
  ch_arena_fini(&event->arena);
  ch_free(alloc, event);
}

int ch_events_init(ch_brain *brain) {
  brain->events = (ch_events){.resync = ch_event_new(brain, CHAT_EVENT_RESYNC)};
  return brain->events.resync ? 0 : CHAT_E_NOMEM;
}

static void free_chain(ch_client_event *event) {
  for (ch_client_event *next; event; event = next) {
    next = event->next;
    ch_client_event_free(event);
  }
}

void ch_events_fini(ch_brain *brain) {
  ch_events_discard(brain);
  free_chain(brain->events.first);
  ch_client_event_free(brain->events.resync);
  brain->events = (ch_events){0};
}

static void append(ch_client_event **first, ch_client_event **last, ch_client_event *event) {
  event->next = NULL;
  if (*last) (*last)->next = event;
  else *first = event;
  *last = event;
}

/* Dropped events are covered by a RESYNC that is not pulled yet: whoever pulls it reads all again then. */
static void drop(ch_events *events, ch_client_event *event) {
  ch_client_event_free(event);
  if (!events->resync) return;
  append(&events->first, &events->last, events->resync);
  events->resync = NULL;
}

static void enqueue(ch_brain *brain, ch_client_event *event) {
  ch_events *events = &brain->events;
  if (!event || events->count >= brain->config.events_max) {
    drop(events, event);
    return;
  }
  append(&events->first, &events->last, event);
  events->count++;
}

void ch_event_put(ch_brain *brain, ch_client_event *event) {
  ch_database *database = &brain->database;
  if (database->in_transaction && event) append(&database->staged_first, &database->staged_last, event);
  else enqueue(brain, event);
}

static ch_client_event *take_staged(ch_brain *brain) {
  ch_client_event *first = brain->database.staged_first;
  brain->database.staged_first = brain->database.staged_last = NULL;
  return first;
}

void ch_events_publish(ch_brain *brain) {
  for (ch_client_event *event = take_staged(brain), *next; event; event = next) {
    next = event->next;
    enqueue(brain, event);
  }
}

void ch_events_discard(ch_brain *brain) {
  free_chain(take_staged(brain));
}

ch_client_event *ch_reply_new(ch_brain *brain, uint64_t tag) {
  if (brain->events.requests >= brain->config.requests_max) return NULL;
  ch_client_event *reply = ch_event_new(brain, CHAT_EVENT_REPLY);
  if (!reply) return NULL;
  reply->event.tag = tag;
  brain->events.requests++;
  return reply;
}

void ch_reply_end(ch_brain *brain, ch_client_event *reply, int status) {
  ch_assert(!brain->database.in_transaction);
  if (!reply) return;
  reply->event.status = status == CHAT_E_CANCELED ? CHAT_E_SUSPENDED : status; /* nothing but a suspend interrupts statements */
  append(&brain->events.first, &brain->events.last, reply);
}

ch_client_event *ch_brain_next_event(ch_brain *brain) {
  ch_events *events = &brain->events;
  ch_client_event *event = events->first;
  if (!event) return NULL;
  /* Another RESYNC is made before this one is given away; where there is no memory for it, it is given later. */
  if (event->event.type == CHAT_EVENT_RESYNC && !(events->resync = ch_event_new(brain, CHAT_EVENT_RESYNC))) return NULL;
  if (event->event.type == CHAT_EVENT_RESYNC) event->event.state = brain->connection.state_told; /* the event that told it may be among those that were dropped, and there is nothing to ask */
  events->first = event->next;
  if (!events->first) events->last = NULL;
  event->next = NULL;
  if (event->event.type == CHAT_EVENT_REPLY) events->requests--;
  else if (event->event.type != CHAT_EVENT_RESYNC) events->count--;
  return event;
}

bool ch_brain_has_event(const ch_brain *brain) {
  return brain->events.first != NULL;
}

/* ------------------------------------------------------------------------------------------------ content */

chat_bytes ch_event_copy(ch_client_event *event, chat_bytes bytes, int *error) {
  if (bytes.len == 0) return (chat_bytes){0};
  void *copy = ch_arena_dup(&event->arena, bytes.data, bytes.len);
  if (!copy) *error = CHAT_E_NOMEM;
  return ch_bytes_of(copy, copy ? bytes.len : 0);
}

chat_message *ch_event_add_message(ch_client_event *event, size_t count_max) {
  chat_event *to = &event->event;
  if (!to->messages) to->messages = ch_arena_calloc(&event->arena, count_max, sizeof *to->messages);
  chat_message *message = to->messages ? ch_arena_calloc(&event->arena, 1, sizeof *message) : NULL;
  if (!message) return NULL;
  ch_assert(to->message_count < count_max);
  ((const chat_message **)(uintptr_t)to->messages)[to->message_count++] = message;
  return message;
}

bool ch_type_is_hidden(const ch_brain *brain, uint32_t type) {
  const uint32_t *hidden = brain->config.types_hidden;
  while (hidden && *hidden && *hidden != type)
    hidden++;
  return hidden && *hidden;
}

static int copy_users(ch_client_event *event, chat_message *message, const ch_content *content) {
  const chat_bytes **users = ch_arena_calloc(&event->arena, content->user_count, sizeof *users);
  chat_bytes *copies = ch_arena_calloc(&event->arena, content->user_count, sizeof *copies);
  if (!users || !copies) return CHAT_E_NOMEM;
  int error = 0;
  for (size_t i = 0; i < content->user_count; i++) {
    copies[i] = ch_event_copy(event, content->users[i], &error);
    users[i] = &copies[i];
  }
  message->users = users;
  message->user_count = content->user_count;
  return error;
}

/* What the payload says; of a type that is not known, or of bytes that are not of it, nothing: it shows as "unsupported". */
static int fill_content(ch_brain *brain, ch_client_event *event, chat_message *message) {
  ch_content content;
  if (ch_type_is_hidden(brain, message->type) || ch_content_decode(message->type, message->payload, &event->arena, &content)) return 0;
  message->kind = content.kind; /* decoded from the copy, so they live as long */
  message->body = content.body;
  message->meta = content.meta;
  message->title = content.title;
  message->role = content.role;
  message->history_from_start = content.history_from_start;
  return content.user_count > 0 ? copy_users(event, message, &content) : 0;
}

int ch_message_from_row(ch_brain *brain, ch_client_event *event, chat_message *message, const chat_row *row) {
  int error = 0;
  memcpy(message->conversation_id, row->conversation_id, 16);
  memcpy(message->client_id, row->client_id, 16);
  memcpy(message->device_id, row->device_id, 16);
  message->seq = row->seq;
  message->msg_no = row->msg_no;
  message->message_id = row->message_id;
  message->created_ms = row->created_ms;
  message->client_seq = row->client_seq;
  message->type = row->type;
  message->own = ch_is_own(brain, row->sender);
  message->tick = message->own ? CHAT_TICK_SENT : 0; /* whoever knows the members raises it */
  message->sender = ch_event_copy(event, row->sender, &error);
  message->payload = ch_event_copy(event, row->payload, &error);
  return error ? error : fill_content(brain, event, message);
}

static uint32_t tick_of(const ch_outbox_item *item) {
  if (item->facts.state == CH_ITEM_REFUSED) return CHAT_TICK_REFUSED;
  return item->facts.state == CH_ITEM_ACCEPTED ? CHAT_TICK_SENT : CHAT_TICK_PENDING;
}

int ch_message_from_item(ch_brain *brain, ch_client_event *event, chat_message *message, const ch_outbox_item *item) {
  int error = 0;
  memcpy(message->conversation_id, item->conversation->kept.row.conversation_id, 16);
  memcpy(message->client_id, item->client_id, 16);
  memcpy(message->device_id, brain->database.identity.device_id, 16);
  message->created_ms = item->created_ms;
  message->client_seq = item->facts.client_seq;
  message->type = item->type;
  message->own = 1;
  message->tick = tick_of(item);
  message->status = item->facts.error;
  message->sender = ch_event_copy(event, ch_own_user(brain), &error);
  message->payload = ch_event_copy(event, item->payload, &error);
  return error ? error : fill_content(brain, event, message);
}

int ch_event_add_conversation(ch_brain *brain, ch_client_event *event, const ch_conversation *conversation, size_t count_max) {
  chat_event *to = &event->event;
  int error = 0;
  if (!to->conversations) to->conversations = ch_arena_calloc(&event->arena, count_max, sizeof *to->conversations);
  chat_conversation *out = to->conversations ? ch_arena_calloc(&event->arena, 1, sizeof *out) : NULL;
  if (!out) return CHAT_E_NOMEM;
  const chat_cache_conversation *row = &conversation->kept.row;
  *out = (chat_conversation){.kind = row->kind, .role = row->role, .head = ch_later(row->head, conversation->known_head), .cursor = row->cursor,
                             .unread = row->msg_no > row->read_msg_no ? row->msg_no - row->read_msg_no : 0, .delivered = row->delivered,
                             .read = row->read, .active_ms = row->active_ms, .member_count = row->member_count};
  memcpy(out->conversation_id, row->conversation_id, 16);
  CH_LIST_FOR_EACH(node, &conversation->rows)
    out->pending += CH_LIST_ITEM(node, ch_outbox_item, place)->facts.state != CH_ITEM_REFUSED;
  out->title = ch_event_copy(event, ch_kept_title(&conversation->kept), &error);
  out->peer = ch_event_copy(event, ch_kept_peer(&conversation->kept), &error);
  (void)brain;
  ((const chat_conversation **)(uintptr_t)to->conversations)[to->conversation_count++] = out;
  return error;
}

/* ------------------------------------------------------------------------------------------------ whole events */

void ch_tell_resync(ch_brain *brain) {
  drop(&brain->events, NULL);
}

/* An event that could not be filled counts as one that did not fit. */
static void put_filled(ch_brain *brain, ch_client_event *event, int error) {
  if (error) {
    ch_client_event_free(event);
    event = NULL;
  }
  ch_event_put(brain, event);
}

void ch_tell_message(ch_brain *brain, const chat_row *row) {
  ch_client_event *event = ch_event_new(brain, CHAT_EVENT_MESSAGE);
  chat_message *message = event ? ch_event_add_message(event, 1) : NULL;
  if (event) memcpy(event->event.conversation_id, row->conversation_id, 16);
  put_filled(brain, event, message ? ch_message_from_row(brain, event, message, row) : CHAT_E_NOMEM);
}

static ch_client_event *event_of_item(ch_brain *brain, uint32_t type, const ch_outbox_item *item, chat_message **message) {
  ch_client_event *event = ch_event_new(brain, type);
  *message = event ? ch_event_add_message(event, 1) : NULL;
  if (!*message) {
    ch_client_event_free(event);
    return NULL;
  }
  memcpy(event->event.conversation_id, item->conversation->kept.row.conversation_id, 16);
  memcpy(event->event.client_id, item->client_id, 16);
  return event;
}

void ch_tell_outbox(ch_brain *brain, const ch_outbox_item *item, uint32_t tick, uint64_t seq, int status) {
  chat_message *message;
  ch_client_event *event = event_of_item(brain, CHAT_EVENT_OUTBOX, item, &message);
  int error = event ? ch_message_from_item(brain, event, message, item) : CHAT_E_NOMEM;
  if (!error) {
    message->tick = tick;
    message->status = event->event.status = status;
    message->seq = event->event.seq = seq;
  }
  put_filled(brain, event, error);
}

void ch_tell_draft(ch_brain *brain, const ch_outbox_item *item) {
  chat_message *message;
  ch_client_event *event = event_of_item(brain, CHAT_EVENT_DRAFT, item, &message);
  put_filled(brain, event, event ? ch_message_from_item(brain, event, message, item) : CHAT_E_NOMEM);
}

void ch_tell_conversation(ch_brain *brain, const ch_conversation *conversation) {
  ch_client_event *event = ch_event_new(brain, CHAT_EVENT_CONVERSATION);
  if (event) memcpy(event->event.conversation_id, conversation->kept.row.conversation_id, 16);
  put_filled(brain, event, event ? ch_event_add_conversation(brain, event, conversation, 1) : CHAT_E_NOMEM);
}

void ch_tell_status(ch_brain *brain, uint32_t type, int status, chat_bytes text) {
  ch_fact_tell(brain, type == CHAT_EVENT_TOKEN ? CH_FACT_TOKEN : CH_FACT_DATABASE, status, 0);
  ch_client_event *event = ch_event_new(brain, type);
  int error = event ? 0 : CHAT_E_NOMEM;
  if (event) {
    event->event.status = status;
    event->event.text = ch_event_copy(event, text, &error);
  }
  put_filled(brain, event, error);
}
