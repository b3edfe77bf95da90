/* SPDX-License-Identifier: Apache-2.0 */
/* Verify: each page of the cache is held against the server's, and what differs is repaired. */
#include <string.h>

#include "client/brain/owner.h"
#include "client/brain/timeline.h"

typedef struct page_comparison {
  const ch_range_reply *reply;
  bool *same;       /* of each event of the reply */
  uint64_t *strays; /* seqs that the server does not have */
  size_t stray_count, strays_max;
} page_comparison;

static bool is_same(const chat_row *a, const chat_row *b) {
  return a->msg_no == b->msg_no && a->message_id == b->message_id && a->created_ms == b->created_ms && a->client_seq == b->client_seq &&
         a->type == b->type && memcmp(a->client_id, b->client_id, 16) == 0 && memcmp(a->device_id, b->device_id, 16) == 0 &&
         ch_bytes_equal(a->sender, b->sender) && ch_bytes_equal(a->payload, b->payload);
}

static int visit_compared(void *arg, const chat_row *row) {
  page_comparison *comparison = arg;
  for (size_t i = 0; i < comparison->reply->event_count; i++) {
    if (comparison->reply->events[i].seq != row->seq) continue;
    comparison->same[i] = is_same(&comparison->reply->events[i], row);
    return 0;
  }
  if (comparison->stray_count < comparison->strays_max) comparison->strays[comparison->stray_count++] = row->seq;
  return 0;
}

static uint64_t repair(ch_brain *brain, const page_comparison *comparison) {
  uint64_t repaired = 0;
  for (size_t i = 0; i < comparison->reply->event_count; i++) {
    if (comparison->same[i]) continue;
    ch_put_row(brain, &comparison->reply->events[i]);
    repaired++;
  }
  for (size_t i = 0; i < comparison->stray_count; i++)
    ch_remove_row(brain, comparison->reply->conversation_id, comparison->strays[i]);
  return repaired + comparison->stray_count;
}

/* `reply` of the request counts: seq compared, head repaired. */
static int compare(ch_brain *brain, const ch_range_reply *reply, ch_client_event *counts) {
  const chat_cache *cache = brain->config.cache;
  page_comparison comparison = {.reply = reply, .strays_max = CHAT_PAGE_MAX};
  comparison.same = ch_arena_calloc(&brain->arena, reply->event_count, sizeof *comparison.same);
  comparison.strays = ch_arena_calloc(&brain->arena, comparison.strays_max, sizeof *comparison.strays);
  if (!comparison.same || !comparison.strays) return CHAT_E_NOMEM;
  int error = ch_read(brain, cache->vtable->rows(cache->self, reply->conversation_id, reply->low, reply->high, UINT32_MAX, 0, visit_compared, &comparison));
  if (error) return error;
  ch_begin(brain);
  uint64_t repaired = repair(brain, &comparison);
  error = ch_end(brain, false);
  if (error) return error;
  counts->event.seq += reply->event_count;
  counts->event.head += repaired;
  return 0;
}

static void tell_progress(ch_brain *brain, const uint8_t conversation_id[16], uint64_t seq, uint64_t head) {
  ch_client_event *event = ch_event_new(brain, CHAT_EVENT_PROGRESS);
  if (event) {
    memcpy(event->event.conversation_id, conversation_id, 16);
    event->event.seq = seq;
    event->event.head = head;
  }
  ch_event_put(brain, event);
}

static void verify_from(ch_brain *brain, ch_conversation *conversation, ch_client_event *reply, uint64_t low);

static void compared(ch_brain *brain, ch_call *call, const ch_server_message *message) {
  ch_conversation *conversation = ch_conversation_find(brain, call->conversation_id);
  int status = ch_range_status_of(brain, conversation, message);
  const ch_range_reply *reply = status ? NULL : &message->u.range_reply;
  if (!status) status = compare(brain, reply, call->reply);
  if (!status && ch_later(reply->high, reply->floor) <= call->number) status = CHAT_E_AGAIN; /* the server does not know, or not give, what is here */
  if (status) {
    ch_reply_end(brain, call->reply, status);
    return;
  }
  tell_progress(brain, call->conversation_id, reply->high, conversation->kept.row.cursor);
  verify_from(brain, conversation, call->reply, ch_later(reply->high, reply->floor));
}

static void verify_from(ch_brain *brain, ch_conversation *conversation, ch_client_event *reply, uint64_t low) {
  ch_client_message message = {.op = CH_RANGE};
  ch_call call = {.done = compared, .wanted = CH_RANGE_REPLY, .reply = reply, .number = low};
  const chat_cache_conversation *row = &conversation->kept.row;
  if (low >= row->cursor) {
    ch_reply_end(brain, reply, 0);
    return;
  }
  message.u.range = (ch_range){.low = low, .high = row->cursor, .limit = CHAT_PAGE_MAX};
  memcpy(message.u.range.conversation_id, row->conversation_id, 16);
  memcpy(call.conversation_id, row->conversation_id, 16);
  int error = ch_call_put(brain, &message, &call);
  if (error) ch_reply_end(brain, reply, error);
}

void ch_request_verify(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_conversation *conversation = ch_conversation_find(brain, request->conversation_id);
  memcpy(reply->event.conversation_id, request->conversation_id, 16);
  if (!conversation || !ch_is_up(brain)) ch_reply_end(brain, reply, conversation ? CHAT_E_OFFLINE : CHAT_E_NOT_FOUND);
  else verify_from(brain, conversation, reply, ch_later(conversation->kept.row.start, conversation->kept.row.floor));
}
