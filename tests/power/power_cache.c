/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's database: after every cut it is as behind one of its transactions, not before the last durable one (C1, P4, V8): number, outbox, cursor and rows of that one and no other.
 */
#define _DEFAULT_SOURCE
#include <chat/backend.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/cache_sqlite/cache_sqlite.h"
#include "power/life.h"

/* Transaction n puts outbox row n, takes away the row that leaves AHEAD of them, puts history row n and moves the cursor there. */
enum { AHEAD = 7, CHECKED_ROWS = 50 };

typedef struct promised {
  uint64_t durable, tried; /* transactions */
} promised;

static promised *known;
static chat_cache *cache;
static const chat_cache_vtable *calls;

static void id_of(uint8_t id[16], uint64_t n) {
  memset(id, 0x77, 16);
  memcpy(id, &n, sizeof n);
}

static chat_bytes body_of(uint64_t n) {
  static uint8_t body[1200];
  size_t len = 20 + n * 2654435761u % (sizeof body - 20);
  memset(body, (int)('a' + n % 26), len);
  return (chat_bytes){body, len};
}

/* ------------------------------------------------------------------------------------------------ transaction n */

static int put_outbox(uint64_t n) {
  chat_outbox_row row = {.client_seq = n, .payload = body_of(n), .type = CHAT_TYPE_MESSAGE};
  id_of(row.conversation_id, 0);
  id_of(row.client_id, n);
  return calls->outbox_put(cache->self, &row);
}

static int remove_outbox(uint64_t n) {
  uint8_t id[16];
  id_of(id, n);
  return calls->outbox_remove(cache->self, id);
}

static int put_row(uint64_t n) {
  chat_row row = {.seq = n,
                  .msg_no = n,
                  .message_id = n * 10,
                  .created_ms = n,
                  .sender = {(const uint8_t *)"ann", 3},
                  .type = CHAT_TYPE_MESSAGE,
                  .payload = body_of(n)};
  id_of(row.conversation_id, 0);
  id_of(row.client_id, n);
  return calls->row_put(cache->self, &row);
}

static int put_conversation(uint64_t n) {
  chat_cache_conversation conversation = {.kind = CHAT_GROUP, .head = n, .cursor = n};
  id_of(conversation.conversation_id, 0);
  return calls->conversation_put(cache->self, &conversation);
}

static int put_number(uint64_t n) {
  return calls->value_put(cache->self, "number", (chat_bytes){(const uint8_t *)&n, sizeof n});
}

static void transaction(uint64_t n, bool durable) {
  life_do(calls->begin(cache->self));
  known->tried = n;
  life_check(put_outbox(n) == 0 && put_row(n) == 0 && put_conversation(n) == 0 && put_number(n) == 0);
  if (n > AHEAD) life_do(remove_outbox(n - AHEAD));
  life_do(calls->commit(cache->self, durable));
  if (durable) known->durable = n;
}

/* ------------------------------------------------------------------------------------------------ check */

typedef struct count {
  uint64_t n, count;
  uint64_t first; /* rows: of those that are asked for */
} count;

static int see_outbox(void *arg, const chat_outbox_row *row) {
  count *seen = arg;
  uint64_t n = row->client_seq;
  life_check(n <= seen->n && n + AHEAD > seen->n && row->payload.len == body_of(n).len &&
             memcmp(row->payload.data, body_of(n).data, row->payload.len) == 0);
  seen->count++;
  return 0;
}

static int see_row(void *arg, const chat_row *row) {
  count *seen = arg;
  life_check(row->seq == seen->first + seen->count && row->payload.len == body_of(row->seq).len &&
             memcmp(row->payload.data, body_of(row->seq).data, row->payload.len) == 0);
  seen->count++;
  return 0;
}

static int see_conversation(void *arg, const chat_cache_conversation *conversation) {
  count *seen = arg;
  life_check(conversation->cursor == seen->n && conversation->head == seen->n);
  seen->count++;
  return 0;
}

static uint64_t number_there(void) {
  chat_bytes value;
  uint64_t n = 0;
  int error = calls->value_get(cache->self, "number", &value);
  if (error == CHAT_E_NOT_FOUND) return 0;
  life_check(error == 0 && value.len == sizeof n);
  memcpy(&n, value.data, sizeof n);
  return n;
}

static void check_outbox(uint64_t n) {
  count seen = {.n = n};
  life_check(calls->outbox_list(cache->self, see_outbox, &seen) == 0 && seen.count == (n < AHEAD ? n : AHEAD));
}

static uint64_t check(void) {
  uint8_t id[16];
  uint64_t n = number_there(), wanted = n < CHECKED_ROWS ? n : CHECKED_ROWS;
  life_check(n >= known->durable && n <= known->tried);
  check_outbox(n);
  count rows = {.n = n, .first = n - wanted + 1}, conversations = {.n = n};
  id_of(id, 0);
  life_check(calls->rows(cache->self, id, 0, n, CHECKED_ROWS, 1, see_row, &rows) == 0 && rows.count == wanted);
  life_check(calls->conversation_list(cache->self, see_conversation, &conversations) == 0 && conversations.count == (n > 0));
  known->tried = n;
  return n;
}

/* ------------------------------------------------------------------------------------------------ life */

static void live(const char *folder, void *promises) {
  char path[128];
  known = promises;
  snprintf(path, sizeof path, "%s/person.db", folder);
  life_check(ch_cache_sqlite_new(NULL, path, &cache) == 0);
  calls = cache->vtable;
  life_do(calls->open(cache->self));
  for (uint64_t n = check() + 1; !life_chance(1); n++) {
    transaction(n, life_chance(30));
    if (life_chance(3)) {
      calls->close(cache->self);
      life_do(calls->open(cache->self));
      check();
    }
  }
  calls->free(cache->self);
}

int main(int argc, char **argv) {
  return life_main(argc, argv,
                   &(life_subject){.name = "client's database", .calls_max = 400, .promised_len = sizeof(promised), .live = live});
}
