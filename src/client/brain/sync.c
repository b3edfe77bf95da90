/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is missing, and fetching it (rules V2, V4, V5). `position` moves with the heads of a sync answer in one transaction, the cursor with its rows; neither moves on an error.
 */
#include "client/brain/sync.h"

#include <string.h>

#include "client/brain/owner.h"
#include "client/brain/told.h"
#include "core/rule.h"

enum { SPREAD_MS = 1000, RETRY_MS = 5000, INDEX_QUIET_MS = 100, ASKED_MAX = 2 };

void ch_sync_init(ch_brain *brain) {
  brain->sync = (ch_sync){.due_ms = CH_NEVER_MS, .beat_ms = CH_NEVER_MS};
  ch_list_init(&brain->sync.to_fetch);
  ch_list_init(&brain->sync.holding);
}

void ch_sync_ask(ch_brain *brain, uint64_t spread_ms) {
  ch_sync *sync = &brain->sync;
  if (sync->is_under_way) sync->again = true;
  else sync->due_ms = ch_sooner(sync->due_ms, ch_now_ms(brain) + ch_random_below(brain, spread_ms));
}

void ch_sync_session_begun(ch_brain *brain) {
  ch_sync *sync = &brain->sync;
  sync->is_done = sync->is_under_way = sync->again = false;
  sync->range_count = 0;
  sync->told = ch_later(sync->told, brain->database.identity.position);
  sync->due_ms = ch_now_ms(brain); /* a connect syncs */
  sync->beat_ms = ch_now_ms(brain) + brain->connection.session.times.heartbeat_ms;
  ch_sync_fetch_all(brain);
}

void ch_sync_session_ended(ch_brain *brain) {
  ch_sync *sync = &brain->sync;
  sync->is_under_way = sync->is_done = false;
  sync->due_ms = sync->beat_ms = CH_NEVER_MS;
}

/* ------------------------------------------------------------------------------------------------ what is behind */

static bool is_behind(const ch_conversation *conversation) {
  return conversation->kept.row.cursor < conversation->known_head || conversation->dup_count > 0;
}

/* Where the page begins that was not asked for yet. */
static uint64_t next_low(const ch_conversation *conversation) {
  uint64_t cursor = conversation->kept.row.cursor;
  return conversation->asked_count > 0 ? ch_later(cursor, conversation->asked_to) : cursor;
}

/* In a long history the server reads the next page while this one is stored. What was asked for ahead does not fit where the page before it was cut short, or came behind it: then it is not
 * looked at, and asked for again. */
static bool wants_page(const ch_conversation *conversation) {
  if (conversation->asked_count == 0) return is_behind(conversation);
  return conversation->is_long && conversation->asked_count < ASKED_MAX && next_low(conversation) < conversation->known_head;
}

static void want_range(ch_brain *brain, ch_conversation *conversation) {
  if (wants_page(conversation) && ch_list_is_empty(&conversation->to_fetch))
    ch_list_push_back(&brain->sync.to_fetch, &conversation->to_fetch);
}

void ch_sync_told(ch_brain *brain, ch_conversation *conversation, uint64_t head) {
  conversation->known_head = ch_later(conversation->known_head, head);
  want_range(brain, conversation);
}

void ch_sync_fetch_all(ch_brain *brain) {
  ch_hashmap_entry *at;
  if (!CH_RULE(V4)) return;
  for (ch_conversation *conversation = ch_conversation_first(brain, &at); conversation; conversation = ch_conversation_next(brain, &at))
    want_range(brain, conversation);
}

bool ch_sync_is_behind(const ch_brain *brain) {
  return brain->sync.range_count > 0 || !ch_list_is_empty(&brain->sync.to_fetch);
}

/* ------------------------------------------------------------------------------------------------ rows, in a transaction */

/* Who writes has seen what was there: where all before it was read, so is one's own message, from whatever device, and also where its head was heard of first. */
static void read_by_writing(ch_brain *brain, ch_kept *kept, const chat_row *row) {
  bool is_next = row->msg_no == kept->row.read_msg_no + 1;
  if (!is_next || row->type != CHAT_TYPE_MESSAGE || !ch_is_own(brain, row->sender)) return;
  kept->row.read = ch_later(kept->row.read, row->seq);
  kept->row.read_msg_no = row->msg_no;
}

/* The next row after the cursor: stored, and the cursor moved, in one transaction (P4). An unknown type is stored as it is. */
static void apply(ch_brain *brain, ch_conversation *conversation, const chat_row *row) {
  ch_kept *kept = ch_change(brain, conversation);
  bool is_news = row->seq > kept->row.head;
  ch_put_row(brain, row);
  ch_people_apply(brain, conversation, row, is_news);
  kept->row.cursor = row->seq;
  read_by_writing(brain, kept, row);
  if (is_news) {
    kept->row.head = row->seq;
    kept->row.msg_no = row->msg_no;
    kept->row.active_ms = ch_later(kept->row.active_ms, row->created_ms);
  }
  conversation->announce = true;
  ch_outbox_committed(brain, conversation, row);
  ch_tell_message(brain, row);
}

static void apply_held(ch_brain *brain, ch_conversation *conversation) {
  void *item;
  for (const chat_row *row = ch_conversation_next_held(conversation, &item); row; row = ch_conversation_next_held(conversation, &item)) {
    apply(brain, conversation, row);
    ch_put_cover(brain, row->conversation_id, row->seq - 1, row->seq);
    ch_conversation_free_held(item);
  }
  if (conversation->held.count == 0) ch_list_remove(&conversation->holding);
}

/* ------------------------------------------------------------------------------------------------ live */

static void hold(ch_brain *brain, ch_conversation *conversation, const chat_row *row) {
  int error = ch_conversation_hold(brain, conversation, row);
  if (error && error != CHAT_E_EXISTS) want_range(brain, conversation);
  if (conversation->held.count > 0 && ch_list_is_empty(&conversation->holding)) ch_list_push_back(&brain->sync.holding, &conversation->holding);
}

static void live_event(ch_brain *brain, const chat_row *row) {
  ch_conversation *conversation = ch_conversation_find(brain, row->conversation_id);
  /* Where the history begins on this device is said by the first head. */
  if (!conversation || (conversation->kept.row.head == 0 && row->seq != 1)) {
    ch_sync_ask(brain, 0);
    return;
  }
  if (row->seq <= conversation->kept.row.cursor) return;
  conversation->known_head = ch_later(conversation->known_head, row->seq);
  if (CH_RULE(CURSOR_WITHOUT_GAP) && row->seq != conversation->kept.row.cursor + 1) {
    hold(brain, conversation, row);
    return;
  }
  apply(brain, conversation, row);
  ch_put_cover(brain, row->conversation_id, row->seq - 1, row->seq);
  apply_held(brain, conversation);
}

static void live_head(ch_brain *brain, const ch_head_hint *hint) {
  ch_conversation *conversation = ch_conversation_find(brain, hint->conversation_id);
  if (conversation && conversation->kept.row.head > 0) ch_sync_told(brain, conversation, hint->head);
  else ch_sync_ask(brain, 0);
}

/* V2: the chain of positions. A channel's event (position 0) is outside it. */
static void follow_chain(ch_brain *brain, const ch_live *live) {
  ch_sync *sync = &brain->sync;
  if (live->position == 0) return;
  if (!ch_told_follow(&sync->told, live->previous, live->position)) ch_sync_ask(brain, 0);
}

void ch_on_live(ch_brain *brain, const ch_server_message *message) {
  const ch_live *live = &message->u.live;
  if (!brain->in_live) ch_begin(brain);
  brain->in_live = true;
  follow_chain(brain, live);
  for (size_t i = 0; i < live->event_count; i++)
    live_event(brain, &live->events[i]);
  for (size_t i = 0; i < live->head_count; i++)
    live_head(brain, &live->heads[i]);
}

void ch_live_end(ch_brain *brain) {
  if (!brain->in_live) return;
  brain->in_live = false;
  ch_end(brain, false);
}

static void expire_held(ch_brain *brain) {
  for (ch_list *node = brain->sync.holding.next, *next; node != &brain->sync.holding; node = next) {
    next = node->next;
    ch_conversation *conversation = CH_LIST_ITEM(node, ch_conversation, holding);
    void *item = ch_order_buffer_expire(&conversation->held, ch_now_ms(brain));
    if (item) want_range(brain, conversation);
    for (; item; item = ch_order_buffer_expire(&conversation->held, ch_now_ms(brain)))
      ch_conversation_free_held(item);
    if (conversation->held.count == 0) ch_list_remove(&conversation->holding);
  }
}

/* ------------------------------------------------------------------------------------------------ ranges by cursor */

/* Nothing at or below the floor, now or ever: the cursor may pass it, and what lay there proves nothing any more. */
static void pass_floor(ch_brain *brain, ch_conversation *conversation, uint64_t floor) {
  ch_kept *kept = ch_change(brain, conversation);
  kept->row.floor = ch_later(kept->row.floor, floor);
  if (floor <= kept->row.cursor) return;
  kept->row.cursor = floor;
  conversation->has_jumped = conversation->has_jumped || !ch_list_is_empty(&conversation->rows);
  ch_restore_give_up(brain, conversation);
}

static void apply_range(ch_brain *brain, ch_conversation *conversation, const ch_range_reply *reply) {
  ch_kept *kept = ch_change(brain, conversation);
  pass_floor(brain, conversation, reply->floor);
  if (reply->low > kept->row.cursor) return;
  for (size_t i = 0; i < reply->event_count; i++)
    if (reply->events[i].seq > kept->row.cursor && reply->events[i].seq <= reply->high) apply(brain, conversation, &reply->events[i]);
  kept->row.cursor = ch_later(kept->row.cursor, reply->high);
  kept->row.head = ch_later(kept->row.head, kept->row.cursor);
  ch_put_cover(brain, reply->conversation_id, reply->low, reply->high);
  ch_receipts_count_read(brain, conversation);
  apply_held(brain, conversation);
}

/* In a transaction: the conversation is as one that nothing was ever heard of, but for its outbox, whose rows can no longer be proven. */
static void forget(ch_brain *brain, ch_conversation *conversation) {
  chat_cache_conversation *row = &ch_change(brain, conversation)->row;
  row->head = row->msg_no = row->cursor = row->start = row->floor = 0;
  row->read = row->read_msg_no = row->read_sent = row->delivered = row->delivered_sent = 0;
  row->members_stale = 1;
  ch_forget_history(brain, row->conversation_id);
  conversation->is_forgotten = true;
  conversation->has_jumped = conversation->has_jumped || !ch_list_is_empty(&conversation->rows);
  conversation->announce = true;
  ch_restore_give_up(brain, conversation);
}

/* After the transaction. */
static void end_forget(ch_conversation *conversation, bool is_committed) {
  if (conversation->is_forgotten && is_committed) {
    ch_order_buffer_drop_through(&conversation->held, UINT64_MAX);
    conversation->known_head = conversation->kept.row.head;
  }
  conversation->is_forgotten = false;
}

/* Once in a session: a server that goes on saying it is asked again at heartbeats only. */
void ch_sync_reset(ch_brain *brain, ch_conversation *conversation) {
  if (conversation->reset_session == brain->connection.number) return;
  ch_begin(brain);
  forget(brain, conversation);
  ch_change_identity(brain)->position = 0;
  bool is_committed = ch_end(brain, true) == 0;
  end_forget(conversation, is_committed);
  if (!is_committed) return; /* it is said again */
  conversation->reset_session = brain->connection.number;
  brain->sync.told = 0;
  ch_sync_ask(brain, SPREAD_MS);
  ch_tell_resync(brain);
}

int ch_range_status_of(ch_brain *brain, ch_conversation *conversation, const ch_server_message *reply) {
  int status = conversation ? ch_call_status(brain, reply) : CHAT_E_NOT_FOUND;
  if (status) return status;
  if (memcmp(reply->u.range_reply.conversation_id, conversation->kept.row.conversation_id, 16) != 0) return CHAT_E_PROTOCOL;
  if (reply->u.range_reply.status != CH_RANGE_RESET) return 0;
  ch_sync_reset(brain, conversation);
  return CHAT_E_GONE;
}

static void range_taken(ch_brain *brain, ch_conversation *conversation, const ch_range_reply *reply) {
  bool is_page = reply->status == CH_RANGE_MORE && reply->high - reply->low == CHAT_PAGE_MAX;
  conversation->is_long = is_page && reply->low <= conversation->kept.row.cursor;
  if (reply->status == CH_RANGE_COMPLETE && reply->low <= conversation->kept.row.cursor) ch_outbox_resolve(brain, conversation, reply->head);
}

static void take_range(ch_brain *brain, ch_conversation *conversation, const ch_range_reply *reply) {
  uint64_t cursor = conversation->kept.row.cursor;
  if (reply->status == CH_RANGE_RESET) {
    ch_sync_reset(brain, conversation);
    return;
  }
  ch_begin(brain);
  apply_range(brain, conversation, reply);
  if (ch_end(brain, false)) return; /* asked for again at the next heartbeat */
  range_taken(brain, conversation, reply);
  if (conversation->kept.row.cursor == cursor) return;
  want_range(brain, conversation);
  /* The index takes a third of the time of a page: over a fast network it waits until they are all here, over a slow one only until the next is late. */
  if (is_behind(conversation)) brain->index_ms = ch_now_ms(brain) + INDEX_QUIET_MS;
}

static void range_done(ch_brain *brain, ch_call *call, const ch_server_message *reply) {
  ch_conversation *conversation = ch_conversation_find(brain, call->conversation_id);
  if (brain->sync.range_count > 0) brain->sync.range_count--;
  if (!conversation) return;
  if (conversation->asked_count > 0) conversation->asked_count--;
  conversation->is_long = false;
  if (ch_call_status(brain, reply) == 0 && memcmp(reply->u.range_reply.conversation_id, call->conversation_id, 16) == 0)
    take_range(brain, conversation, &reply->u.range_reply);
  if (call->number > conversation->kept.row.cursor) want_range(brain, conversation); /* it was ahead, and did not fit */
}

static bool ask_range(ch_brain *brain, ch_conversation *conversation) {
  uint64_t low = next_low(conversation);
  ch_client_message message = {.op = CH_RANGE};
  ch_call call = {.done = range_done, .wanted = CH_RANGE_REPLY, .number = low};
  message.u.range = (ch_range){.low = low, .high = 0, .limit = CHAT_PAGE_MAX};
  memcpy(message.u.range.conversation_id, conversation->kept.row.conversation_id, 16);
  memcpy(call.conversation_id, conversation->kept.row.conversation_id, 16);
  if (ch_call_put(brain, &message, &call)) return false;
  conversation->asked_count++;
  conversation->asked_to = low + CHAT_PAGE_MAX;
  brain->sync.range_count++;
  return true;
}

static void ask_ranges(ch_brain *brain) {
  ch_sync *sync = &brain->sync;
  while (sync->range_count < brain->config.ranges_max && !ch_list_is_empty(&sync->to_fetch)) {
    ch_conversation *conversation = CH_LIST_ITEM(sync->to_fetch.next, ch_conversation, to_fetch);
    if (wants_page(conversation) && !ask_range(brain, conversation)) return;
    if (!wants_page(conversation)) ch_list_remove(&conversation->to_fetch);
  }
}

/* ------------------------------------------------------------------------------------------------ heads */

/* Could an event of a row that is still in the outbox lie anywhere in the history? */
static bool may_be_in_history(const ch_conversation *conversation) {
  CH_LIST_FOR_EACH(node, &conversation->rows) {
    const ch_outbox_item *item = CH_LIST_ITEM(node, ch_outbox_item, place);
    if (item->facts.state != CH_ITEM_REFUSED && (!item->facts.is_fresh || item->facts.sends > 0)) return true;
  }
  return false;
}

/* Where history begins here: the newest `prefetch`, and all that the user has not received on any device. What might hold an end of the outbox is fetched whole (C7). */
static void begin_history(ch_brain *brain, ch_conversation *conversation, ch_kept *kept, const chat_head *head) {
  uint64_t recent = head->head > brain->config.prefetch ? head->head - brain->config.prefetch : 0;
  uint64_t start = may_be_in_history(conversation) ? 0 : ch_sooner(recent, head->delivered);
  kept->row.start = kept->row.cursor = ch_later(kept->row.floor, start);
}

static void merge_marks(ch_kept *kept, const chat_head *head) {
  kept->row.delivered_sent = head->delivered; /* one's own above the server's is sent again */
  kept->row.read_sent = head->read;
  kept->row.delivered = ch_later(kept->row.delivered, head->delivered);
  kept->row.read = ch_later(kept->row.read, head->read);
}

static void merge_head(ch_brain *brain, const chat_head *head, bool is_reset) {
  ch_conversation *conversation = ch_conversation_find(brain, head->conversation_id);
  bool is_new = !conversation;
  if (is_new) conversation = ch_conversation_add(brain, head->conversation_id);
  if (!conversation) return;
  ch_kept *kept = ch_change(brain, conversation);
  if (is_reset && head->head < kept->row.cursor) forget(brain, conversation); /* the conversation has gone back as well */
  if (is_new || head->role != kept->row.role) kept->row.members_stale = 1;
  kept->row.kind = head->kind;
  kept->row.role = head->role;
  if (head->first > 0) kept->row.floor = head->first - 1;
  if (kept->row.head == 0 && kept->row.cursor == 0) begin_history(brain, conversation, kept, head);
  kept->row.cursor = ch_later(kept->row.cursor, kept->row.floor);
  if (head->head >= kept->row.head) {
    kept->row.head = head->head;
    kept->row.msg_no = head->msg_no;
    kept->row.active_ms = head->active_ms;
    ch_kept_set_title(kept, head->title);
  }
  merge_marks(kept, head);
  ch_receipts_count_read(brain, conversation);
  conversation->known_head = ch_later(conversation->known_head, head->head);
  conversation->announce = true;
}

static bool commit_heads(ch_brain *brain, const ch_sync_reply *reply) {
  ch_begin(brain);
  for (size_t i = 0; i < reply->head_count; i++)
    merge_head(brain, &reply->heads[i], reply->reset);
  ch_change_identity(brain)->position = reply->position;
  bool is_committed = ch_end(brain, false) == 0;
  for (size_t i = 0; i < reply->head_count; i++) {
    ch_conversation *conversation = ch_conversation_find(brain, reply->heads[i].conversation_id);
    if (conversation) end_forget(conversation, is_committed);
  }
  return is_committed;
}

/* moves: the position is another one now. Where it is not, `more` is a server's mistake, and asking at once would go on for ever. */
static void synced(ch_brain *brain, const ch_sync_reply *reply, bool moves) {
  ch_sync *sync = &brain->sync;
  if (reply->reset) ch_tell_resync(brain);
  sync->told = reply->reset ? reply->position : ch_later(sync->told, reply->position);
  for (size_t i = 0; i < reply->head_count; i++) {
    ch_conversation *conversation = ch_conversation_find(brain, reply->heads[i].conversation_id);
    want_range(brain, conversation);
  }
  sync->due_ms = ch_now_ms(brain) + (reply->more && !moves ? RETRY_MS : reply->more || sync->again ? 0 : CH_RULE(V6) ? brain->config.sync_every_ms : UINT32_MAX);
  sync->again = sync->again && reply->more;
  if (!reply->more) sync->is_done = true;
  brain->outbox.is_dirty = true;
}

static void sync_done(ch_brain *brain, ch_call *call, const ch_server_message *reply) {
  (void)call;
  brain->sync.is_under_way = false;
  if (!reply) return;
  brain->sync.due_ms = ch_now_ms(brain) + RETRY_MS;
  uint64_t before = brain->database.identity.position;
  if (ch_call_status(brain, reply) == 0 && commit_heads(brain, &reply->u.sync_reply))
    synced(brain, &reply->u.sync_reply, brain->database.identity.position != before);
}

static void ask_heads(ch_brain *brain) {
  ch_client_message message = {.op = CH_SYNC, .u.position = brain->database.identity.position};
  if (ch_call_put(brain, &message, &(ch_call){.done = sync_done, .wanted = CH_SYNC_REPLY})) {
    brain->sync.due_ms = ch_now_ms(brain) + SPREAD_MS; /* too much waits to go out */
    return;
  }
  brain->sync.is_under_way = true;
  brain->sync.due_ms = CH_NEVER_MS;
}

/* ------------------------------------------------------------------------------------------------ time */

/* V2: above told, missing or unreadable makes a sync, spread, since many see it at once. */
void ch_on_heartbeat_reply(ch_brain *brain, const ch_server_message *message) {
  if (ch_told_is_behind(brain->sync.told, message->u.pos)) ch_sync_ask(brain, SPREAD_MS);
}

static void beat(ch_brain *brain) {
  ch_client_message message = {.op = CH_HEARTBEAT, .tag = ++brain->connection.last_tag};
  brain->sync.beat_ms = ch_now_ms(brain) + brain->connection.session.times.heartbeat_ms;
  if (brain->connection.session.out.len == 0) ch_put(brain, &message);
  ch_sync_fetch_all(brain);
}

void ch_sync_settle(ch_brain *brain) {
  ch_sync *sync = &brain->sync;
  expire_held(brain);
  if (!ch_is_up(brain)) return;
  if (ch_now_ms(brain) >= sync->beat_ms) beat(brain);
  if (!sync->is_under_way && ch_now_ms(brain) >= sync->due_ms) ask_heads(brain);
  ask_ranges(brain);
}

uint64_t ch_sync_deadline_ms(const ch_brain *brain) {
  const ch_sync *sync = &brain->sync;
  uint64_t deadline_ms = ch_sooner(sync->due_ms, sync->beat_ms);
  CH_LIST_FOR_EACH(node, &sync->holding)
    deadline_ms = ch_sooner(deadline_ms, ch_order_buffer_next_deadline_ms(&CH_LIST_ITEM(node, ch_conversation, holding)->held));
  return deadline_ms;
}
