/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epochs.c - a log that is not the one whose records are stored: an older copy of it, or another log, swapped in while its owner runs or stands; and the epoch that an operator raises.
 *
 * The code's own: whether a log contradicts what is stored, and where to go on (ch_log_check). Modelled: opening and reading (sequencer_reader.c), the log, the operator. What a swap takes with it
 * is lost by the disaster; what is accepted after it must be judged, once, and nothing that was never accepted here.
 */
#include <string.h>

#include "model/models.h"
#include "server/role/log_check.h"

enum { RECORDS_MAX = 6, EPOCH_SHIFT = 48 };
enum bound { APPENDS, COPIES, OTHERS, RESTARTS, RAISES, GROWS, BOUND_COUNT };
enum { RULE_IDENTITY = CH_RULE_COUNT, RULE_END, RULE_RAISED_START, RULE_STANDS };
enum { FOREIGN = 16 }; /* ids from here on were never accepted here */

typedef struct record {
  uint8_t id, epoch;
} record;

typedef struct place { /* a position */
  uint8_t epoch, offset;
} place;

typedef struct state {
  record log[RECORDS_MAX];
  uint8_t count, identity, epoch, appended;
  place stored;
  uint8_t stored_identity;
  uint16_t judged, lost; /* by id: by the disaster */
  place after;
  uint8_t known, is_sure, stands;
  uint8_t left[BOUND_COUNT];
} state;

static int bounds[BOUND_COUNT];

static void begin(const model_scope *scope, void *first) {
  state *s = first;
  for (int i = 0; i < BOUND_COUNT; i++) {
    bounds[i] = scope->bounds[i];
    s->left[i] = (uint8_t)scope->bounds[i];
  }
  s->identity = 1;
}

static uint64_t position_of(place p) {
  return (uint64_t)p.epoch << EPOCH_SHIFT | p.offset;
}

/* ------------------------------------------------------------------------------------------------ the owner */

static int check(state *s) {
  chat_log_info info = {.end = position_of((place){s->epoch, s->count}), .identity = {s->identity}};
  uint8_t known[16] = {model_keeps(RULE_IDENTITY) ? s->known : 0};
  uint64_t after = position_of(s->after);
  if (!model_keeps(RULE_END) && info.end < after) info.end = after;
  int fault = ch_log_check(&info, known, &after);
  if (model_keeps(RULE_RAISED_START) || after >> EPOCH_SHIFT == s->after.epoch) s->after = (place){(uint8_t)(after >> EPOCH_SHIFT), (uint8_t)(after & 0xff)};
  return fault;
}

static void open_log(model_search *search, const state *s) {
  if (s->is_sure || s->stands) return;
  state t = *s;
  if (check(&t)) t.stands = 1;
  else {
    t.is_sure = 1;
    t.known = t.identity;
  }
  MOVE(search, &t, "owner: %s", t.stands ? "this log contradicts what is stored: stands still" : "goes on in this log");
}

static void read_on(model_search *search, const state *s) {
  if (!s->is_sure || s->stands) return;
  for (uint8_t i = 0; i < s->count; i++) {
    place at = {s->log[i].epoch, (uint8_t)(i + 1)};
    if (position_of(at) <= position_of(s->after)) continue;
    state t = *s;
    uint8_t id = s->log[i].id;
    t.after = t.stored = at;
    t.stored_identity = t.identity;
    if (id >= FOREIGN) model_violate(search, "P9: what was never accepted here is judged");
    else if (s->judged >> id & 1) model_violate(search, "P2: a record is judged twice");
    if (id < FOREIGN) t.judged |= (uint16_t)(1u << id);
    MOVE(search, &t, "owner: judges record %u at epoch %u, offset %u", id, at.epoch, at.offset);
    return;
  }
}

static void restart(state *s) {
  s->after = s->stored;
  s->known = s->stored_identity;
  s->is_sure = s->stands = 0;
}

/* ------------------------------------------------------------------------------------------------ the log */

/* While its owner stands still nothing more is to be accepted: GROWS says how often it is all the same. */
static void append(model_search *search, const state *s) {
  if (s->appended == bounds[APPENDS] || s->count == RECORDS_MAX) return;
  bool is_growing = !s->is_sure;
  if (is_growing && !s->left[GROWS] && model_keeps(RULE_STANDS)) return;
  state t = *s;
  if (is_growing && t.left[GROWS]) t.left[GROWS]--;
  t.log[t.count++] = (record){++t.appended, t.epoch};
  model_emit(search, &t, is_growing, "log: accepts record %u at epoch %u, offset %u", t.appended, t.epoch, t.count);
}

static void lose_from(state *s, int kept) {
  for (int i = kept; i < s->count; i++)
    if (s->log[i].id < FOREIGN) s->lost |= (uint16_t)(1u << s->log[i].id);
  memset(s->log + kept, 0, (size_t)(RECORDS_MAX - kept) * sizeof s->log[0]);
  s->count = (uint8_t)kept;
  s->is_sure = 0; /* it was not there for a while */
}

static void swap(model_search *search, const state *s) {
  for (int kept = 0; kept < s->count && s->left[COPIES]; kept++) {
    state t = *s;
    t.left[COPIES]--;
    lose_from(&t, kept);
    FAULT(search, &t, "log: an older copy of it comes back, of %d records", kept);
  }
  for (int count = 0; count <= 3 && s->left[OTHERS] && s->stored_identity; count++) {
    state t = *s;
    t.left[OTHERS]--;
    lose_from(&t, 0);
    t.identity++;
    t.epoch = 0;
    for (int i = 0; i < count; i++)
      t.log[t.count++] = (record){(uint8_t)(FOREIGN + i), 0};
    FAULT(search, &t, "log: another one stands in its place, of %d records", count);
  }
}

/* ------------------------------------------------------------------------------------------------ the operator */

static void operate(model_search *search, const state *s) {
  if (s->left[RESTARTS]) {
    state t = *s;
    t.left[RESTARTS]--;
    restart(&t);
    FAULT(search, &t, "owner: starts again");
  }
  if (!s->stands) return;
  if (!s->left[RAISES]) {
    model_cut(search);
    return;
  }
  state t = *s;
  t.left[RAISES]--;
  t.epoch = (uint8_t)((t.epoch > t.stored.epoch ? t.epoch : t.stored.epoch) + 1);
  restart(&t);
  MOVE(search, &t, "operator: raises the epoch to %u", t.epoch);
}

/* ------------------------------------------------------------------------------------------------ all moves */

static void moves(model_search *search, const void *of) {
  append(search, of);
  open_log(search, of);
  read_on(search, of);
  swap(search, of);
  operate(search, of);
}

static const char *unfinished(const void *of) {
  const state *s = of;
  for (int id = 1; id <= s->appended; id++)
    if (!((s->judged | s->lost) >> id & 1)) return "P1: an accepted record that nobody will judge";
  return NULL;
}

static const model_scope scopes[] = {
    /*          appends copies others restarts raises grows */
    {"swaps",  {5, 1, 2, 2, 3, 0}},
    {"copies", {5, 3, 0, 2, 3, 0}},
    {NULL, {0}},
};

static const model_rule rules[] = {
    {RULE_IDENTITY, "identity", "swaps", NULL},
    {RULE_END, "end", "copies", NULL},
    {RULE_RAISED_START, "raised start", "swaps", NULL},
    {RULE_STANDS, "accepts nothing", "copies", NULL},
    {0, NULL, NULL, NULL},
};

const model model_epochs = {
    .name = "epochs", .scopes = scopes, .short_scopes = "swaps,copies", .rules = rules, .state_len = sizeof(state), .begin = begin, .moves = moves, .unfinished = unfinished,
};
