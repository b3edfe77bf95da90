/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a client: made, set, started, suspended, resumed, freed. */
#include <chat/client.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cache_mem.h"
#include "backend/cache_sqlite/cache_sqlite.h"
#include "backend/transport_lws.h"
#include "client/loop/client_loop.h"
#include "core/option_print.h"
#include "platform/condition.h"
#include "platform/platform.h"

/* ------------------------------------------------------------------------------------------------ new */

static bool version_fits(uint32_t api_version) {
  return api_version >> 16 == CHAT_VERSION_MAJOR && api_version <= CHAT_API_VERSION;
}

static ch_options options_of(chat_client *client, ch_buf *why) {
  return (ch_options){&ch_client_option_table, &client->options, why, NULL};
}

static int take_seams(chat_client *client, const chat_client_config *config) {
  client->clock = config->clock ? *config->clock : ch_platform_clock();
  if (config->random)
    client->random = *config->random;
  else if (ch_platform_random(&client->random) != 0)
    return CHAT_E_INTERNAL;
  if (config->log) client->log = *config->log;
  client->env = (ch_env){client->alloc, client->random.fill, client->random.arg};
  client->transport = config->transport;
  client->cache = config->cache;
  return 0;
}

static int init_locks(chat_client *client) {
  if (ch_condition_init(&client->changed)) return CHAT_E_NOMEM;
  if (pthread_mutex_init(&client->lock, NULL) == 0) return 0;
  pthread_cond_destroy(&client->changed);
  return CHAT_E_NOMEM;
}

static int client_init(chat_client *client, const chat_client_config *config) {
  int error = take_seams(client, config);
  if (!error) error = init_locks(client);
  if (error) return error;
  error = ch_client_events_init(client);
  if (!error) return 0;
  pthread_mutex_destroy(&client->lock);
  pthread_cond_destroy(&client->changed);
  return error;
}

static chat_client *client_alloc(const chat_client_config *config) {
  chat_client *client = ch_calloc(config->allocator, 1, sizeof *client);
  if (!client) return NULL;
  if (config->allocator) {
    client->alloc_own = *config->allocator;
    client->alloc = &client->alloc_own;
  }
  client->event_fd = -1;
  client->phase = CH_CLIENT_NEW;
  ch_options_init(options_of(client, NULL));
  return client;
}

/* A caller that was compiled against an older, shorter struct has the rest as its defaults. */
static chat_client_config read_config(const chat_client_config *given) {
  chat_client_config config = {0};
  if (given) memcpy(&config, given, given->size < sizeof config ? given->size : sizeof config);
  return config;
}

int chat_client_new(uint32_t api_version, const chat_client_config *given, chat_client **out) {
  if (!out || (given && given->size < sizeof given->size)) return CHAT_E_INVALID;
  *out = NULL;
  if (!version_fits(api_version)) return CHAT_E_VERSION;
  chat_client_config config = read_config(given);
  chat_client *client = client_alloc(&config);
  if (!client) return CHAT_E_NOMEM;
  int error = client_init(client, &config);
  if (error) {
    chat_allocator alloc = client->alloc_own;
    ch_free(client->alloc ? &alloc : NULL, client);
    return error;
  }
  *out = client;
  return 0;
}

/* ------------------------------------------------------------------------------------------------ options */

static bool name_is(const char *name, const char *wanted) {
  return ch_option_find(&ch_client_option_table, ch_bytes_text(name)) == ch_option_find(&ch_client_option_table, ch_bytes_text(wanted));
}

static int set_running(chat_client *client, const char *name, const char *value) {
  const ch_option *row = ch_option_find(&ch_client_option_table, ch_bytes_text(name));
  if (!row) return CHAT_E_UNSUPPORTED;
  size_t len = strlen(value);
  if (!(row->flags & CH_OPTION_RELOADABLE) || len >= row->len) return CHAT_E_INVALID;
  ch_note *note = ch_note_new(client, name_is(name, "token") ? CH_NOTE_TOKEN : CH_NOTE_URL);
  if (!note) return CHAT_E_NOMEM;
  const uint8_t *copy = ch_arena_dup(&note->arena, value, len);
  if (!copy) {
    ch_note_free(client, note);
    return CHAT_E_NOMEM;
  }
  note->text = (chat_bytes){copy, len};
  return ch_note_post(client, note);
}

int chat_client_set(chat_client *client, const char *name, const char *value) {
  if (!client || !name || !value) return CHAT_E_INVALID;
  pthread_mutex_lock(&client->lock);
  bool started = client->phase != CH_CLIENT_NEW;
  pthread_mutex_unlock(&client->lock);
  if (started) return set_running(client, name, value);
  return ch_options_set(options_of(client, NULL), ch_bytes_text(name), ch_bytes_text(value));
}

size_t chat_client_print_options(int form, char *out, size_t len) {
  return ch_options_print(&ch_client_option_table, form, out, len);
}

/* "3,8" → {3, 8, 0} */
static void parse_hidden_types(chat_client *client) {
  size_t count = 0;
  char *at = client->options.hidden_types;
  while (*at && count < 16) {
    char *end;
    unsigned long type = strtoul(at, &end, 10);
    if (end == at) break;
    client->hidden_types[count++] = (uint32_t)type;
    at = *end == ',' ? end + 1 : end;
  }
  client->hidden_types[count] = 0;
}

/* ------------------------------------------------------------------------------------------------ start */

static int open_transport(chat_client *client) {
  if (client->transport) return 0;
  client->own_transport = true;
  return ch_transport_lws_new(client->alloc, &client->transport);
}

static int open_cache(chat_client *client) {
  if (client->cache) return 0;
  client->own_cache = true;
  if (client->options.database[0]) return ch_cache_sqlite_new(client->alloc, client->options.database, &client->cache);
  return chat_cache_mem_new(client->alloc, &client->cache);
}

static ch_brain_config brain_config(chat_client *client) {
  const ch_client_options *o = &client->options;
  return (ch_brain_config){
      .cache = client->cache,
      .client_name = ch_bytes_text(o->device_name),
      .times = {.hello_ms = 10000, .auth_ms = 10000, .heartbeat_ms = 15000, .idle_ms = 45000, .drain_ms = 5000},
      .backoff_min_ms = (uint32_t)o->backoff_min_ms,
      .backoff_max_ms = (uint32_t)o->backoff_max_ms,
      .prefetch = (uint32_t)o->prefetch,
      .hold_ms = (uint32_t)o->hold_ms,
      .hold_max = 256,
      .resend_ms = (uint32_t)o->resend_ms,
      .sync_every_ms = (uint32_t)o->sync_every_ms,
      .ranges_max = 4,
      .outbox_max = 10000,
      .in_flight_max = 32,
      .requests_max = CH_CLIENT_REQUESTS_MAX,
      .events_max = (uint32_t)o->events_max,
      .types_hidden = client->hidden_types[0] ? client->hidden_types : NULL,
  };
}

static int make_parts(chat_client *client) {
  int error = open_transport(client);
  if (!error) error = open_cache(client);
  if (error) return error;
  ch_brain_config config = brain_config(client);
  return ch_brain_new(&client->env, &config, &client->brain);
}

static void free_parts(chat_client *client) {
  ch_brain_free(client->brain);
  client->brain = NULL;
  if (client->own_cache && client->cache) client->cache->vtable->free(client->cache->self);
  if (client->own_transport && client->transport) client->transport->vtable->free(client->transport->self);
  if (client->own_cache) client->cache = NULL;
  if (client->own_transport) client->transport = NULL;
}

static int begin(chat_client *client) {
  ch_now now = ch_client_now(client);
  int error = ch_brain_start(client->brain, now);
  if (error) return error;
  if (client->options.token[0]) error = ch_brain_set_token(client->brain, ch_bytes_text(client->options.token), now);
  if (error) return error;
  client->phase = CH_CLIENT_RUNNING;
  if (client->options.caller_driven) return 0;
  if (pthread_create(&client->thread, NULL, ch_client_thread, client) == 0) return 0;
  client->phase = CH_CLIENT_NEW;
  return CHAT_E_NOMEM;
}

int chat_client_start(chat_client *client) {
  if (!client || client->phase != CH_CLIENT_NEW) return CHAT_E_INVALID;
  parse_hidden_types(client);
  int error = make_parts(client);
  if (!error) error = begin(client);
  ch_client_log_start(client, error);
  if (error) free_parts(client);
  else sodium_memzero(client->options.token, sizeof client->options.token); /* the brain has it; a logout forgets it there */
  return error;
}

/* ------------------------------------------------------------------------------------------------ free */

static void stop_thread(chat_client *client) {
  pthread_mutex_lock(&client->lock);
  bool running = client->phase != CH_CLIENT_NEW;
  client->phase = CH_CLIENT_STOPPING;
  pthread_mutex_unlock(&client->lock);
  if (!running || client->options.caller_driven) return;
  client->cache->vtable->interrupt(client->cache->self);
  client->transport->vtable->interrupt(client->transport->self);
  pthread_join(client->thread, NULL);
}

static void free_notes(chat_client *client) {
  ch_note *note = ch_notes_take(client);
  while (note) {
    ch_note *next = note->next;
    ch_note_free(client, note);
    note = next;
  }
}

void chat_client_free(chat_client *client) {
  if (!client) return;
  stop_thread(client);
  free_notes(client);
  ch_client_events_fini(client);
  free_parts(client);
  pthread_mutex_destroy(&client->lock);
  pthread_cond_destroy(&client->changed);
  sodium_memzero(client->options.token, sizeof client->options.token);
  chat_allocator alloc = client->alloc_own;
  ch_free(client->alloc ? &alloc : NULL, client);
}

/* ------------------------------------------------------------------------------------------------ suspend, resume */

/* The driver is the library's thread, or the caller who is here. */
static void drive(chat_client *client) {
  if (client->options.caller_driven)
    ch_client_turn(client, 0);
  else
    client->transport->vtable->interrupt(client->transport->self);
}

/* 1: it is to be suspended now. 0: it is, or will be, already. */
static int want_suspended(chat_client *client, uint64_t by_ms) {
  pthread_mutex_lock(&client->lock);
  bool running = client->phase == CH_CLIENT_RUNNING;
  bool there = running || client->phase == CH_CLIENT_SUSPENDED || client->phase == CH_CLIENT_SUSPENDING;
  if (running) client->phase = CH_CLIENT_SUSPENDING;
  if (running) client->suspend_by_ms = by_ms;
  pthread_mutex_unlock(&client->lock);
  return there ? running : CHAT_E_CLOSED;
}

int chat_client_suspend(chat_client *client, uint32_t deadline_ms) {
  if (!client) return CHAT_E_INVALID;
  struct timespec until = ch_condition_in_ms(deadline_ms);
  int running = want_suspended(client, ch_client_now(client).elapsed_ms + deadline_ms);
  if (running < 0) return running;
  if (running) {
    client->cache->vtable->interrupt(client->cache->self);
    drive(client);
  }
  pthread_mutex_lock(&client->lock);
  while (client->phase == CH_CLIENT_SUSPENDING && ch_condition_wait(&client->changed, &client->lock, &until)) continue;
  bool done = client->phase != CH_CLIENT_SUSPENDING;
  pthread_mutex_unlock(&client->lock);
  return done ? 0 : CHAT_E_TIMEOUT;
}

int chat_client_resume(chat_client *client) {
  if (!client) return CHAT_E_INVALID;
  pthread_mutex_lock(&client->lock);
  bool suspended = client->phase == CH_CLIENT_SUSPENDED || client->phase == CH_CLIENT_SUSPENDING;
  if (suspended) client->resume_wanted = true;
  pthread_mutex_unlock(&client->lock);
  if (!suspended) return CHAT_E_INVALID;
  drive(client);
  pthread_mutex_lock(&client->lock);
  while (client->resume_wanted) pthread_cond_wait(&client->changed, &client->lock);
  int error = client->resume_status;
  pthread_mutex_unlock(&client->lock);
  return error;
}

/* ------------------------------------------------------------------------------------------------ caller-driven */

static bool caller_drives(const chat_client *client) {
  return client && client->options.caller_driven && client->phase != CH_CLIENT_NEW;
}

int chat_client_process(chat_client *client) {
  if (!caller_drives(client)) return CHAT_E_INVALID;
  ch_client_turn(client, 0);
  return 0;
}

int64_t chat_client_next_deadline_ms(chat_client *client) {
  return caller_drives(client) ? ch_client_until_deadline_ms(client) : -1;
}

int chat_client_io_fd(chat_client *client) {
  return caller_drives(client) ? client->transport->vtable->fd(client->transport->self) : -1;
}
