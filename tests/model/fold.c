/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fold.h"

#include <stdio.h>
#include <string.h>

#include "core/assert.h"
#include "core/bytes.h"
#include "core/snowflake.h"

enum { MEMO_ROOM = 1 << 18, PAYLOAD_MAX = 256 };

static const uint8_t group_id[CHAT_CONVERSATION_ID_LEN] = {0x02, 1};

/* ------------------------------------------------------------------------------------------------ the conversation as it begins */

static void load(ch_conversation *conversation) {
  chat_interval whole = {0, UINT64_MAX};
  chat_member members[] = {
      {.user = ch_bytes_text("a"), .role = CHAT_ROLE_MEMBER, .intervals = &whole, .interval_count = 1},
      {.user = ch_bytes_text("o"), .role = CHAT_ROLE_OWNER, .intervals = &whole, .interval_count = 1},
  };
  chat_state state = {.kind = CHAT_GROUP, .member_count = 2, .members = members, .member_count_here = 2};
  ch_assert(ch_conversation_load(conversation, &state, NULL, 0) == 0);
}

/* ------------------------------------------------------------------------------------------------ one record */

typedef struct payload {
  uint8_t bytes[PAYLOAD_MAX];
  size_t len;
} payload;

static void encode(const ch_content *content, payload *to) {
  ch_buf out;
  ch_buf_init(&out, NULL, PAYLOAD_MAX);
  ch_assert(ch_content_encode(content, &out) == 0);
  memcpy(to->bytes, out.data, out.len);
  to->len = out.len;
  ch_buf_fini(&out);
}

static ch_content content_of(const fold_record *of) {
  static const chat_bytes a = {(const uint8_t *)"a", 1};
  ch_content content = {.type = CHAT_TYPE_MESSAGE, .body = ch_bytes_of(&of->message, 1)};
  if (of->kind == FOLD_REMOVE) content = (ch_content){.type = CHAT_TYPE_MEMBER_REMOVE, .users = &a, .user_count = 1};
  if (of->kind == FOLD_ADD) content = (ch_content){.type = CHAT_TYPE_MEMBERS_ADD, .users = &a, .user_count = 1, .role = CHAT_ROLE_MEMBER};
  if (of->kind == FOLD_RETIRE) content = (ch_content){.type = CHAT_TYPE_DEVICE_RETIRED, .device_id = {of->target}};
  return content;
}

static ch_record record_of(const fold_record *of, payload *bytes) {
  ch_content content = content_of(of);
  encode(&content, bytes);
  bool is_system = of->kind == FOLD_REMOVE || of->kind == FOLD_ADD;
  ch_record record = {
      .sender = is_system || of->device == 4 ? ch_bytes_text("o") : ch_bytes_text("a"),
      .device_id = {of->device},
      .client_id = {of->message, 1},
      .client_seq = of->number,
      .prev = of->prev,
      .type = content.type,
      .payload = ch_bytes_of(bytes->bytes, bytes->len),
      .is_void = of->kind == FOLD_VOID,
      .system = is_system,
  };
  memcpy(record.conversation_id, group_id, sizeof record.conversation_id);
  return record;
}

ch_conversation *fold_group_new(void) {
  ch_conversation *group = ch_conversation_new(NULL, group_id);
  ch_assert(group);
  load(group);
  return group;
}

fold_verdict fold_judge(ch_conversation *group, const fold_record *of, uint64_t position, ch_arena *arena, ch_judgement *out) {
  payload bytes;
  ch_record record = record_of(of, &bytes);
  record.payload.data = ch_arena_dup(arena, bytes.bytes, bytes.len);
  ch_assert(record.payload.data);
  ch_judge_record in = {.record = &record, .position = position, .append_ms = CH_SNOWFLAKE_EPOCH_MS + position};
  ch_assert(ch_judge(group, &in, arena, out) == 0);
  bool is_committed = out->code == CH_VERDICT_COMMITTED;
  return (fold_verdict){.code = (uint8_t)out->code, .last = (uint8_t)out->last, .head = (uint8_t)out->head, .seq = is_committed ? (uint8_t)out->row.seq : 0};
}

static void judge_all(const fold_record *log, size_t count, fold_verdict *verdicts) {
  ch_arena arena;
  ch_arena_init(&arena, NULL, 4096, 1 << 20);
  ch_conversation *conversation = fold_group_new();
  ch_judgement out;
  for (size_t i = 0; i < count; i++)
    verdicts[i] = fold_judge(conversation, &log[i], i + 1, &arena, &out);
  ch_conversation_free(conversation);
  ch_arena_fini(&arena);
}

/* ------------------------------------------------------------------------------------------------ remembered */

typedef struct memo {
  fold_record log[FOLD_RECORDS_MAX];
  uint8_t count; /* + 1; 0: free */
  fold_verdict verdicts[FOLD_RECORDS_MAX];
} memo;

static memo memos[MEMO_ROOM];
static size_t memo_count;

static uint64_t hash(const memo *of) {
  uint64_t h = of->count;
  const uint8_t *bytes = (const uint8_t *)of->log;
  for (size_t i = 0; i < sizeof of->log; i++)
    h = (h ^ bytes[i]) * 0x100000001b3ULL;
  return h ^ h >> 29;
}

static memo *place_of(const memo *wanted) {
  uint64_t at = hash(wanted) % MEMO_ROOM;
  while (memos[at].count && (memos[at].count != wanted->count || memcmp(memos[at].log, wanted->log, sizeof wanted->log) != 0))
    at = (at + 1) % MEMO_ROOM;
  return &memos[at];
}

const fold_verdict *fold_of(const fold_record *log, size_t count) {
  ch_assert(count <= FOLD_RECORDS_MAX);
  memo wanted = {.count = (uint8_t)(count + 1)};
  memcpy(wanted.log, log, count * sizeof *log);
  memo *place = place_of(&wanted);
  if (place->count) return place->verdicts;
  if (memo_count++ > MEMO_ROOM / 2) {
    memset(memos, 0, sizeof memos);
    memo_count = 0;
    place = place_of(&wanted);
  }
  judge_all(log, count, wanted.verdicts);
  *place = wanted;
  return place->verdicts;
}

/* ------------------------------------------------------------------------------------------------ for traces */

const char *fold_name(const fold_record *record) {
  static char names[8][48];
  static unsigned next;
  char *name = names[next++ % 8];
  if (record->kind == FOLD_REMOVE || record->kind == FOLD_ADD) snprintf(name, sizeof names[0], "a is %s", record->kind == FOLD_ADD ? "added" : "removed");
  else if (record->kind == FOLD_RETIRE) snprintf(name, sizeof names[0], "D%u retired by D%u#%u", record->target, record->device, record->number);
  else snprintf(name, sizeof names[0], "%sm%u D%u#%u (prev %u)", record->kind == FOLD_VOID ? "void " : "", record->message, record->device, record->number, record->prev);
  return name;
}
