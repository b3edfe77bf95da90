/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile server, and a database that fails now and then, against a client that somebody uses. Messages are whole but say whatever the input says; replies answer what
 * the client asked. Whatever comes: what the client has in memory is what its database has (so nothing moves on an error), a SEND is in the database with its number before
 * it goes out, each request has one reply, it does not run in circles, and memory stays below a bound and comes back.
 *
 * Input: actions of one byte, each followed by what it needs (see `actions`).
 */
#include <string.h>

#include "fuzz/support/client.h"
#include "fuzz/support/faulty_cache.h"
#include "fuzz/support/make.h"
#include "fuzz/support/memory.h"

enum {
  STEP_MS = 500,
  TURNS_MAX = 2000,
  TICKS_MAX = 5000,
  ASKED_MAX = 8,
  TAGS_MAX = 4096,
  MEMORY_MAX = 48 << 20,
  EVENTS_MAX = FUZZ_CLIENT_EVENTS_MAX
};

/* What the client asked the server. */
typedef struct asked {
  ch_client_op op;
  uint64_t tag;
  ch_range range;
  ch_send send;
  uint8_t conversation_id[16];
} asked;

typedef struct world {
  fuzz_memory memory;
  fuzz_cache cache;
  fuzz_client client;
  fuzz_input *input;
  asked asked[ASKED_MAX]; /* the newest, by their number modulo */
  size_t asked_count;
  uint64_t last_tag;
  bool waits[TAGS_MAX + 1]; /* for a reply, by its tag */
} world;

/* --- what must hold --- */

typedef struct send_search {
  const ch_send *send;
  bool is_found;
} send_search;

static int is_it(void *arg, const chat_outbox_row *row) {
  send_search *search = arg;
  const ch_send *send = search->send;
  search->is_found = memcmp(row->client_id, send->client_id, 16) == 0 && row->client_seq == send->client_seq && row->type == send->type &&
                     memcmp(row->conversation_id, send->conversation_id, 16) == 0 &&
                     (send->discard || ch_bytes_equal(row->payload, send->payload));
  return search->is_found;
}

/* C1 */
static void is_in_the_outbox(world *w, const ch_send *send) {
  send_search search = {.send = send};
  int error = w->cache.inner->vtable->outbox_list(w->cache.inner->self, is_it, &search);
  ch_assert(!error && search.is_found);
}

static void is_same(const chat_cache_conversation *stored, const ch_kept *kept) {
  const chat_cache_conversation *row = &kept->row;
  ch_assert(stored->kind == row->kind && stored->role == row->role && stored->history_from_start == row->history_from_start);
  ch_assert(stored->members_stale == row->members_stale && stored->head == row->head && stored->msg_no == row->msg_no);
  ch_assert(stored->cursor == row->cursor && stored->start == row->start && stored->floor == row->floor);
  ch_assert(stored->read_msg_no == row->read_msg_no && stored->delivered == row->delivered && stored->read == row->read);
  ch_assert(stored->delivered_sent == row->delivered_sent && stored->read_sent == row->read_sent &&
            stored->next_client_seq == row->next_client_seq);
  ch_assert(stored->active_ms == row->active_ms && stored->member_count == row->member_count);
  ch_assert(ch_bytes_equal(stored->title, ch_kept_title(kept)) && ch_bytes_equal(stored->peer, ch_kept_peer(kept)));
}

typedef struct comparison {
  const ch_brain *brain;
  size_t count;
} comparison;

static int compare(void *arg, const chat_cache_conversation *stored) {
  comparison *c = arg;
  const ch_conversation *conversation = ch_conversation_find(c->brain, stored->conversation_id);
  ch_assert(conversation != NULL);
  is_same(stored, &conversation->kept);
  c->count++;
  return 0;
}

static bool value_is(world *w, const char *name, chat_bytes wanted) {
  chat_bytes value;
  int error = w->cache.inner->vtable->value_get(w->cache.inner->self, name, &value);
  return error == CHAT_E_NOT_FOUND ? wanted.len == 0 : !error && ch_bytes_equal(value, wanted);
}

static bool number_is(world *w, const char *name, uint64_t number) {
  uint8_t bytes[8];
  for (int i = 0; i < 8; i++)
    bytes[i] = (uint8_t)(number >> (56 - 8 * i));
  return value_is(w, name, ch_bytes_of(bytes, 8)) || (number == 0 && value_is(w, name, (chat_bytes){0}));
}

static void memory_is_what_is_stored(world *w) {
  const ch_database *database = &w->client.brain->database;
  comparison c = {.brain = w->client.brain};
  ch_assert(!database->in_transaction);
  if (!database->is_open || database->is_corrupt || database->is_lost) return;
  int error = w->cache.inner->vtable->conversation_list(w->cache.inner->self, compare, &c);
  ch_assert(!error);
  ch_assert(c.count == w->client.brain->conversations.by_id.count);
  ch_assert(value_is(w, "user", ch_own_user(w->client.brain)));
  ch_assert(value_is(w, "device", ch_bytes_of(database->identity.device_id, database->identity.has_device ? 16 : 0)));
  ch_assert(number_is(w, "session", database->identity.session));
  ch_assert(number_is(w, "position", database->identity.position));
}

/* --- the client's side --- */

static void remember(world *w, const ch_client_message *message) {
  asked *a = &w->asked[w->asked_count++ % ASKED_MAX];
  *a = (asked){.op = message->op, .tag = message->tag};
  switch (message->op) {
  case CH_RANGE:
    a->range = message->u.range;
    memcpy(a->conversation_id, a->range.conversation_id, 16);
    break;
  case CH_SEND:
    a->send = message->u.send;
    a->send.payload = a->send.peer = (chat_bytes){0}; /* of the frame */
    memcpy(a->conversation_id, a->send.conversation_id, 16);
    break;
  case CH_GET_MEMBERS: memcpy(a->conversation_id, message->u.get_members.conversation_id, 16); break;
  default: break;
  }
}

static void hear(void *arg, const ch_client_message *message) {
  if (message->op == CH_SEND) is_in_the_outbox(arg, &message->u.send);
  remember(arg, message);
}

static void pull_events(world *w) {
  ch_assert(w->client.brain->events.count <= EVENTS_MAX + 1);
  for (ch_client_event *event = ch_brain_next_event(w->client.brain); event; event = ch_brain_next_event(w->client.brain)) {
    if (event->event.type == CHAT_EVENT_REPLY) {
      ch_assert(event->event.tag <= TAGS_MAX && w->waits[event->event.tag]);
      w->waits[event->event.tag] = false;
    }
    ch_client_event_free(event);
  }
}

static void work(world *w) {
  int turns = 0, ticks = 0;
  while (fuzz_client_turn(&w->client))
    ch_assert(++turns < TURNS_MAX);
  while (ch_brain_deadline_ms(w->client.brain) <= w->client.now.elapsed_ms) {
    ch_brain_tick(w->client.brain, w->client.now);
    ch_assert(++ticks < TICKS_MAX);
    while (fuzz_client_turn(&w->client))
      ch_assert(++turns < TURNS_MAX);
  }
  memory_is_what_is_stored(w);
}

static void make_request(world *w, ch_client_request *request) {
  uint8_t flags = fuzz_byte(w->input);
  static chat_bytes users[2];
  *request = (ch_client_request){.kind = CH_REQ_SET_ONLINE + fuzz_byte(w->input) % CH_REQ_VERIFY,
                                 .user = flags & 1 ? fuzz_user(w->input) : (chat_bytes){0},
                                 .has_conversation = flags >> 1 & 1,
                                 .has_client_id = flags >> 2 & 1,
                                 .flag = flags >> 3 & 1,
                                 .users = users};
  fuzz_conversation(w->input, request->conversation_id);
  fuzz_id(w->input, request->client_id);
  fuzz_id(w->input, request->device_id);
  if (request->kind == CH_REQ_SEND) request->body = fuzz_piece(w->input);
  if (request->kind == CH_REQ_CREATE || request->kind == CH_REQ_CONTROL || request->kind == CH_REQ_SEARCH)
    request->text = fuzz_piece(w->input);
  request->user_count = flags >> 4 & 3 & 2 ? 2 : flags >> 4 & 1;
  for (size_t i = 0; i < request->user_count; i++)
    users[i] = fuzz_user(w->input);
  request->type = fuzz_byte(w->input) % 13;
  request->role = fuzz_byte(w->input) % 4;
  request->limit = (uint32_t)fuzz_number(w->input);
  request->number = fuzz_number(w->input);
  request->number2 = fuzz_number(w->input);
}

static void somebody_asks(world *w) {
  ch_client_request request;
  make_request(w, &request);
  if (w->last_tag == TAGS_MAX) return;
  request.tag = ++w->last_tag;
  int error = ch_brain_request(w->client.brain, &request, w->client.now);
  ch_assert(error <= 0);
  w->waits[request.tag] = !error && request.kind != CH_REQ_TYPING;
}

static void somebody_writes(world *w) {
  ch_client_request request = {.kind = CH_REQ_SEND, .tag = w->last_tag + 1, .user = ch_bytes_text("bob"), .body = ch_bytes_text("hi")};
  if (w->last_tag == TAGS_MAX) return;
  w->last_tag++;
  w->waits[request.tag] = ch_brain_request(w->client.brain, &request, w->client.now) == 0;
}

/* --- the server's side --- */

static void say_something(world *w) {
  ch_arena arena;
  ch_server_message message;
  ch_arena_init(&arena, NULL, 4096, 16 << 20);
  ch_server_op op = CH_WELCOME + fuzz_byte(w->input) % (CH_SERVER_OP_COUNT - CH_WELCOME);
  uint8_t tag = fuzz_byte(w->input);
  fuzz_server_message(w->input, &arena, op, &message);
  message.tag = tag;
  fuzz_client_hears(&w->client, &message);
  ch_arena_fini(&arena);
}

static ch_server_op reply_op(ch_client_op op) {
  static const ch_server_op ops[CH_CLIENT_OP_COUNT] = {[CH_HELLO] = CH_WELCOME,
                                                       [CH_HEARTBEAT] = CH_HEARTBEAT_REPLY,
                                                       [CH_SEND] = CH_ANSWER,
                                                       [CH_SYNC] = CH_SYNC_REPLY,
                                                       [CH_RANGE] = CH_RANGE_REPLY,
                                                       [CH_GET_RECEIPTS] = CH_RECEIPTS,
                                                       [CH_GET_MEMBERS] = CH_MEMBERS_REPLY,
                                                       [CH_SEARCH] = CH_SEARCH_REPLY,
                                                       [CH_WATCH] = CH_PRESENCE,
                                                       [CH_LIST_DEVICES] = CH_DEVICES_REPLY};
  return ops[op] ? ops[op] : CH_OK;
}

/* What was asked is what is answered. */
static void fit(const asked *a, ch_server_message *message) {
  switch (message->op) {
  case CH_ANSWER:
    memcpy(message->u.answer.conversation_id, a->conversation_id, 16);
    memcpy(message->u.answer.client_id, a->send.client_id, 16);
    message->u.answer.client_seq = a->send.client_seq;
    break;
  case CH_RANGE_REPLY: {
    ch_range_reply *reply = &message->u.range_reply;
    memcpy(reply->conversation_id, a->conversation_id, 16);
    reply->low = a->range.low;
    reply->high = reply->low + reply->event_count;
    for (size_t i = 0; i < reply->event_count; i++) {
      chat_row *row = (chat_row *)&reply->events[i];
      memcpy(row->conversation_id, a->conversation_id, 16);
      row->seq = reply->low + 1 + i;
    }
    break;
  }
  case CH_MEMBERS_REPLY: memcpy(message->u.members_reply.conversation_id, a->conversation_id, 16); break;
  default: break;
  }
}

static void reply(world *w) {
  ch_arena arena;
  ch_server_message message;
  if (w->asked_count == 0) return;
  uint8_t choice = fuzz_byte(w->input);
  const asked *a = &w->asked[(w->asked_count - 1 - choice % (w->asked_count < ASKED_MAX ? w->asked_count : ASKED_MAX)) % ASKED_MAX];
  ch_arena_init(&arena, NULL, 4096, 16 << 20);
  fuzz_server_message(w->input, &arena, choice >> 4 == 15 ? CH_ERROR : reply_op(a->op), &message);
  message.tag = a->tag;
  if (!(choice & 8)) fit(a, &message);
  fuzz_client_hears(&w->client, &message);
  ch_arena_fini(&arena);
}

/* The end of what was sent: its event, or what became of it. */
static void judge(world *w) {
  ch_arena arena;
  ch_server_message message = {.op = CH_LIVE};
  chat_row row;
  uint8_t choice = fuzz_byte(w->input);
  if (w->asked_count == 0) return;
  const asked *a = &w->asked[(w->asked_count - 1 - choice % (w->asked_count < ASKED_MAX ? w->asked_count : ASKED_MAX)) % ASKED_MAX];
  ch_arena_init(&arena, NULL, 4096, 16 << 20);
  fuzz_row(w->input, &arena, &row);
  row.sender = ch_bytes_text("ann");
  row.client_seq = a->send.client_seq;
  memcpy(row.conversation_id, a->conversation_id, 16);
  memcpy(row.client_id, a->send.client_id, 16);
  memcpy(row.device_id, w->client.brain->database.identity.device_id, 16);
  if (choice & 64) {
    message.op = CH_VERDICT;
    fuzz_verdict(w->input, &message.u.verdict);
    message.u.verdict.client_seq = a->send.client_seq;
    memcpy(message.u.verdict.conversation_id, a->conversation_id, 16);
    memcpy(message.u.verdict.client_id, a->send.client_id, 16);
  } else {
    message.u.live =
        (ch_live){.previous = w->client.brain->sync.told, .position = w->client.brain->sync.told + choice % 3, .events = &row, .event_count = 1};
  }
  fuzz_client_hears(&w->client, &message);
  ch_arena_fini(&arena);
}

static void welcome(world *w) {
  uint64_t tag = 1;
  for (size_t i = 0; i < ASKED_MAX; i++)
    if (w->asked[i].op == CH_HELLO && w->asked[i].tag > tag) tag = w->asked[i].tag;
  fuzz_client_is_welcome(&w->client, tag);
}

static void say_bytes(world *w) {
  if (w->client.is_open) ch_brain_frame(w->client.brain, fuzz_piece(w->input), w->client.now);
}

/* --- the rest of the world --- */

static void pass_time(world *w) {
  fuzz_client_waits(&w->client, STEP_MS * (uint64_t)fuzz_byte(w->input));
}

static void clock_jumps(world *w) {
  w->client.now.wall_ms = fuzz_number(w->input);
  ch_brain_tick(w->client.brain, w->client.now);
}

static void lose_connection(world *w) {
  fuzz_client_is_cut(&w->client, fuzz_byte(w->input) & 1 ? CHAT_E_IO : CHAT_E_TLS);
}

static void hint(world *w) {
  uint8_t choice = fuzz_byte(w->input);
  if (choice & 4)
    ch_brain_url_changed(w->client.brain, w->client.now);
  else
    ch_brain_network_hint(w->client.brain, choice % 3, w->client.now);
  (void)ch_brain_set_token(w->client.brain, ch_bytes_text(choice & 8 ? "" : "token"), w->client.now);
}

static void pause_a_while(world *w) {
  ch_brain_suspend(w->client.brain, w->client.now);
  w->client.is_open = false;
  while (fuzz_client_turn(&w->client))
    continue;
  pass_time(w);
  if (ch_brain_resume(w->client.brain, w->client.now)) w->cache.fails_in = 0;
}

static void database_will_fail(world *w) {
  static const int errors[] = {CHAT_E_IO, CHAT_E_FULL, CHAT_E_CORRUPT, CHAT_E_NOMEM};
  uint8_t choice = fuzz_byte(w->input);
  w->cache.fails_in = 1 + (choice & 31);
  w->cache.fails = 1 + (choice >> 5 & 1) * 4;
  w->cache.error = errors[choice >> 6];
}

static void database_is_well(world *w) {
  w->cache.fails_in = 0;
  pull_events(w);
}

/* --- life --- */

static void start(world *w) {
  w->cache.fails_in = 0;
  w->client.hear = hear;
  w->client.arg = w;
  memset(w->waits, 0, sizeof w->waits);
  int error = fuzz_client_start(&w->client, &w->memory.alloc, &w->cache.base);
  ch_assert(!error);
}

/* The process ends, at any moment, and starts again on its database. */
static void restart(world *w) {
  ch_brain_free(w->client.brain);
  w->cache.inner->vtable->rollback(w->cache.inner->self);
  w->cache.inner->vtable->close(w->cache.inner->self);
  start(w);
}

static void (*const actions[])(world *w) = {
    say_something, reply,           judge, welcome,       say_bytes,          somebody_asks,    somebody_writes, pass_time,
    clock_jumps,   lose_connection, hint,  pause_a_while, database_will_fail, database_is_well, restart,         reply};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static world w;
  fuzz_input input = {data, len};
  memset(&w, 0, sizeof w);
  w.input = &input;
  w.client.now = (ch_now){1000, 1700000000000};
  fuzz_memory_init(&w.memory, MEMORY_MAX);
  fuzz_cache_init(&w.cache, &w.memory.alloc);
  start(&w);
  somebody_writes(&w);
  work(&w);
  welcome(&w);
  while (input.len > 0) {
    work(&w);
    actions[fuzz_byte(&input) % (sizeof actions / sizeof *actions)](&w);
  }
  work(&w);
  pull_events(&w);
  ch_brain_free(w.client.brain);
  fuzz_cache_fini(&w.cache);
  fuzz_memory_end(&w.memory);
  return 0;
}
