/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target without libFuzzer: replay [-s SECONDS] [-m NUMBER] FOLDER|FILE... runs every file, then mutations of them until the time is over: first number 1 of each, then number 2,
 * and so on. Number n of a file is always the same. A file that a run fails on (the process dies by an assert or a sanitizer) stands in PROGRAM.last with the number of the mutation;
 * -m NUMBER runs that one alone.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 16, PATH_LEN = 1024, CHANGES_MAX = 4, SEEDS_MAX = 4096 };

typedef struct seed {
  char *path;
  uint8_t *bytes;
  size_t len;
} seed;

typedef struct replay {
  double seconds;
  long only; /* -1: all */
  unsigned long runs;
  int note_fd;
  seed seeds[SEEDS_MAX];
  size_t seed_count;
} replay;

/* What is running, for whoever looks at a run that died: PROGRAM.last beside the program. */
static void note(const replay *r, const char *path, long mutation) {
  char text[PATH_LEN + 32];
  int len = snprintf(text, sizeof text, "-m %-10ld %s\n", mutation, path);
  if (r->note_fd >= 0 && (pwrite(r->note_fd, text, (size_t)len, 0) != len || ftruncate(r->note_fd, len))) perror("note");
}

static int open_note(const char *program) {
  char path[PATH_LEN];
  snprintf(path, sizeof path, "%s.last", program);
  return open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
}

/* xorshift64*: the same on every machine. */
static uint64_t next_random(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * UINT64_C(2685821657736338717);
}

static size_t remove_some(uint8_t *bytes, size_t len, size_t at, size_t count) {
  if (count > len - at) count = len - at;
  memmove(bytes + at, bytes + at + count, len - at - count);
  return len - count;
}

static size_t double_some(uint8_t *bytes, size_t len, size_t at, size_t count) {
  if (count > len - at) count = len - at;
  if (len + count > INPUT_MAX) return len;
  memmove(bytes + at + count, bytes + at, len - at);
  return len + count;
}

static size_t mutate(uint8_t *bytes, size_t len, uint64_t *random) {
  for (uint64_t changes = 1 + next_random(random) % CHANGES_MAX; changes > 0 && len > 0; changes--) {
    size_t at = next_random(random) % len, count = 1 + next_random(random) % 16;
    switch (next_random(random) % 5) {
    case 0: bytes[at] = (uint8_t)next_random(random); break;
    case 1: bytes[at] ^= (uint8_t)(1u << next_random(random) % 8); break;
    case 2: len = remove_some(bytes, len, at, count); break;
    case 3: len = double_some(bytes, len, at, count); break;
    default: len = at + 1; break;
    }
  }
  return len;
}

static void run(replay *r, const seed *from, long mutation) {
  static uint8_t changed[INPUT_MAX];
  size_t len = from->len;
  uint64_t random = UINT64_C(0x9E3779B97F4A7C15) * (uint64_t)(mutation + 1) + len;
  note(r, from->path, mutation);
  memcpy(changed, from->bytes, len);
  if (mutation > 0) len = mutate(changed, len, &random);
  LLVMFuzzerTestOneInput(changed, len);
  r->runs++;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_all(replay *r) {
  double end = now() + r->seconds;
  for (long mutation = r->only < 0 ? 0 : r->only;; mutation++) {
    for (size_t i = 0; i < r->seed_count; i++) {
      if (mutation > 0 && r->only < 0 && now() >= end) return;
      run(r, &r->seeds[i], mutation);
    }
    if (r->only >= 0 || r->seed_count == 0) return;
  }
}

static int add_file(replay *r, const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file || r->seed_count == SEEDS_MAX) return perror(path), 1;
  seed *added = &r->seeds[r->seed_count++];
  *added = (seed){.path = strdup(path), .bytes = malloc(INPUT_MAX)};
  if (!added->path || !added->bytes) abort();
  added->len = fread(added->bytes, 1, INPUT_MAX, file);
  fclose(file);
  return 0;
}

static void forget(replay *r) {
  for (size_t i = 0; i < r->seed_count; i++) {
    free(r->seeds[i].path);
    free(r->seeds[i].bytes);
  }
}

static int add_folder(replay *r, const char *folder) {
  struct dirent **entries;
  int count = scandir(folder, &entries, NULL, alphasort), failed = count < 0;
  for (int i = 0; i < count; i++) {
    char path[PATH_LEN];
    snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
    if (entries[i]->d_name[0] != '.') failed |= add_file(r, path);
    free(entries[i]);
  }
  if (count >= 0) free(entries);
  return failed;
}

int main(int argc, char **argv) {
  static replay r = {.only = -1};
  const char *slash = strrchr(argv[0], '/');
  int failed = 0, at = 1;
  r.note_fd = open_note(argv[0]);
  for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
    if (argv[at][1] == 's') r.seconds = strtod(argv[at + 1], NULL);
    if (argv[at][1] == 'm') r.only = strtol(argv[at + 1], NULL, 10);
  }
  for (; at < argc; at++) {
    struct stat about;
    failed |= stat(argv[at], &about) == 0 && S_ISDIR(about.st_mode) ? add_folder(&r, argv[at]) : add_file(&r, argv[at]);
  }
  run_all(&r);
  printf("note: %s: %lu inputs, of %zu seeds and their mutations\n", slash ? slash + 1 : argv[0], r.runs, r.seed_count);
  forget(&r);
  return failed || r.runs == 0;
}
