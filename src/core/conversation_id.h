/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conversation_id.h - ids of conversations, derived from what makes them, so that creating twice gives the same one.
 * 16 bytes: the kind of its origin, then the first 15 bytes of a SHA-256 (docs/protocol.md, "Ids and numbers"). Pure functions,
 * any thread.
 */
#ifndef CH_CORE_CONVERSATION_ID_H
#define CH_CORE_CONVERSATION_ID_H

#include <chat/chat.h>
#include <stdint.h>

#include "core/bytes.h"

/* First byte of an id. A group that was made, or turned into, a channel keeps the group's. */
enum { CH_CONVERSATION_ID_DIRECT = 1, CH_CONVERSATION_ID_GROUP = 2 };

/* The conversation of users a and b, in either order; a user may be alone with itself. 0x01 and SHA-256 over
 * "chat.v1.direct", 0x00, length and bytes of the id that sorts first, length and bytes of the other. Both are valid
 * user ids (ch_user_id_valid). */
void ch_conversation_id_direct(ch_bytes a, ch_bytes b, uint8_t out[CHAT_CONVERSATION_ID_LEN]);

/* The group or channel that creator made under client_id. 0x02 and SHA-256 over "chat.v1.group", 0x00, length and
 * bytes of the creator's id, client_id. creator is a valid user id. */
void ch_conversation_id_group(ch_bytes creator, const uint8_t client_id[CHAT_CLIENT_ID_LEN],
                              uint8_t out[CHAT_CONVERSATION_ID_LEN]);

#endif
