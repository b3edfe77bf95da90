/* SPDX-License-Identifier: Apache-2.0 */
/* slot.h - where a key is: as Redis Cluster says it (CRC16 of the hash tag), which is how shards are chosen too. Pure functions. */
#ifndef CH_DIRECTORY_REDIS_SLOT_H
#define CH_DIRECTORY_REDIS_SLOT_H

#include "core/bytes.h"

enum { CH_REDIS_SLOTS = 16384 };

/* Below CH_REDIS_SLOTS; of what is between the braces of a key. */
uint16_t ch_redis_slot_of(chat_bytes tag);

#endif
