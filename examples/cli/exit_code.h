/* SPDX-License-Identifier: Apache-2.0 */
/* exit_code.h - what the process says at its end (docs/cli.md, "Exit codes"). Numbers never change meaning. */
#ifndef CLI_EXIT_CODE_H
#define CLI_EXIT_CODE_H

enum {
  EXIT_DONE = 0,
  EXIT_FAILED = 1,      /* refused, not found, not allowed, or the local files failed */
  EXIT_USAGE = 2,
  EXIT_UNREACHABLE = 3, /* no connection to the server */
  EXIT_LOGIN = 4,       /* not logged in, credentials not accepted, device shut out */
  EXIT_LATE = 5         /* the time was up; what was asked for may still happen */
};

/* Of a CHAT_E_*. */
int exit_code_of(int error);

/* "chat: what: why", on stderr, and the exit code. */
int fail_error(const char *what, int error);
int fail_text(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
