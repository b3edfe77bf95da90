/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* usleep, in store_example.h */
/*
 * Who asks × what is asked, as docs/protocol.md has it ("Session", "What a member may read", "Bad input"), over a store that is real and records what it is asked.
 *
 * Each opcode of core/wire.h has a row, and one without fails. A cell is what is answered; besides, what is not there and what is not for one must be answered in the same
 * bytes after the same calls, so that neither what is said nor how long it takes to find out tells them apart.
 */
#include "backend/store_mem.h"
#include "unit/backend/store_example.h"
#include "unit/server/gateway_peer.h"

enum { FIRST = 1, SECOND = 2, HEAD = 6, REMOVAL = 5, TAG = 77, TRACE_MAX = 2048, BYTES_MAX = 4096, EXPIRY_MS = 60000 };
enum { NOBODYS = 0xee }; /* a conversation, or a device, that does not exist */

typedef enum column { STRANGER, MEMBER, REMOVED, COLUMNS } column;

static const char *const users[COLUMNS] = {[STRANGER] = "eve", [MEMBER] = "alice", [REMOVED] = "bob"};

/* What is answered: a message, and in an Error or Answer its code. */
typedef struct cell {
  ch_server_op op;
  int code; /* CHAT_E_*; of an Answer without one its ch_answer_code */
} cell;

#define OK_ALL       {{CH_OK, 0}, {CH_OK, 0}, {CH_OK, 0}}
#define SAME(op)     {{op, 0}, {op, 0}, {op, 0}}
#define MEMBERS(op)  {{CH_ERROR, CHAT_E_NOT_FOUND}, {op, 0}, {CH_ERROR, CHAT_E_NOT_FOUND}}
#define FORMERS(op)  {{CH_ERROR, CHAT_E_NOT_FOUND}, {op, 0}, {op, 0}}
#define NOBODY       {{CH_ERROR, CHAT_E_NOT_FOUND}, {CH_ERROR, CHAT_E_NOT_FOUND}, {CH_ERROR, CHAT_E_NOT_FOUND}}

typedef struct row {
  const char *name;
  cell cells[COLUMNS];
  bool names_something; /* a conversation or a device, which may exist or not */
  bool differs;         /* a member is answered otherwise than a stranger: else looking alike would show nothing */
} row;

static const row rows[CH_CLIENT_OP_COUNT] = {
    [CH_HELLO] = {"Hello", {{CH_GOODBYE, CHAT_E_PROTOCOL}, {CH_GOODBYE, CHAT_E_PROTOCOL}, {CH_GOODBYE, CHAT_E_PROTOCOL}}, false, false}, /* a second one */
    [CH_CONFIRM_SESSION] = {"ConfirmSession", OK_ALL, false, false},
    [CH_RENEW_TOKEN] = {"RenewToken", OK_ALL, false, false},
    [CH_HEARTBEAT] = {"Heartbeat", SAME(CH_HEARTBEAT_REPLY), false, false},
    [CH_SEND] = {"Send", {{CH_ANSWER, CHAT_E_NOT_FOUND}, {CH_ANSWER, CH_ACCEPTED}, {CH_ANSWER, CHAT_E_NOT_FOUND}}, true, true},
    [CH_SYNC] = {"Sync", SAME(CH_SYNC_REPLY), false, false},
    [CH_RANGE] = {"Range", FORMERS(CH_RANGE_REPLY), true, true},
    [CH_RECEIPT] = {"Receipt", FORMERS(CH_OK), true, true},
    [CH_GET_RECEIPTS] = {"GetReceipts", SAME(CH_RECEIPTS), true, true},
    [CH_GET_MEMBERS] = {"GetMembers", MEMBERS(CH_MEMBERS_REPLY), true, true},
    [CH_SEARCH] = {"Search", SAME(CH_SEARCH_REPLY), true, true},
    [CH_WATCH] = {"Watch", MEMBERS(CH_PRESENCE), true, true},
    [CH_SET_TYPING] = {"SetTyping", MEMBERS(CH_OK), true, true},
    [CH_LIST_DEVICES] = {"ListDevices", SAME(CH_DEVICES_REPLY), false, false},
    [CH_REVOKE_DEVICE] = {"RevokeDevice", NOBODY, true, false}, /* alice's device is never theirs, and alice names one of eve's */
};

/* ------------------------------------------------------------------------------------------------ the backends, answering at once */

static char trace[TRACE_MAX]; /* the calls since it was cleared: kind, and whose */
static size_t asked;          /* calls of store and log among them */

static void note(uint32_t kind, uint32_t verb, chat_bytes user) {
  size_t len = strlen(trace);
  ck_assert_int_lt(snprintf(trace + len, sizeof trace - len, "%u.%u(%.*s) ", kind, verb, (int)user.len, user.len ? (const char *)user.data : ""), (int)(sizeof trace - len));
}

static bool is_store_op(const chat_op *op) {
  return op->kind >= CHAT_OP_STORE_APPLY && op->kind < CHAT_OP_DIRECTORY_RENEW;
}

static void note_store_op(chat_op *op) {
  void *any = op;
  switch (op->kind) {
  case CHAT_OP_STORE_STATE: note(op->kind, 0, ((chat_store_state *)any)->user_count ? ((chat_store_state *)any)->users[0] : (chat_bytes){0}); break;
  case CHAT_OP_STORE_RANGE: note(op->kind, 0, ((chat_store_range *)any)->user); break;
  case CHAT_OP_STORE_MEMBERS: note(op->kind, 0, ((chat_store_members *)any)->user); break;
  case CHAT_OP_STORE_SEARCH: note(op->kind, 0, ((chat_store_search *)any)->user); break;
  case CHAT_OP_STORE_DEVICE: note(op->kind, ((chat_store_device *)any)->verb, ((chat_store_device *)any)->user); break;
  default: note(op->kind, 0, (chat_bytes){0});
  }
}

static bool is_long_poll(const chat_op *op) {
  return op->kind == CHAT_OP_LINK_RECEIVE || op->kind == CHAT_OP_DIRECTORY_CHANGES;
}

static void authenticate(ch_op_authenticate *op) {
  op->user = chat_op_copy(&op->op, op->token);
  op->expires_ms = WALL_MS + EXPIRY_MS;
  give(op, ch_bytes_equal(op->token, text("foreign")) ? CHAT_E_AUTH : 0);
}

static void append(chat_log_append *op) {
  for (size_t i = 0; i < op->count; i++) op->records[i].position = i + 1;
  give(op, 0);
}

static void answer_op(chat_op *op) {
  void *any = op;
  if (op->kind == CH_OP_AUTHENTICATE) {
    authenticate(any);
  } else if (is_store_op(op)) {
    note_store_op(op);
    asked++;
    give(op, bench_do(&bench, op));
  } else {
    note(op->kind, 0, (chat_bytes){0});
    asked += op->kind == CHAT_OP_LOG_APPEND;
    if (op->kind == CHAT_OP_LOG_APPEND)
      append(any);
    else
      give(op, 0);
  }
}

/* Until nothing but long polls is under way. */
static void serve_now(void) {
  ch_op_queue polls = {0};
  pull();
  for (chat_op *op = ch_op_queue_pop(&outside); op; op = ch_op_queue_pop(&outside)) {
    if (is_long_poll(op))
      ch_op_queue_push(&polls, op);
    else
      answer_op(op);
    pull();
  }
  outside = polls;
}

/* And what is collected for some time before it goes out. */
static void serve(void) {
  serve_now();
  pass_time(config.receipt_ms + 50);
  serve_now();
}

/* ------------------------------------------------------------------------------------------------ the world: alice and, until his removal, bob */

static uint8_t real_device[16];

static void say_hello(uint64_t conn, const char *token, const uint8_t *device) {
  ch_client_message message = {.tag = 9, .op = CH_HELLO};
  message.u.hello = (ch_hello){.version = 1, .token = text(token), .client = text("test"), .has_device = device != NULL};
  if (device) memcpy(message.u.hello.device_id, device, 16);
  say(conn, &message);
}

static const ch_welcome *logs_in(uint64_t conn, const char *user) {
  opens(conn);
  say_hello(conn, user, NULL);
  serve_now();
  return &hears(conn, CH_WELCOME)->u.welcome;
}

static void world_begin(column who) {
  chat_backend store;
  ck_assert_int_eq(ch_store_mem_new(&(ch_store_mem_config){.derives_heads = 1}, &store), 0);
  bench_open(&bench, store);
  put(CONVERSATION_A, 1, REMOVAL - 1);
  remove_bob(CONVERSATION_A, REMOVAL);
  chat_store_apply *after = apply_of(CONVERSATION_A, HEAD, HEAD);
  after->states[0].member_count_here = 1; /* bob's cell stays as it is */
  after->states[0].member_count = 1;
  ck_assert_int_eq(apply_now(after), 0);
  gateway_config_default();
  config.store_derives_heads = 1;
  gateway_begin();
  /* The device that others name: alice's, and for alice herself eve's. */
  memcpy(real_device, logs_in(SECOND, users[who == MEMBER ? STRANGER : MEMBER])->device_id, 16);
  logs_in(FIRST, users[who]);
  trace[0] = '\0';
}

static void world_end(void) {
  gateway_end();
  memset(inbox, 0, sizeof inbox);
  bench_close(&bench);
}

/* ------------------------------------------------------------------------------------------------ requests */

static chat_bytes payload_of_hi(void) {
  static uint8_t bytes[64];
  ch_buf buf;
  ch_buf_init(&buf, NULL, sizeof bytes);
  ck_assert_int_eq(ch_content_encode(&(ch_content){.type = CHAT_TYPE_MESSAGE, .body = text("hi")}, &buf), 0);
  memcpy(bytes, buf.data, buf.len);
  chat_bytes payload = ch_bytes_of(bytes, buf.len);
  ch_buf_fini(&buf);
  return payload;
}

/* Flags of a Send; other opcodes ignore them. */
enum { FIRST_TRY = 0, RETRY = 1, DISCARD = 2, FLAVOURS = 3 };

static ch_client_message request_of(ch_client_op op, column who, const uint8_t id[16], int flavour) {
  ch_client_message message = {.tag = TAG, .op = op};
  static uint8_t ids[1][16];
  memcpy(ids[0], id, 16);
  switch (op) {
  case CH_CONFIRM_SESSION: message.u.device_session = 1; break;
  case CH_HELLO: message.u.hello = (ch_hello){.version = 1, .token = text(users[who])}; break;
  case CH_RENEW_TOKEN: message.u.token = text(users[who]); break;
  case CH_SEND:
    message.u.send = (ch_send){.client_seq = 1, .retry = flavour != FIRST_TRY, .discard = flavour == DISCARD, .type = CHAT_TYPE_MESSAGE, .payload = payload_of_hi()};
    memcpy(message.u.send.conversation_id, id, 16);
    memset(message.u.send.client_id, 0x70, 16);
    break;
  case CH_RANGE:
    message.u.range = (ch_range){.limit = 200, .high = HEAD};
    memcpy(message.u.range.conversation_id, id, 16);
    break;
  case CH_RECEIPT:
    message.u.receipt = (ch_receipt){.delivered = 1, .read = 1};
    memcpy(message.u.receipt.conversation_id, id, 16);
    break;
  case CH_GET_RECEIPTS: message.u.get_receipts = (ch_get_receipts){(const uint8_t(*)[16])ids, 1}; break;
  case CH_GET_MEMBERS:
    message.u.get_members.limit = 256;
    memcpy(message.u.get_members.conversation_id, id, 16);
    break;
  case CH_SEARCH:
    message.u.search = (ch_search){.query = text("number*"), .limit = 20};
    memcpy(message.u.search.conversation_id, id, 16);
    break;
  case CH_WATCH:
  case CH_SET_TYPING:
    message.u.watch.flag = op == CH_SET_TYPING;
    memcpy(message.u.watch.conversation_id, id, 16);
    break;
  case CH_REVOKE_DEVICE: memcpy(message.u.device_id, id, 16); break;
  default: break; /* names nothing */
  }
  return message;
}

/* The conversation or device of others that this opcode would name. */
static void real_id(ch_client_op op, uint8_t id[16]) {
  if (op == CH_REVOKE_DEVICE)
    memcpy(id, real_device, 16);
  else
    id_of(id, CONVERSATION_A);
}

static void ask(ch_client_op op, column who, const uint8_t id[16], int flavour) {
  ch_client_message message = request_of(op, who, id, flavour);
  say(FIRST, &message);
  serve();
}

static int code_of(const ch_server_message *message) {
  switch (message->op) {
  case CH_ERROR: return message->u.error.code;
  case CH_GOODBYE: return message->u.goodbye.code;
  case CH_ANSWER: return message->u.answer.code == CH_REFUSED ? message->u.answer.error : (int)message->u.answer.code;
  default: return 0;
  }
}

/* ------------------------------------------------------------------------------------------------ the cells */

START_TEST(every_opcode_has_a_row) {
  ck_assert_uint_eq(sizeof rows / sizeof *rows, CH_CLIENT_OP_COUNT);
  for (int op = CH_HELLO; op < CH_CLIENT_OP_COUNT; op++) ck_assert_msg(rows[op].name != NULL, "opcode %d has no row", op);
}
END_TEST

START_TEST(what_each_is_answered) {
  ch_client_op op = (ch_client_op)(CH_HELLO + _i / COLUMNS);
  column who = (column)(_i % COLUMNS);
  uint8_t id[16];
  world_begin(who);
  real_id(op, id);
  ask(op, who, id, FIRST_TRY);
  const ch_server_message *heard = hear(FIRST);
  const cell *expected = &rows[op].cells[who];
  ck_assert_msg(heard != NULL, "%s of %s has no answer", rows[op].name, users[who]);
  ck_assert_msg(heard->op == expected->op && code_of(heard) == expected->code, "%s of %s: %d, %d, not %d, %d", rows[op].name, users[who], (int)heard->op, code_of(heard),
                (int)expected->op, expected->code);
  world_end();
}
END_TEST

/* A former member reads up to its removal and not beyond, by whatever opcode gives rows. */
START_TEST(a_former_member_reads_up_to_its_removal) {
  uint8_t id[16];
  world_begin(REMOVED);
  real_id(CH_RANGE, id);
  ask(CH_RANGE, REMOVED, id, FIRST_TRY);
  const ch_range_reply *range_reply = &hears(FIRST, CH_RANGE_REPLY)->u.range_reply;
  ck_assert_uint_eq(range_reply->head, REMOVAL);
  ck_assert_uint_eq(range_reply->event_count, REMOVAL);
  ask(CH_SEARCH, REMOVED, id, FIRST_TRY);
  const ch_search_reply *search_reply = &hears(FIRST, CH_SEARCH_REPLY)->u.search_reply;
  ck_assert_uint_gt(search_reply->event_count, 0);
  for (size_t i = 0; i < search_reply->event_count; i++) ck_assert_uint_le(search_reply->events[i].seq, REMOVAL);
  ask(CH_SYNC, REMOVED, id, FIRST_TRY);
  const ch_sync_reply *sync_reply = &hears(FIRST, CH_SYNC_REPLY)->u.sync_reply;
  ck_assert_uint_eq(sync_reply->head_count, 1);
  ck_assert_uint_eq(sync_reply->heads[0].head, REMOVAL);
  ck_assert_uint_eq(sync_reply->heads[0].role, CHAT_ROLE_NONE);
  world_end();
}
END_TEST

/* ------------------------------------------------------------------------------------------------ no session: nothing is asked of any backend, and one word at most is said */

static void opens_alone(void) {
  opens(FIRST);
}

static void hello_is_not_answered_yet(void) {
  opens(FIRST);
  say_hello(FIRST, users[MEMBER], NULL);
  pull();
}

static void foreign_token(void) {
  opens(FIRST);
  say_hello(FIRST, "foreign", NULL);
  serve_now();
  hears_error(FIRST, 9, CHAT_E_AUTH);
}

static void another_s_device(void) {
  uint8_t device[16];
  memcpy(device, logs_in(SECOND, users[MEMBER])->device_id, 16);
  opens(FIRST);
  say_hello(FIRST, users[STRANGER], device);
  serve_now();
  hears_error(FIRST, 9, CHAT_E_AUTH);
}

static void nobody_s_device(void) {
  uint8_t device[16];
  opens(FIRST);
  say_hello(FIRST, users[STRANGER], id_of(device, NOBODYS));
  serve_now();
  hears_error(FIRST, 9, CHAT_E_AUTH);
}

static void expired_token(void) {
  logs_in(FIRST, users[MEMBER]);
  for (int i = 0; i < 3 * EXPIRY_MS / 20000; i++) { /* heartbeats do not prolong it */
    if (!is_closing(FIRST)) say(FIRST, &(ch_client_message){.tag = 1, .op = CH_HEARTBEAT});
    pass_time(20000);
    serve_now();
  }
  const ch_server_message *last = NULL, *heard;
  while ((heard = hear(FIRST))) last = heard;
  ck_assert(last && last->op == CH_GOODBYE);
  ck_assert_int_eq(last->u.goodbye.code, CHAT_E_EXPIRED);
}

static void revoked_device(void) {
  uint8_t device[16];
  memcpy(device, logs_in(FIRST, users[MEMBER])->device_id, 16);
  logs_in(SECOND, users[MEMBER]);
  ch_client_message message = {.tag = 1, .op = CH_REVOKE_DEVICE};
  memcpy(message.u.device_id, device, 16);
  say(SECOND, &message);
  serve_now();
  hears_goodbye(FIRST, CHAT_E_REVOKED);
}

static void newer_session_of_the_device(void) {
  uint8_t device[16];
  memcpy(device, logs_in(FIRST, users[MEMBER])->device_id, 16);
  opens(SECOND);
  ch_client_message message = {.tag = 9, .op = CH_HELLO};
  message.u.hello = (ch_hello){.version = 1, .token = text(users[MEMBER]), .has_device = 1, .device_session = 1};
  memcpy(message.u.hello.device_id, device, 16);
  say(SECOND, &message);
  serve_now();
  hears(SECOND, CH_WELCOME);
  hears_goodbye(FIRST, CHAT_E_REPLACED);
}

typedef struct outsider {
  const char *name;
  void (*begin)(void);
  bool is_told; /* Goodbye(PROTOCOL); else it was sent away before, and hears nothing any more */
} outsider;

static const outsider outsiders[] = {
    {"a connection without Hello", opens_alone, true},
    {"a Hello that is not answered", hello_is_not_answered_yet, true},
    {"a foreign token", foreign_token, false},
    {"the device of another", another_s_device, false},
    {"the device of nobody", nobody_s_device, false},
    {"a token that has ended", expired_token, false},
    {"a device that was revoked", revoked_device, false},
    {"a device with a newer session", newer_session_of_the_device, false},
};

enum { OUTSIDERS = sizeof outsiders / sizeof *outsiders };

START_TEST(outside_of_a_session_nothing_is_done) {
  const outsider *from = &outsiders[_i];
  for (ch_client_op op = CH_HELLO; op < CH_CLIENT_OP_COUNT; op++) {
    if (op == CH_HELLO && from->begin == opens_alone) continue; /* that is how a session begins */
    uint8_t id[16];
    world_begin(STRANGER); /* for the store; its connections leave */
    leaves(FIRST);
    leaves(SECOND);
    serve_now();
    from->begin();
    trace[0] = '\0';
    asked = 0;
    real_id(op, id);
    ch_client_message message = request_of(op, MEMBER, id, FIRST_TRY);
    say(FIRST, &message);
    const ch_server_message *heard = hear(FIRST);
    if (from->is_told)
      ck_assert_msg(heard && heard->op == CH_GOODBYE && heard->u.goodbye.code == CHAT_E_PROTOCOL, "%s, %s", from->name, rows[op].name);
    else
      ck_assert_msg(heard == NULL, "%s, %s: heard %d", from->name, rows[op].name, heard ? (int)heard->op : 0);
    ck_assert_msg(is_closing(FIRST), "%s, %s", from->name, rows[op].name);
    serve();
    size_t of_login = from->begin == hello_is_not_answered_yet ? 1 : 0; /* its device may be registered still */
    ck_assert_msg(asked <= of_login, "%s, %s: %s", from->name, rows[op].name, trace);
    hears_nothing(FIRST);
    world_end();
  }
}
END_TEST

/* ------------------------------------------------------------------------------------------------ not there, and not for you */

/* What the client is sent, with the id that it named taken out. */
static size_t heard_bytes(const uint8_t id[16], uint8_t bytes[BYTES_MAX]) {
  write_all();
  size_t len = inbox[FIRST].bytes.len;
  ck_assert_uint_gt(len, 0);
  ck_assert_uint_le(len, BYTES_MAX);
  memcpy(bytes, inbox[FIRST].bytes.data, len);
  inbox[FIRST].bytes = (chat_bytes){0};
  for (size_t i = 0; i + 16 <= len; i++)
    if (memcmp(bytes + i, id, 16) == 0) memset(bytes + i, 0, 16);
  return len;
}

typedef struct seen {
  char calls[TRACE_MAX];
  uint8_t bytes[BYTES_MAX];
  size_t len;
} seen;

static void look(ch_client_op op, column who, bool is_real, int flavour, seen *what) {
  uint8_t id[16];
  world_begin(who);
  if (is_real)
    real_id(op, id);
  else
    id_of(id, NOBODYS);
  ask(op, who, id, flavour);
  memcpy(what->calls, trace, sizeof trace);
  bool is_silent = op == CH_SEND && flavour != FIRST_TRY; /* the sequencer answers a void */
  what->len = is_silent ? 0 : heard_bytes(id, what->bytes);
  if (is_silent) hears_nothing(FIRST);
  world_end();
}

START_TEST(what_is_not_there_and_what_is_not_for_one_are_the_same_calls_and_bytes) {
  ch_client_op op = (ch_client_op)_i;
  static seen real, invented, member;
  if (!rows[op].names_something) return;
  for (int flavour = 0; flavour < (op == CH_SEND ? FLAVOURS : 1); flavour++) {
    look(op, STRANGER, true, flavour, &real);
    look(op, STRANGER, false, flavour, &invented);
    ck_assert_msg(strcmp(real.calls, invented.calls) == 0, "%s: %s is not %s", rows[op].name, real.calls, invented.calls);
    ck_assert_uint_eq(real.len, invented.len);
    ck_assert_mem_eq(real.bytes, invented.bytes, real.len);
    bool is_asked = op != CH_SEND || flavour != DISCARD; /* C8: a void needs no check */
    ck_assert_msg(!is_asked || strstr(real.calls, "(eve)"), "%s asks nothing for eve: %s", rows[op].name, real.calls);
    if (!rows[op].differs || flavour) continue;
    look(op, MEMBER, true, flavour, &member);
    ck_assert_msg(member.len != real.len || memcmp(member.bytes, real.bytes, real.len) != 0, "%s: a member is told no more", rows[op].name);
  }
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("gateway_matrix");
  TCase *t = tcase_create("gateway_matrix");
  tcase_add_test(t, every_opcode_has_a_row);
  tcase_add_loop_test(t, what_each_is_answered, 0, (CH_CLIENT_OP_COUNT - CH_HELLO) * COLUMNS);
  tcase_add_test(t, a_former_member_reads_up_to_its_removal);
  tcase_add_loop_test(t, outside_of_a_session_nothing_is_done, 0, OUTSIDERS);
  tcase_add_loop_test(t, what_is_not_there_and_what_is_not_for_one_are_the_same_calls_and_bytes, CH_HELLO, CH_CLIENT_OP_COUNT);
  suite_add_tcase(s, t);
  return s;
}

int main(void) {
  SRunner *runner = srunner_create(suite());
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
