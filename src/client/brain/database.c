/* SPDX-License-Identifier: Apache-2.0 */
#include "client/brain/database.h"

#include <string.h>

#include "client/brain/owner.h"
#include "core/assert.h"
#include "core/rule.h"

enum { RETRY_MS = 5000 };

static const chat_cache_vtable *vtable(const ch_brain *brain) {
  return brain->config.cache->vtable;
}

static void *cache(const ch_brain *brain) {
  return brain->config.cache->self;
}

void ch_database_init(ch_brain *brain) {
  brain->database = (ch_database){.is_open = false};
  ch_list_init(&brain->database.conversations);
  ch_list_init(&brain->database.items);
}

bool ch_has_failed(const ch_brain *brain) {
  return brain->database.error != 0;
}

void ch_fail(ch_brain *brain, int error) {
  ch_assert(brain->database.in_transaction);
  if (!brain->database.error) brain->database.error = error;
}

void ch_begin(ch_brain *brain) {
  ch_database *database = &brain->database;
  ch_assert(!database->in_transaction);
  database->in_transaction = true;
  database->identity_changed = database->must_be_durable = false;
  database->error = database->is_open && !database->is_corrupt ? vtable(brain)->begin(cache(brain)) : CHAT_E_IO;
  /* A sync that failed leaves a database that has to be opened anew to know what is in it. */
  if (database->error == CHAT_E_IO) database->is_lost = true;
}

/* ------------------------------------------------------------------------------------------------ changes */

ch_kept *ch_change(ch_brain *brain, ch_conversation *conversation) {
  ch_assert(brain->database.in_transaction);
  if (conversation->is_new || conversation->before) return &conversation->kept;
  conversation->before = ch_alloc(brain->env.alloc, sizeof *conversation->before);
  if (!conversation->before) {
    /* Without the copy it could not be taken back: what follows writes to one that nobody looks at. */
    ch_fail(brain, CHAT_E_NOMEM);
    return &brain->spoiled;
  }
  *conversation->before = conversation->kept;
  ch_list_push_back(&brain->database.conversations, &conversation->changed);
  return &conversation->kept;
}

ch_identity *ch_change_identity(ch_brain *brain) {
  ch_database *database = &brain->database;
  ch_assert(database->in_transaction);
  if (!database->identity_changed) database->identity_before = database->identity;
  database->identity_changed = true;
  return &database->identity;
}

void ch_put_row(ch_brain *brain, const chat_row *row) {
  if (!ch_has_failed(brain)) brain->database.error = vtable(brain)->row_put(cache(brain), row);
  brain->has_unindexed = true;
}

void ch_remove_row(ch_brain *brain, const uint8_t conversation_id[16], uint64_t seq) {
  if (!ch_has_failed(brain)) brain->database.error = vtable(brain)->row_remove(cache(brain), conversation_id, seq);
}

void ch_forget_history(ch_brain *brain, const uint8_t conversation_id[16]) {
  if (!ch_has_failed(brain)) brain->database.error = vtable(brain)->history_forget(cache(brain), conversation_id);
}

void ch_put_cover(ch_brain *brain, const uint8_t conversation_id[16], uint64_t low, uint64_t high) {
  if (low < high && !ch_has_failed(brain)) brain->database.error = vtable(brain)->cover(cache(brain), conversation_id, low, high);
}

void ch_put_members(ch_brain *brain, const uint8_t conversation_id[16], const chat_cache_member *members, size_t count) {
  if (!ch_has_failed(brain)) brain->database.error = vtable(brain)->members_replace(cache(brain), conversation_id, members, count);
}

void ch_put_proof(ch_brain *brain) {
  if (!ch_has_failed(brain)) brain->database.error = vtable(brain)->value_put(cache(brain), "proof", ch_bytes_text("1"));
}

bool ch_put_mark(ch_brain *brain, const uint8_t conversation_id[16], chat_bytes user, uint64_t delivered, uint64_t read) {
  if (ch_has_failed(brain)) return false;
  int error = vtable(brain)->member_mark(cache(brain), conversation_id, user, delivered, read);
  if (error && error != CHAT_E_NOT_FOUND) ch_fail(brain, error);
  return error == 0;
}

/* ------------------------------------------------------------------------------------------------ end */

static int put_u64(ch_brain *brain, const char *name, uint64_t number) {
  uint8_t bytes[8];
  for (int i = 0; i < 8; i++)
    bytes[i] = (uint8_t)(number >> (56 - 8 * i));
  return vtable(brain)->value_put(cache(brain), name, ch_bytes_of(bytes, sizeof bytes));
}

static int put_identity(ch_brain *brain) {
  const ch_identity *now = &brain->database.identity, *old = &brain->database.identity_before;
  int error = 0;
  if (now->user_len != old->user_len) error = vtable(brain)->value_put(cache(brain), "user", ch_bytes_of(now->user, now->user_len));
  if (!error && (now->has_device != old->has_device || memcmp(now->device_id, old->device_id, 16) != 0))
    error = vtable(brain)->value_put(cache(brain), "device", ch_bytes_of(now->device_id, now->has_device ? 16 : 0));
  if (!error && now->session != old->session) error = put_u64(brain, "session", now->session);
  if (!error && now->position != old->position) error = put_u64(brain, "position", now->position);
  return error;
}

static int write_changes(ch_brain *brain) {
  ch_database *database = &brain->database;
  int error = database->identity_changed ? put_identity(brain) : 0;
  for (ch_list *node = database->conversations.next; node != &database->conversations && !error; node = node->next) {
    chat_cache_conversation row = ch_kept_row(&CH_LIST_ITEM(node, ch_conversation, changed)->kept);
    error = vtable(brain)->conversation_put(cache(brain), &row);
  }
  for (ch_list *node = database->items.next; node != &database->items && !error; node = node->next)
    error = ch_item_write(brain, CH_LIST_ITEM(node, ch_outbox_item, touched));
  return error;
}

static void forget_copy(ch_brain *brain, ch_conversation *conversation) {
  ch_free(brain->env.alloc, conversation->before);
  conversation->before = NULL;
  conversation->is_new = conversation->announce = false;
}

static void keep(ch_brain *brain) {
  ch_items_keep(brain);
  ch_list *changed = &brain->database.conversations;
  for (ch_list *node = ch_list_pop_front(changed); node; node = ch_list_pop_front(changed)) {
    ch_conversation *conversation = CH_LIST_ITEM(node, ch_conversation, changed);
    bool announce = conversation->announce;
    forget_copy(brain, conversation);
    ch_people_want(brain, conversation);
    ch_receipts_want(brain, conversation);
    if (announce) ch_tell_conversation(brain, conversation);
  }
}

static void restore(ch_brain *brain) {
  ch_database *database = &brain->database;
  ch_items_restore(brain);
  if (database->identity_changed) database->identity = database->identity_before;
  for (ch_list *node = ch_list_pop_front(&database->conversations); node; node = ch_list_pop_front(&database->conversations)) {
    ch_conversation *conversation = CH_LIST_ITEM(node, ch_conversation, changed);
    if (conversation->is_new) {
      ch_conversation_drop(brain, conversation);
      continue;
    }
    uint64_t cursor = conversation->kept.row.cursor;
    conversation->kept = *conversation->before;
    if (!CH_RULE(CURSOR_WITH_ROWS)) conversation->kept.row.cursor = cursor;
    conversation->ticks_known = false;
    forget_copy(brain, conversation);
  }
}

int ch_end(ch_brain *brain, bool durable) {
  ch_database *database = &brain->database;
  ch_assert(database->in_transaction);
  int error = database->error;
  if (!error) error = write_changes(brain);
  if (!error) error = vtable(brain)->commit(cache(brain), durable || (database->must_be_durable && CH_RULE(C1)));
  if (error) {
    if (database->is_open) vtable(brain)->rollback(cache(brain));
    restore(brain);
    ch_events_discard(brain);
    database->in_transaction = false;
    ch_database_trouble(brain, error);
    return error;
  }
  database->in_transaction = false;
  database->trouble_told = false;
  ch_events_publish(brain);
  keep(brain);
  return 0;
}

int ch_abandon(ch_brain *brain, int error) {
  ch_fail(brain, error);
  return ch_end(brain, false);
}

/* CORRUPT is dealt with when the call in hand is over (brain.c): set_aside changes everything that handlers hold pointers to. */
void ch_database_trouble(ch_brain *brain, int error) {
  ch_database *database = &brain->database;
  if (error == CHAT_E_CORRUPT) database->is_corrupt = true;
  if (error != CHAT_E_FULL && error != CHAT_E_IO) return;
  /* Not later for being tried by others meanwhile, above all where it is to be opened anew. */
  if (!database->is_lost && ch_now_ms(brain) >= database->retry_ms) database->retry_ms = ch_now_ms(brain) + RETRY_MS;
  if (database->trouble_told) return;
  database->trouble_told = true;
  ch_tell_status(brain, CHAT_EVENT_DATABASE, error, (chat_bytes){0});
}

int ch_read(ch_brain *brain, int error) {
  if (error) ch_database_trouble(brain, error);
  return error;
}

/* ------------------------------------------------------------------------------------------------ looking for one's own */

typedef struct own_search {
  ch_brain *brain;
  uint32_t type;
  chat_bytes payload;
  ch_found found;
  uint64_t seq;
} own_search;

static int visit_own(void *arg, const chat_row *row) {
  own_search *search = arg;
  if (!ch_is_own(search->brain, row->sender)) return 0;
  search->seq = row->seq;
  search->found = row->type == search->type && ch_bytes_equal(row->payload, search->payload) ? CH_FOUND_SAME : CH_FOUND_OTHER;
  return 1;
}

int ch_find_own(ch_brain *brain, const uint8_t conversation_id[16], const uint8_t client_id[16], uint32_t type, chat_bytes payload,
                ch_found *found, uint64_t *seq) {
  own_search search = {.brain = brain, .type = type, .payload = payload};
  int error = vtable(brain)->row_by_client_id(cache(brain), conversation_id, client_id, visit_own, &search);
  *found = search.found;
  *seq = search.seq;
  return error == CHAT_E_NOT_FOUND ? 0 : ch_read(brain, error);
}
