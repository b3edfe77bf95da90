/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold at each step: ops, frames of both ways, cursors, events. */
#include "sim/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "sim/cache_watch.h"
#include "sim/device.h"
#include "sim/oracle_parts.h"

/* ------------------------------------------------------------------------------------------------ life */

void sim_oracle_new(sim *s) {
  static const uint8_t seed[CH_HASHMAP_SEED_LEN] = {1};
  sim_oracle *oracle = calloc(1, sizeof *oracle);
  ch_assert(oracle);
  ch_hashmap_init(&oracle->truths, NULL, seed);
  ch_hashmap_init(&oracle->intents, NULL, seed);
  ch_hashmap_init(&oracle->logged, NULL, seed);
  ch_hashmap_init(&oracle->committed, NULL, seed);
  ch_hashmap_init(&oracle->newest, NULL, seed);
  ch_arena_init(&oracle->arena, NULL, 65536, 64 * 1024 * 1024);
  s->oracle = oracle;
}

static void free_values(ch_hashmap *map) {
  for (ch_hashmap_entry *e = ch_hashmap_first(map); e; e = ch_hashmap_next(map, e))
    free(e->value);
}

void sim_oracle_free(sim *s) {
  sim_oracle *oracle = s->oracle;
  for (ch_hashmap_entry *e = ch_hashmap_first(&oracle->truths); e; e = ch_hashmap_next(&oracle->truths, e))
    free(((sim_truth *)e->value)->rows);
  free_values(&oracle->truths);
  free_values(&oracle->intents);
  ch_hashmap_fini(&oracle->truths);
  ch_hashmap_fini(&oracle->intents);
  ch_hashmap_fini(&oracle->logged);
  ch_hashmap_fini(&oracle->committed);
  ch_hashmap_fini(&oracle->newest);
  ch_arena_fini(&oracle->arena);
  free(oracle);
}

/* ------------------------------------------------------------------------------------------------ people */

sim_intent *sim_oracle_intent(sim *s, const uint8_t client_id[16]) {
  return ch_hashmap_find(&s->oracle->intents, (ch_bytes){client_id, 16});
}

sim_intent *sim_oracle_intend(sim_device *device, const uint8_t conversation_id[16], const uint8_t client_id[16]) {
  sim *s = device->sim;
  sim_intent *intent = calloc(1, sizeof *intent);
  ch_assert(intent);
  intent->device = device;
  intent->entered_ms = s->now_ms;
  intent->number = ++s->oracle->intent_count;
  memcpy(intent->client_id, client_id, 16);
  memcpy(intent->conversation_id, conversation_id, 16);
  ch_assert(ch_hashmap_insert(&s->oracle->intents, (ch_bytes){client_id, 16}, intent) == 0);
  return intent;
}

void sim_oracle_restored(sim_device *device, uint64_t of_ms) {
  ch_hashmap *intents = &device->sim->oracle->intents;
  for (ch_hashmap_entry *e = ch_hashmap_first(intents); e; e = ch_hashmap_next(intents, e)) {
    sim_intent *intent = e->value;
    if (intent->device != device) continue;
    if (intent->entered_ms >= of_ms) intent->is_forgotten = true;
    intent->is_gone = false; /* back in the outbox, perhaps */
    if (intent->refused_ms >= of_ms) intent->is_refused = false; /* what was shown since is undone too: it may be sent again */
  }
}

/* ------------------------------------------------------------------------------------------------ servers */

static uint32_t number_of(sim *s, const uint8_t client_id[16]) {
  const sim_intent *intent = sim_oracle_intent(s, client_id);
  return intent ? intent->number : 0;
}

static void note_refusals(sim *s, const chat_log_append *append) {
  for (size_t i = 0; i < append->count; i++) {
    ch_tasks tasks = {0};
    ch_arena_reset(&s->oracle->arena);
    if (ch_tasks_decode(append->records[i].data, &s->oracle->arena, &tasks)) continue;
    for (size_t t = 0; t < tasks.count; t++) {
      if (tasks.tasks[t].kind == CH_TASK_VERDICT)
        sim_note(s, "verdict %d of message %u, number %llu", (int)tasks.tasks[t].u.verdict.code, number_of(s, tasks.tasks[t].u.verdict.client_id),
                 (unsigned long long)tasks.tasks[t].u.verdict.client_seq);
      if (tasks.tasks[t].kind != CH_TASK_VERDICT || tasks.tasks[t].u.verdict.code != CH_VERDICT_REFUSED) continue;
      sim_intent *intent = sim_oracle_intent(s, tasks.tasks[t].u.verdict.client_id);
      if (intent) intent->was_refused = true;
    }
  }
}

void sim_oracle_submitted(sim *s, const chat_op *op) {
  if (op->kind == CHAT_OP_LOG_APPEND && ((const chat_log_append *)(const void *)op)->topic == CHAT_TOPIC_DELIVERIES) note_refusals(s, (const chat_log_append *)(const void *)op);
  if (op->kind != CHAT_OP_STORE_APPLY) return;
  const chat_store_apply *apply = (const chat_store_apply *)(const void *)op;
  for (size_t i = 0; i < apply->row_count && !sim_failed(s); i++)
    sim_truth_row(s, &apply->rows[i]);
}

static char mark;

static void logged(sim *s, const chat_log_record *record) {
  ch_record decoded;
  ch_arena_reset(&s->oracle->arena);
  if (ch_record_decode(record->data, &s->oracle->arena, &decoded)) return;
  sim_note(s, "in the log at %llu: message %u, number %llu%s", (unsigned long long)(record->position & 0xffffffff), number_of(s, decoded.client_id), (unsigned long long)decoded.client_seq,
           decoded.is_void ? ", a void" : "");
  ch_hashmap_insert(&s->oracle->logged, (ch_bytes){decoded.client_id, 16}, &mark);
}

void sim_oracle_done(sim *s, const chat_op *op) {
  if (op->kind != CHAT_OP_LOG_APPEND || op->status) return;
  const chat_log_append *append = (const chat_log_append *)(const void *)op;
  if (append->topic != CHAT_TOPIC_MESSAGES) return;
  for (size_t i = 0; i < append->count; i++)
    logged(s, &append->records[i]);
}

/* ------------------------------------------------------------------------------------------------ frames to clients */

static void check_answer(sim_device *device, const ch_answer *answer) {
  sim *s = device->sim;
  sim_intent *intent = sim_oracle_intent(s, answer->client_id);
  sim_note(s, "to device %u: answer %d for message %u, number %llu", device->index, (int)answer->code, number_of(s, answer->client_id), (unsigned long long)answer->client_seq);
  if (answer->code == CH_ACCEPTED) {
    if (!ch_hashmap_find(&s->oracle->logged, (ch_bytes){answer->client_id, 16})) sim_fail(s, "P1: ACCEPTED went out for what the log does not have");
    if (intent) intent->is_accepted = true;
  }
}

static void check_rows(sim_device *device, const chat_row *rows, size_t count) {
  sim *s = device->sim;
  for (size_t i = 0; i < count; i++) {
    const sim_truth *truth = sim_truth_of(s, rows[i].conversation_id);
    unsigned long long seq = rows[i].seq;
    if (!truth || rows[i].seq == 0 || rows[i].seq > truth->count)
      sim_fail(s, "P3: seq %llu went out and was never written", seq);
    else if (truth->rows[rows[i].seq - 1].hash != sim_row_hash(&rows[i]))
      sim_fail(s, "P3: seq %llu went out with other content than was written", seq);
    else if (!sim_truth_readable(truth, (int)device->user, rows[i].seq))
      sim_fail(s, "P9: seq %llu went to %s, who may not read it", seq, sim_user_name(device->user));
  }
}

static void note_verdict(sim_device *device, const ch_verdict *verdict) {
  sim *s = device->sim;
  sim_note(s, "to device %u: verdict %d for message %u, number %llu, last %llu, head %llu", device->index, (int)verdict->code, number_of(s, verdict->client_id),
           (unsigned long long)verdict->client_seq, (unsigned long long)verdict->last, (unsigned long long)verdict->head);
}

static void note_heads(sim_device *device, const ch_server_message *message) {
  const ch_sync_reply *reply = &message->u.sync_reply;
  sim_note(device->sim, "to device %u: synced to %llu, more %u, reset %u", device->index, (unsigned long long)(reply->position & 0xffffffff), reply->more, reply->reset);
  for (size_t i = 0; i < reply->head_count; i++)
    sim_note(device->sim, "    conversation %02x%02x: head %llu, role %u", reply->heads[i].conversation_id[1], reply->heads[i].conversation_id[2], (unsigned long long)reply->heads[i].head,
             reply->heads[i].role);
}

static void note_live(sim_device *device, const ch_live *live) {
  sim_note(device->sim, "to device %u: live, previous %llu, position %llu", device->index, (unsigned long long)(live->previous & 0xffffffff), (unsigned long long)(live->position & 0xffffffff));
  for (size_t i = 0; i < live->event_count; i++)
    sim_note(device->sim, "    conversation %02x%02x: event %llu", live->events[i].conversation_id[1], live->events[i].conversation_id[2], (unsigned long long)live->events[i].seq);
  for (size_t i = 0; i < live->head_count; i++)
    sim_note(device->sim, "    conversation %02x%02x: head %llu", live->heads[i].conversation_id[1], live->heads[i].conversation_id[2], (unsigned long long)live->heads[i].head);
}

static void check_server_message(sim_device *device, const ch_server_message *message) {
  switch (message->op) {
    case CH_SYNC_REPLY: note_heads(device, message); break;
    case CH_ANSWER: check_answer(device, &message->u.answer); break;
    case CH_VERDICT: note_verdict(device, &message->u.verdict); break;
    case CH_LIVE:
      note_live(device, &message->u.live);
      check_rows(device, message->u.live.events, message->u.live.event_count);
      break;
    case CH_RANGE_REPLY: check_rows(device, message->u.range_reply.events, message->u.range_reply.event_count); break;
    case CH_SEARCH_REPLY: check_rows(device, message->u.search_reply.events, message->u.search_reply.event_count); break;
    default: break;
  }
}

void sim_oracle_frame_out(sim_device *device, chat_bytes frame) {
  sim *s = device->sim;
  chat_bytes bytes;
  while (!sim_failed(s) && ch_frame_next(&frame, &bytes) == 0) {
    ch_server_message message;
    ch_arena_reset(&s->oracle->arena);
    if (ch_server_message_decode(bytes, &s->oracle->arena, &message))
      sim_fail(s, "a frame of a gateway cannot be decoded");
    else
      check_server_message(device, &message);
  }
}

/* ------------------------------------------------------------------------------------------------ frames to gateways */

/* A watermark is the user's: what another device has stored counts. Databases come to harm later, watermarks stay. */
static uint64_t durable_at_any(sim_device *device, const uint8_t conversation_id[16]) {
  sim *s = device->sim;
  uint64_t durable = 0;
  for (uint32_t i = 0; i < s->plan.devices; i++) {
    if (s->devices[i]->user != device->user) continue;
    uint64_t here = sim_cache_durable_max(&s->devices[i]->cache, conversation_id);
    if (here > durable) durable = here;
  }
  return durable;
}

static void note_send(sim_device *device, const ch_send *send) {
  sim_note(device->sim, "device %u sends message %u to %02x%02x, number %llu, prev %llu%s%s", device->index, number_of(device->sim, send->client_id), send->conversation_id[1],
           send->conversation_id[2], (unsigned long long)send->client_seq,
           (unsigned long long)send->prev, send->retry ? ", again" : "", send->discard ? ", a void" : "");
}

static void check_receipt(sim_device *device, const ch_client_message *message) {
  uint64_t durable = durable_at_any(device, message->u.receipt.conversation_id);
  if (message->u.receipt.delivered > durable)
    sim_fail(device->sim, "P5: DELIVERED %llu was sent, and the cursor is durable up to %llu", (unsigned long long)message->u.receipt.delivered, (unsigned long long)durable);
}

static void check_client_message(sim_device *device, const ch_client_message *message) {
  if (message->op == CH_SEND) note_send(device, &message->u.send);
  if (message->op == CH_RECEIPT) check_receipt(device, message);
}

void sim_oracle_frame_in(sim_device *device, chat_bytes frame) {
  sim *s = device->sim;
  chat_bytes bytes;
  while (!sim_failed(s) && ch_frame_next(&frame, &bytes) == 0) {
    ch_client_message message;
    ch_arena_reset(&s->oracle->arena);
    if (ch_client_message_decode(bytes, &s->oracle->arena, &message))
      sim_fail(s, "a frame of a client cannot be decoded");
    else
      check_client_message(device, &message);
  }
}

/* ------------------------------------------------------------------------------------------------ a client's database and its events */

typedef struct counting {
  sim *sim;
  const sim_truth *truth;
  uint64_t count;
} counting;

static int count_row(void *arg, const chat_row *row) {
  counting *c = arg;
  c->count++;
  if (row->seq > c->truth->count || c->truth->rows[row->seq - 1].hash != sim_row_hash(row))
    sim_fail(c->sim, "P3: a client holds seq %llu with other content than was written", (unsigned long long)row->seq);
  return 0;
}

void sim_oracle_cursor(sim_device *device, const uint8_t conversation_id[16], uint64_t before, uint64_t after) {
  sim *s = device->sim;
  const sim_truth *truth = sim_truth_of(s, conversation_id);
  if (after <= before || sim_failed(s)) return;
  if (!truth || after > truth->count) {
    sim_fail(s, "P4: a cursor stands at %llu, beyond what was written", (unsigned long long)after);
    return;
  }
  counting counted = {s, truth, 0};
  chat_cache *cache = device->cache.inner;
  while (before < after) { /* a page at a time, from each page's low end */
    uint64_t page = after - before > 200 ? before + 200 : after;
    if (cache->vtable->rows(cache->self, conversation_id, before, page, 200, 0, count_row, &counted)) return; /* a failure that was meant for the brain */
    uint64_t readable = sim_truth_readable_count(truth, (int)device->user, before, page);
    if (counted.count < readable)
      sim_fail(s, "P4: device %u: a cursor moved from %llu to %llu, and %llu of %llu rows are there", device->index, (unsigned long long)before, (unsigned long long)page,
               (unsigned long long)counted.count, (unsigned long long)readable);
    counted.count = 0;
    before = page;
  }
}

static void refused(sim *s, const chat_message *message) {
  sim_intent *intent = sim_oracle_intent(s, message->client_id);
  if (!intent) return;
  if (intent->committed_seq) sim_fail(s, "P10: message %u is committed and is shown as refused", intent->number);
  intent->is_refused = true;
  intent->refused_ms = s->now_ms;
}

static void drafted(sim *s, const chat_message *message) {
  sim_intent *intent = sim_oracle_intent(s, message->client_id);
  if (intent) intent->is_draft = true;
}

void sim_oracle_event(sim_device *device, const chat_event *event) {
  sim *s = device->sim;
  if (event->type == CHAT_EVENT_STATE) sim_note(s, "device %u is in state %u: %s", device->index, event->state, chat_error_name(event->status));
  if (event->type == CHAT_EVENT_OUTBOX && event->messages[0]->tick == CHAT_TICK_REFUSED) refused(s, event->messages[0]);
  if (event->type == CHAT_EVENT_DRAFT) drafted(s, event->messages[0]);
}
