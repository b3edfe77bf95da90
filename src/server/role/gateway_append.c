/* SPDX-License-Identifier: Apache-2.0 */
/* From passed Sends to records in the log: a queue for each partition, batches of what came in one turn, several under way. */
#include <string.h>

#include "core/arena.h"
#include "core/partition.h"
#include "server/role/gateway_parts.h"

enum { APPENDS_MAX = 8, APPEND_BYTES_MAX = 1 << 20, RECORD_MAX = 256 * 1024 };

/* Whose record it is, by number: the connection may be gone when the log answers. */
typedef struct owner {
  uint64_t connection, serial; /* connection 0: the embedder's */
  uint8_t conversation_id[16];
} owner;

typedef struct append_call {
  ch_call call;
  uint32_t partition;
  owner *owners;
} append_call;

int ch_sends_init(ch_gateway *gateway) {
  ch_sends *sends = &gateway->sends;
  uint8_t seed[CH_HASHMAP_SEED_LEN];
  ch_gateway_seed(gateway, seed);
  ch_hashmap_init(&sends->members, gateway->env.alloc, seed);
  ch_list_init(&sends->ready);
  sends->partitions = ch_calloc(gateway->env.alloc, gateway->config.message_partitions, sizeof *sends->partitions);
  if (!sends->partitions) return CHAT_E_NOMEM;
  for (uint32_t i = 0; i < gateway->config.message_partitions; i++) {
    ch_list_init(&sends->partitions[i].ready);
    ch_list_init(&sends->partitions[i].queue);
  }
  return 0;
}

/* ------------------------------------------------------------------------------------------------ queues */

static void make_ready(ch_gateway *gateway, ch_partition_queue *partition) {
  bool can = partition->under_way < APPENDS_MAX && !ch_list_is_empty(&partition->queue);
  if (can && ch_list_is_empty(&partition->ready)) ch_list_push_back(&gateway->sends.ready, &partition->ready);
}

static ch_partition_queue *queue_of(const ch_gateway *gateway, const ch_entry *entry) {
  return &gateway->sends.partitions[ch_partition_of(ch_id_bytes(entry->send.conversation_id), gateway->config.message_partitions)];
}

void ch_append_queue(ch_gateway *gateway, ch_entry *entry) {
  ch_partition_queue *partition = queue_of(gateway, entry);
  ch_list_push_back(&partition->queue, &entry->queued);
  partition->queue_count++;
  make_ready(gateway, partition);
}

static void unqueue(ch_partition_queue *partition, ch_entry *entry) {
  ch_list_remove(&entry->queued);
  partition->queue_count--;
}

void ch_append_forget(ch_gateway *gateway, ch_entry *entry) {
  if (!ch_list_is_empty(&entry->queued)) unqueue(queue_of(gateway, entry), entry);
}

/* ------------------------------------------------------------------------------------------------ the log answered */

static void tell(ch_gateway *gateway, const owner *who, int status, ch_now now) {
  if (!who->connection) {
    ch_request_appended(gateway, who->serial, status);
    return;
  }
  ch_conn *conn = ch_conn_find(gateway, who->connection);
  ch_lane *lane = conn ? ch_lane_find(conn, who->conversation_id) : NULL;
  if (lane) ch_lane_appended(gateway, lane, who->serial, status, now);
}

/* Each record has its own fate; what is not known to be in counts as unknown, whatever the status (G3). */
static void append_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  append_call *append = (append_call *)call;
  const chat_log_append *op = (const chat_log_append *)call->op;
  (void)status;
  for (size_t i = 0; i < op->count; i++) tell(gateway, &append->owners[i], op->records[i].position ? 0 : CHAT_E_UNKNOWN, now);
  ch_partition_queue *partition = &gateway->sends.partitions[append->partition];
  partition->under_way--;
  make_ready(gateway, partition);
}

/* ------------------------------------------------------------------------------------------------ an append */

static ch_record record_of(const ch_entry *entry) {
  const ch_send *send = &entry->send;
  ch_record record = {.client_seq = send->client_seq, .prev = send->prev, .type = send->type, .payload = send->payload, .peer = send->peer};
  memcpy(record.conversation_id, send->conversation_id, 16);
  memcpy(record.client_id, send->client_id, 16);
  record.sender = entry->lane ? ch_conn_user(entry->lane->conn) : entry->sender;
  if (entry->lane) memcpy(record.device_id, entry->lane->conn->device_id, 16);
  record.system = !entry->lane;
  if (!entry->void_error) return record;
  record.is_void = 1;
  record.void_error = entry->void_error;
  record.payload = (chat_bytes){0};
  return record;
}

int ch_append_check(const ch_entry *entry) {
  ch_record record = record_of(entry);
  return ch_record_check(&record);
}

static bool encode(ch_entry *entry, chat_log_append *op, ch_buf *scratch) {
  ch_record record = record_of(entry);
  ch_buf_clear(scratch);
  if (ch_record_encode(&record, scratch)) return false;
  chat_bytes data = chat_op_copy(&op->op, ch_buf_bytes(scratch));
  op->records[op->count] = (chat_log_record){.data = data};
  return data.data != NULL;
}

static void name_owner(append_call *append, size_t i, const ch_entry *entry) {
  owner *who = &append->owners[i];
  who->connection = entry->lane ? entry->lane->conn->id : 0;
  who->serial = entry->serial;
  memcpy(who->conversation_id, entry->send.conversation_id, 16);
}

/* Of one append, now. */
static size_t count_max(const ch_gateway *gateway, const ch_partition_queue *partition) {
  return partition->queue_count < gateway->config.append_count_max ? partition->queue_count : gateway->config.append_count_max;
}

static chat_log_append *new_append(ch_gateway *gateway, uint32_t number) {
  chat_log_append *op = ch_call_new(gateway, CHAT_OP_LOG_APPEND, sizeof *op, sizeof(append_call), append_done);
  if (!op) return NULL;
  append_call *append = ch_call_of(op);
  append->partition = number;
  op->topic = CHAT_TOPIC_MESSAGES;
  op->partition = number;
  size_t count = count_max(gateway, &gateway->sends.partitions[number]);
  op->records = chat_op_alloc(&op->op, count * sizeof *op->records);
  append->owners = chat_op_alloc(&op->op, count * sizeof *append->owners);
  if (op->records && append->owners) return op;
  ch_call_discard(gateway, op);
  return NULL;
}

/* Moves entries from the queue into the op; what does not fit, or finds no memory, waits for the next. */
static void fill(ch_gateway *gateway, ch_partition_queue *partition, chat_log_append *op) {
  ch_buf scratch;
  size_t bytes = 0, count = count_max(gateway, partition);
  ch_buf_init(&scratch, gateway->env.alloc, RECORD_MAX);
  while (op->count < count && bytes < APPEND_BYTES_MAX) {
    ch_entry *entry = CH_LIST_ITEM(partition->queue.next, ch_entry, queued);
    if (!encode(entry, op, &scratch)) {
      op->op.arena->is_short = false; /* nothing of it is in the op */
      break;
    }
    name_owner(ch_call_of(op), op->count++, entry);
    bytes += scratch.len;
    unqueue(partition, entry);
    if (!entry->lane) ch_entry_free(gateway, entry); /* the embedder's: its request remembers it by serial */
  }
  ch_buf_fini(&scratch);
}

static void pull_one(ch_gateway *gateway, uint32_t number) {
  ch_partition_queue *partition = &gateway->sends.partitions[number];
  chat_log_append *op = new_append(gateway, number);
  if (!op) return;
  fill(gateway, partition, op);
  if (op->count == 0) {
    ch_call_discard(gateway, op);
    return;
  }
  partition->under_way++;
  ch_call_submit(gateway, op, 1);
}

void ch_append_pull(ch_gateway *gateway) {
  for (ch_list *node = ch_list_pop_front(&gateway->sends.ready); node; node = ch_list_pop_front(&gateway->sends.ready)) {
    ch_partition_queue *partition = CH_LIST_ITEM(node, ch_partition_queue, ready);
    uint32_t before = partition->under_way;
    if (ch_list_is_empty(&partition->queue)) continue; /* their connections left meanwhile */
    pull_one(gateway, (uint32_t)(partition - gateway->sends.partitions));
    if (partition->under_way == before) { /* no memory now: at the next turn */
      ch_list_push_back(&gateway->sends.ready, &partition->ready);
      return;
    }
    make_ready(gateway, partition);
  }
}

void ch_sends_fini(ch_gateway *gateway) {
  ch_members_fini(gateway);
  ch_free(gateway->env.alloc, gateway->sends.partitions);
}
