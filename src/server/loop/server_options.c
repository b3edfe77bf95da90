/* SPDX-License-Identifier: Apache-2.0 */
/* server_options.c - options of a server that was not started, from wherever they come, and the sentence about what was wrong (chat/server.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/option_print.h"
#include "core/option_source.h"
#include "server/loop/server_parts.h"

enum { CONFIG_FILE_MAX = 1024 * 1024 };

ch_options ch_server_options_of(chat_server *server) {
  ch_buf_clear(&server->problem);
  return (ch_options){.table = &ch_server_option_table, .values = &server->options, .why = &server->problem};
}

int ch_server_with_problem(chat_server *server, int error) {
  if (error && server->problem.len == 0) ch_buf_put_text(&server->problem, chat_error_text(error));
  size_t len = server->problem.len < CH_PROBLEM_MAX ? server->problem.len : CH_PROBLEM_MAX;
  if (len) memcpy(server->problem_text, server->problem.data, len);
  server->problem_text[len] = '\0';
  return error;
}

void ch_server_wipe(void *secret, size_t len) {
  memset(secret, 0, len);
  __asm__ volatile("" : : "r"(secret) : "memory"); /* or the compiler drops the memset */
}

ch_server_state ch_server_state_of(chat_server *server) {
  pthread_mutex_lock(&server->lock);
  ch_server_state state = server->state;
  pthread_mutex_unlock(&server->lock);
  return state;
}

/* 0, or that options are not set any more. */
static int check_new(chat_server *server, ch_options options, const char *what) {
  if (ch_server_state_of(server) == CH_SERVER_NEW) return 0;
  return ch_options_fail(options, CHAT_E_INVALID, "options are set before start:", ch_bytes_text(what));
}

int chat_server_set(chat_server *server, const char *name, const char *value) {
  if (!server || !name || !value) return CHAT_E_INVALID;
  ch_options options = ch_server_options_of(server);
  int error = check_new(server, options, name);
  return ch_server_with_problem(server, error ? error : ch_options_set(options, ch_bytes_text(name), ch_bytes_text(value)));
}

int chat_server_set_args(chat_server *server, int count, const char *const *args, int *used) {
  int taken = 0;
  if (used) *used = 0;
  if (!server || count < 0 || (count && !args)) return CHAT_E_INVALID;
  ch_options options = ch_server_options_of(server);
  int error = check_new(server, options, "command line");
  if (!error) error = ch_options_from_args(options, count, args, &taken);
  if (used) *used = taken;
  return ch_server_with_problem(server, error);
}

int chat_server_set_environment(chat_server *server, const char *prefix, const char *const *environment) {
  if (!server || !prefix || !environment) return CHAT_E_INVALID;
  ch_options options = ch_server_options_of(server);
  int error = check_new(server, options, "environment");
  return ch_server_with_problem(server, error ? error : ch_options_from_environment(options, prefix, environment));
}

/* The whole file in malloc's memory; NULL with *error. */
static char *read_file(const char *path, size_t *len, int *error) {
  FILE *file = fopen(path, "re");
  char *text = file ? malloc(CONFIG_FILE_MAX + 1) : NULL;
  *error = !file ? CHAT_E_IO : !text ? CHAT_E_NOMEM : 0;
  if (text) {
    *len = fread(text, 1, CONFIG_FILE_MAX + 1, file);
    if (ferror(file)) *error = CHAT_E_IO;
    if (*len > CONFIG_FILE_MAX) *error = CHAT_E_INVALID;
  }
  if (file) fclose(file);
  if (!*error) return text;
  free(text);
  return NULL;
}

static int set_from_file(chat_server *server, const char *path) {
  ch_options options = ch_server_options_of(server);
  size_t len = 0;
  int error = check_new(server, options, path);
  if (error) return error;
  char *text = read_file(path, &len, &error);
  if (!text) return ch_options_fail(options, error, "cannot be read:", ch_bytes_text(path));
  error = ch_options_from_file(options, ch_bytes_of(text, len));
  ch_server_wipe(text, len);
  free(text);
  return error;
}

/* The sentence about an error begins with "line N:"; that is where the number comes from. */
static uint32_t line_of(const ch_buf *problem) {
  static const char prefix[] = "line ";
  size_t len = sizeof prefix - 1;
  if (problem->len <= len || memcmp(problem->data, prefix, len) != 0) return 0;
  uint32_t line = 0;
  for (size_t i = len; i < problem->len && problem->data[i] >= '0' && problem->data[i] <= '9'; i++) line = line * 10 + (problem->data[i] - '0');
  return line;
}

int chat_server_set_file(chat_server *server, const char *path, uint32_t *line) {
  if (line) *line = 0;
  if (!server || !path) return CHAT_E_INVALID;
  int error = set_from_file(server, path);
  if (error && line) *line = line_of(&server->problem);
  return ch_server_with_problem(server, error);
}

const char *chat_server_problem(const chat_server *server) {
  return server ? server->problem_text : "";
}

size_t chat_server_print_options(int form, char *out, size_t len) {
  return ch_options_print(&ch_server_option_table, form, out, len);
}
