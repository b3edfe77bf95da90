/* SPDX-License-Identifier: Apache-2.0 */
#include "promised.h"

#include <chat/client.h>
#include <chat/server.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define E(name) (1u << -(CHAT_E_##name))

/* client.h, REQUESTS AND EVENTS */
enum { REQUEST = E(NOMEM) | E(BUSY), ANY = E(NOMEM) | E(FULL) | E(IO) };
/* server.h, "All: …" */
enum { SERVER_REQUEST = E(NOMEM) | E(BUSY), SERVER_REPLY = E(CANCELED) | E(NOMEM) | E(AGAIN) | E(IO) | E(FULL) | E(UNKNOWN) };

typedef struct ch_row {
  const char *function;
  uint32_t returned, replied;
} ch_row;

static const ch_row rows[] = {
    {"chat_client_new", E(NOMEM) | E(LIMIT), 0},
    {"chat_client_set", E(NOMEM) | E(BUSY), 0},
    {"chat_client_start", E(FULL) | E(IO) | E(NOMEM) | E(BUSY), 0},
    {"chat_client_set_online", REQUEST, ANY},
    {"chat_client_network_hint", REQUEST, 0},
    {"chat_client_suspend", 0, 0},
    {"chat_client_resume", E(FULL) | E(IO) | E(NOMEM) | E(BUSY), 0},
    {"chat_client_logout", REQUEST, ANY | E(OFFLINE)},
    {"chat_client_whoami", REQUEST, ANY | E(OFFLINE)},
    {"chat_client_send", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_send_direct", REQUEST, ANY | E(OFFLINE)},
    {"chat_client_retry", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_discard", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_create", REQUEST, ANY | E(OFFLINE)},
    {"chat_client_add_members", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_remove_member", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_leave", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_set_role", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_set_owner", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_set_title", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_set_history_from_start", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_make_channel", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_mark_read", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_open", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_close", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_typing", REQUEST, 0},
    {"chat_client_conversations", REQUEST, ANY},
    {"chat_client_conversation", REQUEST, ANY | E(NOT_FOUND)},
    {"chat_client_history", REQUEST, ANY | E(OFFLINE) | E(AGAIN) | E(NOT_FOUND)},
    {"chat_client_search", REQUEST, ANY | E(OFFLINE) | E(AGAIN) | E(NOT_FOUND)},
    {"chat_client_members", REQUEST, ANY | E(OFFLINE) | E(AGAIN) | E(NOT_FOUND)},
    {"chat_client_devices", REQUEST, ANY | E(OFFLINE) | E(AGAIN)},
    {"chat_client_revoke_device", REQUEST, ANY | E(OFFLINE) | E(AGAIN)},
    {"chat_client_verify", REQUEST, ANY | E(OFFLINE) | E(AGAIN)},

    {"chat_server_new", E(NOMEM), 0},
    {"chat_server_set", E(NOMEM), 0},
    {"chat_server_set_file", E(IO) | E(NOMEM), 0},
    {"chat_server_start", E(IO) | E(NOMEM) | E(BUSY) | E(FULL), 0},
    {"chat_server_reload", 0, 0},
    {"chat_server_stop", E(TIMEOUT), 0},
    {"chat_server_request_send", SERVER_REQUEST, SERVER_REPLY | E(NOT_FOUND)},
    {"chat_server_request_create", SERVER_REQUEST, SERVER_REPLY},
    {"chat_server_request_add", SERVER_REQUEST, SERVER_REPLY},
    {"chat_server_request_remove", SERVER_REQUEST, SERVER_REPLY},
    {"chat_server_request_history", SERVER_REQUEST, SERVER_REPLY | E(NOT_FOUND)},
    {"chat_server_request_disconnect", SERVER_REQUEST, SERVER_REPLY},
    {"chat_server_request_revoke", SERVER_REQUEST, SERVER_REPLY | E(NOT_FOUND)},
    {"chat_server_request_statistics", SERVER_REQUEST, SERVER_REPLY},
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0], ERROR_COUNT = 30, HEADER_MAX = 128 * 1024 };

static const ch_row *row_of(const char *function) {
  for (size_t i = 0; i < ROW_COUNT; i++)
    if (strcmp(rows[i].function, function) == 0) return &rows[i];
  fprintf(stderr, "%s is not in the table of promised errors\n", function);
  abort();
}

bool promised(const char *function, bool is_reply, int error) {
  const ch_row *of = row_of(function);
  if (error == 0) return true;
  return error < 0 && -error < ERROR_COUNT && ((is_reply ? of->replied : of->returned) >> -error & 1);
}

/* ------------------------------------------------------------------------------------------------ held against the headers */

static char text[HEADER_MAX];

static void read_header(const char *folder, const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/chat/%s", folder, name);
  FILE *file = fopen(path, "r");
  if (!file) {
    perror(path);
    abort();
  }
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
}

static bool names(const char *from, const char *to, int error) {
  const char *name = chat_error_name(error);
  const char *found = strstr(from, name);
  return found && found < to;
}

/* A section begins with a line of dashes; a function may be told of in the comment in front of others of its section. */
static const char *section_of(const char *declaration) {
  const char *begin = text;
  for (const char *at = text; (at = strstr(at, "/* ----")) && at < declaration; at++)
    begin = at;
  return begin;
}

const char *promised_but_not_documented(const char *folder) {
  static char problem[128];
  for (size_t i = 0; i < ROW_COUNT; i++) {
    char declared[64];
    read_header(folder, strncmp(rows[i].function, "chat_client", 11) == 0 ? "client.h" : "server.h");
    snprintf(declared, sizeof declared, " %s(", rows[i].function);
    const char *declaration = strstr(text, declared), *essay_end = strstr(text, "#ifndef");
    snprintf(problem, sizeof problem, "%s is not declared", rows[i].function);
    if (!declaration) return problem;
    for (int error = 1; error < ERROR_COUNT; error++) {
      bool listed = (rows[i].returned | rows[i].replied) >> error & 1;
      snprintf(problem, sizeof problem, "%s: %s is not in its documentation", rows[i].function, chat_error_name(-error));
      if (listed && !names(text, essay_end, -error) && !names(section_of(declaration), declaration, -error)) return problem;
    }
  }
  return NULL;
}
