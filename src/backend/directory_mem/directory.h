/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory.h - the inside of the directory in memory: what its files share. Everything is under the directory's lock.
 *
 *   user.c     who is remembered, presence, what expires
 *   route.c    RENEW, DROP, RAISE, ROUTES, MARK, FILL
 *   watch.c    PRESENCE, WATCH, CHANGES
 *   channel.c  SUBSCRIBE, SUBSCRIBERS
 */
#ifndef CH_DIRECTORY_MEM_DIRECTORY_H
#define CH_DIRECTORY_MEM_DIRECTORY_H

#include <pthread.h>

#include "backend/directory_mem.h"
#include "backend/port_mem.h"
#include "core/hashmap.h"
#include "core/list.h"
#include "core/timer_heap.h"

enum { CH_GATEWAY_NAME_MAX = 64, CH_ROUTES_MAX = 64, CH_WATCHES_MAX = 65536 };

typedef struct ch_gateway_name {
  uint8_t len;
  uint8_t bytes[CH_GATEWAY_NAME_MAX];
} ch_gateway_name;

/* What a timer is embedded in. */
typedef enum ch_directory_timer { CH_TIMER_PRESENCE = 1, CH_TIMER_ROUTE = 2, CH_TIMER_SUBSCRIPTION = 3 } ch_directory_timer;

typedef struct ch_directory_user {
  ch_list idle;        /* in directory.idle while nobody needs him: no route, no watch, no op at work on him */
  uint64_t touched_ms; /* elapsed; since when he is idle */
  uint64_t pos, mark;  /* at most one of them is not 0 */
  uint64_t seen_ms;    /* wall; 0: not known */
  bool online;         /* as watchers were told last; whoever reads compares the deadline too */
  ch_timer presence;
  ch_list routes;  /* ch_directory_route.of_user, in the order in which the devices came */
  ch_list watches; /* ch_directory_watching.of_user */
  size_t id_len;
  uint8_t id[];
} ch_directory_user;

typedef struct ch_directory_route {
  ch_list of_user;
  ch_directory_user *user;
  uint8_t device_id[CHAT_DEVICE_ID_LEN];
  ch_gateway_name gateway;
  uint64_t session;
  ch_timer timer;
} ch_directory_route;

typedef struct ch_directory_port {
  ch_port port; /* first: what port_mem.h knows */
  ch_list of_directory;
  ch_hashmap watches; /* user id -> ch_directory_watching */
  ch_list changed;    /* ch_directory_watching.changed, each once */
  bool lost;
  ch_op_queue waiting; /* CHANGES */
} ch_directory_port;

typedef struct ch_directory_watching {
  ch_list of_user, changed;
  ch_directory_user *user;
  ch_directory_port *port;
} ch_directory_watching;

typedef struct ch_directory_channel {
  uint8_t id[CHAT_CONVERSATION_ID_LEN];
  ch_list subscriptions; /* never empty */
} ch_directory_channel;

typedef struct ch_directory_subscription {
  ch_list of_channel;
  ch_directory_channel *channel;
  ch_gateway_name gateway;
  ch_timer timer;
} ch_directory_subscription;

typedef struct ch_directory_mem {
  ch_directory_mem_config config;
  pthread_mutex_t lock; /* everything below */
  uint64_t epoch;
  ch_hashmap users, channels;
  ch_list idle; /* ch_directory_user, the longest idle first */
  ch_list ports;
  ch_timer_heap timers;
} ch_directory_mem;

typedef struct ch_directory_now {
  uint64_t elapsed_ms, wall_ms;
} ch_directory_now;

/* An op: sets *status; false: it comes back later. */
typedef bool ch_directory_fn(ch_directory_mem *directory, ch_directory_port *port, chat_op *op, ch_directory_now now, int *status);
ch_directory_fn ch_directory_do_renew, ch_directory_do_drop, ch_directory_do_raise, ch_directory_do_routes, ch_directory_do_mark,
    ch_directory_do_fill, ch_directory_do_presence, ch_directory_do_watch, ch_directory_do_changes, ch_directory_do_subscribe,
    ch_directory_do_subscribers;

/* user.c. hold finds or makes a user and keeps him from being forgotten until settle: CHAT_E_AGAIN (full), CHAT_E_NOMEM. */
int ch_directory_user_hold(ch_directory_mem *directory, chat_bytes id, ch_directory_user **user);
void ch_directory_user_settle(ch_directory_mem *directory, ch_directory_user *user, uint64_t now_ms);
ch_directory_user *ch_directory_user_find(const ch_directory_mem *directory, chat_bytes id);
bool ch_directory_user_online(const ch_directory_user *user, uint64_t now_ms);
int ch_directory_user_set_online(ch_directory_mem *directory, ch_directory_user *user, uint32_t presence_ms, ch_directory_now now);
void ch_directory_user_set_offline(ch_directory_mem *directory, ch_directory_user *user);
void ch_directory_user_free(ch_directory_mem *directory, ch_directory_user *user); /* no watches */
/* What is due, at most 256 things. */
void ch_directory_sweep(ch_directory_mem *directory, uint64_t now_ms);

/* route.c: with the last one the user is offline. */
void ch_directory_route_remove(ch_directory_mem *directory, ch_directory_route *route);

/* watch.c */
void ch_directory_tell_watchers(ch_directory_user *user);
void ch_directory_tell_lost(ch_directory_port *port);
void ch_directory_watching_remove(ch_directory_mem *directory, ch_directory_watching *watching, uint64_t now_ms);

/* channel.c */
void ch_directory_subscription_remove(ch_directory_mem *directory, ch_directory_subscription *subscription);

bool ch_gateway_name_valid(chat_bytes name);
ch_gateway_name ch_gateway_name_of(chat_bytes name);
chat_bytes ch_gateway_name_bytes(const ch_gateway_name *name);

#endif
