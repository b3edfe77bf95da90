/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/support/damage.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE_LEN = 4096, CHANGES_MAX = 8 };

void fuzz_folder_make(char folder[FUZZ_PATH_LEN]) {
  snprintf(folder, FUZZ_PATH_LEN, "%s/fuzz.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
  ch_assert(mkdtemp(folder) != NULL);
}

static void path_of(char path[FUZZ_PATH_LEN + 72], const char *folder, const char *name) {
  snprintf(path, FUZZ_PATH_LEN + 72, "%s/%s", folder, name);
}

static void for_each_file(const char *folder, void (*visit)(void *arg, const char *folder, const char *name), void *arg) {
  struct dirent **entries;
  int count = scandir(folder, &entries, NULL, alphasort);
  ch_assert(count >= 0);
  for (int i = 0; i < count; i++) {
    if (entries[i]->d_name[0] != '.') visit(arg, folder, entries[i]->d_name);
    free(entries[i]);
  }
  free(entries);
}

static void remove_file(void *arg, const char *folder, const char *name) {
  char path[FUZZ_PATH_LEN + 72];
  (void)arg;
  path_of(path, folder, name);
  ch_assert(unlink(path) == 0);
}

void fuzz_folder_remove(const char *folder) {
  for_each_file(folder, remove_file, NULL);
  ch_assert(rmdir(folder) == 0);
}

static void read_file(void *arg, const char *folder, const char *name) {
  fuzz_files *files = arg;
  ch_assert(files->count < FUZZ_FILES_MAX);
  fuzz_file *file = &files->files[files->count++];
  char path[FUZZ_PATH_LEN + 72];
  struct stat about;
  path_of(path, folder, name);
  snprintf(file->name, sizeof file->name, "%s", name);
  FILE *in = fopen(path, "rb");
  ch_assert(in != NULL && fstat(fileno(in), &about) == 0);
  file->len = (size_t)about.st_size;
  file->bytes = malloc(file->len + 1);
  file->damaged = malloc(file->len + 1);
  ch_assert(file->bytes && file->damaged && fread(file->bytes, 1, file->len, in) == file->len);
  fclose(in);
}

void fuzz_files_read(fuzz_files *files, const char *folder) {
  *files = (fuzz_files){.count = 0};
  snprintf(files->folder, sizeof files->folder, "%s", folder);
  for_each_file(folder, read_file, files);
}

/* --- damage --- */

static void touch(fuzz_file *file, size_t from, size_t to) {
  bool is_first = file->changed_from == file->changed_to;
  if (from >= to) return;
  if (is_first || from < file->changed_from) file->changed_from = from;
  if (is_first || to > file->changed_to) file->changed_to = to;
}

/* Anywhere, by page and place in it: the first bytes of a page say most. */
static size_t place_in(fuzz_input *input, size_t len) {
  size_t page = fuzz_byte(input), place = fuzz_byte(input);
  uint8_t more = fuzz_byte(input);
  if (more & 1) place += (size_t)more << 4;
  return (page * PAGE_LEN + place) % len;
}

static void turn_bytes(fuzz_file *file, fuzz_input *input) {
  size_t at = place_in(input, file->damaged_len), count = 1 + fuzz_byte(input) % 4;
  for (size_t i = 0; i < count && at + i < file->damaged_len; i++)
    file->damaged[at + i] = fuzz_byte(input);
  touch(file, at, at + count < file->damaged_len ? at + count : file->damaged_len);
}

static void empty_page(fuzz_file *file, fuzz_input *input) {
  size_t at = place_in(input, file->damaged_len) / 512 * 512, count = (size_t)512 << fuzz_byte(input) % 4;
  if (count > file->damaged_len - at) count = file->damaged_len - at;
  memset(file->damaged + at, 0, count);
  touch(file, at, at + count);
}

static void exchange_pages(fuzz_file *file, fuzz_input *input) {
  size_t pages = file->damaged_len / PAGE_LEN;
  if (pages < 2) return;
  size_t from = fuzz_byte(input) % pages, to = fuzz_byte(input) % pages;
  memmove(file->damaged + to * PAGE_LEN, file->damaged + from * PAGE_LEN, PAGE_LEN);
  if (from != to) touch(file, to * PAGE_LEN, (to + 1) * PAGE_LEN);
}

static void cut(fuzz_file *file, fuzz_input *input) {
  size_t len = place_in(input, file->damaged_len);
  touch(file, len, file->len);
  file->damaged_len = len;
}

static void damage(fuzz_files *files, fuzz_input *input) {
  fuzz_file *file = &files->files[fuzz_byte(input) % files->count];
  uint8_t how = fuzz_byte(input) % 16;
  if (file->damaged_len == 0) return;
  if (how == 15)
    file->is_gone = true;
  else if (how == 14)
    cut(file, input);
  else if (how >= 12)
    exchange_pages(file, input);
  else if (how >= 10)
    empty_page(file, input);
  else
    turn_bytes(file, input);
}

static void write_file(const fuzz_files *files, const fuzz_file *file) {
  char path[FUZZ_PATH_LEN + 72];
  path_of(path, files->folder, file->name);
  FILE *out = fopen(path, "wb");
  ch_assert(out != NULL && fwrite(file->damaged, 1, file->damaged_len, out) == file->damaged_len);
  ch_assert(fclose(out) == 0);
}

void fuzz_files_damage(fuzz_files *files, fuzz_input *input) {
  for_each_file(files->folder, remove_file, NULL);
  for (size_t i = 0; i < files->count; i++) {
    fuzz_file *file = &files->files[i];
    memcpy(file->damaged, file->bytes, file->len);
    file->damaged_len = file->len;
    file->is_gone = false;
    file->changed_from = file->changed_to = 0;
  }
  for (uint8_t count = fuzz_byte(input) % (CHANGES_MAX + 1); count > 0; count--)
    damage(files, input);
  for (size_t i = 0; i < files->count; i++)
    if (!files->files[i].is_gone) write_file(files, &files->files[i]);
}
