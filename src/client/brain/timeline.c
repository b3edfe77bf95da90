/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of history. A page is answered from the cache when what it needs is covered there; else the hole next to where it begins is asked for, stored, and the page tried again.
 */
#include "client/brain/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "client/brain/owner.h"

enum { ASKS_MAX = 8, SPANS_MAX = 1024 };

typedef struct history_page {
  ch_client_event *reply;
  uint8_t conversation_id[16];
  uint64_t before, after;
  uint32_t limit, asks;
  bool local;
  uint64_t asked_low, asked_high; /* the hole that was asked for last */
  int status; /* what the server said instead of giving it */
} history_page;

/* What of a page is here: (low, high] without a hole from where the page begins, and the hole behind that. */
typedef struct page_reach {
  bool backwards, found;
  uint64_t from;                /* the page begins here: its high end backwards, its low end forwards */
  uint64_t edge;                /* how far it reaches without a hole */
  uint64_t hole_low, hole_high; /* equal: none */
} page_reach;

static int visit_backwards(page_reach *reach, uint64_t low, uint64_t high) {
  if (low >= reach->from) return 1;
  if (high >= reach->from) {
    reach->found = true;
    reach->edge = low;
    return 1;
  }
  reach->hole_low = high;
  return 0;
}

static int visit_forwards(page_reach *reach, uint64_t low, uint64_t high) {
  if (high <= reach->from) return 0;
  if (low <= reach->from) {
    reach->found = true;
    reach->edge = high;
    return 0;
  }
  reach->hole_high = ch_sooner(reach->hole_high, low);
  return 1;
}

static int visit_cover(void *arg, uint64_t low, uint64_t high) {
  page_reach *at = arg;
  return at->backwards ? visit_backwards(at, low, high) : visit_forwards(at, low, high);
}

static uint64_t page_end(const ch_brain *brain, const ch_conversation *conversation) {
  return ch_is_up(brain) ? ch_later(conversation->known_head, conversation->kept.row.cursor) : conversation->kept.row.cursor;
}

static int find_reach(ch_brain *brain, const ch_conversation *conversation, const history_page *page, page_reach *reach) {
  const chat_cache *cache = brain->config.cache;
  uint64_t end = page_end(brain, conversation);
  memset(reach, 0, sizeof *reach);
  reach->backwards = page->after == 0;
  reach->from = page->after > 0 ? page->after : page->before > 0 ? ch_sooner(page->before - 1, end) : end;
  reach->edge = reach->from;
  reach->hole_high = end;
  int error = ch_read(brain, cache->vtable->covered(cache->self, page->conversation_id, visit_cover, reach));
  if (reach->backwards) reach->hole_high = reach->edge;
  else reach->hole_low = reach->edge;
  reach->hole_low = ch_later(reach->hole_low, conversation->kept.row.floor);
  reach->hole_high = ch_later(reach->hole_low, reach->hole_high);
  return error;
}

static int visit_count(void *arg, const chat_row *row) {
  (void)row;
  ++*(uint32_t *)arg;
  return 0;
}

static int rows_without_hole(ch_brain *brain, const history_page *page, const page_reach *reach, uint32_t *count) {
  const chat_cache *cache = brain->config.cache;
  uint64_t low = reach->backwards ? reach->edge : reach->from, high = reach->backwards ? reach->from : reach->edge;
  *count = 0;
  return ch_read(brain, cache->vtable->rows(cache->self, page->conversation_id, low, high, page->limit, reach->backwards, visit_count, count));
}

/* ------------------------------------------------------------------------------------------------ answering */

typedef struct span {
  uint64_t low, high;
} span;

typedef struct page_filling {
  ch_brain *brain;
  ch_conversation *conversation;
  history_page *page;
  size_t messages_max;
  span spans[SPANS_MAX];
  size_t span_count;
  uint64_t last_seq; /* of the row before */
  int error;
} page_filling;

static int visit_span(void *arg, uint64_t low, uint64_t high) {
  page_filling *filling = arg;
  filling->spans[filling->span_count++] = (span){low, high};
  return filling->span_count == SPANS_MAX;
}

/* How much of (low, high] is not covered. */
static uint64_t uncovered(const page_filling *filling, uint64_t low, uint64_t high) {
  uint64_t missing = high > low ? high - low : 0;
  for (size_t i = 0; i < filling->span_count; i++) {
    uint64_t from = ch_later(low, filling->spans[i].low), to = ch_sooner(high, filling->spans[i].high);
    if (to > from) missing -= to - from;
  }
  return missing;
}

static int visit_row(void *arg, const chat_row *row) {
  page_filling *filling = arg;
  chat_message *message = ch_event_add_message(filling->page->reply, filling->messages_max);
  filling->error = message ? ch_message_from_row(filling->brain, filling->page->reply, message, row) : CHAT_E_NOMEM;
  if (filling->error) return 1;
  if (message->own && filling->conversation->ticks_known) message->tick = ch_receipts_tick(filling->brain, filling->conversation, row->seq);
  uint64_t before = ch_later(filling->last_seq, filling->conversation->kept.row.floor);
  message->gap_before = filling->last_seq > 0 || filling->page->after > 0 ? uncovered(filling, before, row->seq - 1) : 0;
  filling->last_seq = row->seq;
  return 0;
}

static int fill_pending(page_filling *filling) {
  int error = 0;
  for (ch_list *node = filling->conversation->rows.next; node != &filling->conversation->rows && !error; node = node->next) {
    chat_message *message = ch_event_add_message(filling->page->reply, filling->messages_max);
    error = message ? ch_message_from_item(filling->brain, filling->page->reply, message, CH_LIST_ITEM(node, ch_outbox_item, place)) : CHAT_E_NOMEM;
  }
  return error;
}

static size_t pending_count(const ch_conversation *conversation) {
  size_t count = 0;
  CH_LIST_FOR_EACH(node, &conversation->rows)
    count++;
  return count;
}

/* `lacks`: part of the page is at the server only. */
static uint32_t goes_on(const page_filling *filling, const page_reach *reach, bool lacks) {
  if ((lacks || filling->page->status) && !filling->page->local) return 1;
  const chat_event *event = &filling->page->reply->event;
  if (!reach->backwards) return filling->last_seq < page_end(filling->brain, filling->conversation);
  return event->message_count > 0 && event->messages[0]->seq > filling->conversation->kept.row.floor + 1;
}

static int fill_page(ch_brain *brain, ch_conversation *conversation, history_page *page, const page_reach *reach, bool lacks) {
  const chat_cache *cache = brain->config.cache;
  page_filling *filling = ch_calloc(brain->env.alloc, 1, sizeof *filling);
  if (!filling) return CHAT_E_NOMEM;
  filling->brain = brain;
  filling->conversation = conversation;
  filling->page = page;
  filling->messages_max = page->limit + pending_count(conversation);
  filling->last_seq = page->after;
  ch_receipts_tick(brain, conversation, 0); /* reads the members now: a visitor may not */
  uint64_t low = reach->backwards ? 0 : reach->from, high = reach->backwards ? reach->from : INT64_MAX;
  int error = ch_read(brain, cache->vtable->covered(cache->self, page->conversation_id, visit_span, filling));
  if (!error) error = ch_read(brain, cache->vtable->rows(cache->self, page->conversation_id, low, high, page->limit, reach->backwards, visit_row, filling));
  if (!error) error = filling->error;
  page->reply->event.more = goes_on(filling, reach, lacks);
  if (!error && page->before == 0 && page->after == 0) error = fill_pending(filling);
  ch_free(brain->env.alloc, filling);
  return error;
}

/* ------------------------------------------------------------------------------------------------ asking */

static void try_page(ch_brain *brain, history_page *page);

static void store_range(ch_brain *brain, ch_conversation *conversation, const ch_range_reply *reply) {
  ch_begin(brain);
  ch_kept *kept = ch_change(brain, conversation);
  if (reply->floor <= kept->row.cursor) kept->row.floor = ch_later(kept->row.floor, reply->floor);
  for (size_t i = 0; i < reply->event_count; i++)
    ch_put_row(brain, &reply->events[i]);
  ch_put_cover(brain, reply->conversation_id, reply->low, reply->high);
  ch_receipts_count_read(brain, conversation);
  ch_end(brain, false);
}

static void hole_filled(ch_brain *brain, ch_call *call, const ch_server_message *reply) {
  history_page *page = call->job;
  ch_conversation *conversation = ch_conversation_find(brain, page->conversation_id);
  page->status = ch_range_status_of(brain, conversation, reply);
  if (!page->status) store_range(brain, conversation, &reply->u.range_reply);
  try_page(brain, page);
}

static bool ask_hole(ch_brain *brain, history_page *page, const page_reach *reach) {
  ch_client_message message = {.op = CH_RANGE};
  bool is_same = page->asks > 0 && page->asked_low == reach->hole_low && page->asked_high == reach->hole_high;
  if (page->local || page->status || is_same || page->asks >= ASKS_MAX) return false;
  page->asked_low = reach->hole_low;
  page->asked_high = reach->hole_high;
  message.u.range = (ch_range){.low = reach->hole_low, .high = reach->hole_high, .limit = page->limit, .newest_first = reach->backwards};
  memcpy(message.u.range.conversation_id, page->conversation_id, 16);
  page->asks++;
  return ch_call_put(brain, &message, &(ch_call){.done = hole_filled, .wanted = CH_RANGE_REPLY, .job = page}) == 0;
}

static int answer_page(ch_brain *brain, ch_conversation *conversation, history_page *page, const page_reach *reach, bool lacks) {
  int error = fill_page(brain, conversation, page, reach, lacks);
  if (error || page->local) return error;
  if (page->status || !lacks) return page->status;
  return ch_is_up(brain) ? CHAT_E_AGAIN : ch_no_session(brain);
}

static void try_page(ch_brain *brain, history_page *page) {
  ch_conversation *conversation = ch_conversation_find(brain, page->conversation_id);
  page_reach reach = {0};
  uint32_t count = 0;
  int error = conversation ? find_reach(brain, conversation, page, &reach) : CHAT_E_NOT_FOUND;
  if (!error) error = rows_without_hole(brain, page, &reach, &count);
  bool lacks = !error && count < page->limit && reach.hole_low < reach.hole_high;
  if (lacks && ask_hole(brain, page, &reach)) return;
  if (!error) error = answer_page(brain, conversation, page, &reach, lacks);
  ch_reply_end(brain, page->reply, error);
  ch_free(brain->env.alloc, page);
}

void ch_request_history(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  history_page *page = ch_calloc(brain->env.alloc, 1, sizeof *page);
  if (!page) {
    ch_reply_end(brain, reply, CHAT_E_NOMEM);
    return;
  }
  page->reply = reply;
  page->before = request->number;
  page->after = request->number2;
  page->limit = request->limit;
  page->local = request->flag;
  memcpy(page->conversation_id, request->conversation_id, 16);
  memcpy(reply->event.conversation_id, request->conversation_id, 16);
  try_page(brain, page);
}

/* ------------------------------------------------------------------------------------------------ search */

typedef struct search_hits {
  ch_brain *brain;
  ch_client_event *reply;
  uint32_t limit;
  int error;
} search_hits;

static int visit_hit(void *arg, const chat_row *row) {
  search_hits *hits = arg;
  if (hits->reply->event.message_count == hits->limit) {
    hits->reply->event.more = 1;
    return 1;
  }
  chat_message *message = ch_event_add_message(hits->reply, hits->limit);
  hits->error = message ? ch_message_from_row(hits->brain, hits->reply, message, row) : CHAT_E_NOMEM;
  return hits->error;
}

static void found(ch_brain *brain, ch_call *call, const ch_server_message *reply) {
  int status = ch_call_status(brain, reply);
  search_hits hits = {brain, call->reply, (uint32_t)call->number, 0};
  for (size_t i = 0; !status && i < reply->u.search_reply.event_count && !hits.error; i++)
    visit_hit(&hits, &reply->u.search_reply.events[i]);
  if (!status && reply->u.search_reply.more) call->reply->event.more = 1;
  ch_reply_end(brain, call->reply, status ? status : hits.error);
}

static int search_server(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_client_message message = {.op = CH_SEARCH};
  message.u.search = (ch_search){.query = request->text, .before_message_id = request->number, .limit = request->limit};
  if (request->has_conversation) memcpy(message.u.search.conversation_id, request->conversation_id, 16);
  return ch_call_put(brain, &message, &(ch_call){.done = found, .wanted = CH_SEARCH_REPLY, .reply = reply, .number = request->limit});
}

void ch_request_search(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  const chat_cache *cache = brain->config.cache;
  search_hits hits = {brain, reply, request->limit, 0};
  int error;
  if (request->flag) {
    error = search_server(brain, request, reply);
    if (error) ch_reply_end(brain, reply, error);
    return;
  }
  error = ch_read(brain, cache->vtable->search(cache->self, request->text, request->has_conversation ? request->conversation_id : NULL, request->number,
                                               request->limit + 1, visit_hit, &hits));
  ch_reply_end(brain, reply, error ? error : hits.error);
}

/* ------------------------------------------------------------------------------------------------ conversations */

static int by_activity(const void *a, const void *b) {
  const ch_conversation *first = *(ch_conversation *const *)a, *second = *(ch_conversation *const *)b;
  uint64_t first_ms = first->kept.row.active_ms, second_ms = second->kept.row.active_ms;
  if (first_ms != second_ms) return first_ms < second_ms ? 1 : -1;
  return memcmp(first->kept.row.conversation_id, second->kept.row.conversation_id, 16);
}

void ch_request_conversations(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  size_t count = brain->conversations.by_id.count, at = 0;
  ch_conversation **sorted = ch_calloc(brain->env.alloc, count, sizeof *sorted);
  ch_hashmap_entry *entry;
  int error = sorted ? 0 : CHAT_E_NOMEM;
  for (ch_conversation *conversation = ch_conversation_first(brain, &entry); sorted && conversation; conversation = ch_conversation_next(brain, &entry))
    sorted[at++] = conversation;
  if (sorted) qsort(sorted, count, sizeof *sorted, by_activity);
  for (uint64_t i = request->number; i < count && !error && reply->event.conversation_count < request->limit; i++)
    error = ch_event_add_conversation(brain, reply, sorted[i], request->limit);
  reply->event.more = request->number + reply->event.conversation_count < count;
  ch_free(brain->env.alloc, sorted);
  ch_reply_end(brain, reply, error);
}

void ch_request_conversation(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_conversation *conversation = ch_conversation_find(brain, request->conversation_id);
  ch_reply_end(brain, reply, conversation ? ch_event_add_conversation(brain, reply, conversation, 1) : CHAT_E_NOT_FOUND);
}
