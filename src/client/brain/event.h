/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event.h - the bounded queue of events, and making them from rows.
 *
 * A reply's event is allocated with its request, so it cannot get lost. Of the others at most events_max wait; one more becomes the one RESYNC, which has a place of its own.
 */
#ifndef CH_CLIENT_EVENT_H
#define CH_CLIENT_EVENT_H

#include "client/brain/brain.h"
#include "client/brain/conversation.h"

struct ch_outbox_item;

typedef struct ch_events {
  ch_client_event *first, *last;
  size_t count;       /* not replies */
  size_t requests;    /* replies promised or not pulled yet */
  ch_client_event *resync; /* made beforehand; NULL: is in the queue */
} ch_events;

int ch_events_init(ch_brain *brain);
void ch_events_fini(ch_brain *brain);

/* NULL: no memory, or (reply) requests_max is reached. */
ch_client_event *ch_event_new(ch_brain *brain, uint32_t type);
ch_client_event *ch_reply_new(ch_brain *brain, uint64_t tag);
/* Into the queue, or (in a transaction) staged for it. NULL counts as an event that did not fit. */
void ch_event_put(ch_brain *brain, ch_client_event *event);
/* Ends a request. Not inside a transaction. */
void ch_reply_end(ch_brain *brain, ch_client_event *reply, int status);
/* What a transaction staged: on to the queue, or away. */
void ch_events_publish(ch_brain *brain);
void ch_events_discard(ch_brain *brain);

bool ch_type_is_hidden(const ch_brain *brain, uint32_t type); /* tests only: as an older client, which does not know it */

/* Bytes copied into the event. */
chat_bytes ch_event_copy(ch_client_event *event, chat_bytes bytes, int *error);

/* Lists that events hold: an array of pointers with room for `count_max`. False: no memory. */
chat_message *ch_event_add_message(ch_client_event *event, size_t count_max);
/* Fills one from a row; own, tick and content included. */
int ch_message_from_row(ch_brain *brain, ch_client_event *event, chat_message *message, const chat_row *row);
int ch_message_from_item(ch_brain *brain, ch_client_event *event, chat_message *message, const struct ch_outbox_item *item);
int ch_event_add_conversation(ch_brain *brain, ch_client_event *event, const ch_conversation *conversation, size_t count_max);

/* Whole events. */
void ch_tell_resync(ch_brain *brain); /* what the embedder shows is to be read again */
void ch_tell_message(ch_brain *brain, const chat_row *row);
/* seq 0: still in the outbox. */
void ch_tell_outbox(ch_brain *brain, const struct ch_outbox_item *item, uint32_t tick, uint64_t seq, int status);
void ch_tell_draft(ch_brain *brain, const struct ch_outbox_item *item);
void ch_tell_conversation(ch_brain *brain, const ch_conversation *conversation);
void ch_tell_status(ch_brain *brain, uint32_t type, int status, chat_bytes text);

#endif
