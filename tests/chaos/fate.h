/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fate.h - what a campaign decides for a process that has fate.so preloaded: a page of a file that both have mapped ($CHAOS_FATE; the other side is fate.py). It may change at any moment.
 */
#ifndef CHAOS_FATE_H
#define CHAOS_FATE_H

#include <stdatomic.h>
#include <stdint.h>

/* Where a process dies: at the countdown's end, in a call of this kind on a file. */
enum {
  DIES_BEFORE_WRITE = 1,
  DIES_IN_WRITE = 2, /* half of the bytes are written */
  DIES_BEFORE_SYNC = 3,
  DIES_AFTER_SYNC = 4,
  DIES_BEFORE_NAME = 5, /* rename, unlink */
  DIES_AFTER_NAME = 6
};

typedef struct fate {
  _Atomic int64_t wall_ms; /* added to the wall clock; other clocks are as they are */
  _Atomic int32_t place;   /* DIES_*; 0: nowhere */
  _Atomic int32_t countdown;
  _Atomic int32_t died; /* the place, once it has */
} fate;

#endif
