/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration file, a command line or an environment of any bytes: each value is within its bounds afterwards, and there is a sentence where something was wrong.
 *
 * Input: the first byte says which; the arguments and the variables are parted by newlines.
 */
#include <string.h>

#include "core/option_source.h"
#include "fuzz/fuzz.h"

enum { ROOM_LEN = 8192, STRINGS_MAX = 64 };

typedef struct values {
  bool verbose;
  int64_t offset;
  uint64_t queue_max, heartbeat_ms;
  char data[32];
  int level;
} values;

static const char *const levels[] = {"error", "info", NULL};
static const ch_option rows[] = {
    {.name = "verbose", .type = CH_OPTION_BOOL, .initial = "false", .help = "Flag.", CH_OPTION_FIELD(values, verbose)},
    {.name = "offset", .type = CH_OPTION_INT, .initial = "-5", .min = -10, .max = 10, .help = "Number.", CH_OPTION_FIELD(values, offset)},
    {.name = "queue-max",
     .type = CH_OPTION_SIZE,
     .initial = "64k",
     .min = 1000,
     .max = INT64_C(1) << 40,
     .help = "Size.",
     CH_OPTION_FIELD(values, queue_max)},
    {.name = "heartbeat",
     .type = CH_OPTION_DURATION,
     .initial = "15s",
     .max = 604800000,
     .help = "Duration.",
     CH_OPTION_FIELD(values, heartbeat_ms)},
    {.name = "data", .type = CH_OPTION_STRING, .initial = "x", .min = 1, .help = "Text.", CH_OPTION_FIELD(values, data)},
    {.name = "level", .type = CH_OPTION_ENUM, .initial = "info", .choices = levels, .help = "Word.", CH_OPTION_FIELD(values, level)},
};
static const ch_option_table table = {rows, sizeof rows / sizeof *rows};

static void are_within_bounds(const values *v) {
  ch_assert(v->offset >= -10 && v->offset <= 10);
  ch_assert(v->queue_max >= 1000 && v->queue_max <= UINT64_C(1) << 40);
  ch_assert(v->heartbeat_ms <= 604800000);
  size_t len = strnlen(v->data, sizeof v->data);
  ch_assert(len >= 1 && len < sizeof v->data);
  ch_assert(v->level == 0 || v->level == 1);
}

/* The lines of the input as strings, ended by NULL; they stand in `room`. */
static int strings_of(chat_bytes bytes, char room[ROOM_LEN], const char *strings[STRINGS_MAX + 1]) {
  int count = 0;
  size_t len = bytes.len < ROOM_LEN - 1 ? bytes.len : ROOM_LEN - 1;
  if (len > 0) memcpy(room, bytes.data, len);
  room[len] = 0;
  for (char *at = room; at && count < STRINGS_MAX; count++) {
    strings[count] = at;
    at = strchr(at, '\n');
    if (at) *at++ = 0;
  }
  strings[count] = NULL;
  return count;
}

static int take_args(ch_options options, chat_bytes bytes) {
  char room[ROOM_LEN];
  const char *args[STRINGS_MAX + 1];
  int used = -1, count = strings_of(bytes, room, args);
  int error = ch_options_from_args(options, count, args, &used);
  ch_assert(used >= 0 && used <= count);
  ch_assert(error || used == count || used > 0 || strncmp(args[0], "--", 2) != 0);
  return error;
}

static int take_environment(ch_options options, chat_bytes bytes) {
  char room[ROOM_LEN];
  const char *variables[STRINGS_MAX + 1];
  strings_of(bytes, room, variables);
  return ch_options_from_environment(options, "CHATD_", variables);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input input = {data, len};
  values v;
  ch_buf why;
  ch_buf_init(&why, NULL, 64 * 1024);
  ch_options options = {.table = &table, .values = &v, .why = &why};
  ch_options_init(options);
  uint8_t source = fuzz_byte(&input) % 3;
  chat_bytes bytes = ch_bytes_of(input.data, input.len);
  int error = source == 0   ? ch_options_from_file(options, bytes)
              : source == 1 ? take_args(options, bytes)
                            : take_environment(options, bytes);
  are_within_bounds(&v);
  ch_assert((error != 0) == (why.len != 0));
  ch_buf_fini(&why);
  return 0;
}
