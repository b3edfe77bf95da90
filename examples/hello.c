/* SPDX-License-Identifier: Apache-2.0 */
/* Sends a message and prints what arrives until it has come back: hello URL TOKEN PEER TEXT. With chatd --dev-mode a token is "dev:" and a user. */
#include <chat/client.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  chat_client *client;
  if (argc != 5 || chat_client_new(CHAT_API_VERSION, NULL, &client) != 0) return 2;
  chat_client_set(client, "url", argv[1]);
  chat_client_set(client, "token", argv[2]);
  if (chat_client_start(client) != 0) return 2;

  chat_draft draft = {.size = sizeof draft, .body = argv[4], .body_len = strlen(argv[4])};
  int sent = 0, committed = 0;
  while (!committed) {
    const chat_event *event = chat_client_wait(client, 30000);
    if (!event) break; /* nothing for 30 s */
    if (event->type == CHAT_EVENT_STATE && event->state == CHAT_STATE_LIVE && !sent)
      sent = chat_client_send_direct(client, 1, argv[3], strlen(argv[3]), &draft) == 0;
    if (event->type == CHAT_EVENT_STATE && event->state == CHAT_STATE_SHUT_OUT) break; /* wrong token */
    if (event->type != CHAT_EVENT_MESSAGE) continue;
    const chat_message *message = event->messages[0];
    printf("%.*s: %.*s\n", (int)message->sender.len, (const char *)message->sender.data, (int)message->body.len, (const char *)message->body.data);
    committed = message->own;
  }
  chat_client_free(client);
  return committed ? 0 : 1;
}
