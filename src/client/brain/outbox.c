/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outbox: rows, their numbers, answers and verdicts (rules C1-C8). What a person asks of it is in outbox_request.c, a restored database in restore.c.
 */
#include "client/brain/outbox.h"

#include <string.h>

#include "client/brain/owner.h"
#include "core/assert.h"
#include "core/rule.h"

enum { GAP_PAUSE_MS = 100, UNKNOWN_PAUSE_MS = 100, UNREADABLE_PAUSE_MS = 5000 };

void ch_outbox_init(ch_brain *brain) {
  brain->outbox = (ch_outbox){.deadline_ms = CH_NEVER_MS};
  ch_hashmap_init(&brain->outbox.by_client_id, brain->env.alloc, brain->seed);
  ch_list_init(&brain->outbox.active);
}

static void free_item(ch_brain *brain, ch_outbox_item *item) {
  ch_list_remove(&item->place);
  ch_list_remove(&item->touched);
  ch_hashmap_remove(&brain->outbox.by_client_id, ch_bytes_of(item->client_id, 16));
  if (ch_list_is_empty(&item->conversation->rows)) ch_list_remove(&item->conversation->active);
  ch_free(brain->env.alloc, item);
}

void ch_outbox_fini(ch_brain *brain) {
  for (ch_hashmap_entry *entry = ch_hashmap_first(&brain->outbox.by_client_id); entry; entry = ch_hashmap_first(&brain->outbox.by_client_id))
    free_item(brain, entry->value);
  ch_hashmap_fini(&brain->outbox.by_client_id);
}

ch_outbox_item *ch_outbox_find(const ch_brain *brain, const uint8_t client_id[16]) {
  return ch_hashmap_find(&brain->outbox.by_client_id, ch_bytes_of(client_id, 16));
}

bool ch_item_is_open(const ch_outbox_item *item) {
  return !item->is_removed && ch_item_facts_are_open(&item->facts);
}

/* Payload and item are one allocation. */
static ch_outbox_item *new_item(ch_brain *brain, ch_conversation *conversation, const uint8_t client_id[16], chat_bytes payload) {
  ch_outbox_item *item = ch_calloc(brain->env.alloc, 1, sizeof *item + payload.len);
  if (!item) return NULL;
  memcpy(item->client_id, client_id, 16);
  item->payload = ch_bytes_of(item + 1, payload.len);
  if (payload.len > 0) memcpy(item + 1, payload.data, payload.len);
  item->conversation = conversation;
  ch_list_init(&item->touched);
  if (ch_hashmap_insert(&brain->outbox.by_client_id, ch_bytes_of(client_id, 16), item)) {
    ch_free(brain->env.alloc, item);
    return NULL;
  }
  ch_list_push_back(&conversation->rows, &item->place);
  if (ch_list_is_empty(&conversation->active)) ch_list_push_back(&brain->outbox.active, &conversation->active);
  brain->outbox.is_dirty = true;
  return item;
}

int ch_outbox_load(ch_brain *brain, const chat_outbox_row *row) {
  ch_conversation *conversation = ch_conversation_find(brain, row->conversation_id);
  if (!conversation) return CHAT_E_CORRUPT;
  ch_outbox_item *item = new_item(brain, conversation, row->client_id, row->payload);
  if (!item) return CHAT_E_NOMEM;
  item->created_ms = row->created_ms;
  item->type = row->type;
  ch_item_facts_load(&item->facts, row->client_seq, row->state, row->discard, row->error);
  /* A salvaged number may be ahead of what was salvaged of the conversation: it never goes back. */
  if (conversation->kept.row.next_client_seq <= row->client_seq) conversation->kept.row.next_client_seq = row->client_seq + 1;
  return 0;
}

/* ------------------------------------------------------------------------------------------------ changes, in a transaction */

static void touch(ch_brain *brain, ch_outbox_item *item) {
  ch_assert(brain->database.in_transaction);
  brain->outbox.is_dirty = true;
  if (!ch_list_is_empty(&item->touched)) return;
  item->before = item->facts;
  ch_list_push_back(&brain->database.items, &item->touched);
}

ch_item_facts *ch_item_change(ch_brain *brain, ch_outbox_item *item) {
  touch(brain, item);
  return &item->facts;
}

static void give_number(ch_brain *brain, ch_outbox_item *item) {
  brain->database.must_be_durable = true; /* C1 */
  ch_kept *kept = ch_change(brain, item->conversation);
  ch_item_facts_number(&item->facts, kept->row.next_client_seq++, ch_is_up(brain) ? brain->connection.number : 0);
}

ch_outbox_item *ch_outbox_add(ch_brain *brain, ch_conversation *conversation, const uint8_t client_id[16], uint32_t type, chat_bytes payload) {
  ch_outbox_item *item = new_item(brain, conversation, client_id, payload);
  if (!item) {
    ch_fail(brain, CHAT_E_NOMEM);
    return NULL;
  }
  item->type = type;
  item->created_ms = brain->now.wall_ms;
  item->is_added = true;
  touch(brain, item);
  give_number(brain, item);
  return item;
}

void ch_outbox_remove(ch_brain *brain, ch_outbox_item *item) {
  touch(brain, item);
  item->is_removed = true;
}

/* C7, and rows of a retired device: the same message, behind all others. */
void ch_outbox_number_anew(ch_brain *brain, ch_outbox_item *item) {
  touch(brain, item);
  give_number(brain, item);
  item->is_moved = true;
}

static uint32_t stored_state(ch_item_state state) {
  if (state == CH_ITEM_REFUSED) return CHAT_OUTBOX_REFUSED;
  return state == CH_ITEM_PARKED ? CHAT_OUTBOX_PARKED : CHAT_OUTBOX_QUEUED;
}

int ch_item_write(ch_brain *brain, ch_outbox_item *item) {
  const chat_cache *cache = brain->config.cache;
  if (item->is_removed) return item->is_added ? 0 : cache->vtable->outbox_remove(cache->self, item->client_id);
  chat_outbox_row row = {.client_seq = item->facts.client_seq, .created_ms = item->created_ms, .type = item->type,
                         .state = stored_state(item->facts.state), .discard = item->facts.discard, .error = item->facts.error,
                         .payload = item->payload, .peer = ch_kept_peer(&item->conversation->kept)};
  memcpy(row.conversation_id, item->conversation->kept.row.conversation_id, 16);
  memcpy(row.client_id, item->client_id, 16);
  return cache->vtable->outbox_put(cache->self, &row);
}

/* A SEND that is not answered any more, because its row ended or has another number. */
static void land(ch_outbox_item *item) {
  if (item->in_flight) item->conversation->in_flight--;
  item->in_flight = false;
}

static void stop_waiting(ch_outbox_item *item, ch_item_state was) {
  if (was == CH_ITEM_DUP) item->conversation->dup_count--;
}

void ch_items_keep(ch_brain *brain) {
  ch_list *items = &brain->database.items;
  for (ch_list *node = ch_list_pop_front(items); node; node = ch_list_pop_front(items)) {
    ch_outbox_item *item = CH_LIST_ITEM(node, ch_outbox_item, touched);
    bool ended = item->is_removed || item->facts.state == CH_ITEM_REFUSED || item->facts.state == CH_ITEM_PARKED;
    if (ended || item->is_moved) land(item);
    if (ended || item->facts.state != CH_ITEM_DUP) stop_waiting(item, item->before.state);
    if (item->is_moved) {
      ch_list_remove(&item->place);
      ch_list_push_back(&item->conversation->rows, &item->place);
    }
    item->is_added = item->is_moved = false;
    if (item->is_removed) free_item(brain, item);
  }
}

void ch_items_restore(ch_brain *brain) {
  ch_list *items = &brain->database.items;
  for (ch_list *node = ch_list_pop_front(items); node; node = ch_list_pop_front(items)) {
    ch_outbox_item *item = CH_LIST_ITEM(node, ch_outbox_item, touched);
    item->facts = item->before;
    item->is_removed = item->is_moved = false;
    if (item->is_added) free_item(brain, item);
  }
}

/* ------------------------------------------------------------------------------------------------ ends */

/* The retirement that parked rows wait for; one that is parked itself is settled by restore.c. */
static bool is_own_retirement(const ch_outbox_item *item) {
  return item->type == CHAT_TYPE_DEVICE_RETIRED && item->facts.state != CH_ITEM_PARKED;
}

/* In a transaction. One that was taken back leaves nothing to show but the event. */
static void end_refused(ch_brain *brain, ch_outbox_item *item, int error) {
  bool resolves = is_own_retirement(item);
  brain->database.must_be_durable = true; /* C1 */
  ch_item_facts *facts = ch_item_change(brain, item);
  ch_item_facts_refused(facts, error);
  ch_tell_outbox(brain, item, CHAT_TICK_REFUSED, 0, error);
  ch_conversation *conversation = item->conversation;
  if (item->type == CHAT_TYPE_CREATE) {
    ch_change(brain, conversation)->row.role = CHAT_ROLE_NONE;
    conversation->announce = true;
  }
  if (facts->discard || item->type == CHAT_TYPE_DEVICE_RETIRED) ch_outbox_remove(brain, item);
  if (resolves) ch_restore_resolve(brain, conversation, false);
}

static void end_committed(ch_brain *brain, ch_outbox_item *item, uint64_t seq) {
  bool resolves = is_own_retirement(item);
  ch_tell_outbox(brain, item, CHAT_TICK_SENT, seq, 0);
  ch_outbox_remove(brain, item);
  if (resolves) ch_restore_resolve(brain, item->conversation, true);
}

/* C6: COMMITTED counts for any number. */
void ch_outbox_committed(ch_brain *brain, ch_conversation *conversation, const chat_row *row) {
  if (!ch_is_own(brain, row->sender)) return;
  ch_outbox_item *item = ch_outbox_find(brain, row->client_id);
  if (!item || item->conversation != conversation || item->is_removed) return;
  if (item->type == row->type && ch_bytes_equal(item->payload, row->payload)) end_committed(brain, item, row->seq);
  else if (item->facts.state != CH_ITEM_REFUSED) end_refused(brain, item, CHAT_E_CONFLICT);
}

void ch_outbox_judge(ch_brain *brain, ch_outbox_item *item, bool prove) {
  ch_found found;
  uint64_t seq;
  int error = ch_find_own(brain, item->conversation->kept.row.conversation_id, item->client_id, item->type, item->payload, &found, &seq);
  if (error) {
    ch_fail(brain, error);
    return;
  }
  if (found == CH_FOUND_SAME) end_committed(brain, item, seq);
  else if (found == CH_FOUND_OTHER) end_refused(brain, item, CHAT_E_CONFLICT);
  else if (item->facts.discard) end_refused(brain, item, CHAT_E_CANCELED);
  else if (prove) ch_outbox_number_anew(brain, item);
  else {
    if (item->type != CHAT_TYPE_DEVICE_RETIRED) ch_tell_draft(brain, item);
    brain->database.must_be_durable = true;
    ch_outbox_remove(brain, item);
  }
}

/* C7: the answer was judged with a state at or above the verdict's head, and everything up to there is in the cache now. */
void ch_outbox_resolve(ch_brain *brain, ch_conversation *conversation, uint64_t head) {
  if (conversation->dup_count == 0) return;
  ch_begin(brain);
  for (ch_list *node = conversation->rows.next, *next; node != &conversation->rows; node = next) {
    next = node->next;
    ch_outbox_item *item = CH_LIST_ITEM(node, ch_outbox_item, place);
    if (item->facts.state == CH_ITEM_DUP && item->dup_head <= head && !item->is_removed)
      ch_outbox_judge(brain, item, !conversation->has_jumped);
  }
  ch_end(brain, true);
}

/* ------------------------------------------------------------------------------------------------ answers and verdicts */

/* C6: one for a number that the row no longer has is ignored. */
static ch_outbox_item *match(ch_brain *brain, const uint8_t conversation_id[16], const uint8_t client_id[16], uint64_t client_seq) {
  ch_outbox_item *item = ch_outbox_find(brain, client_id);
  if (!item || !ch_item_is_open(item) || !ch_item_facts_are_named(&item->facts, client_seq)) return NULL;
  return memcmp(item->conversation->kept.row.conversation_id, conversation_id, 16) == 0 ? item : NULL;
}

static void send_again(ch_brain *brain, ch_outbox_item *item, uint64_t pause_ms) {
  land(item);
  ch_item_facts_again(&item->facts, ch_now_ms(brain) + pause_ms);
}

static void accepted(ch_brain *brain, ch_outbox_item *item, const ch_answer *answer) {
  bool is_news = item->facts.state != CH_ITEM_ACCEPTED && !item->facts.discard;
  (void)answer;
  land(item);
  ch_item_facts_accepted(&item->facts, ch_now_ms(brain) + brain->config.resend_ms);
  if (is_news) ch_tell_outbox(brain, item, CHAT_TICK_SENT, 0, 0);
}

/* The end is durable before it is shown (C1): a power cut would send it again as a retry, which is not refused at the gateway. Where it cannot be written, the verdict comes again. */
static void refused(ch_brain *brain, ch_outbox_item *item, int error) {
  ch_begin(brain);
  end_refused(brain, item, error);
  if (ch_end(brain, CH_RULE(C1))) send_again(brain, item, UNREADABLE_PAUSE_MS);
}

static void answered_refused(ch_brain *brain, ch_outbox_item *item, const ch_answer *answer) {
  refused(brain, item, item->facts.discard ? CHAT_E_CANCELED : answer->error);
}

static void answered_gap(ch_brain *brain, ch_outbox_item *item, const ch_answer *answer) {
  (void)answer;
  send_again(brain, item, GAP_PAUSE_MS);
}

static void answered_unknown(ch_brain *brain, ch_outbox_item *item, const ch_answer *answer) {
  (void)answer;
  send_again(brain, item, UNKNOWN_PAUSE_MS);
}

static void answered_retry(ch_brain *brain, ch_outbox_item *item, const ch_answer *answer) {
  send_again(brain, item, answer->retry_after_ms);
}

void ch_on_answer(ch_brain *brain, const ch_server_message *message) {
  static void (*const handlers[])(ch_brain *, ch_outbox_item *, const ch_answer *) = {
      [CH_ACCEPTED] = accepted, [CH_GAP] = answered_gap, [CH_UNKNOWN] = answered_unknown, [CH_RETRY] = answered_retry, [CH_REFUSED] = answered_refused};
  const ch_answer *answer = &message->u.answer;
  ch_outbox_item *item = match(brain, answer->conversation_id, answer->client_id, answer->client_seq);
  if (!item || (size_t)answer->code >= sizeof handlers / sizeof *handlers || !handlers[answer->code]) return;
  item->conversation->heard_ms = ch_now_ms(brain);
  brain->outbox.is_dirty = true;
  if (item->facts.state == CH_ITEM_DUP) land(item); /* the verdict has said more already */
  else handlers[answer->code](brain, item, answer);
}

/* What a client without C7 would make of DUP. */
static void end_unseen(ch_brain *brain, ch_outbox_item *item) {
  ch_begin(brain);
  ch_outbox_remove(brain, item);
  ch_end(brain, true);
}

static void judged_dup(ch_brain *brain, ch_outbox_item *item, const ch_verdict *verdict) {
  ch_conversation *conversation = item->conversation;
  if (!CH_RULE(C7)) {
    end_unseen(brain, item);
    return;
  }
  if (verdict->last >= conversation->kept.row.next_client_seq) {
    ch_restore_begin(brain);
    return;
  }
  if (item->facts.state != CH_ITEM_DUP) conversation->dup_count++;
  land(item);
  item->facts.state = CH_ITEM_DUP;
  item->dup_head = verdict->head;
  if (conversation->kept.row.cursor >= verdict->head) ch_outbox_resolve(brain, conversation, conversation->kept.row.cursor);
  else ch_sync_told(brain, conversation, conversation->known_head);
}

void ch_on_verdict(ch_brain *brain, const ch_server_message *message) {
  const ch_verdict *verdict = &message->u.verdict;
  ch_outbox_item *item = match(brain, verdict->conversation_id, verdict->client_id, verdict->client_seq);
  if (!item) return;
  brain->outbox.is_dirty = true;
  if (verdict->code == CH_VERDICT_DUP) judged_dup(brain, item, verdict);
  else if (verdict->code == CH_VERDICT_GAP && item->facts.state != CH_ITEM_DUP) send_again(brain, item, GAP_PAUSE_MS);
  else if (verdict->code == CH_VERDICT_REFUSED) refused(brain, item, item->facts.discard ? CHAT_E_CANCELED : verdict->error);
}

/* The gateway could not read a SEND, so it did not pass it: for a first try that is an end; another may be in the log. */
bool ch_outbox_take_error(ch_brain *brain, const ch_server_message *message) {
  for (ch_hashmap_entry *entry = ch_hashmap_first(&brain->outbox.by_client_id); entry; entry = ch_hashmap_next(&brain->outbox.by_client_id, entry)) {
    ch_outbox_item *item = entry->value;
    if (!item->in_flight || message->tag == 0 || item->wire_tag != message->tag) continue;
    bool is_final = item->facts.state == CH_ITEM_SENT && message->u.error.code != CHAT_E_AGAIN;
    brain->outbox.is_dirty = true;
    if (is_final) refused(brain, item, message->u.error.code);
    else send_again(brain, item, ch_later(message->u.error.retry_after_ms, UNREADABLE_PAUSE_MS));
    return true;
  }
  return false;
}

/* ------------------------------------------------------------------------------------------------ sending */

/* C2. */
static uint64_t prev_of(const ch_outbox_item *item) {
  if (!CH_RULE(C2)) return 0;
  for (const ch_list *node = item->place.prev; node != &item->conversation->rows; node = node->prev) {
    const ch_outbox_item *before = CH_LIST_ITEM(node, ch_outbox_item, place);
    if (ch_item_is_open(before)) return before->facts.client_seq;
  }
  return 0;
}

static bool send_item(ch_brain *brain, ch_outbox_item *item) {
  ch_conversation *conversation = item->conversation;
  bool is_first_try = ch_item_facts_are_first_try(&item->facts, brain->connection.number);
  ch_client_message message = {.op = CH_SEND, .tag = ++brain->connection.last_tag};
  message.u.send = (ch_send){.client_seq = item->facts.client_seq, .prev = prev_of(item), .retry = !is_first_try, .discard = item->facts.discard,
                             .type = item->type, .payload = item->payload};
  if (conversation->kept.row.kind == CHAT_DIRECT) message.u.send.peer = ch_kept_peer(&conversation->kept);
  memcpy(message.u.send.conversation_id, conversation->kept.row.conversation_id, 16);
  memcpy(message.u.send.client_id, item->client_id, 16);
  if (ch_put(brain, &message)) return false;
  if (conversation->in_flight++ == 0) conversation->heard_ms = ch_now_ms(brain);
  item->in_flight = true;
  item->wire_tag = message.tag;
  ch_item_facts_sent(&item->facts, is_first_try);
  return true;
}

static uint32_t window(const ch_brain *brain) {
  uint32_t server = brain->connection.limits.in_flight_max;
  return server > 0 && server < brain->config.in_flight_max ? server : brain->config.in_flight_max;
}

static void due_at(ch_brain *brain, uint64_t ms) {
  brain->outbox.deadline_ms = ch_sooner(brain->outbox.deadline_ms, ms);
}

/* What a client without C5 would do: send again in the same session what was not answered for a second. */
static void land_silent(ch_brain *brain, ch_outbox_item *item) {
  uint64_t silence_ms = item->conversation->heard_ms + 1000;
  if (ch_now_ms(brain) >= silence_ms) {
    land(item);
    item->conversation->heard_ms = ch_now_ms(brain);
  } else {
    due_at(brain, silence_ms);
  }
}

/* In order: a row that has to wait before it is sent again keeps back the ones behind it. An accepted one does not. */
static void send_rows(ch_brain *brain, ch_conversation *conversation) {
  CH_LIST_FOR_EACH(node, &conversation->rows) {
    ch_outbox_item *item = CH_LIST_ITEM(node, ch_outbox_item, place);
    if (!CH_RULE(C5) && item->in_flight) land_silent(brain, item);
    if (!ch_item_is_open(item) || item->in_flight || item->facts.state == CH_ITEM_DUP) continue;
    if (item->facts.due_ms > ch_now_ms(brain)) {
      due_at(brain, item->facts.due_ms);
      if (item->facts.state != CH_ITEM_ACCEPTED) return;
    } else if (conversation->in_flight >= window(brain) || !send_item(brain, item)) {
      return;
    }
  }
}

/* Of a conversation never heard of nobody knows yet where its history begins on this device; the first sync says it, and DUP is resolved by what lies above (C7). */
static bool may_send(const ch_brain *brain, const ch_conversation *conversation) {
  return conversation->kept.row.head > 0 || brain->sync.is_done;
}

void ch_outbox_settle(ch_brain *brain) {
  ch_outbox *outbox = &brain->outbox;
  if (!ch_is_up(brain) || (!outbox->is_dirty && ch_now_ms(brain) < outbox->deadline_ms)) return;
  outbox->is_dirty = false;
  outbox->deadline_ms = CH_NEVER_MS;
  bool is_silent = false;
  CH_LIST_FOR_EACH(node, &outbox->active) {
    ch_conversation *conversation = CH_LIST_ITEM(node, ch_conversation, active);
    if (may_send(brain, conversation)) send_rows(brain, conversation);
    if (conversation->in_flight == 0) continue;
    uint64_t silence_ms = conversation->heard_ms + brain->config.times.idle_ms;
    due_at(brain, silence_ms);
    is_silent = is_silent || ch_now_ms(brain) >= silence_ms;
  }
  if (is_silent) ch_connection_lose(brain, CHAT_E_TIMEOUT); /* C5: silence is cured by a new session */
}

/* C3: every row that has not ended, accepted ones too. */
void ch_outbox_session_begun(ch_brain *brain) {
  brain->outbox.is_dirty = true;
  CH_LIST_FOR_EACH(active, &brain->outbox.active) {
    CH_LIST_FOR_EACH(node, &CH_LIST_ITEM(active, ch_conversation, active)->rows)
      ch_item_facts_session_begun(&CH_LIST_ITEM(node, ch_outbox_item, place)->facts);
  }
}

void ch_outbox_session_ended(ch_brain *brain) {
  brain->outbox.deadline_ms = CH_NEVER_MS;
  CH_LIST_FOR_EACH(active, &brain->outbox.active) {
    ch_conversation *conversation = CH_LIST_ITEM(active, ch_conversation, active);
    CH_LIST_FOR_EACH(node, &conversation->rows) {
      ch_outbox_item *item = CH_LIST_ITEM(node, ch_outbox_item, place);
      land(item);
      ch_item_facts_session_ended(&item->facts);
    }
    conversation->dup_count = 0;
  }
}
