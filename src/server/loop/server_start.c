/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/assert.h"
#include "server/loop/catch_up.h"
#include "server/loop/hooks.h"
#include "server/loop/number_file.h"
#include "server/loop/server_parts.h"

/* What is not an option: bounds of one step, the same for every server. */
enum {
  DRAIN_SESSION_MS = 5 * 1000,
  HOLD_COUNT_MAX = 64,
  APPEND_COUNT_MAX = 256,
  PATIENCE_MS = 10,
  PATIENCE_FRAMES = 16,
  ROUTE_MS = 300 * 1000,
  PRESENCE_MS = 30 * 1000,
  BATCH_COUNT_MAX = 256,
  BATCH_BYTES_MAX = 1024 * 1024,
  CONVERSATIONS_MAX = 10000,
  RETRY_MS = 100,
  DELIVERY_RECORDS_MAX = 32,
  REWIND_MS = 30 * 1000
};

/* ------------------------------------------------------------------------------------------------ what loops are told */

static void on_changed(void *arg) {
  chat_server *server = arg;
  pthread_mutex_lock(&server->lock);
  pthread_cond_broadcast(&server->changed);
  pthread_mutex_unlock(&server->lock);
}

static const char *fault_text(int error) {
  if (error == CHAT_E_GONE) return "Its log is another one, or has lost what is stored: put the right one back, or raise its epoch.";
  return chat_error_text(error);
}

static void on_faulted(void *arg, const char *role, uint32_t partition, int error) {
  chat_server *server = arg;
  char text[192];
  snprintf(text, sizeof text, "the %s stands still at partition %u: %s", role, (unsigned)partition, fault_text(error));
  ch_events_fault(&server->events, error, text);
  ch_logline line;
  ch_logline_begin(&line, &server->log, CHAT_LOG_ERROR, server->seams.clock.wall_ms(server->seams.clock.arg), "a partition stands still until an operator acts");
  ch_logline_text(&line, CH_LOG_ROLE, ch_bytes_text(role));
  ch_logline_number(&line, CH_LOG_PARTITION, partition);
  ch_logline_error(&line, CH_LOG_ERROR, error);
  ch_logline_text(&line, CH_LOG_REASON, ch_bytes_text(fault_text(error)));
  ch_logline_end(&line);
}

/* One line when it begins and one when it ends, however often a write is tried in between. */
static void on_space_changed(void *arg, ch_backend_kind kind, bool is_full, uint64_t full_ms) {
  static const char full[] = "no space left: what does not fit is tried again until there is some";
  chat_server *server = arg;
  ch_logline line;
  ch_logline_begin(&line, &server->log, is_full ? CHAT_LOG_ERROR : CHAT_LOG_INFO, server->seams.clock.wall_ms(server->seams.clock.arg), is_full ? full : "there is space again");
  ch_logline_text(&line, CH_LOG_BACKEND, ch_bytes_text(ch_backend_kind_name(kind)));
  if (is_full)
    ch_logline_error(&line, CH_LOG_ERROR, CHAT_E_FULL);
  else
    ch_logline_number(&line, CH_LOG_DURATION_MS, (int64_t)full_ms);
  ch_logline_end(&line);
}

static void on_horizon_moved(void *arg, uint64_t horizon_ms) {
  chat_server *server = arg;
  if (ch_number_file_save(server->plan.horizon_path, horizon_ms) == 0) return;
  ch_logline line;
  ch_logline_begin(&line, &server->log, CHAT_LOG_WARN, server->seams.clock.wall_ms(server->seams.clock.arg), "the horizon of retention cannot be kept");
  ch_logline_text(&line, CH_LOG_PATH, ch_bytes_text(server->plan.horizon_path));
  ch_logline_end(&line);
}

/* ------------------------------------------------------------------------------------------------ configurations */

static uint32_t derives_heads(const chat_server *server) {
  return (server->backends.all.of[CH_BACKEND_STORE].vtable->flags & CHAT_BACKEND_DERIVES_HEADS) != 0;
}

static ch_limits_config limits_of(const ch_server_options *options) {
  ch_limits_config limits;
  for (int class = 0; class < CH_LIMITS_CLASS_COUNT; class++) {
    limits.classes[class].rate_per_min = (uint32_t)options->limits[class].rate_per_min;
    limits.classes[class].burst = (uint32_t)options->limits[class].burst;
    limits.classes[class].buckets_max = (uint32_t)options->limit_keys_max;
  }
  return limits;
}

static ch_session_times times_of(const ch_server_options *options) {
  return (ch_session_times){.hello_ms = (uint32_t)options->hello_ms,
                            /* A hook may take its whole deadline. */
                            .auth_ms = (uint32_t)(options->hello_ms + options->hook_ms),
                            .heartbeat_ms = (uint32_t)options->heartbeat_ms,
                            .idle_ms = (uint32_t)options->idle_ms,
                            .drain_ms = DRAIN_SESSION_MS};
}

static ch_gateway_config gateway_of(const chat_server *server, chat_bytes name) {
  const ch_server_options *options = &server->options;
  return (ch_gateway_config){.name = name,
                             .times = times_of(options),
                             .message_partitions = server->backends.partitions[CHAT_TOPIC_MESSAGES],
                             .delivery_partitions = server->backends.partitions[CHAT_TOPIC_DELIVERIES],
                             .store_derives_heads = derives_heads(server),
                             .devices_max = (uint32_t)options->devices_max,
                             .sessions_max = (uint32_t)options->sessions_max,
                             .in_flight_max = (uint32_t)options->in_flight_max,
                             .hold_ms = (uint32_t)options->hold_ms,
                             .hold_max = HOLD_COUNT_MAX,
                             .append_count_max = APPEND_COUNT_MAX,
                             .receipt_ms = (uint32_t)options->receipt_ms,
                             .patience_ms = PATIENCE_MS,
                             .patience_frames = PATIENCE_FRAMES,
                             .route_ms = ROUTE_MS,
                             .presence_ms = PRESENCE_MS,
                             .out_max = (size_t)options->out_max,
                             .out_total_max = (size_t)(options->out_total_max / (uint64_t)options->threads),
                             .hook_ms = (uint32_t)options->hook_ms,
                             .has_before_log = server->seams.hooks.before_log != NULL,
                             .has_may = server->seams.hooks.may != NULL,
                             .limiter = ch_shared_limits_limiter(server->limits)};
}

/* Is there a folder beside the store, for what must be kept as long as that? */
static bool has_folder(const chat_server *server) {
  return strcmp(server->options.store, "sqlite") == 0 && !server->seams.is_given[CH_BACKEND_STORE];
}

static ch_retention_config retention_of(chat_server *server) {
  ch_retention_config retention = {.alloc = server->env.alloc, .age_ms = server->options.retention_ms};
  if (!has_folder(server)) return retention;
  ch_number_file_load(server->plan.horizon_path, &retention.horizon_ms);
  retention.moved = on_horizon_moved;
  retention.arg = server;
  return retention;
}

static ch_worker_loop_config worker_of(chat_server *server, int metrics_fd) {
  const uint32_t *partitions = server->backends.partitions;
  return (ch_worker_loop_config){.env = &server->env,
                                 .clock = server->seams.clock,
                                 .metrics = &server->metrics,
                                 .backends = &server->backends.all,
                                 .message_partitions = partitions[CHAT_TOPIC_MESSAGES],
                                 .delivery_partitions = partitions[CHAT_TOPIC_DELIVERIES],
                                 .runs_sequencer = server->plan.runs_sequencer,
                                 .runs_deliverer = server->plan.runs_deliverer,
                                 .sequencer = {.store_derives_heads = derives_heads(server),
                                               .delivery_partitions = partitions[CHAT_TOPIC_DELIVERIES],
                                               .batch_count_max = BATCH_COUNT_MAX,
                                               .batch_bytes_max = BATCH_BYTES_MAX,
                                               .conversations_max = CONVERSATIONS_MAX,
                                               .retry_ms = RETRY_MS},
                                 .deliverer = {.store_derives_heads = derives_heads(server),
                                               .records_max = DELIVERY_RECORDS_MAX,
                                               /* Where heads are derived, sync finds what a lost task would have told. */
                                               .rewind_ms = derives_heads(server) ? 0 : REWIND_MS,
                                               .retry_ms = RETRY_MS,
                                               .has_after_store = server->seams.hooks.after_store != NULL},
                                 .retention = retention_of(server),
                                 .told = server->told.path ? &server->told : NULL,
                                 .metrics_fd = metrics_fd,
                                 .faulted = on_faulted,
                                 .space_changed = on_space_changed,
                                 .changed = on_changed,
                                 .arg = server};
}

/* ------------------------------------------------------------------------------------------------ opening */

/* What is not reached yet may come: nothing of it is needed to begin. */
static void warn(chat_server *server) {
  ch_logline line;
  ch_logline_begin(&line, &server->log, CHAT_LOG_WARN, server->seams.clock.wall_ms(server->seams.clock.arg), "a backend is not all there yet");
  ch_logline_text(&line, CH_LOG_REASON, ch_buf_bytes(&server->problem));
  ch_logline_end(&line);
  ch_buf_clear(&server->problem);
}

static int open_backends(chat_server *server) {
  ch_backends_config config = {.env = &server->env, .clock = server->seams.clock, .options = &server->options};
  for (int kind = 0; kind < CH_BACKEND_HOOKS; kind++)
    if (server->seams.is_given[kind]) config.given[kind] = &server->seams.given[kind];
  int error = ch_backends_open(&config, &server->backends, &server->problem);
  server->backends.all.space = server->space;
  if (!error && server->problem.len) warn(server);
  return error ? error : ch_server_check_roles(server);
}

static int open_hooks(chat_server *server) {
  const chat_hooks *hooks = &server->seams.hooks;
  int error = hooks->authenticate ? 0 : ch_auth_new(server->env.alloc, &server->options, &server->auth, &server->problem);
  if (error) return error;
  ch_hooks_config config = {.alloc = server->env.alloc, .clock = server->seams.clock, .hooks = *hooks, .auth = server->auth, .deadline_ms = server->options.hook_ms};
  return ch_hooks_new(&config, &server->backends.all.of[CH_BACKEND_HOOKS]);
}

/* A log of deliveries that outlives the process, or a hook that nobody has, needs none of it. */
static int open_told(chat_server *server) {
  server->told = (ch_told){.path = NULL};
  if (!server->seams.hooks.after_store || !derives_heads(server) || !has_folder(server)) return 0;
  const chat_backend *store = &server->backends.all.of[CH_BACKEND_STORE];
  int error = ch_told_open(&server->told, server->plan.told_path, store, server->env.alloc, &server->problem);
  if (!error) server->backends.all.told_position = &server->told.position;
  return error;
}

static int open_worker(chat_server *server) {
  int fd = -1;
  int error = server->plan.has_metrics ? ch_listen(&server->plan.metrics, true, &fd, &server->problem) : 0;
  if (error) return error;
  ch_worker_loop_config config = worker_of(server, fd);
  return ch_worker_loop_new(&config, &server->worker);
}

static int open_gateway(chat_server *server, size_t index) {
  char name[CH_SERVER_NAME_MAX + 24];
  int fd;
  int error = ch_listen(&server->plan.listen, index == 0, &fd, &server->problem);
  if (error) return error;
  snprintf(name, sizeof name, "%s-%zu", server->plan.name, index);
  ch_gateway_loop_config config = {.env = &server->env,
                                   .clock = server->seams.clock,
                                   .log = &server->log,
                                   .metrics = &server->metrics,
                                   .backends = &server->backends.all,
                                   .gateway = gateway_of(server, ch_bytes_text(name)),
                                   .listen_fd = fd,
                                   .cert = server->plan.has_tls ? server->options.tls_cert : NULL,
                                   .key = server->plan.has_tls ? server->options.tls_key : NULL,
                                   .replied = ch_server_replied,
                                   .changed = on_changed,
                                   .arg = server};
  error = ch_gateway_loop_new(&config, &server->gateways[index]);
  if (error) ch_buf_put_text(&server->problem, "a thread for connections could not be set up (out of memory or descriptors)");
  return error;
}

static int open_gateways(chat_server *server) {
  if (!server->plan.runs_gateway) return 0;
  ch_limits_config limits = limits_of(&server->options);
  int error = ch_shared_limits_new(&server->env, &limits, &server->limits);
  for (size_t index = 0; !error && index < (size_t)server->options.threads; index++) {
    error = open_gateway(server, index);
    if (!error) server->gateway_count++;
  }
  return error;
}

/* Of the stores only the embedded one says what is synced, and only that one is late. */
static bool is_late(const chat_server *server) {
  return server->backends.all.synced_position && server->plan.runs_sequencer && server->plan.runs_gateway;
}

static int start_threads(chat_server *server) {
  int error = ch_worker_loop_start(server->worker);
  if (!error && is_late(server)) ch_catch_up(server->env.alloc, &server->backends.all, &server->metrics);
  for (size_t i = 0; !error && i < server->gateway_count; i++) error = ch_gateway_loop_start(server->gateways[i]);
  if (error) ch_buf_put_text(&server->problem, "a thread could not be started");
  return error;
}

/* Loops whose thread does not run may be ended like the others: they are then freed without one. */
void ch_server_close(chat_server *server) {
  for (size_t i = 0; i < server->gateway_count; i++) ch_gateway_loop_end(server->gateways[i]);
  for (size_t i = 0; i < server->gateway_count; i++) {
    ch_gateway_loop_free(server->gateways[i]);
    server->gateways[i] = NULL;
  }
  server->gateway_count = 0;
  ch_shared_limits_free(server->limits);
  server->limits = NULL;
  if (server->worker) ch_worker_loop_end(server->worker);
  ch_worker_loop_free(server->worker);
  server->worker = NULL;
  chat_backend *hooks = &server->backends.all.of[CH_BACKEND_HOOKS];
  if (hooks->vtable) hooks->vtable->free(hooks->self);
  *hooks = (chat_backend){NULL, NULL};
  ch_auth_free(server->auth);
  server->auth = NULL;
  ch_backends_close(&server->backends);
}

int ch_server_open(chat_server *server) {
  static int (*const steps[])(chat_server *) = {ch_server_plan, open_backends, open_hooks, open_told, open_worker, open_gateways, start_threads};
  for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
    int error = steps[i](server);
    if (!error) continue;
    ch_server_close(server);
    return error;
  }
  return 0;
}
