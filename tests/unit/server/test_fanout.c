/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told what: recipients by partition, heads, channels, records of bounded size. */
#include "server/role/fanout.h"

#include <string.h>

#include "core/conversation_id.h"
#include "core/partition.h"
#include "unit/core/failing_allocator.h"
#include "unit/core/run.h"

enum { PARTITIONS = 3 };

static failing_allocator memory;
static ch_arena arena; /* of the fan-out */
static ch_arena kept;  /* of what the test makes */
static ch_conversation *conversation;
static ch_fanout fanout;
static const ch_audience *cache;
static uint64_t position;
static const uint8_t client_id[16] = {7};

/* --- a conversation, judged record by record --- */

static void begin(bool derives_heads) {
  uint8_t id[16];
  chat_state none = {0};
  failing_allocator_init(&memory, SIZE_MAX);
  ch_arena_init(&arena, &memory.alloc, 4096, 1 << 28);
  ch_arena_init(&kept, NULL, 4096, 1 << 28);
  ch_conversation_id_group(ch_bytes_text("alice"), client_id, id);
  conversation = ch_conversation_new(NULL, id);
  position = 0;
  cache = NULL;
  ck_assert_int_eq(ch_conversation_load(conversation, &none, NULL, 0), 0);
  ck_assert_int_eq(ch_fanout_init(&fanout, &arena, PARTITIONS, derives_heads), 0);
}

static void end(void) {
  ch_conversation_free(conversation);
  ch_arena_fini(&arena);
  ch_arena_fini(&kept);
  ck_assert_uint_eq(memory.live, 0);
}

static ch_judgement judge(const char *user, ch_content content) {
  ch_buf buf;
  ch_judgement out;
  ch_buf_init(&buf, NULL, 1 << 20);
  ck_assert_int_eq(ch_content_encode(&content, &buf), 0);
  ch_record *record = ch_arena_calloc(&kept, 1, sizeof *record);
  *record = (ch_record){.sender = ch_bytes_text(user), .client_seq = position + 1, .type = content.type};
  record->payload = ch_bytes_of(ch_arena_dup(&kept, buf.data, buf.len), buf.len);
  memcpy(record->conversation_id, conversation->id, 16);
  memcpy(record->client_id, client_id, 16);
  record->device_id[0] = (uint8_t)user[0];
  ch_buf_fini(&buf);
  ch_judge_record in = {.record = record, .position = ++position, .append_ms = 1000 + position};
  ck_assert_int_eq(ch_judge(conversation, &in, &kept, &out), 0);
  ck_assert_int_eq(out.code, CH_VERDICT_COMMITTED);
  return out;
}

static void happens(const char *user, ch_content content) {
  ch_judgement judgement = judge(user, content);
  ck_assert_int_eq(ch_fanout_event(&fanout, conversation, &judgement, &cache), 0);
}

static ch_content create(uint32_t kind) {
  chat_bytes *users = ch_arena_calloc(&kept, 3, sizeof *users);
  users[0] = ch_bytes_text("bob"), users[1] = ch_bytes_text("carol"), users[2] = ch_bytes_text("dave");
  return (ch_content){.type = CHAT_TYPE_CREATE, .conversation_kind = kind, .title = ch_bytes_text("old"), .users = users, .user_count = 3};
}

static ch_content says(const char *text) {
  return (ch_content){.type = CHAT_TYPE_MESSAGE, .body = ch_bytes_text(text)};
}

static ch_content on(uint32_t type, const char *user) {
  chat_bytes *users = ch_arena_calloc(&kept, 1, sizeof *users);
  users[0] = ch_bytes_text(user);
  return (ch_content){.type = type, .users = users, .user_count = 1};
}

/* --- what came of it --- */

/* The task that tells this user of that event, NULL: none; there is at most one. */
static const ch_task *task_of(const char *user, uint64_t seq) {
  const ch_task *found = NULL;
  for (uint32_t i = 0; i < PARTITIONS; i++) {
    const ch_fanout_tasks *tasks = &fanout.by_partition[i];
    for (size_t j = 0; j < tasks->count; j++) {
      for (size_t k = 0; k < tasks->items[j].user_count; k++) {
        bool is_it = tasks->items[j].u.event.seq == seq && ch_bytes_equal(tasks->items[j].users[k], ch_bytes_text(user));
        if (!is_it) continue;
        ck_assert_ptr_null(found);
        ck_assert_uint_eq(ch_partition_of(ch_bytes_text(user), PARTITIONS), i);
        found = &tasks->items[j];
      }
    }
  }
  return found;
}

/* Exactly these are told of that event, as users; the names' first letters. */
static void are_told(uint64_t seq, const char *letters) {
  static const char *const names[] = {"alice", "bob", "carol", "dave", "eve"};
  for (size_t i = 0; i < 5; i++)
    ck_assert_msg((task_of(names[i], seq) != NULL) == (strchr(letters, names[i][0]) != NULL), "%s of %d", names[i], (int)seq);
}

static size_t channel_tasks_count(uint64_t seq) {
  uint32_t of_channel = ch_partition_of(ch_bytes_of(conversation->id, 16), PARTITIONS);
  size_t count = 0;
  for (uint32_t i = 0; i < PARTITIONS; i++) {
    for (size_t j = 0; j < fanout.by_partition[i].count; j++) {
      const ch_task *task = &fanout.by_partition[i].items[j];
      if (!task->channel || task->u.event.seq != seq) continue;
      ck_assert_uint_eq(i, of_channel);
      ck_assert_uint_eq(task->user_count, 0);
      ck_assert(!task->has_head);
      count++;
    }
  }
  return count;
}

/* --- recipients --- */

START_TEST(an_event_of_a_group_goes_to_present_members_and_to_one_that_it_removes) {
  begin(false);
  happens("alice", create(CHAT_GROUP));
  happens("alice", says("2"));
  happens("alice", on(CHAT_TYPE_MEMBER_REMOVE, "bob")); /* 3 */
  happens("alice", says("4"));
  happens("carol", (ch_content){.type = CHAT_TYPE_LEAVE}); /* 5 */
  happens("alice", on(CHAT_TYPE_MEMBERS_ADD, "eve"));   /* 6 */
  happens("eve", says("7"));
  static const char *const told[] = {"abcd", "abcd", "abcd", "acd", "acd", "ade", "ade"};
  for (uint64_t seq = 1; seq <= 7; seq++) {
    are_told(seq, told[seq - 1]);
    ck_assert_uint_eq(channel_tasks_count(seq), 0);
  }
  end();
}
END_TEST

/* Where heads are written, each task has the recipients' own: role and first seq as after the event; the rest is the conversation's. */
START_TEST(heads_are_the_recipients_own) {
  begin(false);
  happens("alice", create(CHAT_GROUP));
  happens("alice", says("2"));
  happens("alice", on(CHAT_TYPE_MEMBERS_ADD, "eve"));   /* 3 */
  happens("alice", on(CHAT_TYPE_MEMBER_REMOVE, "bob")); /* 4 */
  static const struct {
    const char *user;
    uint64_t seq, msg_no;
    uint32_t role;
    uint64_t first;
  } rows[] = {{"alice", 1, 0, CHAT_ROLE_OWNER, 1}, {"bob", 1, 0, CHAT_ROLE_MEMBER, 1}, {"bob", 2, 1, CHAT_ROLE_MEMBER, 1}, {"eve", 3, 1, CHAT_ROLE_MEMBER, 3},
              {"carol", 3, 1, CHAT_ROLE_MEMBER, 1}, {"bob", 4, 1, CHAT_ROLE_NONE, 1}, {"eve", 4, 1, CHAT_ROLE_MEMBER, 3}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const ch_task *task = task_of(rows[i].user, rows[i].seq);
    ck_assert(task->has_head);
    ck_assert_mem_eq(task->head.conversation_id, conversation->id, 16);
    ck_assert_uint_eq(task->head.head, rows[i].seq);
    ck_assert_uint_eq(task->head.msg_no, rows[i].msg_no);
    ck_assert_uint_eq(task->head.role, rows[i].role);
    ck_assert_uint_eq(task->head.first, rows[i].first);
    ck_assert_uint_eq(task->head.kind, CHAT_GROUP);
    ck_assert_uint_eq(task->head.active_ms, 1000 + rows[i].seq);
  }
  end();
}
END_TEST

START_TEST(a_head_has_the_title_of_its_event) {
  begin(false);
  happens("alice", create(CHAT_GROUP));
  happens("alice", (ch_content){.type = CHAT_TYPE_TITLE, .title = ch_bytes_text("new")});
  ck_assert(ch_bytes_equal(task_of("bob", 1)->head.title, ch_bytes_text("old")));
  ck_assert(ch_bytes_equal(task_of("bob", 2)->head.title, ch_bytes_text("new")));
  end();
}
END_TEST

/* One task for all of a partition, whatever their roles, where there are no heads in it. */
START_TEST(where_heads_are_derived_a_partition_has_one_task_an_event) {
  begin(true);
  happens("alice", create(CHAT_GROUP));
  happens("alice", says("2"));
  are_told(1, "abcd");
  are_told(2, "abcd");
  for (uint32_t i = 0; i < PARTITIONS; i++) {
    const ch_fanout_tasks *tasks = &fanout.by_partition[i];
    ck_assert(tasks->count == 0 || tasks->count == 2);
    for (size_t j = 0; j < tasks->count; j++)
      ck_assert(!tasks->items[j].has_head);
  }
  end();
}
END_TEST

/* Members are sorted out once for as many events as leave them as they are. */
START_TEST(the_audience_is_kept_while_membership_stays) {
  begin(false);
  happens("alice", create(CHAT_GROUP));
  happens("alice", says("2"));
  const ch_audience *before = cache;
  happens("alice", says("3"));
  ck_assert_ptr_eq(cache, before);
  ck_assert_ptr_eq(task_of("bob", 2)->users, task_of("bob", 3)->users);
  happens("alice", on(CHAT_TYPE_MEMBERS_ADD, "eve"));
  ck_assert_ptr_ne(cache, before);
  ch_content role = on(CHAT_TYPE_ROLE, "bob");
  role.role = CHAT_ROLE_ADMIN;
  happens("alice", role); /* 5 */
  ck_assert_uint_eq(task_of("bob", 5)->head.role, CHAT_ROLE_ADMIN);
  ck_assert_uint_eq(task_of("bob", 4)->head.role, CHAT_ROLE_MEMBER);
  end();
}
END_TEST

/* On read: once to the gateways with subscribers; besides, as users, those whose own membership it changes. */
START_TEST(a_channel_is_fanned_out_on_read) {
  begin(false);
  happens("alice", create(CHAT_CHANNEL));
  happens("bob", says("2"));
  happens("alice", on(CHAT_TYPE_MEMBER_REMOVE, "bob"));  /* 3 */
  happens("alice", on(CHAT_TYPE_MEMBERS_ADD, "eve"));    /* 4 */
  happens("alice", on(CHAT_TYPE_OWNER, "carol"));        /* 5 */
  happens("alice", says("6"));
  static const char *const told[] = {"abcd", "", "b", "e", "ac", ""};
  for (uint64_t seq = 1; seq <= 6; seq++) {
    ck_assert_uint_eq(channel_tasks_count(seq), 1);
    are_told(seq, told[seq - 1]);
  }
  ck_assert_uint_eq(task_of("bob", 3)->head.role, CHAT_ROLE_NONE);
  ck_assert_uint_eq(task_of("carol", 5)->head.role, CHAT_ROLE_OWNER);
  end();
}
END_TEST

START_TEST(that_a_group_becomes_a_channel_is_told_to_all_members) {
  begin(false);
  happens("alice", create(CHAT_GROUP));
  happens("alice", (ch_content){.type = CHAT_TYPE_TO_CHANNEL});
  happens("alice", says("3"));
  are_told(2, "abcd");
  ck_assert_uint_eq(task_of("bob", 2)->head.kind, CHAT_CHANNEL);
  ck_assert_uint_eq(channel_tasks_count(2), 0);
  are_told(3, "");
  ck_assert_uint_eq(channel_tasks_count(3), 1);
  end();
}
END_TEST

START_TEST(a_verdict_goes_to_its_device) {
  begin(false);
  ch_record record = {.sender = ch_bytes_text("bob"), .client_seq = 8, .device_id = {1}, .client_id = {2}, .conversation_id = {3}};
  ch_judgement judgement = {.code = CH_VERDICT_REFUSED, .error = CHAT_E_DENIED, .last = 8, .head = 4};
  ck_assert_int_eq(ch_fanout_verdict(&fanout, &record, &judgement), 0);
  const ch_fanout_tasks *tasks = &fanout.by_partition[ch_partition_of(record.sender, PARTITIONS)];
  ck_assert_uint_eq(tasks->count, 1);
  const ch_task *task = tasks->items;
  ck_assert_int_eq(task->kind, CH_TASK_VERDICT);
  ck_assert_uint_eq(task->user_count, 1);
  ck_assert(ch_bytes_equal(task->users[0], record.sender) && task->has_device && task->device_id[0] == 1);
  const ch_verdict *verdict = &task->u.verdict;
  ck_assert(verdict->code == CH_VERDICT_REFUSED && verdict->error == CHAT_E_DENIED && verdict->client_seq == 8 && verdict->last == 8 && verdict->head == 4);
  ck_assert(verdict->client_id[0] == 2 && verdict->conversation_id[0] == 3);
  end();
}
END_TEST

/* --- records --- */

static size_t decode_all(uint32_t of, uint64_t expected_position, uint64_t *next_seq) {
  chat_log_record *records;
  size_t count, tasks_count = 0;
  ck_assert_int_eq(ch_fanout_records(&fanout, of, expected_position, &records, &count), 0);
  for (size_t i = 0; i < count; i++) {
    ch_tasks tasks;
    ck_assert_uint_le(records[i].data.len, CH_LOG_RECORD_MAX);
    ck_assert_int_eq(ch_tasks_decode(records[i].data, &kept, &tasks), 0);
    ck_assert_uint_eq(tasks.position, expected_position);
    tasks_count += tasks.count;
    for (size_t j = 0; j < tasks.count; j++)
      ck_assert_uint_eq(tasks.tasks[j].u.event.seq, (*next_seq)++);
  }
  ck_assert_uint_eq(tasks_count, fanout.by_partition[of].count);
  return count;
}

/* The message is there once for all recipients of a partition; what does not fit into one record goes into several, in order. */
START_TEST(records_are_bounded_and_in_order) {
  static char text[CHAT_BODY_MAX + 1];
  memset(text, 'x', CHAT_BODY_MAX - 100);
  begin(true);
  happens("alice", create(CHAT_GROUP));
  for (int i = 0; i < 9; i++)
    happens("alice", says(i % 3 ? text : "short"));
  for (uint32_t i = 0; i < PARTITIONS; i++) {
    uint64_t next_seq = 1;
    size_t count = decode_all(i, 77, &next_seq);
    if (fanout.by_partition[i].count == 0) ck_assert_uint_eq(count, 0);
    else ck_assert(count >= 2 && count <= 4 && next_seq == 11); /* 6 of 64 KiB: at least two records */
  }
  end();
}
END_TEST

START_TEST(a_task_that_fits_into_no_record_is_an_error) {
  begin(true);
  happens("alice", create(CHAT_GROUP));
  uint32_t of = ch_partition_of(ch_bytes_text("bob"), PARTITIONS);
  static uint8_t body[CH_LOG_RECORD_MAX];
  fanout.by_partition[of].items[0].u.event.payload = ch_bytes_of(body, sizeof body);
  chat_log_record *records;
  size_t count;
  ck_assert_int_eq(ch_fanout_records(&fanout, of, 1, &records, &count), CHAT_E_INTERNAL);
  end();
}
END_TEST

/* --- memory --- */

static int fan_out_all(const ch_judgement *judgements, size_t count) {
  const ch_audience *mine = NULL;
  int error = ch_fanout_init(&fanout, &arena, PARTITIONS, false);
  for (size_t i = 0; i < count && !error; i++)
    error = ch_fanout_event(&fanout, conversation, &judgements[i], &mine);
  for (uint32_t i = 0; i < PARTITIONS && !error; i++) {
    chat_log_record *records;
    size_t records_count;
    error = ch_fanout_records(&fanout, i, 0, &records, &records_count);
  }
  return error;
}

START_TEST(memory_that_runs_out_is_said) {
  begin(false);
  ch_judgement judgements[40];
  judgements[0] = judge("alice", create(CHAT_GROUP));
  judgements[1] = judge("alice", on(CHAT_TYPE_MEMBER_REMOVE, "bob"));
  for (int i = 2; i < 40; i++)
    judgements[i] = judge("alice", says("a text of some length, so that there is more than one chunk of memory"));
  int failures = 0;
  for (size_t left = 0;; left++, failures++) {
    ch_arena_fini(&arena);
    ch_arena_init(&arena, &memory.alloc, 64, 1 << 28); /* small chunks: many allocations */
    memory.left = left;
    int error = fan_out_all(judgements, 40);
    if (!error) break;
    ck_assert_int_eq(error, CHAT_E_NOMEM);
  }
  ck_assert_int_gt(failures, 20);
  end();
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {an_event_of_a_group_goes_to_present_members_and_to_one_that_it_removes, 0},
      {heads_are_the_recipients_own, 0},
      {a_head_has_the_title_of_its_event, 0},
      {where_heads_are_derived_a_partition_has_one_task_an_event, 0},
      {the_audience_is_kept_while_membership_stays, 0},
      {a_channel_is_fanned_out_on_read, 0},
      {that_a_group_becomes_a_channel_is_told_to_all_members, 0},
      {a_verdict_goes_to_its_device, 0},
      {records_are_bounded_and_in_order, 0},
      {a_task_that_fits_into_no_record_is_an_error, 0},
      {memory_that_runs_out_is_said, 0},
  };
  return RUN_TESTS("fanout", rows);
}
