/* SPDX-License-Identifier: Apache-2.0 */
/* promised.h - which errors each function of the API may give when memory, files or sockets fail. Held against the comments of the headers. */
#ifndef CH_TEST_PROMISED_H
#define CH_TEST_PROMISED_H

#include <stdbool.h>

/* Of the call itself, or of the reply to it. Asks for a function that is in the table. */
bool promised(const char *function, bool is_reply, int error);

/* Every error of the table is named by the header: in the section of its function or at the head of the file. NULL, or what is not. */
const char *promised_but_not_documented(const char *include_folder);

#endif
