/* SPDX-License-Identifier: Apache-2.0 */
/* chat_client_set: each option of the table, its values and its bounds; before the start and after it. */
#include "client/loop/client_loop.h"
#include "unit/client/puppet.h"
#include "unit/core/run.h"

typedef struct option_case {
  const char *name;
  const char *good[6];
  const char *bad[8];
} option_case;

/* What docs/options.md says of each; the bounds themselves are good, what lies beyond is not. */
static const option_case cases[] = {
    {"url", {"ws://127.0.0.1:1/", "wss://chat.example/", ""}, {NULL}},
    {"token", {"x", ""}, {NULL}},
    {"database", {"/tmp/db", ""}, {NULL}},
    {"device-name", {"a phone", ""}, {NULL}},
    {"ca-file", {"/etc/ca.pem", ""}, {NULL}},
    {"pin-sha256", {"0000000000000000000000000000000000000000000000000000000000000000", ""}, {NULL}},
    {"address", {"127.0.0.1", "::1", ""}, {NULL}},
    {"caller-driven", {"true", "on", "1", "no", "false"}, {"", "2", "maybe"}},
    {"prefetch", {"0", "200", "1000000"}, {"", "-1", "1000001", "x", "1.5", "99999999999999999999"}},
    {"backoff-min", {"1ms", "500ms", "60s", "1m"}, {"", "0", "61s", "60001ms", "5", "-1s"}},
    {"backoff-max", {"1ms", "60s", "1h"}, {"", "0", "61m", "3600001ms"}},
    {"resend", {"100ms", "10s", "10m"}, {"", "99ms", "601s"}},
    {"sync-every", {"1s", "5m", "1d"}, {"", "999ms", "25h"}},
    {"hold", {"0", "300ms", "1m"}, {"", "61s", "-1ms"}},
    {"events-max", {"64", "4096", "1000000"}, {"", "63", "1000001"}},
    {"hidden-types", {"3,8", ""}, {NULL}},
};

static const option_case *case_of(const char *name) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (strcmp(cases[i].name, name) == 0) return &cases[i];
  return NULL;
}

static chat_client *new_client(void) {
  chat_client *client;
  ck_assert_int_eq(chat_client_new(CHAT_API_VERSION, NULL, &client), 0);
  return client;
}

START_TEST(every_row_has_its_values) {
  chat_client *client = new_client();
  for (size_t i = 0; i < ch_client_option_table.count; i++) {
    const char *name = ch_client_option_table.rows[i].name;
    const option_case *row = case_of(name);
    ck_assert_msg(row != NULL, "option %s has no case here", name);
    for (size_t v = 0; v < 6 && row->good[v]; v++)
      ck_assert_msg(chat_client_set(client, name, row->good[v]) == 0, "%s '%s' was refused", name, row->good[v]);
    for (size_t v = 0; v < 8 && row->bad[v]; v++)
      ck_assert_msg(chat_client_set(client, name, row->bad[v]) == CHAT_E_INVALID, "%s '%s' was taken", name, row->bad[v]);
  }
  chat_client_free(client);
}
END_TEST

/* A string that just fits, and one byte more. */
START_TEST(strings_have_their_bound) {
  chat_client *client = new_client();
  char *text = calloc(1, 1 << 16);
  for (size_t i = 0; i < ch_client_option_table.count; i++) {
    const ch_option *row = &ch_client_option_table.rows[i];
    if (row->type != CH_OPTION_STRING) continue;
    memset(text, 'x', 1 << 15);
    text[row->len] = '\0';
    ck_assert_msg(chat_client_set(client, row->name, text) == CHAT_E_INVALID, "%s of %zu bytes was taken", row->name, row->len);
    text[row->len - 1] = '\0';
    ck_assert_msg(chat_client_set(client, row->name, text) == 0, "%s of %zu bytes was refused", row->name, row->len - 1);
  }
  free(text);
  chat_client_free(client);
}
END_TEST

START_TEST(names) {
  chat_client *client = new_client();
  ck_assert_int_eq(chat_client_set(client, "no-such-option", "1"), CHAT_E_UNSUPPORTED);
  ck_assert_int_eq(chat_client_set(client, "", "1"), CHAT_E_UNSUPPORTED);
  ck_assert_int_eq(chat_client_set(client, "Backoff_Min", "1s"), 0); /* compared so in all sources */
  ck_assert_int_eq(chat_client_set(client, NULL, "1"), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_set(client, "token", NULL), CHAT_E_INVALID);
  chat_client_free(client);
}
END_TEST

/* A value that was refused leaves the one before. */
START_TEST(refused_changes_nothing) {
  chat_client *client = new_client();
  ck_assert_int_eq(chat_client_set(client, "prefetch", "7"), 0);
  ck_assert_int_eq(chat_client_set(client, "prefetch", "-1"), CHAT_E_INVALID);
  ck_assert_int_eq((int)client->options.prefetch, 7);
  chat_client_free(client);
}
END_TEST

START_TEST(after_start_only_token_and_url) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  for (size_t i = 0; i < ch_client_option_table.count; i++) {
    const ch_option *row = &ch_client_option_table.rows[i];
    bool may = strcmp(row->name, "token") == 0 || strcmp(row->name, "url") == 0;
    if (!may) ck_assert_int_eq(chat_client_set(client, row->name, case_of(row->name)->good[0]), CHAT_E_INVALID);
  }
  ck_assert_int_eq(chat_client_set(client, "no-such-option", "1"), CHAT_E_UNSUPPORTED);
  ck_assert_int_eq(chat_client_set(client, "token", "another"), 0);
  const ch_client_message *renew = puppet_expect(p, CH_RENEW_TOKEN); /* in the session that there is */
  ck_assert_uint_eq(renew->u.token.len, 7);
  ck_assert_int_eq(chat_client_set(client, "url", "ws://127.0.0.1:2/"), 0);
  puppet_expect(p, CH_HELLO); /* another session */
  ck_assert_str_eq(p->url, "ws://127.0.0.1:2/");
  char *text = calloc(1, 1 << 15);
  memset(text, 'x', (1 << 15) - 1);
  ck_assert_int_eq(chat_client_set(client, "url", text), CHAT_E_INVALID);
  ck_assert_int_eq(chat_client_set(client, "token", text), CHAT_E_INVALID);
  free(text);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(empty_token_goes_offline) {
  puppet *p = puppet_new();
  chat_client *client = client_online(p, NULL);
  client_expect_state(client, CHAT_STATE_LIVE);
  ck_assert_int_eq(chat_client_set(client, "token", ""), 0);
  client_expect_state(client, CHAT_STATE_OFFLINE);
  ck_assert(!p->is_open);
  ck_assert_int_eq(chat_client_set(client, "token", "again"), 0);
  puppet_connect(p, 2);
  client_expect_state(client, CHAT_STATE_LIVE);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

/* What the transport says of a url at once counts like a connection that failed: it is tried again, and a new url is tried at once. */
START_TEST(url_that_the_transport_refuses) {
  puppet *p = puppet_new();
  p->open_error = CHAT_E_INVALID;
  chat_client *client = client_over(p, NULL);
  ck_assert_int_eq(chat_client_start(client), 0);
  client_expect_state(client, CHAT_STATE_CONNECTING);
  pthread_mutex_lock(&p->lock);
  while (p->opens < 3) pthread_cond_wait(&p->changed, &p->lock);
  p->open_error = 0;
  pthread_mutex_unlock(&p->lock);
  ck_assert_int_eq(chat_client_set(client, "url", "ws://127.0.0.1:3/"), 0);
  puppet_connect(p, 1);
  client_expect_state(client, CHAT_STATE_LIVE);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

START_TEST(device_name_goes_out) {
  puppet *p = puppet_new();
  chat_client *client = client_over(p, NULL);
  ck_assert_int_eq(chat_client_set(client, "device-name", "a phone"), 0);
  ck_assert_int_eq(chat_client_start(client), 0);
  const ch_client_message *hello = puppet_expect(p, CH_HELLO);
  ck_assert_uint_eq(hello->u.hello.client.len, 7);
  ck_assert_mem_eq(hello->u.hello.client.data, "a phone", 7);
  chat_client_free(client);
  puppet_free(p);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {every_row_has_its_values, 0}, {strings_have_their_bound, 0},       {names, 0},
      {refused_changes_nothing, 0},  {after_start_only_token_and_url, 0}, {empty_token_goes_offline, 0},
      {url_that_the_transport_refuses, 0}, {device_name_goes_out, 0},
  };
  return RUN_TESTS("client options", rows);
}
