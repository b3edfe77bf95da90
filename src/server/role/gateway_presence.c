/* SPDX-License-Identifier: Apache-2.0 */
/* Presence of the members of watched conversations, and who is typing (docs/protocol.md, "Members, presence, typing, search, devices"). Only co-members learn of each other. */
#include <string.h>

#include "server/role/gateway_parts.h"

enum { WATCHED_MAX = 65536 }; /* chat/backend.h, CHAT_OP_DIRECTORY_WATCH */

/* A user whose presence somebody here follows. */
typedef struct watched_user {
  ch_list watchers; /* watch_member.of_user */
  size_t len;
  uint8_t id[];
} watched_user;

typedef struct watch_member {
  ch_list of_user;
  watched_user *user;
  struct watch *in;
} watch_member;

typedef struct watch {
  ch_list node; /* of the connection */
  ch_conn *conn;
  uint8_t conversation_id[16];
  size_t count;
  watch_member members[];
} watch;

typedef struct watch_call {
  ch_call call;
  uint8_t conversation_id[16];
  uint32_t typing; /* SetTyping's flag */
} watch_call;

void ch_presence_init(ch_gateway *gateway) {
  uint8_t seed[CH_HASHMAP_SEED_LEN];
  ch_gateway_seed(gateway, seed);
  ch_hashmap_init(&gateway->presence.watched, gateway->env.alloc, seed);
}

void ch_presence_fini(ch_gateway *gateway) {
  ch_assert(gateway->presence.watched.count == 0); /* every connection took its watches along */
  ch_hashmap_fini(&gateway->presence.watched);
}

static ch_conn *still_live(const ch_gateway *gateway, const ch_call *call) {
  ch_conn *conn = ch_conn_find(gateway, call->connection);
  return conn && ch_conn_is_live(conn) ? conn : NULL;
}

static void no_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  (void)gateway, (void)call, (void)status, (void)now; /* a hint; the next PRESENCE tells the rest */
}

/* ------------------------------------------------------------------------------------------------ who is watched */

static void tell_directory(ch_gateway *gateway, chat_bytes user, bool add) {
  chat_directory_watch *op = ch_call_new(gateway, CHAT_OP_DIRECTORY_WATCH, sizeof *op, sizeof(ch_call), no_done);
  if (!op) return;
  chat_bytes *users = chat_op_alloc(&op->op, sizeof *users);
  if (users) *users = chat_op_copy(&op->op, user);
  if (!users || !users->data) {
    ch_call_discard(gateway, op);
    return;
  }
  if (add)
    op->add = users, op->add_count = 1;
  else
    op->remove = users, op->remove_count = 1;
  ch_call_submit(gateway, op, CH_GATEWAY_ATTEMPTS);
}

static watched_user *watched_for(ch_gateway *gateway, chat_bytes id) {
  watched_user *user = ch_hashmap_find(&gateway->presence.watched, id);
  if (user || gateway->presence.watched.count >= WATCHED_MAX) return user;
  user = ch_calloc(gateway->env.alloc, 1, sizeof *user + id.len);
  if (!user) return NULL;
  ch_list_init(&user->watchers);
  user->len = id.len;
  memcpy(user->id, id.data, id.len);
  if (ch_hashmap_insert(&gateway->presence.watched, id, user)) {
    ch_free(gateway->env.alloc, user);
    return NULL;
  }
  tell_directory(gateway, id, true);
  return user;
}

static void member_leave(ch_gateway *gateway, watch_member *member) {
  watched_user *user = member->user;
  ch_list_remove(&member->of_user);
  if (!ch_list_is_empty(&user->watchers)) return;
  chat_bytes id = {user->id, user->len};
  tell_directory(gateway, id, false);
  ch_hashmap_remove(&gateway->presence.watched, id);
  ch_free(gateway->env.alloc, user);
}

static void watch_free(ch_gateway *gateway, watch *w) {
  for (size_t i = 0; i < w->count; i++) member_leave(gateway, &w->members[i]);
  ch_list_remove(&w->node);
  w->conn->watch_count--;
  ch_free(gateway->env.alloc, w);
}

void ch_watches_end(ch_gateway *gateway, ch_conn *conn) {
  while (!ch_list_is_empty(&conn->watches)) watch_free(gateway, CH_LIST_ITEM(conn->watches.next, watch, node));
}

static watch *find(const ch_conn *conn, const uint8_t conversation_id[16]) {
  CH_LIST_FOR_EACH(node, &conn->watches) {
    watch *w = CH_LIST_ITEM(node, watch, node);
    if (memcmp(w->conversation_id, conversation_id, 16) == 0) return w;
  }
  return NULL;
}

static watch *watch_new(ch_gateway *gateway, ch_conn *conn, const chat_store_members *op) {
  watch *w = ch_calloc(gateway->env.alloc, 1, sizeof *w + op->member_count * sizeof *w->members);
  if (!w) return NULL;
  w->conn = conn;
  memcpy(w->conversation_id, op->conversation_id, 16);
  ch_list_push_back(&conn->watches, &w->node);
  conn->watch_count++;
  for (size_t i = 0; i < op->member_count; i++) {
    watched_user *user = watched_for(gateway, op->members[i].user);
    if (!user) break; /* no memory or room: fewer are followed */
    watch_member *member = &w->members[w->count++];
    *member = (watch_member){.user = user, .in = w};
    ch_list_push_back(&user->watchers, &member->of_user);
  }
  return w;
}

/* ------------------------------------------------------------------------------------------------ what is said */

static void put_presence(ch_gateway *gateway, ch_conn *conn, uint64_t tag, const chat_presence *users, size_t count, ch_now now) {
  ch_server_message message = {.tag = tag, .op = CH_PRESENCE};
  message.u.presence = (ch_presence){users, count};
  ch_conn_put(gateway, conn, &message, now);
}

static void presence_read(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  const chat_directory_presence *op = (const chat_directory_presence *)call->op;
  ch_conn *conn = still_live(gateway, call);
  if (!conn) return;
  if (status) /* P7: without the directory nobody is known to be online */
    put_presence(gateway, conn, call->tag, NULL, 0, now);
  else
    put_presence(gateway, conn, call->tag, op->users, op->count, now);
}

static void read_presence(ch_gateway *gateway, ch_conn *conn, uint64_t tag, const watch *w, ch_now now) {
  chat_directory_presence *op = ch_call_new_for(gateway, conn, tag, CHAT_OP_DIRECTORY_PRESENCE, sizeof *op, sizeof(ch_call), presence_read, now);
  if (!op) return;
  op->users = chat_op_alloc(&op->op, (w->count + 1) * sizeof *op->users);
  for (size_t i = 0; op->users && i < w->count; i++) {
    const watched_user *user = w->members[i].user;
    chat_bytes id = chat_op_copy(&op->op, (chat_bytes){user->id, user->len});
    if (id.data) op->users[op->count++] = (chat_presence){.user = id};
  }
  ch_call_submit(gateway, op, CH_GATEWAY_ATTEMPTS);
}

static void tell_watchers(ch_gateway *gateway, const chat_presence *presence, ch_now now) {
  const watched_user *user = ch_hashmap_find(&gateway->presence.watched, presence->user);
  if (!user) return;
  CH_LIST_FOR_EACH(node, &user->watchers) {
    ch_conn *conn = CH_LIST_ITEM(node, watch_member, of_user)->in->conn;
    if (ch_conn_is_live(conn)) put_presence(gateway, conn, 0, presence, 1, now);
  }
}

static void read_all_anew(ch_gateway *gateway, ch_now now) {
  for (ch_hashmap_entry *entry = ch_hashmap_first(&gateway->conns); entry; entry = ch_hashmap_next(&gateway->conns, entry)) {
    ch_conn *conn = entry->value;
    CH_LIST_FOR_EACH(node, &conn->watches) {
      if (ch_conn_is_live(conn)) read_presence(gateway, conn, 0, CH_LIST_ITEM(node, watch, node), now);
    }
  }
}

static void changes_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  const chat_directory_changes *op = (const chat_directory_changes *)call->op;
  call->kept = false;
  if (status) {
    gateway->presence.polling = !ch_poll_again_later(gateway, call, status, now) || call->kept;
    return;
  }
  gateway->presence.polling = false;
  for (size_t i = 0; i < op->count; i++) tell_watchers(gateway, &op->users[i], now);
  if (op->lost) read_all_anew(gateway, now);
}

void ch_presence_pull(ch_gateway *gateway) {
  if (gateway->presence.polling || gateway->presence.watched.count == 0 || gateway->draining) return;
  chat_directory_changes *op = ch_call_new(gateway, CHAT_OP_DIRECTORY_CHANGES, sizeof *op, sizeof(ch_call), changes_done);
  if (!op) return;
  op->wait_ms = CH_GATEWAY_POLL_MS;
  gateway->presence.polling = true;
  ch_call_is_poll(gateway, op);
  ch_call_submit(gateway, op, 1);
}

/* ------------------------------------------------------------------------------------------------ Watch, SetTyping: the members first, as the asker may see them */

static bool ask_members(ch_gateway *gateway, ch_conn *conn, uint64_t tag, const ch_flagged *asked, ch_call_done *done, ch_now now) {
  chat_store_members *op = ch_call_new_for(gateway, conn, tag, CHAT_OP_STORE_MEMBERS, sizeof *op, sizeof(watch_call), done, now);
  if (!op) return false;
  ((watch_call *)ch_call_of(op))->typing = asked->flag;
  memcpy(op->conversation_id, asked->conversation_id, 16);
  op->user = chat_op_copy(&op->op, ch_conn_user(conn));
  op->limit = CHAT_GROUP_MEMBERS_MAX;
  ch_call_submit(gateway, op, CH_GATEWAY_ATTEMPTS);
  return true;
}

/* 0, or what the asker gets; "not there" and "not for you" look alike. */
static int members_problem(const chat_store_members *op, int status) {
  if (status) return status == CHAT_E_UNKNOWN ? CHAT_E_AGAIN : status;
  return op->state.kind && op->self.role != CHAT_ROLE_NONE ? 0 : CHAT_E_NOT_FOUND;
}

static void watch_members_read(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  const chat_store_members *op = (const chat_store_members *)call->op;
  ch_conn *conn = still_live(gateway, call);
  if (!conn) return;
  int error = members_problem(op, status);
  watch *old = find(conn, op->conversation_id);
  if (old) watch_free(gateway, old);
  if (!error && conn->watch_count >= CH_GATEWAY_WATCHES_MAX) error = CHAT_E_LIMIT;
  watch *w = error ? NULL : watch_new(gateway, conn, op);
  if (w)
    read_presence(gateway, conn, call->tag, w, now);
  else if (call->tag)
    ch_conn_error(gateway, conn, call->tag, error ? error : CHAT_E_AGAIN, CH_GATEWAY_RETRY_MS, now);
}

static void may_watch_done(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  ch_flagged asked = {{0}, 0};
  ch_conn *conn = still_live(gateway, call);
  if (!conn) return;
  memcpy(asked.conversation_id, ((const watch_call *)call)->conversation_id, 16);
  if (status)
    ch_conn_error(gateway, conn, call->tag, status, CH_GATEWAY_RETRY_MS, now);
  else
    ask_members(gateway, conn, call->tag, &asked, watch_members_read, now);
}

static void ask_hook(ch_gateway *gateway, ch_conn *conn, uint64_t tag, const ch_flagged *asked, ch_now now) {
  ch_op_may *may = ch_call_new_for(gateway, conn, tag, CH_OP_MAY, sizeof *may, sizeof(watch_call), may_watch_done, now);
  if (!may || !ch_call_keep(gateway, may, ch_conn_user(conn), &may->user, now)) return;
  may->action = CH_MAY_WATCH;
  memcpy(may->conversation_id, asked->conversation_id, 16);
  memcpy(((watch_call *)ch_call_of(may))->conversation_id, asked->conversation_id, 16);
  ch_call_submit_hook(gateway, may, now);
}

void ch_watch_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  const ch_flagged *asked = &message->u.watch;
  if (!asked->flag && gateway->config.has_may) {
    ask_hook(gateway, conn, message->tag, asked, now);
    return;
  }
  if (!asked->flag) {
    ask_members(gateway, conn, message->tag, asked, watch_members_read, now);
    return;
  }
  watch *w = find(conn, asked->conversation_id);
  if (w) watch_free(gateway, w);
  ch_conn_ok(gateway, conn, message->tag, now);
}

void ch_watches_refresh(ch_gateway *gateway, ch_conn *conn, const uint8_t conversation_id[16], ch_now now) {
  ch_flagged asked = {{0}, 0};
  if (!find(conn, conversation_id)) return;
  memcpy(asked.conversation_id, conversation_id, 16);
  ask_members(gateway, conn, 0, &asked, watch_members_read, now);
}

static void typing_members_read(ch_gateway *gateway, ch_call *call, int status, ch_now now) {
  const chat_store_members *op = (const chat_store_members *)call->op;
  ch_conn *conn = still_live(gateway, call);
  if (!conn) return;
  int error = members_problem(op, status);
  chat_bytes others[CHAT_GROUP_MEMBERS_MAX];
  size_t count = 0;
  for (size_t i = 0; !error && i < op->member_count && count < CHAT_GROUP_MEMBERS_MAX; i++)
    if (!ch_bytes_equal(op->members[i].user, ch_conn_user(conn))) others[count++] = op->members[i].user;
  if (error) {
    ch_conn_error(gateway, conn, call->tag, error, CH_GATEWAY_RETRY_MS, now);
    return;
  }
  ch_task task = {.kind = CH_TASK_TYPING};
  task.u.typing = (ch_typing){.user = ch_conn_user(conn), .typing = ((const watch_call *)call)->typing};
  memcpy(task.u.typing.conversation_id, op->conversation_id, 16);
  if (count && op->state.kind != CHAT_CHANNEL) ch_tasks_add(gateway, &task, others, count);
  ch_conn_ok(gateway, conn, call->tag, now);
}

void ch_set_typing_handle(ch_gateway *gateway, ch_conn *conn, const ch_client_message *message, ch_now now) {
  ask_members(gateway, conn, message->tag, &message->u.typing, typing_members_read, now);
}
