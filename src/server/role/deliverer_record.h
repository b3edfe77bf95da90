/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deliverer_record.h - private to deliverer*.c: one record of the topic "deliveries" on its way: its tasks, who is to be told what, and what the directory said.
 *
 * Its steps walk over it in this order (rule V1): heads → raise, routes, subscribers → links → the hook "after it is stored". What waits for an op's answer says
 * so in a field (written, raise, told …), so that a step can be run again and puts out only what is still missing. What the directory did not answer is dropped.
 */
#ifndef CH_SERVER_ROLE_DELIVERER_RECORD_H
#define CH_SERVER_ROLE_DELIVERER_RECORD_H

#include "core/hashmap.h"
#include "core/op.h"
#include "core/wire.h"

typedef struct ch_recipient ch_recipient;

/* Users who are told of the same event tasks: a tree, in which a set hangs below the same set without its last task. */
typedef struct ch_task_set {
  struct ch_task_set *parent; /* NULL: the empty set */
  struct ch_task_set *child;  /* the last one that was made below it */
  struct ch_task_set *next;   /* all sets of the record, in the order of their making */
  const ch_task *task;        /* the last one of the set */
  size_t count;               /* tasks */
  ch_recipient *first, *last; /* who has just this set */
} ch_task_set;

struct ch_recipient {
  chat_bytes user;
  size_t index; /* in the RAISE or ROUTES */
  ch_task_set *set;
  ch_recipient *next, *next_in_set;
};

typedef struct ch_recipients { /* each user once, in the order of the tasks */
  ch_hashmap by_user;
  ch_recipient *first, *last;
  size_t count;
} ch_recipients;

typedef struct ch_delivery_record {
  const ch_allocator *alloc;
  uint8_t seed[CH_HASHMAP_SEED_LEN];
  ch_arena arena;
  uint64_t own;      /* its position in "deliveries" */
  uint64_t position; /* what recipients are raised to: that of the state that covers it (V7), or its own */
  ch_tasks tasks;
  ch_recipients raised, routed; /* of events; of volatile tasks */
  ch_task_set *sets, *sets_last;

  bool written;      /* heads */
  bool is_asked;     /* the directory; once: what it did not answer stays NULL */
  chat_directory_raise *raise;   /* answered; so the next two */
  chat_directory_routes *routes;
  chat_directory_subscribers **subscribers; /* by task; NULL where another task of that channel has them */
  bool *told;        /* by task: the hook has answered 0 */
} ch_delivery_record;

void ch_delivery_record_init(ch_delivery_record *record, const ch_env *env);
void ch_delivery_record_fini(ch_delivery_record *record);
/* Decodes and sorts; `in` is borrowed until the record is closed. CHAT_E_NOMEM; any other error: not a record of tasks. After an error it is closed. */
int ch_delivery_record_open(ch_delivery_record *record, const chat_log_record *in);
/* No record, but users who were raised late: a set of no events for all of them. Takes the op. CHAT_E_NOMEM: it is closed. */
int ch_delivery_record_open_raise(ch_delivery_record *record, chat_directory_raise *raise);
void ch_delivery_record_close(ch_delivery_record *record);

bool ch_task_is_for_users(const ch_task *task); /* an event with recipients of its own */
bool ch_task_is_for_channel(const ch_task *task);
bool ch_task_is_volatile(const ch_task *task);
/* The first channel task of the record with this one's conversation: its subscribers are both's. */
size_t ch_delivery_record_channel(const ch_delivery_record *record, size_t task);

/* deliverer_send.c: the deliveries of an answered record as one LINK_SEND for each gateway, put at the end of `out`; owner and tag are zero. Deliveries for which there is no
 * memory are counted in *dropped: they are hints. */
void ch_delivery_record_send(ch_delivery_record *record, ch_op_queue *out, uint64_t *dropped);

#endif
