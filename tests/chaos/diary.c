/* SPDX-License-Identifier: Apache-2.0 */
#include "diary.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *hex(const uint8_t id[16]) {
  static char texts[8][33];
  static unsigned next;
  char *text = texts[next++ % 8];
  for (int i = 0; i < 16; i++)
    snprintf(text + 2 * i, 3, "%02x", id[i]);
  return text;
}

static bool unhex(const char *text, uint8_t id[16]) {
  for (int i = 0; i < 16; i++) {
    unsigned byte;
    if (sscanf(text + 2 * i, "%2x", &byte) != 1) return false;
    id[i] = (uint8_t)byte;
  }
  return true;
}

static void read_line(diary *d, const char *line) {
  char conversation[33], client[33];
  uint64_t number;
  if (sscanf(line, "N %" SCNu64 " %32s %32s", &number, conversation, client) == 3 && unhex(conversation, d->conversation_id) &&
      unhex(client, d->client_id)) {
    d->number = number;
    d->is_open = true;
  }
  if (sscanf(line, "E %32s", client) == 1 && strcmp(client, hex(d->client_id)) == 0) d->is_open = false;
}

bool diary_open(diary *d, const char *path) {
  char line[512];
  *d = (diary){.fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)};
  FILE *file = fopen(path, "r");
  if (d->fd < 0 || !file) return perror(path), false;
  while (fgets(line, sizeof line, file))
    read_line(d, line);
  fclose(file);
  diary_say(d, "L");
  return true;
}

void diary_say(diary *d, const char *format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  int len = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  line[len++] = '\n';
  if (write(d->fd, line, (size_t)len) != len) {
    perror("diary");
    exit(1); /* the campaign's own disk: nothing can be said any more */
  }
}

void diary_intend(diary *d, const uint8_t conversation_id[16], const uint8_t client_id[16]) {
  memcpy(d->conversation_id, conversation_id, 16);
  memcpy(d->client_id, client_id, 16);
  d->number++;
  d->is_open = true;
  diary_say(d, "N %" PRIu64 " %s %s", d->number, hex(conversation_id), hex(client_id));
}

void diary_entered(diary *d) {
  d->is_open = false;
  diary_say(d, "E %s", hex(d->client_id));
}
