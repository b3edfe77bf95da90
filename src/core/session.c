/* SPDX-License-Identifier: Apache-2.0 */
#include "core/session.h"

#include <string.h>

#include "core/assert.h"

/* Rows: from; columns: to. session.h says what each move means. */
static const bool moves[CH_SESSION_CLOSED + 1][CH_SESSION_CLOSED + 1] = {
    [CH_SESSION_NEW] = {[CH_SESSION_AUTH] = true, [CH_SESSION_CLOSED] = true},
    [CH_SESSION_AUTH] = {[CH_SESSION_LIVE] = true, [CH_SESSION_CLOSED] = true},
    [CH_SESSION_LIVE] = {[CH_SESSION_DRAINING] = true, [CH_SESSION_CLOSED] = true},
    [CH_SESSION_DRAINING] = {[CH_SESSION_CLOSED] = true},
};

void ch_session_init(ch_session *session, ch_side side, const ch_session_times *times, const ch_allocator *alloc, size_t out_max, uint64_t now_ms) {
  *session = (ch_session){
      .side = side,
      .state = CH_SESSION_NEW,
      .times = *times,
      .state_since_ms = now_ms,
      .last_in_ms = now_ms,
      .last_out_ms = now_ms,
  };
  ch_buf_init(&session->out, alloc, out_max);
}

void ch_session_fini(ch_session *session) {
  ch_buf_fini(&session->out);
}

void ch_session_enter(ch_session *session, ch_session_state state, uint64_t now_ms) {
  ch_assert(state >= CH_SESSION_NEW && state <= CH_SESSION_CLOSED && moves[session->state][state]);
  session->state = state;
  session->state_since_ms = now_ms;
  /* Silence is counted from here on: while credentials were checked the peer had nothing to say. */
  if (state == CH_SESSION_LIVE) session->last_in_ms = now_ms;
}

int ch_session_admit(const ch_session *session, ch_client_op op) {
  bool hello = op == CH_HELLO;
  switch (session->state) {
  case CH_SESSION_NEW: return hello ? CHAT_OK : CHAT_E_PROTOCOL;
  case CH_SESSION_AUTH: return CHAT_E_PROTOCOL; /* nothing passes before Welcome */
  case CH_SESSION_LIVE: return hello ? CHAT_E_PROTOCOL : CHAT_OK;
  case CH_SESSION_DRAINING: return hello ? CHAT_E_PROTOCOL : CHAT_E_AGAIN;
  case CH_SESSION_CLOSED: break;
  }
  return CHAT_E_CLOSED;
}

void ch_session_heard(ch_session *session, uint64_t now_ms) {
  session->last_in_ms = now_ms;
}

/* A message that no frame can hold would stop all that waits behind it. */
static int fits_frame(chat_bytes messages) {
  while (messages.len > CHAT_FRAME_MAX) {
    chat_bytes rest = messages, message;
    int error = ch_frame_next(&rest, &message);
    ch_assert(!error);
    if (messages.len - rest.len > CHAT_FRAME_MAX) return CHAT_E_TOO_LARGE;
    messages = rest;
  }
  return CHAT_OK;
}

/* What was appended behind before_len: kept, or taken back. */
static int finish_put(ch_session *session, size_t before_len, int error) {
  ch_buf *out = &session->out;
  if (!error) error = fits_frame(ch_bytes_of(out->data + before_len, out->len - before_len));
  if (error) out->len = before_len;
  return error;
}

int ch_session_put_server(ch_session *session, const ch_server_message *message) {
  size_t before_len = session->out.len;
  ch_assert(session->side == CH_SERVER_SIDE);
  if (session->state == CH_SESSION_CLOSED) return CHAT_E_CLOSED;
  return finish_put(session, before_len, ch_server_message_encode(message, &session->out));
}

int ch_session_put_client(ch_session *session, const ch_client_message *message) {
  size_t before_len = session->out.len;
  ch_assert(session->side == CH_CLIENT_SIDE);
  if (session->state == CH_SESSION_CLOSED) return CHAT_E_CLOSED;
  return finish_put(session, before_len, ch_client_message_encode(message, &session->out));
}

int ch_session_put_raw(ch_session *session, chat_bytes messages) {
  ch_buf *out = &session->out;
  if (session->state == CH_SESSION_CLOSED) return CHAT_E_CLOSED;
  if (out->error) return out->error;
  if (messages.len > out->max_len - out->len || fits_frame(messages)) return CHAT_E_TOO_LARGE;
  return ch_buf_put(out, messages);
}

/* As many whole messages as a frame holds: all of them, almost always. */
chat_bytes ch_session_peek(const ch_session *session) {
  chat_bytes all = ch_buf_bytes(&session->out), rest = all, message;
  if (all.len <= CHAT_FRAME_MAX) return all;
  size_t len = 0;
  while (all.len - rest.len <= CHAT_FRAME_MAX) {
    len = all.len - rest.len;
    int error = ch_frame_next(&rest, &message);
    ch_assert(!error);
  }
  return ch_bytes_of(all.data, len);
}

void ch_session_taken(ch_session *session, size_t len, uint64_t now_ms) {
  ch_buf *out = &session->out;
  ch_assert(len <= out->len);
  if (len == 0) return;
  session->last_out_ms = now_ms;
  if (len == out->len) { /* most sessions are silent most of the time: they hold no memory for what they might say */
    ch_buf_fini(out);
    return;
  }
  memmove(out->data, out->data + len, out->len - len);
  out->len -= len;
}

static uint64_t later(uint64_t since_ms, uint32_t ms) {
  return since_ms > CH_NEVER_MS - ms ? CH_NEVER_MS : since_ms + ms;
}

/* When the present state ends by itself. */
static uint64_t expiry_ms(const ch_session *session) {
  const ch_session_times *times = &session->times;
  switch (session->state) {
  case CH_SESSION_NEW: return later(session->state_since_ms, times->hello_ms);
  case CH_SESSION_AUTH: return later(session->state_since_ms, times->auth_ms);
  case CH_SESSION_LIVE: return later(session->last_in_ms, times->idle_ms);
  case CH_SESSION_DRAINING: return later(session->state_since_ms, times->drain_ms);
  case CH_SESSION_CLOSED: break;
  }
  return CH_NEVER_MS;
}

/* While anything waits to go out a heartbeat would say no more, and one would be put behind the other where the transport is stuck. */
static uint64_t heartbeat_ms(const ch_session *session) {
  bool beats = session->side == CH_CLIENT_SIDE && session->state == CH_SESSION_LIVE && session->out.len == 0;
  return beats ? later(session->last_out_ms, session->times.heartbeat_ms) : CH_NEVER_MS;
}

uint64_t ch_session_deadline_ms(const ch_session *session) {
  uint64_t expires = expiry_ms(session), beats = heartbeat_ms(session);
  return beats < expires ? beats : expires;
}

ch_session_due ch_session_check(const ch_session *session, uint64_t now_ms) {
  if (session->state == CH_SESSION_CLOSED) return CH_DUE_NONE;
  if (now_ms >= expiry_ms(session)) return CH_DUE_EXPIRED;
  return now_ms >= heartbeat_ms(session) ? CH_DUE_HEARTBEAT : CH_DUE_NONE;
}
