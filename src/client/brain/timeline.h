/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline.h - pages of history, search, verify (verify.c): what is in the cache, and what is missing there asked for.
 */
#ifndef CH_CLIENT_TIMELINE_H
#define CH_CLIENT_TIMELINE_H

#include "client/brain/brain.h"
#include "client/brain/conversation.h"

void ch_request_history(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
void ch_request_search(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
void ch_request_conversations(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
void ch_request_conversation(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
void ch_request_verify(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);

#endif
