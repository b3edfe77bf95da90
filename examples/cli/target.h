/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target.h - what people call conversations:
 *
 *   32 hexadecimal digits   the id
 *   @USER                   the direct conversation with that user
 *   #TITLE                  the group or channel of that title
 *   NAME                    a group's title or a user one has a direct conversation with, whichever there is; both, or two groups: an error that lists them.
 *                           None: a group that one has left, else a user
 */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "session.h"

typedef struct target {
  uint8_t id[16];
  bool is_known;              /* it is on this machine; else a user who was never written to */
  uint32_t kind;
  uint64_t head, member_count;
  char name[CHAT_TITLE_MAX + 1]; /* title or user, not NUL-terminated at a NUL of its own */
  char user[CHAT_USER_ID_MAX + 1]; /* direct: the other one */
} target;

/* An exit code, said on stderr. must_exist: a user who was never written to is an error too. */
int target_find(session *s, const char *text, bool must_exist, target *out);

void hex_of(const uint8_t id[16], char text[33]);
bool hex_read(const char *text, uint8_t id[16]);

#endif
