/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of a few users with a gateway: whole messages that say whatever the input says, deliveries, hooks, requests of the embedder, slow readers, time, backends that fail
 * or answer late. Whatever comes: what goes into the log decodes, what the gateway says decodes, a session never holds more than out-max, all of them never more than out-total-max, nor
 * does one get more answers than it sent Sends, each request of the embedder has one reply, the gateway does not run in circles, and memory stays below a bound and comes back.
 *
 * Input: configuration of one byte, then actions of one byte, each followed by what it needs (see `actions`).
 */
#include <string.h>

#include "fuzz/support/gateway.h"
#include "fuzz/support/make.h"
#include "fuzz/support/memory.h"
#include "server/role/limits.h"

enum {
  CONNS = 4,
  STEP_MS = 400,
  DEVICES_MAX = 8,
  DELIVERIES_MAX = 2,
  ROWS_MAX = 3,
  HEAD = 12,
  TICKS_MAX = 1000,
  OPS_MAX = 100000,
  TAGS_MAX = 4096,
  OUT_TOTAL_SMALL = 2048, /* as much as a script of some KiB gets said */
  MEMORY_MAX = 64 << 20,
  FRAME_ROOM = 2 * CHAT_FRAME_MAX
};

typedef struct client {
  uint64_t number;
  bool is_slow;
  uint64_t sends, answers;
} client;

typedef struct stored_device {
  uint8_t user;
  chat_device device;
} stored_device;

typedef struct world {
  fuzz_memory memory;
  ch_env env;
  ch_limits *limits; /* NULL: none */
  ch_gateway *gateway;
  ch_role role;
  ch_now now;
  fuzz_input *input;
  ch_op_queue polls, late; /* long polls that wait; ops whose answer is late */
  client clients[CONNS];
  stored_device devices[DEVICES_MAX];
  size_t device_count;
  uint64_t last_number, position, epoch;
  size_t out_total_max;
  uint64_t last_tag;
  bool waits[TAGS_MAX + 1];
  uint8_t random;
} world;

static void fill_random(void *arg, void *bytes, size_t len) {
  memset(bytes, ++((world *)arg)->random, len);
}

static uint8_t byte(world *w) {
  return fuzz_byte(w->input);
}

static void *room(chat_op *op, size_t count, size_t len) {
  void *list = chat_op_alloc(op, (count ? count : 1) * len);
  ch_assert(list != NULL);
  memset(list, 0, (count ? count : 1) * len);
  return list;
}

static chat_bytes name(chat_op *op, uint8_t choice) {
  static const char *const names[] = {"ann", "bob", "cat", "dan"};
  return chat_op_copy(op, ch_bytes_text(names[choice % 4]));
}

/* --- the store --- */

static void fill_member(chat_op *op, chat_member *member, chat_bytes user, uint8_t choice) {
  member->user = chat_op_copy(op, user);
  member->role = choice & 3;
  member->interval_count = 1 + (choice >> 2 & 1);
  member->intervals = room(op, member->interval_count, sizeof *member->intervals);
  member->intervals[0] = (chat_interval){choice >> 3 & 3, 5};
  member->intervals[member->interval_count - 1].left = choice & 32 ? UINT64_MAX : 9;
  if (member->interval_count == 2) member->intervals[1].joined = 6;
}

static void fill_state(chat_op *op, chat_state *state, uint8_t choice) {
  *state = (chat_state){.kind = choice % 4,
                        .head = HEAD,
                        .msg_no = HEAD,
                        .message_id = HEAD,
                        .position = HEAD,
                        .member_count = choice >> 2,
                        .history_from_start = choice >> 7};
  if (choice & 64) state->title = chat_op_copy(op, ch_bytes_text("title"));
}

static void fill_members(world *w, chat_op *op, chat_state *state, const chat_bytes *users, size_t count) {
  state->members = room(op, count, sizeof *state->members);
  state->member_count_here = 0;
  for (size_t i = 0; i < count; i++) {
    uint8_t choice = byte(w);
    if (choice != 255) fill_member(op, &state->members[state->member_count_here++], users[i], choice);
  }
}

static chat_row *fill_rows(world *w, chat_op *op, const uint8_t conversation_id[16], uint64_t low, size_t count) {
  chat_row *rows = room(op, count, sizeof *rows);
  ch_arena arena;
  ch_arena_init(&arena, NULL, 4096, 16 << 20);
  for (size_t i = 0; i < count; i++) {
    fuzz_row(w->input, &arena, &rows[i]);
    rows[i].seq = rows[i].message_id = low + 1 + i;
    rows[i].sender = name(op, byte(w));
    rows[i].payload = chat_op_copy(op, ch_bytes_of(rows[i].payload.data, rows[i].payload.len <= 1024 ? rows[i].payload.len : 1024));
    if (conversation_id) memcpy(rows[i].conversation_id, conversation_id, 16);
  }
  ch_arena_fini(&arena);
  return rows;
}

static void fill_range(world *w, chat_store_range *op, uint8_t choice) {
  fill_state(&op->op, &op->state, choice);
  fill_members(w, &op->op, &op->state, &op->user, op->user.len > 0);
  uint64_t high = op->high && op->high < HEAD ? op->high : HEAD, count = high > op->low ? high - op->low : 0;
  if (count > ROWS_MAX) count = ROWS_MAX;
  if (count > op->limit) count = op->limit;
  op->horizon = byte(w) % 3;
  op->rows = fill_rows(w, &op->op, op->conversation_id, op->newest_first ? high - count : op->low, (size_t)count);
  op->row_count = (size_t)count;
}

static void fill_heads(world *w, chat_store_heads *op, uint8_t choice) {
  op->head_count = choice % 4 < op->limit ? choice % 4 : op->limit;
  if (op->above >= INT64_MAX) op->head_count = 0; /* no position is that high */
  op->heads = room(&op->op, op->head_count, sizeof *op->heads);
  op->position = op->above;
  for (size_t i = 0; i < op->head_count; i++) {
    op->heads[i] = (chat_head){
        .kind = 1 + byte(w) % 3, .role = byte(w) % 4, .head = fuzz_number(w->input), .position = ++op->position, .first = byte(w)};
    fuzz_conversation(w->input, op->heads[i].conversation_id);
  }
  op->more = op->head_count && choice & 128;
}

static void fill_present(world *w, chat_store_members *op, uint8_t choice) {
  fill_state(&op->op, &op->state, choice);
  fill_member(&op->op, &op->self, op->user, byte(w));
  op->member_count = choice % 3 < op->limit ? choice % 3 : op->limit;
  op->members = room(&op->op, op->member_count, sizeof *op->members);
  for (size_t i = 0; i < op->member_count; i++)
    fill_member(&op->op, &op->members[i], name(&op->op, (uint8_t)i), 32 | 1);
  op->more = choice >> 7;
}

static stored_device *device_of(world *w, chat_bytes user, const uint8_t id[16]) {
  for (size_t i = 0; i < w->device_count; i++)
    if (w->devices[i].user == user.data[0] && memcmp(w->devices[i].device.device_id, id, 16) == 0) return &w->devices[i];
  return NULL;
}

static int put_device(world *w, chat_store_device *op, stored_device *at) {
  uint64_t session = at ? at->device.session : 0, next = at ? at->device.session_next : 0;
  if (session != op->expect_session || next != op->expect_session_next) {
    uint8_t id[16];
    memcpy(id, op->device.device_id, 16);
    op->device = at ? at->device : (chat_device){0};
    memcpy(op->device.device_id, id, 16);
    return CHAT_E_CONFLICT;
  }
  if (!at && w->device_count == DEVICES_MAX) return CHAT_E_LIMIT;
  if (!at) at = &w->devices[w->device_count++];
  *at = (stored_device){op->user.data[0], op->device};
  at->device.name = (chat_bytes){0};
  return 0;
}

static int use_device(world *w, chat_store_device *op) {
  stored_device *at = device_of(w, op->user, op->device.device_id);
  if (op->verb == CHAT_DEVICE_PUT) return put_device(w, op, at);
  if (at) op->device = at->device;
  return at ? 0 : CHAT_E_NOT_FOUND;
}

static void fill_devices(world *w, chat_store_devices *op) {
  op->devices = room(&op->op, w->device_count, sizeof *op->devices);
  for (size_t i = 0; i < w->device_count; i++)
    if (w->devices[i].user == op->user.data[0]) op->devices[op->count++] = w->devices[i].device;
}

/* --- log, link, directory, hooks --- */

static void fill_append(world *w, chat_log_append *op, bool good, uint8_t choice) {
  fuzz_gateway_writes(op);
  for (size_t i = 0; i < op->count; i++)
    if (good || (choice >> i % 4 & 1)) op->records[i].position = ++w->position;
}

static void fill_deliveries(world *w, chat_link_receive *op, uint8_t choice) {
  ch_arena arena;
  op->lost = choice % 16 == 15;
  op->count = choice % (DELIVERIES_MAX + 1);
  op->deliveries = room(&op->op, op->count, sizeof *op->deliveries);
  ch_arena_init(&arena, NULL, 4096, 32 << 20);
  for (size_t i = 0; i < op->count; i++) {
    chat_delivery *delivery = &op->deliveries[i];
    ch_delivered delivered = {0};
    ch_verdict verdict;
    ch_receipts receipts = {0};
    uint8_t what = byte(w);
    delivered.events = fuzz_rows(w->input, &arena, &delivered.event_count);
    fuzz_verdict(w->input, &verdict);
    fuzz_receipts(w->input, &arena, &receipts);
    if (what & 1) delivered.verdicts = &verdict, delivered.verdict_count = 1;
    if (what & 2) delivered.receipts = &receipts, delivered.receipts_count = 1;
    ch_typing typing = {.user = ch_bytes_text("bob"), .typing = 1};
    fuzz_conversation(w->input, typing.conversation_id);
    if (what & 4) delivered.typings = &typing, delivered.typing_count = 1;
    ch_buf out;
    ch_buf_init(&out, NULL, FRAME_ROOM);
    int error = ch_delivered_encode(&delivered, &out);
    ch_assert(!error);
    delivery->payload = chat_op_copy(&op->op, ch_buf_bytes(&out));
    ch_buf_fini(&out);
    delivery->position = what & 8 ? 0 : ++w->position;
    delivery->target_count = what >> 4 & 3;
    delivery->targets = room(&op->op, delivery->target_count, sizeof *delivery->targets);
    for (size_t k = 0; k < delivery->target_count; k++) {
      delivery->targets[k] = (chat_target){.user = name(&op->op, byte(w)), .previous = fuzz_number(w->input)};
      if (what & 64) fuzz_id(w->input, delivery->targets[k].device_id);
    }
  }
  ch_arena_fini(&arena);
}

static void fill_renewals(world *w, chat_directory_renew *op, uint8_t choice) {
  if (choice % 16 == 15) w->epoch++;
  for (size_t i = 0; i < op->count; i++) {
    op->renewals[i].epoch = w->epoch;
    op->renewals[i].status = choice % 16 == 13 && i % 2 ? CHAT_E_AGAIN : 0;
    op->renewals[i].pos = byte(w) % 4 ? w->position : 0;
    op->renewals[i].newest_session = op->renewals[i].session + (choice % 32 == 30);
  }
}

static void fill_changes(world *w, chat_directory_changes *op, uint8_t choice) {
  op->lost = choice % 16 == 15;
  op->count = choice % 3;
  op->users = room(&op->op, op->count, sizeof *op->users);
  for (size_t i = 0; i < op->count; i++)
    op->users[i] = (chat_presence){name(&op->op, byte(w)), choice >> 3 & 1, w->now.wall_ms};
}

static void authenticate(world *w, ch_op_authenticate *op, uint8_t choice) {
  op->user = chat_op_copy(&op->op, op->token);
  op->expires_ms = choice & 1 ? w->now.wall_ms + 1000 * (uint64_t)choice : 0;
  if (choice % 16 == 14) fuzz_id(w->input, op->device_id_claimed);
}

static int fill(world *w, chat_op *op, uint8_t choice) {
  void *whole = op;
  switch (op->kind) {
  case CH_OP_AUTHENTICATE: authenticate(w, whole, choice); break;
  case CHAT_OP_LOG_APPEND: fill_append(w, whole, true, choice); break;
  case CHAT_OP_STORE_STATE: {
    chat_store_state *state = whole;
    fill_state(op, &state->state, choice);
    fill_members(w, op, &state->state, state->users, state->user_count);
    break;
  }
  case CHAT_OP_STORE_RANGE: fill_range(w, whole, choice); break;
  case CHAT_OP_STORE_HEADS: fill_heads(w, whole, choice); break;
  case CHAT_OP_STORE_POSITION: ((chat_store_position *)whole)->position = w->position; break;
  case CHAT_OP_STORE_MEMBERS: fill_present(w, whole, choice); break;
  case CHAT_OP_STORE_SEARCH: {
    chat_store_search *search = whole;
    search->row_count = choice % 3 < search->limit ? choice % 3 : search->limit;
    search->rows = fill_rows(w, op, NULL, 3, search->row_count);
    search->more = choice >> 7;
    break;
  }
  case CHAT_OP_STORE_DEVICE: return use_device(w, whole);
  case CHAT_OP_STORE_DEVICES: fill_devices(w, whole); break;
  case CHAT_OP_DIRECTORY_RENEW: fill_renewals(w, whole, choice); break;
  case CHAT_OP_DIRECTORY_CHANGES: fill_changes(w, whole, choice); break;
  case CHAT_OP_LINK_RECEIVE: fill_deliveries(w, whole, choice); break;
  case CHAT_OP_DIRECTORY_PRESENCE: {
    chat_directory_presence *presence = whole;
    for (size_t i = 0; i < presence->count; i++)
      presence->users[i].online = choice >> i % 8 & 1;
    break;
  }
  default: break;
  }
  return 0;
}

/* A backend may fail or not know; it gives no result then, but for the records of an append, each of which has its own fate. */
static void complete(world *w, chat_op *op, uint8_t choice) {
  static const int errors[] = {CHAT_E_AGAIN, CHAT_E_NOT_FOUND, CHAT_E_UNKNOWN, CHAT_E_IO,
                               CHAT_E_FULL,  CHAT_E_DENIED,    CHAT_E_INVALID, CHAT_E_AUTH};
  uint8_t how = choice < 192 ? 0 : byte(w);
  op->status = how & 8 ? errors[how & 7] : fill(w, op, choice);
  if (how & 8 && op->kind == CHAT_OP_LOG_APPEND) fill_append(w, (chat_log_append *)op, false, choice);
  w->role.complete(w->role.self, op, w->now);
}

static void run_backends(world *w) {
  int count = 0;
  for (chat_op *op = w->role.next_op(w->role.self); op; op = w->role.next_op(w->role.self)) {
    ch_assert(++count < OPS_MAX);
    if (fuzz_gateway_is_poll(op)) {
      ch_op_queue_push(&w->polls, op);
      continue;
    }
    uint8_t choice = byte(w);
    if (choice >= 250)
      ch_op_queue_push(&w->late, op);
    else
      complete(w, op, choice);
  }
}

/* --- clients --- */

static void hears(client *c, chat_bytes frame) {
  c->answers += fuzz_gateway_says(frame);
  ch_assert(c->answers <= c->sends);
}

static client *client_of(world *w, uint64_t number) {
  for (size_t i = 0; i < CONNS; i++)
    if (w->clients[i].number == number) return &w->clients[i];
  ch_assert(!"a connection that is not there has something to say");
  return NULL;
}

/* All of it; at most out-max may have waited. */
static void read_one(world *w, client *c) {
  bool close = false;
  size_t waited_len = 0;
  for (chat_bytes frame = ch_gateway_peek(w->gateway, c->number, &close); frame.len;
       frame = ch_gateway_peek(w->gateway, c->number, &close)) {
    hears(c, frame);
    waited_len += frame.len;
    ch_gateway_taken(w->gateway, c->number, frame.len, w->now);
  }
  ch_assert(waited_len <= FUZZ_GATEWAY_OUT_MAX);
  if (close) {
    ch_gateway_closed(w->gateway, c->number, w->now);
    c->number = 0;
  }
}

static void read_all(world *w) {
  for (uint64_t number = ch_gateway_next_dirty(w->gateway); number; number = ch_gateway_next_dirty(w->gateway)) {
    client *c = client_of(w, number);
    if (!c->is_slow) read_one(w, c);
  }
}

static client *some_client(world *w) {
  return &w->clients[byte(w) % CONNS];
}

static void count_sends(client *c, chat_bytes frame) {
  chat_bytes bytes;
  while (ch_frame_next(&frame, &bytes) == 0) {
    ch_arena arena;
    ch_client_message message;
    ch_arena_init(&arena, NULL, 1024, ch_decode_cap(bytes.len));
    message.op = CH_CLIENT_NONE;
    (void)ch_client_message_decode(bytes, &arena, &message);
    c->sends += message.op == CH_SEND;
    ch_arena_fini(&arena);
  }
}

static void hand_in(world *w, client *c, chat_bytes frame) {
  if (c->number == 0) return;
  count_sends(c, frame);
  ch_gateway_frame(w->gateway, c->number, frame, w->now);
}

static void say(world *w, client *c, const ch_client_message *message) {
  ch_buf out;
  ch_buf_init(&out, NULL, FRAME_ROOM);
  int error = ch_client_message_encode(message, &out);
  ch_assert(!error);
  hand_in(w, c, ch_buf_bytes(&out));
  ch_buf_fini(&out);
}

/* --- actions --- */

static void say_something(world *w) {
  ch_arena arena;
  ch_client_message message;
  client *c = some_client(w);
  uint8_t op = byte(w);
  ch_arena_init(&arena, NULL, 4096, 16 << 20);
  fuzz_client_message(w->input, &arena, op < 128 ? CH_SEND : CH_HELLO + op % (CH_CLIENT_OP_COUNT - CH_HELLO), &message);
  message.tag = op;
  say(w, c, &message);
  ch_arena_fini(&arena);
}

static void say_bytes(world *w) {
  client *c = some_client(w);
  hand_in(w, c, fuzz_piece(w->input));
}

static void leave(world *w, client *c) {
  if (c->number) ch_gateway_closed(w->gateway, c->number, w->now);
  c->number = 0;
}

/* The newest connection of ann, bob, cat or dan, with the device that the store has for them, or another. */
static void come(world *w) {
  static const char *const tokens[] = {"ann", "bob", "cat", "dan"};
  client *c = some_client(w);
  uint8_t choice = byte(w);
  leave(w, c);
  *c = (client){.number = ++w->last_number, .is_slow = choice >> 7};
  if (ch_gateway_opened(w->gateway, c->number, ch_bytes_text(choice & 64 ? "192.0.2.1" : "192.0.2.2"), w->now)) {
    c->number = 0;
    return;
  }
  ch_client_message message = {.tag = choice, .op = CH_HELLO, .u.hello = {.version = 1, .token = ch_bytes_text(tokens[choice % 4])}};
  if (choice & 4 && w->device_count > 0) {
    const chat_device *device = &w->devices[(choice >> 3) % w->device_count].device;
    message.u.hello.has_device = 1;
    memcpy(message.u.hello.device_id, device->device_id, 16);
    message.u.hello.device_session = device->session_next ? device->session_next : device->session;
  }
  say(w, c, &message);
}

static void go(world *w) {
  client *c = some_client(w);
  if (c->number && byte(w) & 1)
    ch_gateway_violated(w->gateway, c->number, CHAT_E_TOO_LARGE, w->now);
  else
    leave(w, c);
}

static void confirm(world *w) {
  client *c = some_client(w);
  say(w, c, &(ch_client_message){.tag = 1, .op = CH_CONFIRM_SESSION, .u.device_session = byte(w) % 4});
}

static void read_slowly_or_not(world *w) {
  client *c = some_client(w);
  c->is_slow = byte(w) & 1;
  if (!c->is_slow && c->number) read_one(w, c);
}

static void tick(world *w) {
  int count = 0;
  do {
    w->role.tick(w->role.self, w->now);
    run_backends(w);
    ch_assert(++count < TICKS_MAX);
  } while (w->role.deadline_ms(w->role.self) <= w->now.elapsed_ms);
}

static void pass_time(world *w) {
  uint64_t ms = STEP_MS * (uint64_t)byte(w);
  w->now.elapsed_ms += ms;
  w->now.wall_ms += ms;
  tick(w);
}

static void clock_jumps(world *w) {
  w->now.wall_ms = fuzz_number(w->input);
  tick(w);
}

static void answer_poll(world *w) {
  chat_op *op = ch_op_queue_pop(&w->polls);
  if (op) complete(w, op, byte(w));
}

static void answer_late(world *w) {
  chat_op *op = ch_op_queue_pop(&w->late);
  if (op) complete(w, op, byte(w));
}

/* The public API has looked at what the embedder sends (loop/server_requests.c). */
static ch_send as_checked(const ch_send *any) {
  ch_send send = *any;
  send.client_seq = send.prev = 0;
  send.retry = send.discard = 0;
  send.type = CHAT_TYPE_MESSAGE;
  if (send.payload.len > CHAT_BODY_MAX) send.payload.len = CHAT_BODY_MAX;
  if (!ch_user_id_valid(send.peer)) send.peer = (chat_bytes){0};
  return send;
}

static void embedder_asks(world *w) {
  ch_arena arena;
  ch_client_message message;
  uint8_t choice = byte(w);
  if (w->last_tag == TAGS_MAX) return;
  ch_request request = {.kind = CH_REQUEST_SEND + choice % 4,
                        .tag = ++w->last_tag,
                        .user = fuzz_user(w->input),
                        .system = choice >> 2 & 1,
                        .error = CHAT_E_REVOKED};
  if (choice & 8) fuzz_id(w->input, request.device_id);
  ch_arena_init(&arena, NULL, 4096, 16 << 20);
  fuzz_client_message(w->input, &arena, request.kind == CH_REQUEST_SEND ? CH_SEND : CH_RANGE, &message);
  if (request.kind == CH_REQUEST_SEND)
    request.send = as_checked(&message.u.send);
  else
    request.range = message.u.range;
  if (!ch_user_id_valid(request.user)) request.user = ch_bytes_text("ann");
  w->waits[request.tag] = ch_gateway_request(w->gateway, &request, w->now) == 0;
  ch_arena_fini(&arena);
}

static void drain(world *w) {
  if (byte(w) % 8 == 7) ch_gateway_drain(w->gateway, 1000, w->now);
}

static void (*const actions[])(world *w) = {
    say_something, say_something, say_something, say_bytes,   come,          go,    confirm,       read_slowly_or_not,
    pass_time,     clock_jumps,   answer_poll,   answer_late, embedder_asks, drain, say_something, come};

/* --- life --- */

static void read_replies(world *w) {
  ch_request_reply reply;
  while (ch_gateway_next_reply(w->gateway, &reply)) {
    ch_assert(reply.tag <= TAGS_MAX && w->waits[reply.tag]);
    w->waits[reply.tag] = false;
  }
}

static void begin(world *w) {
  static const ch_limits_config limits = {{{60, 20, 4}, {600, 20, 4}, {600, 20, 4}}};
  uint8_t choice = byte(w);
  ch_gateway_config config = fuzz_gateway_config();
  config.has_may = choice & 1;
  config.has_before_log = choice >> 1 & 1;
  config.store_derives_heads = choice >> 2 & 1;
  if (choice & 16) config.out_total_max = OUT_TOTAL_SMALL;
  w->out_total_max = config.out_total_max;
  w->env = (ch_env){.alloc = &w->memory.alloc, .random = fill_random, .random_arg = w};
  int error = choice & 8 ? ch_limits_new(&w->env, &limits, &w->limits) : 0;
  ch_assert(!error);
  if (w->limits) config.limiter = ch_limits_limiter(w->limits);
  error = ch_gateway_new(&w->env, &config, &w->gateway);
  ch_assert(!error);
  w->role = ch_gateway_role(w->gateway);
}

static void end(world *w) {
  for (size_t i = 0; i < CONNS; i++)
    leave(w, &w->clients[i]);
  fuzz_gateway_cancel(w->role, &w->polls, w->now);
  fuzz_gateway_cancel(w->role, &w->late, w->now);
  ch_gateway_free(w->gateway);
  ch_limits_free(w->limits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static world w;
  fuzz_input input = {data, len};
  memset(&w, 0, sizeof w);
  w.input = &input;
  w.now = (ch_now){1000, 1700000000000};
  w.epoch = 7;
  fuzz_memory_init(&w.memory, MEMORY_MAX);
  begin(&w);
  run_backends(&w);
  while (input.len > 0) {
    actions[byte(&w) % (sizeof actions / sizeof *actions)](&w);
    run_backends(&w);
    ch_assert(ch_gateway_get_stats(w.gateway)->out_held_len <= w.out_total_max);
    read_all(&w);
    read_replies(&w);
  }
  end(&w);
  fuzz_memory_end(&w.memory);
  return 0;
}
