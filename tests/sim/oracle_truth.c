/* SPDX-License-Identifier: Apache-2.0 */
/* The truth: rows as workers write them, and who may read which, told from the rows alone. */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/conversation_id.h"
#include "sim/device.h"
#include "sim/oracle_parts.h"

/* ------------------------------------------------------------------------------------------------ rows */

static uint64_t mix(uint64_t hash, const void *bytes, size_t len) {
  const uint8_t *at = bytes;
  for (size_t i = 0; i < len; i++)
    hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
  return hash ^ (hash >> 29);
}

static uint64_t mix_u64(uint64_t hash, uint64_t number) {
  return mix(hash, &number, sizeof number);
}

uint64_t sim_row_hash(const chat_row *row) {
  uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), row->conversation_id, 16);
  hash = mix_u64(mix_u64(mix_u64(hash, row->seq), row->msg_no), row->message_id);
  hash = mix_u64(mix_u64(mix_u64(hash, row->created_ms), row->client_seq), row->type);
  hash = mix(mix(hash, row->device_id, 16), row->client_id, 16);
  return mix(mix(hash, row->sender.data, row->sender.len), row->payload.data, row->payload.len);
}

int sim_user_number(chat_bytes user) {
  return user.len == 2 && user.data[0] == 'u' ? user.data[1] - '0' : -1;
}

sim_truth *sim_truth_of(sim *s, const uint8_t conversation_id[16]) {
  return ch_hashmap_find(&s->oracle->truths, (ch_bytes){conversation_id, 16});
}

static sim_truth *truth_make(sim *s, const uint8_t conversation_id[16]) {
  sim_truth *truth = sim_truth_of(s, conversation_id);
  if (truth) return truth;
  truth = calloc(1, sizeof *truth);
  ch_assert(truth);
  memcpy(truth->id, conversation_id, 16);
  ch_assert(ch_hashmap_insert(&s->oracle->truths, (ch_bytes){conversation_id, 16}, truth) == 0);
  return truth;
}

/* ------------------------------------------------------------------------------------------------ members */

static sim_span *present(sim_truth *truth, int user) {
  for (uint32_t i = truth->span_count; i-- > 0;)
    if (truth->spans[i].user == user && truth->spans[i].left == UINT64_MAX) return &truth->spans[i];
  return NULL;
}

static bool was_member(const sim_truth *truth, int user) {
  for (uint32_t i = 0; i < truth->span_count; i++)
    if (truth->spans[i].user == user) return true;
  return false;
}

/* Who comes back reads from then on: from the start reads only who was never here. */
static void join(sim_truth *truth, int user, uint64_t joined) {
  if (user < 0 || present(truth, user)) return;
  if (was_member(truth, user)) joined = truth->count - 1;
  ch_assert(truth->span_count < SIM_SPANS_MAX);
  truth->spans[truth->span_count++] = (sim_span){user, joined, UINT64_MAX};
}

static void leave(sim_truth *truth, int user, uint64_t seq) {
  sim_span *span = present(truth, user);
  if (span) span->left = seq;
}

static void join_direct(sim *s, sim_truth *truth) {
  for (uint32_t a = 0; a < s->plan.users; a++)
    for (uint32_t b = a; b < s->plan.users; b++) {
      uint8_t id[16];
      ch_conversation_id_direct(ch_bytes_text(sim_user_name(a)), ch_bytes_text(sim_user_name(b)), id);
      if (memcmp(id, truth->id, 16) != 0) continue;
      join(truth, (int)a, 0);
      join(truth, (int)b, 0);
    }
}

static void follow_members(sim *s, sim_truth *truth, const chat_row *row, const ch_content *content) {
  int sender = sim_user_number(row->sender);
  switch (row->type) {
    case CHAT_TYPE_CREATE:
      truth->history_from_start = content->history_from_start;
      join(truth, sender, 0);
      for (size_t i = 0; i < content->user_count; i++)
        join(truth, sim_user_number(content->users[i]), 0);
      break;
    case CHAT_TYPE_SETTINGS: truth->history_from_start = content->history_from_start; break;
    case CHAT_TYPE_MEMBERS_ADD:
      for (size_t i = 0; i < content->user_count; i++)
        join(truth, sim_user_number(content->users[i]), truth->history_from_start ? 0 : row->seq - 1);
      break;
    case CHAT_TYPE_MEMBER_REMOVE: leave(truth, sim_user_number(content->users[0]), row->seq); break;
    case CHAT_TYPE_LEAVE: leave(truth, sender, row->seq); break;
    case CHAT_TYPE_MESSAGE:
      if (truth->count == 1) join_direct(s, truth);
      break;
    default: break;
  }
}

bool sim_truth_readable(const sim_truth *truth, int user, uint64_t seq) {
  for (uint32_t i = 0; i < truth->span_count; i++)
    if (truth->spans[i].user == user && seq > truth->spans[i].joined && seq <= truth->spans[i].left) return seq <= truth->count;
  return false;
}

uint64_t sim_truth_readable_count(const sim_truth *truth, int user, uint64_t low, uint64_t high) {
  uint64_t count = 0;
  for (uint64_t seq = low + 1; seq <= high; seq++)
    count += sim_truth_readable(truth, user, seq);
  return count;
}

uint64_t sim_truth_last(const sim_truth *truth, int user) {
  for (uint64_t seq = truth->count; seq > 0; seq--)
    if (sim_truth_readable(truth, user, seq)) return seq;
  return 0;
}

/* ------------------------------------------------------------------------------------------------ a row is written */

static void check_next(sim *s, const sim_truth *truth, const chat_row *row) {
  const sim_row *before = truth->count > 0 ? &truth->rows[truth->count - 1] : NULL;
  if (row->seq != truth->count + 1) sim_fail(s, "P3: seq %llu was written where %zu was the last", (unsigned long long)row->seq, truth->count);
  if (before && row->message_id <= before->message_id) sim_fail(s, "P3: message id does not rise at seq %llu", (unsigned long long)row->seq);
  if (row->msg_no != (before ? before->msg_no : 0) + (row->type == CHAT_TYPE_MESSAGE)) sim_fail(s, "P3: msg_no is wrong at seq %llu", (unsigned long long)row->seq);
}

static void check_device_order(sim *s, const sim_truth *truth, const chat_row *row) {
  for (size_t i = truth->count; i-- > 0;) {
    const sim_row *other = &truth->rows[i];
    if (memcmp(other->device_id, row->device_id, 16) != 0) continue;
    if (other->client_seq >= row->client_seq) sim_fail(s, "P3: number %llu of a device comes behind its %llu", (unsigned long long)row->client_seq, (unsigned long long)other->client_seq);
    return;
  }
}

static void check_once(sim *s, const chat_row *row) {
  uint8_t key[32];
  memcpy(key, row->conversation_id, 16);
  memcpy(key + 16, row->client_id, 16);
  static char mark;
  if (ch_hashmap_insert(&s->oracle->committed, (ch_bytes){key, sizeof key}, &mark)) sim_fail(s, "P2: a client id was committed twice (second at seq %llu)", (unsigned long long)row->seq);
}

/* In the order in which the device's person entered them, but for one that took a new number. */
static void check_entered_order(sim *s, sim_intent *intent) {
  uint8_t key[17] = {(uint8_t)intent->device->index};
  memcpy(key + 1, intent->conversation_id, 16);
  ch_bytes place = {key, sizeof key};
  const sim_intent *newest = ch_hashmap_find(&s->oracle->newest, place);
  if (newest && newest->number > intent->number) {
    if (!intent->was_refused && !intent->device->was_restored) sim_fail(s, "P3: message %u of device %u comes behind its message %u", intent->number, intent->device->index, newest->number);
    return;
  }
  if (newest) ch_hashmap_remove(&s->oracle->newest, place);
  ch_assert(ch_hashmap_insert(&s->oracle->newest, place, intent) == 0);
}

static void check_intent(sim *s, const chat_row *row, const ch_content *content) {
  sim_intent *intent = sim_oracle_intent(s, row->client_id);
  if (!intent) {
    if (row->type == CHAT_TYPE_MESSAGE) sim_fail(s, "P9: a message that nobody entered was committed");
    return;
  }
  char body[32];
  snprintf(body, sizeof body, "message %u", intent->number);
  if (!ch_bytes_equal(content->body, ch_bytes_text(body))) sim_fail(s, "P2: message %u was committed with another body", intent->number);
  if (memcmp(intent->conversation_id, row->conversation_id, 16) != 0) sim_fail(s, "P9: message %u was committed in another conversation", intent->number);
  if (sim_user_number(row->sender) != (int)intent->device->user) sim_fail(s, "P9: message %u was committed for another sender", intent->number);
  if (intent->is_gone) sim_fail(s, "P10: message %u was taken back before it was sent, and is committed", intent->number);
  if (intent->is_refused) sim_fail(s, "P10: message %u was refused and is committed", intent->number);
  intent->committed_seq = row->seq;
  check_entered_order(s, intent);
}

static void add(sim_truth *truth, const chat_row *row) {
  if (truth->count == truth->cap) {
    truth->cap = truth->cap ? 2 * truth->cap : 64;
    truth->rows = realloc(truth->rows, truth->cap * sizeof *truth->rows);
    ch_assert(truth->rows);
  }
  sim_row *kept = &truth->rows[truth->count++];
  *kept = (sim_row){sim_row_hash(row), row->message_id, row->msg_no, row->client_seq, {0}, {0}, row->type, sim_user_number(row->sender)};
  memcpy(kept->client_id, row->client_id, 16);
  memcpy(kept->device_id, row->device_id, 16);
}

void sim_truth_row(sim *s, const chat_row *row) {
  sim_truth *truth = truth_make(s, row->conversation_id);
  if (row->seq >= 1 && row->seq <= truth->count) {
    if (truth->rows[row->seq - 1].hash != sim_row_hash(row)) sim_fail(s, "P6: seq %llu was written again with other content", (unsigned long long)row->seq);
    return;
  }
  ch_content content = {0};
  ch_arena_reset(&s->oracle->arena);
  ch_content_decode(row->type, row->payload, &s->oracle->arena, &content);
  check_next(s, truth, row);
  check_device_order(s, truth, row);
  check_once(s, row);
  check_intent(s, row, &content);
  if (sim_failed(s)) return;
  sim_note(s, "conversation %02x%02x: seq %llu, type %u, message %u, number %llu", row->conversation_id[1], row->conversation_id[2], (unsigned long long)row->seq, row->type,
           sim_oracle_intent(s, row->client_id) ? sim_oracle_intent(s, row->client_id)->number : 0, (unsigned long long)row->client_seq);
  add(truth, row);
  follow_members(s, truth, row, &content);
  if (row->type == CHAT_TYPE_MESSAGE && !sim_truth_readable(truth, sim_user_number(row->sender), row->seq))
    sim_fail(s, "P9: a message of one who is not a member was committed at seq %llu", (unsigned long long)row->seq);
}
