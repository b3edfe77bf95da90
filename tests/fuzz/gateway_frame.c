/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of any bytes from two sessions to a gateway whose backends answer as the input says. Whatever comes: no record goes into the log that does not decode (it
 * would stop its partition), what the gateway says decodes, and all memory comes back.
 *
 * Input: actions of one byte, each followed by what it needs (see `actions`).
 */
#include <string.h>

#include "core/wire.h"
#include "fuzz/support/gateway.h"

enum { CONNS = 2, STEP_MS = 400 };

typedef struct world {
  ch_gateway *gateway;
  ch_role role;
  ch_now now;
  fuzz_input *input;
  ch_op_queue polls; /* stay outside to the end */
  uint64_t conns[CONNS], last_conn; /* numbers are not used again */
  uint64_t position;
  uint8_t random;
} world;

static void fill_random(void *arg, void *bytes, size_t len) {
  memset(bytes, ++((world *)arg)->random, len);
}

/* --- backends --- */

static void authenticate(ch_op_authenticate *op) {
  if (op->token.len == 0) return;
  op->user = chat_op_copy(&op->op, ch_bytes_of(op->token.data, op->token.len < 3 ? op->token.len : 3));
}

static void append(world *w, chat_log_append *op, uint8_t choice) {
  fuzz_gateway_writes(op);
  for (size_t i = 0; i < op->count; i++)
    if (choice % 8 != 7) op->records[i].position = ++w->position;
}

static void fill_state(chat_op *op, chat_state *state, chat_bytes user, uint8_t choice) {
  state->kind = choice % 4;
  state->head = 9;
  state->members = chat_op_alloc(op, sizeof *state->members);
  chat_interval *interval = chat_op_alloc(op, sizeof *interval);
  if (!state->members || !interval) return;
  *interval = (chat_interval){choice % 3, choice & 16 ? UINT64_MAX : 7};
  *state->members = (chat_member){.user = chat_op_copy(op, user), .role = (choice >> 2) % 4, .intervals = interval, .interval_count = 1};
  state->member_count_here = 1;
}

static void fill_result(world *w, chat_op *op, uint8_t choice) {
  void *whole = op;
  switch (op->kind) {
  case CH_OP_AUTHENTICATE: authenticate(whole); break;
  case CHAT_OP_LOG_APPEND: append(w, whole, choice); break;
  case CHAT_OP_STORE_STATE: {
    chat_store_state *state = whole;
    if (state->user_count) fill_state(op, &state->state, state->users[0], choice);
    break;
  }
  case CHAT_OP_STORE_RANGE: fill_state(op, &((chat_store_range *)whole)->state, ((chat_store_range *)whole)->user, choice); break;
  case CHAT_OP_STORE_MEMBERS:
    ((chat_store_members *)whole)->state.kind = choice % 4;
    ((chat_store_members *)whole)->self.role = (choice >> 2) % 4;
    break;
  default: break;
  }
}

/* A backend may fail or not know; it never gives a result then. */
static void complete(world *w, chat_op *op) {
  static const int statuses[] = {0, 0, 0, 0, 0, CHAT_E_AGAIN, CHAT_E_NOT_FOUND, CHAT_E_UNKNOWN};
  uint8_t choice = fuzz_byte(w->input);
  op->status = statuses[(choice >> 5) % 8];
  if (!op->status) fill_result(w, op, choice);
  w->role.complete(w->role.self, op, w->now);
}

static void run_backends(world *w) {
  for (chat_op *op = w->role.next_op(w->role.self); op; op = w->role.next_op(w->role.self)) {
    if (fuzz_gateway_is_poll(op))
      ch_op_queue_push(&w->polls, op);
    else
      complete(w, op);
  }
}

/* --- clients --- */

static void read_all(world *w) {
  for (uint64_t conn = ch_gateway_next_dirty(w->gateway); conn; conn = ch_gateway_next_dirty(w->gateway)) {
    bool close = false;
    for (chat_bytes frame = ch_gateway_peek(w->gateway, conn, &close); frame.len; frame = ch_gateway_peek(w->gateway, conn, &close)) {
      (void)fuzz_gateway_says(frame);
      ch_gateway_taken(w->gateway, conn, frame.len, w->now);
    }
    if (close) ch_gateway_closed(w->gateway, conn, w->now);
  }
}

static void say_hello(world *w, uint64_t conn, const char *user) {
  ch_client_message message = {.tag = 1, .op = CH_HELLO, .u.hello = {.version = 1, .token = ch_bytes_text(user)}};
  ch_buf out;
  ch_buf_init(&out, NULL, 1024);
  int error = ch_client_message_encode(&message, &out);
  ch_assert(!error);
  ch_gateway_frame(w->gateway, conn, ch_buf_bytes(&out), w->now);
  ch_buf_fini(&out);
}

/* --- actions --- */

static void frame_of_one(world *w) {
  ch_gateway_frame(w->gateway, w->conns[0], fuzz_piece(w->input), w->now);
}

static void frame_of_two(world *w) {
  ch_gateway_frame(w->gateway, w->conns[1], fuzz_piece(w->input), w->now);
}

/* One message, with its length put in front for it. */
static void message_of_one(world *w) {
  chat_bytes message = fuzz_piece(w->input);
  ch_buf out;
  ch_buf_init(&out, NULL, CHAT_FRAME_MAX);
  int error = ch_buf_put_varint(&out, message.len);
  if (!error) error = ch_buf_put(&out, message);
  if (!error) ch_gateway_frame(w->gateway, w->conns[0], ch_buf_bytes(&out), w->now);
  ch_buf_fini(&out);
}

static void pass_time(world *w) {
  w->now.elapsed_ms += STEP_MS * (uint64_t)fuzz_byte(w->input);
  w->now.wall_ms = w->now.elapsed_ms;
  w->role.tick(w->role.self, w->now);
}

static void come(world *w, size_t place) {
  w->conns[place] = ++w->last_conn;
  int error = ch_gateway_opened(w->gateway, w->conns[place], ch_bytes_text("192.0.2.1"), w->now);
  ch_assert(!error);
  say_hello(w, w->conns[place], place ? "bob" : "ann");
}

static void come_again(world *w) {
  size_t place = fuzz_byte(w->input) % CONNS;
  ch_gateway_closed(w->gateway, w->conns[place], w->now);
  come(w, place);
}

static void (*const actions[])(world *w) = {frame_of_one, message_of_one, frame_of_two, pass_time, come_again};

/* --- life --- */

static void begin(world *w) {
  ch_env env = {.random = fill_random, .random_arg = w};
  ch_gateway_config config = fuzz_gateway_config();
  config.has_may = fuzz_byte(w->input) & 1;
  config.has_before_log = fuzz_byte(w->input) & 1;
  int error = ch_gateway_new(&env, &config, &w->gateway);
  ch_assert(!error);
  w->role = ch_gateway_role(w->gateway);
  for (size_t place = 0; place < CONNS; place++) come(w, place);
}

static void end(world *w) {
  for (size_t place = 0; place < CONNS; place++) ch_gateway_closed(w->gateway, w->conns[place], w->now);
  fuzz_gateway_cancel(w->role, &w->polls, w->now);
  ch_gateway_free(w->gateway);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input input = {data, len};
  world w = {.input = &input, .now = {1000, 1000}};
  begin(&w);
  run_backends(&w);
  while (input.len > 0) {
    actions[fuzz_byte(&input) % (sizeof actions / sizeof *actions)](&w);
    run_backends(&w);
    read_all(&w);
  }
  end(&w);
  return 0;
}
