/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that fail, records that are none, logs that are others, owners that come too late. */
#include <inttypes.h>

#include "unit/server/sequencer_peer.h"

/* An op comes back well, with what the log has. */
static void answer(void *op) {
  uint32_t kind = ((chat_op *)op)->kind;
  if (kind == CHAT_OP_LOG_INFO) fill_info(op);
  if (kind == CHAT_OP_LOG_READ) fill_read(op, config.batch_count_max);
  give(op, 0);
}

static bool is_long_poll(const chat_op *op) {
  return op->kind == CHAT_OP_LOG_READ && ((const chat_log_read *)(const void *)op)->after == logged_count;
}

static bool may_be_answered(const chat_op *op, uint32_t kind) {
  (void)kind;
  return !is_long_poll(op);
}

static void *next_answerable(void) {
  return find_first(may_be_answered, 0);
}

/* Everything goes well but for the op of that kind of which `skip` were before; NULL: there is none any more. */
static void *reach(uint32_t kind, int skip) {
  for (chat_op *op; (op = next_answerable()); answer(op)) {
    if (op->kind == kind && skip-- == 0) return op;
  }
  return NULL;
}

static void goes_well_to_the_end(void) {
  ck_assert_ptr_null(reach(0, 0));
  ck_assert_uint_eq(ch_sequencer_get_stats(sequencer)->position, logged_count);
  ck_assert(ch_sequencer_idle(sequencer));
}

/* Three events and a DUP. */
static void begin(void) {
  log_create(CHAT_GROUP);
  log_message(group, "bob", 1, "one");
  log_message(group, "alice", 2, "two");
  log_message(group, "bob", 1, "one");
  sequencer_begin();
  ck_assert_int_eq(ch_sequencer_assign(sequencer, partition, now), 0);
}

/* Every op of the opening and of a batch, where there is one partition of tasks. */
static const struct place {
  uint32_t kind, derives_heads;
  int skip;
  uint32_t again_kind; /* what is put out after a failure */
} places[] = {
    {CHAT_OP_STORE_POSITION, 0, 0, CHAT_OP_STORE_POSITION},
    {CHAT_OP_LOG_INFO, 0, 0, CHAT_OP_LOG_INFO},
    {CHAT_OP_LOG_READ, 0, 0, CHAT_OP_LOG_INFO},
    {CHAT_OP_STORE_STATE, 0, 0, CHAT_OP_STORE_STATE},
    {CHAT_OP_STORE_APPLY, 0, 0, CHAT_OP_STORE_APPLY}, /* rows */
    {CHAT_OP_LOG_APPEND, 0, 0, CHAT_OP_LOG_APPEND},   /* tasks */
    {CHAT_OP_STORE_APPLY, 0, 1, CHAT_OP_STORE_APPLY}, /* states */
    {CHAT_OP_LOG_APPEND, 0, 1, CHAT_OP_LOG_APPEND},   /* a verdict */
    {CHAT_OP_STORE_APPLY, 1, 0, CHAT_OP_STORE_APPLY},
    {CHAT_OP_LOG_APPEND, 1, 0, CHAT_OP_LOG_APPEND},
    {CHAT_OP_LOG_APPEND, 1, 1, CHAT_OP_LOG_APPEND},
};
enum { PLACES_COUNT = sizeof places / sizeof *places };

static void *begin_at(const struct place *place) {
  config.store_derives_heads = place->derives_heads;
  config.delivery_partitions = 1;
  begin();
  void *op = reach(place->kind, place->skip);
  ck_assert_ptr_nonnull(op);
  return op;
}

/* What a test writes and owns is as at first, for the next round of a loop. */
static void end_round(void) {
  sequencer_end();
  sequencer_config_default();
}

/* --- it failed and may go well later --- */

START_TEST(what_failed_is_done_again_after_twice_the_time) {
  static const int statuses[] = {CHAT_E_AGAIN, CHAT_E_UNKNOWN, CHAT_E_FULL, CHAT_E_IO, CHAT_E_NOMEM, CHAT_E_BUSY, CHAT_E_TIMEOUT, CHAT_E_AGAIN, CHAT_E_IO};
  static const uint64_t waits_ms[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
  for (size_t i = 0; i < PLACES_COUNT; i++) {
    const struct place *place = &places[i];
    void *op = begin_at(place);
    for (size_t j = 0; j < sizeof waits_ms / sizeof *waits_ms; j++) {
      give(op, statuses[j]);
      ck_assert_uint_eq(role.deadline_ms(role.self), now.elapsed_ms + waits_ms[j]);
      pass_time(waits_ms[j] - 1);
      ck_assert_uint_eq(count_ops(place->again_kind), 0);
      pass_time(1);
      op = find_op(place->again_kind);
      ck_assert_msg(op != NULL, "place %zu", i);
    }
    answer(op);
    goes_well_to_the_end();
    ck_assert_uint_eq(role.deadline_ms(role.self), CH_NEVER_MS);
    ck_assert_uint_eq(ch_sequencer_get_stats(sequencer)->committed, 3);
    ck_assert_uint_gt(ch_sequencer_get_stats(sequencer)->retries, 0);
    ck_assert_int_eq(ch_sequencer_fault(sequencer, partition), 0);

    log_message(group, "bob", 2, "after a success the wait is short again");
    answer(find_op(CHAT_OP_LOG_READ));
    give(reach(CHAT_OP_STORE_APPLY, 0), CHAT_E_AGAIN);
    ck_assert_uint_eq(role.deadline_ms(role.self), now.elapsed_ms + RETRY_MS);
    end_round();
  }
}
END_TEST

/* The state says already that the record is done, so a batch begun anew would tell nobody. */
START_TEST(tasks_are_sent_also_where_memory_was_out_behind_the_state) {
  config.store_derives_heads = true;
  log_create(CHAT_GROUP);
  sequencer_begin();
  assign(0);
  void *op = reach(CHAT_OP_STORE_APPLY, 0);
  memory.left = 0;
  give(op, 0);
  memory.left = SIZE_MAX;
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_APPEND), 0);
  pass_time(RETRY_MS);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_STATE), 0);
  size_t count;
  const ch_task *tasks = take_tasks(&count, 1);
  ck_assert_uint_eq(count, 2);
  ck_assert_uint_eq(tasks[0].u.event.seq, 1);
  goes_well_to_the_end();
  ck_assert_uint_eq(ch_sequencer_get_stats(sequencer)->committed, 1);
  sequencer_end();
}
END_TEST

static const char *long_text(void) {
  char *text = ch_arena_alloc(&kept, 60001);
  memset(text, 'x', 60000);
  text[60000] = 0;
  return text;
}

/* What has a position is in the log, whatever the status says; the rest is appended again, alone. */
START_TEST(only_what_is_not_in_the_log_is_appended_again) {
  config.delivery_partitions = 1;
  log_create(CHAT_GROUP);
  for (uint64_t i = 1; i < 4; i++)
    log_message(group, "bob", i, long_text());
  sequencer_begin();
  assign(0);
  chat_log_append *op = reach(CHAT_OP_LOG_APPEND, 0);
  ck_assert_uint_eq(op->count, 2); /* at most 256 KiB each */
  ck_assert_uint_le(op->records[0].data.len, 256 * 1024);
  chat_bytes second = op->records[1].data;
  op->records[0].position = 1;
  give(op, CHAT_E_UNKNOWN);
  pass_time(RETRY_MS);
  op = take_op(CHAT_OP_LOG_APPEND);
  ck_assert_uint_eq(op->count, 1);
  ck_assert_ptr_eq(op->records[0].data.data, second.data);
  op->records[0].position = 2;
  give(op, CHAT_E_UNKNOWN); /* all of it is in */
  ck_assert_uint_eq(role.deadline_ms(role.self), CH_NEVER_MS);
  goes_well_to_the_end();
  sequencer_end();
}
END_TEST

START_TEST(consumed_is_a_hint) {
  begin();
  give(reach(CHAT_OP_LOG_CONSUMED, 0), CHAT_E_IO);
  ck_assert_uint_eq(role.deadline_ms(role.self), CH_NEVER_MS);
  goes_well_to_the_end();
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_CONSUMED), 0);
  ck_assert_int_eq(ch_sequencer_fault(sequencer, partition), 0);
  sequencer_end();
}
END_TEST

/* --- it failed for good --- */

static void stands_still(int fault) {
  ck_assert_int_eq(ch_sequencer_fault(sequencer, partition), fault);
  for (chat_op *op; (op = find_op_but(0));) {
    ck_assert_uint_ne(op->kind, CHAT_OP_STORE_APPLY);
    answer(op);
  }
  ck_assert_uint_eq(role.deadline_ms(role.self), CH_NEVER_MS);
  ck_assert(ch_sequencer_idle(sequencer));
}

START_TEST(other_errors_stop_the_partition) {
  static const struct {
    int status, fault;
  } rows[] = {{CHAT_E_CORRUPT, CHAT_E_CORRUPT}, {CHAT_E_GONE, CHAT_E_GONE}, {CHAT_E_INVALID, CHAT_E_INTERNAL}, {CHAT_E_CANCELED, 0}};
  for (size_t i = 0; i < PLACES_COUNT; i++) {
    for (size_t j = 0; j < sizeof rows / sizeof *rows; j++) {
      if (places[i].kind == CHAT_OP_LOG_READ && rows[j].status == CHAT_E_GONE) continue; /* below */
      give(begin_at(&places[i]), rows[j].status);
      stands_still(rows[j].fault);
      ch_sequencer_revoke(sequencer, partition);
      ck_assert_int_eq(ch_sequencer_fault(sequencer, partition), 0);
      end_round();
    }
  }
}
END_TEST

/* Another owner has stored more and had it cut. */
START_TEST(what_another_owner_had_cut_is_read_from_behind_it) {
  log_create(CHAT_GROUP);
  log_message(group, "alice", 2, "one");
  sequencer_begin();
  assign(0);
  give(take_op(CHAT_OP_LOG_READ), CHAT_E_GONE);
  ck_assert_int_eq(ch_sequencer_fault(sequencer, partition), 0);
  opens_at(2);
  chat_log_read *read = take_op(CHAT_OP_LOG_READ);
  ck_assert_uint_eq(read->after, 2);
  give(read, CHAT_E_GONE); /* once more, further on */
  opens_at(2);
  give(take_op(CHAT_OP_LOG_READ), CHAT_E_GONE); /* and the store has not moved: the log contradicts it */
  stands_still(CHAT_E_GONE);
  sequencer_end();
}
END_TEST

/* What is before it is committed; the partition stands still there until an operator acts. */
START_TEST(a_record_that_is_none_stops_the_partition_behind_what_is_before_it) {
  for (uint32_t derives_heads = 0; derives_heads < 2; derives_heads++) {
    for (uint64_t before = 0; before < 3; before++) {
      config.store_derives_heads = derives_heads;
      if (before > 0) log_create(CHAT_GROUP);
      if (before > 1) log_message(group, "bob", 1, "one");
      log_bytes(ch_bytes_text("\xff none"));
      log_message(group, "alice", 2, "two");
      sequencer_begin();
      assign(0);
      for (chat_op *op; (op = next_answerable()); answer(op)) {
        if (op->kind == CHAT_OP_LOG_CONSUMED) ck_assert_uint_eq(((chat_log_consumed *)(void *)op)->position, before);
      }
      ck_assert_int_eq(ch_sequencer_fault(sequencer, partition), CHAT_E_CORRUPT);
      ck_assert_uint_eq(ch_sequencer_get_stats(sequencer)->position, before);
      ck_assert_uint_eq(ch_sequencer_get_stats(sequencer)->committed, before);
      stands_still(CHAT_E_CORRUPT);
      end_round();
    }
  }
}
END_TEST

/* --- another log --- */

static const uint64_t epoch_1 = UINT64_C(1) << 48;

static chat_log_info *begin_with_info(uint64_t stored, uint8_t identity) {
  sequencer_begin();
  ck_assert_int_eq(ch_sequencer_assign(sequencer, partition, now), 0);
  chat_store_position *position = take_op(CHAT_OP_STORE_POSITION);
  ck_assert_uint_eq(count_ops(CHAT_OP_LOG_INFO), 0); /* an owner before may still store: its end is asked afterwards */
  position->position = stored;
  memset(position->log_identity, identity, sizeof position->log_identity);
  give(position, 0);
  return take_op(CHAT_OP_LOG_INFO);
}

START_TEST(a_log_that_ends_before_what_is_stored_is_another_one) {
  log_create(CHAT_GROUP);
  for (uint64_t stored = 1; stored < 3; stored++) {
    chat_log_info *info = begin_with_info(stored, 0);
    fill_info(info);
    give(info, 0);
    ck_assert_int_eq(ch_sequencer_fault(sequencer, partition), stored == 1 ? 0 : CHAT_E_GONE);
    ck_assert_uint_eq(count_ops(CHAT_OP_LOG_READ), stored == 1);
    cancel_ops();
    ch_sequencer_free(sequencer);
  }
}
END_TEST

START_TEST(a_stored_position_of_a_lower_epoch_is_before_the_end) {
  chat_log_info *info = begin_with_info(40, 1);
  info->first = info->end = epoch_1 | 41;
  memset(info->identity, 1, sizeof info->identity);
  give(info, 0);
  ck_assert_int_eq(ch_sequencer_fault(sequencer, partition), 0);
  chat_log_read *read = take_op(CHAT_OP_LOG_READ);
  ck_assert_uint_eq(read->after, 40);
  give(read, 0);
  sequencer_end();
}
END_TEST

/* Until its epoch is raised, and then what is from before is not looked at. `stored_identity` 0: none. */
START_TEST(a_log_of_another_identity_than_the_stored_one_is_another_one) {
  static const struct {
    uint64_t stored;
    uint8_t stored_identity, identity;
    uint64_t end;
    int fault;
    uint64_t after;
  } rows[] = {
      {5, 1, 1, 5, 0, 5}, {5, 1, 2, 5, CHAT_E_GONE, 0}, {5, 1, 2, 9, CHAT_E_GONE, 0}, {5, 0, 2, 9, 0, 5}, {5, 1, 1, epoch_1 | 9, 0, 5}, {5, 1, 2, epoch_1, 0, epoch_1},
      {5, 1, 2, epoch_1 | 9, 0, epoch_1}, {5, 1, 2, epoch_1 * 3 | 9, 0, epoch_1}, {epoch_1 | 5, 1, 2, epoch_1 | 9, CHAT_E_GONE, 0}, {epoch_1 | 5, 1, 2, epoch_1 * 2, 0, epoch_1 * 2},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    chat_log_info *info = begin_with_info(rows[i].stored, rows[i].stored_identity);
    info->first = 1;
    info->end = rows[i].end;
    memset(info->identity, rows[i].identity, sizeof info->identity);
    give(info, 0);
    ck_assert_msg(ch_sequencer_fault(sequencer, partition) == rows[i].fault, "row %zu", i);
    chat_log_read *read = find_op(CHAT_OP_LOG_READ);
    ck_assert_msg((read == NULL) == (rows[i].fault != 0), "row %zu", i);
    if (read) ck_assert_msg(read->after == rows[i].after, "row %zu: %" PRIx64, i, read->after);
    if (read) give(read, 0);
    rests();
    end_round();
  }
}
END_TEST

static void is_stored_of(uint64_t position, uint8_t identity) {
  chat_store_apply *op;
  while ((op = reach(CHAT_OP_STORE_APPLY, 0))->position == 0) {
    ck_assert(ch_id_is_zero(op->log_identity));
    answer(&op->op);
  }
  ck_assert_uint_eq(op->position, position);
  for (size_t i = 0; i < sizeof op->log_identity; i++)
    ck_assert_uint_eq(op->log_identity[i], identity);
  answer(&op->op);
}

/* Also where the reader has found another log by then, since the batch was read. */
START_TEST(a_position_is_stored_with_the_identity_of_the_log_that_was_read) {
  for (uint32_t derives_heads = 0; derives_heads < 2; derives_heads++) {
    config.store_derives_heads = derives_heads;
    begin();
    chat_op *first_write = reach(CHAT_OP_STORE_APPLY, 0);
    give(take_op(CHAT_OP_LOG_READ), CHAT_E_IO);
    pass_time(RETRY_MS);
    chat_log_info *info = take_op(CHAT_OP_LOG_INFO);
    info->end = epoch_1 | 5;
    memset(info->identity, 2, sizeof info->identity);
    give(info, 0);
    chat_log_read *read = take_op(CHAT_OP_LOG_READ);
    ck_assert_uint_eq(read->after, epoch_1);
    give(first_write, CHAT_E_IO);
    pass_time(RETRY_MS);
    is_stored_of(4, 1);
    log_message(group, "bob", 2, "of the other log");
    logged[4].position = epoch_1 | 5;
    fill_read(read, 1);
    give(read, 0);
    is_stored_of(epoch_1 | 5, 2);
    give(reach(CHAT_OP_LOG_CONSUMED, 0), 0);
    rests();
    end_round();
  }
}
END_TEST

/* A log that was not there for a while is asked again who it is. */
START_TEST(a_log_that_comes_back_as_another_one_stops_the_partition) {
  static const struct {
    uint8_t identity;
    uint64_t end;
    int fault;
  } rows[] = {{1, 4, 0}, {1, 5, 0}, {1, 3, CHAT_E_GONE}, {2, 4, CHAT_E_GONE}, {2, 9, CHAT_E_GONE}, {2, epoch_1, 0}, {1, epoch_1, 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    begin();
    goes_well_to_the_end();
    give(take_op(CHAT_OP_LOG_READ), CHAT_E_IO);
    rests();
    pass_time(RETRY_MS);
    chat_log_info *info = take_op(CHAT_OP_LOG_INFO);
    info->end = rows[i].end;
    memset(info->identity, rows[i].identity, sizeof info->identity);
    give(info, 0);
    ck_assert_int_eq(ch_sequencer_fault(sequencer, partition), rows[i].fault);
    ck_assert_uint_eq(count_ops(CHAT_OP_LOG_READ), rows[i].fault == 0);
    end_round();
  }
}
END_TEST

/* --- owners that come too late --- */

/* Revoked at any time, it puts out nothing more; what comes back late harms nobody, not even a second owner in the same process. */
START_TEST(a_revoked_partition_writes_nothing_more) {
  for (int done = 0;; done++) {
    begin();
    chat_op *op = NULL;
    for (int i = 0; i <= done && (op = next_answerable()); i++) {
      if (i < done) answer(op);
    }
    if (!op) {
      ck_assert_int_gt(done, PLACES_COUNT - 3); /* it was revoked in every step */
      sequencer_end();
      break;
    }
    pull();
    ch_op_queue late = outside;
    outside = (ch_op_queue){0};
    ch_sequencer_revoke(sequencer, partition);
    ck_assert_int_eq(ch_sequencer_assign(sequencer, partition, now), 0);
    give(op, 0);
    for (chat_op *other; (other = ch_op_queue_pop(&late));)
      give(other, done % 2 ? CHAT_E_AGAIN : 0);
    ck_assert_uint_eq(role.deadline_ms(role.self), CH_NEVER_MS);
    ck_assert_uint_eq(count_ops(CHAT_OP_STORE_POSITION), 1);
    ck_assert_uint_eq(outside.count, 1);
    goes_well_to_the_end();
    end_round();
  }
}
END_TEST

START_TEST(a_revoked_partition_forgets_what_waits_to_be_done_again) {
  give(begin_at(&places[4]), CHAT_E_IO);
  ch_sequencer_revoke(sequencer, partition);
  ck_assert_uint_eq(role.deadline_ms(role.self), CH_NEVER_MS);
  pass_time(RETRY_MS);
  pull();
  ck_assert_ptr_null(next_answerable());
  sequencer_end();
}
END_TEST

START_TEST(bad_options) {
  config.retry_ms = 0;
  ck_assert_int_eq(ch_sequencer_new(&env, &config, &sequencer), CHAT_E_INVALID);
  sequencer_config_default();
  config.batch_count_max = 0;
  ck_assert_int_eq(ch_sequencer_new(&env, &config, &sequencer), CHAT_E_INVALID);
  sequencer_config_default();
  config.delivery_partitions = 0;
  ck_assert_int_eq(ch_sequencer_new(&env, &config, &sequencer), CHAT_E_INVALID);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {what_failed_is_done_again_after_twice_the_time, 0},
      {tasks_are_sent_also_where_memory_was_out_behind_the_state, 0},
      {only_what_is_not_in_the_log_is_appended_again, 0},
      {consumed_is_a_hint, 0},
      {other_errors_stop_the_partition, 0},
      {what_another_owner_had_cut_is_read_from_behind_it, 0},
      {a_record_that_is_none_stops_the_partition_behind_what_is_before_it, 0},
      {a_log_that_ends_before_what_is_stored_is_another_one, 0},
      {a_stored_position_of_a_lower_epoch_is_before_the_end, 0},
      {a_log_of_another_identity_than_the_stored_one_is_another_one, 0},
      {a_position_is_stored_with_the_identity_of_the_log_that_was_read, 0},
      {a_log_that_comes_back_as_another_one_stops_the_partition, 0},
      {a_revoked_partition_writes_nothing_more, 0},
      {a_revoked_partition_forgets_what_waits_to_be_done_again, 0},
      {bad_options, 0},
  };
  sequencer_config_default();
  return RUN_TESTS("sequencer_failures", rows);
}
