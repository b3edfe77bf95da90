/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intervals.h - what a member may read of a conversation: a list of (joined_seq, left_seq], one for each time that it
 * was a member.
 *
 * joined_seq is the last seq that it may NOT read, left_seq the last that it may: the event of its removal. Whoever
 * lets a new member see the event of its own joining hands in that event's seq - 1; "from the start" hands in 0. What
 * lies outside is answered like what was pruned (V5). Plain values without memory of their own: intervals are part of
 * a conversation's state, copied and stored as they are. The bound and what happens at it are part of the protocol,
 * since verdicts and answers depend on them.
 */
#ifndef CH_CORE_INTERVALS_H
#define CH_CORE_INTERVALS_H

#include <chat/backend.h>
#include <stdbool.h>
#include <stdint.h>

/* left_seq of a member that has not left. */
#define CH_INTERVAL_OPEN UINT64_MAX

typedef struct ch_interval {
  uint64_t joined_seq, left_seq;
} ch_interval;

/* Sorted, apart from each other, only the last may be open. {0} has none. */
typedef struct ch_intervals {
  ch_interval items[CHAT_MEMBER_INTERVALS_MAX];
  uint32_t count;
} ch_intervals;

/* first to last, both included. */
typedef struct ch_seq_range {
  uint64_t first, last;
} ch_seq_range;

/* Is it a member now? */
bool ch_intervals_is_open(const ch_intervals *intervals);
/* Opens an interval behind joined_seq. false, without an effect, when one is open. Earlier ones that reach to
 * joined_seq or above are joined with it. When there are CHAT_MEMBER_INTERVALS_MAX already, the oldest is forgotten: the bound
 * never shows more than a member may read. */
bool ch_intervals_join(ch_intervals *intervals, uint64_t joined_seq);
/* Ends the open interval at left_seq, which is at least its joined_seq. false, without an effect, when none is open. */
bool ch_intervals_leave(ch_intervals *intervals, uint64_t left_seq);

bool ch_intervals_may_read(const ch_intervals *intervals, uint64_t seq);
/* The lowest readable seq at or above seq: "nothing for you below". CH_INTERVAL_OPEN when there is none. */
uint64_t ch_intervals_next(const ch_intervals *intervals, uint64_t seq);
/* The highest readable seq at or below seq; 0 when there is none. */
uint64_t ch_intervals_prev(const ch_intervals *intervals, uint64_t seq);
/* The readable run at the low end of range (paging forwards). false when nothing in it is readable; *out is then {0,
 * 0}. */
bool ch_intervals_clip_low(const ch_intervals *intervals, ch_seq_range range, ch_seq_range *out);
/* The readable run at the high end of range (paging backwards). false as above. */
bool ch_intervals_clip_high(const ch_intervals *intervals, ch_seq_range range, ch_seq_range *out);

#endif
