/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads of events (docs/protocol.md, "Payloads of events"), found by the event's type. */
#include <string.h>

#include "chat.pb-c.h"
#include "core/assert.h"
#include "core/codec_parts.h"

enum { TYPE_COUNT = CHAT_TYPE_DEVICE_RETIRED + 1 };

static void message_pack(ch_pack *pack, const void *from, void *to) {
  const ch_content *content = from;
  Ch__MessageContent *message = to;
  (void)pack;
  message->kind = ch_pack_bytes(content->kind);
  message->body = ch_pack_bytes(content->body);
  message->meta = ch_pack_bytes(content->meta);
}

static void message_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__MessageContent *message = from;
  ch_content *content = to;
  content->kind = ch_unpack_text(unpack, message->kind, CHAT_KIND_MAX);
  content->body = ch_unpack_blob(unpack, message->body, CHAT_BODY_MAX);
  content->meta = ch_unpack_blob(unpack, message->meta, CHAT_META_MAX);
}

static void create_pack(ch_pack *pack, const void *from, void *to) {
  const ch_content *content = from;
  Ch__CreateContent *message = to;
  message->kind = content->conversation_kind;
  message->title = ch_pack_bytes(content->title);
  message->n_members = content->user_count;
  message->members = ch_pack_users(pack, content->users, content->user_count);
  message->history_from_start = content->history_from_start;
}

static void create_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__CreateContent *message = from;
  ch_content *content = to;
  content->conversation_kind = ch_unpack_choice(unpack, message->kind, CHAT_GROUP, CHAT_CHANNEL);
  content->title = ch_unpack_text(unpack, message->title, CHAT_TITLE_MAX);
  content->user_count = message->n_members;
  content->users = ch_unpack_users(unpack, message->members, message->n_members);
  content->history_from_start = ch_unpack_flag(message->history_from_start);
}

static void members_add_pack(ch_pack *pack, const void *from, void *to) {
  const ch_content *content = from;
  Ch__MembersAddContent *message = to;
  message->n_users = content->user_count;
  message->users = ch_pack_users(pack, content->users, content->user_count);
  message->role = content->role;
}

static void members_add_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__MembersAddContent *message = from;
  ch_content *content = to;
  uint32_t role = message->role == 0 ? CHAT_ROLE_MEMBER : message->role;
  if (message->n_users == 0) ch_unpack_fail(unpack, CHAT_E_INVALID);
  content->user_count = message->n_users;
  content->users = ch_unpack_users(unpack, message->users, message->n_users);
  content->role = ch_unpack_choice(unpack, role, CHAT_ROLE_MEMBER, CHAT_ROLE_ADMIN);
}

/* The one user of a content that has exactly one. */
static ProtobufCBinaryData user_pack(const ch_content *content) {
  ch_assert(content->user_count == 1);
  return ch_pack_bytes(content->users[0]);
}

static void user_unpack(ch_unpack *unpack, ProtobufCBinaryData user, ch_content *content) {
  content->users = ch_unpack_users(unpack, &user, 1);
  content->user_count = 1;
}

static void member_remove_pack(ch_pack *pack, const void *from, void *to) {
  Ch__MemberRemoveContent *message = to;
  (void)pack;
  message->user = user_pack(from);
}

static void member_remove_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__MemberRemoveContent *message = from;
  user_unpack(unpack, message->user, to);
}

static void role_pack(ch_pack *pack, const void *from, void *to) {
  const ch_content *content = from;
  Ch__RoleContent *message = to;
  (void)pack;
  message->user = user_pack(content);
  message->role = content->role;
}

static void role_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__RoleContent *message = from;
  ch_content *content = to;
  user_unpack(unpack, message->user, content);
  content->role = ch_unpack_choice(unpack, message->role, CHAT_ROLE_MEMBER, CHAT_ROLE_ADMIN);
}

static void owner_pack(ch_pack *pack, const void *from, void *to) {
  Ch__OwnerContent *message = to;
  (void)pack;
  message->user = user_pack(from);
}

static void owner_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__OwnerContent *message = from;
  user_unpack(unpack, message->user, to);
}

static void title_pack(ch_pack *pack, const void *from, void *to) {
  const ch_content *content = from;
  Ch__TitleContent *message = to;
  (void)pack;
  message->title = ch_pack_bytes(content->title);
}

static void title_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__TitleContent *message = from;
  ch_content *content = to;
  content->title = ch_unpack_text(unpack, message->title, CHAT_TITLE_MAX);
}

static void settings_pack(ch_pack *pack, const void *from, void *to) {
  const ch_content *content = from;
  Ch__SettingsContent *message = to;
  (void)pack;
  message->history_from_start = content->history_from_start;
}

static void settings_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__SettingsContent *message = from;
  ch_content *content = to;
  (void)unpack;
  content->history_from_start = ch_unpack_flag(message->history_from_start);
}

static void device_retired_pack(ch_pack *pack, const void *from, void *to) {
  const ch_content *content = from;
  Ch__DeviceRetiredContent *message = to;
  (void)pack;
  message->device_id = ch_pack_id(content->device_id);
}

static void device_retired_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__DeviceRetiredContent *message = from;
  ch_content *content = to;
  ch_unpack_id(unpack, message->device_id, content->device_id);
}

static const ch_codec_row rows[TYPE_COUNT] = {
    [CHAT_TYPE_MESSAGE] = {&ch__message_content__descriptor, message_pack, message_unpack},
    [CHAT_TYPE_CREATE] = {&ch__create_content__descriptor, create_pack, create_unpack},
    [CHAT_TYPE_MEMBERS_ADD] = {&ch__members_add_content__descriptor, members_add_pack, members_add_unpack},
    [CHAT_TYPE_MEMBER_REMOVE] = {&ch__member_remove_content__descriptor, member_remove_pack, member_remove_unpack},
    [CHAT_TYPE_LEAVE] = {&ch__leave_content__descriptor, NULL, NULL},
    [CHAT_TYPE_ROLE] = {&ch__role_content__descriptor, role_pack, role_unpack},
    [CHAT_TYPE_OWNER] = {&ch__owner_content__descriptor, owner_pack, owner_unpack},
    [CHAT_TYPE_TITLE] = {&ch__title_content__descriptor, title_pack, title_unpack},
    [CHAT_TYPE_SETTINGS] = {&ch__settings_content__descriptor, settings_pack, settings_unpack},
    [CHAT_TYPE_TO_CHANNEL] = {&ch__to_channel_content__descriptor, NULL, NULL},
    [CHAT_TYPE_DEVICE_RETIRED] = {&ch__device_retired_content__descriptor, device_retired_pack, device_retired_unpack},
};

static const ch_codec_row *row_of(uint32_t type) {
  return type < TYPE_COUNT && rows[type].descriptor ? &rows[type] : NULL;
}

int ch_content_decode(uint32_t type, chat_bytes payload, ch_arena *arena, ch_content *content) {
  ch_unpack unpack = {.arena = arena};
  const ch_codec_row *row = row_of(type);
  *content = (ch_content){.type = type};
  if (!row) return CHAT_E_UNSUPPORTED;
  const void *from = ch_unpack_message(&unpack, row->descriptor, payload);
  if (from && row->unpack) row->unpack(&unpack, from, content);
  return unpack.error;
}

int ch_content_encode(const ch_content *content, ch_buf *out) {
  const ch_codec_row *row = row_of(content->type);
  ch_assert(row);
  return ch_pack_whole(row->descriptor, row->pack, content, out);
}
