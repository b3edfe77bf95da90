/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receiving.c - from the sequencer's effects to one client of one user who reads two groups: deliverers, directory, live events, heartbeats, sync and range answers: V1 to V8.
 *
 * The code's own: the chain of positions (client/brain/told.h), what of a range may be given (ch_range_clip). Modelled: the steps of sequencer and deliverer, the directory, the store's heads, the
 * client's sync. The sync that every client makes after some minutes anyway (V6) is left out, so that nothing here is found by it alone.
 */
#include <stdio.h>
#include <string.h>

#include "client/brain/told.h"
#include "model/models.h"
#include "server/role/gateway_parts.h"

enum { EVENTS_MAX = 5, CONVERSATIONS = 2, LIVE_MAX = 2, DELIVERERS = 2, EPOCHS_MAX = 4 };
enum bound { SCRIPT, LOSSES, FLUSHES, FAILOVERS, TAKEOVERS, RAISES, DISCONNECTS, CRASHES, HOLES, FAILURES, POWER, DERIVED, BOUND_COUNT };
enum { RULE_REWIND = CH_RULE_COUNT, RULE_MARK, RULE_NEXT };

/* ------------------------------------------------------------------------------------------------ what is written */

typedef struct event {
  uint8_t conversation, seq, is_readable, has_task;
} event;

/* Letters in pairs: conversation A or B; m: a message, r: the user is removed, a: is added. */
static const char *const scripts[] = {"AmBm", "AmBmAm", "AmArAmAa", "ArAmAaBm"};
static event events[EVENTS_MAX];
static int event_count;
static int bounds[BOUND_COUNT];

static void read_script(const char *script) {
  uint8_t seqs[CONVERSATIONS] = {0}, is_member[CONVERSATIONS] = {1, 1};
  event_count = 0;
  for (; *script; script += 2) {
    event *e = &events[event_count++];
    e->conversation = (uint8_t)(script[0] - 'A');
    e->seq = ++seqs[e->conversation];
    if (script[1] == 'a') is_member[e->conversation] = 1;
    e->is_readable = e->has_task = is_member[e->conversation];
    if (script[1] == 'r') is_member[e->conversation] = 0;
  }
}

static const event *event_at(int conversation, int seq) {
  for (int i = 0; i < event_count; i++)
    if (events[i].conversation == conversation && events[i].seq == seq) return &events[i];
  return NULL;
}

static int head_at(int conversation, int prefix, bool of_user) {
  int head = 0;
  for (int i = 0; i < prefix; i++)
    if (events[i].conversation == conversation && (!of_user || events[i].is_readable)) head = events[i].seq;
  return head;
}

/* ------------------------------------------------------------------------------------------------ state */

typedef struct deliverer {
  uint8_t is_alive, next, is_head_written, owes; /* next: index of the event whose task comes next */
} deliverer;

typedef struct live {
  uint8_t is_there, conversation, seq, previous, position; /* seq 0: told to sync */
} live;

typedef struct mine { /* what the client's database holds */
  uint8_t position, head[CONVERSATIONS], cursor[CONVERSATIONS], rows[CONVERSATIONS];
} mine;

typedef struct state {
  /* sequencer, store */
  uint8_t step, folded; /* of the event under way; events whose state is written */
  uint8_t rows[CONVERSATIONS], tasks; /* bits */
  uint8_t head[CONVERSATIONS], head_position[CONVERSATIONS], stored; /* heads, and the position that the deliverer has stored */
  /* deliverers, directory */
  deliverer deliverers[DELIVERERS];
  uint8_t pos, old_pos, mark, epoch, has_route; /* pos: position + 1; 0: missing */
  live live[LIVE_MAX];
  /* client */
  mine now, durable;
  uint8_t told, known[CONVERSATIONS], is_connected, epoch_seen;
  uint8_t sync, again, sync_position, sync_head[CONVERSATIONS]; /* sync: 1 wanted, 2 asked, 3 half read, 4 read */
  uint8_t fills, fill; /* pos:{user} was missing when it was asked; what goes there */
  uint8_t wants[CONVERSATIONS], asked[CONVERSATIONS], delivered[CONVERSATIONS];
  uint8_t left[BOUND_COUNT];
} state;

static uint8_t later(unsigned a, unsigned b) {
  return (uint8_t)(a > b ? a : b);
}

static void begin(const model_scope *scope, void *first) {
  state *s = first;
  for (int i = 0; i < BOUND_COUNT; i++) {
    bounds[i] = scope->bounds[i];
    s->left[i] = (uint8_t)scope->bounds[i];
  }
  read_script(scripts[bounds[SCRIPT]]);
  s->deliverers[0].is_alive = 1;
  s->pos = 1;
}

/* ------------------------------------------------------------------------------------------------ sequencer: rows, tasks, state; V7: a store that derives heads has the tasks behind it */

static void write_row(state *s, const event *e) {
  s->rows[e->conversation] |= (uint8_t)(1 << e->seq);
}

static void put_task(state *s) {
  if (events[s->folded].has_task) s->tasks |= (uint8_t)(1 << s->folded);
}

static void sequence(model_search *search, const state *s) {
  static const char *const names[2][3] = {{"row", "task", "state"}, {"row and state", "task", ""}};
  if (s->folded == event_count && !s->step) return;
  state t = *s;
  bool is_first_task = bounds[DERIVED] && !CH_RULE(V7);
  const event *e = &events[s->folded - (bounds[DERIVED] && s->step && CH_RULE(V7))];
  if (s->step == 0) {
    if (is_first_task) put_task(&t);
    else write_row(&t, e);
    if (bounds[DERIVED] && !is_first_task) t.folded++;
    t.step = 1;
  } else if (bounds[DERIVED]) {
    if (is_first_task) {
      write_row(&t, e);
      t.folded++;
    } else if (e->has_task) {
      t.tasks |= (uint8_t)(1 << (t.folded - 1));
    }
    t.step = 0;
  } else if (s->step == 1) {
    put_task(&t);
    t.step = 2;
  } else {
    t.folded++;
    t.step = 0;
  }
  MOVE(search, &t, "sequencer: %s of %c%u", names[bounds[DERIVED]][is_first_task ? !s->step : s->step], 'A' + e->conversation, e->seq);
}

/* ------------------------------------------------------------------------------------------------ deliverers (V1) */

static bool put_live(state *s, live l) {
  for (int i = 0; i < LIVE_MAX; i++) {
    if (s->live[i].is_there) continue;
    s->live[i] = l;
    return true;
  }
  return false;
}

static int next_task(const state *s, const deliverer *d) {
  int next = d->next;
  while (next < event_count && !(s->tasks >> next & 1) && next < s->folded)
    next++;
  return next < event_count && (s->tasks >> next & 1) ? next : -1;
}

static void raise(state *s, uint8_t position) {
  s->mark = 0;
  if (position + 1 <= s->pos) return;
  s->old_pos = s->pos;
  s->pos = (uint8_t)(position + 1);
}

static void write_head(state *s, deliverer *d, int task) {
  const event *e = &events[task];
  s->head[e->conversation] = later(s->head[e->conversation], e->seq);
  s->head_position[e->conversation] = later(s->head_position[e->conversation], task + 1);
  s->stored = later(s->stored, task + 1);
  d->is_head_written = 1;
}

static void tell(model_search *search, const state *s, int k, int task) {
  const event *e = &events[task];
  state t = *s;
  deliverer *d = &t.deliverers[k];
  uint8_t previous = d->owes && CH_RULE(V1) ? 0 : t.pos;
  raise(&t, (uint8_t)(task + 1));
  d->owes = 0;
  if (CH_RULE(V1)) {
    d->next = (uint8_t)(task + 1);
    d->is_head_written = 0;
  } else {
    d->is_head_written = bounds[DERIVED] ? 0 : 2; /* comes last, then */
    if (bounds[DERIVED]) d->next = (uint8_t)(task + 1);
  }
  live l = {.is_there = 1, .conversation = e->conversation, .seq = e->seq, .previous = previous, .position = (uint8_t)(task + 2)};
  if (t.has_route && !put_live(&t, l)) return;
  MOVE(search, &t, "deliverer %d: raises to %d (before: %d), %s %c%u", k + 1, task + 1, previous - 1, t.has_route ? "sends" : "has no route for", 'A' + e->conversation, e->seq);
}

static void fail_raise(model_search *search, const state *s, int k, int task) {
  for (int is_done = 0; is_done <= 1 && s->left[RAISES]; is_done++) {
    state t = *s;
    t.left[RAISES]--;
    deliverer *d = &t.deliverers[k];
    if (is_done) raise(&t, (uint8_t)(task + 1));
    d->owes = (uint8_t)(task + 1);
    if (CH_RULE(V1) || bounds[DERIVED]) d->next = (uint8_t)(task + 1);
    d->is_head_written = CH_RULE(V1) || bounds[DERIVED] ? 0 : 2;
    FAULT(search, &t, "deliverer %d: its raise to %d is not answered (%s)", k + 1, task + 1, is_done ? "done" : "not done");
  }
}

/* What is owed is raised again, and the client told to sync. */
static void settle_debt(model_search *search, const state *s, int k) {
  state t = *s;
  deliverer *d = &t.deliverers[k];
  raise(&t, d->owes);
  d->owes = 0;
  live l = {.is_there = 1, .seq = 0, .previous = 0, .position = t.pos};
  if (t.has_route && !put_live(&t, l)) return;
  MOVE(search, &t, "deliverer %d: raises again to %u, tells to sync", k + 1, s->deliverers[k].owes);
}

static void deliver(model_search *search, const state *s, int k) {
  const deliverer *d = &s->deliverers[k];
  if (!d->is_alive) return;
  if (d->owes) settle_debt(search, s, k);
  int task = next_task(s, d);
  if (task < 0) return;
  bool is_head_first = CH_RULE(V1), is_turn_of_head = is_head_first ? !d->is_head_written : d->is_head_written == 2;
  if (!bounds[DERIVED] && is_turn_of_head) {
    state t = *s;
    write_head(&t, &t.deliverers[k], task);
    if (!is_head_first) t.deliverers[k] = (deliverer){.is_alive = 1, .next = (uint8_t)(task + 1), .owes = d->owes};
    MOVE(search, &t, "deliverer %d: head %c%u is written, position %d", k + 1, 'A' + events[task].conversation, events[task].seq, task + 1);
    return;
  }
  tell(search, s, k, task);
  fail_raise(search, s, k, task);
}

static void take_over(model_search *search, const state *s) {
  if (!s->left[TAKEOVERS]) return;
  state t = *s;
  t.left[TAKEOVERS]--;
  int first = bounds[DERIVED] ? 0 : s->stored;
  if (model_keeps(RULE_REWIND) && first > 0) first = first > 2 ? first - 2 : 0;
  int k = t.left[TAKEOVERS] % 2;
  t.deliverers[k] = (deliverer){.is_alive = 1, .next = (uint8_t)first};
  FAULT(search, &t, "deliverer %d: takes the partition from position %d on", k + 1, first);
}

/* The one that has lost the partition ends. */
static void end_zombie(model_search *search, const state *s) {
  for (int k = 0; k < DELIVERERS; k++) {
    if (!s->deliverers[k].is_alive || !s->deliverers[!k].is_alive) continue;
    state t = *s;
    t.deliverers[k] = (deliverer){0};
    FAULT(search, &t, "deliverer %d: is killed", k + 1);
  }
}

/* ------------------------------------------------------------------------------------------------ directory (V6) */

static void lose_directory(model_search *search, const state *s) {
  if (s->epoch == EPOCHS_MAX) return;
  if (s->left[FLUSHES]) {
    state t = *s;
    t.left[FLUSHES]--;
    t.pos = t.old_pos = t.mark = t.has_route = 0;
    t.epoch++;
    FAULT(search, &t, "directory: forgets everything");
  }
  if (s->left[FAILOVERS]) {
    state t = *s;
    t.left[FAILOVERS]--;
    t.pos = t.old_pos;
    t.epoch++;
    FAULT(search, &t, "directory: a replica takes over that has not heard of the last raise: pos %d", t.pos - 1);
  }
}

/* ------------------------------------------------------------------------------------------------ the client: sessions */

static void make_durable(state *s) {
  s->durable = s->now;
}

/* V8: what DELIVERED names is durable. */
static void say_delivered(state *s) {
  for (int c = 0; c < CONVERSATIONS; c++)
    s->delivered[c] = later(s->delivered[c], CH_RULE(V8) ? s->durable.cursor[c] : s->now.cursor[c]);
}

static void changed(state *s) {
  if (!bounds[POWER]) make_durable(s);
  say_delivered(s);
}

static void want_sync(state *s) {
  if (s->sync == 0) s->sync = 1;
  else if (s->sync > 1) s->again = 1;
}

static void want_ranges(state *s) {
  for (int c = 0; c < CONVERSATIONS; c++)
    if (s->now.cursor[c] < s->known[c] && !s->asked[c]) s->wants[c] = 1;
}

static void end_session(state *s) {
  s->is_connected = s->sync = s->again = s->sync_position = s->fills = s->fill = 0;
  memset(s->sync_head, 0, sizeof s->sync_head);
  memset(s->asked, 0, sizeof s->asked);
  memset(s->wants, 0, sizeof s->wants);
  memset(s->live, 0, sizeof s->live);
}

static void connect(model_search *search, const state *s) {
  if (s->is_connected) return;
  state t = *s;
  t.is_connected = 1;
  t.has_route = 1;
  t.epoch_seen = t.epoch;
  t.told = later(t.told, t.now.position);
  want_sync(&t);
  if (CH_RULE(V4)) want_ranges(&t);
  MOVE(search, &t, "client: connects");
}

static void restart(state *s, const mine *from) {
  end_session(s);
  s->now = *from;
  s->told = s->now.position;
  memcpy(s->known, s->now.head, sizeof s->known);
}

static void lose_client(model_search *search, const state *s) {
  if (s->is_connected && s->left[DISCONNECTS]) {
    state t = *s;
    t.left[DISCONNECTS]--;
    end_session(&t);
    FAULT(search, &t, "client: loses its session");
  }
  if (s->left[CRASHES]) {
    state t = *s;
    t.left[CRASHES]--;
    restart(&t, &s->now);
    FAULT(search, &t, "client: is killed and starts again");
  }
  if (s->left[POWER]) {
    state t = *s;
    t.left[POWER]--;
    restart(&t, &s->durable);
    FAULT(search, &t, "client: a power cut takes what was not durable");
  }
}

static void flush(model_search *search, const state *s) {
  if (memcmp(&s->now, &s->durable, sizeof s->now) == 0) return;
  state t = *s;
  make_durable(&t);
  say_delivered(&t);
  MOVE(search, &t, "client: commits durably, says DELIVERED A%u B%u", t.delivered[0], t.delivered[1]);
}

/* ------------------------------------------------------------------------------------------------ the client: live, heartbeat (V2, V4) */

static void apply(state *s, int conversation, int seq) {
  s->now.cursor[conversation] = (uint8_t)seq;
  s->now.rows[conversation] |= (uint8_t)(1 << seq);
  s->now.head[conversation] = later(s->now.head[conversation], seq);
}

static void hear(state *s, const live *l) {
  uint64_t told = s->told + 1u;
  if (!ch_told_follow(&told, l->previous, l->seq ? l->position : l->previous)) want_sync(s);
  s->told = (uint8_t)(told - 1);
  int c = l->conversation;
  if (!l->seq || l->seq <= s->now.cursor[c]) return;
  s->known[c] = later(s->known[c], l->seq);
  if (l->seq == s->now.cursor[c] + 1 || !model_keeps(RULE_NEXT)) apply(s, c, l->seq);
  else want_ranges(s); /* held for 300 ms, in vain */
}

static void receive(model_search *search, const state *s) {
  for (int i = 0; i < LIVE_MAX; i++) {
    if (!s->live[i].is_there) continue;
    state t = *s;
    live l = s->live[i];
    t.live[i] = (live){0};
    if (i == 0 && t.live[1].is_there) {
      t.live[0] = t.live[1];
      t.live[1] = (live){0};
    }
    if (s->left[LOSSES]) {
      state u = t;
      u.left[LOSSES]--;
      FAULT(search, &u, "a live event is lost (%c%u)", 'A' + l.conversation, l.seq);
    }
    hear(&t, &l);
    changed(&t);
    MOVE(search, &t, "client: hears %c%u live (position %d, before: %d): cursor %u, told %u%s", 'A' + l.conversation, l.seq, l.position - 1, l.previous - 1, t.now.cursor[l.conversation], t.told,
         t.sync ? ", wants a sync" : "");
  }
}

/* Only where it changes something. */
static void beat(model_search *search, const state *s) {
  if (!s->is_connected || s->sync) return;
  state t = *s;
  bool is_other_epoch = t.epoch != t.epoch_seen && CH_RULE(V6);
  t.epoch_seen = t.epoch;
  t.has_route = 1;
  if (is_other_epoch || ch_told_is_behind(t.told + 1u, t.pos)) want_sync(&t);
  if (CH_RULE(V4)) want_ranges(&t);
  if (memcmp(&t, s, sizeof t) == 0) return;
  MOVE(search, &t, "client: heartbeat, pos %d: %s", t.pos - 1, t.sync ? "wants a sync" : "nothing new");
}

/* ------------------------------------------------------------------------------------------------ sync (V2, V3) */

static void read_heads(state *s) {
  for (int c = 0; c < CONVERSATIONS; c++) {
    bool is_above = bounds[DERIVED] || s->head_position[c] > s->now.position;
    s->sync_head[c] = !is_above ? 0 : bounds[DERIVED] ? (uint8_t)head_at(c, s->folded, true) : s->head[c];
  }
}

static uint8_t stored_position(const state *s) {
  return bounds[DERIVED] ? s->folded : s->stored;
}

static uint8_t highest_position(const state *s) {
  uint8_t highest = s->sync_position;
  for (int c = 0; c < CONVERSATIONS && !bounds[DERIVED]; c++)
    if (s->sync_head[c]) highest = later(highest, s->head_position[c]);
  return highest;
}

static void take_sync(state *s) {
  for (int c = 0; c < CONVERSATIONS; c++) {
    s->known[c] = later(s->known[c], s->sync_head[c]);
    s->now.head[c] = later(s->now.head[c], s->sync_head[c]);
  }
  s->now.position = later(s->now.position, s->sync_position);
  s->told = later(s->told, s->now.position);
  s->sync = s->again ? 1 : 0;
  s->again = s->sync_position = s->fills = s->fill = 0;
  memset(s->sync_head, 0, sizeof s->sync_head);
  want_ranges(s);
  changed(s);
}

/* A missing pos:{user} is filled by a marker, then the heads, then their highest position in the marker's place. */
static void fill_pos(state *s) {
  if (!s->fills || (model_keeps(RULE_MARK) && !s->mark)) return;
  s->pos = (uint8_t)(s->fill + 1);
  s->mark = 0;
}

static void sync(model_search *search, const state *s) {
  if (!s->is_connected || !s->sync) return;
  state t = *s;
  if (s->sync == 1) {
    t.sync = 2;
    if (!t.pos) t.mark = t.fills = 1;
    MOVE(search, &t, "client: SYNC above %u%s", t.now.position, t.pos ? "" : ", a marker for pos");
  } else if (s->sync == 2) {
    t.sync = 3;
    if (bounds[DERIVED] || CH_RULE(V3)) t.sync_position = stored_position(s);
    if (bounds[DERIVED] || !CH_RULE(V3)) read_heads(&t);
    MOVE(search, &t, "gateway: reads %s", bounds[DERIVED] ? "one snapshot" : CH_RULE(V3) ? "the stored position" : "the heads");
  } else if (s->sync == 3 && !bounds[DERIVED]) {
    t.sync = 4;
    if (CH_RULE(V3)) read_heads(&t);
    else t.sync_position = stored_position(s);
    if (t.fills) t.fill = highest_position(&t);
    MOVE(search, &t, "gateway: reads %s", CH_RULE(V3) ? "the heads" : "the stored position");
  } else {
    if (bounds[DERIVED] && !CH_RULE(V7)) t.sync_position = stored_position(s); /* no one snapshot */
    if (bounds[DERIVED]) t.fill = t.sync_position;
    fill_pos(&t);
    uint8_t a = t.sync_head[0], b = t.sync_head[1];
    take_sync(&t);
    MOVE(search, &t, "client: is told heads A%u B%u, position %u", a, b, t.now.position);
  }
}

/* ------------------------------------------------------------------------------------------------ ranges (V4, V5) */

static size_t intervals_at(int conversation, int prefix, chat_interval *intervals) {
  size_t count = 0;
  bool is_open = false;
  for (int i = 0; i < prefix; i++) {
    const event *e = &events[i];
    if (e->conversation != conversation) continue;
    if (e->is_readable && !is_open) intervals[count++] = (chat_interval){(uint64_t)e->seq - 1, UINT64_MAX};
    if (!e->is_readable && is_open) intervals[count - 1].left = e->seq - 1u;
    is_open = e->is_readable;
  }
  /* The state knows of a removal before anything follows it. */
  const event *last = event_at(conversation, head_at(conversation, prefix, false));
  const char *script = scripts[bounds[SCRIPT]];
  if (last && is_open && script[(last - events) * 2 + 1] == 'r') intervals[count - 1].left = last->seq;
  if (!count) intervals[count++] = (chat_interval){0, UINT64_MAX};
  return count;
}

/* As the store gives it: rows of one state; `missing`: a row that this replica does not have. */
static ch_range_reply clip(const state *s, int c, int missing, chat_row *rows) {
  chat_interval intervals[EVENTS_MAX];
  chat_member member = {.user = {(const uint8_t *)"u", 1}, .role = CHAT_ROLE_MEMBER, .intervals = intervals};
  member.interval_count = intervals_at(c, s->folded, intervals);
  chat_store_range range = {.user = member.user, .low = s->now.cursor[c], .limit = CHAT_PAGE_MAX, .rows = rows};
  range.state = (chat_state){.kind = CHAT_GROUP, .head = (uint64_t)head_at(c, s->folded, false), .members = &member, .member_count_here = 1};
  for (int seq = s->now.cursor[c] + 1; seq <= (int)range.state.head; seq++)
    if ((s->rows[c] >> seq & 1) && seq != missing) rows[range.row_count++] = (chat_row){.seq = (uint64_t)seq};
  ch_range asked = {.low = range.low, .limit = range.limit};
  ch_range_reply reply;
  ch_range_clip(&range, &asked, &reply);
  return reply;
}

static void take_range(state *s, int c, const ch_range_reply *reply) {
  uint8_t before = s->now.cursor[c];
  s->now.cursor[c] = later(s->now.cursor[c], (unsigned)reply->floor);
  for (size_t i = 0; i < reply->event_count; i++)
    if (reply->events[i].seq > s->now.cursor[c] && reply->events[i].seq <= reply->high) apply(s, c, (int)reply->events[i].seq);
  s->now.cursor[c] = later(s->now.cursor[c], (unsigned)reply->high);
  s->now.head[c] = later(s->now.head[c], s->now.cursor[c]);
  s->asked[c] = 0;
  if (s->now.cursor[c] > before) want_ranges(s);
  changed(s);
}

static void answer_range(model_search *search, const state *s, int c, int missing) {
  chat_row rows[EVENTS_MAX + 1];
  state t = *s;
  ch_range_reply reply = clip(s, c, missing, rows);
  if (missing) t.left[HOLES]--;
  take_range(&t, c, &reply);
  model_emit(search, &t, missing, "client: is given %c from %u%s: cursor %u, of head %u", 'A' + c, s->now.cursor[c], missing ? ", by a replica that lacks a row" : "", t.now.cursor[c],
             (unsigned)reply.head);
}

static void fetch(model_search *search, const state *s) {
  for (int c = 0; c < CONVERSATIONS && s->is_connected; c++) {
    if (s->wants[c]) {
      state t = *s;
      t.wants[c] = 0;
      t.asked[c] = 1;
      MOVE(search, &t, "client: RANGE %c above %u", 'A' + c, t.now.cursor[c]);
    }
    if (!s->asked[c]) continue;
    answer_range(search, s, c, 0);
    for (int missing = s->now.cursor[c] + 1; s->left[HOLES] && missing <= head_at(c, s->folded, false); missing++)
      answer_range(search, s, c, missing);
    if (!s->left[FAILURES]) continue;
    state t = *s;
    t.left[FAILURES]--;
    t.asked[c] = 0;
    FAULT(search, &t, "client: RANGE %c fails", 'A' + c);
  }
}

/* ------------------------------------------------------------------------------------------------ all moves, promises */

static void moves(model_search *search, const void *of) {
  const state *s = of;
  sequence(search, s);
  for (int k = 0; k < DELIVERERS; k++)
    deliver(search, s, k);
  connect(search, s);
  receive(search, s);
  beat(search, s);
  sync(search, s);
  fetch(search, s);
  flush(search, s);
  take_over(search, s);
  end_zombie(search, s);
  lose_directory(search, s);
  lose_client(search, s);
}

static const char *broken(const void *of) {
  const state *s = of;
  for (int i = 0; i < event_count; i++) {
    const event *e = &events[i];
    int c = e->conversation;
    bool is_here = s->now.rows[c] >> e->seq & 1;
    if (is_here && !e->is_readable) return "P9: an event outside of the membership is shown";
    if (!is_here && e->is_readable && s->now.cursor[c] >= e->seq) return "P4: the cursor passes an event that is not here";
  }
  for (int c = 0; c < CONVERSATIONS; c++)
    if (s->delivered[c] > s->durable.cursor[c]) return "P5: DELIVERED names what a power cut would take";
  return NULL;
}

static const char *unfinished(const void *of) {
  const state *s = of;
  for (int c = 0; c < CONVERSATIONS; c++)
    if (s->now.cursor[c] < head_at(c, event_count, true)) return "P4: a silent gap: the client will never hear of an event";
  return NULL;
}

static const model_scope scopes[] = {
    /*             script losses flushes failovers takeovers raises disconnects crashes holes failures power derived */
    {"losses",     {1, 2, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0}},
    {"takeover",   {1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}},
    {"raises",     {1, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0}},
    {"directory",  {1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0}},
    {"membership", {2, 1, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0}},
    {"power",      {0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0}},
    {"derived",    {1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1}},
    {NULL, {0}},
};

static const model_rule rules[] = {
    {CH_RULE_V1, "V1", "raises", NULL},
    {RULE_REWIND, "V1 begins before", "takeover", NULL},
    {CH_RULE_V2, "V2", "losses", NULL},
    {RULE_MARK, "V2 marker", "directory", NULL},
    {CH_RULE_V3, "V3", "losses", NULL},
    {CH_RULE_V4, "V4", "losses", NULL},
    {CH_RULE_V5, "V5", "membership", NULL},
    {CH_RULE_V6, "V6", "directory", NULL},
    {CH_RULE_V7, "V7", "derived", NULL},
    {CH_RULE_V8, "V8", "power", NULL},
    {RULE_NEXT, "cursor without gap", "losses", NULL},
    {0, NULL, NULL, NULL},
};

const model model_receiving = {
    .name = "receiving", .scopes = scopes, .short_scopes = "losses,takeover,raises,directory,membership,power,derived", .rules = rules, .state_len = sizeof(state),
    .begin = begin, .moves = moves, .broken = broken, .unfinished = unfinished,
};
