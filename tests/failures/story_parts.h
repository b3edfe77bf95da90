/* SPDX-License-Identifier: Apache-2.0 */
/* story_parts.h - the stories, for their table. */
#ifndef CH_TEST_STORY_PARTS_H
#define CH_TEST_STORY_PARTS_H

#include "stage.h"

void tell_life(ch_stage *stage);
void tell_talk(ch_stage *stage);
void tell_reading(ch_stage *stage);
void tell_threads(ch_stage *stage);
void tell_logout(ch_stage *stage);
void tell_group(ch_stage *stage);
void tell_serving(ch_stage *stage);
void tell_requests(ch_stage *stage);
void tell_hooks(ch_stage *stage);

const ch_said *last_said(const ch_stage *stage);

#endif
