/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* nftw, strsignal */
#include "case.h"

#include <dirent.h>
#include <execinfo.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HANGS_AFTER_S = 60, EXIT_BROKEN = 3, LINES_SHOWN_MAX = 160 };

static char base[48];
static case_result *own; /* of this child */

/* Only where this is built with a sanitizer. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* It knows what the dynamic linker keeps, unless somebody stands in between: calls_memory.c. */
const char *__lsan_default_suppressions(void) __attribute__((visibility("default")));
const char *__lsan_default_suppressions(void) {
  return "leak:/ld-linux";
}

/* ------------------------------------------------------------------------------------------------ folders */

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *place) {
  (void)about, (void)type, (void)place;
  return remove(path);
}

static void remove_folder(const char *path) {
  nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* In memory where there is room for that: what is tested is the error, not the disk. */
static void make_base(void) {
  static const char *const places[] = {"/dev/shm/chat-failures-XXXXXX", "/tmp/chat-failures-XXXXXX"};
  for (size_t i = 0; i < 2; i++) {
    strcpy(base, places[i]);
    if (mkdtemp(base)) return;
  }
  perror("a folder for the files");
  exit(2);
}

void case_cleanup(void) {
  remove_folder(base);
}

void *case_shared(size_t len) {
  void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) return memory;
  perror("shared memory");
  exit(2);
}

/* ------------------------------------------------------------------------------------------------ in the child */

noreturn void broken(const char *format, ...) {
  va_list arguments;
  void *frames[32];
  failure_heal();
  va_start(arguments, format);
  vsnprintf(own->problem, sizeof own->problem, format, arguments);
  va_end(arguments);
  backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
  _exit(EXIT_BROKEN);
}

static void on_signal(int number) {
  void *frames[32];
  failure_heal();
  backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
  snprintf(own->problem, sizeof own->problem, "%s", number == SIGALRM ? "it hangs" : strsignal(number));
  _exit(EXIT_BROKEN);
}

static int entries(const char *path) {
  int count = 0;
  DIR *folder = opendir(path);
  if (!folder) return -1;
  while (readdir(folder))
    count++;
  closedir(folder);
  return count;
}

static void check_nothing_is_left(int descriptors) {
  if (entries("/proc/self/task") != 3) broken("a thread is left");
  if (entries("/proc/self/fd") != descriptors) broken("descriptors are left: %d, for %d before", entries("/proc/self/fd"), descriptors);
  if (failure_allocator_live()) broken("memory is left: %ld pieces of the allocator that was handed in", failure_allocator_live());
  if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check()) broken("memory is left: LeakSanitizer's report");
}

static void tell(const test_case *one) {
  static ch_stage stage;
  stage = (struct ch_stage){.plan = &one->plan, .record = &one->result->record, .folder = one->folder};
  one->story->tell(&stage);
}

static noreturn void run_child(const test_case *one) {
  char path[96];
  snprintf(path, sizeof path, "%s/stderr", one->folder);
  int fd = open(path, O_WRONLY | O_CREAT, 0600);
  dup2(fd, STDERR_FILENO);
  dup2(fd, STDOUT_FILENO);
  close(fd);
  own = one->result;
  signal(SIGALRM, on_signal);
  signal(SIGABRT, on_signal);
  alarm(HANGS_AFTER_S);
  int descriptors = entries("/proc/self/fd");
  tell(one);
  check_nothing_is_left(descriptors);
  _exit(0);
}

/* ------------------------------------------------------------------------------------------------ in the parent */

/* What SQLite says of its errors, into what is printed of a case that is broken. */
static void log_sqlite(void *arg, int code, const char *message) {
  (void)arg;
  fprintf(stderr, "SQLite %d: %s\n", code, message);
}

/* libuv, OpenSSL and libwebsockets begin once for each process; they do that before anything fails. */
static void warm_up(void) {
  static const failure_plan nothing = {FAILURE_MEMORY, SIDE_BOTH, 0, 0};
  test_case one = {.story = &stories[0], .plan = nothing, .result = case_shared(sizeof *one.result)};
  snprintf(one.folder, sizeof one.folder, "%s/warm", base);
  int out = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY); /* its log */
  own = one.result;
  dup2(nowhere, STDERR_FILENO);
  if (mkdir(one.folder, 0700) == 0) tell(&one);
  remove_folder(one.folder);
  dup2(out, STDERR_FILENO);
  close(out);
  close(nowhere);
}

void case_prepare(void) {
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  sqlite3_config(SQLITE_CONFIG_LOG, log_sqlite, NULL);
  make_base();
  failure_prepare();
  warm_up();
}

void case_start(test_case *one) {
  static unsigned number;
  snprintf(one->folder, sizeof one->folder, "%s/%u", base, ++number);
  one->result->record.frame_count = 0;
  one->result->record.failed = 0;
  one->result->problem[0] = 0;
  if (mkdir(one->folder, 0700) != 0) {
    perror(one->folder);
    exit(2);
  }
  fflush(NULL);
  one->pid = fork();
  if (one->pid == 0) run_child(one);
}

void case_print(FILE *out, const test_case *one) {
  static const char *const sides[] = {"none", "client", "server", "both"};
  fprintf(out, "--story %s --side %s --mode %s --first %u --run ", one->story->name, sides[one->plan.side],
          failure_mode_name(one->plan.mode), one->plan.first);
  if (one->plan.run == FAILURE_FOREVER)
    fprintf(out, "healed");
  else
    fprintf(out, "%u", one->plan.run);
}

/* "PROGRAM(+0x1234) [...]", as backtrace_symbols_fd writes it where a function has no name outside of its file: with the name, where addr2line is installed. */
static void print_frame(const char *line) {
  char command[512], name[512];
  const char *at = strstr(line, "(+0x");
  snprintf(command, sizeof command, "addr2line -s -p -f -e %.*s %.*s 2>/dev/null", at ? (int)(at - line) : 0, line,
           at ? (int)strcspn(at + 2, ")") : 0, at ? at + 2 : "");
  FILE *pipe = at ? popen(command, "r") : NULL;
  bool is_named = pipe && fgets(name, sizeof name, pipe) && name[0] != '?';
  if (pipe) pclose(pipe);
  printf("    | %s", is_named ? name : line);
}

static void print_file(const char *path) {
  char line[1024];
  FILE *file = fopen(path, "r");
  for (int i = 0; file && i < LINES_SHOWN_MAX && fgets(line, sizeof line, file); i++)
    print_frame(line);
  if (file) fclose(file);
}

/* Child and parent have the same program at the same place, so its frames can be named here. */
static void print_first(const test_case *one) {
  const failure_record *record = &one->result->record;
  char path[96];
  if (!record->frame_count) {
    printf("    nothing had failed\n");
    return;
  }
  printf("    the first that failed was %s, of %u that failed:\n", record->name, record->failed);
  snprintf(path, sizeof path, "%s/first", one->folder);
  int fd = open(path, O_WRONLY | O_CREAT, 0600);
  backtrace_symbols_fd(record->frames + 2, record->frame_count - 2, fd);
  close(fd);
  print_file(path);
}

static void print_problem(const test_case *one, int status) {
  char path[96];
  printf("FAILED: ");
  case_print(stdout, one);
  if (WIFSIGNALED(status))
    printf("\n    ended by signal %d, %s\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
  else
    printf("\n    %s (exit %d)\n", one->result->problem, WEXITSTATUS(status));
  print_first(one);
  printf("    what it said:\n");
  snprintf(path, sizeof path, "%s/stderr", one->folder);
  print_file(path);
  fflush(stdout);
}

bool case_judge(test_case *one, int status) {
  bool is_good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!is_good) print_problem(one, status);
  remove_folder(one->folder);
  return is_good;
}
