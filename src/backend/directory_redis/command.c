/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/directory_redis/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backend/directory_redis/slot.h"
#include "core/assert.h"

/* ------------------------------------------------------------------------------------------------ tags */

/* '}' would end the tag, and '%' begins what stands for it. */
static bool is_escaped(uint8_t byte) {
  return byte == '%' || byte == '}';
}

ch_redis_tag ch_redis_tag_of_user(chat_bytes user) {
  ch_redis_tag tag = {0};
  ch_assert(user.len <= CHAT_USER_ID_MAX);
  for (size_t i = 0; i < user.len; i++) {
    if (is_escaped(user.data[i]))
      tag.len += (size_t)snprintf(tag.text + tag.len, 4, "%%%02X", user.data[i]);
    else
      tag.text[tag.len++] = (char)user.data[i];
  }
  return tag;
}

ch_redis_tag ch_redis_tag_of_id(const uint8_t id[16]) {
  ch_redis_tag tag = {.len = 32};
  ch_hex_encode(ch_bytes_of(id, 16), tag.text);
  return tag;
}

chat_bytes ch_redis_tag_bytes(const ch_redis_tag *tag) {
  return ch_bytes_of(tag->text, tag->len);
}

/* ------------------------------------------------------------------------------------------------ commands */

void ch_redis_command_init(ch_redis_command *command, ch_redis_script script, const ch_redis_tag *tag, const char *const *prefixes) {
  command->script = script;
  command->slot = ch_redis_slot_of(ch_redis_tag_bytes(tag));
  command->key_count = command->arg_count = 0;
  for (; *prefixes; prefixes++) {
    int i = command->key_count++;
    command->keys[i].len = (size_t)snprintf(command->keys[i].text, CH_REDIS_KEY_MAX, "%s:{%s}", *prefixes, tag->text);
  }
}

void ch_redis_command_bytes(ch_redis_command *command, chat_bytes bytes) {
  command->args[command->arg_count++] = bytes;
}

void ch_redis_command_number(ch_redis_command *command, uint64_t number) {
  char *text = command->numbers[command->arg_count];
  int len = snprintf(text, sizeof command->numbers[0], "%" PRIu64, number);
  ch_redis_command_bytes(command, ch_bytes_of(text, (size_t)len));
}

void ch_redis_command_device(ch_redis_command *command, const uint8_t device_id[CHAT_DEVICE_ID_LEN]) {
  ch_hex_encode(ch_bytes_of(device_id, CHAT_DEVICE_ID_LEN), command->device);
  ch_redis_command_bytes(command, ch_bytes_text(command->device));
}
