/* SPDX-License-Identifier: Apache-2.0 */
/* login, logout, whoami. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "exit_code.h"
#include "json.h"
#include "session.h"
#include "show.h"
#include "target.h"
#include "text.h"

/* ------------------------------------------------------------------------------------------------ login */

static int read_token_line(account *a, const char *name, FILE *file) {
  char *got = fgets(a->token, sizeof a->token, file);
  if (got) a->token[strcspn(a->token, "\r\n")] = '\0';
  return got && a->token[0] ? EXIT_DONE : fail_text(EXIT_FAILED, "%s: there is no token in it", name);
}

static int read_token(account *a, const char *name) {
  if (strcmp(name, "-") == 0) return read_token_line(a, name, stdin);
  FILE *file = fopen(name, "re");
  if (!file) return fail_text(EXIT_FAILED, "%s: %s", name, strerror(errno));
  int code = read_token_line(a, name, file);
  fclose(file);
  return code;
}

static int take_text(char *to, size_t size, const char *name, const char *value) {
  size_t len = value ? strlen(value) : 0;
  if (len >= size || (value && strpbrk(value, "\r\n"))) return fail_text(EXIT_USAGE, "%s: too long, or more than one line", name);
  memcpy(to, value ? value : "", len + 1);
  return EXIT_DONE;
}

static void name_device(account *a) {
  char host[64] = "somewhere";
  gethostname(host, sizeof host - 1);
  snprintf(a->device_name, 65, "chat on %.50s", host);
}

static int fill(account *a, const options *o, int count, char **operands) {
  if ((count == 2) == (o->token_file != NULL)) return fail_text(EXIT_USAGE, "either TOKEN or --token-file is needed");
  int code = take_text(a->url, sizeof a->url, "URL", operands[0]);
  if (!code && count == 2) code = take_text(a->token, sizeof a->token, "TOKEN", operands[1]);
  if (!code && o->token_file) code = read_token(a, o->token_file);
  if (!code) code = take_text(a->ca_file, sizeof a->ca_file, "--ca-file", o->ca_file);
  if (!code) code = take_text(a->pin_sha256, sizeof a->pin_sha256, "--pin-sha256", o->pin_sha256);
  if (!code && o->device_name) code = take_text(a->device_name, 65, "--device-name", o->device_name);
  if (!code && !a->device_name[0]) name_device(a);
  return code;
}

static void show_identity(const options *o, const profile *p, const chat_event *event) {
  char hex[33];
  hex_of(event->device_id, hex);
  if (o->json) {
    json_t *to = json_object_named("user");
    json_put_text(to, "user", event->user);
    json_put_text(to, "url", chat_bytes_of(p->account.url));
    json_put_id(to, "device", event->device_id);
    json_print(to);
    return;
  }
  text_write(stdout, event->user);
  printf(" at %s, device %s\n", p->account.url, hex);
}

static int learn_identity(session *s, profile *p) {
  int status;
  const chat_event *event = session_reply(s, chat_client_whoami(s->client, session_tag(s)), &status);
  if (status) return fail_error("who am I", status);
  snprintf(p->account.user, sizeof p->account.user, "%.*s", (int)event->user.len, (const char *)event->user.data);
  show_identity(s->options, p, event);
  return EXIT_DONE;
}

int command_login(const options *o, profile *p, int count, char **operands) {
  session s;
  profile fresh = *p;
  if (o->offline) return fail_text(EXIT_USAGE, "login needs the server");
  int code = fill(&fresh.account, o, count, operands);
  if (!code) code = profile_make_folder(p);
  if (!code) code = session_begin(&s, o, &fresh, -1);
  if (code) return code;
  code = learn_identity(&s, &fresh);
  if (!code) code = profile_save(&fresh);
  session_close(&s);
  return code ? code : show_end();
}

/* ------------------------------------------------------------------------------------------------ logout */

/* One slot's device is revoked and its database wiped. false: the server could not be told. */
static bool leave_slot(session *s) {
  int status;
  session_connect(s); /* where it fails, the wiping goes on without it */
  session_reply(s, chat_client_logout(s->client, session_tag(s)), &status);
  return status == 0;
}

static int leave_slots(const options *o, const profile *p) {
  bool told = true;
  for (int slot = 0; slot < SLOT_COUNT; slot++) {
    session s;
    char path[PROFILE_PATH_LEN];
    profile_slot_path(p, path, slot, "db");
    if (access(path, F_OK) != 0) continue;
    if (session_open(&s, o, p, slot) == 0) {
      told = leave_slot(&s) && told;
      session_close(&s);
    } else {
      return fail_text(EXIT_FAILED, "another command of this profile is running: end it, then log out again");
    }
  }
  return told ? EXIT_DONE : fail_text(EXIT_UNREACHABLE, "removed from this machine, but the server could not be told: revoke the device elsewhere");
}

int command_logout(const options *o, profile *p, int count, char **operands) {
  (void)count;
  (void)operands;
  if (!profile_is_logged_in(p)) return fail_text(EXIT_LOGIN, "not logged in");
  int code = leave_slots(o, p);
  if (code != EXIT_FAILED) profile_remove(p);
  return code;
}

/* ------------------------------------------------------------------------------------------------ whoami */

int command_whoami(const options *o, profile *p, int count, char **operands) {
  session s;
  (void)count;
  (void)operands;
  int code = session_begin(&s, o, p, -1);
  if (code) return code;
  code = learn_identity(&s, p);
  session_close(&s);
  return code ? code : show_end();
}
