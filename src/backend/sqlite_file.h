/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite_file.h - database files whose read errors stay read errors. SQLite takes an EIO of a read for damage and says SQLITE_CORRUPT; but a disk that does not answer now may answer
 * later, and what is damaged is set aside. So the files are opened through a VFS that is the system's but for that.
 *
 * SQLite knows a VFS by its name, for the whole process. This one is there while a database is open, under a name that no other copy of this code has.
 */
#ifndef CH_BACKEND_SQLITE_FILE_H
#define CH_BACKEND_SQLITE_FILE_H

#include <sqlite3.h>

/* As sqlite3_open_v2, which may leave a handle with an error too. Each ends with ch_sqlite_file_close. */
int ch_sqlite_file_open(const char *path, sqlite3 **handle, int flags);
/* As sqlite3_close; NULL is a no-op. */
void ch_sqlite_file_close(sqlite3 *handle);

#endif
