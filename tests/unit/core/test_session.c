/* SPDX-License-Identifier: Apache-2.0 */
#include "core/session.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failing_allocator.h"
#include "run.h"

enum { OUT_MAX = 3 * 1024 * 1024, START_MS = 1000, STATE_COUNT = CH_SESSION_CLOSED + 1 };

static const ch_session_times times = {.hello_ms = 100, .auth_ms = 200, .heartbeat_ms = 15, .idle_ms = 45, .drain_ms = 50};
static ch_session session;

/* In that state, by allowed moves, all at START_MS. */
static void reach(ch_side side, ch_session_state state) {
  ch_session_init(&session, side, &times, NULL, OUT_MAX, START_MS);
  for (int next = CH_SESSION_AUTH; next <= (int)state; next++)
    ch_session_enter(&session, (ch_session_state)next, START_MS);
}

/* --- states --- */

/* Does this move end the process, as a broken invariant does? */
static bool aborts(int from, int to) {
  int status = 0;
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child == 0) {
    reach(CH_SERVER_SIDE, (ch_session_state)from);
    ch_session_enter(&session, (ch_session_state)to, START_MS);
    _exit(0);
  }
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

START_TEST(only_the_moves_of_the_table) {
  static const char *const allowed[STATE_COUNT] = {[CH_SESSION_NEW] = "25", [CH_SESSION_AUTH] = "35", [CH_SESSION_LIVE] = "45",
                                                   [CH_SESSION_DRAINING] = "5", [CH_SESSION_CLOSED] = ""};
  for (int from = CH_SESSION_NEW; from < STATE_COUNT; from++) {
    for (int to = 0; to <= STATE_COUNT; to++) {
      bool may = strchr(allowed[from], '0' + to) != NULL;
      ck_assert_msg(aborts(from, to) == !may, "move %d to %d", from, to);
    }
  }
}
END_TEST

START_TEST(what_is_admitted) {
  static const struct {
    ch_session_state state;
    int hello, other;
  } rows[] = {
      {CH_SESSION_NEW, CHAT_OK, CHAT_E_PROTOCOL},           {CH_SESSION_AUTH, CHAT_E_PROTOCOL, CHAT_E_PROTOCOL},
      {CH_SESSION_LIVE, CHAT_E_PROTOCOL, CHAT_OK},          {CH_SESSION_DRAINING, CHAT_E_PROTOCOL, CHAT_E_AGAIN},
      {CH_SESSION_CLOSED, CHAT_E_CLOSED, CHAT_E_CLOSED},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reach(CH_SERVER_SIDE, rows[i].state);
    ck_assert_int_eq(ch_session_admit(&session, CH_HELLO), rows[i].hello);
    for (int op = CH_CONFIRM_SESSION; op < CH_CLIENT_OP_COUNT; op++)
      ck_assert_int_eq(ch_session_admit(&session, (ch_client_op)op), rows[i].other);
    ck_assert_int_eq(ch_session_admit(&session, CH_CLIENT_NONE), rows[i].other);
  }
}
END_TEST

/* --- time --- */

/* Expires at exactly that moment, not one ms earlier, and says so beforehand. */
static void expires_at(uint64_t at_ms) {
  ck_assert_uint_eq(ch_session_deadline_ms(&session), at_ms);
  ck_assert_int_eq(ch_session_check(&session, at_ms - 1), CH_DUE_NONE);
  ck_assert_int_eq(ch_session_check(&session, at_ms), CH_DUE_EXPIRED);
  ck_assert_int_eq(ch_session_check(&session, UINT64_MAX), CH_DUE_EXPIRED);
}

START_TEST(each_state_has_its_deadline) {
  reach(CH_SERVER_SIDE, CH_SESSION_NEW);
  expires_at(START_MS + 100);
  ch_session_heard(&session, START_MS + 50); /* talking is not saying hello */
  expires_at(START_MS + 100);
  ch_session_enter(&session, CH_SESSION_AUTH, START_MS + 60);
  expires_at(START_MS + 260);
  ch_session_enter(&session, CH_SESSION_LIVE, START_MS + 200); /* the time of the check is no silence */
  expires_at(START_MS + 245);
  ch_session_heard(&session, START_MS + 240);
  expires_at(START_MS + 285);
  ch_session_enter(&session, CH_SESSION_DRAINING, START_MS + 250);
  expires_at(START_MS + 300);
  ch_session_heard(&session, START_MS + 299); /* nor does talk put off the end */
  expires_at(START_MS + 300);
  ch_session_enter(&session, CH_SESSION_CLOSED, START_MS + 300);
  ck_assert_uint_eq(ch_session_deadline_ms(&session), CH_NEVER_MS);
  ck_assert_int_eq(ch_session_check(&session, UINT64_MAX), CH_DUE_NONE);
  ch_session_fini(&session);
}
END_TEST

START_TEST(a_client_beats) {
  static const ch_client_message heartbeat = {.op = CH_HEARTBEAT};
  reach(CH_CLIENT_SIDE, CH_SESSION_LIVE);
  ck_assert_uint_eq(ch_session_deadline_ms(&session), START_MS + 15);
  ck_assert_int_eq(ch_session_check(&session, START_MS + 14), CH_DUE_NONE);
  ck_assert_int_eq(ch_session_check(&session, START_MS + 15), CH_DUE_HEARTBEAT);
  ck_assert_int_eq(ch_session_put_client(&session, &heartbeat), CHAT_OK);
  ck_assert_int_eq(ch_session_check(&session, START_MS + 16), CH_DUE_NONE); /* one waits: a stuck transport gathers no more */
  ck_assert_uint_eq(ch_session_deadline_ms(&session), START_MS + 45);
  ch_session_taken(&session, session.out.len, START_MS + 20);
  ck_assert_uint_eq(ch_session_deadline_ms(&session), START_MS + 35);
  ck_assert_int_eq(ch_session_check(&session, START_MS + 35), CH_DUE_HEARTBEAT);
  ck_assert_int_eq(ch_session_check(&session, START_MS + 45), CH_DUE_EXPIRED); /* the server is silent: that counts more */
  ch_session_fini(&session);
}
END_TEST

/* Before it is in and while the server drains, the deadline of the state is all there is. */
START_TEST(a_client_beats_only_when_live) {
  reach(CH_CLIENT_SIDE, CH_SESSION_NEW);
  ck_assert_uint_eq(ch_session_deadline_ms(&session), START_MS + 100);
  ck_assert_int_eq(ch_session_check(&session, START_MS + 15), CH_DUE_NONE);
  ch_session_fini(&session);
  reach(CH_CLIENT_SIDE, CH_SESSION_DRAINING);
  ck_assert_uint_eq(ch_session_deadline_ms(&session), START_MS + 50);
  ck_assert_int_eq(ch_session_check(&session, START_MS + 15), CH_DUE_NONE);
  ch_session_fini(&session);
}
END_TEST

START_TEST(a_clock_at_its_end) {
  ch_session_init(&session, CH_SERVER_SIDE, &times, NULL, OUT_MAX, UINT64_MAX - 10);
  ck_assert_uint_eq(ch_session_deadline_ms(&session), CH_NEVER_MS);
  ck_assert_int_eq(ch_session_check(&session, UINT64_MAX - 1), CH_DUE_NONE);
  ch_session_fini(&session);
}
END_TEST

/* --- what goes out --- */

static ch_server_message error_of(size_t text_len) {
  static const uint8_t text[CHAT_FRAME_MAX + 1];
  return (ch_server_message){.op = CH_ERROR, .u.error = {CHAT_E_AGAIN, 0, {text, text_len}}};
}

START_TEST(messages_go_out_as_one_frame) {
  ch_server_message ok = {.tag = 1, .op = CH_OK};
  static const uint8_t raw[] = {2, 0x22, 0x00}; /* Ok without a tag */
  reach(CH_SERVER_SIDE, CH_SESSION_LIVE);
  ck_assert_uint_eq(ch_session_peek(&session).len, 0);
  ch_session_taken(&session, 0, START_MS + 5);
  ck_assert_uint_eq(session.last_out_ms, START_MS);
  ck_assert_int_eq(ch_session_put_server(&session, &ok), CHAT_OK);
  ck_assert_int_eq(ch_session_put_raw(&session, ch_bytes_of(raw, sizeof raw)), CHAT_OK);
  static const uint8_t expected[] = {4, 0x08, 0x01, 0x22, 0x00, 2, 0x22, 0x00};
  chat_bytes frame = ch_session_peek(&session);
  ck_assert(ch_bytes_equal(frame, ch_bytes_of(expected, sizeof expected)));
  ck_assert_int_eq(ch_session_put_server(&session, &ok), CHAT_OK); /* while the frame is on its way */
  ch_session_taken(&session, sizeof expected, START_MS + 7);
  ck_assert_uint_eq(session.last_out_ms, START_MS + 7);
  ck_assert(ch_bytes_equal(ch_session_peek(&session), ch_bytes_of(expected, 5)));
  ch_session_fini(&session);
}
END_TEST

START_TEST(a_frame_has_its_bound) {
  ch_server_message half = error_of(CHAT_FRAME_MAX / 2), tiny = error_of(0);
  reach(CH_SERVER_SIDE, CH_SESSION_LIVE);
  ck_assert_int_eq(ch_session_put_server(&session, &half), CHAT_OK);
  size_t half_len = session.out.len;
  ck_assert_int_eq(ch_session_put_server(&session, &tiny), CHAT_OK);
  size_t first_len = session.out.len;
  ck_assert_int_eq(ch_session_put_server(&session, &half), CHAT_OK);
  ck_assert_uint_gt(session.out.len, CHAT_FRAME_MAX);
  ck_assert_uint_eq(ch_session_peek(&session).len, first_len); /* whole messages only */
  ch_session_taken(&session, first_len, START_MS);
  ck_assert_uint_eq(ch_session_peek(&session).len, half_len);
  ch_session_fini(&session);
}
END_TEST

/* The largest Error that a frame holds: its length takes three bytes, and key and length of body and text eight more, code two. */
START_TEST(a_message_larger_than_a_frame) {
  ch_server_message fits = error_of(CHAT_FRAME_MAX - 13), larger = error_of(CHAT_FRAME_MAX - 12), tiny = error_of(0);
  ch_buf raw;
  reach(CH_SERVER_SIDE, CH_SESSION_LIVE);
  ck_assert_int_eq(ch_session_put_server(&session, &fits), CHAT_OK);
  ck_assert_uint_eq(session.out.len, CHAT_FRAME_MAX);
  ck_assert_int_eq(ch_session_put_server(&session, &larger), CHAT_E_TOO_LARGE);
  ck_assert_uint_eq(session.out.len, CHAT_FRAME_MAX);
  ch_buf_init(&raw, NULL, OUT_MAX);
  ck_assert_int_eq(ch_server_message_encode(&larger, &raw), CHAT_OK);
  ck_assert_int_eq(ch_session_put_raw(&session, ch_buf_bytes(&raw)), CHAT_E_TOO_LARGE);
  ch_buf_clear(&raw);
  ck_assert_int_eq(ch_server_message_encode(&fits, &raw), CHAT_OK);
  ck_assert_int_eq(ch_server_message_encode(&fits, &raw), CHAT_OK); /* two frames' worth in one put */
  ck_assert_int_eq(ch_session_put_raw(&session, ch_buf_bytes(&raw)), CHAT_OK);
  ck_assert_uint_eq(session.out.len, 3 * CHAT_FRAME_MAX);
  ch_session_taken(&session, session.out.len, START_MS);
  ch_buf_clear(&raw);
  ck_assert_int_eq(ch_server_message_encode(&tiny, &raw), CHAT_OK);
  ck_assert_int_eq(ch_server_message_encode(&larger, &raw), CHAT_OK); /* the one at fault comes second */
  ck_assert_int_eq(ch_session_put_raw(&session, ch_buf_bytes(&raw)), CHAT_E_TOO_LARGE);
  ck_assert_uint_eq(session.out.len, 0);
  ch_buf_fini(&raw);
  ch_session_fini(&session);
}
END_TEST

/* P8: what a slow reader may leave waiting is bounded, and the queue is whole at the bound. */
START_TEST(a_slow_reader) {
  ch_server_message ok = {.op = CH_OK};
  static const uint8_t raw[] = {2, 0x22, 0x00};
  ch_session_init(&session, CH_SERVER_SIDE, &times, NULL, 7, START_MS);
  ck_assert_int_eq(ch_session_put_server(&session, &ok), CHAT_OK);
  ck_assert_int_eq(ch_session_put_raw(&session, ch_bytes_of(raw, sizeof raw)), CHAT_OK);
  ck_assert_int_eq(ch_session_put_server(&session, &ok), CHAT_E_TOO_LARGE);
  ck_assert_int_eq(ch_session_put_raw(&session, ch_bytes_of(raw, sizeof raw)), CHAT_E_TOO_LARGE);
  ck_assert_uint_eq(ch_session_peek(&session).len, 6);
  ch_session_taken(&session, 3, START_MS);
  ck_assert_int_eq(ch_session_put_server(&session, &ok), CHAT_OK);
  ch_session_fini(&session);
}
END_TEST

START_TEST(no_memory) {
  failing_allocator memory;
  ch_server_message ok = {.op = CH_OK};
  static const uint8_t raw[] = {2, 0x22, 0x00};
  failing_allocator_init(&memory, 0);
  ch_session_init(&session, CH_SERVER_SIDE, &times, &memory.alloc, OUT_MAX, START_MS);
  ck_assert_int_eq(ch_session_put_server(&session, &ok), CHAT_E_NOMEM);
  ck_assert_int_eq(ch_session_put_raw(&session, ch_bytes_of(raw, sizeof raw)), CHAT_E_NOMEM);
  memory.left = 1; /* a hole in what was said is not made good by what follows */
  ck_assert_int_eq(ch_session_put_raw(&session, ch_bytes_of(raw, sizeof raw)), CHAT_E_NOMEM);
  ck_assert_uint_eq(ch_session_peek(&session).len, 0);
  ch_session_fini(&session);
}
END_TEST

START_TEST(a_closed_session) {
  ch_server_message ok = {.op = CH_OK};
  ch_client_message list = {.op = CH_LIST_DEVICES};
  static const uint8_t raw[] = {2, 0x22, 0x00};
  reach(CH_SERVER_SIDE, CH_SESSION_DRAINING);
  ck_assert_int_eq(ch_session_put_server(&session, &ok), CHAT_OK); /* replies that were still owed */
  ch_session_enter(&session, CH_SESSION_CLOSED, START_MS);
  ck_assert_int_eq(ch_session_put_server(&session, &ok), CHAT_E_CLOSED);
  ck_assert_int_eq(ch_session_put_raw(&session, ch_bytes_of(raw, sizeof raw)), CHAT_E_CLOSED);
  ck_assert_uint_eq(ch_session_peek(&session).len, 3); /* the last words can still be written */
  ch_session_fini(&session);
  reach(CH_CLIENT_SIDE, CH_SESSION_CLOSED);
  ck_assert_int_eq(ch_session_put_client(&session, &list), CHAT_E_CLOSED);
  ch_session_fini(&session);
}
END_TEST

START_TEST(a_client_does_not_speak_as_a_server) {
  ch_server_message ok = {.op = CH_OK};
  reach(CH_CLIENT_SIDE, CH_SESSION_LIVE);
  ch_session_put_server(&session, &ok);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {only_the_moves_of_the_table, 0},
      {what_is_admitted, 0},
      {each_state_has_its_deadline, 0},
      {a_client_beats, 0},
      {a_client_beats_only_when_live, 0},
      {a_clock_at_its_end, 0},
      {messages_go_out_as_one_frame, 0},
      {a_frame_has_its_bound, 0},
      {a_message_larger_than_a_frame, 0},
      {a_slow_reader, 0},
      {no_memory, 0},
      {a_closed_session, 0},
      {a_client_does_not_speak_as_a_server, SIGABRT},
  };
  return RUN_TESTS("session", rows);
}
