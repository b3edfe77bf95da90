/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devices.c - a client's database that is restored from a copy: session numbers, the device that is retired, and what becomes of its outbox (docs/protocol.md, "Restored databases").
 *
 * The code's own: every verdict, with retired devices (fold.h). Modelled: the outbox without sessions' details (sending.c has them: here a SEND is a record that lands at any time, twice or
 * never), HELLO's session number (gateway_auth.c), parking and resolving (client/brain/restore.c).
 */
#include <string.h>

#include "model/fold.h"
#include "model/models.h"

enum { MESSAGES_MAX = 3, RETIREMENT = 7 /* its client id */, LATE_MAX = 3, DEVICES_MAX = 3, SESSION_MAX = 4, NUMBER_MAX = 9 };
enum bound { MESSAGES, LOG, RESTORES, DISCONNECTS, DOUBLES, REMOVALS, SAME_SESSION, BOUND_COUNT };
enum { RULE_SESSION = CH_RULE_COUNT, RULE_DUP, RULE_RETIREMENT, RULE_PROOF, RULE_OLDER };

enum { NONE, OPEN, PARKED, COMMITTED, REFUSED, DRAFT /* given back: its number cannot be proven */ };

typedef struct row {
  uint8_t state, number;
} row;

typedef struct database {
  uint8_t device, session, next;
  row rows[MESSAGES_MAX], retirement;
} database;

typedef struct state {
  database client, copy;
  uint8_t has_copy, is_connected, entered, devices; /* entered: messages of either life */
  uint8_t sessions[DEVICES_MAX + 1];                /* the server's, by device */
  uint8_t log_count, late_count;
  fold_record log[FOLD_RECORDS_MAX], late[LATE_MAX];
  uint8_t left[BOUND_COUNT];
} state;

static int bounds[BOUND_COUNT];

static void begin(const model_scope *scope, void *first) {
  state *s = first;
  for (int i = 0; i < BOUND_COUNT; i++) {
    bounds[i] = scope->bounds[i];
    s->left[i] = (uint8_t)scope->bounds[i];
  }
  s->client = (database){.device = 1, .next = 1};
  s->devices = 1;
}

/* ------------------------------------------------------------------------------------------------ the database */

static row *row_of(database *d, int message) {
  return message == RETIREMENT ? &d->retirement : &d->rows[message - 1];
}

static const int all_rows[] = {1, 2, 3, RETIREMENT};
enum { ALL_ROWS = sizeof all_rows / sizeof *all_rows };

static void number_anew(database *d, row *r) {
  *r = (row){OPEN, d->next++};
}

static bool is_in_log(const state *s, int message) {
  const fold_verdict *verdicts = fold_of(s->log, s->log_count);
  for (int i = 0; i < s->log_count; i++)
    if (verdicts[i].seq && s->log[i].message == message) return true;
  return false;
}

/* What is in the history is committed; what is not never was applied and never will be, where the retirement proves it. */
static void resolve(state *s, bool is_proven) {
  for (int message = 1; message <= MESSAGES_MAX; message++) {
    row *r = row_of(&s->client, message);
    if (r->state != PARKED) continue;
    if (is_in_log(s, message)) r->state = COMMITTED;
    else if (is_proven) number_anew(&s->client, r);
    else r->state = DRAFT;
  }
}

/* A new device; its rows wait until the old one is retired. */
static void restore(state *s) {
  database *d = &s->client;
  bool any = false;
  s->is_connected = 0;
  d->device = ++s->devices;
  d->session = 0;
  for (int message = 1; message <= MESSAGES_MAX; message++) {
    row *r = row_of(d, message);
    if (r->state != OPEN) continue;
    r->state = PARKED;
    any = true;
  }
  if (!any) return;
  if (model_keeps(RULE_RETIREMENT)) number_anew(d, &d->retirement);
  if (!model_keeps(RULE_RETIREMENT) || !model_keeps(RULE_PROOF)) resolve(s, true);
}

/* ------------------------------------------------------------------------------------------------ what happens to it */

static void enter(model_search *search, const state *s) {
  if (s->entered == bounds[MESSAGES]) return;
  state t = *s;
  row *r = row_of(&t.client, ++t.entered);
  number_anew(&t.client, r);
  MOVE(search, &t, "person: enters m%u as D%u#%u", t.entered, t.client.device, r->number);
}

static void copy(model_search *search, const state *s) {
  if (s->has_copy || !s->left[RESTORES]) return;
  state t = *s;
  t.has_copy = 1;
  t.copy = t.client;
  FAULT(search, &t, "the database is copied");
}

/* A copy that comes back in the very session in which it was taken has a session number that is still good: where a number was given meanwhile, nothing here tells (docs/reliability.md). */
static bool is_of_earlier_session(const state *s) {
  return s->copy.session < s->sessions[s->copy.device] || bounds[SAME_SESSION] || !model_keeps(RULE_OLDER);
}

static void bring_back(model_search *search, const state *s) {
  if (!s->has_copy || !s->left[RESTORES] || !is_of_earlier_session(s)) return;
  state t = *s;
  t.left[RESTORES]--;
  t.client = t.copy;
  t.copy = (database){0};
  t.has_copy = t.is_connected = 0;
  FAULT(search, &t, "the database is restored from the copy: D%u, session %u, next #%u", t.client.device, t.client.session, t.client.next);
}

static void connect(model_search *search, const state *s) {
  if (s->is_connected) return;
  state t = *s;
  database *d = &t.client;
  uint8_t *given = &t.sessions[d->device];
  if (d->session < *given && model_keeps(RULE_SESSION)) {
    if (t.devices == DEVICES_MAX) {
      model_cut(search);
      return;
    }
    restore(&t);
    MOVE(search, &t, "client: its session number is old: goes on as D%u", d->device);
    return;
  }
  if (*given == SESSION_MAX) {
    model_cut(search);
    return;
  }
  d->session = ++*given;
  t.is_connected = 1;
  MOVE(search, &t, "client: connects as D%u, session %u", d->device, d->session);
}

static void disconnect(model_search *search, const state *s) {
  if (!s->is_connected || !s->left[DISCONNECTS]) return;
  state t = *s;
  t.left[DISCONNECTS]--;
  t.is_connected = 0;
  FAULT(search, &t, "client: loses its session");
}

/* ------------------------------------------------------------------------------------------------ SEND, log */

static uint8_t prev_of(const database *d, uint8_t number) {
  uint8_t prev = 0;
  database copied = *d;
  for (int i = 0; i < ALL_ROWS; i++) {
    const row *r = row_of(&copied, all_rows[i]);
    if (r->state == OPEN && r->number < number && r->number > prev) prev = r->number;
  }
  return prev;
}

static bool is_late(const state *s, const fold_record *record) {
  for (int i = 0; i < s->late_count; i++)
    if (memcmp(&s->late[i], record, sizeof *record) == 0) return true;
  return false;
}

static void put_late(state *s, fold_record record) {
  int at = s->late_count++;
  for (; at > 0 && memcmp(&s->late[at - 1], &record, sizeof record) > 0; at--)
    s->late[at] = s->late[at - 1];
  s->late[at] = record;
}

static void send(model_search *search, const state *s) {
  database d = s->client;
  for (int i = 0; i < ALL_ROWS && s->is_connected; i++) {
    const row *r = row_of(&d, all_rows[i]);
    if (r->state != OPEN) continue;
    bool retires = all_rows[i] == RETIREMENT;
    fold_record record = {.kind = retires ? FOLD_RETIRE : FOLD_MESSAGE, .device = d.device, .number = r->number, .prev = prev_of(&d, r->number),
                          .message = (uint8_t)all_rows[i], .target = retires ? (uint8_t)(d.device - 1) : 0};
    if (is_late(s, &record) || s->late_count == LATE_MAX) continue;
    state t = *s;
    put_late(&t, record);
    MOVE(search, &t, "client: SEND %s", fold_name(&record));
  }
}

static void take_late(state *s, int i) {
  memmove(s->late + i, s->late + i + 1, (size_t)(s->late_count - i - 1) * sizeof s->late[0]);
  s->late[--s->late_count] = (fold_record){0};
}

static void land(model_search *search, const state *s) {
  for (int i = 0; i < s->late_count; i++) {
    const fold_record *record = &s->late[i];
    state t = *s;
    take_late(&t, i);
    FAULT(search, &t, "log: never gets %s", fold_name(record));
    if (s->log_count == bounds[LOG]) {
      model_cut(search);
      continue;
    }
    t.log[t.log_count++] = *record;
    MOVE(search, &t, "log: record %u is %s", t.log_count, fold_name(record));
    if (!s->left[DOUBLES]) continue;
    t.left[DOUBLES]--;
    put_late(&t, *record);
    FAULT(search, &t, "log: record %u is %s, and it will come again", t.log_count, fold_name(record));
  }
}

static void change_membership(model_search *search, const state *s) {
  if (!s->left[REMOVALS] || s->log_count == bounds[LOG]) return;
  state t = *s;
  fold_record record = {.kind = t.left[REMOVALS] % 2 == bounds[REMOVALS] % 2 ? FOLD_REMOVE : FOLD_ADD};
  t.left[REMOVALS]--;
  t.log[t.log_count++] = record;
  FAULT(search, &t, "log: record %u: %s", t.log_count, fold_name(&record));
}

/* ------------------------------------------------------------------------------------------------ verdicts */

static void end_row(state *s, int message, uint8_t how) {
  row_of(&s->client, message)->state = how;
  if (message == RETIREMENT) resolve(s, how == COMMITTED);
}

static const char *take_dup(state *s, int message, const fold_verdict *v) {
  row *r = row_of(&s->client, message);
  if (v->last >= s->client.next && model_keeps(RULE_DUP)) {
    restore(s);
    return "numbers that it has not given: goes on as another device";
  }
  if (is_in_log(s, message)) end_row(s, message, COMMITTED);
  else number_anew(&s->client, r);
  return r->state == COMMITTED ? "it is in the history" : "it is not in the history: a new number";
}

/* The verdict on one record, for the row that it names. */
static void hear(model_search *search, const state *s, int i, const fold_verdict *v) {
  const fold_record *record = &s->log[i];
  state t = *s;
  const row *r = row_of(&t.client, record->message);
  if (r->state != OPEN) return;
  const char *what = "";
  if (v->code == CH_VERDICT_COMMITTED) end_row(&t, record->message, COMMITTED), what = "COMMITTED";
  else if (record->device != t.client.device || record->number != r->number) return;
  else if (v->code == CH_VERDICT_REFUSED) end_row(&t, record->message, REFUSED), what = "REFUSED";
  else if (v->code != CH_VERDICT_DUP) return;
  else if (t.devices == DEVICES_MAX || t.client.next > NUMBER_MAX) {
    model_cut(search);
    return;
  } else what = take_dup(&t, record->message, v);
  MOVE(search, &t, "client: hears of %s (record %d): %s", fold_name(record), i + 1, what);
}

static void hear_all(model_search *search, const state *s) {
  const fold_verdict *verdicts = fold_of(s->log, s->log_count);
  for (int i = 0; i < s->log_count && s->is_connected; i++)
    if (s->log[i].message) hear(search, s, i, &verdicts[i]);
}

/* ------------------------------------------------------------------------------------------------ all moves */

static void moves(model_search *search, const void *of) {
  const state *s = of;
  enter(search, s);
  connect(search, s);
  disconnect(search, s);
  copy(search, s);
  bring_back(search, s);
  send(search, s);
  land(search, s);
  hear_all(search, s);
  change_membership(search, s);
}

static const char *broken(const void *of) {
  const state *s = of;
  const fold_verdict *verdicts = fold_of(s->log, s->log_count);
  int committed[8] = {0};
  for (int i = 0; i < s->log_count; i++)
    if (verdicts[i].seq && s->log[i].message && ++committed[s->log[i].message] > 1) return "P2: a message is committed twice";
  for (int message = 1; message <= MESSAGES_MAX; message++) {
    uint8_t how = s->client.rows[message - 1].state;
    if (how == COMMITTED && !committed[message]) return "P10: shown as committed, and is not";
    if (how == REFUSED && committed[message]) return "P10: shown as refused, and committed";
  }
  return NULL;
}

static const char *unfinished(const void *of) {
  const state *s = of;
  for (int message = 1; message <= MESSAGES_MAX; message++) {
    uint8_t how = s->client.rows[message - 1].state;
    if (how == OPEN || how == PARKED) return "P1: a message that has no end, and nothing will give it one";
  }
  return NULL;
}

static const model_scope scopes[] = {
    /*            messages log restores disconnects doubles removals same session */
    {"copy",     {2, 5, 1, 1, 0, 0, 1}},
    {"removed",  {2, 5, 1, 1, 0, 2, 0}},
    {NULL, {0}},
};

static const model_rule rules[] = {
    {RULE_SESSION, "session number", "removed", NULL},
    {RULE_DUP, "DUP above next", NULL, "the session number finds a copy of an earlier session first; this finds most of those that it does not"},
    {RULE_RETIREMENT, "retirement", "copy", NULL},
    {RULE_PROOF, "proof behind it", "copy", NULL},
    {RULE_OLDER, "older copies alone", "removed", NULL},
    {0, NULL, NULL, NULL},
};

const model model_devices = {
    .name = "devices", .scopes = scopes, .short_scopes = "copy", .rules = rules, .state_len = sizeof(state),
    .begin = begin, .moves = moves, .broken = broken, .unfinished = unfinished,
};
