/* SPDX-License-Identifier: Apache-2.0 */
/* What the embedder's log is told: how the connection stands, why it ended, trouble of the database; and what it is never told. */
#include <jansson.h>

#include "unit/client/folder.h"
#include "unit/client/puppet.h"
#include "unit/core/run.h"

enum { LINES_MAX = 256 };

typedef struct log_lines {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int levels[LINES_MAX];
  char *lines[LINES_MAX];
  size_t count;
} log_lines;

static void log_write(void *arg, int level, const char *line, size_t len) {
  log_lines *log = arg;
  pthread_mutex_lock(&log->lock);
  ck_assert_uint_lt(log->count, LINES_MAX);
  ck_assert_uint_eq(strlen(line), len);
  log->levels[log->count] = level;
  log->lines[log->count++] = strdup(line);
  pthread_cond_broadcast(&log->changed);
  pthread_mutex_unlock(&log->lock);
}

static log_lines *log_new(void) {
  log_lines *log = calloc(1, sizeof *log);
  pthread_mutex_init(&log->lock, NULL);
  ch_condition_init(&log->changed);
  return log;
}

static void log_free(log_lines *log) {
  for (size_t i = 0; i < log->count; i++)
    free(log->lines[i]);
  pthread_cond_destroy(&log->changed);
  pthread_mutex_destroy(&log->lock);
  free(log);
}

/* Is this line that message, with this error ("": none)? */
static bool is_line(const char *line, const char *msg, const char *error) {
  json_t *object = json_loads(line, 0, NULL);
  ck_assert_msg(json_is_object(object), "not an object: %s", line);
  const char *said = json_string_value(json_object_get(object, "error"));
  bool is_it = strcmp(json_string_value(json_object_get(object, "msg")), msg) == 0 && strcmp(said ? said : "", error) == 0;
  json_decref(object);
  return is_it;
}

static bool has_line(log_lines *log, int level, const char *msg, const char *error) {
  for (size_t i = 0; i < log->count; i++)
    if (log->levels[i] == level && is_line(log->lines[i], msg, error)) return true;
  return false;
}

static void expect_line(log_lines *log, int level, const char *msg, const char *error) {
  struct timespec until = ch_condition_in_ms(PUPPET_PATIENCE_MS);
  pthread_mutex_lock(&log->lock);
  bool is_there = has_line(log, level, msg, error);
  while (!is_there && ch_condition_wait(&log->changed, &log->lock, &until))
    is_there = has_line(log, level, msg, error);
  pthread_mutex_unlock(&log->lock);
  ck_assert_msg(is_there, "no line \"%s\" %s", msg, error);
}

static bool any_line_holds(log_lines *log, const char *text) {
  for (size_t i = 0; i < log->count; i++)
    if (strstr(log->lines[i], text)) return true;
  return false;
}

static chat_client *client_with_log(puppet *p, log_lines *log, const char *database) {
  chat_log_sink sink = {log_write, log};
  chat_client_config config = {.size = sizeof config, .transport = &p->transport, .log = &sink};
  chat_client *client;
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, &config, &client), 0);
  ck_assert_int_eq(chat_client_set(client, "token", "the-secret-token"), 0);
  ck_assert_int_eq(chat_client_set(client, "backoff-max", "1ms"), 0);
  if (database) ck_assert_int_eq(chat_client_set(client, "database", database), 0);
  return client;
}

START_TEST(connection_is_logged) {
  puppet *p = puppet_new();
  log_lines *log = log_new();
  chat_client *client = client_with_log(p, log, NULL);
  ck_assert_int_eq(chat_client_start(client), 0);
  expect_line(log, CHAT_LOG_INFO, "client started", "");
  expect_line(log, CHAT_LOG_INFO, "connecting", "");
  puppet_connect(p, 1);
  expect_line(log, CHAT_LOG_INFO, "syncing", "");
  expect_line(log, CHAT_LOG_INFO, "live", "");
  puppet_lose(p, CHAT_E_IO);
  expect_line(log, CHAT_LOG_WARN, "connection ended", "CHAT_E_IO");
  puppet_expect(p, CH_HELLO);
  puppet_say(p, (ch_server_message){.op = CH_SYNC_REPLY}); /* before the Welcome: not allowed */
  expect_line(log, CHAT_LOG_WARN, "connection ended", "CHAT_E_PROTOCOL");
  puppet_expect(p, CH_HELLO);
  puppet_say(p, (ch_server_message){.op = CH_ERROR, .u.error = {.code = CHAT_E_AUTH}});
  expect_line(log, CHAT_LOG_WARN, "a new token is needed", "CHAT_E_AUTH");
  expect_line(log, CHAT_LOG_ERROR, "shut out", "CHAT_E_AUTH");
  ck_assert_int_eq(chat_client_suspend(client, PUPPET_PATIENCE_MS), 0);
  expect_line(log, CHAT_LOG_INFO, "suspended", "");
  chat_client_free(client);
  log_free(log);
  puppet_free(p);
}
END_TEST

START_TEST(start_that_fails_is_logged) {
  folder dir = folder_make();
  puppet *p = puppet_new();
  log_lines *log = log_new();
  chat_client *client = client_with_log(p, log, folder_path(&dir, "no/such/folder"));
  ck_assert_int_eq(chat_client_start(client), CHAT_E_IO);
  expect_line(log, CHAT_LOG_ERROR, "client could not be started", "CHAT_E_IO");
  chat_client_free(client);
  log_free(log);
  puppet_free(p);
  folder_remove(&dir);
}
END_TEST

START_TEST(trouble_of_the_database_is_logged) {
  puppet *p = puppet_new();
  log_lines *log = log_new();
  chat_log_sink sink = {log_write, log};
  chat_cache *cache;
  ck_assert_int_eq(chat_cache_mem_new(NULL, &cache), 0);
  chat_client_config config = {.size = sizeof config, .transport = &p->transport, .cache = cache, .log = &sink};
  chat_client *client;
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, &config, &client), 0);
  ck_assert_int_eq(chat_client_set(client, "caller-driven", "on"), 0);
  ck_assert_int_eq(chat_client_start(client), 0);
  ch_cache_mem_fail(cache, 1, CHAT_E_FULL);
  ck_assert_int_eq(chat_client_process(client), 0);
  expect_line(log, CHAT_LOG_ERROR, "database cannot be used", "CHAT_E_FULL");
  ch_cache_mem_fail(cache, 1, CHAT_E_CORRUPT);
  ck_assert_int_eq(chat_client_search(client, 3, "text", 4, NULL, 0, 1, 0), 0);
  ck_assert_int_eq(chat_client_process(client), 0);
  expect_line(log, CHAT_LOG_ERROR, "database was damaged, set aside", "CHAT_E_CORRUPT");
  chat_client_free(client);
  cache->vtable->free(cache->self);
  log_free(log);
  puppet_free(p);
}
END_TEST

/* Whatever is said and sent: no body, no name, no token. */
START_TEST(nothing_private_is_logged) {
  puppet *p = puppet_new();
  log_lines *log = log_new();
  chat_client *client = client_with_log(p, log, NULL);
  ck_assert_int_eq(chat_client_start(client), 0);
  puppet_connect(p, 1);
  ck_assert_int_eq(client_send(client, 1, "the-private-text"), 0);
  client_expect_reply(client, 1);
  const ch_client_message *send = puppet_expect(p, CH_SEND);
  puppet_say(p, (ch_server_message){.tag = send->tag, .op = CH_ERROR, .u.error = {.code = CHAT_E_INVALID, .text = TEXT("the-private-text")}});
  client_expect(client, CHAT_EVENT_OUTBOX);
  ck_assert_int_eq(chat_client_set(client, "token", "the-secret-token-2"), 0);
  puppet_expect(p, CH_RENEW_TOKEN);
  puppet_lose(p, CHAT_E_IO);
  expect_line(log, CHAT_LOG_WARN, "connection ended", "CHAT_E_IO");
  chat_client_free(client);
  ck_assert(!any_line_holds(log, "the-private-text"));
  ck_assert(!any_line_holds(log, "the-secret-token"));
  ck_assert(!any_line_holds(log, "bob"));
  log_free(log);
  puppet_free(p);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {connection_is_logged, 0},
      {start_that_fails_is_logged, 0},
      {trouble_of_the_database_is_logged, 0},
      {nothing_private_is_logged, 0},
  };
  return RUN_TESTS("client log", rows);
}
