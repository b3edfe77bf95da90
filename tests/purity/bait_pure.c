/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Constant tables, allocation, formatting and a call from one function to another are all pure. */
struct row {
  const char *name;
  int value;
};

static const struct row rows[] = {{"one", 1}, {"two", 2}};

int ch_bait_value(const char *name);
char *ch_bait_line(const char *name);

int ch_bait_value(const char *name) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (strcmp(rows[i].name, name) == 0)
      return rows[i].value;
  return 0;
}

char *ch_bait_line(const char *name) {
  size_t size = strlen(name) + 16;
  char *line = malloc(size);
  if (line != NULL)
    snprintf(line, size, "%s=%d", name, ch_bait_value(name));
  return line;
}
