/* SPDX-License-Identifier: Apache-2.0 */
/* deliverer_peer.h - a deliverer between a log of tasks that a test writes and hand-completed ops (role_peer.h). Each test file has one of its own, all of it static. */
#ifndef CH_TEST_DELIVERER_PEER_H
#define CH_TEST_DELIVERER_PEER_H

#include "core/wire.h"
#include "server/role/deliverer.h"
#include "unit/server/log_peer.h"

enum { RETRY_MS = 100, ROUTES_MAX = 8 };

static ch_deliverer_config config;
static ch_deliverer *deliverer;

static UNUSED void deliverer_config_default(void) {
  env_default();
  config = (ch_deliverer_config){.records_max = 32, .rewind_ms = 0, .retry_ms = RETRY_MS};
  log_begin();
}

static UNUSED void deliverer_begin(void) {
  ck_assert_int_eq(ch_deliverer_new(&env, &config, &deliverer), 0);
  role = ch_deliverer_role(deliverer);
}

static UNUSED void deliverer_end(void) {
  cancel_ops();
  ch_deliverer_free(deliverer);
  ck_assert_uint_eq(memory.live, 0);
  log_end();
}

/* --- writing the log --- */

static UNUSED const chat_bytes *users_of(const char *names) { /* one letter each */
  size_t count = strlen(names);
  chat_bytes *users = ch_arena_calloc(&kept, count + 1, sizeof *users);
  for (size_t i = 0; i < count; i++)
    users[i] = ch_bytes_of(ch_arena_dup(&kept, &names[i], 1), 1);
  return users;
}

/* An event of the conversation that is all this number, with heads. */
static UNUSED ch_task event_task(const char *users, uint8_t conversation, uint64_t seq) {
  ch_task task = {.kind = CH_TASK_EVENT, .users = users_of(users), .user_count = strlen(users), .has_head = !config.store_derives_heads};
  task.u.event = (chat_row){.seq = seq, .msg_no = seq, .message_id = seq, .created_ms = 5, .client_seq = seq, .sender = ch_bytes_text("s"), .type = CHAT_TYPE_MESSAGE};
  memset(task.u.event.conversation_id, conversation, 16);
  task.head = (chat_head){.kind = CHAT_GROUP, .role = CHAT_ROLE_MEMBER, .head = seq, .msg_no = seq, .first = 1, .active_ms = 5};
  memset(task.head.conversation_id, conversation, 16);
  return task;
}

static UNUSED ch_task channel_task(uint8_t conversation, uint64_t seq) {
  ch_task task = event_task("", conversation, seq);
  task.has_head = 0;
  task.channel = 1;
  return task;
}

static UNUSED void log_tasks_at(uint64_t position, const ch_task *tasks, size_t count) {
  ch_buf buf;
  ch_buf_init(&buf, NULL, 1 << 20);
  ck_assert_int_eq(ch_tasks_encode(&(ch_tasks){.position = position, .tasks = tasks, .count = count}, &buf), 0);
  log_bytes(ch_buf_bytes(&buf));
  ch_buf_fini(&buf);
}

static UNUSED void log_tasks(const ch_task *tasks, size_t count) {
  log_tasks_at(0, tasks, count);
}

/* A record with one event for these users, whose seq is its position. */
static UNUSED void log_event(const char *users) {
  ch_task task = event_task(users, 1, logged_count + 1);
  log_tasks(&task, 1);
}

/* --- answers by hand --- */

static UNUSED chat_log_info *assign_to_stored(uint64_t stored, uint8_t identity) {
  ck_assert_int_eq(ch_deliverer_assign(deliverer, partition, now), 0);
  if (!config.store_derives_heads) {
    ck_assert_uint_eq(count_ops(CHAT_OP_LOG_INFO), 0); /* an owner before may still store: the log's end is asked afterwards */
    chat_store_position *position = take_op(CHAT_OP_STORE_POSITION);
    ck_assert_uint_eq(position->topic, CHAT_TOPIC_DELIVERIES);
    ck_assert_uint_eq(position->partition, partition);
    position->position = stored;
    memset(position->log_identity, identity, sizeof position->log_identity);
    give(position, 0);
  }
  chat_log_info *info = take_op(CHAT_OP_LOG_INFO);
  ck_assert_uint_eq(info->topic, CHAT_TOPIC_DELIVERIES);
  ck_assert_uint_eq(info->partition, partition);
  fill_info(info);
  return info;
}

static UNUSED chat_log_info *assign_up_to_info(uint64_t stored) {
  return assign_to_stored(stored, stored > 0);
}

static UNUSED void assign(uint64_t stored) {
  give(assign_up_to_info(stored), 0);
}

static UNUSED void reads(size_t count) {
  chat_log_read *op = take_op(CHAT_OP_LOG_READ);
  ck_assert_uint_eq(op->topic, CHAT_TOPIC_DELIVERIES);
  ck_assert_uint_eq(op->partition, partition);
  fill_read(op, count);
  give(op, 0);
}

static UNUSED void rests(void) {
  pull();
  for (const chat_op *op = outside.first; op; op = op->next)
    ck_assert_msg(op->kind == CHAT_OP_LOG_READ, "an op of kind %u", op->kind);
}

static UNUSED void heads_are_written(uint64_t position) {
  chat_store_write_heads *op = take_op(CHAT_OP_STORE_WRITE_HEADS);
  ck_assert_uint_eq(op->partition, partition);
  ck_assert_uint_eq(op->position, position);
  give(op, 0);
}

/* Each device is a letter of the user's name, in lower or upper case, at the gateway that is named by its digit: "a1A2" is a user with two. */
static UNUSED void add_routes(chat_op *op, chat_raise *raise, const char *routes) {
  raise->routes = chat_op_alloc(op, ROUTES_MAX * sizeof *raise->routes);
  for (const char *at = routes; *at; at += 2) {
    chat_route *route = &raise->routes[raise->route_count++];
    route->gateway = chat_op_copy(op, ch_bytes_of(at + 1, 1));
    memset(route->device_id, at[0], 16);
  }
}

/* The op, with users (one letter each, in this order) and position as expected. */
static UNUSED chat_directory_raise *take_raise(const char *users, uint64_t position) {
  chat_directory_raise *op = take_op(CHAT_OP_DIRECTORY_RAISE);
  ck_assert_uint_eq(op->position, position);
  ck_assert_uint_eq(op->count, strlen(users));
  for (size_t i = 0; i < op->count; i++)
    ck_assert(ch_bytes_equal(op->raises[i].user, ch_bytes_of(&users[i], 1)));
  return op;
}

/* All of them are at gateway 1, and were at `previous` before. */
static UNUSED void raises(const char *users, uint64_t position, uint64_t previous) {
  chat_directory_raise *op = take_raise(users, position);
  for (size_t i = 0; i < op->count; i++) {
    op->raises[i].previous = previous;
    add_routes(&op->op, &op->raises[i], (char[]){users[i], '1', 0});
  }
  give(op, 0);
}

static UNUSED chat_link_send *take_link(const char *gateway) {
  chat_link_send *op = take_op(CHAT_OP_LINK_SEND);
  ck_assert(ch_bytes_equal(op->gateway, ch_bytes_text(gateway)));
  return op;
}

static UNUSED void delivered_of(const chat_delivery *delivery, ch_delivered *delivered) {
  ck_assert_int_eq(ch_delivered_decode(delivery->payload, &kept, delivered), 0);
}

/* The LINK_SEND to gateway 1 has one delivery of one event to one user, and is taken. */
static UNUSED void sends_event(const char *user, uint64_t seq, uint64_t position, uint64_t previous) {
  ch_delivered delivered;
  chat_link_send *op = take_link("1");
  ck_assert_uint_eq(op->count, 1);
  ck_assert_uint_eq(op->deliveries->position, position);
  ck_assert_uint_eq(op->deliveries->target_count, 1);
  ck_assert(ch_bytes_equal(op->deliveries->targets->user, ch_bytes_text(user)));
  ck_assert_uint_eq(op->deliveries->targets->previous, previous);
  delivered_of(op->deliveries, &delivered);
  ck_assert_uint_eq(delivered.event_count, 1);
  ck_assert_uint_eq(delivered.events->seq, seq);
  give(op, 0);
}

static UNUSED void consumes(uint64_t position) {
  chat_log_consumed *op = take_op(CHAT_OP_LOG_CONSUMED);
  ck_assert_uint_eq(op->topic, CHAT_TOPIC_DELIVERIES);
  ck_assert_uint_eq(op->partition, partition);
  ck_assert_uint_eq(op->position, position);
  give(op, 0);
}

#endif
