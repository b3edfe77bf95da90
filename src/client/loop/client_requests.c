/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of chat/client.h: arguments checked and copied into a note for the driver. What needs the database is checked by the brain. */
#include <chat/client.h>
#include <string.h>

#include "client/loop/client_loop.h"

/* A request that is being filled in; the first error stays and everything after it is skipped. */
typedef struct draft {
  chat_client *client;
  ch_note *note;
  int error;
} draft;

static draft begin(chat_client *client, ch_client_request_kind kind, uint64_t tag) {
  draft d = {client, NULL, client ? 0 : CHAT_E_INVALID};
  if (d.error) return d;
  d.note = ch_note_new(client, CH_NOTE_REQUEST);
  if (!d.note) {
    d.error = CHAT_E_NOMEM;
    return d;
  }
  d.note->request.kind = kind;
  d.note->request.tag = tag;
  return d;
}

static int post(draft *d) {
  if (!d->error) return ch_note_post(d->client, d->note);
  if (d->note) ch_note_free(d->client, d->note);
  return d->error;
}

static ch_client_request *request_of(draft *d) {
  return &d->note->request;
}

static void check(draft *d, bool good) {
  if (!d->error && !good) d->error = CHAT_E_INVALID;
}

static chat_bytes copy(draft *d, const void *data, size_t len, size_t len_max) {
  check(d, len <= len_max && (data || len == 0));
  if (d->error || len == 0) return (chat_bytes){0};
  const uint8_t *copied = ch_arena_dup(&d->note->arena, data, len);
  if (!copied) d->error = CHAT_E_NOMEM;
  return (chat_bytes){copied, copied ? len : 0};
}

static chat_bytes copy_text(draft *d, const char *text, size_t len, size_t len_max) {
  chat_bytes bytes = copy(d, text, len, len_max);
  check(d, ch_utf8_valid(bytes));
  return bytes;
}

static void put_user(draft *d, const char *user, size_t len) {
  chat_bytes id = copy(d, user, len, CHAT_USER_ID_MAX);
  check(d, ch_user_id_valid(id));
  if (!d->error) request_of(d)->user = id;
}

static void put_conversation(draft *d, const uint8_t *id) {
  check(d, id != NULL);
  if (d->error) return;
  memcpy(request_of(d)->conversation_id, id, CHAT_CONVERSATION_ID_LEN);
  request_of(d)->has_conversation = 1;
}

static void put_client_id(draft *d, const uint8_t *id) {
  check(d, id != NULL);
  if (d->error) return;
  memcpy(request_of(d)->client_id, id, CHAT_CLIENT_ID_LEN);
  request_of(d)->has_client_id = 1;
}

static void put_limit(draft *d, uint32_t limit, uint32_t limit_max) {
  check(d, limit >= 1 && limit <= limit_max);
  if (!d->error) request_of(d)->limit = limit;
}

static void put_users(draft *d, const chat_text *users, size_t count, size_t count_min) {
  check(d, count >= count_min && count < CHAT_GROUP_MEMBERS_MAX && (users || count == 0));
  if (d->error || count == 0) return;
  chat_bytes *copies = ch_arena_calloc(&d->note->arena, count, sizeof *copies);
  if (!copies) d->error = CHAT_E_NOMEM;
  for (size_t i = 0; i < count && !d->error; i++) {
    copies[i] = copy(d, users[i].data, users[i].len, CHAT_USER_ID_MAX);
    check(d, ch_user_id_valid(copies[i]));
  }
  if (d->error) return;
  request_of(d)->users = copies;
  request_of(d)->user_count = count;
}

static void put_flag(draft *d, int flag) {
  if (!d->error) request_of(d)->flag = flag != 0;
}

static void put_number(draft *d, uint64_t number) {
  if (!d->error) request_of(d)->number = number;
}

static void put_title(draft *d, const char *title, size_t len) {
  chat_bytes text = copy_text(d, title, len, CHAT_TITLE_MAX);
  if (!d->error) request_of(d)->text = text;
}

static void put_draft(draft *d, const chat_draft *message) {
  check(d, message && message->size >= sizeof message->size + sizeof message->body);
  if (d->error) return;
  chat_draft whole = {0};
  memcpy(&whole, message, message->size < sizeof whole ? message->size : sizeof whole);
  request_of(d)->body = copy(d, whole.body, whole.body_len, CHAT_BODY_MAX);
  if (whole.kind) request_of(d)->message_kind = copy_text(d, whole.kind, whole.kind_len, CHAT_KIND_MAX);
  if (whole.meta) request_of(d)->meta = copy(d, whole.meta, whole.meta_len, CHAT_META_MAX);
  if (whole.client_id) put_client_id(d, whole.client_id);
}

/* ------------------------------------------------------------------------------------------------ connection */

int chat_client_set_online(chat_client *client, uint64_t tag, int online) {
  draft d = begin(client, CH_REQ_SET_ONLINE, tag);
  put_flag(&d, online);
  return post(&d);
}

int chat_client_network_hint(chat_client *client, int hint) {
  if (!client || hint < CHAT_NETWORK_DOWN || hint > CHAT_NETWORK_CHANGED) return CHAT_E_INVALID;
  ch_note *note = ch_note_new(client, CH_NOTE_NETWORK);
  if (!note) return CHAT_E_NOMEM;
  note->hint = hint;
  return ch_note_post(client, note);
}

int chat_client_logout(chat_client *client, uint64_t tag) {
  draft d = begin(client, CH_REQ_LOGOUT, tag);
  return post(&d);
}

int chat_client_whoami(chat_client *client, uint64_t tag) {
  draft d = begin(client, CH_REQ_WHOAMI, tag);
  return post(&d);
}

/* ------------------------------------------------------------------------------------------------ sending */

int chat_client_send(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], const chat_draft *message) {
  draft d = begin(client, CH_REQ_SEND, tag);
  put_conversation(&d, conversation_id);
  put_draft(&d, message);
  return post(&d);
}

int chat_client_send_direct(chat_client *client, uint64_t tag, const char *user, size_t user_len, const chat_draft *message) {
  draft d = begin(client, CH_REQ_SEND, tag);
  put_user(&d, user, user_len);
  put_draft(&d, message);
  return post(&d);
}

int chat_client_retry(chat_client *client, uint64_t tag, const uint8_t client_id[16]) {
  draft d = begin(client, CH_REQ_RETRY, tag);
  put_client_id(&d, client_id);
  return post(&d);
}

int chat_client_discard(chat_client *client, uint64_t tag, const uint8_t client_id[16]) {
  draft d = begin(client, CH_REQ_DISCARD, tag);
  put_client_id(&d, client_id);
  return post(&d);
}

int chat_client_create(chat_client *client, uint64_t tag, uint32_t kind, const char *title, size_t title_len, const chat_text *members,
                       size_t member_count, int history_from_start) {
  draft d = begin(client, CH_REQ_CREATE, tag);
  check(&d, kind == CHAT_GROUP || kind == CHAT_CHANNEL);
  put_number(&d, kind);
  put_title(&d, title, title_len);
  put_users(&d, members, member_count, 0);
  put_flag(&d, history_from_start);
  return post(&d);
}

static draft begin_control(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], uint32_t type) {
  draft d = begin(client, CH_REQ_CONTROL, tag);
  put_conversation(&d, conversation_id);
  if (!d.error) request_of(&d)->type = type;
  return d;
}

static void put_role(draft *d, uint32_t role) {
  check(d, role == CHAT_ROLE_MEMBER || role == CHAT_ROLE_ADMIN);
  if (!d->error) request_of(d)->role = role;
}

static void put_one_user(draft *d, const char *user, size_t len) {
  chat_text one = {user, len};
  put_users(d, &one, 1, 1);
}

int chat_client_add_members(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], const chat_text *users,
                            size_t user_count, uint32_t role) {
  draft d = begin_control(client, tag, conversation_id, CHAT_TYPE_MEMBERS_ADD);
  put_users(&d, users, user_count, 1);
  put_role(&d, role);
  return post(&d);
}

int chat_client_remove_member(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], const char *user, size_t user_len) {
  draft d = begin_control(client, tag, conversation_id, CHAT_TYPE_MEMBER_REMOVE);
  put_one_user(&d, user, user_len);
  return post(&d);
}

int chat_client_leave(chat_client *client, uint64_t tag, const uint8_t conversation_id[16]) {
  draft d = begin_control(client, tag, conversation_id, CHAT_TYPE_LEAVE);
  return post(&d);
}

int chat_client_set_role(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], const char *user, size_t user_len,
                         uint32_t role) {
  draft d = begin_control(client, tag, conversation_id, CHAT_TYPE_ROLE);
  put_one_user(&d, user, user_len);
  put_role(&d, role);
  return post(&d);
}

int chat_client_set_owner(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], const char *user, size_t user_len) {
  draft d = begin_control(client, tag, conversation_id, CHAT_TYPE_OWNER);
  put_one_user(&d, user, user_len);
  return post(&d);
}

int chat_client_set_title(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], const char *title, size_t title_len) {
  draft d = begin_control(client, tag, conversation_id, CHAT_TYPE_TITLE);
  put_title(&d, title, title_len);
  return post(&d);
}

int chat_client_set_history_from_start(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], int from_start) {
  draft d = begin_control(client, tag, conversation_id, CHAT_TYPE_SETTINGS);
  put_flag(&d, from_start);
  return post(&d);
}

int chat_client_make_channel(chat_client *client, uint64_t tag, const uint8_t conversation_id[16]) {
  draft d = begin_control(client, tag, conversation_id, CHAT_TYPE_TO_CHANNEL);
  return post(&d);
}

/* ------------------------------------------------------------------------------------------------ receipts, presence, typing */

static int post_about(chat_client *client, ch_client_request_kind kind, uint64_t tag, const uint8_t *conversation_id, uint64_t number, int flag) {
  draft d = begin(client, kind, tag);
  put_conversation(&d, conversation_id);
  put_number(&d, number);
  put_flag(&d, flag);
  return post(&d);
}

int chat_client_mark_read(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], uint64_t seq) {
  return post_about(client, CH_REQ_MARK_READ, tag, conversation_id, seq, 0);
}

int chat_client_open(chat_client *client, uint64_t tag, const uint8_t conversation_id[16]) {
  return post_about(client, CH_REQ_OPEN, tag, conversation_id, 0, 0);
}

int chat_client_close(chat_client *client, uint64_t tag, const uint8_t conversation_id[16]) {
  return post_about(client, CH_REQ_CLOSE, tag, conversation_id, 0, 0);
}

int chat_client_typing(chat_client *client, const uint8_t conversation_id[16], int typing) {
  return post_about(client, CH_REQ_TYPING, 0, conversation_id, 0, typing);
}

/* ------------------------------------------------------------------------------------------------ reading */

int chat_client_conversations(chat_client *client, uint64_t tag, uint64_t after_index, uint32_t limit) {
  draft d = begin(client, CH_REQ_CONVERSATIONS, tag);
  put_number(&d, after_index);
  put_limit(&d, limit, 1000);
  return post(&d);
}

int chat_client_conversation(chat_client *client, uint64_t tag, const uint8_t conversation_id[16]) {
  return post_about(client, CH_REQ_CONVERSATION, tag, conversation_id, 0, 0);
}

int chat_client_history(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], uint64_t before_seq, uint64_t after_seq,
                        uint32_t limit, int local) {
  draft d = begin(client, CH_REQ_HISTORY, tag);
  put_conversation(&d, conversation_id);
  check(&d, before_seq == 0 || after_seq == 0);
  put_number(&d, before_seq);
  if (!d.error) request_of(&d)->number2 = after_seq;
  put_limit(&d, limit, CHAT_PAGE_MAX);
  put_flag(&d, local);
  return post(&d);
}

int chat_client_search(chat_client *client, uint64_t tag, const char *query, size_t query_len, const uint8_t *conversation_id,
                       uint64_t before_message_id, uint32_t limit, int on_server) {
  draft d = begin(client, CH_REQ_SEARCH, tag);
  chat_bytes text = copy_text(&d, query, query_len, 256);
  check(&d, query_len > 0);
  if (!d.error) request_of(&d)->text = text;
  if (conversation_id) put_conversation(&d, conversation_id);
  put_number(&d, before_message_id);
  put_limit(&d, limit, CHAT_PAGE_MAX);
  put_flag(&d, on_server);
  return post(&d);
}

int chat_client_members(chat_client *client, uint64_t tag, const uint8_t conversation_id[16], const char *after, size_t after_len, uint32_t limit) {
  draft d = begin(client, CH_REQ_MEMBERS, tag);
  put_conversation(&d, conversation_id);
  if (after_len > 0) put_user(&d, after, after_len);
  put_limit(&d, limit, 256);
  return post(&d);
}

int chat_client_devices(chat_client *client, uint64_t tag) {
  draft d = begin(client, CH_REQ_DEVICES, tag);
  return post(&d);
}

int chat_client_revoke_device(chat_client *client, uint64_t tag, const uint8_t device_id[16]) {
  draft d = begin(client, CH_REQ_REVOKE_DEVICE, tag);
  check(&d, device_id != NULL);
  if (!d.error) memcpy(request_of(&d)->device_id, device_id, CHAT_DEVICE_ID_LEN);
  return post(&d);
}

int chat_client_verify(chat_client *client, uint64_t tag, const uint8_t conversation_id[16]) {
  return post_about(client, CH_REQ_VERIFY, tag, conversation_id, 0, 0);
}
