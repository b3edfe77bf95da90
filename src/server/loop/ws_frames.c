/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/ws_frames.h"

#include <string.h>

#include "core/assert.h"

enum { FIN = 0x80, RESERVED = 0x70, OPCODE = 0x0f, MASKED = 0x80, LEN = 0x7f, LEN_OF_16_BITS = 126, LEN_OF_64_BITS = 127, MASK_LEN = 4, CONTROL = 8 };

void ch_ws_frames_init(ch_ws_frames *frames, const ch_allocator *alloc) {
  *frames = (ch_ws_frames){0};
  ch_buf_init(&frames->part, alloc, CHAT_FRAME_MAX + CH_WS_CONTROL_MAX);
}

void ch_ws_frames_fini(ch_ws_frames *frames) {
  ch_buf_fini(&frames->part);
}

/* ------------------------------------------------------------------------------------------------ the head of a frame */

static uint8_t opcode_of(const ch_ws_frames *frames) {
  return frames->head[0] & OPCODE;
}

static bool is_last(const ch_ws_frames *frames) {
  return frames->head[0] & FIN;
}

static bool is_control(const ch_ws_frames *frames) {
  return opcode_of(frames) >= CONTROL;
}

static size_t extended_len(uint8_t second) {
  switch (second & LEN) {
    case LEN_OF_16_BITS: return 2;
    case LEN_OF_64_BITS: return 8;
    default: return 0;
  }
}

static size_t needed_head_len(const ch_ws_frames *frames) {
  if (frames->head_len < 2) return 2;
  return 2 + extended_len(frames->head[1]) + (frames->head[1] & MASKED ? MASK_LEN : 0);
}

static bool take_head(ch_ws_frames *frames, ch_ws_input *in) {
  for (size_t needed; (needed = needed_head_len(frames)) > frames->head_len;) {
    size_t len = needed - frames->head_len < in->len ? needed - frames->head_len : in->len;
    if (len == 0) return false;
    memcpy(frames->head + frames->head_len, in->data, len);
    frames->head_len += (uint8_t)len;
    *in = (ch_ws_input){in->data + len, in->len - len};
  }
  return true;
}

static uint64_t announced_len(const ch_ws_frames *frames) {
  size_t more = extended_len(frames->head[1]);
  uint64_t len = more ? 0 : frames->head[1] & LEN;
  for (size_t i = 0; i < more; i++) len = len << 8 | frames->head[2 + i];
  return len;
}

/* Section 5.2: the fewest bytes, and the highest bit is 0. */
static bool is_len_good(const ch_ws_frames *frames, uint64_t len) {
  switch (frames->head[1] & LEN) {
    case LEN_OF_16_BITS: return len >= LEN_OF_16_BITS;
    case LEN_OF_64_BITS: return len > UINT16_MAX && len <= INT64_MAX;
    default: return true;
  }
}

/* Sections 5.2 and 5.4: a message begins with its opcode and continues with 0. */
static bool is_opcode_good(const ch_ws_frames *frames) {
  switch (opcode_of(frames)) {
    case CH_WS_OP_CONTINUATION: return frames->is_in_message;
    case CH_WS_OP_TEXT:
    case CH_WS_OP_BINARY: return !frames->is_in_message;
    case CH_WS_OP_CLOSE:
    case CH_WS_OP_PING:
    case CH_WS_OP_PONG: return true;
    default: return false;
  }
}

static bool is_broken(const ch_ws_frames *frames, uint64_t len) {
  if (frames->head[0] & RESERVED || !(frames->head[1] & MASKED)) return true; /* no extension was agreed to; section 5.1 */
  if (is_control(frames) && (!is_last(frames) || len > CH_WS_CONTROL_MAX)) return true;
  return !is_opcode_good(frames) || !is_len_good(frames, len);
}

/* MORE: the payload may come. */
static ch_ws_kind judge_head(const ch_ws_frames *frames, uint64_t len) {
  if (is_broken(frames, len)) return CH_WS_BROKEN;
  if (opcode_of(frames) == CH_WS_OP_TEXT) return CH_WS_TEXT;
  return !is_control(frames) && len > CHAT_FRAME_MAX - frames->message_len ? CH_WS_TOO_LARGE : CH_WS_MORE;
}

/* ------------------------------------------------------------------------------------------------ the mask */

static uint8_t *mask_of(ch_ws_frames *frames) {
  return frames->head + frames->head_len - MASK_LEN;
}

/* Section 5.3, eight bytes a step. */
static void unmask(uint8_t *data, size_t len, const uint8_t mask[MASK_LEN]) {
  uint64_t twice, word;
  memcpy(&twice, mask, MASK_LEN);
  memcpy((uint8_t *)&twice + MASK_LEN, mask, MASK_LEN);
  size_t i = 0;
  for (; i + sizeof word <= len; i += sizeof word) {
    memcpy(&word, data + i, sizeof word);
    word ^= twice;
    memcpy(data + i, &word, sizeof word);
  }
  for (; i < len; i++) data[i] ^= mask[i % MASK_LEN];
}

/* So that it begins with the byte for what comes next. */
static void turn_mask(uint8_t mask[MASK_LEN], size_t len) {
  uint8_t old[MASK_LEN];
  memcpy(old, mask, MASK_LEN);
  for (size_t i = 0; i < MASK_LEN; i++) mask[i] = old[(i + len) % MASK_LEN];
}

/* ------------------------------------------------------------------------------------------------ payload */

/* What there is of the frame's payload, unmasked. */
static ch_bytes take_payload(ch_ws_frames *frames, ch_ws_input *in) {
  size_t len = frames->left_len < in->len ? frames->left_len : in->len;
  ch_bytes taken = ch_bytes_of(in->data, len);
  unmask(in->data, len, mask_of(frames));
  turn_mask(mask_of(frames), len);
  frames->left_len -= len;
  *in = (ch_ws_input){in->data + len, in->len - len};
  return taken;
}

static ch_ws_event last_event(ch_ws_frames *frames, ch_ws_kind kind, uint16_t code) {
  frames->is_over = true;
  frames->is_handed_on = false;
  ch_buf_fini(&frames->part);
  return (ch_ws_event){.kind = kind, .code = code};
}

/* Section 7.4: those that may be sent, of the RFC, of the registry, and for applications. */
static bool is_code(uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/* Section 5.5.1: nothing, or a code and text. */
static ch_ws_event close_event(ch_ws_frames *frames, ch_bytes payload) {
  if (payload.len == 0) return last_event(frames, CH_WS_CLOSE, CH_WS_CODE_NONE);
  uint16_t code = payload.len > 1 ? (uint16_t)(payload.data[0] << 8 | payload.data[1]) : 0;
  if (!is_code(code)) return last_event(frames, CH_WS_BROKEN, CH_WS_CODE_BROKEN);
  if (!ch_utf8_valid(ch_bytes_of(payload.data + 2, payload.len - 2))) return last_event(frames, CH_WS_BROKEN, CH_WS_CODE_NOT_TEXT);
  return last_event(frames, CH_WS_CLOSE, code);
}

/* `last`: the last bytes of the frame, where they lie; the others, if any, are kept. Gives all of them; false: no memory. */
static bool gather(ch_ws_frames *frames, ch_bytes last, size_t kept_from, ch_bytes *all) {
  *all = last;
  if (frames->part.len == kept_from) return true;
  if (ch_buf_put(&frames->part, last)) return false;
  *all = ch_bytes_of(frames->part.data + kept_from, frames->part.len - kept_from);
  frames->is_handed_on = true;
  return true;
}

static ch_ws_event control_event(ch_ws_frames *frames, ch_bytes last) {
  ch_bytes payload;
  if (!gather(frames, last, frames->message_len, &payload)) return last_event(frames, CH_WS_OUT_OF_MEMORY, 0);
  if (opcode_of(frames) == CH_WS_OP_CLOSE) return close_event(frames, payload);
  return (ch_ws_event){.kind = opcode_of(frames) == CH_WS_OP_PING ? CH_WS_PING : CH_WS_PONG, .payload = payload};
}

static ch_ws_event part_event(ch_ws_frames *frames, ch_bytes last) {
  bool is_empty = frames->part.len == frames->message_len && last.len == 0;
  if (ch_buf_put(&frames->part, last)) return last_event(frames, CH_WS_OUT_OF_MEMORY, 0);
  frames->is_in_message = true;
  frames->message_len = frames->part.len;
  return (ch_ws_event){.kind = is_empty ? CH_WS_EMPTY_PART : CH_WS_MORE};
}

static ch_ws_event message_event(ch_ws_frames *frames, ch_bytes last) {
  ch_bytes payload;
  if (!gather(frames, last, 0, &payload)) return last_event(frames, CH_WS_OUT_OF_MEMORY, 0);
  frames->is_in_message = false;
  frames->message_len = 0;
  return (ch_ws_event){.kind = CH_WS_MESSAGE, .payload = payload};
}

/* A frame has ended: MORE where it gives no event. */
static ch_ws_event end_frame(ch_ws_frames *frames, ch_bytes last) {
  frames->head_len = 0;
  frames->is_in_payload = false;
  if (is_control(frames)) return control_event(frames, last);
  return is_last(frames) ? message_event(frames, last) : part_event(frames, last);
}

/* ------------------------------------------------------------------------------------------------ events */

/* Back to what belongs to a message that is not whole; without one there is no memory. */
static void let_go(ch_ws_frames *frames) {
  if (!frames->is_handed_on) return;
  frames->is_handed_on = false;
  frames->part.len = frames->message_len;
  if (frames->message_len == 0) ch_buf_fini(&frames->part);
}

static ch_ws_kind begin_frame(ch_ws_frames *frames) {
  uint64_t len = announced_len(frames);
  ch_ws_kind kind = judge_head(frames, len);
  if (kind) return kind;
  frames->left_len = (size_t)len;
  frames->is_in_payload = true;
  return CH_WS_MORE;
}

/* MORE: another frame may be read; *is_used_up: it needs bytes first. */
static ch_ws_event read_frame(ch_ws_frames *frames, ch_ws_input *in, bool *is_used_up) {
  ch_ws_event none = {.kind = CH_WS_MORE};
  *is_used_up = !frames->is_in_payload && !take_head(frames, in);
  if (*is_used_up) return none;
  ch_ws_kind kind = frames->is_in_payload ? CH_WS_MORE : begin_frame(frames);
  if (kind) return last_event(frames, kind, kind == CH_WS_BROKEN ? CH_WS_CODE_BROKEN : 0);
  ch_bytes payload = take_payload(frames, in);
  if (frames->left_len == 0) return end_frame(frames, payload);
  *is_used_up = true;
  return ch_buf_put(&frames->part, payload) ? last_event(frames, CH_WS_OUT_OF_MEMORY, 0) : none;
}

ch_ws_event ch_ws_frames_next(ch_ws_frames *frames, ch_ws_input *in) {
  ch_ws_event event = {.kind = CH_WS_MORE};
  bool is_used_up = frames->is_over;
  let_go(frames);
  while (!is_used_up && event.kind == CH_WS_MORE) event = read_frame(frames, in, &is_used_up);
  if (frames->is_over) in->len = 0;
  return event;
}

/* ------------------------------------------------------------------------------------------------ frames that go out */

size_t ch_ws_frame_head(ch_ws_opcode opcode, size_t len, uint8_t head[CH_WS_HEAD_LEN_MAX]) {
  size_t more = len < LEN_OF_16_BITS ? 0 : len <= UINT16_MAX ? 2 : 8;
  head[0] = (uint8_t)(FIN | opcode);
  head[1] = (uint8_t)(more == 0 ? len : more == 2 ? LEN_OF_16_BITS : LEN_OF_64_BITS);
  for (size_t i = 0; i < more; i++) head[2 + i] = (uint8_t)((uint64_t)len >> 8 * (more - 1 - i));
  return 2 + more;
}
