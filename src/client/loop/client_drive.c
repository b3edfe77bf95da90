/* SPDX-License-Identifier: Apache-2.0 */
/* One turn of the driver: notes and transport into the brain, what the brain wants out of it. The only place of the client that reads clocks. */
#include <string.h>

#include "client/loop/client_loop.h"
#include "platform/platform.h"

enum { TURN_MS = 50, FRAMES_A_TURN = 64 }; /* work of a turn that is not begun after TURN_MS is the next one's */

ch_now ch_client_now(const chat_client *client) {
  return (ch_now){client->clock.elapsed_ms(client->clock.arg), client->clock.wall_ms(client->clock.arg)};
}

/* ------------------------------------------------------------------------------------------------ notes */

/* The brain could not take a request that was accepted: its reply was made in advance. */
static void refuse(chat_client *client, ch_note *note, int error) {
  ch_client_event *reply = note->reply;
  note->reply = NULL;
  reply->event.type = CHAT_EVENT_REPLY;
  reply->event.tag = note->request.tag;
  reply->event.status = error;
  ch_client_events_push(client, reply);
}

static void note_request(chat_client *client, ch_note *note) {
  int error = ch_brain_request(client->brain, &note->request, ch_client_now(client));
  if (error && note->request.kind != CH_REQ_TYPING) refuse(client, note, error);
}

static void note_token(chat_client *client, ch_note *note) {
  (void)ch_brain_set_token(client->brain, note->text, ch_client_now(client)); /* an event says where it could not be taken */
}

static void note_url(chat_client *client, ch_note *note) {
  memcpy(client->options.url, note->text.data, note->text.len + 1);
  ch_brain_url_changed(client->brain, ch_client_now(client));
}

static void note_network(chat_client *client, ch_note *note) {
  ch_brain_network_hint(client->brain, note->hint, ch_client_now(client));
}

static void (*const handlers[])(chat_client *client, ch_note *note) = {
    [CH_NOTE_REQUEST] = note_request,
    [CH_NOTE_TOKEN] = note_token,
    [CH_NOTE_URL] = note_url,
    [CH_NOTE_NETWORK] = note_network,
};

static bool stopping(chat_client *client) {
  pthread_mutex_lock(&client->lock);
  bool stop = client->phase == CH_CLIENT_STOPPING;
  pthread_mutex_unlock(&client->lock);
  return stop;
}

static bool must_suspend_at_once(chat_client *client, ch_now now) {
  pthread_mutex_lock(&client->lock);
  bool late = client->phase == CH_CLIENT_SUSPENDING && now.elapsed_ms >= client->suspend_by_ms;
  pthread_mutex_unlock(&client->lock);
  return late;
}

/* Each of a thousand may be a durable commit: who suspends or frees the client does not wait for them all. What is not begun by a suspend's deadline is refused by the
 * suspended brain. */
static void take_notes(chat_client *client, uint64_t by_ms) {
  ch_note *note = ch_notes_take(client);
  while (note) {
    ch_note *next = note->next;
    ch_now now = ch_client_now(client);
    if (now.elapsed_ms >= by_ms) {
      ch_notes_give_back(client, note);
      return;
    }
    if (must_suspend_at_once(client, now)) ch_brain_suspend(client->brain, now);
    if (!stopping(client)) handlers[note->kind](client, note);
    ch_note_free(client, note);
    note = next;
  }
}

/* ------------------------------------------------------------------------------------------------ transport */

static const char *given(const char *text) {
  return text[0] ? text : NULL;
}

static void open_transport(chat_client *client) {
  const ch_client_options *o = &client->options;
  chat_transport_target target = {sizeof target, o->url, given(o->ca_file), given(o->pin_sha256), given(o->address)};
  int error = client->transport->vtable->open(client->transport->self, &target);
  if (error) ch_brain_closed(client->brain, error, ch_client_now(client));
}

static void do_wants(chat_client *client) {
  for (;;) {
    switch (ch_brain_wants(client->brain)) {
      case CH_WANT_NOTHING: return;
      case CH_WANT_OPEN: open_transport(client); break;
      case CH_WANT_CLOSE: client->transport->vtable->close(client->transport->self); break;
    }
  }
}

static void write_frames(chat_client *client) {
  for (;;) {
    chat_bytes frame = ch_brain_peek(client->brain);
    if (frame.len == 0) return;
    if (client->transport->vtable->send(client->transport->self, frame) != 0) return; /* full: later; closed: CLOSED follows */
    ch_brain_taken(client->brain, ch_client_now(client));
  }
}

static bool read_one(chat_client *client) {
  chat_transport_event event = {0};
  client->transport->vtable->poll(client->transport->self, &event);
  ch_now now = ch_client_now(client);
  switch (event.type) {
    case CHAT_TRANSPORT_OPEN: ch_brain_opened(client->brain, now); return true;
    case CHAT_TRANSPORT_MESSAGE: ch_brain_frame(client->brain, event.message, now); return true;
    case CHAT_TRANSPORT_CLOSED: ch_brain_closed(client->brain, event.status, now); return true;
    default: return false;
  }
}

/* What the brain says goes out after each step, so that a frame's answer does not wait for the next frame. */
static void settle(chat_client *client) {
  do_wants(client);
  write_frames(client);
}

static void read_transport(chat_client *client, uint64_t by_ms) {
  for (int i = 0; i < FRAMES_A_TURN && ch_client_now(client).elapsed_ms < by_ms && read_one(client); i++) settle(client);
}

/* ------------------------------------------------------------------------------------------------ suspend, resume */

static void set_phase(chat_client *client, int phase) {
  pthread_mutex_lock(&client->lock);
  client->phase = phase;
  pthread_cond_broadcast(&client->changed);
  pthread_mutex_unlock(&client->lock);
}

static void suspend_now(chat_client *client) {
  take_notes(client, CH_NEVER_MS); /* accepted before the suspend: each gets its reply */
  ch_brain_suspend(client->brain, ch_client_now(client));
  do_wants(client);
  client->transport->vtable->close(client->transport->self);
  set_phase(client, CH_CLIENT_SUSPENDED);
}

static void resume_now(chat_client *client) {
  int error = ch_brain_resume(client->brain, ch_client_now(client));
  pthread_mutex_lock(&client->lock);
  client->resume_wanted = false;
  client->resume_status = error;
  if (!error) client->phase = CH_CLIENT_RUNNING;
  pthread_cond_broadcast(&client->changed);
  pthread_mutex_unlock(&client->lock);
}

static void change_phase(chat_client *client) {
  pthread_mutex_lock(&client->lock);
  bool suspend = client->phase == CH_CLIENT_SUSPENDING;
  bool resume = client->resume_wanted;
  pthread_mutex_unlock(&client->lock);
  if (suspend) suspend_now(client);
  if (resume) resume_now(client);
}

/* ------------------------------------------------------------------------------------------------ turn */

int64_t ch_client_until_deadline_ms(chat_client *client) {
  uint64_t deadline_ms = ch_brain_deadline_ms(client->brain);
  if (deadline_ms == CH_NEVER_MS) return -1;
  uint64_t now_ms = ch_client_now(client).elapsed_ms;
  return deadline_ms <= now_ms ? 0 : (int64_t)(deadline_ms - now_ms);
}

void ch_client_turn(chat_client *client, int timeout_ms) {
  client->transport->vtable->wait(client->transport->self, timeout_ms);
  change_phase(client);
  uint64_t by_ms = ch_client_now(client).elapsed_ms + TURN_MS;
  take_notes(client, by_ms);
  settle(client);
  read_transport(client, by_ms);
  ch_now now = ch_client_now(client);
  if (ch_brain_deadline_ms(client->brain) <= now.elapsed_ms) ch_brain_tick(client->brain, now);
  settle(client);
  ch_client_log_facts(client);
  ch_client_events_move(client);
}

void *ch_client_thread(void *arg) {
  chat_client *client = arg;
  ch_platform_name_thread("chat-client");
  while (!stopping(client)) {
    int64_t until_ms = ch_client_until_deadline_ms(client);
    ch_client_turn(client, until_ms < 0 || until_ms > 60000 ? 60000 : (int)until_ms);
  }
  return NULL;
}
