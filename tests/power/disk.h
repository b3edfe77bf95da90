/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.h - a disk that forgets what was not synced. Everything that this process writes below one folder, whoever writes it (SQLite too: this lies below its VFS), is kept in order until it is
 * synced; when the power is cut, each sector of what was not yet synced is there or is not, whatever was written before or after it.
 *
 * Names (made, renamed, removed) are durable when their folder is synced; of those which are not, the first ones survive, in order, as a journal of a file system has it. What SQLite shares between
 * processes (-shm) is memory, and gone. Files written by stdio are not seen: they survive as they are.
 *
 * The process that loses its power ends there, with DISK_CUT, whatever its threads do.
 */
#ifndef CH_TEST_POWER_DISK_H
#define CH_TEST_POWER_DISK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { DISK_SECTOR = 512, DISK_CUT = 42 };

/* What is below `folder` now is durable. The power is cut in the calls-th call that changes the disk or syncs it (0: never); `seed` says what survives. */
void disk_begin(const char *folder, uint32_t calls, uint64_t seed);

/* In the process that goes on, when one has ended with DISK_CUT: the folder is as the cut has left it. */
void disk_after_cut(const char *folder);

/* What calls.c tells of a call, before it is made where it says so. Each may be the last. */
void disk_write(int fd, const void *data, size_t len, off_t at);
void disk_truncate(int fd, off_t len);
void disk_sync(int fd); /* of a file or a folder */
void disk_made(const char *path);
void disk_renamed(const char *from, const char *to);
void disk_removed(const char *path);

#endif
