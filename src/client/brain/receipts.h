/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receipts.h - own watermarks out (P5, V8); others' in, and ticks (marks.c).
 */
#ifndef CH_CLIENT_RECEIPTS_H
#define CH_CLIENT_RECEIPTS_H

#include "client/brain/brain.h"
#include "client/brain/conversation.h"

typedef struct ch_receipts_part {
  ch_list to_tell; /* conversations that have something to say */
  uint64_t not_before_ms; /* coalescing */
} ch_receipts_part;

void ch_receipts_reset(ch_brain *brain);
void ch_receipts_session_begun(ch_brain *brain);
/* Asks for others' watermarks where one's own messages lack ticks. */
void ch_receipts_ask(ch_brain *brain, ch_conversation *const *conversations, size_t count);
void ch_receipts_ask_all(ch_brain *brain);
/* It has changed: what the server does not know of it will be told. */
void ch_receipts_want(ch_brain *brain, ch_conversation *conversation);
/* In a transaction: how many of the messages lie above `read`, from the rows that are here. */
void ch_receipts_count_read(ch_brain *brain, ch_conversation *conversation);
/* Tick of an own row at seq. */
uint32_t ch_receipts_tick(ch_brain *brain, ch_conversation *conversation, uint64_t seq);

/* In a transaction, before the members are replaced by these: tells whose watermarks are higher now. */
void ch_receipts_tell_moved(ch_brain *brain, const ch_conversation *conversation, const chat_cache_member *members, size_t count);

void ch_on_receipts(ch_brain *brain, const ch_server_message *message);
void ch_request_mark_read(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
void ch_receipts_settle(ch_brain *brain);
uint64_t ch_receipts_deadline_ms(const ch_brain *brain);

#endif
