/* SPDX-License-Identifier: Apache-2.0 */
/*
 * database.h - one unit of work: what a transaction changes in the cache and in memory happens together or not at all.
 *
 * begin, changes, end. The first error sticks, later changes do nothing, and end rolls back: the cache by its own means, memory from the copies that the first
 * change of each thing made. Events of a transaction are staged and reach the embedder only when it is committed ("committed there first").
 * So no handler looks at an error but that of end.
 */
#ifndef CH_CLIENT_DATABASE_H
#define CH_CLIENT_DATABASE_H

#include "client/brain/conversation.h"

struct ch_outbox_item;
struct ch_client_event;

typedef struct ch_identity {
  uint8_t user[CHAT_USER_ID_MAX];
  size_t user_len; /* 0: never logged in */
  uint8_t device_id[16];
  uint32_t has_device;
  uint64_t session;  /* as the server gave it; counts once confirmed */
  uint64_t position; /* V2 */
} ch_identity;

typedef struct ch_database {
  bool is_open, in_transaction;
  bool has_lock; /* may have: from open, or a set_aside, to close */
  int error; /* of the transaction under way */
  ch_list conversations; /* changed by it */
  ch_list items;         /* outbox rows touched by it */
  bool identity_changed;
  bool must_be_durable; /* a number was given, or an end that will be shown (C1) */
  ch_identity identity, identity_before;
  struct ch_client_event *staged_first, *staged_last;
  bool is_corrupt;    /* to be set aside when the call in hand is done */
  bool is_lost;       /* that, or opening what was made instead, failed, or no transaction can be begun: it is opened anew at retry_ms; no connection meanwhile */
  bool trouble_told;  /* DATABASE event for FULL or IO is out, none since went well */
  uint64_t retry_ms;  /* not before this is something tried again by itself */
} ch_database;

void ch_database_init(ch_brain *brain);

void ch_begin(ch_brain *brain);
/* 0 or the first error of all since begin. durable: survives power loss when it returns 0. */
int ch_end(ch_brain *brain, bool durable);
/* Gives up: as end with that error. */
int ch_abandon(ch_brain *brain, int error);
bool ch_has_failed(const ch_brain *brain);
void ch_fail(ch_brain *brain, int error);

/* Writable for the rest of the transaction; it is put by end. */
ch_kept *ch_change(ch_brain *brain, ch_conversation *conversation);
ch_identity *ch_change_identity(ch_brain *brain);

void ch_put_row(ch_brain *brain, const chat_row *row);
void ch_remove_row(ch_brain *brain, const uint8_t conversation_id[16], uint64_t seq);
void ch_forget_history(ch_brain *brain, const uint8_t conversation_id[16]);
void ch_put_cover(ch_brain *brain, const uint8_t conversation_id[16], uint64_t low, uint64_t high);
void ch_put_members(ch_brain *brain, const uint8_t conversation_id[16], const chat_cache_member *members, size_t count);
/* A value that nobody reads: that it was committed shows that there is room for more, and a disk that keeps it. */
void ch_put_proof(ch_brain *brain);
/* False: not a member here, which is no error. */
bool ch_put_mark(ch_brain *brain, const uint8_t conversation_id[16], chat_bytes user, uint64_t delivered, uint64_t read);

/* What is in the cache under a client id (C7), in or outside a transaction. */
typedef enum ch_found { CH_FOUND_NOT = 0, CH_FOUND_SAME = 1, CH_FOUND_OTHER = 2 } ch_found;
/* Error: CHAT_E_* of the cache. `seq` is set where it was found. */
int ch_find_own(ch_brain *brain, const uint8_t conversation_id[16], const uint8_t client_id[16], uint32_t type, chat_bytes payload,
                ch_found *found, uint64_t *seq);

/* Gives the error of a read back, after ch_database_trouble where there is one. */
int ch_read(ch_brain *brain, int error);
/* An error of a read or of end: told to the embedder, remembered where the database is damaged. */
void ch_database_trouble(ch_brain *brain, int error);

#endif
