/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of one's own: users are checked against a list, and a message with the word "spam" does not get into the log.
 *
 *   embed_server DATA-FOLDER [PORT]
 *
 * Hooks may answer at once, as here, or hand the ticket to another thread and answer later.
 */
#include <chat/server.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const users[][2] = {{"alice", "wonderland"}, {"bob", "builder"}};

/* The token of this server is "user:password". */
static void authenticate(void *arg, chat_ticket *ticket, const chat_login *login) {
  (void)arg;
  for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
    char wanted[128];
    int len = snprintf(wanted, sizeof wanted, "%s:%s", users[i][0], users[i][1]);
    if ((size_t)len != login->token.len || memcmp(wanted, login->token.data, (size_t)len) != 0) continue;
    if (chat_ticket_answer_user(ticket, users[i][0], strlen(users[i][0]), NULL, 0) == 0) return;
  }
  chat_ticket_answer(ticket, CHAT_E_AUTH);
}

static int contains(chat_bytes text, const char *word) {
  size_t len = strlen(word);
  for (size_t i = 0; i + len <= text.len; i++)
    if (memcmp(text.data + i, word, len) == 0) return 1;
  return 0;
}

static void before_log(void *arg, chat_ticket *ticket, const chat_incoming *incoming) {
  (void)arg;
  chat_ticket_answer(ticket, contains(incoming->body, "spam") ? CHAT_E_DENIED : 0);
}

static int fail(chat_server *server, const char *what, int error) {
  fprintf(stderr, "embed_server: %s: %s (%s)\n", what, chat_server_problem(server), chat_error_text(error));
  chat_server_free(server);
  return 1;
}

int main(int argc, char **argv) {
  sigset_t signals; /* blocked before the server's threads are made, so that they inherit it */
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  if (argc < 2) return fprintf(stderr, "usage: embed_server DATA-FOLDER [PORT]\n"), 2;
  chat_hooks hooks = {.size = sizeof hooks, .authenticate = authenticate, .before_log = before_log};
  chat_server_config config = {.size = sizeof config, .hooks = &hooks};
  chat_server *server;
  int error = chat_server_new(CHAT_API_VERSION, &config, &server);
  if (error) return fprintf(stderr, "embed_server: %s\n", chat_error_text(error)), 1;

  char listen[64];
  snprintf(listen, sizeof listen, "127.0.0.1:%s", argc > 2 ? argv[2] : "0");
  error = chat_server_set(server, "data", argv[1]);
  if (!error) error = chat_server_set(server, "listen", listen);
  if (!error) error = chat_server_set(server, "metrics", "");
  if (error) return fail(server, "option", error);
  error = chat_server_start(server);
  if (error) return fail(server, "start", error);
  printf("listening on ws://127.0.0.1:%d/\n", chat_server_port(server, "listen"));
  fflush(stdout);

  int number;
  sigwait(&signals, &number); /* the server has threads of its own */
  chat_server_stop(server, 5000);
  chat_server_free(server);
  return 0;
}
