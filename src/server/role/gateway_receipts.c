/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receipts (docs/protocol.md, "Receipts"). Those of one conversation are collected for receipt_ms, so that a group in which everybody has got a message costs one
 * read of its state and one write:
 *   pending → STORE_STATE (who is a member, up to where) → STORE_WATERMARKS → Ok to each → tasks for the others and for the own other devices
 */
#include <string.h>

#include "server/role/gateway_parts.h"

enum {
  REQUESTS_MAX = 8192,     /* without an answer, of all connections */
  BATCH_MAX = 256,         /* of one conversation: then it goes at once */
  GATHER_MAX = 2048,       /* marks in one Receipts; the rest before it */
  GATHER_CHUNK_LEN = 4096,
  GATHER_CAP_LEN = 1024 * 1024
};

typedef struct receipt_request {
  uint64_t connection, tag;
  uint8_t device_id[16];
  uint64_t delivered, read;
  int status;
  uint8_t user_len;
  uint8_t user[CHAT_USER_ID_MAX];
} receipt_request;

typedef struct receipt_batch {
  ch_list node; /* under way */
  uint8_t conversation_id[16];
  receipt_request *requests;
  size_t count, room_count;
  chat_store_state *state; /* read; kept until the end */
} receipt_batch;

typedef struct batch_call {
  ch_call call;
  receipt_batch *batch;
} batch_call;

static chat_bytes user_of(const receipt_request *request) {
  return ch_bytes_of(request->user, request->user_len);
}

/* --- batches --- */

static void batch_free(ch_gateway *gateway, receipt_batch *batch) {
  gateway->receipts.count -= batch->count;
  ch_list_remove(&batch->node);
  if (batch->state) ch_call_discard(gateway, batch->state);
  ch_free(gateway->env.alloc, batch->requests);
  ch_free(gateway->env.alloc, batch);
}

static receipt_batch *batch_for(ch_gateway *gateway, const uint8_t conversation_id[16]) {
  receipt_batch *batch = ch_hashmap_find(&gateway->receipts.pending, ch_id_bytes(conversation_id));
  if (batch) return batch;
  batch = ch_calloc(gateway->env.alloc, 1, sizeof *batch);
  if (!batch) return NULL;
  ch_list_init(&batch->node);
  memcpy(batch->conversation_id, conversation_id, sizeof batch->conversation_id);
  if (ch_hashmap_insert(&gateway->receipts.pending, ch_id_bytes(conversation_id), batch) == 0) return batch;
  ch_free(gateway->env.alloc, batch);
  return NULL;
}

static receipt_request *batch_add(ch_gateway *gateway, receipt_batch *batch) {
  if (batch->count == batch->room_count) {
    size_t room_count = batch->room_count ? batch->room_count * 2 : 4;
    receipt_request *requests = ch_realloc(gateway->env.alloc, batch->requests, room_count, sizeof *requests);
    if (!requests) return NULL;
    batch->requests = requests;
    batch->room_count = room_count;
  }
  receipt_request *added = &batch->requests[batch->count++];
  memset(added, 0, sizeof *added);
  gateway->receipts.count++;
  return added;
}

static void answer(ch_gateway *gateway, const receipt_request *request, ch_now now) {
  ch_conn *conn = ch_conn_find(gateway, request->connection);
  if (!conn) return;
  if (request->status)
    ch_conn_failed(gateway, conn, request->tag, request->status, now);
  else
    ch_conn_ok(gateway, conn, request->tag, now);
}

/* Those that did not fail before end with `status`. */
static void batch_end(ch_gateway *gateway, receipt_batch *batch, int status, ch_now now) {
  for (size_t i = 0; i < batch->count; i++) {
    if (!batch->requests[i].status) batch->requests[i].status = status;
    answer(gateway, &batch->requests[i], now);
  }
  batch_free(gateway, batch);
}

/* Is it the first of its user among those that did not fail? */
static bool is_first(const receipt_batch *batch, size_t place) {
  if (batch->requests[place].status) return false;
  for (size_t i = 0; i < place; i++)
    if (!batch->requests[i].status && ch_bytes_equal(user_of(&batch->requests[i]), user_of(&batch->requests[place]))) return false;
  return true;
}

/* --- who is told --- */

static const chat_member *member_in(const chat_state *state, chat_bytes user) {
  for (size_t i = 0; i < state->member_count_here; i++)
    if (ch_bytes_equal(state->members[i].user, user)) return &state->members[i];
  return NULL;
}

/* The device that the user's receipts came from; NULL: from several, then all of them are told. */
static const uint8_t *only_device(const receipt_batch *batch, chat_bytes user) {
  const uint8_t *device = NULL;
  for (size_t i = 0; i < batch->count; i++) {
    const receipt_request *request = &batch->requests[i];
    if (!ch_bytes_equal(user_of(request), user)) continue;
    if (device && memcmp(device, request->device_id, sizeof request->device_id) != 0) return NULL;
    device = request->device_id;
  }
  return device;
}

static void tell_own(ch_gateway *gateway, const receipt_batch *batch, const chat_watermark *mark) {
  const uint8_t *device = only_device(batch, mark->user);
  ch_task task = {.kind = CH_TASK_RECEIPTS, .has_not_device = device != NULL, .u.receipts = {.marks = mark, .count = 1}};
  if (device) memcpy(task.not_device, device, sizeof task.not_device);
  ch_tasks_add(gateway, &task, &mark->user, 1);
}

/* Present members, without one. */
static void tell_members(ch_gateway *gateway, const chat_state *state, const chat_watermark *marks, size_t count, chat_bytes without) {
  chat_bytes users[CHAT_GROUP_MEMBERS_MAX];
  size_t user_count = 0;
  for (size_t i = 0; i < state->member_count_here && user_count < CHAT_GROUP_MEMBERS_MAX; i++) {
    const chat_member *member = &state->members[i];
    if (member->role != CHAT_ROLE_NONE && !ch_bytes_equal(member->user, without)) users[user_count++] = member->user;
  }
  ch_task task = {.kind = CH_TASK_RECEIPTS, .u.receipts = {.marks = marks, .count = count}};
  ch_tasks_add(gateway, &task, users, user_count);
}

/* Several at once go to everybody in one task: that each of them also gets its own is cheaper than a task for each. In a channel others are not told. */
static void tell(ch_gateway *gateway, const receipt_batch *batch, const chat_watermark *marks, size_t count) {
  const chat_state *state = &batch->state->state;
  if (state->kind != CHAT_CHANNEL && count > 1) {
    tell_members(gateway, state, marks, count, (chat_bytes){0});
    return;
  }
  if (state->kind != CHAT_CHANNEL && count == 1) tell_members(gateway, state, marks, 1, marks->user);
  for (size_t i = 0; i < count; i++)
    tell_own(gateway, batch, &marks[i]);
}

/* --- write --- */

static bool has_risen(const chat_state *before, const chat_watermark *mark) {
  const chat_member *member = member_in(before, mark->user);
  return member && member->role != CHAT_ROLE_NONE && (mark->delivered > member->delivered || mark->read > member->read);
}

/* Moves the marks that rose to the front; returns how many. */
static size_t keep_risen(const chat_state *before, chat_watermark *marks, size_t count) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++)
    if (has_risen(before, &marks[i])) marks[kept++] = marks[i];
  return kept;
}

static void marks_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  receipt_batch *batch = ((batch_call *)call)->batch;
  chat_store_watermarks *write = (chat_store_watermarks *)(void *)call->op;
  if (!status) tell(gateway, batch, write->marks, keep_risen(&batch->state->state, write->marks, write->count));
  batch_end(gateway, batch, status, now);
}

static chat_watermark merged(const receipt_batch *batch, const receipt_request *first) {
  chat_watermark mark = {.user = user_of(first)};
  memcpy(mark.conversation_id, batch->conversation_id, sizeof mark.conversation_id);
  for (size_t i = 0; i < batch->count; i++) {
    const receipt_request *request = &batch->requests[i];
    if (request->status || !ch_bytes_equal(user_of(request), mark.user)) continue;
    if (request->delivered > mark.delivered) mark.delivered = request->delivered;
    if (request->read > mark.read) mark.read = request->read;
  }
  return mark;
}

static int write_marks(ch_gateway *gateway, receipt_batch *batch) {
  chat_store_watermarks *write = ch_call_new(gateway, CHAT_OP_STORE_WATERMARKS, sizeof *write, sizeof(batch_call), marks_done);
  if (write) write->marks = chat_op_alloc(&write->op, batch->count * sizeof *write->marks);
  if (!write || !write->marks) {
    ch_call_discard(gateway, write);
    return CHAT_E_NOMEM;
  }
  ((batch_call *)ch_call_of(write))->batch = batch;
  for (size_t i = 0; i < batch->count; i++)
    if (is_first(batch, i)) write->marks[write->count++] = merged(batch, &batch->requests[i]);
  ch_call_submit(gateway, write, CH_GATEWAY_ATTEMPTS);
  return 0;
}

/* --- read --- */

static uint64_t lesser(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* Nobody has received what does not exist, or what is not for him. The same answer where there is no such conversation. */
static void judge(const chat_state *state, receipt_request *request) {
  const chat_member *member = state->kind ? member_in(state, user_of(request)) : NULL;
  if (!member || member->interval_count == 0) {
    request->status = CHAT_E_NOT_FOUND;
    return;
  }
  uint64_t last = lesser(state->head, member->intervals[member->interval_count - 1].left);
  request->read = lesser(request->read, last);
  request->delivered = lesser(request->delivered, last);
  if (request->delivered < request->read) request->delivered = request->read;
}

static bool judge_all(const chat_state *state, receipt_batch *batch) {
  bool any = false;
  for (size_t i = 0; i < batch->count; i++) {
    judge(state, &batch->requests[i]);
    any |= !batch->requests[i].status;
  }
  return any;
}

static void state_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  receipt_batch *batch = ((batch_call *)call)->batch;
  chat_store_state *state = (chat_store_state *)(void *)call->op;
  bool any = !status && judge_all(&state->state, batch);
  int error = any ? write_marks(gateway, batch) : status;
  if (error || !any) {
    batch_end(gateway, batch, error, now);
    return;
  }
  call->kept = true;
  batch->state = state;
}

/* The batch is not changed any more, so the op may borrow from it. */
static void flush(ch_gateway *gateway, receipt_batch *batch, ch_now now) {
  ch_hashmap_remove(&gateway->receipts.pending, ch_id_bytes(batch->conversation_id));
  ch_list_push_back(&gateway->receipts.under_way, &batch->node);
  chat_store_state *state = ch_call_new(gateway, CHAT_OP_STORE_STATE, sizeof *state, sizeof(batch_call), state_done);
  if (state) state->users = chat_op_alloc(&state->op, batch->count * sizeof *state->users);
  if (!state || !state->users) {
    ch_call_discard(gateway, state);
    batch_end(gateway, batch, CHAT_E_NOMEM, now);
    return;
  }
  ((batch_call *)ch_call_of(state))->batch = batch;
  memcpy(state->conversation_id, batch->conversation_id, sizeof state->conversation_id);
  for (size_t i = 0; i < batch->count; i++)
    if (is_first(batch, i)) state->users[state->user_count++] = user_of(&batch->requests[i]);
  ch_call_submit(gateway, state, CH_GATEWAY_ATTEMPTS);
}

void ch_receipts_timer(ch_gateway *gateway, ch_timer *timer, ch_now now) {
  (void)timer;
  for (ch_hashmap_entry *entry = ch_hashmap_first(&gateway->receipts.pending); entry; entry = ch_hashmap_first(&gateway->receipts.pending)) {
    receipt_batch *batch = entry->value;
    flush(gateway, batch, now);
  }
}

static uint64_t greater(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

/* A session that wants no answer has one request in a batch, however often it says how far it is. */
static bool raise_earlier(receipt_batch *batch, const ch_conn *conn, const ch_client_message *message) {
  if (message->tag) return false;
  for (size_t i = 0; i < batch->count; i++) {
    receipt_request *request = &batch->requests[i];
    if (request->connection != conn->id || request->tag) continue;
    request->delivered = greater(request->delivered, message->u.receipt.delivered);
    request->read = greater(request->read, message->u.receipt.read);
    return true;
  }
  return false;
}

void ch_receipt_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  if (gateway->receipts.count >= REQUESTS_MAX) {
    ch_conn_error(gateway, conn, message->tag, CHAT_E_AGAIN, CH_GATEWAY_RETRY_MS, now);
    return;
  }
  receipt_batch *batch = batch_for(gateway, message->u.receipt.conversation_id);
  if (batch && raise_earlier(batch, conn, message)) return;
  receipt_request *request = batch ? batch_add(gateway, batch) : NULL;
  if (!request) {
    ch_conn_error(gateway, conn, message->tag, CHAT_E_NOMEM, 0, now);
    return;
  }
  chat_bytes user = ch_conn_user(conn);
  request->connection = conn->id;
  request->tag = message->tag;
  request->delivered = message->u.receipt.delivered;
  request->read = message->u.receipt.read;
  request->user_len = (uint8_t)user.len;
  memcpy(request->user, user.data, user.len);
  memcpy(request->device_id, conn->device_id, sizeof request->device_id);
  int error = ch_timer_heap_set_earlier(&gateway->timers, &gateway->receipts.timer, now.elapsed_ms + gateway->config.receipt_ms);
  if (error || batch->count == BATCH_MAX) flush(gateway, batch, now);
}

/* --- GetReceipts: one conversation after the other --- */

typedef struct receipt_gather {
  ch_list node;
  uint64_t connection, tag;
  ch_arena arena; /* users of the marks */
  chat_watermark *marks;
  size_t count, room_count;
  size_t place, id_count;
  uint8_t ids[][16];
} receipt_gather;

typedef struct gather_call {
  ch_call call;
  receipt_gather *gather;
} gather_call;

static void gather_free(ch_gateway *gateway, receipt_gather *gather) {
  ch_list_remove(&gather->node);
  ch_arena_fini(&gather->arena);
  ch_free(gateway->env.alloc, gather->marks);
  ch_free(gateway->env.alloc, gather);
}

static void put_marks(ch_gateway *gateway, ch_conn *conn, receipt_gather *gather, uint64_t tag, ch_now now) {
  ch_server_message message = {.tag = tag, .op = CH_RECEIPTS, .u.receipts = {.marks = gather->marks, .count = gather->count}};
  ch_conn_put(gateway, conn, &message, now);
  gather->count = 0;
  ch_arena_reset(&gather->arena);
}

static int gather_mark(ch_gateway *gateway, receipt_gather *gather, const chat_state *state, const chat_member *member) {
  if (gather->count == gather->room_count) {
    size_t room_count = gather->room_count ? gather->room_count * 2 : 16;
    chat_watermark *marks = ch_realloc(gateway->env.alloc, gather->marks, room_count, sizeof *marks);
    if (!marks) return CHAT_E_NOMEM;
    gather->marks = marks;
    gather->room_count = room_count;
  }
  const void *user = ch_arena_dup(&gather->arena, member->user.data, member->user.len);
  if (!user) return CHAT_E_NOMEM;
  chat_watermark *mark = &gather->marks[gather->count++];
  *mark = (chat_watermark){.user = ch_bytes_of(user, member->user.len), .delivered = member->delivered, .read = member->read};
  memcpy(mark->conversation_id, state->conversation_id, sizeof mark->conversation_id);
  return 0;
}

/* A former member sees its own alone. A conversation that is not there, or not the caller's, has none. */
static int gather_state(ch_gateway *gateway, receipt_gather *gather, const chat_state *state, chat_bytes user) {
  const chat_member *self = state->kind ? member_in(state, user) : NULL;
  int error = 0;
  if (!self) return 0;
  for (size_t i = 0; i < state->member_count_here && !error; i++) {
    const chat_member *member = &state->members[i];
    bool present = self->role != CHAT_ROLE_NONE && member->role != CHAT_ROLE_NONE;
    if (present || member == self) error = gather_mark(gateway, gather, state, member);
  }
  return error;
}

static void gather_step(ch_gateway *gateway, receipt_gather *gather, ch_now now);

static void gather_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  receipt_gather *gather = ((gather_call *)call)->gather;
  chat_store_state *read = (chat_store_state *)(void *)call->op;
  ch_conn *conn = ch_conn_find(gateway, call->connection);
  memcpy(read->state.conversation_id, read->conversation_id, sizeof read->conversation_id);
  if (conn && !status) status = gather_state(gateway, gather, &read->state, read->users[0]);
  if (conn && status) ch_conn_failed(gateway, conn, call->tag, status, now);
  if (!conn || status) {
    gather_free(gateway, gather);
    return;
  }
  if (gather->count > GATHER_MAX) put_marks(gateway, conn, gather, 0, now);
  gather_step(gateway, gather, now);
}

static bool ask_state(ch_gateway *gateway, ch_conn *conn, receipt_gather *gather, ch_now now) {
  chat_store_state *state =
      ch_call_new_for(gateway, conn, gather->tag, CHAT_OP_STORE_STATE, sizeof *state, sizeof(gather_call), gather_done, now);
  chat_bytes user;
  if (!state || !ch_call_keep(gateway, state, ch_conn_user(conn), &user, now)) return false;
  state->users = chat_op_alloc(&state->op, sizeof *state->users);
  if (!state->users) {
    ch_conn_error(gateway, conn, gather->tag, CHAT_E_NOMEM, 0, now);
    ch_call_discard(gateway, state);
    return false;
  }
  state->users[0] = user;
  state->user_count = 1;
  memcpy(state->conversation_id, gather->ids[gather->place++], sizeof state->conversation_id);
  ((gather_call *)ch_call_of(state))->gather = gather;
  ch_call_submit(gateway, state, CH_GATEWAY_ATTEMPTS);
  return true;
}

static void gather_step(ch_gateway *gateway, receipt_gather *gather, ch_now now) {
  ch_conn *conn = ch_conn_find(gateway, gather->connection);
  bool ends = !conn || conn->closing;
  if (!ends && gather->place == gather->id_count) {
    put_marks(gateway, conn, gather, gather->tag, now);
    ends = true;
  }
  if (ends || !ask_state(gateway, conn, gather, now)) gather_free(gateway, gather);
}

void ch_get_receipts_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  const ch_get_receipts *asked = &message->u.get_receipts;
  receipt_gather *gather = ch_calloc(gateway->env.alloc, 1, sizeof *gather + asked->count * sizeof gather->ids[0]);
  if (!gather) {
    ch_conn_error(gateway, conn, message->tag, CHAT_E_NOMEM, 0, now);
    return;
  }
  gather->connection = conn->id;
  gather->tag = message->tag;
  gather->id_count = asked->count;
  if (asked->count) memcpy(gather->ids, asked->conversation_ids, asked->count * sizeof gather->ids[0]);
  ch_arena_init(&gather->arena, gateway->env.alloc, GATHER_CHUNK_LEN, GATHER_CAP_LEN);
  ch_list_init(&gather->node);
  ch_list_push_back(&gateway->receipts.gathers, &gather->node);
  gather_step(gateway, gather, now);
}

/* --- life --- */

void ch_receipts_init(ch_gateway *gateway) {
  uint8_t seed[CH_HASHMAP_SEED_LEN];
  ch_gateway_seed(gateway, seed);
  ch_hashmap_init(&gateway->receipts.pending, gateway->env.alloc, seed);
  gateway->receipts.timer.kind = CH_TIMER_RECEIPTS;
  ch_list_init(&gateway->receipts.under_way);
  ch_list_init(&gateway->receipts.gathers);
}

void ch_receipts_fini(ch_gateway *gateway) {
  ch_receipts_part *part = &gateway->receipts;
  for (ch_hashmap_entry *entry = ch_hashmap_first(&part->pending); entry; entry = ch_hashmap_next(&part->pending, entry))
    batch_free(gateway, entry->value);
  while (!ch_list_is_empty(&part->under_way))
    batch_free(gateway, CH_LIST_ITEM(part->under_way.next, receipt_batch, node));
  while (!ch_list_is_empty(&part->gathers))
    gather_free(gateway, CH_LIST_ITEM(part->gathers.next, receipt_gather, node));
  ch_hashmap_fini(&part->pending);
  ch_timer_heap_clear(&gateway->timers, &part->timer);
}
