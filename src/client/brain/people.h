/* SPDX-License-Identifier: Apache-2.0 */
/*
 * people.h - members (members.c); what is on the screen, presence, typing, devices (people.c).
 */
#ifndef CH_CLIENT_PEOPLE_H
#define CH_CLIENT_PEOPLE_H

#include "client/brain/brain.h"
#include "client/brain/conversation.h"

enum { CH_OPEN_MAX = 16, CH_PRESENCE_MAX = 4096, CH_TYPING_EVERY_MS = 3000 };

typedef struct ch_seen {
  uint32_t online;
  uint64_t seen_ms;
} ch_seen;

typedef struct ch_people {
  ch_hashmap presence; /* user → ch_seen, of conversations that are open */
  uint8_t open[CH_OPEN_MAX][16]; /* on the screen; also while the conversations are not in memory (suspended, damaged) */
  uint32_t open_count;
  ch_list to_refresh;  /* conversations whose members are to be asked for */
  ch_list to_retry;    /* those that are, but not before retry_ms */
  uint32_t asked_count; /* GET_MEMBERS under way because of that */
  uint64_t refresh_ms, retry_ms; /* CH_NEVER_MS: nothing is due */
} ch_people;

void ch_people_init(ch_brain *brain);
void ch_people_fini(ch_brain *brain);
void ch_people_session_begun(ch_brain *brain);
void ch_people_session_ended(ch_brain *brain);
bool ch_people_is_open(const ch_brain *brain, const uint8_t conversation_id[16]);
void ch_people_close_all(ch_brain *brain);
/* The members are in the cache, since ticks need them (those of a channel only while it is open): where they are stale, they will be asked for. */
void ch_people_want(ch_brain *brain, ch_conversation *conversation);
void ch_people_settle(ch_brain *brain);
uint64_t ch_people_deadline_ms(const ch_brain *brain);
/* In a transaction: what an event says about members, title and settings. */
void ch_people_apply(ch_brain *brain, ch_conversation *conversation, const chat_row *row, bool is_news);

void ch_on_presence(ch_brain *brain, const ch_server_message *message);
void ch_on_typing(ch_brain *brain, const ch_server_message *message);

void ch_request_open(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
void ch_request_close(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
void ch_request_members(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
void ch_request_devices(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
void ch_request_revoke_device(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
int ch_people_typing(ch_brain *brain, const ch_client_request *request);

#endif
