/* SPDX-License-Identifier: Apache-2.0 */
/* number_file.h - a number that outlives the process, in a file of its own: decimal digits and a newline. */
#ifndef CH_SERVER_NUMBER_FILE_H
#define CH_SERVER_NUMBER_FILE_H

#include <stdbool.h>
#include <stdint.h>

/* false: there is no file, or no number in it. */
bool ch_number_file_load(const char *path, uint64_t *number);
/* CHAT_E_IO: what was kept before stays. */
int ch_number_file_save(const char *path, uint64_t number);

#endif
