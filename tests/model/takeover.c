/* SPDX-License-Identifier: Apache-2.0 */
/*
 * takeover.c - two owners of a partition, each of which may be a zombie, over every log of some length: effects first, S1 to S3. The state is kept by one replica, or by three that are read
 * and written by quorum, each cell with its own cause as timestamp.
 *
 * The code's own: what an owner reads (ch_conversation_load, which refuses what contradicts itself), each verdict (ch_judge), which cells a batch writes (ch_conversation_touched). Modelled: the
 * order of steps (sequencer_steps.c), the store's cells (the higher cause wins, as in store_mem/write.c), replicas, the log's consumed position.
 */
#include <string.h>

#include "core/assert.h"
#include "core/bytes.h"
#include "model/checker.h"
#include "model/fold.h"
#include "model/models.h"

enum { LOG_MAX = 4, OWNERS = 2, REPLICAS_MAX = 3, BATCHES_MAX = 3, SENDERS = 2, INTERVALS_MAX = 3, MEMO_ROOM = 1 << 16 };
enum bound { LOG, REPLICAS, TAKEOVERS, BATCH, BOUND_COUNT };
enum { OPEN = 255 };

typedef struct cells { /* state of the conversation, as owner or store has it; each cell with the position that wrote it last */
  uint8_t position, head;
  uint8_t last[SENDERS], sender_position[SENDERS];
  uint8_t role, member_position, interval_count, joined[INTERVALS_MAX], left[INTERVALS_MAX];
} cells;

typedef struct batch { /* a write of state on its way */
  uint8_t is_there, owner, landed; /* owner + 1; 0: nobody waits for it. landed: bits of replicas */
  uint8_t since;
  cells written;
} batch;

typedef struct owner {
  uint8_t is_alive, is_loaded, next; /* next: position that it reads next */
  uint8_t waits;                     /* for its batch, whose last record this is */
  uint8_t owes_effects;              /* first of its records whose rows are not written (without effects first) */
  uint8_t acked;                     /* not yet said to the log */
  cells own;
} owner;

typedef struct state {
  uint8_t log_count, log[LOG_MAX]; /* records of the alphabet */
  uint8_t takeovers, consumed;
  owner owners[OWNERS];
  cells replicas[REPLICAS_MAX];
  batch batches[BATCHES_MAX];
  uint8_t rows[LOG_MAX + 1]; /* by seq: position of the record that made it */
} state;

static const fold_record alphabet[] = {
    {FOLD_MESSAGE, 1, 1, 0, 1, 0}, {FOLD_MESSAGE, 1, 2, 1, 2, 0}, {FOLD_MESSAGE, 1, 2, 0, 2, 0}, {FOLD_VOID, 1, 1, 0, 1, 0},
    {FOLD_MESSAGE, 4, 1, 0, 3, 0}, {FOLD_REMOVE, 0, 0, 0, 0, 0},  {FOLD_ADD, 0, 0, 0, 0, 0},
};
enum { ALPHABET = sizeof alphabet / sizeof *alphabet };

static int bounds[BOUND_COUNT];

static cells first_cells(void) {
  return (cells){.role = CHAT_ROLE_MEMBER, .interval_count = 1, .left = {OPEN}};
}

static void begin(const model_scope *scope, void *first) {
  state *s = first;
  for (int i = 0; i < BOUND_COUNT; i++)
    bounds[i] = scope->bounds[i];
  for (int i = 0; i < bounds[REPLICAS]; i++)
    s->replicas[i] = first_cells();
  s->owners[0] = (owner){.is_alive = 1, .next = 1};
}

/* ------------------------------------------------------------------------------------------------ cells to the code's state, and back */

static chat_bytes sender_user(int i) {
  return ch_bytes_text(i == 0 ? "a" : "o");
}

typedef struct unpacked { /* what a chat_state points to */
  chat_state state;
  chat_member members[2];
  chat_sender senders[SENDERS];
  chat_interval intervals[INTERVALS_MAX], owner_interval;
} unpacked;

static void unpack_member(const cells *c, unpacked *to) {
  for (int i = 0; i < c->interval_count; i++)
    to->intervals[i] = (chat_interval){c->joined[i], c->left[i] == OPEN ? UINT64_MAX : c->left[i]};
  to->owner_interval = (chat_interval){0, UINT64_MAX};
  to->members[0] = (chat_member){
      .user = ch_bytes_text("a"), .role = c->role, .position = c->member_position, .intervals = to->intervals, .interval_count = c->interval_count};
  to->members[1] = (chat_member){.user = ch_bytes_text("o"), .role = CHAT_ROLE_OWNER, .intervals = &to->owner_interval, .interval_count = 1};
}

static void unpack(const cells *c, unpacked *to) {
  unpack_member(c, to);
  size_t sender_count = 0;
  for (int i = 0; i < SENDERS; i++) {
    if (!c->sender_position[i]) continue;
    to->senders[sender_count] = (chat_sender){.user = sender_user(i), .device_id = {i == 0 ? 1 : 4}, .last = c->last[i], .position = c->sender_position[i]};
    sender_count++;
  }
  to->state = (chat_state){.kind = CHAT_GROUP, .head = c->head, .position = c->position, .member_count = 1 + (c->role != CHAT_ROLE_NONE),
                           .members = to->members, .member_count_here = 2, .senders = to->senders, .sender_count = sender_count};
}

static void pack_member(const ch_member_cell *from, cells *to) {
  to->role = (uint8_t)from->role;
  to->member_position = (uint8_t)from->position;
  to->interval_count = (uint8_t)from->intervals.count;
  ch_assert(to->interval_count <= INTERVALS_MAX);
  for (int i = 0; i < to->interval_count; i++) {
    to->joined[i] = (uint8_t)from->intervals.items[i].joined_seq;
    to->left[i] = from->intervals.items[i].left_seq == CH_INTERVAL_OPEN ? OPEN : (uint8_t)from->intervals.items[i].left_seq;
  }
}

static cells pack(const ch_conversation *from) {
  cells to = {.position = (uint8_t)from->position, .head = (uint8_t)from->head};
  for (int i = 0; i < SENDERS; i++) {
    uint8_t device_id[CHAT_DEVICE_ID_LEN] = {i == 0 ? 1 : 4};
    const ch_sender_cell *cell = ch_conversation_sender(from, sender_user(i), device_id);
    if (!cell) continue;
    to.last[i] = (uint8_t)cell->last;
    to.sender_position[i] = (uint8_t)cell->position;
  }
  pack_member(ch_conversation_member(from, ch_bytes_text("a")), &to);
  return to;
}

/* ------------------------------------------------------------------------------------------------ one record, by the code; remembered */

typedef struct judged {
  cells before;
  uint8_t record, position, is_there;
  cells after;
  fold_verdict verdict;
  int load_error;
} judged;

static judged memos[MEMO_ROOM];

static void judge_anew(judged *of) {
  static const uint8_t id[CHAT_CONVERSATION_ID_LEN] = {0x02, 1};
  unpacked from;
  ch_arena arena;
  ch_judgement out;
  ch_arena_init(&arena, NULL, 4096, 1 << 20);
  ch_conversation *conversation = ch_conversation_new(NULL, id);
  ch_assert(conversation);
  unpack(&of->before, &from);
  of->load_error = ch_conversation_load(conversation, &from.state, NULL, 0);
  if (!of->load_error && of->position) {
    of->verdict = fold_judge(conversation, &alphabet[of->record], of->position, &arena, &out);
  }
  if (!of->load_error) of->after = pack(conversation);
  ch_conversation_free(conversation);
  ch_arena_fini(&arena);
  of->is_there = 1;
}

/* position 0: loaded alone. */
static const judged *judge(const cells *before, uint8_t record, uint8_t position) {
  uint64_t h = record * 31u + position;
  const uint8_t *bytes = (const uint8_t *)before;
  for (size_t i = 0; i < sizeof *before; i++)
    h = (h ^ bytes[i]) * 0x100000001b3ULL;
  judged *at = &memos[(h ^ h >> 23) % MEMO_ROOM];
  if (at->is_there && at->record == record && at->position == position && memcmp(&at->before, before, sizeof *before) == 0) return at;
  *at = (judged){.before = *before, .record = record, .position = position};
  judge_anew(at);
  return at;
}

/* What is right: the log folded by one owner, from its beginning, in one piece of memory. */
static const fold_verdict *rightly(const state *s) {
  fold_record log[LOG_MAX];
  for (int i = 0; i < s->log_count; i++)
    log[i] = alphabet[s->log[i]];
  return fold_of(log, s->log_count);
}

/* ------------------------------------------------------------------------------------------------ the store: the higher cause wins, cell by cell */

static void put_cells(cells *to, const cells *from, uint8_t since) {
  if (from->position > to->position) {
    to->position = from->position;
    to->head = from->head;
  }
  for (int i = 0; i < SENDERS; i++) {
    if (from->sender_position[i] <= since || from->sender_position[i] <= to->sender_position[i]) continue;
    to->last[i] = from->last[i];
    to->sender_position[i] = from->sender_position[i];
  }
  if (from->member_position <= since || from->member_position <= to->member_position) return;
  to->role = from->role;
  to->member_position = from->member_position;
  to->interval_count = from->interval_count;
  memcpy(to->joined, from->joined, sizeof to->joined);
  memcpy(to->left, from->left, sizeof to->left);
}

static int quorum(void) {
  return bounds[REPLICAS] / 2 + 1;
}

/* ------------------------------------------------------------------------------------------------ owners */

static void take_over(model_search *search, const state *s) {
  for (int k = 0; k < OWNERS && s->takeovers < bounds[TAKEOVERS]; k++) {
    state t = *s;
    t.takeovers++;
    t.owners[k] = (owner){.is_alive = 1, .next = (uint8_t)(s->consumed + 1)};
    for (int i = 0; i < BATCHES_MAX; i++)
      if (t.batches[i].owner == k + 1) t.batches[i].owner = 0;
    FAULT(search, &t, "owner %d: takes the partition, reads the log from %d on", k + 1, s->consumed + 1);
  }
}

/* S3: by quorum, and what was read is written back before it is used. */
static void load(model_search *search, const state *s, int k) {
  for (unsigned set = 1; set < 1u << bounds[REPLICAS]; set++) {
    if (__builtin_popcount(set) != quorum()) continue;
    cells merged = first_cells();
    for (int i = 0; i < bounds[REPLICAS]; i++)
      if (set >> i & 1) put_cells(&merged, &s->replicas[i], 0);
    const judged *loaded = judge(&merged, 0, 0);
    if (loaded->load_error) {
      model_cut(search); /* is read again */
      continue;
    }
    state t = *s;
    for (int i = 0; i < bounds[REPLICAS] && CH_RULE(S3); i++)
      if (set >> i & 1) put_cells(&t.replicas[i], &merged, 0);
    t.owners[k].own = loaded->after;
    t.owners[k].is_loaded = 1;
    MOVE(search, &t, "owner %d: reads the state of replicas %x: position %u, head %u, last A %u, B %u, a %s", k + 1, set, merged.position, merged.head, merged.last[0],
         merged.last[1], merged.role ? "member" : "no member");
  }
}

static const char *write_effect(state *s, int position, const fold_verdict *made) {
  const fold_verdict *right = rightly(s) + position - 1;
  if (made->code != right->code || made->seq != right->seq) return "P6: another verdict than from the log's beginning";
  uint8_t seq = made->seq;
  if (!seq) return NULL;
  if (s->rows[seq] && s->rows[seq] != position) return "P3: two events under one seq";
  s->rows[seq] = (uint8_t)position;
  return NULL;
}

/* In no order: what differs by it alone is one state. */
static bool put_batch(state *s, const batch *b) {
  for (int i = 0; i < BATCHES_MAX; i++) {
    if (s->batches[i].is_there) continue;
    s->batches[i] = *b;
    return true;
  }
  return false;
}

static void sort_batches(state *s) {
  for (int i = 1; i < BATCHES_MAX; i++)
    for (int j = i; j > 0 && memcmp(&s->batches[j - 1], &s->batches[j], sizeof s->batches[j]) < 0; j--) {
      batch swapped = s->batches[j];
      s->batches[j] = s->batches[j - 1];
      s->batches[j - 1] = swapped;
    }
}

/* Judges up to BATCH records; rows and tasks are written before the state goes out (or, without that, when it is acknowledged). */
static void fold(model_search *search, const state *s, int k) {
  state t = *s;
  owner *o = &t.owners[k];
  uint8_t since = o->own.position;
  const char *reason = NULL;
  if (o->next <= since) { /* its conversation has them already */
    o->next = (uint8_t)(since + 1);
    o->acked = since;
    MOVE(search, &t, "owner %d: has judged all up to record %u already", k + 1, since);
    return;
  }
  for (int count = 0; o->next <= t.log_count && count < bounds[BATCH];) {
    uint8_t position = o->next++;
    const judged *made = judge(&o->own, t.log[position - 1], position);
    o->own = made->after;
    count++;
    if (CH_RULE(EFFECTS_FIRST) && !reason) reason = write_effect(&t, position, &made->verdict);
    state u = t;
    u.owners[k].waits = position;
    u.owners[k].owes_effects = CH_RULE(EFFECTS_FIRST) ? 0 : (uint8_t)(since + 1);
    batch b = {.is_there = 1, .owner = (uint8_t)(k + 1), .since = since, .written = o->own};
    if (!put_batch(&u, &b)) {
      model_cut(search);
      return;
    }
    sort_batches(&u);
    if (reason) model_violate(search, "%s", reason);
    MOVE(search, &u, "owner %d: judges up to record %u (%s), sends the state: head %u, last A %u, B %u, a %s", k + 1, position, fold_name(&alphabet[t.log[position - 1]]), o->own.head,
         o->own.last[0], o->own.last[1], o->own.role ? "member" : "no member");
  }
}

/* Without effects first. */
static void write_owed(model_search *search, const state *s, int k) {
  state t = *s;
  owner *o = &t.owners[k];
  const char *reason = NULL;
  for (int position = o->owes_effects; position <= o->own.position && !reason; position++)
    reason = write_effect(&t, position, rightly(s) + position - 1);
  o->owes_effects = 0;
  if (reason) model_violate(search, "%s", reason);
  MOVE(search, &t, "owner %d: writes rows and tasks", k + 1);
}

static void say_consumed(model_search *search, const state *s, int k) {
  state t = *s;
  if (t.owners[k].acked > t.consumed) t.consumed = t.owners[k].acked;
  t.owners[k].acked = 0;
  MOVE(search, &t, "owner %d: records up to %u are consumed", k + 1, t.consumed);
}

static void work(model_search *search, const state *s, int k) {
  const owner *o = &s->owners[k];
  if (!o->is_alive) return;
  if (o->acked) say_consumed(search, s, k);
  if (o->owes_effects && !o->waits) write_owed(search, s, k);
  else if (!o->is_loaded) load(search, s, k);
  else if (!o->waits) fold(search, s, k);
}

/* ------------------------------------------------------------------------------------------------ replicas */

static void land(model_search *search, const state *s, int i, int replica) {
  state t = *s;
  batch *b = &t.batches[i];
  put_cells(&t.replicas[replica], &b->written, b->since);
  b->landed |= (uint8_t)(1 << replica);
  bool is_waited_for = b->owner && __builtin_popcount(s->batches[i].landed) < quorum();
  if (b->owner && __builtin_popcount(b->landed) == quorum()) {
    owner *o = &t.owners[b->owner - 1];
    o->acked = o->waits;
    o->waits = 0;
  }
  if (b->landed == (1 << bounds[REPLICAS]) - 1) *b = (batch){0};
  uint8_t position = s->batches[i].written.position;
  sort_batches(&t);
  model_emit(search, &t, !is_waited_for, "store: the state of record %u lands on replica %d", position, replica);
}

static void write(model_search *search, const state *s) {
  for (int i = 0; i < BATCHES_MAX; i++)
    for (int replica = 0; s->batches[i].is_there && replica < bounds[REPLICAS]; replica++)
      if (!(s->batches[i].landed >> replica & 1)) land(search, s, i, replica);
}

/* ------------------------------------------------------------------------------------------------ all moves */

static void moves(model_search *search, const void *of) {
  const state *s = of;
  for (uint8_t i = 0; i < ALPHABET && s->log_count < bounds[LOG]; i++) {
    state t = *s;
    t.log[t.log_count++] = i;
    MOVE(search, &t, "log: record %u is %s", t.log_count, fold_name(&alphabet[i]));
  }
  if (s->log_count < bounds[LOG]) return;
  for (int k = 0; k < OWNERS; k++)
    work(search, s, k);
  write(search, s);
  take_over(search, s);
}

static const char *unfinished(const void *of) {
  const state *s = of;
  const fold_verdict *right = rightly(s);
  for (int i = 0; i < s->log_count; i++)
    if (right[i].seq && !s->rows[right[i].seq]) return "P1: an event whose row nobody will write";
  return s->consumed < s->log_count ? "P1: records that nobody will judge" : NULL;
}

static const model_scope scopes[] = {
    /*               log replicas takeovers batch */
    {"short",       {2, 1, 3, 2}},
    {"short three", {2, 3, 2, 2}},
    {"one",         {3, 1, 3, 2}},
    {NULL, {0}},
};

static const model_rule rules[] = {
    {CH_RULE_S1, "S1", NULL, "a verdict is a function of the log's prefix (P6, shown here), and a client waits for the head that it names (C7): it reads no state that is older"},
    {CH_RULE_S2, "S2", NULL, "numbers only rise and a member's cell changes with each record that touches it, so the cause of a cell's last change does; a store that stamps whole batches needs it"},
    {CH_RULE_S3, "S3", "short three", NULL},
    {CH_RULE_EFFECTS_FIRST, "effects first", "short", NULL},
    {CH_RULE_NUMBERS_STORED, "numbers stored", "short", NULL},
    {0, NULL, NULL, NULL},
};

const model model_takeover = {
    .name = "takeover", .scopes = scopes, .short_scopes = "short", .rules = rules, .state_len = sizeof(state), .begin = begin, .moves = moves, .unfinished = unfinished,
};
