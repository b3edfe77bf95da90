/* SPDX-License-Identifier: Apache-2.0 */
#include "client/brain/people.h"

#include <string.h>

#include "client/brain/owner.h"

enum {
  REFRESH_MAX = 4, /* GET_MEMBERS under way because members are stale */
  REFRESH_SPREAD_MS = 1000, /* all members of a group learn of a change at once; and one change seldom comes alone */
  REFRESH_RETRY_MS = 5000
};

typedef struct seen {
  uint32_t online;
  uint64_t seen_ms;
} seen;

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

/* ------------------------------------------------------------------------------------------------ what events say */

static bool names_self(const ch_brain *brain, const ch_content *content) {
  for (size_t i = 0; i < content->user_count; i++)
    if (ch_is_own(brain, content->users[i])) return true;
  return false;
}

static uint32_t role_after(const ch_brain *brain, uint32_t role, const chat_row *row, const ch_content *content) {
  bool by_self = ch_is_own(brain, row->sender), of_self = names_self(brain, content);
  switch (row->type) {
  case CHAT_TYPE_CREATE: return by_self ? CHAT_ROLE_OWNER : of_self ? CHAT_ROLE_MEMBER : role;
  case CHAT_TYPE_MEMBERS_ADD: return of_self ? (content->role ? content->role : CHAT_ROLE_MEMBER) : role;
  case CHAT_TYPE_MEMBER_REMOVE: return of_self ? CHAT_ROLE_NONE : role;
  case CHAT_TYPE_LEAVE: return by_self ? CHAT_ROLE_NONE : role;
  case CHAT_TYPE_ROLE: return of_self ? content->role : role;
  case CHAT_TYPE_OWNER: return of_self ? CHAT_ROLE_OWNER : by_self ? CHAT_ROLE_ADMIN : role;
  default: return role;
  }
}

static void apply_content(ch_brain *brain, ch_kept *kept, const chat_row *row, const ch_content *content) {
  kept->row.role = role_after(brain, kept->row.role, row, content);
  if (row->type == CHAT_TYPE_CREATE) kept->row.kind = content->conversation_kind;
  if (row->type == CHAT_TYPE_TO_CHANNEL) kept->row.kind = CHAT_CHANNEL;
  if (row->type == CHAT_TYPE_CREATE || row->type == CHAT_TYPE_TITLE) ch_kept_set_title(kept, content->title);
  if (row->type == CHAT_TYPE_CREATE || row->type == CHAT_TYPE_SETTINGS) kept->row.history_from_start = content->history_from_start;
}

static bool changes_members(uint32_t type) {
  return (type >= CHAT_TYPE_CREATE && type <= CHAT_TYPE_OWNER) || type == CHAT_TYPE_TO_CHANNEL;
}

static bool is_hidden(const ch_brain *brain, uint32_t type) {
  for (const uint32_t *hidden = brain->config.types_hidden; hidden && *hidden; hidden++)
    if (*hidden == type) return true;
  return false;
}

void ch_people_apply(ch_brain *brain, ch_conversation *conversation, const chat_row *row, bool is_news) {
  ch_kept *kept = ch_change(brain, conversation);
  if (kept->row.kind == CHAT_DIRECT && kept->row.peer.len == 0 && !ch_is_own(brain, row->sender)) ch_kept_set_peer(kept, row->sender);
  if (is_hidden(brain, row->type)) return;
  if (changes_members(row->type)) kept->row.members_stale = 1;
  ch_content content;
  if (!is_news || row->type == CHAT_TYPE_MESSAGE || ch_content_decode(row->type, row->payload, &brain->arena, &content)) return;
  apply_content(brain, kept, row, &content);
}

/* ------------------------------------------------------------------------------------------------ members */

static void set_peer_from_members(ch_brain *brain, ch_kept *kept, const ch_members_reply *reply) {
  if (kept->row.kind != CHAT_DIRECT || kept->row.peer.len > 0) return;
  for (size_t i = 0; i < reply->count; i++)
    if (reply->count == 1 || !ch_is_own(brain, reply->members[i].user)) ch_kept_set_peer(kept, reply->members[i].user);
}

static void take_members(ch_brain *brain, ch_conversation *conversation, const ch_members_reply *reply) {
  ch_begin(brain);
  ch_kept *kept = ch_change(brain, conversation);
  chat_cache_member *members = ch_arena_calloc(&brain->arena, reply->count, sizeof *members);
  if (!members) ch_fail(brain, CHAT_E_NOMEM);
  for (size_t i = 0; members && i < reply->count; i++)
    members[i] = (chat_cache_member){reply->members[i].user, reply->members[i].role, reply->members[i].delivered, reply->members[i].read};
  if (members && !reply->more) ch_receipts_tell_moved(brain, conversation, members, reply->count);
  if (members && !reply->more) ch_put_members(brain, conversation->kept.row.conversation_id, members, reply->count);
  kept->row.kind = reply->kind;
  kept->row.history_from_start = reply->history_from_start;
  kept->row.member_count = reply->member_count;
  if (reply->head >= kept->row.head) {
    ch_kept_set_title(kept, reply->title);
    kept->row.members_stale = 0;
  }
  set_peer_from_members(brain, kept, reply);
  conversation->announce = true;
  if (!ch_end(brain, false)) conversation->ticks_known = false;
}

/* ------------------------------------------------------------------------------------------------ members that are stale */

static bool lacks_peer(const ch_conversation *conversation) {
  return conversation->kept.row.kind == CHAT_DIRECT && conversation->kept.row.peer.len == 0;
}

static bool wants_members(const ch_conversation *conversation) {
  const chat_cache_conversation *row = &conversation->kept.row;
  if (!row->members_stale || row->role == CHAT_ROLE_NONE || row->head == 0 || conversation->members_asked) return false;
  return row->kind != CHAT_CHANNEL || conversation->is_open;
}

void ch_people_want(ch_brain *brain, ch_conversation *conversation) {
  ch_people *people = &brain->people;
  if (!wants_members(conversation)) return;
  bool is_urgent = conversation->is_open || lacks_peer(conversation);
  uint64_t due_ms = ch_now_ms(brain) + (is_urgent ? 0 : ch_random_below(brain, REFRESH_SPREAD_MS));
  ch_list_remove(&conversation->to_refresh);
  ch_list_push_back(&people->to_refresh, &conversation->to_refresh);
  people->refresh_ms = ch_sooner(people->refresh_ms, due_ms);
}

static void want_later(ch_brain *brain, ch_conversation *conversation) {
  if (!wants_members(conversation)) return;
  ch_list_remove(&conversation->to_refresh);
  ch_list_push_back(&brain->people.to_retry, &conversation->to_refresh);
  brain->people.retry_ms = ch_sooner(brain->people.retry_ms, ch_now_ms(brain) + REFRESH_RETRY_MS);
}

/* Still stale where the answer was of an older state than what is here, or could not be stored. An error that is not AGAIN will not go away by asking. */
static void refreshed(ch_brain *brain, ch_call *call, const ch_server_message *reply) {
  ch_conversation *conversation = ch_conversation_find(brain, call->conversation_id);
  ch_people *people = &brain->people;
  int status = ch_call_status(brain, reply);
  if (people->asked_count > 0) people->asked_count--;
  if (!ch_list_is_empty(&people->to_refresh)) people->refresh_ms = ch_now_ms(brain);
  if (!conversation) return;
  conversation->members_asked = false;
  if (status == 0) take_members(brain, conversation, &reply->u.members_reply);
  if (status == 0 || status == CHAT_E_AGAIN) want_later(brain, conversation);
}

static int ask_members(ch_brain *brain, const ch_conversation *conversation, chat_bytes after, uint32_t limit, ch_call call) {
  ch_client_message message = {.op = CH_GET_MEMBERS};
  message.u.get_members = (ch_get_members){.after = after, .limit = limit};
  memcpy(message.u.get_members.conversation_id, conversation->kept.row.conversation_id, 16);
  memcpy(call.conversation_id, conversation->kept.row.conversation_id, 16);
  call.wanted = CH_MEMBERS_REPLY;
  return ch_call_put(brain, &message, &call);
}

static bool refresh(ch_brain *brain, ch_conversation *conversation) {
  if (ask_members(brain, conversation, (chat_bytes){0}, CHAT_GROUP_MEMBERS_MAX, (ch_call){.done = refreshed})) return false;
  conversation->members_asked = true;
  brain->people.asked_count++;
  return true;
}

static void try_again(ch_people *people, uint64_t now_ms) {
  if (now_ms < people->retry_ms) return;
  for (ch_list *node = ch_list_pop_front(&people->to_retry); node; node = ch_list_pop_front(&people->to_retry))
    ch_list_push_back(&people->to_refresh, node);
  people->retry_ms = CH_NEVER_MS;
  people->refresh_ms = now_ms;
}

void ch_people_settle(ch_brain *brain) {
  ch_people *people = &brain->people;
  if (!ch_is_up(brain)) return;
  try_again(people, ch_now_ms(brain));
  if (ch_now_ms(brain) < people->refresh_ms) return;
  people->refresh_ms = CH_NEVER_MS; /* all are asked for now, or the next reply goes on with them */
  while (people->asked_count < REFRESH_MAX && !ch_list_is_empty(&people->to_refresh)) {
    ch_conversation *conversation = CH_LIST_ITEM(people->to_refresh.next, ch_conversation, to_refresh);
    ch_list_remove(&conversation->to_refresh);
    if (wants_members(conversation) && !refresh(brain, conversation)) {
      want_later(brain, conversation); /* too much waits to go out */
      return;
    }
  }
}

uint64_t ch_people_deadline_ms(const ch_brain *brain) {
  return ch_is_up(brain) ? ch_sooner(brain->people.refresh_ms, brain->people.retry_ms) : CH_NEVER_MS;
}

static int add_member(ch_brain *brain, ch_client_event *reply, size_t count_max, const chat_cache_member *member) {
  chat_event *to = &reply->event;
  int error = 0;
  if (!to->members) to->members = ch_arena_calloc(&reply->arena, count_max, sizeof *to->members);
  chat_member_info *info = to->members ? ch_arena_calloc(&reply->arena, 1, sizeof *info) : NULL;
  if (!info) return CHAT_E_NOMEM;
  const seen *presence = ch_hashmap_find(&brain->people.presence, member->user);
  *info = (chat_member_info){.user = ch_event_copy(reply, member->user, &error), .role = member->role, .delivered = member->delivered, .read = member->read};
  if (presence) {
    info->online = presence->online;
    info->seen_ms = presence->seen_ms;
  }
  ((const chat_member_info **)(uintptr_t)to->members)[to->member_count++] = info;
  return error;
}

static void listed(ch_brain *brain, ch_call *call, const ch_server_message *reply) {
  int status = ch_call_status(brain, reply);
  ch_conversation *conversation = ch_conversation_find(brain, call->conversation_id);
  const ch_members_reply *members = status ? NULL : &reply->u.members_reply;
  if (members && conversation && call->number == 0 && !members->more) take_members(brain, conversation, members);
  for (size_t i = 0; members && !status && i < members->count; i++) {
    chat_cache_member member = {members->members[i].user, members->members[i].role, members->members[i].delivered, members->members[i].read};
    status = add_member(brain, call->reply, members->count, &member);
  }
  if (members) call->reply->event.more = members->more;
  ch_reply_end(brain, call->reply, status);
}

typedef struct member_page {
  ch_brain *brain;
  ch_client_event *reply;
  chat_bytes after;
  uint32_t limit;
  int error;
} member_page;

static int visit_member(void *arg, const chat_cache_member *member) {
  member_page *page = arg;
  if (page->after.len > 0 && ch_bytes_compare(member->user, page->after) <= 0) return 0;
  if (page->reply->event.member_count == page->limit) {
    page->reply->event.more = 1;
    return 1;
  }
  page->error = add_member(page->brain, page->reply, page->limit, member);
  return page->error;
}

void ch_request_members(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_conversation *conversation = ch_conversation_find(brain, request->conversation_id);
  if (!conversation) {
    ch_reply_end(brain, reply, CHAT_E_NOT_FOUND);
    return;
  }
  ch_call call = {.done = listed, .reply = reply, .number = request->user.len};
  if (ask_members(brain, conversation, request->user, request->limit, call) == 0) return;
  const chat_cache *cache = brain->config.cache;
  member_page page = {brain, reply, request->user, request->limit, 0};
  int error = ch_read(brain, cache->vtable->members_list(cache->self, request->conversation_id, visit_member, &page));
  ch_reply_end(brain, reply, error ? error : page.error);
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
  seen *known = ch_hashmap_find(presence, user->user);
  if (!known) {
    known = presence->count < CH_PRESENCE_MAX ? ch_calloc(brain->env.alloc, 1, sizeof *known) : NULL;
    if (!known) return;
    if (ch_hashmap_insert(presence, user->user, known)) {
      ch_free(brain->env.alloc, known);
      return;
    }
  }
  *known = (seen){user->online, user->seen_ms};
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
