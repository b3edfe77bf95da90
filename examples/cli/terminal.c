/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "terminal.h"

#include <editline/readline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "line_reader.h"

enum { PROMPT_LEN = 512 };

/* libedit's callback has no argument, and it keeps the pointer to the prompt. */
static struct {
  bool edits, ended, is_hidden;
  char *line;
  char prompt[PROMPT_LEN];
  line_reader plain;
} terminal;

/* ------------------------------------------------------------------------------------------------ with editing */

static void take_line(char *line) {
  terminal.ended = line == NULL;
  terminal.line = line;
  if (line && line[0]) add_history(line);
}

static char *read_edited(void) {
  rl_callback_read_char();
  char *line = terminal.line;
  terminal.line = NULL;
  /* After a line libedit reads the next one whole, and waits for it, until it is told anew to read character by character. */
  if (line) rl_callback_handler_install(terminal.prompt, take_line);
  return line;
}

/* ------------------------------------------------------------------------------------------------ plain */

static char *next_plain(void) {
  const char *text;
  size_t len;
  line_kind kind = line_reader_next(&terminal.plain, &text, &len);
  while (kind == LINE_TOO_LONG) {
    fputs("chat: too long, not sent\n", stderr);
    kind = line_reader_next(&terminal.plain, &text, &len);
  }
  terminal.ended = kind == LINE_END;
  return kind == LINE_HERE ? strndup(text, len) : NULL;
}

static char *read_plain(void) {
  char *line = next_plain();
  if (line || terminal.ended) return line;
  line_reader_fill(&terminal.plain, STDIN_FILENO);
  return next_plain();
}

/* ------------------------------------------------------------------------------------------------ either */

void terminal_set_prompt(const char *prompt) {
  snprintf(terminal.prompt, sizeof terminal.prompt, "%s", prompt);
  if (terminal.edits) rl_set_prompt(terminal.prompt);
}

void terminal_start(void) {
  terminal.edits = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
  terminal.is_hidden = false;
  if (!terminal.edits) return;
  rl_readline_name = "chat";
  rl_callback_handler_install(terminal.prompt, take_line);
}

void terminal_stop(void) {
  if (terminal.edits) rl_callback_handler_remove();
  if (terminal.edits) puts("");
  terminal.edits = false;
}

char *terminal_read(void) {
  return terminal.edits ? read_edited() : read_plain();
}

char *terminal_read_more(void) {
  return terminal.edits ? NULL : next_plain();
}

bool terminal_has_ended(void) {
  return terminal.ended;
}

void terminal_hide(void) {
  if (terminal.edits && !terminal.is_hidden) fputs("\r\x1b[K", stdout);
  terminal.is_hidden = true;
}

void terminal_show(void) {
  fflush(stdout);
  if (terminal.edits && terminal.is_hidden) rl_forced_update_display();
  terminal.is_hidden = false;
}
