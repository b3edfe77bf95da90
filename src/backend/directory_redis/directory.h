/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory.h - the inside of the directory on Redis: what its files share. Everything is the thread's, under the lock where ports come in as well.
 *
 *   directory_redis.c  life, ports, the thread
 *   conn.c             a connection: name, connect, greet, lose, try again
 *   node.c             servers, and which of them has a slot; MOVED, CLUSTER SLOTS
 *   step.c             an op's steps: bounded, sent, answered
 *   command.c, key.c   what is sent
 *   route.c            RENEW, DROP, RAISE, ROUTES, MARK, FILL
 *   channel.c          SUBSCRIBE, SUBSCRIBERS
 *   presence.c         PRESENCE
 *   watch.c            WATCH, CHANGES: subscriptions, and looks
 */
#ifndef CH_DIRECTORY_REDIS_DIRECTORY_H
#define CH_DIRECTORY_REDIS_DIRECTORY_H

#include <hiredis/async.h>
#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "backend/directory_redis/command.h"
#include "backend/directory_redis/directory_redis.h"
#include "backend/directory_redis/script.h"
#include "backend/directory_redis/slot.h"
#include "backend/directory_redis/url.h"
#include "backend/port_mem.h"
#include "core/hashmap.h"
#include "core/list.h"

enum { CH_REDIS_NODES_MAX = 1024, CH_REDIS_STEPS_MAX = 16384, CH_REDIS_WATCHES_MAX = 65536, CH_REDIS_TICK_MS = 100 };

typedef struct ch_redis ch_redis;
typedef struct ch_redis_node ch_redis_node;
typedef struct ch_redis_work ch_redis_work;

/* ------------------------------------------------------------------------------------------------ connections */

typedef enum ch_redis_state {
  CH_REDIS_DOWN,       /* until at_ms, then NAMING */
  CH_REDIS_NAMING,     /* the resolver is asked -> CONNECTING, DOWN */
  CH_REDIS_CONNECTING, /* -> GREETING, DOWN */
  CH_REDIS_GREETING,   /* AUTH, SELECT, INFO -> UP, DOWN */
  CH_REDIS_UP          /* -> DOWN */
} ch_redis_state;

typedef struct ch_redis_conn {
  ch_redis_node *node;
  bool is_for_changes; /* subscribed; else it carries steps */
  bool is_wanted;
  bool is_doomed;        /* to be closed at the end of the round: never inside a callback of hiredis */
  ch_redis_state state;
  redisAsyncContext *redis;
  const void *tls;       /* the session under it, as long as hiredis has it; NULL: none */
  uint64_t at_ms;        /* of the loop: when to try again, or by when to be UP */
  uint32_t backoff_ms;
  uint64_t epoch;        /* drawn when it came UP (V6) */
  const char *refusal;   /* why the server must not be used, as last seen; NULL: nothing is known against it */
  uint32_t failures;     /* since it was UP last; also picks another address of the name */
  uv_getaddrinfo_t naming;
  bool is_naming;        /* the resolver still has it */
  ch_list sent, waiting; /* ch_redis_step.of_conn, the oldest first: on their way; for when it is UP */
  size_t asked;          /* subscriptions that were not confirmed yet … */
  uint64_t asked_ms;     /* … and since when nothing was heard of them */
  bool has_lost;         /* changes may have been missed since it was UP last */
} ch_redis_conn;

struct ch_redis_node {
  ch_redis *directory;
  ch_redis_address address;
  bool is_seed;
  uint32_t slot_count;
  ch_redis_conn steps, changes;
};

/* ------------------------------------------------------------------------------------------------ ops */

/* What an op's steps are; a table by kind of op. */
typedef struct ch_redis_kind {
  bool (*is_valid)(const chat_op *op);
  size_t (*count)(const chat_op *op);
  void (*build)(const chat_op *op, size_t item, ch_redis_command *command);
  int (*take)(chat_op *op, size_t item, const redisReply *reply); /* 0, or the item's status */
  /* Says how it went with an item, which then does not count for the op, unless all failed; NULL: the op ends with the worst of its steps. */
  void (*fate)(chat_op *op, size_t item, int status, uint64_t epoch);
  bool is_of_parts; /* items have a status: it does not count for the op, where all failed either */
} ch_redis_kind;

extern const ch_redis_kind ch_redis_renew, ch_redis_drop, ch_redis_raise, ch_redis_routes, ch_redis_mark, ch_redis_fill, ch_redis_presence, ch_redis_look, ch_redis_subscribe,
    ch_redis_subscribers;

typedef struct ch_redis_step {
  ch_list of_conn;     /* of one for changes: in ch_redis_watched.confirming */
  ch_redis_conn *conn; /* that has it */
  ch_redis_work *work;
  size_t item;
  uint16_t slot;
  uint8_t hops; /* MOVED, ASK, NOSCRIPT so far */
  bool is_eval, is_asking;
  uint64_t sent_ms;
} ch_redis_step;

typedef struct ch_redis_port {
  ch_port port; /* first: what port_mem.h knows */
  ch_list of_directory;
  ch_hashmap watches; /* tag -> ch_redis_watching */
  ch_list changed;    /* ch_redis_watching.changed, each once */
  bool lost;
  ch_op_queue waiting; /* CHANGES */
} ch_redis_port;

/* An op under way; in its arena. */
struct ch_redis_work {
  ch_list of_directory; /* in the inbox, then while it waits for its turn */
  const ch_redis_kind *kind;
  chat_op *op;
  ch_redis_port *port;   /* NULL: a look */
  ch_redis_work *waiter; /* of a look: the WATCH that waits for it, or NULL */
  uint64_t began_ms;
  size_t count, left, failed;
  int status; /* the worst */
  ch_redis_step *steps;
};

typedef struct ch_redis_figures {
  _Atomic uint64_t steps, failed, redirected, connected, timed_out, changes, lost;
  _Atomic int64_t under_way, servers, servers_up, watched;
} ch_redis_figures;

struct ch_redis {
  ch_directory_redis_config config;
  ch_redis_url url;
  ch_redis_scripts scripts;
  ch_redis_figures figures;

  pthread_mutex_t inbox_lock;
  ch_list inbox; /* ch_redis_work.of_directory */
  uv_async_t wake;

  pthread_mutex_t lock; /* all below; the thread has it whenever it does anything */
  pthread_cond_t changed; /* a connection came up, or was refused */
  pthread_t thread;
  uv_loop_t loop;
  uv_timer_t timer;
  bool is_stopping;
  ch_redis_node *nodes[CH_REDIS_NODES_MAX];
  size_t node_count;
  ch_redis_node *slots[CH_REDIS_SLOTS]; /* NULL: not known (a cluster) */
  bool wants_map, has_map, is_mapping;
  uint64_t mapped_ms;
  size_t steps_under_way;
  ch_list waiting; /* ch_redis_work.of_directory */
  ch_list ports;
  ch_hashmap watched; /* channel's name -> ch_redis_watched */
  ch_list looks;      /* ch_redis_watched.of_looks, the one longest not looked at first */
};

/* conn.c */
void ch_redis_conn_init(ch_redis_conn *conn, ch_redis_node *node, bool is_for_changes);
void ch_redis_conn_want(ch_redis_conn *conn);
void ch_redis_conn_lost(ch_redis_conn *conn); /* hiredis has given it up, or will at the end of the round; twice is once */
void ch_redis_conn_close(ch_redis_conn *conn); /* not from a callback of hiredis */
void ch_redis_conn_tick(ch_redis_conn *conn, uint64_t now_ms);
uint64_t ch_redis_now_ms(const ch_redis *directory); /* of the loop */

/* node.c */
int ch_redis_nodes_init(ch_redis *directory);
void ch_redis_nodes_fini(ch_redis *directory); /* all connections are closed */
ch_redis_node *ch_redis_node_of(ch_redis *directory, uint16_t slot);
/* "MOVED 3999 127.0.0.1:6381", "ASK …": where to; NULL: not understood, or no room. */
ch_redis_node *ch_redis_node_redirected(ch_redis *directory, const ch_redis_node *from, const char *error, bool moved);
void ch_redis_map_tick(ch_redis *directory, uint64_t now_ms);

/* step.c */
void ch_redis_take(ch_redis *directory, ch_redis_work *work); /* out of the inbox */
void ch_redis_work_wait(ch_redis *directory, ch_redis_work *work, const ch_redis_kind *kind); /* for its turn */
void ch_redis_work_done(ch_redis *directory, ch_redis_work *work, size_t steps, int status); /* of so many of its steps */
void ch_redis_steps_go(ch_redis *directory);                                                 /* those whose turn it is */
void ch_redis_steps_expire(ch_redis *directory, uint64_t now_ms);
void ch_redis_steps_up(ch_redis_conn *conn);   /* what waited for it */
void ch_redis_steps_down(ch_redis_conn *conn); /* the same, and it is lost; what was sent comes back by hiredis */

/* watch.c */
void ch_redis_watch(ch_redis *directory, ch_redis_work *work);
void ch_redis_changes(ch_redis_port *port, chat_op *op);
void ch_redis_watch_up(ch_redis_conn *conn);
void ch_redis_watch_down(ch_redis_conn *conn);
void ch_redis_watch_tick(ch_redis *directory, uint64_t now_ms);
void ch_redis_looked(ch_redis *directory, ch_redis_work *work, int status); /* takes the op */
void ch_redis_unwatch_all(ch_redis *directory, ch_redis_port *port);
void ch_redis_watch_fini(ch_redis *directory);

/* Around everything that the thread does; the end closes what is doomed, sends and writes. */
void ch_redis_round(void *directory, bool begins);
void ch_redis_count(_Atomic uint64_t *figure);

#endif
