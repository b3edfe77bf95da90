/* SPDX-License-Identifier: Apache-2.0 */
/* directory.h - the names in a journal's directory: NNNNNNNNNNNNNNNNNNNN.log, by a segment's first number in 20 decimal digits. */
#ifndef CH_LOG_FILE_DIRECTORY_H
#define CH_LOG_FILE_DIRECTORY_H

#include <stddef.h>
#include <stdint.h>

#include "core/env.h"

enum { CH_DIRECTORY_NAME_MAX = 4096 };

/* Made where it is not there, and synced into the one above. CHAT_E_IO, CHAT_E_FULL. */
int ch_directory_make(const char *path);
int ch_directory_sync(const char *path);
void ch_directory_segment(const char *path, uint64_t first, char name[CH_DIRECTORY_NAME_MAX]);
/* First numbers of the segments that are there, rising; freed with ch_free. */
int ch_directory_segments(const char *path, const chat_allocator *alloc, uint64_t **firsts, size_t *count);

#endif
