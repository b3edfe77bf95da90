/* SPDX-License-Identifier: Apache-2.0 */
/* sequencer_peer.h - a sequencer between a log that a test writes and hand-completed ops (role_peer.h). Each test file has one of its own, all of it static. */
#ifndef CH_TEST_SEQUENCER_PEER_H
#define CH_TEST_SEQUENCER_PEER_H

#include "core/conversation_id.h"
#include "core/partition.h"
#include "core/wire.h"
#include "server/role/sequencer.h"
#include "unit/server/log_peer.h"

enum { RETRY_MS = 100 };

static ch_sequencer_config config;
static ch_sequencer *sequencer;
static const uint8_t group_client_id[16] = {7};
static uint8_t group[16]; /* of alice */

static UNUSED void sequencer_config_default(void) {
  env_default();
  config = (ch_sequencer_config){
      .delivery_partitions = 2, .batch_count_max = 8, .batch_bytes_max = 1 << 20, .conversations_max = 100, .retry_ms = RETRY_MS};
  log_begin();
  ch_conversation_id_group(ch_bytes_text("alice"), group_client_id, group);
}

static UNUSED void sequencer_begin(void) {
  ck_assert_int_eq(ch_sequencer_new(&env, &config, &sequencer), 0);
  role = ch_sequencer_role(sequencer);
}

static UNUSED void sequencer_end(void) {
  cancel_ops();
  ch_sequencer_free(sequencer);
  ck_assert_uint_eq(memory.live, 0);
  log_end();
}

/* --- writing the log --- */

static UNUSED void log_record(const ch_record *record) {
  ch_buf buf;
  ch_buf_init(&buf, NULL, 1 << 20);
  ck_assert_int_eq(ch_record_encode(record, &buf), 0);
  log_bytes(ch_buf_bytes(&buf));
  ch_buf_fini(&buf);
}

static chat_bytes payload_of(const ch_content *content) {
  ch_buf buf;
  ch_buf_init(&buf, NULL, 1 << 20);
  ck_assert_int_eq(ch_content_encode(content, &buf), 0);
  chat_bytes bytes = ch_bytes_of(ch_arena_dup(&kept, buf.data, buf.len), buf.len);
  ch_buf_fini(&buf);
  return bytes;
}

/* Of the user's device, which is all of its first letter. */
static ch_record record_of(const uint8_t id[16], const char *user, uint64_t client_seq, const ch_content *content) {
  ch_record record = {.sender = ch_bytes_text(user), .client_seq = client_seq, .type = content->type, .payload = payload_of(content)};
  memcpy(record.conversation_id, id, 16);
  memset(record.device_id, user[0], 16);
  memcpy(record.client_id, group_client_id, 16);
  return record;
}

static UNUSED void log_content(const uint8_t id[16], const char *user, uint64_t client_seq, ch_content content) {
  ch_record record = record_of(id, user, client_seq, &content);
  log_record(&record);
}

static UNUSED void log_message(const uint8_t id[16], const char *user, uint64_t client_seq, const char *text) {
  log_content(id, user, client_seq, (ch_content){.type = CHAT_TYPE_MESSAGE, .body = ch_bytes_text(text)});
}

static UNUSED void log_user(const uint8_t id[16], const char *user, uint64_t client_seq, uint32_t type, const char *target) {
  chat_bytes users[] = {ch_bytes_text(target)};
  log_content(id, user, client_seq, (ch_content){.type = type, .users = users, .user_count = 1});
}

/* Alice's first record: with bob in it. */
static UNUSED void log_create(uint32_t kind) {
  chat_bytes users[] = {ch_bytes_text("bob")};
  log_content(group, "alice", 1, (ch_content){.type = CHAT_TYPE_CREATE, .conversation_kind = kind, .users = users, .user_count = 1});
}

/* --- the log's and the store's answers, by hand --- */

static UNUSED void opens_at(uint64_t stored) {
  chat_store_position *position = take_op(CHAT_OP_STORE_POSITION);
  ck_assert_uint_eq(position->topic, CHAT_TOPIC_MESSAGES);
  ck_assert_uint_eq(position->partition, partition);
  position->position = stored;
  give(position, 0);
  chat_log_info *info = take_op(CHAT_OP_LOG_INFO);
  ck_assert_uint_eq(info->topic, CHAT_TOPIC_MESSAGES);
  ck_assert_uint_eq(info->partition, partition);
  fill_info(info);
  give(info, 0);
}

static UNUSED void assign(uint64_t stored) {
  ck_assert_int_eq(ch_sequencer_assign(sequencer, partition, now), 0);
  opens_at(stored);
}

/* At most `count` of the records behind those that were read. */
static UNUSED void reads(size_t count) {
  chat_log_read *op = take_op(CHAT_OP_LOG_READ);
  ck_assert_uint_eq(op->topic, CHAT_TOPIC_MESSAGES);
  ck_assert_uint_eq(op->partition, partition);
  fill_read(op, count);
  give(op, 0);
}

static UNUSED chat_store_state *take_state(const uint8_t id[16]) {
  chat_store_state *op = take_op(CHAT_OP_STORE_STATE);
  ck_assert_mem_eq(op->conversation_id, id, 16);
  return op;
}

static UNUSED void does_not_exist(const uint8_t id[16]) {
  give(take_state(id), 0);
}

/* Nothing is asked of store and log now but records, nor told. */
static UNUSED void rests(void) {
  pull();
  for (const chat_op *op = outside.first; op; op = op->next)
    ck_assert_msg(op->kind == CHAT_OP_LOG_READ, "an op of kind %u", op->kind);
}

/* The tasks of all APPENDs that are outside, given back as written; in `kept`. */
static UNUSED ch_task *take_tasks(size_t *count, uint64_t position) {
  ch_task *all = ch_arena_calloc(&kept, 256, sizeof *all);
  *count = 0;
  for (chat_log_append *op; (op = find_op(CHAT_OP_LOG_APPEND)); give(op, 0)) {
    ck_assert_uint_eq(op->topic, CHAT_TOPIC_DELIVERIES);
    for (size_t i = 0; i < op->count; i++) {
      ch_tasks tasks;
      chat_bytes data = op->records[i].data;
      ck_assert_int_eq(ch_tasks_decode(ch_bytes_of(ch_arena_dup(&kept, data.data, data.len), data.len), &kept, &tasks), 0);
      ck_assert_uint_eq(tasks.position, position);
      for (size_t j = 0; j < tasks.count; j++) {
        for (size_t k = 0; k < tasks.tasks[j].user_count; k++)
          ck_assert_uint_eq(ch_partition_of(tasks.tasks[j].users[k], config.delivery_partitions), op->partition);
        all[(*count)++] = tasks.tasks[j];
      }
    }
  }
  return all;
}

/* All that is asked of store and log but records comes back well; conversations are new. */
static UNUSED void all_goes_well(void) {
  for (void *op; (op = find_op_but(CHAT_OP_LOG_READ));)
    give(op, 0);
}

static UNUSED void consumes(uint64_t position) {
  chat_log_consumed *op = take_op(CHAT_OP_LOG_CONSUMED);
  ck_assert_uint_eq(op->topic, CHAT_TOPIC_MESSAGES);
  ck_assert_uint_eq(op->partition, partition);
  ck_assert_uint_eq(op->position, position);
  give(op, 0);
}

#endif
