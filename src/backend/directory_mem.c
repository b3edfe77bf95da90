/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/directory_mem.h"

#include <string.h>

#include "backend/directory_mem/directory.h"
#include "core/env.h"

enum { USERS_MAX = 1000000, KEEP_MS = 24 * 60 * 60 * 1000 };

/* ------------------------------------------------------------------------------------------------ ops */

static ch_directory_fn *const handlers[] = {
    [CHAT_OP_DIRECTORY_RENEW] = ch_directory_do_renew,
    [CHAT_OP_DIRECTORY_DROP] = ch_directory_do_drop,
    [CHAT_OP_DIRECTORY_RAISE] = ch_directory_do_raise,
    [CHAT_OP_DIRECTORY_ROUTES] = ch_directory_do_routes,
    [CHAT_OP_DIRECTORY_MARK] = ch_directory_do_mark,
    [CHAT_OP_DIRECTORY_FILL] = ch_directory_do_fill,
    [CHAT_OP_DIRECTORY_PRESENCE] = ch_directory_do_presence,
    [CHAT_OP_DIRECTORY_WATCH] = ch_directory_do_watch,
    [CHAT_OP_DIRECTORY_CHANGES] = ch_directory_do_changes,
    [CHAT_OP_DIRECTORY_SUBSCRIBE] = ch_directory_do_subscribe,
    [CHAT_OP_DIRECTORY_SUBSCRIBERS] = ch_directory_do_subscribers,
};

static ch_directory_fn *find_handler(uint32_t kind) {
  return kind < sizeof handlers / sizeof *handlers ? handlers[kind] : NULL;
}

/* Clocks are never read with a lock held (chat/chat.h), so two threads may come here with their times in the other order: nothing depends on it. */
static ch_directory_now read_clock(const ch_directory_mem *directory) {
  const chat_clock *clock = &directory->config.clock;
  return (ch_directory_now){clock->elapsed_ms(clock->arg), clock->wall_ms(clock->arg)};
}

static int directory_submit(void *self, void *port, chat_op *op) {
  ch_directory_mem *directory = self;
  ch_directory_port *from = port;
  int error = ch_port_accept(&from->port);
  if (error) return error;
  ch_directory_fn *fn = find_handler(op->kind);
  int status = CHAT_E_UNSUPPORTED;
  bool is_done = true;
  if (fn) {
    ch_directory_now now = read_clock(directory);
    pthread_mutex_lock(&directory->lock);
    ch_directory_sweep(directory, now.elapsed_ms);
    is_done = fn(directory, from, op, now, &status);
    pthread_mutex_unlock(&directory->lock);
  }
  if (is_done) ch_port_finish(&from->port, op, status);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ ports */

static int directory_port_new(void *self, chat_wake wake, void **port) {
  ch_directory_mem *directory = self;
  ch_directory_port *made = ch_calloc(directory->config.alloc, 1, sizeof *made);
  if (!made) return CHAT_E_NOMEM;
  int error = ch_port_init(&made->port, wake);
  if (error) {
    ch_free(directory->config.alloc, made);
    return error;
  }
  ch_hashmap_init(&made->watches, directory->config.alloc, directory->config.seed);
  ch_list_init(&made->changed);
  pthread_mutex_lock(&directory->lock);
  ch_list_push_back(&directory->ports, &made->of_directory);
  pthread_mutex_unlock(&directory->lock);
  *port = made;
  return 0;
}

static void directory_port_cancel(void *self, void *port) {
  ch_directory_mem *directory = self;
  ch_directory_port *canceled = port;
  ch_port_cancel(&canceled->port);
  pthread_mutex_lock(&directory->lock);
  for (chat_op *op = ch_op_queue_pop(&canceled->waiting); op; op = ch_op_queue_pop(&canceled->waiting))
    ch_port_finish(&canceled->port, op, CHAT_E_CANCELED);
  pthread_mutex_unlock(&directory->lock);
}

static void directory_port_free(void *self, void *port) {
  ch_directory_mem *directory = self;
  ch_directory_port *freed = port;
  ch_directory_now now = read_clock(directory);
  pthread_mutex_lock(&directory->lock);
  for (ch_hashmap_entry *entry; (entry = ch_hashmap_first(&freed->watches));)
    ch_directory_watching_remove(directory, entry->value, now.elapsed_ms);
  ch_list_remove(&freed->of_directory);
  pthread_mutex_unlock(&directory->lock);
  ch_hashmap_fini(&freed->watches);
  ch_port_fini(&freed->port);
  ch_free(directory->config.alloc, freed);
}

static chat_op *directory_poll(void *self, void *port) {
  (void)self;
  return ch_port_poll(&((ch_directory_port *)port)->port);
}

/* ------------------------------------------------------------------------------------------------ life */

static void free_channels(ch_directory_mem *directory) {
  for (ch_hashmap_entry *entry; (entry = ch_hashmap_first(&directory->channels));) {
    ch_directory_channel *channel = entry->value;
    ch_directory_subscription_remove(directory, CH_LIST_ITEM(channel->subscriptions.next, ch_directory_subscription, of_channel));
  }
}

static void directory_free(void *self) {
  ch_directory_mem *directory = self;
  free_channels(directory);
  for (ch_hashmap_entry *entry; (entry = ch_hashmap_first(&directory->users));)
    ch_directory_user_free(directory, entry->value);
  ch_hashmap_fini(&directory->users);
  ch_hashmap_fini(&directory->channels);
  ch_timer_heap_fini(&directory->timers);
  pthread_mutex_destroy(&directory->lock);
  ch_free(directory->config.alloc, directory);
}

static const chat_backend_vtable vtable = {
    .size = sizeof(chat_backend_vtable),
    .name = "directory_mem",
    .port_new = directory_port_new,
    .port_cancel = directory_port_cancel,
    .port_free = directory_port_free,
    .submit = directory_submit,
    .poll = directory_poll,
    .free = directory_free,
};

int ch_directory_mem_new(const ch_directory_mem_config *config, chat_backend *directory) {
  if (!config->clock.elapsed_ms || !config->clock.wall_ms || !config->epoch) return CHAT_E_INVALID;
  ch_directory_mem *made = ch_calloc(config->alloc, 1, sizeof *made);
  if (!made) return CHAT_E_NOMEM;
  made->config = *config;
  if (!made->config.users_max) made->config.users_max = USERS_MAX;
  if (!made->config.keep_ms) made->config.keep_ms = KEEP_MS;
  made->epoch = config->epoch;
  if (pthread_mutex_init(&made->lock, NULL)) {
    ch_free(config->alloc, made);
    return CHAT_E_NOMEM;
  }
  ch_hashmap_init(&made->users, config->alloc, config->seed);
  ch_hashmap_init(&made->channels, config->alloc, config->seed);
  ch_list_init(&made->idle);
  ch_list_init(&made->ports);
  ch_timer_heap_init(&made->timers, config->alloc);
  *directory = (chat_backend){&vtable, made};
  return 0;
}

/* ------------------------------------------------------------------------------------------------ for tests */

/* Watched users stay, since their watches do; nothing is known of them any more. Nobody is told one by one: all are told that changes were lost. */
static void forget_user(ch_directory_mem *directory, ch_directory_user *user) {
  user->online = false;
  user->seen_ms = user->pos = user->mark = 0;
  while (!ch_list_is_empty(&user->routes))
    ch_directory_route_remove(directory, CH_LIST_ITEM(user->routes.next, ch_directory_route, of_user));
  ch_timer_heap_clear(&directory->timers, &user->presence);
  if (ch_list_is_empty(&user->watches)) ch_directory_user_free(directory, user);
}

void ch_directory_mem_flush(chat_backend directory) {
  ch_directory_mem *self = directory.self;
  pthread_mutex_lock(&self->lock);
  self->epoch++;
  free_channels(self);
  for (ch_hashmap_entry *entry = ch_hashmap_first(&self->users), *next; entry; entry = next) {
    next = ch_hashmap_next(&self->users, entry);
    forget_user(self, entry->value);
  }
  CH_LIST_FOR_EACH(node, &self->ports)
  ch_directory_tell_lost(CH_LIST_ITEM(node, ch_directory_port, of_directory));
  pthread_mutex_unlock(&self->lock);
}

void ch_directory_mem_new_epoch(chat_backend directory) {
  ch_directory_mem *self = directory.self;
  pthread_mutex_lock(&self->lock);
  self->epoch++;
  pthread_mutex_unlock(&self->lock);
}

size_t ch_directory_mem_user_count(chat_backend directory) {
  ch_directory_mem *self = directory.self;
  pthread_mutex_lock(&self->lock);
  size_t count = self->users.count;
  pthread_mutex_unlock(&self->lock);
  return count;
}
