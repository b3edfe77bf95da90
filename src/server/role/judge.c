/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/judge.h"

#include <string.h>

#include "core/assert.h"
#include "core/conversation_id.h"
#include "core/rule.h"
#include "core/snowflake.h"
#include "core/uuid7.h"
#include "server/role/judge_rules.h"

/* ------------------------------------------------------------------------------------------------ verdicts */

static void conclude(ch_judging *judging, ch_verdict_code code, int32_t error) {
  judging->out->code = code;
  judging->out->error = error;
}

static chat_row row_of(const ch_judging *judging) {
  const ch_record *record = judging->in->record;
  const ch_conversation *conversation = judging->conversation;
  chat_row row = {
      .seq = conversation->head,
      .msg_no = conversation->msg_no,
      .message_id = conversation->message_id,
      .created_ms = judging->in->append_ms,
      .client_seq = record->client_seq,
      .sender = record->sender,
      .type = record->type,
      .payload = record->payload,
  };
  memcpy(row.conversation_id, conversation->id, sizeof row.conversation_id);
  memcpy(row.device_id, record->device_id, sizeof row.device_id);
  memcpy(row.client_id, record->client_id, sizeof row.client_id);
  return row;
}

/* The event takes its seq and its id. */
static void commit(ch_judging *judging) {
  ch_conversation *conversation = judging->conversation;
  const ch_judge_record *in = judging->in;
  conversation->head = judging->seq;
  conversation->msg_no += in->record->type == CHAT_TYPE_MESSAGE;
  if (!CH_RULE(ID_AT_COMMIT)) conversation->message_id = ch_uuid7_ms(in->record->client_id);
  else conversation->message_id = ch_message_id_next(conversation->message_id, in->append_ms, in->partition % CH_SNOWFLAKE_PARTITIONS);
  conversation->active_ms = in->append_ms;
  judging->out->row = row_of(judging);
  conclude(judging, CH_VERDICT_COMMITTED, 0);
}

/* ------------------------------------------------------------------------------------------------ the number */

/* Order and dedup in one. true: the record is to be judged; else the verdict stands. */
static bool take_number(ch_judging *judging, ch_sender_cell *sender) {
  const ch_record *record = judging->in->record;
  uint64_t last = sender->last;
  if (record->client_seq > last && (sender->retired || record->prev <= last)) sender->last = record->client_seq;
  judging->out->last = sender->last;
  if (sender->retired) conclude(judging, CH_VERDICT_REFUSED, CHAT_E_REVOKED);
  else if (record->client_seq <= last && CH_RULE(DEDUP)) conclude(judging, CH_VERDICT_DUP, 0);
  else if (record->prev > last) conclude(judging, CH_VERDICT_GAP, 0);
  else return true;
  return false;
}

/* ------------------------------------------------------------------------------------------------ the conversation */

static bool is_direct_id(const ch_conversation *conversation) {
  return conversation->id[0] == CH_CONVERSATION_ID_DIRECT;
}

/* The two whose names made the id when it began: no need to compute it again. */
static bool are_its_members(const ch_conversation *conversation, chat_bytes a, chat_bytes b) {
  return conversation->kind && !ch_bytes_equal(a, b) && ch_conversation_member(conversation, a) && ch_conversation_member(conversation, b);
}

/* Every record of a direct conversation names the other user, and the two make its id; so nothing is said about anybody else's. */
static int check_direct_id(const ch_judging *judging) {
  const ch_record *record = judging->in->record;
  if (record->system && judging->conversation->kind) return 0;
  if (are_its_members(judging->conversation, record->sender, record->peer)) return 0;
  if (!ch_user_id_valid(record->sender) || !ch_user_id_valid(record->peer)) return CHAT_E_INVALID;
  uint8_t id[CHAT_CONVERSATION_ID_LEN];
  ch_conversation_id_direct(record->sender, record->peer, id);
  return memcmp(id, judging->conversation->id, sizeof id) == 0 ? 0 : CHAT_E_INVALID;
}

static int check_direct(const ch_judging *judging) {
  uint32_t type = judging->in->record->type;
  if (type != CHAT_TYPE_MESSAGE && type != CHAT_TYPE_DEVICE_RETIRED) return CHAT_E_INVALID;
  return check_direct_id(judging);
}

/* The creator's id and the client_id make the conversation's id, so only the creator can ask whether it exists. */
static int check_group_id(const ch_judging *judging) {
  const ch_record *record = judging->in->record;
  if (!ch_user_id_valid(record->sender)) return CHAT_E_INVALID;
  uint8_t id[CHAT_CONVERSATION_ID_LEN];
  ch_conversation_id_group(record->sender, record->client_id, id);
  if (memcmp(id, judging->conversation->id, sizeof id) != 0) return CHAT_E_INVALID;
  return judging->conversation->kind ? CHAT_E_EXISTS : 0;
}

/* Who is not a member cannot tell a conversation that is not there from one that is (P9). */
static int check_member(ch_judging *judging) {
  if (!judging->conversation->kind) return CHAT_E_NOT_FOUND;
  judging->sender = ch_conversation_member(judging->conversation, judging->in->record->sender);
  if (judging->sender && judging->sender->role == CHAT_ROLE_NONE) judging->sender = NULL;
  return judging->sender || judging->in->record->system ? 0 : CHAT_E_NOT_FOUND;
}

static int check_place(ch_judging *judging) {
  uint32_t type = judging->in->record->type;
  if (is_direct_id(judging->conversation)) {
    int error = check_direct(judging);
    bool makes_it = !judging->conversation->kind && type == CHAT_TYPE_MESSAGE;
    return error || makes_it ? error : check_member(judging);
  }
  return type == CHAT_TYPE_CREATE ? check_group_id(judging) : check_member(judging);
}

/* ------------------------------------------------------------------------------------------------ judge */

static int judge_content(ch_judging *judging) {
  const ch_record *record = judging->in->record;
  if (record->is_void) return record->void_error ? record->void_error : CHAT_E_CANCELED;
  int error = ch_content_decode(record->type, record->payload, judging->arena, &judging->content);
  if (!error) error = check_place(judging);
  if (!error) error = ch_judge_rules(judging);
  return error;
}

/* NOMEM is the one error that is no verdict: memory is not part of the prefix. */
static int judge_numbered(ch_judging *judging) {
  int error = judge_content(judging);
  if (error == CHAT_E_NOMEM && !judging->in->record->is_void) return error;
  if (error) conclude(judging, CH_VERDICT_REFUSED, error);
  else commit(judging);
  return 0;
}

static int judge_record(ch_judging *judging) {
  const ch_record *record = judging->in->record;
  if (record->system) return judge_numbered(judging);
  ch_sender_cell *sender = ch_conversation_sender_put(judging->conversation, record->sender, record->device_id);
  if (!sender) return CHAT_E_NOMEM;
  uint64_t last = sender->last;
  bool is_taken = take_number(judging, sender);
  if (CH_RULE(S2) || sender->last != last) sender->position = judging->in->position; /* S2: touched, whatever the verdict */
  return is_taken ? judge_numbered(judging) : 0;
}

int ch_judge(ch_conversation *conversation, const ch_judge_record *in, ch_arena *arena, ch_judgement *out) {
  ch_assert(conversation->loaded && in->position > conversation->position);
  *out = (ch_judgement){0};
  ch_judging judging = {.conversation = conversation, .in = in, .arena = arena, .out = out, .seq = conversation->head + 1};
  conversation->position = in->position;
  int error = judge_record(&judging);
  out->head = ch_conversation_visible_head(conversation, in->record->sender);
  return error;
}

/* ------------------------------------------------------------------------------------------------ what is to be loaded */

static bool names_members(uint32_t type) {
  return type == CHAT_TYPE_MEMBERS_ADD || type == CHAT_TYPE_MEMBER_REMOVE || type == CHAT_TYPE_ROLE || type == CHAT_TYPE_OWNER;
}

int ch_judge_users(const ch_record *record, ch_arena *arena, const chat_bytes **users, size_t *user_count) {
  ch_content content = {0};
  if (!record->is_void && names_members(record->type)) {
    if (ch_content_decode(record->type, record->payload, arena, &content) == CHAT_E_NOMEM) return CHAT_E_NOMEM;
  }
  chat_bytes *all = ch_arena_calloc(arena, content.user_count + 1, sizeof *all);
  if (!all) return CHAT_E_NOMEM;
  all[0] = record->sender;
  if (content.user_count > 0) memcpy(all + 1, content.users, content.user_count * sizeof *all);
  *users = all;
  *user_count = content.user_count + 1;
  return 0;
}
