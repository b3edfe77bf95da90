/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Built against an installed copy, for the client, for the server, and for both in one program. Calls at least one function that
 * only that library has, so that linking the wrong one, or none, fails.
 */
#include <stdio.h>
#include <string.h>

#include <chat/chat.h>
#ifdef WITH_CLIENT
#include <chat/client.h>
#endif
#ifdef WITH_SERVER
#include <chat/server.h>
#endif

int main(void) {
#ifdef WITH_CLIENT
  chat_client_free(NULL);
#endif
#ifdef WITH_SERVER
  chat_server_free(NULL);
#endif
  if (strcmp(chat_error_name(CHAT_E_NOT_FOUND), "CHAT_E_NOT_FOUND") != 0)
    return 1;
  puts(chat_error_text(CHAT_E_NOT_FOUND));
  return 0;
}
