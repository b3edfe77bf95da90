/* SPDX-License-Identifier: Apache-2.0 */
/* story.h - scenarios over the public API. Each arms the failures where what it is about begins, and leaves the end to stage_end. */
#ifndef CH_TEST_STORY_H
#define CH_TEST_STORY_H

#include "stage.h"

typedef struct ch_story {
  const char *name;
  failure_side sides; /* SIDE_BOTH: of each side by itself; 0: of all threads at once */
  void (*tell)(ch_stage *stage);
} ch_story;

extern const ch_story stories[];
extern const int story_count;

#endif
