/* SPDX-License-Identifier: Apache-2.0 */
/* told.h - up to which position the user's chain of live events is whole (rule V2); plain values, as the model of receiving uses them too (tests/model). */
#ifndef CH_CLIENT_TOLD_H
#define CH_CLIENT_TOLD_H

#include <stdbool.h>
#include <stdint.h>

/* A live event with the position before it (0: not known) and its own. false: the chain is broken, a sync must find what is missing. */
bool ch_told_follow(uint64_t *told, uint64_t previous, uint64_t position);
/* The position that a heartbeat's answer names (0: missing or unreadable) asks for a sync. */
bool ch_told_is_behind(uint64_t told, uint64_t pos);

#endif
