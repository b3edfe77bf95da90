/* SPDX-License-Identifier: Apache-2.0 */
/* Members: what events say of them, keeping them in the cache, listing them. */
#include <string.h>

#include "client/brain/owner.h"
#include "client/brain/people.h"

enum {
  REFRESH_MAX = 4, /* GET_MEMBERS under way because members are stale */
  REFRESH_SPREAD_MS = 1000, /* all members of a group learn of a change at once; and one change seldom comes alone */
  REFRESH_RETRY_MS = 5000
};

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

/* What a type that is not known here has changed, nobody knows: it may be the title, or the members. */
static bool may_change_anything(const ch_brain *brain, uint32_t type) {
  return type > CHAT_TYPE_DEVICE_RETIRED || ch_type_is_hidden(brain, type);
}

void ch_people_apply(ch_brain *brain, ch_conversation *conversation, const chat_row *row, bool is_news) {
  ch_kept *kept = ch_change(brain, conversation);
  if (kept->row.kind == CHAT_DIRECT && kept->row.peer.len == 0 && !ch_is_own(brain, row->sender)) ch_kept_set_peer(kept, row->sender);
  if (changes_members(row->type) || may_change_anything(brain, row->type)) kept->row.members_stale = 1;
  if (ch_type_is_hidden(brain, row->type)) return;
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
  const ch_seen *presence = ch_hashmap_find(&brain->people.presence, member->user);
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
