/* SPDX-License-Identifier: Apache-2.0 */
/* A group, from its creation to its turning into a channel. */
#include <string.h>

#include "promised.h"
#include "story.h"
#include "story_parts.h"

typedef struct ch_change {
  uint8_t id[16];
  const char *text;
  uint32_t role;
} ch_change;

static chat_text text_of(const char *text) {
  return (chat_text){text, strlen(text)};
}

static int ask_create(chat_client *client, uint64_t tag, void *arg) {
  const ch_change *change = arg;
  chat_text ben = text_of("ben");
  return chat_client_create(client, tag, CHAT_GROUP, change->text, strlen(change->text), &ben, 1, 1);
}

static int ask_add(chat_client *client, uint64_t tag, void *arg) {
  const ch_change *change = arg;
  chat_text user = text_of(change->text);
  return chat_client_add_members(client, tag, change->id, &user, 1, change->role);
}

static int ask_remove(chat_client *client, uint64_t tag, void *arg) {
  const ch_change *change = arg;
  return chat_client_remove_member(client, tag, change->id, change->text, strlen(change->text));
}

static int ask_role(chat_client *client, uint64_t tag, void *arg) {
  const ch_change *change = arg;
  return chat_client_set_role(client, tag, change->id, change->text, strlen(change->text), change->role);
}

static int ask_owner(chat_client *client, uint64_t tag, void *arg) {
  const ch_change *change = arg;
  return chat_client_set_owner(client, tag, change->id, change->text, strlen(change->text));
}

static int ask_title(chat_client *client, uint64_t tag, void *arg) {
  const ch_change *change = arg;
  return chat_client_set_title(client, tag, change->id, change->text, strlen(change->text));
}

static int ask_from_start(chat_client *client, uint64_t tag, void *arg) {
  return chat_client_set_history_from_start(client, tag, ((ch_change *)arg)->id, 1);
}

static int ask_channel(chat_client *client, uint64_t tag, void *arg) {
  return chat_client_make_channel(client, tag, ((ch_change *)arg)->id);
}

static int ask_leave(chat_client *client, uint64_t tag, void *arg) {
  return chat_client_leave(client, tag, ((ch_change *)arg)->id);
}

static void ask_for(ch_person *person, const char *function, asking ask, ch_change *change, const char *text) {
  change->text = text;
  person_ask(person, function, ask, change, 0);
}

void tell_group(ch_stage *stage) {
  ch_change change = {.role = CHAT_ROLE_ADMIN};
  stage_open_server(stage);
  ch_person *ann = person_open(stage, "ann", "ann.db"), *ben = person_open(stage, "ben", "ben.db"),
            *cara = person_open(stage, "cara", "cara.db");
  person_live(ann);
  person_live(ben);
  person_live(cara);
  stage_arm(stage);
  ask_for(ann, "chat_client_create", ask_create, &change, "group");
  memcpy(change.id, ann->reply.conversation_id, 16);
  person_say(ann, change.id, NULL, "one");
  person_until_there(ben, last_said(stage));
  ask_for(ann, "chat_client_add_members", ask_add, &change, "cara");
  ask_for(ann, "chat_client_set_role", ask_role, &change, "ben");
  ask_for(ann, "chat_client_set_title", ask_title, &change, "other");
  ask_for(ann, "chat_client_set_history_from_start", ask_from_start, &change, NULL);
  person_say(ann, change.id, NULL, "two");
  person_until_there(cara, last_said(stage));
  person_say(cara, change.id, NULL, "three");
  ask_for(ann, "chat_client_set_owner", ask_owner, &change, "ben");
  person_until_there(ben, last_said(stage));
  person_say(ben, change.id, NULL, "four");
  person_until_there(ann, last_said(stage));
  ask_for(ben, "chat_client_remove_member", ask_remove, &change, "cara");
  ask_for(ben, "chat_client_make_channel", ask_channel, &change, NULL);
  person_say(ben, change.id, NULL, "five");
  person_until_there(ann, last_said(stage));
  ask_for(ann, "chat_client_leave", ask_leave, &change, NULL);
  stage_end(stage);
}
