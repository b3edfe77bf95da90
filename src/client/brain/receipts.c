/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receipts. DELIVERED names the cursor as last committed durably (V8): one durable commit for each flush, then what was committed is said.
 */
#include "client/brain/receipts.h"

#include <string.h>

#include "client/brain/owner.h"
#include "core/rule.h"

enum { FLUSH_EVERY_MS = 200, RETRY_MS = 5000 };

void ch_receipts_reset(ch_brain *brain) {
  brain->receipts = (ch_receipts_part){.not_before_ms = 0};
  ch_list_init(&brain->receipts.to_tell);
}

static bool says_news(const ch_conversation *conversation) {
  const chat_cache_conversation *row = &conversation->kept.row;
  return row->delivered > row->delivered_sent || row->read > row->read_sent;
}

void ch_receipts_want(ch_brain *brain, ch_conversation *conversation) {
  const chat_cache_conversation *row = &conversation->kept.row;
  if (!ch_list_is_empty(&conversation->to_tell) || conversation->receipt_under_way) return;
  if (row->cursor > row->delivered || says_news(conversation)) ch_list_push_back(&brain->receipts.to_tell, &conversation->to_tell);
}

void ch_receipts_session_begun(ch_brain *brain) {
  ch_hashmap_entry *at;
  for (ch_conversation *conversation = ch_conversation_first(brain, &at); conversation; conversation = ch_conversation_next(brain, &at)) {
    conversation->receipt_under_way = false;
    ch_receipts_want(brain, conversation);
  }
}

/* ------------------------------------------------------------------------------------------------ own, out */

static bool commit_delivered(ch_brain *brain) {
  bool any = false;
  CH_LIST_FOR_EACH(node, &brain->receipts.to_tell) {
    ch_conversation *conversation = CH_LIST_ITEM(node, ch_conversation, to_tell);
    uint64_t stored = CH_RULE(STORED_BEFORE_SAID) ? conversation->kept.row.cursor : conversation->known_head;
    if (stored <= conversation->kept.row.delivered) continue;
    if (!any) ch_begin(brain);
    any = true;
    ch_kept *kept = ch_change(brain, conversation);
    kept->row.delivered = stored;
  }
  return !any || ch_end(brain, CH_RULE(V8)) == 0;
}

static void receipt_done(ch_brain *brain, ch_call *call, const ch_server_message *reply) {
  ch_conversation *conversation = ch_conversation_find(brain, call->conversation_id);
  int status = ch_call_status(brain, reply);
  if (!conversation || !reply) return;
  conversation->receipt_under_way = false;
  if (status == CHAT_E_AGAIN) brain->receipts.not_before_ms = ch_now_ms(brain) + RETRY_MS;
  else {
    ch_begin(brain);
    ch_kept *kept = ch_change(brain, conversation);
    kept->row.delivered_sent = ch_later(kept->row.delivered_sent, call->number);
    kept->row.read_sent = ch_later(kept->row.read_sent, call->number2);
    ch_end(brain, false);
  }
  ch_receipts_want(brain, conversation);
}

static bool say(ch_brain *brain, ch_conversation *conversation) {
  const chat_cache_conversation *row = &conversation->kept.row;
  ch_client_message message = {.op = CH_RECEIPT};
  ch_call call = {.done = receipt_done, .wanted = CH_OK, .number = row->delivered, .number2 = row->read};
  message.u.receipt = (ch_receipt){.delivered = row->delivered, .read = row->read};
  memcpy(message.u.receipt.conversation_id, row->conversation_id, 16);
  memcpy(call.conversation_id, row->conversation_id, 16);
  if (ch_call_put(brain, &message, &call)) return false;
  conversation->receipt_under_way = true;
  return true;
}

void ch_receipts_settle(ch_brain *brain) {
  ch_receipts_part *receipts = &brain->receipts;
  if (ch_list_is_empty(&receipts->to_tell) || !ch_is_up(brain) || ch_now_ms(brain) < receipts->not_before_ms) return;
  bool is_committed = commit_delivered(brain);
  receipts->not_before_ms = ch_now_ms(brain) + (is_committed ? FLUSH_EVERY_MS : RETRY_MS);
  for (ch_list *node = receipts->to_tell.next, *next; is_committed && node != &receipts->to_tell; node = next) {
    next = node->next;
    ch_conversation *conversation = CH_LIST_ITEM(node, ch_conversation, to_tell);
    if (!says_news(conversation) || say(brain, conversation)) ch_list_remove(node);
  }
}

uint64_t ch_receipts_deadline_ms(const ch_brain *brain) {
  return !ch_list_is_empty(&brain->receipts.to_tell) && ch_is_up(brain) ? brain->receipts.not_before_ms : CH_NEVER_MS;
}

/* ------------------------------------------------------------------------------------------------ unread */

typedef struct first_row {
  bool found;
  uint64_t msg_no;
} first_row;

static int visit_first(void *arg, const chat_row *row) {
  first_row *first = arg;
  first->found = true;
  first->msg_no = row->msg_no - (row->type == CHAT_TYPE_MESSAGE);
  return 1;
}

void ch_receipts_count_read(ch_brain *brain, ch_conversation *conversation) {
  const chat_cache *cache = brain->config.cache;
  ch_kept *kept = ch_change(brain, conversation);
  first_row first = {.found = false};
  if (ch_has_failed(brain)) return;
  int error = cache->vtable->rows(cache->self, kept->row.conversation_id, kept->row.read, INT64_MAX, 1, 0, visit_first, &first);
  if (error) ch_fail(brain, error);
  else if (first.found) kept->row.read_msg_no = first.msg_no;
  else if (kept->row.read >= kept->row.head) kept->row.read_msg_no = kept->row.msg_no;
}

void ch_request_mark_read(ch_brain *brain, const ch_client_request *request, ch_client_event *reply) {
  ch_conversation *conversation = ch_conversation_find(brain, request->conversation_id);
  if (!conversation) {
    ch_reply_end(brain, reply, CHAT_E_NOT_FOUND);
    return;
  }
  ch_begin(brain);
  ch_kept *kept = ch_change(brain, conversation);
  kept->row.read = ch_later(kept->row.read, ch_sooner(request->number, kept->row.cursor));
  kept->row.delivered = ch_later(kept->row.delivered, kept->row.read); /* what was read was delivered */
  ch_receipts_count_read(brain, conversation);
  conversation->announce = true;
  int error = ch_end(brain, true);
  ch_reply_end(brain, reply, error);
}
