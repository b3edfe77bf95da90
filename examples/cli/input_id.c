/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "input_id.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "exit_code.h"
#include "target.h"

static const char folder[] = "inputs";

static bool is_name(const char *name) {
  size_t len = strlen(name);
  return len > 0 && len <= 64 && name[0] != '.' && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

static void path_of(const profile *p, const char *name, const char *ending, char path[PROFILE_PATH_LEN]) {
  char file[128];
  snprintf(file, sizeof file, "%s/%s%s", folder, name, ending);
  profile_path(p, path, file);
}

static bool parse(input_id *id, const char *line) {
  char base[33], conversation[33];
  return sscanf(line, "%d %32s %32s", &id->slot, base, conversation) == 3 && id->slot >= 0 && id->slot < SLOT_COUNT && hex_read(base, id->base) &&
         hex_read(conversation, id->conversation);
}

int input_id_find(input_id *id, const profile *p, const char *name) {
  char path[PROFILE_PATH_LEN], line[128];
  *id = (input_id){.name = name};
  if (!is_name(name)) return fail_text(EXIT_USAGE, "--id: 1 to 64 letters, digits, . _ -, not beginning with .");
  path_of(p, name, "", path);
  FILE *file = fopen(path, "re");
  if (!file) return errno == ENOENT ? EXIT_DONE : fail_text(EXIT_FAILED, "%s: %s", path, strerror(errno));
  id->is_known = fgets(line, sizeof line, file) && parse(id, line);
  fclose(file);
  return id->is_known ? EXIT_DONE : fail_text(EXIT_FAILED, "%s: cannot be read", path);
}

/* A UUIDv7 whose last four bytes are 0: the place of the line's number. */
static int draw(uint8_t base[16]) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
  if (getrandom(base, 16, 0) != 16) return -1;
  for (int i = 0; i < 6; i++) base[i] = (uint8_t)(ms >> (40 - 8 * i));
  base[6] = (uint8_t)(0x70 | (base[6] & 0x0f));
  base[8] = (uint8_t)(0x80 | (base[8] & 0x3f));
  memset(base + 12, 0, 4);
  return 0;
}

static int sync_folder(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  int error = fsync(fd);
  return close(fd) || error ? -1 : 0;
}

static int write_down(const input_id *id, const char *path) {
  char base[33], conversation[33];
  hex_of(id->base, base);
  hex_of(id->conversation, conversation);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return -1;
  int len = dprintf(fd, "%d %s %s\n", id->slot, base, conversation), error = fsync(fd);
  return close(fd) || error || len <= 0 ? -1 : 0;
}

/* Durable before the first message, or a crash could make the same line another message. */
int input_id_save(input_id *id, const profile *p, int slot, const uint8_t conversation[16]) {
  char path[PROFILE_PATH_LEN], fresh[PROFILE_PATH_LEN], inputs[PROFILE_PATH_LEN];
  id->slot = slot;
  memcpy(id->conversation, conversation, 16);
  profile_path(p, inputs, folder);
  path_of(p, id->name, "", path);
  path_of(p, id->name, "~", fresh);
  if (mkdir(inputs, 0700) && errno != EEXIST) return fail_text(EXIT_FAILED, "%s: %s", inputs, strerror(errno));
  if (draw(id->base) == 0 && write_down(id, fresh) == 0 && rename(fresh, path) == 0 && sync_folder(inputs) == 0) return EXIT_DONE;
  return fail_text(EXIT_FAILED, "%s: %s", path, strerror(errno));
}

void input_id_of_line(const input_id *id, uint64_t line, uint8_t client_id[16]) {
  memcpy(client_id, id->base, 16);
  for (int i = 0; i < 4; i++) client_id[15 - i] = (uint8_t)(line >> (8 * i));
}
