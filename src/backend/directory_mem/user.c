/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "backend/directory_mem/directory.h"
#include "core/assert.h"

enum { SWEEP_MAX = 256 };

/* ------------------------------------------------------------------------------------------------ who is remembered */

static chat_bytes id_of(const ch_directory_user *user) {
  return (chat_bytes){user->id, user->id_len};
}

ch_directory_user *ch_directory_user_find(const ch_directory_mem *directory, chat_bytes id) {
  return ch_hashmap_find(&directory->users, id);
}

void ch_directory_user_free(ch_directory_mem *directory, ch_directory_user *user) {
  ch_assert(ch_list_is_empty(&user->watches));
  while (!ch_list_is_empty(&user->routes))
    ch_directory_route_remove(directory, CH_LIST_ITEM(user->routes.next, ch_directory_route, of_user));
  ch_timer_heap_clear(&directory->timers, &user->presence);
  ch_list_remove(&user->idle);
  ch_hashmap_remove(&directory->users, id_of(user));
  ch_free(directory->config.alloc, user);
}

static int make_room(ch_directory_mem *directory) {
  if (directory->users.count < directory->config.users_max) return 0;
  if (ch_list_is_empty(&directory->idle)) return CHAT_E_AGAIN;
  ch_directory_user_free(directory, CH_LIST_ITEM(directory->idle.next, ch_directory_user, idle));
  return 0;
}

static int make_user(ch_directory_mem *directory, chat_bytes id, ch_directory_user **made) {
  int error = make_room(directory);
  if (error) return error;
  ch_directory_user *user = ch_calloc(directory->config.alloc, 1, sizeof *user + id.len);
  if (!user) return CHAT_E_NOMEM;
  ch_list_init(&user->idle);
  ch_list_init(&user->routes);
  ch_list_init(&user->watches);
  user->presence.kind = CH_TIMER_PRESENCE;
  user->id_len = id.len;
  memcpy(user->id, id.data, id.len);
  error = ch_hashmap_insert(&directory->users, id, user);
  if (error)
    ch_free(directory->config.alloc, user);
  else
    *made = user;
  return error;
}

int ch_directory_user_hold(ch_directory_mem *directory, chat_bytes id, ch_directory_user **user) {
  *user = ch_directory_user_find(directory, id);
  if (!*user) return make_user(directory, id, user);
  ch_list_remove(&(*user)->idle);
  return 0;
}

void ch_directory_user_settle(ch_directory_mem *directory, ch_directory_user *user, uint64_t now_ms) {
  ch_list_remove(&user->idle);
  if (!ch_list_is_empty(&user->routes) || !ch_list_is_empty(&user->watches)) return;
  user->touched_ms = now_ms;
  ch_list_push_back(&directory->idle, &user->idle);
}

/* ------------------------------------------------------------------------------------------------ presence */

bool ch_directory_user_online(const ch_directory_user *user, uint64_t now_ms) {
  return user->online && user->presence.deadline_ms > now_ms;
}

int ch_directory_user_set_online(ch_directory_mem *directory, ch_directory_user *user, uint32_t presence_ms, ch_directory_now now) {
  int error = ch_timer_heap_set(&directory->timers, &user->presence, now.elapsed_ms + presence_ms);
  if (error) return error;
  bool was_online = user->online;
  user->online = true;
  user->seen_ms = now.wall_ms;
  if (!was_online) ch_directory_tell_watchers(user);
  return 0;
}

void ch_directory_user_set_offline(ch_directory_mem *directory, ch_directory_user *user) {
  ch_timer_heap_clear(&directory->timers, &user->presence);
  if (!user->online) return;
  user->online = false;
  ch_directory_tell_watchers(user);
}

/* ------------------------------------------------------------------------------------------------ what expires */

#define TIMER_OWNER(timer, type, member) ((type *)(void *)((char *)(timer)-offsetof(type, member)))

static void expire_route(ch_directory_mem *directory, ch_directory_route *route, uint64_t now_ms) {
  ch_directory_user *user = route->user;
  ch_directory_route_remove(directory, route);
  ch_directory_user_settle(directory, user, now_ms);
}

static void expire(ch_directory_mem *directory, ch_timer *timer, uint64_t now_ms) {
  switch ((ch_directory_timer)timer->kind) {
  case CH_TIMER_PRESENCE: ch_directory_user_set_offline(directory, TIMER_OWNER(timer, ch_directory_user, presence)); return;
  case CH_TIMER_ROUTE: expire_route(directory, TIMER_OWNER(timer, ch_directory_route, timer), now_ms); return;
  case CH_TIMER_SUBSCRIPTION: ch_directory_subscription_remove(directory, TIMER_OWNER(timer, ch_directory_subscription, timer)); return;
  }
  ch_assert(false);
}

static bool forget_one(ch_directory_mem *directory, uint64_t now_ms) {
  if (ch_list_is_empty(&directory->idle)) return false;
  ch_directory_user *user = CH_LIST_ITEM(directory->idle.next, ch_directory_user, idle);
  if (user->touched_ms + directory->config.keep_ms > now_ms) return false;
  ch_directory_user_free(directory, user);
  return true;
}

void ch_directory_sweep(ch_directory_mem *directory, uint64_t now_ms) {
  int left = SWEEP_MAX;
  for (ch_timer *timer; left > 0 && (timer = ch_timer_heap_due(&directory->timers, now_ms)); left--)
    expire(directory, timer, now_ms);
  while (left > 0 && forget_one(directory, now_ms))
    left--;
}
