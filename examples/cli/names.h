/* SPDX-License-Identifier: Apache-2.0 */
/* names.h - what conversations are called, for lines of several of them. Learned from events, and asked for where one is not known. */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include <chat/client.h>

typedef struct name_row {
  uint8_t id[16];
  char name[CHAT_TITLE_MAX + 1];
} name_row;

typedef struct names {
  name_row *rows;
  size_t count, size;
} names;

/* Memory running out only makes a name unknown. */
void names_learn(names *n, const chat_conversation *c);
/* NULL: not known. Until the next names_learn. */
const char *names_find(const names *n, const uint8_t id[16]);
void names_fini(names *n);

#endif
