/* SPDX-License-Identifier: Apache-2.0 */
#include "exit_code.h"

#include <chat/chat.h>
#include <stdarg.h>
#include <stdio.h>

int exit_code_of(int error) {
  switch (error) {
    case CHAT_OK: return EXIT_DONE;
    case CHAT_E_INVALID: return EXIT_USAGE;
    case CHAT_E_OFFLINE:
    case CHAT_E_CLOSED:
    case CHAT_E_TLS: return EXIT_UNREACHABLE;
    case CHAT_E_AUTH:
    case CHAT_E_EXPIRED:
    case CHAT_E_REVOKED:
    case CHAT_E_REPLACED: return EXIT_LOGIN;
    case CHAT_E_TIMEOUT:
    case CHAT_E_UNKNOWN: return EXIT_LATE;
    default: return EXIT_FAILED;
  }
}

int fail_error(const char *what, int error) {
  fprintf(stderr, "chat: %s: %s (%s)\n", what, chat_error_text(error), chat_error_name(error));
  return exit_code_of(error);
}

int fail_text(int exit_code, const char *format, ...) {
  va_list args;
  fputs("chat: ", stderr);
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
  return exit_code;
}
