/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channels.c - fan-out on read: a channel's events, the gateways that have subscribers, and one client that moves between two of them. A gateway passes heads on, never bodies.
 *
 * Modelled: telling each gateway once, its question for the head once a heartbeat period, subscriptions (gateway_channel.c), sync answers (gateway_sync.c). What of a range may be given is
 * the code's own in receiving.c.
 */
#include <string.h>

#include "model/models.h"

enum { EVENTS_MAX = 4, GATEWAYS = 2 };
enum bound { EVENTS, LOSSES, MOVES, LAGS, DROPS, BOUND_COUNT };
enum { RULE_ASKS = CH_RULE_COUNT, RULE_AT_LEAST, RULE_TOLD_AT_ONCE, RULE_ALL_CHANNELS };

typedef struct state {
  uint8_t written, folded;              /* rows; state */
  uint8_t told[GATEWAYS];               /* bits of events whose telling is under way */
  uint8_t head[GATEWAYS];               /* as the gateway knows it */
  uint8_t gateway, is_subscribed;       /* of the client's session; gateway + 1, 0: none */
  uint8_t hint, sync, again, answer, position; /* hint: a head on its way to the client, 0: none; sync: 1 wanted, 2 asked, 3 answered */
  uint8_t known, cursor, asked, given;  /* asked: a range; given: its answer, + 1 */
  uint8_t left[BOUND_COUNT];
} state;

static int bounds[BOUND_COUNT];

static void begin(const model_scope *scope, void *first) {
  state *s = first;
  for (int i = 0; i < BOUND_COUNT; i++) {
    bounds[i] = scope->bounds[i];
    s->left[i] = (uint8_t)scope->bounds[i];
  }
}

static uint8_t later(unsigned a, unsigned b) {
  return (uint8_t)(a > b ? a : b);
}

/* ------------------------------------------------------------------------------------------------ sequencer, gateways */

static void sequence(model_search *search, const state *s) {
  if (s->folded == bounds[EVENTS]) return;
  state t = *s;
  if (s->written == s->folded) t.written++;
  else {
    t.folded++;
    for (int k = 0; k < GATEWAYS; k++)
      t.told[k] |= (uint8_t)(1 << t.folded);
  }
  MOVE(search, &t, "sequencer: %s of %u", t.folded > s->folded ? "state and task" : "row", t.written);
}

/* To a session that is subscribed here. */
static void pass_on(state *s, int k) {
  if (s->gateway == k + 1 && s->is_subscribed) s->hint = later(s->hint, s->head[k]);
}

static void hear(model_search *search, const state *s, int k) {
  for (int event = 1; event <= s->folded; event++) {
    if (!(s->told[k] >> event & 1)) continue;
    state t = *s;
    t.told[k] &= (uint8_t)~(1 << event);
    if (s->left[LOSSES]) {
      state u = t;
      u.left[LOSSES]--;
      FAULT(search, &u, "gateway %d: is never told of %d", k + 1, event);
    }
    if (event > t.head[k]) {
      t.head[k] = (uint8_t)event;
      pass_on(&t, k);
    }
    MOVE(search, &t, "gateway %d: is told of %d", k + 1, event);
  }
}

/* Once a heartbeat period: what it was not told. A lagging replica may give an older head. */
static void ask_head(model_search *search, const state *s, int k) {
  if (!model_keeps(RULE_ASKS) || s->head[k] >= s->folded) return;
  state t = *s;
  t.head[k] = s->folded;
  pass_on(&t, k);
  MOVE(search, &t, "gateway %d: asks for the head: %u", k + 1, t.head[k]);
}

/* ------------------------------------------------------------------------------------------------ the client */

static void leave(state *s) {
  s->gateway = s->is_subscribed = s->hint = s->sync = s->again = s->answer = s->asked = s->given = 0;
}

static void connect(model_search *search, const state *s) {
  for (int k = 0; k < GATEWAYS && !s->gateway; k++) {
    state t = *s;
    t.gateway = (uint8_t)(k + 1);
    t.sync = 1;
    MOVE(search, &t, "client: connects to gateway %d", k + 1);
  }
  if (!s->gateway || !s->left[MOVES]) return;
  state t = *s;
  t.left[MOVES]--;
  leave(&t);
  FAULT(search, &t, "client: loses its session at gateway %u", s->gateway);
}

/* All channels of the user, at least the head that this gateway was told; whoever is subscribed later is told that too. */
static void answer_sync(model_search *search, const state *s, uint8_t head, bool is_lagging) {
  state t = *s;
  int k = s->gateway - 1;
  if (is_lagging) t.left[LAGS]--;
  t.sync = 3;
  t.answer = !model_keeps(RULE_ALL_CHANNELS) && head <= s->position ? 0 : head;
  if (model_keeps(RULE_AT_LEAST)) t.answer = later(t.answer, s->head[k]);
  t.is_subscribed = 1;
  if (model_keeps(RULE_TOLD_AT_ONCE)) pass_on(&t, k);
  model_emit(search, &t, is_lagging, "gateway %d: answers the sync: head %u%s", k + 1, t.answer, is_lagging ? " (a replica that lags)" : "");
}

static void sync(model_search *search, const state *s) {
  if (!s->gateway || !s->sync) return;
  state t = *s;
  if (s->sync == 1) {
    t.sync = 2;
    MOVE(search, &t, "client: SYNC");
  } else if (s->sync == 2) {
    answer_sync(search, s, s->folded, false);
    for (uint8_t head = 0; head < s->folded && s->left[LAGS]; head++)
      answer_sync(search, s, head, true);
  } else {
    t.known = later(t.known, t.answer);
    t.position = later(t.position, t.answer);
    t.sync = t.again;
    t.again = t.answer = 0;
    MOVE(search, &t, "client: is told the head %u", t.known);
  }
}

static void take_hint(model_search *search, const state *s) {
  if (!s->hint) return;
  state t = *s;
  t.hint = 0;
  if (s->left[DROPS]) {
    t.left[DROPS]--;
    if (t.sync) t.again = 1;
    else t.sync = 1;
    FAULT(search, &t, "client: a hint is dropped at its bound, and it is told to sync");
    t = *s;
    t.hint = 0;
  }
  t.known = later(t.known, s->hint);
  MOVE(search, &t, "client: hears of the head %u", s->hint);
}

/* The answer ends at the head of the state that it was judged with. */
static void fetch(model_search *search, const state *s) {
  if (!s->gateway) return;
  state t = *s;
  if (s->given) {
    t.cursor = later(t.cursor, (unsigned)s->given - 1);
    t.asked = t.given = 0;
    MOVE(search, &t, "client: has all up to %u", t.cursor);
  } else if (s->asked) {
    for (uint8_t head = s->folded;; head--) {
      t = *s;
      t.left[LAGS] = (uint8_t)(t.left[LAGS] - (head != s->folded));
      t.given = (uint8_t)(head + 1);
      model_emit(search, &t, head != s->folded, "gateway %u: gives the range up to %u", s->gateway, head);
      if (head == 0 || !s->left[LAGS]) break;
    }
  } else if (s->known > s->cursor) {
    t.asked = 1;
    MOVE(search, &t, "client: RANGE above %u", t.cursor);
  }
}

/* ------------------------------------------------------------------------------------------------ all moves */

static void moves(model_search *search, const void *of) {
  sequence(search, of);
  for (int k = 0; k < GATEWAYS; k++) {
    hear(search, of, k);
    ask_head(search, of, k);
  }
  connect(search, of);
  sync(search, of);
  take_hint(search, of);
  fetch(search, of);
}

static const char *unfinished(const void *of) {
  const state *s = of;
  return s->cursor < bounds[EVENTS] ? "P4: a silent gap: the client will never hear of an event" : NULL;
}

static const model_scope scopes[] = {
    /*          events losses moves lags drops */
    {"short",  {2, 2, 1, 1, 1}},
    {"long",   {3, 1, 1, 1, 1}},
    {NULL, {0}},
};

static const model_rule rules[] = {
    {RULE_ASKS, "asks for the head", "short", NULL},
    {RULE_AT_LEAST, "at least its own", NULL, "whoever is subscribed is told the gateway's head at once, which says the same"},
    {RULE_TOLD_AT_ONCE, "told at once", NULL, "a sync answer has at least the gateway's own head, which says the same"},
    {RULE_ALL_CHANNELS, "all channels", NULL, "the gateway's own head is given whatever the position"},
    {0, NULL, NULL, NULL},
};

const model model_channels = {
    .name = "channels", .scopes = scopes, .short_scopes = "short", .rules = rules, .state_len = sizeof(state), .begin = begin, .moves = moves, .unfinished = unfinished,
};
