/* SPDX-License-Identifier: Apache-2.0 */
/* What the link between deliverer and gateways owes (chat/backend.h, "link"), held against link_mem. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "backend/link_mem.h"
#include "contract/suite.h"
#include "core/bytes.h"
#include "core/op.h"
#include "unit/backend/bench_port.h"
#include "unit/core/failing_allocator.h"

enum { GATEWAYS_MAX = 3, DELIVERIES_MAX = 8, BYTES_MAX = 64 * 1024 };

static bench_port deliverer, gateway; /* the ports of the two */

/* ------------------------------------------------------------------------------------------------ versions */

static void open_mem(void) {
  chat_backend link;
  ch_assert(ch_link_mem_new(&(ch_link_mem_config){.gateways_max = GATEWAYS_MAX, .deliveries_max = DELIVERIES_MAX, .bytes_max = BYTES_MAX}, &link) == 0);
  bench_open(&deliverer, link);
  bench_open(&gateway, link);
}

static void close_mem(void) {
  bench_port_close(&gateway);
  bench_close(&deliverer);
}

/* ------------------------------------------------------------------------------------------------ ops */

/* Deliveries first … first + count - 1 of that many bytes, each for two users: delivery n has position n, and says n. */
static chat_link_send *send_op(const char *to, uint64_t first, size_t count, size_t len) {
  chat_link_send *send = ch_op_new(NULL, CHAT_OP_LINK_SEND, sizeof *send);
  send->gateway = chat_op_copy(&send->op, text(to));
  send->count = count;
  send->deliveries = chat_op_alloc(&send->op, (count + 1) * sizeof *send->deliveries);
  for (size_t i = 0; i < count; i++) {
    chat_target *targets = chat_op_alloc(&send->op, 2 * sizeof *targets);
    uint8_t *payload = chat_op_alloc(&send->op, len + 1);
    memset(payload, (int)(first + i), len);
    targets[0] = (chat_target){.user = chat_op_copy(&send->op, text("alice")), .previous = first + i - 1};
    targets[1] = (chat_target){.user = chat_op_copy(&send->op, text("bob")), .device_id = {0xd1}};
    send->deliveries[i] = (chat_delivery){.position = first + i, .targets = targets, .target_count = 2, .payload = {payload, len}};
  }
  return send;
}

static int do_send(chat_link_send *send) {
  int status = bench_do(&deliverer, send);
  ch_op_free(&send->op);
  return status;
}

static chat_link_receive *receive_op(const char *name) {
  chat_link_receive *receive = ch_op_new(NULL, CHAT_OP_LINK_RECEIVE, sizeof *receive);
  receive->gateway = text(name);
  receive->wait_ms = 60000;
  return receive;
}

static void expect_delivery(const chat_delivery *delivery, uint64_t n, size_t len) {
  ck_assert_uint_eq(delivery->position, n);
  ck_assert_uint_eq(delivery->payload.len, len);
  for (size_t i = 0; i < len; i++)
    ck_assert_uint_eq(delivery->payload.data[i], (uint8_t)n);
  ck_assert_uint_eq(delivery->target_count, 2);
  ck_assert(ch_bytes_equal(delivery->targets[0].user, text("alice")));
  ck_assert_uint_eq(delivery->targets[0].previous, n - 1);
  ck_assert_uint_eq(delivery->targets[0].device_id[0], 0);
  ck_assert(ch_bytes_equal(delivery->targets[1].user, text("bob")));
  ck_assert_uint_eq(delivery->targets[1].device_id[0], 0xd1);
}

/* Receives until there were `count` deliveries, in order from `first` on; `lost` of the first answer. */
static uint32_t expect_received(const char *name, uint64_t first, size_t count, size_t len) {
  uint32_t lost = 0;
  for (size_t got = 0; got < count;) {
    chat_link_receive *receive = receive_op(name);
    ck_assert_int_eq(bench_do(&gateway, receive), 0);
    if (got == 0) lost = receive->lost;
    else ck_assert_uint_eq(receive->lost, 0);
    ck_assert_uint_ge(receive->count, 1);
    for (size_t i = 0; i < receive->count; i++)
      expect_delivery(&receive->deliveries[i], first + got++, len);
    ch_op_free(&receive->op);
  }
  return lost;
}

/* A gateway is there from its first RECEIVE on: one that has begun, and waits. */
static chat_link_receive *begin(const char *name) {
  chat_link_receive *receive = receive_op(name);
  bench_submit(&gateway, receive);
  ck_assert_ptr_null(bench_poll(&gateway));
  return receive;
}

static void expect_next(chat_link_receive *receive, uint64_t n, size_t len) {
  ck_assert_ptr_eq(bench_next(&gateway), &receive->op);
  ck_assert_int_eq(receive->op.status, 0);
  ck_assert_uint_eq(receive->count, 1);
  ck_assert_uint_eq(receive->lost, 0);
  expect_delivery(&receive->deliveries[0], n, len);
  ch_op_free(&receive->op);
}

/* The gateway is there and does not wait. */
static void be_there(const char *name) {
  chat_link_receive *receive = begin(name);
  ck_assert_int_eq(do_send(send_op(name, 1, 1, 1)), 0);
  expect_next(receive, 1, 1);
}

static chat_op *quick(void) {
  return &send_op("nobody", 1, 1, 1)->op;
}

static chat_op *long_poll(void) {
  return &receive_op("g1")->op;
}

/* ------------------------------------------------------------------------------------------------ */

START_TEST(a_delivery_ends_the_long_poll) {
  chat_link_receive *receive = begin("g1");
  ck_assert_int_eq(do_send(send_op("g1", 7, 1, 100)), 0); /* the op is freed: what arrives is a copy */
  expect_next(receive, 7, 100);
}
END_TEST

START_TEST(what_came_meanwhile_waits_in_order) {
  be_there("g1");
  ck_assert_int_eq(do_send(send_op("g1", 10, 3, 10)), 0);
  ck_assert_int_eq(do_send(send_op("g1", 13, 1, 10)), 0);
  ck_assert_int_eq(do_send(send_op("g1", 14, 2, 10)), 0);
  ck_assert_uint_eq(expect_received("g1", 10, 6, 10), 0);
  chat_link_receive *receive = begin("g1"); /* nothing is there a second time */
  ck_assert_int_eq(do_send(send_op("g1", 20, 1, 1)), 0);
  expect_next(receive, 20, 1);
}
END_TEST

START_TEST(gateways_are_apart) {
  bench_port second;
  bench_open(&second, gateway.backend);
  be_there("g1");
  chat_link_receive *receive = receive_op("g2");
  bench_submit(&second, receive);
  ck_assert_int_eq(do_send(send_op("g1", 5, 1, 1)), 0);
  ck_assert_ptr_null(bench_poll(&second));
  ck_assert_int_eq(do_send(send_op("g2", 6, 1, 1)), 0);
  ck_assert_ptr_eq(bench_next(&second), &receive->op);
  expect_delivery(&receive->deliveries[0], 6, 1);
  ch_op_free(&receive->op);
  bench_port_close(&second);
  expect_received("g1", 5, 1, 1);
}
END_TEST

START_TEST(who_is_not_there_is_not_found) {
  ck_assert_int_eq(do_send(send_op("g1", 1, 1, 1)), CHAT_E_NOT_FOUND);
  be_there("g1");
  ck_assert_int_eq(do_send(send_op("g", 1, 1, 1)), CHAT_E_NOT_FOUND);
  ck_assert_int_eq(do_send(send_op("g11", 1, 1, 1)), CHAT_E_NOT_FOUND);
}
END_TEST

START_TEST(a_gateway_goes_with_its_port) {
  be_there("g1");
  ck_assert_int_eq(do_send(send_op("g1", 2, 1, 1)), 0);
  bench_cancel(&gateway);
  ck_assert_int_eq(do_send(send_op("g1", 3, 1, 1)), CHAT_E_NOT_FOUND);
}
END_TEST

START_TEST(a_delivery_without_targets_is_the_channel_s) {
  chat_link_receive *receive = begin("g1");
  chat_link_send *send = send_op("g1", 4, 1, 3);
  send->deliveries[0].targets = NULL;
  send->deliveries[0].target_count = 0;
  ck_assert_int_eq(do_send(send), 0);
  ck_assert_ptr_eq(bench_next(&gateway), &receive->op);
  ck_assert_uint_eq(receive->count, 1);
  ck_assert_uint_eq(receive->deliveries[0].target_count, 0);
  ck_assert_uint_eq(receive->deliveries[0].payload.len, 3);
  ch_op_free(&receive->op);
}
END_TEST

START_TEST(a_volatile_delivery_has_position_0_and_may_be_empty) {
  chat_link_receive *receive = begin("g1");
  chat_link_send *send = send_op("g1", 1, 1, 0);
  send->deliveries[0].position = 0;
  ck_assert_int_eq(do_send(send), 0);
  ck_assert_ptr_eq(bench_next(&gateway), &receive->op);
  ck_assert_int_eq(receive->op.status, 0);
  ck_assert_uint_eq(receive->count, 1);
  ck_assert_uint_eq(receive->deliveries[0].position, 0);
  ck_assert_uint_eq(receive->deliveries[0].payload.len, 0);
  ch_op_free(&receive->op);
}
END_TEST

/* Everybody has to sync then, and is told once. */
START_TEST(a_full_queue_takes_nothing_and_says_so) {
  be_there("g1");
  ck_assert_int_eq(do_send(send_op("g1", 10, DELIVERIES_MAX - 1, 1)), 0);
  ck_assert_int_eq(do_send(send_op("g1", 50, 2, 1)), CHAT_E_AGAIN); /* not one of them either */
  ck_assert_int_eq(do_send(send_op("g1", 10 + DELIVERIES_MAX - 1, 1, 1)), 0);
  ck_assert_int_eq(do_send(send_op("g1", 60, 1, 1)), CHAT_E_AGAIN);
  ck_assert_uint_eq(expect_received("g1", 10, DELIVERIES_MAX, 1), 1);
  ck_assert_int_eq(do_send(send_op("g1", 70, 1, 1)), 0);
  ck_assert_uint_eq(expect_received("g1", 70, 1, 1), 0);
}
END_TEST

START_TEST(a_queue_is_bounded_in_bytes_too) {
  be_there("g1");
  ck_assert_int_eq(do_send(send_op("g1", 10, 1, BYTES_MAX / 2)), 0);
  ck_assert_int_eq(do_send(send_op("g1", 11, 1, BYTES_MAX / 2)), CHAT_E_AGAIN);
  ck_assert_uint_eq(expect_received("g1", 10, 1, BYTES_MAX / 2), 1);
  ck_assert_int_eq(do_send(send_op("g1", 11, 1, BYTES_MAX / 2)), 0);
  ck_assert_uint_eq(expect_received("g1", 11, 1, BYTES_MAX / 2), 0);
}
END_TEST

/* What does not fit at all is lost for a gateway that waits, too: it must hear of that, and not wait on. */
START_TEST(who_waits_is_told_of_a_loss) {
  chat_link_receive *receive = begin("g1");
  ck_assert_int_eq(do_send(send_op("g1", 10, DELIVERIES_MAX + 1, 1)), CHAT_E_AGAIN);
  ck_assert_ptr_eq(bench_next(&gateway), &receive->op);
  ck_assert_int_eq(receive->op.status, 0);
  ck_assert_uint_eq(receive->count, 0);
  ck_assert_uint_eq(receive->lost, 1);
  ch_op_free(&receive->op);
}
END_TEST

START_TEST(one_long_poll_of_a_gateway_at_a_time) {
  chat_link_receive *first = begin("g1"), *second = receive_op("g1");
  ck_assert_int_eq(bench_do(&gateway, second), CHAT_E_BUSY);
  ch_op_free(&second->op);
  ck_assert_int_eq(do_send(send_op("g1", 3, 1, 1)), 0);
  expect_next(first, 3, 1);
}
END_TEST

START_TEST(gateways_are_bounded) {
  const char *const names[GATEWAYS_MAX] = {"g1", "g2", "g3"};
  for (int i = 0; i < GATEWAYS_MAX; i++)
    bench_submit(&gateway, receive_op(names[i]));
  chat_link_receive *one_more = receive_op("g4");
  ck_assert_int_eq(bench_do(&gateway, one_more), CHAT_E_LIMIT);
  ch_op_free(&one_more->op);
  bench_cancel(&gateway);
  for (int i = 0; i < GATEWAYS_MAX; i++) {
    chat_op *op = bench_next(&gateway);
    ck_assert_int_eq(op->status, CHAT_E_CANCELED);
    ch_op_free(op);
  }
}
END_TEST

START_TEST(what_is_outside_the_bounds_is_invalid) {
  static const char long_name[] = "a name of more than sixty-four bytes, which is the most that a gateway may have";
  be_there("g1");
  ck_assert_int_eq(do_send(send_op("g1", 1, 0, 1)), CHAT_E_INVALID);
  ck_assert_int_eq(do_send(send_op("", 1, 1, 1)), CHAT_E_INVALID);
  ck_assert_int_eq(do_send(send_op(long_name, 1, 1, 1)), CHAT_E_INVALID);
  chat_link_send *send = send_op("g1", 1, 1, 1);
  send->deliveries[0].targets[1].user = text("");
  ck_assert_int_eq(do_send(send), CHAT_E_INVALID);
  const char *const names[] = {"", long_name};
  for (int i = 0; i < 2; i++) {
    chat_link_receive *receive = receive_op(names[i]);
    ck_assert_int_eq(bench_do(&gateway, receive), CHAT_E_INVALID);
    ch_op_free(&receive->op);
  }
}
END_TEST

START_TEST(results_live_as_long_as_the_op) {
  be_there("g1");
  ck_assert_int_eq(do_send(send_op("g1", 9, 2, 500)), 0);
  chat_link_receive *receive = receive_op("g1");
  ck_assert_int_eq(bench_do(&gateway, receive), 0);
  bench_cancel(&gateway);
  expect_delivery(&receive->deliveries[1], 10, 500);
  ch_op_free(&receive->op);
}
END_TEST

/* A hint that there is no memory for is a loss: nothing half is sent, nothing half received. */
START_TEST(memory_may_run_out) {
  failing_allocator memory;
  chat_backend link;
  bench_port both;
  failing_allocator_init(&memory, SIZE_MAX);
  ck_assert_int_eq(ch_link_mem_new(&(ch_link_mem_config){.alloc = &memory.alloc, .gateways_max = 1, .deliveries_max = 8}, &link), 0);
  bench_open(&both, link);
  memory.left = 0;
  chat_link_receive *receive = receive_op("g1");
  ck_assert_int_eq(bench_do(&both, receive), CHAT_E_NOMEM);
  memory.left = SIZE_MAX;
  bench_submit(&both, receive);
  memory.left = 0;
  chat_link_send *send = send_op("g1", 1, 1, 1);
  ck_assert_int_eq(bench_do(&both, send), CHAT_E_NOMEM);
  memory.left = SIZE_MAX;
  bench_submit(&both, send);
  for (int i = 0; i < 2; i++)
    ck_assert_int_eq(bench_next(&both)->status, 0);
  ck_assert_uint_eq(receive->count, 1);
  ch_op_free(&receive->op);
  ch_op_free(&send->op);
  bench_close(&both);
  ck_assert_uint_eq(memory.live, 0);
}
END_TEST

int main(void) {
  const TTest *const tests[] = {
      a_delivery_ends_the_long_poll,
      what_came_meanwhile_waits_in_order,
      gateways_are_apart,
      who_is_not_there_is_not_found,
      a_gateway_goes_with_its_port,
      a_delivery_without_targets_is_the_channel_s,
      a_volatile_delivery_has_position_0_and_may_be_empty,
      a_full_queue_takes_nothing_and_says_so,
      a_queue_is_bounded_in_bytes_too,
      who_waits_is_told_of_a_loss,
      one_long_poll_of_a_gateway_at_a_time,
      gateways_are_bounded,
      what_is_outside_the_bounds_is_invalid,
      results_live_as_long_as_the_op,
      memory_may_run_out,
  };
  const contract_version versions[] = {{"mem", open_mem, close_mem}};
  return contract_run(&(contract_suite){"link", CONTRACT_LIST(versions), CONTRACT_LIST(tests), {&deliverer.backend, quick, CHAT_E_NOT_FOUND, long_poll}});
}
