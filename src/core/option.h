/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option.h - one row for each option, and one setter for every source of them.
 *
 * A table says everything about an option; the values live in a plain struct of the owner, where rows point with an
 * offset. Command line, environment and file (option_source.h) and chat_*_set all end in ch_options_set; help, sample
 * file and docs/options.md are printed from the same rows (option_print.h). Names are compared without regard to case,
 * and '_' is the same as '-'. Nothing is kept that is passed in; one thread at a time for the same values.
 */
#ifndef CH_CORE_OPTION_H
#define CH_CORE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/bytes.h"

/* What is written, and the C type of its field. */
typedef enum ch_option_type {
  CH_OPTION_BOOL,     /* true, yes, on, 1, false, no, off, 0 -> bool */
  CH_OPTION_INT,      /* decimal, with '-' where min is below 0 -> int64_t */
  CH_OPTION_SIZE,     /* bytes, or with k, m, g, t (KiB, MiB, GiB, TiB) -> uint64_t bytes */
  CH_OPTION_DURATION, /* a number with ms, s, m, h or d, or 0 -> uint64_t ms */
  CH_OPTION_STRING,   /* bytes without a NUL -> char[], ended by a NUL */
  CH_OPTION_ENUM      /* one of the choices -> int, its index */
} ch_option_type;

enum {
  CH_OPTION_SECRET = 1,     /* its value is never printed */
  CH_OPTION_RELOADABLE = 2, /* may change while its owner runs */
  CH_OPTION_DEV = 4         /* for development only: unsafe elsewhere */
};

typedef struct ch_option {
  const char *name; /* such as "heartbeat-max": lower case, '-' between words */
  ch_option_type type;
  unsigned flags;             /* sum of CH_OPTION_* above */
  const char *initial;        /* the default, as it would be written */
  int64_t min, max;           /* of number, bytes, ms; min of a string's len, whose max is its field's len - 1 */
  const char *const *choices; /* of CH_OPTION_ENUM, ended by NULL */
  const char *help;           /* one sentence, with its stop */
  size_t offset, len;         /* of the field: CH_OPTION_FIELD */
} ch_option;

/* Initialises offset and len of a row. */
#define CH_OPTION_FIELD(type, field) .offset = offsetof(type, field), .len = sizeof(((type *)0)->field)

typedef struct ch_option_table {
  const ch_option *rows;
  size_t count;
} ch_option_table;

/* Where options are set. Borrowed for the call. */
typedef struct ch_options {
  const ch_option_table *table;
  void *values;      /* the struct that the rows' offsets are of */
  ch_buf *why;       /* gets one sentence about an error (which option, what was given, what is allowed); may be NULL */
  const char *where; /* of the source, for that sentence ("line 3"); may be NULL */
} ch_options;

/* Sets every option to its default. A table that contradicts itself is a broken invariant. */
void ch_options_init(ch_options options);
/* Sets one option. CHAT_E_UNSUPPORTED: no such option. CHAT_E_INVALID: not a value of its type, or out of its bounds. On
 * an error nothing changed but why. */
int ch_options_set(ch_options options, ch_bytes name, ch_bytes text);

/* The row of name; NULL when there is none. Lives as long as the table. */
const ch_option *ch_option_find(const ch_option_table *table, ch_bytes name);
/* Appends what may be written, such as "a duration (500ms, 15s, 5m, 7d) from 1s to 5m". */
void ch_option_put_allowed(const ch_option *option, ch_buf *out);
/* Appends "where: what 'given'" to options.why and gives error. For sources of options. */
int ch_options_fail(ch_options options, int error, const char *what, ch_bytes given);

#endif
