/* SPDX-License-Identifier: Apache-2.0 */
/* From what the directory said to the links: one LINK_SEND for each gateway, which owns all that it carries, because nobody waits for it. */
#include <string.h>

#include "server/role/deliverer_record.h"

enum { PAYLOAD_MAX = 512 * 1024 }; /* bytes; a record has at most half of it */

typedef struct mail_target {
  struct mail_target *next;
  const ch_recipient *recipient; /* NULL: a channel's event has no targets */
  chat_target target;
} mail_target;

typedef struct letter { /* one delivery in the making */
  struct letter *next;
  uint64_t position;
  chat_bytes payload;
  mail_target *first, *last;
  size_t count;
} letter;

typedef struct mailbag { /* of one gateway */
  chat_bytes gateway;
  letter *first, *last;
  size_t count;
} mailbag;

typedef struct mailroom {
  ch_delivery_record *record;
  ch_hashmap by_gateway;
  chat_bytes payload; /* of the delivery that is being addressed; each has a payload of its own */
  uint64_t position;
  uint64_t dropped;
} mailroom;

/* ------------------------------------------------------------------------------------------------ payloads */

static chat_bytes kept(ch_delivery_record *record, const ch_buf *buf, int error) {
  chat_bytes payload = {0};
  if (!error) payload.data = ch_arena_dup(&record->arena, buf->data, buf->len);
  if (payload.data) payload.len = buf->len;
  return payload;
}

static chat_bytes encode(ch_delivery_record *record, const ch_delivered *delivered) {
  ch_buf buf;
  ch_buf_init(&buf, record->alloc, PAYLOAD_MAX);
  chat_bytes payload = kept(record, &buf, ch_delivered_encode(delivered, &buf));
  ch_buf_fini(&buf);
  return payload;
}

static chat_bytes encode_events(ch_delivery_record *record, const ch_task **tasks, size_t count) {
  ch_buf buf;
  int error = 0;
  ch_buf_init(&buf, record->alloc, PAYLOAD_MAX);
  for (size_t i = 0; i < count && !error; i++)
    error = ch_delivered_add_event(&tasks[i]->u.event, &buf);
  chat_bytes payload = kept(record, &buf, error);
  ch_buf_fini(&buf);
  return payload;
}

static chat_bytes encode_set(ch_delivery_record *record, const ch_task_set *set) {
  const ch_task **tasks = ch_arena_calloc(&record->arena, set->count, sizeof *tasks);
  if (!tasks) return (chat_bytes){0};
  for (const ch_task_set *at = set; at->parent; at = at->parent)
    tasks[at->count - 1] = at->task;
  return encode_events(record, tasks, set->count);
}

static chat_bytes encode_task(ch_delivery_record *record, const ch_task *task) {
  ch_delivered delivered = {0};
  switch (task->kind) {
  case CH_TASK_EVENT: delivered.events = &task->u.event, delivered.event_count = 1; break;
  case CH_TASK_VERDICT: delivered.verdicts = &task->u.verdict, delivered.verdict_count = 1; break;
  case CH_TASK_RECEIPTS: delivered.receipts = &task->u.receipts, delivered.receipts_count = 1; break;
  case CH_TASK_TYPING: delivered.typings = &task->u.typing, delivered.typing_count = 1; break;
  }
  return encode(record, &delivered);
}

/* ------------------------------------------------------------------------------------------------ addressing */

static mailbag *bag_of(mailroom *room, chat_bytes gateway) {
  mailbag *bag = ch_hashmap_find(&room->by_gateway, gateway);
  if (bag) return bag;
  bag = ch_arena_calloc(&room->record->arena, 1, sizeof *bag);
  if (!bag || ch_hashmap_insert(&room->by_gateway, gateway, bag)) return NULL;
  bag->gateway = gateway;
  return bag;
}

/* The delivery that is being addressed, as it is for this gateway. */
static letter *mail_for(mailroom *room, chat_bytes gateway) {
  mailbag *bag = bag_of(room, gateway);
  if (!bag) return NULL;
  if (bag->last && bag->last->payload.data == room->payload.data) return bag->last;
  letter *made = ch_arena_calloc(&room->record->arena, 1, sizeof *made);
  if (!made) return NULL;
  made->position = room->position;
  made->payload = room->payload;
  if (bag->last) bag->last->next = made;
  else bag->first = made;
  bag->count++;
  return bag->last = made;
}

static void append(letter *mail, mail_target *target) {
  if (mail->last) mail->last->next = target;
  else mail->first = target;
  mail->last = target;
  mail->count++;
}

static const uint8_t every_device[16];

static void address(mailroom *room, chat_bytes gateway, const ch_recipient *recipient, uint64_t previous, const uint8_t device_id[16]) {
  letter *mail = mail_for(room, gateway);
  mail_target *target = mail ? ch_arena_calloc(&room->record->arena, 1, sizeof *target) : NULL;
  if (!target) {
    room->dropped++;
    return;
  }
  bool is_there = mail->last && mail->last->recipient == recipient && memcmp(mail->last->target.device_id, device_id, 16) == 0;
  if (is_there) return; /* a second device of the user at this gateway */
  target->recipient = recipient;
  target->target = (chat_target){.user = recipient->user, .previous = previous};
  memcpy(target->target.device_id, device_id, 16);
  append(mail, target);
}

static bool begin_mail(mailroom *room, chat_bytes payload, uint64_t position) {
  room->payload = payload;
  room->position = position;
  room->dropped += !payload.data;
  return payload.data != NULL;
}

static void address_set(mailroom *room, const ch_task_set *set) {
  ch_delivery_record *record = room->record;
  if (!set->first || !begin_mail(room, encode_set(record, set), record->position)) return;
  for (const ch_recipient *recipient = set->first; recipient; recipient = recipient->next_in_set) {
    const chat_raise *raise = &record->raise->raises[recipient->index];
    for (size_t i = 0; i < raise->route_count; i++)
      address(room, raise->routes[i].gateway, recipient, raise->previous, every_device);
  }
}

/* Only to this device, to all but this one, or to all of the user. */
static void address_device(mailroom *room, const ch_task *task, const ch_recipient *recipient, const chat_route *route) {
  if (task->has_device && memcmp(task->device_id, route->device_id, 16) != 0) return;
  if (task->has_not_device && memcmp(task->not_device, route->device_id, 16) == 0) return;
  bool is_some = task->has_device || task->has_not_device;
  address(room, route->gateway, recipient, 0, is_some ? route->device_id : every_device);
}

static void address_volatile(mailroom *room, const ch_task *task) {
  ch_delivery_record *record = room->record;
  if (!record->routes) {
    room->dropped++;
    return;
  }
  if (!begin_mail(room, encode_task(record, task), 0)) return;
  for (size_t i = 0; i < task->user_count; i++) {
    const ch_recipient *recipient = ch_hashmap_find(&record->routed.by_user, task->users[i]);
    const chat_raise *found = &record->routes->raises[recipient->index];
    for (size_t j = 0; j < found->route_count; j++)
      address_device(room, task, recipient, &found->routes[j]);
  }
}

static void address_channel(mailroom *room, size_t task) {
  ch_delivery_record *record = room->record;
  const chat_directory_subscribers *found = record->subscribers[ch_delivery_record_channel(record, task)];
  if (!found) {
    room->dropped++;
    return;
  }
  if (!begin_mail(room, encode_task(record, &record->tasks.tasks[task]), 0)) return;
  for (size_t i = 0; i < found->count; i++) {
    if (!mail_for(room, found->gateways[i])) room->dropped++;
  }
}

/* What the directory did not answer goes to nobody. */
static void address_all(mailroom *room) {
  for (const ch_task_set *set = room->record->raise ? room->record->sets : NULL; set; set = set->next)
    address_set(room, set);
  for (size_t i = 0; i < room->record->tasks.count; i++) {
    const ch_task *task = &room->record->tasks.tasks[i];
    if (ch_task_is_volatile(task)) address_volatile(room, task);
    else if (ch_task_is_for_channel(task)) address_channel(room, i);
  }
}

/* ------------------------------------------------------------------------------------------------ links */

static bool copied(chat_op *op, chat_bytes from, chat_bytes *to) {
  *to = chat_op_copy(op, from);
  return to->data || from.len == 0;
}

static bool fill_targets(chat_op *op, const letter *mail, chat_delivery *delivery) {
  if (mail->count == 0) return true;
  delivery->targets = chat_op_alloc(op, mail->count * sizeof *delivery->targets);
  if (!delivery->targets) return false;
  for (const mail_target *at = mail->first; at; at = at->next) {
    chat_target *target = &delivery->targets[delivery->target_count++];
    *target = at->target;
    if (!copied(op, at->target.user, &target->user)) return false;
  }
  return true;
}

static bool fill(chat_link_send *op, const mailbag *bag) {
  op->deliveries = chat_op_alloc(&op->op, bag->count * sizeof *op->deliveries);
  if (!op->deliveries || !copied(&op->op, bag->gateway, &op->gateway)) return false;
  for (const letter *at = bag->first; at; at = at->next) {
    chat_delivery *delivery = &op->deliveries[op->count++];
    *delivery = (chat_delivery){.position = at->position};
    if (!copied(&op->op, at->payload, &delivery->payload) || !fill_targets(&op->op, at, delivery)) return false;
  }
  return true;
}

static chat_link_send *link_send(const ch_allocator *alloc, const mailbag *bag) {
  chat_link_send *op = ch_op_new(alloc, CHAT_OP_LINK_SEND, sizeof *op);
  if (!op || fill(op, bag)) return op;
  ch_op_free(&op->op);
  return NULL;
}

void ch_delivery_record_send(ch_delivery_record *record, ch_op_queue *out, uint64_t *dropped) {
  mailroom room = {.record = record};
  ch_hashmap_init(&room.by_gateway, record->alloc, record->seed);
  address_all(&room);
  for (ch_hashmap_entry *entry = ch_hashmap_first(&room.by_gateway); entry; entry = ch_hashmap_next(&room.by_gateway, entry)) {
    const mailbag *bag = entry->value;
    if (bag->count == 0) continue;
    chat_link_send *op = link_send(record->alloc, bag);
    if (op) ch_op_queue_push(out, &op->op);
    else room.dropped += bag->count;
  }
  ch_hashmap_fini(&room.by_gateway);
  *dropped += room.dropped;
}
