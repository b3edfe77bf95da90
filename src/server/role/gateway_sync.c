/* SPDX-License-Identifier: Apache-2.0 */
/* What a client reads: heads above a position (V2, V3), ranges of events (V5), members, search. Each is a read of the store and one reply. */
#include <string.h>

#include "core/rule.h"
#include "server/role/gateway_parts.h"

enum {
  HEADS_LIMIT = 500,     /* asked for at once */
  HEADS_MAX = 1000,      /* in one SyncReply (core/codec_parts.h) */
  EPOCH_SHIFT = 48,      /* chat/backend.h, "POSITION" */
  ROW_FRAME_LEN = 160,   /* of an encoded event, beside its payload and sender */
  FAILED_RETRY_MS = 1000
};

/* --- shared by all requests --- */

void ch_conn_failed(ch_gateway *gateway, ch_conn *conn, uint64_t tag, int status, ch_now now) {
  bool is_said = status == CHAT_E_NOMEM || status == CHAT_E_INVALID || status == CHAT_E_NOT_FOUND || status == CHAT_E_TOO_LARGE;
  ch_conn_error(gateway, conn, tag, is_said ? status : CHAT_E_AGAIN, FAILED_RETRY_MS, now);
}

bool ch_call_keep(ch_gateway *gateway, void *op, chat_bytes from, chat_bytes *to, ch_now now) {
  *to = chat_op_copy(op, from);
  if (to->data || from.len == 0) return true;
  const ch_call *call = ch_call_of(op);
  ch_conn *conn = ch_conn_find(gateway, call->connection);
  if (conn) ch_conn_error(gateway, conn, call->tag, CHAT_E_NOMEM, 0, now);
  ch_call_discard(gateway, op);
  return false;
}

/* --- sync --- */

typedef struct sync_call {
  ch_call call;
  uint64_t asked;
  uint64_t mark; /* that stands in the place of pos:{user}; 0: none */
  bool reset;
} sync_call;

static ch_call_done heads_done;

/* `like` says what is asked for; its call is not read. */
static void ask_heads(ch_gateway *gateway, ch_conn *conn, uint64_t tag, const sync_call *like, ch_now now) {
  chat_store_heads *heads = ch_call_new_for(gateway, conn, tag, CHAT_OP_STORE_HEADS, sizeof *heads, sizeof(sync_call), heads_done, now);
  if (!heads || !ch_call_keep(gateway, heads, ch_conn_user(conn), &heads->user, now)) return;
  sync_call *sync = ch_call_of(heads);
  sync->asked = like->asked;
  sync->mark = like->mark;
  sync->reset = like->reset;
  heads->above = like->reset ? 0 : like->asked;
  heads->limit = HEADS_LIMIT;
  ch_call_submit(gateway, heads, CH_GATEWAY_ATTEMPTS);
}

static void mark_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  sync_call *sync = (sync_call *)call;
  ch_conn *conn = ch_conn_find(gateway, call->connection);
  if (!conn) return;
  if (status) sync->mark = 0; /* nothing to be filled; the next heartbeat finds pos missing again */
  ask_heads(gateway, conn, call->tag, sync, now);
}

/* V2: the marker stands before the heads are read, so that a raise in between is not undone by what was read. */
static void put_mark(ch_gateway *gateway, ch_conn *conn, uint64_t tag, uint64_t asked, ch_now now) {
  chat_directory_mark *mark = ch_call_new_for(gateway, conn, tag, CHAT_OP_DIRECTORY_MARK, sizeof *mark, sizeof(sync_call), mark_done, now);
  if (!mark || !ch_call_keep(gateway, mark, ch_conn_user(conn), &mark->user, now)) return;
  gateway->env.random(gateway->env.random_arg, &mark->mark, sizeof mark->mark);
  mark->mark |= 1; /* never 0 */
  sync_call *sync = ch_call_of(mark);
  sync->asked = asked;
  sync->mark = mark->mark;
  ch_call_submit(gateway, mark, 1);
}

static void ignore_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  (void)gateway, (void)call, (void)status, (void)now;
}

static uint64_t highest_position(const chat_store_heads *heads) {
  uint64_t highest = heads->position;
  for (size_t i = 0; i < heads->head_count; i++)
    if (heads->heads[i].position > highest) highest = heads->heads[i].position;
  return highest;
}

/* Only with the last page: what is filled in says that everything up to there was told. */
static void fill_pos(ch_gateway *gateway, ch_conn *conn, const sync_call *sync, const chat_store_heads *heads) {
  uint64_t pos = highest_position(heads);
  if (!sync->mark || heads->more || pos == 0) return;
  chat_directory_fill *fill = ch_call_new(gateway, CHAT_OP_DIRECTORY_FILL, sizeof *fill, sizeof(ch_call), ignore_done);
  if (!fill) return;
  fill->user = chat_op_copy(&fill->op, heads->user);
  if (!fill->user.data) {
    ch_call_discard(gateway, fill);
    return;
  }
  fill->mark = sync->mark;
  fill->pos = pos;
  conn->pos_missing = false;
  ch_call_submit(gateway, fill, 1);
}

/* SUBS: whoever is told of a channel by sync is told of its events from here on. */
static void subscribe_channels(ch_gateway *gateway, ch_user *user, const chat_store_heads *heads, ch_now now) {
  for (size_t i = 0; i < heads->head_count; i++) {
    const chat_head *head = &heads->heads[i];
    if (head->kind == CHAT_CHANNEL && head->role != CHAT_ROLE_NONE) ch_channel_subscribe(gateway, user, head->conversation_id, head->head, now);
  }
}

/* --- all channels of a user, once, where sync answers do not give them each time (CHALL) --- */

static void ask_channels(ch_gateway *gateway, ch_user *user, uint64_t above);

static void channels_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  chat_store_heads *heads = (chat_store_heads *)(void *)call->op;
  ch_user *user = ch_user_find(gateway, heads->user);
  if (!user || user->channels_known == CH_CHANNELS_KNOWN) return;
  if (status) {
    ch_channels_missed(user, now);
    return;
  }
  user->channels_known = CH_CHANNELS_KNOWN;
  subscribe_channels(gateway, user, heads, now);
  if (heads->more) {
    ask_channels(gateway, user, heads->position);
    return;
  }
  CH_LIST_FOR_EACH(node, &user->sessions)
    ch_channels_tell(gateway, CH_LIST_ITEM(node, ch_conn, of_user), now);
}

static void ask_channels(ch_gateway *gateway, ch_user *user, uint64_t above) {
  user->channels_known = CH_CHANNELS_UNKNOWN;
  chat_store_heads *heads = ch_call_new(gateway, CHAT_OP_STORE_HEADS, sizeof *heads, sizeof(ch_call), channels_done);
  if (!heads) return;
  heads->user = chat_op_copy(&heads->op, ch_bytes_of(user->id, user->len));
  if (!heads->user.data) {
    ch_call_discard(gateway, heads);
    return;
  }
  heads->above = above;
  heads->limit = HEADS_LIMIT;
  user->channels_known = CH_CHANNELS_ASKED;
  ch_call_submit(gateway, heads, CH_GATEWAY_ATTEMPTS);
}

/* --- the answer --- */

/* A position is comparable within its epoch alone. */
static bool is_of_another_epoch(uint64_t asked, uint64_t position) {
  return asked != 0 && asked >> EPOCH_SHIFT != position >> EPOCH_SHIFT;
}

/* Channels stand in front and come with every answer; they are what can be left out where the reply has no room. Returns how many. */
static size_t left_out(const chat_store_heads *heads) {
  size_t count = 0;
  while (heads->head_count - count > HEADS_MAX && heads->heads[count].position == 0)
    count++;
  return count;
}

static bool put_heads(ch_gateway *gateway, ch_conn *conn, const sync_call *sync, const chat_store_heads *heads, ch_now now) {
  size_t skipped = left_out(heads);
  ch_server_message message = {.tag = sync->call.tag, .op = CH_SYNC_REPLY};
  ch_sync_reply *reply = &message.u.sync_reply;
  reply->heads = heads->heads ? heads->heads + skipped : NULL;
  reply->head_count = heads->head_count - skipped;
  reply->position = !sync->reset && sync->asked > heads->position ? sync->asked : heads->position;
  reply->more = heads->more;
  reply->reset = sync->reset;
  if (reply->head_count > HEADS_MAX) {
    ch_conn_failed(gateway, conn, sync->call.tag, CHAT_E_TOO_LARGE, now);
    return false;
  }
  return ch_conn_put(gateway, conn, &message, now);
}

static void answer_heads(ch_gateway *gateway, ch_conn *conn, const sync_call *sync, const chat_store_heads *heads, ch_now now) {
  subscribe_channels(gateway, conn->user, heads, now);
  if (!put_heads(gateway, conn, sync, heads, now)) return;
  fill_pos(gateway, conn, sync, heads);
  ch_channels_tell(gateway, conn, now);
  if (gateway->config.store_derives_heads && conn->user->channels_known == CH_CHANNELS_UNKNOWN) ask_channels(gateway, conn->user, 0);
}

static void heads_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  sync_call *sync = (sync_call *)call;
  const chat_store_heads *heads = (chat_store_heads *)(void *)call->op;
  ch_conn *conn = ch_conn_find(gateway, call->connection);
  if (!conn || conn->closing) return;
  if (status) {
    ch_conn_failed(gateway, conn, call->tag, status, now);
  } else if (!sync->reset && is_of_another_epoch(sync->asked, heads->position)) {
    sync->reset = true;
    ask_heads(gateway, conn, call->tag, sync, now);
  } else {
    answer_heads(gateway, conn, sync, heads, now);
  }
}

void ch_sync_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  gateway->stats.syncs++;
  if (conn->pos_missing)
    put_mark(gateway, conn, message->tag, message->u.position, now);
  else
    ask_heads(gateway, conn, message->tag, &(sync_call){.asked = message->u.position}, now);
}

/* --- range: what of an answer may be given (V5) --- */

typedef struct readable_part { /* a seq is, within an interval and above the horizon */
  const chat_interval *intervals;
  size_t count;
  uint64_t horizon;
} readable_part;

static readable_part readable_of(const chat_store_range *range) {
  static const chat_interval everything = {.joined = 0, .left = UINT64_MAX};
  if (range->user.len == 0) return (readable_part){&everything, 1, range->horizon}; /* the embedder */
  if (range->state.member_count_here == 0) return (readable_part){NULL, 0, range->horizon};
  return (readable_part){range->state.members[0].intervals, range->state.members[0].interval_count, range->horizon};
}

/* The lowest readable seq at or above seq; UINT64_MAX: none. */
static uint64_t next_readable(const readable_part *readable, uint64_t seq) {
  uint64_t next = UINT64_MAX;
  if (seq <= readable->horizon) seq = readable->horizon + 1;
  for (size_t i = 0; i < readable->count; i++) {
    const chat_interval *interval = &readable->intervals[i];
    uint64_t first = seq > interval->joined ? seq : interval->joined + 1;
    if (first <= interval->left && first < next) next = first;
  }
  return next;
}

/* The highest readable seq at or below seq; 0: none. */
static uint64_t previous_readable(const readable_part *readable, uint64_t seq) {
  uint64_t previous = 0;
  for (size_t i = 0; i < readable->count; i++) {
    const chat_interval *interval = &readable->intervals[i];
    uint64_t last = seq < interval->left ? seq : interval->left;
    if (last > interval->joined && last > readable->horizon && last > previous) previous = last;
  }
  return previous;
}

static size_t row_len(const chat_row *row) {
  return row->payload.len + row->sender.len + ROW_FRAME_LEN;
}

/* Adds a row to a reply of *len bytes; the first one always has room. */
static bool has_room(size_t *len, const chat_row *row) {
  bool room = *len == 0 || *len + row_len(row) <= CH_GATEWAY_REPLY_MAX;
  if (room) *len += row_len(row);
  return room;
}

/* row_count: it is not there. */
static size_t place_of(const chat_store_range *range, uint64_t seq) {
  size_t place = 0;
  while (place < range->row_count && range->rows[place].seq != seq)
    place++;
  return place;
}

/* One run of readable rows from the low end. It ends before the first readable seq whose row is not here: cut, or missing on this replica; the absence itself
 * says nothing. What follows in another interval is asked for again. */
static void clip_low(const chat_store_range *range, const readable_part *readable, uint64_t end, ch_range_reply *reply) {
  uint64_t first = next_readable(readable, reply->low + 1);
  size_t place = place_of(range, first), count = 0, len = 0;
  for (; place + count < range->row_count; count++) {
    const chat_row *row = &range->rows[place + count];
    if ((row->seq != first + count && CH_RULE(V5)) || row->seq > end || next_readable(readable, row->seq) != row->seq || !has_room(&len, row)) break;
  }
  uint64_t stop = CH_RULE(V5) ? next_readable(readable, first + count) : UINT64_MAX;
  reply->high = stop > end ? end : stop - 1;
  reply->events = count ? range->rows + place : NULL;
  reply->event_count = count;
  reply->status = reply->high == end ? CH_RANGE_COMPLETE : CH_RANGE_MORE;
}

static void clip_high(const chat_store_range *range, const readable_part *readable, uint64_t end, ch_range_reply *reply) {
  uint64_t last = previous_readable(readable, end), low = reply->low;
  size_t place = place_of(range, last), count = 0, len = 0;
  for (; place < range->row_count && count <= place; count++) {
    const chat_row *row = &range->rows[place - count];
    if (row->seq != last - count || row->seq <= low || previous_readable(readable, row->seq) != row->seq || !has_room(&len, row)) break;
  }
  uint64_t stop = previous_readable(readable, last - count);
  reply->high = end;
  reply->low = stop > low ? stop : low;
  reply->events = count ? range->rows + place + 1 - count : NULL;
  reply->event_count = count;
  reply->status = reply->low == low ? CH_RANGE_COMPLETE : CH_RANGE_MORE;
}

/* Where nothing at all is readable the horizon alone is sure: the user may be added again. */
static uint64_t floor_of(const readable_part *readable, uint64_t head) {
  uint64_t first = next_readable(readable, 1);
  uint64_t floor = first == UINT64_MAX ? readable->horizon : first - 1;
  return floor < head ? floor : head;
}

/* The head as the caller may know it: a former member's is the event of its removal. */
static uint64_t last_for(const readable_part *readable, uint64_t head) {
  if (readable->count == 0) return head;
  uint64_t left = readable->intervals[readable->count - 1].left;
  return left < head ? left : head;
}

void ch_range_clip(const chat_store_range *range, const ch_range *asked, ch_range_reply *reply) {
  readable_part readable = readable_of(range);
  uint64_t head = last_for(&readable, range->state.head);
  uint64_t end = asked->high && asked->high < head ? asked->high : head;
  *reply = (ch_range_reply){.status = CH_RANGE_COMPLETE, .low = asked->low, .high = asked->low, .head = head, .floor = floor_of(&readable, head)};
  memcpy(reply->conversation_id, asked->conversation_id, sizeof reply->conversation_id);
  if (end <= asked->low) return;
  if (asked->newest_first)
    clip_high(range, &readable, end, reply);
  else
    clip_low(range, &readable, end, reply);
}

typedef struct range_call {
  ch_call call;
  ch_range asked;
} range_call;

bool ch_range_is_allowed(const chat_store_range *range) {
  if (range->user.len == 0) return range->state.kind != 0; /* the embedder */
  return range->state.kind != 0 && range->state.member_count_here > 0 && range->state.members[0].interval_count > 0;
}

static void range_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  const chat_store_range *range = (chat_store_range *)(void *)call->op;
  ch_conn *conn = ch_conn_find(gateway, call->connection);
  if (!conn) return;
  if (!status && !ch_range_is_allowed(range)) status = CHAT_E_NOT_FOUND;
  if (status) {
    ch_conn_failed(gateway, conn, call->tag, status, now);
    return;
  }
  ch_server_message message = {.tag = call->tag, .op = CH_RANGE_REPLY};
  ch_range_clip(range, &((range_call *)call)->asked, &message.u.range_reply);
  ch_conn_put(gateway, conn, &message, now);
}

void ch_range_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  const ch_range *asked = &message->u.range;
  gateway->stats.ranges++;
  chat_store_range *range = ch_call_new_for(gateway, conn, message->tag, CHAT_OP_STORE_RANGE, sizeof *range, sizeof(range_call), range_done, now);
  if (!range || !ch_call_keep(gateway, range, ch_conn_user(conn), &range->user, now)) return;
  ((range_call *)ch_call_of(range))->asked = *asked;
  memcpy(range->conversation_id, asked->conversation_id, sizeof range->conversation_id);
  range->low = asked->low;
  range->high = asked->high;
  range->limit = asked->limit;
  range->newest_first = asked->newest_first;
  ch_call_submit(gateway, range, CH_GATEWAY_ATTEMPTS);
}

/* --- members --- */

static ch_member_info *infos_of(chat_store_members *members) {
  ch_member_info *infos = chat_op_alloc(&members->op, (members->member_count + 1) * sizeof *infos);
  for (size_t i = 0; infos && i < members->member_count; i++) {
    const chat_member *member = &members->members[i];
    infos[i] = (ch_member_info){.user = member->user, .role = member->role, .delivered = member->delivered, .read = member->read};
  }
  return infos;
}

static void put_members(ch_gateway *gateway, ch_conn *conn, uint64_t tag, const chat_store_members *members, const ch_member_info *infos, ch_now now) {
  ch_server_message message = {.tag = tag, .op = CH_MEMBERS_REPLY};
  message.u.members_reply = (ch_members_reply){
      .kind = members->state.kind,
      .title = members->state.title,
      .history_from_start = members->state.history_from_start,
      .head = members->state.head,
      .member_count = members->state.member_count,
      .members = infos,
      .count = members->member_count,
      .more = members->more,
  };
  memcpy(message.u.members_reply.conversation_id, members->conversation_id, sizeof members->conversation_id);
  ch_conn_put(gateway, conn, &message, now);
}

static void members_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  chat_store_members *members = (chat_store_members *)(void *)call->op;
  ch_conn *conn = ch_conn_find(gateway, call->connection);
  if (!conn) return;
  if (!status && (members->state.kind == 0 || members->self.role == CHAT_ROLE_NONE)) status = CHAT_E_NOT_FOUND;
  ch_member_info *infos = status ? NULL : infos_of(members);
  if (!status && !infos) status = CHAT_E_NOMEM;
  if (status)
    ch_conn_failed(gateway, conn, call->tag, status, now);
  else
    put_members(gateway, conn, call->tag, members, infos, now);
}

void ch_get_members_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  const ch_get_members *asked = &message->u.get_members;
  chat_store_members *members = ch_call_new_for(gateway, conn, message->tag, CHAT_OP_STORE_MEMBERS, sizeof *members, sizeof(ch_call), members_done, now);
  if (!members || !ch_call_keep(gateway, members, ch_conn_user(conn), &members->user, now)) return;
  if (!ch_call_keep(gateway, members, asked->after, &members->after, now)) return;
  memcpy(members->conversation_id, asked->conversation_id, sizeof members->conversation_id);
  members->limit = asked->limit;
  ch_call_submit(gateway, members, CH_GATEWAY_ATTEMPTS);
}

/* --- search --- */

typedef struct search_call { /* behind the hook */
  ch_call call;
  ch_search asked;
} search_call;

/* As many rows as fit; those of one message_id are not parted where that can be helped, because paging goes by it. */
static size_t fitting(const chat_store_search *search) {
  size_t count = 0, len = 0;
  while (count < search->row_count && has_room(&len, &search->rows[count]))
    count++;
  size_t whole = count;
  while (whole > 1 && whole < search->row_count && search->rows[whole].message_id == search->rows[whole - 1].message_id)
    whole--;
  return whole > 1 ? whole : count;
}

static void search_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  const chat_store_search *search = (chat_store_search *)(void *)call->op;
  ch_conn *conn = ch_conn_find(gateway, call->connection);
  if (!conn) return;
  if (status) {
    ch_conn_failed(gateway, conn, call->tag, status, now);
    return;
  }
  ch_server_message message = {.tag = call->tag, .op = CH_SEARCH_REPLY};
  message.u.search_reply.events = search->rows;
  message.u.search_reply.event_count = fitting(search);
  message.u.search_reply.more = search->more || message.u.search_reply.event_count < search->row_count;
  ch_conn_put(gateway, conn, &message, now);
}

static void search(ch_gateway *gateway, ch_conn *conn, uint64_t tag, const ch_search *asked, ch_now now) {
  chat_store_search *found = ch_call_new_for(gateway, conn, tag, CHAT_OP_STORE_SEARCH, sizeof *found, sizeof(ch_call), search_done, now);
  if (!found || !ch_call_keep(gateway, found, ch_conn_user(conn), &found->user, now)) return;
  if (!ch_call_keep(gateway, found, asked->query, &found->query, now)) return;
  memcpy(found->conversation_id, asked->conversation_id, sizeof found->conversation_id);
  found->before_message_id = asked->before_message_id;
  found->limit = asked->limit;
  ch_call_submit(gateway, found, CH_GATEWAY_ATTEMPTS);
}

/* The op is not read here: after a time-out it is still the embedder's. The query lies in its memory, but is read only where the hook has answered. */
static void may_search_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  ch_conn *conn = ch_conn_find(gateway, call->connection);
  if (!conn) return;
  if (status)
    ch_conn_error(gateway, conn, call->tag, status, CH_GATEWAY_RETRY_MS, now);
  else
    search(gateway, conn, call->tag, &((search_call *)call)->asked, now);
}

void ch_search_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  const ch_search *asked = &message->u.search;
  if (!gateway->config.has_may) {
    search(gateway, conn, message->tag, asked, now);
    return;
  }
  ch_op_may *may = ch_call_new_for(gateway, conn, message->tag, CH_OP_MAY, sizeof *may, sizeof(search_call), may_search_done, now);
  if (!may || !ch_call_keep(gateway, may, ch_conn_user(conn), &may->user, now)) return;
  search_call *call = ch_call_of(may);
  call->asked = *asked;
  if (!ch_call_keep(gateway, may, asked->query, &call->asked.query, now)) return;
  may->action = CH_MAY_SEARCH;
  memcpy(may->conversation_id, asked->conversation_id, sizeof may->conversation_id);
  ch_call_submit_hook(gateway, may, now);
}
