/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal.h - lines from a person, with editing (libedit) where standard input and output are a terminal, else plain. Output that comes while a line is
 * being typed goes between terminal_hide and terminal_show, so that the line stays whole.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

/* One at a time in a process: libedit knows only one. */
void terminal_set_prompt(const char *prompt);
void terminal_start(void);
void terminal_stop(void);

/* Standard input is readable. Gives a whole line without its newline, to be freed; NULL: none yet. */
char *terminal_read(void);
/* Another line that came with the one before; without waiting. */
char *terminal_read_more(void);
/* There will be no more lines. */
bool terminal_has_ended(void);

/* Both may be called more often than needed. */
void terminal_hide(void);
void terminal_show(void);

#endif
