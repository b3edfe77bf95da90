/* SPDX-License-Identifier: Apache-2.0 */
/* The watermarks of others, and the ticks that they make. */
#include <stdlib.h>
#include <string.h>

#include "client/brain/owner.h"
#include "client/brain/receipts.h"

static void tell_receipt(ch_brain *brain, const chat_watermark *mark) {
  ch_client_event *event = ch_event_new(brain, CHAT_EVENT_RECEIPT);
  int error = 0;
  if (event) {
    memcpy(event->event.conversation_id, mark->conversation_id, 16);
    event->event.user = ch_event_copy(event, mark->user, &error);
    event->event.delivered = mark->delivered;
    event->event.read = mark->read;
  }
  ch_event_put(brain, event);
}

static void own_mark(ch_brain *brain, ch_conversation *conversation, const chat_watermark *mark) {
  ch_kept *kept = ch_change(brain, conversation);
  kept->row.delivered = ch_later(kept->row.delivered, mark->delivered);
  kept->row.delivered_sent = ch_later(kept->row.delivered_sent, mark->delivered);
  kept->row.read_sent = ch_later(kept->row.read_sent, mark->read);
  if (mark->read <= kept->row.read) return;
  kept->row.read = mark->read;
  ch_receipts_count_read(brain, conversation);
  conversation->announce = true;
}

/* The members of one conversation as they are in the cache, in bytewise order. */
typedef struct known_members {
  const ch_conversation *conversation;
  ch_arena arena;
  chat_cache_member *rows;
  size_t count;
  int error;
} known_members;

enum { KNOWN_CHUNK_LEN = 16384, KNOWN_CAP_LEN = 1024 * 1024, ASK_MAX = 200 /* conversations in one GET_RECEIPTS */ };

static int visit_known(void *arg, const chat_cache_member *member) {
  known_members *known = arg;
  const uint8_t *user = ch_arena_dup(&known->arena, member->user.data, member->user.len);
  known->error = user ? 0 : CHAT_E_NOMEM;
  if (known->error || known->count == CHAT_GROUP_MEMBERS_MAX) return 1;
  known->rows[known->count] = *member;
  known->rows[known->count++].user = (chat_bytes){user, member->user.len};
  return 0;
}

/* In a transaction. */
static void load_known(ch_brain *brain, known_members *known, const ch_conversation *conversation) {
  const chat_cache *cache = brain->config.cache;
  ch_arena_reset(&known->arena);
  known->conversation = conversation;
  known->count = 0;
  known->rows = ch_arena_calloc(&known->arena, CHAT_GROUP_MEMBERS_MAX, sizeof *known->rows);
  int error = known->rows ? 0 : CHAT_E_NOMEM;
  if (!error) error = cache->vtable->members_list(cache->self, conversation->kept.row.conversation_id, visit_known, known);
  if (!error) error = known->error;
  if (error) ch_fail(brain, error);
}

static int by_user(const void *a, const void *b) {
  return ch_bytes_compare(((const chat_cache_member *)a)->user, ((const chat_cache_member *)b)->user);
}

static chat_cache_member *find_known(const known_members *known, chat_bytes user) {
  chat_cache_member wanted = {.user = user};
  return known->count > 0 ? bsearch(&wanted, known->rows, known->count, sizeof wanted, by_user) : NULL;
}

/* A mark of somebody who is not a member here comes again with the members. One that is no news is not told: a connect asks for those of all conversations. */
static void others_mark(ch_brain *brain, known_members *known, const chat_watermark *mark) {
  chat_cache_member *member = find_known(known, mark->user);
  if (!member || (mark->delivered <= member->delivered && mark->read <= member->read)) return;
  member->delivered = ch_later(member->delivered, mark->delivered);
  member->read = ch_later(member->read, mark->read);
  chat_watermark now = *mark;
  now.delivered = member->delivered;
  now.read = member->read;
  if (ch_put_mark(brain, mark->conversation_id, mark->user, now.delivered, now.read)) tell_receipt(brain, &now);
}

static void take_mark(ch_brain *brain, known_members *known, const chat_watermark *mark) {
  ch_conversation *conversation = ch_conversation_find(brain, mark->conversation_id);
  if (!conversation) return;
  conversation->ticks_known = false;
  if (ch_is_own(brain, mark->user)) {
    own_mark(brain, conversation, mark);
    return;
  }
  if (known->conversation != conversation) load_known(brain, known, conversation);
  if (!ch_has_failed(brain)) others_mark(brain, known, mark);
}

static void take_marks(ch_brain *brain, const ch_receipts *receipts) {
  known_members known = {.conversation = NULL};
  ch_arena_init(&known.arena, brain->env.alloc, KNOWN_CHUNK_LEN, KNOWN_CAP_LEN);
  ch_begin(brain);
  for (size_t i = 0; i < receipts->count && !ch_has_failed(brain); i++)
    take_mark(brain, &known, &receipts->marks[i]);
  ch_end(brain, false);
  ch_arena_fini(&known.arena);
}

void ch_receipts_tell_moved(ch_brain *brain, const ch_conversation *conversation, const chat_cache_member *members, size_t count) {
  known_members known = {.conversation = NULL};
  ch_arena_init(&known.arena, brain->env.alloc, KNOWN_CHUNK_LEN, KNOWN_CAP_LEN);
  load_known(brain, &known, conversation);
  for (size_t i = 0; i < count && !ch_has_failed(brain); i++) {
    const chat_cache_member *was = find_known(&known, members[i].user);
    bool moved = was ? members[i].delivered > was->delivered || members[i].read > was->read : conversation->is_open && members[i].delivered > 0;
    if (!moved || ch_is_own(brain, members[i].user)) continue;
    chat_watermark mark = {.user = members[i].user, .delivered = members[i].delivered, .read = members[i].read};
    memcpy(mark.conversation_id, conversation->kept.row.conversation_id, 16);
    tell_receipt(brain, &mark);
  }
  ch_arena_fini(&known.arena);
}

void ch_on_receipts(ch_brain *brain, const ch_server_message *message) {
  take_marks(brain, &message->u.receipts);
}

static void asked_done(ch_brain *brain, ch_call *call, const ch_server_message *reply) {
  (void)call;
  if (ch_call_status(brain, reply) == 0) take_marks(brain, &reply->u.receipts);
}

void ch_receipts_ask(ch_brain *brain, ch_conversation *const *conversations, size_t count) {
  uint8_t ids[ASK_MAX][16];
  size_t asked = count < ASK_MAX ? count : ASK_MAX;
  if (asked == 0) return;
  for (size_t i = 0; i < asked; i++)
    memcpy(ids[i], conversations[i]->kept.row.conversation_id, 16);
  ch_client_message message = {.op = CH_GET_RECEIPTS, .u.get_receipts = {(const uint8_t(*)[16])ids, asked}};
  ch_call_put(brain, &message, &(ch_call){.done = asked_done, .wanted = CH_RECEIPTS});
}

static int visit_mark(void *arg, const chat_cache_member *member) {
  void **context = arg;
  const ch_brain *brain = context[0];
  ch_conversation *conversation = context[1];
  if (ch_is_own(brain, member->user)) return 0;
  conversation->ticks_delivered = ch_sooner(conversation->ticks_delivered, ch_later(member->delivered, member->read));
  conversation->ticks_read = ch_sooner(conversation->ticks_read, member->read);
  return 0;
}

static void find_ticks(ch_brain *brain, ch_conversation *conversation) {
  const chat_cache *cache = brain->config.cache;
  void *context[] = {brain, conversation};
  conversation->ticks_delivered = conversation->ticks_read = UINT64_MAX;
  int error = ch_read(brain, cache->vtable->members_list(cache->self, conversation->kept.row.conversation_id, visit_mark, context));
  conversation->ticks_known = error == 0;
  if (error || conversation->ticks_read == UINT64_MAX) conversation->ticks_delivered = conversation->ticks_read = 0; /* nobody else is known */
}

uint32_t ch_receipts_tick(ch_brain *brain, ch_conversation *conversation, uint64_t seq) {
  if (!conversation->ticks_known) find_ticks(brain, conversation);
  if (seq <= conversation->ticks_read) return CHAT_TICK_READ;
  return seq <= conversation->ticks_delivered ? CHAT_TICK_DELIVERED : CHAT_TICK_SENT;
}

static bool lacks_ticks(ch_brain *brain, ch_conversation *conversation) {
  const chat_cache_conversation *row = &conversation->kept.row;
  if (row->kind == CHAT_CHANNEL || row->role == CHAT_ROLE_NONE || row->head == 0) return false;
  if (row->members_stale) return false; /* they are asked for, and their watermarks come with them */
  return ch_receipts_tick(brain, conversation, row->head) != CHAT_TICK_READ;
}

void ch_receipts_ask_all(ch_brain *brain) {
  ch_conversation *conversations[ASK_MAX];
  size_t count = 0;
  ch_hashmap_entry *at;
  for (ch_conversation *conversation = ch_conversation_first(brain, &at); conversation; conversation = ch_conversation_next(brain, &at)) {
    if (!lacks_ticks(brain, conversation)) continue;
    conversations[count++] = conversation;
    if (count < ASK_MAX) continue;
    ch_receipts_ask(brain, conversations, count);
    count = 0;
  }
  ch_receipts_ask(brain, conversations, count);
}
