/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - output for people. What others wrote never reaches the terminal as it is: control characters (C0, C1), what turns the direction of writing,
 * line separators and bytes that are not UTF-8 are shown as \n, \t, \xNN or \u{NNNN}. So a message is one line, and cannot move the cursor, set the title or
 * pretend to be another line.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <chat/client.h>
#include <stdio.h>

chat_bytes chat_bytes_of(const char *text);

void text_write(FILE *file, chat_bytes bytes);

/* How many bytes of a character stand at `data` (1 to 4) and its number; 0: not UTF-8. */
size_t text_character(const uint8_t *data, size_t len, uint32_t *number);

/* "12:34:56", or with the date where it is not today's. Local time. */
void text_time(FILE *file, uint64_t unix_ms);

const char *text_tick(uint32_t tick);
const char *text_role(uint32_t role);
const char *text_kind(uint32_t kind);

#endif
