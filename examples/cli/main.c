/* SPDX-License-Identifier: Apache-2.0 */
/* chat - a command-line chat client, as much a tool for scripts as for people. docs/cli.md. */
#define _GNU_SOURCE
#include <chat/client.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "exit_code.h"
#include "session.h"

static const command commands[] = {
    {"login", "URL [TOKEN]", 1, 2, "token-file ca-file pin-sha256 device-name", command_login, "become a user of a server; everything else goes as that user"},
    {"logout", "", 0, 0, "", command_logout, "give the devices back to the server and remove everything from this machine"},
    {"whoami", "", 0, 0, "", command_whoami, "user, server and device"},
    {"send", "NAME TEXT|-", 2, 2, "wait whole id kind", command_send, "send a message, or each line of standard input"},
    {"listen", "[NAME...]", 0, 16, "count", command_listen, "print what arrives, until ^C; with names only of these, with who is online there"},
    {"open", "NAME", 1, 1, "", command_open, "chat: type a line, read what comes (also: chat without a command, in a terminal)"},
    {"history", "NAME", 1, 1, "limit before after all", command_history, "the newest messages (default 20), or a page of them"},
    {"search", "WORDS", 1, 1, "in server limit", command_search, "messages with all these words; the last may end with *"},
    {"conversations", "", 0, 0, "limit", command_conversations, "the most recently active first"},
    {"read", "NAME [SEQ]", 1, 2, "", command_read, "everything (or up to SEQ) was read"},
    {"outbox", "", 0, 0, "", command_outbox, "messages that wait to be sent, or were refused"},
    {"outbox discard", "CLIENT_ID", 1, 1, "", command_discard, "take one of them back"},
    {"presence", "NAME", 1, 1, "", command_presence, "who is online in a conversation"},
    {"devices", "", 0, 0, "", command_devices, "one's own devices"},
    {"devices revoke", "DEVICE", 1, 1, "", command_revoke, "shut a device out"},
    {"verify", "NAME", 1, 1, "", command_verify, "hold the history on this machine against the server's and repair it"},
    {"group create", "TITLE [USER...]", 1, 256, "channel from-start", command_group_create, "a group (or channel) with these members"},
    {"group add", "NAME USER...", 2, OPERANDS_MANY, "role", command_group_add, "add members"},
    {"group remove", "NAME USER", 2, 2, "", command_group_remove, "remove a member"},
    {"group leave", "NAME", 1, 1, "", command_group_leave, "leave"},
    {"group rename", "NAME TITLE", 2, 2, "", command_group_rename, "another title"},
    {"group role", "NAME USER ROLE", 3, 3, "", command_group_role, "make a member an admin, or an admin a member"},
    {"group owner", "NAME USER", 2, 2, "", command_group_owner, "hand the group over"},
    {"group channel", "NAME", 1, 1, "", command_group_channel, "turn a group into a channel, for ever"},
    {"group from-start", "NAME on|off", 2, 2, "", command_group_from_start, "may new members read what was before them?"},
    {"group info", "NAME", 1, 1, "", command_group_info, "the group and its members"},
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

/* ------------------------------------------------------------------------------------------------ help */

static const char help_head[] =
    "usage: chat [OPTION]... COMMAND [OPTION]... [OPERAND]...\n"
    "\n"
    "NAME is a group's title, a user's name, or an id of 32 hexadecimal digits; @NAME is surely the user, #NAME surely the group.\n"
    "\n";

static const char help_tail[] =
    "\n"
    "Exit codes: 0 done; 1 refused, not found or failed; 2 wrong usage; 3 the server cannot be reached; 4 not logged in or not let in; 5 the time was up.\n"
    "chat COMMAND --help tells more.\n";

static int help(void) {
  fputs(help_head, stdout);
  for (int i = 0; i < COMMAND_COUNT; i++) {
    char left[64];
    snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].operands);
    printf("  %-29s %s\n", left, commands[i].summary);
  }
  fputs("\nOptions of every command:\n", stdout);
  options_print(stdout, options_of_all);
  fputs(help_tail, stdout);
  return EXIT_DONE;
}

static void print_usage(FILE *file, const command *c) {
  fprintf(file, "usage: chat %s%s%s%s\n", c->name, c->options[0] ? " [OPTION]..." : "", c->operands[0] ? " " : "", c->operands);
}

static int help_about(const command *c) {
  print_usage(stdout, c);
  printf("\n%s\n\n", c->summary);
  options_print(stdout, c->options);
  fputs("\nOptions of every command:\n", stdout);
  options_print(stdout, options_of_all);
  return EXIT_DONE;
}

static int version(void) {
  uint32_t number = chat_version();
  printf("chat %u.%u.%u\n", number >> 16, number >> 8 & 0xff, number & 0xff);
  return EXIT_DONE;
}

/* ------------------------------------------------------------------------------------------------ which command */

/* Two words first: "group add" is not "group". *words: how many its name has. */
static const command *find_command(int argc, char **argv, int *words) {
  char two[64] = "";
  if (argc > 1) snprintf(two, sizeof two, "%s %s", argv[0], argv[1]);
  for (*words = 2; *words > 0; --*words)
    for (int i = 0; i < COMMAND_COUNT; i++)
      if (strcmp(commands[i].name, *words == 2 ? two : argv[0]) == 0) return &commands[i];
  return NULL;
}

static int run(const command *c, options *o, int argc, char **argv) {
  int first;
  profile p;
  if (options_read(o, argc, argv, c->options, false, &first)) return print_usage(stderr, c), EXIT_USAGE;
  if (o->help) return help_about(c);
  int count = argc - first;
  if (count < c->operand_min || count > c->operand_max) return print_usage(stderr, c), EXIT_USAGE;
  int code = profile_find(&p, o);
  return code ? code : c->run(o, &p, count, argv + first);
}

/* Without a command: for people, to chat; anybody else has forgotten it. */
static int run_nothing(options *o) {
  profile p;
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return fputs(help_head, stderr), EXIT_USAGE;
  int code = profile_find(&p, o);
  return code ? code : command_open(o, &p, 0, NULL);
}

int main(int argc, char **argv) {
  options o = {0};
  int first, words;
  setlocale(LC_ALL, "");
  session_block_signals();
  if (options_read(&o, argc, argv, "version", true, &first)) return EXIT_USAGE;
  if (o.help) return help();
  if (o.version) return version();
  if (first == argc) return run_nothing(&o);
  const command *c = find_command(argc - first, argv + first, &words);
  if (!c) return fail_text(EXIT_USAGE, "%s: no such command; see chat --help", argv[first]);
  /* The command's last word stands where getopt expects the program. */
  return run(c, &o, argc - first - words + 1, argv + first + words - 1);
}
