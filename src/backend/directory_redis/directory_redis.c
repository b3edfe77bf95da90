/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/directory_redis/directory_redis.h"

#include <signal.h>
#include <string.h>

#include "backend/directory_redis/adapter.h"
#include "backend/directory_redis/directory.h"
#include "backend/directory_redis/tls.h"
#include "core/assert.h"
#include "core/env.h"
#include "platform/condition.h"
#include "platform/platform.h"

enum { TIMEOUT_MS = 2000, LOOK_MS = 10000 };

void ch_redis_count(_Atomic uint64_t *figure) {
  atomic_fetch_add_explicit(figure, 1, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------------------ a round of the thread */

static void flush(ch_redis_conn *conn) {
  if (conn->is_doomed) ch_redis_conn_close(conn);
  if (conn->redis) ch_redis_adapter_flush(conn->redis);
}

static void tell_figures(ch_redis *directory) {
  int64_t up = 0;
  for (size_t i = 0; i < directory->node_count; i++)
    up += directory->nodes[i]->steps.state == CH_REDIS_UP;
  atomic_store_explicit(&directory->figures.servers, (int64_t)directory->node_count, memory_order_relaxed);
  atomic_store_explicit(&directory->figures.servers_up, up, memory_order_relaxed);
  atomic_store_explicit(&directory->figures.under_way, (int64_t)directory->steps_under_way, memory_order_relaxed);
  atomic_store_explicit(&directory->figures.watched, (int64_t)directory->watched.count, memory_order_relaxed);
}

static void end_round(ch_redis *directory) {
  ch_redis_steps_go(directory);
  for (size_t i = 0; i < directory->node_count; i++) {
    flush(&directory->nodes[i]->steps);
    flush(&directory->nodes[i]->changes);
  }
  tell_figures(directory);
}

void ch_redis_round(void *arg, bool begins) {
  ch_redis *directory = arg;
  if (begins) {
    pthread_mutex_lock(&directory->lock);
    return;
  }
  end_round(directory);
  pthread_mutex_unlock(&directory->lock);
}

static void take_inbox(ch_redis *directory) {
  ch_list taken;
  ch_list_init(&taken);
  pthread_mutex_lock(&directory->inbox_lock);
  for (ch_list *node; (node = ch_list_pop_front(&directory->inbox));)
    ch_list_push_back(&taken, node);
  pthread_mutex_unlock(&directory->inbox_lock);
  for (ch_list *node; (node = ch_list_pop_front(&taken));)
    ch_redis_take(directory, CH_LIST_ITEM(node, ch_redis_work, of_directory));
}

static void close_all(ch_redis *directory) {
  uv_close((uv_handle_t *)&directory->wake, NULL);
  uv_close((uv_handle_t *)&directory->timer, NULL);
  for (size_t i = 0; i < directory->node_count; i++) {
    ch_redis_node *node = directory->nodes[i];
    node->steps.is_wanted = node->changes.is_wanted = false;
    ch_redis_conn_close(&node->steps);
    ch_redis_conn_close(&node->changes);
    if (node->steps.is_naming) uv_cancel((uv_req_t *)&node->steps.naming);
    if (node->changes.is_naming) uv_cancel((uv_req_t *)&node->changes.naming);
  }
}

static void on_wake(uv_async_t *wake) {
  ch_redis *directory = wake->data;
  ch_redis_round(directory, true);
  take_inbox(directory);
  if (directory->is_stopping) close_all(directory);
  ch_redis_round(directory, false);
}

static void on_tick(uv_timer_t *timer) {
  ch_redis *directory = timer->data;
  uint64_t now_ms = ch_redis_now_ms(directory);
  ch_redis_round(directory, true);
  for (size_t i = 0; i < directory->node_count; i++) {
    ch_redis_conn_tick(&directory->nodes[i]->steps, now_ms);
    ch_redis_conn_tick(&directory->nodes[i]->changes, now_ms);
  }
  ch_redis_map_tick(directory, now_ms);
  ch_redis_steps_expire(directory, now_ms);
  ch_redis_watch_tick(directory, now_ms);
  ch_redis_round(directory, false);
}

static void *run(void *arg) {
  ch_redis *directory = arg;
  ch_platform_name_thread("chat-redis");
  uv_run(&directory->loop, UV_RUN_DEFAULT);
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ ports */

static int submit(void *self, void *port, chat_op *op) {
  ch_redis *directory = self;
  ch_redis_port *from = port;
  int error = ch_port_accept(&from->port);
  if (error) return error;
  ch_redis_work *work = chat_op_alloc(op, sizeof *work);
  if (!work) {
    ch_port_finish(&from->port, op, CHAT_E_NOMEM);
    return 0;
  }
  *work = (ch_redis_work){.op = op, .port = from};
  ch_list_init(&work->of_directory);
  pthread_mutex_lock(&directory->inbox_lock);
  bool was_empty = ch_list_is_empty(&directory->inbox);
  ch_list_push_back(&directory->inbox, &work->of_directory);
  pthread_mutex_unlock(&directory->inbox_lock);
  if (was_empty) uv_async_send(&directory->wake);
  return 0;
}

static int port_new(void *self, chat_wake wake, void **port) {
  ch_redis *directory = self;
  ch_redis_port *made = ch_calloc(directory->config.alloc, 1, sizeof *made);
  if (!made) return CHAT_E_NOMEM;
  int error = ch_port_init(&made->port, wake);
  if (error) {
    ch_free(directory->config.alloc, made);
    return error;
  }
  ch_hashmap_init(&made->watches, directory->config.alloc, directory->watched.seed);
  ch_list_init(&made->changed);
  pthread_mutex_lock(&directory->lock);
  ch_list_push_back(&directory->ports, &made->of_directory);
  pthread_mutex_unlock(&directory->lock);
  *port = made;
  return 0;
}

static void port_cancel(void *self, void *port) {
  ch_redis *directory = self;
  ch_redis_port *canceled = port;
  ch_port_cancel(&canceled->port);
  pthread_mutex_lock(&directory->lock);
  for (chat_op *op; (op = ch_op_queue_pop(&canceled->waiting));)
    ch_port_finish(&canceled->port, op, CHAT_E_CANCELED);
  pthread_mutex_unlock(&directory->lock);
}

static void port_free(void *self, void *port) {
  ch_redis *directory = self;
  ch_redis_port *freed = port;
  pthread_mutex_lock(&directory->lock);
  ch_redis_unwatch_all(directory, freed);
  ch_list_remove(&freed->of_directory);
  pthread_mutex_unlock(&directory->lock);
  ch_hashmap_fini(&freed->watches);
  ch_port_fini(&freed->port);
  ch_free(directory->config.alloc, freed);
}

static chat_op *poll_port(void *self, void *port) {
  (void)self;
  return ch_port_poll(&((ch_redis_port *)port)->port);
}

/* ------------------------------------------------------------------------------------------------ life */

static void free_directory(void *self) {
  ch_redis *directory = self;
  pthread_mutex_lock(&directory->lock);
  directory->is_stopping = true;
  pthread_mutex_unlock(&directory->lock);
  uv_async_send(&directory->wake);
  pthread_join(directory->thread, NULL);
  ch_redis_watch_fini(directory);
  ch_redis_steps_expire(directory, UINT64_MAX); /* looks */
  ch_hashmap_fini(&directory->watched);
  ch_redis_nodes_fini(directory);
  ch_assert(uv_loop_close(&directory->loop) == 0);
  pthread_cond_destroy(&directory->changed);
  pthread_mutex_destroy(&directory->lock);
  pthread_mutex_destroy(&directory->inbox_lock);
  ch_free(directory->config.alloc, directory);
}

static int64_t read_count(const _Atomic uint64_t *figure) {
  return (int64_t)atomic_load_explicit(figure, memory_order_relaxed);
}

static int64_t read_level(const _Atomic int64_t *figure) {
  return atomic_load_explicit(figure, memory_order_relaxed);
}

static size_t figures(void *self, chat_figure *out, size_t max) {
  const ch_redis_figures *f = &((ch_redis *)self)->figures;
  const chat_figure all[] = {
      {CHAT_FIGURE_GAUGE, "chat_directory_servers", "Servers of the directory, and those of them that are connected.", "state", "known", read_level(&f->servers)},
      {CHAT_FIGURE_GAUGE, "chat_directory_servers", NULL, "state", "connected", read_level(&f->servers_up)},
      {CHAT_FIGURE_COUNTER, "chat_directory_steps_total", "Steps of the directory, one for each user or channel.", "result", "done", read_count(&f->steps)},
      {CHAT_FIGURE_COUNTER, "chat_directory_steps_total", NULL, "result", "failed", read_count(&f->failed)},
      {CHAT_FIGURE_GAUGE, "chat_directory_steps_waiting", "Steps that were sent and are not answered.", NULL, NULL, read_level(&f->under_way)},
      {CHAT_FIGURE_COUNTER, "chat_directory_redirects_total", "Steps that were sent again: another server has the slot, or a script was not loaded.", NULL, NULL, read_count(&f->redirected)},
      {CHAT_FIGURE_COUNTER, "chat_directory_connects_total", "Connections to servers that were made.", NULL, NULL, read_count(&f->connected)},
      {CHAT_FIGURE_COUNTER, "chat_directory_timeouts_total", "Connections that were given up because nothing came.", NULL, NULL, read_count(&f->timed_out)},
      {CHAT_FIGURE_GAUGE, "chat_directory_watched_users", "Users whose presence is followed.", NULL, NULL, read_level(&f->watched)},
      {CHAT_FIGURE_COUNTER, "chat_directory_changes_total", "Changes of presence that were told.", NULL, NULL, read_count(&f->changes)},
      {CHAT_FIGURE_COUNTER, "chat_directory_changes_lost_total", "Times that changes may have been lost, so that all were read anew.", NULL, NULL, read_count(&f->lost)},
  };
  size_t count = sizeof all / sizeof *all < max ? sizeof all / sizeof *all : max;
  memcpy(out, all, count * sizeof *all);
  return count;
}

static const chat_backend_vtable vtable = {
    .size = sizeof(chat_backend_vtable),
    .name = "directory_redis",
    .flags = CHAT_BACKEND_SHARED,
    .port_new = port_new,
    .port_cancel = port_cancel,
    .port_free = port_free,
    .submit = submit,
    .poll = poll_port,
    .free = free_directory,
    .figures = figures,
};

static bool is_settled(const ch_redis *directory) {
  bool all_tried = true;
  for (size_t i = 0; i < directory->node_count; i++) {
    const ch_redis_conn *conn = &directory->nodes[i]->steps;
    if (conn->refusal) return true;
    if (conn->state != CH_REDIS_UP && conn->failures < 2) all_tried = false; /* a name may have an address at which nobody listens */
    if (conn->state == CH_REDIS_UP && directory->url.is_cluster && !directory->has_map) all_tried = false;
  }
  return all_tried;
}

static int judge_servers(const ch_redis *directory, ch_buf *why) {
  const char *begin = "not reached yet: ";
  for (size_t i = 0; i < directory->node_count; i++) {
    const ch_redis_node *node = directory->nodes[i];
    if (node->steps.state == CH_REDIS_UP || !node->is_seed) continue;
    if (node->steps.refusal) {
      ch_buf_printf(why, "%s:%u: %s, ", node->address.host, (unsigned)node->address.port, node->steps.refusal);
      return CHAT_E_INVALID;
    }
    ch_buf_printf(why, "%s%s:%u", begin, node->address.host, (unsigned)node->address.port);
    begin = ", ";
  }
  return 0;
}

static int wait_for_servers(ch_redis *directory, ch_buf *why) {
  struct timespec until = ch_condition_in_ms(directory->config.timeout_ms);
  pthread_mutex_lock(&directory->lock);
  while (!is_settled(directory) && ch_condition_wait(&directory->changed, &directory->lock, &until)) continue;
  int error = judge_servers(directory, why);
  pthread_mutex_unlock(&directory->lock);
  return error;
}

/* No signal is for this thread: among them SIGPIPE, which hiredis would get from a server that left. */
static int start_thread(ch_redis *directory) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&directory->thread, NULL, run, directory);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error ? CHAT_E_NOMEM : 0;
}

static int init_loop(ch_redis *directory) {
  if (uv_loop_init(&directory->loop)) return CHAT_E_NOMEM;
  directory->wake.data = directory->timer.data = directory;
  if (uv_async_init(&directory->loop, &directory->wake, on_wake)) {
    ch_assert(uv_loop_close(&directory->loop) == 0);
    return CHAT_E_NOMEM;
  }
  uv_timer_init(&directory->loop, &directory->timer);
  uv_timer_start(&directory->timer, on_tick, 0, CH_REDIS_TICK_MS);
  return 0;
}

static void fini_loop(ch_redis *directory) {
  uv_close((uv_handle_t *)&directory->wake, NULL);
  uv_close((uv_handle_t *)&directory->timer, NULL);
  uv_run(&directory->loop, UV_RUN_DEFAULT);
  ch_assert(uv_loop_close(&directory->loop) == 0);
}

static int init_locks(ch_redis *directory) {
  if (pthread_mutex_init(&directory->inbox_lock, NULL)) return CHAT_E_NOMEM;
  if (pthread_mutex_init(&directory->lock, NULL)) {
    pthread_mutex_destroy(&directory->inbox_lock);
    return CHAT_E_NOMEM;
  }
  if (ch_condition_init(&directory->changed) == 0) return 0;
  pthread_mutex_destroy(&directory->lock);
  pthread_mutex_destroy(&directory->inbox_lock);
  return CHAT_E_NOMEM;
}

static void init_values(ch_redis *directory, const ch_directory_redis_config *config) {
  uint8_t seed[CH_HASHMAP_SEED_LEN];
  directory->config = *config;
  directory->config.url = NULL; /* borrowed */
  if (!config->timeout_ms) directory->config.timeout_ms = TIMEOUT_MS;
  if (!config->look_ms) directory->config.look_ms = LOOK_MS;
  config->random.fill(config->random.arg, seed, sizeof seed);
  ch_hashmap_init(&directory->watched, config->alloc, seed);
  ch_list_init(&directory->inbox);
  ch_list_init(&directory->waiting);
  ch_list_init(&directory->ports);
  ch_list_init(&directory->looks);
}

static int start(ch_redis *directory) {
  int error = init_loop(directory);
  if (error) return error;
  for (size_t i = 0; i < directory->node_count; i++)
    directory->nodes[i]->steps.is_wanted = true; /* begun by the first tick */
  error = start_thread(directory);
  if (error) fini_loop(directory);
  return error;
}

static int make(ch_redis *directory) {
  int error = ch_redis_scripts_init(&directory->scripts);
  if (!error) error = init_locks(directory);
  if (error) return error;
  error = ch_redis_nodes_init(directory);
  if (!error) error = start(directory);
  if (!error) return 0;
  ch_redis_nodes_fini(directory);
  pthread_cond_destroy(&directory->changed);
  pthread_mutex_destroy(&directory->lock);
  pthread_mutex_destroy(&directory->inbox_lock);
  return error;
}

int ch_directory_redis_new(const ch_directory_redis_config *config, chat_backend *directory, ch_buf *why) {
  ch_redis *made = ch_calloc(config->alloc, 1, sizeof *made);
  if (!made) return CHAT_E_NOMEM;
  int error = ch_redis_url_parse(config->url, &made->url, why);
  if (!error && made->url.has_tls && !ch_redis_tls_is_there()) {
    ch_buf_put_text(why, "this build's hiredis has no TLS, ");
    error = CHAT_E_UNSUPPORTED;
  }
  init_values(made, config);
  if (!error) error = make(made);
  if (error) {
    ch_free(config->alloc, made);
    return error;
  }
  error = wait_for_servers(made, why);
  *directory = (chat_backend){&vtable, made};
  if (error) free_directory(made);
  return error;
}
