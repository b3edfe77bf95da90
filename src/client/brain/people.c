/* SPDX-License-Identifier: Apache-2.0 */
#include "client/brain/people.h"

#include <string.h>

#include "client/brain/owner.h"

void ch_people_init(ch_brain *brain) {
  ch_people *people = &brain->people;
  people->asked_count = 0;
  people->refresh_ms = people->retry_ms = CH_NEVER_MS;
  ch_list_init(&people->to_refresh);
  ch_list_init(&people->to_retry);
  ch_hashmap_init(&brain->people.presence, brain->env.alloc, brain->seed);
}

static void forget_presence(ch_brain *brain) {
  ch_hashmap *presence = &brain->people.presence;
  for (ch_hashmap_entry *entry = ch_hashmap_first(presence); entry; entry = ch_hashmap_next(presence, entry))
    ch_free(brain->env.alloc, entry->value);
  ch_hashmap_fini(presence);
  ch_hashmap_init(presence, brain->env.alloc, brain->seed);
}

void ch_people_fini(ch_brain *brain) {
  forget_presence(brain);
}

/* ------------------------------------------------------------------------------------------------ presence, typing */

static void watch(ch_brain *brain, const ch_conversation *conversation, uint32_t stop) {
  ch_client_message message = {.op = CH_WATCH, .tag = ++brain->connection.last_tag, .u.watch.flag = stop};
  memcpy(message.u.watch.conversation_id, conversation->kept.row.conversation_id, 16);
  ch_put(brain, &message);
}

static void follow(ch_brain *brain, ch_conversation *conversation) {
  if (!ch_is_up(brain)) return;
  watch(brain, conversation, 0);
  ch_receipts_ask(brain, &conversation, 1);
  ch_people_want(brain, conversation);
}

void ch_people_session_begun(ch_brain *brain) {
  ch_hashmap_entry *at;
  for (ch_conversation *conversation = ch_conversation_first(brain, &at); conversation; conversation = ch_conversation_next(brain, &at)) {
    if (conversation->is_open) follow(brain, conversation);
    else ch_people_want(brain, conversation);
  }
}

void ch_people_session_ended(ch_brain *brain) {
  forget_presence(brain);
}

static size_t open_at(const ch_people *people, const uint8_t conversation_id[16]) {
  size_t at = 0;
  while (at < people->open_count && memcmp(people->open[at], conversation_id, 16) != 0)
    at++;
  return at;
}

bool ch_people_is_open(const ch_brain *brain, const uint8_t conversation_id[16]) {
  return open_at(&brain->people, conversation_id) < brain->people.open_count;
}

void ch_people_close_all(ch_brain *brain) {
  brain->people.open_count = 0;
}

static void put_open(ch_people *people, ch_conversation *conversation) {
  if (conversation->is_open) return;
  memcpy(people->open[people->open_count++], conversation->kept.row.conversation_id, 16);
  conversation->is_open = true;
}

static void take_open(ch_people *people, ch_conversation *conversation) {
  size_t at = open_at(people, conversation->kept.row.conversation_id);
  memmove(people->open[at], people->open[--people->open_count], 16);
  conversation->is_open = false;
}

void ch_request_open(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_conversation *conversation = ch_conversation_find(brain, request->conversation_id);
  int error = !conversation ? CHAT_E_NOT_FOUND : !conversation->is_open && brain->people.open_count >= CH_OPEN_MAX ? CHAT_E_LIMIT : 0;
  if (!error) {
    put_open(&brain->people, conversation);
    follow(brain, conversation);
  }
  ch_reply_end(brain, reply, error);
}

void ch_request_close(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_conversation *conversation = ch_conversation_find(brain, request->conversation_id);
  if (conversation && conversation->is_open) {
    take_open(&brain->people, conversation);
    if (ch_is_up(brain)) watch(brain, conversation, 1);
  }
  ch_reply_end(brain, reply, conversation ? 0 : CHAT_E_NOT_FOUND);
}

/* Known of at most CH_PRESENCE_MAX users; of the others the event alone says it. */
static void remember(ch_brain *brain, const chat_presence *user) {
  ch_hashmap *presence = &brain->people.presence;
  ch_seen *known = ch_hashmap_find(presence, user->user);
  if (!known) {
    known = presence->count < CH_PRESENCE_MAX ? ch_calloc(brain->env.alloc, 1, sizeof *known) : NULL;
    if (!known) return;
    if (ch_hashmap_insert(presence, user->user, known)) {
      ch_free(brain->env.alloc, known);
      return;
    }
  }
  *known = (ch_seen){user->online, user->seen_ms};
}

void ch_on_presence(ch_brain *brain, const ch_server_message *message) {
  for (size_t i = 0; i < message->u.presence.count; i++) {
    const chat_presence *user = &message->u.presence.users[i];
    int error = 0;
    remember(brain, user);
    ch_client_event *event = ch_event_new(brain, CHAT_EVENT_PRESENCE);
    if (event) {
      event->event.user = ch_event_copy(event, user->user, &error);
      event->event.online = user->online;
      event->event.seen_ms = user->seen_ms;
    }
    ch_event_put(brain, event);
  }
}

void ch_on_typing(ch_brain *brain, const ch_server_message *message) {
  const ch_typing *typing = &message->u.typing;
  ch_client_event *event = ch_event_new(brain, CHAT_EVENT_TYPING);
  int error = 0;
  if (event) {
    memcpy(event->event.conversation_id, typing->conversation_id, 16);
    event->event.user = ch_event_copy(event, typing->user, &error);
    event->event.online = typing->typing;
  }
  ch_event_put(brain, event);
}

int ch_people_typing(ch_brain *brain, const ch_client_request *request) {
  ch_conversation *conversation = ch_conversation_find(brain, request->conversation_id);
  uint64_t now_ms = ch_now_ms(brain);
  bool too_soon = conversation && request->flag && conversation->typing_ms > 0 && now_ms < conversation->typing_ms + CH_TYPING_EVERY_MS;
  if (!conversation || too_soon) return 0;
  conversation->typing_ms = request->flag ? now_ms : 0;
  ch_client_message message = {.op = CH_SET_TYPING, .u.typing.flag = request->flag};
  memcpy(message.u.typing.conversation_id, request->conversation_id, 16);
  ch_put(brain, &message);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ devices */

static int add_device(ch_client_event *reply, size_t count_max, const ch_device_info *device) {
  chat_event *to = &reply->event;
  int error = 0;
  if (!to->devices) to->devices = ch_arena_calloc(&reply->arena, count_max, sizeof *to->devices);
  chat_device_info *info = to->devices ? ch_arena_calloc(&reply->arena, 1, sizeof *info) : NULL;
  if (!info) return CHAT_E_NOMEM;
  *info = (chat_device_info){.name = ch_event_copy(reply, device->name, &error), .created_ms = device->created_ms, .seen_ms = device->seen_ms,
                             .revoked = device->revoked, .current = device->current};
  memcpy(info->device_id, device->device_id, 16);
  ((const chat_device_info **)(uintptr_t)to->devices)[to->device_count++] = info;
  return error;
}

static void devices_done(ch_brain *brain, ch_call *call, const ch_server_message *reply) {
  int status = ch_call_status(brain, reply);
  for (size_t i = 0; !status && i < reply->u.devices_reply.count; i++)
    status = add_device(call->reply, reply->u.devices_reply.count, &reply->u.devices_reply.devices[i]);
  ch_reply_end(brain, call->reply, status);
}

static void revoked(ch_brain *brain, ch_call *call, const ch_server_message *reply) {
  ch_reply_end(brain, call->reply, ch_call_status(brain, reply));
}

void ch_request_devices(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_client_message message = {.op = CH_LIST_DEVICES};
  (void)request;
  int error = ch_call_put(brain, &message, &(ch_call){.done = devices_done, .wanted = CH_DEVICES_REPLY, .reply = reply});
  if (error) ch_reply_end(brain, reply, error);
}

void ch_request_revoke_device(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_client_message message = {.op = CH_REVOKE_DEVICE};
  memcpy(message.u.device_id, request->device_id, 16);
  int error = ch_call_put(brain, &message, &(ch_call){.done = revoked, .wanted = CH_OK, .reply = reply});
  if (error) ch_reply_end(brain, reply, error);
}
