/* SPDX-License-Identifier: Apache-2.0 */
/*
 * owner.h - the brain: its parts by value. Each part is written by its own file; the others ask it.
 */
#ifndef CH_CLIENT_OWNER_H
#define CH_CLIENT_OWNER_H

#include "client/brain/brain.h"
#include "client/brain/connection.h"
#include "client/brain/conversation.h"
#include "client/brain/database.h"
#include "client/brain/event.h"
#include "client/brain/fact.h"
#include "client/brain/outbox.h"
#include "client/brain/people.h"
#include "client/brain/receipts.h"
#include "client/brain/sync.h"
#include "client/brain/timeline.h"
#include "core/uuid7.h"

struct ch_brain {
  ch_env env;
  ch_brain_config config;
  uint8_t client_name[64];
  uint8_t seed[CH_HASHMAP_SEED_LEN];
  ch_kept spoiled; /* written to where memory is out; never read (database.c) */
  ch_now now; /* of the call in hand */
  bool is_suspended;
  bool in_live;  /* the transaction under way is that of live events */
  bool has_unindexed;
  uint64_t index_ms; /* not before it */
  ch_client_event *logout; /* a logout that waits for the server, at most until logout_ms */
  uint64_t logout_ms;
  bool logout_is_due;
  ch_arena arena; /* of the frame in hand */
  ch_uuid7_generator uuids;
  ch_database database;
  ch_events events;
  ch_facts facts;
  ch_conversations conversations;
  ch_connection connection;
  ch_outbox outbox;
  ch_sync sync;
  ch_receipts_part receipts;
  ch_people people;
};

static inline uint64_t ch_now_ms(const ch_brain *brain) {
  return brain->now.elapsed_ms;
}

static inline chat_bytes ch_own_user(const ch_brain *brain) {
  return (chat_bytes){brain->database.identity.user, brain->database.identity.user_len};
}

static inline bool ch_is_own(const ch_brain *brain, chat_bytes user) {
  return user.len > 0 && ch_bytes_equal(user, ch_own_user(brain));
}

static inline uint64_t ch_later(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

static inline uint64_t ch_sooner(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* What follows from a change in any part; every call in ends with it (brain.c). */
void ch_brain_settle(ch_brain *brain);
void ch_client_id_new(ch_brain *brain, uint8_t client_id[16]);

#endif
