/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a connection counts for: an address, or the network of which somebody has all addresses. */
#include <string.h>

#include "server/loop/listener.h"
#include "unit/core/run.h"

static size_t origin_of(const char *text, uint8_t key[CH_ORIGIN_MAX]) {
  ch_address address;
  ck_assert_msg(ch_address_parse(text, &address), "%s", text);
  return ch_address_origin(&address, key);
}

static bool same(const char *a, const char *b) {
  uint8_t of_a[CH_ORIGIN_MAX], of_b[CH_ORIGIN_MAX];
  size_t len = origin_of(a, of_a);
  return len == origin_of(b, of_b) && memcmp(of_a, of_b, len) == 0;
}

START_TEST(the_port_does_not_count) {
  ck_assert(same("192.0.2.1:1", "192.0.2.1:2"));
  ck_assert(same("[2001:db8::1]:1", "[2001:db8::1]:2"));
}
END_TEST

START_TEST(addresses_of_ipv4_are_apart) {
  ck_assert(!same("192.0.2.1:1", "192.0.2.2:1"));
}
END_TEST

START_TEST(a_64_of_ipv6_is_one) {
  ck_assert(same("[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:1"));
  ck_assert(!same("[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1"));
}
END_TEST

/* A socket that listens to both gives IPv4 like that; all of them share one /64. */
START_TEST(ipv4_in_ipv6_is_ipv4) {
  ck_assert(same("[::ffff:192.0.2.1]:1", "192.0.2.1:1"));
  ck_assert(!same("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1"));
}
END_TEST

int main(void) {
  const test_row tests[] = {
      {the_port_does_not_count, 0},
      {addresses_of_ipv4_are_apart, 0},
      {a_64_of_ipv6_is_one, 0},
      {ipv4_in_ipv6_is_ipv4, 0},
  };
  return RUN_TESTS("listener", tests);
}
