/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/number_file.h"

#include <chat/chat.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { PATH_LEN_MAX = 4096 };

bool ch_number_file_load(const char *path, uint64_t *number) {
  FILE *file = fopen(path, "re");
  if (!file) return false;
  bool is_read = fscanf(file, "%20" SCNu64, number) == 1;
  fclose(file);
  return is_read;
}

static int write_number(const char *path, uint64_t number) {
  FILE *file = fopen(path, "we");
  if (!file) return CHAT_E_IO;
  int written = fprintf(file, "%" PRIu64 "\n", number);
  int synced = fflush(file) == 0 ? fsync(fileno(file)) : -1;
  return fclose(file) == 0 && written > 0 && synced == 0 ? 0 : CHAT_E_IO;
}

int ch_number_file_save(const char *path, uint64_t number) {
  char next[PATH_LEN_MAX];
  if (snprintf(next, sizeof next, "%s-next", path) >= (int)sizeof next) return CHAT_E_IO;
  if (write_number(next, number) == 0 && rename(next, path) == 0) return 0;
  unlink(next);
  return CHAT_E_IO;
}
