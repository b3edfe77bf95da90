/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "power/life.h"

#include <chat/chat.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/assert.h"
#include "power/disk.h"

enum { LIVES = 25 }; /* over one folder */

static uint64_t random_state;

uint64_t life_draw(uint64_t below) {
  uint64_t z = random_state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return (z ^ z >> 31) % below;
}

bool life_chance(uint32_t percent) {
  return life_draw(100) < percent;
}

void life_broken(const char *file, int line, const char *what) {
  printf("%s:%d: %s\n", file, line, what);
  fflush(stdout);
  abort();
}

void life_did(int error, const char *file, int line, const char *what) {
  if (error == 0) return;
  printf("%s\n", chat_error_name(error));
  life_broken(file, line, what);
}

typedef struct totals {
  uint32_t cuts, lives, folders;
} totals;

/* Often early: then it is cut while it opens and repairs what the cut before has left. */
static uint32_t draw_calls(const life_subject *subject) {
  return 1 + (uint32_t)life_draw(life_chance(30) ? 20 : subject->calls_max);
}

static void child(const life_subject *subject, const char *folder, void *promised, uint64_t seed) {
  random_state = seed;
  uint32_t calls = draw_calls(subject);
  disk_begin(folder, calls, life_draw(UINT64_MAX));
  subject->live(folder, promised);
  exit(0);
}

/* false: a life found that a promise was broken, or crashed. */
static bool is_good(const life_subject *subject, const char *folder, void *promised, uint64_t seed, totals *sum) {
  int status;
  fflush(NULL);
  pid_t pid = fork();
  ch_assert(pid >= 0);
  if (pid == 0) child(subject, folder, promised, seed);
  ch_assert(waitpid(pid, &status, 0) == pid);
  sum->lives++;
  bool is_cut = WIFEXITED(status) && WEXITSTATUS(status) == DISK_CUT;
  if (is_cut) disk_after_cut(folder), sum->cuts++;
  return is_cut || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void make_folder(char folder[64]) {
  strcpy(folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/chat-power-XXXXXX" : "/tmp/chat-power-XXXXXX");
  ch_assert(mkdtemp(folder));
}

static void remove_folder(const char *folder) {
  char command[128];
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  ch_assert(system(command) == 0);
}

/* false: the folder stays, for whoever looks into it. */
static bool live_in_one_folder(const life_subject *subject, uint64_t seed, totals *sum) {
  char folder[64];
  void *promised = mmap(NULL, subject->promised_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ch_assert(promised != MAP_FAILED);
  make_folder(folder);
  sum->folders++;
  for (int i = 0; i < LIVES; i++)
    if (!is_good(subject, folder, promised, seed * 1000 + (uint64_t)i, sum)) {
      printf("%s: broken with seed %" PRIu64 ", life %d; its folder: %s\n", subject->name, seed, i, folder);
      return false;
    }
  munmap(promised, subject->promised_len);
  remove_folder(folder);
  return true;
}

int life_main(int argc, char **argv, const life_subject *subject) {
  uint32_t cuts = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100;
  uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  totals sum = {0};
  bool good = true;
  while (good && sum.cuts < cuts)
    good = live_in_one_folder(subject, first + sum.folders, &sum);
  printf("note: %s: %u power cuts in %u lives over %u folders, seeds from %" PRIu64 "\n", subject->name, sum.cuts, sum.lives, sum.folders,
         first);
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
