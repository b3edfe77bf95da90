/* SPDX-License-Identifier: Apache-2.0 */
/* server_parts.h - private to server*.c: what a server is made of. */
#ifndef CH_SERVER_PARTS_H
#define CH_SERVER_PARTS_H

#include <chat/server.h>

#include "server/loop/auth.h"
#include "server/loop/backends.h"
#include "server/loop/events.h"
#include "server/loop/gateway_loop.h"
#include "server/loop/listener.h"
#include "server/loop/shared_limits.h"
#include "server/loop/worker_loop.h"

enum { CH_THREADS_MAX = 64, CH_PROBLEM_MAX = 1024, CH_SERVER_NAME_MAX = 40 };

/*   NEW      options are set                                            → RUNNING (start)
 *   RUNNING  threads run, requests are taken                            → STOPPING (stop)
 *   STOPPING clients are sent away, work is finished, parts are closed  → STOPPED; or free, where a backend does not let go
 *   STOPPED  final; events may still be pulled */
typedef enum ch_server_state { CH_SERVER_NEW, CH_SERVER_RUNNING, CH_SERVER_STOPPING, CH_SERVER_STOPPED } ch_server_state;

typedef struct ch_seams { /* what was handed in, or the platform's */
  chat_allocator alloc;
  bool has_alloc;
  chat_clock clock;
  chat_random random;
  chat_log_sink sink;
  chat_hooks hooks; /* missing ones NULL */
  chat_backend given[CH_BACKEND_HOOKS];
  bool is_given[CH_BACKEND_HOOKS];
} ch_seams;

typedef struct ch_plan { /* the options, understood */
  ch_address listen, metrics;
  bool has_metrics, has_tls;
  bool runs_gateway, runs_sequencer, runs_deliverer;
  char name[CH_SERVER_NAME_MAX];
  char horizon_path[CH_OPTION_TEXT_MAX + 32], told_path[CH_OPTION_TEXT_MAX + 32];
} ch_plan;

struct chat_server {
  ch_seams seams;
  ch_env env;
  ch_log log;
  ch_server_options options;
  ch_plan plan;
  ch_buf problem; /* the sentence in the making */
  char problem_text[CH_PROBLEM_MAX + 1];
  ch_metrics metrics;
  ch_events events;

  /* Made by start, gone after stop. */
  ch_backend_set backends;
  ch_space space[CH_BACKEND_KIND_COUNT];
  ch_auth *auth;
  ch_shared_limits *limits;
  ch_gateway_loop *gateways[CH_THREADS_MAX];
  size_t gateway_count;
  ch_worker_loop *worker;
  ch_told told;

  pthread_mutex_t lock; /* of state, and of gateways while others than start and stop use them */
  pthread_cond_t changed;
  ch_server_state state;
  pthread_t closer; /* while has_closer: closes what start has made */
  bool has_closer, is_closed;
};

/* server_options.c */
ch_options ch_server_options_of(chat_server *server); /* to set some; the sentence in the making is emptied */
/* Ends whatever may leave a sentence behind. */
int ch_server_with_problem(chat_server *server, int error);
void ch_server_wipe(void *secret, size_t len);
ch_server_state ch_server_state_of(chat_server *server);

/* server_plan.c: reads the options. CHAT_E_INVALID, CHAT_E_TLS, with a sentence in server->problem. */
int ch_server_plan(chat_server *server);
/* Roles that are not all need backends that processes can share. CHAT_E_INVALID. */
int ch_server_check_roles(chat_server *server);
bool ch_server_runs_all(const ch_plan *plan);

/* server_start.c: everything between NEW and RUNNING; undone where it fails. */
int ch_server_open(chat_server *server);
void ch_server_close(chat_server *server);

/* server_requests.c */
void ch_server_replied(void *arg, const ch_request_reply *reply);

#endif
