/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/log_file/partition.h"

void ch_log_fifo_init(ch_log_fifo *fifo) {
  fifo->first = NULL;
  fifo->last = &fifo->first;
}

void ch_log_fifo_push(ch_log_fifo *fifo, ch_log_wait *item) {
  item->next = NULL;
  *fifo->last = item;
  fifo->last = &item->next;
}

ch_log_wait *ch_log_fifo_pop(ch_log_fifo *fifo) {
  ch_log_wait *item = fifo->first;
  if (!item) return NULL;
  fifo->first = item->next;
  if (!fifo->first) fifo->last = &fifo->first;
  return item;
}

/* ------------------------------------------------------------------------------------------------ append */

static void enter_tail(ch_log_partition *partition) {
  for (size_t i = 0; i < partition->gathered_count; i++) {
    const ch_log_gathered *item = &partition->gathered[i];
    item->record->position = ch_journal_position(&partition->journal, item->number);
    item->record->append_ms = item->time_ms;
    ch_tail_push(&partition->tail, item->number, item->record->position, item->time_ms, item->record->data);
  }
}

/* Commits what was gathered. Where that fails, the append of each of its records has failed so; other records of those appends may be in. */
static int flush(ch_log_partition *partition, pthread_mutex_t *lock) {
  int error = ch_journal_commit(&partition->journal);
  pthread_mutex_lock(lock);
  if (!error) enter_tail(partition);
  pthread_mutex_unlock(lock);
  for (size_t i = 0; error && i < partition->gathered_count; i++)
    partition->gathered[i].wait->status = error;
  partition->gathered_count = 0;
  return error;
}

/* After a failed commit the file is opened anew before anything else is written. */
static int make_ready(ch_log_partition *partition) {
  if (partition->lost) return CHAT_E_CORRUPT;
  if (partition->journal.fd >= 0) return 0;
  int error = ch_journal_reopen(&partition->journal);
  partition->lost = error == CHAT_E_CORRUPT;
  return error;
}

static int gather(ch_log_partition *partition, ch_log_wait *wait, chat_log_record *record, pthread_mutex_t *lock) {
  for (;;) {
    uint64_t number, time_ms = wait->now_ms;
    int error = make_ready(partition);
    int taken = error ? error : ch_journal_add(&partition->journal, record->data, &time_ms, &number);
    if (taken < 0) return taken;
    if (taken > 0) {
      partition->gathered[partition->gathered_count++] = (ch_log_gathered){wait, record, number, time_ms};
      return partition->gathered_count == CH_LOG_COMMIT_RECORDS ? flush(partition, lock) : 0;
    }
    error = partition->gathered_count > 0 ? flush(partition, lock) : ch_journal_roll(&partition->journal);
    if (error) return error;
  }
}

/* Records of one append keep their order: behind one that failed none is tried. A flush that fails here may fail appends before this one, and leave this one untried. */
static void append(ch_log_partition *partition, ch_log_wait *wait, pthread_mutex_t *lock) {
  chat_log_append *append = (chat_log_append *)wait->op;
  for (size_t i = 0; i < append->count && wait->status == 0; i++) {
    int error = gather(partition, wait, &append->records[i], lock);
    if (error && wait->status == 0) wait->status = error;
  }
}

void ch_log_partition_append(ch_log_partition *partition, ch_log_fifo *batch, pthread_mutex_t *lock) {
  for (ch_log_wait *wait = batch->first; wait; wait = wait->next)
    append(partition, wait, lock);
  flush(partition, lock);
}

/* ------------------------------------------------------------------------------------------------ read */

/* The records of an answer while they are collected. */
typedef struct answer_records {
  chat_log_read *read;
  size_t bytes, room;
  int error;
} answer_records;

static bool fits(const answer_records *answer, size_t len) {
  const chat_log_read *read = answer->read;
  return read->count < read->count_max && (read->count == 0 || answer->bytes + len <= read->bytes_max);
}

static bool make_room(answer_records *answer) {
  chat_log_read *read = answer->read;
  if (read->count < answer->room) return true;
  size_t room = answer->room ? answer->room * 2 : 16;
  chat_log_record *records = chat_op_alloc(&read->op, room * sizeof *records);
  if (!records) return false;
  for (size_t i = 0; i < read->count; i++)
    records[i] = read->records[i];
  read->records = records;
  answer->room = room;
  return true;
}

/* Takes one more record: false where it does not fit, or memory is out (answer->error). */
static bool take(answer_records *answer, uint64_t position, uint64_t append_ms, chat_bytes data) {
  chat_log_read *read = answer->read;
  if (!fits(answer, data.len)) return false;
  chat_bytes copy = make_room(answer) ? chat_op_copy(&read->op, data) : (chat_bytes){0};
  if (!copy.data && (data.len > 0 || read->count == answer->room)) {
    answer->error = CHAT_E_NOMEM;
    return false;
  }
  read->records[read->count++] = (chat_log_record){.position = position, .append_ms = append_ms, .data = copy};
  answer->bytes += data.len;
  return true;
}

static int read_tail(const ch_log_partition *partition, chat_log_read *read, uint64_t number) {
  answer_records answer = {.read = read};
  const ch_tail_entry *entry;
  while ((entry = ch_tail_at(&partition->tail, number)) && take(&answer, entry->position, entry->append_ms, ch_bytes_of(entry->data, entry->len)))
    number++;
  return answer.error;
}

ch_log_answer ch_log_partition_read(ch_log_partition *partition, chat_log_read *read, int *status) {
  uint64_t first, end, number = ch_journal_after(&partition->journal, read->after);
  read->count = 0;
  *status = CHAT_E_GONE;
  if (number == 0) return CH_LOG_ANSWERED;
  ch_journal_bounds(&partition->journal, &first, &end);
  if (number > end) return CH_LOG_NOTHING;
  if (!ch_tail_at(&partition->tail, number)) return CH_LOG_IN_FILE;
  *status = read_tail(partition, read, number);
  return CH_LOG_ANSWERED;
}

static bool take_from_file(void *arg, uint32_t epoch, const ch_logfile_record *record) {
  return take(arg, (uint64_t)epoch << 48 | record->number, record->time_ms, record->data);
}

int ch_log_partition_read_file(ch_log_partition *partition, chat_log_read *read) {
  answer_records answer = {.read = read};
  read->count = 0;
  uint64_t number = ch_journal_after(&partition->journal, read->after);
  if (number == 0) return CHAT_E_GONE;
  int error = ch_journal_read(&partition->journal, &partition->cursor, number, take_from_file, &answer);
  if (answer.error) return answer.error;
  /* What was read before the damage is good; who reads on meets it again. */
  return read->count > 0 ? 0 : error;
}
