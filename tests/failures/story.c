/* SPDX-License-Identifier: Apache-2.0 */
#include "story.h"

#include "story_parts.h"

const ch_story stories[] = {
    {"life", SIDE_BOTH, tell_life},         {"talk", SIDE_BOTH, tell_talk},           {"group", SIDE_BOTH, tell_group},
    {"reading", SIDE_BOTH, tell_reading},   {"logout", SIDE_CLIENT, tell_logout},     {"threads", SIDE_NONE, tell_threads},
    {"serving", SIDE_SERVER, tell_serving}, {"requests", SIDE_SERVER, tell_requests}, {"hooks", SIDE_SERVER, tell_hooks},
};

const int story_count = sizeof stories / sizeof stories[0];
