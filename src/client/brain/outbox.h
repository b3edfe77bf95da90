/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox.h - rows that wait for their end (rules C1-C8; docs/architecture.md, "Outbox").
 */
#ifndef CH_CLIENT_OUTBOX_H
#define CH_CLIENT_OUTBOX_H

#include "client/brain/brain.h"
#include "client/brain/conversation.h"
#include "client/brain/database.h"
#include "client/brain/outbox_facts.h"

typedef struct ch_outbox_item {
  ch_list place; /* in conversation.rows */
  ch_conversation *conversation;
  uint8_t client_id[16];
  uint64_t created_ms;
  uint32_t type;
  chat_bytes payload; /* owned */
  ch_item_facts facts, before; /* before: as it was when the transaction began */
  bool in_flight; /* sent in this session, no answer yet */
  uint64_t wire_tag;
  uint64_t dup_head;
  ch_list touched; /* in database.items */
  bool is_added, is_removed, is_moved;
} ch_outbox_item;

typedef struct ch_outbox {
  ch_hashmap by_client_id;
  ch_list active; /* conversations with rows */
  bool is_dirty;  /* look again */
  uint64_t deadline_ms;
} ch_outbox;

void ch_outbox_init(ch_brain *brain);
void ch_outbox_fini(ch_brain *brain);
int ch_outbox_load(ch_brain *brain, const chat_outbox_row *row);

ch_outbox_item *ch_outbox_find(const ch_brain *brain, const uint8_t client_id[16]);
bool ch_item_is_open(const ch_outbox_item *item); /* will be sent, or is: has not ended and is not parked */

/* Changes, in a transaction. */
ch_outbox_item *ch_outbox_add(ch_brain *brain, ch_conversation *conversation, const uint8_t client_id[16], uint32_t type, chat_bytes payload);
ch_item_facts *ch_item_change(ch_brain *brain, ch_outbox_item *item);
void ch_outbox_remove(ch_brain *brain, ch_outbox_item *item);
void ch_outbox_number_anew(ch_brain *brain, ch_outbox_item *item);
/* By database.c: writes one touched row; makes all changes final, or as they were. */
int ch_item_write(ch_brain *brain, ch_outbox_item *item);
void ch_items_keep(ch_brain *brain);
void ch_items_restore(ch_brain *brain);

/* In a transaction: a row of one's own came (pushed, or by range). */
void ch_outbox_committed(ch_brain *brain, ch_conversation *conversation, const chat_row *row);
/* A range answer was applied whole: rows whose history is now read (C7). */
void ch_outbox_resolve(ch_brain *brain, ch_conversation *conversation, uint64_t head);
/* In a transaction: ends by what is in the cache, or gets a new number; where prove is false, becomes a draft instead of that. */
void ch_outbox_judge(ch_brain *brain, ch_outbox_item *item, bool prove);

void ch_on_answer(ch_brain *brain, const ch_server_message *message);
void ch_on_verdict(ch_brain *brain, const ch_server_message *message);
bool ch_outbox_take_error(ch_brain *brain, const ch_server_message *message); /* a SEND that the gateway could not read */

void ch_outbox_session_begun(ch_brain *brain);
void ch_outbox_session_ended(ch_brain *brain);
void ch_outbox_settle(ch_brain *brain);

void ch_request_send(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
void ch_request_retry(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
void ch_request_discard(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
void ch_request_create(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);
void ch_request_control(ch_brain *brain, const ch_client_request *request, ch_client_event *reply);

/* restore.c: the database was restored from a copy (docs/protocol.md, "Restored databases"). */
void ch_restore_begin(ch_brain *brain);
void ch_restore_resolve(ch_brain *brain, ch_conversation *conversation, bool prove); /* in a transaction: its DEVICE_RETIRED ended */
void ch_restore_give_up(ch_brain *brain, ch_conversation *conversation); /* in a transaction: part of its history can no longer be read */

#endif
