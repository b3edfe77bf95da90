/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that nobody's encoder makes. Each input lies in a block of exactly its size, so that the sanitizers see any read beyond it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec_example.h"
#include "codec_vectors.h"
#include "run.h"

static ch_client_message client_back;
static ch_server_message server_back;

static int decode_client(chat_bytes bytes, ch_arena *arena) {
  return ch_client_message_decode(bytes, arena, &client_back);
}

static int decode_server(chat_bytes bytes, ch_arena *arena) {
  return ch_server_message_decode(bytes, arena, &server_back);
}

static int decode_contents(chat_bytes bytes, ch_arena *arena) {
  ch_content back;
  int error = 0;
  for (uint32_t type = CHAT_TYPE_MESSAGE; type <= CHAT_TYPE_DEVICE_RETIRED; type++)
    error = ch_content_decode(type, bytes, arena, &back);
  return error;
}

static int decode_record(chat_bytes bytes, ch_arena *arena) {
  ch_record back;
  return ch_record_decode(bytes, arena, &back);
}

static int decode_tasks(chat_bytes bytes, ch_arena *arena) {
  ch_tasks back;
  return ch_tasks_decode(bytes, arena, &back);
}

static int decode_delivered(chat_bytes bytes, ch_arena *arena) {
  ch_delivered back;
  return ch_delivered_decode(bytes, arena, &back);
}

static int decode_row(chat_bytes bytes, ch_arena *arena) {
  chat_row back;
  return ch_row_decode(bytes, arena, &back);
}

typedef int decoder(chat_bytes bytes, ch_arena *arena);
static decoder *const decoders[] = {decode_client, decode_server, decode_contents, decode_record, decode_tasks, decode_delivered, decode_row};

static int decode(decoder *decoder_of, const uint8_t *bytes, size_t len) {
  ch_arena arena;
  uint8_t *exact = malloc(len);
  if (len > 0) memcpy(exact, bytes, len);
  ch_arena_init(&arena, NULL, 1024, ch_decode_cap(len));
  int error = decoder_of(ch_bytes_of(exact, len), &arena);
  ck_assert_int_le(error, 0);
  ck_assert_int_ge(error, CHAT_E_INTERNAL);
  ck_assert_int_ne(error, CHAT_E_NOMEM);
  ch_arena_fini(&arena);
  free(exact);
  return error;
}

static void decode_by_all(const uint8_t *bytes, size_t len) {
  for (size_t i = 0; i < COUNT(decoders); i++)
    decode(decoders[i], bytes, len);
}

/* --- the vectors, cut and with bits turned --- */

static void each_vector(void (*visit)(uint8_t *bytes, size_t len)) {
  static const struct {
    const char *const *vectors;
    size_t count;
  } families[] = {{client_vectors, COUNT(client_vectors)},   {server_vectors, COUNT(server_vectors)}, {content_vectors, COUNT(content_vectors)},
                  {record_vectors, COUNT(record_vectors)},   {tasks_vectors, COUNT(tasks_vectors)},   {delivered_vectors, COUNT(delivered_vectors)}};
  for (size_t i = 0; i < COUNT(families); i++) {
    for (size_t k = 0; k < families[i].count; k++) {
      size_t len = strlen(families[i].vectors[k]) / 2;
      uint8_t *bytes = malloc(len + 1);
      ck_assert(ch_hex_decode(ch_bytes_text(families[i].vectors[k]), bytes, len));
      visit(bytes, len);
      free(bytes);
    }
  }
}

static void cut_everywhere(uint8_t *bytes, size_t len) {
  for (size_t cut = 0; cut <= len; cut++)
    decode_by_all(bytes, cut);
}

START_TEST(cut_at_every_byte) {
  each_vector(cut_everywhere);
}
END_TEST

/* A message whose last field is its body is no message any more when one byte is missing. */
START_TEST(a_cut_message_is_an_error) {
  uint8_t bytes[4096];
  for (size_t i = 0; i < COUNT(server_vectors); i++) {
    size_t len = strlen(server_vectors[i]) / 2;
    ck_assert(ch_hex_decode(ch_bytes_text(server_vectors[i]), bytes, len));
    for (size_t cut = 3; cut < len; cut++) {
      ck_assert_int_eq(decode(decode_server, bytes, cut), CHAT_E_PROTOCOL);
      ck_assert_uint_eq(server_back.tag, i + 1); /* it stood before the cut */
    }
  }
}
END_TEST

static void turn_bits(uint8_t *bytes, size_t len) {
  for (size_t bit = 0; bit < 8 * len; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    decode_by_all(bytes, len);
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
}

START_TEST(every_bit_turned) {
  each_vector(turn_bits);
}
END_TEST

/* --- random bytes: the seed is printed, and CHAT_SEED repeats a run --- */

static uint64_t state;

static uint64_t draw(void) { /* splitmix64 */
  uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

/* A run of short fields with true-looking keys gets further than noise does. */
static size_t draw_fields(uint8_t *bytes, size_t len_max) {
  static const uint8_t wires[] = {0, 1, 2, 2, 2, 5};
  size_t len = 0;
  while (len + 32 < len_max && draw() % 16 != 0) {
    uint8_t wire = wires[draw() % sizeof wires];
    bytes[len++] = (uint8_t)((1 + draw() % 15) << 3 | wire);
    size_t value_len = wire == 1 ? 8 : wire == 5 ? 4 : wire == 2 ? draw() % 20 : draw() % 3;
    if (wire == 2) bytes[len++] = (uint8_t)value_len;
    for (size_t i = 0; i < value_len; i++)
      bytes[len++] = (uint8_t)draw();
    if (wire == 0) bytes[len++] = (uint8_t)(draw() & 0x7F);
  }
  return len;
}

START_TEST(random_bytes) {
  uint8_t bytes[256];
  const char *given = getenv("CHAT_SEED");
  uint64_t seed = given ? strtoull(given, NULL, 0) : 20240229;
  printf("CHAT_SEED=%llu\n", (unsigned long long)seed);
  fflush(stdout);
  state = seed;
  for (int round = 0; round < 20000; round++) {
    size_t len = round % 2 ? draw_fields(bytes, sizeof bytes) : draw() % 64;
    if (round % 2 == 0)
      for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)draw();
    decode_by_all(bytes, len);
  }
}
END_TEST

/* --- one trick each --- */

typedef struct trick {
  const char *what, *hex;
  int error;
  ch_client_op op;
} trick;

/* Written by hand: key = number * 8 + wire type (0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes). */
static const trick tricks[] = {
    {"nothing at all", "", CHAT_OK, CH_CLIENT_NONE},
    {"a tag alone", "0805", CHAT_OK, CH_CLIENT_NONE},
    {"a body of a later version", "0805fa0700", CHAT_OK, CH_CLIENT_NONE},
    {"... that is cut", "0805fa0705", CHAT_E_PROTOCOL, CH_CLIENT_NONE},
    {"sync, empty", "3a00", CHAT_OK, CH_SYNC},
    {"sync with unknown fields of all wire types", "3a16" "0801" "5001" "590102030405060708" "6202aabb" "6d01020304", CHAT_OK, CH_SYNC},
    {"heartbeat, then sync: the last body counts", "2a0208013a020807", CHAT_OK, CH_SYNC},
    {"sync twice", "3a0208073a020809", CHAT_OK, CH_SYNC},
    {"a good body behind one that is no message", "2a01ff3a020807", CHAT_E_PROTOCOL, CH_SYNC},
    {"a number twice within a body", "3a0408070809", CHAT_OK, CH_SYNC},
    {"a number as bytes", "3a030a0107", CHAT_E_PROTOCOL, CH_SYNC},
    {"a number in eight bytes", "3a09090700000000000000", CHAT_E_PROTOCOL, CH_SYNC},
    {"bytes as a number", "22020807", CHAT_E_PROTOCOL, CH_RENEW_TOKEN},
    {"a body as a number", "3807", CHAT_E_PROTOCOL, CH_SYNC},
    {"a tag as bytes", "0a013a3a00", CHAT_E_PROTOCOL, CH_SYNC},
    {"a varint with bytes too many, within 10", "3a0b0887808080808080808000", CHAT_OK, CH_SYNC},
    {"a varint of 64 bits", "3a0b08ffffffffffffffffff01", CHAT_OK, CH_SYNC},
    {"a varint of 65 bits", "3a0b08ffffffffffffffffff02", CHAT_E_PROTOCOL, CH_SYNC},
    {"a varint of 11 bytes", "3a0c088780808080808080808000", CHAT_E_PROTOCOL, CH_SYNC},
    {"a varint that does not end", "3a0208ff", CHAT_E_PROTOCOL, CH_SYNC},
    {"a tag that does not end", "08ff", CHAT_E_PROTOCOL, CH_CLIENT_NONE},
    {"a length beyond the end", "3a7f0807", CHAT_E_PROTOCOL, CH_CLIENT_NONE},
    {"a length of 2^64 - 1", "3affffffffffffffffff01", CHAT_E_PROTOCOL, CH_CLIENT_NONE},
    {"field number 0", "0007", CHAT_E_PROTOCOL, CH_CLIENT_NONE},
    {"a key above 32 bits", "888080808001" "07", CHAT_E_PROTOCOL, CH_CLIENT_NONE},
    {"a group", "3b3c", CHAT_E_PROTOCOL, CH_CLIENT_NONE},
    {"an end of a group alone", "3c", CHAT_E_PROTOCOL, CH_CLIENT_NONE},
    {"wire type 6", "0e07", CHAT_E_PROTOCOL, CH_CLIENT_NONE},
    {"wire type 7", "0f07", CHAT_E_PROTOCOL, CH_CLIENT_NONE},
};

START_TEST(tricks_one_by_one) {
  uint8_t bytes[64];
  for (size_t i = 0; i < COUNT(tricks); i++) {
    size_t len = strlen(tricks[i].hex) / 2;
    ck_assert(ch_hex_decode(ch_bytes_text(tricks[i].hex), bytes, len));
    ck_assert_msg(decode(decode_client, bytes, len) == tricks[i].error, "%s", tricks[i].what);
    ck_assert_msg(client_back.op == tricks[i].op, "%s", tricks[i].what);
  }
}
END_TEST

START_TEST(the_last_value_counts) {
  static const uint8_t twice[] = {0x08, 1, 0x3A, 2, 0x08, 7, 0x08, 2, 0x3A, 2, 0x08, 9};
  ck_assert_int_eq(decode(decode_client, twice, sizeof twice), CHAT_OK);
  ck_assert_uint_eq(client_back.tag, 2);
  ck_assert_uint_eq(client_back.u.position, 9);
}
END_TEST

/* --- work and memory are bounded --- */

static size_t put_varint(uint8_t *to, size_t value) {
  size_t len = 0;
  for (; value >= 0x80; value >>= 7)
    to[len++] = (uint8_t)(value | 0x80);
  to[len++] = (uint8_t)value;
  return len;
}

/* A body of `count` times these two bytes, decoded with no more memory than cap_len. */
static int repeated(decoder *decoder_of, uint8_t body_key, uint8_t first, size_t count, size_t cap_len) {
  uint8_t *bytes = malloc(2 * count + 16);
  ch_arena arena;
  size_t len = 1;
  bytes[0] = body_key;
  len += put_varint(bytes + len, 2 * count);
  for (size_t i = 0; i < count; i++) {
    bytes[len++] = first;
    bytes[len++] = 0;
  }
  ch_arena_init(&arena, NULL, 1024, cap_len);
  int error = decoder_of(ch_bytes_of(bytes, len), &arena);
  ck_assert_uint_le(arena.used_len, cap_len);
  ch_arena_fini(&arena);
  free(bytes);
  return error;
}

/* Lists above their bound end before anything is allocated: an arena without room would say something else. */
START_TEST(long_lists_cost_nothing) {
  ck_assert_int_eq(repeated(decode_client, CH_GET_RECEIPTS << 3 | 2, 1 << 3 | 2, 500000, 0), CHAT_E_TOO_LARGE);
  ck_assert_int_eq(repeated(decode_server, CH_LIVE << 3 | 2, 3 << 3 | 2, 500000, 0), CHAT_E_TOO_LARGE);
  ck_assert_int_eq(repeated(decode_client, CH_GET_RECEIPTS << 3 | 2, 1 << 3 | 2, 200, 65536), CHAT_E_PROTOCOL); /* ids of length 0 */
}
END_TEST

/* Half a million bodies of two kinds in turn, decoded at the cap that every decoder uses; of one kind the first has the place of all. */
static int bodies(uint8_t one_key, uint8_t other_key, ch_arena *arena) {
  uint8_t *bytes = malloc(1000000);
  for (size_t i = 0; i < 500000; i++) {
    bytes[2 * i] = i % 2 ? other_key : one_key;
    bytes[2 * i + 1] = 0;
  }
  ch_arena_init(arena, NULL, 1024, ch_decode_cap(1000000));
  int error = ch_client_message_decode(ch_bytes_of(bytes, 1000000), arena, &client_back);
  free(bytes);
  return error;
}

START_TEST(many_bodies_meet_the_cap) {
  enum { SYNC_KEY = CH_SYNC << 3 | 2, RECEIPT_KEY = CH_RECEIPT << 3 | 2 };
  ch_arena arena;
  ck_assert_int_eq(bodies(SYNC_KEY, SYNC_KEY, &arena), CHAT_OK);
  ck_assert_uint_eq(client_back.op, CH_SYNC);
  ck_assert_uint_lt(arena.used_len, 1000000 + 1024);
  ch_arena_fini(&arena);
  ck_assert_int_eq(bodies(SYNC_KEY, RECEIPT_KEY, &arena), CHAT_E_TOO_LARGE);
  ck_assert_uint_eq(client_back.op, CH_RECEIPT);
  ch_arena_fini(&arena);
}
END_TEST

START_TEST(unknown_fields_cost_nothing) {
  ck_assert_int_eq(repeated(decode_client, CH_SYNC << 3 | 2, 2 << 3, 500000, 1000000 + 1024), CHAT_OK);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {cut_at_every_byte, 0},
      {a_cut_message_is_an_error, 0},
      {every_bit_turned, 0},
      {random_bytes, 0},
      {tricks_one_by_one, 0},
      {the_last_value_counts, 0},
      {long_lists_cost_nothing, 0},
      {many_bodies_meet_the_cap, 0},
      {unknown_fields_cost_nothing, 0},
  };
  return RUN_TESTS("codec_hostile", rows);
}
