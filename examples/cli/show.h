/* SPDX-License-Identifier: Apache-2.0 */
/* show.h - one line on standard output for each thing, for people or (--json) for programs. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <chat/client.h>

#include "options.h"

/* `name`: of the conversation, where lines of several stand together; NULL: not said. */
void show_message(const options *o, const chat_message *m, const char *name);
void show_conversation(const options *o, const chat_conversation *c);
void show_member(const options *o, const chat_member_info *m);
void show_device(const options *o, const chat_device_info *d);

/* 0, or EXIT_FAILED where standard output could not be written. */
int show_end(void);

/* Standard output is a terminal, and $NO_COLOR does not say no. */
bool show_has_colour(void);
/* "3 of 7 …" in one place of the terminal; only where standard error is one. */
void show_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void show_progress_end(void);

#endif
