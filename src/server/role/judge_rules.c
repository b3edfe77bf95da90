/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/judge_rules.h"

#include <string.h>

#include "core/assert.h"

/* ------------------------------------------------------------------------------------------------ who is asking */

/* The system does what an owner may. */
static uint32_t rank(const ch_judging *judging) {
  if (judging->in->record->system) return CHAT_ROLE_OWNER;
  return judging->sender ? judging->sender->role : CHAT_ROLE_NONE;
}

static ch_member_cell *present(const ch_judging *judging, chat_bytes user) {
  ch_member_cell *cell = ch_conversation_member(judging->conversation, user);
  return cell && cell->role != CHAT_ROLE_NONE ? cell : NULL;
}

static ch_member_cell *target(const ch_judging *judging) {
  return judging->content.user_count == 1 ? present(judging, judging->content.users[0]) : NULL;
}

/* ------------------------------------------------------------------------------------------------ changes of membership */

static void touch(const ch_judging *judging, ch_member_cell *cell) {
  cell->position = judging->in->position;
  judging->conversation->membership++;
}

static int join(ch_judging *judging, chat_bytes user, uint32_t role, uint64_t joined_seq) {
  ch_member_cell *cell = ch_conversation_member_put(judging->conversation, user);
  if (!cell) return CHAT_E_NOMEM;
  ch_assert(cell->role == CHAT_ROLE_NONE);
  /* What was once closed to somebody stays so: a cursor that has passed it says "nothing for you there, now or ever" (RangeReply.floor). */
  ch_intervals_join(&cell->intervals, cell->intervals.count > 0 ? judging->seq - 1 : joined_seq);
  cell->role = role;
  judging->conversation->member_count++;
  touch(judging, cell);
  return 0;
}

/* The removing event itself is the last one that the former member reads. */
static void part(ch_judging *judging, ch_member_cell *cell) {
  ch_intervals_leave(&cell->intervals, judging->seq);
  cell->role = CHAT_ROLE_NONE;
  judging->conversation->member_count--;
  touch(judging, cell);
}

static void give_role(const ch_judging *judging, ch_member_cell *cell, uint32_t role) {
  cell->role = role;
  touch(judging, cell);
}

/* `count` of two cells, as users whose own membership this event changes. */
static int affect(ch_judging *judging, const ch_member_cell *first, const ch_member_cell *second) {
  chat_bytes *users = ch_arena_calloc(judging->arena, 2, sizeof *users);
  if (!users) return CHAT_E_NOMEM;
  users[0] = ch_user_id_bytes(&first->user);
  if (second) users[1] = ch_user_id_bytes(&second->user);
  judging->out->affected = users;
  judging->out->affected_count = second ? 2 : 1;
  return 0;
}

/* ------------------------------------------------------------------------------------------------ message, retired device */

/* The first message makes a direct conversation: both read it from its beginning. A user may be alone with itself. */
static int make_direct(ch_judging *judging) {
  const ch_record *record = judging->in->record;
  judging->conversation->kind = CHAT_DIRECT;
  if (join(judging, record->sender, CHAT_ROLE_MEMBER, 0)) return CHAT_E_NOMEM;
  return ch_bytes_equal(record->sender, record->peer) ? 0 : join(judging, record->peer, CHAT_ROLE_MEMBER, 0);
}

static int message(ch_judging *judging) {
  return judging->conversation->kind ? 0 : make_direct(judging);
}

static int device_retired(ch_judging *judging) {
  const ch_record *record = judging->in->record;
  if (memcmp(judging->content.device_id, record->device_id, CHAT_DEVICE_ID_LEN) == 0) return CHAT_E_INVALID;
  ch_sender_cell *retired = ch_conversation_sender_put(judging->conversation, record->sender, judging->content.device_id);
  if (!retired) return CHAT_E_NOMEM;
  retired->retired = 1;
  retired->position = judging->in->position;
  return 0;
}

/* ------------------------------------------------------------------------------------------------ create, add */

static int set_title(ch_conversation *conversation, chat_bytes title) {
  if (title.len > CHAT_TITLE_MAX) return CHAT_E_TOO_LARGE;
  conversation->title_len = title.len;
  if (title.len > 0) memcpy(conversation->title, title.data, title.len);
  return 0;
}

/* Users of the content who are not members, each once: sorted out before anything is changed, since an add of nobody is refused. */
static int newcomers(ch_judging *judging, chat_bytes **users, size_t *count) {
  const ch_content *content = &judging->content;
  *users = ch_arena_calloc(judging->arena, content->user_count + 1, sizeof **users);
  if (!*users) return CHAT_E_NOMEM;
  *count = 0;
  for (size_t i = 0; i < content->user_count; i++) {
    bool is_known = present(judging, content->users[i]) != NULL;
    for (size_t j = 0; j < *count && !is_known; j++)
      is_known = ch_bytes_equal((*users)[j], content->users[i]);
    if (!is_known) (*users)[(*count)++] = content->users[i];
  }
  return 0;
}

static int join_all(ch_judging *judging, const chat_bytes *users, size_t count, uint32_t role, uint64_t joined_seq) {
  for (size_t i = 0; i < count; i++) {
    if (join(judging, users[i], role, joined_seq)) return CHAT_E_NOMEM;
  }
  return 0;
}

static int create(ch_judging *judging) {
  ch_conversation *conversation = judging->conversation;
  const ch_content *content = &judging->content;
  if (content->conversation_kind != CHAT_GROUP && content->conversation_kind != CHAT_CHANNEL) return CHAT_E_INVALID;
  if (content->title.len > CHAT_TITLE_MAX) return CHAT_E_TOO_LARGE;
  if (content->user_count >= CHAT_GROUP_MEMBERS_MAX) return CHAT_E_TOO_LARGE;
  conversation->kind = content->conversation_kind;
  conversation->history_from_start = content->history_from_start != 0;
  set_title(conversation, content->title);
  if (join(judging, judging->in->record->sender, CHAT_ROLE_OWNER, 0)) return CHAT_E_NOMEM;

  chat_bytes *users;
  size_t count;
  if (newcomers(judging, &users, &count) || join_all(judging, users, count, CHAT_ROLE_MEMBER, 0)) return CHAT_E_NOMEM;
  users[count++] = judging->in->record->sender;
  judging->out->affected = users;
  judging->out->affected_count = count;
  return 0;
}

static int members_add(ch_judging *judging) {
  ch_conversation *conversation = judging->conversation;
  const ch_content *content = &judging->content;
  uint32_t role = content->role ? content->role : CHAT_ROLE_MEMBER;
  if (role > CHAT_ROLE_ADMIN) return CHAT_E_INVALID;
  if (role == CHAT_ROLE_ADMIN && rank(judging) < CHAT_ROLE_OWNER) return CHAT_E_DENIED;
  if (content->user_count >= CHAT_GROUP_MEMBERS_MAX) return CHAT_E_TOO_LARGE;

  chat_bytes *users;
  size_t count;
  if (newcomers(judging, &users, &count)) return CHAT_E_NOMEM;
  if (count == 0) return CHAT_E_EXISTS;
  if (conversation->kind == CHAT_GROUP && conversation->member_count + count > CHAT_GROUP_MEMBERS_MAX) return CHAT_E_LIMIT;
  judging->out->affected = users;
  judging->out->affected_count = count;
  return join_all(judging, users, count, role, conversation->history_from_start ? 0 : judging->seq - 1);
}

/* ------------------------------------------------------------------------------------------------ remove, leave */

static int member_remove(ch_judging *judging) {
  ch_member_cell *cell = target(judging);
  if (!cell) return CHAT_E_NOT_FOUND;
  if (cell->role == CHAT_ROLE_OWNER) return CHAT_E_DENIED;
  if (cell->role == CHAT_ROLE_ADMIN && rank(judging) < CHAT_ROLE_OWNER) return CHAT_E_DENIED;
  if (affect(judging, cell, NULL)) return CHAT_E_NOMEM;
  part(judging, cell);
  return 0;
}

static uint64_t joined_seq(const ch_member_cell *cell) {
  return cell->intervals.items[cell->intervals.count - 1].joined_seq;
}

/* Of the two: an admin before a member, then who joined first; cells come in bytewise order, so the first of equals stays. */
static bool goes_before(const ch_member_cell *cell, const ch_member_cell *best) {
  if (!best || cell->role != best->role) return !best || cell->role > best->role;
  return joined_seq(cell) < joined_seq(best);
}

static ch_member_cell *successor(const ch_judging *judging) {
  ch_member_cell *best = NULL;
  for (size_t i = 0; i < judging->conversation->members.count; i++) {
    ch_member_cell *cell = ch_conversation_member_at(judging->conversation, i);
    if (cell == judging->sender || cell->role == CHAT_ROLE_NONE) continue;
    if (goes_before(cell, best)) best = cell;
  }
  return best;
}

/* A channel's other members need not be in memory, so its owner hands over before leaving. The last one leaves an empty conversation. */
static int leave(ch_judging *judging) {
  const ch_conversation *conversation = judging->conversation;
  ch_member_cell *cell = judging->sender, *heir = NULL;
  if (!cell) return CHAT_E_NOT_FOUND;
  if (cell->role == CHAT_ROLE_OWNER && conversation->member_count > 1) {
    if (conversation->kind == CHAT_CHANNEL) return CHAT_E_DENIED;
    heir = successor(judging);
  }
  if (affect(judging, cell, heir)) return CHAT_E_NOMEM;
  part(judging, cell);
  if (heir) give_role(judging, heir, CHAT_ROLE_OWNER);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ roles */

static int role(ch_judging *judging) {
  uint32_t wanted = judging->content.role;
  if (wanted != CHAT_ROLE_MEMBER && wanted != CHAT_ROLE_ADMIN) return CHAT_E_INVALID;
  ch_member_cell *cell = target(judging);
  if (!cell) return CHAT_E_NOT_FOUND;
  if (cell->role == CHAT_ROLE_OWNER) return CHAT_E_DENIED;
  if (affect(judging, cell, NULL)) return CHAT_E_NOMEM;
  give_role(judging, cell, wanted);
  return 0;
}

/* A group is whole, so its owner is found whoever asks. In a channel only the owner in person hands over. */
static ch_member_cell *owner_of(const ch_judging *judging) {
  if (judging->sender && judging->sender->role == CHAT_ROLE_OWNER) return judging->sender;
  for (size_t i = 0; judging->conversation->kind == CHAT_GROUP && i < judging->conversation->members.count; i++) {
    ch_member_cell *cell = ch_conversation_member_at(judging->conversation, i);
    if (cell->role == CHAT_ROLE_OWNER) return cell;
  }
  return NULL;
}

static int owner(ch_judging *judging) {
  ch_member_cell *before = owner_of(judging), *after = target(judging);
  if (!before && judging->conversation->kind == CHAT_CHANNEL) return CHAT_E_DENIED;
  if (!after) return CHAT_E_NOT_FOUND;
  if (after == before) return CHAT_E_INVALID;
  if (affect(judging, after, before)) return CHAT_E_NOMEM;
  if (before) give_role(judging, before, CHAT_ROLE_ADMIN);
  give_role(judging, after, CHAT_ROLE_OWNER);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ title, settings, kind */

static int title(ch_judging *judging) {
  return set_title(judging->conversation, judging->content.title);
}

static int settings(ch_judging *judging) {
  judging->conversation->history_from_start = judging->content.history_from_start != 0;
  return 0;
}

static int to_channel(ch_judging *judging) {
  if (judging->conversation->kind == CHAT_CHANNEL) return CHAT_E_EXISTS;
  judging->conversation->kind = CHAT_CHANNEL;
  return 0;
}

/* ------------------------------------------------------------------------------------------------ table */

static const struct {
  int (*apply)(ch_judging *judging);
  uint32_t rank_min;
} rules[] = {
    [CHAT_TYPE_MESSAGE] = {message, CHAT_ROLE_NONE},
    [CHAT_TYPE_CREATE] = {create, CHAT_ROLE_NONE},
    [CHAT_TYPE_MEMBERS_ADD] = {members_add, CHAT_ROLE_ADMIN},
    [CHAT_TYPE_MEMBER_REMOVE] = {member_remove, CHAT_ROLE_ADMIN},
    [CHAT_TYPE_LEAVE] = {leave, CHAT_ROLE_NONE},
    [CHAT_TYPE_ROLE] = {role, CHAT_ROLE_OWNER},
    [CHAT_TYPE_OWNER] = {owner, CHAT_ROLE_OWNER},
    [CHAT_TYPE_TITLE] = {title, CHAT_ROLE_ADMIN},
    [CHAT_TYPE_SETTINGS] = {settings, CHAT_ROLE_ADMIN},
    [CHAT_TYPE_TO_CHANNEL] = {to_channel, CHAT_ROLE_OWNER},
    [CHAT_TYPE_DEVICE_RETIRED] = {device_retired, CHAT_ROLE_NONE},
};

int ch_judge_rules(ch_judging *judging) {
  uint32_t type = judging->in->record->type;
  if (type >= sizeof rules / sizeof *rules || !rules[type].apply) return CHAT_E_UNSUPPORTED;
  if (rank(judging) < rules[type].rank_min) return CHAT_E_DENIED;
  return rules[type].apply(judging);
}
