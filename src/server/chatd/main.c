/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chatd - the ready-made server: options from a file, the environment and the command line (later ones win), signals, and the log on stderr. All else is chat/server.h.
 *
 *   chatd [--config FILE] [--OPTION VALUE]...     CHATD_OPTION in the environment, such as CHATD_LISTEN; CHATD_CONFIG names a file too
 *
 * SIGTERM, SIGINT: drain and end. SIGHUP: read keys and certificates again. A second SIGTERM or SIGINT ends at once; nothing that was accepted is lost by that.
 * Exit codes: see `usage`.
 */
#define _GNU_SOURCE
#include <chat/server.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_INTERNAL = 1, EXIT_OPTIONS = 2, EXIT_START = 3, EXIT_CUT_OFF = 4 };
enum { STOP_MS = 80 * 1000 }; /* twice the longest drain, and below the 90 s after which systemd kills */
enum { TEXT_LEN_MAX = 256 * 1024 };

static const char usage[] =
    "usage: chatd [--config FILE] [--OPTION VALUE]...\n"
    "\n"
    "  --config FILE       read options from FILE, lines `name = value`; also CHATD_CONFIG\n"
    "  --core-dumps        allow core dumps (they hold messages and keys)\n"
    "  --print-config      print a configuration file with every option at its default\n"
    "  --print-options-md  print the table of options in Markdown\n"
    "  --version, --help\n"
    "\n"
    "Every option below may also be set in the environment, as CHATD_LISTEN; the command line wins over the environment, and that over the file.\n"
    "SIGTERM and SIGINT drain and end, SIGHUP reads keys and certificates again.\n"
    "Exit codes: 0 ended; 1 failed inside; 2 a wrong option; 3 could not start (address, files, damaged data); 4 ended, but clients or work were cut off.\n"
    "\n";

static int fail(int code, const char *what, const char *why) {
  fprintf(stderr, "chatd: %s%s%s\n", what, why[0] ? ": " : "", why);
  return code;
}

static int print_options(int form, const char *head) {
  char *text = malloc(TEXT_LEN_MAX);
  if (!text) return fail(EXIT_INTERNAL, "out of memory", "");
  chat_server_print_options(form, text, TEXT_LEN_MAX);
  fputs(head, stdout);
  fputs(text, stdout);
  free(text);
  return fflush(stdout) == 0 ? EXIT_OK : EXIT_INTERNAL;
}

/* ------------------------------------------------------------------------------------------------ options */

typedef struct own_options { /* those that are not the server's */
  const char *config; /* file */
  bool core_dumps;
} own_options;

/* How many arguments at the head of args are our own; 0: none. */
static int take_own(int count, char **args, own_options *own) {
  static const char config[] = "--config";
  size_t len = sizeof config - 1;
  if (strcmp(args[0], "--core-dumps") == 0) return own->core_dumps = true, 1;
  if (strncmp(args[0], config, len) != 0) return 0;
  if (args[0][len] == '=') return own->config = args[0] + len + 1, 1;
  if (args[0][len] || count < 2) return 0;
  return own->config = args[1], 2;
}

/* Takes our own out, so that the rest is the server's; returns how many are left. */
static int split_arguments(int count, char **args, own_options *own) {
  int left = 0;
  for (int i = 0; i < count;) {
    int taken = take_own(count - i, args + i, own);
    if (!taken) args[left++] = args[i];
    i += taken ? taken : 1;
  }
  return left;
}

static int set_arguments(chat_server *server, int count, char **args) {
  int used;
  if (chat_server_set_args(server, count, (const char *const *)args, &used)) return fail(EXIT_OPTIONS, chat_server_problem(server), "");
  return used < count ? fail(EXIT_OPTIONS, args[used], "not an option; see chatd --help") : EXIT_OK;
}

/* Later ones win: file, environment, command line. */
static int set_options(int count, char **args, chat_server *server, own_options *own) {
  own->config = getenv("CHATD_CONFIG");
  count = split_arguments(count, args, own);
  if (own->config && chat_server_set_file(server, own->config, NULL)) return fail(EXIT_OPTIONS, own->config, chat_server_problem(server));
  if (chat_server_set_environment(server, "CHATD_", (const char *const *)environ)) return fail(EXIT_OPTIONS, chat_server_problem(server), "");
  return set_arguments(server, count, args);
}

/* ------------------------------------------------------------------------------------------------ running */

static void write_line(void *arg, int level, const char *line, size_t len) {
  (void)arg;
  (void)level;
  fprintf(stderr, "%.*s\n", (int)len, line);
}

static void forbid_core_dumps(void) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
}

/* Blocked before any thread is made, so that all inherit it; -1 where that fails. */
static int open_signals(void) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0) return -1;
  return signalfd(-1, &signals, SFD_CLOEXEC);
}

static int next_signal(int fd) {
  struct signalfd_siginfo info;
  return read(fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : SIGTERM;
}

static void drain_events(chat_server *server) { /* faults are in the log too */
  while (chat_server_wait(server, 0)) continue;
}

/* Until a signal says to end. */
static void serve(chat_server *server, int signals) {
  struct pollfd ready[] = {{.fd = signals, .events = POLLIN}, {.fd = chat_server_fd(server), .events = POLLIN}};
  for (;;) {
    if (poll(ready, 2, -1) < 0) continue;
    if (ready[1].revents) drain_events(server);
    if (!ready[0].revents) continue;
    if (next_signal(signals) != SIGHUP) return;
    chat_server_reload(server);
  }
}

/* From here on the usual effect of a signal is the right one: an impatient second one ends the process. */
static int stop(chat_server *server) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_UNBLOCK, &signals, NULL);
  return chat_server_stop(server, STOP_MS) == 0 ? EXIT_OK : EXIT_CUT_OFF;
}

/* Where work was cut off a backend may still hold some, and free would wait for it: the process just ends, without what exit() does while threads still work. */
static int end(chat_server *server, int code) {
  if (code == EXIT_CUT_OFF) _exit(code);
  chat_server_free(server);
  return code;
}

static int start_code(int error) {
  switch (error) {
    case CHAT_E_INVALID:
    case CHAT_E_UNSUPPORTED: return EXIT_OPTIONS;
    case CHAT_E_NOMEM:
    case CHAT_E_INTERNAL: return EXIT_INTERNAL;
    default: return EXIT_START;
  }
}

static int run(chat_server *server, int argc, char **argv) {
  own_options own = {0};
  int code = set_options(argc - 1, argv + 1, server, &own);
  if (code) return code;
  if (!own.core_dumps) forbid_core_dumps();
  int signals = open_signals();
  if (signals < 0) return fail(EXIT_INTERNAL, "signals cannot be set up", "");
  int error = chat_server_start(server);
  if (error) return fail(start_code(error), chat_error_name(error), chat_server_problem(server));
  printf("chatd: listening at port %d\n", chat_server_port(server, "listen"));
  fflush(stdout);
  serve(server, signals);
  return stop(server);
}

/* What is asked for instead of a server; -1: none of these. */
static int answer_question(const char *text) {
  if (strcmp(text, "--help") == 0) return print_options(CHAT_PRINT_HELP, usage);
  if (strcmp(text, "--print-config") == 0) return print_options(CHAT_PRINT_SAMPLE, "");
  if (strcmp(text, "--print-options-md") == 0) return print_options(CHAT_PRINT_MARKDOWN, "");
  if (strcmp(text, "--version") != 0) return -1;
  uint32_t version = chat_version();
  printf("chatd %u.%u.%u\n", version >> 16, version >> 8 & 0xff, version & 0xff);
  return EXIT_OK;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    int code = answer_question(argv[i]);
    if (code >= 0) return code;
  }
  chat_log_sink sink = {write_line, NULL};
  chat_server_config config = {.size = sizeof config, .log = &sink};
  chat_server *server;
  int error = chat_server_new(CHAT_API_VERSION, &config, &server);
  if (error) return fail(EXIT_INTERNAL, "no server", chat_error_text(error));
  return end(server, run(server, argc, argv));
}
