/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold when nothing fails any more. */
#include <stdio.h>
#include <string.h>

#include "stage.h"

/* ------------------------------------------------------------------------------------------------ the server's history */

typedef struct ch_range {
  const uint8_t *conversation_id;
} ch_range;

static int ask_range(chat_server *server, uint64_t tag, void *arg) {
  return chat_server_request_history(server, tag, ((ch_range *)arg)->conversation_id, 0, UINT64_MAX, CHAT_PAGE_MAX);
}

static void check_dense(const ch_reply *truth) {
  for (size_t i = 0; i < truth->row_count; i++) {
    if (i && truth->rows[i].seq != truth->rows[i - 1].seq + 1)
      broken("the history of the server has a hole before %llu", (unsigned long long)truth->rows[i].seq);
    for (size_t j = 0; j < i; j++)
      if (memcmp(truth->rows[i].client_id, truth->rows[j].client_id, 16) == 0)
        broken("a client_id was applied twice, as %llu and %llu", (unsigned long long)truth->rows[j].seq,
               (unsigned long long)truth->rows[i].seq);
  }
}

static uint64_t seq_of(const ch_reply *truth, const ch_said *said) {
  for (size_t i = 0; i < truth->row_count; i++)
    if (memcmp(truth->rows[i].client_id, said->client_id, 16) == 0) return truth->rows[i].seq;
  return 0;
}

/* All that was accepted is there, and in the order of its sender. */
static void check_said(const ch_stage *stage, const uint8_t conversation_id[16], const ch_reply *truth) {
  for (size_t i = 0; i < stage->said_count; i++) {
    const ch_said *one = &stage->said[i];
    if (memcmp(one->conversation_id, conversation_id, 16) != 0) continue;
    uint64_t seq = seq_of(truth, one);
    if (!seq) broken("lost: \"%s\" of %s, which was accepted", one->body, one->by);
    for (size_t j = 0; j < i; j++) {
      const ch_said *before = &stage->said[j];
      bool same = before->by == one->by && memcmp(before->conversation_id, conversation_id, 16) == 0;
      if (same && seq_of(truth, before) > seq) broken("out of order: \"%s\" of %s", one->body, one->by);
    }
  }
}

/* ------------------------------------------------------------------------------------------------ everybody has it */

static bool has_all(const ch_reply *talks) {
  for (size_t i = 0; i < talks->talk_count; i++)
    if (talks->talks[i].pending || (talks->talks[i].role && talks->talks[i].cursor < talks->talks[i].head)) return false;
  return true;
}

static bool is_quiet(void *arg) {
  ch_person *person = arg;
  person_talks(person);
  return person->state == CHAT_STATE_LIVE && has_all(&person->reply);
}

static const ch_said *missing_of(const ch_person *person) {
  for (size_t i = 0; i < person->stage->said_count; i++) {
    const ch_said *said = &person->stage->said[i];
    bool known = false;
    for (size_t j = 0; j < person->reply.talk_count; j++)
      known |= memcmp(person->reply.talks[j].id, said->conversation_id, 16) == 0;
    if (known) continue;
    if (said->by == person->name) return said;
  }
  return NULL;
}

static bool rows_are_equal(const ch_reply *mine, const ch_reply *truth) {
  if (mine->row_count != truth->row_count) return false;
  for (size_t i = 0; i < mine->row_count; i++) {
    const event_row *a = &mine->rows[i], *b = &truth->rows[i];
    if (a->seq != b->seq || a->type != b->type || memcmp(a->client_id, b->client_id, 16) != 0 || strcmp(a->body, b->body) != 0)
      return false;
  }
  return true;
}

typedef struct ch_comparing {
  ch_person *person;
  const talk_row *talk;
  char difference[128];
} ch_comparing;

/* What is newer than what the person was told of comes in the end. */
static bool is_equal(void *arg) {
  static ch_reply truth;
  ch_comparing *comparing = arg;
  ch_person *person = comparing->person;
  ch_range range = {comparing->talk->id};
  truth = *stage_ask(person->stage, "chat_server_request_history", ask_range, &range, 0);
  check_dense(&truth);
  person_history(person, comparing->talk->id, 0, CHAT_PAGE_MAX, false);
  const ch_reply *mine = &person->reply;
  snprintf(comparing->difference, sizeof comparing->difference, "%s does not get what the server has: %zu events for %zu up to %llu",
           person->name, mine->row_count, truth.row_count, (unsigned long long)truth.head);
  if (!rows_are_equal(mine, &truth)) return false;
  check_said(person->stage, comparing->talk->id, &truth);
  return true;
}

static void check_talk(ch_person *person, const talk_row *talk) {
  ch_comparing comparing = {.person = person, .talk = talk};
  stage_until(person->stage, is_equal, &comparing, comparing.difference);
}

/* A former member, or one that joined later, sees a part only. */
static void check_person(ch_person *person) {
  talk_row talks[CONVERSATIONS_MAX];
  stage_until(person->stage, is_quiet, person, "an empty outbox, and everything up to the head");
  const ch_said *missing = missing_of(person);
  if (missing) broken("%s does not know the conversation of \"%s\"", person->name, missing->body);
  size_t count = person->reply.talk_count;
  memcpy(talks, person->reply.talks, sizeof talks);
  for (size_t i = 0; i < count; i++)
    if (talks[i].role) check_talk(person, &talks[i]);
}

static void check_all(ch_stage *stage) {
  for (int i = 0; i < stage->person_count; i++)
    if (stage->people[i].client && !stage->people[i].is_suspended) check_person(&stage->people[i]);
}

/* ------------------------------------------------------------------------------------------------ the end */

static void close_people(ch_stage *stage) {
  for (int i = 0; i < stage->person_count; i++)
    person_close(&stage->people[i]);
}

static void open_again(ch_stage *stage) {
  stage_open_server(stage);
  for (int i = 0; i < stage->person_count; i++)
    person_start(&stage->people[i]);
}

static void resume_all(ch_stage *stage) {
  for (int i = 0; i < stage->person_count; i++) {
    ch_person *person = &stage->people[i];
    if (person->is_suspended) person_resume(person);
    if (!person->client) person_start(person);
  }
}

void stage_end(ch_stage *stage) {
  stage_heal(stage);
  if (!stage->server) stage_open_server(stage);
  resume_all(stage);
  check_all(stage);
  close_people(stage);
  stage_close_server(stage);
  open_again(stage);
  check_all(stage);
  close_people(stage);
  stage_close_server(stage);
}
