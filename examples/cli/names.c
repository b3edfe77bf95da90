/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <stdlib.h>
#include <string.h>

static name_row *find(const names *n, const uint8_t id[16]) {
  for (size_t i = 0; i < n->count; i++)
    if (memcmp(n->rows[i].id, id, 16) == 0) return &n->rows[i];
  return NULL;
}

static name_row *add(names *n, const uint8_t id[16]) {
  if (n->count == n->size) {
    size_t size = n->size ? n->size * 2 : 64;
    name_row *rows = realloc(n->rows, size * sizeof *rows);
    if (!rows) return NULL;
    n->rows = rows;
    n->size = size;
  }
  memcpy(n->rows[n->count].id, id, 16);
  return &n->rows[n->count++];
}

void names_learn(names *n, const chat_conversation *c) {
  name_row *row = find(n, c->conversation_id);
  chat_bytes name = c->kind == CHAT_DIRECT ? c->peer : c->title;
  if (!row) row = add(n, c->conversation_id);
  if (!row) return;
  size_t len = name.len < sizeof row->name ? name.len : sizeof row->name - 1;
  if (len > 0) memcpy(row->name, name.data, len);
  row->name[len] = '\0';
}

const char *names_find(const names *n, const uint8_t id[16]) {
  const name_row *row = find(n, id);
  return row ? row->name : NULL;
}

void names_fini(names *n) {
  free(n->rows);
  *n = (names){0};
}
