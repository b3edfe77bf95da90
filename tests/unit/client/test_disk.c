/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that fails under the database: what is said, what is not asked for meanwhile, and how the client comes back. */
#include "unit/client/script.h"
#include "unit/core/run.h"

/*
 * What the commits come to: well; the disk is full (nothing is there); or it is not known what is there, and nothing begins until the database has been opened anew
 * (docs/client-database.md).
 */
static struct {
  const chat_cache_vtable *sound;
  chat_cache_vtable table;
  int fault; /* 0, CHAT_E_FULL, CHAT_E_IO */
  bool is_broken, never_begins, fails_to_wipe;
  unsigned opens;
} disk;

static int disk_open(void *self) {
  disk.is_broken = false;
  disk.opens++;
  return disk.sound->open(self);
}

static int disk_begin(void *self) {
  return disk.is_broken || disk.never_begins ? CHAT_E_IO : disk.sound->begin(self);
}

static int disk_commit(void *self, int durable) {
  if (disk.fault == CHAT_E_FULL) return CHAT_E_FULL;
  disk.is_broken = disk.fault != 0;
  int error = disk.sound->commit(self, durable);
  return error ? error : disk.fault;
}

static int disk_wipe(void *self) {
  return disk.fails_to_wipe ? CHAT_E_IO : disk.sound->wipe(self);
}

static script *script_on_disk(void) {
  script *s = script_new();
  disk.sound = s->cache->vtable;
  disk.table = *disk.sound;
  disk.table.open = disk_open;
  disk.table.begin = disk_begin;
  disk.table.commit = disk_commit;
  disk.table.wipe = disk_wipe;
  disk.fault = 0;
  disk.is_broken = disk.never_begins = disk.fails_to_wipe = false;
  disk.opens = 0;
  s->cache->vtable = &disk.table;
  return s;
}

static void free_script(script *s) {
  s->cache->vtable = disk.sound;
  script_free(s);
}

static void check_state(script *s, uint32_t state, int status) {
  ch_client_event *last = NULL;
  for (ch_client_event *event = script_event(s, CHAT_EVENT_STATE); event; event = script_event(s, CHAT_EVENT_STATE)) {
    ch_client_event_free(last);
    last = event;
  }
  ck_assert_ptr_nonnull(last);
  ck_assert_uint_eq(last->event.state, state);
  ck_assert_int_eq(last->event.status, status);
  ch_client_event_free(last);
}

static unsigned count_new_devices(const script *s) {
  unsigned count = 0;
  for (size_t i = 0; i < s->sent_count; i++)
    count += s->sent[i].op == CH_HELLO && !s->sent[i].u.hello.has_device;
  return count;
}

/* ------------------------------------------------------------------------------------------------ devices */

enum { HOUR_MS = 3600 * 1000 };

/* The server registers one at each Hello without one, and has a bound for them. */
START_TEST(a_full_disk_uses_up_no_devices) {
  script *s = script_on_disk();
  script_start(s);
  script_expect(s, CH_HELLO);
  disk.fault = CHAT_E_FULL;
  script_say(s, script_welcome(device_a, 1));
  script_wait(s, HOUR_MS);
  ck_assert_uint_eq(count_new_devices(s), 1);
  check_state(s, CHAT_STATE_CONNECTING, CHAT_E_FULL);
  disk.fault = 0;
  script_reopen(s);
  script_connect(s, 1);
  ck_assert_uint_eq(count_new_devices(s), 2);
  free_script(s);
}
END_TEST

START_TEST(who_starts_on_a_full_disk_asks_for_no_device) {
  script *s = script_on_disk();
  disk.fault = CHAT_E_FULL;
  script_start(s);
  ch_client_event *event = script_event_expect(s, CHAT_EVENT_DATABASE);
  ck_assert_int_eq(event->event.status, CHAT_E_FULL);
  ch_client_event_free(event);
  script_wait(s, HOUR_MS);
  ck_assert_uint_eq(s->sessions, 0);
  disk.fault = 0;
  script_reopen(s);
  script_connect(s, 1);
  free_script(s);
}
END_TEST

/* Each sync fails: what was committed is there or not, which is found out by opening anew. Here it is. */
START_TEST(a_failed_sync_uses_up_no_devices) {
  script *s = script_on_disk();
  script_start(s);
  script_expect(s, CH_HELLO);
  disk.fault = CHAT_E_IO;
  script_say(s, script_welcome(device_a, 1));
  script_wait(s, 1000); /* the next attempt finds out that nothing can be begun */
  check_state(s, CHAT_STATE_OFFLINE, CHAT_E_IO);
  for (int i = 0; i < 100; i++) {
    script_wait(s, HOUR_MS / 100);
    if (s->is_open) script_say(s, script_welcome(device_a, 2));
  }
  ck_assert_uint_eq(count_new_devices(s), 1);
  disk.fault = 0;
  script_skip(s);
  for (int i = 0; i < 3 && !script_next(s, CH_CONFIRM_SESSION); i++) { /* the first may find out that it is to be opened anew */
    script_wait(s, 6000);
    script_reopen(s);
    script_say(s, script_welcome(device_a, 3));
  }
  check_state(s, CHAT_STATE_SYNCING, 0);
  ck_assert_uint_eq(count_new_devices(s), 1);
  free_script(s);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ a sync that failed */

/* The reply says CHAT_E_IO, and yet it may be there (client.h): it is sent then, and the same id again is the same message. */
START_TEST(what_a_failed_sync_left_is_sent_once) {
  uint8_t id[16] = {1, [6] = 0x70, [8] = 0x80};
  script *s = script_on_disk();
  script_start(s);
  script_connect(s, 1);
  ch_client_request request = script_text("text");
  request.has_client_id = 1;
  memcpy(request.client_id, id, 16);
  disk.fault = CHAT_E_IO;
  ck_assert_int_eq(script_do(s, request), CHAT_E_IO);
  disk.fault = 0;
  script_expect_none(s, CH_SEND);
  ck_assert_int_eq(script_do(s, request), CHAT_E_IO); /* until it is opened anew */
  check_state(s, CHAT_STATE_OFFLINE, CHAT_E_IO);
  script_skip(s);
  script_reopen(s);
  script_connect(s, 2);
  ck_assert_int_eq(script_do(s, request), 0);
  const ch_client_message *send = script_expect(s, CH_SEND);
  ck_assert_mem_eq(send->u.send.client_id, id, 16);
  script_expect_none(s, CH_SEND);
  free_script(s);
}
END_TEST

/* It is opened anew within seconds, however often somebody tries meanwhile. */
START_TEST(who_goes_on_trying_does_not_keep_it_shut) {
  script *s = script_on_disk();
  script_start(s);
  script_connect(s, 1);
  disk.fault = CHAT_E_IO;
  ck_assert_int_eq(script_do(s, script_text("one")), CHAT_E_IO);
  disk.fault = 0;
  int status = CHAT_E_IO;
  for (int i = 0; status && i < 60; i++) {
    s->now.elapsed_ms += 100;
    status = script_do(s, script_text("two"));
  }
  ck_assert_int_eq(status, 0);
  free_script(s);
}
END_TEST

/* One that opens and never takes anything is not opened in a circle. */
START_TEST(what_does_not_last_is_opened_now_and_then) {
  script *s = script_on_disk();
  script_start(s);
  script_connect(s, 1);
  disk.never_begins = true;
  for (int i = 0; i < 600; i++) {
    ck_assert_int_eq(script_do(s, script_text("one")), CHAT_E_IO);
    script_wait(s, 100);
  }
  ck_assert_uint_le(disk.opens, 60 / 5 + 2);
  free_script(s);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ logout */

/* The server says farewell to the device that is revoked: who is logged out is not shut out, he has no token. */
static void log_out(script *s) {
  ch_client_request request = {.kind = CH_REQ_LOGOUT, .tag = 3};
  ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0);
  script_pump(s);
  ch_server_message said[] = {{.tag = script_expect(s, CH_REVOKE_DEVICE)->tag, .op = CH_OK}, {.op = CH_GOODBYE, .u.goodbye = {.code = CHAT_E_REVOKED}}};
  script_say_all(s, said, 2);
}

START_TEST(who_logged_out_is_offline) {
  script *s = script_on_disk();
  script_start(s);
  script_connect(s, 1);
  log_out(s);
  check_state(s, CHAT_STATE_OFFLINE, 0);
  script_wait(s, HOUR_MS);
  ck_assert_uint_eq(s->sessions, 1);
  script_skip(s);
  ch_brain_set_token(s->brain, TEXT("token"), s->now);
  script_pump(s);
  script_connect(s, 1);
  ck_assert_uint_eq(count_new_devices(s), 2);
  free_script(s);
}
END_TEST

START_TEST(who_could_not_be_wiped_is_offline_and_can_ask_again) {
  script *s = script_on_disk();
  script_start(s);
  script_connect(s, 1);
  disk.fails_to_wipe = true;
  log_out(s);
  check_state(s, CHAT_STATE_OFFLINE, CHAT_E_IO);
  script_wait(s, HOUR_MS);
  ck_assert_uint_eq(s->sessions, 1); /* the token is gone */
  disk.fails_to_wipe = false;
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_LOGOUT}), CHAT_E_OFFLINE);
  check_state(s, CHAT_STATE_OFFLINE, 0);
  ck_assert_int_eq(script_do(s, (ch_client_request){.kind = CH_REQ_WHOAMI}), CHAT_E_OFFLINE);
  free_script(s);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {a_full_disk_uses_up_no_devices, 0},
      {who_starts_on_a_full_disk_asks_for_no_device, 0},
      {a_failed_sync_uses_up_no_devices, 0},
      {what_a_failed_sync_left_is_sent_once, 0},
      {who_goes_on_trying_does_not_keep_it_shut, 0},
      {what_does_not_last_is_opened_now_and_then, 0},
      {who_logged_out_is_offline, 0},
      {who_could_not_be_wiped_is_offline_and_can_ask_again, 0},
  };
  return RUN_TESTS("disk", rows);
}
