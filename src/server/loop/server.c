/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "platform/condition.h"
#include "platform/platform.h"
#include "server/loop/server_parts.h"
#include "server/loop/tls.h"

enum { GONE_AFTER_MS = 0, CLOSE_MS = 1000 }; /* for closing, where draining has used up the deadline */

/* ------------------------------------------------------------------------------------------------ new and free */

static bool is_served(uint32_t api_version) {
  return api_version >> 16 == CHAT_VERSION_MAJOR && api_version <= CHAT_API_VERSION;
}

/* A caller with an older header has a shorter struct: what it does not have is zero. */
static void copy_sized(void *to, size_t to_len, const void *from, size_t from_len) {
  memset(to, 0, to_len);
  memcpy(to, from, from_len < to_len ? from_len : to_len);
}

static void take_backend(ch_seams *seams, ch_backend_kind kind, const chat_backend *given) {
  seams->is_given[kind] = given != NULL;
  if (given) seams->given[kind] = *given;
}

static int take_seams(ch_seams *seams, const chat_server_config *given) {
  chat_server_config config = {.size = sizeof config};
  if (given) copy_sized(&config, sizeof config, given, given->size);
  seams->has_alloc = config.allocator != NULL;
  if (config.allocator) seams->alloc = *config.allocator;
  seams->clock = config.clock ? *config.clock : ch_platform_clock();
  if (config.log) seams->sink = *config.log;
  if (config.hooks && config.hooks->size < sizeof config.hooks->size) return CHAT_E_INVALID;
  if (config.hooks) copy_sized(&seams->hooks, sizeof seams->hooks, config.hooks, config.hooks->size);
  take_backend(seams, CH_BACKEND_LOG, config.message_log);
  take_backend(seams, CH_BACKEND_STORE, config.store);
  take_backend(seams, CH_BACKEND_DIRECTORY, config.directory);
  take_backend(seams, CH_BACKEND_LINK, config.link);
  if (!config.random) return ch_platform_random(&seams->random);
  seams->random = *config.random;
  return 0;
}

static int init_lock(chat_server *server) {
  int error = ch_condition_init(&server->changed);
  if (error) return error;
  if (pthread_mutex_init(&server->lock, NULL) == 0) return 0;
  pthread_cond_destroy(&server->changed);
  return CHAT_E_NOMEM;
}

static int init(chat_server *server) {
  server->env = (ch_env){.alloc = server->seams.has_alloc ? &server->seams.alloc : NULL, .random = server->seams.random.fill, .random_arg = server->seams.random.arg};
  server->log.sink = server->seams.sink.write ? &server->seams.sink : NULL;
  ch_buf_init(&server->problem, server->env.alloc, CH_PROBLEM_MAX);
  ch_options_init(ch_server_options_of(server));
  int error = ch_events_init(&server->events, server->env.alloc);
  if (error) return error;
  error = init_lock(server);
  if (error) ch_events_fini(&server->events);
  return error;
}

int chat_server_new(uint32_t api_version, const chat_server_config *config, chat_server **out) {
  if (!out) return CHAT_E_INVALID;
  *out = NULL;
  if (!is_served(api_version)) return CHAT_E_VERSION;
  if (config && config->size < sizeof config->size) return CHAT_E_INVALID;
  const ch_allocator *alloc = config && config->size >= offsetof(chat_server_config, allocator) + sizeof config->allocator ? config->allocator : NULL;
  chat_server *server = ch_calloc(alloc, 1, sizeof *server);
  if (!server) return CHAT_E_NOMEM;
  int error = take_seams(&server->seams, config);
  if (!error) error = init(server);
  if (error)
    ch_free(alloc, server);
  else
    *out = server;
  return error;
}

/* The memory of what is still closing cannot be given back: this waits. */
static void await_closer(chat_server *server) {
  if (!server->has_closer) return;
  pthread_join(server->closer, NULL);
  server->has_closer = false;
  ch_events_cancel(&server->events);
}

void chat_server_free(chat_server *server) {
  if (!server) return;
  if (server->state == CH_SERVER_RUNNING) chat_server_stop(server, GONE_AFTER_MS);
  await_closer(server);
  chat_allocator alloc = server->seams.alloc;
  bool has_alloc = server->seams.has_alloc;
  ch_events_fini(&server->events);
  ch_buf_fini(&server->problem);
  pthread_cond_destroy(&server->changed);
  pthread_mutex_destroy(&server->lock);
  ch_server_wipe(&server->options, sizeof server->options);
  ch_free(has_alloc ? &alloc : NULL, server);
}

/* ------------------------------------------------------------------------------------------------ start and stop */

static void log_life(chat_server *server, const char *what) {
  ch_logline line;
  ch_logline_begin(&line, &server->log, CHAT_LOG_INFO, server->seams.clock.wall_ms(server->seams.clock.arg), what);
  ch_logline_number(&line, CH_LOG_PORT, ch_address_port(&server->plan.listen));
  ch_logline_text(&line, CH_LOG_GATEWAY, ch_bytes_text(server->plan.name));
  ch_logline_end(&line);
}

static void enter(chat_server *server, ch_server_state state) {
  pthread_mutex_lock(&server->lock);
  server->state = state;
  pthread_mutex_unlock(&server->lock);
}

int chat_server_start(chat_server *server) {
  if (!server) return CHAT_E_INVALID;
  ch_buf_clear(&server->problem);
  if (ch_server_state_of(server) != CH_SERVER_NEW) return ch_server_with_problem(server, CHAT_E_INVALID);
  server->log.level = CHAT_LOG_ERROR + server->options.log_level;
  ch_metrics_init(&server->metrics, server->options.name);
  int error = ch_server_open(server);
  if (error) return ch_server_with_problem(server, error);
  enter(server, CH_SERVER_RUNNING);
  log_life(server, "server started");
  return ch_server_with_problem(server, 0);
}

static int port_of(const ch_plan *plan, const char *what) {
  if (strcmp(what, "listen") == 0) return plan->runs_gateway ? ch_address_port(&plan->listen) : 0;
  if (strcmp(what, "metrics") == 0) return plan->has_metrics ? ch_address_port(&plan->metrics) : 0;
  return 0;
}

int chat_server_port(const chat_server *server, const char *what) {
  if (!server || !what) return 0;
  return ch_server_state_of((chat_server *)(uintptr_t)server) == CH_SERVER_RUNNING ? port_of(&server->plan, what) : 0;
}

/* Both are checked before either is taken. */
int chat_server_reload(chat_server *server) {
  if (!server) return CHAT_E_INVALID;
  pthread_mutex_lock(&server->lock);
  int error = server->state == CH_SERVER_RUNNING ? 0 : CHAT_E_CLOSED;
  if (!error && server->plan.has_tls && ch_tls_check_files(server->options.tls_cert, server->options.tls_key) != 0) error = CHAT_E_INVALID;
  ch_buf why;
  ch_buf_init(&why, server->env.alloc, CH_PROBLEM_MAX);
  if (!error && server->auth && ch_auth_reload(server->auth, &why) != 0) error = CHAT_E_INVALID;
  for (size_t i = 0; !error && i < server->gateway_count; i++) ch_gateway_loop_reload(server->gateways[i]);
  pthread_mutex_unlock(&server->lock);
  ch_logline line;
  ch_logline_begin(&line, &server->log, error ? CHAT_LOG_ERROR : CHAT_LOG_INFO, server->seams.clock.wall_ms(server->seams.clock.arg),
                   error ? "reload: the new keys or certificates are not good, the old ones stay" : "keys and certificates read again");
  if (why.len) ch_logline_text(&line, CH_LOG_REASON, ch_buf_bytes(&why));
  ch_logline_end(&line);
  ch_buf_fini(&why);
  return error;
}

static bool gateways_drained(const chat_server *server) {
  for (size_t i = 0; i < server->gateway_count; i++)
    if (!ch_gateway_loop_drained(server->gateways[i])) return false;
  return true;
}

static bool worker_drained(const chat_server *server) {
  return ch_worker_loop_drained(server->worker);
}

/* false: the time is up. */
static bool wait_until(chat_server *server, bool (*is_so)(const chat_server *), const struct timespec *until) {
  pthread_mutex_lock(&server->lock);
  bool in_time = true;
  while (!is_so(server) && in_time) in_time = ch_condition_wait(&server->changed, &server->lock, until);
  in_time = is_so(server);
  pthread_mutex_unlock(&server->lock);
  return in_time;
}

static bool drain(chat_server *server, uint32_t deadline_ms) {
  struct timespec until = ch_condition_in_ms(deadline_ms);
  uint64_t spread_ms = server->options.drain_ms < deadline_ms / 2 ? server->options.drain_ms : deadline_ms / 2;
  ch_worker_loop_leave(server->worker);
  for (size_t i = 0; i < server->gateway_count; i++) ch_gateway_loop_drain(server->gateways[i], (uint32_t)spread_ms);
  bool in_time = wait_until(server, gateways_drained, &until);
  ch_worker_loop_drain(server->worker);
  return wait_until(server, worker_drained, &until) && in_time;
}

static void *close_all(void *arg) {
  chat_server *server = arg;
  ch_server_close(server);
  pthread_mutex_lock(&server->lock);
  server->is_closed = true;
  pthread_cond_broadcast(&server->changed);
  pthread_mutex_unlock(&server->lock);
  return NULL;
}

static bool has_closed(const chat_server *server) {
  return server->is_closed;
}

/* On a thread of its own, for a backend may hold on to an op for ever. false: it does. */
static bool close_until(chat_server *server, const struct timespec *until) {
  server->has_closer = pthread_create(&server->closer, NULL, close_all, server) == 0;
  if (!server->has_closer) close_all(server);
  if (!wait_until(server, has_closed, until)) return false;
  if (server->has_closer) pthread_join(server->closer, NULL);
  server->has_closer = false;
  return true;
}

/* Under the lock. A thread of the server cannot wait for its own end. */
static bool is_inside(const chat_server *server) {
  bool inside = server->worker && ch_worker_loop_is_current(server->worker);
  for (size_t i = 0; i < server->gateway_count; i++) inside = inside || ch_gateway_loop_is_current(server->gateways[i]);
  return inside;
}

static int begin_stop(chat_server *server) {
  pthread_mutex_lock(&server->lock);
  int error = server->state != CH_SERVER_RUNNING ? CHAT_E_CLOSED : is_inside(server) ? CHAT_E_INVALID : 0;
  if (!error) server->state = CH_SERVER_STOPPING;
  pthread_mutex_unlock(&server->lock);
  return error;
}

int chat_server_stop(chat_server *server, uint32_t deadline_ms) {
  int error = server ? begin_stop(server) : CHAT_E_INVALID;
  if (error) return error;
  uint64_t began_ms = server->seams.clock.elapsed_ms(server->seams.clock.arg);
  bool in_time = drain(server, deadline_ms);
  uint64_t used_ms = server->seams.clock.elapsed_ms(server->seams.clock.arg) - began_ms;
  struct timespec until = ch_condition_in_ms(used_ms + CLOSE_MS < deadline_ms ? (int)(deadline_ms - used_ms) : CLOSE_MS);
  if (!close_until(server, &until)) {
    log_life(server, "server stopped, but a backend does not let go of its work");
    return CHAT_E_TIMEOUT;
  }
  ch_events_cancel(&server->events);
  log_life(server, in_time ? "server stopped" : "server stopped, clients or work were cut off");
  enter(server, CH_SERVER_STOPPED);
  return in_time ? 0 : CHAT_E_TIMEOUT;
}

/* ------------------------------------------------------------------------------------------------ events */

const chat_server_event *chat_server_wait(chat_server *server, int timeout_ms) {
  return server ? ch_events_wait(&server->events, timeout_ms) : NULL;
}

void chat_server_interrupt(chat_server *server) {
  if (server) ch_events_interrupt(&server->events);
}

int chat_server_fd(chat_server *server) {
  return server ? server->events.fd : -1;
}
