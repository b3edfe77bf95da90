/* SPDX-License-Identifier: Apache-2.0 */
/* What of the directory on Redis needs no server: where a key is, what a url means, what is sent. On servers: tests/services. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "backend/directory_redis/command.h"
#include "backend/directory_redis/script.h"
#include "backend/directory_redis/slot.h"
#include "backend/directory_redis/url.h"

/* ------------------------------------------------------------------------------------------------ slots */

/* The first is the check value of CRC-16/XMODEM (0x31c3), and of Redis's specification; the others are in its documentation of CLUSTER KEYSLOT, MOVED and hash tags. */
START_TEST(a_key_s_slot_is_that_of_redis_cluster) {
  static const struct {
    const char *tag;
    uint16_t slot;
  } rows[] = {{"123456789", 0x31c3}, {"somekey", 11058}, {"foo", 12182}, {"hello", 866}, {"", 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_uint_eq(ch_redis_slot_of(ch_bytes_text(rows[i].tag)), rows[i].slot);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ keys */

static const char *key_of_user(const char *user) {
  static ch_redis_command command;
  static const char *const prefixes[] = {"conn", NULL};
  ch_redis_tag tag = ch_redis_tag_of_user(ch_bytes_text(user));
  ch_redis_command_init(&command, CH_REDIS_RAISE, &tag, prefixes);
  ck_assert_uint_eq(command.keys[0].len, strlen(command.keys[0].text));
  return command.keys[0].text;
}

START_TEST(a_key_has_a_tag_and_is_of_one_user_alone) {
  ck_assert_str_eq(key_of_user("ada"), "conn:{ada}");
  ck_assert_str_eq(key_of_user("}"), "conn:{%7D}"); /* an empty tag would be none */
  ck_assert_str_eq(key_of_user("%7D"), "conn:{%257D}");
  ck_assert_str_eq(key_of_user("a{b}c"), "conn:{a{b%7Dc}");
  char longest[CHAT_USER_ID_MAX + 1];
  memset(longest, '}', CHAT_USER_ID_MAX);
  longest[CHAT_USER_ID_MAX] = '\0';
  ck_assert_uint_eq(strlen(key_of_user(longest)), strlen("conn:{}") + 3 * CHAT_USER_ID_MAX);
}
END_TEST

START_TEST(a_command_has_its_arguments_as_text) {
  static const char *const prefixes[] = {"presence", "conn", "pos", NULL};
  const uint8_t id[16] = {0x01, 0xff};
  ch_redis_command command;
  ch_redis_tag tag = ch_redis_tag_of_id(id);
  ch_redis_command_init(&command, CH_REDIS_RENEW, &tag, prefixes);
  ch_redis_command_number(&command, UINT64_MAX);
  ch_redis_command_device(&command, id);
  ch_redis_command_number(&command, 0);
  ck_assert_int_eq(command.key_count, 3);
  ck_assert_str_eq(command.keys[2].text, "pos:{01ff0000000000000000000000000000}");
  ck_assert_uint_eq(command.slot, ch_redis_slot_of(ch_bytes_text("01ff0000000000000000000000000000")));
  ck_assert(ch_bytes_equal(command.args[0], ch_bytes_text("18446744073709551615")));
  ck_assert(ch_bytes_equal(command.args[1], ch_bytes_text("01ff0000000000000000000000000000")));
  ck_assert(ch_bytes_equal(command.args[2], ch_bytes_text("0")));
}
END_TEST

/* Redis is the judge of the scripts; here: each has a name of its own. */
START_TEST(scripts_have_names) {
  ch_redis_scripts scripts;
  ck_assert_int_eq(ch_redis_scripts_init(&scripts), 0);
  for (int i = 0; i < CH_REDIS_SCRIPT_COUNT; i++) {
    ck_assert_uint_eq(strspn(scripts.sha[i], "0123456789abcdef"), CH_REDIS_SHA_LEN);
    for (int j = 0; j < i; j++)
      ck_assert_str_ne(scripts.sha[i], scripts.sha[j]);
  }
}
END_TEST

/* ------------------------------------------------------------------------------------------------ urls */

static int parse(const char *text, ch_redis_url *url, char why[200]) {
  ch_buf buf;
  ch_buf_init(&buf, NULL, 199);
  int error = ch_redis_url_parse(text, url, &buf);
  memset(why, 0, 200);
  if (buf.len) memcpy(why, buf.data, buf.len);
  ch_buf_fini(&buf);
  return error;
}

START_TEST(a_url_says_where_and_how) {
  static const struct {
    const char *text;
    bool is_cluster, has_tls;
    const char *user, *password, *first, *last;
    uint16_t first_port, last_port;
    size_t count;
    uint32_t database;
  } rows[] = {
      {"redis://h", false, false, "", "", "h", "h", 6379, 6379, 1, 0},
      {"redis://h:1/", false, false, "", "", "h", "h", 1, 1, 1, 0},
      {"redis://a:7000,b,[::1]:65535/15", false, false, "", "", "a", "::1", 7000, 65535, 3, 15},
      {"rediss://:pw@10.0.0.1:6380", false, true, "", "pw", "10.0.0.1", "10.0.0.1", 6380, 6380, 1, 0},
      {"redis-cluster://u:p%40%3a%2F@a,b", true, false, "u", "p@:/", "a", "b", 6379, 6379, 2, 0},
      {"rediss-cluster://[fe80::1],x:2", true, true, "", "", "fe80::1", "x", 6379, 2, 2, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ch_redis_url url;
    char why[200];
    ck_assert_msg(parse(rows[i].text, &url, why) == 0, "%s: %s", rows[i].text, why);
    ck_assert_int_eq(url.is_cluster, rows[i].is_cluster);
    ck_assert_int_eq(url.has_tls, rows[i].has_tls);
    ck_assert_str_eq(url.user, rows[i].user);
    ck_assert_str_eq(url.password, rows[i].password);
    ck_assert_uint_eq(url.count, rows[i].count);
    ck_assert_str_eq(url.addresses[0].host, rows[i].first);
    ck_assert_uint_eq(url.addresses[0].port, rows[i].first_port);
    ck_assert_str_eq(url.addresses[url.count - 1].host, rows[i].last);
    ck_assert_uint_eq(url.addresses[url.count - 1].port, rows[i].last_port);
    ck_assert_uint_eq(url.database, rows[i].database);
  }
}
END_TEST

START_TEST(what_is_no_url_is_refused_without_telling_it) {
  static const char *const texts[] = {
      "", "mem", "redis:", "redis:/h", "http://h", "redis://", "redis://,", "redis://h,", "redis://h:", "redis://h:0", "redis://h:65536", "redis://h:123456", "redis://h:x", "redis://:1",
      "redis://[::1", "redis://[]", "redis://[::1]x", "redis://h/x", "redis://h/16384", "redis://h/-1", "redis-cluster://h/1", "redis://secret@h", "redis://u:@h", "redis://u:secret%@h",
      "redis://u:secret%4@h", "redis://u:secret%zz@h", "redis://u:secret%00@h",
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    ch_redis_url url;
    char why[200];
    ck_assert_msg(parse(texts[i], &url, why) == CHAT_E_INVALID, "%s", texts[i]);
    ck_assert_uint_gt(strlen(why), 0);
    ck_assert_ptr_null(strstr(why, "secret"));
  }
}
END_TEST

static void repeat(char *out, size_t size, const char *begin, const char *part, size_t count, const char *end) {
  size_t len = strlen(begin), part_len = strlen(part);
  ck_assert_uint_lt(len + count * part_len + strlen(end), size);
  memcpy(out, begin, len);
  for (; count > 0; count--, len += part_len)
    memcpy(out + len, part, part_len);
  memcpy(out + len, end, strlen(end) + 1);
}

START_TEST(a_url_has_bounds) {
  ch_redis_url url;
  char text[1000], why[200];
  const struct {
    const char *begin, *part, *end;
    size_t most;
  } rows[] = {{"redis://", "h", "", CH_REDIS_HOST_MAX}, {"redis://:", "p", "@h", CH_REDIS_SECRET_MAX}, {"redis://", "u", ":p@h", CH_REDIS_SECRET_MAX}, {"redis://", "h,", "h", CH_REDIS_SEEDS_MAX - 1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    repeat(text, sizeof text, rows[i].begin, rows[i].part, rows[i].most, rows[i].end);
    ck_assert_int_eq(parse(text, &url, why), 0);
    repeat(text, sizeof text, rows[i].begin, rows[i].part, rows[i].most + 1, rows[i].end);
    ck_assert_int_eq(parse(text, &url, why), CHAT_E_INVALID);
  }
}
END_TEST

int main(void) {
  Suite *suite = suite_create("directory on Redis");
  TCase *tcase = tcase_create("without a server");
  tcase_add_test(tcase, a_key_s_slot_is_that_of_redis_cluster);
  tcase_add_test(tcase, a_key_has_a_tag_and_is_of_one_user_alone);
  tcase_add_test(tcase, a_command_has_its_arguments_as_text);
  tcase_add_test(tcase, scripts_have_names);
  tcase_add_test(tcase, a_url_says_where_and_how);
  tcase_add_test(tcase, what_is_no_url_is_refused_without_telling_it);
  tcase_add_test(tcase, a_url_has_bounds);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
