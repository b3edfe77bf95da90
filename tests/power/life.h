/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life.h - lives that end by a power cut, one after the other over the same folder: each finds what the one before has left, holds it against what was promised, and goes on.
 *
 * The program's arguments are the number of cuts and the seed of the first folder.
 */
#ifndef CH_TEST_POWER_LIFE_H
#define CH_TEST_POWER_LIFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct life_subject {
  const char *name;
  uint32_t calls_max;  /* a cut comes within so many calls */
  size_t promised_len; /* of what outlives a life without a disk: what was promised; zeros in a new folder */
  void (*live)(const char *folder, void *promised);
} life_subject;

/* Of the life that runs; a function of the seed. */
uint64_t life_draw(uint64_t below);
bool life_chance(uint32_t percent);

/* What is false ends the life, says where, and so breaks the program. */
#define life_check(expr) ((expr) ? (void)0 : life_broken(__FILE__, __LINE__, #expr))
_Noreturn void life_broken(const char *file, int line, const char *what);
/* Of a call that must succeed: its error is told. */
#define life_do(call) life_did((call), __FILE__, __LINE__, #call)
void life_did(int error, const char *file, int line, const char *what);

/* The program's exit code. */
int life_main(int argc, char **argv, const life_subject *subject);

#endif
