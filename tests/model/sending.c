/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sending.c - one device's outbox, its sessions (each lives on at its gateway after the client has left it), the log, and what is made of it: C1 to C8, G1 to G3.
 *
 * The code's own: the moves of a row (client/brain/outbox_facts.h), the gateway's decisions (server/role/turn.h), every verdict (fold.h). Modelled: what is sent when (outbox.c), the lane
 * around the decisions (gateway_send.c), the network, the log's taking of records, and that a sync finds what is committed (receiving.c).
 */
#include <chat/backend.h>
#include <string.h>

#include "client/brain/outbox_facts.h"
#include "core/env.h"
#include "core/rule.h"
#include "core/wire.h"
#include "model/checker.h"
#include "model/fold.h"
#include "model/models.h"
#include "server/role/turn.h"

enum { MESSAGES_MAX = 3, SESSIONS_MAX = 3, FRAMES_MAX = 3, PASSING_MAX = 3, ANSWERS_MAX = 3, LATE_MAX = 3, NUMBERS_MAX = 7 };

enum bound { MESSAGES, WINDOW, SESSIONS, LOG, REFUSALS, LATERS, UNKNOWNS, CRASHES, KILLS, DISCARDS, HOLDS, TIMERS, REMOVALS, DOUBLES, SILENCES, BOUND_COUNT };

/* ------------------------------------------------------------------------------------------------ state */

enum { ROW_COMMITTED = 8, ROW_DROPPED = 9, ROW_UNSEEN = 10 }; /* beyond ch_item_state: how a row ended */

typedef struct row {
  uint8_t number, state, sends, session, is_fresh, discard; /* ch_item_facts; state 0: not entered */
  uint8_t waits;      /* accepted: some seconds have not passed; 2: they never will */
  uint8_t in_flight;
  uint8_t dup;        /* DUP: record + 1 whose verdict it was */
  uint8_t is_durable; /* its end is committed to the database */
  uint8_t renumbered;
} row;

typedef struct frame { /* a SEND on its way, or an entry of a lane */
  uint8_t message, number, prev, retry, discard;
  uint8_t is_void, state; /* of an entry */
} frame;

enum { APPENDING = 0, ACKED = 1, LOST = 2 /* not known to be in, and the gateway has not heard of it yet */ };

typedef struct answer {
  uint8_t code, message, number;
} answer;

typedef struct session {
  uint8_t passed, accepted;
  uint8_t frame_count, held_count, passing_count, answer_count;
  frame frames[FRAMES_MAX], held, passing[PASSING_MAX];
  answer answers[ANSWERS_MAX];
} session;

typedef struct state {
  row rows[MESSAGES_MAX];
  uint8_t entered, next, current, begun; /* current: session + 1 */
  session sessions[SESSIONS_MAX];
  uint8_t log_count, late_count, due; /* due: verdicts not delivered, by record */
  fold_record log[FOLD_RECORDS_MAX], late[LATE_MAX];
  uint8_t shown_refused, shown_committed; /* by message */
  uint8_t left[BOUND_COUNT];
} state;

static int bounds[BOUND_COUNT];

static void begin(const model_scope *scope, void *first) {
  state *s = first;
  for (int i = 0; i < BOUND_COUNT; i++) {
    bounds[i] = scope->bounds[i];
    s->left[i] = (uint8_t)scope->bounds[i];
  }
  s->next = 1;
}

/* ------------------------------------------------------------------------------------------------ a row and its facts */

static ch_item_facts facts_of(const row *r) {
  return (ch_item_facts){.client_seq = r->number, .state = r->state, .discard = r->discard, .sends = r->sends, .is_fresh = r->is_fresh, .session = r->session, .due_ms = r->waits};
}

static void put_facts(row *r, const ch_item_facts *facts) {
  r->number = (uint8_t)facts->client_seq;
  r->state = (uint8_t)facts->state;
  r->discard = (uint8_t)facts->discard;
  r->sends = facts->sends > 1 ? 2 : (uint8_t)facts->sends;
  r->session = (uint8_t)facts->session;
  r->is_fresh = facts->is_fresh;
  r->waits = facts->due_ms == CH_NEVER_MS ? 2 : (uint8_t)facts->due_ms;
}

static bool is_open(const row *r) {
  ch_item_facts facts = facts_of(r);
  return r->state && r->state < ROW_COMMITTED && ch_item_facts_are_open(&facts);
}

static void number_anew(state *s, row *r) {
  ch_item_facts facts = facts_of(r);
  ch_item_facts_number(&facts, s->next++, s->current);
  put_facts(r, &facts);
  r->in_flight = r->dup = 0;
}

static void again(row *r) {
  ch_item_facts facts = facts_of(r);
  ch_item_facts_again(&facts, 0);
  put_facts(r, &facts);
  r->in_flight = 0;
}

static void end_row(row *r, uint8_t how) {
  uint8_t renumbered = r->renumbered, number = r->number;
  *r = (row){.number = number, .state = how, .is_durable = 1, .renumbered = renumbered};
}

/* C1: what is shown as ended is durable. */
static void refuse(state *s, int message) {
  row *r = &s->rows[message];
  s->shown_refused |= (uint8_t)(1 << message);
  r->in_flight = 0;
  if (!CH_RULE(C1)) {
    ch_item_facts facts = facts_of(r);
    ch_item_facts_refused(&facts, CHAT_E_NOT_FOUND);
    put_facts(r, &facts);
  } else {
    end_row(r, CH_ITEM_REFUSED);
  }
}

static void commit(state *s, int message) {
  s->shown_committed |= (uint8_t)(1 << message);
  end_row(&s->rows[message], ROW_COMMITTED);
}

/* ------------------------------------------------------------------------------------------------ the client: person, sessions */

static void enter(model_search *search, const state *s) {
  if (s->entered == bounds[MESSAGES]) return;
  state t = *s;
  row *r = &t.rows[t.entered++];
  number_anew(&t, r);
  MOVE(search, &t, "person: enters m%u as #%u", t.entered, r->number);
}

static void take_back(model_search *search, const state *s) {
  for (int i = 0; i < s->entered && s->left[DISCARDS]; i++) {
    if (!is_open(&s->rows[i]) || s->rows[i].discard) continue;
    state t = *s;
    row *r = &t.rows[i];
    t.left[DISCARDS]--;
    ch_item_facts facts = facts_of(r);
    bool is_dropped = ch_item_facts_may_drop(&facts);
    if (is_dropped) end_row(r, ROW_DROPPED);
    else {
      ch_item_facts_discard(&facts);
      put_facts(r, &facts);
    }
    FAULT(search, &t, "person: takes m%d back: %s", i + 1, is_dropped ? "dropped" : "to be voided");
  }
}

static void leave_session(state *s) {
  if (!s->current) return;
  memset(s->sessions[s->current - 1].answers, 0, sizeof s->sessions[0].answers);
  s->sessions[s->current - 1].answer_count = 0;
  s->current = 0;
  for (int i = 0; i < s->entered; i++) {
    row *r = &s->rows[i];
    r->in_flight = r->dup = 0;
    if (!is_open(r)) continue;
    ch_item_facts facts = facts_of(r);
    ch_item_facts_session_ended(&facts);
    put_facts(r, &facts);
  }
}

static bool has_open(const state *s) {
  for (int i = 0; i < bounds[MESSAGES]; i++)
    if (is_open(&s->rows[i])) return true;
  return false;
}

static void connect(model_search *search, const state *s) {
  if (s->current) return;
  if (s->begun == bounds[SESSIONS]) {
    if (has_open(s) || s->entered < bounds[MESSAGES]) model_cut(search);
    return;
  }
  state t = *s;
  t.current = ++t.begun;
  for (int i = 0; i < t.entered; i++) {
    if (!is_open(&t.rows[i])) continue;
    ch_item_facts facts = facts_of(&t.rows[i]);
    ch_item_facts_session_begun(&facts);
    put_facts(&t.rows[i], &facts);
  }
  MOVE(search, &t, "client: session %u begins", t.current);
}

static void disconnect(model_search *search, const state *s) {
  if (!s->current || s->begun == bounds[SESSIONS]) return;
  state t = *s;
  leave_session(&t);
  FAULT(search, &t, "client: loses session %u, which lives on", s->current);
}

/* What was shown as ended and is not durable comes back. */
static void crash(model_search *search, const state *s) {
  if (!s->left[CRASHES]) return;
  state t = *s;
  t.left[CRASHES]--;
  leave_session(&t);
  for (int i = 0; i < t.entered; i++) {
    row *r = &t.rows[i];
    bool is_back = r->state == CH_ITEM_REFUSED && !r->is_durable;
    if (!is_open(r) && !is_back) continue;
    ch_item_facts facts;
    ch_item_facts_load(&facts, r->number, CHAT_OUTBOX_QUEUED, r->discard, 0);
    put_facts(r, &facts);
  }
  FAULT(search, &t, "client: is killed and starts again");
}

static void make_durable(model_search *search, const state *s) {
  for (int i = 0; i < s->entered; i++) {
    if (s->rows[i].state != CH_ITEM_REFUSED || s->rows[i].is_durable) continue;
    state t = *s;
    end_row(&t.rows[i], CH_ITEM_REFUSED);
    MOVE(search, &t, "client: commits the end of m%d", i + 1);
  }
}

/* ------------------------------------------------------------------------------------------------ the client: SEND (C2, C4, C5) */

static int lowest_to_send(const state *s) {
  int lowest = -1, in_flight = 0;
  for (int i = 0; i < s->entered; i++) {
    const row *r = &s->rows[i];
    in_flight += r->in_flight;
    if (!is_open(r) || r->in_flight || r->state == CH_ITEM_DUP || r->waits) continue;
    if (lowest < 0 || r->number < s->rows[lowest].number) lowest = i;
  }
  return in_flight < bounds[WINDOW] ? lowest : -1;
}

static uint8_t prev_of(const state *s, uint8_t number) {
  uint8_t prev = 0;
  for (int i = 0; i < s->entered && CH_RULE(C2); i++)
    if (is_open(&s->rows[i]) && s->rows[i].number < number && s->rows[i].number > prev) prev = s->rows[i].number;
  return prev;
}

static void send(model_search *search, const state *s) {
  int i = s->current ? lowest_to_send(s) : -1;
  if (i < 0 || s->sessions[s->current - 1].frame_count == FRAMES_MAX) return;
  state t = *s;
  row *r = &t.rows[i];
  session *to = &t.sessions[t.current - 1];
  ch_item_facts facts = facts_of(r);
  bool is_first_try = ch_item_facts_are_first_try(&facts, t.current);
  frame f = {.message = (uint8_t)(i + 1), .number = r->number, .prev = prev_of(s, r->number), .retry = !is_first_try, .discard = r->discard};
  ch_item_facts_sent(&facts, is_first_try);
  put_facts(r, &facts);
  r->in_flight = 1;
  to->frames[to->frame_count++] = f;
  MOVE(search, &t, "client: SEND m%u#%u (prev %u%s%s) on session %u", f.message, f.number, f.prev, f.retry ? ", retry" : "", f.discard ? ", discard" : "", t.current);
}

static void send_silent_again(model_search *search, const state *s) {
  for (int i = 0; i < s->entered && !CH_RULE(C5) && s->left[SILENCES]; i++) {
    if (!is_open(&s->rows[i]) || !s->rows[i].in_flight) continue;
    state t = *s;
    t.left[SILENCES]--;
    t.rows[i].in_flight = 0;
    FAULT(search, &t, "client: heard nothing of m%d, will send it again in the same session", i + 1);
  }
}

/* C3: some seconds have passed. `is_early`: before everything else has come to its end. */
static void wait_for_end(model_search *search, const state *s, bool is_early) {
  for (int i = 0; i < s->entered; i++) {
    if (s->rows[i].state != CH_ITEM_ACCEPTED || s->rows[i].waits != 1 || (is_early && !s->left[TIMERS])) continue;
    state t = *s;
    t.rows[i].waits = 0;
    if (is_early) t.left[TIMERS]--;
    model_emit(search, &t, is_early, "client: accepted m%d has no end after some seconds", i + 1);
  }
}

/* C5: silence is cured by a new session (a void is answered by its verdict alone, which may be lost). */
static void end_silence(model_search *search, const state *s) {
  bool is_waiting = false;
  for (int i = 0; i < s->entered; i++)
    is_waiting |= s->rows[i].in_flight;
  if (!is_waiting) return;
  if (s->begun == bounds[SESSIONS]) {
    model_cut(search);
    return;
  }
  state t = *s;
  leave_session(&t);
  MOVE(search, &t, "client: hears nothing in session %u, and leaves it", s->current);
}

/* ------------------------------------------------------------------------------------------------ the client: answers and verdicts (C6, C7) */

static bool is_named(const row *r, uint8_t number) {
  ch_item_facts facts = facts_of(r);
  return is_open(r) && ch_item_facts_are_named(&facts, number);
}

static void take_answer_of(state *s, const answer *a) {
  row *r = &s->rows[a->message - 1];
  if (!is_named(r, a->number)) return;
  if (r->state == CH_ITEM_DUP) {
    r->in_flight = 0;
  } else if (a->code == CH_REFUSED) {
    refuse(s, a->message - 1);
  } else if (a->code == CH_ACCEPTED) {
    ch_item_facts facts = facts_of(r);
    ch_item_facts_accepted(&facts, 1);
    put_facts(r, &facts);
    r->in_flight = 0;
  } else {
    again(r);
  }
}

static void take_answer(model_search *search, const state *s) {
  static const char *const names[] = {[CH_ACCEPTED] = "ACCEPTED", [CH_GAP] = "GAP", [CH_UNKNOWN] = "UNKNOWN", [CH_RETRY] = "RETRY", [CH_REFUSED] = "REFUSED"};
  if (!s->current || !s->sessions[s->current - 1].answer_count) return;
  state t = *s;
  session *of = &t.sessions[t.current - 1];
  answer a = of->answers[0];
  memmove(of->answers, of->answers + 1, sizeof of->answers - sizeof a);
  of->answers[--of->answer_count] = (answer){0};
  take_answer_of(&t, &a);
  MOVE(search, &t, "client: is answered %s m%u#%u", names[a.code], a.message, a.number);
}

/* true: something changes by it. */
static bool take_verdict_of(state *s, int at, const fold_verdict *v) {
  int message = s->log[at].message - 1;
  row *r = &s->rows[message];
  if (v->code == CH_VERDICT_COMMITTED) {
    if (is_open(r)) commit(s, message);
    return true;
  }
  if (!is_named(r, s->log[at].number)) return false;
  if (v->code == CH_VERDICT_REFUSED) refuse(s, message);
  else if (v->code == CH_VERDICT_GAP && r->state != CH_ITEM_DUP) again(r);
  else if (v->code == CH_VERDICT_DUP && !CH_RULE(C7)) end_row(r, ROW_UNSEEN);
  else if (v->code == CH_VERDICT_DUP) {
    r->in_flight = 0;
    r->state = CH_ITEM_DUP;
    r->dup = (uint8_t)(at + 1);
  }
  return true;
}

static void take_verdicts(model_search *search, const state *s) {
  static const char *const names[] = {[CH_VERDICT_COMMITTED] = "COMMITTED", [CH_VERDICT_REFUSED] = "REFUSED", [CH_VERDICT_DUP] = "DUP", [CH_VERDICT_GAP] = "GAP"};
  const fold_verdict *verdicts = fold_of(s->log, s->log_count);
  for (int i = 0; i < s->log_count; i++) {
    const fold_verdict *v = &verdicts[i];
    if (!(s->due >> i & 1)) continue;
    state t = *s;
    t.due &= (uint8_t)~(1 << i);
    if (s->current || v->code == CH_VERDICT_COMMITTED) {
      state u = t;
      take_verdict_of(&u, i, v);
      MOVE(search, &u, "client: hears %s m%u#%u (record %d)", names[v->code], s->log[i].message, s->log[i].number, i + 1);
      if (v->code != CH_VERDICT_COMMITTED && s->left[DOUBLES]) {
        u.due |= (uint8_t)(1 << i);
        u.left[DOUBLES]--;
        FAULT(search, &u, "client: hears %s m%u#%u (record %d), which will come again", names[v->code], s->log[i].message, s->log[i].number, i + 1);
      }
    }
    if (v->code != CH_VERDICT_COMMITTED) FAULT(search, &t, "verdict %s m%u#%u is lost", names[v->code], s->log[i].message, s->log[i].number);
  }
}

/* Is it committed in this prefix of the log? */
static bool is_found(const state *s, int message, int prefix) {
  const fold_verdict *verdicts = fold_of(s->log, s->log_count);
  for (int i = 0; i < prefix; i++)
    if (verdicts[i].seq && s->log[i].message == message + 1) return true;
  return false;
}

/* C7: the answer was judged with a state at or above the verdict's head: at the record itself or at any later one. */
static void resolve(model_search *search, const state *s) {
  for (int i = 0; i < s->entered; i++) {
    if (s->rows[i].state != CH_ITEM_DUP || !s->current) continue;
    bool was_found = is_found(s, i, s->rows[i].dup), is_now = is_found(s, i, s->log_count);
    for (int found = 0; found <= 1; found++) {
      if (found != was_found && found != is_now) continue;
      state t = *s;
      if (found) commit(&t, i);
      else if (t.rows[i].discard) refuse(&t, i);
      else if (t.next > NUMBERS_MAX) {
        model_cut(search);
        continue;
      } else {
        number_anew(&t, &t.rows[i]);
        t.rows[i].renumbered = 1;
      }
      MOVE(search, &t, "client: has read the history: m%d is %s, #%u", i + 1, found ? "there" : "not there", t.rows[i].number);
    }
  }
}

/* ------------------------------------------------------------------------------------------------ the gateway of a session */

static bool is_current(const state *s, int k) {
  return s->current == k + 1;
}

/* false: no room (the client will make some). Who has left hears nothing. */
static bool put_answer(state *s, int k, const frame *f, ch_answer_code code) {
  session *at = &s->sessions[k];
  if (!is_current(s, k)) return true;
  if (at->answer_count == ANSWERS_MAX) return false;
  at->answers[at->answer_count++] = (answer){.code = (uint8_t)code, .message = f->message, .number = f->number};
  return true;
}

static ch_turn turn_of(const session *at) {
  return (ch_turn){at->passed, at->accepted};
}

static void put_turn(session *at, const ch_turn *turn) {
  at->passed = (uint8_t)turn->passed;
  at->accepted = (uint8_t)turn->accepted;
}

static void drop_first(session *at, bool is_held) {
  if (is_held) {
    at->held = (frame){0};
    at->held_count = 0;
  } else {
    memmove(at->frames, at->frames + 1, sizeof at->frames - sizeof at->frames[0]);
    at->frames[--at->frame_count] = (frame){0};
  }
}

static void pass(session *at, frame f, bool is_void) {
  ch_turn turn = turn_of(at);
  ch_turn_pass(&turn, f.number);
  put_turn(at, &turn);
  f.is_void = is_void;
  at->passing[at->passing_count++] = f;
}

/* One outcome of the checks of the next Send. */
static void settle(model_search *search, const state *s, int k, bool is_held, int outcome, enum bound budget) {
  const session *at = &s->sessions[k];
  frame f = is_held ? at->held : at->frames[0];
  ch_turn turn = turn_of(at);
  ch_turn_decision decision = ch_turn_decide(&turn, f.prev, f.retry, f.discard, outcome);
  state t = *s;
  drop_first(&t.sessions[k], is_held);
  if (budget < BOUND_COUNT) t.left[budget]--;
  bool has_room = true;
  const char *what = "";
  switch (decision) {
  case CH_TURN_EARLY: has_room = put_answer(&t, k, &f, CH_GAP), what = "is early: GAP"; break;
  case CH_TURN_RETRY: has_room = put_answer(&t, k, &f, CH_RETRY), what = "cannot tell now: RETRY"; break;
  case CH_TURN_REFUSE: has_room = put_answer(&t, k, &f, CH_REFUSED), what = "is refused finally"; break;
  case CH_TURN_PASS:
  case CH_TURN_VOID:
    has_room = at->passing_count < PASSING_MAX;
    if (has_room) pass(&t.sessions[k], f, decision == CH_TURN_VOID);
    what = decision == CH_TURN_VOID ? "will not pass: a void" : "passes";
  }
  if (has_room) model_emit(search, &t, budget < BOUND_COUNT, "gateway of session %d: m%u#%u %s", k + 1, f.message, f.number, what);
}

static void hold(model_search *search, const state *s, int k) {
  const session *at = &s->sessions[k];
  ch_turn turn = turn_of(at);
  if (!s->left[HOLDS] || at->held_count || !at->frame_count || ch_turn_has_come(&turn, at->frames[0].prev)) return;
  state t = *s;
  t.left[HOLDS]--;
  t.sessions[k].held = at->frames[0];
  t.sessions[k].held_count = 1;
  drop_first(&t.sessions[k], false);
  FAULT(search, &t, "gateway of session %d: m%u#%u is early and waits", k + 1, at->frames[0].message, at->frames[0].number);
}

static void check(model_search *search, const state *s, int k) {
  const session *at = &s->sessions[k];
  ch_turn turn = turn_of(at);
  bool is_held = at->held_count && ch_turn_has_come(&turn, at->held.prev);
  if (!is_held && !at->frame_count) return;
  const frame *f = is_held ? &at->held : &at->frames[0];
  settle(search, s, k, is_held, f->discard ? CHAT_E_CANCELED : 0, BOUND_COUNT);
  if (!ch_turn_has_come(&turn, f->prev)) return;
  if (s->left[REFUSALS] && !f->discard) settle(search, s, k, is_held, CHAT_E_NOT_FOUND, REFUSALS);
  if (s->left[LATERS]) settle(search, s, k, is_held, CHAT_E_AGAIN, LATERS);
}

/* 300 ms are over. */
static void expire(model_search *search, const state *s, int k) {
  const session *at = &s->sessions[k];
  ch_turn turn = turn_of(at);
  if (at->held_count && !ch_turn_has_come(&turn, at->held.prev)) settle(search, s, k, true, 0, BOUND_COUNT);
}

/* ------------------------------------------------------------------------------------------------ appends (G3) */

static fold_record record_of(const frame *f) {
  return (fold_record){.kind = f->is_void ? FOLD_VOID : FOLD_MESSAGE, .device = 1, .number = f->number, .prev = f->prev, .message = f->message};
}

static void remove_entry(session *at, int i) {
  memmove(at->passing + i, at->passing + i + 1, (size_t)(at->passing_count - i - 1) * sizeof at->passing[0]);
  at->passing[--at->passing_count] = (frame){0};
}

static bool answer_entry(state *s, int k, int i, ch_answer_code code) {
  frame f = s->sessions[k].passing[i];
  remove_entry(&s->sessions[k], i);
  return (code == CH_ACCEPTED && f.is_void) || put_answer(s, k, &f, code);
}

static bool accept_in_order(state *s, int k) {
  session *at = &s->sessions[k];
  bool has_room = true;
  while (at->passing_count && at->passing[0].state == ACKED && has_room) {
    ch_turn turn = turn_of(at);
    ch_turn_accept(&turn, at->passing[0].number);
    put_turn(at, &turn);
    has_room = answer_entry(s, k, 0, CH_ACCEPTED);
  }
  return has_room;
}

/* Records in no order, so that states which differ by it alone are one. */
static bool put_late(state *s, const frame *f) {
  if (s->late_count == LATE_MAX) return false;
  fold_record record = record_of(f);
  int at = s->late_count++;
  for (; at > 0 && memcmp(&s->late[at - 1], &record, sizeof record) > 0; at--)
    s->late[at] = s->late[at - 1];
  s->late[at] = record;
  return true;
}

static bool unknown_from(state *s, int k, int failed) {
  session *at = &s->sessions[k];
  ch_turn turn = turn_of(at);
  uint8_t number = at->passing[failed].number;
  bool has_room = true;
  ch_turn_fall_back(&turn, at->passing[failed].prev);
  for (int i = at->passing_count - 1; i >= 0 && has_room; i--) {
    frame f = at->passing[i];
    if (i < failed && f.number < number) ch_turn_keep(&turn, f.number);
    else if (f.state == APPENDING) has_room = put_late(s, &f);
  }
  for (int i = 0; i < at->passing_count && has_room;) {
    bool is_kept = i < failed && at->passing[i].number < number;
    if (is_kept) i++;
    else {
      has_room = answer_entry(s, k, i, CH_UNKNOWN);
      failed = failed > i ? failed - 1 : i;
    }
  }
  put_turn(at, &turn);
  return has_room;
}

static bool took(state *s, int k, int i, bool is_in) {
  if (!CH_RULE(G3)) return answer_entry(s, k, i, is_in ? CH_ACCEPTED : CH_UNKNOWN);
  if (!is_in) return unknown_from(s, k, i);
  s->sessions[k].passing[i].state = ACKED;
  return accept_in_order(s, k);
}

static void log_add(state *s, fold_record record) {
  if (record.message) s->due |= (uint8_t)(1 << s->log_count);
  s->log[s->log_count++] = record;
}

static void append(model_search *search, const state *s, int k) {
  const session *at = &s->sessions[k];
  int i = 0;
  while (i < at->passing_count && at->passing[i].state != APPENDING)
    i++;
  if (i == at->passing_count) return;
  frame f = at->passing[i];
  fold_record record = record_of(&f);
  if (s->log_count == bounds[LOG]) model_cut(search);
  else {
    state t = *s;
    log_add(&t, record);
    if (took(&t, k, i, true)) MOVE(search, &t, "log: record %u is %s, by session %d", t.log_count, fold_name(&record), k + 1);
  }
  if (!s->left[UNKNOWNS]) return;
  state t = *s;
  t.left[UNKNOWNS]--;
  t.sessions[k].passing[i].state = LOST;
  if (put_late(&t, &f)) FAULT(search, &t, "log: whether it has %s of session %d is not known", fold_name(&record), k + 1);
}

static void hear_of_lost(model_search *search, const state *s, int k) {
  const session *at = &s->sessions[k];
  for (int i = 0; i < at->passing_count; i++) {
    if (at->passing[i].state != LOST) continue;
    state t = *s;
    frame f = at->passing[i];
    if (took(&t, k, i, false)) MOVE(search, &t, "gateway of session %d: hears that #%u is not known to be in", k + 1, f.number);
    return;
  }
}

static void land_late(model_search *search, const state *s) {
  for (int i = 0; i < s->late_count && s->log_count < bounds[LOG]; i++) {
    state t = *s;
    fold_record record = s->late[i];
    memmove(t.late + i, t.late + i + 1, (size_t)(t.late_count - i - 1) * sizeof record);
    t.late[--t.late_count] = (fold_record){0};
    log_add(&t, record);
    FAULT(search, &t, "log: record %u is %s, late", t.log_count, fold_name(&record));
  }
}

static void kill_gateway(model_search *search, const state *s, int k) {
  if (!s->left[KILLS]) return;
  state t = *s;
  session *at = &t.sessions[k];
  t.left[KILLS]--;
  for (int i = 0; i < at->passing_count; i++)
    if (at->passing[i].state == APPENDING && !put_late(&t, &at->passing[i])) return;
  if (is_current(&t, k)) leave_session(&t);
  *at = (session){0};
  FAULT(search, &t, "gateway of session %d: is killed", k + 1);
}

static void change_membership(model_search *search, const state *s) {
  if (!s->left[REMOVALS] || s->log_count == bounds[LOG]) return;
  state t = *s;
  fold_record record = {.kind = t.left[REMOVALS] % 2 == bounds[REMOVALS] % 2 ? FOLD_REMOVE : FOLD_ADD};
  t.left[REMOVALS]--;
  log_add(&t, record);
  FAULT(search, &t, "log: record %u: %s", t.log_count, fold_name(&record));
}

/* ------------------------------------------------------------------------------------------------ all moves */

static void moves(model_search *search, const void *of) {
  const state *s = of;
  bool is_busy = s->late_count > 0 && s->log_count < bounds[LOG];
  enter(search, s);
  connect(search, s);
  send(search, s);
  take_answer(search, s);
  take_verdicts(search, s);
  resolve(search, s);
  make_durable(search, s);
  for (int k = 0; k < s->begun; k++) {
    const session *at = &s->sessions[k];
    check(search, s, k);
    expire(search, s, k);
    append(search, s, k);
    hear_of_lost(search, s, k);
    hold(search, s, k);
    kill_gateway(search, s, k);
    is_busy = is_busy || at->frame_count || at->held_count || at->passing_count || at->answer_count;
  }
  wait_for_end(search, s, true);
  if (!is_busy && !s->due && s->current && lowest_to_send(s) < 0) {
    wait_for_end(search, s, false);
    end_silence(search, s);
  }
  disconnect(search, s);
  crash(search, s);
  take_back(search, s);
  send_silent_again(search, s);
  land_late(search, s);
  change_membership(search, s);
}

/* ------------------------------------------------------------------------------------------------ promises */

static const char *broken_row(const state *s, int i, int committed, uint8_t used) {
  const row *r = &s->rows[i];
  bool is_refused = s->shown_refused >> i & 1, is_committed = s->shown_committed >> i & 1;
  if (committed > 1) return "P2: a message is committed twice";
  if (is_refused && committed) return "P10: shown as refused, and committed";
  if (is_refused && is_committed) return "P10: shown as both";
  if (is_committed && !committed) return "P10: shown as committed, and is not";
  if (r->state == ROW_DROPPED && committed) return "P10: taken back before it was sent, and committed";
  if (r->state == ROW_UNSEEN && !committed) return "P1: a message that was not committed is taken for done";
  if (r->state == CH_ITEM_ACCEPTED && !(used >> r->number & 1)) return "P1: ACCEPTED, and the log as it is never judges it";
  return NULL;
}

static const char *broken(const void *of) {
  const state *s = of;
  const fold_verdict *verdicts = fold_of(s->log, s->log_count);
  int committed[MESSAGES_MAX + 1] = {0}, last = 0;
  uint8_t used = 0;
  bool is_out_of_order = false;
  for (int i = 0; i < s->log_count; i++) {
    int message = s->log[i].message;
    if (!message) continue;
    if (verdicts[i].code == CH_VERDICT_COMMITTED || verdicts[i].code == CH_VERDICT_REFUSED) used |= (uint8_t)(1 << s->log[i].number);
    if (verdicts[i].code != CH_VERDICT_COMMITTED) continue;
    committed[message]++;
    if (s->rows[message - 1].renumbered) continue;
    is_out_of_order |= message < last;
    last = message;
  }
  for (int i = 0; i < s->entered; i++) {
    const char *reason = broken_row(s, i, committed[i + 1], used);
    if (reason) return reason;
  }
  return is_out_of_order ? "P3: messages of a device out of order" : NULL;
}

static const char *unfinished(const void *of) {
  return has_open(of) ? "P1: a message that has no end, and nothing will give it one" : NULL;
}

/* ------------------------------------------------------------------------------------------------ what is tried */

static const model_scope scopes[] = {
    /*             messages window sessions log | refusals laters unknowns crashes kills discards holds timers removals doubles silences */
    {"unknown",    {2, 2, 2, 4, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}},
    {"refusal",    {2, 2, 2, 4, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1}},
    {"discard",    {2, 2, 2, 4, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0}},
    {"membership", {2, 2, 2, 5, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1, 0}},
    {NULL, {0}},
};

static const model_rule rules[] = {
    {CH_RULE_C1, "C1", "refusal", NULL},
    {CH_RULE_C2, "C2", "unknown", NULL},
    {CH_RULE_C3, "C3", "membership", NULL},
    {CH_RULE_C4, "C4", "refusal", NULL},
    {CH_RULE_C5, "C5", "refusal", NULL},
    {CH_RULE_C6, "C6", "membership", NULL},
    {CH_RULE_C7, "C7", "membership", NULL},
    {CH_RULE_C8, "C8", "discard", NULL},
    {CH_RULE_G1, "G1", "unknown", NULL},
    {CH_RULE_G2, "G2", "refusal", NULL},
    {CH_RULE_G3, "G3", "unknown", NULL},
    {0, NULL, NULL, NULL},
};

const model model_sending = {
    .name = "sending", .scopes = scopes, .short_scopes = "unknown,refusal,discard", .rules = rules, .state_len = sizeof(state),
    .begin = begin, .moves = moves, .broken = broken, .unfinished = unfinished,
};
