/* SPDX-License-Identifier: Apache-2.0 */
/* Volatile tasks (receipts, typing) on their way to the topic DELIVERIES: hints, collected for a turn of the loop and dropped at a bound. */
#include <string.h>

#include "core/partition.h"
#include "server/role/gateway_parts.h"

enum {
  OUT_MAX = 4 * 1024 * 1024, /* bytes of records here and in appends under way */
  RECORD_MAX = 256 * 1024,   /* chat/backend.h, chat_log_record */
  SLICE_COUNT = 256          /* users looked at together */
};

void ch_tasks_init(ch_gateway *gateway) {
  ch_list_init(&gateway->tasks.records);
}

void ch_tasks_fini(ch_gateway *gateway) {
  for (ch_list *node = ch_list_pop_front(&gateway->tasks.records); node; node = ch_list_pop_front(&gateway->tasks.records))
    ch_free(gateway->env.alloc, CH_LIST_ITEM(node, ch_task_record, node));
}

/* --- in --- */

static void keep_record(ch_gateway *gateway, uint32_t partition, chat_bytes data) {
  if (gateway->tasks.len + data.len > OUT_MAX) return;
  ch_task_record *record = ch_alloc(gateway->env.alloc, sizeof *record + data.len);
  if (!record) return;
  record->partition = partition;
  record->len = data.len;
  memcpy(record->data, data.data, data.len);
  ch_list_init(&record->node);
  ch_list_push_back(&gateway->tasks.records, &record->node);
  gateway->tasks.len += data.len;
}

static void add_record(ch_gateway *gateway, const ch_task *task, uint32_t partition, const chat_bytes *users, size_t count) {
  ch_task addressed = *task;
  addressed.users = users;
  addressed.user_count = count;
  ch_buf data;
  ch_buf_init(&data, gateway->env.alloc, RECORD_MAX);
  if (ch_tasks_encode(&(ch_tasks){.tasks = &addressed, .count = 1}, &data) == 0) keep_record(gateway, partition, ch_buf_bytes(&data));
  ch_buf_fini(&data);
}

/* One record for each partition that the users are in. */
static void add_slice(ch_gateway *gateway, const ch_task *task, const chat_bytes *users, size_t count) {
  uint32_t partitions[SLICE_COUNT];
  chat_bytes together[SLICE_COUNT];
  bool taken[SLICE_COUNT] = {false};
  for (size_t i = 0; i < count; i++)
    partitions[i] = ch_partition_of(users[i], gateway->config.delivery_partitions);
  for (size_t i = 0; i < count; i++) {
    size_t together_count = 0;
    for (size_t j = i; j < count && !taken[i]; j++)
      if (partitions[j] == partitions[i]) together[together_count++] = users[j];
    for (size_t j = i + 1; j < count && together_count > 0; j++)
      taken[j] |= partitions[j] == partitions[i];
    if (together_count > 0) add_record(gateway, task, partitions[i], together, together_count);
  }
}

void ch_tasks_add(ch_gateway *gateway, const ch_task *task, const chat_bytes *users, size_t count) {
  for (size_t done = 0; done < count; done += SLICE_COUNT)
    add_slice(gateway, task, users + done, count - done < SLICE_COUNT ? count - done : SLICE_COUNT);
}

/* --- out --- */

typedef struct append_call {
  ch_call call;
  size_t len; /* of its records */
} append_call;

/* Whether it went well makes no difference: what was lost is found by asking. */
static void append_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  (void)status, (void)now;
  gateway->tasks.len -= ((append_call *)call)->len;
}

static size_t count_of(const ch_gateway *gateway, uint32_t partition) {
  size_t count = 0;
  CH_LIST_FOR_EACH(node, &gateway->tasks.records)
    count += CH_LIST_ITEM(node, ch_task_record, node)->partition == partition;
  return count < gateway->config.append_count_max ? count : gateway->config.append_count_max;
}

/* A record without memory for its copy is dropped. */
static void move_record(ch_gateway *gateway, chat_log_append *append, ch_task_record *record) {
  append_call *call = ch_call_of(append);
  chat_bytes data = chat_op_copy(&append->op, ch_bytes_of(record->data, record->len));
  if (data.data) {
    append->records[append->count++] = (chat_log_record){.data = data};
    call->len += record->len;
  } else {
    gateway->tasks.len -= record->len;
  }
  ch_list_remove(&record->node);
  ch_free(gateway->env.alloc, record);
}

static void move_records(ch_gateway *gateway, chat_log_append *append, size_t count) {
  ch_list *node = gateway->tasks.records.next;
  for (size_t left = count; left > 0;) {
    ch_task_record *record = CH_LIST_ITEM(node, ch_task_record, node);
    node = node->next;
    if (record->partition != append->partition) continue;
    move_record(gateway, append, record);
    left--;
  }
}

/* The oldest record and what goes to the same partition. False: no memory now. */
static bool pull_one(ch_gateway *gateway) {
  uint32_t partition = CH_LIST_ITEM(gateway->tasks.records.next, ch_task_record, node)->partition;
  size_t count = count_of(gateway, partition);
  chat_log_append *append = ch_call_new(gateway, CHAT_OP_LOG_APPEND, sizeof *append, sizeof(append_call), append_done);
  if (!append) return false;
  append->topic = CHAT_TOPIC_DELIVERIES;
  append->partition = partition;
  append->records = chat_op_alloc(&append->op, count * sizeof *append->records);
  if (append->records) move_records(gateway, append, count);
  if (append->count > 0) {
    ch_call_submit(gateway, append, 1);
    return true;
  }
  ch_call_discard(gateway, append);
  return false;
}

void ch_tasks_pull(ch_gateway *gateway) {
  while (!ch_list_is_empty(&gateway->tasks.records) && pull_one(gateway)) {}
}
