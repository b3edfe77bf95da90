/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the log and goes over the link (proto/record.proto): none of it comes from a client, but the log may outlive a version. */
#include "chat.pb-c.h"
#include "core/assert.h"
#include "core/codec_parts.h"
#include "record.pb-c.h"

/* --- Record --- */

static void record_pack(ch_pack *pack, const void *from, void *to) {
  const ch_record *record = from;
  Ch__Record *message = to;
  (void)pack;
  message->conversation_id = ch_pack_id(record->conversation_id);
  message->sender = ch_pack_bytes(record->sender);
  message->device_id = ch_pack_id_or_none(record->device_id);
  message->client_id = ch_pack_id_or_none(record->client_id);
  message->client_seq = record->client_seq;
  message->prev = record->prev;
  message->type = record->type;
  message->payload = ch_pack_bytes(record->payload);
  message->peer = ch_pack_bytes(record->peer);
  message->is_void = record->is_void;
  message->void_error = ch_pack_error(record->void_error);
  message->system = record->system;
}

/* A record of the embedder's server has no number and no device; any other has all of them. */
static void check_sender(ch_unpack *unpack, const Ch__Record *message) {
  if (message->system) return;
  if (message->device_id.len == 0 || message->client_id.len == 0) ch_unpack_fail(unpack, CHAT_E_PROTOCOL);
  if (message->sender.len == 0 || message->prev >= message->client_seq) ch_unpack_fail(unpack, CHAT_E_INVALID);
}

static void record_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Record *message = from;
  ch_record *record = to;
  check_sender(unpack, message);
  ch_unpack_id(unpack, message->conversation_id, record->conversation_id);
  record->sender = ch_unpack_user_or_none(unpack, message->sender);
  ch_unpack_id_or_none(unpack, message->device_id, record->device_id);
  ch_unpack_id_or_none(unpack, message->client_id, record->client_id);
  record->client_seq = message->client_seq;
  record->prev = message->prev;
  record->type = message->type;
  record->payload = ch_unpack_payload(unpack, message->type, message->payload);
  record->peer = ch_unpack_user_or_none(unpack, message->peer);
  record->is_void = ch_unpack_flag(message->is_void);
  record->void_error = ch_unpack_error(unpack, message->void_error);
  record->system = ch_unpack_flag(message->system);
}

int ch_record_decode(chat_bytes bytes, ch_arena *arena, ch_record *record) {
  return ch_unpack_whole(arena, &ch__record__descriptor, bytes, record_unpack, record, sizeof *record);
}

int ch_record_encode(const ch_record *record, ch_buf *out) {
  return ch_pack_whole(&ch__record__descriptor, record_pack, record, out);
}

/* The rules of record_unpack, on what would be packed. */
static int check_named(const ch_record *record) {
  if (record->system) return 0;
  if (ch_id_is_zero(record->device_id) || ch_id_is_zero(record->client_id)) return CHAT_E_PROTOCOL;
  return record->sender.len == 0 || record->prev >= record->client_seq ? CHAT_E_INVALID : 0;
}

static int check_user_or_none(chat_bytes user) {
  if (user.len > CHAT_USER_ID_MAX) return CHAT_E_TOO_LARGE;
  return user.len == 0 || ch_user_id_valid(user) ? 0 : CHAT_E_INVALID;
}

int ch_record_check(const ch_record *record) {
  int error = check_named(record);
  if (!error) error = check_user_or_none(record->sender);
  if (!error && record->payload.len > ch_payload_max(record->type)) error = CHAT_E_TOO_LARGE;
  if (!error) error = check_user_or_none(record->peer);
  if (!error && (record->void_error > 0 || record->void_error < -CH_ERROR_CODE_MAX)) error = CHAT_E_INVALID;
  return error;
}

/* --- Task: one of four things, for some users --- */

static void task_thing_pack(ch_pack *pack, const ch_task *task, Ch__Task *message) {
  switch (task->kind) {
  case CH_TASK_EVENT: message->event = ch_pack_message(pack, &ch__event__descriptor, ch_event_pack, &task->u.event); return;
  case CH_TASK_VERDICT: message->verdict = ch_pack_message(pack, &ch__verdict__descriptor, ch_verdict_pack, &task->u.verdict); return;
  case CH_TASK_RECEIPTS: message->receipts = ch_pack_message(pack, &ch__receipts__descriptor, ch_receipts_pack, &task->u.receipts); return;
  case CH_TASK_TYPING: message->typing = ch_pack_message(pack, &ch__typing__descriptor, ch_typing_pack, &task->u.typing); return;
  }
  ch_assert(!"a task of a known kind");
}

static void task_pack(ch_pack *pack, const void *from, void *to) {
  const ch_task *task = from;
  Ch__Task *message = to;
  task_thing_pack(pack, task, message);
  message->n_users = task->user_count;
  message->users = ch_pack_users(pack, task->users, task->user_count);
  if (task->has_device) message->device_id = ch_pack_id(task->device_id);
  if (task->has_not_device) message->not_device = ch_pack_id(task->not_device);
  message->channel = task->channel;
  if (task->has_head) message->head = ch_pack_message(pack, &ch__head__descriptor, ch_head_pack, &task->head);
}

static void task_thing_unpack(ch_unpack *unpack, const Ch__Task *message, ch_task *task) {
  const struct {
    ch_task_kind kind;
    const void *thing;
    ch_unpack_fn *convert;
  } things[] = {{CH_TASK_EVENT, message->event, ch_event_unpack},
                {CH_TASK_VERDICT, message->verdict, ch_verdict_unpack},
                {CH_TASK_RECEIPTS, message->receipts, ch_receipts_unpack},
                {CH_TASK_TYPING, message->typing, ch_typing_unpack}};
  size_t count = 0;
  for (size_t i = 0; i < sizeof things / sizeof *things; i++) {
    if (!things[i].thing || ++count > 1) continue;
    task->kind = things[i].kind;
    things[i].convert(unpack, things[i].thing, &task->u);
  }
  if (count != 1) ch_unpack_fail(unpack, CHAT_E_PROTOCOL);
}

static void task_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Task *message = from;
  ch_task *task = to;
  task_thing_unpack(unpack, message, task);
  task->user_count = message->n_users;
  task->users = ch_unpack_users(unpack, message->users, message->n_users);
  task->has_device = ch_unpack_id_or_none(unpack, message->device_id, task->device_id);
  task->has_not_device = ch_unpack_id_or_none(unpack, message->not_device, task->not_device);
  task->channel = ch_unpack_flag(message->channel);
  task->has_head = message->head != NULL;
  if (message->head) ch_head_unpack(unpack, message->head, &task->head);
}

static void tasks_pack(ch_pack *pack, const void *from, void *to) {
  const ch_tasks *tasks = from;
  Ch__Tasks *message = to;
  message->position = tasks->position;
  message->n_tasks = tasks->count;
  message->tasks = ch_pack_list(pack, tasks->tasks, tasks->count, sizeof *tasks->tasks, &ch__task__descriptor, task_pack);
}

static void tasks_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Tasks *message = from;
  ch_tasks *tasks = to;
  tasks->position = message->position;
  tasks->count = message->n_tasks;
  tasks->tasks = ch_unpack_list(unpack, message->tasks, message->n_tasks, sizeof *tasks->tasks, task_unpack);
}

int ch_tasks_decode(chat_bytes bytes, ch_arena *arena, ch_tasks *tasks) {
  return ch_unpack_whole(arena, &ch__tasks__descriptor, bytes, tasks_unpack, tasks, sizeof *tasks);
}

int ch_tasks_encode(const ch_tasks *tasks, ch_buf *out) {
  return ch_pack_whole(&ch__tasks__descriptor, tasks_pack, tasks, out);
}

/* --- Delivered --- */

static void delivered_pack(ch_pack *pack, const void *from, void *to) {
  const ch_delivered *all = from;
  Ch__Delivered *message = to;
  message->n_events = all->event_count;
  message->events = ch_pack_list(pack, all->events, all->event_count, sizeof *all->events, &ch__event__descriptor, ch_event_pack);
  message->n_verdicts = all->verdict_count;
  message->verdicts = ch_pack_list(pack, all->verdicts, all->verdict_count, sizeof *all->verdicts, &ch__verdict__descriptor, ch_verdict_pack);
  message->n_receipts = all->receipts_count;
  message->receipts = ch_pack_list(pack, all->receipts, all->receipts_count, sizeof *all->receipts, &ch__receipts__descriptor, ch_receipts_pack);
  message->n_typings = all->typing_count;
  message->typings = ch_pack_list(pack, all->typings, all->typing_count, sizeof *all->typings, &ch__typing__descriptor, ch_typing_pack);
}

static void delivered_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Delivered *message = from;
  ch_delivered *all = to;
  all->event_count = message->n_events;
  all->events = ch_unpack_list(unpack, message->events, message->n_events, sizeof *all->events, ch_event_unpack);
  all->verdict_count = message->n_verdicts;
  all->verdicts = ch_unpack_list(unpack, message->verdicts, message->n_verdicts, sizeof *all->verdicts, ch_verdict_unpack);
  all->receipts_count = message->n_receipts;
  all->receipts = ch_unpack_list(unpack, message->receipts, message->n_receipts, sizeof *all->receipts, ch_receipts_unpack);
  all->typing_count = message->n_typings;
  all->typings = ch_unpack_list(unpack, message->typings, message->n_typings, sizeof *all->typings, ch_typing_unpack);
}

int ch_delivered_decode(chat_bytes bytes, ch_arena *arena, ch_delivered *delivered) {
  return ch_unpack_whole(arena, &ch__delivered__descriptor, bytes, delivered_unpack, delivered, sizeof *delivered);
}

int ch_delivered_encode(const ch_delivered *delivered, ch_buf *out) {
  return ch_pack_whole(&ch__delivered__descriptor, delivered_pack, delivered, out);
}
