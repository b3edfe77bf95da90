/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script.h - a brain over the in-memory cache, and a server that says what the test's script tells it to. Time and randomness are the test's.
 */
#ifndef CH_TEST_SCRIPT_H
#define CH_TEST_SCRIPT_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cache_mem.h"
#include "client/brain/brain.h"
#include "core/conversation_id.h"

enum { SENT_MAX = 4096, HEARTBEAT_MS = 15000, HOLD_MS = 300, RESEND_MS = 10000, IDLE_MS = 45000 };

typedef struct script {
  ch_brain *brain;
  chat_cache *cache;
  ch_brain_config config;
  ch_now now;
  uint64_t random;
  bool is_open;      /* the transport */
  uint32_t sessions; /* opened so far */
  ch_arena arena;    /* what the client sent lives to the end of the test */
  ch_client_message sent[SENT_MAX];
  size_t sent_count, sent_at;
  uint64_t sync_tag;
} script;

#define TEXT(text) ((chat_bytes){(const uint8_t *)(text), sizeof(text) - 1})
static const uint8_t device_a[16] = {0xd1}, device_b[16] = {0xd2};

static inline void script_random(void *arg, void *bytes, size_t len) {
  script *s = arg;
  uint8_t *to = bytes;
  for (size_t i = 0; i < len; i++) {
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    to[i] = (uint8_t)(s->random >> 56);
  }
}

/* What the client wrote, decoded, to the list of what was sent. */
static inline void script_take_frame(script *s, chat_bytes frame) {
  const uint8_t *copy = ch_arena_dup(&s->arena, frame.data, frame.len);
  chat_bytes rest = {copy, frame.len}, bytes;
  while (ch_frame_next(&rest, &bytes) == 0) {
    ck_assert_uint_lt(s->sent_count, SENT_MAX);
    ck_assert_int_eq(ch_client_message_decode(bytes, &s->arena, &s->sent[s->sent_count++]), 0);
  }
}

/* Does what the brain wants of the transport until it wants nothing. */
static inline void script_pump(script *s) {
  for (bool any = true; any;) {
    any = false;
    for (ch_brain_want want = ch_brain_wants(s->brain); want != CH_WANT_NOTHING; want = ch_brain_wants(s->brain)) {
      any = true;
      s->is_open = want == CH_WANT_OPEN;
      s->sessions += s->is_open;
      if (s->is_open) ch_brain_opened(s->brain, s->now);
    }
    chat_bytes frame = ch_brain_peek(s->brain);
    if (!s->is_open || frame.len == 0) continue;
    any = true;
    script_take_frame(s, frame);
    ch_brain_taken(s->brain, s->now);
  }
}

static inline void script_attach(script *s, chat_cache *cache) {
  ch_env env = {.alloc = NULL, .random = script_random, .random_arg = s};
  s->cache = cache;
  s->config.cache = cache;
  s->is_open = false;
  ck_assert_int_eq(ch_brain_new(&env, &s->config, &s->brain), 0);
}

static inline script *script_new(void) {
  script *s = calloc(1, sizeof *s);
  s->now = (ch_now){1000, 1700000000000};
  s->random = 7;
  s->config = (ch_brain_config){.client_name = TEXT("test"), .times = {10000, 10000, HEARTBEAT_MS, IDLE_MS, 5000}, .backoff_min_ms = 500,
                                .backoff_max_ms = 60000, .prefetch = 200, .hold_ms = HOLD_MS, .hold_max = 256, .resend_ms = RESEND_MS,
                                .sync_every_ms = 300000, .ranges_max = 4, .outbox_max = 10000, .in_flight_max = 32, .requests_max = 64, .events_max = 1024};
  ch_arena_init(&s->arena, NULL, 65536, 256 * 1024 * 1024);
  chat_cache *cache;
  ck_assert_int_eq(chat_cache_mem_new(NULL, &cache), 0);
  script_attach(s, cache);
  return s;
}

static inline void script_free(script *s) {
  ch_brain_free(s->brain);
  s->cache->vtable->free(s->cache->self);
  ch_arena_fini(&s->arena);
  free(s);
}

static inline void script_start(script *s) {
  ck_assert_int_eq(ch_brain_start(s->brain, s->now), 0);
  ch_brain_set_token(s->brain, TEXT("token"), s->now);
  script_pump(s);
}

/* The process dies and starts again on the same database. */
static inline void script_restart(script *s) {
  ch_brain_free(s->brain);
  script_attach(s, s->cache);
  script_start(s);
}

/* Time passes, each deadline being kept on its way. */
static inline void script_wait(script *s, uint64_t ms) {
  uint64_t end_ms = s->now.elapsed_ms + ms;
  for (int steps = 0; steps < 100000; steps++) {
    uint64_t due_ms = ch_brain_deadline_ms(s->brain), before_ms = s->now.elapsed_ms;
    if (due_ms > end_ms) break;
    if (due_ms > before_ms) s->now = (ch_now){due_ms, s->now.wall_ms + due_ms - before_ms};
    ch_brain_tick(s->brain, s->now);
    script_pump(s);
  }
  if (s->now.elapsed_ms < end_ms) s->now = (ch_now){end_ms, s->now.wall_ms + end_ms - s->now.elapsed_ms};
  ch_brain_tick(s->brain, s->now);
  script_pump(s);
}

static inline void script_say_all(script *s, const ch_server_message *messages, size_t count) {
  ch_buf frame;
  ch_buf_init(&frame, NULL, CHAT_FRAME_MAX);
  for (size_t i = 0; i < count; i++)
    ck_assert_int_eq(ch_server_message_encode(&messages[i], &frame), 0);
  ch_brain_frame(s->brain, ch_buf_bytes(&frame), s->now);
  ch_buf_fini(&frame);
  script_pump(s);
}

static inline void script_say(script *s, ch_server_message message) {
  script_say_all(s, &message, 1);
}

/* The next message of that kind which the client sent and no one asked for yet; NULL: none. What was sent before it is passed over. */
static inline const ch_client_message *script_next(script *s, ch_client_op op) {
  for (size_t i = s->sent_at; i < s->sent_count; i++) {
    if (s->sent[i].op != op) continue;
    s->sent_at = i + 1;
    return &s->sent[i];
  }
  return NULL;
}

/* The last of all, whether asked for or not; nothing before it is looked at any more. */
static inline const ch_client_message *script_last(script *s, ch_client_op op) {
  const ch_client_message *last = NULL;
  for (size_t i = 0; i < s->sent_count; i++)
    if (s->sent[i].op == op) last = &s->sent[i];
  ck_assert_ptr_nonnull(last);
  s->sent_at = (size_t)(last - s->sent) + 1;
  return last;
}

static inline const ch_client_message *script_expect(script *s, ch_client_op op) {
  const ch_client_message *message = script_next(s, op);
  ck_assert_msg(message != NULL, "the client did not send %d", (int)op);
  return message;
}

static inline void script_expect_none(script *s, ch_client_op op) {
  for (size_t i = s->sent_at; i < s->sent_count; i++)
    ck_assert_msg(s->sent[i].op != op, "the client sent %d", (int)op);
}

/* What was sent so far is of no interest. */
static inline void script_skip(script *s) {
  s->sent_at = s->sent_count;
}

static inline ch_server_message script_welcome(const uint8_t device[16], uint64_t session) {
  ch_server_message welcome = {.op = CH_WELCOME};
  welcome.u.welcome = (ch_welcome){.version = 1, .user = TEXT("alice"), .device_session = session,
                                   .limits = {HEARTBEAT_MS, CHAT_FRAME_MAX, CHAT_BODY_MAX, CHAT_META_MAX, CHAT_PAGE_MAX, CHAT_GROUP_MEMBERS_MAX, 32}};
  memcpy(welcome.u.welcome.device_id, device, 16);
  return welcome;
}

static inline void script_sync(script *s, const chat_head *heads, size_t count, uint64_t position) {
  uint64_t tag = script_expect(s, CH_SYNC)->tag;
  script_say(s, (ch_server_message){.tag = tag, .op = CH_SYNC_REPLY, .u.sync_reply = {.heads = heads, .head_count = count, .position = position}});
}

/* HELLO … WELCOME … an empty sync. */
static inline void script_connect(script *s, uint64_t session) {
  ch_server_message welcome = script_welcome(device_a, session);
  welcome.tag = script_expect(s, CH_HELLO)->tag;
  script_say(s, welcome);
  script_expect(s, CH_CONFIRM_SESSION);
  script_sync(s, NULL, 0, 10);
}

static inline script *script_online(void) {
  script *s = script_new();
  script_start(s);
  script_connect(s, 1);
  return s;
}

/* Waits out the back-off. */
static inline void script_reopen(script *s) {
  for (int i = 0; i < 700 && !s->is_open; i++)
    script_wait(s, 100);
  ck_assert(s->is_open);
}

static inline void script_lose(script *s) {
  s->is_open = false;
  ch_brain_closed(s->brain, CHAT_E_CLOSED, s->now);
  script_reopen(s);
}

/* ------------------------------------------------------------------------------------------------ events */

/* The next event of that type, those before it dropped; NULL: none. The caller frees it. */
static inline ch_client_event *script_event(script *s, uint32_t type) {
  for (ch_client_event *event = ch_brain_next_event(s->brain); event; event = ch_brain_next_event(s->brain)) {
    if (event->event.type == type) return event;
    ch_client_event_free(event);
  }
  return NULL;
}

static inline ch_client_event *script_event_expect(script *s, uint32_t type) {
  ch_client_event *event = script_event(s, type);
  ck_assert_msg(event != NULL, "no event %u", type);
  return event;
}

static inline void script_no_event(script *s, uint32_t type) {
  ck_assert_ptr_null(script_event(s, type));
}

/* Makes a request; gives its reply, which must be there at once. */
static inline ch_client_event *script_ask(script *s, ch_client_request request) {
  static uint64_t tag = 100;
  request.tag = ++tag;
  ck_assert_int_eq(ch_brain_request(s->brain, &request, s->now), 0);
  script_pump(s);
  ch_client_event *reply = script_event_expect(s, CHAT_EVENT_REPLY);
  ck_assert_uint_eq(reply->event.tag, request.tag);
  return reply;
}

static inline int script_do(script *s, ch_client_request request) {
  ch_client_event *reply = script_ask(s, request);
  int status = reply->event.status;
  ch_client_event_free(reply);
  return status;
}

/* Into the conversation with bob. */
static inline ch_client_request script_text(const char *body) {
  return (ch_client_request){.kind = CH_REQ_SEND, .user = TEXT("bob"), .body = {(const uint8_t *)body, strlen(body)}};
}

static inline const uint8_t *script_bob(void) {
  static uint8_t id[16];
  ch_conversation_id_direct(TEXT("alice"), TEXT("bob"), id);
  return id;
}

/* ------------------------------------------------------------------------------------------------ what servers say of a SEND */

static inline void script_answer(script *s, const ch_client_message *send, ch_answer_code code, int error) {
  ch_server_message message = {.op = CH_ANSWER, .u.answer = {.code = code, .client_seq = send->u.send.client_seq, .error = error}};
  memcpy(message.u.answer.conversation_id, send->u.send.conversation_id, 16);
  memcpy(message.u.answer.client_id, send->u.send.client_id, 16);
  script_say(s, message);
}

static inline void script_verdict(script *s, const ch_client_message *send, ch_verdict_code code, uint64_t last, uint64_t head, int error) {
  ch_server_message message = {.op = CH_VERDICT,
                               .u.verdict = {.code = code, .client_seq = send->u.send.client_seq, .last = last, .head = head, .error = error}};
  memcpy(message.u.verdict.conversation_id, send->u.send.conversation_id, 16);
  memcpy(message.u.verdict.client_id, send->u.send.client_id, 16);
  script_say(s, message);
}

static inline chat_row script_row_of(const ch_client_message *send, uint64_t seq) {
  chat_row row = {.seq = seq, .msg_no = seq, .message_id = seq * 100, .created_ms = 1700000000000 + seq, .client_seq = send->u.send.client_seq,
                  .sender = TEXT("alice"), .type = send->u.send.type, .payload = send->u.send.payload};
  memcpy(row.conversation_id, send->u.send.conversation_id, 16);
  memcpy(row.client_id, send->u.send.client_id, 16);
  memcpy(row.device_id, device_a, 16);
  return row;
}

static inline chat_bytes script_payload(script *s, const char *body) {
  ch_content content = {.type = CHAT_TYPE_MESSAGE, .body = {(const uint8_t *)body, strlen(body)}};
  ch_buf buf;
  ch_buf_init(&buf, NULL, CHAT_FRAME_MAX);
  ck_assert_int_eq(ch_content_encode(&content, &buf), 0);
  chat_bytes payload = {ch_arena_dup(&s->arena, buf.data, buf.len), buf.len};
  ch_buf_fini(&buf);
  return payload;
}

/* A message of bob's in the conversation with him. */
static inline chat_row script_row_of_bob(script *s, uint64_t seq) {
  chat_row row = {.seq = seq, .msg_no = seq, .message_id = seq * 100, .created_ms = 1700000000000 + seq, .client_seq = seq, .sender = TEXT("bob"),
                  .type = CHAT_TYPE_MESSAGE, .payload = script_payload(s, "hello from bob")};
  memcpy(row.conversation_id, script_bob(), 16);
  row.device_id[0] = 0xb0;
  row.client_id[0] = 0xb0;
  row.client_id[15] = (uint8_t)seq;
  row.client_id[14] = (uint8_t)(seq >> 8);
  return row;
}

static inline chat_head script_head_of_bob(uint64_t head) {
  chat_head out = {.kind = CHAT_DIRECT, .role = CHAT_ROLE_MEMBER, .head = head, .msg_no = head, .active_ms = 1700000000000 + head, .first = 1};
  memcpy(out.conversation_id, script_bob(), 16);
  return out;
}

static inline void script_live(script *s, uint64_t previous, uint64_t position, const chat_row *rows, size_t count) {
  script_say(s, (ch_server_message){.op = CH_LIVE, .u.live = {.previous = previous, .position = position, .events = rows, .event_count = count}});
}

/* Answers the next RANGE with these rows: (low, high] of a state whose head is `head`. */
static inline void script_range(script *s, ch_range_status status, uint64_t high, uint64_t head, const chat_row *rows, size_t count) {
  const ch_client_message *range = script_expect(s, CH_RANGE);
  ch_server_message reply = {.tag = range->tag, .op = CH_RANGE_REPLY,
                             .u.range_reply = {.status = status, .low = range->u.range.low, .high = high, .head = head, .events = rows, .event_count = count}};
  memcpy(reply.u.range_reply.conversation_id, range->u.range.conversation_id, 16);
  script_say(s, reply);
}

/* A sync makes the conversation with bob known, its first `count` messages are fetched. */
static inline void script_know_bob(script *s, uint64_t count, uint64_t position) {
  chat_row rows[64];
  chat_head head = script_head_of_bob(count);
  ck_assert_uint_le(count, 64);
  for (uint64_t i = 0; i < count; i++)
    rows[i] = script_row_of_bob(s, i + 1);
  script_live(s, 0, position, NULL, 0); /* a broken chain asks for a sync */
  script_wait(s, 0);
  script_sync(s, &head, 1, position);
  if (count > 0) script_range(s, CH_RANGE_COMPLETE, count, count, rows, count);
}

static inline chat_conversation script_bob_now(script *s) {
  ch_client_request request = {.kind = CH_REQ_CONVERSATION};
  memcpy(request.conversation_id, script_bob(), 16);
  ch_client_event *reply = script_ask(s, request);
  ck_assert_int_eq(reply->event.status, 0);
  chat_conversation conversation = *reply->event.conversations[0];
  ch_client_event_free(reply);
  return conversation;
}

#endif
