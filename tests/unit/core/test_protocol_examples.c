/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec against the example frames of docs/protocol.md, which tests/integration/protocol_examples.py makes with Google's protobuf: each decodes, and what was
 * decoded encodes to the same bytes. Also the ids on that page.
 */
#include <stdio.h>
#include <string.h>

#include "core/conversation_id.h"
#include "core/wire.h"
#include "run.h"

enum { PAGE_MAX = 1 << 20, EXAMPLE_MAX = 64 * 1024, ARENA_MAX = 1 << 22, KIND_LEN = 32 };

static char page[PAGE_MAX];
static uint8_t bytes[EXAMPLE_MAX];
static ch_buf out;
static ch_arena arena;

static void setup(void) {
  const char *source = getenv("CHAT_SOURCE");
  char path[1024];
  snprintf(path, sizeof path, "%s/docs/protocol.md", source ? source : ".");
  FILE *file = fopen(path, "rb");
  ck_assert_msg(file != NULL, "%s", path);
  size_t len = fread(page, 1, sizeof page - 1, file);
  ck_assert_uint_lt(len, sizeof page - 1);
  page[len] = '\0';
  fclose(file);
  ch_buf_init(&out, NULL, EXAMPLE_MAX);
  ch_arena_init(&arena, NULL, 1024, ARENA_MAX);
}

static void teardown(void) {
  ch_buf_fini(&out);
  ch_arena_fini(&arena);
}

/* --- reading the page --- */

typedef struct example {
  char kind[KIND_LEN]; /* client, server, or a payload's name */
  chat_bytes data;
} example;

/* The block's digits, packed over themselves without what stands between them, then decoded. */
static chat_bytes decode_hex(char *digits, char *end) {
  size_t len = 0;
  for (char *at = digits; at < end; at++)
    if (*at != ' ' && *at != '\n') digits[len++] = *at;
  ck_assert_uint_le(len / 2, sizeof bytes);
  ck_assert(ch_hex_decode(ch_bytes_of(digits, len), bytes, len / 2));
  return ch_bytes_of(bytes, len / 2);
}

/* The next example behind *at; false: there is none. The page is spent by it. */
static bool next_example(char **at, example *found) {
  static const char text_fence[] = "```textproto ", hex_fence[] = "```hex\n";
  char *text = strstr(*at, text_fence), *hex = strstr(*at, hex_fence);
  if (!hex) return false;
  ck_assert(text && text < hex);
  ck_assert_int_eq(sscanf(text + strlen(text_fence), "%31s", found->kind), 1);
  char *digits = hex + strlen(hex_fence), *end = strstr(digits, "```");
  ck_assert(end != NULL);
  *at = end + 3;
  found->data = decode_hex(digits, end);
  return true;
}

/* --- by kind --- */

static void client_frame(chat_bytes frame) {
  chat_bytes encoded;
  ch_client_message message;
  int error;
  while (!(error = ch_frame_next(&frame, &encoded))) {
    ck_assert_int_eq(ch_client_message_decode(encoded, &arena, &message), CHAT_OK);
    ck_assert_int_ne(message.op, CH_CLIENT_NONE);
    ck_assert_int_eq(ch_client_message_encode(&message, &out), CHAT_OK);
  }
  ck_assert_int_eq(error, CHAT_E_CLOSED);
}

static void server_frame(chat_bytes frame) {
  chat_bytes encoded;
  ch_server_message message;
  int error;
  while (!(error = ch_frame_next(&frame, &encoded))) {
    ck_assert_int_eq(ch_server_message_decode(encoded, &arena, &message), CHAT_OK);
    ck_assert_int_ne(message.op, CH_SERVER_NONE);
    ck_assert_int_eq(ch_server_message_encode(&message, &out), CHAT_OK);
  }
  ck_assert_int_eq(error, CHAT_E_CLOSED);
}

static void payload(const char *name, chat_bytes data) {
  static const char *const names[] = {
      [CHAT_TYPE_MESSAGE] = "MessageContent", [CHAT_TYPE_CREATE] = "CreateContent", [CHAT_TYPE_MEMBERS_ADD] = "MembersAddContent",
      [CHAT_TYPE_MEMBER_REMOVE] = "MemberRemoveContent", [CHAT_TYPE_LEAVE] = "LeaveContent", [CHAT_TYPE_ROLE] = "RoleContent",
      [CHAT_TYPE_OWNER] = "OwnerContent", [CHAT_TYPE_TITLE] = "TitleContent", [CHAT_TYPE_SETTINGS] = "SettingsContent",
      [CHAT_TYPE_TO_CHANNEL] = "ToChannelContent", [CHAT_TYPE_DEVICE_RETIRED] = "DeviceRetiredContent",
  };
  ch_content content;
  uint32_t type = 1;
  while (type < sizeof names / sizeof *names && strcmp(names[type], name) != 0) type++;
  ck_assert_msg(type < sizeof names / sizeof *names, "%s", name);
  ck_assert_int_eq(ch_content_decode(type, data, &arena, &content), CHAT_OK);
  ck_assert_int_eq(ch_content_encode(&content, &out), CHAT_OK);
}

static void check_example(const example *shown) {
  ch_arena_reset(&arena);
  ch_buf_clear(&out);
  if (strcmp(shown->kind, "client") == 0)
    client_frame(shown->data);
  else if (strcmp(shown->kind, "server") == 0)
    server_frame(shown->data);
  else
    payload(shown->kind, shown->data);
  ck_assert_uint_eq(out.len, shown->data.len);
  if (out.len) ck_assert_mem_eq(out.data, shown->data.data, out.len);
}

START_TEST(examples_decode_and_encode_to_the_same_bytes) {
  example shown;
  size_t count = 0;
  setup();
  for (char *at = page; next_example(&at, &shown); count++)
    check_example(&shown);
  ck_assert_uint_ge(count, 15 + 16 + 11); /* that each kind is there, the Python test checks */
  teardown();
}
END_TEST

static void is_shown(const char *hex) {
  ck_assert_msg(strstr(page, hex) != NULL, "%s is not in docs/protocol.md", hex);
}

START_TEST(ids_are_the_computed_ones) {
  uint8_t id[16];
  char hex[33];
  setup();
  ch_conversation_id_direct(ch_bytes_text("bob"), ch_bytes_text("ann"), id);
  ch_hex_encode(ch_bytes_of(id, sizeof id), hex);
  is_shown(hex);
  ch_conversation_id_direct(ch_bytes_text("zo\xc3\xab"), ch_bytes_text("zo\xc3\xab"), id);
  ch_hex_encode(ch_bytes_of(id, sizeof id), hex);
  is_shown(hex);
  teardown();
}
END_TEST

int main(void) {
  const test_row rows[] = {{examples_decode_and_encode_to_the_same_bytes, 0}, {ids_are_the_computed_ones, 0}};
  return RUN_TESTS("protocol_examples", rows);
}
