/* SPDX-License-Identifier: Apache-2.0 */
/* option_example.h - a table with one row of each type, for the tests of options. */
#ifndef CH_TEST_OPTION_EXAMPLE_H
#define CH_TEST_OPTION_EXAMPLE_H

#include <check.h>
#include <stdio.h>

#include "core/option.h"

typedef struct example {
  bool verbose;
  int64_t offset;
  uint64_t queue_max;
  uint64_t heartbeat_ms;
  char data_dir[32];
  char token[8];
  int log_level;
} example;

static const char *const log_levels[] = {"error", "info", "debug", NULL};

static const ch_option example_rows[] = {
    {.name = "verbose", .type = CH_OPTION_BOOL, .initial = "false", .help = "Say more.", CH_OPTION_FIELD(example, verbose)},
    {.name = "offset",
     .type = CH_OPTION_INT,
     .initial = "-5",
     .min = -10,
     .max = 10,
     .help = "An offset.",
     CH_OPTION_FIELD(example, offset)},
    {.name = "queue-max",
     .type = CH_OPTION_SIZE,
     .initial = "64k",
     .min = 1000,
     .max = INT64_C(1) << 40,
     .help = "Bytes that may wait.",
     CH_OPTION_FIELD(example, queue_max)},
    {.name = "heartbeat",
     .type = CH_OPTION_DURATION,
     .initial = "15s",
     .max = INT64_C(604800000),
     .flags = CH_OPTION_RELOADABLE,
     .help = "Time between heartbeats.",
     CH_OPTION_FIELD(example, heartbeat_ms)},
    {.name = "data-dir",
     .type = CH_OPTION_STRING,
     .initial = "/var/lib/chat",
     .min = 1,
     .help = "Where data lives.",
     CH_OPTION_FIELD(example, data_dir)},
    {.name = "token",
     .type = CH_OPTION_STRING,
     .initial = "",
     .flags = CH_OPTION_SECRET | CH_OPTION_DEV,
     .help = "A password.",
     CH_OPTION_FIELD(example, token)},
    {.name = "log-level",
     .type = CH_OPTION_ENUM,
     .initial = "info",
     .choices = log_levels,
     .help = "What is logged.",
     CH_OPTION_FIELD(example, log_level)},
};

static const ch_option_table example_table = {example_rows, sizeof example_rows / sizeof *example_rows};

static example values;
static ch_buf why;
static ch_options options = {.table = &example_table, .values = &values, .why = &why};

static inline void setup(void) {
  ch_buf_init(&why, NULL, 4096);
  ch_options_init(options);
}

static inline void teardown(void) {
  ch_buf_fini(&why);
}

static inline int set(const char *name, const char *text) {
  return ch_options_set(options, ch_bytes_text(name), ch_bytes_text(text));
}

static inline void why_is(const char *expected) {
  ck_assert_msg(ch_bytes_equal(ch_buf_bytes(&why), ch_bytes_text(expected)), "expected \"%s\", is \"%.*s\"", expected, (int)why.len,
                (const char *)why.data);
}

#endif
