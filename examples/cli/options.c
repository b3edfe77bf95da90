/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT, NUMBER, FLAG };

typedef struct row {
  const char *name;
  int type;
  size_t at; /* of the field */
  uint64_t min, max;
  const char *value, *help;
} row;

#define FIELD(name) offsetof(options, name)

const char options_of_all[] = "profile home json timeout offline help";

static const row rows[] = {
    {"profile", TEXT, FIELD(profile), 0, 0, "NAME", "which login; else $CHAT_PROFILE, else \"default\""},
    {"home", TEXT, FIELD(home), 0, 0, "DIR", "where profiles are kept; else $CHAT_HOME, else $XDG_DATA_HOME/chat, else ~/.local/share/chat"},
    {"json", FLAG, FIELD(json), 0, 0, NULL, "one JSON object a line"},
    {"timeout", NUMBER, FIELD(timeout_s), 1, 1000000000, "S", "give up after so many seconds without progress (default 30; connecting 10); listen: end after them"},
    {"offline", FLAG, FIELD(offline), 0, 0, NULL, "do not connect; only what is on this machine"},
    {"help", FLAG, FIELD(help), 0, 0, NULL, "this text"},
    {"version", FLAG, FIELD(version), 0, 0, NULL, "version of the library"},
    {"token-file", TEXT, FIELD(token_file), 0, 0, "FILE", "read the token from FILE, \"-\": standard input; it does not show in lists of processes then"},
    {"ca-file", TEXT, FIELD(ca_file), 0, 0, "FILE", "authorities to trust instead of the system's, PEM"},
    {"pin-sha256", TEXT, FIELD(pin_sha256), 0, 0, "HEX", "SHA-256 of the server certificate's public key info"},
    {"device-name", TEXT, FIELD(device_name), 0, 0, "NAME", "how this device shows in lists of devices (default: chat on HOST)"},
    {"wait", TEXT, FIELD(wait), 0, 0, "TICK", "until every message is: sent (durable at the server; default), committed (it has its place), delivered, read"},
    {"whole", FLAG, FIELD(whole), 0, 0, NULL, "with \"-\": standard input is one message, not one a line"},
    {"id", TEXT, FIELD(id), 0, 0, "ID", "name of this input: the same input under the same ID again sends only what was not sent (letters, digits, . _ -)"},
    {"kind", TEXT, FIELD(kind), 0, 0, "KIND", "app-defined kind of the message"},
    {"count", NUMBER, FIELD(count), 1, UINT64_MAX, "N", "end after N messages of others"},
    {"limit", NUMBER, FIELD(limit), 1, 1000000, "N", "at most so many"},
    {"before", NUMBER, FIELD(before), 2, INT64_MAX, "SEQ", "those before SEQ"},
    {"after", NUMBER, FIELD(after), 1, INT64_MAX, "SEQ", "those after SEQ"},
    {"all", FLAG, FIELD(all), 0, 0, NULL, "everything, oldest first"},
    {"in", TEXT, FIELD(in), 0, 0, "NAME", "only in this conversation"},
    {"server", FLAG, FIELD(server), 0, 0, NULL, "search at the server, also what is not on this machine"},
    {"role", TEXT, FIELD(role), 0, 0, "ROLE", "member (default) or admin"},
    {"channel", FLAG, FIELD(channel), 0, 0, NULL, "a channel: any number of members"},
    {"from-start", FLAG, FIELD(from_start), 0, 0, NULL, "new members read from the start, not from joining"},
};

enum { ROW_COUNT = sizeof rows / sizeof *rows };

/* Is `name` one of `names`? */
static bool names_it(const char *names, const char *name) {
  size_t len = strlen(name);
  for (const char *at = strstr(names, name); at; at = strstr(at + 1, name))
    if ((at == names || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0')) return true;
  return false;
}

static bool is_taken(const row *r, const char *names) {
  return names_it(options_of_all, r->name) || names_it(names, r->name);
}

static int set_number(const row *r, void *field, const char *text) {
  char *end;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  bool good = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && number >= r->min && number <= r->max;
  if (!good) fprintf(stderr, "chat: --%s: a number from %" PRIu64 " to %" PRIu64 " is needed, not \"%s\"\n", r->name, r->min, r->max, text);
  *(uint64_t *)field = number;
  return good ? 0 : -1;
}

static int set(options *o, const row *r, const char *text) {
  void *field = (char *)o + r->at;
  if (r->type == NUMBER) return set_number(r, field, text);
  if (r->type == FLAG) *(bool *)field = true;
  else *(const char **)field = text;
  return 0;
}

/* getopt's own table; val: 1 + the row. */
static void list(struct option *out, const char *names) {
  for (int i = 0; i < ROW_COUNT; i++)
    if (is_taken(&rows[i], names)) *out++ = (struct option){rows[i].name, rows[i].type == FLAG ? no_argument : required_argument, NULL, i + 1};
  *out = (struct option){0};
}

int options_read(options *o, int argc, char **argv, const char *names, bool first_only, int *first) {
  struct option table[ROW_COUNT + 1];
  list(table, names);
  optind = 0; /* GNU: begin anew */
  for (int val; (val = getopt_long(argc, argv, first_only ? "+h" : "h", table, NULL)) != -1;) {
    if (val == '?') return -1; /* getopt has said it */
    if (val == 'h') o->help = true;
    else if (set(o, &rows[val - 1], optarg)) return -1;
  }
  *first = optind;
  return 0;
}

void options_print(FILE *file, const char *names) {
  for (int i = 0; i < ROW_COUNT; i++) {
    char left[64];
    if (!names_it(names, rows[i].name)) continue;
    snprintf(left, sizeof left, "--%s%s%s", rows[i].name, rows[i].value ? " " : "", rows[i].value ? rows[i].value : "");
    fprintf(file, "  %-20s %s\n", left, rows[i].help);
  }
}
