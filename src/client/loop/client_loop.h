/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_loop.h - what is inside a chat_client: the brain, the thread (or the caller) that drives it, and the two queues between it and the embedder.
 *
 *   requests   any thread → inbox → driver → ch_brain_request
 *   events     ch_brain_next_event → driver → outbox of at most EVENTS_READY → chat_client_wait
 *
 * Only the driver touches brain, transport and cache. `lock` covers the rest and is never held while calling out.
 */
#ifndef CH_CLIENT_LOOP_H
#define CH_CLIENT_LOOP_H

#include <pthread.h>
#include <stdbool.h>

#include "client/brain/brain.h"
#include "core/buf.h"
#include "core/option.h"

enum {
  CH_CLIENT_EVENTS_READY = 64,    /* events taken out of the brain ahead of the embedder; the brain's own bound holds for the rest */
  CH_CLIENT_REQUESTS_MAX = 1024,  /* requests without their reply */
  CH_CLIENT_NOTES_MAX = 2048,     /* what the driver has not taken yet: requests, and what has no reply */
  CH_CLIENT_PATH_LEN = 4096
};

/* Values of the option table (client_options.c). */
typedef struct ch_client_options {
  char url[2048];
  char token[CHAT_TOKEN_MAX + 1];
  char database[CH_CLIENT_PATH_LEN];
  char device_name[65];
  char ca_file[CH_CLIENT_PATH_LEN];
  char pin_sha256[65];
  char address[64];
  bool caller_driven;
  int64_t prefetch;
  uint64_t backoff_min_ms, backoff_max_ms, resend_ms, sync_every_ms, hold_ms;
  int64_t events_max;
  char hidden_types[128];
} ch_client_options;

extern const ch_option_table ch_client_option_table;

/* What is for the driver: a request of the embedder, or a word of the loop itself. */
typedef enum ch_note_kind { CH_NOTE_REQUEST, CH_NOTE_TOKEN, CH_NOTE_URL, CH_NOTE_NETWORK } ch_note_kind;

typedef struct ch_note {
  struct ch_note *next;
  ch_note_kind kind;
  int hint;                   /* NETWORK */
  chat_bytes text;            /* TOKEN, URL */
  ch_client_request request;  /* REQUEST; everything it points to is in the arena */
  ch_client_event *reply;     /* REQUEST: made in advance, for a request that the brain cannot take */
  ch_arena arena;
} ch_note;

struct chat_client {
  const chat_allocator *alloc;
  chat_allocator alloc_own;
  chat_clock clock;
  chat_random random;
  chat_log_sink log;
  ch_env env;
  ch_client_options options;
  chat_transport *transport;
  chat_cache *cache;
  bool own_transport, own_cache;
  ch_brain *brain; /* driver's */
  uint32_t hidden_types[17];

  pthread_mutex_t lock;
  pthread_cond_t changed; /* events came, or the driver stopped, suspended, resumed */
  ch_note *first_note, *last_note;
  size_t note_count;
  size_t open_requests; /* accepted, reply not pulled yet */
  ch_client_event *first_event, *last_event;
  size_t ready_count;
  ch_client_event *current; /* what the last wait gave */
  bool brain_has_more;
  bool interrupted;
  int event_fd; /* readable while first_event is there */
  void (*wakeup)(void *arg);
  void *wakeup_arg;

  enum { CH_CLIENT_NEW, CH_CLIENT_RUNNING, CH_CLIENT_SUSPENDING, CH_CLIENT_SUSPENDED, CH_CLIENT_STOPPING } phase;
  uint64_t suspend_by_ms; /* SUSPENDING: what is not begun by then is refused */
  bool resume_wanted;
  int resume_status;
  pthread_t thread;
};

ch_now ch_client_now(const chat_client *client);

/* client_events.c */
int ch_client_events_init(chat_client *client);
void ch_client_events_fini(chat_client *client);
/* Moves what fits from the brain to the queue and wakes the embedder. Driver only, without the lock. */
void ch_client_events_move(chat_client *client);
void ch_client_events_push(chat_client *client, ch_client_event *event);

/* client_notes.c */
ch_note *ch_note_new(chat_client *client, ch_note_kind kind);
void ch_note_free(chat_client *client, ch_note *note);
/* Gives the note to the driver: 0, or CHAT_E_BUSY, CHAT_E_SUSPENDED, CHAT_E_CLOSED; the note is freed then. */
int ch_note_post(chat_client *client, ch_note *note);
ch_note *ch_notes_take(chat_client *client); /* all, in order */
void ch_notes_give_back(chat_client *client, ch_note *first); /* the rest of what was taken, to be taken again in the next turn */

/* client_log.c */
void ch_client_log_start(chat_client *client, int error);
void ch_client_log_facts(chat_client *client); /* what the brain told since the last call; driver only */

/* client_drive.c: one turn of the driver. `timeout_ms` bounds the wait of the transport; 0: none. */
void ch_client_turn(chat_client *client, int timeout_ms);
int64_t ch_client_until_deadline_ms(chat_client *client);
void *ch_client_thread(void *client);

#endif
