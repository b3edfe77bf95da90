/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's database after damage to its files, or with other contents, as at a start: opened, or found to be damaged and set aside. Whatever it is: each call ends with an error that
 * is promised, a client that lives on it does not run in circles, what is damaged can be set aside at any time, and what is there afterwards takes and gives what a client needs.
 *
 * Input: see support/damage.h, then support/contents.h; then words to search for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cache_sqlite/cache_sqlite.h"
#include "core/wire.h"
#include "fuzz/support/client.h"
#include "fuzz/support/contents.h"
#include "fuzz/support/damage.h"

enum { CONVERSATIONS = 2, ROWS = 10, MEMBERS = 5, OUTBOX = 4, BODY_LEN = 60, TURNS_MAX = 2000, STEPS = 6, STEP_MS = 4000 };

static fuzz_files files;

static void id_of(uint8_t id[16], int name) {
  memset(id, name, 16);
}

/* --- what a client writes --- */

static chat_bytes message_of(int n, ch_buf *out) {
  char body[BODY_LEN + 16];
  memset(body, 'a' + n % 26, sizeof body);
  snprintf(body + n % BODY_LEN, 16, " word%d ", n);
  ch_buf_clear(out);
  int error = ch_content_encode(&(ch_content){.type = CHAT_TYPE_MESSAGE, .body = ch_bytes_text(body)}, out);
  ch_assert(!error);
  return ch_buf_bytes(out);
}

static chat_row row_of(int conversation, int n, chat_bytes payload) {
  chat_row row = {.seq = (uint64_t)n,
                  .msg_no = (uint64_t)n,
                  .message_id = (uint64_t)n * 10,
                  .created_ms = 1000,
                  .client_seq = (uint64_t)n,
                  .sender = ch_bytes_text("ann"),
                  .type = CHAT_TYPE_MESSAGE,
                  .payload = payload};
  id_of(row.conversation_id, conversation);
  id_of(row.device_id, 1);
  id_of(row.client_id, n);
  return row;
}

/* 0 or the first error. */
static int write_conversation(const chat_cache *cache, int conversation, ch_buf *scratch) {
  const chat_cache_vtable *v = cache->vtable;
  chat_cache_conversation c = {.kind = CHAT_GROUP,
                               .role = CHAT_ROLE_MEMBER,
                               .head = ROWS,
                               .msg_no = ROWS,
                               .cursor = ROWS,
                               .next_client_seq = 7,
                               .title = ch_bytes_text("title")};
  chat_cache_member members[MEMBERS];
  static const char *const names[MEMBERS] = {"ann", "bob", "cat", "dan", "eve"};
  id_of(c.conversation_id, conversation);
  for (int i = 0; i < MEMBERS; i++)
    members[i] = (chat_cache_member){.user = ch_bytes_text(names[i]), .role = CHAT_ROLE_MEMBER};
  int error = v->conversation_put(cache->self, &c);
  if (!error) error = v->members_replace(cache->self, c.conversation_id, members, MEMBERS);
  for (int n = 1; !error && n <= ROWS; n++) {
    chat_row row = row_of(conversation, n, message_of(n, scratch));
    error = v->row_put(cache->self, &row);
  }
  return error ? error : v->cover(cache->self, c.conversation_id, 0, ROWS);
}

static int write_outbox(const chat_cache *cache, ch_buf *scratch) {
  int error = 0;
  for (int n = 1; !error && n <= OUTBOX; n++) {
    chat_outbox_row row = {
        .client_seq = (uint64_t)n, .type = CHAT_TYPE_MESSAGE, .state = CHAT_OUTBOX_QUEUED, .payload = message_of(n, scratch)};
    id_of(row.conversation_id, 1 + n % CONVERSATIONS);
    id_of(row.client_id, 100 + n);
    error = cache->vtable->outbox_put(cache->self, &row);
  }
  return error;
}

static int write_all(const chat_cache *cache) {
  const chat_cache_vtable *v = cache->vtable;
  ch_buf scratch;
  ch_buf_init(&scratch, NULL, CHAT_FRAME_MAX);
  int error = v->begin(cache->self);
  if (!error) error = v->value_put(cache->self, "user", ch_bytes_text("ann"));
  if (!error) error = v->value_put(cache->self, "device", ch_bytes_text("0123456789abcdef"));
  for (int c = 1; !error && c <= CONVERSATIONS; c++)
    error = write_conversation(cache, c, &scratch);
  if (!error) error = write_outbox(cache, &scratch);
  if (!error) error = v->commit(cache->self, 1);
  if (error) v->rollback(cache->self);
  ch_buf_fini(&scratch);
  return error;
}

/* --- what a client reads: what is given is within its bounds, whatever it says --- */

static size_t touched; /* so that a read is not left out */

static void touch(chat_bytes bytes) {
  for (size_t i = 0; i < bytes.len; i++)
    touched += bytes.data[i];
}

static int see_row(void *arg, const chat_row *row) {
  (void)arg;
  touch(row->sender);
  touch(row->payload);
  return 0;
}

static int see_outbox(void *arg, const chat_outbox_row *row) {
  (void)arg;
  touch(row->payload);
  touch(row->peer);
  return 0;
}

static int see_conversation(void *arg, const chat_cache_conversation *row) {
  (void)arg;
  touch(row->title);
  touch(row->peer);
  return 0;
}

static int see_member(void *arg, const chat_cache_member *member) {
  (void)arg;
  touch(member->user);
  return 0;
}

static int see_interval(void *arg, uint64_t low, uint64_t high) {
  (void)arg;
  touched += low < high;
  return 0;
}

static void is_promised(int error) {
  ch_assert(error == 0 || error == CHAT_E_CORRUPT || error == CHAT_E_NOT_FOUND || error == CHAT_E_INVALID || error == CHAT_E_IO ||
            error == CHAT_E_FULL || error == CHAT_E_TOO_LARGE);
}

static void read_all(const chat_cache *cache, chat_bytes query) {
  const chat_cache_vtable *v = cache->vtable;
  chat_bytes value;
  is_promised(v->value_get(cache->self, "user", &value));
  is_promised(v->outbox_list(cache->self, see_outbox, NULL));
  is_promised(v->conversation_list(cache->self, see_conversation, NULL));
  for (int c = 1; c <= CONVERSATIONS; c++) {
    uint8_t id[16], client_id[16];
    id_of(id, c);
    id_of(client_id, 5);
    is_promised(v->members_list(cache->self, id, see_member, NULL));
    is_promised(v->rows(cache->self, id, 0, UINT64_MAX, 1000, c & 1, see_row, NULL));
    is_promised(v->row_by_client_id(cache->self, id, client_id, see_row, NULL));
    is_promised(v->covered(cache->self, id, see_interval, NULL));
  }
  is_promised(v->search(cache->self, query, NULL, 0, 10, see_row, NULL));
  is_promised(v->search(cache->self, ch_bytes_text("word7"), NULL, 0, 10, see_row, NULL));
}

static void index_all(const chat_cache *cache) {
  int count = 1;
  for (int turns = 0; count > 0 && turns < 100; turns++)
    count = cache->vtable->index(cache->self, 100);
  ch_assert(count >= 0);
}

static void set_aside(const chat_cache *cache) {
  char name[FUZZ_PATH_LEN + 32];
  int error = cache->vtable->set_aside(cache->self, name, sizeof name);
  ch_assert(error == 0);
  ch_assert(write_all(cache) == 0);
  index_all(cache);
  read_all(cache, ch_bytes_text("word1"));
  uint8_t id[16];
  chat_bytes value;
  id_of(id, 1);
  ch_assert(cache->vtable->value_get(cache->self, "user", &value) == 0 && ch_bytes_equal(value, ch_bytes_text("ann")));
}

/* --- who lives on it --- */

static void work(fuzz_client *client) {
  int turns = 0;
  while (fuzz_client_turn(client))
    ch_assert(++turns < TURNS_MAX);
  for (ch_client_event *event = ch_brain_next_event(client->brain); event; event = ch_brain_next_event(client->brain))
    ch_client_event_free(event);
}

static void ask(fuzz_client *client, ch_client_request_kind kind, chat_bytes query) {
  ch_client_request request = {.kind = kind, .tag = 1, .limit = 20};
  id_of(request.conversation_id, 1);
  if (kind == CH_REQ_SEARCH) request.text = query;
  if (kind == CH_REQ_SEND) request.body = ch_bytes_text("hi");
  if (kind == CH_REQ_MARK_READ) request.number = ROWS;
  (void)ch_brain_request(client->brain, &request, client->now);
  work(client);
}

/* Starts, is welcomed, says and asks what people ask, while time passes. */
static void live(chat_cache *cache, chat_bytes query) {
  static const ch_client_request_kind kinds[] = {CH_REQ_CONVERSATIONS, CH_REQ_HISTORY, CH_REQ_SEARCH, CH_REQ_SEND, CH_REQ_MEMBERS, CH_REQ_MARK_READ, CH_REQ_OPEN};
  fuzz_client client = {.now = {1000, 1700000000000}};
  int error = fuzz_client_start(&client, NULL, cache);
  ch_assert(error == 0 || error == CHAT_E_IO || error == CHAT_E_FULL || error == CHAT_E_VERSION || error == CHAT_E_CORRUPT);
  if (error) return;
  work(&client);
  fuzz_client_is_welcome(&client, 1);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    ask(&client, kinds[i], query);
  for (int i = 0; i < STEPS; i++) {
    fuzz_client_waits(&client, STEP_MS);
    work(&client);
    fuzz_client_is_welcome(&client, 1);
  }
  ch_brain_free(client.brain);
}

/* --- life --- */

static void path_of(char path[FUZZ_PATH_LEN + 16]) {
  snprintf(path, FUZZ_PATH_LEN + 16, "%s/db", files.folder);
}

static chat_cache *new_cache(void) {
  char path[FUZZ_PATH_LEN + 16];
  chat_cache *cache;
  path_of(path);
  int error = ch_cache_sqlite_new(NULL, path, &cache);
  ch_assert(!error);
  return cache;
}

static void remove_folder(void) {
  fuzz_files_damage(&files, &(fuzz_input){NULL, 0});
  fuzz_folder_remove(files.folder);
}

/* As it is while it is used: with a log beside the database, and some of it in the database. */
static void make_files(void) {
  fuzz_folder_make(files.folder);
  for (int times = 0; times < 2; times++) {
    chat_cache *cache = new_cache();
    ch_assert(cache->vtable->open(cache->self) == 0);
    ch_assert(write_all(cache) == 0);
    index_all(cache);
    if (times == 1) {
      char folder[FUZZ_PATH_LEN];
      memcpy(folder, files.folder, sizeof folder);
      fuzz_files_read(&files, folder);
    }
    cache->vtable->free(cache->self);
  }
  atexit(remove_folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input input = {data, len};
  char path[FUZZ_PATH_LEN + 16];
  if (files.count == 0) make_files();
  fuzz_files_damage(&files, &input);
  path_of(path);
  fuzz_contents_change(path, &input);
  bool is_lived_on = fuzz_byte(&input) & 1; /* what is damaged may be mended by it */
  chat_bytes query = input.len <= 256 ? ch_bytes_of(input.data, input.len) : ch_bytes_of(input.data, 256);
  chat_cache *cache = new_cache();
  if (is_lived_on) live(cache, query);
  int error = cache->vtable->open(cache->self);
  ch_assert(error == 0 || error == CHAT_E_CORRUPT || error == CHAT_E_VERSION || error == CHAT_E_IO);
  if (error == 0) {
    read_all(cache, query);
    is_promised(cache->vtable->index(cache->self, 100) < 0 ? CHAT_E_CORRUPT : 0);
    is_promised(write_all(cache));
    read_all(cache, query);
  }
  if (error == 0 || error == CHAT_E_CORRUPT) set_aside(cache);
  cache->vtable->free(cache->self);
  return 0;
}
