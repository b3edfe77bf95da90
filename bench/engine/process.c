/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/process.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES_MAX = 4096 };

typedef struct bench_process {
  pid_t pid, parent;
  unsigned long user_ticks, system_ticks;
  long rss_pages;
  bool ours;
} bench_process;

static bool read_process(pid_t pid, bench_process *process) {
  char path[64], line[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *file = fopen(path, "r");
  if (!file) return false;
  bool read = fgets(line, sizeof line, file) != NULL;
  fclose(file);
  const char *rest = read ? strrchr(line, ')') : NULL; /* the name may hold anything */
  process->pid = pid;
  process->ours = false;
  return rest && sscanf(rest + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld",
                        &process->parent, &process->user_ticks, &process->system_ticks, &process->rss_pages) == 4;
}

static size_t list_processes(bench_process *list) {
  DIR *folder = opendir("/proc");
  size_t count = 0;
  struct dirent *entry;
  while (folder && count < PROCESSES_MAX && (entry = readdir(folder))) {
    pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
    if (pid > 0 && read_process(pid, &list[count])) count++;
  }
  if (folder) closedir(folder);
  return count;
}

static bool is_root(pid_t pid, const pid_t *roots, size_t root_count) {
  for (size_t i = 0; i < root_count; i++)
    if (roots[i] == pid) return true;
  return false;
}

static bool has_our_parent(const bench_process *list, size_t count, pid_t parent) {
  for (size_t i = 0; i < count; i++)
    if (list[i].pid == parent) return list[i].ours;
  return false;
}

/* Until nothing changes: children may be listed before their parents. */
static void mark_ours(bench_process *list, size_t count, const pid_t *roots, size_t root_count) {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < count; i++) {
      if (list[i].ours || !(is_root(list[i].pid, roots, root_count) || has_our_parent(list, count, list[i].parent))) continue;
      list[i].ours = changed = true;
    }
  }
}

static uint64_t cpu_ns_of(pid_t pid) {
  clockid_t clock;
  struct timespec used;
  if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &used)) return 0;
  return (uint64_t)used.tv_sec * 1000000000ull + (uint64_t)used.tv_nsec;
}

process_usage process_tree_usage(const pid_t *roots, size_t root_count) {
  process_usage usage = {0};
  bench_process *list = malloc(PROCESSES_MAX * sizeof *list);
  if (!list || !root_count) return free(list), usage;
  size_t count = list_processes(list);
  mark_ours(list, count, roots, root_count);
  uint64_t tick_ns = 1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK);
  for (size_t i = 0; i < count; i++) {
    if (!list[i].ours) continue;
    usage.cpu_ns += cpu_ns_of(list[i].pid);
    usage.user_ns += list[i].user_ticks * tick_ns;
    usage.system_ns += list[i].system_ticks * tick_ns;
    usage.rss_bytes += (uint64_t)list[i].rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    usage.count++;
  }
  free(list);
  return usage;
}
