/* SPDX-License-Identifier: Apache-2.0 */
/* retention_file.h - the horizon of retention.h, kept in a file of one decimal number (Unix time in ms). */
#ifndef CH_SERVER_RETENTION_FILE_H
#define CH_SERVER_RETENTION_FILE_H

#include <stdint.h>

/* 0: there is no file, or no number in it. */
uint64_t ch_retention_file_load(const char *path);
/* CHAT_E_IO: what was kept before stays. */
int ch_retention_file_save(const char *path, uint64_t horizon_ms);

#endif
