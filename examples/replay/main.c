/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chat-replay: replays chat logs through chatd and proves, message by message, that every client has what the log says.
 *
 *   chat-replay --chatd PROGRAM --data FOLDER [--histories FOLDER] [--keep] LOG...
 *
 * Each log is a group (a channel where it has more than 256 nicks), each nick a real client over WebSocket with a database of its own. Line n + 1 is sent when line n is
 * committed. Some nicks are offline between lines of their own; the processes that hold the clients are killed with -9 in the middle of sending and started again.
 * Exit status: 0 proven, 1 not (said which message), 2 usage, 3 something could not be started.
 */
#include <chat/client.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chatd.h"
#include "worker.h"

enum {
  WORKERS = 4,
  OFFLINE_EVERY = 7,   /* each seventh nick goes away between lines of its own */
  KILL_EVERY = 211,    /* lines between two kills of a worker */
  REPORT_MS = 60000
};

typedef struct process {
  pid_t pid;
  int fd;
} process;

typedef struct replay {
  world w;
  process workers[WORKERS];
  const char *chatd, *data;
  bool keep, tty;
  int log;                       /* under way; -1: none */
  uint8_t conversation[16];
  unsigned char *away;           /* by user */
  int kills, trips, histories;
  uint64_t messages, proven;
} replay;

static replay r;

/* ------------------------------------------------------------------------------------------------ workers */

static bool spawn(int number) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0) return false;
  fflush(stdout);
  pid_t pid = fork();
  if (pid < 0) return false;
  if (pid == 0) {
    signal(SIGINT, SIG_IGN); /* the parent says when */
    for (int i = 0; i < WORKERS; i++)
      if (r.workers[i].pid) close(r.workers[i].fd);
    close(pair[0]);
    worker_run(&r.w, number, pair[1]);
    _exit(1);
  }
  close(pair[1]);
  r.workers[number] = (process){pid, pair[0]};
  return true;
}

static int worker_of(int user) {
  return user % WORKERS;
}

static bool give(int number, order o) {
  o.log = r.log;
  memcpy(o.conversation, r.conversation, 16);
  return write(r.workers[number].fd, &o, sizeof o) == (ssize_t)sizeof o;
}

static bool take(int number, report *out) {
  struct pollfd fd = {r.workers[number].fd, POLLIN, 0};
  int ready;
  while ((ready = poll(&fd, 1, REPORT_MS)) < 0 && errno == EINTR) continue;
  if (ready == 0) return fprintf(stderr, "chat-replay: worker %d has said nothing for %d s\n", number, REPORT_MS / 1000), false;
  return read(r.workers[number].fd, out, sizeof *out) == (ssize_t)sizeof *out;
}

static bool complain(const report *got) {
  text name = r.w.all.names[got->user];
  fprintf(stderr, "chat-replay: %s: <%.*s>: %s\n", r.w.logs[r.log].name, (int)name.len, name.data, got->text);
  return false;
}

static bool done(int number, report *got) {
  if (!take(number, got)) return false;
  return got->status == 0 || complain(got);
}

static bool ask(int number, order o, report *got) {
  return give(number, o) && done(number, got);
}

static bool ask_all(order o) {
  report got;
  for (int i = 0; i < WORKERS; i++)
    if (!give(i, o)) return false;
  bool good = true;
  for (int i = 0; i < WORKERS; i++) good = done(i, &got) && good;
  return good;
}

/* ------------------------------------------------------------------------------------------------ kill -9 and start again */

static bool go(int user, int what) {
  report got;
  if (!ask(worker_of(user), (order){.what = what, .user = user}, &got)) return false;
  r.away[user] = what == DO_OFFLINE;
  return true;
}

static bool restore(int number) {
  report got;
  if (!spawn(number) || !ask(number, (order){.what = DO_BEGIN}, &got)) return false;
  const chatlog *log = &r.w.logs[r.log];
  for (int i = 0; i < log->member_count; i++)
    if (worker_of(log->members[i]) == number && r.away[log->members[i]] && !go(log->members[i], DO_OFFLINE)) return false;
  return true;
}

static bool kill_worker(int number) {
  kill(r.workers[number].pid, SIGKILL);
  waitpid(r.workers[number].pid, NULL, 0);
  close(r.workers[number].fd);
  r.workers[number].pid = 0;
  r.kills++;
  return restore(number);
}

/* ------------------------------------------------------------------------------------------------ one log */

/* The message's identity follows from its place, so that telling it again after a kill cannot double it. A UUIDv7 by form. */
static void client_id_of(int log, int n, uint8_t id[16]) {
  memset(id, 0, 16);
  for (int i = 0; i < 4; i++) {
    id[i] = (uint8_t)(log >> (24 - 8 * i));
    id[12 + i] = (uint8_t)(n >> (24 - 8 * i));
  }
  id[6] = 0x70;
  id[8] = 0x80;
}

static bool send_line(int n) {
  int user = r.w.logs[r.log].lines[n].user;
  order o = {.what = DO_SEND, .user = user, .line = n};
  client_id_of(r.log, n, o.client_id);
  report got;
  if (n % KILL_EVERY != KILL_EVERY - 1) return ask(worker_of(user), o, &got);
  if (!give(worker_of(user), o)) return false;
  struct timespec moment = {0, (long)(n % 5) * 1000000}; /* in the middle of sending */
  nanosleep(&moment, NULL);
  return kill_worker(worker_of(user)) && ask(worker_of(user), o, &got);
}

static bool comes_back(const chatlog *log, int n) {
  for (int i = n + 1; i < log->line_count; i++)
    if (log->lines[i].user == log->lines[n].user) return true;
  return false;
}

static bool say_line(int n) {
  const chatlog *log = &r.w.logs[r.log];
  int user = log->lines[n].user;
  if (r.away[user] && !go(user, DO_ONLINE)) return false;
  if (!send_line(n)) return false;
  if (user % OFFLINE_EVERY != 0 || !comes_back(log, n)) return true;
  r.trips++;
  return go(user, DO_OFFLINE);
}

static void progress(const char *what, int n, int of) {
  if (!r.tty) return;
  printf("\r  %-40.40s %6d of %d ", what, n, of);
  fflush(stdout);
}

static bool make_conversation(uint64_t *head) {
  const chatlog *log = &r.w.logs[r.log];
  int owner = log->members[0];
  report got;
  if (!ask(worker_of(owner), (order){.what = DO_CREATE, .user = owner}, &got)) return false;
  memcpy(r.conversation, got.conversation, 16);
  *head = got.seq;
  for (int from = 256; from < log->member_count; from += 255) {
    if (!ask(worker_of(owner), (order){.what = DO_ADD, .user = owner, .line = from}, &got)) return false;
    *head = got.seq;
  }
  return true;
}

static bool prove_log(uint64_t head) {
  if (!ask_all((order){.what = DO_CATCH_UP, .head = head})) return false;
  report got;
  for (int i = 0; i < WORKERS; i++) {
    if (!ask(i, (order){.what = DO_PROVE, .line = r.histories}, &got)) return false;
    r.proven += got.count;
    r.histories += r.w.logs[r.log].line_count ? (int)(got.count / (uint64_t)r.w.logs[r.log].line_count) : 0;
  }
  return true;
}

static bool replay_log(int number) {
  const chatlog *log = &r.w.logs[number];
  if (log->line_count == 0) return printf("  %s: no messages\n", log->name), true;
  r.log = number;
  memset(r.away, 0, (size_t)r.w.all.count);
  uint64_t head;
  if (!ask_all((order){.what = DO_BEGIN}) || !make_conversation(&head)) return false;
  for (int n = 0; n < log->line_count; n++) {
    progress(log->name, n + 1, log->line_count);
    if (!say_line(n)) return fprintf(stderr, "chat-replay: %s: message %d was not committed\n", log->name, n + 1), false;
  }
  head += (uint64_t)log->line_count;
  if (!prove_log(head)) return false;
  r.messages += (uint64_t)log->line_count;
  printf("%s  %s: %d messages, %d clients: every history equals the log (%d lines of another form, %d left out)\n", r.tty ? "\r" : "", log->name, log->line_count,
         log->member_count, log->skipped, log->bad);
  report got;
  int speaker = log->lines[log->line_count - 1].user;
  if (number == r.w.log_count - 1 && !ask(worker_of(speaker), (order){.what = DO_SHOW, .user = speaker}, &got)) return false;
  return ask_all((order){.what = DO_END});
}

/* ------------------------------------------------------------------------------------------------ all */

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds_of(struct timeval t) {
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void stop_workers(void) {
  for (int i = 0; i < WORKERS; i++) {
    if (!r.workers[i].pid) continue;
    give(i, (order){.what = DO_QUIT});
    close(r.workers[i].fd);
    waitpid(r.workers[i].pid, NULL, 0);
    r.workers[i].pid = 0;
  }
}

static void print_figures(double began, const struct chatd *d) {
  struct rusage children;
  getrusage(RUSAGE_CHILDREN, &children);
  double seconds = seconds_now() - began, clients = seconds_of(children.ru_utime) + seconds_of(children.ru_stime), server = chatd_cpu_seconds(d);
  printf("\n  %llu messages, %llu deliveries proven in %d histories, %.1f s (%.0f messages a second)\n", (unsigned long long)r.messages, (unsigned long long)r.proven,
         r.histories, seconds, (double)r.messages / seconds);
  printf("  CPU: chatd %.1f s, clients %.1f s; %d client processes killed with -9 and started again, %d times somebody was away\n", server, clients, r.kills, r.trips);
}

/* For two people, each in a terminal. Their profiles lie with the data of this run, which knows them and no other server. */
static void print_how_to_go_on(const char *url) {
  static const char *const people[][2] = {{"alice", "bob"}, {"bob", "alice"}};
  printf("\n  Go on by hand, two people in two terminals:\n");
  for (int i = 0; i < 2; i++) {
    const char *self = people[i][0], *other = people[i][1];
    printf("    build/release/bin/chat --home %s/people --profile %s login %s dev:%s\n", r.data, self, url, self);
    printf("    build/release/bin/chat --home %s/people --profile %s open %s\n", r.data, self, other);
  }
}

static bool replay_all(void) {
  for (int i = 0; i < WORKERS; i++)
    if (!spawn(i)) return false;
  bool good = true;
  for (int i = 0; i < r.w.log_count && good; i++) good = replay_log(i);
  stop_workers();
  return good;
}

/* ------------------------------------------------------------------------------------------------ command line */

static int usage(void) {
  fputs("usage: chat-replay --chatd PROGRAM --data FOLDER [--histories FOLDER] [--keep] LOG...\n", stderr);
  return 2;
}

static bool take_option(int argc, char **argv, int *at) {
  const char *name = argv[*at];
  if (strcmp(name, "--keep") == 0) return r.keep = true;
  if (*at + 1 >= argc) return false;
  const char *value = argv[++*at];
  if (strcmp(name, "--chatd") == 0) return r.chatd = value, true;
  if (strcmp(name, "--data") == 0) return r.data = value, true;
  if (strcmp(name, "--histories") == 0) return r.w.histories = value, true;
  return false;
}

static bool make_folder(const char *path) {
  if (mkdir(path, 0700) == 0 || errno == EEXIST) return true;
  perror(path);
  return false;
}

static int read_logs(int argc, char **argv, int at) {
  for (; at < argc; at++) {
    if (r.w.log_count == LOGS_MAX) return fprintf(stderr, "chat-replay: more than %d logs\n", LOGS_MAX), 2;
    if (!chatlog_read(&r.w.logs[r.w.log_count++], argv[at], &r.w.all)) return 3;
  }
  return 0;
}

static int prepare(void) {
  r.w.worker_count = WORKERS;
  r.tty = isatty(STDOUT_FILENO);
  r.away = calloc((size_t)r.w.all.count + 1, 1);
  snprintf(r.w.folder, sizeof r.w.folder, "%s/clients", r.data);
  if (!r.away || !make_folder(r.data) || !make_folder(r.w.folder) || (r.w.histories && !make_folder(r.w.histories))) return 3;
  signal(SIGPIPE, SIG_IGN);
  return 0;
}

int main(int argc, char **argv) {
  int at = 1;
  for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++)
    if (!take_option(argc, argv, &at)) return usage();
  if (!r.chatd || !r.data || at == argc) return usage();
  int error = read_logs(argc, argv, at);
  if (!error) error = prepare();
  if (error) return error;

  struct chatd d;
  if (!chatd_start(&d, r.chatd, r.data)) return 3;
  snprintf(r.w.url, sizeof r.w.url, "ws://127.0.0.1:%d/", d.port);
  printf("  chatd listens on %s\n", r.w.url);
  double began = seconds_now();
  bool good = replay_all();
  if (good) print_figures(began, &d);
  if (good && r.keep && r.tty) {
    print_how_to_go_on(r.w.url);
    printf("  chatd goes on as process %d; end it with: kill %d\n", (int)d.pid, (int)d.pid);
    return 0;
  }
  if (good) printf("\n  In a terminal chatd would go on now. To chat by hand: build/release/bin/chatd --dev-mode, and then README.md\n");
  good = chatd_stop(&d) && good;
  printf(good ? "  proven\n" : "  NOT proven\n");
  return good ? 0 : 1;
}
