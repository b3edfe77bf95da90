/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/fanout.h"

#include <string.h>

#include "core/partition.h"

typedef struct audience_group { /* recipients of one task */
  uint32_t partition;
  uint32_t role; /* these two 0 where heads are derived */
  uint64_t first;
  chat_bytes *users;
  size_t user_count, room_count;
} audience_group;

struct ch_audience {
  uint64_t membership; /* of the conversation, when this was made */
  audience_group *groups;
  size_t count, room_count;
};

/* Room for one more item in an array of the arena; the old one stays behind until the arena is reset. */
static void *with_room(ch_arena *arena, void *items, size_t count, size_t *room_count, size_t item_len) {
  if (count < *room_count) return items;
  size_t grown_count = *room_count ? *room_count * 2 : 4;
  void *grown = ch_arena_calloc(arena, grown_count, item_len);
  if (!grown) return NULL;
  if (count > 0) memcpy(grown, items, count * item_len);
  *room_count = grown_count;
  return grown;
}

/* ------------------------------------------------------------------------------------------------ audience */

static audience_group *find_group(const ch_audience *audience, const audience_group *like) {
  for (size_t i = 0; i < audience->count; i++) {
    audience_group *group = &audience->groups[i];
    if (group->partition == like->partition && group->role == like->role && group->first == like->first) return group;
  }
  return NULL;
}

static audience_group *add_group(ch_arena *arena, ch_audience *audience, const audience_group *like) {
  void *groups = with_room(arena, audience->groups, audience->count, &audience->room_count, sizeof *audience->groups);
  if (!groups) return NULL;
  audience->groups = groups;
  audience->groups[audience->count] = *like;
  return &audience->groups[audience->count++];
}

static int add_user(ch_arena *arena, audience_group *group, chat_bytes user) {
  void *users = with_room(arena, group->users, group->user_count, &group->room_count, sizeof *group->users);
  if (!users) return CHAT_E_NOMEM;
  group->users = users;
  group->users[group->user_count++] = user;
  return 0;
}

static int invite(const ch_fanout *fanout, ch_audience *audience, const ch_member_cell *cell) {
  audience_group like = {.partition = ch_partition_of(ch_user_id_bytes(&cell->user), fanout->partition_count)};
  if (!fanout->derives_heads) {
    like.role = cell->role;
    like.first = ch_intervals_next(&cell->intervals, 1);
  }
  audience_group *group = find_group(audience, &like);
  if (!group) group = add_group(fanout->arena, audience, &like);
  return group ? add_user(fanout->arena, group, ch_user_id_bytes(&cell->user)) : CHAT_E_NOMEM;
}

static int invite_present(const ch_fanout *fanout, ch_audience *audience, const ch_conversation *conversation) {
  for (size_t i = 0; i < conversation->members.count; i++) {
    const ch_member_cell *cell = ch_conversation_member_at(conversation, i);
    if (cell->role != CHAT_ROLE_NONE && invite(fanout, audience, cell)) return CHAT_E_NOMEM;
  }
  return 0;
}

/* Those whom the event concerns in person: all of them, or only those who are no longer present. */
static int invite_affected(const ch_fanout *fanout, ch_audience *audience, const ch_conversation *conversation, const ch_judgement *judgement, bool only_gone) {
  for (size_t i = 0; i < judgement->affected_count; i++) {
    const ch_member_cell *cell = ch_conversation_member(conversation, judgement->affected[i]);
    if (only_gone && cell->role != CHAT_ROLE_NONE) continue;
    if (invite(fanout, audience, cell)) return CHAT_E_NOMEM;
  }
  return 0;
}

static bool removes_somebody(const ch_conversation *conversation, const ch_judgement *judgement) {
  for (size_t i = 0; i < judgement->affected_count; i++) {
    if (ch_conversation_member(conversation, judgement->affected[i])->role == CHAT_ROLE_NONE) return true;
  }
  return false;
}

static ch_audience *new_audience(const ch_fanout *fanout, const ch_conversation *conversation) {
  ch_audience *audience = ch_arena_calloc(fanout->arena, 1, sizeof *audience);
  if (audience) audience->membership = conversation->membership;
  return audience;
}

/* The present members, from the cache where they are as then. */
static const ch_audience *present_members(const ch_fanout *fanout, const ch_conversation *conversation, const ch_audience **cache) {
  const ch_audience *known = *cache;
  if (known && known->membership == conversation->membership) return known;
  ch_audience *audience = new_audience(fanout, conversation);
  if (!audience || invite_present(fanout, audience, conversation)) return NULL;
  return *cache = audience;
}

static const ch_audience *present_and_gone(const ch_fanout *fanout, const ch_conversation *conversation, const ch_judgement *judgement) {
  ch_audience *audience = new_audience(fanout, conversation);
  if (!audience || invite_present(fanout, audience, conversation)) return NULL;
  return invite_affected(fanout, audience, conversation, judgement, true) ? NULL : audience;
}

static const ch_audience *affected_alone(const ch_fanout *fanout, const ch_conversation *conversation, const ch_judgement *judgement) {
  ch_audience *audience = new_audience(fanout, conversation);
  if (!audience) return NULL;
  return invite_affected(fanout, audience, conversation, judgement, false) ? NULL : audience;
}

/* ------------------------------------------------------------------------------------------------ tasks */

int ch_fanout_init(ch_fanout *fanout, ch_arena *arena, uint32_t partition_count, bool derives_heads) {
  *fanout = (ch_fanout){.arena = arena, .partition_count = partition_count, .derives_heads = derives_heads};
  fanout->by_partition = ch_arena_calloc(arena, partition_count, sizeof *fanout->by_partition);
  return fanout->by_partition ? 0 : CHAT_E_NOMEM;
}

static ch_task *add_task(ch_fanout *fanout, uint32_t partition, ch_task_kind kind) {
  ch_fanout_tasks *tasks = &fanout->by_partition[partition];
  void *items = with_room(fanout->arena, tasks->items, tasks->count, &tasks->room_count, sizeof *tasks->items);
  if (!items) return NULL;
  tasks->items = items;
  tasks->items[tasks->count] = (ch_task){.kind = kind};
  return &tasks->items[tasks->count++];
}

static chat_head head_of(const ch_conversation *conversation, const chat_row *row, const audience_group *group) {
  chat_head head = {
      .kind = conversation->kind,
      .role = group->role,
      .head = row->seq,
      .msg_no = row->msg_no,
      .active_ms = row->created_ms,
      .first = group->first,
      .title = ch_bytes_of(conversation->title, conversation->title_len),
  };
  memcpy(head.conversation_id, conversation->id, sizeof head.conversation_id);
  return head;
}

/* The title may change later in the batch, when this task is not encoded yet. */
static int keep_title(const ch_fanout *fanout, chat_head *head) {
  head->title.data = ch_arena_dup(fanout->arena, head->title.data, head->title.len);
  return head->title.data ? 0 : CHAT_E_NOMEM;
}

static int tell_group(ch_fanout *fanout, const ch_conversation *conversation, const chat_row *row, const audience_group *group) {
  ch_task *task = add_task(fanout, group->partition, CH_TASK_EVENT);
  if (!task) return CHAT_E_NOMEM;
  task->users = group->users;
  task->user_count = group->user_count;
  task->u.event = *row;
  task->has_head = !fanout->derives_heads;
  if (!task->has_head) return 0;
  task->head = head_of(conversation, row, group);
  return keep_title(fanout, &task->head);
}

static int tell(ch_fanout *fanout, const ch_conversation *conversation, const chat_row *row, const ch_audience *audience) {
  if (!audience) return CHAT_E_NOMEM;
  for (size_t i = 0; i < audience->count; i++) {
    if (tell_group(fanout, conversation, row, &audience->groups[i])) return CHAT_E_NOMEM;
  }
  return 0;
}

static int tell_subscribers(ch_fanout *fanout, const ch_conversation *conversation, const chat_row *row) {
  uint32_t partition = ch_partition_of(ch_bytes_of(conversation->id, sizeof conversation->id), fanout->partition_count);
  ch_task *task = add_task(fanout, partition, CH_TASK_EVENT);
  if (!task) return CHAT_E_NOMEM;
  task->channel = 1;
  task->u.event = *row;
  return 0;
}

static int channel_event(ch_fanout *fanout, const ch_conversation *conversation, const ch_judgement *judgement) {
  if (tell_subscribers(fanout, conversation, &judgement->row)) return CHAT_E_NOMEM;
  if (judgement->affected_count == 0) return 0;
  return tell(fanout, conversation, &judgement->row, affected_alone(fanout, conversation, judgement));
}

int ch_fanout_event(ch_fanout *fanout, const ch_conversation *conversation, const ch_judgement *judgement, const ch_audience **cache) {
  if (conversation->kind == CHAT_CHANNEL && judgement->row.type != CHAT_TYPE_TO_CHANNEL) return channel_event(fanout, conversation, judgement);
  const ch_audience *audience = removes_somebody(conversation, judgement) ? present_and_gone(fanout, conversation, judgement)
                                                                          : present_members(fanout, conversation, cache);
  return tell(fanout, conversation, &judgement->row, audience);
}

int ch_fanout_verdict(ch_fanout *fanout, const ch_record *record, const ch_judgement *judgement) {
  ch_task *task = add_task(fanout, ch_partition_of(record->sender, fanout->partition_count), CH_TASK_VERDICT);
  if (!task) return CHAT_E_NOMEM;
  task->users = &record->sender;
  task->user_count = 1;
  task->has_device = 1;
  memcpy(task->device_id, record->device_id, sizeof task->device_id);
  ch_verdict *verdict = &task->u.verdict;
  *verdict = (ch_verdict){
      .code = judgement->code, .client_seq = record->client_seq, .last = judgement->last, .head = judgement->head, .error = judgement->error};
  memcpy(verdict->conversation_id, record->conversation_id, sizeof verdict->conversation_id);
  memcpy(verdict->client_id, record->client_id, sizeof verdict->client_id);
  return 0;
}

/* ------------------------------------------------------------------------------------------------ records */

typedef struct record_list {
  ch_arena *arena;
  uint64_t position;
  ch_buf buf;
  chat_log_record *items;
  size_t count, room_count;
} record_list;

static int add_record(record_list *list) {
  void *items = with_room(list->arena, list->items, list->count, &list->room_count, sizeof *list->items);
  void *data = ch_arena_dup(list->arena, list->buf.data, list->buf.len);
  if (!items || !data) return CHAT_E_NOMEM;
  list->items = items;
  list->items[list->count++] = (chat_log_record){.data = ch_bytes_of(data, list->buf.len)};
  return 0;
}

/* As one record, or where that is too large as two halves, each likewise. */
static int encode(record_list *list, const ch_task *tasks, size_t count) {
  ch_buf_clear(&list->buf);
  int error = ch_tasks_encode(&(ch_tasks){.position = list->position, .tasks = tasks, .count = count}, &list->buf);
  if (!error) return add_record(list);
  if (error != CHAT_E_TOO_LARGE) return error;
  if (count == 1) return CHAT_E_INTERNAL;
  error = encode(list, tasks, count / 2);
  return error ? error : encode(list, tasks + count / 2, count - count / 2);
}

int ch_fanout_records(const ch_fanout *fanout, uint32_t partition, uint64_t position, chat_log_record **records, size_t *count) {
  const ch_fanout_tasks *tasks = &fanout->by_partition[partition];
  record_list list = {.arena = fanout->arena, .position = position};
  ch_buf_init(&list.buf, fanout->arena->alloc, CH_LOG_RECORD_MAX);
  int error = tasks->count > 0 ? encode(&list, tasks->items, tasks->count) : 0;
  ch_buf_fini(&list.buf);
  *records = list.items;
  *count = list.count;
  return error;
}
