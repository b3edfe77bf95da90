/* SPDX-License-Identifier: Apache-2.0 */
/*
 * people.h - members, presence, typing, devices.
 */
#ifndef CH_CLIENT_PEOPLE_H
#define CH_CLIENT_PEOPLE_H

#include "client/brain/brain.h"
#include "client/brain/conversation.h"

enum { CH_OPEN_MAX = 16, CH_PRESENCE_MAX = 4096, CH_TYPING_EVERY_MS = 3000 };

typedef struct ch_people {
  ch_hashmap presence; /* user → ch_seen, of conversations that are open */
  uint32_t open_count;
} ch_people;

void ch_people_init(ch_brain *brain);
void ch_people_fini(ch_brain *brain);
void ch_people_session_begun(ch_brain *brain);
void ch_people_session_ended(ch_brain *brain);
/* Asks for the members again where they are stale and somebody looks, or a direct conversation's peer is not known. */
void ch_people_refresh(ch_brain *brain, ch_conversation *conversation);
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
