/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "target.h"
#include "text.h"

/* ------------------------------------------------------------------------------------------------ values */

json_t *json_object_named(const char *object) {
  json_t *to = json_object();
  json_object_set_new(to, "object", json_string(object));
  return to;
}

void json_put_u64(json_t *to, const char *key, uint64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%" PRIu64, number);
  json_object_set_new(to, key, json_string(text));
}

/* NULL: it is not UTF-8. */
static json_t *string_of(chat_bytes text) {
  return json_stringn(text.data ? (const char *)text.data : "", text.len);
}

void json_put_text(json_t *to, const char *key, chat_bytes text) {
  json_object_set_new(to, key, string_of(text));
}

void json_put_id(json_t *to, const char *key, const uint8_t id[16]) {
  char hex[33];
  hex_of(id, hex);
  json_object_set_new(to, key, json_string(hex));
}

static void put_error(json_t *to, int status) {
  if (status) json_object_set_new(to, "error", json_string(chat_error_name(status)));
}

/* Of three bytes four characters; where bytes are missing, "=". */
static char *base64_of(chat_bytes bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char *text = malloc((bytes.len + 2) / 3 * 4 + 1), *to = text;
  for (size_t at = 0; text && at < bytes.len; at += 3) {
    size_t left = bytes.len - at;
    uint32_t group = (uint32_t)bytes.data[at] << 16 | (left > 1 ? (uint32_t)bytes.data[at + 1] << 8 : 0) | (left > 2 ? bytes.data[at + 2] : 0);
    *to++ = digits[group >> 18];
    *to++ = digits[group >> 12 & 63];
    *to++ = left > 1 ? digits[group >> 6 & 63] : '=';
    *to++ = left > 2 ? digits[group & 63] : '=';
  }
  if (text) *to = '\0';
  return text;
}

/* Under `key` where it is UTF-8, else under `base64_key`. */
static void put_bytes(json_t *to, const char *key, const char *base64_key, chat_bytes bytes) {
  json_t *text = string_of(bytes);
  if (text) {
    json_object_set_new(to, key, text);
    return;
  }
  char *base64 = base64_of(bytes);
  if (base64) json_object_set_new(to, base64_key, json_string(base64));
  free(base64);
}

/* ------------------------------------------------------------------------------------------------ messages */

static const char *type_name(uint32_t type) {
  static const char *const names[] = {
      [CHAT_TYPE_MESSAGE] = "message", [CHAT_TYPE_CREATE] = "create", [CHAT_TYPE_MEMBERS_ADD] = "members_add", [CHAT_TYPE_MEMBER_REMOVE] = "member_remove",
      [CHAT_TYPE_LEAVE] = "leave", [CHAT_TYPE_ROLE] = "role", [CHAT_TYPE_OWNER] = "owner", [CHAT_TYPE_TITLE] = "title", [CHAT_TYPE_SETTINGS] = "settings",
      [CHAT_TYPE_TO_CHANNEL] = "to_channel", [CHAT_TYPE_DEVICE_RETIRED] = "device_retired"};
  return type < sizeof names / sizeof *names && names[type] ? names[type] : "unsupported";
}

static const char *tick_name(uint32_t tick) {
  static const char *const names[] = {"pending", "sent", "delivered", "read", "refused"};
  return tick < sizeof names / sizeof *names ? names[tick] : "?";
}

static void put_content(json_t *to, const chat_message *m) {
  if (m->kind.len > 0) json_put_text(to, "kind", m->kind);
  put_bytes(to, "body", "body_base64", m->body);
  if (m->meta.len > 0) put_bytes(to, "meta", "meta_base64", m->meta);
}

static void put_users(json_t *to, const chat_message *m) {
  json_t *users = json_array();
  for (size_t i = 0; i < m->user_count; i++) json_array_append_new(users, string_of(*m->users[i]));
  json_object_set_new(to, "users", users);
}

/* What a change of members, title or settings says. */
static void put_change(json_t *to, const chat_message *m) {
  if (m->user_count > 0) put_users(to, m);
  if (m->role) json_object_set_new(to, "role", json_string(text_role(m->role)));
  if (m->type == CHAT_TYPE_CREATE || m->type == CHAT_TYPE_TITLE) put_bytes(to, "title", "title_base64", m->title);
  if (m->type == CHAT_TYPE_CREATE || m->type == CHAT_TYPE_SETTINGS) json_object_set_new(to, "history_from_start", json_boolean(m->history_from_start));
}

json_t *json_message(const chat_message *m) {
  json_t *to = json_object_named("message");
  json_put_id(to, "conversation", m->conversation_id);
  if (m->seq) json_put_u64(to, "seq", m->seq);
  if (m->msg_no) json_put_u64(to, "msg_no", m->msg_no);
  if (m->message_id) json_put_u64(to, "message_id", m->message_id);
  json_put_id(to, "client_id", m->client_id);
  json_put_id(to, "device", m->device_id);
  json_put_u64(to, "created_ms", m->created_ms);
  json_put_text(to, "sender", m->sender);
  json_object_set_new(to, "own", json_boolean(m->own));
  json_object_set_new(to, "type", json_string(type_name(m->type)));
  if (m->type == CHAT_TYPE_MESSAGE) put_content(to, m);
  else put_change(to, m);
  if (m->own) json_object_set_new(to, "tick", json_string(tick_name(m->tick)));
  if (m->gap_before) json_put_u64(to, "gap_before", m->gap_before);
  put_error(to, m->status);
  return to;
}

/* ------------------------------------------------------------------------------------------------ lists */

json_t *json_conversation(const chat_conversation *c) {
  json_t *to = json_object_named("conversation");
  json_put_id(to, "conversation", c->conversation_id);
  json_object_set_new(to, "kind", json_string(text_kind(c->kind)));
  if (c->kind == CHAT_DIRECT) json_put_text(to, "peer", c->peer);
  else put_bytes(to, "title", "title_base64", c->title);
  json_object_set_new(to, "role", json_string(text_role(c->role)));
  json_put_u64(to, "head", c->head);
  json_put_u64(to, "unread", c->unread);
  json_put_u64(to, "delivered", c->delivered);
  json_put_u64(to, "read", c->read);
  json_put_u64(to, "pending", c->pending);
  json_put_u64(to, "members", c->member_count);
  json_put_u64(to, "active_ms", c->active_ms);
  return to;
}

json_t *json_member(const chat_member_info *m) {
  json_t *to = json_object_named("member");
  json_put_text(to, "user", m->user);
  json_object_set_new(to, "role", json_string(text_role(m->role)));
  json_object_set_new(to, "online", json_boolean(m->online));
  if (m->seen_ms) json_put_u64(to, "seen_ms", m->seen_ms);
  json_put_u64(to, "delivered", m->delivered);
  json_put_u64(to, "read", m->read);
  return to;
}

json_t *json_device(const chat_device_info *d) {
  json_t *to = json_object_named("device");
  json_put_id(to, "device", d->device_id);
  put_bytes(to, "name", "name_base64", d->name);
  json_put_u64(to, "created_ms", d->created_ms);
  json_put_u64(to, "seen_ms", d->seen_ms);
  json_object_set_new(to, "current", json_boolean(d->current));
  json_object_set_new(to, "revoked", json_boolean(d->revoked));
  return to;
}

/* ------------------------------------------------------------------------------------------------ events */

static json_t *of_state(const chat_event *e) {
  static const char *const names[] = {"?", "offline", "connecting", "syncing", "live", "suspended", "shut_out"};
  json_t *to = json_object_named("state");
  json_object_set_new(to, "state", json_string(e->state < sizeof names / sizeof *names ? names[e->state] : "?"));
  return to;
}

static json_t *of_receipt(const chat_event *e) {
  json_t *to = json_object_named("receipt");
  json_put_id(to, "conversation", e->conversation_id);
  json_put_text(to, "user", e->user);
  json_put_u64(to, "delivered", e->delivered);
  json_put_u64(to, "read", e->read);
  return to;
}

static json_t *of_presence(const chat_event *e) {
  json_t *to = json_object_named("presence");
  json_put_text(to, "user", e->user);
  json_object_set_new(to, "online", json_boolean(e->online));
  if (e->seen_ms) json_put_u64(to, "seen_ms", e->seen_ms);
  return to;
}

static json_t *of_typing(const chat_event *e) {
  json_t *to = json_object_named("typing");
  json_put_id(to, "conversation", e->conversation_id);
  json_put_text(to, "user", e->user);
  json_object_set_new(to, "typing", json_boolean(e->online));
  return to;
}

static json_t *of_message(const chat_event *e) {
  return json_message(e->messages[0]);
}

static json_t *of_conversation(const chat_event *e) {
  return json_conversation(e->conversations[0]);
}

static json_t *of_draft(const chat_event *e) {
  json_t *to = json_message(e->messages[0]);
  json_object_set_new(to, "object", json_string("draft"));
  return to;
}

static json_t *of_database(const chat_event *e) {
  json_t *to = json_object_named("database");
  if (e->text.len > 0) put_bytes(to, "set_aside", "set_aside_base64", e->text);
  return to;
}

static json_t *of_resync(const chat_event *e) {
  (void)e;
  return json_object_named("resync");
}

static json_t *of_token(const chat_event *e) {
  json_t *to = json_object_named("token");
  if (e->until_ms) json_put_u64(to, "until_ms", e->until_ms);
  return to;
}

static json_t *of_progress(const chat_event *e) {
  json_t *to = json_object_named("progress");
  json_put_u64(to, "done", e->seq);
  json_put_u64(to, "of", e->head);
  return to;
}

json_t *json_event(const chat_event *e) {
  static json_t *(*const makers[])(const chat_event *) = {
      [CHAT_EVENT_RESYNC] = of_resync, [CHAT_EVENT_STATE] = of_state, [CHAT_EVENT_MESSAGE] = of_message, [CHAT_EVENT_OUTBOX] = of_message,
      [CHAT_EVENT_RECEIPT] = of_receipt, [CHAT_EVENT_CONVERSATION] = of_conversation, [CHAT_EVENT_PRESENCE] = of_presence, [CHAT_EVENT_TYPING] = of_typing,
      [CHAT_EVENT_TOKEN] = of_token, [CHAT_EVENT_DATABASE] = of_database, [CHAT_EVENT_DRAFT] = of_draft, [CHAT_EVENT_PROGRESS] = of_progress};
  if (e->type >= sizeof makers / sizeof *makers || !makers[e->type]) return NULL;
  json_t *to = makers[e->type](e);
  put_error(to, e->status);
  return to;
}

/* On a terminal everything beyond ASCII is escaped, so that nothing but text can reach it. */
void json_print(json_t *line) {
  if (!line) return;
  json_dumpf(line, stdout, JSON_COMPACT | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));
  putchar('\n');
  json_decref(line);
}
