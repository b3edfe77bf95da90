/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.c - a body that was taken away must not come back: rows that owners and zombies write again at any time, while one is edited, one is erased, and all that is old is pruned behind a horizon.
 *
 * libchat prunes (retention) and has no edits yet; the rules for edits and erasures are those that the store already keeps for every row: the higher cause wins. Modelled: the store's row
 * (store_mem/write.c: apply_row, prune), on one replica or on three, whose writes are by quorum and whose reads are merged. The code's own: what of a range may be given (ch_range_clip).
 */
#include <string.h>

#include "model/models.h"
#include "server/role/gateway_parts.h"

enum { ROWS = 2, REPLICAS_MAX = 3, WRITES_MAX = 3 };
enum bound { REPLICAS, REWRITES, EDITS, ERASURES, PRUNES, BOUND_COUNT };
enum { RULE_CAUSE = CH_RULE_COUNT, RULE_HORIZON, RULE_TOMBSTONE };
enum { ABSENT, BODY, EDITED, ERASED }; /* what a row holds: the order of causes, too */

typedef struct replica {
  uint8_t rows[ROWS], horizon; /* rows up to it are pruned */
} replica;

typedef struct write { /* on its way to the replicas that have not had it */
  uint8_t row, holds, missing; /* row: + 1; 0: none. missing: bits */
} write;

typedef struct state {
  replica replicas[REPLICAS_MAX];
  write writes[WRITES_MAX];
  uint8_t is_taken[ROWS];  /* an edit or erasure was acknowledged: the body is gone */
  uint8_t is_gone[ROWS];   /* acknowledged as erased, or pruned everywhere */
  uint8_t pruning;         /* rows that the pruner is about to erase, replica by replica */
  uint8_t left[BOUND_COUNT];
} state;

static int bounds[BOUND_COUNT];

static void begin(const model_scope *scope, void *first) {
  state *s = first;
  for (int i = 0; i < BOUND_COUNT; i++) {
    bounds[i] = scope->bounds[i];
    s->left[i] = (uint8_t)scope->bounds[i];
  }
  for (int i = 0; i < bounds[REPLICAS]; i++)
    for (int row = 0; row < ROWS; row++)
      s->replicas[i].rows[row] = BODY;
}

static int quorum(void) {
  return bounds[REPLICAS] / 2 + 1;
}

/* ------------------------------------------------------------------------------------------------ the store */

/* The higher cause wins; what was pruned does not come back. */
static void put(replica *to, int row, uint8_t holds) {
  if (row < to->horizon && model_keeps(RULE_HORIZON)) return;
  if (holds <= to->rows[row] && model_keeps(RULE_CAUSE)) return;
  bool is_removal = holds == ERASED && !model_keeps(RULE_TOMBSTONE);
  to->rows[row] = is_removal ? ABSENT : holds;
}

static void land(model_search *search, const state *s) {
  static const char *const names[] = {"", "its body", "the edit", "its erasure"};
  for (int i = 0; i < WRITES_MAX; i++)
    for (int at = 0; at < bounds[REPLICAS]; at++) {
      if (!s->writes[i].row || !(s->writes[i].missing >> at & 1)) continue;
      state t = *s;
      write *w = &t.writes[i];
      put(&t.replicas[at], w->row - 1, w->holds);
      w->missing &= (uint8_t)~(1 << at);
      bool is_acked = bounds[REPLICAS] - __builtin_popcount(w->missing) == quorum();
      if (is_acked && w->holds > BODY) t.is_taken[w->row - 1] = w->holds > t.is_taken[w->row - 1] ? w->holds : t.is_taken[w->row - 1];
      if (!w->missing) *w = (write){0};
      MOVE(search, &t, "store %d: row %u, %s", at + 1, s->writes[i].row, names[s->writes[i].holds]);
    }
}

static void begin_write(model_search *search, const state *s, uint8_t holds, enum bound budget, const char *who) {
  for (uint8_t row = 0; row < ROWS && s->left[budget]; row++) {
    state t = *s;
    int free = 0;
    while (free < WRITES_MAX && t.writes[free].row)
      free++;
    if (free == WRITES_MAX) return;
    t.left[budget]--;
    t.writes[free] = (write){(uint8_t)(row + 1), holds, (uint8_t)((1 << bounds[REPLICAS]) - 1)};
    FAULT(search, &t, "%s row %u", who, row + 1);
  }
}

static void erase_old(model_search *search, const state *s, int at) {
  for (int row = 0; row < s->replicas[at].horizon; row++) {
    if (s->replicas[at].rows[row] == ABSENT || (s->is_gone[row] >> at & 1)) continue;
    state t = *s;
    t.replicas[at].rows[row] = ABSENT;
    t.is_gone[row] |= (uint8_t)(1 << at);
    MOVE(search, &t, "store %d: row %d goes", at + 1, row + 1);
  }
}

/* Oldest first: the horizon moves, then the rows below it go. */
static void prune(model_search *search, const state *s) {
  if (s->left[PRUNES]) {
    state t = *s;
    t.left[PRUNES]--;
    t.pruning++;
    FAULT(search, &t, "retention: row %u is old", t.pruning);
  }
  for (int at = 0; at < bounds[REPLICAS]; at++) {
    if (s->replicas[at].horizon < s->pruning) {
      state t = *s;
      t.replicas[at].horizon++;
      MOVE(search, &t, "store %d: the horizon moves to %u", at + 1, t.replicas[at].horizon);
    }
    erase_old(search, s, at);
  }
}

/* ------------------------------------------------------------------------------------------------ what a reader gets */

static replica merged(const state *s, unsigned set) {
  replica all = {{0}, 0};
  for (int at = 0; at < bounds[REPLICAS]; at++) {
    if (!(set >> at & 1)) continue;
    if (s->replicas[at].horizon > all.horizon) all.horizon = s->replicas[at].horizon;
    for (int row = 0; row < ROWS; row++)
      if (s->replicas[at].rows[row] > all.rows[row]) all.rows[row] = s->replicas[at].rows[row];
  }
  return all;
}

/* ch_range_clip of what this quorum has, read from its beginning. */
static ch_range_reply read_range(const replica *from, chat_row *rows, uint8_t *holds) {
  static chat_interval whole = {0, UINT64_MAX};
  chat_member member = {.role = CHAT_ROLE_MEMBER, .intervals = &whole, .interval_count = 1};
  chat_store_range range = {.user = {(const uint8_t *)"u", 1}, .limit = CHAT_PAGE_MAX, .rows = rows, .horizon = from->horizon};
  range.state = (chat_state){.kind = CHAT_GROUP, .head = ROWS, .members = &member, .member_count_here = 1};
  for (int row = from->horizon; row < ROWS; row++) {
    if (from->rows[row] == ABSENT) continue;
    holds[range.row_count] = from->rows[row];
    rows[range.row_count++] = (chat_row){.seq = (uint64_t)row + 1};
  }
  ch_range asked = {.limit = CHAT_PAGE_MAX};
  ch_range_reply reply;
  ch_range_clip(&range, &asked, &reply);
  return reply;
}

static const char *broken_read(const state *s, unsigned set) {
  chat_row rows[ROWS];
  uint8_t holds[ROWS];
  replica from = merged(s, set);
  ch_range_reply reply = read_range(&from, rows, holds);
  for (size_t i = 0; i < reply.event_count; i++) {
    size_t place = (size_t)(reply.events - rows) + i;
    int row = (int)rows[place].seq - 1;
    if (holds[place] < s->is_taken[row]) return "a body that was edited or erased is given again";
  }
  if (reply.floor > from.horizon) return "P4: more than what is pruned is said to be gone";
  return NULL;
}

static const char *broken(const void *of) {
  const state *s = of;
  for (int row = 0; row < ROWS; row++)
    for (int at = 0; at < bounds[REPLICAS]; at++)
      if ((s->is_gone[row] >> at & 1) && s->replicas[at].rows[row] != ABSENT) return "a body that was pruned is stored again";
  for (unsigned set = 1; set < 1u << bounds[REPLICAS]; set++) {
    const char *reason = __builtin_popcount(set) == quorum() ? broken_read(s, set) : NULL;
    if (reason) return reason;
  }
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ all moves */

static void moves(model_search *search, const void *of) {
  begin_write(search, of, BODY, REWRITES, "a replay or a zombie writes again");
  begin_write(search, of, EDITED, EDITS, "somebody edits");
  begin_write(search, of, ERASED, ERASURES, "somebody erases");
  land(search, of);
  prune(search, of);
}

static const char *unfinished(const void *of) {
  const state *s = of;
  for (int row = 0; row < s->pruning; row++)
    for (int at = 0; at < bounds[REPLICAS]; at++)
      if (s->replicas[at].rows[row] != ABSENT) return "a row that is old stays for ever";
  return NULL;
}

static const model_scope scopes[] = {
    /*         replicas rewrites edits erasures prunes */
    {"one",   {1, 3, 1, 1, 2}},
    {"three", {3, 1, 1, 1, 1}},
    {NULL, {0}},
};

static const model_rule rules[] = {
    {RULE_CAUSE, "higher cause", "one", NULL},
    {RULE_HORIZON, "horizon first", "one", NULL},
    {RULE_TOMBSTONE, "erased, not absent", "one", NULL},
    {0, NULL, NULL, NULL},
};

const model model_rows = {
    .name = "rows", .scopes = scopes, .short_scopes = "one", .rules = rules, .state_len = sizeof(state),
    .begin = begin, .moves = moves, .broken = broken, .unfinished = unfinished,
};
