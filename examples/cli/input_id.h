/* SPDX-License-Identifier: Apache-2.0 */
/*
 * input_id.h - `chat send --id ID`: the same input again sends only what was not sent, whatever happened to the first process.
 *
 * A message's identity is its client id, and the server remembers for each device how far it has come; so the same line must have the same client id and go
 * out from the same slot again. The first use of an ID draws 16 bytes and writes them down, with the slot and the conversation, before the first message;
 * the client id of line n is these bytes plus n.
 */
#ifndef CLI_INPUT_ID_H
#define CLI_INPUT_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "profile.h"

typedef struct input_id {
  const char *name;
  bool is_known; /* it was used before */
  int slot;
  uint8_t base[16], conversation[16];
} input_id;

/* An exit code, said on stderr. */
int input_id_find(input_id *id, const profile *p, const char *name);
int input_id_save(input_id *id, const profile *p, int slot, const uint8_t conversation[16]);
void input_id_of_line(const input_id *id, uint64_t line, uint8_t client_id[16]);

#endif
