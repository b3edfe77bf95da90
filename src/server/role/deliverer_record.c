/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/deliverer_record.h"

#include <string.h>

#include "core/assert.h"

enum { ARENA_CHUNK_LEN = 64 * 1024 };
/* A record is at most 256 KiB; what is made of it is some structs for each user and task in it. */
static const size_t arena_cap_len = (size_t)64 * 1024 * 1024;

bool ch_task_is_for_users(const ch_task *task) {
  return task->kind == CH_TASK_EVENT && !task->channel;
}

bool ch_task_is_for_channel(const ch_task *task) {
  return task->kind == CH_TASK_EVENT && task->channel;
}

bool ch_task_is_volatile(const ch_task *task) {
  return task->kind != CH_TASK_EVENT;
}

/* ------------------------------------------------------------------------------------------------ recipients */

static void recipients_init(ch_recipients *recipients, const ch_delivery_record *record) {
  *recipients = (ch_recipients){0};
  ch_hashmap_init(&recipients->by_user, record->alloc, record->seed);
}

static ch_recipient *add_recipient(ch_recipients *recipients, ch_arena *arena, chat_bytes user) {
  ch_recipient *recipient = ch_arena_calloc(arena, 1, sizeof *recipient);
  if (!recipient || ch_hashmap_insert(&recipients->by_user, user, recipient)) return NULL;
  recipient->user = user;
  recipient->index = recipients->count++;
  if (recipients->last) recipients->last->next = recipient;
  else recipients->first = recipient;
  return recipients->last = recipient;
}

static ch_recipient *recipient_of(ch_recipients *recipients, ch_arena *arena, chat_bytes user) {
  ch_recipient *recipient = ch_hashmap_find(&recipients->by_user, user);
  return recipient ? recipient : add_recipient(recipients, arena, user);
}

/* ------------------------------------------------------------------------------------------------ sets of tasks */

static ch_task_set *add_set(ch_delivery_record *record, ch_task_set *parent, const ch_task *task) {
  ch_task_set *set = ch_arena_calloc(&record->arena, 1, sizeof *set);
  if (!set) return NULL;
  set->parent = parent;
  set->task = task;
  if (parent) set->count = parent->count + 1;
  if (parent) parent->child = set;
  if (record->sets_last) record->sets_last->next = set;
  else record->sets = set;
  return record->sets_last = set;
}

/* The set with this task besides. Tasks come one after another, so only the newest child can be it. */
static ch_task_set *set_with(ch_delivery_record *record, ch_task_set *set, const ch_task *task) {
  if (set->task == task) return set; /* a user named twice */
  if (set->child && set->child->task == task) return set->child;
  return add_set(record, set, task);
}

static int gather_event(ch_delivery_record *record, const ch_task *task, ch_task_set *none) {
  for (size_t i = 0; i < task->user_count; i++) {
    ch_recipient *recipient = recipient_of(&record->raised, &record->arena, task->users[i]);
    if (!recipient) return CHAT_E_NOMEM;
    recipient->set = set_with(record, recipient->set ? recipient->set : none, task);
    if (!recipient->set) return CHAT_E_NOMEM;
  }
  return 0;
}

static int gather_volatile(ch_delivery_record *record, const ch_task *task) {
  for (size_t i = 0; i < task->user_count; i++) {
    if (!recipient_of(&record->routed, &record->arena, task->users[i])) return CHAT_E_NOMEM;
  }
  return 0;
}

static void sort_into_sets(ch_delivery_record *record) {
  for (ch_recipient *recipient = record->raised.first; recipient; recipient = recipient->next) {
    ch_task_set *set = recipient->set;
    if (set->last) set->last->next_in_set = recipient;
    else set->first = recipient;
    set->last = recipient;
  }
}

static int gather(ch_delivery_record *record) {
  ch_task_set *none = add_set(record, NULL, NULL);
  int error = none ? 0 : CHAT_E_NOMEM;
  for (size_t i = 0; i < record->tasks.count && !error; i++) {
    const ch_task *task = &record->tasks.tasks[i];
    if (ch_task_is_for_users(task)) error = gather_event(record, task, none);
    else if (ch_task_is_volatile(task)) error = gather_volatile(record, task);
  }
  if (!error) sort_into_sets(record);
  return error;
}

/* ------------------------------------------------------------------------------------------------ life */

void ch_delivery_record_init(ch_delivery_record *record, const ch_env *env) {
  *record = (ch_delivery_record){.alloc = env->alloc};
  env->random(env->random_arg, record->seed, sizeof record->seed);
  ch_arena_init(&record->arena, record->alloc, ARENA_CHUNK_LEN, arena_cap_len);
  recipients_init(&record->raised, record);
  recipients_init(&record->routed, record);
}

static int make_tables(ch_delivery_record *record) {
  record->subscribers = ch_arena_calloc(&record->arena, record->tasks.count, sizeof(chat_directory_subscribers *));
  record->told = ch_arena_calloc(&record->arena, record->tasks.count, sizeof *record->told);
  return record->subscribers && record->told ? 0 : CHAT_E_NOMEM;
}

static int open_tables(ch_delivery_record *record, const chat_log_record *in) {
  int error = ch_tasks_decode(in->data, &record->arena, &record->tasks);
  if (error) record->tasks = (ch_tasks){0};
  if (!error) error = make_tables(record);
  return error ? error : gather(record);
}

int ch_delivery_record_open(ch_delivery_record *record, const chat_log_record *in) {
  int error = open_tables(record, in);
  if (error) {
    ch_delivery_record_close(record);
    return error;
  }
  record->own = in->position;
  record->position = record->tasks.position ? record->tasks.position : in->position;
  return 0;
}

static int gather_raised(ch_delivery_record *record) {
  ch_task_set *none = add_set(record, NULL, NULL);
  if (!none) return CHAT_E_NOMEM;
  for (size_t i = 0; i < record->raise->count; i++) {
    ch_recipient *recipient = add_recipient(&record->raised, &record->arena, record->raise->raises[i].user);
    if (!recipient) return CHAT_E_NOMEM;
    recipient->set = none;
  }
  sort_into_sets(record);
  return 0;
}

int ch_delivery_record_open_raise(ch_delivery_record *record, chat_directory_raise *raise) {
  record->raise = raise;
  record->position = raise->position;
  int error = gather_raised(record);
  if (error) ch_delivery_record_close(record);
  return error;
}

static void free_answers(ch_delivery_record *record) {
  if (record->raise) ch_op_free(&record->raise->op);
  if (record->routes) ch_op_free(&record->routes->op);
  for (size_t i = 0; i < record->tasks.count && record->subscribers; i++) {
    if (record->subscribers[i]) ch_op_free(&record->subscribers[i]->op);
  }
}

void ch_delivery_record_close(ch_delivery_record *record) {
  free_answers(record);
  ch_hashmap_fini(&record->raised.by_user);
  ch_hashmap_fini(&record->routed.by_user);
  recipients_init(&record->raised, record);
  recipients_init(&record->routed, record);
  ch_arena_reset(&record->arena);
  record->tasks = (ch_tasks){0};
  record->sets = record->sets_last = NULL;
  record->raise = NULL;
  record->routes = NULL;
  record->subscribers = NULL;
  record->told = NULL;
  record->written = record->is_asked = false;
}

void ch_delivery_record_fini(ch_delivery_record *record) {
  ch_delivery_record_close(record);
  ch_arena_fini(&record->arena);
}

size_t ch_delivery_record_channel(const ch_delivery_record *record, size_t task) {
  const ch_task *tasks = record->tasks.tasks;
  for (size_t i = 0; i < task; i++) {
    if (ch_task_is_for_channel(&tasks[i]) && memcmp(tasks[i].u.event.conversation_id, tasks[task].u.event.conversation_id, CHAT_CONVERSATION_ID_LEN) == 0) return i;
  }
  return task;
}
