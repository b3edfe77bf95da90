/* SPDX-License-Identifier: Apache-2.0 */
/* command.h - one call of a script: its keys and arguments, without memory of its own. What the arguments point at is borrowed until it is sent. */
#ifndef CH_DIRECTORY_REDIS_COMMAND_H
#define CH_DIRECTORY_REDIS_COMMAND_H

#include "backend/directory_redis/script.h"
#include "core/bytes.h"

enum { CH_REDIS_TAG_MAX = 3 * CHAT_USER_ID_MAX, CH_REDIS_KEY_MAX = CH_REDIS_TAG_MAX + 16, CH_REDIS_KEYS = 3, CH_REDIS_ARGS = 7 };

/* What stands between the braces: a user's id without what would end it, a conversation's in hex. */
typedef struct ch_redis_tag {
  size_t len;
  char text[CH_REDIS_TAG_MAX + 1]; /* and a NUL */
} ch_redis_tag;

ch_redis_tag ch_redis_tag_of_user(chat_bytes user);
ch_redis_tag ch_redis_tag_of_id(const uint8_t id[16]);
chat_bytes ch_redis_tag_bytes(const ch_redis_tag *tag);

typedef struct ch_redis_command {
  ch_redis_script script;
  uint16_t slot;
  int key_count, arg_count;
  struct {
    size_t len;
    char text[CH_REDIS_KEY_MAX];
  } keys[CH_REDIS_KEYS];
  chat_bytes args[CH_REDIS_ARGS];
  char numbers[CH_REDIS_ARGS][24];
  char device[2 * CHAT_DEVICE_ID_LEN + 1];
} ch_redis_command;

/* The slot is that of the tag; the keys are prefix:{tag}, for each prefix until NULL. */
void ch_redis_command_init(ch_redis_command *command, ch_redis_script script, const ch_redis_tag *tag, const char *const *prefixes);
void ch_redis_command_bytes(ch_redis_command *command, chat_bytes bytes); /* borrowed */
void ch_redis_command_number(ch_redis_command *command, uint64_t number);
void ch_redis_command_device(ch_redis_command *command, const uint8_t device_id[CHAT_DEVICE_ID_LEN]);

#endif
