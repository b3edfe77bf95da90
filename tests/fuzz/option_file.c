/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file of any bytes: each value is within its bounds afterwards, and there is a sentence where something was wrong. */
#include <string.h>

#include "core/option_source.h"
#include "fuzz/fuzz.h"

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
    {.name = "queue-max", .type = CH_OPTION_SIZE, .initial = "64k", .min = 1000, .max = INT64_C(1) << 40, .help = "Size.", CH_OPTION_FIELD(values, queue_max)},
    {.name = "heartbeat", .type = CH_OPTION_DURATION, .initial = "15s", .max = 604800000, .help = "Duration.", CH_OPTION_FIELD(values, heartbeat_ms)},
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  values v;
  ch_buf why;
  ch_buf_init(&why, NULL, 64 * 1024);
  ch_options options = {.table = &table, .values = &v, .why = &why};
  ch_options_init(options);
  int error = ch_options_from_file(options, ch_bytes_of(data, len));
  are_within_bounds(&v);
  ch_assert((error != 0) == (why.len != 0));
  ch_buf_fini(&why);
  return 0;
}
