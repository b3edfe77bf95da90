/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that fail, a directory that is down, logs that were cut or are others, owners that come too late, memory that runs out. */
#include <inttypes.h>
#include <stdio.h>

#include "server/role/retry.h"
#include "unit/server/deliverer_peer.h"

static void begin(void) {
  deliverer_begin();
  assign(0);
}

/* What a test writes and owns is as at first, for the next round of a loop. */
static void end_round(void) {
  deliverer_end();
  deliverer_config_default();
}

static const ch_deliverer_stats *stats(void) {
  return ch_deliverer_get_stats(deliverer);
}

/* --- backends that answer by themselves --- */

static bool is_long_poll(const chat_op *op) {
  return op->kind == CHAT_OP_LOG_READ && ((const chat_log_read *)(const void *)op)->after == logged_count;
}

static bool has_answer(const chat_op *op, uint32_t kind) {
  (void)kind;
  return !is_long_poll(op);
}

/* What backends take of an op's memory is not what runs out here. */
static void answer(chat_op *op) {
  size_t left = memory.left;
  memory.left = SIZE_MAX;
  switch (op->kind) {
  case CHAT_OP_LOG_INFO: fill_info((void *)op); break;
  case CHAT_OP_LOG_READ: fill_read((void *)op, 1); break;
  case CHAT_OP_DIRECTORY_RAISE: add_routes(op, ((chat_directory_raise *)(void *)op)->raises, "a1"); break;
  case CHAT_OP_DIRECTORY_ROUTES: add_routes(op, ((chat_directory_routes *)(void *)op)->raises, "a1"); break;
  default: break;
  }
  memory.left = left;
  give(op, 0);
}

static bool work(size_t ops) {
  for (; ops > 0; ops--) {
    chat_op *op = find_first(has_answer, 0);
    if (!op) return false;
    answer(op);
  }
  return true;
}

/* --- the store --- */

START_TEST(heads_that_failed_are_written_again_after_twice_the_time) {
  static const int statuses[] = {CHAT_E_AGAIN, CHAT_E_UNKNOWN, CHAT_E_FULL, CHAT_E_IO, CHAT_E_NOMEM, CHAT_E_BUSY, CHAT_E_TIMEOUT, CHAT_E_IO};
  static const uint64_t waits_ms[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
  log_event("a");
  log_event("a");
  begin();
  reads(2);
  for (size_t i = 0; i < 8; i++) {
    give(take_op(CHAT_OP_STORE_WRITE_HEADS), statuses[i]);
    ck_assert_uint_eq(role.deadline_ms(role.self), now.elapsed_ms + waits_ms[i]);
    pass_time(waits_ms[i] - 1);
    rests();
    pass_time(1);
  }
  heads_are_written(1);
  raises("a", 1, 0);
  give(take_op(CHAT_OP_STORE_WRITE_HEADS), CHAT_E_AGAIN); /* after a success the wait is short again */
  pass_time(RETRY_MS);
  heads_are_written(2);
  ck_assert_int_eq(ch_deliverer_fault(deliverer, 0), 0);
  deliverer_end();
}
END_TEST

START_TEST(other_errors_of_store_and_log_stop_the_partition) {
  static const uint32_t kinds[] = {CHAT_OP_STORE_POSITION, CHAT_OP_LOG_INFO, CHAT_OP_LOG_READ, CHAT_OP_STORE_WRITE_HEADS};
  static const struct {
    int status, fault;
  } rows[] = {{CHAT_E_CORRUPT, CHAT_E_CORRUPT}, {CHAT_E_INVALID, CHAT_E_INTERNAL}, {CHAT_E_CANCELED, 0}};
  for (size_t i = 0; i < 4; i++) {
    for (size_t j = 0; j < sizeof rows / sizeof *rows; j++) {
      log_event("a");
      deliverer_begin();
      ck_assert_int_eq(ch_deliverer_assign(deliverer, 0, now), 0);
      while (count_ops(kinds[i]) == 0)
        ck_assert(work(1));
      give(take_op(kinds[i]), rows[j].status);
      ck_assert_int_eq(ch_deliverer_fault(deliverer, 0), rows[j].fault);
      cancel_ops();
      ck_assert_uint_eq(role.deadline_ms(role.self), CH_NEVER_MS);
      ck_assert(ch_deliverer_idle(deliverer));
      end_round();
    }
  }
}
END_TEST

/* --- a directory that is down --- */

/* It costs live events, not heads: those of later records are written while it does not answer, and it is not asked for each of them. */
START_TEST(a_directory_that_is_down_does_not_hold_up_heads) {
  static const int statuses[] = {CHAT_E_AGAIN, CHAT_E_UNKNOWN, CHAT_E_IO, CHAT_E_TIMEOUT, CHAT_E_INVALID, CHAT_E_GONE};
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
    log_event("a");
    log_event("b");
    log_event("ac");
    begin();
    reads(3);
    heads_are_written(1);
    give(take_raise("a", 1), statuses[i]);
    heads_are_written(2);
    heads_are_written(3);
    rests();
    ck_assert_uint_eq(stats()->records, 3);
    ck_assert_uint_eq(stats()->raises, 0);

    pass_time(RETRY_MS); /* everybody is raised to the highest position, and told to sync */
    raises("abc", 3, 2);
    chat_link_send *link = take_link("1");
    ch_delivered delivered;
    ck_assert_uint_eq(link->count, 1);
    ck_assert_uint_eq(link->deliveries->position, 3);
    ck_assert_uint_eq(link->deliveries->target_count, 3);
    for (size_t j = 0; j < 3; j++)
      ck_assert_uint_eq(link->deliveries->targets[j].previous, 0);
    delivered_of(link->deliveries, &delivered);
    ck_assert_uint_eq(delivered.event_count, 0);
    give(link, 0);
    ck_assert_uint_eq(stats()->raises, 3);

    log_event("a"); /* all is as before */
    reads(1);
    heads_are_written(4);
    raises("a", 4, 3);
    sends_event("a", 4, 4, 3);
    ck_assert_int_eq(ch_deliverer_fault(deliverer, 0), 0);
    end_round();
  }
}
END_TEST

/* A raise of which a part of the directory did not answer. */
static void raises_but(const char *users, uint64_t position, const char *failed) {
  chat_directory_raise *op = take_raise(users, position);
  for (size_t i = 0; i < op->count; i++) {
    if (strchr(failed, users[i]))
      op->raises[i].status = CHAT_E_AGAIN;
    else
      add_routes(&op->op, &op->raises[i], (char[]){users[i], '1', 0});
  }
  give(op, 0);
}

static void fails_for_all(chat_directory_raise *op) {
  for (size_t i = 0; i < op->count; i++)
    op->raises[i].status = CHAT_E_AGAIN;
  give(op, 0);
}

START_TEST(users_of_a_part_that_is_away_are_owed_alone) {
  log_event("ab");
  log_event("a");
  log_event("b");
  begin();
  reads(3);
  heads_are_written(1);
  raises_but("ab", 1, "b");
  sends_event("a", 1, 1, 0);
  heads_are_written(2);
  raises("a", 2, 1); /* the others are told as before */
  sends_event("a", 2, 2, 1);
  heads_are_written(3);
  raises_but("b", 3, "b");
  rests();
  pass_time(RETRY_MS);
  raises_but("b", 3, "b"); /* the debt */
  pass_time(2 * RETRY_MS - 1);
  rests();
  pass_time(1);
  raises("b", 3, 0);
  chat_link_send *op = take_link("1"); /* told to sync: no event, nothing known before */
  ck_assert_uint_eq(op->deliveries->targets->previous, 0);
  ck_assert_uint_eq(op->deliveries->position, 3);
  give(op, 0);
  ck_assert_uint_eq(stats()->raises, 3);
  deliverer_end();
}
END_TEST

START_TEST(the_directory_is_tried_again_after_twice_the_time) {
  log_event("a");
  begin();
  reads(1);
  heads_are_written(1);
  uint64_t wait_ms = RETRY_MS;
  for (int i = 0; i < 9; i++) {
    give(take_raise("a", 1), CHAT_E_IO);
    pass_time(wait_ms - 1);
    ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_RAISE), 0);
    pass_time(1);
    wait_ms = wait_ms * 2 <= 3200 ? wait_ms * 2 : CH_RETRY_MAX_MS;
  }
  raises("a", 1, 0);
  pass_time(1000);
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_RAISE), 0);
  log_event("a");
  reads(1);
  heads_are_written(2);
  give(take_raise("a", 2), CHAT_E_IO);
  pass_time(RETRY_MS);
  raises("a", 2, 0);
  deliverer_end();
}
END_TEST

/* V1: after a raise that was not answered the previous value counts as none for that user until one is, and the highest is raised again. */
START_TEST(what_is_owed_meanwhile_is_raised_as_well) {
  log_event("a");
  log_event("a");
  log_event("ab");
  begin();
  reads(1);
  heads_are_written(1);
  give(take_raise("a", 1), CHAT_E_UNKNOWN);
  pass_time(RETRY_MS);
  chat_directory_raise *first = take_raise("a", 1);
  reads(1);
  heads_are_written(2); /* it is not known yet whether the directory is there: nobody asks it */
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_RAISE), 0);
  add_routes(&first->op, first->raises, "a1");
  give(first, 0);
  ck_assert_uint_eq(count_ops(CHAT_OP_LINK_SEND), 0); /* it answered for position 1, and 2 is owed */
  chat_directory_raise *second = take_raise("a", 2);

  reads(1);
  heads_are_written(3);
  raises("ab", 3, 1); /* of a record, as ever; what was there before counts as none for a */
  chat_link_send *link = take_link("1");
  ck_assert_uint_eq(link->deliveries->targets[0].previous, 0);
  ck_assert_uint_eq(link->deliveries->targets[1].previous, 1);
  give(link, 0);
  give(second, CHAT_E_IO); /* a was raised higher meanwhile: nothing is owed any more */
  pass_time(RETRY_MS);
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_RAISE), 0);

  log_event("a");
  reads(1);
  heads_are_written(4);
  raises("a", 4, 3);
  sends_event("a", 4, 4, 3);
  deliverer_end();
}
END_TEST

/* Where heads are derived a task carries the position of its state; a sequencer that took over may append one of a lower position again. */
START_TEST(the_highest_position_is_raised_again) {
  config.store_derives_heads = 1;
  begin();
  ch_task task = event_task("a", 1, 1);
  log_tasks_at(60, &task, 1);
  log_tasks_at(55, &task, 1);
  reads(2);
  give(take_raise("a", 60), CHAT_E_UNKNOWN);
  ck_assert_uint_eq(stats()->records, 2);
  pass_time(RETRY_MS);
  raises("a", 60, 0);
  deliverer_end();
}
END_TEST

/* Volatile tasks and channels' events are hints: dropped, and the directory is left alone for a while. */
START_TEST(without_the_directory_hints_are_dropped) {
  ch_task verdict = {.kind = CH_TASK_VERDICT, .users = users_of("a"), .user_count = 1, .u.verdict = {.code = CH_VERDICT_DUP}};
  ch_task channel = channel_task(2, 3);
  log_tasks(&verdict, 1);
  log_tasks(&channel, 1);
  begin();
  reads(2);
  give(take_op(CHAT_OP_DIRECTORY_ROUTES), CHAT_E_IO);
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_SUBSCRIBERS), 0);
  ck_assert_uint_eq(stats()->records, 2);
  ck_assert_uint_eq(stats()->dropped, 2);
  pass_time(RETRY_MS);
  log_tasks(&channel, 1);
  reads(1);
  give(take_op(CHAT_OP_DIRECTORY_SUBSCRIBERS), CHAT_E_TIMEOUT);
  ck_assert_uint_eq(stats()->dropped, 3);
  pass_time(2 * RETRY_MS);
  log_tasks(&verdict, 1);
  reads(1);
  chat_directory_routes *routes = take_op(CHAT_OP_DIRECTORY_ROUTES);
  add_routes(&routes->op, routes->raises, "a1");
  give(routes, 0);
  give(take_link("1"), 0);
  ck_assert_uint_eq(stats()->dropped, 3);
  deliverer_end();
}
END_TEST

static void log_users(uint32_t first, uint32_t count) {
  chat_bytes *users = ch_arena_calloc(&kept, count, sizeof *users);
  for (uint32_t i = 0; i < count; i++) {
    char *name = ch_arena_alloc(&kept, 8);
    users[i] = ch_bytes_of(name, (size_t)snprintf(name, 8, "u%06u", first + i));
  }
  ch_task task = event_task("", 1, 1);
  task.users = users;
  task.user_count = count;
  log_tasks(&task, 1);
}

/* P8: 65,536 users of a partition may be owed a raise; then heads wait after all. They are raised 4,096 at a time. */
START_TEST(what_is_owed_is_bounded) {
  enum { USERS_COUNT = 256, RECORDS_COUNT = 65536 / USERS_COUNT + 1 };
  for (uint32_t i = 0; i < RECORDS_COUNT; i++)
    log_users(i * USERS_COUNT, USERS_COUNT);
  config.records_max = RECORDS_COUNT;
  begin();
  reads(RECORDS_COUNT);
  heads_are_written(1);
  give(take_op(CHAT_OP_DIRECTORY_RAISE), CHAT_E_IO);
  for (uint64_t i = 2; i <= RECORDS_COUNT; i++)
    heads_are_written(i);
  ck_assert_uint_eq(stats()->records, RECORDS_COUNT - 1);
  log_event("a");
  reads(1);
  ck_assert_uint_eq(count_ops(CHAT_OP_STORE_WRITE_HEADS), 0); /* held up by the record before, for which there is no room */
  pass_time(RETRY_MS);
  for (int i = 0; i < 16; i++) {
    chat_directory_raise *op = take_op(CHAT_OP_DIRECTORY_RAISE);
    ck_assert_uint_eq(op->count, 4096);
    ck_assert_uint_eq(op->position, RECORDS_COUNT - 1);
    give(op, 0);
  }
  ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_RAISE), 0);
  pass_time(2 * RETRY_MS);
  heads_are_written(RECORDS_COUNT + 1);
  chat_directory_raise *last = take_op(CHAT_OP_DIRECTORY_RAISE);
  ck_assert_uint_eq(last->count, USERS_COUNT);
  give(last, 0);
  ck_assert_uint_eq(stats()->records, RECORDS_COUNT);
  deliverer_end();
}
END_TEST

/* Whose part of the directory stays away does not keep those back whose part is there again. */
START_TEST(the_debt_goes_round) {
  enum { USERS_COUNT = 256, RECORDS_COUNT = 17, RAISE_MAX = 4096 };
  for (uint32_t i = 0; i < RECORDS_COUNT; i++)
    log_users(i * USERS_COUNT, USERS_COUNT);
  begin();
  reads(RECORDS_COUNT);
  heads_are_written(1);
  fails_for_all(take_op(CHAT_OP_DIRECTORY_RAISE));
  pass_time(RETRY_MS);
  chat_directory_raise *debt = take_op(CHAT_OP_DIRECTORY_RAISE);
  for (uint64_t i = 2; i <= RECORDS_COUNT; i++) {
    heads_are_written(i);
    fails_for_all(take_op(CHAT_OP_DIRECTORY_RAISE));
  }
  const chat_bytes first = ch_bytes_text("u000000");
  ck_assert(ch_bytes_equal(debt->raises[0].user, first));
  ck_assert_uint_eq(debt->count, USERS_COUNT);
  fails_for_all(debt);
  pass_time(2 * RETRY_MS);
  debt = take_op(CHAT_OP_DIRECTORY_RAISE);
  ck_assert_uint_eq(debt->count, RAISE_MAX); /* all whose turn was not yet: they are 17 * 256 */
  for (size_t i = 0; i < debt->count; i++)
    ck_assert(!ch_bytes_equal(debt->raises[i].user, first));
  fails_for_all(debt);
  pass_time(CH_RETRY_MAX_MS);
  debt = take_op(CHAT_OP_DIRECTORY_RAISE);
  ck_assert(ch_bytes_equal(debt->raises[0].user, first));
  give(debt, 0);
  deliverer_end();
}
END_TEST

/* --- where to begin (rewind) --- */

/* What a read behind `after` gives while the owner looks for its beginning; 0: it is reading on. */
static uint64_t seeks(void) {
  chat_log_read *op = take_op(CHAT_OP_LOG_READ);
  uint64_t after = op->after;
  bool is_seeking = op->count_max == 1;
  fill_read(op, is_seeking ? 1 : 0);
  give(op, 0);
  return is_seeking ? after + 1 : 0;
}

/* At least rewind_ms of records before the stored one are done again, and no more than twice as many and a step; all there are, where there are fewer. */
START_TEST(a_new_owner_begins_before_the_stored_position) {
  static const struct {
    uint64_t stored, rewind_ms, after_min, after_max;
  } rows[] = {
      {1000, 0, 1000, 1000}, {1000, 10, 935, 999}, {1000, 640, 807, 935}, {1000, 3000, 400, 699}, {1000, 30000, 0, 0}, {20, 100, 0, 9}, {1, 30000, 0, 0}, {0, 30000, 0, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (int j = 0; j < 1000; j++) /* 10 ms apart */
      log_bytes(ch_bytes_text("\xff none"));
    config.rewind_ms = (uint32_t)rows[i].rewind_ms;
    deliverer_begin();
    assign(rows[i].stored);
    while (seeks())
      ;
    chat_log_read *op = take_op(CHAT_OP_LOG_READ);
    ck_assert_msg(op->after >= rows[i].after_min && op->after <= rows[i].after_max, "row %zu: %d", i, (int)op->after);
    ck_assert_uint_eq(op->count_max, config.records_max);
    give(op, 0);
    end_round();
  }
}
END_TEST

START_TEST(a_log_that_ends_before_what_is_stored_is_another_one) {
  log_event("a");
  for (uint64_t stored = 1; stored < 3; stored++) {
    deliverer_begin();
    assign(stored);
    ck_assert_int_eq(ch_deliverer_fault(deliverer, 0), stored == 1 ? 0 : CHAT_E_GONE);
    ck_assert_uint_eq(count_ops(CHAT_OP_LOG_READ), stored == 1);
    cancel_ops();
    ch_deliverer_free(deliverer);
  }
  log_end();
}
END_TEST

static const uint64_t epoch_1 = UINT64_C(1) << 48;

/* Until its epoch is raised, and then what is from before is not looked at. `stored_identity` 0: none. */
START_TEST(a_log_of_another_identity_than_the_stored_one_is_another_one) {
  static const struct {
    uint64_t stored;
    uint8_t stored_identity, identity;
    uint64_t end;
    int fault;
    uint64_t after;
  } rows[] = {{5, 1, 1, 5, 0, 5}, {5, 1, 2, 5, CHAT_E_GONE, 0}, {5, 1, 2, 9, CHAT_E_GONE, 0}, {5, 0, 2, 9, 0, 5}, {5, 1, 1, epoch_1 | 9, 0, 5}, {5, 1, 2, epoch_1 | 9, 0, epoch_1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (uint32_t rewind_ms = 0; rewind_ms < 2000; rewind_ms += 1000) {
      config.rewind_ms = rewind_ms;
      deliverer_begin();
      chat_log_info *info = assign_to_stored(rows[i].stored, rows[i].stored_identity);
      info->first = 1;
      info->end = rows[i].end;
      memset(info->identity, rows[i].identity, sizeof info->identity);
      give(info, 0);
      ck_assert_msg(ch_deliverer_fault(deliverer, 0) == rows[i].fault, "row %zu", i);
      chat_log_read *read = find_op(CHAT_OP_LOG_READ);
      ck_assert_msg((read == NULL) == (rows[i].fault != 0), "row %zu", i);
      bool is_before = rewind_ms > 0 && rows[i].after == rows[i].stored; /* in the same log it begins some records before */
      if (read) ck_assert_msg(read->after == rows[i].after - is_before, "row %zu: %" PRIx64, i, read->after);
      if (read) give(read, 0);
      rests();
      end_round();
    }
  }
}
END_TEST

static void heads_are_stored_of(uint64_t position, uint8_t identity) {
  chat_store_write_heads *op = take_op(CHAT_OP_STORE_WRITE_HEADS);
  ck_assert_uint_eq(op->position, position);
  for (size_t i = 0; i < sizeof op->log_identity; i++)
    ck_assert_uint_eq(op->log_identity[i], identity);
  give(op, 0);
}

/* Also where the reader has found another log by then, since the records were read. */
START_TEST(a_position_is_stored_with_the_identity_of_the_log_that_was_read) {
  for (int i = 0; i < 2; i++)
    log_event("a");
  begin();
  reads(2);
  give(take_op(CHAT_OP_LOG_READ), CHAT_E_IO);
  pass_time(RETRY_MS);
  chat_log_info *info = take_op(CHAT_OP_LOG_INFO);
  info->end = epoch_1 | 3;
  memset(info->identity, 2, sizeof info->identity);
  give(info, 0);
  log_event("a");
  logged[2].position = epoch_1 | 3;
  reads(1);
  for (uint64_t at = 1; at <= 3; at++) {
    heads_are_stored_of(at < 3 ? at : epoch_1 | at, at < 3 ? 1 : 2);
    raises("a", at < 3 ? at : epoch_1 | at, 0);
  }
  deliverer_end();
}
END_TEST

/* One goes on with what is left: sync finds what was in the rest. */
START_TEST(a_cut_log_is_read_from_its_first_record) {
  for (int is_cut_later = 0; is_cut_later < 2; is_cut_later++) {
    log_event("a");
    deliverer_begin();
    chat_log_info *info = assign_up_to_info(is_cut_later ? 1 : 0);
    if (is_cut_later) {
      give(info, 0);
      give(take_op(CHAT_OP_LOG_READ), CHAT_E_GONE);
      rests();
      pass_time(RETRY_MS);
      info = take_op(CHAT_OP_LOG_INFO);
      fill_info(info);
    }
    info->first = 40;
    info->end = 50;
    give(info, 0);
    chat_log_read *read = take_op(CHAT_OP_LOG_READ);
    ck_assert_uint_eq(read->after, 39);
    give(read, 0);
    ck_assert_int_eq(ch_deliverer_fault(deliverer, 0), 0);
    end_round();
  }
}
END_TEST

/* Where heads are derived there are only hints in the log: another one does as well. */
START_TEST(a_log_that_comes_back_as_another_one) {
  static const struct {
    uint32_t derives_heads;
    uint8_t identity;
    uint64_t end;
    int fault;
    uint64_t after;
  } rows[] = {{0, 1, 3, 0, 3}, {0, 1, 9, 0, 3}, {0, 1, 2, CHAT_E_GONE, 0}, {0, 2, 3, CHAT_E_GONE, 0}, {0, 2, epoch_1 | 7, 0, epoch_1}, {1, 1, 9, 0, 3}, {1, 1, 2, 0, 2}, {1, 2, 9, 0, 9}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    config.store_derives_heads = rows[i].derives_heads;
    for (int j = 0; j < 3; j++)
      log_bytes(ch_bytes_text("\xff none"));
    begin();
    reads(3);
    give(take_op(CHAT_OP_LOG_READ), CHAT_E_IO);
    rests();
    pass_time(RETRY_MS);
    chat_log_info *info = take_op(CHAT_OP_LOG_INFO);
    info->end = rows[i].end;
    memset(info->identity, rows[i].identity, sizeof info->identity);
    give(info, 0);
    ck_assert_int_eq(ch_deliverer_fault(deliverer, 0), rows[i].fault);
    chat_log_read *read = find_op(CHAT_OP_LOG_READ);
    ck_assert_int_eq(read == NULL, rows[i].fault != 0);
    if (read) ck_assert_uint_eq(read->after, rows[i].after);
    if (read) give(read, 0);
    end_round();
  }
}
END_TEST

/* --- owners, memory --- */

static void log_everything(void) {
  ch_task tasks[] = {event_task("ab", 1, 5), channel_task(2, 6), {.kind = CH_TASK_VERDICT, .users = users_of("a"), .user_count = 1, .u.verdict = {.code = CH_VERDICT_DUP}}};
  config.has_after_store = 1;
  log_tasks(tasks, 3);
  log_event("ac");
}

START_TEST(a_revoked_partition_does_nothing_more) {
  for (size_t done = 0;; done++) {
    log_everything();
    deliverer_begin();
    ck_assert_int_eq(ch_deliverer_assign(deliverer, 0, now), 0);
    bool has_more = work(done);
    pull();
    ch_op_queue late = outside;
    outside = (ch_op_queue){0};
    ch_deliverer_revoke(deliverer, 0);
    ck_assert_int_eq(ch_deliverer_assign(deliverer, 0, now), 0);
    for (chat_op *op; (op = ch_op_queue_pop(&late));)
      give(op, done % 2 ? CHAT_E_AGAIN : 0);
    ck_assert_uint_eq(count_ops(CHAT_OP_STORE_POSITION), 1);
    ck_assert_uint_eq(outside.count, 1);
    uint64_t before = stats()->records;
    work(SIZE_MAX);
    ck_assert_uint_eq(stats()->records, before + 2);
    end_round();
    if (has_more) continue;
    ck_assert_uint_gt(done, 12); /* it was revoked in every step */
    return;
  }
}
END_TEST

static void start_with_little_memory(size_t allocations) {
  memory.left = allocations;
  if (ch_deliverer_new(&env, &config, &deliverer)) {
    memory.left = SIZE_MAX;
    deliverer_begin();
  }
  role = ch_deliverer_role(deliverer);
  if (ch_deliverer_assign(deliverer, 0, now)) {
    memory.left = SIZE_MAX;
    ck_assert_int_eq(ch_deliverer_assign(deliverer, 0, now), 0);
  }
}

typedef struct done {
  uint64_t heads, told, raised;
} done;

/* As `work`, counting what must happen in the end: the heads of both records, the hook for each event, and everybody raised to the last position. */
static void work_and_count(done *count) {
  for (chat_op *op; (op = find_first(has_answer, 0)); answer(op)) {
    if (op->kind == CHAT_OP_STORE_WRITE_HEADS) count->heads |= 1U << ((chat_store_write_heads *)(void *)op)->position;
    if (op->kind == CH_OP_AFTER_STORE) count->told |= 1U << ((ch_op_after_store *)(void *)op)->row.seq;
    if (op->kind == CHAT_OP_DIRECTORY_RAISE) count->raised = ((chat_directory_raise *)(void *)op)->position;
  }
}

static bool run_with_little_memory(size_t allocations) {
  done count = {0};
  log_everything();
  start_with_little_memory(allocations);
  for (int i = 0; i < 10; i++) {
    work_and_count(&count);
    pass_time(RETRY_MS);
  }
  bool was_enough = memory.left > 0 && memory.left <= allocations;
  memory.left = SIZE_MAX;
  for (int i = 0; i < 3; i++) {
    pass_time(CH_RETRY_MAX_MS);
    work_and_count(&count);
  }
  ck_assert_int_eq(ch_deliverer_fault(deliverer, 0), 0);
  ck_assert_uint_eq(stats()->position, 2);
  ck_assert_uint_eq(count.heads, 1 << 1 | 1 << 2);
  ck_assert_uint_eq(count.told, 1 << 5 | 1 << 6 | 1 << 2);
  ck_assert_uint_eq(count.raised, 2);
  end_round();
  return was_enough;
}

START_TEST(memory_that_runs_out_costs_time_and_hints) {
  size_t allocations = 0;
  while (!run_with_little_memory(allocations))
    allocations++;
  ck_assert_uint_gt(allocations, 40);
  log_end();
}
END_TEST

/* Memory may be out also while it is put down whom the directory could not be told about, and while it is raised. */
START_TEST(memory_that_runs_out_with_the_directory_down) {
  for (size_t allocations = 0; allocations < 60; allocations++) {
    log_event("a");
    log_event("b");
    begin();
    reads(1);
    heads_are_written(1);
    memory.left = allocations;
    give(take_raise("a", 1), CHAT_E_IO);
    for (int i = 0; i < 8; i++) {
      memory.left = i == 7 ? SIZE_MAX : allocations;
      pass_time(CH_RETRY_MAX_MS);
      work(SIZE_MAX);
    }
    ck_assert_uint_eq(stats()->position, 2);
    ck_assert_uint_ge(stats()->raises, 2);
    ck_assert_uint_eq(count_ops(CHAT_OP_DIRECTORY_RAISE), 0);
    end_round();
  }
}
END_TEST

START_TEST(bad_options) {
  static const struct {
    uint32_t records_max, retry_ms;
  } rows[] = {{0, 100}, {4097, 100}, {32, 0}};
  for (size_t i = 0; i < 3; i++) {
    config.records_max = rows[i].records_max;
    config.retry_ms = rows[i].retry_ms;
    ck_assert_int_eq(ch_deliverer_new(&env, &config, &deliverer), CHAT_E_INVALID);
  }
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {heads_that_failed_are_written_again_after_twice_the_time, 0},
      {other_errors_of_store_and_log_stop_the_partition, 0},
      {a_directory_that_is_down_does_not_hold_up_heads, 0},
      {users_of_a_part_that_is_away_are_owed_alone, 0},
      {the_debt_goes_round, 0},
      {the_directory_is_tried_again_after_twice_the_time, 0},
      {what_is_owed_meanwhile_is_raised_as_well, 0},
      {the_highest_position_is_raised_again, 0},
      {without_the_directory_hints_are_dropped, 0},
      {what_is_owed_is_bounded, 0},
      {a_new_owner_begins_before_the_stored_position, 0},
      {a_log_that_ends_before_what_is_stored_is_another_one, 0},
      {a_cut_log_is_read_from_its_first_record, 0},
      {a_log_of_another_identity_than_the_stored_one_is_another_one, 0},
      {a_position_is_stored_with_the_identity_of_the_log_that_was_read, 0},
      {a_log_that_comes_back_as_another_one, 0},
      {a_revoked_partition_does_nothing_more, 0},
      {memory_that_runs_out_costs_time_and_hints, 0},
      {memory_that_runs_out_with_the_directory_down, 0},
      {bad_options, 0},
  };
  deliverer_config_default();
  return RUN_TESTS("deliverer_failures", rows);
}
