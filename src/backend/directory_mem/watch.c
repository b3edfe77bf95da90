/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "backend/directory_mem/directory.h"

enum { CHANGES_MAX = 1024 }; /* in one answer */

/* ------------------------------------------------------------------------------------------------ PRESENCE */

static void describe(const ch_directory_user *user, uint64_t now_ms, chat_presence *out) {
  out->online = user && ch_directory_user_online(user, now_ms);
  out->seen_ms = user ? user->seen_ms : 0;
}

bool ch_directory_do_presence(ch_directory_mem *directory, ch_directory_port *port, chat_op *op, ch_directory_now now, int *status) {
  (void)port;
  chat_directory_presence *ask = (chat_directory_presence *)op;
  *status = 0;
  for (size_t i = 0; i < ask->count && !*status; i++) {
    if (!ch_user_id_valid(ask->users[i].user))
      *status = CHAT_E_INVALID;
    else
      describe(ch_directory_user_find(directory, ask->users[i].user), now.elapsed_ms, &ask->users[i]);
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------ CHANGES */

static ch_directory_watching *changed_of(ch_list *node) {
  return CH_LIST_ITEM(node, ch_directory_watching, changed);
}

static size_t count_changed(const ch_directory_port *port) {
  size_t count = 0;
  for (const ch_list *node = port->changed.next; node != &port->changed && count < CHANGES_MAX; node = node->next)
    count++;
  return count;
}

/* Copies first and takes out after, so that an answer without memory loses nothing. What is told is how it is: online as of the last change that was noticed. */
static int answer(ch_directory_port *port, chat_directory_changes *changes) {
  size_t count = count_changed(port);
  changes->users = chat_op_alloc(&changes->op, (count + 1) * sizeof *changes->users);
  if (!changes->users) return CHAT_E_NOMEM;
  ch_list *node = port->changed.next;
  for (size_t i = 0; i < count; i++, node = node->next) {
    const ch_directory_user *user = changed_of(node)->user;
    changes->users[i] = (chat_presence){.online = user->online, .seen_ms = user->seen_ms};
    changes->users[i].user = chat_op_copy(&changes->op, (chat_bytes){user->id, user->id_len});
    if (!changes->users[i].user.data) return CHAT_E_NOMEM;
  }
  for (size_t i = 0; i < count; i++)
    ch_list_pop_front(&port->changed);
  changes->count = count;
  changes->lost = port->lost;
  port->lost = false;
  return 0;
}

static void serve(ch_directory_port *port) {
  while (port->waiting.count > 0 && (port->lost || !ch_list_is_empty(&port->changed))) {
    chat_op *op = ch_op_queue_pop(&port->waiting);
    ch_port_finish(&port->port, op, answer(port, (chat_directory_changes *)op));
  }
}

bool ch_directory_do_changes(ch_directory_mem *directory, ch_directory_port *port, chat_op *op, ch_directory_now now, int *status) {
  (void)directory;
  (void)now;
  (void)status;
  chat_directory_changes *changes = (chat_directory_changes *)op;
  changes->count = 0;
  changes->lost = 0;
  ch_op_queue_push(&port->waiting, op);
  serve(port);
  return false;
}

void ch_directory_tell_watchers(ch_directory_user *user) {
  CH_LIST_FOR_EACH(node, &user->watches) {
    ch_directory_watching *watching = CH_LIST_ITEM(node, ch_directory_watching, of_user);
    if (ch_list_is_empty(&watching->changed)) ch_list_push_back(&watching->port->changed, &watching->changed);
    serve(watching->port);
  }
}

void ch_directory_tell_lost(ch_directory_port *port) {
  port->lost = true;
  serve(port);
}

/* ------------------------------------------------------------------------------------------------ WATCH */

void ch_directory_watching_remove(ch_directory_mem *directory, ch_directory_watching *watching, uint64_t now_ms) {
  ch_directory_user *user = watching->user;
  ch_hashmap_remove(&watching->port->watches, (chat_bytes){user->id, user->id_len});
  ch_list_remove(&watching->of_user);
  ch_list_remove(&watching->changed);
  ch_free(directory->config.alloc, watching);
  ch_directory_user_settle(directory, user, now_ms);
}

static int link_watching(ch_directory_mem *directory, ch_directory_port *port, ch_directory_user *user) {
  ch_directory_watching *watching = ch_calloc(directory->config.alloc, 1, sizeof *watching);
  if (!watching) return CHAT_E_NOMEM;
  *watching = (ch_directory_watching){.user = user, .port = port};
  int error = ch_hashmap_insert(&port->watches, (chat_bytes){user->id, user->id_len}, watching);
  if (error) {
    ch_free(directory->config.alloc, watching);
    return error;
  }
  ch_list_init(&watching->changed);
  ch_list_push_back(&user->watches, &watching->of_user);
  return 0;
}

static int watch_one(ch_directory_mem *directory, ch_directory_port *port, chat_bytes id, uint64_t now_ms) {
  if (ch_hashmap_find(&port->watches, id)) return 0;
  if (port->watches.count == CH_WATCHES_MAX) return CHAT_E_LIMIT;
  ch_directory_user *user;
  int error = ch_directory_user_hold(directory, id, &user);
  if (error) return error;
  error = link_watching(directory, port, user);
  ch_directory_user_settle(directory, user, now_ms);
  return error;
}

static void unwatch_one(ch_directory_mem *directory, ch_directory_port *port, chat_bytes id, uint64_t now_ms) {
  ch_directory_watching *watching = ch_hashmap_find(&port->watches, id);
  if (watching) ch_directory_watching_remove(directory, watching, now_ms);
}

static bool ids_valid(const chat_bytes *ids, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!ch_user_id_valid(ids[i])) return false;
  }
  return true;
}

bool ch_directory_do_watch(ch_directory_mem *directory, ch_directory_port *port, chat_op *op, ch_directory_now now, int *status) {
  const chat_directory_watch *watch = (chat_directory_watch *)op;
  *status = ids_valid(watch->add, watch->add_count) && ids_valid(watch->remove, watch->remove_count) ? 0 : CHAT_E_INVALID;
  for (size_t i = 0; i < watch->remove_count && !*status; i++)
    unwatch_one(directory, port, watch->remove[i], now.elapsed_ms);
  for (size_t i = 0; i < watch->add_count && !*status; i++)
    *status = watch_one(directory, port, watch->add[i], now.elapsed_ms);
  return true;
}
