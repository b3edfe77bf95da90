/* SPDX-License-Identifier: Apache-2.0 */
/* damage.h - the files of a database as they once were, written anew for every input with the damage that it says: bytes turned, pages emptied or exchanged, ends cut, files gone. */
#ifndef CH_TEST_FUZZ_DAMAGE_H
#define CH_TEST_FUZZ_DAMAGE_H

#include <stdbool.h>

#include "fuzz/fuzz.h"

enum { FUZZ_FILES_MAX = 16, FUZZ_PATH_LEN = 256 };

typedef struct fuzz_file {
  char name[64]; /* within its folder */
  uint8_t *bytes, *damaged;
  size_t len, damaged_len;
  bool is_gone;
  size_t changed_from, changed_to; /* what may differ; from == to: nothing does */
} fuzz_file;

typedef struct fuzz_files {
  char folder[FUZZ_PATH_LEN];
  fuzz_file files[FUZZ_FILES_MAX]; /* by name */
  size_t count;
} fuzz_files;

/* A new empty folder, in memory where the system has one there. */
void fuzz_folder_make(char folder[FUZZ_PATH_LEN]);
/* Removes the files in it, and it. */
void fuzz_folder_remove(const char *folder);

/* Remembers the files of a folder; all for the life of the process. */
void fuzz_files_read(fuzz_files *files, const char *folder);
/* Makes them stand in the folder again, and nothing else, with damage. */
void fuzz_files_damage(fuzz_files *files, fuzz_input *input);

#endif
