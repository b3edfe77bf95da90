/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync.h - position, told, heads, ranges by cursor, live events (rules V2, V4, V5).
 */
#ifndef CH_CLIENT_SYNC_H
#define CH_CLIENT_SYNC_H

#include "client/brain/brain.h"
#include "client/brain/conversation.h"

typedef struct ch_sync {
  uint64_t told; /* volatile (V2); position is in the identity */
  bool is_under_way, again;
  bool is_done;    /* one ended in this session */
  uint64_t due_ms; /* of the next one; CH_NEVER_MS: none */
  uint64_t beat_ms; /* of the next HEARTBEAT, also where other things are sent: its reply carries pos:{user} (V2) */
  ch_list to_fetch;
  uint32_t range_count; /* under way, by cursor */
  ch_list holding;
} ch_sync;

void ch_sync_init(ch_brain *brain);
void ch_sync_session_begun(ch_brain *brain);
void ch_sync_session_ended(ch_brain *brain);
/* Asks within spread_ms, or after the one under way. */
void ch_sync_ask(ch_brain *brain, uint64_t spread_ms);
/* A head was told: fetched until the cursor is there (V4). */
void ch_sync_told(ch_brain *brain, ch_conversation *conversation, uint64_t head);
/* Everything that is behind is asked for again: at every start and heartbeat (V4). */
void ch_sync_fetch_all(ch_brain *brain);
/* RESET: what the numbers mean is not known any more. All that is stored under them is forgotten, and a sync says where history begins. */
void ch_sync_reset(ch_brain *brain, ch_conversation *conversation);
/* Of a reply to RANGE: 0: it can be stored; else why not. A RESET begins anew, and is CHAT_E_GONE. */
int ch_range_status_of(ch_brain *brain, ch_conversation *conversation, const ch_server_message *reply);
bool ch_sync_is_behind(const ch_brain *brain);

void ch_on_heartbeat_reply(ch_brain *brain, const ch_server_message *message);
/* Live messages of one frame share a transaction. */
void ch_on_live(ch_brain *brain, const ch_server_message *message);
void ch_live_end(ch_brain *brain);

void ch_sync_settle(ch_brain *brain);
uint64_t ch_sync_deadline_ms(const ch_brain *brain);

#endif
