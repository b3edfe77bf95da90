/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/events.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/bytes.h"
#include "platform/condition.h"
#include "core/bytes.h"

enum { CALL_CHUNK_LEN = 1024, CALL_MEMORY_MAX = 64 * 1024 * 1024 };

int ch_events_init(ch_events *events, const ch_allocator *alloc) {
  *events = (ch_events){.alloc = alloc};
  ch_list_init(&events->ready);
  ch_list_init(&events->under_way);
  events->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (events->fd < 0) return CHAT_E_NOMEM;
  int error = ch_condition_init(&events->changed);
  if (!error && pthread_mutex_init(&events->lock, NULL) != 0) {
    pthread_cond_destroy(&events->changed);
    error = CHAT_E_NOMEM;
  }
  if (error) close(events->fd);
  return error;
}

static void call_free(ch_errand *call) {
  const ch_allocator *alloc = call->events->alloc;
  ch_arena_fini(&call->arena);
  ch_free(alloc, call);
}

void ch_events_fini(ch_events *events) {
  if (events->shown) call_free(events->shown);
  for (ch_list *node; (node = ch_list_pop_front(&events->ready));) call_free(CH_LIST_ITEM(node, ch_errand, node));
  pthread_cond_destroy(&events->changed);
  pthread_mutex_destroy(&events->lock);
  close(events->fd);
}

/* ------------------------------------------------------------------------------------------------ calls */

static ch_errand *allocate(ch_events *events, uint32_t type, uint64_t tag) {
  ch_errand *call = ch_calloc(events->alloc, 1, sizeof *call);
  if (!call) return NULL;
  call->events = events;
  ch_arena_init(&call->arena, events->alloc, CALL_CHUNK_LEN, CALL_MEMORY_MAX);
  call->event.type = type;
  call->event.tag = tag;
  ch_list_init(&call->node);
  return call;
}

/* Takes one of `max`; false: none is left. */
static bool take_place(ch_events *events, size_t *count, size_t max) {
  pthread_mutex_lock(&events->lock);
  bool is_free = *count < max;
  if (is_free) (*count)++;
  pthread_mutex_unlock(&events->lock);
  return is_free;
}

static void give_place(ch_events *events, size_t *count) {
  pthread_mutex_lock(&events->lock);
  (*count)--;
  pthread_mutex_unlock(&events->lock);
}

int ch_errand_new(ch_events *events, uint64_t tag, size_t awaited, ch_errand **out) {
  *out = NULL;
  if (!take_place(events, &events->call_count, CH_CALLS_MAX)) return CHAT_E_BUSY;
  ch_errand *call = allocate(events, CHAT_SERVER_REPLY, tag);
  if (!call) {
    give_place(events, &events->call_count);
    return CHAT_E_NOMEM;
  }
  call->awaited = awaited;
  *out = call;
  return 0;
}

void ch_errand_begin(ch_errand *call) {
  pthread_mutex_lock(&call->events->lock);
  ch_list_push_back(&call->events->under_way, &call->node);
  pthread_mutex_unlock(&call->events->lock);
}

void ch_errand_drop(ch_errand *call) {
  ch_events *events = call->events;
  pthread_mutex_lock(&events->lock);
  ch_list_remove(&call->node);
  events->call_count--;
  pthread_mutex_unlock(&events->lock);
  call_free(call);
}

/* Under the lock. */
static void make_ready(ch_events *events, ch_errand *call) {
  uint64_t one = 1;
  ch_list_remove(&call->node);
  if (ch_list_is_empty(&events->ready)) ch_assert(write(events->fd, &one, sizeof one) == sizeof one);
  ch_list_push_back(&events->ready, &call->node);
  pthread_cond_broadcast(&events->changed);
}

void ch_errand_answer(ch_errand *call, int status, uint64_t count) {
  ch_events *events = call->events;
  pthread_mutex_lock(&events->lock);
  ch_assert(call->awaited > 0);
  call->event.count += count;
  if (!call->event.status) call->event.status = status;
  if (--call->awaited == 0) make_ready(events, call);
  pthread_mutex_unlock(&events->lock);
}

void ch_events_cancel(ch_events *events) {
  pthread_mutex_lock(&events->lock);
  while (!ch_list_is_empty(&events->under_way)) {
    ch_errand *call = CH_LIST_ITEM(events->under_way.next, ch_errand, node);
    call->event.status = CHAT_E_CANCELED;
    make_ready(events, call);
  }
  pthread_mutex_unlock(&events->lock);
}

void ch_events_fault(ch_events *events, int status, const char *text) {
  if (!take_place(events, &events->fault_count, CH_FAULTS_MAX)) return;
  ch_errand *fault = allocate(events, CHAT_SERVER_FAULT, 0);
  char *copy = fault ? ch_arena_dup(&fault->arena, text, strlen(text)) : NULL;
  if (!copy) {
    if (fault) call_free(fault);
    give_place(events, &events->fault_count);
    return;
  }
  fault->event.status = status;
  fault->event.text = ch_bytes_of(copy, strlen(text));
  pthread_mutex_lock(&events->lock);
  make_ready(events, fault);
  pthread_mutex_unlock(&events->lock);
}

/* ------------------------------------------------------------------------------------------------ waiting */

/* Under the lock: until something is ready, an interrupt, or the time. */
static void wait_ready(ch_events *events, int timeout_ms) {
  struct timespec until = ch_condition_in_ms(timeout_ms);
  while (ch_list_is_empty(&events->ready) && !events->is_interrupted && timeout_ms != 0)
    if (!ch_condition_wait(&events->changed, &events->lock, timeout_ms < 0 ? NULL : &until)) return;
}

/* Under the lock. */
static ch_errand *take_ready(ch_events *events) {
  ch_list *node = ch_list_pop_front(&events->ready);
  if (!node) return NULL;
  uint64_t drained;
  if (ch_list_is_empty(&events->ready)) ch_assert(read(events->fd, &drained, sizeof drained) == sizeof drained);
  ch_errand *call = CH_LIST_ITEM(node, ch_errand, node);
  (*(call->event.type == CHAT_SERVER_FAULT ? &events->fault_count : &events->call_count))--;
  return call;
}

const chat_server_event *ch_events_wait(ch_events *events, int timeout_ms) {
  if (events->shown) call_free(events->shown);
  pthread_mutex_lock(&events->lock);
  wait_ready(events, timeout_ms);
  events->shown = take_ready(events);
  if (timeout_ms != 0) events->is_interrupted = false;
  ch_errand *shown = events->shown;
  pthread_mutex_unlock(&events->lock);
  return shown ? &shown->event : NULL;
}

void ch_events_interrupt(ch_events *events) {
  pthread_mutex_lock(&events->lock);
  events->is_interrupted = true;
  pthread_cond_broadcast(&events->changed);
  pthread_mutex_unlock(&events->lock);
}
