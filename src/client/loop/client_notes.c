/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>

#include "client/loop/client_loop.h"

ch_note *ch_note_new(chat_client *client, ch_note_kind kind) {
  ch_note *note = ch_calloc(client->alloc, 1, sizeof *note);
  if (!note) return NULL;
  note->kind = kind;
  ch_arena_init(&note->arena, client->alloc, 512, 1 << 20);
  if (kind != CH_NOTE_REQUEST) return note;
  note->reply = ch_calloc(client->alloc, 1, sizeof *note->reply);
  if (note->reply) {
    ch_arena_init(&note->reply->arena, client->alloc, 64, 64);
    return note;
  }
  ch_note_free(client, note);
  return NULL;
}

void ch_note_free(chat_client *client, ch_note *note) {
  if (!note) return;
  if (note->kind == CH_NOTE_TOKEN) sodium_memzero((void *)(uintptr_t)note->text.data, note->text.len); /* its copy in the arena */
  if (note->reply) ch_client_event_free(note->reply);
  ch_arena_fini(&note->arena);
  ch_free(client->alloc, note);
}

static int admit(const chat_client *client, const ch_note *note) {
  switch (client->phase) {
    case CH_CLIENT_SUSPENDING:
    case CH_CLIENT_SUSPENDED: return note->kind == CH_NOTE_REQUEST ? CHAT_E_SUSPENDED : 0;
    case CH_CLIENT_RUNNING: break;
    default: return CHAT_E_CLOSED;
  }
  return note->kind == CH_NOTE_REQUEST && client->open_requests == CH_CLIENT_REQUESTS_MAX ? CHAT_E_BUSY : 0;
}

static int admit_one(const chat_client *client, const ch_note *note) {
  int error = admit(client, note);
  return !error && client->note_count == CH_CLIENT_NOTES_MAX ? CHAT_E_BUSY : error;
}

static void link_note(chat_client *client, ch_note *note) {
  if (client->last_note)
    client->last_note->next = note;
  else
    client->first_note = note;
  client->last_note = note;
  client->note_count++;
  if (note->kind == CH_NOTE_REQUEST && note->request.kind != CH_REQ_TYPING) client->open_requests++;
}

int ch_note_post(chat_client *client, ch_note *note) {
  pthread_mutex_lock(&client->lock);
  int error = admit_one(client, note);
  if (!error) link_note(client, note);
  pthread_mutex_unlock(&client->lock);
  if (error)
    ch_note_free(client, note);
  else
    client->transport->vtable->interrupt(client->transport->self);
  return error;
}

ch_note *ch_notes_take(chat_client *client) {
  pthread_mutex_lock(&client->lock);
  ch_note *first = client->first_note;
  client->first_note = client->last_note = NULL;
  client->note_count = 0;
  pthread_mutex_unlock(&client->lock);
  return first;
}

void ch_notes_give_back(chat_client *client, ch_note *first) {
  ch_note *last = first;
  size_t count = 1;
  for (; last->next; last = last->next)
    count++;
  pthread_mutex_lock(&client->lock);
  last->next = client->first_note;
  if (!client->last_note) client->last_note = last;
  client->first_note = first;
  client->note_count += count; /* above the bound for once, where more came meanwhile */
  pthread_mutex_unlock(&client->lock);
  client->transport->vtable->interrupt(client->transport->self); /* the next turn does not wait */
}
