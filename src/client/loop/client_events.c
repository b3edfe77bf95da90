/* SPDX-License-Identifier: Apache-2.0 */
/* The queue that the embedder pulls from, its descriptor and its wakeup. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/loop/client_loop.h"
#include "platform/condition.h"

int ch_client_events_init(chat_client *client) {
  client->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (client->event_fd < 0) return errno == EMFILE || errno == ENFILE ? CHAT_E_LIMIT : CHAT_E_NOMEM;
  return 0;
}

void ch_client_events_fini(chat_client *client) {
  while (client->first_event) {
    ch_client_event *event = client->first_event;
    client->first_event = event->next;
    ch_client_event_free(event);
  }
  ch_client_event_free(client->current);
  if (client->event_fd >= 0) close(client->event_fd);
}

/* The descriptor is a counter of 0 or 1: 1 while the queue is not empty. It cannot fail but by filling up, which 0 and 1 do not. */
static void descriptor_raise(chat_client *client) {
  uint64_t one = 1;
  while (write(client->event_fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

static void descriptor_lower(chat_client *client) {
  uint64_t count;
  while (read(client->event_fd, &count, sizeof count) < 0 && errno == EINTR) continue;
}

static void link_event(chat_client *client, ch_client_event *event) {
  event->next = NULL;
  if (client->last_event)
    client->last_event->next = event;
  else
    client->first_event = event;
  client->last_event = event;
  client->ready_count++;
}

/* Links a chain of events; the embedder is woken once, where the queue was empty. */
static void push_chain(chat_client *client, ch_client_event *chain, bool more) {
  pthread_mutex_lock(&client->lock);
  bool was_empty = !client->first_event;
  while (chain) {
    ch_client_event *next = chain->next;
    link_event(client, chain);
    chain = next;
  }
  client->brain_has_more = more;
  bool wake = was_empty && client->first_event;
  void (*wakeup)(void *) = client->wakeup;
  void *arg = client->wakeup_arg;
  if (wake) {
    descriptor_raise(client);
    pthread_cond_broadcast(&client->changed);
  }
  pthread_mutex_unlock(&client->lock);
  if (wake && wakeup) wakeup(arg);
}

void ch_client_events_push(chat_client *client, ch_client_event *event) {
  event->next = NULL;
  push_chain(client, event, client->brain_has_more);
}

static size_t places(chat_client *client) {
  pthread_mutex_lock(&client->lock);
  size_t count = client->ready_count < CH_CLIENT_EVENTS_READY ? CH_CLIENT_EVENTS_READY - client->ready_count : 0;
  pthread_mutex_unlock(&client->lock);
  return count;
}

void ch_client_events_move(chat_client *client) {
  ch_client_event *chain = NULL, **end = &chain;
  for (size_t n = places(client); n > 0; n--) {
    ch_client_event *event = ch_brain_next_event(client->brain);
    if (!event) break;
    *end = event;
    event->next = NULL;
    end = &event->next;
  }
  push_chain(client, chain, ch_brain_has_event(client->brain));
}

/* ------------------------------------------------------------------------------------------------ wait */

/* With the lock held: until there is an event, an interrupt, or the time. */
static void wait_for_event(chat_client *client, int timeout_ms) {
  if (timeout_ms == 0) return;
  struct timespec until = ch_condition_in_ms(timeout_ms);
  while (!client->first_event && !client->interrupted)
    if (!ch_condition_wait(&client->changed, &client->lock, timeout_ms < 0 ? NULL : &until)) return;
}

static ch_client_event *unlink_event(chat_client *client) {
  ch_client_event *event = client->first_event;
  if (!event) return NULL;
  client->first_event = event->next;
  client->ready_count--;
  if (event->event.type == CHAT_EVENT_REPLY) client->open_requests--;
  if (!client->first_event) {
    client->last_event = NULL;
    descriptor_lower(client);
  }
  return event;
}

const chat_event *chat_client_wait(chat_client *client, int timeout_ms) {
  if (!client) return NULL;
  ch_client_event_free(client->current);
  client->current = NULL;
  if (client->options.caller_driven) timeout_ms = 0;
  pthread_mutex_lock(&client->lock);
  wait_for_event(client, timeout_ms);
  client->interrupted = false;
  client->current = unlink_event(client);
  bool ask_for_more = client->brain_has_more && client->ready_count < CH_CLIENT_EVENTS_READY / 2;
  if (ask_for_more) client->brain_has_more = false;
  pthread_mutex_unlock(&client->lock);
  if (ask_for_more && client->options.caller_driven)
    ch_client_events_move(client);
  else if (ask_for_more)
    client->transport->vtable->interrupt(client->transport->self);
  return client->current ? &client->current->event : NULL;
}

void chat_client_interrupt(chat_client *client) {
  if (!client) return;
  pthread_mutex_lock(&client->lock);
  client->interrupted = true;
  pthread_cond_broadcast(&client->changed);
  pthread_mutex_unlock(&client->lock);
}

void chat_client_set_wakeup(chat_client *client, void (*fn)(void *arg), void *arg) {
  if (!client) return;
  pthread_mutex_lock(&client->lock);
  client->wakeup = fn;
  client->wakeup_arg = arg;
  pthread_mutex_unlock(&client->lock);
}

int chat_client_fd(chat_client *client) {
  return client ? client->event_fd : -1;
}
