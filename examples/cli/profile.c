/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "profile.h"

#include <chat/chat.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exit_code.h"

/* ------------------------------------------------------------------------------------------------ where */

static bool is_name(const char *name) {
  static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@";
  size_t len = strlen(name);
  return len > 0 && len <= 64 && name[0] != '.' && strspn(name, good) == len;
}

static const char *either(const char *option, const char *variable) {
  return option ? option : getenv(variable);
}

/* false: no home at all. */
static bool find_home(char *path, size_t size, const char *option) {
  const char *own = either(option, "CHAT_HOME"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
  int len = -1;
  if (own) len = snprintf(path, size, "%s", own);
  else if (data && data[0] == '/') len = snprintf(path, size, "%s/chat", data);
  else if (home) len = snprintf(path, size, "%s/.local/share/chat", home);
  return len > 0 && (size_t)len < size;
}

void profile_path(const profile *p, char path[PROFILE_PATH_LEN], const char *name) {
  snprintf(path, PROFILE_PATH_LEN, "%s/%s", p->folder, name);
}

void profile_slot_path(const profile *p, char path[PROFILE_PATH_LEN], int slot, const char *ending) {
  snprintf(path, PROFILE_PATH_LEN, "%s/%d.%s", p->folder, slot, ending);
}

/* ------------------------------------------------------------------------------------------------ account */

typedef struct line_field {
  const char *name;
  size_t at, size;
} line_field;

#define FIELD(name, field) {name, offsetof(account, field), sizeof(((account *)0)->field)}
static const line_field fields[] = {FIELD("url", url), FIELD("token", token), FIELD("ca-file", ca_file), FIELD("pin-sha256", pin_sha256),
                                    FIELD("device-name", device_name), FIELD("user", user)};

static void take_line(account *a, const char *line) {
  const char *equals = strstr(line, " = ");
  if (!equals) return;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const line_field *f = &fields[i];
    if (strlen(f->name) != (size_t)(equals - line) || strncmp(line, f->name, strlen(f->name)) != 0) continue;
    snprintf((char *)a + f->at, f->size, "%s", equals + 3);
  }
}

static int read_account(profile *p) {
  char path[PROFILE_PATH_LEN], line[ACCOUNT_TEXT_LEN + 64];
  profile_path(p, path, "account");
  FILE *file = fopen(path, "re");
  if (!file) return errno == ENOENT ? EXIT_DONE : fail_text(EXIT_FAILED, "%s: %s", path, strerror(errno));
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = '\0';
    take_line(&p->account, line);
  }
  fclose(file);
  return EXIT_DONE;
}

int profile_find(profile *p, const options *o) {
  char home[PROFILE_PATH_LEN - 256];
  const char *name = either(o->profile, "CHAT_PROFILE");
  if (!name) name = "default";
  memset(p, 0, sizeof *p);
  if (!is_name(name)) return fail_text(EXIT_USAGE, "a profile's name is 1 to 64 letters, digits, . _ - @");
  if (!find_home(home, sizeof home, o->home)) return fail_text(EXIT_USAGE, "no folder for profiles: set HOME or give --home");
  snprintf(p->folder, sizeof p->folder, "%s/%s", home, name);
  return read_account(p);
}

bool profile_is_logged_in(const profile *p) {
  return p->account.url[0] && p->account.token[0];
}

/* ------------------------------------------------------------------------------------------------ files */

/* mkdir -p; what is made is for the user alone. */
static int make_folders(const char *path) {
  char part[PROFILE_PATH_LEN];
  snprintf(part, sizeof part, "%s", path);
  for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    if (mkdir(part, 0700) && errno != EEXIST) return -1;
    *slash = '/';
  }
  return mkdir(part, 0700) && errno != EEXIST ? -1 : 0;
}

int profile_make_folder(const profile *p) {
  return make_folders(p->folder) == 0 ? EXIT_DONE : fail_text(EXIT_FAILED, "%s: %s", p->folder, strerror(errno));
}

static int write_account(const account *a, const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
  if (!file) return -1;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (((const char *)a)[fields[i].at]) fprintf(file, "%s = %s\n", fields[i].name, (const char *)a + fields[i].at);
  bool bad = fflush(file) != 0 || ferror(file) || fsync(fd) != 0;
  return fclose(file) != 0 || bad ? -1 : 0;
}

int profile_save(const profile *p) {
  char path[PROFILE_PATH_LEN], fresh[PROFILE_PATH_LEN];
  profile_path(p, path, "account");
  profile_path(p, fresh, "account.new");
  if (write_account(&p->account, fresh) == 0 && rename(fresh, path) == 0) return EXIT_DONE;
  return fail_text(EXIT_FAILED, "%s: %s", path, strerror(errno));
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place) {
  (void)info;
  (void)kind;
  (void)place;
  remove(path);
  return 0;
}

void profile_remove(const profile *p) {
  nftw(p->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

bool profile_is_unsent(const profile *p, int slot) {
  char path[PROFILE_PATH_LEN];
  profile_slot_path(p, path, slot, "unsent");
  return access(path, F_OK) == 0;
}

int profile_set_unsent(const profile *p, int slot, bool unsent) {
  char path[PROFILE_PATH_LEN];
  profile_slot_path(p, path, slot, "unsent");
  if (!unsent) return unlink(path) == 0 || errno == ENOENT ? 0 : CHAT_E_IO;
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  return fd >= 0 && close(fd) == 0 ? 0 : CHAT_E_IO;
}
