/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "contract/store_random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/store_mem.h"
#include "backend/store_sqlite/store_sqlite.h"
#include "unit/backend/store_example.h"

enum { CONVERSATIONS = 5, USERS = 5, DEVICES = 2, BATCH_MAX = 6, STEPS = 400, SEEDS = 12, REPLAYS = 16, EVERY_ROW = 100000 };

static const char *const names[USERS] = {"ann", "anna", "bo", "Zoe", "\xc3\xa9mile"};
static const uint32_t kinds[CONVERSATIONS] = {CHAT_GROUP, CHAT_GROUP, CHAT_DIRECT, CHAT_GROUP, CHAT_CHANNEL};
static const char *const words[] = {"apple", "apricot", "Pear", "plum", "fig", "figs"};
enum { WORDS = sizeof words / sizeof *words };

/* ------------------------------------------------------------------------------------------------ the seed */

static uint64_t seed, random_state;

static uint64_t draw(uint64_t below) {
  uint64_t z = random_state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return (z ^ z >> 31) % below;
}

static bool chance(uint64_t percent) {
  return draw(100) < percent;
}

/* ------------------------------------------------------------------------------------------------ what a sequencer would fold */

typedef struct member {
  uint32_t role;
  uint64_t position;
  size_t interval_count;
  chat_interval intervals[CHAT_MEMBER_INTERVALS_MAX];
} member;

typedef struct conversation {
  uint32_t kind;
  uint64_t head, msg_no, message_id, position, present, active_ms;
  char title[16];
  member members[USERS];
  uint64_t last[USERS][DEVICES];
} conversation;

static conversation conversations[CONVERSATIONS];
static uint64_t position_now; /* of the newest record */

/* A batch while it is folded. */
typedef struct batch {
  chat_store_apply *apply;
  bool touched[CONVERSATIONS];
  bool members[CONVERSATIONS][USERS], senders[CONVERSATIONS][USERS][DEVICES];
  uint64_t sender_positions[CONVERSATIONS][USERS][DEVICES];
} batch;

static uint64_t time_of(uint64_t at) {
  return 1000 + at / 2;
}

static void add_row(batch *b, int c, int user, uint32_t type, const char *body) {
  conversation *conv = &conversations[c];
  chat_row *row = &b->apply->rows[b->apply->row_count++];
  conv->head++;
  conv->msg_no += type == CHAT_TYPE_MESSAGE;
  conv->message_id = position_now / 3 > conv->message_id ? position_now / 3 : conv->message_id + 1; /* conversations share some */
  conv->active_ms = time_of(position_now);
  *row = (chat_row){.seq = conv->head, .msg_no = conv->msg_no, .message_id = conv->message_id, .created_ms = conv->active_ms, .client_seq = position_now, .type = type};
  id_of(row->conversation_id, (uint8_t)(c + 1));
  row->sender = text(names[user]);
  row->payload = type == CHAT_TYPE_MESSAGE ? message(&b->apply->op, body) : text("raw");
}

static void join(batch *b, int c, int user) {
  conversation *conv = &conversations[c];
  member *m = &conv->members[user];
  if (m->role != CHAT_ROLE_NONE || m->interval_count == CHAT_MEMBER_INTERVALS_MAX) return;
  m->intervals[m->interval_count++] = (chat_interval){conv->head, UINT64_MAX};
  m->role = CHAT_ROLE_MEMBER;
  m->position = position_now;
  conv->present++;
  b->members[c][user] = true;
  add_row(b, c, user, CHAT_TYPE_MESSAGE + 1, NULL);
}

static void leave(batch *b, int c, int user) {
  conversation *conv = &conversations[c];
  member *m = &conv->members[user];
  if (m->role == CHAT_ROLE_NONE) return;
  add_row(b, c, user, CHAT_TYPE_MESSAGE + 1, NULL);
  m->intervals[m->interval_count - 1].left = conv->head;
  m->role = CHAT_ROLE_NONE;
  m->position = position_now;
  conv->present--;
  b->members[c][user] = true;
}

static void say(batch *b, int c, int user) {
  char body[64];
  if (conversations[c].members[user].role == CHAT_ROLE_NONE) return; /* refused: its number is used up all the same */
  snprintf(body, sizeof body, "%s, %s!", words[draw(WORDS)], words[draw(WORDS)]);
  add_row(b, c, user, CHAT_TYPE_MESSAGE, body);
}

static void fold_record(batch *b) {
  int c = (int)draw(CONVERSATIONS), user = (int)draw(USERS), device = (int)draw(DEVICES);
  conversation *conv = &conversations[c];
  position_now++;
  if (conv->kind == 0 && chance(70)) {
    conv->kind = kinds[c];
    join(b, c, user);
  } else if (conv->kind != 0) {
    uint64_t what = draw(10);
    if (what == 0) leave(b, c, user);
    else if (what < 3) join(b, c, user);
    else if (what == 3) snprintf(conv->title, sizeof conv->title, "title %u", (unsigned)draw(100));
    else say(b, c, user);
  }
  conv->last[user][device]++;
  conv->position = position_now;
  b->touched[c] = b->senders[c][user][device] = true;
  b->sender_positions[c][user][device] = position_now;
}

static void put_cells(batch *b, int c) {
  const conversation *conv = &conversations[c];
  chat_op *op = &b->apply->op;
  chat_state *state = &b->apply->states[b->apply->state_count++];
  *state = (chat_state){.kind = conv->kind, .head = conv->head, .msg_no = conv->msg_no, .message_id = conv->message_id, .position = conv->position,
                        .member_count = conv->present, .active_ms = conv->active_ms};
  id_of(state->conversation_id, (uint8_t)(c + 1));
  state->title = chat_op_copy(op, text(conv->title));
  state->members = chat_op_alloc(op, USERS * sizeof *state->members);
  state->senders = chat_op_alloc(op, USERS * DEVICES * sizeof *state->senders);
  for (int u = 0; u < USERS; u++) {
    if (b->members[c][u]) {
      member *copy = chat_op_alloc(op, sizeof *copy);
      *copy = conv->members[u];
      state->members[state->member_count_here++] =
          (chat_member){.user = text(names[u]), .role = copy->role, .position = copy->position, .intervals = copy->intervals, .interval_count = copy->interval_count};
    }
    for (int d = 0; d < DEVICES; d++)
      if (b->senders[c][u][d])
        state->senders[state->sender_count++] = (chat_sender){.user = text(names[u]), .device_id = {(uint8_t)d}, .last = conv->last[u][d], .position = b->sender_positions[c][u][d]};
  }
}

static chat_store_apply *random_apply(void) {
  batch b = {.apply = ch_op_new(NULL, CHAT_OP_STORE_APPLY, sizeof(chat_store_apply))};
  b.apply->rows = chat_op_alloc(&b.apply->op, BATCH_MAX * sizeof *b.apply->rows);
  b.apply->states = chat_op_alloc(&b.apply->op, CONVERSATIONS * sizeof *b.apply->states);
  for (uint64_t i = 1 + draw(BATCH_MAX); i > 0; i--)
    fold_record(&b);
  for (int c = 0; c < CONVERSATIONS; c++)
    if (b.touched[c]) put_cells(&b, c);
  b.apply->position = position_now;
  memset(b.apply->log_identity, (int)draw(256), sizeof b.apply->log_identity);
  return b.apply;
}

/* ------------------------------------------------------------------------------------------------ answers as text */

static void say_bytes(ch_buf *out, chat_bytes bytes) {
  ch_buf_printf(out, "\"%.*s\"", (int)bytes.len, bytes.data ? (const char *)bytes.data : "");
}

static void say_row(ch_buf *out, const chat_row *row) {
  ch_buf_printf(out, "\n  row %u/%" PRIu64 " msg_no %" PRIu64 " id %" PRIu64 " at %" PRIu64 " nr %" PRIu64 " type %u ", row->conversation_id[0], row->seq, row->msg_no, row->message_id,
                row->created_ms, row->client_seq, row->type);
  say_bytes(out, row->sender);
  say_bytes(out, row->payload);
}

static void say_position(ch_buf *out, const chat_store_position *p) {
  ch_buf_printf(out, " %" PRIu64 " of ", p->position);
  for (size_t i = 0; i < sizeof p->log_identity; i++)
    ch_buf_printf(out, "%02x", p->log_identity[i]);
}

static void say_member(ch_buf *out, const chat_member *m) {
  ch_buf_put_text(out, "\n  member ");
  say_bytes(out, m->user);
  ch_buf_printf(out, " role %u at %" PRIu64 " marks %" PRIu64 " %" PRIu64, m->role, m->position, m->delivered, m->read);
  for (size_t i = 0; i < m->interval_count; i++)
    ch_buf_printf(out, " (%" PRIu64 ", %" PRIu64 "]", m->intervals[i].joined, m->intervals[i].left);
}

static int by_user_and_device(const void *left, const void *right) {
  const chat_sender *a = left, *b = right;
  size_t len = a->user.len < b->user.len ? a->user.len : b->user.len;
  int order = memcmp(a->user.data, b->user.data, len);
  if (order) return order;
  if (a->user.len != b->user.len) return a->user.len < b->user.len ? -1 : 1;
  return memcmp(a->device_id, b->device_id, sizeof a->device_id);
}

/* Senders are in no order of their own. */
static void say_state(ch_buf *out, const chat_state *s) {
  ch_buf_printf(out, " state %u kind %u head %" PRIu64 " msg_no %" PRIu64 " id %" PRIu64 " at %" PRIu64 " members %" PRIu64 " active %" PRIu64 " ", s->conversation_id[0], s->kind, s->head,
                s->msg_no, s->message_id, s->position, s->member_count, s->active_ms);
  say_bytes(out, s->title);
  for (size_t i = 0; i < s->member_count_here; i++)
    say_member(out, &s->members[i]);
  if (s->sender_count > 1) qsort(s->senders, s->sender_count, sizeof *s->senders, by_user_and_device);
  for (size_t i = 0; i < s->sender_count; i++) {
    ch_buf_put_text(out, "\n  sender ");
    say_bytes(out, s->senders[i].user);
    ch_buf_printf(out, "/%u last %" PRIu64 " at %" PRIu64 " retired %u", s->senders[i].device_id[0], s->senders[i].last, s->senders[i].position, s->senders[i].retired);
  }
}

static void say_heads(ch_buf *out, const chat_store_heads *ask) {
  ch_buf_printf(out, " position %" PRIu64 " more %u", ask->position, ask->more);
  for (size_t i = 0; i < ask->head_count; i++) {
    const chat_head *h = &ask->heads[i];
    ch_buf_printf(out, "\n  head %u kind %u role %u head %" PRIu64 " msg_no %" PRIu64 " at %" PRIu64 " active %" PRIu64 " first %" PRIu64 " marks %" PRIu64 " %" PRIu64 " ",
                  h->conversation_id[0], h->kind, h->role, h->head, h->msg_no, h->position, h->active_ms, h->first, h->delivered, h->read);
    say_bytes(out, h->title);
  }
}

static void say_range(ch_buf *out, const chat_store_range *range) {
  ch_buf_printf(out, " horizon %" PRIu64, range->horizon);
  say_state(out, &range->state);
  for (size_t i = 0; i < range->row_count; i++)
    say_row(out, &range->rows[i]);
}

static void say_members(ch_buf *out, const chat_store_members *page) {
  ch_buf_printf(out, " more %u", page->more);
  say_state(out, &page->state);
  say_member(out, &page->self);
  for (size_t i = 0; i < page->member_count; i++)
    say_member(out, &page->members[i]);
}

static void say_search(ch_buf *out, const chat_store_search *ask) {
  ch_buf_printf(out, " more %u", ask->more);
  for (size_t i = 0; i < ask->row_count; i++)
    say_row(out, &ask->rows[i]);
}

static void say_device(ch_buf *out, const chat_device *device) {
  ch_buf_printf(out, "\n  device %u session %" PRIu64 " %" PRIu64 " times %" PRIu64 " %" PRIu64 " revoked %u ", device->device_id[0], device->session, device->session_next, device->created_ms,
                device->seen_ms, device->revoked);
  say_bytes(out, device->name);
}

static void say_marks(ch_buf *out, const chat_store_watermarks *marks) {
  for (size_t i = 0; i < marks->count; i++)
    ch_buf_printf(out, " %" PRIu64 "/%" PRIu64, marks->marks[i].delivered, marks->marks[i].read);
}

static void say_answer(ch_buf *out, const chat_op *op) {
  ch_buf_printf(out, "op %u status %d", op->kind, op->status);
  bool has_device = op->kind == CHAT_OP_STORE_DEVICE && (op->status == 0 || op->status == CHAT_E_CONFLICT);
  if (has_device) say_device(out, &((const chat_store_device *)op)->device);
  if (op->status) return;
  switch (op->kind) {
  case CHAT_OP_STORE_STATE: say_state(out, &((const chat_store_state *)op)->state); break;
  case CHAT_OP_STORE_RANGE: say_range(out, (const chat_store_range *)op); break;
  case CHAT_OP_STORE_HEADS: say_heads(out, (const chat_store_heads *)op); break;
  case CHAT_OP_STORE_POSITION: say_position(out, (const chat_store_position *)op); break;
  case CHAT_OP_STORE_WATERMARKS: say_marks(out, (const chat_store_watermarks *)op); break;
  case CHAT_OP_STORE_MEMBERS: say_members(out, (const chat_store_members *)op); break;
  case CHAT_OP_STORE_SEARCH: say_search(out, (const chat_store_search *)op); break;
  case CHAT_OP_STORE_PRUNE: ch_buf_printf(out, " %" PRIu64, ((const chat_store_prune *)op)->pruned); break;
  case CHAT_OP_STORE_DEVICES:
    for (size_t i = 0; i < ((const chat_store_devices *)op)->count; i++)
      say_device(out, &((const chat_store_devices *)op)->devices[i]);
    break;
  default: break;
  }
}

/* ------------------------------------------------------------------------------------------------ both */

static bench_port mem, sqlite;
static int step;

/* The same request with results of its own. */
static void *twin_of(const chat_op *op, size_t len) {
  chat_op *twin = ch_op_new(NULL, op->kind, len);
  memcpy((char *)twin + sizeof *twin, (const char *)op + sizeof *op, len - sizeof *op);
  if (op->kind != CHAT_OP_STORE_WATERMARKS) return twin;
  chat_store_watermarks *marks = (chat_store_watermarks *)twin;
  marks->marks = chat_op_alloc(twin, marks->count * sizeof *marks->marks);
  memcpy(marks->marks, ((const chat_store_watermarks *)op)->marks, marks->count * sizeof *marks->marks);
  return twin;
}

static void ask_both(chat_op *op, size_t len) {
  ch_buf of_mem, of_sqlite;
  chat_op *twin = twin_of(op, len), *other = twin_of(op, len);
  ch_buf_init(&of_mem, NULL, 1 << 20);
  ch_buf_init(&of_sqlite, NULL, 1 << 20);
  bench_do(&mem, twin);
  bench_do(&sqlite, other);
  say_answer(&of_mem, twin);
  say_answer(&of_sqlite, other);
  bool equal = of_mem.len == of_sqlite.len && memcmp(of_mem.data, of_sqlite.data, of_mem.len) == 0;
  ck_assert_msg(equal, "seed %" PRIu64 ", step %d\nmem: %.*s\nsqlite: %.*s", seed, step, (int)of_mem.len, (const char *)of_mem.data, (int)of_sqlite.len, (const char *)of_sqlite.data);
  ch_buf_fini(&of_mem);
  ch_buf_fini(&of_sqlite);
  ch_op_free(twin);
  ch_op_free(other);
}

/* The op is asked of both and freed. */
#define ASK(asked) (ask_both(&(asked)->op, sizeof *(asked)), ch_op_free(&(asked)->op))

static chat_bytes some_user(void) {
  return text(chance(5) ? "stranger" : names[draw(USERS)]);
}

static void some_conversation(uint8_t id[16]) {
  id_of(id, (uint8_t)(1 + draw(CONVERSATIONS + 1)));
}

/* ------------------------------------------------------------------------------------------------ writes */

static chat_store_apply *replays[REPLAYS];

static void do_apply(void) {
  chat_store_apply *apply = random_apply();
  ask_both(&apply->op, sizeof *apply);
  chat_store_apply **place = &replays[draw(REPLAYS)];
  if (*place) ch_op_free(&(*place)->op);
  *place = apply;
}

/* A replay, or a zombie's late write: of the near past or the far. */
static void do_replay(void) {
  chat_store_apply *apply = replays[draw(REPLAYS)];
  if (apply) ask_both(&apply->op, sizeof *apply);
}

static void do_watermarks(void) {
  chat_store_watermarks *marks = ch_op_new(NULL, CHAT_OP_STORE_WATERMARKS, sizeof *marks);
  marks->count = draw(4);
  marks->marks = chat_op_alloc(&marks->op, 4 * sizeof *marks->marks);
  for (size_t i = 0; i < marks->count; i++) {
    marks->marks[i] = (chat_watermark){.user = some_user(), .delivered = draw(100), .read = draw(100)};
    some_conversation(marks->marks[i].conversation_id);
  }
  ASK(marks);
}

static void do_device(void) {
  chat_store_device *ask = ch_op_new(NULL, CHAT_OP_STORE_DEVICE, sizeof *ask);
  ask->verb = (uint32_t)draw(20) == 0 ? 7 : chance(80) ? CHAT_DEVICE_PUT : CHAT_DEVICE_GET;
  ask->user = some_user();
  ask->device = (chat_device){.name = text(words[draw(WORDS)]), .session = draw(3), .session_next = draw(3), .created_ms = draw(9), .seen_ms = draw(9), .revoked = chance(20)};
  id_of(ask->device.device_id, (uint8_t)draw(4));
  ask->expect_session = draw(3);
  ask->expect_session_next = draw(3);
  if (chance(30)) ask->expect_session = ask->expect_session_next = 0;
  ask->devices_max = 2;
  ASK(ask);
}

static void do_prune(void) {
  chat_store_prune *prune = ch_op_new(NULL, CHAT_OP_STORE_PRUNE, sizeof *prune);
  prune->before_ms = time_of(position_now / 2 + draw(position_now / 2 + 1)); /* some of the second half go */
  prune->limit = chance(5) ? 0 : EVERY_ROW;
  ASK(prune);
}

/* ------------------------------------------------------------------------------------------------ reads */

static void do_state(void) {
  chat_bytes users[] = {some_user(), some_user()};
  chat_store_state *ask = ch_op_new(NULL, CHAT_OP_STORE_STATE, sizeof *ask);
  some_conversation(ask->conversation_id);
  ask->users = users;
  ask->user_count = draw(3);
  ask->only_users = chance(50);
  ASK(ask);
}

static void do_range(void) {
  chat_store_range *range = ch_op_new(NULL, CHAT_OP_STORE_RANGE, sizeof *range);
  some_conversation(range->conversation_id);
  range->user = chance(10) ? (chat_bytes){0} : some_user();
  range->low = draw(120);
  range->high = chance(40) ? 0 : range->low + draw(80);
  range->limit = (uint32_t)draw(40);
  range->newest_first = chance(50);
  ASK(range);
}

static void do_heads(void) {
  chat_store_heads *ask = ch_op_new(NULL, CHAT_OP_STORE_HEADS, sizeof *ask);
  ask->user = some_user();
  ask->above = draw(position_now + 2);
  if (chance(30)) ask->above = 0;
  ask->limit = (uint32_t)draw(6);
  ASK(ask);
}

static void do_position(void) {
  chat_store_position *ask = ch_op_new(NULL, CHAT_OP_STORE_POSITION, sizeof *ask);
  ask->topic = (uint32_t)draw(3);
  ask->partition = (uint32_t)draw(2);
  ASK(ask);
}

static void do_members(void) {
  chat_store_members *ask = ch_op_new(NULL, CHAT_OP_STORE_MEMBERS, sizeof *ask);
  some_conversation(ask->conversation_id);
  ask->user = some_user();
  ask->after = chance(40) ? (chat_bytes){0} : some_user();
  ask->limit = (uint32_t)draw(5);
  ASK(ask);
}

static void do_devices(void) {
  chat_store_devices *ask = ch_op_new(NULL, CHAT_OP_STORE_DEVICES, sizeof *ask);
  ask->user = some_user();
  ASK(ask);
}

/* The index of one lags behind: it is waited for. */
static void wait_for_index(void) {
  for (uint64_t reached = 0; reached < position_now;) {
    chat_store_search *ask = ch_op_new(NULL, CHAT_OP_STORE_SEARCH, sizeof *ask);
    *ask = (chat_store_search){.op = ask->op, .user = text("ann"), .query = text("fig"), .limit = 1};
    ck_assert_int_eq(bench_do(&sqlite, ask), 0);
    reached = ask->indexed_position;
    ch_op_free(&ask->op);
  }
}

static void do_search(void) {
  char query[64];
  wait_for_index();
  chat_store_search *ask = ch_op_new(NULL, CHAT_OP_STORE_SEARCH, sizeof *ask);
  int len = snprintf(query, sizeof query, "%s", words[draw(WORDS)]);
  if (chance(30)) len += snprintf(query + len, sizeof query - (size_t)len, " %s", words[draw(WORDS)]);
  if (chance(30)) snprintf(query + len - 2, 3, "*");
  ask->user = some_user();
  ask->query = text(query);
  if (chance(40)) some_conversation(ask->conversation_id);
  if (chance(50)) ask->before_message_id = draw(position_now / 3 + 2);
  ask->limit = (uint32_t)(chance(5) ? 0 : CONVERSATIONS + draw(30));
  ASK(ask);
}

/* ------------------------------------------------------------------------------------------------ the walk */

static const struct {
  void (*fn)(void);
  uint32_t weight;
} moves[] = {{do_apply, 40}, {do_replay, 10}, {do_watermarks, 6}, {do_device, 8}, {do_prune, 2},   {do_state, 8},
             {do_range, 12}, {do_heads, 12},  {do_position, 2},   {do_members, 6}, {do_devices, 2}, {do_search, 4}};

static void move(void) {
  uint32_t total = 0;
  for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
    total += moves[i].weight;
  uint64_t at = draw(total);
  size_t chosen = 0;
  while (at >= moves[chosen].weight)
    at -= moves[chosen++].weight;
  moves[chosen].fn();
}

static void open_both(char dir[64]) {
  char path[96];
  chat_backend store;
  bench_dir_make(dir);
  snprintf(path, sizeof path, "%s/store.db", dir);
  ch_assert(ch_store_mem_new(&(ch_store_mem_config){.derives_heads = 1}, &store) == 0);
  bench_open(&mem, store);
  /* Of three histories one is written at once, one late, and one so that tails go into the tables all the time. */
  static const size_t tail_rows[] = {0, 1000, 3};
  static const uint32_t tail_ms[] = {0, 50, 1};
  ch_store_sqlite_config config = {.path = path, .reader_threads = 1, .tail_rows = tail_rows[seed % 3], .tail_ms = tail_ms[seed % 3]};
  ch_assert(ch_store_sqlite_new(&config, &store) == 0);
  bench_open(&sqlite, store);
}

static int only_seed(void) {
  const char *text_of = getenv("CHAT_STORE_SEED");
  return text_of ? atoi(text_of) : 0;
}

static int seed_count(void) {
  const char *text_of = getenv("CHAT_STORE_SEEDS");
  return text_of ? atoi(text_of) : SEEDS;
}

START_TEST(a_random_history_has_the_same_answers) {
  char dir[64];
  seed = random_state = (uint64_t)_i;
  open_both(dir);
  for (step = 0; step < STEPS; step++)
    move();
  for (int i = 0; i < REPLAYS; i++)
    if (replays[i]) ch_op_free(&replays[i]->op);
  bench_close(&mem);
  bench_close(&sqlite);
  bench_dir_remove(dir);
}
END_TEST

int store_random_run(void) {
  Suite *suite = suite_create("stores against each other");
  TCase *tcase = tcase_create("mem and sqlite");
  int first = only_seed() ? only_seed() : 1, count = only_seed() ? 1 : seed_count();
  tcase_add_loop_test(tcase, a_random_history_has_the_same_answers, first, first + count);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
