/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/sequencer_batch.h"

#include <string.h>

#include "core/assert.h"
#include "core/op.h"

enum { ARENA_CHUNK_LEN = 64 * 1024 };
/* A batch is at most some MiB; what is made of it is recipients (256 for each of 256 records) and encoded tasks. */
static const size_t arena_cap_len = (size_t)256 * 1024 * 1024;

void ch_batch_init(ch_batch *batch, const ch_batch_config *config) {
  *batch = (ch_batch){.config = config};
  ch_arena_init(&batch->arena, config->alloc, ARENA_CHUNK_LEN, arena_cap_len);
  ch_hashmap_init(&batch->asked, config->alloc, config->seed);
}

/* The conversations are not looked at: they may be gone already. */
static void clear(ch_batch *batch) {
  ch_hashmap_fini(&batch->asked);
  ch_hashmap_init(&batch->asked, batch->config->alloc, batch->config->seed);
  ch_arena_reset(&batch->arena);
  batch->records = NULL;
  batch->conversations = NULL;
  batch->rows = NULL;
  batch->count = batch->conversation_count = batch->row_count = 0;
  batch->is_cut = false;
  batch->counts = (ch_batch_counts){0};
}

void ch_batch_fini(ch_batch *batch) {
  if (batch->read) ch_op_free(&batch->read->op);
  ch_hashmap_fini(&batch->asked);
  ch_arena_fini(&batch->arena);
}

static void leave_conversations(ch_batch *batch) {
  for (size_t i = 0; i < batch->conversation_count; i++)
    batch->conversations[i].conversation->batch_slot = 0;
}

chat_log_read *ch_batch_reset(ch_batch *batch) {
  chat_log_read *read = batch->read;
  leave_conversations(batch);
  clear(batch);
  batch->read = NULL;
  return read;
}

void ch_batch_close(ch_batch *batch) {
  ch_op_free(&ch_batch_reset(batch)->op);
}

/* ------------------------------------------------------------------------------------------------ open */

/* The batch's own entry for a conversation; made at its first record. */
static int join_batch(ch_batch *batch, ch_conversation_map *map, ch_batch_record *record) {
  ch_conversation *conversation = ch_conversation_map_use(map, record->record.conversation_id);
  if (!conversation) return CHAT_E_NOMEM;
  if (!conversation->batch_slot) {
    batch->conversations[batch->conversation_count] =
        (ch_batch_conversation){.conversation = conversation, .since = conversation->position, .is_wanted = !conversation->loaded};
    conversation->batch_slot = ++batch->conversation_count;
  }
  record->conversation = conversation->batch_slot - 1;
  return 0;
}

static int want(ch_batch *batch, ch_batch_conversation *entry, chat_bytes user) {
  if (entry->wanted_count == entry->room_count) {
    size_t room_count = entry->room_count ? entry->room_count * 2 : 4;
    chat_bytes *wanted = ch_arena_calloc(&batch->arena, room_count, sizeof *wanted);
    if (!wanted) return CHAT_E_NOMEM;
    if (entry->wanted_count > 0) memcpy(wanted, entry->wanted, entry->wanted_count * sizeof *wanted);
    entry->wanted = wanted;
    entry->room_count = room_count;
  }
  entry->wanted[entry->wanted_count++] = user;
  entry->is_wanted = true;
  return 0;
}

/* Each (conversation, user) is wanted once. What is no user's id is nobody's membership to ask for: the system's name is empty, and content may hold anything. */
static int want_once(ch_batch *batch, ch_batch_conversation *entry, chat_bytes user) {
  if (!ch_user_id_valid(user) || ch_conversation_knows(entry->conversation, user)) return 0;
  uint8_t key[sizeof(size_t) + CHAT_USER_ID_MAX];
  memcpy(key, &entry->conversation->batch_slot, sizeof(size_t));
  memcpy(key + sizeof(size_t), user.data, user.len);
  int error = ch_hashmap_insert(&batch->asked, ch_bytes_of(key, sizeof(size_t) + user.len), batch);
  if (error) return error == CHAT_E_EXISTS ? 0 : error;
  return want(batch, entry, user);
}

static int want_users(ch_batch *batch, const ch_batch_record *record) {
  ch_batch_conversation *entry = &batch->conversations[record->conversation];
  if (entry->conversation->loaded && entry->conversation->whole) return 0;
  const chat_bytes *users;
  size_t user_count;
  int error = ch_judge_users(&record->record, &batch->arena, &users, &user_count);
  for (size_t i = 0; i < user_count && !error; i++)
    error = want_once(batch, entry, users[i]);
  return error;
}

static int open_record(ch_batch *batch, ch_conversation_map *map, const chat_log_record *in, ch_batch_record *record) {
  record->position = in->position;
  record->append_ms = in->append_ms;
  int error = ch_record_decode(in->data, &batch->arena, &record->record);
  if (error) return error == CHAT_E_NOMEM ? error : CHAT_E_CORRUPT;
  error = join_batch(batch, map, record);
  return error ? error : want_users(batch, record);
}

static int make_tables(ch_batch *batch, size_t count) {
  batch->records = ch_arena_calloc(&batch->arena, count, sizeof *batch->records);
  batch->conversations = ch_arena_calloc(&batch->arena, count, sizeof *batch->conversations);
  batch->rows = ch_arena_calloc(&batch->arena, count, sizeof *batch->rows);
  if (!batch->records || !batch->conversations || !batch->rows) return CHAT_E_NOMEM;
  if (ch_fanout_init(&batch->tasks, &batch->arena, batch->config->delivery_partitions, batch->config->derives_heads)) return CHAT_E_NOMEM;
  return ch_fanout_init(&batch->verdicts, &batch->arena, batch->config->delivery_partitions, batch->config->derives_heads);
}

static int open_records(ch_batch *batch, ch_conversation_map *map) {
  const chat_log_record *records = batch->read->records;
  int error = 0;
  while (batch->count < batch->read->count && !(error = open_record(batch, map, &records[batch->count], &batch->records[batch->count])))
    batch->position = records[batch->count++].position;
  return error;
}

int ch_batch_open(ch_batch *batch, chat_log_read *read, ch_conversation_map *map) {
  ch_assert(!batch->read && read->count > 0);
  batch->read = read;
  int error = make_tables(batch, read->count);
  if (!error) error = open_records(batch, map);
  batch->is_cut = error == CHAT_E_CORRUPT && batch->count > 0;
  return batch->is_cut ? 0 : error;
}

/* ------------------------------------------------------------------------------------------------ fold */

static int take_effect(ch_batch *batch, ch_batch_conversation *entry, const ch_batch_record *record, const ch_judgement *judgement) {
  uint64_t *counts[] = {
      [CH_VERDICT_COMMITTED] = &batch->counts.committed,
      [CH_VERDICT_REFUSED] = &batch->counts.refused,
      [CH_VERDICT_DUP] = &batch->counts.dup,
      [CH_VERDICT_GAP] = &batch->counts.gap,
  };
  ++*counts[judgement->code];
  if (judgement->code == CH_VERDICT_COMMITTED) {
    batch->rows[batch->row_count++] = judgement->row;
    return ch_fanout_event(&batch->tasks, entry->conversation, judgement, &entry->audience);
  }
  return record->record.system ? 0 : ch_fanout_verdict(&batch->verdicts, &record->record, judgement);
}

/* A conversation may be ahead of the partition, where an owner before this one got so far: what it has is not folded again. */
static int fold_record(ch_batch *batch, const ch_batch_record *record) {
  ch_batch_conversation *entry = &batch->conversations[record->conversation];
  if (record->position <= entry->conversation->position) return 0;
  ch_judge_record in = {
      .record = &record->record, .position = record->position, .append_ms = record->append_ms, .partition = batch->config->partition};
  ch_judgement judgement;
  int error = ch_judge(entry->conversation, &in, &batch->arena, &judgement);
  return error ? error : take_effect(batch, entry, record, &judgement);
}

int ch_batch_fold(ch_batch *batch) {
  for (size_t i = 0; i < batch->conversation_count; i++)
    batch->conversations[i].since = batch->conversations[i].conversation->position;
  for (size_t i = 0; i < batch->count; i++) {
    int error = fold_record(batch, &batch->records[i]);
    if (error) return error;
  }
  return 0;
}

int ch_batch_states(ch_batch *batch, chat_state **states, size_t *count) {
  *count = 0;
  *states = ch_arena_calloc(&batch->arena, batch->conversation_count, sizeof **states);
  if (!*states) return CHAT_E_NOMEM;
  for (size_t i = 0; i < batch->conversation_count; i++) {
    const ch_batch_conversation *entry = &batch->conversations[i];
    if (entry->conversation->position == entry->since) continue; /* all of its records were folded before */
    if (ch_conversation_touched(entry->conversation, entry->since, &batch->arena, &(*states)[*count])) return CHAT_E_NOMEM;
    ++*count;
  }
  return 0;
}
