/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tasks.c - delivery tasks, from batches of owners and zombies to the head of one user, who is removed and added: a task is written twice, late, out of a batch that was cut otherwise, and must
 * neither be lost nor tell a former member anything.
 *
 * The code's own: verdicts (fold.h), who is told of an event and with which head (ch_fanout_event), the records that the tasks make (ch_fanout_records, read back by ch_tasks_decode). Modelled:
 * the order of steps, the log "deliveries", the head's cell (store_mem/heads.c: the higher cause wins).
 */
#include <string.h>

#include "core/assert.h"
#include "core/bytes.h"
#include "model/fold.h"
#include "model/models.h"
#include "server/role/fanout.h"

enum { LOG_MAX = 4, OWNERS = 2, APPENDS_MAX = 5 };
enum bound { LOG, TAKEOVERS, BATCH, BOUND_COUNT };
enum { RULE_HEAD_CAUSE = CH_RULE_COUNT };
enum { MESSAGE, REMOVE, ADD, CHOICES };

typedef struct owner {
  uint8_t is_alive, next, step, until; /* step: 1 the batch up to `until` is judged, 2 its tasks are written, 3 its state */
} owner;

typedef struct span { /* tasks of one batch in the log "deliveries": its records from first to last */
  uint8_t first, last;
} span;

typedef struct state {
  uint8_t log[LOG_MAX], count, takeovers;
  owner owners[OWNERS];
  uint8_t stored; /* state of the conversation: records folded */
  span tasks[APPENDS_MAX];
  uint8_t task_count, delivered; /* spans taken by the deliverer */
  uint8_t head; /* of user a */
} state;

static int bounds[BOUND_COUNT];

static void begin(const model_scope *scope, void *first) {
  state *s = first;
  for (int i = 0; i < BOUND_COUNT; i++)
    bounds[i] = scope->bounds[i];
  s->owners[0] = (owner){.is_alive = 1, .next = 1};
}

static fold_record record_at(const state *s, int at) {
  uint8_t number = 0;
  for (int i = 0; i <= at; i++)
    number += s->log[i] == MESSAGE;
  if (s->log[at] == MESSAGE) return (fold_record){.kind = FOLD_MESSAGE, .device = 4, .number = number, .prev = (uint8_t)(number - 1), .message = (uint8_t)(at + 1)};
  return (fold_record){.kind = s->log[at] == REMOVE ? FOLD_REMOVE : FOLD_ADD};
}

/* ------------------------------------------------------------------------------------------------ what the code makes of it */

typedef struct told { /* user a, by the tasks of one span */
  uint8_t head, seqs; /* the highest head; bits of the events that it gets */
} told;

static bool has_user(const ch_task *task, chat_bytes user) {
  for (size_t i = 0; i < task->user_count; i++)
    if (ch_bytes_equal(task->users[i], user)) return true;
  return false;
}

static told read_back(const ch_fanout *fanout, ch_arena *arena) {
  chat_log_record *records;
  size_t count;
  told all = {0, 0};
  ch_assert(ch_fanout_records(fanout, 0, 0, &records, &count) == 0);
  for (size_t i = 0; i < count; i++) {
    ch_tasks tasks;
    ch_assert(ch_tasks_decode(records[i].data, arena, &tasks) == 0);
    for (size_t at = 0; at < tasks.count; at++) {
      const ch_task *task = &tasks.tasks[at];
      if (task->kind != CH_TASK_EVENT || !has_user(task, ch_bytes_text("a"))) continue;
      all.seqs |= (uint8_t)(1 << task->u.event.seq);
      if (task->has_head && task->head.head > all.head) all.head = (uint8_t)task->head.head;
    }
  }
  return all;
}

static told tell_anew(const state *s, span of) {
  ch_arena arena;
  ch_fanout fanout;
  const ch_audience *cache = NULL;
  ch_arena_init(&arena, NULL, 1 << 14, 1 << 22);
  ch_conversation *group = fold_group_new();
  ch_assert(ch_fanout_init(&fanout, &arena, 1, false) == 0);
  for (int i = 0; i < of.last; i++) {
    ch_judgement out;
    fold_record record = record_at(s, i);
    fold_judge(group, &record, (uint64_t)i + 1, &arena, &out);
    if (i + 1 >= of.first && out.code == CH_VERDICT_COMMITTED) ch_assert(ch_fanout_event(&fanout, group, &out, &cache) == 0);
  }
  told all = read_back(&fanout, &arena);
  ch_conversation_free(group);
  ch_arena_fini(&arena);
  return all;
}

static told tell(const state *s, span of) {
  static struct {
    told all;
    bool is_there;
  } memos[81][LOG_MAX + 1][LOG_MAX + 1];
  unsigned log = 0;
  for (int i = 0; i < of.last; i++)
    log = log * CHOICES + s->log[i];
  if (!memos[log][of.first][of.last].is_there) {
    memos[log][of.first][of.last].all = tell_anew(s, of);
    memos[log][of.first][of.last].is_there = true;
  }
  return memos[log][of.first][of.last].all;
}

/* What user a may read, by the log alone: its events, and the last of them. */
static told rightly(const state *s) {
  told right = {0, 0};
  bool is_member = true;
  uint8_t seq = 0;
  for (int i = 0; i < s->count; i++) {
    bool was_member = is_member;
    if (s->log[i] == (was_member ? ADD : REMOVE)) continue; /* refused: nothing changes */
    if (s->log[i] != MESSAGE) is_member = s->log[i] == ADD;
    seq++;
    if (!was_member && !is_member) continue;
    right.seqs |= (uint8_t)(1 << seq);
    right.head = seq;
  }
  return right;
}

/* ------------------------------------------------------------------------------------------------ owners: tasks before the state */

static void judge(model_search *search, const state *s, int k) {
  for (uint8_t last = s->owners[k].next; last <= s->count && last < s->owners[k].next + bounds[BATCH]; last++) {
    state t = *s;
    t.owners[k].until = last;
    t.owners[k].step = 1;
    MOVE(search, &t, "owner %d: judges records %u to %u", k + 1, s->owners[k].next, last);
  }
}

static void write_tasks(model_search *search, const state *s, int k) {
  if (s->task_count == APPENDS_MAX) {
    model_cut(search);
    return;
  }
  state t = *s;
  owner *o = &t.owners[k];
  t.tasks[t.task_count++] = (span){o->next, o->until};
  o->step++;
  MOVE(search, &t, "owner %d: appends the tasks of records %u to %u", k + 1, o->next, o->until);
}

static void write_state(model_search *search, const state *s, int k) {
  state t = *s;
  owner *o = &t.owners[k];
  if (o->until > t.stored) t.stored = o->until;
  o->step++;
  MOVE(search, &t, "owner %d: writes the state up to record %u", k + 1, o->until);
}

static void work(model_search *search, const state *s, int k) {
  const owner *o = &s->owners[k];
  if (!o->is_alive) return;
  if (o->step == 0) judge(search, s, k);
  else if (o->step == 3) {
    state t = *s;
    t.owners[k].next = (uint8_t)(o->until + 1);
    t.owners[k].step = 0;
    MOVE(search, &t, "owner %d: is done with record %u", k + 1, o->until);
  } else if ((o->step == 1) == CH_RULE(EFFECTS_FIRST)) write_tasks(search, s, k);
  else write_state(search, s, k);
}

static void take_over(model_search *search, const state *s) {
  for (int k = 0; k < OWNERS && s->takeovers < bounds[TAKEOVERS]; k++) {
    state t = *s;
    t.takeovers++;
    t.owners[k] = (owner){.is_alive = 1, .next = (uint8_t)(s->stored + 1)};
    FAULT(search, &t, "owner %d: takes the partition, from record %u on", k + 1, s->stored + 1);
  }
}

static void end_zombie(model_search *search, const state *s) {
  for (int k = 0; k < OWNERS; k++) {
    if (!s->owners[k].is_alive || !s->owners[!k].is_alive) continue;
    state t = *s;
    t.owners[k] = (owner){0};
    FAULT(search, &t, "owner %d: is killed", k + 1);
  }
}

/* ------------------------------------------------------------------------------------------------ the deliverer */

static void deliver(model_search *search, const state *s) {
  if (s->delivered == s->task_count) return;
  state t = *s;
  span of = t.tasks[t.delivered++];
  told all = tell(s, of);
  if (all.seqs && (all.head > t.head || !model_keeps(RULE_HEAD_CAUSE))) t.head = all.head;
  if (all.seqs & ~rightly(s).seqs) model_violate(search, "P9: a user is told of an event outside of the membership");
  if (all.head > rightly(s).head) model_violate(search, "P9: a user's head is one that it may not know");
  MOVE(search, &t, "deliverer: tasks of records %u to %u: the head of a is %u", of.first, of.last, t.head);
}

static void moves(model_search *search, const void *of) {
  const state *s = of;
  for (uint8_t choice = 0; choice < CHOICES && s->count < bounds[LOG]; choice++) {
    state t = *s;
    t.log[t.count++] = choice;
    MOVE(search, &t, "log: record %u: %s", t.count, choice == MESSAGE ? "o writes" : choice == REMOVE ? "a is removed" : "a is added");
  }
  if (s->count < bounds[LOG]) return;
  for (int k = 0; k < OWNERS; k++)
    work(search, s, k);
  take_over(search, s);
  end_zombie(search, s);
  deliver(search, s);
}

static const char *unfinished(const void *of) {
  const state *s = of;
  if (s->stored < s->count) return NULL; /* a batch was cut off by the bounds */
  return s->head == rightly(s).head ? NULL : "P4: the head that a user is told of stays below its last event";
}

static const model_scope scopes[] = {
    /*         log takeovers batch */
    {"short", {3, 1, 2}},
    {"long",  {3, 2, 3}},
    {NULL, {0}},
};

static const model_rule rules[] = {
    {CH_RULE_EFFECTS_FIRST, "effects first", "short", NULL},
    {RULE_HEAD_CAUSE, "head by its cause", "short", NULL},
    {0, NULL, NULL, NULL},
};

const model model_tasks = {
    .name = "tasks", .scopes = scopes, .short_scopes = "short", .rules = rules, .state_len = sizeof(state), .begin = begin, .moves = moves, .unfinished = unfinished,
};
