/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a client: made, started, suspended, resumed, freed at any moment; without the library's thread; several in a process. */
#include <stddef.h>
#include <stdio.h>

#include "unit/client/folder.h"
#include "unit/client/footprint.h"
#include "unit/client/puppet.h"
#include "unit/core/failing_allocator.h"
#include "unit/core/run.h"

/* ------------------------------------------------------------------------------------------------ new, start */

START_TEST(library_older_than_the_header_is_refused) {
  chat_client *client = (chat_client *)&client;
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION + 1, NULL, &client), CHAT_E_VERSION);
  ck_assert_ptr_null(client);
  ck_assert_int_eq(chat_client_new((CHAT_VERSION_MAJOR + 1) << 16, NULL, &client), CHAT_E_VERSION);
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, NULL, NULL), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_new(CHAT_VERSION_MAJOR << 16, NULL, &client), 0); /* compiled against the first header of this line */
  chat_client_free(client);
  chat_client_free(NULL);
}
END_TEST

static void count_fill(void *arg, void *bytes, size_t len) {
  ++*(unsigned *)arg;
  memset(bytes, 0x55, len);
}

/* A caller of an older library knows fewer members, one of a newer library more: what is beyond the common part is not looked at. */
START_TEST(config_may_be_shorter_or_longer) {
  unsigned filled = 0;
  chat_random random = {count_fill, &filled};
  struct longer {
    chat_client_config config;
    uint8_t later[64];
  } config = {.config = {.random = &random}};
  memset(config.later, 0xff, sizeof config.later);
  chat_client *client;
  config.config.size = sizeof config;
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, &config.config, &client), 0);
  ck_assert_int_eq(chat_client_start(client), 0);
  chat_client_free(client);
  ck_assert_uint_gt(filled, 0);
  filled = 0;
  config.config.size = offsetof(chat_client_config, random); /* ends before it */
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, &config.config, &client), 0);
  ck_assert_int_eq(chat_client_start(client), 0);
  chat_client_free(client);
  ck_assert_uint_eq(filled, 0);
  config.config.size = 3;
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, &config.config, &client), CHAT_E_INVALID);
}
END_TEST

/* A draft that ends before `kind`, and one that goes on. */
START_TEST(draft_may_be_shorter_or_longer) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  chat_draft draft = draft_of("text");
  draft.kind = (const char *)1; /* would be read: a fault */
  draft.kind_len = 5;
  draft.size = offsetof(chat_draft, kind);
  ck_assert_int_eq(chat_client_send_direct(client, 1, "bob", 3, &draft), 0);
  ck_assert_int_eq(client_expect_reply(client, 1)->status, 0);
  struct longer {
    chat_draft draft;
    uint8_t later[64];
  } longer = {.draft = draft_of("text")};
  memset(longer.later, 0xff, sizeof longer.later);
  longer.draft.size = sizeof longer;
  ck_assert_int_eq(chat_client_send_direct(client, 2, "bob", 3, &longer.draft), 0);
  ck_assert_int_eq(client_expect_reply(client, 2)->status, 0);
  draft.size = 4;
  ck_assert_int_eq(chat_client_send_direct(client, 3, "bob", 3, &draft), CHAT_E_INVALID);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(starts_once) {
  puppet *p = puppet_new();
  chat_client *client = client_over(p, NULL);
  ck_assert_int_eq(chat_client_start(client), 0);
  ck_assert_int_eq(chat_client_start(client), CHAT_E_INVALID);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(before_start_nothing_is_taken) {
  chat_client *client;
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, NULL, &client), 0);
  ck_assert_int_eq(chat_client_whoami(client, 1), CHAT_E_CLOSED);
  ck_assert_int_eq(chat_client_suspend(client, 10), CHAT_E_CLOSED);
  ck_assert_int_eq(chat_client_resume(client), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_process(client), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_network_hint(client, CHAT_NETWORK_UP), CHAT_E_CLOSED);
  ck_assert_int_eq(chat_client_io_fd(client), -1);
  ck_assert_int_eq((int)chat_client_next_deadline_ms(client), -1);
  ck_assert_ptr_null(chat_client_wait(client, 0));
  chat_client_free(client);
}
END_TEST

/* Misuse is an answer, not a fault. */
START_TEST(no_client_is_invalid) {
  const uint8_t id[16] = {1};
  ck_assert_int_eq(chat_client_start(NULL), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_set(NULL, "token", ""), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_suspend(NULL, 1), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_resume(NULL), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_process(NULL), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_whoami(NULL, 1), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_typing(NULL, id, 1), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_network_hint(NULL, CHAT_NETWORK_UP), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_fd(NULL), -1);
  ck_assert_ptr_null(chat_client_wait(NULL, -1));
  chat_client_interrupt(NULL);
  chat_client_set_wakeup(NULL, NULL, NULL);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ free */

static void make_requests(chat_client *client, int count) {
  for (int i = 0; i < count; i++) {
    client_send(client, (uint64_t)i, "text");
    chat_client_devices(client, (uint64_t)i);
    chat_client_conversations(client, (uint64_t)i, 0, 100);
  }
}

static void end_client(puppet *p, chat_client *client) {
  chat_client_free(client);
  puppet_skip(p);
}

/* Before start, at once after it, while it connects, with requests waiting for the server, with events not pulled, suspended. */
START_TEST(free_at_any_moment) {
  chat_client *client;
  puppet *p = puppet_new();
  chat_client_free(client_over(p, NULL));
  client = client_over(p, NULL);
  ck_assert_int_eq(chat_client_start(client), 0);
  end_client(p, client);
  client = client_over(p, NULL);
  ck_assert_int_eq(chat_client_start(client), 0);
  puppet_expect(p, CH_HELLO);
  make_requests(client, 5);
  end_client(p, client);
  client = client_online(p, NULL);
  make_requests(client, 50);
  end_client(p, client);
  client = client_online(p, NULL);
  make_requests(client, 5);
  puppet_expect(p, CH_LIST_DEVICES);
  end_client(p, client);
  client = client_online(p, NULL);
  make_requests(client, 5);
  ck_assert_int_eq(chat_client_suspend(client, PUPPET_PATIENCE_MS), 0);
  end_client(p, client);
  ck_assert_uint_eq(p->closes > 0, 1);
  puppet_free(p);
}
END_TEST

START_TEST(free_loses_nothing) {
  folder dir = folder_make();
  puppet *p = puppet_new();
  chat_client *client = client_online(p, folder_path(&dir, "db"));
  for (uint64_t tag = 1; tag <= 5; tag++)
    ck_assert_int_eq(client_send(client, tag, "text"), 0);
  for (uint64_t tag = 1; tag <= 5; tag++)
    ck_assert_int_eq(client_expect_reply(client, tag)->status, 0);
  chat_client_free(client);
  puppet_skip(p);
  client = client_over(p, folder_path(&dir, "db"));
  ck_assert_int_eq(chat_client_start(client), 0);
  puppet_connect(p, 2);
  for (uint64_t seq = 1; seq <= 5; seq++)
    ck_assert_uint_eq(puppet_expect(p, CH_SEND)->u.send.client_seq, seq);
  chat_client_free(client);
  puppet_free(p);
  folder_remove(&dir);
}
END_TEST

/* Whichever allocation of making and starting fails: an error or a client that works, and all is given back. */
START_TEST(every_allocation_may_fail) {
  for (size_t left = 0; left < 200; left++) {
    failing_allocator memory;
    failing_allocator_init(&memory, left);
    puppet *p = puppet_new();
    chat_client_config config = {.size = sizeof config, .transport = &p->transport, .allocator = &memory.alloc};
    chat_client *client = NULL;
    int error = chat_client_new(CHAT_API_VERSION, &config, &client);
    ck_assert(error == 0 || error == CHAT_E_NOMEM);
    if (!error) ck_assert_int_eq(chat_client_set(client, "caller-driven", "on"), 0);
    if (!error) ck_assert_int_eq(chat_client_set(client, "token", "token"), 0);
    if (!error) error = chat_client_start(client);
    ck_assert(error == 0 || error == CHAT_E_NOMEM);
    for (uint64_t tag = 0; !error && tag < 4; tag++) {
      int refused = client_send(client, tag, "text");
      ck_assert(refused == 0 || refused == CHAT_E_NOMEM);
      ck_assert_int_eq(chat_client_process(client), 0);
      const chat_event *event = chat_client_wait(client, 0);
      while (event && event->type != CHAT_EVENT_REPLY)
        event = chat_client_wait(client, 0);
      ck_assert_int_eq(event != NULL, refused == 0); /* accepted: it has its reply */
    }
    chat_client_free(client);
    ck_assert_uint_eq(memory.live, 0);
    puppet_free(p);
  }
}
END_TEST

enum { TOKEN_LEN = 777 }; /* nothing else is of that length */

static void *without_token(void *arg, void *old, size_t len) {
  const bool *is_short = arg;
  if (*is_short && len == TOKEN_LEN) return NULL;
  if (len > 0) return realloc(old, len);
  free(old);
  return NULL;
}

/* Nobody is started without the token that he gave; and start may be tried again. */
START_TEST(a_token_without_memory_fails_the_start) {
  bool is_short = true;
  chat_allocator allocator = {without_token, &is_short};
  char token[TOKEN_LEN + 1];
  puppet *p = puppet_new();
  chat_client_config config = {.size = sizeof config, .transport = &p->transport, .allocator = &allocator};
  chat_client *client = NULL;
  memset(token, 'x', TOKEN_LEN);
  token[TOKEN_LEN] = 0;
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, &config, &client), 0);
  ck_assert_int_eq(chat_client_set(client, "caller-driven", "on"), 0);
  ck_assert_int_eq(chat_client_set(client, "token", token), 0);
  ck_assert_int_eq(chat_client_start(client), CHAT_E_NOMEM);
  is_short = false;
  ck_assert_int_eq(chat_client_start(client), 0);
  ck_assert_int_eq(chat_client_process(client), 0);
  ck_assert_uint_eq(puppet_expect(p, CH_HELLO)->u.hello.token.len, TOKEN_LEN);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ suspend, resume */

START_TEST(suspended_holds_no_lock_and_resumes) {
  folder dir = folder_make();
  puppet *p = puppet_new();
  chat_client *client = client_online(p, folder_path(&dir, "db"));
  client_expect_state(client, CHAT_STATE_LIVE);
  ck_assert(folder_has_locks(&dir)); /* the test can see one */
  ck_assert_int_eq(client_send(client, 1, "text"), 0);
  client_expect_reply(client, 1);
  ck_assert_int_eq(chat_client_suspend(client, PUPPET_PATIENCE_MS), 0);
  ck_assert(!folder_has_locks(&dir));
  ck_assert(!p->is_open);
  ck_assert_int_eq(chat_client_suspend(client, 0), 0); /* it is already */
  client_expect_state(client, CHAT_STATE_SUSPENDED);
  ck_assert_int_eq(chat_client_whoami(client, 2), CHAT_E_SUSPENDED);
  ck_assert_int_eq(client_send(client, 3, "text"), CHAT_E_SUSPENDED);
  ck_assert_int_eq(chat_client_set(client, "token", "a newer one"), 0); /* counts when it is back */
  puppet_skip(p);
  ck_assert_int_eq(chat_client_resume(client), 0);
  const ch_client_message *hello = puppet_expect(p, CH_HELLO);
  ck_assert_uint_eq(hello->u.hello.token.len, 11);
  p->sent_at--;
  puppet_connect(p, 2);
  ck_assert_uint_eq(puppet_expect(p, CH_SEND)->u.send.client_seq, 1);
  ck_assert_int_eq(chat_client_resume(client), CHAT_E_INVALID); /* is not suspended */
  chat_client_free(client);
  puppet_free(p);
  folder_remove(&dir);
}
END_TEST

START_TEST(another_client_may_have_it_while_suspended) {
  folder dir = folder_make();
  puppet *p = puppet_new(), *q = puppet_new();
  chat_client *client = client_online(p, folder_path(&dir, "db")), *other = client_over(q, folder_path(&dir, "db"));
  client_expect_state(client, CHAT_STATE_LIVE);
  ck_assert_int_eq(chat_client_start(other), CHAT_E_BUSY);
  ck_assert_int_eq(chat_client_suspend(client, PUPPET_PATIENCE_MS), 0);
  ck_assert_int_eq(chat_client_start(other), 0);
  ck_assert_int_eq(chat_client_resume(client), CHAT_E_BUSY); /* and still suspended */
  ck_assert_int_eq(chat_client_whoami(client, 1), CHAT_E_SUSPENDED);
  puppet_connect(q, 2);
  ck_assert_int_eq(client_send(other, 1, "from the other"), 0);
  client_expect_reply(other, 1);
  chat_client_free(other);
  puppet_skip(p);
  ck_assert_int_eq(chat_client_resume(client), 0);
  puppet_connect(p, 3);
  ck_assert_uint_eq(puppet_expect(p, CH_SEND)->u.send.payload.len > 0, 1); /* what the other left in the outbox */
  chat_client_free(client);
  puppet_free(p);
  puppet_free(q);
  folder_remove(&dir);
}
END_TEST

/* Requests under way end, each with one reply; what was accepted before is done or says that it was not. */
START_TEST(suspend_ends_what_is_under_way) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  ck_assert_int_eq(chat_client_devices(client, 1), 0);
  puppet_expect(p, CH_LIST_DEVICES);
  ck_assert_int_eq(chat_client_suspend(client, PUPPET_PATIENCE_MS), 0);
  ck_assert_int_eq(client_expect_reply(client, 1)->status, CHAT_E_SUSPENDED);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(suspend_in_the_middle_of_work) {
  enum { ROUNDS = 20, SENDS = 200 };
  folder dir = folder_make();
  puppet *p = puppet_new();
  chat_client *client = client_online(p, folder_path(&dir, "db"));
  uint64_t durable = 0;
  for (int round = 0; round < ROUNDS; round++) {
    for (uint64_t tag = 1; tag <= SENDS; tag++)
      ck_assert_int_eq(client_send(client, tag, "text"), 0);
    pause_ms(round);
    int error = chat_client_suspend(client, (uint32_t)round);
    ck_assert(error == 0 || error == CHAT_E_TIMEOUT);
    if (error) ck_assert_int_eq(chat_client_suspend(client, PUPPET_PATIENCE_MS), 0); /* it still will */
    ck_assert(!folder_has_locks(&dir));
    bool replied[SENDS + 1] = {false};
    for (int i = 0; i < SENDS; i++) {
      const chat_event *reply = client_expect(client, CHAT_EVENT_REPLY);
      ck_assert(reply->status == 0 || reply->status == CHAT_E_SUSPENDED);
      ck_assert(reply->tag >= 1 && reply->tag <= SENDS && !replied[reply->tag]);
      replied[reply->tag] = true;
      durable += reply->status == 0;
    }
    ck_assert_int_eq(chat_client_resume(client), 0);
  }
  ck_assert_int_eq(chat_client_conversations(client, 7, 0, 10), 0);
  const chat_event *reply = client_expect_reply(client, 7);
  ck_assert_uint_eq(reply->conversation_count > 0 ? reply->conversations[0]->pending : 0, durable);
  chat_client_free(client);
  puppet_free(p);
  folder_remove(&dir);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ without a thread */

/* What was accepted is done while there is time, and refused where there is none. */
START_TEST(suspend_keeps_its_deadline) {
  static const uint32_t deadlines_ms[] = {0, PUPPET_PATIENCE_MS};
  for (size_t i = 0; i < 2; i++) {
    puppet *p = puppet_new();
    chat_client *client = client_over(p, NULL);
    ck_assert_int_eq(chat_client_set(client, "caller-driven", "on"), 0);
    ck_assert_int_eq(chat_client_start(client), 0);
    for (uint64_t tag = 1; tag <= 100; tag++)
      ck_assert_int_eq(chat_client_conversations(client, tag, 0, 1), 0);
    ck_assert_int_eq(chat_client_suspend(client, deadlines_ms[i]), 0);
    for (uint64_t tag = 1; tag <= 100; tag++)
      ck_assert_int_eq(client_expect_reply(client, tag)->status, deadlines_ms[i] ? 0 : CHAT_E_SUSPENDED);
    chat_client_free(client);
    puppet_free(p);
  }
}
END_TEST

typedef struct test_clock {
  uint64_t elapsed_ms;
} test_clock;

static uint64_t clock_elapsed(void *arg) {
  return ((test_clock *)arg)->elapsed_ms;
}

static uint64_t clock_wall(void *arg) {
  return 1700000000000 + ((test_clock *)arg)->elapsed_ms;
}

static bool is_due(chat_client *client) {
  return chat_client_next_deadline_ms(client) == 0 || poll(&(struct pollfd){chat_client_io_fd(client), POLLIN, 0}, 1, 0) == 1;
}

/* As a caller does it: while it is due. What takes more rounds than this never ends. */
static void process_all(chat_client *client) {
  int rounds = 0;
  for (; rounds < 1000 && is_due(client); rounds++)
    ck_assert_int_eq(chat_client_process(client), 0);
  ck_assert_int_lt(rounds, 1000);
}

START_TEST(driven_by_the_caller) {
  puppet *p = puppet_new();
  test_clock time = {1000};
  chat_clock clock = {clock_elapsed, clock_wall, &time};
  chat_client_config config = {.size = sizeof config, .transport = &p->transport, .clock = &clock};
  footprint_threads threads = footprint_now();
  chat_client *client;
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, &config, &client), 0);
  ck_assert_int_eq(chat_client_set(client, "caller-driven", "on"), 0);
  ck_assert_int_eq(chat_client_set(client, "token", "token"), 0);
  ck_assert_int_eq(chat_client_start(client), 0);
  ck_assert_uint_eq(footprint_new_threads(&threads), 0);
  process_all(client);
  ch_server_message welcome = script_welcome(device_a, 1);
  welcome.tag = puppet_expect(p, CH_HELLO)->tag;
  puppet_say(p, welcome);
  ck_assert(is_due(client)); /* the descriptor says so */
  process_all(client);
  puppet_say(p, (ch_server_message){.tag = puppet_expect(p, CH_SYNC)->tag, .op = CH_SYNC_REPLY, .u.sync_reply = {.position = 10}});
  process_all(client);
  client_expect_state(client, CHAT_STATE_LIVE);
  ck_assert_ptr_null(chat_client_wait(client, -1)); /* counts as 0 in this mode */
  ck_assert_int_eq(chat_client_whoami(client, 1), 0);
  ck_assert(is_due(client));
  ck_assert_ptr_null(chat_client_wait(client, 0));
  process_all(client);
  client_expect_reply(client, 1);
  /* Time passes: the heartbeat is due exactly when it says. */
  int64_t until_ms = chat_client_next_deadline_ms(client);
  ck_assert_int_gt(until_ms, 0);
  time.elapsed_ms += (uint64_t)until_ms;
  ck_assert_int_eq((int)chat_client_next_deadline_ms(client), 0);
  process_all(client);
  time.elapsed_ms += HEARTBEAT_MS;
  process_all(client);
  ck_assert(puppet_sent(p, CH_HEARTBEAT));
  ck_assert_int_eq(chat_client_suspend(client, 1000), 0); /* done by the call itself */
  ck_assert(!p->is_open);
  ck_assert_int_eq((int)chat_client_next_deadline_ms(client), -1);
  ck_assert_int_eq(chat_client_resume(client), 0);
  process_all(client);
  puppet_expect(p, CH_HELLO);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

/* What the client says next over a transport in memory; the test's thread is all there is. */
static chat_bytes peer_hears(chat_client *client, chat_transport_peer *peer, uint32_t type) {
  chat_transport_event event = {0};
  for (int rounds = 0; rounds < 1000; rounds++) {
    process_all(client);
    chat_transport_peer_wait(peer, 0, &event);
    if (event.type == type) return event.message;
  }
  ck_abort_msg("the other end sees no %u", type);
  return (chat_bytes){0};
}

static void peer_says(chat_transport_peer *peer, ch_server_message message) {
  ch_buf frame;
  ch_buf_init(&frame, NULL, CHAT_FRAME_MAX);
  ck_assert_int_eq(ch_server_message_encode(&message, &frame), 0);
  ck_assert_int_eq(chat_transport_peer_send(peer, ch_buf_bytes(&frame)), 0);
  ch_buf_fini(&frame);
}

/* The tag of the next message of that kind; those before it, and behind it in its frame, are passed over. */
static uint64_t peer_hears_tag(chat_client *client, chat_transport_peer *peer, ch_client_op op) {
  ch_arena arena;
  ch_client_message message = {.op = 0};
  ch_arena_init(&arena, NULL, 4096, 1024 * 1024);
  while (message.op != op) {
    chat_bytes rest = peer_hears(client, peer, CHAT_TRANSPORT_MESSAGE), bytes;
    while (message.op != op && ch_frame_next(&rest, &bytes) == 0)
      ck_assert_int_eq(ch_client_message_decode(bytes, &arena, &message), 0);
  }
  uint64_t tag = message.tag;
  ch_arena_fini(&arena);
  return tag;
}

/* The transport in memory, with both caches: the others are in unit/server/test_client_footprint.c. */
START_TEST(driven_by_the_caller_over_memory_starts_no_thread) {
  folder dir = folder_make();
  for (int on_disk = 0; on_disk < 2; on_disk++) {
    footprint_threads threads = footprint_now();
    chat_client_config config = {.size = sizeof config};
    chat_transport_peer *peer;
    chat_client *client;
    ck_assert_int_eq(chat_transport_mem_new(NULL, &config.transport, &peer), 0);
    ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, &config, &client), 0);
    ck_assert_int_eq(chat_client_set(client, "caller-driven", "on"), 0);
    ck_assert_int_eq(chat_client_set(client, "token", "token"), 0);
    if (on_disk) ck_assert_int_eq(chat_client_set(client, "database", folder_path(&dir, "db")), 0);
    ck_assert_int_eq(chat_client_start(client), 0);
    peer_hears(client, peer, CHAT_TRANSPORT_OPEN);
    ck_assert_int_eq(chat_transport_peer_accept(peer), 0);
    ch_server_message welcome = script_welcome(device_a, 1);
    welcome.tag = peer_hears_tag(client, peer, CH_HELLO);
    peer_says(peer, welcome);
    peer_says(peer, (ch_server_message){.tag = peer_hears_tag(client, peer, CH_SYNC), .op = CH_SYNC_REPLY, .u.sync_reply = {.position = 10}});
    process_all(client);
    client_expect_state(client, CHAT_STATE_LIVE);
    ck_assert_int_eq(client_send(client, 1, "text"), 0);
    peer_hears_tag(client, peer, CH_SEND);
    ck_assert_uint_eq(footprint_new_threads(&threads), 0);
    ck_assert_int_eq(footprint_locks() > 0, on_disk);
    ck_assert_int_eq(chat_client_suspend(client, PUPPET_PATIENCE_MS), 0);
    ck_assert_uint_eq(footprint_locks(), 0);
    ck_assert_uint_eq(footprint_files(dir.path), 0);
    peer_hears(client, peer, CHAT_TRANSPORT_CLOSED);
    ck_assert_int_eq(chat_client_resume(client), 0);
    peer_hears(client, peer, CHAT_TRANSPORT_OPEN);
    ck_assert_uint_eq(footprint_new_threads(&threads), 0);
    chat_client_free(client);
    config.transport->vtable->free(config.transport->self);
    chat_transport_peer_free(peer);
  }
  folder_remove(&dir);
}
END_TEST

/* More than the queue in front takes at once. */
START_TEST(driven_by_the_caller_many_replies) {
  puppet *p = puppet_new();
  chat_client *client = client_over(p, NULL);
  ck_assert_int_eq(chat_client_set(client, "caller-driven", "on"), 0);
  ck_assert_int_eq(chat_client_start(client), 0);
  for (uint64_t tag = 1; tag <= 1000; tag++)
    ck_assert_int_eq(chat_client_whoami(client, tag), 0);
  process_all(client);
  uint64_t tag = 1;
  for (const chat_event *event = chat_client_wait(client, 0); event; event = chat_client_wait(client, 0))
    if (event->type == CHAT_EVENT_REPLY) ck_assert_uint_eq(event->tag, tag++);
  ck_assert_uint_eq(tag, 1001);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

static uint64_t clock_hurries(void *arg) {
  return ((test_clock *)arg)->elapsed_ms++;
}

/* A machine on which each look at the clock costs a millisecond: one call does not do all the work, and says that there is more. */
START_TEST(process_gives_up_its_turn) {
  puppet *p = puppet_new();
  test_clock time = {1000};
  chat_clock clock = {clock_hurries, clock_wall, &time};
  chat_client_config config = {.size = sizeof config, .transport = &p->transport, .clock = &clock};
  chat_client *client;
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, &config, &client), 0);
  ck_assert_int_eq(chat_client_set(client, "caller-driven", "on"), 0);
  ck_assert_int_eq(chat_client_start(client), 0);
  process_all(client);
  for (uint64_t tag = 1; tag <= 500; tag++)
    ck_assert_int_eq(chat_client_whoami(client, tag), 0);
  uint64_t tag = 1, turns = 0;
  for (; tag <= 500; turns++) {
    ck_assert(is_due(client));
    uint64_t begun_ms = time.elapsed_ms;
    ck_assert_int_eq(chat_client_process(client), 0);
    ck_assert_uint_le(time.elapsed_ms - begun_ms, 100);
    for (const chat_event *event = chat_client_wait(client, 0); event; event = chat_client_wait(client, 0))
      if (event->type == CHAT_EVENT_REPLY) ck_assert_uint_eq(event->tag, tag++);
  }
  ck_assert_uint_gt(turns, 5);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ several */

START_TEST(several_in_a_process) {
  enum { CLIENTS = 6 };
  folder dir = folder_make();
  puppet *p[CLIENTS];
  chat_client *client[CLIENTS];
  char name[16];
  for (int i = 0; i < CLIENTS; i++) {
    snprintf(name, sizeof name, "db%d", i);
    p[i] = puppet_new();
    client[i] = client_over(p[i], folder_path(&dir, name));
    ck_assert_int_eq(chat_client_start(client[i]), 0);
  }
  for (int i = 0; i < CLIENTS; i++) {
    puppet_connect(p[i], (uint64_t)i + 1);
    ck_assert_int_eq(client_send(client[i], (uint64_t)i, "text"), 0);
  }
  for (int i = 0; i < CLIENTS; i++) {
    ck_assert_int_eq(client_expect_reply(client[i], (uint64_t)i)->status, 0);
    puppet_expect(p[i], CH_SEND);
  }
  chat_client_free(client[0]); /* the others live on */
  ck_assert_int_eq(client_send(client[1], 9, "text"), 0);
  ck_assert_int_eq(client_expect_reply(client[1], 9)->status, 0);
  for (int i = 1; i < CLIENTS; i++)
    chat_client_free(client[i]);
  for (int i = 0; i < CLIENTS; i++)
    puppet_free(p[i]);
  folder_remove(&dir);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {library_older_than_the_header_is_refused, 0},
      {config_may_be_shorter_or_longer, 0},
      {draft_may_be_shorter_or_longer, 0},
      {starts_once, 0},
      {before_start_nothing_is_taken, 0},
      {no_client_is_invalid, 0},
      {free_at_any_moment, 0},
      {free_loses_nothing, 0},
      {every_allocation_may_fail, 0},
      {a_token_without_memory_fails_the_start, 0},
      {suspended_holds_no_lock_and_resumes, 0},
      {another_client_may_have_it_while_suspended, 0},
      {suspend_ends_what_is_under_way, 0},
      {suspend_in_the_middle_of_work, 0},
      {suspend_keeps_its_deadline, 0},
      {driven_by_the_caller, 0},
      {driven_by_the_caller_over_memory_starts_no_thread, 0},
      {driven_by_the_caller_many_replies, 0},
      {process_gives_up_its_turn, 0},
      {several_in_a_process, 0},
  };
  return RUN_TESTS("client life", rows);
}
