/* SPDX-License-Identifier: Apache-2.0 */
/* A library of two functions of client.h, for bites.sh: compiled again after its headers were changed, or this file by a macro. */
#include <chat/client.h>

struct chat_client { /* private */
  int state;
#ifdef PRIVATE_CHANGED
  char more[100];
#endif
};

const chat_event *chat_client_wait(chat_client *client, int timeout_ms) {
  static chat_event event;
  event.state = (uint32_t)(client->state + timeout_ms);
  return &event;
}

#ifndef FUNCTION_GONE
void chat_client_interrupt(chat_client *client) {
  client->state = 0;
}
#endif

#ifdef FUNCTION_NEW
int chat_client_fd(chat_client *client) {
  return client->state;
}
#endif
